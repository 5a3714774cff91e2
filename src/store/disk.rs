//! A store for the processes of a machine, which persists across their restarts.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::quota_bounds::LEDGER_TTL;
use super::unreadable::{TOO_LARGE, report, report_left};
use super::{
    CounterStore, FormatProblem, KeyValueStore, QuotaLease, QuotaLedger, QuotaRequest, QuotaStore,
    StoreFuture, counter, counter_table,
};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::PerRuntime;
use crate::util::private_files::{Permissions, fault, warn_if_trusted};

mod eviction;
mod folder;
#[cfg(any(test, feature = "__fuzz"))]
pub(super) mod fuzzing;
mod lock;
mod value;

use folder::{DiskInner, ReadResult, SUBFOLDER, UnreadableReason, ValueKind, after, now};
use lock::{FolderLock, LOCK_WAIT, with_lock};
use value::Value;

/// A [store](super::Store) in a folder: for the next run of a program, and for processes of one machine, which can use it at
/// the same time.
///
/// Each value is a file, which is written to a draft and then moved to its place: whenever a process ends, a value is
/// whole or absent. A damaged value is absent.
///
/// The store is bounded, by 1 GiB unless [`with_max_bytes`](Self::with_max_bytes) sets another bound. When a process
/// has written a 16th of that, it removes expired values, and then the least recently used ones. The store uses only a
/// folder `octowire-store` in the given one.
///
/// Values are not encrypted. On Unix, only the user of the process can read them. If other users can write to the
/// folder `octowire-store`, the store repairs its mode, with a warning. The same applies to a value that a group can
/// read or write, as volumes of a pod become when they are mounted again. If `octowire-store` belongs to another user
/// or is a link, the store rejects it. The parent folder is rejected if all users can write to it. Volumes of
/// containers, such as the `emptyDir` of a pod, are used with a warning.
///
/// The store does not trust a value that belongs to another user, that all users can write to, that is a link or has a
/// second name (a hard link), or that is not a regular file: it logs a warning, and the next write replaces the value.
/// If the file system does not show the real owners and modes, see
/// [`trust_file_permissions`](DiskStoreBuilder::trust_file_permissions).
///
/// The file system has to support locks and renames: all local ones do, but not every network file system. A change of
/// the store waits up to a second for its lock, such as when another process is stopped while it holds the lock or
/// another call of the same runtime is not polled, and then fails. Reads need no lock.
///
/// ```no_run
/// # fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::cache::CacheConfig;
/// use octowire::store::DiskStore;
///
/// let cache = CacheConfig::store(DiskStore::open("/var/cache/my-bot")?);
/// let client = Client::builder().token_from_env("GITHUB_TOKEN").cache(cache).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DiskStore(Arc<DiskInner>);

/// The settings of a [`DiskStore`]: [`DiskStore::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder opens nothing until `open` is called"]
pub struct DiskStoreBuilder {
    folder: PathBuf,
    max_bytes: u64,
    permissions: Permissions,
}

const MAX_BYTES: u64 = 1024 * 1024 * 1024;

