//! Which program has a port that we cannot get, as far as the system tells. Looking sends nothing.

use accord_model::text::for_screen;
use accord_model::why::{Holder, Transport};

/// The program that has `port`; of another user's nothing is known but that it is there. `None`: nobody, or the system
/// does not tell.
pub fn of(port: u16, transport: Transport) -> Option<Holder> {
    let tables = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let sockets: Vec<String> = tables.iter().flat_map(|table| inodes(table, port, transport)).collect();
    if sockets.is_empty() {
        return None;
    }
    let own = std::process::id();
    let mut is_ours = false;
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(open) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let has = |file: std::fs::DirEntry| {
            let link = std::fs::read_link(file.path()).unwrap_or_default();
            sockets.iter().any(|inode| link.to_string_lossy() == format!("socket:[{inode}]"))
        };
        if !open.flatten().any(has) {
            continue;
        }
        if pid == own {
            is_ours = true;
            continue;
        }
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        return Some(Holder { program: Some(for_screen(name.trim(), 40)), pid: Some(pid) });
    }
    // What we could not find among the processes that we may look into is another user's, unless it is ours.
    (!is_ours).then(Holder::default)
}

/// The sockets bound to the port, from one of the kernel's tables (proc(5)).
fn inodes(table: &str, port: u16, transport: Transport) -> Vec<String> {
    const LISTEN: &str = "0A";
    let text = std::fs::read_to_string(table).unwrap_or_default();
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = words.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local, 16) == Ok(port)
            && (transport == Transport::Udp || words.get(3) == Some(&LISTEN));
        is_it.then(|| words.get(9).map(|inode| (*inode).to_owned()))?
    };
    text.lines().skip(1).filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_own_socket_is_nobody_elses() {
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let taken = crate::outlet::local::web_listener(any).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let listening = || inodes("/proc/net/tcp", port, Transport::Tcp);
        let ours = listening();
        assert_eq!(ours.len(), 1);
        assert_eq!(of(port, Transport::Tcp), None);
        drop(taken);
        // A child that another test is just starting holds a copy of it until it runs its own program, and the port may
        // be somebody else's already: what is asked is only that this very socket goes.
        let gone = async {
            while listening().contains(&ours[0]) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.expect("the closed socket goes");
    }
}
