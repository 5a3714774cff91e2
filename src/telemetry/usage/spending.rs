//! The spent part of a budget, counted before a request is sent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::budget::Budget;
use super::period::Window;
use super::place::{Place, Ran, SumOutcome};
use crate::error::{Error, ErrorKind};
use crate::runtimes::PerRuntime;
use crate::store::WaitAllowance;
use crate::telemetry::meter;

mod question;

use question::{Decision, Heard, Question};

/// One budget of one identity, or of all.
///
/// While the store is available, it alone decides. Counts that could not be sent to it are sent with the next request.
/// Counts that were sent without a response are never sent again, since the store can have recorded them: the client
/// counts them until the store responds. So no request is counted twice, and none is given back twice.
pub(super) struct Spending {
    pub(super) budget: Budget,
    /// The prefix of its keys.
    prefix: String,
    /// The labels of metrics for the budget and the identity.
    labels: [&'static str; 2],
    state: Mutex<State>,
    /// Held while pending counts are sent to the store. A caller does not wait for a task of another runtime, which
    /// might not be polled: the counts of that task are in flight, and no other task sends them again.
    telling: PerRuntime<Arc<AsyncMutex<()>>>,
}

/// The known state of one window.
#[derive(Default)]
struct State {
    window: Option<Window>,
    /// The last sum from the store, and its time.
    heard: i64,
    at: Option<Instant>,
    /// The pending count, which was not sent to the store; negative for requests that are given back.
    untold: i64,
    /// The count that is being sent, and the count that was sent without a response since the store last responded.
    in_flight: i64,
    unsure: i64,
    /// The requests among those in flight that no call has decided about.
    undecided: i64,
    /// Whether the store did not respond to the last count.
    silent: bool,
    warned: bool,
}

/// One counted request, which can be given back if it does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent(Window);

impl Spent {
    /// Returns whether the window that it was counted in has not ended.
    pub(super) fn is_current(self, budget: &Budget, now: SystemTime) -> bool {
        budget.period.at(now) == self.0
    }
}

/// A count that is being sent to the store. If the task that sends it is dropped, it is unknown whether the store
/// received it.
struct Telling<'a> {
    spending: &'a Spending,
    window: Window,
    amount: i64,
}

