//! Admission queue of one identity: attempts that exceed a limit wait here in order of priority.
//!
//! Calls of the same priority wait in the order of their arrival. No call overtakes one that waits for the same limit,
//! and no call waits for a limit that concerns only others. While a call waits, a timer task of the queue admits the
//! calls: the caller of a waiting call can stop polling it, which must not delay the others.
//!
//! A call that holds a permit might not be polled either. If a call waits for a permit that only the end of another
//! call returns, the queue detaches every call that holds a permit: a separate task runs it to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::batch_slots::{BatchSlot, BatchWait, FreeSlot, ParkedCall, QueueSlot, SlotGrant};
use super::cost::RequestCost;
use super::health::{PrimaryLimitHealth, RateLimitHealth};
use super::limits::{AttemptOutcome, IdentityLimits, LimitExceeded, LimitKind, Reservation};
use super::permit_holders::{CallHandle, HolderKey, PermitHolders};
use super::policy::{LimitAction, RateLimitPolicy};
use super::secondary::BackoffState;
use super::shared::lease_client::NextLease;
use super::shared::lease_state::SharedQuota;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::context::Priority;
use crate::runtime::detachable::DetachHandle;
use crate::store::{QuotaRequest, ResilientStore, StoreWaitBudget};

mod driver;
mod permit;
mod waiting;

use driver::{LatestTimer, TimerTask, run_timer};
pub(crate) use permit::Permit;
use waiting::QueuedCall;

/// How long a call can wait for limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitBudget {
    /// The longest wait that the call itself allows.
    pub(crate) max: Duration,
    /// How long it has waited already.
    pub(crate) spent: Duration,
}

impl WaitBudget {
    pub(crate) const fn new(max: Duration) -> Self {
        Self { max, spent: Duration::ZERO }
    }
}

#[derive(Debug)]
pub(crate) struct AdmissionQueue {
    policy: Arc<RateLimitPolicy>,
    state: Mutex<State>,
    /// The store that shares the limits with other clients, and the key of their ledger.
    shared: Option<Box<(Arc<ResilientStore>, String)>>,
    /// Notifies the timer task of a change.
    wake: Notify,
}

#[derive(Debug)]
struct State {
    limits: IdentityLimits,
    queue: BTreeMap<QueuePosition, Waiter>,
    /// The places that the last scan of the queue skipped: those calls lack only a slot of their batch.
    skipped: BTreeSet<QueuePosition>,
    next_ticket: u64,
    /// The limits that the calls in the queue wait for.
    blocks: Vec<LimitExceeded>,
    /// Whether the timer task runs.
    timer_running: bool,
    /// The latest timer task.
    latest_timer: LatestTimer,
    holders: PermitHolders,
    /// The cost of an announced call, before the first lease.
    announced_call: Option<Box<RequestCost>>,
    /// The time of the last response from the store: the waiting time of calls counts from then on.
    last_store_response: Instant,
    /// The earliest time at which a call has no time left for the store.
    next_store_deadline: Option<Instant>,
    /// Whether all queued calls are known to wait for a response of the store, and whether some of them have no time
    /// left for it.
    all_waiting_for_store: bool,
    some_past_deadline: bool,
    /// The number of scans of the queue, and the last one that ended before the end of the queue, at a limit that
    /// blocks all calls.
    admission_rounds: u64,
    last_round_end: u64,
    /// The number of calls that scans have examined.
    #[cfg(test)]
    steps: u64,
}

/// A position in the queue; lower positions are admitted first.
type QueuePosition = (Priority, u64);

#[derive(Debug)]
struct Waiter {
    cost: RequestCost,
    reservation: oneshot::Sender<Permit>,
    wake: Arc<Notify>,
    call: CallHandle,
    batch_slot: Option<QueueSlot>,
    skipped: SkippedTime,
    /// Since when it waits for a response of the store.
    waiting_for_store_since: Option<Instant>,
    /// The last scan that has examined it.
    last_round: u64,
}

/// The time in which a queued call waits only for a slot of its batch, which `LimitAction` does not bound.
#[derive(Debug, Default)]
struct SkippedTime {
    since: Option<Instant>,
    total_before: Duration,
}

