//! What is said on the control connection: the sound's description (SDP, RFC 4566), ports, volume, a title.

use std::net::IpAddr;

use super::alac::FORMAT;
use super::rtsp::{Answer, Request};

/// Longest name of a session that is taken.
const MAX_SESSION: usize = 128;
/// What the device shows as the title: never a file's name.
const TITLE: &str = "Accord";
/// In decibel: silence, the quietest and the loudest.
const SILENCE: f64 = -144.0;
const QUIET: f64 = -30.0;

/// The names of one cast: new every time, so that no two can be told to be of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of the sender (`Client-Instance`, `DACP-ID`), as 16 hexadecimal digits.
    pub sender: String,
    /// Whoever knows it could control the sender by remote, if it let anybody (`Active-Remote`).
    pub remote: u32,
    /// Of the session.
    pub session: u32,
    /// Of the source of packets.
    pub source: u32,
    /// Number and place of the first packet.
    pub first: (u16, u32),
}

impl Names {
    /// From bytes of chance.
    pub fn from_chance(chance: [u8; 28]) -> Self {
        let number = |at: usize| u32::from_be_bytes([chance[at], chance[at + 1], chance[at + 2], chance[at + 3]]);
        Self {
            sender: format!("{:08X}{:08X}", number(0), number(4)),
            remote: number(8),
            session: number(12),
            source: number(16),
            first: (u16::from_be_bytes([chance[20], chance[21]]), number(24)),
        }
    }

    /// What the sound is called (RFC 2326, section 3.2).
    pub fn uri(&self, here: IpAddr) -> String {
        match here {
            IpAddr::V4(here) => format!("rtsp://{here}/{}", self.session),
            IpAddr::V6(here) => format!("rtsp://[{here}]/{}", self.session),
        }
    }
}

/// Describes the sound.
pub fn announce(names: &Names, here: IpAddr, there: IpAddr) -> Request {
    let kind = |address: IpAddr| if address.is_ipv4() { "IP4" } else { "IP6" };
    let sdp = format!(
        "v=0\r\no=- {} 0 IN {} {here}\r\ns=-\r\nc=IN {} {there}\r\nt=0 0\r\nm=audio 0 RTP/AVP 96\r\n\
         a=rtpmap:96 AppleLossless\r\na=fmtp:96 {FORMAT}\r\n",
        names.session,
        kind(here),
        kind(there),
    );
    Request::new("ANNOUNCE", &names.uri(here)).body("application/sdp", sdp.into_bytes())
}

/// Tells our ports, and asks for the device's.
pub fn setup(uri: &str, control: u16, timing: u16) -> Request {
    let transport =
        format!("RTP/AVP/UDP;unicast;interleaved=0-1;mode=record;control_port={control};timing_port={timing}");
    Request::new("SETUP", uri).header("Transport", transport)
}

/// Where the device listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// For sound.
    pub sound: u16,
    /// For the clock and for what is sent again.
    pub control: u16,
    /// Its name for the session.
    pub session: String,
}

/// Reads the answer to [`setup`]. `None`: it is not one.
pub fn ports(answer: &Answer) -> Option<Ports> {
    let transport = answer.header("Transport")?;
    let port = |name: &str| {
        let pairs = transport.split(';').filter_map(|part| part.split_once('='));
        let found = pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.trim().parse::<u16>().ok()).filter(|port| *port > 0)
    };
    let session = answer.header("Session").unwrap_or("1");
    // `;timeout=…` is not a part of the name (RFC 2326, section 12.37).
    let session = session.split(';').next().unwrap_or_default().trim();
    let fits =
        !session.is_empty() && session.len() <= MAX_SESSION && session.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(())?;
    Some(Ports { sound: port("server_port")?, control: port("control_port")?, session: session.to_owned() })
}

/// Begins.
pub fn record(uri: &str, seq: u16, at: u32) -> Request {
    Request::new("RECORD", uri).header("Range", "npt=0-").header("RTP-Info", format!("seq={seq};rtptime={at}"))
}

/// Has the device forget all before this packet.
pub fn flush(uri: &str, seq: u16, at: u32) -> Request {
    Request::new("FLUSH", uri).header("RTP-Info", format!("seq={seq};rtptime={at}"))
}

/// Asks how loud it is.
pub fn ask_volume(uri: &str) -> Request {
    Request::new("GET_PARAMETER", uri).body("text/parameters", b"volume\r\n".to_vec())
}

