//! The content of the file, and its changes in a transaction.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};
use sha2::{Digest, Sha256};

use super::{AcceptOutcome, FailedDelivery, Limits};
use crate::time::clock;
use crate::util::ids::hex;

/// Unhandled deliveries: the number of the record, and its size.
const PENDING: TableDefinition<&str, (u64, u64)> = TableDefinition::new("pending");
/// The records of unhandled and failed deliveries, by ascending numbers. These determine the order, since the wall
/// clock can go back.
const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");
/// Failed deliveries, by ascending numbers: key, number of the record, size, time, and error.
const FAILED: TableDefinition<u64, (&str, u64, u64, u64, &str)> = TableDefinition::new("failed");
const FAILED_IDS: TableDefinition<&str, u64> = TableDefinition::new("failed-ids");
/// Handled deliveries. There are many of them, so that a key is half its digest.
const HANDLED: TableDefinition<u128, u64> = TableDefinition::new("handled");
/// The same, by ascending numbers: the time, in milliseconds since 1970, and the key.
const HANDLED_ORDER: TableDefinition<u64, (u64, u128)> = TableDefinition::new("handled-order");

/// A key that is longer than GitHub's is stored as its digest.
const MAX_ID_BYTES: usize = 128;
const MAX_ERROR_BYTES: usize = 2_000;
/// The bytes of an error that are kept in memory, until it is recorded.
const UNRECORDED_ERROR: usize = 200;
/// redb's limit is 3 GiB.
const MAX_RECORD_BYTES: usize = 1024 * 1024 * 1024;
/// The limit of outcomes that cannot be recorded: 20 MB of ids, and as much of errors. While it is reached, no delivery
/// is accepted or replayed.
pub(super) const MAX_UNRECORDED: usize = if cfg!(test) { 2_000 } else { 100_000 };
/// The number of expired entries that one transaction removes: more than one transaction can add.
const MAX_EXPIRED_PER_TRANSACTION: u64 = 1024;

/// The totals.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) pending: u64,
    /// Of pending and failed deliveries.
    pub(super) bytes: u64,
    /// Of handled deliveries.
    pub(super) deduplicated: u64,
    /// The next number.
    next: u64,
}

/// State of this process that is not in the file.
#[derive(Default)]
pub(super) struct InMemory {
    /// Pending deliveries that no caller owns.
    pub(super) unclaimed: HashSet<String>,
    /// Outcomes of deliveries that are pending in the file, since they could not be recorded yet.
    pub(super) unrecorded: HashMap<String, Outcome>,
}

/// The outcome of handling a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Handled,
    /// It failed, with the beginning of the error.
    Failed(String),
}

impl Outcome {
    pub(super) fn failed(error: &str) -> Self {
        Self::Failed(truncate(error, UNRECORDED_ERROR).to_owned())
    }
}

/// A transaction, with all tables.
pub(super) struct JournalTransaction<'a> {
    pending: Table<'a, &'static str, (u64, u64)>,
    records: Table<'a, u64, &'static [u8]>,
    failed: Table<'a, u64, (&'static str, u64, u64, u64, &'static str)>,
    failed_ids: Table<'a, &'static str, u64>,
    handled: Table<'a, u128, u64>,
    handled_order: Table<'a, u64, (u64, u128)>,
    totals: Totals,
    limits: &'a Limits,
    /// The current time in milliseconds since 1970.
    now: u64,
    in_memory: &'a mut InMemory,
    changed: bool,
    /// How many failed deliveries were deleted.
    discarded_count: u64,
}

/// Returns a delivery's key, or its digest if it is too long.
pub(crate) fn key(id: &str) -> String {
    if id.len() <= MAX_ID_BYTES {
        return id.to_owned();
    }
    hex(Sha256::digest(id))
}

/// Returns the beginning of a text, up to the limit.
pub(super) fn truncate_error(error: &str) -> &str {
    truncate(error, MAX_ERROR_BYTES)
}

fn truncate(error: &str, bytes: usize) -> &str {
    let mut end = error.len().min(bytes);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    error.get(..end).unwrap_or_default()
}

