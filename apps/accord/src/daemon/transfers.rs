//! The hub's side of sending and receiving.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::RecipientId;
use accord_files::{AcceptPolicy, Direction, Files, FilesError, Items, Kind, SendRequest, State, Transfer, TransferId};
use accord_identity::{AutoAccept, Peers};
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet, Timestamp};
use accord_registry::Registry;

use super::hub::Hub;
use super::notes::Notes;
use super::{foreign, house};
use crate::api::error::{Answer, Failure};
use crate::api::types::{self as api, DeviceChange};

const MAX_PATHS: usize = 10_000;
/// What was uploaded for a transfer that failed can be sent again for so long.
const RETRY_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Whether a transfer may still need what was uploaded for it.
pub fn needs_upload(files: &Files, id: &str) -> bool {
    let Some(transfer) = id.parse().ok().and_then(|id| files.get(&id)) else { return false };
    let over_for = transfer.finished.map(|then| Timestamp::now().duration_since(then));
    let is_old = over_for.is_some_and(|age| Duration::try_from(age).is_ok_and(|age| age > RETRY_WITHIN));
    transfer.state != State::Done && !is_old
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        let message = error.to_string();
        match error {
            FilesError::NoTransfer(_) => Self::not_found(message),
            FilesError::NotNow(..) | FilesError::StreamGone => Self::conflict(message),
            FilesError::NotConsented(_) => Self::refused(message),
            FilesError::Nothing | FilesError::Path { .. } | FilesError::BadText(_) => Self::bad_request(message),
            FilesError::Folder { .. } => Self::internal("The transfer cannot be kept", message),
        }
    }
}

/// Who need not ask: paired hubs, and devices of bridges that are paired and proved who they are, as the owner set.
pub struct Trusted {
    pub peers: Arc<Peers>,
    pub notes: Arc<Notes>,
    pub registry: Registry,
}

impl Trusted {
    /// Set for a device that once proved who it is, it does not count for one that does not.
    fn proved(&self, device: &DeviceId) -> bool {
        self.registry
            .device(device)
            .is_some_and(|known| foreign::is_paired(&known.device) && foreign::is_proved(&known.device))
    }
}

impl AcceptPolicy for Trusted {
    fn accepts(&self, device: &DeviceId) -> bool {
        if let Some(peer) = self.peers.get(device) {
            return !peer.blocked && peer.auto_accept == AutoAccept::Always;
        }
        let note = self.notes.get(device);
        note.auto_accept && !note.blocked && self.proved(device)
    }

    fn accept_always(&self, device: &DeviceId) {
        let kept = if self.peers.get(device).is_some() {
            self.peers
                .update(device, |peer| peer.auto_accept = AutoAccept::Always)
                .map(drop)
                .map_err(|error| error.to_string())
        } else {
            let always = DeviceChange { auto_accept: Some(true), ..DeviceChange::default() };
            self.notes.change(device, &always).map(drop).map_err(|error| error.to_string())
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "this device will be asked about again");
        }
    }
}

impl Hub {
    pub fn transfers(&self) -> Vec<api::Transfer> {
        let mut transfers = self.files.list();
        transfers.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
        transfers.iter().map(|transfer| self.transfer_view(transfer)).collect()
    }

    /// A transfer, as soon as it is over or `within` has passed.
    pub async fn transfer_over(&self, id: &str, within: Duration) -> Answer<api::Transfer> {
        let id: TransferId = id.parse()?;
        self.files.until_over(&id, within).await;
        self.view_of(&id)
    }

    pub(super) fn view_of(&self, id: &TransferId) -> Answer<api::Transfer> {
        let transfer = self.files.get(id).ok_or_else(|| FilesError::NoTransfer(id.to_string()))?;
        Ok(self.transfer_view(&transfer))
    }

    pub fn transfer_view(&self, transfer: &Transfer) -> api::Transfer {
        let skipped_more = transfer.skipped_count.saturating_sub(transfer.skipped.len() as u64);
        let mut skipped = transfer.skipped.clone();
        if skipped_more > 0 {
            skipped.push(format!("… and {skipped_more} more"));
        }
        let name = self.device_name(transfer.device.as_str());
        api::Transfer {
            id: transfer.id.to_string(),
            direction: match transfer.direction {
                Direction::In => api::Direction::In,
                Direction::Out => api::Direction::Out,
            },
            device: transfer.device.to_string(),
            device_name: name.unwrap_or_else(|| "a device that is gone".to_owned()),
            kind: match transfer.kind {
                Kind::Files => api::TransferKind::Files,
                Kind::Text => api::TransferKind::Text,
                Kind::Url => api::TransferKind::Url,
            },
            state: state(transfer),
            items: transfer
                .items
                .iter()
                .map(|item| api::TransferItem { name: item.name.clone(), size: item.size, folder: item.folder })
                .collect(),
            files_total: transfer.files_total,
            files_done: transfer.files_done,
            bytes_total: transfer.bytes_total,
            bytes_done: transfer.bytes_done,
            exact: transfer.exact,
            rate: transfer.rate,
            remaining_s: transfer.remaining_s,
            carrier: transfer.carrier.clone(),
            created: transfer.created,
            finished: transfer.finished,
            text: transfer.text.clone(),
            saved_to: saved_to(&transfer.saved_to),
            message: transfer.message.clone(),
            skipped,
            skipped_count: transfer.skipped_count,
            deadline: transfer.deadline,
        }
    }

