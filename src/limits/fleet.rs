//! The leases of limits that a client shares with a fleet, and the client's requests for them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::cost::Cost;
use super::policy::RateLimits;
use super::rules::{Blocked, Rule};
use super::window::Window;
use crate::clock::after;
use crate::store::{Lease, Pause, VALID};

/// The quota leases of one client, for one identity.
///
/// The client requests the amount that the waiting calls can spend in the next half second. It spends a lease without
/// further requests, and returns the rest with the next request.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// The random name of this member.
    pub(super) member: String,
    /// The epoch of the ledger that last sent a lease.
    pub(super) epoch: Option<String>,
    /// The serial numbers of the last request, and of the last one with a response.
    pub(super) serial: u64,
    pub(super) answered: u64,
    /// Whether the ledger reported that it does not know this client.
    pub(super) unknown: bool,
    pub(super) members: u32,
    pub(super) contact: Contact,
    /// The time of the last response from the store.
    heard: Instant,
    /// The times of the last and of the first request.
    pub(super) asked: Instant,
    first_asked: Option<Instant>,
    /// The time of the last admission of a call.
    pub(super) used: Instant,
    slots: u32,
    /// The slots in the last lease.
    allotted: u32,
    slots_asked: u32,
    /// The calls in flight that the last request reported, and whether it reported more than there were.
    running_asked: u32,
    pub(super) overstated: bool,
    slots_wait: Option<Instant>,
    /// The time of the next request after a response that granted no amount.
    fruitless: Option<Instant>,
    pub(super) windows: [Held; 4],
    pub(super) budgets: Vec<(Cow<'static, str>, Held)>,
    owners: HashMap<Box<str>, Write>,
    /// Owners of resources that this client changed without a lease, and when: not reported to the ledger yet.
    pub(super) written: HashMap<Box<str>, Instant>,
    /// How long a response of the ledger is valid beyond its stated time: while the next request can still receive a
    /// response.
    stands: Duration,
    /// The end of the pause that the ledger knows, and the one that the current request reports.
    pub(super) known_pause: Option<Instant>,
    pub(super) told_pause: Option<Instant>,
}

/// The state of the connection to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// The client has not sent a request yet.
    Never,
    Held,
    /// The store has been unavailable since then.
    Lost(Instant),
    /// The store does not share limits.
    Apart,
}

/// The rest of a lease.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) units: u32,
    /// The amount that requests without a response yet returned.
    returning: u32,
    /// The end of its validity.
    until: Option<Instant>,
    /// The time of the next request for more.
    wait: Option<Instant>,
    pub(super) part: u64,
    /// The amount that was spent since the last request.
    pub(super) spent: u32,
    /// The lowest unused amount for some time before the grant.
    free: Option<u32>,
    /// The time until which departed clients can have spent of it.
    unreported_until: Option<Instant>,
    /// The amount that can be spent without a lease, in the first window's length.
    alone: u32,
    /// The amount that was spent without a lease, not reported to the ledger yet.
    pub(super) apart: Option<Box<Window>>,
    /// The part of it since the last request, which the next grant covers first.
    advance: u32,
    /// The part of it that the current request reports.
    told: u32,
}

#[derive(Clone, Copy, Debug)]
enum Write {
    /// The write can be sent until then.
    Granted(Instant),
    /// The write has to wait until then.
    Waits(Instant),
}

/// The time between two requests while calls are in flight; twice that while calls only wait. The ledger removes a
/// member without a request for 10 s, and a ledger that has lost its data receives the spending within that time.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(4);
const TWO_HEARTBEATS: Duration = Duration::from_secs(2 * HEARTBEAT.as_secs());
/// The time after which the last known number of members can be out of date.
const MEMBERS_KNOWN: Duration = Duration::from_secs(70);
pub(super) const LATER: Duration = Duration::from_millis(100);
/// The validity of a write grant: an admitted write is sent at once.
const WRITE_VALID: Duration = Duration::from_millis(200);
/// GitHub ends a request after that, so that no other client's requests are in flight by then.
const OTHERS_END: Duration = Duration::from_secs(10);
pub(super) const LEASE: Duration = Duration::from_millis(VALID);
const MAX_OWNERS: usize = 1_000;
/// The time after which a client that has received no lease counts as alone. Before that, the store can be merely slow,
/// and other clients that start at the same moment can be in the same state.
const START: Duration = OTHERS_END;
/// The number of calls that such a client can have in flight. The ledger reserves a part of the limit for clients that
/// it does not know yet.
pub(super) const STARTING_SLOTS: u32 = 1;

