use super::*;
use crate::import;

const PAGE: &str = "Version: v20250508\n\nDiscovery\n\n• Third party name: Xiaomi Inc.\n\n• Sharing type: SDK (IDM SDK)\n\n• Shared data: device ID (OAID), IP address, TV name and type\n\n• Purpose of use: discovering and connecting to devices\n\n• Usage scenario: when discovering nearby devices\n\n• Sharing method: SDK local acquisition\n\n• Third party information processing rules: https://privacy.mi.com/all/en_US\n";

fn after(changes: &[(&str, &str)]) -> DiffEntry {
    let mut page = PAGE.to_owned();
    for (from, to) in changes {
        assert!(page.contains(from), "{from}");
        page = page.replace(from, to);
    }
    let found = diff_imported(&import(PAGE.as_bytes()), &import(page.as_bytes()));
    found.entries.into_iter().next().unwrap()
}

#[test]
fn form_changes_nothing() {
    for change in [
        ("device ID (OAID), IP address, TV name and type", "IP addresses, TV type, TV name; device ID (OAID)."),
        ("Shared data", "Shared information"),
        ("Purpose of use: discovering and connecting", "Purpose: Discovering  and Connecting"),
        ("Xiaomi Inc.", "Xiaomi, Inc"),
        ("SDK (IDM SDK)", "SDK（IDM SDK）"),
    ] {
        let found = after(&[change]);
        assert_eq!(found.change, Change::Unchanged, "{change:?} {found:?}");
        assert!(!found.consent_needed_again);
    }
}

#[test]
fn whatever_reaches_further_asks_again() {
    for (change, field) in [
        (("IP address", "IP address, location"), "shared_data"),
        (("IP address, ", "MAC address, "), "shared_data"),
        (("(OAID)", ""), "shared_data"),
        (("name and type", "name and type, etc."), "shared_data"),
        (("connecting to devices", "connecting to devices, and advertising"), "purpose"),
        (("discovering and connecting to devices", "statistics"), "purpose"),
        (("discovering and connecting to devices", "discovering users"), "purpose"),
        (("connecting to devices", "counting visits"), "purpose"),
        (("when discovering nearby devices", "when discovering nearby devices and when the screen is on"), "scenario"),
        (("SDK local acquisition", "Backend API transfer"), "method"),
        (("SDK local acquisition", "SDK native transfer"), "method"),
        (("SDK (IDM SDK)", "app (IDM SDK)"), "sharing_type"),
        (("SDK (IDM SDK)", "plugin (IDM SDK)"), "sharing_type"),
        (("• Shared data: device ID (OAID), IP address, TV name and type\n\n", ""), "shared_data"),
        (("• Usage scenario: when discovering nearby devices\n\n", ""), "scenario"),
        (("• Sharing method: SDK local acquisition\n\n", ""), "method"),
    ] {
        let found = after(&[change]);
        assert_eq!(found.change, Change::Widened, "{change:?} {found:?}");
        assert!(found.consent_needed_again && found.changed_fields.contains(&field), "{found:?}");
    }
}

#[test]
fn less_is_narrowed_and_rewording_is_flagged() {
    let found = after(&[("IP address, ", "")]);
    assert_eq!((found.change, found.data_removed.as_slice()), (Change::Narrowed, ["IP address".to_owned()].as_slice()));
    let found = after(&[("discovering and connecting to devices", "finding devices and connecting with them")]);
    assert_eq!(
        (found.change, found.changed_fields.as_slice()),
        (Change::Editorial, ["purpose"].as_slice()),
        "{found:?}"
    );
    let found = after(&[("when discovering nearby devices", "while discovering devices nearby")]);
    assert_eq!(
        (found.change, found.changed_fields.as_slice()),
        (Change::Editorial, ["scenario"].as_slice()),
        "{found:?}"
    );
    let found = after(&[("/all/en_US", "/new/en_US")]);
    assert_eq!((found.change, found.changed_fields.as_slice()), (Change::Editorial, ["rules_url"].as_slice()));
    assert!(!found.consent_needed_again);
}

#[test]
fn another_recipient_is_another_entry() {
    let other = PAGE.replace("Xiaomi Inc.", "Lebo Ltd.");
    let found = diff_imported(&import(PAGE.as_bytes()), &import(other.as_bytes()));
    let changes: Vec<_> = found.entries.iter().map(|entry| (entry.change, entry.consent_needed_again)).collect();
    assert_eq!(changes, [(Change::Added, true), (Change::Removed, false)]);
}

#[test]
fn entries_of_one_key_are_matched_by_their_data() {
    let body = PAGE.split_once("\n\n").unwrap().1;
    let two = |first: &str, second: &str| {
        format!(
            "{}\n{}",
            body.replace("IP address", first),
            body.replace("Discovery", "Other").replace("IP address", second)
        )
    };
    let found =
        diff_imported(&import(two("photos", "contacts").as_bytes()), &import(two("contacts", "photos").as_bytes()));
    assert!(found.entries.iter().all(|entry| entry.data_added.is_empty()), "{found:?}");
}

#[test]
fn our_own_entries_are_matched_by_key() {
    let read = |text: &str| match Document::read("a", text.as_bytes()).unwrap() {
        Document::Own(statement) => statement,
        Document::Imported(_) => panic!("the example is ours"),
    };
    let old = read(crate::EXAMPLE);
    let new = read(&crate::EXAMPLE.replace("\"battery.level\",", "\"battery.level\", \"location\","));
    let found = diff_own(&old, &new);
    assert_eq!(found.entries[0].change, Change::Widened);
    assert_eq!(found.entries[0].data_added, ["location"]);
    assert_eq!(
        diff_own(&old, &read(&crate::EXAMPLE.replace("Saying hello", "Greeting"))).entries[0].change,
        Change::Editorial
    );
    let json = serde_json::to_value(&found).unwrap();
    let keys: Vec<_> = json["entries"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["key", "change", "data_added", "data_removed", "changed_fields", "consent_needed_again"]);
}
