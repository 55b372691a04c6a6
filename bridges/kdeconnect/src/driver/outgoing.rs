//! Files, texts and links to a device. There is no offer in KDE Connect: the device takes what comes, or closes.

use std::time::{Duration, Instant};

use accord_model::{FieldCode, FieldSet};
use accord_ports::files::wire::{Entry, FailReason, Kind, Offer, RefusedReason, Time, What};
use accord_ports::files::{Given, PortError, Taker};
use accord_registry::ByteStream;

use super::link::at;
use super::payload::{Context, Failed, Giving};
use crate::core::batch::{OutFile, Pace, SendBatch, Step};
use crate::core::identity::{DeviceType, Version};
use crate::core::packet::Share;
use crate::core::payload::PayloadError;

/// Longest text that goes as text; a longer one goes as a file.
const MAX_TEXT: usize = 256 * 1024;
/// Longest content whose size is told only at its end: it is kept until then, because the size comes first here.
const MAX_KEPT: usize = 32 * 1024 * 1024;
/// How long after a payload broke a link that is still up counts as a device that stopped it.
const SURE_AFTER: Duration = Duration::from_millis(1500);

const CONTENT: FieldSet = FieldSet::one(FieldCode::FileContent);

/// How a transfer ends before its end.
enum Stop {
    /// Our side stopped, or the stream to the feature broke.
    Here(PortError),
    /// The payload broke.
    There(Failed),
    /// It cannot be sent in this protocol.
    Cannot(&'static str),
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Here(error)
    }
}
impl From<Failed> for Stop {
    fn from(error: Failed) -> Self {
        Self::There(error)
    }
}
impl From<accord_model::CallError> for Stop {
    fn from(error: accord_model::CallError) -> Self {
        Self::There(error.into())
    }
}

/// Takes one transfer of a feature and passes it on to the device.
pub(crate) async fn pass_on(ctx: Context, peer: (Version, DeviceType), stream: ByteStream) {
    let (offer, mut taker) = match Taker::open(stream).await {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(device = %ctx.device, %error, "nothing was offered"),
    };
    let content = match offer.kind {
        Kind::Files => FieldCode::FileContent,
        Kind::Text | Kind::Url => FieldCode::TextContent,
    };
    if let Err(error) = ctx.law.may_carry(&ctx.device, FieldSet::one(content)) {
        tracing::warn!(device = %ctx.device, %error, "nothing is sent");
        let _ = taker.refuse(RefusedReason::Owner).await;
        return;
    }
    let mut sent = (0, 0);
    let outcome = async {
        taker.accept().await?;
        match offer.kind {
            Kind::Files => {
                // One payload at a time; the feature is told that it waits.
                let mut turn = turn(&ctx).await;
                Sending::new(&ctx, peer, &offer, &mut turn).run(&mut taker, &mut sent).await
            }
            Kind::Text | Kind::Url => text(&ctx, peer, &offer, &mut taker, &mut sent).await,
        }
    }
    .await;
    let ended = match outcome {
        Ok(()) => taker.done(sent.0, sent.1).await,
        Err(Stop::Here(error)) => {
            tracing::debug!(device = %ctx.device, %error, "a transfer stopped here");
            return;
        }
        Err(Stop::Cannot(why)) => {
            tracing::warn!(device = %ctx.device, "{why}");
            taker.fail(FailReason::TooMuch).await
        }
        Err(Stop::There(error)) => {
            tracing::info!(device = %ctx.device, %error, "a transfer broke off");
            let closed_there = matches!(
                error,
                Failed::Payload(PayloadError::Short { .. }) | Failed::Send(accord_consent::SendError::Io(_))
            );
            tokio::time::sleep(SURE_AFTER).await;
            if !closed_there || !ctx.is_linked().await {
                // Dropped: the feature tries again when the device is back.
                return;
            }
            taker.fail(FailReason::Cancelled).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(device = %ctx.device, %error, "the end of a transfer was not told");
    }
}

async fn text(
    ctx: &Context,
    peer: (Version, DeviceType),
    offer: &Offer,
    taker: &mut Taker,
    sent: &mut (u64, u64),
) -> Result<(), Stop> {
    let mut all = Vec::new();
    loop {
        match taker.next().await? {
            Given::Content(bytes) if all.len() + bytes.len() > MAX_KEPT => return Err(Stop::Cannot(TOO_LONG)),
            Given::Content(bytes) => all.extend_from_slice(bytes),
            Given::Finish => break,
            Given::Abandon(_) => return Ok(()),
            Given::Entry(_) | Given::End(_) | Given::Totals(..) => {}
        }
    }
    *sent = (1, all.len() as u64);
    match String::from_utf8(all) {
        Ok(text) if text.len() <= MAX_TEXT => {
            let share = match offer.kind {
                Kind::Url => Share { url: Some(text.into()), ..Default::default() },
                _ => Share { text: Some(text.into()), ..Default::default() },
            };
            ctx.say(share.into()).await?;
            Ok(())
        }
        other => {
            let bytes = other.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
            let mut turn = turn(ctx).await;
            let mut sending = Sending::new(ctx, peer, offer, &mut turn);
            sending.begin(OutFile { name: "text.txt".into(), size: bytes.len() as u64, last_modified: None }).await?;
            sending.content(&bytes).await?;
            sending.end().await
        }
    }
}

/// Waits until nothing else goes to the device, and until it has written what went.
async fn turn(ctx: &Context) -> tokio::sync::MutexGuard<'_, Option<Instant>> {
    let mut turn = ctx.turn.lock().await;
    if let Some(rested) = turn.take() {
        tokio::time::sleep_until(rested.into()).await;
    }
    turn
}

