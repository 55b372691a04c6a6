//! The feature: follows the players, offers them as services, shows them, obeys.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use accord_consent::{BoundGate, outlet};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, IdError, Inputs, Service, Target, Verb};
use accord_ports::mirror::Mirror;
use accord_ports::remote::{Grants, Remote};
use accord_ports::tasks::Tasks;
use accord_registry::{Answer, ByteStream, Registry, ServiceHandler};
use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use zbus::Connection;

use crate::mpris::{self, Tell};
use crate::track::Playing;
use crate::{SHARE, artwork};

const SERVICE: &str = "media";
/// Players tell of one change in several signals.
const SETTLE: Duration = Duration::from_millis(120);
/// Between two looks for a desktop that is not there.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(600);

/// Where the players are.
#[derive(Debug, Clone)]
pub enum Bus {
    /// On the desktop's own bus, as soon as there is one.
    Session,
    /// On this one.
    Given(Connection),
}

/// This computer's players. They are followed until it is dropped.
pub struct Media {
    _inner: Arc<Inner>,
    tasks: Tasks,
}

struct Inner {
    registry: Registry,
    grants: Arc<dyn Grants>,
    mirror: Mirror,
    services: watch::Sender<Vec<Service>>,
    players: Mutex<Players>,
}

#[derive(Default)]
struct Players {
    bus: Option<Connection>,
    /// A player keeps its number in this run, so that nobody controls another one by an old number.
    numbers: HashMap<String, u16>,
    now: BTreeMap<u16, Player>,
}

#[derive(Clone)]
struct Player {
    address: String,
    name: String,
    playing: Playing,
    artwork: Option<Arc<[u8]>>,
}

impl Media {
    /// Follows the players and serves them. Make it inside a tokio runtime.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: &BoundGate, registry: &Registry, grants: Arc<dyn Grants>, bus: Bus) -> Result<Self, IdError> {
        let mirror = Mirror::new(registry, gate, EntryKey::new(SHARE)?, FieldCode::MediaNowPlaying);
        let inner = Arc::new(Inner {
            registry: registry.clone(),
            grants,
            mirror: mirror.clone(),
            services: watch::Sender::new(Vec::new()),
            players: Mutex::default(),
        });
        registry.serve(SERVICE, Arc::new(Handler(Arc::downgrade(&inner))));
        let tasks =
            Tasks::new().with(mirror.run(inner.services.subscribe())).with(keep_following(Arc::downgrade(&inner), bus));
        Ok(Self { _inner: inner, tasks })
    }

    /// Ends what runs. Nothing is shown any more.
    pub async fn stop(&self) {
        self.tasks.stop().await;
    }
}

