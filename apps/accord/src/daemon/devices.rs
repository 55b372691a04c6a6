//! The hub's side of devices and pairing: what the registry and the link know, joined with what the
//! owner noted.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use accord_consent::{Choice, ConsentState, RecipientId, To, ledger::Witness};
use accord_identity::AutoAccept;
use accord_link::{LinkDevice, LinkError, PairingDirection, PairingId, PairingInfo, PairingMethod, PairingStep};
use accord_model::text::for_screen;
use accord_model::{DeviceId, Effect, EntryKey};
use accord_ports::remote::Remote;
use accord_registry::{Face, Thing};
use tokio::sync::broadcast::error::RecvError;

use super::hub::Hub;
use super::notes::{Note, NoteError};
use super::offers::agrees_to_control;
use super::{foreign, house, view};
use crate::api::error::{Answer, Failure};
use crate::api::faces::{Learnt, Recognised};
use crate::api::types as api;

const MAX_ADDRESSES: usize = 8;
const TOLD_WITHIN: Duration = Duration::from_secs(2);

impl From<NoteError> for Failure {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::BadText | NoteError::BadIcon => Self::bad_request(error.to_string()),
            NoteError::Full => Self::conflict(error.to_string()),
            NoteError::NotSaved(_) => Self::internal("The change was not kept", error),
        }
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        let message = error.to_string();
        match error {
            LinkError::NotConsented { .. } | LinkError::Peer(_) => Self::refused(message),
            LinkError::UnknownDevice(_) | LinkError::NoPairing => Self::not_found(message),
            LinkError::AlreadyPaired(_) | LinkError::WrongCode => Self::conflict(message),
            LinkError::TooMany(seconds) => Self::too_many(message, seconds),
            LinkError::BadTicket(_) => Self::bad_request(message),
            LinkError::NotNear(_) | LinkError::NoAnswer(_) => Self::unreachable(message),
            LinkError::System { .. } => Self::internal("The network cannot be used", message),
            LinkError::Stopped => Self::unavailable(message),
        }
    }
}

impl Hub {
    pub fn devices(&self) -> Vec<api::Device> {
        let things = self.registry.things();
        let shown = things.iter().filter(|thing| super::faces::is_shown(thing));
        let mut devices: Vec<_> = shown.map(|thing| self.thing_view(thing)).collect();
        let rank = |device: &api::Device| match device.trust {
            api::Trust::Own => 0,
            api::Trust::Paired => 1,
            api::Trust::Seen => 2,
            api::Trust::Blocked => 3,
        };
        devices.sort_by_cached_key(|device| {
            (rank(device), !device.favourite, device.name.to_lowercase(), device.id.clone())
        });
        devices
    }

    pub fn device(&self, id: &DeviceId) -> Answer<api::Device> {
        Ok(self.thing_view(&self.thing(id)?))
    }

