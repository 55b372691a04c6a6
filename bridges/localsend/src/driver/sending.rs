//! One transfer to a device: what a feature of this machine gives, passed on as LocalSend's requests. One connection
//! carries everything, because what is given comes once and in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Permit;
use accord_consent::outlet::dial_tcp;
use accord_model::{DeviceId, FieldSet};
use accord_ports::files::wire::{FailReason, ItemReason, Key, Kind, Offer, RefusedReason};
use accord_ports::files::{PortError, Taker};
use accord_registry::ByteStream;
use tokio::sync::mpsc;

use super::caller::{Answer, Caller, NoAnswer, Quiet};
use super::feed::{Body, Feed, Run};
use super::law::Law;
use super::parcel::{Parcel, text};
use crate::core::message::{Announcement, MAX_FILES};
use crate::core::send::{Event, Input, JobId, Options, Output, SendError, Sender};
use crate::core::{Identity, Peer, Protocol, Secret, Target};
use accord_ports::Line;

/// How long a device that does not answer is tried.
const TRY_FOR: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_secs(2);
/// How long a cancelled transfer's last word may take.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long the owner may think about another connection of a transfer that runs.
const DECIDE_WITHIN: Duration = Duration::from_secs(60);
/// How long a receiver that hung up may take to say why.
const WHY_WITHIN: Duration = Duration::from_secs(1);

/// Everything that one transfer needs.
pub(crate) struct Sending {
    pub law: Law,
    pub identity: Arc<Identity>,
    pub device: DeviceId,
    /// Where it may be.
    pub targets: Vec<Target>,
    /// Whether plain HTTP will do.
    pub unencrypted: bool,
    /// As we are told to it.
    pub me: Announcement,
    pub pin: Option<Secret>,
    /// Cancels that came to our server.
    pub cancels: mpsc::Receiver<(Peer, Option<Secret>)>,
}

/// How it ends for the feature.
pub(crate) enum End {
    /// Passed on: files, bytes, and what was left out.
    Done(u64, u64, Vec<(Key, ItemReason)>),
    Refused,
    CancelledThere,
    Unable(String),
    /// The feature is gone, or stopped.
    Nobody,
}

impl Sending {
    /// Until it is over. Everything is told to the feature.
    pub(crate) async fn run(mut self, stream: ByteStream) {
        let (offer, mut taker) = match Taker::open(stream).await {
            Ok(opened) => opened,
            Err(error) => return tracing::debug!(%error, "a stream without an offer"),
        };
        let end = match self.files(&offer, &mut taker).await {
            Ok(parcel) => self.send(parcel, &mut taker).await,
            Err(end) => end,
        };
        let told = match end {
            End::Done(files, bytes, left_out) => taker.done_without(files, bytes, &left_out).await,
            End::Refused => taker.refuse(RefusedReason::Owner).await,
            End::CancelledThere => taker.fail(FailReason::Cancelled).await,
            End::Unable(why) => taker.unable(&why).await,
            End::Nobody => return,
        };
        if let Err(error) = told {
            tracing::debug!(%error, "a feature was not told how its transfer ended");
        }
    }

    /// What is sent, before anybody is asked.
    async fn files(&mut self, offer: &Offer, taker: &mut Taker) -> Result<Parcel, End> {
        if offer.kind != Kind::Files {
            return text(taker).await;
        }
        let items = taker.list(MAX_FILES).await.map_err(|error| match error {
            PortError::TooMany(_) => End::Unable(error.to_string()),
            error => feature(error),
        })?;
        let mut parcel = Parcel::default();
        for item in items {
            parcel.add(item)?;
        }
        match parcel.offers.is_empty() {
            true => Err(End::Unable("LocalSend sends no folders without files, and no links".to_owned())),
            false => Ok(parcel),
        }
    }

