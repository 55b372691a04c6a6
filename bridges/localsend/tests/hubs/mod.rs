//! Hubs with gates, registries, the files feature and the LocalSend bridge of their own, on loopback.
#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the wire, played by the test")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use accord_consent::{Choice, Decision, Envelope, Gate, Personal, Query, RecipientId, RecordKind, To, Which, example};
use accord_files::{AcceptPolicy, Direction, Files, FilesConfig, Items, SendRequest, State, Transfer, TransferId};
use accord_localsend::{LocalSendBridge, Network, Options};
use accord_model::{Data, Device, DeviceId, DeviceKind, EntryKey, Inputs, Target};
use accord_registry::{Ask, PairStep, Registry, RegistryEvent};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;

#[derive(Default)]
pub struct Policy(AtomicBool);

impl AcceptPolicy for Policy {
    fn accepts(&self, _: &DeviceId) -> bool {
        self.0.load(SeqCst)
    }
    fn accept_always(&self, _: &DeviceId) {
        self.0.store(true, SeqCst);
    }
}

pub struct Hub {
    pub name: &'static str,
    pub gate: Gate,
    pub registry: Registry,
    pub files: Files,
    pub port: u16,
    events: std::sync::Mutex<broadcast::Receiver<RegistryEvent>>,
    policy: Arc<Policy>,
    dir: PathBuf,
    runtime: Option<Runtime>,
}

