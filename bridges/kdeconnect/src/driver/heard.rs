//! From a device to the house: packets become values, events and questions. What nobody showed is not answered.

use std::collections::BTreeMap;

use accord_model::{Data, FromBridge, Outputs, Target, Value, Verb, text::for_screen};

use super::incoming::{self, Offered};
use super::mirror::Again;
use super::peer::{MAX_INSTANCES, Peer};
use super::picture::Picture;
use super::{Running, art, calls};
use crate::core::packet::{
    Body, ContactsCards, Lock, Mousepad, MousepadEcho, Mpris, MprisRequest, Notification, Packet, PayloadInfo,
    Presenter, RunCommandOutput, Sftp, Sink, Sms, SystemVolume, Telephony,
};
use crate::core::{KdeId, Private};

/// What we take, by type.
pub(super) const TAKEN: &[&str] = &[
    "ping",
    "share.request",
    "share.request.update",
    "clipboard",
    "clipboard.connect",
    "notification",
    "notification.request",
    "notification.reply",
    "notification.action",
    "battery",
    "battery.request",
    "connectivity_report",
    "findmyphone.request",
    "mpris",
    "mpris.request",
    "systemvolume",
    "systemvolume.request",
    "runcommand",
    "runcommand.request",
    "runcommand.output",
    "lock",
    "lock.request",
    "telephony",
    "sms.messages",
    "contacts.response_uids_timestamps",
    "contacts.response_vcards",
    "mousepad.request",
    "mousepad.keyboardstate",
    "presenter",
    "sftp",
];

/// What a packet leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// The device has other services now.
    Described,
    Values(Target, BTreeMap<String, Value>),
    Event(&'static str, &'static str, Outputs),
    /// Asks it; nothing of ours is in that.
    Say(Packet),
    /// It asks for what was shown to it. The feature that showed it is asked whether, and how it is now.
    Again(Again),
    /// It asks for the picture of one of our players, by its address.
    Art(u16, String),
    /// A notification, whose picture it has ready.
    Picture(Picture),
    /// It wants something of one of our services.
    Ask(Target, Verb),
    /// The same, and it wants to hear when that was done.
    Typed(Target, Verb, MousepadEcho),
    Offer(Body, Option<PayloadInfo>),
    Messages(Vec<Sms>),
    Contacts(Vec<String>),
    Cards(ContactsCards),
    Output(RunCommandOutput),
    /// How its files can be had.
    Way(Box<Sftp>),
}

impl Running {
    pub(super) async fn packet(&mut self, id: &KdeId, packet: Packet) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let device = peer.device.clone();
        for effect in effects(peer, packet) {
            match effect {
                Effect::Described => self.see(id).await,
                Effect::Values(target, values) => {
                    self.tell(FromBridge::Values { device: device.clone(), target, values }).await;
                }
                Effect::Event(service, event, arguments) => self.tell_event(&device, service, event, arguments).await,
                Effect::Say(packet) => {
                    if let Err(error) = self.say(id, packet) {
                        tracing::debug!(%device, %error, "not asked");
                    }
                }
                Effect::Again(again) => self.say_again(id, again).await,
                Effect::Art(instance, address) => self.art_wanted(id, instance, address).await,
                Effect::Picture(picture) => self.picture(id, picture).await,
                Effect::Ask(target, verb) => self.asked(id, target, verb, None).await,
                Effect::Typed(target, verb, echo) => self.asked(id, target, verb, Some(echo)).await,
                Effect::Offer(body, payload) => self.offered(id, body, payload),
                Effect::Messages(messages) => self.messages_came(id, messages),
                Effect::Contacts(uids) => self.contacts_there(id, uids),
                Effect::Cards(cards) => self.contacts_came(id, cards),
                Effect::Output(output) => self.output_came(id, output).await,
                Effect::Way(way) => self.way_came(id, *way),
            }
        }
    }

    fn offered(&mut self, id: &KdeId, body: Body, payload: Option<PayloadInfo>) {
        let Some(peer) = self.peers.get(id) else { return };
        let Some(up) = peer.link.as_ref().filter(|up| up.secured) else {
            return tracing::info!(device = %peer.device, "a file is not fetched: you have not agreed to this device yet");
        };
        let context = self.context(peer, up);
        let offered = Offered { body, payload, address: up.address };
        let Some(peer) = self.peers.get_mut(id) else { return };
        let (offers, _) = peer.offers.get_or_insert_with(|| incoming::begin(context));
        if offers.try_send(offered).is_err() {
            tracing::warn!(device = %peer.device, "it offers too much at once; some of it is not taken");
        }
    }
}

