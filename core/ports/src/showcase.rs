//! Devices of this house on their way to where others see them, and what those wish. Sans I/O.
//!
//! A feature opens a stream of the service `showcase` of whoever shows devices (a broker, say), says with [`inputs`] which kinds
//! of data it will tell, and tells there of each device and of what is new of it, as long as the stream lasts. It is there while
//! others can be told. Each message is a [`Frame`] as JSON after its length (`u32`, little
//! endian). A stream that ends without another in its place takes everything back. What others wish comes the other way, as a
//! question to this machine's own service `showcase`: a [`Wish`]. Devices have ids there that mean nothing elsewhere.

use std::collections::BTreeMap;

use accord_model::{Data, Device, DeviceId, FieldCode, FieldSet, Inputs, Outputs, Reach, Target, Value, Verb};
use serde::{Deserialize, Serialize};

/// The service, on both sides.
pub const SERVICE: &str = "showcase";
/// The action of a wish.
pub const WISH: &str = "wish";
/// Longest message, in bytes.
pub const MAX_FRAME: usize = 256 * 1024;
/// Most devices that are shown in one place.
pub const MOST_DEVICES: usize = 256;
/// Most things that are wished for at once: a lamp on, in a colour, and dim.
pub const MOST_VERBS: usize = 8;
/// Longest text of one of them.
const MAX_VERB: usize = 4096;
const HEADER: usize = 4;
const FIELDS: &str = "fields";

/// The inputs of a stream on which these kinds of data are told.
pub fn inputs(fields: FieldSet) -> Inputs {
    let codes = fields.iter().map(|code| code.to_string()).collect();
    Inputs::from([(FIELDS.to_owned(), Data::Texts(codes))])
}

/// Which kinds of data are told on a stream with these inputs. `None`: they do not say, or something that is not known.
pub fn fields_of(inputs: &Inputs) -> Option<FieldSet> {
    let codes = inputs.get(FIELDS).and_then(Data::as_texts)?;
    codes.iter().map(|code| code.parse::<FieldCode>().ok()).collect()
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// A device is shown, or is described differently. It has what whoever sees it may have of it, and nothing else.
    Show(Box<Device>),
    /// Values of it changed.
    Values {
        /// Its id there.
        device: DeviceId,
        /// Of which service.
        target: Target,
        /// What is new, by property.
        values: BTreeMap<String, Value>,
    },
    /// It can be reached differently.
    Reach {
        /// Its id there.
        device: DeviceId,
        /// How.
        reach: Reach,
    },
    /// Something happened at it.
    Event {
        /// Its id there.
        device: DeviceId,
        /// Of which service.
        target: Target,
        /// What.
        event: String,
        /// Its arguments.
        arguments: Outputs,
    },
    /// It is shown no more.
    Gone {
        /// Its id there.
        device: DeviceId,
    },
    /// Everything that is shown was told: what was shown before and was not, is shown no more.
    All,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Longer than [`MAX_FRAME`].
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// Not one of these.
    #[error("a message makes no sense")]
    Unreadable,
}

impl Frame {
    /// As bytes.
    ///
    /// # Errors
    /// [`Broken`] for one that nobody could read.
    pub fn encode(&self) -> Result<Vec<u8>, Broken> {
        let mut bytes = vec![0; HEADER];
        serde_json::to_writer(&mut bytes, self).map_err(|_| Broken::Unreadable)?;
        let length = bytes.len() - HEADER;
        let header = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME).ok_or(Broken::TooLong(length))?;
        bytes[..HEADER].copy_from_slice(&header.to_le_bytes());
        Ok(bytes)
    }
}

/// Takes bytes and gives messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, when all of it is there.
    ///
    /// # Errors
    /// [`Broken`]; nothing more comes then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Broken> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(Broken::TooLong(length));
        }
        let Some(body) = self.buffer.get(HEADER..HEADER + length) else { return Ok(None) };
        let frame = serde_json::from_slice(body).map_err(|_| Broken::Unreadable)?;
        self.buffer.drain(..HEADER + length);
        Ok(Some(frame))
    }
}

/// What somebody who sees a device wishes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Its id there.
    pub device: DeviceId,
    /// Of which service.
    pub target: Target,
    /// To be done one after the other; none of them a reading.
    pub verbs: Vec<Verb>,
}

