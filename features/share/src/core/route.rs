//! What a request asks for.

use accord_http::{Method, RequestHead};
use accord_ports::{Secret, secret};

/// A request by what it asks for. Parameters are as the visitor sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The page's way in.
    Landing,
    /// The form on it.
    Knock,
    /// A visit's own page: it waits, or sees the files.
    Visit(Secret),
    /// A file of a visit.
    File(Secret, usize),
    /// All files of a visit.
    All(Secret),
    /// The page's style sheet.
    Style,
    /// LocalSend: who is this? (`info`, of version 1 too, and `register`)
    Info,
    /// LocalSend: `prepare-download`.
    Prepare {
        /// A session that was granted before.
        session: Option<Secret>,
        /// The PIN that was typed.
        pin: Option<Secret>,
    },
    /// LocalSend: `download`.
    Download {
        /// The session.
        session: Option<Secret>,
        /// The file's id.
        file: Option<String>,
    },
    /// A path of ours, asked otherwise.
    WrongMethod,
    /// A browser asks on behalf of a page that is not ours.
    Foreign,
    /// Nothing of ours.
    Unknown,
}

impl Route {
    /// What a request means at a share whose page is below `base`: nothing, or a word that nobody can guess.
    pub fn of(head: &RequestHead, base: Option<&Secret>) -> Self {
        if head.is_foreign() {
            return Self::Foreign;
        }
        let (route, method) = match head.path.strip_prefix("/api/localsend/") {
            Some(call) => Self::api(call, head),
            None => Self::page(head, base),
        };
        match (method, head.method) {
            _ if route == Self::Unknown => Self::Unknown,
            (Method::Get, Method::Get | Method::Head) | (Method::Post, Method::Post) => route,
            _ => Self::WrongMethod,
        }
    }

    fn api(call: &str, head: &RequestHead) -> (Self, Method) {
        let parameter = |name: &str| head.parameter(name).map(Secret::from);
        match call {
            "v1/info" | "v2/info" => (Self::Info, Method::Get),
            "v1/register" | "v2/register" => (Self::Info, Method::Post),
            "v2/prepare-download" => {
                (Self::Prepare { session: parameter("sessionId"), pin: parameter("pin") }, Method::Post)
            }
            "v2/download" => {
                let file = head.parameter("fileId").map(str::to_owned);
                (Self::Download { session: parameter("sessionId"), file }, Method::Get)
            }
            _ => (Self::Unknown, Method::Get),
        }
    }

    fn page(head: &RequestHead, base: Option<&Secret>) -> (Self, Method) {
        let rest = match base {
            None => Some(head.path.as_str()),
            Some(base) => {
                let path = &head.path[1..];
                let (word, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
                secret::same(word, base).then_some(if rest.is_empty() { "/" } else { rest })
            }
        };
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix('/')) else { return (Self::Unknown, Method::Get) };
        let parts: Vec<&str> = rest.splitn(5, '/').collect();
        let route = match parts[..] {
            [""] if head.method == Method::Post => return (Self::Knock, Method::Post),
            [""] => Self::Landing,
            ["style.css"] => Self::Style,
            ["v", visit] | ["v", visit, ""] => Self::Visit(visit.into()),
            ["v", visit, "all.zip"] => Self::All(visit.into()),
            // The name is there for programs that take it from the address.
            ["v", visit, place] | ["v", visit, place, _] => match place.parse() {
                Ok(place) if place < super::super::MAX_ITEMS + 1 => Self::File(visit.into(), place),
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        };
        (route, Method::Get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(request: &str, base: Option<&str>) -> Route {
        let bytes = format!("{request} HTTP/1.1\r\nHost: 10.0.0.1:8421\r\n\r\n");
        let (head, _) = accord_http::read_request(bytes.as_bytes()).unwrap().unwrap();
        Route::of(&head, base.map(Secret::from).as_ref())
    }

    #[test]
    fn pages_are_found_only_below_the_word() {
        assert_eq!(route("GET /", None), Route::Landing);
        assert_eq!(route("POST /", None), Route::Knock);
        assert_eq!(route("GET /", Some("word")), Route::Unknown);
        assert_eq!(route("POST /", Some("word")), Route::Unknown);
        assert_eq!(route("GET /wor/", Some("word")), Route::Unknown);
        assert_eq!(route("GET /words/", Some("word")), Route::Unknown);
        assert_eq!(route("GET /word", Some("word")), Route::Landing);
        assert_eq!(route("GET /word/", Some("word")), Route::Landing);
        assert_eq!(route("HEAD /word/style.css", Some("word")), Route::Style);
        assert_eq!(route("GET /word/v/t", Some("word")), Route::Visit("t".into()));
        assert_eq!(route("GET /v/t/3/a%20b.txt", None), Route::File("t".into(), 3));
        assert_eq!(route("GET /v/t/all.zip", None), Route::All("t".into()));
    }

    #[test]
    fn hostile_paths_and_methods_lead_nowhere() {
        for path in [
            "/../etc/passwd",
            "/v/t/-1/a",
            "/v/t/../../etc/passwd",
            "/v/t/99999999999999999999/a",
            "/v/t/10001/a",
            "/v/t/1/a/b",
            "/%2e%2e/",
            "//",
            "/v",
            "/v//1/",
            "/api/localsend/v2/upload",
            "/api/localsend/v2/../info",
            "/api/localsend/",
        ] {
            let found = route(&format!("GET {path}"), None);
            assert!(matches!(found, Route::Unknown | Route::File(..)), "{path}: {found:?}");
            assert!(!matches!(found, Route::File(ref visit, _) if !visit.is_empty()), "{path}: {found:?}");
        }
        for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "POST", "PROPFIND"] {
            assert_eq!(route(&format!("{method} /v/t/1/a"), None), Route::WrongMethod, "{method}");
        }
        assert_eq!(route("GET /api/localsend/v2/prepare-download", None), Route::WrongMethod);
    }

    #[test]
    fn localsend_is_answered_at_its_own_paths() {
        let prepare = Route::Prepare { session: None, pin: Some("12 3".into()) };
        assert_eq!(route("POST /api/localsend/v2/prepare-download?pin=12%203", Some("word")), prepare);
        assert_eq!(route("GET /api/localsend/v1/info", Some("word")), Route::Info);
        let download = Route::Download { session: Some("s".into()), file: Some("0".into()) };
        assert_eq!(route("GET /api/localsend/v2/download?sessionId=s&fileId=0", None), download);
    }
}