    /// A thing with all its faces. What the owner allows to a face is shown of the one that would be used for it.
    pub fn thing_view(&self, thing: &Thing) -> api::Device {
        let device = &thing.device;
        let own = device.id.as_str() == house::OWN;
        let faces = self.faces_view(thing);
        let link = |id: &DeviceId| if own { None } else { self.link.device(id) };
        let seen: Option<LinkDevice> = thing.faces.iter().find_map(|face| link(&face.known.device.id));
        let note = self.note(&device.id);
        let (auto_accept, remote) = self.allowed(thing);
        let trusts = || faces.iter().map(|face| face.trust);
        let trust = match () {
            () if own => api::Trust::Own,
            () if note.blocked => api::Trust::Blocked,
            () if trusts().any(|trust| trust == api::Trust::Paired) => api::Trust::Paired,
            () => api::Trust::Seen,
        };
        let recognised = if own { None } else { self.recognised(&device.told) };
        let learnt = |part: fn(&Recognised) -> &Option<Learnt>| recognised.as_ref().and_then(|all| part(all).as_ref());
        let said = |part, own: &Option<String>| {
            let value = learnt(part).map(|learnt| &learnt.value).or(own.as_ref());
            value.map(|text| for_screen(text, 80))
        };
        let claimed = faces.iter().filter(|_| seen.is_none()).flat_map(|face| face.addresses.iter().cloned());
        let mut claimed: Vec<String> = claimed.collect();
        claimed.dedup();
        api::Device {
            id: device.id.to_string(),
            name: note.name.unwrap_or_else(|| shown_name(&device.name, device)),
            kind: self
                .recogniser
                .recognise(&device.told)
                .kind
                .and_then(|kind| kind.value.device_kind())
                .unwrap_or(device.kind),
            maker: said(|all| &all.maker, &device.maker),
            model: said(|all| &all.model, &device.model),
            room: note.room.or_else(|| device.room.clone()),
            favourite: note.favourite,
            icon: note.icon,
            trust,
            reach: device.reach,
            addresses: seen
                .iter()
                .flat_map(|seen| seen.addresses.iter().take(MAX_ADDRESSES))
                .map(ToString::to_string)
                .chain(claimed)
                .collect(),
            path: seen.as_ref().and_then(|seen| seen.path.as_ref()).map(|path| api::Path {
                carrier: path.carrier.clone(),
                address: path.address.clone(),
                relayed: path.relayed,
                rtt_ms: path.rtt_ms,
            }),
            bridge: thing.bridge().to_owned(),
            via: device.via.as_ref().map(ToString::to_string),
            first_seen: seen.as_ref().and_then(|seen| seen.first_seen),
            last_seen: seen.as_ref().and_then(|seen| seen.last_seen),
            auto_accept,
            trusted_effects: self.trusts_effects(thing),
            remote,
            asks: asks(device),
            input_now: thing.faces.iter().any(|face| self.input_of(&face.known.device.id).0),
            input_last: thing.faces.iter().filter_map(|face| self.input_of(&face.known.device.id).1).max(),
            writes: self.writes(thing),
            services: device.services.clone(),
            maybe: thing.maybe.iter().map(ToString::to_string).collect(),
            recognised,
            faces,
        }
    }

    /// Whether one face opens, unlocks or shows something.
    fn secures(&self, face: &DeviceId) -> bool {
        self.registry.device(face).is_some_and(|known| secures(&known.device))
    }

    /// Whether what any face opens is done without asking again.
    fn trusts_effects(&self, thing: &Thing) -> bool {
        let mut opening = thing.faces.iter().map(|face| &face.known.device).filter(|face| secures(face)).peekable();
        let lead = opening.peek().is_none() && self.note(&thing.device.id).trusted_effects;
        lead || (opening.peek().is_some() && opening.all(|face| self.note(&face.id).trusted_effects))
    }

    /// What the faces that would be asked for it, or that can ask for it, are allowed.
    fn allowed(&self, thing: &Thing) -> (bool, api::RemoteControl) {
        let id = &thing.device.id;
        let of = |what: Remote| self.note(&self.asking(id, what.service())).remote;
        let remote = api::RemoteControl {
            media: of(Remote::Media).media,
            ring: of(Remote::Ring).ring,
            commands: of(Remote::Commands).commands,
            input: of(Remote::Input).input,
        };
        (self.note(&self.face_for(id, "files")).auto_accept, remote)
    }

    /// The face that can ask for a service of this machine: what is named, else the thing's own, else the first that can.
    fn asking(&self, id: &DeviceId, service: &str) -> DeviceId {
        let Some(thing) = self.registry.thing(id) else { return id.clone() };
        let can = |face: &&Face| face.known.device.can_ask(service);
        // Who proves who it is, or at least was added, before who does not.
        let rank =
            |face: &&Face| (self.trust_of(&face.known) != api::Trust::Paired, !foreign::is_proved(&face.known.device));
        let best = thing.faces.iter().filter(can).min_by_key(rank).map(|face| face.known.device.id.clone());
        if *id != thing.device.id { id.clone() } else { best.unwrap_or_else(|| id.clone()) }
    }

