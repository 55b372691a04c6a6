//! The hub's side of sharing by link: what the owner's acts agree to, and what is told.
//!
//! Opening a link needs consent to `share/link`, asked for like any other. Whom the owner lets in, one by one or by
//! opening the link to whoever knows the PIN or the address, is agreed to by that act, until the share ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accord_consent::outlet::interfaces::{self, Interface};
use accord_consent::{Choice, Consent, ConsentId, ConsentState, RecipientId, Refusal, To};
use accord_model::{EntryKey, FieldSet, Timestamp};
use accord_share::{OpenShare, Share, ShareError, ShareEvent, Visitor, VisitorState};

use super::hub::Hub;
use super::notify::{Note, Notifier};
use super::transfers::absolute;
use crate::api::error::{Answer, Failure};
use crate::api::shares as api;
use crate::api::types::Event;

const LINK: &str = "share/link";
const VISITOR: &str = "share/visitor";
/// How long a share is open when nobody said.
const USUAL: u32 = 3600;

/// What belongs to the shares that are open.
#[derive(Default)]
pub struct Belongings(Mutex<HashMap<String, Belonging>>);

#[derive(Default)]
struct Belonging {
    hosts: Vec<String>,
    /// What the upload was claimed for.
    claim: Option<String>,
    /// What the owner agreed to by opening it and by letting visitors in.
    consents: Vec<ConsentId>,
}

impl Belongings {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Belonging>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an upload was claimed for a share that is open.
    pub fn need_upload(&self, claim: &str) -> bool {
        self.lock().values().any(|belonging| belonging.claim.as_deref() == Some(claim))
    }
}

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Self {
        let message = error.to_string();
        match error {
            ShareError::NoShare | ShareError::NoVisitor => Self::not_found(message),
            ShareError::Full => Self::conflict(message),
            ShareError::NotConsented(_) => Self::refused(message),
            ShareError::Open(_) => Self::internal("The link could not be opened", message),
            _ => Self::bad_request(message),
        }
    }
}

impl Hub {
    pub async fn shares_now(&self) -> Vec<api::Share> {
        let hosts = hosts(self.network).await;
        self.shares.list().iter().map(|share| view(share, &hosts)).collect()
    }

    pub async fn share_now(&self, id: &str) -> Answer<api::Share> {
        Ok(view(&self.shares.get(id)?, &hosts(self.network).await))
    }

    pub async fn share_code(&self, id: &str) -> Answer<api::ShareCode> {
        let share = self.share_now(id).await?;
        let Some(url) = share.urls.into_iter().next() else {
            return Err(Failure::conflict("This machine is in no network now, so there is no address to show."));
        };
        Ok(api::ShareCode { qr_svg: super::devices::qr(&url)?, url })
    }

    pub async fn start_share(self: &Arc<Self>, wanted: api::StartShare) -> Answer<api::Share> {
        let link = entry(LINK)?;
        let everyone_near = RecipientId::lan();
        if let Err(refusal) = self.gate.check(&link, &everyone_near, FieldSet::EMPTY) {
            return Err(self.not_let_out(refusal, &everyone_near, "Share by link".to_owned()));
        }
        self.visitors_may_come()?;
        let seconds = wanted.seconds.unwrap_or(USUAL);
        let until = Timestamp::now() + Duration::from_secs(seconds.into());
        let admission = match (wanted.admission, wanted.pin) {
            (api::Admission::Pin, Some(pin)) => accord_share::Admission::Pin(pin.trim().into()),
            (api::Admission::Pin, None) => accord_share::Admission::Pin(six_digits()?.into()),
            (_, Some(_)) => return Err(Failure::bad_request("A PIN goes with the admission `pin` only.")),
            (api::Admission::Ask, None) => accord_share::Admission::Ask,
            (api::Admission::Everyone, None) => accord_share::Admission::Everyone,
        };
        let claim = wanted.upload.as_ref().map(|upload| format!("share-{upload}"));
        let paths = match (wanted.paths, &wanted.upload, &claim) {
            (Some(paths), None, _) => absolute(paths)?,
            (None, Some(upload), Some(claim)) => self.uploads.claim(upload, claim)?,
            (None, None, _) => Vec::new(),
            _ => return Err(Failure::bad_request("Give `paths` or `upload`, not both.")),
        };
        let by_one = admission == accord_share::Admission::Ask;
        let (name, kind, text) = (self.name(), self.kind(), wanted.text);
        let opened = self.shares.open(OpenShare { paths, text, admission, until, name, kind }).await;
        let share = match opened {
            Ok(share) => share,
            Err(error) => {
                if let Some(upload) = &wanted.upload {
                    self.uploads.release(upload);
                }
                return Err(match error {
                    ShareError::NotConsented(refusal) => {
                        self.not_let_out(refusal, &everyone_near, "Share by link".to_owned())
                    }
                    error => error.into(),
                });
            }
        };
        let hosts = hosts(self.network).await;
        let belonging = Belonging { hosts: hosts.clone(), claim, consents: Vec::new() };
        self.belongings.lock().insert(share.id.clone(), belonging);
        if !by_one {
            let (id, surface) = (share.id.clone(), wanted.surface);
            let agreed = self.blocking(move |hub| hub.agree_to(&id, To::Any, until, surface.as_deref())).await;
            if let Err(failure) = agreed {
                self.stop_share(&share.id).await?;
                return Err(failure);
            }
        }
        let view = view(&share, &hosts);
        self.events.tell(Event::Share(view.clone()));
        Ok(view)
    }

