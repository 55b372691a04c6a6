//! What lives as long as the owner agrees to search: DNS-SD, who is here, and what the hands say meanwhile.

use accord_consent::outlet::Near;
use accord_consent::outlet::interfaces::Network;
use accord_ports::dns_sd::{Browsing, Seen};
use tokio::sync::mpsc;

use super::law;
use super::mind::Heard;
use crate::core::advert::SERVICE;
use crate::core::discovery::{Discovery, Limits};

/// What waits for the mind.
const QUEUE: usize = 256;

/// What woke it.
pub(crate) enum Woken {
    Heard(Heard),
    Seen(Seen),
}

pub(crate) struct Nearby {
    pub browsing: Browsing,
    pub discovery: Discovery,
    pub heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
}

impl Nearby {
    pub(crate) async fn open(near: Near, network: Network) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        let browsing = Browsing::open(near, network, law::SEARCH, &[SERVICE]).await;
        Self { browsing, discovery: Discovery::new(Limits::default()), heard, inbox }
    }

    /// May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Woken {
        tokio::select! {
            biased;
            Some(heard) = self.inbox.recv() => Woken::Heard(heard),
            seen = self.browsing.next() => Woken::Seen(seen),
        }
    }

    /// What waited for the mind.
    pub(crate) fn close(mut self) -> Vec<Heard> {
        self.browsing.close();
        self.inbox.close();
        std::iter::from_fn(|| self.inbox.try_recv().ok()).collect()
    }
}
