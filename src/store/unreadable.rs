//! Values that a store holds and cannot read: how they are told from a store that does not respond, and
//! how they are reported.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;
use tracing::warn;

use crate::error::{Error, ErrorKind};
use crate::sanitize;
use crate::telemetry::meter;

/// The source of an error that says: the store responds, and the value of this key cannot be read.
#[derive(Debug)]
struct UnreadableValue;

impl fmt::Display for UnreadableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store responds")
    }
}

impl std::error::Error for UnreadableValue {}

/// Kinds of keys, by their first part. Other keys are `other`.
const KINDS: [&str; 8] =
    ["budget", "cache", "delivery", "limits", "reconcile", "token", "token-lock", "usage"];
const OTHER: &str = "other";
/// The shortest time between two warnings about one key, and how many keys are warned of in it. The metric
/// counts all.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
// Evaluated by the compiler.
const MAX_WARNINGS: NonZeroUsize = NonZeroUsize::new(100).unwrap();
/// The most of a key that a warning shows.
const MAX_KEY_CHARS: usize = 200;

/// Returns the error of an operation that a value stands in the way of.
pub(super) fn unreadable(problem: &str) -> Error {
    Error::new(ErrorKind::Store, format!("stored value is unreadable: {problem}"))
        .with_advice("the client repairs the value; find out what else writes to the store")
        // It is told by its type, which a source that is sanitized can lose.
        .with_own_source(Box::new(UnreadableValue))
}

/// Returns whether the store responds, and only the value is unreadable.
pub(super) fn is_unreadable(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<UnreadableValue>())
}

/// Reports a value that is unreadable, or was until now: by its key, and by what was done about it.
pub(crate) fn report(key: &str, problem: &str, repair: &str) {
    static WARNED: LazyLock<Mutex<Warned>> = LazyLock::new(Mutex::default);
    let kind = kind(key);
    meter::unreadable(kind);
    let key = &*sanitize::text(key, MAX_KEY_CHARS);
    if !WARNED.lock().unwrap_or_else(PoisonError::into_inner).is_due(key, Instant::now()) {
        return;
    }
    warn!(kind, key, problem, repair, "stored value is unreadable");
}

/// The keys that were warned of, and when.
#[derive(Debug)]
struct Warned(LruCache<String, Instant>);

impl Default for Warned {
    fn default() -> Self {
        Self(LruCache::new(MAX_WARNINGS))
    }
}

impl Warned {
    /// Notes a warning about this key, if there may be one.
    fn is_due(&mut self, key: &str, now: Instant) -> bool {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < BETWEEN_WARNINGS;
        let is_full = self.0.len() == MAX_WARNINGS.get();
        let oldest = self.0.peek_lru().filter(|_| is_full).map(|(_, at)| at);
        let skip = match self.0.peek(key) {
            Some(at) => is_recent(at),
            None => oldest.is_some_and(is_recent),
        };
        if !skip {
            self.0.put(key.to_owned(), now);
        }
        !skip
    }
}

fn kind(key: &str) -> &'static str {
    let first = key.split([':', '/']).next().unwrap_or_default();
    KINDS.into_iter().find(|kind| *kind == first).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_value_is_told_from_a_store_that_fails() {
        assert!(is_unreadable(&unreadable("a list")));
        let error = Error::new(ErrorKind::Store, "no connection").with_source(fmt::Error);
        assert!(!is_unreadable(&error));
        assert!(!is_unreadable(&Error::new(ErrorKind::Store, "no connection")));
    }

    #[test]
    fn each_key_is_warned_of_once_a_minute_and_no_more_than_a_hundred_are() {
        let (mut warned, start) = (Warned::default(), Instant::now());
        let mut due = |key: usize, seconds| {
            warned.is_due(&key.to_string(), start + Duration::from_secs(seconds))
        };
        let all = (0..1_000).filter(|key| due(*key, 0)).count();
        assert_eq!(all, 100);
        assert!(!due(0, 59) && !due(500, 59));
        assert!(due(0, 60) && !due(0, 61) && due(500, 61));
        assert_eq!((0..1_000).filter(|key| due(*key, 61)).count(), 98);
    }

    #[test]
    fn kinds_of_keys_are_few() {
        assert_eq!(kind("limits:https%3A//api.github.com:a"), "limits");
        assert_eq!(kind("budget:x"), "budget");
        assert_eq!(kind("somebody else's"), OTHER);
        assert_eq!(kind(""), OTHER);
    }
}
