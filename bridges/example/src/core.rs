//! The lamp's line protocol without any I/O: bytes, commands and time in; transmits, events and the next
//! timeout out. Whoever has read this core can read every bridge's.
//!
//! | line | direction | meaning |
//! |---|---|---|
//! | `hello NAME` | lamp → us | who it is; first line |
//! | `state on 0\|1` | lamp → us | its state, by itself or after `set` |
//! | `set on 0\|1` | us → lamp | switch it |
//! | `ping` / `pong` | both | is it still there |

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longest line a lamp may send, in bytes.
pub const MAX_LINE: usize = 256;
/// A silent lamp is asked this often, and given up after twice as long.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What goes in.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// Bytes from the lamp, in any portions.
    Bytes(&'a [u8]),
    /// Switch it on or off.
    Set(bool),
    /// The time that [`Output::Wait`] named has come.
    Timeout,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send these bytes to the lamp.
    Transmit(Vec<u8>),
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back at this time at the latest, or with new input.
    Wait(Instant),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The lamp said its name.
    Named(String),
    /// The lamp said its state.
    On(bool),
    /// It broke the protocol or went silent: close the connection.
    Lost(&'static str),
}

/// One connection to one lamp.
#[derive(Debug)]
pub struct Core {
    line: Vec<u8>,
    out: VecDeque<Output>,
    heard: Instant,
    asked: Instant,
    lost: bool,
}

impl Core {
    /// A fresh connection at `now`.
    pub fn new(now: Instant) -> Self {
        Self { line: Vec::new(), out: VecDeque::new(), heard: now, asked: now, lost: false }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.lost {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.bytes(bytes, now),
            Input::Set(on) => self.say(if on { "set on 1\n" } else { "set on 0\n" }),
            Input::Timeout if now >= self.heard + 2 * ASK_EVERY => self.lose("the lamp went silent"),
            Input::Timeout if now >= self.asked + ASK_EVERY => {
                self.asked = now;
                self.say("ping\n");
            }
            Input::Timeout => {}
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or(Output::Wait((self.asked + ASK_EVERY).min(self.heard + 2 * ASK_EVERY)))
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > MAX_LINE {
                    return self.lose("the lamp sent a line of more than 256 bytes");
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let Ok(line) = String::from_utf8(line) else { return self.lose("the lamp sent a line that is not UTF-8") };
            self.heard = now;
            let event = match line.trim_end_matches('\r') {
                "pong" => continue,
                "state on 1" => Event::On(true),
                "state on 0" => Event::On(false),
                other => match other.strip_prefix("hello ") {
                    Some(name) => Event::Named(name.to_owned()),
                    None => return self.lose("the lamp sent a line that the protocol does not have"),
                },
            };
            self.out.push_back(Output::Event(event));
        }
    }

    fn say(&mut self, line: &str) {
        self.out.push_back(Output::Transmit(line.as_bytes().to_vec()));
    }

    fn lose(&mut self, why: &'static str) {
        self.lost = true;
        self.out.push_back(Output::Event(Event::Lost(why)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(core: &mut Core) -> Vec<Output> {
        std::iter::from_fn(|| match core.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        })
        .collect()
    }

    #[test]
    fn lines_arrive_in_any_portions() {
        let now = Instant::now();
        let mut core = Core::new(now);
        for portion in [&b"hel"[..], b"lo Desk\nsta", b"te on 1\n"] {
            core.handle(Input::Bytes(portion), now);
        }
        assert_eq!(drain(&mut core), [Output::Event(Event::Named("Desk".into())), Output::Event(Event::On(true))]);
    }

    #[test]
    fn a_command_becomes_a_line() {
        let now = Instant::now();
        let mut core = Core::new(now);
        core.handle(Input::Set(true), now);
        assert_eq!(drain(&mut core), [Output::Transmit(b"set on 1\n".to_vec())]);
    }

    #[test]
    fn a_silent_lamp_is_asked_and_then_given_up() {
        let start = Instant::now();
        let mut core = Core::new(start);
        core.handle(Input::Timeout, start + ASK_EVERY);
        assert_eq!(drain(&mut core), [Output::Transmit(b"ping\n".to_vec())]);
        core.handle(Input::Timeout, start + 2 * ASK_EVERY);
        assert_eq!(drain(&mut core), [Output::Event(Event::Lost("the lamp went silent"))]);
    }

    #[test]
    fn garbage_and_endless_lines_end_the_connection() {
        for bad in [&b"\xff\xfe\n"[..], b"open sesame\n", &[b'x'; MAX_LINE + 1]] {
            let now = Instant::now();
            let mut core = Core::new(now);
            core.handle(Input::Bytes(bad), now);
            assert!(matches!(drain(&mut core)[..], [Output::Event(Event::Lost(_))]), "{bad:?}");
        }
    }
}
