//! `accord media`: players of a device, or of this machine.

use std::time::Duration;

use accord_model::{Data, Inputs, Service, Timestamp, Verb};
use anyhow::{Result, bail};

use super::control::call;
use super::devices::find;
use super::screen::{Cell, Style, ago, name};
use super::{Context, Usage};
use crate::api::types::Device;

/// This machine, as the hub lists it.
const THIS: &str = "this";

#[derive(clap::Args)]
pub struct Media {
    /// [DEVICE] [list|play|pause|next|previous|stop|volume N|seek S|open ADDRESS]: without a device, of this machine; `volume` in percent,
    /// `seek` in seconds from the beginning, or +S and -S from where it is; `open` has a television or loudspeaker fetch
    /// and play what is at an address.
    #[arg(value_name = "WORDS", allow_negative_numbers = true)]
    words: Vec<String>,
    /// Which player, where several run; the one that plays without it.
    #[arg(long)]
    player: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    List,
    Do(&'static str),
    Volume(i64),
    Seek { seconds: f64, from_here: bool },
    Open(String),
}

const DOES: [&str; 5] = ["play", "pause", "next", "previous", "stop"];

pub async fn run(args: Media, context: &Context) -> Result<()> {
    let (device, wanted) = understand(&args.words)?;
    let device = find(context, device.as_deref().unwrap_or(THIS)).await?;
    let players: Vec<&Service> = device.services.iter().filter(|service| service.id == "media").collect();
    let verb = match wanted {
        Wanted::List => return list(context, &device, &players),
        Wanted::Do(action) => Verb::Act { action: action.to_owned(), inputs: Inputs::new() },
        Wanted::Volume(percent) => Verb::Write { property: "volume".to_owned(), data: Data::Int(percent) },
        Wanted::Open(ref address) => {
            let inputs = Inputs::from([("address".to_owned(), Data::Text(address.clone()))]);
            Verb::Act { action: "open".to_owned(), inputs }
        }
        Wanted::Seek { .. } => Verb::Write { property: "position".to_owned(), data: Data::Float(0.0) },
    };
    let player = pick(&device, &players, args.player.as_deref())?;
    let verb = match (verb, &wanted) {
        (Verb::Write { property, .. }, Wanted::Seek { seconds, from_here }) => {
            let start = if *from_here { here(player) } else { 0.0 };
            Verb::Write { property, data: Data::Float((start + seconds).max(0.0)) }
        }
        (verb, _) => verb,
    };
    let answer = call(context, &device, player, verb, false).await?;
    if context.screen.json {
        return context.screen.document(&answer);
    }
    Ok(())
}

/// The device, if one is named, and what is wanted of it.
fn understand(words: &[String]) -> Result<(Option<String>, Wanted), Usage> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(wanted) = verb(&words)? {
        return Ok((None, wanted));
    }
    match words.as_slice() {
        [] => Ok((None, Wanted::List)),
        [device] => Ok((Some((*device).to_owned()), Wanted::List)),
        [device, rest @ ..] => match verb(rest)? {
            Some(wanted) => Ok((Some((*device).to_owned()), wanted)),
            None => Err(Usage(format!("`{}` is nothing a player does; see `accord media --help`", name(rest[0])))),
        },
    }
}

/// `None`: these words begin with no verb.
fn verb(words: &[&str]) -> Result<Option<Wanted>, Usage> {
    let wanted = match words {
        ["list"] => Wanted::List,
        ["volume", percent] => match percent.trim_end_matches('%').parse() {
            Ok(percent @ 0..=100) => Wanted::Volume(percent),
            _ => return Err(Usage("a volume is between 0 and 100".into())),
        },
        ["seek", to] => match to.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() => Wanted::Seek { seconds, from_here: to.starts_with(['+', '-']) },
            _ => return Err(Usage("seek takes seconds: 90, +10 or -10".into())),
        },
        ["open", address] if address.contains("://") => Wanted::Open((*address).to_owned()),
        ["open", _] => return Err(Usage("open takes an address: http://…".into())),
        ["volume" | "seek" | "open"] => {
            return Err(Usage(format!("`{}` takes one word more; see `accord media --help`", words[0])));
        }
        [action] => match DOES.iter().find(|known| *known == action) {
            Some(action) => Wanted::Do(action),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(wanted))
}

