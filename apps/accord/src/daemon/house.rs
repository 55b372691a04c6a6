//! The house's lists: what bridges and features share, and what does not work without it. Adding one is adding a line here
//! and a folder there.

use accord_model::{Device, DeviceId, DeviceKind, EntryKey, Reach, catalogue};
use accord_registry::Job;
use accord_statement::{Document, OwnError, Publisher, Statement, render};

/// What each feature and each bridge beside the link shares.
const PARTS: &[&str] = &[
    accord_files::STATEMENT,
    accord_control::STATEMENT,
    accord_browse::STATEMENT,
    accord_media::STATEMENT,
    accord_battery::STATEMENT,
    accord_commands::STATEMENT,
    accord_notifications::STATEMENT,
    accord_clipboard::STATEMENT,
    accord_input::STATEMENT,
    accord_people::STATEMENT,
    accord_kdeconnect::STATEMENT,
    accord_localsend::STATEMENT,
    accord_share::STATEMENT,
    accord_upnp::STATEMENT,
    accord_miio::STATEMENT,
    accord_lebo::STATEMENT,
    accord_browser::STATEMENT,
    accord_googlecast::STATEMENT,
    accord_homeassistant::STATEMENT,
    accord_mqtt::STATEMENT,
    accord_home::STATEMENT,
    accord_matter::STATEMENT,
    accord_airplay::STATEMENT,
    accord_yeelight::STATEMENT,
    accord_casting::STATEMENT,
    accord_screen::STATEMENT,
    accord_recognition::STATEMENT,
    accord_names::STATEMENT,
];

/// The bridges, and what the owner knows their protocols as.
pub const BRIDGES: &[(&str, &str)] = &[
    ("link", "Accord"),
    ("kdeconnect", "KDE Connect"),
    ("localsend", "LocalSend"),
    ("upnp", "UPnP"),
    ("browser", "Screen with a browser"),
    ("googlecast", "Google Cast"),
    ("homeassistant", "Home Assistant"),
    ("airplay", "AirPlay"),
    ("yeelight", "Yeelight"),
    ("lebo", "Lebo"),
    ("miio", "miIO"),
    ("mqtt", "MQTT"),
    ("matter", "Matter"),
];

/// Bridges whose devices Home Assistant has by itself: they are not shown to it by a broker.
pub const OF_HOME_ASSISTANT: &[&str] = &["homeassistant"];

