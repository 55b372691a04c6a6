//! From what the house wants of a service to an order for the page.

use std::time::Duration;

use accord_model::text::for_screen;
use accord_model::{CallError, Data, Inputs, Verb};

use crate::core::words::Order;

/// How long a page has for it. Loading what is at an address takes a television some seconds.
const WITHIN: Duration = Duration::from_secs(5);
const LOADS_WITHIN: Duration = Duration::from_secs(13);
/// Longest address, title and format that a page is told, and longest offer.
const MAX_ADDRESS: usize = 2048;
const MAX_TITLE: usize = 256;
const MAX_FORMAT: usize = 100;
const MAX_OFFER: usize = 48 * 1024;
/// What is shown as the title when none is given.
const TITLE: &str = "Accord";

/// The order, and how long the page has for it.
pub(super) fn order(service: &str, verb: Verb) -> Result<(Order, Duration), CallError> {
    let order = match verb {
        Verb::Act { action, inputs } => act(service, &action, inputs)?,
        Verb::Write { property, data } => write(service, &property, &data)?,
        Verb::Read { .. } => return Err(unsupported()),
    };
    let loads = matches!(order, Order::Open { .. } | Order::Show { .. });
    Ok((order, if loads { LOADS_WITHIN } else { WITHIN }))
}

fn act(service: &str, action: &str, mut inputs: Inputs) -> Result<Order, CallError> {
    Ok(match (service, action) {
        ("media", "play") => Order::Play,
        ("media", "pause") => Order::Pause,
        ("media", "play-pause") => Order::PlayPause,
        ("media", "stop") => Order::Stop,
        ("media", "open") => open(&mut inputs)?,
        ("screen", "show") => match inputs.remove("offer") {
            Some(Data::Text(offer)) if offer.starts_with("v=0") && offer.len() <= MAX_OFFER => Order::Show { offer },
            _ => return Err(CallError::BadInput("an offer (SDP) is wanted".to_owned())),
        },
        ("screen", "hide") => Order::Hide,
        _ => return Err(unsupported()),
    })
}

fn open(inputs: &mut Inputs) -> Result<Order, CallError> {
    let mut text = |id: &str| match inputs.remove(id) {
        Some(Data::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let (title, format) = (text("title"), text("format"));
    let (address, captions) = (text("address"), text("captions"));
    let mut seconds = |id: &str| inputs.remove(id)?.as_number().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    let (length, start) = (seconds("length"), seconds("start"));
    Ok(Order::Open {
        address: checked(address.unwrap_or_default())?,
        title: for_screen(title.as_deref().unwrap_or(TITLE), MAX_TITLE),
        format: format.filter(|format| format.len() <= MAX_FORMAT && format.is_ascii()),
        length,
        start,
        captions: captions.map(checked).transpose()?,
    })
}

fn checked(address: String) -> Result<String, CallError> {
    let scheme = ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme));
    if !scheme || address.len() > MAX_ADDRESS || !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "an address begins with http:// or https:// and holds no blanks";
        return Err(CallError::BadInput(why.to_owned()));
    }
    Ok(address)
}

fn write(service: &str, property: &str, data: &Data) -> Result<Order, CallError> {
    let bad = || CallError::BadInput("a number is wanted".to_owned());
    let number = || data.as_number().filter(|number| number.is_finite()).ok_or_else(bad);
    Ok(match (service, property) {
        ("media", "position") => Order::Seek { to: number()?.max(0.0) },
        ("media", "volume") | ("volume", "level") => Order::Volume { to: number()?.clamp(0.0, 100.0).round() as u8 },
        ("volume", "muted") => {
            let muted = data.as_bool().ok_or_else(|| CallError::BadInput("yes or no is wanted".to_owned()))?;
            Order::Mute { to: muted }
        }
        _ => return Err(unsupported()),
    })
}

pub(super) fn unsupported() -> CallError {
    CallError::Unsupported(
        "a screen with a browser plays, pauses, stops, seeks, is loud or not, and shows a screen".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(inputs: &[(&str, Data)]) -> Result<Order, CallError> {
        let inputs = inputs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
        order("media", Verb::Act { action: "open".to_owned(), inputs }).map(|(order, _)| order)
    }

    #[test]
    fn only_addresses_are_opened_and_numbers_are_sane() {
        let text = |text: &str| Data::Text(text.to_owned());
        let order =
            opened(&[("address", text("http://h/a")), ("start", Data::Float(-3.0)), ("length", Data::Float(f64::NAN))]);
        let Ok(Order::Open { title, start: None, length: None, .. }) = order else { panic!("{order:?}") };
        assert_eq!(title, "Accord");
        for address in ["", "file:///etc/passwd", "javascript:alert(1)", "http://a b", "http://a\r\nb", "http://ä"] {
            assert!(matches!(opened(&[("address", text(address))]), Err(CallError::BadInput(_))), "{address}");
        }
        let captions = opened(&[("address", text("http://h/a")), ("captions", text("data:text/vtt,WEBVTT"))]);
        assert!(matches!(captions, Err(CallError::BadInput(_))));
    }

    #[test]
    fn what_it_does_not_do_is_refused() {
        let act =
            |service: &str, action: &str| order(service, Verb::Act { action: action.into(), inputs: Inputs::new() });
        assert!(matches!(act("media", "next"), Err(CallError::Unsupported(_))));
        assert!(matches!(act("screen", "show"), Err(CallError::BadInput(_))));
        let volume = order("media", Verb::Write { property: "volume".into(), data: Data::Float(1e9) });
        assert_eq!(volume.unwrap().0, Order::Volume { to: 100 });
    }
}
