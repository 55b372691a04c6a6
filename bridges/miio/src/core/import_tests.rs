use accord_store::rusqlite::Connection;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const TOKEN: &str = "00112233445566778899AABBCCDDEEFF";
/// The same as iOS keeps it, made with `openssl enc -aes-128-ecb` and a key of zeros.
const SEALED: &str = "33990d1a77737e5f93337b7f60880f7711a8e945937ce8136da08d4c9a0793fe0143db63ee66b0cdff9f69917680151e";

fn url(bytes: &[u8]) -> String {
    format!("data:application/octet-stream;base64,{}", BASE64.encode(bytes))
}

fn made(sql: &str) -> Vec<u8> {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    connection.serialize("main").unwrap().to_vec()
}

fn android(rows: &str) -> Vec<u8> {
    let table = "CREATE TABLE devicerecord(_id INTEGER PRIMARY KEY, did TEXT, name TEXT, localIP TEXT, mac TEXT, model TEXT, token TEXT, ssid TEXT)";
    made(&format!("{table}; INSERT INTO devicerecord(did, name, localIP, mac, model, token, ssid) VALUES {rows}"))
}

fn is_the_lamp(found: &[Found]) {
    let [lamp] = found else { panic!("{found:?}") };
    assert_eq!(
        (lamp.did, lamp.name.as_deref(), lamp.address),
        (Some(123_456_789), Some("Lamp"), Some(Ipv4Addr::new(192, 168, 1, 20)))
    );
    assert_eq!((lamp.model.as_deref(), lamp.mac.as_deref()), (Some("yeelink.light.lamp4"), Some("AA:BB:CC:DD:EE:FF")));
    assert_eq!(lamp.token, TOKEN.to_ascii_lowercase());
    let shown = format!("{found:?}");
    assert!(!shown.contains("geheim") && !shown.contains("0011"), "{shown}");
}

#[test]
fn the_files_that_people_have_are_read_and_the_rest_of_them_dropped() {
    let extractor = json!([{"server": "de", "homes": [{"home_id": 1, "devices": [{
        "name": "Lamp", "did": "123456789", "mac": "AA:BB:CC:DD:EE:FF", "localip": "192.168.1.20", "token": TOKEN,
        "model": "yeelink.light.lamp4", "ssid": "geheim", "latitude": "52.5"}]}]}]);
    let app = json!({"result": {"list": [
        {"did": "lumi.158d00", "token": TOKEN, "name": "Sub", "localip": "192.168.1.21", "model": "x y"},
        {"did": 7, "token": "0011", "name": "Bluetooth"},
        {"did": 8, "token": null, "name": "None"}]}});
    let assistant = json!({"version": 1, "data": {"entries": [{"domain": "xiaomi_miio", "title": "Purifier",
        "data": {"host": "192.168.1.30", "token": TOKEN, "mac": "aa:bb:cc:00:00:01", "model": "zhimi.airpurifier.mb3", "cloud_password": "x"}}]}});
    is_the_lamp(&read(&extractor.to_string()).unwrap());
    is_the_lamp(&read(&url(format!("\u{feff} {extractor}\n").as_bytes())).unwrap());
    let list = read(&app.to_string()).unwrap();
    assert_eq!(
        (list.len(), list[0].did, list[0].model.as_deref()),
        (1, None, None),
        "a device behind a gateway has no number of its own"
    );
    let config = read(&assistant.to_string()).unwrap();
    assert_eq!((config.len(), config[0].model.as_deref()), (1, Some("zhimi.airpurifier.mb3")));
    let shown = format!("{list:?}{config:?}");
    assert!(!shown.to_ascii_lowercase().contains("0011"), "{shown}");
}

#[test]
fn what_an_extractor_shows_is_read_with_its_colours_and_without() {
    let lines = |of: &[(&str, &str)], colour: &str, plain: &str| {
        of.iter()
            .map(|(key, value)| format!("   {colour}{:<10}{plain}{value}\r\n", format!("{key}:")))
            .collect::<String>()
    };
    let lamp = [
        ("NAME", "Lamp"),
        ("ID", "123456789"),
        ("MAC", "AA:BB:CC:DD:EE:FF"),
        ("IP", "192.168.1.20"),
        ("TOKEN", TOKEN),
        ("MODEL", "yeelink.light.lamp4"),
    ];
    let thermometer = [
        ("NAME", "Cellar: left"),
        ("ID", "blt.3.1"),
        ("BLE KEY", TOKEN),
        ("TOKEN", "001122334455667788990011"),
        ("MODEL", "x.y.z"),
    ];
    for (colour, plain) in [("", ""), ("\u{1b}[33m", "\u{1b}[0m")] {
        let rule = format!("   {colour}---------{plain}\r\n");
        let (lamp, other) = (lines(&lamp, colour, plain), lines(&thermometer, colour, plain));
        let head = "Server (one of: cn, de; Leave empty to check all available):\r\nDevices found for server \"de\" @ home \"1\":\r\n";
        is_the_lamp(&read(&format!("{head}{rule}{other}{rule}{lamp}{rule}\r\nPress ENTER to finish")).unwrap());
        // Cut out of the terminal, without the lines between.
        is_the_lamp(&read(&format!("{lamp}{other}")).unwrap());
        let two = read(&format!("{lamp}{}", lamp.replace("123456789", "5").replace("Lamp", "Plug: 2"))).unwrap();
        assert_eq!((two.len(), two[1].did, two[1].name.as_deref()), (2, Some(5), Some("Plug: 2")));
    }
}

