//! What the device is told: what to play, from where, in which format.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use accord_consent::outlet::interfaces::list;
use accord_consent::outlet::serve as listen;
use accord_consent::{Envelope, Personal, RecipientId};
use accord_model::{CallError, Data, FieldCode, Timestamp};
use accord_registry::Ask;

use super::{Begin, ELSEWHERE, LASTS, Opened, Player, Playing, TOLD_WITHIN};
use crate::book::{Captions, CastError, Choice, Step};
use crate::casts::served;
use crate::evidence::{Evidence, Known};
use crate::flow::Flow;
use crate::item::Item;
use crate::prepare::{Options, Prepared, Track, Wanted};
use crate::queue::{Kind, Queued, QueuedState, Source};
use crate::receiver::Receiver;
use crate::serve::{Stand, accept};

/// How long making a thing ready may take.
const PREPARED_WITHIN: Duration = Duration::from_secs(120);
/// What the device shows: never the file's name, unless the owner wants that.
const TITLE: &str = "Accord";

impl Player {
    /// Begins with this one. One that cannot be shown costs itself, and the next has its turn.
    pub(super) async fn begin(&mut self, mut at: usize, mut from: f64) -> Result<(), CastError> {
        loop {
            let error = match self.open(at, from, 0).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // It said no to every way: another face of it may not.
            if matches!(error, CastError::Told(CallError::Device(_) | CallError::BadInput(_) | CallError::Refused(_)))
                && self.another_face().await
            {
                self.keeps_tries = true;
                continue;
            }
            let only_this = matches!(
                error,
                CastError::File(_)
                    | CastError::Told(CallError::Device(_) | CallError::BadInput(_) | CallError::Refused(_))
            );
            if !only_this {
                return Err(error);
            }
            self.mark(at, QueuedState::Failed(error.to_string()));
            (at, from, self.sound, self.captions) = (at + 1, 0.0, None, Captions::Off);
            if at >= self.queue.len() {
                return Err(error);
            }
        }
    }

    /// Has the device play this one from a place on, in the way of this step or the next ones.
    pub(super) async fn open(&mut self, at: usize, from: f64, mut step: usize) -> Result<(), CastError> {
        let mut anew = !std::mem::take(&mut self.keeps_tries) && (at != self.at || step == 0);
        loop {
            let receiver = Receiver::find(&self.inner.registry, &self.device)?;
            let source = self.queue.get(at).map(|queued| queued.source.clone()).ok_or(CastError::NoCast)?;
            let asked = Timestamp::now();
            let raw = receiver.takes_raw();
            let opened = match source {
                Source::Path(path) if raw => {
                    self.inner.others_end(&self.device, self.number);
                    self.flow(&receiver, path, from).await?
                }
                Source::Address(_) | Source::There(_) if raw => {
                    return Err(CastError::File("this device takes sound from here, and fetches nothing".to_owned()));
                }
                Source::Path(path) => self.serve(&receiver, at, path, from, step).await?,
                Source::Address(_) | Source::There(_) => Opened::Address,
            };
            let how = match (&opened, opened.prepared()) {
                (_, Some(prepared)) => prepared.how.clone(),
                (Opened::Sound { .. }, _) => "as raw sound".to_owned(),
                _ => "from its own address".to_owned(),
            };
            let how = match &self.face {
                Some(face) => format!("by {face}: {how}"),
                None => how,
            };
            let next = opened.prepared().and_then(|prepared| prepared.next.clone());
            let last = next.is_none();
            let next = next.or_else(|| self.next_face());
            let advice = opened.prepared().and_then(|prepared| prepared.advice.clone());
            let forget = std::mem::take(&mut anew);
            self.inner.book.update(self.number, |cast| {
                if forget {
                    cast.tries.clear();
                }
                cast.tried(how);
                (cast.next, cast.advice) = (next, advice);
            });
            if raw {
                self.opened(at, from, opened, asked);
                return Ok(());
            }
            self.inner.others_end(&self.device, self.number);
            let asked = Timestamp::now();
            match self.tell(&receiver, at, &opened, from).await {
                Ok(()) => {
                    self.opened(at, from, opened, asked);
                    return Ok(());
                }
                Err(error @ CallError::Device(_)) if !last => {
                    self.failed(&opened, &receiver, &error.to_string());
                    step += 1;
                }
                Err(error) => {
                    self.inner.book.update(self.number, |cast| cast.failed(&error.to_string()));
                    return Err(error.into());
                }
            }
        }
    }

