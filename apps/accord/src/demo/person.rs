//! A person at one of the demo home's devices: uses that device's ordinary local API, as its web UI
//! would, and decides as people do.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use accord_model::DeviceKind;
use hyper::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::api::types::{
    Accept, Choice, ConfirmPairing, Decide, DeviceChange, Direction, Event, Inbox, Pairing, PairingState, Pairings,
    StartTransfer, Transfer, TransferState,
};
use crate::cli::hub::{Hub, HubError, escape};

/// How the person decides on offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Accepts after a look, and sends something back after pairing.
    Friend,
    /// Is not beside the device: answers late.
    Slow,
    /// Refuses the first offer, takes later ones.
    SaysNoOnce,
    /// Takes everything without being asked.
    TakesAll,
}

const LAKE: &[u8] = include_bytes!("lake.png");
const HELLO: &str = "Look what the lake did tonight! Swim tomorrow at eight?";
/// What this person agreed to when the device was set up.
const AGREED: [&str; 5] = ["link/discovery", "link/pairing", "link/connection", "files/send", "files/receive"];

pub struct Person {
    name: &'static str,
    kind: DeviceKind,
    habit: Habit,
    hub: Hub,
    /// To look at the other screen when codes are compared.
    main: Hub,
    folder: PathBuf,
    answered: HashSet<String>,
    greeted: HashSet<String>,
    said_no: bool,
}

impl Person {
    pub fn new(name: &'static str, kind: DeviceKind, habit: Habit, hub: Hub, main: Hub, folder: PathBuf) -> Self {
        let (answered, greeted) = (HashSet::new(), HashSet::new());
        Self { name, kind, habit, hub, main, folder, answered, greeted, said_no: false }
    }

