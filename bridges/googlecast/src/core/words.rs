//! The JSON inside of messages: what is said to a device, and what it says. Of a device's words only the fields that are
//! needed are read; one of a wrong type counts as absent, texts are cut, and numbers that make no sense are dropped.

use accord_model::text::for_screen;
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

/// The app that plays what it is sent: a page of Google's, open to everyone.
pub const DEFAULT_RECEIVER: &str = "CC1AD845";
/// The device itself, beside its apps.
pub const RECEIVER: &str = "receiver-0";
/// Namespaces.
pub const CONNECTION: &str = "urn:x-cast:com.google.cast.tp.connection";
/// See [`CONNECTION`].
pub const HEARTBEAT: &str = "urn:x-cast:com.google.cast.tp.heartbeat";
/// See [`CONNECTION`].
pub const DEVICE: &str = "urn:x-cast:com.google.cast.receiver";
/// See [`CONNECTION`].
pub const MEDIA: &str = "urn:x-cast:com.google.cast.media";

/// Longest text that is shown, and longest id and address that are kept.
const MAX_TEXT: usize = 256;
const MAX_ID: usize = 128;
const MAX_ADDRESS: usize = 4096;
/// Apps and namespaces that are looked at.
const MAX_LISTED: usize = 32;
/// The longest time that is believed, in seconds.
const LONGEST: f64 = 1e7;
/// The number of the captions' track.
pub const CAPTIONS: i64 = 1;

/// Bits of `supportedMediaCommands`.
pub mod can {
    #![allow(missing_docs)]
    pub const PAUSE: u64 = 1;
    pub const SEEK: u64 = 2;
    pub const NEXT: u64 = 64;
    pub const PREVIOUS: u64 = 128;
}

/// What is to be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Where it is.
    pub address: String,
    /// What the device shows as its title.
    pub title: String,
    /// Its MIME type; the address' end tells when it is not given.
    pub format: Option<String>,
    /// It has no end, or cannot be sought in.
    pub live: bool,
    /// In seconds.
    pub length: Option<f64>,
    /// In seconds.
    pub start: Option<f64>,
    /// Address of WebVTT captions.
    pub captions: Option<String>,
}

impl Opened {
    /// A LOAD of it.
    pub fn load(&self) -> Json {
        let format = self.format.as_deref().unwrap_or_else(|| format_of(&self.address));
        let sort = match format.split('/').next() {
            Some("audio") => 3,
            Some("image") => 4,
            _ => 0,
        };
        let mut media = json!({
            "contentId": self.address,
            "contentType": format,
            "streamType": if self.live { "LIVE" } else { "BUFFERED" },
            "metadata": { "metadataType": sort, "title": self.title },
        });
        if let Some(length) = self.length {
            media["duration"] = json!(length);
        }
        let mut load = json!({ "type": "LOAD", "autoplay": true, "currentTime": self.start.unwrap_or(0.0) });
        if let Some(captions) = &self.captions {
            media["tracks"] = json!([{
                "trackId": CAPTIONS, "type": "TEXT", "subtype": "SUBTITLES", "trackContentId": captions,
                "trackContentType": "text/vtt", "language": "und", "name": "Subtitles",
            }]);
            load["activeTrackIds"] = json!([CAPTIONS]);
        }
        load["media"] = media;
        load
    }
}

/// What the end of an address says of its format.
pub fn format_of(address: &str) -> &'static str {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "m3u8" => "application/x-mpegurl",
        "mpd" => "application/dash+xml",
        _ => "video/mp4",
    }
}

/// What a device says.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The number of the question that it answers; 0: unasked.
    pub request: u32,
    /// What.
    pub word: Word,
}

/// See [`Said`].
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// The app, or the device, ends the talk.
    Close,
    /// How the device is.
    Device(DeviceStatus),
    /// What plays; `None`: nothing.
    Media(Option<MediaStatus>),
    /// It says no, in its own words.
    No(String),
    /// Anything else.
    Other,
}

/// RECEIVER_STATUS.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceStatus {
    /// From 0 to 1.
    pub level: Option<f64>,
    /// Whether it is silent.
    pub muted: Option<bool>,
    /// It cannot be made louder from here.
    pub fixed: bool,
    /// The app that plays media now.
    pub app: Option<App>,
}

/// An app on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Which.
    pub id: String,
    /// Which run of it.
    pub session: String,
    /// Where it is spoken to.
    pub transport: String,
}

