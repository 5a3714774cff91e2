//! The bounds of a stored ledger: for any stored bytes, reading takes a bounded time, and no response is out of bounds.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::recovery::OutageRecovery;
use super::{Member, PauseState, PrimaryBudget, QuotaLedger};
use crate::store::QuotaRequest;
use crate::store::quota_bounds::{
    MAX_CONSECUTIVE_PAUSES, MAX_MEMBER_COUNT, MAX_MEMBERS, MAX_NAMES, MAX_NUMBER, MAX_OWNERS,
    MAX_PAUSE_MS, MAX_TEXT, MAX_WINDOW_MS, MAX_WRITE_INTERVAL_MS, MEMBER_TIMEOUT, is_name,
};

/// The version of a ledger's format: a ledger of another version is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Version;

/// Version 3 tells outages that leave the ledger intact from a loss.
pub(in crate::store) const VERSION: u64 = 3;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(Self),
            version => Err(D::Error::custom(format_args!("unsupported ledger version {version}"))),
        }
    }
}

impl QuotaLedger {
    /// Returns whether [`lease`](Self::lease) can have produced the ledger.
    pub(super) fn is_sound(&self) -> bool {
        let epoch = self.epoch.len() <= 2 * MAX_TEXT && is_printable(&self.epoch);
        let recovery = &self.recovery;
        epoch
            && self.time <= MAX_NUMBER
            && recovery.since <= MAX_NUMBER
            && recovery.lost_at <= MAX_NUMBER
            && recovery.outage_ms <= MAX_NUMBER
            && recovery.returned_members.len() <= MAX_MEMBERS
            && recovery.returned_members.iter().all(|name| is_name(name))
            && all_sound(&recovery.unreported, MAX_NAMES, |until| *until <= MAX_NUMBER)
            && self.departed <= MAX_NUMBER
            && self.silent_from.max(self.silent_until) <= MAX_NUMBER
            && all_sound(&self.members, MAX_MEMBERS, Member::is_sound)
            && all_sound(&self.windows, MAX_NAMES, super::window::GrantWindow::is_sound)
            && all_sound(&self.budgets, MAX_NAMES, PrimaryBudget::is_sound)
            && all_sound(&self.owners, MAX_OWNERS, |next| *next <= MAX_NUMBER)
            && self.pause.as_ref().is_none_or(PauseState::is_sound)
    }

    /// Moves the ledger to this time. If the clock was set back since the last request, the difference is subtracted
    /// from each time in the ledger, as if no time had passed; times that are still too far in the future are dropped.
    pub(super) fn rebase_time(&mut self, now: u64, ask: &QuotaRequest) {
        let back = self.time.saturating_sub(now);
        self.time = now;
        let past = |time: u64| time.saturating_sub(back).min(now);
        self.recovery.since = past(self.recovery.since);
        self.recovery.lost_at = past(self.recovery.lost_at);
        self.departed = past(self.departed);
        (self.silent_from, self.silent_until) = (past(self.silent_from), past(self.silent_until));
        let latest = now.saturating_add(MAX_WINDOW_MS).min(MAX_NUMBER);
        for until in self.recovery.unreported.values_mut() {
            *until = until.saturating_sub(back).min(latest);
        }
        // At most the number of members that the ledger distinguishes can return.
        let OutageRecovery { expected_members, new_members, lost_expected, .. } =
            &mut self.recovery;
        for count in [expected_members, new_members, lost_expected] {
            *count = (*count).min(MAX_MEMBER_COUNT);
        }
        for member in self.members.values_mut() {
            member.last_seen = past(member.last_seen);
        }
        for window in self.windows.values_mut() {
            window.rebase_time(past);
        }
        for budget in self.budgets.values_mut() {
            budget.rebase_time(now, back);
        }
        let farthest = now.saturating_add(ask.min_write_interval.max(MAX_WRITE_INTERVAL_MS));
        self.owners.retain(|_, next| {
            *next = next.saturating_sub(back);
            *next <= farthest
        });
        if let Some(pause) = &mut self.pause {
            pause.until = pause.until.saturating_sub(back);
            pause.probe_expires_at = pause.probe_expires_at.saturating_sub(back);
            if pause.probe_expires_at > now.saturating_add(MEMBER_TIMEOUT) {
                pause.probe_expires_at = 0;
            }
        }
        let farthest = now.saturating_add(MAX_PAUSE_MS);
        self.pause.take_if(|pause| pause.until > farthest);
    }
}

impl Member {
    fn is_sound(&self) -> bool {
        let numbers = [self.last_seen, self.first_serial, self.serial];
        numbers.iter().all(|number| *number <= MAX_NUMBER)
            && all_sound(&self.offline_allowance, MAX_NAMES, |_| true)
            && all_sound(&self.unanswered, MAX_NAMES, |amount| *amount <= MAX_NUMBER)
            && all_sound(
                &self.last_changes.windows,
                MAX_NAMES,
                super::window::WindowDelta::is_sound,
            )
    }
}

impl PrimaryBudget {
    fn is_sound(&self) -> bool {
        let numbers = [self.limit, self.remaining, self.reset, self.next];
        numbers.iter().all(|number| *number <= MAX_NUMBER)
    }

    fn rebase_time(&mut self, now: u64, back: u64) {
        if self.reset > 0 {
            self.reset = self.reset.saturating_sub(back).max(1);
        }
        self.next = self.next.saturating_sub(back).min(self.reset);
        if self.reset > now.saturating_add(MAX_WINDOW_MS) {
            *self = Self::default();
        }
    }
}

impl PauseState {
    fn is_sound(&self) -> bool {
        self.until <= MAX_NUMBER
            && self.probe_expires_at <= MAX_NUMBER
            && self.consecutive <= MAX_CONSECUTIVE_PAUSES
            && is_name(&self.probing_member)
    }
}

/// Returns whether a member can have this name, which is a part of epochs.
pub(super) fn is_member(name: &str) -> bool {
    is_name(name) && is_printable(name)
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn all_sound<T>(entries: &BTreeMap<String, T>, most: usize, is_sound: impl Fn(&T) -> bool) -> bool {
    entries.len() <= most && entries.iter().all(|(name, entry)| is_name(name) && is_sound(entry))
}

#[cfg(test)]
mod tests;