impl Wish {
    /// As the inputs of [`WISH`].
    pub fn inputs(&self) -> Inputs {
        let verbs = self.verbs.iter().filter_map(|verb| serde_json::to_string(verb).ok()).collect();
        Inputs::from([
            ("device".to_owned(), Data::Text(self.device.to_string())),
            ("service".to_owned(), Data::Text(self.target.service.clone())),
            ("instance".to_owned(), Data::Int(self.target.instance.into())),
            ("verbs".to_owned(), Data::Texts(verbs)),
        ])
    }

    /// Of the inputs of [`WISH`]. `None`: they are none.
    pub fn of(inputs: &Inputs) -> Option<Self> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text);
        let device = DeviceId::new(text("device")?).ok()?;
        let service = text("service").filter(|service| service.len() <= 64)?.to_owned();
        let instance = u16::try_from(inputs.get("instance").and_then(Data::as_int)?).ok()?;
        let texts = inputs.get("verbs").and_then(Data::as_texts)?;
        if texts.is_empty() || texts.len() > MOST_VERBS || texts.iter().any(|text| text.len() > MAX_VERB) {
            return None;
        }
        let verbs: Vec<Verb> = texts.iter().map(|text| serde_json::from_str(text).ok()).collect::<Option<_>>()?;
        let reads = verbs.iter().any(|verb| matches!(verb, Verb::Read { .. }));
        (!reads).then_some(Self { device, target: Target { service, instance }, verbs })
    }
}

#[cfg(test)]
mod tests {
    use accord_model::{DeviceKind, Source, Timestamp, catalogue};
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> DeviceId {
        DeviceId::new(text).unwrap()
    }

    #[test]
    fn messages_are_read_in_any_portions() {
        let mut light = catalogue::light();
        let value = Value { data: Data::Float(0.5), seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 9 };
        light.values.insert("level".into(), value.clone());
        let device = Device::new(id("shown-1"), DeviceKind::Light, "Lamp").with(light);
        let target = Target { service: "light".into(), instance: 2 };
        let frames = [
            Frame::Show(Box::new(device)),
            Frame::Values { device: id("shown-1"), target, values: BTreeMap::from([("level".into(), value)]) },
            Frame::Reach { device: id("shown-1"), reach: Reach::Offline },
            Frame::All,
            Frame::Gone { device: id("shown-1") },
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().unwrap()).collect();
        for size in [1, 7, 4096] {
            let (mut decoder, mut read) = (Decoder::default(), Vec::new());
            for part in bytes.chunks(size) {
                decoder.feed(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    read.push(frame);
                }
            }
            assert_eq!(read, frames);
        }
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused() {
        let mut decoder = Decoder::default();
        decoder.feed(&(MAX_FRAME as u32 + 1).to_le_bytes());
        assert_eq!(decoder.next_frame(), Err(Broken::TooLong(MAX_FRAME + 1)));
        let mut decoder = Decoder::default();
        decoder.feed(b"\x02\0\0\0{}");
        assert_eq!(decoder.next_frame(), Err(Broken::Unreadable));
        let long = Device::new(id("d"), DeviceKind::Light, "x".repeat(MAX_FRAME));
        assert!(matches!(Frame::Show(Box::new(long)).encode(), Err(Broken::TooLong(_))));
    }

    #[test]
    fn a_stream_says_what_is_told_on_it() {
        let fields = FieldSet::from_iter([FieldCode::HomeDeviceName, FieldCode::Presence]);
        assert_eq!(fields_of(&inputs(fields)), Some(fields));
        assert_eq!(fields_of(&Inputs::new()), None);
        assert_eq!(fields_of(&Inputs::from([(FIELDS.to_owned(), Data::Texts(vec!["all".into()]))])), None);
    }

    #[test]
    fn a_wish_is_what_is_to_be_done_and_no_more() {
        let verbs = vec![
            Verb::Write { property: "on".into(), data: Data::Bool(true) },
            Verb::Act { action: "open".into(), inputs: Inputs::new() },
        ];
        let wish = Wish { device: id("shown-1"), target: Target::new("cover"), verbs };
        assert_eq!(Wish::of(&wish.inputs()), Some(wish.clone()));
        let with = |verbs: Vec<Verb>| Wish { verbs, ..wish.clone() }.inputs();
        assert_eq!(Wish::of(&with(vec![])), None);
        assert_eq!(Wish::of(&with(vec![Verb::Read { properties: vec![] }])), None);
        assert_eq!(Wish::of(&with(vec![wish.verbs[0].clone(); MOST_VERBS + 1])), None);
        assert_eq!(Wish::of(&Inputs::new()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
