//! The driver: asks by multicast while the owner agrees, and tells of the receivers that answer.

use std::time::{Duration, Instant};

use accord_consent::outlet::Near;
use accord_consent::outlet::interfaces::Network;
use accord_consent::{BoundGate, RecipientId};
use accord_model::why::{Body, Explained};
use accord_model::{CallError, EntryKey, FieldCode, FieldSet, FromBridge, ToBridge};
use accord_ports::dns_sd::{Browsing, Seen};
use accord_registry::{Bridge, BridgeSide, why};
use async_trait::async_trait;

use crate::core::{Announced, Receivers, TYPES};

/// How long before sockets that could not be opened are tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// What a question says.
const SAID: FieldSet = FieldSet::one(FieldCode::NetIp);

/// Asks for receivers and says what they are.
pub struct LeboBridge {
    gate: BoundGate,
    entry: EntryKey,
    network: Network,
}

impl LeboBridge {
    /// Under the entry of `lebo`, which `gate` is bound to. Nothing is sent yet, and no socket made.
    pub fn new(gate: BoundGate, network: Network) -> Self {
        let entry = EntryKey::new("lebo/search").expect("the bridge's own entry has a well-formed key");
        Self { gate, entry, network }
    }

    async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.entry, &RecipientId::lan(), SAID, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "lebo").await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Bridge for LeboBridge {
    fn name(&self) -> &str {
        "lebo"
    }

    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut receivers = Receivers::default();
        let (mut asking, mut again): (Option<Browsing>, Instant) = (None, Instant::now());
        loop {
            let mut allowed = self.gate.watch(&self.entry, &RecipientId::lan());
            tokio::select! {
                biased;
                message = side.inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => return Ok(()),
                    Some((message, _)) => self.message(&side, message).await,
                },
                seen = next(&mut asking) => {
                    if let Some(over) = asking.take_if(|_| seen == Seen::Over) {
                        over.close();
                        again = Instant::now();
                    }
                    for message in told(&mut receivers, seen) {
                        let _ = side.tell(message).await;
                    }
                }
                () = async {
                    tokio::time::sleep_until(again.into()).await;
                    allowed.allowed().await;
                }, if asking.is_none() => {
                    again = Instant::now() + AGAIN;
                    match self.near().await {
                        Ok(near) => asking = Some(Browsing::open(near, self.network, SAID, &TYPES).await),
                        Err(why) => tracing::warn!("receivers are not asked for now: {why}"),
                    }
                }
            }
        }
    }
}

impl LeboBridge {
    async fn message(&self, side: &BridgeSide, message: ToBridge) {
        let unsupported = || CallError::Unsupported("such a receiver is recognised, and not driven".to_owned());
        let answer = match message {
            ToBridge::Call { call, .. } => FromBridge::Reply { call, outcome: Err(unsupported()) },
            ToBridge::OpenStream { stream, .. } => FromBridge::StreamFailed { stream, error: unsupported() },
            ToBridge::Explain { call, .. } => {
                let decided = self.gate.check(&self.entry, &RecipientId::lan(), SAID);
                let facts = vec![why::consent(&self.entry, None, true, decided)];
                FromBridge::Explained { call, explained: Explained::new("Lebo", Body::Appliance, facts) }
            }
            _ => return,
        };
        let _ = side.tell(answer).await;
    }
}

fn told(receivers: &mut Receivers, seen: Seen) -> Vec<FromBridge> {
    let gone = |device| FromBridge::Gone { device };
    match seen {
        Seen::Here { instance, at } => {
            let addresses = at.iter().map(|at| at.ip()).collect();
            let announced =
                Announced { service: &instance.service, name: &instance.name, addresses, txt: &instance.txt };
            receivers.found(&announced).map(|device| FromBridge::Seen { device }).into_iter().collect()
        }
        Seen::Gone { service, name } => receivers.lost(&service, &name).map(gone).into_iter().collect(),
        Seen::Over => receivers.all_lost().into_iter().map(gone).collect(),
    }
}

/// Waits for ever while nothing is asked.
async fn next(asking: &mut Option<Browsing>) -> Seen {
    match asking {
        Some(asking) => asking.next().await,
        None => std::future::pending().await,
    }
}
