//! `accord notify` and `accord notifications`.

use std::io::Read;
use std::time::Duration;

use accord_model::Timestamp;
use accord_model::text::for_screen;
use anyhow::{Context as _, Result, bail};
use hyper::Method;

use super::agree::{Owner, with_consent};
use super::devices::find;
use super::hub::escape;
use super::screen::{Cell, Style, ago, name};
use super::{Context, Usage};
use crate::api::notices::{
    ActLabel, DesktopMode, Notification, NotificationRules, Notifications as List, ReplyText, SendNotification,
    SentNotification,
};

#[derive(clap::Args)]
pub struct Notify {
    /// On which device: its name or id.
    device: String,
    title: String,
    body: Option<String>,
}

#[derive(clap::Args)]
pub struct Notifications {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List what is there now, newest first (the default).
    List,
    /// Dismiss one here and on every device that shows it.
    Dismiss { id: String },
    /// Reply a text to one.
    Reply { id: String, text: String },
    /// Do what one of its actions says.
    Act { id: String, action: String },
    /// Copy the one-time code in one into this computer's clipboard.
    Copy { id: String },
    /// Send nothing and let nothing pop up for so many minutes; 0 to go on.
    Pause { minutes: u32 },
    /// Whether content is hidden on every screen.
    HideContent {
        #[arg(value_enum)]
        switch: State,
    },
    /// Whether a device may get one-time codes.
    Codes {
        device: String,
        #[arg(value_enum)]
        switch: State,
    },
    /// Print all rules (for apps, devices, quiet hours), or set them from a file in the same form.
    Rules {
        /// A JSON file; `-` for standard input.
        #[arg(long, value_name = "FILE")]
        set: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    On,
    Off,
}

const MAX_RULES: u64 = 1 << 20;

pub async fn notify(args: Notify, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let body = SendNotification { device: device.id, title: args.title, body: args.body };
    let sent: SentNotification =
        with_consent(context, Owner::AtTerminal, async || context.hub.post("/notifications", &body).await).await?;
    if context.screen.json {
        return context.screen.document(&sent);
    }
    let shown = name(&device.name);
    context.screen.say(match sent.waits {
        false => format!("{shown} has it."),
        true => format!("{shown} is away; it gets it when it is back within twelve hours."),
    });
    Ok(())
}

pub async fn run(args: Notifications, context: &Context) -> Result<()> {
    let (id, path, body, done) = match args.action.unwrap_or(Action::List) {
        Action::List => return list(context).await,
        Action::Pause { minutes } => {
            let until = Timestamp::now() + Duration::from_secs(u64::from(minutes) * 60);
            return change(context, |rules| rules.paused_until = (minutes > 0).then_some(until)).await;
        }
        Action::HideContent { switch } => {
            return change(context, |rules| rules.hide_content = switch == State::On).await;
        }
        Action::Codes { device, switch } => {
            let device = find(context, &device).await?;
            return change(context, |rules| {
                rules.devices.entry(device.id.clone()).or_default().codes = switch == State::On;
            })
            .await;
        }
        Action::Rules { set } => return rules(context, set).await,
        Action::Dismiss { id } => (id, "dismiss", serde_json::json!({}), "Dismissed"),
        Action::Reply { id, text } => (id, "reply", serde_json::to_value(ReplyText { text })?, "Replied"),
        Action::Act { id, action } => (id, "act", serde_json::to_value(ActLabel { action })?, "Done"),
        Action::Copy { id } => (id, "copy", serde_json::json!({}), "Copied"),
    };
    let now: List = context.hub.get("/notifications").await?;
    let one = pick(&now.notifications, &id)?;
    let path = format!("/notifications/{}/{path}", escape(&one.id));
    with_consent(context, Owner::AtTerminal, async || context.hub.tell(Method::POST, &path, Some(&body)).await).await?;
    if context.screen.json {
        return context.screen.document(&serde_json::json!({ "id": one.id }));
    }
    context.screen.say(format!("{done}: {}", name(&one.title)));
    Ok(())
}

async fn list(context: &Context) -> Result<()> {
    let now: List = context.hub.get("/notifications").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&now);
    }
    if now.notifications.is_empty() {
        screen.note("No notifications.");
    } else {
        let rows = now.notifications.iter().map(|one| {
            let text = match (&one.code, one.hidden) {
                (_, true) => "(hidden)".to_owned(),
                (Some(code), _) => format!("{} (code {code})", one.title),
                (None, _) if one.body.is_empty() => one.title.clone(),
                (None, _) => format!("{}: {}", one.title, one.body.replace('\n', " ")),
            };
            vec![
                Cell::new(one.device_name.as_deref().unwrap_or("this one")),
                Cell::new(&one.app),
                Cell::new(for_screen(&text, 70)),
                Cell::new(ago(one.posted)),
                Cell::styled(&one.id, Style::Dim),
            ]
        });
        screen.table(&["DEVICE", "APP", "WHAT", "CAME", "ID"], rows.collect());
    }
    let message = now.desktop.message.as_deref().map(|message| for_screen(message, 300));
    match (now.desktop.mode, message) {
        (DesktopMode::None, Some(why)) => screen.note(format!("This computer's own are not here: {why}")),
        (DesktopMode::Following, Some(why)) => {
            screen.note(format!("This computer's own cannot be read along: {why}"));
        }
        _ => {}
    }
    Ok(())
}

fn pick<'a>(all: &'a [Notification], id: &str) -> Result<&'a Notification> {
    let exact = all.iter().find(|one| one.id == id);
    let mut begins = all.iter().filter(|one| id.len() >= 4 && one.id.starts_with(id));
    match (exact, begins.next(), begins.next()) {
        (Some(one), _, _) | (None, Some(one), None) => Ok(one),
        (None, Some(_), Some(_)) => bail!("Several ids begin with `{}`; say more of it", name(id)),
        (None, None, _) => bail!("No notification `{}` is there; the ids are in `accord notifications`", name(id)),
    }
}

async fn change(context: &Context, change: impl FnOnce(&mut NotificationRules)) -> Result<()> {
    let mut rules: NotificationRules = context.hub.get("/notifications/rules").await?;
    change(&mut rules);
    let rules: NotificationRules = context.hub.put("/notifications/rules", &rules).await?;
    if context.screen.json {
        return context.screen.document(&rules);
    }
    Ok(())
}

async fn rules(context: &Context, set: Option<String>) -> Result<()> {
    let rules: NotificationRules = match set {
        None => context.hub.get("/notifications/rules").await?,
        Some(file) => {
            let mut text = String::new();
            let read = match file.as_str() {
                "-" => std::io::stdin().lock().take(MAX_RULES).read_to_string(&mut text),
                path => std::fs::File::open(path).and_then(|file| file.take(MAX_RULES).read_to_string(&mut text)),
            };
            read.with_context(|| format!("{} cannot be read", name(&file)))?;
            let rules: NotificationRules = serde_json::from_str(&text).map_err(|error| {
                Usage(format!("these are no rules: {error}; `accord notifications rules` shows the form"))
            })?;
            context.hub.put("/notifications/rules", &rules).await?
        }
    };
    context.screen.document(&rules)
}
