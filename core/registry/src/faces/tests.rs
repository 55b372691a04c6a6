use accord_model::{Claims, DeviceKind};
use proptest::prelude::*;

use super::*;

const TV: &str = "4d454930-0100-1000-8001-a81374aabbcc";

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

/// A television's face that nobody added, at an address.
fn face(bridge: &str, name: &str, ip: &str) -> (Device, String) {
    let mut device = Device::new(id(&format!("{bridge}-{name}")), DeviceKind::Tv, name);
    device.claims = Claims::broadcast([ip.parse().unwrap()]);
    device.passing = true;
    (device, bridge.to_owned())
}

fn naming((mut device, bridge): (Device, String), unique: &str) -> (Device, String) {
    device.claims = device.claims.unique(unique);
    (device, bridge)
}

fn added((mut device, bridge): (Device, String)) -> (Device, String) {
    device.passing = false;
    (device, bridge)
}

fn grouped(faces: &[(Device, String)], words: &Words) -> Groups {
    group(
        &faces.iter().map(|(device, bridge)| (device.id.clone(), Arc::new(Facts::of(device, bridge)))).collect(),
        words,
    )
}

/// The groups as `a+b c+d`.
fn told(groups: &Groups) -> String {
    let all: BTreeSet<&BTreeSet<DeviceId>> = groups.of.values().collect();
    let words = all.into_iter().map(|group| group.iter().map(|face| face.as_str()).collect::<Vec<_>>().join("+"));
    words.collect::<Vec<_>>().join(" ")
}

fn joined(faces: &[(Device, String)]) -> String {
    told(&grouped(faces, &Words::default()))
}

#[test]
fn one_television_with_three_faces_is_one_thing() {
    let upnp = naming(face("upnp", "lounge", "10.0.0.2"), TV);
    let mut airplay = face("airplay", "wohnzimmer", "10.0.0.2");
    airplay.0.claims = airplay.0.claims.hardware("A8:13:74:AA:BB:CC");
    let cast = face("cast", "lounge", "10.0.0.2");
    let other = face("cast", "kitchen", "10.0.0.3");
    assert_eq!(joined(&[upnp, airplay, cast, other]), "airplay-wohnzimmer+cast-lounge+upnp-lounge");
}

#[test]
fn a_name_alone_an_address_alone_and_a_port_join_nothing() {
    assert_eq!(joined(&[face("upnp", "tv", "10.0.0.2"), face("cast", "tv", "10.0.0.3")]), "");
    assert_eq!(joined(&[face("upnp", "kodi", "10.0.0.2"), face("airplay", "uxplay", "10.0.0.2")]), "");
    let model = |(mut device, bridge): (Device, String)| {
        (device.maker, device.model) = (Some("Sony".into()), Some("KD-65".into()));
        (device, bridge)
    };
    let alike = [model(face("upnp", "a", "10.0.0.2")), model(face("cast", "b", "10.0.0.2"))];
    assert_eq!(joined(&alike), "cast-b+upnp-a", "the same model at the same address");
}

#[test]
fn what_offers_nothing_belongs_to_the_one_thing_at_its_address() {
    let part = |name: &str, ip: &str| {
        let (mut device, bridge) = face("lebo", name, ip);
        device.claims = Claims::part([ip.parse().unwrap()]);
        (device, bridge)
    };
    let tv = face("upnp", "lounge", "10.0.0.2");
    assert_eq!(joined(&[tv.clone(), part("wohnzimmer", "10.0.0.2")]), "lebo-wohnzimmer+upnp-lounge");
    assert_eq!(joined(&[tv.clone(), part("wohnzimmer", "10.0.0.3")]), "");
    let two = face("upnp", "app", "10.0.0.2");
    assert_eq!(joined(&[tv.clone(), two, part("wohnzimmer", "10.0.0.2")]), "", "to neither of two");
    let both = joined(&[tv.clone(), part("wohnzimmer", "10.0.0.2"), part("other", "10.0.0.2")]);
    assert_eq!(both, "lebo-other+lebo-wohnzimmer+upnp-lounge", "it may have two");
    let program = face("airplay", "uxplay", "10.0.0.2");
    assert_eq!(joined(&[tv.clone(), program, part("wohnzimmer", "10.0.0.2")]), "", "and holds no two things together");
    assert_eq!(joined(&[added(tv), part("wohnzimmer", "10.0.0.2")]), "", "nor to what was added before it came");
}

#[test]
fn two_things_of_one_bridge_stay_two_and_what_fits_both_fits_none() {
    let zones = [naming(face("upnp", "zone-1", "10.0.0.2"), TV), naming(face("upnp", "zone-2", "10.0.0.2"), TV)];
    assert_eq!(joined(&zones), "");
    let mut airplay = face("airplay", "amplifier", "10.0.0.2");
    airplay.0.claims = airplay.0.claims.hardware("a81374aabbcc");
    let groups = grouped(&[zones[0].clone(), zones[1].clone(), airplay], &Words::default());
    assert_eq!(told(&groups), "");
    assert_eq!(groups.maybe[&id("airplay-amplifier")].len(), 2, "the owner may say which");
}

