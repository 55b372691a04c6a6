//! What was known of devices, from one start to the next. A lamp that a server speaks for is there only once the server has
//! told of it: after a start without the server it would be nowhere. So what some bridges describe is kept, with what their
//! devices said last and when; once its bridge begins and still speaks for it, it is shown as not reached until the bridge says
//! otherwise. What is of a bridge that does not begin is kept, and not shown: nobody speaks for it.
//!
//! Descriptions are on the disk some seconds after they changed, values now and then: they come by hundreds a second. Of values
//! that are personal only the state of things of the house is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accord_model::{Device, DeviceId, FieldCode, Reach, Service, Value};
use accord_store::{Db, Options, StoreError, rusqlite};
use rusqlite::params;

use crate::bridge::Bridge;
use crate::registry::{Inner, Known, Registry, read};

/// What changed is written this often, and what merely was said once in so many times.
const WRITE_EVERY: Duration = Duration::from_secs(10);
const SAID_ONCE_IN: u32 = 30;
/// Most devices, the largest description of one and what it said, and all of that together, in bytes.
const MOST: usize = 16_384;
const LARGEST: usize = 256 << 10;
const MOST_BYTES: usize = 64 << 20;
/// Devices that are looked at before others may change something again.
const AT_ONCE: usize = 128;

const MIGRATIONS: &[&str] = &["CREATE TABLE known(
    id TEXT PRIMARY KEY, bridge TEXT NOT NULL, device TEXT NOT NULL, said TEXT NOT NULL
) WITHOUT ROWID"];

/// What became of a device since it was written; the last is the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Said,
    Described,
    Gone,
}

/// What a service said, by which one it is.
type Said = Vec<(String, u16, BTreeMap<String, Value>)>;

pub(crate) struct Memory {
    db: Db,
    state: Mutex<State>,
    /// One writes at a time: what is older is not written last.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Bridges whose devices are kept.
    bridges: BTreeSet<String>,
    /// What was known, of bridges that have not begun.
    before: BTreeMap<DeviceId, Known>,
    /// There is more on the disk than was read of it.
    more: bool,
    /// Devices that were not reached since the start: their bridges may not know yet what they are.
    unmet: BTreeSet<DeviceId>,
    dirty: BTreeMap<DeviceId, Change>,
    rows: HashMap<DeviceId, Row>,
    bytes: usize,
}

/// What is on the disk of a device: a number for its description, and how long it is.
#[derive(Clone, Copy)]
struct Row {
    hash: u64,
    bytes: usize,
}

/// One device as it is written.
struct Written {
    id: DeviceId,
    bridge: String,
    /// None: it is there as it is.
    device: Option<String>,
    said: String,
}