    /// What the owner noted: with the pairing for paired devices, beside it for all others.
    pub(super) fn note(&self, id: &DeviceId) -> Note {
        let mut noted = self.notes.get(id);
        // A thing behind a server is trusted as long as the server's pairing lasts, which may end while the thing is away.
        let since = self.registry.device(id).and_then(|known| foreign::server_since(&known.device));
        noted.trusted_effects &= since.is_none_or(|since| noted.trusted_at.is_some_and(|at| at >= since));
        match self.peers.get(id) {
            Some(peer) => Note {
                name: peer.alias,
                room: peer.room,
                favourite: peer.favourite,
                icon: noted.icon,
                blocked: peer.blocked,
                auto_accept: peer.auto_accept == AutoAccept::Always,
                trusted_effects: noted.trusted_effects,
                trusted_at: noted.trusted_at,
                remote: noted.remote,
            },
            None => noted,
        }
    }

    /// A device's name as the owner knows it.
    pub fn device_name(&self, id: &str) -> Option<String> {
        let id = DeviceId::new(id).ok()?;
        if id.as_str() == house::OWN {
            return Some(self.name());
        }
        if let Some(name) = self.note(&id).name {
            return Some(name);
        }
        if let Some(peer) = self.peers.get(&id) {
            return Some(for_screen(peer.shown_name(), 64));
        }
        let known = self.registry.device(&id)?;
        Some(shown_name(&known.device.name, &known.device))
    }

    /// The device that a text names: its id, or its name when only one has it.
    pub fn resolve(&self, text: &str) -> Answer<DeviceId> {
        if let Ok(id) = DeviceId::new(text)
            && (self.registry.thing_id(&id).is_some() || self.peers.get(&id).is_some())
        {
            return Ok(id);
        }
        let wanted = text.trim().to_lowercase();
        let devices = self.devices();
        let mut named: Vec<_> = devices.iter().filter(|device| device.name.to_lowercase() == wanted).collect();
        // A paired device goes before strangers that took its name.
        if named.iter().any(|device| device.trust == api::Trust::Paired) {
            named.retain(|device| device.trust == api::Trust::Paired);
        }
        match named.as_slice() {
            [] => Err(no_device(text)),
            [one] => DeviceId::new(&one.id).map_err(|error| Failure::bad_request(error.to_string())),
            many => {
                let ids: Vec<_> = many.iter().map(|device| device.id.as_str()).collect();
                Err(Failure::conflict(format!(
                    "Several devices are called `{}`; say which by its id: {}.",
                    for_screen(text, 60),
                    ids.join(", ")
                )))
            }
        }
    }

    pub async fn add_device(&self, address: &str) -> Answer<api::Device> {
        let address = socket_address(address)?;
        let mut events = self.registry.events();
        let id = self.link.add_address(address).await?;
        // The link tells the registry by a message that may still be on its way.
        let told = async {
            while self.registry.device(&id).is_none() && !matches!(events.recv().await, Err(RecvError::Closed)) {}
        };
        let _ = tokio::time::timeout(TOLD_WITHIN, told).await;
        self.device(&id)
    }

