//! One task that holds every decision. What it hears comes from the core of the house, from the pages and from the clock.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::ConsentWatch;
use accord_consent::outlet::interfaces::Network;
use accord_consent::outlet::{Near, NearListener};
use accord_model::why::{Body, Fact, Pairing};
use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, Target, ToBridge, Verb};
use accord_ports::{Inbox, Outbox};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::devices::Devices;
use super::hall::Hall;
use super::law::Law;
use super::orders::{order, unsupported};
use super::serve;
use crate::core::pages::{Event, Failed, Pages};
use crate::core::words::Order;

/// How long before a port that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// Ports tried after the usual one.
const PORTS: u16 = 10;
/// How often one looks whether the owner agreed to what a screen was asked for, and for how long.
const LOOK: Duration = Duration::from_millis(200);
const AGREES_WITHIN: Duration = Duration::from_secs(150);
const END_WITHIN: Duration = Duration::from_secs(2);

pub(crate) struct Mind {
    hall: Arc<Hall>,
    options: Options,
    devices: Devices,
    port: watch::Sender<Option<u16>>,
    outbox: Outbox,
    open: Option<Open>,
    /// Not before this time.
    again: Instant,
    /// Why the page could not be opened.
    trouble: Option<String>,
    /// Orders that calls wait for; the title of what is to be played, with its device.
    waiting: HashMap<u64, (CallId, Option<(DeviceId, String)>)>,
    /// Screens that the owner compares the code of, and until when.
    asked: HashMap<DeviceId, Asked>,
}

struct Asked {
    until: Instant,
    /// Tells that the owner agreed since it was asked; what was agreed before may have been for the page of another one.
    consent: ConsentWatch,
}

/// While the owner leaves the page open.
struct Open {
    near: Near,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Mind {
    pub(crate) fn new(
        law: Law,
        options: Options,
        devices: Devices,
        port: watch::Sender<Option<u16>>,
        outbox: Outbox,
    ) -> Self {
        let hall = Hall::new(law, Pages::new(devices.all_added()));
        let (waiting, asked) = (HashMap::new(), HashMap::new());
        Self { hall, options, devices, port, outbox, open: None, again: Instant::now(), trouble: None, waiting, asked }
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.outbox.tell(self.devices.all()).await;
        let hall = self.hall.clone();
        loop {
            let mut consent = hall.law.receiver();
            let (again, wake) = (self.again, self.wake());
            let withdrawn = self.open.as_ref().map(|open| open.near.cancelled());
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                () = async {
                    match &withdrawn {
                        Some(withdrawn) => withdrawn.cancelled().await,
                        None => std::future::pending().await,
                    }
                } => self.close().await,
                () = hall.news.notified() => {}
                () = until(wake) => {}
                () = async {
                    tokio::time::sleep_until(again.into()).await;
                    consent.allowed().await;
                }, if self.open.is_none() => self.begin().await,
            }
            self.hall.pages().tick(Instant::now());
            self.agreed().await;
            self.pump().await;
        }
        self.close().await;
    }

    fn wake(&self) -> Option<Instant> {
        let asked = (!self.asked.is_empty()).then(|| Instant::now() + LOOK);
        [self.hall.pages().next_timeout(), asked].into_iter().flatten().min()
    }

    // -- the page -----------------------------------------------------------------------------------

