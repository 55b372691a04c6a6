//! DNS messages as multicast DNS uses them (RFC 1035, 6762): read with bounds everywhere, written with
//! compressed names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::api::MAX_DATAGRAM;
use crate::name::Name;

pub(crate) const A: u16 = 1;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const ANY: u16 = 255;
const IN: u16 = 1;
/// In a question: please answer by unicast. In a record: forget older ones.
const TOP: u16 = 0x8000;
/// Most records or questions read of one message.
const MAX_RECORDS: usize = 600;
/// Most compression pointers followed for one name.
const MAX_JUMPS: usize = 32;
/// Longest TXT data kept, in bytes.
const MAX_TXT: usize = 2048;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub name: Name,
    pub kind: u16,
    pub unicast: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    Address(IpAddr),
    Ptr(Name),
    Srv { priority: u16, weight: u16, port: u16, target: Name },
    Txt(Vec<u8>),
    Other { kind: u16, bytes: Vec<u8> },
}

impl Data {
    pub(crate) fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => A,
            Self::Address(IpAddr::V6(_)) => AAAA,
            Self::Ptr(_) => PTR,
            Self::Srv { .. } => SRV,
            Self::Txt(_) => TXT,
            Self::Other { kind, .. } => *kind,
        }
    }
    /// Uncompressed, as compared when two devices probe for one name (RFC 6762, section 8.2).
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Self::Address(IpAddr::V6(ip)) => ip.octets().to_vec(),
            Self::Ptr(name) => name.wire(),
            Self::Srv { priority, weight, port, target } => {
                let mut out = Vec::with_capacity(64);
                for number in [priority, weight, port] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                out.extend(target.wire());
                out
            }
            Self::Txt(bytes) | Self::Other { bytes, .. } => bytes.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub name: Name,
    /// The only one of its name and type: older ones are void.
    pub flush: bool,
    /// Seconds; 0 is goodbye.
    pub ttl: u32,
    pub data: Data,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub id: u16,
    pub response: bool,
    /// More known answers follow.
    pub truncated: bool,
    pub questions: Vec<Question>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

/// Reads a datagram; `None` when it is malformed, too long, or no standard query or response. Records of
/// other classes are skipped.
pub(crate) fn parse(bytes: &[u8]) -> Option<Message> {
    if bytes.len() > MAX_DATAGRAM {
        return None;
    }
    let mut input = Input { whole: bytes, at: 0 };
    let (id, flags) = (input.u16()?, input.u16()?);
    // Opcode and error code are zero on multicast (RFC 6762, section 18).
    if flags & 0x780F != 0 {
        return None;
    }
    let counts = [input.u16()?, input.u16()?, input.u16()?, input.u16()?].map(usize::from);
    if counts.iter().sum::<usize>() > MAX_RECORDS {
        return None;
    }
    let mut message =
        Message { id, response: flags & 0x8000 != 0, truncated: flags & 0x0200 != 0, ..Message::default() };
    for _ in 0..counts[0] {
        let (name, kind, class) = (input.name()?, input.u16()?, input.u16()?);
        if matches!(class & !TOP, IN | ANY) {
            message.questions.push(Question { name, kind, unicast: class & TOP != 0 });
        }
    }
    message.answers = input.records(counts[1])?;
    message.authorities = input.records(counts[2])?;
    message.additionals = input.records(counts[3])?;
    Some(message)
}

struct Input<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let part = self.whole.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(part)
    }
    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A name; pointers lead strictly backwards, so that no loop is possible.
    fn name(&mut self) -> Option<Name> {
        let mut name = Name::default();
        let (mut at, mut before, mut jumps, mut end) = (self.at, self.at, 0, None);
        loop {
            let len = usize::from(*self.whole.get(at)?);
            match len >> 6 {
                0 if len == 0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Some(name);
                }
                0 => {
                    name.push(self.whole.get(at + 1..at + 1 + len)?)?;
                    at += 1 + len;
                }
                3 => {
                    let target = (len & 0x3F) << 8 | usize::from(*self.whole.get(at + 1)?);
                    jumps += 1;
                    if target >= before || jumps > MAX_JUMPS {
                        return None;
                    }
                    end.get_or_insert(at + 2);
                    (at, before) = (target, target);
                }
                _ => return None,
            }
        }
    }

    fn records(&mut self, count: usize) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..count {
            let (name, kind, class) = (self.name()?, self.u16()?, self.u16()?);
            let (ttl, len) = (self.u32()?, usize::from(self.u16()?));
            let end = self.at.checked_add(len).filter(|end| *end <= self.whole.len())?;
            let data = self.data(kind, end)?;
            self.at = end;
            if class & !TOP == IN {
                records.push(Record { name, flush: class & TOP != 0, ttl, data });
            }
        }
        Some(records)
    }

    fn data(&mut self, kind: u16, end: usize) -> Option<Data> {
        let data = match kind {
            A => Data::Address(Ipv4Addr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?).into()),
            AAAA => Data::Address(Ipv6Addr::from(<[u8; 16]>::try_from(self.take(16)?).ok()?).into()),
            PTR => Data::Ptr(self.name()?),
            SRV => Data::Srv { priority: self.u16()?, weight: self.u16()?, port: self.u16()?, target: self.name()? },
            TXT => Data::Txt(self.take((end - self.at).min(MAX_TXT))?.to_vec()),
            // Nothing here uses it; its presence is enough.
            _ => return Some(Data::Other { kind, bytes: self.take((end - self.at).min(64))?.to_vec() }),
        };
        (self.at == end || kind == TXT).then_some(data)
    }
}

