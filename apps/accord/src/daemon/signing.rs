//! Signing in with a device's own web page: the owner's browser goes there, and comes back to this hub with a code that the
//! bridge trades in. One at a time, for ten minutes. That the browser is back with what it was sent away with is the owner's
//! consent to the bridge's connection, as filling in a form is; nothing is said to the device before. The consent stays only
//! if the code was taken, or was there before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::{Choice, ConsentState, RecipientId, To};
use accord_model::{Data, DeviceId, Inputs};
use accord_ports::Secret;
use accord_ports::added::AGAIN;
use accord_ports::secret::{same, token};

use super::forms::{Form, KEPT_WITHIN};
use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::forms as api;
use crate::api::signed_in::PATH;

/// How long the owner may take.
const SIGNS_WITHIN: Duration = Duration::from_secs(600);
/// How long a device may take to trade in a code; and with what is written down before and after.
const TRADES_WITHIN: Duration = Duration::from_secs(25);
const DONE_WITHIN: Duration = Duration::from_secs(40);
/// How long a bridge may take to hear that nobody signs in.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(5);

/// The one that is under way, or was.
#[derive(Default)]
pub struct Signings {
    last: Mutex<Option<Signing>>,
    /// Held by whoever begins one: bridge and hub know the same one as the last.
    turn: tokio::sync::Mutex<()>,
}

struct Signing {
    form: &'static Form,
    /// By which it is asked for.
    id: String,
    /// What the browser is to come back with.
    state: Secret,
    devices: Vec<DeviceId>,
    /// They may be told what to do, too.
    control: bool,
    /// The owner says that they were added before.
    again: bool,
    surface: &'static str,
    until: Instant,
    came: Came,
}

enum Came {
    Waits,
    /// The browser is back, and the bridge trades in its code, until then.
    Trades(Instant),
    Done,
    Failed(String),
}

/// What the browser came back with.
struct Back {
    form: &'static Form,
    devices: Vec<DeviceId>,
    control: bool,
    again: bool,
    surface: &'static str,
    state: String,
    code: Result<String, String>,
}

impl Hub {
    /// Where the owner's browser is to go.
    pub(super) async fn begin_sign_in(
        &self,
        form: &'static Form,
        mut inputs: Inputs,
        control: bool,
        surface: &'static str,
        origin: Option<String>,
    ) -> Answer<api::Added> {
        let origin = origin.ok_or_else(|| {
            Failure::conflict("The browser comes back to this hub's web pages, and they are off. Start the hub with them, or give the secret.")
        })?;
        let state = token();
        inputs.insert("return".to_owned(), Data::Text(format!("{}{PATH}", origin.trim_end_matches('/'))));
        inputs.insert("state".to_owned(), Data::Text(state.clone()));
        let again = inputs.contains_key(AGAIN);
        let _turn = self.signing.turn.lock().await;
        let begun = self.registry.add(form.bridge, "sign-in", inputs, KEPT_WITHIN).await?;
        let open = begun.open.ok_or_else(|| Failure::internal("Signing in cannot begin", "no address was given"))?;
        let devices = begun.devices.iter().map(|id| self.device(id)).collect::<Answer<Vec<_>>>()?;
        let (state, until, id) = (state.into(), Instant::now() + SIGNS_WITHIN, token());
        let came = Came::Waits;
        let signing =
            Signing { form, id: id.clone(), state, devices: begun.devices, control, again, surface, until, came };
        *self.last_signing() = Some(signing);
        Ok(api::Added { devices, open: Some(open), signing_in: Some(id), looked_up: None })
    }

    /// How one stands.
    pub fn sign_in(&self, id: &str) -> api::SigningIn {
        use api::SigningInState as State;
        let now = Instant::now();
        let (state, message, devices) = match self.last_signing().as_ref().filter(|one| one.id == id) {
            None => (State::None, None, Vec::new()),
            Some(one) => match &one.came {
                Came::Waits if one.until <= now => (State::None, None, Vec::new()),
                Came::Trades(until) if *until <= now => {
                    let why = format!("{} did not answer in time. Begin again.", one.form.what);
                    (State::Failed, Some(why), Vec::new())
                }
                Came::Waits | Came::Trades(_) => (State::Waits, None, Vec::new()),
                Came::Done => (State::Done, None, one.devices.clone()),
                Came::Failed(why) => (State::Failed, Some(why.clone()), Vec::new()),
            },
        };
        // One that was removed since is not told.
        let devices = devices.iter().filter_map(|id| self.device(id).ok()).collect();
        api::SigningIn { state, message, devices }
    }

