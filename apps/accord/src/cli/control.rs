//! `accord ring`, `ping`, `run` and `who`: what devices do when they are told to, and which are here.

use accord_model::text::for_screen;
use accord_model::{Data, Inputs, Outputs, Service, Verb};
use anyhow::{Result, bail};

use super::Context;
use super::agree::{Owner, with_consent};
use super::devices::{find, kind_label};
use super::hub::escape;
use super::screen::{Cell, Style, ago, can_ask, name, yes};
use crate::api::types::{Call, Device, Presences};

#[derive(clap::Args)]
pub struct Ring {
    /// A device's name or id.
    device: String,
}

#[derive(clap::Args)]
pub struct Ping {
    /// A device's name or id.
    device: String,
    /// What to say.
    text: Option<String>,
}

#[derive(clap::Args)]
pub struct Run {
    /// A device's name or id.
    device: String,
    /// One of the commands that it offers; without it they are listed.
    command: Option<String>,
    /// Do not ask again before it is run.
    #[arg(long, short)]
    yes: bool,
}

pub async fn ring(args: Ring, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let ringer = service(&device, "ringer", "cannot ring")?;
    let answer = act(context, &device, ringer, "ring", Inputs::new(), false).await?;
    said(context, &answer, format!("{} was asked to ring.", name(&device.name)))
}

pub async fn ping(args: Ping, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let ping = service(&device, "ping", "takes no words")?;
    let inputs = args.text.into_iter().map(|text| ("text".to_owned(), Data::Text(text))).collect();
    let answer = act(context, &device, ping, "ping", inputs, false).await?;
    said(context, &answer, format!("{} was pinged.", name(&device.name)))
}

pub async fn run(args: Run, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let offered: Vec<&Service> = device.services.iter().filter(|service| service.id == "command").collect();
    let Some(wanted) = args.command else { return list(context, &device, &offered) };
    let fits = |service: &&&Service| label(service).to_lowercase() == wanted.trim().to_lowercase();
    let Some(command) = offered.iter().find(fits) else {
        let names: Vec<String> = offered.iter().map(|service| for_screen(label(service), 60)).collect();
        let offers = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("{} offers no command `{}`; it offers: {offers}", name(&device.name), name(&wanted));
    };
    let question = format!("Run `{}` on {}? [y/N]", name(label(command)), name(&device.name));
    let agreed = args.yes || (can_ask() && yes(&question).await?);
    if !agreed {
        bail!("Nothing was run; `--yes` runs it without asking");
    }
    let answer = act(context, &device, command, "run", Inputs::new(), true).await?;
    if context.screen.json {
        return context.screen.document(&answer);
    }
    match answer.get("output").and_then(Data::as_text) {
        Some(output) => output.lines().for_each(|line| context.screen.say(for_screen(line, 2000))),
        None => context.screen.say(format!("{} runs it.", name(&device.name))),
    }
    match answer.get("code").and_then(Data::as_int) {
        None | Some(0) => Ok(()),
        Some(code) => bail!("The command ended with status {code}"),
    }
}

fn list(context: &Context, device: &Device, offered: &[&Service]) -> Result<()> {
    if context.screen.json {
        return context.screen.document(&serde_json::json!({ "device": device.id, "commands": offered }));
    }
    if offered.is_empty() {
        context.screen.note(format!("{} offers no commands; its owner chooses which ones.", name(&device.name)));
    }
    offered.iter().for_each(|service| context.screen.say(for_screen(label(service), 64)));
    Ok(())
}

pub async fn who(context: &Context) -> Result<()> {
    let present: Presences = context.hub.get("/presence").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&present);
    }
    if present.devices.is_empty() {
        screen.note("No device is paired; `accord devices` lists those nearby.");
        return Ok(());
    }
    let rows = present.devices.iter().map(|device| {
        let here = if device.here { Cell::styled("here", Style::Good) } else { Cell::styled("away", Style::Dim) };
        vec![
            Cell::new(&device.name),
            Cell::new(kind_label(device.kind)),
            here,
            Cell::new(device.since.map(ago).unwrap_or_default()),
            Cell::new(device.last_seen.filter(|_| !device.here).map(ago).unwrap_or_default()),
        ]
    });
    screen.table(&["NAME", "KIND", "", "SINCE", "LAST SEEN"], rows.collect());
    Ok(())
}

/// Tells one service of a device to do something; asks for the owner's consent where it is missing.
pub async fn act(
    context: &Context,
    device: &Device,
    service: &Service,
    action: &str,
    inputs: Inputs,
    confirmed: bool,
) -> Result<Outputs> {
    call(context, device, service, Verb::Act { action: action.to_owned(), inputs }, confirmed).await
}

pub async fn call(
    context: &Context,
    device: &Device,
    service: &Service,
    verb: Verb,
    confirmed: bool,
) -> Result<Outputs> {
    let call = Call { service: service.id.clone(), instance: service.instance, verb, confirmed };
    let path = format!("/devices/{}/call", escape(&device.id));
    with_consent(context, Owner::AtTerminal, async || context.hub.post(&path, &call).await).await
}

pub fn service<'a>(device: &'a Device, id: &str, cannot: &str) -> Result<&'a Service> {
    match device.services.iter().find(|service| service.id == id) {
        Some(service) => Ok(service),
        None => bail!("{} {cannot}", name(&device.name)),
    }
}

fn label(service: &Service) -> &str {
    service.label.as_deref().unwrap_or(&service.id)
}

pub fn said(context: &Context, answer: &Outputs, line: String) -> Result<()> {
    if context.screen.json {
        return context.screen.document(answer);
    }
    context.screen.say(line);
    Ok(())
}
