//! The suite accepts the stores of this library, and finds each fault of a faulty one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::{CHECKS, store_conformance};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{
    CounterStore, DiskStore, KeyValueStore, MemoryStore, QuotaLease, QuotaLedger, QuotaRequest,
    QuotaStore, StoreFuture, counter,
};
use crate::util::conformance::faults::{
    assert_each_check_has_a_fault, assert_each_fault_is_found, faults,
};

faults! {
    ValuesAreText: "a value is returned as it was written",
    EmptyValuesAreAbsent: "a value is returned as it was written",
    AbsentValuesAreEmpty: "a key without a value has none",
    PutKeepsTheTtl: "put replaces the value and its TTL",
    PutKeepsTheValue: "put replaces the value and its TTL",
    KeysIgnoreCase: "keys are any text, and each has its own value",
    KeysAreTruncated: "keys are any text, and each has its own value",
    RemoveMatchesPrefixes: "keys are any text, and each has its own value",
    NothingExpires: "a value is returned until its TTL ends, and not after",
    TtlIsInWholeSeconds: "a value is returned until its TTL ends, and not after",
    EverythingExpires: "a value is returned until its TTL ends, and not after",
    ZeroTtlFails: "a TTL can be zero or beyond the range of a clock",
    LongTtlExpires: "a TTL can be zero or beyond the range of a clock",
    BoundIsExclusive: "a value is read if it has at most the given length",
    TooLargeIsAbsent: "a value is read if it has at most the given length",
    TooLargeIsRemoved: "a value is read if it has at most the given length",
    ManyAreSorted: "several values are read in the order of their keys, each by its own bound",
    ManyFailAsAWhole: "several values are read in the order of their keys, each by its own bound",
    ManyOmitAbsent: "several values are read in the order of their keys, each by its own bound",
    PutIfAbsentReplaces: "put_if_absent sets a value only if there is none",
    PutIfAbsentIsReentrant: "put_if_absent sets a value only if there is none",
    PutIfAbsentSeesExpired: "an expired value counts as none",
    PutIfAbsentRaces: "of concurrent callers of put_if_absent, one succeeds",
    ExtendKeepsTheTtl: "extend_if_equal sets a new TTL for an equal value",
    ExtendOnlyLengthens: "extend_if_equal sets a new TTL for an equal value",
    ExtendIgnoresTheValue: "extend_if_equal leaves any other value",
    ExtendCreates: "extend_if_equal leaves any other value",
    RemoveOfNoneFails: "remove removes any value, and none is no error",
    RemoveLeavesSums: "remove removes any value, and none is no error",
    RemoveIfEqualComparesPrefixes: "remove_if_equal removes an equal value, and no other",
    RemoveIfEqualSucceedsAlways: "remove_if_equal removes an equal value, and no other",
    RemoveIfEqualRaces: "of concurrent callers of remove_if_equal, one succeeds",
    DroppedOperationsHoldTheLock: "a dropped operation does not block later ones",
    IdentityChanges: "the identity of a handle does not change",
    SumsBeginAtOne: "a sum begins at zero, and increment returns it",
    IncrementReturnsTheOldSum: "a sum begins at zero, and increment returns it",
    KeysShareASum: "each key has its own sum",
    IncrementRaces: "no concurrent increment is lost",
    IncrementExtendsTheTtl: "the TTL of a sum runs from its creation",
    SumsAreBinary: "a sum is decimal text for the methods of values",
    SumsWrap: "a sum that exceeds the bounds of the store gets the bound",
    SumsFailAtTheBound: "a sum that exceeds the bounds of the store gets the bound",
    SumsAreSmall: "a sum that exceeds the bounds of the store gets the bound",
    ConsumeExceedsTheLimit: "try_consume adds one unless the sum would exceed the limit",
    ConsumeCountsRejected: "try_consume adds one unless the sum would exceed the limit",
    ConsumeDropsTheDeferred: "try_consume adds the deferred amount in any case",
    ConsumeRaces: "concurrent callers of try_consume do not exceed the limit",
    SumCreates: "sum reads a sum without creating it",
    GarbageIsZero: "an unreadable number is left unchanged by all but repair_sum",
    GarbageIsRemoved: "an unreadable number is left unchanged by all but repair_sum",
    GarbageIsAnOutage: "an unreadable number is left unchanged by all but repair_sum",
    RepairLeavesGarbage: "repair_sum replaces an unreadable number",
    RepairLowers: "repair_sum raises a readable sum, and never lowers one",
    CountersAreKeptWithoutSupport: "counters without support are none",
    CountersAreReplaced: "counters begin at zero, and each name has its own",
    CountersRace: "no concurrent increment of a counter is lost",
    CountersExtendTheTtl: "the TTL of counters runs from the creation of the first",
    CountersHaveAnyNumberOfNames: "names beyond 10,000 are counted as `other`",
    LeasesExceedTheRequest: "a new member receives a lease within its request",
    LeasesForStrangers: "a member that the ledger does not know has to join",
    LedgersAreLost: "the ledger of a key is kept between requests",
    KeysShareALedger: "each key has its own ledger",
    LeasesRace: "concurrent members do not exceed a limit",
    ValuesRemoveLedgers: "a ledger and a value do not disturb each other",
}