    /// Refused for whoever comes, nothing is opened.
    fn visitors_may_come(&self) -> Answer<()> {
        let anyone = RecipientId::visitor(IpAddr::from([0, 0, 0, 0]));
        match self.gate.check(&entry(VISITOR)?, &anyone, FieldSet::EMPTY) {
            Err(refusal @ (Refusal::Refused(_) | Refusal::NoEntry(_))) => Err(Failure::refused(refusal.to_string())),
            _ => Ok(()),
        }
    }

    pub async fn stop_share(self: &Arc<Self>, id: &str) -> Answer<()> {
        let closed = self.shares.close(id).await;
        let id = id.to_owned();
        self.blocking(move |hub| {
            hub.share_over(&id);
            Ok(())
        })
        .await?;
        Ok(closed?)
    }

    /// At the end of the hub.
    pub(super) async fn stop_shares(&self) {
        let open = self.shares.list();
        self.shares.close_all().await;
        open.iter().for_each(|share| self.share_over(&share.id));
    }

    /// The owner lets a visitor in, which agrees to its address, or does not.
    pub fn answer_visitor(&self, id: &str, visitor: u64, wanted: &api::AnswerVisitor) -> Answer<api::Share> {
        let share = self.shares.get(id)?;
        let waits = |one: &&Visitor| one.id == visitor && one.state == VisitorState::Waiting;
        let found = share.visitors.iter().find(waits).ok_or(ShareError::NoVisitor)?;
        if wanted.let_in {
            let to = To::One(RecipientId::visitor(found.address));
            self.agree_to(id, to, share.until, wanted.surface.as_deref())?;
        }
        let share = self.shares.answer(id, visitor, wanted.let_in)?;
        Ok(self.share_view(&share))
    }

    /// Agrees to `share/visitor` until the share ends, unless something that lasts as long is agreed to already.
    fn agree_to(&self, share: &str, to: To, until: Timestamp, surface: Option<&str>) -> Answer<()> {
        let visitor = entry(VISITOR)?;
        let before = self.gate.consents().into_iter().find(|consent| consent.entry == visitor && consent.to == to);
        let lasts =
            |consent: &Consent| consent.state == ConsentState::Given && consent.until().is_none_or(|end| end >= until);
        let id = match &before {
            Some(lasting) if lasts(lasting) => lasting.id,
            _ => {
                let agreed = self.decide_as(visitor, to, Choice::Until(until), None, surface.unwrap_or("web"))?;
                agreed.id.parse().map_err(|error| Failure::internal("No such consent", error))?
            }
        };
        let mut all = self.belongings.lock();
        // What the owner decided elsewhere does not end with this share; what took the place of another share's serves
        // both, and ends with the last.
        let of_shares = |id: ConsentId| all.values().any(|other| other.consents.contains(&id));
        let before = before.map(|before| before.id);
        if before == Some(id) && !of_shares(id) {
            return Ok(());
        }
        let needs = |name: &str, other: &Belonging| {
            name == share || before.is_some_and(|before| other.consents.contains(&before))
        };
        for (_, belonging) in all.iter_mut().filter(|(name, other)| needs(name, other)) {
            if !belonging.consents.contains(&id) {
                belonging.consents.push(id);
            }
        }
        Ok(())
    }

    /// What belonged to a share ends with it, unless another open one needs it too.
    pub fn share_over(&self, id: &str) {
        let (gone, kept) = {
            let mut all = self.belongings.lock();
            let gone = all.remove(id);
            let kept: Vec<ConsentId> = all.values().flat_map(|belonging| belonging.consents.clone()).collect();
            (gone, kept)
        };
        let Some(Belonging { claim, consents, .. }) = gone else { return };
        if let Some(claim) = claim {
            self.uploads.transfer_over(&claim);
        }
        for id in consents.into_iter().filter(|id| !kept.contains(id)) {
            self.end_consent(id);
        }
        self.events.tell(Event::ShareGone { id: id.to_owned() });
    }

    /// Some events were missed: what belonged to shares that are over ends now.
    pub(super) fn shares_compared(&self) {
        let open: Vec<String> = self.shares.list().into_iter().map(|share| share.id).collect();
        let known: Vec<String> = self.belongings.lock().keys().cloned().collect();
        known.iter().filter(|id| !open.contains(id)).for_each(|id| self.share_over(id));
    }

