//! The stream of the feature that sends, fitted to uploads: which file comes next, and how much of it.

use std::collections::{HashMap, HashSet};

use accord_ports::files::wire::{ItemReason, Key, What};
use accord_ports::files::{Given, PortError, Taker};

use super::caller::Source;
use super::parcel::Parcel;
use super::sending::{End, feature};
use crate::core::message::FileOffer;

/// How far it is.
pub(crate) struct Run {
    pub parcel: Parcel,
    places: HashMap<Key, usize>,
    pub accepted: bool,
    pub sent: u64,
    pub bytes: u64,
    left_out: HashMap<usize, ItemReason>,
    pub last_error: Option<String>,
    /// Bytes of the running file, and those of them that are still to come.
    size: u64,
    left: u64,
    /// How much of a text was sent.
    at: usize,
}

impl Run {
    pub(crate) fn new(parcel: Parcel) -> Self {
        let places = parcel.keys.iter().copied().enumerate().map(|(place, key)| (key, place)).collect();
        let (accepted, sent, bytes, size, left, at) = Default::default();
        Self { parcel, places, accepted, sent, bytes, left_out: HashMap::new(), last_error: None, size, left, at }
    }

    /// The keys of what is not wanted.
    pub(crate) fn accept(&mut self, wanted: &[usize], all: usize) -> Vec<Key> {
        self.accepted = true;
        let wanted: HashSet<_> = wanted.iter().collect();
        let unwanted: Vec<usize> = (0..all).filter(|place| !wanted.contains(place)).collect();
        for place in &unwanted {
            self.left_out.insert(*place, ItemReason::NotWanted);
        }
        unwanted.iter().filter_map(|place| self.parcel.keys.get(*place)).copied().collect()
    }

    pub(crate) fn leave_out(&mut self, place: usize, reason: ItemReason) {
        self.left_out.insert(place, reason);
    }

    /// Goes on to the file at `place`. False: the feature does not give it as it was offered.
    pub(crate) async fn begin(&mut self, place: usize, offers: &[FileOffer], feed: &mut Feed<'_>) -> Result<bool, End> {
        let size = offers.get(place).map_or(0, |offer| offer.size);
        (self.size, self.left, self.at) = (size, size, 0);
        if self.parcel.text.is_some() {
            return Ok(true);
        }
        loop {
            match feed.next().await.map_err(feature)? {
                Some(Told::Entry(key)) if self.places.get(&key) == Some(&place) => return Ok(true),
                // Files come in the order of the list: this one was passed over.
                Some(Told::Entry(key)) if self.places.get(&key).is_some_and(|other| *other > place) => {
                    feed.ahead = Some(Told::Entry(key));
                    return Ok(false);
                }
                Some(Told::Finish) => {
                    feed.ahead = Some(Told::Finish);
                    return Ok(false);
                }
                Some(Told::Entry(_) | Told::End | Told::Abandon) | None => {}
            }
        }
    }

    pub(crate) async fn finish(&mut self, feed: &mut Feed<'_>) -> End {
        if !self.accepted && self.parcel.text.is_none() {
            return End::Unable("the other device wanted nothing of it".to_owned());
        }
        if self.parcel.text.is_some() {
            return match &self.last_error {
                Some(why) => End::Unable(why.clone()),
                None => End::Done(1, self.parcel.text.as_ref().map_or(0, Vec::len) as u64, Vec::new()),
            };
        }
        if self.sent == 0
            && let Some(why) = &self.last_error
        {
            return End::Unable(why.clone());
        }
        // What is left is folders, links and what was passed over.
        loop {
            match feed.next().await {
                Ok(Some(Told::Finish)) => break,
                Ok(_) => {}
                Err(error) => return feature(error),
            }
        }
        let mut left_out = std::mem::take(&mut self.parcel.left_out);
        left_out
            .extend(self.left_out.iter().filter_map(|(place, reason)| Some((*self.parcel.keys.get(*place)?, *reason))));
        End::Done(self.sent, self.bytes, left_out)
    }
}

/// What the feature said, without content.
pub(crate) enum Told {
    Entry(Key),
    End,
    Abandon,
    Finish,
}

/// The feature's stream, one word ahead at most.
pub(crate) struct Feed<'a> {
    pub taker: &'a mut Taker,
    pub ahead: Option<Told>,
    /// The feature stopped, or is gone.
    pub gone: bool,
}

impl Feed<'_> {
    /// The next word; `None` for content that is passed over, and totals.
    async fn next(&mut self) -> Result<Option<Told>, PortError> {
        if let Some(told) = self.ahead.take() {
            return Ok(Some(told));
        }
        Ok(match self.taker.next().await? {
            Given::Entry(entry) if matches!(entry.what, What::File { .. }) => Some(Told::Entry(entry.key)),
            Given::End(_) => Some(Told::End),
            Given::Abandon(_) => Some(Told::Abandon),
            Given::Finish => Some(Told::Finish),
            Given::Entry(_) | Given::Content(_) | Given::Totals(..) => None,
        })
    }

    /// Comes back when the feature stops. Reads one word ahead at most; not while content is to come.
    pub(crate) async fn interrupt(&mut self) {
        while self.ahead.is_none() {
            match self.next().await {
                Ok(told) => self.ahead = told,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
        std::future::pending().await
    }
}

/// The body of one request.
pub(crate) struct Body<'a, 'b> {
    pub feed: &'a mut Feed<'b>,
    pub run: &'a mut Run,
    pub file: Option<usize>,
}

impl Source for Body<'_, '_> {
    async fn next(&mut self, most: usize, body: &mut Vec<u8>) -> bool {
        if let Some(text) = &self.run.parcel.text {
            let end = (self.run.at + most).min(text.len());
            body.extend_from_slice(&text[self.run.at..end]);
            self.run.at = end;
            self.run.left = (text.len() - end) as u64;
            return !body.is_empty();
        }
        if self.file.is_none() || self.feed.ahead.is_some() {
            return false;
        }
        loop {
            match self.feed.taker.next().await {
                Ok(Given::Content(bytes)) if bytes.len() as u64 <= self.run.left && bytes.len() <= most => {
                    self.run.left -= bytes.len() as u64;
                    body.extend_from_slice(bytes);
                    self.feed.taker.passed_on(self.run.sent, self.run.bytes + self.run.size - self.run.left);
                    return true;
                }
                Ok(Given::Totals(..)) => {}
                Ok(Given::Entry(entry)) => {
                    self.feed.ahead = Some(Told::Entry(entry.key));
                    return false;
                }
                Ok(Given::Finish) => {
                    self.feed.ahead = Some(Told::Finish);
                    return false;
                }
                // Longer or shorter than it was offered, or unreadable.
                Ok(_) => return false,
                Err(_) => {
                    self.feed.gone = true;
                    return false;
                }
            }
        }
    }

    async fn interrupt(&mut self) {
        if self.file.is_some() && self.run.left > 0 {
            std::future::pending::<()>().await;
        }
        self.feed.interrupt().await;
    }
}
