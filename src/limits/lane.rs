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

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::ask::Due;
use super::batch_slots::{BatchSlot, BatchWait, FreeSlot, Parking, QueuePlace, Turn};
use super::cost::Cost;
use super::fleet::Fleet;
use super::health::{LimitsHealth, PrimaryHealth};
use super::holders::{CallHandle, Holders};
use super::penalty::Pause;
use super::policy::{OnLimit, RateLimits};
use super::rules::{Blocked, Grant, Outcome, Rule, Rules};
use crate::detachable::DetachHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Guard, LeaseRequest, WaitAllowance};

mod driver;
mod permit;
mod waiting;

use driver::{Driver, LatestDriver, keep_time};
pub(crate) use permit::Permit;
use waiting::Waiting;

/// How urgent a call is. Among calls that wait for the same limit, interactive ones are admitted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// A user waits for the result; the default.
    #[default]
    Interactive,
    /// No user waits for the result, as for a sweep or a backfill. It is sent when no interactive call waits for the
    /// same limit.
    Background,
}

/// How long a call can wait for limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The longest wait that the call itself allows.
    pub(crate) at_most: Duration,
    /// How long it has waited already.
    pub(crate) waited: Duration,
}

impl Patience {
    pub(crate) const fn new(at_most: Duration) -> Self {
        Self { at_most, waited: Duration::ZERO }
    }
}

#[derive(Debug)]
pub(crate) struct Lane {
    policy: Arc<RateLimits>,
    state: Mutex<State>,
    /// The store that shares the limits with other clients, and the key of their ledger.
    shared: Option<(Arc<Guard>, String)>,
    /// Notifies the timer task of a change.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    rules: Rules,
    queue: BTreeMap<Place, Waiter>,
    /// The places that the last scan of the queue skipped: those calls lack only a slot of their batch.
    skipped: BTreeSet<Place>,
    tickets: u64,
    /// The limits that the calls in the queue wait for.
    blocked: Vec<Blocked>,
    /// Whether the timer task runs.
    driven: bool,
    /// The latest timer task.
    latest_driver: LatestDriver,
    holders: Holders,
    /// The cost of an announced call, before the first lease.
    announced: Option<Cost>,
    /// The time of the last response from the store: the waiting time of calls counts from then on.
    silence_from: Instant,
    /// The earliest time at which a call has no time left for the store.
    next_late: Option<Instant>,
    /// Whether all queued calls are known to wait for a response of the store, and whether some of them have no time
    /// left for it.
    all_unanswered: bool,
    some_late: bool,
    /// The number of scans of the queue, and the last one that ended before the end of the queue, at a limit that
    /// blocks all calls.
    pumps: u64,
    last_stop: u64,
    /// The number of calls that scans have examined.
    #[cfg(test)]
    steps: u64,
}

/// A place in the queue: smaller ones come first.
type Place = (Priority, u64);

#[derive(Debug)]
struct Waiter {
    cost: Cost,
    grant: oneshot::Sender<Permit>,
    wake: Arc<Notify>,
    call: CallHandle,
    batch_place: Option<QueuePlace>,
    skipped: Skipped,
    /// Since when it waits for a response of the store.
    unanswered: Option<Instant>,
    /// The last scan that has examined it.
    seen: u64,
}

/// The time in which a queued call waits only for a slot of its batch, which `OnLimit` does not bound.
#[derive(Debug, Default)]
struct Skipped {
    since: Option<Instant>,
    before: Duration,
}

impl Skipped {
    fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.before = self.total(now);
        self.since = None;
    }

    fn total(&self, now: Instant) -> Duration {
        let current = self.since.map(|since| now.saturating_duration_since(since));
        self.before + current.unwrap_or_default()
    }
}

/// A call that requests admission.
struct AdmissionRequest<'a> {
    cost: Cost,
    priority: Priority,
    patience: Patience,
    call: &'a CallHandle,
}

