//! The hub's side of looking into other devices.

use std::sync::Arc;

use accord_browse::{Browse, LOOK, Located};
use accord_consent::RecipientId;
use accord_model::text::for_screen;
use accord_model::{CallError, DeviceId, EntryKey, FieldCode, FieldSet, Timestamp};
use accord_ports::storage::{Entry, Kind};

use super::hub::Hub;
use crate::api::browse::{EntryKind, Folder, FolderEntry};
use crate::api::error::{Answer, Failure};
use crate::api::types as api;

/// Under which a device that sends is answered.
const RECEIVE: &str = "files/receive";

impl Hub {
    /// What is in a folder of a device; with an empty path, where one can begin.
    pub async fn list_folder(&self, id: &DeviceId, path: &str) -> Answer<Folder> {
        let id = &self.face_for(id, accord_ports::storage::SERVICE);
        let browse = self.browse(id, "Look at the files on")?;
        let folder = browse.list(id, path).await?;
        Ok(Folder {
            path: folder.path,
            entries: folder.entries.into_iter().map(entry).collect(),
            more: folder.more,
            nameless: folder.nameless,
        })
    }

    /// Where a player fetches a file of a device itself: what its `open` wants to be told.
    pub async fn file_address(&self, id: &DeviceId, path: &str) -> Answer<Located> {
        Ok(self.browse(id, "Look up a file on")?.address(id, path).await?)
    }

    /// Has a file come to the inbox; answers once it has begun, or is over.
    pub async fn fetch_file(self: &Arc<Self>, id: &DeviceId, path: &str) -> Answer<api::Transfer> {
        let id = &self.face_for(id, accord_ports::storage::SERVICE);
        let browse = self.browse(id, "Fetch a file from")?;
        let name = self.device(id)?.name;
        self.may(id, RECEIVE, FieldSet::one(FieldCode::TransferState), format!("Receive a file from {name}"))?;
        let (transfer, here) = self.files.expect(id);
        let mut events = self.files.events();
        let (device, path) = (id.clone(), path.to_owned());
        let stop = self.stop.clone();
        // It goes on when nobody waits for this answer any more; the list of transfers tells of it, and stops it.
        let mut fetching = tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => Err(CallError::Unreachable("this hub is ending".into())),
                fetched = browse.fetch(&device, &path, &transfer) => {
                    if let Err(error) = &fetched {
                        tracing::info!(%device, %error, "a file did not come");
                    }
                    fetched
                }
            }
        });
        loop {
            if let Ok(begun) = self.view_of(&here) {
                return Ok(begun);
            }
            tokio::select! {
                // Whether it is this one, or some were missed: the list knows.
                _ = events.recv() => {}
                fetched = &mut fetching => {
                    fetched.map_err(|error| Failure::internal("The file was not fetched", error))??;
                    return self.view_of(&here);
                }
            }
        }
    }

    /// The feature, when the owner agreed to look into this device; else the owner is asked.
    fn browse(&self, id: &DeviceId, what: &str) -> Answer<Browse> {
        let browse = self.everyday()?.browse.clone();
        let device = self.device(id)?;
        match device.trust {
            api::Trust::Blocked => return Err(Failure::refused(format!("{} is blocked.", device.name))),
            api::Trust::Seen => {
                return Err(Failure::conflict(format!("{} is not paired; pair with it first.", device.name)));
            }
            _ => {}
        }
        if !device.services.iter().any(|service| service.id == accord_ports::storage::SERVICE) {
            let message = format!("{} shows no files to other devices.", device.name);
            return Err(CallError::Unsupported(message).into());
        }
        self.may(id, LOOK, Browse::fields(), format!("{what} {}", device.name))?;
        Ok(browse)
    }

    fn may(&self, id: &DeviceId, entry: &str, fields: FieldSet, because: String) -> Answer<()> {
        let entry = EntryKey::new(entry).map_err(|error| Failure::internal("No such entry", error))?;
        let to = RecipientId::device(id);
        self.gate.check(&entry, &to, fields).map_err(|refusal| self.not_let_out(refusal, &to, because))
    }
}

fn entry(entry: Entry) -> FolderEntry {
    FolderEntry {
        name: for_screen(&entry.name, 255),
        path: entry.path,
        kind: match entry.kind {
            Kind::Folder => EntryKind::Folder,
            Kind::File => EntryKind::File,
            Kind::Link => EntryKind::Link,
            Kind::Other => EntryKind::Other,
        },
        size: entry.size,
        modified: entry.modified.and_then(|seconds| Timestamp::from_second(seconds).ok()),
    }
}
