//! The machine of one link.

use std::collections::VecDeque;
use std::time::Instant;

use accord_model::FieldSet;

use super::{End, Event, HANDSHAKE_TIME, Input, LinkError, NotSent, Output, Own, Role, Setup, Transmit, Trusted, Up};
use crate::core::identity::{Identity, IdentityError, MAX_IDENTITY, Shown, Version};
use crate::core::lines::{Line, Lines, MAX_LINE, MAX_LONG_LINE};
use crate::core::packet::{Body, Ignored, Packet};
use crate::core::pairing::{self, Pairing};
use crate::core::time::Now;
use crate::core::tls::{Expect, Tls};

/// One connection to one peer.
#[derive(Debug)]
pub struct Link {
    setup: Setup,
    stage: Stage,
    clear: Vec<u8>,
    lines: Lines,
    until: Option<Instant>,
    out: VecDeque<Output>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one per link
enum Stage {
    /// Accepted: the clear identity is due.
    Clear,
    /// TLS shakes hands.
    Handshake {
        outer: Identity,
        tls: Tls,
    },
    /// Version 8: the inner identity is due.
    Inner {
        outer: Identity,
        tls: Tls,
    },
    Up {
        tls: Tls,
        pairing: Pairing,
    },
    Over,
}

impl Link {
    /// A fresh connection.
    pub fn new(setup: Setup, now: Now) -> Self {
        let mut link = Self {
            setup,
            stage: Stage::Clear,
            clear: Vec::new(),
            lines: Lines::new(MAX_IDENTITY),
            until: Some(now.instant + HANDSHAKE_TIME),
            out: VecDeque::new(),
        };
        if let Role::Connected(outer) = link.setup.role.clone()
            && let Err(error) = link.connect(*outer, now)
        {
            link.fail(error);
        }
        link
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        if self.is_over() {
            return;
        }
        let result = match input {
            _ if self.until.is_some_and(|until| now.instant >= until) => Err(LinkError::TimedOut),
            Input::Bytes(bytes) => self.bytes(bytes, now),
            Input::Closed if matches!(self.stage, Stage::Up { .. }) => {
                self.end(End::ByPeer);
                Ok(())
            }
            Input::Closed => Err(LinkError::ClosedEarly),
            Input::Timeout => {
                self.pair(pairing::Input::Timeout, now);
                Ok(())
            }
            Input::Pair(command) => {
                self.pair(pairing::Input::Command(command), now);
                Ok(())
            }
            Input::Close => {
                self.end(End::ByUs);
                Ok(())
            }
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        let pairing = if let Stage::Up { pairing, .. } = &self.stage { pairing.timeout() } else { None };
        self.out.pop_front().unwrap_or(Output::Wait(self.until.or(pairing)))
    }

    /// Sends a packet to a paired peer.
    ///
    /// # Errors
    /// [`NotSent`].
    pub fn send(&mut self, packet: &Packet, now: Now) -> Result<(), NotSent> {
        let Stage::Up { tls, pairing } = &mut self.stage else { return Err(NotSent::NotUp) };
        if !pairing.is_paired() {
            return Err(NotSent::NotPaired);
        }
        if packet.body.asks_for_much() {
            self.lines.set_limit(MAX_LONG_LINE);
        }
        tls.write(&packet.line(now.wall));
        self.flush(packet.body.fields());
        Ok(())
    }

    /// True when nothing more will happen (outputs may still wait).
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    fn own(&self) -> &Own {
        &self.setup.own
    }

    fn connect(&mut self, outer: Identity, now: Now) -> Result<(), LinkError> {
        let (version, trusted) = self.admit(&outer)?;
        let shown = if version == Version::V7 { Shown::Full } else { self.setup.shown };
        let line = self.own().identity().clear(shown, &outer, now.wall);
        let expect = trusted.map_or(Expect::Id(outer.id.clone()), |trusted| Expect::Exactly(trusted.certificate));
        let tls = Tls::server(self.own().certificate(), expect)?;
        self.out.push_back(Output::Transmit(Transmit { bytes: line.bytes, fields: line.fields }));
        self.stage = Stage::Handshake { outer, tls };
        Ok(())
    }

    fn accept(&mut self, line: &[u8]) -> Result<(), LinkError> {
        let outer = Identity::parse(line)?;
        let own = self.own().identity();
        let other_id = outer.target_id.as_ref().is_some_and(|target| target != own.id.as_str());
        let other_version = outer.target_protocol.is_some_and(|target| target != own.version.number());
        if outer.id != own.id && (other_id || other_version) {
            return Err(LinkError::NotMeant);
        }
        let (_, trusted) = self.admit(&outer)?;
        let expect = trusted.map_or(Expect::Id(outer.id.clone()), |trusted| Expect::Exactly(trusted.certificate));
        let tls = Tls::client(self.own().certificate(), expect)?;
        self.stage = Stage::Handshake { outer, tls };
        self.flush(FieldSet::EMPTY);
        Ok(())
    }

    /// Whether this peer may go on, and what we know of it.
    fn admit(&self, outer: &Identity) -> Result<(Version, Option<Trusted>), LinkError> {
        if outer.id == self.own().identity().id {
            return Err(LinkError::Oneself);
        }
        let offered = outer.protocol;
        let trusted = self.setup.trust.get(&outer.id);
        if let Some(before) = trusted.map(|trusted| trusted.highest.number()).filter(|before| *before > offered) {
            return Err(LinkError::Downgrade { offered, before });
        }
        let oldest = self.setup.oldest;
        match outer.version().filter(|version| *version >= oldest) {
            Some(version) => Ok((version.min(self.own().identity().version), trusted.cloned())),
            None => Err(LinkError::TooOld { offered, oldest: oldest.number() }),
        }
    }

    fn bytes(&mut self, mut bytes: &[u8], now: Now) -> Result<(), LinkError> {
        if matches!(self.stage, Stage::Clear) {
            // Exactly one line, and not a byte of TLS with it.
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.clear.len() + part.len() > MAX_IDENTITY {
                return Err(IdentityError::TooLong.into());
            }
            self.clear.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.clear);
            self.accept(&line)?;
        }
        let tls = match &mut self.stage {
            Stage::Handshake { tls, .. } | Stage::Inner { tls, .. } | Stage::Up { tls, .. } => tls,
            Stage::Clear | Stage::Over => return Ok(()),
        };
        let mut plain = Vec::new();
        let fed = tls.feed(bytes, |part| plain.extend_from_slice(part));
        let secured = !tls.is_handshaking();
        self.flush(FieldSet::EMPTY);
        // What came before the fault was said by the peer all the same.
        if secured {
            self.secured(now)?;
            self.plain(&plain, now)?;
        }
        if fed? && !self.is_over() {
            let up = matches!(self.stage, Stage::Up { .. });
            self.end(if up { End::ByPeer } else { End::Failed(LinkError::ClosedEarly) });
        }
        Ok(())
    }

