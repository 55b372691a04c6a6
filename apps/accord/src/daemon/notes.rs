//! What the owner noted about devices: own names, rooms, favourites, icons, who is blocked. Local to this hub.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use accord_model::{DeviceId, Timestamp};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::api::types::{DeviceChange, RemoteControl};
use accord_store::replace_private;

const MAX_NOTES: usize = 4096;
const MAX_TEXT: usize = 100;
const MAX_ICON: usize = 32;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    pub favourite: bool,
    /// For paired hubs too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    pub blocked: bool,
    pub auto_accept: bool,
    /// What opens, unlocks or looks there is done without asking again; for paired hubs too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trusted_effects: bool,
    /// When that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_at: Option<Timestamp>,
    /// What it may do with this machine; for paired hubs too.
    pub remote: RemoteControl,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("a name or room has at most {MAX_TEXT} characters and no control characters")]
    BadText,
    #[error("an icon is named by at most {MAX_ICON} small letters, digits and dashes")]
    BadIcon,
    #[error("{MAX_NOTES} devices have notes already; forget some first")]
    Full,
    #[error("the note could not be saved: {0}")]
    NotSaved(String),
}

/// All notes, kept in `devices.json`.
pub struct Notes {
    path: PathBuf,
    notes: RwLock<BTreeMap<DeviceId, Note>>,
}

impl Notes {
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("devices.json");
        let notes = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; move it away to start without notes", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { path, notes: RwLock::new(notes) })
    }

    pub fn get(&self, device: &DeviceId) -> Note {
        self.notes.read().unwrap_or_else(PoisonError::into_inner).get(device).cloned().unwrap_or_default()
    }

    /// Applies what is given; the note is on disk when this returns.
    pub fn change(&self, device: &DeviceId, change: &DeviceChange) -> Result<Note, NoteError> {
        self.change_all(&[device], change)?;
        Ok(self.get(device))
    }

    /// Applies what is given to all of them or to none, written once.
    pub fn change_all(&self, devices: &[&DeviceId], change: &DeviceChange) -> Result<(), NoteError> {
        let mut notes = self.notes.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = notes.clone();
        for device in devices {
            if !next.contains_key(*device) && next.len() >= MAX_NOTES {
                return Err(NoteError::Full);
            }
            let note = changed(next.remove(*device).unwrap_or_default(), change)?;
            if note != Note::default() {
                next.insert((*device).clone(), note);
            }
        }
        if next != *notes {
            self.save(&next)?;
            *notes = next;
        }
        Ok(())
    }

    /// Forgets everything noted about a device.
    pub fn forget(&self, device: &DeviceId) -> Result<(), NoteError> {
        let mut notes = self.notes.write().unwrap_or_else(PoisonError::into_inner);
        if notes.remove(device).is_some() {
            self.save(&notes)?;
        }
        Ok(())
    }

    fn save(&self, notes: &BTreeMap<DeviceId, Note>) -> Result<(), NoteError> {
        let bytes = serde_json::to_vec_pretty(notes).map_err(|error| NoteError::NotSaved(error.to_string()))?;
        replace_private(&self.path, &bytes).map_err(|error| NoteError::NotSaved(error.to_string()))
    }
}

fn changed(mut note: Note, change: &DeviceChange) -> Result<Note, NoteError> {
    if let Some(name) = &change.name {
        note.name = text(name)?;
    }
    if let Some(room) = &change.room {
        note.room = text(room)?;
    }
    if let Some(icon) = &change.icon {
        note.icon = icon_name(icon)?;
    }
    note.favourite = change.favourite.unwrap_or(note.favourite);
    note.blocked = change.blocked.unwrap_or(note.blocked);
    note.auto_accept = change.auto_accept.unwrap_or(note.auto_accept);
    if let Some(trusted) = change.trusted_effects {
        (note.trusted_effects, note.trusted_at) = (trusted, trusted.then(Timestamp::now));
    }
    note.remote.media = change.remote_media.unwrap_or(note.remote.media);
    note.remote.ring = change.remote_ring.unwrap_or(note.remote.ring);
    note.remote.commands = change.remote_commands.unwrap_or(note.remote.commands);
    note.remote.input = change.remote_input.unwrap_or(note.remote.input);
    Ok(note)
}