    async fn send(&mut self, mut parcel: Parcel, taker: &mut Taker) -> End {
        let fields = parcel.fields();
        let mut feed = Feed { taker, ahead: None, gone: false };
        let opened = tokio::select! {
            opened = self.open(fields) => opened,
            () = feed.interrupt() => return End::Nobody,
        };
        let (target, mut caller) = match opened {
            Ok((target, caller)) => (target, Some(caller)),
            Err(why) => return End::Unable(why),
        };
        let options = Options { parallel: 1, attempts: 1, unencrypted: self.unencrypted, ..Options::default() };
        let offers = std::mem::take(&mut parcel.offers);
        let mut core = Sender::new(self.me.clone(), target.clone(), offers, options, Instant::now());
        let mut run = Run::new(parcel);
        loop {
            match core.poll_output() {
                Output::Ask { job, request, file, .. } => {
                    if core.is_over() {
                        // The last word of a transfer that was cancelled here: on a connection of its own.
                        let word = async {
                            let mut caller = self.connect(&target, FieldSet::EMPTY).await.ok()?;
                            let outcome = caller.ask(request, &mut Quiet).await;
                            caller.close(outcome.map(drop).map_err(|_| "not told".to_owned())).await;
                            Some(())
                        };
                        let _ = tokio::time::timeout(LAST_WORD, word).await;
                        return End::Nobody;
                    }
                    if let Some(file) = file {
                        match run.begin(file, core.files(), &mut feed).await {
                            Ok(true) => {}
                            Ok(false) => {
                                core.handle(Input::Failed(job, "it changed meanwhile".to_owned()), Instant::now());
                                continue;
                            }
                            Err(end) => {
                                close(caller, Err("the feature stopped")).await;
                                if matches!(end, End::Nobody) {
                                    core.handle(Input::Cancel, Instant::now());
                                    caller = None;
                                    continue;
                                }
                                return end;
                            }
                        }
                    }
                    if caller.is_none() {
                        match self.connect(&target, fields).await {
                            Ok(connected) => caller = Some(connected),
                            Err(why) => {
                                core.handle(Input::Failed(job, why), Instant::now());
                                continue;
                            }
                        }
                    }
                    let Some(mut open) = caller.take() else { continue };
                    let mut body = Body { feed: &mut feed, run: &mut run, file };
                    let asked = ask(&mut open, request, &mut body, &mut core, &mut self.cancels).await;
                    match asked {
                        Asked::Answer(Answer { status, body, again }) => {
                            if again {
                                caller = Some(open)
                            } else {
                                open.close(Ok(())).await
                            }
                            core.handle(Input::Answer { job, status, body: &body }, Instant::now());
                        }
                        Asked::None(NoAnswer::Denied(why)) => {
                            open.close(Err(why.clone())).await;
                            return End::Unable(format!("not shared: {why}"));
                        }
                        Asked::None(NoAnswer::Connection(why)) => {
                            open.close(Err(why.clone())).await;
                            if file.is_none() || !self.cancelled_there(&mut core).await {
                                core.handle(Input::Failed(job, why), Instant::now());
                            }
                        }
                        Asked::None(NoAnswer::Stopped) if feed.gone => {
                            open.close(Err("stopped here".to_owned())).await;
                            core.handle(Input::Cancel, Instant::now());
                        }
                        Asked::None(NoAnswer::Stopped) => {
                            // The file is not what it was when it was offered; the next one may be.
                            open.close(Err("the file changed meanwhile".to_owned())).await;
                            core.handle(Input::Failed(job, "it changed meanwhile".to_owned()), Instant::now());
                        }
                        Asked::Over => open.close(Err("cancelled there".to_owned())).await,
                    }
                }
                Output::Abort(JobId(_)) => {}
                Output::Event(event) => match self.event(event, &mut core, &mut run, &mut feed).await {
                    None => {}
                    Some(end) => {
                        close(caller, Ok(())).await;
                        return end;
                    }
                },
                Output::Wait(_) => {
                    close(caller, Ok(())).await;
                    return End::Nobody;
                }
            }
        }
    }

    async fn event(&mut self, event: Event, core: &mut Sender, run: &mut Run, feed: &mut Feed<'_>) -> Option<End> {
        match event {
            Event::Waiting | Event::Sending(_) => None,
            Event::PinNeeded { wrong } => {
                match self.pin.take() {
                    Some(pin) if !wrong => core.handle(Input::Pin(pin), Instant::now()),
                    _ => {
                        let how = "set it as `pin` of the device's service `files`, and send again";
                        let what = if wrong { "the PIN is wrong" } else { "the other device asks for a PIN" };
                        return Some(End::Unable(format!("{what}; {how}")));
                    }
                }
                None
            }
            Event::Accepted(wanted) => {
                let left_out = run.accept(&wanted, core.files().len());
                if run.parcel.text.is_none() && feed.taker.accept_without(&left_out).await.is_err() {
                    core.handle(Input::Cancel, Instant::now());
                    feed.gone = true;
                }
                None
            }
            Event::Sent(file) => {
                run.sent += 1;
                run.bytes += core.files().get(file).map_or(0, |offer| offer.size);
                feed.taker.passed_on(run.sent, run.bytes);
                None
            }
            Event::NotSent(file, error) => {
                run.last_error = Some(error.to_string());
                run.leave_out(file, ItemReason::Foreign);
                None
            }
            Event::Finished { .. } => Some(run.finish(feed).await),
            Event::Failed(SendError::Cancelled) => None,
            Event::Failed(SendError::Declined) if !run.accepted && run.parcel.text.is_none() => Some(End::Refused),
            Event::Failed(SendError::CancelledByPeer) if run.accepted => Some(End::CancelledThere),
            Event::Failed(error) => Some(End::Unable(error.to_string())),
        }
    }