impl DiskStore {
    /// Opens the store in this folder, which is created if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be created or written to: of the kind
    /// [`Configuration`](crate::ErrorKind::Configuration).
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(folder).open()
    }

    /// Opens the store with another bound, in bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn with_max_bytes(folder: impl Into<PathBuf>, max_bytes: u64) -> Result<Self> {
        Self::builder(folder).max_bytes(max_bytes).open()
    }

    /// Returns a builder of the store in this folder, with more settings.
    pub fn builder(folder: impl Into<PathBuf>) -> DiskStoreBuilder {
        let folder = folder.into();
        DiskStoreBuilder { folder, max_bytes: MAX_BYTES, permissions: Permissions::Checked }
    }

    /// Runs an action on the folder in a task that can block.
    fn run<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&DiskInner) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run_on_value(move |folder| act(folder).map(Ok))
    }

    /// Runs an action that an unreadable value can prevent.
    fn run_on_value<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&DiskInner) -> io::Result<Result<T>> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let folder = Arc::clone(&self.0);
        Box::pin(async move {
            let acting = Arc::clone(&folder);
            let done = spawn_blocking(move || act(&acting)).await;
            evict_if_due(folder);
            done.unwrap_or_else(|error| Err(io::Error::other(error)))
                .unwrap_or_else(|error| Err(failed(&error)))
        })
    }

    /// Runs an action on the folder while it is locked.
    fn run_locked<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&DiskInner, &FolderLock) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run_locked_on_value(move |folder, lock| act(folder, lock).map(Ok))
    }

    /// Runs an action, while the folder is locked, that an unreadable value can prevent.
    fn run_locked_on_value<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&DiskInner, &FolderLock) -> io::Result<Result<T>> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let folder = Arc::clone(&self.0);
        Box::pin(async move {
            let done = with_lock(&folder, act).await;
            evict_if_due(folder);
            done.unwrap_or_else(|error| Err(failed(&error)))
        })
    }

    /// Changes a sum, unless it cannot be read. `change` returns the new sum, and the result.
    fn change_sum<'a, T: Send + 'static>(
        &self,
        key: &str,
        ttl: Duration,
        change: impl FnOnce(i64) -> (i64, T) + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let key = key.to_owned();
        self.run_locked_on_value(move |folder, lock| {
            folder.change_value(lock, &key, ValueKind::Sum, |found| match sum(found, ttl) {
                Ok((before, until)) => {
                    let (sum, result) = change(before);
                    (Some((sum.to_string().into_bytes(), until)), Ok(result))
                }
                Err(unreadable) => (None, Err(unreadable.error())),
            })
        })
    }
}

fn failed(error: &io::Error) -> Error {
    let (message, advice) = match error.kind() {
        io::ErrorKind::TimedOut => (
            format!("disk store lock timed out after {LOCK_WAIT:?}"),
            "another process is stopped or hangs: find the process that has the file `lock` open; \
             or a future of this store is not polled",
        ),
        _ => (
            format!("disk store failed: {error}"),
            "check that the folder exists, and that the disk has free space",
        ),
    };
    Error::new(ErrorKind::StoreUnavailable, message).with_advice(advice).with_retryable(true)
}

/// Removes values in a task, for which no caller waits.
fn evict_if_due(folder: Arc<DiskInner>) {
    if folder.needs_eviction() {
        spawn_blocking(move || {
            if let Err(error) = folder.evict() {
                debug!(%error, "disk store eviction failed");
            }
            folder.is_evicting.store(false, Ordering::Release);
        });
    }
}

