//! Tests with the real ffmpeg, locked up as always. Where it is not installed, they try nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::item::Item;
use crate::live::{Live, Pcm};
use crate::prepare::{Body, Formats, Options, Prepared, Receiver, Seek, Wanted};
use crate::probe::Probed;
use crate::sniff::{Container, sniff};
use crate::tool::generated;

const FILM: &str = "-f lavfi -i testsrc2=size=320x180:rate=10 -f lavfi -i sine=440 -f lavfi -i sine=880 -t 6";
const H264: &str = "-map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -g 10 -pix_fmt yuv420p";
const CAPTIONS: &str = "1\n00:00:00,500 --> 00:00:02,000\nHello\n\n2\n00:00:03,000 --> 00:00:06,000\nThere\n";

struct Lab {
    dir: tempfile::TempDir,
    formats: Formats,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let formats = Formats::open(dir.path());
        Self { dir, formats }
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn item(&self, words: &str) -> Option<Item> {
        let made = generated(words).await?;
        Some(Item::open(&self.write("film.name that says nothing", &made)).unwrap())
    }

    async fn prepare(&self, item: &Item, formats: &str, options: Options) -> Prepared {
        self.formats.prepare(item, &receiver(formats), &options).await.unwrap()
    }

    /// What comes out is a film again: what is in it.
    async fn probe(&self, made: &[u8]) -> Probed {
        let item = Item::open(&self.write("made", made)).unwrap();
        item.probed().await.unwrap().as_ref().clone()
    }
}

fn receiver(formats: &str) -> Receiver {
    Receiver {
        formats: formats.split_whitespace().map(str::to_owned).collect(),
        model: "Lab".into(),
        ..Receiver::default()
    }
}

async fn all(prepared: &Prepared) -> Result<Vec<u8>, String> {
    from(prepared, 0.0).await
}

async fn from(prepared: &Prepared, second: f64) -> Result<Vec<u8>, String> {
    let Body::Live(live) = &prepared.body else { panic!("it is not converted: {}", prepared.how) };
    let (mut turn, mut all) = (live.turn(second), Vec::new());
    loop {
        match turn.next().await?.as_slice() {
            [] => return Ok(all),
            piece => all.extend_from_slice(piece),
        }
    }
}

#[tokio::test]
async fn a_film_is_packed_anew_with_the_sound_that_is_wanted() {
    let lab = Lab::new();
    let words = format!("{FILM} {H264} -c:a aac -f matroska");
    let Some(item) = lab.item(&words).await else { return };
    assert_eq!(item.container(), Container::Mkv);
    let tv = "video/mp4 video/mp2t";
    let prepared = lab.prepare(&item, tv, Options::default()).await;
    assert_eq!((prepared.format.mime, prepared.format.end, prepared.seek), ("video/mp2t", "ts", Seek::Time));
    assert!(prepared.how.contains("packed anew") && prepared.how.contains("video/x-matroska"), "{}", prepared.how);
    assert_eq!((prepared.sounds.len(), prepared.next.is_some()), (2, true));
    assert!((prepared.length.unwrap() - 6.0).abs() < 0.3);
    let made = all(&prepared).await.unwrap();
    assert_eq!(sniff(&made), Some(Container::Ts));
    let probed = lab.probe(&made).await;
    assert_eq!((&*probed.video.unwrap().codec, &*probed.audio[0].codec, probed.audio.len()), ("h264", "aac", 1));

    // A player that winds by seconds gets it from there, and from its beginning again.
    let later = from(&prepared, 4.0).await.unwrap();
    let length = lab.probe(&later).await.length.unwrap();
    assert!(length < 3.5 && later.len() < made.len(), "{length} s, {} of {}", later.len(), made.len());
    assert_eq!(from(&prepared, 0.0).await.unwrap().len(), made.len());

    let other = Options { audio_track: Some(1), ..Options::default() };
    let second = all(&lab.prepare(&item, tv, other).await).await.unwrap();
    assert_ne!(second, made, "the other sound");
    let third = Options { audio_track: Some(2), ..Options::default() };
    let refused = lab.formats.prepare(&item, &receiver(tv), &third).await.err().unwrap();
    assert!(refused.contains("it has 2 sounds"), "{refused}");
}

