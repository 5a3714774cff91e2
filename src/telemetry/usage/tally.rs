//! What was called, counted here and told to the store now and then.

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

/// How much was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Count {
    /// Calls that ended, also those that the cache answered.
    pub calls: u64,
    /// Those of them that failed, for whatever reason.
    pub failed: u64,
    /// Requests that were sent, or that it was tried to send; a call may have none or several.
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

/// What one identity calls.
pub(super) struct Tally {
    place: Arc<Where>,
    /// What its keys begin with.
    prefix: String,
    /// Where identities are listed, and its name there.
    listed: (String, String),
    state: Mutex<State>,
    /// Held while the store is told: the next task to take it finds all that was told.
    telling: AsyncMutex<()>,
}

#[derive(Default)]
struct State {
    /// The hour that is counted, and what was called in it.
    hour: Option<Window>,
    /// Until when it is so, or is not looked at.
    until: Option<Instant>,
    counts: ByPlace<Count>,
    /// What the store was not told yet, by window and by name.
    untold: BTreeMap<Window, BTreeMap<String, u64>>,
    /// What it was told without an answer since it answered last: a report without it has this.
    unsure: BTreeMap<Window, BTreeMap<String, u64>>,
    /// The same of the list of identities, which no report shows.
    is_listing_unsure: bool,
    listed: BTreeMap<Window, u64>,
    /// When a task will have told it; past if that task is gone.
    scheduled: Option<Instant>,
}

/// How long the store is told nothing while there is something to tell; doubling while it does not answer, up to the
/// longest pause.
const TOLD_AFTER: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest wait for another task that tells the store.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// For how long it is tried: an identity that is not used any more ends then.
const TRIED_FOR: Duration = Duration::from_secs(60 * 60);
/// The time of day is looked at this often: to look costs more than to count.
const LOOKED_AFTER: Duration = Duration::from_secs(1);
/// Of an outage of the store, so many hours, days and months are told of later.
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
                // Where no other process looks, telling takes no time.
                let _ = self.tell().now_or_never();
            }
            return;
        }
        if state.scheduled.is_none_or(|at| at + TOLD_AFTER <= now) {
            // Calls are made on a runtime; without one no task can tell it later.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            state.scheduled = Some(now + TOLD_AFTER);
            drop(state);
            runtime.spawn(Arc::clone(self).tell_later());
        }
    }

    /// Tells the store, and again if it does not answer.
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

    /// Tells the store all there is; whether it heard. What it was told of without an answer it may have heard, and is
    /// not told again.
    pub(super) async fn tell(&self) -> bool {
        self.tell_with(Patience::Guarded).await == Ran::Done(())
    }

    /// The same, with as much patience, and whether the store may have heard what it did not answer to.
    pub(super) async fn tell_with(&self, patience: Patience) -> Ran<()> {
        let _telling = self.alone().await;
        let (untold, listed) = {
            let mut state = self.state();
            state.settle();
            (std::mem::take(&mut state.untold), std::mem::take(&mut state.listed))
        };
        let mut telling = Telling { tally: self, untold, listed, asked: None, is_listing: false };
        // If nothing is left to tell, the store is not asked, and has confirmed nothing.
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

    /// Waits until no other task tells the store, but not for one whose runtime is not polled: what that tells is
    /// missing until it has ended.
    async fn alone(&self) -> Option<AsyncMutexGuard<'_, ()>> {
        match self.telling.try_lock() {
            Ok(telling) => Some(telling),
            Err(_) => timeout(MAX_WAIT, self.telling.lock()).await.ok(),
        }
    }

    /// Returns whether the store was told something without an answer, and has not answered since.
    pub(super) fn is_unsure(&self) -> bool {
        let state = self.state();
        !state.unsure.is_empty() || state.is_listing_unsure
    }

    /// Whether there is something that the store was not told, or is being told.
    pub(super) fn is_pending(&self) -> bool {
        let state = self.state();
        let untold = !state.counts.is_empty() || !state.untold.is_empty();
        untold || !state.listed.is_empty() || self.telling.try_lock().is_err()
    }

    /// What was called in a window, and whether the store says so.
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
        // Where no other process looks, telling takes no time. Else the task that tells holds it.
        if !self.place.is_shared() {
            let _ = self.tell().now_or_never();
        }
    }
}

impl State {
    /// Looks at the time of day, and begins another hour if it is one; whether it is.
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

    /// Takes what was counted over to what is to be told.
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
        // By period first: the oldest hour goes.
        numbers.pop_first();
    }
}

/// What the store is being told. If that ends early, what the store was not asked to take is told again, and what
/// it was asked to take without an answer is unsure.
struct Telling<'a> {
    tally: &'a Tally,
    untold: BTreeMap<Window, BTreeMap<String, u64>>,
    listed: BTreeMap<Window, u64>,
    /// The numbers that the store was asked to take, until it answers.
    asked: Option<(Window, BTreeMap<String, u64>)>,
    /// Whether the store was asked to list the identity, until it answers.
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