    pub fn change_device(&self, id: &DeviceId, change: api::DeviceChange) -> Answer<api::Device> {
        if id.as_str() == house::OWN {
            return Err(Failure::bad_request("This machine is named in the settings."));
        }
        let faces: Vec<DeviceId> = self
            .registry
            .thing(id)
            .into_iter()
            .flat_map(|thing| thing.faces)
            .map(|face| face.known.device.id.clone())
            .collect();
        if let (Some(_), true) = (change.blocked, faces.len() > 1) {
            // Nothing to do with a thing is nothing to do with any face of it.
            for face in faces.iter().filter(|face| *face != id) {
                self.change_face(face, api::DeviceChange { blocked: change.blocked, ..Default::default() })?;
            }
        }
        if let Some(trusted) = change.trusted_effects.filter(|_| faces.first() == Some(id)) {
            for face in faces.iter().skip(1).filter(|face| !trusted || self.secures(face)) {
                let trust = api::DeviceChange { trusted_effects: Some(trusted), ..Default::default() };
                self.change_face(face, trust)?;
            }
        }
        let allowed = [
            (self.face_for(id, "files"), api::DeviceChange { auto_accept: change.auto_accept, ..Default::default() }),
            (
                self.asking(id, Remote::Media.service()),
                api::DeviceChange { remote_media: change.remote_media, ..Default::default() },
            ),
            (
                self.asking(id, Remote::Ring.service()),
                api::DeviceChange { remote_ring: change.remote_ring, ..Default::default() },
            ),
            (
                self.asking(id, Remote::Commands.service()),
                api::DeviceChange { remote_commands: change.remote_commands, ..Default::default() },
            ),
            (
                self.asking(id, Remote::Input.service()),
                api::DeviceChange { remote_input: change.remote_input, ..Default::default() },
            ),
        ];
        let mut own = change.clone();
        for (face, allowed) in allowed.into_iter().filter(|(face, _)| face != id) {
            self.change_face(&face, allowed.clone())?;
            own = own.without(&allowed);
        }
        self.change_face(id, own)?;
        let mut told = Err(no_device(id.as_str()));
        self.events.tell_as_it_is(|| {
            told = self.device(id);
            Some(api::Event::Device(Box::new(told.as_ref().ok()?.clone())))
        });
        told
    }

    /// The same name, room or preference for several devices, kept at once; then they are told of.
    pub(super) fn change_devices(&self, ids: &[DeviceId], change: &api::DeviceChange) -> Answer<()> {
        let (paired, others): (Vec<&DeviceId>, Vec<&DeviceId>) =
            ids.iter().partition(|id| self.peers.get(id).is_some());
        self.notes.change_all(&others, change)?;
        self.shown.look_again();
        // Hubs and the like, of which there are few, are kept with their keys.
        for id in paired {
            self.change_face(id, change.clone())?;
        }
        // Who cannot hold so many events reads everything anew.
        for id in ids {
            self.events.tell_as_it_is(|| Some(api::Event::Device(Box::new(self.device(id).ok()?))));
        }
        Ok(())
    }

    /// Changes what is noted of one face.
    fn change_face(&self, id: &DeviceId, change: api::DeviceChange) -> Answer<()> {
        if change.is_empty() {
            return Ok(());
        }
        self.can_ask(id, &change)?;
        let is_paired = || self.registry.device(id).is_some_and(|known| self.trust_of(&known) == api::Trust::Paired);
        if change.trusted_effects == Some(true) && !is_paired() {
            return Err(Failure::conflict(
                "Pair with this device first; then what it opens can be done without asking.",
            ));
        }
        let blocked = change.blocked == Some(true);
        if self.peers.get(id).is_none() {
            self.notes.change(id, &change)?;
        } else {
            // Checked by the same rules as other notes.
            let checked = super::notes::checked(&change)?;
            let update = self.peers.update(id, |peer| {
                if change.name.is_some() {
                    peer.alias = checked.name;
                }
                if change.room.is_some() {
                    peer.room = checked.room;
                }
                peer.favourite = change.favourite.unwrap_or(peer.favourite);
                peer.blocked = change.blocked.unwrap_or(peer.blocked);
                if let Some(always) = change.auto_accept {
                    peer.auto_accept = if always { AutoAccept::Always } else { AutoAccept::Ask };
                }
            });
            update.map_err(|error| Failure::internal("The change was not kept", error))?;
            self.notes.change(id, &change.beside_pairing())?;
            self.link.peers_changed();
        }
        if blocked {
            self.leave(id);
        }
        self.shown.look_again();
        Ok(())
    }

    /// Nothing that runs towards a device goes on.
    fn leave(&self, id: &DeviceId) {
        self.casting.leave(id, "you blocked the device");
        for share in self.screens.list().into_iter().filter(|share| share.device == *id) {
            let screens = self.screens.clone();
            tokio::spawn(async move { drop(screens.stop(&share.id).await) });
        }
    }