#[tokio::test]
async fn all_of_a_film_is_converted_from_a_second_on() {
    let lab = Lab::new();
    let words = format!("{FILM} -map 0 -map 1 -c:v mpeg4 -c:a wmav2 -f avi");
    let Some(item) = lab.item(&words).await else { return };
    assert_eq!(item.container(), Container::Avi);
    for (formats, container, codec, sound) in [
        ("video/mp2t", Container::Ts, "h264", "aac"),
        ("video/mp4", Container::Mp4, "h264", "aac"),
        ("video/webm", Container::Webm, "vp8", "opus"),
    ] {
        let options = Options { start: 2.0, ..Options::default() };
        let prepared = lab.prepare(&item, formats, options).await;
        assert_eq!((prepared.begins, prepared.start), (2.0, 0.0));
        let made = all(&prepared).await.unwrap();
        assert_eq!(sniff(&made), Some(container));
        let probed = lab.probe(&made).await;
        let video = probed.video.unwrap();
        assert_eq!((&*video.codec, &*video.dots, &*probed.audio[0].codec), (codec, "yuv420p", sound));
        if let Some(length) = probed.length {
            assert!((3.5..4.6).contains(&length), "{formats}: {length}");
        }
    }
}

#[tokio::test]
async fn a_film_in_hevc_becomes_one_in_h264_after_it_stood_still() {
    let lab = Lab::new();
    let words = format!(
        "{FILM} -map 0 -c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le -f matroska"
    );
    if crate::tool::generated("-f lavfi -i testsrc2 -frames:v 1 -c:v libx265 -x265-params log-level=none -f matroska")
        .await
        .is_none()
    {
        return;
    }
    let item = lab.item(&words).await.unwrap();
    let tv = "video/x-matroska video/mp4";
    let direct = lab.prepare(&item, tv, Options::default()).await;
    assert!(matches!(direct.body, Body::File(_)));
    lab.formats.failed(&item, &receiver(tv), 0);
    let packed = lab.prepare(&item, tv, Options { step: 1, ..Options::default() }).await;
    assert_eq!(Some(&packed.how), direct.next.as_ref());
    assert_eq!(lab.probe(&all(&packed).await.unwrap()).await.video.unwrap().codec, "hevc");
    let converted = lab.prepare(&item, tv, Options { step: 2, ..Options::default() }).await;
    let video = lab.probe(&all(&converted).await.unwrap()).await.video.unwrap();
    assert_eq!((&*video.codec, &*video.dots), ("h264", "yuv420p"));
    let again = Item::open(item.path()).unwrap();
    let first = lab.prepare(&again, tv, Options::default()).await;
    assert_eq!(first.how, packed.how, "the next time, what failed is not tried first");
    let last = Options { step: 9, ..Options::default() };
    assert!(lab.formats.prepare(&item, &receiver(tv), &last).await.is_err());
}

