//! `accord browse`: what lies on a device, fetching files from there, and where players fetch them.

use accord_model::text::for_screen;
use anyhow::{Result, bail};

use super::Context;
use super::agree::{Owner, quote, with_consent};
use super::devices::find;
use super::hub::escape;
use super::screen::{Cell, Style, ago, count, name, size};
use super::send::watch;
use crate::api::browse::{EntryKind, FetchFile, FileAddress, Folder};
use crate::api::types::{Device, Transfer, TransferState};

#[derive(clap::Args)]
pub struct Browse {
    /// A device's name or id.
    device: String,
    /// A folder on the device; without it, where one can begin.
    path: Option<String>,
    /// Fetch this file into the inbox; may be given several times.
    #[arg(long, value_name = "PATH", conflicts_with = "path")]
    get: Vec<String>,
    /// Say at which address players fetch this file of a media server themselves.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["path", "get"])]
    address: Option<String>,
    /// Say nothing unless it fails.
    #[arg(long, short, requires = "get")]
    quiet: bool,
}

pub async fn run(args: Browse, context: &Context) -> Result<()> {
    let device = find(context, &args.device).await?;
    if let Some(path) = &args.address {
        return address(context, &device, path).await;
    }
    if args.get.is_empty() {
        return list(context, &device, args.path.as_deref().unwrap_or_default()).await;
    }
    let mut transfers = Vec::new();
    let mut failed = 0;
    for path in &args.get {
        let quiet = args.quiet || context.screen.json;
        let transfer = fetch(context, &device, path, quiet).await?;
        failed += usize::from(transfer.state != TransferState::Done);
        transfers.push(transfer);
    }
    if context.screen.json {
        context.screen.document(&serde_json::json!({ "transfers": transfers }))?;
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{} did not come", count(failed as u64, "file", "files")),
    }
}

async fn list(context: &Context, device: &Device, path: &str) -> Result<()> {
    let call = format!("/devices/{}/files?path={}", escape(&device.id), escape(path));
    let folder: Folder = with_consent(context, Owner::AtTerminal, async || context.hub.get(&call).await).await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&folder);
    }
    if folder.path.is_empty() {
        let rows = folder.entries.iter().map(|place| vec![Cell::new(&place.name), Cell::new(&place.path)]);
        screen.table(&["PLACE", "PATH"], rows.collect());
        return Ok(());
    }
    screen.say(screen.paint(Style::Bold, &for_screen(&folder.path, 500)));
    let rows = folder.entries.iter().map(|entry| {
        let shown = match entry.kind {
            EntryKind::Folder => Cell::styled(format!("{}/", entry.name), Style::Bold),
            EntryKind::Link => Cell::new(format!("{} →", entry.name)),
            EntryKind::File => Cell::new(&entry.name),
            EntryKind::Other => Cell::styled(&entry.name, Style::Dim),
        };
        let bytes = entry.size.map(size).unwrap_or_default();
        vec![Cell::number(bytes), Cell::new(entry.modified.map(ago).unwrap_or_default()), shown]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        screen.note("Nothing is in this folder.");
    } else {
        screen.table(&["SIZE", "CHANGED", "NAME"], rows);
    }
    if folder.more {
        screen.note(format!("… and more: only the first {} are shown.", folder.entries.len()));
    }
    if folder.nameless > 0 {
        let names = count(folder.nameless, "entry whose name is", "entries whose names are");
        screen.note(format!("Left out: {names} no text."));
    }
    Ok(())
}

async fn address(context: &Context, device: &Device, path: &str) -> Result<()> {
    let call = format!("/devices/{}/files/address?path={}", escape(&device.id), escape(path));
    let found: FileAddress = with_consent(context, Owner::AtTerminal, async || context.hub.get(&call).await).await?;
    if context.screen.json {
        return context.screen.document(&found);
    }
    context.screen.say(&found.address);
    Ok(())
}

async fn fetch(context: &Context, device: &Device, path: &str, quiet: bool) -> Result<Transfer> {
    let call = format!("/devices/{}/files/fetch", escape(&device.id));
    let wanted = FetchFile { path: path.to_owned() };
    let begun: Transfer =
        with_consent(context, Owner::AtTerminal, async || context.hub.post(&call, &wanted).await).await?;
    let transfer = watch(context, begun, quiet).await?;
    let shown = for_screen(path, 300);
    match transfer.state {
        TransferState::Done => {
            if !quiet {
                let saved = transfer.saved_to.as_deref().map(|at| for_screen(at, 300)).unwrap_or_default();
                context.screen.say(format!("{shown} ({}) is in {saved}", size(transfer.bytes_done)));
            }
        }
        _ => {
            let why =
                transfer.message.as_deref().map_or_else(|| "no reason given".to_owned(), |text| for_screen(text, 500));
            context.screen.note(format!("{shown} did not come from {}: {why}", name(&device.name)));
            if transfer.state == TransferState::Failed {
                let (device, path) = (quote(&device.name), quote(path));
                context.screen.note(format!("To try again: accord browse {device} --get {path}"));
            }
        }
    }
    Ok(transfer)
}