impl DiskStoreBuilder {
    /// Sets the maximum size of the store in bytes; 1 GiB by default.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets whether files and folders are used whatever their owners and modes are; `false` by default.
    ///
    /// This is for file systems that do not show the real owners and modes: CIFS mounts of mode 0777, and NFS with
    /// `root_squash`. Other users that can write to the folder then determine the responses that calls receive from a
    /// cache, unless it has an [`integrity_key`](crate::policy::cache::CacheConfig::integrity_key), and the remaining quota of
    /// limits. Modes are not repaired: users with read access to the files can read the cached responses. The store
    /// logs one warning. Links in place of files are still rejected. Files are created with the mode 0600: a process
    /// with another user id, as pods on OpenShift can get with each start, cannot open them on file systems with real
    /// owners.
    pub fn trust_file_permissions(mut self, trusted: bool) -> Self {
        self.permissions = Permissions::trusted(trusted);
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As for [`DiskStore::open`].
    pub fn open(self) -> Result<DiskStore> {
        let Self { folder, max_bytes, permissions } = self;
        // A separate folder: the store does not touch other files in the given one.
        let path = folder.join(SUBFOLDER);
        warn_if_trusted(&path, permissions);
        let folder = DiskInner {
            parent: folder,
            max_bytes,
            permissions,
            // The existing content counts as written.
            written_bytes: AtomicU64::new(max_bytes),
            is_evicting: AtomicBool::new(false),
            lock_turn: PerRuntime::default(),
        };
        folder.prepare().map_err(|error| {
            let path = path.display();
            let (message, advice) = match fault(&error) {
                Some(fault) => {
                    (format!("cannot open the disk store in {path}: {fault}"), fault.advice())
                }
                None => (
                    format!("cannot open the disk store in {path}"),
                    "use a folder that this program can create and write to",
                ),
            };
            Error::new(ErrorKind::Configuration, message).with_advice(advice).with_source(error)
        })?;
        Ok(DiskStore(Arc::new(folder)))
    }
}

impl DiskInner {
    /// Returns the value of a key if it has at most this number of bytes, or the report of a value that cannot be read.
    fn read_within(&self, key: &str, max_bytes: usize) -> io::Result<Result<Option<Bytes>>> {
        let max_bytes = (max_bytes as u64).min(self.max_bytes);
        let found = self.find_within(key, max_bytes, ValueKind::Other)?;
        let value = found.map(|found| found.map(|value| value.bytes.into()));
        Ok(value.map_err(|unreadable| report_left(key, unreadable.problem())))
    }
}

impl KeyValueStore for DiskStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        let key = key.to_owned();
        self.run(move |folder| {
            Ok(folder.find(&key, ValueKind::Other)?.map_or_else(
                |unreadable| {
                    report(&key, unreadable.problem(), "unchanged");
                    None
                },
                |found| found.map(|value| value.bytes.into()),
            ))
        })
    }

    fn get_within<'a>(&'a self, key: &'a str, max_bytes: usize) -> StoreFuture<'a, Option<Bytes>> {
        let key = key.to_owned();
        self.run_on_value(move |folder| folder.read_within(&key, max_bytes))
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [(&'a str, usize)],
    ) -> StoreFuture<'a, Vec<Result<Option<Bytes>>>> {
        let keys: Vec<_> = keys.iter().map(|(key, most)| ((*key).to_owned(), *most)).collect();
        self.run(move |folder| {
            let values = keys.iter().map(|(key, max_bytes)| folder.read_within(key, *max_bytes));
            values.collect()
        })
    }

    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.0).addr())
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        let (drafted, key) = (key.to_owned(), key.to_owned());
        let draft = self.run(move |folder| folder.write_temp(&drafted, &value, after(ttl)));
        Box::pin(async move {
            let draft = draft.await?;
            self.run_locked(move |folder, lock| folder.commit(lock, &key, draft)).await
        })
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let key = key.to_owned();
        self.run_locked(move |folder, lock| {
            folder.change(lock, &key, |held| match held {
                Some(_) => (None, false),
                None => (Some((value.to_vec(), after(ttl))), true),
            })
        })
    }

    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let key = key.to_owned();
        self.run_locked(move |folder, lock| {
            folder.change(lock, &key, |held| match held {
                Some(held) if held.bytes == value => (Some((held.bytes, after(ttl))), true),
                _ => (None, false),
            })
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        let key = key.to_owned();
        self.run_locked(move |_, lock| DiskInner::remove(lock, &key))
    }

    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        let key = key.to_owned();
        self.run_locked(move |folder, lock| folder.release(lock, &key, &value))
    }
}

