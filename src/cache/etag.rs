//! GitHub's entity tags depend on the token, so that a new token every hour invalidates them.
//!
//! As was [observed](https://github.com/bored-engineer/github-conditional-http-transport), and GitHub does not
//! document, a tag is the SHA-256 of the values of `Accept`, `Authorization` and `Cookie`, each followed by a colon,
//! and of the body before its compression. Where that holds, the client computes the tag of a stored body for the
//! current token.

use std::sync::{Mutex, PoisonError};

use http::header::{ACCEPT, AUTHORIZATION, COOKIE, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::rules::text;
use crate::names::hex;

/// The digest state of a request's credential headers, as in GitHub's tags. It contains no token.
#[derive(Clone)]
pub(crate) struct Signature {
    state: Sha256,
    /// Distinguishes one token from another, within this process.
    pub(crate) print: u64,
}

const SIGNED: [HeaderName; 3] = [ACCEPT, AUTHORIZATION, COOKIE];

impl Signature {
    /// Computes the digest of the headers that are sent.
    pub(crate) fn of(headers: &HeaderMap, salt: &[u8; 16]) -> Self {
        let mut state = Sha256::new();
        for name in SIGNED {
            for value in headers.get_all(name) {
                state.update(value.as_bytes());
                state.update(b":");
            }
        }
        let print = Sha256::new_with_prefix(salt).chain_update(state.clone().finalize());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&print.finalize()[..8]);
        Self { state, print: u64::from_le_bytes(bytes) }
    }

    /// Returns the opaque part of the tag for this body.
    pub(crate) fn tag(&self, body: &[u8]) -> String {
        hex(self.state.clone().chain_update(body).finalize())
    }
}

/// Returns the opaque part of a response's tag, without `W/` and quotes.
fn opaque(headers: &HeaderMap) -> Option<&str> {
    let tag = text(headers, &ETAG)?.trim();
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')
}

/// Whether GitHub's tags match the observation, on this server.
#[derive(Debug, Default)]
pub(crate) struct Scheme(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The number of consecutive matches.
    matched: u32,
    /// Whether a tag did not match, once.
    failed: bool,
    /// The number of responses since the last comparison.
    skipped: u32,
}

/// The number of consecutive matches that are required after a mismatch.
const AFTER_FAILURE: u32 = 3;
/// The number of matches after which, or after a mismatch, one response in this number is compared: a digest of each is
/// not free.
const SETTLED: u32 = 16;

impl Scheme {
    pub(crate) fn holds(&self) -> bool {
        let seen = self.seen();
        seen.matched >= if seen.failed { AFTER_FAILURE } else { 1 }
    }

    /// Compares a response's tag with the expected one. `computed` says that the request carried a computed tag that
    /// did not match.
    pub(crate) fn compare(
        &self,
        headers: &HeaderMap,
        signature: &Signature,
        body: &[u8],
        computed: bool,
    ) {
        let Some(tag) = opaque(headers) else { return };
        {
            let mut seen = self.seen();
            let settled = seen.matched >= SETTLED || (seen.failed && seen.matched == 0);
            if settled && !computed && seen.skipped + 1 < SETTLED {
                seen.skipped += 1;
                return;
            }
        }
        let same = signature.tag(body) == tag;
        let mut seen = self.seen();
        seen.skipped = 0;
        seen.matched = if same { seen.matched.saturating_add(1) } else { 0 };
        seen.failed |= !same;
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a tag in the form that a request carries: `If-None-Match` uses only weak comparison
/// ([RFC 9110, 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)).
pub(crate) fn weak(tag: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{tag}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn tag(pairs: &[(HeaderName, &str)], body: &str) -> String {
        Signature::of(&headers(pairs), &[0; 16]).tag(body.as_bytes())
    }

    #[test]
    fn a_tag_is_the_digest_of_who_asks_and_of_what_is_answered() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(tag(&[], ""), nothing);
        // `printf 'application/json:Bearer t:{}' | sha256sum`
        let expected = "766b5c49a04c3643e16f7542dedbae353700edf4ceeb3bcc3eac297f26b37536";
        let pairs = [(AUTHORIZATION, "Bearer t"), (ACCEPT, "application/json")];
        assert_eq!(tag(&pairs, "{}"), expected);
    }

    #[test]
    fn one_tag_that_is_another_ends_it_and_three_begin_it_anew() {
        let signature = Signature::of(&HeaderMap::new(), &[0; 16]);
        let good = headers(&[(ETAG, &format!("W/\"{}\"", signature.tag(b"x")))]);
        let bad = headers(&[(ETAG, "\"another\"")]);
        let scheme = Scheme::default();
        assert!(!scheme.holds());
        scheme.compare(&good, &signature, b"x", false);
        assert!(scheme.holds());
        scheme.compare(&bad, &signature, b"x", false);
        assert!(!scheme.holds());
        // One response in sixteen is compared, and those that follow.
        for _ in 0..SETTLED + 1 {
            scheme.compare(&good, &signature, b"x", false);
            assert!(!scheme.holds());
        }
        scheme.compare(&good, &signature, b"x", false);
        assert!(scheme.holds());
    }

    #[test]
    fn where_it_has_held_for_long_few_answers_are_compared_but_each_that_it_failed_for() {
        let signature = Signature::of(&HeaderMap::new(), &[0; 16]);
        let good = headers(&[(ETAG, &format!("\"{}\"", signature.tag(b"x")))]);
        let bad = headers(&[(ETAG, "\"another\"")]);
        let scheme = Scheme::default();
        for _ in 0..SETTLED {
            scheme.compare(&good, &signature, b"x", false);
        }
        scheme.compare(&bad, &signature, b"x", false);
        assert!(scheme.holds(), "it was not looked at");
        scheme.compare(&bad, &signature, b"x", true);
        assert!(!scheme.holds());
    }
}
