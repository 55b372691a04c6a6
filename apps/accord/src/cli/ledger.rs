//! `accord ledger`: what was decided, sent and refused; and proof that nobody changed it.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use accord_model::text::for_screen;
use anyhow::{Context as _, Result, bail};

use super::Context;
use super::desk::{Desk, Wanted};
use super::screen::{Cell, Style, count, moment, size};
use crate::api::types::{Record, Verification};

#[derive(clap::Args)]
pub struct Ledger {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Records, newest first.
    List {
        /// Any text in the record.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// One kind: statement, notice-shown, decision, intent, sent, refused, received, error, checkpoint, erased.
        #[arg(long)]
        kind: Option<String>,
        #[arg(long)]
        entry: Option<String>,
        /// A device's name or id, `network:lan` or `host:<name:port>`.
        #[arg(long, value_name = "RECIPIENT")]
        to: Option<String>,
        /// Only records before this one.
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
        /// At most so many; 50 as text, all as JSON.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Everything about one record.
    Show { seq: u64 },
    /// Hash every record again; check signatures and what other devices witnessed.
    Verify {
        /// A copy of a `ledger.db` instead of this hub's ledger.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// With --file: the statement key (64 hex digits) that must have signed it.
        #[arg(long, value_name = "HEX", requires = "file", value_parser = key)]
        key: Option<[u8; 32]>,
    },
    /// Every record as one line of JSON, oldest first.
    Export {
        /// Into this file instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// The most that one document holds; `export` has no limit.
const ALL: usize = 100_000;

pub async fn run(args: Ledger, context: &Context) -> Result<()> {
    if let Action::Verify { file: Some(file), key } = &args.action {
        return verify_file(context, file, key.as_ref());
    }
    let desk = Desk::open(context).await?;
    match args.action {
        Action::List { search, kind, entry, to, before, limit } => {
            let limit = limit.unwrap_or(if context.screen.json { ALL } else { 50 }).max(1);
            list(context, &desk, &Wanted { search, kind, entry, recipient: to, before, limit }).await
        }
        Action::Show { seq } => {
            let record = desk.record(seq).await?;
            if context.screen.json {
                return context.screen.document(&record);
            }
            show(context, &record);
            Ok(())
        }
        Action::Verify { .. } => judge(context, &desk.verify().await?),
        Action::Export { output } => export(context, &desk, output).await,
    }
}

async fn list(context: &Context, desk: &Desk, wanted: &Wanted) -> Result<()> {
    let page = desk.records(wanted).await?;
    let screen = &context.screen;
    if screen.json {
        return screen.document(&page);
    }
    if page.records.is_empty() {
        screen.note("The ledger has no such record.");
        return Ok(());
    }
    screen.table(&["SEQ", "TIME", "KIND", "ENTRY", "TO", "WHAT"], page.records.iter().map(row).collect());
    if let Some(next) = page.next {
        screen.note(format!("Older ones: --before {next}"));
    }
    Ok(())
}

fn row(record: &Record) -> Vec<Cell> {
    let style = match record.kind.as_str() {
        "sent" | "intent" => Style::Bold,
        "refused" => Style::Warn,
        "error" => Style::Bad,
        "checkpoint" | "statement" | "notice-shown" => Style::Dim,
        _ => Style::Plain,
    };
    let mut what: Vec<String> = Vec::new();
    what.extend(record.bytes.map(size));
    what.extend(record.message.clone());
    if what.is_empty() {
        what.push(record.fields.iter().map(|field| field.label()).collect::<Vec<_>>().join(", "));
    }
    vec![
        Cell::number(record.seq.to_string()),
        Cell::new(moment(record.time)),
        Cell::styled(&record.kind, style),
        Cell::new(record.entry.as_deref().unwrap_or_default()),
        Cell::new(who(record)),
        Cell::new(for_screen(&what.join(", "), 60)),
    ]
}

fn who(record: &Record) -> &str {
    record.recipient_name.as_deref().or(record.recipient.as_deref()).unwrap_or_default()
}

fn show(context: &Context, record: &Record) {
    let line = |head: &str, text: &str| {
        if !text.is_empty() {
            context.screen.say(format!("{head:<11} {}", for_screen(text, 500)));
        }
    };
    line("record", &record.seq.to_string());
    line("time", &record.time.to_string());
    line("kind", &record.kind);
    line("entry", record.entry.as_deref().unwrap_or_default());
    line("recipient", record.recipient.as_deref().unwrap_or_default());
    line("name", record.recipient_name.as_deref().unwrap_or_default());
    line("address", record.address.as_deref().unwrap_or_default());
    let fields: Vec<String> = record.fields.iter().map(|field| format!("{field} ({})", field.label())).collect();
    line("fields", &fields.join(", "));
    line("content", &record.bytes.map(|bytes| format!("{bytes} bytes")).unwrap_or_default());
    line("on the wire", &record.wire_bytes.map(|bytes| format!("{bytes} bytes")).unwrap_or_default());
    line("digest", record.digest.as_deref().unwrap_or_default());
    line("refers to", &record.refers.map(|seq| seq.to_string()).unwrap_or_default());
    line("scenario", record.scenario.as_deref().unwrap_or_default());
    line("message", record.message.as_deref().unwrap_or_default());
    for detail in &record.details {
        line("detail", detail);
    }
    line("hash", &record.hash);
}

/// Needs neither hub nor keys, only the file.
fn verify_file(context: &Context, file: &Path, key: Option<&[u8; 32]>) -> Result<()> {
    std::fs::metadata(file).with_context(|| format!("cannot read {}", for_screen(&file.to_string_lossy(), 300)))?;
    let report = accord_consent::ledger::verify(file, key)?;
    let report = Verification {
        ok: report.ok(),
        records: report.records,
        checkpoints: report.checkpoints,
        witnesses: report.witnesses,
        root: report.root.to_string(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    };
    judge(context, &report)
}

fn key(text: &str) -> Result<[u8; 32], String> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "a statement key has 64 hex digits".to_owned())
}

fn judge(context: &Context, report: &Verification) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        screen.document(report)?;
    } else if report.ok {
        screen.say(format!(
            "{}: {} verified, {}, {}.",
            screen.paint(Style::Good, "Whole"),
            count(report.records, "record", "records"),
            count(report.checkpoints, "signed checkpoint", "signed checkpoints"),
            count(report.witnesses, "witness", "witnesses")
        ));
        screen.say(format!("Root {}", for_screen(&report.root, 64)));
    }
    if !report.ok {
        let problems: Vec<String> = report.problems.iter().map(|problem| for_screen(problem, 300)).collect();
        bail!("The ledger is NOT whole: {}", problems.join("; "));
    }
    Ok(())
}

async fn export(context: &Context, desk: &Desk, output: Option<PathBuf>) -> Result<()> {
    let Some(path) = output else { return desk.export(&mut std::io::BufWriter::new(std::io::stdout())).await };
    let shown = for_screen(&path.to_string_lossy(), 300);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let mut file = std::io::BufWriter::new(file.with_context(|| format!("cannot write {shown}"))?);
    desk.export(&mut file).await?;
    file.get_ref().sync_all().with_context(|| format!("cannot write {shown}"))?;
    context.screen.note(format!("Written to {shown}"));
    Ok(())
}
