//! The pages that a browser sees: plain HTML, one form, plain links, no script.

use accord_http::encode_component;
use accord_model::{FieldCode, FieldSet, text::for_screen};
use accord_ports::pin::PinVerdict;

use super::Answer;
use crate::Item;

/// Most files listed; further ones are counted.
const MAX_LISTED: usize = 1000;
/// How much of a text is shown on the page, in characters.
const MAX_SHOWN: usize = 20_000;
/// How often a page that waits looks again, in seconds.
const LOOK_EVERY: u8 = 2;

const STYLE: &str = "\
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; --line: #8886; --accent: #0b57d0; --ink: #1b1b1f; --ground: #fff }
@media (prefers-color-scheme: dark) { :root { --accent: #a8c7fa; --ink: #e6e6ea; --ground: #131316 } }
body { color: var(--ink); background: var(--ground); max-width: 42rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25 }
ul { list-style: none; padding: 0; margin: 1.5rem 0 }
li { border-top: 1px solid var(--line) }
li:last-child { border-bottom: 1px solid var(--line) }
li a { display: flex; gap: 1rem; justify-content: space-between; padding: .75rem .25rem; min-height: 1.75rem }
a { color: var(--accent) }
small { white-space: nowrap }
p small { white-space: normal }
pre { white-space: pre-wrap; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; font-size: 1rem }
input, button, .button { font: inherit; padding: .5rem 1rem; min-height: 2.75rem; box-sizing: border-box }
button, .button { border: 1px solid var(--accent); border-radius: .5rem; background: none; color: var(--accent); display: inline-block; text-decoration: none; cursor: pointer }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
";

/// Who shares what.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    /// How this machine is called.
    pub name: &'a str,
    /// The path of the page, with `/` at its end.
    pub path: &'a str,
    /// How many things are shared.
    pub count: usize,
}

/// The style sheet.
pub fn style() -> Answer {
    Answer::of(200, "text/css; charset=utf-8", STYLE.as_bytes().to_vec(), FieldSet::EMPTY)
}

/// The way in: who shares how much, and the PIN if one is needed.
pub fn landing(sheet: Sheet<'_>, pin: bool, verdict: Option<PinVerdict>) -> Answer {
    let (status, problem) = match verdict {
        Some(PinVerdict::Wrong) => (401, "<p role=\"alert\">That PIN is wrong.</p>"),
        Some(PinVerdict::Missing) => (401, "<p role=\"alert\">Type the PIN that the person who shares tells you.</p>"),
        Some(PinVerdict::Blocked) => {
            (429, "<p role=\"alert\">Too many wrong PINs. Ask the person who shares to share again.</p>")
        }
        Some(PinVerdict::Right) | None => (200, ""),
    };
    let field = "<p><label for=\"pin\">PIN</label> <input id=\"pin\" name=\"pin\" autocomplete=\"off\" \
                 autocapitalize=\"off\" maxlength=\"32\" required></p>";
    let (field, note) = match pin {
        true => (field, ""),
        false => ("", "<p><small>The person who shares is asked first.</small></p>"),
    };
    let (name, things) = (escape(sheet.name), things(sheet.count));
    let title = format!("{name} shares {things}");
    let body = format!(
        "<h1>{title}</h1>{problem}<form method=\"post\" action=\"{path}\">{field}<p><button>Show</button></p></form>{note}",
        path = sheet.path
    );
    html(sheet, status, &title, &body, FieldSet::one(FieldCode::DeviceName))
}

/// The owner is being asked.
pub fn waiting(sheet: Sheet<'_>) -> Answer {
    let name = escape(sheet.name);
    let body = format!(
        "<h1>Waiting for {name}</h1><p role=\"status\">The person there is asked whether to let you in. \
         This page goes on by itself.</p>"
    );
    let mut answer = html(sheet, 200, &format!("Waiting for {name}"), &body, FieldSet::one(FieldCode::DeviceName));
    answer.headers.push_str(&format!("Refresh: {LOOK_EVERY}\r\n"));
    answer
}

/// The files. `texts` is their content where they are texts, by place.
pub fn list(sheet: Sheet<'_>, visit: &str, items: &[Item], texts: &[(usize, &str)]) -> Answer {
    let (name, base) = (escape(sheet.name), format!("{}v/{}/", sheet.path, encode_component(visit)));
    let mut fields = FieldSet::from_iter([FieldCode::DeviceName, FieldCode::FileName, FieldCode::FileMeta]);
    let mut body = format!("<h1>From {name}</h1>");
    for (place, text) in texts {
        fields = fields.union(FieldSet::one(FieldCode::TextContent));
        let (shown, place) = (escape(&shown(text)), *place);
        body.push_str(&format!("<pre tabindex=\"0\">{shown}</pre>"));
        if text.chars().count() > MAX_SHOWN {
            body.push_str(&format!("<p><a href=\"{base}{place}/text.txt\" download>The whole text</a></p>"));
        }
    }
    let mut files = items.iter().enumerate().filter(|(_, item)| !item.text).peekable();
    let (count, total) =
        items.iter().filter(|item| !item.text).fold((0, 0), |(count, total), item| (count + 1, total + item.size));
    if files.peek().is_some() {
        body.push_str("<ul>");
        for (place, item) in files.take(MAX_LISTED) {
            let file = encode_component(item.name.rsplit('/').next().unwrap_or_default());
            let (path, size) = (escape(&for_screen(&item.name, 400)), size(item.size));
            body.push_str(&format!(
                "<li><a href=\"{base}{place}/{file}\" download><span>{path}</span> <small>{size}</small></a></li>"
            ));
        }
        body.push_str("</ul>");
    }
    if count > MAX_LISTED {
        body.push_str(&format!("<p>… and {} more, in the archive.</p>", count - MAX_LISTED));
    }
    if count > 1 {
        let size = size(total);
        body.push_str(&format!(
            "<p><a class=\"button\" href=\"{base}all.zip\" download>Everything as one ZIP</a> <small>{size}</small></p>"
        ));
    }
    html(sheet, 200, &format!("From {name}"), &body, fields)
}

/// No.
pub fn refusal(sheet: Sheet<'_>, status: u16, why: &str, again: bool) -> Answer {
    let why = escape(why);
    let again = if again { format!("<p><a href=\"{}\">Ask again</a></p>", sheet.path) } else { String::new() };
    html(sheet, status, &why, &format!("<h1>{why}</h1>{again}"), FieldSet::EMPTY)
}

/// Nothing is at this path; says nothing of what may be at another.
pub fn nothing() -> Answer {
    let page = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Nothing here</title>\
                <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head><body><h1>Nothing here</h1>\
                <p>Open the whole address that you were given.</p></body></html>";
    Answer::of(404, "text/html; charset=utf-8", page.as_bytes().to_vec(), FieldSet::EMPTY)
}

fn html(sheet: Sheet<'_>, status: u16, title: &str, body: &str, fields: FieldSet) -> Answer {
    let path = sheet.path;
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"{path}style.css\"><link rel=\"icon\" href=\"data:,\"></head>\
         <body><main>{body}</main></body></html>"
    );
    Answer::of(status, "text/html; charset=utf-8", page.into_bytes(), fields)
}

