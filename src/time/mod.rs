//! Clock, deadlines, expiry, sliding windows and rings of time.

pub(crate) mod clock;
pub(crate) mod deadline;
pub(crate) mod expiry;
pub(crate) mod ring;
pub(crate) mod sliding_window;
