//! What the local API says and takes, as JSON. Everything under `/api/v1`; the OpenAPI document made
//! from these types is at `/api/v1/openapi.json`, and the web UI's types are generated from it.
//!
//! Ids are stable strings, times RFC 3339, sizes bytes, durations seconds, rates bytes per second.

use std::collections::BTreeMap;

use accord_model::{DeviceKind, FieldCode, Reach, Service, Timestamp, Verb, WriteState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::faces::{Face, Recognised};

/// `GET /status`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// This machine's device id in `devices`.
    pub device: String,
    pub state_dir: String,
    /// Address of the web UI, when it is served.
    pub http: Option<String>,
    /// Whether this hub looks for and shows itself to devices on the network.
    pub discovery: Switch,
    pub uptime_s: u64,
    pub ledger: LedgerHead,
    /// Consent prompts that wait for the owner.
    pub prompts: usize,
    /// Incoming offers that wait for the owner.
    pub offers: usize,
    /// What is off because it was refused or never asked, and how to turn it on.
    pub off: Vec<OffFeature>,
    /// First start: nobody has decided anything yet.
    pub first_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    On,
    /// Refused by the owner.
    Off,
    /// Never decided.
    Undecided,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OffFeature {
    pub entry: String,
    pub title: String,
    /// What does not work without it.
    pub effect: String,
    /// A command that turns it on.
    pub turn_on: String,
}

/// `GET /devices` → `{ "devices": [Device] }`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Devices {
    pub devices: Vec<Device>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Device {
    pub id: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    pub maker: Option<String>,
    pub model: Option<String>,
    pub room: Option<String>,
    pub favourite: bool,
    /// What the owner wants it shown as: a name of one of the UI's icons.
    #[serde(default)]
    pub icon: Option<String>,
    pub trust: Trust,
    #[schema(value_type = String)]
    pub reach: Reach,
    /// `ip:port` forms, best first.
    pub addresses: Vec<String>,
    /// The live path, when connected.
    pub path: Option<Path>,
    /// Which bridge speaks for it: `link`, …
    pub bridge: String,
    /// The server or bridge that it is spoken to through, with which it is added and removed.
    #[serde(default)]
    pub via: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_seen: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// Accept what it sends without asking.
    pub auto_accept: bool,
    /// What opens, unlocks or looks there is done without asking again; off until the owner says so.
    #[serde(default)]
    pub trusted_effects: bool,
    /// What it may do with this machine.
    pub remote: RemoteControl,
    /// What of that its protocol can ask for at all.
    #[serde(default)]
    pub asks: RemoteControl,
    /// It moves this machine's pointer and types here just now.
    pub input_now: bool,
    /// When it did that last, since the hub started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub input_last: Option<Timestamp>,
    /// What became of the last writes to its properties.
    pub writes: Vec<Written>,
    #[schema(value_type = Vec<Object>)]
    pub services: Vec<Service>,
    /// The ways in which it is here, its own id's first.
    #[serde(default)]
    pub faces: Vec<Face>,
    /// Ids of devices that may be the same one; nothing is joined by that.
    #[serde(default)]
    pub maybe: Vec<String>,
    /// What it is recognised as, with the owner's agreement.
    #[serde(default)]
    pub recognised: Option<Recognised>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// This machine.
    Own,
    Paired,
    /// Seen on the network, not paired.
    Seen,
    Blocked,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Path {
    /// `quic` or `tls`.
    pub carrier: String,
    pub address: String,
    pub relayed: bool,
    pub rtt_ms: Option<f64>,
}

/// `PATCH /devices/{id}`: only what is given changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceChange {
    /// A name of the owner's own; empty to go back to the device's.
    pub name: Option<String>,
    pub room: Option<String>,
    pub favourite: Option<bool>,
    /// A name of one of the UI's icons: small letters, digits and dashes; empty to go back to what it is.
    pub icon: Option<String>,
    pub blocked: Option<bool>,
    pub auto_accept: Option<bool>,
    /// Open, unlock and look there without asking again. What loses something is asked about all the same.
    pub trusted_effects: Option<bool>,
    /// Let it control this machine's players.
    pub remote_media: Option<bool>,
    /// Let it ring this machine.
    pub remote_ring: Option<bool>,
    /// Let it have commands of the owner's list run.
    pub remote_commands: Option<bool>,
    /// Let it move this machine's pointer and type here. Turned on at this computer's command line alone.
    pub remote_input: Option<bool>,
}

impl DeviceChange {
    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        let Self {
            name,
            room,
            favourite,
            icon,
            blocked,
            auto_accept,
            trusted_effects,
            remote_media,
            remote_ring,
            remote_commands,
            remote_input,
        } = self;
        let allowed = [auto_accept, remote_media, remote_ring, remote_commands, remote_input];
        let own = [favourite, blocked, trusted_effects];
        let texts = [name, room, icon];
        texts.into_iter().all(Option::is_none) && own.into_iter().chain(allowed).all(Option::is_none)
    }

    /// Without what another change holds.
    pub fn without(mut self, other: &Self) -> Self {
        let take = |mine: &mut Option<bool>, theirs: Option<bool>| {
            if theirs.is_some() {
                *mine = None;
            }
        };
        take(&mut self.auto_accept, other.auto_accept);
        take(&mut self.remote_media, other.remote_media);
        take(&mut self.remote_ring, other.remote_ring);
        take(&mut self.remote_commands, other.remote_commands);
        take(&mut self.remote_input, other.remote_input);
        self
    }

    /// Only what is noted beside a pairing: its icon, what may be done without asking again, and remote control.
    pub fn beside_pairing(&self) -> Self {
        Self {
            icon: self.icon.clone(),
            trusted_effects: self.trusted_effects,
            remote_media: self.remote_media,
            remote_ring: self.remote_ring,
            remote_commands: self.remote_commands,
            remote_input: self.remote_input,
            ..Self::default()
        }
    }
}

