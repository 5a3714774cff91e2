//! The invalidation log: changes and purges since responses were stored.
//!
//! Invalidations are numbered. An entry has the number of the last invalidation at the time of its request, and each
//! later one can concern it, also if the request was in flight at the time of the change. No entry has to be found and
//! removed, whatever the store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use super::entry::Entry;
use super::integrity::Integrity;
use crate::error::Result;
use crate::runtime::PerRuntime;
use crate::store::{
    BACKGROUND_TIMEOUT, ResilientStore, StoreResult, StoreTimeout, StoreWaitBudget, block_in_drop,
    run_in_background,
};

mod invalidation;
mod log_state;
mod shared_log;
mod unread;

use self::invalidation::PURGE_ALL;
pub(crate) use self::invalidation::{Invalidation, Selector};
use self::log_state::LogState;
pub(crate) use self::shared_log::NO_EXPIRY;
pub(super) use self::shared_log::encode_sequence;
use self::shared_log::{SharedLog, parse_sequence};
pub(crate) use self::unread::{ReadUrgency, UnreadRange};

/// How a stored response can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    /// It has to be revalidated before it is returned.
    MustRevalidate,
    Purged,
}

#[derive(Debug)]
pub(crate) struct InvalidationLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log_state: Mutex<LogState>,
    /// The number of invalidations that this process created.
    local_count: AtomicU64,
    /// Whether a task reads invalidations in the background.
    is_reading: PerRuntime<Arc<AtomicBool>>,
    shared: Option<SharedLog>,
}

