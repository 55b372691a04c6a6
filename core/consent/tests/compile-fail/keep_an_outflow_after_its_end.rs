//! A stream that was recorded as sent takes nothing more.
async fn more(mut outflow: accord_consent::Outflow<Vec<u8>>) {
    let _sent = outflow.finish().await;
    let _more = outflow.frame(b"more").await;
}
fn main() {}
