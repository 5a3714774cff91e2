//! The state that all calls of a shadow share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::control::{Control, StageChange};
use super::difference::Difference;
use super::failure::Failures;
use super::policy::Mirroring;
use super::record::{Ended, Part, Records, Skip};
use super::rules::Rules;
use super::stage::{Chance, Place, Side, Stage};
use super::window::Observation;

pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) permits: Arc<Semaphore>,
    chance: Chance,
    state: Mutex<State>,
}

/// The settings of the builder, which do not change.
pub(super) struct Settings {
    pub(super) mirroring: Mirroring,
    pub(super) failures: Failures,
    pub(super) salt: String,
    pub(super) rules: Arc<Rules>,
    pub(super) rules_of: HashMap<Cow<'static, str>, Arc<Rules>>,
    pub(super) on_change: Option<OnChange>,
}

pub(super) type OnChange = Box<dyn Fn(&StageChange) + Send + Sync>;

pub(super) struct State {
    pub(super) control: Control,
    pub(super) records: Records,
}

/// The plan of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) serves: Side,
    /// Whether the other side runs it as well.
    pub(super) mirrored: bool,
    /// Whether the old side is called if the new one fails.
    pub(super) fallback: bool,
    pub(super) epoch: u64,
}

/// The context of a result.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) operation: Cow<'static, str>,
    pub(super) epoch: u64,
}

impl Core {
    pub(super) fn new(settings: Settings, control: Control) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(settings.mirroring.concurrency)),
            settings,
            chance: Chance::new(),
            state: Mutex::new(State { control, records: Records::default() }),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        let (stage, change) = {
            let control = &mut self.state().control;
            let change = control.climb(Instant::now());
            (control.stage(), change)
        };
        self.announce(change);
        stage
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        let change = self.state().control.set(Instant::now(), stage);
        self.announce(change);
    }

    pub(super) fn restart_stage(&self) {
        self.state().control.restart(Instant::now());
    }

    pub(super) fn place(&self, key: &[u8]) -> Place {
        Place::of_key(&self.settings.salt, key)
    }

    /// A call without a key is served by a random side.
    pub(super) fn plan(&self, place: Option<Place>, write: bool) -> Plan {
        let (stage, epoch, change) = {
            let control = &mut self.state().control;
            let change = control.climb(Instant::now());
            (control.stage(), control.epoch(), change)
        };
        self.announce(change);
        let serves = stage.serves(place.unwrap_or_else(|| self.chance.place()));
        let shifting = matches!(stage, Stage::Shift { .. });
        let fallback =
            shifting && serves == Side::New && !write && self.settings.mirroring.fallback;
        Plan { serves, mirrored: self.chance.is(stage.share()), fallback, epoch }
    }

    /// Records that a call of a side ended.
    pub(super) fn ended(
        &self,
        about: &About,
        side: Side,
        part: Part,
        ended: &Ended,
        latency: Duration,
    ) {
        let now = Instant::now();
        let change = {
            let mut state = self.state();
            let record = state.records.of(about.operation.clone());
            record.side(side).ended(now, part, ended, latency);
            if part == Part::Fallback {
                record.fallbacks = record.fallbacks.saturating_add(1);
                record.saved = record.saved.saturating_add(u64::from(!ended.is_failure()));
                // Only failed calls reach this: they would distort the old side's rate.
                None
            } else {
                let failed = ended.is_failure();
                state.control.note(now, about.epoch, Observation::Result { side, failed })
            }
        };
        self.announce(change);
    }

    /// Records a comparison of the two sides of a call.
    pub(super) fn compared(
        &self,
        about: &About,
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
            state.records.of(about.operation.clone()).compared(differences);
            let observation = Observation::Compared { equal, latencies };
            state.control.note(Instant::now(), about.epoch, observation)
        };
        self.announce(change);
    }

    pub(super) fn uncompared(&self, about: &About) {
        let mut state = self.state();
        let record = state.records.of(about.operation.clone());
        record.uncompared = record.uncompared.saturating_add(1);
    }

    pub(super) fn skipped(&self, about: &About, skip: Skip) {
        self.state().records.of(about.operation.clone()).skip(skip);
    }

    pub(super) fn rules(&self, operation: &str) -> Arc<Rules> {
        let Settings { rules, rules_of, .. } = &self.settings;
        Arc::clone(rules_of.get(operation).unwrap_or(rules))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a change, without holding the lock.
    fn announce(&self, change: Option<StageChange>) {
        let Some(change) = change else { return };
        let StageChange { from, to, reason, .. } = &change;
        match reason.is_trouble() {
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
