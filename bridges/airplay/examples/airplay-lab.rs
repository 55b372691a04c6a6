//! The bridge by itself, for tests against real receivers (tests/peers): messages of the house as JSON lines on standard
//! input and output. Beside those: `{"grant": ["airplay/search", "network:lan"]}`, `{"withdraw": [...]}`, and
//! `{"play": {"device": …, "file": …}}`, which sends the file's bytes as they are; `{"played": STREAM}` comes when the
//! device's side of the stream ends.
//!
//! Usage: `airplay-lab FOLDER`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accord_airplay::{AirplayBridge, Network, Options, STATEMENT};
use accord_consent::{Choice, Decision, Gate, Signer, To};
use accord_model::{DeviceId, EntryKey, FromBridge, Inputs, StreamClass, StreamId, Target, ToBridge};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

struct NoSigner;

impl Signer for NoSigner {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

#[tokio::main]
async fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let statement = Statement::join("accord", "Accord", Publisher::named("Accord"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(&folder.join("data"), statement, Arc::new(NoSigner)).unwrap();
    let options = Options { folder: Vault::new(&folder, &[7; 32]).folder("airplay"), network: Network::All };
    let bridge = AirplayBridge::new(gate.bind("airplay"), options).unwrap();
    let (to_bridge, inbox) = mpsc::channel(64);
    let (outbox, mut from_bridge) = mpsc::channel(64);
    let running = tokio::spawn(Box::new(bridge).run(BridgeSide { inbox, outbox }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut playing, mut next) = (HashMap::<StreamId, PathBuf>::new(), 1_000_000);
    say(&json!({ "ready": true }));
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { break };
                let word: Value = serde_json::from_str(&line).unwrap();
                let consent = |what: &Value| {
                    let entry = EntryKey::new(what[0].as_str().unwrap()).unwrap();
                    (entry, To::One(what[1].as_str().unwrap().parse().unwrap()))
                };
                if let Some(grant) = word.get("grant") {
                    let (entry, to) = consent(grant);
                    let shown = gate.notice(&entry, "en").unwrap().shown("lab");
                    gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
                } else if let Some(withdraw) = word.get("withdraw") {
                    gate.withdraw(consent(withdraw)).unwrap();
                } else if let Some(play) = word.get("play") {
                    next += 1;
                    let stream = StreamId(next);
                    playing.insert(stream, PathBuf::from(play["file"].as_str().unwrap()));
                    let device: DeviceId = serde_json::from_value(play["device"].clone()).unwrap();
                    let (target, inputs, class) = (Target::new("media"), Inputs::new(), StreamClass::Bulk);
                    let message = ToBridge::OpenStream { stream, device, target, inputs, class };
                    to_bridge.send((message, None)).await.unwrap();
                } else {
                    to_bridge.send((serde_json::from_value(word).unwrap(), None)).await.unwrap();
                }
            }
            message = from_bridge.recv() => {
                let Some((message, opened)) = message else { break };
                if let (FromBridge::StreamReady { stream }, Some(opened)) = (&message, opened)
                    && let Some(file) = playing.remove(stream)
                {
                    tokio::spawn(feed(*stream, file, opened));
                }
                say(&serde_json::to_value(&message).unwrap());
            }
        }
    }
    to_bridge.send((ToBridge::Stop, None)).await.unwrap();
    running.await.unwrap().unwrap();
}

fn say(word: &Value) {
    println!("{word}");
}

async fn feed(stream: StreamId, file: impl AsRef<Path>, opened: ByteStream) {
    let ByteStream { mut reader, mut writer, .. } = opened;
    let sound = tokio::fs::read(file).await.unwrap();
    let given = writer.write_all(&sound).await.is_ok() && writer.shutdown().await.is_ok();
    say(&json!({ "given": stream, "whole": given }));
    let _ = reader.read_to_end(&mut Vec::new()).await;
    say(&json!({ "played": stream }));
}
