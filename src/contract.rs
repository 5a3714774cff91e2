//! What GitHub's OpenAPI document promises, held against what is sent, what is answered, and what
//! the next edition of the document says.
//!
//! - [`Checker`] looks at the answers that a [`Client`](crate::Client) gets, for test and staging: it
//!   finds what no published document shows.
//! - [`drift`] compares two documents, and says whom a change breaks.
//! - [`uses!`](crate::uses) pins the operations that an application calls, so that a change of one
//!   of them fails its tests.
//! - [`Document`] is the document that the library was generated from, or another.
//!
//! All of it needs the feature `contract`. Checking costs memory and time: some 30 MB, and for each
//! operation that is looked at up to 1 MB and some milliseconds the first time. It is meant for tests
//! and staging.

mod checker;
mod deviation;
mod document;
#[cfg(test)]
pub(crate) mod mirrors;
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "examples are for the mock"))]
mod operation;
mod pointer;
pub(crate) mod request;
mod response;
mod router;
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "examples are for the mock"))]
mod schema;
mod table;
mod traffic;
mod undocumented;
mod uses;

pub mod drift;

#[doc(inline)]
pub use crate::uses;
pub use checker::{Checker, Seen};
pub use deviation::{Deviation, DeviationKind};
pub use document::{Document, DocumentError};
pub use operation::{DocumentedOperation, DocumentedParameter};
pub use request::{CheckRequest, Matched};
pub use response::CheckResponse;
#[doc(hidden)]
pub use uses::__is_known;
pub use uses::{PinError, Uses};

#[cfg(feature = "testing")]
pub(crate) use {
    document::Source,
    operation::{Content, MediaType},
    pointer::unescaped,
    request::value_of,
    schema::{Schema, Schemas},
    undocumented::parts_at,
};
