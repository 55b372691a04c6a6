//! MQTT 3.1.1 control packets (OASIS standard, sections 2 and 3): those that a client sends, and those that it is sent.

use std::fmt;

use accord_ports::Secret;

use super::topic;

/// Largest packet that is taken in. Longer messages are skipped without being kept.
pub const MAX_PACKET: usize = 4 << 20;
/// Largest text within a packet (section 1.5.3).
const MAX_TEXT: usize = u16::MAX as usize;

/// What a broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// It took the connection, or not (section 3.2).
    ConnAck(Result<(), Refusal>),
    /// A message.
    Publish(Publish),
    /// It has the message of that number (section 3.4).
    PubAck(u16),
    /// What became of the subscriptions of that number: `false` for those that it refuses (section 3.9).
    SubAck(u16, Vec<bool>),
    /// The subscriptions of that number ended.
    UnsubAck(u16),
    /// A sign of life.
    PingResp,
    /// A message was too long, so that it was skipped: its length.
    Skipped(usize),
}

/// A message of a topic (section 3.3).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Publish {
    /// Without wildcards.
    pub topic: String,
    /// Anything.
    pub payload: Vec<u8>,
    /// Kept by the broker for those who come later.
    pub retain: bool,
    /// Its number, when it is to be confirmed.
    pub id: Option<u16>,
}

impl fmt::Debug for Publish {
    /// What devices say is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publish({:?}, {} bytes, retain {}, {:?})", self.topic, self.payload.len(), self.retain, self.id)
    }
}

/// Why a broker does not take a connection (section 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Code 1.
    #[error("it does not speak MQTT 3.1.1")]
    Version,
    /// Code 2.
    #[error("it refuses the client's name")]
    Identifier,
    /// Code 3.
    #[error("it is not available now")]
    Unavailable,
    /// Code 4.
    #[error("user or password is wrong")]
    Password,
    /// Code 5.
    #[error("it does not let this user in; user or password is wrong or missing")]
    NotAuthorised,
    /// Anything else.
    #[error("it refuses with the unknown code {0}")]
    Other(u8),
}

/// The bytes break a rule of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not speak MQTT as it should: {0}")]
pub struct Malformed(&'static str);

/// What is said to everyone when the connection is lost (section 3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
}

/// The beginning of a connection (section 3.1).
#[derive(Debug, Clone)]
pub struct Connect {
    /// Unique at the broker.
    pub client: String,
    /// After how many seconds without a sign of life the broker hangs up.
    pub keep_alive: u16,
    /// Who.
    pub user: Option<String>,
    /// Only together with a user.
    pub password: Option<Secret>,
    /// Kept by the broker for the case that the connection is lost.
    pub will: Option<Will>,
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Longer than a text can be is cut; whoever calls has checked.
fn text(body: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.len().min(MAX_TEXT)];
    body.extend_from_slice(&(text.len() as u16).to_be_bytes());
    body.extend_from_slice(text);
}

impl Connect {
    /// As bytes. A session is always a clean one.
    pub fn encode(&self) -> Vec<u8> {
        let mut flags = 0b10;
        if self.will.is_some() {
            // The last will is retained, so that who comes later knows too.
            flags |= 0b0010_0100;
        }
        if self.user.is_some() {
            flags |= 0b1000_0000;
            if self.password.is_some() {
                flags |= 0b0100_0000;
            }
        }
        let mut body = Vec::new();
        text(&mut body, b"MQTT");
        body.extend_from_slice(&[4, flags]);
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        text(&mut body, self.client.as_bytes());
        if let Some(will) = &self.will {
            text(&mut body, will.topic.as_bytes());
            text(&mut body, &will.payload);
        }
        if let Some(user) = &self.user {
            text(&mut body, user.as_bytes());
            if let Some(password) = &self.password {
                text(&mut body, password.as_bytes());
            }
        }
        packet(0x10, &body)
    }
}

impl Publish {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.topic.len() + self.payload.len() + 4);
        text(&mut body, self.topic.as_bytes());
        if let Some(id) = self.id {
            body.extend_from_slice(&id.to_be_bytes());
        }
        body.extend_from_slice(&self.payload);
        let qos = if self.id.is_some() { 0b10 } else { 0 };
        packet(0x30 | qos | u8::from(self.retain), &body)
    }
}

/// Subscribes to filters, each at most once (section 3.8).
pub fn subscribe<'a>(id: u16, filters: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    for filter in filters {
        text(&mut body, filter.as_bytes());
        body.push(0);
    }
    packet(0x82, &body)
}

