//! Events of a device's services (GENA; UPnP Device Architecture 1.1, chapter 4): asking for them, and reading what comes.
//! The `LastChange` that AVTransport and RenderingControl tell (AVTransport:1, 2.3.1) is a document inside a document.

use std::time::Duration;

use accord_http::{BodyReader, HttpError, header, read_request};

use super::http::Answer;
use super::place::Place;
use super::xml::{XmlError, parse};

/// How long a subscription is asked for; the device has the last word.
const WANTED: Duration = Duration::from_secs(1800);
/// What devices may grant. Shorter ones would have us renew all the time.
const GRANTED: std::ops::RangeInclusive<u64> = 60..=86_400;
/// Largest event. The first of a renderer is some KiB.
pub const MAX_EVENT: usize = 128 * 1024;
/// Longest name of a subscription.
const MAX_SID: usize = 256;
/// Most changes of one event.
const MAX_CHANGES: usize = 128;

/// Which service tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Teller {
    /// What plays.
    Transport,
    /// How loud it is.
    Rendering,
}

impl Teller {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Transport, Self::Rendering];

    /// What its callback ends with.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Transport => "/1",
            Self::Rendering => "/2",
        }
    }
}

/// The name of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sid(String);

impl Sid {
    /// Reads one. It is written back into headers.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= MAX_SID && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

/// Asks for events, to be told at `callback` (4.1.2). It says nothing of this machine but that address.
pub fn subscribe(place: &Place, callback: &str) -> Vec<u8> {
    ask("SUBSCRIBE", place, &format!("CALLBACK: <{callback}>\r\nNT: upnp:event\r\n{}", lasts()))
}

/// Asks for more of the same (4.1.3).
pub fn renew(place: &Place, sid: &Sid) -> Vec<u8> {
    ask("SUBSCRIBE", place, &format!("SID: {}\r\n{}", sid.0, lasts()))
}

/// Asks for no more (4.1.4).
pub fn unsubscribe(place: &Place, sid: &Sid) -> Vec<u8> {
    ask("UNSUBSCRIBE", place, &format!("SID: {}\r\n", sid.0))
}

fn lasts() -> String {
    format!("TIMEOUT: Second-{}\r\n", WANTED.as_secs())
}

fn ask(method: &str, place: &Place, headers: &str) -> Vec<u8> {
    format!("{method} {} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n", place.path, place.at).into_bytes()
}

/// What an answer grants: the subscription, and for how long. `None`: nothing.
pub fn granted(answer: &Answer) -> Option<(Sid, Duration)> {
    let [sid, lasts] = &answer.subscribed;
    let sid = Sid::parse(sid.as_deref()?).filter(|_| answer.status == 200)?;
    let said = lasts.as_deref().and_then(|text| {
        let (word, seconds) = text.trim().split_once('-')?;
        seconds.parse::<u64>().ok().filter(|_| word.eq_ignore_ascii_case("Second"))
    });
    // Some grant for ever: they are asked again all the same, since they forget when they are switched off.
    let seconds = said.unwrap_or(WANTED.as_secs()).clamp(*GRANTED.start(), *GRANTED.end());
    Some((sid, Duration::from_secs(seconds)))
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Of which subscription it says that it is.
    pub sid: Sid,
    /// Its number: 0 is the whole state.
    pub number: u32,
    /// What changed.
    pub changes: Vec<Change>,
}

/// A variable that changed, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Change {
    pub name: String,
    pub value: String,
}

