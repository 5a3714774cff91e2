//! All limits of one identity. Decides whether a call can be sent now.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::cost::Cost;
use super::fleet::{Fleet, NAMES, STARTING_SLOTS, alone};
use super::penalty::{Pause, Penalty};
use super::policy::RateLimits;
use super::primary::{Budget, Heard, MAX_RESOURCES, OTHER, Spent, Told};
use super::window::Window;
use crate::clock::after;

#[derive(Debug)]
pub(crate) struct Rules {
    /// The origin of the time in windows.
    origin: Instant,
    pub(super) running: u32,
    points: Option<Window>,
    graphql_points: Option<Window>,
    content_a_minute: Option<Window>,
    content_an_hour: Option<Window>,
    /// The time of the next permitted write to each owner's resources; only times in the future are kept.
    writes: HashMap<Box<str>, Instant>,
    /// A few items, with `core` first: a linear search is faster than a hash.
    pub(super) budgets: Vec<(Cow<'static, str>, Budget)>,
    pub(crate) penalty: Penalty,
    /// The leases, if other clients share the limits.
    pub(super) fleet: Option<Box<Fleet>>,
}

/// The limit that blocks a call, and until when, if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) rule: Rule,
    pub(crate) until: Option<Instant>,
    /// Whether the store decides about the call. If there is a time, the store's response requires the call to wait
    /// until then; if not, the store has not responded yet.
    pub(crate) shared: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Concurrency,
    Penalty,
    Points,
    GraphQlPoints,
    ContentAMinute,
    ContentAnHour,
    /// The time between two writes to resources of this owner.
    Writes(Box<str>),
    /// A primary limit, by its name.
    Primary(Cow<'static, str>),
}

impl Blocked {
    /// Returns whether the store has not responded yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.shared && self.until.is_none()
    }

    /// Returns whether only the end of a call in flight admits a call, and no time.
    pub(super) fn ends_with_a_call(&self) -> bool {
        self.until.is_none() || (self.shared && self.rule == Rule::Concurrency)
    }
}

impl Rule {
    /// Returns whether it blocks a call with this cost.
    pub(crate) fn concerns(&self, cost: &Cost) -> bool {
        match self {
            Self::Concurrency | Self::Penalty => true,
            Self::Points => !cost.graphql,
            Self::GraphQlPoints => cost.graphql,
            Self::ContentAMinute | Self::ContentAnHour => cost.creates_content,
            Self::Writes(owner) => cost.owner.as_ref() == Some(owner),
            Self::Primary(name) => cost.resource == *name,
        }
    }

    /// Returns whether it blocks every call.
    pub(crate) fn concerns_all(&self) -> bool {
        matches!(self, Self::Concurrency | Self::Penalty)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency => f.write_str("concurrent request limit"),
            Self::Penalty => f.write_str("secondary rate limit"),
            Self::Points => f.write_str("points-per-minute limit"),
            Self::GraphQlPoints => f.write_str("GraphQL points-per-minute limit"),
            Self::ContentAMinute => f.write_str("content-per-minute limit"),
            Self::ContentAnHour => f.write_str("content-per-hour limit"),
            Self::Writes(_) => f.write_str("per-owner write limit"),
            Self::Primary(name) => write!(f, "primary rate limit ({name})"),
        }
    }
}

/// The name in the operation table for operations without a primary limit.
pub(super) const NO_LIMIT: &str = "none";

