//! The steps in which something is done, one question each.

use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Transport,
    Rendering,
    Connection,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Describe(Which),
    Act {
        which: Which,
        action: &'static str,
        arguments: Vec<(&'static str, String)>,
        forgive: bool,
    },
    /// Ask for the state, position, volume, mute.
    Look,
    Position,
    Volume,
    Mute,
    /// Ask what it plays at all.
    Formats,
    /// Go on by what was seen.
    Decide,
    /// Look until it stopped, or settled.
    Stopped(Instant),
    Settled(Instant),
    /// Look until it is at this second.
    Arrived(f64, Instant),
    Wait(Instant),
}

impl Step {
    pub fn transport(action: &'static str, arguments: Vec<(&'static str, String)>, forgive: bool) -> Self {
        Self::Act { which: Which::Transport, action, arguments, forgive }
    }
    pub fn rendering(action: &'static str, arguments: Vec<(&'static str, String)>) -> Self {
        Self::Act { which: Which::Rendering, action, arguments, forgive: false }
    }
    pub fn play() -> Self {
        Self::transport("Play", vec![("Speed", "1".to_owned())], true)
    }
}

/// What the end of an address says of its format.
pub(super) fn format_of(address: &str) -> &'static str {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let end = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match end.as_str() {
        "mp4" | "m4v" => "video/mp4",
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "avi" => "video/avi",
        "ts" | "mpg" | "mpeg" => "video/mpeg",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "m4a" | "aac" => "audio/mp4",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        _ => "*",
    }
}