    /// The owner does not sign in after all. Nothing to do when that is over.
    pub async fn give_up_sign_in(&self, id: &str) {
        let given_up = self.last_signing().take_if(|one| one.id == id && matches!(one.came, Came::Waits));
        if let Some(one) = given_up {
            self.tell_given_up(one.form, &one.state).await;
        }
    }

    /// The browser is back: with a code, or with the device's word for why there is none. What was signed in with. It goes on
    /// when the browser does not wait for it.
    pub async fn signed_in(self: &Arc<Self>, state: &str, code: Result<&str, String>) -> Answer<&'static str> {
        let over = || Failure::not_found("This signing in is not waited for any more. Begin again in Accord.");
        let back = {
            let mut signing = self.last_signing();
            let waits = |one: &&mut Signing| {
                same(&one.state, state) && matches!(one.came, Came::Waits) && Instant::now() < one.until
            };
            let one = signing.as_mut().filter(waits).ok_or_else(over)?;
            one.came = Came::Trades(Instant::now() + DONE_WITHIN);
            let (devices, state, code) = (one.devices.clone(), state.to_owned(), code.map(str::to_owned));
            Back { form: one.form, devices, control: one.control, again: one.again, surface: one.surface, state, code }
        };
        let hub = self.clone();
        let traded = tokio::spawn(async move { hub.came_back(back).await });
        traded.await.unwrap_or_else(|error| Err(Failure::internal("Signing in came to nothing", error)))
    }

    async fn came_back(&self, back: Back) -> Answer<&'static str> {
        let traded = match &back.code {
            Ok(code) => self.trade(&back, code).await,
            Err(why) => Err(Failure::refused(format!("{} did not sign you in: {why}", back.form.what))),
        };
        if traded.is_err() {
            self.tell_given_up(back.form, &back.state).await;
        }
        let mut signing = self.last_signing();
        if let Some(one) = signing.as_mut().filter(|one| same(&one.state, &back.state)) {
            one.came = match &traded {
                Ok(()) => Came::Done,
                Err(failure) => Came::Failed(failure.message().to_owned()),
            };
        }
        traded.map(|()| back.form.what)
    }

    async fn trade(&self, back: &Back, code: &str) -> Answer<()> {
        let entry = self.entry_of(back.form.bridge);
        let entry = entry.ok_or_else(|| Failure::internal("No such entry", back.form.bridge))?;
        let given = |device: &DeviceId| {
            let to = To::One(RecipientId::device(device));
            let given = self.gate.consents().into_iter();
            given.filter(move |one| one.to == to && one.state == ConsentState::Given).collect::<Vec<_>>()
        };
        let before: Vec<_> = back.devices.iter().flat_map(&given).collect();
        for device in &back.devices {
            let to = To::One(RecipientId::device(device));
            // What is agreed to already goes on, and so does what is connected.
            if !before.iter().any(|one| one.to == to && one.entry == entry) {
                self.decide_as(entry.clone(), to, Choice::Always, None, back.surface)?;
            }
        }
        let inputs = [("state", back.state.as_str()), ("code", code)];
        let inputs = inputs.map(|(id, text)| (id.to_owned(), Data::Text(text.to_owned()))).into();
        match self.registry.add(back.form.bridge, "signed-in", inputs, TRADES_WITHIN).await {
            Ok(_) => {
                // Another may be there now: what else was agreed for it before does not come back, unless its owner says that
                // it is the same.
                for one in before.iter().filter(|one| !back.again && one.entry != entry) {
                    self.gate.withdraw(one.id)?;
                }
                for device in back.devices.iter().filter(|_| back.control) {
                    self.agree_to_control(back.form.bridge, device, back.surface)?;
                }
                Ok(())
            }
            Err(error) => {
                // Agreed to for this, and for nothing else.
                let new = back.devices.iter().flat_map(&given).filter(|one| one.entry == entry);
                for one in new.filter(|one| !before.iter().any(|old| old.id == one.id)) {
                    self.gate.withdraw(one.id)?;
                }
                Err(error.into())
            }
        }
    }

    /// The bridge forgets that somebody signs in, if it still knows.
    async fn tell_given_up(&self, form: &Form, state: &str) {
        let inputs = Inputs::from([("state".to_owned(), Data::Text(state.to_owned()))]);
        if let Err(error) = self.registry.give_up_adding(form.bridge, inputs, GIVES_UP_WITHIN).await {
            tracing::info!(bridge = form.bridge, %error, "it waits for a sign-in that was given up");
        }
    }

    fn last_signing(&self) -> MutexGuard<'_, Option<Signing>> {
        self.signing.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