impl SkippedTime {
    fn start(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.total_before = self.total(now);
        self.since = None;
    }

    fn total(&self, now: Instant) -> Duration {
        let current = self.since.map(|since| now.saturating_duration_since(since));
        self.total_before + current.unwrap_or_default()
    }
}

/// The admission of a call, or its wait for it.
#[expect(
    clippy::large_enum_variant,
    reason = "most calls have the large one: a box would cost them time"
)]
pub(crate) enum Admission<'a> {
    Admitted(Permit),
    /// In a box, since most calls do not wait.
    Waiting(BoxFuture<'a, Result<Permit>>),
}

/// A call that requests admission.
struct AdmissionRequest<'a> {
    cost: RequestCost,
    priority: Priority,
    wait_budget: WaitBudget,
    call: &'a CallHandle,
}

/// The immediate outcome of a request for admission.
enum EnterOutcome<'a> {
    Admitted(Permit),
    Queued(QueuedCall),
    /// Enough calls of its batch are in the queue: it waits for the place of one of them.
    Parked(ParkedCall, AdmissionRequest<'a>),
}

/// The state of a call of a batch while it waits for the admission queue.
#[derive(Default)]
struct BatchPosition {
    wait: Option<BatchWait>,
    queue_slot: Option<QueueSlot>,
}

impl Waiter {
    /// Returns when it has no time left for the store if the store does not respond before.
    fn store_deadline(&mut self, now: Instant, last_response: Instant) -> Option<Instant> {
        self.waiting_for_store_since.get_or_insert(now);
        self.own_store_deadline(last_response)
    }

    /// Returns the same time for a call that examines the queue itself; `None` if it does not wait for the store.
    fn own_store_deadline(&self, last_response: Instant) -> Option<Instant> {
        let since = self.waiting_for_store_since?.max(last_response);
        self.call.store_wait.as_ref().map(|budget| budget.expires_at(since))
    }

    /// Charges the admitted call for its wait for the store, up to the last response.
    fn charge(&self, now: Instant, last_response: Instant) {
        if let (Some(since), Some(budget)) = (self.waiting_for_store_since, &self.call.store_wait) {
            budget.charge(since.max(last_response), now);
        }
    }
}

/// The actions that follow a scan of the queue, after its lock is released.
#[derive(Default)]
#[must_use = "permits are handed over by `run`"]
struct PostAdmission {
    granted: Vec<(oneshot::Sender<Permit>, Permit)>,
    detached: Vec<DetachHandle>,
    queue_slots: Vec<QueueSlot>,
    slots: Vec<FreeSlot>,
}

impl PostAdmission {
    fn run(self) {
        for (waiter, permit) in self.granted {
            // If the call has ended meanwhile, the permit is dropped and returns its place.
            let _ = waiter.send(permit);
        }
        self.detached.iter().for_each(DetachHandle::detach);
        drop(self.queue_slots);
        self.slots.into_iter().for_each(FreeSlot::offer);
    }
}

impl AdmissionQueue {
    pub(crate) fn new(policy: Arc<RateLimitPolicy>) -> Arc<Self> {
        let limits = IdentityLimits::new(&policy);
        Self::with(policy, limits, None)
    }

    /// Creates the admission queue of an identity that shares its limits with other clients, by the ledger of this key.
    /// `member` is the name of this client among them.
    pub(crate) fn with_shared_quota(
        policy: Arc<RateLimitPolicy>,
        guard: Arc<ResilientStore>,
        key: String,
        member: String,
    ) -> Arc<Self> {
        let mut limits = IdentityLimits::new(&policy);
        limits.shared = Some(Box::new(SharedQuota::new(member, Instant::now(), guard.timeout())));
        Self::with(policy, limits, Some(Box::new((guard, key))))
    }

