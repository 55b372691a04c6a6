//! The number of a machine near, by the name that its owner knows it by: `homeassistant.local`.
//!
//! Whoever asks for a name tells others which, so that it is an entry of its own ([`STATEMENT`]): a question by multicast DNS
//! (RFC 6762, 5.1), asked at most three times on every interface that has an IPv4 address, when the owner typed the name and at no
//! other time. No server of names is asked.
//!
//! Nothing proves who answers. An answer counts that comes from the link of the interface on which it was asked, and names an
//! address there; where several machines say that they have the name, none of them is taken.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet::interfaces::{Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_consent::{BoundGate, Personal, RecipientId, Refusal};
use accord_mdns::{GROUP_V4, HostQuestion, MAX_DATAGRAM, PORT};
use accord_model::{EntryKey, FieldCode, FieldSet};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// What this feature shares.
pub const STATEMENT: &str = include_str!("../statement.toml");

/// What a question says.
const SAID: FieldSet = FieldSet::one(FieldCode::NetIp).union(FieldSet::one(FieldCode::HomeDeviceName));
/// When it is asked, and until when an answer is waited for.
const ASKS_AT: [Duration; 3] = [Duration::ZERO, Duration::from_millis(800), Duration::from_millis(2000)];
const WITHIN: Duration = Duration::from_millis(3500);
/// After the first answer, others have so long: who has the same name is heard of.
const OTHERS_WITHIN: Duration = Duration::from_millis(700);
/// Most addresses that are told.
const MOST: usize = 8;

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The owner does not let it be asked for, or was not asked yet.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is no name.
    #[error("that is no name of a machine: a-z, 0-9 and -, with .local at its end")]
    NoName,
    /// Nobody answered.
    #[error("nobody in your networks answers to that name")]
    Nobody,
    /// Several machines say that they have it.
    #[error("several machines say that this is their name: {}", list_of(.0))]
    Several(Vec<IpAddr>),
    /// The question did not leave; in words.
    #[error("the name cannot be asked for now: {0}")]
    NotOpen(String),
}