/// Ends subscriptions (section 3.10).
pub fn unsubscribe<'a>(id: u16, filters: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    filters.into_iter().for_each(|filter| text(&mut body, filter.as_bytes()));
    packet(0xa2, &body)
}

/// Confirms a message (section 3.4).
pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// A sign of life (section 3.12).
pub fn ping() -> Vec<u8> {
    packet(0xc0, &[])
}

/// Good-bye; the last will is forgotten (section 3.14).
pub fn disconnect() -> Vec<u8> {
    packet(0xe0, &[])
}

/// Takes a broker's bytes and gives packets.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// What of the buffer was read.
    read: usize,
    /// What of a message that is skipped has yet to come, and how long it is.
    skip: usize,
    skipped: usize,
}

impl Decoder {
    /// Takes bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let skip = self.skip.min(bytes.len());
        self.skip -= skip;
        self.buffer.extend_from_slice(&bytes[skip..]);
    }

    /// The next packet, once it is whole.
    ///
    /// # Errors
    /// [`Malformed`]; then nothing that follows has a meaning.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, Malformed> {
        if self.skipped > 0 && self.skip == 0 {
            return Ok(Some(Packet::Skipped(std::mem::take(&mut self.skipped))));
        }
        if self.buffer.get(self.read).is_some_and(|first| !may_begin(*first)) {
            return Err(STRANGE);
        }
        let Some((header, length)) = length(&self.buffer[self.read..])? else {
            self.drop_read();
            return Ok(None);
        };
        let first = self.buffer[self.read];
        if length > MAX_PACKET {
            if first >> 4 != 3 {
                return Err(Malformed("a packet that long makes no sense"));
            }
            let here = self.buffer.len() - self.read - header;
            self.read += header + here.min(length);
            (self.skip, self.skipped) = (length - here.min(length), length);
            return self.next_packet();
        }
        let Some(body) = self.buffer.get(self.read + header..self.read + header + length) else {
            self.drop_read();
            return Ok(None);
        };
        let packet = decode(first, body)?;
        self.read += header + length;
        Ok(Some(packet))
    }

    fn drop_read(&mut self) {
        self.buffer.drain(..std::mem::take(&mut self.read));
    }
}

/// The lengths of the header and of what follows it (section 2.2.3); `None` while it has not come.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (index, byte) in bytes.iter().skip(1).enumerate() {
        if index == 4 {
            break;
        }
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((index + 2, length)));
        }
    }
    if bytes.len() > 4 { Err(Malformed("a length of more than four bytes")) } else { Ok(None) }
}

const STRANGE: Malformed = Malformed("a packet that no broker sends");

/// Whether it is the first byte of a packet that a broker sends: what does not speak MQTT is noticed at once.
fn may_begin(first: u8) -> bool {
    matches!(first, 0x20 | 0x30..=0x3f | 0x40 | 0x90 | 0xb0 | 0xd0)
}

fn decode(first: u8, body: &[u8]) -> Result<Packet, Malformed> {
    let number = |bytes: &[u8]| match bytes {
        [high, low, ..] if (*high, *low) != (0, 0) => Ok(u16::from_be_bytes([*high, *low])),
        _ => Err(Malformed("a packet without a number")),
    };
    match (first >> 4, first & 0x0f, body.len()) {
        (2, 0, 2) => Ok(Packet::ConnAck(match body[1] {
            0 => Ok(()),
            1 => Err(Refusal::Version),
            2 => Err(Refusal::Identifier),
            3 => Err(Refusal::Unavailable),
            4 => Err(Refusal::Password),
            5 => Err(Refusal::NotAuthorised),
            code => Err(Refusal::Other(code)),
        })),
        (3, flags, _) => publish(flags, body),
        (4, 0, 2) => Ok(Packet::PubAck(number(body)?)),
        (9, 0, 3..) => Ok(Packet::SubAck(number(body)?, body[2..].iter().map(|code| code & 0x80 == 0).collect())),
        (11, 0, 2) => Ok(Packet::UnsubAck(number(body)?)),
        (13, 0, 0) => Ok(Packet::PingResp),
        _ => Err(STRANGE),
    }
}

fn publish(flags: u8, body: &[u8]) -> Result<Packet, Malformed> {
    let cut = Malformed("a message that ends too soon");
    let (length, rest) = body.split_first_chunk::<2>().ok_or(cut)?;
    let (topic, mut payload) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(cut)?;
    let topic = std::str::from_utf8(topic).map_err(|_| Malformed("a topic that is no text"))?;
    if !topic::is_name(topic) {
        return Err(Malformed("a message with no topic, or with one that has wildcards"));
    }
    // Subscribed is with quality 0; a broker may send better, and not what takes four packets.
    let id = match (flags >> 1) & 3 {
        0 => None,
        1 => {
            let (id, rest) = payload.split_first_chunk::<2>().ok_or(cut)?;
            payload = rest;
            Some(u16::from_be_bytes(*id))
        }
        _ => return Err(Malformed("a quality of service that was not asked for")),
    };
    let retain = flags & 1 == 1;
    Ok(Packet::Publish(Publish { topic: topic.to_owned(), payload: payload.to_vec(), retain, id }))
}

