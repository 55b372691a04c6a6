//! Follows what happens in gate, registry, link and files, and tells the UIs and the desktop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{GateEvent, RecordKind};
use accord_files::{Direction, FilesEvent, State};
use accord_home::history::is_house_service;
use accord_link::{LinkEvent, PairingDirection, PairingInfo, PairingStep};
use accord_model::{DeviceId, EntryKey};
use accord_registry::RegistryEvent;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::block_in_place;
use tokio_util::task::TaskTracker;

use super::hub::Hub;
use super::notify::{Note, Notifier};
use super::transfers::needs_upload;
use crate::api::types::Event;

/// Records come in bursts; UIs are told the newest.
const LEDGER_PAUSE: Duration = Duration::from_millis(250);
const TIDY: Duration = Duration::from_secs(600);

/// Starts the tasks that follow. They end with the hub.
pub fn start(hub: &Arc<Hub>, tracker: &TaskTracker) -> anyhow::Result<()> {
    let notifier = Notifier::start(hub.clone(), tracker);
    super::everyday::start(hub, &notifier, tracker)?;
    super::alarms::start(hub, &notifier, tracker)?;
    {
        let hub = hub.clone();
        follow_or(
            hub.clone(),
            tracker,
            hub.gate.events(),
            |_| {},
            move |event| match event {
                // Followed by `tell_ledger`, and there is one before each byte that leaves.
                GateEvent::Recorded { .. } => {}
                event => block_in_place(|| on_gate(&hub, event)),
            },
        );
    }
    {
        let (hub, notifier) = (hub.clone(), notifier.clone());
        follow_or(
            hub.clone(),
            tracker,
            hub.registry.events(),
            |_| {},
            move |event| match &event {
                // The most frequent ones, and somebody may be waiting for them: nothing of theirs is on the disk.
                RegistryEvent::Values(id, target, values) if is_house_service(&target.service) => {
                    hub.tell_values(id, target, values);
                }
                event => block_in_place(|| on_registry(&hub, &notifier, event)),
            },
        );
    }
    {
        let (hub, notifier) = (hub.clone(), notifier.clone());
        follow(hub.clone(), tracker, hub.link.events(), move |event| on_link(&hub, &notifier, event));
    }
    {
        let (hub, notifier) = (hub.clone(), notifier.clone());
        follow(hub.clone(), tracker, hub.files.events(), move |event| on_files(&hub, &notifier, event));
    }
    {
        let (hub, notifier) = (hub.clone(), notifier.clone());
        let missed = |hub: &Hub| hub.shares_compared();
        let (whole, events) = (hub.clone(), hub.shares.events());
        follow_or(whole, tracker, events, missed, move |event| block_in_place(|| hub.on_share(&notifier, event)));
    }
    {
        let hub = hub.clone();
        follow(hub.clone(), tracker, hub.casting.events(), move |event| hub.on_cast(event));
    }
    super::notices::start(hub, &notifier, tracker);
    tracker.spawn(tell_ledger(hub.clone()));
    tracker.spawn(tidy(hub.clone()));
    Ok(())
}

/// Now and then: uploads that nobody needs any more.
async fn tidy(hub: Arc<Hub>) {
    while tokio::time::timeout(TIDY, hub.stop.cancelled()).await.is_err() {
        let needs =
            |id: &str| needs_upload(&hub.files, id) || hub.belongings.need_upload(id) || hub.casts_need_upload(id);
        block_in_place(|| hub.uploads.tidy(needs));
    }
}

/// Does with each event what may read the database.
pub(super) fn follow<T: Clone + Send + 'static>(
    hub: Arc<Hub>,
    tracker: &TaskTracker,
    events: Receiver<T>,
    mut on: impl FnMut(T) + Send + 'static,
) {
    follow_or(hub, tracker, events, |_| {}, move |event| block_in_place(|| on(event)));
}

