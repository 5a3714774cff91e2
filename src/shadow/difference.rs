//! One place where two answers differ.

use std::fmt;

use serde::Serialize;

use crate::sanitize;

/// A place where the answers of the two sides differ.
///
/// It carries no value unless [`Rules::keep_values`](super::Rules::keep_values) says so; the names of
/// properties are in its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The JSON path, such as `$.labels[0].name`, cut to 200 characters; indices are those of the side
    /// that has the item, and of the old one if both have. `$` if a side failed.
    pub path: String,
    /// The same with `[*]` for each index.
    pub pattern: String,
    /// What sort it is.
    pub kind: DifferenceKind,
    /// What the old side has, as JSON cut to 200 characters, if values are kept; how it failed.
    pub old: Option<String>,
    /// What the new side has, likewise.
    pub new: Option<String>,
}

/// The sorts of [`Difference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DifferenceKind {
    /// Only the old side has the property or item.
    OnlyInOld,
    /// Only the new side has the property or item.
    OnlyInNew,
    /// The values are of two types, such as a number and a string.
    Type,
    /// The values are of one type and not equal.
    Value,
    /// The old side failed, and the new one answered.
    OldFailed,
    /// The new side failed, and the old one answered.
    NewFailed,
    /// Both failed, in different ways.
    FailedDifferently,
}

impl DifferenceKind {
    /// The kind as text, such as `only-in-old`.
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

/// The longest text that is kept of a path, a value or a failure.
const LONGEST: usize = 200;

/// A text as far as it is kept.
pub(super) fn cut(text: String) -> String {
    sanitize::text(&text, LONGEST).into_owned()
}
