//! Values of attributes, fields of commands and data of events: Matter's TLV (Core specification, appendix A), bounded.

use matter_codec::{Tag, TlvReader, TlvWriter, Value as Tlv};

/// Longest encoding of one value, in bytes. Lists of devices' whole configuration are far below that.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most elements of one value, and how deep they are nested.
const MAX_ELEMENTS: usize = 8192;
const MAX_DEPTH: usize = 10;

/// One value. Numbers have lost their width; tags are those of the context.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: what is nullable has no value now.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number that is not negative; also enums and bitmaps.
    Uint(u64),
    /// A number with a sign.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A text, as it came.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An array, or a list without its tags.
    List(Vec<Value>),
    /// Fields by their numbers.
    Struct(Vec<(u8, Value)>),
}

/// Why bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Too long, too many elements, too deep.
    #[error("a value is larger than anything that is read")]
    TooLarge,
    /// No TLV.
    #[error("a value is no TLV: {0}")]
    Broken(String),
}

impl Value {
    /// Reads one element with whatever tag; what follows it is not looked at.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ValueError> {
        if bytes.len() > MAX_BYTES {
            return Err(ValueError::TooLarge);
        }
        let mut reader = TlvReader::with_element_budget(bytes, MAX_ELEMENTS);
        match reader.read_value() {
            Ok((_, value)) => Self::of(&value),
            Err(matter_codec::Error::ElementBudgetExceeded | matter_codec::Error::ContainerTooDeep) => {
                Err(ValueError::TooLarge)
            }
            Err(error) => Err(ValueError::Broken(error.to_string())),
        }
    }

    /// The same of what is decoded already.
    ///
    /// # Errors
    /// [`ValueError::TooLarge`].
    pub fn of(tlv: &Tlv) -> Result<Self, ValueError> {
        let mut room = Room { elements: MAX_ELEMENTS, bytes: MAX_BYTES };
        room.take(tlv, 0)
    }

    /// As one element without a tag, as values that are written and fields of commands are sent.
    ///
    /// # Errors
    /// [`ValueError::TooLarge`]: deeper than TLV may be.
    pub fn encode(&self) -> Result<Vec<u8>, ValueError> {
        let mut bytes = Vec::new();
        let mut writer = TlvWriter::new(&mut bytes);
        writer.write_value(Tag::Anonymous, &self.tlv()).map_err(|_| ValueError::TooLarge)?;
        Ok(bytes)
    }

    fn tlv(&self) -> Tlv {
        match self {
            Self::Null => Tlv::Null,
            Self::Bool(yes) => Tlv::Bool(*yes),
            Self::Uint(number) => Tlv::Uint(*number),
            Self::Int(number) => Tlv::Int(*number),
            Self::Float(number) => Tlv::Double(*number),
            Self::Text(text) => Tlv::Utf8(text.clone()),
            Self::Bytes(bytes) => Tlv::Bytes(bytes.clone()),
            Self::List(list) => Tlv::Array(list.iter().map(Self::tlv).collect()),
            Self::Struct(fields) => {
                Tlv::Structure(fields.iter().map(|(tag, value)| (Tag::Context(*tag), value.tlv())).collect())
            }
        }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        32 + match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(items) => items.iter().map(Self::weight).sum(),
            Self::Struct(fields) => fields.iter().map(|(_, value)| value.weight() + 8).sum(),
            _ => 0,
        }
    }

    /// Yes or no, if it is that.
    pub fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    /// The number, if it is a whole one that is not negative.
    pub fn uint(&self) -> Option<u64> {
        match self {
            Self::Uint(number) => Some(*number),
            Self::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Uint(number) => i64::try_from(*number).ok(),
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, whole or not; none that is infinite.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number).filter(|number| number.is_finite()),
            _ => self.int().map(|number| number as f64),
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is in a list; nothing of what is none.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// A field of a structure.
    pub fn field(&self, tag: u8) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.iter().find(|(known, _)| *known == tag).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// What may still come.
struct Room {
    elements: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, tlv: &Tlv, depth: usize) -> Result<Value, ValueError> {
        let length = match tlv {
            Tlv::Utf8(text) => text.len(),
            Tlv::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.elements = self.elements.checked_sub(1).ok_or(ValueError::TooLarge)?;
        self.bytes = self.bytes.checked_sub(length).ok_or(ValueError::TooLarge)?;
        if depth > MAX_DEPTH {
            return Err(ValueError::TooLarge);
        }
        Ok(match tlv {
            Tlv::Bool(yes) => Value::Bool(*yes),
            Tlv::Uint(number) => Value::Uint(*number),
            Tlv::Int(number) => Value::Int(*number),
            Tlv::Float(number) => Value::Float(f64::from(*number)),
            Tlv::Double(number) => Value::Float(*number),
            Tlv::Utf8(text) => Value::Text(text.clone()),
            Tlv::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Tlv::Structure(fields) => {
                let mut known = Vec::new();
                for (tag, value) in fields {
                    let value = self.take(value, depth + 1)?;
                    // Fields that a vendor adds have other tags; nobody here knows them.
                    if let Tag::Context(tag) = tag {
                        known.push((*tag, value));
                    }
                }
                Value::Struct(known)
            }
            Tlv::Array(items) => {
                Value::List(items.iter().map(|item| self.take(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            Tlv::List(items) => {
                Value::List(items.iter().map(|(_, item)| self.take(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            _ => Value::Null,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<u64>().prop_map(Value::Uint),
            any::<i64>().prop_map(Value::Int),
            (-1e9..1e9).prop_map(Value::Float),
            // U+001F begins what TLV says of a text's language.
            "[^\u{1f}]{0,12}".prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                proptest::collection::vec((any::<u8>(), inner), 0..6).prop_map(Value::Struct),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_survives_tlv(value in any_value()) {
            prop_assert_eq!(Value::decode(&value.encode().unwrap()).unwrap(), value);
        }

        #[test]
        fn bytes_are_a_value_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Value::decode(&bytes);
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let nested = |depth: usize| [vec![0x16; depth], vec![0x18; depth]].concat();
        assert!(Value::decode(&nested(8)).is_ok());
        assert_eq!(Value::decode(&nested(20)), Err(ValueError::TooLarge));
        assert_eq!(Value::decode(&nested(200)), Err(ValueError::TooLarge));
        let many = [vec![0x16], vec![0x14; MAX_ELEMENTS + 1], vec![0x18]].concat();
        assert_eq!(Value::decode(&many), Err(ValueError::TooLarge));
        assert_eq!(Value::decode(&vec![0x16; MAX_BYTES + 1]), Err(ValueError::TooLarge));
        assert!(matches!(Value::decode(&[0x0c, 0xff, 0x41]), Err(ValueError::Broken(_))), "announced, but not there");
        assert!(matches!(Value::decode(&[]), Err(ValueError::Broken(_))));
    }
}
