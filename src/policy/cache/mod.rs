//! The response cache, with which repeated reads cost no quota.
//!
//! A client stores up to 64 MiB of GitHub's responses to `GET` calls in memory, and revalidates a response before each
//! use; a response that is still current costs no quota. A [`CachePolicy`] sets when the client returns a response
//! without revalidation.
//!
//! It is a private cache by [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111): the cache never returns a response of
//! one identity to another, unless GitHub has confirmed that the other identity would receive the same. After a write,
//! all entries of its repository or organization must revalidate, and after a GraphQL mutation all entries.
//!
//! Only `GET` calls of the REST API use the cache. A call bypasses the cache, so that it neither receives a stored
//! response nor stores its own, if its body is streamed, if it [polls](crate::Request::poll_until_ready), or if its caller
//! sets a header `Authorization`, `Cookie`, `Range` or a condition such as `If-None-Match` on it, or the header of a
//! [gateway's](crate::ClientBuilder::gateway) token. The client's own tokens are no such headers: calls with them use the
//! cache.
//!
//! | stored in | shared by | set with |
//! |---|---|---|
//! | memory | the handles of a client | nothing, or [`CacheConfig::memory`] |
//! | `store::DiskStore` (feature `disk-store`) | the processes of a machine, and the next run | [`CacheConfig::store`] |
//! | `store::RedisStore` (feature `redis`) | a fleet | [`ClientBuilder::store`](crate::ClientBuilder::store), or [`CacheConfig::store`] |
//!
//! # ETags and tokens
//! GitHub's `ETag`s differ from token to token, and tokens of an App expire after an hour. As has been
//! [observed](https://github.com/bored-engineer/github-conditional-http-transport), and is not documented by GitHub, an
//! `ETag` is a digest of the `Accept` and `Authorization` headers and of the body. A client compares the `ETag`s that it
//! receives with that digest. While they match, it revalidates with the `ETag` that the stored body would have for the
//! current token. Where they do not match, as when GitHub changes its scheme, it revalidates with the `ETag` that it
//! received. A wrong prediction costs one read that counts against the primary rate limit.
//! [`CacheConfig::computed_etags`] switches the prediction off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::error::Result;
use crate::store::{BackgroundWriter, ResilientStore, Store, StoreHealth, StoreWaitBudget};

pub(crate) mod conditional;
pub(crate) mod entry;
mod etag;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod integrity;
pub(crate) mod invalidation_log;
pub(crate) mod key;
pub(crate) mod lookup;
mod policy;
mod refreshes;
mod rejected_conditions;
pub(crate) mod result;
pub(crate) mod rfc9111;
mod selector;
mod storage;
mod store_lookup;
mod vary;
pub(crate) mod webhook_invalidation;
pub(crate) mod write_invalidation;

pub use crate::response::CacheStatus;
pub use policy::CachePolicy;
pub use selector::CacheSelector;

use etag::EtagPredictor;
use integrity::Integrity;
use invalidation_log::{Invalidation, InvalidationLog, Selector, Validity};
use refreshes::BackgroundRefreshes;
use rejected_conditions::RejectedConditions;
use storage::{Storage, StoreBackend};
use vary::LearnedVary;

/// Where a client stores responses, and when it returns them: [`ClientBuilder::cache`](crate::ClientBuilder::cache).
///
/// ```no_run
/// # fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::cache::{CacheConfig, CachePolicy};
///
/// let cache = CacheConfig::memory(256 * 1024 * 1024)
///     .default_policy(CachePolicy::five_minutes())
///     .policy_for("meta/get", CachePolicy::one_hour());
/// let client = Client::builder().cache(cache).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before it is given to a client"]
pub struct CacheConfig {
    backend: Backend,
    default_policy: CachePolicy,
    operations: BTreeMap<String, CachePolicy>,
    max_entry_bytes: usize,
    compress_above: usize,
    retention: Duration,
    store_timeout: Option<Duration>,
    computed_etags: bool,
    integrity_key: Option<SecretString>,
}

#[derive(Clone)]
enum Backend {
    /// The client's store, or memory.
    Default,
    Memory(usize),
    Store(Arc<dyn Store>),
    Disabled,
}

const MAX_BYTES: usize = 64 * 1024 * 1024;
const DEFAULT_MAX_ENTRY_BYTES: usize = 4 * 1024 * 1024;
const COMPRESS_ABOVE: usize = 4 * 1024;
const DEFAULT_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum age of the known state of the other processes' writes.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The time by which invalidations outlive the entries that they concern.
const LOG_TTL_MARGIN: Duration = Duration::from_secs(60 * 60);

