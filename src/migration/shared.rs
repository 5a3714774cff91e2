//! The state that all calls of a migration share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::control::{StageChange, StageController};
use super::difference::Difference;
use super::failure::FailureClassifiers;
use super::policy::MirrorConfig;
use super::record::{CallEnd, CallRole, OperationStats, SkipReason};
use super::rules::ComparisonRules;
use super::stage::{RolloutBucket, Sampler, Side, Stage};
use super::window::Observation;

pub(super) struct MigrationInner {
    pub(super) settings: Settings,
    pub(super) permits: Arc<Semaphore>,
    chance: Sampler,
    state: Mutex<State>,
}

/// The settings of the builder, which do not change.
pub(super) struct Settings {
    pub(super) mirror: MirrorConfig,
    pub(super) failures: FailureClassifiers,
    pub(super) salt: String,
    pub(super) rules: Arc<ComparisonRules>,
    pub(super) rules_by_operation: HashMap<Cow<'static, str>, Arc<ComparisonRules>>,
    pub(super) on_change: Option<OnChange>,
}

pub(super) type OnChange = Box<dyn Fn(&StageChange) + Send + Sync>;

pub(super) struct State {
    pub(super) controller: StageController,
    pub(super) stats: OperationStats,
}

/// The plan of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallPlan {
    pub(super) serves: Side,
    /// Whether the other side runs it as well.
    pub(super) mirrored: bool,
    /// Whether the legacy side is called if the new one fails.
    pub(super) fallback: bool,
    pub(super) epoch: u64,
}

/// The context of a result.
#[derive(Clone, Debug)]
pub(super) struct CallInfo {
    pub(super) operation: Cow<'static, str>,
    pub(super) epoch: u64,
}

impl MigrationInner {
    pub(super) fn new(settings: Settings, control: StageController) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(settings.mirror.concurrency)),
            settings,
            chance: Sampler::new(),
            state: Mutex::new(State { controller: control, stats: OperationStats::default() }),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        let (stage, change) = {
            let control = &mut self.state().controller;
            let change = control.advance(Instant::now());
            (control.stage(), change)
        };
        self.announce(change);
        stage
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        let change = self.state().controller.set(Instant::now(), stage);
        self.announce(change);
    }

    pub(super) fn restart_stage(&self) {
        self.state().controller.restart(Instant::now());
    }

    pub(super) fn bucket(&self, key: &[u8]) -> RolloutBucket {
        RolloutBucket::of_key(&self.settings.salt, key)
    }

    /// A call without a key is served by a random side.
    pub(super) fn plan(&self, place: Option<RolloutBucket>, write: bool) -> CallPlan {
        let (stage, epoch, change) = {
            let control = &mut self.state().controller;
            let change = control.advance(Instant::now());
            (control.stage(), control.epoch(), change)
        };
        self.announce(change);
        let serves = stage.serves(place.unwrap_or_else(|| self.chance.random_bucket()));
        let shifting = matches!(stage, Stage::Shift { .. });
        let fallback = shifting && serves == Side::New && !write && self.settings.mirror.fallback;
        CallPlan { serves, mirrored: self.chance.sample(stage.share()), fallback, epoch }
    }

    /// Records that a call of a side ended.
    pub(super) fn ended(
        &self,
        about: &CallInfo,
        side: Side,
        part: CallRole,
        ended: &CallEnd,
        latency: Duration,
    ) {
        let now = Instant::now();
        let change = {
            let mut state = self.state();
            let record = state.stats.of(about.operation.clone());
            record.side(side).record_end(now, part, ended, latency);
            if part == CallRole::Fallback {
                record.fallbacks = record.fallbacks.saturating_add(1);
                record.saved = record.saved.saturating_add(u64::from(!ended.is_failure()));
                // Only failed calls reach this: they would distort the legacy side's rate.
                None
            } else {
                let failed = ended.is_failure();
                state.controller.record(now, about.epoch, Observation::Result { side, failed })
            }
        };
        self.announce(change);
    }

    /// Records a comparison of the two sides of a call.
    pub(super) fn compared(
        &self,
        about: &CallInfo,
        differences: Vec<Difference>,
        latencies: Option<(Duration, Duration)>,
    ) {
        if let Some(first) = differences.first() {
            debug!(
                operation = %about.operation,
                differences = differences.len(),
                path = first.path,
                kind = first.kind.as_str(),
                "responses differ"
            );
        }
        let equal = differences.is_empty();
        let change = {
            let mut state = self.state();
            state.stats.of(about.operation.clone()).compared(differences);
            let observation = Observation::Compared { equal, latencies };
            state.controller.record(Instant::now(), about.epoch, observation)
        };
        self.announce(change);
    }

    pub(super) fn uncompared(&self, about: &CallInfo) {
        let mut state = self.state();
        let record = state.stats.of(about.operation.clone());
        record.uncompared = record.uncompared.saturating_add(1);
    }

    pub(super) fn skipped(&self, about: &CallInfo, skip: SkipReason) {
        self.state().stats.of(about.operation.clone()).skip(skip);
    }

    pub(super) fn rules(&self, operation: &str) -> Arc<ComparisonRules> {
        let Settings { rules, rules_by_operation: rules_of, .. } = &self.settings;
        Arc::clone(rules_of.get(operation).unwrap_or(rules))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a change, without holding the lock.
    fn announce(&self, change: Option<StageChange>) {
        let Some(change) = change else { return };
        let StageChange { from, to, reason, .. } = &change;
        match reason.is_violation() {
            true => warn!(%from, %to, %reason, "migration rolled back"),
            false => info!(%from, %to, %reason, "migration stage changed"),
        }
        if let Some(on_change) = &self.settings.on_change
            && catch_unwind(AssertUnwindSafe(|| on_change(&change))).is_err()
        {
            error!("on_change callback panicked");
        }
    }
}
