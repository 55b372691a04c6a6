//! What makes another value from a sealed one cannot carry it out.
use accord_consent::Personal;
use accord_model::FieldCode;
fn main() {
    let name = Personal::new(FieldCode::DeviceName, String::from("Kitchen"));
    let mut stolen = String::new();
    let _nothing = name.map(|name| stolen = name);
}
