//! Numbers to which clients add.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::{KeyValueStore, StoreFuture, counter, unreadable};

/// Numbers to which clients add: budgets and usage. See the [contract](super::Store) of all methods.
///
/// A sum is a whole number by key, for which `increment`, `try_consume`, `sum` and `repair_sum` are. It begins at zero,
/// and stays within bounds of at least ±2^53: a sum that would exceed the store's bounds gets the bound, and does not
/// fail. For the methods of [`KeyValueStore`], its value is decimal text, such as `-17`, which can also set another
/// initial number. Other text is unreadable.
pub trait CounterStore: KeyValueStore {
    /// Adds to a sum, and returns it. The TTL runs from the creation of the sum, and is not extended.
    ///
    /// No amount is lost or counted twice, except if the method fails.
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64>;

    /// Adds `deferred` to a sum, and then one more unless the sum would exceed `limit`; returns the sum, and whether the
    /// one was added.
    ///
    /// Of concurrent callers, no more succeed than the limit allows. Fewer can: by default the method adds everything
    /// and subtracts the one again, so that for a moment the sum is too large. A negative sum can count as zero.
    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        deferred: i64,
        limit: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        Box::pin(async move {
            let sum = self.increment(key, deferred.saturating_add(1), ttl).await?;
            if sum <= limit {
                return Ok((sum, true));
            }
            Ok((self.increment(key, -1, ttl).await?, false))
        })
    }

    /// Returns a sum without changing or creating it, and `None` if it does not exist.
    ///
    /// An unreadable number is left unchanged, and the method fails. By default it reads the
    /// [value](KeyValueStore::get).
    fn sum<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<i64>> {
        Box::pin(async move {
            let Some(value) = self.get(key).await? else { return Ok(None) };
            counter::read(&value)
                .map(Some)
                .ok_or_else(|| unreadable::report_left(key, "not a number"))
        })
    }

    /// Replaces a number that [`increment`](Self::increment) and [`try_consume`](Self::try_consume) cannot read with
    /// `at_least`, with this TTL, and raises a readable one to it, which keeps its TTL. Returns the number.
    ///
    /// By default it reads the number, and adds the difference to a readable one. It replaces an unreadable value only
    /// if no other client has replaced it meanwhile, so that no valid number is lowered.
    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            for _ in 0..MAX_REPAIR_ATTEMPTS {
                let held = match self.get(key).await {
                    Err(error) if error.is_unreadable_value() => None,
                    held => held?,
                };
                match held.as_deref().map(counter::read) {
                    Some(Some(sum)) if sum >= at_least => return Ok(sum),
                    Some(Some(sum)) => {
                        match self.increment(key, at_least.saturating_sub(sum), ttl).await {
                            Err(error) if error.is_unreadable_value() => continue,
                            sum => return sum,
                        }
                    }
                    Some(None) => drop(self.remove_if_equal(key, held.unwrap_or_default()).await?),
                    None => {}
                }
                let initial = Bytes::from(at_least.to_string());
                if self.put_if_absent(key, initial, ttl).await? {
                    return Ok(at_least);
                }
            }
            // A value that can be neither read nor claimed stays: no client counts with it.
            self.put(key, Bytes::from(at_least.to_string()), ttl).await?;
            Ok(at_least)
        })
    }

    /// Adds to named numbers under one key, which begin at zero; returns whether this store supports them. The TTL runs
    /// from the creation of the first one. A key has 10,000 names at most; further names are added to `other`.
    ///
    /// `false`, the default, means that it does not: each process then has its own usage.
    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let _ = (key, amounts, ttl);
        Box::pin(async { Ok(false) })
    }

    /// Returns the numbers that [`increment_counters`](Self::increment_counters) added under a key, by name; none by
    /// default.
    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        let _ = key;
        Box::pin(async { Ok(BTreeMap::new()) })
    }
}

/// How often the default of [`CounterStore::repair_sum`] reads a number that other clients change concurrently.
const MAX_REPAIR_ATTEMPTS: u32 = 3;
