//! `accord status`, `settings`, `open` and `openapi`.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::screen::{Style, ago, can_ask, count, name, span, yes as agrees};
use super::{Context, Usage};
use crate::api::types::{Devices, IdReset, Settings as Values, SetupLink, Status, Switch};

pub async fn status(context: &Context) -> Result<()> {
    let status: Status = context.hub.get("/status").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&status);
    }
    let discovery = match status.discovery {
        Switch::On => screen.paint(Style::Good, "on"),
        Switch::Off => screen.paint(Style::Warn, "off (refused)"),
        Switch::Undecided => screen.paint(Style::Warn, "off (not decided)"),
    };
    let ledger = match status.ledger.signed {
        Some(signed) => format!("{}, checkpoint {}", count(status.ledger.size, "record", "records"), ago(signed)),
        None => count(status.ledger.size, "record", "records"),
    };
    screen.say(format!(
        "{} ({}), accord {}",
        screen.paint(Style::Bold, &name(&status.name)),
        status.kind,
        name(&status.version)
    ));
    screen.say(format!("  running    {}", span(status.uptime_s)));
    screen.say(format!("  state      {}", accord_model::text::for_screen(&status.state_dir, 300)));
    screen.say(format!("  web UI     {}", status.http.as_deref().map_or("not served".into(), name)));
    screen.say(format!("  discovery  {discovery}"));
    screen.say(format!("  ledger     {ledger}"));
    if status.offers > 0 {
        let offers = count(status.offers as u64, "offer waits", "offers wait");
        screen.say(format!("  inbox      {}; see `accord inbox`", screen.paint(Style::Warn, &offers)));
    }
    if status.prompts > 0 {
        let prompts = count(status.prompts as u64, "decision waits", "decisions wait");
        screen.say(format!("  consent    {}; see `accord consent list`", screen.paint(Style::Warn, &prompts)));
    }
    if !status.off.is_empty() {
        screen.say("Off, because you refused it or were never asked:");
        for off in &status.off {
            screen.say(format!(
                "  {} ({}): {}",
                name(&off.title),
                name(&off.entry),
                accord_model::text::for_screen(&off.effect, 300)
            ));
            screen.say(format!("    to turn it on: {}", accord_model::text::for_screen(&off.turn_on, 300)));
        }
    }
    Ok(())
}

#[derive(clap::Args)]
pub struct Settings {
    #[command(subcommand)]
    action: Option<SettingsAction>,
}

