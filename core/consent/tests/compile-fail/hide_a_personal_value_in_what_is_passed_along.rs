use std::sync::Mutex;

use accord_consent::Personal;
use accord_model::FieldCode;

static LEAK: Mutex<String> = Mutex::new(String::new());

fn main() {
    let name = Personal::new(FieldCode::DeviceName, "Kitchen".to_owned());
    let _ = name.map_with(&LEAK, |name, leak| *leak.lock().unwrap() = name);
}
