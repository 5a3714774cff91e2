//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use super::EncryptionKey;
use super::entries;

/// Parses a token file: encrypted bytes, the JSON in them, and a key.
pub(crate) fn token_file(input: &[u8]) {
    let key = EncryptionKey::from_bytes([7; 32]);
    assert!(key.open("tokens", input).is_err(), "data sealed without the key was opened");
    let sealed = key.seal("tokens", input).expect("sealing failed");
    assert_eq!(&**key.open("tokens", &sealed).expect("opening failed"), input);
    assert!(key.open("other", &sealed).is_err(), "data sealed for another name was opened");
    if let Some(read) = entries::from_json(input) {
        let written = entries::to_json(&read).expect("tokens do not serialize");
        let again = entries::from_json(&written).expect("serialized tokens do not decode");
        assert_eq!(*entries::to_json(&again).expect("tokens do not serialize"), *written);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = EncryptionKey::from_base64(text);
    }
}