/// An unreadable sum is replaced by the limit plus this number, so that requests in flight that are given back leave
/// the budget closed.
const NOT_GIVEN_BACK: i64 = 100_000;
/// The coarsest precision of times in file systems is 2 s.
const LOSS_PRECISION: Duration = Duration::from_secs(2);
/// The time after which a spent budget is read again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Spending {
    pub(super) fn new(budget: Budget, prefix: String, identity: &'static str) -> Self {
        let labels = [meter::budget_name(&budget.name), identity];
        let (state, telling) = (Mutex::default(), PerRuntime::default());
        Self { budget, prefix, labels, state, telling }
    }

    /// Returns an error if the budget is known to be spent for this operation, without a request to the store.
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

    /// Returns whether the budget is spent, as far as this process knows.
    pub(super) fn is_spent(&self, now: SystemTime) -> bool {
        let state = self.state();
        let hard = self.budget.hard.map(signed);
        state.window == Some(self.budget.period.at(now))
            && hard.is_some_and(|it| state.used() >= it)
    }

    /// Counts one request, and gives it back unless it is kept.
    pub(super) async fn take(
        self: &Arc<Self>,
        place: &Arc<Place>,
        operation: &str,
        now: SystemTime,
        allowance: &WaitAllowance,
    ) -> Result<Taken, Error> {
        let spent = self.spend(place, operation, now, allowance).await?;
        Ok(Taken { spending: Arc::clone(self), place: Arc::clone(place), spent: Some(spent) })
    }

    /// Counts one request: in the store if it responds while the call can wait for it, else by the state that is known
    /// here, which is sent to the store later.
    pub(super) async fn spend(
        self: &Arc<Self>,
        place: &Arc<Place>,
        operation: &str,
        now: SystemTime,
        allowance: &WaitAllowance,
    ) -> Result<Spent, Error> {
        self.check(operation, now)?;
        let (window, hard) = (self.budget.period.at(now), self.hard(operation));
        let (answer, answered) = oneshot::channel();
        let shared = Arc::new(Decision::default());
        let question = Question {
            spending: Arc::clone(self),
            place: Arc::clone(place),
            window,
            hard,
            now,
            shared: Arc::clone(&shared),
        };
        place.tasks.continue_behind(question.ask(answer));
        let mut undecided =
            Undecided { spending: self, place, window, shared: &shared, answered, decided: false };
        let heard = match undecided.answered.try_recv() {
            Ok(heard) => Ok(heard),
            Err(oneshot::error::TryRecvError::Closed) => Ok(Heard::Nothing { counted: false }),
            Err(oneshot::error::TryRecvError::Empty) => {
                let _wait = allowance.begin();
                match timeout(allowance.left(), &mut undecided.answered).await {
                    // Its task has ended, and the count that it sent is unsure.
                    Ok(heard) => Ok(heard.unwrap_or(Heard::Nothing {
                        counted: shared.is_told.load(Ordering::Relaxed),
                    })),
                    Err(late) => Err(late),
                }
            }
        };
        let mut state = self.state();
        let heard = heard.or_else(|late| {
            undecided.answered.close();
            // The response can have arrived at this moment.
            undecided.answered.try_recv().map_err(|_| late)
        });
        undecided.decided = true;
        match heard {
            Ok(Heard::Sum(_, true)) => Ok(Spent(window)),
            Ok(Heard::Sum(_, false)) => {
                drop(state);
                Err(self.spent(window, now))
            }
            Ok(Heard::Nothing { counted }) => {
                undecided.end(&mut state);
                let used = self.decide(&mut state, window, counted, hard, now);
                if counted && used.is_err() && state.window == Some(window) {
                    state.not_sent();
                }
                drop(state);
                used.map(|used| self.tell(used))?;
                Ok(Spent(window))
            }
            Err(_) => {
                let counted = shared.is_told.load(Ordering::Relaxed);
                undecided.end(&mut state);
                let used = self.decide(&mut state, window, counted, hard, now);
                shared.went.store(used.is_ok(), Ordering::Relaxed);
                drop(state);
                used.map(|used| self.tell(used))?;
                Ok(Spent(window))
            }
        }
    }

    /// Decides about a request without the store. `counted` says whether it is counted here already. Returns the number
    /// of used requests after it.
    fn decide(
        &self,
        state: &mut State,
        window: Window,
        counted: bool,
        hard: Option<i64>,
        now: SystemTime,
    ) -> Result<i64, Error> {
        // Other undecided requests come after this one.
        let used = state.used().saturating_sub(state.undecided);
        let used = used.saturating_add(i64::from(!counted));
        if self.budget.strict && hard.is_some() {
            return Err(self.unknown());
        }
        if hard.is_some_and(|hard| used > hard) {
            return Err(self.spent(window, now));
        }
        if state.window == Some(window) && !counted {
            state.untold = state.untold.saturating_add(1);
        }
        Ok(used)
    }

    /// Counts one request and the owed amount in the store. A sum that cannot be read is repaired before; if that
    /// fails, no request is counted.
    async fn count(&self, place: &Place, window: Window, owed: i64, most: i64) -> Ran<(i64, bool)> {
        let (key, kept) = (self.key(window), window.period.kept());
        let SumOutcome { ran, lost_at } = place.spend(&key, owed, most, kept).await;
        match ran {
            Ran::Unreadable if self.repair(place, window, lost_at).await => {
                place.spend(&key, owed, most, kept).await.ran
            }
            ran => ran,
        }
    }

    /// Reads the sum, and repairs it if it cannot be read.
    async fn ask(&self, place: &Place, window: Window) -> Ran<i64> {
        let (key, kept) = (self.key(window), window.period.kept());
        let SumOutcome { ran, lost_at } = place.ask(&key, kept).await;
        match ran {
            Ran::Unreadable if self.repair(place, window, lost_at).await => {
                place.ask(&key, kept).await.ran
            }
            ran => ran,
        }
    }

    /// Adds an amount unconditionally, and repairs a sum that cannot be read.
    async fn add(&self, place: &Place, window: Window, amount: i64) -> Ran<i64> {
        let (key, kept) = (self.key(window), window.period.kept());
        let SumOutcome { ran, lost_at } = place.add(&key, amount, kept).await;
        match ran {
            Ran::Unreadable if self.repair(place, window, lost_at).await => {
                place.add(&key, amount, kept).await.ran
            }
            ran => ran,
        }
    }

    /// Replaces a sum that the store cannot read by the state that this client knows: the last sum, and the counts
    /// since that the store can have recorded. Other clients can have spent more, so that a strict budget with a limit
    /// is closed until its window ends. If the store can have lost the sum only before the window began, there was
    /// none. Returns whether the store has a sum again.
    async fn repair(&self, place: &Place, window: Window, lost_at: Option<SystemTime>) -> bool {
        let lost_before = lost_at.and_then(|at| at.checked_add(LOSS_PRECISION));
        let is_complete = lost_before.is_some_and(|at| at <= SystemTime::from(window.began));
        let closed = self.budget.hard.filter(|_| self.budget.strict && !is_complete);
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
            warn!(budget, %ends, "strict budget blocked until its window ends: its counter is unreadable");
        }
        is_repaired
    }

    /// Returns whether the store responds, if it did not respond before and counts are pending: they are sent only if
    /// it responds, since it would otherwise be unknown whether the store recorded them.
    async fn finds_out(&self, place: &Place, window: Window) -> bool {
        {
            let mut state = self.state();
            state.turn_to(window);
            if !state.silent || state.untold == 0 {
                return true;
            }
        }
        let Ran::Done(sum) = self.ask(place, window).await else {
            return false;
        };
        let mut state = self.state();
        if state.window == Some(window) {
            state.hear(sum);
        }
        true
    }

    /// Gives back one request that does not count. The store is updated in the background.
    pub(super) fn give_back(self: &Arc<Self>, place: &Arc<Place>, Spent(window): Spent) {
        let is_current = {
            let mut state = self.state();
            let is_current = state.window == Some(window);
            if is_current {
                state.untold = state.untold.saturating_sub(1);
            }
            is_current
        };
        if is_current {
            return self.tell_behind(place);
        }
        let (spending, to) = (Arc::clone(self), Arc::clone(place));
        place.tasks.continue_behind(async move {
            spending.add(&to, window, -1).await;
        });
    }

    /// Sends the pending count in the background. If another task does so, that task sends all of it.
    fn tell_behind(self: &Arc<Self>, place: &Arc<Place>) {
        let (spending, to) = (Arc::clone(self), Arc::clone(place));
        place.tasks.continue_behind(async move {
            let lock = spending.telling();
            loop {
                let Ok(telling) = lock.try_lock() else { return };
                let is_told = spending.tell_untold(&to).await;
                drop(telling);
                // Another task can have found the lock held after the last check.
                if !is_told || spending.state().untold == 0 {
                    return;
                }
            }
        });
    }

    /// Sends the pending count. Returns whether no count is left.
    pub(super) async fn flush(&self, place: &Place) -> bool {
        let lock = self.telling();
        loop {
            let telling = lock.lock().await;
            let is_told = self.tell_untold(place).await;
            drop(telling);
            // Another task can have found the lock held after the last check.
            if !is_told || self.state().untold == 0 {
                return is_told;
            }
        }
    }

    /// Returns whether requests were sent to the store without a response, and it has not responded since.
    pub(super) fn is_unsure(&self) -> bool {
        self.state().unsure != 0
    }

    /// Returns the lock of the caller's runtime.
    fn telling(&self) -> Arc<AsyncMutex<()>> {
        self.telling.get_or_make(|_, _| Arc::default())
    }

    async fn tell_untold(&self, place: &Place) -> bool {
        loop {
            let window = {
                let state = self.state();
                match state.window.filter(|_| state.untold != 0) {
                    Some(window) => window,
                    None => return true,
                }
            };
            if !self.finds_out(place, window).await {
                return false;
            }
            let amount = {
                let mut state = self.state();
                if state.window != Some(window) {
                    continue;
                }
                let amount = std::mem::take(&mut state.untold);
                state.in_flight = state.in_flight.saturating_add(amount);
                amount
            };
            let mut telling = Telling { spending: self, window, amount };
            let ran = self.add(place, window, amount).await;
            telling.amount = 0;
            let mut state = self.state();
            if state.window != Some(window) {
                continue;
            }
            state.in_flight = state.in_flight.saturating_sub(amount);
            match ran {
                Ran::Done(sum) => {
                    state.hear(sum);
                    drop(state);
                    self.tell(sum);
                }
                Ran::NotTried | Ran::Unreadable => {
                    state.silent = true;
                    state.untold = state.untold.saturating_add(amount);
                    return false;
                }
                Ran::Unknown => {
                    state.silent = true;
                    state.doubt(amount);
                    return false;
                }
            }
        }
    }

    /// Returns the spent number in this window, the time of the first request, and whether both were read from the
    /// store.
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

    /// Returns the limit at which requests of an operation are rejected.
    fn hard(&self, operation: &str) -> Option<i64> {
        let exempt = self.budget.exempt.iter().any(|exempt| exempt == operation);
        self.budget.hard.filter(|_| !exempt).map(signed)
    }

    fn tell(&self, used: i64) {
        let limit = self.budget.hard.or(self.budget.soft);
        meter::budget(self.labels, used.max(0) as f64, limit);
    }

    /// Logs a warning once in a window, by the first of the clients that share the store.
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
            warn!(budget = name, used, hard, %period, ends = %window.ends, "budget soft limit reached");
        }
    }

    fn spent(&self, window: Window, now: SystemTime) -> Error {
        meter::budget_refused(self.labels[0]);
        let Budget { name, period, hard, .. } = &self.budget;
        let hard = hard.unwrap_or_default();
        let message = format!("budget {name:?} exhausted: {hard} requests per {period}");
        Error::new(ErrorKind::Budget, message)
            .with_advice(format!(
                "a new {period} starts at {}; until then raise the budget, or exempt required operations",
                window.ends.format("%Y-%m-%dT%H:%M:%SZ")
            ))
            .with_retry_after(window.left(now))
    }

    fn unknown(&self) -> Error {
        meter::budget_refused(self.labels[0]);
        let message =
            format!("remaining budget {:?} is unknown: store unavailable", self.budget.name);
        Error::new(ErrorKind::Budget, message)
            .with_advice("check the store, or build the budget without strict()")
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
    /// Resets the state for another window.
    fn turn_to(&mut self, window: Window) {
        if self.window != Some(window) {
            *self = Self { window: Some(window), ..Self::default() };
        }
    }

    /// Records a sum from the store, which includes all counts that it received.
    fn hear(&mut self, sum: i64) {
        (self.heard, self.at, self.unsure, self.silent) = (sum, Some(Instant::now()), 0, false);
    }

    /// Records a count that was sent without a response. The store can have added it, and might not have subtracted
    /// requests that were given back.
    fn doubt(&mut self, amount: i64) {
        self.unsure = self.unsure.saturating_add(amount.max(0));
    }

    /// Records that one of those requests is not sent.
    fn not_sent(&mut self) {
        self.unsure = self.unsure.saturating_sub(1).max(0);
    }

    fn used(&self) -> i64 {
        let here = self.untold.saturating_add(self.in_flight).saturating_add(self.unsure);
        self.heard.saturating_add(here)
    }
}

