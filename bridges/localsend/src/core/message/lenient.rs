//! Fields whose type differs from app to app: a number as text, a text as number, a flag as 0 or 1.

use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text, or what can pass for one; nothing for `null`, lists and maps.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Scalar).map(|scalar| match scalar {
        Found::Text(text) => Some(text),
        Found::Whole(number) => Some(number.to_string()),
        Found::Truth(truth) => Some(truth.to_string()),
        Found::Nothing => None,
    })
}

/// A whole number from 0, also as text or with a fraction of zero.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    from.deserialize_any(Scalar).map(|scalar| match scalar {
        Found::Text(text) => text.trim().parse().ok(),
        Found::Whole(number) => Some(number),
        Found::Truth(_) | Found::Nothing => None,
    })
}

/// Yes or no, also as text or number.
pub(super) fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    from.deserialize_any(Scalar).map(|scalar| match scalar {
        Found::Text(text) => Some(text == "true" || text == "1"),
        Found::Whole(number) => Some(number != 0),
        Found::Truth(truth) => Some(truth),
        Found::Nothing => None,
    })
}

enum Found {
    Text(String),
    Whole(u64),
    Truth(bool),
    Nothing,
}

struct Scalar;

impl<'de> Visitor<'de> for Scalar {
    type Value = Found;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Found, E> {
        Ok(Found::Text(text))
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Found, E> {
        Ok(Found::Truth(truth))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(Found::Whole(number))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(u64::try_from(number).map_or(Found::Nothing, Found::Whole))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Found, E> {
        let exact = number.fract() == 0.0 && (0.0..9e15).contains(&number);
        Ok(if exact { Found::Whole(number as u64) } else { Found::Nothing })
    }
    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Nothing)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Nothing)
    }
}