#[test]
fn what_is_certain_stands_when_what_is_likely_contradicts_itself() {
    // By name and place the four hang together, two of one bridge among them.
    let a = naming(face("upnp", "tv", "10.0.0.2"), TV);
    let mut b = face("airplay", "tv", "10.0.0.2");
    b.0.claims = Claims::broadcast(["10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()]).unique(TV);
    let c = face("lebo", "tv", "10.0.0.3");
    let mut d = face("upnp", "x", "10.0.0.3");
    (d.0.maker, d.0.model) = (Some("m".into()), Some("n".into()));
    let mut e = c.clone();
    (e.0.maker, e.0.model) = (Some("m".into()), Some("n".into()));
    assert_eq!(joined(&[a, b, d, e]), "airplay-tv+upnp-tv");
}

#[test]
fn who_claims_anothers_id_from_elsewhere_is_only_suggested() {
    let tv = naming(face("upnp", "lounge", "10.0.0.2"), TV);
    let thief = naming(face("cast", "lounge", "10.0.0.66"), TV);
    let groups = grouped(&[tv, thief], &Words::default());
    assert_eq!(told(&groups), "");
    assert!(groups.maybe[&id("upnp-lounge")].contains(&id("cast-lounge")));
}

#[test]
fn what_is_added_or_joined_is_never_joined_by_what_another_claims() {
    let tv = added(naming(face("upnp", "lounge", "10.0.0.2"), TV));
    let thief = naming(face("cast", "lounge", "10.0.0.2"), TV);
    let groups = grouped(&[tv.clone(), thief.clone()], &Words::default());
    assert_eq!(told(&groups), "", "the owner added one of them");
    assert!(groups.maybe[&id("upnp-lounge")].contains(&id("cast-lounge")), "and may say that it is the same");
    let mut words = Words::default();
    words.join(&[id("upnp-lounge"), id("airplay-own")]).unwrap();
    let open = naming(face("upnp", "lounge", "10.0.0.2"), TV);
    assert_eq!(
        told(&grouped(&[open, thief.clone(), face("airplay", "own", "10.0.0.2")], &words)),
        "airplay-own+upnp-lounge"
    );
    // A phone proves who it is, and a peer is no broadcast thing: by the owner's word alone.
    let mut phone = face("kdeconnect", "lounge", "10.0.0.2");
    phone.0.claims = Claims::peer(["10.0.0.2".parse().unwrap()]).unique(TV);
    assert_eq!(joined(&[phone.clone(), thief.clone()]), "");
    let mut words = Words::default();
    words.join(&[phone.0.id.clone(), thief.0.id.clone()]).unwrap();
    assert_eq!(told(&grouped(&[phone, thief], &words)), "cast-lounge+kdeconnect-lounge");
}

#[test]
fn the_owner_splits_what_claims_to_be_one_and_joins_it_again() {
    let faces = [
        naming(face("upnp", "tv", "10.0.0.2"), TV),
        naming(face("cast", "tv", "10.0.0.2"), TV),
        face("airplay", "tv", "10.0.0.2"),
    ];
    let mut words = Words::default();
    words.split(&id("cast-tv"), &[id("upnp-tv"), id("airplay-tv")]).unwrap();
    assert_eq!(told(&grouped(&faces, &words)), "airplay-tv+upnp-tv");
    words.join(&[id("airplay-tv"), id("upnp-tv"), id("cast-tv")]).unwrap();
    assert_eq!(told(&grouped(&faces, &words)), "airplay-tv+cast-tv+upnp-tv");
    words.split(&id("upnp-tv"), &[id("airplay-tv"), id("cast-tv")]).unwrap();
    assert_eq!(told(&grouped(&faces, &words)), "airplay-tv+cast-tv");
}

#[test]
fn what_offers_nothing_is_not_put_to_a_thing_with_a_face_it_was_split_from() {
    let two = Claims::broadcast(["10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()]);
    let (near, mut far) = (face("upnp", "tv", "10.0.0.2"), face("cast", "tv", "10.0.0.3"));
    far.0.claims = two;
    let mut part = face("lebo", "tv", "10.0.0.2");
    part.0.claims = Claims::part(["10.0.0.2".parse().unwrap()]);
    let faces = [near, far, part];
    assert_eq!(joined(&faces), "cast-tv+lebo-tv+upnp-tv");
    let mut words = Words::default();
    words.split(&id("lebo-tv"), &[id("cast-tv")]).unwrap();
    assert_eq!(told(&grouped(&faces, &words)), "cast-tv+upnp-tv");
}

#[test]
fn words_are_bounded_and_survive_json() {
    let mut words = Words::default();
    assert_eq!(words.join(&[id("a")]), Err(CannotJoin::One));
    assert_eq!(words.join(&[id("a"), id("a")]), Err(CannotJoin::One));
    let many: Vec<DeviceId> = (0..=MOST_FACES).map(|n| id(&format!("face-{n}"))).collect();
    assert_eq!(words.join(&many), Err(CannotJoin::Many));
    for n in 0..MOST_JOINED {
        words.join(&[id(&format!("a-{n}")), id(&format!("b-{n}"))]).unwrap();
    }
    assert_eq!(words.join(&[id("x"), id("y")]), Err(CannotJoin::Many));
    let json = serde_json::to_string(&words).unwrap();
    assert_eq!(serde_json::from_str::<Words>(&json).unwrap(), words);
    words.forget(&id("a-0"));
    assert_eq!(words.of(&id("b-0")), None);
}

#[test]
fn a_crowd_at_one_address_is_no_thing() {
    let crowd: Vec<_> = (0..1000).map(|n| naming(face(&format!("b{n}"), "tv", "10.0.0.2"), TV)).collect();
    let groups = grouped(&crowd, &Words::default());
    assert!(groups.of.is_empty() && groups.maybe.is_empty());
}

#[derive(Debug, Clone)]
struct Made {
    bridge: u8,
    name: u8,
    address: u8,
    unique: u8,
    open: bool,
    part: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let (open, part) = (proptest::bool::weighted(0.8), proptest::bool::weighted(0.2));
    (0..4_u8, 0..3_u8, 0..3_u8, 0..4_u8, open, part).prop_map(|(bridge, name, address, unique, open, part)| Made {
        bridge,
        name,
        address,
        unique,
        open,
        part,
    })
}

fn real(made: &[Made]) -> Vec<(Device, String)> {
    let one = |(n, made): (usize, &Made)| {
        let (mut device, bridge) = face(&format!("b{}", made.bridge), "x", &format!("10.0.0.{}", made.address));
        device.id = id(&format!("f-{n}"));
        device.name = format!("n{}", made.name);
        if made.part {
            device.claims = Claims::part(device.claims.addresses());
        }
        if made.unique > 0 {
            device.claims = device.claims.unique(&format!("4d4549300100100080010000a8aabb{:02x}", made.unique));
        }
        device.passing = made.open;
        (device, bridge)
    };
    made.iter().enumerate().map(one).collect()
}

proptest! {
    #[test]
    fn groups_are_sound_whatever_is_claimed(made in proptest::collection::vec(made(), 0..10), said in proptest::collection::vec((any::<bool>(), 0..10_u8, 0..10_u8), 0..6)) {
        let faces = real(&made);
        let mut words = Words::default();
        for (join, one, two) in said {
            let (one, two) = (id(&format!("f-{one}")), id(&format!("f-{two}")));
            let _ = if join { words.join(&[one, two]) } else { words.split(&one, &[two]) };
        }
        let groups = grouped(&faces, &words);
        for (face, group) in &groups.of {
            prop_assert!(group.contains(face) && group.len() > 1);
            let by_word = words.of(face).is_some();
            for other in group {
                prop_assert_eq!(groups.of.get(other), Some(group), "each face is of one thing");
                if face == other {
                    continue;
                }
                let (one, two) = (&faces.iter().find(|known| known.0.id == *face).unwrap(), &faces.iter().find(|known| known.0.id == *other).unwrap());
                if by_word {
                    prop_assert!(words.of(face).unwrap().contains(other));
                } else {
                    prop_assert!(one.0.passing && two.0.passing, "nothing that the owner added");
                    let parts = one.0.claims.is_part() || two.0.claims.is_part();
                    prop_assert!(one.1 != two.1 || parts, "no two of one bridge");
                    prop_assert!(!words.are_apart(face, other), "nothing that the owner split");
                    prop_assert!(one.0.claims.share_address(&two.0.claims) || one.0.claims.share_id(&two.0.claims) || group.len() > 2);
                }
            }
        }
        for (face, others) in &groups.maybe {
            for other in others {
                prop_assert!(!words.are_apart(face, other) && groups.maybe[other].contains(face));
                prop_assert!(!groups.of.get(face).is_some_and(|group| group.contains(other)));
            }
        }
    }

    #[test]
    fn joining_in_any_order_makes_the_same_things(mut pairs in proptest::collection::vec((0..8_u8, 0..8_u8), 1..7), seed in any::<u64>()) {
        let faces = real(&(0..8).map(|n| Made { bridge: n % 4, name: n, address: n, unique: 0, open: false, part: false }).collect::<Vec<_>>());
        let said = |pairs: &[(u8, u8)]| {
            let mut words = Words::default();
            for (one, two) in pairs {
                let _ = words.join(&[id(&format!("f-{one}")), id(&format!("f-{two}"))]);
            }
            told(&grouped(&faces, &words))
        };
        let first = said(&pairs);
        let count = pairs.len();
        for n in 0..count {
            pairs.swap(n, (seed.rotate_left(n as u32 * 7) as usize) % count);
        }
        prop_assert_eq!(said(&pairs), first);
    }
}
