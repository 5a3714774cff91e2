//! Parsers of response headers: pure functions on values.

pub(crate) mod link;
