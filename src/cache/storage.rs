//! Where answers are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lru::LruCache;
use tracing::debug;

use super::entry::{Entry, Unusable};
use super::integrity::Integrity;
use super::key::Key;
use crate::clock;
use crate::compact::ALLOCATION;
use crate::store::{Guard, StoreHealth};

pub(crate) enum Storage {
    /// In this process.
    Memory(Mutex<Held>),
    /// In a store, written.
    Store(Shelf),
}

/// Answers in memory, bounded by the memory that they take: what was not used for longest makes room.
pub(crate) struct Held {
    /// With the size of each.
    entries: LruCache<Key, (Arc<Entry>, usize)>,
    /// Who stored an answer to the same question last, whoever asked.
    anybody: LruCache<Key, Key>,
    /// Of both.
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) guard: Arc<Guard>,
    pub(crate) integrity: Integrity,
    /// What names begin with.
    pub(crate) prefix: String,
    pub(crate) keep: Duration,
    /// More bytes than these are compressed.
    pub(crate) compress_above: usize,
    /// More than these are not stored.
    pub(crate) max_value: usize,
}

/// As many questions are known by who answered them last.
const MAX_ANYBODY: usize = 50_000;
/// Of all memory, this part is for them at most.
const ANYBODY: usize = 16;
/// What one of them takes: two keys in a list, and a place in a table, which may be less than half full.
const ANYBODY_SIZE: usize = size_of::<([Key; 2], [usize; 2])>() + ALLOCATION + 40;

impl Storage {
    pub(crate) fn memory(max_bytes: usize) -> Self {
        Self::Memory(Mutex::new(Held {
            entries: LruCache::unbounded(),
            // Both are bounded by `Held`; a bound here would have its room made at once.
            anybody: LruCache::unbounded(),
            bytes: 0,
            max_bytes,
        }))
    }

    /// The response of this key. A stored value that does not decode is a miss. It is removed if no other process can
    /// decode it either.
    pub(crate) async fn get(&self, key: Key, max_bytes: usize) -> Option<Arc<Entry>> {
        match self {
            Self::Memory(held) => lock(held).entries.get(&key).map(|(entry, _)| Arc::clone(entry)),
            Self::Store(shelf) => {
                let name = shelf.name(key);
                let bytes = shelf.read(&name).await?;
                match shelf.decode(&bytes, key, max_bytes) {
                    Ok(entry) => Some(Arc::new(entry)),
                    Err(Unusable::ForOthers) => None,
                    Err(Unusable::Garbage) => {
                        debug!(key = %key, "a stored response is not readable, and removed");
                        shelf.release(&name, bytes).await;
                        None
                    }
                }
            }
        }
    }

    /// Stores a response. If it is too large, the one before is removed as well.
    pub(crate) async fn put(&self, key: Key, entry: &Arc<Entry>) {
        match self {
            Self::Memory(held) => lock(held).put(key, Arc::clone(entry)),
            Self::Store(shelf) => {
                let bytes = entry.encode(key, &shelf.integrity, shelf.compress_above);
                let bytes = bytes.filter(|bytes| bytes.len() <= shelf.max_value);
                // A server that repeats secrets must not tell them to others.
                let repeats_secret = entry.has_secret();
                if repeats_secret {
                    debug!(
                        operation = entry.about.operation,
                        "response not stored: it repeats a secret that this process has used"
                    );
                }
                let name = shelf.name(key);
                let Some(bytes) = bytes.filter(|_| !repeats_secret) else {
                    return shelf.remove_before(&name, key).await;
                };
                shelf.guard.run(|store| store.put(&name, bytes, shelf.keep)).await;
            }
        }
    }

    pub(crate) async fn remove(&self, key: Key) {
        match self {
            Self::Memory(held) => lock(held).remove(key),
            Self::Store(shelf) => shelf.remove(key).await,
        }
    }

    /// Who stored an answer to a question last, whoever asked it.
    pub(crate) async fn anybody(&self, question: Key) -> Option<Key> {
        match self {
            Self::Memory(held) => lock(held).anybody.get(&question).copied(),
            Self::Store(shelf) => {
                let name = shelf.question(question);
                let bytes = shelf.read(&name).await?;
                let key = Key::from_bytes(&bytes);
                if key.is_none() {
                    shelf.release(&name, bytes).await;
                }
                key
            }
        }
    }

