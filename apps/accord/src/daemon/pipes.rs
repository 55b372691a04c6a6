//! Standard input on its way: what a command streams into the socket becomes the one file of a transfer, as it comes.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::BodyDataStream;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

/// Pieces that may wait for the network.
const QUEUE: usize = 4;
/// A transfer that nobody begins to feed for so long gets nothing.
const FEED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    #[error("this transfer takes no stream, or has one already")]
    Unknown,
    #[error("the transfer is over; see `accord transfers`")]
    Over,
    #[error("what was to be sent broke off: {0}")]
    Broken(String),
}

/// `None` is the end; a pipe that closes without it broke.
type Piece = Option<Bytes>;
type Waiting = HashMap<String, mpsc::Sender<Piece>>;

/// Pipes that wait for someone to feed them, by transfer.
#[derive(Clone, Default)]
pub struct Pipes(Arc<Mutex<Waiting>>);

impl Pipes {
    /// What the transfer reads.
    pub fn open(&self, transfer: &str) -> Box<dyn AsyncRead + Send + Unpin> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.lock().insert(transfer.to_owned(), sender);
        let (pipes, transfer) = (self.clone(), transfer.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(FEED_WITHIN).await;
            pipes.forget(&transfer);
        });
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Some(Some(bytes)) => Some((Ok(bytes), receiver)),
                Some(None) => None,
                None => Some((Err(io::Error::new(io::ErrorKind::UnexpectedEof, "standard input broke off")), receiver)),
            }
        });
        Box::new(StreamReader::new(pieces.boxed()))
    }

    /// Feeds a transfer as fast as it takes. Whoever asks is the owner, who may take any time.
    pub async fn feed(&self, transfer: &str, mut body: BodyDataStream) -> Result<u64, PipeError> {
        let sender = self.lock().remove(transfer).ok_or(PipeError::Unknown)?;
        let mut fed = 0;
        loop {
            let next = tokio::select! {
                next = body.next() => next,
                () = sender.closed() => return Err(PipeError::Over),
            };
            let piece = next.transpose().map_err(|error| PipeError::Broken(error.to_string()))?;
            let is_end = piece.is_none();
            fed += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
            sender.send(piece).await.map_err(|_| PipeError::Over)?;
            if is_end {
                return Ok(fed);
            }
        }
    }

    /// Nobody will feed it.
    pub fn forget(&self, transfer: &str) {
        self.lock().remove(transfer);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_is_fed_is_read_to_its_end_and_what_breaks_off_is_no_end() {
        let pipes = Pipes::default();
        let mut reader = pipes.open("t");
        let (mut text, body) = (String::new(), Body::from("from a pipe").into_data_stream());
        let (read, fed) = tokio::join!(reader.read_to_string(&mut text), pipes.feed("t", body));
        assert_eq!((read.unwrap(), fed.unwrap(), text.as_str()), (11, 11, "from a pipe"));
        assert!(matches!(pipes.feed("t", Body::empty().into_data_stream()).await, Err(PipeError::Unknown)));

        let mut reader = pipes.open("t");
        let broken = futures_util::stream::iter([Ok("half"), Err(io::Error::other("killed"))]);
        let (read, fed) = tokio::join!(
            reader.read_to_string(&mut text),
            pipes.feed("t", Body::from_stream(broken).into_data_stream())
        );
        assert!(read.is_err() && matches!(fed, Err(PipeError::Broken(_))));

        drop(pipes.open("t"));
        let endless = Body::from_stream(futures_util::stream::pending::<io::Result<Bytes>>()).into_data_stream();
        assert!(matches!(pipes.feed("t", endless).await, Err(PipeError::Over)), "the transfer ended");
    }
}
