//! One difference between two results.

use std::fmt;

use serde::Serialize;

use crate::sanitize;

/// A location at which the results of the two sides differ.
///
/// It carries no value unless [`ComparisonRules::include_values`](super::ComparisonRules::include_values) is set; its path contains the
/// names of properties.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The JSON path, such as `$.labels[0].name`, truncated to 200 characters. Indices are those of the side
    /// that has the item, and of the legacy one if both have it. `$` if a side failed.
    pub path: String,
    /// The same with `[*]` for each index.
    pub pattern: String,
    /// The kind of the difference.
    pub kind: DifferenceKind,
    /// The value of the legacy side, as JSON truncated to 200 characters, if values are kept; or its failure.
    pub old: Option<String>,
    /// The value of the new side, likewise.
    pub new: Option<String>,
}

/// The kinds of [`Difference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DifferenceKind {
    /// Only the legacy side has the property or item.
    OnlyInOld,
    /// Only the new side has the property or item.
    OnlyInNew,
    /// The values have two types, such as a number and a string.
    Type,
    /// The values have the same type and are not equal.
    Value,
    /// The legacy side failed, and the new one succeeded.
    OldFailed,
    /// The new side failed, and the legacy one succeeded.
    NewFailed,
    /// Both failed, in different ways.
    FailedDifferently,
}

impl DifferenceKind {
    /// Returns the kind as text, such as `only-in-old`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnlyInOld => "only-in-old",
            Self::OnlyInNew => "only-in-new",
            Self::Type => "type",
            Self::Value => "value",
            Self::OldFailed => "old-failed",
            Self::NewFailed => "new-failed",
            Self::FailedDifferently => "failed-differently",
        }
    }
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind)?;
        match (&self.old, &self.new) {
            (None, None) => Ok(()),
            (old, new) => {
                let [old, new] = [old, new].map(|side| side.as_deref().unwrap_or("nothing"));
                write!(f, " ({old}, now {new})")
            }
        }
    }
}

/// Maximum length of a stored path, value or failure.
const MAX_TEXT_CHARS: usize = 200;

/// Truncates a text.
pub(super) fn cut(text: String) -> String {
    sanitize::text(&text, MAX_TEXT_CHARS).into_owned()
}
