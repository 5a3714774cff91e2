//! The storage of responses: memory or a store.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lru::LruCache;
use tracing::debug;

use super::entry::{Entry, Unusable};
use super::integrity::Integrity;
use super::invalidation_log::InvalidationLog;
use super::key::Key;
use super::store_lookup::{self, LookupOutcome, LookupRequest};
use crate::store::{
    BACKGROUND_TIMEOUT, BackgroundWriter, FormatProblem, ResilientStore, StoreHealth, StoreResult,
    StoreWaitBudget, ValueFormat, run_in_background,
};
use crate::time::clock;
use crate::util::compact::ALLOCATION_OVERHEAD;

pub(crate) enum Storage {
    /// In the memory of this process.
    Memory(Mutex<MemoryBackend>),
    /// In a store, encoded.
    Store(StoreBackend),
}

/// Responses in memory, bounded by the memory that they take: the least recently used one is evicted.
pub(crate) struct MemoryBackend {
    /// The entries, with the size of each in bytes.
    entries: LruCache<Key, (Arc<Entry>, usize)>,
    /// The identity that last stored a response to the same question.
    last_writers: LruCache<Key, Key>,
    /// The size of both tables in bytes.
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct StoreBackend {
    pub(crate) store: Arc<ResilientStore>,
    pub(crate) integrity: Integrity,
    /// Writes to the store after the calls have returned.
    pub(crate) writer: BackgroundWriter,
    /// How long a call can wait for this store, if it is not the client's store.
    pub(crate) dedicated_timeout: Option<Duration>,
    /// The prefix of all names.
    pub(crate) prefix: String,
    pub(crate) retention: Duration,
    /// The size in bytes above which entries are compressed.
    pub(crate) compress_above: usize,
    /// The maximum size of a stored value in bytes.
    pub(crate) max_value: usize,
}

/// The maximum number of questions for which the last identity is known.
const MAX_LAST_WRITERS: usize = 50_000;
/// The key of the identity that last received a response.
const LAST_WRITER_FORMAT: ValueFormat = ValueFormat::new("last-writer", 1);
/// The maximum size of its stored form in bytes.
const MAX_LAST_WRITER_BYTES: usize = 64 + size_of::<Key>();
/// The divisor of the memory bound that limits the share of this table.
const LAST_WRITER_FRACTION: usize = 16;
/// The size of one item in bytes: two keys in a list, and a place in a table, which can be less than half full.
const LAST_WRITER_BYTES: usize = size_of::<([Key; 2], [usize; 2])>() + ALLOCATION_OVERHEAD + 40;

impl Storage {
    pub(crate) fn memory(max_bytes: usize) -> Self {
        Self::Memory(Mutex::new(MemoryBackend {
            entries: LruCache::unbounded(),
            // `MemoryBackend` bounds both; a bound here would allocate its capacity at once.
            last_writers: LruCache::unbounded(),
            bytes: 0,
            max_bytes,
        }))
    }

    /// Looks up the response of a key and, if there is a question, the identity that last received a response to it.
    pub(crate) async fn look_up(
        &self,
        search: LookupRequest<'_>,
        invalidation_log: &InvalidationLog,
        max_bytes: usize,
        allowance: &StoreWaitBudget,
    ) -> LookupOutcome {
        match self {
            Self::Memory(held) => look_up(held, search.key, search.question),
            Self::Store(backend) => {
                store_lookup::look_up(backend, search, invalidation_log, max_bytes, allowance).await
            }
        }
    }

    /// Performs the same look-up without a wait. Returns `None` if responses are in a store.
    pub(crate) fn look_up_in_memory(
        &self,
        key: Key,
        question: impl FnOnce() -> Option<Key>,
    ) -> Option<LookupOutcome> {
        match self {
            Self::Memory(held) => Some(look_up(held, key, question)),
            Self::Store(_) => None,
        }
    }

    /// Returns the response of this key. A stored value that does not decode is a miss. It is removed if no other
    /// process can decode it either.
    pub(crate) async fn get(
        &self,
        key: Key,
        max_bytes: usize,
        allowance: &StoreWaitBudget,
    ) -> Option<Arc<Entry>> {
        match self {
            Self::Memory(held) => lock(held).entries.get(&key).map(|(entry, _)| Arc::clone(entry)),
            Self::Store(backend) => {
                let name = backend.name(key);
                let bytes = match backend.writer.pending(&name) {
                    Some(pending) => pending,
                    None => backend.store.get(&name, backend.max_bytes(), allowance).await?,
                };
                backend.read(&bytes?, key, max_bytes)
            }
        }
    }

