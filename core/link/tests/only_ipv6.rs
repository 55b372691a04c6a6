//! Networks without IPv4: with routable addresses, and with link-local ones only. Each test runs itself again in a
//! network namespace that has nothing else; where the system allows none, it says so and passes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stderr)]

mod common;

use std::net::SocketAddr;
use std::process::Command;

use accord_consent::RecipientId;
use accord_link::PairingStep;
use common::{Home, connected, until};

const INSIDE: &str = "ACCORD_TEST_INSIDE";

/// True inside the namespace, where `test` goes on.
fn inside(test: &str, addresses: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!(
        "set -e; ip link set lo up; ip addr del 127.0.0.1/8 dev lo; ip link add net0 type veth peer name net1; \
         ip link set net1 addrgenmode none; ip link set net1 up; ip link set net0 up; {addresses} sleep 2; exec \"$0\" --exact {test} --include-ignored --nocapture"
    );
    let program = std::env::current_exe().unwrap();
    let namespace = Command::new("unshare").args(["-rn", "true"]).status();
    if !namespace.is_ok_and(|status| status.success()) {
        eprintln!("no network namespace can be made here: not tested");
        return false;
    }
    let mut run = Command::new("unshare");
    run.args(["-rn", "sh", "-c", &script]).arg(program).env(INSIDE, "1").env("ACCORD_TEST_ALL", "1");
    assert!(run.status().unwrap().success(), "{test} in a network of its own");
    false
}

fn two() -> (tempfile::TempDir, tempfile::TempDir, Home, Home) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (Home::start(one.path(), "Anna", None), Home::start(two.path(), "Ben", None));
    for home in [&a, &b] {
        home.grant("link/pairing", &RecipientId::lan());
        home.grant("link/discovery", &RecipientId::lan());
    }
    (one, two, a, b)
}

fn agree(a: &Home, b: &Home, out: &accord_link::PairingId) {
    let code = a.code(out);
    let inward = b.incoming();
    assert_eq!(inward.step, PairingStep::Compare(Some(code)));
    a.run(a.link.confirm_pairing(out, None)).unwrap();
    b.run(b.link.confirm_pairing(&inward.id, None)).unwrap();
    let (b_at_a, a_at_b) = (a.done(out), b.done(&inward.id));
    a.grant("link/connection", &RecipientId::device(&b_at_a));
    b.grant("link/connection", &RecipientId::device(&a_at_b));
    connected(a, &b_at_a);
    connected(b, &a_at_b);
    let path: SocketAddr = a.device(&b_at_a).path.unwrap().address.parse().unwrap();
    assert!(path.is_ipv6(), "{path}");
    a.echo(&b_at_a, "over IPv6").unwrap();
    let (speed, carrier) = a.push(&b_at_a, 8 << 20);
    eprintln!("{carrier}, {speed:.0} MiB/s");
}

#[test]
fn devices_pair_by_address_where_there_is_no_ipv4() {
    if !inside("devices_pair_by_address_where_there_is_no_ipv4", "ip addr add fd00:7::1/64 dev net0 nodad;") {
        return;
    }
    let (_x, _y, a, b) = two();
    let address = until(10, "an address", || b.link.status().addresses.first().copied());
    assert!(address.is_ipv6(), "{address}");
    until(10, "a open for pairing", || a.link.status().pairing.then_some(()));
    let out = a.run(a.link.pair_address(address)).unwrap();
    agree(&a, &b, &out);
}

#[test]
#[ignore = "iroh 1.4 answers a link-local address without its scope, and the system refuses that"]
fn devices_find_each_other_where_addresses_are_link_local_only() {
    if !inside("devices_find_each_other_where_addresses_are_link_local_only", "") {
        return;
    }
    let (_x, _y, a, b) = two();
    let seen = until(20, "b near a, open for pairing", || {
        let mut near = a.link.devices().into_iter();
        near.find(|device| device.name == "Ben" && device.addresses.iter().any(|address| address.port() != 0))
    });
    assert!(
        seen.addresses.iter().all(|address| matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0)),
        "{seen:?}"
    );
    until(10, "b listed at its own screen", || b.link.status().pairing.then_some(()));
    let out = until(10, "a pairing", || a.run(a.link.pair_device(&seen.id)).ok());
    agree(&a, &b, &out);
}