/// The immediate outcome of a request for admission.
enum Entered<'a> {
    Admitted(Permit),
    Queued(Waiting),
    /// Enough calls of its batch are in the queue: it waits for the place of one of them.
    Parked(Parking, AdmissionRequest<'a>),
}

/// The state of a call of a batch while it waits for the admission queue.
#[derive(Default)]
struct BatchLine {
    wait: Option<BatchWait>,
    place: Option<QueuePlace>,
}

impl Waiter {
    /// Returns when it has no time left for the store if the store does not respond before.
    fn late_at(&mut self, now: Instant, silence_from: Instant) -> Option<Instant> {
        let since = (*self.unanswered.get_or_insert(now)).max(silence_from);
        self.call.store_wait.as_ref().map(|allowance| allowance.end_of(since))
    }

    /// Returns the same time for a call that examines the queue itself; `None` if it does not wait for the store.
    fn known_late_at(&self, silence_from: Instant) -> Option<Instant> {
        let since = self.unanswered?.max(silence_from);
        self.call.store_wait.as_ref().map(|allowance| allowance.end_of(since))
    }

    /// Charges the admitted call for its wait for the store, up to the last response.
    fn charge(&self, now: Instant, silence_from: Instant) {
        if let (Some(since), Some(allowance)) = (self.unanswered, &self.call.store_wait) {
            allowance.charge(since.max(silence_from), now);
        }
    }
}

/// The actions that follow a scan of the queue, after its lock is released.
#[derive(Default)]
#[must_use = "permits are handed over by `run`"]
struct FollowUp {
    granted: Vec<(oneshot::Sender<Permit>, Permit)>,
    detached: Vec<DetachHandle>,
    places: Vec<QueuePlace>,
    slots: Vec<FreeSlot>,
}

impl FollowUp {
    fn run(self) {
        for (waiter, permit) in self.granted {
            // If the call has ended meanwhile, the permit is dropped and returns its place.
            let _ = waiter.send(permit);
        }
        self.detached.iter().for_each(DetachHandle::detach);
        drop(self.places);
        self.slots.into_iter().for_each(FreeSlot::offer);
    }
}

impl Lane {
    pub(crate) fn new(policy: Arc<RateLimits>) -> Arc<Self> {
        let rules = Rules::new(&policy);
        Self::with(policy, rules, None)
    }

    /// Creates the admission queue of an identity that shares its limits with other clients, by the ledger of this key.
    /// `member` is the name of this client among them.
    pub(crate) fn in_fleet(
        policy: Arc<RateLimits>,
        guard: Arc<Guard>,
        key: String,
        member: String,
    ) -> Arc<Self> {
        let mut rules = Rules::new(&policy);
        rules.fleet = Some(Box::new(Fleet::new(member, Instant::now(), guard.timeout())));
        Self::with(policy, rules, Some((guard, key)))
    }

    fn with(
        policy: Arc<RateLimits>,
        rules: Rules,
        shared: Option<(Arc<Guard>, String)>,
    ) -> Arc<Self> {
        let state = State {
            rules,
            queue: BTreeMap::new(),
            skipped: BTreeSet::new(),
            tickets: 0,
            blocked: Vec::new(),
            driven: false,
            latest_driver: LatestDriver::default(),
            holders: Holders::default(),
            announced: None,
            silence_from: Instant::now(),
            next_late: None,
            all_unanswered: false,
            some_late: false,
            pumps: 0,
            last_stop: 0,
            #[cfg(test)]
            steps: 0,
        };
        Arc::new(Self { policy, state: Mutex::new(state), shared, changed: Notify::new() })
    }