impl Peer {
    /// Nothing that it said or was shown is known any more.
    pub fn forget_content(&mut self) {
        self.instances.clear();
        self.values.clear();
        self.loudest.clear();
        self.posted = Default::default();
        self.shown = Default::default();
        self.offers = None;
        self.browser = None;
        self.way = None;
        self.watch = None;
    }
}

/// What a packet of a paired device leads to.
pub(super) fn effects(peer: &mut Peer, packet: Packet) -> Vec<Effect> {
    let Packet { body, payload } = packet;
    match body {
        Body::Ping(ping) => {
            let said = ping.message.map_or_else(String::new, Private::into_string);
            event("ping", "pinged", [("text", Data::from(said))])
        }
        Body::Share(_) | Body::ShareUpdate(_) => vec![Effect::Offer(body, payload)],
        Body::Battery(battery) => {
            let percent =
                (0..=100).contains(&battery.current_charge).then_some(("percent", battery.current_charge.into()));
            let low = ("low", (battery.threshold_event == Some(1)).into());
            values(
                peer,
                Target::new("battery"),
                percent.into_iter().chain([("charging", battery.is_charging.into()), low]),
            )
        }
        Body::Connectivity(report) => {
            let Some(signal) = report.signal_strengths.into_values().next() else { return Vec::new() };
            let bars = (0..=4).contains(&signal.signal_strength).then_some(("bars", signal.signal_strength.into()));
            let network = signal.network_type.map(|network| ("network", for_screen(&network, 40).into()));
            values(peer, Target::new("signal"), network.into_iter().chain(bars))
        }
        Body::Lock(Lock { is_locked, .. }) => values(peer, Target::new("screen-lock"), [("locked", is_locked.into())]),
        Body::Mpris(mpris) => media(peer, mpris),
        Body::SystemVolume(volume) => volumes(peer, volume),
        Body::RunCommand(list) => {
            let named = list.command_list.0.into_iter().map(|(key, command)| (key, for_screen(&command.name, 100)));
            described(peer.set_instances("command", named.collect()))
        }
        Body::Clipboard(clipboard) => {
            event("clipboard", "changed", [("content", Data::from(clipboard.content.into_string()))])
        }
        Body::ClipboardConnect(clipboard) if clipboard.timestamp > 0 => {
            let copied = Data::from(clipboard.timestamp / 1000);
            let content = Data::from(clipboard.content.into_string());
            event("clipboard", "changed", [("content", content), ("copied", copied)])
        }
        Body::Notification(notification) => notified(peer, notification, payload),
        Body::NotificationRequest(request) => match request.cancel {
            Some(id) => event("notifications", "removed", [("id", Data::from(id))]),
            None => Vec::new(),
        },
        Body::NotificationReply(reply) => {
            let text = Data::from(reply.message.into_string());
            event("notifications", "replied", [("id", Data::from(reply.request_reply_id)), ("text", text)])
        }
        Body::NotificationAction(act) => {
            event("notifications", "acted", [("id", Data::from(act.key)), ("action", Data::from(act.action))])
        }
        Body::Telephony(call) => called(call),
        Body::SmsMessages(messages) => vec![Effect::Messages(messages.messages)],
        Body::ContactsUids(uids) => vec![Effect::Contacts(uids.0.into_keys().collect())],
        Body::ContactsCards(cards) => vec![Effect::Cards(cards)],
        Body::RunCommandOutput(output) => vec![Effect::Output(output)],
        Body::Sftp(way) => vec![Effect::Way(Box::new(way))],
        Body::BatteryRequest(_) => again(peer, Again::Battery),
        Body::MprisRequest(request) => media_wanted(peer, request),
        Body::SystemVolumeRequest(request) if request.request_sinks == Some(true) => again(peer, Again::Sinks),
        Body::SystemVolumeRequest(request) => {
            let Some(instance) = request.name.as_ref().and_then(|name| peer.shown.instance("volume", name)) else {
                return Vec::new();
            };
            let wanted = [
                request.volume.map(|volume| ("level", Data::from(volume.clamp(0, 100)))),
                request.muted.map(|muted| ("muted", muted.into())),
                request.enabled.filter(|enabled| *enabled).map(|enabled| ("default", enabled.into())),
            ];
            wanted.into_iter().flatten().map(|(property, data)| write("volume", instance, property, data)).collect()
        }
        Body::RunCommandRequest(request) => match request.key {
            Some(key) if request.stop != Some(true) => {
                let instance = peer.shown.instance("command", &key);
                instance.map(|instance| act("command", instance, "run", Outputs::new())).into_iter().collect()
            }
            Some(_) => Vec::new(),
            None if request.request_command_list == Some(true) => again(peer, Again::Commands),
            None => Vec::new(),
        },
        Body::FindMyPhone(_) => vec![act("ringer", 0, "ring", Outputs::new())],
        Body::LockRequest(request) => match (request.set_locked, request.request_locked) {
            (Some(true), _) => vec![act("screen-lock", 0, "lock", Outputs::new())],
            (Some(false), _) => {
                tracing::warn!(device = %peer.name, "it wants to unlock this screen; that takes more than a pairing");
                Vec::new()
            }
            (None, Some(_)) => again(peer, Again::Lock),
            (None, None) => Vec::new(),
        },
        Body::Mousepad(input) => moved(input),
        Body::KeyboardState(keyboard) => values(peer, Target::new("input"), [("keyboard", keyboard.state.into())]),
        // A spot that is taken away leaves the pointer where it is.
        Body::Presenter(Presenter { dx, dy, .. }) => match (dx, dy) {
            (None, None) => Vec::new(),
            (dx, dy) => vec![act("input", 0, "point", amounts(dx, dy))],
        },
        // Pairing is the link's; the others are only ever sent by us, or wait for a later version.
        _ => Vec::new(),
    }
}