#[tokio::test]
async fn captions_go_beside_or_into_the_picture() {
    let lab = Lab::new();
    let words = format!("{FILM} {H264} -c:a aac -f matroska");
    let Some(item) = lab.item(&words).await else { return };
    let path = lab.write("film.srt", CAPTIONS.as_bytes());
    let options = Options { captions: Wanted::File(path), start: 3.0, ..Options::default() };
    let beside = lab.prepare(&item, "video/x-matroska text/vtt", options.clone()).await;
    let captions = beside.captions.clone().unwrap();
    assert_eq!((captions.end, beside.start), ("vtt", 3.0));
    assert!(captions.cues.web_vtt().contains("00:00:03.000 --> 00:00:06.000\nThere"));
    let later = lab.prepare(&item, "video/mp2t", options.clone()).await;
    assert!(later.captions.unwrap().cues.srt().starts_with("1\r\n00:00:00,000 --> 00:00:03,000\r\nThere"));

    let burns = Receiver { burn_in: true, ..receiver("video/mp2t video/x-matroska") };
    let burnt = lab.formats.prepare(&item, &burns, &options).await.unwrap();
    assert!(burnt.captions.is_none() && burnt.how.contains("converted"), "{}", burnt.how);
    let with = all(&burnt).await.unwrap();
    let plain = Options { captions: Wanted::None, step: 1, ..options };
    let plain = lab.formats.prepare(&item, &receiver("video/mp2t"), &plain).await.unwrap();
    let without = all(&plain).await.unwrap();
    let (with, without) = (lab.picture(&with).await, lab.picture(&without).await);
    assert_ne!(with, without, "there is something in the picture");
    let written = || {
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("accord-captions-")).count()
    };
    let before = written();
    drop(burnt);
    // Whoever made it may hold it a moment longer.
    until(|| written() < before || before == 0).await;
}

impl Lab {
    /// The first picture of a film.
    async fn picture(&self, made: &[u8]) -> Vec<u8> {
        let item = Item::open(&self.write("made", made)).unwrap();
        let mut words = vec!["-nostdin".to_owned()];
        words.extend(crate::tool::reading(item.container()));
        let rest = format!("-i {} -frames:v 1 -f rawvideo pipe:1", crate::tool::INPUT);
        words.extend(rest.split_whitespace().map(str::to_owned));
        crate::tool::made(&item, words, 8 << 20, Duration::from_secs(20)).await.unwrap()
    }
}

#[tokio::test]
async fn captions_in_the_film_are_taken_out_of_it() {
    let lab = Lab::new();
    let Some(film) = generated(&format!("{FILM} {H264} -c:a aac -f matroska")).await else { return };
    let film = Item::open(&lab.write("plain.mkv", &film)).unwrap();
    // Put together by ffmpeg, as it would be: it reads captions as a second file.
    let mut words = vec!["-nostdin".to_owned()];
    words.extend(crate::tool::reading(Container::Mkv));
    let captions = lab.write("captions.srt", CAPTIONS.as_bytes());
    let rest = format!(
        "-i {} -f srt -i file:{} -map 0 -map 1 -c copy -f matroska pipe:1",
        crate::tool::INPUT,
        captions.display()
    );
    words.extend(rest.split_whitespace().map(str::to_owned));
    let mut child = crate::tool::started(&film, words, vec![captions]).await.unwrap();
    let mut made = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut child.stdout.take().unwrap(), &mut made).await.unwrap();
    let item = Item::open(&lab.write("with captions", &made)).unwrap();
    let options = Options { captions: Wanted::Track(0), ..Options::default() };
    let prepared = lab.prepare(&item, "video/x-matroska", options).await;
    assert_eq!((prepared.texts.len(), prepared.texts[0].is_picture), (1, false));
    assert!(prepared.captions.unwrap().cues.srt().contains("00:00:00,500 --> 00:00:02,000\r\nHello"));
    let none = Options { captions: Wanted::Track(1), ..Options::default() };
    assert!(lab.formats.prepare(&item, &receiver("video/x-matroska"), &none).await.is_err());
}

