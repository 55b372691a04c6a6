//! The ledger: its tree, its crashes, and what a check of it finds.

mod common;

use accord_consent::{
    Checkpoint, Envelope, Ledger, LedgerError, Query, RecordKind, SendError, To, example,
    ledger::{Hash, tree},
};
use accord_model::DeviceId;
use accord_store::rusqlite::{Connection, params};
use common::*;
use data_encoding::HEXLOWER;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// The test vectors of the Certificate Transparency reference implementation (eight leaves).
#[test]
fn the_tree_is_that_of_rfc_6962() {
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(Hash::empty().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let mut nodes = std::collections::HashMap::new();
    let mut frontier = tree::Frontier::default();
    for (index, (leaf, root)) in leaves.iter().zip(roots).enumerate() {
        let hash = tree::leaf_hash(&hex(leaf));
        nodes.insert((0, index as u64), hash);
        frontier.push(hash, |level, index, hash| _ = nodes.insert((level, index), hash));
        assert_eq!(frontier.root().to_string(), root);
    }
    let node = |level, index| nodes.get(&(level, index)).copied().ok_or(());
    let proof = |hashes: Vec<Hash>| hashes.iter().map(Hash::to_string).collect::<Vec<_>>();
    assert_eq!(
        proof(tree::inclusion(5, 8, node).unwrap()),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        proof(tree::consistency(6, 8, node).unwrap()),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

proptest::proptest! {
    #[test]
    fn every_proof_holds_and_no_changed_one_does(size in 1u64..70, old in 0u64..70, index in 0u64..70, flip in 0usize..8) {
        let (old, index) = (old % (size + 1), index % size);
        let mut nodes = std::collections::HashMap::new();
        let mut frontier = tree::Frontier::default();
        let mut old_root = Hash::empty();
        for leaf in 0..size {
            let hash = tree::leaf_hash(&leaf.to_be_bytes());
            nodes.insert((0, leaf), hash);
            frontier.push(hash, |level, index, hash| _ = nodes.insert((level, index), hash));
            if leaf + 1 == old { old_root = frontier.root(); }
        }
        let node = |level, index| nodes.get(&(level, index)).copied().ok_or(());
        let root = frontier.root();
        assert_eq!(tree::root(size, node).unwrap(), root);
        assert_eq!(tree::Frontier::load(size, node).unwrap(), frontier);
        let leaf = tree::leaf_hash(&index.to_be_bytes());
        let mut path = tree::inclusion(index, size, node).unwrap();
        assert!(tree::verify_inclusion(&leaf, index, size, &path, &root));
        let mut proof = tree::consistency(old, size, node).unwrap();
        assert!(tree::verify_consistency(old, &old_root, size, &root, &proof));
        if !path.is_empty() {
            let at = flip % path.len();
            path[at].0[flip] ^= 1;
            assert!(!tree::verify_inclusion(&leaf, index, size, &path, &root));
        }
        if !proof.is_empty() {
            let at = flip % proof.len();
            proof[at].0[flip] ^= 1;
            assert!(!tree::verify_consistency(old, &old_root, size, &root, &proof));
        }
    }

    #[test]
    fn no_text_makes_the_checkpoint_reader_panic(text in "\\PC*", body in "[a-z/]{0,9}\n[0-9]{0,21}\n[A-Za-z0-9+/=]{0,50}\n\n(\u{2014} [a-z/]{1,9} [A-Za-z0-9+/=]{0,100}\n){0,3}") {
        let _ = Checkpoint::parse(&text);
        let _ = Checkpoint::parse(&body);
    }

    #[test]
    fn no_bytes_make_the_record_reader_panic(leaf: Vec<u8>, salt: Vec<u8>, body: Vec<u8>) {
        let _ = accord_consent::ledger::record::parse(&leaf, Some((&salt, &body)));
    }
}

#[test]
fn a_checkpoint_is_read_back_and_only_its_key_verifies_it() {
    let signer = example::key(7);
    let checkpoint = Checkpoint::sign("accord/ledger/x", 3, Hash::empty(), &*signer);
    assert_eq!(Checkpoint::parse(checkpoint.note()).unwrap(), checkpoint);
    assert!(checkpoint.verify(&signer.public()).is_ok());
    assert!(checkpoint.verify(&example::key(8).public()).is_err());
    let forged = checkpoint.note().replacen("\n3\n", "\n4\n", 1);
    assert!(Checkpoint::parse(&forged).unwrap().verify(&signer.public()).is_err());
}

async fn send_one(home: &Home) -> u64 {
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "on.test").unwrap();
    let mut outgoing = permit.seal(Envelope::new().text("name", &name()), to_phone()).await.unwrap();
    outgoing.send(&mut Vec::new(), b"", std::time::Duration::from_secs(5)).await.unwrap();
    outgoing.confirm(40).await.unwrap().seq
}

fn key() -> [u8; 32] {
    example::key(7).public()
}

#[tokio::test]
async fn what_a_message_is_about_is_recorded_where_it_can_be_erased_and_does_not_travel() {
    let home = Home::new();
    home.agree();
    let lock = accord_model::DeviceId::new("lock").unwrap();
    let about = |words: &str| Envelope::new().text("name", &name()).about(&lock, words);
    let permit = || home.bound.permit(&hello(), &phone(), name_field(), "on.test").unwrap();
    let mut sent = permit().seal(about("Tell Front\u{202e} door to unlock"), to_phone()).await.unwrap();
    let mut out = Vec::new();
    sent.send(&mut out, b"", std::time::Duration::from_secs(5)).await.unwrap();
    sent.confirm(40).await.unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"name":"Kitchen"}"#);
    let broken = permit().seal(about("Tell Front door to open"), to_phone()).await.unwrap();
    broken.fail("it went away").await;
    let said = |kind: RecordKind| -> Vec<(Option<String>, Option<String>)> {
        home.records(kind).into_iter().filter_map(|record| record.details).map(|of| (of.subject, of.message)).collect()
    };
    let of_lock = |words: &str| (Some("lock".to_owned()), Some(words.to_owned()));
    assert_eq!(said(RecordKind::Sent), [of_lock("Tell Front\u{fffd} door to unlock")]);
    assert_eq!(said(RecordKind::Error), [of_lock("Tell Front door to open: it went away")]);
    let intents = [of_lock("Tell Front door to open"), of_lock("Tell Front\u{fffd} door to unlock")];
    assert_eq!(said(RecordKind::Intent), intents);
    assert!(
        home.gate
            .ledger()
            .list(&accord_consent::Query::default())
            .unwrap()
            .iter()
            .all(|record| { !serde_json::to_string(&record.public).unwrap().contains("Front") })
    );
}

#[tokio::test]
async fn what_was_sent_is_recorded_whole_and_sums_up() {
    let home = Home::new();
    home.agree();
    let mut total = 0;
    for _ in 0..3 {
        send_one(&home).await;
        total += br#"{"name":"Kitchen"}"#.len() as u64;
    }
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let mut wire = Vec::new();
    let mut outflow = permit.open(&mut wire, to_phone()).await.unwrap();
    outflow.frame(b"len=7;").await.unwrap();
    outflow.put(&name()).await.unwrap();
    outflow.note_item(&name(), 7, None);
    outflow.finish().await.unwrap();
    assert_eq!(wire, b"len=7;Kitchen");
    let sent = home.records(RecordKind::Sent);
    assert_eq!(sent.iter().filter_map(|record| record.public.bytes).sum::<u64>(), total + 7);
    assert_eq!((sent[0].public.framing, sent[0].public.count), (Some(6), Some(1)));
    let details = sent[0].details.as_ref().unwrap();
    assert_eq!(details.digest.as_deref(), Some(&*format!("blake3:{}", blake3::hash(b"Kitchen").to_hex())));
    assert_eq!(details.items[0].name, "Kitchen");
    let intent = home.gate.ledger().get(sent[0].public.refers.unwrap()).unwrap();
    assert_eq!(intent.public.kind, RecordKind::Intent);
    assert!(intent.seq < sent[0].seq);
    let report = Ledger::verify(home.gate.ledger().path(), Some(&key())).unwrap();
    assert!(report.ok(), "{:?}", report.problems);
}

#[tokio::test]
async fn lists_search_and_export_agree() {
    let home = Home::new();
    home.agree();
    send_one(&home).await;
    home.gate.ledger().checkpoint().unwrap();
    let all = home.gate.ledger().list(&Query::default()).unwrap();
    assert!(all.windows(2).all(|pair| pair[0].seq > pair[1].seq));
    let found = |query: Query| home.gate.ledger().list(&query).unwrap().len();
    assert_eq!(found(Query { search: Some("192.0.2.7".into()), ..Query::default() }), 1);
    assert_eq!(found(Query { entry: Some(hello()), kind: Some(RecordKind::Sent), ..Query::default() }), 1);
    assert_eq!(found(Query { recipient: Some(phone()), kind: Some(RecordKind::Intent), ..Query::default() }), 1);
    assert_eq!(found(Query { recipient: Some(tablet()), ..Query::default() }), 0);
    assert_eq!(found(Query { before: Some(2), ..Query::default() }), 2);
    let mut export = Vec::new();
    assert_eq!(home.gate.ledger().export(&mut export).unwrap(), all.len() as u64);
    for (line, seq) in String::from_utf8(export).unwrap().lines().zip(0..) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["record"]["seq"], seq);
        assert_eq!(
            tree::leaf_hash(line["leaf"].as_str().unwrap().as_bytes()).to_string(),
            line["record"]["hash"].as_str().unwrap()
        );
    }
}