    /// What a device's protocol cannot ask for is not allowed to it: the switch would do nothing.
    fn can_ask(&self, id: &DeviceId, change: &api::DeviceChange) -> Answer<()> {
        let Some(known) = self.registry.device(id) else { return Ok(()) };
        let wanted = [
            (change.remote_media, Remote::Media, "control players"),
            (change.remote_ring, Remote::Ring, "let another device ring"),
            (change.remote_commands, Remote::Commands, "have commands run"),
            (change.remote_input, Remote::Input, "move the pointer or type"),
        ];
        let in_vain =
            wanted.into_iter().find(|(on, what, _)| *on == Some(true) && !known.device.can_ask(what.service()));
        match in_vain {
            Some((.., words)) => Err(Failure::bad_request(format!(
                "{} cannot ask for this: what it speaks ({}) has no way to {words}.",
                self.device_name(id.as_str()).unwrap_or_else(|| id.to_string()),
                known.bridge
            ))),
            None => Ok(()),
        }
    }

    pub fn pairings(&self) -> Answer<api::Pairings> {
        let witnesses = self.gate.ledger().witnesses()?;
        let witness = |id: &DeviceId, ours: bool| {
            witnesses.iter().find(|witness: &&Witness| witness.peer == *id && witness.ours == ours).map(view::witness)
        };
        let paired = self.peers.list().into_iter().map(|peer| api::PairedDevice {
            device: peer.device_id.to_string(),
            name: for_screen(peer.shown_name(), 64),
            kind: peer.kind,
            since: peer.paired_at,
            until: peer.until,
            fingerprint: peer.statement_key.fingerprint(),
            witness_of: witness(&peer.device_id, false),
            witnessed_by: witness(&peer.device_id, true),
        });
        let paired = paired.chain(self.foreign_paired_devices()).collect();
        let running = self.running_pairings().iter().map(|pairing| self.pairing_view(pairing)).collect();
        Ok(api::Pairings { paired, running })
    }

    pub fn pairing(&self, id: &str) -> Answer<api::Pairing> {
        self.pairing_now(&PairingId(id.to_owned()))
    }

    fn running_pairings(&self) -> Vec<PairingInfo> {
        let mut running = self.link.pairings();
        running.extend(self.foreign.pairings());
        running
    }

    fn pairing_now(&self, id: &PairingId) -> Answer<api::Pairing> {
        let pairings = self.running_pairings();
        let info = pairings.iter().find(|pairing| pairing.id == *id).ok_or(LinkError::NoPairing)?;
        Ok(self.pairing_view(info))
    }

    pub fn pairing_view(&self, info: &PairingInfo) -> api::Pairing {
        let (state, code, error, done) = match &info.step {
            PairingStep::Connecting => (api::PairingState::Connecting, None, None, None),
            PairingStep::Compare(code) => (api::PairingState::Compare, code.clone(), None, None),
            PairingStep::Waiting => (api::PairingState::Waiting, None, None, None),
            PairingStep::Done(device) => (api::PairingState::Done, None, None, Some(device)),
            PairingStep::Failed(error) => (api::PairingState::Failed, None, Some(for_screen(error, 500)), None),
        };
        let statement = self.gate.statement();
        let bridge =
            info.device.as_ref().and_then(|device| self.registry.device(device)).map(|known| known.bridge.clone());
        let is_foreign = info.device.as_ref().is_some_and(|device| self.is_foreign(device));
        let offered = bridge.as_deref().filter(|_| is_foreign && matches!(info.step, PairingStep::Compare(_)));
        let offers = offered.and_then(|bridge| self.control_offer(bridge, info.device.as_ref())).into_iter().collect();
        let entry = bridge.and_then(|bridge| self.entry_of(&bridge)).or_else(|| EntryKey::new(CONNECTION).ok());
        let mut shares = entry.and_then(|key| statement.entry(&key).map(view::fields)).unwrap_or_default();
        if is_foreign {
            // The rest is carried for features, which ask for themselves.
            shares.retain(|field| field.required);
        }
        api::Pairing {
            id: info.id.0.clone(),
            direction: match info.direction {
                PairingDirection::In => api::Direction::In,
                PairingDirection::Out => api::Direction::Out,
            },
            method: match info.method {
                PairingMethod::Code => api::PairingMethod::Code,
                PairingMethod::Ticket => api::PairingMethod::Ticket,
            },
            state,
            device: done.or(info.device.as_ref()).map(ToString::to_string),
            name: info.name.as_deref().map(|name| for_screen(name, 64)),
            kind: info.kind,
            code,
            shares,
            offers,
            error,
            deadline: info.deadline,
        }
    }

