//! What ffmpeg is told for each way of converting.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE32_NOPAD;

use crate::captions::Cues;
use crate::item::Item;
use crate::plan::{Job, Way, picture_for, sound_for};
use crate::sniff::Container;
use crate::tool::{INPUT, made, reading};
use crate::turned::upright;

/// The largest picture that is made, in bytes, and how long that may take.
const MAX_PICTURE: usize = 32 << 20;
const PICTURE_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to read the captions out of a film: all of it has to be read for that.
const CAPTIONS_WITHIN: Duration = Duration::from_secs(90);
/// Where pictures and films are made smaller, in dots.
const PICTURE_SIZE: (u32, u32) = (3840, 2160);

/// What is burnt into the picture.
#[derive(Clone)]
pub(crate) enum Burn {
    /// The captions in this file, which is as if the film began where the conversion does.
    Text(std::sync::Arc<CaptionsFile>),
    /// The so-many-th captions of the film, which are pictures themselves.
    Pictures(usize),
}

/// The words for a conversion that begins at a second of the film.
pub(crate) fn words(container: Container, way: &Way, start: f64, sound: usize, burn: Option<&Burn>) -> Vec<String> {
    let mut all = vec!["-nostdin".to_owned(), "-nostats".to_owned()];
    all.extend(reading(container));
    let mut say = |words: &str| all.extend(words.split_whitespace().map(str::to_owned));
    say("-fflags +genpts");
    if start > 0.0 {
        say(&format!("-ss {start:.3}"));
    }
    say(&format!("-i {INPUT} -map_metadata -1 -map_chapters -1 -sn -dn"));
    match way.video {
        Job::Leave => say("-vn"),
        Job::Copy => say("-map 0:V:0 -c:v copy"),
        Job::Convert => {
            let fit = format!("yadif=deint=interlaced,{},format=yuv420p", fit(film_size()));
            match burn {
                Some(Burn::Pictures(number)) => {
                    say("-filter_complex");
                    say(&format!("[0:V:0][0:s:{number}]overlay=eof_action=pass,{fit}[picture] -map [picture]"));
                }
                Some(Burn::Text(file)) => {
                    // The name was made here, of letters that mean nothing to ffmpeg.
                    say(&format!("-map 0:V:0 -vf {fit},subtitles=filename={}", file.path().display()));
                }
                None => say(&format!("-map 0:V:0 -vf {fit}")),
            }
        }
    }
    if way.video == Job::Convert {
        match picture_for(way.target) {
            "libvpx" => say("-c:v libvpx -deadline realtime -cpu-used 8 -b:v 4M -g 60"),
            _ => {
                let preset = if many_processors() { "veryfast" } else { "superfast" };
                say(&format!(
                    "-c:v libx264 -preset {preset} -profile:v main -level:v 4.1 -crf 21 -maxrate 8M -bufsize 16M"
                ));
                say("-force_key_frames expr:gte(t,n_forced*2)");
            }
        }
    } else if way.target == Container::Mp4 && way.video == Job::Copy && way.name.contains(" hevc ") {
        // As players of this container want it called (ISO/IEC 14496-15, 8.4.1).
        say("-tag:v hvc1");
    }
    match (way.audio, way.target) {
        (Job::Leave, _) => say("-an"),
        (Job::Copy, _) => say(&format!("-map 0:a:{sound}? -c:a copy")),
        (Job::Convert, target) => {
            say(&format!("-map 0:a:{sound}"));
            match target {
                Container::Mp3 => say("-c:a libmp3lame -b:a 256k -ac 2 -ar 44100"),
                Container::Wav => say("-c:a pcm_s16le -ac 2 -ar 44100"),
                target if sound_for(target) == "libopus" => say("-c:a libopus -b:a 160k -ac 2"),
                _ => say("-c:a aac -b:a 192k -ac 2 -ar 48000"),
            }
        }
    }
    say(match way.target {
        Container::Mp4 => "-f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof",
        Container::Mkv => "-f matroska",
        Container::Webm => "-f webm",
        Container::Mp3 => "-f mp3 -id3v2_version 0 -write_xing 0",
        Container::Aac => "-f adts",
        Container::Wav => "-f wav",
        _ => "-f mpegts -muxdelay 0",
    });
    say("pipe:1");
    all
}

