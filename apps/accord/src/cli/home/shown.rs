//! `accord home shown`, `share`, `unshare`: devices shown beside this hub, such as to Home Assistant by an MQTT broker.

use anyhow::{Result, bail};
use hyper::Method;

use crate::api::home::{ShowDevice, Shown, ShownPlace};
use crate::cli::Context;
use crate::cli::agree::{Owner, with_consent};
use crate::cli::devices::find;
use crate::cli::hub::escape;
use crate::cli::screen::{Cell, Style, count, name};

pub const HELP: &str = "\
The broker keeps what it is told, and every client of it that may listen reads it: names, rooms, states. Unless you say
more, it can be seen there and not controlled.

  accord home share \"Desk lamp\" --with \"MQTT broker 192.168.1.10\" --control
  accord home unshare \"Desk lamp\"";

#[derive(clap::Args)]
pub struct Show {
    /// A device's name or id.
    device: String,
    /// The broker; needed where there are several.
    #[arg(long, value_name = "BROKER")]
    with: Option<String>,
    /// Whoever may write on the broker may control it.
    #[arg(long)]
    control: bool,
    /// They may also open, unlock and disarm it, without anybody being asked.
    #[arg(long, requires = "control")]
    opens: bool,
    /// Agree to what this needs, without being asked.
    #[arg(long)]
    accept: bool,
}

#[derive(clap::Args)]
pub struct TakeBack {
    /// A device's name or id.
    device: String,
    /// The broker; needed where there are several.
    #[arg(long, value_name = "BROKER")]
    with: Option<String>,
}

pub async fn list(context: &Context) -> Result<()> {
    let shown: Shown = context.hub.get("/home/shown").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&shown);
    }
    if shown.places.is_empty() {
        screen.note("No MQTT broker is added on which devices could be shown; `accord add mqtt` adds one.");
    }
    for place in &shown.places {
        let devices = || place.devices.iter().filter_map(|device| Some((device, device.shown?)));
        let how_many = count(devices().count() as u64, "device", "devices");
        screen.say(screen.paint(Style::Bold, &format!("{}: {how_many}, {} there now", name(&place.name), place.now)));
        if !place.agreed && devices().next().is_some() {
            screen.note("  Nothing of it is shown: you have not agreed to that, or took it back (`home/share`).");
        }
        if let Some(problem) = place.problem.as_ref().filter(|_| place.agreed) {
            screen.note(format!("  Nothing of it is shown now: {}.", name(problem.trim_end_matches('.'))));
        }
        let row = |(device, ShowDevice { control, opens }): (&crate::api::home::ShownDevice, ShowDevice)| {
            let may = match (control, opens) {
                (_, true) => "may be controlled and opened",
                (true, false) => "may be controlled",
                (false, false) => "may be seen",
            };
            let more = if device.more { "; share it again for what was added to it since" } else { "" };
            vec![Cell::new(name(&device.name)), Cell::new(format!("{may}{more}"))]
        };
        screen.table(&[], devices().map(row).collect());
        if place.left_out > 0 {
            screen.note(format!("  There is no room there for {} more.", count(place.left_out, "device", "devices")));
        }
        if place.refused > 0 {
            screen.note(format!("  {} were not fulfilled.", count(place.refused, "wish", "wishes")));
        }
    }
    Ok(())
}

pub async fn show(args: Show, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let place = place(context, args.with.as_deref()).await?;
    let wanted = ShowDevice { control: args.control, opens: args.opens };
    let path = format!("/home/shown/{}/{}", escape(&place.device), escape(&device.id));
    let owner = if args.accept { Owner::Deliberate } else { Owner::AtTerminalForGood };
    let shown: ShownPlace = with_consent(context, owner, async || context.hub.put(&path, &wanted).await).await?;
    if context.screen.json {
        return context.screen.document(&shown);
    }
    let may = match (args.control, args.opens) {
        (_, true) => "seen, controlled and opened",
        (true, false) => "seen and controlled",
        (false, false) => "seen",
    };
    context.screen.say(format!("{} can be {may} on {}.", name(&device.name), name(&shown.name)));
    Ok(())
}

pub async fn take_back(args: TakeBack, context: &Context) -> Result<()> {
    let place = place(context, args.with.as_deref()).await?;
    let shown = || place.devices.iter().filter(|device| device.shown.is_some());
    let wanted = args.device.trim().to_lowercase();
    let of = shown().find(|device| device.device == args.device || device.name.to_lowercase() == wanted);
    let Some(device) = of else { bail!("{} is not shown on {}", name(&args.device), name(&place.name)) };
    let path = format!("/home/shown/{}/{}", escape(&place.device), escape(&device.device));
    context.hub.tell(Method::DELETE, &path, None::<&()>).await?;
    context.screen.say(format!("{} is not shown on {} any more.", name(&device.name), name(&place.name)));
    Ok(())
}

/// The broker that is meant, or the only one.
async fn place(context: &Context, wanted: Option<&str>) -> Result<ShownPlace> {
    let mut places = context.hub.get::<Shown>("/home/shown").await?.places;
    if let Some(wanted) = wanted {
        let device = find(context, wanted).await?;
        places.retain(|place| place.device == device.id);
        if places.is_empty() {
            bail!("{} shows no devices; an MQTT broker does", name(&device.name));
        }
    }
    match places.len() {
        0 => bail!("No MQTT broker is added on which devices could be shown"),
        1 => Ok(places.remove(0)),
        _ => {
            let names: Vec<String> = places.iter().map(|place| name(&place.name)).collect();
            bail!("Say on which broker, with --with: {}", names.join(", "))
        }
    }
}