impl Default for CacheConfig {
    /// Returns a cache in the client's [store](crate::ClientBuilder::store), if it has one, else in 64 MiB of memory.
    fn default() -> Self {
        Self {
            backend: Backend::Default,
            default_policy: CachePolicy::default(),
            operations: BTreeMap::new(),
            max_entry_bytes: DEFAULT_MAX_ENTRY_BYTES,
            compress_above: COMPRESS_ABOVE,
            retention: DEFAULT_RETENTION,
            store_timeout: None,
            computed_etags: true,
            integrity_key: None,
        }
    }
}

impl CacheConfig {
    /// Stores responses in the memory of this process, in at most this number of bytes. The least recently used
    /// response is evicted.
    ///
    /// The bound covers the memory that responses take, with their headers and the index: some 6 KB for a GitHub
    /// response with a body of 300 bytes.
    pub fn memory(max_bytes: usize) -> Self {
        Self { backend: Backend::Memory(max_bytes), ..Self::default() }
    }

    /// Stores responses in a store that is shared with other processes or with the next run of the program. The store
    /// holds bodies as GitHub sent them: every reader of the store can read them. A program that can write to the store
    /// determines the responses that calls receive, unless there is an [`integrity_key`](Self::integrity_key).
    pub fn store(store: impl Store) -> Self {
        Self { backend: Backend::Store(Arc::new(store)), ..Self::default() }
    }

    /// Stores nothing, and does not coalesce equal reads.
    pub fn disabled() -> Self {
        Self { backend: Backend::Disabled, ..Self::default() }
    }

    /// Sets when stored responses are returned; [`CachePolicy::revalidate`] by default.
    pub fn default_policy(mut self, policy: CachePolicy) -> Self {
        self.default_policy = policy;
        self
    }

    /// Sets the policy of one operation, by its id, such as `issues/get`.
    pub fn policy_for(mut self, id: impl Into<String>, policy: CachePolicy) -> Self {
        self.operations.insert(id.into(), policy);
        self
    }

    /// Sets the maximum size of a stored body, in bytes; 4 MiB by default. In a store, it is also the maximum size of
    /// the encoded, compressed value.
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.max_entry_bytes = bytes;
        self
    }

    /// Sets the size in bytes above which a store's values are compressed; 4 KiB by default.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// Sets how long a store keeps a response after GitHub confirmed it last; a day by default. Memory keeps responses
    /// until they are evicted.
    pub fn retention(mut self, time: Duration) -> Self {
        self.retention = time;
        self
    }

    /// Sets the longest time that a call waits for the store that was given to [`store`](Self::store), in addition to
    /// its wait for the client's store. By default, this wait is part of the client's
    /// [`store_timeout`](crate::ClientBuilder::store_timeout), which bounds the wait for all stores.
    pub fn store_timeout(mut self, time: Duration) -> Self {
        self.store_timeout = Some(time);
        self
    }

    /// Sets a secret by which the processes of this program recognize the values that they stored, for a store that
    /// other programs can write to. None by default.
    ///
    /// Stored values have a checksum, which finds damage, and which any program can compute. With a key, the checksum is
    /// an HMAC-SHA-256 of the value and its name, cut to 16 bytes: a value that a process without the key stored is a
    /// miss, and is removed. The key has at least 16 bytes, such as 32 random letters and digits. All processes that
    /// share the store need the same key. A new key voids all stored values.
    ///
    /// The key does not prevent other programs from reading or removing stored values, or from putting back an older value
    /// of the same name.
    ///
    /// [`build`](crate::ClientBuilder::build) fails if the key is shorter
    /// ([`ErrorKind::Configuration`](crate::ErrorKind::Configuration)).
    pub fn integrity_key(mut self, key: impl Into<SecretString>) -> Self {
        self.integrity_key = Some(key.into());
        self
    }

    /// Sets whether tags are [computed](self#etags-and-tokens) for tokens that change; by default they are.
    pub fn computed_etags(mut self, computed: bool) -> Self {
        self.computed_etags = computed;
        self
    }

    /// Creates the cache of a client for this GitHub, with its store, if any, and its timeout for stores.
    ///
    /// # Errors
    /// If the integrity key is too short.
    pub(crate) fn open(
        self,
        github: &str,
        client: Option<&Arc<ResilientStore>>,
        store_timeout: Duration,
    ) -> Result<Option<Arc<CacheInner>>> {
        let integrity = Integrity::new(self.integrity_key)?;
        let guard = match (&self.backend, client) {
            (Backend::Disabled, _) => return Ok(None),
            (Backend::Store(store), _) => {
                let timeout = self.store_timeout.unwrap_or(store_timeout);
                Some(ResilientStore::shared(Arc::clone(store), timeout))
            }
            (Backend::Default, Some(client)) => Some(Arc::clone(client)),
            (Backend::Default, None) | (Backend::Memory(_), _) => None,
        };
        let own_timeout = match self.backend {
            Backend::Store(_) => self.store_timeout,
            _ => None,
        };
        let (storage, invalidation_log) = match guard {
            Some(guard) => {
                let backend = StoreBackend {
                    store: Arc::clone(&guard),
                    integrity: integrity.clone(),
                    writer: BackgroundWriter::new(Arc::clone(&guard)),
                    dedicated_timeout: own_timeout,
                    prefix: "cache:".to_owned(),
                    retention: self.retention,
                    compress_above: self.compress_above,
                    max_value: self.max_entry_bytes,
                };
                let prefix = format!("cache:{github}:");
                let keep = self.retention.saturating_add(LOG_TTL_MARGIN);
                let invalidation_log =
                    InvalidationLog::shared(guard, integrity, prefix, SYNC_INTERVAL, keep);
                (Storage::Store(backend), invalidation_log)
            }
            None => {
                let max_bytes = match self.backend {
                    Backend::Memory(max_bytes) => max_bytes,
                    _ => MAX_BYTES,
                };
                (Storage::memory(max_bytes), InvalidationLog::local())
            }
        };
        let mut salt = [0; 16];
        // Without random numbers, fingerprints still distinguish tokens.
        let _ = getrandom::fill(&mut salt);
        Ok(Some(Arc::new(CacheInner {
            policy: self.default_policy,
            operations: self.operations,
            max_entry_bytes: self.max_entry_bytes,
            computed_etags: self.computed_etags,
            storage,
            log: invalidation_log,
            etag_predictor: EtagPredictor::default(),
            rejected_conditions: RejectedConditions::default(),
            learned_vary: LearnedVary::default(),
            salt,
            refreshes: Arc::default(),
        })))
    }
}