/// Attributes of a TXT record in order; the first of a name counts, names in lower case (RFC 6763, section 6).
pub(crate) fn attributes(txt: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let mut rest = txt;
    while let Some((len, tail)) = rest.split_first() {
        let Some((text, tail)) = tail.split_at_checked(usize::from(*len)) else { break };
        rest = tail;
        let split = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
        let key = &text[..split];
        if key.is_empty() || !key.iter().all(|byte| (0x20..=0x7e).contains(byte)) {
            continue;
        }
        let key = String::from_utf8_lossy(key).to_ascii_lowercase();
        if found.len() < 64 && found.iter().all(|(known, _)| *known != key) {
            found.push((key, text.get(split + 1..).unwrap_or_default().to_vec()));
        }
    }
    found
}

/// The data of a TXT record.
pub(crate) fn txt(attributes: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        out.push((key.len() + 1 + value.len()).min(255) as u8);
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value);
    }
    if out.is_empty() {
        out.push(0);
    }
    out
}

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// Writes one message up to a limit. Sections come in order: questions, answers, authorities, additionals.
pub(crate) struct Writer {
    out: Vec<u8>,
    counts: [u16; 4],
    names: HashMap<Vec<u8>, u16>,
    limit: usize,
}

impl Writer {
    pub(crate) fn new(id: u16, response: bool, limit: usize) -> Self {
        let mut out = vec![0; 12];
        out[..2].copy_from_slice(&id.to_be_bytes());
        // A response is authoritative.
        out[2] = if response { 0x84 } else { 0 };
        Self { out, counts: [0; 4], names: HashMap::new(), limit: limit.min(MAX_DATAGRAM) }
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.counts == [0; 4]
    }
    pub(crate) fn truncated(&mut self) {
        self.out[2] |= 0x02;
    }

    /// False when it no longer fits; the message is then as before.
    pub(crate) fn question(&mut self, question: &Question) -> bool {
        self.attempt(0, |writer| {
            writer.name(&question.name);
            writer.out.extend_from_slice(&question.kind.to_be_bytes());
            writer.out.extend_from_slice(&(IN | if question.unicast { TOP } else { 0 }).to_be_bytes());
        })
    }
    /// False when it no longer fits; the message is then as before.
    pub(crate) fn record(&mut self, section: Section, record: &Record) -> bool {
        self.attempt(section as usize, |writer| {
            writer.name(&record.name);
            writer.out.extend_from_slice(&record.data.kind().to_be_bytes());
            writer.out.extend_from_slice(&(IN | if record.flush { TOP } else { 0 }).to_be_bytes());
            writer.out.extend_from_slice(&record.ttl.to_be_bytes());
            let at = writer.out.len();
            writer.out.extend_from_slice(&[0, 0]);
            match &record.data {
                Data::Ptr(name) => writer.name(name),
                data => writer.out.extend(data.bytes()),
            }
            let len = (writer.out.len() - at - 2) as u16;
            writer.out[at..at + 2].copy_from_slice(&len.to_be_bytes());
        })
    }
    pub(crate) fn finish(mut self) -> Vec<u8> {
        for (index, count) in self.counts.iter().enumerate() {
            self.out[4 + 2 * index..6 + 2 * index].copy_from_slice(&count.to_be_bytes());
        }
        self.out
    }

