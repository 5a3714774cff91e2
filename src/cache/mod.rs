//! Answers that are kept: repeated reads cost nothing.
//!
//! A client keeps GitHub's answers to `GET` calls in memory, 64 MiB of them, and asks each time
//! whether they are still current; an answer that is costs no quota. A [`CachePolicy`] says when
//! not even that is asked.
//!
//! It is a private cache by [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111): what one identity
//! was told is never told to another, unless GitHub has confirmed that it would be told the same.
//! Writes make doubtful what they may have changed: all of the repository or the organization that they
//! are about, and all there is for a GraphQL mutation. What arrives as a stream is not kept, and calls with an `Authorization` of their own
//! go by the cache.
//!
//! | kept in | shares with | set by |
//! |---|---|---|
//! | memory | the handles of a client | nothing, or [`Cache::memory`] |
//! | [`store::Disk`](crate::store::Disk) | the processes of a machine, and the next run | [`Cache::store`] |
//! | `store::Redis` | a fleet | [`ClientBuilder::store`](crate::ClientBuilder::store), or [`Cache::store`] |
//!
//! # Tags and tokens
//! GitHub's entity tags differ from token to token, and tokens of an App live an hour. As has been
//! [observed](https://github.com/bored-engineer/github-conditional-http-transport), and is not
//! documented by GitHub, a tag is a digest of the `Accept` and `Authorization` headers and of
//! the body. A client compares the tags that it gets with that, and while they match, it asks by the
//! tag that the stored body would have for the token at hand. Where they don't match, as when GitHub
//! changes this, it asks by the tag it was given. A wrong guess costs nothing but the saving.
//! [`Cache::computed_tags`] switches it off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Result;
use crate::runtimes::PerRuntime;
use crate::store::{Guard, Store, WaitAllowance, Writer};

pub(crate) mod conditional;
mod entry;
mod etag;
mod events;
mod flights;
pub(crate) mod found;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod handle;
mod integrity;
pub(crate) mod key;
pub(crate) mod log;
mod lookup;
pub(crate) mod plan;
mod policy;
mod refused;
pub(crate) mod rules;
mod storage;

pub use handle::{CacheHandle, Purge};
pub use policy::CachePolicy;

use etag::Scheme;
use flights::Flights;
use integrity::Integrity;
use log::{Log, Verdict};
use refused::RefusedConditions;
use storage::{Shelf, Storage};

/// Where a client keeps answers, and when it gives them:
/// [`ClientBuilder::cache`](crate::ClientBuilder::cache).
///
/// ```no_run
/// # fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::cache::{Cache, CachePolicy};
///
/// let cache = Cache::memory(256 * 1024 * 1024)
///     .policy(CachePolicy::moderate())
///     .operation("meta/get", CachePolicy::aggressive());
/// let client = Client::builder().cache(cache).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before it is given to a client"]
pub struct Cache {
    place: Place,
    policy: CachePolicy,
    operations: BTreeMap<String, CachePolicy>,
    max_answer: usize,
    compress_above: usize,
    keep: Duration,
    store_timeout: Option<Duration>,
    computed_tags: bool,
    integrity_key: Option<SecretString>,
}

#[derive(Clone)]
enum Place {
    /// The client's store, or memory.
    Default,
    Memory(usize),
    Store(Arc<dyn Store>),
    Nowhere,
}

const MAX_BYTES: usize = 64 * 1024 * 1024;
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const COMPRESS_ABOVE: usize = 4 * 1024;
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// How old what is known of the other processes' writes may be.
const SYNC: Duration = Duration::from_secs(1);
/// Marks outlive what they concern.
const MARGIN: Duration = Duration::from_secs(60 * 60);