pub const SOON: Duration = Duration::from_secs(30);

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Hub {
    pub fn start(name: &'static str, dir: &Path, change: impl FnOnce(&mut Options)) -> Self {
        let dir = dir.join(name);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut options = Options::new(name, DeviceKind::Computer, Vault::new(&dir, &[7; 32]).folder("localsend"));
        (options.network, options.multicast, options.port) = (Network::Loopback, false, free_port());
        change(&mut options);
        let port = options.port;
        let publisher = Publisher::named("Accord");
        let parts = [accord_files::STATEMENT, accord_localsend::STATEMENT];
        let statement = Statement::join("accord", "Accord", publisher, "1", &parts).unwrap();
        let gate = Gate::open(&dir.join("gate"), statement, example::key(1)).unwrap();
        let registry = Registry::new();
        let events = registry.events();
        let policy = Arc::<Policy>::default();
        let mut config = FilesConfig::new(dir.join("inbox"), dir.join("state"));
        config.policy = policy.clone();
        let files = runtime.block_on(async {
            let files = Files::new(gate.bind("files"), registry.clone(), config).unwrap();
            registry.add_bridge(Box::new(LocalSendBridge::new(gate.bind("localsend"), options).unwrap()));
            files
        });
        let (events, runtime) = (std::sync::Mutex::new(events), Some(runtime));
        Self { name, gate, registry, files, port, events, policy, dir, runtime }
    }

    pub fn decide(&self, entry: &str, to: To, choice: Choice) {
        let entry = EntryKey::new(entry).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry, to, choice, shown)).unwrap();
    }

    /// Agrees to everything.
    pub fn agree(&self) {
        self.decide("localsend/presence", To::One(RecipientId::lan()), Choice::Always);
        for entry in ["localsend/transfer", "files/send", "files/receive"] {
            self.decide(entry, To::Any, Choice::Always);
        }
    }

    pub fn withdraw(&self, entry: &str, to: To) {
        let entry = EntryKey::new(entry).unwrap();
        let given =
            self.gate.consents().into_iter().find(|consent| consent.entry == entry && consent.to == to).unwrap();
        self.gate.withdraw(Which::from(given.id)).unwrap();
    }

    pub fn accept_all(&self) {
        self.policy.0.store(true, SeqCst);
    }

    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(future)
    }

    pub fn sees(&self, name: &str) -> Option<Device> {
        self.registry.devices().into_iter().map(|known| known.device.clone()).find(|device| device.name == name)
    }

    pub fn find(&self, name: &str) -> DeviceId {
        wait(|| self.sees(name).map(|device| device.id), &format!("{} finds {name}", self.name))
    }

    pub fn pair(&self, device: &DeviceId, step: PairStep) {
        self.run(self.registry.pair(device, step, Inputs::new(), SOON)).unwrap();
    }

    pub fn set_pin(&self, device: &DeviceId, pin: &str) {
        let port = self.registry.port(&self.gate.bind("files"), EntryKey::new("files/send").unwrap(), "on.send");
        let value = Envelope::new().data("value", &Personal::plain(Data::Text(pin.to_owned())));
        self.run(port.call(device, Target::new("files"), Ask::write("pin"), value, SOON)).unwrap();
    }

    pub fn is_paired(&self, device: &DeviceId) -> Option<bool> {
        let device = self.registry.device(device)?.device.clone();
        device.service("pairing")?.values.get("paired")?.data.as_bool()
    }

    /// The next event of the service `pairing`.
    pub fn pairing_event(&self) -> (String, Option<String>) {
        let mut events = self.events.lock().unwrap();
        self.run(async {
            loop {
                match tokio::time::timeout(SOON, events.recv()).await.expect("an event of a pairing") {
                    Ok(RegistryEvent::Event(_, Target { service, .. }, event, arguments)) if service == "pairing" => {
                        let text = |name| arguments.get(name).and_then(Data::as_text).map(str::to_owned);
                        return (event, text("verification").or_else(|| text("message")));
                    }
                    _ => {}
                }
            }
        })
    }

    pub fn send(&self, device: &DeviceId, items: Items) -> TransferId {
        self.run(self.files.send(SendRequest { device: device.clone(), items })).unwrap()
    }

    pub fn until(&self, id: &TransferId, state: State) -> Transfer {
        self.until_that(id, &format!("{state:?}"), |transfer| transfer.state == state)
    }

    pub fn until_that(&self, id: &TransferId, what: &str, wanted: impl Fn(&Transfer) -> bool) -> Transfer {
        let begun = Instant::now();
        loop {
            match self.files.get(id) {
                Some(transfer) if wanted(&transfer) => return transfer,
                now if begun.elapsed() > SOON => panic!("{}: not {what}: {now:#?}", self.name),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The newest transfer that came in, once there is one beside `before`.
    pub fn incoming(&self, before: usize) -> Transfer {
        let all = || -> Vec<_> {
            self.files.list().into_iter().filter(|transfer| transfer.direction == Direction::In).collect()
        };
        wait(|| all().into_iter().next().filter(|_| all().len() > before), "something comes in")
    }

    pub fn inbox(&self) -> PathBuf {
        self.dir.join("inbox")
    }

    /// Bytes that the ledger has for entries of the bridge, to `address` or to all.
    pub fn recorded(&self, address: Option<&str>) -> u64 {
        let records = self.gate.ledger().list(&Query { limit: Some(10_000), ..Query::default() }).unwrap();
        let of_bridge = records
            .iter()
            .filter(|record| record.public.entry.as_ref().is_some_and(|entry| entry.owner() == "localsend"));
        let mut sum = 0;
        for record in of_bridge {
            if !matches!(record.public.kind, RecordKind::Sent | RecordKind::Error) {
                continue;
            }
            let details = record.details.as_ref().expect("details are kept");
            let counted = record.public.bytes.unwrap_or(0) + record.public.framing.unwrap_or(0);
            let to = match record.public.refers {
                Some(intent) => records.iter().find(|record| record.seq == intent),
                None => None,
            };
            let to = to.and_then(|intent| intent.details.as_ref()?.address.clone());
            match address {
                None => sum += counted,
                Some(address) if details.addresses.is_empty() => {
                    sum += if to.as_deref() == Some(address) { counted } else { 0 };
                }
                Some(address) => {
                    sum += details.addresses.iter().filter(|at| at.address == address).map(|at| at.bytes).sum::<u64>();
                }
            }
        }
        sum
    }

    /// Ends it as a hub ends.
    pub fn stop(mut self) {
        self.run(self.registry.stop());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn wait<T>(what: impl Fn() -> Option<T>, name: &str) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "not in time: {name}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Two hubs that agreed to everything, and found each other because `a` asked `b`.
pub fn two(dir: &Path) -> (Hub, Hub) {
    let b = Hub::start("b", dir, |_| {});
    let at = SocketAddr::from(([127, 0, 0, 1], b.port));
    b.agree();
    wait(|| TcpStream::connect(at).ok(), "b listens");
    let a = Hub::start("a", dir, |options| options.addresses = vec![at]);
    a.agree();
    a.find("b");
    b.find("a");
    (a, b)
}

pub fn file(dir: &Path, name: &str, length: usize) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let content: Vec<u8> = (0..length).map(|n| (n as u64).wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    std::fs::write(&path, content).unwrap();
    path
}

/// Passes bytes on, counts them, and holds them back when told.
pub struct Wire {
    pub address: SocketAddr,
    pub there: Arc<AtomicU64>,
    pub back: Arc<AtomicU64>,
    pub held: Arc<AtomicBool>,
}

impl Wire {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (there, back, held) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let wire = Self { address, there: there.clone(), back: back.clone(), held: held.clone() };
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (mut from, mut to, count) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap(), there.clone()), (far, near, back.clone())]
                {
                    let held = held.clone();
                    std::thread::spawn(move || {
                        let mut buffer = vec![0; 64 * 1024];
                        while let Ok(read @ 1..) = from.read(&mut buffer) {
                            count.fetch_add(read as u64, SeqCst);
                            while held.load(SeqCst) {
                                std::thread::sleep(Duration::from_millis(5));
                            }
                            if to.write_all(&buffer[..read]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        wire
    }
}
