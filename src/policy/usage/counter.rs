//! The counts of calls and requests, which are written to the store from time to time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::operation_counts::{OperationCounts, UsageCount};
use super::period::{CalendarWindow, Period};
use super::storage::UsageStorage;
use crate::store::{StoreResult, StoreTimeout};
use crate::time::clock;
use crate::util::static_str_map::{StaticStrMap, StaticStrPtr};

/// The usage of one identity.
pub(super) struct UsageCounter {
    storage: Arc<UsageStorage>,
    /// The prefix of its keys.
    prefix: String,
    /// The key of the list of identities, and the name in it.
    index_entry: (String, String),
    /// The counts of the current hour that need no lock.
    unlocked: OperationCounts,
    origin: Instant,
    /// The time from which on a count takes the lock, in milliseconds from the origin: to check the clock, or to start
    /// a write.
    locked_from_ms: AtomicU64,
    state: Mutex<State>,
    /// Held during a write to the store: the next task that takes it finds all written counts.
    flush_locks: AsyncMutex<()>,
}

#[derive(Default)]
struct State {
    /// The current hour.
    hour: Option<CalendarWindow>,
    /// The end of that hour, or the time of the next check of the clock.
    hour_end: Option<Instant>,
    /// The counts of the current hour for all other operations.
    counts: StaticStrMap<UsageCount>,
    /// The counts that are not written yet, by window and by name.
    pending: BTreeMap<CalendarWindow, BTreeMap<String, u64>>,
    /// Counts that were written without a response since the store last responded: a report that cannot read the store
    /// includes them.
    unconfirmed: BTreeMap<CalendarWindow, BTreeMap<String, u64>>,
    /// Whether the same applies to the list of identities, which no report shows.
    is_listing_unsure: bool,
    is_listed: BTreeMap<CalendarWindow, u64>,
    /// When a task will have written the counts; in the past if that task has ended early.
    next_flush_at: Option<Instant>,
}

/// The interval of writes while there are counts to write. It doubles while the store is unavailable, up to the longest
/// pause.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// The longest wait for another task that writes.
const MAX_FLUSH_WAIT: Duration = Duration::from_secs(2);
/// How long a write is retried: the counter of an identity that is no longer used ends then.
const FLUSH_GIVE_UP: Duration = Duration::from_secs(60 * 60);
/// The interval of checks of the clock: a check costs more than a count.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of hours, days and months for which counts are pending during an outage of the store.
const MAX_WINDOWS: usize = 200;

impl UsageCounter {
    pub(super) fn new(
        storage: Arc<UsageStorage>,
        prefix: String,
        listed: (String, String),
    ) -> Self {
        let (state, flush_locks) = (Mutex::default(), AsyncMutex::new(()));
        Self {
            storage,
            prefix,
            index_entry: listed,
            unlocked: OperationCounts::default(),
            origin: Instant::now(),
            locked_from_ms: AtomicU64::new(0),
            state,
            flush_locks,
        }
    }

    pub(super) fn count(
        self: &Arc<Self>,
        now: Instant,
        operation: &'static str,
        count: UsageCount,
    ) {
        let needs_lock = self.millis(now) >= self.locked_from_ms.load(Ordering::Acquire);
        if !needs_lock && self.unlocked.add(operation, count) {
            return;
        }
        let mut state = self.state();
        let turned =
            state.hour_end.is_none_or(|until| until <= now) && state.roll_hour(now, &self.unlocked);
        if !self.unlocked.add(operation, count) {
            state.counts.entry(StaticStrPtr(operation)).or_default().add(count);
        }
        if !self.storage.is_shared() {
            self.lock_from(state.hour_end);
            drop(state);
            if turned {
                // Without a shared store, the write takes no time.
                let _ = self.flush().now_or_never();
            }
            return;
        }
        if state.next_flush_at.is_none_or(|at| at + FLUSH_INTERVAL <= now) {
            // Calls run on a runtime; without one, no task can write the counts later.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            state.next_flush_at = Some(now + FLUSH_INTERVAL);
            self.lock_from(state.hour_end);
            drop(state);
            runtime.spawn(Arc::clone(self).schedule_flush());
            return;
        }
        let next_flush = state.next_flush_at.map(|at| at + FLUSH_INTERVAL);
        self.lock_from(state.hour_end.min(next_flush));
    }

    /// Sets the time from which on counts take the lock, which the caller holds; `None` if the next one does.
    fn lock_from(&self, at: Option<Instant>) {
        self.locked_from_ms.store(at.map_or(0, |at| self.millis(at)), Ordering::Release);
    }

