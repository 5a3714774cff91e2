//! Encryption and decryption of token stores, with damaged, truncated and forged data.

use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([byte; KEY_LEN])
}

fn sealed() -> Vec<u8> {
    key(1).seal("installation:42", b"hunter2").unwrap()
}

#[test]
fn a_sealed_value_opens_only_with_its_key_and_name() {
    assert_eq!(*key(1).open("installation:42", &sealed()).unwrap(), b"hunter2");
    assert!(!sealed().windows(7).any(|bytes| bytes == b"hunter2"));
    assert_eq!(key(1).open("installation:43", &sealed()), Err(SealError::Tampered));
}

#[test]
fn no_two_seals_are_equal() {
    assert_ne!(sealed(), sealed());
}

#[test]
fn every_truncation_is_detected() {
    let sealed = sealed();
    for length in 0..sealed.len() {
        assert_eq!(
            key(1).open("installation:42", &sealed[..length]),
            Err(SealError::Truncated),
            "{length}"
        );
    }
}

#[test]
fn every_changed_bit_is_detected() {
    let sealed = sealed();
    for (index, bit) in (0..sealed.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
        let mut changed = sealed.clone();
        changed[index] ^= 1 << bit;
        let expected = if index < MAGIC.len() { SealError::Foreign } else { SealError::Tampered };
        assert_eq!(key(1).open("installation:42", &changed), Err(expected), "{index} {bit}");
    }
    let longer = [sealed.as_slice(), b"x"].concat();
    assert_eq!(key(1).open("installation:42", &longer), Err(SealError::Tampered));
}

#[test]
fn a_wrong_key_is_reported_and_a_previous_key_decrypts() {
    assert_eq!(
        key(2).open("installation:42", &sealed()),
        Err(SealError::Key(key(1).current.fingerprint))
    );
    let both = key(3).with_previous(key(2).with_previous(key(1)));
    assert_eq!(*both.open("installation:42", &sealed()).unwrap(), b"hunter2");
    let again = both.seal("installation:42", b"hunter2").unwrap();
    assert_eq!(*key(3).open("installation:42", &again).unwrap(), b"hunter2");
}

#[test]
fn a_later_format_version_is_reported() {
    let mut later = sealed();
    later[MAGIC.len()] = 2;
    let check: [u8; CHECK_LEN] = key_fingerprint(b"", &later[..HEADER_LEN - CHECK_LEN]);
    later[HEADER_LEN - CHECK_LEN..HEADER_LEN].copy_from_slice(&check);
    assert_eq!(key(1).open("installation:42", &later), Err(SealError::Version(2)));
}

#[test]
fn a_forged_header_with_a_valid_checksum_is_detected() {
    // The check is no secret: what counts is the tag.
    let mut forged = sealed();
    let start = MAGIC.len() + 1;
    forged[start..start + FINGERPRINT_LEN].copy_from_slice(&key(2).current.fingerprint);
    let check: [u8; CHECK_LEN] = key_fingerprint(b"", &forged[..HEADER_LEN - CHECK_LEN]);
    forged[HEADER_LEN - CHECK_LEN..HEADER_LEN].copy_from_slice(&check);
    assert_eq!(
        key(1).with_previous(key(2)).open("installation:42", &forged),
        Err(SealError::Tampered),
        "another key than the one it was sealed with"
    );
}

#[test]
fn a_key_is_read_from_base64_of_either_alphabet() {
    let generated = EncryptionKey::generate().unwrap();
    let text = generated.to_base64();
    let text = text.expose_secret();
    let url = text.replace('+', "-").replace('/', "_");
    for text in [text, &format!("{text}\n"), text.trim_end_matches('='), &url] {
        assert_eq!(
            EncryptionKey::from_base64(text).unwrap().current.bytes,
            generated.current.bytes
        );
    }
}

#[test]
fn an_invalid_encryption_key_is_rejected_with_advice_to_generate_one() {
    let hex = "68".repeat(32);
    for (text, failure) in [
        ("", AuthFailure::Empty),
        ("aHVudGVyMg==", AuthFailure::StoreKey),
        ("hunter2!", AuthFailure::StoreKey),
        (hex.as_str(), AuthFailure::StoreKey),
    ] {
        let error = EncryptionKey::from_base64(text).unwrap_err();
        assert_eq!(error.auth_failure(), Some(failure));
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("openssl rand -base64 32"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
    }
    let error = EncryptionKey::from_env("OCTOWIRE_NO_SUCH_KEY").unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::Missing));
    assert!(error.to_string().contains("OCTOWIRE_NO_SUCH_KEY"), "{error}");
}

#[test]
fn debug_shows_a_fingerprint_and_no_key() {
    let key = EncryptionKey::from_bytes(*b"hunter2hunter2hunter2hunter2hunt");
    let shown = format!("{key:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(key.to_base64().expose_secret()));
    assert!(!shown.contains("104, 117"), "{shown}");
    assert!(shown.contains(&Hex(&key.current.fingerprint).to_string()), "{shown}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_opened(bytes: Vec<u8>) {
        prop_assert!(key(1).open("x", &bytes).is_err());
        let behind_magic = [MAGIC.as_slice(), &bytes].concat();
        prop_assert!(key(1).open("x", &behind_magic).is_err());
    }

    #[test]
    fn any_text_round_trips_through_encryption(name: String, text: Vec<u8>) {
        let sealed = key(1).seal(&name, &text).unwrap();
        prop_assert_eq!(&*key(1).open(&name, &sealed).unwrap(), &text);
    }
}
