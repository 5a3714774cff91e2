// The links of the README point to files. These definitions replace them in the documentation: of several definitions
// of a name, the first one counts.
//! [calls]: guide::calls
//! [content]: guide::content
//! [authentication]: guide::authentication
//! [rate-limits]: guide::rate_limits
//! [caching]: guide::caching
//! [fleet]: guide::fleet
//! [webhooks]: guide::webhooks
//! [observability]: guide::observability
//! [middleware]: guide::middleware
//! [testing]: guide::testing
//! [scripts]: guide::scripts
//! [migration]: guide::migration
//! [features]: guide::features
//! [cost]: guide::cost
//! [troubleshooting]: guide::troubleshooting
//! [bench]: guide::cost
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(unreachable_pub)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::dbg_macro)
)]

mod client;
mod codec;
mod endpoints;
mod error;
mod headers;
#[cfg_attr(not(feature = "metrics"), path = "meter/noop.rs")]
mod meter;
mod pipeline;
mod policy;
mod request;
mod response;
mod runtime;
mod sanitize;
#[cfg(any(feature = "app-registration", feature = "dashboard", feature = "webhooks-axum"))]
mod server;
mod time;
mod transport;
mod util;

pub mod api;
#[cfg(feature = "blocking")]
#[cfg_attr(docsrs, doc(cfg(feature = "blocking")))]
pub mod blocking;
#[cfg(feature = "contract")]
#[cfg_attr(docsrs, doc(cfg(feature = "contract")))]
pub mod contract;
#[cfg(feature = "dashboard")]
#[cfg_attr(docsrs, doc(cfg(feature = "dashboard")))]
pub mod dashboard;
#[cfg(any(test, feature = "__fuzz"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guide;
#[cfg(feature = "migration")]
#[cfg_attr(docsrs, doc(cfg(feature = "migration")))]
pub mod migration;
pub mod observability;
#[cfg(feature = "app-registration")]
#[cfg_attr(docsrs, doc(cfg(feature = "app-registration")))]
pub mod registration;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(feature = "webhooks")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks")))]
pub mod webhooks;

pub use observability::health;
#[cfg(feature = "usage")]
#[cfg_attr(docsrs, doc(cfg(feature = "usage")))]
pub use policy::usage;
pub use policy::{auth, cache, rate_limit};

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub use client::bench::TelemetryProbe;
#[cfg(feature = "__bench")]
#[doc(hidden)]
pub use policy::rate_limit::RateLimiter;

pub use api::id_or_name::IdOrName;
pub use api::integers::{IntoInteger, InvalidInteger};
pub use api::into_enum::IntoEnum;
pub use api::into_text::{IntoList, IntoText};
pub use api::into_values::{IntoIntegers, IntoValues};
pub use api::operation::{MissingBody, Operation, OperationParameter, ParameterLocation};
pub use api::timestamps::{IntoDate, IntoTimeRange, IntoTimestamp};
pub use api::types;
pub use client::batch::{Batch, BatchProgress};
pub use client::pagination::{Items, OnItemError, Pages};
pub use client::{
    Cache, Client, ClientBuilder, EnterpriseHandle, OrganizationHandle, RepositoryHandle, Request,
    ResponseFuture, UserHandle,
};
pub use codec::{UnknownEnumValue, UnknownProperties};
pub use error::graphql::{GraphQlError, GraphQlErrors, GraphQlLocation};
pub use error::{
    ApiError, ApiErrorDetail, Error, ErrorKind, FailedAttempt, Incomplete, IncompleteReason,
    OptionalExt, Result,
};
pub use headers::rate_limit::RateLimitStatus;
pub use pipeline::interceptor::{Interceptor, InterceptorFuture, OutgoingRequest, RequestOutcome};
pub use policy::circuit_breaker::{CircuitBreaker, CircuitState};
pub use policy::retry::RetryPolicy;
pub use request::body::Body;
pub use response::{ByteStream, DownloadProgress, Response, ResponseMeta};
pub use transport::custom::{Transport, TransportFuture};

// Types of other crates in the public interface, for programs that name them.
pub use {bytes, chrono, http, reqwest};
