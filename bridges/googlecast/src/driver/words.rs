//! The house's calls as wishes.

use std::collections::BTreeMap;

use accord_model::{CallError, Data, Inputs};

use crate::core::session::Wanted;
use crate::core::words::Opened;

/// Longest address and title that a device is told.
const MAX_ADDRESS: usize = 2048;
const MAX_TITLE: usize = 256;
const MAX_FORMAT: usize = 128;
/// What a device shows as the title when none is given: never a file's name unasked.
const TITLE: &str = "Accord";

pub(crate) fn unsupported() -> CallError {
    CallError::Unsupported("Cast devices play, pause, stop, seek, show captions, and are loud or not".to_owned())
}

pub(crate) fn act(action: &str, mut inputs: Inputs) -> Result<Wanted, CallError> {
    Ok(match action {
        "play" => Wanted::Play,
        "pause" => Wanted::Pause,
        "play-pause" => Wanted::PlayPause,
        "stop" => Wanted::Stop,
        "next" => Wanted::Next,
        "previous" => Wanted::Previous,
        "open" => open(&mut inputs)?,
        _ => return Err(unsupported()),
    })
}

fn open(inputs: &mut BTreeMap<String, Data>) -> Result<Wanted, CallError> {
    let bad = |what: &str| CallError::BadInput(what.to_owned());
    let mut text = |id: &str| match inputs.remove(id) {
        Some(Data::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let address = text("address").filter(|address| is_address(address));
    let address = address.ok_or_else(|| bad("an address begins with http:// or https:// and holds no blanks"))?;
    let captions = text("captions");
    if captions.as_deref().is_some_and(|captions| !is_address(captions)) {
        return Err(bad("the address of captions begins with http:// or https:// and holds no blanks"));
    }
    if captions.as_deref().is_some_and(|captions| captions.to_ascii_lowercase().ends_with(".srt")) {
        return Err(bad("Cast devices take captions as WebVTT; convert the SRT first"));
    }
    let format = text("format");
    let plain = |format: &String| format.len() <= MAX_FORMAT && format.bytes().all(|byte| byte.is_ascii_graphic());
    if format.as_ref().is_some_and(|format| !plain(format)) {
        return Err(bad("the format is a MIME type"));
    }
    let title = text("title").unwrap_or_else(|| TITLE.to_owned());
    let live = matches!(text("seek").as_deref(), Some("none" | "time"));
    let mut seconds = |id: &str| inputs.remove(id).and_then(|data| data.as_number()).filter(|s| (0.0..1e7).contains(s));
    let (length, start) = (seconds("length").filter(|length| *length > 0.0), seconds("start"));
    let title = accord_model::text::for_screen(&title, MAX_TITLE);
    Ok(Wanted::Open(Box::new(Opened { address, title, format, live, length, start, captions })))
}

fn is_address(text: &str) -> bool {
    let scheme = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    scheme && text.len() <= MAX_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(crate) fn write(service: &str, property: &str, data: &Data) -> Result<Wanted, CallError> {
    let number = || match data.as_number() {
        Some(number) if number.is_finite() => Ok(number),
        _ => Err(CallError::BadInput("a number is wanted".to_owned())),
    };
    let truth = || data.as_bool().ok_or_else(|| CallError::BadInput("yes or no is wanted".to_owned()));
    Ok(match (service, property) {
        ("media", "position") => Wanted::Seek(number()?.clamp(0.0, 1e7)),
        ("media", "volume") | ("volume", "level") => Wanted::Volume(number()?.clamp(0.0, 100.0).round() as u8),
        ("volume", "muted") => Wanted::Muted(truth()?),
        ("media", "captions") => Wanted::Captions(truth()?),
        _ => return Err(unsupported()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(more: &[(&str, Data)]) -> Result<Opened, CallError> {
        let address = [("address", Data::from("http://10.0.0.1/a.mp4"))];
        let inputs = address.iter().chain(more).map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
        act("open", inputs).map(|wanted| match wanted {
            Wanted::Open(opened) => *opened,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn what_is_opened_is_checked_before_anybody_is_told() {
        let plain = opened(&[]).unwrap();
        assert_eq!((plain.title.as_str(), plain.live, plain.start), ("Accord", false, None));
        let all = opened(&[
            ("seek", "none".into()),
            ("start", Data::Int(12)),
            ("length", Data::Float(-1.0)),
            ("format", "video/webm".into()),
            ("captions", "http://10.0.0.1/c.vtt".into()),
            ("title", "A\u{1b}B".into()),
        ])
        .unwrap();
        assert_eq!((all.live, all.start, all.length), (true, Some(12.0), None));
        assert_eq!((all.title.as_str(), all.format.as_deref()), ("A\u{FFFD}B", Some("video/webm")));
        for bad in [
            ("address", Data::from("file:///etc/passwd")),
            ("address", format!("http://{}", "a".repeat(4000)).into()),
            ("address", "http://a b".into()),
            ("captions", "http://10.0.0.1/c.srt".into()),
            ("captions", "javascript:x".into()),
            ("format", "video/mp4\r\nX: y".into()),
        ] {
            assert!(matches!(opened(std::slice::from_ref(&bad)), Err(CallError::BadInput(_))), "{bad:?}");
        }
        assert!(matches!(act("explode", Inputs::new()), Err(CallError::Unsupported(_))));
        assert!(matches!(write("media", "position", &Data::Float(f64::NAN)), Err(CallError::BadInput(_))));
    }
}
