//! Admission queue of one identity: attempts that exceed a limit wait here in order of priority.
//!
//! Calls of the same priority wait in the order of their arrival. No call overtakes one that waits
//! for the same limit, and no call waits for a limit that concerns only others. While a call waits, a
//! task of the queue keeps the time for all of them: the caller of a waiting call can stop polling
//! it, which must not delay the others.
//!
//! A call that holds a permit may not be polled either. If a call waits for what only the end of
//! another one gives back, the lane detaches every call that holds a permit: a task of its own runs
//! it to its end.

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
use crate::store::{Guard, LeaseRequest};

mod driver;
mod permit;
mod waiting;

use driver::{Driver, LatestDriver, keep_time};
pub(crate) use permit::Permit;
use waiting::Waiting;

/// How urgent a call is. Among those that wait for the same limit, interactive ones go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// A user waits for the result; the default.
    #[default]
    Interactive,
    /// No user waits for it: a sweep, a backfill. It is sent when no interactive call waits for the
    /// same limit.
    Background,
}

/// How long a call may wait for limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The most that the call itself allows.
    pub(crate) at_most: Duration,
    /// How much it has waited already.
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
    /// Where the limits are shared with others, and the key of their ledger.
    shared: Option<(Arc<Guard>, String)>,
    /// Tells the task that keeps the time to look again.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    rules: Rules,
    queue: BTreeMap<Place, Waiter>,
    /// The places of those that the last look at the queue skipped: only their batch lacks a slot.
    skipped: BTreeSet<Place>,
    tickets: u64,
    /// The limits that the calls in the queue wait for.
    blocked: Vec<Blocked>,
    /// Whether the task that keeps the time is there.
    driven: bool,
    /// The latest of these tasks.
    latest_driver: LatestDriver,
    holders: Holders,
}

/// A place in the queue: smaller ones go first.
type Place = (Priority, u64);

#[derive(Debug)]
struct Waiter {
    cost: Cost,
    grant: oneshot::Sender<Permit>,
    wake: Arc<Notify>,
    call: CallHandle,
    batch_place: Option<QueuePlace>,
    skipped: Skipped,
}

/// The time in which a call in the queue waits for a slot of its batch alone, which `OnLimit` does
/// not bound.
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

/// A call that asks for admission.
struct AdmissionRequest<'a> {
    cost: Cost,
    priority: Priority,
    patience: Patience,
    call: &'a CallHandle,
}

/// How far a call comes at once.
enum Entered<'a> {
    Admitted(Permit),
    Queued(Waiting),
    /// Enough calls of its batch are in the queue: it waits for the place of one.
    Parked(Parking, AdmissionRequest<'a>),
}

/// The part of a call of a batch in the wait for a lane.
#[derive(Default)]
struct BatchLine {
    wait: Option<BatchWait>,
    place: Option<QueuePlace>,
}

