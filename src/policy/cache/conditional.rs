//! Conditional requests: the validators that a request sends, and whether a 304 can be for them.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{
    ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue};

use super::entry::{Entry, MAX_VALIDATOR};
use super::etag::{RequestDigest, weak_etag};
use crate::error::{Error, ErrorKind};

/// Headers that make a request conditional, or request a part. A call that sets one bypasses the cache; those of a read
/// through the cache are the cache's own.
pub(crate) static CONDITIONS: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// The size in bytes above which validators can cause a 400, since some servers reject headers that are too large. With
/// shorter validators, a 400 has another cause.
const MAX_VALIDATOR_BYTES: usize = 256;

/// The validators of a request, which depend on the token that it is signed with
/// ([RFC 9110, 13.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1)).
#[derive(Debug, Default)]
pub(crate) struct Validators {
    salt: [u8; 16],
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
    /// The body whose tag is computed for any token other than the one of this fingerprint.
    body: Option<(Bytes, Option<u64>)>,
    sent: Mutex<Option<SentValidators>>,
}

/// The validators that were sent last.
#[derive(Clone)]
pub(crate) struct SentValidators {
    pub(crate) signature: RequestDigest,
    /// The tag that was computed, if any.
    pub(crate) computed: Option<HeaderValue>,
    /// The size of the request's validators in bytes; 0 for an unconditional request.
    pub(crate) validator_bytes: usize,
}

impl Validators {
    /// An unconditional request.
    pub(crate) fn none(salt: [u8; 16]) -> Self {
        Self { salt, ..Self::default() }
    }

    /// A request that is conditional on an entry of this identity.
    pub(crate) fn for_own_entry(salt: [u8; 16], entry: &Entry, compute: bool) -> Self {
        let validator =
            |name| entry.headers.get(name).filter(|value| value.len() <= MAX_VALIDATOR).cloned();
        Self {
            salt,
            etag: validator(ETAG),
            last_modified: validator(LAST_MODIFIED),
            body: compute.then(|| (entry.body.clone(), Some(entry.credential_fingerprint))),
            sent: Mutex::default(),
        }
    }

    /// A request that is conditional on an entry of another identity. Only a tag that is computed from this identity's
    /// token proves that this identity would receive the same response.
    pub(crate) fn for_other_identity(salt: [u8; 16], entry: &Entry) -> Self {
        Self { salt, body: Some((entry.body.clone(), None)), ..Self::default() }
    }

    /// Adds the validators to headers that are otherwise complete.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        let signature = RequestDigest::from_headers(headers, &self.salt);
        let computed = self
            .body
            .as_ref()
            .filter(|(_, fingerprint)| *fingerprint != Some(signature.credential_fingerprint));
        let computed = computed.and_then(|(body, _)| weak_etag(&signature.predict_tag(body)));
        for tag in self.etag.iter().chain(&computed) {
            // A further field line has the meaning of a further tag in the list (RFC 9110, 5.3), but not every server
            // reads it so.
            let list = match headers.get(IF_NONE_MATCH) {
                Some(before) => [before.as_bytes(), b", ", tag.as_bytes()].concat(),
                None => tag.as_bytes().to_vec(),
            };
            if let Ok(list) = HeaderValue::from_bytes(&list) {
                headers.insert(IF_NONE_MATCH, list);
            }
        }
        if let Some(date) = self.last_modified.as_ref().filter(|_| self.etag.is_none()) {
            headers.insert(IF_MODIFIED_SINCE, date.clone());
        }
        let validators = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
        let validators = validators.iter().filter_map(|name| headers.get(name));
        let validator_bytes = validators.map(HeaderValue::len).sum();
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(SentValidators { signature, computed, validator_bytes });
    }

    /// Returns whether the server rejected the condition rather than the request, so that the same request without the
    /// condition can succeed: with 431 for headers that are too large
    /// ([RFC 6585, 5](https://www.rfc-editor.org/rfc/rfc6585#section-5)), or with 400 if the validators are long. A 412
    /// concerns any condition; for a GET with these validators, a server that follows
    /// [RFC 9110, 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2) responds with 304.
    pub(crate) fn is_rejected(&self, error: &Error) -> bool {
        let bytes = self.sent().map_or(0, |sent| sent.validator_bytes);
        error.kind() == ErrorKind::Api
            && match error.status().map_or(0, |status| status.as_u16()) {
                412 | 431 => bytes > 0,
                400 => bytes > MAX_VALIDATOR_BYTES,
                _ => false,
            }
    }

    /// Returns the validators that were sent last, if any.
    pub(crate) fn sent(&self) -> Option<SentValidators> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for SentValidators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}
