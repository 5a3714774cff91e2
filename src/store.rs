//! Where state is shared: by all clients of a process, or by a fleet of processes.
//!
//! Without a store each client keeps to itself, which is right for one process with one client. With
//! one, clients that call as the same identity are one for its rate limits, whatever process and
//! machine they are on.
//!
//! | store | shares with |
//! |---|---|
//! | [`Memory`] | the clients of one process |
//! | [`Disk`] | the processes of a machine, and the next run |
//! | `Redis`, with the feature `redis` | all that reach the same Redis or Valkey |
//!
//! An attempt of a call waits for its store for [50 ms](crate::ClientBuilder::store_timeout) at most, in sum for all
//! that it asks of it. Without an answer it continues with what the client knows, and with the client's share of
//! the limits. A response from the cache takes one round trip, any other call two, and none if the client shares
//! neither cache nor budgets and has leased what the call takes. A write takes two more for the mark that makes
//! stored responses doubtful; more than eight changes by other clients since the last look can add one. What a call
//! stores is written after it. [`Client::store_health`](crate::Client::store_health) tells whether the store answers.

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
mod guard;
mod lease;
mod ledger;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod tally;
mod unreadable;
mod writer;

pub use disk::{Disk, DiskBuilder};
pub use guard::StoreHealth;
pub use lease::{Lease, LeaseRequest};
pub use ledger::Ledger;
pub use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisBuilder};

pub(crate) use allowance::WaitAllowance;
pub(crate) use behind::{Tasks, continue_behind, finish_in_drop};
#[cfg(test)]
pub(crate) use forward::forward_all_but_get;
pub(crate) use guard::{BACKGROUND_TIMEOUT, Guard, PATIENCE as STORE_TIMEOUT, Ran};
pub(crate) use lease::{BudgetAsk, BudgetTold, Join, Pause, VALID, WindowAsk};
pub(crate) use writer::Writer;

