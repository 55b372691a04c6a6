use accord_model::why::{Body, Way};

use super::*;

fn asked(facts: Vec<Fact>) -> Vec<Obstacle> {
    let id = DeviceId::new("kdeconnect-1").unwrap();
    let now = "2026-11-25T12:00:00Z".parse().unwrap();
    let subject = Subject { device: Some("Phone"), id: Some(&id), by: None, now };
    diagnose(subject, &Explained::new("KDE Connect", Body::App, facts))
}

/// The same of something that is no app, and what speaks for it.
fn of_house(body: Body, by: Option<&str>, facts: Vec<Fact>) -> Obstacle {
    let now = "2026-11-25T12:00:00Z".parse().unwrap();
    let subject = Subject { device: Some("Lamp"), id: None, by, now };
    diagnose(subject, &Explained::new("Yeelight", body, facts)).remove(0)
}

fn codes(facts: Vec<Fact>) -> Vec<(Code, Weight)> {
    asked(facts).iter().map(|obstacle| (obstacle.code, obstacle.weight)).collect()
}

fn home() -> Fact {
    let net = |address: &str, prefix| Net { interface: "eth0".into(), address: address.parse().unwrap(), prefix };
    Fact::Networks { networks: vec![net("10.66.0.1", 24), net("fe80::1", 64)] }
}

fn seen(address: &str) -> Fact {
    Fact::LastSeen { at: Some("2026-11-25T11:48:00Z".parse().unwrap()), addresses: vec![address.parse().unwrap()] }
}

fn tried(address: &str, outcome: Outcome) -> Fact {
    Fact::Tried { address: address.parse().unwrap(), outcome }
}

fn presence(standing: Standing) -> Fact {
    let entry = EntryKey::new("kdeconnect/presence").unwrap();
    Fact::Consent { entry, to: None, standing, needed: true }
}

fn air(way: Way, heard: u64) -> Fact {
    Fact::Air { way, interface: None, sent: 3, heard, own: None, seconds: 60 }
}

const BLOCKS: Weight = Weight::Blocks;

#[test]
fn without_consent_that_is_the_reason_and_nothing_is_guessed() {
    let facts = vec![presence(Standing::Refused), home(), seen("10.66.0.2:1716")];
    assert_eq!(codes(facts.clone()), [(Code::ConsentRefused, BLOCKS)]);
    assert!(asked(facts)[0].remedy.contains("accord consent grant kdeconnect/presence`"));
}

#[test]
fn the_attempt_tells_asleep_from_closed_from_stopped() {
    for (outcome, code) in [
        (Outcome::Refused, Code::AppClosed),
        (Outcome::Mute, Code::Mute),
        (Outcome::Silent, Code::Asleep),
        (Outcome::NoHost, Code::Asleep),
        (Outcome::Failed("strange".into()), Code::Failed),
    ] {
        let facts = vec![presence(Standing::Given), home(), seen("10.66.0.2:1716"), tried("10.66.0.2:1716", outcome)];
        assert_eq!(codes(facts), [(code, BLOCKS)]);
    }
    let facts = vec![home(), seen("10.66.0.2:1716"), tried("10.66.0.2:1716", Outcome::Silent)];
    assert!(asked(facts)[0].says.contains("Phone was at 10.66.0.2, 12 min ago"), "when and where it was is said");
}

#[test]
fn an_address_of_no_present_network_is_another_network() {
    let facts = vec![home(), seen("192.168.1.7:1716"), tried("192.168.1.7:1716", Outcome::NoRoute)];
    let found = asked(facts);
    assert_eq!(found[0].code, Code::OtherNetwork);
    assert!(found[0].says.contains("192.168.1.7") && found[0].says.contains("10.66.0.1/24"), "{}", found[0].says);
    let answers = vec![home(), seen("192.168.1.7:1716"), tried("192.168.1.7:1716", Outcome::Refused)];
    assert_eq!(codes(answers), [(Code::AppClosed, BLOCKS)], "a router in between is no obstacle");
    let link_local = vec![home(), seen("[fe80::9]:1716"), tried("[fe80::9]:1716", Outcome::Silent)];
    assert_eq!(codes(link_local), [(Code::Asleep, BLOCKS)]);
}

#[test]
fn a_changed_key_goes_before_what_the_network_says() {
    let changed = Fact::KeyChanged { at: Timestamp::UNIX_EPOCH, why: "another certificate".into() };
    let found = codes(vec![home(), seen("10.66.0.2:1716"), tried("10.66.0.2:1716", Outcome::Silent), changed]);
    assert_eq!(found[0], (Code::KeyChanged, BLOCKS));
}

