//! What passes between page and hub, as JSON. Whatever a page sends is bounded here.

use accord_model::text::for_screen;
use serde::{Deserialize, Serialize};

/// Most formats that a page names, and the longest of them.
pub const MAX_FORMATS: usize = 64;
const MAX_FORMAT: usize = 100;
/// A key or session is so many hexadecimal digits.
pub const TOKEN: usize = 32;
/// Longest trouble in words, and longest answer for a screen.
const MAX_WORDS: usize = 200;
const MAX_ANSWER: usize = 48 * 1024;
/// Most outcomes at once.
const MAX_DONE: usize = 32;
/// Longest time that is believed, in seconds.
const LONGEST: f64 = 1e7;

/// A page that was opened.
#[derive(Debug, Deserialize)]
pub struct Hello {
    /// Its key, when it was here before.
    pub key: Option<String>,
    /// What it says that it plays.
    #[serde(default)]
    pub formats: Vec<String>,
}

impl Hello {
    /// `None`: it makes no sense.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut hello: Self = serde_json::from_slice(bytes).ok()?;
        hello.key = hello.key.filter(|key| is_token(key));
        let fits = |c: char| c.is_ascii_alphanumeric() || "/*+-.;=\", ".contains(c);
        hello.formats.retain(|one| one.len() <= MAX_FORMAT && one.contains('/') && one.chars().all(fits));
        hello.formats.truncate(MAX_FORMATS);
        Some(hello)
    }
}

fn is_token(text: &str) -> bool {
    text.len() == TOKEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A page that waits for orders.
#[derive(Debug, Deserialize)]
pub struct Wait {
    /// Its session.
    pub session: String,
    /// The last order that it took.
    #[serde(default)]
    pub after: u64,
}

impl Wait {
    /// `None`: it makes no sense.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|wait: &Self| is_token(&wait.session))
    }
}

/// What a page tells.
#[derive(Debug, Deserialize)]
pub struct Say {
    /// Its session.
    pub session: String,
    /// What came of orders.
    #[serde(default)]
    pub done: Vec<Done>,
    /// How it goes.
    pub state: Option<State>,
    /// It is being closed.
    #[serde(default)]
    pub leaving: bool,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Done {
    /// The order's number.
    pub n: u64,
    /// Why it is not done.
    pub error: Option<String>,
    /// For [`Order::Show`], the answer.
    pub answer: Option<String>,
}

/// How it goes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct State {
    /// It plays, or shows a picture.
    pub playing: bool,
    /// Where it is, in seconds.
    pub position: f64,
    /// How long that is; 0 when it does not know.
    pub length: f64,
    /// How loud, in percent.
    pub volume: f64,
    /// Or not at all.
    pub muted: bool,
    /// What keeps it from playing, in its words.
    pub trouble: Option<String>,
    /// It shows a screen.
    pub screen: bool,
}

impl Say {
    /// `None`: it makes no sense.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut say: Self = serde_json::from_slice(bytes).ok()?;
        if !is_token(&say.session) {
            return None;
        }
        say.done.truncate(MAX_DONE);
        for done in &mut say.done {
            done.error = done.error.take().map(|why| for_screen(&why, MAX_WORDS));
            done.answer = done.answer.take().filter(|answer| answer.len() <= MAX_ANSWER);
        }
        say.state = say.state.map(State::bounded);
        Some(say)
    }
}

impl State {
    fn bounded(self) -> Self {
        let time = |seconds: f64| if seconds.is_finite() { seconds.clamp(0.0, LONGEST) } else { 0.0 };
        let trouble = self.trouble.map(|why| for_screen(&why, MAX_WORDS)).filter(|why| !why.is_empty());
        let volume = time(self.volume).min(100.0);
        Self { position: time(self.position), length: time(self.length), volume, trouble, ..self }
    }
}

/// What a page is told to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Order {
    /// Play what is at an address.
    Open {
        address: String,
        title: String,
        format: Option<String>,
        length: Option<f64>,
        start: Option<f64>,
        captions: Option<String>,
    },
    Play,
    Pause,
    PlayPause,
    Stop,
    /// Go there, in seconds.
    Seek {
        to: f64,
    },
    /// So loud, in percent.
    Volume {
        to: u8,
    },
    Mute {
        to: bool,
    },
    /// Show a screen: an SDP offer (RFC 8866) to send it.
    Show {
        offer: String,
    },
    Hide,
}

/// An order with its number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbered {
    /// They grow.
    pub n: u64,
    /// What is to be done.
    #[serde(flatten)]
    pub order: Order,
}

/// How a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It shows its code; nothing else is said to it.
    Code,
    /// The owner added it.
    Ready,
    /// The owner added it, and lets nothing be said to it now.
    Off,
    /// Another page of the same browser took its place.
    Elsewhere,
    /// It is to say hello again.
    Unknown,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Greeting {
    /// By which it is known again.
    pub key: String,
    /// What it says with everything, until it is opened again.
    pub session: String,
    /// How it stands.
    pub state: Standing,
    /// What it shows, with [`Standing::Code`].
    pub code: Option<String>,
}

/// The answer to [`Wait`] and [`Say`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// How it stands.
    pub state: Standing,
    /// What it shows, with [`Standing::Code`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What is new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Numbered>,
}

impl Told {
    /// Without orders.
    pub fn only(state: Standing) -> Self {
        Self { state, code: None, orders: Vec::new() }
    }
}
