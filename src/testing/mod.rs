//! A mock of GitHub for tests: a local server that responds to every operation of GitHub's OpenAPI description, and
//! conforms to it.
//!
//! ```
//! # #[cfg(feature = "issues")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> octowire::Result<()> {
//! use octowire::testing::MockGitHub;
//!
//! let mock = MockGitHub::start().await;
//! let github = mock.client();
//!
//! // Created resources are available afterwards.
//! let issues = github.issues();
//! let created = issues.create().owner("acme").repo("rocket").title("It leaks").send().await?;
//! let listed = issues.list_for_repo().owner("acme").repo("rocket").send().await?;
//! assert_eq!(listed[0].number, created.number);
//!
//! // A test sets the differences.
//! mock.on(|github| github.issues().get().owner("acme").repo("rocket").issue_number(7))
//!     .error(404, "Not Found");
//! let missing = issues.get().owner("acme").repo("rocket").issue_number(7).send().await;
//! assert!(missing.unwrap_err().is_not_found());
//! assert_eq!(mock.count("issues/get"), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "issues"))]
//! # fn main() {}
//! ```
//!
//! - **Responses** are the description's examples, corrected where they do not conform to the description; lists have
//!   pages with `Link` headers, with the number of items that [`MockGitHub::seed_list`] sets; responses to reads have an
//!   `ETag`, and are confirmed with 304. URLs of GitHub's API in them lead to the mock.
//! - **Requests** are validated against the description. An unknown path is rejected with 404; an invalid parameter or
//!   body with 422 (400 if it is not JSON), with a message that states the error. [`MockBuilder::allow_deviations`] only records
//!   it.
//! - **Issues, comments and labels** are stored, per repository, for the lifetime of the mock: created ones are listed,
//!   filtered, updated and deleted.
//! - **Stubs** change responses, let requests fail, or delay them: [`MockGitHub::on`] and [`Stub`].
//! - **Rate limits** are reported in headers, as GitHub does, and enforced where a test requests it:
//!   [`MockGitHub::rate_limit`].
//! - **Received requests** are recorded: [`MockGitHub::requests`].
//! - **Bounds**: a body has at most 100 MiB (413), a path 16 KiB (414), the head of a request 128 KiB and 256 headers
//!   (431); of more than 1,024 connections, the one with the longest idle time is closed.
//!
//! The mock speaks plain HTTP/1.1 on a local port, so that any client in any language can use it: see the example
//! `mock_github`. It needs the feature `testing`, is meant for tests alone, and panics with a message if a test uses it
//! incorrectly.
//!
//! [`store_conformance`] tests a [`Store`](crate::store::Store) of your own, and [`token_store_conformance`] a
//! [`TokenStore`](crate::auth::TokenStore).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod auth;
mod clock;
mod control;
mod dynamic;
mod example;
mod examples;
mod fault;
mod intake;
mod limits;
mod locks;
mod minimal;
mod mock;
mod pagination;
mod received;
mod repair;
mod resources;
mod response;
mod router;
mod server;
mod socket;
mod stub;
mod substitute;
#[cfg(test)]
pub(crate) mod type_coverage;
mod wire_response;

pub use example::ExampleRequest;
pub use fault::Fault;
pub use mock::{MockBuilder, MockGitHub};
pub use received::RecordedRequest;
pub use response::MockResponse;
pub use stub::Stub;

pub use crate::policy::auth::conformance::token_store_conformance;
pub use crate::store::conformance::store_conformance;
pub use crate::util::conformance::{ContractDeviation, ContractDeviations};

use crate::client::Request;

/// A typed call of an operation, such as `github.issues().get()`: exactly the generated builders.
pub trait TypedCall: sealed::Sealed {
    /// Converts the call to a request.
    fn into_request(self) -> Request;
}

/// Only generated types are calls.
pub(crate) mod sealed {
    pub trait Sealed {}
}