fn pick<'a>(device: &Device, players: &[&'a Service], wanted: Option<&str>) -> Result<&'a Service> {
    let found = match wanted {
        Some(wanted) => players.iter().find(|player| label(player).to_lowercase() == wanted.to_lowercase()),
        None => players.iter().find(|player| data(player, "playing") == Some(&Data::Bool(true))).or(players.first()),
    };
    match (found, players.is_empty()) {
        (Some(player), _) => Ok(player),
        (None, true) => bail!("{} shows no player", name(&device.name)),
        (None, false) => {
            let names: Vec<String> = players.iter().map(|player| name(label(player))).collect();
            bail!(
                "{} has no player `{}`; it has: {}",
                name(&device.name),
                name(wanted.unwrap_or_default()),
                names.join(", ")
            )
        }
    }
}

fn list(context: &Context, device: &Device, players: &[&Service]) -> Result<()> {
    let screen = &context.screen;
    if screen.json {
        return screen.document(&serde_json::json!({ "device": device.id, "players": players }));
    }
    if players.is_empty() {
        screen.note(format!("{} shows no player.", name(&device.name)));
        return Ok(());
    }
    let rows = players.iter().map(|player| {
        let text = |id: &str| data(player, id).and_then(Data::as_text).unwrap_or_default();
        let state = match data(player, "playing") {
            Some(Data::Bool(true)) if stands(player) => Cell::styled("says playing, stands still", Style::Warn),
            Some(Data::Bool(true)) => Cell::styled("playing", Style::Good),
            Some(_) => Cell::new("paused"),
            None => Cell::new(""),
        };
        let length = data(player, "length").and_then(Data::as_number).map(|length| format!(" / {}", clock(length)));
        let position =
            data(player, "position").map(|_| format!("{}{}", clock(here(player)), length.unwrap_or_default()));
        let volume = data(player, "volume").and_then(Data::as_int).map(|volume| format!("{volume} %"));
        let seen = player.values.get("playing").map(|value| ago(value.seen));
        vec![
            Cell::new(label(player)),
            state,
            Cell::new(text("title")),
            Cell::new(text("artist")),
            Cell::new(position.unwrap_or_default()),
            Cell::number(volume.unwrap_or_default()),
            Cell::styled(seen.unwrap_or_default(), Style::Dim),
        ]
    });
    screen.table(&["PLAYER", "STATE", "TITLE", "ARTIST", "POSITION", "VOLUME", "SEEN"], rows.collect());
    Ok(())
}

fn label(player: &Service) -> &str {
    player.label.as_deref().unwrap_or("player")
}

fn data<'a>(player: &'a Service, id: &str) -> Option<&'a Data> {
    player.values.get(id).map(|value| &value.data)
}

/// That it plays is only its word; some players say where they can be believed.
fn stands(player: &Service) -> bool {
    data(player, "moving") == Some(&Data::Bool(false))
}

/// Where it is now: what it said last, and the time since while it plays.
fn here(player: &Service) -> f64 {
    let Some(said) = player.values.get("position") else { return 0.0 };
    let playing = data(player, "playing") == Some(&Data::Bool(true)) && !stands(player);
    let since = Duration::try_from(Timestamp::now().duration_since(said.seen)).unwrap_or_default();
    let moved = if playing { since.as_secs_f64() } else { 0.0 };
    let at = said.data.as_number().unwrap_or_default() + moved;
    data(player, "length").and_then(Data::as_number).map_or(at, |length| at.min(length))
}

fn clock(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, 1e7) as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Option<(Option<String>, Wanted)> {
        understand(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn words_mean_this_machine_unless_a_device_is_named() {
        assert_eq!(read(""), Some((None, Wanted::List)));
        assert_eq!(read("pause"), Some((None, Wanted::Do("pause"))));
        assert_eq!(read("phone"), Some((Some("phone".into()), Wanted::List)));
        assert_eq!(read("phone volume 30%"), Some((Some("phone".into()), Wanted::Volume(30))));
        let back = Wanted::Seek { seconds: -10.0, from_here: true };
        assert_eq!(read("phone seek -10"), Some((Some("phone".into()), back)));
        let address = "http://10.0.0.2/x.mp3";
        assert_eq!(read(&format!("tv open {address}")), Some((Some("tv".into()), Wanted::Open(address.into()))));
        for bad in ["tv open", "tv open x", "phone dance", "volume", "phone volume 101", "seek soon", "phone play loud"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
