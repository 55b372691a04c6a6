//! LocalSend's download API (protocol 2.1, section 5): what its clients are told.

use accord_model::{DeviceKind, FieldCode, FieldSet};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Answer;
use crate::Item;

/// The version of the protocol that the API is of.
const VERSION: &str = "2.1";
/// What no client asks for, so that a list stays small.
const MAX_PREVIEW: usize = 64 * 1024;

/// What is told of this machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    alias: String,
    version: &'static str,
    device_type: &'static str,
    /// Without a certificate a random word; a new one for each share, so that shares cannot be told to be of one machine.
    fingerprint: String,
    download: bool,
}

impl Info {
    /// For one share.
    pub fn new(alias: &str, kind: DeviceKind, word: String) -> Self {
        let device_type = match kind {
            DeviceKind::Phone | DeviceKind::Tablet | DeviceKind::Watch => "mobile",
            DeviceKind::Hub => "server",
            _ => "desktop",
        };
        Self { alias: alias.to_owned(), version: VERSION, device_type, fingerprint: word, download: true }
    }

    /// Answer to `info` and `register`.
    pub fn answer(&self) -> Answer {
        let fields = FieldSet::from_iter([FieldCode::DeviceName, FieldCode::DeviceType]);
        json(self, fields)
    }
}

/// Answer to `prepare-download`. `texts` is the content of texts, by place.
pub fn offer(info: &Info, session: &str, items: &[Item], texts: &[(usize, &str)]) -> Answer {
    let mut fields =
        FieldSet::from_iter([FieldCode::DeviceName, FieldCode::DeviceType, FieldCode::FileName, FieldCode::FileMeta]);
    if !texts.is_empty() {
        fields = fields.union(FieldSet::one(FieldCode::TextContent));
    }
    json(&Offer { info, session_id: session, files: Files(items, texts) }, fields)
}

/// The place of the file with this id.
pub fn place(id: &str) -> Option<usize> {
    let digits = !id.is_empty() && id.len() <= 6 && id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|place: &usize| digits && place.to_string() == id)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Offer<'a> {
    info: &'a Info,
    session_id: &'a str,
    files: Files<'a>,
}

struct Files<'a>(&'a [Item], &'a [(usize, &'a str)]);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    id: &'a str,
    file_name: &'a str,
    size: u64,
    file_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<&'a str>,
}

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (place, item) in self.0.iter().enumerate() {
            let text = self.1.iter().find(|(at, _)| *at == place).map(|(_, text)| *text);
            let id = place.to_string();
            map.serialize_entry(
                &id,
                &File {
                    id: &id,
                    file_name: &item.name,
                    size: item.size,
                    file_type: if item.text { "text/plain" } else { "application/octet-stream" },
                    preview: text.filter(|text| text.len() <= MAX_PREVIEW),
                },
            )?;
        }
        map.end()
    }
}

fn json(value: &impl Serialize, fields: FieldSet) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Answer::of(200, "application/json", body, fields),
        Err(_) => Answer::reason(500, "This list cannot be told"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_what_localsends_clients_read() {
        let info = Info::new("Desk", DeviceKind::Laptop, "word".to_owned());
        let items = [
            Item { name: "trip/a.jpg".to_owned(), size: 7, text: false },
            Item { name: "text.txt".to_owned(), size: 2, text: true },
        ];
        let answer = offer(&info, "s", &items, &[(1, "hi")]);
        let read: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(read["info"]["alias"], "Desk");
        assert_eq!(read["info"]["download"], true);
        assert_eq!(read["info"]["deviceType"], "desktop");
        assert_eq!(read["sessionId"], "s");
        assert_eq!(read["files"]["0"]["fileName"], "trip/a.jpg");
        assert_eq!(read["files"]["0"]["size"], 7);
        assert_eq!(read["files"]["0"]["id"], "0");
        assert_eq!(read["files"]["1"]["preview"], "hi");
        assert!(answer.fields.contains(FieldCode::TextContent));
    }

    #[test]
    fn a_files_id_is_its_place_and_nothing_else() {
        assert_eq!((place("0"), place("42")), (Some(0), Some(42)));
        for bad in ["", "00", "-1", "+1", "1 ", "0x1", "99999999999999999999", "../0"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
