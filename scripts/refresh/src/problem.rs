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
    /// Actions of the overlay do nothing to the new document.
    Stale(Vec<StaleAction>),
}

/// An action that has nothing to do in the document any more.
#[derive(Debug)]
pub struct StaleAction {
    pub action: Stale,
    /// The other editions in which it still does something.
    pub needed_in: Vec<String>,
}

impl Problem {
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
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
            Self::Failed(message) => f.write_str(message),
            Self::Stale(stale) => {
                writeln!(f, "{} of the overlay's actions do nothing any more:", stale.len())?;
                stale.iter().try_for_each(|stale| write!(f, "{stale}"))?;
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
    /// What becomes of it.
    fn fate(&self) -> String {
        match self.needed_in.as_slice() {
            [] => "delete it".to_owned(),
            editions => format!(
                "name only those that still need it, `x-octowire-expected-in: [{}]`",
                editions.join(", ")
            ),
        }
    }
}

impl fmt::Display for StaleAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stale { index, target, about, message } = &self.action;
        let first = |text: &str| text.split(". ").next().unwrap_or_default().to_owned();
        let (about, what) = (first(about), first(message));
        let about = about.trim_end_matches('.');
        let fate = self.fate();
        writeln!(f, "  /actions/{index}: {target}\n    {about}: {what}; {fate}.")
    }
}
