//! A personal value cannot reach a log line.
use accord_consent::Personal;
use accord_model::FieldCode;
fn main() {
    let name = Personal::new(FieldCode::DeviceName, String::from("Kitchen"));
    let _shown = format!("{name}");
    let _debugged = format!("{name:?}");
}
