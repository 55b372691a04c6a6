//! One thing done with pointer or keys: read from what a device asks, and written into what is asked of one.

use std::fmt;

use accord_consent::{Envelope, Personal};
use accord_model::text::for_screen;
use accord_model::{CallError, Data, FieldCode, Inputs};

/// Longest text that is typed at once, in bytes.
pub const MAX_TEXT: usize = 8 * 1024;
/// Farthest that a pointer goes at once, in pixels.
const FARTHEST: f64 = 8192.0;

/// One thing done with pointer or keys. Printed, it says what kind of thing it is and never which key or text.
#[derive(Clone, PartialEq)]
pub enum Stroke {
    /// Moves the pointer, in pixels.
    Move {
        /// To the right.
        dx: f64,
        /// Down.
        dy: f64,
    },
    /// One step of the wheel.
    Scroll {
        /// To the right when positive.
        dx: f64,
        /// Up when positive.
        dy: f64,
    },
    /// Presses a button, so many times.
    Click(Button, u8),
    /// Presses a button and keeps it down.
    Hold(Button),
    /// Lets it go.
    Release(Button),
    /// Presses a key while others are held.
    Key(Key, Vec<Modifier>),
    /// Types a text.
    Type(String),
    /// Moves a spot over slides, in fractions of the screen's width.
    Point {
        /// To the right.
        dx: f64,
        /// Down.
        dy: f64,
    },
}

impl fmt::Debug for Stroke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action())
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum $name { $($variant,)* }
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// What it is called.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            /// The one of that name.
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

named! {
    /// A button of a pointer.
    Button { Left = "left", Middle = "middle", Right = "right", }
}
named! {
    /// A key that is held while another is pressed.
    Modifier { Shift = "shift", Ctrl = "ctrl", Alt = "alt", Super = "super", }
}
named! {
    /// A key that types no character.
    Named {
        Backspace = "backspace", Tab = "tab", Left = "left", Up = "up", Right = "right", Down = "down",
        PageUp = "page-up", PageDown = "page-down", Home = "home", End = "end", Enter = "enter",
        Delete = "delete", Escape = "escape", SysRq = "sys-rq", ScrollLock = "scroll-lock",
        Ctrl = "ctrl", Alt = "alt", Shift = "shift", Super = "super",
        F1 = "f1", F2 = "f2", F3 = "f3", F4 = "f4", F5 = "f5", F6 = "f6",
        F7 = "f7", F8 = "f8", F9 = "f9", F10 = "f10", F11 = "f11", F12 = "f12",
    }
}

/// What is on a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// No character.
    Named(Named),
    /// A character.
    Char(char),
}

impl Key {
    /// The key that a word means: its name, or a character.
    pub fn of(word: &str) -> Option<Self> {
        let mut chars = word.chars();
        match (Named::of(&word.to_ascii_lowercase()), chars.next(), chars.next()) {
            (Some(named), ..) => Some(Self::Named(named)),
            (None, Some(char), None) if !char.is_control() => Some(Self::Char(char)),
            _ => None,
        }
    }
}

impl Stroke {
    /// What a device asks for by `action` with `inputs`.
    ///
    /// # Errors
    /// [`CallError::BadInput`], [`CallError::Unsupported`].
    pub fn read(action: &str, inputs: &Inputs) -> Result<Self, CallError> {
        let (dx, dy) = (amount(inputs, "dx"), amount(inputs, "dy"));
        Ok(match action {
            "move" => Self::Move { dx: dx?, dy: dy? },
            "scroll" => Self::Scroll { dx: dx?, dy: dy? },
            "point" => Self::Point { dx: dx?, dy: dy? },
            "click" if word(inputs, "button")? == "double" => Self::Click(Button::Left, 2),
            "click" => Self::Click(button(inputs)?, 1),
            "hold" => Self::Hold(button(inputs)?),
            "release" => Self::Release(button(inputs)?),
            "key" => {
                let key = Key::of(word(inputs, "key")?);
                let key = key.ok_or_else(|| bad("`key` is one character or the name of a key"))?;
                let held = inputs.get("modifiers").and_then(Data::as_texts).unwrap_or_default();
                if held.len() > Modifier::ALL.len() {
                    return Err(bad("there are not so many modifiers"));
                }
                let held: Option<Vec<_>> = held.iter().map(|word| Modifier::of(word)).collect();
                Self::Key(key, held.ok_or_else(|| bad("modifiers are shift, ctrl, alt and super"))?)
            }
            "type" => match word(inputs, "text")? {
                text if text.len() > MAX_TEXT => {
                    return Err(bad(&format!("at most {} KiB are typed at once", MAX_TEXT / 1024)));
                }
                text => Self::Type(text.to_owned()),
            },
            other => return Err(CallError::Unsupported(for_screen(other, 40))),
        })
    }

