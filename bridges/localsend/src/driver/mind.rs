//! One task that holds every decision. What it hears comes from the core of the house, from the session's tasks and
//! from the clock; what it decides goes to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, Target as Port, ToBridge, Verb};
use accord_ports::files::{pair, wire::StopReason};
use accord_ports::{Inbox, Outbox};
use accord_registry::ByteStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::devices::{Devices, Known};
use super::inbound::{Order, Said, Upload};
use super::law::{self, Law};
use super::offers::Incoming;
use super::sending::Sending;
use super::session::{Heard, Registered, Session, Woken};
use super::why::wall;
use crate::core::discovery::{self, Discovery, Limits};
use crate::core::message::{Announcement, DeviceInfo};
use crate::core::receive::{Decision, Rules};
use crate::core::server::{self, Server};
use crate::core::{Identity, Peer, Protocol, Secret};

pub(crate) const NAME: &str = "localsend";
/// How long before sockets that could not be opened are tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a sender that went away may take to come back with the file.
const REST: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(2);
/// How long the owner may compare fingerprints.
const COMPARE: i64 = 120;
/// PINs that are remembered, until the bridge ends.
const MAX_PINS: usize = 256;
const MAX_PIN: usize = 128;

pub(crate) struct Mind {
    pub law: Law,
    options: Options,
    pub identity: Arc<Identity>,
    pub devices: Devices,
    pub outbox: Outbox,
    pub near: Option<Nearby>,
    /// Not before this time.
    again: Instant,
    /// Why it could not be opened.
    pub trouble: Option<String>,
    /// Devices that are asked just now why they are not reached.
    pub asked: HashMap<CallId, DeviceId>,
    sends: TaskTracker,
    stop: CancellationToken,
    cancels: Vec<mpsc::Sender<(Peer, Option<Secret>)>>,
    pins: HashMap<DeviceId, Secret>,
    pub next: u64,
}

/// While the owner agrees to be found.
pub(crate) struct Nearby {
    pub session: Session,
    pub server: Server,
    pub discovery: Discovery,
    pub incoming: Option<Incoming>,
    /// A sender is being told that its transfer is stopped; cancelled once it was.
    pub telling: Option<CancellationToken>,
    wake: Instant,
}

