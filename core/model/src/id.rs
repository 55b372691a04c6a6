//! Names that stay stable across restarts, as newtypes that cannot hold a malformed name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}` is not valid: {rule}")]
pub struct IdError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

fn plain(what: &'static str, text: &str, extra: &[char]) -> Result<String, IdError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || extra.contains(&c);
    if text.is_empty() || text.len() > 128 || !text.chars().all(fits) {
        return Err(IdError {
            what,
            text: crate::text::for_screen(text, 40),
            rule: "1 to 128 characters of a-z, 0-9 and `-`",
        });
    }
    Ok(text.to_owned())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text and makes the id.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, longer than 128 bytes, or holds other characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                plain($what, text.as_ref(), &$extra).map(Self)
            }
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_id!(
    /// One physical device as this hub knows it. Local to this hub: never sent to anyone.
    DeviceId, "device id", ['.', ':']
);
text_id!(
    /// One entry of a statement: `owner/name`, for example `files/send`. The owner is the folder
    /// whose `statement.toml` declares it.
    EntryKey, "entry", ['/', '.']
);

impl EntryKey {
    /// The feature or bridge that declares this entry: the part before the first `/`.
    pub fn owner(&self) -> &str {
        self.0.split('/').next().unwrap_or(&self.0)
    }
}

/// One running call, unique within a hub's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// One byte stream that travels beside the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_refuses_what_could_harm_a_screen_or_a_path() {
        for bad in ["", "A", "a b", "../x", "a\u{202e}b", &"x".repeat(129)] {
            assert!(DeviceId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(EntryKey::new("files/send").unwrap().owner(), "files");
    }
}
