//! Two WebRTC connections without sockets and clock: one with the owner's browser, from where the picture comes, one with
//! the device that shows it. Packets go from the one to the other as they are; that a whole picture is wanted goes back, and
//! how much the way to the device takes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Rtc, RtcConfig};

use crate::crypto;

/// Longest offer and answer, and most lines of them.
const MAX_SDP: usize = 48 * 1024;
const MAX_LINES: usize = 1500;
/// Between two whole pictures that are asked for.
const PICTURES: Duration = Duration::from_millis(300);
/// What the way to the device is thought to take at first, what the browser sends at most, and what it is asked for at least:
/// with less there is no picture. Bits in a second.
const AT_FIRST: u64 = 2_500_000;
const MOST: u64 = 6_000_000;
const LEAST: u64 = 150_000;
/// Between two words about that, when it changed by a twentieth; and when it did not, as one may be lost.
const RATE_CHANGES: Duration = Duration::from_millis(200);
const RATE_AGAIN: Duration = Duration::from_secs(1);
/// How long both connections may take to stand.
const STANDS_WITHIN: Duration = Duration::from_secs(15);
/// Where the numbers of the packets that are passed on begin.
const FIRST: u64 = 1000;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// The owner's browser.
    Here,
    /// The device.
    There,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Transmit {
        /// On which leg.
        leg: Leg,
        /// Where.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Nothing until then, or until a datagram comes.
    Wait(Instant),
    /// It is over, and why.
    Over(String),
}

/// The device is asked.
pub struct Asked {
    there: Rtc,
    pending: SdpPendingOffer,
    offered: SdpOffer,
    here: SocketAddr,
    video: Mid,
    audio: Option<Mid>,
    began: Instant,
}

/// Both stand, or try to.
pub struct Relay {
    here: Rtc,
    there: Rtc,
    video: Mid,
    audio: Option<Mid>,
    /// From the numbers of codecs here to those there.
    codecs: HashMap<Pt, Pt>,
    /// By medium there, the number of the first packet that was passed on.
    firsts: HashMap<Mid, u64>,
    /// From where the picture comes.
    source: Option<Mid>,
    stands_here: bool,
    stands_there: bool,
    picture_wanted: bool,
    asked: Option<Instant>,
    /// Bits in a second that the way to the device takes, as far as it tells; and what the browser was told of it, and when.
    takes: Option<u64>,
    rate: Option<(u64, Instant)>,
    began: Instant,
    /// Packets that were passed on.
    passed: u64,
}

fn config() -> RtcConfig {
    let config = RtcConfig::new().set_crypto_provider(crypto::provider()).set_rtp_mode(true).clear_codecs();
    // What old televisions decode by hardware, and what every browser encodes.
    config.enable_h264(true).enable_vp8(true).enable_opus(true, false)
}

fn begun(config: RtcConfig, at: SocketAddr, now: Instant) -> Result<Rtc, String> {
    let mut rtc = config.build(now);
    let candidate = Candidate::host(at, "udp").map_err(|error| error.to_string())?;
    rtc.add_local_candidate(candidate).ok_or("this machine's address cannot be offered")?;
    Ok(rtc)
}

/// Without the addresses that the other end names: it shows by itself from where it comes, and nothing is sent where it
/// does not come from.
fn without_candidates(sdp: &str) -> Result<String, String> {
    if sdp.len() > MAX_SDP || sdp.lines().count() > MAX_LINES {
        return Err("the description of the connection is too long".to_owned());
    }
    if !sdp.starts_with("v=0") {
        return Err("this is no description of a connection (SDP)".to_owned());
    }
    let kept = sdp.lines().filter(|line| !line.starts_with("a=candidate") && !line.starts_with("a=end-of-candidates"));
    Ok(kept.flat_map(|line| [line.trim_end(), "\r\n"]).collect())
}

