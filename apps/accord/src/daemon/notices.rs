//! The hub's side of notifications and of the clipboard.

use std::sync::Arc;

use accord_clipboard::{ClipboardError, ClipboardEvent, ClipboardRules, Content, Kind, Offer};
use accord_consent::{RecipientId, Refusal};
use accord_model::DeviceId;
use accord_notifications::{DesktopState, Notification, NotificationsError, NotificationsEvent, Sending};
use data_encoding::BASE64;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::task::TaskTracker;

use super::house;
use super::hub::Hub;
use super::notify::{Note, Notifier};
use super::watch::follow;
use crate::api::error::{Answer, Failure};
use crate::api::notices as api;
use crate::api::types::Event;

/// Starts the tasks that tell the UIs and the desktop. They end with the hub.
pub fn start(hub: &Arc<Hub>, notifier: &Notifier, tracker: &TaskTracker) {
    {
        let hub = hub.clone();
        follow(hub.clone(), tracker, hub.notifications.events(), move |event| on_notifications(&hub, event));
    }
    let (hub, notifier) = (hub.clone(), notifier.clone());
    follow(hub.clone(), tracker, hub.clipboard.events(), move |event| on_clipboard(&hub, &notifier, event));
}

fn on_notifications(hub: &Arc<Hub>, event: NotificationsEvent) {
    match event {
        NotificationsEvent::Changed(notification) => {
            hub.events.tell(Event::Notification(hub.notification_view(&notification)));
        }
        NotificationsEvent::Gone(id) => hub.events.tell(Event::NotificationGone { id }),
        NotificationsEvent::Desktop(_) => {}
        NotificationsEvent::Copy(code) => {
            let hub = hub.clone();
            tokio::spawn(async move {
                if let Err(error) = hub.clipboard.set(Content::Text(code)).await {
                    tracing::warn!(%error, "a one-time code was not copied");
                }
            });
        }
    }
}

fn on_clipboard(hub: &Arc<Hub>, notifier: &Notifier, event: ClipboardEvent) {
    match event {
        ClipboardEvent::Offered(offer) => {
            let name = hub.device_name(offer.device.as_str()).unwrap_or_else(|| offer.device.to_string());
            notifier.show(Note {
                about: format!("clipboard {}", offer.device),
                title: format!("{name} copied something"),
                body: "Take it into the clipboard here in Accord.".to_owned(),
                offer: None,
            });
        }
        ClipboardEvent::NotSent { device, why } => {
            tracing::info!(%device, why, "what was copied did not reach a device");
            return;
        }
        ClipboardEvent::Sent(_) => return,
        ClipboardEvent::Received { .. } | ClipboardEvent::OfferGone(_) | ClipboardEvent::Rules => {}
    }
    if let Ok(clipboard) = hub.clipboard_now() {
        hub.events.tell(Event::Clipboard(clipboard));
    }
}

impl Hub {
    pub fn notifications_now(&self) -> api::Notifications {
        let list = self.notifications.list();
        api::Notifications {
            notifications: list.iter().map(|notification| self.notification_view(notification)).collect(),
            desktop: desktop(self.notifications.desktop()),
        }
    }

    fn notification_view(&self, notification: &Notification) -> api::Notification {
        let ids = |devices: &[DeviceId]| devices.iter().map(ToString::to_string).collect();
        let device = notification.device.as_ref();
        api::Notification {
            id: notification.id.clone(),
            device: device.map(ToString::to_string),
            device_name: device.map(|device| self.device_name(device.as_str()).unwrap_or_else(|| device.to_string())),
            app: notification.app.clone(),
            title: notification.title.clone(),
            body: notification.body.clone(),
            icon: notification.icon.as_deref().map(data_url),
            actions: notification.actions.clone(),
            reply: notification.reply,
            code: notification.code.clone(),
            hidden: notification.hidden,
            posted: notification.posted,
            sent_to: ids(&notification.sent_to),
            waits_for: ids(&notification.waits_for),
        }
    }

