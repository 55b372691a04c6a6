//! Where the owner's decisions and the ledger are read and made: through the running hub, or directly
//! on this hub's stores when none runs.

use std::io::Write;
use std::sync::Arc;

use accord_consent::Query;
use accord_model::IdError;
use accord_model::text::for_screen;
use anyhow::{Result, bail};
use futures_util::TryStreamExt;
use hyper::Method;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::hub::{Hub, escape};
use crate::api::error::Failure;
use crate::api::types::{Consent, Consents, Decide, Entries, LedgerPage, Record, Status, Verification};
use crate::daemon::hub::Hub as Stores;
use crate::state::{HubLock, UpOptions};

/// What of the ledger is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub search: Option<String>,
    pub kind: Option<String>,
    pub entry: Option<String>,
    pub recipient: Option<String>,
    pub before: Option<u64>,
    pub limit: usize,
}

/// The largest page that the hub gives.
const PAGE: usize = 500;

pub enum Desk {
    Hub(Hub),
    /// No hub can start while this is open.
    Stores(Arc<Stores>, #[expect(dead_code, reason = "held until the command is done")] HubLock),
}

fn said(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

impl Desk {
    pub async fn open(context: &Context) -> Result<Self> {
        match context.hub.get::<Status>("/status").await {
            Ok(_) => Ok(Self::Hub(context.hub.clone())),
            Err(error) if error.is_not_running() => {
                let lock = context.state.lock()?;
                let state = context.state.clone();
                let options = UpOptions { state, http: None, name: None, kind: None, open: false, loopback: true };
                Ok(Self::Stores(Stores::open(&options, CancellationToken::new())?, lock))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub async fn entries(&self) -> Result<Entries> {
        match self {
            Self::Hub(hub) => Ok(hub.get("/entries").await?),
            Self::Stores(stores, _) => stores.entries().map_err(said),
        }
    }

    pub async fn consents(&self) -> Result<Consents> {
        match self {
            Self::Hub(hub) => Ok(hub.get("/consents").await?),
            Self::Stores(stores, _) => Ok(Consents { consents: stores.consents() }),
        }
    }

    pub async fn decide(&self, decision: &Decide) -> Result<Consent> {
        match self {
            Self::Hub(hub) => Ok(hub.post("/consents", decision).await?),
            Self::Stores(stores, _) => stores.decide(decision).map_err(said),
        }
    }

    pub async fn withdraw(&self, id: &str) -> Result<()> {
        match self {
            Self::Hub(hub) => Ok(hub.tell(Method::DELETE, &format!("/consents/{}", escape(id)), None::<&()>).await?),
            Self::Stores(stores, _) => {
                let id = id.parse().map_err(|error: String| anyhow::anyhow!(error))?;
                stores.withdraw(id).map_err(said)
            }
        }
    }

    pub async fn receipts(&self) -> Result<Value> {
        match self {
            Self::Hub(hub) => Ok(hub.get("/consents/receipts").await?),
            Self::Stores(stores, _) => stores.receipts().map_err(said),
        }
    }

    /// As many records as wanted, newest first.
    pub async fn records(&self, wanted: &Wanted) -> Result<LedgerPage> {
        let mut page = self.page(wanted).await?;
        while let Some(next) = page.next.filter(|_| page.records.len() < wanted.limit) {
            let rest = Wanted { before: Some(next), limit: wanted.limit - page.records.len(), ..wanted.clone() };
            let more = self.page(&rest).await?;
            if more.records.is_empty() {
                break;
            }
            page.records.extend(more.records);
            page.next = more.next;
        }
        Ok(page)
    }

    async fn page(&self, wanted: &Wanted) -> Result<LedgerPage> {
        match self {
            Self::Hub(hub) => {
                let mut path = format!("/ledger?limit={}", wanted.limit.clamp(1, PAGE));
                let words = [
                    ("search", &wanted.search),
                    ("kind", &wanted.kind),
                    ("entry", &wanted.entry),
                    ("recipient", &wanted.recipient),
                    ("before", &wanted.before.map(|seq| seq.to_string())),
                ];
                for (key, value) in words {
                    if let Some(value) = value {
                        path.push_str(&format!("&{key}={}", escape(value)));
                    }
                }
                Ok(hub.get(&path).await?)
            }
            Self::Stores(stores, _) => {
                let kind = wanted.kind.as_deref().map(str::parse).transpose();
                let entry = wanted.entry.as_deref().map(str::parse).transpose();
                let recipient = wanted.recipient.as_deref().map(|to| stores.recipient(to)).transpose();
                let limit = wanted.limit.clamp(1, PAGE);
                let query = Query {
                    search: wanted.search.clone(),
                    kind: kind.map_err(|error: String| anyhow::anyhow!(error))?,
                    entry: entry.map_err(|error: IdError| anyhow::anyhow!(error))?,
                    recipient: recipient.map_err(said)?,
                    before: wanted.before,
                    limit: Some(limit),
                };
                stores.ledger_page(&query, limit).map_err(said)
            }
        }
    }

    pub async fn record(&self, seq: u64) -> Result<Record> {
        match self {
            Self::Hub(hub) => Ok(hub.get(&format!("/ledger/{seq}")).await?),
            Self::Stores(stores, _) => stores.ledger_record(seq).map_err(said),
        }
    }

    pub async fn verify(&self) -> Result<Verification> {
        match self {
            Self::Hub(hub) => Ok(hub.post("/ledger/verify", &serde_json::json!({})).await?),
            Self::Stores(stores, _) => stores.verify_ledger().map_err(said),
        }
    }

    /// Every record as one line of JSON, oldest first.
    pub async fn export(&self, to: &mut dyn Write) -> Result<()> {
        match self {
            Self::Hub(hub) => {
                let mut body = Box::pin(hub.download("/ledger/export").await?);
                while let Some(bytes) = body.try_next().await? {
                    to.write_all(&bytes)?;
                }
            }
            Self::Stores(stores, _) => drop(stores.gate.ledger().export(to)?),
        }
        Ok(to.flush()?)
    }

    /// The entry that a person means: its key.
    pub async fn entry(&self, key: &str) -> Result<crate::api::types::Entry> {
        let entries = self.entries().await?.entries;
        let known: Vec<String> = entries.iter().map(|entry| for_screen(&entry.key, 60)).collect();
        match entries.into_iter().find(|entry| entry.key == key) {
            Some(entry) => Ok(entry),
            None => bail!("The statement has no entry `{}`; it has: {}", for_screen(key, 60), known.join(", ")),
        }
    }
}
