//! Tokens from files that people have: a list of devices as extractors write it (JSON, or the text that they show), an app's
//! database or backup as JSON, or the storage of a Home Assistant that has `xiaomi_miio` set up. Of each device six things are
//! kept, and nothing else of the file: the makers' lists hold networks, places and accounts too.
//!
//! A file that is no text comes as a data URL (RFC 2397), in base64.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use accord_model::text::for_screen;
use accord_store::rusqlite::types::ValueRef;
use accord_store::{MAX_FOREIGN, is_database, read_foreign, rusqlite};
use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, KeyInit};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value};

use super::packet::Token;

/// Longest text, most devices, and how deep they are looked for.
const MAX_TEXT: usize = 1 << 20;
const MOST: usize = 200;
const DEEPEST: usize = 12;
/// Longest file as a data URL.
const MAX_URL: usize = MAX_FOREIGN.div_ceil(3) * 4 + 256;
/// Most rows of a database that are looked at, and how long.
const ROWS: usize = 2000;
const WITHIN: Duration = Duration::from_secs(2);
/// Where apps keep devices: on Android in `miio2.db`, on iOS in `…_mihome.sqlite`; and the columns that are read.
const TABLES: [(&str, [&str; 6]); 2] = [
    ("devicerecord", ["did", "token", "name", "model", "mac", "localIP"]),
    ("ZDEVICE", ["ZDID", "ZTOKEN", "ZNAME", "ZMODEL", "ZMAC", "ZLOCALIP"]),
];

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

/// Reads a file. Takes up to two seconds for one that is made to.
///
/// # Errors
/// In words for the owner, without anything of the file.
pub fn read(text: &str) -> Result<Vec<Found>, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    match bytes_of(text)? {
        None => of_text(text),
        Some(bytes) if is_database(&bytes) => of_database(bytes),
        Some(bytes) => of_text(str::from_utf8(&bytes).map_err(|_| unknown())?.trim_start_matches('\u{feff}').trim()),
    }
}

fn unknown() -> String {
    "the file is neither JSON, nor a token extractor's text, nor an app's database".to_owned()
}

/// The bytes in a data URL; `None` for what is none.
fn bytes_of(text: &str) -> Result<Option<Vec<u8>>, String> {
    let Some((kind, data)) = text.strip_prefix("data:").and_then(|rest| rest.split_once(',')) else { return Ok(None) };
    let large = || format!("a file of more than {} KiB is refused", MAX_FOREIGN / 1024);
    if text.len() > MAX_URL {
        return Err(large());
    }
    let is_base64 = kind.len() < 128 && kind.ends_with(";base64");
    let bytes = is_base64.then(|| BASE64.decode(data.as_bytes()).ok()).flatten();
    let bytes = bytes.ok_or_else(unknown)?;
    if bytes.len() > MAX_FOREIGN { Err(large()) } else { Ok(Some(bytes)) }
}

fn of_text(text: &str) -> Result<Vec<Found>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("a file of more than {} KiB is refused", MAX_TEXT / 1024));
    }
    let mut all = All::default();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => look(&value, 0, &mut |object| all.see(object)),
        Err(_) if text.starts_with(['{', '[']) => {
            return Err("the file is damaged: it begins as JSON and is none".to_owned());
        }
        Err(_) => blocks(text, &mut |object| all.see(object)),
    }
    all.found(|| "there is no device with a token of 32 hexadecimal digits in the file".to_owned())
}

/// Devices that were found, each once.
#[derive(Default)]
struct All {
    all: Vec<Found>,
    seen: BTreeMap<String, ()>,
}

impl All {
    fn see(&mut self, object: &Map<String, Value>) {
        let Some(found) = device(object) else { return };
        let key = found.did.map_or_else(|| format!("{:?}{:?}", found.address, found.mac), |did| did.to_string());
        if self.all.len() < MOST && self.seen.insert(key, ()).is_none() {
            self.all.push(found);
        }
    }

    fn found(self, none: impl FnOnce() -> String) -> Result<Vec<Found>, String> {
        if self.all.is_empty() { Err(none()) } else { Ok(self.all) }
    }
}

