//! `accord transfers` and `accord inbox`.

use accord_model::text::for_screen;
use anyhow::{Result, bail};
use hyper::Method;

use super::Context;
use super::hub::escape;
use super::screen::{Cell, Style, ago, count, name, size};
use super::send::is_over;
use crate::api::types::{Accept, Direction, Inbox as Box, Transfer, TransferKind, TransferState, Transfers as List};

#[derive(clap::Args)]
pub struct Transfers {
    #[command(subcommand)]
    action: Option<TransfersAction>,
}

#[derive(clap::Subcommand)]
enum TransfersAction {
    /// List them, newest first (the default).
    List,
    /// Stop one that runs.
    Cancel { id: String },
    /// Try one again that failed; goes on where it was.
    Retry { id: String },
    /// Forget finished ones: one, or all.
    Clear { id: Option<String> },
}

#[derive(clap::Args)]
pub struct Inbox {
    #[command(subcommand)]
    action: Option<InboxAction>,
}

#[derive(clap::Subcommand)]
enum InboxAction {
    /// Offers that wait for you, and what you received (the default).
    List,
    /// Take an offer; the only one when no id is given.
    Accept {
        id: Option<String>,
        /// From now on take everything this device sends.
        #[arg(long)]
        always: bool,
    },
    /// Say no to an offer; the only one when no id is given.
    Refuse { id: Option<String> },
}

pub async fn run(args: Transfers, context: &Context) -> Result<()> {
    let list: List = context.hub.get("/transfers").await?;
    let (id, verb) = match args.action.unwrap_or(TransfersAction::List) {
        TransfersAction::List if context.screen.json => return context.screen.document(&list),
        TransfersAction::List => {
            if list.transfers.is_empty() {
                context.screen.note("Nothing was sent or received yet.");
            } else {
                table(context, &list.transfers);
            }
            return Ok(());
        }
        TransfersAction::Clear { id } => return clear(context, &list, id).await,
        TransfersAction::Cancel { id } => (id, "cancel"),
        TransfersAction::Retry { id } => (id, "retry"),
    };
    let transfer = pick(&list.transfers, &id)?;
    act(context, &format!("/transfers/{}/{verb}", escape(&transfer.id)), &serde_json::json!({})).await?;
    answer(context, &transfer.id).await
}

async fn clear(context: &Context, list: &List, id: Option<String>) -> Result<()> {
    let chosen: Vec<&Transfer> = match &id {
        Some(id) => vec![pick(&list.transfers, id)?],
        None => list.transfers.iter().filter(|transfer| is_over(transfer.state)).collect(),
    };
    for transfer in &chosen {
        context.hub.tell(Method::DELETE, &format!("/transfers/{}", escape(&transfer.id)), None::<&()>).await?;
    }
    if context.screen.json {
        let ids: Vec<&str> = chosen.iter().map(|transfer| transfer.id.as_str()).collect();
        return context.screen.document(&serde_json::json!({ "cleared": ids }));
    }
    context.screen.say(format!("{} forgotten.", count(chosen.len() as u64, "transfer", "transfers")));
    Ok(())
}

pub async fn inbox(args: Inbox, context: &Context) -> Result<()> {
    let inbox: Box = context.hub.get("/inbox").await?;
    let screen = &context.screen;
    let (id, accepted) = match args.action.unwrap_or(InboxAction::List) {
        InboxAction::List if screen.json => return screen.document(&inbox),
        InboxAction::List => {
            for offer in &inbox.offers {
                show_offer(context, offer);
            }
            if !inbox.received.is_empty() {
                table(context, &inbox.received);
            }
            screen.note(format!("Received files lie in {}", for_screen(&inbox.folder, 300)));
            return Ok(());
        }
        InboxAction::Accept { id, always } => {
            let offer = one(&inbox.offers, id.as_deref())?;
            act(context, &format!("/inbox/{}/accept", escape(&offer.id)), &Accept { always }).await?;
            (offer.id.clone(), Some(what(offer)))
        }
        InboxAction::Refuse { id } => {
            let offer = one(&inbox.offers, id.as_deref())?;
            act(context, &format!("/inbox/{}/refuse", escape(&offer.id)), &serde_json::json!({})).await?;
            (offer.id.clone(), None)
        }
    };
    match accepted {
        Some(what) if !screen.json => {
            screen.say(format!("Accepted: {what}; it goes to {}", for_screen(&inbox.folder, 300)));
            Ok(())
        }
        _ => answer(context, &id).await,
    }
}

async fn act(context: &Context, path: &str, body: &impl serde::Serialize) -> Result<()> {
    use super::agree::{Owner, with_consent};
    with_consent(context, Owner::AtTerminal, async || context.hub.tell(Method::POST, path, Some(body)).await).await
}