#[tokio::test]
async fn sounds_and_pictures_are_converted_too() {
    let lab = Lab::new();
    let Some(sound) = lab.item("-f lavfi -i sine=440:sample_rate=44100 -t 2 -ac 2 -c:a flac -f flac").await else {
        return;
    };
    let made = all(&lab.prepare(&sound, "audio/mpeg", Options::default()).await).await.unwrap();
    assert_eq!(sniff(&made), Some(Container::Mp3));
    let made = all(&lab.prepare(&sound, "audio/wav", Options::default()).await).await.unwrap();
    assert_eq!(sniff(&made), Some(Container::Wav));
    // Raw sound is bit by bit what is in the file.
    let speaker = Receiver { sound: Some("s16le 44100 2".into()), ..Receiver::default() };
    let raw = generated("-f lavfi -i sine=440:sample_rate=44100 -t 2 -ac 2 -c:a pcm_s16le -f s16le").await.unwrap();
    let (mut pcm, mut heard) = (lab.formats.pcm(&sound, &speaker, &Options::default()).await.unwrap(), Vec::new());
    loop {
        match pcm.next().await.unwrap().as_slice() {
            [] => break,
            piece => heard.extend_from_slice(piece),
        }
    }
    assert_eq!(heard.len(), raw.len());
    assert!(heard == raw, "bit by bit");
    assert!(lab.formats.pcm(&sound, &receiver("audio/mpeg"), &Options::default()).await.is_err());

    let picture = lab.item("-f lavfi -i testsrc2=size=5000x500 -frames:v 1 -c:v libwebp -f webp").await.unwrap();
    let prepared = lab.prepare(&picture, "image/webp image/jpeg", Options::default()).await;
    assert_eq!((prepared.format.mime, prepared.seek, prepared.length), ("image/jpeg", Seek::Bytes, None));
    let Body::Made(made) = &prepared.body else { panic!("{}", prepared.how) };
    assert_eq!(sniff(made), Some(Container::Jpeg));
    assert_eq!(lab.probe(made).await.video.unwrap().width, 3840);
    // A photo that was taken with the camera on its side is made upright.
    let photo = generated("-f lavfi -i testsrc2=size=4800x2400 -frames:v 1 -c:v mjpeg -f mjpeg").await.unwrap();
    let exif = b"\xFF\xE1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = [&photo[..2], exif, &photo[2..]].concat();
    let photo = Item::open(&lab.write("photo.jpg", &turned)).unwrap();
    let prepared = lab.prepare(&photo, "image/jpeg", Options::default()).await;
    let Body::Made(made) = &prepared.body else { panic!("{}", prepared.how) };
    let video = lab.probe(made).await.video.unwrap();
    assert_eq!((video.width, video.height), (1080, 2160));
}

#[tokio::test]
async fn whoever_opens_it_again_gets_the_beginning_and_whoever_leaves_ends_it() {
    let lab = Lab::new();
    let words = "-f lavfi -i testsrc2=size=640x360:rate=25 -t 60 -c:v libx264 -preset ultrafast -qp 10 -f matroska";
    let Some(item) = lab.item(words).await else { return };
    let prepared = lab.prepare(&item, "video/mp2t", Options::default()).await;
    let Body::Live(live) = &prepared.body else { panic!("{}", prepared.how) };
    let mut first = live.turn(0.0);
    let piece = first.next().await.unwrap();
    let child = child_of(live).await.unwrap();
    let mut second = live.turn(0.0);
    assert!(first.over.is_cancelled(), "the newer one has the turn");
    assert_eq!(second.next().await.unwrap(), piece, "from the beginning");
    assert_eq!(child_of(live).await, Some(child), "of the same program");
    drop(first);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let state = |child: u32| std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    assert_eq!(child_of(live).await, Some(child), "whose turn it is goes on");
    let waits = state(child);
    assert!(waits.contains(") S ") || waits.contains(") R "), "it waits for whoever fetches: {waits}");
    let mut seen = piece.len();
    while seen < 6 << 20 {
        let piece = second.next().await.unwrap();
        assert!(!piece.is_empty(), "only {seen} bytes");
        seen += piece.len();
    }
    let mut third = live.turn(0.0);
    let again = third.next().await.unwrap();
    let both = again.len().min(piece.len());
    assert_eq!(again[..both], piece[..both]);
    assert_ne!(child_of(live).await, Some(child), "the beginning was too long ago to be kept");
    let child = child_of(live).await.unwrap();
    drop(third);
    until(|| state(child).is_empty() || state(child).contains(") Z ")).await;

    let mut fourth = live.turn(0.0);
    fourth.next().await.unwrap();
    let child = child_of(live).await.unwrap();
    std::fs::write(item.path(), b"another file").unwrap();
    let why = loop {
        match fourth.next().await {
            Ok(piece) => assert!(!piece.is_empty()),
            Err(why) => break why,
        }
    };
    assert!(why.contains("changed"), "{why}");
    live.end();
    until(|| state(child).is_empty() || state(child).contains(") Z ")).await;
    assert!(live.turn(0.0).over.is_cancelled());
}

