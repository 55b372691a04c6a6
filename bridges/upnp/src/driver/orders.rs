//! What the house wants of a device, checked and passed on to its hand, or to a job that looks into a media server.

use std::collections::BTreeMap;
use std::time::Duration;

use accord_model::text::for_screen;
use accord_model::{CallError, CallId, Data, DeviceId, Inputs, Verb};
use accord_recognition::{Captions, Quirks};

use super::hand::Order;
use super::mind::Mind;
use super::shelf;
use crate::core::didl::{Item, Seek, Ways};
use crate::core::renderer::{Manner, Wanted};

/// Longest address and title that a renderer is told, and longest name of a format.
const MAX_ADDRESS: usize = 2048;
const MAX_TITLE: usize = 256;
const MAX_FORMAT: usize = 100;
/// Longest media, in seconds.
const MAX_LENGTH: f64 = 1e6;
/// What a renderer shows as the title when none is given: never a file's name unasked.
const TITLE: &str = "Accord";
/// Longest that a renderer is left alone before it is to play, in seconds: whoever waits for that waits no longer than 15.
const LONGEST_REST_S: u8 = 5;

impl Mind {
    pub(super) fn order(
        &mut self,
        call: CallId,
        device: &DeviceId,
        service: &str,
        verb: Verb,
    ) -> Result<(), CallError> {
        let known = self.devices.get(device);
        let known = known.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        let name = for_screen(&known.name, 64);
        if !self.devices.is_added(device) {
            return Err(CallError::NotConsented(format!("add {name} first: accord pair")));
        }
        if self.near.is_none() {
            let why = "looking for devices by UPnP is off: agree to upnp/search first";
            return Err(CallError::NotConsented(why.to_owned()));
        }
        let away = || CallError::Unreachable(format!("{name} is away; is it switched on?"));
        if known.is_server() {
            let Verb::Act { action, inputs } = verb else { return Err(unsupported()) };
            if service != "storage" {
                return Err(unsupported());
            }
            let wanted = shelf::Wanted::read(&action, &inputs)?;
            let server = known.server().ok_or_else(away)?.clone();
            let job = self.shelves.begin(call, &self.law, device, server, &self.outbox)?;
            self.hands.accompany(job.run(call, wanted));
            return Ok(());
        }
        let hand = self.hands.get(device).ok_or_else(away)?;
        let wanted = match verb {
            Verb::Read { properties } => {
                self.reads.insert(call, (device.clone(), service.to_owned(), properties));
                Wanted::Look
            }
            Verb::Act { action, inputs } if service == "media" => {
                let quirks = || self.recogniser.recognise(&known.told()).quirks;
                act(&action, inputs, || manner(&quirks()))?
            }
            Verb::Write { property, data } => write(service, &property, &data)?,
            Verb::Act { .. } => return Err(unsupported()),
        };
        let busy = || CallError::Unreachable(format!("{name} has not done yet what was wanted before"));
        hand.try_send(Order::Wanted(call, wanted)).map_err(|_| busy())
    }
}

fn act(action: &str, mut inputs: Inputs, manner: impl FnOnce() -> Manner) -> Result<Wanted, CallError> {
    Ok(match action {
        "play" => Wanted::Play,
        "pause" => Wanted::Pause,
        "play-pause" => Wanted::PlayPause,
        "stop" => Wanted::Stop,
        "next" => Wanted::Next,
        "previous" => Wanted::Previous,
        "open" => open(&mut inputs, manner())?,
        "enqueue" => match open(&mut inputs, manner())? {
            Wanted::Open { item, manner, .. } => Wanted::Enqueue { item, manner },
            _ => return Err(unsupported()),
        },
        _ => return Err(unsupported()),
    })
}

