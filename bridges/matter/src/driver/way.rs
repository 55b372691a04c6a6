//! The way to a device: giving it its place in the fabric, and making a session with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_model::DeviceId;
use accord_model::why::Outcome;
use matter_commissioning::SetupPayload;
use matter_commissioning::driver::{CaseEstablishOptions, DriverError, run_case_establish_with};
use matter_transport::MrpConfig;
use tokio::sync::watch;

use super::commission::{self, NotAdded};
use super::fabric::{self, Fabric};
use super::law::Law;
use super::line::{Line, NoLine};
use super::nodes::Refused;
use super::sky::Sky;
use super::trust::Trust;
use crate::core::dialog::Dialog;

/// A handshake: a node that sleeps answers late.
const SESSION_WITHIN: Duration = Duration::from_secs(45);
/// A node that does not sleep answers within its repeats.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

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

impl Way {
    /// Whether its maker is vouched for by somebody real.
    pub(super) async fn add(self, at: SocketAddr, payload: SetupPayload, tests: bool) -> Result<bool, End> {
        let own = Trust::of_folder(&self.roots).map_err(|why| End::Refused(Refused::NotCertified(why)))?;
        let real = (!own.makers.is_empty() || !tests).then_some((own, true));
        let made_up = tests.then(|| (Trust::of_tests(), false));
        let mut why = String::new();
        for (trust, certified) in real.into_iter().chain(made_up) {
            let line = Line::open(&self.law, &self.device, at).await?;
            let cancelled = line.cancelled();
            let added = commission::add(&line, &self.fabric, &trust, self.sky.clone(), &payload, self.node).await;
            if matches!(added, Err(NotAdded::Code)) {
                line.give_up_handshake().await;
            }
            line.close();
            match added {
                Ok(()) => return Ok(certified),
                Err(_) if cancelled.is_cancelled() => return Err(End::Denied(WITHDRAWN.to_owned())),
                Err(NotAdded::NotCertified(said)) => why = said,
                Err(NotAdded::Code) => return Err(End::Refused(Refused::Code)),
                Err(NotAdded::Busy) => return Err(End::Busy),
                Err(NotAdded::Silent) => return Err(End::Lost("it did not answer".to_owned(), Outcome::Silent)),
                Err(NotAdded::Failed(why)) => return Err(End::Lost(why.clone(), Outcome::Failed(why))),
            }
        }
        Err(End::Refused(Refused::NotCertified(why)))
    }

    /// A session with it, and the way that it goes.
    pub(super) async fn session(self, at: SocketAddr, patience: MrpConfig) -> Result<(Line, Dialog), End> {
        let line = Line::open(&self.law, &self.device, at).await?;
        let cancelled = line.cancelled();
        match self.handshake(&line, patience).await {
            Ok(dialog) => Ok((line, dialog)),
            Err(end) => {
                line.close();
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
        let options = CaseEstablishOptions::new(id, credentials, roots, self.node, self.fabric.id(), fabric::now())
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
