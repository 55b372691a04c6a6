//! Calls to services and their answers (SOAP; UPnP Device Architecture 1.1, chapter 3), and the times they hold.

use std::collections::BTreeMap;

use accord_model::text::for_screen;

use super::xml::{Element, escaped, parse};

/// Most arguments of an answer.
const MAX_ARGUMENTS: usize = 64;
/// Longer times are none: some devices say 2147483647 for "unknown".
const MAX_SECONDS: f64 = 1e6;

/// What an answer says, by argument.
pub type Arguments = BTreeMap<String, String>;

/// The device refuses, or does not answer as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// With a code of UPnP (3.2.2, and the service templates).
    #[error("{}", said(*.code, .text))]
    Refused {
        /// The code.
        code: u32,
        /// The device's own words.
        text: String,
    },
    /// Otherwise.
    #[error("the device's answer cannot be read (status {status})")]
    Form {
        /// The status of HTTP.
        status: u16,
    },
}

/// The transition is not possible now (AVTransport:1, 2.4).
pub const NOT_NOW: u32 = 701;
/// The device is locked (the same).
pub const LOCKED: u32 = 705;

fn said(code: u32, text: &str) -> String {
    let known = match code {
        401 => "the device does not know this action",
        402 | 600..=603 => "the device does not take these values",
        501 => "the action failed on the device",
        NOT_NOW => "the device cannot do this in its present state",
        702 | 703 => "there is nothing to play, or it cannot be read",
        704 | 714 => "the device does not play this format",
        LOCKED => "the device is locked; stop it there first",
        710 | 711 => "the device cannot go to this place",
        715 => "the device is busy",
        716 => "the device did not find the address, or cannot reach it",
        717 => "the device does not play at this speed",
        _ => "the device refuses",
    };
    if text.is_empty() { format!("{known} ({code})") } else { format!("{known} ({code}: {text})") }
}

/// The body of a call. Arguments in the order of the service's description.
pub fn call(service: &str, action: &str, arguments: &[(&str, &str)]) -> String {
    let arguments: String =
        arguments.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escaped(value))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n\
         <s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
         <u:{action} xmlns:u=\"{service}\">{arguments}</u:{action}></s:Body></s:Envelope>\r\n"
    )
}

/// What `action` was answered.
///
/// # Errors
/// [`Fault`].
pub fn answer(action: &str, status: u16, body: &[u8]) -> Result<Arguments, Fault> {
    let form = || Fault::Form { status };
    let root = parse(body).map_err(|_| form())?;
    if let Some(fault) = root.all().find(|element| element.name == "UPnPError") {
        return Err(refused(fault).ok_or_else(form)?);
    }
    let wanted = format!("{action}Response");
    let answer = root.all().find(|element| element.name == wanted).filter(|_| status == 200).ok_or_else(form)?;
    Ok(answer.children.iter().take(MAX_ARGUMENTS).map(|one| (one.name.clone(), one.text.clone())).collect())
}

fn refused(fault: &Element) -> Option<Fault> {
    let code = fault.text_of("errorCode")?.parse().ok()?;
    Some(Fault::Refused { code, text: for_screen(fault.text_of("errorDescription").unwrap_or_default(), 80) })
}

