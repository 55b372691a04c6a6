//! `accord home list`, `show`, `get`: what devices of the house say.

use accord_home::history::is_house_service;
use accord_home::say::{self, One, Tone, Wanted};
use accord_model::text::for_screen;
use accord_model::{Data, Effect, Property, Reach, Role, Service, Source, Timestamp, Value, Verb, WriteState};
use accord_ports::picture;
use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use super::of_house;
use crate::api::home::{RenameRoom, Rooms};
use crate::api::types::{Device, Devices, Trust, Written};
use crate::cli::Context;
use crate::cli::agree::quote;
use crate::cli::control::call;
use crate::cli::devices::kind_label;
use crate::cli::screen::{Cell, Style, ago, count, name};

#[derive(clap::Args, Default)]
pub struct List {
    /// Only this room.
    #[arg(long)]
    room: Option<String>,
    /// Devices that are near and not added, too.
    #[arg(long)]
    all: bool,
}

#[derive(clap::Args)]
pub struct Get {
    /// A device's name or id.
    device: String,
    /// `level`, `light/level`, `on-off.1/on`.
    property: String,
    /// Ask the device now, instead of saying what it said last.
    #[arg(long)]
    ask: bool,
}

#[derive(Serialize)]
struct ListedRoom<'a> {
    name: &'a str,
    devices: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    name: &'a str,
    kind: accord_model::DeviceKind,
    reach: Reach,
    says: Option<String>,
    seen: Option<Timestamp>,
    fresh: bool,
    alarm: bool,
    pending: bool,
}

pub async fn list(args: List, context: &Context) -> Result<()> {
    let (rooms, devices): (Rooms, Devices) =
        tokio::try_join!(context.hub.get("/home/rooms"), context.hub.get("/devices"))?;
    let now = Timestamp::now();
    let is_shown = |device: &&Device| device.trust == Trust::Paired || (args.all && device.trust == Trust::Seen);
    let wanted = args.room.as_deref().map(|room| room.trim().to_lowercase());
    let mut listed = Vec::new();
    for room in
        rooms.rooms.iter().filter(|room| wanted.as_ref().is_none_or(|wanted| room.name.to_lowercase() == *wanted))
    {
        let of_room = room.devices.iter().filter_map(|id| devices.devices.iter().find(|device| device.id == *id));
        let shown: Vec<(&Device, Option<One>)> =
            of_room.filter(is_shown).map(|device| (device, say::of_device(&device.services, now))).collect();
        if !shown.is_empty() {
            listed.push((room.name.as_str(), shown));
        }
    }
    if let (Some(room), true) = (&args.room, listed.is_empty()) {
        let known: Vec<String> =
            rooms.rooms.iter().map(|room| name(&room.name)).filter(|name| !name.is_empty()).collect();
        bail!("No added device is in a room `{}`; rooms: {}", name(room), known.join(", "));
    }
    let screen = &context.screen;
    if screen.json {
        let rooms: Vec<ListedRoom<'_>> = listed
            .iter()
            .map(|(name, devices)| ListedRoom {
                name,
                devices: devices.iter().map(|(device, one)| of(device, one)).collect(),
            })
            .collect();
        return screen.document(&serde_json::json!({ "rooms": rooms }));
    }
    if listed.is_empty() {
        screen.note("No device of the house is added. `accord add` lists what can be added; `accord home list --all` shows what is near.");
        return Ok(());
    }
    let mut rows = Vec::new();
    for (room, devices) in &listed {
        let title = if room.is_empty() { "In no room" } else { room };
        if listed.len() > 1 || !room.is_empty() {
            rows.push(vec![Cell::styled(title, Style::Bold)]);
        }
        rows.extend(devices.iter().map(|(device, one)| row(device, one.as_ref())));
    }
    screen.table(&["NAME", "KIND", "SAYS", "SEEN", ""], rows);
    Ok(())
}

fn of<'a>(device: &'a Device, one: &Option<One>) -> Listed<'a> {
    Listed {
        id: &device.id,
        name: &device.name,
        kind: device.kind,
        reach: device.reach,
        says: one.as_ref().map(|one| one.text.clone()),
        seen: one.as_ref().map(|one| one.seen),
        fresh: one.as_ref().is_some_and(|one| one.fresh),
        alarm: one.as_ref().is_some_and(|one| one.tone == Tone::Alarm),
        pending: device.writes.iter().any(|write| write.state == WriteState::Pending),
    }
}