#[tokio::test]
async fn a_hub_that_dies_between_intent_and_sent_says_so_at_its_next_start() {
    let home = Home::new();
    home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let outgoing = permit.seal(Envelope::new().text("name", &name()), to_phone()).await.unwrap();
    // What a power cut leaves: the files as they are now, with nothing closed.
    let after = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(home.dir.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), after.path().join(file.file_name())).unwrap();
    }
    outgoing.confirm(1).await.unwrap();
    let gate = open(after.path());
    let errors = gate.ledger().list(&Query { kind: Some(RecordKind::Error), ..Query::default() }).unwrap();
    let message = errors[0].details.as_ref().unwrap().message.as_ref().unwrap();
    assert!(message.starts_with("interrupted"), "{message}");
    assert_eq!(gate.ledger().get(errors[0].public.refers.unwrap()).unwrap().public.kind, RecordKind::Intent);
    let path = gate.ledger().path().to_owned();
    drop(gate);
    drop(open(after.path()));
    let report = Ledger::verify(&path, Some(&key())).unwrap();
    assert!(report.ok(), "{:?}", report.problems);
}

#[tokio::test]
async fn what_is_dropped_is_recorded_as_broken_off() {
    let home = Home::new();
    home.agree();
    let permit = || home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    drop(permit().seal(Envelope::new(), to_phone()).await.unwrap());
    drop(permit().open(Vec::new(), to_phone()).await.unwrap());
    permit().open(Vec::new(), to_phone()).await.unwrap().fail("the device said no").await;
    let errors = home.wait_for(RecordKind::Error, 3);
    assert_eq!(errors.len(), 3);
}

