//! What makes a request conditional: on what is stored not being current any longer.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

use super::entry::Entry;
use super::etag::{Signature, weak};
use crate::error::{Error, ErrorKind};

/// The bound of a validator, in bytes: a longer one is neither stored nor sent. GitHub's have fewer than
/// 80. Servers refuse requests whose headers are too large, commonly beyond 8 KiB, with the status 431.
pub(crate) const MAX_VALIDATOR: usize = 1024;

/// The validators of a request, which depend on the token that it is signed with
/// ([RFC 9110, 13.1](https://www.rfc-editor.org/rfc/rfc9110#section-13.1)).
#[derive(Debug, Default)]
pub(crate) struct Conditional {
    salt: [u8; 16],
    tag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
    /// The body whose tag is computed for any other token than the one of this print.
    body: Option<(Bytes, Option<u64>)>,
    sent: Mutex<Option<Sent>>,
}

/// What was sent last.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) signature: Signature,
    /// The tag that was computed, if one was.
    pub(crate) computed: Option<HeaderValue>,
    /// Whether the request was conditional at all.
    pub(crate) has_validator: bool,
}

impl Conditional {
    /// On nothing: the answer is wanted whatever it is.
    pub(crate) fn none(salt: [u8; 16]) -> Self {
        Self { salt, ..Self::default() }
    }

    /// On an answer that this identity was given.
    pub(crate) fn own(salt: [u8; 16], entry: &Entry, compute: bool) -> Self {
        let validator =
            |name| entry.headers.get(name).filter(|value| value.len() <= MAX_VALIDATOR).cloned();
        Self {
            salt,
            tag: validator(ETAG),
            last_modified: validator(LAST_MODIFIED),
            body: compute.then(|| (entry.body.clone(), Some(entry.print))),
            sent: Mutex::default(),
        }
    }

    /// On an answer that another identity was given: only a tag that is computed from this one's
    /// token proves that this one would be given the same.
    pub(crate) fn anothers(salt: [u8; 16], entry: &Entry) -> Self {
        Self { salt, body: Some((entry.body.clone(), None)), ..Self::default() }
    }

    /// Adds the validators to headers that are complete otherwise.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        let signature = Signature::of(headers, &self.salt);
        let mut has_validator = false;
        let computed = self.body.as_ref().filter(|(_, print)| *print != Some(signature.print));
        let computed = computed.and_then(|(body, _)| weak(&signature.tag(body)));
        for tag in self.tag.iter().chain(&computed) {
            // Another field line says the same as another tag in a list (RFC 9110, 5.3), but not
            // every server reads it so.
            let list = match headers.get(IF_NONE_MATCH) {
                Some(before) => [before.as_bytes(), b", ", tag.as_bytes()].concat(),
                None => tag.as_bytes().to_vec(),
            };
            if let Ok(list) = HeaderValue::from_bytes(&list) {
                headers.insert(IF_NONE_MATCH, list);
                has_validator = true;
            }
        }
        if let Some(date) = self.last_modified.as_ref().filter(|_| self.tag.is_none()) {
            headers.insert(IF_MODIFIED_SINCE, date.clone());
            has_validator = true;
        }
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Sent { signature, computed, has_validator });
    }

    /// Whether the server refused the condition, rather than what was asked for: with 431 or 400 for
    /// headers that are too large, or with 412. The same request without the condition may succeed.
    pub(crate) fn is_refused(&self, error: &Error) -> bool {
        let status = error.status().map_or(0, |status| status.as_u16());
        error.kind() == ErrorKind::Api
            && matches!(status, 400 | 412 | 431)
            && self.sent().is_some_and(|sent| sent.has_validator)
    }

    /// What was sent last, if anything was.
    pub(crate) fn sent(&self) -> Option<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}