/// Reads the one request of a connection to a callback.
#[derive(Debug, Default)]
pub struct Reading {
    bytes: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct Head {
    path: String,
    sid: Result<(Sid, u32), u16>,
    reader: BodyReader,
}

impl Reading {
    /// More bytes came. The path that was asked for and the event, once it is whole.
    ///
    /// # Errors
    /// The status that refuses it (4.3.2).
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<Option<(String, Notice)>, u16> {
        self.bytes.extend_from_slice(bytes);
        if self.head.is_none() {
            let Some((head, length)) = read_request(&self.bytes).map_err(HttpError::status)? else { return Ok(None) };
            if !self.bytes.trim_ascii_start().starts_with(b"NOTIFY ") {
                return Err(405);
            }
            let sid = about(&self.bytes[..length]);
            self.bytes.drain(..length);
            self.head = Some(Head { path: head.path, sid, reader: BodyReader::new(head.length) });
        }
        let Some(Head { path, sid, reader }) = &mut self.head else { return Ok(None) };
        let taken = std::mem::take(&mut self.bytes);
        let mut rest = taken.as_slice();
        while let Some(piece) = reader.next(&mut rest).map_err(HttpError::status)? {
            if self.body.len() + piece.len() > MAX_EVENT {
                return Err(413);
            }
            self.body.extend_from_slice(piece);
        }
        if !reader.is_done() {
            return Ok(None);
        }
        let (sid, number) = sid.clone()?;
        let changes = changes(&self.body).map_err(|_| 400u16)?;
        Ok(Some((path.clone(), Notice { sid, number, changes })))
    }
}

/// What the head of an event says of it.
fn about(head: &[u8]) -> Result<(Sid, u32), u16> {
    let is = |name: &str, wanted: &str| header(head, name).ok_or(400u16).map(|said| said.eq_ignore_ascii_case(wanted));
    if !is("NT", "upnp:event")? || !is("NTS", "upnp:propchange")? {
        return Err(412);
    }
    let sid = header(head, "SID").and_then(|text| Sid::parse(&text)).ok_or(412u16)?;
    let number = header(head, "SEQ").and_then(|text| text.parse().ok()).ok_or(400u16)?;
    Ok((sid, number))
}

/// What changed, of the first instance and of all channels together.
///
/// # Errors
/// [`XmlError`] of the outer or the inner document.
pub fn changes(body: &[u8]) -> Result<Vec<Change>, XmlError> {
    let root = parse(body)?;
    let told = root.all().filter(|element| element.name == "LastChange" && !element.text.is_empty());
    let mut changes = Vec::new();
    for text in told.map(|element| element.text.as_str()) {
        let event = parse(text.as_bytes())?;
        let first = event.all().find(|element| element.name == "InstanceID");
        let first = first.filter(|instance| instance.attribute("val").is_none_or(|val| val.trim() == "0"));
        for element in first.into_iter().flat_map(|instance| &instance.children) {
            let of_all = element.attribute("channel").is_none_or(|channel| channel.eq_ignore_ascii_case("master"));
            if let Some(value) = element.attribute("val").filter(|_| of_all && changes.len() < MAX_CHANGES) {
                changes.push(Change { name: element.name.clone(), value: value.to_owned() });
            }
        }
    }
    Ok(changes)
}

/// Entry for fuzzing: any bytes as what comes to a callback, in portions.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let (step, bytes) = bytes.split_first().map_or((1, bytes), |(step, bytes)| (usize::from(*step) + 1, bytes));
    let mut reading = Reading::default();
    for piece in bytes.chunks(step) {
        match reading.bytes(piece) {
            Ok(None) => assert!(reading.body.len() <= MAX_EVENT),
            Ok(Some((path, notice))) => {
                assert!(path.starts_with('/') && notice.changes.len() <= MAX_CHANGES);
                return;
            }
            Err(status) => return assert!((400..=500).contains(&status)),
        }
    }
    let _ = changes(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::didl;
    use super::super::xml::escaped;
    use super::*;

    fn body(changes: &str) -> String {
        let event = format!(
            "<Event xmlns='urn:schemas-upnp-org:metadata-1-0/AVT/'><InstanceID val='0'>{changes}</InstanceID></Event>"
        );
        format!(
            "<e:propertyset xmlns:e='urn:schemas-upnp-org:event-1-0'><e:property><LastChange>{}</LastChange></e:property></e:propertyset>",
            escaped(&event)
        )
    }

    fn notify(headers: &str, body: &str) -> Result<Option<(String, Notice)>, u16> {
        let request =
            format!("NOTIFY /secret/1 HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        let mut reading = Reading::default();
        for piece in request.as_bytes().chunks(7) {
            if let Some(read) = reading.bytes(piece)? {
                return Ok(Some(read));
            }
        }
        Ok(None)
    }

    const GOOD: &str = "NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: uuid:1\r\nSEQ: 0\r\n";

    #[test]
    fn what_is_escaped_three_times_is_read() {
        let item = didl::Item { title: "a & <b>".into(), ..didl::Item::at("http://10.0.0.1/x?a&b") };
        let didl = didl::document(&item, didl::Ways::default()).replace('"', "&quot;");
        let changes = format!(
            "<TransportState val=\"PLAYING\"/><CurrentTrackMetaData val=\"{}\"/><Volume channel='LF' val='1'/>\
             <Volume Channel='x' channel='Master' val='30'/>",
            escaped(&didl).replace("&amp;quot;", "&quot;")
        );
        let (path, notice) = notify(GOOD, &body(&changes)).unwrap().unwrap();
        assert_eq!((path.as_str(), notice.number, notice.sid), ("/secret/1", 0, Sid("uuid:1".into())));
        let names: Vec<&str> = notice.changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["TransportState", "CurrentTrackMetaData", "Volume"]);
        assert_eq!(notice.changes[2].value, "30");
        assert_eq!(didl::track(&notice.changes[1].value).title.as_deref(), Some("a & <b>"));
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_status_for_it() {
        let one = body("<TransportState val='PLAYING'/>");
        for (headers, body, status) in [
            (GOOD.replace("upnp:event", "other"), one.as_str(), 412),
            (GOOD.replace("NTS", "X"), one.as_str(), 400),
            (GOOD.replace("SID: uuid:1", "SID: "), one.as_str(), 412),
            (GOOD.replace("SEQ: 0", "SEQ: -1"), one.as_str(), 400),
            (GOOD.replace("SEQ: 0", "SEQ: 99999999999"), one.as_str(), 400),
            (GOOD.to_owned(), "<propertyset>", 400),
            (GOOD.to_owned(), "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", 400),
            (GOOD.to_owned(), &"x".repeat(MAX_EVENT + 1), 413),
        ] {
            assert_eq!(notify(&headers, body), Err(status), "{headers}");
        }
        assert_eq!(Reading::default().bytes(b"GET /secret/1 HTTP/1.1\r\n\r\n"), Err(405));
        assert_eq!(Reading::default().bytes(&[b'x'; 20_000]), Err(431));
        let others = body("").replace("InstanceID val='0'", "InstanceID val='7'");
        assert_eq!(changes(others.as_bytes()), Ok(Vec::new()));
        let many = body(&"<A val='1'/>".repeat(4000));
        assert_eq!(changes(many.as_bytes()).unwrap().len(), MAX_CHANGES);
        let bomb = body("").replace("&lt;InstanceID", "&lt;!DOCTYPE a&gt;&lt;InstanceID");
        assert!(changes(bomb.as_bytes()).is_err());
    }

    #[test]
    fn subscriptions_are_held_in_and_cannot_break_a_line() {
        let answer = |status, sid: &str, lasts: &str| {
            let subscribed = [Some(sid.to_owned()), Some(lasts.to_owned()).filter(|text| !text.is_empty())];
            granted(&Answer { status, subscribed, ..Answer::default() }).map(|(sid, lasts)| (sid.0, lasts.as_secs()))
        };
        let sid = || "uuid:1".to_owned();
        for (said, held) in
            [("Second-300", 300), ("second-1", 60), ("Second-infinite", 1800), ("", 1800), ("Second-9999999", 86_400)]
        {
            assert_eq!(answer(200, " uuid:1 ", said), Some((sid(), held)), "{said}");
        }
        for bad in ["", "a b", "a\r\nX: y", &"a".repeat(MAX_SID + 1)] {
            assert_eq!(answer(200, bad, ""), None, "{bad}");
        }
        assert_eq!(answer(412, "uuid:1", ""), None);
        let place = Place::parse("http://10.0.0.2:80/e").unwrap();
        let asked = String::from_utf8(subscribe(&place, "http://10.0.0.1:5/p/1")).unwrap();
        assert!(asked.starts_with("SUBSCRIBE /e HTTP/1.1\r\nHost: 10.0.0.2:80\r\nCALLBACK: <http://10.0.0.1:5/p/1>\r\nNT: upnp:event\r\nTIMEOUT: Second-"));
    }
}
