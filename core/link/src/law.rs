//! The link's side of the gate: its entries, the fields each lets out, and labels for what is counted.

use accord_consent::{BoundGate, ConsentWatch, DatagramLease, Destination, Permit, RecipientId, Refusal, SendError};
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet};

use crate::api::LinkError;
use crate::endpoint::PathSnapshot;

pub(crate) const DISCOVERY: &str = "link/discovery";
pub(crate) const PAIRING: &str = "link/pairing";
pub(crate) const CONNECTION: &str = "link/connection";
pub(crate) const RELAY: &str = "link/relay";

/// A key that is written in this crate.
pub(crate) fn entry(key: &str) -> EntryKey {
    EntryKey::new(key).expect("the link's own entry keys are well formed")
}

fn set(fields: &[FieldCode]) -> FieldSet {
    fields.iter().copied().collect()
}

/// What every announcement holds.
pub(crate) fn discovery_fields() -> FieldSet {
    set(&[FieldCode::DeviceIdResettable, FieldCode::NetIp])
}
/// What every pairing shows.
pub(crate) fn pairing_fields() -> FieldSet {
    set(&[FieldCode::DeviceId, FieldCode::KeyPublic, FieldCode::NetIp, FieldCode::DeviceName, FieldCode::DeviceType])
}
/// What every connection shows by standing.
pub(crate) fn connection_fields() -> FieldSet {
    set(&[FieldCode::DeviceId, FieldCode::KeyPublic, FieldCode::NetIp])
}

/// Why nothing may leave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Denied {
    pub(crate) fn for_owner(self, key: &str) -> LinkError {
        let notice = match self {
            Self::Refusal(refusal) => say(&refusal),
            Self::Send(error) => error.to_string(),
        };
        LinkError::NotConsented { entry: entry(key), notice }
    }
}

/// A refusal in the owner's words.
pub(crate) fn say(refusal: &Refusal) -> String {
    refusal.to_string()
}

/// The gate, bound to the link's entries.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        Self { gate }
    }

    pub(crate) fn watch(&self, key: &str, to: &RecipientId) -> ConsentWatch {
        self.gate.watch(&entry(key), to)
    }
    pub(crate) fn watch_connection(&self, peer: &DeviceId) -> ConsentWatch {
        self.watch(CONNECTION, &RecipientId::device(peer))
    }

    /// `required` and those of `optional` that the owner granted. Writes nothing.
    pub(crate) fn granted(
        &self,
        key: &str,
        to: &RecipientId,
        required: FieldSet,
        optional: FieldSet,
    ) -> Result<FieldSet, Refusal> {
        let key = entry(key);
        self.gate.check(&key, to, required)?;
        let also = |field: &FieldCode| self.gate.check(&key, to, required.union(FieldSet::one(*field))).is_ok();
        Ok(optional.iter().filter(also).fold(required, |all, field| all.union(FieldSet::one(field))))
    }

    pub(crate) fn permit(
        &self,
        key: &str,
        to: &RecipientId,
        fields: FieldSet,
        scenario: &str,
    ) -> Result<Permit, Refusal> {
        self.gate.permit(&entry(key), to, fields, scenario)
    }

    /// A lease for everything that is sent to everyone near under one entry.
    pub(crate) async fn lan_lease(
        &self,
        key: &str,
        fields: FieldSet,
        scenario: &str,
        address: &str,
    ) -> Result<DatagramLease, Denied> {
        let permit = self.permit(key, &RecipientId::lan(), fields, scenario)?;
        Ok(permit.datagrams(Destination::lan(address)).await?)
    }

    /// A lease for the connection to one paired device.
    pub(crate) async fn connection_lease(&self, peer: &DeviceId) -> Result<DatagramLease, Denied> {
        let to = RecipientId::device(peer);
        let permit = self.permit(CONNECTION, &to, connection_fields(), "link.connect")?;
        Ok(permit.datagrams(Destination::device(peer, "link:quic")).await?)
    }

    /// Where a connection goes, for the ledger. One that goes through a relay needs the consent to that relay beside
    /// the one to the device: without it nothing is sent, whatever the other side set up.
    pub(crate) fn way(&self, path: &PathSnapshot) -> Result<String, Refusal> {
        let relay = match (path.remote, &path.relay) {
            (Some(remote), _) => return Ok(remote.to_string()),
            (None, None) => return Ok(String::new()),
            (None, Some(relay)) => relay,
        };
        let refused =
            || Refusal::HostNotDeclared { entry: entry(RELAY), to: accord_model::text::for_screen(relay, 80) };
        let (_, host) = crate::link::relay_host(relay).ok_or_else(refused)?;
        let to = RecipientId::host(&host).map_err(|_| refused())?;
        self.gate.check(&entry(RELAY), &to, connection_fields())?;
        Ok(relay.clone())
    }

    /// A lease for the relay that the owner configured.
    pub(crate) async fn relay_lease(&self, host: &str) -> Result<DatagramLease, Denied> {
        let to: RecipientId = RecipientId::host(host).map_err(|_| Refusal::HostNotDeclared {
            entry: entry(RELAY),
            to: accord_model::text::for_screen(host, 80),
        })?;
        let permit = self.permit(RELAY, &to, connection_fields(), "link.relay")?;
        Ok(permit.datagrams(Destination::new(to, host)).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use accord_consent::{Choice, Decision, Gate, To, example};
    use accord_statement::{Publisher, Statement};

    use super::*;

    #[test]
    fn nothing_goes_through_a_relay_without_the_consent_to_that_relay() {
        let folder = tempfile::tempdir().unwrap();
        let parts = crate::statement_for(Some("https://relay.example"));
        let statement = Statement::join("accord", "Accord", Publisher::named("x"), "1", &[&parts]).unwrap();
        let gate = Gate::open(folder.path(), statement, Arc::clone(&example::key(1))).unwrap();
        let law = Law::new(gate.bind("link"));
        let by = |remote: Option<&str>, relay: Option<&str>| PathSnapshot {
            local: None,
            remote: remote.map(|remote| remote.parse().unwrap()),
            relay: relay.map(str::to_owned),
            rtt: None,
            sent: 0,
        };
        let relayed = by(None, Some("https://relay.example/"));
        assert_eq!(law.way(&by(Some("192.168.1.7:9"), None)).unwrap(), "192.168.1.7:9");
        assert!(matches!(law.way(&relayed), Err(Refusal::Undecided { .. })));
        let to = To::One(RecipientId::host("relay.example:443").unwrap());
        let shown = gate.notice(&entry(RELAY), "en").unwrap().shown("test");
        gate.decide(Decision::new(entry(RELAY), to.clone(), Choice::Always, shown)).unwrap();
        assert_eq!(law.way(&relayed).unwrap(), "https://relay.example/");
        assert!(law.way(&by(None, Some("https://other.example/"))).is_err(), "another relay is another recipient");
        gate.withdraw((entry(RELAY), to)).unwrap();
        assert!(matches!(law.way(&relayed), Err(Refusal::Withdrawn(_))));
    }
}