/// MEDIA_STATUS.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MediaStatus {
    /// Names it in questions.
    pub session: i64,
    /// Whether it plays.
    pub state: State,
    /// Why it does nothing.
    pub idle: Option<Idle>,
    /// In seconds.
    pub position: Option<f64>,
    /// Bits of [`can`].
    pub commands: Option<u64>,
    /// Which tracks are on; `None`: not said.
    pub tracks_on: Option<Vec<i64>>,
    /// What it is; said only when it is new.
    pub media: Option<Media>,
}

/// `playerState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum State {
    #[default]
    Idle,
    Playing,
    Buffering,
    Paused,
}

/// `idleReason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Idle {
    Finished,
    Cancelled,
    Interrupted,
    Error,
}

/// What plays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Media {
    /// Its address, or what the app calls it.
    pub address: String,
    /// In seconds.
    pub length: Option<f64>,
    /// Safe to show, as all texts here.
    pub title: Option<String>,
    /// Who sings.
    pub artist: Option<String>,
    /// On which album.
    pub album: Option<String>,
    /// Its text tracks.
    pub captions: Vec<i64>,
}

/// Reads what a device says; `None` when it is no JSON with a type.
pub fn read(text: &str) -> Option<Said> {
    let head: Head = serde_json::from_str(text).ok()?;
    let number = head.request.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let word = match head.kind.as_str() {
        "PING" => Word::Ping,
        "PONG" => Word::Pong,
        "CLOSE" => Word::Close,
        "RECEIVER_STATUS" => Word::Device(serde_json::from_str::<RawReceiver>(text).ok()?.read()),
        "MEDIA_STATUS" => Word::Media(serde_json::from_str::<RawPlayer>(text).ok()?.read()),
        "LAUNCH_ERROR"
        | "LOAD_FAILED"
        | "LOAD_CANCELLED"
        | "INVALID_REQUEST"
        | "INVALID_PLAYER_STATE"
        | "INVALID_COMMAND"
        | "ERROR" => {
            let why = [head.reason, head.detailed_error_code].into_iter().flatten().next();
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            Word::No(for_screen(&format!("{}{why}", head.kind), MAX_TEXT))
        }
        _ => Word::Other,
    };
    Some(Said { request: number, word })
}

/// A value of the right type, or none at all.
fn soft<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Soft<T> {
        Right(T),
        Wrong(serde::de::IgnoredAny),
    }
    Ok(match Option::<Soft<T>>::deserialize(from)? {
        Some(Soft::Right(value)) => Some(value),
        Some(Soft::Wrong(_)) | None => None,
    })
}

/// A number or a text, as a text: codes come as both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "requestId", deserialize_with = "soft")]
    request: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    reason: Option<Code>,
    #[serde(default, deserialize_with = "soft")]
    detailed_error_code: Option<Code>,
}

#[derive(Deserialize)]
struct RawReceiver {
    #[serde(default, deserialize_with = "soft")]
    status: Option<RawDevice>,
}

