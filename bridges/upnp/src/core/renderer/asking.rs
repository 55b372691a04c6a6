//! The questions of a renderer's machine, and what is made of the answers.

use std::time::Instant;

use super::super::description::Service;
use super::super::gena;
use super::super::http::Answer;
use super::super::soap::{self, Arguments, Fault, LOCKED, NOT_NOW};
use super::machine::{LOOK_AGAIN, NEAR_ENOUGH, Renderer, SILENT_AFTER, STOPS_WITHIN, State};
use super::step::{Step, Which};
use super::{Ask, Event, Formats, Output, Trouble};

impl Renderer {
    pub(super) fn ask(&mut self, step: Step) {
        if let Some(ask) = self.question(&step) {
            self.outputs.push_back(Output::Ask(ask));
            self.asked = Some(step);
        }
    }

    /// `None`: it has no such service.
    fn question(&mut self, step: &Step) -> Option<Ask> {
        let channel = || vec![("Channel", "Master".to_owned())];
        let (which, action, arguments) = match step {
            Step::Describe(which) => return Some(Ask::Describe(self.service(*which)?.scpd.clone()?)),
            Step::Subscribe(teller) => return self.events.ask(*teller),
            Step::Act { which, action, arguments, .. } => (*which, *action, arguments.clone()),
            Step::Look | Step::Stopped(_) | Step::Settled(_) => (Which::Transport, "GetTransportInfo", Vec::new()),
            Step::Position | Step::Arrived(..) => (Which::Transport, "GetPositionInfo", Vec::new()),
            // Not all know which of their actions are possible, and what plays already need not be ready.
            Step::Ready(_) if self.moves() || !self.transport.actions.contains("GetCurrentTransportActions") => {
                return None;
            }
            Step::Ready(_) => (Which::Transport, "GetCurrentTransportActions", Vec::new()),
            Step::Volume => (Which::Rendering, "GetVolume", channel()),
            Step::Mute => (Which::Rendering, "GetMute", channel()),
            Step::Formats => (Which::Connection, "GetProtocolInfo", Vec::new()),
            Step::Decide | Step::Begin | Step::Wait(_) | Step::Rest(_) => return None,
        };
        let service = self.service(which)?;
        let instance = [("InstanceID", "0")].into_iter().filter(|_| which != Which::Connection);
        let given = arguments.iter().map(|(name, value)| (*name, value.as_str()));
        let pairs: Vec<(&str, &str)> = instance.chain(given).collect();
        Some(Ask::Call {
            place: service.control.clone(),
            kind: service.kind.clone(),
            action,
            body: soap::call(&service.kind, action, &pairs),
            names_media: matches!(action, "SetAVTransportURI" | "SetNextAVTransportURI"),
        })
    }

    fn service(&self, which: Which) -> Option<&Service> {
        match which {
            Which::Transport => Some(&self.described.transport),
            Which::Rendering => self.described.rendering.as_ref(),
            Which::Connection => self.described.connection.as_ref(),
        }
    }