/// A place for state that clients share.
///
/// Each method is atomic, and touches one key, so that a store may be spread over many servers. Keys
/// are text of at most a few hundred bytes and hold no secret; values may be confidential, and are
/// sealed by who writes them if they are secret. A future that is dropped may or may not have taken
/// effect.
///
/// # Errors
/// Every method fails if the store can not be reached or answers with nonsense. The client goes on
/// without it then.
///
/// A value that cannot be read is no outage. The stores of this crate report it and treat it as missing:
/// reads leave it as it is, and the next write replaces it. A number is left by all methods but
/// [`repair_sum`](Self::repair_sum): [`add`](Self::add), [`spend`](Self::spend) and [`sum`](Self::sum) fail,
/// and the client repairs it, so that an unreadable number is never taken for one that begins at zero. A store
/// of your own says so by [`Error::unreadable_value`](crate::Error::unreadable_value).
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The value of a key, if there is one that is not over.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Returns the value of a key as [`get`](Self::get) does, if it has no more than so many bytes.
    ///
    /// A larger value is not sent. It is unreadable and no outage, but it is not missing: this fails.
    /// By default the value is read first and measured then.
    fn get_within<'a>(&'a self, key: &'a str, max_bytes: usize) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            match self.get(key).await? {
                Some(value) if value.len() > max_bytes => {
                    Err(unreadable::left(key, unreadable::TOO_LARGE))
                }
                value => Ok(value),
            }
        })
    }

    /// Returns the values of several keys, each with the most bytes that it may have, in the order of the keys: in one
    /// round trip where that is possible.
    ///
    /// Each is what [`get_within`](Self::get_within) returns, so that an unreadable value fails for itself. The whole
    /// fails if the store does not answer. By default all are asked for at the same time by `get_within`.
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

    /// Sets the value of a key, for that long.
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()>;

    /// Sets the value of a key that has none, and says whether it did: of those who claim the same
    /// thing at once, one succeeds.
    fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool>;

    /// Lets the value last that much longer from now on, if it is this one still; says whether it
    /// is.
    fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool>;

    /// Removes the value of a key, whatever it is.
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;

    /// Removes the value of a key if it is this one; says whether it was.
    fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool>;

    /// Adds to a number that begins at zero, and gives the sum. It lasts for that long from its
    /// beginning. For the other methods its value is decimal text, by which it can be begun at
    /// another number.
    fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64>;

    /// Adds what is `owed` to such a number, and then one more unless the sum would be above `most`; gives the
    /// sum, and whether the one was added.
    ///
    /// By default it adds all and takes the one back, so that for a moment the sum is too large.
    fn spend<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        Box::pin(async move {
            let sum = self.add(key, owed.saturating_add(1), ttl).await?;
            if sum <= most {
                return Ok((sum, true));
            }
            Ok((self.add(key, -1, ttl).await?, false))
        })
    }

    /// Returns such a number without changing it, and `None` if there is none.
    ///
    /// A number that cannot be read is left as it is, and this fails. By default it reads the
    /// [value](Self::get).
    fn sum<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<i64>> {
        Box::pin(async move {
            let Some(value) = self.get(key).await? else { return Ok(None) };
            counter::read(&value).map(Some).ok_or_else(|| unreadable::left(key, "not a number"))
        })
    }

    /// Replaces a number that [`add`](Self::add) and [`spend`](Self::spend) cannot read by `at_least`, for
    /// that long, and raises one that they can read to it. Returns the number.
    ///
    /// By default it reads the number, and adds what is missing to one that it can read. It replaces another value
    /// only if nobody has replaced it meanwhile, so that no good number is lowered.
    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            for _ in 0..MAX_REPAIRS {
                let held = match self.get(key).await {
                    Err(error) if error.is_unreadable_value() => None,
                    held => held?,
                };
                match held.as_deref().map(counter::read) {
                    Some(Some(sum)) if sum >= at_least => return Ok(sum),
                    Some(Some(sum)) => match self.add(key, at_least.saturating_sub(sum), ttl).await
                    {
                        Err(error) if error.is_unreadable_value() => continue,
                        sum => return sum,
                    },
                    Some(None) => drop(self.release(key, held.unwrap_or_default()).await?),
                    None => {}
                }
                let begun = Bytes::from(at_least.to_string());
                if self.claim(key, begun, ttl).await? {
                    return Ok(at_least);
                }
            }
            // A value stays that can be neither read nor claimed: nobody counts by it.
            self.put(key, Bytes::from(at_least.to_string()), ttl).await?;
            Ok(at_least)
        })
    }

    /// Answers a request for quota as [`Ledger::lease`] does for the ledger of this key, by the
    /// store's own clock.
    ///
    /// `None`, the default, says that this store does not share limits: each client keeps its own.
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a LeaseRequest,
    ) -> StoreFuture<'a, Option<Lease>> {
        let _ = (key, request);
        Box::pin(async { Ok(None) })
    }

    /// Adds to numbers that are kept by name under one key, and begin at zero; says whether this store
    /// keeps any. They last for that long from the first one's beginning. There are 10,000 names at most under a
    /// key; what has another one is added to `other`.
    ///
    /// `false`, the default, says that it does not: [usage](crate::telemetry::usage) is each process's
    /// own then.
    fn tally<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let _ = (key, amounts, ttl);
        Box::pin(async { Ok(false) })
    }

    /// A number by which handles of the same store are known in this process, such as the address of
    /// what they share: if one of them sees that the store does not answer, all take it for so.
    ///
    /// `None`, the default, says that this handle is a store of its own.
    fn identity(&self) -> Option<usize> {
        None
    }

    /// The numbers that [`tally`](Self::tally) added up under a key; none by default.
    fn tallied<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        let _ = key;
        Box::pin(async { Ok(BTreeMap::new()) })
    }
}

/// How often the default of [`Store::repair_sum`] reads a number that others change at the same time.
const MAX_REPAIRS: u32 = 3;

/// What the methods of a [`Store`] return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

#[cfg(test)]
mod tests;
