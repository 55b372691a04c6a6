//! The port of the protocol, and who has it when we cannot.

use std::net::{IpAddr, SocketAddr};

use accord_consent::outlet::interfaces::Network;
use accord_consent::outlet::{Near, NearListener, holder};
use accord_model::why::{Holder, Transport};

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
                let who = name(holder::of(wanted, Transport::Tcp).as_ref());
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

/// In words.
fn name(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { program: Some(program), pid: Some(pid) }) => format!("`{program}` (process {pid})"),
        Some(_) => "a program of another user".to_owned(),
        None => "another program".to_owned(),
    }
}
