//! Signing in: the owner's browser is sent to Home Assistant's own page, comes back to this machine's web pages with a code,
//! and for the code the server gives what tokens are given for. One at a time, and not for long. Nothing is said to the server
//! before the browser is back; the owner agreed to that by then.

use std::time::{Duration, Instant};

use accord_model::why::Outcome;
use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs};
use accord_ports::Secret;
use accord_ports::secret::same;
use tokio_util::sync::CancellationToken;

use super::mind::{Heard, Mind};
use super::servers::Added;
use super::wire::{NoLine, Way};
use crate::core::sign::{Ask, Tokens, address, client, is_code};

/// How long the owner may take.
const SIGNS_WITHIN: Duration = Duration::from_secs(600);
/// How long a server may take to forget a sign-in.
const FORGETS_WITHIN: Duration = Duration::from_secs(2);

/// One that is under way.
pub(crate) struct Signing {
    server: DeviceId,
    /// What the browser comes back with, so that it is known to be this one.
    state: Secret,
    client: String,
    /// What is kept of the server once it is done.
    record: Added,
    pub until: Instant,
}

impl Mind {
    /// The owner wants to sign in: where the browser is to go.
    pub(super) async fn sign_in(&mut self, inputs: &Inputs) -> Result<Outputs, CallError> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text).unwrap_or_default();
        let (back, state) = (text("return"), text("state"));
        let client = client(back).filter(|_| (16..=128).contains(&state.len()));
        let client =
            client.ok_or_else(|| CallError::BadInput("it is not said where the browser comes back".to_owned()))?;
        let (server, record, told) = self.servers.sign_in(inputs)?;
        self.give_up_signing_but(Some(&server)).await;
        self.outbox.tell(told).await;
        let place = record.place().ok_or_else(|| CallError::BadInput("the address cannot be read".to_owned()))?;
        let open = address(&place, &client, back, state);
        let devices = Data::Texts(vec![server.to_string()]);
        let until = Instant::now() + SIGNS_WITHIN;
        self.signing = Some(Signing { server, state: state.into(), client, record, until });
        Ok(Outputs::from([("devices".to_owned(), devices), ("open".to_owned(), Data::Text(open))]))
    }

    /// The browser is back. It is answered once the server gave tokens or did not.
    pub(super) fn came_back(&mut self, call: CallId, inputs: &Inputs) -> Result<(), CallError> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text).unwrap_or_default();
        let (state, code) = (text("state"), text("code").to_owned());
        let waits = |signing: &mut Signing| same(&signing.state, state) && Instant::now() < signing.until;
        let over = || CallError::Refused("this sign-in is not waited for any more; begin again".to_owned());
        if !is_code(&code) {
            return Err(CallError::BadInput("that is no code of Home Assistant's".to_owned()));
        }
        // Once, whatever comes of it.
        let signing = self.signing.take_if(waits).ok_or_else(over)?;
        let place = signing.record.place().ok_or_else(over)?;
        let pin = signing.record.pin();
        let (law, heard, stop) = (self.law.clone(), self.heard.clone(), CancellationToken::new());
        self.trades.insert(call, stop.clone());
        self.hands.spawn(async move {
            let mut signing = Box::new(signing);
            let mut way = Way { law, server: signing.server.clone(), place, pin, lease: None };
            let asked = stop.run_until_cancelled(way.ask(&Ask::Code(&code), &signing.client)).await;
            let outcome = asked.unwrap_or_else(|| Err(NoLine::odd("it was not waited for".to_owned())));
            // The key that it proved then is the one.
            signing.record.pin = way.pin.map(|key| key.to_string());
            let _ = heard.send(Heard::Signed { call, signing, outcome }).await;
        });
        Ok(())
    }

    /// What came of the code. Nobody waits for it any more: it is as if there were none.
    pub(super) async fn signed(
        &mut self,
        call: CallId,
        signing: Signing,
        outcome: Result<Tokens, NoLine>,
    ) -> Result<Outputs, CallError> {
        let is_waited_for = self.trades.remove(&call).is_some_and(|stop| !stop.is_cancelled());
        let Signing { server, client, record, .. } = signing;
        let token = match outcome {
            Ok(tokens) => tokens.refresh.ok_or_else(|| CallError::Device("it gave no token that lasts".to_owned())),
            Err(NoLine::Denied(why)) => Err(CallError::NotConsented(why)),
            Err(NoLine::Failed(why, _) | NoLine::Barred(why)) => Err(CallError::Unreachable(why)),
            Err(NoLine::Refused(why)) => {
                Err(CallError::Refused(format!("Home Assistant did not take the code: {why}")))
            }
            Err(NoLine::Other(key)) => {
                let why = format!(
                    "it holds another key than the one that you named or that it showed before, {key}; nothing was said to \
                     it. If that is right, begin again"
                );
                let told = self.servers.other(&server, key);
                self.outbox.tell(told).await;
                Err(CallError::Refused(why))
            }
        };
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                let gone = self.servers.not_signed_in(&server);
                self.outbox.tell(gone).await;
                return Err(error);
            }
        };
        let new = Added { token, client: Some(client), ..record };
        let before = self.servers.added(&server).cloned();
        let kept = match is_waited_for {
            true => self.servers.signed_in(server.clone(), new.clone()),
            false => Err(CallError::Refused("it was not waited for any more".to_owned())),
        };
        // What is replaced, or not kept, is to be worth nothing from now on.
        match kept {
            Ok(told) => {
                self.outbox.tell(told).await;
                self.take(&server).await;
                if let Some(before) = before {
                    self.replaced(&server, before).await;
                }
                Ok(Outputs::from([("devices".to_owned(), Data::Texts(vec![server.to_string()]))]))
            }
            Err(error) => {
                self.sign_out(&server, &new).await;
                let gone = self.servers.not_signed_in(&server);
                self.outbox.tell(gone).await;
                Err(error)
            }
        }
    }

    /// The owner does not sign in after all. Nothing to do when another one began since, or the browser is back.
    pub(super) async fn not_signed_in(&mut self, inputs: &Inputs) {
        let state = inputs.get("state").and_then(Data::as_text).unwrap_or_default();
        if self.signing.as_ref().is_some_and(|signing| same(&signing.state, state)) {
            self.give_up_signing().await;
        }
    }

    /// It took too long, or another one begins.
    pub(super) async fn give_up_signing(&mut self) {
        self.give_up_signing_but(None).await;
    }

    async fn give_up_signing_but(&mut self, server: Option<&DeviceId>) {
        let left = self.signing.take().filter(|signing| Some(&signing.server) != server);
        let gone: Option<FromBridge> = left.and_then(|signing| self.servers.not_signed_in(&signing.server));
        self.outbox.tell(gone).await;
    }

    /// What was kept of a server is not any more. It is told so where it is now: where it was may be somebody else.
    pub(super) async fn replaced(&self, server: &DeviceId, before: Added) {
        let Some(now) = self.servers.added(server).filter(|now| now.token != before.token) else { return };
        let (place, pin) = (now.place.clone(), now.pin.clone());
        self.sign_out(server, &Added { place, pin, ..before }).await;
    }

    /// A server is told to forget a sign-in that was kept of it, if it can be told.
    pub(super) async fn sign_out(&self, server: &DeviceId, added: &Added) {
        let (Some(client), Some(place)) = (&added.client, added.place()) else { return };
        let mut way = Way { law: self.law.clone(), server: server.clone(), place, pin: added.pin(), lease: None };
        let ask = Ask::Revoke(&added.token);
        let told = tokio::time::timeout(FORGETS_WITHIN, way.ask(&ask, client)).await;
        let is_told = match &told {
            // What it answers says nothing: it is the same for a token that it did not know.
            Ok(Ok(_) | Err(NoLine::Refused(_) | NoLine::Failed(_, Outcome::Failed(_)))) => true,
            Ok(Err(_)) | Err(_) => false,
        };
        if !is_told {
            tracing::info!(%server, "a Home Assistant could not be told that a sign-in is over; it may be listed there still");
        }
    }
}