fn row(device: &Device, one: Option<&One>) -> Vec<Cell> {
    let away = device.reach == Reach::Offline;
    let says = match one {
        Some(one) if away || !one.fresh => Cell::styled(&one.text, Style::Dim),
        Some(one) => Cell::styled(
            &one.text,
            match one.tone {
                Tone::Alarm => Style::Bad,
                Tone::Active => Style::Good,
                Tone::Quiet => Style::Plain,
            },
        ),
        None => Cell::new(""),
    };
    let waits = |state| device.writes.iter().any(|write| write.state == state);
    let mark = match () {
        () if away => Cell::styled("away", Style::Dim),
        () if device.trust != Trust::Paired => Cell::styled("not added", Style::Dim),
        () if waits(WriteState::Pending) => Cell::styled("waits to be confirmed", Style::Warn),
        () if waits(WriteState::Unconfirmed) => Cell::styled("not confirmed", Style::Warn),
        () if one.is_some_and(|one| !one.fresh) => Cell::styled("old", Style::Dim),
        () => Cell::new(""),
    };
    let seen = one.map(|one| ago(one.seen)).unwrap_or_default();
    let indented = format!("  {}", name(&device.name));
    vec![Cell::new(indented), Cell::new(kind_label(device.kind)), says, Cell::styled(seen, Style::Dim), mark]
}

pub async fn rename(from: String, to: String, context: &Context) -> Result<()> {
    let rooms: Rooms = context.hub.post("/home/rooms/rename", &RenameRoom { from, to: to.clone() }).await?;
    if context.screen.json {
        return context.screen.document(&rooms);
    }
    let devices = rooms.rooms.iter().find(|room| room.name == to.trim()).map_or(0, |room| room.devices.len());
    context.screen.say(format!("{}: {}.", name(&to), count(devices as u64, "device", "devices")));
    Ok(())
}

pub async fn show(wanted: &str, context: &Context) -> Result<()> {
    let device = of_house(context, wanted).await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&device);
    }
    let room = device.room.as_deref().map(|room| format!(", {}", name(room))).unwrap_or_default();
    let away = if device.reach == Reach::Offline { ", away" } else { "" };
    screen.say(format!("{} ({}{room}{away})", screen.paint(Style::Bold, &name(&device.name)), kind_label(device.kind)));
    if device.trusted_effects {
        screen.note("What it opens or unlocks is done without asking again, as you wanted.");
    }
    for role in [Role::Primary, Role::Config, Role::Diagnostic] {
        let mut rows = Vec::new();
        for service in device.services.iter().filter(|service| is_house_service(&service.id)) {
            for property in service.properties.iter().filter(|property| property.role == role) {
                rows.push(property_row(service, property, &device.writes));
            }
        }
        if !rows.is_empty() {
            let head = match role {
                Role::Primary => "PROPERTY",
                Role::Config => "SETTING",
                Role::Diagnostic => "DETAIL",
            };
            screen.table(&[head, "IS", "SEEN", "BY", "TAKES", ""], rows);
        }
    }
    let rows = action_rows(&device);
    if !rows.is_empty() {
        screen.table(&["DOES", "WITH", ""], rows);
    }
    for service in device.services.iter().filter(|service| service.id == picture::SERVICE) {
        let which = if service.instance > 0 { format!(" --number {}", service.instance) } else { String::new() };
        let called = service.label.as_deref().map(|label| format!("{}: ", name(label))).unwrap_or_default();
        screen.say(format!("{called}it can be looked at: `accord home look {}{which}`", quote(&device.name)));
    }
    Ok(())
}

/// What a device can be told to do.
pub fn actions(device: &Device, context: &Context) -> Result<()> {
    let house = device.services.iter().filter(|service| is_house_service(&service.id) && !service.actions.is_empty());
    if context.screen.json {
        let of = |service: &Service| serde_json::json!({ "service": service.id, "instance": service.instance, "actions": service.actions });
        return context
            .screen
            .document(&serde_json::json!({ "device": device.id, "does": house.map(of).collect::<Vec<_>>() }));
    }
    let rows = action_rows(device);
    if rows.is_empty() {
        context.screen.note(format!(
            "{} can be told to do nothing; `accord home show` tells what can be set.",
            name(&device.name)
        ));
    } else {
        context.screen.table(&["DOES", "WITH", ""], rows);
    }
    Ok(())
}