/// A request whose count is in progress, until it is decided or its call is dropped.
struct Undecided<'a> {
    spending: &'a Arc<Spending>,
    place: &'a Arc<Place>,
    window: Window,
    shared: &'a Decision,
    answered: oneshot::Receiver<Heard>,
    decided: bool,
}

impl Undecided<'_> {
    fn end(&self, state: &mut State) {
        let counts = self.shared.is_undecided.swap(false, Ordering::Relaxed);
        if counts && state.window == Some(self.window) {
            state.undecided = state.undecided.saturating_sub(1);
        }
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        let mut state = self.spending.state();
        self.end(&mut state);
        if self.decided {
            return;
        }
        // The call was dropped: no request is sent. A later response corrects itself.
        self.answered.close();
        match self.answered.try_recv() {
            Ok(Heard::Sum(_, true)) => {
                drop(state);
                self.spending.give_back(self.place, Spent(self.window));
            }
            Ok(Heard::Nothing { counted: true }) if state.window == Some(self.window) => {
                state.not_sent();
            }
            _ => {}
        }
    }
}

/// One counted request, which is given back when this is dropped.
#[must_use = "the request is given back when this is dropped"]
pub(super) struct Taken {
    spending: Arc<Spending>,
    place: Arc<Place>,
    spent: Option<Spent>,
}

impl Taken {
    /// Keeps the request counted.
    pub(super) fn keep(mut self) -> Option<Spent> {
        self.spent.take()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(spent) = self.spent.take() {
            self.spending.give_back(&self.place, spent);
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut state = self.spending.state();
        if self.amount != 0 && state.window == Some(self.window) {
            state.in_flight = state.in_flight.saturating_sub(self.amount);
            state.doubt(self.amount);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
