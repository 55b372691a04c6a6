//! The lines of a connection (specification, section 4): JSON, ended by a carriage return and a line feed.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Longest line.
pub const MAX_LINE: usize = 16 * 1024;

/// What a lamp says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// By itself: what changed.
    Props(Map<String, Value>),
    /// The answer to a command.
    Result {
        /// To which.
        id: u64,
        /// What it gave, or why not.
        outcome: Result<Vec<Value>, Failure>,
    },
}

/// A lamp's refusal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// Its number.
    #[serde(default)]
    pub code: i64,
    /// Its words.
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
struct Raw {
    id: Option<Value>,
    method: Option<String>,
    params: Option<Map<String, Value>>,
    result: Option<Vec<Value>>,
    error: Option<Failure>,
}

/// A command.
pub fn command(id: u64, method: &str, params: &[Value]) -> Vec<u8> {
    let mut line = json!({ "id": id, "method": method, "params": params }).to_string().into_bytes();
    line.extend_from_slice(b"\r\n");
    line
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
}

impl Lines {
    /// Takes bytes; what they say as far as it is complete. Blank lines and what no lamp says are passed over.
    ///
    /// # Errors
    /// In words, when a line has no end or is no JSON: it is no lamp that speaks.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, String> {
        let mut said = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.held.len() + piece.len() > MAX_LINE {
                return Err(format!("it sent a line of more than {MAX_LINE} bytes"));
            }
            self.held.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.held);
                said.extend(read(line.trim_ascii())?);
            }
        }
        Ok(said)
    }
}

fn read(line: &[u8]) -> Result<Option<Message>, String> {
    if line.is_empty() {
        return Ok(None);
    }
    let raw: Raw = serde_json::from_slice(line).map_err(|_| "it sent a line that no lamp sends".to_owned())?;
    if raw.method.as_deref() == Some("props") {
        return Ok(raw.params.map(Message::Props));
    }
    let Some(id) = raw.id.and_then(|id| id.as_u64()) else { return Ok(None) };
    let outcome = match (raw.result, raw.error) {
        (_, Some(failure)) => Err(failure),
        (Some(result), None) => Ok(result),
        (None, None) => return Ok(None),
    };
    Ok(Some(Message::Result { id, outcome }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_any_pieces() {
        let said = b"\r\n{\"id\":1,\"result\":[\"ok\"]}\r\n \n{\"method\":\"props\",\"params\":{\"power\":\"on\",\"bright\":10}}\r\n\
                     {\"id\":2,\"error\":{\"code\":-1,\"message\":\"unsupported method\"}}\n{\"id\":null,\"error\":{\"code\":-1}}\n";
        let all = Lines::default().feed(said).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], Message::Result { id: 1, outcome: Ok(vec!["ok".into()]) });
        assert!(matches!(&all[1], Message::Props(props) if props["bright"] == 10));
        let failure = Failure { code: -1, message: "unsupported method".into() };
        assert_eq!(all[2], Message::Result { id: 2, outcome: Err(failure) });
        let mut lines = Lines::default();
        let pieces = said.iter().flat_map(|byte| lines.feed(&[*byte]).unwrap());
        assert_eq!(pieces.collect::<Vec<_>>(), all);
        assert_eq!(command(3, "toggle", &[]), b"{\"id\":3,\"method\":\"toggle\",\"params\":[]}\r\n");
    }

    #[test]
    fn what_is_no_lamp_is_said() {
        assert!(Lines::default().feed(b"SSH-2.0-OpenSSH_9\r\n").unwrap_err().contains("no lamp sends"));
        let deep = [vec![b'['; 5000], b"\n".to_vec()].concat();
        assert!(Lines::default().feed(&deep).is_err());
        let mut lines = Lines::default();
        let endless = (0..100).find_map(|_| lines.feed(&[b'x'; 1000]).err());
        assert!(endless.unwrap().contains("16384 bytes"));
        assert!(Lines::default().feed(b"{\"id\":1,\"result\":\"no list\"}\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = Lines::default().feed(&bytes);
        }
    }
}
