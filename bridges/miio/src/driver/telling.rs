//! The part of a hand that lets its device tell of changes by itself: a socket of its own under a permit of its own, so that
//! without the owner's consent to that nothing of it is sent, and the record says what was.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use accord_consent::outlet::{DatagramOutlet, OneNear};
use accord_consent::{ConsentWatch, Personal, SendError};
use accord_model::DeviceId;
use accord_ports::secret::Secret;

use super::law::{self, Law};
use super::number::Place;
use crate::core::device::Device;
use crate::core::push::Hub;

/// How long nothing is tried after it could not be begun, or ended.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the last word may take to leave.
const LEAVES_WITHIN: Duration = Duration::from_millis(300);
/// Largest datagram that is read: what devices take and tell is smaller.
const LARGEST: usize = 4 * 1024;

/// What came to it.
pub(crate) enum Told {
    /// A datagram of that length from the device's port.
    Datagram(usize),
    /// Nothing that counts.
    Nothing,
    /// The consent ended.
    Over,
}

/// A way for a device to tell of changes.
pub(crate) struct Telling {
    one: OneNear,
    socket: DatagramOutlet,
    place: Place,
    to: SocketAddr,
    pub hub: Hub,
    pub buffer: Vec<u8>,
}

impl Telling {
    pub(crate) async fn open(
        law: &Law,
        device: &DeviceId,
        (at, port): (Ipv4Addr, u16),
        secret: &Secret,
    ) -> Result<Self, String> {
        let permit = law.known_to(device).map_err(|refusal| refusal.to_string())?;
        let one = OneNear::open(permit, at.into()).await.map_err(|error| error.to_string())?;
        let own = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let socket = one.datagrams(own).map_err(|error| error.to_string())?;
        let place = Place::of(at);
        let (hub, to) = (place.hub(secret, device), SocketAddr::from((at, port)));
        Ok(Self { one, socket, place, to, hub, buffer: vec![0; LARGEST] })
    }

    /// What comes next. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Told {
        let cancelled = self.one.cancelled();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Told::Over,
            received = self.socket.receive(&mut self.buffer) => match received {
                Ok((length, from)) if from.port() == self.to.port() => Told::Datagram(length),
                Ok(_) => Told::Nothing,
                // Nobody hears there: that is told by the silence that follows.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Told::Nothing
                }
            },
        }
    }

    /// Says something to it. `false`: that may not be said any more, or this is another network, where it has another number.
    pub(crate) async fn say(&self, bytes: Vec<u8>) -> bool {
        let SocketAddr::V4(to) = self.to else { return false };
        if !self.place.is_still(&Place::of(*to.ip())) {
            return false;
        }
        match self.socket.send(&Personal::of(law::known(), bytes), self.to).await {
            Ok(()) => true,
            // As with a datagram that is lost.
            Err(SendError::Io(error)) => {
                tracing::debug!(%error, "a datagram did not leave");
                true
            }
            Err(_) => false,
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.one.close();
    }
}

/// A device's machine, and where it tells of changes if it may.
#[derive(Default)]
pub(crate) struct Session {
    pub machine: Option<Device>,
    pub telling: Option<Telling>,
}

impl Session {
    /// Ends, with a word to the device if it may be said.
    pub(crate) async fn leave(&mut self) {
        let (machine, telling) = (self.machine.take(), self.telling.take());
        if let (Some(mut machine), Some(telling)) = (machine, telling)
            && let Some(bytes) = machine.leave(Instant::now())
        {
            let _ = tokio::time::timeout(LEAVES_WITHIN, telling.say(bytes)).await;
        }
    }
}

/// Waits until it may be begun, and not before that time.
pub(crate) async fn due(watch: &mut ConsentWatch, from: Instant) {
    tokio::time::sleep_until(from.into()).await;
    watch.allowed().await;
}

/// When it is tried again that could not be begun.
pub(crate) fn again() -> Instant {
    Instant::now() + AGAIN
}

/// Waits for ever while there is none.
pub(crate) async fn next(telling: &mut Option<Telling>) -> Told {
    match telling {
        Some(telling) => telling.next().await,
        None => std::future::pending().await,
    }
}