impl Memory {
    /// What is damaged is set aside: all of it is told again one day.
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("known.db");
        match Self::read(&path) {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(%error, "what was known of devices cannot be read; it is set aside, and begun anew");
                set_aside(&path)?;
                Self::read(&path)
            }
            other => other,
        }
    }

    fn read(path: &Path) -> Result<Self, StoreError> {
        let db = Db::open(path, MIGRATIONS, Options::default())?;
        let mut state = State::default();
        let (found, count) = db.read(|connection| {
            let mut query = connection.prepare(
                "SELECT id, bridge, device, said FROM known WHERE octet_length(device) <= ?1 AND octet_length(said) <= ?1
                 LIMIT ?2",
            )?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            let rows = query.query_map(params![LARGEST as i64, MOST as i64], row)?;
            let mut found = BTreeMap::new();
            for row in rows {
                let (id, bridge, text, said): (String, String, String, String) = match row {
                    Ok(row) => row,
                    // No text, where there is to be one.
                    Err(error) if error.sqlite_error_code().is_none() => continue,
                    Err(error) => return Err(error),
                };
                let bytes = text.len() + said.len();
                let (Ok(mut device), Ok(said)) =
                    (serde_json::from_str::<Device>(&text), serde_json::from_str::<Said>(&said))
                else {
                    continue;
                };
                if device.id.as_str() != id || device.passing || state.bytes + bytes > MOST_BYTES {
                    continue;
                }
                put(&mut device, said);
                device.reach = Reach::Offline;
                device.guard();
                state.bytes += bytes;
                state.unmet.insert(device.id.clone());
                state.rows.insert(device.id.clone(), Row { hash: hash(&text), bytes });
                found.insert(device.id.clone(), Known { device, bridge });
            }
            let count: i64 = connection.query_row("SELECT count(*) FROM known", [], |row| row.get(0))?;
            Ok((found, count))
        })?;
        (state.more, state.before) = (count != found.len() as i64, found);
        Ok(Self { db, state: Mutex::new(state), writing: tokio::sync::Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a device was another bridge's, which has not begun: what is agreed for it is not this one's.
    pub(crate) fn is_of_another(&self, bridge: &str, id: &DeviceId) -> bool {
        self.state().before.get(id).is_some_and(|known| known.bridge != bridge)
    }

    /// A device is described: what its bridge cannot say of one that is not reached is as it was. A device without services of
    /// its own that was not reached since the start has those of before.
    pub(crate) fn complete(&self, bridge: &str, device: &mut Device, before: &Device) {
        let mut state = self.state();
        if device.reach != Reach::Offline || device.passing || !state.bridges.contains(bridge) {
            state.unmet.remove(&device.id);
            return;
        }
        let is_unmet = state.unmet.contains(&device.id);
        drop(state);
        for old in &before.services {
            let same = |one: &&mut Service| one.id == old.id && one.instance == old.instance;
            match device.services.iter_mut().find(same) {
                Some(service) => {
                    for (property, value) in &old.values {
                        let has = service.properties.iter().any(|one| one.id == *property);
                        if has && !service.values.contains_key(property) {
                            service.values.insert(property.clone(), value.clone());
                        }
                    }
                }
                None if is_unmet => device.services.push(old.clone()),
                None => {}
            }
        }
        // In their order, too.
        let place = |service: &Service| {
            before.services.iter().position(|old| old.id == service.id && old.instance == service.instance)
        };
        if is_unmet {
            device.services.sort_by_key(|service| place(service).unwrap_or(usize::MAX));
        }
    }

    /// A device is reached.
    pub(crate) fn met(&self, id: &DeviceId) {
        self.state().unmet.remove(id);
    }

    /// A device changed, and is to be written.
    pub(crate) fn note(&self, bridge: &str, id: &DeviceId, change: Change) {
        let mut state = self.state();
        if change == Change::Gone {
            state.unmet.remove(id);
        } else if !state.bridges.contains(bridge) {
            return;
        }
        let noted = state.dirty.entry(id.clone()).or_insert(change);
        // One that came back is there.
        *noted = if *noted == Change::Gone { change } else { change.max(*noted) };
    }
}

impl Registry {
    /// Remembers from now on, in `folder`, what bridges want to be known at the next start; and what was known at the last one.
    /// Make the call before any bridge is added, inside a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is remembered.
    pub fn remember(&self, folder: &Path) -> Result<(), StoreError> {
        let memory = Memory::open(folder)?;
        if self.0.memory.set(memory).is_err() {
            tracing::warn!("devices are remembered already");
            return Ok(());
        }
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let (mut ticks, mut failed) = (0u32, false);
            loop {
                tokio::time::sleep(WRITE_EVERY).await;
                let Some(inner) = weak.upgrade() else { return };
                ticks = ticks.wrapping_add(1);
                match (inner.write_known(ticks.is_multiple_of(SAID_ONCE_IN)).await, failed) {
                    (Err(error), false) => {
                        failed = true;
                        tracing::warn!(%error, "what is known of devices is not kept for the next start");
                    }
                    (Ok(()), _) => failed = false,
                    _ => {}
                }
            }
        });
        Ok(())
    }

    /// Writes down what is known now, what was said included: the hub ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_known(&self) -> Result<(), StoreError> {
        self.0.write_known(true).await
    }
}

