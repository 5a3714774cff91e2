//! Recovery after an outage of the store: the returned clients, and the quota that can be granted until all are back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::store::quota_bounds::{
    MAX_MEMBER_COUNT, MAX_MEMBERS, MAX_NAMES, MAX_NUMBER, MAX_WINDOW_MS, MEMBER_TIMEOUT,
    OFFLINE_DIVISOR, is_name,
};

/// The divisor of a limit that gives the part for clients that the ledger does not know yet.
pub(in crate::store) const UNKNOWN_MEMBER_DIVISOR: u32 = 20;
/// The divisor that gives their part of the calls in flight while clients can still join.
pub(in crate::store) const JOIN_SLOTS_DIVISOR: u32 = 4;

/// The state after an outage, while clients return one by one and the spending of the others is unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutageRecovery {
    pub(super) since: u64,
    /// The length of the outage in milliseconds, if it left the ledger intact.
    pub(super) outage_ms: u64,
    /// The number of clients before the outage.
    pub(super) expected_members: u32,
    /// How many of them were not members before a loss: no returned client counts these.
    pub(super) new_members: u32,
    pub(super) returned_members: BTreeSet<String>,
    /// Whether the ledger is new, so that the only known earlier spending is that which returning clients report.
    pub(super) ledger_lost: bool,
    /// Whether the last outage lost the ledger.
    pub(super) is_of_loss: bool,
    /// When the ledger replaced a lost one. A later outage begins another recovery, in which the loss still counts.
    pub(super) lost_at: u64,
    /// In such a later recovery: the number of clients of the lost ledger, and of those that have returned.
    pub(super) lost_expected: u32,
    pub(super) lost_returned: u32,
    /// The number of calls that the returned clients can have in flight without this ledger.
    pub(super) slots: u32,
    /// For each window, the time until which the ledger can lack spending that no present client reports: that of
    /// departed clients, which the present ones know from the lost ledger, and that of clients that can still return.
    pub(super) unreported: BTreeMap<String, u64>,
}

impl OutageRecovery {
    /// The recovery of a ledger that replaces a lost one, if there was one.
    pub(super) fn of_new_ledger(now: u64) -> Self {
        Self { since: now, ledger_lost: true, is_of_loss: true, lost_at: now, ..Self::default() }
    }

    /// Begins the recovery from an outage of this length that left the ledger intact, with this number of members. An
    /// earlier loss still counts.
    pub(super) fn begin_another(&mut self, now: u64, outage_ms: u64, members: u32) {
        let before = std::mem::take(self);
        (self.since, self.outage_ms, self.slots) = (now, outage_ms, before.slots);
        self.expected_members = members;
        if before.missing_members(now, MEMBER_TIMEOUT) > 0 {
            // Some return from both.
            self.outage_ms = outage_ms.saturating_add(before.outage_ms).min(MAX_NUMBER);
        }
        if before.is_partial(now) {
            self.ledger_lost = true;
            self.lost_at = before.lost_at;
            (self.lost_expected, self.lost_returned) = match before.is_of_loss {
                true => (before.expected_members, before.returned()),
                false => (before.lost_expected, before.lost_returned),
            };
            self.unreported = before.unreported;
        }
    }

    /// Extends the times for which clients of a lost ledger can return by an outage of this length.
    pub(super) fn extend(&mut self, now: u64, outage: u64) {
        let later = |time: u64| time.saturating_add(outage).min(now);
        (self.since, self.lost_at) = (later(self.since), later(self.lost_at));
        for until in self.unreported.values_mut() {
            *until = until.saturating_add(outage).min(MAX_NUMBER);
        }
    }

    /// Counts a client as present. Returns `false` if it is counted already.
    pub(super) fn add(&mut self, member: &str) -> bool {
        self.returned_members.len() < MAX_MEMBERS && self.returned_members.insert(member.to_owned())
    }

    /// Counts a client that returns from a lost ledger, and knows this number of its clients.
    pub(super) fn add_lost(&mut self, members: u32) {
        self.lost_expected = self.lost_expected.max(members.min(MAX_MEMBER_COUNT));
        self.lost_returned = self.lost_returned.saturating_add(1);
    }

    /// Undoes the count of a client that has returned from a lost ledger.
    pub(super) fn remove(&mut self, member: &str, slots: u32) {
        self.returned_members.remove(member);
        if !self.is_of_loss {
            self.expected_members = self.expected_members.saturating_sub(1);
            self.lost_returned = self.lost_returned.saturating_sub(1);
        }
        self.slots = self.slots.saturating_sub(slots);
    }

    /// Returns the number of clients that can still return and report spending that counts for this time.
    pub(super) fn missing_members(&self, now: u64, kept: u64) -> u32 {
        if self.since.saturating_add(kept) <= now {
            0
        } else {
            self.expected_members.saturating_sub(self.returned())
        }
    }

    /// Returns whether the ledger lacks spending that no present client reports.
    fn has_unreported(&self, now: u64) -> bool {
        self.unreported.values().any(|until| *until > now)
    }

    /// Returns whether this client can still return from the outage.
    pub(super) fn is_absent(&self, now: u64, member: &str) -> bool {
        self.missing_members(now, MEMBER_TIMEOUT) > 0 && !self.returned_members.contains(member)
    }

    /// Returns the number of clients, of `present` ones and those that can still return.
    pub(super) fn awaited_members(&self, now: u64, present: u32) -> u32 {
        let absent = self.missing_members(now, MEMBER_TIMEOUT);
        let expected = if absent > 0 { self.expected_members } else { 0 };
        let lost = if self.is_of_loss { 0 } else { self.lost_members(now, MEMBER_TIMEOUT) };
        present.max(expected).saturating_add(lost).min(MAX_MEMBER_COUNT)
    }