impl Mind {
    pub(crate) fn new(law: Law, options: Options, identity: Arc<Identity>, devices: Devices, outbox: Outbox) -> Self {
        Self {
            law,
            options,
            identity,
            devices,
            outbox,
            near: None,
            again: Instant::now(),
            trouble: None,
            asked: HashMap::new(),
            sends: TaskTracker::new(),
            stop: CancellationToken::new(),
            cancels: Vec::new(),
            pins: HashMap::new(),
            next: 1,
        }
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.outbox.tell(self.devices.all()).await;
        loop {
            let mut presence = self.law.presence();
            let again = self.again;
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                woken = next(&mut self.near) => self.woken(woken).await,
                () = async {
                    tokio::time::sleep_until(again.into()).await;
                    presence.allowed().await;
                }, if self.near.is_none() => self.begin().await,
            }
            self.pump().await;
        }
        self.end_nearby().await;
        self.stop.cancel();
        self.sends.close();
        if tokio::time::timeout(END_WITHIN, self.sends.wait()).await.is_err() {
            tracing::warn!("a transfer by LocalSend did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        self.again = Instant::now() + AGAIN;
        let opened = match self.law.near().await {
            Ok(near) => Session::open(near, self.options.network, self.options.port, &self.identity),
            Err(why) => Err(why),
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(why) => {
                tracing::warn!("LocalSend cannot be used now, and tries again: {why}");
                self.trouble = Some(why);
                return;
            }
        };
        self.trouble = None;
        let now = Instant::now();
        let me = self.me(session.port);
        let pin = self.options.pin.as_deref().map(Secret::from);
        let rules = Rules { pin, unverified: self.options.unverified, rest: REST, ..Rules::default() };
        let server = Server::new(me.info.clone(), rules, now);
        let mut discovery = Discovery::new(me, Limits::default(), now);
        if self.options.multicast {
            let interfaces = session.interfaces_now().await;
            discovery.handle(discovery::Input::Interfaces(session.interfaces(&interfaces)), now);
            discovery.handle(discovery::Input::Announce, now);
        }
        for address in &self.options.addresses {
            discovery.handle(discovery::Input::Look(*address), now);
        }
        tracing::info!(port = session.port, trouble = session.trouble(), "LocalSend is on");
        self.near = Some(Nearby { session, server, discovery, incoming: None, telling: None, wake: now });
    }

    async fn end_nearby(&mut self) {
        let Some(Nearby { session, incoming, .. }) = self.near.take() else { return };
        if let Some(incoming) = incoming {
            incoming.over.cancel();
            if let Some(lane) = incoming.lane {
                tokio::spawn(async move { lane.stop(StopReason::Failed).await });
            }
        }
        session.close().await;
        self.again = Instant::now();
        let gone = self.devices.all_gone();
        self.outbox.tell(gone).await;
        self.asked_in_vain().await;
    }

    fn me(&self, port: u16) -> Announcement {
        let fingerprint = self.identity.fingerprint().clone();
        let info = DeviceInfo::new(&self.options.name, self.options.device_type(), fingerprint);
        Announcement { info, port, protocol: Protocol::Https, announce: false }
    }

    pub(crate) fn me_now(&self) -> Announcement {
        let port = self.near.as_ref().map_or(crate::core::PORT, |near| near.session.port);
        self.me(port)
    }

    async fn woken(&mut self, woken: Woken) {
        let now = Instant::now();
        match woken {
            Woken::Over => return self.end_nearby().await,
            Woken::Heard(heard) => return self.heard(heard).await,
            Woken::Interfaces(interfaces) => {
                if let Some(near) = self.near.as_mut().filter(|_| self.options.multicast) {
                    let interfaces = near.session.interfaces(&interfaces);
                    near.discovery.handle(discovery::Input::Interfaces(interfaces), now);
                }
            }
            Woken::Time => {
                let moved = self.near.as_mut().is_some_and(|near| near.session.port_again());
                let me = self.me_now();
                if let Some(near) = &mut self.near {
                    near.server.handle(server::Input::Timeout, now);
                    near.discovery.handle(discovery::Input::Timeout, now);
                    if moved {
                        tracing::info!(port = me.port, "LocalSend has its port now");
                        near.discovery.handle(discovery::Input::Me(me), now);
                    }
                }
            }
        }
    }

    async fn heard(&mut self, heard: Heard) {
        let now = Instant::now();
        let Some(near) = &mut self.near else { return };
        match heard {
            Heard::Met(met) => near.session.admit(met),
            Heard::Said(id, Said::Request(request)) => near.server.handle(server::Input::Request(id, request), now),
            Heard::Said(id, Said::Uploaded(outcome)) => near.server.handle(server::Input::Uploaded(id, outcome), now),
            Heard::Said(id, Said::Closed) => {
                near.session.forget(id);
                near.server.handle(server::Input::Closed(id), now);
            }
            Heard::Datagram { from, interface, bytes } => {
                near.session.note_heard(from);
                near.discovery.handle(discovery::Input::Datagram { from, interface, bytes: &bytes }, now);
            }
            Heard::Registered { target, outcome } => {
                let input = match &outcome {
                    Ok(Registered { certificate, body }) => {
                        discovery::Input::Answered { target, certificate: certificate.clone(), body }
                    }
                    Err(connected) => discovery::Input::Failed { target, connected: *connected },
                };
                near.discovery.handle(input, now);
            }
            Heard::Checked { device, outcome } => self.checked(device, outcome).await,
            Heard::Asked { call, found } => self.explained(call, found).await,
            Heard::Permitted { ask, permit } => {
                if let Some(incoming) = near.incoming.as_mut().filter(|incoming| incoming.ask == ask) {
                    match permit {
                        Ok(permit) => incoming.permit = Some(permit),
                        Err(_) => incoming.decision = Some(Decision::Decline),
                    }
                    near.go_on(now);
                }
            }
            Heard::Admitted { id, upload, permit: Some(permit) } => {
                near.session.order(id, Order::Receive(upload, Some(permit)));
            }
            Heard::Admitted { id, .. } => near.session.abort(id),
            Heard::Answered { ask, says } => near.answered(ask, says, now),
            Heard::Broken(ask) => {
                if near.incoming.as_ref().is_some_and(|incoming| incoming.ask == ask) {
                    near.server.handle(server::Input::StopReceiving, now);
                }
            }
        }
    }

    // -- what the cores say -------------------------------------------------------------------------

    async fn pump(&mut self) {
        loop {
            let Some(near) = &mut self.near else { return };
            match near.server.poll_output() {
                server::Output::Wait(until) => {
                    near.wake = until;
                    break;
                }
                output => self.server_says(output).await,
            }
        }
        self.pump_discovery().await;
        if self.near.as_ref().is_some_and(|near| near.incoming.is_none()) {
            let told = self.devices.dismiss_guests();
            self.outbox.tell(told).await;
        }
    }

    pub(crate) async fn pump_discovery(&mut self) {
        loop {
            let me = self.me_now();
            let Some(near) = &mut self.near else { return };
            let told = match near.discovery.poll_output() {
                discovery::Output::Wait(until) => {
                    near.wake = near.wake.min(until);
                    return;
                }
                discovery::Output::Datagram { interface, to, bytes, fields } => {
                    near.session.announce(interface, to, bytes, fields);
                    continue;
                }
                discovery::Output::Register(target) => {
                    near.session.register(target, me);
                    continue;
                }
                discovery::Output::Event(discovery::Event::Found(found) | discovery::Event::Changed(found)) => {
                    self.devices.found(&found)
                }
                discovery::Output::Event(discovery::Event::Lost(fingerprint, heard)) => {
                    self.devices.gone(&fingerprint, wall(heard))
                }
                discovery::Output::Event(discovery::Event::Scanned) => continue,
            };
            self.outbox.tell(told).await;
        }
    }

    async fn server_says(&mut self, output: server::Output) {
        let now = Instant::now();
        let Some(near) = &mut self.near else { return };
        match output {
            server::Output::Respond(id, response) => near.session.order(id, Order::Respond(response)),
            server::Output::Receive(id, incoming, offer) => {
                let Some(running) = &near.incoming else { return near.session.abort(id) };
                let Some(lane) = running.lane.clone() else { return near.session.abort(id) };
                let upload = Box::new(Upload { incoming, offer: *offer, lane });
                if near.session.is_bound(id) {
                    return near.session.order(id, Order::Receive(upload, None));
                }
                match self.law.transfer(&running.device, law::STATE, "on.receive") {
                    Ok(permit) => near.session.order(id, Order::Receive(upload, Some(permit))),
                    // The owner agreed to one connection, and the sender opens another.
                    Err(refusal) if law::may_be_asked(&refusal) => {
                        let (law, device) = (self.law.clone(), running.device.clone());
                        let (over, heard) = (running.over.clone(), near.session.heard.clone());
                        near.session.spawn(async move {
                            let permit = law.transfer_once_decided(&device, law::STATE, "on.receive");
                            let permit = over.run_until_cancelled(permit).await;
                            let permit = permit.and_then(Result::ok);
                            let _ = heard.send(Heard::Admitted { id, upload, permit }).await;
                        });
                    }
                    Err(_) => near.session.abort(id),
                }
            }
            server::Output::Abort(id) => match &near.telling {
                Some(told) => near.session.abort_after(id, told.clone()),
                None => near.session.abort(id),
            },
            server::Output::TellCancelled { at, session } => self.tell_cancelled(at, session),
            server::Output::Event(server::Event::Registered(announced, peer)) => {
                near.discovery.handle(discovery::Input::Registered(&announced, &peer), now);
            }
            server::Output::Event(server::Event::PeerCancelled(peer, session)) => {
                self.cancels.retain(|to| !to.is_closed());
                for to in &self.cancels {
                    let _ = to.try_send((peer.clone(), session.clone()));
                }
            }
            server::Output::Event(server::Event::Receive(event)) => self.receiving(event).await,
            server::Output::Wait(_) => {}
        }
    }

    // -- what the house wants -----------------------------------------------------------------------

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } => {
                let outcome = self.call(&device, &target.service, verb).await;
                self.outbox.reply(call, outcome).await;
            }
            ToBridge::OpenStream { stream, device, target, .. } => {
                let opened = if target.service == "files" { self.send(&device) } else { Err(unsupported()) };
                match opened {
                    Ok(ours) => drop(self.outbox.carry(FromBridge::StreamReady { stream }, ours).await),
                    Err(error) => self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await,
                }
            }
            ToBridge::Explain { call, device, within } => self.explain(call, device, within).await,
            ToBridge::Add { .. } => {}
            ToBridge::Own { name, kind } => {
                (self.options.name, self.options.kind) = (name, kind);
                // Begins anew under it; while something comes in, others only hear of it.
                if self.near.as_ref().is_some_and(|near| near.incoming.is_none()) {
                    return self.end_nearby().await;
                }
                let me = self.me_now();
                if let Some(near) = &mut self.near {
                    near.discovery.handle(discovery::Input::Me(me), Instant::now());
                }
            }
            ToBridge::Cancel { .. } | ToBridge::Answer { .. } | ToBridge::Stop => {}
        }
    }

    async fn call(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<Outputs, CallError> {
        let known = self.devices.get(device).ok_or_else(unknown)?;
        match (service, verb) {
            ("pairing", Verb::Act { action, .. }) => match action.as_str() {
                "request" => self.request(known.clone()).await?,
                "unpair" | "reject" => self.trust(device, false).await?,
                _ => return Err(CallError::Unsupported("LocalSend devices do not ask to be paired".to_owned())),
            },
            ("files", Verb::Write { property, data }) if property == "pin" => {
                let pin = data.as_text().filter(|pin| pin.len() <= MAX_PIN);
                let pin = pin.ok_or_else(|| CallError::BadInput("a PIN is a short text".to_owned()))?;
                if self.pins.len() >= MAX_PINS {
                    self.pins.clear();
                }
                self.pins.insert(device.clone(), pin.into());
            }
            _ => return Err(unsupported()),
        }
        Ok(Outputs::new())
    }

    /// The owner trusts a device: it has to prove once more who it is, if it can.
    async fn request(&mut self, known: Known) -> Result<(), CallError> {
        let Some(code) = known.verification() else { return self.trust(&known.id, true).await };
        let me = self.me_now();
        let Some(near) = &self.near else {
            return Err(CallError::NotConsented("LocalSend is off: agree to be found by it first".to_owned()));
        };
        near.session.check(known.id.clone(), known.at, me);
        let arguments =
            BTreeMap::from([("verification".to_owned(), code.into()), ("seconds".to_owned(), Data::Int(COMPARE))]);
        self.event(&known.id, "requested", arguments).await;
        Ok(())
    }

    async fn checked(&mut self, device: DeviceId, outcome: Result<(), String>) {
        let outcome = match outcome {
            Ok(()) => self.trust(&device, true).await.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            self.event(&device, "failed", BTreeMap::from([("message".to_owned(), why.into())])).await;
        }
    }

    async fn trust(&mut self, device: &DeviceId, yes: bool) -> Result<(), CallError> {
        let told = self.devices.trust(device, yes).map_err(CallError::Device)?;
        self.outbox.tell(told).await;
        if yes {
            self.event(device, "paired", Outputs::new()).await;
        }
        Ok(())
    }

    fn send(&mut self, device: &DeviceId) -> Result<ByteStream, CallError> {
        let known = self.devices.get(device).ok_or_else(unknown)?;
        let trusted = self.devices.keep.is_trusted(device).is_some();
        if !known.verified && !trusted {
            let why =
                "it cannot prove who it is, or does not encrypt; trust it first if you will send to it nevertheless";
            return Err(CallError::Refused(why.to_owned()));
        }
        if known.at.is_empty() {
            return Err(CallError::Unreachable("it is not near; open LocalSend there".to_owned()));
        }
        let (ours, theirs) = pair(NAME);
        let (to, cancels) = mpsc::channel(8);
        self.cancels.retain(|to| !to.is_closed());
        self.cancels.push(to);
        let sending = Sending {
            law: self.law.clone(),
            identity: self.identity.clone(),
            device: device.clone(),
            targets: known.at.clone(),
            unencrypted: !known.verified && trusted,
            me: self.me_now(),
            pin: self.pins.get(device).cloned(),
            cancels,
        };
        let stop = self.stop.clone();
        self.sends.spawn(async move { stop.run_until_cancelled(sending.run(theirs)).await.unwrap_or_default() });
        Ok(ours)
    }

    async fn event(&self, device: &DeviceId, event: &str, arguments: Outputs) {
        let (device, target, event) = (device.clone(), Port::new("pairing"), event.to_owned());
        self.outbox.tell([FromBridge::Event { device, target, event, arguments }]).await;
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Nearby>) -> Woken {
    match near {
        Some(near) => near.session.next(near.wake).await,
        None => std::future::pending().await,
    }
}

fn unknown() -> CallError {
    CallError::Unreachable("no such device is known".to_owned())
}

fn unsupported() -> CallError {
    CallError::Unsupported("LocalSend devices take files, folders, texts and links".to_owned())
}
