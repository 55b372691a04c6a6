//! ffmpeg and ffprobe: how they are called, always locked up, and always told which format to read and that they may open
//! nothing but the one file. Whatever they say is bounded.

use std::path::PathBuf;
use std::time::Duration;

use accord_consent::outlet::{Confined, Limits, OutletError, sandboxed};
use accord_model::text::for_screen;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::item::Item;
use crate::sniff::Container;

/// The file, for a locked-up program.
pub(crate) const INPUT: &str = "file:/proc/self/fd/0";
/// How long looking into a file may take, and its answer be.
const LOOKS_FOR: Duration = Duration::from_secs(20);
const MAX_ANSWER: usize = 1 << 20;
const MAX_WORDS: usize = 4096;
/// What programs that look may use up, and those that convert. A frame of 8K film has 50 MB, and encoders keep dozens.
const LOOKING: Limits = Limits { memory: 1 << 30, processor: Duration::from_secs(20) };
const CONVERTING: Limits = Limits { memory: 6 << 30, processor: Duration::from_secs(24 * 3600) };
/// What to do when it is not there.
pub(crate) const INSTALL: &str = "ffmpeg is not installed, so that files are only played as they are; install it to convert them (Debian, Ubuntu: apt install ffmpeg)";

/// Which encoders this ffmpeg has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Encoders(Vec<String>);

/// Those that are made use of.
const KNOWN: [&str; 8] = ["libx264", "aac", "ac3", "libmp3lame", "libvpx", "libopus", "mjpeg", "webvtt"];

impl Encoders {
    /// Asks ffmpeg, which shows too whether it runs at all when it is locked up.
    ///
    /// # Errors
    /// In words, with what to do.
    pub(crate) async fn ask() -> Result<Self, String> {
        let words = ["-hide_banner", "-nostdin", "-loglevel", "error", "-encoders"].map(str::to_owned).to_vec();
        let answer = run("ffmpeg", words, None, vec![], LOOKING, MAX_ANSWER, LOOKS_FOR).await?;
        let text = String::from_utf8_lossy(&answer);
        // ` V....D libx264   libx264 H.264 …`
        let names = text.lines().filter_map(|line| line.split_whitespace().nth(1));
        Ok(Self(names.filter(|name| KNOWN.contains(name)).map(str::to_owned).collect()))
    }

    /// All that are made use of, for tests of plans.
    #[cfg(test)]
    pub(crate) fn all() -> Self {
        Self(KNOWN.map(str::to_owned).to_vec())
    }

    /// Whether it has this one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

/// The words before the input: what may be read, and how. ffmpeg is not left to guess: a playlist is never read as one.
pub(crate) fn reading(container: Container) -> Vec<String> {
    let format = demuxer(container);
    let words = ["-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file,pipe", "-format_whitelist", format];
    words.into_iter().chain(["-f", format]).map(str::to_owned).collect()
}

/// What ffmpeg calls it when it reads.
fn demuxer(container: Container) -> &'static str {
    match container {
        Container::Mp4 | Container::Mov | Container::M4a | Container::Heic | Container::Avif => "mov",
        Container::Mkv | Container::Webm => "matroska",
        Container::Ts => "mpegts",
        Container::Ps => "mpeg",
        Container::Avi => "avi",
        Container::Asf => "asf",
        Container::Flv => "flv",
        Container::Mp3 => "mp3",
        Container::Aac => "aac",
        Container::Flac => "flac",
        Container::Ogg => "ogg",
        Container::Wav => "wav",
        Container::Jpeg => "jpeg_pipe",
        Container::Png => "png_pipe",
        Container::Gif => "gif",
        Container::Webp => "webp_pipe",
        Container::Bmp => "bmp_pipe",
    }
}

/// What ffprobe says of a file, as JSON.
///
/// # Errors
/// In words.
pub(crate) async fn look(item: &Item) -> Result<Vec<u8>, String> {
    let mut words = reading(item.container());
    let wanted = ["-print_format", "json", "-show_format", "-show_streams", "-i", INPUT];
    words.extend(wanted.map(str::to_owned));
    let file = item.file().map_err(|error| error.to_string())?;
    run("ffprobe", words, Some(file), vec![], LOOKING, MAX_ANSWER, LOOKS_FOR).await
}

/// A conversion that is read as a whole: a picture, captions.
///
/// # Errors
/// In words.
pub(crate) async fn made(item: &Item, words: Vec<String>, most: usize, within: Duration) -> Result<Vec<u8>, String> {
    let file = item.file().map_err(|error| error.to_string())?;
    run("ffmpeg", words, Some(file), vec![], CONVERTING, most, within).await
}

/// A conversion that is read as it goes.
///
/// # Errors
/// In words.
pub(crate) async fn started(item: &Item, words: Vec<String>, more: Vec<PathBuf>) -> Result<Confined, String> {
    let file = item.file().map_err(|error| error.to_string())?;
    sandboxed("ffmpeg", words, Some(file), more, CONVERTING).await.map_err(in_words)
}

async fn run(
    program: &'static str,
    words: Vec<String>,
    input: Option<std::fs::File>,
    more: Vec<PathBuf>,
    limits: Limits,
    most: usize,
    within: Duration,
) -> Result<Vec<u8>, String> {
    let mut child = sandboxed(program, words, input, more, limits).await.map_err(in_words)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let both = async { tokio::join!(take(stdout, most + 1), complaint(stderr), child.wait()) };
    // Ended when it is dropped.
    let both = tokio::time::timeout(within, both).await;
    let (answer, complaint, status) =
        both.map_err(|_| format!("{program} did not finish within {} s", within.as_secs()))?;
    if answer.len() > most {
        return Err(format!("{program} made more of it than there should be"));
    }
    match status {
        Ok(status) if status.success() => Ok(answer),
        Ok(_) => Err(format!("{program} cannot read it: {complaint}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// What is wrong, as ffmpeg says it; its last words, escaped.
pub(crate) async fn complaint(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let said = take(stderr, MAX_WORDS).await;
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
    for_screen(line.trim(), 200)
}

/// So much of what is said; the rest is read and forgotten, so that nobody waits to say it.
async fn take(said: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let Some(mut said) = said else { return all };
    let mut piece = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = said.read(&mut piece).await {
        all.extend_from_slice(&piece[..read.min(most - all.len())]);
    }
    all
}

fn in_words(error: OutletError) -> String {
    match error {
        OutletError::NotInstalled(_) => INSTALL.to_owned(),
        error => error.to_string(),
    }
}

/// What ffmpeg makes of nothing, for tests; nothing where it is not installed.
#[cfg(test)]
pub(crate) async fn generated(words: &str) -> Option<Vec<u8>> {
    let words = format!("-hide_banner -nostdin -loglevel error {words} pipe:1");
    let words = words.split_whitespace().map(str::to_owned).collect();
    match run("ffmpeg", words, None, vec![], CONVERTING, 64 << 20, Duration::from_secs(60)).await {
        Err(why) if why == INSTALL => None,
        made => Some(made.unwrap()),
    }
}