impl Fleet {
    /// Creates the state of a new client. `timeout` is the longest response time of the store.
    pub(crate) fn new(member: String, now: Instant, timeout: Duration) -> Self {
        Self {
            member,
            epoch: None,
            serial: 0,
            answered: 0,
            unknown: false,
            members: 1,
            contact: Contact::Never,
            heard: now,
            asked: now,
            first_asked: None,
            used: now,
            slots: 0,
            allotted: 0,
            slots_asked: 0,
            running_asked: 0,
            overstated: false,
            slots_wait: None,
            fruitless: None,
            windows: Default::default(),
            budgets: Vec::new(),
            owners: HashMap::new(),
            written: HashMap::new(),
            // One request can be in flight when the next one is due.
            stands: timeout.saturating_mul(2),
            known_pause: None,
            told_pause: None,
        }
    }

    /// Returns whether leases decide: the store is available, or the first request is about to be sent.
    pub(super) fn leads(&self) -> bool {
        matches!(self.contact, Contact::Never | Contact::Held)
    }

    /// Returns how many clients share the limits in equal parts while the store is unavailable.
    pub(super) fn share(&self) -> u32 {
        match self.contact {
            Contact::Lost(_) => self.members.max(1),
            _ => 1,
        }
    }

    /// Returns the limit that blocks a call for lack of a lease.
    pub(super) fn look(
        &self,
        now: Instant,
        cost: &Cost,
        running: u32,
        windows: &[(usize, Rule, u32)],
        limited: bool,
        policy: &RateLimits,
    ) -> Result<(), Blocked> {
        let blocked = |rule, until: Option<Instant>| {
            let until = until.filter(|until| *until > now);
            Err(Blocked { rule, until, shared: true })
        };
        // Limits with a known time come first: without one, the client would send requests to the store continuously.
        if let Some(owner) = cost.owner.as_ref().filter(|_| !policy.pacing.between_writes.is_zero())
        {
            match self.owners.get(owner) {
                Some(Write::Granted(until)) if *until > now => {}
                Some(Write::Waits(until)) if *until > now => {
                    return blocked(Rule::Writes(owner.clone()), Some(*until));
                }
                _ => return blocked(Rule::Writes(owner.clone()), self.fruitless),
            }
        }
        let heard_of = now < after(self.asked, TWO_HEARTBEATS);
        if policy.pacing.concurrent.is_some() && (running >= self.slots || !heard_of) {
            return blocked(Rule::Concurrency, self.slots_wait.or(self.fruitless));
        }
        for (index, rule, amount) in windows {
            let held = &self.windows[*index];
            if held.left(now) < *amount {
                return blocked(rule.clone(), held.wait.or(self.fruitless));
            }
        }
        if limited {
            let held = self.budgets.iter().find(|(name, _)| *name == cost.resource);
            if held.is_none_or(|(_, held)| held.left(now) == 0) {
                let wait = held.and_then(|(_, held)| held.wait);
                return blocked(Rule::Primary(cost.resource.clone()), wait.or(self.fruitless));
            }
        }
        Ok(())
    }

    /// Spends the cost of a call.
    pub(super) fn take(&mut self, now: Instant, cost: &Cost, windows: &[(usize, Rule, u32)]) {
        self.used = now;
        for (index, _, amount) in windows {
            self.windows[*index].spend(*amount);
        }
        if let Some((_, held)) = self.budgets.iter_mut().find(|(name, _)| *name == cost.resource) {
            held.spend(1);
        }
        if let Some(owner) = &cost.owner {
            self.owners.remove(owner);
        }
    }

    /// Returns whether a write to this owner has to wait, by the store's response.
    pub(super) fn waits_to_write(&self, now: Instant, owner: &str) -> bool {
        match self.owners.get(owner) {
            Some(Write::Waits(until) | Write::Granted(until)) => *until > now,
            None => false,
        }
    }