#[tokio::test]
async fn no_byte_leaves_when_the_intent_cannot_be_written() {
    let home = Home::new();
    home.agree();
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let other = Connection::open(home.gate.ledger().path()).unwrap();
    other
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        .unwrap();
    let outcome = permit.seal(Envelope::new().text("name", &name()), to_phone()).await;
    assert!(matches!(outcome.err(), Some(SendError::Ledger(_))));
    let permit = home.bound.permit(&hello(), &phone(), name_field(), "").unwrap();
    let mut wire = Vec::new();
    assert!(permit.open(&mut wire, to_phone()).await.is_err());
    assert!(wire.is_empty());
    other.execute_batch("DROP TRIGGER full").unwrap();
    send_one(&home).await;
    let report = Ledger::verify(home.gate.ledger().path(), Some(&key())).unwrap();
    assert!(report.ok(), "the tree goes on after a failed write: {:?}", report.problems);
}

#[test]
fn a_state_folder_that_cannot_be_written_opens_no_gate() {
    let home = Home::new();
    home.agree();
    let Home { dir, gate, bound } = home;
    drop((gate, bound));
    std::fs::remove_file(dir.path().join("ledger.db")).unwrap();
    std::fs::create_dir(dir.path().join("ledger.db")).unwrap();
    let (statement, signer) = example::parts();
    assert!(accord_consent::Gate::open(dir.path(), statement, signer).is_err());
}

