//! Values that a store holds and cannot read: how they are told from a store that does not respond, and
//! how they are reported.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use tracing::warn;

use crate::error::{Error, ErrorKind};
use crate::log_limit::LogLimit;
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
/// The shortest time between two warnings about one key. The metric counts all.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);
/// The most of a key that a warning shows.
const MAX_KEY_CHARS: usize = 200;

/// Returns the error of an operation that a value stands in the way of.
pub(super) fn unreadable(problem: &str) -> Error {
    Error::new(ErrorKind::Store, format!("stored value is unreadable: {problem}"))
        .with_advice("the client repairs the value; find out what else writes to the store")
        // It is told by its type, which a source that is sanitized can lose.
        .with_own_source(Box::new(UnreadableValue))
}

/// What is wrong with a value that has more bytes than its reader takes.
pub(super) const TOO_LARGE: &str = "too large";

/// Reports a value that a read leaves as it is, and returns the error of the read.
pub(super) fn left(key: &str, problem: &str) -> Error {
    report(key, problem, "left as it is");
    unreadable(problem)
}

/// Returns whether the store responds, and only the value is unreadable.
pub(super) fn is_unreadable(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<UnreadableValue>())
}

/// Reports a value that is unreadable, or was until now: by its key, and by what was done about it.
pub(super) fn report(key: &str, problem: &str, repair: &str) {
    static WARNED: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(BETWEEN_WARNINGS));
    let kind = kind(key);
    meter::unreadable(kind);
    let key = &*sanitize::text(key, MAX_KEY_CHARS);
    if !WARNED.is_due(key) {
        return;
    }
    warn!(kind, key, problem, repair, "stored value is unreadable");
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
    fn kinds_of_keys_are_few() {
        assert_eq!(kind("limits:https%3A//api.github.com:a"), "limits");
        assert_eq!(kind("budget:x"), "budget");
        assert_eq!(kind("somebody else's"), OTHER);
        assert_eq!(kind(""), OTHER);
    }
}
