//! JSON as devices write it: strictly first, and when that fails with the three faults mended that are known from the
//! field, and no others.

use serde_json::Value;

/// Longest text that is read.
const MAX_TEXT: usize = 64 * 1024;

/// Why a text is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device answered with something that is no JSON")]
pub struct NoJson;

/// Reads a text.
///
/// ```
/// use accord_miio::core::json::read;
/// assert_eq!(read(br#"{"result":[1,,2],"value":00}"#).unwrap()["result"][1], 2);
/// assert!(read(br#"{"result":[1,,,,2]"#).is_err());
/// ```
///
/// # Errors
/// [`NoJson`].
pub fn read(bytes: &[u8]) -> Result<Value, NoJson> {
    if bytes.len() > MAX_TEXT {
        return Err(NoJson);
    }
    serde_json::from_slice(bytes).or_else(|_| serde_json::from_slice(&mend(bytes))).map_err(|_| NoJson)
}

/// Ends at a NUL, drops the second of two commas, and the second of two noughts that are a value.
fn mend(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut mended: Vec<u8> = Vec::with_capacity(bytes.len());
    let (mut inside, mut escaped) = (false, false);
    for &byte in bytes {
        let before = mended.last().copied();
        if inside {
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if (byte == b',' && before == Some(b',')) || (byte == b'0' && mended.ends_with(b":0")) {
            continue;
        } else {
            inside = byte == b'"';
        }
        mended.push(byte);
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_faults_of_the_field_are_mended_and_strings_left_alone() {
        let cases: [(&[u8], Value); 6] = [
            (br#"{"id":1,"result":["ok"]}"#, json!({"id": 1, "result": ["ok"]})),
            (br#"{"id":1,,"result":["a,,b"]}"#, json!({"id": 1, "result": ["a,,b"]})),
            (br#"[{"did":"x","value":00},{"value":0}]"#, json!([{"did": "x", "value": 0}, {"value": 0}])),
            (b"{\"id\":1}\0{\"id\":2}", json!({"id": 1})),
            (br#"{"a":"\",,\":00",,"value":00}"#, json!({"a": "\",,\":00", "value": 0})),
            (br#"{"value":0.5}"#, json!({"value": 0.5})),
        ];
        for (text, value) in cases {
            assert_eq!(read(text), Ok(value), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let deep = "[".repeat(100_000);
        let long = format!("\"{}\"", "x".repeat(MAX_TEXT));
        for text in ["", "{", "{'a':1}", "{\"a\":1}}", "{\"value\":07}", "[1 2]", deep.as_str(), long.as_str()] {
            assert_eq!(read(text.as_bytes()), Err(NoJson), "{text:.20}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(NoJson));
    }
}