    fn attempt(&mut self, section: usize, write: impl FnOnce(&mut Self)) -> bool {
        let mark = self.out.len();
        write(self);
        if self.out.len() > self.limit {
            self.out.truncate(mark);
            self.names.retain(|_, at| usize::from(*at) < mark);
            return false;
        }
        self.counts[section] += 1;
        true
    }
    fn name(&mut self, name: &Name) {
        for suffix in name.suffixes() {
            let key = suffix.to_ascii_lowercase();
            if let Some(at) = self.names.get(&key) {
                self.out.extend_from_slice(&(0xC000 | at).to_be_bytes());
                return;
            }
            // Pointers have 14 bits.
            if let Ok(at) = u16::try_from(self.out.len())
                && at < 0x4000
            {
                self.names.insert(key, at);
            }
            self.out.extend_from_slice(&suffix[..=usize::from(suffix[0])]);
        }
        self.out.push(0);
    }
}

/// Entry for fuzzing: reads any bytes as a message, writes it again and reads that.
pub fn fuzz(bytes: &[u8]) {
    let Some(message) = parse(bytes) else { return };
    let mut writer = Writer::new(message.id, message.response, MAX_DATAGRAM);
    let mut whole = message.questions.iter().all(|question| writer.question(question));
    for (section, records) in [
        (Section::Answer, &message.answers),
        (Section::Authority, &message.authorities),
        (Section::Additional, &message.additionals),
    ] {
        whole &= records.iter().all(|record| writer.record(section, record));
        for record in records {
            if let Data::Txt(bytes) = &record.data {
                let read = attributes(bytes);
                assert!(read.len() <= 64, "attributes are bounded");
            }
        }
    }
    if message.truncated {
        writer.truncated();
    }
    if whole {
        assert_eq!(parse(&writer.finish()), Some(message), "what was read is written and read the same");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// An answer as avahi sends it, byte by byte after RFC 1035 and 6762: PTR, then SRV, TXT, AAAA, A with names
    /// compressed, the target of SRV too.
    #[test]
    fn an_answer_with_compressed_names_is_read() {
        let bytes = hex("0000 8400 0000 0001 0000 0004
             04 5f697070 04 5f746370 05 6c6f63616c 00  000c 0001 00001194 0009  06 4f6666696365 c00c
             c027 0021 8001 00000078 0010  0000 0000 0277  07 7072696e746572 c016
             c027 0010 8001 00001194 0016  09 747874766572733d31  0b 72703d6970702f746573 74
             c042 001c 8001 00000078 0010  fe80 0000 0000 0000 0211 22ff fe33 4455
             c042 0001 8001 00000078 0004  c0000207");
        let message = parse(&bytes).unwrap();
        assert!(message.response && message.questions.is_empty());
        let service = Name::local("_ipp._tcp").unwrap();
        let instance = service.child(b"Office").unwrap();
        let host = Name::local("printer").unwrap();
        assert_eq!(
            message.answers,
            [Record { name: service, flush: false, ttl: 4500, data: Data::Ptr(instance.clone()) }]
        );
        let record = |name: &Name, ttl, data| Record { name: name.clone(), flush: true, ttl, data };
        assert_eq!(
            message.additionals[0],
            record(&instance, 120, Data::Srv { priority: 0, weight: 0, port: 631, target: host.clone() })
        );
        let Data::Txt(text) = &message.additionals[1].data else { panic!("text") };
        assert_eq!(attributes(text), [("txtvers".to_owned(), b"1".to_vec()), ("rp".to_owned(), b"ipp/test".to_vec())]);
        assert_eq!(
            message.additionals[2],
            record(&host, 120, Data::Address("fe80::211:22ff:fe33:4455".parse().unwrap()))
        );
        assert_eq!(message.additionals[3], record(&host, 120, Data::Address("192.0.2.7".parse().unwrap())));
        fuzz(&bytes);
    }

    #[test]
    fn a_query_with_the_unicast_bit_is_read() {
        let bytes = hex("0000 0000 0001 0000 0000 0000  07 5f6163636f7264 04 5f756470 05 6c6f63616c 00  000c 8001");
        let message = parse(&bytes).unwrap();
        let name = Name::local("_accord._udp").unwrap();
        assert_eq!(message.questions, [Question { name, kind: PTR, unicast: true }]);
        assert!(!message.response);
    }

    #[test]
    fn names_that_point_at_themselves_forward_or_for_ever_are_refused() {
        let head = "0000 0000 0001 0000 0000 0000";
        for name in ["c00c", "c00e", "01 61 c00c", "c010 0000 c00c", "40 61", "80 61", "3f 61", "05 61", "c0"] {
            assert_eq!(parse(&hex(&format!("{head} {name} 000c 0001"))), None, "{name}");
        }
        // 300 labels of one letter are longer than a name may be.
        let long = "01 61".repeat(300);
        assert_eq!(parse(&hex(&format!("{head} {long} 00 000c 0001"))), None);
        // A ladder of pointers, each to the one before.
        let ladder = |rungs: u16| {
            // In the data of a record that nobody reads, then a name that begins at its end.
            let mut bytes = hex("0000 8400 0000 0002 0000 0000  00 0063 0001 00000001");
            bytes.extend((2 * rungs).to_be_bytes());
            for rung in 0..rungs {
                let at = bytes.len() as u16;
                let before = if rung == 0 { 12 } else { at - 2 };
                bytes.extend((0xC000 | before).to_be_bytes());
            }
            bytes.extend((0xC000 | (bytes.len() as u16 - 2)).to_be_bytes());
            bytes.extend(hex("0063 0001 00000001 0000"));
            parse(&bytes)
        };
        assert!(ladder(5).is_some());
        assert_eq!(ladder(100), None);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let record = |rest: &str| parse(&hex(&format!("0000 8400 0000 0001 0000 0000  01 61 00 {rest}")));
        assert!(record("0001 0001 00000078 0004 01020304").is_some());
        assert_eq!(record("0001 0001 00000078 0005 0102030405"), None, "an address of five bytes");
        assert_eq!(record("0001 0001 00000078 0003 010203"), None, "an address of three bytes");
        assert_eq!(record("0010 0001 00000078 0400 01"), None, "data longer than the message");
        assert_eq!(record("0021 0001 00000078 0006 0000 0000 0001"), None, "a service without a host");
        assert_eq!(parse(&[0; 11]), None);
        assert_eq!(parse(&vec![0; MAX_DATAGRAM + 1]), None);
        assert_eq!(parse(&hex("0000 8400 ffff ffff ffff ffff")), None);
        assert_eq!(parse(&hex("0000 2800 0000 0000 0000 0000")), None, "not a query");
    }

    #[test]
    fn attributes_follow_the_rules() {
        let read = attributes(b"\x03a=1\x02B=\x01c\x03A=2\x02=x\x00\x09v=1\x00=\xff\x7f=\x01\x05cut");
        let text = |key: &str, value: &[u8]| (key.to_owned(), value.to_vec());
        assert_eq!(read[..3], [text("a", b"1"), text("b", b""), text("c", b"")]);
        assert_eq!(read[3], text("v", b"1\x00=\xff\x7f=\x01"));
        assert_eq!(read.len(), 4);
        assert_eq!(txt(&[]), [0]);
        assert_eq!(attributes(&txt(&read)), read);
    }

    #[test]
    fn what_does_not_fit_leaves_the_message_whole() {
        let mut writer = Writer::new(0, true, 80);
        let service = Name::local("_accord._udp").unwrap();
        let record = |label: &[u8]| Record {
            name: service.clone(),
            flush: false,
            ttl: 1,
            data: Data::Ptr(service.child(label).unwrap()),
        };
        assert!(writer.record(Section::Answer, &record(b"a")));
        assert!(!writer.record(Section::Answer, &record(&[b'x'; 60])));
        assert!(writer.record(Section::Answer, &record(b"b")));
        let message = parse(&writer.finish()).unwrap();
        assert_eq!(message.answers, [record(b"a"), record(b"b")]);
    }

    fn name() -> impl Strategy<Value = Name> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..10), 0..5)
            .prop_map(|labels| Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap())
    }
    fn data() -> impl Strategy<Value = Data> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| Data::Address(IpAddr::from(ip))),
            any::<[u8; 16]>().prop_map(|ip| Data::Address(IpAddr::from(ip))),
            name().prop_map(Data::Ptr),
            (any::<[u16; 3]>(), name()).prop_map(|([priority, weight, port], target)| Data::Srv {
                priority,
                weight,
                port,
                target
            }),
            proptest::collection::vec(any::<u8>(), 0..100).prop_map(Data::Txt),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), counts in any::<[u8; 4]>()) {
            fuzz(&bytes);
            let mut framed = vec![0, 0, 0x84, 0];
            framed.extend(counts.iter().flat_map(|count| [0, count % 8]));
            framed.extend(bytes);
            fuzz(&framed);
        }
        #[test]
        fn what_is_written_is_read_the_same(
            records in proptest::collection::vec((name(), any::<bool>(), any::<u32>(), data()), 0..12)
        ) {
            let records: Vec<_> =
                records.into_iter().map(|(name, flush, ttl, data)| Record { name, flush, ttl, data }).collect();
            let mut writer = Writer::new(7, true, MAX_DATAGRAM);
            for record in &records {
                prop_assert!(writer.record(Section::Answer, record));
            }
            let read = parse(&writer.finish()).unwrap();
            prop_assert_eq!(read.answers, records);
        }
    }
}
