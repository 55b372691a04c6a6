//! What the API says of casts, beside [`super::types`].

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /casts` → `{ "casts": [Cast] }`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Casts {
    pub casts: Vec<Cast>,
}

/// Something on a television or loudspeaker, and what comes after it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Cast {
    pub id: String,
    /// The device's id.
    pub device: String,
    pub device_name: String,
    /// What is cast, one after the other.
    pub queue: Vec<CastItem>,
    /// Which of them it is now, from 0.
    pub at: usize,
    /// Files in folders that nothing plays, and what was too much.
    pub left_out: usize,
    /// The name of what it is now, safe to show; the device is told it only with `real_title`.
    pub name: String,
    /// Its size in bytes; unknown of what the device fetches from elsewhere.
    pub size: Option<u64>,
    /// A picture, of which nothing moves.
    pub picture: bool,
    /// Bytes of it that the device fetched; what it fetched twice is counted twice.
    pub fetched: u64,
    pub step: CastStep,
    /// It is seen that it is shown: it moves, or all of a picture was fetched.
    pub seen: bool,
    /// Why it is over.
    pub over: Option<String>,
    /// It is over because all of it came to its end.
    pub done: bool,
    /// It is over, and `play` goes on with it from `position`.
    pub resumes: bool,
    /// It is on hold, here or there.
    pub held: bool,
    /// What is not as it should be now.
    pub trouble: Option<String>,
    /// The ways in which this one was tried.
    pub tries: Vec<CastTry>,
    /// What would be tried next.
    pub next: Option<String>,
    /// What the owner could do so that it goes better.
    pub advice: Option<String>,
    /// Where it is, in seconds,
    pub position: Option<f64>,
    /// and when that was so.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub position_seen: Option<Timestamp>,
    /// How long it is, in seconds.
    pub length: Option<f64>,
    /// The place can be chosen.
    pub seeks: bool,
    /// In percent, where that can be said and changed.
    pub volume: Option<u8>,
    /// Its sounds to choose from, and which was chosen, from 0.
    pub sounds: Vec<String>,
    pub sound: Option<usize>,
    /// Its captions to choose from, from 0.
    pub texts: Vec<String>,
    /// Which captions are shown.
    pub captions: CastCaptions,
    /// The file of captions beside it.
    pub captions_file: Option<String>,
    /// How long a picture is shown when there are more, in seconds.
    pub interval: u64,
    /// The device shows what it is called.
    pub real_title: bool,
    /// The device to which it is being handed over: here it stops once it is seen there.
    pub to: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// One thing of a queue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CastItem {
    /// A file's name or an address, safe to show.
    pub name: String,
    pub kind: CastKind,
    pub state: CastItemState,
    /// Why it was not shown.
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CastKind {
    Film,
    Sound,
    Picture,
    /// Whatever is at an address.
    Address,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CastItemState {
    Waits,
    Now,
    Done,
    Failed,
}

/// A way in which something was tried.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CastTry {
    pub how: String,
    /// Why not; absent while it may still go well.
    pub failed: Option<String>,
}

/// How far a cast came, by evidence: that a device says it plays is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CastStep {
    /// It is made ready, and the device is being told.
    Begins,
    /// The device was told, and said yes.
    Commanded,
    /// It fetched something of the file.
    Fetched,
    /// Its position advances.
    Moving,
    /// It does not answer; the place is kept.
    Away,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CastCaptions {
    Off,
    /// Those of the file beside it.
    File,
    /// Those of the film itself, from 0.
    Track(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CastTitle {
    /// The device shows "Accord".
    #[default]
    Accord,
    /// The device shows what it is called; takes the consent for `casting/title`.
    Real,
}

/// `POST /casts`: give one of `what` and `upload`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartCast {
    /// A device's id or unique name.
    pub device: String,
    /// Files and folders on this machine as absolute paths or `file:` URLs, and addresses (`http`, `https`) that the device
    /// fetches from itself.
    pub what: Vec<String>,
    /// The device on which `what` lies, by its id or unique name: paths of files there, which the device that plays fetches
    /// there itself. Only media servers serve files to others.
    pub from: Option<String>,
    /// What was uploaded; a file of captions among it is used as such.
    pub upload: Option<String>,
    /// A file of captions for the first of it.
    pub subtitles: Option<String>,
    /// Which sound of the first of it, from 0.
    pub sound: Option<usize>,
    /// Where in the first of it to begin, in seconds.
    pub start: Option<f64>,
    pub title: CastTitle,
    /// How long a picture is shown when there are more, in seconds: 10 without it.
    pub interval: Option<u32>,
}

/// `POST /casts/{id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CastAct {
    /// Go on; a cast that is over and `resumes` begins again from its place, as another one.
    Play,
    Pause,
    /// To so many seconds from the beginning.
    Seek {
        to: f64,
    },
    /// By so many seconds from where it is.
    Skip {
        by: f64,
    },
    Next,
    Previous,
    /// This one of the queue, from 0.
    Show {
        at: usize,
    },
    /// In percent.
    Volume {
        percent: u8,
    },
    Captions {
        captions: CastCaptions,
    },
    /// This sound of the film, from 0.
    Sound {
        sound: usize,
    },
    /// On to another device from where it is: its id or unique name. Here it stops once it is seen there.
    HandOver {
        device: String,
    },
}
