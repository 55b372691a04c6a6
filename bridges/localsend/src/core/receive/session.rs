//! A transfer that the owner let in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use super::{AskId, Asked, Incoming, MAX_ATTEMPTS, UploadFault};
use crate::core::message::FileOffer;
use crate::core::{ConnectionId, Peer, Secret, Target, secret};

#[derive(Debug)]
pub(super) struct Session {
    id: Secret,
    ask: AskId,
    peer: Peer,
    sender: Target,
    files: HashMap<String, File>,
    running: HashMap<ConnectionId, String>,
    open: usize,
    missing: usize,
    rests_until: Instant,
}

struct File {
    offer: FileOffer,
    token: Secret,
    attempts: u8,
    state: FileState,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum FileState {
    Waiting,
    Running,
    Over,
}

/// How one upload ended.
pub(super) struct End {
    pub(super) id: String,
    pub(super) outcome: Result<(), UploadFault>,
    pub(super) is_final: bool,
}

impl Session {
    /// `wanted`: ids, all when there are none.
    pub(super) fn new(asked: Asked, wanted: Option<Vec<String>>, rests_until: Instant) -> Self {
        let Asked { ask, peer, verified, request, .. } = asked;
        let sender = Target {
            address: peer.port(request.sender.port),
            protocol: request.sender.protocol,
            fingerprint: verified.then(|| request.sender.info.fingerprint.clone()),
        };
        let wanted: Option<HashSet<String>> = wanted.map(|ids| ids.into_iter().collect());
        let is_wanted = |file: &FileOffer| wanted.as_ref().is_none_or(|wanted| wanted.contains(&file.id));
        let file = |offer: FileOffer| {
            let state = FileState::Waiting;
            (offer.id.clone(), File { offer, token: secret::token().into(), attempts: 0, state })
        };
        let files: HashMap<_, _> = request.files.into_iter().filter(is_wanted).map(file).collect();
        let open = files.len();
        Self {
            id: secret::token().into(),
            ask,
            peer,
            sender,
            files,
            running: HashMap::new(),
            open,
            missing: 0,
            rests_until,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }
    pub(super) fn ask(&self) -> AskId {
        self.ask
    }
    pub(super) fn sender(&self) -> Target {
        self.sender.clone()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
    pub(super) fn tokens(&self) -> BTreeMap<String, Secret> {
        self.files.iter().map(|(id, file)| (id.clone(), file.token.clone())).collect()
    }
    pub(super) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.running.keys().copied()
    }
    /// When it counts as given up; never while a file runs.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.running.is_empty().then_some(self.rests_until)
    }
    /// How many files are missing, once none is to come.
    pub(super) fn done(&self) -> Option<usize> {
        (self.open == 0).then_some(self.missing)
    }
    /// The session's name alone is not enough: it must be the same device.
    pub(super) fn is(&self, peer: &Peer, session: &str) -> bool {
        self.peer.address == peer.address && secret::same(&self.id, session)
    }

    pub(super) fn upload(
        &mut self,
        connection: ConnectionId,
        peer: &Peer,
        session: &str,
        id: &str,
        token: &str,
        length: Option<u64>,
    ) -> Result<(Incoming, FileOffer), (u16, &'static str)> {
        if !self.is(peer, session) || self.peer.certificate != peer.certificate {
            return Err((403, "No such session"));
        }
        let file =
            self.files.get_mut(id).filter(|file| secret::same(&file.token, token)).ok_or((403, "Wrong token"))?;
        match file.state {
            FileState::Waiting => {}
            FileState::Running => return Err((409, "This file is on its way already")),
            FileState::Over => return Err((403, "This file is over")),
        }
        if length.is_some_and(|length| length != file.offer.size) {
            return Err((400, "The size is not the one that was offered"));
        }
        (file.state, file.attempts) = (FileState::Running, file.attempts + 1);
        self.running.insert(connection, id.to_owned());
        Ok((Incoming::new(file.offer.size, file.offer.sha256), file.offer.clone()))
    }

    /// Nothing when no file of ours ran there.
    pub(super) fn uploaded(
        &mut self,
        connection: ConnectionId,
        outcome: Result<(), UploadFault>,
        rests_until: Instant,
    ) -> Option<End> {
        let id = self.running.remove(&connection)?;
        let file = self.files.get_mut(&id)?;
        self.rests_until = rests_until;
        let is_final = outcome.is_ok() || file.attempts >= MAX_ATTEMPTS;
        file.state = if is_final { FileState::Over } else { FileState::Waiting };
        if is_final {
            self.open -= 1;
            self.missing += usize::from(outcome.is_err());
        }
        Some(End { id, outcome, is_final })
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("state", &self.state).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
