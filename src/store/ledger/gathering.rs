//! After an outage of the store: who is back, and what may be given out until all are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bounds::{MAX_NUMBER, is_name};
use super::{GONE, LONGEST, MAX_MEMBERS, MAX_NAMES};

/// Clients come back from an outage one by one, and what the absent ones spent is not known yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gathering {
    pub(super) since: u64,
    /// As many clients as there were before.
    pub(super) expected: u32,
    pub(super) returned: BTreeSet<String>,
    /// These books are new, so that nothing is known of what was spent before but what those tell
    /// who return.
    pub(super) lost: bool,
    /// As many calls as those who returned might have under way without these books.
    pub(super) slots: u32,
    /// Until when clients that no present client speaks for may have spent of a window: the present
    /// clients heard so from the ledger that was lost.
    pub(super) unreported: BTreeMap<String, u64>,
}

impl Gathering {
    /// Counts somebody who is here, unless it is counted already.
    pub(super) fn count(&mut self, member: &str) -> bool {
        self.returned.len() < MAX_MEMBERS && self.returned.insert(member.to_owned())
    }

    /// Takes back that somebody was counted.
    pub(super) fn uncount(&mut self, member: &str, slots: u32) {
        self.returned.remove(member);
        self.slots = self.slots.saturating_sub(slots);
    }

    /// How many may yet come back and tell what counts for so long.
    pub(super) fn absent(&self, now: u64, kept: u64) -> u32 {
        let returned = u32::try_from(self.returned.len()).unwrap_or(u32::MAX);
        if self.since.saturating_add(kept) <= now {
            0
        } else {
            self.expected.saturating_sub(returned)
        }
    }

    /// Whether a new ledger lacks what some client spent.
    pub(super) fn is_partial(&self, now: u64) -> bool {
        let is_unreported = || self.unreported.values().any(|until| *until > now);
        self.lost && (self.absent(now, LONGEST) > 0 || is_unreported())
    }

    /// Until when the ledger lacks spending of this window that no client reports; zero if it has all.
    pub(super) fn unreported_until(&mut self, name: &str, now: u64, kept: u64) -> u64 {
        if !self.lost {
            return 0;
        }
        let absent = if self.absent(now, kept) > 0 { self.since.saturating_add(kept) } else { 0 };
        let gone = self.unreported.get_mut(name).map_or(0, |until| {
            // What was spent until now counts for so long.
            *until = (*until).min(now.saturating_add(kept));
            *until
        });
        Some(absent.max(gone)).filter(|until| *until > now).unwrap_or_default()
    }

    /// Takes over until when that is so from a client that heard it from the lost ledger.
    pub(super) fn learn_unreported(&mut self, name: &str, until: u64) {
        let is_known = self.unreported.contains_key(name);
        let has_room = self.unreported.len() < MAX_NAMES && is_name(name);
        if self.lost && (is_known || has_room) {
            let known = self.unreported.entry(name.to_owned()).or_default();
            *known = until.min(MAX_NUMBER).max(*known);
        }
    }

    /// What may be given out of a window of which so much is free.
    pub(super) fn free(&self, free: u32, spare: u32, absent: u32, is_unreported: bool) -> u32 {
        match (absent, self.lost) {
            // They might spend so much without these books, and together that is not too much.
            _ if is_unreported => free.min(spare),
            (0, _) | (_, true) => free,
            // So much the absent may have spent meanwhile.
            (_, false) => free.saturating_sub(part_of(spare, absent, self.expected)),
        }
    }

    /// Whether clients may be about to join that have started with the ledger, or come back from the outage.
    pub(super) fn is_young(&self, now: u64) -> bool {
        now < self.since.saturating_add(GONE)
    }

    /// How many of the calls in flight are left to clients that the ledger does not know yet: before they hear
    /// from it, each has one.
    pub(super) fn slots_of_strangers(&self, now: u64, limit: u32) -> u32 {
        let others = limit.saturating_sub(1);
        if self.is_young(now) { others.div_ceil(4) } else { limit.div_ceil(20).min(others) }
    }

    /// How much of a window is left to them.
    pub(super) fn units_of_strangers(&self, now: u64, limit: u32) -> u32 {
        if self.is_young(now) { limit / 20 } else { 0 }
    }

    /// As many calls as may be under way.
    pub(super) fn slots(&self, now: u64, limit: u32) -> u32 {
        match (self.absent(now, GONE), self.lost) {
            (0, _) => limit,
            (_, true) => limit.min(self.slots).max(1),
            (absent, false) => (limit - part_of(limit, absent, self.expected)).max(1),
        }
    }
}

/// The part that some of all have, of an amount; not more than that.
fn part_of(amount: u32, some: u32, all: u32) -> u32 {
    let part = (u64::from(amount) * u64::from(some.min(all))).div_ceil(u64::from(all.max(1)));
    u32::try_from(part).unwrap_or(amount)
}
