//! Connections with visitors: one request after the other, each answered before the next is read.
//!
//! What is said before a visitor is let in leaves under the permit for everyone near; from then on the connection is
//! bound to a permit for the visitor's address, and has a record of its own in the ledger.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::outlet::{Met, NearListener};
use accord_consent::{Personal, RecipientId};
use accord_http::{Method, RequestHead, Requests, form_field, portion};
use accord_model::{FieldCode, FieldSet};
use accord_ports::{Line, Secret};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::Admission;
use crate::core::door::{Knock, State};
use crate::core::route::Route;
use crate::core::zip::{Crc, Zip};
use crate::core::{Answer, content_fields, file_head, page, protocol};
use crate::shares::Running;
use crate::shelf::Content;

/// Connections at once, of all and of one address.
const CONNECTIONS: usize = 128;
const OF_ONE: usize = 12;
/// Longest form or JSON, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// From the first byte of a request to its last.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Between two requests.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// Whoever takes longer for that is too slow (about 2 KiB/s), so that nobody holds a connection for ever.
const PIECE_WITHIN: Duration = Duration::from_secs(120);
/// How long a request of an app may wait for the owner.
const DECIDE_WITHIN: Duration = Duration::from_secs(600);
/// After an answer to what makes no sense, the rest of it is read for so long, and so much of it.
const FAREWELL: Duration = Duration::from_millis(500);
const MAX_DRAINED: usize = 1 << 20;
const AFTER_ERROR: Duration = Duration::from_millis(300);

