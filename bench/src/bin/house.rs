//! A house of 2,000 devices with ten properties each, in one registry: how long until all of it is known, how long a change
//! takes from the bridge that says so to whoever follows the events, and how many changes there may be. Prints JSON.
//!
//! `house DEVICES PER_DEVICE RATE SECONDS`
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_model::{
    Data, Device, DeviceId, DeviceKind, Format, FromBridge, Property, Reach, Service, Source, Target, Timestamp,
    ToBridge, Value,
};
use accord_registry::{Bridge, BridgeSide, Registry, RegistryEvent};
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc};

const WITHIN: Duration = Duration::from_secs(60);
const FLOOD: Duration = Duration::from_secs(5);
/// Changes of a flood that are not heard yet: whoever follows hears all of it.
const AHEAD: u64 = 512;

#[derive(Clone, Copy)]
struct House {
    devices: usize,
    properties: usize,
}

impl House {
    fn id(number: usize) -> Result<DeviceId> {
        DeviceId::new(format!("house-{number:05}")).context("an id")
    }

    fn device(self, number: usize) -> Result<Device> {
        let names: Vec<String> = (0..self.properties).map(|index| format!("value-{index}")).collect();
        let service = Service {
            id: "more".to_owned(),
            instance: 0,
            label: None,
            properties: names.iter().map(|name| Property::state(name, Format::Float)).collect(),
            actions: Vec::new(),
            events: Vec::new(),
            values: names.into_iter().map(|name| (name, value(0.0))).collect(),
        };
        let mut device = Device::new(Self::id(number)?, DeviceKind::Sensor, format!("Device {number}")).with(service);
        device.reach = Reach::Local;
        Ok(device)
    }

    /// The change of this number: another device and property each time.
    fn change(self, number: u64) -> Result<FromBridge> {
        let (device, property) = (number as usize % self.devices, number as usize / self.devices % self.properties);
        let values = BTreeMap::from([(format!("value-{property}"), value(number as f64))]);
        Ok(FromBridge::Values { device: Self::id(device)?, target: Target::new("more"), values })
    }
}

fn value(number: f64) -> Value {
    Value { data: Data::Float(number), seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 600 }
}

/// A bridge that says what it is handed.
struct Says(mpsc::Receiver<FromBridge>);

#[async_trait]
impl Bridge for Says {
    fn name(&self) -> &str {
        "house"
    }

    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        loop {
            tokio::select! {
                told = side.inbox.recv() => if matches!(told, None | Some((ToBridge::Stop, _))) { return Ok(()) },
                said = self.0.recv() => match said {
                    Some(said) => side.tell(said).await.map_err(|_| "the core is gone".to_owned())?,
                    None => return Ok(()),
                },
            }
        }
    }
}

fn main() -> Result<()> {
    let words: Vec<u64> =
        std::env::args().skip(1).map(|word| word.parse().context("a number")).collect::<Result<_>>()?;
    let [devices, properties, rate, seconds] = words[..] else {
        anyhow::bail!("house DEVICES PER_DEVICE RATE SECONDS")
    };
    ensure!(devices > 0 && properties > 0 && rate > 0, "more than none");
    let house = House { devices: devices as usize, properties: properties as usize };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let found = runtime.block_on(live(house, rate, seconds))?;
    std::io::stdout().write_all(format!("{found}\n").as_bytes())?;
    Ok(())
}

async fn live(house: House, rate: u64, seconds: u64) -> Result<serde_json::Value> {
    let registry = Registry::new();
    let mut events = registry.events();
    let (say, said) = mpsc::channel(64);
    registry.add_bridge(Box::new(Says(said)));
    let began = Instant::now();
    let all = tokio::spawn(async move {
        let mut known = 0;
        while known < house.devices {
            known += usize::from(matches!(events.recv().await?, RegistryEvent::Seen(_)));
        }
        anyhow::Ok(events)
    });
    for number in 0..house.devices {
        say.send(FromBridge::Seen { device: house.device(number)? }).await?;
        if number % 256 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let events = tokio::time::timeout(WITHIN, all).await???;
    let known_after = began.elapsed();

    let sent = Arc::new(Mutex::new(Vec::with_capacity((rate * seconds) as usize)));
    let (heard, mut count) = (Arc::new(Mutex::new(Vec::new())), 0);
    let follower = tokio::spawn(follow(events, rate * seconds, sent.clone(), heard.clone()));
    let cpu = cpu_seconds()?;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let began = Instant::now();
    while count < rate * seconds {
        tick.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        while count < due.min(rate * seconds) {
            let change = house.change(count)?;
            lock(&sent).push(Instant::now());
            say.send(change).await?;
            count += 1;
        }
    }
    let events = tokio::time::timeout(WITHIN, follower).await???;
    let cpu_share = (cpu_seconds()? - cpu) / began.elapsed().as_secs_f64();
    let mut took = std::mem::take(&mut *lock(&heard));
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_micros() as u64;
    let (p50, p99) = (at(0.5), at(0.99));

    let per_second = flood(house, &say, events).await?;
    let shown = registry.devices().len();
    registry.stop().await;
    Ok(serde_json::json!({
        "devices": shown, "properties": house.devices * house.properties, "rate": rate,
        "known_after_ms": known_after.as_millis() as u64, "p50_us": p50, "p99_us": p99, "cpu_percent": cpu_share * 100.0,
        "most_per_s": per_second, "rss_mib": rss_mib()?,
    }))
}

/// Hears so many changes, and how long each took.
async fn follow(
    mut events: broadcast::Receiver<RegistryEvent>,
    wanted: u64,
    sent: Arc<Mutex<Vec<Instant>>>,
    heard: Arc<Mutex<Vec<Duration>>>,
) -> Result<broadcast::Receiver<RegistryEvent>> {
    for _ in 0..wanted {
        let number = loop {
            if let RegistryEvent::Values(_, _, values) = events.recv().await? {
                let number = values.values().next().and_then(|value| value.data.as_number());
                break number.context("a number")? as usize;
            }
        };
        let now = Instant::now();
        lock(&heard).push(now - lock(&sent)[number]);
    }
    Ok(events)
}

/// As many changes as there can be, all of them heard.
async fn flood(
    house: House,
    say: &mpsc::Sender<FromBridge>,
    mut events: broadcast::Receiver<RegistryEvent>,
) -> Result<u64> {
    let places = Arc::new(tokio::sync::Semaphore::new(AHEAD as usize));
    let freed = places.clone();
    let follower = tokio::spawn(async move {
        let mut heard = 0_u64;
        while let Ok(event) = events.recv().await {
            if let RegistryEvent::Values(_, _, values) = event {
                if values.values().any(|value| value.data == Data::Float(-1.0)) {
                    break;
                }
                heard += 1;
                freed.add_permits(1);
            }
        }
        heard
    });
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < FLOOD {
        places.acquire().await?.forget();
        say.send(house.change(number)?).await?;
        number += 1;
    }
    let values = BTreeMap::from([("value-0".to_owned(), value(-1.0))]);
    say.send(FromBridge::Values { device: House::id(0)?, target: Target::new("more"), values }).await?;
    let heard = tokio::time::timeout(WITHIN, follower).await??;
    ensure!(heard == number, "{heard} of {number} were heard");
    Ok((heard as f64 / began.elapsed().as_secs_f64()) as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of this process, in user and system mode.
fn cpu_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit_once(')').context("a process")?.1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // USER_HZ, the same on every Linux.
    Ok(ticks / 100.0)
}

fn rss_mib() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a size")?;
    let kib: f64 = line.split_whitespace().next().context("a size")?.parse()?;
    Ok(kib / 1024.0)
}
