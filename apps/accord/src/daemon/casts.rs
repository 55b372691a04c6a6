//! The hub's side of casting.

use accord_casting::{CastError, Casting, Step};
use accord_consent::RecipientId;
use accord_model::text::for_screen;
use accord_model::{DeviceId, EntryKey};
use accord_registry::Job;

use super::faces::cast_goes_on;
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
        let name = self.device(&id)?.name;
        let path = absolute(vec![wanted.path])?.pop().ok_or_else(|| Failure::bad_request("A file is missing."))?;
        let mut failed = None;
        // Another face of the device is tried when the best one is not there.
        for face in self.ways(&id, job(&path)) {
            let known = self.registry.device(&face).ok_or_else(|| super::devices::no_device(face.as_str()))?;
            match self.trust_of(&known) {
                Trust::Blocked => return Err(Failure::refused(format!("{name} is blocked."))),
                Trust::Seen => return Err(Failure::conflict(format!("{name} is not added; pair with it first."))),
                _ => {}
            }
            self.may_cast(&face, &name)?;
            match self.casting.cast(&face, path.clone()).await {
                Err(error) if cast_goes_on(&error) => failed = failed.or(Some(error)),
                outcome => return Ok(self.cast_view(outcome?)),
            }
        }
        Err(failed.map_or_else(|| super::devices::no_device(id.as_str()), Into::into))
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
        // What the device's own way of playing tells others is its bridge's affair, and asked with the rest.
        let bridge = self.registry.device(id).map(|known| known.bridge).unwrap_or_default();
        let statement = self.gate.statement();
        let of_bridge = statement.entries.iter().filter(|entry| entry.key.owner() == bridge);
        for entry in of_bridge.filter(|entry| entry.scenario.iter().any(|word| word == "on.cast")) {
            self.gate
                .check(&entry.key, &to, entry.field_set())
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

/// What a device has to be good for to play this.
fn job(path: &std::path::Path) -> Job<'static> {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    let sound = ["mp3", "flac", "ogg", "oga", "opus", "wav", "m4a", "aac"];
    if sound.contains(&end.as_str()) { Job::Sound } else { Job::Show }
}
