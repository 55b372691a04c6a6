//! One device that is played to: carries its machine's bytes between the stream of sound, the connection and the datagrams,
//! under a permit for words and one for sound.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use accord_consent::outlet::{DatagramOutlet, Met, OneNear};
use accord_consent::{Permit, Personal, SendError};
use accord_model::why::Fact;
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, StreamId};
use accord_ports::Outbox;
use accord_registry::{ByteStream, PathInfo};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::law;
use crate::core::cast::{Cast, End, Event, Input, Loudness, Output, Port, Value, Wanted};
use crate::core::rtp::MAX_DATAGRAM;
use crate::core::words::Names;

/// How long a connection may take.
const CONNECTS_WITHIN: Duration = Duration::from_secs(6);
/// How long one waits for what played there before from here.
const BEFORE_WITHIN: Duration = Duration::from_secs(3);
/// How long a device may take until it takes sound.
const READY_WITHIN: Duration = Duration::from_secs(12);
const AFTER_ERROR: Duration = Duration::from_millis(20);
/// Sound between the feature and the machine, beside what the machine holds.
const UNDER_WAY: usize = 16 * 1024;

/// To a player.
pub(crate) struct Order(pub CallId, pub Wanted);

/// From a player, or from an attempt to reach a device.
pub(crate) enum Told {
    Tried(CallId, Fact),
    Values(DeviceId, Vec<Value>),
    Loudness(DeviceId, Loudness),
    /// It is over; the device may be gone.
    Over {
        device: DeviceId,
        number: u64,
        lost: bool,
    },
}

/// What a player is made of.
pub(crate) struct Player {
    pub device: DeviceId,
    /// Which of the players of this device, one after the other.
    pub number: u64,
    pub name: String,
    pub at: SocketAddrV4,
    pub names: Names,
    pub shows_title: bool,
    pub loudness: Loudness,
    /// For words and for sound; used once.
    pub permits: Option<(Permit, Permit)>,
    pub stream: StreamId,
    pub orders: mpsc::Receiver<Order>,
    pub told: mpsc::Sender<Told>,
    pub outbox: Outbox,
    /// Says that it is to end.
    pub stop: CancellationToken,
    /// The end of the one before.
    pub before: Option<CancellationToken>,
}

/// The way to the device while it is open.
struct Way {
    met: Met,
    sound: DatagramOutlet,
    control: DatagramOutlet,
    timing: DatagramOutlet,
}

/// What woke the player.
enum Woken {
    Order(Option<Order>),
    Answer(std::io::Result<usize>),
    Control(std::io::Result<usize>),
    Timing(std::io::Result<(usize, u16)>),
    Sound(std::io::Result<usize>),
    Time,
    Stop,
    /// Somebody took a consent back.
    Withdrawn,
}

/// What each kind of bytes is read into.
struct Buffers {
    answer: Vec<u8>,
    control: [u8; MAX_DATAGRAM],
    timing: [u8; MAX_DATAGRAM],
    sound: Vec<u8>,
}

impl Player {
    /// Until all is heard, or it ends otherwise.
    pub(crate) async fn run(mut self) {
        if let Some(before) = self.before.take() {
            let _ = tokio::time::timeout(BEFORE_WITHIN, before.cancelled()).await;
        }
        let (ours, theirs) = tokio::io::duplex(UNDER_WAY);
        let mut theirs = Some(theirs);
        let end = self.play(ours, &mut theirs).await;
        tracing::debug!(device = %self.device, ?end, "a cast ended");
        if theirs.is_some() {
            let error = match &end {
                End::Refused(why) | End::Lost(why) => CallError::Device(format!("{}: {why}", self.name)),
                End::Played | End::Stopped => CallError::Refused("it was ended before it began".to_owned()),
            };
            self.tell(FromBridge::StreamFailed { stream: self.stream, error }).await;
        }
        let lost = matches!(end, End::Lost(_) | End::Refused(_));
        let quiet = vec![Value::Playing(false), Value::Moving(false)];
        let _ = self.told.send(Told::Values(self.device.clone(), quiet)).await;
        let over = Told::Over { device: self.device.clone(), number: self.number, lost };
        let _ = self.told.send(over).await;
        self.orders.close();
        while let Some(Order(call, _)) = self.orders.recv().await {
            self.reply(call, Err("nothing plays there any more".to_owned())).await;
        }
    }

