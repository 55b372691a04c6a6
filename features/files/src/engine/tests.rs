//! Whole transfers over streams in memory that are cut, lied to and killed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex, split};

use super::pack::Input;
use super::plain::{receive_into, send_input, send_paths};
use super::receive::ReceiveEnd;
use super::send::SendEnd;
use super::{Progress, unpack::Received};
use crate::name::PARTIAL;
use crate::scan::{file_key, path_key};
use crate::wire::*;

/// A stream whose both ends break after some bytes, as a cut link or a killed process does.
struct Cut<S> {
    inner: S,
    left: Arc<AtomicI64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left.load(Ordering::SeqCst) <= 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let left = self.left.load(Ordering::SeqCst);
        if left <= 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap())];
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &written {
            self.left.fetch_sub(i64::try_from(*written).unwrap(), Ordering::SeqCst);
        }
        written
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

async fn transfer(paths: &[PathBuf], inbox: &Path, cut: i64) -> (SendEnd, ReceiveEnd) {
    let (ours, theirs) = duplex(64 * 1024);
    let left = Arc::new(AtomicI64::new(cut));
    let (our_reader, our_writer) = split(Cut { inner: ours, left: left.clone() });
    let (their_reader, their_writer) = split(theirs);
    let send = async {
        // The halves go when sending ends, as a closed socket does.
        send_paths([7; 16], paths, our_reader, our_writer, Arc::default()).await
    };
    let receive = receive_into(inbox, their_reader, their_writer, Arc::default());
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(send, receive) }).await.expect("it ends")
}

fn received(end: ReceiveEnd) -> Received {
    match end {
        ReceiveEnd::Received(received) => *received,
        other => panic!("{other:?}"),
    }
}

/// Path → (kind, content, mtime, executable).
fn look(dir: &Path) -> BTreeMap<String, (char, Vec<u8>, i64, bool)> {
    fn walk(dir: &Path, base: &Path, out: &mut BTreeMap<String, (char, Vec<u8>, i64, bool)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            if metadata.is_symlink() {
                out.insert(name, ('l', fs::read_link(&path).unwrap().to_str().unwrap().into(), 0, false));
            } else if metadata.is_dir() {
                out.insert(name, ('d', vec![], metadata.mtime(), false));
                walk(&path, base, out);
            } else {
                out.insert(name, ('f', fs::read(&path).unwrap(), metadata.mtime(), metadata.mode() & 0o100 != 0));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(dir, dir, &mut out);
    out
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn set_mtime(path: &Path, seconds: i64) {
    let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

/// A tree with everything that is kept.
fn make_tree(at: &Path) -> PathBuf {
    let top = at.join("Grüße 東京");
    fs::create_dir_all(top.join("deep/er/and/deeper")).unwrap();
    fs::create_dir_all(top.join("empty")).unwrap();
    fs::write(top.join("empty file"), "").unwrap();
    fs::write(top.join("deep/er/and/deeper/small"), noise(5000, 1)).unwrap();
    fs::write(top.join("big"), noise(3_500_000, 2)).unwrap();
    fs::write(top.join("middle"), noise(300_000, 3)).unwrap();
    fs::write(top.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(top.join("run.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("../big", top.join("deep/link")).unwrap();
    for index in 0..40 {
        fs::write(top.join(format!("deep/f{index}")), noise(index * 97, 4)).unwrap();
    }
    set_mtime(&top.join("big"), 1_000_000_007);
    set_mtime(&top.join("empty"), 1_000_000_009);
    top
}

#[tokio::test]
async fn a_tree_arrives_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("source"), dir.path().join("inbox"));
    let top = make_tree(&source);
    let (sent, got) = transfer(std::slice::from_ref(&top), &inbox, i64::MAX).await;
    let got = received(got);
    assert!(matches!(sent, SendEnd::Done { files: 45, failed_count: 0, .. }), "{sent:?}");
    assert_eq!(look(&source), look(&inbox), "names, content, times and the executable bit");
    assert_eq!(fs::metadata(inbox.join("Grüße 東京/run.sh")).unwrap().mode() & 0o7000, 0, "no set-id bits");
    assert_eq!(got.saved_to, [inbox.join("Grüße 東京")]);
}

#[tokio::test]
async fn names_that_clash_are_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = dir.path().join("inbox");
    fs::create_dir_all(&inbox).unwrap();
    fs::write(inbox.join("A.TXT"), "mine").unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(&top).unwrap();
    fs::write(top.join("x"), "1").unwrap();
    fs::write(top.join("X"), "2").unwrap();
    fs::write(dir.path().join("a.txt"), "new").unwrap();
    let (sent, got) = transfer(&[dir.path().join("a.txt"), top], &inbox, i64::MAX).await;
    assert!(matches!(sent, SendEnd::Done { .. }), "{sent:?}");
    assert_eq!(received(got).saved_to, [inbox.join("a (2).txt"), inbox.join("top")]);
    assert_eq!(fs::read(inbox.join("A.TXT")).unwrap(), b"mine");
    assert_eq!(fs::read(inbox.join("top/X")).unwrap(), b"2");
    assert_eq!(fs::read(inbox.join("top/x (2)")).unwrap(), b"1");
}

#[tokio::test]
async fn a_transfer_cut_anywhere_goes_on_until_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("source"), dir.path().join("inbox"));
    let top = make_tree(&source);
    let mut seed = 12345_u64;
    for round in 0..6 {
        let inbox = inbox.join(round.to_string());
        let mut tries = 0;
        loop {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let cut = i64::try_from((seed >> 33) % 1_500_000).unwrap() + 2000;
            let (sent, got) = transfer(std::slice::from_ref(&top), &inbox, cut).await;
            tries += 1;
            assert!(tries < 60, "it gets further each time: {sent:?} {got:?}");
            if let (SendEnd::Done { .. }, ReceiveEnd::Received(_)) = (&sent, &got) {
                break;
            }
            assert!(matches!(sent, SendEnd::Broken(_)), "{sent:?}");
            assert!(matches!(got, ReceiveEnd::Broken(_) | ReceiveEnd::Received(_)), "{got:?}");
            if matches!(got, ReceiveEnd::Received(_)) {
                break;
            }
        }
        assert!(tries > 1, "it was cut at least once");
        assert_eq!(look(&source), look(&inbox));
    }
}

#[tokio::test]
async fn what_was_received_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("big"), dir.path().join("inbox"));
    fs::write(&source, noise(8 << 20, 9)).unwrap();
    let (_, got) = transfer(std::slice::from_ref(&source), &inbox, 6 << 20).await;
    assert!(matches!(got, ReceiveEnd::Broken(_)), "{got:?}");
    let (sent, _) = transfer(std::slice::from_ref(&source), &inbox, (3 << 20) + 4096).await;
    assert!(matches!(sent, SendEnd::Done { .. }), "the rest fits into 3 MiB: {sent:?}");
    assert_eq!(fs::read(inbox.join("big")).unwrap(), noise(8 << 20, 9));
}

