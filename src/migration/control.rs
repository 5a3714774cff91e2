//! The control of the stage: its value, its advances, and its rollbacks.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::policy::{RollbackPolicy, RolloutSchedule};
use super::stage::Stage;
use super::window::{Counts, Observation, Window};

/// A change of the stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageChange {
    /// The previous stage.
    pub from: Stage,
    /// The new stage.
    pub to: Stage,
    /// The reason.
    pub reason: StageChangeReason,
    /// The time since the migration was created, by tokio's clock.
    pub after: Duration,
}

/// The reason for a change of the stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StageChangeReason {
    /// By [`Migration::set_stage`](super::Migration::set_stage).
    Requested,
    /// By the [`RolloutSchedule`], since there were no failures.
    Healthy,
    /// By the [`RollbackPolicy`], since the new side fails more often.
    Errors {
        /// The share of the legacy side's calls in the window that failed.
        old: f64,
        /// The same of the new side.
        new: f64,
    },
    /// By the [`RollbackPolicy`], since too many results differ.
    Differences {
        /// The share of comparisons in the window that found a difference.
        share: f64,
    },
    /// By the [`RollbackPolicy`], since the new side is slower.
    Latency {
        /// The 95th percentile of the legacy side in the window.
        old: Duration,
        /// The same of the new side.
        new: Duration,
    },
}

impl StageChangeReason {
    /// Returns whether it is a rollback.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        !matches!(self, Self::Requested | Self::Healthy)
    }
}

impl fmt::Display for StageChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => write!(f, "requested"),
            Self::Healthy => write!(f, "no violations"),
            Self::Errors { old, new } => {
                let [old, new] = [old, new].map(|share| share * 100.0);
                write!(f, "error rate: {new:.2} % on the new side, {old:.2} % on the legacy side")
            }
            Self::Differences { share } => {
                write!(f, "{:.2} % of comparisons differ", share * 100.0)
            }
            Self::Latency { old, new } => {
                let [old, new] = [old, new].map(|time| time.as_secs_f64() * 1e3);
                write!(
                    f,
                    "p95 latency: {new:.1} ms on the new side, {old:.1} ms on the legacy side"
                )
            }
        }
    }
}

impl fmt::Display for StageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}: {}", self.from, self.to, self.reason)
    }
}

/// Maximum number of remembered changes: the newest.
const MAX_REMEMBERED_CHANGES: usize = 100;
/// Interval between two evaluations of the window's latencies.
const LATENCY_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A slower side within this difference is accepted.
const LATENCY_TOLERANCE: Duration = Duration::from_millis(10);

pub(super) struct StageController {
    rollback: RollbackPolicy,
    rollout: RolloutSchedule,
    started_at: Instant,
    stage: Stage,
    /// The number of stage changes: a call that began in an earlier stage does not count for this one.
    epoch: u64,
    window: Window,
    /// The results since `since`.
    recent: Counts,
    /// The start of the stage, or the time of its last failure.
    since: Instant,
    latencies_checked_at: Option<Instant>,
    rollbacks: u32,
    earliest_advance: Option<Instant>,
    changes: VecDeque<StageChange>,
}

