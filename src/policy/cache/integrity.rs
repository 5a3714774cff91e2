//! Integrity tags, which distinguish values that this library stored from all others.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// The length of a [tag](Integrity::tag) in bytes: HMAC-SHA-256-128, as RFC 4868 defines it.
pub(crate) const TAG: usize = 16;
/// The minimum key length in bytes. A shorter key can be guessed.
const MIN_KEY: usize = 16;

/// Makes and checks the tags of stored values.
///
/// With a key, a tag proves that a process with the same key wrote the value under this name. Without one, it finds values
/// that were damaged or moved; any program can compute it.
#[derive(Clone, Default)]
pub(crate) struct Integrity(Option<SecretString>);

impl Integrity {
    /// # Errors
    /// If the key is too short.
    pub(crate) fn new(key: Option<SecretString>) -> Result<Self> {
        if key.as_ref().is_some_and(|key| key.expose_secret().len() < MIN_KEY) {
            let message = format!("the cache's integrity key is shorter than {MIN_KEY} bytes");
            return Err(Error::new(ErrorKind::Configuration, message)
                .with_advice("use at least 32 random letters and digits"));
        }
        Ok(Self(key))
    }

    /// Returns the tag of a value, which is passed in parts. The boundaries of the parts are covered by the tag.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let full: [u8; 32] = match &self.0 {
            Some(key) => hmac(key, parts).finalize().into_bytes().into(),
            None => {
                let mut digest = Sha256::new();
                each(parts, |bytes| Digest::update(&mut digest, bytes));
                digest.finalize().into()
            }
        };
        let mut tag = [0; TAG];
        tag.copy_from_slice(&full[..TAG]);
        tag
    }

    /// Returns whether this is the tag of the value. The time of a comparison of keyed tags does not depend on them.
    pub(crate) fn is_tag(&self, tag: &[u8; TAG], parts: &[&[u8]]) -> bool {
        match &self.0 {
            Some(key) => hmac(key, parts).verify_truncated_left(tag).is_ok(),
            None => self.tag(parts) == *tag,
        }
    }
}

fn hmac(key: &SecretString, parts: &[&[u8]]) -> Hmac<Sha256> {
    // As RFC 2104 defines it for a key longer than a block: `new_from_slice` would return a result that is never an
    // error.
    let key = Sha256::digest(key.expose_secret().as_bytes());
    let mut mac = Hmac::<Sha256>::new(&block(&key));
    each(parts, |bytes| Mac::update(&mut mac, bytes));
    mac
}

/// Returns a key with the length of a block.
fn block(key: &[u8]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    block
}

fn each(parts: &[&[u8]], mut update: impl FnMut(&[u8])) {
    for part in parts {
        update(&(part.len() as u64).to_le_bytes());
        update(part);
    }
}

impl fmt::Debug for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integrity").field("is_keyed", &self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: &str) -> Integrity {
        Integrity::new(Some(key.to_owned().into())).unwrap()
    }

    #[test]
    fn a_tag_is_of_its_key_and_its_parts() {
        let parts: [&[u8]; 2] = [b"name", b"value"];
        let all = [Integrity::default(), keyed("hunter2-hunter2-h"), keyed("hunter3-hunter3-h")];
        for (number, integrity) in all.iter().enumerate() {
            let tag = integrity.tag(&parts);
            for (other, with) in all.iter().enumerate() {
                assert_eq!(with.is_tag(&tag, &parts), number == other);
            }
            assert!(!integrity.is_tag(&tag, &[b"nam", b"evalue"]));
            assert!(!integrity.is_tag(&tag, &[b"namevalue"]));
            let mut changed = tag;
            changed[TAG - 1] ^= 1;
            assert!(!integrity.is_tag(&changed, &parts));
        }
    }

    #[test]
    fn a_keyed_tag_is_the_hmac_of_the_digest_of_the_key() {
        // By another implementation of HMAC.
        let key = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"hunter2-hunter2-h");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_ref());
        let message = [&5_u64.to_le_bytes()[..], b"value"].concat();
        let expected = aws_lc_rs::hmac::sign(&key, &message);
        assert_eq!(keyed("hunter2-hunter2-h").tag(&[b"value"]), expected.as_ref()[..TAG]);
    }

    #[test]
    fn a_short_key_is_rejected() {
        let key = |length| Integrity::new(Some("x".repeat(length).into()));
        assert!(key(MIN_KEY).is_ok());
        let error = key(MIN_KEY - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!error.to_string().contains("xx"));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", keyed("hunter2-hunter2-h")).contains("hunter2"));
    }
}
