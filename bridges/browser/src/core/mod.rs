//! The protocol between hub and page, which is ours: HTTP/1.1 with small JSON bodies, made for the browsers of old
//! televisions. Nothing here has a socket or a clock.
//!
//! | asked | answer |
//! |---|---|
//! | `GET /`, `/tv.js`, `/tv.css` | the page |
//! | `POST /hello` | who it is from now on, and its code while it is not added |
//! | `POST /wait` | the orders that are new, as soon as there are any; or after [`pages::POLL`] nothing |
//! | `POST /say` | taken: how it goes, and what came of orders |

pub mod agent;
mod pace;
pub mod pages;
pub mod words;

use accord_http::{Method, RequestHead, response_head};

/// Longest body that a page sends: an answer for a screen (SDP) has some kilobytes.
pub const MAX_BODY: usize = 64 * 1024;

/// When a page that was not taken is to ask again, in seconds.
const AGAIN: u32 = 4;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Route {
    Page,
    Script,
    Style,
    Hello,
    Wait,
    Say,
    /// A page of somebody else made the browser ask.
    Foreign,
    WrongMethod,
    Unknown,
}

impl Route {
    /// Where it goes.
    pub fn of(head: &RequestHead) -> Self {
        let (method, route) = match head.path.as_str() {
            "/" => (Method::Get, Self::Page),
            "/tv.js" => (Method::Get, Self::Script),
            "/tv.css" => (Method::Get, Self::Style),
            "/hello" => (Method::Post, Self::Hello),
            "/wait" => (Method::Post, Self::Wait),
            "/say" => (Method::Post, Self::Say),
            _ => return Self::Unknown,
        };
        if head.method != method && !(method == Method::Get && head.method == Method::Head) {
            return Self::WrongMethod;
        }
        // A link elsewhere may lead to the page; what a page of others asks for by itself is not answered.
        if method == Method::Post && head.is_foreign() { Self::Foreign } else { route }
    }
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
    /// Asked again after so many seconds, it may be otherwise.
    again: Option<u32>,
}

/// Media come from other ports of the hub, and from where the owner says.
const POLICY: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src http: https: data:; \
     media-src http: https: blob:; connect-src 'self' http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
     X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n";

impl Answer {
    /// One of the page's own files.
    pub fn file(route: Route) -> Option<Self> {
        let (kind, text) = match route {
            Route::Page => ("text/html; charset=utf-8", include_str!("../../page/tv.html")),
            Route::Script => ("text/javascript; charset=utf-8", include_str!("../../page/tv.js")),
            Route::Style => ("text/css; charset=utf-8", include_str!("../../page/tv.css")),
            _ => return None,
        };
        Some(Self { status: 200, kind, body: text.as_bytes().to_vec(), again: None })
    }

    /// JSON.
    pub fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status: 200, kind: "application/json", body, again: None },
            Err(_) => Self::reason(500, "This cannot be told"),
        }
    }

    /// Why there is nothing.
    pub fn reason(status: u16, why: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: why.as_bytes().to_vec(), again: None }
    }

    /// Why there is nothing now.
    pub fn later(status: u16, why: &str) -> Self {
        Self { again: Some(AGAIN), ..Self::reason(status, why) }
    }

    /// Head and body.
    pub fn bytes(&self, keep_alive: bool, head_only: bool) -> Vec<u8> {
        let again = self.again.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let extra = format!("{POLICY}{again}");
        let mut bytes = response_head(self.status, self.body.len() as u64, self.kind, keep_alive, &extra);
        if !head_only {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// For the fuzzer: no body that a page sends panics, and what is taken from it is bounded.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    use std::time::Instant;
    let text = String::from_utf8_lossy(bytes);
    let about = agent::about(Some(&text), std::net::Ipv4Addr::LOCALHOST.into());
    assert!(about.name.chars().count() <= agent::MAX_NAME);
    let mut pages = pages::Pages::new(Default::default());
    let (address, now) = (std::net::Ipv4Addr::LOCALHOST.into(), Instant::now());
    if let Some(hello) = words::Hello::read(bytes) {
        assert!(hello.formats.len() <= words::MAX_FORMATS);
        let _ = pages.hello(hello, Some(&text), address, now);
    }
    let hello = words::Hello { key: None, formats: Vec::new() };
    let Ok(greeting) = pages.hello(hello, None, address, now) else { return };
    if let Some(mut say) = words::Say::read(bytes) {
        say.session = greeting.session;
        let _ = pages.say(say, address, now);
    }
    while pages.poll_event().is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(bytes: &str) -> Route {
        Route::of(&accord_http::read_request(bytes.as_bytes()).unwrap().unwrap().0)
    }

    #[test]
    fn there_is_a_page_and_nothing_beside_it() {
        let get = |path: &str| route(&format!("GET {path} HTTP/1.1\r\nHost: 192.168.1.5:4747\r\n\r\n"));
        for (path, wanted) in [("/", Route::Page), ("/tv.js", Route::Script), ("/tv.css", Route::Style)] {
            assert_eq!(get(path), wanted);
            assert!(Answer::file(wanted).is_some());
        }
        for path in ["/../keys", "/tv.js/", "//", "/favicon.ico", "/%2e%2e/"] {
            assert_eq!(get(path), Route::Unknown, "{path}");
        }
        assert_eq!(get("/wait"), Route::WrongMethod);
    }

    #[test]
    fn who_is_not_taken_now_is_told_when_to_ask_again() {
        let text = |answer: Answer| String::from_utf8(answer.bytes(true, false)).unwrap();
        assert!(text(Answer::later(503, "Not now")).contains("\r\nRetry-After: 4\r\n"));
        assert!(!text(Answer::reason(404, "Nothing")).contains("Retry-After"));
    }

    #[test]
    fn pages_of_others_cannot_make_a_browser_ask() {
        let post = |lines: &str| route(&format!("POST /say HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(post("Host: 192.168.1.5:4747\r\nOrigin: http://192.168.1.5:4747\r\n"), Route::Say);
        assert_eq!(post("Host: 192.168.1.5:4747\r\nOrigin: http://evil.example\r\n"), Route::Foreign);
        assert_eq!(post("Host: rebound.example\r\n"), Route::Foreign);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            fuzz(&bytes);
        }
        #[test]
        fn nearly_right_words_never_panic(position in any::<f64>(), number in any::<u64>(), text in ".{0,60}") {
            let said = serde_json::json!({"session": text, "done": [{"n": number, "error": text}],
                "state": {"playing": true, "position": position, "length": position, "volume": position, "trouble": text}});
            fuzz(said.to_string().as_bytes());
        }
    }
}
