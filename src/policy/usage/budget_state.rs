//! The spent part of a budget, counted before a request is sent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::budget::Budget;
use super::period::CalendarWindow;
use super::storage::{SumOutcome, UsageStorage};
use crate::error::{Error, ErrorKind};
use crate::meter;
use crate::runtime::PerRuntime;
use crate::store::{StoreResult, StoreWaitBudget};

mod question;

use question::{Decision, StoreReply, StoreRequest};

/// One budget of one identity, or of all.
///
/// While the store is available, it alone decides. Counts that could not be sent to it are sent with the next request.
/// Counts that were sent without a response are never sent again, since the store can have recorded them: the client
/// counts them until the store responds. So no request is counted twice, and none is given back twice.
pub(super) struct BudgetCounter {
    pub(super) budget: Budget,
    /// The prefix of its keys.
    prefix: String,
    /// The labels of metrics for the budget and the identity.
    labels: [&'static str; 2],
    state: Mutex<State>,
    /// Held while pending counts are sent to the store. A caller does not wait for a task of another runtime, which
    /// might not be polled: the counts of that task are in flight, and no other task sends them again.
    flush_lock: PerRuntime<Arc<AsyncMutex<()>>>,
}

/// The known state of one window.
#[derive(Default)]
struct State {
    window: Option<CalendarWindow>,
    /// The last sum from the store, and its time.
    store_total: i64,
    total_at: Option<Instant>,
    /// The pending count, which was not sent to the store; negative for requests that are given back.
    pending: i64,
    /// The count that is being sent, and the count that was sent without a response since the store last responded.
    in_flight: i64,
    unconfirmed: i64,
    /// The requests among those in flight that no call has decided about.
    undecided: i64,
    /// Whether the store did not respond to the last count.
    store_unresponsive: bool,
    has_warned: bool,
}

/// One counted request, which can be given back if it does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BudgetReservation(CalendarWindow);

impl BudgetReservation {
    /// Returns whether the window that it was counted in has not ended.
    pub(super) fn is_current(self, budget: &Budget, now: SystemTime) -> bool {
        budget.period.at(now) == self.0
    }
}

/// A count that is being sent to the store. If the task that sends it is dropped, it is unknown whether the store
/// received it.
struct SpendGuard<'a> {
    spending: &'a BudgetCounter,
    window: CalendarWindow,
    amount: i64,
}

/// An unreadable sum is replaced by the limit plus this number, so that requests in flight that are given back leave
/// the budget closed.
const LOST_TOTAL_MARGIN: i64 = 100_000;
/// The coarsest precision of times in file systems is 2 s.
const LOSS_TIME_PRECISION: Duration = Duration::from_secs(2);
/// The time after which a spent budget is read again.
const EXHAUSTED_RECHECK_INTERVAL: Duration = Duration::from_secs(1);

impl BudgetCounter {
    pub(super) fn new(budget: Budget, prefix: String, identity: &'static str) -> Self {
        let labels = [meter::budget_name(&budget.name), identity];
        let (state, flush_lock) = (Mutex::default(), PerRuntime::default());
        Self { budget, prefix, labels, state, flush_lock }
    }

    /// Returns an error if the budget is known to be spent for this operation, without a request to the store.
    pub(super) fn check(&self, operation: &str, now: SystemTime) -> Result<(), Error> {
        let Some(hard) = self.hard_limit_for(operation) else { return Ok(()) };
        let window = self.budget.period.at(now);
        let state = self.state();
        let asked = state.total_at.is_some_and(|at| at.elapsed() < EXHAUSTED_RECHECK_INTERVAL);
        match state.window == Some(window) && asked && state.store_total >= hard {
            true => Err(self.exhausted_error(window, now)),
            false => Ok(()),
        }
    }

    /// Returns whether the budget is spent, as far as this process knows.
    pub(super) fn is_exhausted(&self, now: SystemTime) -> bool {
        let state = self.state();
        let hard = self.budget.hard_limit.map(signed);
        state.window == Some(self.budget.period.at(now))
            && hard.is_some_and(|it| state.used() >= it)
    }

