#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| octowire::fuzzing::run("sanitize", input));
