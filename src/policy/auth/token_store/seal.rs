//! Authenticated encryption of tokens: without the key, the data can be neither read nor changed.
//!
//! AES-256-GCM with a new nonce for each encryption. The ciphertext is bound to a name, so that it cannot be moved to
//! the place of another. This module does not know files.
//!
//! ```text
//! magic            16   "octowire sealed\n"
//! version           1   1
//! fingerprint       8   of the key, by SHA-256: distinguishes a wrong key from a change
//! length            8   of what follows the header, big-endian: detects the loss of the end
//! check             8   SHA-256 of the above: detects accidental damage to the header
//! -- the header ends here --
//! nonce            12
//! ciphertext        …
//! tag              16   over ciphertext, header and name
//! ```
//!
//! A later version keeps the header, so that this one can report it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::environment::{ProcessEnvironment, read_variable};
use crate::sanitize;
use crate::util::ids::Hex;

/// The encryption key of a token store: 256 random bits.
///
/// Keep it apart from the encrypted data. Its `Debug` shows a fingerprint, from which the key cannot be derived, and
/// its memory is overwritten when it is dropped.
///
/// ```
/// use octowire::auth::EncryptionKey;
///
/// # fn example() -> octowire::Result<()> {
/// // Created once with `openssl rand -base64 32`, and kept with other secrets.
/// let key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
/// // During a key rotation: decrypts with the old key too, and encrypts with the new one.
/// let key = key.with_previous(EncryptionKey::from_env("OCTOWIRE_STORE_KEY_OLD")?);
/// # let _ = key;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptionKey {
    current: Key,
    previous: Vec<Key>,
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

/// The advice for an invalid key.
const KEY_ADVICE: &str = "generate a key with: openssl rand -base64 32";

impl EncryptionKey {
    /// Reads the key from this environment variable, in base64.
    ///
    /// # Errors
    /// If the variable is not set, or does not contain a key.
    pub fn from_env(variable: impl AsRef<str>) -> Result<Self> {
        let variable = variable.as_ref();
        let text = read_variable(&ProcessEnvironment, variable)?.ok_or_else(|| {
            AuthFailure::Missing
                .error(format!("the environment variable {variable} is not set"), KEY_ADVICE)
        })?;
        Self::from_base64(text).map_err(|error| error.with_origin(variable))
    }

    /// Parses a key in base64, of the standard or the URL-safe alphabet, with or without padding. White space around it
    /// is dropped.
    ///
    /// # Errors
    /// If it is not base64, or not of 32 bytes.
    pub fn from_base64(text: impl Into<SecretString>) -> Result<Self> {
        let text = text.into();
        let text = text.expose_secret().trim();
        if text.is_empty() {
            return Err(AuthFailure::Empty.error("the key of the token store is empty", KEY_ADVICE));
        }
        let alphabet =
            if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        // The reason is dropped on purpose: it shows a character of the key.
        let bytes = base64(alphabet).decode(text).map(Zeroizing::new).map_err(|_| {
            AuthFailure::StoreKey
                .error("the key of the token store is not valid base64", KEY_ADVICE)
        })?;
        let bytes: &[u8; KEY_LEN] = bytes.as_slice().try_into().map_err(|_| {
            let message =
                format!("the key of the token store has {} bytes, not {KEY_LEN}", bytes.len());
            AuthFailure::StoreKey.error(message, KEY_ADVICE)
        })?;
        Ok(Self::from_bytes(*bytes))
    }

