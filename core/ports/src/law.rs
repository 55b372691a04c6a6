//! The side of the gate of a bridge with two entries: `search`, for everyone near, and `control`, for each device. A bridge with
//! more of them has those beside it, in a `law` of its own.

use std::time::Duration;

use accord_consent::outlet::Near;
use accord_consent::{BoundGate, ConsentWatch, Permit, RecipientId, Refusal};
use accord_model::why::Fact;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};
use accord_registry::why;
use tokio::time::{Instant, sleep_until};

/// How long before sockets that could not be opened are tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// What a search says.
pub const SEARCH: FieldSet = FieldSet::one(FieldCode::NetIp);

/// Cheap to clone.
#[derive(Clone)]
pub struct Law {
    gate: BoundGate,
    bridge: &'static str,
    search: EntryKey,
    control: EntryKey,
    standing: FieldSet,
}

impl Law {
    /// Of the bridge of this name, whose gate it is. `standing`: what every word to a device says.
    ///
    /// # Panics
    /// When no entry can have the bridge's name.
    pub fn new(gate: BoundGate, bridge: &'static str, standing: FieldSet) -> Self {
        Self::under(gate, bridge, "control", standing)
    }

    /// The same where the entry for each device is called otherwise than `control`. Where nothing is looked for, there need not be
    /// an entry `search`.
    ///
    /// # Panics
    /// When no entry can have these names.
    pub fn under(gate: BoundGate, bridge: &'static str, each: &str, standing: FieldSet) -> Self {
        let entry = |key| EntryKey::new(format!("{bridge}/{key}")).expect("a bridge's own entry keys are well formed");
        Self { gate, bridge, search: entry("search"), control: entry(each), standing }
    }

    /// Follows whether may be searched.
    pub fn search(&self) -> ConsentWatch {
        self.gate.watch(&self.search, &RecipientId::lan())
    }

    /// The way to everyone near.
    ///
    /// # Errors
    /// In words: the owner did not agree, or it cannot be recorded.
    pub async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.search, &RecipientId::lan(), SEARCH, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, self.bridge).await.map_err(|error| error.to_string())
    }

    /// Follows whether a device may be told anything.
    pub fn controls(&self, device: &DeviceId) -> ConsentWatch {
        self.gate.watch(&self.control, &RecipientId::device(device))
    }

    /// Whether a device may be told anything.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn may_control(&self, device: &DeviceId) -> Result<(), Refusal> {
        self.may_say(device, self.standing)
    }

    /// Whether a device may be told that.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn may_say(&self, device: &DeviceId, fields: FieldSet) -> Result<(), Refusal> {
        self.gate.check(&self.control, &RecipientId::device(device), fields)
    }

    /// A permit for what is said to a device from now on.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn control(&self, device: &DeviceId) -> Result<Permit, Refusal> {
        self.permit(device, self.standing, "while.connected")
    }

    /// A permit for saying these fields to a device, in one of the entry's scenarios.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn permit(&self, device: &DeviceId, fields: FieldSet, scenario: &str) -> Result<Permit, Refusal> {
        self.gate.permit(&self.control, &RecipientId::device(device), fields, scenario)
    }

    /// How the owner decided, for a diagnosis. `searched`: only a search finds the device.
    pub fn facts(&self, device: Option<&DeviceId>, searched: bool) -> Vec<Fact> {
        let search = self.gate.check(&self.search, &RecipientId::lan(), SEARCH);
        let mut facts = vec![why::consent(&self.search, None, searched, search)];
        facts.extend(device.map(|device| self.fact(device)));
        facts
    }

    /// The same for a device alone.
    pub fn fact(&self, device: &DeviceId) -> Fact {
        why::consent(&self.control, Some(device), true, self.may_control(device))
    }
}

/// When a search can begin: once the owner agrees, and a while after it could not.
#[derive(Debug)]
pub struct Searching {
    /// Not before this time.
    again: Instant,
    trouble: Option<String>,
}

impl Searching {
    /// It can begin at once.
    pub fn new() -> Self {
        Self { again: Instant::now(), trouble: None }
    }

    /// Waits until it can begin. May be dropped at any time.
    pub async fn due(&self, law: &Law) {
        sleep_until(self.again).await;
        law.search().allowed().await;
    }

    /// The way to everyone near. `what`: whom it is about, for a warning when there is no way.
    pub async fn begin(&mut self, law: &Law, what: &str) -> Option<Near> {
        self.again = Instant::now() + AGAIN;
        let near = law.near().await;
        self.trouble = near.as_ref().err().cloned();
        near.inspect_err(|why| tracing::warn!("{what} cannot be looked for now; it is tried again: {why}")).ok()
    }

    /// The search ended with its consent: with another one it can begin at once.
    pub fn ended(&mut self) {
        self.again = Instant::now();
    }

    /// Why it could not begin, for a diagnosis.
    pub fn trouble(&self) -> Option<Fact> {
        self.trouble.clone().map(|why| Fact::NotOpen { why })
    }
}

impl Default for Searching {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use accord_consent::{Choice, Decision, Gate, To, example};

    use super::*;

    /// After how many seconds it can.
    async fn begins(searching: &Searching, law: &Law) -> Option<u64> {
        let now = Instant::now();
        tokio::time::timeout(AGAIN, searching.due(law)).await.ok().map(|()| now.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_begins_once_it_is_agreed_to_and_a_while_after_it_could_not() {
        let dir = tempfile::tempdir().unwrap();
        let (statement, signer) = example::parts();
        let gate = Gate::open(dir.path(), statement, signer).unwrap();
        // Its entry for everyone near has another name, and lets out other fields: the way is agreed to and not opened.
        let beacon = EntryKey::new("example/beacon").unwrap();
        let law = Law::under(gate.bind("example"), "example", "hello", SEARCH);
        let law = Law { search: beacon.clone(), ..law };
        let mut searching = Searching::new();
        assert_eq!(begins(&searching, &law).await, None);
        let shown = gate.notice(&beacon, "en").unwrap().shown("test");
        gate.decide(Decision::new(beacon.clone(), To::Any, Choice::Always, shown)).unwrap();
        assert_eq!(begins(&searching, &law).await, Some(0));
        assert!(searching.begin(&law, "Beacons").await.is_none() && searching.trouble().is_some());
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(begins(&searching, &law).await, Some(3));
        searching.begin(&law, "Beacons").await;
        searching.ended();
        assert_eq!(begins(&searching, &law).await, Some(0));
    }
}
