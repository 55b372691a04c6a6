//! The hub's side of the page for screens with a browser.

use std::time::Duration;

use accord_consent::{ConsentState, RecipientId};
use accord_model::{EntryKey, FieldCode, FieldSet};

use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::receiver::Receiver;

/// How long the page may take to be opened, once the owner agreed.
const OPENS_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

fn entry() -> Answer<EntryKey> {
    EntryKey::new("browser/receiver").map_err(|error| Failure::internal("No such entry", error))
}

impl Hub {
    pub async fn receiver_now(&self) -> Answer<Receiver> {
        let port = self.receiver.as_ref().and_then(accord_browser::Place::port);
        let Some(port) = port else { return Ok(Receiver { open: false, urls: Vec::new(), qr_svg: None }) };
        // The page is at IPv4 alone, whose addresses can be typed on a remote control.
        let hosts = super::shares::hosts(self.network).await.into_iter().filter(|host| !host.starts_with('['));
        let urls: Vec<String> = hosts.map(|host| format!("http://{host}:{port}/")).collect();
        let qr_svg = urls.first().map(|url| super::devices::qr(url)).transpose()?;
        Ok(Receiver { open: true, urls, qr_svg })
    }

    pub async fn open_receiver(&self) -> Answer<Receiver> {
        let (lan, fields) = (RecipientId::lan(), FieldSet::one(FieldCode::NetIp));
        let because = "Open a page for screens".to_owned();
        self.gate.check(&entry()?, &lan, fields).map_err(|refusal| self.not_let_out(refusal, &lan, because))?;
        let until = tokio::time::Instant::now() + OPENS_WITHIN;
        loop {
            let now = self.receiver_now().await?;
            if now.open {
                return Ok(now);
            }
            if tokio::time::Instant::now() >= until {
                return Err(Failure::conflict("The page could not be opened; `accord why` tells why."));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn close_receiver(&self) -> Answer<()> {
        let entry = entry()?;
        let consents = self.gate.consents();
        for given in consents.iter().filter(|one| one.entry == entry && one.state == ConsentState::Given) {
            self.gate.withdraw(given.id)?;
        }
        Ok(())
    }
}
