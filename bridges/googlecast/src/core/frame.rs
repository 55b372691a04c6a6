//! Messages on the wire: a length of four bytes, then `CastMessage`, whose six fields are read and written here by hand
//! (`cast_channel.proto` of Chromium: 1 protocol version, 2 source, 3 destination, 4 namespace, 5 type of payload, 6 text,
//! 7 binary).

/// Longest message, without its length (`MessageFramer::MessageHeader::max_body_size`).
pub const MAX_BODY: usize = 64 * 1024;
/// Longest id of an end, and longest namespace.
const MAX_NAME: usize = 128;
const HEAD: usize = 4;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it: `sender-1`, `receiver-0`, an app's transport.
    pub source: String,
    /// To whom; `*` for everyone.
    pub destination: String,
    /// Which sort of talk.
    pub namespace: String,
    /// What.
    pub payload: Payload,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON, in all talk that concerns us.
    Text(String),
    /// Anything else.
    Binary(Vec<u8>),
}

/// What is wrong with what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is longer than allowed. Nothing of it was kept.
    #[error("it announces a message of {0} bytes, and {MAX_BODY} are the most")]
    TooLong(u32),
    /// It is no `CastMessage`.
    #[error("it sent something that is no Cast message ({0})")]
    Malformed(&'static str),
}

impl Message {
    /// With its length before it. `None` when it is too long.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(256);
        number(&mut body, 1, 0);
        bytes(&mut body, 2, self.source.as_bytes());
        bytes(&mut body, 3, self.destination.as_bytes());
        bytes(&mut body, 4, self.namespace.as_bytes());
        match &self.payload {
            Payload::Text(text) => {
                number(&mut body, 5, 0);
                bytes(&mut body, 6, text.as_bytes());
            }
            Payload::Binary(binary) => {
                number(&mut body, 5, 1);
                bytes(&mut body, 7, binary);
            }
        }
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY)?;
        Some([length.to_be_bytes().as_slice(), &body].concat())
    }

    /// Reads a message without its length.
    ///
    /// # Errors
    /// [`Fault::Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Fault> {
        let (mut source, mut destination, mut namespace) = (None, None, None);
        let (mut text, mut binary, mut kind) = (None, None, 0);
        let mut rest = Reader(body);
        while !rest.0.is_empty() {
            let key = rest.varint()?;
            match (key >> 3, key & 7) {
                (2, 2) => source = Some(rest.name()?),
                (3, 2) => destination = Some(rest.name()?),
                (4, 2) => namespace = Some(rest.name()?),
                (5, 0) => kind = rest.varint()?,
                (6, 2) => text = Some(utf8(rest.bytes()?)?),
                (7, 2) => binary = Some(rest.bytes()?.to_vec()),
                (0, _) => return Err(Fault::Malformed("a field without a number")),
                (_, wire) => rest.skip(wire)?,
            }
        }
        let payload = match kind {
            0 => Payload::Text(text.ok_or(Fault::Malformed("no text"))?),
            1 => Payload::Binary(binary.ok_or(Fault::Malformed("no content"))?),
            _ => return Err(Fault::Malformed("a payload of an unknown type")),
        };
        let needed = |name: Option<String>| name.ok_or(Fault::Malformed("an end or the namespace is missing"));
        Ok(Self { source: needed(source)?, destination: needed(destination)?, namespace: needed(namespace)?, payload })
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn utf8(bytes: &[u8]) -> Result<String, Fault> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Fault::Malformed("a text that is no UTF-8"))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Fault::Malformed("it ends in a number"))?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Malformed("a number of more than 64 bits"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len());
        let (taken, rest) = self.0.split_at(length.ok_or(Fault::Malformed("a field that is longer than the message"))?);
        self.0 = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.varint()?;
        self.take(length)
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.bytes()? {
            long if long.len() > MAX_NAME => Err(Fault::Malformed("a name that is too long")),
            name => utf8(name),
        }
    }

    /// A field that we do not know (protobuf's wire types).
    fn skip(&mut self, wire: u64) -> Result<(), Fault> {
        match wire {
            0 => self.varint().map(drop),
            1 => self.take(8).map(drop),
            2 => self.bytes().map(drop),
            5 => self.take(4).map(drop),
            _ => Err(Fault::Malformed("a field of an unknown kind")),
        }
    }
}