    /// Returns the time until which a call has to wait by the ledger's response, for limits without a share for this
    /// client.
    pub(super) fn told_to_wait(
        &self,
        now: Instant,
        cost: &Cost,
        limited: bool,
    ) -> Option<(Rule, Instant)> {
        if let Some(owner) = &cost.owner
            && let Some(Write::Waits(until)) = self.owners.get(owner)
            && *until > now
        {
            return Some((Rule::Writes(owner.clone()), *until));
        }
        let held = self.budgets.iter().find(|(name, _)| limited && *name == cost.resource);
        let until = held.and_then(|(_, held)| held.wait).filter(|until| *until > now)?;
        Some((Rule::Primary(cost.resource.clone()), until))
    }

    /// Returns the limit for which the ledger's response requires the call to wait, if that is still valid: it has
    /// precedence over this client's share.
    pub(super) fn decided(
        &self,
        now: Instant,
        cost: &Cost,
        windows: &[(usize, Rule, u32)],
        limited: bool,
    ) -> Option<Rule> {
        let stands = |until: Instant| after(until, self.stands) > now;
        if let Some(owner) = &cost.owner
            && let Some(Write::Waits(until)) = self.owners.get(owner)
            && stands(*until)
        {
            return Some(Rule::Writes(owner.clone()));
        }
        let mut windows = windows.iter();
        if let Some((_, rule, _)) =
            windows.find(|(index, ..)| self.windows[*index].wait.is_some_and(stands))
        {
            return Some(rule.clone());
        }
        let held = self.budgets.iter().find(|(name, _)| limited && *name == cost.resource);
        let waits = held.and_then(|(_, held)| held.wait).is_some_and(stands);
        waits.then(|| Rule::Primary(cost.resource.clone()))
    }

    /// Returns whether the client has never received a lease, and the store can be merely slow: then its share is
    /// unknown.
    pub(super) fn is_starting(&self, now: Instant) -> bool {
        let is_recent = |first| now < after(first, START);
        self.epoch.is_none()
            && self.contact != Contact::Apart
            && self.first_asked.is_none_or(is_recent)
    }

    /// Returns the time until which a window blocks a call of a starting client. Such a client spends a sixtieth of the
    /// limit at once (of a small limit, three units), and then at half the rate that the limit allows. A first call is
    /// always within the bound.
    pub(super) fn starts_after(
        &self,
        now: Instant,
        index: usize,
        amount: u32,
        limit: u32,
    ) -> Option<Instant> {
        let spent = self.windows[index].ahead();
        if spent == 0 {
            return None;
        }
        let at_once = (limit / 60).max((limit / 10).min(3));
        let later = spent.saturating_add(amount).saturating_sub(at_once);
        let passed = NAMES[index].1.saturating_mul(2).saturating_mul(later).checked_div(limit);
        let first = self.first_asked.unwrap_or(now);
        let until = after(first, passed.unwrap_or(START).min(START));
        (until > now).then_some(until)
    }

    /// Returns how many calls can be in flight while the store is unavailable: the granted number, until the other
    /// clients' calls above their share have ended; then the share.
    pub(super) fn slots_alone(&self, now: Instant, all: u32) -> u32 {
        let share = all.checked_div(self.share()).unwrap_or(all).max(1);
        match self.contact {
            Contact::Lost(_) if self.is_starting(now) => STARTING_SLOTS,
            Contact::Lost(since) if self.epoch.is_some() && now < after(since, OTHERS_END) => {
                // The ledger reserves one slot for each known member, if there are enough.
                let known = since < after(self.heard, OTHERS_END) && share > 1;
                let granted = self.allotted.max(u32::from(!known));
                // If the last request arrived, the ledger counts the number in it, and possibly no more.
                share.min(granted).min(self.running_asked.max(1))
            }
            Contact::Lost(_) => share,
            _ => all,
        }
    }

    /// Returns the number of calls in flight for a request: while the store is unavailable, the largest number that
    /// there can be until it responds.
    pub(super) fn running_told(&self, now: Instant, running: u32, all: Option<u32>) -> u32 {
        match all {
            Some(all) if !self.leads() && self.epoch.is_some() => {
                running.max(self.slots_alone(now, all))
            }
            _ => running,
        }
    }