    /// Returns the time since the origin, rounded down.
    fn millis(&self, now: Instant) -> u64 {
        clock::millis(now.saturating_duration_since(self.origin))
    }

    /// Writes the counts to the store, and retries if it is unavailable.
    async fn schedule_flush(self: Arc<Self>) {
        let (began, mut pause) = (Instant::now(), FLUSH_INTERVAL);
        loop {
            tokio::time::sleep(pause).await;
            if self.flush().await || began.elapsed() > FLUSH_GIVE_UP {
                break;
            }
            debug!("usage flush postponed: store unavailable");
            pause = (pause * 2).min(MAX_BACKOFF);
            self.state().next_flush_at = Some(Instant::now() + pause);
        }
        let mut state = self.state();
        state.next_flush_at = None;
        // The next count starts another write.
        self.lock_from(None);
    }

    /// Writes all counts to the store. Returns whether the store confirmed them. Counts without a response can have
    /// been stored, and are not written again.
    pub(super) async fn flush(&self) -> bool {
        self.flush_with(StoreTimeout::Bounded).await == StoreResult::Done(())
    }

    /// Writes the counts with this patience, and returns whether the store can have accepted unconfirmed counts.
    pub(super) async fn flush_with(&self, patience: StoreTimeout) -> StoreResult<()> {
        let _flush_lock = self.lock_flush().await;
        let (pending, listed) = {
            let mut state = self.state();
            state.move_to_pending(&self.unlocked);
            (std::mem::take(&mut state.pending), std::mem::take(&mut state.is_listed))
        };
        let mut guard = FlushGuard {
            counter: self,
            pending,
            index_entry: listed,
            in_flight: None,
            is_listing: false,
        };
        // If there is nothing to write, the client sends no request to the store, and has no confirmation.
        let mut reply = false;
        while let Some((window, numbers)) = guard.pending.pop_first() {
            let (key, kept) = (self.key(window), window.period.retention());
            let amounts = Vec::from_iter(numbers.clone());
            guard.in_flight = Some((window, numbers));
            match self.storage.increment_counters(&key, &amounts, kept, patience).await {
                StoreResult::Done(()) => reply = true,
                StoreResult::NotAttempted => {
                    guard.pending.extend(guard.in_flight.take());
                    return StoreResult::NotAttempted;
                }
                StoreResult::Indeterminate | StoreResult::Unreadable => {
                    return StoreResult::Indeterminate;
                }
            }
            guard.in_flight = None;
        }
        while let Some((month, requests)) = guard.index_entry.pop_first() {
            let amounts = [(self.index_entry.1.clone(), requests)];
            let key = format!("{}:{month}", self.index_entry.0);
            guard.is_listing = true;
            match self
                .storage
                .increment_counters(&key, &amounts, month.period.retention(), patience)
                .await
            {
                StoreResult::Done(()) => reply = true,
                StoreResult::NotAttempted => {
                    guard.is_listing = false;
                    guard.index_entry.insert(month, requests);
                    return StoreResult::NotAttempted;
                }
                StoreResult::Indeterminate | StoreResult::Unreadable => {
                    return StoreResult::Indeterminate;
                }
            }
            guard.is_listing = false;
        }
        if reply {
            let mut state = self.state();
            state.unconfirmed.clear();
            state.is_listing_unsure = false;
        }
        StoreResult::Done(())
    }

