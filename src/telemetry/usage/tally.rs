//! Counts calls and requests, and writes the counts to the store from time to time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::period::{Period, Window};
use super::place::{Patience, Place as Where, Ran};
use crate::clock;
use crate::telemetry::place::{ByPlace, Place};

/// Numbers of calls and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Count {
    /// Calls that ended, including those that the cache served.
    pub calls: u64,
    /// Calls that failed, for any reason.
    pub failed: u64,
    /// Requests that were sent or attempted; a call can have none or several.
    pub requests: u64,
}

impl Count {
    pub(super) fn add(&mut self, more: Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.failed = self.failed.saturating_add(more.failed);
        self.requests = self.requests.saturating_add(more.requests);
    }

    fn numbers(self) -> [(&'static str, u64); 3] {
        [("calls", self.calls), ("failed", self.failed), ("requests", self.requests)]
    }
}

/// The usage of one identity.
pub(super) struct Tally {
    place: Arc<Where>,
    /// The prefix of its keys.
    prefix: String,
    /// The key of the list of identities, and the name in it.
    listed: (String, String),
    state: Mutex<State>,
    /// Held during a write to the store: the next task that takes it finds all written counts.
    telling: AsyncMutex<()>,
}

#[derive(Default)]
struct State {
    /// The current hour.
    hour: Option<Window>,
    /// The end of that hour, or the time of the next check of the clock.
    until: Option<Instant>,
    counts: ByPlace<Count>,
    /// The counts that are not written yet, by window and by name.
    untold: BTreeMap<Window, BTreeMap<String, u64>>,
    /// Counts that were written without a response since the store last responded: a report that cannot read the store
    /// includes them.
    unsure: BTreeMap<Window, BTreeMap<String, u64>>,
    /// Whether the same applies to the list of identities, which no report shows.
    is_listing_unsure: bool,
    listed: BTreeMap<Window, u64>,
    /// When a task will have written the counts; in the past if that task has ended early.
    scheduled: Option<Instant>,
}

/// The interval of writes while there are counts to write. It doubles while the store is unavailable, up to the longest
/// pause.
const TOLD_AFTER: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest wait for another task that writes.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// How long a write is retried: the tally of an identity that is no longer used ends then.
const TRIED_FOR: Duration = Duration::from_secs(60 * 60);
/// The interval of checks of the clock: a check costs more than a count.
const LOOKED_AFTER: Duration = Duration::from_secs(1);
/// The maximum number of hours, days and months for which counts are pending during an outage of the store.
const MAX_WINDOWS: usize = 200;

impl Tally {
    pub(super) fn new(place: Arc<Where>, prefix: String, listed: (String, String)) -> Self {
        let (state, telling) = (Mutex::default(), AsyncMutex::new(()));
        Self { place, prefix, listed, state, telling }
    }

    pub(super) fn count(self: &Arc<Self>, now: Instant, operation: &'static str, count: Count) {
        let mut state = self.state();
        let turned = state.until.is_none_or(|until| until <= now) && state.look(now);
        state.counts.entry(Place(operation)).or_default().add(count);
        if !self.place.is_shared() {
            drop(state);
            if turned {
                // Without a shared store, the write takes no time.
                let _ = self.tell().now_or_never();
            }
            return;
        }
        if state.scheduled.is_none_or(|at| at + TOLD_AFTER <= now) {
            // Calls run on a runtime; without one, no task can write the counts later.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            state.scheduled = Some(now + TOLD_AFTER);
            drop(state);
            runtime.spawn(Arc::clone(self).tell_later());
        }
    }

    /// Writes the counts to the store, and retries if it is unavailable.
    async fn tell_later(self: Arc<Self>) {
        let (began, mut pause) = (Instant::now(), TOLD_AFTER);
        loop {
            tokio::time::sleep(pause).await;
            if self.tell().await || began.elapsed() > TRIED_FOR {
                break;
            }
            debug!("usage flush postponed: store unavailable");
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.state().scheduled = Some(Instant::now() + pause);
        }
        self.state().scheduled = None;
    }

    /// Writes all counts to the store. Returns whether the store confirmed them. Counts without a response can have
    /// been stored, and are not written again.
    pub(super) async fn tell(&self) -> bool {
        self.tell_with(Patience::Guarded).await == Ran::Done(())
    }

