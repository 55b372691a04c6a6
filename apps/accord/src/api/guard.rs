//! Which requests reach the API at all. The Unix socket is the owner by its permissions. On HTTP: the
//! `Host` must be one of the hub's (against DNS rebinding), the request must come from the hub's own
//! page (against cross-site requests), and it must carry a session; strangers learn nothing personal.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::Auth;
use super::error::Failure;

/// Where a connection came in. Set per connection by the listener, never by a header.
#[derive(Debug, Clone)]
pub enum Door {
    /// The Unix socket: the owner.
    Owner,
    Web {
        peer: SocketAddr,
        local: SocketAddr,
        tls: bool,
    },
}

/// Who makes a request, for handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Through the Unix socket.
    Owner,
    /// A signed-in browser.
    Session { id: String },
    /// Only for the few paths that strangers may use.
    Stranger,
}

/// The rules of one hub.
pub struct Guard {
    pub auth: Arc<Auth>,
    /// Host names of the owner's own choice, in lower case.
    pub names: Vec<String>,
}

/// API paths that need no session.
const OPEN: [(&str, &str); 2] = [("POST", "/api/v1/session"), ("GET", "/api/v1/openapi.json")];

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    manifest-src 'self'; worker-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(), geolocation=(), usb=(), payment=(), interest-cohort=()",
    ),
];

/// The middleware around everything.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.admit(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // What is no page may have a stricter policy of its own.
        match name {
            header::CONTENT_SECURITY_POLICY => drop(headers.entry(name).or_insert(HeaderValue::from_static(value))),
            _ => drop(headers.insert(name, HeaderValue::from_static(value))),
        }
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl Guard {
    fn admit(&self, request: &Request) -> Result<Caller, Failure> {
        let (local, tls) = match request.extensions().get::<Door>() {
            Some(Door::Owner) => return Ok(Caller::Owner),
            Some(Door::Web { local, tls, .. }) => (*local, *tls),
            None => return Err(Failure::forbidden("This request came through no known door.")),
        };
        let headers = request.headers();
        let host = host_of(headers, request.uri()).ok_or_else(Failure::misdirected)?;
        if !self.is_ours(host, local) {
            return Err(Failure::misdirected());
        }
        let path = request.uri().path();
        if path != "/api" && !path.starts_with("/api/") {
            return match *request.method() {
                Method::GET | Method::HEAD => Ok(Caller::Stranger),
                _ => Err(Failure::forbidden("Nothing can be sent here.")),
            };
        }
        from_our_page(headers, request.method(), host, tls)?;
        if let Some(id) = cookie(headers, &self.auth.cookie_name(tls)).and_then(|value| self.auth.session(value)) {
            return Ok(Caller::Session { id });
        }
        if OPEN.contains(&(request.method().as_str(), path)) {
            return Ok(Caller::Stranger);
        }
        Err(Failure::sign_in())
    }

    /// Loopback by name or number, a configured name, or (beyond loopback) the very address that was
    /// called: a rebinding page needs a name, so numbers are safe.
    fn is_ours(&self, host: &str, local: SocketAddr) -> bool {
        let Some((name, port)) = split_host(host) else { return false };
        if self.names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return true;
        }
        if port.unwrap_or(if local.port() == 443 { 443 } else { 80 }) != local.port() {
            return false;
        }
        let ip = local.ip().to_canonical();
        match name.parse::<IpAddr>() {
            Ok(named) => named.to_canonical() == ip,
            Err(_) => ip.is_loopback() && (name.eq_ignore_ascii_case("localhost")),
        }
    }
}

/// The request's one host, from the `Host` header and, for absolute-form targets, from there; both must agree.
fn host_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok()?;
    if all.next().is_some() {
        return None;
    }
    match uri.authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => None,
        _ => Some(host),
    }
}

/// `name:port`, `1.2.3.4:port`, `[::1]:port`, each also without port.
fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = host.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((name, Some(port.parse().ok()?))),
            None if rest.is_empty() => Some((name, None)),
            None => None,
        };
    }
    match host.split_once(':') {
        Some((name, port)) => Some((name, Some(port.parse().ok()?))),
        None => Some((host, None)),
    }
}

/// Refuses what another site's page could have caused.
fn from_our_page(headers: &HeaderMap, method: &Method, host: &str, tls: bool) -> Result<(), Failure> {
    let foreign = || Failure::forbidden("Another site's page cannot use the hub.");
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if let Some(origin) = origins.next() {
        let scheme = if tls { "https://" } else { "http://" };
        let same = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme));
        if !same.is_some_and(|origin| origin.eq_ignore_ascii_case(host)) || origins.next().is_some() {
            return Err(foreign());
        }
    }
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return Err(foreign());
    }
    let changes = *method != Method::GET && *method != Method::HEAD;
    // A header of our own cannot be set across origins without a preflight, which nothing here answers.
    if changes && headers.get("x-accord").is_none_or(|value| value != "1") {
        return Err(Failure::forbidden("Calls that change something need the header `X-Accord: 1`."));
    }
    Ok(())
}