/// What a device may do with this machine, nothing until the owner says so; or can ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RemoteControl {
    pub media: bool,
    pub ring: bool,
    pub commands: bool,
    pub input: bool,
}

/// One write to a property.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Written {
    pub service: String,
    pub instance: u16,
    pub property: String,
    /// `pending`, `confirmed` by the device, or `unconfirmed` within five seconds.
    #[schema(value_type = String)]
    pub state: WriteState,
}

/// `POST /devices/{id}/call`: answers what the device does, by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub service: String,
    /// Which one of several alike.
    #[serde(default)]
    pub instance: u16,
    /// `{"verb":"read","properties":[…]}`, `{"verb":"write","property":…,"data":…}` or `{"verb":"act","action":…,"inputs":{…}}`.
    #[schema(value_type = Object)]
    pub verb: Verb,
    /// The owner confirmed this very call; for what opens or loses something.
    #[serde(default)]
    pub confirmed: bool,
}

/// `GET|PUT /commands`: the owner's list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCommands {
    pub commands: Vec<OwnCommand>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCommand {
    /// What devices see.
    pub name: String,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
}

/// `GET /presence`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Presences {
    pub devices: Vec<Presence>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    pub device: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    pub here: bool,
    /// Since when it is here.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
}

/// `POST /devices`: look for a hub at an address where multicast is blocked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddDevice {
    /// `ip:port`.
    pub address: String,
}

/// `GET /pairings`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pairings {
    /// Devices that are paired.
    pub paired: Vec<PairedDevice>,
    /// Pairings that run now or ended in the last minutes.
    pub running: Vec<Pairing>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PairedDevice {
    pub device: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Short form of the other device's statement key, to compare by eye.
    pub fingerprint: String,
    /// The head of their ledger that we keep as witness, and ours that they keep.
    pub witness_of: Option<LedgerHead>,
    pub witnessed_by: Option<LedgerHead>,
}

/// `POST /pairings`: exactly one of the fields. `GET /pairings/{id}` follows it.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartPairing {
    /// A device from `devices` (its id or its name).
    pub device: Option<String>,
    /// A ticket or the content of a QR code: `accord:pair/1?…`.
    pub ticket: Option<String>,
    /// `ip:port` of a hub.
    pub address: Option<String>,
    /// With `device`: what its service `pairing` wants for `request`, such as a token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
}

