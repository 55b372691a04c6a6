//! An offer that came in, put to this machine's feature, which asks the owner.

use accord_model::Timestamp;
use accord_ports::files::wire::{Kind, MAX_PREVIEW, Offer, Preview, StopReason, Time};
use accord_ports::files::{Giver, PortError};
use tokio_util::sync::CancellationToken;

use crate::core::message::PrepareUpload;

/// What came of it.
pub(crate) enum OwnerSays {
    Yes(Box<Giver>),
    /// The text is where the owner reads it.
    Read,
    No,
}

/// What the feature is offered.
pub(crate) fn offer(request: &PrepareUpload) -> Offer {
    let mut transfer = [0; 16];
    getrandom::fill(&mut transfer).expect("the operating system gives random bytes; without them no id may be made");
    let bytes = request.files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size));
    let mut offer = Giver::new_offer(transfer, request.files.len() as u64, bytes);
    match request.message() {
        Some(text) => {
            offer.kind = if is_link(text) { Kind::Url } else { Kind::Text };
            offer.bytes = text.len() as u64;
        }
        None => offer.preview = preview(request),
    }
    offer
}

/// Files and folders as the sender's owner chose them: what lies in a folder is not named.
fn preview(request: &PrepareUpload) -> Vec<Preview> {
    let mut shown: Vec<Preview> = Vec::new();
    for file in &request.files {
        let mut parts = file.path.parts();
        let name = parts.next().unwrap_or_default();
        let folder = parts.next().is_some();
        if folder && shown.iter().any(|item| item.folder && item.name == name) {
            continue;
        }
        if shown.len() == MAX_PREVIEW {
            break;
        }
        shown.push(Preview { name: name.to_owned(), size: (!folder).then_some(file.size), folder });
    }
    shown
}

fn is_link(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    (lower.starts_with("https://") || lower.starts_with("http://")) && !text.contains(char::is_whitespace)
}

/// Offers, and waits for the owner. `over`: the sender took it back.
pub(crate) async fn ask(mut giver: Giver, offer: Offer, text: Option<String>, over: CancellationToken) -> OwnerSays {
    let answer = tokio::select! {
        biased;
        () = over.cancelled() => None,
        answer = giver.offer(offer) => Some(answer),
    };
    match answer {
        None => {
            giver.stop(StopReason::Cancelled).await;
            OwnerSays::No
        }
        Some(Ok(())) => match text {
            None => OwnerSays::Yes(Box::new(giver)),
            Some(text) => match hand_over(giver, &text).await {
                Ok(()) => OwnerSays::Read,
                Err(error) => {
                    tracing::warn!(%error, "a text that came by LocalSend could not be kept");
                    OwnerSays::No
                }
            },
        },
        Some(Err(error)) => {
            tracing::debug!(%error, "an offer was not taken");
            OwnerSays::No
        }
    }
}

async fn hand_over(mut giver: Giver, text: &str) -> Result<(), PortError> {
    let now = Timestamp::now();
    let time = Time { seconds: now.as_second(), nanos: now.subsec_nanosecond().unsigned_abs() };
    giver.file("text.txt", Some(text.len() as u64), time).await?;
    giver.content(text.as_bytes()).await?;
    giver.end().await?;
    giver.finish().await.map(drop)
}
