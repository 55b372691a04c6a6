//! From the house to a device: calls become packets.

use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs, Target, Verb};

use super::peer::Peer;
use super::{Running, mirror, not_connected};
use crate::core::Private;
use crate::core::identity::DeviceType;
use crate::core::packet::{
    Address, BatteryRequest, Clipboard, FindMyPhone, LockRequest, Mousepad, MprisRequest, Notification,
    NotificationAction, NotificationReply, NotificationRequest, Packet, Ping, Presenter, RunCommandRequest, SmsSend,
    SystemVolumeRequest, TelephonyMute, special_key,
};

/// What we may send, by type.
pub(super) const SENT: &[&str] = &[
    "ping",
    "share.request",
    "share.request.update",
    "clipboard",
    "notification",
    "notification.request",
    "notification.reply",
    "notification.action",
    "battery",
    "battery.request",
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
    "telephony.request_mute",
    "sms.request",
    "sms.request_conversations",
    "sms.request_conversation",
    "contacts.request_all_uids_timestamps",
    "contacts.request_vcards_by_uid",
    "mousepad.request",
    "mousepad.echo",
    "mousepad.keyboardstate",
    "presenter",
    "sftp.request",
];

/// What becomes of a picture that was copied.
pub(super) const TEXTS_ONLY: &str = "KDE Connect takes copied texts of up to 256 KiB, and no pictures";
/// The longest text in one packet.
const MAX_TEXT: usize = 256 * 1024;
/// Lines that are typed at once: all of them wait together.
const MAX_LINES: usize = 40;
impl Running {
    pub(super) async fn call(&mut self, call: CallId, device: &DeviceId, target: &Target, verb: Verb) {
        let outcome = match (target.service.as_str(), verb) {
            ("pairing", Verb::Act { action, .. }) => self.pair(device, &action).await.map(|()| Outputs::new()),
            ("messages" | "contacts", Verb::Act { action, inputs }) if action != "send" => {
                match self.read(call, device, &action, &inputs) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            ("storage", Verb::Act { action, inputs }) => match self.browse(call, device, &action, &inputs) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            ("command", Verb::Act { action, .. }) if action == "run" && self.tells_output(device) => {
                match self.run(call, device, target) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            (_, verb) => match self.packets(device, target, verb) {
                Ok((packets, outputs)) => return self.say_all(call, device, packets, outputs),
                Err(error) => Err(error),
            },
        };
        self.tell(FromBridge::Reply { call, outcome }).await;
    }

    fn packets(&mut self, device: &DeviceId, target: &Target, verb: Verb) -> Result<(Vec<Packet>, Outputs), CallError> {
        let id = self.ids.get(device).ok_or_else(not_connected)?;
        let peer = self.peers.get_mut(id).ok_or_else(not_connected)?;
        if peer.paired.is_none() {
            return Err(CallError::Refused("it is not paired".into()));
        }
        if target.service == "mirror" {
            let Verb::Act { action, inputs } = verb else { return Err(unsupported(target)) };
            let (next, packets) = mirror::show(&peer.shown, &action, &inputs)?;
            for packet in &packets {
                self.law.may_carry(device, packet.body.fields())?;
            }
            peer.shown = next;
            let takes = |packet: &Packet| peer.incoming.contains(packet.body.kind());
            return Ok((packets.into_iter().filter(takes).collect(), Outputs::new()));
        }
        if let Verb::Read { .. } = verb {
            let known = peer.values.get(&(target.service.clone(), target.instance));
            let known = known.into_iter().flatten().map(|(id, value)| (id.clone(), value.data.clone())).collect();
            return Ok((question(peer, target)?, known));
        }
        Ok((packets(peer, target, verb)?, Outputs::new()))
    }

    /// Says the packets in order, and replies when all are written.
    fn say_all(&mut self, call: CallId, device: &DeviceId, packets: Vec<Packet>, outputs: Outputs) {
        let Some(id) = self.ids.get(device) else { return };
        let said: Vec<_> = packets.into_iter().map(|packet| self.say(id, packet)).collect();
        let outbox = self.outbox.clone();
        self.tasks.spawn(async move {
            let mut outcome = Ok(outputs);
            for said in said {
                let said = match said {
                    Ok((_, answer)) => answer.await.unwrap_or_else(|_| Err(not_connected())),
                    Err(error) => Err(error),
                };
                if let Err(error) = said {
                    outcome = Err(error);
                    break;
                }
            }
            let _ = outbox.send((FromBridge::Reply { call, outcome }, None)).await;
        });
    }
}

/// What a device that has just come is asked, so that it is seen as it is: nothing of ours is in it.
pub(super) fn first_questions(peer: &Peer) -> Vec<Packet> {
    let all: [Packet; 6] = [
        BatteryRequest { request: true }.into(),
        MprisRequest { request_player_list: Some(true), ..Default::default() }.into(),
        SystemVolumeRequest { request_sinks: Some(true), ..Default::default() }.into(),
        RunCommandRequest { request_command_list: Some(true), ..Default::default() }.into(),
        NotificationRequest { request: Some(true), ..Default::default() }.into(),
        LockRequest { request_locked: Some(true), ..Default::default() }.into(),
    ];
    all.into_iter().filter(|packet| peer.incoming.contains(packet.body.kind())).collect()
}

/// Asks what a player plays, and how loud.
pub(super) fn what_plays(player: String) -> Packet {
    let yes = Some(true);
    MprisRequest { player: Some(player), request_now_playing: yes, request_volume: yes, ..Default::default() }.into()
}

/// Asks the device for what a service says; nothing of ours is in it.
fn question(peer: &Peer, target: &Target) -> Result<Vec<Packet>, CallError> {
    let name = peer.wire_name(&target.service, target.instance).map(str::to_owned);
    let packet = match target.service.as_str() {
        "battery" if peer.takes("battery.request") => BatteryRequest { request: true }.into(),
        "media" => match name {
            Some(player) => what_plays(player),
            None => MprisRequest { request_player_list: Some(true), ..Default::default() }.into(),
        },
        "volume" => SystemVolumeRequest { request_sinks: Some(true), ..Default::default() }.into(),
        "command" => RunCommandRequest { request_command_list: Some(true), ..Default::default() }.into(),
        "notifications" => NotificationRequest { request: Some(true), ..Default::default() }.into(),
        "screen-lock" => LockRequest { request_locked: Some(true), ..Default::default() }.into(),
        "battery" | "signal" => return Ok(Vec::new()),
        _ => return Err(unsupported(target)),
    };
    Ok(vec![packet])
}

/// What a call says to the device.
pub(super) fn packets(peer: &Peer, target: &Target, verb: Verb) -> Result<Vec<Packet>, CallError> {
    let name = || {
        let name = peer.wire_name(&target.service, target.instance).map(str::to_owned);
        name.ok_or_else(|| CallError::Unsupported(format!("no such {}", target.service)))
    };
    let packet: Packet = match (target.service.as_str(), verb) {
        ("ping", Verb::Act { action, inputs }) if action == "ping" => {
            let message = optional(&inputs, "text")?.filter(|text| !text.is_empty());
            Ping { message: message.map(Private::from) }.into()
        }
        ("clipboard", Verb::Act { action, inputs }) if action == "set" => {
            if inputs.contains_key("image") {
                return Err(CallError::Unsupported(TEXTS_ONLY.into()));
            }
            Clipboard { content: text(&inputs, "content")?.into() }.into()
        }
        ("notifications", Verb::Act { action, inputs }) => notification(peer, &action, &inputs)?,
        ("ringer", Verb::Act { action, .. }) if action == "ring" => FindMyPhone {}.into(),
        ("screen-lock", Verb::Act { action, .. }) if action == "lock" => {
            LockRequest { set_locked: Some(true), ..Default::default() }.into()
        }
        ("command", Verb::Act { action, .. }) if action == "run" => {
            RunCommandRequest { key: Some(name()?), ..Default::default() }.into()
        }
        ("calls", Verb::Act { action, .. }) if action == "mute" => TelephonyMute { action: Some("mute".into()) }.into(),
        ("messages", Verb::Act { action, inputs }) if action == "send" => {
            let to = inputs.get("to").and_then(Data::as_texts).ok_or_else(|| missing("to"))?;
            let addresses = to.iter().map(|number| Address { address: number.as_str().into() }).collect();
            SmsSend { version: 2, addresses, message_body: text(&inputs, "text")?.into(), sub_id: None }.into()
        }
        ("media", Verb::Act { action, .. }) => {
            let action = match action.as_str() {
                "play" => "Play",
                "pause" => "Pause",
                "play-pause" => "PlayPause",
                "next" => "Next",
                "previous" => "Previous",
                "stop" => "Stop",
                _ => return Err(unsupported(target)),
            };
            MprisRequest { player: Some(name()?), action: Some(action.into()), ..Default::default() }.into()
        }
        ("media", Verb::Write { property, data }) => {
            let mut request = MprisRequest { player: Some(name()?), ..Default::default() };
            match (property.as_str(), &data) {
                ("position", data) => request.set_position = Some((number(data)? * 1000.0) as i64),
                ("volume", data) => request.set_volume = Some(number(data)?.clamp(0.0, 100.0) as i64),
                ("shuffle", Data::Bool(on)) => request.set_shuffle = Some(*on),
                ("loop", Data::Text(how)) => request.set_loop_status = Some(how.clone()),
                _ => return Err(CallError::BadInput(property)),
            }
            request.into()
        }
        ("volume", Verb::Write { property, data }) => {
            let name = name()?;
            let loudest = peer.loudest.get(&name).copied().unwrap_or(100).max(1);
            let mut request = SystemVolumeRequest { name: Some(name), ..Default::default() };
            match (property.as_str(), &data) {
                ("level", data) => {
                    request.volume = Some((number(data)?.clamp(0.0, 100.0) / 100.0 * loudest as f64).round() as i64);
                }
                ("muted", Data::Bool(muted)) => request.muted = Some(*muted),
                ("default", Data::Bool(true)) => request.enabled = Some(true),
                _ => return Err(CallError::BadInput(property)),
            }
            request.into()
        }
        ("input", Verb::Act { action, inputs }) if action == "type" => return typed(peer, &text(&inputs, "text")?),
        ("input", Verb::Act { action, inputs }) => input(&action, &inputs)?,
        _ => return Err(unsupported(target)),
    };
    taken(peer, vec![packet])
}

/// What its app takes.
fn taken(peer: &Peer, packets: Vec<Packet>) -> Result<Vec<Packet>, CallError> {
    match packets.iter().find(|packet| !peer.incoming.contains(packet.body.kind())) {
        Some(packet) => Err(CallError::Unsupported(format!("its KDE Connect does not take `{}`", packet.body.kind()))),
        None => Ok(packets),
    }
}

fn notification(peer: &Peer, action: &str, inputs: &Inputs) -> Result<Packet, CallError> {
    let id = text(inputs, "id")?;
    Ok(match action {
        "show" => {
            let (title, body) = (optional(inputs, "title")?, optional(inputs, "body")?);
            let ticker = [title.as_deref(), body.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            let flag = |id: &str| inputs.get(id).and_then(Data::as_bool);
            Notification {
                app_name: Some(optional(inputs, "app")?.unwrap_or_else(|| "Accord".into())),
                title: title.map(Private::from),
                text: body.map(Private::from),
                ticker: Some(ticker.into()),
                is_clearable: Some(true),
                silent: Some(flag("silent").unwrap_or(false)),
                request_reply_id: flag("reply").unwrap_or(false).then(|| id.clone()),
                actions: inputs.get("actions").and_then(Data::as_texts).map(<[String]>::to_vec),
                id,
                ..Default::default()
            }
            .into()
        }
        // The same word dismisses what it posted and takes back what we showed there.
        "dismiss" if peer.posted.knows(&id) => NotificationRequest { cancel: Some(id), ..Default::default() }.into(),
        "dismiss" => Notification { id, is_cancel: Some(true), ..Default::default() }.into(),
        "reply" => {
            let reply = peer.posted.reply(&id).map(str::to_owned);
            let request_reply_id =
                reply.ok_or_else(|| CallError::BadInput("this notification cannot be answered".into()))?;
            NotificationReply { request_reply_id, message: text(inputs, "text")?.into() }.into()
        }
        "act" => NotificationAction { key: id, action: text(inputs, "action")? }.into(),
        other => return Err(CallError::Unsupported(other.to_owned())),
    })
}

/// A text to be typed. Desktops type a new line as a key of its own; phones take it in the text, where the key may send
/// what is written.
fn typed(peer: &Peer, text: &str) -> Result<Vec<Packet>, CallError> {
    let piece = |text: &str| Packet::from(Mousepad { key: Some(text.into()), ..Default::default() });
    let enter = || Packet::from(Mousepad { special_key: Some(special_key::RETURN), ..Default::default() });
    if matches!(peer.kind, DeviceType::Phone | DeviceType::Tablet) {
        return taken(peer, vec![piece(text)]);
    }
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    if lines.len() > MAX_LINES {
        return Err(CallError::BadInput(format!("KDE Connect is told at most {MAX_LINES} lines at once")));
    }
    let mut packets = Vec::new();
    for (at, line) in lines.into_iter().enumerate() {
        packets.extend((at > 0).then(enter));
        packets.extend((!line.is_empty()).then(|| piece(line)));
    }
    taken(peer, packets)
}

fn input(action: &str, inputs: &Inputs) -> Result<Packet, CallError> {
    let amount = |id: &str| inputs.get(id).map(number).transpose().map(|amount| amount.or(Some(0.0)));
    let mut packet = Mousepad::default();
    match action {
        "move" | "scroll" => {
            (packet.dx, packet.dy) = (amount("dx")?, amount("dy")?);
            packet.scroll = (action == "scroll").then_some(true);
        }
        "point" => return Ok(Presenter { dx: amount("dx")?, dy: amount("dy")?, stop: None }.into()),
        "click" => match text(inputs, "button")?.as_str() {
            "left" => packet.singleclick = Some(true),
            "middle" => packet.middleclick = Some(true),
            "right" => packet.rightclick = Some(true),
            "double" => packet.doubleclick = Some(true),
            other => {
                return Err(CallError::BadInput(format!("no button `{}`", accord_model::text::for_screen(other, 20))));
            }
        },
        // KDE Connect drags with the left button alone.
        "hold" | "release" if text(inputs, "button")? != "left" => {
            return Err(CallError::Unsupported("KDE Connect holds the left button alone".into()));
        }
        "hold" => packet.singlehold = Some(true),
        "release" => packet.singlerelease = Some(true),
        "key" => {
            let key = text(inputs, "key")?;
            match special_of(&key) {
                Some(special) => packet.special_key = Some(special),
                None if key.chars().count() == 1 => packet.key = Some(key.into()),
                None => return Err(CallError::BadInput("no such key".into())),
            }
            let held = inputs.get("modifiers").and_then(Data::as_texts).unwrap_or_default();
            let holds = |name: &str| held.iter().any(|held| held == name).then_some(true);
            (packet.shift, packet.ctrl) = (holds("shift"), holds("ctrl"));
            (packet.alt, packet.super_key) = (holds("alt"), holds("super"));
        }
        other => return Err(CallError::Unsupported(other.to_owned())),
    }
    Ok(packet.into())
}

/// Keys by name, as the service `input` has them.
const KEYS: &[(&str, i64)] = &[
    ("backspace", special_key::BACKSPACE),
    ("tab", special_key::TAB),
    ("left", special_key::LEFT),
    ("up", special_key::UP),
    ("right", special_key::RIGHT),
    ("down", special_key::DOWN),
    ("page-up", special_key::PAGE_UP),
    ("page-down", special_key::PAGE_DOWN),
    ("home", special_key::HOME),
    ("end", special_key::END),
    ("enter", special_key::RETURN),
    ("delete", special_key::DELETE),
    ("escape", special_key::ESCAPE),
    ("sys-rq", special_key::SYS_RQ),
    ("scroll-lock", special_key::SCROLL_LOCK),
    ("ctrl", special_key::CTRL),
    ("alt", special_key::ALT),
    ("shift", special_key::SHIFT),
    ("super", special_key::SUPER),
];

fn special_of(name: &str) -> Option<i64> {
    let function = || {
        let number: i64 = name.strip_prefix('f')?.parse().ok()?;
        (1..=12).contains(&number).then_some(special_key::F1 + number - 1)
    };
    KEYS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).or_else(function)
}

/// The name of a special key.
pub(super) fn name_of_key(number: i64) -> Option<String> {
    if (special_key::F1..=special_key::F12).contains(&number) {
        return Some(format!("f{}", number - special_key::F1 + 1));
    }
    KEYS.iter().find(|(_, known)| *known == number).map(|(name, _)| (*name).to_owned())
}

fn text(inputs: &Inputs, id: &str) -> Result<String, CallError> {
    optional(inputs, id)?.ok_or_else(|| missing(id))
}

fn optional(inputs: &Inputs, id: &str) -> Result<Option<String>, CallError> {
    let text = inputs.get(id).and_then(Data::as_text);
    if text.is_some_and(|text| text.len() > MAX_TEXT) {
        return Err(CallError::BadInput(format!("`{id}` is longer than {} KiB", MAX_TEXT / 1024)));
    }
    Ok(text.map(str::to_owned))
}

fn number(data: &Data) -> Result<f64, CallError> {
    data.as_number().filter(|number| number.is_finite()).ok_or_else(|| CallError::BadInput("not a number".into()))
}

pub(super) fn missing(id: &str) -> CallError {
    CallError::BadInput(format!("`{id}` is missing"))
}

fn unsupported(target: &Target) -> CallError {
    CallError::Unsupported(target.service.clone())
}
