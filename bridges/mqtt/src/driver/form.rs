//! What the owner gives to add a broker, and what is kept of it in a private file.

use std::net::{IpAddr, SocketAddr};

use accord_model::{Data, DeviceId, Inputs, Timestamp};
use accord_ports::Secret;
use accord_ports::added::{Record, device_id};
use accord_ports::tls::{self, Trust};
use serde::{Deserialize, Serialize};

use crate::core::house::Bases;
use crate::core::topic::is_base;

const PLAIN: u16 = 1883;
const ENCRYPTED: u16 = 8883;
const MAX_NAME: usize = 256;

/// A broker that the owner added. Its password is in this file alone, which is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Added {
    pub address: SocketAddr,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub tls: bool,
    /// Who signed its certificate, as PEM.
    pub authority: Option<String>,
    /// The key that it showed first.
    pub pin: Option<String>,
    pub discovery: String,
    pub zigbee: String,
    pub since: Timestamp,
    pub seen: Option<Timestamp>,
}

impl Record for Added {
    fn since(&self) -> Timestamp {
        self.since
    }
    fn seen(&mut self) -> &mut Option<Timestamp> {
        &mut self.seen
    }
}

impl Added {
    /// Reads what was given. No message repeats it: there is a password in it.
    pub(crate) fn of(inputs: &Inputs) -> Result<Self, String> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text).map(str::trim).filter(|text| !text.is_empty());
        let (encrypted, bare) = scheme(text("address").unwrap_or_default())?;
        let tls = encrypted || inputs.get("tls").and_then(Data::as_bool).unwrap_or(false);
        let address = address(bare, if tls { ENCRYPTED } else { PLAIN })?;
        let user = text("user").map(str::to_owned);
        let password = text("password").map(Secret::from);
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_NAME);
        if long(&user) || password.as_ref().is_some_and(|password| password.len() > MAX_NAME) {
            return Err(format!("a user and a password have at most {MAX_NAME} characters"));
        }
        if password.is_some() && user.is_none() {
            return Err("a password goes with a user; give that too".to_owned());
        }
        let authority = text("certificate").map(str::to_owned);
        if let Some(pem) = &authority {
            if !tls {
                return Err("a certificate is for an encrypted connection; switch that on too".to_owned());
            }
            tls::authority(pem)?;
        }
        let base = |id: &str, or: &str| {
            let base = text(id).unwrap_or(or);
            let why = "the beginning of topics is a name without #, + and / at its ends";
            is_base(base).then(|| base.to_owned()).ok_or_else(|| why.to_owned())
        };
        let (discovery, zigbee) = (base("discovery", "homeassistant")?, base("zigbee2mqtt", "zigbee2mqtt")?);
        if discovery == zigbee {
            return Err("Home Assistant's convention and zigbee2mqtt have topics of their own".to_owned());
        }
        let since = Timestamp::now();
        Ok(Self { address, user, password, tls, authority, pin: None, discovery, zigbee, since, seen: None })
    }

    /// As what it is known: by where it is.
    pub(crate) fn id(&self) -> DeviceId {
        device_id("mqtt", &self.address.to_string())
    }

    pub(crate) fn bases(&self) -> Bases {
        Bases { discovery: self.discovery.clone(), zigbee: self.zigbee.clone() }
    }

    /// Whom to believe; `None` when it is not encrypted.
    ///
    /// # Errors
    /// In words: the file of it was damaged.
    pub(crate) fn trust(&self) -> Result<Option<Trust<'_>>, String> {
        let trust = match (&self.authority, &self.pin) {
            (Some(pem), _) => Trust::Authority(pem, self.address.ip()),
            (None, Some(key)) => Trust::Key(key.parse()?),
            // The first that comes; from then on it is the one.
            (None, None) => Trust::Anyone,
        };
        Ok(self.tls.then_some(trust))
    }
}

