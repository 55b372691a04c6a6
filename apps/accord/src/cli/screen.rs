//! What a person sees in a terminal: aligned tables, sizes, ages, questions; and one JSON document
//! when a script asks. Text from outside is escaped here, at the last step.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::time::Duration;

use accord_model::Timestamp;
use accord_model::text::for_screen;
use anyhow::{Context, Result};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// The person's terminal, or the script that reads us.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub json: bool,
    color: bool,
    error_color: bool,
}

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

impl Screen {
    pub fn new(json: bool, color: Color) -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let on = |terminal: bool| match color {
            Color::Auto => allowed && terminal,
            Color::Always => true,
            Color::Never => false,
        };
        Self { json, color: on(std::io::stdout().is_terminal()), error_color: on(std::io::stderr().is_terminal()) }
    }

    /// One line on standard output.
    pub fn say(&self, line: impl AsRef<str>) {
        print(line.as_ref(), true);
    }

    /// Text on standard output as it is.
    pub fn write(&self, text: impl AsRef<str>) {
        print(text.as_ref(), false);
    }

    /// One line beside the result: progress, hints. On standard error, so that pipes get results only.
    pub fn note(&self, line: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
    }

    pub fn error(&self, error: &anyhow::Error) {
        let head = if self.error_color { "\x1b[31maccord:\x1b[0m" } else { "accord:" };
        self.note(format!("{head} {error:#}"));
    }

    /// The one JSON document of this command.
    pub fn document(&self, value: &impl Serialize) -> Result<()> {
        self.say(serde_json::to_string_pretty(value).context("the answer cannot be written as JSON")?);
        Ok(())
    }

    /// Whether standard output gets colours.
    pub fn color(&self) -> bool {
        self.color
    }

    /// Columns to fill, comfortable to read.
    pub fn width(&self) -> usize {
        terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0)).clamp(40, 110)
    }

    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color && style != Style::Plain { format!("{}{text}\x1b[0m", style.code()) } else { text.to_owned() }
    }

    pub fn table(&self, head: &[&str], rows: Vec<Vec<Cell>>) {
        print(&self.render_table(head, &rows), false);
    }

    fn render_table(&self, head: &[&str], rows: &[Vec<Cell>]) -> String {
        let mut widths: Vec<usize> = head.iter().map(|title| title.width()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let mut out = String::new();
        let titles: Vec<Cell> = head.iter().map(|title| Cell::styled(*title, Style::Dim)).collect();
        let right: Vec<bool> = (0..head.len())
            .map(|column| rows.first().and_then(|row| row.get(column)).is_some_and(|c| c.right))
            .collect();
        for row in std::iter::once(&titles).chain(rows) {
            let last = row.len().saturating_sub(1);
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths.get(column).copied().unwrap_or(0).saturating_sub(cell.text.width()));
                let painted = self.paint(cell.style, &cell.text);
                match (right.get(column).copied().unwrap_or(false), column == last) {
                    (true, _) => out.extend([space, painted]),
                    (false, true) => out.push_str(&painted),
                    (false, false) => out.extend([painted, space]),
                }
                if column != last {
                    out.push_str("  ");
                }
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out
    }
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Text from anywhere, escaped.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::Plain)
    }
    pub fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: for_screen(text.as_ref(), 120), style, right: false }
    }
    pub fn number(text: impl AsRef<str>) -> Self {
        Self { right: true, ..Self::new(text) }
    }
}

fn print(text: &str, line: bool) {
    let mut out = std::io::stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| if line { out.write_all(b"\n") } else { Ok(()) });
    if let Err(error) = done.and_then(|()| out.flush()) {
        // The reader went away (`| head`): nothing more to say to anyone.
        std::process::exit(i32::from(error.kind() != std::io::ErrorKind::BrokenPipe));
    }
}

/// Whether a person can answer questions here.
pub fn can_ask() -> bool {
    std::io::stderr().is_terminal() && (std::io::stdin().is_terminal() || terminal().is_some())
}

/// The person's terminal, where standard input is something else.
fn terminal() -> Option<std::fs::File> {
    if std::io::stdin().is_terminal() { None } else { std::fs::File::open("/dev/tty").ok() }
}

/// Asks on standard error and reads one line; `None` at the end of input.
pub async fn ask(question: &str) -> Result<Option<String>> {
    let question = question.to_owned();
    let answer = tokio::task::spawn_blocking(move || -> std::io::Result<Option<String>> {
        let mut err = std::io::stderr();
        write!(err, "{question} ")?;
        err.flush()?;
        let mut line = String::new();
        let read = match terminal() {
            Some(terminal) => std::io::BufReader::new(terminal.take(4096)).read_line(&mut line)?,
            None => std::io::stdin().lock().take(4096).read_line(&mut line)?,
        };
        Ok((read > 0).then(|| line.trim().to_owned()))
    });
    Ok(answer.await??)
}

/// [`ask`] for what nobody may see while it is typed.
pub async fn ask_secret(question: &str) -> Result<Option<String>> {
    // The terminal echoes again when this is dropped, also when Ctrl-C ends the question.
    let quiet = Quiet::begin()?;
    let answer = tokio::select! {
        answer = ask(question) => answer,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("Stopped")),
    };
    drop(quiet);
    let _ = writeln!(std::io::stderr());
    answer
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Option<(std::fs::File, rustix::termios::Termios)>);

impl Quiet {
    fn begin() -> Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(terminal) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty") else {
            return Ok(Self(None));
        };
        let before = tcgetattr(&terminal).context("the terminal cannot be made to hide what is typed")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &quiet).context("the terminal shows what is typed")?;
        Ok(Self(Some((terminal, before))))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.0 {
            let _ = rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Now, before);
        }
    }
}

pub async fn yes(question: &str) -> Result<bool> {
    Ok(ask(question).await?.is_some_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes")))
}

/// A name from outside, shortened and escaped.
pub fn name(text: &str) -> String {
    for_screen(text, 60)
}

pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `3 min ago`; a moment in the future (the clock jumped) as the moment itself.
pub fn ago(then: Timestamp) -> String {
    match Duration::try_from(Timestamp::now().duration_since(then)).map(|age| age.as_secs()) {
        Ok(0..2) => "now".to_owned(),
        Ok(seconds @ 2..60) => format!("{seconds} s ago"),
        Ok(seconds @ 60..3600) => format!("{} min ago", seconds / 60),
        Ok(seconds @ 3600..86_400) => format!("{} h ago", seconds / 3600),
        Ok(seconds @ 86_400..2_592_000) => format!("{} d ago", seconds / 86_400),
        _ => moment(then),
    }
}

/// In the person's time zone, to the second.
pub fn moment(then: Timestamp) -> String {
    then.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_by_what_is_seen_and_ends_no_line_in_spaces() {
        let screen = Screen { json: false, color: false, error_color: false };
        let rows = vec![
            vec![Cell::new("电视"), Cell::number("5"), Cell::new("on")],
            vec![Cell::new("Mira\u{1b}[31m"), Cell::number("120"), Cell::new("")],
        ];
        let text = screen.render_table(&["NAME", "SIZE", ""], &rows);
        assert_eq!(text, "NAME       SIZE\n电视          5  on\nMira\u{FFFD}[31m   120\n");
    }

    #[test]
    fn sizes_and_spans_read_as_people_say_them() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(size(u64::MAX), "16384.0 PiB");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(3_725), "1 h 2 min");
        assert_eq!(count(1, "file", "files"), "1 file");
    }
}
