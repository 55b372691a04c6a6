use accord_model::{FieldCode, FieldSet, Timestamp};

use super::*;
use crate::core::json::{NumberText, Private};

fn packet(kind: &str, body: &str) -> Packet {
    let line = format!(r#"{{"id":"1750000000000","type":"kdeconnect.{kind}","body":{body}}}"#);
    Packet::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// One line of every type, as real peers write it.
const SEEN: &[(&str, &str)] = &[
    ("pair", r#"{"pair":true,"timestamp":1750000000}"#),
    ("ping", r#"{"message":"hello"}"#),
    (
        "share.request",
        r#"{"filename":"a.png","lastModified":1750000000000,"numberOfFiles":2,"open":false,"totalPayloadSize":9}"#,
    ),
    ("share.request.update", r#"{"numberOfFiles":3,"totalPayloadSize":12}"#),
    ("clipboard", r#"{"content":"secret"}"#),
    ("clipboard.connect", r#"{"content":"secret","timestamp":1750000000000}"#),
    ("clipboard.file", r#"{"filename":"shot.png"}"#),
    (
        "notification",
        r#"{"id":"0|org.chat|7","appName":"Chat","title":"Ann","text":"Hi","ticker":"Ann: Hi","isClearable":true,
           "silent":"false","time":"1750000000000","requestReplyId":"r1","actions":["Reply","Mute"],
           "conversation":[{"sender":"Ann","content":"Hi"}],"payloadHash":"d41d8cd98f00b204e9800998ecf8427e"}"#,
    ),
    ("notification.request", r#"{"cancel":"0|org.chat|7"}"#),
    ("notification.reply", r#"{"requestReplyId":"r1","message":"Soon"}"#),
    ("notification.action", r#"{"key":"0|org.chat|7","action":"Mute"}"#),
    ("battery", r#"{"currentCharge":81,"isCharging":false,"thresholdEvent":0,"batteryQuantity":1}"#),
    ("battery.request", r#"{"request":true}"#),
    ("connectivity_report", r#"{"signalStrengths":{"6":{"networkType":"5G","signalStrength":3}}}"#),
    ("findmyphone.request", "{}"),
    ("mpris", r#"{"playerList":["VLC"],"supportAlbumArtPayload":true}"#),
    ("mpris.request", r#"{"player":"VLC","action":"PlayPause"}"#),
    (
        "systemvolume",
        r#"{"sinkList":[{"name":"alsa","description":"Speakers","muted":false,"volume":40,"maxVolume":100}]}"#,
    ),
    ("systemvolume.request", r#"{"name":"alsa","volume":30}"#),
    ("runcommand", r#"{"commandList":"{\"k1\":{\"name\":\"Suspend\",\"command\":\"systemctl suspend\"}}"}"#),
    ("runcommand.request", r#"{"key":"k1"}"#),
    ("runcommand.output", r#"{"id":"k1","commandFinished":true,"success":true,"exitCode":0}"#),
    ("sftp.request", r#"{"startBrowsing":true}"#),
    ("sftp", r#"{"ip":"192.168.1.5","port":"1740","user":"kdeconnect","password":"pw","path":"/storage/emulated/0"}"#),
    ("lock", r#"{"isLocked":true}"#),
    ("lock.request", r#"{"setLocked":true}"#),
    ("telephony", r#"{"event":"ringing","phoneNumber":"+491701234567","contactName":"Ann"}"#),
    ("telephony.request_mute", r#"{"action":"mute"}"#),
    (
        "sms.messages",
        r#"{"version":2,"messages":[{"_id":5,"event":1,"body":"Hi","addresses":[{"address":"+4917"}],
           "date":1750000000000,"type":1,"thread_id":9,"read":0,"sub_id":1}]}"#,
    ),
    ("sms.request", r#"{"version":2,"addresses":[{"address":"+4917"}],"messageBody":"Yes","subID":1}"#),
    ("sms.request_conversations", "{}"),
    ("sms.request_conversation", r#"{"threadID":9,"numberToRequest":10}"#),
    ("sms.request_attachment", r#"{"part_id":3,"unique_identifier":"PART_3"}"#),
    ("sms.attachment_file", r#"{"filename":"PART_3"}"#),
    ("contacts.request_all_uids_timestamps", "{}"),
    ("contacts.response_uids_timestamps", r#"{"uids":["a","b"],"a":"1750000000000","b":5}"#),
    ("contacts.request_vcards_by_uid", r#"{"uids":["a"]}"#),
    ("contacts.response_vcards", r#"{"uids":["a"],"a":"BEGIN:VCARD\nFN:Ann\nEND:VCARD"}"#),
    ("mousepad.request", r#"{"dx":1.5,"dy":-2}"#),
    ("mousepad.echo", r#"{"key":"a","isAck":true}"#),
    ("mousepad.keyboardstate", r#"{"state":true}"#),
    ("presenter", r#"{"dx":0.01,"dy":-0.02}"#),
];

#[test]
fn every_type_is_read_and_reads_back_what_it_writes() {
    let seen: Vec<_> = SEEN.iter().map(|(kind, _)| format!("kdeconnect.{kind}")).collect();
    assert_eq!(seen, Body::KINDS, "one line of every type");
    for (kind, body) in SEEN {
        let packet = packet(kind, body);
        assert_eq!(short(packet.body.kind()), *kind);
        let line = packet.line(Timestamp::UNIX_EPOCH);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(Packet::parse(&line), Ok(packet));
    }
}

#[test]
fn nothing_personal_is_printed() {
    for (kind, body) in SEEN {
        let printed = format!("{:?}", packet(kind, body));
        for secret in ["secret", "+4917", "Ann", "VCARD", "pw\"", "systemctl", "Soon", "hello", "a.png", "emulated"] {
            assert!(!printed.contains(secret), "{kind} prints {secret}: {printed}");
        }
    }
}

#[test]
fn what_a_packet_reveals_depends_on_what_is_in_it() {
    let one = FieldSet::one;
    assert_eq!(Body::from(Ping::default()).fields(), FieldSet::EMPTY);
    assert_eq!(packet("ping", r#"{"message":"x"}"#).body.fields(), one(FieldCode::TextContent));
    assert_eq!(packet("clipboard", r#"{"content":"x"}"#).body.fields(), one(FieldCode::ClipboardContent));
    let file = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileMeta]);
    assert_eq!(packet("share.request", r#"{"filename":"x"}"#).body.fields(), file);
    assert_eq!(packet("share.request", r#"{"url":"x"}"#).body.fields(), one(FieldCode::TextContent));
    assert_eq!(packet("notification", r#"{"id":"x","isCancel":true}"#).body.fields(), one(FieldCode::NotificationApp));
    assert_eq!(packet("mpris.request", r#"{"requestPlayerList":true}"#).body.fields(), FieldSet::EMPTY);
    assert_eq!(packet("mpris.request", r#"{"player":"x","Seek":-5}"#).body.fields(), one(FieldCode::CommandName));
}

#[test]
fn odd_dresses_are_understood_and_written_plainly() {
    let Body::Notification(note) = packet("notification", r#"{"id":7,"silent":"true","time":1750,"actions":0}"#).body
    else {
        panic!()
    };
    assert_eq!(
        (note.id.as_str(), note.silent, note.time, note.actions),
        ("7", Some(true), Some(NumberText(1750)), None)
    );
    let line = String::from_utf8(
        Packet::from(Body::Battery(Battery { current_charge: 5, ..Default::default() }))
            .line(Timestamp::from_millisecond(9).unwrap()),
    )
    .unwrap();
    assert_eq!(
        line,
        "{\"id\":9,\"type\":\"kdeconnect.battery\",\"body\":{\"currentCharge\":5,\"isCharging\":false}}\n"
    );
    let Body::ContactsUids(uids) = packet("contacts.response_uids_timestamps", r#"{"uids":["a","gone"],"a":"4"}"#).body
    else {
        panic!()
    };
    assert_eq!(uids.0.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 4)]);
    let written = String::from_utf8(Packet::from(Pair { pair: true, timestamp: None }).line(Timestamp::UNIX_EPOCH));
    assert_eq!(written.unwrap(), "{\"id\":0,\"type\":\"kdeconnect.pair\",\"body\":{\"pair\":true}}\n");
}

#[test]
fn what_is_no_packet_is_ignored_by_name() {
    let parse = |line: &str| Packet::parse(line.as_bytes()).unwrap_err();
    for line in ["not json", "[1]", "{}", r#"{"type":7}"#] {
        assert_eq!(parse(line), Ignored::NotAPacket, "{line}");
    }
    let odd = parse("{\"type\":\"kdeconnect.new\\u001bthing\",\"body\":{}}");
    assert_eq!(odd, Ignored::Unknown("kdeconnect.new\u{FFFD}thing".into()));
    assert_eq!(parse(r#"{"type":"kdeconnect.clipboard","body":{}}"#), Ignored::Malformed("kdeconnect.clipboard"));
    assert_eq!(parse(r#"{"type":"kdeconnect.ping","body":[]}"#), Ignored::Malformed("kdeconnect.ping"));
    assert!(Packet::parse(br#"{"type":"kdeconnect.ping","body":null,"extra":1}"#).is_ok());
}

#[test]
fn a_payload_says_how_much_and_where() {
    let payload = |rest: &str| {
        let line = format!(r#"{{"type":"kdeconnect.share.request","body":{{"filename":"x"}}{rest}}}"#);
        Packet::parse(line.as_bytes()).unwrap().payload
    };
    let info = |size, port| Some(PayloadInfo { size, port });
    assert_eq!(payload(""), None);
    assert_eq!(payload(r#","payloadSize":"7","payloadTransferInfo":{"port":"1739"}"#), info(Some(7), Some(1739)));
    assert_eq!(payload(r#","payloadSize":-1,"payloadTransferInfo":{"port":1739}"#), info(None, Some(1739)));
    assert_eq!(payload(r#","payloadSize":0,"payloadTransferInfo":{}"#), info(Some(0), None));
    assert_eq!(payload(r#","payloadSize":7,"payloadTransferInfo":{"port":22}"#), info(Some(7), None));
    let share = Share { filename: Some(Private::from("x")), ..Default::default() };
    for info in [info(Some(0), None), info(Some(7), Some(1740))] {
        let packet = Packet { body: share.clone().into(), payload: info };
        assert_eq!(Packet::parse(&packet.line(Timestamp::UNIX_EPOCH)), Ok(packet));
    }
}
