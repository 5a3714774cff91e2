//! The one way out for all calls of an identity: whoever may not go yet waits here, in order.
//!
//! A call that has to wait stands in a queue by its priority and the time of its coming. Nobody
//! overtakes a call that waits for the same thing, and nobody waits for a thing that only others
//! want. While somebody waits, a task of the lane's own keeps the time for all: a call that waits
//! may be a future that nobody polls for a while, and must not hold up the others.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::ask::Due;
use super::cost::Cost;
use super::fleet::Fleet;
use super::health::{LimitsHealth, PrimaryHealth};
use super::penalty::Pause;
use super::policy::{OnLimit, RateLimits};
use super::rules::{Blocked, Grant, Outcome, Rule, Rules};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Guard, LeaseRequest};

/// How urgent a call is. Among those that wait for the same limit, interactive ones go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Somebody waits for it; the default.
    #[default]
    Interactive,
    /// Nobody does: a sweep, a backfill. It goes when no interactive call waits for the same
    /// limit.
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
    tickets: u64,
    /// What those who wait are kept back by.
    blocked: Vec<Blocked>,
    /// Whether the task that keeps the time is there.
    driven: bool,
}

/// A place in the queue: smaller ones go first.
type Place = (Priority, u64);

#[derive(Debug)]
struct Waiter {
    cost: Cost,
    grant: oneshot::Sender<Permit>,
    wake: Arc<Notify>,
}

impl Lane {
    pub(crate) fn new(policy: Arc<RateLimits>) -> Arc<Self> {
        let rules = Rules::new(&policy);
        Self::with(policy, rules, None)
    }