impl StageController {
    pub(super) fn new(stage: Stage, rollback: RollbackPolicy, rollout: RolloutSchedule) -> Self {
        let now = Instant::now();
        Self {
            window: Window::new(rollback.window),
            rollback,
            rollout,
            started_at: now,
            stage: stage.clamped(),
            epoch: 0,
            recent: Counts::default(),
            since: now,
            latencies_checked_at: None,
            rollbacks: 0,
            earliest_advance: None,
            changes: VecDeque::new(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the time in this stage without failures.
    pub(super) fn stable_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    pub(super) fn recent(&self) -> &Counts {
        &self.recent
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &StageChange> {
        self.changes.iter()
    }

    pub(super) fn min_samples(&self) -> u64 {
        self.rollback.min_samples
    }

    /// Sets the stage. The rollout can continue from there after its usual time.
    pub(super) fn set(&mut self, now: Instant, stage: Stage) -> Option<StageChange> {
        let stage = stage.clamped();
        if stage == self.stage {
            return None;
        }
        (self.rollbacks, self.earliest_advance) = (0, None);
        Some(self.change(now, stage, StageChangeReason::Requested))
    }

    /// Restarts the stage.
    pub(super) fn restart(&mut self, now: Instant) {
        self.epoch = self.epoch.saturating_add(1);
        self.window.clear();
        self.recent.clear();
        self.since = now;
        self.latencies_checked_at = None;
    }

    /// Takes the next step if its time has come.
    pub(super) fn advance(&mut self, now: Instant) -> Option<StageChange> {
        let after = self.rollout.automatic_after?;
        let is_time =
            self.stable_for(now) >= after && self.earliest_advance.is_none_or(|then| now >= then);
        if !is_time || !self.is_enough() || self.blocking_reason(now).is_some() {
            return None;
        }
        let percent = self.next_percent()?;
        let stage = Stage::Shift { percent, share: self.stage.share() };
        Some(self.change(now, stage, StageChangeReason::Healthy))
    }

    /// Records the result of a call that began in this epoch, and rolls back if necessary.
    pub(super) fn record(
        &mut self,
        now: Instant,
        epoch: u64,
        observation: Observation,
    ) -> Option<StageChange> {
        let undecided = matches!(self.stage, Stage::Mirror { .. } | Stage::Shift { .. });
        if epoch != self.epoch || !undecided {
            return None;
        }
        self.window.record(now, observation);
        self.recent.record(observation);
        let trouble = self.violation(now, false)?;
        let Some(stage) = self.roll_back() else {
            // The new side serves nothing: the time without failures restarts.
            self.since = now;
            self.recent.clear();
            return None;
        };
        self.rollbacks = self.rollbacks.saturating_add(1);
        self.earliest_advance = now.checked_add(self.rollout.pause(self.rollbacks));
        Some(self.change(now, stage, trouble))
    }

    /// Returns whether this stage has enough results for a decision.
    pub(super) fn is_enough(&self) -> bool {
        let compared =
            self.stage.share() == 0.0 || self.recent.compared >= self.rollback.min_samples;
        compared && self.recent.new.all >= self.rollback.min_samples
    }

    /// Returns the step after this stage, if there is one.
    pub(super) fn next_percent(&self) -> Option<f64> {
        match self.stage {
            Stage::Mirror { .. } => self.rollout.next(0.0),
            Stage::Shift { percent, .. } => self.rollout.next(percent),
            Stage::Off | Stage::Cutover => None,
        }
    }

    /// Returns the obstacles to advancing the stage: failures in the window, or in the whole stage.
    pub(super) fn blocking_reason(&mut self, now: Instant) -> Option<StageChangeReason> {
        self.violation(now, true).or_else(|| self.rollback.check_thresholds(&self.recent))
    }

    /// Returns the failures in the window. Unless requested, latencies are evaluated once a second.
    fn violation(&mut self, now: Instant, latencies: bool) -> Option<StageChangeReason> {
        let due = self
            .latencies_checked_at
            .is_none_or(|then| now.saturating_duration_since(then) >= LATENCY_CHECK_INTERVAL);
        let latencies = (latencies || due) && self.rollback.latency_ratio.is_some();
        if latencies {
            self.latencies_checked_at = Some(now);
        }
        self.rollback.check_thresholds(self.window.sum(now, latencies))
    }

    fn roll_back(&self) -> Option<Stage> {
        let Stage::Shift { percent, share } = self.stage else { return None };
        let previous = self.rollout.previous(percent).filter(|_| self.rollback.one_step_at_a_time);
        Some(match previous {
            Some(percent) => Stage::Shift { percent, share },
            None => Stage::Mirror { share },
        })
    }

    fn change(&mut self, now: Instant, to: Stage, reason: StageChangeReason) -> StageChange {
        let change = StageChange { from: self.stage, to, reason, after: self.age(now) };
        self.stage = to;
        self.restart(now);
        if self.changes.len() >= MAX_REMEMBERED_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change.clone());
        change
    }
}

impl RollbackPolicy {
    /// Returns the exceeded threshold, if any.
    fn check_thresholds(&self, counts: &Counts) -> Option<StageChangeReason> {
        let (old, new) = (counts.old.rate(), counts.new.rate());
        if counts.new.all >= self.min_samples
            && self.error_rate.is_some_and(|most| new - old > most)
        {
            return Some(StageChangeReason::Errors { old, new });
        }
        if counts.compared < self.min_samples {
            return None;
        }
        let share = counts.mismatch_rate();
        if self.mismatch_rate.is_some_and(|most| share > most) {
            return Some(StageChangeReason::Differences { share });
        }
        let ratio = self.latency_ratio?;
        let (old, new) = counts.latencies()?;
        let slower =
            new > old.mul_f64(ratio.min(1e6)) && new > old.saturating_add(LATENCY_TOLERANCE);
        slower.then_some(StageChangeReason::Latency { old, new })
    }
}