    /// The handshake is over: version 8 says who it is once more, version 7 is up.
    fn secured(&mut self, now: Now) -> Result<(), LinkError> {
        let (outer, mut tls) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Handshake { outer, tls } => (outer, tls),
            other => {
                self.stage = other;
                return Ok(());
            }
        };
        if outer.version() == Some(Version::V8) && self.own().identity().version == Version::V8 {
            let line = self.own().identity().inner(now.wall);
            tls.write(&line.bytes);
            self.stage = Stage::Inner { outer, tls };
            self.flush(line.fields);
            return Ok(());
        }
        self.up(outer, Version::V7, tls)
    }

    fn up(&mut self, identity: Identity, version: Version, tls: Tls) -> Result<(), LinkError> {
        let certificate = tls.peer()?;
        let paired = self.setup.trust.get(&identity.id).is_some_and(|trusted| trusted.certificate == certificate);
        let pairing = Pairing::new(version, self.own().certificate().spki(), certificate.spki(), paired);
        self.stage = Stage::Up { tls, pairing };
        self.until = None;
        self.lines.set_limit(MAX_LINE);
        self.out.push_back(Output::Event(Event::Up(Up { identity, certificate, version, paired })));
        Ok(())
    }

    fn plain(&mut self, mut plain: &[u8], now: Now) -> Result<(), LinkError> {
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(0));
        let mut result = Ok(());
        while let Some(line) = lines.next(&mut plain) {
            match &self.stage {
                Stage::Inner { .. } => {
                    result = self.inner(line);
                    lines.set_limit(MAX_LINE);
                }
                Stage::Up { .. } => self.packet(line, now),
                _ => {}
            }
            if result.is_err() {
                break;
            }
        }
        self.lines = lines;
        result
    }

    fn inner(&mut self, line: Line<'_>) -> Result<(), LinkError> {
        let Line::Whole(line) = line else { return Err(IdentityError::TooLong.into()) };
        let inner = Identity::parse(line)?;
        let Stage::Inner { outer, tls } = std::mem::replace(&mut self.stage, Stage::Over) else { return Ok(()) };
        if inner.id != outer.id || inner.protocol != outer.protocol {
            self.stage = Stage::Inner { outer, tls };
            return Err(LinkError::TwoFaced);
        }
        self.up(inner, Version::V8, tls)
    }

    fn packet(&mut self, line: Line<'_>, now: Now) {
        let packet = match line {
            Line::TooLong => Err(Ignored::TooLong),
            Line::Whole(line) => {
                Packet::parse(line).and_then(|packet| match line.len() > MAX_LINE && !packet.body.may_be_long() {
                    true => Err(Ignored::TooLong),
                    false => Ok(packet),
                })
            }
        };
        let Stage::Up { pairing, .. } = &mut self.stage else { return };
        match packet {
            Ok(Packet { body: Body::Pair(pair), .. }) => self.pair(pairing::Input::Packet(pair), now),
            Ok(packet) if pairing.is_paired() => self.out.push_back(Output::Event(Event::Packet(packet))),
            Err(ignored) if pairing.is_paired() => self.out.push_back(Output::Event(Event::Ignored(ignored))),
            Ok(_) | Err(_) => self.pair(pairing::Input::Other, now),
        }
    }

    fn pair(&mut self, input: pairing::Input, now: Now) {
        let Stage::Up { pairing, .. } = &mut self.stage else { return };
        pairing.handle(input, now);
        while let Stage::Up { tls, pairing } = &mut self.stage
            && let Some(output) = pairing.poll()
        {
            match output {
                pairing::Output::Event(event) => self.out.push_back(Output::Event(Event::Pairing(event))),
                pairing::Output::Send(pair) => {
                    tls.write(&Packet::from(pair).line(now.wall));
                    self.flush(FieldSet::EMPTY);
                }
            }
        }
    }

    /// Moves what TLS has for the wire to the outputs; `fields` is what was written into it.
    fn flush(&mut self, fields: FieldSet) {
        let tls = match &mut self.stage {
            Stage::Handshake { tls, .. } | Stage::Inner { tls, .. } | Stage::Up { tls, .. } => tls,
            Stage::Clear | Stage::Over => return,
        };
        if let Some((bytes, handshake)) = tls.take() {
            self.out.push_back(Output::Transmit(Transmit { bytes, fields: handshake.union(fields) }));
        }
    }

    fn fail(&mut self, error: LinkError) {
        self.end(End::Failed(error));
    }

    fn end(&mut self, end: End) {
        if let Stage::Handshake { tls, .. } | Stage::Inner { tls, .. } | Stage::Up { tls, .. } = &mut self.stage {
            if !tls.is_handshaking() {
                tls.close();
            }
            self.flush(FieldSet::EMPTY);
        }
        self.stage = Stage::Over;
        self.until = None;
        self.lines = Lines::new(0);
        self.out.push_back(Output::Event(Event::Ended(end)));
    }
}