    fn end_consent(&self, id: ConsentId) {
        let state = self.gate.consents().into_iter().find(|consent| consent.id == id).map(|consent| consent.state);
        if state == Some(ConsentState::Given)
            && let Err(error) = self.gate.withdraw(id)
        {
            tracing::warn!(%error, "what was agreed to for a share could not be withdrawn");
        }
        // About an address that is somebody else's tomorrow; one on any visitor stays in the list as withdrawn.
        if let Err(error) = self.gate.forget(id) {
            tracing::trace!(%error, "it stays in the list");
        }
    }

    /// At the start no share is open: what was agreed to for one that a crash ended is over.
    pub fn forget_visitors(&self) {
        let left = self.gate.consents().into_iter().filter(|consent| {
            let visitor = matches!(&consent.to, To::One(to) if to.as_visitor().is_some());
            let ended = consent.state == ConsentState::Withdrawn && visitor;
            consent.entry.as_str() == VISITOR && (consent.until().is_some() || ended)
        });
        for consent in left {
            self.end_consent(consent.id);
        }
    }

    fn share_view(&self, share: &Share) -> api::Share {
        let hosts = self.belongings.lock().get(&share.id).map(|belonging| belonging.hosts.clone());
        view(share, &hosts.unwrap_or_default())
    }

    pub(super) fn on_share(&self, notifier: &Notifier, event: ShareEvent) {
        match event {
            ShareEvent::Changed(share) => self.events.tell(Event::Share(self.share_view(&share))),
            ShareEvent::Knocked { share, visitor } => notifier.show(Note {
                // Whoever knocks again and again is one notification.
                about: format!("visitor {share} {}", visitor.address),
                title: format!("{} wants to fetch what you share", visitor.address),
                body: visitor.agent.clone().unwrap_or_else(|| "It does not say what it is".to_owned()),
                offer: None,
            }),
            ShareEvent::Gone { share, .. } => self.share_over(&share),
        }
    }
}

fn entry(key: &str) -> Answer<EntryKey> {
    EntryKey::new(key).map_err(|error| Failure::internal("No such entry", error))
}

fn view(share: &Share, hosts: &[String]) -> api::Share {
    let (admission, pin) = match &share.admission {
        accord_share::Admission::Ask => (api::Admission::Ask, None),
        accord_share::Admission::Everyone => (api::Admission::Everyone, None),
        accord_share::Admission::Pin(pin) => (api::Admission::Pin, Some(pin.to_string())),
    };
    let item = |item: &accord_share::Item| api::ShareItem {
        name: accord_model::text::for_screen(&item.name, 400),
        size: item.size,
        text: item.text,
    };
    api::Share {
        id: share.id.clone(),
        urls: hosts.iter().map(|host| format!("http://{host}:{}{}", share.port, share.path)).collect(),
        admission,
        pin,
        opened: share.opened,
        until: share.until,
        items: share.items.iter().map(item).collect(),
        items_total: share.items_total,
        bytes_total: share.bytes_total,
        skipped: share.skipped.clone(),
        visitors: share.visitors.iter().map(visitor).collect(),
    }
}

fn visitor(visitor: &Visitor) -> api::Visitor {
    api::Visitor {
        id: visitor.id,
        address: visitor.address.to_string(),
        agent: visitor.agent.clone(),
        state: match visitor.state {
            VisitorState::Waiting => api::VisitorState::Waiting,
            VisitorState::In => api::VisitorState::In,
            VisitorState::Declined => api::VisitorState::Declined,
            VisitorState::Left => api::VisitorState::Left,
        },
        since: visitor.since,
        files_done: visitor.files_done,
        bytes: visitor.bytes,
        fetching: visitor.fetching.as_deref().map(|name| accord_model::text::for_screen(name, 400)),
    }
}

/// This machine's addresses for an address bar, the likeliest first: real networks before those of containers and
/// virtual machines, IPv4 before IPv6. Link-local IPv6 does not work in browsers.
pub(super) async fn hosts(network: accord_link::Network) -> Vec<String> {
    let interfaces = interfaces::list(network).await;
    let loopback = network == accord_link::Network::Loopback;
    let mut used: Vec<&Interface> = interfaces.iter().filter(|one| one.loopback == loopback).collect();
    used.sort_by_key(|one| is_virtual(&one.name));
    let v4 = used.iter().flat_map(|one| one.v4.iter()).map(|(ip, _)| ip).filter(|ip| !ip.is_link_local());
    let v6 = used.iter().flat_map(|one| one.v6.iter()).filter(|ip| ip.is_unique_local() || ip.is_loopback());
    v4.map(ToString::to_string).chain(v6.map(|ip| format!("[{ip}]"))).collect()
}

fn is_virtual(interface: &str) -> bool {
    ["docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "lxc", "cni", "podman"]
        .iter()
        .any(|start| interface.starts_with(start))
}

fn six_digits() -> Answer<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| Failure::internal("No PIN could be made up", error))?;
    Ok(format!("{:06}", u64::from_le_bytes(bytes) % 1_000_000))
}