    fn returned(&self) -> u32 {
        u32::try_from(self.returned_members.len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of clients of a lost ledger that have not returned, whose spending counts for this time.
    fn lost_members(&self, now: u64, kept: u64) -> u32 {
        if self.is_of_loss {
            self.missing_members(now, kept)
        } else if self.ledger_lost && self.lost_at.saturating_add(kept) > now {
            self.lost_expected.saturating_sub(self.lost_returned)
        } else {
            0
        }
    }

    /// Returns whether a new ledger lacks the spending of some client.
    fn is_partial(&self, now: u64) -> bool {
        self.lost_members(now, MAX_WINDOW_MS) > 0 || (self.ledger_lost && self.has_unreported(now))
    }

    /// Returns the time until which the ledger lacks spending of this window that no client reports; zero if it is
    /// complete.
    pub(super) fn unreported_until(&mut self, name: &str, now: u64, kept: u64) -> u64 {
        if !self.ledger_lost {
            return 0;
        }
        let absent =
            if self.lost_members(now, kept) > 0 { self.lost_at.saturating_add(kept) } else { 0 };
        let gone = self.unreported.get_mut(name).map_or(0, |until| {
            // Spending up to now counts for this time.
            *until = (*until).min(now.saturating_add(kept));
            *until
        });
        Some(absent.max(gone)).filter(|until| *until > now).unwrap_or_default()
    }

    /// Records that a ledger was lost, at the report of a client that returns or that has seen an outage.
    ///
    /// Clients that joined shortly before the loss can be unknown to all that have returned. An active one sends a
    /// request within [`MEMBER_TIMEOUT`].
    pub(super) fn await_unknown_members<'a>(&mut self, windows: impl Iterator<Item = &'a String>) {
        for name in windows {
            self.observe_unreported(name, self.lost_at.saturating_add(MEMBER_TIMEOUT));
        }
    }

    /// Records this time from a client that received it from the lost ledger.
    pub(super) fn observe_unreported(&mut self, name: &str, until: u64) {
        let is_known = self.unreported.contains_key(name);
        let has_space = self.unreported.len() < MAX_NAMES && is_name(name);
        if self.ledger_lost && (is_known || has_space) {
            let known = self.unreported.entry(name.to_owned()).or_default();
            *known = until.min(MAX_NUMBER).max(*known);
        }
    }

    /// Returns the amount that can be granted, while the ledger lacks spending, from a window with this limit and free
    /// amount. The returned clients can spend `allowance` without the ledger, and the sum of these is within the limit.
    pub(super) fn grantable_to_returned(&self, limit: u32, free: u32, allowance: u32) -> u32 {
        match self.expected_members {
            // Only new clients are present: they receive the part that a ledger leaves to unknown clients.
            0 => free.saturating_sub(limit - limit / UNKNOWN_MEMBER_DIVISOR),
            _ => free.min(allowance),
        }
    }

    /// Returns the amount of a window of this length that all clients together can have spent in the outage. After the
    /// window's length, each spends its part of the limit. The first client that returns can have noticed the outage
    /// later than others.
    pub(super) fn spent_by_all(&self, limit: u32, length: u64, allowance: u32) -> u32 {
        let is_long = self.outage_ms.saturating_add(MEMBER_TIMEOUT) >= length;
        if is_long { limit } else { allowance.min(limit / OFFLINE_DIVISOR) }
    }

    /// Returns the part of an amount that so many of the clients have.
    pub(super) fn part_of(&self, amount: u32, absent: u32) -> u32 {
        fraction_of(amount, absent, self.expected_members)
    }

    /// Returns whether clients can still join that started with the ledger, or return from the outage.
    pub(super) fn may_expect_joins(&self, now: u64) -> bool {
        now < self.since.saturating_add(MEMBER_TIMEOUT)
    }

    /// Returns how many of the calls in flight are reserved for clients that the ledger does not know yet: before they
    /// receive a lease, each has one.
    pub(super) fn slots_for_unknown(&self, now: u64, limit: u32) -> u32 {
        let others = limit.saturating_sub(1);
        if self.may_expect_joins(now) {
            others.div_ceil(JOIN_SLOTS_DIVISOR)
        } else {
            limit.div_ceil(UNKNOWN_MEMBER_DIVISOR).min(others)
        }
    }

    /// Returns the amount of a window that is reserved for them.
    pub(super) fn units_for_unknown(&self, now: u64, limit: u32) -> u32 {
        if self.may_expect_joins(now) { limit / UNKNOWN_MEMBER_DIVISOR } else { 0 }
    }

    /// Returns the maximum number of calls in flight of the clients that have returned; the others have `held`.
    pub(super) fn grantable_slots(&self, now: u64, limit: u32, held: u32) -> u32 {
        let is_awaiting = self.ledger_lost
            && now < self.lost_at.saturating_add(MEMBER_TIMEOUT)
            && (self.expected_members > 0 || self.has_unreported(now));
        if is_awaiting && self.is_of_loss {
            return limit.min(self.slots).max(1);
        }
        let absent = self.missing_members(now, MEMBER_TIMEOUT);
        let left = limit.saturating_sub(self.part_of(limit, absent).max(held));
        if is_awaiting { left.min(self.slots.saturating_sub(held)).max(1) } else { left.max(1) }
    }
}

/// Returns the part of an amount that `some` of `all` have; at most the amount.
fn fraction_of(amount: u32, some: u32, all: u32) -> u32 {
    let part = (u64::from(amount) * u64::from(some.min(all))).div_ceil(u64::from(all.max(1)));
    u32::try_from(part).unwrap_or(amount)
}