    fn with(
        policy: Arc<RateLimitPolicy>,
        limits: IdentityLimits,
        shared: Option<Box<(Arc<ResilientStore>, String)>>,
    ) -> Arc<Self> {
        let state = State {
            limits,
            queue: BTreeMap::new(),
            skipped: BTreeSet::new(),
            next_ticket: 0,
            blocks: Vec::new(),
            timer_running: false,
            latest_timer: LatestTimer::default(),
            holders: PermitHolders::default(),
            announced_call: None,
            last_store_response: Instant::now(),
            next_store_deadline: None,
            all_waiting_for_store: false,
            some_past_deadline: false,
            admission_rounds: 0,
            last_round_end: 0,
            #[cfg(test)]
            steps: 0,
        };
        Arc::new(Self { policy, state: Mutex::new(state), shared, wake: Notify::new() })
    }

    /// Admits a call, now or in its turn.
    #[cfg(any(test, feature = "__bench"))]
    pub(crate) async fn admit(
        self: &Arc<Self>,
        cost: RequestCost,
        priority: Priority,
        wait_budget: WaitBudget,
        call: &CallHandle,
    ) -> Result<Permit> {
        match self.admit_at(Instant::now(), cost, priority, wait_budget, call)? {
            Admission::Admitted(permit) => Ok(permit),
            Admission::Waiting(turn) => turn.await,
        }
    }

