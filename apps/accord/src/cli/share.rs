//! `accord share`: an address for any browser near, and who comes; and `accord shares`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::Future;
use std::time::Duration;

use accord_model::text::for_screen;
use anyhow::{Result, bail};
use hyper::Method;
use tokio::signal::unix::{SignalKind, signal};

use super::agree::{Owner, with_consent};
use super::hub::{Events, escape};
use super::pair::qr;
use super::screen::{Cell, Style, ask, can_ask, count, moment, name, size};
use super::send::absolute;
use super::{Context, Usage};
use crate::api::shares::{Admission, AnswerVisitor, Share, Shares as List, StartShare, Visitor, VisitorState};
use crate::api::types::Event;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["paths", "text"]))]
pub struct ShareArgs {
    /// Files and folders.
    paths: Vec<OsString>,
    /// Share this text.
    #[arg(long)]
    text: Option<String>,
    /// Let in whoever knows this PIN, of 4 to 32 letters and digits; with `new`, six digits are made up.
    #[arg(long, value_name = "PIN")]
    pin: Option<String>,
    /// Let in everyone who has the address.
    #[arg(long, conflicts_with = "pin")]
    everyone: bool,
    /// How long it is open: `10m`, `1h`, `2d`.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    lasts: String,
    /// Return at once; `accord shares stop` ends it.
    #[arg(long)]
    detach: bool,
}

#[derive(clap::Args)]
pub struct Shares {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List what is shared by link now, and who came (the default).
    List,
    /// Stop sharing: one, or all.
    Stop { id: Option<String> },
    /// Let a visitor in that waits.
    LetIn {
        /// The visitor's number; the only one that waits without.
        visitor: Option<u64>,
    },
    /// Do not let a visitor in that waits.
    Decline {
        /// The visitor's number; the only one that waits without.
        visitor: Option<u64>,
    },
}

pub async fn share(args: ShareArgs, context: &Context) -> Result<()> {
    let start = StartShare {
        paths: match args.paths.is_empty() {
            true => None,
            false => Some(args.paths.iter().map(|path| absolute(path)).collect::<Result<_>>()?),
        },
        text: args.text.clone(),
        upload: None,
        admission: match (&args.pin, args.everyone) {
            (Some(_), _) => Admission::Pin,
            (None, true) => Admission::Everyone,
            (None, false) => Admission::Ask,
        },
        pin: args.pin.clone().filter(|pin| pin != "new"),
        seconds: Some(seconds(&args.lasts)?),
        surface: Some("cli".into()),
    };
    // Before it is open, so that nobody who comes at once is missed.
    let events = context.hub.events().await?;
    let share: Share =
        with_consent(context, Owner::AtTerminal, async || context.hub.post("/shares", &start).await).await?;
    if args.detach {
        if context.screen.json {
            return context.screen.document(&share);
        }
        show(context, &share)?;
        context.screen.say("Stop it with `accord shares stop`.");
        return Ok(());
    }
    let screen = &context.screen;
    if screen.json {
        screen.document(&share)?;
    } else {
        show(context, &share)?;
        screen.say("Ctrl-C stops sharing.");
    }
    let outcome = watch(context, &share, events).await;
    if let Err(error) = &outcome
        && error.is::<Stopped>()
    {
        let path = format!("/shares/{}", escape(&share.id));
        // Its time may have run out in the same moment.
        match context.hub.tell(Method::DELETE, &path, None::<&()>).await {
            Err(error) if error.code() != Some("not-found") => return Err(error.into()),
            _ => {}
        }
        if !screen.json {
            screen.say("Sharing stopped.");
        }
        return Ok(());
    }
    outcome
}

/// The owner pressed Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

fn show(context: &Context, share: &Share) -> Result<()> {
    let screen = &context.screen;
    for line in &share.skipped {
        screen.note(format!("not shared: {}", for_screen(line, 300)));
    }
    let Some(url) = share.urls.first() else {
        bail!("This machine is in no network now; nobody can reach the share");
    };
    screen.say(qr(url)?);
    let things = count(share.items_total as u64, "thing", "things");
    screen.say(format!("{things} ({}) at:", size(share.bytes_total)));
    for url in &share.urls {
        screen.say(format!("  {}", screen.paint(Style::Bold, &for_screen(url, 200))));
    }
    match (share.admission, &share.pin) {
        (Admission::Pin, Some(pin)) => screen.say(format!("PIN: {}", screen.paint(Style::Bold, pin))),
        (Admission::Everyone, _) => screen.say("Everyone who has the address gets it."),
        _ => screen.say("You are asked about each visitor."),
    }
    screen.say(format!("Not encrypted: others in this network could read along. Open until {}.", moment(share.until)));
    Ok(())
}

