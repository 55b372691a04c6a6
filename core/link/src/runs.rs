//! The list of pairings, which of them may begin, and how far each is.

use std::time::{Duration, Instant};

use accord_identity::limiter::{Ended, Limited, Limiter};
use accord_identity::pairing;
use accord_model::{DeviceId, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::{LinkError, LinkEvent, PairingDirection, PairingId, PairingInfo, PairingMethod, PairingStep};
use crate::inner::{Inner, lock};

/// A pairing that ended is listed for this long.
const LISTED_FOR: Duration = Duration::from_secs(300);
const LISTED: usize = 32;

/// One pairing as it is kept.
pub(crate) struct Run {
    pub info: PairingInfo,
    pub orders: mpsc::Sender<Order>,
    /// The other side's ephemeral key, for pairings that cross.
    pub with: Option<[u8; 32]>,
    /// Ends the task without a word: another connection takes over.
    pub yield_to_other: CancellationToken,
    /// Ends the run: the owner starts another.
    replaced: CancellationToken,
    pub crossed: bool,
    pub ended: Option<Instant>,
}

#[derive(Debug)]
pub(crate) enum Order {
    Agree(Option<String>),
    Refuse,
}

/// Runs that others begin and those that the owner began are counted apart, so that nobody can keep the
/// owner from pairing.
#[derive(Default)]
pub(crate) struct Limits {
    theirs: Limiter,
    own: Limiter,
}

impl Limits {
    /// How long the owner may begin none.
    pub(crate) fn held_up(&self, now: Duration) -> Option<Duration> {
        self.own.held_up(now)
    }
    pub(crate) fn is_busy(&self) -> bool {
        self.theirs.is_busy() || self.own.is_busy()
    }
    fn of(&mut self, side: Side) -> &mut Limiter {
        match side {
            Side::Own => &mut self.own,
            Side::Theirs => &mut self.theirs,
        }
    }
}

/// Who began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Own,
    Theirs,
}

/// A run that may begin.
pub(crate) struct Begun {
    pub id: PairingId,
    pub inbox: mpsc::Receiver<Order>,
    pub yields: CancellationToken,
    pub replaced: CancellationToken,
}

impl Inner {
    pub(crate) fn pairings(&self) -> Vec<PairingInfo> {
        let mut runs = lock(&self.pairings);
        runs.retain(|_, run| run.ended.is_none_or(|at| at.elapsed() < LISTED_FOR));
        runs.values().map(|run| run.info.clone()).collect()
    }

    pub(crate) async fn order_pairing(
        &self,
        id: &PairingId,
        agree: bool,
        code: Option<String>,
    ) -> Result<(), LinkError> {
        let orders = {
            let runs = lock(&self.pairings);
            runs.get(id).filter(|run| run.ended.is_none()).map(|run| run.orders.clone())
        };
        let orders = orders.ok_or(LinkError::NoPairing)?;
        let order = if agree { Order::Agree(code) } else { Order::Refuse };
        orders.try_send(order).map_err(|_| LinkError::NoPairing)
    }

    pub(crate) fn new_run(
        &self,
        direction: PairingDirection,
        method: PairingMethod,
        with: Option<[u8; 32]>,
        device: Option<DeviceId>,
    ) -> Begun {
        let id = PairingId(format!("pair-{}", self.next()));
        let (orders, inbox) = mpsc::channel(8);
        let (yields, replaced) = (CancellationToken::new(), CancellationToken::new());
        let info = PairingInfo {
            id: id.clone(),
            direction,
            method,
            step: PairingStep::Connecting,
            device,
            name: None,
            kind: None,
            deadline: Timestamp::now() + pairing::TOTAL_TIME,
        };
        let run = Run {
            info: info.clone(),
            orders,
            with,
            yield_to_other: yields.clone(),
            replaced: replaced.clone(),
            crossed: false,
            ended: None,
        };
        let mut runs = lock(&self.pairings);
        while runs.len() >= LISTED {
            let Some(oldest) = runs.iter().filter(|(_, run)| run.ended.is_some()).min_by_key(|(_, run)| run.ended)
            else {
                break;
            };
            let oldest = oldest.0.clone();
            runs.remove(&oldest);
        }
        runs.insert(id.clone(), run);
        drop(runs);
        self.event(LinkEvent::Pairing(info));
        Begun { id, inbox, yields, replaced }
    }

    pub(crate) fn step_run(&self, id: &PairingId, change: impl FnOnce(&mut PairingInfo)) {
        let mut runs = lock(&self.pairings);
        let Some(run) = runs.get_mut(id).filter(|run| run.ended.is_none()) else { return };
        change(&mut run.info);
        if matches!(run.info.step, PairingStep::Done(_) | PairingStep::Failed(_)) {
            run.ended = Some(Instant::now());
        }
        let info = run.info.clone();
        drop(runs);
        self.event(LinkEvent::Pairing(info));
    }

    pub(crate) fn fail_run(&self, id: &PairingId, why: impl std::fmt::Display) {
        let why = why.to_string();
        tracing::info!(pairing = id.0, why, "pairing failed");
        self.step_run(id, |info| info.step = PairingStep::Failed(why));
    }

    /// A run that another device asks for; not while the owner's own is under way.
    pub(crate) fn begin_theirs(&self, name: &str, with: [u8; 32]) -> Result<Begun, Limited> {
        let mut limits = lock(&self.limits);
        if limits.own.is_busy() {
            return Err(Limited::Busy);
        }
        limits.theirs.begin(name, self.now())?;
        Ok(self.new_run(PairingDirection::In, PairingMethod::Code, Some(with), None))
    }

    /// Room for a run of the owner's: one that another device began and that the owner has not agreed to
    /// makes way. One with the same device (`with`) goes on instead: its id.
    pub(crate) fn begin_own(&self, name: &str, with: Option<[u8; 32]>) -> Result<Option<PairingId>, Limited> {
        let mut limits = lock(&self.limits);
        if limits.theirs.is_busy() {
            let runs = lock(&self.pairings);
            let theirs = runs.iter().find(|(_, run)| {
                run.ended.is_none()
                    && run.info.direction == PairingDirection::In
                    && run.info.method == PairingMethod::Code
            });
            match theirs {
                Some((id, run)) if with.is_some() && run.with == with => return Ok(Some(id.clone())),
                Some((_, run)) if matches!(run.info.step, PairingStep::Waiting) => return Err(Limited::Busy),
                Some((_, run)) => run.replaced.cancel(),
                None => {}
            }
        }
        limits.own.begin(name, self.now()).map(|()| None)
    }

    pub(crate) fn end_limited(&self, side: Side, ended: Ended) {
        lock(&self.limits).of(side).ended(ended, self.now());
    }
}
