//! The way to a device: giving it its place in the fabric, and making a session with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_model::DeviceId;
use accord_model::why::Outcome;
use accord_ports::hand::NoLine;
use matter_commissioning::SetupPayload;
use matter_commissioning::driver::{AsyncDatagram, CaseEstablishOptions, DriverError, run_case_establish_with};
use matter_interaction::CommandPath;
use matter_transport::MrpConfig;
use tokio::sync::watch;

use super::commission::{self, NotAdded};
use super::fabric::Fabric;
use super::law::Law;
use super::line::{Leases, Line};
use super::nodes::Refused;
use super::sky::Sky;
use super::trust::Trust;
use crate::core::dialog::{Dialog, Event, Word};
use crate::core::value::Value;

/// A handshake: a node that sleeps answers late.
const SESSION_WITHIN: Duration = Duration::from_secs(45);
/// A node that does not sleep answers within its repeats.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// A node that has a session has so long to say that it has its place.
const COMPLETE_WITHIN: Duration = Duration::from_secs(10);
/// An acknowledgement that goes with nothing else is sent after a fifth of a second (4.12.8).
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(500);
/// The cluster by which places are given (11.10), and the command that ends that.
const GENERAL_COMMISSIONING: u32 = 0x30;
const COMMISSIONING_COMPLETE: u32 = 4;

const WITHDRAWN: &str = "you withdrew your consent";

/// What it takes to speak to the device: cheap to clone, so that the hand hears orders meanwhile.
#[derive(Clone)]
pub(crate) struct Way {
    pub law: Law,
    pub fabric: Arc<Fabric>,
    /// Where the owner's roots are.
    pub roots: PathBuf,
    pub device: DeviceId,
    /// Its number in the fabric.
    pub node: u64,
    pub sky: watch::Receiver<Sky>,
    pub leases: Leases,
}

/// How it ended.
pub(super) enum End {
    /// The mind let go of the device.
    Gone,
    /// It goes on at once.
    Again,
    Denied(String),
    /// Nothing is to be tried before the owner does something.
    Refused(Refused),
    /// It is held up by an attempt before.
    Busy,
    Lost(String, Outcome),
}

impl From<NoLine> for End {
    fn from(no: NoLine) -> Self {
        match no {
            NoLine::Denied(why) => Self::Denied(why),
            NoLine::Failed(why, outcome) => Self::Lost(why, outcome),
        }
    }
}