fn media(peer: &mut Peer, mpris: Mpris) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(players) = mpris.player_list {
        let players: Vec<_> = players.into_iter().filter(|name| !name.is_empty()).take(MAX_INSTANCES).collect();
        let new: Vec<_> = players.iter().filter(|name| peer.instance("media", name).is_none()).cloned().collect();
        let named = players.into_iter().map(|name| (name.clone(), for_screen(&name, 100)));
        effects.extend(described(peer.set_instances("media", named.collect())));
        effects.extend(new.into_iter().map(|player| Effect::Say(calls::what_plays(player))));
    }
    let Some(player) = mpris.player.filter(|name| !name.is_empty()) else { return effects };
    let instance = match peer.instance("media", &player) {
        Some(instance) => instance,
        None => {
            // Some tell of a player before they list it.
            let mut all = peer.instances.get("media").cloned().unwrap_or_default();
            all.retain(|(name, _)| !name.is_empty());
            all.push((player.clone(), for_screen(&player, 100)));
            effects.extend(described(peer.set_instances("media", all)));
            let Some(instance) = peer.instance("media", &player) else { return effects };
            instance
        }
    };
    let text = |text: Option<Private>| text.map(|text| Data::from(for_screen(text.as_str(), 500)));
    let seconds = |ms: i64| Data::from(ms as f64 / 1000.0);
    let said = [
        ("playing", mpris.is_playing.map(Data::from)),
        ("title", text(mpris.title)),
        ("artist", text(mpris.artist)),
        ("album", text(mpris.album)),
        ("length", mpris.length.filter(|ms| *ms >= 0).map(seconds)),
        ("position", mpris.pos.filter(|ms| *ms >= 0).map(seconds)),
        ("volume", mpris.volume.filter(|volume| (0..=100).contains(volume)).map(Data::from)),
        ("shuffle", mpris.shuffle.map(Data::from)),
        ("loop", mpris.loop_status.map(|how| Data::from(for_screen(&how, 20)))),
    ];
    let said = said.into_iter().filter_map(|(id, data)| Some((id, data?)));
    effects.extend(values(peer, Target { service: "media".into(), instance }, said));
    effects
}

fn volumes(peer: &mut Peer, volume: SystemVolume) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(mut sinks) = volume.sink_list {
        sinks.truncate(MAX_INSTANCES);
        let named = sinks.iter().map(|sink| (sink.name.clone(), for_screen(&sink.description, 100)));
        effects.extend(described(peer.set_instances("volume", named.collect())));
        peer.loudest = sinks.iter().map(|sink| (sink.name.clone(), sink.max_volume.max(1))).collect();
        for Sink { name, muted, volume, enabled, .. } in sinks {
            effects.extend(sink(peer, &name, Some(volume), Some(muted), enabled));
        }
    }
    if let Some(name) = volume.name {
        effects.extend(sink(peer, &name, volume.volume, volume.muted, volume.enabled));
    }
    effects
}

