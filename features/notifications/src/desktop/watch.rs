//! What the monitor sees, put together: a `Notify` call and its reply become one posted notification. No I/O.

use std::collections::VecDeque;

use zbus::Message;
use zbus::message::Type;

use super::{DesktopEvent, NAME, message};

/// Calls that may wait for their reply; a server answers at once.
const PENDING: usize = 128;

/// The calls that wait for the server's reply.
pub(super) struct Watch {
    /// Our connection that shows popups.
    own: String,
    /// The server's unique name, while it runs.
    pub owner: Option<String>,
    pub can_act: bool,
    pub can_reply: bool,
    pending: VecDeque<Pending>,
}

struct Pending {
    caller: String,
    serial: u32,
    note: super::LocalNote,
}

impl Watch {
    pub fn new(own: String, owner: Option<String>) -> Self {
        Self { own, owner, can_act: false, can_reply: false, pending: VecDeque::new() }
    }

    /// One message of the bus.
    pub fn see(&mut self, seen: &Message) -> Option<DesktopEvent> {
        let header = seen.header();
        let member = header.member().map(|member| member.as_str().to_owned());
        match (seen.message_type(), member.as_deref()) {
            (Type::MethodCall, Some("Notify")) => {
                let caller = header.sender()?.as_str().to_owned();
                let to = header.destination()?.as_str();
                // GNOME's server passes every call on to the shell; that one is not ours to count.
                if caller == self.own || to != NAME && Some(to) != self.owner.as_deref() {
                    return None;
                }
                let read = message::notify(seen, self.can_act, self.can_reply)?;
                let serial = seen.primary_header().serial_num().get();
                if self.pending.len() >= PENDING {
                    self.pending.pop_front();
                }
                self.pending.push_back(Pending { caller, serial, note: read.note });
                None
            }
            (Type::MethodReturn, _) => {
                let (caller, serial) = (header.destination()?.as_str(), header.reply_serial()?.get());
                let place = self.pending.iter().position(|call| call.caller == caller && call.serial == serial)?;
                let call = self.pending.remove(place)?;
                let local = seen.body().deserialize().ok()?;
                Some(DesktopEvent::Posted { local, note: call.note })
            }
            (Type::Signal, Some("NotificationClosed")) => {
                let from = header.sender()?.as_str();
                if self.owner.as_deref().is_some_and(|owner| owner != from) {
                    return None;
                }
                let (local, why) = message::closed(seen)?;
                Some(DesktopEvent::Closed { local, why })
            }
            _ => None,
        }
    }
}