    /// The lane of an identity whose limits are shared with others, by the ledger of this key.
    /// `member` is who this client is among them.
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
        let state =
            State { rules, queue: BTreeMap::new(), tickets: 0, blocked: Vec::new(), driven: false };
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
    ) -> Result<Permit> {
        let now = Instant::now();
        let waiting = {
            let mut state = self.state();
            if state.is_due(now) {
                let granted = state.pump(now, self);
                drop(state);
                send(granted);
                state = self.state();
            }
            let blocker = if state.outranks_all(priority) { None } else { state.blocker(&cost) };
            let blocked = match blocker {
                Some(blocked) => blocked,
                None => match state.rules.take(now, &cost, &self.policy) {
                    Ok(grant) => {
                        // Somebody has to give back what is left, or to ask whether the store is
                        // back.
                        if self.shared.is_some() && !state.driven {
                            self.drive(&mut state);
                        }
                        return Ok(self.permit(cost, grant));
                    }
                    Err(blocked) => {
                        state.blocked.push(blocked.clone());
                        blocked
                    }
                },
            };
            let refused = self.refuse(&mut state, &blocked, now, priority, patience);
            if let Some(error) = refused {
                state.forget_idle_blocks();
                return Err(error);
            }
            let wait = blocked.until.map(|until| until.saturating_duration_since(now));
            debug!(limit = %blocked.rule, ?wait, "a call waits for a rate limit");
            self.enqueue(&mut state, cost, priority)
        };
        let mut permit = waiting.wait(now, patience).await?;
        permit.waited = now.elapsed();
        Ok(permit)
    }

    /// Whether a call fails rather than waits for this. If there is no place left, one goes that
    /// is less urgent.
    fn refuse(
        &self,
        state: &mut State,
        blocked: &Blocked,
        now: Instant,
        priority: Priority,
        patience: Patience,
    ) -> Option<Error> {
        let wait = blocked.until.map(|until| until.saturating_duration_since(now));
        if wait.is_some_and(|wait| wait > self.at_most(patience)) {
            return Some(too_long(blocked, now));
        }
        if state.queue.len() < self.policy.queue {
            return None;
        }
        let last = state.queue.last_entry().filter(|last| last.key().0 > priority);
        match last {
            // Without its sender, it knows.
            Some(last) => drop(last.remove()),
            None => return Some(full(blocked, self.policy.queue, now)),
        }
        None
    }

    fn at_most(&self, patience: Patience) -> Duration {
        let policy = match self.policy.on_limit {
            OnLimit::Wait { at_most } => at_most,
            OnLimit::FailFast => SHORT,
        };
        policy.saturating_sub(patience.waited).min(patience.at_most)
    }

    fn enqueue(self: &Arc<Self>, state: &mut State, cost: Cost, priority: Priority) -> Waiting {
        let place = (priority, state.tickets);
        state.tickets += 1;
        let (grant, granted) = oneshot::channel();
        let wake = Arc::new(Notify::new());
        state.queue.insert(place, Waiter { cost, grant, wake: Arc::clone(&wake) });
        self.drive(state);
        Waiting { lane: Arc::clone(self), place, granted, wake }
    }

    fn permit(self: &Arc<Self>, cost: Cost, grant: Grant) -> Permit {
        let outcome = Some(Outcome::Unsent);
        Permit { lane: Arc::clone(self), cost, grant, outcome, waited: Duration::ZERO }
    }

    /// A call ends: others may go.
    fn settle(self: &Arc<Self>, cost: &Cost, grant: Grant, outcome: Outcome<'_>) {
        let now = Instant::now();
        let mut pause_told = false;
        let granted = {
            let mut state = self.state();
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
            state.pump(now, self)
        };
        self.changed.notify_one();
        send(granted);
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

    /// Sees to it that somebody keeps the time.
    fn drive(self: &Arc<Self>, state: &mut State) {
        if state.driven {
            // It may be another rule that ends first now.
            self.changed.notify_one();
            return;
        }
        state.driven = true;
        tokio::spawn(keep_time(Driver { lane: Arc::clone(self), done: false }));
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

impl State {
    /// What keeps a call back because others wait for it already.
    fn blocker(&self, cost: &Cost) -> Option<Blocked> {
        self.blocked.iter().find(|blocked| blocked.rule.concerns(cost)).cloned()
    }

    /// Whether all who wait are less urgent.
    fn outranks_all(&self, priority: Priority) -> bool {
        self.queue.first_key_value().is_none_or(|((first, _), _)| priority < *first)
    }

    /// Whether somebody in the queue may go by now.
    fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// When somebody in the queue may go, if nothing else happens.
    fn next(&self) -> Option<Instant> {
        self.blocked.iter().filter_map(|blocked| blocked.until).min()
    }

    /// Lets all go that may. The permits are handed over when the lock is free.
    fn pump(&mut self, now: Instant, lane: &Arc<Lane>) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        self.blocked.clear();
        let mut going = Vec::new();
        for (place, waiter) in &self.queue {
            if self.blocked.iter().any(|blocked| blocked.rule.concerns(&waiter.cost)) {
                continue;
            }
            match self.rules.take(now, &waiter.cost, &lane.policy) {
                Ok(grant) => going.push((*place, grant)),
                Err(blocked) => {
                    let all = blocked.rule.concerns_all();
                    self.blocked.push(blocked);
                    if all {
                        break;
                    }
                }
            }
        }
        let going = going.into_iter().filter_map(|(place, grant)| {
            let waiter = self.queue.remove(&place)?;
            Some((waiter.grant, lane.permit(waiter.cost, grant)))
        });
        going.collect()
    }

    /// Drops what nobody waits for.
    fn forget_idle_blocks(&mut self) {
        if self.queue.is_empty() {
            self.blocked.clear();
        }
    }
}

/// Lets calls go when their time has come, until nobody waits.
async fn keep_time(mut driver: Driver) {
    let lane = &Arc::clone(&driver.lane);
    loop {
        let (next, request) = {
            let mut state = lane.state();
            let (due, request) = lane.ask(&mut state);
            if state.queue.is_empty() && due.is_none() && request.is_none() {
                state.driven = false;
                driver.done = true;
                return;
            }
            let next = if state.queue.is_empty() { None } else { state.next() };
            ([next, due].into_iter().flatten().min(), request)
        };
        if let (Some(request), Some((guard, key))) = (request, &lane.shared) {
            let lease = guard.lease(key, &request).await;
            let now = Instant::now();
            let granted = {
                let mut state = lane.state();
                state.rules.answered(now, lease);
                state.pump(now, lane)
            };
            send(granted);
            continue;
        }
        let alarm = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        select(pin!(alarm), pin!(lane.changed.notified())).await;
        let now = Instant::now();
        let granted = {
            let mut state = lane.state();
            if state.is_due(now) { state.pump(now, lane) } else { Vec::new() }
        };
        send(granted);
    }
}

/// The task that keeps the time. If its runtime is shut down, or it panics in somebody's store,
/// whoever waits on another runtime or calls next starts it anew.
struct Driver {
    lane: Arc<Lane>,
    /// It has ended by itself, and there may be another one by now.
    done: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.lane.state();
        state.driven = false;
        for waiter in state.queue.values() {
            waiter.wake.notify_one();
        }
    }
}

