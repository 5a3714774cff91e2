//! A simple store that keeps the contract but for one fault.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::super::LONG;
use super::Fault;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{
    CounterStore, KeyValueStore, MemberJoin, QuotaLease, QuotaLedger, QuotaRequest, QuotaStore,
    StoreFuture, counter,
};

/// Content by key, each with the end of its TTL.
type Expiring<T> = Mutex<BTreeMap<String, (T, Option<Instant>)>>;

/// Returns the content of a key, unless it has expired.
fn current<T: Clone>(all: &Expiring<T>, key: &str) -> Option<(T, Option<Instant>)> {
    let is_current = |(_, end): &&(T, Option<Instant>)| end.is_none_or(|end| end > Instant::now());
    all.lock().unwrap().get(key).filter(is_current).cloned()
}

/// A simple store with one fault.
#[derive(Debug)]
pub(super) struct FaultyStore {
    fault: Fault,
    values: Expiring<Bytes>,
    counters: Expiring<BTreeMap<String, u64>>,
    ledgers: Mutex<BTreeMap<String, QuotaLedger>>,
    lock: Semaphore,
    calls: AtomicUsize,
}

impl FaultyStore {
    pub(super) fn new(fault: Fault) -> Self {
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

    fn stored(&self, key: &str) -> Option<(Bytes, Option<Instant>)> {
        current(&self.values, &self.key(key))
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
            let is_sum = |value: &Bytes| counter::read(value).is_some();
            match (values.get(&key), self.fault) {
                (None, Fault::RemoveOfNoneFails) => {
                    return Err(Error::new(ErrorKind::StoreUnavailable, "no such key"));
                }
                (Some((value, _)), Fault::RemoveLeavesSums) if is_sum(value) => {}
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
                return self.increment(key, 0, LONG).await.map(Some);
            }
            if self.stored(key).is_none() {
                return Ok(None);
            }
            self.read_sum(key, LONG).map(|(sum, _)| Some(sum))
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
            let stored = current(&self.counters, key);
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
        let counters = current(&self.counters, key).map(|(counters, _)| counters);
        Box::pin(std::future::ready(Ok(counters.unwrap_or_default())))
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
                let join = Some(MemberJoin { members: 1, ..Default::default() });
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