    /// Admits a call that arrives at `started_at`, then or in its turn.
    ///
    /// # Errors
    /// If it would wait longer than it can, or the queue is full.
    pub(crate) fn admit_at<'a>(
        self: &Arc<Self>,
        started_at: Instant,
        cost: RequestCost,
        priority: Priority,
        wait_budget: WaitBudget,
        call: &'a CallHandle,
    ) -> Result<Admission<'a>> {
        let mut position = BatchPosition::default();
        let request = AdmissionRequest { cost, priority, wait_budget, call };
        match self.enter(started_at, request, &mut position)? {
            EnterOutcome::Admitted(permit) => Ok(Admission::Admitted(permit)),
            outcome => {
                let turn = Arc::clone(self).turn(started_at, outcome, position);
                Ok(Admission::Waiting(Box::pin(turn)))
            }
        }
    }

    /// Waits until a call is admitted that was not admitted when it arrived.
    async fn turn(
        self: Arc<Self>,
        started_at: Instant,
        mut outcome: EnterOutcome<'_>,
        mut position: BatchPosition,
    ) -> Result<Permit> {
        let (mut now, mut parked) = (started_at, Duration::ZERO);
        loop {
            match outcome {
                EnterOutcome::Admitted(mut permit) => {
                    permit.waited = now.saturating_duration_since(started_at);
                    permit.parked = parked;
                    return Ok(permit);
                }
                EnterOutcome::Queued(waiting) => {
                    let mut permit = waiting.wait(now).await?;
                    permit.waited = started_at.elapsed();
                    permit.parked += parked;
                    return Ok(permit);
                }
                EnterOutcome::Parked(parking, request) => {
                    position.queue_slot = parking.wait().await;
                    let until = Instant::now();
                    parked += until.saturating_duration_since(now);
                    now = until;
                    outcome = self.enter(now, request, &mut position)?;
                }
            }
        }
    }

    /// Admits a call, or else queues it.
    fn enter<'a>(
        self: &Arc<Self>,
        now: Instant,
        asked: AdmissionRequest<'a>,
        line: &mut BatchPosition,
    ) -> Result<EnterOutcome<'a>> {
        let mut then = PostAdmission::default();
        let entered = {
            let mut state = self.state();
            if state.is_due(now) {
                state.admit_ready(now, self, &mut then);
            }
            self.enter_locked(&mut state, now, asked, line, &mut then)
        };
        then.run();
        entered
    }

    fn enter_locked<'a>(
        self: &Arc<Self>,
        state: &mut State,
        now: Instant,
        asked: AdmissionRequest<'a>,
        line: &mut BatchPosition,
        then: &mut PostAdmission,
    ) -> Result<EnterOutcome<'a>> {
        let cost = &asked.cost;
        let outranks = state.is_highest_priority(asked.priority);
        let mut looked = match state.blocking_limit(cost).filter(|_| !outranks) {
            Some(blocked) => Err((blocked, false)),
            None => state.limits.check(now, cost, &self.policy).map_err(|blocked| (blocked, true)),
        };
        // A call that has no time left for the store does not wait for it, nor for an unavailable store.
        let expired = |wait: &StoreWaitBudget| wait.remaining().is_zero() || self.is_store_down();
        let alone = looked.as_ref().is_err_and(|(blocked, _)| blocked.is_awaiting_store())
            && asked.call.store_wait.as_ref().is_some_and(expired)
            && state.limits.check_offline(now, cost, &self.policy).is_ok();
        if alone {
            looked = Ok(());
        }
        let turn = looked.map(|()| self.try_slot(asked.call));
        let mut is_skipped = false;
        let (blocked, is_new) = match turn.map(SlotGrant::into_slot) {
            Ok(Some(slot)) => {
                let reservation = state.limits.reserve(now, cost, &self.policy, alone);
                // The task returns the rest of leases, checks whether the store is available again, and reports the
                // spending in advance.
                if self.shared.is_some() && (alone || !state.timer_running) {
                    self.ensure_timer(state);
                }
                let permit = self.permit(state, asked.cost, reservation, asked.call, slot);
                state.detach_if_needed(then);
                return Ok(EnterOutcome::Admitted(permit));
            }
            // Its batch has reached its bound. That does not concern other calls.
            Ok(None) => {
                is_skipped = true;
                (NO_SLOT, false)
            }
            Err(blocked) => blocked,
        };
        if let Some(error) = self.reject(&blocked, now, asked.wait_budget) {
            return Err(error);
        }
        // A call with its own time limit does not wait for other calls of its batch.
        let slot = asked.call.slot.as_ref().filter(|slot| !slot.is_detached());
        if let Some(slot) = slot.filter(|_| asked.wait_budget.max == Duration::MAX) {
            if line.wait.is_none() {
                let (wait, free) = slot.wait();
                line.wait = Some(wait);
                then.slots.push(free);
            }
            if line.queue_slot.is_none() {
                match slot.enter_queue(self) {
                    Ok(place) => line.queue_slot = Some(place),
                    Err(parking) => return Ok(EnterOutcome::Parked(parking, asked)),
                }
            }
        }
        if !self.evict_lower_priority(state, asked.priority, then) {
            return Err(queue_full_error(&blocked, self.policy.max_queued, now));
        }
        let wait = blocked.until.map(|until| until.saturating_duration_since(now));
        debug!(limit = %blocked.limit, ?wait, "call queued by a rate limit");
        let waiting_since = blocked.is_awaiting_store().then_some(now);
        if is_new {
            state.blocks.push(blocked);
        }
        let waiting = self.enqueue(state, asked, line.queue_slot.take(), waiting_since);
        if is_skipped {
            state.skip(now, waiting.position);
        }
        state.detach_if_needed(then);
        Ok(EnterOutcome::Queued(waiting))
    }

    /// Takes a slot of the call's batch, if it belongs to one and has none.
    fn try_slot(self: &Arc<Self>, call: &CallHandle) -> SlotGrant {
        call.slot.as_ref().map_or(SlotGrant::Unbatched, |slot| slot.try_send(self))
    }

    /// Returns the error of a call that fails rather than waits for this limit.
    fn reject(
        &self,
        blocked: &LimitExceeded,
        now: Instant,
        wait_budget: WaitBudget,
    ) -> Option<Error> {
        let wait = blocked.until.map(|until| until.saturating_duration_since(now));
        wait.is_some_and(|wait| wait > self.max_wait(wait_budget))
            .then(|| wait_exceeded_error(blocked, now))
    }

    /// Returns whether there is a place in the queue. If the queue is full, a less urgent call is removed.
    fn evict_lower_priority(
        &self,
        state: &mut State,
        priority: Priority,
        then: &mut PostAdmission,
    ) -> bool {
        if state.queue.len() < self.policy.max_queued {
            return true;
        }
        let last = state.queue.last_entry().filter(|last| last.key().0 > priority);
        let Some(last) = last else { return false };
        let (place, waiter) = last.remove_entry();
        state.skipped.remove(&place);
        // The call detects the removal when its sender is dropped.
        then.queue_slots.extend(waiter.batch_slot);
        true
    }

    fn max_wait(&self, wait_budget: WaitBudget) -> Duration {
        self.policy_max_wait(wait_budget).min(wait_budget.max)
    }

    /// Returns the longest wait for limits that the policy still allows.
    fn policy_max_wait(&self, wait_budget: WaitBudget) -> Duration {
        let policy = match self.policy.on_limit {
            LimitAction::Wait { max } => max,
            LimitAction::FailFast => FAIL_FAST_WAIT,
        };
        policy.saturating_sub(wait_budget.spent)
    }

    fn enqueue(
        self: &Arc<Self>,
        state: &mut State,
        asked: AdmissionRequest<'_>,
        batch_place: Option<QueueSlot>,
        waiting_since: Option<Instant>,
    ) -> QueuedCall {
        let place = (asked.priority, state.next_ticket);
        state.next_ticket += 1;
        let (reservation, granted) = oneshot::channel();
        let wake = Arc::new(Notify::new());
        let waiter = Waiter {
            cost: asked.cost,
            reservation,
            wake: Arc::clone(&wake),
            call: asked.call.clone(),
            batch_slot: batch_place,
            skipped: SkippedTime::default(),
            waiting_for_store_since: waiting_since,
            last_round: state.admission_rounds,
        };
        let late_at = waiting_since.and_then(|since| {
            let allowance = asked.call.store_wait.as_ref()?;
            (!allowance.remaining().is_zero()).then(|| allowance.expires_at(since))
        });
        state.next_store_deadline =
            [state.next_store_deadline, late_at].into_iter().flatten().min();
        state.all_waiting_for_store &= waiting_since.is_some();
        state.some_past_deadline |= waiting_since.is_some() && late_at.is_none();
        state.queue.insert(place, waiter);
        self.ensure_timer(state);
        let wait_budget = asked.wait_budget;
        QueuedCall { queue: Arc::clone(self), position: place, granted, wake, wait_budget }
    }

    fn permit(
        self: &Arc<Self>,
        state: &mut State,
        cost: RequestCost,
        reservation: Reservation,
        call: &CallHandle,
        slot: Option<BatchSlot>,
    ) -> Permit {
        let holder = state.holders.add(call, reservation.admitted_at);
        Permit {
            queue: Arc::clone(self),
            cost,
            reservation,
            outcome: Some(AttemptOutcome::NotSent),
            holder,
            slot,
            waited: Duration::ZERO,
            parked: Duration::ZERO,
        }
    }

    /// Records the end of a call, and admits others.
    fn complete(
        self: &Arc<Self>,
        now: Instant,
        cost: &RequestCost,
        reservation: Reservation,
        holder: Option<HolderKey>,
        outcome: AttemptOutcome<'_>,
    ) {
        let mut reports_pause = false;
        let mut then = PostAdmission::default();
        {
            let mut state = self.state();
            if let Some(holder) = holder {
                state.holders.remove(holder);
            }
            if let Some(pause) = state.limits.settle(now, cost, reservation, outcome) {
                warn!(?pause, "secondary rate limit exceeded; calls paused");
                reports_pause = self.shared.is_some();
            }
            if state.queue.is_empty() {
                // The client has an amount to report or to return.
                let idle = self.shared.is_some() && state.limits.in_flight == 0;
                if (reports_pause || idle) && state.timer_running {
                    self.wake.notify_one();
                }
                return;
            }
            state.admit_ready(now, self, &mut then);
        }
        self.wake.notify_one();
        then.run();
    }

    /// Admits calls that were skipped, since their batch has a free slot.
    pub(super) fn readmit_skipped(self: &Arc<Self>) {
        let mut then = PostAdmission::default();
        {
            let mut state = self.state();
            if state.queue.is_empty() {
                return;
            }
            state.admit_ready(Instant::now(), self, &mut then);
        }
        self.wake.notify_one();
        then.run();
    }

    /// Returns whether a call with this cost is blocked only because the store has not responded.
    pub(crate) fn is_waiting_for_store(&self, cost: &RequestCost) -> bool {
        let state = self.state();
        let mut blocked = state.blocks.iter().filter(|it| it.limit.applies_to(cost)).peekable();
        blocked.peek().is_some() && blocked.all(LimitExceeded::is_awaiting_store)
    }

    /// Requests the first lease, for a call that reads the cache before it requests admission: both take one round
    /// trip.
    pub(crate) fn announce_lookup(self: &Arc<Self>, cost: impl FnOnce() -> RequestCost) {
        if self.shared.is_none() {
            return;
        }
        let mut state = self.state();
        if state.limits.is_first_request() && state.announced_call.is_none() {
            state.announced_call = Some(Box::new(cost()));
            self.ensure_timer(&mut state);
        }
    }

    /// Returns whether the store of the limits is known to be unavailable.
    fn is_store_down(&self) -> bool {
        self.shared.as_deref().is_some_and(|(guard, _)| guard.retry_at().is_some())
    }

    /// Returns the request to the store, if it is due, or the time at which it will be.
    fn next_lease_request(&self, state: &mut State) -> (Option<Instant>, Option<QuotaRequest>) {
        let Some((guard, _)) = self.shared.as_deref() else { return (None, None) };
        let now = Instant::now();
        let State { limits, queue, blocks: blocked, announced_call: announced, .. } = state;
        let announced = announced.take();
        let is_queued = !queue.is_empty() || announced.is_some();
        match limits.next_lease(now, is_queued, blocked, guard.retry_at()) {
            NextLease::Now => {
                let costs = queue.values().map(|waiter| &waiter.cost).chain(announced.as_deref());
                (None, Some(limits.build_request(now, costs, blocked, &self.policy)))
            }
            NextLease::At(at) => (Some(at), None),
            NextLease::Never => (None, None),
        }
    }

    /// Starts the timer task, or notifies it of a change.
    fn ensure_timer(self: &Arc<Self>, state: &mut State) {
        if state.timer_running {
            // Another limit can be the first to end now.
            self.wake.notify_one();
            return;
        }
        state.timer_running = true;
        let number = state.latest_timer.replace();
        tokio::spawn(run_timer(TimerTask { queue: Arc::clone(self), number, done: false }));
    }

    /// Returns the state of the limits of this identity.
    pub(crate) fn health(&self, identity: String) -> RateLimitHealth {
        let now = Instant::now();
        let mut state = self.state();
        let waiting = state.queue.len();
        let limits = &mut state.limits;
        let paused = match limits.secondary.pause(now) {
            Some(BackoffState::Until(until)) => {
                Some(until.saturating_duration_since(now).as_secs_f64())
            }
            Some(BackoffState::Probe) => Some(0.0),
            None => None,
        };
        let primary = limits.primary.iter_mut().filter_map(|(name, budget)| {
            let (limit, remaining, reset) = budget.snapshot(now)?;
            let reset = reset.map(|reset| reset.as_secs_f64());
            Some(PrimaryLimitHealth {
                resource: name.clone().into_owned(),
                limit,
                remaining,
                reset,
            })
        });
        let primary = primary.collect();
        RateLimitHealth {
            identity,
            in_flight: limits.in_flight,
            queued: waiting,
            paused_for_secs: paused,
            primary,
        }
    }

    /// Returns the number of calls that scans have examined.
    #[cfg(test)]
    pub(super) fn steps(&self) -> u64 {
        self.state().steps
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest wait that `FailFast` allows nevertheless: for a free place, or for the time between two writes.
const FAIL_FAST_WAIT: Duration = Duration::from_secs(1);
/// The limit of a call that waits for a slot of its batch.
const NO_SLOT: LimitExceeded =
    LimitExceeded { limit: LimitKind::Concurrency, until: None, shared: false };

impl State {
    /// Returns the limit that blocks a call because others wait for it already.
    fn blocking_limit(&self, cost: &RequestCost) -> Option<LimitExceeded> {
        // Other limits have precedence over the missing response of the store.
        let concerned = self.blocks.iter().filter(|blocked| blocked.limit.applies_to(cost));
        concerned.min_by_key(|blocked| blocked.is_awaiting_store()).cloned()
    }

    /// Returns whether all queued calls are less urgent.
    fn is_highest_priority(&self, priority: Priority) -> bool {
        self.queue.first_key_value().is_none_or(|((first, _), _)| priority < *first)
    }

    /// Returns whether the limit of a queued call has ended by now.
    fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// Returns the time at which the first limit of a queued call ends, or its time for the store.
    fn next(&self) -> Option<Instant> {
        self.blocks.iter().filter_map(|blocked| blocked.until).chain(self.next_store_deadline).min()
    }

    /// Records a response of the store: waiting calls have their full time again.
    fn on_store_response(&mut self, now: Instant) {
        self.last_store_response = now;
        // The times of all calls have changed.
        self.all_waiting_for_store = false;
    }

    /// Admits all calls that can be sent. The permits are handed over after the lock is released.
    fn admit_ready(&mut self, now: Instant, queue: &Arc<AdmissionQueue>, then: &mut PostAdmission) {
        self.blocks.clear();
        let (mut going, mut skipped) = (Vec::new(), BTreeSet::new());
        self.admission_rounds += 1;
        // No further call has run out of its time for the store, except for those that had before.
        let known_late = self.next_store_deadline;
        let is_known = self.all_waiting_for_store && known_late.is_none_or(|late| late > now);
        let (mut next_late, mut some_late, mut all_await_store) = (None, false, true);
        // The limits without a share for the calls that no longer wait for the store.
        let mut exhausted: Vec<LimitKind> = Vec::new();
        for (place, waiter) in &mut self.queue {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            if waiter.last_round < self.last_round_end {
                // Another limit blocked it meanwhile.
                waiter.waiting_for_store_since = None;
            }
            waiter.last_round = self.admission_rounds;
            let concerns = |blocked: &&LimitExceeded| blocked.limit.applies_to(&waiter.cost);
            let before = self.blocks.iter().filter(concerns);
            let (mut awaits_store, mut otherwise) = (false, false);
            before.for_each(|blocked| match blocked.is_awaiting_store() {
                true => awaits_store = true,
                false => otherwise = true,
            });
            if otherwise {
                (waiter.waiting_for_store_since, all_await_store) = (None, false);
                continue;
            }
            let mut looked = match awaits_store {
                true => Err(None),
                false => self.limits.check(now, &waiter.cost, &queue.policy).map_err(Some),
            };
            awaits_store = match &looked {
                Ok(()) => false,
                Err(blocked) => blocked.as_ref().is_none_or(LimitExceeded::is_awaiting_store),
            };
            let mut alone = false;
            if awaits_store {
                match waiter.store_deadline(now, self.last_store_response) {
                    // A call that has no time left for the store can overtake those that have.
                    Some(late_at) if late_at <= now => {
                        some_late = true;
                        if !exhausted.iter().any(|rule| rule.applies_to(&waiter.cost)) {
                            match self.limits.check_offline(now, &waiter.cost, &queue.policy) {
                                Ok(()) => alone = true,
                                Err(rule) => exhausted.extend(rule),
                            }
                        }
                    }
                    late_at => next_late = [next_late, late_at].into_iter().flatten().min(),
                }
            }
            if alone {
                // The calls behind it still wait for the limit for which it no longer waits.
                if let Err(Some(blocked)) = looked {
                    self.blocks.push(blocked);
                }
                looked = Ok(());
            }
            match looked {
                Ok(()) => {
                    // A call without a slot of its batch is skipped, and blocks no other call.
                    match queue.try_slot(&waiter.call).into_slot() {
                        Some(slot) => {
                            waiter.charge(now, self.last_store_response);
                            let reservation =
                                self.limits.reserve(now, &waiter.cost, &queue.policy, alone);
                            going.push((*place, reservation, slot));
                        }
                        None => {
                            skipped.insert(*place);
                            all_await_store = false;
                        }
                    }
                    waiter.waiting_for_store_since = None;
                }
                Err(Some(blocked)) => {
                    let concerns_all = blocked.limit.applies_to_all();
                    self.blocks.push(blocked);
                    if !awaits_store {
                        (waiter.waiting_for_store_since, all_await_store) = (None, false);
                        if concerns_all {
                            self.last_round_end = self.admission_rounds;
                            break;
                        }
                    } else if concerns_all && is_known {
                        let none_goes = !self.some_past_deadline
                            || exhausted.iter().any(LimitKind::applies_to_all);
                        if none_goes {
                            next_late = [next_late, known_late].into_iter().flatten().min();
                            some_late |= self.some_past_deadline;
                            break;
                        }
                    }
                }
                Err(None) => {}
            }
        }
        (self.next_store_deadline, self.some_past_deadline) = (next_late, some_late);
        self.all_waiting_for_store = all_await_store;
        for (place, reservation, slot) in going {
            self.skipped.remove(&place);
            let Some(waiter) = self.queue.remove(&place) else { continue };
            let mut permit = queue.permit(self, waiter.cost, reservation, &waiter.call, slot);
            permit.parked = waiter.skipped.total(now);
            then.granted.push((waiter.reservation, permit));
            then.queue_slots.extend(waiter.batch_slot);
        }
        self.set_skipped(now, skipped);
        self.detach_if_needed(then);
    }

    /// Records the calls that are skipped from now on. Calls that a limit blocks again check how long they can still
    /// wait.
    fn set_skipped(&mut self, now: Instant, skipped: BTreeSet<QueuePosition>) {
        for place in std::mem::take(&mut self.skipped).difference(&skipped) {
            if let Some(waiter) = self.queue.get_mut(place) {
                waiter.skipped.end(now);
                waiter.wake.notify_one();
            }
        }
        for place in skipped {
            self.skip(now, place);
        }
    }

    /// Records that a call waits only for a slot of its batch.
    fn skip(&mut self, now: Instant, place: QueuePosition) {
        if let Some(waiter) = self.queue.get_mut(&place) {
            waiter.skipped.start(now);
            self.skipped.insert(place);
        }
    }

    /// If a call waits for the end of another one, the calls that hold a permit must not depend on being polled by
    /// their callers.
    fn detach_if_needed(&mut self, then: &mut PostAdmission) {
        if self.blocks.iter().any(LimitExceeded::ends_with_response) {
            then.detached.extend(self.holders.take_all());
        }
    }

    /// Drops the recorded limits if the queue is empty.
    fn clear_blocks(&mut self) {
        if self.queue.is_empty() {
            self.blocks.clear();
        }
    }
}

fn wait_exceeded_error(blocked: &LimitExceeded, now: Instant) -> Error {
    let error = |message: String, advice| {
        Error::new(ErrorKind::RateLimit, message).with_advice(advice).with_rate_limited(true)
    };
    let rule = &blocked.limit;
    match blocked.until {
        Some(until) => {
            let wait = until.saturating_duration_since(now);
            error(
                format!("{rule} exceeded; retry in {} s", seconds(wait)),
                "nothing was sent: retry later, or allow a longer wait with RateLimitPolicy::on_limit \
                 or the call's timeout",
            )
            .with_retry_after(wait)
        }
        None => error(
            format!("timed out waiting for the {rule}"),
            "nothing was sent: try again, or allow a longer wait with RateLimitPolicy::on_limit or the \
             call's timeout",
        ),
    }
    .with_retryable(true)
}

fn queue_full_error(blocked: &LimitExceeded, queue: usize, now: Instant) -> Error {
    let error = Error::new(
        ErrorKind::QueueFull,
        format!("rate-limit queue is full ({queue} calls waiting for the {})", blocked.limit),
    )
    .with_advice(
        "nothing was sent: make fewer concurrent calls, or raise RateLimitPolicy::max_queued",
    )
    .with_rate_limited(true)
    .with_retryable(true);
    match blocked.until {
        Some(until) => error.with_retry_after(until.saturating_duration_since(now)),
        None => error,
    }
}

/// Returns whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