impl Default for Cache {
    /// The client's [store](crate::ClientBuilder::store), if it has one, else 64 MiB of memory.
    fn default() -> Self {
        Self {
            place: Place::Default,
            policy: CachePolicy::default(),
            operations: BTreeMap::new(),
            max_answer: MAX_ANSWER,
            compress_above: COMPRESS_ABOVE,
            keep: KEEP,
            store_timeout: None,
            computed_tags: true,
            integrity_key: None,
        }
    }
}

impl Cache {
    /// In the memory of this process, in so many bytes at most. What was not used for longest makes
    /// room.
    ///
    /// The bound is of the memory that responses take, with their headers and all that is needed to find them: some 6 KB
    /// for one of GitHub's with a body of 300 bytes.
    pub fn memory(max_bytes: usize) -> Self {
        Self { place: Place::Memory(max_bytes), ..Self::default() }
    }

    /// In a store that is shared, by the next run of the program or by others. Bodies are kept there as
    /// GitHub sent them: whoever can read the store reads them. A program that can write to the store decides what calls
    /// receive, unless there is an [`integrity_key`](Self::integrity_key).
    pub fn store(store: impl Store) -> Self {
        Self { place: Place::Store(Arc::new(store)), ..Self::default() }
    }

    /// Nothing is kept, and equal reads are not joined.
    pub fn off() -> Self {
        Self { place: Place::Nowhere, ..Self::default() }
    }

    /// When what is kept is given; [`CachePolicy::revalidate`] by default.
    pub fn policy(mut self, policy: CachePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same for one operation, by its id, such as `issues/get`.
    pub fn operation(mut self, id: impl Into<String>, policy: CachePolicy) -> Self {
        self.operations.insert(id.into(), policy);
        self
    }

    /// The largest body that is kept, in bytes; 4 MiB by default. In a store, it is also the largest
    /// value as it is written, compressed.
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// In a store, what is larger than this is compressed; 4 KiB by default.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// In a store, how long an answer is kept after GitHub confirmed it last; a day by default. Memory
    /// keeps what there is room for.
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// The longest time that a call waits for the store that was given to [`store`](Self::store), beside what
    /// it waits for the client's store. By default it is part of the client's
    /// [`store_timeout`](crate::ClientBuilder::store_timeout), which bounds the wait for all stores.
    pub fn store_timeout(mut self, time: Duration) -> Self {
        self.store_timeout = Some(time);
        self
    }

    /// Sets a secret by which the processes of this program recognize what they stored, for a store that other programs
    /// can write to. None by default.
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

    /// Whether tags are [computed](self#tags-and-tokens) for tokens that change; they are by default.
    pub fn computed_tags(mut self, computed: bool) -> Self {
        self.computed_tags = computed;
        self
    }

    /// The cache of a client of this GitHub, which may have a store, and has this timeout for stores.
    ///
    /// # Errors
    /// If the integrity key is too short.
    pub(crate) fn open(
        self,
        github: &str,
        client: Option<&Arc<Guard>>,
        store_timeout: Duration,
    ) -> Result<Option<Arc<Open>>> {
        let integrity = Integrity::new(self.integrity_key)?;
        let guard = match (&self.place, client) {
            (Place::Nowhere, _) => return Ok(None),
            (Place::Store(store), _) => {
                let timeout = self.store_timeout.unwrap_or(store_timeout);
                Some(Guard::shared(Arc::clone(store), timeout))
            }
            (Place::Default, Some(client)) => Some(Arc::clone(client)),
            (Place::Default, None) | (Place::Memory(_), _) => None,
        };
        let own_timeout = match self.place {
            Place::Store(_) => self.store_timeout,
            _ => None,
        };
        let (storage, log) = match guard {
            Some(guard) => {
                let shelf = Shelf {
                    guard: Arc::clone(&guard),
                    integrity: integrity.clone(),
                    writer: Writer::new(Arc::clone(&guard)),
                    own_timeout,
                    prefix: "cache:".to_owned(),
                    keep: self.keep,
                    compress_above: self.compress_above,
                    max_value: self.max_answer,
                };
                let prefix = format!("cache:{github}:");
                let keep = self.keep.saturating_add(MARGIN);
                let log = Log::shared(guard, integrity, prefix, SYNC, keep);
                (Storage::Store(shelf), log)
            }
            None => {
                let max_bytes = match self.place {
                    Place::Memory(max_bytes) => max_bytes,
                    _ => MAX_BYTES,
                };
                (Storage::memory(max_bytes), Log::own())
            }
        };
        let mut salt = [0; 16];
        // Without random numbers, tokens are told from each other all the same.
        let _ = getrandom::fill(&mut salt);
        Ok(Some(Arc::new(Open {
            policy: self.policy,
            operations: self.operations,
            max_answer: self.max_answer,
            computed_tags: self.computed_tags,
            storage,
            log,
            flights: Flights::default(),
            scheme: Scheme::default(),
            refused_conditions: RefusedConditions::default(),
            salt,
            refreshing: PerRuntime::default(),
        })))
    }
}

/// The most responses of one runtime that are revalidated in the background at a time.
const REFRESHING: usize = 16;

/// The cache of a client.
pub(crate) struct Open {
    policy: CachePolicy,
    operations: BTreeMap<String, CachePolicy>,
    max_answer: usize,
    computed_tags: bool,
    storage: Storage,
    pub(crate) log: Log,
    pub(crate) flights: Flights,
    scheme: Scheme,
    salt: [u8; 16],
    /// The permits of a runtime that is not polled are no other one's.
    refreshing: PerRuntime<Arc<Semaphore>>,
    refused_conditions: RefusedConditions,
}

impl Open {
    /// Waits until the responses that are to be stored now are written.
    pub(crate) async fn flush_responses(&self) {
        self.storage.flush().await;
    }

