//! The smallest whole notification server, for where none runs: it takes what apps say, lists it in Accord, and passes
//! answers back. It shows nothing itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zbus::message::Type;
use zbus::{Connection, Message};

use super::{
    DesktopCommand, DesktopEvent, DesktopState, End, NAME, PATH, Session, Why, in_words, message, new_owner, next,
};

/// Notifications that are kept; the oldest goes.
const KEPT: usize = 200;

const INTROSPECTION: &str = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node><interface name="org.freedesktop.Notifications">
<method name="GetCapabilities"><arg type="as" direction="out"/></method>
<method name="Notify"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
<arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
<arg type="a{sv}" direction="in"/><arg type="i" direction="in"/><arg type="u" direction="out"/></method>
<method name="CloseNotification"><arg type="u" direction="in"/></method>
<method name="GetServerInformation"><arg type="s" direction="out"/><arg type="s" direction="out"/>
<arg type="s" direction="out"/><arg type="s" direction="out"/></method>
<signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>
<signal name="ActionInvoked"><arg type="u"/><arg type="s"/></signal>
<signal name="NotificationReplied"><arg type="u"/><arg type="s"/></signal>
</interface></node>"#;

/// What is kept: by number, with when it expires.
#[derive(Default)]
struct Kept {
    next: u32,
    by_number: BTreeMap<u32, Option<Instant>>,
}

impl Kept {
    /// The number for a notification, and the one that made room for it.
    fn take(&mut self, replaces: u32, expires: i32, now: Instant) -> (u32, Option<u32>) {
        let ends = u64::try_from(expires).ok().filter(|ms| *ms > 0).map(|ms| now + Duration::from_millis(ms));
        let number = if self.by_number.contains_key(&replaces) {
            replaces
        } else {
            self.next = self.next.checked_add(1).unwrap_or(1);
            self.next
        };
        self.by_number.insert(number, ends);
        let oldest = (self.by_number.len() > KEPT).then(|| self.by_number.pop_first()).flatten();
        (number, oldest.map(|(number, _)| number))
    }

    fn first_end(&self) -> Option<(Instant, u32)> {
        self.by_number.iter().filter_map(|(number, ends)| Some(((*ends)?, *number))).min()
    }
}

