//! A personal value cannot be serialised around an envelope.
use accord_consent::Personal;
use accord_model::FieldCode;
fn main() {
    let name = Personal::new(FieldCode::DeviceName, String::from("Kitchen"));
    let _json = serde_json::to_string(&name);
}