    /// Returns a permit to revalidate a response in the background, unless too many are revalidated on this runtime.
    pub(crate) fn refresh_permit(&self) -> Option<OwnedSemaphorePermit> {
        let permits = self.refreshing.get_or_make(|_, _| Arc::new(Semaphore::new(REFRESHING)));
        permits.try_acquire_owned().ok()
    }

    /// What a call may still wait for the cache: another store than the client's may have a time of its own.
    pub(crate) fn allowance(&self, of_call: &WaitAllowance) -> WaitAllowance {
        self.storage.own_timeout().map_or_else(|| of_call.clone(), WaitAllowance::new)
    }

    /// Frees the memory of what is forgotten.
    fn sweep(&self) {
        self.storage.sweep(|entry| self.log.verdict(entry) == Verdict::Forgotten);
    }

    /// What holds for a call of this operation that says nothing itself.
    pub(crate) fn policy(&self, operation: &str) -> &CachePolicy {
        // Most have none, and need no look.
        if self.operations.is_empty() {
            return &self.policy;
        }
        self.operations.get(operation).unwrap_or(&self.policy)
    }
}

/// Where an answer came from: [`Response::cache_status`](crate::Response::cache_status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// From GitHub; the cache was not asked.
    Bypass,
    /// From GitHub, since nothing was stored, or what was stored is not current.
    Miss,
    /// From the cache, with nothing sent.
    Hit,
    /// From the cache, and GitHub confirmed that it is current.
    Revalidated,
    /// From the cache, though it may not be current: as the policy allows, while GitHub fails or is
    /// asked.
    Stale,
}

impl CacheStatus {
    /// Its name in lower case, as spans have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place: &dyn fmt::Debug = match &self.place {
            Place::Default => &"default",
            Place::Memory(max_bytes) => max_bytes,
            Place::Store(store) => store,
            Place::Nowhere => &"off",
        };
        f.debug_struct("Cache")
            .field("place", place)
            .field("policy", &self.policy)
            .field("operations", &self.operations)
            .field("integrity_key", &self.integrity_key.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("policy", &self.policy)
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}
