//! Signing in with a device's own web page: the owner's browser goes there, and comes back to this hub with a code that the
//! bridge trades in. One at a time, for ten minutes. That the browser is back with what it was sent away with is the owner's
//! consent to the bridge's connection, as filling in a form is; nothing is said to the device before.

use std::time::{Duration, Instant};

use accord_model::{Data, DeviceId, Inputs};
use accord_ports::Secret;
use accord_ports::secret::{same, token};

use super::forms::{Form, KEPT_WITHIN};
use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::forms as api;
use crate::api::signed_in::PATH;

/// How long the owner may take.
const SIGNS_WITHIN: Duration = Duration::from_secs(600);
/// How long a device may take to trade in a code.
const TRADES_WITHIN: Duration = Duration::from_secs(25);

/// One that is under way, or was.
pub struct Signing {
    form: &'static Form,
    /// What the browser is to come back with.
    state: Secret,
    devices: Vec<DeviceId>,
    surface: &'static str,
    until: Instant,
    came: Came,
}

enum Came {
    Waits,
    /// The browser is back, and the bridge trades in its code.
    Trades,
    Done,
    Failed(String),
}

impl Hub {
    /// Where the owner's browser is to go.
    pub(super) async fn begin_sign_in(
        &self,
        form: &'static Form,
        mut inputs: Inputs,
        surface: &'static str,
        origin: Option<String>,
    ) -> Answer<api::Added> {
        let origin = origin.ok_or_else(|| {
            Failure::conflict("The browser comes back to this hub's web pages, and they are off. Start the hub with them, or give the secret.")
        })?;
        let state = token();
        inputs.insert("return".to_owned(), Data::Text(format!("{}{PATH}", origin.trim_end_matches('/'))));
        inputs.insert("state".to_owned(), Data::Text(state.clone()));
        let begun = self.registry.add(form.bridge, "sign-in", inputs, KEPT_WITHIN).await?;
        let open = begun.open.ok_or_else(|| Failure::internal("Signing in cannot begin", "no address was given"))?;
        let devices = begun.devices.iter().map(|id| self.device(id)).collect::<Answer<Vec<_>>>()?;
        let (state, until) = (state.into(), Instant::now() + SIGNS_WITHIN);
        let signing = Signing { form, state, devices: begun.devices, surface, until, came: Came::Waits };
        *self.signing() = Some(signing);
        Ok(api::Added { devices, open: Some(open) })
    }

    /// How the last one stands.
    pub fn sign_in(&self) -> Answer<api::SignIn> {
        let (state, message, devices) = match &*self.signing() {
            Some(Signing { came: Came::Waits, until, .. }) if *until <= Instant::now() => {
                (api::SignInState::None, None, Vec::new())
            }
            Some(Signing { came: Came::Waits | Came::Trades, .. }) => (api::SignInState::Waits, None, Vec::new()),
            Some(Signing { came: Came::Done, devices, .. }) => (api::SignInState::Done, None, devices.clone()),
            Some(Signing { came: Came::Failed(why), .. }) => (api::SignInState::Failed, Some(why.clone()), Vec::new()),
            None => (api::SignInState::None, None, Vec::new()),
        };
        // One that was removed since is not told.
        let devices = devices.iter().filter_map(|id| self.device(id).ok()).collect();
        Ok(api::SignIn { state, message, devices })
    }

    /// The browser is back: with a code, or with the device's word for why there is none. What was signed in with.
    pub async fn signed_in(&self, state: &str, code: Result<&str, String>) -> Answer<&'static str> {
        let over = || Failure::not_found("This signing in is not waited for any more. Begin again in Accord.");
        let (form, devices, surface) = {
            let mut signing = self.signing();
            let waits = |one: &&mut Signing| {
                same(&one.state, state) && matches!(one.came, Came::Waits) && Instant::now() < one.until
            };
            let one = signing.as_mut().filter(waits).ok_or_else(over)?;
            one.came = Came::Trades;
            (one.form, one.devices.clone(), one.surface)
        };
        let traded = match code {
            Ok(code) => self.trade(form, &devices, surface, state, code).await,
            Err(why) => Err(Failure::refused(format!("{} did not sign you in: {why}", form.what))),
        };
        let mut signing = self.signing();
        if let Some(one) = signing.as_mut().filter(|one| same(&one.state, state)) {
            one.came = match &traded {
                Ok(()) => Came::Done,
                Err(failure) => Came::Failed(failure.message().to_owned()),
            };
        }
        traded.map(|()| form.what)
    }

    async fn trade(
        &self,
        form: &'static Form,
        devices: &[DeviceId],
        surface: &'static str,
        state: &str,
        code: &str,
    ) -> Answer<()> {
        self.agree_to_added(form, devices, surface)?;
        let inputs = [("state", state), ("code", code)];
        let inputs = inputs.map(|(id, text)| (id.to_owned(), Data::Text(text.to_owned()))).into();
        match self.registry.add(form.bridge, "signed-in", inputs, TRADES_WITHIN).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // What was not added is not spoken to. One that was before is, as the owner agreed just now.
                for device in devices.iter().filter(|device| !self.is_added(device)) {
                    self.forget_given(device)?;
                }
                Err(error.into())
            }
        }
    }

    fn is_added(&self, device: &DeviceId) -> bool {
        self.registry.device(device).is_some_and(|known| !known.device.passing)
    }

    fn signing(&self) -> std::sync::MutexGuard<'_, Option<Signing>> {
        self.signing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