    async fn begin(&mut self) {
        self.again = Instant::now() + AGAIN;
        let opened = match self.hall.law.near().await {
            Ok(near) => self.listen(&near).map(|listener| (near, listener)),
            Err(why) => Err(why),
        };
        let (near, listener) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                tracing::warn!("the page for screens cannot be opened now: {why}");
                self.trouble = Some(why);
                return;
            }
        };
        self.trouble = None;
        let port = listener.local_addr().ok().map(|address| address.port());
        let open = Open { near, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        open.tasks.spawn(serve::accept(self.hall.clone(), listener, open.tasks.clone(), open.stop.clone()));
        self.open = Some(open);
        self.port.send_replace(port);
    }

    fn listen(&self, near: &Near) -> Result<NearListener, String> {
        let address = match self.options.network {
            Network::All => Ipv4Addr::UNSPECIFIED,
            Network::Loopback => Ipv4Addr::LOCALHOST,
        };
        let mut failed = String::new();
        for port in (0..=PORTS).map(|more| self.options.port.saturating_add(more)) {
            match near.listen(SocketAddr::new(address.into(), port)) {
                Ok(listener) => return Ok(listener),
                Err(error) => failed = error.to_string(),
            }
        }
        near.close();
        Err(failed)
    }

    async fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.port.send_replace(None);
        open.stop.cancel();
        open.tasks.close();
        if tokio::time::timeout(END_WITHIN, open.tasks.wait()).await.is_err() {
            tracing::warn!("a connection of a screen did not end in time");
        }
        open.near.close();
        self.again = Instant::now();
        self.hall.pages().leave_all();
        self.pump().await;
    }

    /// Tells the house what pages did.
    async fn pump(&mut self) {
        loop {
            let Some(event) = self.hall.pages().poll_event() else { return };
            let told = match event {
                Event::Came(id) => match self.hall.pages().get(&id) {
                    Some(page) => vec![self.devices.came(&id, page)],
                    None => Vec::new(),
                },
                Event::Left(id) => {
                    self.asked.remove(&id);
                    self.devices.left(&id).into_iter().collect()
                }
                Event::Said(id) => match self.hall.pages().get(&id) {
                    Some(page) => self.devices.said(&id, page),
                    None => Vec::new(),
                },
                Event::Doubled(id, address) => {
                    tracing::warn!(device = %id, %address, "a page with the key of this screen was refused: it is open elsewhere");
                    Vec::new()
                }
                Event::Done(n, outcome) => self.done(n, outcome),
            };
            self.outbox.tell(told).await;
        }
    }

    fn done(&mut self, n: u64, outcome: Result<Option<String>, Failed>) -> Vec<FromBridge> {
        let Some((call, title)) = self.waiting.remove(&n) else { return Vec::new() };
        let mut told = match (&outcome, title) {
            (Ok(_), Some((device, title))) => self.devices.titled(&device, &title),
            _ => Vec::new(),
        };
        let outcome = match outcome {
            Ok(answer) => Ok(answer.map(|answer| ("answer".to_owned(), Data::Text(answer))).into_iter().collect()),
            Err(Failed::Says(why)) => Err(CallError::Device(why)),
            Err(Failed::Mute) => {
                Err(CallError::Unreachable("the page does not answer; is it on the screen?".to_owned()))
            }
            Err(Failed::Closed) => Err(CallError::Unreachable("the page was closed or opened anew".to_owned())),
        };
        told.push(FromBridge::Reply { call, outcome });
        told
    }

    // -- what the house wants -----------------------------------------------------------------------

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                let outcome = self.pairing(&device, verb).await;
                self.outbox.reply(call, outcome.map(|()| Outputs::new())).await;
            }
            ToBridge::Call { call, device, target, verb } => match self.wanted(call, &device, &target.service, verb) {
                Ok(None) => {}
                Ok(Some(read)) => self.outbox.reply(call, Ok(read)).await,
                Err(error) => self.outbox.reply(call, Err(error)).await,
            },
            ToBridge::OpenStream { stream, .. } => {
                let error =
                    CallError::Unsupported("a browser takes no files; it plays what is at an address".to_owned());
                self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
            }
            ToBridge::Explain { call, device, .. } => {
                self.outbox.explain(call, "Screen with a browser", Body::App, self.facts(device.as_ref())).await;
            }
            ToBridge::Cancel { call } => self.waiting.retain(|_, (waits, _)| *waits != call),
            ToBridge::Add { .. } | ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    /// The page shows a code, and the owner compares it: the page itself has nobody who could agree. It is added once the
    /// owner agreed to `browser/control` for it.
    async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let Verb::Act { action, .. } = verb else { return Err(unsupported()) };
        let event = |event: &str, arguments: Outputs| FromBridge::Event {
            device: device.clone(),
            target: Target::new("pairing"),
            event: event.to_owned(),
            arguments,
        };
        match action.as_str() {
            "request" => {
                let code = self.hall.pages().get(device).map(|page| page.code.clone());
                let code = code.ok_or_else(|| CallError::Unreachable("the page is not open there".to_owned()))?;
                let (until, consent) = (Instant::now() + AGREES_WITHIN, self.hall.law.watch_control(device));
                self.asked.insert(device.clone(), Asked { until, consent });
                let seconds = Data::Int(AGREES_WITHIN.as_secs().try_into().unwrap_or(i64::MAX));
                let shown = [("verification".to_owned(), Data::Text(code)), ("seconds".to_owned(), seconds)];
                self.outbox.tell([event("requested", Outputs::from(shown)), event("paired", Outputs::new())]).await;
            }
            "unpair" | "reject" => {
                let was_asked = self.asked.remove(device).is_some();
                // It is not the added one at another address: that one stays.
                if was_asked && self.devices.is_moved(device) {
                    self.hall.pages().renew(device);
                    self.hall.wake();
                    return Ok(());
                }
                self.hall.pages().set_added(device, false);
                self.hall.wake();
                if self.devices.is_kept(device) {
                    let told = self.devices.add(device, false).map_err(CallError::Device)?;
                    self.outbox.tell(told).await;
                }
            }
            _ => return Err(CallError::Unsupported("a page does not ask to be added; it shows its code".to_owned())),
        }
        Ok(())
    }

    /// What was asked for is added once the owner agreed to it.
    async fn agreed(&mut self) {
        let now = Instant::now();
        self.asked.retain(|_, asked| asked.until > now);
        let mut agreed = Vec::new();
        for (device, asked) in &mut self.asked {
            if let Ok(true) = tokio::time::timeout(Duration::ZERO, asked.consent.changed()).await
                && self.hall.law.may_control(device).is_ok()
            {
                agreed.push(device.clone());
            }
        }
        for device in agreed {
            self.asked.remove(&device);
            match self.devices.add(&device, true) {
                Ok(told) => {
                    self.hall.pages().set_added(&device, true);
                    self.hall.wake();
                    self.outbox.tell(told).await;
                }
                Err(why) => tracing::warn!(%device, "a screen could not be added: {why}"),
            }
        }
    }

    fn wanted(
        &mut self,
        call: CallId,
        device: &DeviceId,
        service: &str,
        verb: Verb,
    ) -> Result<Option<Outputs>, CallError> {
        let known = self.devices.get(device);
        let known = known.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        let name = accord_model::text::for_screen(&known.name, 64);
        if !self.devices.is_added(device) {
            return Err(CallError::NotConsented(format!("add {name} first: accord pair")));
        }
        if let Err(refusal) = self.hall.law.may_control(device) {
            return Err(CallError::NotConsented(refusal.to_string()));
        }
        if !known.here {
            let why = match self.open {
                Some(_) => format!("{name} is away; open the page in its browser"),
                None => "the page for screens is not open: accord tv open".to_owned(),
            };
            return Err(CallError::Unreachable(why));
        }
        if let Verb::Read { properties } = &verb {
            return Ok(Some(self.devices.read(device, service, properties)));
        }
        let (order, within) = order(service, verb)?;
        let title = match &order {
            Order::Open { title, .. } => Some((device.clone(), title.clone())),
            _ => None,
        };
        let n = self.hall.pages().order(device, order, Instant::now() + within);
        let n = n.ok_or_else(|| CallError::Unreachable(format!("{name} has not done yet what was wanted before")))?;
        self.waiting.insert(n, (call, title));
        self.hall.wake();
        Ok(None)
    }

    fn facts(&self, device: Option<&DeviceId>) -> Vec<Fact> {
        let mut facts = vec![self.hall.law.receiver_fact()];
        facts.extend(self.trouble.clone().map(|why| Fact::NotOpen { why }));
        let Some((device, known)) = device.and_then(|device| Some((device, self.devices.get(device)?))) else {
            return facts;
        };
        let is_added = self.devices.is_added(device);
        facts.push(Fact::Pairing { state: if is_added { Pairing::Paired } else { Pairing::NotPaired } });
        if is_added {
            facts.push(self.hall.law.control_fact(device));
        }
        let addresses = known.address.map(|address| SocketAddr::new(address, 0)).into_iter().collect();
        facts.push(Fact::LastSeen { at: known.seen, addresses });
        facts
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
