//! The door to pairing: who may come in, how many at once, and what must be said first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_identity::pairing::{self, MAX_FRAME, Refusal};
use iroh::Endpoint;
use iroh::endpoint::{Connection, Incoming, IncomingAddr, RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::endpoint::shake_hands;
use crate::frame;
use crate::inner::{Inner, lock};
use crate::pairing::STEP_WITHIN;

/// From the handshake to the first frame.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Handshakes and greetings at once, in all and from one address.
pub(crate) const GREETING: usize = 16;
const GREETING_EACH: usize = 4;

impl Inner {
    /// Brings in those who say hello, several at once, so that one who says nothing holds up nobody. With
    /// `only_near` whoever is in another network gets no answer at all.
    pub(crate) async fn greet(self: Arc<Self>, endpoint: Endpoint, only_near: bool, to: mpsc::Sender<Greeted>) {
        let turns = Turns { all: Arc::new(Semaphore::new(GREETING)), each: Arc::default() };
        while let Some(incoming) = endpoint.accept().await {
            let from = match incoming.remote_addr() {
                IncomingAddr::Ip(address) => address.ip().to_canonical(),
                _ => {
                    incoming.ignore();
                    continue;
                }
            };
            if only_near && !self.near_networks.has(from).await {
                incoming.ignore();
                continue;
            }
            let Some(turn) = turns.take(from) else {
                incoming.refuse();
                continue;
            };
            let busy = turns.all.available_permits() < GREETING / 2;
            let to = to.clone();
            tokio::spawn(async move {
                if let Some(greeted) = hello_of(incoming, busy, turn).await {
                    let _ = to.send(greeted).await;
                }
            });
        }
    }
}

/// Someone who said hello.
pub(crate) struct Greeted {
    pub connection: Connection,
    pub send: SendStream,
    pub recv: RecvStream,
    pub hello: Vec<u8>,
    pub turn: Turn,
}

/// How many are being greeted, in all and from each address.
struct Turns {
    all: Arc<Semaphore>,
    each: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

pub(crate) struct Turn {
    pub from: IpAddr,
    each: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    fn take(&self, from: IpAddr) -> Option<Turn> {
        let mut each = lock(&self.each);
        if each.get(&from).is_some_and(|count| *count >= GREETING_EACH) {
            return None;
        }
        let all = self.all.clone().try_acquire_owned().ok()?;
        *each.entry(from).or_default() += 1;
        Some(Turn { from, each: self.each.clone(), _all: all })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut each = lock(&self.each);
        if let Some(count) = each.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                each.remove(&self.from);
            }
        }
    }
}

/// Waits for the handshake and the first frame. Whoever sends something else is turned away unseen.
async fn hello_of(incoming: Incoming, busy: bool, turn: Turn) -> Option<Greeted> {
    let connection = shake_hands(incoming, busy).await?;
    let said = async {
        let (send, mut recv) = connection.accept_bi().await.ok()?;
        let hello = frame::read_body(&mut recv, MAX_FRAME, HELLO_WITHIN).await.ok()?;
        pairing::is_hello(&hello).then_some((send, recv, hello))
    };
    let (send, recv, hello) = tokio::time::timeout(HELLO_WITHIN, said).await.ok().flatten()?;
    Some(Greeted { connection, send, recv, hello, turn })
}

pub(crate) async fn turn_away(connection: &Connection, send: &mut SendStream, refusal: Refusal) {
    if let Ok(frame) = frame::wrap(&pairing::refusal_frame(refusal), MAX_FRAME) {
        let _ = frame::write_raw(send, &frame, STEP_WITHIN).await;
        let _ = send.finish();
        let _ = tokio::time::timeout(Duration::from_secs(2), connection.closed()).await;
    }
}
