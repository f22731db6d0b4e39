#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jamlet_tests::fuzz::summarizer::run(data));
