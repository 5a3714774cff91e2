//! Errors of comparing and slicing.

use std::error::Error;
use std::fmt;

/// One of the two is not an OpenAPI 3.0 document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidDescription {
    /// Which of the two.
    pub side: Side,
    /// The defect.
    pub reason: String,
}

/// The old document or the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first one.
    Old,
    /// The second one.
    New,
}

impl fmt::Display for InvalidDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = match self.side {
            Side::Old => "old",
            Side::New => "new",
        };
        write!(f, "the {which} document is not an OpenAPI 3.0 document: {}", self.reason)
    }
}

impl Error for InvalidDescription {}

/// The description has neither an operation nor a webhook with this name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownOperation {
    /// The requested name.
    pub id: String,
}

impl fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the description has no operation id `{0}` and no webhook `{0}`", self.id)
    }
}

impl Error for UnknownOperation {}