#[test]
fn two_hubs_do_not_share_a_state_folder() {
    let home = Home::new();
    let (statement, signer) = example::parts();
    let second = accord_consent::Gate::open(home.dir.path(), statement, signer);
    assert!(matches!(second.err(), Some(accord_consent::GateError::InUse(_))));
}

async fn full_home() -> Home {
    let home = Home::new();
    home.agree();
    for _ in 0..4 {
        send_one(&home).await;
    }
    home.gate.ledger().checkpoint().unwrap();
    send_one(&home).await;
    home
}

fn tampered(home: Home, sql: &str) -> accord_consent::VerifyReport {
    let Home { dir, gate, bound } = home;
    let path = gate.ledger().path().to_owned();
    drop((gate, bound));
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let report = Ledger::verify(&path, Some(&key())).unwrap();
    drop(dir);
    report
}

#[tokio::test]
async fn whatever_is_changed_the_check_names_the_record() {
    let changes = [
        "UPDATE record SET leaf = replace(CAST(leaf AS TEXT), '\"bytes\":18', '\"bytes\":17') WHERE seq = 6",
        "UPDATE details SET body = replace(CAST(body AS TEXT), 'phone', 'phane') WHERE seq = 6",
        "DELETE FROM details WHERE seq = 6",
        "DELETE FROM record WHERE seq = 6",
        "UPDATE record SET kind = 'error' WHERE seq = 6",
        "UPDATE record SET hash = zeroblob(32) WHERE seq = 6",
        "UPDATE record SET leaf = x'ff' WHERE seq = 6",
    ];
    for change in changes {
        let report = tampered(full_home().await, change);
        assert_eq!(report.first_bad(), Some(6), "{change}: {:?}", report.problems);
    }
}

#[tokio::test]
async fn a_damaged_record_is_listed_as_such_and_hides_no_other() {
    let home = full_home().await;
    let before = home.gate.ledger().list(&Query::default()).unwrap();
    let other = Connection::open(home.gate.ledger().path()).unwrap();
    other.execute_batch("UPDATE record SET leaf = x'ff' WHERE seq = 6").unwrap();
    other.execute_batch("UPDATE details SET body = zeroblob(2000000) WHERE seq = 4").unwrap();
    let after = home.gate.ledger().list(&Query::default()).unwrap();
    assert_eq!(after.len(), before.len());
    let damaged: Vec<u64> = after.iter().filter(|record| record.damaged.is_some()).map(|record| record.seq).collect();
    assert_eq!(damaged, [6, 4]);
    let kind = |records: &[accord_consent::Record], seq| records.iter().find(|r| r.seq == seq).unwrap().public.kind;
    assert_eq!(kind(&after, 6), kind(&before, 6));
    let mut export = Vec::new();
    assert_eq!(home.gate.ledger().export(&mut export).unwrap(), before.len() as u64);
    assert!(matches!(home.gate.ledger().get(6), Err(LedgerError::Record { seq: 6, .. })));
}

#[tokio::test]
async fn a_record_with_more_names_than_fit_is_cut_and_can_be_read() {
    let home = Home::new();
    home.agree();
    let fields = accord_model::FieldSet::one(accord_model::FieldCode::FileName);
    let permit = home.bound.permit(&hello(), &phone(), fields, "").unwrap();
    let mut outflow = permit.open(Vec::new(), to_phone()).await.unwrap();
    let long = accord_consent::Personal::new(accord_model::FieldCode::FileName, "\u{1}".repeat(1024));
    for _ in 0..1024 {
        outflow.note_item(&long, 1, None);
    }
    let seq = outflow.finish().await.unwrap().seq;
    let record = home.gate.ledger().get(seq).unwrap();
    let items = record.details.unwrap().items;
    assert!(!items.is_empty() && items.len() < 1024 && record.public.count == Some(1024), "{}", items.len());
    assert!(Ledger::verify(home.gate.ledger().path(), Some(&key())).unwrap().ok());
}