    /// Returns how many calls can be in flight if the store responds too late: the number that the store certainly
    /// counts for this client, which is the last grant, or the calls in flight at the next request. Each known client
    /// can have one.
    pub(super) fn slots_late(&self, all: u32) -> u32 {
        let share = all.checked_div(self.members).unwrap_or(all).max(1);
        share.min(self.allotted).min(self.running_asked.max(1))
    }

    /// Returns whether this client's share of the last known free amount still covers this amount.
    pub(super) fn has_share(&self, index: usize, amount: u32) -> bool {
        let held = &self.windows[index];
        let share = held.free_share(self.members).unwrap_or(u32::MAX);
        held.ahead().saturating_add(amount) <= share
    }

    /// Records the cost beside windows of a call that is admitted without a lease.
    pub(super) fn advance(&mut self, now: Instant, cost: &Cost) {
        if let Some((_, held)) = self.budgets.iter_mut().find(|(name, _)| *name == cost.resource) {
            held.advance = held.advance.saturating_add(1);
        }
        if let Some(owner) = &cost.owner
            && (self.written.len() < MAX_OWNERS || self.written.contains_key(owner))
        {
            self.written.insert(owner.clone(), now);
        }
    }

    /// Returns whether there is spending without a lease to report to the ledger.
    pub(super) fn owes(&self) -> bool {
        self.windows.iter().any(|held| held.apart.is_some())
    }

    /// Returns the owners of writes without a lease, and how long ago, as far as the next write still waits for them.
    pub(super) fn tell_written(
        &mut self,
        now: Instant,
        between: Duration,
    ) -> BTreeMap<String, u64> {
        self.written.retain(|_, at| after(*at, between) > now);
        let ago = |at: &Instant| now.saturating_duration_since(*at).as_millis();
        let written = self.written.iter();
        written
            .map(|(owner, at)| (owner.to_string(), u64::try_from(ago(at)).unwrap_or(u64::MAX)))
            .collect()
    }

    /// Returns the time until which a window blocks a call while the store is unavailable: for the length of the
    /// window, a client spends at most its share of the amount that was free at the last response.
    pub(super) fn alone(
        &self,
        now: Instant,
        index: usize,
        amount: u32,
        kept: Duration,
    ) -> Option<Instant> {
        let Contact::Lost(since) = self.contact else { return None };
        let end = after(since, kept);
        (now < end && self.windows[index].alone < amount).then_some(end)
    }

    /// Sets the spendable amounts to zero while a request that returns them is in flight. The request reports `told`
    /// calls in flight, of which `running` are.
    pub(super) fn freeze(&mut self, now: Instant, running: u32, told: u32, slots_asked: u32) {
        self.serial = self.serial.saturating_add(1);
        self.asked = now;
        self.first_asked.get_or_insert(now);
        self.slots_asked = slots_asked;
        self.running_asked = told;
        self.overstated = told > running;
        self.slots = self.slots.min(running);
        let budgets = self.budgets.iter_mut().map(|(_, held)| held);
        for held in self.windows.iter_mut().chain(budgets) {
            held.returning = held.unspent();
            held.units = 0;
            held.spent = 0;
            held.told = held.ahead();
            held.advance = 0;
        }
    }

    /// Returns whether there is an amount to return.
    pub(super) fn holds(&self) -> bool {
        let budgets = self.budgets.iter().map(|(_, held)| held);
        self.contact == Contact::Held
            && (self.slots > 1 || self.windows.iter().chain(budgets).any(|held| held.units > 0))
    }

    /// Returns when the first lease with a rest expires.
    pub(super) fn over(&self) -> Option<Instant> {
        let budgets = self.budgets.iter().map(|(_, held)| held);
        let held = self.windows.iter().chain(budgets).filter(|held| held.units > 0);
        held.filter_map(|held| held.until).min()
    }

