//! A permit is moved into what it is used for.
async fn twice(permit: accord_consent::Permit, to: accord_consent::Destination) {
    let _first = permit.seal(accord_consent::Envelope::new(), to.clone()).await;
    let _second = permit.seal(accord_consent::Envelope::new(), to).await;
}
fn main() {}
