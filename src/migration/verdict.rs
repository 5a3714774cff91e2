//! The next step of a migration.

use std::fmt;

use tokio::time::Instant;

use super::control::StageController;
use super::stage::Stage;

/// The next step, and its reasons. It is based on the results of this stage, since its start or its last
/// failure, and the thresholds of the [`RollbackPolicy`](super::RollbackPolicy).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recommendation {
    /// The next step.
    pub decision: NextStep,
    /// The reasons, in words.
    pub reasons: Vec<String>,
}

/// The next step of a migration.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum NextStep {
    /// Start mirroring: nothing is compared yet.
    Mirror,
    /// Wait for more results, or correct the mismatches or failures that the reasons name.
    Wait,
    /// Shift this percentage of the keys.
    Shift {
        /// The next step of the [`RolloutSchedule`](super::RolloutSchedule).
        percent: f64,
    },
    /// Set [`Stage::Cutover`].
    Finish,
    /// Nothing: the legacy side can be removed.
    Remove,
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mirror => write!(f, "start mirroring"),
            Self::Wait => write!(f, "not ready"),
            Self::Shift { percent } => write!(f, "ready to shift {percent} %"),
            Self::Finish => write!(f, "ready to finish"),
            Self::Remove => write!(f, "finished: the legacy side can be removed"),
        }
    }
}

impl fmt::Display for Recommendation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        match self.reasons.as_slice() {
            [] => Ok(()),
            reasons => write!(f, " ({})", reasons.join("; ")),
        }
    }
}

pub(super) fn recommend(control: &mut StageController, now: Instant) -> Recommendation {
    let decided =
        |decision, reason: &str| Recommendation { decision, reasons: vec![reason.to_owned()] };
    match control.stage() {
        Stage::Off => return decided(NextStep::Mirror, "mirroring is off"),
        Stage::Cutover => {
            let lasts = control.stable_for(now).as_secs();
            return decided(
                NextStep::Remove,
                &format!("the new side has served alone for {lasts} s"),
            );
        }
        Stage::Mirror { .. } | Stage::Shift { .. } => {}
    }
    let minimum = control.min_samples();
    let (results, compared) = (control.recent().new.all, control.recent().compared);
    let mismatched = control.recent().mismatched;
    let mut reasons = Vec::new();
    if let Some(doubt) = control.blocking_reason(now) {
        reasons.push(doubt.to_string());
    }
    if !control.is_enough() {
        reasons.push(format!(
            "{results} calls of the new side and {compared} comparisons without violations, of {minimum} required"
        ));
    }
    if !reasons.is_empty() {
        return Recommendation { decision: NextStep::Wait, reasons };
    }
    reasons.push(format!(
        "{results} calls of the new side in this stage; {mismatched} of {compared} comparisons differ"
    ));
    let decision =
        control.next_percent().map_or(NextStep::Finish, |percent| NextStep::Shift { percent });
    Recommendation { decision, reasons }
}