/// The state with which a call was admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    pub(crate) at: Instant,
    /// Whether it is the probe after a pause.
    probe: bool,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// It was never sent.
    Unsent,
    /// It was sent, and received no response.
    Unanswered,
    /// It received a response.
    Answered(Option<Told<'a>>),
    /// It reached a secondary limit, with the time that GitHub requests.
    Limited(Option<Told<'a>>, Option<Duration>),
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The maximum number of owners whose writes are paced individually.
const MAX_OWNERS: usize = 10_000;

impl Rules {
    pub(crate) fn new(policy: &RateLimits) -> Self {
        let window = |limit: Option<u32>, length| limit.map(|limit| Window::new(limit, length));
        let pacing = &policy.pacing;
        Self {
            origin: Instant::now(),
            running: 0,
            points: window(pacing.points, MINUTE),
            graphql_points: window(pacing.graphql_points, MINUTE),
            content_a_minute: window(pacing.content_a_minute, MINUTE),
            content_an_hour: window(pacing.content_an_hour, HOUR),
            writes: HashMap::new(),
            budgets: vec![(Cow::Borrowed("core"), Budget::unknown())],
            penalty: Penalty::default(),
            fleet: None,
        }
    }

    /// Counts a call that is admitted: no limit blocks it, according to [`look`](Self::look), or to
    /// [`look_alone`](Self::look_alone) if the store decides too late.
    pub(crate) fn grant(
        &mut self,
        now: Instant,
        cost: &Cost,
        policy: &RateLimits,
        alone: bool,
    ) -> Grant {
        let time = self.time(now);
        for (_, window, amount) in self.windows(cost) {
            window.add(time, amount);
        }
        if self.fleet.is_some() {
            self.take_shared(now, cost, alone);
        }
        let between = policy.pacing.between_writes;
        if let Some(owner) = cost.owner.as_ref().filter(|_| !between.is_zero()) {
            if self.writes.len() >= MAX_OWNERS {
                self.writes.retain(|_, next| *next > now);
            }
            if self.writes.len() < MAX_OWNERS {
                self.writes.insert(owner.clone(), after(now, between));
            }
        }
        if let Some(budget) = self.budget_or_new(&cost.resource) {
            budget.take(now, policy);
        }
        self.running = self.running.saturating_add(1);
        Grant { at: now, probe: self.penalty.probe() }
    }

    /// Returns the limit that blocks a call, if any.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        cost: &Cost,
        policy: &RateLimits,
    ) -> Result<(), Blocked> {
        let share = self.fleet.as_ref().map_or(1, |fleet| fleet.share());
        let slots = policy.pacing.concurrent.map(|most| match &self.fleet {
            Some(fleet) => fleet.slots_alone(now, most),
            None => most,
        });
        self.look_own(now, cost, policy, share, slots)?;
        if self.fleet.is_some() { self.look_shared(now, cost, policy) } else { Ok(()) }
    }

    /// Returns whether a call can be sent if the store decides too late: by this client's share of the limits at the
    /// last response of the store, unless that response required a wait. Returns the limit that blocks the call, if
    /// any.
    pub(crate) fn look_alone(
        &mut self,
        now: Instant,
        cost: &Cost,
        policy: &RateLimits,
    ) -> Result<(), Option<Rule>> {
        let (windows, limits) = (self.numbered(cost), self.shared_limits());
        let limited = self.is_limited(cost);
        let fleet = self.fleet.as_deref().filter(|fleet| fleet.leads()).ok_or(None)?;
        let (share, slots) = if fleet.epoch.is_none() {
            // It has never received a lease, and does not know its share.
            let mut over = windows.iter().filter(|(index, _, amount)| {
                fleet.starts_after(now, *index, *amount, limits[*index]).is_some()
            });
            if let Some((_, rule, _)) = over.next() {
                return Err(Some(rule.clone()));
            }
            (1, policy.pacing.concurrent.map(|_| STARTING_SLOTS))
        } else {
            if let Some(rule) = fleet.decided(now, cost, &windows, limited) {
                return Err(Some(rule));
            }
            let mut over =
                windows.iter().filter(|(index, _, amount)| !fleet.has_share(*index, *amount));
            if let Some((_, rule, _)) = over.next() {
                return Err(Some(rule.clone()));
            }
            let slots = policy.pacing.concurrent.map(|most| fleet.slots_late(most));
            (fleet.members.max(1), slots)
        };
        self.look_own(now, cost, policy, share, slots).map_err(|blocked| Some(blocked.rule))
    }

    /// Returns whether a call counts against a primary limit, as far as is known.
    fn is_limited(&mut self, cost: &Cost) -> bool {
        *cost.resource != *NO_LIMIT
            && self.budget(&cost.resource).is_none_or(|budget| budget.is_limited())
    }

    /// Returns the limit of the client's own that blocks a call, by its share of it.
    fn look_own(
        &mut self,
        now: Instant,
        cost: &Cost,
        policy: &RateLimits,
        share: u32,
        slots: Option<u32>,
    ) -> Result<(), Blocked> {
        let blocked = |rule, until| Err(Blocked { rule, until, shared: false });
        match self.penalty.pause(now) {
            Some(Pause::Until(until)) => return blocked(Rule::Penalty, Some(until)),
            Some(Pause::Probe) => return blocked(Rule::Penalty, None),
            None => {}
        }
        if slots.is_some_and(|slots| self.running >= slots) {
            return blocked(Rule::Concurrency, None);
        }
        if let Some(owner) = &cost.owner
            && let Some(next) = self.writes.get(owner).filter(|next| **next > now)
        {
            return blocked(Rule::Writes(owner.clone()), Some(*next));
        }
        let time = self.time(now);
        for (rule, window, amount) in self.windows(cost) {
            if let Some(wait) = window.wait_for_share(time, amount, share) {
                return blocked(rule, Some(after(now, wait)));
            }
        }
        let budget = self.budget(&cost.resource);
        let rule = || Rule::Primary(cost.resource.clone());
        match budget.and_then(|budget| budget.wait(now, policy, share)) {
            Some(Spent::Until(until)) => blocked(rule(), Some(until)),
            Some(Spent::Answer) => blocked(rule(), None),
            None => Ok(()),
        }
    }

    /// Returns the shared limit that blocks a call that the client's own limits admit.
    fn look_shared(
        &mut self,
        now: Instant,
        cost: &Cost,
        policy: &RateLimits,
    ) -> Result<(), Blocked> {
        let (windows, limits) = (self.numbered(cost), self.shared_limits());
        let limited = self.is_limited(cost);
        let Some(fleet) = &self.fleet else { return Ok(()) };
        if fleet.leads() {
            return fleet.look(now, cost, self.running, &windows, limited, policy);
        }
        if let Some((rule, until)) = fleet.told_to_wait(now, cost, limited) {
            return Err(Blocked { rule, until: Some(until), shared: false });
        }
        for (index, rule, amount) in windows {
            let until = match fleet.is_starting(now) {
                true => fleet.starts_after(now, index, amount, limits[index]),
                false => fleet.alone(now, index, amount, alone(NAMES[index].1)),
            };
            if until.is_some() {
                return Err(Blocked { rule, until, shared: false });
            }
        }
        Ok(())
    }

    fn take_shared(&mut self, now: Instant, cost: &Cost, alone: bool) {
        let windows = self.numbered(cost);
        let time = self.time(now);
        let limits = self.shared_limits();
        let Some(fleet) = &mut self.fleet else { return };
        fleet.take(now, cost, &windows);
        if alone || !fleet.leads() {
            for (index, _, amount) in windows {
                fleet.spend_alone(index, time, amount, limits[index]);
            }
            fleet.advance(now, cost);
        }
    }

    /// Returns the windows in which a call counts, by their numbers in [`NAMES`], and the amounts.
    pub(super) fn numbered(&mut self, cost: &Cost) -> Vec<(usize, Rule, u32)> {
        let windows = self.windows(cost).map(|(rule, window, amount)| {
            let index = match rule {
                Rule::GraphQlPoints => 1,
                Rule::ContentAMinute => 2,
                Rule::ContentAnHour => 3,
                _ => 0,
            };
            (index, rule, amount.min(window.limit()))
        });
        windows.collect()
    }

    /// Returns the limits of the windows by their numbers.
    pub(super) fn shared_limits(&mut self) -> [u32; 4] {
        std::array::from_fn(|index| {
            self.shared_window(index).map_or(u32::MAX, |window| window.limit())
        })
    }

    /// Returns a window by its number.
    pub(super) fn shared_window(&mut self, index: usize) -> Option<&mut Window> {
        match index {
            0 => self.points.as_mut(),
            1 => self.graphql_points.as_mut(),
            2 => self.content_a_minute.as_mut(),
            _ => self.content_an_hour.as_mut(),
        }
    }

    /// Records the end of an admitted call. Returns the pause that begins, if any.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        cost: &Cost,
        grant: Grant,
        outcome: Outcome<'_>,
    ) -> Option<Duration> {
        let mut pause = None;
        self.running = self.running.saturating_sub(1);
        let unsent = matches!(outcome, Outcome::Unsent);
        if grant.probe {
            self.penalty.probed();
        }
        let told = match outcome {
            Outcome::Answered(told) => {
                self.penalty.answered(grant.at, true);
                told
            }
            Outcome::Limited(told, asked) => {
                pause = self.penalty.hit(now, grant.at, asked);
                told
            }
            Outcome::Unsent | Outcome::Unanswered => {
                self.penalty.answered(grant.at, false);
                None
            }
        };
        if unsent {
            let then = self.time(grant.at);
            for (_, window, amount) in self.windows(cost) {
                window.give_back(then, amount);
            }
        }
        if let Some(budget) = self.budget(&cost.resource) {
            budget.settle(match outcome {
                Outcome::Unsent => Heard::Nothing,
                Outcome::Unanswered => Heard::Perhaps,
                _ if told.is_some_and(|told| *told.resource == *cost.resource) => Heard::Told,
                _ if told.is_some() => Heard::Nothing,
                _ => Heard::Untold,
            });
        }
        if let Some(told) = told {
            self.learn(now, told);
        }
        pause
    }

    /// Records the values of a primary limit in a response.
    fn learn(&mut self, now: Instant, told: Told<'_>) {
        if let Some(budget) = self.budget_or_new(told.resource) {
            budget.learn(now, told);
        }
    }

    fn budget_or_new(&mut self, name: &str) -> Option<&mut Budget> {
        if self.budget(name).is_none() {
            self.add(name);
        }
        self.budget(name)
    }

    fn add(&mut self, name: &str) {
        if name == NO_LIMIT || self.budgets.len() >= MAX_RESOURCES {
            return;
        }
        // The last place is for all later ones.
        let name = if self.budgets.len().saturating_add(1) < MAX_RESOURCES { name } else { OTHER };
        self.budgets.push((Cow::Owned(name.to_owned()), Budget::unknown()));
    }

    fn budget(&mut self, name: &str) -> Option<&mut Budget> {
        if name == NO_LIMIT {
            return None;
        }
        let position = |name: &str| self.budgets.iter().position(|(known, _)| known == name);
        let is_full = self.budgets.len() >= MAX_RESOURCES;
        let found = position(name).or_else(|| position(OTHER).filter(|_| is_full))?;
        self.budgets.get_mut(found).map(|(_, budget)| budget)
    }

    /// Returns the windows in which a call counts, and the amounts.
    fn windows(&mut self, cost: &Cost) -> impl Iterator<Item = (Rule, &mut Window, u32)> {
        let (rule, points) = if cost.graphql {
            (Rule::GraphQlPoints, &mut self.graphql_points)
        } else {
            (Rule::Points, &mut self.points)
        };
        let content = cost.creates_content;
        let minute = content.then_some(&mut self.content_a_minute);
        let hour = content.then_some(&mut self.content_an_hour);
        [
            (rule, Some(points), cost.points),
            (Rule::ContentAMinute, minute, 1),
            (Rule::ContentAnHour, hour, 1),
        ]
        .into_iter()
        .filter_map(|(rule, window, amount)| Some((rule, window?.as_mut()?, amount)))
    }

    pub(super) fn time(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.origin).as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn more_limits_than_are_tracked_share_one() {
        let policy = RateLimits::default();
        let mut rules = Rules::new(&policy);
        let now = Instant::now();
        let ends_in = Duration::from_secs(60);
        for number in 0..10_000 {
            let name = format!("limit-{number}");
            let cost = Cost::rest(&http::Method::GET, "/", Cow::Owned(name.clone()), false);
            let grant = rules.grant(now, &cost, &policy, false);
            let told = Told { resource: &name, limit: 100, remaining: 7, reset: 0, ends_in };
            rules.settle(now, &cost, grant, Outcome::Answered(Some(told)));
        }
        assert_eq!(rules.budgets.len(), MAX_RESOURCES);
        let names: Vec<_> = rules.budgets.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!((names[0], names[1], names[MAX_RESOURCES - 1]), ("core", "limit-0", OTHER));
        // The shared limit applies to them, and no call stays pending.
        let others = rules.budget("limit-9999").unwrap();
        assert_eq!((others.limit(), others.pending()), (100, 0));
    }
}
