//! The standard services. A bridge describes its devices with these where they fit, so that one card
//! per service is enough for every UI, scene and assistant.

use crate::{Action, Effect, Event, FieldCode, Format, Property, Role, Service, Unit};

mod home;
mod ways_in;

pub use home::*;
pub use ways_in::is_way_in;

fn service(id: &str, properties: Vec<Property>, actions: Vec<Action>, events: Vec<Event>) -> Service {
    Service { id: id.to_owned(), instance: 0, label: None, properties, actions, events, values: Default::default() }
}

fn action(id: &str, effect: Effect, inputs: Vec<Property>) -> Action {
    Action { id: id.to_owned(), inputs, outputs: Vec::new(), effect }
}

fn event(id: &str, arguments: Vec<Property>, sensitive: Option<FieldCode>) -> Event {
    Event { id: id.to_owned(), arguments, sensitive }
}

fn text(id: &str) -> Property {
    Property::state(id, Format::Text)
}

/// Takes files, folders, text and links: action `send`, whose bytes travel on a stream.
pub fn files() -> Service {
    service(
        "files",
        vec![],
        vec![action("send", Effect::Safe, vec![text("name").sensitive(FieldCode::FileName)])],
        vec![],
    )
}

/// What lies on the device: `list` tells what is in the folder `path`, and without it the places to begin; a page of it,
/// beginning at `from`. `fetch` has one file come here, on a stream of the service `files` as the transfer named.
pub fn storage() -> Service {
    let path = || text("path").sensitive(FieldCode::FileName);
    let list = action("list", Effect::Safe, vec![path(), Property::state("from", Format::Int)]);
    service("storage", vec![], vec![list, action("fetch", Effect::Safe, vec![path(), text("transfer")])], vec![])
}

/// What a device has beside [`storage`] when players can fetch its files themselves: `address` answers with the address of the
/// file `path` on that device, and what is known of it, in the words of [`open_media`].
pub fn storage_address() -> Action {
    let said = ["address", "title"].map(|id| text(id).sensitive(FieldCode::MediaNowPlaying));
    let known = ["format", "seek"].map(text);
    let length = Property::state("length", Format::Float).unit(Unit::Second);
    let outputs = said.into_iter().chain(known).chain([length]).collect();
    Action { outputs, ..action("address", Effect::Safe, vec![text("path").sensitive(FieldCode::FileName)]) }
}

/// What was copied: shown to the device with `set`, told by it with `changed`. `content` is text, `image` a PNG.
pub fn clipboard() -> Service {
    let content = || {
        vec![
            text("content").sensitive(FieldCode::ClipboardContent),
            Property::state("image", Format::Bytes).sensitive(FieldCode::ClipboardContent),
            Property::state("copied", Format::Int).unit(Unit::Second),
        ]
    };
    service(
        "clipboard",
        vec![],
        vec![action("set", Effect::Safe, content())],
        vec![event("changed", content(), Some(FieldCode::ClipboardContent))],
    )
}

/// Shows notifications (`show`, the same `id` again changes one), and tells of its own (`posted`, `removed`), which can be
/// dismissed, answered and acted on. `icon` is a PNG, `actions` are labels, `reply` says whether text can be answered.
pub fn notifications() -> Service {
    let notification = || {
        let content = |property: Property| property.sensitive(FieldCode::NotificationContent);
        vec![
            text("id"),
            text("app").sensitive(FieldCode::NotificationApp),
            content(text("title")),
            content(text("body")),
            content(Property::state("icon", Format::Bytes)),
            content(Property::state("actions", Format::Texts)),
            Property::state("reply", Format::Bool),
            Property::state("silent", Format::Bool),
        ]
    };
    let of = |more: &[&str]| [&["id"], more].concat().into_iter().map(text).collect();
    service(
        "notifications",
        vec![],
        vec![
            action("show", Effect::Safe, notification()),
            action("dismiss", Effect::Safe, of(&[])),
            action("reply", Effect::Physical, of(&["text"])),
            action("act", Effect::Physical, of(&["action"])),
        ],
        vec![
            event("posted", notification(), Some(FieldCode::NotificationContent)),
            event("removed", of(&[]), None),
            event("replied", of(&["text"]), Some(FieldCode::NotificationContent)),
            event("acted", of(&["action"]), None),
        ],
    )
}

/// One player of media, named by its label. Matter's MediaPlayback and AudioOutput clusters.
pub fn media() -> Service {
    let playing = |property: Property| property.sensitive(FieldCode::MediaNowPlaying);
    service(
        "media",
        vec![
            Property::state("playing", Format::Bool),
            playing(text("title")),
            playing(text("artist")),
            playing(text("album")),
            playing(Property::state("artwork", Format::Bytes)),
            Property::state("length", Format::Float).unit(Unit::Second),
            Property::state("position", Format::Float).unit(Unit::Second).writable(),
            Property::state("volume", Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0).writable(),
            Property::state("shuffle", Format::Bool).writable(),
            text("loop").writable(),
        ],
        ["play", "pause", "play-pause", "next", "previous", "stop"]
            .map(|id| action(id, Effect::Physical, vec![]))
            .to_vec(),
        vec![],
    )
}

