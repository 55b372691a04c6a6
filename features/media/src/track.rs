//! What a player says of itself, bounded, and the same as a service. MPRIS D-Bus Interface Specification 2.2.

use std::collections::{BTreeMap, HashMap};

use accord_model::text::for_screen;
use accord_model::{Data, Service, Source, Timestamp, Value, catalogue};
use zbus::{Array, Dict, ObjectPath, OwnedVariant, Variant};

/// A signal tells of each change, so a value holds until the next.
const FRESH_FOR_S: u64 = 86_400;
const MAX_TEXT: usize = 300;

/// `org.mpris.MediaPlayer2.Player`'s properties, as `GetAll` answers them.
pub type Properties = HashMap<String, OwnedVariant>;

/// What a player plays, and what it can be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Playing {
    pub playing: bool,
    pub title: Option<String>,
    pub artist: Option<String>,
    pub album: Option<String>,
    pub artwork: Option<String>,
    pub length_us: Option<i64>,
    pub position_us: Option<i64>,
    /// 1.0 is as loud as is sensible.
    pub volume: Option<f64>,
    pub shuffle: Option<bool>,
    pub repeat: Option<String>,
    pub track: Option<String>,
    pub can: Can,
}

/// What a player can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Can {
    pub control: bool,
    pub next: bool,
    pub previous: bool,
    pub play: bool,
    pub pause: bool,
    pub seek: bool,
}

impl Playing {
    /// Reads what is there; what is missing or of another type is left out, as many players do either.
    pub fn of(properties: &Properties) -> Self {
        let get = |name: &str| properties.get(name).map(|value| value as &Variant<'_>);
        let metadata = get("Metadata").and_then(|value| <&Dict<'_, '_>>::try_from(value).ok());
        let about = |name: &str| metadata.and_then(|all| lookup(all, name));
        let can = |name: &str| get(name).and_then(flag).unwrap_or(true);
        Self {
            playing: get("PlaybackStatus").and_then(text).as_deref() == Some("Playing"),
            title: about("xesam:title").and_then(text),
            artist: about("xesam:artist").and_then(texts),
            album: about("xesam:album").and_then(text),
            artwork: about("mpris:artUrl").and_then(address),
            length_us: about("mpris:length").and_then(whole).filter(|length| *length > 0),
            position_us: get("Position").and_then(whole).filter(|position| *position >= 0),
            volume: get("Volume").and_then(real).filter(|volume| volume.is_finite()),
            shuffle: get("Shuffle").and_then(flag),
            repeat: get("LoopStatus").and_then(text),
            track: about("mpris:trackid").and_then(object),
            can: Can {
                control: can("CanControl"),
                next: can("CanGoNext"),
                previous: can("CanGoPrevious"),
                play: can("CanPlay"),
                pause: can("CanPause"),
                seek: can("CanSeek"),
            },
        }
    }

    /// The service of one player.
    pub fn service(&self, instance: u16, name: &str, artwork: Option<&[u8]>) -> Service {
        let mut service = catalogue::media();
        service.instance = instance;
        service.label = Some(for_screen(name, 60));
        let seconds = |microseconds: i64| Data::Float(microseconds as f64 / 1e6);
        let said = [
            ("playing", Some(Data::Bool(self.playing))),
            ("title", self.title.clone().map(Data::Text)),
            ("artist", self.artist.clone().map(Data::Text)),
            ("album", self.album.clone().map(Data::Text)),
            ("artwork", artwork.map(|bytes| Data::Bytes(bytes.to_vec()))),
            ("length", self.length_us.map(seconds)),
            ("position", self.position_us.map(seconds)),
            ("volume", self.volume.map(|volume| Data::Int((volume * 100.0).round().clamp(0.0, 100.0) as i64))),
            ("shuffle", self.shuffle.map(Data::Bool)),
            ("loop", self.repeat.clone().map(Data::Text)),
        ];
        let seen = Timestamp::now();
        let value = |data| Value { data, seen, source: Source::Pushed, fresh_for_s: FRESH_FOR_S };
        service.values =
            said.into_iter().filter_map(|(id, data)| Some((id.to_owned(), value(data?)))).collect::<BTreeMap<_, _>>();
        let can = self.can;
        let optional = ["volume", "shuffle", "loop"];
        let values = &service.values;
        service.properties.retain(|one| !optional.contains(&one.id.as_str()) || values.contains_key(&one.id));
        for property in &mut service.properties {
            property.write &= can.control && (property.id != "position" || can.seek);
        }
        service.actions.retain(|action| {
            can.control
                && match action.id.as_str() {
                    "next" => can.next,
                    "previous" => can.previous,
                    "play" => can.play,
                    "pause" => can.pause,
                    "play-pause" => can.play || can.pause,
                    _ => true,
                }
        });
        service
    }
}

fn lookup<'a>(all: &'a Dict<'_, '_>, name: &str) -> Option<&'a Variant<'a>> {
    let found = all.iter().find(|(key, _)| matches!(key, Variant::Str(key) if key.as_str() == name));
    found.map(|(_, value)| inner(value))
}