fn list_of(all: &[IpAddr]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Looks names up.
pub struct Names {
    gate: BoundGate,
    network: Network,
    entry: EntryKey,
}

impl Names {
    /// `gate`: bound to this feature.
    ///
    /// # Panics
    /// Never: the entry's key is well formed.
    pub fn new(gate: BoundGate, network: Network) -> Self {
        let entry = EntryKey::new("names/lookup").expect("the feature's own entry key is well formed");
        Self { gate, network, entry }
    }

    /// The number of the machine of that name, which ends in `.local`. Takes a second when it is there, and three and a half
    /// when it is not.
    ///
    /// # Errors
    /// [`NotFound`]; [`NotFound::Refused`] before anything is sent.
    pub async fn look_up(&self, name: &str) -> Result<IpAddr, NotFound> {
        let host = local_part(name).ok_or(NotFound::NoName)?;
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|error| NotFound::NotOpen(error.to_string()))?;
        let question = HostQuestion::new(host, u16::from_ne_bytes(id)).map_err(|_| NotFound::NoName)?;
        let permit = self.gate.permit(&self.entry, &RecipientId::lan(), SAID, "on.request")?;
        let near = Near::open(permit, "names").await.map_err(|error| NotFound::NotOpen(error.to_string()))?;
        let found = self.ask(&near, Arc::new(question)).await;
        near.close();
        let mut found = found?;
        // Most reach a machine by IPv4; one with both has one of each.
        if found.iter().any(IpAddr::is_ipv4) {
            found.retain(IpAddr::is_ipv4);
        }
        match found.as_slice() {
            [] => Err(NotFound::Nobody),
            [one] => Ok(*one),
            _ => Err(NotFound::Several(found)),
        }
    }

    async fn ask(&self, near: &Near, question: Arc<HostQuestion>) -> Result<Vec<IpAddr>, NotFound> {
        let (began, mut asks, mut trouble) = (Instant::now(), JoinSet::new(), None);
        for interface in list(self.network).await {
            let is_used = !interface.loopback || self.network == Network::Loopback;
            let Some((own, _)) = interface.v4.first().copied().filter(|_| is_used) else { continue };
            // Bound to the address of the interface, the question leaves by it, and answers come back to it.
            match near.datagrams((own, 0).into()) {
                Ok(socket) => drop(asks.spawn(ask_on(Arc::new(socket), interface, question.clone(), began))),
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        if asks.is_empty() {
            let why = trouble.unwrap_or_else(|| "this machine is in no network with IPv4".to_owned());
            return Err(NotFound::NotOpen(why));
        }
        let (cancelled, mut until, mut found) = (near.cancelled(), began + WITHIN, Vec::new());
        let (told, mut heard) = tokio::sync::mpsc::channel(16);
        let mut hearing = JoinSet::new();
        hearing.spawn(async move {
            while let Some(ended) = asks.join_next().await {
                let _ = told.send(ended.unwrap_or_default()).await;
            }
        });
        loop {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(NotFound::NotOpen("you withdrew your consent".to_owned())),
                () = sleep_until(until) => return Ok(found),
                of_interface = heard.recv() => {
                    let Some(of_interface) = of_interface else { return Ok(found) };
                    for ip in of_interface {
                        if !found.contains(&ip) && found.len() < MOST {
                            found.push(ip);
                        }
                    }
                    if !found.is_empty() {
                        until = until.min(Instant::now() + OTHERS_WITHIN);
                    }
                }
            }
        }
    }
}

/// The name without `.local`, and without the dot after it.
fn local_part(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let at = name.len().checked_sub(".local".len())?;
    let end = name.get(at..)?;
    name.get(..at).filter(|host| end.eq_ignore_ascii_case(".local") && !host.is_empty())
}

/// Asks on one interface, and gathers what is answered there until a moment after the first answer.
async fn ask_on(
    socket: Arc<DatagramOutlet>,
    interface: Interface,
    question: Arc<HostQuestion>,
    began: Instant,
) -> Vec<IpAddr> {
    let (to, mut found, mut until) = (SocketAddr::from((GROUP_V4, PORT)), Vec::new(), began + WITHIN);
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    let mut asks = VecDeque::from(ASKS_AT.map(|after| began + after));
    loop {
        let due = asks.front().copied().filter(|_| found.is_empty());
        if due.is_some_and(|due| due <= Instant::now()) {
            asks.pop_front();
            if let Err(error) = socket.send(&Personal::of(SAID, question.bytes()), to).await {
                tracing::debug!(%error, "a question for a name did not leave");
            }
            continue;
        }
        let wake = due.map_or(until, |due| due.min(until));
        match timeout_at(wake, socket.receive(&mut buffer)).await {
            Err(_) if Instant::now() >= until => return found,
            Err(_) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "an answer for a name was not read");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(Ok((length, from))) => {
                let answered = admitted(&interface, from, question.answer(buffer.get(..length).unwrap_or_default()));
                if !answered.is_empty() && found.is_empty() {
                    until = until.min(Instant::now() + OTHERS_WITHIN);
                }
                for ip in answered {
                    if !found.contains(&ip) && found.len() < MOST {
                        found.push(ip);
                    }
                }
            }
        }
    }
}

/// What counts of an answer. Nobody is sent elsewhere on the word of a datagram, whose sender may have made it up: who answers for
/// itself is where it answers from, and for others only with an address on the same link.
fn admitted(interface: &Interface, from: SocketAddr, said: Vec<IpAddr>) -> Vec<IpAddr> {
    if from.port() != PORT || !interface.is_on_link(from.ip()) {
        return Vec::new();
    }
    if said.contains(&from.ip()) {
        return vec![from.ip()];
    }
    let is_right = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => *ip != Ipv4Addr::UNSPECIFIED && interface.is_on_link((*ip).into()),
        // Link-local ones are of no use without their scope, which an address that is kept does not have.
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && interface.is_on_link((*ip).into()),
    };
    said.into_iter().filter(is_right).collect()
}

#[cfg(test)]
mod tests;
