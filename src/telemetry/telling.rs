//! What a call tells, for benchmarks: everything but the call.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::meter;
use super::observed::{Observed, ObservedAttempt};
use crate::cache::CacheStatus;
use crate::client::Client;
use crate::error::Result;
use crate::limits::Told;
use crate::operation::Operation;
use crate::request::{Prepared, Request};
use crate::response::{Raw, RawBody};

/// A call that is told of again and again.
#[doc(hidden)]
pub struct Telling {
    request: Request,
    prepared: Prepared,
    answer: Result<Raw>,
}

impl Telling {
    /// A call of this operation, which takes no parameters.
    pub fn new(client: &Client, operation: &'static Operation) -> Result<Self> {
        let request = Request::operation(client, operation);
        let prepared = request.clone().prepare()?;
        let mut headers = HeaderMap::new();
        headers.insert("x-github-request-id", http::HeaderValue::from_static("C0DE:1:2:3:4"));
        let answer = Ok(Raw {
            operation: request.label().clone(),
            status: StatusCode::OK,
            headers: Arc::new(headers),
            url: prepared.url().clone(),
            body: RawBody::Bytes(bytes::Bytes::new()),
            came: CacheStatus::Miss,
            age: None,
            abroad: false,
        });
        Ok(Self { request, prepared, answer })
    }

    /// Tells what one call with one attempt does.
    pub fn once(&self) {
        let call = Observed::begin(&self.request);
        let waiting = meter::InFlight::waiting();
        std::hint::black_box(&waiting);
        drop(waiting);
        let entered = call.span().clone().entered();
        let attempt = ObservedAttempt::begin(&self.prepared, 0);
        let inner = attempt.span().clone().entered();
        tracing::debug!(status = 200, "attempt");
        drop(inner);
        attempt.end(&self.answer);
        let ends_in = Duration::from_secs(3600);
        let told = Told { resource: "core", limit: 5000, remaining: 4999, ends_in };
        meter::told(self.prepared.identity_label(), &told);
        drop(entered);
        call.end(&self.answer);
    }
}