/// Values in a dictionary of variants are wrapped once more.
fn inner<'a>(value: &'a Variant<'a>) -> &'a Variant<'a> {
    match value {
        Variant::Variant(inner) => inner,
        other => other,
    }
}

fn text(value: &Variant<'_>) -> Option<String> {
    let text = <&str>::try_from(inner(value)).ok()?.trim();
    (!text.is_empty()).then(|| for_screen(text, MAX_TEXT))
}

fn texts(value: &Variant<'_>) -> Option<String> {
    let Ok(array) = <&Array<'_>>::try_from(inner(value)) else { return text(value) };
    let all: Vec<String> = array.iter().take(8).filter_map(text).collect();
    (!all.is_empty()).then(|| for_screen(&all.join(", "), MAX_TEXT))
}

fn address(value: &Variant<'_>) -> Option<String> {
    <&str>::try_from(inner(value)).ok().filter(|text| text.len() <= 4200).map(str::to_owned)
}

/// The specification says an object path; some players say a text.
fn object(value: &Variant<'_>) -> Option<String> {
    let value = inner(value);
    let path = match <&ObjectPath<'_>>::try_from(value) {
        Ok(path) => path.as_str().to_owned(),
        Err(_) => <&str>::try_from(value).ok()?.to_owned(),
    };
    (path.len() <= 1000).then_some(path)
}

fn flag(value: &Variant<'_>) -> Option<bool> {
    bool::try_from(inner(value)).ok()
}

fn whole(value: &Variant<'_>) -> Option<i64> {
    match inner(value) {
        Variant::I64(number) => Some(*number),
        Variant::U64(number) => i64::try_from(*number).ok(),
        Variant::I32(number) => Some(i64::from(*number)),
        Variant::U32(number) => Some(i64::from(*number)),
        Variant::F64(number) if number.is_finite() => Some(*number as i64),
        _ => None,
    }
}

fn real(value: &Variant<'_>) -> Option<f64> {
    match inner(value) {
        Variant::F64(number) => Some(*number),
        other => whole(other).map(|number| number as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(metadata: HashMap<&str, Variant<'_>>, more: Vec<(&str, Variant<'_>)>) -> Properties {
        let mut all: Properties =
            more.into_iter().map(|(name, value)| (name.to_owned(), value.try_into_owned().unwrap())).collect();
        all.insert("Metadata".into(), Variant::from(metadata).try_into_owned().unwrap());
        all
    }

    #[test]
    fn what_players_say_becomes_values_whatever_number_they_use() {
        let metadata = HashMap::from([
            ("xesam:title", Variant::from("Tea \u{202e}for two")),
            ("xesam:artist", Variant::from(vec!["Ada", "Bo"])),
            ("mpris:length", Variant::U64(90_000_000)),
            ("mpris:trackid", Variant::from("/track/1")),
        ]);
        let more = vec![
            ("PlaybackStatus", Variant::from("Playing")),
            ("Volume", Variant::F64(2.5)),
            ("Position", Variant::I64(1_500_000)),
            ("CanGoNext", Variant::Bool(false)),
        ];
        let playing = Playing::of(&said(metadata, more));
        assert_eq!(playing.track.as_deref(), Some("/track/1"));
        let service = playing.service(3, "mpv", None);
        let data = |id: &str| service.values.get(id).map(|value| value.data.clone());
        assert_eq!(data("title"), Some(Data::Text("Tea \u{FFFD}for two".into())));
        assert_eq!(data("artist"), Some(Data::Text("Ada, Bo".into())));
        assert_eq!(data("length"), Some(Data::Float(90.0)));
        assert_eq!(data("position"), Some(Data::Float(1.5)));
        assert_eq!(data("volume"), Some(Data::Int(100)));
        assert_eq!(data("playing"), Some(Data::Bool(true)));
        assert!(service.actions.iter().all(|action| action.id != "next"));
        assert!(service.properties.iter().all(|property| property.id != "shuffle"), "what it has not is not offered");
    }

    #[test]
    fn a_player_that_says_nothing_or_nonsense_is_still_a_player() {
        let more = vec![
            ("PlaybackStatus", Variant::U8(1)),
            ("Position", Variant::I64(-1)),
            ("Volume", Variant::F64(f64::NAN)),
        ];
        let playing = Playing::of(&said(HashMap::from([("xesam:artist", Variant::Bool(true))]), more));
        let service = playing.service(1, "", None);
        assert_eq!(service.values.keys().collect::<Vec<_>>(), ["playing"]);
    }
}
