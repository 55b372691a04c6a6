//! `accord statement`: our own statement in every form, other publishers' pages, what changed between
//! two, and what is vague in one. Needs no hub.

use std::io::Read;
use std::path::Path;

use accord_model::text::for_screen;
use accord_statement::Document;
use accord_statement::import::MAX_BYTES;
use accord_statement::render::{self, Terminal};
use anyhow::{Context as _, Result, bail};

use super::screen::size;
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
        /// Another statement or page; Accord's own without it.
        file: Option<String>,
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
        Action::Show { file, format, language } => show(context, file.as_deref(), format, &language),
        Action::Import { file } => import(context, &file),
        Action::Diff { old, new } => diff(context, &old, &new),
        Action::Lint { file } => lint(context, file.as_deref()),
    }
}

fn show(context: &Context, file: Option<&str>, format: Format, language: &str) -> Result<()> {
    let document = document_or_own(context, file)?;
    let format = if context.screen.json && format == Format::Terminal { Format::Json } else { format };
    match format {
        Format::Terminal => context.screen.write(render::terminal(&document, language, &terminal(context))),
        Format::Markdown => context.screen.write(render::markdown(&document, language)),
        Format::Html => context.screen.write(render::html(&document, language)),
        Format::Json => context.screen.document(&render::json(&document))?,
        Format::Jsonld => context.screen.document(&render::json_ld(&document))?,
    }
    Ok(())
}

fn import(context: &Context, file: &str) -> Result<()> {
    let read = accord_statement::import(&read(file)?);
    let screen = &context.screen;
    if screen.json {
        return screen.document(&read);
    }
    for warning in &read.warnings {
        screen.note(format!("not sure: {}", for_screen(warning, 300)));
    }
    if read.entries.is_empty() {
        bail!("No entry could be read in {}", for_screen(file, 200));
    }
    let language = read.language.clone().unwrap_or_default();
    screen.write(render::terminal(&Document::Imported(read), &language, &terminal(context)));
    Ok(())
}

fn diff(context: &Context, old: &str, new: &str) -> Result<()> {
    if old == "-" && new == "-" {
        return Err(Usage("only one of the two can be standard input".into()).into());
    }
    let diff = accord_statement::diff(&document(old)?, &document(new)?);
    if context.screen.json {
        return context.screen.document(&diff);
    }
    context.screen.write(render::diff_text(&diff, &terminal(context)));
    Ok(())
}

fn lint(context: &Context, file: Option<&str>) -> Result<()> {
    let found = accord_statement::lint(&document_or_own(context, file)?);
    if context.screen.json {
        return context.screen.document(&found);
    }
    context.screen.write(render::lint_text(&found, &terminal(context)));
    Ok(())
}

fn terminal(context: &Context) -> Terminal {
    Terminal { width: context.screen.width(), colour: context.screen.color() }
}

/// Accord's own statement, as this hub keeps to it, when no file is named.
fn document_or_own(context: &Context, file: Option<&str>) -> Result<Document> {
    if let Some(file) = file {
        return document(file);
    }
    let config = context.state.load_config()?;
    let own = house::statement(config.relay.as_deref()).context("the statement of this build is not sound")?;
    Ok(Document::Own(own))
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
