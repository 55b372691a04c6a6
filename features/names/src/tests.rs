use super::*;

fn interface() -> Interface {
    let own = Ipv4Addr::new(10, 66, 0, 1);
    let nets = vec![(own.into(), 24), ("fd66::1".parse().unwrap(), 64)];
    Interface { name: "eth0".into(), index: 2, v4: vec![(own, None)], v6: Vec::new(), nets, loopback: false }
}

#[test]
fn a_name_ends_in_local_whatever_its_case() {
    assert_eq!(local_part("homeassistant.local"), Some("homeassistant"));
    assert_eq!(local_part("My-NAS.lab.LOCAL."), Some("My-NAS.lab"));
    for wrong in ["", ".local", "local", "homeassistant", "homeassistant.lan", "homeassistant.local.lan", "ä.loca"] {
        assert_eq!(local_part(wrong), None, "{wrong}");
    }
}

#[test]
fn an_answer_counts_from_the_link_and_for_an_address_there() {
    let ips = |all: &[&str]| all.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
    let got = |from: &str, said: &[&str]| admitted(&interface(), from.parse().unwrap(), ips(said));
    assert_eq!(
        got("10.66.0.5:5353", &["10.66.0.5", "172.17.0.1"]),
        ips(&["10.66.0.5"]),
        "itself, where it answers from"
    );
    assert_eq!(
        got("10.66.0.9:5353", &["10.66.0.5", "fd66::5"]),
        ips(&["10.66.0.5", "fd66::5"]),
        "a responder for another"
    );
    for (from, said) in [
        ("10.66.0.5:5354", "10.66.0.5"),
        ("10.67.0.5:5353", "10.67.0.5"),
        ("10.66.0.5:5353", "203.0.113.9"),
        ("10.66.0.5:5353", "10.67.0.1"),
        ("10.66.0.5:5353", "fe80::5"),
    ] {
        assert!(got(from, &[said]).is_empty(), "{from} {said}");
    }
}
