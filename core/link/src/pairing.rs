//! Runs pairings: the state machine of `accord_identity::pairing` over connections between ephemeral keys.
//! One at a time, limited, each with a deadline that both screens show. Whoever only connects gets nothing:
//! a run of theirs begins with their hello, has limits of its own, and makes way when the owner starts one.
//! When two owners start at once, the one whose device has the smaller ephemeral key stays the initiator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Destination, Outflow, Personal, RecipientId};
use accord_identity::PeerRecord;
use accord_identity::limiter::{Ended, Limited};
use accord_identity::pairing::{
    self, EXPORTER_LABEL, Input, MAX_FRAME, Method, Output, Pairing, PairingError, Purpose, Refusal, Setup,
};
use accord_identity::ticket::Ticket;
use accord_model::{DeviceId, FieldCode, Timestamp};
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use iroh::{Endpoint, EndpointAddr, EndpointId, TransportAddr};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::PAIR_ALPN;
use crate::api::{LinkError, PairingDirection, PairingId, PairingMethod, PairingStep, ShownTicket};
use crate::endpoint::{open_pair, path_of, port_of};
use crate::frame;
use crate::greet::{GREETING, Greeted, turn_away};
use crate::inner::{Inner, at_port, lock, machine_addresses};
use crate::law::{Denied, PAIRING, pairing_fields};
use crate::runs::{Begun, Order, Side};

const CONNECT_WITHIN: Duration = Duration::from_secs(8);
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long the other side's start is awaited after it said that it is busy starting one with us.
const CROSSING: Duration = Duration::from_secs(4);
const CLOSE_DONE: u32 = 0;

/// Whom to dial.
pub(crate) struct Whom {
    pub key: [u8; 32],
    pub addresses: Vec<SocketAddr>,
    pub device: Option<DeviceId>,
    pub method: Method,
    /// For the limiter: what stays the same when keys rotate.
    pub name: String,
}

/// Said after the records: where the link is.
#[derive(Serialize, Deserialize)]
struct Where {
    port: u16,
}

impl Inner {
    /// Starts a pairing with someone. Answers at once; what becomes of it comes as events.
    pub(crate) fn start_pairing(self: &Arc<Self>, whom: Whom) -> Result<PairingId, LinkError> {
        let lan = RecipientId::lan();
        self.law.watch(PAIRING, &lan).state().map_err(|refusal| Denied::from(refusal).for_owner(PAIRING))?;
        if let Some(running) = self.begin_own(&whom.name, Some(whom.key)).map_err(limited)? {
            return Ok(running);
        }
        let method = method_of(&whom.method);
        let begun = self.new_run(PairingDirection::Out, method, Some(whom.key), whom.device.clone());
        let Begun { id, inbox, yields, .. } = begun;
        let (inner, name) = (self.clone(), id.clone());
        tokio::spawn(async move {
            let run = inner.clone().dial_pairing(name.clone(), whom, inbox);
            tokio::select! {
                ended = run => inner.end_limited(Side::Own, ended),
                () = yields.cancelled() => {}
                () = inner.stop.cancelled() => inner.end_limited(Side::Own, Ended::Failed),
            }
        });
        Ok(id)
    }

