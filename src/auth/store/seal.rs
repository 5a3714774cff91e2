//! Sealing: bytes that nobody reads or changes without the key.
//!
//! AES-256-GCM with a nonce of its own for each seal. What is sealed is bound to a name, so that
//! one seal can not be put in the place of another. This module knows no files.
//!
//! ```text
//! magic            16   "octowire sealed\n"
//! version           1   1
//! fingerprint       8   of the key, by SHA-256: tells a wrong key from a change
//! length            8   of what follows the header, big-endian: tells the loss of the end
//! check             8   SHA-256 of the above: tells a change of the header by accident
//! -- the header ends here --
//! nonce            12
//! ciphertext        …
//! tag              16   over ciphertext, header and name
//! ```
//!
//! A later version keeps the header, so that this one can say that it is later.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::auth::failure::AuthFailure;
use crate::auth::personal::read_variable;
use crate::error::{Error, Result};
use crate::sanitize;

/// The key that a token store is encrypted with: 256 random bits.
///
/// Keep it apart from what it encrypts. Its `Debug` shows a fingerprint, from which the key can
/// not be had, and its memory is overwritten when it is dropped.
///
/// ```
/// use octowire::auth::SealingKey;
///
/// # fn example() -> octowire::Result<()> {
/// // Made once by `openssl rand -base64 32`, and kept where other secrets are.
/// let key = SealingKey::from_env("OCTOWIRE_STORE_KEY")?;
/// // While a key is replaced: reads what the old one sealed, and seals with the new one.
/// let key = key.or_key(SealingKey::from_env("OCTOWIRE_STORE_KEY_OLD")?);
/// # let _ = key;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SealingKey {
    first: Key,
    older: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    bytes: Zeroizing<[u8; KEY_LEN]>,
    fingerprint: [u8; FINGERPRINT_LEN],
}

const KEY_LEN: usize = 32;
const MAGIC: &[u8; 16] = b"octowire sealed\n";
const VERSION: u8 = 1;
const FINGERPRINT_LEN: usize = 8;
const CHECK_LEN: usize = 8;
const HEADER_LEN: usize = MAGIC.len() + 1 + FINGERPRINT_LEN + size_of::<u64>() + CHECK_LEN;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// What to do about a key that is none.
const MAKE_ONE: &str = "generate a key with: openssl rand -base64 32";

impl SealingKey {
    /// The key in this environment variable, in base64.
    ///
    /// # Errors
    /// If the variable is not set, or holds no key.
    pub fn from_env(variable: impl AsRef<str>) -> Result<Self> {
        let variable = variable.as_ref();
        let text = read_variable(variable)?.ok_or_else(|| {
            AuthFailure::Missing
                .error(format!("the environment variable {variable} is not set"), MAKE_ONE)
        })?;
        Self::from_base64(text).map_err(|error| error.named(variable))
    }

    /// A key in base64, of the usual alphabet or the one for URLs, with or without padding. White
    /// space around it is dropped.
    ///
    /// # Errors
    /// If it is no base64, or not that of 32 bytes.
    pub fn from_base64(text: impl Into<SecretString>) -> Result<Self> {
        let text = text.into();
        let text = text.expose_secret().trim();
        if text.is_empty() {
            return Err(AuthFailure::Empty.error("the key of the token store is empty", MAKE_ONE));
        }
        let alphabet =
            if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        // The reason is dropped on purpose: it shows a character of the key.
        let bytes = base64(alphabet).decode(text).map(Zeroizing::new).map_err(|_| {
            AuthFailure::StoreKey.error("the key of the token store is not valid base64", MAKE_ONE)
        })?;
        let bytes: &[u8; KEY_LEN] = bytes.as_slice().try_into().map_err(|_| {
            let message =
                format!("the key of the token store has {} bytes, not {KEY_LEN}", bytes.len());
            AuthFailure::StoreKey.error(message, MAKE_ONE)
        })?;
        Ok(Self::from_bytes(*bytes))
    }

