//! A way out without the gate, for tests and measurements of the engine alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use accord_model::{FieldCode, FieldSet};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::bounds::Bounds;
use super::pack::Input;
use super::receive::{self, Intake, ReceiveEnd};
use super::send::{self, SendEnd, Sending};
use super::store::{Store, discard};
use super::unpack::{Unpacker, check_space};
use super::{Note, Progress, Sink, SinkError};
use crate::block::{Block, Pool};
use crate::scan::{count, roots};
use crate::wire::{Kind, Offer, VERSION};

/// Writes straight through.
pub struct Plain<W> {
    to: W,
    /// Cancel it to play a withdrawal.
    pub withdrawn: CancellationToken,
}

impl<W> Plain<W> {
    /// Around a writer.
    pub fn new(to: W) -> Self {
        Self { to, withdrawn: CancellationToken::new() }
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static> Sink for Plain<W> {
    type Sealed = Block;
    fn seal(_: FieldSet, block: Block, _: Vec<Note>) -> Block {
        block
    }
    async fn put(&mut self, sealed: Block) -> Result<(), SinkError> {
        self.frame(sealed.as_ref()).await
    }
    async fn frame(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if self.withdrawn.is_cancelled() {
            return Err(SinkError::Withdrawn("withdrawn".into()));
        }
        self.to.write_all(bytes).await.map_err(SinkError::Io)
    }
    async fn flush(&mut self) -> Result<(), SinkError> {
        self.to.flush().await.map_err(SinkError::Io)
    }
    async fn close(&mut self) -> Result<(), SinkError> {
        self.to.shutdown().await.map_err(SinkError::Io)
    }
    fn withdrawn(&self) -> CancellationToken {
        self.withdrawn.clone()
    }
}

/// Sends paths over a stream, without the gate.
pub async fn send_paths<R, W>(id: [u8; 16], paths: &[PathBuf], reader: R, writer: W, progress: Arc<Progress>) -> SendEnd
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let roots = match roots(paths) {
        Ok(roots) => roots,
        Err((_, error)) => return SendEnd::Denied(error.to_string()),
    };
    let count = count(&roots, Duration::from_secs(5));
    progress.total(count.files, count.bytes, count.exact);
    let offer = Offer {
        version: VERSION,
        transfer: id,
        kind: Kind::Files,
        files: count.files,
        bytes: count.bytes,
        exact: count.exact,
        preview: count.preview,
    };
    send_input(offer, Input::Roots(roots), reader, writer, progress).await
}

/// Sends any input over a stream, without the gate.
pub async fn send_input<R, W>(offer: Offer, input: Input, reader: R, writer: W, progress: Arc<Progress>) -> SendEnd
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let fields = FieldSet::one(FieldCode::FileContent);
    let sending = Sending { offer, fields, input, progress, count: None, cancel: CancellationToken::new() };
    let mut sink = Plain::new(writer);
    send::run(&mut sink, reader, sending, |_| ()).await
}

/// Receives into a folder from a stream and takes everything, without the gate.
pub async fn receive_into<R, W>(inbox: &Path, reader: R, writer: W, progress: Arc<Progress>) -> ReceiveEnd
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut sink = Plain::new(writer);
    let (mut intake, offer) = match Intake::open(reader).await {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    let id = data_encoding::HEXLOWER.encode(&offer.transfer);
    let mut store = match Store::open(inbox, &id) {
        Ok(store) => store,
        Err(error) => return ReceiveEnd::Denied(error.to_string()),
    };
    let pool = Pool::default();
    if let Err(failure) = check_space(&mut store, &offer) {
        return failure.into();
    }
    let have: Vec<_> = store.held.keys().copied().collect();
    let partial = store.partial();
    progress.total(offer.files, offer.bytes, offer.exact);
    if let Err(error) = receive::accept(&mut sink, &pool, &have, partial).await {
        return error.into();
    }
    let unpacker = Unpacker::new(store, intake.decoder(), Bounds::of(&offer), progress);
    let (end, mut reader) = receive::run(intake, &mut sink, &pool, unpacker, &CancellationToken::new(), ()).await;
    if let ReceiveEnd::Received(received) = &end {
        let _ = discard(inbox, &id);
        receive::acknowledge(&mut sink, &pool, &mut reader, received).await;
    }
    end
}