/// What a player has beside [`media`] when it can be told what to play: it fetches what is at the address itself. Only the
/// address has to be given. `format` is its MIME type; `seek` is `bytes` when the address answers ranges, `time` when it
/// is converted and answers seconds (DLNA's `TimeSeekRange.dlna.org`), and `none` when it can be fetched from its beginning only; `length` and `start` are in seconds; `captions` is the address of captions (WebVTT, or SRT when it
/// ends with `.srt`).
pub fn open_media() -> Action {
    let said = ["address", "title", "captions"].map(|id| text(id).sensitive(FieldCode::MediaNowPlaying));
    let known = ["format", "seek"].map(|id| text(id).sensitive(FieldCode::FileMeta));
    let times = ["length", "start"];
    let times = times.map(|id| Property::state(id, Format::Float).unit(Unit::Second).sensitive(FieldCode::FileMeta));
    action("open", Effect::Physical, said.into_iter().chain(known).chain(times).collect())
}

/// What such a player says that it plays, as MIME types; `*/*` is said by those that do not know.
pub fn media_formats() -> Property {
    Property { role: Role::Diagnostic, ..Property::state("formats", Format::Texts) }
}

/// What a loudspeaker has beside [`media`] when it takes raw sound as a byte stream of that service, opened with nothing: what
/// kind of sound, as `s16le 44100 2` (sample, rate in hertz, channels).
pub fn media_sound() -> Property {
    Property { role: Role::Diagnostic, ..text("sound") }
}

/// Whether what such a player plays is what it was last told to open from here.
pub fn media_ours() -> Property {
    Property { role: Role::Diagnostic, ..Property::state("ours", Format::Bool) }
}

/// How what such a player was last told to open ended: `finished`, `stopped`, `taken` (another sender plays something else),
/// `failed`; empty while it has not.
pub fn media_ended() -> Property {
    Property { role: Role::Diagnostic, ..text("ended") }
}

/// From which address such a player fetches.
pub fn media_address() -> Property {
    Property { role: Role::Diagnostic, ..text("address").sensitive(FieldCode::NetIp) }
}

/// A display that shows a moving picture of another screen, sent to it over WebRTC: `show` takes an SDP offer (RFC 8866) to
/// send it, and gives the answer as `answer`; the way is made between its candidates then. `hide` ends it.
pub fn screen() -> Service {
    let offer = vec![text("offer").sensitive(FieldCode::NetIp)];
    let mut show = action("show", Effect::Physical, offer);
    show.outputs.push(text("answer"));
    let showing = Property::state("showing", Format::Bool);
    service("screen", vec![showing], vec![show, action("hide", Effect::Safe, vec![])], vec![])
}

/// One loudspeaker or other output of sound, named by its label.
pub fn volume() -> Service {
    service(
        "volume",
        vec![
            Property::state("level", Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0).writable(),
            Property::state("muted", Format::Bool).writable(),
            Property::state("default", Format::Bool).writable(),
        ],
        vec![],
        vec![],
    )
}

/// One command that the device's owner allows to be run from afar, named by its label.
pub fn command() -> Service {
    service("command", vec![], vec![action("run", Effect::Security, vec![])], vec![])
}

/// Telephone calls of the device: `ringing`, `talking`, `missed`; a ringing phone can be muted.
pub fn calls() -> Service {
    let who = || ["number", "name"].map(|id| text(id).sensitive(FieldCode::NotificationContent)).to_vec();
    service(
        "calls",
        vec![],
        vec![action("mute", Effect::Physical, vec![])],
        ["ringing", "talking", "missed", "ended"]
            .map(|id| event(id, who(), Some(FieldCode::NotificationContent)))
            .to_vec(),
    )
}

/// Short messages of a phone, as JSON texts: `conversations` (the newest message of each), the messages of one
/// `conversation` (the newest, or those from `before`, in milliseconds since 1970), `send`.
pub fn messages() -> Service {
    let content = |id: &str| text(id).sensitive(FieldCode::TextContent);
    service(
        "messages",
        vec![],
        vec![
            action("conversations", Effect::Safe, vec![]),
            action(
                "conversation",
                Effect::Safe,
                vec![Property::state("thread", Format::Int), Property::state("before", Format::Int)],
            ),
            action("send", Effect::Physical, vec![Property::state("to", Format::Texts), content("text")]),
        ],
        vec![],
    )
}

/// The address book of a phone: `list` answers vCards without their pictures, a page at a time in the order of their uids,
/// the next one with the last uid as `after`.
pub fn contacts() -> Service {
    service("contacts", vec![], vec![action("list", Effect::Safe, vec![text("after")])], vec![])
}