/// Makes it as loud as this, in percent.
pub fn set_volume(uri: &str, percent: u8) -> Request {
    let text = format!("volume: {:.6}\r\n", decibel(percent));
    Request::new("SET_PARAMETER", uri).body("text/parameters", text.into_bytes())
}

/// Shows a title (DMAP: four letters, length, value).
pub fn set_title(uri: &str, at: u32) -> Request {
    let item = |code: &[u8; 4], value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap_or_default().to_be_bytes();
        [code.as_slice(), &length, value].concat()
    };
    let listing = item(b"mlit", &item(b"minm", TITLE.as_bytes()));
    Request::new("SET_PARAMETER", uri)
        .header("RTP-Info", format!("rtptime={at}"))
        .body("application/x-dmap-tagged", listing)
}

/// How loud it says that it is, in percent.
pub fn volume(answer: &Answer) -> Option<u8> {
    let text = std::str::from_utf8(&answer.body).ok()?;
    let value = text.lines().find_map(|line| line.trim().strip_prefix("volume:"))?;
    let decibel: f64 = value.trim().parse().ok()?;
    decibel.is_finite().then(|| percent(decibel))
}

/// What a percentage is on the device's scale.
pub fn decibel(percent: u8) -> f64 {
    match percent.min(100) {
        0 => SILENCE,
        // The zero is no negative one.
        percent => QUIET * (1.0 - f64::from(percent) / 100.0) + 0.0,
    }
}

fn percent(decibel: f64) -> u8 {
    if decibel < QUIET {
        return 0;
    }
    // Between 0 and 100 by the line before and this one.
    ((1.0 - decibel.min(0.0) / QUIET) * 100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rtsp::Reading;

    fn answer(text: &str) -> Answer {
        let mut reading = Reading::default();
        reading.take(text.as_bytes()).unwrap();
        reading.poll().unwrap().unwrap()
    }

    #[test]
    fn the_sound_is_described_without_a_word_of_the_machine() {
        let names = Names::from_chance([7; 28]);
        let request = announce(&names, [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!(request.uri, "rtsp://10.0.0.1/117901063");
        let (kind, body) = request.body.unwrap();
        assert_eq!(kind, "application/sdp");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "v=0\r\no=- 117901063 0 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 0 RTP/AVP 96\r\n\
             a=rtpmap:96 AppleLossless\r\na=fmtp:96 352 0 16 40 10 14 2 255 0 0 44100\r\n"
        );
    }

    #[test]
    fn ports_are_read_and_nonsense_is_not() {
        let of = |transport: &str, session: &str| {
            ports(&answer(&format!("RTSP/1.0 200 OK\r\nTransport: {transport}\r\nSession: {session}\r\n\r\n")))
        };
        let good = "RTP/AVP/UDP;unicast;mode=record;server_port=6001;control_port=6002;timing_port=6003";
        let ports = Ports { sound: 6001, control: 6002, session: "1".to_owned() };
        assert_eq!(of(good, "1;timeout=60"), Some(ports));
        for (transport, session) in [
            ("RTP/AVP/UDP;server_port=6001", "1"),
            ("server_port=0;control_port=6002", "1"),
            ("server_port=65536;control_port=6002", "1"),
            ("server_port=-1;control_port=6002", "1"),
            (good, "a b"),
            (good, &"x".repeat(200)),
        ] {
            assert_eq!(of(transport, session), None, "{transport} {session}");
        }
    }

    #[test]
    fn the_scale_of_volume_goes_both_ways() {
        assert_eq!((decibel(0), decibel(1), decibel(100), decibel(200)), (-144.0, -29.7, 0.0, 0.0));
        for wanted in 0..=100 {
            assert_eq!(percent(decibel(wanted)), wanted);
        }
        let said =
            |text: &str| volume(&answer(&format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())));
        assert_eq!(said("\r\nvolume: -15.000000\r\n"), Some(50));
        assert_eq!(said("volume: 5"), Some(100));
        assert_eq!((said("volume: NaN"), said("volume: loud"), said("")), (None, None, None));
    }

    #[test]
    fn the_title_says_nothing() {
        let (_, body) = set_title("x", 1).body.unwrap();
        assert_eq!(body, b"mlit\0\0\0\x0eminm\0\0\0\x06Accord");
    }
}
