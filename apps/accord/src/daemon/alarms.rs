//! The owner is told of alarms of the house: on the page of notifications, and by the desktop. A setting turns that off.

use std::sync::{Arc, Weak};

use accord_home::{Alarm, Alarms};
use accord_model::Timestamp;
use accord_registry::Known;
use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use tokio_util::task::TaskTracker;

use super::hub::Hub;
use super::notify::{Note, Notifier};
use super::watch::follow;
use crate::api::types::Trust;

pub fn start(hub: &Arc<Hub>, notifier: &Notifier, tracker: &TaskTracker) -> Result<()> {
    let weak = Arc::downgrade(hub);
    let alarms = Alarms::open(hub.state.data(), &hub.registry, move |known| counts(&weak, known))
        .context("what was told of alarms cannot be read")?;
    let events = alarms.events();
    let (of, notifier) = (hub.clone(), notifier.clone());
    follow(hub.clone(), tracker, events, move |alarm| {
        let _follows = &alarms;
        of.tell_alarm(&alarm, &notifier);
    });
    Ok(())
}

/// Its owner added it, has to do with it, and wants to be told.
fn counts(hub: &Weak<Hub>, known: &Known) -> bool {
    let Some(hub) = hub.upgrade() else { return false };
    let is_blocked = || known.device.via.as_ref().is_some_and(|via| hub.note(via).blocked);
    hub.config().alarms && hub.trust_of(known) == Trust::Paired && !is_blocked()
}

impl Hub {
    fn tell_alarm(&self, alarm: &Alarm, notifier: &Notifier) {
        let name = self.device_name(alarm.device.as_str()).unwrap_or_else(|| alarm.device.to_string());
        let room = self.thing(&alarm.device).ok().and_then(|thing| self.thing_view(&thing).room);
        let place = room.map(|room| format!(", {room}")).unwrap_or_default();
        let title = match alarm.began {
            true => format!("{}: {name}", alarm.what),
            false => format!("{} is over: {name}", alarm.what),
        };
        let body = format!("At {}{place}.", clock(alarm.seen));
        self.notifications.say(&alarm.about, &title, &body, alarm.began);
        notifier.show(Note { about: alarm.about.clone(), title, body, offer: None });
    }
}

fn clock(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system()).strftime("%H:%M").to_string()
}
