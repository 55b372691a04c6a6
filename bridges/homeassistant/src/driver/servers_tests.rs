use super::*;

fn advert(uuid: char) -> Advert {
    let uuid = format!("0123456789abcdef0123456789abcde{uuid}");
    Advert { uuid, name: "House".into(), version: Some("2024.3.3".into()), tls: false }
}

fn given(pairs: &[(&str, &str)]) -> Inputs {
    pairs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect()
}

fn vault(dir: &tempfile::TempDir) -> Vault {
    Vault::new(dir.path(), &[7; 32])
}

const TOKEN: &str = "a-token-of-some-length";

#[test]
fn a_server_is_one_however_it_is_added_and_its_token_is_nowhere_but_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::open(&vault(&dir)).unwrap();
    let at = "10.0.0.2:8123".parse().unwrap();
    let (none, told) = servers.found("House", advert('0'), &[at]);
    let FromBridge::Seen { device } = &told[0] else { panic!("{told:?}") };
    assert!(none.is_none() && device.passing && device.kind == DeviceKind::Hub);
    let request = &device.service("pairing").unwrap().actions[0];
    assert_eq!((request.id.as_str(), request.inputs[0].id.as_str()), ("request", "token"));
    let (id, _, told) = servers.add(&given(&[("address", "10.0.0.2"), ("token", TOKEN)])).unwrap();
    assert_eq!(id, device.id, "the one that is announced there");
    assert!(!format!("{told:?}").contains(TOKEN) && !format!("{:?}", servers.added(&id)).contains(TOKEN));
    let has_token = |bytes: &[u8]| bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes());
    let is_kept = || has_token(&vault(&dir).read("added.json", 1 << 20).unwrap().unwrap().bytes);
    assert!(is_kept() && !has_token(&std::fs::read(dir.path().join("added.json")).unwrap()), "sealed");
    let again = Servers::open(&vault(&dir)).unwrap();
    assert_eq!(again.added(&id).unwrap().token, TOKEN.into());
    // Another address for the same one, once it is announced there.
    servers.lost("House");
    servers.found("House", advert('0'), &["10.0.0.9:8123".parse().unwrap()]);
    assert_eq!(servers.elsewhere(&id).map(|place| place.to_string()).as_deref(), Some("http://10.0.0.9:8123"));
    assert_eq!(servers.added(&id).unwrap().place, "http://10.0.0.2:8123", "the token does not follow who announces");
    assert_eq!(servers.add(&given(&[("address", "10.0.0.9"), ("token", TOKEN)])).unwrap().0, id);
    assert!(servers.elsewhere(&id).is_none());
    let told = servers.remove(&id).unwrap();
    assert!(matches!(&told[..], [FromBridge::Seen { device }, _] if device.passing));
    assert!(!is_kept());
}

#[test]
fn a_token_goes_to_nobody_who_announces_a_server_that_is_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::open(&vault(&dir)).unwrap();
    let [house, thief] = ["10.0.0.2:8123", "10.0.0.66:8123"].map(|at| at.parse().unwrap());
    let shown = |servers: &Servers, id: &DeviceId| servers.get(id).unwrap().announced.as_ref().unwrap().1.to_string();
    let secure = Advert { tls: true, ..advert('0') };
    // By another name, by the same name, beside the first, and in clear instead of encrypted.
    for (name, said, at) in [
        ("Thief", secure.clone(), vec![thief]),
        ("House", secure.clone(), vec![thief]),
        ("House", secure.clone(), vec![house, thief]),
        ("House", advert('0'), vec![house]),
    ] {
        let (_, told) = servers.found("House", secure.clone(), &[house]);
        let FromBridge::Seen { device } = &told[0] else { panic!("{told:?}") };
        servers.found(name, said, &at);
        assert_eq!(shown(&servers, &device.id), "https://10.0.0.2:8123", "who was first");
        let no = servers.request(&device.id, &given(&[("token", TOKEN)])).unwrap_err();
        assert!(matches!(&no, CallError::Unsupported(why) if why.contains("by its address")), "{no}");
        // Not even when the first is made to go.
        servers.lost("House");
        assert!(name == "House" || servers.request(&device.id, &given(&[("token", TOKEN)])).is_err());
        servers.all_lost();
    }
    // Nor after it was added and removed.
    servers.found("House", secure, &[house]);
    let id = servers.add(&given(&[("address", "https://10.0.0.2"), ("token", TOKEN)])).unwrap().0;
    servers.found("Thief", advert('0'), &[thief]);
    assert!(servers.request(&id, &given(&[("token", TOKEN)])).is_err(), "it is added");
    servers.remove(&id).unwrap();
    assert_eq!(shown(&servers, &id), "https://10.0.0.2:8123");
    assert!(servers.request(&id, &given(&[("token", TOKEN)])).is_err());
    // Who is the only one is.
    servers.all_lost();
    let (_, told) = servers.found("House", advert('0'), &[house, house]);
    let FromBridge::Seen { device } = &told[0] else { panic!("{told:?}") };
    assert!(servers.request(&device.id, &given(&[("token", TOKEN)])).is_ok());
}