    pub async fn start_transfer(self: &Arc<Self>, wanted: api::StartTransfer) -> Answer<api::Transfer> {
        let device = self.face_for(&self.resolve(&wanted.device)?, "files");
        if device.as_str() == house::OWN {
            return Err(Failure::bad_request("This is the device itself; choose another one."));
        }
        let id = TransferId::random();
        let upload = wanted.upload.clone();
        let items = match (wanted.paths, wanted.text, wanted.url, wanted.upload, wanted.stream) {
            (Some(paths), None, None, None, None) => Items::Paths(absolute(paths)?),
            (None, Some(text), None, None, None) => Items::Text(text),
            (None, None, Some(url), None, None) => Items::Url(url),
            (None, None, None, Some(upload), None) => Items::Paths(self.uploads.claim(&upload, id.as_str())?),
            (None, None, None, None, Some(name)) => Items::Stream { name, reader: self.pipes.open(id.as_str()) },
            _ => return Err(Failure::bad_request("Give one of `paths`, `text`, `url`, `upload` and `stream`.")),
        };
        let started = self.send(&id, device, items).await;
        if started.is_err() {
            self.pipes.forget(id.as_str());
            if let Some(upload) = upload {
                self.uploads.release(&upload);
            }
        }
        started
    }

    async fn send(self: &Arc<Self>, id: &TransferId, device: DeviceId, items: Items) -> Answer<api::Transfer> {
        let to = RecipientId::device(&device);
        let fields = match &items {
            Items::Text(_) | Items::Url(_) => FieldSet::one(FieldCode::TextContent),
            _ => FieldSet::from_iter([FieldCode::FileName, FieldCode::FileContent, FieldCode::FileMeta]),
        };
        let because =
            format!("{} to {}", what(&items), self.device_name(device.as_str()).unwrap_or_else(|| device.to_string()));
        let entry = EntryKey::new(SEND).map_err(|error| Failure::internal("No such entry", error))?;
        if let Err(refusal) = self.gate.check(&entry, &to, fields) {
            return Err(self.not_let_out(refusal, &to, because));
        }
        match self.files.send_as(id.clone(), SendRequest { device, items }).await {
            Ok(()) => self.view_of(id),
            Err(FilesError::NotConsented(refusal)) => Err(self.not_let_out(refusal, &to, because)),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn cancel_transfer(&self, id: &str) -> Answer<api::Transfer> {
        let id: TransferId = id.parse()?;
        self.files.cancel(&id).await?;
        self.view_of(&id)
    }

    pub async fn retry_transfer(&self, id: &str) -> Answer<api::Transfer> {
        let id: TransferId = id.parse()?;
        let before = self.files.get(&id).ok_or_else(|| FilesError::NoTransfer(id.to_string()))?;
        match self.files.retry(&id).await {
            Ok(_) => self.view_of(&id),
            Err(FilesError::NotConsented(refusal)) => {
                let to = RecipientId::device(&before.device);
                let name = self.device_name(before.device.as_str()).unwrap_or_default();
                Err(self.not_let_out(refusal, &to, format!("Send again to {name}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub async fn remove_transfer(&self, id: &str) -> Answer<()> {
        let id: TransferId = id.parse()?;
        self.files.remove(&id).await?;
        Ok(())
    }

    /// Incoming offers that wait for the owner.
    pub fn offers(&self) -> usize {
        self.files.list().iter().filter(|transfer| is_waiting(transfer)).count()
    }

    pub fn inbox(&self) -> api::Inbox {
        let transfers = self.files.list();
        let mut offers: Vec<_> = transfers.iter().filter(|transfer| is_waiting(transfer)).collect();
        let mut received: Vec<_> =
            transfers.iter().filter(|transfer| transfer.direction == Direction::In && !is_waiting(transfer)).collect();
        offers.sort_by_key(|transfer| transfer.created);
        received.sort_by_key(|transfer| std::cmp::Reverse(transfer.created));
        api::Inbox {
            folder: self.inbox_folder().to_string_lossy().into_owned(),
            offers: offers.into_iter().map(|transfer| self.transfer_view(transfer)).collect(),
            received: received.into_iter().map(|transfer| self.transfer_view(transfer)).collect(),
        }
    }

    /// The owner takes what is offered. Taking it answers the sender, which needs consent of its own.
    pub fn accept_offer(&self, id: &str, always: bool) -> Answer<api::Transfer> {
        let offer = self.offer(id)?;
        match self.files.accept(&offer.id, always) {
            Ok(()) => self.view_of(&offer.id),
            Err(FilesError::NotConsented(refusal)) => {
                let name = self.device_name(offer.device.as_str()).unwrap_or_else(|| offer.device.to_string());
                let to = RecipientId::device(&offer.device);
                Err(self.not_let_out(refusal, &to, format!("Take what {name} sends, and tell it so")))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub fn refuse_offer(&self, id: &str) -> Answer<api::Transfer> {
        let offer = self.offer(id)?;
        self.files.refuse(&offer.id)?;
        self.view_of(&offer.id)
    }

    fn offer(&self, id: &str) -> Answer<Transfer> {
        let id: TransferId = id.parse()?;
        let offer = self.files.get(&id).filter(|transfer| transfer.direction == Direction::In);
        offer.ok_or_else(|| Failure::not_found("There is no such offer; it was answered, withdrawn or forgotten."))
    }
}

const SEND: &str = "files/send";

fn is_waiting(transfer: &Transfer) -> bool {
    transfer.direction == Direction::In && matches!(transfer.state, State::Offered | State::WaitingForConsent)
}

fn state(transfer: &Transfer) -> api::TransferState {
    match (transfer.state, transfer.direction) {
        // An incoming one is still an offer: accepting it is the decision.
        (State::WaitingForConsent, Direction::In) => api::TransferState::Offered,
        (State::WaitingForConsent, Direction::Out) | (State::Connecting, _) => api::TransferState::Connecting,
        (State::Offered, _) => api::TransferState::Offered,
        (State::Running, _) => api::TransferState::Running,
        (State::Paused, _) => api::TransferState::Paused,
        (State::Done, _) => api::TransferState::Done,
        (State::Failed, _) => api::TransferState::Failed,
        (State::Refused, _) => api::TransferState::Refused,
        (State::Cancelled, _) => api::TransferState::Cancelled,
    }
}

pub(super) fn absolute(paths: Vec<String>) -> Answer<Vec<PathBuf>> {
    if paths.is_empty() || paths.len() > MAX_PATHS {
        return Err(Failure::bad_request(format!("Give 1 to {MAX_PATHS} paths.")));
    }
    let paths = paths.into_iter().map(path).collect::<Answer<Vec<_>>>()?;
    match paths.iter().find(|path| !path.is_absolute()) {
        Some(path) => Err(Failure::bad_request(format!(
            "`{}` is not a full path.",
            accord_model::text::for_screen(&path.to_string_lossy(), 200)
        ))),
        None => Ok(paths),
    }
}

/// A path as text, or as a `file:` URL (RFC 8089), which names any bytes.
fn path(text: String) -> Answer<PathBuf> {
    let Some(encoded) = text.strip_prefix("file://") else { return Ok(text.into()) };
    let bad = || Failure::bad_request("This `file:` URL names no path on this machine.");
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                u8::try_from(high * 16 + low).map_err(|_| bad())?
            }
            plain => plain,
        };
        bytes.push(byte);
    }
    if bytes.contains(&0) {
        return Err(bad());
    }
    Ok(OsString::from_vec(bytes).into())
}

/// What the owner wants to send, in the owner's words.
fn what(items: &Items) -> String {
    match items {
        Items::Paths(paths) => match paths.as_slice() {
            [one] => {
                let name = one.file_name().unwrap_or(one.as_os_str()).to_string_lossy();
                format!("Send “{}”", accord_model::text::for_screen(&name, 60))
            }
            many => format!("Send {} files and folders", many.len()),
        },
        Items::Text(_) => "Send a text".to_owned(),
        Items::Url(_) => "Send a link".to_owned(),
        Items::Stream { .. } => "Send standard input".to_owned(),
    }
}

/// One item: itself. Several: the folder they share.
fn saved_to(paths: &[PathBuf]) -> Option<String> {
    let path = match paths {
        [] => return None,
        [one] => one.as_path(),
        [first, ..] => first.parent()?,
    };
    Some(path.to_string_lossy().into_owned())
}
