//! ETag prediction: the `ETag` that GitHub computes for a stored body and the current token.
//!
//! As was [observed](https://github.com/bored-engineer/github-conditional-http-transport), and GitHub does not
//! document, a tag is the SHA-256 of the values of `Accept`, `Authorization` and `Cookie`, each followed by a colon,
//! and of the body before its compression. Where that holds, the client computes the tag of a stored body for the
//! current token.

use std::sync::{Mutex, PoisonError};

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::rfc9111::text;
use crate::util::ids::hex;

/// The digest state of a request's credential headers, as in GitHub's tags. It contains no token.
#[derive(Clone)]
pub(crate) struct RequestDigest {
    state: Sha256,
    /// Distinguishes one token from another, within this process.
    pub(crate) credential_fingerprint: u64,
}

const SIGNED_HEADERS: [HeaderName; 3] = [ACCEPT, AUTHORIZATION, COOKIE];

impl RequestDigest {
    /// Computes the digest of the headers that are sent.
    pub(crate) fn from_headers(headers: &HeaderMap, salt: &[u8; 16]) -> Self {
        let mut state = Sha256::new();
        for name in SIGNED_HEADERS {
            for value in headers.get_all(name) {
                state.update(value.as_bytes());
                state.update(b":");
            }
        }
        let fingerprint = Sha256::new_with_prefix(salt).chain_update(state.clone().finalize());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&fingerprint.finalize()[..8]);
        Self { state, credential_fingerprint: u64::from_le_bytes(bytes) }
    }

    /// Returns the opaque part of the tag for this body.
    pub(crate) fn predict_tag(&self, body: &[u8]) -> String {
        hex(self.state.clone().chain_update(body).finalize())
    }
}

/// Returns the opaque part of a response's tag, without `W/` and quotes.
fn opaque_tag(headers: &HeaderMap) -> Option<&str> {
    let tag = text(headers, &ETAG)?.trim();
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')
}

/// Whether GitHub's tags match the observation, on this server.
#[derive(Debug, Default)]
pub(crate) struct EtagPredictor(Mutex<PredictorStats>);

#[derive(Debug, Default)]
struct PredictorStats {
    /// The number of consecutive matches.
    matched: u32,
    /// Whether a tag did not match, once.
    has_failed: bool,
    /// The number of responses since the last comparison.
    skipped: u32,
}

/// The number of consecutive matches that are required after a mismatch.
const MATCHES_AFTER_FAILURE: u32 = 3;
/// The number of matches after which, or after a mismatch, one response in this number is compared: a digest of each is
/// not free.
const SETTLED_MATCHES: u32 = 16;

impl EtagPredictor {
    pub(crate) fn is_reliable(&self) -> bool {
        let seen = self.stats();
        seen.matched >= if seen.has_failed { MATCHES_AFTER_FAILURE } else { 1 }
    }

    /// Compares a response's tag with the expected one. `computed` says that the request carried a computed tag that
    /// did not match.
    pub(crate) fn observe(
        &self,
        headers: &HeaderMap,
        signature: &RequestDigest,
        body: &[u8],
        computed: bool,
    ) {
        let Some(tag) = opaque_tag(headers) else { return };
        {
            let mut seen = self.stats();
            let settled = seen.matched >= SETTLED_MATCHES || (seen.has_failed && seen.matched == 0);
            if settled && !computed && seen.skipped + 1 < SETTLED_MATCHES {
                seen.skipped += 1;
                return;
            }
        }
        let same = signature.predict_tag(body) == tag;
        let mut seen = self.stats();
        seen.skipped = 0;
        seen.matched = if same { seen.matched.saturating_add(1) } else { 0 };
        seen.has_failed |= !same;
    }

    fn stats(&self) -> std::sync::MutexGuard<'_, PredictorStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a tag in the form that a request carries: `If-None-Match` uses only weak comparison
/// ([RFC 9110, 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)).
pub(crate) fn weak_etag(tag: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{tag}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn tag(pairs: &[(HeaderName, &str)], body: &str) -> String {
        RequestDigest::from_headers(&headers(pairs), &[0; 16]).predict_tag(body.as_bytes())
    }

    #[test]
    fn an_etag_is_the_digest_of_credential_and_body() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tag(&[], ""), nothing);
        // `printf 'application/json:Bearer t:{}' | sha256sum`
        let expected = "766b5c49a04c3643e16f7542dedbae353700edf4ceeb3bcc3eac297f26b37536";
        let pairs = [(AUTHORIZATION, "Bearer t"), (ACCEPT, "application/json")];
        assert_eq!(tag(&pairs, "{}"), expected);
    }

    #[test]
    fn one_mismatch_ends_prediction_and_three_matches_resume_it() {
        let signature = RequestDigest::from_headers(&HeaderMap::new(), &[0; 16]);
        let good = headers(&[(ETAG, &format!("W/\"{}\"", signature.predict_tag(b"x")))]);
        let bad = headers(&[(ETAG, "\"another\"")]);
        let predictor = EtagPredictor::default();
        assert!(!predictor.is_reliable());
        predictor.observe(&good, &signature, b"x", false);
        assert!(predictor.is_reliable());
        predictor.observe(&bad, &signature, b"x", false);
        assert!(!predictor.is_reliable());
        // One response in sixteen is compared, and those that follow.
        for _ in 0..SETTLED_MATCHES + 1 {
            predictor.observe(&good, &signature, b"x", false);
            assert!(!predictor.is_reliable());
        }
        predictor.observe(&good, &signature, b"x", false);
        assert!(predictor.is_reliable());
    }

    #[test]
    fn where_it_has_held_for_long_few_responses_are_compared_but_each_that_it_failed_for() {
        let signature = RequestDigest::from_headers(&HeaderMap::new(), &[0; 16]);
        let good = headers(&[(ETAG, &format!("\"{}\"", signature.predict_tag(b"x")))]);
        let bad = headers(&[(ETAG, "\"another\"")]);
        let predictor = EtagPredictor::default();
        for _ in 0..SETTLED_MATCHES {
            predictor.observe(&good, &signature, b"x", false);
        }
        predictor.observe(&bad, &signature, b"x", false);
        assert!(predictor.is_reliable(), "it was not looked at");
        predictor.observe(&bad, &signature, b"x", true);
        assert!(!predictor.is_reliable());
    }
}