    /// The action of the service `input` that it is.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Move { .. } => "move",
            Self::Scroll { .. } => "scroll",
            Self::Click(..) => "click",
            Self::Hold(_) => "hold",
            Self::Release(_) => "release",
            Self::Key(..) => "key",
            Self::Type(_) => "type",
            Self::Point { .. } => "point",
        }
    }

    /// What is said to a device so that it does this.
    pub fn envelope(&self) -> Envelope {
        let command = |data: Data| Personal::new(FieldCode::CommandName, data);
        let amounts =
            |dx: f64, dy: f64| Envelope::new().data("dx", &command(dx.into())).data("dy", &command(dy.into()));
        let button = |word: &str| Envelope::new().data("button", &command(word.into()));
        let envelope = match self {
            Self::Move { dx, dy } | Self::Scroll { dx, dy } | Self::Point { dx, dy } => amounts(*dx, *dy),
            Self::Click(Button::Left, 2..) => button("double"),
            Self::Click(of, _) | Self::Hold(of) | Self::Release(of) => button(of.word()),
            Self::Key(key, held) => {
                let held: Vec<String> = held.iter().map(|held| held.word().to_owned()).collect();
                let key = match key {
                    Key::Named(named) => command(named.word().into()),
                    Key::Char(char) => Personal::new(FieldCode::TextContent, char.to_string().into()),
                };
                Envelope::new().data("key", &key).data("modifiers", &command(held.into()))
            }
            Self::Type(text) => {
                Envelope::new().data("text", &Personal::new(FieldCode::TextContent, text.as_str().into()))
            }
        };
        envelope.beside(FieldCode::CommandName)
    }

    /// How much of a device's allowance it takes.
    pub(crate) fn weight(&self) -> u32 {
        match self {
            Self::Type(text) => u32::try_from(text.chars().count()).unwrap_or(u32::MAX).max(1),
            _ => 1,
        }
    }
}

fn word<'a>(inputs: &'a Inputs, id: &str) -> Result<&'a str, CallError> {
    inputs.get(id).and_then(Data::as_text).ok_or_else(|| bad(&format!("`{id}` is missing")))
}

fn button(inputs: &Inputs) -> Result<Button, CallError> {
    Button::of(word(inputs, "button")?).ok_or_else(|| bad("buttons are left, middle and right"))
}

fn amount(inputs: &Inputs, id: &str) -> Result<f64, CallError> {
    let Some(data) = inputs.get(id) else { return Ok(0.0) };
    let number = data.as_number().filter(|number| number.is_finite());
    number.map(|number| number.clamp(-FARTHEST, FARTHEST)).ok_or_else(|| bad(&format!("`{id}` is a number")))
}

fn bad(why: &str) -> CallError {
    CallError::BadInput(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, Data)]) -> Inputs {
        pairs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect()
    }

    #[test]
    fn words_become_strokes_and_nonsense_does_not() {
        let read = |action: &str, pairs: &[(&str, Data)]| Stroke::read(action, &inputs(pairs));
        assert_eq!(read("move", &[("dx", 3.into())]), Ok(Stroke::Move { dx: 3.0, dy: 0.0 }));
        assert_eq!(read("move", &[("dy", 1e9.into())]), Ok(Stroke::Move { dx: 0.0, dy: FARTHEST }));
        assert_eq!(read("click", &[("button", "double".into())]), Ok(Stroke::Click(Button::Left, 2)));
        let close = [("key", "F4".into()), ("modifiers", vec!["alt".to_owned()].into())];
        assert_eq!(read("key", &close), Ok(Stroke::Key(Key::Named(Named::F4), vec![Modifier::Alt])));
        assert_eq!(read("key", &[("key", "é".into())]), Ok(Stroke::Key(Key::Char('é'), vec![])));
        let many = vec!["shift".to_owned(); 5];
        for (action, pairs) in [
            ("move", vec![("dx", Data::from(f64::NAN))]),
            ("move", vec![("dx", "1".into())]),
            ("hold", vec![("button", "double".into())]),
            ("click", vec![]),
            ("key", vec![("key", "no-such-key".into())]),
            ("key", vec![("key", "\u{1b}".into())]),
            ("key", vec![("key", "a".into()), ("modifiers", vec!["hyper".to_owned()].into())]),
            ("key", vec![("key", "a".into()), ("modifiers", many.into())]),
            ("type", vec![("text", "x".repeat(MAX_TEXT + 1).into())]),
            ("reboot", vec![]),
        ] {
            assert!(read(action, &pairs).is_err(), "{action}");
        }
    }

    #[test]
    fn what_is_typed_counts_as_text_and_is_never_printed() {
        let secret = Stroke::Type("hunter2".into());
        assert_eq!(format!("{secret:?}"), "type");
        assert!(secret.envelope().fields().contains(FieldCode::TextContent));
        assert!(Stroke::Key(Key::Char('x'), vec![]).envelope().fields().contains(FieldCode::TextContent));
        assert!(!Stroke::Key(Key::Named(Named::Enter), vec![]).envelope().fields().contains(FieldCode::TextContent));
        assert!(!Stroke::Move { dx: 1.0, dy: 1.0 }.envelope().fields().contains(FieldCode::TextContent));
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_without_panic(action in "[a-z]{0,8}", key in ".{0,4}", dx in proptest::num::f64::ANY) {
            for action in ["move", "key", "type", "click", &action] {
                let all = [("dx", dx.into()), ("key", key.clone().into()), ("text", key.clone().into()), ("button", key.clone().into())];
                let _ = Stroke::read(action, &inputs(&all));
            }
        }
    }
}