    async fn dial_pairing(self: Arc<Self>, id: PairingId, whom: Whom, inbox: mpsc::Receiver<Order>) -> Ended {
        let connected = async {
            let mut pair = self.pair.subscribe();
            let endpoint = pair.wait_for(Option::is_some).await.ok()?.clone()?;
            let key = EndpointId::from_bytes(&whom.key).ok()?;
            let places = whom
                .addresses
                .iter()
                .filter(|address| self.may_dial(**address))
                .map(|address| TransportAddr::Ip(*address));
            let connection = endpoint.connect(EndpointAddr::from_parts(key, places), PAIR_ALPN).await.ok()?;
            let (send, recv) = connection.open_bi().await.ok()?;
            Some((endpoint, connection, send, recv))
        };
        let Ok(Some((endpoint, connection, send, recv))) = tokio::time::timeout(CONNECT_WITHIN, connected).await else {
            let who = whom.addresses.first().map_or_else(|| "the device".to_owned(), SocketAddr::to_string);
            self.fail_run(&id, LinkError::NoAnswer(who));
            return Ended::Failed;
        };
        let own = *endpoint.id().as_bytes();
        let channel = Channel { connection, send, recv, own, hello: None };
        match self.clone().converse(&id, channel, whom.method, inbox, CancellationToken::new()).await {
            Ok(()) => Ended::Paired,
            Err(Failure::Refused(Refusal::Busy)) if *endpoint.id().as_bytes() > whom.key => {
                lock(&self.pairings).get_mut(&id).into_iter().for_each(|run| run.crossed = true);
                tokio::time::sleep(CROSSING).await;
                self.fail_run(&id, PairingError::Peer(Refusal::Busy));
                Ended::Failed
            }
            Err(failure) => {
                self.fail_run(&id, failure);
                Ended::Failed
            }
        }
    }

    /// Takes pairings on an endpoint until it closes.
    pub(crate) async fn take_pairings(self: Arc<Self>, endpoint: Endpoint) {
        let own = *endpoint.id().as_bytes();
        let (to, mut greeted) = mpsc::channel(GREETING);
        let _door = AbortOnDropHandle::new(tokio::spawn(self.clone().greet(endpoint, true, to)));
        while let Some(greeted) = greeted.recv().await {
            tokio::spawn(self.clone().take_pairing(greeted, own));
        }
    }

    async fn take_pairing(self: Arc<Self>, greeted: Greeted, own: [u8; 32]) {
        let Greeted { connection, mut send, recv, hello, turn } = greeted;
        let them = *connection.remote_id().as_bytes();
        let crossing = {
            let runs = lock(&self.pairings);
            runs.iter()
                .find(|(_, run)| {
                    let early = matches!(run.info.step, PairingStep::Connecting) || run.crossed;
                    run.ended.is_none()
                        && run.with == Some(them)
                        && early
                        && run.info.direction == PairingDirection::Out
                })
                .map(|(id, run)| (id.clone(), run.yield_to_other.clone()))
        };
        let (side, id, inbox, replaced) = match crossing {
            Some((id, yields)) if own > them => {
                yields.cancel();
                let (orders, inbox) = mpsc::channel(8);
                if let Some(run) = lock(&self.pairings).get_mut(&id) {
                    run.orders = orders;
                }
                (Side::Own, id, inbox, CancellationToken::new())
            }
            _ => match self.begin_theirs(&turn.from.to_string(), them) {
                Ok(Begun { id, inbox, replaced, .. }) => (Side::Theirs, id, inbox, replaced),
                Err(limited) => {
                    let refusal = match limited {
                        Limited::Busy => Refusal::Busy,
                        Limited::Frozen(_) => Refusal::TooMany,
                    };
                    return turn_away(&connection, &mut send, refusal).await;
                }
            },
        };
        let channel = Channel { connection, send, recv, own, hello: Some(hello) };
        let ended = match self.clone().converse(&id, channel, Method::Code, inbox, replaced).await {
            Ok(()) => Ended::Paired,
            Err(failure) => {
                self.fail_run(&id, failure);
                Ended::Failed
            }
        };
        self.end_limited(side, ended);
    }

