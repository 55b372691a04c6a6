//! The messages of `org.freedesktop.Notifications`, read and written.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use zbus::{Message, OwnedVariant, Variant};

use super::{LocalNote, OURS, Popup, Why};
use crate::note::{MAX_ICON, Note};

/// A `Notify` with more than this is a picture with a few words; it is not read.
const MAX_BODY: usize = 4 << 20;

/// Arguments of `Notify`.
type Arguments = (String, u32, String, String, String, Vec<String>, HashMap<String, OwnedVariant>, i32);

/// The same, as we say them.
type ForPopup = (String, u32, &'static str, String, String, Vec<String>, HashMap<&'static str, Variant<'static>>, i32);

/// One `Notify` call.
pub(super) struct Notify {
    pub note: LocalNote,
    /// The number of the notification that this one changes; 0 for none.
    pub replaces: u32,
    /// Milliseconds; 0 for never, below 0 for what the server likes.
    pub expires: i32,
}

/// Reads a `Notify` call. `None` for what is none of an app's: popups of hubs, volume bars, broken ones.
pub(super) fn notify(message: &Message, can_act: bool, can_reply: bool) -> Option<Notify> {
    let body = message.body();
    if body.len() > MAX_BODY {
        tracing::debug!(bytes = body.len(), "a notification is too large to be mirrored");
        return None;
    }
    let (app, replaces, icon, title, text, actions, hints, expires): Arguments = body.deserialize().ok()?;
    let hint = |name: &str| hints.get(name).map(|hint| &**hint);
    // Bars for volume and brightness replace each other many times a second.
    if hint(OURS).is_some() || hint("x-canonical-private-synchronous").is_some() {
        return None;
    }
    let text_of = |name: &str| match hint(name) {
        Some(Variant::Str(text)) if !text.as_str().is_empty() => Some(text.as_str().to_owned()),
        _ => None,
    };
    let urgency = match hint("urgency") {
        Some(Variant::U8(urgency)) => *urgency,
        _ => 1,
    };
    let mut note = Note {
        app: if app.trim().is_empty() { text_of("desktop-entry").unwrap_or_else(|| "An app".into()) } else { app },
        title,
        body: plain(&text),
        icon: text_of("image-path").or_else(|| text_of("image_path")).and_then(|at| png(&at)).or_else(|| png(&icon)),
        silent: urgency == 0 || hint("suppress-sound") == Some(&Variant::Bool(true)),
        urgent: urgency >= 2,
        ..Note::default()
    };
    let mut keys = Vec::new();
    for pair in actions.chunks_exact(2) {
        match pair[0].as_str() {
            "default" => {}
            "inline-reply" => note.reply = can_reply,
            _ if can_act => {
                keys.push(pair[0].clone());
                note.actions.push(pair[1].clone());
            }
            _ => {}
        }
    }
    let kept = note.actions.iter().map(|label| !label.trim().is_empty());
    let mut kept = kept.collect::<Vec<_>>().into_iter();
    keys.retain(|_| kept.next().unwrap_or_default());
    let note = note.bounded();
    keys.truncate(note.actions.len());
    let origin = text_of("x-kde-origin-name");
    Some(Notify { note: LocalNote { note, keys, origin }, replaces, expires })
}

/// `NotificationClosed`: the number, and why.
pub(super) fn closed(message: &Message) -> Option<(u32, Why)> {
    let (local, reason): (u32, u32) = message.body().deserialize().ok()?;
    let why = match reason {
        1 => Why::Expired,
        2 => Why::Dismissed,
        _ => Why::TakenBack,
    };
    Some((local, why))
}

/// `ActionInvoked` or `NotificationReplied`: the number, and which action or what text.
pub(super) fn with_text(message: &Message) -> Option<(u32, String)> {
    message.body().deserialize().ok()
}

/// Arguments of `Notify` for a popup of ours.
pub(super) fn arguments(popup: &Popup, markup: bool) -> ForPopup {
    let mut actions: Vec<String> = popup.actions.iter().flat_map(|(key, label)| [key.clone(), label.clone()]).collect();
    if popup.reply {
        actions.extend(["inline-reply".to_owned(), "Reply".to_owned()]);
    }
    let mut hints = HashMap::from([(OURS, Variant::Bool(true)), ("urgency", Variant::U8(1))]);
    if popup.silent {
        hints.insert("suppress-sound", Variant::Bool(true));
    }
    let body = if markup { markup_escaped(&popup.body) } else { popup.body.clone() };
    let replaces = popup.replaces.unwrap_or_default();
    (popup.app.clone(), replaces, "phone", popup.title.clone(), body, actions, hints, -1)
}

/// The specification allows markup in the body: names from outside must not be any.
pub(super) fn markup_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A body without the specification's markup (`<b> <i> <u> <a> <img>`), its entities read.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(['<', '&']) {
        let (before, tail) = rest.split_at(place);
        out.push_str(before);
        let (taken, read) = tag(tail).map(|taken| (taken, "")).or_else(|| entity(tail)).unwrap_or((1, &tail[..1]));
        out.push_str(read);
        rest = &tail[taken..];
    }
    out.push_str(rest);
    out
}

