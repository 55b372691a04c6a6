//! An address in the web that a receiver is to fetch from itself. It gets the address as it is; nobody here asks there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What fits into the controls of most receivers.
const LONGEST: usize = 2048;
/// The longest name of a host (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;

/// Domains below which routers and mDNS know the machines of a home: RFC 6762, RFC 8375, and what makers of routers use.
const HOME_DOMAINS: &[&str] = &[
    "local",
    "home.arpa",
    "internal",
    "lan",
    "home",
    "localdomain",
    "private",
    "intranet",
    "box",
    "fritz.box",
    "speedport.ip",
    "router",
    "gateway",
    "station",
    "attlocal.net",
    "bbrouter",
    "modem",
    "mynetwork",
];

/// Whether a receiver may be told this address, and why not.
///
/// Nothing is resolved. What can be known without asking anybody is refused: an address that leads the receiver back to
/// this machine (it would fetch whatever answers here, without the rules under which a file is served), or to itself, and
/// names that say the same.
///
/// # Errors
/// In words.
pub(crate) fn check(address: &str, own: &[IpAddr], own_name: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("this is no address that a receiver can be told: {why}"));
    if address.len() > LONGEST {
        return bad("it is too long");
    }
    // What is outside of RFC 3986, 2 could end a line in what the receiver is told.
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if !address.bytes().all(fits) {
        return bad("it holds characters that an address cannot hold");
    }
    let Some((scheme, rest)) = address.split_once("://") else { return bad("it does not begin with http://") };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return bad("only http and https are passed on");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.contains('@') {
        return bad("it holds a name or a password");
    }
    let (host, port) = match authority.strip_prefix('[').map(|inner| inner.split_once(']')) {
        Some(Some((inner, port))) => (inner, port),
        Some(None) => return bad("its host does not end"),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if !port.is_empty() && port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0)
    {
        return bad("its port is none");
    }
    if authority.starts_with('[') {
        let Ok(ip) = host.parse::<Ipv6Addr>() else { return bad("its host is none") };
        return reachable(ip.to_canonical(), own);
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return reachable(ip.into(), own);
    }
    named(host, own_name)
}

fn reachable(ip: IpAddr, own: &[IpAddr]) -> Result<(), String> {
    let nowhere = match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.octets()[0] == 0 || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast(),
    };
    if nowhere {
        return Err(format!("a receiver reaches nobody at {ip}, or itself"));
    }
    if own.iter().any(|one| one.to_canonical() == ip) {
        return Err(format!("{ip} is this machine: cast the file itself, so that only that receiver gets it"));
    }
    Ok(())
}

fn named(host: &str, own_name: &str) -> Result<(), String> {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        let edge = label.starts_with('-') || label.ends_with('-');
        let known = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        !label.is_empty() && label.len() <= 63 && !edge && known
    };
    if name.len() > LONGEST_NAME || !name.split('.').all(label) {
        return Err("its host is none; write names in other scripts as xn--…".to_owned());
    }
    // `127.1`, `0x7f000001`, `2130706433`: numbers that some read as addresses (WHATWG URL, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its host is a number that is no usual address".to_owned());
    }
    let own_name = own_name.trim_end_matches('.').to_ascii_lowercase();
    let first = own_name.split('.').next().unwrap_or_default();
    let itself = name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain";
    // Routers answer for this machine's name below a domain of their own.
    let of_router = |domain: &str| HOME_DOMAINS.contains(&domain);
    let below = |first: &str| name.strip_prefix(first).and_then(|rest| rest.strip_prefix('.')).is_some_and(of_router);
    let ours = !first.is_empty() && (name == own_name || name == first || below(first));
    if itself || ours {
        return Err(format!("{name} leads back to this machine or to the receiver itself; cast the file itself"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(address: &str) -> bool {
        check(address, &["192.168.1.2".parse().unwrap(), "fd00::2".parse().unwrap()], "Desk.home").is_ok()
    }

    #[test]
    fn only_addresses_of_others_are_passed_on() {
        for good in [
            "http://example.org/film.mp4",
            "HTTPS://example.org:8443/a?b=c#d",
            "http://192.168.1.5:8200/MediaItems/22.mp3",
            "http://[fd00::5]/x.flac",
            "https://xn--bcher-kva.example/%C3%BC.mp4",
            "http://nas.local/x",
            "http://desktop.home/x",
            "http://nas.fritz.box/x",
            "http://desk.example.org/x",
        ] {
            assert!(fits(good), "{good}");
        }
        for bad in [
            "",
            "film.mp4",
            "ftp://example.org/x",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://user:pass@example.org/",
            "http://example.org@127.0.0.1/",
            "http://localhost/x",
            "http://a.localhost:8420/",
            "http://127.0.0.1:8420/api",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0x7f000001/",
            "http://0.0.0.0/",
            "http://0.1.2.3/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:192.168.1.2]/",
            "http://[fe80::1]/",
            "http://[fe80::1%25eth0]/",
            "http://169.254.1.1/",
            "http://192.168.1.2:9000/x",
            "http://[fd00::2]/x",
            "http://desk/x",
            "http://DESK.local./x",
            "http://desk.home/x",
            "http://desk.fritz.box/x",
            "http://Desk.home.arpa./x",
            "http://desk.lan:8000/x",
            "http://exa mple.org/",
            "http://example.org/\r\nX: y",
            "http://example.org/\u{202e}x",
            "http://example.org/<x>",
            "http://example.org:0/",
            "http://example.org:99999/",
            "http://[::1/",
            "http://-a.org/",
            "http://a..b/",
        ] {
            assert!(!fits(bad), "{bad}");
        }
        assert!(!fits(&format!("http://example.org/{}", "a".repeat(3000))));
    }
}
