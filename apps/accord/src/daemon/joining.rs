//! How devices of each protocol come to this house: what is to be done at them, and the forms of those that need an address
//! or a secret. A bridge adds its own here.

use accord_model::{DeviceKind, EntryKey};

use super::forms::{Field, Form, Needs};
use crate::api::types::{Join, JoinSystem};

/// By the name of a system, what is to be done.
type Systems = &'static [(&'static str, &'static [&'static str])];

/// How devices are added once this entry is agreed to.
pub fn join(entry: &EntryKey) -> Option<Join> {
    let (_, what, kind, systems) = JOINS.iter().find(|(key, ..)| *key == entry.as_str())?;
    let owned = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect();
    let systems = systems.iter().map(|(name, steps)| JoinSystem { name: (*name).to_owned(), steps: owned(steps) });
    let page = entry.as_str() == "browser/receiver";
    Some(Join { what: (*what).to_owned(), kind: *kind, systems: systems.collect(), page })
}

/// Devices that are added by letting them find this one: the entry for it, what they are, what most of them are, and what is to
/// be done there.
const JOINS: &[(&str, &str, DeviceKind, Systems)] = &[
    (
        "kdeconnect/presence",
        "Phone with KDE Connect",
        DeviceKind::Phone,
        &[
            (
                "Android",
                &[
                    "Install KDE Connect from the Play Store or F-Droid, and open it.",
                    "Join the same Wi-Fi as this computer. Guest networks often keep devices apart.",
                    "Pair here or there. Both screens show the same characters: compare, then accept on both.",
                    "In the app, allow what you want to use: notifications, clipboard, files.",
                ],
            ),
            (
                "iPhone, iPad",
                &[
                    "Install KDE Connect from the App Store, and open it.",
                    "Allow it to use the local network when it asks, and join the same Wi-Fi as this computer.",
                    "Pair here or there. Both screens show the same characters: compare, then accept on both.",
                    "Keep the app open: iOS lets it be reached only while it is on the screen.",
                ],
            ),
        ],
    ),
    (
        "upnp/search",
        "Television, loudspeaker or media server (DLNA)",
        DeviceKind::Tv,
        &[
            (
                "Television",
                &[
                    "Switch it on, and join the same network as this computer. Guest networks often keep devices apart.",
                    "In its settings, allow others to play on it; makers call it DLNA, media renderer, or sharing of contents.",
                    "Add it here. It asks nothing, and cannot prove who it is: be sure that it is yours.",
                ],
            ),
            (
                "Loudspeaker, amplifier, player",
                &[
                    "Switch it on, and join the same network as this computer.",
                    "Add it here. It asks nothing, and cannot prove who it is: be sure that it is yours.",
                ],
            ),
            (
                "Media server: NAS, router, computer",
                &[
                    "In its settings, switch on its media server; makers call it DLNA or UPnP.",
                    "Join the same network as this computer.",
                    "Add it here. It asks nothing, and cannot prove who it is: be sure that it is yours.",
                ],
            ),
        ],
    ),
    (
        "googlecast/search",
        "Television, stick or loudspeaker (Google Cast)",
        DeviceKind::Tv,
        &[
            (
                "Television, stick",
                &[
                    "Switch it on, and join the same network as this computer. Guest networks often keep devices apart.",
                    "It must have been set up once, as its maker says: a device that is new shows itself to nobody.",
                    "Add it here. It asks nothing, and cannot prove who it is: be sure that it is yours.",
                    "What plays on it is a page of Google: Accord asks you about that when you first cast to it.",
                ],
            ),
            (
                "Loudspeaker, group",
                &[
                    "Switch it on, and join the same network as this computer.",
                    "Add it here, or a group that was made of several: a group is a device of its own.",
                ],
            ),
        ],
    ),
    (
        "airplay/search",
        "Loudspeaker (AirPlay)",
        DeviceKind::Speaker,
        &[(
            "Loudspeaker, amplifier, player",
            &[
                "Switch it on, and join the same network as this computer. Guest networks often keep devices apart.",
                "In its settings, let everybody in the network play on it, without a password.",
                "Add it here. It asks nothing, and cannot prove who it is: be sure that it is yours.",
                "HomePods, Apple TVs and most new televisions take sound only encrypted; Accord shows them and cannot play on them by AirPlay.",
            ],
        )],
    ),
    (
        "yeelight/search",
        "Lamp (Yeelight)",
        DeviceKind::Light,
        &[(
            "Lamp",
            &[
                "Set it up once with the Yeelight app, in the same network as this computer. Guest networks often keep devices apart.",
                "In the Yeelight app, open the lamp, then its settings, and switch on “LAN control”.",
                "Add it here. It asks nothing, and cannot prove who it is: be sure that it is yours.",
                "No such switch there? Newer firmware and lamps of Mi's own name do without it; they are controlled with their token.",
            ],
        )],
    ),
    (
        "browser/receiver",
        "Screen with a browser",
        DeviceKind::Tv,
        &[
            (
                "Television",
                &[
                    "Open its browser. Makers call it Internet, Web Browser or just a globe.",
                    "Type the address that is shown here, with http:// and the number at its end.",
                    "Add it here, and compare the code: both screens show the same.",
                    "Press OK on its remote control once, so that sound may play.",
                ],
            ),
            (
                "Tablet, phone, other computer",
                &[
                    "Join the same Wi-Fi as this computer. Guest networks often keep devices apart.",
                    "Scan the code that is shown here with its camera, or type the address into its browser.",
                    "Add it here, and compare the code: both screens show the same.",
                ],
            ),
        ],
    ),
    (
        "miio/search",
        "Wi-Fi device of the Xiaomi ecosystem (miIO)",
        DeviceKind::Vacuum,
        &[(
            "Lamp, plug, vacuum, air purifier, fan, …",
            &[
                "Set it up once in its maker's app, in the same network as this computer. Most take no words from another network, and guest networks keep devices apart.",
                "Get its token: 32 hexadecimal digits, from a token extractor's list, from a Home Assistant that has it, or from an app's backup. The guide says how.",
                "Add it here with its token, or all at once with the file that has them.",
                "A device that is reset or set up anew has another token.",
            ],
        )],
    ),
    (
        "homeassistant/search",
        "Home Assistant",
        DeviceKind::Hub,
        &[(
            "Home Assistant",
            &[
                "In Home Assistant, make a user for Accord who is no administrator: Settings, People, Users. Its name is yours to choose.",
                "Sign in there as that user, open its profile, Security, and create a long-lived access token. Copy it: it is shown once.",
                "Add it here with that token. Home Assistant 2022.4 or newer is needed.",
            ],
        )],
    ),
    (
        "matter/search",
        "Matter device",
        DeviceKind::Other,
        &[
            (
                "New, or set back to how it came",
                &[
                    "Give it power. Bring it into Wi-Fi or Thread first, with its maker's app or your phone: Accord adds what is in the network already.",
                    "Find its code: on it, in its papers or in its maker's app. It has 11 or 21 digits, or is a QR code that begins with MT:.",
                    "It waits for about 15 minutes after it got power. Add it here with its code.",
                ],
            ),
            (
                "In another app already",
                &[
                    "In that app (Apple Home, Google Home, Alexa, SmartThings, Home Assistant, …) open the device, and choose to share it or to link it with another app.",
                    "It shows a code that holds for some minutes. Add it here with that one, not with the one that is printed on the device.",
                    "The device stays in the other app, too.",
                ],
            ),
        ],
    ),
    (
        "localsend/presence",
        "Phone with LocalSend",
        DeviceKind::Phone,
        &[
            (
                "Android",
                &[
                    "Install LocalSend from the Play Store or F-Droid, and open it.",
                    "Join the same Wi-Fi as this computer. Guest networks often keep devices apart.",
                    "Pair here. LocalSend has no pairing, so the phone asks nothing.",
                ],
            ),
            (
                "iPhone, iPad",
                &[
                    "Install LocalSend from the App Store, and open it.",
                    "Allow it to use the local network when it asks, and join the same Wi-Fi as this computer.",
                    "Pair here, while LocalSend is open there. It has no pairing, so the phone asks nothing.",
                ],
            ),
        ],
    ),
];

