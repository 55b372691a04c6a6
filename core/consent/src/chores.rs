//! What the gate does by itself, on a thread that sleeps while nothing happens: a checkpoint at most
//! once a minute, rolled-up refusals, consents that come to their end.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use accord_model::Timestamp;

use crate::gate::Inner;

pub(crate) const EVERY: Duration = Duration::from_secs(60);
/// A consent's end is looked at again at least this often, in case the clock was set forward.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(crate) struct Chores {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    next_end: Option<Timestamp>,
    stopped: bool,
}

impl Chores {
    pub fn start(this: &Arc<Self>, gate: Weak<Inner>) {
        let chores = this.clone();
        let started = thread::Builder::new().name("accord-gate".into()).spawn(move || chores.run(&gate));
        if let Err(error) = started {
            tracing::error!(%error, "no checkpoints are signed while the hub runs: the thread could not start");
        }
    }

    pub fn something_happened(&self) {
        let mut state = self.state();
        if state.due.is_none() {
            state.due = Some(Instant::now() + EVERY);
            self.wake.notify_one();
        }
    }

    pub fn next_end(&self, end: Option<Timestamp>) {
        let mut state = self.state();
        if state.next_end != end {
            state.next_end = end;
            self.wake.notify_one();
        }
    }

    /// The clock may have been set forward over an end.
    pub fn look_again(&self) {
        let _held = self.state();
        self.wake.notify_one();
    }

    pub fn stop(&self) {
        self.state().stopped = true;
        self.wake.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, gate: &Weak<Inner>) {
        loop {
            let mut state = self.state();
            let (due, ended) = loop {
                if state.stopped {
                    return;
                }
                let now = Instant::now();
                let due = state.due.is_some_and(|at| at <= now);
                let left = state
                    .next_end
                    .map(|end| Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default());
                if due || left == Some(Duration::ZERO) {
                    break (due, left == Some(Duration::ZERO));
                }
                let until_due = state.due.map(|at| at - now);
                let wait = [until_due, left.map(|left| left.min(LOOK_AGAIN))].into_iter().flatten().min();
                state = match wait {
                    Some(wait) => self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                    None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
            };
            if due {
                state.due = None;
            }
            if ended {
                state.next_end = None;
            }
            drop(state);
            let Some(gate) = gate.upgrade() else { return };
            if due {
                gate.do_chores();
            } else {
                gate.expire();
            }
        }
    }
}
