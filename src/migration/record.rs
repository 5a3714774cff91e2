//! The recorded results of each operation.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::difference::{Difference, DifferenceKind};
use super::failure::Failure;
use super::histogram::Histogram;
use super::stage::Side;

/// The outcome of a call.
#[derive(Clone, Debug)]
pub(super) enum CallEnd {
    Completed,
    Failed(Failure),
    TimedOut,
    Panicked,
    /// The caller dropped the call.
    Abandoned,
}

impl CallEnd {
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Completed => false,
            Self::Failed(failure) => !failure.is_expected(),
            Self::TimedOut | Self::Panicked | Self::Abandoned => true,
        }
    }
}

/// The role in which a side was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallRole {
    Served { write: bool },
    Fallback,
    Mirrored,
}

/// The reason why a call was not mirrored although its share was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SkipReason {
    Full,
    Abandoned,
    NoRuntime,
}

#[derive(Debug, Default)]
pub(super) struct OperationStats {
    operations: HashMap<Cow<'static, str>, StatsEntry>,
}

/// Maximum number of distinct operations: a name that contains a number would be a new one each time.
const MAX_OPERATIONS: usize = 200;
const OTHER_OPERATIONS: &str = "(others)";
/// Maximum number of distinct locations for each operation; the newest difference of each is kept.
const MAX_SAMPLES: usize = 100;

impl OperationStats {
    pub(super) fn of(&mut self, operation: Cow<'static, str>) -> &mut StatsEntry {
        let known = self.operations.contains_key(&operation);
        let name = match known || self.operations.len() < MAX_OPERATIONS {
            true => operation,
            false => Cow::Borrowed(OTHER_OPERATIONS),
        };
        self.operations.entry(name).or_default()
    }

    /// By their names.
    pub(super) fn all(&self) -> Vec<(&str, &StatsEntry)> {
        let mut all: Vec<_> =
            self.operations.iter().map(|(name, record)| (name.as_ref(), record)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

#[derive(Debug, Default)]
pub(super) struct StatsEntry {
    pub(super) old: SideStats,
    pub(super) new: SideStats,
    pub(super) compared: u64,
    pub(super) mismatched: u64,
    pub(super) uncompared: u64,
    pub(super) fallbacks: u64,
    pub(super) saved: u64,
    pub(super) full: u64,
    pub(super) abandoned: u64,
    pub(super) no_runtime: u64,
    pub(super) samples: BTreeMap<(String, DifferenceKind), (u64, Difference)>,
    pub(super) samples_dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct SideStats {
    pub(super) served: u64,
    pub(super) writes: u64,
    pub(super) mirrored: u64,
    pub(super) errors_expected: u64,
    pub(super) failed: u64,
    pub(super) timed_out: u64,
    pub(super) panicked: u64,
    pub(super) abandoned: u64,
    pub(super) latency: Histogram,
    pub(super) last: Option<Instant>,
}

impl StatsEntry {
    pub(super) fn side(&mut self, side: Side) -> &mut SideStats {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }

    pub(super) fn skip(&mut self, skip: SkipReason) {
        match skip {
            SkipReason::Full => self.full = self.full.saturating_add(1),
            SkipReason::Abandoned => self.abandoned = self.abandoned.saturating_add(1),
            SkipReason::NoRuntime => self.no_runtime = self.no_runtime.saturating_add(1),
        }
    }

    pub(super) fn compared(&mut self, differences: Vec<Difference>) {
        self.compared = self.compared.saturating_add(1);
        self.mismatched = self.mismatched.saturating_add(u64::from(!differences.is_empty()));
        for difference in differences {
            let key = (difference.pattern.clone(), difference.kind);
            let full = self.samples.len() >= MAX_SAMPLES;
            match self.samples.get_mut(&key) {
                Some((count, newest)) => {
                    *count = count.saturating_add(1);
                    *newest = difference;
                }
                None if full => self.samples_dropped = self.samples_dropped.saturating_add(1),
                None => {
                    self.samples.insert(key, (1, difference));
                }
            }
        }
    }
}

impl SideStats {
    pub(super) fn record_end(
        &mut self,
        now: Instant,
        part: CallRole,
        ended: &CallEnd,
        latency: Duration,
    ) {
        match part {
            CallRole::Served { write } => {
                self.served = self.served.saturating_add(1);
                self.writes = self.writes.saturating_add(u64::from(write));
            }
            CallRole::Fallback => self.served = self.served.saturating_add(1),
            CallRole::Mirrored => self.mirrored = self.mirrored.saturating_add(1),
        }
        match ended {
            CallEnd::Completed => {}
            CallEnd::Failed(failure) if failure.is_expected() => {
                self.errors_expected = self.errors_expected.saturating_add(1)
            }
            CallEnd::Failed(_) => self.failed = self.failed.saturating_add(1),
            CallEnd::TimedOut => self.timed_out = self.timed_out.saturating_add(1),
            CallEnd::Panicked => self.panicked = self.panicked.saturating_add(1),
            CallEnd::Abandoned => self.abandoned = self.abandoned.saturating_add(1),
        }
        if !matches!(ended, CallEnd::Panicked | CallEnd::Abandoned) {
            self.latency.record(latency);
        }
        self.last = Some(now);
    }
}
