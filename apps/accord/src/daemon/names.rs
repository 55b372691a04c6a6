//! Addresses that the owner gives by a name: `homeassistant.local:8123`. Bridges are told the number.

use std::net::IpAddr;

use accord_consent::RecipientId;
use accord_model::text::for_screen;
use accord_model::{Data, Inputs};
use accord_names::NotFound;

use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::forms::LookedUp;

/// The field of forms that holds one.
const ADDRESS: &str = "address";

impl Hub {
    /// The same inputs with a number where a name was given, and which it is. The owner is asked whether the name may be asked for.
    pub(super) async fn numbered(&self, mut inputs: Inputs) -> Answer<(Inputs, Option<LookedUp>)> {
        let Some(text) = inputs.get(ADDRESS).and_then(Data::as_text).map(str::to_owned) else {
            return Ok((inputs, None));
        };
        let Some((before, host, after)) = named(&text) else { return Ok((inputs, None)) };
        let shown = for_screen(host, 100);
        let found = self.names.look_up(host).await.map_err(|error| match error {
            NotFound::Refused(refusal) => {
                self.not_let_out(refusal, &RecipientId::lan(), format!("Look up which number {shown} has in your networks"))
            }
            NotFound::NoName => Failure::bad_request(no_name(&shown)),
            NotFound::Nobody => Failure::conflict(format!(
                "Nothing was added. Nobody in your networks answers to the address “{shown}”. See that its machine is on and in \
                 the same network, and that the name is right; or type its number, which your router shows."
            )),
            several @ NotFound::Several(_) => Failure::conflict(format!(
                "Nothing was added. Of the address “{shown}”, {several}. Only one can be right: type the number of the one that you \
                 mean."
            )),
            NotFound::NotOpen(why) => Failure::conflict(format!(
                "Nothing was added. The address “{shown}” cannot be looked up now: {}. Type its number, which your router shows.",
                for_screen(&why, 200)
            )),
        })?;
        let number = match found {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let looked_up = LookedUp { name: shown, address: found.to_string() };
        inputs.insert(ADDRESS.to_owned(), Data::Text(format!("{before}{number}{after}")));
        Ok((inputs, Some(looked_up)))
    }
}

/// What stands before a name, the name, and what stands after it. `None`: there is a number, or nothing that could be a name.
fn named(text: &str) -> Option<(&str, &str, &str)> {
    let begins = text.find("://").map_or(0, |at| at + 3);
    let (before, rest) = text.split_at(begins);
    let ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest.get(..ends)?;
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = port.map_or(host, |(host, _)| host);
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_name = host.chars().all(fits) && host.chars().any(char::is_alphabetic) && host.parse::<IpAddr>().is_err();
    is_name.then(|| (before, host, &rest[host.len()..]))
}

fn no_name(shown: &str) -> String {
    let or = match shown.contains('.') {
        true => String::new(),
        false => format!(", or {shown}.local, if that is what its machine is called"),
    };
    format!(
        "The address “{shown}” is a name for which a server of names would have to be asked, and Accord asks none. Type its number, \
         such as 192.168.1.5, which your router shows{or}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_an_address_and_a_number_is_left_alone() {
        for (text, parts) in [
            ("homeassistant.local", ("", "homeassistant.local", "")),
            ("homeassistant.local:8123", ("", "homeassistant.local", ":8123")),
            ("http://homeassistant.local:8123/lovelace", ("http://", "homeassistant.local", ":8123/lovelace")),
            ("mqtts://broker.lan/", ("mqtts://", "broker.lan", "/")),
            ("nas", ("", "nas", "")),
        ] {
            assert_eq!(named(text), Some(parts), "{text}");
        }
        for text in [
            "",
            "192.168.1.5",
            "192.168.1.5:8123",
            "http://192.168.1.5:8123/",
            "[fd00::5]:8123",
            "fd00::5",
            "192.168.1.300",
        ] {
            assert_eq!(named(text), None, "{text}");
        }
        for text in ["user@homeassistant.local", "a b.local", "http://\u{1b}.local"] {
            assert_eq!(named(text), None, "the bridge says what it wants: {text}");
        }
    }

    #[test]
    fn a_name_of_another_sort_is_said_not_to_be_asked_for() {
        assert!(no_name("nas").contains("nas.local") && !no_name("nas.lan").contains(".local"));
    }
}
