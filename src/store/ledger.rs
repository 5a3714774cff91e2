//! The limits of one identity that a fleet shares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::bounds::{Version, is_member};
use self::recovery::OutageRecovery;
use self::window::{GrantWindow, WindowDelta, bucket_end};
use super::lease::{
    MemberJoin, PrimaryGrant, PrimaryObservation, PrimaryRequest, QuotaLease, QuotaRequest,
    SecondaryPause, WindowGrant, WindowRequest,
};
use super::quota_bounds::{
    AFTER_RESET, LEASE_TTL_MS, MAX_CONSECUTIVE_PAUSES, MAX_MEMBER_COUNT, MAX_MEMBERS, MAX_NAMES,
    MAX_NUMBER, MAX_OWNERS, MAX_PAUSE_MS, MAX_WINDOW_MS, MEMBER_TIMEOUT, MIN_GRANT_DIVISOR,
    MIN_OUTAGE, OFFLINE_DIVISOR, PAUSE_TTL, RETRY_AFTER_MS, SAME_WINDOW, STARVATION_MEMORY,
    UNKNOWN_LIMIT_PROBES, bucket_of, is_name, retention_ms,
};

/// The quota ledger of one identity: the shares of its limits that the members of a fleet hold.
///
/// It is the arithmetic behind [`QuotaStore::lease`](super::QuotaStore::lease), and has no clock and no lock. A custom store that
/// can change a value atomically reads the ledger (in any `serde` format), calls [`lease`](Self::lease) with its
/// server's time, and writes the ledger back. The ledger carries the version of its format, and is not read if that is
/// another one. If a ledger cannot be read, the store starts again with [`QuotaLedger::default`]: clients report their
/// spending to it.
///
/// For requests of any content in any order, and with any clients lost meanwhile: no interval of a window's length has
/// more than its limit, and clients send no more calls than GitHub reported as remaining.
///
/// # Loss of the ledger
///
/// A ledger that a client with an earlier lease begins, or joins, replaces a lost one. It bounds its grants in two steps:
///
/// - For ten seconds from its beginning, returned clients receive no more quota and calls in flight than they could have
///   without it. Clients that joined just before the loss, which no other client knows, return within that time. New
///   clients that have seen the outage receive a twentieth of each window together, and one call in flight.
/// - After that, the same bound applies to each window while a client that a returned one knows is missing, or while a
///   departed client's spending counts: for the window's length and two seconds.
///
/// So the limits hold if each client that spends returns within ten seconds. A loss shows only in the requests of clients
/// that saw it: a new client that finds an empty ledger before any of them returns, within about a second, receives
/// quota as from the first ledger.
///
/// # Outages that leave the ledger intact
///
/// The first member that returns reports the outage, unless others were served meanwhile. The time of the outage does not
/// count as silence of the others: what is kept for each of them, and its part of the calls in flight, stays reserved for
/// ten seconds after it. If the outage took nearly as long as a window, or longer, each absent member counts as having
/// spent its part of the window's limit. The time for which a client of a lost ledger is awaited is longer by the time of
/// an outage, unless that is shorter than two seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaLedger {
    version: Version,
    /// The time of the last request.
    time: u64,
    epoch: String,
    recovery: OutageRecovery,
    members: BTreeMap<String, Member>,
    windows: BTreeMap<String, GrantWindow>,
    budgets: BTreeMap<String, PrimaryBudget>,
    /// The time of the next permitted write to the resources of each owner.
    owners: BTreeMap<String, u64>,
    /// Until when the member that departed last was known to be there; zero if none has departed.
    departed: u64,
    /// The last time in which no member was served, of at least [`MIN_OUTAGE`]: when it began and ended, and whether a
    /// client has reported it as an outage.
    silent_from: u64,
    silent_until: u64,
    silence_reported: bool,
    pause: Option<PauseState>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    last_seen: u64,
    /// The amount of each window that the member can spend without further leases.
    offline_allowance: BTreeMap<String, u32>,
    in_flight: u32,
    slots: u32,
    /// Whether the member wants more slots than it has, though it has less than its share.
    is_starved: bool,
    unanswered: BTreeMap<String, u64>,
    /// Its first request since it joined.
    first_serial: u64,
    /// Its last request, and the changes of that request: if the response was lost, they are undone.
    serial: u64,
    last_changes: LastChanges,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastChanges {
    /// The slots that the member reported when it was counted among the returned ones.
    granted_slots: Option<u32>,
    windows: BTreeMap<String, WindowDelta>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrimaryBudget {
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
struct PauseState {
    until: u64,
    consecutive: u32,
    /// The member that probes whether the pause was long enough.
    probing_member: String,
    probe_expires_at: u64,
}

/// A client that reports earlier spending.
#[derive(Clone, Copy, Debug)]
struct Reporter {
    /// Whether this ledger has sent it no lease.
    is_new: bool,
    /// The length of an outage that it is the first to report, in milliseconds.
    outage: Option<u64>,
}

impl QuotaLedger {
    /// Responds to a request, at this time in milliseconds: by any clock, but the same for all requests. If the clock
    /// was set back since the last request, times are counted as if no time had passed.
    ///
    /// A ledger with numbers out of bounds is replaced by an empty one.
    pub fn lease(&mut self, now: u64, ask: &QuotaRequest) -> QuotaLease {
        // Times that are later than now are within bounds as well.
        let now = now.min(MAX_NUMBER - MAX_PAUSE_MS);
        if !self.is_sound() {
            *self = Self::default();
        }
        let known = ask.epoch.as_ref() == Some(&self.epoch) && !self.epoch.is_empty();
        // A request that was overtaken has no caller that waits for its response.
        let late = self.members.get(&ask.member).is_some_and(|member| {
            ask.serial < member.serial && now < member.last_seen.saturating_add(MEMBER_TIMEOUT)
        });
        if late || !is_member(&ask.member) || (ask.join.is_none() && !known) {
            return QuotaLease {
                is_unknown_member: true,
                epoch: self.epoch.clone(),
                ..QuotaLease::default()
            };
        }
        self.rebase_time(now, ask);
        self.observe_silence(now);
        let outage = self.reported_outage(now, ask, known);
        self.expire(now);
        // A member that was removed can have returned its lease already, and its changes are unknown.
        let before = self.members.get(&ask.member);
        let gives_back =
            known && before.is_some_and(|member| ask.last_seen_response >= member.first_serial);
        self.revert_last(ask);
        let mut changes = LastChanges::default();
        if let Some(join) = &ask.join {
            let reporter = Reporter { is_new: !known, outage };
            self.join(now, join, ask, reporter, &mut changes);
        }
        self.apply_request(now, ask, gives_back, &mut changes);
        let mut lease = QuotaLease { epoch: self.epoch.clone(), ..QuotaLease::default() };
        lease.pause = self.current_pause(now, ask);
        let probe = lease.pause.is_none() && self.pause.is_some();
        let open = lease.pause.is_none();
        lease.members = self.member_count(now);
        lease.slots = self.slots(now, ask, open, probe);
        let mut enough = open && lease.slots > ask.in_flight;
        for (name, window) in &ask.windows {
            let most = if !open {
                0
            } else if probe {
                window.min_useful
            } else {
                u32::MAX
            };
            let granted = self.window(now, name, window, most, &ask.member, &mut changes);
            enough &= window.requested == 0 || granted.granted >= window.min_useful;
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
            let granted = self.budget(now, name, budget, most, ask);
            enough &= budget.requested == 0 || granted.granted > 0;
            lease.budgets.insert(name.clone(), granted);
        }
        for (owner, ago) in &ask.written {
            self.record_write(now, owner, *ago, ask.min_write_interval);
        }
        for owner in &ask.owners {
            let wait = self.write_delay(now, owner, ask.min_write_interval, enough);
            lease.owners.insert(owner.clone(), wait);
        }
        if let Some(member) = self.members.get_mut(&ask.member) {
            (member.serial, member.last_changes) = (ask.serial.min(MAX_NUMBER), changes);
        }
        lease
    }

    /// Records a time in which no member was served.
    fn observe_silence(&mut self, now: u64) {
        let last = self.members.values().map(|member| member.last_seen).max();
        if let Some(last) = last.filter(|last| now.saturating_sub(*last) >= MIN_OUTAGE) {
            // Until ten seconds after an outage, members can still return from it: another one continues it.
            let continues =
                self.silence_reported && last < self.silent_until.saturating_add(MEMBER_TIMEOUT);
            self.silent_from = if continues { self.silent_from } else { last };
            (self.silent_until, self.silence_reported) = (now, false);
        }
    }

    /// Returns the length of an outage in milliseconds, if the client is the first to report it.
    ///
    /// A longer outage is a silence, at whose end the client was without the store. In a shorter one, no other member was
    /// served either; otherwise only this client missed responses, and can spend what is kept for it.
    fn reported_outage(&mut self, now: u64, ask: &QuotaRequest, known: bool) -> Option<u64> {
        let own = ask.join.as_ref().map(|join| join.offline_ms).filter(|own| *own > 0)?;
        let start = now.saturating_sub(own);
        if start < self.silent_until && !self.silence_reported {
            self.silence_reported = true;
            let length = self.silent_until.saturating_sub(self.silent_from);
            self.recovery.extend(now, length);
            return Some(length);
        }
        let mut others = self.members.iter().filter(|(name, _)| **name != ask.member);
        let is_shared = others.all(|(_, other)| other.last_seen <= start);
        (known && is_shared && start > self.recovery.since).then_some(own.min(MAX_NUMBER))
    }

    /// Returns until when the member can have been without the store: its last request, or the end of a reported outage
    /// that began soon after it.
    fn last_known(&self, member: &Member) -> u64 {
        let seen = member.last_seen;
        let is_recent = seen.saturating_add(MEMBER_TIMEOUT) > self.silent_from;
        if self.silence_reported && is_recent { seen.max(self.silent_until) } else { seen }
    }

    /// Removes departed members and expired counts.
    fn expire(&mut self, now: u64) {
        let gone = self
            .members
            .iter()
            .filter(|(_, member)| self.last_known(member).saturating_add(MEMBER_TIMEOUT) <= now);
        let gone: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            let Some(member) = self.remove_member(&name) else { continue };
            // The member can have sent these calls, without a report of GitHub's response.
            for (name, lost) in member.unanswered {
                if let Some(budget) = self.budgets.get_mut(&name) {
                    budget.remaining = budget.remaining.saturating_sub(lost);
                }
            }
        }
        self.owners.retain(|_, next| *next > now);
        if self.pause.as_ref().is_some_and(|pause| pause.until.saturating_add(PAUSE_TTL) <= now) {
            self.pause = None;
        }
    }

    /// Returns the number of members, including those that can still return from an outage.
    fn member_count(&self, now: u64) -> u32 {
        self.recovery.awaited_members(now, self.present_members())
    }

    fn present_members(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// Removes a member, and records until when it can have spent.
    fn remove_member(&mut self, name: &str) -> Option<Member> {
        let member = self.members.remove(name)?;
        self.departed = self.departed.max(self.last_known(&member));
        Some(member)
    }

    /// Undoes the last request of a member that has not received its response: the member repeats the request with all
    /// its values.
    fn revert_last(&mut self, ask: &QuotaRequest) {
        let Some(member) = self.members.get_mut(&ask.member) else { return };
        if member.serial == ask.last_seen_response {
            return;
        }
        let changes = std::mem::take(&mut member.last_changes);
        for (name, change) in &changes.windows {
            if let Some(window) = self.windows.get_mut(name) {
                window.revert(change, self.recovery.ledger_lost);
            }
        }
        if let Some(slots) = changes.granted_slots {
            self.recovery.remove(&ask.member, slots);
        }
    }

    /// Records the earlier spending of a client that is new to this ledger, or begins the ledger. Of a known client,
    /// the ledger lacks only its spending during an outage.
    fn join(
        &mut self,
        now: u64,
        join: &MemberJoin,
        ask: &QuotaRequest,
        reporter: Reporter,
        changes: &mut LastChanges,
    ) {
        self.count_returning(now, join, ask, reporter, changes);
        let is_new = reporter.is_new;
        for (name, spent) in if is_new { &join.spent } else { &join.spent_offline } {
            let Some(window) = ask.windows.get(name) else { continue };
            let Some(counted) = entry(&mut self.windows, name) else { continue };
            let part = bucket_of(window.length);
            let change = changes.windows.entry(name.clone()).or_default();
            for (age, amount) in spent {
                let index = now.saturating_sub(*age) / part;
                // Expired spending is not counted.
                if bucket_end(index, window.length) > now {
                    counted.add(index, *amount, change);
                    if !is_new && self.recovery.ledger_lost {
                        counted.take_returned_allowance(*amount, change);
                    }
                }
            }
        }
    }

    /// Counts a client that returns after an outage.
    fn count_returning(
        &mut self,
        now: u64,
        join: &MemberJoin,
        ask: &QuotaRequest,
        reporter: Reporter,
        changes: &mut LastChanges,
    ) {
        let start = now.saturating_sub(join.offline_ms);
        if self.epoch.is_empty() {
            self.epoch = format!("{now}:{}:{}", ask.serial, ask.member);
            self.recovery = OutageRecovery::of_new_ledger(now);
        } else if let Some(outage) = reporter.outage {
            let returns = !reporter.is_new && !self.members.contains_key(&ask.member);
            let members = self.present_members().saturating_add(u32::from(returns));
            self.recovery.begin_another(now, outage, members);
            self.windows.values_mut().for_each(GrantWindow::begin_outage);
        } else if !reporter.is_new && join.offline_ms > 0 && start > self.recovery.since {
            // Only this client missed responses, in no recovery.
            return;
        }
        let recovery = &mut self.recovery;
        if ask.epoch.is_none() {
            // A new client was not a member before.
            if recovery.expected_members > 0 && recovery.add(&ask.member) {
                recovery.expected_members = recovery.expected_members.saturating_add(1);
                recovery.new_members = recovery.new_members.saturating_add(1);
            } else if recovery.expected_members == 0 && join.offline_ms > 0 {
                recovery.await_unknown_members(join.offline_allowance.keys());
            }
            return;
        }
        // The ledger knows the number of its own members.
        let is_of_loss = recovery.is_of_loss;
        if reporter.is_new && is_of_loss {
            let expected = join.members.min(MAX_MEMBER_COUNT);
            if recovery.expected_members == 0 {
                // Clients that joined before the first one returned were not members of the lost ledger.
                for name in self.members.keys().filter(|name| **name != ask.member) {
                    let is_added = u32::from(recovery.add(name));
                    recovery.new_members = recovery.new_members.saturating_add(is_added);
                }
            }
            let expected = expected.saturating_add(recovery.new_members);
            recovery.expected_members = recovery.expected_members.max(expected);
        }
        if !recovery.add(&ask.member) || !reporter.is_new {
            return;
        }
        if !is_of_loss {
            // It was not a member before the last outage.
            recovery.expected_members = recovery.expected_members.saturating_add(1);
            recovery.add_lost(join.members);
        }
        recovery.slots = recovery.slots.saturating_add(join.offline_slots);
        changes.granted_slots = Some(join.offline_slots);
        recovery.await_unknown_members(join.offline_allowance.keys());
        for (name, time) in &join.unreported_ms {
            recovery.observe_unreported(name, now.saturating_add((*time).min(MAX_WINDOW_MS)));
        }
        for (name, spare) in &join.offline_allowance {
            if let Some(window) = entry(&mut self.windows, name) {
                window.add_returned_allowance(
                    *spare,
                    changes.windows.entry(name.clone()).or_default(),
                );
            }
        }
    }

    /// Records the values of the request.
    fn apply_request(
        &mut self,
        now: u64,
        ask: &QuotaRequest,
        gives_back: bool,
        changes: &mut LastChanges,
    ) {
        if self.members.len() >= MAX_MEMBERS && !self.members.contains_key(&ask.member) {
            // The member with the oldest request; it joins as a new one.
            let oldest = self.members.iter().min_by_key(|(_, member)| member.last_seen);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.remove_member(&oldest);
            }
        }
        let new = || Member { first_serial: ask.serial.min(MAX_NUMBER), ..Member::default() };
        let member = self.members.entry(ask.member.clone()).or_insert_with(new);
        member.last_seen = now;
        if self.recovery.expected_members > 0 {
            self.recovery.add(&ask.member);
        }
        member.in_flight = ask.in_flight;
        member.slots = member.slots.min(ask.in_flight);
        for (name, window) in &ask.windows {
            let Some(counted) = entry(&mut self.windows, name) else { continue };
            counted.expire(now, window.length);
            let granted_in = window.bucket.min(now / bucket_of(window.length));
            let change = changes.windows.entry(name.clone()).or_default();
            let unspent = if gives_back { window.unspent } else { 0 };
            let unspent = counted.refund(granted_in, unspent, change);
            if self.recovery.ledger_lost {
                counted.add_returned_allowance(unspent, change);
            }
        }
        for (name, budget) in &ask.budgets {
            let Some(known) = entry(&mut self.budgets, name) else { continue };
            member.unanswered.insert(name.clone(), budget.in_flight.min(MAX_NUMBER));
            known.roll_window(now);
            if let Some(observed) = &budget.observed {
                known.observe(now, observed);
            }
        }
        match (&ask.pause, &mut self.pause) {
            (Some(reported), pause) => {
                let before = pause.take().unwrap_or_default();
                *pause = Some(PauseState {
                    until: before.until.max(now.saturating_add(reported.ends_in.min(MAX_PAUSE_MS))),
                    consecutive: before
                        .consecutive
                        .max(reported.consecutive.min(MAX_CONSECUTIVE_PAUSES)),
                    ..PauseState::default()
                });
            }
            (None, Some(pause)) if ask.pause_over && pause.until <= now => self.pause = None,
            _ => {}
        }
    }

    /// Returns the pause that this member keeps. After its end, one member probes whether it was long enough.
    fn current_pause(&mut self, now: u64, ask: &QuotaRequest) -> Option<SecondaryPause> {
        let pause = self.pause.as_mut()?;
        if pause.until > now {
            return Some(SecondaryPause {
                ends_in: pause.until - now,
                consecutive: pause.consecutive,
            });
        }
        if pause.probe_expires_at <= now && ask.queued > 0 {
            pause.probing_member.clone_from(&ask.member);
            // GitHub ends a call after the same time.
            pause.probe_expires_at = now.saturating_add(MEMBER_TIMEOUT);
        }
        if pause.probing_member == ask.member && pause.probe_expires_at > now {
            return None;
        }
        Some(SecondaryPause { ends_in: RETRY_AFTER_MS, consecutive: pause.consecutive })
    }

    /// Returns how many calls the member can have in flight.
    fn slots(&mut self, now: u64, ask: &QuotaRequest, open: bool, probe: bool) -> u32 {
        let others = || self.members.iter().filter(|(name, _)| **name != ask.member);
        let held_by = |is_absent: bool, least: u32| {
            let held = others().filter(|(name, _)| self.recovery.is_absent(now, name) == is_absent);
            held.fold(0_u32, |sum, (_, member)| {
                sum.saturating_add(member.in_flight.max(member.slots).max(least))
            })
        };
        let all = ask.max_concurrent.map_or(u32::MAX, |limit| {
            let left = limit.saturating_sub(self.recovery.slots_for_unknown(now, limit));
            self.recovery.grantable_slots(now, limit, held_by(true, 0)).min(left).max(1)
        });
        let share = (all / self.present_members().max(1)).max(1);
        // Each member has at least one slot, to continue with if it receives no further lease.
        let least = u32::from(share > 1);
        let held = held_by(false, least);
        let starved = others().any(|(_, member)| {
            member.is_starved && member.last_seen.saturating_add(STARVATION_MEMORY) > now
        });
        let wanted = if !open {
            0
        } else if probe {
            1
        } else {
            ask.in_flight.saturating_add(ask.queued).max(least)
        };
        let most = if starved { share } else { all };
        let slots = wanted.min(most).min(all.saturating_sub(held));
        if let Some(member) = self.members.get_mut(&ask.member) {
            member.slots = slots;
            member.is_starved = open && !probe && slots < wanted && slots < share;
        }
        slots
    }

    fn window(
        &mut self,
        now: u64,
        name: &str,
        ask: &WindowRequest,
        most: u32,
        member: &str,
        changes: &mut LastChanges,
    ) -> WindowGrant {
        let (present, members) = (self.present_members(), self.member_count(now));
        let alone = |(_, other): (_, &Member)| {
            other.offline_allowance.get(name).copied().unwrap_or_default()
        };
        let others = self.members.iter().filter(|(known, _)| *known != member);
        let left_to_others = others.map(alone).fold(0, u32::saturating_add);
        let limit = ask.limit;
        let kept = retention_ms(ask.length);
        let absent = self.recovery.missing_members(now, kept);
        let unreported = self.recovery.unreported_until(name, now, kept);
        let gone = self.departed.saturating_add(kept);
        let until = if self.departed > 0 { unreported.max(gone) } else { unreported };
        let unreported_for = until.saturating_sub(now);
        let Some(window) = entry(&mut self.windows, name) else { return WindowGrant::default() };
        // At most the limit, which a u32 holds.
        let free = u64::from(limit).saturating_sub(window.sum());
        let free = u32::try_from(free).unwrap_or(limit);
        let free = if unreported > 0 {
            self.recovery.grantable_to_returned(limit, free, window.returned_allowance)
        } else {
            // The clients that have not returned can have spent this amount meanwhile.
            let spare = self.recovery.spent_by_all(limit, ask.length, window.offline_allowance);
            free.saturating_sub(self.recovery.part_of(spare, absent))
        };
        let free = free.saturating_sub(left_to_others);
        // In a new ledger that lacks spending, its own bound applies to the free amount.
        let strangers =
            if unreported > 0 { 0 } else { self.recovery.units_for_unknown(now, limit) };
        let free = free.saturating_sub(strangers);
        let least = ask.min_useful.min(limit.max(1));
        // No member gets all of the rest while there are others.
        let worth = ask.requested.min(limit / MIN_GRANT_DIVISOR).max(least);
        let share = (free / present.max(1)).max(worth);
        let granted = ask.requested.min(share).min(free).min(most);
        let granted = if granted < least { 0 } else { granted };
        let now_part = now / bucket_of(ask.length);
        let mut wait = 0;
        if granted > 0 {
            let change = changes.windows.entry(name.to_owned()).or_default();
            window.add(now_part, granted, change);
            if self.recovery.ledger_lost {
                window.take_returned_allowance(granted, change);
            }
        }
        if granted < ask.requested {
            wait = window.wait_for(now, ask.length, limit, worth).max(2 * RETRY_AFTER_MS);
            // A member can return the latest grants.
            if window.granted_since(now.saturating_sub(2 * LEASE_TTL_MS), ask.length) > 0 {
                wait = wait.min(4 * LEASE_TTL_MS);
            }
            if left_to_others > 0 || (granted == 0 && strangers > 0) {
                wait = wait.max(LEASE_TTL_MS);
            }
            if absent > 0 {
                wait = RETRY_AFTER_MS;
            } else if unreported > 0 {
                wait = wait.max(2 * LEASE_TTL_MS);
            }
        }
        // All members together can spend the unused amount alone, and at most a quarter of the window. The part of one
        // member is unavailable to the others until it sends a request again.
        let free = free - granted;
        let low = window.min_free(now, ask.length, free);
        let part = (low / members.max(1)).min(limit / OFFLINE_DIVISOR / members.max(1)).min(free);
        // Minimum part, so that members do not poll for fragments.
        let part = if part < limit / MIN_GRANT_DIVISOR { 0 } else { part };
        if let Some(member) = self.members.get_mut(member)
            && (part > 0 || member.offline_allowance.contains_key(name))
        {
            member.offline_allowance.insert(name.to_owned(), part);
        }
        let free = part.saturating_mul(members);
        WindowGrant {
            granted,
            bucket: now_part,
            retry_after_ms: wait,
            min_free: free,
            unreported_ms: unreported_for,
        }
    }

    fn budget(
        &mut self,
        now: u64,
        name: &str,
        ask: &PrimaryRequest,
        most: u32,
        request: &QuotaRequest,
    ) -> PrimaryGrant {
        let members = self.present_members();
        let held = self.members.values().filter_map(|member| member.unanswered.get(name));
        let held = held.fold(0_u64, |sum, amount| sum.saturating_add(*amount));
        let Some(budget) = entry(&mut self.budgets, name) else {
            // The ledger has no space for this limit: grants the number of calls that probe an unknown limit.
            let granted = u64::from(ask.requested.min(most)).min(UNKNOWN_LIMIT_PROBES);
            let wait = if granted < u64::from(ask.requested) { RETRY_AFTER_MS } else { 0 };
            return PrimaryGrant {
                granted: u32::try_from(granted).unwrap_or(u32::MAX),
                retry_after_ms: wait,
            };
        };
        // The limit is unknown, or the only known value is a remaining count of zero without a reset.
        let is_known = budget.limit > 0 && (budget.reset > 0 || budget.remaining > ask.reserved);
        let left = if is_known { budget.remaining } else { UNKNOWN_LIMIT_PROBES };
        let kept = if is_known { ask.reserved } else { 0 };
        let free = left.saturating_sub(kept).saturating_sub(held);
        let share = (free / u64::from(members.max(1))).max(1).min(free);
        let mut granted = u64::from(ask.requested.min(most)).min(share);
        let mut wait = RETRY_AFTER_MS;
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
            wait = RETRY_AFTER_MS;
        }
        if granted >= u64::from(ask.requested) {
            wait = 0;
        }
        if let Some(member) = self.members.get_mut(&request.member)
            && let Some(outstanding) = member.unanswered.get_mut(name)
        {
            *outstanding = outstanding.saturating_add(granted).min(MAX_NUMBER);
        }
        // At most the requested amount, which a u32 holds.
        PrimaryGrant { granted: u32::try_from(granted).unwrap_or(u32::MAX), retry_after_ms: wait }
    }

    /// Returns how long a write to an owner's resources has to wait, in milliseconds. If the other limits allow the
    /// write, it is counted.
    fn write_delay(&mut self, now: u64, owner: &str, between: u64, enough: bool) -> u64 {
        if let Some(next) = self.owners.get(owner).filter(|next| **next > now) {
            return next - now;
        }
        if !enough {
            return RETRY_AFTER_MS;
        }
        if self.owners.len() < MAX_OWNERS && between > 0 && is_name(owner) {
            self.owners.insert(owner.to_owned(), now.saturating_add(between).min(MAX_NUMBER));
        }
        0
    }

    /// Records a write that a client made this time ago without a lease.
    fn record_write(&mut self, now: u64, owner: &str, ago: u64, between: u64) {
        let next = now.saturating_add(between).min(MAX_NUMBER).saturating_sub(ago);
        let known = self.owners.get(owner).copied();
        let has_space = known.is_some() || (self.owners.len() < MAX_OWNERS && is_name(owner));
        if next > known.unwrap_or(now) && has_space {
            self.owners.insert(owner.to_owned(), next);
        }
    }
}

impl PrimaryBudget {
    fn roll_window(&mut self, now: u64) {
        if self.reset > 0 && self.reset.saturating_add(AFTER_RESET) <= now {
            *self = Self { limit: self.limit, remaining: self.limit, ..Self::default() };
        }
    }

    /// Records a report. Within a window, each call reduces the remaining count, so that the smallest number counts; a
    /// window that ends later is a new one.
    fn observe(&mut self, now: u64, observation: &PrimaryObservation) {
        let ends = now.saturating_add(observation.ends_in.min(MAX_WINDOW_MS));
        let remaining = observation.remaining.min(MAX_NUMBER);
        self.limit = observation.limit.min(MAX_NUMBER);
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
fn entry<'a, T: Default>(entries: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    let has_space = entries.len() < MAX_NAMES && is_name(name);
    if !has_space && !entries.contains_key(name) {
        return None;
    }
    Some(entries.entry(name.to_owned()).or_default())
}

pub(super) mod bounds;
#[cfg(feature = "disk-store")]
mod encoding;
pub(super) mod recovery;
#[cfg(test)]
mod tests;
pub(super) mod window;
