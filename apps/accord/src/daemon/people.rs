//! The hub's side of pointers and keys, and of phones' messages and contacts.

use std::sync::Arc;

use accord_consent::RecipientId;
use accord_input::{Input, SEND, Stroke, Used};
use accord_model::{CallError, DeviceId, EntryKey, FieldSet, Timestamp, Verb};
use accord_people::{CONTACTS, Contacts, MESSAGES, Messages, People, REPLY};

use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::people::SendMessage;
use crate::api::types as api;

impl Hub {
    /// Types or points on another device.
    pub(super) async fn type_there(&self, id: &DeviceId, name: &str, verb: &Verb) -> Answer<()> {
        let Verb::Act { action, inputs } = verb else {
            return Err(CallError::Unsupported("it can be typed and pointed on".into()).into());
        };
        let stroke = Stroke::read(action, inputs)?;
        self.agreed_to(SEND, id, Input::fields(&stroke), format!("Type or point on {name}"))?;
        Ok(self.everyday()?.input.send(id, &stroke).await?)
    }

    /// Whether a device moves the pointer and types here now, and when it did last.
    pub fn input_of(&self, id: &DeviceId) -> (bool, Option<Timestamp>) {
        let Ok(everyday) = self.everyday() else { return (false, None) };
        (everyday.input.is_used(id), everyday.input.used(id))
    }

    /// The UIs are told that a device began or stopped.
    pub(super) fn tell_input(&self, used: &Used) {
        self.events.tell_as_it_is(|| Some(api::Event::Device(Box::new(self.device(&used.device).ok()?))));
    }

    /// The newest message of each conversation of a phone.
    pub async fn conversations(&self, id: &DeviceId) -> Answer<Messages> {
        let id = &self.face_for(id, "messages");
        let people = self.people_of(id, MESSAGES, People::asking(), |name| format!("Read the messages of {name}"))?;
        Ok(people.conversations(id).await?)
    }

    /// Messages of one conversation.
    pub async fn conversation(&self, id: &DeviceId, thread: i64, before: Option<i64>) -> Answer<Messages> {
        let id = &self.face_for(id, "messages");
        let people = self.people_of(id, MESSAGES, People::asking(), |name| format!("Read a conversation of {name}"))?;
        Ok(people.conversation(id, thread, before).await?)
    }

    /// Has a phone send a message.
    pub async fn send_message(self: &Arc<Self>, id: &DeviceId, wanted: &SendMessage) -> Answer<()> {
        let id = &self.face_for(id, "messages");
        let people = self.people_of(id, REPLY, People::sending(), |name| format!("Send a message with {name}"))?;
        Ok(people.send(id, &wanted.to, &wanted.text).await?)
    }

    /// A phone's address book.
    pub async fn contacts(&self, id: &DeviceId) -> Answer<Contacts> {
        let id = &self.face_for(id, "contacts");
        let people =
            self.people_of(id, CONTACTS, People::asking(), |name| format!("Look at the contacts of {name}"))?;
        Ok(people.contacts(id).await?)
    }

    fn people_of(
        &self,
        id: &DeviceId,
        entry: &str,
        fields: FieldSet,
        because: impl FnOnce(&str) -> String,
    ) -> Answer<&People> {
        let device = self.device(id)?;
        let (service, what) = if entry == CONTACTS { ("contacts", "contacts") } else { ("messages", "messages") };
        match device.trust {
            api::Trust::Paired => {}
            api::Trust::Blocked => return Err(Failure::refused(format!("{} is blocked.", device.name))),
            _ => return Err(Failure::conflict(format!("{} is not paired; pair with it first.", device.name))),
        }
        if !device.services.iter().any(|one| one.id == service) {
            let message = format!("{} offers no {what}. A phone asks its owner before it does.", device.name);
            return Err(Failure::conflict(message));
        }
        self.agreed_to(entry, id, fields, because(&device.name))?;
        Ok(&self.everyday()?.people)
    }

    /// Asks the owner where a decision is missing.
    fn agreed_to(&self, entry: &str, id: &DeviceId, fields: FieldSet, because: String) -> Answer<()> {
        let entry = EntryKey::new(entry).map_err(|error| Failure::internal("No such entry", error))?;
        let to = RecipientId::device(id);
        self.gate.check(&entry, &to, fields).map_err(|refusal| self.not_let_out(refusal, &to, because))
    }
}
