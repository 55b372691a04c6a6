//! Who may use the HTTP API: one-time setup tokens from the terminal, and the session cookies that
//! they buy. Only hashes rest on disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_model::Timestamp;
use accord_store::replace_private;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

/// How long a setup link can be used.
pub const SETUP_LIFETIME: Duration = Duration::from_secs(600);
/// A session that nobody used for this long ends.
const SESSION_IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
const MAX_SETUP_TOKENS: usize = 16;
const MAX_SESSIONS: usize = 64;
/// Failed tries that are allowed per address and minute, and for all addresses together.
const TRIES_PER_ADDRESS: u32 = 5;
const TRIES_TOGETHER: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);

type Hash = [u8; 32];

/// Sessions, setup tokens and failed tries of one hub.
pub struct Auth {
    path: PathBuf,
    /// Part of the cookie's name: cookies do not tell ports apart, and several hubs can share a host name.
    tag: String,
    inner: Mutex<Inner>,
    revoked: tokio::sync::broadcast::Sender<String>,
}

#[derive(Default)]
struct Inner {
    setup: HashMap<Hash, Instant>,
    sessions: Vec<Session>,
    tries: Tries,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    tag: String,
    sessions: Vec<Session>,
}

/// One signed-in browser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    pub id: String,
    /// BLAKE3 of the cookie's value.
    hash: String,
    /// What the browser calls itself.
    pub agent: String,
    pub created: Timestamp,
    pub last_used: Timestamp,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    #[error("this setup link is not valid any more; run `accord open` for a new one")]
    NotValid,
    #[error("too many tries; wait {0} s, then run `accord open` for a new link")]
    TooMany(u64),
}

impl Auth {
    /// Reads the sessions of `dir/sessions.json`; a file that cannot be read ends all sessions.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        let path = dir.join("sessions.json");
        let stored = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Stored>(&bytes).ok(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (tag, sessions) = match stored {
            Some(stored) => (stored.tag, stored.sessions),
            None => (HEXLOWER.encode(&random::<4>()?), Vec::new()),
        };
        let auth = Self {
            path,
            tag,
            inner: Mutex::new(Inner { sessions, ..Inner::default() }),
            revoked: tokio::sync::broadcast::channel(16).0,
        };
        auth.save(&auth.lock())?;
        Ok(auth)
    }

    /// The cookie's name on a plain or a TLS listener.
    pub fn cookie_name(&self, tls: bool) -> String {
        if tls { format!("__Host-accord-{}", self.tag) } else { format!("accord-{}", self.tag) }
    }

    /// A fresh setup token: 128 bits, ten minutes, single use.
    pub fn setup_token(&self) -> std::io::Result<String> {
        let token = BASE64URL_NOPAD.encode(&random::<16>()?);
        let now = Instant::now();
        let mut inner = self.lock();
        inner.setup.retain(|_, until| *until > now);
        if inner.setup.len() >= MAX_SETUP_TOKENS
            && let Some(oldest) = inner.setup.iter().min_by_key(|(_, until)| **until).map(|(hash, _)| *hash)
        {
            inner.setup.remove(&oldest);
        }
        inner.setup.insert(hash(&token), now + SETUP_LIFETIME);
        Ok(token)
    }

    /// Trades a setup token for the value of a session cookie. However often others guess, a valid one is taken.
    pub fn sign_in(&self, token: &str, from: IpAddr, agent: &str) -> Result<String, SignInError> {
        let now = Instant::now();
        let mut inner = self.lock();
        let live = inner.setup.remove(&hash(token)).is_some_and(|until| until > now);
        let secret = random::<32>().ok().filter(|_| live);
        let Some(secret) = secret else {
            inner.tries.failed(from, now)?;
            return Err(SignInError::NotValid);
        };
        let secret = BASE64URL_NOPAD.encode(&secret);
        let digest = hash(&secret);
        let at = Timestamp::now();
        inner.sessions.push(Session {
            id: HEXLOWER.encode(&digest[..8]),
            hash: HEXLOWER.encode(&digest),
            agent: accord_model::text::for_screen(agent, 120),
            created: at,
            last_used: at,
        });
        if inner.sessions.len() > MAX_SESSIONS {
            inner.sessions.sort_by_key(|session| session.last_used);
            let oldest = inner.sessions.remove(0);
            let _ = self.revoked.send(oldest.id);
        }
        if let Err(error) = self.save(&inner) {
            tracing::warn!(%error, "the session lasts only until the hub stops: it could not be saved");
        }
        Ok(secret)
    }

