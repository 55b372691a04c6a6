//! What ffprobe says of a file. The file is from anywhere, and so is what is said of it: every number is checked, every text
//! bounded and escaped.

use accord_model::text::for_screen;
use serde::Deserialize;

/// Most streams that are looked at, and longest film, in seconds.
const MAX_STREAMS: usize = 64;
const MAX_LENGTH: f64 = 7.0 * 24.0 * 3600.0;

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Probed {
    /// In seconds.
    pub length: Option<f64>,
    /// Its pictures that move, or the one that does not; covers of albums are none.
    pub video: Option<Video>,
    /// Its sounds, in their order.
    pub audio: Vec<Audio>,
    /// Its captions, in their order.
    pub texts: Vec<Text>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Video {
    pub codec: String,
    /// How its dots are written: `yuv420p`, `yuv420p10le`.
    pub dots: String,
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Audio {
    pub codec: String,
    pub channels: u32,
    pub label: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub codec: String,
    pub label: String,
}

impl Text {
    /// Captions of discs and broadcasts are pictures.
    pub(crate) fn is_picture(&self) -> bool {
        ["hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"].contains(&&*self.codec)
    }
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    codec_type: String,
    #[serde(default)]
    codec_name: String,
    #[serde(default)]
    pix_fmt: String,
    #[serde(default)]
    width: i64,
    #[serde(default)]
    height: i64,
    #[serde(default)]
    channels: i64,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Deserialize, Default)]
struct Tags {
    #[serde(default, alias = "LANGUAGE")]
    language: String,
    #[serde(default, alias = "TITLE")]
    title: String,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    attached_pic: i64,
    #[serde(default)]
    forced: i64,
}

impl Probed {
    /// Reads what ffprobe printed.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        let said: Said = serde_json::from_slice(json).map_err(|error| format!("ffprobe's answer: {error}"))?;
        let length = said.format.duration.and_then(|text| text.parse().ok());
        let length = length.filter(|length: &f64| length.is_finite() && (0.0..=MAX_LENGTH).contains(length));
        let mut probed = Self { length, ..Self::default() };
        for stream in said.streams.into_iter().take(MAX_STREAMS) {
            let codec = for_screen(&stream.codec_name, 32);
            let within = |number: i64| u32::try_from(number.clamp(0, 65_535)).unwrap_or_default();
            match &*stream.codec_type {
                "video" if stream.disposition.attached_pic == 0 && probed.video.is_none() => {
                    let (dots, width, height) =
                        (for_screen(&stream.pix_fmt, 32), within(stream.width), within(stream.height));
                    probed.video = Some(Video { codec, dots, width, height });
                }
                "audio" => {
                    let channels = within(stream.channels);
                    let more = match channels {
                        0 => String::new(),
                        1 => ", mono".to_owned(),
                        2 => ", stereo".to_owned(),
                        more => format!(", {more} channels"),
                    };
                    let label = label(&stream, &format!("{codec}{more}"));
                    probed.audio.push(Audio { codec, channels, label });
                }
                "subtitle" => {
                    let label = label(&stream, if stream.disposition.forced == 1 { "forced" } else { &codec });
                    probed.texts.push(Text { codec, label });
                }
                _ => {}
            }
        }
        Ok(probed)
    }
}

fn label(stream: &Stream, what: &str) -> String {
    let (language, title) = (for_screen(&stream.tags.language, 16), for_screen(&stream.tags.title, 64));
    let parts = [language, title].into_iter().filter(|part| !part.is_empty() && part != "und");
    let said = parts.collect::<Vec<_>>().join(", ");
    if said.is_empty() { what.to_owned() } else { format!("{said} ({what})") }
}

/// For the fuzzer.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(probed) = Probed::read(bytes) {
        assert!(probed.audio.len() + probed.texts.len() <= MAX_STREAMS);
        assert!(probed.length.is_none_or(|length| length >= 0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_film_is_read_and_nonsense_is_bounded() {
        let json = br#"{"streams": [
            {"codec_type": "video", "codec_name": "mjpeg", "disposition": {"attached_pic": 1}},
            {"codec_type": "video", "codec_name": "hevc", "pix_fmt": "yuv420p10le", "width": 1920, "height": 1080},
            {"codec_type": "audio", "codec_name": "dts", "channels": 6, "tags": {"language": "eng", "title": "Main"}},
            {"codec_type": "audio", "codec_name": "aac", "channels": 2},
            {"codec_type": "subtitle", "codec_name": "subrip", "tags": {"language": "ger"}},
            {"codec_type": "subtitle", "codec_name": "hdmv_pgs_subtitle", "disposition": {"forced": 1}},
            {"codec_type": "data"}, {}], "format": {"duration": "12.5"}}"#;
        let probed = Probed::read(json).unwrap();
        let video = probed.video.clone().unwrap();
        assert_eq!((&*video.codec, &*video.dots, video.width, video.height), ("hevc", "yuv420p10le", 1920, 1080));
        let labels: Vec<_> = probed.audio.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(labels, ["eng, Main (dts, 6 channels)", "aac, stereo"]);
        let texts: Vec<_> = probed.texts.iter().map(|one| (one.label.as_str(), one.is_picture())).collect();
        assert_eq!(texts, [("ger (subrip)", false), ("forced", true)]);
        assert_eq!(probed.length, Some(12.5));
        for odd in ["NaN", "-1", "1e300", "x", ""] {
            let json = format!(
                r#"{{"format": {{"duration": "{odd}"}}, "streams": [{{"width": -5, "codec_type": "video"}}]}}"#
            );
            let probed = Probed::read(json.as_bytes()).unwrap();
            assert_eq!((probed.length, probed.video.unwrap().width), (None, 0), "{odd}");
        }
        let long = format!(
            r#"{{"streams": [{}{{}}]}}"#,
            r#"{"codec_type": "audio", "tags": {"title": "\u001b[2J"}},"#.repeat(500)
        );
        let probed = Probed::read(long.as_bytes()).unwrap();
        assert!(probed.audio.len() <= MAX_STREAMS && !probed.audio[0].label.contains('\u{1b}'));
        assert!(Probed::read(b"[").is_err() && Probed::read(b"").is_err());
    }
}