impl CounterStore for DiskStore {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.change_sum(key, ttl, move |before| {
            let sum = counter::increment(before, amount);
            (sum, sum)
        })
    }

    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        self.change_sum(key, ttl, move |before| {
            let (sum, goes) = counter::try_consume(before, owed, most);
            (sum, (sum, goes))
        })
    }

    fn sum<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<i64>> {
        let key = key.to_owned();
        self.run_on_value(move |folder| {
            let held = existing_sum(folder.find(&key, ValueKind::Sum)?);
            let sum = held.map(|held| held.map(|(sum, _)| sum));
            Ok(sum.map_err(|unreadable| match unreadable {
                UnreadableReason::Damaged(problem) => report_left(&key, problem),
                // Most such sums never existed.
                UnreadableReason::Lost(_) => unreadable.error(),
            }))
        })
    }

    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        let key = key.to_owned();
        self.run_locked(move |folder, lock| {
            folder.change_value(lock, &key, ValueKind::Sum, |found| {
                let (sum, until) = sum(found, ttl).unwrap_or_else(|unreadable| {
                    report(&key, unreadable.problem(), "rebuilt");
                    (at_least, after(ttl))
                });
                let sum = counter::increment(sum.max(at_least), 0);
                (Some((sum.to_string().into_bytes(), until)), sum)
            })
        })
    }

    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let (key, amounts) = (key.to_owned(), amounts.to_vec());
        self.run_locked(move |folder, lock| {
            folder.change_value(lock, &key, ValueKind::Other, |found| {
                let until = |held: &Option<Value>| Some(held.as_ref()?.expires_at_ms);
                let until = found.as_ref().ok().and_then(until).unwrap_or_else(|| after(ttl));
                (Some((counter_table::increment(numbers(&key, found), &amounts), until)), true)
            })
        })
    }

    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        let key = key.to_owned();
        self.run(move |folder| Ok(numbers(&key, folder.find(&key, ValueKind::Other)?)))
    }
}

impl QuotaStore for DiskStore {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        let (key, request) = (key.to_owned(), request.clone());
        self.run_locked_on_value(move |folder, lock| {
            folder.change_value(lock, &key, ValueKind::Other, |found| {
                let mut ledger =
                    match found.map(|held| held.map(|held| QuotaLedger::read(&held.bytes))) {
                        Ok(None) => QuotaLedger::default(),
                        Ok(Some(Ok(ledger))) => ledger,
                        Ok(Some(Err(FormatProblem::Newer))) => {
                            return (None, Err(report_left(&key, "newer version")));
                        }
                        Ok(Some(Err(FormatProblem::Damaged))) | Err(_) => {
                            report(&key, "not a ledger", "reset");
                            QuotaLedger::default()
                        }
                    };
                let lease = ledger.lease(now(), &request);
                let Some(bytes) = ledger.write(&request.member) else {
                    report(&key, TOO_LARGE, "unchanged until members leave");
                    return (None, Err(Error::unreadable_value(TOO_LARGE)));
                };
                (Some((bytes, after(LEDGER_TTL))), Ok(Some(lease)))
            })
        })
    }
}

/// Returns a sum with this TTL, and when it expires: a new sum of zero, if there is none.
fn sum(found: ReadResult, ttl: Duration) -> std::result::Result<(i64, u64), UnreadableReason> {
    let begun = || (0, after(ttl));
    match existing_sum(found) {
        // The sum that was lost would have expired by now.
        Err(UnreadableReason::Lost(at)) if at.elapsed().is_ok_and(|since| since > ttl) => {
            Ok(begun())
        }
        held => Ok(held?.unwrap_or_else(begun)),
    }
}

/// Returns the stored sum, and when it expires.
fn existing_sum(found: ReadResult) -> std::result::Result<Option<(i64, u64)>, UnreadableReason> {
    let Some(held) = found? else { return Ok(None) };
    let sum = counter::read(&held.bytes).ok_or(UnreadableReason::Damaged("not a number"))?;
    Ok(Some((sum, held.expires_at_ms)))
}

/// Returns the numbers by name; none if the value cannot be read.
fn numbers(key: &str, found: ReadResult) -> BTreeMap<String, u64> {
    match found {
        Ok(Some(held)) => counter_table::read_reporting(key, &held.bytes),
        Ok(None) => BTreeMap::new(),
        Err(_) => {
            report(key, "not a table of counters", "reset");
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests;
