//! One notification as it travels: bounded, made plain, sealed for a device.

use accord_consent::{Envelope, Personal};
use accord_model::text::is_unsafe;
use accord_model::{CallError, Data, FieldCode, FieldSet, Inputs};
use serde::{Deserialize, Serialize};

use crate::rules::Level;

const MAX_APP: usize = 80;
const MAX_TITLE: usize = 200;
const MAX_BODY: usize = 4000;
const MAX_ACTIONS: usize = 6;
const MAX_ACTION: usize = 60;
/// Longest id of a notification, in bytes; KDE Connect's hold package names and keys.
pub(crate) const MAX_ID: usize = 400;
/// Longest reply, in characters.
pub const MAX_REPLY: usize = 4000;
/// Largest picture (PNG), in bytes: as numbers in JSON it is four times as long.
pub(crate) const MAX_ICON: usize = 32 * 1024;

/// What an app says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    pub app: String,
    pub title: String,
    pub body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<Vec<u8>>,
    /// Labels.
    pub actions: Vec<String>,
    /// Text can be answered.
    pub reply: bool,
    pub silent: bool,
    pub urgent: bool,
}

impl Note {
    /// Nothing longer than a screen can use, and no characters that deceive.
    pub fn bounded(self) -> Self {
        let icon = self.icon.filter(|icon| icon.len() <= MAX_ICON && icon.starts_with(b"\x89PNG\r\n\x1a\n"));
        let actions = self.actions.into_iter().take(MAX_ACTIONS).map(|label| line(&label, MAX_ACTION));
        Self {
            app: line(&self.app, MAX_APP),
            title: line(&self.title, MAX_TITLE),
            body: lines(&self.body, MAX_BODY),
            icon,
            actions: actions.filter(|label| !label.is_empty()).collect(),
            ..self
        }
    }

    /// What a level leaves of it; nothing of `Off`.
    pub fn at(&self, level: Level) -> Option<Self> {
        match level {
            Level::Off => None,
            Level::Full => Some(self.clone()),
            Level::Hidden => Some(Self {
                app: self.app.clone(),
                title: self.app.clone(),
                silent: self.silent,
                urgent: self.urgent,
                ..Self::default()
            }),
        }
    }

    /// Whether anything but the app is told.
    pub fn has_content(&self) -> bool {
        self.title != self.app || !self.body.is_empty() || self.icon.is_some() || !self.actions.is_empty()
    }

    pub fn fields(&self) -> FieldSet {
        let app = FieldSet::one(FieldCode::NotificationApp);
        if self.has_content() { app.union(FieldSet::one(FieldCode::NotificationContent)) } else { app }
    }

    pub fn texts(&self) -> String {
        format!("{}\n{}", self.title, self.body)
    }

    /// The same for the same content.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let texts = [&self.app, &self.title, &self.body].into_iter().chain(&self.actions);
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(self.icon.as_deref().unwrap_or_default());
        *hasher.finalize().as_bytes()
    }

    /// Inputs of `show`, sealed.
    pub fn envelope(&self, id: &str) -> Envelope {
        let content = |data: Data| match self.has_content() {
            true => Personal::new(FieldCode::NotificationContent, data),
            false => Personal::new(FieldCode::NotificationApp, data),
        };
        let app = Personal::new(FieldCode::NotificationApp, Data::from(self.app.as_str()));
        let mut envelope = Envelope::new()
            .plain("id", id)
            .data("app", &app)
            .data("title", &content(Data::from(self.title.as_str())))
            .plain("silent", self.silent);
        if self.has_content() {
            envelope = envelope.data("body", &content(Data::from(self.body.as_str())));
            if !self.actions.is_empty() {
                envelope = envelope.data("actions", &content(Data::Texts(self.actions.clone())));
            }
            if let Some(icon) = &self.icon {
                envelope = envelope.data("icon", &content(Data::Bytes(icon.clone())));
            }
            envelope = envelope.plain("reply", self.reply);
        }
        envelope
    }

    /// What a device posted, with its id.
    pub fn from_inputs(inputs: &Inputs) -> Result<(String, Self), CallError> {
        let id = id_of(inputs)?;
        let text = |name: &str| inputs.get(name).and_then(Data::as_text).unwrap_or_default().to_owned();
        let flag = |name: &str| inputs.get(name).and_then(Data::as_bool).unwrap_or_default();
        let note = Self {
            app: text("app"),
            title: text("title"),
            body: text("body"),
            icon: inputs.get("icon").and_then(Data::as_bytes).map(<[u8]>::to_vec),
            actions: inputs.get("actions").and_then(Data::as_texts).unwrap_or_default().to_vec(),
            reply: flag("reply"),
            silent: flag("silent"),
            urgent: false,
        };
        Ok((id, note.bounded()))
    }
}

/// The id that a device gave.
pub(crate) fn id_of(inputs: &Inputs) -> Result<String, CallError> {
    match inputs.get("id").and_then(Data::as_text) {
        Some(id) if !id.is_empty() && id.len() <= MAX_ID => Ok(id.to_owned()),
        _ => Err(CallError::BadInput(format!("a notification has an `id` of 1 to {MAX_ID} bytes"))),
    }
}

fn line(text: &str, limit: usize) -> String {
    accord_model::text::for_screen(text.trim(), limit)
}

/// Like `for_screen`, but lines stay lines.
pub(crate) fn lines(text: &str, limit: usize) -> String {
    let mut out = String::new();
    for (index, c) in text.trim().replace("\r\n", "\n").chars().enumerate() {
        if index == limit {
            out.push('…');
            break;
        }
        out.push(if is_unsafe(c) && c != '\n' { '\u{FFFD}' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat() -> Note {
        Note {
            app: "Chat".into(),
            title: "Mira".into(),
            body: "Lunch?\nAt noon".into(),
            actions: vec!["Reply".into()],
            reply: true,
            ..Note::default()
        }
    }

    #[test]
    fn hidden_says_which_app_and_nothing_else() {
        let hidden = chat().at(Level::Hidden).unwrap();
        assert_eq!(hidden.fields(), FieldSet::one(FieldCode::NotificationApp));
        assert_eq!(hidden.envelope("1").fields(), FieldSet::one(FieldCode::NotificationApp));
        let full = chat().fields();
        assert!(full.contains(FieldCode::NotificationContent) && full == chat().envelope("1").fields());
        assert_eq!(chat().at(Level::Off), None);
    }

    #[test]
    fn megabytes_and_tricks_become_a_short_plain_text() {
        let hostile = Inputs::from([
            ("id".to_owned(), Data::from("1")),
            ("app".to_owned(), Data::from("Ba\u{202e}nk\n")),
            ("body".to_owned(), Data::from("x\u{1b}[2J\n".repeat(1 << 20))),
            ("actions".to_owned(), Data::Texts(vec!["a".repeat(1000); 1000])),
            ("icon".to_owned(), Data::Bytes(vec![0; 1 << 20])),
        ]);
        let (_, note) = Note::from_inputs(&hostile).unwrap();
        assert_eq!(note.app, "Ba\u{FFFD}nk");
        assert!(note.body.chars().count() <= MAX_BODY + 1 && !note.body.contains('\u{1b}') && note.body.contains('\n'));
        assert!(note.actions.len() == MAX_ACTIONS && note.icon.is_none());
        assert!(Note::from_inputs(&Inputs::from([("id".to_owned(), Data::from("x".repeat(500)))])).is_err());
    }
}
