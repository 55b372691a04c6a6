//! Only this crate opens a seal, under a permit.
use accord_consent::Personal;
use accord_model::FieldCode;
fn main() {
    let name = Personal::new(FieldCode::DeviceName, String::from("Kitchen"));
    let _text = name.open();
    let _value = name.value;
}