type Stored = (Bytes, Option<Instant>);
type Counters = (BTreeMap<String, u64>, Option<Instant>);

/// A simple store with one fault.
#[derive(Debug)]
struct FaultyStore {
    fault: Fault,
    values: Mutex<BTreeMap<String, Stored>>,
    counters: Mutex<BTreeMap<String, Counters>>,
    ledgers: Mutex<BTreeMap<String, QuotaLedger>>,
    lock: Semaphore,
    calls: AtomicUsize,
}

impl FaultyStore {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            values: Mutex::default(),
            counters: Mutex::default(),
            ledgers: Mutex::default(),
            lock: Semaphore::new(1),
            calls: AtomicUsize::new(0),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, key: &str) -> String {
        match self.fault {
            Fault::KeysIgnoreCase => key.to_lowercase(),
            Fault::KeysAreTruncated => key.chars().take(255).collect(),
            _ => key.to_owned(),
        }
    }

    fn expiry(&self, ttl: Duration) -> Result<Option<Instant>> {
        Ok(match self.fault {
            Fault::NothingExpires => None,
            Fault::EverythingExpires => Some(Instant::now() + ttl.min(Duration::from_millis(160))),
            Fault::TtlIsInWholeSeconds => {
                Instant::now().checked_add(Duration::from_secs(ttl.as_secs().saturating_add(1)))
            }
            Fault::ZeroTtlFails if ttl.is_zero() => {
                return Err(Error::new(ErrorKind::StoreUnavailable, "invalid expire time"));
            }
            Fault::LongTtlExpires => {
                Some(Instant::now().checked_add(ttl).unwrap_or_else(Instant::now))
            }
            _ => Instant::now().checked_add(ttl),
        })
    }

    /// The end of an operation that holds a lock for a while.
    async fn locked(&self) {
        if self.has(Fault::DroppedOperationsHoldTheLock) {
            self.lock.acquire().await.unwrap().forget();
            yield_now().await;
            self.lock.add_permits(1);
        }
    }

    /// Another task can run here, between a read and a write.
    async fn race(&self, fault: Fault) {
        if self.has(fault) {
            yield_now().await;
        }
    }

    fn stored(&self, key: &str) -> Option<Stored> {
        let values = self.values.lock().unwrap();
        let is_current = |(_, end): &&Stored| end.is_none_or(|end| end > Instant::now());
        values.get(&self.key(key)).filter(is_current).cloned()
    }

    fn set(&self, key: &str, value: Bytes, end: Option<Instant>) {
        self.values.lock().unwrap().insert(self.key(key), (value, end));
        if self.has(Fault::ValuesRemoveLedgers) {
            self.ledgers.lock().unwrap().clear();
        }
    }

    fn read_sum(&self, key: &str, ttl: Duration) -> Result<(i64, Option<Instant>)> {
        let initial = if self.has(Fault::SumsBeginAtOne) { 1 } else { 0 };
        let Some((value, end)) = self.stored(key) else { return Ok((initial, self.expiry(ttl)?)) };
        if self.has(Fault::SumsAreBinary)
            && let Ok(bytes) = <[u8; 8]>::try_from(&value[..])
        {
            return Ok((i64::from_le_bytes(bytes), end));
        }
        match (counter::read(&value), self.fault) {
            // A bound of its own.
            (None, Fault::SumsWrap) => match std::str::from_utf8(&value).map(str::parse) {
                Ok(Ok(sum)) => Ok((sum, end)),
                _ => Err(Error::unreadable_value("not a number")),
            },
            (Some(sum), _) => Ok((sum, end)),
            (None, Fault::GarbageIsZero) => Ok((0, end)),
            (None, Fault::GarbageIsAnOutage) => {
                Err(Error::new(ErrorKind::StoreUnavailable, "not an integer"))
            }
            (None, Fault::GarbageIsRemoved) => {
                self.values.lock().unwrap().remove(&self.key(key));
                Err(Error::unreadable_value("not a number"))
            }
            (None, _) => Err(Error::unreadable_value("not a number")),
        }
    }

    fn write_sum(&self, key: &str, sum: i64, end: Option<Instant>) {
        let value = match self.fault {
            Fault::SumsAreBinary => Bytes::copy_from_slice(&sum.to_le_bytes()),
            _ => Bytes::from(sum.to_string()),
        };
        self.set(key, value, end);
    }

    fn added(&self, sum: i64, amount: i64) -> Result<i64> {
        match self.fault {
            Fault::SumsWrap => Ok(sum.wrapping_add(amount)),
            Fault::SumsAreSmall => Ok(sum.saturating_add(amount).clamp(-(1 << 52), 1 << 52)),
            Fault::SumsFailAtTheBound => sum
                .checked_add(amount)
                .filter(|sum| counter::increment(*sum, 0) == *sum)
                .ok_or_else(|| Error::new(ErrorKind::StoreUnavailable, "increment would overflow")),
            _ => Ok(counter::increment(sum, amount)),
        }
    }
}

