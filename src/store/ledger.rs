//! The limits of one identity that a fleet shares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::bounds::{LONGEST_PAUSE, MAX_LEVEL, MAX_NUMBER, Version, is_member, is_name};
pub(super) use self::counted::kept;
use self::counted::{Change, Counted, ends, part};
use self::gathering::Gathering;
use super::lease::{
    BudgetAsk, BudgetGrant, BudgetTold, Join, LATER, Lease, LeaseRequest, Pause, VALID, WindowAsk,
    WindowGrant,
};

/// The quota ledger of one identity: the shares of its limits that the members of a fleet hold.
///
/// It is the arithmetic behind [`Store::lease`](super::Store::lease), and has no clock and no lock. A custom store that
/// can change a value atomically reads the ledger (in any `serde` format), calls [`lease`](Self::lease) with its
/// server's time, and writes the ledger back. The ledger carries the version of its format, and is not read if that is
/// another one. If a ledger cannot be read, the store starts again with [`Ledger::default`]: clients report their
/// spending to it.
///
/// For requests of any content in any order, and with any clients lost meanwhile: no interval of a window's length has
/// more than its limit, and clients send no more calls than GitHub reported as remaining.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    version: Version,
    /// The time of the last request.
    time: u64,
    epoch: String,
    gathering: Gathering,
    members: BTreeMap<String, Member>,
    windows: BTreeMap<String, Counted>,
    budgets: BTreeMap<String, Budget>,
    /// The time of the next permitted write to the resources of each owner.
    owners: BTreeMap<String, u64>,
    /// The time of the last request from the member that departed last; zero if none has departed.
    departed: u64,
    pause: Option<Penalty>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    seen: u64,
    /// The amount of each window that the member can spend without further leases.
    alone: BTreeMap<String, u32>,
    running: u32,
    slots: u32,
    /// Whether the member wants more slots than it has, though it has less than its share.
    starved: bool,
    outstanding: BTreeMap<String, u64>,
    /// Its first request since it joined.
    first: u64,
    /// Its last request, and the changes of that request: if the response was lost, they are undone.
    serial: u64,
    last: Changes,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// The slots that the member reported when it was counted among the returned ones.
    told: Option<u32>,
    windows: BTreeMap<String, Change>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// Zero while it is unknown.
    limit: u64,
    remaining: u64,
    /// Zero while it is unknown.
    reset: u64,
    /// The time of the next permitted call, if calls are spread.
    next: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Penalty {
    until: u64,
    level: u32,
    /// The member that probes whether the pause was long enough.
    prober: String,
    prober_until: u64,
}

/// A member without a request for this time, in milliseconds, has departed; a member with calls in flight sends
/// requests twice as often.
const GONE: u64 = 10_000;
/// For this time, in milliseconds, a member that wanted more still counts as wanting more.
const STARVED: u64 = 2_000;
/// The maximum number of calls that probe an unknown primary limit.
const SCOUTS: u64 = 10;
/// Resets of a primary limit that differ by less, in milliseconds, belong to the same window.
const SAME_WINDOW: u64 = 10_000;
/// GitHub reports whole seconds, and its servers' clocks differ by as much.
pub(super) const AFTER_RESET: u64 = 1_000;
/// The divisor of a limit that gives the minimum grant: a member waits until this part of the window is free, so that
/// it does not poll for fragments.
const WORTHWHILE: u32 = 60;
/// The time in milliseconds after which a pause without a successful probe is dropped.
const FORGOTTEN: u64 = 600_000;
/// The longest time in milliseconds for which spending counts in any window.
pub(super) const LONGEST: u64 = 2 * 60 * 60 * 1_000;
/// The maximum number of owners that the ledger keeps.
const MAX_OWNERS: usize = 10_000;
pub(super) const MAX_MEMBERS: usize = 1_000;
const MAX_NAMES: usize = 64;