#[derive(Deserialize)]
struct RawDevice {
    #[serde(default, deserialize_with = "soft")]
    volume: Option<RawVolume>,
    #[serde(default, deserialize_with = "soft")]
    applications: Option<Vec<RawApp>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVolume {
    #[serde(default, deserialize_with = "soft")]
    level: Option<f64>,
    #[serde(default, deserialize_with = "soft")]
    muted: Option<bool>,
    #[serde(default, deserialize_with = "soft")]
    control_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawApp {
    #[serde(default, deserialize_with = "soft")]
    app_id: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    session_id: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    transport_id: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    is_idle_screen: Option<bool>,
    #[serde(default, deserialize_with = "soft")]
    namespaces: Option<Vec<RawNamespace>>,
}

#[derive(Deserialize)]
struct RawNamespace {
    #[serde(default, deserialize_with = "soft")]
    name: Option<String>,
}

impl RawReceiver {
    fn read(self) -> DeviceStatus {
        let Some(status) = self.status else { return DeviceStatus::default() };
        let volume = status.volume;
        let level = volume.as_ref().and_then(|volume| volume.level).filter(|level| (0.0..=1.0).contains(level));
        let app = status.applications.unwrap_or_default().into_iter().take(MAX_LISTED).find_map(RawApp::read);
        DeviceStatus {
            level,
            muted: volume.as_ref().and_then(|volume| volume.muted),
            fixed: volume.and_then(|volume| volume.control_type).is_some_and(|kind| kind == "fixed"),
            app,
        }
    }
}

impl RawApp {
    fn read(self) -> Option<App> {
        let plays = |one: &RawNamespace| one.name.as_deref() == Some(MEDIA);
        let plays = self.namespaces.unwrap_or_default().iter().take(MAX_LISTED).any(plays);
        if !plays || self.is_idle_screen == Some(true) {
            return None;
        }
        let id = |text: Option<String>| text.filter(|text| (1..=MAX_ID).contains(&text.len()));
        Some(App { id: id(self.app_id)?, session: id(self.session_id)?, transport: id(self.transport_id)? })
    }
}

#[derive(Deserialize)]
struct RawPlayer {
    #[serde(default, deserialize_with = "soft")]
    status: Option<Vec<RawMediaStatus>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMediaStatus {
    #[serde(default, deserialize_with = "soft")]
    media_session_id: Option<i64>,
    #[serde(default, deserialize_with = "soft")]
    player_state: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    idle_reason: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    current_time: Option<f64>,
    #[serde(default, deserialize_with = "soft")]
    supported_media_commands: Option<u64>,
    #[serde(default, deserialize_with = "soft")]
    active_track_ids: Option<Vec<i64>>,
    #[serde(default, deserialize_with = "soft")]
    media: Option<RawMedia>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMedia {
    #[serde(default, deserialize_with = "soft")]
    content_id: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    duration: Option<f64>,
    #[serde(default, deserialize_with = "soft")]
    metadata: Option<RawMetadata>,
    #[serde(default, deserialize_with = "soft")]
    tracks: Option<Vec<RawTrack>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    #[serde(default, deserialize_with = "soft")]
    title: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    artist: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    subtitle: Option<String>,
    #[serde(default, deserialize_with = "soft")]
    album_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTrack {
    #[serde(default, deserialize_with = "soft")]
    track_id: Option<i64>,
    #[serde(default, rename = "type", deserialize_with = "soft")]
    kind: Option<String>,
}

impl RawPlayer {
    fn read(self) -> Option<MediaStatus> {
        let raw = self.status?.into_iter().next()?;
        let state = match raw.player_state.as_deref()? {
            "PLAYING" => State::Playing,
            "BUFFERING" | "LOADING" => State::Buffering,
            "PAUSED" => State::Paused,
            _ => State::Idle,
        };
        let idle = match raw.idle_reason.as_deref() {
            Some("FINISHED") => Some(Idle::Finished),
            Some("CANCELLED") => Some(Idle::Cancelled),
            Some("INTERRUPTED") => Some(Idle::Interrupted),
            Some("ERROR") => Some(Idle::Error),
            _ => None,
        };
        Some(MediaStatus {
            session: raw.media_session_id?,
            state,
            idle,
            position: raw.current_time.and_then(time),
            commands: raw.supported_media_commands,
            tracks_on: raw.active_track_ids.map(|ids| ids.into_iter().take(MAX_LISTED).collect()),
            media: raw.media.map(RawMedia::read),
        })
    }
}

impl RawMedia {
    fn read(self) -> Media {
        let RawMetadata { title, artist, subtitle, album_name } = self.metadata.unwrap_or_default();
        let shown = |text: Option<String>| text.map(|text| for_screen(text.trim(), MAX_TEXT)).filter(|t| !t.is_empty());
        let texts = self.tracks.unwrap_or_default().into_iter().take(MAX_LISTED);
        let texts = texts.filter(|track| track.kind.as_deref() == Some("TEXT"));
        Media {
            address: self.content_id.filter(|address| address.len() <= MAX_ADDRESS).unwrap_or_default(),
            length: self.duration.and_then(time).filter(|length| *length > 0.0),
            title: shown(title),
            artist: shown(artist).or_else(|| shown(subtitle)),
            album: shown(album_name),
            captions: texts.filter_map(|track| track.track_id).collect(),
        }
    }
}

fn time(seconds: f64) -> Option<f64> {
    (0.0..=LONGEST).contains(&seconds).then_some(seconds)
}

/// Entry for fuzzing: the words of a device.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Some(said) = std::str::from_utf8(bytes).ok().and_then(read) else { return };
    match said.word {
        Word::Media(Some(status)) => {
            assert!(status.position.is_none_or(|position| (0.0..=LONGEST).contains(&position)));
            let media = status.media.unwrap_or_default();
            assert!(media.title.is_none_or(|title| title.chars().count() <= MAX_TEXT + 1));
            assert!(media.address.len() <= MAX_ADDRESS && media.captions.len() <= MAX_LISTED);
        }
        Word::Device(status) => assert!(status.level.is_none_or(|level| (0.0..=1.0).contains(&level))),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plays_is_read_and_what_makes_no_sense_is_not_there() {
        let said = read(
            r#"{"type":"MEDIA_STATUS","requestId":7,"status":[{"mediaSessionId":3,"playerState":"PLAYING","currentTime":12.5,
            "supportedMediaCommands":15,"volume":{"level":1},"activeTrackIds":[1],"media":{"contentId":"http://x/a.mp4",
            "duration":-4,"metadata":{"title":"A\u0007B","artist":7},"tracks":[{"trackId":1,"type":"TEXT"},{"trackId":2,
            "type":"AUDIO"}]}}]}"#,
        );
        let Said { request: 7, word: Word::Media(Some(status)) } = said.unwrap() else { panic!() };
        assert_eq!((status.session, status.state, status.position), (3, State::Playing, Some(12.5)));
        let media = status.media.unwrap();
        assert_eq!((media.title.as_deref(), media.artist, media.length), (Some("A\u{FFFD}B"), None, None));
        assert_eq!(media.captions, [1]);
        for odd in [
            r#"{"type":"MEDIA_STATUS"}"#,
            r#"{"type":"MEDIA_STATUS","status":[]}"#,
            r#"{"type":"MEDIA_STATUS","status":[{"playerState":"PLAYING"}]}"#,
            r#"{"type":"MEDIA_STATUS","status":7}"#,
        ] {
            assert_eq!(read(odd).unwrap().word, Word::Media(None), "{odd}");
        }
        let deep = format!(r#"{{"type":"MEDIA_STATUS","status":{}"#, "[".repeat(30_000));
        for bad in ["", "[]", "{}", r#"{"type":5}"#, &deep, "\u{0}"] {
            assert_eq!(read(bad), None);
        }
        let status =
            read(r#"{"type":"MEDIA_STATUS","status":[{"mediaSessionId":1,"playerState":"X","currentTime":-1}]}"#);
        let Word::Media(Some(status)) = status.unwrap().word else { panic!() };
        assert_eq!((status.state, status.position), (State::Idle, None));
    }

    #[test]
    fn the_app_that_plays_is_found_among_others() {
        let app =
            |id: &str, more: &str| format!(r#"{{"appId":"{id}","sessionId":"s-{id}","transportId":"t-{id}"{more}}}"#);
        let plays = r#","namespaces":[{"name":"urn:x-cast:com.google.cast.media"}]"#;
        let apps = [
            app("GAME", ""),
            app("IDLE", &format!(r#","isIdleScreen":true{plays}"#)),
            app("", plays),
            app("YT", plays),
        ];
        let text = format!(
            r#"{{"type":"RECEIVER_STATUS","requestId":1,"status":{{"volume":{{"level":0.4,"muted":false,"controlType":"fixed"}},
            "applications":[{}]}}}}"#,
            apps.join(",")
        );
        let Word::Device(status) = read(&text).unwrap().word else { panic!() };
        assert_eq!((status.level, status.muted, status.fixed), (Some(0.4), Some(false), true));
        assert_eq!(status.app.unwrap().session, "s-YT");
        let loud = read(r#"{"type":"RECEIVER_STATUS","status":{"volume":{"level":7}}}"#).unwrap().word;
        assert_eq!(loud, Word::Device(DeviceStatus::default()));
    }

    #[test]
    fn a_load_says_what_it_is_and_nothing_else() {
        let opened = Opened {
            address: "http://10.0.0.1:9/t/media.mp4?x".into(),
            title: "Accord".into(),
            format: None,
            live: false,
            length: Some(60.0),
            start: Some(12.0),
            captions: Some("http://10.0.0.1:9/t/c.vtt".into()),
        };
        let load = opened.load();
        assert_eq!(
            (&load["media"]["streamType"], &load["media"]["contentType"]),
            (&json!("BUFFERED"), &json!("video/mp4"))
        );
        assert_eq!((&load["currentTime"], &load["activeTrackIds"]), (&json!(12.0), &json!([1])));
        assert_eq!(load["media"]["tracks"][0]["trackContentType"], "text/vtt");
        let live =
            Opened { live: true, captions: None, length: None, format: Some("audio/mpeg".into()), ..opened }.load();
        assert_eq!(
            (&live["media"]["streamType"], &live["media"]["metadata"]["metadataType"]),
            (&json!("LIVE"), &json!(3))
        );
        assert!(live.get("activeTrackIds").is_none() && live["media"].get("duration").is_none());
        for (end, mime) in [("a.MP3", "audio/mpeg"), ("a.jpg?b=c.mp4", "image/jpeg"), ("a", "video/mp4")] {
            assert_eq!(format_of(end), mime);
        }
    }
}