impl Asked {
    /// Takes the browser's offer, and makes one for the device. `here` and `there` are the addresses of the sockets on
    /// which the two are met.
    ///
    /// # Errors
    /// In words.
    pub fn new(offer: &str, here: SocketAddr, there: SocketAddr, now: Instant) -> Result<(Self, String), String> {
        let offered = without_candidates(offer)?;
        // Before the device hears of it, which ends what it shows.
        let parsed = SdpOffer::from_sdp_string(&offered).map_err(|error| format!("the browser's offer: {error}"))?;
        // What the device tells of when packets arrive says how much the way to it takes.
        let mut rtc = begun(config().enable_bwe(Some(Bitrate::from(AT_FIRST))), there, now)?;
        rtc.bwe().set_desired_bitrate(Bitrate::from(MOST));
        let mut change = rtc.sdp_api();
        let video = change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let sounds = offered.lines().any(|line| line.starts_with("m=audio"));
        let audio = sounds.then(|| change.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None));
        let (for_device, pending) = change.apply().ok_or("nothing could be offered")?;
        let asked = Self { there: rtc, pending, offered: parsed, here, video, audio, began: now };
        Ok((asked, for_device.to_sdp_string()))
    }

    /// Takes the device's answer, and makes one for the browser.
    ///
    /// # Errors
    /// In words.
    pub fn answered(mut self, answer: &str, now: Instant) -> Result<(Relay, String), String> {
        let answer = SdpAnswer::from_sdp_string(&without_candidates(answer)?);
        let answer = answer.map_err(|error| format!("the device's answer: {error}"))?;
        self.there
            .sdp_api()
            .accept_answer(self.pending, answer)
            .map_err(|error| format!("the device's answer: {error}"))?;
        let plays = self.there.media(self.video).is_some_and(|media| !media.remote_pts().is_empty());
        if !plays {
            return Err("the device shows neither H.264 nor VP8".to_owned());
        }
        // The browser may choose among what the device takes.
        let taken = |kind: str0m::format::Codec| {
            let media = [Some(self.video), self.audio].into_iter().flatten().filter_map(|mid| self.there.media(mid));
            let pts: Vec<Pt> = media.flat_map(|media| media.remote_pts().to_vec()).collect();
            self.there.codec_config().params().iter().any(|one| one.spec().codec == kind && pts.contains(&one.pt()))
        };
        use str0m::format::Codec;
        let both = config()
            .enable_h264(taken(Codec::H264))
            .enable_vp8(taken(Codec::Vp8))
            .enable_opus(taken(Codec::Opus), false);
        let mut here = begun(both, self.here, now)?;
        let answer =
            here.sdp_api().accept_offer(self.offered).map_err(|error| format!("the browser's offer: {error}"))?;
        let relay = Relay {
            here,
            there: self.there,
            video: self.video,
            audio: self.audio,
            codecs: HashMap::new(),
            firsts: HashMap::new(),
            source: None,
            stands_here: false,
            stands_there: false,
            picture_wanted: false,
            asked: None,
            takes: None,
            rate: None,
            began: self.began,
            passed: 0,
        };
        Ok((relay, answer.to_sdp_string()))
    }
}

impl Relay {
    /// Packets that were passed on to the device.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// A datagram came. What is none of WebRTC is passed over.
    pub fn datagram(&mut self, leg: Leg, from: SocketAddr, to: SocketAddr, bytes: &[u8], now: Instant) {
        let Ok(contents) = bytes.try_into() else { return };
        let receive = Receive { proto: Protocol::Udp, source: from, destination: to, contents };
        let rtc = self.rtc(leg);
        let input = Input::Receive(now, receive);
        if rtc.accepts(&input)
            && let Err(error) = rtc.handle_input(input)
        {
            tracing::debug!(%error, ?leg, "a datagram of a screen is passed over");
        }
    }

    /// Time passed.
    pub fn timeout(&mut self, leg: Leg, now: Instant) {
        if let Err(error) = self.rtc(leg).handle_input(Input::Timeout(now)) {
            tracing::debug!(%error, ?leg, "a connection of a screen");
        }
    }

    fn rtc(&mut self, leg: Leg) -> &mut Rtc {
        match leg {
            Leg::Here => &mut self.here,
            Leg::There => &mut self.there,
        }
    }