/// Pointer and keyboard of the device, moved from afar. `move` is in pixels; `scroll` is one step of the wheel, up when
/// `dy` is positive, to the right when `dx` is; buttons are `left`, `middle`, `right`, and for `click` also `double`;
/// `hold` and `release` drag; a `key` is a character or a name (`enter`, `page-up`, `f5`), pressed with the modifiers
/// `shift`, `ctrl`, `alt`, `super`; `point` moves a spot over slides, in fractions of the screen's width both ways.
/// `keyboard` says whether keys are taken now.
pub fn input() -> Service {
    let number = |id: &str| Property::state(id, Format::Float);
    let button = || vec![text("button")];
    let key = text("key").sensitive(FieldCode::TextContent);
    service(
        "input",
        vec![Property::state("keyboard", Format::Bool)],
        vec![
            action("move", Effect::Physical, vec![number("dx"), number("dy")]),
            action("scroll", Effect::Physical, vec![number("dx"), number("dy")]),
            action("click", Effect::Physical, button()),
            action("hold", Effect::Physical, button()),
            action("release", Effect::Physical, button()),
            action("key", Effect::Physical, vec![key, Property::state("modifiers", Format::Texts)]),
            action("type", Effect::Physical, vec![text("text").sensitive(FieldCode::TextContent)]),
            action("point", Effect::Safe, vec![number("dx"), number("dy")]),
        ],
        vec![],
    )
}

/// The mobile network of a phone: its kind and 0 to 4 bars.
pub fn signal() -> Service {
    service("signal", vec![text("network"), Property::state("bars", Format::Int).range(0.0, 4.0, 1.0)], vec![], vec![])
}

/// Pairing in the way of a foreign protocol, for devices that are not hubs. `verification` is to be compared on both
/// screens; `asked` says that the other device wants to pair.
pub fn pairing() -> Service {
    let verification = || vec![text("verification"), Property::state("seconds", Format::Int).unit(Unit::Second)];
    service(
        "pairing",
        vec![Property::state("paired", Format::Bool), text("verification")],
        ["request", "accept", "reject", "unpair"].map(|id| action(id, Effect::Security, vec![])).to_vec(),
        vec![
            event("asked", verification(), None),
            event("requested", verification(), None),
            event("paired", vec![], None),
            event("failed", vec![text("message")], None),
            event("unpaired", vec![], None),
        ],
    )
}

/// Shows what services of this machine say (its battery, players, volumes, commands): `show` with `service`, `instance`,
/// `label`, and the values by property id; `gone` when the instance is no more.
pub fn mirror() -> Service {
    let which = || vec![text("service"), Property::state("instance", Format::Int)];
    let show = [which(), vec![text("label")]].concat();
    service("mirror", vec![], vec![action("show", Effect::Safe, show), action("gone", Effect::Safe, which())], vec![])
}

/// Shows devices of this house to others, such as a broker to whoever reads there: told by a stream of the service, in the
/// format of `core/ports` (`showcase`). `shown` is how many are shown there now, `refused` how many wishes from there were not
/// fulfilled since the bridge began, `left-out` for how many more there is no room there.
pub fn showcase() -> Service {
    let count = |id: &str| Property { role: Role::Diagnostic, ..Property::state(id, Format::Int) };
    service("showcase", vec![count("shown"), count("refused"), count("left-out")], vec![], vec![])
}

/// Says a short text to whoever is in front of the device, to try the way.
pub fn ping() -> Service {
    let said = || vec![text("text").sensitive(FieldCode::TextContent)];
    service("ping", vec![], vec![action("ping", Effect::Safe, said())], vec![event("pinged", said(), None)])
}

/// How full the battery is. Matter's PowerSource cluster.
pub fn battery() -> Service {
    service(
        "battery",
        vec![
            Property::state("percent", Format::Int)
                .unit(Unit::Percent)
                .range(0.0, 100.0, 1.0)
                .sensitive(FieldCode::BatteryLevel),
            Property::state("charging", Format::Bool),
            Property::state("low", Format::Bool),
        ],
        vec![],
        vec![],
    )
}

/// Rings so that it can be found.
pub fn ringer() -> Service {
    service("ringer", vec![], vec![action("ring", Effect::Physical, vec![])], vec![])
}

/// Can be locked from afar. Unlocking is not here on purpose: it needs its own proof.
pub fn screen_lock() -> Service {
    service(
        "screen-lock",
        vec![Property::state("locked", Format::Bool)],
        vec![action("lock", Effect::Safe, vec![])],
        vec![],
    )
}

/// What the device says of itself; on every device that says anything.
pub fn information() -> Service {
    let detail = |id: &str| Property { role: Role::Diagnostic, ..text(id) };
    service("information", vec![detail("software"), detail("os")], vec![], vec![])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, DeviceId, DeviceKind};

    #[test]
    fn a_device_survives_json() {
        let device = [
            files(),
            storage(),
            clipboard(),
            notifications(),
            media(),
            battery(),
            ringer(),
            screen_lock(),
            on_off(),
            light(),
            door_lock(),
            information(),
        ]
        .into_iter()
        .fold(Device::new(DeviceId::new("d-1").unwrap(), DeviceKind::Phone, "x"), Device::with);
        let json = serde_json::to_string(&device).unwrap();
        assert_eq!(serde_json::from_str::<Device>(&json).unwrap(), device);
    }
}
