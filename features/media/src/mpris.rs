//! Players on the desktop's bus: which there are, what they say, and how they are told. MPRIS D-Bus Interface
//! Specification 2.2.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use zbus::names::BusName;
use zbus::{Connection, MatchRule, MessageStream, ObjectPath, Variant};

use crate::track::{Playing, Properties};

const PATH: &str = "/org/mpris/MediaPlayer2";
const ROOT: &str = "org.mpris.MediaPlayer2";
const PLAYER: &str = "org.mpris.MediaPlayer2.Player";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const BUS: &str = "org.freedesktop.DBus";
/// Longest wait for one player.
const WITHIN: Duration = Duration::from_secs(3);
/// More players than this are not looked at.
const MOST: usize = 16;
const QUEUE: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");
/// Players of other devices, and one that repeats another player.
const NOT_OURS: [&str; 3] = ["kdeconnect", "playerctld", "gsconnect"];

/// What a player can be told beside its actions.
#[derive(Debug, Clone, PartialEq)]
pub enum Tell {
    /// `Play`, `Pause`, `PlayPause`, `Next`, `Previous`, `Stop`.
    Do(&'static str),
    /// From the beginning, in microseconds.
    Position(i64),
    /// 1.0 is as loud as is sensible.
    Volume(f64),
    Shuffle(bool),
    /// `None`, `Track` or `Playlist`.
    Repeat(String),
}

/// Tells `changed` of every change of a player until the bus is gone. Reads the signals without a pause, because a full queue
/// would hold up the answers to our own calls.
pub async fn follow(bus: &Connection, changed: Arc<Notify>) -> zbus::Result<()> {
    let signal = || MatchRule::builder().msg_type(zbus::message::Type::Signal);
    let rules = [
        signal().sender(BUS).interface(BUS).member("NameOwnerChanged").arg0ns(ROOT).build()?,
        signal().interface(PROPERTIES).member("PropertiesChanged").path(PATH).build()?,
        signal().interface(PLAYER).member("Seeked").path(PATH).build()?,
    ];
    let mut streams = Vec::new();
    for rule in rules {
        streams.push(MessageStream::for_match_rule(rule, bus, Some(QUEUE)).await?);
    }
    changed.notify_one();
    let mut signals = stream::select_all(streams);
    while let Some(signal) = signals.next().await {
        signal?;
        changed.notify_one();
    }
    Ok(())
}

/// The bus names of the players that run.
pub async fn list(bus: &Connection) -> zbus::Result<Vec<String>> {
    let answer = call(bus, BUS, "/org/freedesktop/DBus", BUS, "ListNames", &()).await?;
    let names: Vec<String> = answer.body().deserialize()?;
    let ours = |name: &String| {
        let player = name.strip_prefix("org.mpris.MediaPlayer2.");
        player.is_some_and(|player| !NOT_OURS.iter().any(|not| player.starts_with(not)))
    };
    let mut names: Vec<String> = names.into_iter().filter(ours).collect();
    names.sort();
    names.truncate(MOST);
    Ok(names)
}

/// What a player says of itself now.
pub async fn read(bus: &Connection, player: &str) -> zbus::Result<Playing> {
    let answer = call(bus, player, PATH, PROPERTIES, "GetAll", &(PLAYER,)).await?;
    let properties: Properties = answer.body().deserialize()?;
    Ok(Playing::of(&properties))
}

/// What a player calls itself.
pub async fn identity(bus: &Connection, player: &str) -> Option<String> {
    let answer = call(bus, player, PATH, PROPERTIES, "Get", &(ROOT, "Identity")).await.ok()?;
    let value: zbus::OwnedVariant = answer.body().deserialize().ok()?;
    String::try_from(value).ok().filter(|name| !name.trim().is_empty())
}

/// Tells a player what to do; `playing` is what it said last.
pub async fn tell(bus: &Connection, player: &str, playing: &Playing, what: Tell) -> zbus::Result<()> {
    let set = async |property: &str, value: Variant<'_>| {
        call(bus, player, PATH, PROPERTIES, "Set", &(PLAYER, property, value)).await
    };
    match what {
        Tell::Do(action) => call(bus, player, PATH, PLAYER, action, &()).await,
        Tell::Volume(volume) => set("Volume", Variant::F64(volume)).await,
        Tell::Shuffle(on) => set("Shuffle", Variant::Bool(on)).await,
        Tell::Repeat(how) => set("LoopStatus", Variant::from(how)).await,
        Tell::Position(to) => {
            let track = playing.track.as_deref().and_then(|track| ObjectPath::try_from(track).ok());
            match track {
                Some(track) => call(bus, player, PATH, PLAYER, "SetPosition", &(track, to)).await,
                // Without a track's name only steps can be asked for.
                None => {
                    let now = read(bus, player).await?.position_us.unwrap_or(0);
                    call(bus, player, PATH, PLAYER, "Seek", &(to.saturating_sub(now),)).await
                }
            }
        }
    }
    .map(drop)
}

async fn call<B: serde::Serialize + zbus::DynamicType>(
    bus: &Connection,
    to: &str,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> zbus::Result<zbus::Message> {
    let to = BusName::try_from(to)?;
    let asked = bus.call_method(Some(to), path, Some(interface), method, body);
    tokio::time::timeout(WITHIN, asked).await.map_err(|_| {
        zbus::Error::InputOutput(std::io::Error::new(std::io::ErrorKind::TimedOut, "the player does not answer").into())
    })?
}