/// Whether what stands before the address says that it is encrypted, and the rest. What says that it is spoken otherwise than
/// it would be is refused: a password would leave in another way than its owner thinks.
fn scheme(text: &str) -> Result<(bool, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok((false, text)) };
    match scheme.to_ascii_lowercase().as_str() {
        "mqtt" | "tcp" => Ok((false, rest)),
        "mqtts" | "ssl" => Ok((true, rest)),
        _ => {
            let why = "before the address stands nothing, or mqtt:// or mqtts://; MQTT by way of the web is not spoken";
            Err(why.to_owned())
        }
    }
}

/// `10.0.0.2`, `10.0.0.2:1883`, `[fd00::2]:1883`. A name is not looked up: who asks for one tells others.
fn address(text: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = text.strip_suffix('/').unwrap_or(text);
    let found = bare.parse().ok().or_else(|| {
        let ip: IpAddr = bare.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(ip, port))
    });
    let why = "the address is a number such as 192.168.1.10, or 192.168.1.10:1883; names are not looked up";
    found.filter(|at: &SocketAddr| at.port() != 0 && !at.ip().is_unspecified()).ok_or_else(|| why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, Data)]) -> Result<Added, String> {
        Added::of(&pairs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect())
    }

    #[test]
    fn a_broker_is_given_by_its_address_and_more_if_need_be() {
        let bare = given(&[("address", "10.0.0.2".into())]).unwrap();
        assert_eq!((bare.address.to_string().as_str(), bare.trust()), ("10.0.0.2:1883", Ok(None)));
        assert_eq!(bare.bases(), Bases { discovery: "homeassistant".into(), zigbee: "zigbee2mqtt".into() });
        let six = given(&[("address", "mqtts://[fd00::2]".into()), ("tls", true.into())]).unwrap();
        assert_eq!((six.address.to_string().as_str(), six.trust()), ("[fd00::2]:8883", Ok(Some(Trust::Anyone))));
        let whole =
            given(&[("address", "10.0.0.2:1".into()), ("user", "u".into()), ("password", "geheim".into())]).unwrap();
        assert!(!format!("{whole:?}").contains("geheim"));
        assert_ne!(whole.id(), bare.id());
    }

    #[test]
    fn what_is_called_encrypted_is() {
        for (text, at, tls) in [
            ("mqtts://10.0.0.2", "10.0.0.2:8883", true),
            ("SSL://10.0.0.2:1/", "10.0.0.2:1", true),
            ("mqtt://10.0.0.2", "10.0.0.2:1883", false),
            ("tcp://10.0.0.2", "10.0.0.2:1883", false),
        ] {
            let added =
                given(&[("address", text.into()), ("user", "u".into()), ("password", "geheim".into())]).unwrap();
            assert_eq!((added.address.to_string().as_str(), added.trust().unwrap().is_some()), (at, tls), "{text}");
            let both = given(&[("address", text.into()), ("tls", true.into())]).unwrap();
            assert!(both.trust().unwrap().is_some(), "{text}");
        }
        for text in ["http://10.0.0.2", "ws://10.0.0.2", "wss://10.0.0.2", "://10.0.0.2", "mqtt://mqtts://10.0.0.2"] {
            assert!(given(&[("address", text.into())]).is_err(), "{text}");
        }
        assert!(given(&[("address", "wss://10.0.0.2".into())]).unwrap_err().contains("mqtts://"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_not_repeated() {
        for wrong in [
            &[][..],
            &[("address", "broker.example".into())],
            &[("address", "10.0.0.2:0".into())],
            &[("address", "0.0.0.0".into())],
            &[("address", "10.0.0.2".into()), ("password", "geheim".into())],
            &[("address", "10.0.0.2".into()), ("user", "u".into()), ("password", "geheim".repeat(99).into())],
            &[("address", "10.0.0.2".into()), ("certificate", "x".into())],
            &[("address", "10.0.0.2".into()), ("tls", true.into()), ("certificate", "geheim".into())],
            &[("address", "10.0.0.2".into()), ("discovery", "a/#".into())],
            &[("address", "10.0.0.2".into()), ("discovery", "same".into()), ("zigbee2mqtt", "same".into())],
        ] {
            let why = given(wrong).unwrap_err();
            assert!(!why.contains("geheim"), "{why}");
        }
    }
}