impl KeyValueStore for FaultyStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.locked().await;
            let value = self.stored(key).map(|(value, _)| value);
            Ok(match (value, self.fault) {
                (Some(value), Fault::EmptyValuesAreAbsent) if value.is_empty() => None,
                (Some(value), Fault::ValuesAreText) => {
                    Some(String::from_utf8_lossy(&value).into_owned().into())
                }
                (None, Fault::AbsentValuesAreEmpty) => Some(Bytes::new()),
                (value, _) => value,
            })
        })
    }

    fn get_within<'a>(&'a self, key: &'a str, max_bytes: usize) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let value = self.get(key).await?;
            let exclusive = usize::from(self.has(Fault::BoundIsExclusive));
            let is_large = |value: &Bytes| value.len().saturating_add(exclusive) > max_bytes;
            if !value.as_ref().is_some_and(is_large) {
                return Ok(value);
            }
            match self.fault {
                Fault::TooLargeIsAbsent => return Ok(None),
                Fault::TooLargeIsRemoved => drop(self.values.lock().unwrap().remove(key)),
                _ => {}
            }
            Err(Error::unreadable_value("too large"))
        })
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [(&'a str, usize)],
    ) -> StoreFuture<'a, Vec<Result<Option<Bytes>>>> {
        Box::pin(async move {
            let mut keys = keys.to_vec();
            if self.has(Fault::ManyAreSorted) {
                keys.sort_unstable();
            }
            let mut values = Vec::new();
            for (key, max_bytes) in keys {
                match self.get_within(key, max_bytes).await {
                    Err(error) if self.has(Fault::ManyFailAsAWhole) => return Err(error),
                    Ok(None) if self.has(Fault::ManyOmitAbsent) => {}
                    value => values.push(value),
                }
            }
            Ok(values)
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.locked().await;
            let (mut value, mut end) = (value, self.expiry(ttl)?);
            if let Some((before, until)) = self.stored(key) {
                match self.fault {
                    Fault::PutKeepsTheTtl => end = until,
                    Fault::PutKeepsTheValue => value = before,
                    _ => {}
                }
            }
            self.set(key, value, end);
            Ok(())
        })
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.locked().await;
            let stored = match self.fault {
                Fault::PutIfAbsentSeesExpired => {
                    self.values.lock().unwrap().get(key).map(|(value, _)| value.clone())
                }
                _ => self.stored(key).map(|(value, _)| value),
            };
            self.race(Fault::PutIfAbsentRaces).await;
            let is_free = match self.fault {
                Fault::PutIfAbsentIsReentrant => stored.is_none_or(|stored| stored == value),
                _ => stored.is_none(),
            };
            if is_free || self.has(Fault::PutIfAbsentReplaces) {
                self.set(key, value, self.expiry(ttl)?);
            }
            Ok(is_free)
        })
    }

    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let end = self.expiry(ttl)?;
            match (self.stored(key), self.fault) {
                (None, Fault::ExtendCreates) => self.set(key, value, end),
                (None, _) => return Ok(false),
                (Some((stored, _)), Fault::ExtendIgnoresTheValue) => self.set(key, stored, end),
                (Some((stored, _)), _) if stored != value => return Ok(false),
                (Some(_), Fault::ExtendKeepsTheTtl) => {}
                (Some((_, before)), Fault::ExtendOnlyLengthens) => {
                    let end = before.zip(end).map(|(before, end)| before.max(end));
                    self.set(key, value, end);
                }
                (Some(_), _) => self.set(key, value, end),
            }
            Ok(true)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.locked().await;
            let key = self.key(key);
            let mut values = self.values.lock().unwrap();
            let is_sum = |value: &Stored| counter::read(&value.0).is_some();
            match (values.get(&key), self.fault) {
                (None, Fault::RemoveOfNoneFails) => {
                    return Err(Error::new(ErrorKind::StoreUnavailable, "no such key"));
                }
                (Some(value), Fault::RemoveLeavesSums) if is_sum(value) => {}
                (_, Fault::RemoveMatchesPrefixes) => {
                    values.retain(|name, _| !name.starts_with(&key))
                }
                _ => drop(values.remove(&key)),
            }
            Ok(())
        })
    }

    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let stored = self.stored(key);
            self.race(Fault::RemoveIfEqualRaces).await;
            let is_equal = stored.is_some_and(|(stored, _)| match self.fault {
                Fault::RemoveIfEqualComparesPrefixes => value.starts_with(&stored),
                _ => stored == value,
            });
            if is_equal {
                self.values.lock().unwrap().remove(&self.key(key));
            }
            Ok(is_equal || self.has(Fault::RemoveIfEqualSucceedsAlways))
        })
    }

    fn identity(&self) -> Option<usize> {
        self.has(Fault::IdentityChanges).then(|| self.calls.fetch_add(1, Ordering::Relaxed))
    }
}

