//! Signing in with Home Assistant, as its authentication API describes it (developers.home-assistant.io/docs/auth_api):
//! an address for the owner's browser, where Home Assistant asks itself who that is; the code with which it sends the browser
//! back; and tokens for the code. A refresh token lasts until it is revoked there; an access token half an hour.

use std::time::Duration;

use accord_http::{Answer, HttpError, Method, encode_component, request_head};
use accord_ports::Secret;
use serde::Deserialize;

use super::advert::Place;

/// Where tokens are given.
const TOKEN: &str = "/auth/token";
const REVOKE: &str = "/auth/revoke";
/// Longest answer that is taken.
const LONGEST: usize = 32 * 1024;
/// Longest code and token, and longest time that an access token may be said to last.
const LONGEST_CODE: usize = 512;
const LONGEST_TOKEN: usize = 4096;
const LASTS_AT_MOST: u64 = 86_400;

/// Where the owner's browser goes to sign in. `back`: where it is sent from there, below `client`.
pub fn address(place: &Place, client: &str, back: &str, state: &str) -> String {
    let [client, back, state] = [client, back, state].map(encode_component);
    format!("{place}/auth/authorize?response_type=code&client_id={client}&redirect_uri={back}&state={state}")
}

/// Who Accord is for Home Assistant: the address of the web pages that the browser comes back to, without a path. `None`: it
/// is none.
pub fn client(back: &str) -> Option<String> {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| back.starts_with(scheme))?;
    let host = back[scheme.len()..].split('/').next().filter(|host| !host.is_empty())?;
    let plain =
        back.len() <= 256 && back.bytes().all(|byte| byte.is_ascii_graphic()) && !host.contains(['@', '?', '#']);
    plain.then(|| format!("{scheme}{host}/"))
}

