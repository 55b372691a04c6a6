//! Reading leniently and writing strictly: what peers put into JSON, typed. Numbers may come as strings and
//! flags as numbers; an optional field of the wrong type counts as absent.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Number, Value};

/// Most parts (commas, brackets, braces) of one line. A parsed line takes up to a hundred times its size in
/// memory when it consists of nothing else.
pub(crate) const MAX_PARTS: usize = 1 << 18;

/// One field of a packet's body.
pub(crate) trait Field: Sized {
    /// `None` when the field is required and not there, or unusable.
    fn read(value: Option<&Value>) -> Option<Self>;
    /// `None` when the field is left out.
    fn write(&self) -> Option<Value>;
}

/// A struct that is a JSON object, with one line per field: `name: type = "key"`.
macro_rules! object {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
        }
        impl $crate::core::json::Field for $name {
            #[allow(unused_variables)]
            fn read(value: Option<&serde_json::Value>) -> Option<Self> {
                let map = value?.as_object()?;
                Some(Self { $($field: <$ty as $crate::core::json::Field>::read(map.get($key))?,)* })
            }
            #[allow(unused_mut)]
            fn write(&self) -> Option<serde_json::Value> {
                let mut map = serde_json::Map::new();
                $(if let Some(value) = $crate::core::json::Field::write(&self.$field) {
                    map.insert($key.to_owned(), value);
                })*
                Some(serde_json::Value::Object(map))
            }
        }
    };
}
pub(crate) use object;

/// Text that says something of a person: contents, names, numbers, passwords. Never printed.
///
/// ```
/// use accord_kdeconnect::core::Private;
/// assert_eq!(format!("{:?}", Private::from("hunter2")), "(7 bytes)");
/// ```
#[derive(Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Private(String);

impl Private {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The text, taken out.
    pub fn into_string(self) -> String {
        self.0
    }
}
impl From<String> for Private {
    fn from(text: String) -> Self {
        Self(text)
    }
}
impl From<&str> for Private {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// A number that is written as text (`time` of notifications).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NumberText(pub i64);

impl Field for NumberText {
    fn read(value: Option<&Value>) -> Option<Self> {
        i64::read(value).map(Self)
    }
    fn write(&self) -> Option<Value> {
        Some(Value::String(self.0.to_string()))
    }
}

impl Field for i64 {
    fn read(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| whole(text.parse().ok()?))
            }
            _ => None,
        }
    }
    fn write(&self) -> Option<Value> {
        Some(Value::from(*self))
    }
}

fn whole(number: f64) -> Option<i64> {
    (number.is_finite() && number.abs() < 9.0e15).then_some(number as i64)
}

impl Field for f64 {
    fn read(value: Option<&Value>) -> Option<Self> {
        let number = match value? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }
    fn write(&self) -> Option<Value> {
        Number::from_f64(*self).map(Value::Number)
    }
}

impl Field for u16 {
    fn read(value: Option<&Value>) -> Option<Self> {
        i64::read(value)?.try_into().ok()
    }
    fn write(&self) -> Option<Value> {
        Some(Value::from(*self))
    }
}

/// A flag that is not there is false.
impl Field for bool {
    fn read(value: Option<&Value>) -> Option<Self> {
        Some(match value {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
            Some(Value::String(text)) => matches!(text.trim(), "true" | "1"),
            _ => false,
        })
    }
    fn write(&self) -> Option<Value> {
        Some(Value::Bool(*self))
    }
}

impl Field for String {
    fn read(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
    fn write(&self) -> Option<Value> {
        Some(Value::String(self.clone()))
    }
}

impl Field for Private {
    fn read(value: Option<&Value>) -> Option<Self> {
        String::read(value).map(Self)
    }
    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

impl<T: Field> Field for Option<T> {
    fn read(value: Option<&Value>) -> Option<Self> {
        Some(value.filter(|value| !value.is_null()).and_then(|value| T::read(Some(value))))
    }
    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

/// A list that is not there is empty; elements that cannot be used are left out.
impl<T: Field> Field for Vec<T> {
    fn read(value: Option<&Value>) -> Option<Self> {
        match value {
            None | Some(Value::Null) => Some(Self::new()),
            Some(Value::Array(list)) => Some(list.iter().filter_map(|value| T::read(Some(value))).collect()),
            Some(_) => None,
        }
    }
    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(T::write).collect()))
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn read(value: Option<&Value>) -> Option<Self> {
        let map = value?.as_object()?;
        Some(map.iter().filter_map(|(key, value)| Some((key.clone(), T::read(Some(value))?))).collect())
    }
    fn write(&self) -> Option<Value> {
        let map: Map<_, _> =
            self.iter().filter_map(|(key, value)| value.write().map(|value| (key.clone(), value))).collect();
        Some(Value::Object(map))
    }
}

/// Parses one line into an object, without taking more memory than [`MAX_PARTS`] allows.
pub(crate) fn parse(line: &[u8]) -> Result<Map<String, Value>, NotAnObject> {
    if parts(line) > MAX_PARTS {
        return Err(NotAnObject::TooManyParts);
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(NotAnObject::NotJson),
    }
}

/// Why a line is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAnObject {
    NotJson,
    TooManyParts,
}

fn parts(line: &[u8]) -> usize {
    let (mut parts, mut inside, mut escaped) = (0, false, false);
    for &byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b',' | b'[' | b'{' if !inside => parts += 1,
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_come_in_any_dress() {
        for dress in [json!(8), json!(8.0), json!("8"), json!(" 8 "), json!("8.0")] {
            assert_eq!(i64::read(Some(&dress)), Some(8), "{dress}");
        }
        for none in [json!("eight"), json!([]), json!(null), json!(1e300), json!(true)] {
            assert_eq!(i64::read(Some(&none)), None, "{none}");
        }
        assert_eq!(u16::read(Some(&json!(70000))), None);
    }

    #[test]
    fn an_optional_field_of_the_wrong_type_is_absent_and_an_unusable_element_left_out() {
        assert_eq!(Option::<i64>::read(Some(&json!({}))), Some(None));
        assert_eq!(Vec::<String>::read(Some(&json!(["a", null, 7]))), Some(vec!["a".into(), "7".into()]));
    }

    #[test]
    fn a_line_of_nothing_but_brackets_is_refused_and_commas_in_text_are_not_counted() {
        let bomb = format!("{{\"a\":[{}0]}}", "[],".repeat(MAX_PARTS));
        assert_eq!(parse(bomb.as_bytes()), Err(NotAnObject::TooManyParts));
        let text = format!("{{\"a\":\"\\\"{}\"}}", ",[{".repeat(MAX_PARTS));
        assert!(parse(text.as_bytes()).is_ok());
    }
}
