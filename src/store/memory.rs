//! A store for the clients of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lru::LruCache;
use tokio::time::Instant;

use super::unreadable::report;
use super::{CounterStore, KeyValueStore, QuotaStore, StoreFuture, counter, counter_table};
#[cfg(feature = "quota-ledger")]
use super::{QuotaLease, QuotaRequest};
use crate::error::{Error, Result};
use crate::util::compact::{self, ALLOCATION_OVERHEAD};

#[cfg(feature = "quota-ledger")]
mod ledgers;

/// A [store](super::Store) in memory, for several clients of one process: clones share its content.
///
/// Its values are bounded in bytes, 64 MiB by default: the least recently used ones are evicted. A value that is larger
/// than the bound is not stored. Sums, such as those of budgets, are evicted last, as long
/// as they take at most half. Ledgers are bounded by number, 15,000; the clients share their limits only with the feature
/// `quota-ledger`.
#[derive(Clone, Debug)]
pub struct MemoryStore(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    values: LruCache<Box<str>, Value>,
    bytes: usize,
    /// The bytes of sums among them.
    counter_bytes: usize,
    max_bytes: usize,
    #[cfg(feature = "quota-ledger")]
    ledgers: ledgers::Ledgers,
}

#[derive(Debug)]
struct Value {
    content: Content,
    /// Whether it is a sum, which cannot be obtained again.
    is_counter: bool,
    expires_at: Option<Instant>,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    Table(LargeTable),
}

/// A table of counters that is not encoded, since it grows by a name at a time: the list of all identities of a month.
#[derive(Debug, Default)]
struct LargeTable {
    numbers: BTreeMap<String, u64>,
    name_bytes: usize,
}

/// Tables of at most this number of names are kept encoded, in a third of the memory.
const MAX_ENCODED_NAMES: usize = 64;
/// The size of a counter beside its name, in bytes: its places in a node that can be half full, and an allocation.
const NAME_OVERHEAD: usize = 2 * size_of::<(String, u64)>() + ALLOCATION_OVERHEAD;
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The divisor of the bound that gives the part for sums.
const COUNTER_FRACTION: usize = 2;
/// The size of an entry beside its key and value, in bytes: a node of a list, a place in a table, which can be less
/// than half full, and three allocations.
const ENTRY_OVERHEAD: usize =
    size_of::<(Box<str>, Value, [usize; 2])>() + 40 + 3 * ALLOCATION_OVERHEAD;

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates an empty store of 64 MiB at most.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_bytes(MAX_BYTES)
    }

    /// Creates an empty store whose values have at most this number of bytes, with their keys and some 200 bytes for
    /// each.
    #[must_use]
    pub fn with_max_bytes(max_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            values: LruCache::unbounded(),
            bytes: 0,
            counter_bytes: 0,
            max_bytes,
            #[cfg(feature = "quota-ledger")]
            ledgers: ledgers::Ledgers::new(),
        })))
    }

    /// Returns the current size of its values in bytes, as the bound counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an action on the state now, and returns a future that is ready.
    fn ready_with<'a, T: Send + 'a>(
        &self,
        act: impl FnOnce(&mut State) -> T,
    ) -> StoreFuture<'a, T> {
        self.ready(|state| Ok(act(state)))
    }

    /// Runs an action that can fail.
    fn ready<'a, T: Send + 'a>(
        &self,
        act: impl FnOnce(&mut State) -> Result<T>,
    ) -> StoreFuture<'a, T> {
        let result = act(&mut self.state());
        Box::pin(std::future::ready(result))
    }
}

