//! Desktop notifications for what waits for the owner, who can answer an offer there. They stay on this machine; a setting turns
//! them off. Nothing here may hold up the hub.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use zbus::Variant;

use super::hub::Hub;
use crate::api::error::Failure;

const SERVICE: &str = "org.freedesktop.Notifications";
const QUEUE: usize = 16;
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// After a bus that is not there, so long without trying again.
const REST: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 64;

/// One notification. A second one about the same replaces it.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    pub about: String,
    pub title: String,
    pub body: String,
    /// An offer that can be answered right there.
    pub offer: Option<String>,
}

/// Takes notifications; drops them when the desktop does not keep up.
#[derive(Clone)]
pub struct Notifier(mpsc::Sender<Note>);

impl Notifier {
    pub fn start(hub: Arc<Hub>, tracker: &TaskTracker) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tracker.spawn(async move {
            let stop = hub.stop.clone();
            tokio::select! {
                () = run(hub, receiver) => {}
                () = stop.cancelled() => {}
            }
        });
        Self(sender)
    }

    pub fn show(&self, note: Note) {
        let _ = self.0.try_send(note);
    }
}

/// What is on the screen, or was.
struct Shown {
    id: u32,
    note: Note,
}

async fn run(hub: Arc<Hub>, mut notes: mpsc::Receiver<Note>) {
    let mut desktop = None;
    let mut shown: Vec<Shown> = Vec::new();
    loop {
        let note = tokio::select! {
            note = notes.recv() => match note {
                Some(note) => note,
                None => return,
            },
            (id, action) = next_action(&mut desktop) => {
                if let Some(at) = shown.iter().position(|shown| shown.id == id) {
                    act(&hub, &shown.remove(at).note, &action).await;
                }
                continue;
            }
        };
        let before = shown.iter().position(|shown| shown.note.about == note.about);
        if !hub.config().notify || before.is_some_and(|at| shown[at].note == note) {
            continue;
        }
        if desktop.is_none() {
            match Desktop::reach().await {
                Ok(reached) => desktop = Some(reached),
                Err(error) => {
                    tracing::debug!(error, "no desktop to notify");
                    tokio::time::sleep(REST).await;
                    while notes.try_recv().is_ok() {}
                    continue;
                }
            }
        }
        let Some(Desktop { bus, .. }) = &desktop else { continue };
        let replaces = before.map_or(0, |at| shown.remove(at).id);
        match tokio::time::timeout(SHOWN_WITHIN, send(bus, &note, replaces)).await {
            Ok(Ok(id)) => {
                shown.retain(|shown| shown.id != id);
                if shown.len() >= REMEMBERED {
                    shown.remove(0);
                }
                shown.push(Shown { id, note });
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the desktop took no notification");
                desktop = None;
            }
            Err(_) => desktop = None,
        }
    }
}

/// The desktop's bus, and what the owner presses there.
struct Desktop {
    bus: zbus::Connection,
    actions: zbus::MessageStream,
}

impl Desktop {
    async fn reach() -> Result<Self, String> {
        let bus = outlet::session_bus().await.map_err(|error| error.to_string())?;
        let rule = zbus::MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(SERVICE)
            .interface(SERVICE)
            .member("ActionInvoked")
            .build();
        let actions = async { zbus::MessageStream::for_match_rule(rule?, &bus, None).await };
        match tokio::time::timeout(SHOWN_WITHIN, actions).await {
            Ok(Ok(actions)) => Ok(Self { bus, actions }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the bus does not answer".to_owned()),
        }
    }
}

/// The next press on a notification: which one, and which action. Never, without a desktop.
async fn next_action(desktop: &mut Option<Desktop>) -> (u32, String) {
    loop {
        let Some(Desktop { actions, .. }) = desktop else { return std::future::pending().await };
        match actions.next().await {
            Some(Ok(message)) => {
                if let Ok(pressed) = message.body().deserialize::<(u32, String)>() {
                    return pressed;
                }
            }
            Some(Err(error)) => tracing::debug!(%error, "the desktop said something that makes no sense"),
            None => *desktop = None,
        }
    }
}

/// Does what the owner pressed. What needs another decision first is asked in the web UI.
async fn act(hub: &Arc<Hub>, note: &Note, action: &str) {
    let done = match (action, note.offer.clone()) {
        ("accept", Some(offer)) => hub.blocking(move |hub| hub.accept_offer(&offer, false)).await.map(drop),
        ("refuse", Some(offer)) => hub.blocking(move |hub| hub.refuse_offer(&offer)).await.map(drop),
        _ => Err(Failure::not_found("nothing to do but to look")),
    };
    if done.is_ok() {
        return;
    }
    match crate::api::make_link(hub).await {
        Ok(link) => drop(crate::demo::browse(&link.url).await),
        Err(error) => tracing::debug!(%error, "the web UI cannot be opened"),
    }
}

/// `org.freedesktop.Notifications.Notify`, Desktop Notifications Specification 1.2.
async fn send(connection: &zbus::Connection, note: &Note, replaces: u32) -> zbus::Result<u32> {
    let hints: HashMap<&str, Variant<'_>> =
        HashMap::from([("urgency", Variant::U8(1)), ("x-accord", Variant::Bool(true))]);
    let open = ["default", "Open Accord"];
    let answers: &[&str] = if note.offer.is_some() { &["accept", "Accept", "refuse", "Refuse"] } else { &[] };
    let actions = [&open[..], answers].concat();
    // The specification allows markup in the body: names from outside must not be any.
    let body = note.body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let message = ("Accord", replaces, "network-transmit-receive", note.title.as_str(), body, actions, hints, -1i32);
    connection
        .call_method(Some(SERVICE), "/org/freedesktop/Notifications", Some(SERVICE), "Notify", &message)
        .await?
        .body()
        .deserialize()
}
