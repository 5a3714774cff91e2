//! What a client holds of the limits that it shares with a fleet, and what it asks for.

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

/// Leases of one client, of one identity.
///
/// It asks for what the calls that wait can spend in the next half second. What it has is spent
/// without asking, and given back with the next request.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Random: who this is among the others.
    pub(super) member: String,
    /// The ledger that it has heard from.
    pub(super) epoch: Option<String>,
    /// The last request, and the last that was answered.
    pub(super) serial: u64,
    pub(super) answered: u64,
    /// Whether the ledger said that it does not know this client.
    pub(super) unknown: bool,
    pub(super) members: u32,
    pub(super) contact: Contact,
    /// When the store answered last.
    heard: Instant,
    /// When it asked last, and first.
    pub(super) asked: Instant,
    first_asked: Option<Instant>,
    /// When it let a call through last.
    pub(super) used: Instant,
    slots: u32,
    /// What the last lease said of them.
    allotted: u32,
    slots_asked: u32,
    /// The calls under way that the last request told, and whether those are more than there were.
    running_asked: u32,
    pub(super) overstated: bool,
    slots_wait: Option<Instant>,
    /// When to ask again after an answer that granted nothing at all.
    fruitless: Option<Instant>,
    pub(super) windows: [Held; 4],
    pub(super) budgets: Vec<(Cow<'static, str>, Held)>,
    owners: HashMap<Box<str>, Write>,
    /// Owners of what was written to without asking, and when: the ledger was not told of it yet.
    pub(super) written: HashMap<Box<str>, Instant>,
    /// How long an answer of the ledger stands beyond the time that it names: while the next request may
    /// still be answered.
    stands: Duration,
    /// The end of the pause that all know of, and the one that the request under way tells.
    pub(super) known_pause: Option<Instant>,
    pub(super) told_pause: Option<Instant>,
}

/// Whether the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It was not asked yet.
    Never,
    Held,
    /// It does not answer, since then.
    Lost(Instant),
    /// It does not share limits.
    Apart,
}

/// What is left of a lease.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) units: u32,
    /// What requests gave back that were not answered yet.
    returning: u32,
    /// Until when it is good.
    until: Option<Instant>,
    /// When to ask for more.
    wait: Option<Instant>,
    pub(super) part: u64,
    /// What was spent since the last request.
    pub(super) spent: u32,
    /// The least that nobody had for a while before it was granted.
    free: Option<u32>,
    /// Until when clients that are gone may have spent of it.
    unreported_until: Option<Instant>,
    /// What may be spent alone, in the first window's length.
    alone: u32,
    /// What was spent alone, which the ledger was not told.
    pub(super) apart: Option<Box<Window>>,
    /// What of it was spent since the last request, which the answer to that pays for first.
    advance: u32,
    /// What of it the request under way tells.
    told: u32,
}

#[derive(Clone, Copy, Debug)]
enum Write {
    /// It may go until then.
    Granted(Instant),
    /// Not before then.
    Waits(Instant),
}

/// The time between two requests while calls are in flight; twice that while calls only wait. The
/// ledger forgets a member that is silent for 10 s, and a ledger that has lost its data learns within
/// that time what was spent.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(4);
const TWO_HEARTBEATS: Duration = Duration::from_secs(2 * HEARTBEAT.as_secs());
/// Who was there so long ago may be gone.
const MEMBERS_KNOWN: Duration = Duration::from_secs(70);
pub(super) const LATER: Duration = Duration::from_millis(100);
/// A write that was let through goes at once.
const WRITE_VALID: Duration = Duration::from_millis(200);
/// GitHub gives up on a request after that, so that nobody else's are under way by then.
const OTHERS_END: Duration = Duration::from_secs(10);
pub(super) const LEASE: Duration = Duration::from_millis(VALID);
const MAX_OWNERS: usize = 1_000;
/// A client that has not heard from its ledger for so long counts as alone. Before that, the store may only
/// be slow, and other clients that start at the same moment be in the same position.
const START: Duration = OTHERS_END;
/// How many calls such a client has in flight. The ledger leaves a part of the limit to clients that it does not
/// know yet.
pub(super) const STARTING_SLOTS: u32 = 1;

