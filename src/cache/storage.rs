//! Where answers are.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lru::LruCache;
use tracing::debug;

use super::entry::Entry;
use super::key::Key;
use crate::store::{Guard, StoreHealth};

pub(crate) enum Storage {
    /// In this process.
    Memory(Mutex<Held>),
    /// In a store, written.
    Store(Shelf),
}

/// Answers in memory, bounded by their bytes: what was not used for longest makes room.
pub(crate) struct Held {
    entries: LruCache<Key, Arc<Entry>>,
    /// Who stored an answer to the same question last, whoever asked.
    anybody: LruCache<Key, Key>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) guard: Arc<Guard>,
    /// What names begin with.
    pub(crate) prefix: String,
    pub(crate) keep: Duration,
    /// More bytes than these are compressed.
    pub(crate) compress_above: usize,
    /// More than these are not stored.
    pub(crate) max_value: usize,
}

/// As many questions are known by who answered them last.
const MAX_ANYBODY: NonZeroUsize = NonZeroUsize::new(50_000).unwrap();

impl Storage {
    pub(crate) fn memory(max_bytes: usize) -> Self {
        Self::Memory(Mutex::new(Held {
            entries: LruCache::unbounded(),
            anybody: LruCache::new(MAX_ANYBODY),
            bytes: 0,
            max_bytes,
        }))
    }

    /// The answer of this key. What can not be read, for whatever reason, is not there.
    pub(crate) async fn get(&self, key: Key, max_bytes: usize) -> Option<Arc<Entry>> {
        match self {
            Self::Memory(held) => lock(held).entries.get(&key).cloned(),
            Self::Store(shelf) => {
                let name = shelf.name(key);
                let bytes = shelf.guard.run(|store| store.get(&name)).await??;
                let entry = Entry::decode(&bytes, max_bytes).map(Arc::new);
                if entry.is_none() {
                    debug!(key = %key, "what is stored is of another version, or broken");
                }
                entry
            }
        }
    }

    /// Stores an answer, unless it is too large, or the store does not take it.
    pub(crate) async fn put(&self, key: Key, entry: &Arc<Entry>) {
        match self {
            Self::Memory(held) => lock(held).put(key, Arc::clone(entry)),
            Self::Store(shelf) => {
                let Some(bytes) = entry.encode(shelf.compress_above) else { return };
                // A server that repeats secrets must not tell them to others.
                if bytes.len() > shelf.max_value || entry.has_secret() {
                    return shelf.remove(key).await;
                }
                let name = shelf.name(key);
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
                let bytes = shelf.guard.run(|store| store.get(&name)).await??;
                Key::from_bytes(&bytes)
            }
        }
    }

    pub(crate) async fn set_anybody(&self, question: Key, key: Key) {
        match self {
            Self::Memory(held) => {
                lock(held).anybody.put(question, key);
            }
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
        let keys: Vec<Key> =
            held.entries.iter().filter(|(_, entry)| gone(entry)).map(|(key, _)| *key).collect();
        for key in keys {
            held.remove(key);
        }
    }
}

impl Held {
    fn put(&mut self, key: Key, entry: Arc<Entry>) {
        self.remove(key);
        let weight = entry.weight();
        if weight > self.max_bytes {
            return;
        }
        while self.bytes + weight > self.max_bytes {
            let Some((_, old)) = self.entries.pop_lru() else { break };
            self.bytes -= old.weight();
        }
        self.bytes += weight;
        self.entries.put(key, entry);
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.pop(&key) {
            self.bytes -= entry.weight();
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