const TOO_LONG: &str = "KDE Connect wants to know how long something is before it is sent, and this is too long to keep \
                        until then; save it as a file and send that";

/// A batch on its way.
struct Sending<'a> {
    ctx: &'a Context,
    pace: Pace,
    batch: SendBatch,
    /// Not before this may anything else follow.
    rest: &'a mut Option<Instant>,
    /// What runs now.
    now: Now,
}

enum Now {
    Nothing,
    /// A payload, and how many of its bytes are still to come.
    Payload(Box<Giving>, u64),
    /// Its size is not known: kept until its end.
    Kept(OutFile, Vec<u8>),
}

impl<'a> Sending<'a> {
    fn new(
        ctx: &'a Context,
        (version, kind): (Version, DeviceType),
        offer: &Offer,
        rest: &'a mut Option<Instant>,
    ) -> Self {
        let pace = Pace::of(version, kind);
        let mut batch = SendBatch::new(Vec::new(), pace);
        if offer.exact {
            batch.expect(offer.files, offer.bytes);
        }
        Self { ctx, pace, batch, rest, now: Now::Nothing }
    }

    async fn run(mut self, taker: &mut Taker, sent: &mut (u64, u64)) -> Result<(), Stop> {
        let (mut files, mut bytes) = (0, 0);
        loop {
            match taker.next().await? {
                Given::Entry(Entry { path, what: What::File { size, modified, .. }, .. }) => {
                    let file = OutFile {
                        name: path.as_str().into(),
                        size: size.unwrap_or(0),
                        last_modified: milliseconds(modified),
                    };
                    match size {
                        Some(_) => self.begin(file).await?,
                        None => self.now = Now::Kept(file, Vec::new()),
                    }
                }
                // There are no folders and no links there; files keep their names.
                Given::Entry(_) => {}
                Given::Content(content) => {
                    bytes += content.len() as u64;
                    self.content(content).await?;
                }
                Given::End(_) => {
                    self.end().await?;
                    files += 1;
                }
                Given::Abandon(_) => {
                    if let Now::Payload(giving, _) = std::mem::replace(&mut self.now, Now::Nothing) {
                        // Fewer bytes than promised: the device throws away what it has.
                        drop(giving.end().await);
                        *self.rest = self.batch.ended(Instant::now());
                    }
                }
                Given::Totals(files, bytes) => self.batch.expect(files, bytes),
                Given::Finish => return Ok(()),
            }
            *sent = (files, bytes);
            taker.passed_on(files, bytes);
        }
    }

    /// Offers a file and waits until the device fetches it.
    async fn begin(&mut self, file: OutFile) -> Result<(), Stop> {
        self.batch.add(vec![file]);
        loop {
            match self.batch.step(Instant::now()) {
                Step::Done => return Ok(()),
                Step::Wait(wake) => at(wake.or(Some(Instant::now()))).await,
                Step::Packet(packet) => drop(self.ctx.say(packet).await?),
                step @ Step::Payload { size, .. } => {
                    let address = self.ctx.address().await?;
                    let (served, port) = self.ctx.offer(address).await?;
                    if let Some(packet) = step.packet(port) {
                        self.ctx.say(packet).await?;
                    }
                    let giving = Giving::accept(self.ctx, &served, size, self.pace.limit(), CONTENT).await?;
                    self.now = Now::Payload(Box::new(giving), size);
                    return Ok(());
                }
            }
        }
    }

    async fn content(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        match &mut self.now {
            // A file that grew since it was offered is sent as it was.
            Now::Payload(giving, left) => {
                let bytes = &bytes[..bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                giving.put(bytes).await?;
                *left -= bytes.len() as u64;
            }
            Now::Kept(_, kept) if kept.len() + bytes.len() > MAX_KEPT => return Err(Stop::Cannot(TOO_LONG)),
            Now::Kept(_, kept) => kept.extend_from_slice(bytes),
            Now::Nothing => {}
        }
        Ok(())
    }

    /// The file has no more bytes.
    async fn end(&mut self) -> Result<(), Stop> {
        if let Now::Kept(..) = &self.now
            && let Now::Kept(mut file, kept) = std::mem::replace(&mut self.now, Now::Nothing)
        {
            file.size = kept.len() as u64;
            self.begin(file).await?;
            self.content(&kept).await?;
        }
        if let Now::Payload(giving, _) = std::mem::replace(&mut self.now, Now::Nothing) {
            let ended = giving.end().await;
            *self.rest = self.batch.ended(Instant::now());
            ended?;
        }
        Ok(())
    }
}

/// Milliseconds since 1970; none for a time that was never set.
fn milliseconds(time: Time) -> Option<i64> {
    let ms = time.seconds.checked_mul(1000)?.checked_add(i64::from(time.nanos / 1_000_000))?;
    (ms != 0).then_some(ms)
}