/// The texts of a change, checked and trimmed.
pub fn checked(change: &DeviceChange) -> Result<Note, NoteError> {
    let checked = |given: &Option<String>| given.as_deref().map_or(Ok(None), text);
    Ok(Note { name: checked(&change.name)?, room: checked(&change.room)?, ..Note::default() })
}

/// Which icons there are is the UI's to know.
fn icon_name(name: &str) -> Result<Option<String>, NoteError> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if name.len() > MAX_ICON || !is_plain {
        return Err(NoteError::BadIcon);
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// Empty goes back to nothing.
pub(super) fn text(text: &str) -> Result<Option<String>, NoteError> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT || text.chars().any(accord_model::text::is_unsafe) {
        return Err(NoteError::BadText);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_outlive_the_hub_and_an_empty_name_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let phone = DeviceId::new("link-1").unwrap();
        let notes = Notes::open(dir.path()).unwrap();
        let named = DeviceChange { name: Some(" Mira's phone ".into()), favourite: Some(true), ..Default::default() };
        notes.change(&phone, &named).unwrap();
        let notes = Notes::open(dir.path()).unwrap();
        assert_eq!(notes.get(&phone).name.as_deref(), Some("Mira's phone"));
        let back = DeviceChange { name: Some(String::new()), ..Default::default() };
        assert_eq!(notes.change(&phone, &back).unwrap(), Note { favourite: true, ..Note::default() });
        let bad = DeviceChange { room: Some("a\u{202e}b".into()), ..Default::default() };
        assert_eq!(notes.change(&phone, &bad), Err(NoteError::BadText));
        let icon = |name: &str| DeviceChange { icon: Some(name.into()), ..Default::default() };
        for bad in ["<svg>", "Lamp", &"a".repeat(MAX_ICON + 1)] {
            assert_eq!(notes.change(&phone, &icon(bad)), Err(NoteError::BadIcon), "{bad}");
        }
        notes.change(&phone, &icon("floor-lamp")).unwrap();
        assert_eq!(Notes::open(dir.path()).unwrap().get(&phone).icon.as_deref(), Some("floor-lamp"));
        assert_eq!(notes.change(&phone, &icon("")).unwrap(), Note { favourite: true, ..Note::default() });
    }

    #[test]
    fn several_notes_change_together_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<DeviceId> = (0..=MAX_NOTES).map(|n| DeviceId::new(format!("lamp-{n}")).unwrap()).collect();
        let ids: Vec<&DeviceId> = ids.iter().collect();
        let notes = Notes::open(dir.path()).unwrap();
        let room = |name: &str| DeviceChange { room: Some(name.into()), ..Default::default() };
        notes.change_all(&ids[..2], &room("Hall")).unwrap();
        assert_eq!(notes.change_all(&ids[..2], &room("a\nb")), Err(NoteError::BadText));
        assert_eq!(notes.change_all(&ids, &room("Attic")), Err(NoteError::Full));
        let notes = Notes::open(dir.path()).unwrap();
        let rooms = |notes: &Notes| -> Vec<Option<String>> { ids[..3].iter().map(|id| notes.get(id).room).collect() };
        assert_eq!(rooms(&notes), [Some("Hall".to_owned()), Some("Hall".to_owned()), None]);
        notes.change_all(&ids[..MAX_NOTES], &room("Attic")).unwrap();
        assert_eq!(notes.change_all(&ids[1..3], &room("")), Ok(()));
        assert_eq!(rooms(&Notes::open(dir.path()).unwrap()), [Some("Attic".to_owned()), None, None]);
    }
}
