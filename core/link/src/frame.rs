//! Bounded messages on a byte stream: a big-endian `u32` length, then that many bytes of JSON. A length
//! beyond the limit ends the conversation before a byte of the body is read.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest body of an opening or an answer; leaves room for the largest message of the core.
pub const MAX_FRAME: usize = accord_model::message::MAX_MESSAGE + 8 * 1024;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length says more than is allowed.
    #[error("a message of {0} bytes; at most {1} are allowed")]
    TooLong(usize, usize),
    /// Not what this place in the protocol expects.
    #[error("a message that makes no sense: {0}")]
    Malformed(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// Nothing came in time.
    #[error("nothing came within {0:?}")]
    Deadline(Duration),
}

/// One message with its length in front.
///
/// # Errors
/// [`FrameError::TooLong`] when it does not fit, [`FrameError::Malformed`] when it is no JSON.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(|error| FrameError::Malformed(error.to_string()))?;
    let body = bytes.len() - 4;
    if body > limit {
        return Err(FrameError::TooLong(body, limit));
    }
    bytes[..4].copy_from_slice(&(body as u32).to_be_bytes());
    Ok(bytes)
}

/// Bytes that are a message already, with their length in front.
///
/// # Errors
/// [`FrameError::TooLong`] when they do not fit.
pub fn wrap(body: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
    if body.len() > limit {
        return Err(FrameError::TooLong(body.len(), limit));
    }
    let mut bytes = Vec::with_capacity(body.len() + 4);
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// Reads a whole frame from the start of `bytes`: the body and how much was used. `None`: more is
/// needed. The entry point for fuzzing.
///
/// # Errors
/// [`FrameError::TooLong`] as soon as the length is known.
pub fn split(bytes: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > limit {
        return Err(FrameError::TooLong(length, limit));
    }
    Ok(rest.get(..length).map(|body| (body, 4 + length)))
}

/// The content of a body.
///
/// # Errors
/// [`FrameError::Malformed`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|error| FrameError::Malformed(error.to_string()))
}

/// Reads the body of one message.
///
/// # Errors
/// See [`FrameError`].
pub async fn read_body<R>(reader: &mut R, limit: usize, within: Duration) -> Result<Vec<u8>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let read = async {
        let length = reader.read_u32().await? as usize;
        if length > limit {
            return Err(FrameError::TooLong(length, limit));
        }
        let mut body = Vec::with_capacity(length.min(64 * 1024));
        let got = reader.take(length as u64).read_to_end(&mut body).await?;
        if got < length {
            return Err(FrameError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(body)
    };
    tokio::time::timeout(within, read).await.map_err(|_| FrameError::Deadline(within))?
}

/// Reads one message.
///
/// # Errors
/// See [`FrameError`].
pub async fn read<T, R>(reader: &mut R, limit: usize, within: Duration) -> Result<T, FrameError>
where
    T: DeserializeOwned,
    R: AsyncRead + Unpin + ?Sized,
{
    decode(&read_body(reader, limit, within).await?)
}

/// Writes bytes that already carry their length.
///
/// # Errors
/// See [`FrameError`].
pub async fn write_raw<W>(writer: &mut W, bytes: &[u8], within: Duration) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let write = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    tokio::time::timeout(within, write).await.map_err(|_| FrameError::Deadline(within))?.map_err(FrameError::Broken)
}

/// Writes one message.
///
/// # Errors
/// See [`FrameError`].
pub async fn write<T, W>(writer: &mut W, message: &T, limit: usize, within: Duration) -> Result<(), FrameError>
where
    T: Serialize,
    W: AsyncWrite + Unpin + ?Sized,
{
    write_raw(writer, &encode(message, limit)?, within).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_split_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((body, used))) = split(&bytes, 32) {
                prop_assert!(body.len() <= 32 && used == body.len() + 4);
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_a_lying_length_costs_nothing() {
        let (mut a, mut b) = tokio::io::duplex(1024);
        let second = Duration::from_secs(1);
        write(&mut a, &vec!["x", "y"], 100, second).await.unwrap();
        assert_eq!(read::<Vec<String>, _>(&mut b, 100, second).await.unwrap(), ["x", "y"]);
        a.write_all(&[0xff; 4]).await.unwrap();
        assert!(matches!(read_body(&mut b, 100, second).await, Err(FrameError::TooLong(..))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stalls_is_given_up() {
        let (mut a, mut b) = tokio::io::duplex(1024);
        a.write_all(&[0, 0, 0, 9, b'x']).await.unwrap();
        let within = Duration::from_secs(5);
        assert!(matches!(read_body(&mut b, 100, within).await, Err(FrameError::Deadline(_))));
    }
}
