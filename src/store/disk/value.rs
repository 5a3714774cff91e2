//! The file format of a value.

use std::fs::File;
use std::io::Read;

use sha2::{Digest, Sha256};

/// A decoded value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    /// The expiry, in milliseconds since 1970.
    pub(super) expires_at_ms: u64,
}

/// The first bytes, with the version of the format.
const MAGIC: &[u8; 8] = b"octodsk\x01";
/// The first bytes in all versions.
const ALL_VERSIONS: &[u8; 7] = b"octodsk";
const CHECKSUM: usize = 16;
/// The bytes before the key.
pub(super) const HEADER: usize = MAGIC.len() + 8 + 8 + CHECKSUM;

/// Encodes a value: a version, the expiry, the length of its key, a checksum of these and of the rest, the key and the
/// value.
pub(super) fn encode(key: &str, value: &[u8], until: u64) -> Vec<u8> {
    let length = (key.len() as u64).to_le_bytes();
    let until = until.to_le_bytes();
    let sum = checksum(until, length, key.as_bytes(), value);
    [&MAGIC[..], &until, &length, &sum, key.as_bytes(), value].concat()
}

impl Value {
    /// Decodes the value of this key; `None` if the bytes are incomplete, or of another version or key.
    pub(super) fn decode(bytes: &[u8], key: &str) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (sum, rest) = rest.split_first_chunk::<CHECKSUM>()?;
        let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (known, value) = rest.split_at_checked(size)?;
        let whole = known == key.as_bytes() && *sum == checksum(*until, *length, known, value);
        whole.then(|| Self { bytes: value.to_vec(), expires_at_ms: u64::from_le_bytes(*until) })
    }
}

/// The beginning of a value's file. Its content can be damaged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ValueHeader {
    /// When the value expires, in milliseconds since 1970.
    Expires(u64),
    /// A value of a client that uses another version of the format.
    OtherVersion,
    Damaged,
}

impl ValueHeader {
    pub(super) fn read(file: &mut File) -> Self {
        let mut start = [0; MAGIC.len() + 8];
        if file.read_exact(&mut start).is_err() {
            return Self::Damaged;
        }
        let until = start.strip_prefix(MAGIC).and_then(<[u8]>::first_chunk::<8>);
        match until {
            Some(until) => Self::Expires(u64::from_le_bytes(*until)),
            None if start.starts_with(ALL_VERSIONS) => Self::OtherVersion,
            None => Self::Damaged,
        }
    }
}

/// Returns whether these bytes are a value, of any key.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let header = MAGIC.len() + 8;
    let size = bytes.get(header..).and_then(<[u8]>::first_chunk::<8>);
    let size = size.and_then(|size| usize::try_from(u64::from_le_bytes(*size)).ok());
    let key = size.zip(bytes.get(HEADER..)).and_then(|(size, rest)| rest.get(..size));
    let key = key.and_then(|key| std::str::from_utf8(key).ok());
    key.is_some_and(|key| Value::decode(bytes, key).is_some())
}

fn checksum(until: [u8; 8], length: [u8; 8], key: &[u8], value: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new().chain_update(until).chain_update(length);
    let digest = digest.chain_update(key).chain_update(value).finalize();
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest[..CHECKSUM]);
    sum
}