#[test]
fn what_apps_keep_is_read_on_android_and_on_ios() {
    let row = format!(
        "('123456789', 'Lamp', '192.168.1.20', 'AA:BB:CC:DD:EE:FF', 'yeelink.light.lamp4', '{TOKEN}', 'geheim')"
    );
    let others = "('8', 'None', '', '', '', '', ''), ('9', 'Bluetooth', NULL, NULL, 'a.b.c', '001122334455667788990011', x'00ff')";
    is_the_lamp(&read(&url(&android(&format!("{others}, {row}, {row}")))).unwrap());
    let ios = |token: &str| {
        made(&format!(
            "CREATE TABLE ZDEVICE(Z_PK INTEGER PRIMARY KEY, ZDID VARCHAR, ZTOKEN VARCHAR, ZNAME VARCHAR, ZMODEL VARCHAR, ZMAC VARCHAR, ZLOCALIP VARCHAR, ZSSID VARCHAR);
             INSERT INTO ZDEVICE VALUES (1, '123456789', '{token}', 'Lamp', 'yeelink.light.lamp4', 'AA:BB:CC:DD:EE:FF', '192.168.1.20', 'geheim')"
        ))
    };
    is_the_lamp(&read(&url(&ios(SEALED))).unwrap());
    is_the_lamp(&read(&url(&ios(TOKEN))).unwrap());
    let mut with_log = ios(SEALED);
    with_log[18..20].fill(2);
    is_the_lamp(&read(&url(&with_log)).unwrap());
    // Another seal, another key, cut off.
    for bad in [&SEALED.replace("0143db63", "0143db64"), &"0".repeat(96), &SEALED[..95], &"z".repeat(96)] {
        assert!(read(&url(&ios(bad))).is_err(), "{bad}");
    }
    // A version of the app that has other columns, and numbers for texts.
    let few = made(&format!(
        "CREATE TABLE DeviceRecord(DID INT, Token TEXT, localip TEXT); INSERT INTO DeviceRecord VALUES (5, '{TOKEN}', '192.168.1.9')"
    ));
    let few = read(&url(&few)).unwrap();
    assert_eq!((few[0].did, few[0].address), (Some(5), Some(Ipv4Addr::new(192, 168, 1, 9))));
}

#[test]
fn other_files_are_refused_in_words_and_large_ones_bounded() {
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let view = made(&format!("CREATE VIEW devicerecord AS SELECT '{TOKEN}' AS token, '5' AS did"));
    let endless = made(
        "CREATE TABLE one(x); CREATE VIEW ZDEVICE AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS ZTOKEN FROM n",
    );
    let odd = made("CREATE TABLE geheim(token TEXT); INSERT INTO geheim VALUES ('geheim')");
    let mut damaged = android(&format!("('5', 'geheim', '', '', '', '{TOKEN}', '')"));
    damaged[4096 - 200..].fill(0xff);
    let urls = [
        view,
        endless,
        odd,
        damaged,
        b"\xff\xfe\x00".to_vec(),
        b"SQLite format 3\0".to_vec(),
        b"geheim".to_vec(),
        vec![],
    ]
    .map(|bytes| url(&bytes));
    let texts = [
        "",
        "{}",
        "token=00",
        "[1,2]",
        "{\"token\":",
        deep.as_str(),
        r#"{"token":"geheim"}"#,
        "TOKEN: geheim",
        "data:,geheim",
        "data:;base64,geheim!",
        "data:text/plain;base64",
    ];
    for bad in texts.into_iter().chain(urls.iter().map(String::as_str)) {
        let refused = read(bad).unwrap_err();
        assert!(!refused.contains("geheim") && !refused.contains("0011"), "{bad:.20}: {refused}");
    }
    let many: Vec<Value> = (0..1000).map(|did| json!({"did": did, "token": TOKEN})).collect();
    assert_eq!(read(&json!(many).to_string()).unwrap().len(), MOST);
    let many: Vec<String> = (0..1000).map(|did| format!("('{did}', '', '', '', '', '{TOKEN}', '')")).collect();
    assert_eq!(read(&url(&android(&many.join(", ")))).unwrap().len(), MOST);
    let large = vec![b' '; MAX_FOREIGN + 1];
    assert!(read(&url(&large)).unwrap_err().contains("1024 KiB"));
    assert!(read(str::from_utf8(&[&large[..], b"x"].concat()).unwrap()).is_err());
    let twice = json!([{"did": 1, "token": TOKEN}, {"did": 1, "token": TOKEN}]);
    assert_eq!(read(&twice.to_string()).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_makes_it_panic_or_take_long(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
        lines in prop::collection::vec("(TOKEN|ID|IP|NAME|---|\u{1b}\\[|.{0,4}):? ?[0-9a-f.:]{0,34}", 0..20),
    ) {
        let mut bytes = android(&format!("('5', 'Lamp', '192.168.1.9', '', 'a.b.c', '{TOKEN}', '')"));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let began = std::time::Instant::now();
        let _ = read(&url(&bytes));
        let _ = read(&lines.join("\n"));
        prop_assert!(began.elapsed() < 10 * WITHIN);
    }
}
