//! Looking: what a camera sees is asked of its server over a connection of its own, under the lease of the one that stays.

use accord_model::text::for_screen;
use accord_model::{CallError, DeviceId, FromBridge, StreamId, Target};
use accord_ports::Outbox;
use accord_ports::hand::BEGUN_WITHIN;
use accord_ports::picture::{self, Picture};
use accord_registry::PathInfo;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::hand::Order;
use super::wire::{NoLine, Way};

/// Pictures that are asked for at once.
const AT_ONCE: usize = 8;

/// Pictures on their way. Dropped, it ends them.
#[derive(Default)]
pub(crate) struct Looking(JoinSet<()>);

impl Looking {
    /// Gives what a thing of a server's has to be looked at on a stream. `server`: what its owner calls it, and its hand.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] at once when there is no hand, or too much is asked of it.
    pub(crate) fn begin(
        &mut self,
        stream: StreamId,
        (device, target): (DeviceId, Target),
        (name, hand): (&str, Option<&mpsc::Sender<Order>>),
        outbox: &Outbox,
    ) -> Result<(), CallError> {
        while self.0.try_join_next().is_some() {}
        let name = for_screen(name, 64);
        let away = CallError::Unreachable(format!("{name} is not reached"));
        let hand = hand.ok_or_else(|| away.clone())?;
        let busy = || CallError::Unreachable(format!("{name} is asked for too much at once; try again in a moment"));
        if self.0.len() >= AT_ONCE {
            return Err(busy());
        }
        let (tell, told) = oneshot::channel();
        hand.try_send(Order::Look(device, target, tell)).map_err(|_| busy())?;
        let outbox = outbox.clone();
        self.0.spawn(async move {
            let seen = async {
                let told = tokio::time::timeout(BEGUN_WITHIN, told).await.ok().and_then(Result::ok);
                let (way, path) = told.unwrap_or(Err(away))?;
                see(way, &path).await
            };
            match seen.await {
                Ok((picture, path)) => {
                    outbox.carry(FromBridge::StreamReady { stream }, picture.into_stream(path)).await;
                }
                Err(error) => outbox.tell([FromBridge::StreamFailed { stream, error }]).await,
            }
        });
        Ok(())
    }
}

async fn see(mut way: Way, path: &str) -> Result<(Picture, PathInfo), CallError> {
    let (status, bytes) = way.get(path, picture::MAX).await.map_err(unseen)?;
    match status {
        200 => {}
        401 | 403 => return Err(CallError::Refused("Home Assistant does not show its picture".to_owned())),
        _ => {
            return Err(CallError::Device(format!(
                "Home Assistant has no picture of it now: it answered with {status}"
            )));
        }
    }
    let path = PathInfo {
        address: way.place.address.to_string(),
        carrier: if way.place.tls { "https" } else { "http" }.to_owned(),
        encrypted: way.place.tls,
    };
    Ok((Picture::new(bytes)?, path))
}

fn unseen(no: NoLine) -> CallError {
    match no {
        NoLine::Denied(why) => CallError::NotConsented(why),
        NoLine::Failed(why, _) | NoLine::Refused(why) | NoLine::Barred(why) => CallError::Unreachable(why),
        NoLine::Other(_) => CallError::Unreachable("it holds another key than when you added it".to_owned()),
    }
}
