//! What is spent of a budget, counted before it is sent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::warn;

use super::budget::Budget;
use super::period::Window;
use super::place::{Place, Ran};
use crate::error::{Error, ErrorKind};
use crate::telemetry::meter;

/// One budget of one identity, or of all.
///
/// While the store answers, it alone decides. What it could not be told is told with the next
/// request. What it was told without an answer is never told again, since it may have been counted: it
/// counts here until the store answers. So nothing counts twice, and nothing is given back twice.
pub(super) struct Spending {
    pub(super) budget: Budget,
    /// What its keys begin with.
    prefix: String,
    /// The budget and the identity, as metrics know them.
    labels: [&'static str; 2],
    state: Mutex<State>,
}

/// What is known of one window.
#[derive(Default)]
struct State {
    window: Option<Window>,
    /// The sum that the store told last, and when.
    heard: i64,
    at: Option<Instant>,
    /// What it was not told, that is certain; negative if it is to be given back.
    untold: i64,
    /// What it is being told of, and what it was told of without an answer since it answered last.
    in_flight: i64,
    unsure: i64,
    /// It did not answer when it was told last.
    silent: bool,
    warned: bool,
}

/// One request that was counted, to be given back if it was none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent(Window);

/// What the store is being told. If the task that tells it is dropped, it is unknown whether it heard.
struct Telling<'a> {
    spending: &'a Spending,
    window: Window,
    amount: i64,
}

/// What the store was told of without an answer, perhaps: with one request, what was owed.
struct Told {
    amount: i64,
    owed: i64,
    perhaps: bool,
}

