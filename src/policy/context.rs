//! The values of a call that policies read.

use http::{HeaderMap, Method};

use crate::error::OperationName;
use crate::store::StoreWaitBudget;

/// How urgent a call is. Among calls that wait for the same limit, interactive ones are admitted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// A user waits for the result; the default.
    #[default]
    Interactive,
    /// No user waits for the result, as for a sweep or a backfill. It is sent when no interactive call waits for the
    /// same limit.
    Background,
}

/// The values of a call that policies decide by, for one attempt.
#[derive(Clone, Copy)]
pub(crate) struct AttemptContext<'a> {
    pub(crate) operation: &'a OperationName,
    pub(crate) method: &'a Method,
    /// The path and the query of the URL.
    pub(crate) path_and_query: (&'a str, Option<&'a str>),
    /// The path relative to the base URL; for a page, that of the list.
    pub(crate) path: &'a str,
    /// The headers that this request sets in addition to the client's own.
    pub(crate) headers: &'a HeaderMap,
    /// The headers of every request, except for the token.
    pub(crate) default_headers: &'a HeaderMap,
    pub(crate) priority: Priority,
    /// The largest body that is read into memory, in bytes.
    pub(crate) max_body_bytes: usize,
    pub(crate) is_cacheable: bool,
    pub(crate) store_wait: &'a StoreWaitBudget,
}
