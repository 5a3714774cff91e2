//! The amounts that were granted in a sliding window.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::store::quota_bounds::{MAX_BUCKETS, MAX_NUMBER, bucket_of, retention_ms};

/// The granted amounts, by buckets of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantWindow {
    buckets: BTreeMap<u64, u32>,
    /// After a loss of the earlier ledger: the amount that the returned clients can spend without this one.
    pub(super) returned_allowance: u32,
    /// After another outage: the amount that all clients could spend without the ledger when it began.
    pub(super) offline_allowance: u32,
    /// The lowest free amount since a time, and in the window's length before it.
    pub(super) min_free: u32,
    pub(super) previous_min_free: u32,
    min_free_since: u64,
}

/// The changes by one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowDelta {
    buckets: BTreeMap<u64, i64>,
    returned_allowance: i64,
}

impl GrantWindow {
    /// Returns the sum of all counted amounts.
    pub(super) fn sum(&self) -> u64 {
        self.buckets.values().fold(0, |sum, amount| sum.saturating_add(u64::from(*amount)))
    }

    pub(super) fn is_sound(&self) -> bool {
        self.min_free_since <= MAX_NUMBER && all_sound(&self.buckets, |_| true)
    }

    /// Converts the times with `past`.
    pub(super) fn rebase_time(&mut self, past: impl Fn(u64) -> u64) {
        if self.min_free_since > 0 {
            self.min_free_since = past(self.min_free_since).max(1);
        }
    }

    pub(super) fn add(&mut self, part: u64, amount: u32, change: &mut WindowDelta) {
        if amount > 0 {
            self.set_bucket(part, amount);
            change.add(part, i64::from(amount));
        }
    }

    /// Records that an outage has begun.
    pub(super) fn begin_outage(&mut self) {
        self.offline_allowance = self.min_free.min(self.previous_min_free);
    }

    /// Subtracts an amount that a client returns.
    pub(super) fn refund(&mut self, part: u64, amount: u32, change: &mut WindowDelta) -> u32 {
        let amount = self.remove(part, amount);
        if amount > 0 {
            change.add(part, -i64::from(amount));
        }
        amount
    }

    pub(super) fn add_returned_allowance(&mut self, amount: u32, change: &mut WindowDelta) {
        let before = self.returned_allowance;
        self.returned_allowance = before.saturating_add(amount);
        change.returned_allowance = clamp_delta(
            change.returned_allowance.saturating_add(i64::from(self.returned_allowance - before)),
        );
    }

    pub(super) fn take_returned_allowance(&mut self, amount: u32, change: &mut WindowDelta) {
        let amount = amount.min(self.returned_allowance);
        self.returned_allowance -= amount;
        change.returned_allowance =
            clamp_delta(change.returned_allowance.saturating_sub(i64::from(amount)));
    }

    /// Undoes a request whose response was lost.
    pub(super) fn revert(&mut self, change: &WindowDelta, lost: bool) {
        let units = |amount: i64| u32::try_from(amount.unsigned_abs()).unwrap_or(u32::MAX);
        for (part, amount) in &change.buckets {
            if *amount > 0 {
                self.remove(*part, units(*amount));
            } else {
                self.set_bucket(*part, units(*amount));
            }
        }
        if lost && change.returned_allowance > 0 {
            self.returned_allowance =
                self.returned_allowance.saturating_sub(units(change.returned_allowance));
        } else if lost {
            self.returned_allowance =
                self.returned_allowance.saturating_add(units(change.returned_allowance));
        }
    }

    fn set_bucket(&mut self, part: u64, amount: u32) {
        let count = self.buckets.entry(part).or_default();
        *count = count.saturating_add(amount);
    }

    fn remove(&mut self, part: u64, amount: u32) -> u32 {
        let Some(count) = self.buckets.get_mut(&part) else { return 0 };
        let amount = amount.min(*count);
        *count -= amount;
        if *count == 0 {
            self.buckets.remove(&part);
        }
        amount
    }

    /// Drops the parts that have expired. Amounts with a time later than now, from before the clock was set back, count
    /// from now: as if they were granted now, which is longer than necessary.
    pub(super) fn expire(&mut self, now: u64, length: u64) {
        self.buckets.retain(|part, _| bucket_end(*part, length) > now);
        let newest = now / bucket_of(length);
        for amount in self.buckets.split_off(&newest.saturating_add(1)).into_values() {
            self.set_bucket(newest, amount);
        }
    }

    /// Returns the amount that was granted in the parts that begin after this time.
    pub(super) fn granted_since(&self, time: u64, length: u64) -> u64 {
        let newest = self.buckets.iter().rev();
        let newest = newest.take_while(|(index, _)| index.saturating_mul(bucket_of(length)) > time);
        newest.fold(0, |sum, (_, amount)| sum.saturating_add(u64::from(*amount)))
    }

    /// Returns the lowest free amount of the recent past, including the current one.
    pub(super) fn min_free(&mut self, now: u64, length: u64, free: u32) -> u32 {
        if self.min_free_since == 0 || self.min_free_since.saturating_add(length) <= now {
            self.previous_min_free = if self.min_free_since == 0 { free } else { self.min_free };
            (self.min_free, self.min_free_since) = (free, now.max(1));
        }
        self.min_free = self.min_free.min(free);
        self.min_free.min(self.previous_min_free)
    }

    /// Returns the time in milliseconds until this amount is free.
    pub(super) fn wait_for(&self, now: u64, length: u64, limit: u32, amount: u32) -> u64 {
        let taken = self.sum().saturating_add(u64::from(amount.min(limit)));
        let mut excess = taken.saturating_sub(u64::from(limit));
        for (part, count) in &self.buckets {
            if excess == 0 {
                break;
            }
            if u64::from(*count) >= excess {
                return bucket_end(*part, length).saturating_sub(now);
            }
            excess -= u64::from(*count);
        }
        0
    }
}

impl WindowDelta {
    pub(super) fn is_sound(&self) -> bool {
        is_within(self.returned_allowance) && all_sound(&self.buckets, |amount| is_within(*amount))
    }

    fn add(&mut self, part: u64, amount: i64) {
        let sum = self.buckets.entry(part).or_default();
        *sum = clamp_delta(sum.saturating_add(amount));
    }
}

const MAX_DELTA: i64 = MAX_NUMBER.cast_signed();

fn is_within(amount: i64) -> bool {
    clamp_delta(amount) == amount
}

fn clamp_delta(amount: i64) -> i64 {
    amount.clamp(-MAX_DELTA, MAX_DELTA)
}

fn all_sound<T>(parts: &BTreeMap<u64, T>, is_sound: impl Fn(&T) -> bool) -> bool {
    parts.len() <= MAX_BUCKETS
        && parts.iter().all(|(part, amount)| *part <= MAX_NUMBER && is_sound(amount))
}

/// Returns the time at which the grants of a part no longer count.
pub(super) fn bucket_end(index: u64, length: u64) -> u64 {
    index.saturating_mul(bucket_of(length)).saturating_add(retention_ms(length))
}