fn open(inputs: &mut BTreeMap<String, Data>, manner: Manner) -> Result<Wanted, CallError> {
    let bad = |what: &str| CallError::BadInput(what.to_owned());
    let no_address = || bad("an address begins with http:// or https:// and holds no blanks");
    let mut text = |id: &str| match inputs.remove(id) {
        Some(Data::Text(text)) => Some(text),
        _ => None,
    };
    let address = text("address").filter(|text| is_address(text)).ok_or_else(no_address)?;
    let captions = text("captions").filter(|text| !text.is_empty());
    if captions.as_deref().is_some_and(|text| !is_address(text)) {
        return Err(no_address());
    }
    let title = text("title").filter(|title| !title.is_empty()).unwrap_or_else(|| TITLE.to_owned());
    let format = text("format").filter(|format| !format.is_empty());
    let is_format = |text: &String| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_".contains(&byte);
        text.len() <= MAX_FORMAT && text.contains('/') && text.bytes().all(fits)
    };
    if format.as_ref().is_some_and(|format| !is_format(format)) {
        return Err(bad("a format is a MIME type such as video/mp4"));
    }
    let seek = match text("seek").as_deref() {
        None | Some("") => None,
        Some("bytes") => Some(Seek::Bytes),
        Some("time") => Some(Seek::Time),
        Some("none") => Some(Seek::None),
        Some(_) => return Err(bad("`seek` is `bytes`, `time` or `none`")),
    };
    let mut seconds = |id: &str| match inputs.remove(id).as_ref().and_then(Data::as_number) {
        Some(seconds) if !(0.0..=MAX_LENGTH).contains(&seconds) => {
            Err(bad("a length or start is in seconds from 0 on"))
        }
        seconds => Ok(seconds.filter(|seconds| *seconds > 0.0)),
    };
    let (length, start) = (seconds("length")?, seconds("start")?);
    let item = Item { address, title: for_screen(&title, MAX_TITLE), format, seek, length, captions };
    Ok(Wanted::Open { item: Box::new(item), start, manner })
}

/// What the make of a renderer needs, as far as it is recognised.
fn manner(quirks: &Quirks) -> Manner {
    let none = Ways { samsung: false, resource: false, panasonic: false };
    let captions = match quirks.captions {
        Captions::Unknown => Ways::default(),
        Captions::Samsung => Ways { samsung: true, ..none },
        Captions::SecondRes => Ways { resource: true, ..none },
        Captions::Panasonic => Ways { panasonic: true, ..none },
        Captions::BurnIn => none,
    };
    let Quirks { stop_first, clear_next, metadata, settle_s, .. } = *quirks;
    let rest = Duration::from_secs(settle_s.min(LONGEST_REST_S).into());
    Manner { captions, stop_first, clear_next, metadata, rest }
}

fn is_address(text: &str) -> bool {
    let scheme = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    scheme && text.len() <= MAX_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn write(service: &str, property: &str, data: &Data) -> Result<Wanted, CallError> {
    let number = || data.as_number().ok_or_else(|| CallError::BadInput("a number is wanted".to_owned()));
    Ok(match (service, property) {
        ("media", "position") => Wanted::Seek(number()?),
        ("media", "volume") | ("volume", "level") => Wanted::Volume(number()?.clamp(0.0, 100.0).round() as u8),
        ("volume", "muted") => {
            let muted = data.as_bool().ok_or_else(|| CallError::BadInput("yes or no is wanted".to_owned()))?;
            Wanted::Muted(muted)
        }
        _ => return Err(unsupported()),
    })
}

pub(super) fn unsupported() -> CallError {
    CallError::Unsupported(
        "renderers play, pause, stop, seek, and are loud or not; media servers show their files".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_make_is_told_of_captions_in_its_own_way() {
        assert_eq!(manner(&Quirks::default()), Manner::default());
        let of = |captions| manner(&Quirks { captions, settle_s: 200, ..Quirks::default() });
        let samsung = of(Captions::Samsung);
        assert_eq!(samsung.captions, Ways { samsung: true, resource: false, panasonic: false });
        assert_eq!(samsung.rest, Duration::from_secs(5), "never longer than one waits for it");
        assert!(of(Captions::SecondRes).captions.resource && !of(Captions::BurnIn).captions.resource);
    }
}
