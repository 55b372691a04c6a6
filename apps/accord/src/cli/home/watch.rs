//! `accord home watch`: what changes in the house, as it changes.

use std::collections::BTreeMap;

use accord_home::say;
use accord_model::text::for_screen;
use accord_model::{Data, Format, Property, Reach, Service, Value, WriteState};
use anyhow::{Result, bail};

use crate::api::home::{Happened, Values};
use crate::api::types::{Device, Devices, Event, Trust};
use crate::cli::Context;
use crate::cli::devices::find;
use crate::cli::screen::{Style, name};

#[derive(clap::Args)]
pub struct Watch {
    /// Only these devices (names or ids).
    devices: Vec<String>,
    /// Only devices in this room.
    #[arg(long)]
    room: Option<String>,
    /// Only this service: light, temperature, …
    #[arg(long)]
    service: Option<String>,
    /// End after so many changes.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
}

struct Watching<'a> {
    context: &'a Context,
    only: Vec<String>,
    room: Option<String>,
    service: Option<String>,
    devices: BTreeMap<String, Device>,
    told: u64,
}

pub async fn run(args: Watch, context: &Context) -> Result<()> {
    // Before the devices are read, so that no change is between.
    let mut events = context.hub.events().await?;
    let mut only = Vec::new();
    for device in &args.devices {
        only.push(find(context, device).await?.id);
    }
    let room = args.room.map(|room| room.trim().to_lowercase());
    let mut watching = Watching { context, only, room, service: args.service, devices: BTreeMap::new(), told: 0 };
    watching.look().await?;
    if watching.room.is_some() && !watching.devices.values().any(|device| watching.is_meant(device)) {
        bail!("No added device is in that room; `accord home list` shows the rooms");
    }
    if !context.screen.json {
        context.screen.note("Watching; Ctrl-C ends it.");
    }
    let mut greeted = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match event {
            None => bail!("The hub stopped"),
            // The first one greets; a later one tells that something was missed.
            Some(Event::Hello(_)) => {
                if std::mem::replace(&mut greeted, true) {
                    watching.look().await?;
                }
            }
            Some(Event::Values(values)) => watching.values(&values)?,
            Some(Event::Happened(happened)) => watching.happened(&happened)?,
            Some(Event::Device(device)) => watching.device(*device)?,
            Some(Event::DeviceGone { id }) => drop(watching.devices.remove(&id)),
            Some(_) => {}
        }
        if args.count.is_some_and(|count| watching.told >= count) {
            return Ok(());
        }
    }
}

impl Watching<'_> {
    async fn look(&mut self) -> Result<()> {
        let all: Devices = self.context.hub.get("/devices").await?;
        self.devices = all.devices.into_iter().map(|device| (device.id.clone(), device)).collect();
        Ok(())
    }

    fn is_meant(&self, device: &Device) -> bool {
        let room = device.room.as_deref().unwrap_or_default().trim().to_lowercase();
        let only = self.only.is_empty() || self.only.contains(&device.id);
        only && device.trust == Trust::Paired && self.room.as_ref().is_none_or(|wanted| *wanted == room)
    }

    fn is_service(&self, service: &str) -> bool {
        self.service.as_ref().is_none_or(|wanted| wanted == service)
    }

    fn values(&mut self, values: &Values) -> Result<()> {
        let Some(device) = self.devices.get_mut(&values.device) else { return Ok(()) };
        let of = |service: &&mut Service| service.id == values.service && service.instance == values.instance;
        let Some(service) = device.services.iter_mut().find(of) else { return Ok(()) };
        let before: BTreeMap<String, Data> =
            service.values.iter().map(|(id, value)| (id.clone(), value.data.clone())).collect();
        service.values.extend(values.values.clone());
        let service = service.clone();
        let device = device.clone();
        if !self.is_meant(&device) || !self.is_service(&values.service) {
            return Ok(());
        }
        for (id, value) in &values.values {
            let write = values.writes.iter().find(|write| write.property == *id).map(|write| write.state);
            // The same again is news only when it confirms what was set.
            if before.get(id) != Some(&value.data) {
                self.change(&device, &service, id, value, write)?;
            }
        }
        Ok(())
    }

    /// A device is described anew: it comes or goes.
    fn device(&mut self, device: Device) -> Result<()> {
        let before = self.devices.insert(device.id.clone(), device.clone());
        let away = |device: &Device| device.reach == Reach::Offline;
        if self.service.is_some() || !self.is_meant(&device) || before.as_ref().map(away) == Some(away(&device)) {
            return Ok(());
        }
        self.told += 1;
        let screen = &self.context.screen;
        if screen.json {
            let reach = serde_json::json!({ "at": accord_model::Timestamp::now(), "device": device.id, "name": device.name, "reach": device.reach });
            return line(self.context, &reach);
        }
        let what =
            if away(&device) { screen.paint(Style::Dim, "is away") } else { screen.paint(Style::Good, "is here") };
        screen.say(format!("{}  {} {what}", clock(accord_model::Timestamp::now()), name(&device.name)));
        Ok(())
    }

    fn change(
        &mut self,
        device: &Device,
        service: &Service,
        id: &str,
        value: &Value,
        write: Option<WriteState>,
    ) -> Result<()> {
        self.told += 1;
        let screen = &self.context.screen;
        if screen.json {
            return line(
                self.context,
                &serde_json::json!({
                    "at": value.seen, "device": device.id, "name": device.name, "service": service.id,
                    "instance": service.instance, "property": id, "data": value.data, "source": value.source, "write": write,
                }),
            );
        }
        let text = Property::state(id, Format::Text);
        let property = service.properties.iter().find(|property| property.id == id).unwrap_or(&text);
        let confirmed = if write == Some(WriteState::Confirmed) { "  (confirmed)" } else { "" };
        let label = service.label.as_deref().map(|label| format!(" ({})", name(label))).unwrap_or_default();
        let is = screen.paint(Style::Bold, &say::value(property, &value.data));
        let place = say::place(service, id);
        screen.say(format!("{}  {}  {place}{label}  {is}{confirmed}", clock(value.seen), name(&device.name)));
        Ok(())
    }

    fn happened(&mut self, happened: &Happened) -> Result<()> {
        let Some(device) = self.devices.get(&happened.device) else { return Ok(()) };
        if !self.is_meant(device) || !self.is_service(&happened.service) {
            return Ok(());
        }
        self.told += 1;
        let screen = &self.context.screen;
        if screen.json {
            let mut said = serde_json::to_value(happened)?;
            if let Some(said) = said.as_object_mut() {
                said.insert("at".to_owned(), serde_json::to_value(accord_model::Timestamp::now())?);
                said.insert("name".to_owned(), device.name.clone().into());
            }
            return line(self.context, &said);
        }
        let with: Vec<String> = happened
            .arguments
            .iter()
            .map(|(id, data)| format!("{} {}", name(id), say::value(&Property::state(id, Format::Text), data)))
            .collect();
        let what = screen.paint(Style::Bold, &for_screen(&happened.event, 60));
        let now = clock(accord_model::Timestamp::now());
        screen.say(format!("{now}  {}  {}  {what} {}", name(&device.name), name(&happened.service), with.join(", ")));
        Ok(())
    }
}

/// One change is one line, for scripts too.
fn line(context: &Context, value: &serde_json::Value) -> Result<()> {
    context.screen.say(serde_json::to_string(value)?);
    Ok(())
}

fn clock(at: accord_model::Timestamp) -> String {
    at.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}