/// For the fuzzer: bytes in portions.
pub fn fuzz(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(7) {
        decoder.feed(piece);
        loop {
            match decoder.next_packet() {
                Ok(Some(Packet::Publish(message))) => assert!(topic::is_name(&message.topic)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(decoder.buffer.len() <= MAX_PACKET + 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], size: usize) -> Result<Vec<Packet>, Malformed> {
        let (mut decoder, mut packets) = (Decoder::default(), Vec::new());
        for piece in bytes.chunks(size) {
            decoder.feed(piece);
            while let Some(packet) = decoder.next_packet()? {
                packets.push(packet);
            }
        }
        Ok(packets)
    }

    #[test]
    fn a_connection_begins_as_the_standard_says() {
        let will = Some(Will { topic: "a/w".into(), payload: b"off".to_vec() });
        let connect =
            Connect { client: "me".into(), keep_alive: 30, user: Some("u".into()), password: Some("p".into()), will };
        let mut wanted = vec![0x10, 30, 0, 4];
        wanted.extend_from_slice(b"MQTT\x04\xe6\x00\x1e\x00\x02me\x00\x03a/w\x00\x03off\x00\x01u\x00\x01p");
        assert_eq!(connect.encode(), wanted);
        assert!(!format!("{connect:?}").contains("\"p\""), "a password is not for logs");
        let plain = Connect { user: None, password: Some("p".into()), will: None, ..connect };
        assert_eq!(plain.encode(), b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02me", "no password without a user");
    }

    #[test]
    fn packets_are_read_in_any_portions() {
        let message = |retain, id| Publish { topic: "a/b".into(), payload: vec![7; 300], retain, id };
        let mut bytes = b"\x20\x02\x00\x05\x90\x04\x00\x01\x00\x80\x40\x02\x00\x09\xd0\x00\xb0\x02\x00\x02".to_vec();
        bytes.extend(message(true, None).encode());
        bytes.extend(message(false, Some(3)).encode());
        for size in [1, 2, 3, 64, 4096] {
            let packets = all(&bytes, size).unwrap();
            let wanted = [
                Packet::ConnAck(Err(Refusal::NotAuthorised)),
                Packet::SubAck(1, vec![true, false]),
                Packet::PubAck(9),
                Packet::PingResp,
                Packet::UnsubAck(2),
                Packet::Publish(message(true, None)),
                Packet::Publish(message(false, Some(3))),
            ];
            assert_eq!(packets, wanted);
        }
    }

    #[test]
    fn a_message_of_megabytes_is_skipped_and_what_follows_is_read() {
        let long = Publish { topic: "a".into(), payload: vec![0; MAX_PACKET + 5], ..Publish::default() };
        let bytes = [long.encode(), b"\xd0\x00".to_vec()].concat();
        let mut decoder = Decoder::default();
        let mut packets = Vec::new();
        for piece in bytes.chunks(65_536) {
            decoder.feed(piece);
            while let Some(packet) = decoder.next_packet().unwrap() {
                packets.push(packet);
            }
            assert!(decoder.buffer.len() < 200_000, "it is not kept");
        }
        assert_eq!(packets, [Packet::Skipped(MAX_PACKET + 8), Packet::PingResp]);
    }

    #[test]
    fn what_no_broker_may_send_is_refused() {
        for bad in [
            &b"\x30\x05\x00\x03a/+x"[..], // a wildcard in a name
            b"\x30\x02\x00\x00",          // no topic
            b"\x30\x03\x00\x09a",         // a topic beyond the end
            b"\x34\x05\x00\x01a\x00\x01", // quality 2
            b"\x32\x03\x00\x01a",         // a number is missing
            b"\x30\x04\x00\x02\xff\xfe",  // no UTF-8
            b"\x30\xff\xff\xff\xff\x01",  // a length of five bytes
            b"\x90\xff\xff\xff\x7f",      // an answer of 256 MB
            b"\x40\x02\x00\x00",          // number 0
            b"\x10\x00",                  // only clients send that
            b"HTTP/1.1 400 Bad Request\r\n",
        ] {
            assert!(all(bad, 1).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            fuzz(&bytes);
        }
    }
}
