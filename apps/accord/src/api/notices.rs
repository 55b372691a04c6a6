//! What the API says of notifications and of the clipboard, beside [`super::types`].

use std::collections::BTreeMap;

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /notifications`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Notifications {
    /// Newest first.
    pub notifications: Vec<Notification>,
    pub desktop: Desktop,
}

/// One notification that is there now. Texts are plain, and safe to show.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    pub id: String,
    /// The device it came from; this computer's own have none.
    pub device: Option<String>,
    pub device_name: Option<String>,
    pub app: String,
    pub title: String,
    /// May have several lines.
    pub body: String,
    /// A `data:` URL of a PNG.
    pub icon: Option<String>,
    /// Labels for `POST /notifications/{id}/act`.
    pub actions: Vec<String>,
    /// Whether `POST /notifications/{id}/reply` can be used.
    pub reply: bool,
    /// A one-time code in it, for `POST /notifications/{id}/copy`.
    pub code: Option<String>,
    /// The owner's rules hide its content on screens.
    pub hidden: bool,
    #[schema(value_type = String, format = DateTime)]
    pub posted: Timestamp,
    /// Devices that were sent it.
    pub sent_to: Vec<String>,
    /// Devices that are away and get it when they are back.
    pub waits_for: Vec<String>,
}

/// How this computer's desktop and Accord stand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Desktop {
    pub mode: DesktopMode,
    /// The notification server that runs.
    pub server: Option<String>,
    /// Why something does not work.
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DesktopMode {
    /// Not looked at yet.
    Off,
    /// There is no desktop session.
    None,
    /// A notification server runs; Accord reads along.
    Following,
    /// No notification server runs; Accord takes and lists what apps say.
    Serving,
}

/// `POST /notifications`: show one on a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendNotification {
    /// A device's id or name.
    pub device: String,
    pub title: String,
    pub body: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SentNotification {
    pub id: String,
    /// The device is away; it gets it when it is back within hours.
    pub waits: bool,
}

/// `POST /notifications/{id}/reply`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyText {
    pub text: String,
}

/// `POST /notifications/{id}/act`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActLabel {
    /// One of the notification's `actions`.
    pub action: String,
}

/// `GET|PUT /notifications/rules`. They only take away from what was consented to; one-time codes are held back from
/// devices that are not allowed them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationRules {
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_until: Option<Timestamp>,
    pub quiet: Option<QuietHours>,
    /// Neither send nor show content anywhere.
    pub hide_content: bool,
    /// By the app's name, whatever its case.
    pub apps: BTreeMap<String, AppRule>,
    /// By device id.
    pub devices: BTreeMap<String, NotificationDeviceRule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Off,
    /// That the app notifies, not what it says.
    Hidden,
    #[default]
    Full,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppRule {
    /// This computer's app to devices.
    pub send: Level,
    /// A device's app here.
    pub show: Level,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationDeviceRule {
    pub send: Level,
    pub show: Level,
    /// It may dismiss, answer and act on what was sent to it.
    pub answers: bool,
    /// One-time codes may be sent to it.
    pub codes: bool,
    pub quiet: Option<QuietHours>,
    /// By the app's name, whatever its case.
    pub apps: BTreeMap<String, Level>,
}

impl Default for NotificationDeviceRule {
    fn default() -> Self {
        Self { send: Level::Full, show: Level::Full, answers: true, codes: false, quiet: None, apps: BTreeMap::new() }
    }
}

/// Times of day such as `22:30`, by this computer's clock; over midnight when `from` is later than `to`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub except_urgent: bool,
}

/// `GET /clipboard`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Clipboard {
    /// `wl-clipboard` or `xclip`; none when this session has no clipboard that can be used.
    pub tool: Option<String>,
    /// What is missing.
    pub message: Option<String>,
    pub rules: ClipboardRules,
    /// What devices copied and what waits for the owner.
    pub offers: Vec<ClipboardOffer>,
}

/// `PUT /clipboard/rules`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClipboardRules {
    pub receive: Receiving,
    /// By device id.
    pub devices: BTreeMap<String, ClipboardDeviceRule>,
}

/// What becomes of what a device copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Receiving {
    Off,
    #[default]
    Ask,
    Automatic,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClipboardDeviceRule {
    /// It gets whatever is copied here, as far as that was consented to.
    pub send: bool,
    /// Instead of the rule for all.
    pub receive: Option<Receiving>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClipboardOffer {
    pub device: String,
    pub device_name: String,
    pub kind: ClipboardKind,
    pub size: u64,
    /// The beginning of a text.
    pub preview: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClipboardKind {
    Text,
    Image,
}

/// `GET /clipboard/content`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClipboardContent {
    pub kind: ClipboardKind,
    pub text: Option<String>,
    /// A `data:` URL of a PNG.
    pub image: Option<String>,
}

/// `POST /clipboard/content`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetClipboard {
    pub text: String,
}

/// `POST /clipboard/send`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendClipboard {
    /// A device's id or name.
    pub device: String,
}
