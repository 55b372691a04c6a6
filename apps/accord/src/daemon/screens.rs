//! The hub's side of showing this machine's screen.

use accord_consent::RecipientId;
use accord_model::text::for_screen;
use accord_screen::{Share, ShareError};

use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::screens as api;
use crate::api::types::Trust;

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Self {
        let message = error.to_string();
        match error {
            ShareError::NoScreen(_) | ShareError::NoShare => Self::not_found(message),
            ShareError::Described(_) => Self::bad_request(message),
            ShareError::NoWay => Self::conflict(message),
            ShareError::NotConsented(_) => Self::refused(message),
            ShareError::Socket(_) => Self::internal("The screen could not be sent", message),
            ShareError::Told(error) => error.into(),
        }
    }
}

impl Hub {
    pub fn screens_now(&self) -> Vec<api::ScreenShare> {
        self.screens.list().into_iter().map(|share| self.screen_view(share)).collect()
    }

    pub async fn show_screen(&self, wanted: api::ShowScreen) -> Answer<api::ShownScreen> {
        let id = self.resolve(&wanted.device)?;
        let device = self.device(&id)?;
        match device.trust {
            Trust::Blocked => return Err(Failure::refused(format!("{} is blocked.", device.name))),
            Trust::Seen => return Err(Failure::conflict(format!("{} is not added; pair with it first.", device.name))),
            _ => {}
        }
        let (to, (entry, fields)) = (RecipientId::device(&id), self.screens.needs());
        let because = format!("Show your screen on {}", device.name);
        self.gate.check(entry, &to, fields).map_err(|refusal| self.not_let_out(refusal, &to, because))?;
        let (share, answer) = self.screens.show(&id, &wanted.offer).await?;
        Ok(api::ShownScreen { screen: self.screen_view(share), answer })
    }

    pub async fn stop_screen(&self, id: &str) -> Answer<()> {
        Ok(self.screens.stop(id).await?)
    }

    fn screen_view(&self, share: Share) -> api::ScreenShare {
        api::ScreenShare {
            id: share.id,
            device_name: self.device_name(share.device.as_str()).unwrap_or_default(),
            device: share.device.to_string(),
            since: share.since,
            packets: share.packets,
            over: share.over.map(|why| for_screen(&why, 300)),
        }
    }
}
