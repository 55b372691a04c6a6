//! `accord consent`: what the owner decided, and deciding.

use accord_model::{FieldCode, Timestamp};
use anyhow::{Result, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::agree::describe;
use super::desk::Desk;
use super::screen::{Cell, Style, ago, moment, name};
use super::{Context, Usage};
use crate::api::types::{Choice, Consent as Decided, ConsentState, Decide};

#[derive(clap::Args)]
pub struct Consent {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Every decision, and the entries that wait for one.
    List,
    /// Agree to an entry.
    Grant {
        /// For example `files/send`; all are in `accord statement show`.
        entry: String,
        /// Only for this recipient: a device's name or id, `network:lan` or `host:<name:port>`.
        #[arg(long, value_name = "RECIPIENT")]
        to: Option<String>,
        /// For one time.
        #[arg(long, conflicts_with = "until")]
        once: bool,
        /// Until the end of this day (2030-12-31), or until this moment (RFC 3339).
        #[arg(long, value_name = "DATE", value_parser = until)]
        until: Option<Timestamp>,
        /// Only these fields, as the statement names them.
        #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
        only: Option<Vec<FieldCode>>,
    },
    /// Say no to an entry; it is not asked again.
    Refuse {
        entry: String,
        #[arg(long, value_name = "RECIPIENT")]
        to: Option<String>,
    },
    /// Take a decision back. What runs under it stops at once.
    Withdraw {
        /// An entry, or the id of one decision (`c-7`).
        entry: String,
        #[arg(long, value_name = "RECIPIENT")]
        to: Option<String>,
    },
    /// Consent receipts, ISO/IEC TS 27560 as JSON-LD.
    Receipts,
}

pub async fn run(args: Consent, context: &Context) -> Result<()> {
    let desk = Desk::open(context).await?;
    match args.action {
        Action::List => list(context, &desk).await,
        Action::Grant { entry, to, once, until, only } => {
            let choice = match (once, until) {
                (true, _) => Choice::Once,
                (false, Some(_)) => Choice::Until,
                (false, None) => Choice::Always,
            };
            if until.is_some_and(|until| until <= Timestamp::now()) {
                return Err(Usage("that moment is past".into()).into());
            }
            decide(context, &desk, Decide { entry, to, choice, until, fields: only, surface: Some("cli".into()) }).await
        }
        Action::Refuse { entry, to } => {
            let choice = Choice::Never;
            decide(context, &desk, Decide { entry, to, choice, until: None, fields: None, surface: Some("cli".into()) })
                .await
        }
        Action::Withdraw { entry, to } => withdraw(context, &desk, &entry, to.as_deref()).await,
        Action::Receipts => context.screen.document(&desk.receipts().await?),
    }
}

async fn list(context: &Context, desk: &Desk) -> Result<()> {
    let consents = desk.consents().await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&consents);
    }
    let entries = desk.entries().await?.entries;
    let mut rows: Vec<Vec<Cell>> = consents.consents.iter().map(row).collect();
    for entry in entries.iter().filter(|entry| !consents.consents.iter().any(|consent| consent.entry == entry.key)) {
        rows.push(vec![
            Cell::new(&entry.key),
            Cell::new(&entry.recipient_name),
            Cell::styled("not decided", Style::Warn),
            Cell::new(""),
            Cell::new(""),
            Cell::new(""),
        ]);
    }
    screen.table(&["ENTRY", "TO", "DECISION", "STATE", "DECIDED", "ID"], rows);
    for consent in &consents.consents {
        if let (ConsentState::Lapsed, Some(difference)) = (consent.state, &consent.difference) {
            screen.note(format!(
                "{} lapsed: {}",
                name(&consent.entry),
                accord_model::text::for_screen(difference, 500)
            ));
        }
    }
    Ok(())
}

fn row(consent: &Decided) -> Vec<Cell> {
    let choice = match (consent.choice, consent.until) {
        (Choice::Always, _) => "always".to_owned(),
        (Choice::Once, _) => "once".to_owned(),
        (Choice::Until, Some(until)) => format!("until {}", moment(until)),
        (Choice::Until, None) => "until a date".to_owned(),
        (Choice::Never, _) => "never".to_owned(),
    };
    let (state, style) = state(consent.state);
    vec![
        Cell::new(&consent.entry),
        Cell::new(&consent.to_name),
        Cell::new(choice),
        Cell::styled(state, style),
        Cell::new(ago(consent.decided)),
        Cell::styled(&consent.id, Style::Dim),
    ]
}

fn state(state: ConsentState) -> (&'static str, Style) {
    match state {
        ConsentState::Given => ("given", Style::Good),
        ConsentState::Refused => ("refused", Style::Bad),
        ConsentState::Used => ("used", Style::Dim),
        ConsentState::Expired => ("expired", Style::Dim),
        ConsentState::Withdrawn => ("withdrawn", Style::Dim),
        ConsentState::Lapsed => ("lapsed", Style::Warn),
    }
}