    pub async fn start_pairing(&self, wanted: api::StartPairing) -> Answer<api::Pairing> {
        let id = match (wanted.device, wanted.ticket, wanted.address) {
            (Some(device), None, None) => {
                let device = self.resolve(&device)?;
                if device.as_str() == house::OWN {
                    return Err(Failure::bad_request("This is the device itself; choose another one."));
                }
                if self.is_foreign(&device) {
                    return self.start_foreign(&device, wanted.inputs).await.map(|info| self.pairing_view(&info));
                }
                let name = self.device_name(device.as_str()).unwrap_or_else(|| device.to_string());
                self.may_pair(format!("Pair with {name}"))?;
                self.link.pair_device(&device).await?
            }
            (None, Some(ticket), None) => {
                self.may_pair("Pair by ticket".to_owned())?;
                self.link.pair_ticket(ticket.trim()).await?
            }
            (None, None, Some(address)) => {
                let address = socket_address(&address)?;
                self.may_pair(format!("Pair with the device at {address}"))?;
                self.link.pair_address(address).await?
            }
            _ => return Err(Failure::bad_request("Give one of `device`, `ticket` and `address`.")),
        };
        self.pairing_now(&id)
    }

    /// Pairing shows this device to one nearby, which the owner agrees to first.
    fn may_pair(&self, because: String) -> Answer<()> {
        let entry = EntryKey::new(PAIRING).map_err(|error| Failure::internal("No such entry", error))?;
        let fields = self.gate.statement().entry(&entry).map(|entry| entry.required()).unwrap_or_default();
        let to = RecipientId::lan();
        self.gate.check(&entry, &to, fields).map_err(|refusal| self.not_let_out(refusal, &to, because))
    }

    /// The owner says that the codes match. Once both said so, that is consent to connect: [`Hub::paired`].
    pub async fn confirm_pairing(
        &self,
        id: &str,
        wanted: api::ConfirmPairing,
        surface: &'static str,
    ) -> Answer<api::Pairing> {
        let id = PairingId(id.to_owned());
        let api::ConfirmPairing { code, agrees } = wanted;
        let control = agrees_to_control(&agrees, None)?;
        if let Some(outcome) = self.confirm_foreign(&id, code.as_deref(), control, surface).await {
            return outcome.map(|info| self.pairing_view(&info));
        }
        {
            let running = self.running_pairings();
            let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
            confirmed.retain(|known, _| running.iter().any(|pairing| pairing.id == *known));
            confirmed.insert(id.clone(), surface);
        }
        self.link.confirm_pairing(&id, code.map(|code| code.trim().to_owned())).await?;
        self.pairing_now(&id)
    }

    pub async fn reject_pairing(&self, id: &str) -> Answer<api::Pairing> {
        let id = PairingId(id.to_owned());
        if let Some(info) = self.reject_foreign(&id).await {
            return Ok(self.pairing_view(&info));
        }
        self.link.reject_pairing(&id).await?;
        self.pairing_now(&id)
    }