/// Seconds of `H:MM:SS`, `H:MM:SS.F` or `H:MM:SS.F0/F1` (AVTransport:1, 2.2.13). Devices also say nothing,
/// `NOT_IMPLEMENTED`, or numbers that mean they do not know.
pub fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let mut parts = text.splitn(3, ':');
    let (hours, minutes, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = |text: &str| {
        let digits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten().map(f64::from)
    };
    let (seconds, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let fraction = match fraction.split_once('/') {
        Some((part, of)) => whole(part)? / whole(of).filter(|of| *of > 0.0)?,
        None if fraction.is_empty() => 0.0,
        None => {
            let digits = fraction.get(..fraction.len().min(6))?;
            whole(digits)? / 10f64.powi(i32::try_from(digits.len()).ok()?)
        }
    };
    let (minutes, seconds) = (whole(minutes)?, whole(seconds)?);
    let total = whole(hours)? * 3600.0 + minutes * 60.0 + seconds + fraction;
    (minutes < 60.0 && seconds < 60.0 && fraction < 1.0 && total <= MAX_SECONDS).then_some(total)
}

/// `H:MM:SS`, which every device takes.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, MAX_SECONDS) as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Entry for fuzzing: any bytes as the answer of a device.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut reading = super::http::Reading::new(64 * 1024);
    let (step, bytes) = bytes.split_first().map_or((1, bytes), |(step, bytes)| (usize::from(*step) + 1, bytes));
    for piece in bytes.chunks(step) {
        match reading.bytes(piece) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let _ = answer("GetPositionInfo", found.status, &found.body);
                break;
            }
            Err(_) => break,
        }
    }
    let _ = reading.end();
    if let Ok(arguments) = answer("GetPositionInfo", 200, bytes) {
        for text in arguments.values() {
            assert!(seconds(text).is_none_or(|seconds| (0.0..=MAX_SECONDS).contains(&seconds)));
            let _ = super::didl::track(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_escaped_and_an_answer_read() {
        let body = call("urn:x:1", "SetAVTransportURI", &[("InstanceID", "0"), ("CurrentURI", "http://a/?b&c<\"")]);
        assert!(body.contains("<u:SetAVTransportURI xmlns:u=\"urn:x:1\"><InstanceID>0</InstanceID><CurrentURI>http://a/?b&amp;c&lt;\"</CurrentURI>"));
        let root = parse(body.as_bytes()).unwrap();
        assert_eq!(root.all().find(|one| one.name == "CurrentURI").unwrap().text, "http://a/?b&c<\"");
        let said = b"<s:Envelope xmlns:s='x'><s:Body><u:GetVolumeResponse xmlns:u='y'><CurrentVolume>7</CurrentVolume></u:GetVolumeResponse></s:Body></s:Envelope>";
        assert_eq!(answer("GetVolume", 200, said).unwrap()["CurrentVolume"], "7");
        assert_eq!(answer("GetMute", 200, said), Err(Fault::Form { status: 200 }), "an answer to something else");
        assert_eq!(answer("GetVolume", 500, said), Err(Fault::Form { status: 500 }));
        let fault = b"<e><Body><Fault><detail><UPnPError><errorCode>701</errorCode><errorDescription>Transition\x1b[31m</errorDescription></UPnPError></detail></Fault></Body></e>";
        let fault = answer("Play", 500, fault).unwrap_err();
        assert!(matches!(&fault, Fault::Refused { code: NOT_NOW, .. }), "{fault:?}");
        assert!(!fault.to_string().contains('\u{1b}'), "{fault}");
        for bad in [
            &b""[..],
            b"<html>404</html>",
            b"<!DOCTYPE x><x/>",
            b"<e><UPnPError><errorCode>-1</errorCode></UPnPError></e>",
        ] {
            assert_eq!(answer("Play", 404, bad), Err(Fault::Form { status: 404 }));
        }
    }

    #[test]
    fn times_are_read_as_devices_write_them() {
        for (text, expected) in [
            ("0:00:05", Some(5.0)),
            ("00:01:05", Some(65.0)),
            ("1:00:00.5", Some(3600.5)),
            ("0:00:05.048", Some(5.048)),
            ("0:00:01.1/4", Some(1.25)),
            ("0:00:00.123456789", Some(0.123456)),
            ("", None),
            ("NOT_IMPLEMENTED", None),
            ("2147483647", None),
            ("596523:14:07", None),
            ("0:60:00", None),
            ("-0:00:05", None),
            ("0:00:01.1/0", None),
            ("0:00:01.\u{e9}\u{e9}\u{e9}\u{e9}", None),
            ("0:0", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        assert_eq!([clock(3725.9), clock(-3.0), clock(f64::NAN)], ["1:02:05", "0:00:00", "0:00:00"]);
    }
}
