//! Conditional requests: the validators that a request sends, and the stored response that a 304 confirms.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::entry::{Entry, MAX_VALIDATOR, RevalidationInfo};
use super::etag::{RequestDigest, weak_etag};
use super::lookup::{CacheLookup, RevalidationContext, StoredEntry};
use super::policy::CachePolicy;
use super::result::CacheResult;
use super::rfc9111;
use crate::error::{Error, ErrorKind};
use crate::policy::context::AttemptContext;
use crate::response::{CacheStatus, RawResponse};

/// Headers that make a request conditional, or request a part. A call that sets one bypasses the cache; those of a read
/// through the cache are the cache's own.
pub(crate) static CONDITIONS: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// The size in bytes above which validators can cause a 400, since some servers reject headers that are too large. With
/// shorter validators, a 400 has another cause.
const MAX_VALIDATOR_BYTES: usize = 256;

/// The validators of a request, which depend on the token that it carries
/// ([RFC 9110, 13.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1)).
#[derive(Debug, Default)]
pub(crate) struct Validators {
    salt: [u8; 16],
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
    /// The body whose `ETag` is computed for any token other than the one of this fingerprint.
    body: Option<(Bytes, Option<u64>)>,
    sent: Mutex<Option<SentValidators>>,
}

/// The validators that were sent last.
#[derive(Clone)]
pub(crate) struct SentValidators {
    pub(crate) signature: RequestDigest,
    /// The `ETag` that was computed, if any.
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
        f.debug_struct("SentValidators").finish_non_exhaustive()
    }
}

const MEDIA_TYPE: HeaderName = HeaderName::from_static("x-github-media-type");
/// The headers that an entry of another identity can disclose: they belong to the body.
static BODY_HEADERS: [HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, LAST_MODIFIED, VARY, MEDIA_TYPE];
/// The interval after which a current response is written to a store again, so that it does not expire.
const REWRITE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The handling of a 304 (Not Modified).
impl CacheLookup {
    /// Handles a 304, which confirms that the stored response is current. Returns `None` if the request was not
    /// conditional on it.
    pub(crate) fn on_not_modified(
        &self,
        context: &AttemptContext<'_>,
        base: &StoredEntry,
        raw: RawResponse,
        exchange: RevalidationContext,
    ) -> Option<CacheResult> {
        let sent = exchange.sent.as_ref().filter(|sent| sent.validator_bytes > 0)?;
        let (stored, own) = match base {
            StoredEntry::None => return None,
            StoredEntry::Own(entry, _) => (entry, true),
            StoredEntry::OtherIdentity(entry) => (entry, false),
        };
        let mut headers =
            rfc9111::update_headers(disclosed_headers(stored, own), raw.headers.map());
        let mut fingerprint = stored.credential_fingerprint;
        // A tag in GitHub's response is for the current token; so is the computed one.
        let has_etag = raw.headers.map().contains_key(ETAG);
        if let Some(computed) = sent.computed.as_ref().filter(|_| !has_etag) {
            Arc::make_mut(&mut headers).insert(ETAG, computed.clone());
        }
        if has_etag || sent.computed.is_some() {
            fingerprint = sent.signature.credential_fingerprint;
        }
        let metadata = self.metadata(context, &raw.operation, raw.url.clone());
        let log_sequence = exchange.log_sequence.unwrap_or(stored.log_sequence);
        let info = RevalidationInfo {
            times: exchange.times,
            log_sequence,
            credential_fingerprint: fingerprint,
        };
        // A 200 with these headers would not be stored either.
        let is_storable = rfc9111::is_storable(StatusCode::OK, &headers);
        match stored.revalidated(metadata, &headers, info).filter(|_| is_storable) {
            Some(entry)
                if exchange.log_sequence.is_some()
                    && (!own || self.needs_write(stored, &entry)) =>
            {
                self.insert(context, &Arc::new(entry));
            }
            Some(_) => {}
            None => self.cache.storage.remove(self.key),
        }
        Some(CacheResult {
            status: StatusCode::OK,
            headers: with_missing_headers(raw.headers.into_shared(), &headers),
            url: raw.url,
            body: stored.body.clone(),
            cache_status: CacheStatus::Revalidated,
            age: Some(Duration::ZERO),
        })
    }

    /// Returns whether a current response has to be stored again: where that takes a write, only if the new values
    /// matter.
    fn needs_write(&self, before: &Entry, entry: &Entry) -> bool {
        let since = entry.times.received.duration_since(before.times.received).unwrap_or_default();
        self.cache.storage.is_memory()
            || self.policy != CachePolicy::revalidate()
            || before.log_sequence != entry.log_sequence
            || before.headers.get(ETAG) != entry.headers.get(ETAG)
            || since > REWRITE_INTERVAL
    }
}

/// Returns the stored headers that this identity may see: all of its own entry.
fn disclosed_headers(stored: &Entry, own: bool) -> Arc<HeaderMap> {
    if own {
        return Arc::clone(&stored.headers);
    }
    let kept = BODY_HEADERS.iter().flat_map(|name| {
        stored.headers.get_all(name).iter().map(move |value| (name.clone(), value.clone()))
    });
    Arc::new(kept.collect())
}

/// Returns the headers of an exchange, such as those of its rate limit, and those of the stored response that it lacks.
fn with_missing_headers(mut exchange: Arc<HeaderMap>, stored: &HeaderMap) -> Arc<HeaderMap> {
    let all = Arc::make_mut(&mut exchange);
    let missing: Vec<_> = stored.keys().filter(|name| !all.contains_key(*name)).collect();
    for name in missing {
        for value in stored.get_all(name) {
            all.append(name.clone(), value.clone());
        }
    }
    exchange
}