impl Fleet {
    /// `timeout` is how long the store may take to answer.
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
            // One request may be under way when it is time for the next.
            stands: timeout.saturating_mul(2),
            known_pause: None,
            told_pause: None,
        }
    }

    /// Whether leases decide: the store answers, or is about to be asked for the first time.
    pub(super) fn leads(&self) -> bool {
        matches!(self.contact, Contact::Never | Contact::Held)
    }

    /// How many share the limits while the store does not answer, each with its part.
    pub(super) fn share(&self) -> u32 {
        match self.contact {
            Contact::Lost(_) => self.members.max(1),
            _ => 1,
        }
    }

    /// What keeps a call back for which there is no lease.
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
        // What has a time to wait for goes first: without it, the store would be asked all the time.
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

    /// Spends what a call takes.
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

    /// Whether a write to this owner waits by what the store said.
    pub(super) fn waits_to_write(&self, now: Instant, owner: &str) -> bool {
        match self.owners.get(owner) {
            Some(Write::Waits(until) | Write::Granted(until)) => *until > now,
            None => false,
        }
    }

    /// Until when the ledger said that a call has to wait, of limits of which it leaves no share to this
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

    /// The limit of which the ledger has said that the call has to wait, if that still stands: what it
    /// said goes before this client's share.
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

    /// Whether the client has never heard from its ledger, and the store may only be slow: it does not know
    /// its share then.
    pub(super) fn is_starting(&self, now: Instant) -> bool {
        let is_recent = |first| now < after(first, START);
        self.epoch.is_none()
            && self.contact != Contact::Apart
            && self.first_asked.is_none_or(is_recent)
    }

    /// Until when a window blocks a call of a client that is starting. Such a client spends a sixtieth of
    /// the limit at once (of a small limit, three units), and then at half the rate that the limit allows. A
    /// first call always fits.
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

    /// How many calls may be under way while the store does not answer: what it granted, until the
    /// others' calls have ended that were more than their share; then the share.
    pub(super) fn slots_alone(&self, now: Instant, all: u32) -> u32 {
        let share = all.checked_div(self.share()).unwrap_or(all).max(1);
        match self.contact {
            Contact::Lost(_) if self.is_starting(now) => STARTING_SLOTS,
            Contact::Lost(since) if self.epoch.is_some() && now < after(since, OTHERS_END) => {
                // The ledger leaves one to each that it knows, where there are as many.
                let known = since < after(self.heard, OTHERS_END) && share > 1;
                let granted = self.allotted.max(u32::from(!known));
                // If the last request arrived, the ledger counts what it told, and maybe no more.
                share.min(granted).min(self.running_asked.max(1))
            }
            Contact::Lost(_) => share,
            _ => all,
        }
    }

    /// How many calls a request tells to be under way: while the store does not answer, as many as there may
    /// be at any time until it does.
    pub(super) fn running_told(&self, now: Instant, running: u32, all: Option<u32>) -> u32 {
        match all {
            Some(all) if !self.leads() && self.epoch.is_some() => {
                running.max(self.slots_alone(now, all))
            }
            _ => running,
        }
    }

    /// How many calls may be under way if the store answers too late: what it surely counts for this
    /// client, which is what it granted last, or what was under way when it was asked again. Each client
    /// that it knows may have one.
    pub(super) fn slots_late(&self, all: u32) -> u32 {
        let share = all.checked_div(self.members).unwrap_or(all).max(1);
        share.min(self.allotted).min(self.running_asked.max(1))
    }

    /// Whether so much is left of this client's share of what was free when the store answered last.
    pub(super) fn has_share(&self, index: usize, amount: u32) -> bool {
        let held = &self.windows[index];
        let share = held.free_share(self.members).unwrap_or(u32::MAX);
        held.ahead().saturating_add(amount) <= share
    }

    /// Notes what a call takes beside windows that goes without asking.
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

    /// Whether something was spent alone that the ledger has to be told.
    pub(super) fn owes(&self) -> bool {
        self.windows.iter().any(|held| held.apart.is_some())
    }

    /// What was written to alone, and how long ago, as far as the next write still waits for it.
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

    /// Until when a window keeps a call back while the store does not answer: for its length, a
    /// client spends no more than its share of what was free when it heard last.
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

    /// Leaves nothing to spend while a request is under way that gives it back.
    /// `told` calls are told to be in flight, of which `running` are.
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

    /// Whether there is something to give back.
    pub(super) fn holds(&self) -> bool {
        let budgets = self.budgets.iter().map(|(_, held)| held);
        self.contact == Contact::Held
            && (self.slots > 1 || self.windows.iter().chain(budgets).any(|held| held.units > 0))
    }

    /// When the first lease is over of which something is left.
    pub(super) fn over(&self) -> Option<Instant> {
        let budgets = self.budgets.iter().map(|(_, held)| held);
        let held = self.windows.iter().chain(budgets).filter(|held| held.units > 0);
        held.filter_map(|held| held.until).min()
    }

    /// Takes over what the store answers. Gives the pause of the identity, if there is one.
    ///
    /// `time` is that of windows, and `limits` are theirs.
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
            // The request told what was spent alone before it. What was since takes of the grant, and the
            // next request tells what is more than that.
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
            // They count as spent for as long as the ledger remembers this client.
            held.until = Some(after(self.asked, TWO_HEARTBEATS));
            held.wait = wait_until(granted.wait);
        }
        let stands = self.stands;
        self.owners.retain(|_, write| match write {
            Write::Granted(until) => *until > now,
            Write::Waits(until) => after(*until, stands) > now,
        });
        // The request told the others.
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

    /// The store does not answer.
    pub(super) fn lose(&mut self, now: Instant) {
        if let Contact::Lost(_) = self.contact {
            return;
        }
        self.contact = Contact::Lost(now);
        for held in &mut self.windows {
            // Who has never heard of others is alone.
            let share = held.free_share(self.members).unwrap_or(u32::MAX);
            held.alone = share.saturating_sub(held.ahead());
        }
    }

    /// How many clients there were when it heard last; one, if it made no call for long.
    pub(super) fn expected(&self, now: Instant) -> u32 {
        let idle = self.leads() && after(self.heard, MEMBERS_KNOWN) <= now;
        if idle { 1 } else { self.members }
    }

    /// How many calls it might have under way if it asked nobody.
    pub(super) fn slots_spare(&self, now: Instant, all: u32) -> u32 {
        if self.leads() { self.allotted } else { self.slots_alone(now, all) }
    }

    /// For how long clients that are gone may have spent of a window.
    pub(super) fn unreported(&self, now: Instant, index: usize) -> Duration {
        let until = self.windows[index].unreported_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// What it might spend of a window if it asked nobody; `None` if it would be the only client.
    pub(super) fn spare(&self, now: Instant, index: usize, kept: Duration) -> Option<u32> {
        let held = &self.windows[index];
        match self.contact {
            Contact::Lost(since) if now < after(since, kept) => held.free.map(|_| held.alone),
            Contact::Lost(_) => None,
            _ => held.free_share(self.members),
        }
    }

    /// What this client spends of a window without an answer of the store.
    pub(super) fn spend_alone(&mut self, index: usize, time: u64, amount: u32, limit: u32) {
        let held = &mut self.windows[index];
        let apart = || Box::new(Window::new(limit, NAMES[index].1));
        held.apart.get_or_insert_with(apart).add(time, amount);
        held.alone = held.alone.saturating_sub(amount);
        held.advance = held.advance.saturating_add(amount);
    }
}

