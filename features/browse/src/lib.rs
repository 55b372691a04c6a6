//! Looking into the owner's other devices: what lies there, and having one file come here.
//!
//! [`Browse`] asks devices that offer the service `storage`, under the entry `browse/look`. A file comes the way of every
//! file, on a stream of the service `files` to the inbox; it is known there by the id that the fetch was asked with.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

use std::time::Duration;

use accord_consent::{BoundGate, Envelope, Personal};
use accord_model::text::for_screen;
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, FieldSet, IdError, Target};
use accord_ports::storage::{Entry, MAX_ENTRIES, Page, SERVICE, check_path};
use accord_registry::{Ask, Port, Registry};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which devices are looked into.
pub const LOOK: &str = "browse/look";

/// How long one page of a folder may take: a phone may have to wake, and to read a large folder.
const PAGE_WITHIN: Duration = Duration::from_secs(90);
/// The same for a whole file.
const FILE_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// Longest address of a file, in bytes, and longest title, in characters.
const MAX_ADDRESS: usize = 2048;
const MAX_TITLE: usize = 256;
/// Pages of one folder: more than its entries could need.
const MAX_PAGES: usize = 256;

/// What is in a folder of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    /// Which one; empty for the list of the places where one begins.
    pub path: String,
    /// Folders first, by name. What they are called may hold anything: make it safe before it is shown.
    pub entries: Vec<Entry>,
    /// There is more than is told.
    pub more: bool,
    /// Entries that are left out because their names are none.
    pub nameless: u64,
}

/// Where players fetch a file of a device themselves, and what is known of it: what `open` of a player wants to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// An `http` address.
    pub address: String,
    /// What it is called there; safe to show.
    pub title: String,
    /// Its MIME type.
    pub format: Option<String>,
    /// `bytes` when ranges are answered, `none` when not.
    pub seek: Option<String>,
    /// In seconds.
    pub length: Option<f64>,
}

/// Looks into devices. Cheap to clone.
#[derive(Clone)]
pub struct Browse {
    registry: Registry,
    port: Port,
}

impl Browse {
    /// Under the entry of `browse`, which `gate` is bound to.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: &BoundGate, registry: &Registry) -> Result<Self, IdError> {
        let port = registry.port(gate, EntryKey::new(LOOK)?, "on.browse");
        Ok(Self { registry: registry.clone(), port })
    }

    /// Which kinds of data a question reveals.
    pub fn fields() -> FieldSet {
        FieldSet::one(FieldCode::FileName)
    }

    /// What is in a folder of a device; with an empty `path`, where one can begin.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NotConsented`] when the owner has not agreed to look into this device.
    pub async fn list(&self, device: &DeviceId, path: &str) -> Result<Folder, CallError> {
        if !path.is_empty() {
            check_path(path)?;
        }
        self.check(device)?;
        let mut folder = Folder { path: path.to_owned(), ..Folder::default() };
        let mut from = 0;
        for _ in 0..MAX_PAGES {
            let envelope = asked(&folder.path).plain("from", from);
            let said = self.port.call(device, target(), Ask::act("list"), envelope, PAGE_WITHIN).await;
            if from > 0 && matches!(said, Err(CallError::NotConsented(_))) {
                // Agreed to for this time: that was the first page.
                break;
            }
            let page = Page::from_outputs(&said?)?;
            folder.path = page.path;
            folder.nameless = folder.nameless.max(page.nameless);
            folder.more |= page.more;
            folder.entries.extend(page.entries);
            if folder.entries.len() > MAX_ENTRIES {
                folder.entries.truncate(MAX_ENTRIES);
                folder.more = true;
            }
            match page.next {
                None => return Ok(folder),
                Some(next) if next > from && folder.entries.len() < MAX_ENTRIES => from = next,
                Some(_) => break,
            }
        }
        folder.more = true;
        Ok(folder)
    }

    /// Has one file come here, offered under `transfer` on a stream of the service `files`: 32 hex digits, random. Done when
    /// the file is in the inbox. Dropping it, and the end of the consent, stop it.
    ///
    /// # Errors
    /// [`CallError`], as for [`Browse::list`].
    pub async fn fetch(&self, device: &DeviceId, path: &str, transfer: &str) -> Result<(), CallError> {
        check_path(path)?;
        self.check(device)?;
        let envelope = asked(path).plain("transfer", transfer);
        self.port.call(device, target(), Ask::act("fetch"), envelope, FILE_WITHIN).await.map(drop)
    }

    /// Where a player fetches a file of the device itself. Nothing is told to a player by this.
    ///
    /// # Errors
    /// [`CallError`], as for [`Browse::list`]; [`CallError::Unsupported`] when players cannot.
    pub async fn address(&self, device: &DeviceId, path: &str) -> Result<Located, CallError> {
        check_path(path)?;
        self.check(device)?;
        let said = self.port.call(device, target(), Ask::act("address"), asked(path), PAGE_WITHIN).await?;
        let text = |id: &str| said.get(id).and_then(Data::as_text).filter(|text| !text.is_empty());
        let is_address = |text: &&str| {
            text.starts_with("http://") && text.len() <= MAX_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let address = text("address").filter(is_address);
        let address = address.ok_or_else(|| CallError::Device("it names no address of this file".into()))?;
        let short = |id: &str| text(id).map(|text| for_screen(text, MAX_TITLE));
        Ok(Located {
            address: address.to_owned(),
            title: short("title").unwrap_or_default(),
            format: short("format"),
            seek: short("seek").filter(|seek| matches!(seek.as_str(), "bytes" | "none")),
            length: said.get("length").and_then(Data::as_number).filter(|length| length.is_finite() && *length > 0.0),
        })
    }

    /// Before a consent is asked for: whether the device can be looked into at all.
    fn check(&self, device: &DeviceId) -> Result<(), CallError> {
        let known = self.registry.device(device);
        let known = known.ok_or_else(|| CallError::Unreachable(format!("no device {device} is known here")))?;
        if known.device.service(SERVICE).is_none() {
            return Err(CallError::Unsupported("it shows no files".into()));
        }
        Ok(())
    }
}

fn target() -> Target {
    Target::new(SERVICE)
}

fn asked(path: &str) -> Envelope {
    Envelope::new().data("path", &Personal::new(FieldCode::FileName, Data::from(path)))
}
