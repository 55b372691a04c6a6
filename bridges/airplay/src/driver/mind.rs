//! One task that holds every decision. What it hears comes from the core of the house, from the session and the players, and
//! from the clock; what it decides goes to them.

use std::collections::HashMap;
use std::time::Duration;

use accord_consent::outlet::interfaces::Network;
use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, StreamId, Target, ToBridge, Verb};
use accord_ports::added;
use accord_ports::dns_sd::{Browsing, Seen};
use accord_ports::law::Searching;
use accord_ports::{Inbox, Outbox};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::devices::{Devices, Known};
use super::law::{Law, SEARCH};
use super::player::{Order, Player, Told};
use crate::core::cast::{Loudness, Value, Wanted};
use crate::core::finder::{Event, Finder};
use crate::core::txt::{AIRPLAY, RAOP};
use crate::core::words::Names;

/// Orders that a player has not followed yet, and words of players that wait here.
const ORDERS: usize = 16;
const TOLD: usize = 64;
const END_WITHIN: Duration = Duration::from_secs(3);

pub(crate) struct Mind {
    pub law: Law,
    network: Network,
    pub devices: Devices,
    pub outbox: Outbox,
    pub near: Option<Browsing>,
    finder: Finder,
    pub searching: Searching,
    players: HashMap<DeviceId, Held>,
    pub told: mpsc::Sender<Told>,
    heard: mpsc::Receiver<Told>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
    next_player: u64,
    /// Devices that are asked just now why they are not reached.
    pub asked: HashMap<CallId, DeviceId>,
}

struct Held {
    number: u64,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    over: CancellationToken,
}

