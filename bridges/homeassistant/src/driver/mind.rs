//! One task that holds every decision. What it hears comes from the core of the house, from the network, from the hands
//! and from the clock; what it decides goes to them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::Network;
use accord_model::why::Fact;
use accord_model::{
    CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs, Reach, StreamId, Target, ToBridge, Verb,
};
use accord_ports::dns_sd::{Browsing, Seen, v4};
use accord_ports::hand::{Hands, Place, State, Term, Tries};
use accord_ports::law::Searching;
use accord_ports::picture;
use accord_ports::tls::Key;
use accord_ports::{Inbox, Outbox};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hand::{Hand, Order};
use super::law::{Law, SEARCH};
use super::looking::Looking;
use super::servers::Servers;
use super::signing::Signing;
use super::wire::{NoLine, Way};
use crate::core::advert::{Advert, SERVICE};
use crate::core::home::{Home, Summary};
use crate::core::session::About;
use crate::core::sign::Tokens;

/// Orders that a hand has not followed yet.
const ORDERS: usize = 64;
/// What waits for the mind.
const QUEUE: usize = 256;
const END_WITHIN: Duration = Duration::from_secs(2);

/// What the tasks tell the mind.
pub(crate) enum Heard {
    Said {
        server: DeviceId,
        hand: u64,
        saying: Saying,
    },
    /// For the house.
    Told {
        server: DeviceId,
        messages: Vec<FromBridge>,
    },
    Tried {
        call: CallId,
        fact: Fact,
    },
    /// The owner signed in: what came of it, and the key that the server proved.
    Signed {
        call: CallId,
        signing: Box<Signing>,
        outcome: Result<Tokens, NoLine>,
    },
}

/// What a hand says of its server.
pub(crate) enum Saying {
    /// It showed this key, or none in clear.
    Key(Option<Key>),
    /// It showed another one.
    Other(Key),
    /// It took the token; its version.
    Up(String),
    About(About),
    Has(Summary),
    /// There is no connection; refused is the token.
    State(State),
}

pub(crate) struct Mind {
    pub law: Law,
    network: Network,
    pub servers: Servers,
    pub outbox: Outbox,
    pub heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
    pub near: Option<Browsing>,
    pub searching: Searching,
    pub hands: Hands<Order>,
    /// Which server a thing is of, and whether that reaches it.
    pub things: HashMap<DeviceId, (DeviceId, Reach)>,
    /// The owner's browser is at a server to sign in.
    pub signing: Option<Signing>,
    /// Codes that are traded in: cancelled once nobody waits for it.
    pub trades: HashMap<CallId, CancellationToken>,
    /// It was there, and that is to be taken up.
    back: Vec<(CallId, Box<Signing>, Result<Tokens, NoLine>)>,
    /// Orders that have no answer yet.
    calls: HashMap<CallId, Term>,
    looking: Looking,
    /// Servers that are asked just now why they, or one of their things, are not reached.
    pub asked: HashMap<CallId, (DeviceId, DeviceId)>,
}