#[test]
fn what_is_given_is_checked_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::open(&vault(&dir)).unwrap();
    for wrong in [
        &[("address", "10.0.0.2")][..],
        &[("token", TOKEN)],
        &[("address", "home.example"), ("token", TOKEN)],
        &[("address", "10.0.0.2"), ("token", "short")],
        &[("address", "10.0.0.2"), ("token", "with a blank in it, so none")],
        &[("address", "10.0.0.2"), ("token", TOKEN), ("certificate", &"ab".repeat(32))],
        &[("address", "https://10.0.0.2"), ("token", TOKEN), ("certificate", "abcd")],
    ] {
        let error = servers.add(&given(wrong)).unwrap_err();
        assert!(matches!(error, CallError::BadInput(_)) && !error.to_string().contains(TOKEN), "{error}");
    }
    let colons = "AB:".repeat(32);
    let pinned =
        given(&[("address", "https://10.0.0.2"), ("token", TOKEN), ("certificate", colons.trim_end_matches(':'))]);
    let id = servers.add(&pinned).unwrap().0;
    assert_eq!(servers.added(&id).unwrap().pin(), Some(Key([0xab; 32])));
    servers.key(&id, Key([1; 32]));
    assert_eq!(servers.added(&id).unwrap().pin(), Some(Key([0xab; 32])), "what the owner named stays");
}

#[test]
fn a_flood_of_announcements_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::open(&vault(&dir)).unwrap();
    for number in 0..500u32 {
        let advert = Advert { uuid: format!("{number:032x}"), ..advert('0') };
        servers.found(&format!("n{number}"), advert, &["10.0.0.2:8123".parse().unwrap()]);
    }
    assert_eq!(servers.all().len(), MOST_FOUND);
    assert_eq!(servers.all_lost().len(), MOST_FOUND);
    assert!(servers.all().is_empty());
}

#[test]
fn a_server_is_at_another_address_by_the_owners_word_unless_another_says_that_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::open(&vault(&dir)).unwrap();
    let id = servers.add(&given(&[("address", "https://10.0.0.2"), ("token", TOKEN)])).unwrap().0;
    servers.key(&id, Key([1; 32]));
    let moved =
        |servers: &mut Servers, address: &str| servers.add(&given(&[("address", address), ("again", id.as_str())]));
    assert_eq!(moved(&mut servers, "https://10.0.0.3").unwrap().0, id);
    let added = servers.added(&id).unwrap();
    assert_eq!((added.place.as_str(), added.pin()), ("https://10.0.0.3:8123", Some(Key([1; 32]))));
    assert!(added.token == TOKEN.into() && added.name == "Home Assistant");
    // Without a token and without saying which one, there is none.
    assert!(servers.add(&given(&[("address", "https://10.0.0.3")])).is_err());
    // It says who it is, where it was added; nobody else is taken for it then.
    servers.found("House", advert('0'), &["10.0.0.3:8123".parse().unwrap()]);
    servers.found("Other", advert('1'), &["10.0.0.4:8123".parse().unwrap()]);
    let no = moved(&mut servers, "https://10.0.0.4").unwrap_err();
    assert!(matches!(&no, CallError::BadInput(why) if why.contains("another Home Assistant")), "{no}");
    assert_eq!(servers.added(&id).unwrap().place, "https://10.0.0.3:8123");
    assert_eq!(moved(&mut servers, "https://10.0.0.5").unwrap().0, id);
    let again = Servers::open(&vault(&dir)).unwrap();
    assert_eq!(again.added(&id).unwrap().place, "https://10.0.0.5:8123");
    // Another one where it was added first is not known as it.
    let new = servers.add(&given(&[("address", "https://10.0.0.2"), ("token", TOKEN)])).unwrap().0;
    assert!(new != id && servers.added(&new).unwrap().pin().is_none());
}