    /// The pairing is done. That our owner confirmed it is consent to connect with that device, which the
    /// pairing showed; a pairing that nobody confirmed here is none.
    pub fn paired(&self, pairing: &PairingId, device: &DeviceId) {
        let surface = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).remove(pairing);
        let (Some(surface), Ok(entry)) = (surface, EntryKey::new(CONNECTION)) else { return };
        let to = To::One(RecipientId::device(device));
        if let Err(failure) = self.decide_as(entry, to, Choice::Always, None, surface) {
            tracing::warn!(%device, %failure, "paired, but not connected");
        }
    }

    pub async fn show_ticket(&self) -> Answer<api::Ticket> {
        self.may_pair("Show a ticket to pair with".to_owned())?;
        let shown = self.link.show_ticket().await?;
        Ok(api::Ticket {
            pairing: shown.pairing.0.clone(),
            qr_svg: qr(&shown.ticket)?,
            ticket: shown.ticket,
            expires: shown.expires,
        })
    }

    /// Forgets a device: its keys, the notes, and everything agreed for it.
    pub async fn unpair(self: &Arc<Self>, device: &DeviceId) -> Answer<()> {
        let thing = self.registry.thing(device).filter(|thing| thing.device.id == *device);
        let faces = thing.into_iter().flat_map(|thing| thing.faces);
        let mut paired: Vec<DeviceId> = faces
            .filter(|face| matches!(self.trust_of(&face.known), api::Trust::Paired | api::Trust::Blocked))
            .map(|face| face.known.device.id.clone())
            .filter(|face| face == device || self.peers.get(face).is_some() || self.is_foreign(face))
            .collect();
        if !paired.contains(device) && paired.is_empty() {
            paired.push(device.clone());
        }
        for face in &paired {
            self.unpair_face(face).await?;
        }
        self.forget_joined(device)
    }

    async fn unpair_face(self: &Arc<Self>, device: &DeviceId) -> Answer<()> {
        let foreign = self.is_foreign(device);
        if self.peers.get(device).is_none() && !foreign {
            return Err(Failure::not_found(format!("`{device}` is not paired.")));
        }
        if foreign {
            // Told while the consent to speak with it still holds.
            self.unpair_foreign(device).await?;
        }
        let id = device.clone();
        self.blocking(move |hub| hub.forget_agreed(&id)).await?;
        if !foreign {
            self.link.forget(device).await;
        }
        Ok(())
    }

    /// Withdraws every consent to give something to this device, and forgets what the owner noted about it.
    pub(crate) fn forget_agreed(&self, id: &DeviceId) -> Answer<()> {
        self.forget_given(id)?;
        self.notes.forget(id)?;
        self.notifications.forget_device(id);
        self.clipboard.forget_device(id);
        self.shown
            .forget_device(id)
            .map_err(|error| Failure::internal("What is shown elsewhere was not changed", error))
    }

    /// Withdraws every consent to give something to this device.
    pub(super) fn forget_given(&self, id: &DeviceId) -> Answer<()> {
        let to = To::One(RecipientId::device(id));
        for consent in self.gate.consents().iter().filter(|consent| consent.to == to) {
            if consent.state == ConsentState::Given {
                self.gate.withdraw(consent.id)?;
            }
        }
        Ok(())
    }
}

/// Whether the device does something that is asked about each time.
fn secures(device: &accord_model::Device) -> bool {
    let services = device.services.iter().filter(|service| service.id != "pairing");
    services.flat_map(|service| &service.actions).any(|action| action.effect == Effect::Security)
}

/// What of remote control the device's protocol can ask for.
fn asks(device: &accord_model::Device) -> api::RemoteControl {
    let can = |what: Remote| device.can_ask(what.service());
    api::RemoteControl {
        media: can(Remote::Media),
        ring: can(Remote::Ring),
        commands: can(Remote::Commands),
        input: can(Remote::Input),
    }
}

const PAIRING: &str = "link/pairing";
const CONNECTION: &str = "link/connection";

pub(super) fn no_device(text: &str) -> Failure {
    Failure::not_found(format!("No device is called `{}`; `accord devices` lists them.", for_screen(text, 60)))
}

fn shown_name(name: &str, device: &accord_model::Device) -> String {
    match name.trim() {
        "" => format!("a {} that has not said its name", device.kind),
        name => for_screen(name, 64),
    }
}

fn socket_address(text: &str) -> Answer<SocketAddr> {
    text.trim().parse().map_err(|_| Failure::bad_request("An address looks like 192.168.1.20:4242 or [fd00::1]:4242."))
}

pub(super) fn qr(text: &str) -> Answer<String> {
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M)
        .map_err(|error| Failure::internal("This does not fit a QR code", error))?;
    Ok(code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).build())
}
