//! A stored answer, and how it is written where others read it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::rules::Times;
use crate::sanitize;

/// A stored answer to a GET: always a 200.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) about: About,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) body: Bytes,
    pub(crate) times: Times,
    /// The number of the last mark in the log when it was asked for.
    pub(crate) number: u64,
    /// Tells whose token its tag is for, in the process that stored it.
    pub(crate) print: u64,
}

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// The URL that answered.
    pub(crate) url: Url,
    /// The path that was asked for, below the API's address and in lower case.
    pub(crate) path: String,
    pub(crate) operation: String,
    pub(crate) identity: String,
}

impl Entry {
    /// Whether a server repeated a secret in it, or its URL has one.
    pub(crate) fn has_secret(&self) -> bool {
        // Of headers, those that are followed keep a secret, and are marked.
        self.headers.values().any(HeaderValue::is_sensitive)
            || sanitize::has_secret(self.about.url.as_str().as_bytes())
            || sanitize::has_secret(&self.body)
    }

    /// The memory that it takes, about.
    pub(crate) fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        OVERHEAD + self.body.len() + headers.map(|header| header + 48).sum::<usize>()
    }
}

const OVERHEAD: usize = 512;

/// The first bytes of what is written, with the version of its form: another one is not read.
const MAGIC: &[u8; 8] = b"octowir\x01";
const CHECKSUM: usize = 16;
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Meta {
    about: About,
    headers: Vec<(String, String)>,
    /// In milliseconds since 1970.
    requested: u64,
    received: u64,
    number: u64,
    print: u64,
}

impl Entry {
    /// As bytes: a version, a checksum, what is told of the answer, and its body. More than so many
    /// bytes are compressed.
    pub(crate) fn encode(&self, compress_above: usize) -> Option<Bytes> {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        let meta = Meta {
            about: self.about.clone(),
            headers: headers.collect(),
            requested: millis(self.times.requested),
            received: millis(self.times.received),
            number: self.number,
            print: self.print,
        };
        let meta = serde_json::to_vec(&meta).ok()?;
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
        bytes.extend_from_slice(&checksum(form, length, &content));
        bytes.extend_from_slice(&content);
        Some(bytes.into())
    }

    /// Reads it back; `None` for what is not whole, not of this version, or larger than that.
    pub(crate) fn decode(bytes: &Bytes, max_bytes: usize) -> Option<Self> {
        let (magic, rest) = bytes.split_at_checked(MAGIC.len())?;
        let (form, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (sum, content) = rest.split_first_chunk::<CHECKSUM>()?;
        let length = u64::from_le_bytes(*length);
        let fits = usize::try_from(length).is_ok_and(|length| length <= max_bytes);
        if magic != MAGIC || !fits || *sum != checksum(*form, length, content) {
            return None;
        }
        let content = match *form {
            PLAIN => bytes.slice(HEADER..),
            DEFLATED => {
                let mut plain = Vec::new();
                // One more, to see whether it ends there.
                DeflateDecoder::new(content).take(length + 1).read_to_end(&mut plain).ok()?;
                Bytes::from(plain)
            }
            _ => return None,
        };
        if content.len() as u64 != length {
            return None;
        }
        let (size, rest) = content.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
        let meta: Meta = serde_json::from_slice(rest.get(..size)?).ok()?;
        let mut headers = HeaderMap::with_capacity(meta.headers.len());
        for (name, value) in meta.headers {
            headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        }
        Some(Self {
            about: meta.about,
            headers: Arc::new(headers),
            body: content.slice(4 + size..),
            times: Times { requested: time(meta.requested)?, received: time(meta.received)? },
            number: meta.number,
            print: meta.print,
        })
    }
}

const HEADER: usize = MAGIC.len() + 1 + 8 + CHECKSUM;

fn checksum(form: u8, length: u64, content: &[u8]) -> [u8; CHECKSUM] {
    let digest = Sha256::new_with_prefix([form]).chain_update(length.to_le_bytes());
    let digest = digest.chain_update(content).finalize();
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest[..CHECKSUM]);
    sum
}

/// Any content in the form of what [`Entry::encode`] writes, for fuzzers.
#[cfg(any(test, feature = "__fuzz"))]
pub(super) fn framed(form: u8, content: &[u8]) -> Bytes {
    let length = content.len() as u64;
    let sum = checksum(form, length, content);
    [&MAGIC[..], &[form], &length.to_le_bytes(), &sum, content].concat().into()
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(body: Vec<u8>) -> Entry {
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("W/\"1\""));
        headers.append("link", HeaderValue::from_static("<a>"));
        headers.append("link", HeaderValue::from_static("<b>"));
        let time = time(1_790_000_000_123).unwrap();
        Entry {
            about: About {
                url: "https://api.github.com/x?y=1".parse().unwrap(),
                path: "/x".to_owned(),
                operation: "GET /x".to_owned(),
                identity: "user:a".to_owned(),
            },
            headers: headers.into(),
            body: body.into(),
            times: Times { requested: time, received: time + Duration::from_millis(77) },
            number: 7,
            print: u64::MAX,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            body in prop::collection::vec(any::<u8>(), 0..2_000),
            above in 0_usize..3_000,
        ) {
            let entry = entry(body);
            let bytes = entry.encode(above).unwrap();
            prop_assert_eq!(Entry::decode(&bytes, 1 << 20), Some(entry));
        }

        #[test]
        fn what_is_cut_or_changed_is_not_there(
            body in prop::collection::vec(any::<u8>(), 0..500),
            above in 0_usize..1_000,
            at in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
        ) {
            let bytes = entry(body).encode(above).unwrap();
            let at = at.index(bytes.len());
            prop_assert_eq!(Entry::decode(&bytes.slice(..at), 1 << 20), None);
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            prop_assert_eq!(Entry::decode(&changed.into(), 1 << 20), None);
        }

        #[test]
        fn anything_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Entry::decode(&bytes.clone().into(), 1 << 20), None);
            let named = [&MAGIC[..], &bytes].concat();
            prop_assert_eq!(Entry::decode(&named.into(), 1 << 20), None);
        }
    }

    #[test]
    fn what_is_large_is_small_where_it_is_kept_and_no_larger_than_allowed_when_it_is_read() {
        let bytes = entry(vec![b'a'; 1_000_000]).encode(1_000).unwrap();
        assert!(bytes.len() < 10_000);
        assert!(Entry::decode(&bytes, 1 << 20).is_some());
        assert_eq!(Entry::decode(&bytes, 1_000_000), None);
    }
}
