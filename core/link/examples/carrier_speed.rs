//! Moves bytes between two links on loopback over each carrier: `cargo run --release -p accord-link --example
//! carrier_speed [MiB]`. Both ends share this machine's cores; read ratios.

#[path = "../tests/common/mod.rs"]
mod common;

use accord_link::carrier::Carrier;
use common::{Home, paired};

fn main() {
    let size = std::env::args().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1024) << 20;
    for only in [Some(Carrier::Tls), Some(Carrier::Quic), None] {
        let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (a, b) = (Home::start(one.path(), "a", only), Home::start(other.path(), "b", only));
        let (b_at_a, _) = paired(&a, &b);
        let mut rates: Vec<(f64, String)> = (0..3).map(|_| a.push(&b_at_a, size)).collect();
        rates.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (rate, carrier) = rates.swap_remove(1);
        let mut trips: Vec<_> = (0..500)
            .map(|_| {
                let start = std::time::Instant::now();
                a.echo(&b_at_a, "64 bytes of a message that goes there and comes back, as it is.").expect("an answer");
                start.elapsed()
            })
            .collect();
        trips.sort();
        let wish = only.map_or("chosen", Carrier::as_str);
        #[allow(clippy::print_stdout)]
        {
            println!("{wish}: {carrier} {rate:.0} MiB/s; call p50 {:?} p99 {:?}", trips[250], trips[495]);
        }
    }
}