    /// Applies the response of the store. Returns the pause of the identity, if there is one.
    ///
    /// `time` is the time in windows, and `limits` are those of the windows.
    pub(super) fn apply(
        &mut self,
        now: Instant,
        lease: Lease,
        time: u64,
        limits: [u32; 4],
    ) -> Option<Pause> {
        let (asked, until) = (self.asked, Some(after(self.asked, LEASE)));
        let wait_until = |wait: u64| (wait > 0).then(|| after(now, Duration::from_millis(wait)));
        self.unknown = lease.unknown;
        let budgets = self.budgets.iter_mut().map(|(_, held)| held);
        for held in self.windows.iter_mut().chain(budgets) {
            held.returning = 0;
        }
        if lease.unknown {
            return None;
        }
        self.contact = Contact::Held;
        self.answered = self.serial;
        self.heard = now;
        self.known_pause = self.told_pause;
        self.epoch = Some(lease.epoch);
        self.members = lease.members.max(1);
        let fruitful = lease.slots > self.slots
            || lease.windows.values().any(|window| window.granted > 0)
            || lease.budgets.values().any(|budget| budget.granted > 0)
            || lease.owners.values().any(|wait| *wait == 0);
        self.fruitless = (!fruitful).then(|| after(now, LATER));
        self.slots = lease.slots;
        self.allotted = lease.slots;
        self.slots_wait = (lease.slots < self.slots_asked).then(|| after(now, LATER));
        for (index, (name, _)) in NAMES.iter().enumerate() {
            let held = &mut self.windows[index];
            let granted = lease.windows.get(*name);
            // The request reported the earlier spending without a lease. Later spending is subtracted from the grant,
            // and the next request reports the excess.
            let paid = granted.map_or(0, |granted| granted.granted.min(held.advance));
            let owed = held.advance.saturating_sub(paid);
            (held.advance, held.told) = (owed, 0);
            held.apart = (owed > 0).then(|| {
                let mut apart = Window::new(limits[index], NAMES[index].1);
                apart.add(time, owed);
                Box::new(apart)
            });
            if let Some(granted) = granted {
                held.units = granted.granted.saturating_sub(paid);
                held.part = granted.part;
                held.free = Some(granted.free);
                held.unreported_until = wait_until(granted.unreported);
                held.until = until;
                held.wait = wait_until(granted.wait);
            }
        }
        for (name, granted) in lease.budgets {
            let position = self.budgets.iter().position(|(known, _)| *known == *name);
            let position = position.unwrap_or_else(|| {
                self.budgets.push((Cow::Owned(name), Held::default()));
                self.budgets.len().saturating_sub(1)
            });
            let held = &mut self.budgets[position].1;
            held.units = granted.granted.saturating_sub(std::mem::take(&mut held.advance));
            // They count as spent for as long as the ledger knows this client.
            held.until = Some(after(self.asked, TWO_HEARTBEATS));
            held.wait = wait_until(granted.wait);
        }
        let stands = self.stands;
        self.owners.retain(|_, write| match write {
            Write::Granted(until) => *until > now,
            Write::Waits(until) => after(*until, stands) > now,
        });
        // The request reported the others.
        self.written.retain(|_, at| *at > asked);
        for (owner, wait) in lease.owners {
            let write = match wait {
                0 => Write::Granted(after(now, WRITE_VALID)),
                wait => Write::Waits(after(now, Duration::from_millis(wait))),
            };
            let taken = wait == 0 && self.written.contains_key(owner.as_str());
            let owner = owner.into_boxed_str();
            let has_room = self.owners.len() < MAX_OWNERS || self.owners.contains_key(&owner);
            if taken {
                self.owners.remove(&owner);
            } else if has_room {
                self.owners.insert(owner, write);
            }
        }
        lease.pause
    }

    /// Records that the store is unavailable.
    pub(super) fn lose(&mut self, now: Instant) {
        if let Contact::Lost(_) = self.contact {
            return;
        }
        self.contact = Contact::Lost(now);
        for held in &mut self.windows {
            // A client that has never known of others is alone.
            let share = held.free_share(self.members).unwrap_or(u32::MAX);
            held.alone = share.saturating_sub(held.ahead());
        }
    }

    /// Returns the number of clients at the last response; one, if this client made no call for long.
    pub(super) fn expected(&self, now: Instant) -> u32 {
        let idle = self.leads() && after(self.heard, MEMBERS_KNOWN) <= now;
        if idle { 1 } else { self.members }
    }

    /// Returns how many calls the client can have in flight without a lease.
    pub(super) fn slots_spare(&self, now: Instant, all: u32) -> u32 {
        if self.leads() { self.allotted } else { self.slots_alone(now, all) }
    }

