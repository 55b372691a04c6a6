//! Which carrier a bulk stream takes. The rule, per peer and network path (our address, theirs):
//!
//! 1. Nothing known: try TCP with a short deadline; when it connects, TLS carries, else QUIC.
//! 2. TCP failed or stalled lately: QUIC at once. The pause is one minute, doubled by each further
//!    failure up to an hour, and over as soon as the network path changes.
//! 3. Both measured lately: the faster one. QUIC must be a fifth faster, since it costs more CPU.
//! 4. TLS measured below [`SLOW`] and QUIC not measured: QUIC once, to measure it.
//! 5. A measurement is worth ten minutes; after that rule 1 applies again.
//!
//! Only streams that moved at least [`ENOUGH`] count, and only the time in which bytes were on their way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Carrier;

/// Goodput in bytes per second below which the other carrier is tried too.
pub const SLOW: f64 = 4.0 * 1024.0 * 1024.0;
/// Bytes a stream must have moved to count as a measurement.
pub const ENOUGH: u64 = 4 * 1024 * 1024;
const WORTH: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
const PATHS: usize = 1024;

/// One network path to one peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathKey {
    /// The peer's transport key.
    pub peer: [u8; 32],
    /// Our address, when known.
    pub local: Option<IpAddr>,
    /// Their address.
    pub remote: IpAddr,
}

#[derive(Debug, Clone, Default)]
struct Known {
    tls: Option<(f64, Instant)>,
    quic: Option<(f64, Instant)>,
    tls_pause: Option<(Instant, Duration)>,
    used: Option<Instant>,
}

/// What was measured, for the paths used last.
#[derive(Debug, Default)]
pub struct Memory {
    paths: HashMap<PathKey, Known>,
}

impl Memory {
    /// The carrier for the next bulk stream.
    pub fn choose(&self, path: &PathKey, now: Instant) -> Carrier {
        let Some(known) = self.paths.get(path) else { return Carrier::Tls };
        if known.tls_pause.is_some_and(|(since, pause)| now.duration_since(since) < pause) {
            return Carrier::Quic;
        }
        let fresh = |measured: Option<(f64, Instant)>| {
            measured.filter(|(_, at)| now.duration_since(*at) < WORTH).map(|(rate, _)| rate)
        };
        match (fresh(known.tls), fresh(known.quic)) {
            (Some(tls), Some(quic)) if quic > tls * 1.2 => Carrier::Quic,
            (Some(tls), None) if tls < SLOW => Carrier::Quic,
            _ => Carrier::Tls,
        }
    }

    /// A stream moved `bytes` in `busy` time.
    pub fn measured(&mut self, path: &PathKey, carrier: Carrier, bytes: u64, busy: Duration, now: Instant) {
        if bytes < ENOUGH || busy.is_zero() {
            return;
        }
        let rate = bytes as f64 / busy.as_secs_f64();
        let known = self.known(path, now);
        let slot = match carrier {
            Carrier::Tls => {
                known.tls_pause = None;
                &mut known.tls
            }
            Carrier::Quic => &mut known.quic,
        };
        *slot = Some((rate, now));
    }

    /// The carrier could not connect, or stalled.
    pub fn failed(&mut self, path: &PathKey, carrier: Carrier, now: Instant) {
        let known = self.known(path, now);
        match carrier {
            Carrier::Tls => {
                let pause = known.tls_pause.map_or(PAUSE, |(_, pause)| (pause * 2).min(LONGEST_PAUSE));
                known.tls_pause = Some((now, pause));
                known.tls = None;
            }
            Carrier::Quic => {
                known.quic = None;
                known.tls_pause = None;
            }
        }
    }

    fn known(&mut self, path: &PathKey, now: Instant) -> &mut Known {
        if self.paths.len() >= PATHS
            && !self.paths.contains_key(path)
            && let Some(oldest) = self.paths.iter().min_by_key(|(_, known)| known.used).map(|(key, _)| key.clone())
        {
            self.paths.remove(&oldest);
        }
        let known = self.paths.entry(path.clone()).or_default();
        known.used = Some(now);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn path(last: u8) -> PathKey {
        PathKey { peer: [1; 32], local: None, remote: [10, 0, 0, last].into() }
    }

    #[test]
    fn tcp_is_tried_first_and_avoided_for_a_while_after_it_failed() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        assert_eq!(memory.choose(&path(1), start), Carrier::Tls);
        memory.failed(&path(1), Carrier::Tls, start);
        assert_eq!(memory.choose(&path(1), start + Duration::from_secs(59)), Carrier::Quic);
        assert_eq!(memory.choose(&path(2), start), Carrier::Tls, "another path is another matter");
        let later = start + Duration::from_secs(61);
        assert_eq!(memory.choose(&path(1), later), Carrier::Tls);
        memory.failed(&path(1), Carrier::Tls, later);
        assert_eq!(memory.choose(&path(1), later + Duration::from_secs(119)), Carrier::Quic, "twice as long");
    }

    #[test]
    fn the_faster_carrier_is_taken_and_a_slow_one_lets_the_other_try() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.measured(&path(1), Carrier::Tls, 10 * MIB, Duration::from_secs(10), now);
        assert_eq!(memory.choose(&path(1), now), Carrier::Quic, "1 MiB/s: see whether QUIC is faster");
        memory.measured(&path(1), Carrier::Quic, 10 * MIB, Duration::from_secs(1), now);
        assert_eq!(memory.choose(&path(1), now), Carrier::Quic);
        memory.measured(&path(1), Carrier::Tls, 90 * MIB, Duration::from_secs(9), now);
        assert_eq!(memory.choose(&path(1), now), Carrier::Tls, "as fast and cheaper");
        assert_eq!(memory.choose(&path(1), now + Duration::from_secs(601)), Carrier::Tls);
    }

    #[test]
    fn a_short_stream_says_nothing_and_memory_is_bounded() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.measured(&path(1), Carrier::Tls, 1000, Duration::from_secs(10), now);
        assert_eq!(memory.choose(&path(1), now), Carrier::Tls);
        for peer in 0..5000_u32 {
            let mut key = path(1);
            key.peer[..4].copy_from_slice(&peer.to_be_bytes());
            memory.failed(&key, Carrier::Tls, now);
        }
        assert!(memory.paths.len() <= PATHS);
    }
}
