//! `accord devices`: who is here, and the owner's own words for them. Other commands find the
//! device that a person means here.

use std::net::SocketAddr;

use accord_model::text::for_screen;
use accord_model::{DeviceKind, Reach};
use anyhow::{Context as _, Result, bail};
use hyper::Method;

use super::hub::escape;
use super::screen::{Cell, Style, ago, name};
use super::{Context, Usage};
use crate::api::faces::{JoinDevices, Learnt, Recognised};
use crate::api::types::{AddDevice, Device, DeviceChange, Devices as List, Trust};

#[derive(clap::Args)]
pub struct Devices {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List them (the default).
    List,
    /// Their names alone, for a shell that completes them.
    #[command(hide = true)]
    Names,
    /// Look for a hub at an address, where the network carries no multicast.
    Add {
        #[arg(value_name = "IP:PORT")]
        address: SocketAddr,
    },
    /// What is known of one device: make and model with where that was said, and the faces under which it is here.
    Show { device: String },
    /// Two devices are one: a television that shows several faces, a phone with two apps. What you agreed to for one of
    /// them is not agreed to for the other.
    Join {
        /// The joined device has its id.
        device: String,
        with: String,
    },
    /// A face of a device is a device of its own; name it by its id. Of the device itself: all its faces.
    Split { device: String },
    /// Change what you call a device and how you treat it, or several at once.
    Set {
        #[arg(required = true, value_name = "DEVICE")]
        devices: Vec<String>,
        /// Your name for it; empty to go back to its own. Of one device.
        #[arg(long)]
        name: Option<String>,
        /// The room that it is in, by its name; empty to go back to what its bridge says.
        #[arg(long)]
        room: Option<String>,
        /// Show it among those that you look at most.
        #[arg(long, value_name = "BOOL")]
        favourite: Option<bool>,
        /// What it is shown as in the web UI, such as `light` or `coffee`; empty to go back to what it is.
        #[arg(long)]
        icon: Option<String>,
        /// Have nothing to do with it.
        #[arg(long, value_name = "BOOL")]
        blocked: Option<bool>,
        /// Accept what it sends without asking.
        #[arg(long, value_name = "BOOL")]
        auto_accept: Option<bool>,
        /// Open, unlock and look there without being asked again. What loses something is asked about all the same.
        #[arg(long, value_name = "BOOL")]
        trusted_effects: Option<bool>,
        /// Let it control this machine's players.
        #[arg(long, value_name = "BOOL")]
        remote_media: Option<bool>,
        /// Let it ring this machine.
        #[arg(long, value_name = "BOOL")]
        remote_ring: Option<bool>,
        /// Let it have commands of your list run.
        #[arg(long, value_name = "BOOL")]
        remote_commands: Option<bool>,
        /// Let it move this machine's pointer and type here: whatever you can do here, it can.
        #[arg(long, value_name = "BOOL")]
        remote_input: Option<bool>,
    },
}

pub async fn run(args: Devices, context: &Context) -> Result<()> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context).await,
        Action::Names => {
            super::completions::names(context).await;
            Ok(())
        }
        Action::Add { address } => {
            let device: Device = context.hub.post("/devices", &AddDevice { address: address.to_string() }).await?;
            answer(context, &device, "Found")
        }
        Action::Show { device } => show(context, &find(context, &device).await?),
        Action::Join { device, with } => {
            // A face that is no device of its own is not listed; the hub knows it by its id.
            let device = find(context, &device).await.map_or(device, |known| known.id);
            let with = find(context, &with).await.map_or(with, |known| known.id);
            let wanted = JoinDevices { device, with };
            let joined: Device = context.hub.post("/devices/join", &wanted).await?;
            answer(context, &joined, "Joined")
        }
        Action::Split { device } => {
            let device = find(context, &device).await?;
            let path = format!("/devices/{}/split", escape(&device.id));
            let split: Device = context.hub.post(&path, &serde_json::json!({})).await?;
            answer(context, &split, "Split off")
        }
        Action::Set {
            devices,
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
        } => {
            let change = DeviceChange {
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
            };
            if serde_json::to_value(&change)? == serde_json::to_value(DeviceChange::default())? {
                return Err(Usage("say what to change, for example --room Kitchen".into()).into());
            }
            if change.name.is_some() && devices.len() > 1 {
                return Err(Usage("--name is for one device".into()).into());
            }
            // All are known before the first is changed.
            let mut found = Vec::new();
            for wanted in &devices {
                found.push(find(context, wanted).await?);
            }
            let mut changed = Vec::new();
            for device in found {
                let path = format!("/devices/{}", escape(&device.id));
                let outcome = context.hub.tell(Method::PATCH, &path, Some(&change)).await;
                outcome.with_context(|| format!("{} was not changed", super::screen::name(&device.name)))?;
                changed.push(find(context, &device.id).await?);
            }
            match changed.as_slice() {
                [device] => answer(context, device, "Changed"),
                several if context.screen.json => context.screen.document(&several),
                several => several.iter().try_for_each(|device| answer(context, device, "Changed")),
            }
        }
    }
}

