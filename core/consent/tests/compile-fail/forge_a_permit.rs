//! A permit has no public field to fill in.
fn main() {
    let _permit = accord_consent::Permit { fields: accord_model::FieldSet::EMPTY };
}
