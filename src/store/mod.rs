//! Storage of shared state, for all clients of a process or for a fleet of processes.
//!
//! Without a store, each client keeps its own state, which suits one process with one client. With a store, clients of
//! the same identity share its rate limits, whatever process and machine they are on.
//!
//! | store | shared by |
//! |---|---|
//! | [`MemoryStore`] | the clients of one process |
//! | [`DiskStore`] | the processes of a machine, also after a restart |
//! | `RedisStore`, with the feature `redis` | all clients of the same Redis or Valkey |
//!
//! An attempt of a call waits for its store for [50 ms](crate::ClientBuilder::store_timeout) at most, in sum for all
//! store operations. If the store is unavailable, the attempt continues with local state, and with the client's share
//! of the limits. A response from the cache takes one round trip, any other call two, and none if the client shares
//! neither cache nor budgets and holds a sufficient quota lease. A write takes two more for the mark that invalidates
//! stored responses; more than eight invalidations by other clients since the last read can add one. Responses are
//! stored after the call. [`Client::store_health`](crate::Client::store_health) returns whether the store is available.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::error::Result;

mod allowance;
mod behind;
mod counter;
mod disk;
#[cfg(test)]
mod forward;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod lease;
mod ledger;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod resilient;
mod tally;
mod unreadable;
mod writer;

pub use disk::{DiskStore, DiskStoreBuilder};
pub use lease::{QuotaLease, QuotaRequest};
pub use ledger::QuotaLedger;
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
pub use resilient::StoreHealth;

pub(crate) use allowance::StoreWaitBudget;
pub(crate) use behind::{BackgroundTasks, block_in_drop, run_in_background};
#[cfg(test)]
pub(crate) use forward::forward_all_but_get;
pub(crate) use lease::{
    LEASE_TTL_MS, MemberJoin, PrimaryObservation, PrimaryRequest, SecondaryPause, WindowRequest,
};
pub(crate) use resilient::{
    BACKGROUND_TIMEOUT, DEFAULT_TIMEOUT as STORE_TIMEOUT, ResilientStore, StoreResult,
};
pub(crate) use writer::BackgroundWriter;