fn answer(context: &Context, device: &Device, what: &str) -> Result<()> {
    if context.screen.json {
        return context.screen.document(device);
    }
    context.screen.say(format!("{what} {} ({}), {}", name(&device.name), device.kind, device.id));
    Ok(())
}

async fn list(context: &Context) -> Result<()> {
    let list: List = context.hub.get("/devices").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&list);
    }
    let rows = list.devices.iter().map(row).collect();
    screen.table(&["NAME", "KIND", "TRUST", "REACH", "ADDRESS", "SEEN", "ID"], rows);
    if list.devices.iter().all(|device| device.trust == Trust::Own) {
        screen.note("No other device is here. On another computer: `accord up`; then `accord status` says whether this one looks.");
    }
    Ok(())
}

fn show(context: &Context, device: &Device) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(device);
    }
    screen.say(format!("{} ({})", screen.paint(Style::Bold, &name(&device.name)), kind_label(device.kind)));
    let line = |label: &str, text: &str| screen.say(format!("  {label:<8} {}", for_screen(text, 120)));
    line("id", &device.id);
    let learnt = |known: &Recognised| {
        [
            ("maker", known.maker.clone()),
            ("model", known.model.clone()),
            ("is a", known.kind.clone()),
            ("screen", known.screen.clone()),
            ("picture", known.picture.clone()),
        ]
    };
    match &device.recognised {
        Some(known) => {
            for (label, learnt) in learnt(known) {
                if let Some(Learnt { value, source }) = learnt {
                    line(label, &format!("{value} ({source})"));
                }
            }
        }
        None => {
            [("maker", &device.maker), ("model", &device.model)]
                .into_iter()
                .for_each(|(label, text)| text.iter().for_each(|text| line(label, text)));
        }
    }
    for face in &device.faces {
        let trust = match face.trust {
            Trust::Own => "this one",
            Trust::Paired => "added",
            Trust::Seen => "not added",
            Trust::Blocked => "blocked",
        };
        let reach = if face.reach == Reach::Offline { "away" } else { "here" };
        let at = face.addresses.first().map(|at| format!(" at {at}")).unwrap_or_default();
        let heard = face.heard.map(|heard| format!(", heard {}", ago(heard))).unwrap_or_default();
        line("face", &format!("{}{at}, {trust}, {reach}{heard}: {}", face.speaks, face.id));
    }
    for id in &device.maybe {
        let id = name(id);
        screen.note(format!("It may be the same as {id}: `accord devices join {} {id}` joins them.", name(&device.id)));
    }
    Ok(())
}

fn row(device: &Device) -> Vec<Cell> {
    let (trust, style) = match device.trust {
        Trust::Own => ("this one", Style::Bold),
        Trust::Paired => ("paired", Style::Good),
        Trust::Seen => ("not paired", Style::Plain),
        Trust::Blocked => ("blocked", Style::Bad),
    };
    let reach = match device.reach {
        Reach::Local => Cell::styled("here", Style::Good),
        Reach::Relayed => Cell::styled("by relay", Style::Warn),
        Reach::Cloud => Cell::styled("by cloud", Style::Warn),
        Reach::Offline => Cell::styled("away", Style::Dim),
    };
    let address = match &device.path {
        Some(path) => format!("{} ({})", path.address, path.carrier),
        None => device.addresses.first().cloned().unwrap_or_default(),
    };
    let seen = match device.trust {
        Trust::Own => String::new(),
        _ => device.last_seen.map(ago).unwrap_or_default(),
    };
    vec![
        Cell::new(&device.name),
        Cell::new(kind_label(device.kind)),
        Cell::styled(trust, style),
        reach,
        Cell::new(address),
        Cell::new(seen),
        Cell::styled(&device.id, Style::Dim),
    ]
}

pub fn kind_label(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Tv => "TV",
        other => other.as_str(),
    }
}

/// The device a person means: by id, by name, by name and room (`Lamp (Study)`, `Study/Lamp`), or by the beginning of an id.
/// The id of one of its faces means that face: it is the id of what is returned.
pub async fn find(context: &Context, wanted: &str) -> Result<Device> {
    let list: List = context.hub.get("/devices").await?;
    match pick(&list.devices, wanted) {
        Pick::One(device) => Ok(match device.faces.iter().find(|face| face.id == wanted) {
            Some(face) => Device { id: face.id.clone(), ..device.clone() },
            None => device.clone(),
        }),
        Pick::None => {
            bail!("No device is called `{}`; `accord devices` lists those that are known", name(wanted))
        }
        Pick::Many(several) => {
            let each: Vec<String> = several.iter().map(|device| apart(device, &several, &list.devices)).collect();
            bail!("Several devices are called `{}`; say which: {}", name(wanted), each.join(", "))
        }
    }
}

