//! `accord clip`: this computer's clipboard, and what devices copied.

use std::io::Read;

use accord_model::text::for_screen;
use anyhow::{Context as _, Result, bail};
use data_encoding::BASE64;
use hyper::Method;

use super::Context;
use super::agree::{Owner, with_consent};
use super::devices::find;
use super::hub::escape;
use super::notices::State;
use super::screen::{Cell, ago, name, size};
use crate::api::notices::{
    Clipboard, ClipboardContent, ClipboardKind, ClipboardOffer, ClipboardRules, Receiving, SendClipboard, SetClipboard,
};

#[derive(clap::Args)]
pub struct Clip {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the text in this computer's clipboard (the default), or write its picture into a file.
    Get {
        #[arg(long, value_name = "FILE")]
        image: Option<std::path::PathBuf>,
    },
    /// Put a text into this computer's clipboard; `-` for standard input.
    Set { text: String },
    /// Send what is in this computer's clipboard to a device.
    Send { device: String },
    /// What devices copied, and the rules.
    List,
    /// Take what a device copied; the only one when none is named.
    Accept { device: Option<String> },
    /// Do not take it; the only one when none is named.
    Refuse { device: Option<String> },
    /// What becomes of what devices copy, or one of them.
    Receive {
        #[arg(value_enum)]
        how: How,
        #[arg(long, value_name = "DEVICE")]
        from: Option<String>,
    },
    /// Whether a device gets whatever is copied here.
    Auto {
        device: String,
        #[arg(value_enum)]
        switch: State,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum How {
    Off,
    Ask,
    Automatic,
}

const MAX_TEXT: u64 = (1 << 20) + 1;

pub async fn run(args: Clip, context: &Context) -> Result<()> {
    let screen = &context.screen;
    match args.action.unwrap_or(Action::Get { image: None }) {
        Action::Get { image } => get(context, image).await,
        Action::Set { text } => {
            let text = match text.as_str() {
                "-" => {
                    let mut text = String::new();
                    std::io::stdin().lock().take(MAX_TEXT).read_to_string(&mut text).context("standard input")?;
                    text
                }
                _ => text,
            };
            Ok(context.hub.tell(Method::POST, "/clipboard/content", Some(&SetClipboard { text })).await?)
        }
        Action::Send { device } => {
            let device = find(context, &device).await?;
            let body = SendClipboard { device: device.id };
            let send = async || context.hub.tell(Method::POST, "/clipboard/send", Some(&body)).await;
            with_consent(context, Owner::AtTerminal, send).await?;
            if !screen.json {
                screen.say(format!("{} has it.", name(&device.name)));
            }
            Ok(())
        }
        Action::List => list(context).await,
        Action::Accept { device } => answer(context, device, "accept").await,
        Action::Refuse { device } => answer(context, device, "refuse").await,
        Action::Receive { how, from } => {
            let how = match how {
                How::Off => Receiving::Off,
                How::Ask => Receiving::Ask,
                How::Automatic => Receiving::Automatic,
            };
            let from = match from {
                Some(device) => Some(find(context, &device).await?.id),
                None => None,
            };
            change(context, |rules| match &from {
                Some(device) => rules.devices.entry(device.clone()).or_default().receive = Some(how),
                None => rules.receive = how,
            })
            .await
        }
        Action::Auto { device, switch } => {
            let device = find(context, &device).await?.id;
            change(context, |rules| rules.devices.entry(device.clone()).or_default().send = switch == State::On).await
        }
    }
}

async fn get(context: &Context, image: Option<std::path::PathBuf>) -> Result<()> {
    let content: ClipboardContent = context.hub.get("/clipboard/content").await?;
    if context.screen.json && image.is_none() {
        return context.screen.document(&content);
    }
    match (content.kind, content.text, content.image, image) {
        (ClipboardKind::Text, Some(text), _, None) => context.screen.write(text),
        (ClipboardKind::Image, _, Some(url), Some(file)) => {
            let encoded = url.split_once(',').map(|(_, encoded)| encoded).unwrap_or_default();
            let png = BASE64.decode(encoded.as_bytes()).context("the hub's picture cannot be understood")?;
            std::fs::write(&file, png).with_context(|| format!("cannot write {}", file.display()))?;
        }
        (ClipboardKind::Image, _, _, None) => {
            bail!("A picture is in the clipboard; `accord clip get --image FILE` writes it into a file")
        }
        _ => bail!("No picture is in the clipboard"),
    }
    Ok(())
}

async fn list(context: &Context) -> Result<()> {
    let now: Clipboard = context.hub.get("/clipboard").await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&now);
    }
    let word = |receiving: Receiving| match receiving {
        Receiving::Off => "is refused",
        Receiving::Ask => "waits for you",
        Receiving::Automatic => "is taken",
    };
    screen.say(format!("What devices copy {}.", word(now.rules.receive)));
    for (device, rule) in &now.rules.devices {
        let device = name(device);
        if rule.send {
            screen.say(format!("{device} gets whatever is copied here."));
        }
        if let Some(receiving) = rule.receive {
            screen.say(format!("What {device} copies {}.", word(receiving)));
        }
    }
    if !now.offers.is_empty() {
        let rows = now.offers.iter().map(|offer| {
            vec![
                Cell::new(&offer.device_name),
                Cell::new(what(offer)),
                Cell::number(size(offer.size)),
                Cell::new(ago(offer.since)),
            ]
        });
        screen.table(&["DEVICE", "WHAT", "SIZE", "COPIED"], rows.collect());
    }
    if let Some(message) = &now.message {
        screen.note(for_screen(message, 300));
    }
    Ok(())
}

fn what(offer: &ClipboardOffer) -> String {
    match (offer.kind, &offer.preview) {
        (ClipboardKind::Text, Some(preview)) => for_screen(preview, 60),
        (ClipboardKind::Text, None) => "a text".to_owned(),
        (ClipboardKind::Image, _) => "a picture".to_owned(),
    }
}

async fn answer(context: &Context, device: Option<String>, verb: &str) -> Result<()> {
    let now: Clipboard = context.hub.get("/clipboard").await?;
    let device = match (device, now.offers.as_slice()) {
        (Some(device), _) => find(context, &device).await?.id,
        (None, [only]) => only.device.clone(),
        (None, []) => bail!("Nothing that a device copied waits for you"),
        (None, several) => bail!("{} devices copied something; say which, see `accord clip list`", several.len()),
    };
    let path = format!("/clipboard/offers/{}/{verb}", escape(&device));
    Ok(context.hub.tell(Method::POST, &path, Some(&serde_json::json!({}))).await?)
}

async fn change(context: &Context, change: impl Fn(&mut ClipboardRules)) -> Result<()> {
    let now: Clipboard = context.hub.get("/clipboard").await?;
    let mut rules = now.rules;
    change(&mut rules);
    let put = async || context.hub.put::<Clipboard>("/clipboard/rules", &rules).await;
    let now = with_consent(context, Owner::AtTerminalForGood, put).await?;
    if context.screen.json {
        return context.screen.document(&now);
    }
    Ok(())
}