    /// Lives as long as the hub.
    pub async fn live(mut self) {
        loop {
            if let Err(error) = self.day().await {
                tracing::debug!(person = self.name, kind = %self.kind, %error, "looks again in a moment");
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn day(&mut self) -> Result<(), HubError> {
        let mut events = self.hub.events().await?;
        for entry in AGREED {
            self.agree(entry, None).await?;
        }
        while let Some(event) = events.next().await? {
            match event {
                Event::Hello(_) => self.look().await?,
                Event::Pairing(pairing) => self.on_pairing(&pairing).await?,
                Event::Transfer(transfer) => self.on_transfer(&transfer),
                Event::Prompt(prompt) => self.agree(&prompt.entry.key, Some(&prompt.to)).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// At first, and when something may have been missed.
    async fn look(&mut self) -> Result<(), HubError> {
        let pairings: Pairings = self.hub.get("/pairings").await?;
        let new = |device: &str| pairings.running.iter().any(|pairing| pairing.device.as_deref() == Some(device));
        for paired in pairings.paired.iter().filter(|paired| !new(&paired.device)) {
            // Paired on an earlier day: greeted then.
            self.greeted.insert(paired.device.clone());
        }
        for pairing in &pairings.running {
            self.on_pairing(pairing).await?;
        }
        let inbox: Inbox = self.hub.get("/inbox").await?;
        inbox.offers.iter().for_each(|offer| self.on_transfer(offer));
        Ok(())
    }

    async fn agree(&self, entry: &str, to: Option<&str>) -> Result<(), HubError> {
        let decision = Decide {
            entry: entry.to_owned(),
            to: to.map(str::to_owned),
            choice: Choice::Always,
            until: None,
            fields: None,
            surface: Some("web".into()),
        };
        self.hub.tell(Method::POST, "/consents", Some(&decision)).await
    }

    async fn on_pairing(&mut self, pairing: &Pairing) -> Result<(), HubError> {
        match pairing.state {
            PairingState::Compare if pairing.direction == Direction::In && self.answered.insert(pairing.id.clone()) => {
                let (hub, main, pairing) = (self.hub.clone(), self.main.clone(), pairing.clone());
                tokio::spawn(async move {
                    if let Err(error) = compare(&hub, &main, &pairing).await {
                        tracing::debug!(%error, "the pairing was over before it was answered");
                    }
                });
                Ok(())
            }
            PairingState::Done => match &pairing.device {
                Some(device) if self.greeted.insert(device.clone()) => self.greet(device).await,
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// What happens right after pairing with someone new.
    async fn greet(&self, device: &str) -> Result<(), HubError> {
        match self.habit {
            Habit::TakesAll => {
                let change = DeviceChange { auto_accept: Some(true), ..DeviceChange::default() };
                let path = format!("/devices/{}", escape(device));
                harmless(self.hub.tell(Method::PATCH, &path, Some(&change)).await)
            }
            Habit::Friend => {
                let (hub, device, folder) = (self.hub.clone(), device.to_owned(), self.folder.clone());
                tokio::spawn(async move {
                    if let Err(error) = send_greetings(&hub, &device, folder).await {
                        tracing::debug!(%error, "the greetings did not get through");
                    }
                });
                Ok(())
            }
            Habit::Slow | Habit::SaysNoOnce => Ok(()),
        }
    }

    fn on_transfer(&mut self, transfer: &Transfer) {
        let waits = transfer.direction == Direction::In && transfer.state == TransferState::Offered;
        if !waits || !self.answered.insert(transfer.id.clone()) {
            return;
        }
        let path = format!("/inbox/{}", escape(&transfer.id));
        let (pause, accept) = match self.habit {
            Habit::Friend => (2, Some(Accept { always: false })),
            Habit::Slow => (5, Some(Accept { always: false })),
            Habit::TakesAll => (0, Some(Accept { always: true })),
            Habit::SaysNoOnce if self.said_no => (1, Some(Accept { always: false })),
            Habit::SaysNoOnce => (1, None),
        };
        self.said_no |= accept.is_none();
        let hub = self.hub.clone();
        // In a task of its own: two offers wait side by side.
        tokio::spawn(async move {
            sleep(Duration::from_secs(pause)).await;
            let answered = match accept {
                Some(accept) => hub.tell(Method::POST, &format!("{path}/accept"), Some(&accept)).await,
                None => refuse(&hub, &path).await,
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "the offer was gone before it was answered");
            }
        });
    }
}

/// Takes the other device in hand, looks at both screens, and answers.
async fn compare(hub: &Hub, main: &Hub, pairing: &Pairing) -> Result<(), HubError> {
    sleep(Duration::from_secs(2)).await;
    let path = format!("/pairings/{}", escape(&pairing.id));
    if show_the_same(main, pairing).await? {
        let confirm = ConfirmPairing::default();
        hub.tell(Method::POST, &format!("{path}/confirm"), Some(&confirm)).await
    } else {
        hub.tell(Method::POST, &format!("{path}/reject"), Some(&json!({}))).await
    }
}

async fn show_the_same(main: &Hub, pairing: &Pairing) -> Result<bool, HubError> {
    let Some(code) = &pairing.code else { return Ok(true) };
    let there: Pairings = main.get("/pairings").await?;
    // A screen whose owner has agreed already shows no code any more.
    let agreed = |other: &Pairing| {
        other.direction == Direction::Out && other.state == PairingState::Waiting && other.code.is_none()
    };
    Ok(there.running.iter().any(|other| other.code.as_ref() == Some(code) || agreed(other)))
}

async fn refuse(hub: &Hub, path: &str) -> Result<(), HubError> {
    let why = json!({ "reason": "Not on the work laptop, please. Try once more if it is urgent." });
    hub.tell(Method::POST, &format!("{path}/refuse"), Some(&why)).await
}

async fn send_greetings(hub: &Hub, device: &str, folder: PathBuf) -> Result<(), HubError> {
    sleep(Duration::from_secs(3)).await;
    let photo = folder.join("Lake at dusk.png");
    if let Err(error) = tokio::fs::write(&photo, LAKE).await {
        tracing::debug!(%error, "no photo to send");
        return Ok(());
    }
    let paths = Some(vec![photo.to_string_lossy().into_owned()]);
    let photo = StartTransfer { device: device.to_owned(), paths, ..StartTransfer::default() };
    let text = StartTransfer { device: device.to_owned(), text: Some(HELLO.into()), ..StartTransfer::default() };
    for start in [photo, text] {
        hub.post::<Transfer>("/transfers", &start).await?;
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// What the hub says no to is the other's business (the pairing ended, the offer was withdrawn); a hub
/// that cannot be reached is ours.
fn harmless(result: Result<(), HubError>) -> Result<(), HubError> {
    match result {
        Err(HubError::Said(error)) => {
            tracing::debug!(message = error.message, "the hub said no");
            Ok(())
        }
        other => other,
    }
}
