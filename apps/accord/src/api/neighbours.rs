//! Which user of this machine a connection from this machine belongs to. A setup link can be seen by every user while the
//! browser is started with it; so only the hub's own user may trade it in from here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether a connection comes from another user of this machine. What comes from another machine does not.
pub fn is_of_another_user(peer: SocketAddr, local: SocketAddr) -> bool {
    if !peer.ip().is_loopback() && peer.ip() != local.ip() {
        return false;
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let uid = tables.iter().find_map(|table| owner(table, peer, local));
    !uid.is_some_and(|uid| uid == 0 || uid == rustix::process::getuid().as_raw())
}

/// The user of the socket `peer` → `local`, from a table of the kernel (proc_pid_net(5)).
fn owner(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let ends = (canonical(peer), canonical(local));
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let socket = (address(words.next()?)?, address(words.next()?)?);
        if socket == ends { words.nth(4)?.parse().ok() } else { None }
    })
}

fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

/// `0100007F:1F90`: the address as words in the machine's byte order, and the port.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some((ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_owner_of_a_socket_is_read_from_the_kernels_tables() {
        let (peer, local) = ("127.0.0.1:40000".parse().unwrap(), "127.0.0.1:8420".parse().unwrap());
        let row = "   1: 0100007F:9C40 0100007F:20E4 01 00000000:00000000 00:00000000 00000000  1001        0 5 1\n";
        let other = "   0: 0100007F:20E4 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4 1\n";
        assert_eq!(owner(&format!("{HEAD}{other}{row}"), peer, local), Some(1001));
        assert_eq!(owner(&format!("{HEAD}{other}"), peer, local), None);
        let mapped = row.replace("0100007F:", "0000000000000000FFFF00000100007F:");
        assert_eq!(owner(&format!("{HEAD}{mapped}"), peer, local), Some(1001));
        assert_eq!(owner("garbage\n 1: x y\n 2: 01:02 03:04\n", peer, local), None);
    }

    #[test]
    fn another_machine_is_no_user_of_this_one() {
        assert!(!is_of_another_user("192.168.1.9:5".parse().unwrap(), "192.168.1.5:8443".parse().unwrap()));
        assert!(is_of_another_user("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()), "no such socket");
    }
}