    pub(super) fn answered(&mut self, answer: Result<Answer, String>, now: Instant) {
        let Some(step) = self.asked.take() else { return };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                // One that does not know events is there all the same.
                if let Step::Subscribe(teller) = step {
                    self.events.answered(teller, None, now);
                    return self.finish(Err(Trouble::Lost(why)), now);
                }
                self.unanswered += 1;
                if self.unanswered >= SILENT_AFTER {
                    self.outputs.push_back(Output::Event(Event::Silent));
                }
                return self.finish(Err(Trouble::Lost(why)), now);
            }
        };
        self.unanswered = 0;
        match step {
            Step::Describe(which) => return self.described(which, &answer),
            Step::Subscribe(teller) => {
                if let Some(told) = self.events.answered(teller, gena::granted(&answer), now) {
                    self.changed(told, now);
                }
                return;
            }
            _ => {}
        }
        let action = match &step {
            Step::Act { action, .. } => action,
            Step::Look | Step::Stopped(_) | Step::Settled(_) => "GetTransportInfo",
            Step::Position | Step::Arrived(..) => "GetPositionInfo",
            Step::Ready(_) => "GetCurrentTransportActions",
            Step::Volume => "GetVolume",
            Step::Formats => "GetProtocolInfo",
            _ => "GetMute",
        };
        let outcome = match soap::answer(action, answer.status, &answer.body) {
            Ok(arguments) => self.said(step, &arguments, now),
            Err(fault) => self.refused(step, fault, now),
        };
        if let Err(trouble) = outcome {
            self.finish(Err(trouble), now);
        }
    }

    fn refused(&mut self, step: Step, fault: Fault, now: Instant) -> Result<(), Trouble> {
        let is = |wanted: u32| matches!(fault, Fault::Refused { code, .. } if code == wanted);
        let (not_now, locked) = (is(NOT_NOW), is(LOCKED));
        match step {
            Step::Act { action: "Stop" | "SetNextAVTransportURI", forgive: true, .. } => Ok(()),
            // After a stop by its own remote control, some want one from here too; others refuse while they still stop.
            Step::Act { which, action: "SetAVTransportURI", arguments, forgive: true } if locked || not_now => {
                let once_more = Step::Act { which, action: "SetAVTransportURI", arguments, forgive: false };
                let stop = Step::transport("Stop", Vec::new(), true);
                if let Some(job) = &mut self.job {
                    let steps = [stop, Step::Stopped(now + STOPS_WITHIN), once_more];
                    steps.into_iter().rev().for_each(|step| job.steps.push_front(step));
                }
                Ok(())
            }
            // It may have begun by itself; the next look tells.
            Step::Act { action: "Play", forgive: true, .. } if not_now => {
                if let Some(job) = &mut self.job {
                    job.forgiven = Some(fault);
                }
                Ok(())
            }
            Step::Act { .. } => Err(fault.into()),
            // What it does not tell is not known.
            _ => Ok(()),
        }
    }

    fn said(&mut self, step: Step, arguments: &Arguments, now: Instant) -> Result<(), Trouble> {
        match step {
            Step::Look => self.looked(arguments),
            Step::Stopped(until) => {
                self.looked(arguments);
                if self.state != State::Stopped {
                    return self.again(Step::Stopped(until), until, now, "it did not stop");
                }
            }
            Step::Settled(until) => {
                self.looked(arguments);
                if self.state == State::Transitioning && now < until {
                    return self.again(Step::Settled(until), until, now, "");
                }
                let forgiven = self.job.as_mut().and_then(|job| job.forgiven.take());
                if let Some(fault) = forgiven.filter(|_| !self.moves()) {
                    return Err(fault.into());
                }
            }
            Step::Position => self.positioned(arguments),
            Step::Arrived(to, until) => {
                self.positioned(arguments);
                if self.position.is_some_and(|position| (position - to).abs() > NEAR_ENOUGH) {
                    return self.again(Step::Arrived(to, until), until, now, "it did not go there");
                }
            }
            Step::Ready(until) => {
                let listed = arguments.get("Actions").map(|text| text.to_ascii_lowercase()).unwrap_or_default();
                let can = |action: &str| listed.split([',', '\\']).any(|one| one.trim() == action);
                if !listed.trim().is_empty() && !can("play") && now < until {
                    return self.again(Step::Ready(until), until, now, "");
                }
            }
            Step::Volume => {
                self.volume_is(arguments.get("CurrentVolume").and_then(|text| text.trim().parse().ok()));
            }
            Step::Mute => self.muted_is(arguments.get("CurrentMute").map_or("", String::as_str)),
            Step::Formats => {
                let formats = arguments.get("Sink").map(|sink| Formats::parse(sink)).unwrap_or_default();
                self.outputs.push_back(Output::Event(Event::Formats(formats)));
            }
            Step::Describe(_) | Step::Subscribe(_) | Step::Act { .. } => {}
            Step::Decide | Step::Begin | Step::Wait(_) | Step::Rest(_) => {}
        }
        Ok(())
    }

    /// Looks once more in a moment, until it is too late.
    fn again(&mut self, step: Step, until: Instant, now: Instant, why: &'static str) -> Result<(), Trouble> {
        if now >= until {
            return Err(Trouble::Ignored(why));
        }
        if let Some(job) = &mut self.job {
            job.steps.push_front(step);
            job.steps.push_front(Step::Wait(now + LOOK_AGAIN));
        }
        Ok(())
    }
}