impl Ledger {
    /// Responds to a request, at this time in milliseconds: by any clock, but the same for all requests. If the clock
    /// was set back since the last request, times are counted as if no time had passed.
    ///
    /// A ledger with numbers out of bounds is replaced by an empty one.
    pub fn lease(&mut self, now: u64, ask: &LeaseRequest) -> Lease {
        // Times that are later than now are within bounds as well.
        let now = now.min(MAX_NUMBER - LONGEST_PAUSE);
        if !self.is_sound() {
            *self = Self::default();
        }
        let known = ask.epoch.as_ref() == Some(&self.epoch) && !self.epoch.is_empty();
        // A request that was overtaken has no caller that waits for its response.
        let late = self.members.get(&ask.member).is_some_and(|member| {
            ask.serial < member.serial && now < member.seen.saturating_add(GONE)
        });
        if late || !is_member(&ask.member) || (ask.join.is_none() && !known) {
            return Lease { unknown: true, epoch: self.epoch.clone(), ..Lease::default() };
        }
        self.settle(now, ask);
        self.forget(now);
        // A member that was removed can have returned its lease already, and its changes are unknown.
        let before = self.members.get(&ask.member);
        let gives_back = known && before.is_some_and(|member| ask.heard >= member.first);
        self.undo(ask);
        let mut changes = Changes::default();
        if let Some(join) = &ask.join {
            self.join(now, join, ask, known, &mut changes);
        }
        self.hear(now, ask, gives_back, &mut changes);
        let mut lease = Lease { epoch: self.epoch.clone(), ..Lease::default() };
        lease.pause = self.paused(now, ask);
        let probe = lease.pause.is_none() && self.pause.is_some();
        let open = lease.pause.is_none();
        lease.members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        lease.slots = self.slots(now, ask, open, probe);
        let mut enough = open && lease.slots > ask.running;
        for (name, window) in &ask.windows {
            let most = if !open {
                0
            } else if probe {
                window.least
            } else {
                u32::MAX
            };
            let granted = self.window(now, name, window, most, &ask.member, &mut changes);
            enough &= window.want == 0 || granted.granted >= window.least;
            lease.windows.insert(name.clone(), granted);
        }
        for (name, budget) in &ask.budgets {
            let most = if !open {
                0
            } else if probe {
                1
            } else {
                u32::MAX
            };
            let granted = self.budget(now, name, budget, most, ask, lease.members);
            enough &= budget.want == 0 || granted.granted > 0;
            lease.budgets.insert(name.clone(), granted);
        }
        for (owner, ago) in &ask.written {
            self.note_write(now, owner, *ago, ask.between_writes);
        }
        for owner in &ask.owners {
            let wait = self.pace_write(now, owner, ask.between_writes, enough);
            lease.owners.insert(owner.clone(), wait);
        }
        if let Some(member) = self.members.get_mut(&ask.member) {
            (member.serial, member.last) = (ask.serial.min(MAX_NUMBER), changes);
        }
        lease
    }

