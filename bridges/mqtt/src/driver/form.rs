//! What the owner gives to add a broker, and what is kept of it in a private file.

use std::net::{IpAddr, SocketAddr};

use accord_model::{Data, DeviceId, Inputs, Timestamp};
use accord_ports::Secret;
use accord_ports::added::{Record, device_id, first_free};
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
    /// What its id is made of, where that is not its address: it was added elsewhere, or another one was added here before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
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
    /// Reads what was given. No message repeats it: there is a password in it. `before`: the broker that is added again; what is
    /// not given is as it was.
    pub(crate) fn of(inputs: &Inputs, before: Option<&Self>) -> Result<Self, String> {
        let text = |id: &str| inputs.get(id).and_then(Data::as_text).map(str::trim).filter(|text| !text.is_empty());
        let (scheme, bare) = scheme(text("address").unwrap_or_default())?;
        let was = before.is_some_and(|before| before.tls);
        let tls = scheme.unwrap_or(was) || inputs.get("tls").and_then(Data::as_bool).unwrap_or(false);
        let same_way = before.filter(|before| before.tls == tls);
        let port = same_way.map_or(if tls { ENCRYPTED } else { PLAIN }, |before| before.address.port());
        let address = address(bare, port)?;
        let (user, password) = (text("user").map(str::to_owned), text("password").map(Secret::from));
        let (user, password) = match (user, password, before) {
            (None, None, Some(before)) if was && !tls && before.password.is_some() => {
                return Err(
                    "the password was given for an encrypted connection; for one in clear, give it again".to_owned()
                );
            }
            (None, None, Some(before)) => (before.user.clone(), before.password.clone()),
            (None, password, Some(before)) => (before.user.clone(), password),
            given => (given.0, given.1),
        };
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_NAME);
        if long(&user) || password.as_ref().is_some_and(|password| password.len() > MAX_NAME) {
            return Err(format!("a user and a password have at most {MAX_NAME} characters"));
        }
        if password.is_some() && user.is_none() {
            return Err("a password goes with a user; give that too".to_owned());
        }
        let given = text("certificate").map(str::to_owned);
        if let Some(pem) = &given {
            if !tls {
                return Err("a certificate is for an encrypted connection; switch that on too".to_owned());
            }
            tls::authority(pem)?;
        }
        // Elsewhere it has to show the key that it had; where it was, it may have another one by its owner's word.
        let moved = same_way.filter(|before| tls && given.is_none() && before.address != address);
        let pin = moved.and_then(|before| before.pin.clone());
        let authority = given.or_else(|| same_way.and_then(|before| before.authority.clone()));
        let base = |id: &str, or: &str| {
            let base = text(id).unwrap_or(or);
            let why = "the beginning of topics is a name without #, + and / at its ends";
            is_base(base).then(|| base.to_owned()).ok_or_else(|| why.to_owned())
        };
        let was = |of: fn(&Self) -> &str, or: &'static str| before.map_or(or, of);
        let discovery = base("discovery", was(|before| &before.discovery, "homeassistant"))?;
        let zigbee = base("zigbee2mqtt", was(|before| &before.zigbee, "zigbee2mqtt"))?;
        if discovery == zigbee {
            return Err("Home Assistant's convention and zigbee2mqtt have topics of their own".to_owned());
        }
        let (since, seen) = before.map_or((Timestamp::now(), None), |before| (before.since, before.seen));
        let known_as = before.map(Self::name).filter(|name| *name != address.to_string());
        Ok(Self { address, known_as, user, password, tls, authority, pin, discovery, zigbee, since, seen })
    }

    /// What its id is made of: where it was added first, unless another one is known by that.
    fn name(&self) -> String {
        self.known_as.clone().unwrap_or_else(|| self.address.to_string())
    }

    /// As what it is known, wherever it is by now.
    pub(crate) fn id(&self) -> DeviceId {
        id_of(&self.name())
    }

    /// It is a new one: nobody who was added may be known as it.
    pub(crate) fn anew(mut self, is_taken: impl Fn(&DeviceId) -> bool) -> Self {
        let place = self.address.to_string();
        self.known_as = Some(first_free(&place, |name| is_taken(&id_of(name)))).filter(|name| *name != place);
        self
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

fn id_of(name: &str) -> DeviceId {
    device_id("mqtt", name)
}

/// Whether what stands before the address says that it is encrypted, or that it is not, and the rest. What says that it is
/// spoken otherwise than it would be is refused: a password would leave in another way than its owner thinks.
fn scheme(text: &str) -> Result<(Option<bool>, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok((None, text)) };
    match scheme.to_ascii_lowercase().as_str() {
        "mqtt" | "tcp" => Ok((Some(false), rest)),
        "mqtts" | "ssl" => Ok((Some(true), rest)),
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
        again(pairs, None)
    }

    fn again(pairs: &[(&str, Data)], before: Option<&Added>) -> Result<Added, String> {
        Added::of(&pairs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect(), before)
    }

    #[test]
    fn a_broker_at_another_address_is_the_same_and_what_is_not_given_stays() {
        let first = given(&[
            ("address", "mqtts://10.0.0.2:99".into()),
            ("user", "u".into()),
            ("password", "geheim".into()),
            ("zigbee2mqtt", "z".into()),
        ]);
        let key = "ab".repeat(32);
        let first = Added { pin: Some(key.clone()), ..first.unwrap() };
        let moved = again(&[("address", "10.0.0.3".into()), ("tls", false.into())], Some(&first)).unwrap();
        assert_eq!((moved.id(), moved.address.to_string().as_str()), (first.id(), "10.0.0.3:99"));
        assert_eq!((moved.tls, &moved.pin, &moved.password), (true, &Some(key), &first.password), "the key, too");
        assert_eq!((moved.user.as_deref(), moved.zigbee.as_str(), moved.since), (Some("u"), "z", first.since));
        // Where it was it may have another key; and back where it began it is known as before.
        let same = again(&[("address", "10.0.0.3:99".into())], Some(&moved)).unwrap();
        assert_eq!((same.id(), &same.pin), (first.id(), &None));
        let back = again(&[("address", "10.0.0.2".into())], Some(&moved)).unwrap();
        assert_eq!((back.id(), &back.known_as), (first.id(), &None));
        let other = again(&[("address", "10.0.0.3".into()), ("password", "neu".into())], Some(&first)).unwrap();
        assert_eq!((other.user.as_deref(), other.password), (Some("u"), Some("neu".into())));
        let whom = again(&[("address", "10.0.0.3".into()), ("user", "v".into())], Some(&first)).unwrap();
        assert_eq!((whom.user.as_deref(), whom.password), (Some("v"), None));
        // What was given for an encrypted connection is not said in clear by an oversight.
        let clear = again(&[("address", "mqtt://10.0.0.3".into())], Some(&first));
        assert!(clear.unwrap_err().contains("give it again"));
        let clear = again(&[("address", "mqtt://10.0.0.3".into()), ("password", "geheim".into())], Some(&first));
        assert_eq!(clear.map(|one| (one.tls, one.pin, one.address.port())), Ok((false, None, 1883)));
        // Who comes to where another one was added is not taken for it.
        let new = given(&[("address", "10.0.0.2:99".into())]).unwrap().anew(|id| *id == first.id());
        assert_ne!(new.id(), first.id());
        let third = given(&[("address", "10.0.0.2:99".into())]).unwrap();
        assert!(![first.id(), new.id()].contains(&third.anew(|id| [first.id(), new.id()].contains(id)).id()));
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
