//! What hostile films do to the real ffmpeg, and not to one that is locked up. Each attack is first shown to work on an
//! ffmpeg that runs free: otherwise nothing is proved. Where ffmpeg is not installed, nothing is tried.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "an ffmpeg that runs free, to compare with")]

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use accord_consent::outlet::{Limits, sandboxed};
use tokio::io::AsyncReadExt;

const LIMITS: Limits = Limits { memory: 2 << 30, processor: Duration::from_secs(20) };
/// All that keeps ffmpeg from following what a film says is taken away: the sandbox alone has to hold.
const OPEN: &str =
    "-hide_banner -nostdin -loglevel error -rw_timeout 3000000 -protocol_whitelist file,http,tcp,pipe,data";
const FD: &str = "file:/proc/self/fd/0";

struct Attack {
    dir: tempfile::TempDir,
    secret: PathBuf,
}

impl Attack {
    /// A film of somebody's that another film is to give away; nothing where there is no ffmpeg.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret.ts");
        let words = "-hide_banner -nostdin -loglevel error -f lavfi -i sine=440 -t 2 -c:a mp2 -f mpegts";
        let made = Command::new("ffmpeg").args(words.split(' ')).arg(&secret).status().ok()?;
        assert!(made.success());
        Some(Self { dir, secret })
    }

    fn film(&self, content: &str) -> PathBuf {
        let path = self.dir.path().join("film.mp4");
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What ffmpeg makes of it: free, and locked up.
    async fn made(&self, film: &Path, format: &str) -> (usize, usize) {
        let words = |input: &str| {
            let words = format!("{OPEN} {format} -i {input} -map 0 -c copy -f mpegts pipe:1");
            words.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut free = Command::new("ffmpeg");
        free.args(words(&film.display().to_string())).stdin(Stdio::null()).stderr(Stdio::null());
        let free = free.output().unwrap().stdout.len();
        let input = File::open(film).unwrap();
        let mut child = sandboxed("ffmpeg", words(FD), Some(input), vec![], LIMITS).await.unwrap();
        let mut made = Vec::new();
        let mut stdout = child.stdout.take().unwrap();
        let read = stdout.read_to_end(&mut made);
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
        (free, made.len())
    }
}

#[tokio::test]
async fn a_playlist_that_is_called_a_film_gives_no_other_file_away() {
    let Some(attack) = Attack::new() else { return };
    let secret = attack.secret.display();
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n");
    let film = attack.film(&playlist);
    let (free, locked_up) = attack.made(&film, "-allowed_extensions ALL -f hls").await;
    assert!(free > 10_000, "the attack works: {free}");
    assert_eq!(locked_up, 0);
    let film = attack.film(&format!("ffconcat version 1.0\nfile 'file:{secret}'\n"));
    let (free, locked_up) = attack.made(&film, "-safe 0 -f concat").await;
    assert!(free > 10_000, "the attack works: {free}");
    assert_eq!(locked_up, 0);
}

#[tokio::test]
async fn a_playlist_that_is_called_a_film_connects_to_nobody() {
    let Some(attack) = Attack::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:{port}/segment.ts\n#EXT-X-ENDLIST\n");
    let film = attack.film(&playlist);
    // Whoever connects is hung up on.
    let callers = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = callers.clone();
    std::thread::spawn(move || {
        for caller in listener.incoming() {
            drop(caller);
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let mut free = Command::new("ffmpeg");
    free.args(
        format!("{OPEN} -allowed_extensions ALL -f hls -i {} -c copy -f mpegts pipe:1", film.display()).split(' '),
    );
    free.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let connected = callers.load(std::sync::atomic::Ordering::SeqCst);
    assert!(connected > 0, "the attack works");
    let words = format!("{OPEN} -allowed_extensions ALL -f hls -i {FD} -c copy -f mpegts pipe:1");
    let words = words.split(' ').map(str::to_owned).collect();
    let mut child = sandboxed("ffmpeg", words, Some(File::open(&film).unwrap()), vec![], LIMITS).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap();
    assert_eq!(callers.load(std::sync::atomic::Ordering::SeqCst), connected, "nobody came");
}
