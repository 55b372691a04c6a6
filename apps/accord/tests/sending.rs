//! What a person sends between two real hubs: kept until it arrived, streamed as it comes, and honest about what was
//! left out.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests start the real program")]

mod common;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use common::homes::friends;
use common::{Background, until};

#[test]
fn what_was_uploaded_is_kept_until_it_arrived() {
    let (alma, ben) = friends();
    let upload = alma.call("POST", "/uploads", "{}")["id"].as_str().unwrap().to_owned();
    alma.call("PUT", &format!("/uploads/{upload}/files?path=trip/photo.jpg"), "a photo");
    let start = serde_json::json!({ "device": ben.name, "upload": upload }).to_string();
    let transfer = alma.call("POST", "/transfers", &start)["id"].as_str().unwrap().to_owned();
    let spool = alma.state().join("spool").join(&upload);

    ben.offer();
    ben.accord(&["inbox", "refuse"]).ok();
    alma.until_transfer(&transfer, "refused");
    assert!(spool.join("trip/photo.jpg").exists(), "it may be sent again");
    alma.accord(&["transfers", "retry", &transfer]).ok();
    ben.offer();
    ben.accord(&["inbox", "accept"]).ok();
    let sent = alma.until_transfer(&transfer, "done");
    assert_eq!((&sent["exact"], &sent["skipped_count"]), (&true.into(), &0.into()));
    assert_eq!(std::fs::read(ben.inbox().join("trip/photo.jpg")).unwrap(), b"a photo");
    until("the spool is empty", || (!spool.exists()).then_some(()));
    let table = alma.accord(&["transfers"]).ok().out;
    assert!(table.contains("CARRIER") && table.contains(sent["carrier"].as_str().unwrap()), "{table}");
}

#[test]
fn a_send_that_left_something_out_has_failed_and_says_what() {
    let (alma, ben) = friends();
    ben.trusts(&alma);
    let name = OsStr::from_bytes(b"bad\xff.txt");
    std::fs::write(alma.dir.path().join(name), "bytes").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_accord"));
    command.arg("--state").arg(alma.state()).args(["send", &ben.name]).arg(alma.dir.path().join(name));
    assert!(command.stdin(Stdio::null()).status().unwrap().success(), "a name that is no text");
    assert_eq!(std::fs::read(ben.inbox().join("bad%FF.txt")).unwrap(), b"bytes");

    let folder = alma.file("folder/kept.txt", "kept").parent().unwrap().to_owned();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("outside")).unwrap();
    let words = ["send", &ben.name, folder.to_str().unwrap()];
    let sent = alma.accord(&words).fails(1, "1 item was not sent");
    assert!(sent.out.contains("Sent 1 file") && sent.err.contains("outside"), "{} {}", sent.out, sent.err);
    let quiet = alma.accord(&[&words[..], &["--json"]].concat());
    let document: serde_json::Value = serde_json::from_str(&quiet.out).unwrap();
    assert_eq!((quiet.status, &document["skipped_count"]), (1, &1.into()));
}

#[test]
fn standard_input_is_sent_while_it_comes() {
    let (alma, ben) = friends();
    let mut sending = alma.spawn_with(&["send", &ben.name, "-", "--name", "log.txt"], Stdio::piped());
    let mut input = sending.stdin.take().unwrap();
    let sending = Background(Some(sending));
    input.write_all(&[b'x'; 100_000]).unwrap();
    let offer = ben.offer();
    assert_eq!((&offer["exact"], &offer["items"][0]["name"]), (&false.into(), &"log.txt".into()));
    let listed = ben.accord(&["inbox"]).ok().out;
    assert!(listed.contains("size not known"), "{listed}");
    ben.accord(&["inbox", "accept"]).ok();
    let id = offer["id"].as_str().unwrap();
    until("the beginning arrives", || {
        let transfer = ben.call("GET", &format!("/transfers/{id}"), "");
        (transfer["bytes_done"].as_u64()? >= 100_000).then_some(())
    });
    input.write_all(b"the end").unwrap();
    drop(input);
    sending.end().ok();
    assert_eq!(std::fs::metadata(ben.inbox().join("log.txt")).unwrap().len(), 100_007);
    let spool = alma.state().join("spool");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "nothing was stored on the way");
}
