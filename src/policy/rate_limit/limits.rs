//! All limits of one identity, and the decision whether a call can be sent now.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::cost::RequestCost;
use super::policy::RateLimitPolicy;
use super::primary::{Exhausted, MAX_RESOURCES, Observation, PrimaryLimit};
use super::secondary::{BackoffState, SecondaryLimitBackoff};
use super::shared::lease_state::{SHARED_WINDOWS, STARTUP_SLOTS, SharedQuota, offline_window};
use crate::api::default_resource::NO_LIMIT;
use crate::headers::rate_limit::{OTHER_RESOURCE, RateLimitHeaders};
use crate::time::clock::{millis, saturating_after};
use crate::time::sliding_window::SlidingWindow;

#[derive(Debug)]
pub(crate) struct IdentityLimits {
    /// The origin of the time in windows.
    origin: Instant,
    pub(super) in_flight: u32,
    points: Option<SlidingWindow>,
    /// The limits of the windows in [`FurtherLimits`].
    further_limits: [Option<u32>; FURTHER_WINDOWS.len()],
    /// `None` before a call needs them.
    further: Option<Box<FurtherLimits>>,
    /// A few items, with `core` first: a linear search is faster than a hash.
    pub(super) primary: Vec<(Cow<'static, str>, PrimaryLimit)>,
    pub(crate) secondary: SecondaryLimitBackoff,
    /// The leases, if other clients share the limits.
    pub(super) shared: Option<Box<SharedQuota>>,
}

/// The state of the limits that do not apply to reads of the REST API: most identities only read.
#[derive(Debug)]
struct FurtherLimits {
    /// GraphQL points, content per minute, and content per hour.
    windows: [Option<SlidingWindow>; FURTHER_WINDOWS.len()],
    /// The time of the next permitted write to each owner's resources; only times in the future are kept.
    next_writes: HashMap<Box<str>, Instant>,
}

/// The limit that blocks a call, and until when, if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitExceeded {
    pub(crate) limit: LimitKind,
    pub(crate) until: Option<Instant>,
    /// Whether the store decides about the call. If there is a time, the store's response requires the call to wait
    /// until then; if not, the store has not responded yet.
    pub(crate) shared: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    Concurrency,
    SecondaryBackoff,
    Points,
    GraphQlPoints,
    ContentPerMinute,
    ContentPerHour,
    /// The time between two writes to resources of this owner.
    WriteInterval(Box<str>),
    /// A primary limit, by its name.
    Primary(Cow<'static, str>),
}

impl LimitExceeded {
    /// Returns whether the store has not responded yet.
    pub(super) fn is_awaiting_store(&self) -> bool {
        self.shared && self.until.is_none()
    }

    /// Returns whether only the end of a call in flight admits a call, and no time.
    pub(super) fn ends_with_response(&self) -> bool {
        self.until.is_none() || (self.shared && self.limit == LimitKind::Concurrency)
    }
}

impl LimitKind {
    /// Returns whether it blocks a call with this cost.
    pub(crate) fn applies_to(&self, cost: &RequestCost) -> bool {
        match self {
            Self::Concurrency | Self::SecondaryBackoff => true,
            Self::Points => !cost.graphql,
            Self::GraphQlPoints => cost.graphql,
            Self::ContentPerMinute | Self::ContentPerHour => cost.creates_content,
            Self::WriteInterval(owner) => cost.owner.as_ref() == Some(owner),
            Self::Primary(name) => cost.resource == *name,
        }
    }

    /// Returns whether it blocks every call.
    pub(crate) fn applies_to_all(&self) -> bool {
        matches!(self, Self::Concurrency | Self::SecondaryBackoff)
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency => f.write_str("concurrent request limit"),
            Self::SecondaryBackoff => f.write_str("secondary rate limit"),
            Self::Points => f.write_str("points-per-minute limit"),
            Self::GraphQlPoints => f.write_str("GraphQL points-per-minute limit"),
            Self::ContentPerMinute => f.write_str("content-per-minute limit"),
            Self::ContentPerHour => f.write_str("content-per-hour limit"),
            Self::WriteInterval(_) => f.write_str("per-owner write limit"),
            Self::Primary(name) => write!(f, "primary rate limit ({name})"),
        }
    }
}

