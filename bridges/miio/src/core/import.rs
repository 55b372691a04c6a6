//! Tokens from files that people have: a list of devices as extractors write it, an app's backup as JSON, or the storage of a
//! Home Assistant that has `xiaomi_miio` set up. Of each device six things are kept, and nothing else of the file: the makers'
//! lists hold networks, places and accounts too.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use accord_model::text::for_screen;
use serde_json::Value;

use super::packet::Token;

/// Longest text, most devices, and how deep they are looked for.
const MAX_TEXT: usize = 1 << 20;
const MOST: usize = 200;
const DEEPEST: usize = 12;

/// One device of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub did: Option<u64>,
    /// Its secret, as 32 digits.
    pub token: String,
    /// As its owner calls it.
    pub name: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Where it was.
    pub address: Option<Ipv4Addr>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("did", &self.did).field("model", &self.model).finish_non_exhaustive()
    }
}

/// Reads a file.
///
/// # Errors
/// In words for the owner, without anything of the file.
pub fn read(text: &str) -> Result<Vec<Found>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("a file of more than {} KiB is refused", MAX_TEXT / 1024));
    }
    let text = text.trim_start_matches('\u{feff}');
    let value: Value = serde_json::from_str(text).map_err(|_| "the file is no JSON".to_owned())?;
    let (mut all, mut seen) = (Vec::new(), BTreeMap::new());
    look(&value, 0, &mut |object| {
        let Some(found) = device(object) else { return };
        let key = found.did.map_or_else(|| format!("{:?}{:?}", found.address, found.mac), |did| did.to_string());
        if all.len() < MOST && seen.insert(key, ()).is_none() {
            all.push(found);
        }
    });
    match all.is_empty() {
        true => Err("there is no device with a token of 32 hexadecimal digits in the file".to_owned()),
        false => Ok(all),
    }
}

/// Every object, however deep within bounds.
fn look(value: &Value, depth: usize, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Array(all) => all.iter().for_each(|one| look(one, depth + 1, see)),
        Value::Object(object) => {
            see(object);
            object.values().filter(|one| one.is_array() || one.is_object()).for_each(|one| look(one, depth + 1, see));
        }
        _ => {}
    }
}

fn device(object: &serde_json::Map<String, Value>) -> Option<Found> {
    let of = |keys: &[&str]| {
        keys.iter().find_map(|key| match object.get(*key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let token = of(&["token", "TOKEN", "ZTOKEN"])?;
    // Those of Bluetooth devices have 24 digits, and are for another protocol.
    Token::parse(&token)
        .filter(|_| token.bytes().any(|byte| byte != b'0') || of(&["localip", "host", "ip"]).is_some())?;
    let shown = |keys: &[&str], limit| of(keys).map(|text| for_screen(&text, limit));
    let mac = of(&["mac", "MAC", "ZMAC"])
        .filter(|mac| mac.len() <= 17 && mac.chars().all(|c| c.is_ascii_hexdigit() || c == ':'));
    Some(Found {
        did: of(&["did", "DID", "ZDID", "device_id"]).and_then(|did| did.parse().ok()),
        token: token.to_ascii_lowercase(),
        name: shown(&["name", "NAME", "ZNAME", "title"], 64),
        model: of(&["model", "MODEL", "ZMODEL"]).filter(|model| super::models::is_model(model)),
        mac,
        address: of(&["localip", "localIP", "local_ip", "ip", "host", "ZLOCALIP", "IP"]).and_then(|ip| ip.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "00112233445566778899AABBCCDDEEFF";

    #[test]
    fn the_files_that_people_have_are_read_and_the_rest_of_them_dropped() {
        let extractor = json!([{"server": "de", "homes": [{"home_id": 1, "devices": [{
            "name": "Lamp", "did": "123456789", "mac": "AA:BB:CC:DD:EE:FF", "ip": "192.168.1.20", "token": TOKEN,
            "model": "yeelink.light.lamp4", "ssid": "geheim", "latitude": "52.5"}]}]}]);
        let app = json!({"result": {"list": [
            {"did": "lumi.158d00", "token": TOKEN, "name": "Sub", "localip": "192.168.1.21", "model": "x y"},
            {"did": 7, "token": "0011", "name": "Bluetooth"},
            {"did": 8, "token": null, "name": "None"}]}});
        let assistant = json!({"version": 1, "data": {"entries": [{"domain": "xiaomi_miio", "title": "Purifier",
            "data": {"host": "192.168.1.30", "token": TOKEN, "mac": "aa:bb:cc:00:00:01", "model": "zhimi.airpurifier.mb3", "cloud_password": "x"}}]}});
        let lamp = read(&extractor.to_string()).unwrap();
        assert_eq!(
            (lamp[0].did, lamp[0].name.as_deref(), lamp[0].address),
            (Some(123_456_789), Some("Lamp"), Some(Ipv4Addr::new(192, 168, 1, 20)))
        );
        assert_eq!((lamp[0].token.as_str(), lamp[0].mac.is_some()), (TOKEN.to_ascii_lowercase().as_str(), true));
        let list = read(&app.to_string()).unwrap();
        assert_eq!(
            (list.len(), list[0].did, list[0].model.as_deref()),
            (1, None, None),
            "a device behind a gateway has no number of its own"
        );
        let config = read(&assistant.to_string()).unwrap();
        assert_eq!((config.len(), config[0].model.as_deref()), (1, Some("zhimi.airpurifier.mb3")));
        let shown = format!("{lamp:?}{list:?}{config:?}");
        assert!(
            !shown.contains("geheim") && !shown.to_ascii_lowercase().contains("0011") && !shown.contains("52.5"),
            "{shown}"
        );
    }

    #[test]
    fn other_files_are_refused_in_words_and_large_ones_bounded() {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        for bad in ["", "{}", "token=00", "[1,2]", deep.as_str(), r#"{"token":"geheim"}"#] {
            assert!(!read(bad).unwrap_err().contains("geheim"), "{bad:.20}");
        }
        let many: Vec<Value> = (0..1000).map(|did| json!({"did": did, "token": TOKEN})).collect();
        assert_eq!(read(&json!(many).to_string()).unwrap().len(), MOST);
        let twice = json!([{"did": 1, "token": TOKEN}, {"did": 1, "token": TOKEN}]);
        assert_eq!(read(&twice.to_string()).unwrap().len(), 1);
    }
}
