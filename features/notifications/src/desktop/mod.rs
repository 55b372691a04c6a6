//! This computer's desktop: what its apps notify, and popups for what devices tell. Speaks
//! `org.freedesktop.Notifications` (Desktop Notifications Specification 1.2) on the session bus.
//!
//! Whichever server runs keeps running: its calls are read along by a monitor connection. Where none runs and none can be
//! started, Accord is the server, and what apps say is listed in Accord alone.

mod follow;
mod message;
mod serve;
mod watch;

use std::time::Duration;

use accord_consent::outlet;
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use zbus::{Connection, Message, MessageStream};

use crate::note::Note;

const QUEUE: usize = 256;
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// The bus and its services answer within this time.
const WITHIN: Duration = Duration::from_secs(5);
/// A server that is restarted gets this long to come back before its place is taken.
const COMES_BACK: Duration = Duration::from_secs(3);

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// Marks what a hub shows: no hub takes it for an app's own.
const OURS: &str = "x-accord";

/// How Accord and this computer's desktop stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum DesktopState {
    /// Not looked at yet, or switched off.
    #[default]
    Off,
    /// There is no desktop session.
    None {
        /// What the system says.
        message: String,
    },
    /// Another program shows notifications; Accord reads along.
    Following {
        /// Its name, once it runs.
        server: Option<String>,
        /// Why Accord cannot read along, when it cannot.
        message: Option<String>,
    },
    /// No program shows notifications; Accord takes and lists them.
    Serving,
}

/// Why a notification is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its time was over: nobody dismissed it.
    Expired,
    /// The owner dismissed it.
    Dismissed,
    /// The app, or another program, took it back.
    TakenBack,
}

/// What an app of this computer says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LocalNote {
    pub note: Note,
    /// What the app calls each of the note's actions.
    pub keys: Vec<String>,
    /// The device that this came from, when another program mirrors it (KDE Connect's hint).
    pub origin: Option<String>,
}

/// From the desktop. Numbers are the notification server's.
#[derive(Debug)]
pub(crate) enum DesktopEvent {
    State(DesktopState),
    Posted {
        local: u32,
        note: LocalNote,
    },
    Closed {
        local: u32,
        why: Why,
    },
    Acted {
        local: u32,
        key: String,
    },
    Replied {
        local: u32,
        text: String,
    },
    /// Another server: earlier numbers mean nothing any more.
    Forgotten,
}

/// A popup for a device's notification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Popup {
    pub app: String,
    pub title: String,
    pub body: String,
    /// Keys and labels.
    pub actions: Vec<(String, String)>,
    pub reply: bool,
    pub silent: bool,
    /// The number of the popup that this one changes.
    pub replaces: Option<u32>,
}

/// To the desktop.
#[derive(Debug)]
pub(crate) enum DesktopCommand {
    Show { popup: Popup, shown: oneshot::Sender<u32> },
    Close { local: u32 },
    Act { local: u32, key: String, done: oneshot::Sender<Result<(), String>> },
    Reply { local: u32, text: String, done: oneshot::Sender<Result<(), String>> },
}

/// Both queues of a desktop.
pub(crate) struct Desktop {
    pub commands: mpsc::Sender<DesktopCommand>,
    pub events: mpsc::Receiver<DesktopEvent>,
}

impl Desktop {
    /// The queues alone, for whoever plays the desktop.
    pub fn pair() -> (Self, mpsc::Receiver<DesktopCommand>, mpsc::Sender<DesktopEvent>) {
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (outbox, events) = mpsc::channel(QUEUE);
        (Self { commands, events }, inbox, outbox)
    }

    /// Speaks to the session bus until the desktop's queues are dropped.
    pub fn start() -> Self {
        let (desktop, inbox, outbox) = Self::pair();
        tokio::spawn(run(inbox, outbox));
        desktop
    }
}

/// Why a session, or one way of standing in it, is over.
enum End {
    /// The feature is gone.
    Dropped,
    /// Look again who the server is.
    Changed,
    /// The bus is gone.
    Lost(String),
}

/// What both ways of standing in a session work with.
struct Session<'a> {
    bus: Connection,
    messages: MessageStream,
    inbox: &'a mut mpsc::Receiver<DesktopCommand>,
    outbox: &'a mpsc::Sender<DesktopEvent>,
}

async fn run(mut inbox: mpsc::Receiver<DesktopCommand>, outbox: mpsc::Sender<DesktopEvent>) {
    let mut rest = FIRST_REST;
    loop {
        let why = match outlet::session_bus().await {
            Ok(bus) => {
                rest = FIRST_REST;
                match session(bus, &mut inbox, &outbox).await {
                    End::Dropped => return,
                    End::Changed => continue,
                    End::Lost(why) => why,
                }
            }
            Err(error) => error.to_string(),
        };
        tracing::debug!(why, "no desktop to follow");
        let message = accord_model::text::for_screen(&why, 300);
        let state = DesktopEvent::State(DesktopState::None { message });
        if outbox.send(DesktopEvent::Forgotten).await.is_err() || outbox.send(state).await.is_err() {
            return;
        }
        let wait = tokio::time::sleep(rest);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => break,
                command = inbox.recv() => match command {
                    Some(command) => refuse(command, "there is no desktop session"),
                    None => return,
                },
            }
        }
        rest = (rest * 2).min(LONGEST_REST);
    }
}