    /// Removes departed members and expired counts.
    fn forget(&mut self, now: u64) {
        let gone =
            self.members.iter().filter(|(_, member)| member.seen.saturating_add(GONE) <= now);
        let gone: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            let Some(member) = self.remove_member(&name) else { continue };
            // The member can have sent these calls, without a report of GitHub's response.
            for (name, lost) in member.outstanding {
                if let Some(budget) = self.budgets.get_mut(&name) {
                    budget.remaining = budget.remaining.saturating_sub(lost);
                }
            }
        }
        self.owners.retain(|_, next| *next > now);
        if self.pause.as_ref().is_some_and(|pause| pause.until.saturating_add(FORGOTTEN) <= now) {
            self.pause = None;
        }
    }

    /// Removes a member, and records until when it can have spent.
    fn remove_member(&mut self, name: &str) -> Option<Member> {
        let member = self.members.remove(name)?;
        self.departed = self.departed.max(member.seen);
        Some(member)
    }

    /// Undoes the last request of a member that has not received its response: the member repeats the request with all
    /// its values.
    fn undo(&mut self, ask: &LeaseRequest) {
        let Some(member) = self.members.get_mut(&ask.member) else { return };
        if member.serial == ask.heard {
            return;
        }
        let changes = std::mem::take(&mut member.last);
        for (name, change) in &changes.windows {
            if let Some(counted) = self.windows.get_mut(name) {
                counted.undo(change, self.gathering.lost);
            }
        }
        if let Some(slots) = changes.told {
            self.gathering.uncount(&ask.member, slots);
        }
    }

    /// Records the earlier spending of a client that is new to this ledger, or begins the ledger. Of a known client,
    /// the ledger lacks only its spending during an outage.
    fn join(
        &mut self,
        now: u64,
        join: &Join,
        ask: &LeaseRequest,
        known: bool,
        changes: &mut Changes,
    ) {
        self.gather(now, join, ask, known, changes);
        for (name, spent) in if known { &join.apart } else { &join.spent } {
            let Some(window) = ask.windows.get(name) else { continue };
            let Some(counted) = of(&mut self.windows, name) else { continue };
            let part = part(window.length);
            let change = changes.windows.entry(name.clone()).or_default();
            for (age, amount) in spent {
                let index = now.saturating_sub(*age) / part;
                // Expired spending is not counted.
                if ends(index, window.length) > now {
                    counted.add(index, *amount, change);
                }
            }
        }
    }

    /// Counts a client that returns after an outage.
    fn gather(
        &mut self,
        now: u64,
        join: &Join,
        ask: &LeaseRequest,
        known: bool,
        changes: &mut Changes,
    ) {
        let outage = now.saturating_sub(join.alone);
        if self.epoch.is_empty() {
            self.epoch = format!("{now}:{}", ask.member);
            self.gathering = Gathering { since: now, lost: true, ..Gathering::default() };
        } else if known && join.alone > 0 && outage > self.gathering.since {
            let before = std::mem::take(&mut self.gathering);
            let lost = before.is_partial(now);
            let unreported = if lost { before.unreported } else { BTreeMap::new() };
            self.gathering = Gathering {
                since: now,
                lost,
                slots: before.slots,
                unreported,
                ..Gathering::default()
            };
            if !lost {
                for counted in self.windows.values_mut() {
                    counted.spare = counted.low.min(counted.low_before);
                }
            }
        }
        let gathering = &mut self.gathering;
        if ask.epoch.is_none() {
            // A new client was not a member before.
            if gathering.expected > 0 && gathering.count(&ask.member) {
                gathering.expected = gathering.expected.saturating_add(1);
            }
            return;
        }
        // A client that the ledger knows and that had no outage reports only advance spending: no other clients are
        // expected to return.
        if !known || join.alone > 0 {
            gathering.expected = gathering.expected.max(join.members);
        }
        if !gathering.count(&ask.member) || known {
            return;
        }
        gathering.slots = gathering.slots.saturating_add(join.slots);
        changes.told = Some(join.slots);
        for (name, time) in &join.unreported {
            gathering.learn_unreported(name, now.saturating_add((*time).min(LONGEST)));
        }
        for (name, spare) in &join.spare {
            if let Some(counted) = of(&mut self.windows, name) {
                counted.add_spare(*spare, changes.windows.entry(name.clone()).or_default());
            }
        }
    }

    /// Records the values of the request.
    fn hear(&mut self, now: u64, ask: &LeaseRequest, gives_back: bool, changes: &mut Changes) {
        if self.members.len() >= MAX_MEMBERS && !self.members.contains_key(&ask.member) {
            // The member with the oldest request; it joins as a new one.
            let oldest = self.members.iter().min_by_key(|(_, member)| member.seen);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.remove_member(&oldest);
            }
        }
        let new = || Member { first: ask.serial.min(MAX_NUMBER), ..Member::default() };
        let member = self.members.entry(ask.member.clone()).or_insert_with(new);
        member.seen = now;
        if self.gathering.expected > 0 {
            self.gathering.count(&ask.member);
        }
        member.running = ask.running;
        member.slots = member.slots.min(ask.running);
        for (name, window) in &ask.windows {
            let Some(counted) = of(&mut self.windows, name) else { continue };
            counted.forget(now, window.length);
            let granted_in = window.part.min(now / part(window.length));
            let change = changes.windows.entry(name.clone()).or_default();
            let unspent = if gives_back { window.unspent } else { 0 };
            let unspent = counted.give_back(granted_in, unspent, change);
            if self.gathering.lost {
                counted.add_spare(unspent, change);
            }
        }
        for (name, budget) in &ask.budgets {
            let Some(known) = of(&mut self.budgets, name) else { continue };
            member.outstanding.insert(name.clone(), budget.outstanding.min(MAX_NUMBER));
            known.begin_anew(now);
            if let Some(told) = &budget.told {
                known.learn(now, told);
            }
        }
        match (&ask.pause, &mut self.pause) {
            (Some(told), pause) => {
                let before = pause.take().unwrap_or_default();
                *pause = Some(Penalty {
                    until: before.until.max(now.saturating_add(told.ends_in.min(LONGEST_PAUSE))),
                    level: before.level.max(told.level.min(MAX_LEVEL)),
                    ..Penalty::default()
                });
            }
            (None, Some(pause)) if ask.recovered && pause.until <= now => self.pause = None,
            _ => {}
        }
    }

    /// Returns the pause that this member keeps. When the pause is over, one member probes whether it was long enough.
    fn paused(&mut self, now: u64, ask: &LeaseRequest) -> Option<Pause> {
        let pause = self.pause.as_mut()?;
        if pause.until > now {
            return Some(Pause { ends_in: pause.until - now, level: pause.level });
        }
        if pause.prober_until <= now && ask.waiting > 0 {
            pause.prober.clone_from(&ask.member);
            // GitHub ends a call after the same time.
            pause.prober_until = now.saturating_add(GONE);
        }
        if pause.prober == ask.member && pause.prober_until > now {
            return None;
        }
        Some(Pause { ends_in: LATER, level: pause.level })
    }

    /// Returns how many calls the member can have in flight.
    fn slots(&mut self, now: u64, ask: &LeaseRequest, open: bool, probe: bool) -> u32 {
        let all = ask.concurrent.map_or(u32::MAX, |limit| {
            let left = limit.saturating_sub(self.gathering.slots_of_strangers(now, limit));
            self.gathering.slots(now, limit).min(left).max(1)
        });
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        let share = (all / count).max(1);
        // Each member has at least one slot, to continue with if it receives no further lease.
        let least = u32::from(share > 1);
        let others = || self.members.iter().filter(|(name, _)| **name != ask.member);
        let held = others().fold(0_u32, |sum, (_, member)| {
            sum.saturating_add(member.running.max(member.slots).max(least))
        });
        let starved =
            others().any(|(_, member)| member.starved && member.seen.saturating_add(STARVED) > now);
        let wanted = if !open {
            0
        } else if probe {
            1
        } else {
            ask.running.saturating_add(ask.waiting).max(least)
        };
        let most = if starved { share } else { all };
        let slots = wanted.min(most).min(all.saturating_sub(held));
        if let Some(member) = self.members.get_mut(&ask.member) {
            member.slots = slots;
            member.starved = open && !probe && slots < wanted && slots < share;
        }
        slots
    }

    fn window(
        &mut self,
        now: u64,
        name: &str,
        ask: &WindowAsk,
        most: u32,
        member: &str,
        changes: &mut Changes,
    ) -> WindowGrant {
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        let alone = |(_, other): (_, &Member)| other.alone.get(name).copied().unwrap_or_default();
        let others = self.members.iter().filter(|(known, _)| *known != member);
        let left_to_others = others.map(alone).fold(0, u32::saturating_add);
        let limit = ask.limit;
        let kept = kept(ask.length);
        let absent = self.gathering.absent(now, kept);
        let unreported = self.gathering.unreported_until(name, now, kept);
        let gone = self.departed.saturating_add(kept);
        let until = if self.departed > 0 { unreported.max(gone) } else { unreported };
        let unreported_for = until.saturating_sub(now);
        let Some(counted) = of(&mut self.windows, name) else { return WindowGrant::default() };
        // At most the limit, which a u32 holds.
        let free = u64::from(limit).saturating_sub(counted.sum());
        let free = u32::try_from(free).unwrap_or(limit);
        let free = self.gathering.free(free, counted.spare, absent, unreported > 0);
        let free = free.saturating_sub(left_to_others);
        // While earlier clients have not returned, their own bound applies to the free amount.
        let is_whole = absent == 0 && unreported == 0;
        let strangers = if is_whole { self.gathering.units_of_strangers(now, limit) } else { 0 };
        let free = free.saturating_sub(strangers);
        let least = ask.least.min(limit.max(1));
        // No member gets all of the rest while there are others.
        let worth = ask.want.min(limit / WORTHWHILE).max(least);
        let share = (free / members.max(1)).max(worth);
        let granted = ask.want.min(share).min(free).min(most);
        let granted = if granted < least { 0 } else { granted };
        let now_part = now / part(ask.length);
        let mut wait = 0;
        if granted > 0 {
            let change = changes.windows.entry(name.to_owned()).or_default();
            counted.add(now_part, granted, change);
            if self.gathering.lost {
                counted.take_spare(granted, change);
            }
        }
        if granted < ask.want {
            wait = counted.wait(now, ask.length, limit, worth).max(2 * LATER);
            // A member can return the latest grants.
            if counted.since(now.saturating_sub(2 * VALID), ask.length) > 0 {
                wait = wait.min(4 * VALID);
            }
            if left_to_others > 0 || (granted == 0 && strangers > 0) {
                wait = wait.max(VALID);
            }
            if absent > 0 {
                wait = LATER;
            } else if unreported > 0 {
                wait = wait.max(2 * VALID);
            }
        }
        // All members together can spend the unused amount alone, and at most a quarter of the window. The part of one
        // member is unavailable to the others until it sends a request again.
        let free = free - granted;
        let low = counted.low(now, ask.length, free);
        let part = (low / members.max(1)).min(limit / 4 / members.max(1)).min(free);
        // Minimum part, so that members do not poll for fragments.
        let part = if part < limit / WORTHWHILE { 0 } else { part };
        if let Some(member) = self.members.get_mut(member)
            && (part > 0 || member.alone.contains_key(name))
        {
            member.alone.insert(name.to_owned(), part);
        }
        let free = part.saturating_mul(members);
        WindowGrant { granted, part: now_part, wait, free, unreported: unreported_for }
    }

    fn budget(
        &mut self,
        now: u64,
        name: &str,
        ask: &BudgetAsk,
        most: u32,
        request: &LeaseRequest,
        members: u32,
    ) -> BudgetGrant {
        let held = self.members.values().filter_map(|member| member.outstanding.get(name));
        let held = held.fold(0_u64, |sum, amount| sum.saturating_add(*amount));
        let Some(budget) = of(&mut self.budgets, name) else {
            // The ledger has no space for this limit: grants the number of calls that probe an unknown limit.
            let granted = u64::from(ask.want.min(most)).min(SCOUTS);
            let wait = if granted < u64::from(ask.want) { LATER } else { 0 };
            return BudgetGrant { granted: u32::try_from(granted).unwrap_or(u32::MAX), wait };
        };
        // The limit is unknown, or the only known value is a remaining count of zero without a reset.
        let is_known = budget.limit > 0 && (budget.reset > 0 || budget.remaining > ask.keep);
        let left = if is_known { budget.remaining } else { SCOUTS };
        let kept = if is_known { ask.keep } else { 0 };
        let free = left.saturating_sub(kept).saturating_sub(held);
        let share = (free / u64::from(members.max(1))).max(1).min(free);
        let mut granted = u64::from(ask.want.min(most)).min(share);
        let mut wait = LATER;
        if left <= kept && budget.reset > now {
            wait = budget.reset.saturating_add(AFTER_RESET) - now;
        }
        if ask.spread && budget.reset > now && granted > 0 {
            if budget.next > now {
                (granted, wait) = (0, budget.next - now);
            } else {
                granted = 1;
                budget.next = now.saturating_add((budget.reset - now) / free.max(1));
                wait = budget.next - now;
            }
        }
        if ask.spread && budget.limit > 0 && budget.reset <= now && granted > 0 {
            // A new window has begun, and the first response reports its length.
            granted = u64::from(held == 0);
            wait = LATER;
        }
        if granted >= u64::from(ask.want) {
            wait = 0;
        }
        if let Some(member) = self.members.get_mut(&request.member)
            && let Some(outstanding) = member.outstanding.get_mut(name)
        {
            *outstanding = outstanding.saturating_add(granted).min(MAX_NUMBER);
        }
        // At most the requested amount, which a u32 holds.
        BudgetGrant { granted: u32::try_from(granted).unwrap_or(u32::MAX), wait }
    }

    /// Returns how long a write to an owner's resources has to wait, in milliseconds. If the other limits allow the
    /// write, it is counted.
    fn pace_write(&mut self, now: u64, owner: &str, between: u64, enough: bool) -> u64 {
        if let Some(next) = self.owners.get(owner).filter(|next| **next > now) {
            return next - now;
        }
        if !enough {
            return LATER;
        }
        if self.owners.len() < MAX_OWNERS && between > 0 && is_name(owner) {
            self.owners.insert(owner.to_owned(), now.saturating_add(between).min(MAX_NUMBER));
        }
        0
    }

    /// Records a write that a client made this time ago without a lease.
    fn note_write(&mut self, now: u64, owner: &str, ago: u64, between: u64) {
        let next = now.saturating_add(between).min(MAX_NUMBER).saturating_sub(ago);
        let known = self.owners.get(owner).copied();
        let has_room = known.is_some() || (self.owners.len() < MAX_OWNERS && is_name(owner));
        if next > known.unwrap_or(now) && has_room {
            self.owners.insert(owner.to_owned(), next);
        }
    }
}