    /// The next thing to do. It is to be asked until it says [`Output::Wait`], after every word to it.
    pub fn poll(&mut self, now: Instant) -> Output {
        loop {
            // What was passed on leaves before the next packet is looked at.
            let until_there = match self.there.poll_output() {
                Err(error) => return Output::Over(format!("the way to the device broke: {error}")),
                Ok(str0m::Output::Transmit(sent)) => return transmit(Leg::There, &sent),
                Ok(str0m::Output::Timeout(until)) => until,
                Ok(str0m::Output::Event(event)) => {
                    if let Some(over) = self.there_says(event) {
                        return over;
                    }
                    continue;
                }
            };
            let until_here = match self.here.poll_output() {
                Err(error) => return Output::Over(format!("the way from your browser broke: {error}")),
                Ok(str0m::Output::Transmit(sent)) => return transmit(Leg::Here, &sent),
                Ok(str0m::Output::Timeout(until)) => until,
                Ok(str0m::Output::Event(event)) => {
                    if let Some(over) = self.here_says(event) {
                        return over;
                    }
                    continue;
                }
            };
            if !self.here.is_alive() || !self.there.is_alive() {
                return Output::Over("the connection was closed".to_owned());
            }
            let stands = self.stands_here && self.stands_there;
            if !stands && now >= self.began + STANDS_WITHIN {
                let who = if self.stands_here { "the device" } else { "your browser" };
                return Output::Over(format!("{who} did not connect within {} seconds", STANDS_WITHIN.as_secs()));
            }
            if self.ask_for_a_picture(now) || self.tell_the_rate(now) {
                continue;
            }
            let deadline = (!stands).then(|| self.began + STANDS_WITHIN);
            let again = self.picture_wanted.then(|| self.asked.map(|asked| asked + PICTURES)).flatten();
            let rate =
                self.rate.map(|(told, at)| at + if differs(told, self.takes) { RATE_CHANGES } else { RATE_AGAIN });
            let until = [Some(until_here), Some(until_there), deadline, again, rate].into_iter().flatten().min();
            return Output::Wait(until.unwrap_or(until_here));
        }
    }

    fn there_says(&mut self, event: Event) -> Option<Output> {
        match event {
            Event::Connected => (self.stands_there, self.picture_wanted) = (true, true),
            Event::KeyframeRequest(_) => self.picture_wanted = true,
            // One that tells of no arrivals is sent what the browser sends.
            Event::EgressBitrateEstimate(BweKind::Twcc { can_probe: false, .. }) => {
                self.takes = self.takes.and(Some(MOST))
            }
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. } | BweKind::Remb { estimate, .. }) => {
                self.takes = Some(estimate.as_u64().clamp(LEAST, MOST));
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                return Some(Output::Over("the device is gone, or its page was closed".to_owned()));
            }
            _ => {}
        }
        None
    }

    fn here_says(&mut self, event: Event) -> Option<Output> {
        match event {
            Event::Connected => self.stands_here = true,
            Event::MediaAdded(added) if added.kind == MediaKind::Video => self.source = Some(added.mid),
            Event::RtpPacket(packet) => self.pass(packet),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                return Some(Output::Over("your browser stopped".to_owned()));
            }
            _ => {}
        }
        None
    }

    fn pass(&mut self, packet: RtpPacket) {
        if !self.stands_there {
            return;
        }
        let pt = packet.header.payload_type;
        let Some(params) = self.here.codec_config().params().iter().find(|one| one.pt() == pt).copied() else { return };
        let mid = if params.spec().codec.is_video() { Some(self.video) } else { self.audio };
        let Some(mid) = mid else { return };
        let there = match self.codecs.get(&pt) {
            Some(known) => *known,
            None => {
                let Some(found) = self.there.codec_config().match_params(params) else { return };
                *self.codecs.entry(pt).or_insert(found.pt())
            }
        };
        // The first number is small: the other end does not know how often it went round.
        let number = *packet.seq_no;
        let first = *self.firsts.entry(mid).or_insert(number);
        let Some(place) = number.checked_sub(first) else { return };
        let mut direct = self.there.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else { return };
        let header = &packet.header;
        let write =
            RtpWrite::new(there, (FIRST + place).into(), header.timestamp, packet.timestamp, packet.payload.clone());
        stream.write_rtp(write.marker(header.marker).nackable(true));
        self.passed += 1;
    }

    /// The browser makes the picture coarser when the way takes less, and finer when it takes more (REMB).
    fn tell_the_rate(&mut self, now: Instant) -> bool {
        let Some(takes) = self.takes.filter(|_| self.stands_here && self.stands_there) else { return false };
        let due = self
            .rate
            .is_none_or(|(told, at)| now >= at + if differs(told, self.takes) { RATE_CHANGES } else { RATE_AGAIN });
        let Some(mid) = self.source.filter(|_| due) else { return false };
        let mut direct = self.here.direct_api();
        let Some(stream) = direct.stream_rx_by_mid(mid, None) else { return false };
        stream.request_remb(Bitrate::from(takes));
        self.rate = Some((takes, now));
        true
    }

    /// At most one at a time, and not too often.
    fn ask_for_a_picture(&mut self, now: Instant) -> bool {
        let due = self.asked.is_none_or(|asked| now >= asked + PICTURES);
        let Some(mid) = self.source.filter(|_| self.picture_wanted && self.stands_here && due) else { return false };
        let mut direct = self.here.direct_api();
        let Some(stream) = direct.stream_rx_by_mid(mid, None) else { return false };
        stream.request_keyframe(KeyframeRequestKind::Pli);
        (self.picture_wanted, self.asked) = (false, Some(now));
        true
    }
}