impl std::fmt::Debug for StartPairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { device, ticket, address, inputs } = self;
        let ticket = if ticket.is_some() { "a ticket" } else { "no ticket" };
        write!(f, "StartPairing({device:?}, {ticket}, {address:?}, {} inputs)", inputs.len())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pairing {
    pub id: String,
    pub direction: Direction,
    pub method: PairingMethod,
    pub state: PairingState,
    pub device: Option<String>,
    pub name: Option<String>,
    #[schema(value_type = Option<String>)]
    pub kind: Option<DeviceKind>,
    /// Six digits to compare with the other screen.
    pub code: Option<String>,
    /// What the other device will learn once paired (entry `link/connection`).
    pub shares: Vec<Field>,
    /// What can be agreed to in the same step: see [`ConfirmPairing::agrees`].
    #[serde(default)]
    pub offers: Vec<Offer>,
    pub error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    In,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairingMethod {
    Code,
    Ticket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairingState {
    Connecting,
    /// A code is shown; our owner has not said whether it matches (or, by ticket, whether to let this device in).
    Compare,
    /// Our owner agreed; the other has not yet.
    Waiting,
    Done,
    Failed,
}

/// `POST /pairings/{id}/confirm`: with the code typed from the other screen, or without when the owner compared it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPairing {
    pub code: Option<String>,
    /// Entries of the pairing's offers that the owner agrees to beside.
    #[serde(default)]
    pub agrees: Vec<String>,
}

/// An entry that can be agreed to where a device is added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    pub entry: String,
    /// `Control it from here`
    pub title: String,
    /// What that shares, in a sentence.
    pub says: String,
    /// What is granted by it.
    pub fields: Vec<Field>,
    /// Without it, nothing comes of adding it.
    pub needed: bool,
}

/// `POST /pairings/ticket`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// The pairing that waits for someone to use it.
    pub pairing: String,
    pub ticket: String,
    /// The same as a QR code.
    pub qr_svg: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

/// `GET /transfers` → `{ "transfers": [Transfer] }`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Transfers {
    pub transfers: Vec<Transfer>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Transfer {
    pub id: String,
    pub direction: Direction,
    pub device: String,
    pub device_name: String,
    pub kind: TransferKind,
    pub state: TransferState,
    /// The first names, for a preview.
    pub items: Vec<TransferItem>,
    pub files_total: u64,
    pub files_done: u64,
    pub bytes_total: u64,
    pub bytes_done: u64,
    /// Whether the totals are final; otherwise there is at least that much.
    pub exact: bool,
    /// Bytes per second now.
    pub rate: Option<u64>,
    pub remaining_s: Option<u64>,
    /// `quic` or `tls`.
    pub carrier: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished: Option<Timestamp>,
    /// Text, for `kind: text|url`.
    pub text: Option<String>,
    /// Where it was saved, for finished incoming transfers.
    pub saved_to: Option<String>,
    /// What went wrong and what to do; also what was skipped.
    pub message: Option<String>,
    /// Items that were not transferred, each with its reason; the first ones.
    pub skipped: Vec<String>,
    /// How many were not transferred altogether.
    pub skipped_count: u64,
    /// An incoming offer that waits for the owner is refused by itself at this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TransferItem {
    pub name: String,
    pub size: Option<u64>,
    pub folder: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferKind {
    Files,
    Text,
    Url,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferState {
    /// Looking for a way to the device.
    Connecting,
    /// Offered; the receiving owner has not answered.
    Offered,
    Running,
    /// The link broke; goes on by itself when it is back.
    Paused,
    Done,
    Failed,
    /// The receiving owner said no.
    Refused,
    Cancelled,
}

/// `POST /transfers`: `device` and exactly one of the others. Answers `Transfer`, or 409 with
/// [`ApiError`] `consent-needed` when the owner has not decided.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartTransfer {
    pub device: String,
    /// Absolute paths on this machine (command line); those that are not UTF-8 as `file:///…%FF` (RFC 8089).
    pub paths: Option<Vec<String>>,
    pub text: Option<String>,
    pub url: Option<String>,
    /// Files that were uploaded from the browser: the id that `POST /uploads` gave.
    pub upload: Option<String>,
    /// One file of this name, whose content `PUT /transfers/{id}/content` streams (command line).
    pub stream: Option<String>,
}

/// `POST /uploads` (empty) makes one; `PUT /uploads/{id}/files?path=a/b.txt&mtime=…` streams one file's bytes into it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    pub id: String,
}

/// `GET /inbox`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Inbox {
    /// Folder where received files lie.
    pub folder: String,
    /// Offers that wait for the owner.
    pub offers: Vec<Transfer>,
    /// What was received, newest first.
    pub received: Vec<Transfer>,
}

/// `POST /inbox/{id}/accept`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// From now on accept everything this device sends.
    #[serde(default)]
    pub always: bool,
}

