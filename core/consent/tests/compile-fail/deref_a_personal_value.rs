//! A personal value does not act as what it holds.
use accord_consent::Personal;
use accord_model::FieldCode;
fn main() {
    let name = Personal::new(FieldCode::DeviceName, String::from("Kitchen"));
    let _text: &String = &*name;
}