impl Mind {
    pub(crate) fn new(law: Law, network: Network, servers: Servers, outbox: Outbox) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        Self {
            law,
            network,
            servers,
            outbox,
            heard,
            inbox,
            near: None,
            searching: Searching::new(),
            hands: Hands::new(ORDERS),
            things: HashMap::new(),
            signing: None,
            trades: HashMap::new(),
            back: Vec::new(),
            calls: HashMap::new(),
            looking: Looking::default(),
            asked: HashMap::new(),
        }
    }

    /// These things are known from before, and shown as not reached: each with its server.
    pub(crate) fn remembering(mut self, before: Vec<(DeviceId, DeviceId)>) -> Self {
        self.things = before.into_iter().map(|(thing, server)| (thing, (server, Reach::Offline))).collect();
        self
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut orders: Inbox) {
        self.outbox.tell(self.servers.all()).await;
        for id in self.servers.all_added() {
            self.take(&id).await;
        }
        loop {
            let signing = self.signing.as_ref().map(|signing| signing.until);
            tokio::select! {
                biased;
                message = orders.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                Some(heard) = self.inbox.recv() => self.hear(heard).await,
                seen = next(&mut self.near) => self.seen(seen).await,
                () = self.searching.due(&self.law), if self.near.is_none() => self.begin().await,
                () = tokio::time::sleep_until(signing.unwrap_or_else(Instant::now).into()), if signing.is_some() => {
                    self.give_up_signing().await;
                }
            }
            while let Some((call, signing, outcome)) = self.back.pop() {
                let outcome = self.signed(call, *signing, outcome).await;
                self.outbox.reply(call, outcome).await;
            }
        }
        if let Some(near) = self.near.take() {
            near.close();
        }
        // What the hands still say is heard, so that none of them waits.
        let hears = async {
            while self.inbox.recv().await.is_some() {}
            false
        };
        let ended = tokio::select! {
            ended = self.hands.end(END_WITHIN) => ended,
            never = hears => never,
        };
        if !ended {
            tracing::warn!("a connection with a Home Assistant did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "Home Assistant").await else { return };
        self.near = Some(Browsing::open(near, self.network, SEARCH, &[SERVICE]).await);
    }

    /// Who came, changed and went.
    async fn seen(&mut self, seen: Seen) {
        let messages = match seen {
            Seen::Here { instance, at } => {
                let pairs = instance.txt.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
                let Some(advert) = Advert::parse(&instance.name, pairs) else { return };
                let (added, messages) = self.servers.found(&instance.name, advert, &v4(at));
                if let Some(hand) = added.and_then(|id| self.hands.get(&id)) {
                    let _ = hand.try_send(Order::Announced);
                }
                messages
            }
            Seen::Gone { name, .. } => self.servers.lost(&name).into_iter().collect(),
            Seen::Over => {
                if let Some(near) = self.near.take() {
                    near.close();
                }
                self.searching.ended();
                self.servers.all_lost()
            }
        };
        self.outbox.tell(messages).await;
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Tried { call, fact } => self.tried(call, fact).await,
            Heard::Signed { call, signing, outcome } => self.back.push((call, signing, outcome)),
            Heard::Told { server, messages } => {
                for message in &messages {
                    match message {
                        FromBridge::Seen { device } => {
                            self.things.insert(device.id.clone(), (server.clone(), device.reach));
                        }
                        FromBridge::Reach { device, reach } => {
                            self.things.insert(device.clone(), (server.clone(), *reach));
                        }
                        FromBridge::Gone { device } => drop(self.things.remove(device)),
                        FromBridge::Reply { call, .. } => drop(self.calls.remove(call)),
                        _ => {}
                    }
                }
                self.outbox.tell(messages).await;
            }
            Heard::Said { server, hand, saying } => {
                // What an earlier hand said is of no interest.
                if self.hands.is_current(&server, hand) {
                    self.said(&server, saying).await;
                }
            }
        }
    }

    /// Looks once more who is here.
    pub(super) fn search(&mut self) {
        if let Some(near) = &mut self.near {
            near.refresh();
        }
    }

    // -- hands --------------------------------------------------------------------------------------

    /// An added server gets a hand, and a new one when anything about it is new.
    pub(super) async fn take(&mut self, id: &DeviceId) {
        self.let_go(id).await;
        let Some(added) = self.servers.added(id) else { return };
        let Some(place) = added.place() else {
            tracing::warn!(server = %id, "the address of a Home Assistant cannot be read; add it again");
            return;
        };
        let of_server = self.things.iter().filter(|(_, (server, _))| server == id).map(|(thing, _)| thing.clone());
        let home = Home::new(id.clone(), added.since).remembering(of_server);
        self.hands.begin(id, |Place { number, orders }| {
            let hand = Hand {
                number,
                way: Way { law: self.law.clone(), server: id.clone(), place, pin: added.pin(), lease: None },
                token: added.token.clone(),
                client: added.client.clone(),
                tries: Tries::default(),
                heard: self.heard.clone(),
                home,
            };
            hand.run(orders)
        });
    }

    /// A hand ends before the next one begins: that its things are not reached is said before they are again.
    async fn let_go(&mut self, id: &DeviceId) {
        let Some(mut task) = self.hands.let_go(id) else { return };
        let until = tokio::time::Instant::now() + END_WITHIN;
        loop {
            tokio::select! {
                biased;
                _ = &mut task => break,
                // What it says while it ends is of no interest, but for what it tells of its things, and its answers.
                heard = self.inbox.recv() => if let Some(heard) = heard { self.hear(heard).await },
                () = tokio::time::sleep_until(until) => {
                    tracing::warn!(server = %id, "a connection with a Home Assistant did not end in time");
                    task.abort();
                    let _ = task.await;
                    break;
                }
            }
        }
        for _ in 0..QUEUE {
            let Ok(heard) = self.inbox.try_recv() else { break };
            self.hear(heard).await;
        }
    }

    /// Its things go with a server that is removed.
    async fn forget_things(&mut self, id: &DeviceId) {
        let left = |(thing, (server, _)): (&DeviceId, &(DeviceId, Reach))| (server == id).then(|| thing.clone());
        let left: Vec<DeviceId> = self.things.iter().filter_map(left).collect();
        self.things.retain(|_, (server, _)| server != id);
        self.outbox.tell(left.into_iter().map(|device| FromBridge::Gone { device })).await;
    }

    async fn said(&mut self, server: &DeviceId, saying: Saying) {
        let told = match saying {
            Saying::Key(Some(key)) => self.servers.key(server, key),
            Saying::Key(None) => Vec::new(),
            Saying::Other(key) => {
                tracing::warn!(%server, "a Home Assistant shows another key than when it was added; nothing is said to it");
                self.servers.other(server, key)
            }
            Saying::Up(version) => self.servers.up(server, version),
            Saying::About(about) => self.servers.about(server, about),
            Saying::Has(summary) => {
                if summary.beyond > 0 {
                    tracing::warn!(%server, left_out = summary.beyond, "a Home Assistant has more than Accord takes");
                }
                self.servers.has(server, summary)
            }
            Saying::State(State::Refused(why)) => self.servers.refused(server, why),
            Saying::State(State::Quiet) => self.servers.quiet(server),
            Saying::State(State::Down(why, outcome, _)) => {
                // It may be elsewhere by now.
                self.search();
                self.servers.down(server, why, outcome)
            }
        };
        self.outbox.tell(told).await;
    }

    // -- what the house wants -----------------------------------------------------------------------

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                let outcome = self.pairing(&device, verb).await;
                self.outbox.reply(call, outcome.map(|()| Outputs::new())).await;
            }
            ToBridge::Call { call, device, target, verb } => {
                if let Some(outcome) = self.order(call, device, target, verb) {
                    self.outbox.reply(call, outcome).await;
                }
            }
            ToBridge::Add { call, way, inputs } => {
                if let Some(outcome) = self.add(call, &way, &inputs).await {
                    self.outbox.reply(call, outcome).await;
                }
            }
            ToBridge::OpenStream { stream, device, target, .. } => {
                if let Err(error) = self.look(stream, device, target) {
                    self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
                }
            }
            ToBridge::Explain { call, device, within } => self.explain(call, device, within).await,
            ToBridge::Cancel { call } => {
                if let Some(term) = self.calls.remove(&call) {
                    term.give_up();
                }
                if let Some(trade) = self.trades.get(&call) {
                    trade.cancel();
                }
            }
            ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    /// `None`: it is answered later.
    async fn add(&mut self, call: CallId, way: &str, inputs: &Inputs) -> Option<Result<Outputs, CallError>> {
        match way {
            "token" => Some(self.add_with_token(inputs).await),
            "sign-in" => Some(self.sign_in(inputs).await),
            "signed-in" => self.came_back(call, inputs).err().map(Err),
            "not-signed-in" => {
                self.not_signed_in(inputs).await;
                Some(Ok(Outputs::new()))
            }
            _ => Some(Err(CallError::BadInput("a Home Assistant is added with its address and a token".to_owned()))),
        }
    }

    async fn add_with_token(&mut self, inputs: &Inputs) -> Result<Outputs, CallError> {
        let (id, before, told) = self.servers.add(inputs)?;
        self.outbox.tell(told).await;
        self.take(&id).await;
        if let Some(before) = before {
            self.replaced(&id, before).await;
        }
        Ok(Outputs::from([("devices".to_owned(), Data::Texts(vec![id.to_string()]))]))
    }

    async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let Verb::Act { action, inputs } = verb else {
            return Err(CallError::Unsupported("whether it is added is only to be read".to_owned()));
        };
        if self.things.contains_key(device) {
            let why =
                "it is there because its Home Assistant is added; add or remove that one, or the thing itself there";
            return Err(CallError::Unsupported(why.to_owned()));
        }
        match action.as_str() {
            "request" => {
                let told = self.servers.request(device, &inputs)?;
                self.outbox.tell(told).await;
                self.take(device).await;
                self.outbox.pairing(device, "paired").await;
            }
            "unpair" | "reject" => {
                if let Some(added) = self.servers.added(device) {
                    self.sign_out(device, added).await;
                }
                let told = self.servers.remove(device)?;
                self.let_go(device).await;
                self.forget_things(device).await;
                self.outbox.tell(told).await;
            }
            _ => return Err(CallError::Unsupported("a Home Assistant does not ask to be paired".to_owned())),
        }
        Ok(())
    }

    /// `None`: it is on its way, and answered by a hand.
    fn order(
        &mut self,
        call: CallId,
        device: DeviceId,
        target: Target,
        verb: Verb,
    ) -> Option<Result<Outputs, CallError>> {
        let Some((server, _)) = self.things.get(&device).cloned() else {
            return Some(self.of_server(&device, &target, verb));
        };
        let name = || accord_model::text::for_screen(&self.servers.name(&server), 64);
        let Some(hand) = self.hands.get(&server) else {
            return Some(Err(CallError::Unreachable(format!("{} is away", name()))));
        };
        if let (Err(refusal), false) = (self.law.may_control(&server), matches!(verb, Verb::Read { .. })) {
            return Some(Err(CallError::NotConsented(refusal.to_string())));
        }
        let busy = || CallError::Unreachable(format!("{} has not done yet what was wanted before", name()));
        let now = Instant::now();
        let term = Term::new(now);
        if hand.try_send(Order::Call(call, device, target, verb, term.clone())).is_err() {
            return Some(Err(busy()));
        }
        self.calls.retain(|_, term| !term.is_over(now));
        self.calls.insert(call, term);
        None
    }

    fn look(&mut self, stream: StreamId, device: DeviceId, target: Target) -> Result<(), CallError> {
        if target.service != picture::SERVICE {
            return Err(CallError::Unsupported("what Home Assistant has takes no files".to_owned()));
        }
        if self.servers.get(&device).is_some() {
            return Err(CallError::Unsupported("a Home Assistant itself has nothing to be looked at".to_owned()));
        }
        let thing = self.things.get(&device);
        let (server, _) = thing.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        self.law.may_control(server).map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let name = self.servers.name(server);
        self.looking.begin(stream, (device, target), (&name, self.hands.get(server)), &self.outbox)
    }

    fn of_server(&self, device: &DeviceId, target: &Target, verb: Verb) -> Result<Outputs, CallError> {
        let Verb::Read { properties } = verb else {
            return Err(CallError::Unsupported("a Home Assistant itself is only to be read".to_owned()));
        };
        self.servers.get(device).ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        let values = self.servers.read(device, &target.service, &properties);
        values.ok_or_else(|| CallError::Unsupported(accord_model::text::for_screen(&target.service, 60)))
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Browsing>) -> Seen {
    match near {
        Some(near) => near.next().await,
        None => std::future::pending().await,
    }
}
