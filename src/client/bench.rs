//! The telemetry of a call without the call itself, for benchmarks.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::Client;
use crate::api::operation::Operation;
#[cfg(feature = "dashboard")]
use crate::error::CallResult;
use crate::error::Result;
use crate::headers::rate_limit::RateLimitHeaders;
use crate::meter;
use crate::pipeline::call::{Call, CallContext};
use crate::request::RequestDraft;
use crate::response::{AttemptResponse, CacheStatus, RawBody};

/// A call whose telemetry is recorded repeatedly.
#[doc(hidden)]
pub struct TelemetryProbe {
    call: Call,
    context: CallContext,
    response: Result<AttemptResponse>,
}

impl TelemetryProbe {
    /// Prepares a call of this operation, which takes no parameters.
    pub fn new(client: &Client, operation: &'static Operation) -> Result<Self> {
        let call = Call::new(Arc::clone(client.handle()), RequestDraft::for_operation(operation));
        let context = CallContext::new(call.clone(), tokio::time::Instant::now())?;
        let mut headers = HeaderMap::new();
        headers.insert("x-github-request-id", http::HeaderValue::from_static("C0DE:1:2:3:4"));
        let response = Ok(AttemptResponse {
            operation: context.name().clone(),
            status: StatusCode::OK,
            headers: Arc::new(headers).into(),
            url: None,
            body: RawBody::Bytes(bytes::Bytes::new()),
            cache_status: CacheStatus::Miss,
            age: None,
            from_external_host: false,
        });
        Ok(Self { call, context, response })
    }

    /// Records ten minutes of calls of all kinds in a client.
    #[cfg(feature = "dashboard")]
    pub fn preload(client: &Client) {
        const RESULTS: [(CallResult, Option<&str>); 9] = [
            (CallResult::Ok, None),
            (CallResult::Failed, Some("401")),
            (CallResult::Failed, Some("403")),
            (CallResult::Ok, Some("404")),
            (CallResult::Ok, Some("422")),
            (CallResult::Unavailable, Some("500")),
            (CallResult::Unavailable, Some("502")),
            (CallResult::Unavailable, Some("timeout")),
            (CallResult::Unavailable, Some("transport")),
        ];
        const CACHE_STATUSES: [CacheStatus; 4] =
            [CacheStatus::Hit, CacheStatus::Revalidated, CacheStatus::Stale, CacheStatus::Miss];
        let (watch, now) = (&client.handle().shared.recent, tokio::time::Instant::now());
        for second in (0..600_u32).rev() {
            let Some(at) = now.checked_sub(Duration::from_secs(second.into())) else { continue };
            for (number, ((result, failed), came)) in
                RESULTS.into_iter().zip(CACHE_STATUSES.into_iter().cycle()).enumerate()
            {
                watch.call(at, result, failed, Some((came, came == CacheStatus::Hit)));
                watch.attempt(at, Some(Duration::from_millis(number as u64 * u64::from(second))));
            }
        }
    }

    /// Records the telemetry of one call with one attempt.
    pub fn once(&self) {
        let call = self.call.observe();
        let waiting = meter::InFlight::waiting();
        std::hint::black_box(&waiting);
        drop(waiting);
        let entered = call.span().clone().entered();
        let attempt = self.context.observe_attempt(0, tokio::time::Instant::now());
        let inner = attempt.span().clone().entered();
        tracing::debug!(status = 200, "attempt");
        drop(inner);
        attempt.end(tokio::time::Instant::now(), &self.response);
        let ends_in = Duration::from_secs(3600);
        let update = RateLimitHeaders {
            resource: "core",
            limit: 5000,
            remaining: 4999,
            reset: 1_800_000_000,
            ends_in,
        };
        meter::rate_limit_observed(self.context.identity_label(), &update);
        drop(entered);
        match &self.response {
            Ok(raw) => {
                call.record_response(&raw.headers);
                call.end_decoded(raw.status, raw.cache_status, None);
            }
            Err(error) => call.fail(error),
        }
    }
}