/// What follows from a look at the queue, and is done when its lock is free.
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
            // If the call gave up meanwhile, the permit is dropped and gives its place back.
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

    /// The lane of an identity whose limits are shared with others, by the ledger of this key.
    /// `member` is the name of this client among them.
    pub(crate) fn in_fleet(
        policy: Arc<RateLimits>,
        guard: Arc<Guard>,
        key: String,
        member: String,
    ) -> Arc<Self> {
        let mut rules = Rules::new(&policy);
        rules.fleet = Some(Box::new(Fleet::new(member, Instant::now())));
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
        };
        Arc::new(Self { policy, state: Mutex::new(state), shared, changed: Notify::new() })
    }

    /// Lets a call through, now or when its turn has come.
    ///
    /// # Errors
    /// If it would wait longer than it may, or the queue is full.
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

    /// Lets a call through, or else has it wait.
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
        let looked = match state.blocker(cost).filter(|_| !outranks) {
            Some(blocked) => Err((blocked, false)),
            None => state.rules.look(now, cost, &self.policy).map_err(|blocked| (blocked, true)),
        };
        let turn = looked.map(|()| self.turn(asked.call));
        let mut is_skipped = false;
        let (blocked, is_new) = match turn.map(Turn::into_slot) {
            Ok(Some(slot)) => {
                let grant = state.rules.grant(now, cost, &self.policy);
                // The task gives back what is left, and asks whether the store is back.
                if self.shared.is_some() && !state.driven {
                    self.drive(state);
                }
                let permit = self.permit(state, asked.cost, grant, asked.call, slot);
                state.detach_if_needed(then);
                return Ok(Entered::Admitted(permit));
            }
            // Its batch sends as many as it may. That is no concern of other calls.
            Ok(None) => {
                is_skipped = true;
                (NO_SLOT, false)
            }
            Err(blocked) => blocked,
        };
        if let Some(error) = self.refuse(&blocked, now, asked.patience) {
            return Err(error);
        }
        // A call with a time limit of its own has no time for other calls of its batch.
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
        debug!(limit = %blocked.rule, ?wait, "a call waits for a rate limit");
        if is_new {
            state.blocked.push(blocked);
        }
        let waiting = self.enqueue(state, asked, line.place.take());
        if is_skipped {
            state.skip(now, waiting.place);
        }
        state.detach_if_needed(then);
        Ok(Entered::Queued(waiting))
    }

    /// Takes a slot of the call's batch, if it is of one and has none.
    fn turn(self: &Arc<Self>, call: &CallHandle) -> Turn {
        call.slot.as_ref().map_or(Turn::Free, |slot| slot.try_send(self))
    }

    /// Whether a call fails rather than waits for this.
    fn refuse(&self, blocked: &Blocked, now: Instant, patience: Patience) -> Option<Error> {
        let wait = blocked.until.map(|until| until.saturating_duration_since(now));
        wait.is_some_and(|wait| wait > self.at_most(patience)).then(|| too_long(blocked, now))
    }

    /// Whether there is a place in the queue. If none is left, one goes that is less urgent.
    fn make_room(&self, state: &mut State, priority: Priority, then: &mut FollowUp) -> bool {
        if state.queue.len() < self.policy.queue {
            return true;
        }
        let last = state.queue.last_entry().filter(|last| last.key().0 > priority);
        let Some(last) = last else { return false };
        let (place, waiter) = last.remove_entry();
        state.skipped.remove(&place);
        // Without its sender, it knows.
        then.places.extend(waiter.batch_place);
        true
    }

    fn at_most(&self, patience: Patience) -> Duration {
        self.allowed(patience).min(patience.at_most)
    }

    /// The longest wait for limits that the policy still allows.
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
        };
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

    /// A call ends: others may go.
    fn settle(self: &Arc<Self>, cost: &Cost, grant: Grant, holder: u64, outcome: Outcome<'_>) {
        let now = Instant::now();
        let mut pause_told = false;
        let mut then = FollowUp::default();
        {
            let mut state = self.state();
            state.holders.remove(holder);
            if let Some(pause) = state.rules.settle(now, cost, grant, outcome) {
                warn!(?pause, "GitHub says that a secondary rate limit was reached: calls wait");
                pause_told = self.shared.is_some();
            }
            if state.queue.is_empty() {
                // It has something to tell, or to give back.
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

    /// Lets calls go that were skipped, since their batch has a slot.
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

    /// The request to the store, if it is due, or when it will be.
    fn ask(&self, state: &mut State) -> (Option<Instant>, Option<LeaseRequest>) {
        let Some((guard, _)) = &self.shared else { return (None, None) };
        let now = Instant::now();
        let State { rules, queue, blocked, .. } = state;
        match rules.due(now, !queue.is_empty(), blocked, guard.retry_at()) {
            Due::Now => {
                let costs = queue.values().map(|waiter| &waiter.cost);
                (None, Some(rules.ask(now, costs, blocked, &self.policy)))
            }
            Due::At(at) => (Some(at), None),
            Due::Never => (None, None),
        }
    }

    /// Starts the task that keeps the time, or tells it to look again.
    fn drive(self: &Arc<Self>, state: &mut State) {
        if state.driven {
            // It may be another rule that ends first now.
            self.changed.notify_one();
            return;
        }
        state.driven = true;
        let number = state.latest_driver.replace();
        tokio::spawn(keep_time(Driver { lane: Arc::clone(self), number, done: false }));
    }

    /// How it is, for whom it is.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `FailFast` waits for nevertheless: a free place, or the time between two writes.
const SHORT: Duration = Duration::from_secs(1);
/// What a call waits for that its batch may not send yet.
const NO_SLOT: Blocked = Blocked { rule: Rule::Concurrency, until: None, shared: false };

impl State {
    /// What keeps a call back because others wait for it already.
    fn blocker(&self, cost: &Cost) -> Option<Blocked> {
        self.blocked.iter().find(|blocked| blocked.rule.concerns(cost)).cloned()
    }

    /// Whether all calls in the queue are less urgent.
    fn outranks_all(&self, priority: Priority) -> bool {
        self.queue.first_key_value().is_none_or(|((first, _), _)| priority < *first)
    }

    /// Whether the limit of a call in the queue has ended by now.
    fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// The time at which the first limit ends that a call in the queue waits for.
    fn next(&self) -> Option<Instant> {
        self.blocked.iter().filter_map(|blocked| blocked.until).min()
    }

    /// Lets all go that may. The permits are handed over when the lock is free.
    fn pump(&mut self, now: Instant, lane: &Arc<Lane>, then: &mut FollowUp) {
        self.blocked.clear();
        let (mut going, mut skipped) = (Vec::new(), BTreeSet::new());
        for (place, waiter) in &self.queue {
            if self.blocked.iter().any(|blocked| blocked.rule.concerns(&waiter.cost)) {
                continue;
            }
            match self.rules.look(now, &waiter.cost, &lane.policy) {
                Ok(()) => {
                    // One that its batch may not send yet is skipped, and keeps no other call back.
                    match lane.turn(&waiter.call).into_slot() {
                        Some(slot) => {
                            let grant = self.rules.grant(now, &waiter.cost, &lane.policy);
                            going.push((*place, grant, slot));
                        }
                        None => drop(skipped.insert(*place)),
                    }
                }
                Err(blocked) => {
                    let all = blocked.rule.concerns_all();
                    self.blocked.push(blocked);
                    if all {
                        break;
                    }
                }
            }
        }
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

    /// Notes which calls are skipped from here on. Those that a limit keeps back again look at how
    /// long they may still wait.
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

    /// Notes that a call waits for a slot of its batch alone.
    fn skip(&mut self, now: Instant, place: Place) {
        if let Some(waiter) = self.queue.get_mut(&place) {
            waiter.skipped.begin(now);
            self.skipped.insert(place);
        }
    }

    /// If a call waits for the end of another one, those that hold a permit must not depend on
    /// being polled by their callers.
    fn detach_if_needed(&mut self, then: &mut FollowUp) {
        if self.blocked.iter().any(Blocked::ends_with_a_call) {
            then.detached.extend(self.holders.take());
        }
    }

    /// Forgets the limits if the queue is empty.
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
                format!("{rule} lets the call through in {} s only", seconds(wait)),
                "nothing was sent: come back then, or allow a longer wait by \
                 RateLimits::on_limit or the call's timeout",
            )
            .with_retry_after(wait)
        }
        None => error(
            format!("{rule} did not let the call through in time"),
            "nothing was sent: try again, or allow a longer wait by RateLimits::on_limit or the \
             call's timeout",
        ),
    }
    .with_retryable(true)
}

fn full(blocked: &Blocked, queue: usize, now: Instant) -> Error {
    let error = Error::new(
        ErrorKind::QueueFull,
        format!("{queue} calls wait already for {}", blocked.rule),
    )
    .with_advice("nothing was sent: make fewer calls at a time, or raise RateLimits::queue")
    .with_rate_limited(true)
    .with_retryable(true);
    match blocked.until {
        Some(until) => error.with_retry_after(until.saturating_duration_since(now)),
        None => error,
    }
}

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
