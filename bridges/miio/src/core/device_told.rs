//! What a device tells by itself, as part of its machine: where it is subscribed to, and what follows for looking at it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::dialect::Dialect;
use super::super::push::{self, Hub, Push};
use super::super::spec::At;
use super::{Device, Event, Output};

/// A service in which something happened is looked at for that no more often than this.
const HAPPENED_EVERY: Duration = Duration::from_secs(2);
/// The numbers of what is asked about subscriptions begin as far from those of the other questions as they can be.
const APART: u32 = 0x4000_0000;
/// No subscription asks more than that, so that none has a number of an earlier one.
const EACH: u32 = 1 << 16;

/// Where the numbers about the first subscription begin, when those of the other questions begin there.
pub(super) fn first_of(others: u32) -> u32 {
    others ^ APART
}

impl Device {
    /// Takes a datagram from its address that came to where it tells of changes by itself.
    pub fn pushed(&mut self, bytes: &[u8], now: Instant) {
        self.expire(now);
        if let Some(push) = &mut self.push {
            push.datagram(bytes, now);
        }
        self.go_on(now);
    }

    /// Whether it may be one that tells of changes by itself: it is here, proved its number, and speaks MIoT.
    pub fn can_push(&self) -> bool {
        let is_miot = self.model.as_ref().is_some_and(|model| matches!(model.dialect, Dialect::Miot));
        self.is_known && is_miot && self.line.did().is_some() && self.line.proof().is_some()
    }

    /// It may know that hub and tell it of changes; without one, it is asked as ever.
    pub fn push(&mut self, hub: Option<Hub>, now: Instant) {
        self.push = match (hub, self.line.did(), self.line.proof()) {
            (Some(hub), Some(did), Some(clock)) if self.can_push() => {
                let first = self.push_from;
                self.push_from = first.wrapping_add(EACH);
                Some(Push::new(self.token.clone(), did, hub, first, clock, now))
            }
            _ => None,
        };
        self.go_on(now);
    }

    /// Whether it tells of changes by itself.
    pub fn pushes(&self) -> bool {
        self.push.as_ref().is_some_and(Push::is_on)
    }

    /// What is said to it last, so that it tells no longer.
    pub fn leave(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.push.take()?.leave(now)
    }

    pub(super) fn go_on_with_push(&mut self, now: Instant) {
        let is_idle = self.line.is_idle() && self.now.is_none();
        let Some(push) = &mut self.push else { return };
        if is_idle {
            push.timeout(now);
        }
        let mut outputs = Vec::new();
        while let Some(output) = push.poll_output() {
            outputs.push(output);
        }
        for output in outputs {
            match output {
                push::Output::Send(bytes) => self.out.push_back(Output::Push(bytes)),
                // What changed before it told is not known, and what it tells no longer neither.
                push::Output::Is(_) | push::Output::Flood => {
                    (self.next_look, self.looks, self.relied_on) = (now, 0, false);
                }
                push::Output::Changed(values) => self.changed(values, now),
                push::Output::Happened(service) => self.has_happened(service, now),
            }
        }
    }

    /// It told of these by itself.
    fn changed(&mut self, values: Vec<(At, Value)>, now: Instant) {
        let Some(model) = &self.model else { return };
        let mut fresh = Vec::new();
        for (at, value) in values {
            if model.map.asked().all(|(asked, _)| asked != at) {
                continue;
            }
            if let Some(data) = model.map.hear(at, &value) {
                self.refused.said(at);
                self.state.natives.insert(at, data);
                fresh.push(at);
            }
        }
        self.attention.iter_mut().for_each(|(_, ats)| ats.retain(|at| !fresh.contains(at)));
        self.attention.retain(|(_, ats)| !ats.is_empty());
        let said = self.fresh(&fresh, true, now);
        if !said.is_empty() {
            self.out.push_back(Output::Event(Event::Pushed(said)));
        }
        self.tell_refused();
    }

    /// It told that something happened in one of its services, which is looked at.
    fn has_happened(&mut self, service: u16, now: Instant) {
        let Some(model) = &self.model else { return };
        let ats: Vec<At> = model.map.asked().map(|(at, _)| at).filter(|at| at.service == service).collect();
        let before = self.happened.get(&service).copied();
        // Once at a time.
        if ats.is_empty() || before.is_some_and(|before| now < before) {
            return;
        }
        let at = before.map_or(now, |before| now.max(before + HAPPENED_EVERY));
        self.happened.insert(service, at);
        self.attention.push((at, ats));
    }
}
