//! A stored response, and its encoding in a store.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

use super::integrity::{Integrity, TAG};
use super::key::Key;
use super::rfc9111::ResponseTimes;
use crate::sanitize;
use crate::time::clock;
use crate::util::compact::{self, ALLOCATION_OVERHEAD};

/// A stored response to a GET: always a 200.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) metadata: EntryMetadata,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) body: Bytes,
    pub(crate) times: ResponseTimes,
    /// The number of the last invalidation in the log when the request was sent.
    pub(crate) log_sequence: u64,
    /// Identifies the token that the tag was computed for, in the process that stored it.
    pub(crate) credential_fingerprint: u64,
}

/// The request and identity that a response belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryMetadata {
    /// The URL that responded.
    pub(crate) url: Url,
    /// The path of the request, below the API's base URL and in lower case.
    pub(crate) path: String,
    pub(crate) operation: String,
    pub(crate) identity: String,
}

/// The largest number of an invalidation. Numbers begin at the milliseconds since 1970, of which this is 140,000 years: this
/// library did not write a larger one.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 52;
/// The maximum number of header lines of a stored response. GitHub sends some 25.
const MAX_HEADERS: usize = 256;
/// The maximum size of the headers of a stored response, in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// The maximum length of the entity tag or date of a stored response, in bytes. It is sent with each conditional
/// request, and servers reject requests whose headers are too large, commonly beyond 8 KiB, with the status 431.
/// GitHub's have fewer than 80 bytes.
pub(crate) const MAX_VALIDATOR: usize = 1024;
/// The maximum size of the metadata beside the body, in bytes of JSON.
pub(crate) const MAX_META: usize = 128 * 1024;
/// The clocks of the machines of a fleet differ by less. An entry with a later receive time is not used.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

impl Entry {
    /// Creates an entry in memory of its own: a copy of the body and the headers. Returns `None` if the headers exceed
    /// the bounds of storage.
    pub(crate) fn new(
        about: EntryMetadata,
        headers: &HeaderMap,
        body: &Bytes,
        of: RevalidationInfo,
    ) -> Option<Self> {
        is_storable(headers).then(|| Self {
            metadata: about,
            headers: Arc::new(compact::compact_headers(headers)),
            body: compact::bytes(body),
            times: of.times,
            log_sequence: of.log_sequence,
            credential_fingerprint: of.credential_fingerprint,
        })
    }

    /// Returns the same body with the metadata of a later response.
    pub(crate) fn revalidated(
        &self,
        about: EntryMetadata,
        headers: &Arc<HeaderMap>,
        of: RevalidationInfo,
    ) -> Option<Self> {
        let headers = match Arc::ptr_eq(headers, &self.headers) {
            true => Arc::clone(headers),
            false if is_storable(headers) => Arc::new(compact::compact_headers(headers)),
            false => return None,
        };
        Some(Self {
            metadata: about,
            headers,
            body: self.body.clone(),
            times: of.times,
            log_sequence: of.log_sequence,
            credential_fingerprint: of.credential_fingerprint,
        })
    }

    /// Returns whether the response repeats a secret, or its URL contains one or has a parameter with the name of one.
    pub(crate) fn has_secret(&self) -> bool {
        // Headers that are followed, such as links, keep their secrets, and are marked sensitive.
        self.headers.values().any(HeaderValue::is_sensitive)
            || sanitize::has_secret(self.metadata.url.as_str().as_bytes())
            // The secret can be too short to be recognized.
            || sanitize::has_secret_parameter(&self.metadata.url)
            || sanitize::has_secret(&self.body)
    }

