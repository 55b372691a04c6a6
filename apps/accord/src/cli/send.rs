//! `accord send`: files, folders, standard input, text or a link to a device; with progress, and with
//! the owner's decision asked in context.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use accord_model::text::for_screen;
use anyhow::{Context as _, Result, bail};
use hyper::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::agree::{Owner, quote, with_consent};
use super::devices::find;
use super::hub::{escape, escape_path};
use super::screen::{count, name, size};
use super::{Context, Usage};
use crate::api::types::{Direction, StartTransfer, Transfer, TransferKind, TransferState, Trust};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false).args(["paths", "text", "url"]))]
pub struct Send {
    /// To whom: a device's name or id.
    device: String,
    /// Files and folders; `-` for standard input; or one http(s) address.
    paths: Vec<OsString>,
    /// Send this text.
    #[arg(long)]
    text: Option<String>,
    /// Send this link.
    #[arg(long)]
    url: Option<String>,
    /// The name that standard input gets over there.
    #[arg(long, value_name = "NAME", requires = "paths")]
    name: Option<String>,
    /// Return as soon as the hub has taken it over.
    #[arg(long)]
    detach: bool,
    /// Say nothing unless it fails.
    #[arg(long, short)]
    quiet: bool,
}

/// How often the progress bar is drawn anew, in milliseconds; the end is told at once.
const LOOK: u32 = 150;
/// Longer texts are files.
const MAX_TEXT: usize = 1 << 20;

pub async fn run(args: Send, context: &Context) -> Result<()> {
    let start = check(&args)?;
    let device = find(context, &args.device).await?;
    if device.bridge == "link" && device.trust != Trust::Paired {
        let shown = name(&device.name);
        bail!("{shown} is not paired with this machine; run `accord pair {}` first", quote(&device.name));
    }
    let mut start = StartTransfer { device: device.id.clone(), ..start };
    let from_stdin = args.paths == ["-"];
    if from_stdin {
        if args.detach {
            return Err(Usage("standard input (`-`) is read here; it does not go with --detach".into()).into());
        }
        start.stream = Some(stdin_name(args.name.as_deref()));
    }
    let transfer: Transfer =
        with_consent(context, Owner::AtTerminal, async || context.hub.post("/transfers", &start).await).await?;
    if args.detach {
        if context.screen.json {
            return context.screen.document(&transfer);
        }
        if !args.quiet {
            context
                .screen
                .say(format!("{} is on its way; `accord transfers` follows it.", for_screen(&transfer.id, 80)));
        }
        return Ok(());
    }
    let transfer = match from_stdin {
        true => watch_and_feed(context, transfer, args.quiet).await?,
        false => watch(context, transfer, args.quiet).await?,
    };
    if context.screen.json {
        context.screen.document(&transfer)?;
    }
    finish(context, &transfer, args.quiet || context.screen.json)
}

/// What to send, as far as it can be known before the hub is asked.
fn check(args: &Send) -> Result<StartTransfer> {
    let mut start = StartTransfer::default();
    if let Some(text) = &args.text {
        if text.len() > MAX_TEXT {
            bail!("A text of {} is too long; send it as a file", size(text.len() as u64));
        }
        start.text = Some(text.clone());
    } else if let Some(url) = &args.url {
        if !is_url(url) {
            return Err(Usage(format!("`{}` is no http(s) address", name(url))).into());
        }
        start.url = Some(url.clone());
    } else if let [only] = args.paths.as_slice()
        && let Some(only) = only.to_str().filter(|only| is_url(only))
    {
        start.url = Some(only.to_owned());
    } else if args.paths != ["-"] {
        if args.paths.iter().any(|path| path == "-") {
            return Err(Usage("standard input (`-`) is sent alone".into()).into());
        }
        let paths: Result<Vec<String>> = args.paths.iter().map(|path| absolute(path)).collect();
        start.paths = Some(paths?);
    }
    if args.name.is_some() && args.paths != ["-"] {
        return Err(Usage("--name goes with `-` (standard input) only".into()).into());
    }
    Ok(start)
}