/// What is asked of a server.
pub enum Ask<'a> {
    /// Tokens for a code that the browser came back with.
    Code(&'a str),
    /// An access token for a refresh token.
    Refresh(&'a Secret),
    /// That a refresh token is worth nothing from now on.
    Revoke(&'a Secret),
}

impl Ask<'_> {
    /// The whole request, in the name of `client`.
    pub fn request(&self, client: &str, host: &str) -> Vec<u8> {
        let client = encode_component(client);
        let (path, form) = match self {
            Self::Code(code) => {
                let code = encode_component(code);
                (TOKEN, format!("grant_type=authorization_code&code={code}&client_id={client}"))
            }
            Self::Refresh(token) => {
                let token = encode_component(token);
                (TOKEN, format!("grant_type=refresh_token&refresh_token={token}&client_id={client}"))
            }
            Self::Revoke(token) => (REVOKE, format!("token={}", encode_component(token))),
        };
        let length = u64::try_from(form.len()).unwrap_or(u64::MAX);
        let mut request = request_head(Method::Post, path, host, length, "application/x-www-form-urlencoded");
        request.extend_from_slice(form.as_bytes());
        request
    }
}

/// Whether a text can be a code that the browser came back with.
pub fn is_code(code: &str) -> bool {
    (8..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// For the next minutes.
    pub access: Secret,
    /// How long it can be used.
    pub lasts: Duration,
    /// With the first ones: what others are given for.
    pub refresh: Option<Secret>,
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTokens {
    /// It does not let us in: a code or a token that is used up, revoked or another's.
    #[error("{0}")]
    Refused(String),
    /// It, or what stands before it, does not let us ask: an address that is banned, a proxy.
    #[error("{0}")]
    Barred(String),
    /// It does not answer as it should.
    #[error("{0}")]
    Odd(String),
}

#[derive(Deserialize)]
struct Given {
    access_token: Option<Secret>,
    expires_in: Option<u64>,
    refresh_token: Option<Secret>,
    token_type: Option<String>,
}

#[derive(Deserialize)]
struct Failed {
    error: Option<String>,
    error_description: Option<String>,
}

/// The answer, as it comes.
pub struct Reader(Answer);

impl Default for Reader {
    fn default() -> Self {
        Self(Answer::new(LONGEST))
    }
}

impl Reader {
    /// Takes bytes of the server; `end`: there are no more. `None`: it is not whole yet.
    pub fn take(&mut self, bytes: &[u8], end: bool) -> Option<Result<Tokens, NoTokens>> {
        match self.0.take(bytes, end) {
            Ok(None) => None,
            Ok(Some((status, body))) => Some(read(status, &body)),
            Err(HttpError::CutShort) => {
                Some(Err(NoTokens::Odd("it hung up instead of answering; is it reached by https?".to_owned())))
            }
            Err(error) => Some(Err(NoTokens::Odd(error.to_string()))),
        }
    }
}

fn read(status: u16, body: &[u8]) -> Result<Tokens, NoTokens> {
    let odd = || NoTokens::Odd(format!("it answered with {status}, as no Home Assistant does"));
    match status {
        200 => {
            let given: Given = serde_json::from_slice(body).map_err(|_| odd())?;
            let is_token = |token: &Secret| {
                (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
            };
            let bearer = given.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
            let access = given.access_token.filter(is_token).filter(|_| bearer).ok_or_else(odd)?;
            let lasts = Duration::from_secs(given.expires_in.unwrap_or(1800).min(LASTS_AT_MOST));
            Ok(Tokens { access, lasts, refresh: given.refresh_token.filter(is_token) })
        }
        400 | 401 | 403 => {
            // Its own word is an error as RFC 6749, section 5.2 has it; without one it says nothing of the token.
            let failed: Option<Failed> = serde_json::from_slice(body).ok();
            let said = failed.and_then(|failed| {
                let error = failed.error.filter(|error| !error.is_empty())?;
                Some(failed.error_description.filter(|more| !more.is_empty()).unwrap_or(error))
            });
            Err(match said {
                Some(said) => NoTokens::Refused(accord_model::text::for_screen(&said, 120)),
                None => NoTokens::Barred(format!(
                    "it answered with error {status}: this machine's address may be banned there, or a proxy is in the way"
                )),
            })
        }
        429 => Err(NoTokens::Odd("it was asked too often, and wants to be left alone for a while".to_owned())),
        _ => Err(odd()),
    }
}

/// Entry for fuzzing: an answer in portions.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let step = usize::from(bytes.first().copied().unwrap_or(1)).max(1);
    let mut reader = Reader::default();
    for piece in bytes.chunks(step) {
        if reader.take(piece, false).is_some() {
            return;
        }
    }
    assert!(reader.take(&[], true).is_some(), "at the end it is said what came");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    }

    fn taken(bytes: &[u8]) -> Result<Tokens, NoTokens> {
        let mut reader = Reader::default();
        for (index, byte) in bytes.iter().enumerate() {
            if let Some(done) = reader.take(&[*byte], false) {
                assert!(done.is_err() || index + 1 == bytes.len());
                return done;
            }
        }
        reader.take(&[], true).unwrap()
    }

    #[test]
    fn the_owner_is_sent_to_its_own_server_and_back_here() {
        let place = Place::parse("http://192.168.1.5:8123").unwrap();
        let back = "http://127.0.0.1:8420/signed-in";
        let client = client(back).unwrap();
        assert_eq!(client, "http://127.0.0.1:8420/");
        assert_eq!(
            address(&place, &client, back, "a b&c"),
            "http://192.168.1.5:8123/auth/authorize?response_type=code&client_id=http%3A%2F%2F127.0.0.1%3A8420%2F\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A8420%2Fsigned-in&state=a%20b%26c"
        );
        for wrong in ["ftp://x/", "http:///x", "http://a@b/", "http://a b/", "https://", "//x"] {
            assert_eq!(super::client(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_asked_for_and_taken_and_never_shown() {
        let request = Ask::Code("c0de&x").request("http://127.0.0.1:8420/", "10.0.0.2:8123");
        let request = String::from_utf8(request).unwrap();
        assert!(request.starts_with("POST /auth/token HTTP/1.1\r\nHost: 10.0.0.2:8123\r\n"));
        assert!(request.ends_with("code=c0de%26x&client_id=http%3A%2F%2F127.0.0.1%3A8420%2F"));
        let refresh = Ask::Refresh(&"geheim".into()).request("c", "h");
        assert!(String::from_utf8(refresh).unwrap().contains("\r\n\r\ngrant_type=refresh_token&refresh_token=geheim&"));
        let given = r#"{"access_token":"geheim-1","token_type":"Bearer","refresh_token":"geheim-2","expires_in":1800,"ha_auth_provider":"homeassistant"}"#;
        let tokens = taken(&answer("200 OK", given)).unwrap();
        assert_eq!((&*tokens.access, tokens.lasts.as_secs()), ("geheim-1", 1800));
        assert_eq!(tokens.refresh.as_deref(), Some("geheim-2"));
        assert!(!format!("{tokens:?}").contains("geheim"));
    }

    #[test]
    fn what_is_no_answer_of_home_assistant_is_refused_in_words() {
        let refused =
            taken(&answer("400 Bad Request", r#"{"error":"invalid_request","error_description":"Invalid code"}"#));
        assert_eq!(refused, Err(NoTokens::Refused("Invalid code".into())));
        let access = r#"{"error":"access_denied","error_description":"User is not active"}"#;
        assert_eq!(taken(&answer("403 Forbidden", access)), Err(NoTokens::Refused("User is not active".into())));
        // Not its word on the token: an address that is banned, a proxy.
        for (status, body) in [("403 Forbidden", "403: Forbidden"), ("401 Unauthorized", "<html>"), ("400 Bad", "{}")] {
            let barred = taken(&answer(status, body));
            assert!(matches!(&barred, Err(NoTokens::Barred(why)) if why.contains(&status[..3])), "{barred:?}");
        }
        let odd = |bytes: &[u8]| matches!(taken(bytes), Err(NoTokens::Odd(_)));
        assert!(odd(&answer("200 OK", "{}")) && odd(&answer("302 Found", "")) && odd(b"SSH-2.0-x\r\n") && odd(b""));
        assert!(
            odd(&answer("200 OK", r#"{"access_token":"a\r\nb"}"#)) && odd(&answer("200 OK", r#"{"access_token":7}"#))
        );
        assert!(odd(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"));
        let mut long = Reader::default();
        long.take(b"HTTP/1.1 200 OK\r\n\r\n", false);
        assert!(matches!(long.take(&vec![b'x'; LONGEST + 1], false), Some(Err(NoTokens::Odd(_)))));
        assert!(
            is_code("0123456789abcdef") && !is_code("short") && !is_code(&"x".repeat(600)) && !is_code("with a blank")
        );
    }
}