    /// Counts one request, and gives it back unless it is kept.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        storage: &Arc<UsageStorage>,
        operation: &str,
        now: SystemTime,
        allowance: &StoreWaitBudget,
    ) -> Result<ReservationGuard, Error> {
        let spent = self.try_consume(storage, operation, now, allowance).await?;
        Ok(ReservationGuard {
            spending: Arc::clone(self),
            storage: Arc::clone(storage),
            reservation: Some(spent),
        })
    }

    /// Counts one request: in the store if it responds while the call can wait for it, else by the state that is known
    /// here, which is sent to the store later.
    pub(super) async fn try_consume(
        self: &Arc<Self>,
        storage: &Arc<UsageStorage>,
        operation: &str,
        now: SystemTime,
        allowance: &StoreWaitBudget,
    ) -> Result<BudgetReservation, Error> {
        self.check(operation, now)?;
        let (window, hard) = (self.budget.period.at(now), self.hard_limit_for(operation));
        let (response, responded) = oneshot::channel();
        let shared = Arc::new(Decision::default());
        let question = StoreRequest {
            spending: Arc::clone(self),
            storage: Arc::clone(storage),
            window,
            hard_limit: hard,
            now,
            shared: Arc::clone(&shared),
        };
        storage.tasks.spawn(question.run(response));
        let mut undecided = PendingDecision {
            spending: self,
            storage,
            window,
            shared: &shared,
            responded,
            decided: false,
        };
        let reply = match undecided.responded.try_recv() {
            Ok(reply) => Ok(reply),
            Err(oneshot::error::TryRecvError::Closed) => Ok(StoreReply::None { counted: false }),
            Err(oneshot::error::TryRecvError::Empty) => {
                let _wait = allowance.begin();
                match timeout(allowance.remaining(), &mut undecided.responded).await {
                    // Its task has ended, and the count that it sent is unsure.
                    Ok(reply) => Ok(reply.unwrap_or(StoreReply::None {
                        counted: shared.is_in_flight.load(Ordering::Relaxed),
                    })),
                    Err(late) => Err(late),
                }
            }
        };
        let mut state = self.state();
        let reply = reply.or_else(|late| {
            undecided.responded.close();
            // The response can have arrived at this moment.
            undecided.responded.try_recv().map_err(|_| late)
        });
        undecided.decided = true;
        match reply {
            Ok(StoreReply::Total(_, true)) => Ok(BudgetReservation(window)),
            Ok(StoreReply::Total(_, false)) => {
                drop(state);
                Err(self.exhausted_error(window, now))
            }
            Ok(StoreReply::None { counted }) => {
                undecided.end(&mut state);
                let used = self.decide(&mut state, window, counted, hard, now);
                if counted && used.is_err() && state.window == Some(window) {
                    state.not_sent();
                }
                drop(state);
                used.map(|used| self.record_metric(used))?;
                Ok(BudgetReservation(window))
            }
            Err(_) => {
                let counted = shared.is_in_flight.load(Ordering::Relaxed);
                undecided.end(&mut state);
                let used = self.decide(&mut state, window, counted, hard, now);
                shared.was_sent.store(used.is_ok(), Ordering::Relaxed);
                drop(state);
                used.map(|used| self.record_metric(used))?;
                Ok(BudgetReservation(window))
            }
        }
    }

    /// Decides about a request without the store. `counted` says whether it is counted here already. Returns the number
    /// of used requests after it.
    fn decide(
        &self,
        state: &mut State,
        window: CalendarWindow,
        counted: bool,
        hard: Option<i64>,
        now: SystemTime,
    ) -> Result<i64, Error> {
        // Other undecided requests come after this one.
        let used = state.used().saturating_sub(state.undecided);
        let used = used.saturating_add(i64::from(!counted));
        if self.budget.fail_closed && hard.is_some() {
            return Err(self.unavailable_error());
        }
        if hard.is_some_and(|hard| used > hard) {
            return Err(self.exhausted_error(window, now));
        }
        if state.window == Some(window) && !counted {
            state.pending = state.pending.saturating_add(1);
        }
        Ok(used)
    }

    /// Counts one request and the owed amount in the store. A sum that cannot be read is repaired before; if that
    /// fails, no request is counted.
    async fn count_in_store(
        &self,
        storage: &UsageStorage,
        window: CalendarWindow,
        owed: i64,
        most: i64,
    ) -> StoreResult<(i64, bool)> {
        let (key, kept) = (self.key(window), window.period.retention());
        let SumOutcome { result: ran, lost_at } = storage.try_consume(&key, owed, most, kept).await;
        match ran {
            StoreResult::Unreadable if self.repair_total(storage, window, lost_at).await => {
                storage.try_consume(&key, owed, most, kept).await.result
            }
            ran => ran,
        }
    }

    /// Reads the sum, and repairs it if it cannot be read.
    async fn fetch_total(
        &self,
        storage: &UsageStorage,
        window: CalendarWindow,
    ) -> StoreResult<i64> {
        let (key, kept) = (self.key(window), window.period.retention());
        let SumOutcome { result: ran, lost_at } = storage.budget_total(&key, kept).await;
        match ran {
            StoreResult::Unreadable if self.repair_total(storage, window, lost_at).await => {
                storage.budget_total(&key, kept).await.result
            }
            ran => ran,
        }
    }

    /// Adds an amount unconditionally, and repairs a sum that cannot be read.
    async fn increment(
        &self,
        storage: &UsageStorage,
        window: CalendarWindow,
        amount: i64,
    ) -> StoreResult<i64> {
        let (key, kept) = (self.key(window), window.period.retention());
        let SumOutcome { result: ran, lost_at } = storage.increment(&key, amount, kept).await;
        match ran {
            StoreResult::Unreadable if self.repair_total(storage, window, lost_at).await => {
                storage.increment(&key, amount, kept).await.result
            }
            ran => ran,
        }
    }

    /// Replaces a sum that the store cannot read by the state that this client knows: the last sum, and the counts
    /// since that the store can have recorded. Other clients can have spent more, so that a strict budget with a limit
    /// is closed until its window ends. If the store can have lost the sum only before the window began, there was
    /// none. Returns whether the store has a sum again.
    async fn repair_total(
        &self,
        storage: &UsageStorage,
        window: CalendarWindow,
        lost_at: Option<SystemTime>,
    ) -> bool {
        let lost_before = lost_at.and_then(|at| at.checked_add(LOSS_TIME_PRECISION));
        let is_complete = lost_before.is_some_and(|at| at <= SystemTime::from(window.start));
        let closed = self.budget.hard_limit.filter(|_| self.budget.fail_closed && !is_complete);
        let closed = closed.map(|hard| signed(hard).saturating_add(LOST_TOTAL_MARGIN));
        let known = {
            let state = self.state();
            let current = state.window == Some(window);
            if current { state.store_total.saturating_add(state.unconfirmed).max(0) } else { 0 }
        };
        let at_least = known.max(closed.unwrap_or_default());
        let ran =
            storage.repair_total(&self.key(window), at_least, window.period.retention()).await;
        let is_repaired = matches!(ran, StoreResult::Done(_));
        if closed.is_some() && is_repaired {
            let (budget, ends) = (&self.budget.name, window.end);
            warn!(budget, %ends, "strict budget blocked until its window ends: its counter is unreadable");
        }
        is_repaired
    }

    /// Returns whether the store responds, if it did not respond before and counts are pending: they are sent only if
    /// it responds, since it would otherwise be unknown whether the store recorded them.
    async fn probe_store(&self, storage: &UsageStorage, window: CalendarWindow) -> bool {
        {
            let mut state = self.state();
            state.enter_window(window);
            if !state.store_unresponsive || state.pending == 0 {
                return true;
            }
        }
        let StoreResult::Done(sum) = self.fetch_total(storage, window).await else {
            return false;
        };
        let mut state = self.state();
        if state.window == Some(window) {
            state.apply_total(sum);
        }
        true
    }

    /// Gives back one request that does not count. The store is updated in the background.
    pub(super) fn release(
        self: &Arc<Self>,
        storage: &Arc<UsageStorage>,
        BudgetReservation(window): BudgetReservation,
    ) {
        let is_current = {
            let mut state = self.state();
            let is_current = state.window == Some(window);
            if is_current {
                state.pending = state.pending.saturating_sub(1);
            }
            is_current
        };
        if is_current {
            return self.flush_in_background(storage);
        }
        let (spending, to) = (Arc::clone(self), Arc::clone(storage));
        storage.tasks.spawn(async move {
            spending.increment(&to, window, -1).await;
        });
    }

    /// Sends the pending count in the background. If another task does so, that task sends all of it.
    fn flush_in_background(self: &Arc<Self>, storage: &Arc<UsageStorage>) {
        let (spending, to) = (Arc::clone(self), Arc::clone(storage));
        storage.tasks.spawn(async move {
            let lock = spending.flush_lock();
            loop {
                let Ok(guard) = lock.try_lock() else { return };
                let is_flushed = spending.flush_pending(&to).await;
                drop(guard);
                // Another task can have found the lock held after the last check.
                if !is_flushed || spending.state().pending == 0 {
                    return;
                }
            }
        });
    }

    /// Sends the pending count. Returns whether no count is left.
    pub(super) async fn flush(&self, storage: &UsageStorage) -> bool {
        let lock = self.flush_lock();
        loop {
            let guard = lock.lock().await;
            let is_flushed = self.flush_pending(storage).await;
            drop(guard);
            // Another task can have found the lock held after the last check.
            if !is_flushed || self.state().pending == 0 {
                return is_flushed;
            }
        }
    }

    /// Returns whether requests were sent to the store without a response, and it has not responded since.
    pub(super) fn has_unconfirmed(&self) -> bool {
        self.state().unconfirmed != 0
    }

    /// Returns the lock of the caller's runtime.
    fn flush_lock(&self) -> Arc<AsyncMutex<()>> {
        self.flush_lock.get_or_make(|_, _| Arc::default())
    }

    async fn flush_pending(&self, storage: &UsageStorage) -> bool {
        loop {
            let window = {
                let state = self.state();
                match state.window.filter(|_| state.pending != 0) {
                    Some(window) => window,
                    None => return true,
                }
            };
            if !self.probe_store(storage, window).await {
                return false;
            }
            let amount = {
                let mut state = self.state();
                if state.window != Some(window) {
                    continue;
                }
                let amount = std::mem::take(&mut state.pending);
                state.in_flight = state.in_flight.saturating_add(amount);
                amount
            };
            let mut guard = SpendGuard { spending: self, window, amount };
            let ran = self.increment(storage, window, amount).await;
            guard.amount = 0;
            let mut state = self.state();
            if state.window != Some(window) {
                continue;
            }
            state.in_flight = state.in_flight.saturating_sub(amount);
            match ran {
                StoreResult::Done(sum) => {
                    state.apply_total(sum);
                    drop(state);
                    self.record_metric(sum);
                }
                StoreResult::NotAttempted | StoreResult::Unreadable => {
                    state.store_unresponsive = true;
                    state.pending = state.pending.saturating_add(amount);
                    return false;
                }
                StoreResult::Indeterminate => {
                    state.store_unresponsive = true;
                    state.mark_unconfirmed(amount);
                    return false;
                }
            }
        }
    }

    /// Returns the spent number in this window, the time of the first request, and whether both were read from the
    /// store.
    pub(super) async fn used(
        &self,
        storage: &UsageStorage,
        window: CalendarWindow,
    ) -> (u64, Option<SystemTime>, bool) {
        let update = storage.total(&self.key(window)).await;
        let first = storage.first_use(&self.first_key(window)).await;
        let state = self.state();
        let local = (state.window == Some(window)).then(|| {
            let reply = update.unwrap_or(state.store_total);
            state.used().saturating_sub(state.store_total).saturating_add(reply)
        });
        let used = local.or(update).unwrap_or_default();
        (u64::try_from(used).unwrap_or_default(), first, update.is_some())
    }

    /// Returns the limit at which requests of an operation are rejected.
    fn hard_limit_for(&self, operation: &str) -> Option<i64> {
        let exempt = self.budget.exempt_operations.iter().any(|exempt| exempt == operation);
        self.budget.hard_limit.filter(|_| !exempt).map(signed)
    }

    fn record_metric(&self, used: i64) {
        let limit = self.budget.hard_limit.or(self.budget.soft_limit);
        meter::budget(self.labels, used.max(0) as f64, limit);
    }

    /// Logs a warning once in a window, by the first of the clients that share the store.
    async fn warn_once(&self, storage: &UsageStorage, window: CalendarWindow, used: i64) {
        let Budget { name, period, soft_limit: soft, hard_limit: hard, .. } = &self.budget;
        if soft.is_none_or(|soft| used < signed(soft)) {
            return;
        }
        if std::mem::replace(&mut self.state().has_warned, true) {
            return;
        }
        let key = format!("{}:warned", self.key(window));
        if storage.put_if_absent(&key, window.period.retention()).await {
            warn!(budget = name, used, hard, %period, ends = %window.end, "budget soft limit reached");
        }
    }

    fn exhausted_error(&self, window: CalendarWindow, now: SystemTime) -> Error {
        meter::budget_rejected(self.labels[0]);
        let Budget { name, period, hard_limit: hard, .. } = &self.budget;
        let hard = hard.unwrap_or_default();
        let message = format!("budget {name:?} exhausted: {hard} requests per {period}");
        Error::new(ErrorKind::BudgetExhausted, message)
            .with_advice(format!(
                "a new {period} starts at {}; until then raise the budget, or exempt required operations",
                window.end.format("%Y-%m-%dT%H:%M:%SZ")
            ))
            .with_retry_after(window.remaining(now))
    }

    fn unavailable_error(&self) -> Error {
        meter::budget_rejected(self.labels[0]);
        let message =
            format!("remaining budget {:?} is unknown: store unavailable", self.budget.name);
        Error::new(ErrorKind::BudgetExhausted, message)
            .with_advice("check the store, or build the budget without fail_closed()")
            .with_retryable(true)
    }

    fn key(&self, window: CalendarWindow) -> String {
        format!("{}:{window}", self.prefix)
    }

    fn first_key(&self, window: CalendarWindow) -> String {
        format!("{}:first", self.key(window))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Resets the state for another window.
    fn enter_window(&mut self, window: CalendarWindow) {
        if self.window != Some(window) {
            *self = Self { window: Some(window), ..Self::default() };
        }
    }

    /// Records a sum from the store, which includes all counts that it received.
    fn apply_total(&mut self, sum: i64) {
        (self.store_total, self.total_at, self.unconfirmed, self.store_unresponsive) =
            (sum, Some(Instant::now()), 0, false);
    }

    /// Records a count that was sent without a response. The store can have added it, and might not have subtracted
    /// requests that were given back.
    fn mark_unconfirmed(&mut self, amount: i64) {
        self.unconfirmed = self.unconfirmed.saturating_add(amount.max(0));
    }

    /// Records that one of those requests is not sent.
    fn not_sent(&mut self) {
        self.unconfirmed = self.unconfirmed.saturating_sub(1).max(0);
    }

    fn used(&self) -> i64 {
        let here = self.pending.saturating_add(self.in_flight).saturating_add(self.unconfirmed);
        self.store_total.saturating_add(here)
    }
}

