//! `http` addresses on one host near, and how references are resolved against them (RFC 3986, 5.2).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Longest address and path that is taken, in bytes.
pub const MAX: usize = 1024;

/// An address of a device: `http`, an IPv4 host by number, a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Host and port.
    pub at: SocketAddrV4,
    /// With the query; begins with `/`, and holds nothing that could end a line.
    pub path: String,
}

/// Why an address is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// Not `http`, or no address by number.
    #[error("not an http address of an IPv4 host by number")]
    Form,
    /// Longer than [`MAX`].
    #[error("an address of more than {MAX} bytes")]
    Long,
    /// It points at another host than the one that gave it.
    #[error("an address on another host than the device's own")]
    Elsewhere,
}

impl Place {
    /// Reads an absolute address.
    ///
    /// # Errors
    /// [`BadPlace`].
    pub fn parse(text: &str) -> Result<Self, BadPlace> {
        let text = checked(text)?;
        let rest = strip_scheme(text).ok_or(BadPlace::Form)?;
        let (authority, path) = split_path(rest);
        let (host, port) = match authority.split_once(':') {
            Some((host, "")) => (host, 80),
            Some((host, port)) => (host, port.parse().map_err(|_| BadPlace::Form)?),
            None => (authority, 80),
        };
        let host: Ipv4Addr = host.parse().map_err(|_| BadPlace::Form)?;
        if port == 0 {
            return Err(BadPlace::Form);
        }
        Ok(Self { at: SocketAddrV4::new(host, port), path: rooted(path) })
    }

    /// What `reference` means in a document that lies here. It must stay on this host; another port is the device's own
    /// business.
    ///
    /// # Errors
    /// [`BadPlace`].
    pub fn join(&self, reference: &str) -> Result<Self, BadPlace> {
        let reference = checked(reference)?;
        if strip_scheme(reference).is_some() {
            return self.on_this_host(Self::parse(reference)?);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return self.on_this_host(Self::parse(&format!("http://{rest}"))?);
        }
        if has_scheme(reference) {
            return Err(BadPlace::Form);
        }
        let own = self.path.split('?').next().unwrap_or("/");
        let path = match reference.as_bytes().first() {
            None => self.path.clone(),
            Some(b'/') => reference.to_owned(),
            Some(b'?') => format!("{own}{reference}"),
            Some(_) => format!("{}{reference}", &own[..=own.rfind('/').unwrap_or(0)]),
        };
        let path = without_dots(&path);
        if path.len() > MAX {
            return Err(BadPlace::Long);
        }
        Ok(Self { at: self.at, path })
    }

    fn on_this_host(&self, other: Self) -> Result<Self, BadPlace> {
        if other.at.ip() == self.at.ip() { Ok(other) } else { Err(BadPlace::Elsewhere) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.at, self.path)
    }
}

/// Without blanks around it; nothing in it may end a line of HTTP or hide where it leads.
fn checked(text: &str) -> Result<&str, BadPlace> {
    let text = text.trim();
    if text.len() > MAX {
        return Err(BadPlace::Long);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(BadPlace::Form);
    }
    Ok(text.split('#').next().unwrap_or_default())
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("http://").then_some(rest)
}

/// RFC 3986, 3.1. Televisions have paths that begin with `_urn:`, which is none.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(fits)
}

fn split_path(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { without_dots(path) } else { format!("/{path}") }
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> Result<String, BadPlace> {
        Place::parse(base).unwrap().join(reference).map(|place| place.to_string())
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_says() {
        let base = "http://10.0.0.2:49494/dir/description.xml?x=1";
        for (reference, expected) in [
            ("/upnp/control", "http://10.0.0.2:49494/upnp/control"),
            ("control?a=b", "http://10.0.0.2:49494/dir/control?a=b"),
            ("../control", "http://10.0.0.2:49494/control"),
            ("../../../x", "http://10.0.0.2:49494/x"),
            ("./a/./b/", "http://10.0.0.2:49494/dir/a/b/"),
            ("a/..", "http://10.0.0.2:49494/dir/"),
            ("?y", "http://10.0.0.2:49494/dir/description.xml?y"),
            ("", "http://10.0.0.2:49494/dir/description.xml?x=1"),
            ("HTTP://10.0.0.2/x#part", "http://10.0.0.2:80/x"),
            ("//10.0.0.2:81/x", "http://10.0.0.2:81/x"),
            ("_urn:schemas:AVTransport_control", "http://10.0.0.2:49494/dir/_urn:schemas:AVTransport_control"),
        ] {
            assert_eq!(joined(base, reference).as_deref(), Ok(expected), "{reference}");
        }
    }

    #[test]
    fn nothing_leads_to_another_host_or_breaks_a_line() {
        let base = "http://10.0.0.2:1/d";
        for other in ["http://10.0.0.3/x", "//10.0.0.3/x", "http://127.0.0.1:1/x"] {
            assert_eq!(joined(base, other), Err(BadPlace::Elsewhere), "{other}");
        }
        for bad in [
            "https://10.0.0.2/x",
            "ftp:x",
            "http://tv.local/x",
            "http://10.0.0.2@10.0.0.3/x",
            "http://10.0.0.2:0/x",
            "http://10.0.0.2:65536/x",
            "http://[::1]/x",
            "http://1/x",
            "a b",
            "a\r\nHost: x",
            "a\u{e9}",
            "\\\\10.0.0.3\\x",
        ] {
            assert_eq!(joined(base, bad), Err(BadPlace::Form), "{bad}");
        }
        assert_eq!(joined(base, &"x".repeat(MAX + 1)), Err(BadPlace::Long));
    }
}
