//! One description from miot-spec.org: which URN a model has, and what that can do. Nothing else is asked there, and nothing
//! that it answers is followed.

use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::dial_host;
use accord_consent::{Permit, Personal};
use accord_http::{Answer, HttpError, encode_component};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::law::{self, SPEC_HOST};
use crate::core::spec::MAX_DOCUMENT;

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(60);
/// The list of all models is some megabytes long.
const MAX_LIST: usize = 16 << 20;
const LIST: &str = "/miot-spec-v2/instances?status=released";
const ONE: &str = "/miot-spec-v2/instance?type=";

/// The description of a model, as it came.
pub(crate) async fn fetch(permit: Permit, model: &str) -> Result<Vec<u8>, String> {
    let known = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    match tokio::time::timeout(WITHIN, both(permit, known, model)).await {
        Ok(got) => got,
        Err(_) => Err(format!("{SPEC_HOST} did not answer within {} s", WITHIN.as_secs())),
    }
}

/// The list and then the description over one connection, to whom one of these roots says that they are [`SPEC_HOST`].
async fn both(permit: Permit, roots: RootCertStore, model: &str) -> Result<Vec<u8>, String> {
    let mut line = Line::open(permit, roots).await?;
    let list = line.get(LIST, MAX_LIST, false).await?;
    let urn = newest(&list, model).ok_or_else(|| format!("{SPEC_HOST} does not know the model"))?;
    let document = line.get(&format!("{ONE}{}", encode_component(&urn)), MAX_DOCUMENT, true).await?;
    let _ = line.dialed.outflow.finish().await;
    Ok(document)
}

/// The URN of a model's newest release (a higher version keeps the numbers of the lower).
fn newest(list: &[u8], model: &str) -> Option<String> {
    let list: Value = serde_json::from_slice(list).ok()?;
    let of_model = list["instances"].as_array()?.iter().filter(|one| one["model"] == model);
    let newest = of_model.max_by_key(|one| one["version"].as_u64().unwrap_or_default())?;
    let urn = newest["type"].as_str()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
    (urn.starts_with("urn:") && urn.len() < 200 && urn.chars().all(fits)).then(|| urn.to_owned())
}

struct Line {
    dialed: accord_consent::outlet::Dialed,
    tls: ClientConnection,
}

impl Line {
    async fn open(permit: Permit, roots: RootCertStore) -> Result<Self, String> {
        let provider = Arc::new(accord_ports::tls::provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(words)?.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(SPEC_HOST).map_err(words)?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(words)?;
        Ok(Self { dialed: dial_host(permit).await.map_err(words)?, tls })
    }

    /// One answer's body, of at most that many bytes.
    async fn get(&mut self, path: &str, most: usize, last: bool) -> Result<Vec<u8>, String> {
        let connection = if last { "close" } else { "keep-alive" };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {SPEC_HOST}\r\nAccept: application/json\r\nConnection: {connection}\r\n\r\n"
        );
        std::io::Write::write_all(&mut self.tls.writer(), request.as_bytes()).map_err(words)?;
        let mut answer = Answer::new(most);
        loop {
            self.flush().await?;
            let mut plain = Vec::new();
            let end = !self.read(&mut plain).await?;
            match answer.take(&plain, end) {
                Ok(None) => {}
                Ok(Some((200, body))) => return Ok(body),
                Ok(Some((status, _))) => return Err(format!("{SPEC_HOST} answered with {status}")),
                Err(HttpError::CutShort) => return Err(format!("{SPEC_HOST} broke off")),
                Err(HttpError::BodyTooLong) => {
                    return Err(format!("{SPEC_HOST} answered with more than {} KiB", most / 1024));
                }
                Err(error) => return Err(words(error)),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        while self.tls.wants_write() {
            let mut sealed = Vec::new();
            self.tls.write_tls(&mut sealed).map_err(words)?;
            self.dialed.outflow.put(&Personal::of(law::naming(), sealed)).await.map_err(words)?;
        }
        self.dialed.outflow.flush().await.map_err(words)
    }

    /// `false` at the end.
    async fn read(&mut self, plain: &mut Vec<u8>) -> Result<bool, String> {
        let mut buffer = vec![0; 16 * 1024];
        let cancelled = self.dialed.outflow.cancelled();
        let length = tokio::select! {
            biased;
            () = cancelled.cancelled() => return Err("you withdrew your consent".to_owned()),
            read = self.dialed.reader.read(&mut buffer) => read.map_err(words)?,
        };
        let mut sealed = &buffer[..length];
        while !sealed.is_empty() {
            self.tls.read_tls(&mut sealed).map_err(words)?;
            let state = self.tls.process_new_packets().map_err(words)?;
            let before = plain.len();
            plain.resize(before + state.plaintext_bytes_to_read(), 0);
            std::io::Read::read_exact(&mut self.tls.reader(), &mut plain[before..]).map_err(words)?;
        }
        Ok(length > 0)
    }
}

fn words(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
