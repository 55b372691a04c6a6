//! The content of a file of a device, in pieces as it comes.

use std::time::Duration;

use accord_consent::Personal;
use accord_consent::outlet::{Met, OneNear};
use accord_http::{BodyLength, BodyReader, head_of_response, header};
use tokio::io::AsyncReadExt;

use super::exchange::{NoAnswer, failed};
use super::law;
use crate::core::http;
use crate::core::place::Place;

/// How long nothing may come.
const STALL: Duration = Duration::from_secs(30);
const PIECE: usize = 64 * 1024;

pub(crate) struct Download {
    met: Met,
    reader: BodyReader,
    /// What came and is not read yet.
    early: Vec<u8>,
    buffer: Vec<u8>,
    /// How its length is told.
    pub length: BodyLength,
    status: u16,
    range: Option<String>,
}

impl Download {
    /// Asks for a file from this byte on.
    pub(crate) async fn begin(one: &OneNear, place: &Place, from: u64) -> Result<Self, NoAnswer> {
        let mut met = one.dial(place.at.port()).await.map_err(|error| failed(error, NoAnswer::Unreachable))?;
        let request = Personal::of(law::looking(), http::get_from(place, from));
        met.put(&request).await.map_err(|error| failed(error, NoAnswer::Mute))?;
        let mut early = Vec::new();
        let mut buffer = vec![0; PIECE];
        loop {
            let length = read(&mut met, &mut buffer).await?;
            if length == 0 {
                return Err(NoAnswer::Mute("the answer ended too early".to_owned()));
            }
            early.extend_from_slice(&buffer[..length]);
            let head = head_of_response(&early).map_err(|error| NoAnswer::Mute(error.to_string()))?;
            let Some((head, length)) = head else { continue };
            let range = header(&early[..length], "Content-Range");
            early.drain(..length);
            match head.status {
                100..=199 => continue,
                200 | 206 => {}
                status => return Err(NoAnswer::Mute(format!("the device does not give the file (status {status})"))),
            }
            if head.status == 206 && from == 0 {
                return Err(NoAnswer::Mute("the device gives a part of the file where all was asked for".to_owned()));
            }
            let (length, status) = (head.length, head.status);
            return Ok(Self { met, reader: BodyReader::new(length), early, buffer, length, status, range });
        }
    }

    /// Whether this goes on at `from` with what is `whole` bytes in all (RFC 9110, 14.4).
    pub(crate) fn goes_on(&self, from: u64, whole: u64) -> bool {
        let range = self.range.as_deref().and_then(|range| range.trim().strip_prefix("bytes "));
        let read = range.and_then(|range| {
            let (part, all) = range.split_once('/')?;
            let (first, _) = part.split_once('-')?;
            Some((first.trim().parse::<u64>().ok()?, all.trim().parse::<u64>().ok()))
        });
        self.status == 206 && read.is_some_and(|(first, all)| first == from && all.is_none_or(|all| all == whole))
    }

    /// The next bytes; nothing at the end. What is not whole by its own word is an error.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, NoAnswer> {
        loop {
            let mut rest = self.early.as_slice();
            let piece = self.reader.next(&mut rest).map_err(|error| NoAnswer::Mute(error.to_string()))?;
            let piece = piece.map(<[u8]>::to_vec);
            let left = rest.len();
            self.early.drain(..self.early.len() - left);
            if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
            if self.reader.is_done() {
                return Ok(None);
            }
            match read(&mut self.met, &mut self.buffer).await? {
                0 if self.reader.ends_with_connection() => return Ok(None),
                0 => return Err(NoAnswer::Mute("the device closed the connection".to_owned())),
                length => self.early.extend_from_slice(&self.buffer[..length]),
            }
        }
    }
}

async fn read(met: &mut Met, buffer: &mut [u8]) -> Result<usize, NoAnswer> {
    let cancelled = met.cancelled();
    tokio::select! {
        biased;
        () = cancelled.cancelled() => Err(NoAnswer::Denied("you withdrew your consent".to_owned())),
        read = tokio::time::timeout(STALL, met.read(buffer)) => match read {
            Ok(read) => read.map_err(|error| NoAnswer::Mute(format!("the device broke off: {error}"))),
            Err(_) => Err(NoAnswer::Mute(format!("nothing came for {} s", STALL.as_secs()))),
        },
    }
}