fn sink(peer: &mut Peer, name: &str, volume: Option<i64>, muted: Option<bool>, default: Option<bool>) -> Vec<Effect> {
    let Some(instance) = peer.instance("volume", name) else { return Vec::new() };
    let loudest = peer.loudest.get(name).copied().unwrap_or(100).max(1);
    let level = volume.map(|volume| (volume as f64 / loudest as f64 * 100.0).round().clamp(0.0, 100.0) as i64);
    let said =
        [("level", level.map(Data::from)), ("muted", muted.map(Data::from)), ("default", default.map(Data::from))];
    let said = said.into_iter().filter_map(|(id, data)| Some((id, data?)));
    values(peer, Target { service: "volume".into(), instance }, said)
}

fn notified(peer: &mut Peer, said: Notification, payload: Option<PayloadInfo>) -> Vec<Effect> {
    let id = ("id", Data::from(said.id.clone()));
    if said.is_cancel == Some(true) {
        peer.posted.forget(&said.id);
        return event("notifications", "removed", [id]);
    }
    let can_reply = said.request_reply_id.is_some();
    let no = peer.posted.note(&said.id, said.request_reply_id);
    let text = |text: Option<Private>| text.map(|text| Data::from(text.into_string()));
    let body = text(said.text).or_else(|| text(said.ticker).filter(|_| said.title.is_none()));
    let arguments = [
        ("app", said.app_name.map(|app| Data::from(for_screen(&app, 100)))),
        ("title", text(said.title)),
        ("body", body),
        ("actions", said.actions.map(Data::from)),
        ("reply", Some(can_reply.into())),
        ("silent", Some(said.silent.unwrap_or(false).into())),
    ];
    let arguments = arguments.into_iter().filter_map(|(id, data)| Some((id, data?))).chain([id]);
    let Some(hash) = said.payload_hash else { return event("notifications", "posted", arguments) };
    let arguments = arguments.map(|(id, data)| (id.to_owned(), data)).collect();
    vec![Effect::Picture(Picture { note: said.id, no, hash, payload, arguments })]
}

fn called(call: Telephony) -> Vec<Effect> {
    let what = match call.event.as_deref() {
        _ if call.is_cancel == Some(true) => "ended",
        Some("ringing") => "ringing",
        Some("talking") => "talking",
        Some("missedCall") => "missed",
        Some("disconnected") => "ended",
        _ => return Vec::new(),
    };
    let who = [("number", call.phone_number), ("name", call.contact_name)];
    let who = who.into_iter().filter_map(|(id, text)| Some((id, Data::from(text?.into_string()))));
    event("calls", what, who)
}

fn media_wanted(peer: &Peer, request: MprisRequest) -> Vec<Effect> {
    let mut effects = Vec::new();
    if request.request_player_list == Some(true) {
        effects.extend(again(peer, Again::Players));
    }
    let Some(instance) = request.player.as_ref().and_then(|player| peer.shown.instance("media", player)) else {
        return effects;
    };
    if let Some(wanted) = request.album_art_url {
        let shown = peer.shown.art(instance).map(art::address);
        effects.extend(shown.filter(|shown| shown == wanted.as_str()).map(|shown| Effect::Art(instance, shown)));
        return effects;
    }
    if request.request_now_playing == Some(true) || request.request_volume == Some(true) {
        effects.extend(again(peer, Again::Player(instance)));
    }
    let action = match request.action.as_deref() {
        Some("Play") => Some("play"),
        Some("Pause") => Some("pause"),
        Some("PlayPause") => Some("play-pause"),
        Some("Next") => Some("next"),
        Some("Previous") => Some("previous"),
        Some("Stop") => Some("stop"),
        _ => None,
    };
    effects.extend(action.map(|action| act("media", instance, action, Outputs::new())));
    let seek = request.seek.map(|by| peer.shown.position(instance) + by as f64 / 1_000_000.0);
    let position = request.set_position.map(|ms| ms as f64 / 1000.0).or(seek);
    let wanted = [
        ("position", position.map(|position| Data::from(position.max(0.0)))),
        ("volume", request.set_volume.map(|volume| Data::from(volume.clamp(0, 100)))),
        ("shuffle", request.set_shuffle.map(Data::from)),
        ("loop", request.set_loop_status.map(|how| Data::from(for_screen(&how, 20)))),
    ];
    let wanted = wanted.into_iter().filter_map(|(property, data)| Some(write("media", instance, property, data?)));
    effects.extend(wanted);
    effects
}