    /// Makes a file ready and serves it.
    pub(super) async fn serve(
        &mut self,
        receiver: &Receiver,
        at: usize,
        path: PathBuf,
        from: f64,
        step: usize,
    ) -> Result<Opened, CastError> {
        let item = open_item(path).await?;
        let captions = match (self.captions, &self.subtitles) {
            (Captions::File, Some(path)) => Wanted::File(path.clone()),
            (Captions::Track(track), _) => Wanted::Track(track),
            _ => Wanted::None,
        };
        let options = Options { audio_track: self.sound, captions, start: from, step, ..Options::default() };
        let wants = self.inner.wants(&receiver.device);
        let preparing = tokio::time::timeout(PREPARED_WITHIN, self.inner.formats.prepare(&item, &wants, &options));
        let prepared = match preparing.await {
            Ok(prepared) => prepared.map_err(CastError::File)?,
            Err(_) => return Err(CastError::File("looking into it takes too long".to_owned())),
        };
        if let Some(queued) = self.queue.get_mut(at) {
            queued.kind = Kind::by_mime(prepared.format.mime, queued.kind);
        }
        let thing = self.stand(receiver).await?.put(prepared);
        Ok(Opened::File { item, thing, step })
    }

    /// Lets the sound of a file flow to a loudspeaker.
    pub(super) async fn flow(&mut self, receiver: &Receiver, path: PathBuf, from: f64) -> Result<Opened, CastError> {
        // What flows there until now ends first: it takes one stream at a time.
        self.now = None;
        let item = open_item(path).await?;
        let options = Options { audio_track: self.sound, start: from, ..Options::default() };
        let wants = self.inner.wants(&receiver.device);
        let pcm = self.inner.formats.pcm(&item, &wants, &options);
        let pcm = match tokio::time::timeout(PREPARED_WITHIN, pcm).await {
            Ok(pcm) => pcm.map_err(CastError::File)?,
            Err(_) => return Err(CastError::File("looking into it takes too long".to_owned())),
        };
        let flow = Flow::begin(&self.inner, &self.device, receiver.target(), pcm, &self.stop).await?;
        Ok(Opened::Sound { item, flow: Arc::new(flow), from })
    }

    /// The place where the device fetches, opened with the first file.
    pub(super) async fn stand(&mut self, receiver: &Receiver) -> Result<Arc<Stand>, CastError> {
        let unknown =
            || CastError::NoRenderer("it is not known from where this device would fetch the file".to_owned());
        let address = receiver.address().ok_or_else(unknown)?;
        let near = list(self.inner.network).await;
        let here = near.iter().filter(|interface| interface.is_on_link(address)).find_map(|one| one.v4.first());
        let (here, _) = here.ok_or(CastError::NoWay)?;
        if let Some(stand) = &self.stand
            && self.fetches_from == Some(address)
            && stand.is_at((*here).into())
        {
            return Ok(stand.clone());
        }
        // One of the two has another address than before: nothing could be fetched at the old one.
        self.stand_ends.cancel();
        self.stand_ends = self.stop.child_token();
        let to = RecipientId::device(&self.device);
        let permit = self.inner.gate.permit(&self.inner.serve, &to, served(), "on.send")?;
        let served = listen(permit, SocketAddr::new((*here).into(), 0), address, LASTS).await;
        let served = served.map_err(|error| CastError::Serve(error.to_string()))?;
        let stand = Stand::new(served).map_err(|error| CastError::Serve(error.to_string()))?;
        tokio::spawn(accept(stand.clone(), self.stand_ends.clone(), self.stop.clone()));
        (self.stand, self.fetches_from) = (Some(stand.clone()), Some(address));
        Ok(stand)
    }

    pub(super) async fn tell(
        &self,
        receiver: &Receiver,
        at: usize,
        opened: &Opened,
        from: f64,
    ) -> Result<(), CallError> {
        // Nothing is said to one that takes raw sound: it has it.
        if matches!(opened, Opened::Sound { .. }) {
            return Ok(());
        }
        let there = self.queue.get(at).is_some_and(|queued| matches!(queued.source, Source::There(_)));
        let port = match opened {
            // The address is the title's affair then, too: each is told under an entry that says so.
            Opened::Address if there && self.real_title => &self.inner.title,
            Opened::Address => &self.inner.address,
            _ if self.real_title => &self.inner.title,
            _ => &self.inner.command,
        };
        let message = self.message(receiver, at, opened, from);
        port.call(&self.device, receiver.target(), Ask::act("open"), message, TOLD_WITHIN).await.map(drop)
    }