/// A sum that is unreadable is replaced by the limit and this: requests under way that give back theirs leave the
/// budget closed.
const NOT_GIVEN_BACK: i64 = 100_000;
/// A budget that is spent is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Spending {
    pub(super) fn new(budget: Budget, prefix: String, identity: &'static str) -> Self {
        let labels = [meter::budget_name(&budget.name), identity];
        Self { budget, prefix, labels, state: Mutex::default() }
    }

    /// Whether it is known to be spent for this operation, without asking.
    pub(super) fn check(&self, operation: &str, now: SystemTime) -> Result<(), Error> {
        let Some(hard) = self.hard(operation) else { return Ok(()) };
        let window = self.budget.period.at(now);
        let state = self.state();
        let asked = state.at.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        match state.window == Some(window) && asked && state.heard >= hard {
            true => Err(self.spent(window, now)),
            false => Ok(()),
        }
    }

    /// Whether it is spent, as far as this process knows.
    pub(super) fn is_spent(&self, now: SystemTime) -> bool {
        let state = self.state();
        let hard = self.budget.hard.map(signed);
        state.window == Some(self.budget.period.at(now))
            && hard.is_some_and(|it| state.used() >= it)
    }

    /// Counts one request.
    pub(super) async fn spend(
        &self,
        place: &Place,
        operation: &str,
        now: SystemTime,
    ) -> Result<Spent, Error> {
        self.check(operation, now)?;
        let (window, hard) = (self.budget.period.at(now), self.hard(operation));
        if !self.finds_out(place, window).await {
            return self.spend_alone(window, None, hard, now);
        }
        let owed = {
            let mut state = self.state();
            state.turn_to(window);
            let owed = std::mem::take(&mut state.untold);
            state.in_flight = state.in_flight.saturating_add(owed).saturating_add(1);
            owed
        };
        let mut telling = Telling { spending: self, window, amount: owed.saturating_add(1) };
        let most = hard.unwrap_or(i64::MAX);
        let ran = self.count(place, window, owed, most).await;
        let amount = std::mem::take(&mut telling.amount);
        let Ran::Done((sum, went)) = ran else {
            let told = Told { amount, owed, perhaps: matches!(ran, Ran::Unknown) };
            return self.spend_alone(window, Some(told), hard, now);
        };
        {
            let mut state = self.state();
            if state.window == Some(window) {
                state.in_flight = state.in_flight.saturating_sub(amount);
                state.hear(sum);
            }
        }
        if !went {
            return Err(self.spent(window, now));
        }
        if sum == amount {
            place.remember_first(&self.first_key(window), now, window.period.kept()).await;
        }
        self.warn(place, window, sum).await;
        self.tell(sum);
        Ok(Spent(window))
    }

    /// Has the store count one request and what is owed. A sum that it cannot read is repaired before; if that
    /// fails, nothing is counted.
    async fn count(&self, place: &Place, window: Window, owed: i64, most: i64) -> Ran<(i64, bool)> {
        let (key, kept) = (self.key(window), window.period.kept());
        match place.spend(&key, owed, most, kept).await {
            Ran::Unreadable if self.repair(place, window).await => {
                place.spend(&key, owed, most, kept).await
            }
            ran => ran,
        }
    }

    /// The same for what is added in any case.
    async fn add(&self, place: &Place, window: Window, amount: i64) -> Ran<i64> {
        let (key, kept) = (self.key(window), window.period.kept());
        match place.add(&key, amount, kept).await {
            Ran::Unreadable if self.repair(place, window).await => {
                place.add(&key, amount, kept).await
            }
            ran => ran,
        }
    }

    /// Replaces a sum that the store cannot read by what this client knows: what it heard last, and what the
    /// store may have counted since. Others may have spent more, so that a strict budget with a limit is closed
    /// until its window ends. Returns whether the store has a sum again.
    async fn repair(&self, place: &Place, window: Window) -> bool {
        let closed = self.budget.hard.filter(|_| self.budget.strict);
        let closed = closed.map(|hard| signed(hard).saturating_add(NOT_GIVEN_BACK));
        let known = {
            let state = self.state();
            let current = state.window == Some(window);
            if current { state.heard.saturating_add(state.unsure).max(0) } else { 0 }
        };
        let at_least = known.max(closed.unwrap_or_default());
        let ran = place.repair(&self.key(window), at_least, window.period.kept()).await;
        let is_repaired = matches!(ran, Ran::Done(_));
        if closed.is_some() && is_repaired {
            let (budget, ends) = (&self.budget.name, window.ends);
            warn!(budget, %ends, "strict budget closed until its window ends: its count was unreadable");
        }
        is_repaired
    }

    /// Whether a store that did not answer does now, if it was not told of something: it is told only if it
    /// answers, since it is unknown otherwise whether it was.
    async fn finds_out(&self, place: &Place, window: Window) -> bool {
        {
            let mut state = self.state();
            state.turn_to(window);
            if !state.silent || state.untold == 0 {
                return true;
            }
        }
        let Ran::Done(sum) = self.add(place, window, 0).await else {
            return false;
        };
        let mut state = self.state();
        if state.window == Some(window) {
            state.hear(sum);
        }
        true
    }

    /// Decides about a request without the store, which was told of it without an answer, or of nothing.
    fn spend_alone(
        &self,
        window: Window,
        told: Option<Told>,
        hard: Option<i64>,
        now: SystemTime,
    ) -> Result<Spent, Error> {
        let mut state = self.state();
        let current = state.window == Some(window);
        if let (Some(Told { amount, owed, perhaps }), true) = (&told, current) {
            state.silent = true;
            state.in_flight = state.in_flight.saturating_sub(*amount);
            match perhaps {
                true => state.unsure = state.unsure.saturating_add(*amount),
                false => state.untold = state.untold.saturating_add(*owed),
            }
        }
        let told = told.is_some_and(|told| told.perhaps);
        let used = state.used().saturating_add(i64::from(!told));
        if self.budget.strict && hard.is_some() {
            return Err(self.unknown());
        }
        if hard.is_some_and(|hard| used > hard) {
            return Err(self.spent(window, now));
        }
        if current && !told {
            state.untold = state.untold.saturating_add(1);
        }
        drop(state);
        self.tell(used);
        Ok(Spent(window))
    }

    /// Gives one back that was none.
    pub(super) async fn give_back(&self, place: &Place, Spent(window): Spent) {
        let ran = self.add(place, window, -1).await;
        let mut state = self.state();
        if state.window != Some(window) {
            return;
        }
        match ran {
            Ran::Done(sum) => {
                state.hear(sum);
                drop(state);
                self.tell(sum);
            }
            Ran::NotTried | Ran::Unreadable => state.untold = state.untold.saturating_sub(1),
            // It may have been given back, and may not be twice.
            Ran::Unknown => {}
        }
    }

    /// What is spent of it in this window, when the first was, and whether the store says so.
    pub(super) async fn used(
        &self,
        place: &Place,
        window: Window,
    ) -> (u64, Option<SystemTime>, bool) {
        let told = place.number(&self.key(window)).await;
        let first = place.first(&self.first_key(window)).await;
        let state = self.state();
        let local = (state.window == Some(window)).then(|| {
            let heard = told.unwrap_or(state.heard);
            state.used().saturating_sub(state.heard).saturating_add(heard)
        });
        let used = local.or(told).unwrap_or_default();
        (u64::try_from(used).unwrap_or_default(), first, told.is_some())
    }

    /// The limit that requests of an operation are refused by.
    fn hard(&self, operation: &str) -> Option<i64> {
        let exempt = self.budget.exempt.iter().any(|exempt| exempt == operation);
        self.budget.hard.filter(|_| !exempt).map(signed)
    }

    fn tell(&self, used: i64) {
        let limit = self.budget.hard.or(self.budget.soft);
        meter::budget(self.labels, used.max(0) as f64, limit);
    }

    /// Warns once in a window, by the first of the clients that share the store.
    async fn warn(&self, place: &Place, window: Window, used: i64) {
        let Budget { name, period, soft, hard, .. } = &self.budget;
        if soft.is_none_or(|soft| used < signed(soft)) {
            return;
        }
        if std::mem::replace(&mut self.state().warned, true) {
            return;
        }
        let key = format!("{}:warned", self.key(window));
        if place.claim(&key, window.period.kept()).await {
            warn!(budget = name, used, hard, %period, ends = %window.ends, "a budget is nearly spent");
        }
    }

    fn spent(&self, window: Window, now: SystemTime) -> Error {
        meter::budget_refused(self.labels[0]);
        let Budget { name, period, hard, .. } = &self.budget;
        let hard = hard.unwrap_or_default();
        let message = format!("the budget {name:?} of {hard} requests a {period} is spent");
        Error::new(ErrorKind::Budget, message)
            .with_advice(format!(
                "a new {period} begins at {}; until then raise the budget, or exempt what has to go on",
                window.ends.format("%Y-%m-%dT%H:%M:%SZ")
            ))
            .with_retry_after(window.left(now))
    }

    fn unknown(&self) -> Error {
        meter::budget_refused(self.labels[0]);
        let message = format!(
            "what is left of the budget {:?} is not known: the store does not answer",
            self.budget.name
        );
        Error::new(ErrorKind::Budget, message)
            .with_advice("see to the store, or build the budget without strict()")
            .with_retryable(true)
    }

    fn key(&self, window: Window) -> String {
        format!("{}:{window}", self.prefix)
    }

    fn first_key(&self, window: Window) -> String {
        format!("{}:first", self.key(window))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins anew in another window.
    fn turn_to(&mut self, window: Window) {
        if self.window != Some(window) {
            *self = Self { window: Some(window), ..Self::default() };
        }
    }

    /// The store told a sum, in which all is that it heard of.
    fn hear(&mut self, sum: i64) {
        (self.heard, self.at, self.unsure, self.silent) = (sum, Some(Instant::now()), 0, false);
    }

    fn used(&self) -> i64 {
        let here = self.untold.saturating_add(self.in_flight).saturating_add(self.unsure);
        self.heard.saturating_add(here)
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut state = self.spending.state();
        if self.amount != 0 && state.window == Some(self.window) {
            state.in_flight = state.in_flight.saturating_sub(self.amount);
            state.unsure = state.unsure.saturating_add(self.amount);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
