//! Pictures of a device's notifications: fetched before the notification is told, unless that takes too long.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use accord_model::{Data, Outputs};
use tokio::sync::mpsc;

use super::payload::{Context, Portion, fetch};
use super::{Happening, Running};
use crate::core::KdeId;
use crate::core::packet::PayloadInfo;
use crate::core::payload::Size;

/// The house takes none that is larger.
const MAX_PICTURE: u64 = 32 * 1024;
/// How long a notification waits for its picture.
const WITHIN: Duration = Duration::from_secs(3);
/// Pictures of one device that are fetched at once; what comes beyond that is told without.
const AT_ONCE: usize = 8;
/// Pictures of one device that are kept, since devices send each only once.
const KEPT: usize = 32;
const MAX_HASH: usize = 64;

/// A notification that has a picture.
#[derive(Debug, PartialEq)]
pub(crate) struct Picture {
    pub note: String,
    /// Which telling of it.
    pub no: u64,
    pub hash: String,
    pub payload: Option<PayloadInfo>,
    pub arguments: Outputs,
}

/// The pictures of one device.
#[derive(Default)]
pub(crate) struct Pictures {
    known: VecDeque<(String, Vec<u8>)>,
    coming: usize,
}

impl Pictures {
    fn find(&self, hash: &str) -> Option<Vec<u8>> {
        self.known.iter().find(|(known, _)| known == hash).map(|(_, png)| png.clone())
    }
    fn keep(&mut self, hash: &str, png: &[u8]) {
        if hash.len() > MAX_HASH || self.find(hash).is_some() {
            return;
        }
        if self.known.len() >= KEPT {
            self.known.pop_front();
        }
        self.known.push_back((hash.to_owned(), png.to_vec()));
    }
}

impl Running {
    /// Tells a notification with its picture, as soon as that is here.
    pub(super) async fn picture(&mut self, id: &KdeId, picture: Picture) {
        let Some(peer) = self.peers.get(id) else { return };
        let known = peer.pictures.find(&picture.hash);
        let wanted = |info: PayloadInfo| Some((info.size.filter(|size| (1..=MAX_PICTURE).contains(size))?, info.port?));
        let wanted = picture.payload.and_then(wanted).filter(|_| known.is_none() && peer.pictures.coming < AT_ONCE);
        let up = peer.link.as_ref().filter(|up| up.secured);
        let (Some((size, port)), Some(up)) = (wanted, up) else { return self.tell_pictured(id, picture, known).await };
        let context = Context { busy: None, ..self.context(peer, up) };
        let from = SocketAddr::new(up.address, port);
        let (id, happened) = (id.clone(), self.happened.clone());
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.pictures.coming += 1;
        }
        self.tasks.spawn(async move {
            let fetched = tokio::time::timeout(WITHIN, whole(fetch(context, from, Size::Exactly(size)))).await;
            let png = fetched.ok().flatten();
            let _ = happened.send(Happening::Pictured(id, Box::new(picture), png)).await;
        });
    }

    /// Its picture is here, or will not come.
    pub(super) async fn pictured(&mut self, id: &KdeId, picture: Picture, png: Option<Vec<u8>>) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.pictures.coming = peer.pictures.coming.saturating_sub(1);
        if let Some(png) = &png {
            peer.pictures.keep(&picture.hash, png);
        }
        self.tell_pictured(id, picture, png).await;
    }

    async fn tell_pictured(&self, id: &KdeId, picture: Picture, png: Option<Vec<u8>>) {
        let Some(peer) = self.peers.get(id) else { return };
        // It was changed or taken back meanwhile.
        if !peer.posted.is_as_told(&picture.note, picture.no) {
            return;
        }
        let mut arguments = picture.arguments;
        arguments.extend(png.map(|png| ("icon".to_owned(), Data::Bytes(png))));
        self.tell_event(&peer.device, "notifications", "posted", arguments).await;
    }
}

async fn whole(mut portions: mpsc::Receiver<Portion>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match portions.recv().await? {
            Portion::Bytes(bytes) => all.extend(bytes),
            Portion::Whole => return Some(all),
            Portion::Failed(error) => {
                tracing::debug!(%error, "a notification's picture did not come");
                return None;
            }
        }
    }
}