/// By more than a twentieth.
fn differs(told: u64, takes: Option<u64>) -> bool {
    takes.is_some_and(|takes| takes.abs_diff(told) > told / 20)
}

fn transmit(leg: Leg, sent: &str0m::net::Transmit) -> Output {
    Output::Transmit { leg, to: sent.destination, bytes: sent.contents.to_vec() }
}

/// For the fuzzer: what a browser or a device describes of itself never panics.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let text = format!("v=0{}", String::from_utf8_lossy(bytes));
    let (at, now) = (SocketAddr::from(([10, 0, 0, 1], 5000)), Instant::now());
    if let Ok((asked, _)) = Asked::new(&text, at, at, now) {
        let _ = asked.answered(&text, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A browser, or a device: str0m again, on its own side.
    struct Far {
        rtc: Rtc,
        at: SocketAddr,
        pictures_asked: usize,
        /// Bits in a second that it is asked to send at most.
        rates: Vec<u64>,
        got: Vec<(u64, u32, Vec<u8>)>,
    }

    fn at(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], port))
    }

    impl Far {
        fn new(at: SocketAddr, now: Instant) -> Self {
            Self { rtc: begun(config(), at, now).unwrap(), at, pictures_asked: 0, rates: Vec::new(), got: Vec::new() }
        }
        /// What it sends now.
        fn drain(&mut self, sent: &mut Vec<(SocketAddr, SocketAddr, Vec<u8>)>) {
            loop {
                match self.rtc.poll_output().unwrap() {
                    str0m::Output::Timeout(_) => return,
                    str0m::Output::Transmit(one) => sent.push((self.at, one.destination, one.contents.to_vec())),
                    str0m::Output::Event(Event::KeyframeRequest(_)) => self.pictures_asked += 1,
                    str0m::Output::Event(Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. })) => {
                        self.rates.push(estimate.as_u64());
                    }
                    str0m::Output::Event(Event::RtpPacket(one)) => {
                        self.got.push((*one.seq_no, one.header.timestamp, one.payload.to_vec()));
                    }
                    str0m::Output::Event(_) => {}
                }
            }
        }
    }

    fn sent(
        relay: &mut Relay,
        now: Instant,
        here: SocketAddr,
        there: SocketAddr,
        wire: &mut Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    ) {
        loop {
            match relay.poll(now) {
                Output::Transmit { leg, to, bytes } => {
                    wire.push((if leg == Leg::Here { here } else { there }, to, bytes))
                }
                Output::Wait(_) => return,
                Output::Over(why) => panic!("{why}"),
            }
        }
    }

    #[test]
    fn packets_go_through_as_they_are_and_whole_pictures_are_asked_for() {
        let mut now = Instant::now();
        let (mut browser, mut device) = (Far::new(at(1, 7000), now), Far::new(at(2, 8000), now));
        let (here, there) = (at(1, 5000), at(1, 5001));
        let mut change = browser.rtc.sdp_api();
        let mid = change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let (offer, pending) = change.apply().unwrap();

        let (asked, for_device) = Asked::new(&offer.to_sdp_string(), here, there, now).unwrap();
        // Among spaces: they may occur in a random number as well.
        assert!(offer.to_sdp_string().contains(" 7000 ") && !for_device.contains(" 7000 "), "nothing of the browser");
        let answer = device.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(&for_device).unwrap()).unwrap();
        let (mut relay, for_browser) = asked.answered(&answer.to_sdp_string(), now).unwrap();
        assert!(answer.to_sdp_string().contains(" 8000 ") && !for_browser.contains(" 8000 "), "nothing of the device");
        browser.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&for_browser).unwrap()).unwrap();
        // What a page knows by its offer: where the hub is.
        device.rtc.add_remote_candidate(Candidate::host(there, "udp").unwrap());
        browser.rtc.add_remote_candidate(Candidate::host(here, "udp").unwrap());

        let pt = browser.rtc.media(mid).unwrap().remote_pts()[0];
        let mut written = 0u64;
        for _ in 0..2000 {
            now += Duration::from_millis(10);
            let mut wire = Vec::new();
            for far in [&mut browser, &mut device] {
                far.rtc.handle_input(Input::Timeout(now)).unwrap();
                far.drain(&mut wire);
            }
            for leg in [Leg::Here, Leg::There] {
                relay.timeout(leg, now);
                sent(&mut relay, now, here, there, &mut wire);
            }
            if relay.stands_here && relay.stands_there && browser.rtc.is_connected() && written < 20 {
                let mut direct = browser.rtc.direct_api();
                let payload = vec![0x10, 0, 0, written as u8];
                let write = RtpWrite::new(pt, (500 + written).into(), written as u32 * 3000, now, payload);
                direct.stream_tx_by_mid(mid, None).unwrap().write_rtp(write.marker(true).nackable(true));
                browser.drain(&mut wire);
                written += 1;
            }
            while !wire.is_empty() {
                let (from, to, bytes) = wire.remove(0);
                if to == here || to == there {
                    assert_eq!(to == here, from == browser.at, "each leg has its own end");
                    relay.datagram(if to == here { Leg::Here } else { Leg::There }, from, to, &bytes, now);
                    sent(&mut relay, now, here, there, &mut wire);
                } else {
                    let far = if to == browser.at { &mut browser } else { &mut device };
                    let contents = bytes.as_slice().try_into().unwrap();
                    let receive = Receive { proto: Protocol::Udp, source: from, destination: to, contents };
                    far.rtc.handle_input(Input::Receive(now, receive)).unwrap();
                    far.drain(&mut wire);
                }
            }
            if device.got.len() >= 15 && browser.pictures_asked > 0 && !browser.rates.is_empty() {
                break;
            }
        }
        assert!(relay.stands_here && relay.stands_there, "both connected");
        assert!(device.got.len() >= 15, "{} of {written} passed {}", device.got.len(), relay.passed());
        let first = device.got[0].0;
        assert_eq!(first, FIRST);
        for (number, time, payload) in &device.got {
            let place = number - first + u64::from(device.got[0].2[3]);
            assert_eq!((u64::from(*time) / 3000, u64::from(payload[3])), (place, place));
        }
        assert!(browser.pictures_asked > 0, "the device begins with a whole picture");
        assert!(browser.rates.iter().all(|rate| (LEAST..=MOST).contains(rate)), "{:?}", browser.rates);
        assert!(!browser.rates.is_empty(), "how much the way takes is told");
    }

    #[test]
    fn what_is_no_description_is_refused() {
        let now = Instant::now();
        for text in ["", "hello", "v=0\r\nhello", &"v=0\r\n".repeat(20_000)] {
            assert!(Asked::new(text, at(1, 5000), at(1, 5001), now).is_err());
        }
    }

    #[test]
    fn addresses_that_the_other_end_names_are_left_out() {
        let sdp =
            "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=candidate:1 1 udp 1 203.0.113.9 9 typ host\r\na=mid:0\r\n";
        assert!(!without_candidates(sdp).unwrap().contains("203.0.113.9"));
    }

    proptest! {
        // Each case makes keys.
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz(&bytes);
        }
    }
}
