//! How long 64 bytes take to another hub and back: a call over the link, under a permit and recorded on both sides, beside
//! an echo over bare TCP. Both hubs live in this process, on loopback. Prints JSON.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the yardstick is a bare socket on loopback")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::{Choice, Decision, Envelope, Gate, Personal, RecipientId, Signer, To, example};
use accord_identity::{Identity, Peers, StatementKey};
use accord_link::{Link, LinkOptions, Network, PairingId, PairingStep, ProvenHead, Witness};
use accord_model::{CallError, Data, DeviceId, DeviceKind, EntryKey, Inputs, Target, Verb, catalogue};
use accord_registry::{Answer, Ask, ByteStream, Port, Registry, ServiceHandler};
use accord_statement::{Publisher, Statement};
use anyhow::{Result, bail, ensure};
use async_trait::async_trait;

const TIMES: usize = 3000;
const WARM_UP: usize = 300;
const WITHIN: Duration = Duration::from_secs(20);
const USE: &str = "example/hello";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let link = runtime.block_on(over_the_link())?;
    let tcp = over_tcp()?;
    let found = serde_json::json!({"Accord": figures(link), "bare TCP": figures(tcp)});
    std::io::stdout().write_all(format!("{found}\n").as_bytes())?;
    Ok(())
}

fn figures(mut times: Vec<Duration>) -> serde_json::Value {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros() as u64;
    serde_json::json!({"p50_us": at(0.5), "p99_us": at(0.99)})
}

fn over_tcp() -> Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let mut message = [0; 64];
        loop {
            socket.read_exact(&mut message)?;
            socket.write_all(&message)?;
        }
    });
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut message = [7; 64];
    let mut times = Vec::with_capacity(TIMES);
    for turn in 0..WARM_UP + TIMES {
        let began = Instant::now();
        socket.write_all(&message)?;
        socket.read_exact(&mut message)?;
        if turn >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    Ok(times)
}

async fn over_the_link() -> Result<Vec<Duration>> {
    let folders = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (here, there) = (Hub::start(folders.0.path(), "here")?, Hub::start(folders.1.path(), "there")?);
    let there_id = pair(&here, &there).await?;
    let content = Personal::new(accord_model::FieldCode::DeviceName, Data::Text("x".repeat(64)));
    let mut times = Vec::with_capacity(TIMES);
    for turn in 0..WARM_UP + TIMES {
        let began = Instant::now();
        let envelope = Envelope::new().data("text", &content);
        here.port.call(&there_id, Target::new("files"), Ask::act("echo"), envelope, WITHIN).await?;
        if turn >= WARM_UP {
            times.push(began.elapsed());
        }
    }
    Ok(times)
}

struct Hub {
    gate: Gate,
    registry: Registry,
    link: Link,
    port: Port,
}

struct Key(Arc<Identity>);

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
    fn public(&self) -> [u8; 32] {
        self.0.statement_public()
    }
}

struct NoHeads;

impl Witness for NoHeads {
    fn kept(&self, _: &DeviceId) -> Option<String> {
        None
    }
    fn handed_back(&self, _: &DeviceId, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }
    fn own_head(&self, _: Option<&str>) -> Option<ProvenHead> {
        None
    }
    fn witness(&self, _: &DeviceId, _: &StatementKey, _: &ProvenHead) -> Result<(), String> {
        Ok(())
    }
    fn witnessed(&self, _: &DeviceId, _: &str) {}
}

struct Echo(Port);

#[async_trait]
impl ServiceHandler for Echo {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        let Verb::Act { mut inputs, .. } = verb else { return Err(CallError::Unsupported("only acts".into())) };
        let text = inputs.remove("text").unwrap_or(Data::Bool(false));
        self.0
            .answer(&from, Envelope::new().data("text", &Personal::new(accord_model::FieldCode::DeviceName, text)))
            .await
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

impl Hub {
    fn start(folder: &Path, name: &str) -> Result<Self> {
        let identity = Arc::new(Identity::load_or_create(folder)?);
        let peers = Arc::new(Peers::open(&identity.vault(folder, None))?);
        let parts = [accord_link::STATEMENT, example::STATEMENT];
        let statement = Statement::join("accord", "Accord", Publisher::named("Accord"), "1", &parts)?;
        let gate = Gate::open(folder, statement, Arc::new(Key(identity.clone())))?;
        let options = LinkOptions {
            name: name.into(),
            kind: DeviceKind::Computer,
            services: vec![catalogue::files()],
            relay: None,
            state: folder.to_owned(),
            network: Network::Loopback,
        };
        let (link, bridge) = Link::new(options, identity, peers, gate.bind("link"), Arc::new(NoHeads))?;
        let registry = Registry::new();
        let port = registry.port(&gate.bind("example"), EntryKey::new(USE)?, "on.request");
        registry.serve("files", Arc::new(Echo(port.clone())));
        registry.add_bridge(Box::new(bridge));
        Ok(Self { gate, registry, link, port })
    }

    fn agree(&self, entry: &str, to: RecipientId) -> Result<()> {
        let entry = EntryKey::new(entry)?;
        let shown = self.gate.notice(&entry, "en")?.shown("bench");
        self.gate.decide(Decision::new(entry, To::One(to), Choice::Always, shown))?;
        Ok(())
    }

    fn step(&self, id: &PairingId) -> Option<PairingStep> {
        self.link.pairings().into_iter().find(|pairing| pairing.id == *id).map(|pairing| pairing.step)
    }

    async fn paired(&self, id: &PairingId) -> Result<DeviceId> {
        until("the pairing", || match self.step(id) {
            Some(PairingStep::Done(device)) => Some(device),
            _ => None,
        })
        .await
    }
}

async fn pair(here: &Hub, there: &Hub) -> Result<DeviceId> {
    for hub in [here, there] {
        hub.agree("link/pairing", RecipientId::lan())?;
    }
    let address = until("an address", || there.link.status().addresses.iter().find(|at| at.is_ipv4()).copied()).await?;
    let out = here.link.pair_address(address).await?;
    until("a code", || matches!(here.step(&out), Some(PairingStep::Compare(_))).then_some(())).await?;
    let asks = |pairing: &accord_link::PairingInfo| matches!(pairing.step, PairingStep::Compare(_));
    let inward = until("a question", || there.link.pairings().into_iter().find(asks)).await?.id;
    here.link.confirm_pairing(&out, None).await?;
    there.link.confirm_pairing(&inward, None).await?;
    let (there_id, here_id) = (here.paired(&out).await?, there.paired(&inward).await?);
    for (hub, other) in [(here, &there_id), (there, &here_id)] {
        for entry in ["link/connection", USE] {
            hub.agree(entry, RecipientId::device(other))?;
        }
    }
    let offers = || here.registry.device(&there_id).filter(|known| !known.device.services.is_empty());
    until("a connection", || offers().and(here.link.device(&there_id)?.path)).await?;
    ensure!(here.registry.device(&there_id).is_some(), "the other hub is not known");
    Ok(there_id)
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + WITHIN;
    while Instant::now() < end {
        if let Some(found) = found() {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("waited {} s for {what}", WITHIN.as_secs())
}
