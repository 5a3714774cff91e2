//! The next step of a migration.

use std::fmt;

use tokio::time::Instant;

use super::control::Control;
use super::stage::Stage;

/// The next step, and its reasons. It is based on the results of this stage, since its start or its last
/// failure, and the thresholds of the [`StepBack`](super::StepBack).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// The next step.
    pub decision: Decision,
    /// The reasons, in words.
    pub reasons: Vec<String>,
}

/// The next step of a migration.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// Start mirroring: nothing is compared yet.
    Mirror,
    /// Wait for more results, or correct the mismatches or failures that the reasons name.
    Wait,
    /// Shift this percentage of the keys.
    Shift {
        /// The next step of the [`Ramp`](super::Ramp).
        percent: f64,
    },
    /// Set [`Stage::Done`].
    Finish,
    /// Nothing: the old side can be removed.
    Remove,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mirror => write!(f, "start mirroring"),
            Self::Wait => write!(f, "not ready"),
            Self::Shift { percent } => write!(f, "ready to shift {percent} %"),
            Self::Finish => write!(f, "ready to finish"),
            Self::Remove => write!(f, "finished: the old side can be removed"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        match self.reasons.as_slice() {
            [] => Ok(()),
            reasons => write!(f, " ({})", reasons.join("; ")),
        }
    }
}

pub(super) fn verdict(control: &mut Control, now: Instant) -> Verdict {
    let decided = |decision, reason: &str| Verdict { decision, reasons: vec![reason.to_owned()] };
    match control.stage() {
        Stage::Off => return decided(Decision::Mirror, "mirroring is off"),
        Stage::Done => {
            let lasts = control.lasts(now).as_secs();
            return decided(
                Decision::Remove,
                &format!("the new side has served alone for {lasts} s"),
            );
        }
        Stage::Mirror { .. } | Stage::Shift { .. } => {}
    }
    let minimum = control.minimum();
    let (results, compared) = (control.lately().new.all, control.lately().compared);
    let mismatched = control.lately().mismatched;
    let mut reasons = Vec::new();
    if let Some(doubt) = control.doubt(now) {
        reasons.push(doubt.to_string());
    }
    if !control.is_enough() {
        reasons.push(format!(
            "{results} calls of the new side and {compared} comparisons without violations, of {minimum} required"
        ));
    }
    if !reasons.is_empty() {
        return Verdict { decision: Decision::Wait, reasons };
    }
    reasons.push(format!(
        "{results} calls of the new side in this stage; {mismatched} of {compared} comparisons differ"
    ));
    let decision =
        control.next_percent().map_or(Decision::Finish, |percent| Decision::Shift { percent });
    Verdict { decision, reasons }
}