/// `GET /entries` → `{ "entries": [Entry] }`: the statement joined with the owner's decisions and what was shared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entries {
    pub statement: StatementInfo,
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementInfo {
    pub title: String,
    pub version: String,
    pub publisher: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub key: String,
    pub title: String,
    /// Who receives: `paired-device`, `local-network`, `relay`, or a company.
    pub recipient: String,
    pub recipient_name: String,
    pub means: String,
    pub fields: Vec<Field>,
    /// What is shared, in a sentence.
    pub data: String,
    pub purpose: String,
    pub scenario: String,
    pub method: String,
    pub transport: String,
    pub hosts: Vec<String>,
    pub storage: String,
    pub retention: String,
    pub rules_url: Option<String>,
    pub fingerprint: String,
    pub consents: Vec<Consent>,
    /// The newest disclosures and refusals under this entry.
    pub lately: Vec<Record>,
    /// Devices that can be added once this is agreed to.
    pub join: Option<Join>,
}

/// How devices of one kind are added, once an entry lets this machine be found by them. They are of the bridge that owns
/// the entry: `devices` show it as `bridge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Join {
    /// `Phone with KDE Connect`
    pub what: String,
    /// What most of them are.
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// What is to be done on the device, by its system.
    pub systems: Vec<JoinSystem>,
    /// It opens a page; `GET /receiver` tells where.
    pub page: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinSystem {
    pub name: String,
    pub steps: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Field {
    #[schema(value_type = String)]
    pub code: FieldCode,
    pub label: String,
    pub required: bool,
    pub sensitive: bool,
}

/// `GET /consents` → `{ "consents": [Consent] }`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Consents {
    pub consents: Vec<Consent>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    pub id: String,
    pub entry: String,
    pub entry_title: String,
    /// `any`, `network:lan`, `device:<id>`, `host:<name:port>`.
    pub to: String,
    pub to_name: String,
    pub choice: Choice,
    pub state: ConsentState,
    #[schema(value_type = Vec<String>)]
    pub fields: Vec<FieldCode>,
    #[schema(value_type = String, format = DateTime)]
    pub decided: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub withdrawn: Option<Timestamp>,
    /// Why it lapsed: what the new statement shares in addition.
    pub difference: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    Always,
    Once,
    Until,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentState {
    Given,
    Refused,
    /// A `once` that was used.
    Used,
    Expired,
    Withdrawn,
    /// The statement widened; asks again.
    Lapsed,
}

/// `POST /consents`: the owner decides. Takes effect before it answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    pub entry: String,
    /// As in [`Consent::to`]; a device's id or name is taken too. Without it: any recipient of the entry's class.
    pub to: Option<String>,
    pub choice: Choice,
    /// With `until`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Only these fields; all when absent. Required fields cannot be left out.
    #[schema(value_type = Option<Vec<String>>)]
    pub fields: Option<Vec<FieldCode>>,
    /// Where the owner saw the entry: `web`, `cli`, `phone`.
    pub surface: Option<String>,
}

/// `GET /prompts` → `{ "prompts": [Prompt] }`: decisions that something waits for, in context.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Prompts {
    pub prompts: Vec<Prompt>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Prompt {
    pub id: String,
    pub entry: Entry,
    pub to: String,
    pub to_name: String,
    /// What wants it, in the owner's words: "Send 3 files to Phone".
    pub because: String,
    /// What widened since the owner last agreed.
    pub difference: Option<String>,
    /// What this very act needs, where that is known: an answer without fields grants these, and leaves out the others of the entry.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub fields: Option<Vec<FieldCode>>,
    /// These are more than was agreed to, which stands however this is answered, unless it is answered with `never`.
    #[serde(default)]
    pub adds: bool,
    #[schema(value_type = String, format = DateTime)]
    pub asked: Timestamp,
}

/// `GET /ledger?search=&kind=&entry=&recipient=&before=&limit=` → newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LedgerPage {
    pub head: LedgerHead,
    pub records: Vec<Record>,
    /// Pass as `before` for the next page.
    pub next: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LedgerHead {
    pub size: u64,
    /// Root hash, hex.
    pub root: String,
    /// When the last checkpoint was signed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub signed: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Record {
    pub seq: u64,
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// `statement`, `notice-shown`, `decision`, `intent`, `sent`, `refused`, `received`, `error`, `checkpoint`, `erased`.
    pub kind: String,
    pub entry: Option<String>,
    pub recipient: Option<String>,
    pub recipient_name: Option<String>,
    #[schema(value_type = Vec<String>)]
    pub fields: Vec<FieldCode>,
    pub address: Option<String>,
    /// Bytes of content.
    pub bytes: Option<u64>,
    /// Bytes on the wire where the socket is ours to count.
    pub wire_bytes: Option<u64>,
    pub digest: Option<String>,
    /// The record this one closes or refers to.
    pub refers: Option<u64>,
    pub scenario: Option<String>,
    pub message: Option<String>,
    /// File names and the like; gone after erasure.
    pub details: Vec<String>,
    /// Leaf hash, hex.
    pub hash: String,
}

