// The links of the README point to files. These definitions replace them in the documentation: of several definitions
// of a name, the first one counts.
//! [calls]: guide::calls
//! [authentication]: guide::authentication
//! [rate-limits]: guide::rate_limits
//! [caching]: guide::caching
//! [fleet]: guide::fleet
//! [webhooks]: guide::webhooks
//! [observability]: guide::observability
//! [testing]: guide::testing
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

mod attempts;
mod batch;
mod body;
mod cached;
mod call;
mod circuit;
mod client;
mod clock;
mod compact;
mod deadline;
mod detachable;
mod error;
mod graphql;
mod id_or_name;
mod id_path;
mod integers;
mod json_path;
mod log_limit;
mod names;
mod operation;
mod origins;
mod pages;
#[cfg(any(
    feature = "app-auth",
    all(feature = "redis", any(feature = "rustls", feature = "rustls-no-provider"))
))]
mod pem;
mod private_files;
mod ready;
mod redirects;
mod request;
mod response;
mod retry;
mod runtimes;
mod sanitize;
#[cfg(any(feature = "dashboard", feature = "webhooks-axum"))]
mod server;
mod texts;
mod times;
mod wire;

pub mod api;
pub mod auth;
pub mod cache;
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
pub mod health;
pub mod limits;
#[cfg(feature = "shadow")]
#[cfg_attr(docsrs, doc(cfg(feature = "shadow")))]
pub mod shadow;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(feature = "webhooks-core")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks-core")))]
pub mod webhooks;

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub use limits::RateLimiter;

pub use api::types;
pub use batch::{Batch, BatchProgress};
pub use body::{Body, ByteStream};
pub use circuit::{CircuitBreaker, CircuitState};
pub use client::{Client, ClientBuilder};
pub use error::{
    ApiError, ApiErrorDetail, Error, ErrorKind, FailedAttempt, Incomplete, IncompleteReason, Result,
};
pub use graphql::{GraphQlError, GraphQlErrors, GraphQlLocation};
pub use id_or_name::IdOrName;
pub use integers::{IntoInteger, InvalidInteger};
pub use operation::{MissingBody, Operation, OperationParameter, ParameterLocation};
pub use pages::{Items, OnItemError, Pages};
pub use request::Request;
pub use response::{RateLimitStatus, Response, ResponseFuture};
pub use retry::RetryPolicy;
pub use texts::{IntoList, IntoText};
pub use times::{IntoDate, IntoTimeRange, IntoTimestamp};
pub use wire::{UnknownEnumValue, UnknownProperties};

// Types of other crates in the public interface, for programs that name them.
pub use {bytes, chrono, http, reqwest};
