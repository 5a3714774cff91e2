//! A GitHub for tests: a local server that answers every operation of GitHub's document, and keeps to
//! the document.
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
//! // What is created is there afterwards.
//! let issues = github.issues();
//! let created = issues.create().owner("acme").repo("rocket").title("It leaks").send().await?;
//! let listed = issues.list_for_repo().owner("acme").repo("rocket").send().await?;
//! assert_eq!(listed[0].number, created.number);
//!
//! // A test says what is different.
//! mock.on(|github| github.issues().get().owner("acme").repo("rocket").issue_number(7))
//!     .error(404, "Not Found");
//! let missing = issues.get().owner("acme").repo("rocket").issue_number(7).send().await;
//! assert!(missing.unwrap_err().is_not_found());
//! assert_eq!(mock.requests("issues/get"), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "issues"))]
//! # fn main() {}
//! ```
//!
//! - **Answers** are the document's examples, mended where they don't keep to the document; lists come
//!   in pages with `Link` headers, as many items as [`MockGitHub::list`] says; whatever was read has an
//!   `ETag`, and is confirmed by 304. URLs of GitHub's API in them lead to the mock.
//! - **Requests** are held against the document. An unknown path is answered by 404; a parameter or a
//!   body that GitHub's document does not allow by 422 (400 if it is no JSON), with a message that
//!   says what is wrong. [`MockBuilder::lenient`] only notes it.
//! - **Issues, comments and labels** are remembered, in each repository, for as long as the mock lives:
//!   what is created is listed, filtered, updated and deleted.
//! - **Stubs** change answers, let requests fail, or come late: [`MockGitHub::on`] and [`Stub`].
//! - **Rate limits** are told in headers, as GitHub does, and enforced where a test says so:
//!   [`MockGitHub::rate_limit`].
//! - **What came in** is kept: [`MockGitHub::received`].
//!
//! - **Bounds**: a body has at most 100 MiB (413), a path 16 KiB (414), the head of a request 128 KiB
//!   and 256 headers (431); of more than 1,024 connections, the one that was idle for longest is closed.
//!
//! It speaks plain HTTP/1.1 on a local port, so that any client in any language can use it: see the
//! example `mock_github`. It needs the feature `testing`, is meant for tests alone, and what a test
//! gets wrong in using it is a panic that says so.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod access;
mod answer;
mod answers;
mod asked;
mod clock;
mod contents;
mod control;
mod example;
mod exchange;
mod fault;
mod fit;
mod intake;
mod limits;
mod listing;
mod minimal;
mod mock;
mod received;
mod reply;
mod resources;
mod server;
mod socket;
mod stub;

pub use answer::Answer;
pub use example::ExampleRequest;
pub use fault::Fault;
pub use mock::{MockBuilder, MockGitHub};
pub use received::Received;
pub use stub::Stub;

use crate::request::Request;

/// A typed call of an operation, such as `github.issues().get()`: what every generated builder is, and
/// nothing else.
pub trait Call: sealed::Sealed {
    /// The call as a request.
    fn into_request(self) -> Request;
}

/// Only what the build generates is a call.
pub(crate) mod sealed {
    pub trait Sealed {}
}