#[tokio::test]
async fn a_leaf_changed_together_with_its_hashes_does_not_fit_the_signed_head() {
    let home = full_home().await;
    let path = home.gate.ledger().path().to_owned();
    let Home { dir, gate, bound } = home;
    drop((gate, bound));
    let connection = Connection::open(&path).unwrap();
    // Rewrites record 6 and rebuilds the whole tree, as one could who has the file but not the key.
    let leaf: Vec<u8> = connection.query_row("SELECT leaf FROM record WHERE seq = 6", [], |row| row.get(0)).unwrap();
    let leaf = String::from_utf8(leaf).unwrap().replace("\"bytes\":18", "\"bytes\":1").into_bytes();
    connection
        .execute("UPDATE record SET leaf = ?1, hash = ?2 WHERE seq = 6", params![leaf, tree::leaf_hash(&leaf).0])
        .unwrap();
    let hashes: Vec<[u8; 32]> = connection
        .prepare("SELECT hash FROM record ORDER BY seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut frontier = tree::Frontier::default();
    for hash in hashes {
        frontier.push(Hash(hash), |level, index, hash| {
            connection
                .execute(
                    "UPDATE node SET hash = ?3 WHERE level = ?1 AND idx = ?2",
                    params![level, index as i64, hash.0],
                )
                .unwrap();
        });
    }
    drop(connection);
    let report = Ledger::verify(&path, Some(&key())).unwrap();
    assert!(!report.ok());
    assert!(report.problems.iter().all(|problem| problem.what.contains("signed")), "{:?}", report.problems);
    drop(dir);
}

#[tokio::test]
async fn a_head_that_a_device_saw_shows_what_was_cut_off_or_changed() {
    let home = full_home().await;
    let peer = DeviceId::new("tablet").unwrap();
    let seen = home.gate.ledger().checkpoint().unwrap().unwrap();
    home.gate.ledger().witnessed(&peer, seen.note()).unwrap();
    let report = tampered(home, &format!("DELETE FROM record WHERE seq >= {}", seen.size - 2));
    assert!(report.problems.iter().any(|problem| problem.what.contains("tablet saw")), "{:?}", report.problems);

    // Another history under the same key: the device brings back what it saw of the first.
    let other = full_home().await;
    send_one(&other).await;
    let outcome = other.gate.ledger().witnessed(&peer, seen.note());
    assert!(matches!(outcome, Err(LedgerError::Rewritten { .. })));
    assert!(!Ledger::verify(other.gate.ledger().path(), Some(&key())).unwrap().ok(), "and it is not forgotten");
}

#[tokio::test]
async fn a_device_that_rewrites_its_history_is_found_out() {
    let (keeper, honest) = (Home::new(), full_home().await);
    let peer = DeviceId::new("phone").unwrap();
    let first = honest.gate.ledger().checkpoint().unwrap().unwrap();
    keeper.gate.ledger().witness(&peer, &key(), first.note(), &[]).unwrap();
    send_one(&honest).await;
    honest.gate.ledger().checkpoint().unwrap();
    let kept = keeper.gate.ledger().witness_note(&peer).unwrap().unwrap();
    honest.gate.ledger().witnessed(&DeviceId::new("keeper").unwrap(), &kept).unwrap();
    let (second, proof) = honest.gate.ledger().head_since(Some(&kept)).unwrap().unwrap();
    keeper.gate.ledger().witness(&peer, &key(), second.note(), &proof).unwrap();
    keeper.gate.ledger().witness(&peer, &key(), second.note(), &[]).expect("the same head once more");
    assert!(
        matches!(keeper.gate.ledger().witness(&peer, &key(), first.note(), &[]), Err(LedgerError::Rewritten { .. })),
        "it shrank"
    );

    let liar = full_home().await;
    for _ in 0..3 {
        send_one(&liar).await;
    }
    let other = liar.gate.ledger().checkpoint().unwrap().unwrap();
    let proof = liar.gate.ledger().prove_consistency(second.size, other.size).unwrap();
    let outcome = keeper.gate.ledger().witness(&peer, &key(), other.note(), &proof);
    assert!(matches!(outcome, Err(LedgerError::Rewritten { .. })));
    assert!(keeper.gate.ledger().witness(&peer, &example::key(9).public(), other.note(), &[]).is_err(), "another key");
}

#[tokio::test]
async fn erased_details_are_gone_and_the_tree_is_whole() {
    let home = full_home().await;
    let sent = home.records(RecordKind::Sent);
    assert_eq!(home.gate.ledger().erase(&[sent[0].seq, sent[0].seq]).unwrap(), 1);
    let erased = home.gate.ledger().get(sent[0].seq).unwrap();
    assert!(erased.details.is_none() && erased.public.bytes == sent[0].public.bytes);
    assert_eq!(home.records(RecordKind::Erased)[0].public.refers, Some(sent[0].seq));
    let ledger = home.gate.ledger();
    let head = ledger.checkpoint().unwrap().unwrap();
    let path = ledger.prove_inclusion(erased.seq, head.size).unwrap();
    assert!(tree::verify_inclusion(&erased.hash, erased.seq, head.size, &path, &head.root));
    let report = Ledger::verify(ledger.path(), Some(&key())).unwrap();
    assert!(report.ok(), "{:?}", report.problems);
    let on_disk = |text: &str| {
        ["ledger.db", "ledger.db-wal"].iter().any(|file| {
            let bytes = std::fs::read(home.dir.path().join(file)).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    };
    assert!(on_disk("192.0.2.7"));
    let all: Vec<u64> = (0..head.size).collect();
    ledger.erase(&all).unwrap();
    assert!(!on_disk("192.0.2.7"), "not in the file and not in its log");
    assert!(Ledger::verify(ledger.path(), Some(&key())).unwrap().ok());
}

#[tokio::test]
async fn a_ledger_signed_by_another_key_is_not_ours() {
    let home = full_home().await;
    let report = Ledger::verify(home.gate.ledger().path(), Some(&example::key(8).public())).unwrap();
    assert!(!report.ok());
    assert!(Ledger::verify(home.gate.ledger().path(), None).unwrap().ok());
}

#[test]
fn a_damaged_decision_counts_as_a_no_and_casts_doubt_on_any() {
    let home = Home::new();
    home.grant(&hello(), To::Any, accord_consent::Choice::Always).unwrap();
    home.agree();
    for (sql, doubted) in [
        (
            "UPDATE consent SET body = replace(CAST(body AS TEXT), 'given', 'givem') WHERE recipient = 'device:phone'",
            "hello",
        ),
        ("UPDATE consent SET recipient = 'device:phome' WHERE recipient = 'device:phone'", "hello"),
        ("UPDATE consent SET entry = 'example/hallo' WHERE recipient = 'device:phone'", "every entry"),
    ] {
        let after = tempfile::tempdir().unwrap();
        for file in ["consents.db", "consents.db-wal", "ledger.db", "ledger.db-wal"] {
            std::fs::copy(home.dir.path().join(file), after.path().join(file)).unwrap();
        }
        Connection::open(after.path().join("consents.db")).unwrap().execute_batch(sql).unwrap();
        let gate = open(after.path());
        assert_eq!(gate.damaged(), 1);
        assert!(gate.check(&hello(), &phone(), name_field()).is_err(), "{doubted}: {sql}");
        assert!(gate.check(&hello(), &tablet(), name_field()).is_err(), "{doubted}: {sql}");
        gate.discard_damaged().unwrap();
        assert!(gate.check(&hello(), &tablet(), name_field()).is_ok());
    }
}