impl End {
    /// What says more of two that came of the same attempt.
    pub(super) fn or(self, other: Self) -> Self {
        let weight = |end: &Self| match end {
            Self::Refused(_) => 3,
            Self::Busy => 2,
            Self::Lost(_, Outcome::Silent) => 0,
            _ => 1,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
}

impl Way {
    /// Whether its maker is vouched for by somebody real.
    pub(super) async fn add(self, at: SocketAddr, payload: SetupPayload, tests: bool) -> Result<bool, NotAdded> {
        let own = Trust::read(self.roots.clone()).await.map_err(NotAdded::NotCertified)?;
        // The owner says that it is one for tests: then that is most likely, and each attempt costs time.
        let made_up = tests.then(|| (Trust::of_tests(), false));
        let mut why = String::new();
        for (trust, certified) in made_up.into_iter().chain([(own, true)]) {
            let line = Line::open(&self.law, &self.device, at, &self.leases).await?;
            let cancelled = line.cancelled();
            let added = commission::add(&line, &self.fabric, &trust, self.sky.clone(), &payload, self.node).await;
            if matches!(added, Err(NotAdded::Code)) {
                line.give_up_handshake().await;
            }
            match added {
                Ok(()) => line.close(),
                Err(_) => line.keep(&self.leases),
            }
            match added {
                Ok(()) => return Ok(certified),
                Err(_) if cancelled.is_cancelled() => return Err(NotAdded::Denied(WITHDRAWN.to_owned())),
                Err(NotAdded::NotCertified(said)) => why = said,
                Err(other) => return Err(other),
            }
        }
        Err(NotAdded::NotCertified(why))
    }

    /// Makes sure that it has its place, as somebody that is announced to have one. Only who was given one can have a session.
    ///
    /// Core Specification 1.4, 11.10.7.6 (CommissioningComplete): until that was said, it would forget its place.
    pub(super) async fn complete(self, at: SocketAddr, patience: MrpConfig) -> Result<(), End> {
        let (line, mut dialog) = self.session(at, patience).await?;
        let cancelled = line.cancelled();
        let completed = tokio::time::timeout(COMPLETE_WITHIN, completed(&line, &mut dialog)).await;
        acknowledge(&line, &mut dialog).await;
        dialog.close();
        while let Some(bytes) = dialog.transmit() {
            let _ = line.send_to(&bytes, line.at()).await;
        }
        line.close();
        match completed {
            Ok(Ok(())) => Ok(()),
            _ if cancelled.is_cancelled() => Err(End::Denied(WITHDRAWN.to_owned())),
            Ok(Err(why)) => Err(End::Lost(why.clone(), Outcome::Failed(why))),
            Err(_) => Err(End::Lost("it did not answer".to_owned(), Outcome::Mute)),
        }
    }

    /// A session with it, and the way that it goes.
    pub(super) async fn session(self, at: SocketAddr, patience: MrpConfig) -> Result<(Line, Dialog), End> {
        let line = Line::open(&self.law, &self.device, at, &self.leases).await?;
        let cancelled = line.cancelled();
        match self.handshake(&line, patience).await {
            Ok(dialog) => Ok((line, dialog)),
            Err(end) => {
                line.keep(&self.leases);
                Err(if cancelled.is_cancelled() { End::Denied(WITHDRAWN.to_owned()) } else { end })
            }
        }
    }

    async fn handshake(&self, line: &Line, patience: MrpConfig) -> Result<Dialog, End> {
        let failed = |why: String| End::Lost(why.clone(), Outcome::Failed(why));
        let (credentials, roots) = self.fabric.credentials().map_err(failed)?;
        let mut id = [0; 2];
        let _ = getrandom::fill(&mut id);
        let id = u16::from_ne_bytes(id).max(1);
        let options = CaseEstablishOptions::new(id, credentials, roots, self.node, self.fabric.id(), self.fabric.now())
            .with_peer_mrp(patience);
        let made = Box::pin(run_case_establish_with(line, line.at(), options));
        let made = tokio::select! {
            made = tokio::time::timeout(SESSION_WITHIN, made) => made,
            () = line.is_mute(ANSWER_WITHIN.max(patience.initial_idle * 3)) => {
                return Err(End::Lost("it did not answer".to_owned(), Outcome::Silent));
            }
        };
        match made {
            Ok(Ok(made)) => {
                let patience = made.peer_session_params.map_or(patience, |said| patience.merge_session_params(&said));
                Ok(Dialog::new(&made.output, patience, Instant::now()))
            }
            // It knows no fabric of ours (4.11.1.3: NO_SHARED_TRUST_ROOTS).
            Ok(Err(DriverError::SessionEstablishmentFailed { protocol_code: 1, .. })) => {
                Err(End::Refused(Refused::Forgotten))
            }
            Ok(Err(DriverError::Timeout { .. })) | Err(_) => {
                Err(End::Lost("it did not answer".to_owned(), Outcome::Silent))
            }
            Ok(Err(error)) => Err(failed(accord_model::text::for_screen(&error.to_string(), 300))),
        }
    }
}

async fn completed(line: &Line, dialog: &mut Dialog) -> Result<(), String> {
    let path = CommandPath { endpoint: 0, cluster: GENERAL_COMMISSIONING, command: COMMISSIONING_COMPLETE };
    let fields = Value::Struct(Vec::new()).encode().map_err(|error| error.to_string())?;
    let now = Instant::now();
    dialog.say(1, Word::Invoke { path, fields, timed: false }, now + COMPLETE_WITHIN, now);
    loop {
        while let Some(bytes) = dialog.transmit() {
            line.send_to(&bytes, line.at()).await.map_err(|error| error.to_string())?;
        }
        match dialog.event() {
            Some(Event::Done(_, Ok(fields))) => return is_complete(&fields),
            Some(Event::Done(_, Err(trouble))) => return Err(trouble.to_string()),
            Some(Event::Over(why)) => return Err(why),
            Some(_) => continue,
            None => {}
        }
        let wake = dialog.wake().unwrap_or_else(|| Instant::now() + COMPLETE_WITHIN);
        tokio::select! {
            received = line.recv_from() => {
                dialog.datagram(&received.map_err(|error| error.to_string())?.0, Instant::now());
            }
            () = tokio::time::sleep_until(wake.into()) => dialog.timeout(Instant::now()),
        }
    }
}

/// Lets what was heard last be acknowledged: the node would repeat it for long otherwise, and do nothing with its fabrics until then.
async fn acknowledge(line: &Line, dialog: &mut Dialog) {
    let until = Instant::now() + ACKNOWLEDGED_WITHIN;
    while let Some(wake) = dialog.wake().filter(|wake| *wake <= until) {
        tokio::time::sleep_until(wake.into()).await;
        dialog.timeout(Instant::now());
        while let Some(bytes) = dialog.transmit() {
            let _ = line.send_to(&bytes, line.at()).await;
        }
    }
}

/// By CommissioningErrorEnum (11.10.5.1): it is done now, or was before, so that no fail-safe is armed, or it is another's.
fn is_complete(fields: &[u8]) -> Result<(), String> {
    match Value::decode(fields).ok().and_then(|fields| fields.field(0).and_then(Value::uint)) {
        Some(0 | 3 | 4) => Ok(()),
        said => Err(format!("it does not say that it was added: {said:?}")),
    }
}