impl CounterStore for FaultyStore {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            self.locked().await;
            let key = if self.has(Fault::KeysShareASum) { "sum" } else { key };
            let (before, mut end) = self.read_sum(key, ttl)?;
            self.race(Fault::IncrementRaces).await;
            let sum = self.added(before, amount)?;
            if self.has(Fault::IncrementExtendsTheTtl) {
                end = self.expiry(ttl)?;
            }
            self.write_sum(key, sum, end);
            Ok(if self.has(Fault::IncrementReturnsTheOldSum) { before } else { sum })
        })
    }

    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        deferred: i64,
        limit: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        Box::pin(async move {
            let (before, end) = self.read_sum(key, ttl)?;
            self.race(Fault::ConsumeRaces).await;
            let limit = limit.saturating_add(i64::from(self.has(Fault::ConsumeExceedsTheLimit)));
            let (mut sum, is_consumed) = counter::try_consume(before, deferred, limit);
            match self.fault {
                Fault::ConsumeCountsRejected if !is_consumed => sum += 1,
                Fault::ConsumeDropsTheDeferred if !is_consumed => sum = before,
                _ => {}
            }
            self.write_sum(key, sum, end);
            Ok((sum, is_consumed))
        })
    }

    fn sum<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<i64>> {
        Box::pin(async move {
            if self.has(Fault::SumCreates) {
                return self.increment(key, 0, super::LONG).await.map(Some);
            }
            if self.stored(key).is_none() {
                return Ok(None);
            }
            self.read_sum(key, super::LONG).map(|(sum, _)| Some(sum))
        })
    }

    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            let (sum, end) = match self.read_sum(key, ttl) {
                Ok(_) if self.has(Fault::RepairLowers) => (at_least, self.expiry(ttl)?),
                Ok((sum, end)) if self.stored(key).is_some() => (sum.max(at_least), end),
                Ok(_) => (at_least, self.expiry(ttl)?),
                Err(_) if self.has(Fault::RepairLeavesGarbage) => return Ok(at_least),
                Err(_) => (at_least, self.expiry(ttl)?),
            };
            self.write_sum(key, sum, end);
            Ok(sum)
        })
    }

    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let current = |(_, end): &&Counters| end.is_none_or(|end| end > Instant::now());
            let stored = self.counters.lock().unwrap().get(key).filter(current).cloned();
            self.race(Fault::CountersRace).await;
            let (mut counters, mut end) = match stored {
                Some(stored) => stored,
                None => (BTreeMap::new(), self.expiry(ttl)?),
            };
            if self.has(Fault::CountersExtendTheTtl) {
                end = self.expiry(ttl)?;
            }
            for (name, amount) in amounts {
                let has_space = counters.len() < 10_000 || counters.contains_key(name);
                let is_named = has_space || self.has(Fault::CountersHaveAnyNumberOfNames);
                let name = if is_named { name } else { "other" };
                let count = counters.entry(name.to_owned()).or_default();
                *count =
                    if self.has(Fault::CountersAreReplaced) { *amount } else { *count + amount };
            }
            self.counters.lock().unwrap().insert(key.to_owned(), (counters, end));
            Ok(!self.has(Fault::CountersAreKeptWithoutSupport))
        })
    }

    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        let current = |(_, end): &&Counters| end.is_none_or(|end| end > Instant::now());
        let stored = self.counters.lock().unwrap().get(key).filter(current).cloned();
        let counters = stored.map(|(counters, _)| counters).unwrap_or_default();
        Box::pin(std::future::ready(Ok(counters)))
    }
}

