//! What is told to one place: every device that was chosen for it, and what is new of each, on one stream under one permit, as
//! long as the consent holds. The ledger has one record of it an hour.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use accord_consent::{Destination, Outflow, Personal, RecipientId};
use accord_model::{Device, DeviceId, FieldSet, Service, StreamClass, Target, Value};
use accord_ports::showcase::{Broken, Frame, SERVICE, inputs};
use accord_registry::{ByteStream, RegistryEvent};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::{broadcast::error::RecvError, watch};
use tokio::time::Instant;

use super::{Granted, Inner, always, outside};

/// What changes within this is told together.
const SETTLES: Duration = Duration::from_millis(80);
/// After it broke off.
const AGAIN: Duration = Duration::from_secs(2);
/// A stream is written down, and another one takes its place.
const LASTS: Duration = Duration::from_secs(3600);
/// How long the place may take what it is told.
const STALLS: Duration = Duration::from_secs(20);

type Writer = Outflow<Box<dyn AsyncWrite + Send + Unpin>>;

/// Why a stream is over.
enum End {
    /// Another one takes its place at once.
    Next,
    /// The place takes no more: its bridge ends, or the broker was removed. What was told before was told.
    Closed,
    /// It broke off.
    Broken(String),
    /// The hub ends.
    Over,
}

pub(super) async fn keep_told(inner: Weak<Inner>, place: DeviceId) {
    let Some((mut changed, mut consent)) = inner
        .upgrade()
        .map(|inner| (inner.changed.subscribe(), inner.gate.watch(&inner.entry, &RecipientId::device(&place))))
    else {
        return;
    };
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let is_blocked = strong.house().is_none_or(|house| house.is_blocked(&place));
        if is_blocked || strong.book.chosen(&place).is_empty() {
            drop(strong);
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        }
        if !consent.is_allowed() {
            drop(strong);
            tokio::select! {
                () = consent.allowed() => {}
                changed = changed.changed() => if changed.is_err() { return },
            }
            continue;
        }
        let mut telling = Telling::new(strong, place.clone());
        match telling.run(&mut changed).await {
            End::Next => {}
            End::Closed => {
                drop(telling);
                tokio::time::sleep(AGAIN).await;
            }
            End::Broken(why) => {
                tracing::debug!(%place, "devices are not shown there now: {why}");
                drop(telling);
                tokio::time::sleep(AGAIN).await;
            }
            End::Over => return,
        }
    }
}

/// One stream.
struct Telling {
    inner: Arc<Inner>,
    place: DeviceId,
    /// What was told, by thing.
    told: BTreeMap<DeviceId, Device>,
    /// Which thing a face belongs to, of those that were chosen.
    faces: HashMap<DeviceId, DeviceId>,
    fields: FieldSet,
    /// What has to be looked at again; everything when `all`.
    dirty: BTreeSet<DeviceId>,
    all: bool,
}

impl Telling {
    fn new(inner: Arc<Inner>, place: DeviceId) -> Self {
        let fields = FieldSet::EMPTY;
        Self { inner, place, told: BTreeMap::new(), faces: HashMap::new(), fields, dirty: BTreeSet::new(), all: true }
    }

    async fn run(&mut self, changed: &mut watch::Receiver<u64>) -> End {
        let inner = self.inner.clone();
        let mut events = inner.registry.events();
        changed.mark_unchanged();
        let to = RecipientId::device(&self.place);
        self.fields = self.needed();
        let broken = |why: &dyn std::fmt::Display| End::Broken(why.to_string());
        let permit = match inner.gate.permit(&inner.entry, &to, self.fields, "while.connected") {
            Ok(permit) => permit,
            Err(refusal) => return broken(&refusal),
        };
        let opened = inner
            .registry
            .open_stream(&self.place, Target::new(SERVICE), inputs(self.fields), StreamClass::Interactive)
            .await;
        let ByteStream { mut reader, writer, path } = match opened {
            Ok(stream) => stream,
            Err(error) => {
                inner.problems().insert(self.place.clone(), error.to_string());
                return broken(&error);
            }
        };
        inner.problems().remove(&self.place);
        let mut out: Writer = match permit.open(writer, Destination::device(&self.place, path.address)).await {
            Ok(out) => out,
            Err(error) => return broken(&error),
        };
        out.note_digest(None);
        out.stall_after(STALLS);
        let cancelled = out.cancelled();
        let (until, mut due, mut first) = (Instant::now() + LASTS, Some(Instant::now()), true);
        let mut nothing = [0; 16];
        let end = loop {
            if due.is_some_and(|due| due <= Instant::now()) {
                due = None;
                if !self.needed().is_subset(self.fields) {
                    break End::Next;
                }
                if let Err(why) = self.tell(&mut out, std::mem::take(&mut first)).await {
                    break End::Broken(why);
                }
            }
            let look = due;
            tokio::select! {
                biased;
                () = cancelled.cancelled() => break End::Broken("the consent ended".to_owned()),
                event = events.recv() => match event {
                    Ok(RegistryEvent::Event(face, target, event, arguments)) => {
                        let frame = self.happened(&face, target, event, arguments);
                        if let Some(frame) = frame && let Err(why) = put(&mut out, self.fields, &frame).await {
                            break End::Broken(why);
                        }
                    }
                    Ok(event) => if self.concerns(&event) {
                        due.get_or_insert(Instant::now() + SETTLES);
                    },
                    Err(RecvError::Lagged(_)) => {
                        self.all = true;
                        due.get_or_insert(Instant::now() + SETTLES);
                    }
                    Err(RecvError::Closed) => break End::Over,
                },
                changed = changed.changed() => {
                    let is_blocked = inner.house().is_none_or(|house| house.is_blocked(&self.place));
                    if changed.is_err() || is_blocked || inner.book.chosen(&self.place).is_empty() {
                        // Whatever was shown there is taken back.
                        break End::Next;
                    }
                    self.all = true;
                    due = Some(Instant::now());
                }
                // Nothing comes this way but the end.
                read = reader.read(&mut nothing) => match read {
                    Ok(length) if length > 0 => {}
                    _ => break End::Closed,
                },
                () = tokio::time::sleep_until(until.min(look.unwrap_or(until))) => if until <= Instant::now() {
                    break End::Next;
                },
            }
        };
        match &end {
            End::Broken(why) => out.fail(why).await,
            _ => {
                if let Err(error) = out.finish().await {
                    tracing::warn!(%error, "what was told of devices is not written down");
                }
            }
        }
        end
    }

