//! This session's clipboard, by the desktop's own tools: `wl-copy` and `wl-paste` (wl-clipboard) on Wayland, `xclip` on
//! X11. Which one, the environment says.

mod run;
mod wayland;
mod x11;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::api::ClipboardError;
use crate::content::{Content, Kind, MAX_IMAGE, MAX_TEXT};

/// Types by which programs say that what they copied is secret.
const SECRET: [&str; 5] = [
    "x-kde-passwordManagerHint",
    "application/x-nspasteboard-concealed-type",
    "org.nspasteboard.ConcealedType",
    "ExcludeClipboardContentFromMonitorProcessing",
    "Clipboard Viewer Ignore",
];

/// One session's clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Wayland,
    X11,
}

/// A clipboard: this session's, or one that a test plays.
#[async_trait]
pub(crate) trait Board: Send + Sync + 'static {
    /// What is in it.
    async fn read(&self) -> Result<Content, ClipboardError>;
    /// Puts something into it.
    async fn write(&self, content: &Content) -> Result<(), ClipboardError>;
    /// Tells each change, and perhaps how it is at first, until the receiver is dropped or the session ends.
    fn watch(&self) -> mpsc::Receiver<Change>;
}

/// The clipboard was changed, as far as the tool can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Something was copied.
    Copied,
    /// Something secret was copied, or the clipboard was cleared.
    Nothing,
}

impl Tool {
    /// The one for this session.
    pub fn find() -> Result<Self, ClipboardError> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self::for_session(is_set("WAYLAND_DISPLAY"), is_set("DISPLAY"), is_installed)
    }

    fn for_session(wayland: bool, x11: bool, is_there: impl Fn(&str) -> bool) -> Result<Self, ClipboardError> {
        let has_wl = is_there("wl-copy") && is_there("wl-paste");
        let why = match (wayland, x11) {
            (true, _) if has_wl => return Ok(Self::Wayland),
            // Xwayland carries the clipboard over as well.
            (_, true) if is_there("xclip") => return Ok(Self::X11),
            (true, _) => "the clipboard of this Wayland session needs wl-copy and wl-paste: install `wl-clipboard`",
            (false, true) => "the clipboard of this X11 session needs `xclip`: install it",
            (false, false) => "the hub runs outside a desktop session (neither WAYLAND_DISPLAY nor DISPLAY is set)",
        };
        Err(ClipboardError::NoTool(why.to_owned()))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Wayland => "wl-clipboard",
            Self::X11 => "xclip",
        }
    }
}

#[async_trait]
impl Board for Tool {
    async fn read(&self) -> Result<Content, ClipboardError> {
        let types = match self {
            Self::Wayland => wayland::types().await?,
            Self::X11 => x11::types().await?,
        };
        let (kind, name) = best(&types)?;
        let limit = match kind {
            Kind::Text => MAX_TEXT,
            Kind::Image => MAX_IMAGE,
        };
        let bytes = match self {
            Self::Wayland => wayland::read(name, limit).await?,
            Self::X11 => x11::read(name, limit).await?,
        };
        if bytes.is_empty() {
            return Err(ClipboardError::Empty);
        }
        Content::of(kind, bytes).map_err(ClipboardError::BadContent)
    }

    async fn write(&self, content: &Content) -> Result<(), ClipboardError> {
        match self {
            Self::Wayland => wayland::write(content).await,
            Self::X11 => x11::write(content).await,
        }
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        let (tell, told) = mpsc::channel(4);
        let tool = *self;
        tokio::spawn(async move {
            let outcome = match tool {
                Self::Wayland => wayland::watch(tell).await,
                Self::X11 => x11::watch(tell).await,
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "the clipboard cannot be followed");
            }
        });
        told
    }
}

/// The best of the types that the clipboard offers.
fn best(types: &[String]) -> Result<(Kind, &str), ClipboardError> {
    if types.is_empty() {
        return Err(ClipboardError::Empty);
    }
    let is_secret = |name: &String| SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name.trim()));
    if types.iter().any(is_secret) {
        return Err(ClipboardError::Secret);
    }
    let find = |wanted: &[&str]| {
        wanted.iter().find_map(|wanted| types.iter().find(|name| name.trim().eq_ignore_ascii_case(wanted)))
    };
    let text = find(&["text/plain;charset=utf-8", "UTF8_STRING", "text/plain", "STRING", "TEXT"]);
    let image = find(&["image/png"]);
    // Copied files offer their paths as text; those mean nothing elsewhere.
    let files = find(&["text/uri-list", "x-special/gnome-copied-files", "application/vnd.portal.filetransfer"]);
    match (text, image, files) {
        (_, Some(image), _) => Ok((Kind::Image, image)),
        (Some(text), None, None) => Ok((Kind::Text, text)),
        _ => Err(ClipboardError::Other),
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(types: &[&str]) -> Result<(Kind, String), ClipboardError> {
        let types: Vec<String> = types.iter().map(|name| (*name).to_owned()).collect();
        best(&types).map(|(kind, name)| (kind, name.to_owned()))
    }

    #[test]
    fn what_a_password_manager_copied_is_secret_whatever_else_it_offers() {
        for mark in SECRET {
            assert!(matches!(offered(&["text/plain", mark]), Err(ClipboardError::Secret)), "{mark}");
        }
        let lower = offered(&["TARGETS", "UTF8_STRING", "x-kde-passwordmanagerhint"]);
        assert!(matches!(lower, Err(ClipboardError::Secret)));
    }

    #[test]
    fn pictures_go_before_their_texts_and_files_are_neither() {
        assert_eq!(offered(&["TARGETS", "text/html", "UTF8_STRING"]).unwrap(), (Kind::Text, "UTF8_STRING".to_owned()));
        assert_eq!(offered(&["text/plain", "image/png"]).unwrap().0, Kind::Image);
        assert!(matches!(offered(&["text/uri-list", "text/plain"]), Err(ClipboardError::Other)));
        assert!(matches!(offered(&["image/svg+xml"]), Err(ClipboardError::Other)));
        assert!(matches!(offered(&[]), Err(ClipboardError::Empty)));
    }

    #[test]
    fn a_session_without_its_tool_says_which_one_to_install() {
        let find = |wayland, x11, there: &[&str]| {
            let there: Vec<String> = there.iter().map(|name| (*name).to_owned()).collect();
            Tool::for_session(wayland, x11, move |name| there.iter().any(|known| known == name))
        };
        assert_eq!(find(true, true, &["wl-copy", "wl-paste", "xclip"]).unwrap(), Tool::Wayland);
        assert_eq!(find(true, true, &["xclip"]).unwrap(), Tool::X11);
        assert_eq!(find(false, true, &["wl-copy", "wl-paste", "xclip"]).unwrap(), Tool::X11);
        for (outcome, word) in [
            (find(true, false, &["xclip"]), "wl-clipboard"),
            (find(false, true, &["wl-copy", "wl-paste"]), "xclip"),
            (find(false, false, &["xclip"]), "outside"),
        ] {
            assert!(outcome.unwrap_err().to_string().contains(word), "{word}");
        }
    }
}