#[tokio::test]
async fn a_source_that_changed_meanwhile_starts_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("big"), dir.path().join("inbox"));
    fs::write(&source, noise(4 << 20, 1)).unwrap();
    let _ = transfer(std::slice::from_ref(&source), &inbox, 2 << 20).await;
    fs::write(&source, noise(5 << 20, 2)).unwrap();
    let (sent, _) = transfer(std::slice::from_ref(&source), &inbox, i64::MAX).await;
    assert!(matches!(sent, SendEnd::Done { files: 1, .. }), "{sent:?}");
    assert_eq!(fs::read(inbox.join("big")).unwrap(), noise(5 << 20, 2));
    assert_eq!(fs::read_dir(&inbox).unwrap().count(), 1, "no second version, nothing partial");
}

#[tokio::test]
async fn a_partial_file_that_was_damaged_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("big"), dir.path().join("inbox"));
    fs::write(&source, noise(4 << 20, 1)).unwrap();
    let _ = transfer(std::slice::from_ref(&source), &inbox, 2 << 20).await;
    let partial = inbox.join(PARTIAL).join("07".repeat(16)).join("tree/big");
    let mut bytes = fs::read(&partial).unwrap();
    bytes[1000] ^= 1;
    fs::write(&partial, &bytes).unwrap();
    let (sent, _) = transfer(std::slice::from_ref(&source), &inbox, i64::MAX).await;
    assert!(matches!(sent, SendEnd::Done { files: 1, failed_count: 0, .. }), "{sent:?}");
    assert_eq!(fs::read(inbox.join("big")).unwrap(), noise(4 << 20, 1));
}

#[tokio::test]
async fn ten_thousand_small_files_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("many"), dir.path().join("inbox"));
    fs::create_dir(&source).unwrap();
    for index in 0..10_000 {
        fs::write(source.join(format!("{index}")), noise(64, 1)).unwrap();
    }
    let (sent, got) = transfer(&[source], &inbox, i64::MAX).await;
    assert!(matches!(sent, SendEnd::Done { files: 10_000, bytes: 640_000, failed_count: 0, .. }), "{sent:?}");
    assert_eq!(received(got).files, 10_000);
    assert_eq!(fs::read_dir(inbox.join("many")).unwrap().count(), 10_000);
}

