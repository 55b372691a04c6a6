//! One connected device: what is wanted of it goes in, messages come out, and what it says of itself becomes values.
//!
//! A device's word that it plays proves nothing. A wish is done when the device shows what was wanted, and
//! [`Value::Moving`] says whether its position really advances: from one answer to the next, and no faster than time.
//! What another sender began is joined: shown, paused, stopped; nothing is launched for that.

mod machine;
#[cfg(test)]
mod tests;
mod wishes;

use std::time::Instant;

use super::words::Opened;

pub use machine::Session;

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Play on.
    Play,
    /// Hold.
    Pause,
    /// The one or the other.
    PlayPause,
    /// End.
    Stop,
    /// The next title.
    Next,
    /// The title before.
    Previous,
    /// Go to this second.
    Seek(f64),
    /// So loud, in percent.
    Volume(u8),
    /// Silent, or not.
    Muted(bool),
    /// With captions, or without.
    Captions(bool),
    /// Play this.
    Open(Box<Opened>),
    /// Say how it stands.
    Look,
}

/// What is said of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// It says that it plays.
    Playing(bool),
    /// Its position advances.
    Moving(bool),
    /// What it plays: title, artist, album.
    Track(Option<String>, Option<String>, Option<String>),
    /// How long that is, in seconds.
    Length(f64),
    /// Where it is, in seconds.
    Position(f64),
    /// How loud it is, in percent.
    Volume(u8),
    /// Whether it is silent.
    Muted(bool),
    /// Whether captions are on.
    Captions(bool),
    /// What plays is what was last opened from here.
    Ours(bool),
    /// How what was opened from here ended.
    Ended(Ended),
}

/// How what was opened from here ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It does not: it was opened just now.
    Not,
    /// It came to its end.
    Finished,
    /// Somebody stopped it.
    Stopped,
    /// Another sender plays something else.
    Taken,
    /// The device could not play it.
    Failed,
}

impl Ended {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Not => "",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Taken => "taken",
            Self::Failed => "failed",
        }
    }
}

/// What it can do beside playing and stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Offers {
    pub pause: bool,
    pub seek: bool,
    pub next: bool,
    pub previous: bool,
    pub volume: bool,
    pub captions: bool,
}

impl Default for Offers {
    /// What nearly all can do, until it says more.
    fn default() -> Self {
        Self { pause: true, seek: true, next: false, previous: false, volume: true, captions: false }
    }
}

/// What was opened from here and still runs, to be known again on another connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// The run of the app.
    pub session: String,
    /// The address that it was last told.
    pub address: String,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It said no.
    #[error("the device says {0}")]
    Refused(String),
    /// It could not play what is at the address.
    #[error("the device could not play it ({0}): it did not get it, or does not play this format")]
    Unplayable(String),
    /// It said yes, or nothing, and did not do it.
    #[error("{0}")]
    Ignored(&'static str),
    /// Not now.
    #[error("{0}")]
    NotNow(&'static str),
    /// There is no way to it.
    #[error("{0}")]
    Lost(String),
    /// Too much is wanted.
    #[error("the device has not done yet what was wanted before")]
    Busy,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes came, decrypted.
    Bytes(&'a [u8]),
    /// Something is wanted; answered by [`Event::Done`] with the same number.
    Wanted(u64, Wanted),
    /// What was begun from here is to end: the owner took the consent back.
    Leave,
    /// [`Output::Wait`] is over.
    Timeout,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send these bytes, encrypted.
    Send(Vec<u8>, Sort),
    /// Something is new.
    Event(Event),
    /// Nothing until then.
    Wait(Instant),
}

/// What bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// That we are here, and what it is to do.
    Standing,
    /// It opens the page of Google, or tells that page what to play.
    Page,
}

/// What is new.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// It answers as a Cast device does.
    Ready,
    /// What it can do.
    Offers(Offers),
    /// How it stands.
    Values(Vec<Value>),
    /// What became of a wish.
    Done(u64, Result<(), Trouble>),
    /// What was opened from here, as it is now.
    Ours(Option<Ours>),
    /// The connection is of no use any more, and why. Nothing comes after it.
    Over(String),
}

/// Entry for fuzzing: any bytes from a device, between wishes.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    use super::frame::{Message, Payload};
    use super::words::{DEVICE, HEARTBEAT, MEDIA, RECEIVER};
    let mut now = Instant::now();
    let mut session = Session::new("sender-1", None, now);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        match line.split_first() {
            // A wish, or time, or words in a whole message, or any bytes.
            Some((b'w', rest)) => {
                let wanted = match rest.first() {
                    Some(b'p') => Wanted::PlayPause,
                    Some(b's') => Wanted::Stop,
                    Some(b'o') => Wanted::Open(Box::new(Opened {
                        address: "http://10.0.0.1/a".into(),
                        title: "t".into(),
                        format: None,
                        live: false,
                        length: None,
                        start: None,
                        captions: None,
                    })),
                    Some(b'v') => Wanted::Volume(30),
                    _ => Wanted::Look,
                };
                session.handle(Input::Wanted(number as u64, wanted), now);
            }
            Some((b't', rest)) => {
                now += std::time::Duration::from_millis(100 * rest.len() as u64);
                session.handle(Input::Timeout, now);
            }
            Some((sort @ (b'r' | b'm' | b'h'), rest)) => {
                let namespace = match sort {
                    b'r' => DEVICE,
                    b'm' => MEDIA,
                    _ => HEARTBEAT,
                };
                let source = if *sort == b'm' { "t" } else { RECEIVER };
                let message = Message {
                    source: source.into(),
                    destination: "*".into(),
                    namespace: namespace.into(),
                    payload: Payload::Text(String::from_utf8_lossy(rest).into_owned()),
                };
                session.handle(Input::Bytes(&message.encode().unwrap_or_default()), now);
            }
            _ => session.handle(Input::Bytes(line), now),
        }
        for count in 0.. {
            assert!(count < 10_000, "it comes to rest");
            match session.poll_output() {
                Output::Send(bytes, _) => assert!(bytes.len() <= 4 + super::frame::MAX_BODY),
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
    }
}
