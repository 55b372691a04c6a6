//! Without I/O: requests and the time in, decisions and bytes out.

pub mod door;
pub mod page;
pub mod protocol;
pub mod route;
pub mod zip;

use accord_http::{Portion, response_head};
use accord_model::{FieldCode, FieldSet};

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// MIME type.
    pub content_type: &'static str,
    /// Further header lines, each with its end.
    pub headers: String,
    /// The content.
    pub body: Vec<u8>,
    /// Which kinds of personal data are in it.
    pub fields: FieldSet,
}

/// Nothing of a page may come from elsewhere or go elsewhere, and nobody may keep it. (With `no-referrer` browsers would
/// send the form with `Origin: null`, as pages of others do.)
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nX-Frame-Options: DENY\r\nCache-Control: no-store\r\n";

impl Answer {
    /// Of this type.
    pub fn of(status: u16, content_type: &'static str, body: Vec<u8>, fields: FieldSet) -> Self {
        Self { status, content_type, headers: HEADERS.to_owned(), body, fields }
    }
    /// Go and look there.
    pub fn see(path: &str) -> Self {
        let mut answer = Self::of(303, "text/plain", Vec::new(), FieldSet::EMPTY);
        answer.headers.push_str(&format!("Location: {path}\r\n"));
        answer
    }
    /// A refusal, as LocalSend's API has it.
    pub fn reason(status: u16, why: &str) -> Self {
        let body = serde_json::json!({ "message": why }).to_string();
        Self::of(status, "application/json", body.into_bytes(), FieldSet::EMPTY)
    }
    /// As it is sent; without its content when only the head was asked for.
    pub fn bytes(&self, keep_alive: bool, head_only: bool) -> Vec<u8> {
        let length = self.body.len() as u64;
        let mut out = response_head(self.status, length, self.content_type, keep_alive, &self.headers);
        if !head_only {
            out.extend_from_slice(&self.body);
        }
        out
    }
}

/// The head before the content of a file or an archive, or a part of it.
pub fn file_head(name: &str, part: &Portion, etag: Option<&str>, keep_alive: bool) -> Vec<u8> {
    let mut extra = HEADERS.to_owned();
    extra.push_str(&format!("Content-Disposition: {}\r\n", disposition(name)));
    if let Some(etag) = etag {
        extra.push_str(&format!("Accept-Ranges: bytes\r\nETag: {etag}\r\n"));
    }
    extra.push_str(&part.lines);
    response_head(part.status, part.length, "application/octet-stream", keep_alive, &extra)
}

/// `Content-Disposition` for any name (RFC 6266): plain for old programs, and exactly (RFC 8187).
pub fn disposition(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || " ._-()[]+,=@~".contains(c);
    let plain: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", accord_http::encode_component(name))
}

/// What is in the content of a file, or a text.
pub fn content_fields(text: bool) -> FieldSet {
    let content = if text { FieldCode::TextContent } else { FieldCode::FileContent };
    FieldSet::from_iter([content, FieldCode::FileName, FieldCode::FileMeta])
}

/// For the fuzzer: requests in portions of `step` bytes, at a share with and without a word in its address. Whatever they
/// say, nobody is let in who does not know the word, and what comes from them makes no second header.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], step: usize) {
    let now = std::time::Instant::now();
    let word = accord_ports::Secret::from("kf3mq8wz2abc");
    let mut requests = accord_http::Requests::new(1024);
    let mut door = door::Door::new(crate::Admission::Everyone);
    for portion in bytes.chunks(step.max(1)) {
        let mut next = requests.take(portion);
        while let Ok(Some((head, body))) = next {
            for base in [None, Some(&word)] {
                let knows = base.is_none() || head.path.contains(&*word);
                match route::Route::of(&head, base) {
                    route::Route::Landing | route::Route::Knock => assert!(knows),
                    route::Route::File(_, place) => assert!(knows && place <= crate::MAX_ITEMS),
                    route::Route::Download { file: Some(file), .. } => drop(protocol::place(&file)),
                    _ => {}
                }
            }
            let pin = accord_http::form_field(&body, "pin");
            let _ = door.knock([10, 0, 0, 7].into(), head.agent.as_deref(), pin.as_deref(), false, now);
            let line = disposition(&accord_http::decode_component(&head.path));
            assert!(!line.contains(['\r', '\n']) && line.matches('"').count() == 2);
            next = requests.take(&[]);
        }
        if next.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_stay_one_header_and_keep_their_meaning() {
        let odd = "a\"b;\r\nX: y/ä 東.txt";
        let line = disposition(odd);
        assert!(!line.contains(['\r', '\n']), "{line}");
        assert_eq!(line.matches('"').count(), 2);
        let exact = line.split("UTF-8''").nth(1).unwrap();
        assert_eq!(accord_http::decode_component(exact), odd);
        assert!(line.starts_with("attachment; filename=\"a_b___X_ y__ _.txt\"; "), "{line}");
    }
}
