//! Signing in: the owner's browser is sent to Home Assistant's own page, comes back to this machine's web pages with a code,
//! and for the code the server gives what tokens are given for. One at a time, and not for long. Nothing is said to the server
//! before the browser is back; the owner agreed to that by then.

use std::time::{Duration, Instant};

use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs};
use accord_ports::Secret;
use accord_ports::secret::same;

use super::mind::{Heard, Mind};
use super::servers::Added;
use super::wire::{NoLine, Way};
use crate::core::sign::{Ask, Tokens, address, client, is_code};

/// How long the owner may take.
const SIGNS_WITHIN: Duration = Duration::from_secs(600);
/// How long a server that is removed may take to forget the sign-in.
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
        self.tell_all(told).await;
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
        let (law, heard, stop) = (self.law.clone(), self.heard.clone(), self.stop.child_token());
        self.tasks.spawn(async move {
            let mut signing = Box::new(signing);
            let mut way = Way { law, server: signing.server.clone(), place, pin, lease: None };
            let asked = stop.run_until_cancelled(way.ask(&Ask::Code(&code), &signing.client)).await;
            let outcome = asked.unwrap_or_else(|| Err(NoLine::odd("Accord ends".to_owned())));
            // The key that it proved then is the one.
            signing.record.pin = way.pin.map(|key| key.to_string());
            let _ = heard.send(Heard::Signed { call, signing, outcome }).await;
        });
        Ok(())
    }

    /// What came of the code.
    pub(super) async fn signed(
        &mut self,
        signing: Signing,
        outcome: Result<Tokens, NoLine>,
    ) -> Result<Outputs, CallError> {
        let Signing { server, client, record, .. } = signing;
        let token = match outcome {
            Ok(tokens) => tokens.refresh.ok_or_else(|| CallError::Device("it gave no token that lasts".to_owned())),
            Err(NoLine::Denied(why)) => Err(CallError::NotConsented(why)),
            Err(NoLine::Failed(why, _)) => Err(CallError::Unreachable(why)),
            Err(NoLine::Refused(why)) => {
                Err(CallError::Refused(format!("Home Assistant did not take the code: {why}")))
            }
            Err(NoLine::Other(_)) => {
                let why =
                    "it holds another key than the one that you named or that it showed before; nothing was said to it";
                Err(CallError::Refused(why.to_owned()))
            }
        };
        let kept = token
            .and_then(|token| self.servers.signed_in(server.clone(), Added { token, client: Some(client), ..record }));
        match kept {
            Ok(told) => {
                self.tell_all(told).await;
                self.take(&server).await;
                Ok(Outputs::from([("devices".to_owned(), Data::Texts(vec![server.to_string()]))]))
            }
            Err(error) => {
                let gone = self.servers.not_signed_in(&server);
                self.tell_all(gone).await;
                Err(error)
            }
        }
    }

    /// It took too long, or another one begins.
    pub(super) async fn give_up_signing(&mut self) {
        self.give_up_signing_but(None).await;
    }

    async fn give_up_signing_but(&mut self, server: Option<&DeviceId>) {
        let left = self.signing.take().filter(|signing| Some(&signing.server) != server);
        let gone: Option<FromBridge> = left.and_then(|signing| self.servers.not_signed_in(&signing.server));
        self.tell_all(gone).await;
    }

    /// A server that is removed is told to forget the sign-in, if it can be told.
    pub(super) async fn sign_out(&self, server: &DeviceId) {
        let Some(added) = self.servers.added(server) else { return };
        let (Some(client), Some(place)) = (&added.client, added.place()) else { return };
        let mut way = Way { law: self.law.clone(), server: server.clone(), place, pin: added.pin(), lease: None };
        let ask = Ask::Revoke(&added.token);
        // Its answer says nothing: it is the same for a token that it did not know.
        if tokio::time::timeout(FORGETS_WITHIN, way.ask(&ask, client)).await.is_err() {
            tracing::info!(%server, "a Home Assistant was not told in time that its sign-in is over; it is listed there");
        }
    }
}