    /// Admits a call, now or in its turn.
    ///
    /// # Errors
    /// If it would wait longer than it can, or the queue is full.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        cost: Cost,
        priority: Priority,
        patience: Patience,
        call: &CallHandle,
    ) -> Result<Permit> {
        let (began, mut parked) = (Instant::now(), Duration::ZERO);
        let mut now = began;
        let mut line = BatchLine::default();
        let mut asked = AdmissionRequest { cost, priority, patience, call };
        loop {
            let parking = match self.enter(now, asked, &mut line)? {
                Entered::Admitted(mut permit) => {
                    permit.waited = now.saturating_duration_since(began);
                    permit.parked = parked;
                    return Ok(permit);
                }
                Entered::Queued(waiting) => {
                    let mut permit = waiting.wait(now, patience).await?;
                    permit.waited = began.elapsed();
                    permit.parked += parked;
                    return Ok(permit);
                }
                Entered::Parked(parking, again) => {
                    asked = again;
                    parking
                }
            };
            line.place = parking.wait().await;
            let until = Instant::now();
            parked += until.saturating_duration_since(now);
            now = until;
        }
    }

    /// Admits a call, or else queues it.
    fn enter<'a>(
        self: &Arc<Self>,
        now: Instant,
        asked: AdmissionRequest<'a>,
        line: &mut BatchLine,
    ) -> Result<Entered<'a>> {
        let mut then = FollowUp::default();
        let entered = {
            let mut state = self.state();
            if state.is_due(now) {
                state.pump(now, self, &mut then);
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
        line: &mut BatchLine,
        then: &mut FollowUp,
    ) -> Result<Entered<'a>> {
        let cost = &asked.cost;
        let outranks = state.outranks_all(asked.priority);
        let mut looked = match state.blocker(cost).filter(|_| !outranks) {
            Some(blocked) => Err((blocked, false)),
            None => state.rules.look(now, cost, &self.policy).map_err(|blocked| (blocked, true)),
        };
        // A call that has no time left for the store does not wait for it, nor for an unavailable store.
        let is_over = |wait: &WaitAllowance| wait.left().is_zero() || self.is_store_down();
        let over = asked.call.store_wait.as_ref().is_some_and(is_over);
        let alone = over
            && looked.as_ref().is_err_and(|(blocked, _)| blocked.is_unanswered())
            && state.rules.look_alone(now, cost, &self.policy).is_ok();
        if alone {
            looked = Ok(());
        }
        let turn = looked.map(|()| self.turn(asked.call));
        let mut is_skipped = false;
        let (blocked, is_new) = match turn.map(Turn::into_slot) {
            Ok(Some(slot)) => {
                let grant = state.rules.grant(now, cost, &self.policy, alone);
                // The task returns the rest of leases, checks whether the store is available again, and reports the
                // spending in advance.
                if self.shared.is_some() && (alone || !state.driven) {
                    self.drive(state);
                }
                let permit = self.permit(state, asked.cost, grant, asked.call, slot);
                state.detach_if_needed(then);
                return Ok(Entered::Admitted(permit));
            }
            // Its batch has reached its bound. That does not concern other calls.
            Ok(None) => {
                is_skipped = true;
                (NO_SLOT, false)
            }
            Err(blocked) => blocked,
        };
        if let Some(error) = self.refuse(&blocked, now, asked.patience) {
            return Err(error);
        }
        // A call with its own time limit does not wait for other calls of its batch.
        let slot = asked.call.slot.as_ref().filter(|slot| !slot.has_left());
        if let Some(slot) = slot.filter(|_| asked.patience.at_most == Duration::MAX) {
            if line.wait.is_none() {
                let (wait, free) = slot.wait();
                line.wait = Some(wait);
                then.slots.push(free);
            }
            if line.place.is_none() {
                match slot.enter_queue(self) {
                    Ok(place) => line.place = Some(place),
                    Err(parking) => return Ok(Entered::Parked(parking, asked)),
                }
            }
        }
        if !self.make_room(state, asked.priority, then) {
            return Err(full(&blocked, self.policy.queue, now));
        }
        let wait = blocked.until.map(|until| until.saturating_duration_since(now));
        debug!(limit = %blocked.rule, ?wait, "call queued by a rate limit");
        let unanswered = blocked.is_unanswered().then_some(now);
        if is_new {
            state.blocked.push(blocked);
        }
        let waiting = self.enqueue(state, asked, line.place.take(), unanswered);
        if is_skipped {
            state.skip(now, waiting.place);
        }
        state.detach_if_needed(then);
        Ok(Entered::Queued(waiting))
    }

    /// Takes a slot of the call's batch, if it belongs to one and has none.
    fn turn(self: &Arc<Self>, call: &CallHandle) -> Turn {
        call.slot.as_ref().map_or(Turn::Free, |slot| slot.try_send(self))
    }

    /// Returns the error of a call that fails rather than waits for this limit.
    fn refuse(&self, blocked: &Blocked, now: Instant, patience: Patience) -> Option<Error> {
        let wait = blocked.until.map(|until| until.saturating_duration_since(now));
        wait.is_some_and(|wait| wait > self.at_most(patience)).then(|| too_long(blocked, now))
    }

    /// Returns whether there is a place in the queue. If the queue is full, a less urgent call is removed.
    fn make_room(&self, state: &mut State, priority: Priority, then: &mut FollowUp) -> bool {
        if state.queue.len() < self.policy.queue {
            return true;
        }
        let last = state.queue.last_entry().filter(|last| last.key().0 > priority);
        let Some(last) = last else { return false };
        let (place, waiter) = last.remove_entry();
        state.skipped.remove(&place);
        // The call detects the removal when its sender is dropped.
        then.places.extend(waiter.batch_place);
        true
    }

    fn at_most(&self, patience: Patience) -> Duration {
        self.allowed(patience).min(patience.at_most)
    }

    /// Returns the longest wait for limits that the policy still allows.
    fn allowed(&self, patience: Patience) -> Duration {
        let policy = match self.policy.on_limit {
            OnLimit::Wait { at_most } => at_most,
            OnLimit::FailFast => SHORT,
        };
        policy.saturating_sub(patience.waited)
    }

    fn enqueue(
        self: &Arc<Self>,
        state: &mut State,
        asked: AdmissionRequest<'_>,
        batch_place: Option<QueuePlace>,
        unanswered: Option<Instant>,
    ) -> Waiting {
        let place = (asked.priority, state.tickets);
        state.tickets += 1;
        let (grant, granted) = oneshot::channel();
        let wake = Arc::new(Notify::new());
        let waiter = Waiter {
            cost: asked.cost,
            grant,
            wake: Arc::clone(&wake),
            call: asked.call.clone(),
            batch_place,
            skipped: Skipped::default(),
            unanswered,
            seen: state.pumps,
        };
        let allowance = asked.call.store_wait.as_ref().filter(|wait| !wait.left().is_zero());
        let late_at = unanswered.zip(allowance).map(|(since, allowance)| allowance.end_of(since));
        state.next_late = [state.next_late, late_at].into_iter().flatten().min();
        state.all_unanswered &= unanswered.is_some();
        state.some_late |= unanswered.is_some() && late_at.is_none();
        state.queue.insert(place, waiter);
        self.drive(state);
        Waiting { lane: Arc::clone(self), place, granted, wake }
    }

    fn permit(
        self: &Arc<Self>,
        state: &mut State,
        cost: Cost,
        grant: Grant,
        call: &CallHandle,
        slot: Option<BatchSlot>,
    ) -> Permit {
        let holder = state.holders.add(call, grant.at);
        Permit {
            lane: Arc::clone(self),
            cost,
            grant,
            outcome: Some(Outcome::Unsent),
            holder,
            slot,
            waited: Duration::ZERO,
            parked: Duration::ZERO,
        }
    }

    /// Records the end of a call, and admits others.
    fn settle(self: &Arc<Self>, cost: &Cost, grant: Grant, holder: u64, outcome: Outcome<'_>) {
        let now = Instant::now();
        let mut pause_told = false;
        let mut then = FollowUp::default();
        {
            let mut state = self.state();
            state.holders.remove(holder);
            if let Some(pause) = state.rules.settle(now, cost, grant, outcome) {
                warn!(?pause, "secondary rate limit exceeded; calls paused");
                pause_told = self.shared.is_some();
            }
            if state.queue.is_empty() {
                // The client has an amount to report or to return.
                let idle = self.shared.is_some() && state.rules.running == 0;
                if (pause_told || idle) && state.driven {
                    self.changed.notify_one();
                }
                return;
            }
            state.pump(now, self, &mut then);
        }
        self.changed.notify_one();
        then.run();
    }

    /// Admits calls that were skipped, since their batch has a free slot.
    pub(super) fn look_again(self: &Arc<Self>) {
        let mut then = FollowUp::default();
        {
            let mut state = self.state();
            if state.queue.is_empty() {
                return;
            }
            state.pump(Instant::now(), self, &mut then);
        }
        self.changed.notify_one();
        then.run();
    }

    /// Returns whether a call with this cost is blocked only because the store has not responded.
    pub(crate) fn waits_for_store(&self, cost: &Cost) -> bool {
        let state = self.state();
        let mut blocked = state.blocked.iter().filter(|it| it.rule.concerns(cost)).peekable();
        blocked.peek().is_some() && blocked.all(Blocked::is_unanswered)
    }

    /// Requests the first lease, for a call that reads the cache before it requests admission: both take one round
    /// trip.
    pub(crate) fn announce(self: &Arc<Self>, cost: impl FnOnce() -> Cost) {
        if self.shared.is_none() {
            return;
        }
        let mut state = self.state();
        if state.rules.has_never_asked() && state.announced.is_none() {
            state.announced = Some(cost());
            self.drive(&mut state);
        }
    }

    /// Returns whether the store of the limits is known to be unavailable.
    fn is_store_down(&self) -> bool {
        self.shared.as_ref().is_some_and(|(guard, _)| guard.retry_at().is_some())
    }

    /// Returns the request to the store, if it is due, or the time at which it will be.
    fn ask(&self, state: &mut State) -> (Option<Instant>, Option<LeaseRequest>) {
        let Some((guard, _)) = &self.shared else { return (None, None) };
        let now = Instant::now();
        let State { rules, queue, blocked, announced, .. } = state;
        let announced = announced.take();
        let is_queued = !queue.is_empty() || announced.is_some();
        match rules.due(now, is_queued, blocked, guard.retry_at()) {
            Due::Now => {
                let costs = queue.values().map(|waiter| &waiter.cost).chain(&announced);
                (None, Some(rules.ask(now, costs, blocked, &self.policy)))
            }
            Due::At(at) => (Some(at), None),
            Due::Never => (None, None),
        }
    }

    /// Starts the timer task, or notifies it of a change.
    fn drive(self: &Arc<Self>, state: &mut State) {
        if state.driven {
            // Another limit can be the first to end now.
            self.changed.notify_one();
            return;
        }
        state.driven = true;
        let number = state.latest_driver.replace();
        tokio::spawn(keep_time(Driver { lane: Arc::clone(self), number, done: false }));
    }

    /// Returns the state of the limits of this identity.
    pub(crate) fn health(&self, identity: String) -> LimitsHealth {
        let now = Instant::now();
        let mut state = self.state();
        let waiting = state.queue.len();
        let rules = &mut state.rules;
        let paused = match rules.penalty.pause(now) {
            Some(Pause::Until(until)) => Some(until.saturating_duration_since(now).as_secs_f64()),
            Some(Pause::Probe) => Some(0.0),
            None => None,
        };
        let primary = rules.budgets.iter_mut().filter_map(|(name, budget)| {
            let (limit, remaining, reset) = budget.view(now)?;
            let reset = reset.map(|reset| reset.as_secs_f64());
            Some(PrimaryHealth { resource: name.clone().into_owned(), limit, remaining, reset })
        });
        let primary = primary.collect();
        LimitsHealth { identity, running: rules.running, waiting, paused, primary }
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
const SHORT: Duration = Duration::from_secs(1);
/// The limit of a call that waits for a slot of its batch.
const NO_SLOT: Blocked = Blocked { rule: Rule::Concurrency, until: None, shared: false };

impl State {
    /// Returns the limit that blocks a call because others wait for it already.
    fn blocker(&self, cost: &Cost) -> Option<Blocked> {
        // Other limits have precedence over the missing response of the store.
        let concerned = self.blocked.iter().filter(|blocked| blocked.rule.concerns(cost));
        concerned.min_by_key(|blocked| blocked.is_unanswered()).cloned()
    }

    /// Returns whether all queued calls are less urgent.
    fn outranks_all(&self, priority: Priority) -> bool {
        self.queue.first_key_value().is_none_or(|((first, _), _)| priority < *first)
    }

    /// Returns whether the limit of a queued call has ended by now.
    fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// Returns the time at which the first limit of a queued call ends, or its time for the store.
    fn next(&self) -> Option<Instant> {
        self.blocked.iter().filter_map(|blocked| blocked.until).chain(self.next_late).min()
    }

    /// Records a response of the store: waiting calls have their full time again.
    fn end_silence(&mut self, now: Instant) {
        self.silence_from = now;
        // The times of all calls have changed.
        self.all_unanswered = false;
    }

    /// Admits all calls that can be sent. The permits are handed over after the lock is released.
    fn pump(&mut self, now: Instant, lane: &Arc<Lane>, then: &mut FollowUp) {
        self.blocked.clear();
        let (mut going, mut skipped) = (Vec::new(), BTreeSet::new());
        self.pumps += 1;
        // No further call has run out of its time for the store, except for those that had before.
        let known_late = self.next_late;
        let is_known = self.all_unanswered && known_late.is_none_or(|late| late > now);
        let (mut next_late, mut some_late, mut all_unanswered) = (None, false, true);
        // The limits without a share for the calls that no longer wait for the store.
        let mut refused: Vec<Rule> = Vec::new();
        for (place, waiter) in &mut self.queue {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            if waiter.seen < self.last_stop {
                // Another limit blocked it meanwhile.
                waiter.unanswered = None;
            }
            waiter.seen = self.pumps;
            let concerns = |blocked: &&Blocked| blocked.rule.concerns(&waiter.cost);
            let before = self.blocked.iter().filter(concerns);
            let (mut is_unanswered, mut otherwise) = (false, false);
            before.for_each(|blocked| match blocked.is_unanswered() {
                true => is_unanswered = true,
                false => otherwise = true,
            });
            if otherwise {
                (waiter.unanswered, all_unanswered) = (None, false);
                continue;
            }
            let mut looked = match is_unanswered {
                true => Err(None),
                false => self.rules.look(now, &waiter.cost, &lane.policy).map_err(Some),
            };
            is_unanswered = match &looked {
                Ok(()) => false,
                Err(blocked) => blocked.as_ref().is_none_or(Blocked::is_unanswered),
            };
            let mut alone = false;
            if is_unanswered {
                match waiter.late_at(now, self.silence_from) {
                    // A call that has no time left for the store can overtake those that have.
                    Some(late_at) if late_at <= now => {
                        some_late = true;
                        if !refused.iter().any(|rule| rule.concerns(&waiter.cost)) {
                            match self.rules.look_alone(now, &waiter.cost, &lane.policy) {
                                Ok(()) => alone = true,
                                Err(rule) => refused.extend(rule),
                            }
                        }
                    }
                    late_at => next_late = [next_late, late_at].into_iter().flatten().min(),
                }
            }
            if alone {
                // The calls behind it still wait for the limit for which it no longer waits.
                if let Err(Some(blocked)) = looked {
                    self.blocked.push(blocked);
                }
                looked = Ok(());
            }
            match looked {
                Ok(()) => {
                    // A call without a slot of its batch is skipped, and blocks no other call.
                    match lane.turn(&waiter.call).into_slot() {
                        Some(slot) => {
                            waiter.charge(now, self.silence_from);
                            let grant = self.rules.grant(now, &waiter.cost, &lane.policy, alone);
                            going.push((*place, grant, slot));
                        }
                        None => {
                            skipped.insert(*place);
                            all_unanswered = false;
                        }
                    }
                    waiter.unanswered = None;
                }
                Err(Some(blocked)) => {
                    let concerns_all = blocked.rule.concerns_all();
                    self.blocked.push(blocked);
                    if !is_unanswered {
                        (waiter.unanswered, all_unanswered) = (None, false);
                        if concerns_all {
                            self.last_stop = self.pumps;
                            break;
                        }
                    } else if concerns_all && is_known {
                        let none_goes = !self.some_late || refused.iter().any(Rule::concerns_all);
                        if none_goes {
                            next_late = [next_late, known_late].into_iter().flatten().min();
                            some_late |= self.some_late;
                            break;
                        }
                    }
                }
                Err(None) => {}
            }
        }
        (self.next_late, self.some_late) = (next_late, some_late);
        self.all_unanswered = all_unanswered;
        for (place, grant, slot) in going {
            self.skipped.remove(&place);
            let Some(waiter) = self.queue.remove(&place) else { continue };
            let mut permit = lane.permit(self, waiter.cost, grant, &waiter.call, slot);
            permit.parked = waiter.skipped.total(now);
            then.granted.push((waiter.grant, permit));
            then.places.extend(waiter.batch_place);
        }
        self.skip_only(now, skipped);
        self.detach_if_needed(then);
    }

    /// Records the calls that are skipped from now on. Calls that a limit blocks again check how long they can still
    /// wait.
    fn skip_only(&mut self, now: Instant, skipped: BTreeSet<Place>) {
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
    fn skip(&mut self, now: Instant, place: Place) {
        if let Some(waiter) = self.queue.get_mut(&place) {
            waiter.skipped.begin(now);
            self.skipped.insert(place);
        }
    }

    /// If a call waits for the end of another one, the calls that hold a permit must not depend on being polled by
    /// their callers.
    fn detach_if_needed(&mut self, then: &mut FollowUp) {
        if self.blocked.iter().any(Blocked::ends_with_a_call) {
            then.detached.extend(self.holders.take());
        }
    }

    /// Drops the recorded limits if the queue is empty.
    fn forget_idle_blocks(&mut self) {
        if self.queue.is_empty() {
            self.blocked.clear();
        }
    }
}

fn too_long(blocked: &Blocked, now: Instant) -> Error {
    let error = |message: String, advice| {
        Error::new(ErrorKind::RateLimit, message).with_advice(advice).with_rate_limited(true)
    };
    let rule = &blocked.rule;
    match blocked.until {
        Some(until) => {
            let wait = until.saturating_duration_since(now);
            error(
                format!("{rule} exceeded; retry in {} s", seconds(wait)),
                "nothing was sent: retry later, or allow a longer wait with RateLimits::on_limit \
                 or the call's timeout",
            )
            .with_retry_after(wait)
        }
        None => error(
            format!("timed out waiting for the {rule}"),
            "nothing was sent: try again, or allow a longer wait with RateLimits::on_limit or the \
             call's timeout",
        ),
    }
    .with_retryable(true)
}

fn full(blocked: &Blocked, queue: usize, now: Instant) -> Error {
    let error = Error::new(
        ErrorKind::QueueFull,
        format!("rate-limit queue is full ({queue} calls waiting for the {})", blocked.rule),
    )
    .with_advice("nothing was sent: make fewer concurrent calls, or raise RateLimits::queue")
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
