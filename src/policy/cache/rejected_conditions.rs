//! Requests for which a server rejects conditions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::key::Key;

/// The maximum number of keys, some 100 bytes each. The least recently used one is evicted.
const MAX_KEYS: usize = 1024;
/// The time after which a condition is tried again.
const RETENTION: Duration = Duration::from_secs(60 * 60);

/// Keys whose conditional requests were rejected, so that each costs a second request once and not with each call.
#[derive(Debug)]
pub(super) struct RejectedConditions(Mutex<LruCache<Key, Instant>>);

impl Default for RejectedConditions {
    fn default() -> Self {
        // A bound of the container would allocate all of its memory at once, in each client.
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl RejectedConditions {
    /// Records that a conditional request was rejected.
    pub(super) fn add(&self, key: Key) {
        let mut keys = self.keys();
        keys.put(key, Instant::now());
        if keys.len() > MAX_KEYS {
            keys.pop_lru();
        }
    }

    /// Returns whether a conditional request was rejected within the last hour.
    pub(super) fn has(&self, key: Key) -> bool {
        let mut keys = self.keys();
        match keys.get(&key) {
            None => false,
            Some(at) if at.elapsed() < RETENTION => true,
            Some(_) => {
                keys.pop(&key);
                false
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, LruCache<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_remembered_for_an_hour_and_within_a_bound() {
        let rejected = RejectedConditions::default();
        assert!(!rejected.has(Key::numbered(0)));
        for number in 0..MAX_KEYS {
            rejected.add(Key::numbered(number));
        }
        // The key is used, so that another one is evicted.
        assert!(rejected.has(Key::numbered(0)));
        rejected.add(Key::numbered(MAX_KEYS));
        assert_eq!(rejected.keys().len(), MAX_KEYS);
        assert!(
            rejected.has(Key::numbered(0))
                && !rejected.has(Key::numbered(1))
                && rejected.has(Key::numbered(MAX_KEYS))
        );
        tokio::time::advance(RETENTION - Duration::from_secs(1)).await;
        assert!(rejected.has(Key::numbered(0)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!rejected.has(Key::numbered(0)));
        assert_eq!(rejected.keys().len(), MAX_KEYS - 1);
    }
}