fn is_url(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

pub(super) fn absolute(path: &OsStr) -> Result<String> {
    let shown = for_screen(&path.to_string_lossy(), 200);
    let full = std::path::absolute(path).with_context(|| format!("`{shown}` is no path"))?;
    std::fs::symlink_metadata(&full).with_context(|| format!("cannot send {shown}"))?;
    Ok(match full.into_os_string().into_string() {
        Ok(text) => text,
        // Bytes that are no text travel as a `file:` URL.
        Err(bytes) => format!("file://{}", escape_path(bytes.as_bytes())),
    })
}

/// The name that standard input gets over there.
fn stdin_name(wished: Option<&str>) -> String {
    let file = wished.map(Path::new).and_then(Path::file_name);
    file.map_or_else(|| "stdin".to_owned(), |file| file.to_string_lossy().into_owned())
}

/// Streams standard input into a transfer while that is watched.
async fn watch_and_feed(context: &Context, transfer: Transfer, quiet: bool) -> Result<Transfer> {
    if std::io::stdin().is_terminal() {
        context.screen.note("Type what to send; Ctrl-D ends it.");
    }
    let path = format!("/transfers/{}/content", escape(&transfer.id));
    let hub = context.hub.clone();
    let feeding = tokio::spawn(async move { hub.upload(&path, tokio::io::stdin()).await });
    let over = watch(context, transfer, quiet).await;
    // When it is over before the end of the input, the transfer's message says why.
    feeding.abort();
    over
}

/// Follows a transfer to its end; Ctrl-C cancels it.
pub async fn watch(context: &Context, mut transfer: Transfer, quiet: bool) -> Result<Transfer> {
    let path = format!("/transfers/{}", escape(&transfer.id));
    let look = format!("{path}?wait={LOOK}");
    let bar = Bar::new(quiet);
    while !is_over(transfer.state) {
        bar.show(&transfer);
        tokio::select! {
            looked = context.hub.get(&look) => transfer = looked?,
            _ = tokio::signal::ctrl_c() => {
                context.hub.tell(Method::POST, &format!("{path}/cancel"), None::<&()>).await?;
                bar.clear();
                let moved = if transfer.direction == Direction::In { "had come" } else { "had been sent" };
                bail!("Cancelled; {} {moved}", size(transfer.bytes_done));
            }
        }
    }
    bar.clear();
    Ok(transfer)
}

pub fn is_over(state: TransferState) -> bool {
    use TransferState::{Cancelled, Connecting, Done, Failed, Offered, Paused, Refused, Running};
    match state {
        Done | Failed | Refused | Cancelled => true,
        Connecting | Offered | Running | Paused => false,
    }
}

fn finish(context: &Context, transfer: &Transfer, quiet: bool) -> Result<()> {
    let to = name(&transfer.device_name);
    let message = transfer.message.as_deref().map(|text| for_screen(text, 500));
    for skipped in &transfer.skipped {
        context.screen.note(format!("not sent: {}", for_screen(skipped, 300)));
    }
    match transfer.state {
        TransferState::Done => {
            if !quiet {
                let what = match transfer.kind {
                    TransferKind::Files => {
                        format!("{} ({})", count(transfer.files_done, "file", "files"), size(transfer.bytes_done))
                    }
                    TransferKind::Text => "the text".into(),
                    TransferKind::Url => "the link".into(),
                };
                context.screen.say(format!("Sent {what} to {to}."));
            }
            match transfer.skipped_count {
                0 => Ok(()),
                skipped => bail!("{} not sent", count(skipped, "item was", "items were")),
            }
        }
        TransferState::Refused => bail!("{to} refused{}", message.map(|m| format!(": {m}")).unwrap_or_default()),
        TransferState::Cancelled => bail!("Cancelled{}", message.map(|m| format!(": {m}")).unwrap_or_default()),
        _ => bail!("Sending to {to} failed: {}", message.unwrap_or_else(|| "no reason given".into())),
    }
}

/// The progress bar on standard error; silent where nobody watches.
struct Bar(ProgressBar);

impl Bar {
    fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self(ProgressBar::with_draw_target(Some(0), target))
    }

    fn show(&self, transfer: &Transfer) {
        let to = name(&transfer.device_name);
        let (template, message) = match transfer.state {
            TransferState::Connecting => ("{spinner} {msg}", format!("Looking for a way to {to}…")),
            TransferState::Offered if transfer.direction == Direction::In => {
                ("{spinner} {msg}", format!("Waiting for {to}…"))
            }
            TransferState::Offered => ("{spinner} {msg}", format!("Offered; waiting for the person at {to}…")),
            TransferState::Paused => {
                ("{spinner} {msg}", format!("The link to {to} broke; this goes on by itself when it is back"))
            }
            _ => {
                let rate = transfer.rate.map(|rate| format!("  {}/s", size(rate))).unwrap_or_default();
                let left =
                    transfer.remaining_s.map(|s| format!("  {} left", super::screen::span(s))).unwrap_or_default();
                let files = match transfer.files_total {
                    0 | 1 => String::new(),
                    total => format!("  {}/{total} files", transfer.files_done),
                };
                let done = match transfer.exact {
                    true => format!("{} of {}", size(transfer.bytes_done), size(transfer.bytes_total)),
                    false => size(transfer.bytes_done),
                };
                let bar = if transfer.exact { "{wide_bar} {percent:>3}%  {msg}" } else { "{spinner} {msg}" };
                (bar, format!("{done}{files}{rate}{left}"))
            }
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.progress_chars("━╸─"));
        }
        self.0.set_length(transfer.bytes_total.max(1));
        self.0.set_position(transfer.bytes_done);
        self.0.set_message(message);
        self.0.tick();
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::is_url;

    #[test]
    fn only_web_addresses_are_links() {
        assert!(is_url("https://example.org/a?b"));
        assert!(is_url("HTTP://example.org"));
        for not in ["httpd.conf", "ftp://x", "./https://", "http:", "é"] {
            assert!(!is_url(not), "{not}");
        }
    }
}
