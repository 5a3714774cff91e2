//! What keeps a refresh from happening.

use std::{fmt, io, path::Path};

use crate::build::Error;
use crate::build::overlay::Stale;

pub type Result<T> = std::result::Result<T, Problem>;

/// Why nothing was replaced.
#[derive(Debug)]
pub enum Problem {
    /// Something went wrong; the text says what, and what to do.
    Failed(String),
    /// The document could not be fetched: the network, or the program that uses it. It may work
    /// later.
    Unfetched(String),
    /// Actions of the overlay do nothing to the new document.
    Stale(Vec<StaleAction>),
}

/// An action that has nothing to do in the document any more.
#[derive(Debug)]
pub struct StaleAction {
    pub action: Stale,
    pub fate: Fate,
}

/// What becomes of such an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// No edition needs it.
    Delete,
    /// These other editions need it, or may.
    Narrow(Vec<String>),
    /// The defect is there as before, but what the update refers to is not.
    Dangling,
    /// Whether another edition needs it cannot be known.
    Unknown,
}

impl Problem {
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// The same problem, in the way of a download.
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
        Self::Failed(format!("the pipeline does not take the document: {error}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Unfetched(message) => f.write_str(message),
            Self::Stale(stale) => {
                writeln!(f, "{} of the overlay's actions do nothing any more:", stale.len())?;
                stale.iter().try_for_each(|stale| write!(f, "{stale}"))?;
                if !stale.iter().all(StaleAction::can_be_pruned) {
                    return f.write_str(
                        "Do to openapi/overlay.yaml what stands behind each. --prune-overlay does \
                         not, until those are settled that it cannot know about.",
                    );
                }
                f.write_str(
                    "Upstream has mended these defects (an older edition may not have them yet). Do \
                     to openapi/overlay.yaml what stands behind each, or run again with \
                     --prune-overlay, which does.",
                )
            }
        }
    }
}

impl StaleAction {
    /// Whether what becomes of it is known.
    pub fn can_be_pruned(&self) -> bool {
        matches!(self.fate, Fate::Delete | Fate::Narrow(_))
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete => f.write_str("delete it"),
            Self::Narrow(editions) => {
                let editions = editions.join(", ");
                write!(
                    f,
                    "name only those that still need it, `x-octowire-expected-in: [{editions}]`"
                )
            }
            Self::Dangling => f.write_str("the defect is not mended, so refer to what is there"),
            Self::Unknown => f.write_str(
                "whether another edition needs it is not known from here (npm's package has them \
                 all), so delete it or name those by hand",
            ),
        }
    }
}

impl fmt::Display for StaleAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stale { index, target, about, message, .. } = &self.action;
        let first = |text: &str| text.split(". ").next().unwrap_or_default().to_owned();
        let (about, what) = (first(about), first(message));
        let about = about.trim_end_matches('.');
        let fate = &self.fate;
        writeln!(f, "  /actions/{index}: {target}\n    {about}: {what}; {fate}.")
    }
}