    /// A receiver that hangs up may be telling us why just now.
    async fn cancelled_there(&mut self, core: &mut Sender) -> bool {
        let told = async {
            while let Some((peer, session)) = self.cancels.recv().await {
                core.handle(Input::PeerCancelled { peer: &peer, session: session.as_deref() }, Instant::now());
                if core.is_over() {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(WHY_WITHIN, told).await.unwrap_or(false)
    }

    /// A connection to wherever the device answers.
    async fn open(&self, fields: FieldSet) -> Result<(Target, Caller), String> {
        let mut permit = Some(self.permit(fields).await?);
        let begun = Instant::now();
        let mut last = "it is not near; open LocalSend there".to_owned();
        loop {
            for target in &self.targets {
                let permit = match permit.take() {
                    Some(permit) => permit,
                    None => self.permit(fields).await?,
                };
                match self.dial(target, permit).await {
                    Ok(caller) => return Ok((target.clone(), caller)),
                    Err(why) => last = why,
                }
            }
            if begun.elapsed() > TRY_FOR || self.targets.is_empty() {
                return Err(format!("the device cannot be reached: {last}"));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits for the owner's decision, if there is none.
    async fn permit(&self, fields: FieldSet) -> Result<Permit, String> {
        let permit = self.law.transfer_once_decided(&self.device, fields, "on.send").await;
        permit.map_err(|refusal| format!("not shared: {refusal}"))
    }

    async fn connect(&self, target: &Target, fields: FieldSet) -> Result<Caller, String> {
        let permit = tokio::time::timeout(DECIDE_WITHIN, self.permit(fields)).await;
        let permit = permit.map_err(|_| "you have not agreed to another connection with it".to_owned())??;
        self.dial(target, permit).await
    }

    async fn dial(&self, target: &Target, permit: Permit) -> Result<Caller, String> {
        let tls = match target.protocol {
            Protocol::Http => None,
            Protocol::Https => Some(self.identity.client_config(target.pin()).map_err(|error| error.to_string())?),
        };
        let dialed = dial_tcp(permit, target.address).await.map_err(|error| error.to_string())?;
        Caller::new(Line::device(dialed, FieldSet::EMPTY), tls)
    }
}

async fn close(caller: Option<Caller>, outcome: Result<(), &str>) {
    if let Some(caller) = caller {
        caller.close(outcome.map_err(str::to_owned)).await;
    }
}

/// The feature's stream does not go on.
pub(crate) fn feature(error: PortError) -> End {
    tracing::debug!(%error, "the feature stopped");
    End::Nobody
}

enum Asked {
    Answer(Answer),
    None(NoAnswer),
    /// The other side cancelled; the core knows.
    Over,
}

/// Asks, and hears meanwhile whether the other side cancels through our server.
async fn ask(
    caller: &mut Caller,
    request: crate::core::http::client::Request,
    body: &mut Body<'_, '_>,
    core: &mut Sender,
    cancels: &mut mpsc::Receiver<(Peer, Option<Secret>)>,
) -> Asked {
    let mut asking = std::pin::pin!(caller.ask(request, body));
    loop {
        tokio::select! {
            biased;
            answer = &mut asking => return match answer {
                Ok(answer) => Asked::Answer(answer),
                Err(none) => Asked::None(none),
            },
            Some((peer, session)) = cancels.recv() => {
                core.handle(Input::PeerCancelled { peer: &peer, session: session.as_deref() }, Instant::now());
                if core.is_over() {
                    return Asked::Over;
                }
            }
        }
    }
}
