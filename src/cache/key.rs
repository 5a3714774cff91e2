//! The key under which a response is stored.

use std::fmt;

use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use url::Url;

use crate::names::Hex;

/// A digest of the URL, of the headers that a response can vary by, and of the identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// The headers that a client sends with each call and that change the response.
static VARYING_HEADERS: [HeaderName; 3] =
    [ACCEPT, ACCEPT_LANGUAGE, HeaderName::from_static("x-github-api-version")];
/// Headers that the key ignores: they concern the connection, or the identity in the key represents them.
const IGNORED_VARY: [&str; 5] =
    ["accept-encoding", "authorization", "origin", "x-github-otp", "x-requested-with"];

/// The parts of a key.
#[derive(Clone, Copy)]
pub(crate) struct KeyParts<'a> {
    pub(crate) url: &'a Url,
    /// The headers that the client sends with each call.
    pub(crate) default_headers: &'a HeaderMap,
    /// The headers that this call sends.
    pub(crate) request_headers: &'a HeaderMap,
}

impl KeyParts<'_> {
    /// Returns the key for one identity, or the key of the pointer to the identity that stored a response last.
    pub(crate) fn key(&self, identity: Option<&str>) -> Key {
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
            if ![CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE].contains(name) {
                headers.push((name.as_str(), value));
            }
        }
        for name in &VARYING_HEADERS {
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

    /// Returns whether the key covers all headers that a response varies by.
    pub(crate) fn covers_vary(&self, varying: impl Iterator<Item = String>) -> bool {
        varying.into_iter().all(|name| {
            IGNORED_VARY.contains(&name.as_str())
                || VARYING_HEADERS.iter().any(|known| known.as_str() == name)
                || self.request_headers.contains_key(&name)
                || !self.default_headers.contains_key(&name)
        })
    }
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
}