/// The value of one cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use proptest::prelude::*;

    fn rules(dir: &std::path::Path) -> Guard {
        Guard { auth: Arc::new(Auth::open(dir).unwrap()), names: vec!["hub.example".into()] }
    }

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Door::Web {
            peer: "127.0.0.1:5".parse().unwrap(),
            local: "127.0.0.1:8420".parse().unwrap(),
            tls: false,
        });
        request
    }

    #[test]
    fn only_the_hubs_own_names_are_answered() {
        let dir = tempfile::tempdir().unwrap();
        let rules = rules(dir.path());
        let admits = |host: &str| rules.admit(&request("GET", "/", &[("host", host)])).is_ok();
        for host in ["127.0.0.1:8420", "localhost:8420", "LOCALHOST:8420", "hub.example", "hub.example:8420"] {
            assert!(admits(host), "{host}");
        }
        for host in [
            "evil.example:8420",
            "127.0.0.1",
            "127.0.0.1:80",
            "192.168.1.2:8420",
            "localhost.evil.example:8420",
            "",
            "[::1]:8420",
            "x@127.0.0.1:8420",
        ] {
            assert!(!admits(host), "{host}");
        }
        assert!(rules.admit(&request("GET", "/", &[])).is_err(), "no host at all");
        let two = request("GET", "/", &[("host", "127.0.0.1:8420"), ("host", "evil.example")]);
        assert!(rules.admit(&two).is_err());
        let absolute = request("GET", "http://evil.example/", &[("host", "127.0.0.1:8420")]);
        assert!(rules.admit(&absolute).is_err());
    }

    #[test]
    fn another_sites_page_gets_nowhere_even_with_the_cookie() {
        let dir = tempfile::tempdir().unwrap();
        let rules = rules(dir.path());
        let token = rules.auth.setup_token().unwrap();
        let cookie = rules.auth.sign_in(&token, "127.0.0.1".parse().unwrap(), "").unwrap();
        let cookie = format!("{}={cookie}", rules.auth.cookie_name(false));
        let try_with = |method: &str, extra: &[(&str, &str)]| {
            let mut headers = vec![("host", "127.0.0.1:8420"), ("cookie", cookie.as_str())];
            headers.extend_from_slice(extra);
            rules.admit(&request(method, "/api/v1/settings", &headers))
        };
        assert!(matches!(try_with("GET", &[]), Ok(Caller::Session { .. })));
        assert!(try_with("PUT", &[("x-accord", "1"), ("origin", "http://127.0.0.1:8420")]).is_ok());
        assert!(try_with("PUT", &[]).is_err(), "without the header");
        assert!(try_with("PUT", &[("x-accord", "1"), ("origin", "http://evil.example")]).is_err());
        assert!(try_with("PUT", &[("x-accord", "1"), ("origin", "null")]).is_err());
        assert!(try_with("PUT", &[("x-accord", "1"), ("origin", "https://127.0.0.1:8420")]).is_err());
        assert!(try_with("PUT", &[("x-accord", "1"), ("sec-fetch-site", "cross-site")]).is_err());
        assert!(try_with("GET", &[("sec-fetch-site", "same-site")]).is_err(), "another port of this machine");
        assert!(try_with("GET", &[("origin", "http://127.0.0.1:9999")]).is_err());
    }

    #[test]
    fn a_stranger_is_asked_to_sign_in_and_the_socket_is_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let rules = rules(dir.path());
        let stranger = request("GET", "/api/v1/status", &[("host", "127.0.0.1:8420")]);
        assert_eq!(rules.admit(&stranger).unwrap_err().code(), "sign-in");
        let mut owner = request("DELETE", "/api/v1/consents/1", &[]);
        owner.extensions_mut().insert(Door::Owner);
        assert_eq!(rules.admit(&owner).unwrap(), Caller::Owner);
        let mut nowhere = request("GET", "/", &[("host", "127.0.0.1:8420")]);
        nowhere.extensions_mut().remove::<Door>();
        assert!(rules.admit(&nowhere).is_err());
    }

    #[tokio::test]
    async fn an_answer_keeps_its_own_policy_and_nothing_else_of_what_every_answer_says() {
        use tower::ServiceExt;
        let dir = tempfile::tempdir().unwrap();
        let strict = || async {
            [(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"), (header::X_FRAME_OPTIONS, "ALLOW")]
        };
        let router = axum::Router::new()
            .route("/strict", axum::routing::get(strict))
            .route("/plain", axum::routing::get(|| async {}))
            .layer(axum::middleware::from_fn_with_state(Arc::new(rules(dir.path())), guard));
        for (path, policy) in [("/strict", "default-src 'none'; sandbox"), ("/plain", CSP)] {
            let asked = request("GET", path, &[("host", "127.0.0.1:8420")]);
            let answer = router.clone().oneshot(asked).await.unwrap();
            let all: Vec<_> = answer.headers().get_all(header::CONTENT_SECURITY_POLICY).iter().collect();
            assert_eq!(all, [policy], "{path}");
            assert_eq!(answer.headers()[header::X_FRAME_OPTIONS], "DENY");
        }
    }

    proptest! {
        #[test]
        fn no_host_header_splits_badly(host in "[\\[\\]:a-z0-9.@]{0,24}") {
            if let Some((name, _)) = split_host(&host) {
                prop_assert!(host.contains(name));
            }
        }
    }
}