impl Mind {
    pub(crate) fn new(law: Law, network: Network, devices: Devices, outbox: Outbox) -> Self {
        let (told, heard) = mpsc::channel(TOLD);
        Self {
            law,
            network,
            devices,
            outbox,
            near: None,
            finder: Finder::default(),
            searching: Searching::new(),
            players: HashMap::new(),
            told,
            heard,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            next_player: 1,
            asked: HashMap::new(),
        }
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.outbox.tell(self.devices.all()).await;
        loop {
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                Some(told) = self.heard.recv() => self.player_told(told).await,
                seen = next(&mut self.near) => self.seen(seen).await,
                () = self.searching.due(&self.law), if self.near.is_none() => self.begin().await,
            }
        }
        self.end_nearby().await;
        self.end_players().await;
    }

    /// All players say good-bye.
    async fn end_players(&mut self) {
        self.stop.cancel();
        self.tasks.close();
        let all = async {
            let ended = self.tasks.wait();
            tokio::pin!(ended);
            loop {
                tokio::select! {
                    () = &mut ended => return,
                    Some(_) = self.heard.recv() => {}
                }
            }
        };
        if tokio::time::timeout(END_WITHIN, all).await.is_err() {
            tracing::warn!("a player's task did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "AirPlay devices").await else { return };
        self.finder = Finder::default();
        self.finder.keep(self.devices.kept());
        self.near = Some(Browsing::open(near, self.network, SEARCH, &[RAOP, AIRPLAY]).await);
    }

    /// What plays goes on: that has consents of its own.
    async fn end_nearby(&mut self) {
        let Some(near) = self.near.take() else { return };
        near.close();
        self.searching.ended();
        let gone = self.devices.all_lost();
        self.outbox.tell(gone).await;
        self.asked_in_vain().await;
    }

    async fn seen(&mut self, seen: Seen) {
        let Some(near) = &self.near else { return };
        let event = match seen {
            Seen::Over => return self.end_nearby().await,
            Seen::Here { instance, at } => {
                // This machine announces receivers of its own, if at all, for others.
                let other = |ip| self.network == Network::Loopback || !near.is_own(ip);
                self.finder
                    .announced(&instance, |found| at.contains(&found.socket_address(instance.port)) && other(found.ip))
            }
            Seen::Gone { service, name } => self.finder.gone(&service, &name),
        };
        let told = match event {
            Some(Event::Found(found)) => Some(self.devices.found(Known::of(&found)).1),
            Some(Event::Lost(hardware)) => self.devices.id(&hardware).and_then(|id| self.devices.lost(&id)),
            None => None,
        };
        self.outbox.tell(told).await;
    }

    // -- players ------------------------------------------------------------------------------------

    async fn player_told(&mut self, told: Told) {
        match told {
            Told::Tried(call, fact) => self.tried(call, fact).await,
            Told::Values(device, values) => {
                let told = self.devices.get_mut(&device).map(|known| known.take(&values));
                self.outbox.tell(told.into_iter().flatten()).await;
            }
            Told::Loudness(device, loudness) => {
                if let Some(known) = self.devices.get_mut(&device) {
                    known.loudness = loudness;
                }
            }
            Told::Over { device, number, lost } => {
                if self.players.get(&device).is_some_and(|held| held.number == number) {
                    self.players.remove(&device);
                }
                let hardware = self.devices.get(&device).map(|known| known.hardware.clone());
                let moved = hardware.as_ref().and_then(|hardware| self.finder.reached(hardware, !lost));
                if let Some(Event::Found(found)) = moved {
                    let (_, told) = self.devices.found(Known::of(&found));
                    self.outbox.tell([told]).await;
                }
                if let (true, Some(near), Some(hardware)) = (lost, &mut self.near, hardware) {
                    for (service, name) in self.finder.names(&hardware) {
                        near.doubt(service, &name);
                    }
                }
            }
        }
    }

    /// Begins a cast: the stream is ready once the device takes sound.
    fn open_stream(&mut self, stream: StreamId, device: &DeviceId, target: &Target) -> Result<(), CallError> {
        if target.service != "media" {
            return Err(CallError::Unsupported("a loudspeaker takes sound, as a stream to its `media`".to_owned()));
        }
        self.may_be_told(device)?;
        let known = self.devices.get(device).ok_or_else(unknown)?;
        let away = || CallError::Unreachable(format!("{} is away; is it switched on?", for_screen(&known.name)));
        let found = known.found.as_ref().ok_or_else(away)?;
        if let Some(obstacle) = found.obstacle {
            return Err(CallError::Unsupported(obstacle.to_string()));
        }
        let permits = self.law.cast(device).map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let mut chance = [0; 28];
        getrandom::fill(&mut chance).map_err(|error| CallError::Device(error.to_string()))?;
        let before = self.players.remove(device).map(|held| {
            held.stop.cancel();
            held.over
        });
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (number, stop, over) = (self.next_player, self.stop.child_token(), CancellationToken::new());
        self.next_player += 1;
        let player = Player {
            device: device.clone(),
            number,
            name: for_screen(&known.name),
            at: found.at,
            names: Names::from_chance(chance),
            shows_title: found.shows_title,
            loudness: known.loudness,
            permits: Some(permits),
            stream,
            orders: inbox,
            told: self.told.clone(),
            outbox: self.outbox.clone(),
            stop: stop.clone(),
            before,
        };
        let ended = over.clone().drop_guard();
        self.tasks.spawn(async move {
            let _ended = ended;
            player.run().await;
        });
        self.players.insert(device.clone(), Held { number, orders, stop, over });
        Ok(())
    }

    // -- what the house wants -----------------------------------------------------------------------

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                let outcome = self.pairing(&device, verb).await;
                self.outbox.reply(call, outcome.map(|()| Outputs::new())).await;
            }
            ToBridge::Call { call, device, target, verb } => {
                if let Some(outcome) = self.order(call, &device, &target.service, verb).await.transpose() {
                    self.outbox.reply(call, outcome).await;
                }
            }
            ToBridge::OpenStream { stream, device, target, .. } => {
                if let Err(error) = self.open_stream(stream, &device, &target) {
                    self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
                }
            }
            ToBridge::Explain { call, device, within } => self.explain(call, device, within).await,
            ToBridge::Add { .. }
            | ToBridge::Cancel { .. }
            | ToBridge::Answer { .. }
            | ToBridge::Own { .. }
            | ToBridge::Stop => {}
        }
    }

    /// Nothing is paired in the open: that the owner adds a device is all there is.
    async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let strange = || CallError::Unsupported("loudspeakers do not ask to be paired".to_owned());
        let yes = added::wanted(&verb).ok_or_else(strange)?;
        let told = self.devices.add(device, yes).map_err(CallError::Device)?;
        self.outbox.tell(told).await;
        self.finder.keep(self.devices.kept());
        if yes {
            self.outbox.pairing(device, "paired").await;
        } else if let Some(held) = self.players.get(device) {
            held.stop.cancel();
        }
        Ok(())
    }

    /// `None`: a player answers.
    async fn order(
        &mut self,
        call: CallId,
        device: &DeviceId,
        service: &str,
        verb: Verb,
    ) -> Result<Option<Outputs>, CallError> {
        self.may_be_told(device)?;
        let wanted = match verb {
            Verb::Read { properties } => {
                return Ok(self.devices.get(device).map(|known| known.read(service, &properties)));
            }
            Verb::Act { action, .. } if service == "media" => act(&action)?,
            Verb::Write { property, data } => write(service, &property, &data)?,
            Verb::Act { .. } => return Err(unsupported()),
        };
        let known = self.devices.get_mut(device).ok_or_else(unknown)?;
        if let Some(held) = self.players.get(device) {
            let busy = || {
                CallError::Unreachable(format!("{} has not done yet what was wanted before", for_screen(&known.name)))
            };
            return held.orders.try_send(Order(call, wanted)).map(|()| None).map_err(|_| busy());
        }
        // Nothing plays: how loud the next cast is can be said, and nothing else.
        let before = known.loudness;
        let loudness = match wanted {
            Wanted::Volume(percent) => Loudness { volume: Some(percent), wanted: true, muted: false },
            Wanted::Muted(muted) => Loudness { muted, ..before },
            Wanted::Stop => return Ok(Some(Outputs::new())),
            _ => return Err(CallError::Device("nothing is cast to it; begin with `accord cast`".to_owned())),
        };
        known.loudness = loudness;
        let values = loudness.volume.map(Value::Volume).into_iter().chain([Value::Muted(loudness.muted)]);
        let told = known.take(&values.collect::<Vec<_>>());
        self.outbox.tell(told).await;
        Ok(Some(Outputs::new()))
    }

    fn may_be_told(&self, device: &DeviceId) -> Result<(), CallError> {
        let known = self.devices.get(device).ok_or_else(unknown)?;
        if !self.devices.is_added(device) {
            return Err(CallError::NotConsented(format!("add {} first: accord pair", for_screen(&known.name))));
        }
        self.law.may_control(device).map_err(|refusal| CallError::NotConsented(refusal.to_string()))
    }
}