    async fn play(&mut self, mut stream: DuplexStream, theirs: &mut Option<DuplexStream>) -> End {
        let there = IpAddr::V4(*self.at.ip());
        let (words, sound) = match self.leases(there).await {
            Ok(leases) => leases,
            Err(error) => return End::Refused(error.to_string()),
        };
        let mut machine = Cast::new(self.names.clone(), there, self.shows_title, self.loudness, Instant::now());
        let mut way: Option<Way> = None;
        let mut buffers = Buffers {
            answer: vec![0; 4096],
            control: [0; MAX_DATAGRAM],
            timing: [0; MAX_DATAGRAM],
            sound: vec![0; UNDER_WAY],
        };
        let (mut flows, mut stopping) = (true, false);
        let ready_until = Instant::now() + READY_WITHIN;
        loop {
            let wake = loop {
                match machine.poll_output() {
                    Output::Wait(wake) => break wake,
                    Output::Event(Event::Over(end)) => return end,
                    Output::Event(event) => self.event(event, theirs).await,
                    Output::Connect => {
                        let input = match open(&words, &sound, self.at.port()).await {
                            Ok((opened, input)) => {
                                way = Some(opened);
                                input
                            }
                            Err(why) => Input::Closed(why),
                        };
                        machine.handle(input, Instant::now());
                    }
                    Output::Say(bytes) => {
                        let Some(open) = &mut way else { continue };
                        if let Err(error) = open.met.put(&Personal::of(law::control(), bytes)).await {
                            way = None;
                            machine.handle(Input::Closed(error.to_string()), Instant::now());
                        }
                    }
                    Output::Datagram { from, to, bytes } => {
                        let Some(open) = &way else { continue };
                        match open.send(from, (there, to).into(), bytes).await {
                            Ok(()) => {}
                            Err(SendError::Io(error)) => tracing::debug!(%error, "a datagram did not leave"),
                            Err(error) => {
                                tracing::info!(%error, "a cast ends");
                                return End::Stopped;
                            }
                        }
                    }
                }
            };
            if theirs.is_some() && ready_until <= Instant::now() {
                return End::Refused(format!("it did not begin within {} s", READY_WITHIN.as_secs()));
            }
            let wake = if theirs.is_some() { wake.min(ready_until) } else { wake };
            // Nothing of the sound is lost while it is not wanted: then it is not read.
            let room = if theirs.is_none() && flows { machine.room().min(buffers.sound.len()) } else { 0 };
            let withdrawn = (words.cancelled(), sound.cancelled());
            let woken = tokio::select! {
                biased;
                () = withdrawn.0.cancelled() => Woken::Withdrawn,
                () = withdrawn.1.cancelled() => Woken::Withdrawn,
                () = self.stop.cancelled(), if !stopping => Woken::Stop,
                order = self.orders.recv(), if !stopping => Woken::Order(order),
                woken = next(&mut way, &mut buffers.answer, &mut buffers.control, &mut buffers.timing) => woken,
                () = tokio::time::sleep_until(wake.into()) => Woken::Time,
                read = stream.read(&mut buffers.sound[..room]), if room > 0 => Woken::Sound(read),
            };
            let now = Instant::now();
            let input = match woken {
                Woken::Withdrawn => return End::Stopped,
                Woken::Stop | Woken::Order(None) => {
                    stopping = true;
                    Input::Wanted(0, Wanted::Stop)
                }
                Woken::Order(Some(Order(call, wanted))) => Input::Wanted(call.0, wanted),
                Woken::Answer(Ok(length)) if length > 0 => Input::Answer(&buffers.answer[..length]),
                Woken::Answer(ended) => {
                    way = None;
                    let why = ended.err().map(|error| error.to_string());
                    Input::Closed(why.unwrap_or_else(|| "the device ended the connection".to_owned()))
                }
                Woken::Control(Ok(length)) => Input::Control(&buffers.control[..length]),
                Woken::Timing(Ok((length, from))) => Input::Timing(&buffers.timing[..length], from),
                // That a port of the device is closed shows on the connection too.
                Woken::Control(Err(error)) | Woken::Timing(Err(error)) => {
                    tracing::debug!(%error, "a datagram was not read");
                    tokio::time::sleep(AFTER_ERROR).await;
                    Input::Timeout
                }
                Woken::Sound(Ok(length)) if length > 0 => Input::Sound(&buffers.sound[..length]),
                Woken::Sound(_) => {
                    flows = false;
                    Input::End
                }
                Woken::Time => Input::Timeout,
            };
            machine.handle(input, now);
            if machine.loudness() != self.loudness {
                self.loudness = machine.loudness();
                let _ = self.told.send(Told::Loudness(self.device.clone(), self.loudness)).await;
            }
        }
    }