/// Which bridges are best for what, best first; the others come after them.
pub const BEST: &[(Job<'static>, &[&str])] = &[
    (Job::Show, &["googlecast", "upnp", "airplay", "browser"]),
    (Job::Sound, &["airplay", "googlecast", "upnp", "browser"]),
];

/// What does not work without an entry.
const EFFECTS: &[(&str, &str)] = &[
    (
        "link/discovery",
        "This device neither finds others on the network nor is found; pair by ticket or address instead.",
    ),
    ("link/pairing", "No device can be paired with this one."),
    ("link/connection", "Paired devices cannot reach this one, nor this one them."),
    ("link/relay", "Paired devices reach each other only on the same network."),
    ("files/send", "Nothing can be sent to other devices."),
    ("control/command", "Other devices cannot be controlled from here."),
    ("browse/look", "The files on your other devices cannot be looked at or fetched from here."),
    ("media/share", "Other devices do not show what this computer plays."),
    ("battery/share", "Other devices do not show this computer's battery."),
    ("commands/share", "Other devices do not show your commands."),
    ("notifications/mirror", "This computer's notifications are not shown on other devices."),
    (
        "notifications/answer",
        "Notifications of other devices can be read here, but neither answered nor dismissed there.",
    ),
    ("clipboard/share", "What you copy here cannot be pasted on other devices."),
    ("input/send", "Nothing can be typed or pointed at on other devices from here."),
    ("people/messages", "Messages of phones cannot be read here."),
    ("people/reply", "Phones cannot be told to send messages from here."),
    ("people/contacts", "Contacts of phones cannot be looked at here."),
    ("files/receive", "What others send cannot be received: the answer to them is not sent."),
    ("names/lookup", "Nothing can be added by a name that ends in .local; it is added by its number."),
    ("share/link", "Nothing can be shared by link: no page is opened for browsers."),
    ("share/visitor", "Nobody who opens the page of a share by link gets anything."),
    (
        "localsend/presence",
        "Phones and computers with LocalSend neither find this device nor are they found; nothing is received from them.",
    ),
    ("localsend/transfer", "Nothing can be sent to that LocalSend device, and what it offers is declined."),
    ("kdeconnect/presence", "Phones and computers with KDE Connect neither find this device nor are found."),
    (
        "airplay/search",
        "Loudspeakers and televisions that take AirPlay are not found, and so nothing is played on them by it.",
    ),
    ("airplay/control", "That loudspeaker is shown; nothing can be played on it by AirPlay."),
    ("airplay/sound", "No sound of this machine can be played on that loudspeaker by AirPlay."),
    (
        "upnp/search",
        "Televisions, loudspeakers and media servers that speak UPnP (DLNA) are not found, and so neither controlled nor looked into.",
    ),
    ("casting/serve", "No file of this machine can be played on that television or loudspeaker."),
    ("casting/command", "No file of this machine can be played on that television or loudspeaker."),
    ("casting/title", "That television or loudspeaker shows “Accord” instead of what a file is called."),
    ("casting/address", "That television or loudspeaker cannot be told to play what is at an address."),
    ("lebo/search", "The make and the screen of some televisions are not learnt from their Lebo or MiLink receivers."),
    (
        "recognition/tv",
        "Televisions and loudspeakers are not recognised: what they call themselves is shown, and what their make needs is not done.",
    ),
    ("homeassistant/search", "Your Home Assistant is not found by itself; add it by its address instead."),
    ("homeassistant/connection", "What that Home Assistant knows is neither shown nor controlled here."),
    (
        "googlecast/search",
        "Televisions, sticks and loudspeakers with Google Cast are not found, and so not controlled.",
    ),
    ("googlecast/control", "That television, stick or loudspeaker is shown and cannot be controlled."),
    (
        "googlecast/receiver",
        "Nothing of yours can be played on that Cast device; what others play there can be controlled.",
    ),
    ("yeelight/search", "Yeelight lamps are not found, and so not controlled."),
    ("yeelight/control", "That Yeelight lamp is shown as it announces itself, and cannot be controlled."),
    (
        "browser/receiver",
        "No television or tablet can become a screen by opening a page in its browser, and those that did are not reached.",
    ),
    ("screen/show", "Your screen cannot be shown on that device."),
    ("browser/control", "That screen with a browser is known and cannot be used."),
    (
        "upnp/control",
        "That television, loudspeaker or media server is shown, and can be neither controlled nor looked into.",
    ),
    (
        "miio/search",
        "Wi-Fi devices of the house that speak miIO are not found, and one whose address changes is lost; add it by address instead.",
    ),
    ("miio/control", "That Wi-Fi device is known, and can be neither seen into nor controlled."),
    (
        "miio/spec",
        "Wi-Fi devices of models that Accord does not know can be added, and show nothing until you put a file for their model into the folder.",
    ),
    (
        "miio/push",
        "That Wi-Fi device is asked every ten seconds how it is, and a change of its own is shown that late.",
    ),
    ("mqtt/connection", "The devices of that MQTT broker are neither shown nor controlled."),
    ("home/share", "No device of yours is shown to Home Assistant by an MQTT broker."),
    (
        "matter/search",
        "No Matter device can be added, and one whose address changes is lost; those that stay where they are work on.",
    ),
    ("matter/control", "That Matter device is known, and can be neither added nor seen into nor controlled."),
    ("kdeconnect/connection", "Devices paired by KDE Connect cannot reach this one, nor this one them."),
];

/// Accord's own statement, of all parts.
pub fn statement(relay: Option<&str>) -> Result<Statement, OwnError> {
    let link = accord_link::statement_for(relay);
    let parts: Vec<&str> = std::iter::once(link.as_str()).chain(PARTS.iter().copied()).collect();
    Statement::join("accord", "What Accord shares", Publisher::named("Accord"), env!("CARGO_PKG_VERSION"), &parts)
}

pub fn effect(entry: &EntryKey) -> &'static str {
    let known = EFFECTS.iter().find(|(key, _)| *key == entry.as_str());
    known.map_or("What this entry is for does not work.", |(_, effect)| effect)
}

/// This machine as a device: what it offers to paired ones.
pub fn own_device(name: &str, kind: DeviceKind) -> Device {
    let id = DeviceId::new(OWN).expect("a plain word is an id");
    let mut device = Device::new(id, kind, name)
        .with(catalogue::files())
        .with(catalogue::information())
        .with(catalogue::ringer())
        .with(catalogue::ping())
        .with(catalogue::mirror())
        .with(catalogue::notifications())
        .with(catalogue::clipboard());
    if accord_input::desk::is_there() {
        device = device.with(catalogue::input());
    }
    device.reach = Reach::Local;
    device
}

/// This machine's id in the list of devices.
pub const OWN: &str = "this";

/// The statement in a format, with its media type; `None` for a format that is not there.
pub fn render(statement: &Statement, format: &str, language: &str) -> Option<(&'static str, String)> {
    let document = Document::Own(statement.clone());
    let pretty = |value: serde_json::Value| serde_json::to_string_pretty(&value).ok();
    Some(match format {
        "json" => ("application/json", pretty(render::json(&document))?),
        "md" => ("text/markdown; charset=utf-8", render::markdown(&document, language)),
        "html" => ("text/html; charset=utf-8", render::html(&document, language)),
        "jsonld" => ("application/ld+json", pretty(render::json_ld(&document))?),
        _ => return None,
    })
}