async fn keep_following(inner: Weak<Inner>, bus: Bus) {
    let mut rest = FIRST_REST;
    loop {
        let connected = match &bus {
            Bus::Session => outlet::session_bus().await.map_err(|error| error.to_string()),
            Bus::Given(connection) => Ok(connection.clone()),
        };
        match connected {
            Ok(connection) => {
                if let Err(error) = follow(&inner, &connection).await {
                    tracing::debug!(%error, "the desktop's bus is gone");
                }
                rest = FIRST_REST;
            }
            Err(error) => tracing::debug!(%error, "no desktop whose players could be shown"),
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.set(None, BTreeMap::new());
        drop(inner);
        tokio::time::sleep(rest).await;
        rest = (rest * 2).min(LONGEST_REST);
    }
}

/// Until the bus is gone.
async fn follow(inner: &Weak<Inner>, bus: &Connection) -> zbus::Result<()> {
    let changed = Arc::new(Notify::new());
    let refreshed = async {
        loop {
            changed.notified().await;
            tokio::time::sleep(SETTLE).await;
            let Some(inner) = inner.upgrade() else { return Ok(()) };
            inner.refresh(bus).await?;
        }
    };
    tokio::select! {
        outcome = mpris::follow(bus, changed.clone()) => outcome,
        outcome = refreshed => outcome,
    }
}

impl Inner {
    fn players(&self) -> MutexGuard<'_, Players> {
        self.players.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks every player anew: the signals say that something changed, the player says what is.
    async fn refresh(&self, bus: &Connection) -> zbus::Result<()> {
        let names = mpris::list(bus).await?;
        let before: HashMap<String, Player> =
            self.players().now.values().map(|player| (player.address.clone(), player.clone())).collect();
        let read = names.into_iter().map(|address| {
            let known = before.get(&address);
            async move { look(bus, address, known).await }
        });
        let found: Vec<Player> = join_all(read).await.into_iter().flatten().collect();
        let numbered = {
            let mut players = self.players();
            found.into_iter().filter_map(|player| Some((players.number(&player.address)?, player))).collect()
        };
        self.set(Some(bus.clone()), numbered);
        Ok(())
    }

    fn set(&self, bus: Option<Connection>, now: BTreeMap<u16, Player>) {
        let services: Vec<Service> = now
            .iter()
            .map(|(number, player)| player.playing.service(*number, &player.name, player.artwork.as_deref()))
            .collect();
        {
            let mut players = self.players();
            players.bus = bus;
            players.now = now;
        }
        self.registry.offer(SERVICE, services.clone());
        self.services.send_replace(services);
    }

    async fn obey(&self, from: &DeviceId, target: Target, verb: Verb) -> Result<Answer, CallError> {
        if let Verb::Read { properties } = &verb {
            let services = self.services.borrow().clone();
            return self.mirror.answer(from, &services, &target, properties).await;
        }
        if !self.grants.allows(from, Remote::Media) {
            return Err(CallError::Refused("the owner has not allowed you to control this computer's players".into()));
        }
        let (bus, player) = {
            let players = self.players();
            let player = players.now.get(&target.instance).cloned();
            players.bus.clone().zip(player).ok_or_else(|| CallError::Unsupported("that player is gone".into()))?
        };
        let what = what(verb)?;
        mpris::tell(&bus, &player.address, &player.playing, what)
            .await
            .map_err(|error| CallError::Device(accord_model::text::for_screen(&error.to_string(), 200)))?;
        Ok(Answer::Done)
    }
}

impl Players {
    fn number(&mut self, address: &str) -> Option<u16> {
        if let Some(number) = self.numbers.get(address) {
            return Some(*number);
        }
        // Players name themselves with process numbers, so a long run meets many.
        let number = u16::try_from(self.numbers.len()).ok()?;
        self.numbers.insert(address.to_owned(), number);
        Some(number)
    }
}

async fn look(bus: &Connection, address: String, known: Option<&Player>) -> Option<Player> {
    let playing = match mpris::read(bus, &address).await {
        Ok(playing) => playing,
        Err(error) => {
            tracing::debug!(%address, %error, "a player says nothing");
            return None;
        }
    };
    let name = match known {
        Some(known) => known.name.clone(),
        None => mpris::identity(bus, &address).await.unwrap_or_else(|| short(&address)),
    };
    let artwork = match (&playing.artwork, known) {
        (Some(at), Some(known)) if known.playing.artwork.as_ref() == Some(at) && known.artwork.is_some() => {
            known.artwork.clone()
        }
        (Some(at), _) => artwork::read(at.clone()).await.map(Arc::from),
        (None, _) => None,
    };
    Some(Player { address, name, playing, artwork })
}

fn short(address: &str) -> String {
    address.rsplit('.').find(|part| !part.starts_with("instance")).unwrap_or(address).to_owned()
}

fn what(verb: Verb) -> Result<Tell, CallError> {
    let bad = |what: &str| CallError::BadInput(accord_model::text::for_screen(what, 100));
    match verb {
        Verb::Act { action, .. } => Ok(Tell::Do(match action.as_str() {
            "play" => "Play",
            "pause" => "Pause",
            "play-pause" => "PlayPause",
            "next" => "Next",
            "previous" => "Previous",
            "stop" => "Stop",
            other => return Err(CallError::Unsupported(accord_model::text::for_screen(other, 60))),
        })),
        Verb::Write { property, data } => match (property.as_str(), &data) {
            ("position", data) => match data.as_number() {
                Some(seconds) if (0.0..1e9).contains(&seconds) => Ok(Tell::Position((seconds * 1e6) as i64)),
                _ => Err(bad("a position is in seconds from the beginning")),
            },
            ("volume", data) => match data.as_number() {
                Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Tell::Volume(percent / 100.0)),
                _ => Err(bad("a volume is between 0 and 100")),
            },
            ("shuffle", Data::Bool(on)) => Ok(Tell::Shuffle(*on)),
            ("loop", Data::Text(how)) if ["None", "Track", "Playlist"].contains(&how.as_str()) => {
                Ok(Tell::Repeat(how.clone()))
            }
            ("loop", _) => Err(bad("a loop is None, Track or Playlist")),
            (other, _) => Err(CallError::Unsupported(accord_model::text::for_screen(other, 60))),
        },
        Verb::Read { .. } => Err(bad("nothing to do")),
    }
}

struct Handler(Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, target: Target, verb: Verb) -> Result<Answer, CallError> {
        match self.0.upgrade() {
            Some(inner) => inner.obey(&from, target, verb).await,
            None => Err(CallError::Unreachable("this hub is ending".into())),
        }
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_exactly_one_thing_or_nothing() {
        let write = |property: &str, data| what(Verb::Write { property: property.into(), data });
        assert_eq!(write("position", Data::Int(90)), Ok(Tell::Position(90_000_000)));
        assert_eq!(write("volume", Data::Float(30.0)), Ok(Tell::Volume(0.3)));
        for (property, data) in [
            ("position", Data::Float(f64::NAN)),
            ("position", Data::Int(-1)),
            ("volume", Data::Int(101)),
            ("loop", Data::Text("Forever".into())),
            ("title", Data::Text("x".into())),
        ] {
            assert!(write(property, data).is_err(), "{property}");
        }
        assert!(what(Verb::Act { action: "quit".into(), inputs: Inputs::new() }).is_err());
    }
}
