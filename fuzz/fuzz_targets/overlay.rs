#![no_main]

// The tests of the crate replay the corpus with the same function.
#[path = "../../crates/codegen/tests/stages/fuzzing.rs"]
mod fuzzing;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzing::overlay(input));