fn send(granted: Vec<(oneshot::Sender<Permit>, Permit)>) {
    for (waiter, permit) in granted {
        // Who gave up meanwhile leaves the permit, which gives its place back.
        let _ = waiter.send(permit);
    }
}

/// A call in the queue; its place is free when it is dropped.
struct Waiting {
    lane: Arc<Lane>,
    place: Place,
    granted: oneshot::Receiver<Permit>,
    wake: Arc<Notify>,
}

impl Waiting {
    async fn wait(mut self, start: Instant, patience: Patience) -> Result<Permit> {
        let end = start.checked_add(self.lane.at_most(patience));
        let wake = Arc::clone(&self.wake);
        let late = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let mut late = pin!(late);
        loop {
            match select(&mut self.granted, select(late.as_mut(), pin!(wake.notified()))).await {
                Either::Left((Ok(permit), _)) => return Ok(permit),
                Either::Right((Either::Left(_), _)) => return self.too_late(),
                Either::Right((Either::Right(_), _)) => {
                    let mut state = self.lane.state();
                    if !state.driven && state.queue.contains_key(&self.place) {
                        self.lane.drive(&mut state);
                    }
                }
                // The sender lives in the lane, which this future holds, until it goes.
                Either::Left((Err(_), _)) => return Err(self.displaced()),
            }
        }
    }

    /// A call that is more urgent has its place.
    fn displaced(&self) -> Error {
        let state = self.lane.state();
        let blocked = state.blocked.first().cloned();
        let blocked =
            blocked.unwrap_or(Blocked { rule: Rule::Concurrency, until: None, shared: false });
        full(&blocked, self.lane.policy.queue, Instant::now())
    }

    fn too_late(&mut self) -> Result<Permit> {
        let state = self.lane.state();
        // It may have been let through at this very moment.
        if let Ok(permit) = self.granted.try_recv() {
            return Ok(permit);
        }
        let cost = state.queue.get(&self.place).map(|waiter| &waiter.cost);
        let blocked = cost.and_then(|cost| state.blocker(cost));
        let blocked =
            blocked.unwrap_or(Blocked { rule: Rule::Concurrency, until: None, shared: false });
        Err(too_long(&blocked, Instant::now()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        if state.queue.remove(&self.place).is_some() {
            state.forget_idle_blocks();
            self.lane.changed.notify_one();
        }
    }
}

/// A place among the calls that are under way; dropped, it is free for the next.
#[derive(Debug)]
pub(crate) struct Permit {
    lane: Arc<Lane>,
    cost: Cost,
    grant: Grant,
    outcome: Option<Outcome<'static>>,
    /// How long it waited.
    pub(crate) waited: Duration,
}

impl Permit {
    /// From here on GitHub may have heard of it.
    pub(crate) fn sent(&mut self) {
        self.outcome = Some(Outcome::Unanswered);
    }

    /// Ends with what is known of the call.
    pub(crate) fn end(mut self, outcome: Outcome<'_>) {
        self.outcome = None;
        self.lane.settle(&self.cost, self.grant, outcome);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.lane.settle(&self.cost, self.grant, outcome);
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