impl Held {
    /// One client's part of what nobody had.
    fn free_share(&self, members: u32) -> Option<u32> {
        self.free.map(|free| free.checked_div(members).unwrap_or(free))
    }

    /// What is given back with the next request.
    pub(super) fn unspent(&self) -> u32 {
        self.units.saturating_add(self.returning)
    }

    /// What was spent alone since the last answer.
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

    /// As much as is asked for: what waits, but no more than can be spent while the lease is good.
    pub(super) fn want(&self, waiting: u32, least: u32, asked: Duration) -> u32 {
        let spent = u64::from(self.spent).saturating_mul(VALID);
        // In half a second as much as since the last request, or as it was asked for.
        let passed = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX).max(VALID);
        let likely = u32::try_from(spent.checked_div(passed).unwrap_or(spent)).unwrap_or(u32::MAX);
        waiting.min(likely.saturating_mul(2).max(ENOUGH)).max(likely).max(least)
    }
}

/// As many units are asked for at least, if so many calls wait.
const ENOUGH: u32 = 50;

/// The windows that are shared, by their names in the ledger, with their lengths.
pub(super) const NAMES: [(&str, Duration); 4] = [
    ("points", Duration::from_secs(60)),
    ("graphql_points", Duration::from_secs(60)),
    ("content_a_minute", Duration::from_secs(60)),
    ("content_an_hour", Duration::from_secs(60 * 60)),
];

/// How long a client that is on its own minds what others may have spent of a window before.
pub(super) fn alone(length: Duration) -> Duration {
    // As long as requests may take to arrive.
    length.saturating_add(Duration::from_secs(2))
}

/// What calls that wait need, of the limits that leases are for.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) calls: u32,
    /// Of each window: what all need, and what the first of them does.
    pub(super) windows: [(u32, u32); 4],
    pub(super) budgets: BTreeMap<Cow<'static, str>, u32>,
    pub(super) owners: Vec<String>,
}

/// As many owners as one request asks for.
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
