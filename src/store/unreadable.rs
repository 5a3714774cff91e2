//! Reports of values that a store holds and cannot read.

use std::sync::LazyLock;
use std::time::Duration;

use tracing::warn;

use crate::error::Error;
use crate::meter;
use crate::sanitize;
use crate::util::log_limit::LogThrottle;

/// Kinds of keys, by their first part. Other keys are `other`.
const KINDS: [&str; 8] =
    ["budget", "cache", "delivery", "limits", "reconcile", "token", "token-lock", "usage"];
const OTHER_KIND: &str = "other";
/// The shortest time between two warnings about one key. The metric counts every value.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// The maximum number of characters of a key in a warning.
const MAX_KEY_CHARS: usize = 200;

/// The problem of a value that has more bytes than its reader accepts.
pub(super) const TOO_LARGE: &str = "too large";

/// Reports a value that a read leaves unchanged, and returns the error of the read.
pub(super) fn report_left(key: &str, problem: &str) -> Error {
    report(key, problem, "unchanged");
    Error::unreadable_value(problem)
}

/// Reports a value that is unreadable, or was until now, with its key and the action that was taken.
pub(super) fn report(key: &str, problem: &str, repair: &str) {
    static WARNED: LazyLock<LogThrottle> = LazyLock::new(|| LogThrottle::new(WARNING_INTERVAL));
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
    KINDS.into_iter().find(|kind| *kind == first).unwrap_or(OTHER_KIND)
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_unreadable_value_is_distinguished_from_a_store_that_fails() {
        assert!(Error::unreadable_value("a list").is_unreadable_value());
        let error =
            Error::new(ErrorKind::StoreUnavailable, "no connection").with_source(fmt::Error);
        assert!(!error.is_unreadable_value());
        assert!(!Error::new(ErrorKind::StoreUnavailable, "no connection").is_unreadable_value());
    }

    #[test]
    fn kinds_of_keys_are_few() {
        assert_eq!(kind("limits:https%3A//api.github.com:a"), "limits");
        assert_eq!(kind("budget:x"), "budget");
        assert_eq!(kind("another program's"), OTHER_KIND);
        assert_eq!(kind(""), OTHER_KIND);
    }
}