/// One thing at a time, as KDE Connect's desktops read it: buttons before keys, keys before moves.
fn moved(input: Mousepad) -> Vec<Effect> {
    let is = |flag: Option<bool>| flag == Some(true);
    let press = |action: &str, button: &str| vec![act("input", 0, action, one("button", button.into()))];
    let button = [
        (input.singleclick, "left"),
        (input.doubleclick, "double"),
        (input.middleclick, "middle"),
        (input.rightclick, "right"),
    ];
    if let Some((_, button)) = button.into_iter().find(|(flag, _)| is(*flag)) {
        return press("click", button);
    }
    if is(input.singlehold) {
        return press("hold", "left");
    }
    if is(input.singlerelease) {
        return press("release", "left");
    }
    if is(input.scroll) {
        return vec![act("input", 0, "scroll", amounts(input.dx, input.dy))];
    }
    let echo = is(input.send_ack).then(|| MousepadEcho {
        key: Some(input.key.clone().unwrap_or_default()),
        special_key: input.special_key,
        shift: input.shift,
        ctrl: input.ctrl,
        alt: input.alt,
        super_key: input.super_key,
        is_ack: true,
    });
    let named = input.special_key.and_then(calls::name_of_key);
    let held = [(input.shift, "shift"), (input.ctrl, "ctrl"), (input.alt, "alt"), (input.super_key, "super")];
    let held: Vec<String> = held.into_iter().filter(|(flag, _)| is(*flag)).map(|(_, name)| name.to_owned()).collect();
    let typed = input.key.map(Private::into_string).filter(|typed| !typed.is_empty());
    let effect = match (named, typed) {
        // What is typed with shift alone has its capitals already.
        (None, Some(typed)) if held.iter().all(|held| held == "shift") => {
            act("input", 0, "type", one("text", typed.into()))
        }
        (Some(key), _) | (None, Some(key)) => act(
            "input",
            0,
            "key",
            [one("key", key.into()), one("modifiers", held.into())].into_iter().flatten().collect(),
        ),
        (None, None) if input.dx.is_some() || input.dy.is_some() => {
            return vec![act("input", 0, "move", amounts(input.dx, input.dy))];
        }
        (None, None) => return Vec::new(),
    };
    match (effect, echo) {
        (Effect::Ask(target, verb), Some(echo)) => vec![Effect::Typed(target, verb, echo)],
        (effect, _) => vec![effect],
    }
}

fn one(id: &str, data: Data) -> Outputs {
    Outputs::from([(id.to_owned(), data)])
}

fn amounts(dx: Option<f64>, dy: Option<f64>) -> Outputs {
    [("dx", dx), ("dy", dy)].map(|(id, amount)| (id.to_owned(), amount.unwrap_or(0.0).into())).into()
}

fn described(changed: bool) -> Vec<Effect> {
    if changed { vec![Effect::Described] } else { Vec::new() }
}

/// Only what was shown is asked for.
fn again(peer: &Peer, again: Again) -> Vec<Effect> {
    peer.shown.target(again).map(|_| Effect::Again(again)).into_iter().collect()
}

fn values(peer: &mut Peer, target: Target, said: impl IntoIterator<Item = (&'static str, Data)>) -> Vec<Effect> {
    let values = peer.note(&target, said);
    if values.is_empty() { Vec::new() } else { vec![Effect::Values(target, values)] }
}

fn event(
    service: &'static str,
    event: &'static str,
    arguments: impl IntoIterator<Item = (&'static str, Data)>,
) -> Vec<Effect> {
    let arguments = arguments.into_iter().map(|(id, data)| (id.to_owned(), data)).collect();
    vec![Effect::Event(service, event, arguments)]
}

fn act(service: &str, instance: u16, action: &str, inputs: Outputs) -> Effect {
    let target = Target { service: service.to_owned(), instance };
    Effect::Ask(target, Verb::Act { action: action.to_owned(), inputs })
}

fn write(service: &str, instance: u16, property: &str, data: Data) -> Effect {
    let target = Target { service: service.to_owned(), instance };
    Effect::Ask(target, Verb::Write { property: property.to_owned(), data })
}