#[tokio::test]
async fn a_stream_of_unknown_length_becomes_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = duplex(4096);
    let (reader, writer) = split(ours);
    let (their_reader, their_writer) = split(theirs);
    let input = Input::Stream { name: "out.log".into(), reader: Box::new(io::Cursor::new(noise(1_700_000, 5))) };
    let send = send_input(offer(1, 0, false), input, reader, writer, Arc::default());
    let (sent, got) = tokio::join!(send, receive_into(dir.path(), their_reader, their_writer, Arc::default()));
    assert!(matches!(sent, SendEnd::Done { files: 1, bytes: 1_700_000, .. }), "{sent:?}");
    assert_eq!(received(got).saved_to, [dir.path().join("out.log")]);
    assert_eq!(fs::read(dir.path().join("out.log")).unwrap(), noise(1_700_000, 5));
}

fn offer(files: u64, bytes: u64, exact: bool) -> Offer {
    Offer { version: VERSION, transfer: [9; 16], kind: Kind::Files, files, bytes, exact, preview: vec![] }
}

fn file(path: &str, size: Option<u64>) -> Forward {
    let what = What::File { size, modified: Time::default(), executable: false, from: 0, prefix: [0; 32] };
    Forward::Entry(Entry { key: path_key(path), path: path.into(), what })
}

fn content(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    write_content_header(bytes.len(), &mut frame);
    frame.extend_from_slice(bytes);
    frame
}

fn whole(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut frames = message(&file(path, Some(bytes.len() as u64)));
    frames.extend(content(bytes));
    frames.extend(message(&Forward::End { hash: blake3::hash(bytes).into() }));
    frames
}

/// Plays a sender that writes these bytes; what came back and how it ended.
async fn play(inbox: &Path, offer: Offer, bytes: Vec<u8>) -> (Vec<Back>, ReceiveEnd) {
    let (ours, theirs) = duplex(64 * 1024);
    let (their_reader, their_writer) = split(theirs);
    let hostile = async move {
        let (mut reader, mut writer) = split(ours);
        let write = async {
            let _ = writer.write_all(&message(&Forward::Offer(offer))).await;
            let _ = writer.write_all(&bytes).await;
        };
        let read = async {
            let (mut decoder, mut backs, mut buffer) = (Decoder::<Back>::default(), Vec::new(), vec![0; 4096]);
            while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                let mut input = &buffer[..read];
                while let Some(Piece::Message(back)) = decoder.next(&mut input).unwrap() {
                    backs.push(back);
                }
            }
            backs
        };
        tokio::join!(write, read).1
    };
    let both = async { tokio::join!(hostile, receive_into(inbox, their_reader, their_writer, Arc::default())) };
    tokio::time::timeout(Duration::from_secs(50), both).await.expect("it ends")
}

fn join(parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    parts.into_iter().flatten().collect()
}

#[tokio::test]
async fn hostile_names_never_leave_the_inbox() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = dir.path().join("inbox");
    let long = "x".repeat(65_000);
    let names = [
        "../evil",
        "/tmp/evil",
        "a/../../evil",
        "..",
        "",
        "nul\0",
        &long,
        "no/parent",
        "CON",
        "a\u{202e}b",
        ".accord-partial",
        "x.",
    ];
    let mut bytes = join(names.iter().map(|name| whole(name, b"x")));
    let folder = |path: &str| {
        let what = What::Folder { modified: Time::default() };
        message(&Forward::Entry(Entry { key: path_key(path), path: path.into(), what }))
    };
    let link = |path: &str, target: &str| {
        let what = What::Link { target: target.into() };
        message(&Forward::Entry(Entry { key: path_key(path), path: path.into(), what }))
    };
    bytes.extend(join([
        folder("top"),
        link("top/out", "../../.."),
        link("top/etc", "/etc"),
        link("top/in", "file"),
        whole("top/in/evil", b"x"),
        whole("top/file", b"fine"),
        folder(&["d"; 65].join("/")),
        message(&Forward::Finish),
    ]));
    let (backs, got) = play(&inbox, offer(20, 100, true), bytes).await;
    let got = received(got);
    assert_eq!(got.failed_count, 12, "{:?}", got.failed);
    assert!(matches!(backs.last(), Some(Back::Done { failed_count: 12, .. })), "{backs:?}");
    let names: Vec<_> = look(&inbox).into_keys().collect();
    assert_eq!(names, ["_.accord-partial", "_CON", "a_b", "top", "top/file", "top/in", "x_"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_asked_for_once_more_and_then_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let bad = join([message(&file("f", Some(3))), content(b"abc"), message(&Forward::End { hash: [1; 32] })]);
    let finish = || message(&Forward::Finish);
    let (backs, got) =
        play(dir.path(), offer(1, 3, true), join([bad.clone(), finish(), whole("f", b"abc"), finish()])).await;
    assert!(backs.contains(&Back::Again { key: path_key("f") }), "{backs:?}");
    assert_eq!(received(got).failed_count, 0);
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"abc");
    let dir = tempfile::tempdir().unwrap();
    let (_, got) = play(dir.path(), offer(1, 3, true), join([bad.clone(), finish(), bad, finish()])).await;
    assert_eq!(received(got).failed, [(path_key("f"), ItemReason::Hash)]);
    assert_eq!(look(dir.path()).len(), 0, "nothing damaged is left");
}

