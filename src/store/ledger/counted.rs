//! The amounts that were granted in a sliding window.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::lease::VALID;
use super::bounds::{MAX_NUMBER, MAX_PARTS};

/// The granted amounts, by parts of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counted {
    parts: BTreeMap<u64, u32>,
    /// While a client has not returned: if the earlier ledger is lost, the amount that the returned clients can spend
    /// without this ledger; otherwise the amount that all clients can.
    pub(super) spare: u32,
    /// The lowest free amount since a time, and in the window's length before it.
    pub(super) low: u32,
    pub(super) low_before: u32,
    low_since: u64,
}

/// The changes by one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    parts: BTreeMap<u64, i64>,
    spare: i64,
}

/// Requests that are sent at the same time arrive within this time, in milliseconds.
const SLOP: u64 = 1_000;
/// The number of parts of a window.
const PARTS: u64 = 240;

impl Counted {
    /// Returns the sum of all counted amounts.
    pub(super) fn sum(&self) -> u64 {
        self.parts.values().fold(0, |sum, amount| sum.saturating_add(u64::from(*amount)))
    }

    pub(super) fn is_sound(&self) -> bool {
        self.low_since <= MAX_NUMBER && are_sound(&self.parts, |_| true)
    }

    /// Converts the times with `past`.
    pub(super) fn settle(&mut self, past: impl Fn(u64) -> u64) {
        if self.low_since > 0 {
            self.low_since = past(self.low_since).max(1);
        }
    }

    pub(super) fn add(&mut self, part: u64, amount: u32, change: &mut Change) {
        if amount > 0 {
            self.put(part, amount);
            change.add(part, i64::from(amount));
        }
    }

    /// Subtracts an amount that a client returns.
    pub(super) fn give_back(&mut self, part: u64, amount: u32, change: &mut Change) -> u32 {
        let amount = self.remove(part, amount);
        if amount > 0 {
            change.add(part, -i64::from(amount));
        }
        amount
    }

    pub(super) fn add_spare(&mut self, amount: u32, change: &mut Change) {
        let before = self.spare;
        self.spare = before.saturating_add(amount);
        change.spare = within(change.spare.saturating_add(i64::from(self.spare - before)));
    }

    pub(super) fn take_spare(&mut self, amount: u32, change: &mut Change) {
        let amount = amount.min(self.spare);
        self.spare -= amount;
        change.spare = within(change.spare.saturating_sub(i64::from(amount)));
    }

    /// Undoes a request whose response was lost.
    pub(super) fn undo(&mut self, change: &Change, lost: bool) {
        let units = |amount: i64| u32::try_from(amount.unsigned_abs()).unwrap_or(u32::MAX);
        for (part, amount) in &change.parts {
            if *amount > 0 {
                self.remove(*part, units(*amount));
            } else {
                self.put(*part, units(*amount));
            }
        }
        if lost && change.spare > 0 {
            self.spare = self.spare.saturating_sub(units(change.spare));
        } else if lost {
            self.spare = self.spare.saturating_add(units(change.spare));
        }
    }

    fn put(&mut self, part: u64, amount: u32) {
        let count = self.parts.entry(part).or_default();
        *count = count.saturating_add(amount);
    }

    fn remove(&mut self, part: u64, amount: u32) -> u32 {
        let Some(count) = self.parts.get_mut(&part) else { return 0 };
        let amount = amount.min(*count);
        *count -= amount;
        if *count == 0 {
            self.parts.remove(&part);
        }
        amount
    }

    /// Drops the parts that have expired. Amounts with a time later than now, from before the clock was set back, count
    /// from now: as if they were granted now, which is longer than necessary.
    pub(super) fn forget(&mut self, now: u64, length: u64) {
        self.parts.retain(|part, _| ends(*part, length) > now);
        let newest = now / part(length);
        for amount in self.parts.split_off(&newest.saturating_add(1)).into_values() {
            self.put(newest, amount);
        }
    }

    /// Returns the amount that was granted in the parts that begin after this time.
    pub(super) fn since(&self, time: u64, length: u64) -> u64 {
        let newest = self.parts.iter().rev();
        let newest = newest.take_while(|(index, _)| index.saturating_mul(part(length)) > time);
        newest.fold(0, |sum, (_, amount)| sum.saturating_add(u64::from(*amount)))
    }

    /// Returns the lowest free amount of the recent past, including the current one.
    pub(super) fn low(&mut self, now: u64, length: u64, free: u32) -> u32 {
        if self.low_since == 0 || self.low_since.saturating_add(length) <= now {
            self.low_before = if self.low_since == 0 { free } else { self.low };
            (self.low, self.low_since) = (free, now.max(1));
        }
        self.low = self.low.min(free);
        self.low.min(self.low_before)
    }

    /// Returns the time in milliseconds until this amount is free.
    pub(super) fn wait(&self, now: u64, length: u64, limit: u32, amount: u32) -> u64 {
        let taken = self.sum().saturating_add(u64::from(amount.min(limit)));
        let mut excess = taken.saturating_sub(u64::from(limit));
        for (part, count) in &self.parts {
            if excess == 0 {
                break;
            }
            if u64::from(*count) >= excess {
                return ends(*part, length).saturating_sub(now);
            }
            excess -= u64::from(*count);
        }
        0
    }
}

impl Change {
    pub(super) fn is_sound(&self) -> bool {
        is_within(self.spare) && are_sound(&self.parts, |amount| is_within(*amount))
    }

    fn add(&mut self, part: u64, amount: i64) {
        let sum = self.parts.entry(part).or_default();
        *sum = within(sum.saturating_add(amount));
    }
}

const MOST: i64 = MAX_NUMBER.cast_signed();

fn is_within(amount: i64) -> bool {
    within(amount) == amount
}

fn within(amount: i64) -> i64 {
    amount.clamp(-MOST, MOST)
}

fn are_sound<T>(parts: &BTreeMap<u64, T>, is_sound: impl Fn(&T) -> bool) -> bool {
    parts.len() <= MAX_PARTS
        && parts.iter().all(|(part, amount)| *part <= MAX_NUMBER && is_sound(amount))
}

pub(super) fn part(length: u64) -> u64 {
    (length / PARTS).max(1)
}

/// Returns how long a grant counts at most, in milliseconds: a client can spend it while the lease is valid, and
/// requests take unequal times to arrive.
pub(in crate::store) fn kept(length: u64) -> u64 {
    part(length).saturating_add(length).saturating_add(VALID + SLOP)
}

/// Returns the time at which the grants of a part no longer count.
pub(super) fn ends(index: u64, length: u64) -> u64 {
    index.saturating_mul(part(length)).saturating_add(kept(length))
}
