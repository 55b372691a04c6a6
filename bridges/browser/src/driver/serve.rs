//! Connections with browsers: one request after the other, each answered before the next is read. What is said before the
//! owner added the page leaves under the permit for everyone near; from then on a connection is bound to a permit for that
//! screen, and has a record of its own in the ledger.

use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::{Met, NearListener};
use accord_http::{Method, RequestHead, Requests};
use accord_model::{DeviceId, FieldSet};
use accord_ports::Line;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hall::{Hall, Room};
use super::law;
use crate::core::pages::{POLL, Refused};
use crate::core::words::{Hello, Say, Standing, Told, Wait};
use crate::core::{Answer, MAX_BODY, Route};

/// From the first byte of a request to its last, between two, and for an answer to leave.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const AFTER_ERROR: Duration = Duration::from_millis(300);

/// Takes connections as long as the page is open.
pub(crate) async fn accept(hall: Arc<Hall>, listener: NearListener, tasks: TaskTracker, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(Some(met)) => {
                if let Some(room) = Room::take(&hall, met.peer().ip().to_canonical()) {
                    let stop = stop.clone();
                    tasks.spawn(Connection::run(room, met, stop));
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

struct Connection {
    room: Room,
    line: Line,
    /// Whom it is bound to.
    device: Option<DeviceId>,
    requests: Requests,
    buffer: Vec<u8>,
}

/// Why a connection is over, for the record.
type Over = String;

/// Says that a page does not wait any more, however its wait ended.
struct Waiting<'a> {
    hall: &'a Hall,
    wait: &'a Wait,
    address: std::net::IpAddr,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.hall.act(|pages, now| pages.end_wait(&self.wait.session, self.address, now));
    }
}

impl Connection {
    async fn run(room: Room, met: Met, stop: CancellationToken) {
        let mut connection = Self {
            room,
            line: Line::Near(met),
            device: None,
            requests: Requests::new(MAX_BODY),
            buffer: vec![0; 8 * 1024],
        };
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => Err("the page was closed".to_owned()),
            outcome = connection.serve() => outcome,
        };
        connection.line.close(outcome).await;
    }

    async fn serve(&mut self) -> Result<(), Over> {
        while let Some((head, body)) = self.next().await? {
            let answer = self.answer(&head, &body).await?;
            let bytes = answer.bytes(head.keep_alive, head.method == Method::Head);
            let fields = if self.device.is_some() { law::told() } else { FieldSet::EMPTY };
            match tokio::time::timeout(ANSWER_WITHIN, self.line.put(fields, &bytes)).await {
                Ok(sent) => sent.map_err(|error| error.to_string())?,
                Err(_) => return Err("the browser takes too long".to_owned()),
            }
            if !head.keep_alive {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next request; nothing when the browser hung up between two, or is silent for long.
    async fn next(&mut self) -> Result<Option<(RequestHead, Vec<u8>)>, Over> {
        let mut until: Option<tokio::time::Instant> = None;
        let mut taken = 0;
        loop {
            match self.requests.take(&self.buffer[..taken]) {
                Ok(Some(request)) => return Ok(Some(request)),
                Ok(None) => {}
                Err(fault) => {
                    let answer = Answer::reason(fault.status(), &fault.to_string());
                    let _ = self.line.put(FieldSet::EMPTY, &answer.bytes(false, false)).await;
                    return Err(fault.to_string());
                }
            }
            let amid = self.requests.is_amid();
            // The time runs from the first byte, however slowly the others come.
            let end = match (amid, until) {
                (true, Some(end)) => end,
                _ => tokio::time::Instant::now() + if amid { REQUEST_WITHIN } else { IDLE },
            };
            until = amid.then_some(end);
            let cancelled = self.line.cancelled();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err("you withdrew your consent".to_owned()),
                read = tokio::time::timeout_at(end, self.line.read(&mut self.buffer)) => match read {
                    Ok(Ok(0) | Err(_)) | Err(_) if !amid => return Ok(None),
                    Ok(Ok(0) | Err(_)) => return Err("the browser hung up".to_owned()),
                    Ok(Ok(read)) => taken = read,
                    Err(_) => return Err("the browser took too long to say what it wants".to_owned()),
                },
            }
        }
    }

    async fn answer(&mut self, head: &RequestHead, body: &[u8]) -> Result<Answer, Over> {
        let senseless = || Answer::reason(400, "This makes no sense");
        let address = self.room.address;
        let hall = self.room.hall.clone();
        Ok(match Route::of(head) {
            route @ (Route::Page | Route::Script | Route::Style) => Answer::file(route).unwrap_or_else(senseless),
            Route::Hello => {
                let Some(hello) = Hello::read(body) else { return Ok(senseless()) };
                let agent = head.agent.as_deref();
                let greeting = hall.act(|pages, now| pages.hello(hello, agent, address, now));
                // A page of the same browser that waits learns that this one took its place.
                hall.wake();
                match greeting {
                    Ok(mut greeting) => {
                        if greeting.state == Standing::Ready && !self.bind(&greeting.session).await? {
                            hall.pages().told_off(&greeting.session, address);
                            greeting.state = Standing::Off;
                        }
                        Answer::json(&greeting)
                    }
                    Err(Refused::Full) => Answer::later(503, "Too many screens wait to be added"),
                    Err(Refused::TooOften) => Answer::later(503, "This page was opened too often just now"),
                    Err(Refused::Elsewhere) => Answer::later(409, "This screen is open at another address"),
                }
            }
            Route::Wait => {
                let Some(wait) = Wait::read(body) else { return Ok(senseless()) };
                Answer::json(&self.wait(wait).await?)
            }
            Route::Say => {
                let Some(say) = Say::read(body) else { return Ok(senseless()) };
                let told =
                    match self.bind(&say.session).await? || hall.pages().added_by(&say.session, address).is_none() {
                        true => hall.act(|pages, now| pages.say(say, address, now)),
                        false => Told::only(Standing::Off),
                    };
                Answer::json(&told)
            }
            Route::Foreign => Answer::reason(403, "Pages of others may not ask here"),
            Route::WrongMethod => Answer::reason(405, "Not to be asked like this"),
            Route::Unknown => Answer::reason(404, "There is nothing here"),
        })
    }

    /// The request waits open until there is something to be told.
    async fn wait(&mut self, wait: Wait) -> Result<Told, Over> {
        let (hall, address) = (self.room.hall.clone(), self.room.address);
        let end = tokio::time::Instant::now() + POLL;
        let mut turns = hall.turns();
        hall.act(|pages, _| pages.begin_wait(&wait, address));
        let _waiting = Waiting { hall: &hall, wait: &wait, address };
        loop {
            turns.borrow_and_update();
            let is_added = hall.pages().added_by(&wait.session, address).is_some();
            if is_added && !self.bind(&wait.session).await? {
                hall.pages().told_off(&wait.session, address);
                return Ok(Told::only(Standing::Off));
            }
            let told = {
                let mut pages = hall.pages();
                // Added a moment ago: it is told nothing before this connection has a permit of its own.
                if self.device.is_none() && pages.added_by(&wait.session, address).is_some() {
                    continue;
                }
                pages.look(&wait, address)
            };
            if let Some(told) = told {
                return Ok(told);
            }
            let cancelled = self.line.cancelled();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err("you withdrew your consent".to_owned()),
                changed = turns.changed() => if changed.is_err() { return Err("the hub ended".to_owned()) },
                () = tokio::time::sleep_until(end) => return Ok(hall.pages().nothing(&wait, address)),
                read = self.line.read(&mut self.buffer) => match read {
                    Ok(0) | Err(_) => return Err("the browser hung up".to_owned()),
                    // Whoever sends more before it is answered would only be in its own way.
                    Ok(_) => return Err("more was sent than was asked for".to_owned()),
                },
            }
        }
    }

    /// From now on under a permit for the screen that this session belongs to. `false`: it is not added, or the owner's
    /// consent is not there.
    async fn bind(&mut self, session: &str) -> Result<bool, Over> {
        let hall = self.room.hall.clone();
        let Some(device) = hall.pages().added_by(session, self.room.address) else { return Ok(false) };
        match &self.device {
            Some(bound) if *bound == device => return Ok(hall.law.may_control(&device).is_ok()),
            Some(_) => return Err("a connection is for one screen".to_owned()),
            None => {}
        }
        if hall.law.may_control(&device).is_err() {
            return Ok(false);
        }
        let Ok(permit) = hall.law.control(&device) else { return Ok(false) };
        self.line.bind(permit, FieldSet::EMPTY).await.map_err(|error| error.to_string())?;
        self.device = Some(device);
        Ok(true)
    }
}