    /// Waits until no other task writes to the store, except for a task whose runtime is not polled: its counts are
    /// missing until it has ended.
    async fn lock_flush(&self) -> Option<AsyncMutexGuard<'_, ()>> {
        match self.flush_locks.try_lock() {
            Ok(lock) => Some(lock),
            Err(_) => timeout(MAX_FLUSH_WAIT, self.flush_locks.lock()).await.ok(),
        }
    }

    /// Returns whether a write had no response, and the store has not responded since.
    pub(super) fn has_unconfirmed(&self) -> bool {
        let state = self.state();
        !state.unconfirmed.is_empty() || state.is_listing_unsure
    }

    /// Returns whether there are counts that are not written, or are being written.
    pub(super) fn is_pending(&self) -> bool {
        let state = self.state();
        let has_counts = !state.counts.is_empty() || !self.unlocked.is_empty();
        has_counts
            || !state.pending.is_empty()
            || !state.is_listed.is_empty()
            || self.flush_locks.try_lock().is_err()
    }

    /// Returns the counts of a window, and whether they were read from the store.
    pub(super) async fn counts(
        &self,
        window: CalendarWindow,
    ) -> (BTreeMap<String, UsageCount>, bool) {
        let _flush_lock = self.lock_flush().await;
        let update = self.storage.counters(&self.key(window)).await;
        let reply = update.is_some();
        let mut numbers = update.unwrap_or_default();
        let mut state = self.state();
        state.move_to_pending(&self.unlocked);
        add(&mut numbers, state.pending.get(&window));
        if !reply {
            add(&mut numbers, state.unconfirmed.get(&window));
        }
        drop(state);
        let mut counts = BTreeMap::<String, UsageCount>::new();
        for (name, amount) in numbers {
            let Some((operation, of)) = name.rsplit_once(' ') else { continue };
            let count = counts.entry(operation.to_owned()).or_default();
            match of {
                "calls" => count.calls = amount,
                "failed" => count.failed = amount,
                "requests" => count.requests = amount,
                _ => {}
            }
        }
        (counts, reply)
    }

    fn key(&self, window: CalendarWindow) -> String {
        format!("{}:{window}", self.prefix)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UsageCounter {
    fn drop(&mut self) {
        // Without a shared store, the write takes no time. Otherwise the task that writes holds the counters.
        if !self.storage.is_shared() {
            let _ = self.flush().now_or_never();
        }
    }
}

impl State {
    /// Checks the clock, and begins another hour if it has changed. Returns whether it has.
    fn roll_hour(&mut self, now: Instant, unlocked: &OperationCounts) -> bool {
        let time = clock::monotonic_wall_clock();
        let hour = Period::Hour.at(time);
        let turned = self.hour != Some(hour);
        if turned {
            self.move_to_pending(unlocked);
            self.hour = Some(hour);
        }
        self.hour_end = now.checked_add(hour.remaining(time).min(CLOCK_CHECK_INTERVAL));
        turned
    }

    /// Moves the counts of the current hour to those that are to be written.
    fn move_to_pending(&mut self, unlocked: &OperationCounts) {
        for (operation, count) in unlocked.take() {
            self.counts.entry(StaticStrPtr(operation)).or_default().add(count);
        }
        let Some(hour) = self.hour.filter(|_| !self.counts.is_empty()) else { return };
        let windows = hour.enclosing();
        for (StaticStrPtr(operation), count) in self.counts.drain() {
            for (of, amount) in count.numbers().into_iter().filter(|(_, amount)| *amount > 0) {
                for window in windows {
                    let name = format!("{operation} {of}");
                    let number = self.pending.entry(window).or_default().entry(name).or_default();
                    *number = number.saturating_add(amount);
                }
            }
            let requests = self.is_listed.entry(windows[2]).or_default();
            *requests = requests.saturating_add(count.requests);
        }
        trim(&mut self.pending);
    }
}

fn trim(numbers: &mut BTreeMap<CalendarWindow, BTreeMap<String, u64>>) {
    while numbers.len() > MAX_WINDOWS {
        // The order is by period first: this removes the oldest hour.
        numbers.pop_first();
    }
}

/// A write in progress. If it ends early, the counts that were not sent are written again, and those that were sent
/// without a response are unsure.
struct FlushGuard<'a> {
    counter: &'a UsageCounter,
    pending: BTreeMap<CalendarWindow, BTreeMap<String, u64>>,
    index_entry: BTreeMap<CalendarWindow, u64>,
    /// The numbers that were sent, until the store responds.
    in_flight: Option<(CalendarWindow, BTreeMap<String, u64>)>,
    /// Whether the list of identities was sent, until the store responds.
    is_listing: bool,
}

impl Drop for FlushGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.counter.state();
        if let Some((window, numbers)) = self.in_flight.take() {
            add(state.unconfirmed.entry(window).or_default(), Some(&numbers));
            trim(&mut state.unconfirmed);
        }
        state.is_listing_unsure |= self.is_listing;
        for (window, numbers) in &self.pending {
            add(state.pending.entry(*window).or_default(), Some(numbers));
        }
        for (month, requests) in &self.index_entry {
            let listed = state.is_listed.entry(*month).or_default();
            *listed = listed.saturating_add(*requests);
        }
    }
}

fn add(numbers: &mut BTreeMap<String, u64>, more: Option<&BTreeMap<String, u64>>) {
    for (name, amount) in more.into_iter().flatten() {
        let number = numbers.entry(name.clone()).or_default();
        *number = number.saturating_add(*amount);
    }
}

#[cfg(test)]
mod tests;
