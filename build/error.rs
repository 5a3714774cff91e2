//! What a stage says when it cannot go on.

use std::fmt;

/// A failure of one stage: which, where in the document, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The stage that failed, named as its file is.
    pub stage: &'static str,
    /// The JSON pointer (RFC 6901) that the stage stood at; empty for the
    /// document as a whole.
    pub pointer: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// What every stage returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
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