#[tokio::test]
async fn a_peer_that_breaks_the_rules_is_told_so() {
    let rules: Vec<(Vec<u8>, FailReason)> = vec![
        (join([message(&file("f", Some(2))), content(b"abc")]), FailReason::Protocol),
        (
            join([message(&file("f", Some(9))), content(b"abc"), message(&Forward::End { hash: [0; 32] })]),
            FailReason::Protocol,
        ),
        (content(b"abc"), FailReason::Protocol),
        (message(&Forward::End { hash: [0; 32] }), FailReason::Protocol),
        (join([message(&file("f", Some(2))), message(&file("g", Some(2)))]), FailReason::Protocol),
        (join([message(&file("f", Some(2))), message(&Forward::Finish)]), FailReason::Protocol),
        (vec![9; 100], FailReason::Protocol),
        (vec![0, 255, 255, 255, 255], FailReason::Protocol),
        (
            join(
                std::iter::once(message(&file("f", None)))
                    .chain(std::iter::repeat_n(content(&vec![0; MAX_CONTENT]), 66)),
            ),
            FailReason::TooMuch,
        ),
    ];
    for (index, (bytes, reason)) in rules.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let (backs, got) = play(dir.path(), offer(1, 3, true), bytes).await;
        assert!(matches!(&got, ReceiveEnd::Failed(found, _) if *found == reason), "{index}: {got:?}");
        assert_eq!(backs.last(), Some(&Back::Failed(reason)), "{index}");
    }
}

#[tokio::test]
async fn more_than_an_uncounted_offer_showed_has_to_be_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let endless = std::iter::repeat_n(content(&vec![0; MAX_CONTENT]), 66);
    let bytes = join(std::iter::once(message(&file("f", None))).chain(endless));
    let (backs, got) = play(dir.path(), offer(1, 3, false), bytes).await;
    assert!(matches!(got, ReceiveEnd::More), "{got:?}");
    assert!(!backs.iter().any(|back| matches!(back, Back::Failed(_))), "the sender offers again by itself");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = duplex(1024);
    let (reader, writer) = split(theirs);
    let receive = tokio::spawn({
        let inbox = dir.path().to_owned();
        async move { receive_into(&inbox, reader, writer, Arc::default()).await }
    });
    let end = tokio::time::timeout(Duration::from_secs(120), receive).await.unwrap().unwrap();
    assert!(matches!(end, ReceiveEnd::Broken(_)), "{end:?}");
    drop(ours);
}

#[tokio::test]
async fn a_full_disk_is_said_clearly_and_what_came_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (source, inbox) = (dir.path().join("big"), dir.path().join("inbox"));
    fs::write(&source, noise(4 << 20, 1)).unwrap();
    fs::create_dir(&inbox).unwrap();
    let huge = offer(1, u64::MAX / 2, true);
    let (_, got) = play(&inbox, huge, vec![]).await;
    let ReceiveEnd::Failed(FailReason::NoSpace { needed, free }, message) = got else { panic!("{got:?}") };
    assert!(needed > free && message.contains("free"), "{message}");
}

#[test]
fn a_key_changes_with_what_it_names() {
    let time = Time { seconds: 1, nanos: 0 };
    let key = file_key("a", 1, time, false);
    assert_ne!(key, file_key("a", 2, time, false));
    assert_ne!(key, file_key("a", 1, Time { seconds: 1, nanos: 1 }, false));
    assert_ne!(key, file_key("a", 1, time, true));
    assert_ne!(key, file_key("b", 1, time, false));
    let _ = Progress::default();
}
