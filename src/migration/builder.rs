//! The settings of a [`Migration`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Migration;
use super::control::{StageChange, StageController};
use super::failure::{Failure, FailureClassifiers};
use super::policy::{MirrorConfig, RollbackPolicy, RolloutSchedule};
use super::rules::ComparisonRules;
use super::shared::{MigrationInner, OnChange, Settings};
use super::stage::Stage;
use crate::error::Result;

/// The settings of a [`Migration`]: [`Migration::builder`].
#[must_use = "a builder does nothing before `build`"]
pub struct MigrationBuilder<Old, New> {
    old: Old,
    new: New,
    stage: Stage,
    mirror: MirrorConfig,
    rollback: RollbackPolicy,
    rollout: RolloutSchedule,
    rules: ComparisonRules,
    rules_by_operation: HashMap<Cow<'static, str>, ComparisonRules>,
    failures: FailureClassifiers,
    salt: String,
    on_change: Option<OnChange>,
}

impl<Old, New> MigrationBuilder<Old, New> {
    pub(super) fn new(old: Old, new: New) -> Self {
        Self {
            old,
            new,
            stage: Stage::default(),
            mirror: MirrorConfig::default(),
            rollback: RollbackPolicy::default(),
            rollout: RolloutSchedule::default(),
            rules: ComparisonRules::default(),
            rules_by_operation: HashMap::new(),
            failures: FailureClassifiers::default(),
            salt: "octowire".to_owned(),
            on_change: None,
        }
    }

    /// Sets the initial stage; [`Stage::Off`] by default. A restarted process begins with it again: to keep
    /// the stage, store the value that [`on_change`](Self::on_change) receives.
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// Sets how the non-serving side is called.
    pub fn mirror(mut self, mirroring: MirrorConfig) -> Self {
        self.mirror = mirroring;
        self
    }

    /// Sets when the stage rolls back automatically.
    pub fn rollback(mut self, policy: RollbackPolicy) -> Self {
        self.rollback = policy;
        self
    }

    /// Sets the steps in which keys are shifted, and whether it advances automatically; it does not by
    /// default.
    pub fn rollout(mut self, schedule: RolloutSchedule) -> Self {
        self.rollout = schedule;
        self
    }

    /// Sets how results are compared; by default, they have to be equal.
    pub fn rules(mut self, rules: ComparisonRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets how the results of one operation are compared instead.
    pub fn rules_for(
        mut self,
        operation: impl Into<Cow<'static, str>>,
        rules: ComparisonRules,
    ) -> Self {
        self.rules_by_operation.insert(operation.into(), rules);
        self
    }

    /// Sets how errors of this type are converted: which of them are equal, and which are valid results
    /// instead of failures. [`octowire::Error`](crate::Error) is converted by [`Failure::from`]. Any two
    /// errors of a type without a conversion are equal, and failures.
    ///
    /// ```
    /// use octowire::migration::{Failure, Migration};
    ///
    /// enum OldError { Status(u16), Connection }
    ///
    /// # fn example() -> octowire::Result<()> {
    /// # let old = |n: u32| async move { Ok::<_, String>(n) };
    /// # let new = old;
    /// let migration = Migration::builder(old, new)
    ///     .errors(|error: &OldError| match error {
    ///         OldError::Status(404) => Failure::expected("404"),
    ///         OldError::Status(status) => Failure::new(status.to_string()),
    ///         OldError::Connection => Failure::new("Transport"),
    ///     })
    ///     .build()?;
    /// # let _ = migration;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It runs on the caller's path, for errors only.
    pub fn errors<E: 'static>(
        mut self,
        read: impl Fn(&E) -> Failure + Send + Sync + 'static,
    ) -> Self {
        self.failures.register(read);
        self
    }

    /// Sets the salt, which determines, together with a key, the position of the key in the order of
    /// shifting; `octowire` by default. Two simultaneous migrations need two salts, unless the same keys
    /// should go first in both.
    pub fn salt(mut self, salt: impl Into<String>) -> Self {
        self.salt = salt.into();
        self
    }

    /// Sets a function that is called after each change of the stage, automatic or not, as it happens. A call
    /// waits for it, so it should return quickly. Changes are logged as well, rollbacks as a warning.
    pub fn on_change(mut self, on_change: impl Fn(&StageChange) + Send + Sync + 'static) -> Self {
        self.on_change = Some(Box::new(on_change));
        self
    }

    /// Builds the migration.
    ///
    /// # Errors
    /// If a pattern of the rules is invalid: [`Configuration`](crate::ErrorKind::Configuration).
    pub fn build(self) -> Result<Migration<Old, New>> {
        self.rules.check()?;
        self.rules_by_operation.values().try_for_each(ComparisonRules::check)?;
        Ok(self.build_unchecked())
    }

    pub(super) fn build_unchecked(self) -> Migration<Old, New> {
        let rules_of =
            self.rules_by_operation.into_iter().map(|(name, rules)| (name, Arc::new(rules)));
        let settings = Settings {
            mirror: self.mirror,
            failures: self.failures,
            salt: self.salt,
            rules: Arc::new(self.rules),
            rules_by_operation: rules_of.collect(),
            on_change: self.on_change,
        };
        let core = MigrationInner::new(
            settings,
            StageController::new(self.stage, self.rollback, self.rollout),
        );
        Migration { old: self.old, new: self.new, inner: Arc::new(core) }
    }
}

impl<Old, New> fmt::Debug for MigrationBuilder<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrationBuilder")
            .field("stage", &self.stage)
            .field("mirror", &self.mirror)
            .field("rollback", &self.rollback)
            .field("rollout", &self.rollout)
            .finish_non_exhaustive()
    }
}