async fn session(
    bus: Connection,
    inbox: &mut mpsc::Receiver<DesktopCommand>,
    outbox: &mpsc::Sender<DesktopEvent>,
) -> End {
    let messages = MessageStream::from(&bus);
    let rules = [
        "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.Notifications'",
        "type='signal',interface='org.freedesktop.Notifications'",
    ];
    for rule in rules {
        if let Err(error) = ask_bus(&bus, "AddMatch", &(rule,)).await {
            return End::Lost(error);
        }
    }
    let mut session = Session { bus, messages, inbox, outbox };
    loop {
        let end = match session.look().await {
            Ok(Stand::Follow(owner)) => follow::run(&mut session, owner).await,
            Ok(Stand::Serve) => serve::run(&mut session).await,
            Err(why) => End::Lost(why),
        };
        match end {
            End::Changed if session.tell(DesktopEvent::Forgotten).await => {}
            End::Changed => return End::Dropped,
            end => return end,
        }
    }
}

enum Stand {
    /// With the server's unique name, once it runs.
    Follow(Option<String>),
    Serve,
}

impl Session<'_> {
    /// Who the server is. Takes the place only where there is none and none would start.
    async fn look(&self) -> Result<Stand, String> {
        if let Some(owner) = self.owner().await? {
            return Ok(Stand::Follow(Some(owner)));
        }
        let names = ask_bus(&self.bus, "ListActivatableNames", &()).await?;
        let names: Vec<String> = names.body().deserialize().map_err(in_words)?;
        if names.iter().any(|name| name == NAME) {
            return Ok(Stand::Follow(None));
        }
        // AllowReplacement (1): a real server that starts later may take over. DoNotQueue (4).
        let taken = ask_bus(&self.bus, "RequestName", &(NAME, 5u32)).await?;
        match taken.body().deserialize::<u32>() {
            Ok(1 | 4) => Ok(Stand::Serve),
            _ => Ok(Stand::Follow(self.owner().await?)),
        }
    }

    async fn owner(&self) -> Result<Option<String>, String> {
        let has = ask_bus(&self.bus, "NameHasOwner", &(NAME,)).await?;
        if !has.body().deserialize::<bool>().unwrap_or_default() {
            return Ok(None);
        }
        // It may have gone in between.
        let owner = ask_bus(&self.bus, "GetNameOwner", &(NAME,)).await.ok();
        Ok(owner.and_then(|owner| owner.body().deserialize().ok()))
    }

    /// False when the feature is gone.
    async fn tell(&self, event: DesktopEvent) -> bool {
        self.outbox.send(event).await.is_ok()
    }

    async fn state(&self, state: DesktopState) -> bool {
        self.tell(DesktopEvent::State(state)).await
    }
}

async fn next(messages: &mut MessageStream) -> Option<Message> {
    messages.next().await?.ok()
}

/// Asks the bus itself.
async fn ask_bus<B>(bus: &Connection, method: &str, body: &B) -> Result<Message, String>
where
    B: serde::Serialize + zbus::DynamicType,
{
    let name = "org.freedesktop.DBus";
    let asked = bus.call_method(Some(name), "/org/freedesktop/DBus", Some(name), method, body);
    within(asked).await
}

/// Asks the notification server.
async fn ask_server<B>(bus: &Connection, method: &str, body: &B) -> Result<Message, String>
where
    B: serde::Serialize + zbus::DynamicType,
{
    within(bus.call_method(Some(NAME), PATH, Some(NAME), method, body)).await
}

async fn within(call: impl Future<Output = zbus::Result<Message>>) -> Result<Message, String> {
    match tokio::time::timeout(WITHIN, call).await {
        Ok(answer) => answer.map_err(in_words),
        Err(_) => Err(format!("the desktop did not answer within {} s", WITHIN.as_secs())),
    }
}

fn in_words(error: zbus::Error) -> String {
    accord_model::text::for_screen(&error.to_string(), 300)
}

fn refuse(command: DesktopCommand, why: &str) {
    match command {
        DesktopCommand::Act { done, .. } | DesktopCommand::Reply { done, .. } => drop(done.send(Err(why.to_owned()))),
        DesktopCommand::Show { .. } | DesktopCommand::Close { .. } => {}
    }
}

/// The name's new owner, when this message says that it changed; empty for nobody.
fn new_owner(message: &Message) -> Option<String> {
    let header = message.header();
    if header.member().map(|member| member.as_str()) != Some("NameOwnerChanged")
        || header.sender().map(|sender| sender.as_str()) != Some("org.freedesktop.DBus")
    {
        return None;
    }
    let (name, _, new): (String, String, String) = message.body().deserialize().ok()?;
    (name == NAME).then_some(new)
}
