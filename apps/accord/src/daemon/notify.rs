//! Desktop notifications for what waits for the owner. They stay on this machine; a setting turns
//! them off. Nothing here may hold up the hub.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use zbus::Variant;

use super::hub::Hub;

const QUEUE: usize = 16;
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// After a bus that is not there, so long without trying again.
const REST: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 64;

/// One notification. A second one about the same replaces it.
pub struct Note {
    pub about: String,
    pub title: String,
    pub body: String,
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

async fn run(hub: Arc<Hub>, mut notes: mpsc::Receiver<Note>) {
    let mut bus = None;
    let mut shown: HashMap<String, (u32, String)> = HashMap::new();
    while let Some(note) = notes.recv().await {
        let before = shown.get(&note.about);
        if !hub.config().notify || before.is_some_and(|(_, title)| *title == note.title) {
            continue;
        }
        if bus.is_none() {
            match outlet::session_bus().await {
                Ok(connection) => bus = Some(connection),
                Err(error) => {
                    tracing::debug!(%error, "no desktop to notify");
                    tokio::time::sleep(REST).await;
                    while notes.try_recv().is_ok() {}
                    continue;
                }
            }
        }
        let Some(connection) = &bus else { continue };
        let replaces = before.map_or(0, |(id, _)| *id);
        match tokio::time::timeout(SHOWN_WITHIN, send(connection, &note, replaces)).await {
            Ok(Ok(id)) => {
                if shown.len() >= REMEMBERED {
                    shown.clear();
                }
                shown.insert(note.about, (id, note.title));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the desktop took no notification");
                bus = None;
            }
            Err(_) => bus = None,
        }
    }
}

/// `org.freedesktop.Notifications.Notify`, Desktop Notifications Specification 1.2.
async fn send(connection: &zbus::Connection, note: &Note, replaces: u32) -> zbus::Result<u32> {
    let hints: HashMap<&str, Variant<'_>> = HashMap::from([("urgency", Variant::U8(1))]);
    let actions: [&str; 0] = [];
    // The specification allows markup in the body: names from outside must not be any.
    let body = note.body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let message =
        ("Accord", replaces, "network-transmit-receive", note.title.as_str(), body, &actions[..], hints, -1i32);
    connection
        .call_method(
            Some("org.freedesktop.Notifications"),
            "/org/freedesktop/Notifications",
            Some("org.freedesktop.Notifications"),
            "Notify",
            &message,
        )
        .await?
        .body()
        .deserialize()
}