    /// Shows a ticket: an endpoint of its own until it is used or has expired.
    pub(crate) async fn show_ticket(self: &Arc<Self>) -> Result<ShownTicket, LinkError> {
        let lan = RecipientId::lan();
        self.law.watch(PAIRING, &lan).state().map_err(|refusal| Denied::from(refusal).for_owner(PAIRING))?;
        let endpoint = open_pair(&random_key()?, self.network).await?;
        let port = port_of(&endpoint).ok_or(LinkError::Stopped)?;
        let addresses: Vec<SocketAddr> =
            machine_addresses(self.network).await.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let ticket = Ticket::new(*endpoint.id().as_bytes(), &addresses, Purpose::Peer, Timestamp::now());
        let Begun { id, inbox, .. } = self.new_run(PairingDirection::In, PairingMethod::Ticket, None, None);
        let shown = ShownTicket { pairing: id.clone(), ticket: ticket.text().to_string(), expires: ticket.expires };
        let inner = self.clone();
        let mut consent = self.law.watch(PAIRING, &lan);
        tokio::spawn(async move {
            let waits = inner.clone().wait_for_ticket(id.clone(), endpoint.clone(), ticket, inbox);
            tokio::select! {
                () = waits => {}
                () = consent.ended() => inner.fail_run(&id, "pairing was switched off"),
                () = inner.stop.cancelled() => {}
            }
            endpoint.close().await;
        });
        Ok(shown)
    }

    async fn wait_for_ticket(
        self: Arc<Self>,
        id: PairingId,
        endpoint: Endpoint,
        ticket: Ticket,
        mut inbox: mpsc::Receiver<Order>,
    ) {
        let lifetime = Duration::from_secs(accord_identity::ticket::LIFETIME_SECONDS as u64);
        let own = *endpoint.id().as_bytes();
        let (to, mut greeted) = mpsc::channel(1);
        let _door = AbortOnDropHandle::new(tokio::spawn(self.clone().greet(endpoint, false, to)));
        let deadline = tokio::time::sleep(lifetime);
        tokio::pin!(deadline);
        let Greeted { connection, mut send, recv, hello, turn: _turn } = loop {
            tokio::select! {
                arrived = greeted.recv() => match arrived {
                    Some(arrived) => break arrived,
                    None => return self.fail_run(&id, "the ticket could not be waited for"),
                },
                () = &mut deadline => return self.fail_run(&id, "nobody used the ticket in time; show a new one"),
                order = inbox.recv() => if matches!(order, None | Some(Order::Refuse)) {
                    return self.fail_run(&id, PairingError::Rejected);
                },
            }
        };
        // Each ticket by its own name: its secret cannot be guessed, so failures of others do not count.
        if let Err(limited) = self.begin_own(&id.0, None) {
            turn_away(&connection, &mut send, Refusal::Busy).await;
            return self.fail_run(&id, limited);
        }
        let channel = Channel { connection, send, recv, own, hello: Some(hello) };
        let method = Method::Ticket(ticket.secret);
        let ended = match self.clone().converse(&id, channel, method, inbox, CancellationToken::new()).await {
            Ok(()) => Ended::Paired,
            Err(failure) => {
                self.fail_run(&id, failure);
                Ended::Failed
            }
        };
        self.end_limited(Side::Own, ended);
    }