impl Budget {
    fn begin_anew(&mut self, now: u64) {
        if self.reset > 0 && self.reset.saturating_add(AFTER_RESET) <= now {
            *self = Self { limit: self.limit, remaining: self.limit, ..Self::default() };
        }
    }

    /// Records a report. Within a window, each call reduces the remaining count, so that the smallest number counts; a
    /// window that ends later is a new one.
    fn learn(&mut self, now: u64, told: &BudgetTold) {
        let ends = now.saturating_add(told.ends_in.min(LONGEST));
        let remaining = told.remaining.min(MAX_NUMBER);
        self.limit = told.limit.min(MAX_NUMBER);
        if self.reset > 0 && ends < self.reset.saturating_add(SAME_WINDOW) {
            self.remaining = self.remaining.min(remaining);
        } else {
            self.remaining = remaining;
            self.next = 0;
        }
        self.reset = self.reset.max(ends);
    }
}

/// Returns the entry of a name, if the bounds allow one.
fn of<'a, T: Default>(entries: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    let room = entries.len() < MAX_NAMES && is_name(name);
    if !room && !entries.contains_key(name) {
        return None;
    }
    Some(entries.entry(name.to_owned()).or_default())
}

pub(super) mod bounds;
mod counted;
mod gathering;
#[cfg(test)]
mod tests;