    /// Which kinds of data all of it reveals, as far as the owner agreed.
    fn needed(&self) -> FieldSet {
        let granted = self.inner.book.granted(&self.place);
        let things = granted.iter().filter_map(|(id, granted)| Some((self.inner.registry.thing(id)?, granted)));
        let fields = things.map(|(thing, granted)| outside::fields(&self.inner.as_granted(&thing, granted)));
        let fields = fields.filter(|fields| self.agreed(*fields));
        fields.fold(always(), FieldSet::union)
    }

    fn agreed(&self, fields: FieldSet) -> bool {
        self.inner.gate.check(&self.inner.entry, &RecipientId::device(&self.place), fields).is_ok()
    }

    fn concerns(&mut self, event: &RegistryEvent) -> bool {
        let face = match event {
            RegistryEvent::Seen(known) => &known.device.id,
            RegistryEvent::Gone(id) | RegistryEvent::Values(id, ..) => id,
            RegistryEvent::Things { .. } => {
                self.all = true;
                return true;
            }
            RegistryEvent::Event(..) | RegistryEvent::Failed(..) => return false,
        };
        match self.faces.get(face) {
            Some(thing) => {
                self.dirty.insert(thing.clone());
                true
            }
            None => false,
        }
    }

    /// Tells what is new.
    async fn tell(&mut self, out: &mut Writer, first: bool) -> Result<(), String> {
        let (inner, place) = (self.inner.clone(), self.place.clone());
        let chosen = inner.book.granted(&place);
        let mut dirty = std::mem::take(&mut self.dirty);
        if std::mem::take(&mut self.all) {
            dirty = chosen.keys().chain(self.told.keys()).cloned().collect();
            self.faces.clear();
        }
        let mut kept = Vec::new();
        for thing in dirty {
            let mut now = chosen.get(&thing).and_then(|granted| self.look(&thing, granted));
            let before = self.told.get(&thing);
            for frame in news(before, now.as_ref()) {
                if !put(out, self.fields, &frame).await? {
                    // What it was is not what it is.
                    if let Some(before) = before {
                        put(out, self.fields, &Frame::Gone { device: before.id.clone() }).await?;
                    }
                    tracing::warn!(device = %thing, %place, "it is too much to be shown there");
                    now = None;
                    break;
                }
            }
            match now {
                Some(now) => {
                    if before.is_none_or(|before| !is_described_alike(before, &now)) {
                        kept.push((thing.clone(), now.clone()));
                    }
                    self.told.insert(thing, now);
                }
                None => drop(self.told.remove(&thing)),
            }
        }
        inner.book.keep(&place, kept.into_iter());
        if first {
            put(out, self.fields, &Frame::All).await?;
        }
        out.flush().await.map_err(|error| error.to_string())
    }

    /// A thing as it is to be shown there now; as it was when it is not here yet.
    fn look(&mut self, id: &DeviceId, granted: &Granted) -> Option<Device> {
        let there = self.inner.book.id_there(&self.place, id)?;
        self.faces.insert(id.clone(), id.clone());
        let Some(thing) = self.inner.registry.thing(id) else {
            let last = self.inner.book.last(&self.place, id)?;
            return (last.id == there).then_some(last);
        };
        for face in &thing.faces {
            self.faces.insert(face.known.device.id.clone(), id.clone());
        }
        let house = self.inner.house()?;
        let is_blocked = thing.faces.iter().any(|face| house.is_blocked(&face.known.device.id));
        let device = self.inner.as_granted(&thing, granted);
        let fields = outside::fields(&device);
        // More than the stream is for is told with the next one.
        if is_blocked || !fields.is_subset(self.fields) || self.inner.can_show(&thing, &self.place).is_err() {
            return None;
        }
        Some(outside::device(&device, there, granted.chosen, house.called(&thing.device)))
    }

