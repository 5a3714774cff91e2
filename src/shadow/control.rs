//! The stage: its value, its advances, and its rollbacks.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::policy::{Ramp, StepBack};
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
    pub reason: Reason,
    /// The time since the shadow was created, by tokio's clock.
    pub after: Duration,
}

/// The reason for a change of the stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// By [`Shadow::set_stage`](super::Shadow::set_stage).
    Asked,
    /// By the [`Ramp`], since there were no failures.
    NoTrouble,
    /// By the [`StepBack`], since the new side fails more often.
    Errors {
        /// The share of the old side's calls in the window that failed.
        old: f64,
        /// The same of the new side.
        new: f64,
    },
    /// By the [`StepBack`], since too many results differ.
    Differences {
        /// The share of comparisons in the window that found a difference.
        share: f64,
    },
    /// By the [`StepBack`], since the new side is slower.
    Latency {
        /// The 95th percentile of the old side in the window.
        old: Duration,
        /// The same of the new side.
        new: Duration,
    },
}

impl Reason {
    /// Returns whether it is a rollback.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::Asked | Self::NoTrouble)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(f, "requested"),
            Self::NoTrouble => write!(f, "no violations"),
            Self::Errors { old, new } => {
                let [old, new] = [old, new].map(|share| share * 100.0);
                write!(f, "error rate: {new:.2} % on the new side, {old:.2} % on the old side")
            }
            Self::Differences { share } => {
                write!(f, "{:.2} % of comparisons differ", share * 100.0)
            }
            Self::Latency { old, new } => {
                let [old, new] = [old, new].map(|time| time.as_secs_f64() * 1e3);
                write!(f, "p95 latency: {new:.1} ms on the new side, {old:.1} ms on the old side")
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
const CHANGES: usize = 100;
/// Interval between two evaluations of the window's latencies.
const LATENCIES_EVERY: Duration = Duration::from_secs(1);
/// A slower side within this difference is accepted.
const NO_MATTER: Duration = Duration::from_millis(10);

pub(super) struct Control {
    step_back: StepBack,
    ramp: Ramp,
    began: Instant,
    stage: Stage,
    /// The number of stage changes: a call that began in an earlier stage does not count for this one.
    epoch: u64,
    window: Window,
    /// The results since `since`.
    lately: Counts,
    /// The start of the stage, or the time of its last failure.
    since: Instant,
    latencies_at: Option<Instant>,
    step_backs: u32,
    not_before: Option<Instant>,
    changes: VecDeque<StageChange>,
}

impl Control {
    pub(super) fn new(stage: Stage, step_back: StepBack, ramp: Ramp) -> Self {
        let now = Instant::now();
        Self {
            window: Window::new(step_back.window),
            step_back,
            ramp,
            began: now,
            stage: stage.sound(),
            epoch: 0,
            lately: Counts::default(),
            since: now,
            latencies_at: None,
            step_backs: 0,
            not_before: None,
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
    pub(super) fn lasts(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    pub(super) fn lately(&self) -> &Counts {
        &self.lately
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &StageChange> {
        self.changes.iter()
    }

    pub(super) fn minimum(&self) -> u64 {
        self.step_back.minimum
    }

    /// Sets the stage. The ramp can continue from there after its usual time.
    pub(super) fn set(&mut self, now: Instant, stage: Stage) -> Option<StageChange> {
        let stage = stage.sound();
        if stage == self.stage {
            return None;
        }
        (self.step_backs, self.not_before) = (0, None);
        Some(self.change(now, stage, Reason::Asked))
    }

    /// Restarts the stage.
    pub(super) fn restart(&mut self, now: Instant) {
        self.epoch = self.epoch.saturating_add(1);
        self.window.clear();
        self.lately.clear();
        self.since = now;
        self.latencies_at = None;
    }

    /// Takes the next step if its time has come.
    pub(super) fn climb(&mut self, now: Instant) -> Option<StageChange> {
        let after = self.ramp.after?;
        let is_time = self.lasts(now) >= after && self.not_before.is_none_or(|then| now >= then);
        if !is_time || !self.is_enough() || self.doubt(now).is_some() {
            return None;
        }
        let percent = self.next_percent()?;
        let stage = Stage::Shift { percent, share: self.stage.share() };
        Some(self.change(now, stage, Reason::NoTrouble))
    }

    /// Records the result of a call that began in this epoch, and rolls back if necessary.
    pub(super) fn note(
        &mut self,
        now: Instant,
        epoch: u64,
        observation: Observation,
    ) -> Option<StageChange> {
        let undecided = matches!(self.stage, Stage::Mirror { .. } | Stage::Shift { .. });
        if epoch != self.epoch || !undecided {
            return None;
        }
        self.window.note(now, observation);
        self.lately.note(observation);
        let trouble = self.trouble(now, false)?;
        let Some(stage) = self.back() else {
            // The new side serves nothing: the time without failures restarts.
            self.since = now;
            self.lately.clear();
            return None;
        };
        self.step_backs = self.step_backs.saturating_add(1);
        self.not_before = now.checked_add(self.ramp.pause(self.step_backs));
        Some(self.change(now, stage, trouble))
    }

    /// Returns whether this stage has enough results for a decision.
    pub(super) fn is_enough(&self) -> bool {
        let compared = self.stage.share() == 0.0 || self.lately.compared >= self.step_back.minimum;
        compared && self.lately.new.all >= self.step_back.minimum
    }

    /// Returns the step after this stage, if there is one.
    pub(super) fn next_percent(&self) -> Option<f64> {
        match self.stage {
            Stage::Mirror { .. } => self.ramp.next(0.0),
            Stage::Shift { percent, .. } => self.ramp.next(percent),
            Stage::Off | Stage::Done => None,
        }
    }

    /// Returns the obstacles to advancing the stage: failures in the window, or in the whole stage.
    pub(super) fn doubt(&mut self, now: Instant) -> Option<Reason> {
        self.trouble(now, true).or_else(|| self.step_back.judge(&self.lately))
    }

    /// Returns the failures in the window. Unless requested, latencies are evaluated once a second.
    fn trouble(&mut self, now: Instant, latencies: bool) -> Option<Reason> {
        let due = self
            .latencies_at
            .is_none_or(|then| now.saturating_duration_since(then) >= LATENCIES_EVERY);
        let latencies = (latencies || due) && self.step_back.latency_ratio.is_some();
        if latencies {
            self.latencies_at = Some(now);
        }
        self.step_back.judge(self.window.sum(now, latencies))
    }

    fn back(&self) -> Option<Stage> {
        let Stage::Shift { percent, share } = self.stage else { return None };
        let previous = self.ramp.previous(percent).filter(|_| self.step_back.one_step);
        Some(match previous {
            Some(percent) => Stage::Shift { percent, share },
            None => Stage::Mirror { share },
        })
    }

    fn change(&mut self, now: Instant, to: Stage, reason: Reason) -> StageChange {
        let change = StageChange { from: self.stage, to, reason, after: self.age(now) };
        self.stage = to;
        self.restart(now);
        if self.changes.len() >= CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change.clone());
        change
    }
}

impl StepBack {
    /// Returns the exceeded threshold, if any.
    fn judge(&self, counts: &Counts) -> Option<Reason> {
        let (old, new) = (counts.old.rate(), counts.new.rate());
        if counts.new.all >= self.minimum && self.error_rate.is_some_and(|most| new - old > most) {
            return Some(Reason::Errors { old, new });
        }
        if counts.compared < self.minimum {
            return None;
        }
        let share = counts.mismatch_rate();
        if self.mismatch_rate.is_some_and(|most| share > most) {
            return Some(Reason::Differences { share });
        }
        let ratio = self.latency_ratio?;
        let (old, new) = counts.latencies()?;
        let slower = new > old.mul_f64(ratio.min(1e6)) && new > old.saturating_add(NO_MATTER);
        slower.then_some(Reason::Latency { old, new })
    }
}
