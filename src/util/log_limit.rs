//! Rate limiting of warnings about the same subject.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

/// Maximum number of subjects with a warning in one interval.
// The compiler evaluates this.
const MAX_SUBJECTS: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// The subjects of recent warnings, with the times. Further warnings are dropped: callers and files are unbounded, and
/// a log is not.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    interval: Duration,
    last_warnings: Mutex<LruCache<String, Instant>>,
}

impl LogThrottle {
    /// Allows one warning about each subject in this interval, and at most 100 about all.
    pub(crate) fn new(between: Duration) -> Self {
        Self { interval: between, last_warnings: Mutex::new(LruCache::new(MAX_SUBJECTS)) }
    }

    /// Returns whether a warning about this subject is due, and records it if so.
    pub(crate) fn is_due(&self, subject: &str) -> bool {
        self.is_due_at(subject, Instant::now())
    }

    fn is_due_at(&self, subject: &str, now: Instant) -> bool {
        let mut warned = self.last_warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < self.interval;
        let is_full = warned.len() == MAX_SUBJECTS.get();
        let oldest = warned.peek_lru().filter(|_| is_full).map(|(_, at)| at);
        let skip = match warned.peek(subject) {
            Some(at) => is_recent(at),
            None => oldest.is_some_and(is_recent),
        };
        if !skip {
            warned.put(subject.to_owned(), now);
        }
        !skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subject_is_warned_of_once_a_minute_and_no_more_than_a_hundred_are() {
        let (limit, start) = (LogThrottle::new(Duration::from_secs(60)), Instant::now());
        let due = |key: usize, seconds| {
            limit.is_due_at(&key.to_string(), start + Duration::from_secs(seconds))
        };
        let all = (0..1_000).filter(|key| due(*key, 0)).count();
        assert_eq!(all, 100);
        assert!(!due(0, 59) && !due(500, 59));
        assert!(due(0, 60) && !due(0, 61) && due(500, 61));
        assert_eq!((0..1_000).filter(|key| due(*key, 61)).count(), 98);
    }
}