#[test]
fn what_is_reached_has_no_obstacle_in_the_network() {
    let connected = Fact::Connected { address: "10.66.0.2:1716".into() };
    assert_eq!(
        codes(vec![home(), air(Way::Ipv4Broadcast, 0), connected, tried("10.66.0.9:1716", Outcome::Silent)]),
        []
    );
}

#[test]
fn ways_that_carry_nothing_are_named() {
    let facts = vec![home(), air(Way::Ipv4Broadcast, 0), air(Way::Ipv6Multicast, 0)];
    let found = asked(facts);
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::NoAddress, Code::NothingHeard]);
    assert!(found[1].says.contains("IPv4 broadcast and IPv6 multicast"), "{}", found[1].says);
    let facts = vec![home(), air(Way::Ipv4Broadcast, 5), air(Way::Ipv6Multicast, 0)];
    let found = asked(facts);
    assert!(found[1].says.contains("by IPv4 broadcast, but not by IPv6 multicast"), "{}", found[1].says);
    let early = Fact::Air { way: Way::Ipv4Broadcast, interface: None, sent: 1, heard: 0, own: None, seconds: 3 };
    assert_eq!(codes(vec![home(), early]), [(Code::NoAddress, BLOCKS)], "too early to say");
}

/// What was heard on an interface, and what came back of what this machine said.
fn on(interface: &str, heard: u64, own: u64) -> Fact {
    let (way, interface) = (Way::Ipv4Multicast, Some(interface.to_owned()));
    Fact::Air { way, interface, sent: 3, heard, own: Some(own), seconds: 60 }
}