    /// Creates a key of these bytes, which have to be random: a password is not a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        let key = Self { current: Key::new(Zeroizing::new(bytes)), previous: Vec::new() };
        sanitize::pin(key.to_base64().expose_secret().as_bytes());
        sanitize::pin(&*key.current.bytes);
        key
    }

    /// Generates a key. Store it: without it, the encrypted data is lost.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(&mut *bytes).map_err(|error| {
            AuthFailure::StoreKey
                .error("key generation failed: no system randomness available", "try again later")
                .with_source(error)
        })?;
        Ok(Self::from_bytes(*bytes))
    }

    /// Adds an older key for decryption. New data is encrypted with the first key, so that the older one can be removed
    /// once all data has been written again.
    #[must_use]
    pub fn with_previous(mut self, older: Self) -> Self {
        self.previous.push(older.current);
        self.previous.extend(older.previous);
        self
    }

    /// Returns the key in base64, as [`from_base64`](Self::from_base64) accepts it: the first one only.
    #[must_use]
    pub fn to_base64(&self) -> SecretString {
        base64(&alphabet::STANDARD).encode(self.current.bytes.as_slice()).into()
    }

    /// Encrypts this under the name, with the first key.
    pub(super) fn seal(&self, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let header =
            self.current.header(NONCE_LEN.saturating_add(plaintext.len()).saturating_add(TAG_LEN));
        let start = HEADER_LEN + NONCE_LEN;
        // Allocated with its final length, since a growing vector leaves its old bytes in memory.
        let mut sealed = Zeroizing::new(Vec::with_capacity(
            start.saturating_add(plaintext.len()).saturating_add(TAG_LEN),
        ));
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&[0; NONCE_LEN]);
        sealed.extend_from_slice(plaintext);
        let (front, text) = sealed.split_at_mut_checked(start).ok_or(SealError::Cipher)?;
        let (nonce, tag) = self
            .current
            .cipher()?
            .seal_in_place_separate_tag(associated_data(&header, name), text)?;
        let place = front.last_chunk_mut::<NONCE_LEN>().ok_or(SealError::Cipher)?;
        *place = *nonce.as_ref();
        sealed.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *sealed))
    }

    /// Decrypts data of this name, with any of the keys.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let magic = sealed.get(..MAGIC.len()).unwrap_or(sealed);
        if !MAGIC.starts_with(magic) {
            return Err(SealError::Foreign);
        }
        let (header, body) =
            sealed.split_first_chunk::<HEADER_LEN>().ok_or(SealError::Truncated)?;
        let (fields, check) = header.split_last_chunk::<CHECK_LEN>().ok_or(SealError::Tampered)?;
        if key_fingerprint(b"", fields) != *check {
            return Err(SealError::Tampered);
        }
        // These fit, since the header has its length.
        let (fields, length) = fields.split_last_chunk().ok_or(SealError::Tampered)?;
        let (fields, fingerprint) = fields.split_last_chunk().ok_or(SealError::Tampered)?;
        let version = *fields.last().ok_or(SealError::Tampered)?;
        if version != VERSION {
            return Err(SealError::Version(version));
        }
        match u64::from_be_bytes(*length).cmp(&(body.len() as u64)) {
            std::cmp::Ordering::Greater => return Err(SealError::Truncated),
            std::cmp::Ordering::Less => return Err(SealError::Tampered),
            std::cmp::Ordering::Equal => {}
        }
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let key = keys.find(|key| key.fingerprint == *fingerprint);
        let key = key.ok_or(SealError::Key(*fingerprint))?;
        let (nonce, text) = body.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Tampered)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key
            .cipher()?
            .open_in_place(Nonce::from(nonce), associated_data(header, name), &mut text)
            .map_err(|_| SealError::Tampered)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey")
            .field("fingerprint", &format_args!("{}", Hex(&self.current.fingerprint)))
            .field("older", &self.previous.len())
            .finish_non_exhaustive()
    }
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        // A digest of 256 random bits discloses nothing.
        let fingerprint = key_fingerprint(b"octowire sealing key\0", &*bytes);
        Self { bytes, fingerprint }
    }

    /// Creates the cipher for each use: expanding a key costs less than a microsecond.
    fn cipher(&self) -> Result<RandomizedNonceKey, SealError> {
        Ok(RandomizedNonceKey::new(&AES_256_GCM, &*self.bytes)?)
    }

    fn header(&self, body: usize) -> [u8; HEADER_LEN] {
        let mut fields = Vec::with_capacity(HEADER_LEN);
        fields.extend_from_slice(MAGIC);
        fields.push(VERSION);
        fields.extend_from_slice(&self.fingerprint);
        fields.extend_from_slice(&(body as u64).to_be_bytes());
        let check: [u8; CHECK_LEN] = key_fingerprint(b"", &fields);
        fields.extend_from_slice(&check);
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&fields);
        header
    }
}

/// Why encryption or decryption failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SealError {
    /// It was encrypted with a key of this fingerprint, which is not available.
    Key([u8; FINGERPRINT_LEN]),
    /// It is truncated.
    Truncated,
    /// It was changed.
    Tampered,
    /// It does not begin with the header.
    Foreign,
    /// A later version of this library wrote it.
    Version(u8),
    /// The cryptographic library failed.
    Cipher,
}

impl SealError {
    /// Returns the error for data at this place, such as `the token store /var/lib/tokens`.
    pub(super) fn error(self, place: &str, key: &EncryptionKey) -> Error {
        match self {
            Self::Key(fingerprint) => AuthFailure::StoreKey.error(
                format!(
                    "{place} is encrypted with the key of fingerprint {}, not {}",
                    Hex(&fingerprint),
                    Hex(&key.current.fingerprint),
                ),
                "pass the key that encrypted it, with with_previous if it was replaced; or move it away \
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

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self::Cipher
    }
}

/// Returns the associated data of the tag. The header has a fixed length, so no other header and name give the same
/// bytes.
fn associated_data(header: &[u8; HEADER_LEN], name: &str) -> Aad<Vec<u8>> {
    Aad::from([header.as_slice(), name.as_bytes()].concat())
}

fn key_fingerprint(prefix: &[u8], bytes: &[u8]) -> [u8; 8] {
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

#[cfg(test)]
mod tests;