/// Forms that can be filled in without their secrets: the owner signs in with the device's own web page instead. By bridge
/// and way, and what the button says.
pub const SIGN_INS: &[(&str, &str, &str)] = &[("homeassistant", "token", "Sign in with Home Assistant")];

/// What is added by a form has to be looked for, which is an entry of its own: by bridge and way.
pub const NEEDS: &[(&str, &str, &str)] = &[("matter", "code", "matter/search")];

/// The bridges' forms for what is not found by itself, or needs a secret. Each is consent to the bridge's entry whose
/// recipient is `paired-device`.
pub const FORMS: &[Form] = &[
    Form {
        bridge: "miio",
        way: "token",
        what: "Wi-Fi device (miIO), by address and token",
        how: "By address and token",
        kind: DeviceKind::Vacuum,
        steps: &[
            "Look up its address in your router, or in its maker's app.",
            "Its token is 32 hexadecimal digits: from a token extractor's list, from Home Assistant, or from an app's backup.",
        ],
        fields: &[
            Field { id: "address", label: "Address", hint: "192.168.1.20", needs: Needs::Text, secret: false },
            Field { id: "token", label: "Token", hint: "32 hexadecimal digits", needs: Needs::Text, secret: true },
            Field { id: "name", label: "Name", hint: "What you call it", needs: Needs::Optional, secret: false },
        ],
    },
    Form {
        bridge: "miio",
        way: "import",
        what: "Wi-Fi devices (miIO), from a file with tokens",
        how: "From a file with tokens",
        kind: DeviceKind::Vacuum,
        steps: &[
            "JSON of a token extractor, of an app's backup, or Home Assistant's `.storage/core.config_entries`.",
            "Kept are number, token, name, model, hardware and network address of each device; the rest of the file is dropped.",
        ],
        fields: &[Field { id: "file", label: "File", hint: "JSON, at most 192 KiB", needs: Needs::File, secret: true }],
    },
    Form {
        bridge: "homeassistant",
        way: "token",
        what: "Home Assistant",
        how: "By address",
        kind: DeviceKind::Hub,
        steps: &[
            "In Home Assistant, make a user for Accord who is no administrator: Settings, People, Users.",
            "Sign in there as that user, open its profile, Security, and create a long-lived access token. Copy it: it is shown once.",
        ],
        fields: &[
            Field {
                id: "address",
                label: "Address",
                hint: "http://192.168.1.5:8123, with the number that its machine has in your network",
                needs: Needs::Text,
                secret: false,
            },
            Field {
                id: "token",
                label: "Access token",
                hint: "The long-lived access token, about 180 letters",
                needs: Needs::Text,
                secret: true,
            },
            Field {
                id: "certificate",
                label: "Key",
                hint: "Only for https, and only if you want to compare it before anything is said: the SHA-256 hash of its public key",
                needs: Needs::Optional,
                secret: false,
            },
        ],
    },
    Form {
        bridge: "matter",
        way: "code",
        what: "Matter device",
        how: "By its code",
        kind: DeviceKind::Other,
        steps: &[
            "It must be in your network already: by cable, or brought into Wi-Fi or Thread by its maker's app or another controller.",
            "Find its code: on it, in its papers, or made by the app that has it, to share it.",
            "It waits for some minutes only. It may be added before it waits: Accord adds it as soon as it does.",
        ],
        fields: &[
            Field {
                id: "code",
                label: "Code",
                hint: "11 or 21 digits, or the text of the QR code: MT:…",
                needs: Needs::Text,
                secret: true,
            },
            Field { id: "name", label: "Name", hint: "Until it says its own", needs: Needs::Optional, secret: false },
            Field {
                id: "tests",
                label: "Test device",
                hint: "Also take it if nobody real vouches for its maker: for devices that you built or test. Its keys are public then, so that it may be anybody's.",
                needs: Needs::Switch,
                secret: false,
            },
        ],
    },
    Form {
        bridge: "mqtt",
        way: "broker",
        what: "MQTT broker (zigbee2mqtt, Tasmota, ESPHome, …)",
        how: "By address",
        kind: DeviceKind::Hub,
        steps: &[
            "On the broker, make a user of its own for this computer, who may read the topics of your devices and write their commands.",
            "Have your devices describe themselves: zigbee2mqtt does; Tasmota, ESPHome and others do once Home Assistant discovery is on.",
            "The address is the broker's number in your network, such as 192.168.1.10.",
        ],
        fields: &[
            Field {
                id: "address",
                label: "Address",
                hint: "192.168.1.10 or 192.168.1.10:1883",
                needs: Needs::Text,
                secret: false,
            },
            Field { id: "user", label: "User", hint: "", needs: Needs::Optional, secret: false },
            Field { id: "password", label: "Password", hint: "", needs: Needs::Optional, secret: true },
            Field {
                id: "tls",
                label: "Encrypted (TLS)",
                hint: "Without a certificate below, the key that the broker shows first is the one that it has to show from then on.",
                needs: Needs::Switch,
                secret: false,
            },
            Field {
                id: "certificate",
                label: "Certificate of who signed the broker's, as PEM",
                hint: "Only if you have one; the broker's own must be for its address.",
                needs: Needs::Optional,
                secret: false,
            },
            Field {
                id: "discovery",
                label: "Topics of Home Assistant discovery",
                hint: "homeassistant",
                needs: Needs::Optional,
                secret: false,
            },
            Field {
                id: "zigbee2mqtt",
                label: "Topics of zigbee2mqtt",
                hint: "zigbee2mqtt",
                needs: Needs::Optional,
                secret: false,
            },
        ],
    },
];