/// Creates the tables in a file without tables.
pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(PENDING)?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(FAILED)?;
    transaction.open_table(FAILED_IDS)?;
    transaction.open_table(HANDLED)?;
    transaction.open_table(HANDLED_ORDER)?;
    Ok(())
}

impl Totals {
    pub(super) fn read(transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        let pending = transaction.open_table(PENDING)?;
        let failed = transaction.open_table(FAILED)?;
        let handled_order = transaction.open_table(HANDLED_ORDER)?;
        let mut totals =
            Self { pending: pending.len()?, deduplicated: handled_order.len()?, ..Self::default() };
        for entry in pending.iter()? {
            let (number, size) = entry?.1.value();
            totals.count(number, size);
        }
        for entry in failed.iter()? {
            let (number, delivery) = entry?;
            let (_, record, size, _, _) = delivery.value();
            totals.count(record.max(number.value()), size);
        }
        if let Some((number, _)) = handled_order.last()? {
            totals.count(number.value(), 0);
        }
        Ok(totals)
    }

    fn count(&mut self, number: u64, size: u64) {
        self.bytes = self.bytes.saturating_add(size);
        self.next = self.next.max(number.saturating_add(1));
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        number
    }
}

impl<'a> JournalTransaction<'a> {
    pub(super) fn open(
        transaction: &'a WriteTransaction,
        totals: Totals,
        limits: &'a Limits,
        now: Duration,
        in_memory: &'a mut InMemory,
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            pending: transaction.open_table(PENDING)?,
            records: transaction.open_table(RECORDS)?,
            failed: transaction.open_table(FAILED)?,
            failed_ids: transaction.open_table(FAILED_IDS)?,
            handled: transaction.open_table(HANDLED)?,
            handled_order: transaction.open_table(HANDLED_ORDER)?,
            totals,
            limits,
            now: clock::millis(now),
            in_memory,
            changed: false,
            discarded_count: 0,
        })
    }

    /// Commits the transaction, if it has changed anything. Returns the totals then, and how many failed deliveries
    /// were deleted.
    pub(super) fn close(mut self) -> Result<Option<(Totals, u64)>, redb::Error> {
        if !self.changed {
            return Ok(None);
        }
        let given_up = self.expire()?;
        self.totals.pending = self.pending.len()?;
        self.totals.deduplicated = self.handled_order.len()?;
        Ok(Some((self.totals, given_up)))
    }

    pub(super) fn accept(&mut self, id: &str, record: &[u8]) -> Result<AcceptOutcome, redb::Error> {
        match self.in_memory.unrecorded.get(id) {
            Some(Outcome::Handled) => return Ok(AcceptOutcome::Done),
            // It is a redelivery, and so it is handled again. In the file it is pending.
            Some(Outcome::Failed(_)) => {
                self.in_memory.unrecorded.remove(id);
                self.in_memory.unclaimed.insert(id.to_owned());
            }
            None => {}
        }
        if self.in_memory.unrecorded.len() >= MAX_UNRECORDED {
            return Ok(AcceptOutcome::Full);
        }
        if self.pending.get(id)?.is_some() {
            let was_unclaimed = self.in_memory.unclaimed.remove(id);
            return Ok(if was_unclaimed { AcceptOutcome::New } else { AcceptOutcome::Pending });
        }
        if self.is_handled(id)? {
            return Ok(AcceptOutcome::Done);
        }
        let size = record.len() as u64;
        let exceeds = |bytes: u64| bytes.saturating_add(size) > self.limits.max_bytes;
        // Failed deliveries are deleted before any delivery is rejected.
        let over = exceeds(self.totals.bytes);
        let over_at_best = over && exceeds(self.totals.bytes.saturating_sub(self.failed_bytes()?));
        if over_at_best || record.len() > MAX_RECORD_BYTES {
            return Ok(AcceptOutcome::Full);
        }
        self.discard_failed(id)?;
        while self.totals.bytes.saturating_add(size) > self.limits.max_bytes
            && self.discard_oldest_failed()?
        {}
        let bytes = self.totals.bytes.saturating_add(size);
        self.in_memory.unclaimed.remove(id);
        let number = self.totals.take_number();
        self.pending.insert(id, (number, size))?;
        self.records.insert(number, record)?;
        self.totals.bytes = bytes;
        self.changed = true;
        Ok(AcceptOutcome::New)
    }

    pub(super) fn complete(&mut self, id: &str) -> Result<(), redb::Error> {
        self.discard(id)?;
        self.discard_failed(id)?;
        let (number, digest) = (self.totals.take_number(), digest(id));
        let before = self.handled.insert(digest, number)?.map(|before| before.value());
        if let Some(before) = before {
            self.handled_order.remove(before)?;
        }
        self.handled_order.insert(number, (self.now, digest))?;
        self.changed = true;
        Ok(())
    }

    pub(super) fn record(&mut self, id: &str, outcome: &Outcome) -> Result<(), redb::Error> {
        match outcome {
            Outcome::Handled => self.complete(id),
            Outcome::Failed(error) => self.fail(id, error),
        }
    }

    pub(super) fn fail(&mut self, id: &str, error: &str) -> Result<(), redb::Error> {
        let Some((record, size)) = self.take_pending(id)? else { return Ok(()) };
        let number = self.totals.take_number();
        self.failed.insert(number, (id, record, size, self.now, error))?;
        self.failed_ids.insert(id, number)?;
        Ok(())
    }

    pub(super) fn requeue_failed(&mut self, id: &str) -> Result<Option<Bytes>, redb::Error> {
        if self.is_unrecorded(id) {
            return Ok(None);
        }
        if self.pending.get(id)?.is_some() {
            if !self.in_memory.unclaimed.contains(id) {
                return Ok(None);
            }
            // If this fails, no caller owns the delivery.
            let record = self.load(id)?;
            self.in_memory.unclaimed.remove(id);
            return Ok(record);
        }
        self.in_memory.unclaimed.remove(id);
        let Some((record, size)) = self.take_failed(id)? else { return Ok(None) };
        self.pending.insert(id, (record, size))?;
        self.load(id)
    }

    pub(super) fn discard(&mut self, id: &str) -> Result<(), redb::Error> {
        if let Some((record, size)) = self.take_pending(id)? {
            self.remove_record(record, size)?;
        }
        Ok(())
    }

    pub(super) fn discard_failed(&mut self, id: &str) -> Result<bool, redb::Error> {
        let Some((record, size)) = self.take_failed(id)? else { return Ok(false) };
        self.remove_record(record, size)?;
        Ok(true)
    }

    pub(super) fn load(&self, id: &str) -> Result<Option<Bytes>, redb::Error> {
        if self.is_unrecorded(id) {
            return Ok(None);
        }
        let Some((number, _)) = self.pending.get(id)?.map(|value| value.value()) else {
            return Ok(None);
        };
        Ok(self.records.get(number)?.map(|record| Bytes::copy_from_slice(record.value())))
    }

    pub(super) fn pending_ids(&self) -> Result<Vec<String>, redb::Error> {
        let mut all = Vec::new();
        for entry in self.pending.iter()? {
            let (id, value) = entry?;
            if !self.is_unrecorded(id.value()) {
                all.push((value.value().0, id.value().to_owned()));
            }
        }
        all.sort_unstable();
        Ok(all.into_iter().map(|(_, id)| id).collect())
    }

    pub(super) fn failed(&self) -> Result<Vec<FailedDelivery>, redb::Error> {
        let mut all = Vec::new();
        for entry in self.failed.iter()? {
            let value = entry?.1;
            let (id, _, size, when, error) = value.value();
            let when = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(when));
            let when = when.unwrap_or(SystemTime::UNIX_EPOCH);
            all.push(FailedDelivery {
                id: id.to_owned(),
                failed_at: when,
                error: error.to_owned(),
                size,
            });
        }
        Ok(all)
    }

    /// Deliveries that reached no caller and were not written have no owner.
    pub(super) fn reconcile_unclaimed(&mut self) -> Result<(), redb::Error> {
        let mut kept = HashSet::new();
        for id in &self.in_memory.unclaimed {
            if self.pending.get(id.as_str())?.is_some() {
                kept.insert(id.clone());
            }
        }
        self.in_memory.unclaimed = kept;
        Ok(())
    }

    /// Removes deliveries that were handled long ago, and excess failed ones. Returns how many failed ones.
    fn expire(&mut self) -> Result<u64, redb::Error> {
        for _ in 0..MAX_EXPIRED_PER_TRANSACTION {
            let first = self.handled_order.first()?;
            let Some((when, digest)) = first.map(|(_, value)| value.value()) else { break };
            let is_removable =
                self.is_expired(when) || self.handled.len()? > self.limits.max_deduplicated;
            if !is_removable {
                break;
            }
            self.handled_order.pop_first()?;
            self.handled.remove(digest)?;
        }
        let most = self.discarded_count + MAX_EXPIRED_PER_TRANSACTION;
        while self.discarded_count < most && self.failed.len()? > self.limits.max_failed {
            if !self.discard_oldest_failed()? {
                break;
            }
        }
        Ok(self.discarded_count)
    }

    /// Deletes the oldest failed delivery, if there is one.
    fn discard_oldest_failed(&mut self) -> Result<bool, redb::Error> {
        let first = self.failed.pop_first()?.map(|(_, value)| {
            let (id, record, size, _, _) = value.value();
            (id.to_owned(), record, size)
        });
        let Some((id, record, size)) = first else { return Ok(false) };
        self.failed_ids.remove(id.as_str())?;
        self.remove_record(record, size)?;
        self.discarded_count += 1;
        self.changed = true;
        Ok(true)
    }

    /// Returns the bytes of failed deliveries, whose number is bounded.
    fn failed_bytes(&self) -> Result<u64, redb::Error> {
        let mut bytes = 0_u64;
        for entry in self.failed.iter()? {
            bytes = bytes.saturating_add(entry?.1.value().2);
        }
        Ok(bytes)
    }

    #[cfg(test)]
    pub(super) fn pretend_unrecorded(&mut self, ids: impl Iterator<Item = String>) {
        self.in_memory.unrecorded.extend(ids.map(|id| (id, Outcome::Handled)));
    }

    #[cfg(test)]
    pub(super) fn unrecorded(&self) -> usize {
        self.in_memory.unrecorded.len()
    }

    fn is_unrecorded(&self, id: &str) -> bool {
        self.in_memory.unrecorded.contains_key(id)
    }

    fn is_handled(&self, id: &str) -> Result<bool, redb::Error> {
        let Some(number) = self.handled.get(digest(id))?.map(|number| number.value()) else {
            return Ok(false);
        };
        let when = self.handled_order.get(number)?.map(|value| value.value().0);
        Ok(when.is_some_and(|when| !self.is_expired(when)))
    }

    /// Returns whether an entry has expired. An entry with a future time was written while the clock was wrong, and is
    /// kept.
    fn is_expired(&self, when: u64) -> bool {
        self.now.saturating_sub(when) >= clock::millis(self.limits.retention)
    }

    fn take_pending(&mut self, id: &str) -> Result<Option<(u64, u64)>, redb::Error> {
        let taken = self.pending.remove(id)?.map(|value| value.value());
        if taken.is_some() {
            self.in_memory.unclaimed.remove(id);
            self.changed = true;
        }
        Ok(taken)
    }

    fn take_failed(&mut self, id: &str) -> Result<Option<(u64, u64)>, redb::Error> {
        let number = self.failed_ids.remove(id)?.map(|number| number.value());
        let Some(number) = number else { return Ok(None) };
        self.changed = true;
        Ok(self.failed.remove(number)?.map(|value| {
            let (_, record, size, _, _) = value.value();
            (record, size)
        }))
    }

    fn remove_record(&mut self, number: u64, size: u64) -> Result<(), redb::Error> {
        self.records.remove(number)?;
        self.totals.bytes = self.totals.bytes.saturating_sub(size);
        Ok(())
    }
}

fn digest(id: &str) -> u128 {
    let digest = Sha256::digest(id);
    digest.iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}
