//! A permit cannot be kept beside the one that is used.
fn kept(permit: &accord_consent::Permit) -> accord_consent::Permit {
    permit.clone()
}
fn main() {
    let _ = kept;
}
