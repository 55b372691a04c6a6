//! Beside a notification server that runs: reads along with a monitor connection
//! (`org.freedesktop.DBus.Monitoring`), shows popups through the server, and acts through it where it lets others.

use accord_consent::outlet;
use futures_util::StreamExt;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream};

use super::watch::Watch;
use super::{
    COMES_BACK, DesktopCommand, DesktopEvent, DesktopState, End, NAME, PATH, Session, ask_server, in_words, message,
    new_owner, next, within,
};

/// What the monitor is to see.
const RULES: [&str; 3] = [
    "type='method_call',interface='org.freedesktop.Notifications',member='Notify'",
    "type='method_return',sender='org.freedesktop.Notifications'",
    "type='signal',interface='org.freedesktop.Notifications'",
];
/// Messages of a burst that may wait.
const BURST: usize = 1024;
/// Servers that let others invoke an app's action: path and interface with `InvokeAction(u, s)`.
const INVOKERS: [(&str, &str); 2] = [(PATH, "org.kde.NotificationManager"), ("/fr/emersion/Mako", "fr.emersion.Mako")];

/// What the server that runs can do.
#[derive(Default)]
struct Server {
    name: Option<String>,
    markup: bool,
    replies: bool,
    invoker: Option<(&'static str, &'static str)>,
}

pub(super) async fn run(session: &mut Session<'_>, owner: Option<String>) -> End {
    let (mut monitor, refused) = match monitor().await {
        Ok(monitor) => (Some(monitor), None),
        Err(why) => (None, Some(why)),
    };
    if let Some(why) = &refused {
        tracing::warn!(why, "this computer's notifications cannot be read along");
    }
    let own = session.bus.unique_name().map(ToString::to_string).unwrap_or_default();
    let mut watch = Watch::new(own, owner);
    let mut server = Server::default();
    let mut known = None;
    loop {
        if known != Some(watch.owner.clone()) {
            server = if watch.owner.is_some() { Server::ask(&session.bus).await } else { Server::default() };
            watch.can_act = server.invoker.is_some();
            known = Some(watch.owner.clone());
            let state = DesktopState::Following { server: server.name.clone(), message: refused.clone() };
            if !session.state(state).await {
                return End::Dropped;
            }
        }
        let seen = async {
            match &mut monitor {
                Some(monitor) => monitor.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            seen = seen => match seen {
                Some(Ok(seen)) => if let Some(event) = watch.see(&seen) && !session.tell(event).await {
                    return End::Dropped;
                },
                _ => return End::Lost("the bus closed the monitor".to_owned()),
            },
            said = next(&mut session.messages) => {
                let Some(said) = said else { return End::Lost("the bus is gone".to_owned()) };
                match new_owner(&said) {
                    Some(new) if new.is_empty() => {
                        tokio::time::sleep(COMES_BACK).await;
                        return End::Changed;
                    }
                    // The first start of a server that was only activatable changes no number.
                    Some(new) if watch.owner.is_none() => watch.owner = Some(new),
                    Some(_) => return End::Changed,
                    None => if let Some(event) = signal(&said, &watch) && !session.tell(event).await {
                        return End::Dropped;
                    },
                }
            }
            command = session.inbox.recv() => match command {
                Some(command) => obey(&session.bus, &server, command).await,
                None => return End::Dropped,
            },
        }
    }
}

async fn monitor() -> Result<MessageStream, String> {
    let bus = outlet::session_bus().await.map_err(|error| error.to_string())?;
    let mut stream = MessageStream::from(&bus);
    stream.set_max_queued(std::num::NonZeroUsize::new(BURST).unwrap_or(std::num::NonZeroUsize::MIN));
    let (name, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    let body = (&RULES[..], 0u32);
    within(bus.call_method(Some(name), path, Some("org.freedesktop.DBus.Monitoring"), "BecomeMonitor", &body)).await?;
    Ok(stream)
}

impl Server {
    async fn ask(bus: &Connection) -> Self {
        let strings = |answer: Message| answer.body().deserialize::<Vec<String>>().unwrap_or_default();
        // Together: one that does not answer holds up nothing for long.
        let (capabilities, information, invoker) = tokio::join!(
            ask_server(bus, "GetCapabilities", &()),
            ask_server(bus, "GetServerInformation", &()),
            invoker(bus)
        );
        let capabilities = capabilities.map(strings).unwrap_or_default();
        let has = |capability: &str| capabilities.iter().any(|has| has == capability);
        let information = information.ok();
        let name = information.and_then(|answer| answer.body().deserialize::<(String, String, String, String)>().ok());
        Self {
            name: name.map(|(name, ..)| accord_model::text::for_screen(&name, 60)),
            markup: has("body-markup"),
            replies: has("inline-reply"),
            invoker,
        }
    }
}

/// Where the server lets others invoke an app's action.
async fn invoker(bus: &Connection) -> Option<(&'static str, &'static str)> {
    let offers = async |(path, interface): (&'static str, &'static str)| {
        let asked = bus.call_method(Some(NAME), path, Some("org.freedesktop.DBus.Introspectable"), "Introspect", &());
        let described: String = within(asked).await.ok()?.body().deserialize().ok()?;
        (described.contains(interface) && described.contains("InvokeAction")).then_some((path, interface))
    };
    let [first, second] = INVOKERS;
    let (first, second) = tokio::join!(offers(first), offers(second));
    first.or(second)
}

/// Signals of the server about popups; for those of apps the monitor is there.
fn signal(said: &Message, watch: &Watch) -> Option<DesktopEvent> {
    let header = said.header();
    if said.message_type() != Type::Signal || header.sender().map(|from| from.as_str()) != watch.owner.as_deref() {
        return None;
    }
    match header.member()?.as_str() {
        "NotificationClosed" => message::closed(said).map(|(local, why)| DesktopEvent::Closed { local, why }),
        "ActionInvoked" => message::with_text(said).map(|(local, key)| DesktopEvent::Acted { local, key }),
        "NotificationReplied" => message::with_text(said).map(|(local, text)| DesktopEvent::Replied { local, text }),
        _ => None,
    }
}

async fn obey(bus: &Connection, server: &Server, command: DesktopCommand) {
    match command {
        DesktopCommand::Show { mut popup, shown } => {
            popup.reply &= server.replies;
            let asked = ask_server(bus, "Notify", &message::arguments(&popup, server.markup)).await;
            match asked.and_then(|answer| answer.body().deserialize().map_err(in_words)) {
                Ok(local) => drop(shown.send(local)),
                Err(why) => tracing::debug!(why, "the desktop took no notification"),
            }
        }
        DesktopCommand::Close { local } => {
            if let Err(why) = ask_server(bus, "CloseNotification", &(local,)).await {
                tracing::debug!(why, "the desktop closed no notification");
            }
        }
        DesktopCommand::Act { local, key, done } => {
            let outcome = match server.invoker {
                Some((path, interface)) => {
                    let body = (local, key);
                    let asked = bus.call_method(Some(NAME), path, Some(interface), "InvokeAction", &body);
                    within(asked).await.map(drop)
                }
                None => Err(alone(server)),
            };
            let _ = done.send(outcome);
        }
        DesktopCommand::Reply { done, .. } => drop(done.send(Err(alone(server)))),
    }
}

fn alone(server: &Server) -> String {
    let name = server.name.as_deref().unwrap_or("the notification server");
    format!("{name} lets no other program answer an app's notification")
}