/// How one of several of a name is said so that no other is meant: with its room, else by the beginning of its id.
fn apart(device: &Device, several: &[&Device], all: &[Device]) -> String {
    let room = |device: &Device| device.room.as_deref().map(str::trim).filter(|room| !room.is_empty()).map(name);
    if let Some(own) = room(device)
        && several.iter().filter(|other| room(other).as_ref() == Some(&own)).count() == 1
    {
        return format!("`{} ({own})`", name(&device.name));
    }
    let is_alone = |length: &usize| {
        let start = device.id.get(..*length).unwrap_or(&device.id);
        all.iter().filter(|other| other.id.starts_with(start)).count() == 1
    };
    let length = (SHORTEST_ID..device.id.len()).find(is_alone).unwrap_or(device.id.len());
    format!("`{}`", name(device.id.get(..length).unwrap_or(&device.id)))
}

/// The beginning of an id has at least so many letters.
const SHORTEST_ID: usize = 4;

enum Pick<'a> {
    One(&'a Device),
    None,
    Many(Vec<&'a Device>),
}

fn pick<'a>(devices: &'a [Device], wanted: &str) -> Pick<'a> {
    let has_id = |device: &&Device| device.id == wanted || device.faces.iter().any(|face| face.id == wanted);
    if let Some(device) = devices.iter().find(has_id) {
        return Pick::One(device);
    }
    let lower = wanted.to_lowercase();
    let with_room = |device: &Device| {
        let room = device.room.as_deref().unwrap_or_default().trim().to_lowercase();
        let called = device.name.trim().to_lowercase();
        !room.is_empty() && (lower == format!("{called} ({room})") || lower == format!("{room}/{called}"))
    };
    let ways: [&dyn Fn(&Device) -> bool; 4] =
        [&|device| device.name == wanted, &|device| device.name.to_lowercase() == lower, &with_room, &|device| {
            wanted.len() >= SHORTEST_ID && device.id.starts_with(wanted)
        }];
    for fits in ways {
        let found: Vec<&Device> = devices.iter().filter(|device| device.trust != Trust::Own && fits(device)).collect();
        let paired: Vec<&Device> = found.iter().copied().filter(|device| device.trust == Trust::Paired).collect();
        match (found.as_slice(), paired.as_slice()) {
            ([], _) => {}
            ([one], _) | (_, [one]) => return Pick::One(one),
            (_, []) => return Pick::Many(found),
            _ => return Pick::Many(paired),
        }
    }
    Pick::None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, name: &str, trust: &str) -> Device {
        serde_json::from_value(serde_json::json!({
            "id": id, "name": name, "kind": "phone", "favourite": false, "trust": trust, "reach": "local",
            "addresses": [], "bridge": "link", "auto_accept": false, "services": [], "writes": [],
            "remote": { "media": false, "ring": false, "commands": false, "input": false }, "input_now": false
        }))
        .unwrap()
    }

    #[test]
    fn a_name_means_the_paired_device_when_a_stranger_took_the_same() {
        let devices =
            [device("aaaa1", "Phone", "seen"), device("bbbb1", "Phone", "paired"), device("cccc1", "Own", "own")];
        assert!(matches!(pick(&devices, "phone"), Pick::One(device) if device.id == "bbbb1"));
        assert!(matches!(pick(&devices, "aaaa1"), Pick::One(device) if device.id == "aaaa1"));
        assert!(matches!(pick(&devices, "bbbb"), Pick::One(device) if device.id == "bbbb1"));
        assert!(matches!(pick(&devices, "Own"), Pick::None), "a device is not sent to itself by name");
        let twins = [device("aaaa1", "TV", "seen"), device("bbbb1", "TV", "seen")];
        assert!(matches!(pick(&twins, "TV"), Pick::Many(several) if several.len() == 2));
    }

    #[test]
    fn two_of_a_name_are_told_apart_by_their_room_or_a_short_id() {
        let in_room = |id: &str, room: Option<&str>| Device {
            room: room.map(str::to_owned),
            ..device(id, "Front Door", "paired")
        };
        let locks = [in_room("aaaa1111", Some("Hall")), in_room("aaaab222", Some("Shed")), in_room("aaaab333", None)];
        for (wanted, id) in [
            ("Front Door (Hall)", "aaaa1111"),
            ("front door (shed)", "aaaab222"),
            ("Shed/Front Door", "aaaab222"),
            ("aaaab3", "aaaab333"),
        ] {
            assert!(matches!(pick(&locks, wanted), Pick::One(device) if device.id == id), "{wanted}");
        }
        let Pick::Many(several) = pick(&locks, "Front Door") else { panic!("three have this name") };
        let said: Vec<String> = several.iter().map(|device| apart(device, &several, &locks)).collect();
        assert_eq!(said, ["`Front Door (Hall)`", "`Front Door (Shed)`", "`aaaab3`"]);
        let stranger =
            [device("cccc1111", "TV", "seen"), device("dddd1111", "TV", "paired"), device("eeee1111", "TV", "paired")];
        assert!(matches!(pick(&stranger, "TV"), Pick::Many(several) if several.len() == 2), "added ones are meant");
    }
}