/// Every object, however deep within bounds.
fn look(value: &Value, depth: usize, see: &mut impl FnMut(&Map<String, Value>)) {
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

/// What extractors show: lines like `TOKEN: …`, in blocks between lines of dashes; perhaps in colours.
fn blocks(text: &str, see: &mut impl FnMut(&Map<String, Value>)) {
    let mut block = Map::new();
    for line in text.lines() {
        let line = plain(line);
        let line = line.trim();
        if line.len() >= 3 && line.bytes().all(|byte| byte == b'-') {
            see(&std::mem::take(&mut block));
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let key = match key.trim().to_ascii_lowercase().as_str() {
            "id" | "did" => "did",
            "ip" | "ip address" => "ip",
            "name" => "name",
            "mac" => "mac",
            "token" => "token",
            "model" => "model",
            _ => continue,
        };
        if block.contains_key(key) {
            see(&std::mem::take(&mut block));
        }
        block.insert(key.to_owned(), Value::String(value.trim().to_owned()));
    }
    see(&block);
}

/// Without the sequences that colour a terminal (ECMA-48, 8.3.117).
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// What an app keeps.
fn of_database(bytes: Vec<u8>) -> Result<Vec<Found>, String> {
    let all = read_foreign(bytes, WITHIN, |connection| {
        let mut all = All::default();
        for (table, columns) in TABLES {
            rows(connection, table, columns, &mut all)?;
        }
        Ok(all)
    });
    let all = all.map_err(|error| format!("the app's database was not read: {error}"))?;
    all.found(|| {
        "there is no device with a token of 32 hexadecimal digits in the app's database: its newer versions keep none there"
            .to_owned()
    })
}

/// The devices in a table, if there is such a one.
fn rows(connection: &rusqlite::Connection, table: &str, columns: [&str; 6], all: &mut All) -> rusqlite::Result<()> {
    // A table that is a virtual one has no page.
    let is_there =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 AND lower(name) = lower(?1)";
    if connection.query_row(is_there, [table], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(());
    }
    // Names of columns are not looked at: they may be anything.
    let has = |column: &&str| connection.prepare(&format!("SELECT {column} FROM {table} LIMIT 0")).is_ok();
    let columns: Vec<&str> = columns.into_iter().filter(has).collect();
    if columns.is_empty() {
        return Ok(());
    }
    let mut asked = connection.prepare(&format!("SELECT {} FROM {table} LIMIT {ROWS}", columns.join(", ")))?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        let mut object = Map::new();
        for (index, column) in columns.iter().enumerate() {
            let value = match row.get_ref(index)? {
                ValueRef::Text(text) => str::from_utf8(text).map_or(Value::Null, Value::from),
                ValueRef::Integer(number) => Value::from(number),
                _ => Value::Null,
            };
            object.insert((*column).to_owned(), value);
        }
        all.see(&object);
    }
    Ok(())
}

/// A token as an app keeps it: 32 digits; on iOS their text, sealed with a key of zeros (AES-128 in ECB mode, PKCS #7).
fn token_of(text: &str) -> Option<String> {
    if text.len() != 96 {
        return Token::parse(text).map(|_| text.to_ascii_lowercase());
    }
    let mut sealed = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    let cipher = Aes128::new(&GenericArray::from([0; 16]));
    sealed.chunks_exact_mut(16).for_each(|block| cipher.decrypt_block(GenericArray::from_mut_slice(block)));
    let (digits, padding) = sealed.split_at(32);
    let digits = str::from_utf8(digits).ok().filter(|_| padding.iter().all(|byte| *byte == 16))?;
    Token::parse(digits).map(|_| digits.to_ascii_lowercase())
}

fn device(object: &Map<String, Value>) -> Option<Found> {
    let of = |keys: &[&str]| {
        keys.iter().find_map(|key| match object.get(*key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    const PLACES: [&str; 7] = ["localip", "localIP", "local_ip", "ip", "host", "ZLOCALIP", "IP"];
    // Those of Bluetooth devices have 24 digits, and are for another protocol.
    let token = token_of(&of(&["token", "TOKEN", "ZTOKEN"])?)?;
    let is_set = token.bytes().any(|byte| byte != b'0') || of(&PLACES).is_some();
    let shown = |keys: &[&str], limit| of(keys).map(|text| for_screen(&text, limit));
    let mac = of(&["mac", "MAC", "ZMAC"])
        .filter(|mac| mac.len() <= 17 && mac.chars().all(|c| c.is_ascii_hexdigit() || c == ':'));
    is_set.then(|| Found {
        did: of(&["did", "DID", "ZDID", "device_id"]).and_then(|did| did.parse().ok()),
        token,
        name: shown(&["name", "NAME", "ZNAME", "title"], 64),
        model: of(&["model", "MODEL", "ZMODEL"]).filter(|model| super::models::is_model(model)),
        mac,
        address: of(&PLACES).and_then(|ip| ip.parse().ok()),
    })
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
