//! Find my device: this machine rings when a device asks that the owner allowed to.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::outlet;
use accord_model::{CallError, DeviceId, Inputs, Target, Verb};
use accord_ports::remote::{Grants, Remote};
use accord_registry::{Answer, ByteStream, Registry, ServiceHandler};
use async_trait::async_trait;
use tokio::sync::{Mutex, broadcast};
use tokio::time::Instant;

/// How long it rings.
const RINGS: Duration = Duration::from_secs(15);
/// Players of sound that a desktop has, best first.
const PLAYERS: [&str; 3] = ["pw-play", "paplay", "aplay"];
const EVENTS: usize = 16;

/// This machine rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rang {
    /// Who asked.
    pub by: DeviceId,
}

/// Serves `ringer`.
pub struct Ring {
    events: broadcast::Sender<Rang>,
}

impl Ring {
    /// Rings for whom `grants` allows it. `folder`: where the sound may be kept.
    pub fn new(registry: &Registry, grants: Arc<dyn Grants>, folder: &Path) -> Self {
        let events = broadcast::channel(EVENTS).0;
        let handler =
            Handler { grants, events: events.clone(), sound: folder.join("ring.wav"), ringing: Arc::default() };
        registry.serve("ringer", Arc::new(handler));
        Self { events }
    }

    /// When it rings, from now on. Whoever follows shows it, for a machine may have no sound.
    pub fn events(&self) -> broadcast::Receiver<Rang> {
        self.events.subscribe()
    }
}

struct Handler {
    grants: Arc<dyn Grants>,
    events: broadcast::Sender<Rang>,
    sound: PathBuf,
    /// Held while it rings.
    ringing: Arc<Mutex<()>>,
}

#[async_trait]
impl ServiceHandler for Handler {
    async fn asked(&self, from: DeviceId, _: Target, verb: Verb) -> Result<Answer, CallError> {
        match verb {
            Verb::Act { action, .. } if action == "ring" => {}
            _ => return Err(CallError::Unsupported("it can ring, nothing else".into())),
        }
        if !self.grants.allows(&from, Remote::Ring) {
            return Err(CallError::Refused("the owner has not allowed you to let this device ring".into()));
        }
        let Ok(ringing) = self.ringing.clone().try_lock_owned() else { return Ok(Answer::Done) };
        let _ = self.events.send(Rang { by: from });
        let sound = self.sound.clone();
        tokio::spawn(async move {
            let _ringing = ringing;
            if let Err(error) = play(&sound).await {
                tracing::debug!(%error, "no sound; the ringing is only shown");
            }
        });
        Ok(Answer::Done)
    }
    async fn stream(&self, _: DeviceId, _: Target, _: Inputs, _: ByteStream) {}
}

async fn play(sound: &Path) -> Result<(), String> {
    tokio::fs::write(sound, wave()).await.map_err(|error| error.to_string())?;
    let ends = Instant::now() + RINGS;
    let mut why = "no player of sound is installed".to_owned();
    for player in PLAYERS {
        loop {
            let mut command = outlet::command(player).map_err(|error| error.to_string())?;
            command.arg(sound).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let Ok(mut child) = command.spawn() else { break };
            match tokio::time::timeout_at(ends, child.wait()).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(_) => {
                    why = format!("{player} could not play");
                    break;
                }
                Err(_) => return Ok(()),
            }
        }
        if Instant::now() >= ends {
            return Ok(());
        }
    }
    Err(why)
}

const RATE: u32 = 16_000;
const SECONDS: u32 = 2;

/// Two seconds of an old telephone: two tones by turns, then a rest. RIFF WAVE, mono, 16 bits.
fn wave() -> Vec<u8> {
    let samples = RATE * SECONDS;
    let bytes = samples * 2;
    let mut wave = Vec::with_capacity(44 + bytes as usize);
    wave.extend(b"RIFF");
    wave.extend((36 + bytes).to_le_bytes());
    wave.extend(b"WAVEfmt ");
    for (number, size) in [(16, 4), (1, 2), (1, 2), (RATE, 4), (RATE * 2, 4), (2, 2), (16, 2)] {
        wave.extend(&u32::to_le_bytes(number)[..size]);
    }
    wave.extend(b"data");
    wave.extend(bytes.to_le_bytes());
    for at in 0..samples {
        let second = f64::from(at) / f64::from(RATE);
        let tone = if ((second * 20.0) as u32).is_multiple_of(2) { 800.0 } else { 1000.0 };
        let loud = if second < 1.4 { 0.6 } else { 0.0 };
        let level = (second * tone * std::f64::consts::TAU).sin() * loud * f64::from(i16::MAX);
        wave.extend((level as i16).to_le_bytes());
    }
    wave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sound_is_a_wave_of_the_length_that_it_says() {
        let wave = wave();
        let number = |at: usize| u32::from_le_bytes(wave[at..at + 4].try_into().unwrap());
        assert_eq!((&wave[..4], &wave[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
        assert_eq!(number(4) as usize, wave.len() - 8);
        assert_eq!(number(24), RATE);
        assert_eq!(number(40) as usize, wave.len() - 44);
    }
}
