//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use super::SealingKey;
use super::entries;

/// A token file: sealed bytes, the JSON in them, and a key.
pub(crate) fn token_file(input: &[u8]) {
    let key = SealingKey::from_bytes([7; 32]);
    assert!(key.open("tokens", input).is_err(), "it was sealed without the key");
    let sealed = key.seal("tokens", input).expect("it is sealed");
    assert_eq!(&**key.open("tokens", &sealed).expect("it is opened"), input);
    assert!(key.open("other", &sealed).is_err(), "it is bound to its name");
    if let Some(read) = entries::from_json(input) {
        let written = entries::to_json(&read).expect("tokens are written");
        let again = entries::from_json(&written).expect("what is written is read");
        assert_eq!(*entries::to_json(&again).expect("tokens are written"), *written);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = SealingKey::from_base64(text);
    }
}
