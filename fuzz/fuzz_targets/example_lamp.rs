//! The example bridge's core.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use accord_example_bridge::core::{Core, Input, Output};
    let now = std::time::Instant::now();
    let mut core = Core::new(now);
    for portion in bytes.chunks(7) {
        core.handle(Input::Bytes(portion), now);
        while !matches!(core.poll_output(), Output::Wait(_)) {}
    }
});