/// A text as it is shown: its lines stay, what would deceive does not.
fn shown(text: &str) -> String {
    let harmless = |c: char| if c != '\n' && c != '\t' && accord_model::text::is_unsafe(c) { '\u{FFFD}' } else { c };
    let mut out: String = text.chars().filter(|c| *c != '\r').take(MAX_SHOWN).map(harmless).collect();
    if text.chars().count() > MAX_SHOWN {
        out.push('…');
    }
    out
}

fn things(count: usize) -> String {
    if count == 1 { "one thing".to_owned() } else { format!("{count} things") }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHEET: Sheet<'_> = Sheet { name: "<b>Desk & \"co\"</b>", path: "/word/", count: 2 };

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn names_and_texts_from_elsewhere_stay_text() {
        let item = |name: &str, text| Item { name: name.to_owned(), size: 2048, text };
        let items = [item("a/<script>alert(1)\u{202e}.txt", false), item("b'\" c", false), item("t", true)];
        let answer = list(SHEET, "to/ken", &items, &[(2, "</pre><script>x\u{1b}[31m\nline")]);
        let page = text(&answer);
        for bad in ["<script", "<b>", "\u{202e}", "\u{1b}", "to/ken"] {
            assert!(!page.contains(bad), "{bad:?} in {page}");
        }
        assert!(page.contains("/word/v/to%2Fken/0/%3C"), "{page}");
        assert!(page.contains("\nline") && page.contains("2.0 KiB") && page.contains("all.zip"));
        assert!(answer.fields.contains(FieldCode::TextContent) && answer.fields.contains(FieldCode::FileName));
        assert!(!list(SHEET, "t", &items[..1], &[]).fields.contains(FieldCode::TextContent));
    }

    #[test]
    fn who_is_not_in_learns_no_names() {
        for answer in [landing(SHEET, true, Some(PinVerdict::Wrong)), waiting(SHEET), refusal(SHEET, 403, "No", true)] {
            assert!(answer.fields.is_subset(FieldSet::one(FieldCode::DeviceName)));
        }
        assert!(nothing().fields.is_empty() && !text(&nothing()).contains("word"));
        assert_eq!(landing(SHEET, true, Some(PinVerdict::Blocked)).status, 429);
    }
}