impl State {
    /// Returns the content of a key, which becomes the most recently used one.
    fn current(&mut self, key: &str) -> Option<&Content> {
        let value = self.values.get(key)?;
        if value.expires_at.is_some_and(|until| until <= Instant::now()) {
            self.remove(key);
            return None;
        }
        self.values.peek(key).map(|value| &value.content)
    }

    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.current(key).map(Content::encode)
    }

    fn put(&mut self, key: &str, bytes: Bytes, until: Option<Instant>) {
        self.insert(key, Content::copy(&bytes), until, false);
    }

    /// Stores a value. Returns whether it fits.
    fn insert(
        &mut self,
        key: &str,
        content: Content,
        until: Option<Instant>,
        counts: bool,
    ) -> bool {
        let size = size(key, &content);
        let value = Value { content, is_counter: counts, expires_at: until };
        match self.values.get_mut(key) {
            // A value that is no larger than the earlier one fits in its place.
            Some(earlier) if self::size(key, &earlier.content) >= size => {
                let earlier = std::mem::replace(earlier, value);
                self.uncount(key, &earlier);
            }
            earlier => {
                if earlier.is_some() {
                    self.remove(key);
                }
                if size > self.max_bytes {
                    return false;
                }
                self.evict_for(size);
                self.values.put(key.into(), value);
            }
        }
        self.bytes += size;
        self.counter_bytes += if counts { size } else { 0 };
        true
    }

    /// Removes the least recently used values until a value of this size, which is at most the maximum, fits.
    fn evict_for(&mut self, size: usize) {
        let mut spared = 0;
        while self.bytes > self.max_bytes - size {
            let Some((key, value)) = self.values.pop_lru() else { break };
            // Sums are spared unless they are too many: they move behind all other values, once.
            let current = value.expires_at.is_none_or(|until| until > Instant::now());
            let is_spared = spared <= self.values.len();
            if value.is_counter
                && current
                && is_spared
                && self.counter_bytes <= self.max_bytes / COUNTER_FRACTION
            {
                spared += 1;
                self.values.put(key, value);
            } else {
                self.uncount(&key, &value);
            }
        }
    }

    /// Removes a value, and returns it if it has not expired.
    fn take(&mut self, key: &str) -> Option<Value> {
        let value = self.values.pop(key)?;
        self.uncount(key, &value);
        Some(value).filter(|value| value.expires_at.is_none_or(|until| until > Instant::now()))
    }

    fn remove(&mut self, key: &str) {
        if let Some(value) = self.values.pop(key) {
            self.uncount(key, &value);
        }
    }

    /// Subtracts the size of a value.
    fn uncount(&mut self, key: &str, value: &Value) {
        let size = size(key, &value.content);
        self.bytes -= size;
        self.counter_bytes -= if value.is_counter { size } else { 0 };
    }

    /// Returns whether this is the value of the key.
    fn is_equal(&mut self, key: &str, value: &Bytes) -> bool {
        self.get(key).is_some_and(|held| held == *value)
    }

    /// Returns a sum, and when it expires: zero, if there is none.
    fn sum(&mut self, key: &str, ttl: Duration) -> Result<(i64, Option<Instant>)> {
        let Some(held) = self.get(key) else { return Ok((0, expires_at(ttl))) };
        let sum = counter::read(&held).ok_or_else(|| Error::unreadable_value("not a number"))?;
        Ok((sum, self.values.peek(key).and_then(|value| value.expires_at)))
    }

    fn insert_sum(&mut self, key: &str, sum: i64, until: Option<Instant>) {
        self.insert(key, Content::copy(&Bytes::from(sum.to_string())), until, true);
    }

    fn increment(&mut self, key: &str, amount: i64, ttl: Duration) -> Result<i64> {
        let (before, until) = self.sum(key, ttl)?;
        let sum = counter::increment(before, amount);
        self.insert_sum(key, sum, until);
        Ok(sum)
    }

    fn try_consume(
        &mut self,
        key: &str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> Result<(i64, bool)> {
        let (before, until) = self.sum(key, ttl)?;
        let (sum, goes) = counter::try_consume(before, owed, most);
        self.insert_sum(key, sum, until);
        Ok((sum, goes))
    }

    fn repair_sum(&mut self, key: &str, at_least: i64, ttl: Duration) -> i64 {
        let (sum, until) = self.sum(key, ttl).unwrap_or_else(|_| {
            report(key, "not a number", "rebuilt");
            (at_least, expires_at(ttl))
        });
        let sum = counter::increment(sum.max(at_least), 0);
        self.insert_sum(key, sum, until);
        sum
    }

    fn increment_counters(&mut self, key: &str, amounts: &[(String, u64)], ttl: Duration) -> bool {
        let held = self.take(key);
        let until = held.as_ref().map_or_else(|| expires_at(ttl), |value| value.expires_at);
        let mut table = match held.map(|value| value.content) {
            Some(Content::Table(table)) => table,
            Some(Content::Bytes(held)) => {
                LargeTable::from(counter_table::read_reporting(key, &held))
            }
            None => LargeTable::default(),
        };
        let name_bytes = &mut table.name_bytes;
        counter_table::add(&mut table.numbers, amounts, |name| *name_bytes += name.len());
        let is_large = table.numbers.len() > MAX_ENCODED_NAMES;
        let table = Content::Table(table);
        // A table that takes the part of all sums stays encoded, so that it fits as long as possible.
        let content = if is_large && size(key, &table) <= self.max_bytes / COUNTER_FRACTION {
            table
        } else {
            Content::copy(&table.encode())
        };
        self.insert(key, content, until, true)
    }

    fn counters(&mut self, key: &str) -> BTreeMap<String, u64> {
        match self.current(key) {
            Some(Content::Bytes(held)) => counter_table::read_reporting(key, held),
            Some(Content::Table(table)) => table.numbers.clone(),
            None => BTreeMap::new(),
        }
    }
}