/// `POST /ledger/verify`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    pub ok: bool,
    pub records: u64,
    pub checkpoints: u64,
    pub witnesses: u64,
    pub root: String,
    /// What is wrong, each with the first record concerned.
    pub problems: Vec<String>,
}

fn yes() -> bool {
    true
}

/// `GET|PUT /settings`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// Folder for received files.
    pub inbox: String,
    /// Show desktop notifications for offers.
    pub notify: bool,
    /// Tell of smoke, water, a siren and other alarms of the house; they are told when nothing is said.
    #[serde(default = "yes")]
    pub alarms: bool,
    /// Relay of the owner's own; none by default.
    pub relay: Option<String>,
}

/// `POST /settings/reset-id`: this device has new ids and a new link key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IdReset {
    /// Paired devices that were connected: they know the new key and come back by themselves.
    pub told: Vec<String>,
    /// Paired devices that were away: pair with them again.
    pub pair_again: Vec<String>,
}

/// `POST /session`: the one-time setup token from the terminal; sets the session cookie.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub token: String,
}

/// `GET /events` (server-sent events): `event:` is the tag, `data:` the content.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "kebab-case")]
pub enum Event {
    /// First, and after a gap: read everything anew.
    Hello(Status),
    Device(Box<Device>),
    /// What a device says changed, and nothing else of it.
    Values(super::home::Values),
    /// Something happened at a device of the house: a button was pressed.
    Happened(super::home::Happened),
    /// Rooms and devices of the house stand in another order now.
    HomeOrder(super::home::HomeOrder),
    DeviceGone {
        id: String,
    },
    Pairing(Pairing),
    Transfer(Transfer),
    TransferGone {
        id: String,
    },
    /// A share by link is new, or something about it changed.
    Share(super::shares::Share),
    ShareGone {
        id: String,
    },
    /// A cast is new, or goes otherwise; while only its position moves as it should, told every few seconds.
    Cast(Box<super::casts::Cast>),
    CastGone {
        id: String,
    },
    Prompt(Box<Prompt>),
    PromptGone {
        id: String,
    },
    Consent(Consent),
    /// New records; the newest.
    Ledger(Record),
    Settings(Settings),
    Notification(super::notices::Notification),
    NotificationGone {
        id: String,
    },
    /// Rules, offers or what can be done with the clipboard changed.
    Clipboard(super::notices::Clipboard),
}

/// Every answer that is not 2xx.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// `consent-needed`, `confirm-needed`, `refused`, `not-found`, `bad-request`, `sign-in`, `forbidden`, `conflict`, `not-reached`, `unreachable`, `internal`.
    pub error: String,
    /// What happened, to which device or file, what to do.
    pub message: String,
    /// With `consent-needed`: what to decide. Decide by `POST /consents`, then repeat the call.
    pub prompt: Option<Prompt>,
}

/// `POST /prompts/{id}`: the owner's answer to a prompt, as [`Decide`] for its entry and recipient.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerPrompt {
    pub choice: Choice,
    /// With `until`.
    pub until: Option<Timestamp>,
    #[schema(value_type = Option<Vec<String>>)]
    pub fields: Option<Vec<FieldCode>>,
    pub surface: Option<String>,
}

/// `PUT /uploads/{id}/files`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Uploaded {
    pub path: String,
    pub bytes: u64,
}

/// `POST /session/token` (Unix socket only): a link that signs one browser in, once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SetupLink {
    /// The web UI's address with the token behind `#setup=`, which browsers send to nobody.
    pub url: String,
    /// The same for other devices, when the hub is open to them: one per address, over TLS.
    pub others: Vec<String>,
    /// Where they install the hub's own certificate authority first.
    pub install: Option<InstallPage>,
    pub expires: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InstallPage {
    pub url: String,
    /// SHA-256 of the certificate, to compare by eye.
    pub fingerprint: String,
}

/// `GET /sessions` → `{ "sessions": [Session] }`; `DELETE /sessions/{id}` ends one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    pub sessions: Vec<Session>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    pub id: String,
    /// What the browser calls itself.
    pub agent: String,
    pub created: Timestamp,
    pub last_used: Timestamp,
    /// The one that asks.
    pub current: bool,
}