/// The cache of a client.
pub(crate) struct CacheInner {
    policy: CachePolicy,
    operations: BTreeMap<String, CachePolicy>,
    max_entry_bytes: usize,
    computed_etags: bool,
    storage: Storage,
    pub(crate) log: InvalidationLog,
    etag_predictor: EtagPredictor,
    salt: [u8; 16],
    refreshes: Arc<BackgroundRefreshes>,
    rejected_conditions: RejectedConditions,
    learned_vary: LearnedVary,
}

impl CacheInner {
    /// Waits until the responses that are to be stored now are written.
    pub(crate) async fn flush_responses(&self) {
        self.storage.flush().await;
    }

    /// Returns whether its responses are in a store, which a call waits for.
    pub(crate) fn has_store(&self) -> bool {
        self.storage.is_shared()
    }

    /// Returns how long a call can still wait for the cache: a separate store can have its own time.
    pub(crate) fn wait_budget(&self, of_call: &StoreWaitBudget) -> StoreWaitBudget {
        self.storage.dedicated_timeout().map_or_else(|| of_call.clone(), StoreWaitBudget::new)
    }

    /// Removes or invalidates these entries, and writes the invalidation for the processes that share the store.
    pub(crate) async fn invalidate(&self, selector: Selector, purge: bool) {
        self.log.record_and_publish(Invalidation { purge, selector }).await;
        if purge {
            self.evict_purged();
        }
    }

    /// Frees the memory of entries that are forgotten.
    fn evict_purged(&self) {
        self.storage.evict_purged(|entry| self.log.validity(entry) == Validity::Purged);
    }

    /// Returns the health of the store; `None` for a cache in memory.
    pub(crate) fn store_health(&self) -> Option<StoreHealth> {
        self.storage.health()
    }

    /// Returns the bytes that the cache holds in memory; zero for a cache in a store.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.storage.bytes()
    }

    /// Returns the policy of a call of this operation that sets none itself.
    pub(crate) fn policy_for(&self, operation: &str) -> &CachePolicy {
        // Most clients set none, and need no look-up.
        if self.operations.is_empty() {
            return &self.policy;
        }
        self.operations.get(operation).unwrap_or(&self.policy)
    }
}

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place: &dyn fmt::Debug = match &self.backend {
            Backend::Default => &"default",
            Backend::Memory(max_bytes) => max_bytes,
            Backend::Store(store) => store,
            Backend::Disabled => &"off",
        };
        f.debug_struct("CacheConfig")
            .field("place", place)
            .field("policy", &self.default_policy)
            .field("operations", &self.operations)
            .field("integrity_key", &self.integrity_key.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheInner")
            .field("policy", &self.policy)
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}