    /// A key of these bytes, which have to be random: a password is no key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        let key = Self { first: Key::new(Zeroizing::new(bytes)), older: Vec::new() };
        sanitize::pin(key.to_base64().expose_secret().as_bytes());
        sanitize::pin(&*key.first.bytes);
        key
    }

    /// A new key. Keep it: without it nobody reads what it sealed.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(&mut *bytes).map_err(|error| {
            AuthFailure::StoreKey
                .error("key generation failed: no system randomness available", "try again later")
                .with_source(error)
        })?;
        Ok(Self::from_bytes(*bytes))
    }

    /// Reads what this older key sealed, too. What is written is sealed with the first key, so
    /// that the older one can go once everything has been written again.
    #[must_use]
    pub fn or_key(mut self, older: Self) -> Self {
        self.older.push(older.first);
        self.older.extend(older.older);
        self
    }

    /// The key in base64, as [`from_base64`](Self::from_base64) takes it: the first one only.
    #[must_use]
    pub fn to_base64(&self) -> SecretString {
        base64(&alphabet::STANDARD).encode(self.first.bytes.as_slice()).into()
    }

    /// Seals this under the name, with the first key.
    pub(super) fn seal(&self, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, Broken> {
        let header =
            self.first.header(NONCE_LEN.saturating_add(plaintext.len()).saturating_add(TAG_LEN));
        let start = HEADER_LEN + NONCE_LEN;
        // Of its final length, since a vector that grows leaves its bytes behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(
            start.saturating_add(plaintext.len()).saturating_add(TAG_LEN),
        ));
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&[0; NONCE_LEN]);
        sealed.extend_from_slice(plaintext);
        let (front, text) = sealed.split_at_mut_checked(start).ok_or(Broken::Cipher)?;
        let (nonce, tag) =
            self.first.cipher()?.seal_in_place_separate_tag(bound_to(&header, name), text)?;
        let place = front.last_chunk_mut::<NONCE_LEN>().ok_or(Broken::Cipher)?;
        *place = *nonce.as_ref();
        sealed.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *sealed))
    }

    /// Opens what was sealed under this name, with any of the keys.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let magic = sealed.get(..MAGIC.len()).unwrap_or(sealed);
        if !MAGIC.starts_with(magic) {
            return Err(Broken::Foreign);
        }
        let (header, body) = sealed.split_first_chunk::<HEADER_LEN>().ok_or(Broken::Truncated)?;
        let (fields, check) = header.split_last_chunk::<CHECK_LEN>().ok_or(Broken::Tampered)?;
        if digest(b"", fields) != *check {
            return Err(Broken::Tampered);
        }
        // These fit, since the header has its length.
        let (fields, length) = fields.split_last_chunk().ok_or(Broken::Tampered)?;
        let (fields, fingerprint) = fields.split_last_chunk().ok_or(Broken::Tampered)?;
        let version = *fields.last().ok_or(Broken::Tampered)?;
        if version != VERSION {
            return Err(Broken::Version(version));
        }
        match u64::from_be_bytes(*length).cmp(&(body.len() as u64)) {
            std::cmp::Ordering::Greater => return Err(Broken::Truncated),
            std::cmp::Ordering::Less => return Err(Broken::Tampered),
            std::cmp::Ordering::Equal => {}
        }
        let mut keys = std::iter::once(&self.first).chain(&self.older);
        let key = keys.find(|key| key.fingerprint == *fingerprint);
        let key = key.ok_or(Broken::Key(*fingerprint))?;
        let (nonce, text) = body.split_first_chunk::<NONCE_LEN>().ok_or(Broken::Tampered)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key
            .cipher()?
            .open_in_place(Nonce::from(nonce), bound_to(header, name), &mut text)
            .map_err(|_| Broken::Tampered)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("fingerprint", &format_args!("{}", Hex(&self.first.fingerprint)))
            .field("older", &self.older.len())
            .finish_non_exhaustive()
    }
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        // Of 256 random bits, nothing is had from their digest.
        let fingerprint = digest(b"octowire sealing key\0", &*bytes);
        Self { bytes, fingerprint }
    }

    /// Made for each use: to expand a key costs less than a microsecond.
    fn cipher(&self) -> Result<RandomizedNonceKey, Broken> {
        Ok(RandomizedNonceKey::new(&AES_256_GCM, &*self.bytes)?)
    }

    fn header(&self, body: usize) -> [u8; HEADER_LEN] {
        let mut fields = Vec::with_capacity(HEADER_LEN);
        fields.extend_from_slice(MAGIC);
        fields.push(VERSION);
        fields.extend_from_slice(&self.fingerprint);
        fields.extend_from_slice(&(body as u64).to_be_bytes());
        let check: [u8; CHECK_LEN] = digest(b"", &fields);
        fields.extend_from_slice(&check);
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&fields);
        header
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It was sealed with a key of this fingerprint, which is not at hand.
    Key([u8; FINGERPRINT_LEN]),
    /// Its end is missing.
    Truncated,
    /// It was changed.
    Tampered,
    /// It does not begin as what is sealed does.
    Foreign,
    /// It was written by a later version of this library.
    Version(u8),
    /// The cryptographic library refuses to work.
    Cipher,
}

impl Broken {
    /// The error for what is kept in this place, such as `the token store /var/lib/tokens`.
    pub(super) fn error(self, place: &str, key: &SealingKey) -> Error {
        match self {
            Self::Key(fingerprint) => AuthFailure::StoreKey.error(
                format!(
                    "{place} is encrypted with the key of fingerprint {}, not {}",
                    Hex(&fingerprint),
                    Hex(&key.first.fingerprint),
                ),
                "pass the key that encrypted it, with or_key if it was replaced; or move it away \
                 to start without its tokens",
            ),
            Self::Truncated => AuthFailure::StoreTruncated.error(
                format!("{place} is truncated"),
                "restore all of it, or move it away to start without its tokens",
            ),
            Self::Tampered => AuthFailure::StoreTampered.error(
                format!("{place} was modified outside this library"),
                "find the program that writes to it; then restore it, or move it away to start \
                 without its tokens",
            ),
            Self::Foreign => AuthFailure::StoreTampered.error(
                format!("{place} is not a token store"),
                "check its location; if that is correct, restore it, or move it away to start \
                 without its tokens",
            ),
            Self::Version(version) => AuthFailure::StoreVersion.error(
                format!(
                    "{place} has format {version}, but this version of octowire supports only \
                     {VERSION}"
                ),
                "use the version of octowire that wrote it, or a later one",
            ),
            Self::Cipher => AuthFailure::Store.error(
                format!("{place} cannot be encrypted or decrypted: cipher error"),
                "try again; if the error persists, aws-lc does not work on this machine",
            ),
        }
    }
}

impl From<Unspecified> for Broken {
    fn from(_: Unspecified) -> Self {
        Self::Cipher
    }
}

/// What the tag is made over besides the text. The header has one length, so no header and name
/// read as another header and name.
fn bound_to(header: &[u8; HEADER_LEN], name: &str) -> Aad<Vec<u8>> {
    Aad::from([header.as_slice(), name.as_bytes()].concat())
}

fn digest(prefix: &[u8], bytes: &[u8]) -> [u8; 8] {
    let digest = Sha256::new_with_prefix(prefix).chain_update(bytes).finalize();
    let mut short = [0; 8];
    short.iter_mut().zip(digest).for_each(|(short, byte)| *short = byte);
    short
}

fn base64(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// Bytes as people compare them.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests;