    /// Stores a response. If it is too large, the previous one is removed as well.
    pub(crate) fn put(&self, key: Key, entry: &Arc<Entry>) {
        match self {
            Self::Memory(held) => lock(held).put(key, Arc::clone(entry)),
            Self::Store(backend) => {
                let bytes = entry.encode(key, &backend.integrity, backend.compress_above);
                let bytes = bytes.filter(|bytes| bytes.len() <= backend.max_value);
                // A server that repeats secrets must not disclose them to other processes.
                let repeats_secret = entry.has_secret();
                if repeats_secret {
                    debug!(
                        operation = entry.metadata.operation,
                        "response not stored: it contains a secret of this process"
                    );
                }
                let Some(bytes) = bytes.filter(|_| !repeats_secret) else {
                    return backend.remove_before(key);
                };
                backend.writer.put(backend.name(key), &bytes, backend.retention);
            }
        }
    }

    pub(crate) fn remove(&self, key: Key) {
        match self {
            Self::Memory(held) => lock(held).remove(key),
            Self::Store(backend) => backend.writer.remove(backend.name(key)),
        }
    }

    /// Returns the identity that last received a response to a question, if the responses are in memory.
    pub(crate) fn last_writer(&self, question: Key) -> Option<Key> {
        match self {
            Self::Memory(held) => lock(held).last_writers.get(&question).copied(),
            Self::Store(_) => None,
        }
    }

    /// Records the identity that last received a response to a question.
    pub(crate) fn set_last_writer(&self, question: Key, key: Key) {
        match self {
            Self::Memory(held) => lock(held).set_last_writer(question, key),
            Self::Store(backend) => {
                backend.writer.put(
                    backend.last_writer_key(question),
                    &LAST_WRITER_FORMAT.encode(key.as_bytes()),
                    backend.retention,
                );
            }
        }
    }

    /// Returns how long a call can wait for the store of the cache, if that differs from how long it can wait for the
    /// client's store.
    pub(crate) fn dedicated_timeout(&self) -> Option<Duration> {
        match self {
            Self::Memory(_) => None,
            Self::Store(backend) => backend.dedicated_timeout,
        }
    }

    /// Returns whether responses are in a store, which a call waits for.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Store(_))
    }

    /// Waits until the store has all pending writes.
    pub(crate) async fn flush(&self) {
        if let Self::Store(backend) = self {
            backend.writer.flush().await;
        }
    }

    /// Returns the health of the store, if there is one.
    pub(crate) fn health(&self) -> Option<StoreHealth> {
        match self {
            Self::Memory(_) => None,
            Self::Store(backend) => Some(backend.store.health()),
        }
    }

    /// Returns whether storing costs nothing but memory.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Returns the bytes that the cache holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Memory(held) => lock(held).bytes,
            Self::Store(_) => 0,
        }
    }

    /// Drops the entries in memory that are not needed any longer.
    pub(crate) fn evict_purged(&self, gone: impl Fn(&Entry) -> bool) {
        let Self::Memory(held) = self else { return };
        let mut held = lock(held);
        let gone = held.entries.iter().filter(|(_, (entry, _))| gone(entry));
        let keys: Vec<Key> = gone.map(|(key, _)| *key).collect();
        for key in keys {
            held.remove(key);
        }
        let lost = held.last_writers.iter().filter(|(_, key)| !held.entries.contains(key));
        let questions: Vec<Key> = lost.map(|(question, _)| *question).collect();
        for question in questions {
            if held.last_writers.pop(&question).is_some() {
                held.bytes -= LAST_WRITER_BYTES;
            }
        }
    }
}

impl MemoryBackend {
    fn put(&mut self, key: Key, entry: Arc<Entry>) {
        self.remove(key);
        let size = entry.size();
        if size <= self.max_bytes {
            self.bytes += size;
            self.entries.put(key, (entry, size));
            self.evict();
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some((_, size)) = self.entries.pop(&key) {
            self.bytes -= size;
        }
    }

    fn set_last_writer(&mut self, question: Key, key: Key) {
        let most =
            (self.max_bytes / LAST_WRITER_FRACTION / LAST_WRITER_BYTES).min(MAX_LAST_WRITERS);
        if most == 0 {
            return;
        }
        if self.last_writers.put(question, key).is_none() {
            self.bytes += LAST_WRITER_BYTES;
        }
        if self.last_writers.len() > most && self.last_writers.pop_lru().is_some() {
            self.bytes -= LAST_WRITER_BYTES;
        }
        self.evict();
    }

    /// Drops the least recently used items, until the rest is within the bound.
    fn evict(&mut self) {
        while self.bytes > self.max_bytes {
            let Some((_, (_, size))) = self.entries.pop_lru() else { break };
            self.bytes -= size;
        }
    }
}

impl StoreBackend {
    pub(crate) fn name(&self, key: Key) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn last_writer_key(&self, key: Key) -> String {
        format!("{}any:{key}", self.prefix)
    }

