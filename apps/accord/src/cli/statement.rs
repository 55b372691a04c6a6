//! `accord statement`: our own statement in every form, other publishers' pages, what changed between
//! two, and what is vague in one. Needs no hub.

use std::io::Read;
use std::path::Path;

use accord_model::text::for_screen;
use accord_statement::import::MAX_BYTES;
use accord_statement::lint::{self, Level};
use accord_statement::{Change, DiffEntry, Document};
use anyhow::{Context as _, Result, bail};

use super::screen::{Cell, Style, count, size};
use super::{Context, Usage};
use crate::daemon::house;

#[derive(clap::Args)]
pub struct Statement {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// What Accord shares: with whom, why, when and how.
    Show {
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Language of the wording.
        #[arg(long, default_value = "en")]
        language: String,
    },
    /// Read a publisher's page (text, Markdown, HTML, …); says what it could not read.
    Import {
        /// `-` for standard input.
        file: String,
    },
    /// What widened, narrowed or was only reworded from A to B, and which consents lapse.
    Diff {
        #[arg(value_name = "A")]
        old: String,
        #[arg(value_name = "B")]
        new: String,
    },
    /// Vague or open-ended wording, missing fields, identifiers that join entries.
    Lint {
        /// A page, or a statement.toml; Accord's own statement without it.
        file: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Terminal,
    Markdown,
    Html,
    Json,
    /// DPV and ISO/IEC TS 27560 terms.
    Jsonld,
}

pub fn run(args: Statement, context: &Context) -> Result<()> {
    match args.action {
        Action::Show { format, language } => show(context, format, &language),
        Action::Import { file } => import(context, &file),
        Action::Diff { old, new } => diff(context, &old, &new),
        Action::Lint { file } => lint(context, file.as_deref()),
    }
}

fn show(context: &Context, format: Format, language: &str) -> Result<()> {
    let statement = own(context)?;
    let format = if context.screen.json && format == Format::Terminal { Format::Json } else { format };
    let name = match format {
        Format::Terminal => {
            terminal(context, &statement, language);
            return Ok(());
        }
        Format::Markdown => "md",
        Format::Html => "html",
        Format::Json => "json",
        Format::Jsonld => "jsonld",
    };
    let (_, text) = house::render(&statement, name, language).context("this build has no such format")?;
    context.screen.say(text.trim_end());
    Ok(())
}

/// Accord's own statement, as this hub keeps to it.
fn own(context: &Context) -> Result<accord_statement::Statement> {
    let config = context.state.load_config()?;
    house::statement(config.relay.as_deref()).context("the statement of this build is not sound")
}

fn terminal(context: &Context, statement: &accord_statement::Statement, language: &str) {
    let screen = &context.screen;
    screen.say(screen.paint(Style::Bold, &format!("{}, version {}", statement.title, statement.version)));
    for entry in &statement.entries {
        screen.say("");
        screen.say(format!(
            "{}  {}",
            screen.paint(Style::Bold, entry.title(language)),
            screen.paint(Style::Dim, entry.key.as_str())
        ));
        let text = entry.text_in(language).cloned().unwrap_or_default();
        let line = |head: &str, text: &str| {
            if !text.is_empty() {
                screen.say(format!("  {head:<7}{}", for_screen(text, 2000)));
            }
        };
        let fields: Vec<String> = entry
            .fields
            .iter()
            .map(|field| format!("{}{}", field.code.label(), if field.required { "" } else { " (optional)" }))
            .collect();
        line("who", &entry.recipient.name);
        line("what", &fields.join(", "));
        line("why", &text.purpose);
        line("when", &text.scenario);
        line("how", &text.method);
        line("hosts", &entry.hosts.join(", "));
        line("kept", &super::agree::kept(&entry.retention));
        line("rules", entry.rules_url.as_deref().unwrap_or_default());
    }
}

fn import(context: &Context, file: &str) -> Result<()> {
    let read = accord_statement::import(&read(file)?);
    let screen = &context.screen;
    if screen.json {
        return screen.document(&read);
    }
    let or = |text: &Option<String>| text.as_deref().map_or("not stated".to_owned(), |text| for_screen(text, 300));
    screen.say(screen.paint(Style::Bold, &or(&read.title)));
    screen.say(format!("version {}, {}, language {}", or(&read.version), or(&read.version_date), or(&read.language)));
    for entry in &read.entries {
        screen.say("");
        let cut = if entry.complete { "" } else { "  (cut)" };
        screen.say(format!("{}{cut}", screen.paint(Style::Bold, &or(&entry.title))));
        let kind = entry.sharing_type.map_or("not stated", accord_statement::SharingType::label);
        screen.say(format!("  who    {}", or(&entry.third_party)));
        screen.say(format!("  means  {} ({kind})", or(&entry.name)));
        let data: Vec<String> = entry
            .shared_data
            .iter()
            .map(|data| match &data.detail {
                Some(detail) => for_screen(&format!("{} ({detail})", data.item), 200),
                None => for_screen(&data.item, 200),
            })
            .collect();
        screen.say(format!("  what   {}", if data.is_empty() { "not stated".to_owned() } else { data.join(", ") }));
        screen.say(format!("  why    {}", or(&entry.purpose)));
        screen.say(format!("  when   {}", or(&entry.scenario)));
        screen.say(format!("  how    {}", or(&entry.method)));
        screen.say(format!("  rules  {}", or(&entry.rules_url)));
    }
    for warning in &read.warnings {
        screen.note(format!("{} {}", screen.paint(Style::Warn, "not sure:"), for_screen(warning, 300)));
    }
    if read.entries.is_empty() {
        bail!("No entry could be read in {}", for_screen(file, 200));
    }
    Ok(())
}

fn diff(context: &Context, old: &str, new: &str) -> Result<()> {
    if old == "-" && new == "-" {
        return Err(Usage("only one of the two can be standard input".into()).into());
    }
    let diff = accord_statement::diff(&document(old)?, &document(new)?);
    let screen = &context.screen;
    if screen.json {
        return screen.document(&diff);
    }
    screen.table(&["CHANGE", "WHO", "MEANS", "DIFFERENCE"], diff.entries.iter().map(row).collect());
    let again = diff.entries.iter().filter(|entry| entry.consent_needed_again).count();
    screen.say(match again {
        0 => "No consent lapses.".to_owned(),
        1 => "One consent lapses and is asked for again.".to_owned(),
        many => format!("{many} consents lapse and are asked for again."),
    });
    Ok(())
}

fn row(entry: &DiffEntry) -> Vec<Cell> {
    let style = match entry.change {
        Change::Widened | Change::Added => Style::Warn,
        Change::Narrowed | Change::Removed => Style::Good,
        Change::Unchanged => Style::Dim,
        Change::Editorial => Style::Plain,
    };
    let mut difference: Vec<String> = entry.data_added.iter().map(|item| format!("+{item}")).collect();
    difference.extend(entry.data_removed.iter().map(|item| format!("-{item}")));
    if difference.is_empty() {
        difference.extend(entry.changed_fields.iter().map(|field| (*field).to_owned()));
    }
    vec![
        Cell::styled(entry.change.as_str(), style),
        Cell::new(entry.key.0.as_deref().unwrap_or("not stated")),
        Cell::new(entry.key.1.as_deref().unwrap_or("not stated")),
        Cell::new(difference.join(", ")),
    ]
}

fn lint(context: &Context, file: Option<&str>) -> Result<()> {
    let found = match file {
        None => lint::lint_own(&own(context)?),
        Some(file) => lint::lint(&document(file)?),
    };
    let screen = &context.screen;
    if screen.json {
        return screen.document(&found);
    }
    for finding in &found.findings {
        let style = match finding.level {
            Level::Error => Style::Bad,
            Level::Warning => Style::Warn,
            Level::Info => Style::Dim,
        };
        let place = match (&finding.entry, finding.field) {
            (Some(entry), Some(field)) => format!("{entry}, {field}: "),
            (Some(entry), None) => format!("{entry}: "),
            (None, Some(field)) => format!("{field}: "),
            (None, None) => String::new(),
        };
        let text = for_screen(&format!("{place}{}", finding.message), 600);
        screen.say(format!(
            "{} {text} [{}]",
            screen.paint(style, &format!("{:<7}", finding.level.as_str())),
            finding.rule
        ));
    }
    let counts = [
        count(found.errors as u64, "error", "errors"),
        count(found.warnings as u64, "warning", "warnings"),
        count(found.infos as u64, "remark", "remarks"),
    ];
    screen.say(counts.join(", "));
    Ok(())
}

/// Our own statement or a publisher's page, known by its content.
fn document(file: &str) -> Result<Document> {
    Ok(Document::read(&for_screen(file, 300), &read(file)?)?)
}

/// A file, or standard input for `-`; bounded.
fn read(file: &str) -> Result<Vec<u8>> {
    let shown = for_screen(file, 300);
    let mut bytes = Vec::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)
    } else {
        let open = std::fs::File::open(Path::new(file)).with_context(|| format!("cannot read {shown}"))?;
        open.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)
    };
    read.with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() > MAX_BYTES {
        bail!("{shown} is larger than {}; that is no statement", size(MAX_BYTES as u64));
    }
    Ok(bytes)
}
