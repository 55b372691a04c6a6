//! Adding a lamp by its address, where the search for everyone does not reach it: the same search is sent to that address alone,
//! and what answers there says which lamp it is. What does not answer is not added.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use accord_model::{CallError, CallId, Data, DeviceId, Inputs, Outputs};

use super::mind::Mind;
use crate::core::discovery::Input;

/// How long a lamp may take to answer, the beginning of the search included.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Lamps that are added at once.
const MOST: usize = 16;

/// One that is under way.
pub(crate) struct Adding {
    pub call: CallId,
    host: Ipv4Addr,
    until: Instant,
}

/// Waits until one of them has taken too long; for ever while there is none. May be dropped at any time.
pub(crate) async fn late(adding: &[Adding]) {
    match adding.iter().map(|one| one.until).min() {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

impl Mind {
    /// It is answered once a lamp answers there, or none did.
    pub(super) fn begin_adding(&mut self, call: CallId, way: &str, inputs: &Inputs) -> Result<(), CallError> {
        let wrong = |why: &str| CallError::BadInput(why.to_owned());
        if way != "address" {
            return Err(wrong("a lamp is added by its address"));
        }
        let text = inputs.get("address").and_then(Data::as_text).unwrap_or_default().trim();
        let host: Ipv4Addr = text.parse().map_err(|_| {
            wrong("the address is a number such as 192.168.1.20, as your router or the Yeelight app shows it")
        })?;
        if !self.may_be_there(host) {
            return Err(wrong(
                "that address is in none of the networks that this computer is in, so that a lamp there is not reached",
            ));
        }
        if self.adding.len() >= MOST {
            return Err(CallError::Unreachable("too many lamps are being added".to_owned()));
        }
        self.adding.push(Adding { call, host, until: Instant::now() + ANSWERS_WITHIN });
        self.ask(host);
        Ok(())
    }

    /// Unknown while nobody looks for lamps.
    fn may_be_there(&self, host: Ipv4Addr) -> bool {
        let plain = !(host.is_multicast() || host.is_broadcast() || host.is_unspecified());
        plain && self.near.as_ref().is_none_or(|(near, _)| near.is_on_link(host.into()))
    }

    fn ask(&mut self, host: Ipv4Addr) {
        if let Some((_, discovery)) = &mut self.near {
            discovery.handle(Input::Ask(host), Instant::now());
        }
    }

    /// The search begins only now.
    pub(super) fn ask_all(&mut self) {
        for host in self.adding.iter().map(|one| one.host).collect::<Vec<_>>() {
            self.ask(host);
        }
    }

    /// A lamp is there: who adds it by its address has it.
    pub(super) async fn is_there(&mut self, id: &DeviceId, host: Ipv4Addr) {
        for one in self.adding.extract_if(.., |one| one.host == host).collect::<Vec<_>>() {
            let added = if self.devices.is_added(id) { Ok(()) } else { self.add(id, true).await };
            let devices = ("devices".to_owned(), Data::Texts(vec![id.to_string()]));
            self.outbox.reply(one.call, added.map(|()| Outputs::from([devices]))).await;
        }
    }

    /// Nobody answered in time.
    pub(super) async fn in_vain(&mut self) {
        let now = Instant::now();
        for one in self.adding.extract_if(.., |one| one.until <= now).collect::<Vec<_>>() {
            let error = match &self.near {
                None => CallError::NotConsented(
                    "looking for Yeelight lamps is off: agree to yeelight/search first".to_owned(),
                ),
                Some(_) if !self.may_be_there(one.host) => {
                    CallError::BadInput(format!("{} is in none of the networks that this computer is in", one.host))
                }
                Some(_) => CallError::Unreachable(format!(
                    "no Yeelight lamp answers at {}, and nothing was added: does it have power, is “LAN control” on in the Yeelight \
                     app, and is that its address?",
                    one.host
                )),
            };
            self.outbox.reply(one.call, Err(error)).await;
        }
    }
}
