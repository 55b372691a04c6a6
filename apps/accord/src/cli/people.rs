//! `accord messages` and `accord contacts`: what a phone has.

use accord_model::text::for_screen;
use anyhow::{Result, bail};
use hyper::Method;

use super::agree::{Owner, with_consent};
use super::devices::find;
use super::hub::escape;
use super::screen::{Cell, Style, ago, can_ask, name, yes};
use super::{Context, Usage};
use crate::api::people::{Contact, Contacts as Book, Labelled, Message, Messages as List, SendMessage};
use crate::api::types::Device;

#[derive(clap::Args)]
pub struct Messages {
    /// A phone's name or id.
    device: String,
    /// One conversation, by its number; without it, all of them with their newest message.
    #[arg(allow_negative_numbers = true)]
    thread: Option<i64>,
    /// Messages of the conversation not newer than this, in milliseconds since 1970.
    #[arg(long, value_name = "MS", requires = "thread")]
    before: Option<i64>,
    /// Have the phone send this into the conversation.
    #[arg(long, value_name = "TEXT", requires = "thread", conflicts_with_all = ["to", "before"])]
    reply: Option<String>,
    /// Have the phone send a message to this number; again for more of them.
    #[arg(long, value_name = "NUMBER", requires = "text", conflicts_with = "thread")]
    to: Vec<String>,
    /// What it says.
    #[arg(long, requires = "to")]
    text: Option<String>,
    /// Do not ask again before it is sent.
    #[arg(long, short)]
    yes: bool,
}

#[derive(clap::Args)]
pub struct Contacts {
    /// A phone's name or id.
    device: String,
    /// Only those with this in a name, number or address.
    #[arg(long, value_name = "WORD")]
    find: Option<String>,
}

pub async fn messages(args: Messages, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    let path = format!("/devices/{}/messages", escape(&device.id));
    if let Some(text) = args.text {
        return send(context, &device, SendMessage { to: args.to, text }, args.yes).await;
    }
    let Some(thread) = args.thread else {
        let list: List = ask(context, &path).await?;
        return show(context, &list, true);
    };
    let before = args.before.map(|before| format!("?before={before}")).unwrap_or_default();
    let list: List = ask(context, &format!("{path}/{thread}{before}")).await?;
    let Some(text) = args.reply else { return show(context, &list, false) };
    let Some(newest) = list.messages.first().filter(|newest| !newest.addresses.is_empty()) else {
        bail!("{} has no conversation {thread}; `accord messages` lists them", name(&device.name));
    };
    send(context, &device, SendMessage { to: newest.addresses.clone(), text }, args.yes).await
}

async fn ask<T: serde::de::DeserializeOwned>(context: &Context, path: &str) -> Result<T> {
    with_consent(context, Owner::AtTerminal, async || context.hub.get(path).await).await
}

async fn send(context: &Context, device: &Device, message: SendMessage, agreed: bool) -> Result<()> {
    let to: Vec<String> = message.to.iter().map(|number| name(number)).collect();
    let question = format!("Have {} send this to {}? [y/N]", name(&device.name), to.join(", "));
    let agreed = agreed || (can_ask() && yes(&question).await?);
    if !agreed {
        bail!("Nothing was sent; `--yes` sends it without asking");
    }
    let path = format!("/devices/{}/messages", escape(&device.id));
    with_consent(context, Owner::AtTerminal, async || context.hub.tell(Method::POST, &path, Some(&message)).await)
        .await?;
    if context.screen.json {
        return context.screen.document(&message);
    }
    context.screen.say(format!("{} was told to send it.", name(&device.name)));
    Ok(())
}

fn show(context: &Context, list: &List, as_threads: bool) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(list);
    }
    if list.messages.is_empty() {
        screen.note("No messages.");
        return Ok(());
    }
    let row = |message: &Message| {
        let with: Vec<String> = message.addresses.iter().map(|address| name(address)).collect();
        let whose = if message.sent { Cell::styled("sent", Style::Dim) } else { Cell::new("") };
        let attached = if message.attachments.is_empty() { String::new() } else { "[attachment] ".to_owned() };
        let text = format!("{attached}{}", message.text.replace('\n', " "));
        let first = if as_threads { message.thread.to_string() } else { String::new() };
        vec![
            Cell::number(first),
            Cell::new(with.join(", ")),
            whose,
            Cell::new(for_screen(&text, 300)),
            Cell::styled(ago(message.date), Style::Dim),
        ]
    };
    let head = ["NO", "WITH", "", "TEXT", "WHEN"];
    if as_threads {
        screen.table(&head, list.messages.iter().map(row).collect());
    } else {
        // As it is read: the newest at the end.
        screen.table(&head, list.messages.iter().rev().map(row).collect());
    }
    if list.more {
        screen.note("There are more than these.");
    }
    Ok(())
}

pub async fn contacts(args: Contacts, context: &Context) -> Result<()> {
    if args.find.as_deref().is_some_and(|word| word.trim().is_empty()) {
        return Err(Usage("--find takes a word".into()).into());
    }
    let device = find(context, &args.device).await?;
    let mut book: Book = ask(context, &format!("/devices/{}/contacts", escape(&device.id))).await?;
    if let Some(word) = &args.find {
        let word = word.to_lowercase();
        book.contacts.retain(|contact| says(contact, &word));
    }
    let screen = &context.screen;
    if screen.json {
        return screen.document(&book);
    }
    if book.contacts.is_empty() {
        screen.note("No contacts.");
        return Ok(());
    }
    let rows = book.contacts.iter().map(|contact| {
        vec![Cell::new(name(&contact.name)), Cell::new(joined(&contact.numbers)), Cell::new(joined(&contact.mails))]
    });
    screen.table(&["NAME", "NUMBERS", "MAIL"], rows.collect());
    if book.more {
        screen.note("There are more than these.");
    }
    Ok(())
}

fn says(contact: &Contact, word: &str) -> bool {
    let values = contact.numbers.iter().chain(&contact.mails).map(|one| one.value.as_str());
    values.chain([contact.name.as_str()]).any(|text| text.to_lowercase().contains(word))
}

fn joined(all: &[Labelled]) -> String {
    let one = |one: &Labelled| match one.label.as_str() {
        "" => name(&one.value),
        label => format!("{} ({})", name(&one.value), name(label)),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}