    /// Returns the maximum size in bytes of a value that this client stores.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_value.max(MAX_LAST_WRITER_BYTES)
    }

    /// Reads a stored value. A value that does not decode is removed, unless other clients can decode it.
    pub(crate) fn read(&self, bytes: &Bytes, key: Key, max_bytes: usize) -> Option<Arc<Entry>> {
        match self.decode(bytes, key, max_bytes) {
            Ok(entry) => Some(Arc::new(entry)),
            Err(Unusable::ForOthers) => None,
            Err(Unusable::Invalid) => {
                debug!(key = %key, "stored response is unreadable; removed");
                self.release(self.name(key), bytes.clone());
                None
            }
        }
    }

    fn decode(&self, bytes: &Bytes, key: Key, max_bytes: usize) -> Result<Entry, Unusable> {
        Entry::decode(bytes, key, &self.integrity, max_bytes, clock::monotonic_wall_clock())
    }

    /// Removes an entry that can no longer be stored, unless only other clients can read the stored value: those
    /// clients decide themselves.
    fn remove_before(&self, key: Key) {
        let name = self.name(key);
        if self.writer.pending(&name).is_some() {
            return self.writer.remove(name);
        }
        let (guard, integrity) = (Arc::clone(&self.store), self.integrity.clone());
        let (most, max_value) = (self.max_bytes(), self.max_value);
        run_in_background(async move {
            let read =
                guard.run_in_background(BACKGROUND_TIMEOUT, |store| store.get_within(&name, most));
            let StoreResult::Done(Some(bytes)) = read.await else { return };
            let entry =
                Entry::decode(&bytes, key, &integrity, max_value, clock::monotonic_wall_clock());
            if entry.err() != Some(Unusable::ForOthers) {
                guard
                    .run_in_background(BACKGROUND_TIMEOUT, |store| {
                        store.remove_if_equal(&name, bytes)
                    })
                    .await;
            }
        });
    }

    /// Removes a value in the background, unless another process has replaced it.
    fn release(&self, name: String, value: Bytes) {
        let guard = Arc::clone(&self.store);
        run_in_background(async move {
            guard
                .run_in_background(BACKGROUND_TIMEOUT, |store| store.remove_if_equal(&name, value))
                .await;
        });
    }

    /// Reads the identity that last received a response to a question. A value that is not a key is removed.
    pub(crate) fn read_last_writer(&self, bytes: Bytes, question: Key) -> Option<Key> {
        let key = match LAST_WRITER_FORMAT.decode(&bytes) {
            Ok(key) => Key::from_bytes(key),
            // Other clients can read it.
            Err(FormatProblem::Newer) => return None,
            Err(FormatProblem::Damaged) => None,
        };
        if key.is_none() {
            self.release(self.last_writer_key(question), bytes);
        }
        key
    }
}

/// Looks up the response of a key in memory and, if there is none, the identity that last received a response to the
/// question, which is a digest that most calls do not need.
fn look_up(
    held: &Mutex<MemoryBackend>,
    key: Key,
    question: impl FnOnce() -> Option<Key>,
) -> LookupOutcome {
    let entry = lock(held).entries.get(&key).map(|(entry, _)| Arc::clone(entry));
    let question = if entry.is_none() { question() } else { None };
    let last_writer = question.and_then(|question| lock(held).last_writers.get(&question).copied());
    // All invalidations of a cache in memory are known.
    LookupOutcome { is_log_known: true, has_unread_invalidations: false, entry, last_writer }
}

fn lock(held: &Mutex<MemoryBackend>) -> MutexGuard<'_, MemoryBackend> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(held) => {
                let held = lock(held);
                f.debug_struct("Storage")
                    .field("entries", &held.entries.len())
                    .field("bytes", &held.bytes)
                    .field("max_bytes", &held.max_bytes)
                    .finish()
            }
            Self::Store(backend) => backend.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