/// Storage for state that clients share.
///
/// Each method is atomic, and uses one key, so a store can be distributed over many servers. Keys are text of at most a
/// few hundred bytes and contain no secret; values can be confidential, and the client encrypts them if they are
/// secret. An operation whose future is dropped might or might not have taken effect.
///
/// # Errors
/// Every method fails if the store is unavailable or its response is invalid. The client then continues without it.
///
/// An unreadable value is not an outage. The stores of this crate report it and treat it as missing: reads leave it
/// unchanged, and the next write replaces it. Only [`repair_sum`](Self::repair_sum) replaces a number:
/// [`increment`](Self::increment), [`try_consume`](Self::try_consume) and [`sum`](Self::sum) fail, and the client repairs it, so that an
/// unreadable number never counts as one that begins at zero. Your own store reports it with
/// [`Error::unreadable_value`](crate::Error::unreadable_value).
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Returns the value of a key, if it exists and has not expired.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Returns the value of a key as [`get`](Self::get) does, if it has at most this many bytes.
    ///
    /// A larger value is not transferred. It counts as unreadable, not as missing: the method fails. By default the
    /// value is read first and measured then.
    fn get_within<'a>(&'a self, key: &'a str, max_bytes: usize) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            match self.get(key).await? {
                Some(value) if value.len() > max_bytes => {
                    Err(unreadable::report_left(key, unreadable::TOO_LARGE))
                }
                value => Ok(value),
            }
        })
    }

    /// Returns the values of several keys, each with its maximum length in bytes, in the order of the keys: in one
    /// round trip where that is possible.
    ///
    /// Each result is that of [`get_within`](Self::get_within), so an unreadable value fails alone. The method fails as
    /// a whole if the store is unavailable. By default all keys are read concurrently with `get_within`.
    fn get_many<'a>(
        &'a self,
        keys: &'a [(&'a str, usize)],
    ) -> StoreFuture<'a, Vec<Result<Option<Bytes>>>> {
        let read = |&(key, max_bytes): &(&'a str, usize)| async move {
            match self.get_within(key, max_bytes).await {
                Err(error) if !error.is_unreadable_value() => Err(error),
                value => Ok(value),
            }
        };
        Box::pin(try_join_all(keys.iter().map(read)))
    }

    /// Sets the value of a key, with this TTL.
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()>;

    /// Sets the value of a key without a value, and returns whether it did: of several concurrent callers, one
    /// succeeds.
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool>;

    /// Sets a new TTL from now on, if the key still has this value; returns whether it has.
    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool>;

    /// Removes the value of a key, whatever the value is.
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;

    /// Removes the value of a key if it is this one; returns whether it was.
    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool>;

    /// Adds to a number that begins at zero, and returns the sum. The TTL runs from its creation. For the other methods
    /// its value is decimal text, which can also set another initial number.
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64>;

    /// Adds `owed` to such a number, and then one more unless the sum would exceed `most`; returns the sum, and whether
    /// the one was added.
    ///
    /// By default it adds everything and subtracts the one again, so that for a moment the sum is too large.
    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        Box::pin(async move {
            let sum = self.increment(key, owed.saturating_add(1), ttl).await?;
            if sum <= most {
                return Ok((sum, true));
            }
            Ok((self.increment(key, -1, ttl).await?, false))
        })
    }

    /// Returns such a number without changing it, and `None` if it does not exist.
    ///
    /// An unreadable number is left unchanged, and the method fails. By default it reads the [value](Self::get).
    fn sum<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<i64>> {
        Box::pin(async move {
            let Some(value) = self.get(key).await? else { return Ok(None) };
            counter::read(&value)
                .map(Some)
                .ok_or_else(|| unreadable::report_left(key, "not a number"))
        })
    }

    /// Replaces a number that [`increment`](Self::increment) and [`try_consume`](Self::try_consume) cannot read with `at_least`, with this TTL,
    /// and raises a readable one to it. Returns the number.
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
                let begun = Bytes::from(at_least.to_string());
                if self.put_if_absent(key, begun, ttl).await? {
                    return Ok(at_least);
                }
            }
            // A value that can be neither read nor claimed stays: no client counts with it.
            self.put(key, Bytes::from(at_least.to_string()), ttl).await?;
            Ok(at_least)
        })
    }

    /// Processes a request for quota as [`QuotaLedger::lease`] does for the ledger of this key, by the store's own clock.
    ///
    /// `None`, the default, means that this store does not share limits: each client keeps its own.
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        let _ = (key, request);
        Box::pin(async { Ok(None) })
    }

    /// Adds to named numbers under one key, which begin at zero; returns whether this store supports them. The TTL runs
    /// from the creation of the first one. A key has 10,000 names at most; further names are added to `other`.
    ///
    /// `false`, the default, means that it does not: each process then has its own [usage](crate::policy::usage).
    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let _ = (key, amounts, ttl);
        Box::pin(async { Ok(false) })
    }

    /// Returns a number that identifies handles of the same store in this process, such as the address of their shared
    /// state: if one of them finds the store unavailable, all treat it as unavailable.
    ///
    /// `None`, the default, means that this handle is a store of its own.
    fn identity(&self) -> Option<usize> {
        None
    }

    /// Returns the sums that [`tally`](Self::increment_counters) added under a key; none by default.
    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        let _ = key;
        Box::pin(async { Ok(BTreeMap::new()) })
    }
}

/// How often the default of [`Store::repair_sum`] reads a number that other clients change concurrently.
const MAX_REPAIR_ATTEMPTS: u32 = 3;

/// The result of a [`Store`] method.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

#[cfg(test)]
mod tests;
