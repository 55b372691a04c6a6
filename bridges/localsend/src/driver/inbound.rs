//! One connection that came in: its requests go to the mind, its uploads into the lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Permit;
use accord_ports::files::wire::StopReason;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lane::{Lane, Turn};
use super::law;
use super::session::Heard;
use crate::core::ConnectionId;
use crate::core::http::PIECE;
use crate::core::http::server::{Connection, Event, Input, Output, Request, Response};
use crate::core::message::FileOffer;
use crate::core::receive::{Incoming, UploadFault};
use crate::core::route::Route;
use accord_ports::Line;

/// How long the mind may take to end a connection whose upload goes nowhere.
const ABORT_WITHIN: Duration = Duration::from_secs(2);

/// What a connection is to do.
pub(crate) enum Order {
    /// What follows is said to one device.
    Bind(Permit),
    Respond(Response),
    Receive(Box<Upload>, Option<Permit>),
}

/// An upload that is let in.
pub(crate) struct Upload {
    pub incoming: Incoming,
    pub offer: FileOffer,
    pub lane: Arc<Lane>,
}

/// What a connection says.
pub(crate) enum Said {
    Request(Request),
    Uploaded(Result<(), UploadFault>),
    Closed,
}

pub(crate) struct Inbound {
    pub id: ConnectionId,
    pub core: Connection,
    pub line: Line,
    pub orders: mpsc::Receiver<Order>,
    pub mind: mpsc::Sender<Heard>,
    pub abort: CancellationToken,
}

/// The upload that runs.
struct Running {
    offer: FileOffer,
    lane: Arc<Lane>,
    turn: Option<Turn>,
}

impl Inbound {
    /// Until it is over.
    pub(crate) async fn run(mut self) {
        let (id, mind) = (self.id, self.mind.clone());
        let mut upload = None;
        let outcome = self.serve(&mut upload).await;
        if let Some(Running { lane, turn: Some(turn), .. }) = upload {
            let withdrawn = self.line.cancelled().is_cancelled();
            if withdrawn { lane.stop(StopReason::Failed).await } else { turn.abandon().await }
        }
        self.line.close(outcome).await;
        let _ = mind.send(Heard::Said(id, Said::Closed)).await;
    }

    async fn serve(&mut self, upload: &mut Option<Running>) -> Result<(), String> {
        let mut buffer = Vec::new();
        // An upload's bytes stay in the socket until it is let in.
        let mut is_at_the_door = false;
        loop {
            let cancelled = self.line.cancelled();
            let abort = self.abort.clone();
            let wake = match self.core.poll_output() {
                Output::Transmit(transmit) => {
                    let put = self.line.put(transmit.fields, &transmit.bytes);
                    tokio::select! {
                        biased;
                        () = abort.cancelled() => return Err("given up here".to_owned()),
                        outcome = put => outcome.map_err(|error| error.to_string())?,
                    }
                    self.core.handle(Input::Written(transmit.bytes), Instant::now());
                    continue;
                }
                Output::Event(Event::Request(request)) => {
                    is_at_the_door = matches!(request.route, Route::Upload { .. });
                    self.say(Said::Request(request)).await?;
                    continue;
                }
                Output::Event(Event::Piece(piece)) => {
                    tokio::select! {
                        biased;
                        () = abort.cancelled() => return Err("given up here".to_owned()),
                        () = cancelled.cancelled() => return Err("you withdrew your consent".to_owned()),
                        stored = store(upload, piece) => match stored {
                            Ok(piece) => self.core.handle(Input::Stored(piece), Instant::now()),
                            Err(why) => {
                            // The mind has heard of it too, and tells the sender before it ends this.
                            let _ = tokio::time::timeout(ABORT_WITHIN, abort.cancelled()).await;
                            return Err(why);
                            }
                        },
                    }
                    continue;
                }
                Output::Event(Event::Uploaded(outcome)) => {
                    let outcome = tokio::select! {
                        biased;
                        () = abort.cancelled() => return Err("given up here".to_owned()),
                        outcome = ended(upload.take(), outcome) => outcome,
                    };
                    self.say(Said::Uploaded(outcome)).await?;
                    continue;
                }
                Output::Event(Event::Answered) => continue,
                Output::Event(Event::Closed(why)) => {
                    tracing::trace!(%why, "a connection is over");
                    return Ok(());
                }
                Output::Wait(wake) => wake,
            };
            buffer.resize(if upload.is_some() { PIECE } else { 16 * 1024 }, 0);
            tokio::select! {
                biased;
                () = abort.cancelled() => return Err("given up here".to_owned()),
                () = cancelled.cancelled() => return Err("you withdrew your consent".to_owned()),
                order = self.orders.recv() => match order {
                    None => return Ok(()),
                    Some(Order::Bind(permit)) => self.bind(permit).await?,
                    Some(Order::Respond(response)) => {
                        is_at_the_door = false;
                        self.core.handle(Input::Respond(response), Instant::now());
                    }
                    Some(Order::Receive(given, permit)) => {
                        if let Some(permit) = permit {
                            self.bind(permit).await?;
                        }
                        is_at_the_door = false;
                        let Upload { incoming, offer, lane } = *given;
                        *upload = Some(Running { offer, lane, turn: None });
                        self.core.handle(Input::Receive(incoming), Instant::now());
                    }
                },
                read = self.line.read(&mut buffer), if !is_at_the_door => match read {
                    Ok(0) | Err(_) => self.core.handle(Input::Eof, Instant::now()),
                    Ok(length) => self.core.handle(Input::Bytes(&buffer[..length]), Instant::now()),
                },
                () = tokio::time::sleep_until(wake.into()) => self.core.handle(Input::Timeout, Instant::now()),
            }
        }
    }

    async fn bind(&mut self, permit: Permit) -> Result<(), String> {
        let state = law::STATE;
        self.line.bind(permit, state).await.map_err(|error| error.to_string())
    }

    async fn say(&self, said: Said) -> Result<(), String> {
        self.mind.send(Heard::Said(self.id, said)).await.map_err(|_| "the bridge ended".to_owned())
    }
}

async fn store(upload: &mut Option<Running>, piece: Vec<u8>) -> Result<Vec<u8>, String> {
    let Some(upload) = upload else { return Err("bytes of no upload".to_owned()) };
    let stored = async {
        let turn = match &mut upload.turn {
            Some(turn) => turn,
            free => free.insert(upload.lane.begin(&upload.offer).await?),
        };
        turn.content(piece).await
    };
    // Whoever sends is told by the mind, which learns from the lane.
    stored.await.map_err(|fault| fault.to_string())
}

async fn ended(upload: Option<Running>, outcome: Result<(), UploadFault>) -> Result<(), UploadFault> {
    let Some(Running { offer, lane, turn }) = upload else { return outcome };
    match outcome {
        Ok(()) => {
            let turn = match turn {
                Some(turn) => turn,
                None => lane.begin(&offer).await?,
            };
            turn.end().await
        }
        Err(fault) => {
            if let Some(turn) = turn {
                turn.abandon().await;
            }
            Err(fault)
        }
    }
}
