//! Commands and what they print: a device's that are run from here, and ours that a device has run. Newer apps tell of it
//! (`runcommand.output`); with older ones a command runs in silence.

use std::time::{Duration, Instant};

use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, Target, Verb, text::for_screen};

use super::{Running, calls, not_connected};
use crate::core::packet::{Packet, RunCommandOutput};
use crate::core::{KdeId, Private};

/// A command that takes longer runs on, and what it printed until then is told. The caller waits a little longer.
const WITHIN: Duration = Duration::from_secs(10);
/// A device that tells says within this time that the command began.
const BEGINS_WITHIN: Duration = Duration::from_secs(3);
const MAX_PRINTED: usize = 64 * 1024;
const MAX_RUNS: usize = 16;

/// A device's command that runs.
pub(super) struct Run {
    call: CallId,
    of: KdeId,
    id: Option<String>,
    printed: String,
    until: Instant,
}

impl Run {
    pub fn until(&self) -> Instant {
        self.until
    }
    fn is_of(&self, output: &RunCommandOutput) -> bool {
        self.id.as_ref().map_or(output.command_started == Some(true), |id| *id == output.id)
    }
    fn take(&mut self, output: &RunCommandOutput) {
        if self.id.is_none() {
            self.id = Some(output.id.clone());
            self.until += WITHIN - BEGINS_WITHIN;
        }
        for line in output.stdout.iter().chain(&output.stderr).flatten() {
            if self.printed.len() + line.as_str().len() < MAX_PRINTED {
                self.printed.push_str(line.as_str());
                self.printed.push('\n');
            }
        }
    }
    fn outputs(self, code: Option<i64>) -> Outputs {
        let printed = self.id.is_some().then(|| ("output".to_owned(), Data::from(self.printed)));
        printed.into_iter().chain(code.map(|code| ("code".to_owned(), code.into()))).collect()
    }
}

impl Running {
    /// Whether a device tells what its commands print.
    pub(super) fn tells_output(&self, device: &DeviceId) -> bool {
        let peer = self.ids.get(device).and_then(|id| self.peers.get(id));
        peer.is_some_and(|peer| peer.sends("runcommand.output"))
    }

    /// Has a device run a command, and waits for what it prints.
    pub(super) fn run(&mut self, call: CallId, device: &DeviceId, target: &Target) -> Result<(), CallError> {
        let id = self.ids.get(device).cloned().ok_or_else(not_connected)?;
        let peer = self.peers.get(&id).filter(|peer| peer.paired.is_some()).ok_or_else(not_connected)?;
        if self.runs.len() >= MAX_RUNS {
            return Err(CallError::Refused("too many commands at once; try again".into()));
        }
        let run = Verb::Act { action: "run".into(), inputs: Outputs::new() };
        for packet in calls::packets(peer, target, run)? {
            self.say(&id, packet)?;
        }
        let until = Instant::now() + BEGINS_WITHIN;
        self.runs.push(Run { call, of: id, id: None, printed: String::new(), until });
        Ok(())
    }

    /// A device tells of a command.
    pub(super) async fn output_came(&mut self, id: &KdeId, output: RunCommandOutput) {
        let Some(at) = self.runs.iter().position(|run| run.of == *id && run.is_of(&output)) else { return };
        self.runs[at].take(&output);
        if output.command_finished == Some(true) {
            let run = self.runs.remove(at);
            let code = output.exit_code.or(output.success.map(|well| i64::from(!well)));
            let call = run.call;
            self.tell(FromBridge::Reply { call, outcome: Ok(run.outputs(code)) }).await;
        }
    }

    /// Answers for what runs on, or runs in silence.
    pub(super) async fn end_runs(&mut self, now: Instant) {
        let (over, left): (Vec<_>, Vec<_>) = self.runs.drain(..).partition(|run| run.until <= now);
        self.runs = left;
        for run in over {
            let is_here = self.peers.get(&run.of).is_some_and(|peer| peer.link.is_some());
            let call = run.call;
            let outcome = if is_here { Ok(run.outputs(None)) } else { Err(not_connected()) };
            self.tell(FromBridge::Reply { call, outcome }).await;
        }
    }
}

/// What a device that had one of our commands run is told: what the feature answered, which is nothing where the owner
/// does not share it.
pub(super) fn told(call: CallId, name: &str, answer: &Outputs) -> Vec<Packet> {
    let Some(printed) = answer.get("output").and_then(Data::as_text) else { return Vec::new() };
    let id = format!("run-{}", call.0);
    let yes = Some(true);
    let code = answer.get("code").and_then(Data::as_int);
    // The name stands for the command line, which is nobody else's affair.
    let command = Some(Private::from(for_screen(name, 100)));
    let lines = Some(printed.lines().map(Private::from).collect());
    let of = |output: RunCommandOutput| Packet::from(RunCommandOutput { id: id.clone(), ..output });
    vec![
        of(RunCommandOutput { command_started: yes, command, ..Default::default() }),
        of(RunCommandOutput { command_output: yes, stdout: lines, stderr: Some(Vec::new()), ..Default::default() }),
        of(RunCommandOutput {
            command_finished: yes,
            success: Some(code == Some(0)),
            exit_code: code,
            ..Default::default()
        }),
    ]
}
