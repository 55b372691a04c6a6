//! `accord devices`: who is here, and the owner's own words for them. Other commands find the
//! device that a person means here.

use std::net::SocketAddr;

use accord_model::{DeviceKind, Reach};
use anyhow::{Result, bail};
use hyper::Method;

use super::hub::escape;
use super::screen::{Cell, Style, ago, name};
use super::{Context, Usage};
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
    /// Look for a hub at an address, where the network carries no multicast.
    Add {
        #[arg(value_name = "IP:PORT")]
        address: SocketAddr,
    },
    /// Change what you call a device and how you treat it.
    Set {
        device: String,
        /// Your name for it; empty to go back to its own.
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        room: Option<String>,
        #[arg(long, value_name = "BOOL")]
        favourite: Option<bool>,
        /// Have nothing to do with it.
        #[arg(long, value_name = "BOOL")]
        blocked: Option<bool>,
        /// Accept what it sends without asking.
        #[arg(long, value_name = "BOOL")]
        auto_accept: Option<bool>,
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
        Action::Add { address } => {
            let device: Device = context.hub.post("/devices", &AddDevice { address: address.to_string() }).await?;
            answer(context, &device, "Found")
        }
        Action::Set {
            device,
            name,
            room,
            favourite,
            blocked,
            auto_accept,
            remote_media,
            remote_ring,
            remote_commands,
            remote_input,
        } => {
            let change = DeviceChange {
                name,
                room,
                favourite,
                blocked,
                auto_accept,
                remote_media,
                remote_ring,
                remote_commands,
                remote_input,
            };
            if serde_json::to_value(&change)? == serde_json::to_value(DeviceChange::default())? {
                return Err(Usage("say what to change, for example --room Kitchen".into()).into());
            }
            let device = find(context, &device).await?;
            context.hub.tell(Method::PATCH, &format!("/devices/{}", escape(&device.id)), Some(&change)).await?;
            let device = find(context, &device.id).await?;
            answer(context, &device, "Changed")
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

/// The device a person means: by id, by name, or by the beginning of an id.
pub async fn find(context: &Context, wanted: &str) -> Result<Device> {
    let list: List = context.hub.get("/devices").await?;
    match pick(&list.devices, wanted) {
        Pick::One(device) => Ok(device.clone()),
        Pick::None => {
            bail!("No device is called `{}`; `accord devices` lists those that are known", name(wanted))
        }
        Pick::Many(ids) => {
            bail!("Several devices are called `{}`; say which by its id: {}", name(wanted), ids.join(", "))
        }
    }
}

enum Pick<'a> {
    One(&'a Device),
    None,
    Many(Vec<&'a str>),
}

fn pick<'a>(devices: &'a [Device], wanted: &str) -> Pick<'a> {
    if let Some(device) = devices.iter().find(|device| device.id == wanted) {
        return Pick::One(device);
    }
    let lower = wanted.to_lowercase();
    let ways: [&dyn Fn(&Device) -> bool; 3] =
        [&|device| device.name == wanted, &|device| device.name.to_lowercase() == lower, &|device| {
            wanted.len() >= 4 && device.id.starts_with(wanted)
        }];
    for fits in ways {
        let found: Vec<&Device> = devices.iter().filter(|device| device.trust != Trust::Own && fits(device)).collect();
        let paired: Vec<&Device> = found.iter().copied().filter(|device| device.trust == Trust::Paired).collect();
        match (found.as_slice(), paired.as_slice()) {
            ([], _) => {}
            ([one], _) | (_, [one]) => return Pick::One(one),
            _ => return Pick::Many(found.iter().map(|device| device.id.as_str()).collect()),
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
        assert!(matches!(pick(&twins, "TV"), Pick::Many(ids) if ids.len() == 2));
    }
}