impl Content {
    /// Returns a copy, since a part of a larger buffer would keep the whole buffer.
    fn copy(bytes: &Bytes) -> Self {
        Self::Bytes(compact::bytes(bytes))
    }

    fn encode(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Table(table) => counter_table::encode(&table.numbers).into(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Table(table) => {
                table.name_bytes.saturating_add(table.numbers.len().saturating_mul(NAME_OVERHEAD))
            }
        }
    }
}

impl From<BTreeMap<String, u64>> for LargeTable {
    fn from(numbers: BTreeMap<String, u64>) -> Self {
        Self { name_bytes: numbers.keys().map(String::len).sum(), numbers }
    }
}

fn size(key: &str, content: &Content) -> usize {
    key.len().saturating_add(content.size()).saturating_add(ENTRY_OVERHEAD)
}

fn expires_at(ttl: Duration) -> Option<Instant> {
    // A value with a TTL beyond the clock's range does not expire.
    Instant::now().checked_add(ttl)
}

impl KeyValueStore for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.ready_with(|state| state.get(key))
    }

    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.0).addr())
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.ready_with(|state| state.put(key, value, expires_at(ttl)))
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ready_with(|state| {
            let free = state.get(key).is_none();
            if free {
                state.put(key, value, expires_at(ttl));
            }
            free
        })
    }

    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ready_with(|state| {
            let held = state.is_equal(key, &value);
            if held {
                state.put(key, value, expires_at(ttl));
            }
            held
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.ready_with(|state| state.remove(key))
    }

    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.ready_with(|state| {
            let held = state.is_equal(key, &value);
            if held {
                state.remove(key);
            }
            held
        })
    }
}

impl CounterStore for MemoryStore {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.ready(|state| state.increment(key, amount, ttl))
    }

    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        self.ready(|state| state.try_consume(key, owed, most, ttl))
    }

    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        self.ready_with(|state| state.repair_sum(key, at_least, ttl))
    }

    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ready_with(|state| state.increment_counters(key, amounts, ttl))
    }

    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        self.ready_with(|state| state.counters(key))
    }
}

impl QuotaStore for MemoryStore {
    #[cfg(feature = "quota-ledger")]
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        self.ready_with(|state| Some(state.ledgers.lease(key, request)))
    }
}

#[cfg(test)]
mod tests;
