//! The port of the protocol, and who has it when we cannot.

use std::net::{IpAddr, SocketAddr};

use accord_consent::outlet::interfaces::Network;
use accord_consent::outlet::{Near, NearListener};

/// Listeners, and why they are not where they should be.
pub(crate) struct Door {
    pub listeners: Vec<NearListener>,
    /// The port that is announced.
    pub port: u16,
    /// Who has the port that was wanted.
    pub trouble: Option<String>,
}

impl Door {
    /// At `wanted` if it is free, else at any port.
    pub(crate) fn open(near: &Near, network: Network, wanted: u16) -> Result<Self, String> {
        let [v4, v6]: [IpAddr; 2] = match network {
            Network::All => [[0, 0, 0, 0].into(), std::net::Ipv6Addr::UNSPECIFIED.into()],
            Network::Loopback => [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
        };
        let (first, trouble) = match near.listen(SocketAddr::new(v4, wanted)) {
            Ok(listener) => (listener, None),
            Err(error) if wanted == 0 => return Err(error.to_string()),
            Err(error) => {
                let holder = holder(wanted);
                let who = holder.as_deref().unwrap_or("another program");
                let trouble = format!(
                    "port {wanted} is taken by {who} ({error}); LocalSend devices still find this one by its \
                     announcements, but not those that only look at that port. Quit that program, or its LocalSend server"
                );
                (near.listen(SocketAddr::new(v4, 0)).map_err(|error| error.to_string())?, Some(trouble))
            }
        };
        let port = first.local_addr().map_err(|error| error.to_string())?.port();
        let mut listeners = vec![first];
        // Where there is no IPv6, or another has the port there, IPv4 is enough.
        listeners.extend(near.listen(SocketAddr::new(v6, port)).ok());
        Ok(Self { listeners, port, trouble })
    }
}

/// The program of this user that listens on `port`, in words.
fn holder(port: u16) -> Option<String> {
    let socket = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listening(table, port))?;
    let wanted = format!("socket:[{socket}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(id) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(open) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let has = |file: std::fs::DirEntry| {
            std::fs::read_link(file.path()).is_ok_and(|link| link.to_string_lossy() == wanted)
        };
        if open.flatten().any(has) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let name = accord_model::text::for_screen(name.trim(), 40);
            return Some(format!("`{name}` (process {id})"));
        }
    }
    Some("a program of another user".to_owned())
}

/// The inode of the socket that listens there, from one of the kernel's tables.
fn listening(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let text = std::fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = words.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local, 16) == Ok(port) && words.get(3) == Some(&LISTEN);
        is_it.then(|| words.get(9).map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_program_that_has_a_port_is_named() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let taken = accord_consent::outlet::local::web_listener(any).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let holder = holder(port).unwrap();
        assert!(holder.contains(&format!("(process {})", std::process::id())), "{holder}");
        drop(taken);
        assert_eq!(super::holder(port), None);
    }
}
