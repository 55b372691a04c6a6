//! Raw sound that flows to a loudspeaker, as fast as that takes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use accord_consent::{Destination, Personal, RecipientId};
use accord_model::{CallError, DeviceId, FieldCode, FieldSet, Inputs, StreamClass, Target};
use accord_registry::ByteStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::book::CastError;
use crate::casts::{Inner, served};
use crate::live::Pcm;

/// One that is on hold takes nothing for so long, and goes on later.
const STALLS_FOR: Duration = Duration::from_secs(1800);

/// What flows to a loudspeaker. Ends when it is dropped.
pub(crate) struct Flow {
    state: Arc<State>,
    _stop: DropGuard,
}

#[derive(Default)]
struct State {
    sent: AtomicU64,
    whole: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Flow {
    /// Opens the loudspeaker's stream and lets the sound flow.
    pub(crate) async fn begin(
        inner: &Arc<Inner>,
        device: &DeviceId,
        target: Target,
        pcm: Pcm,
        stop: &CancellationToken,
    ) -> Result<Self, CastError> {
        let permit = inner.gate.permit(&inner.serve, &RecipientId::device(device), served(), "on.send")?;
        let stream = inner.registry.open_stream(device, target, Inputs::new(), StreamClass::Bulk).await?;
        let ByteStream { reader, writer, path } = stream;
        let to = Destination::device(device, path.address);
        let mut outflow = permit.open(writer, to).await.map_err(|error| CallError::NotConsented(error.to_string()))?;
        outflow.note_digest(None);
        outflow.stall_after(STALLS_FOR);
        let (state, stop) = (Arc::new(State::default()), stop.child_token());
        let flow = Self { state: state.clone(), _stop: stop.clone().drop_guard() };
        tokio::spawn(async move {
            // Both directions stay open until the end.
            let _reader = reader;
            let mut pcm = pcm;
            let flowing = async {
                loop {
                    let piece = pcm.next().await?;
                    if piece.is_empty() {
                        return outflow.shutdown().await.map_err(|error| error.to_string());
                    }
                    let length = piece.len() as u64;
                    let sealed = Personal::of(FieldSet::one(FieldCode::FileContent), piece);
                    outflow.put(&sealed).await.map_err(|error| error.to_string())?;
                    state.sent.fetch_add(length, Ordering::Relaxed);
                }
            };
            match stop.run_until_cancelled(flowing).await {
                Some(Ok(())) => {
                    state.whole.store(true, Ordering::Relaxed);
                    if let Err(error) = outflow.finish().await {
                        tracing::warn!(%error, "what flowed to a loudspeaker is not written down");
                    }
                    // The loudspeaker still plays what it has; it is told by its stream that no more comes.
                    stop.cancelled().await;
                }
                Some(Err(why)) => {
                    state.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.clone());
                    outflow.fail(why).await;
                }
                None => outflow.fail("ended").await,
            }
        });
        Ok(flow)
    }

    /// Bytes that the loudspeaker took.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }

    /// All of it was taken.
    pub(crate) fn whole(&self) -> bool {
        self.state.whole.load(Ordering::Relaxed)
    }

    /// Why no more flows.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
