//! Adding a device by its code: a session under the code, its maker's certificates looked at, its number and certificate of
//! our fabric given to it, and a first session under that.
//!
//! Matter Core Specification 1.4: 5.5 (commissioning flows), 4.14.1 (PASE), 6.2 (attestation).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use accord_model::why::Outcome;
use accord_ports::hand::NoLine;
use matter_commissioning::driver::{AsyncDatagram, DriverConfig, DriverError, commission};
use matter_commissioning::{
    AttestationError, CommissionerConfig, CommissioningError, CommissioningFlow, DiscoveryCapabilities, Discriminator,
    NetworkCredentials, Passcode, SetupPayload, Stage, SystemNocRng,
};
use matter_transport::{Discovery, MatterService, QueryHandle, ServiceKind};
use tokio::sync::watch;

use super::fabric::{self, Fabric};
use super::line::Line;
use super::sky::Sky;
use super::trust::Trust;
use crate::core::code::{self, Code};

/// A device does this in seconds; one that its maker lets do it over a slow radio takes longer.
const WITHIN: Duration = Duration::from_secs(150);

/// A device that waits is awake, and answers at once; or it is held up, and takes another handshake later.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

const FULL: &str = "it has as many controllers as it can have";
const CONFLICT: &str = "it has a place among your devices already: it is added here under another name, or it was not there when you \
                        removed it, and never heard of that";
const TERMS: &str = "its maker wants terms to be accepted first, which its app does";

/// Why a device was not added.
#[derive(Debug)]
pub(crate) enum NotAdded {
    /// It is not its code.
    Code,
    /// Who made it is not vouched for, in words.
    NotCertified(String),
    /// It is being added by somebody already, or was until a moment ago.
    Busy,
    /// Nothing came back.
    Silent,
    /// It gives this machine no place, and will not as long as it is as it is: in words.
    NoPlace(String),
    /// It does not want, or something else is wrong.
    Failed(String),
    /// Nothing may be said to it, or not any more.
    Denied(String),
    /// There is no way to where it is; it may be reached elsewhere.
    NoWay(String, Outcome),
}

impl From<NoLine> for NotAdded {
    fn from(no: NoLine) -> Self {
        match no {
            NoLine::Denied(why) => Self::Denied(why),
            NoLine::Failed(why, outcome) => Self::NoWay(why, outcome),
        }
    }
}

/// What is read off a device, in the words of who gives it its place.
pub(crate) fn payload(code: &Code) -> Result<SetupPayload, String> {
    let discriminator = match code.discriminator {
        code::Discriminator::Long(all) => Discriminator::new(all),
        code::Discriminator::Short(upper) => Discriminator::from_short(upper),
    };
    Ok(SetupPayload {
        version: 0,
        vendor_id: code.vendor,
        product_id: code.product,
        commissioning_flow: CommissioningFlow::Standard,
        discovery_capabilities: DiscoveryCapabilities::empty(),
        discriminator: discriminator.map_err(|error| error.to_string())?,
        passcode: Passcode::new(code.passcode()).map_err(|error| error.to_string())?,
    })
}

/// Gives a device that waits at the other end its place in the fabric.
pub(crate) async fn add(
    line: &Line,
    fabric: &Fabric,
    trust: &Trust,
    sky: watch::Receiver<Sky>,
    payload: &SetupPayload,
    node: u64,
) -> Result<(), NotAdded> {
    let config = DriverConfig {
        commissioner: CommissionerConfig {
            // The driver puts that of the session here.
            pase_attestation_challenge: [0; 16],
            fabric: fabric.record(),
            setup_payload: payload,
            paa_trust_store: &trust.makers,
            cd_signing_roots: &trust.certifiers,
            commissioner_node_id: fabric.node(),
            assigned_node_id: node,
            ipk_epoch_key: fabric.ipk(),
            case_admin_subject: fabric.node(),
            admin_vendor_id: fabric::VENDOR,
            now: fabric.issuing(),
            rng: Arc::new(SystemNocRng),
            // It is in the network already: that is how it was found.
            network: NetworkCredentials::AlreadyOnNetwork,
        },
        commissionable_addr: Some(line.at()),
        passcode: payload.passcode.as_u32(),
        commissioner_noc: fabric.own(),
        commissioner_signer_pkcs8: fabric.own_key(),
    };
    let mut announced = Announced { sky, at: line.at() };
    let quiet = Quiet { line, state: Mutex::default() };
    let adding = tokio::time::timeout(WITHIN, Box::pin(commission(&quiet, &mut announced, config)));
    let added = tokio::select! {
        added = adding => added,
        () = line.is_mute(ANSWER_WITHIN) => return Err(NotAdded::Silent),
    };
    match added {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a device was not added");
            Err(judge(error))
        }
        Err(_) => Err(NotAdded::Silent),
    }
}

