//! As much HTTP/1.1 (RFC 9112) as devices near speak, without sockets: bytes in, heads and bodies out. Heads are bounded
//! and read by `httparse`; bodies go through in pieces as they come, never as a whole; nothing is followed, guessed or
//! repaired.
//!
//! ```
//! use accord_http::{Method, Requests};
//! let mut requests = Requests::new(1024);
//! assert_eq!(requests.take(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\npin"), Ok(None));
//! let (head, body) = requests.take(b"=1").unwrap().unwrap();
//! assert_eq!((head.method, &*body), (Method::Post, &b"pin=1"[..]));
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod answers;
mod body;
mod head;
mod range;
mod requests;

pub use answers::Answer;
pub use body::{BodyReader, MAX_CHUNK_LINE};
pub use head::{
    BodyLength, Method, RequestHead, ResponseHead, decode_component, encode_component, endless_head, form_field,
    head_of_response, header, read_request, request_head, response_head,
};
pub use range::{Asked, Portion, asked, portion};
pub use requests::Requests;

/// Longest head, in bytes.
pub const MAX_HEAD: usize = 16 * 1024;
/// Most header lines.
pub const MAX_HEADERS: usize = 64;

/// Why the other end's HTTP makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// More than [`MAX_HEAD`] bytes or [`MAX_HEADERS`] lines.
    #[error("the head of an HTTP message is longer than 16 KiB or has more than 64 lines")]
    HeadTooLong,
    /// Not HTTP/1.x.
    #[error("an HTTP message is malformed: {0}")]
    Malformed(&'static str),
    /// More than was allowed for.
    #[error("the body of an HTTP message is too long")]
    BodyTooLong,
    /// Its end came before it was whole.
    #[error("the other end hung up in the middle of its answer")]
    CutShort,
    /// Bytes when nobody had asked.
    #[error("more was sent than was asked for")]
    TooEager,
}

impl HttpError {
    /// The status that tells the other end.
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLong => 431,
            Self::BodyTooLong => 413,
            Self::Malformed(_) | Self::TooEager | Self::CutShort => 400,
        }
    }
}

/// For the fuzzer: heads and bodies in portions of `step` bytes never panic, and portions change nothing.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], step: usize) {
    let whole = body::read_all(bytes, bytes.len().max(1));
    assert_eq!(whole, body::read_all(bytes, step.max(1)));
    if let Ok(Some((head, length))) = read_request(bytes) {
        assert!(length <= bytes.len() && head.path.starts_with('/'));
        if let Asked::Part { from, to } = asked(head.range.as_deref(), 1000) {
            assert!(from <= to && to < 1000);
        }
    }
    let _ = head_of_response(bytes);
    let _ = header(bytes, "sid");
    requests::fuzz(bytes, step);
    answers::fuzz(bytes, step);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn components_of_queries_go_there_and_back() {
        assert_eq!(encode_component("a b/ä&="), "a%20b%2F%C3%A4%26%3D");
        assert_eq!(decode_component("a%20b%2f%C3%A4+%"), "a b/ä %");
    }

    #[test]
    fn any_header_of_a_whole_head_is_found() {
        let head = b"\r\nNOTIFY /x HTTP/1.1\r\nHost: a\r\nsid:  uuid:1 \r\nSID: uuid:2\r\n\r\nSEQ: 3";
        assert_eq!(header(head, "SID").as_deref(), Some("uuid:1"));
        assert_eq!((header(head, "SEQ"), header(b"NOTIFY / HTTP/1.1\r\nSID: x\r\n", "SID")), (None, None));
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_portions_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
            fuzz(&bytes, step);
        }

        #[test]
        fn chunks_of_any_size_come_out_as_they_went_in(content in prop::collection::vec(any::<u8>(), 0..500), size in 1usize..60, step in 1usize..60) {
            let mut bytes = Vec::new();
            for chunk in content.chunks(size) {
                bytes.extend(format!("{:X}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
            }
            bytes.extend(b"0\r\n\r\n");
            prop_assert_eq!(body::read_all(&bytes, step), Ok((content, true)));
        }
    }
}
