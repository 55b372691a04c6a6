//! What comes in: from devices, as calls of our service or events of theirs; and from the desktop.

use std::sync::{Arc, Weak};
use std::time::Instant;

use accord_consent::{Received, RecipientId};
use accord_model::{CallError, Data, DeviceId, Inputs, Reach, Target, Timestamp, Verb};
use accord_registry::{Answer, ByteStream, RegistryEvent, ServiceHandler};
use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::api::NotificationsEvent;
use crate::book::Posted;
use crate::desktop::{DesktopCommand, DesktopEvent, Popup, Why};
use crate::feature::{Inner, SERVICE};
use crate::note::{MAX_REPLY, Note, id_of, lines};
use crate::rules::{Level, Moment};

/// Popups that one device may cause at once, and one more each second.
const BURST: f64 = 10.0;
/// Popups carry this key for copying a one-time code.
const COPY: &str = "copy-code";

/// Answers for our service.
pub(crate) struct Handler(pub Weak<Inner>);

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        let inner = self.0.upgrade().ok_or_else(|| CallError::Unreachable("this hub is ending".into()))?;
        let Verb::Act { action, inputs } = verb else {
            return Err(CallError::Unsupported("notifications have no properties".into()));
        };
        match action.as_str() {
            "show" => inner.posted(&from, &inputs)?,
            "dismiss" => inner.dismissed_there(&from, &id_of(&inputs)?)?,
            "reply" => inner.replied_there(&from, &inputs).await?,
            "act" => inner.acted_there(&from, &inputs).await?,
            other => return Err(CallError::Unsupported(accord_model::text::for_screen(other, 40))),
        }
        Ok(Answer::Done)
    }

    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

/// Follows devices and the desktop until the feature is gone.
pub(crate) async fn follow(
    weak: Weak<Inner>,
    mut devices: broadcast::Receiver<RegistryEvent>,
    mut desktop: mpsc::Receiver<DesktopEvent>,
) {
    let Some(stop) = weak.upgrade().map(|inner| inner.stop.clone()) else { return };
    let mut has_desktop = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = devices.recv() => {
                let Some(inner) = weak.upgrade() else { return };
                match event {
                    Ok(event) => inner.on_device(event),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "devices say more than can be followed; some notifications are missed");
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
            event = desktop.recv(), if has_desktop => {
                let Some(inner) = weak.upgrade() else { return };
                match event {
                    Some(event) => inner.on_desktop(event),
                    None => has_desktop = false,
                }
            }
        }
    }
}