    async fn leases(&mut self, there: IpAddr) -> Result<(OneNear, OneNear), SendError> {
        let (words, sound) =
            self.permits.take().ok_or_else(|| SendError::Io(std::io::ErrorKind::NotConnected.into()))?;
        Ok((OneNear::open(words, there).await?, OneNear::open(sound, there).await?))
    }

    async fn event(&mut self, event: Event, theirs: &mut Option<DuplexStream>) {
        match event {
            Event::Ready => {
                let Some(stream) = theirs.take() else { return };
                let (reader, writer) = tokio::io::split(stream);
                let path = PathInfo { address: self.at.to_string(), carrier: "raop".to_owned(), encrypted: false };
                let stream = ByteStream { reader: Box::new(reader), writer: Box::new(writer), path };
                self.outbox.carry(FromBridge::StreamReady { stream: self.stream }, stream).await;
            }
            Event::Values(values) => {
                let _ = self.told.send(Told::Values(self.device.clone(), values)).await;
            }
            Event::Done(0, _) | Event::Over(_) => {}
            Event::Done(call, outcome) => self.reply(CallId(call), outcome).await,
        }
    }

    async fn reply(&self, call: CallId, outcome: Result<(), String>) {
        let outcome = outcome.map(|()| Outputs::new()).map_err(CallError::Device);
        self.tell(FromBridge::Reply { call, outcome }).await;
    }

    async fn tell(&self, message: FromBridge) {
        self.outbox.tell([message]).await;
    }
}

impl Way {
    async fn send(&self, from: Port, to: SocketAddr, bytes: Vec<u8>) -> Result<(), SendError> {
        let socket = match from {
            Port::Sound => &self.sound,
            Port::Control => &self.control,
            Port::Timing => &self.timing,
        };
        socket.send(&Personal::of(law::sound(), bytes), to).await
    }
}

/// Connects, and opens the three ports beside the connection.
async fn open(words: &OneNear, sound: &OneNear, port: u16) -> Result<(Way, Input<'static>), String> {
    let dialed = tokio::time::timeout(CONNECTS_WITHIN, words.dial(port)).await;
    let late = || format!("no connection within {} s; is it switched on?", CONNECTS_WITHIN.as_secs());
    let met = dialed.map_err(|_| late())?.map_err(|error| error.to_string())?;
    let here = met.local().ok_or("this end of the connection has no address")?.ip();
    let socket = || sound.datagrams((here, 0).into()).map_err(|error| error.to_string());
    let way = Way { sound: socket()?, control: socket()?, timing: socket()?, met };
    let port = |socket: &DatagramOutlet| socket.local_addr().map(|at| at.port()).map_err(|error| error.to_string());
    let input = Input::Connected { here, control: port(&way.control)?, timing: port(&way.timing)? };
    Ok((way, input))
}

/// Waits for ever while nothing is open.
async fn next(way: &mut Option<Way>, answer: &mut [u8], control: &mut [u8], timing: &mut [u8]) -> Woken {
    let Some(way) = way else { return std::future::pending().await };
    tokio::select! {
        read = way.met.read(answer) => Woken::Answer(read),
        read = way.control.receive(control) => Woken::Control(read.map(|(length, _)| length)),
        read = way.timing.receive(timing) => Woken::Timing(read.map(|(length, from)| (length, from.port()))),
    }
}
