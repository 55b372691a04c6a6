//! What a renderer says of itself, asked or by events, as values.

use std::mem::discriminant;
use std::time::Instant;

use super::super::description::Abilities;
use super::super::didl;
use super::super::gena::{Change, Notice, Teller};
use super::super::http::Answer;
use super::super::soap::{self, Arguments};
use super::events::Told;
use super::machine::{AFTER_EVENT, Renderer, State, USUAL_VOLUME};
use super::step::{Step, Which};
use super::{Event, Offers, Output, Value, Wanted};

impl Renderer {
    /// It tells of changes. The status that answers it.
    pub fn notified(&mut self, teller: Teller, notice: Notice, now: Instant) -> u16 {
        let told = self.events.told(teller, notice, now);
        let status = told.status;
        self.changed(told, now);
        self.advance(now);
        status
    }

    /// Takes over what changed. What it implies beyond that is looked at, soon and once.
    pub(super) fn changed(&mut self, told: Told, now: Instant) {
        let mut look = told.missed;
        for Change { name, value } in told.changes {
            match name.as_str() {
                "TransportState" => {
                    let before = self.state;
                    self.stands(&value);
                    look |= self.state != before;
                }
                "CurrentTrackDuration" => {
                    if let Some(length) = soap::seconds(&value) {
                        self.tell(vec![Value::Length(length)]);
                    }
                }
                "CurrentTrackURI" => self.plays(&value),
                "CurrentTrackMetaData" => self.tell(vec![Value::Track(didl::track(&value))]),
                "Volume" => self.volume_is(value.trim().parse().ok()),
                "Mute" => self.muted_is(&value),
                _ => {}
            }
        }
        if look {
            let soon = self.last_look.map_or(now, |last| now.max(last + AFTER_EVENT));
            self.soon = Some(self.soon.map_or(soon, |before| before.min(soon)));
        }
    }

    pub(super) fn looked(&mut self, arguments: &Arguments) {
        self.stands(arguments.get("CurrentTransportState").map_or("", String::as_str));
    }

    fn stands(&mut self, state: &str) {
        self.state = match state.trim().to_ascii_uppercase().as_str() {
            "PLAYING" => State::Playing,
            "TRANSITIONING" => State::Transitioning,
            "PAUSED_PLAYBACK" => State::Paused,
            _ => State::Stopped,
        };
        if self.state != State::Playing {
            (self.still, self.moving) = (0, 0);
            self.tell(vec![Value::Playing(false), Value::Moving(false)]);
        } else {
            self.tell(vec![Value::Playing(true)]);
        }
    }

    /// What it plays, by its address.
    fn plays(&mut self, address: &str) {
        if self.next.as_deref() == Some(address.trim()) {
            (self.next, self.turn, self.position) = (None, self.turn.saturating_add(1), None);
            self.tell(vec![Value::Turn(self.turn)]);
        }
    }

    pub(super) fn positioned(&mut self, arguments: &Arguments) {
        let mut values = Vec::new();
        if let Some(address) = arguments.get("TrackURI") {
            self.plays(address);
        }
        let time = |name: &str| arguments.get(name).and_then(|text| soap::seconds(text));
        let position = time("RelTime");
        if self.state == State::Playing {
            let moves = self.position.zip(position).is_some_and(|(before, now)| now > before);
            self.still = if moves { 0 } else { self.still.saturating_add(1) };
            self.moving = if moves { self.moving.saturating_add(1) } else { 0 };
            // Between two looks within one second, the clock of a renderer may stand.
            if moves || self.still > 2 {
                values.push(Value::Moving(moves));
            }
            // What has not begun cannot be wound: many forget it.
            if moves && let Some(start) = self.start.take() {
                self.own = Some(Wanted::Seek(start)).filter(|_| self.offers().seek);
            }
        }
        self.position = position;
        values.extend(position.map(Value::Position));
        values.extend(time("TrackDuration").map(Value::Length));
        if let Some(text) = arguments.get("TrackMetaData") {
            values.push(Value::Track(didl::track(text)));
        }
        self.tell(values);
    }

    pub(super) fn muted_is(&mut self, text: &str) {
        let muted = match text.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => true,
            "0" | "false" | "no" => false,
            _ => return,
        };
        self.muted = Some(muted);
        self.tell(vec![Value::Muted(muted)]);
    }

    pub(super) fn volume_is(&mut self, volume: Option<u16>) {
        if let Some(volume) = volume {
            self.volume = Some(volume);
            self.tell(vec![Value::Volume(self.percent(volume))]);
        }
    }

    pub(super) fn described(&mut self, which: Which, answer: &Answer) {
        let abilities = match Abilities::parse(&answer.body) {
            Ok(abilities) if answer.status == 200 => abilities,
            _ => Abilities::default(),
        };
        match which {
            Which::Transport => self.transport = abilities,
            Which::Rendering => self.rendering = abilities,
            Which::Connection => {}
        }
        self.outputs.push_back(Output::Event(Event::Offers(self.offers())));
    }

    /// What it can do. Of one that does not describe itself, what every renderer has to be able to is believed, and pause,
    /// seek and volume, which nearly all have.
    pub fn offers(&self) -> Offers {
        let silent = self.transport.actions.is_empty();
        let can = |action: &str| self.transport.actions.contains(action);
        let undescribed = self.rendering.actions.is_empty();
        let renders = |action: &str| {
            self.described.rendering.is_some() && (undescribed || self.rendering.actions.contains(action))
        };
        Offers {
            pause: silent || can("Pause"),
            seek: silent || can("Seek"),
            next: can("Next"),
            previous: can("Previous"),
            volume: renders("SetVolume"),
            mute: renders("SetMute"),
            enqueue: can("SetNextAVTransportURI"),
        }
    }

    /// What follows at once goes along, and of what is told twice the last counts: an event may hold it a hundred times.
    pub(super) fn tell(&mut self, values: Vec<Value>) {
        if values.is_empty() {
            return;
        }
        if !matches!(self.outputs.back(), Some(Output::Event(Event::Values(_)))) {
            self.outputs.push_back(Output::Event(Event::Values(Vec::new())));
        }
        if let Some(Output::Event(Event::Values(before))) = self.outputs.back_mut() {
            before.retain(|old| !values.iter().any(|new| discriminant(old) == discriminant(new)));
            before.extend(values);
        }
    }

    // -- volume -------------------------------------------------------------------------------------

    fn range(&self) -> (u16, u16) {
        self.rendering.volume.unwrap_or(USUAL_VOLUME)
    }

    pub(super) fn raw(&self, percent: u8) -> u16 {
        let (least, most) = self.range();
        let span = u32::from(most - least);
        let above = (u32::from(percent.min(100)) * span + 50) / 100;
        least.saturating_add(u16::try_from(above).unwrap_or(most))
    }

    fn percent(&self, volume: u16) -> u8 {
        let (least, most) = self.range();
        let span = u32::from(most - least).max(1);
        let above = u32::from(volume.clamp(least, most) - least);
        u8::try_from((above * 100 + span / 2) / span).unwrap_or(100)
    }

    pub(super) fn set_volume(&self, raw: u16) -> Step {
        Step::rendering("SetVolume", vec![("Channel", "Master".to_owned()), ("DesiredVolume", raw.to_string())])
    }
}