/// The state with which a call was admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    pub(crate) admitted_at: Instant,
    /// Whether it is the probe after a pause.
    is_probe: bool,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttemptOutcome<'a> {
    /// It was never sent.
    NotSent,
    /// It was sent, and received no response.
    NoResponse,
    /// It received a response.
    Response(Option<RateLimitHeaders<'a>>),
    /// It reached a secondary limit, with the time that GitHub requests.
    SecondaryLimited(Option<RateLimitHeaders<'a>>, Option<Duration>),
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The lengths of the windows in [`FurtherLimits`].
const FURTHER_WINDOWS: [Duration; 3] = [MINUTE, MINUTE, HOUR];
/// The maximum number of owners whose writes are paced individually.
const MAX_OWNERS: usize = 10_000;

impl FurtherLimits {
    fn new(limits: [Option<u32>; FURTHER_WINDOWS.len()]) -> Box<Self> {
        let windows =
            std::array::from_fn(|index| new_window(limits[index], FURTHER_WINDOWS[index]));
        Box::new(Self { windows, next_writes: HashMap::new() })
    }
}

fn new_window(limit: Option<u32>, length: Duration) -> Option<SlidingWindow> {
    limit.map(|limit| SlidingWindow::new(limit, length))
}

impl IdentityLimits {
    pub(crate) fn new(policy: &RateLimitPolicy) -> Self {
        let pacing = &policy.secondary_limits;
        Self {
            origin: Instant::now(),
            in_flight: 0,
            points: new_window(pacing.points_per_minute, MINUTE),
            further_limits: [
                pacing.graphql_points_per_minute,
                pacing.content_per_minute,
                pacing.content_per_hour,
            ],
            further: None,
            primary: vec![(Cow::Borrowed("core"), PrimaryLimit::new_unknown())],
            secondary: SecondaryLimitBackoff::default(),
            shared: None,
        }
    }

    /// Counts a call that is admitted: no limit blocks it, according to [`check`](Self::check), or to
    /// [`check_offline`](Self::check_offline) if the store decides too late.
    pub(crate) fn reserve(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        policy: &RateLimitPolicy,
        alone: bool,
    ) -> Reservation {
        let time = self.time(now);
        for (_, window, amount) in self.windows(cost) {
            window.add(time, amount);
        }
        if self.shared.is_some() {
            self.consume_shared(now, cost, alone);
        }
        let between = policy.secondary_limits.min_write_interval;
        if let Some(owner) = cost.owner.as_ref().filter(|_| !between.is_zero()) {
            let next_writes = &mut self.further().next_writes;
            if next_writes.len() >= MAX_OWNERS {
                next_writes.retain(|_, next| *next > now);
            }
            if next_writes.len() < MAX_OWNERS {
                next_writes.insert(owner.clone(), saturating_after(now, between));
            }
        }
        if let Some(budget) = self.primary_or_insert(&cost.resource) {
            budget.reserve(now, policy);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Reservation { admitted_at: now, is_probe: self.secondary.start_probe() }
    }

    /// Returns the limit that blocks a call, if any.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        policy: &RateLimitPolicy,
    ) -> Result<(), LimitExceeded> {
        let share = self.shared.as_ref().map_or(1, |shared| shared.divisor());
        let slots = policy.secondary_limits.max_concurrent.map(|most| match &self.shared {
            Some(shared) => shared.offline_slots(now, most),
            None => most,
        });
        self.check_local(now, cost, policy, share, slots)?;
        if self.shared.is_some() { self.check_shared(now, cost, policy) } else { Ok(()) }
    }

    /// Returns whether a call can be sent if the store decides too late: by this client's share of the limits at the
    /// last response of the store, unless that response required a wait. Returns the limit that blocks the call, if
    /// any.
    pub(crate) fn check_offline(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        policy: &RateLimitPolicy,
    ) -> Result<(), Option<LimitKind>> {
        let (windows, limits) = (self.window_costs(cost), self.shared_limits());
        let limited = self.is_limited(cost);
        let shared =
            self.shared.as_deref().filter(|shared| shared.is_authoritative()).ok_or(None)?;
        let (share, slots) = if shared.epoch.is_none() {
            // It has never received a lease, and does not know its share.
            let mut over = windows.iter().filter(|(index, _, amount)| {
                shared.startup_blocked_until(now, *index, *amount, limits[*index]).is_some()
            });
            if let Some((_, rule, _)) = over.next() {
                return Err(Some(rule.clone()));
            }
            (1, policy.secondary_limits.max_concurrent.map(|_| STARTUP_SLOTS))
        } else {
            if let Some(rule) = shared.ledger_decision(now, cost, &windows, limited) {
                return Err(Some(rule));
            }
            let mut over =
                windows.iter().filter(|(index, _, amount)| !shared.has_fair_share(*index, *amount));
            if let Some((_, rule, _)) = over.next() {
                return Err(Some(rule.clone()));
            }
            let slots = policy
                .secondary_limits
                .max_concurrent
                .map(|most| shared.slots_without_response(most));
            (shared.members.max(1), slots)
        };
        self.check_local(now, cost, policy, share, slots).map_err(|blocked| Some(blocked.limit))
    }

    /// Returns whether a call counts against a primary limit, as far as is known.
    fn is_limited(&mut self, cost: &RequestCost) -> bool {
        *cost.resource != *NO_LIMIT
            && self.primary(&cost.resource).is_none_or(|budget| budget.is_limited())
    }

    /// Returns the limit of the client's own that blocks a call, by its share of it.
    fn check_local(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        policy: &RateLimitPolicy,
        share: u32,
        slots: Option<u32>,
    ) -> Result<(), LimitExceeded> {
        let blocked = |rule, until| Err(LimitExceeded { limit: rule, until, shared: false });
        match self.secondary.pause(now) {
            Some(BackoffState::Until(until)) => {
                return blocked(LimitKind::SecondaryBackoff, Some(until));
            }
            Some(BackoffState::Probe) => return blocked(LimitKind::SecondaryBackoff, None),
            None => {}
        }
        if slots.is_some_and(|slots| self.in_flight >= slots) {
            return blocked(LimitKind::Concurrency, None);
        }
        if let Some((owner, further)) = cost.owner.as_ref().zip(self.further.as_ref())
            && let Some(next) = further.next_writes.get(owner).filter(|next| **next > now)
        {
            return blocked(LimitKind::WriteInterval(owner.clone()), Some(*next));
        }
        let time = self.time(now);
        for (rule, window, amount) in self.windows(cost) {
            if let Some(wait) = window.wait_for(time, amount, share) {
                return blocked(rule, Some(saturating_after(now, wait)));
            }
        }
        let budget = self.primary(&cost.resource);
        let rule = || LimitKind::Primary(cost.resource.clone());
        match budget.and_then(|budget| budget.blocked_by(now, policy, share)) {
            Some(Exhausted::Until(until)) => blocked(rule(), Some(until)),
            Some(Exhausted::AwaitingResponse) => blocked(rule(), None),
            None => Ok(()),
        }
    }

    /// Returns the shared limit that blocks a call that the client's own limits admit.
    fn check_shared(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        policy: &RateLimitPolicy,
    ) -> Result<(), LimitExceeded> {
        let (windows, limits) = (self.window_costs(cost), self.shared_limits());
        let limited = self.is_limited(cost);
        let Some(shared) = &self.shared else { return Ok(()) };
        if shared.is_authoritative() {
            return shared.check(now, cost, self.in_flight, &windows, limited, policy);
        }
        if let Some((rule, until)) = shared.ledger_block(now, cost, limited) {
            return Err(LimitExceeded { limit: rule, until: Some(until), shared: false });
        }
        for (index, rule, amount) in windows {
            let until = match shared.is_in_startup(now) {
                true => shared.startup_blocked_until(now, index, amount, limits[index]),
                false => shared.offline_until(
                    now,
                    index,
                    amount,
                    offline_window(SHARED_WINDOWS[index].1),
                ),
            };
            if until.is_some() {
                return Err(LimitExceeded { limit: rule, until, shared: false });
            }
        }
        Ok(())
    }

    fn consume_shared(&mut self, now: Instant, cost: &RequestCost, alone: bool) {
        let windows = self.window_costs(cost);
        let time = self.time(now);
        let limits = self.shared_limits();
        let Some(shared) = &mut self.shared else { return };
        shared.consume(now, cost, &windows);
        if alone || !shared.is_authoritative() {
            for (index, _, amount) in windows {
                shared.spend_offline(index, time, amount, limits[index]);
            }
            shared.overdraw(now, cost);
        }
    }

    /// Returns the windows in which a call counts, by their numbers in [`SHARED_WINDOWS`], and the amounts.
    pub(super) fn window_costs(&mut self, cost: &RequestCost) -> Vec<(usize, LimitKind, u32)> {
        let windows = self.windows(cost).map(|(rule, window, amount)| {
            let index = match rule {
                LimitKind::GraphQlPoints => 1,
                LimitKind::ContentPerMinute => 2,
                LimitKind::ContentPerHour => 3,
                _ => 0,
            };
            (index, rule, amount.min(window.limit()))
        });
        windows.collect()
    }

    /// Returns the limits of the windows by their numbers.
    pub(super) fn shared_limits(&self) -> [u32; 4] {
        let [graphql, content_per_minute, content_per_hour] = self.further_limits;
        let points = self.points.as_ref().map(SlidingWindow::limit);
        [points, graphql, content_per_minute, content_per_hour]
            .map(|limit| limit.unwrap_or(u32::MAX))
    }

    /// Returns a window by its number.
    pub(super) fn shared_window(&mut self, index: usize) -> Option<&mut SlidingWindow> {
        match index.checked_sub(1) {
            None => self.points.as_mut(),
            Some(index) => self.further().windows.get_mut(index)?.as_mut(),
        }
    }

    #[cfg(test)]
    pub(super) fn has_further_limits(&self) -> bool {
        self.further.is_some()
    }

    /// Returns the limits that do not apply to reads, which are created if there are none yet.
    fn further(&mut self) -> &mut FurtherLimits {
        self.further.get_or_insert_with(|| FurtherLimits::new(self.further_limits))
    }

    /// Records the end of an admitted call. Returns the pause that begins, if any.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        cost: &RequestCost,
        reservation: Reservation,
        outcome: AttemptOutcome<'_>,
    ) -> Option<Duration> {
        let mut pause = None;
        self.in_flight = self.in_flight.saturating_sub(1);
        let unsent = matches!(outcome, AttemptOutcome::NotSent);
        if reservation.is_probe {
            self.secondary.end_probe();
        }
        let headers = match outcome {
            AttemptOutcome::Response(headers) => {
                self.secondary.on_response(reservation.admitted_at, true);
                headers
            }
            AttemptOutcome::SecondaryLimited(headers, retry_after) => {
                pause = self.secondary.trigger(now, reservation.admitted_at, retry_after);
                headers
            }
            AttemptOutcome::NotSent | AttemptOutcome::NoResponse => {
                self.secondary.on_response(reservation.admitted_at, false);
                None
            }
        };
        if unsent {
            let then = self.time(reservation.admitted_at);
            for (_, window, amount) in self.windows(cost) {
                window.refund(then, amount);
            }
        }
        if let Some(limit) = self.primary(&cost.resource) {
            limit.settle(match outcome {
                AttemptOutcome::NotSent => Observation::NotSent,
                AttemptOutcome::NoResponse => Observation::NoResponse,
                _ if headers.is_some_and(|headers| *headers.resource == *cost.resource) => {
                    Observation::Headers
                }
                _ if headers.is_some() => Observation::NotSent,
                _ => Observation::WithoutHeaders,
            });
        }
        if let Some(headers) = headers {
            self.observe(now, headers);
        }
        pause
    }

    /// Records the values of a primary limit in a response.
    fn observe(&mut self, now: Instant, headers: RateLimitHeaders<'_>) {
        if let Some(budget) = self.primary_or_insert(headers.resource) {
            budget.observe(now, headers);
        }
    }

    fn primary_or_insert(&mut self, name: &str) -> Option<&mut PrimaryLimit> {
        if self.primary(name).is_none() {
            self.add(name);
        }
        self.primary(name)
    }

    fn add(&mut self, name: &str) {
        if name == NO_LIMIT || self.primary.len() >= MAX_RESOURCES {
            return;
        }
        // The last entry is shared by all further resources.
        let name = if self.primary.len().saturating_add(1) < MAX_RESOURCES {
            name
        } else {
            OTHER_RESOURCE
        };
        self.primary.push((Cow::Owned(name.to_owned()), PrimaryLimit::new_unknown()));
    }

    fn primary(&mut self, name: &str) -> Option<&mut PrimaryLimit> {
        if name == NO_LIMIT {
            return None;
        }
        let position = |name: &str| self.primary.iter().position(|(known, _)| known == name);
        let is_full = self.primary.len() >= MAX_RESOURCES;
        let found = position(name).or_else(|| position(OTHER_RESOURCE).filter(|_| is_full))?;
        self.primary.get_mut(found).map(|(_, budget)| budget)
    }

    /// Returns the windows in which a call counts, and the amounts.
    fn windows(
        &mut self,
        cost: &RequestCost,
    ) -> impl Iterator<Item = (LimitKind, &mut SlidingWindow, u32)> {
        let content = cost.creates_content;
        let [graphql, minute, hour] = match cost.graphql || content {
            true => {
                let make = || FurtherLimits::new(self.further_limits);
                let further = self.further.get_or_insert_with(make);
                further.windows.each_mut().map(Option::as_mut)
            }
            false => [None, None, None],
        };
        let (rule, points) = match cost.graphql {
            true => (LimitKind::GraphQlPoints, graphql),
            false => (LimitKind::Points, self.points.as_mut()),
        };
        [
            (rule, points, cost.points),
            (LimitKind::ContentPerMinute, minute.filter(|_| content), 1),
            (LimitKind::ContentPerHour, hour.filter(|_| content), 1),
        ]
        .into_iter()
        .filter_map(|(rule, window, amount)| Some((rule, window?, amount)))
    }

    pub(super) fn time(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn more_limits_than_are_tracked_share_one() {
        let policy = RateLimitPolicy::default();
        let mut limits = IdentityLimits::new(&policy);
        let now = Instant::now();
        let ends_in = Duration::from_secs(60);
        for number in 0..10_000 {
            let name = format!("limit-{number}");
            let cost = RequestCost::rest(&http::Method::GET, "/", Cow::Owned(name.clone()), false);
            let reservation = limits.reserve(now, &cost, &policy, false);
            let headers =
                RateLimitHeaders { resource: &name, limit: 100, remaining: 7, reset: 0, ends_in };
            limits.settle(now, &cost, reservation, AttemptOutcome::Response(Some(headers)));
        }
        assert_eq!(limits.primary.len(), MAX_RESOURCES);
        let names: Vec<_> = limits.primary.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(
            (names[0], names[1], names[MAX_RESOURCES - 1]),
            ("core", "limit-0", OTHER_RESOURCE)
        );
        // The shared limit applies to them, and no call stays pending.
        let others = limits.primary("limit-9999").unwrap();
        assert_eq!((others.limit(), others.in_flight()), (100, 0));
    }
}