    /// One run over an open channel.
    async fn converse(
        self: Arc<Self>,
        id: &PairingId,
        channel: Channel,
        method: Method,
        mut orders: mpsc::Receiver<Order>,
        replaced: CancellationToken,
    ) -> Result<(), Failure> {
        let Channel { connection, send, mut recv, own, hello } = channel;
        let initiator = hello.is_none();
        let mut exporter = [0; 32];
        connection
            .export_keying_material(&mut exporter, EXPORTER_LABEL, b"")
            .map_err(|_| Failure::Error(PairingError::Closed))?;
        let mine = self.own();
        let scanned = initiator && matches!(method, Method::Ticket(_));
        let setup = Setup {
            identity: self.identity(),
            name: mine.name,
            kind: mine.kind,
            purpose: Purpose::Peer,
            method,
            own_transport: own,
            peer_transport: *connection.remote_id().as_bytes(),
            exporter,
            paired_at: Timestamp::now(),
            until: None,
        };
        let remote = path_of(&connection).remote;
        let address = remote.map(|remote| remote.to_string()).unwrap_or_default();
        let permit =
            self.law.permit(PAIRING, &RecipientId::lan(), pairing_fields(), "on.pair").map_err(Denied::from)?;
        let mut out = permit.open(send, Destination::lan(address)).await.map_err(Denied::from)?;
        let cancelled = out.cancelled();
        let mut run =
            if initiator { Pairing::initiate(setup, self.now()) } else { Pairing::respond(setup, self.now()) };
        if let Some(hello) = hello {
            run.handle(Input::Frame(&hello), self.now());
        }
        let (frames_in, mut frames) = mpsc::channel(4);
        let _reader = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(frame) = read_frame(&mut recv).await {
                if frames_in.send(frame).await.is_err() {
                    return;
                }
            }
        }));
        let mut agreed = false;
        let record = loop {
            let performed = self.perform(id, &mut run, &mut out).await;
            out.note_wire_bytes(connection.stats().udp_tx.bytes);
            if let Some(record) = performed? {
                break record;
            }
            if agreed {
                self.step_run(id, |info| {
                    if matches!(info.step, PairingStep::Compare(_)) || scanned {
                        info.step = PairingStep::Waiting;
                    }
                });
            }
            let Some(until) = run.poll_timeout() else { return Err(Failure::Error(PairingError::Closed)) };
            let left = until.saturating_sub(self.now());
            tokio::select! {
                frame = frames.recv() => match frame {
                    Some(frame) => {
                        agreed |= scanned;
                        run.handle(Input::Frame(&frame), self.now());
                    }
                    None => run.handle(Input::Closed, self.now()),
                },
                order = orders.recv() => match order {
                    Some(Order::Agree(Some(code))) => {
                        agreed = true;
                        run.handle(Input::Code(&code), self.now());
                    }
                    Some(Order::Agree(None)) => {
                        agreed |= run.peer().is_some() || initiator;
                        run.handle(Input::UserConfirmed, self.now());
                    }
                    Some(Order::Refuse) | None => run.handle(Input::UserRejected, self.now()),
                },
                () = tokio::time::sleep(left) => run.handle(Input::Timeout, self.now()),
                () = cancelled.cancelled() => return Err(Failure::Off),
                () = replaced.cancelled() => {
                    send_frame(&mut out, pairing::refusal_frame(Refusal::Busy)).await;
                    let _ = out.shutdown().await;
                    let _ = tokio::time::timeout(Duration::from_secs(2), connection.closed()).await;
                    return Err(Failure::Replaced);
                }
            }
        };
        let link_port = self.exchange_ports(&mut out, &mut frames).await;
        let _ = out.shutdown().await;
        out.note_wire_bytes(connection.stats().udp_tx.bytes);
        let _ = out.finish().await;
        let within = Duration::from_secs(2);
        if initiator {
            let _ = tokio::time::timeout(within, frames.recv()).await;
            connection.close(VarInt::from_u32(CLOSE_DONE), b"paired");
        } else {
            let _ = tokio::time::timeout(within, connection.closed()).await;
        }
        self.paired(id, record, remote, link_port).await
    }

    /// Does what the machine wants. The record when it is done.
    async fn perform(
        &self,
        id: &PairingId,
        run: &mut Pairing,
        out: &mut Outflow<SendStream>,
    ) -> Result<Option<PeerRecord>, Failure> {
        let mut done = None;
        while let Some(output) = run.poll() {
            let deadline = run.poll_timeout().map(|until| Timestamp::now() + until.saturating_sub(self.now()));
            match output {
                Output::Send(bytes) => send_frame(out, bytes).await,
                Output::ShowCode { code, peer } => self.step_run(id, |info| {
                    info.step = PairingStep::Compare(Some(code));
                    if let Some(peer) = peer {
                        (info.name, info.kind) = (Some(peer.name), Some(peer.kind));
                    }
                    info.deadline = deadline.unwrap_or(info.deadline);
                }),
                Output::AskUser(peer) => self.step_run(id, |info| {
                    info.step = PairingStep::Compare(None);
                    (info.name, info.kind) = (Some(peer.name), Some(peer.kind));
                    info.deadline = deadline.unwrap_or(info.deadline);
                }),
                Output::Done(record) => done = Some(record),
                Output::Failed(PairingError::Peer(refusal)) => return Err(Failure::Refused(refusal)),
                Output::Failed(error) => {
                    let _ = out.shutdown().await;
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    return Err(Failure::Error(error));
                }
            }
        }
        Ok(done)
    }

    async fn exchange_ports(&self, out: &mut Outflow<SendStream>, frames: &mut mpsc::Receiver<Vec<u8>>) -> Option<u16> {
        let port = self.link.borrow().as_ref().and_then(port_of).unwrap_or_else(|| self.memory.port());
        let framed = frame::encode(&Where { port }, 256).ok()?;
        let sent = out.put(&Personal::new(FieldCode::NetIp, framed)).await.and(out.flush().await);
        sent.ok()?;
        let frame = tokio::time::timeout(Duration::from_secs(3), frames.recv()).await.ok()??;
        frame::decode::<Where>(&frame).ok().map(|place| place.port)
    }

    async fn paired(
        self: &Arc<Self>,
        id: &PairingId,
        mut record: PeerRecord,
        remote: Option<SocketAddr>,
        link_port: Option<u16>,
    ) -> Result<(), Failure> {
        if let (Some(remote), Some(port)) = (remote, link_port.filter(|port| *port != 0)) {
            record.addresses = vec![at_port(remote, port)];
        }
        let inner = self.clone();
        let kept = tokio::task::spawn_blocking(move || inner.peers.insert(record)).await;
        let kept = match kept {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => return Err(Failure::Other(error.to_string())),
            Err(error) => return Err(Failure::Other(error.to_string())),
        };
        self.sync_people();
        self.step_run(id, |info| {
            (info.name, info.kind) = (Some(kept.name.clone()), Some(kept.kind));
            info.step = PairingStep::Done(kept.device_id.clone());
        });
        let seen_as = lock(&self.pairings).get(id).and_then(|run| run.info.device.clone());
        if let Some(near) = seen_as
            && let Some(short) = near.as_str().strip_prefix("near-")
        {
            lock(&self.near).remove(short);
            self.tell_gone(&near).await;
        }
        Ok(())
    }
}

