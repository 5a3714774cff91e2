//! The key under which a response is stored.

use std::fmt;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use url::Url;

use super::vary;
use crate::util::ids::Hex;

/// A digest of the URL, of the headers that a response can vary by, and of the identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// The parts of a key.
#[derive(Clone, Copy)]
pub(crate) struct KeyParts<'a> {
    pub(crate) url: &'a Url,
    /// The headers that the client sends with each call.
    pub(crate) default_headers: &'a HeaderMap,
    /// The headers that this call sends.
    pub(crate) request_headers: &'a HeaderMap,
    /// The headers of calls by which responses were seen to vary.
    pub(crate) learned_vary: &'a [HeaderName],
}

impl KeyParts<'_> {
    /// Returns the key for one identity, or the key of the pointer to the identity that stored a response last.
    pub(crate) fn key(&self, identity: Option<&str>) -> Key {
        self.digest(identity, |name| {
            vary::is_part(name.as_str()) || self.learned_vary.contains(name)
        })
    }

    /// Returns the key of a request in flight: of all its headers, since it is not known by which of them the response
    /// will vary.
    pub(crate) fn in_flight_key(&self, identity: &str) -> Key {
        self.digest(Some(identity), |_| true)
    }

    fn digest(&self, identity: Option<&str>, is_part: impl Fn(&HeaderName) -> bool) -> Key {
        let mut digest = Sha256::new_with_prefix(b"octowire cache 1\0");
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        part(self.url.as_str().as_bytes());
        match identity {
            Some(identity) => {
                part(b"as");
                part(identity.as_bytes());
            }
            None => part(b"anybody"),
        }
        let mut headers: Vec<(&str, &HeaderValue)> = Vec::with_capacity(8);
        for (name, value) in self.request_headers {
            if is_part(name) && !is_of_message(name) {
                headers.push((name.as_str(), value));
            }
        }
        for name in vary::fixed() {
            if let Some(value) =
                self.default_headers.get(name).filter(|_| !self.request_headers.contains_key(name))
            {
                headers.push((name.as_str(), value));
            }
        }
        headers.sort_by_key(|(name, _)| *name);
        for (name, value) in headers {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        Key(digest.finalize().into())
    }

    /// Returns whether the call sends headers that are no part of its key, unless responses vary by them.
    pub(crate) fn has_further_headers(&self) -> bool {
        let mut names = self.request_headers.keys();
        names.any(|name| !vary::is_part(name.as_str()) && !is_of_message(name))
    }

    /// Returns whether the key covers all headers that a response varies by.
    pub(crate) fn covers_vary(&self, mut varying: impl Iterator<Item = String>) -> bool {
        varying.all(|name| {
            let is_learned = || self.learned_vary.iter().any(|known| known.as_str() == name);
            vary::is_part(&name)
                || match self.request_headers.contains_key(&name) {
                    true => is_learned(),
                    false => !self.default_headers.contains_key(&name),
                }
        })
    }
}

/// Returns whether a header concerns the request as a message, and does not select a response.
fn is_of_message(name: &HeaderName) -> bool {
    [CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE].contains(name)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns a key of its own for each number.
    #[cfg(test)]
    pub(crate) fn numbered(number: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..size_of::<usize>()].copy_from_slice(&number.to_be_bytes());
        Self(bytes)
    }
}
