//! Errors of comparing and slicing.

use std::error::Error;
use std::fmt;

/// One of the two is not an OpenAPI 3.0 document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotADocument {
    /// Which of the two.
    pub which: Which,
    /// The defect.
    pub wrong: String,
}

/// The old document or the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The first one.
    Old,
    /// The second one.
    New,
}

impl fmt::Display for NotADocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.which {
            Which::Old => "old",
            Which::New => "new",
        };
        write!(f, "the {which} document is not an OpenAPI 3.0 document: {}", self.wrong)
    }
}

impl Error for NotADocument {}

/// The description has neither an operation nor a webhook with this name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownId {
    /// The requested name.
    pub id: String,
}

impl fmt::Display for UnknownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the document has no operation with the id `{0}` and no webhook `{0}`", self.id)
    }
}

impl Error for UnknownId {}
