//! The reasons why a refresh fails.

use std::{fmt, io, path::Path};

use octowire_codegen::Error;
use octowire_codegen::overlay::StaleAction;

pub type Result<T> = std::result::Result<T, Problem>;

/// The reason why nothing was replaced.
#[derive(Debug)]
pub enum Problem {
    /// An error; the text states the cause and the next step.
    Failed(String),
    /// The description could not be fetched: the network, or the program that uses it. It might work later.
    Unfetched(String),
    /// Actions of the overlay have no effect on the new description.
    Stale(Vec<StaleActionReport>),
}

/// An action that no longer has an effect on the description.
#[derive(Debug)]
pub struct StaleActionReport {
    pub action: StaleAction,
    pub fate: StaleResolution,
}

/// The next step for such an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleResolution {
    /// No edition needs it.
    Delete,
    /// These other editions need it, or might.
    Narrow(Vec<String>),
    /// The defect still exists, but a reference of the update does not.
    Dangling,
    /// It is unknown whether another edition needs it.
    Unknown,
}

impl Problem {
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Converts the error into a download error.
    pub fn unfetched(self) -> Self {
        match self {
            Self::Failed(message) => Self::Unfetched(message),
            other => other,
        }
    }

    /// A file or folder that could not be read or written.
    pub fn at(path: &Path, doing: &str, error: &io::Error) -> Self {
        Self::Failed(format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Failed(format!("the pipeline rejected the document: {error}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Unfetched(message) => f.write_str(message),
            Self::Stale(stale) => {
                writeln!(f, "{} of the overlay's actions no longer have an effect:", stale.len())?;
                stale.iter().try_for_each(|stale| write!(f, "{stale}"))?;
                if !stale.iter().all(StaleActionReport::can_be_pruned) {
                    return f.write_str(
                        "Apply the step after each action to openapi/overlay.yaml. --prune-overlay \
                         cannot be used until the undecided ones are resolved.",
                    );
                }
                f.write_str(
                    "Upstream has fixed these defects (an older version might still have them). \
                     Apply the step after each action to openapi/overlay.yaml, or run again with \
                     --prune-overlay, which applies them.",
                )
            }
        }
    }
}

impl StaleActionReport {
    /// Returns whether the next step is known.
    pub fn can_be_pruned(&self) -> bool {
        matches!(self.fate, StaleResolution::Delete | StaleResolution::Narrow(_))
    }
}

impl fmt::Display for StaleResolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete => f.write_str("delete it"),
            Self::Narrow(versions) => {
                let versions = versions.join(", ");
                write!(
                    f,
                    "list only the editions that still need it, `x-octowire-expected-in: \
                     [{versions}]`"
                )
            }
            Self::Dangling => {
                f.write_str("the defect is not fixed: refer to an existing component")
            }
            Self::Unknown => f.write_str(
                "it is unknown whether another edition needs it (npm's package contains all of \
                 them): delete it, or list those editions by hand",
            ),
        }
    }
}

impl fmt::Display for StaleActionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StaleAction { index, target, about, message, .. } = &self.action;
        let first = |text: &str| text.split(". ").next().unwrap_or_default().to_owned();
        let (about, what) = (first(about), first(message));
        let about = about.trim_end_matches('.');
        let fate = &self.fate;
        writeln!(f, "  /actions/{index}: {target}\n    {about}: {what}; {fate}.")
    }
}