fn tag(text: &str) -> Option<usize> {
    let end = text.strip_prefix('<')?.find(['>', '<']).filter(|end| text.as_bytes()[end + 1] == b'>')?;
    let name = text[1..=end].trim_start_matches('/').split([' ', '/']).next()?;
    ["b", "i", "u", "a", "img", "br"].contains(&name).then_some(end + 2)
}

fn entity(text: &str) -> Option<(usize, &'static str)> {
    [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'")]
        .into_iter()
        .find(|(entity, _)| text.starts_with(entity))
        .map(|(entity, read)| (entity.len(), read))
}

/// A small PNG that the app names by its file.
fn png(at: &str) -> Option<Vec<u8>> {
    let path = Path::new(at.strip_prefix("file://").unwrap_or(at));
    if !path.is_absolute() || path.extension().is_none_or(|end| !end.eq_ignore_ascii_case("png")) {
        return None;
    }
    // A pipe or a device would not end.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_ICON as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= MAX_ICON).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_plain_text_and_other_signs_stay() {
        for (body, read) in [
            ("<b>Mira</b>: a &lt;3 &amp; b", "Mira: a <3 & b"),
            ("<a href=\"https://x.example/?a=1\">link</a>", "link"),
            ("if a < b and c > d", "if a < b and c > d"),
            ("<script>x</script> & <", "<script>x</script> & <"),
            ("<i", "<i"),
        ] {
            assert_eq!(plain(body), read);
        }
        assert_eq!(plain(&markup_escaped("<b>x</b> & y")), "<b>x</b> & y");
    }

    fn call(actions: &[&str], hints: HashMap<&str, Variant<'_>>) -> Message {
        let body = ("Chat", 7u32, "", "Mira", "Lunch?", actions, hints, -1i32);
        Message::method_call(super::super::PATH, "Notify").build(&body).unwrap()
    }

    #[test]
    fn what_apps_say_is_read_and_what_hubs_show_is_not() {
        let actions = ["default", "Open", "yes", "Yes", "blank", " ", "no", "No", "inline-reply", "Reply"];
        let read = notify(&call(&actions, HashMap::new()), true, true).unwrap();
        assert_eq!(read.note.keys, ["yes", "no"]);
        assert_eq!(read.note.note.actions, ["Yes", "No"]);
        assert!(read.note.note.reply && read.replaces == 7);
        let nothing = notify(&call(&actions, HashMap::new()), false, false).unwrap();
        assert!(nothing.note.note.actions.is_empty() && !nothing.note.note.reply);
        let ours = HashMap::from([(OURS, Variant::Bool(true))]);
        assert!(notify(&call(&[], ours), true, true).is_none());
        let bar = HashMap::from([("x-canonical-private-synchronous", Variant::new("volume"))]);
        assert!(notify(&call(&[], bar), true, true).is_none());
        let urgent = HashMap::from([("urgency", Variant::U8(2)), ("x-kde-origin-name", Variant::new("Pixel"))]);
        let read = notify(&call(&[], urgent), true, true).unwrap();
        assert!(read.note.note.urgent && read.note.origin.as_deref() == Some("Pixel"));
    }

    #[test]
    fn a_picture_is_a_small_png_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.png");
        std::fs::write(&file, b"\x89PNG\r\n\x1a\n1").unwrap();
        assert!(png(&format!("file://{}", file.display())).is_some());
        std::fs::write(&file, vec![0; MAX_ICON + 1]).unwrap();
        assert!(png(&file.display().to_string()).is_none());
        assert!(png("/dev/zero").is_none() && png("dialog-information").is_none());
    }
}