/// Takes connections as long as the share is open.
pub(crate) async fn accept(running: Arc<Running>, listener: NearListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = running.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(Some(met)) => {
                if let Some(place) = Place::take(&running, met.peer().ip().to_canonical()) {
                    running.tasks.spawn(Connection::run(place, met));
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Room for one connection; given back when it is dropped.
struct Place {
    running: Arc<Running>,
    address: IpAddr,
}

impl Place {
    fn take(running: &Arc<Running>, address: IpAddr) -> Option<Self> {
        let mut taken = running.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.get(&address).copied().unwrap_or_default();
        if taken.values().sum::<usize>() >= CONNECTIONS || of_one >= OF_ONE {
            return None;
        }
        taken.insert(address, of_one + 1);
        Some(Self { running: running.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.running.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

struct Connection {
    place: Place,
    line: Line,
    requests: Requests,
    buffer: Vec<u8>,
    /// Nothing was asked that is not answered.
    idle: bool,
}

/// Why a connection is over, for the record.
type Over = String;

/// What a request is about, beside the answer's bytes.
#[derive(Clone, Copy)]
struct Manner {
    keep_alive: bool,
    head_only: bool,
}

impl Connection {
    async fn run(place: Place, met: Met) {
        let running = place.running.clone();
        let mut connection = Self {
            place,
            line: Line::Near(met),
            requests: Requests::new(MAX_BODY),
            buffer: vec![0; 16 * 1024],
            idle: true,
        };
        let outcome = tokio::select! {
            biased;
            () = running.stop.cancelled() => Err("sharing was stopped".to_owned()),
            outcome = connection.serve() => outcome,
        };
        // Between two requests nothing is broken off, whoever ends it.
        let outcome = if connection.idle { Ok(()) } else { outcome };
        connection.line.close(outcome).await;
    }

    fn share(&self) -> Arc<Running> {
        self.place.running.clone()
    }

    async fn serve(&mut self) -> Result<(), Over> {
        loop {
            self.idle = true;
            let Some((head, body)) = self.next().await? else { return Ok(()) };
            self.idle = false;
            let manner = Manner { keep_alive: head.keep_alive, head_only: head.method == Method::Head };
            self.answer(&head, &body, manner).await?;
            if !manner.keep_alive {
                return Ok(());
            }
        }
    }

    /// The next request; nothing when the visitor hung up between two, or is silent for long.
    async fn next(&mut self) -> Result<Option<(RequestHead, Vec<u8>)>, Over> {
        let mut until: Option<tokio::time::Instant> = None;
        let mut taken = 0;
        loop {
            match self.requests.take(&self.buffer[..taken]) {
                Ok(Some(request)) => return Ok(Some(request)),
                Ok(None) => {}
                Err(fault) => {
                    let answer = Answer::reason(fault.status(), &fault.to_string());
                    let _ = self.put(answer.fields, &answer.bytes(false, false)).await;
                    self.drain().await;
                    return Err(fault.to_string());
                }
            }
            let amid = self.requests.is_amid();
            let within = if amid { REQUEST_WITHIN } else { IDLE };
            // The time runs from the first byte, however slowly the others come.
            let end = match (amid, until) {
                (true, Some(end)) => end,
                _ => tokio::time::Instant::now() + within,
            };
            until = amid.then_some(end);
            let cancelled = self.line.cancelled();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err("you withdrew your consent".to_owned()),
                read = tokio::time::timeout_at(end, self.line.read(&mut self.buffer)) => match read {
                    Ok(Ok(0)) if !amid => return Ok(None),
                    Ok(Ok(0) | Err(_)) => return Err("the visitor hung up".to_owned()),
                    Ok(Ok(read)) => taken = read,
                    Err(_) if !amid => return Ok(None),
                    Err(_) => return Err("the visitor took too long to say what it wants".to_owned()),
                },
            }
        }
    }

    /// Takes what is still on its way, for a moment: closed over unread bytes, a connection loses its last answer.
    async fn drain(&mut self) {
        let end = tokio::time::Instant::now() + FAREWELL;
        let mut left = MAX_DRAINED;
        while let Ok(Ok(read)) = tokio::time::timeout_at(end, self.line.read(&mut self.buffer)).await {
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return;
            }
        }
    }

    async fn answer(&mut self, head: &RequestHead, body: &[u8], manner: Manner) -> Result<(), Over> {
        let share = self.share();
        let answer = match Route::of(head, share.base.as_ref()) {
            Route::Landing if share.admission == Admission::Everyone => {
                let pass = share.door().pass_of(self.place.address);
                match pass {
                    Some(pass) => visit_page(&share, &pass),
                    None => self.knock(head, None).await,
                }
            }
            Route::Landing => page::landing(share.sheet(), matches!(share.admission, Admission::Pin(_)), None),
            Route::Knock => self.knock(head, form_field(body, "pin").as_deref()).await,
            Route::Visit(pass) => return self.visit(&pass, manner).await,
            Route::File(pass, place) => return self.file(&pass, place, head, manner).await,
            Route::All(pass) => return self.all(&pass, manner).await,
            Route::Style => page::style(),
            Route::Info => share.info.answer(),
            Route::Prepare { session, pin } => return self.prepare(head, session, pin, manner).await,
            Route::Download { session: Some(session), file: Some(file) } => match protocol::place(&file) {
                Some(place) => return self.file(&session, place, head, manner).await,
                None => Answer::reason(403, "No such file"),
            },
            Route::Download { .. } => Answer::reason(400, "A parameter is missing"),
            Route::WrongMethod => Answer::reason(405, "Not to be asked like this"),
            Route::Foreign => Answer::reason(403, "Pages of others may not ask here"),
            Route::Unknown => page::nothing(),
        };
        self.respond(&answer, manner).await
    }

    // -- being let in -------------------------------------------------------------------------------

    async fn knock(&self, head: &RequestHead, pin: Option<&str>) -> Answer {
        let share = self.share();
        let knock = share.door().knock(self.place.address, head.agent.as_deref(), pin, true, Instant::now());
        let sheet = share.sheet();
        match knock {
            Knock::In(pass) => {
                share.changed();
                visit_page(&share, &pass)
            }
            Knock::Wait(pass, id) => {
                share.tell_knock(id);
                visit_page(&share, &pass)
            }
            Knock::Pin(verdict) => page::landing(sheet, true, Some(verdict)),
            Knock::Declined => page::refusal(sheet, 403, "The person who shares said no", false),
            Knock::Full => page::refusal(sheet, 503, "Too many visitors at once. Try again later.", true),
        }
    }

    /// A visit's own page.
    async fn visit(&mut self, pass: &Secret, manner: Manner) -> Result<(), Over> {
        let share = self.share();
        let sheet = share.sheet();
        let answer = match self.state_of(pass) {
            None => Answer::see(&share.path),
            Some((State::Waiting, _)) => page::waiting(sheet),
            Some((State::In, _)) => match self.bind(pass).await? {
                true => page::list(sheet, pass, &share.shelf.items, &share.shelf.texts()),
                false => page::refusal(sheet, 403, "The person who shares does not share this with you any more", true),
            },
            Some((State::Declined | State::Left, _)) => {
                page::refusal(sheet, 403, "The person who shares did not let you in", true)
            }
        };
        self.respond(&answer, manner).await
    }

    /// LocalSend's way in: the request waits open.
    async fn prepare(
        &mut self,
        head: &RequestHead,
        session: Option<Secret>,
        pin: Option<Secret>,
        manner: Manner,
    ) -> Result<(), Over> {
        let share = self.share();
        let known = session.filter(|session| matches!(self.state_of(session), Some((State::In, _))));
        let pass = match known {
            Some(session) => session,
            None => {
                let (agent, pin) = (head.agent.as_deref(), pin.as_deref());
                let knock = share.door().knock(self.place.address, agent, pin, false, Instant::now());
                match knock {
                    Knock::In(pass) => {
                        share.changed();
                        pass
                    }
                    Knock::Wait(pass, id) => {
                        share.tell_knock(id);
                        self.wait(&pass).await?;
                        pass
                    }
                    Knock::Pin(verdict) => {
                        let (status, why) = verdict.refusal().unwrap_or((401, "PIN required"));
                        return self.respond(&Answer::reason(status, why), manner).await;
                    }
                    Knock::Declined => return self.respond(&Answer::reason(403, "Declined"), manner).await,
                    Knock::Full => {
                        return self.respond(&Answer::reason(429, "Too many visitors at once"), manner).await;
                    }
                }
            }
        };
        let is_in = matches!(self.state_of(&pass), Some((State::In, _)));
        let answer = match is_in && self.bind(&pass).await? {
            true => protocol::offer(&share.info, &pass, &share.shelf.items, &share.shelf.texts()),
            false => Answer::reason(403, "Declined"),
        };
        self.respond(&answer, manner).await
    }

    /// Until the owner decided. A visitor that hangs up meanwhile is told of.
    async fn wait(&mut self, pass: &Secret) -> Result<(), Over> {
        let share = self.share();
        let mut decided = share.decided.subscribe();
        let end = tokio::time::Instant::now() + DECIDE_WITHIN;
        let cancelled = self.line.cancelled();
        let mut alive = tokio::time::interval(Duration::from_secs(5));
        let over = loop {
            // That the connection is there says that it still waits.
            if !matches!(self.state_of(pass), Some((State::Waiting, _))) {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = cancelled.cancelled() => break "you withdrew your consent",
                () = tokio::time::sleep_until(end) => return Ok(()),
                changed = decided.changed() => if changed.is_err() { return Ok(()) },
                _ = alive.tick() => {}
                read = self.line.read(&mut self.buffer) => match read {
                    Ok(0) | Err(_) => break "the visitor hung up",
                    // Whoever sends more before it is answered would only be in its own way.
                    Ok(_) => break "more was sent than was asked for",
                },
            }
        };
        share.door().leave(pass);
        share.tell_decided();
        Err(over.to_owned())
    }

    /// How a visit stands that comes with this pass, and its number.
    fn state_of(&self, pass: &Secret) -> Option<(State, u64)> {
        let share = self.share();
        let mut door = share.door();
        door.visit(pass, self.place.address, Instant::now()).map(|visit| (visit.state, visit.id))
    }

    /// From now on under a permit for the visitor. `false`: the owner's consent is not there any more.
    async fn bind(&mut self, pass: &Secret) -> Result<bool, Over> {
        let share = self.share();
        let (law, to) = (&share.law, RecipientId::visitor(self.place.address));
        // What is not agreed to is not asked for here: letting in is the owner's own act.
        if law.gate.check(&law.visitor, &to, granted()).is_err() {
            share.door().put_out(pass);
            share.changed();
            return Ok(false);
        }
        if self.line.is_bound() {
            return Ok(true);
        }
        let permit = match law.gate.permit(&law.visitor, &to, granted(), "on.request") {
            Ok(permit) => permit,
            Err(_) => return Ok(false),
        };
        self.line.bind(permit, FieldSet::EMPTY).await.map_err(|error| error.to_string())?;
        Ok(true)
    }

    // -- files --------------------------------------------------------------------------------------

    /// Whoever may fetch with this pass.
    async fn admit(&mut self, pass: &Secret, manner: Manner) -> Result<Option<u64>, Over> {
        if let Some((State::In, visit)) = self.state_of(pass)
            && self.bind(pass).await?
        {
            return Ok(Some(visit));
        }
        self.respond(&Answer::reason(403, "No such session"), manner).await?;
        Ok(None)
    }

    async fn file(&mut self, pass: &Secret, place: usize, head: &RequestHead, manner: Manner) -> Result<(), Over> {
        let Some(visit) = self.admit(pass, manner).await? else { return Ok(()) };
        let share = self.share();
        let content = match opened(&share, place).await {
            Ok(content) => content,
            Err((status, why)) => return self.respond(&Answer::reason(status, why), manner).await,
        };
        let item = &share.shelf.items[place];
        let (size, etag) = (item.size, share.shelf.etag(place));
        let etag = etag.as_deref();
        if etag.is_some() && head.if_none_match.as_deref() == etag {
            return self.respond(&Answer::of(304, "", Vec::new(), FieldSet::EMPTY), manner).await;
        }
        // A part of another version would not fit what the visitor has.
        let same = head.if_range.as_deref().is_none_or(|version| Some(version) == etag);
        let part = portion(head.range.as_deref().filter(|_| same && etag.is_some()), size);
        if part.status == 416 {
            let mut answer = Answer::reason(416, "There is no such part");
            answer.headers.push_str(&part.lines);
            return self.respond(&answer, manner).await;
        }
        let (from, length) = (part.from, part.length);
        let name = item.name.rsplit('/').next().unwrap_or(&item.name);
        let bytes = file_head(name, &part, etag, manner.keep_alive);
        self.put(FieldSet::from_iter([FieldCode::FileName, FieldCode::FileMeta]), &bytes).await?;
        if manner.head_only {
            return Ok(());
        }
        share.note_fetching(visit, Some(item.name.clone()));
        let mut sent = 0;
        let outcome = self.content(visit, content, item.text, from, length, &mut sent, None).await;
        share.note_fetching(visit, None);
        self.line.note_item(&Personal::new(FieldCode::FileName, item.name.clone()), sent);
        outcome?;
        if from + length == size {
            share.note_file(visit);
        }
        Ok(())
    }

    async fn all(&mut self, pass: &Secret, manner: Manner) -> Result<(), Over> {
        let Some(visit) = self.admit(pass, manner).await? else { return Ok(()) };
        let share = self.share();
        let (places, entries) = share.shelf.archive();
        let name = format!("{}.zip", share.name);
        let bytes = file_head(&name, &portion(None, Zip::length(&entries)), None, manner.keep_alive);
        self.put(FieldSet::one(FieldCode::DeviceName), &bytes).await?;
        if manner.head_only {
            return Ok(());
        }
        let names = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileMeta]);
        let (mut zip, mut part) = (Zip::new(&entries), Vec::new());
        for (place, entry) in places.iter().zip(&entries) {
            // The length is told already: what is gone by now ends the connection, so that the visitor sees it.
            let content = opened(&share, *place).await.map_err(|(_, why)| format!("{}: {why}", "a file"))?;
            share.note_fetching(visit, Some(entry.name.clone()));
            zip.before(&mut part);
            self.put(names, &part).await?;
            let (mut crc, mut sent) = (Crc::default(), 0);
            let outcome = self.content(visit, content, false, 0, entry.size, &mut sent, Some(&mut crc)).await;
            share.note_fetching(visit, None);
            self.line.note_item(&Personal::new(FieldCode::FileName, entry.name.clone()), sent);
            outcome?;
            share.note_file(visit);
            zip.content(entry.size);
            zip.after(crc.value(), &mut part);
            self.put(names, &part).await?;
        }
        zip.end(&mut part);
        self.put(names, &part).await
    }

    /// Sends so many bytes of a content from a place on.
    #[allow(clippy::too_many_arguments, reason = "one stretch of one content")]
    async fn content(
        &mut self,
        visit: u64,
        content: Content,
        text: bool,
        from: u64,
        length: u64,
        sent: &mut u64,
        mut crc: Option<&mut Crc>,
    ) -> Result<(), Over> {
        let (share, fields) = (self.share(), content_fields(text));
        let mut file = match content {
            Content::Text(text) => {
                self.put(fields, text.as_bytes()).await?;
                *sent = length;
                share.note_bytes(visit, length);
                return Ok(());
            }
            Content::File(file) => tokio::fs::File::from_std(file),
        };
        file.set_max_buf_size(PIECE);
        file.seek(std::io::SeekFrom::Start(from)).await.map_err(|error| format!("the file: {error}"))?;
        let mut piece = vec![0; PIECE];
        while *sent < length {
            let most = usize::try_from(length - *sent).unwrap_or(PIECE).min(PIECE);
            let read = file.read(&mut piece[..most]).await.map_err(|error| format!("the file: {error}"))?;
            if read == 0 {
                return Err("the file became shorter while it was sent".to_owned());
            }
            if let Some(crc) = crc.as_deref_mut() {
                crc.update(&piece[..read]);
            }
            self.put(fields, &piece[..read]).await?;
            *sent += read as u64;
            share.note_bytes(visit, read as u64);
        }
        Ok(())
    }

    // -- bytes --------------------------------------------------------------------------------------

    async fn respond(&mut self, answer: &Answer, manner: Manner) -> Result<(), Over> {
        self.put(answer.fields, &answer.bytes(manner.keep_alive, manner.head_only)).await
    }

    async fn put(&mut self, fields: FieldSet, bytes: &[u8]) -> Result<(), Over> {
        for piece in bytes.chunks(PIECE) {
            match tokio::time::timeout(PIECE_WITHIN, self.line.put(fields, piece)).await {
                Ok(outcome) => outcome.map_err(|error| error.to_string())?,
                Err(_) => return Err("the visitor takes too long".to_owned()),
            }
        }
        Ok(())
    }
}

/// Go to a visit's page.
fn visit_page(share: &Running, pass: &Secret) -> Answer {
    Answer::see(&format!("{}v/{}/", share.path, &**pass))
}

/// Everything that a visitor may be told.
fn granted() -> FieldSet {
    FieldSet::from_iter([
        FieldCode::NetIp,
        FieldCode::DeviceName,
        FieldCode::DeviceType,
        FieldCode::FileName,
        FieldCode::FileMeta,
        FieldCode::FileContent,
        FieldCode::TextContent,
    ])
}

async fn opened(share: &Arc<Running>, place: usize) -> Result<Content, (u16, &'static str)> {
    if place >= share.shelf.items.len() {
        return Err((404, "There is no such file"));
    }
    let share = share.clone();
    match tokio::task::spawn_blocking(move || share.shelf.open(place)).await {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(why)) => Err((410, why)),
        Err(_) => Err((500, "This file cannot be read")),
    }
}