impl Inner {
    fn on_device(self: &Arc<Self>, event: RegistryEvent) {
        match event {
            RegistryEvent::Seen(known) if known.device.reach != Reach::Offline => {
                let mut state = self.lock();
                if state.again.remove(&known.device.id).is_some() || !state.queue.is_empty() {
                    self.wake.notify_one();
                }
            }
            RegistryEvent::Event(device, target, event, arguments) if target.service == SERVICE => {
                let inner = self.clone();
                let outcome = match event.as_str() {
                    "posted" => self.posted(&device, &arguments),
                    "removed" => id_of(&arguments).and_then(|id| self.removed_there(&device, &id)),
                    "replied" => {
                        tokio::spawn(async move { drop(inner.replied_there(&device, &arguments).await) });
                        return;
                    }
                    "acted" => {
                        tokio::spawn(async move { drop(inner.acted_there(&device, &arguments).await) });
                        return;
                    }
                    _ => return,
                };
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a device's notification was not taken");
                }
            }
            _ => {}
        }
    }

    /// A device shows one of its own here.
    fn posted(self: &Arc<Self>, device: &DeviceId, inputs: &Inputs) -> Result<(), CallError> {
        let (theirs, note) = Note::from_inputs(inputs)?;
        let showing = self.lock().rules.shows(device, &note.app, note.urgent, Moment::now());
        if showing.level == Level::Off {
            return Ok(());
        }
        let hidden = showing.level == Level::Hidden;
        let (popup, silent) = (showing.popup, note.silent);
        let (posted, oldest) = self.lock().book.foreign_posted(device, &theirs, note.clone(), hidden, Timestamp::now());
        if let Some(oldest) = oldest {
            if let Some(local) = oldest.popup {
                self.command(DesktopCommand::Close { local });
            }
            self.event(NotificationsEvent::Gone(oldest.id));
        }
        let Posted::Show { id, replaces } = posted else { return Ok(()) };
        self.write_down(device, &note);
        if let Some(known) = self.lock().book.foreign(&id).map(crate::book::Foreign::view) {
            self.event(NotificationsEvent::Changed(known));
        }
        // A silent one is only listed, unless its popup is there already.
        if popup && (!silent || replaces.is_some()) && self.may_pop_up(device) {
            let popup = self.popup(device, &note, hidden, replaces);
            tokio::spawn(self.clone().show(id, popup));
        }
        Ok(())
    }

    fn popup(&self, device: &DeviceId, note: &Note, hidden: bool, replaces: Option<u32>) -> Popup {
        let name = self.device_name(device);
        let app = format!("{} ({name})", note.app);
        if hidden {
            return Popup {
                title: note.app.clone(),
                body: name,
                app,
                silent: note.silent,
                replaces,
                ..Popup::default()
            };
        }
        let mut actions: Vec<_> =
            note.actions.iter().enumerate().map(|(n, label)| (format!("action-{n}"), label.clone())).collect();
        if let Some(code) = Self::code_in(note) {
            actions.insert(0, (COPY.to_owned(), format!("Copy {code}")));
        }
        Popup {
            app,
            title: note.title.clone(),
            body: note.body.clone(),
            actions,
            reply: note.reply,
            silent: note.silent,
            replaces,
        }
    }

    async fn show(self: Arc<Self>, id: String, popup: Popup) {
        let (shown, number) = oneshot::channel();
        self.command(DesktopCommand::Show { popup, shown });
        let Ok(number) = number.await else { return };
        let is_there = match self.lock().book.foreign_mut(&id) {
            Some(known) => {
                known.popup = Some(number);
                true
            }
            None => false,
        };
        if !is_there {
            self.command(DesktopCommand::Close { local: number });
        }
    }

    fn may_pop_up(&self, device: &DeviceId) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        if state.popups.len() > 256 {
            state.popups.clear();
        }
        let bucket = state.popups.entry(device.clone()).or_insert(Bucket { left: BURST, at: now });
        bucket.left = (bucket.left + now.duration_since(bucket.at).as_secs_f64()).min(BURST);
        bucket.at = now;
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }

    /// A record of what came in.
    fn write_down(self: &Arc<Self>, device: &DeviceId, note: &Note) {
        let bytes = note.texts().len() + note.icon.as_ref().map_or(0, Vec::len);
        let received = Received {
            entry: None,
            from: RecipientId::device(device),
            address: String::new(),
            fields: note.fields(),
            bytes: bytes as u64,
            scenario: "on.notification".to_owned(),
            items: Vec::new(),
            about: None,
        };
        let inner = self.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.gate.received(received).await {
                tracing::warn!(%error, "a received notification could not be written down");
            }
        });
    }

    /// A device says that one of its own is gone, or, with an id of ours, that it was dismissed there.
    fn removed_there(&self, device: &DeviceId, id: &str) -> Result<(), CallError> {
        let removed = self.lock().book.foreign_removed(device, id);
        let Some(known) = removed else { return self.dismissed_of_ours(device, id) };
        if let Some(local) = known.popup {
            self.command(DesktopCommand::Close { local });
        }
        self.event(NotificationsEvent::Gone(known.id));
        Ok(())
    }

    /// A device takes its own back, or dismisses one of ours.
    fn dismissed_there(&self, device: &DeviceId, id: &str) -> Result<(), CallError> {
        self.removed_there(device, id)
    }

    fn dismissed_of_ours(&self, device: &DeviceId, id: &str) -> Result<(), CallError> {
        if !self.lock().book.was_told(device, id) {
            // Gone already: there is nothing left to do.
            return Ok(());
        }
        self.may_answer(device)?;
        self.dismiss_own(id, Some(device));
        Ok(())
    }

    async fn replied_there(&self, device: &DeviceId, inputs: &Inputs) -> Result<(), CallError> {
        let (id, text) = self.answered_there(device, inputs, "text")?;
        self.reply_own(&id, lines(&text, MAX_REPLY)).await.map_err(CallError::Device)
    }

    async fn acted_there(&self, device: &DeviceId, inputs: &Inputs) -> Result<(), CallError> {
        let (id, action) = self.answered_there(device, inputs, "action")?;
        self.act_own(&id, &action).await.map_err(CallError::Device)
    }

    fn answered_there(&self, device: &DeviceId, inputs: &Inputs, input: &str) -> Result<(String, String), CallError> {
        let id = id_of(inputs)?;
        let text = inputs.get(input).and_then(Data::as_text).filter(|text| text.len() <= 4 * MAX_REPLY);
        let text = text.ok_or_else(|| CallError::BadInput(format!("`{input}` is missing or too long")))?;
        if !self.lock().book.was_told(device, &id) {
            return Err(CallError::Device("this notification is gone".into()));
        }
        self.may_answer(device)?;
        Ok((id, text.to_owned()))
    }

    fn may_answer(&self, device: &DeviceId) -> Result<(), CallError> {
        match self.lock().rules.device(device).answers {
            true => Ok(()),
            false => Err(CallError::Refused("this device may not answer notifications here".into())),
        }
    }

    fn on_desktop(self: &Arc<Self>, event: DesktopEvent) {
        match event {
            DesktopEvent::State(desktop) => {
                self.lock().desktop = desktop.clone();
                self.event(NotificationsEvent::Desktop(desktop));
            }
            DesktopEvent::Posted { local, note } => {
                let (id, changed, oldest) = self.lock().book.own_posted(Some(local), note, Timestamp::now());
                if let Some(oldest) = oldest {
                    self.event(NotificationsEvent::Gone(oldest.id));
                }
                if changed {
                    self.distribute(&id);
                    self.tell_own(&id);
                }
            }
            DesktopEvent::Closed { local, why } => self.closed_here(local, why),
            DesktopEvent::Acted { local, key } => {
                let chosen = {
                    let mut state = self.lock();
                    let Some(known) = state.book.foreign_by_popup(local) else { return };
                    known.acted = true;
                    if key == COPY {
                        let code = Self::code_in(&known.note);
                        drop(state);
                        code.map(NotificationsEvent::Copy).into_iter().for_each(|copy| self.event(copy));
                        return;
                    }
                    let place = key.strip_prefix("action-").and_then(|place| place.parse::<usize>().ok());
                    place.and_then(|place| Some((known.id.clone(), known.note.actions.get(place)?.clone())))
                };
                if let Some((id, label)) = chosen {
                    self.answer_later(id, "act", ("action", label));
                }
            }
            DesktopEvent::Replied { local, text } => {
                let id = {
                    let mut state = self.lock();
                    let Some(known) = state.book.foreign_by_popup(local) else { return };
                    known.acted = true;
                    known.id.clone()
                };
                self.answer_later(id, "reply", ("text", lines(&text, MAX_REPLY)));
            }
            DesktopEvent::Forgotten => self.lock().book.forget_numbers(),
        }
    }

    fn answer_later(self: &Arc<Self>, id: String, action: &'static str, input: (&'static str, String)) {
        let inner = self.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.answer_foreign(&id, action, Some(input)).await {
                tracing::warn!(%error, "the answer to a notification did not reach its device");
            }
        });
    }

    fn closed_here(&self, local: u32, why: Why) {
        let own = {
            let mut state = self.lock();
            match state.book.own_by_number(local) {
                Some(own) => {
                    own.local = None;
                    Some(own.id.clone())
                }
                None => None,
            }
        };
        match (own, why) {
            // Nobody dismissed it: devices keep it.
            (Some(id), Why::Expired) => self.tell_own(&id),
            (Some(id), _) => drop(self.dismiss_own(&id, None)),
            (None, why) => {
                let dismissed = {
                    let mut state = self.lock();
                    let Some(known) = state.book.foreign_by_popup(local) else { return };
                    known.popup = None;
                    let acted = std::mem::take(&mut known.acted);
                    (why == Why::Dismissed && !acted).then(|| known.id.clone())
                };
                if let Some(id) = dismissed {
                    self.dismiss_foreign(&id);
                }
            }
        }
    }
}

/// How many popups a device may still cause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}
