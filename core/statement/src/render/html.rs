//! A page of its own: no script, nothing fetched, light and dark, readable without colours and by a
//! screen reader.

use super::View;
use crate::Document;

const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--soft:#57606a;--line:#d0d7de;--card:#f6f8fa;--link:#0550ae}\
@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#9da7b3;--line:#30363d;--card:#161b22;--link:#79c0ff}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:52rem;padding:2rem 1rem;font:1rem/1.55 system-ui,sans-serif;color:var(--fg);background:var(--bg)}\
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.15rem;margin:0 0 .75rem}a{color:var(--link);overflow-wrap:anywhere}\
article{border:1px solid var(--line);background:var(--card);border-radius:.6rem;padding:1rem 1.25rem;margin:1rem 0}\
dl{display:grid;grid-template-columns:minmax(7rem,10rem) 1fr;gap:.4rem 1rem;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
ul{margin:0;padding-left:1.1rem}code{font-size:.85em;color:var(--soft)}.mind{font-weight:600}\
@media(max-width:34rem){dl{grid-template-columns:1fr}dt{margin-top:.4rem}}@media print{article{break-inside:avoid}}";

/// The statement as a self-contained HTML page.
pub fn html(document: &Document, language: &str) -> String {
    let view = View::of(document, language);
    let lang = if view.language.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        view.language.as_str()
    } else {
        "und"
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{0}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<header>\n<h1>{0}</h1>\n",
        escape(&view.title)
    );
    let facts: Vec<String> = view.facts.iter().map(|(name, text)| format!("{name}: {}", escape(text))).collect();
    out.push_str(&format!("<p>{}</p>\n", facts.join(" · ")));
    if view.claim {
        out.push_str("<p>This is a publisher's claim, as read from its page; codes are suggestions.</p>\n");
    }
    out.push_str("</header>\n<main>\n");
    for (at, entry) in view.entries.iter().enumerate() {
        let key = entry.key.as_ref().filter(|key| **key != entry.title);
        let key = key.map(|key| format!(" <code>{}</code>", escape(key))).unwrap_or_default();
        out.push_str(&format!(
            "<article aria-labelledby=\"e{at}\">\n<h2 id=\"e{at}\">{}{key}</h2>\n<dl>\n<dt>What</dt><dd><ul>\n",
            escape(&entry.title)
        ));
        for item in &entry.data {
            let code = item.code.map(|code| format!(" <code>{code}</code>")).unwrap_or_default();
            let notes =
                if item.notes.is_empty() { String::new() } else { format!(" ({})", escape(&item.notes.join("; "))) };
            out.push_str(&format!("<li>{}{notes}{code}</li>\n", escape(&item.label)));
        }
        if entry.data.is_empty() {
            out.push_str("<li>not stated</li>\n");
        }
        out.push_str("</ul></dd>\n");
        for (label, text) in &entry.rows {
            out.push_str(&format!("<dt>{label}</dt><dd>{}</dd>\n", escape(text)));
        }
        let rules = match entry.rules_url.as_deref() {
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => {
                format!("<a href=\"{0}\" rel=\"noreferrer noopener\">{0}</a>", escape(url))
            }
            Some(text) => escape(text),
            None => "not linked".to_owned(),
        };
        out.push_str(&format!("<dt>Rules</dt><dd>{rules}</dd>\n"));
        for note in &entry.notes {
            out.push_str(&format!("<dt>Mind</dt><dd class=\"mind\">{}</dd>\n", escape(note)));
        }
        out.push_str("</dl>\n</article>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
