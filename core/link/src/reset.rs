//! New ids for this device: a new link key, new announcement ids, a new port, a new pairing endpoint. Paired
//! devices that are connected are told the new key over the connection that stands; for the others this
//! device is gone until it is paired again.

use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Envelope, Personal};
use accord_identity::Handover;
use accord_identity::announce::{slot, slots_around};
use accord_model::{CallError, FieldCode, Outputs, Timestamp};
use data_encoding::BASE64;
use iroh::endpoint::SendStream;
use tokio::task::JoinSet;

use crate::api::{LinkError, ResetDone};
use crate::frame::{self, FrameError};
use crate::inner::{Inner, lock};
use crate::peer::{Live, Peer};
use crate::serve::{SMALL, WITHIN, open, send_sealed};
use crate::wire::{Answer, Moved, Opening};

/// How long the peers have, all together, to keep the new key.
const TELL_WITHIN: Duration = Duration::from_secs(5);
/// How long the other side may take to come back under its new key.
const MOVES_WITHIN: Duration = Duration::from_secs(2 * TELL_WITHIN.as_secs());

impl Inner {
    /// See the module. The new keys are on disk before anyone is told: what is not saved does not count.
    pub(crate) async fn reset_ids(self: &Arc<Self>) -> Result<ResetDone, LinkError> {
        let _one = self.resetting.lock().await;
        let old = self.identity();
        let saved = {
            let old = old.clone();
            tokio::task::spawn_blocking(move || old.reset().map_err(|error| error.to_string())).await
        };
        let new = saved.map_err(|error| error.to_string()).and_then(|saved| saved);
        let new = new.map_err(|why| LinkError::System { what: "making new ids".into(), why })?;
        let done = self.tell_peers(&new.handover(&old.transport_public())).await;
        let now = slot(Timestamp::now());
        *lock(&self.former) = slots_around(now).map(|slot| old.announcement_id(slot)).to_vec();
        self.set_identity(Arc::new(new));
        self.memory.new_port();
        self.renew_pair.notify_one();
        self.endpoint_wanted.notify_one();
        self.people_changed.send_modify(|version| *version += 1);
        Ok(done)
    }

    async fn tell_peers(self: &Arc<Self>, handover: &Handover) -> ResetDone {
        let mut done = ResetDone::default();
        let mut telling = JoinSet::new();
        for record in self.peers.list() {
            done.away.push(record.device_id.clone());
            if let Some((peer, live)) = self.peer(&record.device_id).and_then(|peer| Some((peer.clone(), peer.now()?)))
            {
                let (inner, handover) = (self.clone(), handover.clone());
                telling.spawn(async move { tell(&inner, &peer, &live, &handover).await.then(|| peer.id.clone()) });
            }
        }
        let all = async {
            while let Some(told) = telling.join_next().await {
                if let Ok(Some(id)) = told {
                    done.away.retain(|away| *away != id);
                    done.told.push(id);
                }
            }
        };
        let _ = tokio::time::timeout(TELL_WITHIN, all).await;
        done
    }
}

async fn tell(inner: &Inner, peer: &Peer, live: &Live, handover: &Handover) -> bool {
    let told = async {
        let (mut send, mut recv) = open(inner, live).await?;
        frame::write(&mut send, &Opening::Moved, SMALL, WITHIN).await?;
        let key = |bytes: &[u8]| Personal::new(FieldCode::KeyPublic, BASE64.encode(bytes));
        let envelope = Envelope::new()
            .text("key", &key(&handover.transport))
            .text("by_statement", &key(&handover.by_statement))
            .text("by_transport", &key(&handover.by_transport));
        if !send_sealed(inner, peer, live, &mut send, envelope, "link.hello").await {
            return Ok(false);
        }
        let _ = send.finish();
        let answer: Answer = frame::read(&mut recv, SMALL, WITHIN).await?;
        Ok::<_, FrameError>(answer.outcome.is_ok())
    };
    told.await.unwrap_or_else(|error| {
        tracing::debug!(peer = %peer.id, %error, "the new key was not taken");
        false
    })
}

/// A peer says that it has a new transport key. It is kept before the answer says so. The connection under
/// the old one lasts until the peer, who tells others too, ends it.
pub(crate) async fn heard(
    inner: &Arc<Inner>,
    peer: &Arc<Peer>,
    live: &Arc<Live>,
    moved: Moved,
    mut send: SendStream,
) -> Result<(), FrameError> {
    let proven = moved.handover().filter(|handover| handover.is_from(&peer.statement, &peer.transport));
    let outcome = match proven {
        None => Err(CallError::Refused("the new key is not proven".into())),
        Some(handover) => {
            let (inner, id) = (inner.clone(), peer.id.clone());
            let kept = tokio::task::spawn_blocking(move || inner.peers.set_transport(&id, handover.transport)).await;
            match kept {
                Ok(Ok(_)) => Ok(Outputs::new()),
                _ => Err(CallError::Device("the new key could not be kept".into())),
            }
        }
    };
    let kept = outcome.is_ok();
    frame::write(&mut send, &Answer { outcome }, SMALL, WITHIN).await?;
    let _ = send.finish();
    if kept {
        tracing::info!(peer = %peer.id, "it has new ids; they are kept");
        let _ = tokio::time::timeout(MOVES_WITHIN, live.connection.closed()).await;
        inner.sync_people();
    }
    Ok(())
}
