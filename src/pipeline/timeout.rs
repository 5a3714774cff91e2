//! The error of a call that has reached its deadline.

use crate::error::{Error, ErrorKind};
use crate::time::deadline::Deadline;

/// Returns the error for a part of a call that did not end before its deadline.
pub(super) fn timed_out(what: &str, late: &Deadline) -> Error {
    let message = format!("{what} timed out after {:?}", late.length());
    Error::new(ErrorKind::Timeout, message)
        .with_advice("try again, or increase attempt_timeout, call_timeout or timeout")
}