    /// Writes the counts with this patience, and returns whether the store can have accepted unconfirmed counts.
    pub(super) async fn tell_with(&self, patience: Patience) -> Ran<()> {
        let _telling = self.alone().await;
        let (untold, listed) = {
            let mut state = self.state();
            state.settle();
            (std::mem::take(&mut state.untold), std::mem::take(&mut state.listed))
        };
        let mut telling = Telling { tally: self, untold, listed, asked: None, is_listing: false };
        // If there is nothing to write, the client sends no request to the store, and has no confirmation.
        let mut heard = false;
        while let Some((window, numbers)) = telling.untold.pop_first() {
            let (key, kept) = (self.key(window), window.period.kept());
            let amounts = Vec::from_iter(numbers.clone());
            telling.asked = Some((window, numbers));
            match self.place.tally(&key, &amounts, kept, patience).await {
                Ran::Done(()) => heard = true,
                Ran::NotTried => {
                    telling.untold.extend(telling.asked.take());
                    return Ran::NotTried;
                }
                Ran::Unknown | Ran::Unreadable => return Ran::Unknown,
            }
            telling.asked = None;
        }
        while let Some((month, requests)) = telling.listed.pop_first() {
            let amounts = [(self.listed.1.clone(), requests)];
            let key = format!("{}:{month}", self.listed.0);
            telling.is_listing = true;
            match self.place.tally(&key, &amounts, month.period.kept(), patience).await {
                Ran::Done(()) => heard = true,
                Ran::NotTried => {
                    telling.is_listing = false;
                    telling.listed.insert(month, requests);
                    return Ran::NotTried;
                }
                Ran::Unknown | Ran::Unreadable => return Ran::Unknown,
            }
            telling.is_listing = false;
        }
        if heard {
            let mut state = self.state();
            state.unsure.clear();
            state.is_listing_unsure = false;
        }
        Ran::Done(())
    }

    /// Waits until no other task writes to the store, except for a task whose runtime is not polled: its counts are
    /// missing until it has ended.
    async fn alone(&self) -> Option<AsyncMutexGuard<'_, ()>> {
        match self.telling.try_lock() {
            Ok(telling) => Some(telling),
            Err(_) => timeout(MAX_WAIT, self.telling.lock()).await.ok(),
        }
    }

    /// Returns whether a write had no response, and the store has not responded since.
    pub(super) fn is_unsure(&self) -> bool {
        let state = self.state();
        !state.unsure.is_empty() || state.is_listing_unsure
    }

    /// Returns whether there are counts that are not written, or are being written.
    pub(super) fn is_pending(&self) -> bool {
        let state = self.state();
        let untold = !state.counts.is_empty() || !state.untold.is_empty();
        untold || !state.listed.is_empty() || self.telling.try_lock().is_err()
    }

    /// Returns the counts of a window, and whether they were read from the store.
    pub(super) async fn counts(&self, window: Window) -> (BTreeMap<String, Count>, bool) {
        let _telling = self.alone().await;
        let told = self.place.tallied(&self.key(window)).await;
        let heard = told.is_some();
        let mut numbers = told.unwrap_or_default();
        let mut state = self.state();
        state.settle();
        add(&mut numbers, state.untold.get(&window));
        if !heard {
            add(&mut numbers, state.unsure.get(&window));
        }
        drop(state);
        let mut counts = BTreeMap::<String, Count>::new();
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
        (counts, heard)
    }

    fn key(&self, window: Window) -> String {
        format!("{}:{window}", self.prefix)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // Without a shared store, the write takes no time. Otherwise the task that writes holds the tally.
        if !self.place.is_shared() {
            let _ = self.tell().now_or_never();
        }
    }
}

impl State {
    /// Checks the clock, and begins another hour if it has changed. Returns whether it has.
    fn look(&mut self, now: Instant) -> bool {
        let time = clock::now();
        let hour = Period::Hour.at(time);
        let turned = self.hour != Some(hour);
        if turned {
            self.settle();
            self.hour = Some(hour);
        }
        self.until = now.checked_add(hour.left(time).min(LOOKED_AFTER));
        turned
    }

    /// Moves the counts of the current hour to those that are to be written.
    fn settle(&mut self) {
        let Some(hour) = self.hour.filter(|_| !self.counts.is_empty()) else { return };
        let windows = hour.all_around();
        for (Place(operation), count) in self.counts.drain() {
            for (of, amount) in count.numbers().into_iter().filter(|(_, amount)| *amount > 0) {
                for window in windows {
                    let name = format!("{operation} {of}");
                    let number = self.untold.entry(window).or_default().entry(name).or_default();
                    *number = number.saturating_add(amount);
                }
            }
            let requests = self.listed.entry(windows[2]).or_default();
            *requests = requests.saturating_add(count.requests);
        }
        trim(&mut self.untold);
    }
}

fn trim(numbers: &mut BTreeMap<Window, BTreeMap<String, u64>>) {
    while numbers.len() > MAX_WINDOWS {
        // The order is by period first: this removes the oldest hour.
        numbers.pop_first();
    }
}

/// A write in progress. If it ends early, the counts that were not sent are written again, and those that were sent
/// without a response are unsure.
struct Telling<'a> {
    tally: &'a Tally,
    untold: BTreeMap<Window, BTreeMap<String, u64>>,
    listed: BTreeMap<Window, u64>,
    /// The numbers that were sent, until the store responds.
    asked: Option<(Window, BTreeMap<String, u64>)>,
    /// Whether the list of identities was sent, until the store responds.
    is_listing: bool,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut state = self.tally.state();
        if let Some((window, numbers)) = self.asked.take() {
            add(state.unsure.entry(window).or_default(), Some(&numbers));
            trim(&mut state.unsure);
        }
        state.is_listing_unsure |= self.is_listing;
        for (window, numbers) in &self.untold {
            add(state.untold.entry(*window).or_default(), Some(numbers));
        }
        for (month, requests) in &self.listed {
            let listed = state.listed.entry(*month).or_default();
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