/// A request whose count is in progress, until it is decided or its call is dropped.
struct PendingDecision<'a> {
    spending: &'a Arc<BudgetCounter>,
    storage: &'a Arc<UsageStorage>,
    window: CalendarWindow,
    shared: &'a Decision,
    responded: oneshot::Receiver<StoreReply>,
    decided: bool,
}

impl PendingDecision<'_> {
    fn end(&self, state: &mut State) {
        let counts = self.shared.is_undecided.swap(false, Ordering::Relaxed);
        if counts && state.window == Some(self.window) {
            state.undecided = state.undecided.saturating_sub(1);
        }
    }
}

impl Drop for PendingDecision<'_> {
    fn drop(&mut self) {
        let mut state = self.spending.state();
        self.end(&mut state);
        if self.decided {
            return;
        }
        // The call was dropped: no request is sent. A later response corrects itself.
        self.responded.close();
        match self.responded.try_recv() {
            Ok(StoreReply::Total(_, true)) => {
                drop(state);
                self.spending.release(self.storage, BudgetReservation(self.window));
            }
            Ok(StoreReply::None { counted: true }) if state.window == Some(self.window) => {
                state.not_sent();
            }
            _ => {}
        }
    }
}

/// One counted request, which is given back when this is dropped.
#[must_use = "the request is given back when this is dropped"]
pub(super) struct ReservationGuard {
    spending: Arc<BudgetCounter>,
    storage: Arc<UsageStorage>,
    reservation: Option<BudgetReservation>,
}

impl ReservationGuard {
    /// Keeps the request counted.
    pub(super) fn commit(mut self) -> Option<BudgetReservation> {
        self.reservation.take()
    }
}

impl Drop for ReservationGuard {
    fn drop(&mut self) {
        if let Some(spent) = self.reservation.take() {
            self.spending.release(&self.storage, spent);
        }
    }
}

impl Drop for SpendGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.spending.state();
        if self.amount != 0 && state.window == Some(self.window) {
            state.in_flight = state.in_flight.saturating_sub(self.amount);
            state.mark_unconfirmed(self.amount);
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