/// What a failure means. A wrong code is noticed by us, or by the device (4.14.1.2, status INVALID_PARAMETER).
fn judge(error: DriverError) -> NotAdded {
    use matter_crypto::Error as Crypto;
    match error {
        DriverError::Crypto(Crypto::ConfirmationTagMismatch | Crypto::InvalidSignatureOrTag) => NotAdded::Code,
        DriverError::SessionEstablishmentFailed { protocol_code: 2, .. } => NotAdded::Code,
        DriverError::SessionEstablishmentFailed { protocol_code: 4, .. } | DriverError::Crypto(Crypto::Busy) => {
            NotAdded::Busy
        }
        DriverError::Commissioning(CommissioningError::Attestation(error)) => {
            NotAdded::NotCertified(attestation(&error))
        }
        DriverError::Commissioning(CommissioningError::DeviceImStatus { stage, im_status }) => {
            refusal(stage, im_status).unwrap_or_else(|| failed(&error.to_string()))
        }
        DriverError::Timeout { .. } => NotAdded::Silent,
        DriverError::Io(error) => NotAdded::Failed(error.to_string()),
        error => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> NotAdded {
    NotAdded::Failed(accord_model::text::for_screen(why, 300))
}

/// What a number means depends on the step that it answers.
fn refusal(stage: Stage, number: u16) -> Option<NotAdded> {
    match (stage, number) {
        // Its fail-safe is still armed by whoever tried before (11.10.6.2: BUSY_WITH_OTHER_ADMIN).
        (Stage::ArmFailsafe, 4) => Some(NotAdded::Busy),
        // 11.18.4.10, NodeOperationalCertStatusEnum: TABLE_FULL and FABRIC_CONFLICT.
        (Stage::SendNoc, 5) => Some(NotAdded::NoPlace(FULL.to_owned())),
        (Stage::SendNoc, 9) => Some(NotAdded::NoPlace(CONFLICT.to_owned())),
        // 11.10.5.1, CommissioningErrorEnum: terms of its maker are not accepted, not answered, or too old.
        (Stage::SendComplete, 5..=7) => Some(NotAdded::NoPlace(TERMS.to_owned())),
        _ => None,
    }
}

fn attestation(error: &AttestationError) -> String {
    match error {
        AttestationError::UntrustedRoot => {
            "none of the makers' roots that you have vouches for it: it is a test device, one that somebody built, or of a \
             maker whose root is not in the folder"
                .to_owned()
        }
        AttestationError::CertificationDeclarationSignatureInvalid => {
            "its declaration that it is certified is signed by nobody whom you trust for that".to_owned()
        }
        error => format!("what it shows of its maker is wrong: {error}"),
    }
}

/// The line, for the driver: all but its last word, by which it would end its second session, for the reason that is told at
/// [`crate::core::dialog::Dialog::close`]. A word of that session leaves once another one follows, or an answer is awaited.
struct Quiet<'a, L> {
    line: &'a L,
    state: Mutex<Spoken>,
}

#[derive(Default)]
struct Spoken {
    /// The session under the code, by its number there; the one after it is the other.
    first: Option<u16>,
    held: Option<(Vec<u8>, SocketAddr)>,
}

impl<L: AsyncDatagram> Quiet<'_, L> {
    fn state(&self) -> std::sync::MutexGuard<'_, Spoken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sent twice rather than not at all, should this be dropped in the middle.
    async fn flush(&self) -> io::Result<()> {
        let held = self.state().held.clone();
        if let Some((bytes, peer)) = held {
            self.line.send_to(&bytes, peer).await?;
            self.state().held = None;
        }
        Ok(())
    }
}

