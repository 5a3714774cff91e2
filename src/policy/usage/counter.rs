//! The counts of calls and requests, which are written to the store from time to time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::keys::UsageKeys;
use super::operation_counts::{OperationCounts, UsageCount};
use super::period::{CalendarWindow, Period};
use super::storage::UsageStorage;
use crate::store::{StoreResult, StoreTimeout};
use crate::time::clock;
use crate::util::static_str_map::{StaticStrMap, StaticStrPtr};

/// The usage of one identity.
pub(super) struct UsageCounter {
    storage: Arc<UsageStorage>,
    keys: Arc<UsageKeys>,
    identity: Arc<str>,
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
    /// When a task will have written the counts; in the past if that task has ended early.
    next_flush_at: Option<Instant>,
    /// `None` if there are none. In a box, since most identities have a few operations, and with a store, counts are
    /// written within seconds.
    unwritten: Option<Box<UnwrittenCounts>>,
}

/// The counts that are neither in the slot of an operation nor written.
#[derive(Default)]
struct UnwrittenCounts {
    /// The counts of the current hour for the operations without a slot.
    counts: StaticStrMap<UsageCount>,
    /// The counts that are not written yet, by window and by name.
    pending: WindowCounts,
    /// Counts that were written without a response since the store last responded: a report that cannot read the store
    /// includes them.
    unconfirmed: WindowCounts,
    /// Whether the same applies to the list of identities, which no report shows.
    is_listing_unsure: bool,
    is_listed: BTreeMap<CalendarWindow, u64>,
}

/// Numbers by window and by name.
type WindowCounts = BTreeMap<CalendarWindow, BTreeMap<String, u64>>;

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
        keys: Arc<UsageKeys>,
        identity: Arc<str>,
    ) -> Self {
        let (state, flush_locks) = (Mutex::default(), AsyncMutex::new(()));
        Self {
            storage,
            keys,
            identity,
            unlocked: OperationCounts::default(),
            origin: Instant::now(),
            locked_from_ms: AtomicU64::new(0),
            state,
            flush_locks,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
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
            let counts = &mut state.unwritten.get_or_insert_default().counts;
            counts.entry(StaticStrPtr(operation)).or_default().add(count);
        }
        if !self.storage.is_shared() {
            self.lock_from(state.hour_end);
            // Counts of the current hour are not written before its end, unless all identities are read.
            let has_ended = turned && state.has_pending();
            drop(state);
            if has_ended {
                self.flush_to_memory();
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
            state.take_pending()
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
            let amounts = [(self.keys.listed_name(&self.identity), requests)];
            let key = self.keys.identities(month);
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
            self.state().confirm();
        }
        StoreResult::Done(())
    }

    /// Writes all counts, unless they belong in a shared store: that takes no time.
    pub(super) fn flush_to_memory(&self) {
        if !self.storage.is_shared() {
            let _ = self.flush().now_or_never();
        }
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
        let unwritten = state.unwritten.as_ref();
        unwritten.is_some_and(|counts| !counts.unconfirmed.is_empty() || counts.is_listing_unsure)
    }

    /// Returns whether there are counts that are not written, or are being written.
    pub(super) fn is_pending(&self) -> bool {
        let state = self.state();
        !self.unlocked.is_empty()
            || state.unwritten.as_ref().is_some_and(|counts| counts.is_pending())
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
        if let Some(unwritten) = &state.unwritten {
            add(&mut numbers, unwritten.pending.get(&window));
            if !reply {
                add(&mut numbers, unwritten.unconfirmed.get(&window));
            }
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
        self.keys.counts(&self.identity, window)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UsageCounter {
    fn drop(&mut self) {
        // With a shared store, the task that writes holds the counters.
        self.flush_to_memory();
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
        let Some(hour) = self.hour else { return };
        let others = self.unwritten.as_mut().map(|unwritten| std::mem::take(&mut unwritten.counts));
        let others = others.unwrap_or_default().into_iter();
        let others = others.map(|(StaticStrPtr(operation), count)| (operation, count));
        let mut counts = unlocked.take().chain(others).peekable();
        if counts.peek().is_none() {
            return;
        }
        let windows = hour.enclosing();
        let unwritten = self.unwritten.get_or_insert_default();
        for (operation, count) in counts {
            for (of, amount) in count.numbers().into_iter().filter(|(_, amount)| *amount > 0) {
                for window in windows {
                    let name = format!("{operation} {of}");
                    let pending = unwritten.pending.entry(window).or_default();
                    let number = pending.entry(name).or_default();
                    *number = number.saturating_add(amount);
                }
            }
            let requests = unwritten.is_listed.entry(windows[2]).or_default();
            *requests = requests.saturating_add(count.requests);
        }
        trim(&mut unwritten.pending);
    }

    fn has_pending(&self) -> bool {
        self.unwritten.as_ref().is_some_and(|unwritten| !unwritten.pending.is_empty())
    }

    /// Takes the counts that are to be written, and the months in which the identity is to be listed.
    fn take_pending(&mut self) -> (WindowCounts, BTreeMap<CalendarWindow, u64>) {
        let Some(unwritten) = &mut self.unwritten else { return Default::default() };
        let pending = std::mem::take(&mut unwritten.pending);
        let listed = std::mem::take(&mut unwritten.is_listed);
        self.release_if_empty();
        (pending, listed)
    }

    /// Records that the store has responded to the last write.
    fn confirm(&mut self) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.unconfirmed.clear();
            unwritten.is_listing_unsure = false;
            self.release_if_empty();
        }
    }

    fn release_if_empty(&mut self) {
        self.unwritten.take_if(|counts| {
            !counts.is_pending() && counts.unconfirmed.is_empty() && !counts.is_listing_unsure
        });
    }
}

impl UnwrittenCounts {
    /// Returns whether there are counts that were not sent to the store.
    fn is_pending(&self) -> bool {
        !self.counts.is_empty() || !self.pending.is_empty() || !self.is_listed.is_empty()
    }
}

fn trim(numbers: &mut WindowCounts) {
    while numbers.len() > MAX_WINDOWS {
        // The order is by period first: this removes the oldest hour.
        numbers.pop_first();
    }
}

/// A write in progress. If it ends early, the counts that were not sent are written again, and those that were sent
/// without a response are unsure.
struct FlushGuard<'a> {
    counter: &'a UsageCounter,
    pending: WindowCounts,
    index_entry: BTreeMap<CalendarWindow, u64>,
    /// The numbers that were sent, until the store responds.
    in_flight: Option<(CalendarWindow, BTreeMap<String, u64>)>,
    /// Whether the list of identities was sent, until the store responds.
    is_listing: bool,
}

impl Drop for FlushGuard<'_> {
    fn drop(&mut self) {
        let is_sent = self.pending.is_empty() && self.index_entry.is_empty();
        if is_sent && self.in_flight.is_none() && !self.is_listing {
            return;
        }
        let mut state = self.counter.state();
        let unwritten = state.unwritten.get_or_insert_default();
        if let Some((window, numbers)) = self.in_flight.take() {
            add(unwritten.unconfirmed.entry(window).or_default(), Some(&numbers));
            trim(&mut unwritten.unconfirmed);
        }
        unwritten.is_listing_unsure |= self.is_listing;
        for (window, numbers) in &self.pending {
            add(unwritten.pending.entry(*window).or_default(), Some(numbers));
        }
        for (month, requests) in &self.index_entry {
            let listed = unwritten.is_listed.entry(*month).or_default();
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