fn act(action: &str) -> Result<Wanted, CallError> {
    Ok(match action {
        "play" => Wanted::Play,
        "pause" => Wanted::Pause,
        "play-pause" => Wanted::PlayPause,
        "stop" => Wanted::Stop,
        _ => return Err(unsupported()),
    })
}

fn write(service: &str, property: &str, data: &Data) -> Result<Wanted, CallError> {
    Ok(match (service, property) {
        ("media", "volume") | ("volume", "level") => {
            let number = data.as_number().ok_or_else(|| CallError::BadInput("a number is wanted".to_owned()))?;
            Wanted::Volume(number.clamp(0.0, 100.0).round() as u8)
        }
        ("volume", "muted") => {
            Wanted::Muted(data.as_bool().ok_or_else(|| CallError::BadInput("yes or no is wanted".to_owned()))?)
        }
        _ => return Err(unsupported()),
    })
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Browsing>) -> Seen {
    match near {
        Some(near) => near.next().await,
        None => std::future::pending().await,
    }
}

fn for_screen(name: &str) -> String {
    accord_model::text::for_screen(name, 64)
}

fn unknown() -> CallError {
    CallError::Unreachable("no such device is known".to_owned())
}

fn unsupported() -> CallError {
    CallError::Unsupported("loudspeakers play, pause, stop, and are loud or not".to_owned())
}
