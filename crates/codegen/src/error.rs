//! The error of a stage.

use std::fmt;

/// A failure of one stage: the stage, the location in the document, and the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The name of the failed stage, which is the name of its module.
    pub stage: &'static str,
    /// The JSON pointer (RFC 6901) of the defect; empty for the document as a whole.
    pub pointer: String,
    /// The defect, and the next step.
    pub message: String,
}

/// The result of every stage.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of `stage` at the JSON pointer `pointer`.
    pub fn new(
        stage: &'static str,
        pointer: impl Into<String>,
        message: impl fmt::Display,
    ) -> Self {
        Self { stage, pointer: pointer.into(), message: message.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "the whole document" } else { &self.pointer };
        write!(f, "stage `{}`, at {pointer}: {}", self.stage, self.message)
    }
}

impl std::error::Error for Error {}