/// Cuts what comes into messages. Holds what came, never what is merely announced.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
}

impl Frames {
    /// Takes from `bytes` until a message is whole; `None` when all of them are taken. After a fault nothing can be read
    /// any more.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Message>, Fault> {
        self.fill(bytes, HEAD);
        let Some(head) = self.held.first_chunk::<HEAD>() else { return Ok(None) };
        let announced = u32::from_be_bytes(*head);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > MAX_BODY {
            return Err(Fault::TooLong(announced));
        }
        self.fill(bytes, HEAD + length);
        if self.held.len() < HEAD + length {
            return Ok(None);
        }
        let message = Message::decode(&self.held[HEAD..]);
        self.held.clear();
        message.map(Some)
    }

    fn fill(&mut self, bytes: &mut &[u8], until: usize) {
        let wanted = until.saturating_sub(self.held.len()).min(bytes.len());
        let (now, rest) = bytes.split_at(wanted);
        self.held.extend_from_slice(now);
        *bytes = rest;
    }
}

/// Entry for fuzzing: any bytes, in portions whose size the first of them tells.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Some((&portion, bytes)) = bytes.split_first() else { return };
    let mut frames = Frames::default();
    for mut part in bytes.chunks(usize::from(portion).max(1)) {
        loop {
            match frames.take(&mut part) {
                Ok(Some(message)) => {
                    let again = message.encode().expect("what was read is short enough");
                    let read = Frames::default().take(&mut again.as_slice());
                    assert_eq!(read, Ok(Some(message)));
                }
                Ok(None) => break,
                Err(_) => return,
            }
            assert!(frames.held.len() <= HEAD + MAX_BODY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: Payload) -> Message {
        let [source, destination, namespace] = ["sender-1", "receiver-0", "urn:x"].map(str::to_owned);
        Message { source, destination, namespace, payload }
    }

    #[test]
    fn a_message_comes_back_whole_from_any_portions() {
        let messages = [message(Payload::Text("{\"ä\":1}".into())), message(Payload::Binary(vec![0, 255, 7]))];
        let wire: Vec<u8> = messages.iter().flat_map(|one| one.encode().unwrap()).collect();
        for portion in 1..wire.len() {
            let (mut frames, mut read) = (Frames::default(), Vec::new());
            for mut part in wire.chunks(portion) {
                while let Some(one) = frames.take(&mut part).unwrap() {
                    read.push(one);
                }
            }
            assert_eq!(read, messages, "in portions of {portion}");
        }
        // As castv2 and Chromium write it.
        let body = b"\x08\x00\x12\x08sender-1\x1a\x0areceiver-0\x22\x05urn:x\x28\x00\x32\x02{}";
        assert_eq!(message(Payload::Text("{}".into())).encode().unwrap()[4..], body[..]);
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused_before_it_is_kept() {
        let mut frames = Frames::default();
        assert_eq!(frames.take(&mut &b"\xff\xff\xff\xff"[..]), Err(Fault::TooLong(u32::MAX)));
        assert!(frames.held.capacity() < 64);
        let read = |body: &[u8]| Message::decode(body);
        for bad in [
            &b""[..],
            b"\x12\xff\xff\xff\xff\x0f",
            b"\x12\x01\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x03\x00",
            b"\x0b",
            b"\x12\x01a\x1a\x01b\x22\x01c\x28\x07\x32\x00",
            b"\x12\x01a\x1a\x01b\x32\x00",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read(&[b"\x12\x81\x01".as_slice(), &[b'a'; 129]].concat()).is_err(), "a name of 129 bytes");
        assert!(message(Payload::Text("x".repeat(MAX_BODY))).encode().is_none());
        // Fields of later versions are passed over (8 continued, 9 remaining length).
        assert!(read(b"\x12\x01a\x1a\x01b\x22\x01c\x28\x00\x32\x00\x40\x01\x48\x05\x59aaaaaaaa\x65aaaa").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            fuzz(&bytes);
            let _ = Message::decode(&bytes);
        }
    }
}