#[derive(clap::Subcommand)]
enum SettingsAction {
    /// Print the settings, or one of them (the default).
    Get {
        #[arg(value_enum)]
        key: Option<Key>,
    },
    /// Change one.
    Set {
        #[arg(value_enum)]
        key: Key,
        /// Empty to clear it, where it can be empty.
        value: String,
    },
    /// Give this device new ids and a new link key, so that nobody can tell that it is the same as before.
    ///
    /// Paired devices that are connected now are told and come back by themselves; the others must be paired again.
    ResetId {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Key {
    Name,
    Kind,
    Inbox,
    Notify,
    /// Tell of smoke, water and other alarms of the house.
    Alarms,
    Relay,
}

pub async fn settings(args: Settings, context: &Context) -> Result<()> {
    if let Some(SettingsAction::ResetId { yes }) = args.action {
        return reset_id(yes, context).await;
    }
    let mut values: Values = context.hub.get("/settings").await?;
    match args.action.unwrap_or(SettingsAction::Get { key: None }) {
        SettingsAction::Get { key: None } if context.screen.json => return context.screen.document(&values),
        SettingsAction::Get { key: None } => {
            for key in <Key as clap::ValueEnum>::value_variants() {
                let label = format!("{key:?}").to_lowercase();
                context.screen.say(format!("{label:<7} {}", accord_model::text::for_screen(&get(&values, *key), 300)));
            }
        }
        SettingsAction::Get { key: Some(key) } if context.screen.json => {
            let label = format!("{key:?}").to_lowercase();
            let value = serde_json::to_value(&values)?.get(&label).cloned().unwrap_or_default();
            return context.screen.document(&serde_json::json!({ label: value }));
        }
        SettingsAction::Get { key: Some(key) } => context.screen.say(get(&values, key)),
        SettingsAction::ResetId { .. } => {}
        SettingsAction::Set { key, value } => {
            set(&mut values, key, value)?;
            let values: Values = context.hub.put("/settings", &values).await?;
            if context.screen.json {
                return context.screen.document(&values);
            }
        }
    }
    Ok(())
}

async fn reset_id(yes: bool, context: &Context) -> Result<()> {
    if !yes {
        if !can_ask() {
            return Err(Usage("paired devices that are away must be paired again; agree with --yes".into()).into());
        }
        if !agrees("New ids for this device? Paired devices that are away must be paired again. [y/N]").await? {
            return Ok(());
        }
    }
    let done: IdReset = context.hub.post("/settings/reset-id", &serde_json::json!({})).await?;
    if context.screen.json {
        return context.screen.document(&done);
    }
    let known: Devices = context.hub.get("/devices").await?;
    let named = |id: &String| {
        let found = known.devices.iter().find(|device| device.id == *id);
        name(found.map_or(id.as_str(), |device| device.name.as_str()))
    };
    context.screen.say("This device has new ids.");
    for id in &done.told {
        context.screen.say(format!("{} was told and comes back by itself.", named(id)));
    }
    for id in &done.pair_again {
        context.screen.say(format!("{} was away: pair with it again.", named(id)));
    }
    Ok(())
}

fn get(values: &Values, key: Key) -> String {
    match key {
        Key::Name => values.name.clone(),
        Key::Kind => values.kind.to_string(),
        Key::Inbox => values.inbox.clone(),
        Key::Notify => values.notify.to_string(),
        Key::Alarms => values.alarms.to_string(),
        Key::Relay => values.relay.clone().unwrap_or_default(),
    }
}

fn set(values: &mut Values, key: Key, value: String) -> Result<(), Usage> {
    match key {
        Key::Name => values.name = value,
        Key::Kind => values.kind = value.parse().map_err(Usage)?,
        Key::Inbox => {
            let path = std::path::absolute(PathBuf::from(&value)).map_err(|error| Usage(error.to_string()))?;
            values.inbox =
                path.into_os_string().into_string().map_err(|_| Usage("the folder's name is not UTF-8".into()))?;
        }
        Key::Notify => values.notify = truth("notify", &value)?,
        Key::Alarms => values.alarms = truth("alarms", &value)?,
        Key::Relay => values.relay = Some(value).filter(|relay| !relay.is_empty()),
    }
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool, Usage> {
    match value {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err(Usage(format!("{key} is `true` or `false`"))),
    }
}

#[derive(clap::Args)]
pub struct Open {
    /// Only print the link.
    #[arg(long)]
    print: bool,
    /// For another device, such as a phone: its link, as text and as a QR code.
    #[arg(long)]
    for_other: bool,
}

pub async fn open(args: Open, context: &Context) -> Result<()> {
    let setup = new_link(&context.hub).await?;
    if context.screen.json {
        return context.screen.document(&setup);
    }
    if args.for_other {
        return for_other(context, &setup);
    }
    let link = setup.url;
    context.screen.say(&link);
    if !args.print && !crate::demo::browse(&link).await {
        context
            .screen
            .note("No browser could be started here; open the link yourself. It works once, for ten minutes.");
    }
    Ok(())
}

fn for_other(context: &Context, setup: &SetupLink) -> Result<()> {
    let Some(first) = setup.others.first() else {
        bail!(
            "The hub is open on this computer only; start it with `accord up --http 0.0.0.0:8443` to open it to others"
        );
    };
    if let Some(install) = &setup.install {
        context.screen.note(format!("First install its certificate there, from {}, and compare:", install.url));
        context.screen.note(format!("  {}", install.fingerprint));
    }
    context.screen.note("Then open this there; it works once, for ten minutes:");
    for link in &setup.others {
        context.screen.say(link);
    }
    context.screen.note(super::pair::qr(first)?);
    Ok(())
}

async fn new_link(hub: &super::hub::Hub) -> Result<SetupLink> {
    Ok(hub.post("/session/token", &serde_json::json!({})).await?)
}

/// A link to the web UI that signs in once.
pub async fn setup_link(hub: &super::hub::Hub) -> Result<String> {
    Ok(new_link(hub).await?.url)
}

pub fn openapi(context: &Context) -> Result<()> {
    context.screen.document(&crate::api::document())
}
