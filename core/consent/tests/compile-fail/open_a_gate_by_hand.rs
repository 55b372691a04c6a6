//! A bound gate comes from the gate.
fn main() {
    let _bound = accord_consent::BoundGate { owner: "files".into() };
}