#[test]
fn the_interface_is_named_on_which_nobody_is_heard_and_this_machines_own_firewall_is_told_from_the_network() {
    let of = |facts: &[Fact]| {
        let facts = [home()].into_iter().chain(facts.iter().cloned()).collect();
        let found = asked(facts).into_iter().filter(|one| one.code != Code::NoAddress);
        found.map(|one| (one.code, one.says)).collect::<Vec<_>>()
    };
    assert_eq!(of(&[on("eth0", 4, 3), on("eth1", 1, 3)]), []);
    let found = of(&[on("eth0", 4, 3), on("eth1", 0, 3)]);
    let [(Code::PartlyHeard, says)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(says, "Others are heard on eth0, and nobody on eth1.");
    let found = of(&[on("eth0", 0, 3), on("eth1", 0, 3)]);
    let [(Code::NothingHeard, says)] = &found[..] else { panic!("{found:?}") };
    assert!(says.contains("by IPv4 multicast on eth0 and eth1, and in 60 s nothing"), "{says}");
    let found = of(&[on("eth0", 0, 0)]);
    let [(Code::NothingHeard, says)] = &found[..] else { panic!("{found:?}") };
    assert!(says.starts_with("On eth0 not even") && says.contains("firewall of this machine"), "{says}");
    let found = of(&[on("eth0", 4, 3), on("eth1", 0, 0)]);
    let [(Code::NothingHeard, shut)] = &found[..] else { panic!("{found:?}") };
    assert!(shut.starts_with("On eth1 not even"), "{shut}");
}

#[test]
fn what_lacks_ipv6_is_named_and_blocks_where_there_is_none_at_all() {
    let lacks =
        |names: &[&str], all| Fact::NoIpv6 { interfaces: names.iter().map(|name| (*name).into()).collect(), all };
    let here = |facts: Vec<Fact>| {
        let subject = Subject { device: None, id: None, by: None, now: Timestamp::UNIX_EPOCH };
        diagnose(subject, &Explained::new("Matter", Body::Appliance, facts))
    };
    let found = here(vec![home(), lacks(&["eth0", "eth1"], true)]);
    assert_eq!((found.len(), found[0].code, found[0].weight), (1, Code::NoIpv6, BLOCKS));
    assert!(found[0].says.contains("no IPv6 address (eth0 and eth1 have none)"), "{}", found[0].says);
    let found = here(vec![home(), lacks(&["eth1"], false)]);
    assert_eq!((found.len(), found[0].code, found[0].weight), (1, Code::NoIpv6, Weight::Hinders));
    assert!(found[0].says.starts_with("eth1 of this machine has no IPv6 address"), "{}", found[0].says);
    assert!(found[0].remedy.contains("conf/eth1/disable_ipv6"), "{}", found[0].remedy);
}

#[test]
fn who_is_announced_where_no_way_leads_is_told_what_is_missing_there() {
    let stray = |lacks, at: &str| Fact::Stray { interface: "eth0".into(), addresses: vec![at.parse().unwrap()], lacks };
    for (lacks, at, code, weight, says) in [
        (Lack::Ipv6, "fe80::7", Code::NoIpv6, BLOCKS, "at fe80::7, and eth0 of this machine has no IPv6"),
        (Lack::Router, "fd11::5", Code::NoRoute, BLOCKS, "no way there from a router near"),
        (Lack::Network, "10.9.0.2", Code::OtherNetwork, BLOCKS, "in another network (10.66.0.1/24)"),
        (Lack::Relayed, "10.9.0.2", Code::OtherNetwork, Weight::Hinders, "carries announcements over"),
    ] {
        let last = Fact::LastSeen { at: None, addresses: Vec::new() };
        let found = asked(vec![home(), last, stray(lacks, at)]);
        let one = found.iter().find(|one| one.code == code).unwrap();
        assert!(one.weight == weight && one.says.contains(says), "{one:?}");
        // It is heard: that it is not would be wrong.
        assert_eq!(found.iter().any(|one| one.code == Code::NoAddress), lacks == Lack::Relayed, "{found:?}");
    }
    let answers = vec![home(), stray(Lack::Relayed, "10.9.0.2"), tried("10.66.0.2:5540", Outcome::Answered)];
    assert_eq!(codes(answers), []);
}

#[test]
fn what_is_being_done_just_now_is_no_failure() {
    let under_way = Fact::UnderWay { what: "added".into() };
    let found = asked(vec![home(), seen("10.66.0.2:5540"), under_way]);
    assert_eq!((found.len(), found[0].code), (1, Code::UnderWay));
    assert_eq!(found[0].says, "Phone is being added just now.");
}

#[test]
fn a_taken_port_names_its_holder_and_blocks_only_when_there_is_no_other() {
    let holder = Some(Holder { program: Some("kdeconnectd".into()), pid: Some(7) });
    let taken = |instead| Fact::PortTaken { port: 1716, transport: Transport::Tcp, holder: holder.clone(), instead };
    let found = asked(vec![home(), taken(None)]);
    assert_eq!((found[0].code, found[0].weight), (Code::PortTaken, BLOCKS));
    assert!(found[0].says.starts_with("TCP port 1716 is taken by `kdeconnectd` (process 7)"));
    assert_eq!(asked(vec![home(), taken(Some(1717))])[1].weight, Weight::Hinders);
}

#[test]
fn what_is_switched_off_there_comes_before_that_nothing_listens() {
    let off = Fact::SwitchedOff { what: "LAN control".into(), remedy: "Switch it on.".into() };
    let found = asked(vec![home(), seen("10.66.0.2:55443"), tried("10.66.0.2:55443", Outcome::Refused), off]);
    assert_eq!((found[0].code, found[0].weight), (Code::SwitchedOff, BLOCKS));
    assert_eq!(found[0].says, "Phone is on, and LAN control is off on it.");
    assert_eq!((found[0].remedy.as_str(), found[1].code), ("Switch it on.", Code::AppClosed));
}

#[test]
fn who_was_not_added_is_told_why_and_what_has_to_be_done_first() {
    let not = Fact::NotAdded { why: "nobody vouches for its maker.".into(), remedy: "Trust its maker.".into() };
    let found = asked(vec![home(), seen("10.66.0.2:5540"), tried("10.66.0.2:5540", Outcome::Refused), not]);
    assert_eq!((found[0].code, found[0].weight), (Code::NotAdded, BLOCKS));
    assert_eq!(found[0].says, "Phone answers, and was not added: nobody vouches for its maker.");
    assert_eq!(found[0].remedy, "Trust its maker.");
}

#[test]
fn what_a_device_does_not_say_though_it_answers_is_told() {
    let what = Fact::Withholds { what: "`light.level`: it failed inside (-4004)".into(), remedy: "Wait.".into() };
    let found = asked(vec![home(), seen("10.66.0.2:54321"), tried("10.66.0.2:54321", Outcome::Answered), what]);
    assert_eq!((found.len(), found[0].code, found[0].weight), (1, Code::Withholds, Weight::Hinders));
    assert_eq!(found[0].says, "Phone answers, and does not say `light.level`: it failed inside (-4004).");
}

#[test]
fn who_was_removed_while_away_is_waited_for() {
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let until = now + std::time::Duration::from_secs(5 * 86_400 + 60);
    let found = asked(vec![home(), seen("10.66.0.2:5540"), Fact::Leaving { until }]);
    assert_eq!((found[0].code, found[0].weight), (Code::Leaving, BLOCKS));
    assert!(found[0].says.contains("You removed Phone") && found[0].says.contains("5 days"), "{found:?}");
}

#[test]
fn a_wrong_secret_is_told_from_a_device_that_sleeps() {
    let wrong = Fact::SecretWrong { what: "token".into(), remedy: "Give its new one.".into() };
    let found = asked(vec![home(), seen("10.66.0.2:54321"), tried("10.66.0.2:54321", Outcome::Mute), wrong]);
    assert_eq!((found[0].code, found[0].weight), (Code::SecretWrong, BLOCKS));
    assert!(found[0].says.contains("token that you gave") && found[0].remedy == "Give its new one.", "{found:?}");
}

#[test]
fn what_devices_say_is_escaped() {
    let odd = Fact::TurnedAway { at: Timestamp::UNIX_EPOCH, why: "\u{1b}[2Jbye".into() };
    assert!(!asked(vec![home(), odd])[0].says.contains('\u{1b}'));
}

#[test]
fn what_its_server_does_not_reach_is_not_reached_though_the_server_is() {
    let facts = vec![home(), seen("10.66.0.2:8123"), tried("10.66.0.2:8123", Outcome::Answered)];
    assert!(is_reached(&facts));
    let away: Vec<Fact> = facts.into_iter().chain([Fact::AwayThere { by: "My House".into() }]).collect();
    assert!(!is_reached(&away));
    let found = asked(away);
    assert_eq!((found.len(), found[0].code, found[0].weight), (1, Code::AwayThere, BLOCKS));
    assert_eq!(found[0].says, "My House is reached, and does not reach Phone itself.");
}

#[test]
fn an_open_connection_says_nothing_once_what_was_asked_over_it_came_to_nothing() {
    let at = "2026-11-25T11:57:00Z".parse().unwrap();
    let connected = Fact::Connected { address: "10.66.0.2:55443".into() };
    let hangs = |outcome| vec![home(), seen("10.66.0.2:55443"), connected.clone(), tried("10.66.0.2:55443", outcome)];
    assert!(is_reached(&hangs(Outcome::Answered)));
    let mut facts = hangs(Outcome::Mute);
    facts.push(Fact::LastAnswered { at });
    assert!(!is_reached(&facts));
    let found = of_house(Body::Appliance, None, facts);
    assert_eq!((found.code, found.weight), (Code::Mute, BLOCKS));
    assert!(found.says.starts_with("Lamp is there, at 10.66.0.2:55443, and does not answer"), "{}", found.says);
    assert!(found.says.ends_with("It answered last 3 min ago."), "{}", found.says);
    assert!(found.remedy.contains("power away for ten seconds"), "{}", found.remedy);
    assert!(of_house(Body::Appliance, None, hangs(Outcome::Mute)).says.ends_with("It was seen last 12 min ago."));
}

#[test]
fn nobody_is_told_to_open_an_app_on_a_lamp_or_to_wake_a_server() {
    for (body, words) in [(Body::Appliance, "at the wall"), (Body::Server, "Turn its machine on")] {
        for outcome in
            [Outcome::Refused, Outcome::Mute, Outcome::Silent, Outcome::NoHost, Outcome::Failed("strange".into())]
        {
            let silent = matches!(outcome, Outcome::Silent | Outcome::NoHost);
            let found = of_house(body, None, vec![home(), seen("10.66.0.2:1"), tried("10.66.0.2:1", outcome)]);
            assert!(!found.remedy.contains("open Yeelight") && !found.remedy.contains("Wake it"), "{found:?}");
            assert!(!silent || found.remedy.contains(words), "{found:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_who_speaks_for_it_is_said_of_that_one() {
    let mute = vec![home(), seen("10.66.0.2:8123"), tried("10.66.0.2:8123", Outcome::Silent)];
    let found = of_house(Body::Server, Some("My House"), mute.clone());
    assert!(
        found.says.starts_with("Lamp is reached by way of My House. My House was at 10.66.0.2, 12 min ago"),
        "{found:?}"
    );
    // What a server that hangs said of the lamp is old.
    let old = mute.into_iter().chain([Fact::AwayThere { by: "My House".into() }]).collect();
    assert_eq!(of_house(Body::Server, Some("My House"), old).code, Code::Asleep);
}
