//! What goes through a connection: requests, answers, and how it ends. Their `Debug` shows no content.

use std::fmt;

use accord_model::FieldSet;

use super::HttpError;
use crate::core::Peer;
use crate::core::message::reason_json;
use crate::core::route::Route;
use crate::core::wire::WireError;

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Nothing was going on.
    #[error("the connection was closed")]
    Quietly,
    /// The peer hung up in the middle.
    #[error("the other device hung up")]
    HungUp,
    /// The peer took too long.
    #[error("the other device took too long to {0}")]
    TooSlow(&'static str),
    /// It does not speak HTTP as it should.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// Encryption failed.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// We ended it.
    #[error("the connection was given up here")]
    Aborted,
}

/// A request that is complete, but for the body of an upload.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub peer: Peer,
    /// What for.
    pub route: Route,
    /// Whether a browser sends it on behalf of a page that is not ours.
    pub is_foreign: bool,
    /// The body; empty for uploads.
    pub body: Vec<u8>,
    /// How long the body of an upload says it is.
    pub length: Option<u64>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// MIME type.
    pub content_type: &'static str,
    /// The content.
    pub body: Vec<u8>,
    /// Which kinds of personal data are in it.
    pub fields: FieldSet,
}

impl Response {
    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self { status, content_type: "application/json", body: Vec::new(), fields: FieldSet::EMPTY }
    }
    /// A status and why.
    pub fn reason(status: u16, why: &str) -> Self {
        Self { body: reason_json(why), ..Self::status(status) }
    }
    /// JSON with personal data of these kinds.
    pub fn json(json: Vec<u8>, fields: FieldSet) -> Self {
        Self { body: json, fields, ..Self::status(200) }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, route, is_foreign, body, length } = self;
        let mut out = f.debug_struct("Request");
        out.field("peer", peer).field("route", route).field("is_foreign", is_foreign);
        out.field("body", &body.len()).field("length", length).finish()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, body, fields, .. } = self;
        f.debug_struct("Response").field("status", status).field("body", &body.len()).field("fields", fields).finish()
    }
}