/// Does at once what never waits, and what has to be done when some were `missed`, because too many came at once.
fn follow_or<T: Clone + Send + 'static>(
    hub: Arc<Hub>,
    tracker: &TaskTracker,
    mut events: Receiver<T>,
    missed: impl Fn(&Hub) + Send + 'static,
    mut on: impl FnMut(T) + Send + 'static,
) {
    tracker.spawn(async move {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = hub.stop.cancelled() => return,
            };
            match event {
                Ok(event) => on(event),
                Err(RecvError::Lagged(_)) => {
                    block_in_place(|| missed(&hub));
                    hub.events.tell_anew();
                }
                Err(RecvError::Closed) => return,
            }
        }
    });
}

fn on_gate(hub: &Hub, event: GateEvent) {
    match event {
        GateEvent::Decided { entry, to, .. } => {
            for id in hub.prompts.decided(&entry, &to) {
                hub.events.tell(Event::PromptGone { id });
            }
            hub.tell_consent(&entry, &to);
            tell_recognised(hub, &entry);
        }
        GateEvent::Withdrawn { entry, to } | GateEvent::Lapsed { entry, to, .. } | GateEvent::Expired { entry, to } => {
            hub.tell_consent(&entry, &to);
            tell_recognised(hub, &entry);
        }
        GateEvent::Asked { entry, to, scenario, .. } => {
            let waits = hub.prompts.list().iter().any(|open| open.entry == entry && open.to == to);
            if !waits && let Err(failure) = hub.ask(&entry, &to, hub.because(&entry, &to, &scenario)) {
                tracing::warn!(%entry, %failure, "a decision is missing, and the owner could not be asked");
            }
        }
        _ => {}
    }
}

/// What devices are recognised as is another thing from now on.
fn tell_recognised(hub: &Hub, entry: &EntryKey) {
    if entry.as_str() == accord_recognition::ENTRY {
        hub.events.tell_anew();
    }
}

fn on_registry(hub: &Hub, notifier: &Notifier, event: &RegistryEvent) {
    match event {
        RegistryEvent::Seen(known) => tell_device(hub, &known.device.id),
        RegistryEvent::Gone(id) => match hub.registry.thing_id(id) {
            Some(thing) if thing == *id => tell_device(hub, id),
            // What is left of it has an id of its own.
            Some(thing) => {
                hub.events.tell(Event::DeviceGone { id: id.to_string() });
                tell_device(hub, &thing);
            }
            None => hub.events.tell(Event::DeviceGone { id: id.to_string() }),
        },
        RegistryEvent::Things { gone, changed } => hub.tell_things(gone, changed),
        RegistryEvent::Values(id, ..) => tell_device(hub, id),
        RegistryEvent::Event(device, target, event, arguments) if target.service == "pairing" => {
            if let Some(pairing) = hub.on_foreign(device, event, arguments) {
                tell_pairing(hub, notifier, &pairing);
                tell_device(hub, device);
            }
        }
        RegistryEvent::Event(device, target, event, arguments) => hub.tell_happened(device, target, event, arguments),
        RegistryEvent::Failed(bridge, message) => {
            tracing::error!(bridge, message = accord_model::text::for_screen(message, 500), "a bridge failed");
        }
    }
}

fn tell_pairing(hub: &Hub, notifier: &Notifier, pairing: &PairingInfo) {
    let view = hub.pairing_view(pairing);
    if pairing.direction == PairingDirection::In && matches!(pairing.step, PairingStep::Compare(_)) {
        notifier.show(Note {
            about: format!("pairing {}", view.id),
            title: "A device wants to pair".to_owned(),
            body: format!(
                "{} asks to be paired with this one. Compare the codes in Accord.",
                view.name.as_deref().unwrap_or("A device nearby")
            ),
            offer: None,
        });
    }
    hub.events.tell(Event::Pairing(view));
}

fn tell_device(hub: &Hub, id: &DeviceId) {
    if hub.events.is_heard() {
        hub.events.tell_as_it_is(|| {
            let thing = hub.thing(id).ok().filter(super::faces::is_shown)?;
            Some(Event::Device(Box::new(hub.thing_view(&thing))))
        });
    }
}

