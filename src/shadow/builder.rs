//! The settings of a [`Shadow`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Shadow;
use super::control::{Control, StageChange};
use super::failure::{Failure, Failures};
use super::policy::{Mirroring, Ramp, StepBack};
use super::rules::Rules;
use super::shared::{Core, OnChange, Settings};
use super::stage::Stage;
use crate::error::Result;

/// The settings of a [`Shadow`]: [`Shadow::builder`].
#[must_use = "a builder does nothing before `build`"]
pub struct ShadowBuilder<Old, New> {
    old: Old,
    new: New,
    stage: Stage,
    mirroring: Mirroring,
    step_back: StepBack,
    ramp: Ramp,
    rules: Rules,
    rules_of: HashMap<Cow<'static, str>, Rules>,
    failures: Failures,
    salt: String,
    on_change: Option<OnChange>,
}

impl<Old, New> ShadowBuilder<Old, New> {
    pub(super) fn new(old: Old, new: New) -> Self {
        Self {
            old,
            new,
            stage: Stage::default(),
            mirroring: Mirroring::default(),
            step_back: StepBack::default(),
            ramp: Ramp::default(),
            rules: Rules::default(),
            rules_of: HashMap::new(),
            failures: Failures::default(),
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
    pub fn mirroring(mut self, mirroring: Mirroring) -> Self {
        self.mirroring = mirroring;
        self
    }

    /// Sets when the stage rolls back automatically.
    pub fn step_back(mut self, step_back: StepBack) -> Self {
        self.step_back = step_back;
        self
    }

    /// Sets the steps in which keys are shifted, and whether it advances automatically; it does not by
    /// default.
    pub fn ramp(mut self, ramp: Ramp) -> Self {
        self.ramp = ramp;
        self
    }

    /// Sets how results are compared; by default, they have to be equal.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets how the results of one operation are compared instead.
    pub fn rules_for(mut self, operation: impl Into<Cow<'static, str>>, rules: Rules) -> Self {
        self.rules_of.insert(operation.into(), rules);
        self
    }

    /// Sets how errors of this type are converted: which of them are equal, and which are valid results
    /// instead of failures. [`octowire::Error`](crate::Error) is converted by [`Failure::from`]. Any two
    /// errors of a type without a conversion are equal, and failures.
    ///
    /// ```
    /// use octowire::shadow::{Failure, Shadow};
    ///
    /// enum OldError { Status(u16), Connection }
    ///
    /// # fn example() -> octowire::Result<()> {
    /// # let old = |n: u32| async move { Ok::<_, String>(n) };
    /// # let new = old;
    /// let shadow = Shadow::builder(old, new)
    ///     .errors(|error: &OldError| match error {
    ///         OldError::Status(404) => Failure::answer("404"),
    ///         OldError::Status(status) => Failure::new(status.to_string()),
    ///         OldError::Connection => Failure::new("Transport"),
    ///     })
    ///     .build()?;
    /// # let _ = shadow;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It runs on the caller's path, for errors only.
    pub fn errors<E: 'static>(
        mut self,
        read: impl Fn(&E) -> Failure + Send + Sync + 'static,
    ) -> Self {
        self.failures.read_by(read);
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

    /// Builds the shadow.
    ///
    /// # Errors
    /// If a pattern of the rules is invalid: [`Configuration`](crate::ErrorKind::Configuration).
    pub fn build(self) -> Result<Shadow<Old, New>> {
        self.rules.check()?;
        self.rules_of.values().try_for_each(Rules::check)?;
        Ok(self.build_unchecked())
    }

    pub(super) fn build_unchecked(self) -> Shadow<Old, New> {
        let rules_of = self.rules_of.into_iter().map(|(name, rules)| (name, Arc::new(rules)));
        let settings = Settings {
            mirroring: self.mirroring,
            failures: self.failures,
            salt: self.salt,
            rules: Arc::new(self.rules),
            rules_of: rules_of.collect(),
            on_change: self.on_change,
        };
        let core = Core::new(settings, Control::new(self.stage, self.step_back, self.ramp));
        Shadow { old: self.old, new: self.new, core: Arc::new(core) }
    }
}

impl<Old, New> fmt::Debug for ShadowBuilder<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowBuilder")
            .field("stage", &self.stage)
            .field("mirroring", &self.mirroring)
            .field("step_back", &self.step_back)
            .field("ramp", &self.ramp)
            .finish_non_exhaustive()
    }
}
