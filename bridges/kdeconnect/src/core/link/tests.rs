use std::net::IpAddr;
use std::sync::LazyLock;

use accord_model::{FieldCode, FieldSet, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::core::identity::DeviceType;
use crate::core::packet::{Battery, Body, Clipboard, Ping, SmsConversations};
use crate::core::pairing::Command;
use crate::core::time::Now;
use crate::core::tls::{Expect, Tls};

fn now() -> Now {
    Now { instant: Instant::now(), wall: Timestamp::from_second(1_750_000_000).unwrap() }
}

/// Two devices and a second certificate for the first one's id.
static CERTIFICATES: LazyLock<[OwnCertificate; 3]> =
    LazyLock::new(|| [0xaa, 0xbb, 0xaa].map(|seed| OwnCertificate::generate(&id(seed), now().wall).unwrap()));

fn id(seed: u8) -> KdeId {
    KdeId::from_bytes([seed; 16])
}
fn own(which: usize, version: Version) -> Arc<Own> {
    let certificate = CERTIFICATES[which].clone();
    let identity = OwnIdentity {
        id: certificate.id().clone(),
        name: format!("device {which}"),
        kind: DeviceType::Laptop,
        incoming: ["kdeconnect.ping".to_owned()].into(),
        outgoing: ["kdeconnect.battery".to_owned()].into(),
        version,
    };
    Arc::new(Own::new(identity, certificate).unwrap())
}
fn announced(own: &Own, shown: Shown) -> Identity {
    Identity::parse(&own.identity().datagram(shown, 1716, now().wall).bytes).unwrap()
}
fn trust(which: usize, highest: Version) -> Trust {
    let certificate = PeerCertificate::parse(CERTIFICATES[which].der()).unwrap();
    [(certificate.id().clone(), Trusted { certificate, highest })].into()
}
fn setup(own: &Arc<Own>, role: Role) -> Setup {
    Setup { own: own.clone(), trust: Arc::default(), oldest: Version::V7, shown: Shown::Full, role }
}

/// Two links and the wire between them.
struct Wire {
    links: [Link; 2],
    events: [Vec<Event>; 2],
    /// What each side revealed, transmit by transmit.
    revealed: [Vec<FieldSet>; 2],
    now: Now,
}

impl Wire {
    /// Side 0 announced itself; side 1 connected.
    fn new(setups: [Setup; 2]) -> Self {
        let now = now();
        Self {
            links: setups.map(|setup| Link::new(setup, now)),
            events: Default::default(),
            revealed: Default::default(),
            now,
        }
    }
    fn between(versions: [Version; 2], trusts: [Trust; 2]) -> Self {
        let owns = [own(0, versions[0]), own(1, versions[1])];
        let connected = Role::Connected(Box::new(announced(&owns[0], Shown::Full)));
        let mut setups = [setup(&owns[0], Role::Accepted), setup(&owns[1], connected)];
        for (setup, trust) in setups.iter_mut().zip(trusts) {
            setup.trust = Arc::new(trust);
        }
        Self::new(setups)
    }
    /// Carries everything, in portions of the sizes that `portion` gives.
    fn run(&mut self, mut portion: impl FnMut() -> usize) {
        let mut idle = 0;
        while idle < 2 {
            idle = 0;
            for side in [0, 1] {
                match self.links[side].poll_output() {
                    Output::Transmit(transmit) => {
                        self.revealed[side].push(transmit.fields);
                        let mut bytes = &transmit.bytes[..];
                        while !bytes.is_empty() {
                            let (head, rest) = bytes.split_at(portion().clamp(1, bytes.len()));
                            self.links[1 - side].handle(Input::Bytes(head), self.now);
                            bytes = rest;
                        }
                    }
                    Output::Event(event) => self.events[side].push(event),
                    Output::Wait(_) => idle += 1,
                }
            }
        }
    }
    fn up(&self, side: usize) -> &Up {
        match &self.events[side][0] {
            Event::Up(up) => up,
            other => panic!("{other:?}"),
        }
    }
    fn take(&mut self) -> [Vec<Event>; 2] {
        self.run(|| usize::MAX);
        std::mem::take(&mut self.events)
    }
    fn command(&mut self, side: usize, command: Command) -> [Vec<Event>; 2] {
        self.links[side].handle(Input::Pair(command), self.now);
        self.take()
    }
    fn failure(&mut self, side: usize) -> LinkError {
        self.run(|| usize::MAX);
        match self.events[side].pop() {
            Some(Event::Ended(End::Failed(error))) => error,
            other => panic!("{other:?}"),
        }
    }
}

const VERSIONS: [[Version; 2]; 4] =
    [[Version::V7, Version::V7], [Version::V7, Version::V8], [Version::V8, Version::V7], [Version::V8, Version::V8]];

#[test]
fn both_versions_in_both_roles_link_pair_and_talk() {
    for versions in VERSIONS {
        for asking in [0, 1] {
            let mut wire = Wire::between(versions, Default::default());
            wire.run(|| usize::MAX);
            let spoken = versions[0].min(versions[1]);
            for side in [0, 1] {
                let up = wire.up(side);
                assert_eq!((up.version, up.paired), (spoken, false), "{versions:?}");
                assert_eq!(up.identity.name, format!("device {}", 1 - side));
                assert_eq!(up.certificate.der(), CERTIFICATES[1 - side].der());
            }
            wire.events = Default::default();
            let events = wire.command(asking, Command::Request);
            let [Event::Pairing(pairing::Event::Requested { key })] = &events[asking][..] else { panic!() };
            let asked = pairing::Event::Asked { key: key.clone(), was_paired: false };
            assert_eq!(events[1 - asking], [Event::Pairing(asked)]);
            let events = wire.command(1 - asking, Command::Accept);
            for side in events {
                assert_eq!(side, [Event::Pairing(pairing::Event::Paired)]);
            }
            let packet = Packet::from(Ping { message: Some("hello".into()) });
            for side in [0, 1] {
                wire.links[side].send(&packet, wire.now).unwrap();
                assert_eq!(wire.take()[1 - side], [Event::Packet(packet.clone())]);
            }
        }
    }
}

#[test]
fn each_transmit_says_what_it_reveals() {
    let mut wire = Wire::between([Version::V8; 2], [trust(1, Version::V8), trust(0, Version::V8)]);
    wire.run(|| usize::MAX);
    let identity = FieldSet::from_iter([
        FieldCode::DeviceIdResettable,
        FieldCode::DeviceName,
        FieldCode::DeviceType,
        FieldCode::DeviceAbilities,
    ]);
    let key = FieldSet::from_iter([FieldCode::KeyPublic, FieldCode::DeviceIdResettable]);
    assert_eq!(wire.revealed[1], [identity, key, identity], "clear identity, certificate, inner identity");
    assert_eq!(wire.revealed[0], [FieldSet::EMPTY, key, identity], "hello, certificate, inner identity");
    wire.revealed = Default::default();
    wire.links[0].send(&Clipboard { content: "x".into() }.into(), wire.now).unwrap();
    wire.links[0].send(&Battery::default().into(), wire.now).unwrap();
    wire.run(|| usize::MAX);
    let one = FieldSet::one;
    assert_eq!(wire.revealed[0], [one(FieldCode::ClipboardContent), one(FieldCode::BatteryLevel)]);
}

#[test]
fn a_stranger_is_not_heard_and_nothing_is_sent_to_it() {
    let mut wire = Wire::between([Version::V7; 2], [trust(1, Version::V7), Trust::new()]);
    wire.take();
    assert_eq!(wire.links[1].send(&Ping::default().into(), wire.now), Err(NotSent::NotPaired));
    wire.links[0].send(&Clipboard { content: "secret".into() }.into(), wire.now).unwrap();
    let events = wire.take();
    assert_eq!(events[1], [], "the stranger's clipboard is dropped");
    assert_eq!(events[0], [Event::Pairing(pairing::Event::NotPaired(pairing::Why::EndedByPeer))], "and it is told");
}

#[test]
fn another_certificate_is_refused_in_both_roles_before_we_show_ours() {
    for versions in VERSIONS {
        // Side 0 is paired with another certificate of the same id.
        let owns = [own(1, versions[0]), own(2, versions[1])];
        let connected = Role::Connected(Box::new(announced(&owns[0], Shown::Full)));
        let mut setups = [setup(&owns[0], Role::Accepted), setup(&owns[1], connected)];
        setups[0].trust = Arc::new(trust(0, versions[1]));
        let mut wire = Wire::new(setups);
        assert_eq!(wire.failure(0), LinkError::Tls(TlsError::CertificateChanged));
        assert!(!wire.revealed[0].iter().any(|fields| fields.contains(FieldCode::KeyPublic)));
        let owns = [own(2, versions[0]), own(1, versions[1])];
        let connected = Role::Connected(Box::new(announced(&owns[0], Shown::Full)));
        let mut setups = [setup(&owns[0], Role::Accepted), setup(&owns[1], connected)];
        setups[1].trust = Arc::new(trust(0, versions[0]));
        let error = Wire::new(setups).failure(1);
        assert_eq!(error, LinkError::Tls(TlsError::CertificateChanged));
        assert!(error.to_string().contains("pair again"));
    }
}

#[test]
fn a_paired_device_that_spoke_8_may_not_offer_7() {
    for side in [0, 1] {
        let mut versions = [Version::V8; 2];
        versions[1 - side] = Version::V7;
        let mut trusts: [Trust; 2] = Default::default();
        trusts[side] = trust(1 - side, Version::V8);
        let error = Wire::between(versions, trusts).failure(side);
        assert_eq!(error, LinkError::Downgrade { offered: 7, before: 8 });
    }
}

#[test]
fn a_spoofed_announcement_leads_nowhere() {
    // Side 1 connects to side 0 because someone announced a third device from side 0's address.
    let owns = [own(0, Version::V8), own(1, Version::V8)];
    let mut outer = announced(&owns[0], Shown::Full);
    outer.id = id(0xcc);
    let connected = Role::Connected(Box::new(outer));
    let mut wire = Wire::new([setup(&owns[0], Role::Accepted), setup(&owns[1], connected)]);
    assert_eq!(wire.failure(0), LinkError::NotMeant);
    assert!(wire.revealed[0].is_empty());
}

#[test]
fn the_private_mode_shows_no_name_in_clear_and_speaks_to_version_8_alone() {
    let owns = [own(0, Version::V8), own(1, Version::V8)];
    let connected = Role::Connected(Box::new(announced(&owns[0], Shown::Neutral)));
    let mut setups = [setup(&owns[0], Role::Accepted), setup(&owns[1], connected)];
    for setup in &mut setups {
        (setup.shown, setup.oldest) = (Shown::Neutral, Version::V8);
    }
    let mut wire = Wire::new(setups.clone());
    wire.run(|| usize::MAX);
    assert_eq!(wire.up(0).identity.name, "device 1");
    assert_eq!(wire.up(1).identity.name, "device 0");
    assert_eq!(wire.revealed[1][0], FieldSet::one(FieldCode::DeviceIdResettable), "in clear the id alone");
    let old = own(1, Version::V7);
    setups[1] = setup(&old, Role::Connected(Box::new(announced(&owns[0], Shown::Neutral))));
    assert_eq!(Wire::new(setups).failure(0), LinkError::TooOld { offered: 7, oldest: 8 });
}

#[test]
fn our_own_id_is_refused() {
    let own = own(0, Version::V8);
    let connected = Role::Connected(Box::new(announced(&own, Shown::Full)));
    let mut wire = Wire::new([setup(&own, Role::Accepted), setup(&own, connected)]);
    assert_eq!(wire.failure(1), LinkError::Oneself);
}

#[test]
fn who_takes_longer_than_5_seconds_or_hangs_up_is_given_up() {
    let start = now();
    let mut link = Link::new(setup(&own(0, Version::V8), Role::Accepted), start);
    let Output::Wait(Some(until)) = link.poll_output() else { panic!() };
    assert_eq!(until, start.instant + HANDSHAKE_TIME);
    link.handle(Input::Bytes(b"{\"id\""), start);
    link.handle(Input::Timeout, start.after(HANDSHAKE_TIME));
    let Output::Event(Event::Ended(End::Failed(error))) = link.poll_output() else { panic!() };
    assert_eq!(error, LinkError::TimedOut);
    assert!(matches!(link.poll_output(), Output::Wait(None)) && link.is_over());
    let mut link = Link::new(setup(&own(0, Version::V8), Role::Accepted), start);
    link.handle(Input::Closed, start);
    assert!(matches!(link.poll_output(), Output::Event(Event::Ended(End::Failed(LinkError::ClosedEarly)))));
}

/// A peer that speaks by hand: connects to `link`, sends `clear`, is the TLS server and then writes `inner`.
fn by_hand(link: &mut Link, clear: &[u8], inner: &[u8]) -> Vec<Event> {
    let now = now();
    let mut tls = Tls::server(&CERTIFICATES[1], Expect::Id(id(0xaa))).unwrap();
    link.handle(Input::Bytes(clear), now);
    let (mut events, mut said) = (Vec::new(), false);
    loop {
        match link.poll_output() {
            Output::Transmit(transmit) => {
                let _ = tls.feed(&transmit.bytes, |_| {});
            }
            Output::Event(event) => events.push(event),
            Output::Wait(_) => {
                if !tls.is_handshaking() && !std::mem::replace(&mut said, true) {
                    tls.write(inner);
                }
                let Some((bytes, _)) = tls.take() else { return events };
                link.handle(Input::Bytes(&bytes), now);
            }
        }
    }
}

#[test]
fn an_inner_identity_that_differs_ends_the_link() {
    let wall = now().wall;
    let peer = own(1, Version::V8);
    let line = |change: &dyn Fn(&mut OwnIdentity)| {
        let mut identity = peer.identity().clone();
        change(&mut identity);
        identity.inner(wall).bytes
    };
    let try_it = |inner: &[u8]| {
        let mut link = Link::new(setup(&own(0, Version::V8), Role::Accepted), now());
        by_hand(&mut link, &line(&|_| {}), inner)
    };
    assert!(matches!(try_it(&line(&|_| {}))[..], [Event::Up(_)]));
    for inner in [line(&|own| own.id = id(0xcc)), line(&|own| own.version = Version::V7)] {
        assert_eq!(try_it(&inner), [Event::Ended(End::Failed(LinkError::TwoFaced))]);
    }
    let long = [&[b' '; 9000][..], b"\n"].concat();
    for (inner, error) in [(&b"hello\n"[..], IdentityError::NotAnIdentity), (&long, IdentityError::TooLong)] {
        assert_eq!(try_it(inner), [Event::Ended(End::Failed(error.into()))]);
    }
}

#[test]
fn garbage_inside_the_link_is_passed_over_and_long_lines_are_only_for_what_was_asked() {
    let sms = format!(r#"{{"type":"kdeconnect.sms.messages","body":{{"messages":[],"x":"{}"}}}}"#, "y".repeat(2 << 20));
    let other = sms.replace("sms.messages", "ping");
    let lines = format!("garbage\n{sms}\n{{\"type\":\"kdeconnect.ping\",\"body\":{{}}}}\n{other}\n");
    let mut setup = setup(&own(0, Version::V7), Role::Accepted);
    setup.trust = Arc::new(trust(1, Version::V7));
    let clear = own(1, Version::V7).identity().inner(now().wall).bytes;
    let mut link = Link::new(setup.clone(), now());
    let ping = || Event::Packet(Ping::default().into());
    let long = || Event::Ignored(Ignored::TooLong);
    let events = by_hand(&mut link, &clear, lines.as_bytes());
    assert_eq!(events[1..], [Event::Ignored(Ignored::NotAPacket), long(), ping(), long()]);

    let mut link = Link::new(setup, now());
    let mut tls = Tls::server(&CERTIFICATES[1], Expect::Id(id(0xaa))).unwrap();
    link.handle(Input::Bytes(&clear), now());
    let mut events = Vec::new();
    for line in [None, Some(lines.as_bytes())] {
        if let Some(line) = line {
            link.send(&SmsConversations::default().into(), now()).unwrap();
            tls.write(line);
        }
        for _ in 0..4 {
            loop {
                match link.poll_output() {
                    Output::Transmit(transmit) => drop(tls.feed(&transmit.bytes, |_| {}).unwrap()),
                    Output::Event(event) => events.push(event),
                    Output::Wait(_) => break,
                }
            }
            if let Some((bytes, _)) = tls.take() {
                link.handle(Input::Bytes(&bytes), now());
            }
        }
    }
    assert!(matches!(&events[2], Event::Packet(Packet { body: Body::SmsMessages(_), .. })));
    assert_eq!(events[3..], [ping(), long()], "the type alone does not allow it");
}

#[test]
fn closing_is_told_to_the_other_side() {
    let mut wire = Wire::between([Version::V8; 2], Default::default());
    wire.take();
    wire.links[0].handle(Input::Close, wire.now);
    let [here, there] = wire.take();
    assert_eq!((here, there), (vec![Event::Ended(End::ByUs)], vec![Event::Ended(End::ByPeer)]));
}

#[test]
fn a_new_link_replaces_the_old_one_unless_it_proves_somebody_else() {
    let address = IpAddr::from([192, 168, 1, 9]);
    let up = |which: usize, paired| Up {
        identity: announced(&own(which, Version::V8), Shown::Full),
        certificate: PeerCertificate::parse(CERTIFICATES[which].der()).unwrap(),
        version: Version::V8,
        paired,
    };
    let mut links = Links::default();
    let first = links.begin(address).unwrap();
    assert_eq!(links.up(first, &up(0, true)), Ok(None));
    let second = links.begin(address).unwrap();
    assert_eq!(links.up(second, &up(0, true)), Ok(Some(first)));
    assert!(!links.ended(first), "the device is still here");
    let third = links.begin(address).unwrap();
    assert_eq!(links.up(third, &up(2, false)), Err(Refusal::OtherCertificate));
    assert_eq!(links.get(&id(0xaa)).unwrap().no, second);
    assert!(links.ended(second) && links.get(&id(0xaa)).is_none());
}

#[test]
fn strangers_take_a_bounded_number_of_places() {
    let mut links = Links::default();
    let address = |n: u8| IpAddr::from([192, 168, 1, n]);
    let taken = (0..100).filter(|n| links.begin(address(n % 2)).is_ok()).count();
    assert_eq!(taken, 8, "four each");
    let mut links = Links::default();
    let taken = (0..60u8).filter(|n| {
        let no = links.begin(address(*n)).unwrap();
        let mut identity = announced(&own(0, Version::V8), Shown::Full);
        identity.id = id(*n);
        let certificate = PeerCertificate::parse(CERTIFICATES[0].der()).unwrap();
        links.up(no, &Up { identity, certificate, version: Version::V8, paired: false }).is_ok()
    });
    assert_eq!(taken.count(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn portions_change_nothing(sizes in prop::collection::vec(1usize..400, 1..40), which in 0usize..4) {
        let play = |sizes: &[usize]| {
            let mut wire = Wire::between(VERSIONS[which], Default::default());
            let mut sizes = sizes.iter().cycle().copied();
            let mut portion = || sizes.next().unwrap();
            wire.run(&mut portion);
            wire.links[1].handle(Input::Pair(Command::Request), wire.now);
            wire.run(&mut portion);
            wire.links[0].handle(Input::Pair(Command::Accept), wire.now);
            wire.run(&mut portion);
            wire.links[0].send(&Ping::default().into(), wire.now).unwrap();
            wire.run(&mut portion);
            // TLS may write more flights, but what is revealed and in which order stays.
            let revealed = wire.revealed.map(|side| side.into_iter().filter(|f| !f.is_empty()).collect::<Vec<_>>());
            (wire.events, revealed)
        };
        prop_assert_eq!(play(&sizes), play(&[usize::MAX]));
    }

    #[test]
    fn garbage_on_the_wire_ends_in_an_error_and_never_in_a_link(
        garbage in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
        at in 0usize..4,
    ) {
        let owns = [own(0, Version::V8), own(1, Version::V8)];
        let connected = Role::Connected(Box::new(announced(&owns[0], Shown::Full)));
        let clear = owns[1].identity().inner(now().wall).bytes;
        let mut links = [setup(&owns[0], Role::Accepted), setup(&owns[1], connected)].map(|s| Link::new(s, now()));
        if at > 1 {
            links[0].handle(Input::Bytes(&clear), now());
        }
        for link in &mut links {
            for bytes in &garbage {
                link.handle(Input::Bytes(bytes), now());
            }
            link.handle(Input::Timeout, now().after(HANDSHAKE_TIME));
            let mut failed = false;
            loop {
                match link.poll_output() {
                    Output::Event(Event::Ended(End::Failed(_))) => failed = true,
                    Output::Transmit(_) => {}
                    Output::Wait(until) => break prop_assert!(failed && until.is_none()),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }

    /// Bits flipped in a real conversation: it breaks, or nothing changes; never anything in between.
    #[test]
    fn a_tampered_wire_never_brings_wrong_packets(at in 0usize..6000, bit in 0u8..8) {
        let mut wire = Wire::between([Version::V8; 2], [trust(1, Version::V8), trust(0, Version::V8)]);
        let (mut seen, mut sent) = (0, false);
        loop {
            let mut idle = true;
            for side in [0, 1] {
                match wire.links[side].poll_output() {
                    Output::Transmit(mut transmit) => {
                        idle = false;
                        if (seen..seen + transmit.bytes.len()).contains(&at) {
                            transmit.bytes[at - seen] ^= 1 << bit;
                        }
                        seen += transmit.bytes.len();
                        wire.links[1 - side].handle(Input::Bytes(&transmit.bytes), wire.now);
                    }
                    Output::Event(Event::Packet(packet)) => prop_assert_eq!(packet, Packet::from(Ping::default())),
                    Output::Event(Event::Up(up)) => prop_assert!(up.paired),
                    Output::Event(_) => idle = false,
                    Output::Wait(_) => {}
                }
            }
            if idle && std::mem::replace(&mut sent, true) {
                break;
            }
            if idle {
                let _ = wire.links[0].send(&Ping::default().into(), wire.now);
            }
        }
    }
}
