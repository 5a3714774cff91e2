//! The names of errors in spans and metrics.

use crate::error::{Error, ErrorKind};
use crate::headers::status_text::status_text;

/// Returns OpenTelemetry's `error.type`: the status if GitHub responded without success, such as `404`, or with a
/// result that is not ready (`202`), and otherwise the kind of the error, such as `timeout`. There are some eighty of
/// them.
pub(crate) fn error_type(error: &Error) -> &'static str {
    match (error.kind(), error.status()) {
        (ErrorKind::Api, Some(status)) => status_text(status),
        // GitHub did respond, and no timeout ended the call.
        (_, Some(status)) if error.is_not_ready() => status_text(status),
        (kind, _) => kind.name(),
    }
}