/// Shows who comes, and asks about those who wait, until the share is over.
async fn watch(context: &Context, share: &Share, mut events: Events) -> Result<()> {
    let mut seen: BTreeMap<u64, (VisitorState, u64)> = BTreeMap::new();
    let mut queue: Vec<Visitor> = Vec::new();
    let signal = told_to_stop()?;
    tokio::pin!(signal);
    loop {
        let event = tokio::select! {
            biased;
            _ = &mut signal => return Err(Stopped.into()),
            event = events.next() => event?,
        };
        let now = match event {
            Some(Event::Share(now)) if now.id == share.id => now,
            // Something was missed.
            Some(Event::Hello(_)) => match context.hub.get(&format!("/shares/{}", escape(&share.id))).await {
                Ok(now) => now,
                Err(error) if HubGone::is(&error) => return over(context),
                Err(error) => return Err(error.into()),
            },
            Some(Event::ShareGone { id }) if id == share.id => return over(context),
            Some(_) => continue,
            None => bail!("The hub stopped, and sharing with it"),
        };
        for visitor in now.visitors.iter().rev() {
            let before = seen.insert(visitor.id, (visitor.state, visitor.files_done));
            if before == Some((visitor.state, visitor.files_done)) {
                continue;
            }
            tell(context, visitor, before);
            if visitor.state == VisitorState::Waiting {
                queue.push(visitor.clone());
            }
        }
        for visitor in std::mem::take(&mut queue) {
            if !can_ask() || context.screen.json {
                context.screen.note(format!(
                    "{} waits: `accord shares let-in {}` or `accord shares decline {}`",
                    name(&visitor.address),
                    visitor.id,
                    visitor.id
                ));
                continue;
            }
            let question = format!("Let {} in? [y/N]", name(&visitor.address));
            let answer = tokio::select! {
                biased;
                _ = &mut signal => return Err(Stopped.into()),
                answer = ask(&question) => answer?,
            };
            let yes = matches!(answer.unwrap_or_default().trim().to_lowercase().as_str(), "y" | "yes");
            if let Err(error) = decide(context, &share.id, visitor.id, yes).await {
                context.screen.note(format!("{error:#}"));
            }
        }
    }
}