    pub(crate) async fn set_anybody(&self, question: Key, key: Key) {
        match self {
            Self::Memory(held) => lock(held).set_anybody(question, key),
            Self::Store(shelf) => {
                let name = shelf.question(question);
                let bytes = Bytes::copy_from_slice(key.as_bytes());
                shelf.guard.run(|store| store.put(&name, bytes, shelf.keep)).await;
            }
        }
    }

    /// How the store is, if there is one.
    pub(crate) fn health(&self) -> Option<StoreHealth> {
        match self {
            Self::Memory(_) => None,
            Self::Store(shelf) => Some(shelf.guard.health()),
        }
    }

    /// Whether to store costs nothing but memory.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// The bytes that are held in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Memory(held) => lock(held).bytes,
            Self::Store(_) => 0,
        }
    }

    /// Drops what is held in memory and concerns nobody any longer.
    pub(crate) fn sweep(&self, gone: impl Fn(&Entry) -> bool) {
        let Self::Memory(held) = self else { return };
        let mut held = lock(held);
        let gone = held.entries.iter().filter(|(_, (entry, _))| gone(entry));
        let keys: Vec<Key> = gone.map(|(key, _)| *key).collect();
        for key in keys {
            held.remove(key);
        }
        let lost = held.anybody.iter().filter(|(_, key)| !held.entries.contains(key));
        let questions: Vec<Key> = lost.map(|(question, _)| *question).collect();
        for question in questions {
            if held.anybody.pop(&question).is_some() {
                held.bytes -= ANYBODY_SIZE;
            }
        }
    }
}

impl Held {
    fn put(&mut self, key: Key, entry: Arc<Entry>) {
        self.remove(key);
        let size = entry.size();
        if size <= self.max_bytes {
            self.bytes += size;
            self.entries.put(key, (entry, size));
            self.make_room();
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some((_, size)) = self.entries.pop(&key) {
            self.bytes -= size;
        }
    }

    fn set_anybody(&mut self, question: Key, key: Key) {
        let most = (self.max_bytes / ANYBODY / ANYBODY_SIZE).min(MAX_ANYBODY);
        if most == 0 {
            return;
        }
        if self.anybody.put(question, key).is_none() {
            self.bytes += ANYBODY_SIZE;
        }
        if self.anybody.len() > most && self.anybody.pop_lru().is_some() {
            self.bytes -= ANYBODY_SIZE;
        }
        self.make_room();
    }

    /// Drops what was not used for longest, until all that is left is within the bound.
    fn make_room(&mut self) {
        while self.bytes > self.max_bytes {
            let Some((_, (_, size))) = self.entries.pop_lru() else { break };
            self.bytes -= size;
        }
    }
}

impl Shelf {
    fn name(&self, key: Key) -> String {
        format!("{}{key}", self.prefix)
    }

    fn question(&self, key: Key) -> String {
        format!("{}any:{key}", self.prefix)
    }

    /// The value of this name, unless it is larger than those that this client stores.
    async fn read(&self, name: &str) -> Option<Bytes> {
        let most = self.max_value.max(size_of::<Key>());
        self.guard.run(|store| store.get_within(name, most)).await?
    }

    fn decode(&self, bytes: &Bytes, key: Key, max_bytes: usize) -> Result<Entry, Unusable> {
        Entry::decode(bytes, key, &self.integrity, max_bytes, clock::now())
    }

    /// Removes what cannot be stored any more, unless only other clients can read what is there: those decide
    /// themselves.
    async fn remove_before(&self, name: &str, key: Key) {
        let Some(bytes) = self.read(name).await else { return };
        if self.decode(&bytes, key, self.max_value) != Err(Unusable::ForOthers) {
            self.release(name, bytes).await;
        }
    }

    /// Removes a value, unless another process has put another one in its place.
    async fn release(&self, name: &str, value: Bytes) {
        self.guard.run(|store| store.release(name, value)).await;
    }

    async fn remove(&self, key: Key) {
        let name = self.name(key);
        self.guard.run(|store| store.remove(&name)).await;
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(held) => {
                let held = lock(held);
                f.debug_struct("Memory")
                    .field("entries", &held.entries.len())
                    .field("bytes", &held.bytes)
                    .field("max_bytes", &held.max_bytes)
                    .finish()
            }
            Self::Store(shelf) => shelf.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