/// The number of invalidations that are read beside other values, on the assumption that there are no more.
const READ_AHEAD: u64 = 8;
/// The maximum number of reads of one task that reads the invalidations for which calls had no time.
const MAX_BACKGROUND_READS: usize = 16;
/// The number of invalidations that one read requests otherwise.
const READ_BATCH: u64 = 64;
/// The pause before the client writes again the invalidations that the store did not accept.
const FLUSH_RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl InvalidationLog {
    /// Returns the log of a cache that is not shared.
    pub(crate) fn local() -> Self {
        Self::new(None)
    }

    /// Returns the log that all processes of a store share.
    pub(crate) fn shared(
        store: Arc<ResilientStore>,
        integrity: Integrity,
        prefix: String,
        every: Duration,
        keep: Duration,
    ) -> Self {
        let writers = PerRuntime::default();
        Self::new(Some(SharedLog {
            store,
            integrity,
            prefix,
            sync_interval: every,
            ttl: keep,
            writers,
        }))
    }

    fn new(shared: Option<SharedLog>) -> Self {
        Self(Arc::new(Inner {
            log_state: Mutex::default(),
            local_count: AtomicU64::new(0),
            is_reading: PerRuntime::default(),
            shared,
        }))
    }

    /// Returns the values to read from the store to know the last invalidation: none if it is known.
    pub(crate) fn unread(&self) -> UnreadRange {
        let Some(shared) = &self.0.shared else { return UnreadRange::default() };
        self.0.write_in_background();
        let invalidations = self.0.log_state();
        let fresh = invalidations.read.is_some_and(|read| read.elapsed() < shared.sync_interval);
        match fresh {
            true => UnreadRange::default(),
            false => UnreadRange::after(shared, invalidations.last_sequence, READ_AHEAD),
        }
    }

    /// Records the values that were read. Returns the values to read next: none if the last invalidation is known.
    pub(crate) fn take(
        &self,
        unread: &UnreadRange,
        values: &[Result<Option<Bytes>>],
    ) -> Option<UnreadRange> {
        self.0.take(unread, values)
    }

    /// Reads in a task the values for which a call has no time.
    pub(crate) fn read_in_background(&self, mut unread: UnreadRange) {
        // The task of another runtime might not be polled.
        let is_reading = self.0.is_reading.get_or_make(|_, _| Arc::default());
        let Some(reading) = FlagGuard::set(is_reading) else { return };
        let inner = Arc::clone(&self.0);
        run_in_background(async move {
            let _reading = reading;
            let Some(shared) = &inner.shared else { return };
            for _ in 0..MAX_BACKGROUND_READS {
                if unread.urgency == ReadUrgency::Lost {
                    let begun =
                        shared.read_head(unread.after_sequence, StoreTimeout::Bounded).await;
                    if begun.is_none() {
                        return;
                    }
                }
                let keys: Vec<_> = unread.keys().collect();
                let read = shared
                    .store
                    .run_in_background(BACKGROUND_TIMEOUT, |store| store.get_many(&keys));
                let StoreResult::Done(values) = read.await else { return };
                let Some(more) = inner.take(&unread, &values) else { return };
                unread = more;
            }
        });
    }

    /// Returns whether all invalidations are known that existed at this time.
    pub(crate) fn is_read_since(&self, time: Instant) -> bool {
        self.0.shared.is_none() || self.0.log_state().read.is_some_and(|read| read >= time)
    }

    /// Records that a claim of this process began the log with this number: it has no invalidations.
    pub(crate) fn on_created(&self, start: u64) {
        let mut invalidations = self.0.log_state();
        if invalidations.last_sequence < start {
            invalidations.reset(start);
        }
    }

    /// Returns the number of the last known invalidation; `None` if nothing is known of the log.
    pub(crate) fn last_sequence(&self) -> Option<u64> {
        let last = self.0.log_state().last_sequence;
        (self.0.shared.is_none() || last > 0).then_some(last)
    }

    /// Writes the invalidations that the store does not have now. Returns whether the store has all of them.
    pub(crate) async fn flush(&self) -> bool {
        let last = self.0.log_state().recorded_count;
        self.write(last).await
    }

    /// Writes the invalidations, repeatedly, until the store has them: the caller bounds the time.
    pub(crate) async fn flush_until_written(&self) {
        let last = self.0.log_state().recorded_count;
        while !self.write(last).await {
            tokio::time::sleep(FLUSH_RETRY_INTERVAL).await;
        }
    }

    /// Writes the invalidations up to this one. Returns whether the store has all of them.
    async fn write(&self, last: u64) -> bool {
        if self.0.shared.is_none() {
            return true;
        }
        // A separate task, since the caller might not be polled while it holds the lock.
        let inner = Arc::clone(&self.0);
        let flush = async move {
            let Some(shared) = &inner.shared else { return true };
            let writer = shared.writer();
            let _alone = writer.writing.lock().await;
            inner.send(shared, last, StoreTimeout::Bounded).await
        };
        tokio::spawn(flush.in_current_span().with_current_subscriber()).await.unwrap_or(false)
    }

    /// Returns how a stored response can be used, by the known invalidations.
    pub(crate) fn validity(&self, entry: &Entry) -> Validity {
        let invalidations = self.0.log_state();
        let later =
            invalidations.known.iter().rev().take_while(|(number, _)| *number > entry.log_sequence);
        let own = invalidations.own_invalidations.iter();
        let own = own.filter(|own| own.sequence.is_none_or(|number| number > entry.log_sequence));
        let later =
            later.map(|(_, invalidation)| invalidation).chain(own.map(|own| &own.invalidation));
        // A number that the log has not reached belongs to an earlier log.
        let unknown = entry.log_sequence < invalidations.oldest_known
            || entry.log_sequence > invalidations.visible_sequence();
        let mut verdict = if unknown { Validity::MustRevalidate } else { Validity::Valid };
        for invalidation in later.filter(|invalidation| invalidation.applies_to(&entry.metadata)) {
            if invalidation.purge {
                return Validity::Purged;
            }
            verdict = Validity::MustRevalidate;
        }
        verdict
    }

    /// Returns the number of invalidations that this process created.
    pub(crate) fn local_count(&self) -> u64 {
        self.0.local_count.load(Ordering::Acquire)
    }

    /// Records a change: at once for this process, and for others that share the store once it responds.
    pub(crate) async fn record_and_publish(&self, invalidation: Invalidation) {
        self.0.record(invalidation);
        self.flush().await;
    }

    /// Waits until the store has the invalidations of this process, within the time that a call can wait.
    pub(crate) async fn wait_until_written(&self, allowance: &StoreWaitBudget) {
        let is_failing = |shared: &SharedLog| shared.store.retry_at().is_some();
        let is_down = self.0.shared.as_ref().is_some_and(is_failing);
        if is_down || self.0.is_written() || allowance.remaining().is_zero() {
            return;
        }
        let _wait = allowance.begin();
        // A longer write continues in the background.
        let _ = timeout(allowance.remaining(), self.flush()).await;
    }

    /// Records a change at once, and writes it to the store in the background.
    pub(crate) fn record(&self, invalidation: Invalidation) {
        self.0.record(invalidation);
        self.0.write_in_background();
    }
}

impl Drop for InvalidationLog {
    /// Writes the invalidations that the store does not have: a short program ends here.
    fn drop(&mut self) {
        if self.0.is_written() {
            return;
        }
        let inner = Arc::clone(&self.0);
        block_in_drop(async move {
            if let Some(shared) = &inner.shared {
                inner.send(shared, u64::MAX, StoreTimeout::Unbounded).await;
            }
        });
    }
}

impl Inner {
    fn record(&self, invalidation: Invalidation) {
        let invalidation = invalidation.bounded();
        let mut invalidations = self.log_state();
        if self.shared.is_some() {
            invalidations.hold(invalidation);
            invalidations.read = None;
        } else {
            let number = invalidations.last_sequence.saturating_add(1);
            invalidations.append(number, invalidation);
        }
        self.local_count.fetch_add(1, Ordering::AcqRel);
    }