/// The words for raw sound: 16 bits, little end first, 44100 Hz, two channels.
pub(crate) fn pcm_words(container: Container, start: f64, sound: usize) -> Vec<String> {
    let mut all = vec!["-nostdin".to_owned(), "-nostats".to_owned()];
    all.extend(reading(container));
    let seek = if start > 0.0 { format!("-ss {start:.3}") } else { String::new() };
    let rest = format!("{seek} -i {INPUT} -vn -sn -dn -map 0:a:{sound} -c:a pcm_s16le -ar 44100 -ac 2 -f s16le pipe:1");
    all.extend(rest.split_whitespace().map(str::to_owned));
    all
}

/// A picture as a JPEG, upright and not too large.
///
/// # Errors
/// In words.
pub(crate) async fn picture(item: &Item) -> Result<Vec<u8>, String> {
    let mut all = vec!["-nostdin".to_owned(), "-nostats".to_owned()];
    all.extend(reading(item.container()));
    let (turn, fit) = (upright(item.orientation()), fit(PICTURE_SIZE));
    // What a JPEG says of that is read here: some versions of ffmpeg read it too, and would turn it twice.
    let turn_by_itself = if item.container() == Container::Jpeg { "-noautorotate" } else { "" };
    let rest = format!(
        "{turn_by_itself} -i {INPUT} -map_metadata -1 -frames:v 1 -vf {turn}{fit} -c:v mjpeg -q:v 3 -f mjpeg pipe:1"
    );
    all.extend(rest.split_whitespace().map(str::to_owned));
    let made = made(item, all, MAX_PICTURE, PICTURE_WITHIN).await?;
    if made.is_empty() { Err("nothing came of the picture".to_owned()) } else { Ok(made) }
}

/// The captions in a film itself.
///
/// # Errors
/// In words.
pub(crate) async fn captions(item: &Item, number: usize) -> Result<Cues, String> {
    let mut all = vec!["-nostdin".to_owned(), "-nostats".to_owned()];
    all.extend(reading(item.container()));
    all.extend(format!("-i {INPUT} -map 0:s:{number} -f webvtt pipe:1").split_whitespace().map(str::to_owned));
    let most = usize::try_from(crate::captions::MAX_FILE).unwrap_or(usize::MAX);
    Cues::read(&made(item, all, most, CAPTIONS_WITHIN).await?)
}

fn fit((width, height): (u32, u32)) -> String {
    format!("scale=w=min({width}\\,iw):h=min({height}\\,ih):force_original_aspect_ratio=decrease:force_divisible_by=2")
}

/// As large as this machine converts while it plays.
fn film_size() -> (u32, u32) {
    if many_processors() { (1920, 1080) } else { (1280, 720) }
}

fn many_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|count| count.get() >= 4)
}

/// Captions in a file that ffmpeg reads while it burns them in; gone when it is dropped.
pub(crate) struct CaptionsFile(PathBuf);

impl CaptionsFile {
    /// Writes them. Blocks for the disk.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn new(cues: &Cues) -> Result<Self, String> {
        let words = |error: std::io::Error| format!("captions for burning in could not be written: {error}");
        let mut number = [0; 15];
        getrandom::fill(&mut number).map_err(|error| error.to_string())?;
        let name = format!("accord-captions-{}.srt", BASE32_NOPAD.encode(&number).to_ascii_lowercase());
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = own.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]);
        // What stands in a filter of ffmpeg must hold none of its signs.
        let is_plain = |path: &Path| {
            let text = path.to_str().unwrap_or(" ");
            path.is_absolute() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
        };
        let place = places.into_iter().find(|place| is_plain(place) && place.is_dir());
        let path = place.ok_or("there is no folder in which captions for burning in can be written")?.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(words)?;
        let written = Self(path);
        file.write_all(cues.srt().as_bytes()).map_err(words)?;
        Ok(written)
    }

    /// Where they are.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for CaptionsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
