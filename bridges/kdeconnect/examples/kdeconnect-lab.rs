//! The bridge by itself, for tests against real peers (tests/peers): messages of the house as JSON lines on standard
//! input and output. Beside those: `{"grant": ["kdeconnect/presence", "network:lan"]}`, `{"withdraw": [...]}`, and
//! `{"send": {"device": …, "paths": […]}}`. What a device sends is accepted and stored in the folder.
//!
//! Usage: `kdeconnect-lab FOLDER NAME`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accord_consent::{Choice, Decision, Gate, Signer, To};
use accord_kdeconnect::{KdeConnectBridge, Options, STATEMENT};
use accord_model::StreamClass;
use accord_model::{DeviceId, DeviceKind, EntryKey, FromBridge, Inputs, StreamId, Target, ToBridge};
use accord_ports::files::{Given, Giver, Taker, wire};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
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
    let mut words = std::env::args().skip(1);
    let (folder, name) = (PathBuf::from(words.next().unwrap()), words.next().unwrap());
    let statement = Statement::join("accord", "Accord", Publisher::named("Accord"), "1", &[STATEMENT]).unwrap();
    let gate = Gate::open(&folder.join("data"), statement, Arc::new(NoSigner)).unwrap();
    let options = Options {
        name,
        kind: DeviceKind::Laptop,
        folder: Vault::new(&folder, &[7; 32]).folder("kdeconnect"),
        network: accord_consent::outlet::interfaces::Network::All,
    };
    let bridge = KdeConnectBridge::new(gate.bind("kdeconnect"), options).unwrap();
    let (to_bridge, inbox) = mpsc::channel(64);
    let (outbox, mut from_bridge) = mpsc::channel(64);
    let running = tokio::spawn(Box::new(bridge).run(BridgeSide { inbox, outbox }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut sending, mut next) = (HashMap::<StreamId, Vec<PathBuf>>::new(), 1_000_000);
    say(&json!({ "ready": true }));
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { break };
                let word: Value = serde_json::from_str(&line).unwrap();
                if let Some(grant) = word.get("grant") {
                    let entry = EntryKey::new(grant[0].as_str().unwrap()).unwrap();
                    let to = To::One(grant[1].as_str().unwrap().parse().unwrap());
                    let shown = gate.notice(&entry, "en").unwrap().shown("cli");
                    gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
                } else if let Some(withdraw) = word.get("withdraw") {
                    let entry = EntryKey::new(withdraw[0].as_str().unwrap()).unwrap();
                    let to: accord_consent::RecipientId = withdraw[1].as_str().unwrap().parse().unwrap();
                    gate.withdraw((entry, to)).unwrap();
                } else if let Some(send) = word.get("send") {
                    next += 1;
                    let stream = StreamId(next);
                    let paths = send["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().into());
                    sending.insert(stream, paths.collect());
                    let device = DeviceId::new(send["device"].as_str().unwrap()).unwrap();
                    let (target, inputs, class) = (Target::new("files"), Inputs::new(), StreamClass::Bulk);
                    let open = ToBridge::OpenStream { stream, device, target, inputs, class };
                    to_bridge.send((open, None)).await.unwrap();
                } else {
                    to_bridge.send((serde_json::from_value(word).unwrap(), None)).await.unwrap();
                }
            }
            message = from_bridge.recv() => {
                let Some((message, stream)) = message else { break };
                say(&serde_json::to_value(&message).unwrap());
                match (message, stream) {
                    (FromBridge::StreamOpened { .. }, Some(stream)) => {
                        tokio::spawn(take(stream, folder.join("inbox")));
                    }
                    (FromBridge::StreamReady { stream: id }, Some(stream)) => {
                        tokio::spawn(give(stream, sending.remove(&id).unwrap_or_default()));
                    }
                    _ => {}
                }
            }
        }
    }
    let _ = to_bridge.send((ToBridge::Stop, None)).await;
    let drained = async { while from_bridge.recv().await.is_some() {} };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), drained).await;
    let _ = running.await;
}

fn say(value: &Value) {
    println!("{value}");
}

async fn take(stream: ByteStream, inbox: PathBuf) {
    std::fs::create_dir_all(&inbox).unwrap();
    let (offer, mut taker) = Taker::open(stream).await.unwrap();
    say(&json!({ "offered": { "kind": offer.kind, "files": offer.files, "bytes": offer.bytes } }));
    taker.accept().await.unwrap();
    let (mut path, mut content, mut files, mut bytes) = (String::new(), Vec::new(), 0, 0);
    loop {
        match taker.next().await {
            Ok(Given::Entry(entry)) => (path, content) = (entry.path, Vec::new()),
            Ok(Given::Content(part)) => content.extend_from_slice(part),
            Ok(Given::End(_)) => {
                files += 1;
                bytes += content.len() as u64;
                std::fs::write(inbox.join(Path::new(&path).file_name().unwrap()), &content).unwrap();
                say(&json!({ "received": path, "size": content.len() }));
            }
            Ok(Given::Finish) => break,
            Ok(Given::Abandon(_)) => say(&json!({ "abandoned": path })),
            Ok(Given::Totals(..)) => {}
            Err(error) => return say(&json!({ "broken": error.to_string() })),
        }
    }
    taker.done(files, bytes).await.unwrap();
}

async fn give(stream: ByteStream, paths: Vec<PathBuf>) {
    let sizes = paths.iter().map(|path| std::fs::metadata(path).unwrap().len());
    let mut giver = Giver::new(stream);
    let outcome = async {
        giver.offer(Giver::new_offer([1; 16], paths.len() as u64, sizes.sum())).await?;
        for path in &paths {
            let name = path.file_name().unwrap().to_string_lossy();
            let size = std::fs::metadata(path).unwrap().len();
            giver.file(&name, Some(size), wire::Time::default()).await?;
            let mut file = tokio::fs::File::open(path).await.unwrap();
            let mut buffer = vec![0; 256 * 1024];
            loop {
                match file.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => giver.content(&buffer[..read]).await?,
                }
            }
            giver.end().await?;
        }
        giver.finish().await
    };
    match outcome.await {
        Ok(taken) => say(&json!({ "sent": { "files": taken.files, "bytes": taken.bytes } })),
        Err(error) => say(&json!({ "not sent": error.to_string() })),
    }
}
