//! The page that a browser sees: plain HTML, one form, plain links, no script.

use accord_model::{FieldCode, FieldSet, text};

use crate::core::API;
use crate::core::http::encode_component;
use crate::core::http::server::{Body, Response};
use crate::core::message::{DeviceInfo, FileOffer};
use crate::core::receive::PinVerdict;

/// Most files listed; further ones are counted.
const MAX_LISTED: usize = 1000;

/// Nothing of the page may come from elsewhere or go elsewhere.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; style-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cache-Control: no-store\r\n";

pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem }
ul { list-style: none; padding: 0 }
li { border-top: 1px solid GrayText }
li a { display: block; padding: .75rem .25rem }
small { color: GrayText }
input, button { font: inherit; padding: .5rem 1rem; min-height: 2.75rem }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px }
";

/// A response with the page's headers.
pub(super) fn response(status: u16, body: Vec<u8>, content_type: &'static str, fields: FieldSet) -> Response {
    Response { status, content_type, headers: HEADERS.to_owned(), body: Body::Bytes(body), fields }
}

/// The way in: who offers how much, and the PIN if one is needed.
pub(super) fn form(me: &DeviceInfo, files: usize, pin: bool, status: u16, verdict: Option<PinVerdict>) -> Response {
    let problem = match verdict {
        Some(PinVerdict::Wrong) => "<p role=\"alert\">That PIN is wrong.</p>",
        Some(PinVerdict::Missing) => "<p role=\"alert\">Type the PIN that the sender shows.</p>",
        Some(PinVerdict::Blocked) => "<p role=\"alert\">Too many wrong PINs. Ask the sender to share again.</p>",
        Some(PinVerdict::Right) | None => "",
    };
    let field = match pin {
        true => {
            "<p><label for=\"pin\">PIN</label> <input id=\"pin\" name=\"pin\" inputmode=\"numeric\" autocomplete=\"off\" required></p>"
        }
        false => "",
    };
    let (name, noun) = (escape(&me.alias), if files == 1 { "file" } else { "files" });
    let body = format!(
        "<h1>{name} shares {files} {noun}</h1>{problem}<form method=\"post\" action=\"/\">{field}\
         <p><button>Show the {noun}</button></p></form><p><small>The sender is asked first.</small></p>"
    );
    html(status, &format!("{name} shares {files} {noun}"), &body, FieldSet::one(FieldCode::DeviceName))
}

/// The files.
pub(super) fn list(me: &DeviceInfo, files: &[FileOffer], session: &str) -> Response {
    let name = escape(&me.alias);
    let mut body = format!("<h1>Files from {name}</h1><ul>");
    for file in files.iter().take(MAX_LISTED) {
        let (id, session) = (encode_component(&file.id), encode_component(session));
        let (path, size) = (escape(&text::for_screen(file.path.as_str(), 400)), size(file.size));
        body.push_str(&format!(
            "<li><a href=\"{API}download?sessionId={session}&amp;fileId={id}\" download>{path} <small>{size}</small></a></li>"
        ));
    }
    body.push_str("</ul>");
    if files.len() > MAX_LISTED {
        body.push_str(&format!("<p>… and {} more.</p>", files.len() - MAX_LISTED));
    }
    let fields = FieldSet::from_iter([FieldCode::DeviceName, FieldCode::FileName, FieldCode::FileMeta]);
    html(200, &format!("Files from {name}"), &body, fields)
}

/// No.
pub(super) fn refusal(status: u16, why: &str) -> Response {
    let why = escape(why);
    let body = format!("<h1>{why}</h1><p><a href=\"/\">Try again</a></p>");
    html(status, &why, &body, FieldSet::EMPTY)
}

fn html(status: u16, title: &str, body: &str, fields: FieldSet) -> Response {
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main>{body}</main></body></html>"
    );
    response(status, page.into_bytes(), "text/html; charset=utf-8", fields)
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