    /// Returns for how long the spending of departed clients can count in a window.
    pub(super) fn unreported(&self, now: Instant, index: usize) -> Duration {
        let until = self.windows[index].unreported_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Returns the amount of a window that the client can spend without a lease; `None` if it would be the only client.
    pub(super) fn spare(&self, now: Instant, index: usize, kept: Duration) -> Option<u32> {
        let held = &self.windows[index];
        match self.contact {
            Contact::Lost(since) if now < after(since, kept) => held.free.map(|_| held.alone),
            Contact::Lost(_) => None,
            _ => held.free_share(self.members),
        }
    }

    /// Records spending in a window without a response of the store.
    pub(super) fn spend_alone(&mut self, index: usize, time: u64, amount: u32, limit: u32) {
        let held = &mut self.windows[index];
        let apart = || Box::new(Window::new(limit, NAMES[index].1));
        held.apart.get_or_insert_with(apart).add(time, amount);
        held.alone = held.alone.saturating_sub(amount);
        held.advance = held.advance.saturating_add(amount);
    }
}

impl Held {
    /// Returns one client's part of the unused amount.
    fn free_share(&self, members: u32) -> Option<u32> {
        self.free.map(|free| free.checked_div(members).unwrap_or(free))
    }

    /// Returns the amount that the next request returns.
    pub(super) fn unspent(&self) -> u32 {
        self.units.saturating_add(self.returning)
    }

    /// Returns the amount that was spent without a lease since the last response.
    fn ahead(&self) -> u32 {
        self.told.saturating_add(self.advance)
    }

    fn left(&self, now: Instant) -> u32 {
        if self.until.is_some_and(|until| until > now) { self.units } else { 0 }
    }

    fn spend(&mut self, amount: u32) {
        self.units = self.units.saturating_sub(amount);
        self.spent = self.spent.saturating_add(amount);
    }

    /// Returns the amount to request: the demand of waiting calls, but at most the amount that can be spent while the
    /// lease is valid.
    pub(super) fn want(&self, waiting: u32, least: u32, asked: Duration) -> u32 {
        let spent = u64::from(self.spent).saturating_mul(VALID);
        // The spending in half a second at the rate since the last request.
        let passed = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX).max(VALID);
        let likely = u32::try_from(spent.checked_div(passed).unwrap_or(spent)).unwrap_or(u32::MAX);
        waiting.min(likely.saturating_mul(2).max(ENOUGH)).max(likely).max(least)
    }
}

/// The minimum amount of a request, if enough calls wait.
const ENOUGH: u32 = 50;

/// The shared windows: their names in the ledger, and their lengths.
pub(super) const NAMES: [(&str, Duration); 4] = [
    ("points", Duration::from_secs(60)),
    ("graphql_points", Duration::from_secs(60)),
    ("content_a_minute", Duration::from_secs(60)),
    ("content_an_hour", Duration::from_secs(60 * 60)),
];

/// Returns for how long a client without the store considers the earlier spending of others in a window.
pub(super) fn alone(length: Duration) -> Duration {
    // The longest time that requests take to arrive.
    length.saturating_add(Duration::from_secs(2))
}

/// The demand of waiting calls for leased limits.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) calls: u32,
    /// For each window: the demand of all calls, and of the first one.
    pub(super) windows: [(u32, u32); 4],
    pub(super) budgets: BTreeMap<Cow<'static, str>, u32>,
    pub(super) owners: Vec<String>,
}

/// The maximum number of owners in one request.
const OWNERS_ASKED: usize = 32;

impl Demand {
    /// Counts a call, unless it is a write that has to wait for another one.
    pub(super) fn add(&mut self, cost: &Cost, windows: &[(usize, Rule, u32)], paced: bool) {
        if let Some(owner) = cost.owner.as_ref().filter(|_| paced) {
            if self.owners.len() >= OWNERS_ASKED
                || self.owners.iter().any(|known| **known == **owner)
            {
                return;
            }
            self.owners.push(owner.clone().into());
        }
        self.calls = self.calls.saturating_add(1);
        for (index, _, amount) in windows {
            let (sum, first) = &mut self.windows[*index];
            *sum = sum.saturating_add(*amount);
            if *first == 0 {
                *first = *amount;
            }
        }
        let calls = self.budgets.entry(cost.resource.clone()).or_default();
        *calls = calls.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
