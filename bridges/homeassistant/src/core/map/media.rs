//! Players: `media_player`. developers.home-assistant.io/docs/core/entity/media-player

use accord_model::text::for_screen;
use accord_model::{Data, Timestamp, catalogue};

use super::part::{Part, options};
use super::{Entity, percent_of};
use crate::core::words::Call;

const PAUSE: u32 = 1;
const SEEK: u32 = 2;
const VOLUME: u32 = 4;
const MUTE: u32 = 8;
const PREVIOUS: u32 = 16;
const NEXT: u32 = 32;
const ON: u32 = 128;
const OFF: u32 = 256;
const SOURCE: u32 = 2048;
const STOP: u32 = 4096;
const PLAY: u32 = 16_384;
const SHUFFLE: u32 = 32_768;
const SOUND_MODE: u32 = 65_536;
const REPEAT: u32 = 262_144;

/// Home Assistant's word, and the one that players here use.
const LOOPS: [(&str, &str); 3] = [("off", "None"), ("one", "Track"), ("all", "Playlist")];

pub fn player(entity: &Entity<'_>) -> Vec<Part> {
    let attrs = entity.attrs;
    let text = |name: &str| attrs.text(name).map(|text| for_screen(text, 200));
    let mut kept = vec!["playing", "title", "artist", "album", "length", "position"];
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(entity.can(VOLUME), "volume");
    keep(entity.can(SHUFFLE), "shuffle");
    keep(entity.can(REPEAT), "loop");
    let actions = [
        (PLAY, "play"),
        (PAUSE, "pause"),
        (PLAY | PAUSE, "play-pause"),
        (NEXT, "next"),
        (PREVIOUS, "previous"),
        (STOP, "stop"),
    ];
    let actions: Vec<&str> = actions.into_iter().filter(|(bits, _)| entity.can(*bits)).map(|(_, id)| id).collect();
    let service = catalogue::media().only(&kept, &actions).change("position", |one| one.write = entity.can(SEEK));
    let volume = attrs.number("volume_level").map(percent_of);
    let repeat = attrs.text("repeat").and_then(|repeat| LOOPS.iter().find(|(theirs, _)| *theirs == repeat));
    let media = Part::new(service)
        .say("playing", entity.known().map(|state| matches!(state, "playing" | "buffering")))
        .say("title", text("media_title"))
        .say("artist", text("media_artist"))
        .say("album", text("media_album_name"))
        .say("length", attrs.number("media_duration").filter(|length| *length > 0.0))
        .say("position", position(entity))
        .say("volume", volume)
        .say("shuffle", attrs.get("shuffle").bool())
        .say("loop", repeat.map(|(_, ours)| *ours));
    let mut parts = vec![media];
    if entity.can(VOLUME | MUTE) {
        let kept: Vec<&str> = [(VOLUME, "level"), (MUTE, "muted")]
            .into_iter()
            .filter(|(bit, _)| entity.can(*bit))
            .map(|(_, id)| id)
            .collect();
        let sound = Part::new(catalogue::volume().only(&kept, &[]));
        parts.push(sound.say("level", volume).say("muted", attrs.get("is_volume_muted").bool()));
    }
    if entity.can(ON | OFF) {
        let on = entity.known().map(|state| !matches!(state, "off" | "standby"));
        let mut service = catalogue::on_off().only(&["on"], &[]);
        service.properties.iter_mut().for_each(|one| one.write = entity.can(ON) && entity.can(OFF));
        parts.push(Part::new(service).say("on", on));
    }
    for (bit, id, list, now) in
        [(SOURCE, "source", "source_list", "source"), (SOUND_MODE, "sound-mode", "sound_mode_list", "sound_mode")]
    {
        let names = attrs.get(list).texts();
        if entity.can(bit) && !names.is_empty() {
            parts.push(Part::more(options(id, &names).writable()).say_one(id, attrs.text(now)));
        }
    }
    parts
}

/// Where it is, in seconds: what is said of a title that plays is of the moment when that was measured, which is not told again.
fn position(entity: &Entity<'_>) -> Option<f64> {
    let position = entity.attrs.number("media_position")?;
    let measured: Option<Timestamp> = entity.attrs.text("media_position_updated_at").and_then(|at| at.parse().ok());
    let (Some(measured), "playing") = (measured, entity.state) else { return Some(position) };
    let since = (entity.at - measured.as_millisecond() as f64 / 1000.0).max(0.0);
    let end = entity.attrs.number("media_duration").filter(|length| *length >= position);
    Some((position + since).min(end.unwrap_or(f64::MAX)))
}

pub fn write(entity: &Entity<'_>, service: &str, property: &str, data: &Data) -> Option<Call> {
    let call = |service: &str| entity.call("media_player", service);
    let volume = || Some(call("volume_set").with("volume_level", data.as_number()? / 100.0));
    match (service, property) {
        ("media", "volume") | ("volume", "level") => volume(),
        ("volume", "muted") => Some(call("volume_mute").with("is_volume_muted", data.as_bool()?)),
        ("media", "position") => Some(call("media_seek").with("seek_position", data.as_number()?)),
        ("media", "shuffle") => Some(call("shuffle_set").with("shuffle", data.as_bool()?)),
        ("media", "loop") => {
            let (theirs, _) = LOOPS.iter().find(|(_, ours)| data.as_text() == Some(*ours))?;
            Some(call("repeat_set").with("repeat", *theirs))
        }
        ("on-off", "on") => Some(call(if data.as_bool()? { "turn_on" } else { "turn_off" })),
        (_, "source") => Some(call("select_source").with("source", entity.listed("source_list", data)?)),
        (_, "sound-mode") => {
            Some(call("select_sound_mode").with("sound_mode", entity.listed("sound_mode_list", data)?))
        }
        _ => None,
    }
}

pub fn act(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let service = match action {
        "play" => "media_play",
        "pause" => "media_pause",
        "play-pause" => "media_play_pause",
        "next" => "media_next_track",
        "previous" => "media_previous_track",
        "stop" => "media_stop",
        _ => return None,
    };
    Some(entity.call("media_player", service))
}