    /// What is said of one of the queue.
    pub(super) fn message(&self, receiver: &Receiver, at: usize, opened: &Opened, from: f64) -> Envelope {
        let takes = receiver.takes();
        let said = |text: String| Personal::new(FieldCode::MediaNowPlaying, Data::Text(text));
        let known = |data: Data| Personal::new(FieldCode::FileMeta, data);
        let mut message = Envelope::new().beside(FieldCode::CommandName).data("title", &said(self.title(at)));
        let mut start = from;
        match opened {
            Opened::Address => {
                let source = self.queue.get(at).map(|queued| &queued.source);
                let address = source.and_then(Source::address).unwrap_or_default();
                message = message.data("address", &said(address.to_owned()));
                if let Some(Source::There(there)) = source {
                    if let Some(format) = there.format.clone().filter(|_| takes.contains("format")) {
                        message = message.data("format", &known(Data::Text(format)));
                    }
                    if let Some(parts) = there.parts.filter(|_| takes.contains("seek")) {
                        let seek = if parts { "bytes" } else { "none" };
                        message = message.data("seek", &known(Data::Text(seek.to_owned())));
                    }
                    if let Some(length) = there.length.filter(|_| takes.contains("length")) {
                        message = message.data("length", &known(Data::Float(length.as_secs_f64())));
                    }
                }
            }
            Opened::Sound { .. } => {}
            Opened::File { thing, .. } => {
                let prepared = &thing.prepared;
                message = message.data("address", &said(thing.address()));
                start = prepared.start;
                if takes.contains("format") {
                    message = message.data("format", &known(Data::Text(prepared.format.mime.to_owned())));
                }
                if takes.contains("seek") {
                    message = message.data("seek", &known(Data::Text(prepared.seek.as_str().to_owned())));
                }
                if let Some(length) = prepared.length.filter(|_| takes.contains("length")) {
                    message = message.data("length", &known(Data::Float(length)));
                }
                if let Some(captions) = thing.captions().filter(|_| takes.contains("captions")) {
                    message = message.data("captions", &said(captions));
                }
            }
        }
        if start > 0.0 && takes.contains("start") {
            message = message.data("start", &known(Data::Float(start)));
        }
        message
    }

    /// What the device shows. An address says enough itself.
    pub(super) fn title(&self, at: usize) -> String {
        match self.queue.get(at) {
            Some(Queued { source: Source::Path(path), .. }) if self.real_title => path
                .file_stem()
                .map_or(TITLE.to_owned(), |stem| accord_model::text::for_screen(&stem.to_string_lossy(), 120)),
            Some(Queued { source: Source::There(there), .. }) if self.real_title => {
                accord_model::text::for_screen(&there.name, 120)
            }
            _ => TITLE.to_owned(),
        }
    }

    /// The device said yes.
    pub(super) fn opened(&mut self, at: usize, from: f64, opened: Opened, asked: Timestamp) {
        let picture = self.queue.get(at).is_some_and(Queued::is_picture);
        let known = Known {
            picture,
            elsewhere: matches!(opened, Opened::Address),
            size: opened.size(),
            length: match self.queue.get(at).map(|queued| &queued.source) {
                Some(Source::There(there)) => there.length.map(|length| length.as_secs_f64()),
                _ => opened.prepared().and_then(|prepared| prepared.length),
            },
            from,
            title: self.title(at),
            interval: (at + 1 < self.queue.len()).then_some(self.interval),
        };
        if at != self.at {
            let before = self.at;
            if self.queue.get(before).is_some_and(|queued| queued.state == QueuedState::Now) {
                self.mark(before, QueuedState::Waits);
            }
        }
        self.forget_ahead();
        self.at = at;
        self.mark(at, QueuedState::Now);
        let size = known.size;
        let (sounds, texts) = opened.prepared().map(tracks).unwrap_or_default();
        let (sound, captions, length) = (self.sound, self.captions, known.length);
        let (number, queue) = (self.number, self.queue.clone());
        self.inner.book.update(number, |cast| {
            (cast.at, cast.queue, cast.size, cast.length) = (at, queue, size, length);
            (cast.step, cast.held, cast.trouble, cast.fetched) = (Step::Commanded, false, None, 0);
            (cast.position, cast.sounds, cast.texts) = (None, sounds, texts);
            (cast.sound, cast.captions) = (sound, captions);
        });
        let begin = Begin { place: from, told: 0, again: Instant::now() };
        let begins_at = (from > ELSEWHERE && !opened.opens_anew()).then_some(begin);
        let evidence = Evidence::new(known, Instant::now());
        if let (Some(Playing { opened: Opened::File { thing, .. }, .. }), Some(stand)) = (&self.now, &self.stand) {
            stand.take_away(thing);
        }
        self.now = Some(Playing {
            evidence,
            opened,
            asked,
            told_again: false,
            seen: false,
            begins_at,
            place: None,
            wound: None,
        });
        (self.away, self.back) = (None, None);
    }
}

/// The sounds and the captions to choose from.
fn tracks(prepared: &Prepared) -> (Vec<Choice>, Vec<Choice>) {
    let choice = |track: &Track| Choice { label: track.label.clone() };
    (prepared.sounds.iter().map(choice).collect(), prepared.texts.iter().map(choice).collect())
}

async fn open_item(path: PathBuf) -> Result<Item, CastError> {
    let item = tokio::task::spawn_blocking(move || Item::open(&path)).await;
    item.map_err(|error| CastError::File(error.to_string()))?.map_err(CastError::File)
}
