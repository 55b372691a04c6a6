//! A request and its answer on one connection, within a time and a size.

use std::time::Duration;

use accord_consent::outlet::Met;
use accord_consent::{Personal, SendError};
use accord_model::FieldSet;
use tokio::io::AsyncReadExt;

use crate::core::http::{self, Answer, Reading};

/// How much of an answer is taken.
pub(crate) const MAX_ANSWER: usize = crate::core::xml::MAX_BYTES;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The consent ended, or does not cover it.
    Denied(String),
    /// No connection.
    Unreachable(String),
    /// A connection, and no answer that can be used.
    Mute(String),
    /// The answer is longer than is taken.
    Large,
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied(why) | Self::Unreachable(why) | Self::Mute(why) => f.write_str(why),
            Self::Large => f.write_str("the device's answer is larger than allowed"),
        }
    }
}

/// Connects, asks and reads the answer, all within `within`.
pub(crate) async fn exchange(
    dial: impl Future<Output = Result<Met, SendError>>,
    fields: FieldSet,
    request: Vec<u8>,
    within: Duration,
) -> Result<Answer, NoAnswer> {
    let late = |what: &str| format!("{what} within {} s", within.as_secs());
    let until = tokio::time::Instant::now() + within;
    let met = match tokio::time::timeout_at(until, dial).await {
        Ok(met) => met.map_err(|error| failed(error, NoAnswer::Unreachable))?,
        Err(_) => return Err(NoAnswer::Unreachable(late("the device did not take a connection"))),
    };
    let cancelled = met.cancelled();
    tokio::select! {
        biased;
        () = cancelled.cancelled() => Err(NoAnswer::Denied("you withdrew your consent".to_owned())),
        answer = tokio::time::timeout_at(until, ask(met, fields, request)) => {
            answer.unwrap_or_else(|_| Err(NoAnswer::Mute(late("the device did not answer"))))
        }
    }
}

async fn ask(mut met: Met, fields: FieldSet, request: Vec<u8>) -> Result<Answer, NoAnswer> {
    met.put(&Personal::of(fields, request)).await.map_err(|error| failed(error, NoAnswer::Mute))?;
    let mut reading = Reading::new(MAX_ANSWER);
    let mut buffer = [0; 8192];
    loop {
        let length = match met.read(&mut buffer).await {
            Ok(length) => length,
            // Small devices reset what they have answered; the answer counts if it is whole.
            Err(error) => {
                return reading.end().map_err(|_| NoAnswer::Mute(format!("the device broke off: {error}")));
            }
        };
        let answer = if length == 0 { reading.end().map(Some) } else { reading.bytes(&buffer[..length]) };
        match answer {
            Ok(None) => {}
            Ok(Some(answer)) => return Ok(answer),
            Err(http::NoAnswer::Large) => return Err(NoAnswer::Large),
            Err(error) => return Err(NoAnswer::Mute(error.to_string())),
        }
    }
}

/// Whether it was the law that said no, or the network.
pub(crate) fn failed(error: SendError, network: fn(String) -> NoAnswer) -> NoAnswer {
    match error {
        SendError::Io(_) | SendError::Outlet(_) => network(error.to_string()),
        error => NoAnswer::Denied(error.to_string()),
    }
}