    /// Returns the memory that the entry takes in bytes, with its place in a cache in memory.
    pub(crate) fn size(&self) -> usize {
        /// The overhead of a reference-counted pointer: two counters.
        const COUNTED: usize = 2 * size_of::<usize>() + ALLOCATION_OVERHEAD;
        /// A node of the list of entries, and its place in the table of keys, which can be less than half full.
        const LIST_NODE_BYTES: usize =
            size_of::<(Key, Arc<Entry>, [usize; 3])>() + ALLOCATION_OVERHEAD + 40;
        /// The state that the copies of a body share.
        const SHARED: usize = 4 * size_of::<usize>() + ALLOCATION_OVERHEAD;
        let EntryMetadata { url, path, operation, identity } = &self.metadata;
        let texts = [url.as_str().len(), path.len(), operation.len(), identity.len()];
        let texts: usize = texts.iter().map(|length| length + ALLOCATION_OVERHEAD).sum();
        let body = self.body.len() + ALLOCATION_OVERHEAD + SHARED;
        let headers = compact::size_of_headers(&self.headers) + COUNTED;
        LIST_NODE_BYTES + size_of::<Self>() + COUNTED + texts + headers + body
    }
}

/// Why a stored value is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// No client can read it.
    Invalid,
    /// Other clients can read it: a client of another version, with a larger limit, or with a clock that is not behind.
    ForOthers,
}

/// The exchange with GitHub that an entry came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RevalidationInfo {
    pub(crate) times: ResponseTimes,
    pub(crate) log_sequence: u64,
    pub(crate) credential_fingerprint: u64,
}

/// Returns whether the headers of a response are within the bounds of storage.
fn is_storable(headers: &HeaderMap) -> bool {
    let bytes =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    let validators = [ETAG, LAST_MODIFIED];
    let mut validators = validators.iter().flat_map(|name| headers.get_all(name));
    headers.len() <= MAX_HEADERS
        && bytes <= MAX_HEADER_BYTES
        && validators.all(|value| value.len() <= MAX_VALIDATOR)
}

/// The first bytes of an encoded entry, with the version of the format: another version is not read.
const MAGIC: &[u8; 8] = b"octowir\x03";
/// The same without the version.
const ANY_VERSION: &[u8] = b"octowir";
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredMetadata {
    metadata: EntryMetadata,
    headers: Vec<(String, String)>,
    requested_at_ms: u64,
    received_at_ms: u64,
    log_sequence: u64,
    credential_fingerprint: u64,
}

impl Entry {
    /// Encodes the entry: a version, a tag, the metadata of the response, and its body. Content of more bytes than this
    /// is compressed. Returns `None` if the result exceeds the size that is read again.
    pub(crate) fn encode(
        &self,
        key: Key,
        integrity: &Integrity,
        compress_above: usize,
    ) -> Option<Bytes> {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let meta = StoredMetadata {
            metadata: self.metadata.clone(),
            headers: headers.collect(),
            requested_at_ms: clock::unix_millis(self.times.requested),
            received_at_ms: clock::unix_millis(self.times.received),
            log_sequence: self.log_sequence,
            credential_fingerprint: self.credential_fingerprint,
        };
        let meta = serde_json::to_vec(&meta).ok().filter(|meta| meta.len() <= MAX_META)?;
        let mut content = Vec::with_capacity(4 + meta.len() + self.body.len());
        content.extend_from_slice(&u32::try_from(meta.len()).ok()?.to_le_bytes());
        content.extend_from_slice(&meta);
        content.extend_from_slice(&self.body);
        let length = content.len() as u64;
        let (form, content) = if content.len() > compress_above {
            let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
            deflate.write_all(&content).ok()?;
            (DEFLATED, deflate.finish().ok()?)
        } else {
            (PLAIN, content)
        };
        let mut bytes = Vec::with_capacity(HEADER + content.len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(form);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&integrity.tag(&[
            &head(key, form),
            &length.to_le_bytes(),
            &content,
        ]));
        bytes.extend_from_slice(&content);
        Some(bytes.into())
    }