async fn decide(context: &Context, desk: &Desk, decision: Decide) -> Result<()> {
    let entry = desk.entry(&decision.entry).await?;
    let screen = &context.screen;
    if !screen.json && decision.choice != Choice::Never {
        screen.note(format!("{} ({})", screen.paint(Style::Bold, &name(&entry.title)), name(&entry.key)));
        for line in describe(&entry) {
            screen.note(format!("  {line}"));
        }
    }
    let consent = desk.decide(&decision).await?;
    if screen.json {
        return screen.document(&consent);
    }
    let to = if consent.to == "any" { name(&entry.recipient_name).to_lowercase() } else { name(&consent.to_name) };
    screen.say(match consent.choice {
        Choice::Never => format!("Refused: {} for {to}.", name(&consent.entry)),
        Choice::Always => format!("Agreed: {} for {to}, until you withdraw it.", name(&consent.entry)),
        Choice::Once => format!("Agreed: {} for {to}, once.", name(&consent.entry)),
        Choice::Until => format!(
            "Agreed: {} for {to}, until {}.",
            name(&consent.entry),
            consent.until.map(moment).unwrap_or_default()
        ),
    });
    Ok(())
}

async fn withdraw(context: &Context, desk: &Desk, entry: &str, to: Option<&str>) -> Result<()> {
    let consents = desk.consents().await?.consents;
    let chosen = to_withdraw(&consents, entry, to);
    if chosen.is_empty() {
        desk.entry(entry).await?;
        bail!(
            "Nothing to withdraw: no decision on {} is in force{}",
            name(entry),
            match to {
                Some(to) => format!(" for {}", name(to)),
                None => String::new(),
            }
        );
    }
    for consent in &chosen {
        desk.withdraw(&consent.id).await?;
    }
    if context.screen.json {
        let ids: Vec<&str> = chosen.iter().map(|consent| consent.id.as_str()).collect();
        return context.screen.document(&serde_json::json!({ "withdrawn": ids }));
    }
    for consent in chosen {
        context.screen.say(format!("Withdrawn: {} for {}.", name(&consent.entry), name(&consent.to_name)));
    }
    Ok(())
}

/// Without a recipient: every consent on the entry; when there is none, its refusals.
fn to_withdraw<'a>(consents: &'a [Decided], entry: &str, to: Option<&str>) -> Vec<&'a Decided> {
    if let Some(consent) = consents.iter().find(|consent| consent.id == entry) {
        return vec![consent];
    }
    let fits = |consent: &Decided| match to {
        None => true,
        Some(to) => {
            consent.to == to
                || consent.to.strip_prefix("device:") == Some(to)
                || consent.to_name.to_lowercase() == to.to_lowercase()
        }
    };
    let in_state = |state: ConsentState| -> Vec<&Decided> {
        consents.iter().filter(|consent| consent.entry == entry && consent.state == state && fits(consent)).collect()
    };
    match in_state(ConsentState::Given) {
        given if given.is_empty() => in_state(ConsentState::Refused),
        given => given,
    }
}

/// The end of a day where the person lives, or an exact moment.
fn until(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let help = || format!("`{}` is no date; write 2030-12-31 or 2030-12-31T18:00:00Z", name(text));
    let day: Date = text.parse().map_err(|_| help())?;
    let end = day.tomorrow().and_then(|next| next.to_zoned_datetime(TimeZone::system())).map_err(|_| help())?;
    Ok(end.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(id: &str, to: &str, to_name: &str, state: &str) -> Decided {
        serde_json::from_value(serde_json::json!({
            "id": id, "entry": "files/send", "entry_title": "Send", "to": to, "to_name": to_name, "choice": "always",
            "state": state, "fields": ["file.name"], "decided": "2026-01-01T00:00:00Z"
        }))
        .unwrap()
    }

    #[test]
    fn withdrawing_an_entry_takes_all_its_consents_but_keeps_refusals() {
        let all = [
            consent("c-1", "any", "any paired device", "given"),
            consent("c-2", "device:tv", "TV", "given"),
            consent("c-3", "device:x", "X", "refused"),
            consent("c-4", "device:y", "Y", "withdrawn"),
        ];
        let ids = |entry, to| to_withdraw(&all, entry, to).iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids("files/send", None), ["c-1", "c-2"]);
        assert_eq!(ids("files/send", Some("tv")), ["c-2"]);
        assert_eq!(ids("files/send", Some("x")), ["c-3"], "a refusal is taken back when it is meant");
        assert_eq!(ids("files/send", Some("y")), [""; 0]);
        assert_eq!(ids("c-1", None), ["c-1"]);
        assert_eq!(ids("files/receive", None), [""; 0]);
    }

    #[test]
    fn a_day_lasts_to_its_end() {
        let day = until("2030-12-31").unwrap();
        let noon: Timestamp = "2030-12-31T12:00:00Z".parse().unwrap();
        assert!(day > noon);
        assert_eq!(until("2030-12-31T12:00:00Z").unwrap(), noon);
        assert!(until("tomorrow").is_err());
    }
}