impl<L: AsyncDatagram + Sync> AsyncDatagram for Quiet<'_, L> {
    async fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<()> {
        self.flush().await?;
        // Core Specification 1.4, 4.4.1: after the flags, of which session it is; none has the number zero.
        let session = bytes.get(1..3).map_or(0, |number| u16::from_le_bytes([number[0], number[1]]));
        let is_second = session != 0 && *self.state().first.get_or_insert(session) != session;
        if is_second {
            self.state().held = Some((bytes.to_vec(), peer));
            return Ok(());
        }
        self.line.send_to(bytes, peer).await
    }

    async fn recv_from(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
        self.flush().await?;
        self.line.recv_from().await
    }
}

/// What is announced, for the driver: of the device at the other end of the line only, with the address that the line has.
struct Announced {
    sky: watch::Receiver<Sky>,
    at: SocketAddr,
}

impl Discovery for Announced {
    fn publish(&mut self, _: &MatterService) -> matter_transport::Result<()> {
        Ok(())
    }
    fn unpublish(&mut self, _: &str, _: ServiceKind) -> matter_transport::Result<()> {
        Ok(())
    }
    fn query(&mut self, _: ServiceKind) -> matter_transport::Result<QueryHandle> {
        Ok(QueryHandle(0))
    }
    fn stop_query(&mut self, _: QueryHandle) {}
    fn poll_results(&mut self, _: QueryHandle) -> Vec<MatterService> {
        let sky = self.sky.borrow();
        let here = |at: &SocketAddr| at.ip() == self.at.ip();
        let of_node = |(name, node): (&String, &super::sky::Node)| {
            let port = node.at.iter().find(|at| here(at))?.port();
            let ip = vec![self.at.ip()];
            Some(MatterService::new(name.clone(), ServiceKind::Operational, ip, port, HashMap::new()))
        };
        sky.nodes.iter().filter_map(of_node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stage: Stage, im_status: u16) -> NotAdded {
        judge(DriverError::Commissioning(CommissioningError::DeviceImStatus { stage, im_status }))
    }

    /// What was sent, in order.
    #[derive(Default)]
    struct Wire(Mutex<Vec<Vec<u8>>>);

    impl AsyncDatagram for Wire {
        async fn send_to(&self, bytes: &[u8], _: SocketAddr) -> io::Result<()> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(())
        }
        async fn recv_from(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
            Ok((Vec::new(), ([127, 0, 0, 1], 1).into()))
        }
    }

    #[tokio::test]
    async fn every_word_but_the_last_one_of_the_second_session_leaves() {
        let wire = Wire::default();
        let quiet = Quiet { line: &wire, state: Mutex::default() };
        let say = |session: u8, what: u8| {
            let quiet = &quiet;
            async move { quiet.send_to(&[0, session, 0, what], ([127, 0, 0, 1], 1).into()).await.unwrap() }
        };
        let sent = || wire.0.lock().unwrap().iter().map(|bytes| bytes[3]).collect::<Vec<_>>();
        say(0, 1).await;
        say(7, 2).await;
        say(7, 3).await;
        say(0, 4).await;
        assert_eq!(sent(), [1, 2, 3, 4], "at once");
        say(9, 5).await;
        assert_eq!(sent().len(), 4);
        quiet.recv_from().await.unwrap();
        quiet.recv_from().await.unwrap();
        say(9, 6).await;
        say(9, 7).await;
        assert_eq!(sent(), [1, 2, 3, 4, 5, 6], "and the last one never");
    }

    #[test]
    fn what_a_device_answers_is_judged_by_what_it_was_asked() {
        assert!(matches!(of(Stage::ArmFailsafe, 4), NotAdded::Busy));
        assert!(matches!(of(Stage::SendNoc, 4), NotAdded::Failed(_)), "its request for a certificate is missing");
        assert!(matches!(of(Stage::SendNoc, 5), NotAdded::NoPlace(why) if why.contains("as many controllers")));
        assert!(matches!(of(Stage::SendNoc, 9), NotAdded::NoPlace(why) if why.contains("already")));
        assert!(matches!(of(Stage::SendComplete, 9), NotAdded::Failed(_)));
        assert!(matches!(of(Stage::SendComplete, 5), NotAdded::NoPlace(why) if why.contains("terms")));
    }
}