/// Shows what became of a transfer; it may be gone already.
async fn answer(context: &Context, id: &str) -> Result<()> {
    let transfer: Transfer = match context.hub.get(&format!("/transfers/{}", escape(id))).await {
        Ok(transfer) => transfer,
        Err(error) if error.code() == Some("not-found") => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if context.screen.json {
        return context.screen.document(&transfer);
    }
    context.screen.say(format!("{}: {}", what(&transfer), state(&transfer).0));
    Ok(())
}

fn one<'a>(offers: &'a [Transfer], id: Option<&str>) -> Result<&'a Transfer> {
    match (id, offers) {
        (Some(id), offers) => pick(offers, id),
        (None, [only]) => Ok(only),
        (None, []) => bail!("No offer waits for you"),
        (None, several) => bail!("{} offers wait; say which, see `accord inbox`", several.len()),
    }
}

/// By id or its beginning.
fn pick<'a>(transfers: &'a [Transfer], id: &str) -> Result<&'a Transfer> {
    let exact = transfers.iter().find(|transfer| transfer.id == id);
    let mut begins = transfers.iter().filter(|transfer| id.len() >= 4 && transfer.id.starts_with(id));
    match (exact, begins.next(), begins.next()) {
        (Some(transfer), _, _) | (None, Some(transfer), None) => Ok(transfer),
        (None, Some(_), Some(_)) => bail!("Several ids begin with `{}`; say more of it", name(id)),
        (None, None, _) => bail!("No transfer `{}` waits or runs here; the ids are in `accord transfers`", name(id)),
    }
}

fn table(context: &Context, transfers: &[Transfer]) {
    let rows = transfers.iter().map(|transfer| {
        let (state, style) = state(transfer);
        let arrow = match transfer.direction {
            Direction::In => "from",
            Direction::Out => "to",
        };
        vec![
            Cell::new(format!("{arrow} {}", transfer.device_name)),
            Cell::new(what(transfer)),
            Cell::number(total(transfer)),
            Cell::styled(state, style),
            Cell::new(transfer.carrier.as_deref().unwrap_or("-")),
            Cell::new(ago(transfer.created)),
            Cell::styled(&transfer.id, Style::Dim),
        ]
    });
    context.screen.table(&["DEVICE", "WHAT", "SIZE", "STATE", "CARRIER", "BEGAN", "ID"], rows.collect());
}

fn show_offer(context: &Context, offer: &Transfer) {
    let screen = &context.screen;
    screen.say(format!(
        "{} wants to send you {} ({}):",
        screen.paint(Style::Bold, &name(&offer.device_name)),
        what(offer),
        total(offer)
    ));
    if let Some(text) = &offer.text {
        screen.say(format!("  {}", for_screen(text, 400)));
    }
    for item in offer.items.iter().take(10) {
        let size = item.size.map(|bytes| format!("  {}", size(bytes))).unwrap_or_default();
        screen.say(format!("  {}{}{size}", name(&item.name), if item.folder { "/" } else { "" }));
    }
    let more = offer.files_total.saturating_sub(offer.items.len().min(10) as u64);
    if more > 0 && !offer.items.is_empty() {
        screen.say(format!("  and {}{more} more", if offer.exact { "" } else { "at least " }));
    }
    if let Some(message) = &offer.message {
        screen.say(format!("  {}", for_screen(message, 300)));
    }
    let id = for_screen(&offer.id, 80);
    screen.say(format!("  `accord inbox accept {id}` (with --always: no more asking) or `accord inbox refuse {id}`"));
}

/// How much, as far as it is known.
fn total(transfer: &Transfer) -> String {
    match (transfer.exact || transfer.state == TransferState::Done, transfer.bytes_total) {
        (true, bytes) => size(bytes),
        (false, 0) => "size not known".into(),
        (false, bytes) => format!("at least {}", size(bytes)),
    }
}

fn what(transfer: &Transfer) -> String {
    let files = || {
        let at_least = if transfer.exact { "" } else { "at least " };
        format!("{at_least}{}", count(transfer.files_total, "file", "files"))
    };
    match transfer.kind {
        TransferKind::Text => "a text".into(),
        TransferKind::Url => transfer.text.as_deref().map_or("a link".into(), name),
        TransferKind::Files => match transfer.items.as_slice() {
            [only] if !only.folder || transfer.files_total <= 1 => name(&only.name),
            [only] => format!("{}/ ({})", name(&only.name), files()),
            [] => files(),
            [first, ..] => format!("{} and more ({})", name(&first.name), files()),
        },
    }
}

fn state(transfer: &Transfer) -> (String, Style) {
    let percent = transfer.bytes_done.saturating_mul(100).checked_div(transfer.bytes_total).unwrap_or(0);
    match transfer.state {
        TransferState::Connecting => ("connecting".into(), Style::Plain),
        TransferState::Offered => ("waits for an answer".into(), Style::Warn),
        TransferState::Running => (format!("running, {percent} %"), Style::Plain),
        TransferState::Paused => (format!("paused at {percent} %"), Style::Warn),
        TransferState::Done => ("done".into(), Style::Good),
        TransferState::Failed => (with_reason("failed", transfer), Style::Bad),
        TransferState::Refused => (with_reason("refused", transfer), Style::Bad),
        TransferState::Cancelled => ("cancelled".into(), Style::Dim),
    }
}

fn with_reason(word: &str, transfer: &Transfer) -> String {
    match &transfer.message {
        Some(message) => format!("{word}: {}", for_screen(message, 60)),
        None => word.into(),
    }
}
