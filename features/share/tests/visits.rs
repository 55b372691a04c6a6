//! Whole visits on this machine: what comes over the wire, and what the ledger says of it.

mod visitor;

use std::time::Duration;

use accord_consent::{RecipientId, RecordKind, To};
use accord_model::FieldCode;
use accord_share::{Admission, ShareError, VisitorState};
use visitor::{HERE, Home, grant};

/// Comes in where the owner is asked, and is let in.
async fn let_in(home: &Home, share: &accord_share::Share, visitor: &mut visitor::Visitor) -> String {
    let knocked = visitor.post(&share.path, "").await;
    assert_eq!(knocked.status, 303);
    let page = knocked.line("Location").unwrap().to_owned();
    home.decide_next(share, true).await;
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn without_consent_nothing_listens() {
    let home = Home::new();
    let file = home.file("a.txt", b"hello");
    let refused = home.shares.open(home.wanted(vec![file.clone()], Admission::Ask)).await;
    assert!(matches!(refused, Err(ShareError::NotConsented(_))));
    assert!(home.shares.list().is_empty());
    grant(&home.gate, "share/link", To::Any);
    let share = home.share(vec![file], Admission::Ask).await;
    assert!(home.try_visitor(&share).await.is_some());
    // The owner takes it back: the link is gone at once.
    home.gate.withdraw((visitor::entry("share/link"), To::Any)).unwrap();
    while !home.shares.list().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(home.is_gone(&share).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_that_is_let_in_fetches_files_whole_and_in_parts_and_the_ledger_has_it() {
    let home = Home::open();
    let content: Vec<u8> = (0..700_000u32).map(|byte| byte as u8).collect();
    let (big, odd) = (home.file("big.bin", &content), home.file("Grüße \"1\".txt", b"hi"));
    let share = home.share(vec![big, odd], Admission::Ask).await;
    let mut guest = home.visitor(&share).await;
    assert_eq!(guest.get("/").await.status, 404, "only below the word");
    let landing = guest.get(&share.path).await;
    assert!(landing.text().contains("Desk shares 2 things") && !landing.text().contains("big.bin"));
    assert!(landing.line("Content-Security-Policy").unwrap().starts_with("default-src 'none'"));
    let knocked = guest.post(&share.path, "").await;
    let page = knocked.line("Location").unwrap().to_owned();
    let waiting = guest.get(&page).await;
    assert!(waiting.line("Refresh").is_some() && !waiting.text().contains("big.bin"));
    assert_eq!(guest.get(&format!("{page}0/big.bin")).await.status, 403, "not let in yet");
    home.decide_next(&share, true).await;
    let list = guest.get(&page).await;
    assert!(list.text().contains("big.bin") && list.line("Refresh").is_none());
    let whole = guest.get(&format!("{page}0/big.bin")).await;
    assert_eq!((whole.status, whole.body == content), (200, true));
    let etag = whole.line("ETag").unwrap().to_owned();
    let part = guest.ask(&format!("GET {page}0/"), &format!("Range: bytes=699990-\r\nIf-Range: {etag}\r\n")).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[699_990..]));
    assert_eq!(part.line("Content-Range"), Some("bytes 699990-699999/700000"));
    let other = guest.ask(&format!("GET {page}0/"), "Range: bytes=0-9\r\nIf-Range: \"old\"\r\n").await;
    assert_eq!((other.status, other.body.len()), (200, 700_000), "of another version all is sent");
    let beyond = guest.ask(&format!("GET {page}0/"), "Range: bytes=700000-\r\n").await;
    assert_eq!((beyond.status, beyond.line("Content-Range")), (416, Some("bytes */700000")));
    guest.send(format!("HEAD {page}0/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;
    let head = guest.answer(false).await.unwrap();
    assert_eq!((head.status, head.line("Content-Length")), (200, Some("700000")));
    let named = guest.get(&format!("{page}1/")).await;
    assert_eq!(named.body, b"hi");
    let disposition = named.line("Content-Disposition").unwrap();
    assert!(disposition.ends_with("filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.txt"), "{disposition}");
    assert_eq!(guest.get(&format!("{page}2/")).await.status, 404);
    let seen = &home.shares.get(&share.id).unwrap().visitors[0];
    assert_eq!((seen.state, seen.address, seen.files_done), (VisitorState::In, HERE, 4));
    drop(guest);
    let sent = &home.records(RecordKind::Sent, "share/visitor", 1).await[0];
    let details = sent.details.as_ref().unwrap();
    assert_eq!(details.recipient.as_deref(), Some("visitor:127.0.0.1"));
    assert!(sent.public.bytes.unwrap() > 1_400_012 && sent.public.fields.contains(FieldCode::FileContent));
    let sizes: Vec<u64> = details.items.iter().map(|item| item.size).collect();
    assert_eq!(sizes, [700_000, 10, 700_000, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_declined_gets_nothing_and_a_yes_without_consent_is_none() {
    let home = Home::open();
    let share = home.share(vec![home.file("a.txt", b"hello")], Admission::Ask).await;
    let mut guest = home.visitor(&share).await;
    let page = guest.post(&share.path, "").await.line("Location").unwrap().to_owned();
    home.decide_next(&share, false).await;
    assert_eq!(guest.get(&page).await.status, 403);
    assert_eq!(guest.get(&format!("{page}0/")).await.status, 403);
    assert_eq!(guest.get(&format!("{}v/{}/0/", share.path, "0".repeat(32))).await.status, 403);
    // The door alone lets nothing out: the gate asks for the owner's consent.
    let page = guest.post(&share.path, "").await.line("Location").unwrap().to_owned();
    let waiting = home.shares.get(&share.id).unwrap().visitors[0].id;
    home.shares.answer(&share.id, waiting, true).unwrap();
    let answer = guest.get(&format!("{page}0/")).await;
    assert_eq!(answer.status, 403);
    assert!(!answer.text().contains("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_pins_and_the_address_is_out() {
    let home = Home::open();
    home.agree();
    let share = home.share(vec![home.file("a.txt", b"hello")], Admission::Pin("47110815".into())).await;
    assert_eq!(share.path, "/", "a short address");
    let mut guest = home.visitor(&share).await;
    assert_eq!(guest.post("/", "").await.status, 401);
    let right = guest.post("/", "pin=47110815").await;
    assert_eq!(right.status, 303);
    let page = right.line("Location").unwrap().to_owned();
    assert_eq!(guest.get(&format!("{page}0/")).await.body, b"hello");
    assert_eq!(guest.post("/api/localsend/v2/prepare-download?pin=1", "").await.status, 401);
    assert_eq!(guest.post("/", "pin=2").await.status, 401);
    assert_eq!(guest.post("/", "pin=3").await.status, 401);
    for _ in 0..2 {
        assert_eq!(guest.post("/", "pin=47110815").await.status, 429);
        assert_eq!(guest.post("/api/localsend/v2/prepare-download?pin=47110815", "").await.status, 429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn localsends_own_calls_work_and_ask_the_owner_even_when_the_link_is_for_everyone() {
    let home = Home::open();
    let wanted = home.wanted(vec![home.file("a.txt", b"hello")], Admission::Everyone);
    let share = home.shares.open(accord_share::OpenShare { text: Some("a word".into()), ..wanted }).await.unwrap();
    let mut guest = home.visitor(&share).await;
    let info: serde_json::Value = serde_json::from_slice(&guest.get("/api/localsend/v2/info").await.body).unwrap();
    assert_eq!((info["alias"].as_str(), info["download"].as_bool()), (Some("Desk"), Some(true)));
    let call = format!("POST /api/localsend/v2/prepare-download HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", share.port);
    guest.send(&call).await;
    home.decide_next(&share, true).await;
    let offer = guest.answer(true).await.unwrap();
    assert_eq!(offer.status, 200, "{}", offer.text());
    let offer: serde_json::Value = serde_json::from_slice(&offer.body).unwrap();
    assert_eq!(offer["files"]["0"]["preview"], "a word");
    assert_eq!(
        (offer["files"]["1"]["fileName"].as_str(), offer["files"]["1"]["size"].as_u64()),
        (Some("a.txt"), Some(5))
    );
    let session = offer["sessionId"].as_str().unwrap();
    let download = format!("/api/localsend/v2/download?sessionId={session}&fileId=1");
    assert_eq!(guest.get(&download).await.body, b"hello");
    assert_eq!(guest.get(&format!("{download}0")).await.status, 404);
    assert_eq!(guest.get("/api/localsend/v2/download?sessionId=guess&fileId=1").await.status, 403);
    let again = guest.post(&format!("/api/localsend/v2/prepare-download?sessionId={session}"), "").await;
    assert_eq!(again.status, 200, "a session is asked about once");
    // A no is told, and who hangs up is not asked about any more.
    guest.send(&call).await;
    home.decide_next(&share, false).await;
    assert_eq!(guest.answer(true).await.unwrap().status, 403);
    let mut hasty = home.visitor(&share).await;
    hasty.send(&call).await;
    let waits = |share: &accord_share::Share| share.visitors.iter().any(|one| one.state == VisitorState::Waiting);
    while !waits(&home.shares.get(&share.id).unwrap()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(hasty);
    while waits(&home.shares.get(&share.id).unwrap()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_link_for_everyone_one_visit_serves_a_reload_and_an_archive_holds_all() {
    let home = Home::open();
    home.agree();
    let (first, second) = (home.file("a.txt", b"hello"), home.file("b.txt", b"world"));
    let share = home.share(vec![first.clone(), second.clone()], Admission::Everyone).await;
    let mut guest = home.visitor(&share).await;
    let came = guest.get(&share.path).await;
    let page = came.line("Location").unwrap().to_owned();
    assert_eq!(guest.get(&share.path).await.line("Location"), Some(page.as_str()));
    let archive = guest.get(&format!("{page}all.zip")).await;
    assert_eq!(archive.body.len().to_string(), archive.line("Content-Length").unwrap());
    assert!(archive.body.starts_with(b"PK\x03\x04"));
    for inside in [&b"hello"[..], b"world", b"a.txt", b"b.txt"] {
        assert!(archive.body.windows(5).any(|five| five == inside));
    }
    // What is gone or changed is not given out; an archive that misses it breaks off.
    std::fs::remove_file(&first).unwrap();
    std::fs::write(&second, "changed").unwrap();
    assert_eq!(guest.get(&format!("{page}0/")).await.status, 410);
    assert_eq!(guest.get(&format!("{page}1/")).await.status, 410);
    let broken = guest.get(&format!("{page}all.zip")).await;
    assert!(broken.body.is_empty() && !guest.more().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_or_the_end_of_sharing_stops_a_download_at_once() {
    let home = Home::open();
    let big = home.file("big.bin", &vec![7; 64 << 20]);
    let share = home.share(vec![big], Admission::Ask).await;
    let mut guest = home.visitor(&share).await;
    let page = let_in(&home, &share, &mut guest).await;
    guest.send(format!("GET {page}0/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;
    assert!(guest.more().await);
    // The visitor reads nothing now, so most of it waits.
    home.gate.withdraw((visitor::entry("share/visitor"), To::One(RecipientId::visitor(HERE)))).unwrap();
    let broken = &home.records(RecordKind::Error, "share/visitor", 1).await[0];
    assert!(broken.public.bytes.unwrap() < 64 << 20);
    let mut again = home.visitor(&share).await;
    assert_eq!(again.get(&format!("{page}0/")).await.status, 403, "the pass is worth nothing without consent");
    let page = let_in(&home, &share, &mut again).await;
    again.send(format!("GET {page}0/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;
    assert!(again.more().await);
    home.shares.close(&share.id).await.unwrap();
    assert!(home.is_gone(&share).await);
    assert_eq!(home.records(RecordKind::Error, "share/visitor", 2).await.len(), 2);
    assert!(matches!(home.shares.get(&share.id), Err(ShareError::NoShare)));
    home.records(RecordKind::Sent, "share/link", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_ends_by_itself() {
    let home = Home::open();
    let mut wanted = home.wanted(vec![home.file("a.txt", b"x")], Admission::Ask);
    wanted.until = accord_model::Timestamp::now() + Duration::from_secs(2);
    let share = home.shares.open(wanted.clone()).await.unwrap();
    let mut guest = home.visitor(&share).await;
    assert_eq!(guest.get(&share.path).await.status, 200);
    assert!(!guest.more().await, "its connections end too");
    assert!(home.is_gone(&share).await);
    wanted.until = accord_model::Timestamp::now() - Duration::from_secs(1);
    assert!(matches!(home.shares.open(wanted).await, Err(ShareError::Until)));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_refused_and_connections_bounded() {
    let home = Home::open();
    home.agree();
    let share = home.share(vec![home.file("a.txt", b"hello")], Admission::Everyone).await;
    let word = share.path.trim_matches('/');
    for (bad, status) in [
        (format!("GET /{word}/v/x/../../../etc/passwd HTTP/1.1\r\n\r\n"), 404),
        (format!("PUT /{word}/ HTTP/1.1\r\n\r\n"), 405),
        (format!("GET /{word}/ HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n"), 403),
        (format!("GET /{word}/ HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: none\r\n\r\n"), 403),
        (format!("POST /{word}/ HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(70_000)), 413),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("GET http://elsewhere/ HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), 431),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
    ] {
        let mut guest = home.visitor(&share).await;
        guest.send(&bad).await;
        let answer = guest.answer(true).await.unwrap_or_else(|| panic!("no answer to {bad:.60?}"));
        assert_eq!(answer.status, status, "{bad:.60?}");
        assert!(!answer.text().contains("hello") && !answer.text().contains("root:"));
    }
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(home.visitor(&share).await);
    }
    // Some were closed unread: of one address, only a dozen are served.
    let mut served = 0;
    for guest in &mut held {
        guest.send(format!("GET {}style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", share.path)).await;
        served += usize::from(guest.answer(true).await.is_some());
    }
    assert!((1..=12).contains(&served), "{served} connections were served");
}
