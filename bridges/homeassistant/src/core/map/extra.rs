//! What entities say beside what a service has a place for: to be read, in `more`. What says the same in other words (a colour
//! in three spaces), who did something, and what a picture is called is not taken.

use accord_model::text::for_screen;
use accord_model::{Data, FieldCode, Format, catalogue};

use super::part::{Part, kebab, more};
use super::{Entity, Role};
use crate::core::attr::Attr;

/// Most items of a list.
const MOST: usize = 32;
/// By domain, the attributes.
const EXTRA: &[(&str, &[&str])] = &[
    ("climate", &["aux_heat"]),
    ("event", &["event_types"]),
    ("humidifier", &["action"]),
    (
        "media_player",
        &[
            "app_name",
            "group_members",
            "media_content_type",
            "media_track",
            "media_series_title",
            "media_season",
            "media_episode",
        ],
    ),
    (
        "sun",
        &[
            "next_dawn",
            "next_dusk",
            "next_midnight",
            "next_noon",
            "next_rising",
            "next_setting",
            "elevation",
            "azimuth",
            "rising",
        ],
    ),
    ("update", &["title", "in_progress", "auto_update", "skipped_version", "release_summary", "release_url"]),
    ("vacuum", &["cleaned_area"]),
];

/// Those of them that say something now.
pub fn extra(entity: &Entity<'_>) -> Vec<Part> {
    let known =
        EXTRA.iter().find(|(domain, _)| *domain == entity.domain()).map(|(_, names)| *names).unwrap_or_default();
    known.iter().filter_map(|name| one(entity, name)).collect()
}

/// How full its battery is, where it says so itself.
pub fn battery(entity: &Entity<'_>) -> Option<Part> {
    let percent = entity.attrs.number("battery_level")?;
    let battery = Part::shared(catalogue::battery().only(&["percent"], &[]));
    Some(battery.say("percent", Some(percent.round().clamp(0.0, 100.0) as i64)))
}

fn one(entity: &Entity<'_>, name: &str) -> Option<Part> {
    let (format, data) = match entity.attrs.get(name) {
        Attr::Bool(bool) => (Format::Bool, Data::Bool(*bool)),
        Attr::Number(number) => (Format::Float, Data::Float(*number)),
        Attr::Text(text) => (Format::Text, Data::Text(for_screen(text, 255))),
        list @ Attr::List(_) => {
            (Format::Texts, Data::Texts(list.texts().iter().take(MOST).map(|text| for_screen(text, 60)).collect()))
        }
        Attr::None => return None,
    };
    let id = kebab(name);
    let mut property = more(&id, format);
    property.role = Role::Diagnostic;
    if entity.domain() == "media_player" {
        property.sensitive = Some(FieldCode::MediaNowPlaying);
    }
    Some(Part::more(property).say(&id, Some(data)))
}
