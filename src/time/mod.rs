//! Clock, deadlines, expiry, RFC 3339, sliding windows and rings of time.

pub(crate) mod clock;
pub(crate) mod deadline;
pub(crate) mod expiry;
pub(crate) mod rfc3339;
pub(crate) mod ring;
pub(crate) mod sliding_window;