struct Channel {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    own: [u8; 32],
    /// The other side's first frame; none when this side begins.
    hello: Option<Vec<u8>>,
}

async fn send_frame(out: &mut Outflow<SendStream>, bytes: Vec<u8>) {
    let sent = async {
        out.frame(&(bytes.len() as u32).to_be_bytes()).await?;
        out.put(&Personal::of(pairing_fields(), bytes)).await?;
        out.flush().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(STEP_WITHIN, sent).await {
        tracing::debug!(%error, "a pairing message did not leave");
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Refused(Refusal),
    #[error("{0}")]
    Error(PairingError),
    #[error("pairing was switched off")]
    Off,
    #[error("another pairing was started on this device")]
    Replaced,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the other device agreed, but it could not be kept: {0}")]
    Other(String),
}

async fn read_frame(recv: &mut RecvStream) -> Option<Vec<u8>> {
    frame::read_body(recv, MAX_FRAME, pairing::TOTAL_TIME).await.ok()
}

fn method_of(method: &Method) -> PairingMethod {
    match method {
        Method::Code => PairingMethod::Code,
        Method::Ticket(_) => PairingMethod::Ticket,
    }
}

fn limited(limited: Limited) -> LinkError {
    match limited {
        Limited::Busy => LinkError::Peer(limited.to_string()),
        Limited::Frozen(left) => LinkError::TooMany(left.as_secs().max(1)),
    }
}

pub(crate) fn random_key() -> Result<[u8; 32], LinkError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| LinkError::System { what: "making a key".into(), why: error.to_string() })?;
    Ok(key)
}