pub(super) async fn run(session: &mut Session<'_>) -> End {
    if !session.state(DesktopState::Serving).await {
        return End::Dropped;
    }
    let mut kept = Kept::default();
    loop {
        let expires = kept.first_end();
        let expired = async {
            match expires {
                Some((ends, number)) => {
                    tokio::time::sleep_until(ends.into()).await;
                    number
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            number = expired => {
                kept.by_number.remove(&number);
                close(&session.bus, number, 1).await;
                if !session.tell(DesktopEvent::Closed { local: number, why: Why::Expired }).await {
                    return End::Dropped;
                }
            }
            said = next(&mut session.messages) => {
                let Some(said) = said else { return End::Lost("the bus is gone".to_owned()) };
                let own = session.bus.unique_name().map(ToString::to_string);
                if new_owner(&said).is_some_and(|new| Some(new) != own) {
                    return End::Changed;
                }
                if said.message_type() == Type::MethodCall {
                    match answer(&session.bus, &mut kept, &said).await {
                        Ok(events) => for event in events {
                            if !session.tell(event).await {
                                return End::Dropped;
                            }
                        },
                        Err(why) => tracing::debug!(why, "an app got no answer"),
                    }
                }
            }
            command = session.inbox.recv() => {
                let Some(command) = command else { return End::Dropped };
                for event in obey(&session.bus, &mut kept, command).await {
                    if !session.tell(event).await {
                        return End::Dropped;
                    }
                }
            }
        }
    }
}

/// Answers an app's call.
async fn answer(bus: &Connection, kept: &mut Kept, call: &Message) -> Result<Vec<DesktopEvent>, String> {
    let header = call.header();
    let interface = header.interface().map(|interface| interface.as_str().to_owned());
    let member = header.member().map(|member| member.as_str().to_owned()).unwrap_or_default();
    let mut events = Vec::new();
    let answered = match (interface.as_deref(), member.as_str()) {
        (Some(NAME) | None, "GetCapabilities") => {
            bus.reply(&header, &(["body", "actions", "persistence", "inline-reply"].as_slice(),)).await
        }
        (Some(NAME) | None, "GetServerInformation") => {
            bus.reply(&header, &("Accord", "Accord", env!("CARGO_PKG_VERSION"), "1.2")).await
        }
        (Some(NAME) | None, "Notify") => match message::notify(call, true, true) {
            Some(read) => {
                let (number, oldest) = kept.take(read.replaces, read.expires, Instant::now());
                if let Some(oldest) = oldest {
                    close(bus, oldest, 4).await;
                    events.push(DesktopEvent::Closed { local: oldest, why: Why::Expired });
                }
                events.push(DesktopEvent::Posted { local: number, note: read.note });
                bus.reply(&header, &(number,)).await
            }
            // Another hub's popup: nobody here shows it.
            None => bus.reply(&header, &(kept.take(0, 1, Instant::now()).0,)).await,
        },
        (Some(NAME) | None, "CloseNotification") => match call.body().deserialize::<u32>() {
            Ok(number) => {
                if kept.by_number.remove(&number).is_some() {
                    close(bus, number, 3).await;
                    events.push(DesktopEvent::Closed { local: number, why: Why::TakenBack });
                }
                bus.reply(&header, &()).await
            }
            Err(_) => {
                bus.reply_error(&header, "org.freedesktop.DBus.Error.InvalidArgs", &("a number is wanted",)).await
            }
        },
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => bus.reply(&header, &(INTROSPECTION,)).await,
        (Some("org.freedesktop.DBus.Peer"), "Ping") => bus.reply(&header, &()).await,
        _ => bus.reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &("no such method",)).await,
    };
    answered.map_err(in_words)?;
    Ok(events)
}

async fn obey(bus: &Connection, kept: &mut Kept, command: DesktopCommand) -> Vec<DesktopEvent> {
    match command {
        DesktopCommand::Show { .. } => {}
        DesktopCommand::Close { local } => {
            if kept.by_number.remove(&local).is_some() {
                close(bus, local, 2).await;
            }
        }
        DesktopCommand::Act { local, key, done } => {
            let told = emit(bus, kept, local, "ActionInvoked", key).await;
            return done_and_closed(bus, kept, local, told, done).await;
        }
        DesktopCommand::Reply { local, text, done } => {
            let told = emit(bus, kept, local, "NotificationReplied", text).await;
            return done_and_closed(bus, kept, local, told, done).await;
        }
    }
    Vec::new()
}

async fn emit(bus: &Connection, kept: &Kept, local: u32, signal: &str, text: String) -> Result<(), String> {
    if !kept.by_number.contains_key(&local) {
        return Err("the app took it back".to_owned());
    }
    bus.emit_signal(None::<&str>, PATH, NAME, signal, &(local, text)).await.map_err(in_words)
}

/// What was answered is closed, as servers do.
async fn done_and_closed(
    bus: &Connection,
    kept: &mut Kept,
    local: u32,
    told: Result<(), String>,
    done: tokio::sync::oneshot::Sender<Result<(), String>>,
) -> Vec<DesktopEvent> {
    let worked = told.is_ok();
    let _ = done.send(told);
    if !worked || kept.by_number.remove(&local).is_none() {
        return Vec::new();
    }
    close(bus, local, 2).await;
    vec![DesktopEvent::Closed { local, why: Why::Dismissed }]
}

async fn close(bus: &Connection, number: u32, reason: u32) {
    if let Err(error) = bus.emit_signal(None::<&str>, PATH, NAME, "NotificationClosed", &(number, reason)).await {
        tracing::debug!(%error, "apps were not told that a notification is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_a_change_keeps_its_number() {
        let (mut kept, now) = (Kept::default(), Instant::now());
        let (first, _) = kept.take(0, -1, now);
        assert_eq!(kept.take(first, 500, now), (first, None));
        assert_eq!(kept.first_end(), Some((now + Duration::from_millis(500), first)));
        assert_ne!(kept.take(77, 0, now).0, 77, "an unknown number is not taken over");
        for _ in 0..2 * KEPT {
            kept.take(0, 0, now);
        }
        assert_eq!(kept.by_number.len(), KEPT);
    }
}