    /// The session that this cookie value belongs to.
    pub fn session(&self, cookie: &str) -> Option<String> {
        let wanted = HEXLOWER.encode(&hash(cookie));
        let now = Timestamp::now();
        let mut inner = self.lock();
        let session = inner.sessions.iter_mut().find(|session| session.hash == wanted)?;
        let idle = Duration::try_from(now.duration_since(session.last_used)).unwrap_or_default();
        if idle > SESSION_IDLE {
            return None;
        }
        let id = session.id.clone();
        if idle > Duration::from_secs(3600) {
            session.last_used = now;
            let _ = self.save(&inner);
        }
        Some(id)
    }

    pub fn sessions(&self) -> Vec<Session> {
        self.lock().sessions.clone()
    }

    /// Ends a session; its event streams end too. False when there is none.
    pub fn revoke(&self, id: &str) -> bool {
        let mut inner = self.lock();
        let before = inner.sessions.len();
        inner.sessions.retain(|session| session.id != id);
        let found = inner.sessions.len() != before;
        if found {
            if let Err(error) = self.save(&inner) {
                tracing::error!(%error, "a session that was ended could not be removed from the disk");
            }
            let _ = self.revoked.send(id.to_owned());
        }
        found
    }

    /// Ids of sessions that end.
    pub fn revoked(&self) -> tokio::sync::broadcast::Receiver<String> {
        self.revoked.subscribe()
    }

    fn save(&self, inner: &Inner) -> std::io::Result<()> {
        let stored = Stored { tag: self.tag.clone(), sessions: inner.sessions.clone() };
        replace_private(&self.path, &serde_json::to_vec_pretty(&stored)?)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Failed tries in the current window.
#[derive(Default)]
struct Tries {
    by_address: HashMap<IpAddr, u32>,
    together: u32,
    started: Option<Instant>,
}

impl Tries {
    /// Counts one. Bounded: no more than TRIES_TOGETHER addresses are counted in a window.
    fn failed(&mut self, from: IpAddr, now: Instant) -> Result<(), SignInError> {
        let mut passed = now.duration_since(*self.started.get_or_insert(now));
        if passed >= WINDOW {
            *self = Self { started: Some(now), ..Self::default() };
            passed = Duration::ZERO;
        }
        let here = self.by_address.get(&from).copied().unwrap_or(0);
        if here >= TRIES_PER_ADDRESS || self.together >= TRIES_TOGETHER {
            return Err(SignInError::TooMany((WINDOW - passed).as_secs() + 1));
        }
        self.by_address.insert(from, here + 1);
        self.together += 1;
        Ok(())
    }
}

fn hash(secret: &str) -> Hash {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_setup_token_works_once_and_the_session_outlives_the_hub() {
        let dir = tempfile::tempdir().unwrap();
        let auth = Auth::open(dir.path()).unwrap();
        let token = auth.setup_token().unwrap();
        let cookie = auth.sign_in(&token, HERE, "Browser").unwrap();
        assert_eq!(auth.sign_in(&token, HERE, "Browser"), Err(SignInError::NotValid));
        drop(auth);
        let auth = Auth::open(dir.path()).unwrap();
        let id = auth.session(&cookie).unwrap();
        let stored = std::fs::read_to_string(dir.path().join("sessions.json")).unwrap();
        assert!(!stored.contains(&cookie) && !stored.contains(&token));
        assert!(auth.revoke(&id));
        assert_eq!(auth.session(&cookie), None);
        assert!(!auth.revoke(&id));
    }

    #[test]
    fn guessing_is_slowed_down_for_the_guesser_first() {
        let dir = tempfile::tempdir().unwrap();
        let auth = Auth::open(dir.path()).unwrap();
        for _ in 0..TRIES_PER_ADDRESS {
            assert_eq!(auth.sign_in("wrong", HERE, ""), Err(SignInError::NotValid));
        }
        assert!(matches!(auth.sign_in("wrong", HERE, ""), Err(SignInError::TooMany(_))));
    }

    #[test]
    fn strangers_that_guess_do_not_lock_the_owner_out() {
        let dir = tempfile::tempdir().unwrap();
        let auth = Auth::open(dir.path()).unwrap();
        for host in 0..=TRIES_TOGETHER {
            let stranger = IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(host).unwrap()));
            let _ = auth.sign_in("wrong", stranger, "");
        }
        assert!(matches!(auth.sign_in("wrong", HERE, ""), Err(SignInError::TooMany(_))));
        let token = auth.setup_token().unwrap();
        auth.sign_in(&token, HERE, "").unwrap();
    }

    #[test]
    fn old_setup_links_make_room_for_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let auth = Auth::open(dir.path()).unwrap();
        let first = auth.setup_token().unwrap();
        for _ in 0..MAX_SETUP_TOKENS {
            auth.setup_token().unwrap();
        }
        assert_eq!(auth.sign_in(&first, HERE, ""), Err(SignInError::NotValid));
    }
}