    /// Records the values that were read. Returns the values to read next: none if the last invalidation is known.
    fn take(&self, unread: &UnreadRange, values: &[Result<Option<Bytes>>]) -> Option<UnreadRange> {
        let shared = self.shared.as_ref()?;
        let (value, found) = values.split_first()?;
        let hint = value
            .as_ref()
            .ok()
            .and_then(Option::as_deref)
            .and_then(|value| parse_sequence(value).ok());
        let mut invalidations = self.log_state();
        let is_unknown_here = unread.after_sequence == 0 && matches!(value, Ok(None));
        if hint.is_none() && !is_unknown_here {
            // Invalidations were lost, and their content is unknown: no entry is valid before the log has begun again.
            let again = UnreadRange::after(shared, invalidations.last_sequence, READ_AHEAD);
            return Some(UnreadRange { urgency: ReadUrgency::Lost, ..again });
        }
        if let Some(hint) = hint.filter(|hint| invalidations.was_replaced(*hint)) {
            invalidations.reset(hint);
        }
        if unread.after_sequence > invalidations.last_sequence {
            // The log has begun again since, and these values belong to the earlier one.
            return Some(UnreadRange::after(shared, invalidations.last_sequence, READ_BATCH));
        }
        let found =
            found.iter().map(|invalidation| invalidation.as_ref().map(Option::as_ref).transpose());
        let found: Vec<_> = found.map_while(|invalidation| invalidation).collect();
        for (number, invalidation) in
            (unread.after_sequence.saturating_add(1)..).zip(found.iter().copied())
        {
            if number > invalidations.last_sequence {
                let read = invalidation
                    .map(|invalidation| shared.read(&shared.entry_key(number), invalidation));
                // An unreadable invalidation can concern all entries.
                invalidations.append(number, read.unwrap_or(PURGE_ALL));
            }
        }
        let last = invalidations.last_sequence;
        if found.len().saturating_add(1) == unread.names.len() {
            return Some(UnreadRange::after(shared, last, READ_BATCH));
        }
        if let Some(hint) = hint.filter(|hint| *hint > last) {
            // The store can have read the values one after the other, and the hint last.
            if hint.saturating_sub(last) <= READ_BATCH && !unread.is_last {
                let again = UnreadRange::after(shared, last, READ_BATCH);
                return Some(UnreadRange { is_last: true, ..again });
            }
            // The log is new to this process, or has begun again: earlier invalidations are not known. The hint can lag behind
            // the log.
            invalidations.reset(hint);
            let beyond = UnreadRange::after(shared, hint, READ_AHEAD);
            return Some(UnreadRange { urgency: ReadUrgency::IfNeeded, ..beyond });
        }
        invalidations
            .own_invalidations
            .retain(|own| own.sequence.is_none_or(|number| number > last));
        // An invalidation that is not written yet is still to be read.
        let all_written = invalidations.own_invalidations.iter().all(|own| own.sequence.is_some());
        invalidations.read = (all_written && hint.is_some()).then(Instant::now);
        None
    }

    /// Returns whether the store has all invalidations of this process.
    fn is_written(&self) -> bool {
        self.shared.is_none()
            || self.log_state().own_invalidations.iter().all(|own| own.sequence.is_some())
    }

    /// Starts a task that writes the invalidations that the store does not have, if there are any.
    fn write_in_background(self: &Arc<Self>) {
        let Some(shared) = &self.shared else { return };
        if self.is_written() || shared.store.is_down() {
            return;
        }
        let writer = shared.writer();
        let Some(queued) = FlagGuard::set(Arc::clone(&writer.queued)) else { return };
        let inner = Arc::clone(self);
        run_in_background(async move {
            let Some(shared) = &inner.shared else { return };
            let _alone = writer.writing.lock().await;
            // An invalidation that is recorded from here on can be too late for this task.
            drop(queued);
            inner.send(shared, u64::MAX, StoreTimeout::Bounded).await;
        });
    }

    /// Writes the invalidations up to this one that the store has not accepted yet. Returns whether the store has all of them.
    async fn send(&self, shared: &SharedLog, last_noted: u64, patience: StoreTimeout) -> bool {
        loop {
            let next = {
                let invalidations = self.log_state();
                let mut unsent =
                    invalidations.own_invalidations.iter().filter(|own| own.sequence.is_none());
                let next = unsent.find(|own| own.first_id <= last_noted);
                next.map(|own| (own.id, own.invalidation.clone(), invalidations.last_sequence))
            };
            let Some((id, invalidation, last)) = next else { return true };
            let Some(number) = shared.append(last, &invalidation, patience).await else {
                return false;
            };
            let mut invalidations = self.log_state();
            // Another runtime can have written it meanwhile.
            let sent = invalidations
                .own_invalidations
                .iter()
                .position(|own| own.id == id && own.sequence.is_none());
            let Some(sent) = sent else { continue };
            if number == invalidations.last_sequence.saturating_add(1) {
                // No invalidation of another process is between, so that this one need not be read.
                invalidations.own_invalidations.remove(sent);
                invalidations.append(number, invalidation);
            } else if let Some(sent) = invalidations.own_invalidations.get_mut(sent) {
                sent.sequence = Some(number);
            }
        }
    }

    fn log_state(&self) -> MutexGuard<'_, LogState> {
        self.log_state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guard of a task, which sets a flag: until it is dropped, no other such task is needed.
struct FlagGuard(Arc<AtomicBool>);

impl FlagGuard {
    /// Sets the flag. Returns `None` if it is set already.
    fn set(flag: Arc<AtomicBool>) -> Option<Self> {
        let was_set = flag.swap(true, Ordering::AcqRel);
        (!was_set).then(|| Self(flag))
    }
}

impl Drop for FlagGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
