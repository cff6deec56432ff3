#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| seawall_fuzz_short::check("rate_limit", input));