/// Ctrl-C, a closed terminal, or an orderly end: what this command opened ends with it.
fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let (mut end, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = end.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// The hub does not know the share any more.
struct HubGone;

impl HubGone {
    fn is(error: &super::hub::HubError) -> bool {
        error.code() == Some("not-found")
    }
}

fn over(context: &Context) -> Result<()> {
    if !context.screen.json {
        context.screen.say("Sharing is over.");
    }
    Ok(())
}

fn tell(context: &Context, visitor: &Visitor, before: Option<(VisitorState, u64)>) {
    if context.screen.json {
        return;
    }
    let who = match &visitor.agent {
        Some(agent) => format!("{} ({})", name(&visitor.address), for_screen(agent, 80)),
        None => name(&visitor.address),
    };
    let line = match (visitor.state, before) {
        (VisitorState::Waiting, _) => format!("{who} wants to come in"),
        (VisitorState::Declined, _) => format!("{who} was not let in"),
        (VisitorState::Left, _) => format!("{who} left"),
        (VisitorState::In, Some((VisitorState::In, files))) if visitor.files_done > files => format!(
            "{} has {} ({})",
            name(&visitor.address),
            count(visitor.files_done, "file", "files"),
            size(visitor.bytes)
        ),
        (VisitorState::In, _) => format!("{who} is in"),
    };
    context.screen.say(line);
}

async fn decide(context: &Context, share: &str, visitor: u64, yes: bool) -> Result<Share> {
    let path = format!("/shares/{}/visitors/{visitor}", escape(share));
    let answer = AnswerVisitor { let_in: yes, surface: Some("cli".into()) };
    Ok(context.hub.post(&path, &answer).await?)
}

pub async fn shares(args: Shares, context: &Context) -> Result<()> {
    let list: List = context.hub.get("/shares").await?;
    match args.action.unwrap_or(Action::List) {
        Action::List if context.screen.json => context.screen.document(&list),
        Action::List => {
            table(context, &list);
            Ok(())
        }
        Action::Stop { id } => stop(context, &list, id.as_deref()).await,
        Action::LetIn { visitor } => answer(context, &list, visitor, true).await,
        Action::Decline { visitor } => answer(context, &list, visitor, false).await,
    }
}

async fn stop(context: &Context, list: &List, id: Option<&str>) -> Result<()> {
    let chosen: Vec<&Share> = list.shares.iter().filter(|share| id.is_none_or(|id| share.id == id)).collect();
    if chosen.is_empty() {
        bail!("Nothing is shared by link{}", id.map(|id| format!(" as {}", name(id))).unwrap_or_default());
    }
    for share in &chosen {
        context.hub.tell(Method::DELETE, &format!("/shares/{}", escape(&share.id)), None::<&()>).await?;
    }
    if context.screen.json {
        let ids: Vec<&str> = chosen.iter().map(|share| share.id.as_str()).collect();
        return context.screen.document(&serde_json::json!({ "stopped": ids }));
    }
    context.screen.say(format!("{} stopped.", count(chosen.len() as u64, "share", "shares")));
    Ok(())
}

async fn answer(context: &Context, list: &List, visitor: Option<u64>, yes: bool) -> Result<()> {
    let waiting = list.shares.iter().flat_map(|share| share.visitors.iter().map(move |one| (share, one)));
    let waiting: Vec<_> = waiting.filter(|(_, one)| one.state == VisitorState::Waiting).collect();
    let of_number = waiting.iter().filter(|(_, one)| visitor.is_none_or(|number| one.id == number));
    let (share, one) = match of_number.collect::<Vec<_>>()[..] {
        [only] => *only,
        [] => bail!("No such visitor waits; `accord shares` shows who came"),
        _ => bail!("Several visitors wait; say which by its number, from `accord shares`"),
    };
    let share = decide(context, &share.id, one.id, yes).await?;
    if context.screen.json {
        return context.screen.document(&share);
    }
    context.screen.say(format!("{} {}.", name(&one.address), if yes { "is in" } else { "was not let in" }));
    Ok(())
}

fn table(context: &Context, list: &List) {
    let screen = &context.screen;
    if list.shares.is_empty() {
        screen.note("Nothing is shared by link. `accord share FILE` opens a link.");
    }
    for share in &list.shares {
        let things = count(share.items_total as u64, "thing", "things");
        let url = share.urls.first().map_or_else(|| "no network".to_owned(), |url| for_screen(url, 200));
        screen.say(format!("{url}  {things} ({}), until {}", size(share.bytes_total), moment(share.until)));
        screen.say(screen.paint(Style::Dim, &share.id));
        let rows = share.visitors.iter().map(|visitor| {
            let state = match visitor.state {
                VisitorState::Waiting => Cell::styled("waits", Style::Warn),
                VisitorState::In => Cell::styled("in", Style::Good),
                VisitorState::Declined => Cell::new("not let in"),
                VisitorState::Left => Cell::new("left"),
            };
            vec![
                Cell::new(visitor.id.to_string()),
                Cell::new(&visitor.address),
                state,
                Cell::new(count(visitor.files_done, "file", "files")),
                Cell::new(size(visitor.bytes)),
                Cell::styled(visitor.agent.as_deref().unwrap_or_default(), Style::Dim),
            ]
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            screen.table(&["NO", "ADDRESS", "STATE", "FETCHED", "BYTES", "SAYS IT IS"], rows);
        }
    }
}

/// `90s`, `10m`, `1h`, `2d`.
fn seconds(text: &str) -> Result<u32> {
    let bad = || Usage(format!("`{}` is no time; write `10m`, `1h` or `2d`, at most seven days", name(text)));
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?);
    let unit = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        "d" => Duration::from_secs(86_400),
        _ => return Err(bad().into()),
    };
    let number: u32 = number.parse().map_err(|_| bad())?;
    let whole = unit.checked_mul(number).map(|time| time.as_secs()).filter(|time| (1..=7 * 86_400).contains(time));
    Ok(u32::try_from(whole.ok_or_else(bad)?)?)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_written_short() {
        for (text, time) in [("90s", 90), ("10m", 600), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(seconds(text).unwrap(), time);
        }
        for bad in ["", "1", "h", "8d", "0m", "-1h", "1w", "99999999999h", "1h30m"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
