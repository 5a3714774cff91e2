//! What was granted of a window that slides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::lease::VALID;

/// What was granted, by parts of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    parts: BTreeMap<u64, u32>,
    /// While somebody is absent: what those who returned might spend without these books, if the
    /// old ones are lost; else what all might.
    pub(super) spare: u32,
    /// The least that was free since a time, and in the window's length before it.
    pub(super) low: u32,
    pub(super) low_before: u32,
    low_since: u64,
}

/// What one request changed of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    parts: BTreeMap<u64, i64>,
    spare: i64,
}

/// Requests that leave at the same time arrive within this.
const SLOP: u64 = 1_000;
/// Parts of a window.
const PARTS: u64 = 240;

impl Counted {
    pub(super) fn sum(&self) -> u32 {
        self.parts.values().fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    pub(super) fn add(&mut self, part: u64, amount: u32, change: &mut Change) {
        if amount > 0 {
            self.put(part, amount);
            *change.parts.entry(part).or_default() += i64::from(amount);
        }
    }

    /// Gives what was taken back.
    pub(super) fn give_back(&mut self, part: u64, amount: u32, change: &mut Change) -> u32 {
        let amount = self.remove(part, amount);
        if amount > 0 {
            *change.parts.entry(part).or_default() -= i64::from(amount);
        }
        amount
    }

    pub(super) fn add_spare(&mut self, amount: u32, change: &mut Change) {
        self.spare = self.spare.saturating_add(amount);
        change.spare += i64::from(amount);
    }

    pub(super) fn take_spare(&mut self, amount: u32, change: &mut Change) {
        let amount = amount.min(self.spare);
        self.spare -= amount;
        change.spare -= i64::from(amount);
    }

    /// Makes undone what a request did whose answer was lost.
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

    pub(super) fn forget(&mut self, now: u64, length: u64) {
        self.parts.retain(|part, _| ends(*part, length) > now);
    }

    /// What was granted in the parts that begin after this time.
    pub(super) fn since(&self, time: u64, length: u64) -> u32 {
        let newest = self.parts.iter().rev();
        let newest = newest.take_while(|(index, _)| **index * part(length) > time);
        newest.fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// The least that was free for a while, with what is free now.
    pub(super) fn low(&mut self, now: u64, length: u64, free: u32) -> u32 {
        if self.low_since == 0 || self.low_since + length <= now {
            self.low_before = if self.low_since == 0 { free } else { self.low };
            (self.low, self.low_since) = (free, now.max(1));
        }
        self.low = self.low.min(free);
        self.low.min(self.low_before)
    }

    /// How long until so much is free.
    pub(super) fn wait(&self, now: u64, length: u64, limit: u32, amount: u32) -> u64 {
        let mut excess = (self.sum() + amount.min(limit)).saturating_sub(limit);
        for (part, count) in &self.parts {
            if excess == 0 {
                break;
            }
            if *count >= excess {
                return ends(*part, length).saturating_sub(now);
            }
            excess -= count;
        }
        0
    }
}

pub(super) fn part(length: u64) -> u64 {
    (length / PARTS).max(1)
}

/// How long what was granted counts at most: what is granted may be spent as long as the lease is
/// good, and requests take unequal times to arrive.
pub(super) fn kept(length: u64) -> u64 {
    part(length) + length + VALID + SLOP
}

/// When what was granted in a part does not count any longer.
fn ends(index: u64, length: u64) -> u64 {
    index * part(length) + kept(length)
}