fn on_link(hub: &Arc<Hub>, notifier: &Notifier, event: LinkEvent) {
    match event {
        LinkEvent::Device(device) => tell_device(hub, &device.id),
        LinkEvent::Gone(id) => {
            if hub.registry.device(&id).is_none() {
                hub.events.tell(Event::DeviceGone { id: id.to_string() });
            }
        }
        LinkEvent::Pairing(pairing) => {
            if let PairingStep::Done(device) = &pairing.step {
                hub.paired(&pairing.id, device);
                tell_device(hub, device);
            }
            tell_pairing(hub, notifier, &pairing);
        }
        LinkEvent::Status(_) => hub.events.tell_anew(),
        LinkEvent::WitnessAlarm { device, ours, message } => {
            tracing::error!(%device, ours, message, "a ledger does not go on from the head that was witnessed");
            let name = hub.device_name(device.as_str()).unwrap_or_default();
            notifier.show(Note {
                about: format!("witness {device}{}", if ours { " ours" } else { "" }),
                title: "A ledger was changed".to_owned(),
                body: if ours {
                    format!("This device's own ledger does not fit what {name} saw of it: {message}")
                } else {
                    format!("The ledger of {name} does not fit what it showed before: {message}")
                },
                offer: None,
            });
        }
    }
}

fn on_files(hub: &Arc<Hub>, notifier: &Notifier, event: FilesEvent) {
    match event {
        FilesEvent::Changed(transfer) => {
            let view = hub.transfer_view(&transfer);
            let incoming = transfer.direction == Direction::In;
            if incoming && matches!(transfer.state, State::Offered | State::WaitingForConsent) {
                notifier.show(Note {
                    about: format!("offer {}", view.id),
                    title: format!("{} wants to send you something", view.device_name),
                    body: preview(&view),
                    offer: Some(view.id.clone()),
                });
            }
            if transfer.state == State::Done {
                // What failed may be tried again, and needs what was uploaded for it.
                hub.uploads.transfer_over(transfer.id.as_str());
                if incoming {
                    notifier.show(Note {
                        about: format!("offer {}", view.id),
                        title: format!("Received from {}", view.device_name),
                        body: preview(&view),
                        offer: None,
                    });
                }
            }
            hub.events.tell(Event::Transfer(view));
        }
        FilesEvent::Gone(id) => {
            hub.uploads.transfer_over(id.as_str());
            hub.events.tell(Event::TransferGone { id: id.to_string() });
        }
    }
}

fn preview(transfer: &crate::api::types::Transfer) -> String {
    use crate::api::types::TransferKind;
    let at_least = if transfer.exact { "" } else { "at least " };
    let size = match (transfer.exact, transfer.bytes_total) {
        (false, 0) => "size not known".to_owned(),
        (_, bytes) => format!("{at_least}{}", crate::cli::screen::size(bytes)),
    };
    match (transfer.kind, transfer.items.first()) {
        (TransferKind::Text, _) => "A text".to_owned(),
        (TransferKind::Url, _) => "A link".to_owned(),
        (TransferKind::Files, Some(first)) if transfer.files_total > 1 => {
            format!("“{}” and more, {at_least}{} files, {size}", first.name, transfer.files_total)
        }
        (TransferKind::Files, Some(first)) => format!("“{}”, {size}", first.name),
        (TransferKind::Files, None) => format!("{at_least}{} files, {size}", transfer.files_total),
    }
}

/// Tells the newest record, at most a few times a second.
fn tell_ledger(hub: Arc<Hub>) -> impl Future<Output = ()> + Send {
    let mut events = hub.gate.events();
    async move {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = hub.stop.cancelled() => return,
            };
            let mut newest = match event {
                Ok(GateEvent::Recorded { seq, kind }) => Some((seq, kind)),
                Ok(_) | Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            };
            if newest.is_none() {
                continue;
            }
            tokio::time::sleep(LEDGER_PAUSE).await;
            while let Ok(event) = events.try_recv() {
                if let GateEvent::Recorded { seq, kind } = event {
                    newest = Some((seq, kind));
                }
            }
            if let Some((seq, kind)) = newest
                && kind != RecordKind::Checkpoint
                && let Ok(record) = hub.blocking(move |hub| hub.ledger_record(seq)).await
            {
                hub.events.tell(Event::Ledger(record));
            }
        }
    }
}