fn action_rows(device: &Device) -> Vec<Vec<Cell>> {
    let mut actions = Vec::new();
    for service in device.services.iter().filter(|service| is_house_service(&service.id)) {
        for action in &service.actions {
            let inputs: Vec<String> =
                action.inputs.iter().map(|input| format!("{}={}", name(&input.id), takes(input))).collect();
            let asks = match action.effect {
                Effect::Security => Cell::styled("asked about each time", Style::Warn),
                Effect::Destructive => Cell::styled("cannot be undone", Style::Bad),
                _ => Cell::new(""),
            };
            actions.push(vec![Cell::new(say::place(service, &action.id)), Cell::new(inputs.join(" ")), asks]);
        }
    }
    actions
}

fn property_row(service: &Service, property: &Property, writes: &[Written]) -> Vec<Cell> {
    let value = service.values.get(&property.id);
    let is = match value {
        Some(value) if value.is_fresh(Timestamp::now()) => Cell::new(say::value(property, &value.data)),
        Some(value) => Cell::styled(say::value(property, &value.data), Style::Dim),
        None => Cell::styled("not known", Style::Dim),
    };
    let label = service.label.as_deref().map(|label| format!(" ({})", name(label))).unwrap_or_default();
    let write = writes.iter().find(|write| {
        write.service == service.id && write.instance == service.instance && write.property == property.id
    });
    let mark = match write.map(|write| write.state) {
        Some(WriteState::Pending) => Cell::styled("waits to be confirmed", Style::Warn),
        Some(WriteState::Unconfirmed) => Cell::styled("not confirmed", Style::Warn),
        Some(WriteState::Confirmed) | None => Cell::new(""),
    };
    vec![
        Cell::new(format!("{}{label}", say::place(service, &property.id))),
        is,
        Cell::styled(value.map(|value| ago(value.seen)).unwrap_or_default(), Style::Dim),
        Cell::styled(value.map(|value| source(value.source)).unwrap_or_default(), Style::Dim),
        Cell::styled(if property.write { takes(property) } else { String::new() }, Style::Dim),
        mark,
    ]
}

/// Who said so.
fn source(source: Source) -> &'static str {
    match source {
        Source::Pushed => "told",
        Source::Polled => "asked",
        Source::Assumed => "assumed",
    }
}

/// What can be set, in short.
pub fn takes(property: &Property) -> String {
    let behind = property.unit.map(|unit| format!(" {}", unit.symbol())).unwrap_or_default();
    match (property.range, property.values.as_slice()) {
        (Some(range), _) => format!("{}..{}{behind}", range.min, range.max),
        (None, []) => match property.format {
            accord_model::Format::Bool => "on, off".to_owned(),
            accord_model::Format::Text | accord_model::Format::Texts => "a text".to_owned(),
            _ => format!("a number{behind}"),
        },
        (None, values) => {
            let names: Vec<&str> = values.iter().map(|(_, name)| name.as_str()).collect();
            for_screen(&names.join(", "), 80)
        }
    }
}

pub async fn get(args: Get, context: &Context) -> Result<()> {
    let device = of_house(context, &args.device).await?;
    let said = say::property(&device.services, &args.property, Wanted::Read);
    let found = said.map_err(|error| anyhow!("{}: {error}", name(&device.name)))?;
    let (service, property) = (found.service, found.found);
    let mut value = service.values.get(&property.id).cloned();
    if args.ask {
        let verb = Verb::Read { properties: vec![property.id.clone()] };
        let mut answer = call(context, &device, service, verb, false).await?;
        if let Some(data) = answer.remove(&property.id) {
            let fresh_for_s = value.as_ref().map_or(60, |value| value.fresh_for_s);
            value = Some(Value { data, seen: Timestamp::now(), source: Source::Polled, fresh_for_s });
        }
    }
    let Some(value) = value else {
        bail!("{} has not said what {} is", name(&device.name), say::place(service, &property.id));
    };
    let fresh = value.is_fresh(Timestamp::now());
    let screen = &context.screen;
    if screen.json {
        let name = match (&value.data, property.format) {
            (Data::Int(number), accord_model::Format::Enum) => Some(say::enum_name(property, *number)),
            _ => None,
        };
        return screen.document(&serde_json::json!({
            "device": device.id, "service": service.id, "instance": service.instance, "property": property.id,
            "data": value.data, "name": name, "unit": property.unit, "seen": value.seen, "source": value.source, "fresh": fresh,
        }));
    }
    screen.say(say::value(property, &value.data));
    let old = if fresh { "" } else { ", and may be otherwise now" };
    let by = match value.source {
        Source::Pushed => "it told",
        Source::Polled => "it was asked",
        Source::Assumed => "assumed, for it did not say so itself now",
    };
    screen.note(format!(
        "{} of {}: {by} {}{old}",
        say::place(service, &property.id),
        name(&device.name),
        ago(value.seen)
    ));
    Ok(())
}
