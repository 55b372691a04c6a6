mod api { pub mod types; }
fn main() {}