    /// Decodes an entry if it is whole, has this version, key and process, is not larger than this number of bytes, and
    /// is within the bounds of storage.
    pub(crate) fn decode(
        bytes: &Bytes,
        key: Key,
        integrity: &Integrity,
        max_bytes: usize,
        now: SystemTime,
    ) -> Result<Self, Unusable> {
        if bytes.starts_with(ANY_VERSION) && !bytes.starts_with(MAGIC) {
            return Err(Unusable::ForOthers);
        }
        let frame = Frame::read(bytes, key, integrity).ok_or(Unusable::Invalid)?;
        if !usize::try_from(frame.length).is_ok_and(|length| length <= max_bytes) {
            return Err(Unusable::ForOthers);
        }
        let entry = Self::read(bytes, &frame).ok_or(Unusable::Invalid)?;
        let latest = now.checked_add(MAX_CLOCK_SKEW);
        if latest.is_none_or(|latest| entry.times.received > latest) {
            return Err(Unusable::ForOthers);
        }
        Ok(entry)
    }

    fn read(bytes: &Bytes, frame: &Frame<'_>) -> Option<Self> {
        let content = match frame.form {
            PLAIN => bytes.slice(HEADER..),
            DEFLATED => {
                let mut plain = Vec::new();
                // Reads one byte more, to detect content that is too long.
                let most = frame.length.saturating_add(1);
                DeflateDecoder::new(frame.content).take(most).read_to_end(&mut plain).ok()?;
                Bytes::from(plain)
            }
            _ => return None,
        };
        if content.len() as u64 != frame.length {
            return None;
        }
        let (size, rest) = content.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        if size > MAX_META {
            return None;
        }
        let meta: StoredMetadata = serde_json::from_slice(rest.get(..size)?).ok()?;
        let times = ResponseTimes {
            requested: time(meta.requested_at_ms)?,
            received: time(meta.received_at_ms)?,
        };
        if meta.log_sequence > MAX_SEQUENCE {
            return None;
        }
        Some(Self {
            metadata: meta.metadata,
            headers: Arc::new(read_headers(meta.headers)?),
            body: content.slice(4 + size..),
            times,
            log_sequence: meta.log_sequence,
            credential_fingerprint: meta.credential_fingerprint,
        })
    }
}

/// The frame before the content of an entry, with a valid tag.
struct Frame<'a> {
    form: u8,
    /// The length of the uncompressed content in bytes.
    length: u64,
    content: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8], key: Key, integrity: &Integrity) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (&form, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (tag, content) = rest.split_first_chunk::<TAG>()?;
        let is_whole = integrity.is_tag(tag, &[&head(key, form), length, content]);
        is_whole.then(|| Self { form, length: u64::from_le_bytes(*length), content })
    }
}

/// Decodes the headers of an entry, unless they exceed the bounds of storage.
fn read_headers(lines: Vec<(String, String)>) -> Option<HeaderMap> {
    if lines.len() > MAX_HEADERS {
        return None;
    }
    let mut headers = HeaderMap::try_with_capacity(lines.len()).ok()?;
    for (name, value) in lines {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        // Only text is encoded.
        value.to_str().ok()?;
        headers.try_append(name, value).ok()?;
    }
    is_storable(&headers).then_some(headers)
}

const HEADER: usize = MAGIC.len() + 1 + 8 + TAG;

/// Returns the data that the tag covers beside the content: an entry under another key is invalid.
fn head(key: Key, form: u8) -> Vec<u8> {
    [MAGIC.as_slice(), &[form], key.as_bytes()].concat()
}

/// Any content in the form that [`Entry::encode`] writes without a key: any program can write it.
#[cfg(any(test, feature = "__fuzz"))]
pub(super) fn framed(key: Key, form: u8, length: u64, content: &[u8]) -> Bytes {
    let length = length.to_le_bytes();
    let tag = Integrity::default().tag(&[&head(key, form), &length, content]);
    [&MAGIC[..], &[form], &length, &tag, content].concat().into()
}

fn time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests;
