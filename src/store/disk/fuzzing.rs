//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use super::value::{Value, encode};

/// Decodes a file's bytes as the value of a key; encodes and decodes a value.
pub(crate) fn value(key: &str, bytes: &[u8]) {
    if let Some(read) = Value::decode(bytes, key) {
        assert_eq!(encode(key, &read.bytes, read.expires_at_ms), bytes);
    }
    let written = encode(key, bytes, 1);
    let read = Value::decode(&written, key).expect("a written value does not decode");
    assert_eq!((&*read.bytes, read.expires_at_ms), (bytes, 1));
    assert!(
        Value::decode(&written, &format!("{key}x")).is_none(),
        "a value of another key was returned"
    );
}
