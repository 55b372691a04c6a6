use proptest::prelude::*;

use super::*;

const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
fn an_announcement_of_each_version_is_read() {
    let new = format!(
        r#"{{"alias":"Nice Orange","version":"2.2","deviceModel":"Pixel","deviceType":"mobile","fingerprint":"{HASH}",
        "port":53317,"protocol":"https","download":true,"announce":true}}"#
    );
    let read = Announcement::parse_datagram(new.as_bytes()).unwrap();
    assert_eq!((read.info.alias.as_str(), read.info.kind), ("Nice Orange", DeviceType::Mobile));
    assert!(read.announce && read.info.download && read.info.fingerprint.is_hash());
    assert_eq!(read.info.fingerprint.as_str(), HASH.to_uppercase());

    let odd = r#"{"alias":"\u001b[31mX","version":2.0,"deviceModel":null,"deviceType":"toaster","fingerprint":"abc",
        "port":"4711","protocol":"http","announcement":1,"more":{"x":[1,2]}}"#;
    let read = Announcement::parse_datagram(odd.as_bytes()).unwrap();
    assert_eq!((read.info.alias.as_str(), read.info.kind), ("\u{FFFD}[31mX", DeviceType::Desktop));
    assert_eq!((read.port, read.protocol, read.announce), (4711, Protocol::Http, true));
    assert_eq!(Announcement::parse_datagram(b"{\"alias\":\"x\"}"), Err(MessageError::Fingerprint));
    assert_eq!(Announcement::parse_datagram(&[b' '; 5000]), Err(MessageError::TooLong(4096)));
}

#[test]
fn what_we_write_has_the_documented_fields() {
    let info = DeviceInfo::new("Desk", DeviceType::Desktop, Fingerprint::parse(HASH).unwrap());
    let place = Announcement { info, port: PORT, protocol: Protocol::Https, announce: true };
    let upper = HASH.to_uppercase();
    assert_eq!(
        String::from_utf8(place.to_datagram()).unwrap(),
        format!(
            r#"{{"alias":"Desk","version":"2.2","deviceModel":null,"deviceType":"desktop","fingerprint":"{upper}","port":53317,"protocol":"https","download":false,"announce":true}}"#
        )
    );
    assert!(!String::from_utf8(place.info.to_json()).unwrap().contains("port"));
    assert!(place.fields().contains(FieldCode::KeyPublic) && !place.fields().contains(FieldCode::DeviceModel));
}

fn prepare(files: &str) -> Result<PrepareUpload, MessageError> {
    PrepareUpload::parse(format!(r#"{{"info":{{"alias":"A","fingerprint":"{HASH}"}},"files":{{{files}}}}}"#).as_bytes())
}

#[test]
fn files_keep_their_order_and_one_bad_name_refuses_all() {
    let good = r#""z":{"id":"z","fileName":"a/b.txt","size":"5","fileType":"text/plain","preview":"hello"}"#;
    let other =
        r#""a":{"id":"a","fileName":"c.bin","size":7.0,"sha256":null,"metadata":{"modified":"2026-01-01T00:00:00Z"}}"#;
    let read = prepare(&format!("{good},{other}")).unwrap();
    assert_eq!(read.files.iter().map(|file| (file.id.as_str(), file.size)).collect::<Vec<_>>(), [("z", 5), ("a", 7)]);
    assert_eq!((read.message(), read.files[0].message()), (None, Some("hello")));
    assert_eq!(prepare(good).unwrap().message(), Some("hello"));
    assert_eq!(prepare(&format!("{good},{good}")), Err(MessageError::SameId));
    let bad = other.replace("c.bin", "../../.bashrc");
    assert!(matches!(prepare(&format!("{good},{bad}")), Err(MessageError::Path { fault: PathFault::Up, .. })));
    assert!(matches!(prepare(r#""x":{"fileName":"x"}"#), Err(MessageError::Json(_))));
}

#[test]
fn too_many_files_are_refused() {
    let one = |n: usize| format!(r#""{n}":{{"fileName":"f","size":1}}"#);
    let files: Vec<String> = (0..=MAX_FILES).map(one).collect();
    assert_eq!(prepare(&files.join(",")), Err(MessageError::TooManyFiles));
}

proptest! {
    #[test]
    fn garbage_and_damaged_messages_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..400, with in any::<u8>()) {
        fuzz(&bytes);
        bytes = format!(r#"{{"info":{{"alias":"A","fingerprint":"{HASH}","port":1}},"sessionId":"s","files":{{"a":{{"fileName":"b","size":1,"sha256":"{HASH}","preview":"x"}}}}}}"#).into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        fuzz(&bytes);
        fuzz(&bytes[..at]);
    }
}
