//! The records of each operation.

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
pub(super) enum Ended {
    Answered,
    Failed(Failure),
    TimedOut,
    Panicked,
    /// The caller dropped the call.
    Abandoned,
}

impl Ended {
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Answered => false,
            Self::Failed(failure) => !failure.is_answer(),
            Self::TimedOut | Self::Panicked | Self::Abandoned => true,
        }
    }
}

/// The role in which a side was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Served { write: bool },
    Fallback,
    Mirrored,
}

/// The reason why a call was not mirrored although its share was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    Full,
    Abandoned,
    NoRuntime,
}

#[derive(Debug, Default)]
pub(super) struct Records {
    operations: HashMap<Cow<'static, str>, Record>,
}

/// Maximum number of distinct operations: a name that contains a number would be a new one each time.
const OPERATIONS: usize = 200;
const OTHERS: &str = "(others)";
/// Maximum number of distinct locations for each operation; the newest difference of each is kept.
const SAMPLES: usize = 100;

impl Records {
    pub(super) fn of(&mut self, operation: Cow<'static, str>) -> &mut Record {
        let known = self.operations.contains_key(&operation);
        let name = match known || self.operations.len() < OPERATIONS {
            true => operation,
            false => Cow::Borrowed(OTHERS),
        };
        self.operations.entry(name).or_default()
    }

    /// By their names.
    pub(super) fn all(&self) -> Vec<(&str, &Record)> {
        let mut all: Vec<_> =
            self.operations.iter().map(|(name, record)| (name.as_ref(), record)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) old: SideRecord,
    pub(super) new: SideRecord,
    pub(super) compared: u64,
    pub(super) mismatched: u64,
    pub(super) uncompared: u64,
    pub(super) fallbacks: u64,
    pub(super) saved: u64,
    pub(super) full: u64,
    pub(super) abandoned: u64,
    pub(super) no_runtime: u64,
    pub(super) samples: BTreeMap<(String, DifferenceKind), (u64, Difference)>,
    pub(super) left_out: u64,
}

#[derive(Debug, Default)]
pub(super) struct SideRecord {
    pub(super) served: u64,
    pub(super) writes: u64,
    pub(super) mirrored: u64,
    pub(super) answers: u64,
    pub(super) failed: u64,
    pub(super) timed_out: u64,
    pub(super) panicked: u64,
    pub(super) abandoned: u64,
    pub(super) latency: Histogram,
    pub(super) last: Option<Instant>,
}

impl Record {
    pub(super) fn side(&mut self, side: Side) -> &mut SideRecord {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }

    pub(super) fn skip(&mut self, skip: Skip) {
        match skip {
            Skip::Full => self.full = self.full.saturating_add(1),
            Skip::Abandoned => self.abandoned = self.abandoned.saturating_add(1),
            Skip::NoRuntime => self.no_runtime = self.no_runtime.saturating_add(1),
        }
    }

    pub(super) fn compared(&mut self, differences: Vec<Difference>) {
        self.compared = self.compared.saturating_add(1);
        self.mismatched = self.mismatched.saturating_add(u64::from(!differences.is_empty()));
        for difference in differences {
            let key = (difference.pattern.clone(), difference.kind);
            let full = self.samples.len() >= SAMPLES;
            match self.samples.get_mut(&key) {
                Some((count, newest)) => {
                    *count = count.saturating_add(1);
                    *newest = difference;
                }
                None if full => self.left_out = self.left_out.saturating_add(1),
                None => {
                    self.samples.insert(key, (1, difference));
                }
            }
        }
    }
}

impl SideRecord {
    pub(super) fn ended(&mut self, now: Instant, part: Part, ended: &Ended, latency: Duration) {
        match part {
            Part::Served { write } => {
                self.served = self.served.saturating_add(1);
                self.writes = self.writes.saturating_add(u64::from(write));
            }
            Part::Fallback => self.served = self.served.saturating_add(1),
            Part::Mirrored => self.mirrored = self.mirrored.saturating_add(1),
        }
        match ended {
            Ended::Answered => {}
            Ended::Failed(failure) if failure.is_answer() => {
                self.answers = self.answers.saturating_add(1)
            }
            Ended::Failed(_) => self.failed = self.failed.saturating_add(1),
            Ended::TimedOut => self.timed_out = self.timed_out.saturating_add(1),
            Ended::Panicked => self.panicked = self.panicked.saturating_add(1),
            Ended::Abandoned => self.abandoned = self.abandoned.saturating_add(1),
        }
        if !matches!(ended, Ended::Panicked | Ended::Abandoned) {
            self.latency.record(latency);
        }
        self.last = Some(now);
    }
}
