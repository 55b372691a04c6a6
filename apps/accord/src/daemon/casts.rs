//! The hub's side of casting.

use accord_casting::{CastError, Casting, Step};
use accord_consent::RecipientId;
use accord_model::text::for_screen;
use accord_model::{DeviceId, EntryKey};

use super::hub::Hub;
use super::transfers::absolute;
use crate::api::casts as api;
use crate::api::error::{Answer, Failure};
use crate::api::types::Trust;

impl From<CastError> for Failure {
    fn from(error: CastError) -> Self {
        let message = error.to_string();
        match error {
            CastError::NoRenderer(_) | CastError::NoCast => Self::not_found(message),
            CastError::File(_) => Self::bad_request(message),
            CastError::NoWay => Self::conflict(message),
            CastError::NotConsented(_) => Self::refused(message),
            CastError::Serve(_) => Self::internal("The file could not be served", message),
            CastError::Told(error) => error.into(),
        }
    }
}

impl Hub {
    pub fn casts_now(&self) -> Vec<api::Cast> {
        self.casting.list().into_iter().map(|cast| self.cast_view(cast)).collect()
    }

    pub async fn start_cast(&self, wanted: api::StartCast) -> Answer<api::Cast> {
        let id = self.resolve(&wanted.device)?;
        let device = self.device(&id)?;
        match device.trust {
            Trust::Blocked => return Err(Failure::refused(format!("{} is blocked.", device.name))),
            Trust::Seen => return Err(Failure::conflict(format!("{} is not added; pair with it first.", device.name))),
            _ => {}
        }
        let path = absolute(vec![wanted.path])?.pop().ok_or_else(|| Failure::bad_request("A file is missing."))?;
        self.may_cast(&id, &device.name)?;
        Ok(self.cast_view(self.casting.cast(&id, path).await?))
    }

    pub async fn stop_cast(&self, id: &str) -> Answer<()> {
        Ok(self.casting.stop(id).await?)
    }

    /// The owner is asked for what is missing.
    fn may_cast(&self, id: &DeviceId, name: &str) -> Answer<()> {
        let to = RecipientId::device(id);
        for (entry, fields) in Casting::needs() {
            let entry = EntryKey::new(entry).map_err(|error| Failure::internal("No such entry", error))?;
            self.gate
                .check(&entry, &to, fields)
                .map_err(|refusal| self.not_let_out(refusal, &to, format!("Cast to {name}")))?;
        }
        Ok(())
    }

    fn cast_view(&self, cast: accord_casting::Cast) -> api::Cast {
        let (step, over) = match cast.step {
            Step::Commanded => (api::CastStep::Commanded, None),
            Step::Fetched => (api::CastStep::Fetched, None),
            Step::Moving => (api::CastStep::Moving, None),
            Step::Over(why) => (api::CastStep::Over, Some(why)),
        };
        api::Cast {
            id: cast.id,
            device_name: self.device_name(cast.device.as_str()).unwrap_or_default(),
            device: cast.device.to_string(),
            name: for_screen(&cast.name, 255),
            size: cast.size,
            picture: cast.picture,
            fetched: cast.fetched,
            step,
            over,
            since: cast.since,
        }
    }
}