    pub async fn send_notification(&self, wanted: api::SendNotification) -> Answer<api::SentNotification> {
        let device = self.other_device(&wanted.device, "notifications")?;
        let body = wanted.body.unwrap_or_default();
        match self.notifications.send(&device, &wanted.title, &body).await {
            Ok((id, sending)) => Ok(api::SentNotification { id, waits: sending == Sending::Waits }),
            Err(NotificationsError::NotConsented(refusal)) => {
                let name = self.device_name(device.as_str()).unwrap_or_else(|| device.to_string());
                let because = format!("Show a notification on {name}");
                Err(self.not_let_out(refusal, &RecipientId::device(&device), because))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Dismisses it. Where the owner has not decided about telling the device, that is asked first; a refusal holds, and
    /// it is dismissed here alone.
    pub fn dismiss_notification(&self, id: &str) -> Answer<()> {
        if let Err(NotificationsError::NotConsented(refusal)) = self.notifications.check_answer(id, false)
            && may_be_asked(&refusal)
        {
            return Err(self.ask_to_answer(id, refusal, "Dismiss"));
        }
        Ok(self.notifications.dismiss(id)?)
    }

    pub async fn reply_notification(&self, id: &str, text: &str) -> Answer<()> {
        self.may_answer(id, true, "Reply to")?;
        Ok(self.notifications.reply(id, text).await?)
    }

    pub async fn act_notification(&self, id: &str, action: &str) -> Answer<()> {
        self.may_answer(id, false, "Act on")?;
        Ok(self.notifications.act(id, action).await?)
    }

    /// Its code goes into the clipboard here, which does not send it on.
    pub async fn copy_code(&self, id: &str) -> Answer<()> {
        let code = self.notifications.code(id)?;
        Ok(self.clipboard.set(Content::Text(code)).await?)
    }

    fn may_answer(&self, id: &str, with_text: bool, what: &str) -> Answer<()> {
        match self.notifications.check_answer(id, with_text) {
            Err(NotificationsError::NotConsented(refusal)) => Err(self.ask_to_answer(id, refusal, what)),
            outcome => Ok(outcome?),
        }
    }

    fn ask_to_answer(&self, id: &str, refusal: Refusal, what: &str) -> Failure {
        let Some(notification) = self.notifications.get(id) else {
            return NotificationsError::Gone(id.to_owned()).into();
        };
        let Some(device) = notification.device else { return Failure::refused(refusal.to_string()) };
        let name = self.device_name(device.as_str()).unwrap_or_else(|| device.to_string());
        let because = format!("{what} “{}” of {name}", notification.title);
        self.not_let_out(refusal, &RecipientId::device(&device), because)
    }

    pub fn notification_rules(&self) -> Answer<api::NotificationRules> {
        same(&self.notifications.rules())
    }

    pub async fn set_notification_rules(&self, rules: api::NotificationRules) -> Answer<api::NotificationRules> {
        self.notifications.set_rules(given(&rules)?).await?;
        self.notification_rules()
    }

    pub fn clipboard_now(&self) -> Answer<api::Clipboard> {
        let (tool, message) = match self.clipboard.tool() {
            Ok(tool) => (Some(tool.to_owned()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let offers = self.clipboard.offers();
        Ok(api::Clipboard {
            tool,
            message,
            rules: same(&self.clipboard.rules())?,
            offers: offers.iter().map(|offer| self.clipboard_offer(offer)).collect(),
        })
    }

    fn clipboard_offer(&self, offer: &Offer) -> api::ClipboardOffer {
        api::ClipboardOffer {
            device: offer.device.to_string(),
            device_name: self.device_name(offer.device.as_str()).unwrap_or_else(|| offer.device.to_string()),
            kind: kind(offer.kind),
            size: offer.size,
            preview: offer.preview.clone(),
            since: offer.since,
        }
    }

    pub async fn clipboard_content(&self) -> Answer<api::ClipboardContent> {
        let content = self.clipboard.get().await?;
        let kind = kind(content.kind());
        Ok(match content {
            Content::Text(text) => api::ClipboardContent { kind, text: Some(text), image: None },
            Content::Image(png) => api::ClipboardContent { kind, text: None, image: Some(data_url(&png)) },
        })
    }

    pub async fn set_clipboard(&self, text: String) -> Answer<()> {
        Ok(self.clipboard.set(Content::Text(text)).await?)
    }

    pub async fn send_clipboard(&self, device: &str) -> Answer<()> {
        let device = self.other_device(device, "clipboard")?;
        match self.clipboard.send(&device).await {
            Err(ClipboardError::NotConsented(refusal)) => Err(self.ask_to_share(&device, refusal)),
            outcome => Ok(outcome?),
        }
    }

    fn ask_to_share(&self, device: &DeviceId, refusal: Refusal) -> Failure {
        let name = self.device_name(device.as_str()).unwrap_or_else(|| device.to_string());
        self.not_let_out(refusal, &RecipientId::device(device), format!("Send what you copied to {name}"))
    }

    /// A device that is to get whatever is copied is one that the owner agreed to share with.
    pub async fn set_clipboard_rules(&self, rules: api::ClipboardRules) -> Answer<api::Clipboard> {
        let rules: ClipboardRules = given(&rules)?;
        let before = self.clipboard.rules();
        let had: Vec<&DeviceId> = before.automatic().collect();
        for device in rules.automatic().filter(|device| !had.contains(device)) {
            self.clipboard.check(device).map_err(|refusal| self.ask_to_share(device, refusal))?;
        }
        self.clipboard.set_rules(rules).await?;
        self.clipboard_now()
    }

    pub async fn accept_clipboard(&self, device: &str) -> Answer<()> {
        let device = self.resolve(device)?;
        Ok(self.clipboard.accept(&device).await?)
    }

    pub fn refuse_clipboard(&self, device: &str) -> Answer<()> {
        let device = self.resolve(device)?;
        Ok(self.clipboard.refuse(&device)?)
    }

    /// The face of another device that is to be asked for a service.
    fn other_device(&self, text: &str, service: &str) -> Answer<DeviceId> {
        let device = self.resolve(text)?;
        match device.as_str() {
            house::OWN => Err(Failure::bad_request("This is the device itself; choose another one.")),
            _ => Ok(self.face_for(&device, service)),
        }
    }
}

fn may_be_asked(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Undecided { .. } | Refusal::Lapsed { .. } | Refusal::Expired { .. })
}

impl From<NotificationsError> for Failure {
    fn from(error: NotificationsError) -> Self {
        let message = error.to_string();
        match error {
            NotificationsError::Gone(_) => Self::not_found(message),
            NotificationsError::NotConsented(_) => Self::refused(message),
            NotificationsError::Call(error) => error.into(),
            NotificationsError::Cannot(_) | NotificationsError::Desktop(_) => Self::conflict(message),
            NotificationsError::BadText(_) | NotificationsError::BadRules(_) => Self::bad_request(message),
            NotificationsError::State { .. } => Self::internal("The rules were not kept", message),
        }
    }
}

impl From<ClipboardError> for Failure {
    fn from(error: ClipboardError) -> Self {
        let message = error.to_string();
        match error {
            ClipboardError::NoOffer(_) => Self::not_found(message),
            ClipboardError::NotConsented(_) => Self::refused(message),
            ClipboardError::Call(error) => error.into(),
            ClipboardError::BadContent(_) | ClipboardError::BadRules(_) => Self::bad_request(message),
            ClipboardError::NoTool(_)
            | ClipboardError::Empty
            | ClipboardError::Secret
            | ClipboardError::Other
            | ClipboardError::Tool { .. } => Self::conflict(message),
            ClipboardError::State { .. } => Self::internal("The rules were not kept", message),
        }
    }
}

/// The API's rules have the features' shape.
fn given<T: DeserializeOwned>(rules: &impl Serialize) -> Answer<T> {
    let value = serde_json::to_value(rules).and_then(serde_json::from_value);
    value.map_err(|error| {
        let why = accord_model::text::for_screen(&error.to_string(), 200);
        Failure::bad_request(format!("These rules cannot be understood: {why}."))
    })
}

fn same<T: DeserializeOwned>(rules: &impl Serialize) -> Answer<T> {
    let value = serde_json::to_value(rules).and_then(serde_json::from_value);
    value.map_err(|error| Failure::internal("The rules cannot be shown", error))
}

fn desktop(state: DesktopState) -> api::Desktop {
    let (mode, server, message) = match state {
        DesktopState::Off => (api::DesktopMode::Off, None, None),
        DesktopState::None { message } => (api::DesktopMode::None, None, Some(message)),
        DesktopState::Following { server, message } => (api::DesktopMode::Following, server, message),
        DesktopState::Serving => (api::DesktopMode::Serving, None, None),
    };
    api::Desktop { mode, server, message }
}

fn kind(kind: Kind) -> api::ClipboardKind {
    match kind {
        Kind::Text => api::ClipboardKind::Text,
        Kind::Image => api::ClipboardKind::Image,
    }
}

fn data_url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;
    use accord_clipboard::Receiving;
    use accord_notifications::Rules;

    #[test]
    fn the_apis_rules_are_the_features() {
        let json = serde_json::json!({
            "paused_until": "2026-01-01T00:00:00Z",
            "quiet": { "from": "22:00", "to": "07:00", "except_urgent": true },
            "hide_content": true,
            "apps": { "Chat": { "send": "hidden", "show": "off" } },
            "devices": { "phone": { "send": "full", "show": "full", "answers": false, "codes": true,
                "quiet": null, "apps": { "Mail": "off" } } },
        });
        let rules: Rules =
            given::<Rules>(&serde_json::from_value::<api::NotificationRules>(json.clone()).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(same::<api::NotificationRules>(&rules).unwrap()).unwrap(), json);
        let defaults = serde_json::to_value(api::NotificationRules::default()).unwrap();
        assert_eq!(defaults, serde_json::to_value(Rules::default()).unwrap());
        let of_device = serde_json::to_value(api::NotificationDeviceRule::default()).unwrap();
        assert_eq!(of_device, serde_json::to_value(accord_notifications::DeviceRule::default()).unwrap());
        let bad = api::QuietHours { from: "25:00".into(), to: "7:00".into(), except_urgent: false };
        let bad = api::NotificationRules { quiet: Some(bad), ..Default::default() };
        assert_eq!(given::<Rules>(&bad).unwrap_err().code(), "bad-request");
        let clipboard =
            serde_json::json!({ "receive": "automatic", "devices": { "phone": { "send": true, "receive": "off" } } });
        let rules: ClipboardRules =
            given(&serde_json::from_value::<api::ClipboardRules>(clipboard.clone()).unwrap()).unwrap();
        assert_eq!(rules.receive, Receiving::Automatic);
        assert_eq!(serde_json::to_value(same::<api::ClipboardRules>(&rules).unwrap()).unwrap(), clipboard);
    }
}