impl QuotaStore for FaultyStore {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        Box::pin(async move {
            let key = if self.has(Fault::KeysShareALedger) { "ledger" } else { key };
            let mut ledger = self.ledgers.lock().unwrap().get(key).cloned().unwrap_or_default();
            self.race(Fault::LeasesRace).await;
            let now = 1_790_000_000_000;
            let mut lease = ledger.lease(now, request);
            if self.has(Fault::LeasesForStrangers) && lease.is_unknown_member {
                let join = Some(crate::store::MemberJoin { members: 1, ..Default::default() });
                lease = ledger.lease(now, &QuotaRequest { join, ..request.clone() });
            }
            if self.has(Fault::LeasesExceedTheRequest) {
                lease.slots = lease.slots.saturating_add(1);
            }
            if !self.has(Fault::LedgersAreLost) {
                self.ledgers.lock().unwrap().insert(key.to_owned(), ledger);
            }
            Ok(Some(lease))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_faultless_store_conforms() {
    store_conformance(async || FaultyStore::new(Fault::None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_store_is_found() {
    let suite = async |fault| store_conformance(async || FaultyStore::new(fault)).await;
    assert_each_fault_is_found(FAULTS, suite).await;
}

#[test]
fn each_check_finds_some_fault() {
    assert_each_check_has_a_fault(FAULTS, CHECKS);
}

#[tokio::test(start_paused = true)]
async fn the_memory_store_conforms() {
    store_conformance(async || MemoryStore::new()).await.unwrap();
}

#[tokio::test]
async fn the_disk_store_conforms() {
    let folder = std::env::temp_dir().join(format!("octowire-conformance-{}", std::process::id()));
    let count = AtomicUsize::new(0);
    let new_store = async || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        DiskStore::open(folder.join(number.to_string())).unwrap()
    };
    let found = store_conformance(new_store).await;
    std::fs::remove_dir_all(&folder).unwrap();
    found.unwrap();
}

/// The required methods of a store, for its default methods.
#[derive(Debug)]
struct RequiredMethods(MemoryStore);

impl KeyValueStore for RequiredMethods {
    crate::store::forward_all_but_get!();

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.0.get(key)
    }
}

impl CounterStore for RequiredMethods {
    crate::store::forward_increment!();
}

impl QuotaStore for RequiredMethods {}

#[tokio::test(start_paused = true)]
async fn a_store_with_the_default_methods_conforms() {
    store_conformance(async || RequiredMethods(MemoryStore::new())).await.unwrap();
    // The failure of a store that is shared is reported as well.
    let shared = Arc::new(MemoryStore::new());
    let found = store_conformance(async || RequiredMethods((*shared).clone())).await;
    assert!(!found.unwrap_err().as_slice().is_empty());
}
