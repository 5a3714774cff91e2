//! Storage of shared state, for all clients of a process or for a fleet of processes.
//!
//! Without a store, each client keeps its own state, which suits one process with one client. With a store that
//! shares limits, clients of the same identity share its rate limits, whatever process and machine they are on.
//!
//! | store | shared by |
//! |---|---|
//! | [`MemoryStore`] | the clients of one process |
//! | `DiskStore`, with the feature `disk-store` | the processes of a machine, also after a restart |
//! | `RedisStore`, with the feature `redis` | all clients of the same Redis or Valkey |
//!
//! Limits are shared through Redis and a `DiskStore`; through a [`MemoryStore`] or a store of the application's own, with
//! the feature `quota-ledger`. Without it, each client of a [`MemoryStore`] has its own limits, and there is no warning.
//!
//! An attempt of a call waits for its store for [50 ms](crate::ClientBuilder::store_timeout) at most, in sum for all
//! store operations. If the store is unavailable, the attempt continues with local state, and with the client's share
//! of the limits. A response from the cache takes one round trip, any other call two, and none if the client shares
//! neither cache nor budgets and holds a sufficient quota lease. A write takes two more for its invalidation of stored
//! responses; more than eight invalidations by other clients since the last read can add one. Responses are
//! stored after the call. [`Client::store_health`](crate::Client::store_health) returns whether the store is available.

use std::pin::Pin;

use crate::error::Result;

mod background;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod counter;
mod counter_table;
mod counters;
#[cfg(feature = "disk-store")]
mod disk;
mod format;
#[cfg(test)]
mod forward;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod key_value;
mod lease;
#[cfg(feature = "quota-ledger")]
mod ledger;
mod memory;
mod quota;
mod quota_bounds;
#[cfg(feature = "redis")]
mod redis;
mod resilient;
mod unreadable;
mod wait_budget;
mod writer;

pub use counters::CounterStore;
#[cfg(feature = "disk-store")]
#[cfg_attr(docsrs, doc(cfg(feature = "disk-store")))]
pub use disk::{DiskStore, DiskStoreBuilder};
pub use key_value::KeyValueStore;
pub use lease::{QuotaLease, QuotaRequest};
#[cfg(feature = "quota-ledger")]
#[cfg_attr(docsrs, doc(cfg(feature = "quota-ledger")))]
pub use ledger::QuotaLedger;
pub use memory::MemoryStore;
pub use quota::QuotaStore;
#[cfg(feature = "redis")]
pub use redis::{RedisStore, RedisStoreBuilder};
pub use resilient::StoreHealth;

pub(crate) use background::{BackgroundTasks, block_in_drop, run_in_background};
#[cfg(feature = "usage")]
pub(crate) use format::COUNTER_VERSION;
pub(crate) use format::{FormatProblem, ValueFormat};
#[cfg(test)]
pub(crate) use forward::forward;
pub(crate) use lease::{
    MemberJoin, PrimaryObservation, PrimaryRequest, SecondaryPause, WindowRequest,
};
pub(crate) use quota_bounds::{LEASE_TTL_MS, LEDGER_TTL};
pub(crate) use resilient::{
    BACKGROUND_TIMEOUT, DEFAULT_TIMEOUT as STORE_TIMEOUT, ResilientStore, StoreResult, StoreTimeout,
};
pub(crate) use wait_budget::StoreWaitBudget;
pub(crate) use writer::BackgroundWriter;

/// All that clients share, by one store: the sum of [`KeyValueStore`], [`CounterStore`] and [`QuotaStore`], which every
/// type has that implements these three.
///
/// # Contract for implementers
/// Each method has its own contract, which `testing::store_conformance`, with the feature `testing`, checks. All
/// methods have this one:
///
/// - **Atomicity.** A method takes effect as a whole or not at all, whatever other clients of the store do at the same
///   time. It uses one key, except for [`get_many`](KeyValueStore::get_many), so that a store can be distributed over
///   many servers. An operation whose future is dropped might or might not take effect.
/// - **Keys** are text of at most a few hundred bytes, of any characters, and contain no secret. Values and sums are in
///   one space of keys: a sum is a value of decimal text. Counters by name and ledgers can be in others.
/// - **Values** are bytes of any content, also none. They can be confidential; the client encrypts them if they are
///   secret.
/// - **TTL.** A TTL is exact to 100 ms: the value is returned until it ends, and is absent from then on. Zero is
///   accepted. A TTL that ends beyond the range of the store's clock is unlimited.
/// - **Loss.** A store can lose values before they expire, by eviction or a restart. It should lose sums last, since
///   they cannot be obtained again.
/// - **Errors.** A method fails if the store is unavailable, or its response is invalid: of the kind
///   [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable). The client then continues without the store.
/// - **Unreadable values** are not an outage. A store reports one as
///   [`Error::unreadable_value`](crate::Error::unreadable_value), or treats it as missing: reads leave it unchanged, and
///   the next write replaces it. Sums are the exception: [`increment`](CounterStore::increment),
///   [`try_consume`](CounterStore::try_consume) and [`sum`](CounterStore::sum) fail, and only
///   [`repair_sum`](CounterStore::repair_sum) replaces one, so that an unreadable number never counts as one that begins
///   at zero.
///
/// ```
/// # use std::time::Duration;
/// use octowire::bytes::Bytes;
/// use octowire::store::{CounterStore, KeyValueStore, QuotaStore, StoreFuture};
///
/// #[derive(Debug)]
/// struct MyStore { /* a connection */ }
///
/// impl KeyValueStore for MyStore {
///     fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
///         Box::pin(async move { todo!("GET {key}") })
///     }
/// #   fn put<'a>(&'a self, _: &'a str, _: Bytes, _: Duration) -> StoreFuture<'a, ()> { todo!() }
/// #   fn put_if_absent<'a>(&'a self, _: &'a str, _: Bytes, _: Duration) -> StoreFuture<'a, bool> { todo!() }
/// #   fn extend_if_equal<'a>(&'a self, _: &'a str, _: Bytes, _: Duration) -> StoreFuture<'a, bool> { todo!() }
/// #   fn remove<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> { todo!() }
/// #   fn remove_if_equal<'a>(&'a self, _: &'a str, _: Bytes) -> StoreFuture<'a, bool> { todo!() }
///     // put, put_if_absent, extend_if_equal, remove, remove_if_equal
/// }
///
/// impl CounterStore for MyStore {
///     fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
///         Box::pin(async move { todo!("INCRBY {key} {amount}, and a TTL of {ttl:?}") })
///     }
/// }
///
/// // It does not share limits: each client keeps its own.
/// impl QuotaStore for MyStore {}
/// # fn needs(_: impl octowire::store::Store) {}
/// # let _ = || needs(MyStore {});
/// ```
pub trait Store: KeyValueStore + CounterStore + QuotaStore {}

impl<T: KeyValueStore + CounterStore + QuotaStore + ?Sized> Store for T {}

/// The future of a method of a [`Store`].
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

#[cfg(test)]
mod tests;