async fn child_of(live: &Live) -> Option<u32> {
    live.process().await
}

async fn until(fits: impl Fn() -> bool) {
    for _ in 0..250 {
        if fits() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 5 s");
}

#[tokio::test]
async fn what_cannot_be_read_is_said_in_words() {
    let lab = Lab::new();
    let broken = [&b"\x1A\x45\xDF\xA3\x9f\x42\x86\x81\x01\x42\x82\x88matroska"[..], &[0; 5000]].concat();
    let item = Item::open(&lab.write("broken.mkv", &broken)).unwrap();
    let refused = lab.formats.prepare(&item, &receiver("video/mp4"), &Options::default()).await.err().unwrap();
    assert!(refused.contains("video/x-matroska"), "{refused}");
    let direct = lab.prepare(&item, "video/x-matroska", Options::default()).await;
    if generated("-version").await.is_some() {
        assert!(direct.advice.unwrap().contains("cannot read it"));
        assert!(Pcm::start(&item, 0.0, 0).await.unwrap().next().await.is_err());
    }
}

/// Also when it came as far as ffmpeg, which it does not: its content says what it is.
#[tokio::test]
async fn a_playlist_is_read_as_a_film_and_so_not_at_all() {
    let lab = Lab::new();
    let Some(film) = generated("-f lavfi -i sine=440 -t 2 -c:a mp2 -f mpegts").await else { return };
    let secret = lab.write("secret.ts", &film);
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{}\n#EXT-X-ENDLIST\n", secret.display());
    let path = lab.write("evil.mp4", playlist.as_bytes());
    assert!(Item::open(&path).is_err());
    for container in [Container::Mp4, Container::Mkv, Container::Ts, Container::Mp3, Container::Avi] {
        let mut words = vec!["-nostdin".to_owned()];
        words.extend(crate::tool::reading(container));
        let rest = format!("-i file:{} -c copy -f mpegts pipe:1", path.display());
        words.extend(rest.split_whitespace().map(str::to_owned));
        let other = Item::open(&secret).unwrap();
        // Even where the sandbox would let it.
        let mut child = crate::tool::started(&other, words, vec![path.clone(), secret.clone()]).await.unwrap();
        let mut made = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut child.stdout.take().unwrap(), &mut made).await.unwrap();
        assert!(made.len() < 2000, "{container:?}: {}", made.len());
    }
}

#[tokio::test]
async fn what_a_make_does_not_take_is_not_tried_on_it() {
    let lab = Lab::new();
    let Some(item) = lab.item(&format!("{FILM} {H264} -c:a aac -f matroska")).await else { return };
    let quirks = accord_recognition::Quirks {
        captions: accord_recognition::Captions::BurnIn,
        veto: vec!["video/X-Matroska".into()],
        ..Default::default()
    };
    let tv = receiver("video/x-matroska video/mp2t").with(&quirks);
    let prepared = lab.formats.prepare(&item, &tv, &Options::default()).await.unwrap();
    assert!(prepared.how.contains("this make does not play"), "{}", prepared.how);
    assert_eq!(prepared.format.end, "ts");
    let captions = Wanted::File(lab.write("film.srt", CAPTIONS.as_bytes()));
    let burnt = lab.formats.prepare(&item, &tv, &Options { captions, ..Options::default() }).await.unwrap();
    assert!(burnt.captions.is_none() && matches!(burnt.body, Body::Live(_)));
}