    fn happened(
        &self,
        face: &DeviceId,
        target: Target,
        event: String,
        arguments: accord_model::Outputs,
    ) -> Option<Frame> {
        let thing = self.faces.get(face)?;
        let shown = self.told.get(thing)?;
        self.inner.book.granted(&self.place).get(thing).filter(|granted| granted.faces.contains_key(face))?;
        let service = find(shown, &target)?;
        let known = service.events.iter().any(|one| one.id == event);
        known.then(|| Frame::Event { device: shown.id.clone(), target, event, arguments })
    }
}

/// `false`: it is too long for a message.
async fn put(out: &mut Writer, fields: FieldSet, frame: &Frame) -> Result<bool, String> {
    let bytes = match frame.encode() {
        Ok(bytes) => bytes,
        Err(Broken::TooLong(_)) => return Ok(false),
        Err(broken) => return Err(broken.to_string()),
    };
    out.put(&Personal::of(fields, bytes)).await.map(|()| true).map_err(|error| error.to_string())
}

fn find<'a>(device: &'a Device, target: &Target) -> Option<&'a Service> {
    device.services.iter().find(|one| one.id == target.service && one.instance == target.instance)
}

/// The same but for what it says, and whether it is here.
fn is_described_alike(a: &Device, b: &Device) -> bool {
    let bare = |device: &Device| {
        let mut device = Device { reach: accord_model::Reach::Offline, ..device.clone() };
        device.services.iter_mut().for_each(|service| service.values.clear());
        device
    };
    bare(a) == bare(b)
}

/// What is to be told so that `now` is known where `before` was.
fn news(before: Option<&Device>, now: Option<&Device>) -> Vec<Frame> {
    match (before, now) {
        (None, None) => vec![],
        (Some(before), None) => vec![Frame::Gone { device: before.id.clone() }],
        (Some(before), Some(now)) if is_described_alike(before, now) => {
            let mut frames = Vec::new();
            for service in &now.services {
                let target = Target { service: service.id.clone(), instance: service.instance };
                let data = |values: &BTreeMap<String, Value>, id: &str| values.get(id).map(|value| value.data.clone());
                let known = find(before, &target).map(|service| service.values.clone()).unwrap_or_default();
                let new = service.values.iter().filter(|(id, value)| data(&known, id) != Some(value.data.clone()));
                let values: BTreeMap<String, Value> = new.map(|(id, value)| (id.clone(), value.clone())).collect();
                if known.keys().any(|id| !service.values.contains_key(id)) {
                    // Something that was said is not known any more.
                    return vec![Frame::Show(Box::new(now.clone()))];
                }
                if !values.is_empty() {
                    frames.push(Frame::Values { device: now.id.clone(), target, values });
                }
            }
            if before.reach != now.reach {
                frames.push(Frame::Reach { device: now.id.clone(), reach: now.reach });
            }
            frames
        }
        (_, Some(now)) => vec![Frame::Show(Box::new(now.clone()))],
    }
}

#[cfg(test)]
mod tests {
    use accord_model::{Data, DeviceKind, Reach, Source, Timestamp, catalogue};

    use super::*;

    fn lamp(level: i64, reach: Reach) -> Device {
        let mut light = catalogue::light();
        let value = Value { data: Data::Int(level), seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 9 };
        light.values.insert("level".into(), value);
        let mut lamp = Device::new(DeviceId::new("shown-1").unwrap(), DeviceKind::Light, "Lamp").with(light);
        lamp.reach = reach;
        lamp
    }

    #[test]
    fn only_what_is_new_is_told() {
        let lamp_is = |level| lamp(level, Reach::Local);
        assert!(news(Some(&lamp_is(1)), Some(&lamp_is(1))).is_empty(), "said again it is nothing new");
        let changed = news(Some(&lamp_is(1)), Some(&lamp_is(2)));
        assert!(matches!(&changed[..], [Frame::Values { values, .. }] if values["level"].data == Data::Int(2)));
        let away = news(Some(&lamp_is(1)), Some(&lamp(1, Reach::Offline)));
        assert!(matches!(&away[..], [Frame::Reach { reach: Reach::Offline, .. }]));
        let mut renamed = lamp_is(1);
        renamed.name = "Other".into();
        assert!(matches!(&news(Some(&lamp_is(1)), Some(&renamed))[..], [Frame::Show(_)]));
        let mut unsaid = lamp_is(1);
        unsaid.services[0].values.clear();
        assert!(matches!(&news(Some(&lamp_is(1)), Some(&unsaid))[..], [Frame::Show(_)]));
        assert!(matches!(&news(Some(&lamp_is(1)), None)[..], [Frame::Gone { .. }]));
        assert!(matches!(&news(None, Some(&lamp_is(1)))[..], [Frame::Show(_)]));
    }
}
