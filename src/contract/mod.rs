//! Checks of requests, responses and later description versions against GitHub's OpenAPI description.
//!
//! - [`ResponseValidator`] validates the responses that a [`Client`](crate::Client) receives, for test and staging: it finds
//!   deviations that no published description shows.
//! - [`drift`] compares two descriptions, and reports which callers a change breaks.
//! - [`operations!`](crate::operations) pins the operations that an application calls, so that a change of one
//!   of them fails its tests.
//! - [`ApiDescription`] is the description from which the library was generated, or another.
//!
//! All of it needs the feature `contract`. Checking costs memory and time: some 30 MB, and for each checked operation
//! up to 1 MB and some milliseconds the first time. It is meant for tests and staging.
//!
//! The input of these checks is not trusted: every check is bounded in time, memory and depth. Each part that cannot be
//! checked within these bounds is reported once: see [`ApiDescription::unchecked`].

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod checker;
mod convert;
mod deviation;
pub(crate) mod document;
mod extent;
mod nesting;
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "examples are for the mock"))]
mod operation;
mod pointer;
pub(crate) mod request;
pub(crate) mod response;
mod router;
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "examples are for the mock"))]
mod schema;
mod table;
pub(crate) mod undocumented;
mod uses;
mod value_budget;

pub mod drift;

#[doc(inline)]
pub use crate::operations;
pub use checker::{ObservedDeviation, ResponseValidator};
pub use deviation::{Deviation, DeviationKind};
pub use document::{ApiDescription, ApiDescriptionError};
pub use operation::{OperationSpec, ParameterSpec};
pub use request::{MatchedRequest, RequestToValidate};
pub use response::ResponseToValidate;
#[doc(hidden)]
pub use uses::__is_known;
pub use uses::{PinError, PinnedOperations};

#[cfg(feature = "testing")]
pub(crate) use {
    document::DescriptionSource,
    nesting::{MAX_NESTING, is_too_deep},
    operation::{MediaType, MediaTypes},
    pointer::unescaped,
    request::value_of,
    router::MAX_PATH_BYTES,
    schema::{Schema, Schemas},
    undocumented::parts_at,
};
