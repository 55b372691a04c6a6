//! The API's types for the files that lie on other devices.

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /devices/{id}/files`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Folder {
    /// Which folder it is, as the device calls it; empty for the list of the places where one can begin.
    pub path: String,
    /// Folders first, by name.
    pub entries: Vec<FolderEntry>,
    /// There is more than these.
    pub more: bool,
    /// Entries that are left out because their names are no text.
    pub nameless: u64,
}

/// One entry of a folder on a device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FolderEntry {
    /// Safe to show.
    pub name: String,
    /// To ask for it with. Not safe to show.
    pub path: String,
    pub kind: EntryKind,
    /// Bytes of a file.
    pub size: Option<u64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    Folder,
    File,
    /// It points to another; to which, shows when it is opened or fetched.
    Link,
    /// Neither opened nor fetched.
    Other,
}

/// `POST /devices/{id}/files/fetch`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FetchFile {
    /// A file's path on the device.
    pub path: String,
}

/// `GET /devices/{id}/files/address`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileAddress {
    /// An `http` address on the device's own host.
    pub address: String,
    /// What it is called there; safe to show.
    pub title: String,
    /// Its MIME type.
    pub format: Option<String>,
    /// `bytes` when any part can be fetched, `none` when not.
    pub seek: Option<String>,
    /// In seconds.
    pub length: Option<f64>,
}