impl Inner {
    /// A bridge begins: it hears what is known of its devices, and says which of them it still speaks for.
    pub(crate) fn recall(&self, bridge: &mut dyn Bridge) {
        let Some(memory) = self.memory.get() else { return };
        let name = bridge.name().to_owned();
        let theirs: Vec<Device> = {
            let mut state = memory.state();
            let all = std::mem::take(&mut state.before);
            let (theirs, others): (BTreeMap<_, _>, _) = all.into_iter().partition(|(_, known)| known.bridge == name);
            state.before = others;
            theirs.into_values().map(|known| known.device).collect()
        };
        let still = bridge.recall(theirs.clone());
        let is_kept = still.is_some();
        let still: BTreeSet<DeviceId> = still.unwrap_or_default().into_iter().collect();
        for device in theirs {
            match still.contains(&device.id) {
                true => self.keep(&name, device),
                false => memory.note(&name, &device.id, Change::Gone),
            }
        }
        // From now on: what was just shown is on the disk as it is.
        if is_kept {
            memory.state().bridges.insert(name);
        }
    }

    pub(crate) fn noted(&self, bridge: &str, id: &DeviceId, change: Change) {
        if let Some(memory) = self.memory.get() {
            memory.note(bridge, id, change);
        }
    }

    async fn write_known(self: &Arc<Self>, said_too: bool) -> Result<(), StoreError> {
        let Some(memory) = self.memory.get() else { return Ok(()) };
        let _writing = memory.writing.lock().await;
        memory.drop_unread().await?;
        let dirty: Vec<(DeviceId, Change)> = {
            let mut state = memory.state();
            let all = std::mem::take(&mut state.dirty);
            let (due, later): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(_, change)| said_too || *change > Change::Said);
            state.dirty = later.into_iter().collect();
            due
        };
        let mut chunks = dirty.chunks(AT_ONCE);
        while let Some(some) = chunks.next() {
            if let Err(error) = self.write_some(memory, some).await {
                let left = some.iter().chain(chunks.flatten()).cloned().collect::<Vec<_>>();
                let mut state = memory.state();
                for (id, change) in left {
                    state.dirty.entry(id).or_insert(change);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write_some(self: &Arc<Self>, memory: &Memory, some: &[(DeviceId, Change)]) -> Result<(), StoreError> {
        let (mut written, mut gone) = (Vec::new(), Vec::new());
        for (id, _) in some {
            let known = read(&self.devices).get(id).cloned();
            let known = known.filter(|known| !known.device.passing && memory.state().bridges.contains(&known.bridge));
            match known.and_then(|known| memory.written(Arc::unwrap_or_clone(known))) {
                Some(one) => written.push(one),
                None => {
                    memory.state().drop_row(id);
                    gone.push(id.clone());
                }
            }
        }
        let done = memory
            .db
            .write(move |connection| {
                let mut delete = connection.prepare_cached("DELETE FROM known WHERE id = ?1")?;
                let mut said = connection.prepare_cached("UPDATE known SET said = ?2 WHERE id = ?1")?;
                let mut all = connection.prepare_cached("INSERT OR REPLACE INTO known VALUES (?1, ?2, ?3, ?4)")?;
                for id in &gone {
                    delete.execute([id.as_str()])?;
                }
                for one in &written {
                    match &one.device {
                        None => said.execute(params![one.id.as_str(), one.said])?,
                        Some(device) => all.execute(params![one.id.as_str(), one.bridge, device, one.said])?,
                    };
                }
                Ok(())
            })
            .await;
        if done.is_err() {
            // What is on the disk of them is not known: next time they are written whole.
            let mut state = memory.state();
            some.iter().for_each(|(id, _)| state.drop_row(id));
        }
        done
    }
}

impl State {
    fn drop_row(&mut self, id: &DeviceId) {
        if let Some(row) = self.rows.remove(id) {
            self.bytes -= row.bytes;
        }
    }
}

impl Memory {
    /// What could not be read at the start, or was too much, is on the disk no longer.
    async fn drop_unread(&self) -> Result<(), StoreError> {
        let ids: Vec<DeviceId> = {
            let state = self.state();
            if !state.more {
                return Ok(());
            }
            state.rows.keys().cloned().collect()
        };
        let ids = serde_json::to_string(&ids).unwrap_or_else(|_| "[]".to_owned());
        let delete = "DELETE FROM known WHERE id NOT IN (SELECT value FROM json_each(?1))";
        let dropped = self.db.write(move |connection| connection.execute(delete, params![ids])).await?;
        tracing::info!(dropped, "what was known of some devices could not be read, and is forgotten");
        self.state().more = false;
        Ok(())
    }

    /// A device in the form in which it is written. Nothing: it is too large, or there are too many.
    fn written(&self, known: Known) -> Option<Written> {
        let Known { mut device, bridge } = known;
        let id = device.id.clone();
        let said = serde_json::to_string(&take(&mut device)).ok()?;
        device.reach = Reach::Offline;
        let text = serde_json::to_string(&device).ok()?;
        let row = Row { hash: hash(&text), bytes: text.len() + said.len() };
        let mut state = self.state();
        let before = state.rows.get(&id).copied();
        let bytes = state.bytes + row.bytes - before.map_or(0, |before| before.bytes);
        let fits = text.len() <= LARGEST && said.len() <= LARGEST && bytes <= MOST_BYTES;
        if !fits || (before.is_none() && state.rows.len() >= MOST) {
            return None;
        }
        (state.bytes, _) = (bytes, state.rows.insert(id.clone(), row));
        let device = before.is_none_or(|before| before.hash != row.hash).then_some(text);
        Some(Written { id, bridge, device, said })
    }
}

/// What a device said, taken out of its description. What is personal beyond the state of a thing of the house is left out.
fn take(device: &mut Device) -> Said {
    let said = device.services.iter_mut().map(|service| {
        let mut values = std::mem::take(&mut service.values);
        const STATE: [FieldCode; 3] = [FieldCode::HomeDeviceState, FieldCode::BatteryLevel, FieldCode::Presence];
        let is_state = |field| STATE.contains(&field);
        let personal = service.properties.iter().filter(|one| one.sensitive.is_some_and(|field| !is_state(field)));
        personal.for_each(|one| drop(values.remove(&one.id)));
        (service.id.clone(), service.instance, values)
    });
    said.filter(|(.., values)| !values.is_empty()).collect()
}

fn put(device: &mut Device, said: Said) {
    for (id, instance, values) in said {
        let of = |one: &&mut Service| one.id == id && one.instance == instance;
        if let Some(service) = device.services.iter_mut().find(of) {
            service.values = values;
        }
    }
}

/// Under another name beside it. What was set aside before is replaced.
fn set_aside(path: &Path) -> Result<(), StoreError> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(with(end));
    }
    let file = |cause: std::io::Error| StoreError::File { path: path.to_owned(), cause: Arc::new(cause) };
    std::fs::rename(path, with(".damaged")).map_err(file)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use accord_model::{Data, DeviceKind, FromBridge, Source, Target, Timestamp, catalogue};
    use tokio::sync::mpsc;

    use super::*;
    use crate::turns::Turns;

    #[tokio::test]
    async fn descriptions_are_written_at_once_and_what_was_said_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        registry.remember(dir.path()).unwrap();
        let inner = &registry.0;
        inner.memory.get().unwrap().state().bridges.insert("house".into());
        let (door, _inbox) = mpsc::channel(8);
        let tell = |message| inner.handle("house", &door, &Arc::new(Turns::default()), message, None);
        let id = DeviceId::new("lamp").unwrap();
        let kept = || {
            let before = std::mem::take(&mut Memory::open(dir.path()).unwrap().state().before);
            before.into_values().next().map(|known| known.device.services[0].values.len())
        };
        tell(FromBridge::Seen { device: Device::new(id.clone(), DeviceKind::Light, "Desk").with(catalogue::light()) });
        inner.write_known(false).await.unwrap();
        assert_eq!(kept(), Some(0));
        let value = Value { data: Data::Int(4), seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 9 };
        let values = BTreeMap::from([("level".to_owned(), value)]);
        tell(FromBridge::Values { device: id.clone(), target: Target::new("light"), values });
        inner.write_known(false).await.unwrap();
        assert_eq!((kept(), inner.memory.get().unwrap().state().dirty.len()), (Some(0), 1), "it waits");
        inner.write_known(true).await.unwrap();
        assert_eq!((kept(), inner.memory.get().unwrap().state().dirty.len()), (Some(1), 0));
        tell(FromBridge::Gone { device: id });
        inner.write_known(false).await.unwrap();
        let state = inner.memory.get().unwrap().state();
        assert_eq!((kept(), state.bytes, state.rows.len()), (None, 0, 0));
    }
}
