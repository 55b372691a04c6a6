//! Pictures of what our players play, for devices that ask for them: KDE Connect names a picture by its address, and fetches
//! it as a payload (`transferringAlbumArt`). The address that we tell says nothing of this computer's files, and only the
//! picture that was shown can be asked for.

use std::sync::Arc;
use std::time::Duration;

use accord_model::{CallError, FieldCode, FieldSet, FromBridge, Target, Verb};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::Running;
use super::again::{Awaited, MAX_AWAITED};
use super::payload::{Context, Failed, Giving};
use crate::core::packet::{Mpris, Packet, PayloadInfo};
use crate::core::{KdeId, Private};

/// Pictures of one device that are on their way or wait.
pub(super) const AT_ONCE: usize = 2;
/// How long one waits for what else goes to the device.
const TURN_WITHIN: Duration = Duration::from_secs(30);

/// What a picture is asked for by. Older apps take `http:` and `file:` alone.
pub(super) fn address(picture: &[u8]) -> String {
    let hash = Sha256::digest(picture);
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("file:///accord/{hex}")
}

impl Running {
    /// A device asks for the picture that was shown to it. The feature is asked whether it still may see it.
    pub(super) async fn art_wanted(&mut self, id: &KdeId, instance: u16, address: String) {
        let Some(peer) = self.peers.get(id).filter(|_| self.awaited.len() < MAX_AWAITED) else { return };
        let device = peer.device.clone();
        let call = self.next_call();
        self.awaited.insert(call, (id.clone(), Awaited::Art(instance, address)));
        let target = Target { service: "media".to_owned(), instance };
        let verb = Verb::Read { properties: vec!["artwork".to_owned()] };
        self.tell(FromBridge::Asked { call, device, target, verb }).await;
    }

    /// Sends it.
    pub(super) fn give_art(&mut self, id: &KdeId, instance: u16, wanted: String, picture: Vec<u8>) {
        let Some(peer) = self.peers.get(id) else { return };
        let Some(player) = peer.shown.player_name(instance).filter(|_| address(&picture) == wanted) else { return };
        let Some(up) = peer.link.as_ref().filter(|up| up.secured) else { return };
        let Ok(permit) = Arc::clone(&peer.arts).try_acquire_owned() else {
            return tracing::debug!(device = %peer.device, "it asks for too many pictures at once");
        };
        let context = self.context(peer, up);
        self.tasks.spawn(async move {
            let device = context.device.clone();
            if let Err(error) = give(context, player, wanted, picture, permit).await {
                tracing::debug!(%device, %error, "a picture was not sent");
            }
        });
    }
}

async fn give(
    ctx: Context,
    player: String,
    address: String,
    picture: Vec<u8>,
    _permit: OwnedSemaphorePermit,
) -> Result<(), Failed> {
    let fields = FieldSet::one(FieldCode::MediaNowPlaying);
    ctx.law.may_carry(&ctx.device, fields)?;
    let turn = tokio::time::timeout(TURN_WITHIN, ctx.turn.lock()).await;
    let _turn = turn.map_err(|_| CallError::Deadline(TURN_WITHIN.as_secs()))?;
    let (served, port) = ctx.offer(ctx.address().await?).await?;
    let size = picture.len() as u64;
    let body = Mpris {
        player: Some(player),
        album_art_url: Some(Private::from(address)),
        transferring_album_art: Some(true),
        ..Default::default()
    };
    let payload = Some(PayloadInfo { size: Some(size), port: Some(port) });
    ctx.say(Packet { body: body.into(), payload }).await?;
    let mut giving = Giving::accept(&ctx, &served, size, None, fields).await?;
    giving.put(&picture).await?;
    giving.end().await.map(drop)
}
