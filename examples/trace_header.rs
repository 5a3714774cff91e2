//! An interceptor that adds a W3C trace header to each request, and one that logs how long calls take.
//!
//! ```text
//! cargo run -p octowire-examples --example trace_header --features trace_header
//! ```
//!
//! runs without a token and without a network, against a mock of GitHub.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};
use octowire::testing::MockGitHub;
use octowire::{Interceptor, InterceptorFuture, OutgoingRequest, RequestOutcome};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Adds `traceparent`, with one id for each request, so that a gateway can attribute it.
#[derive(Debug)]
struct TraceHeader {
    /// The id of the trace that the requests belong to, as 32 hexadecimal digits.
    trace_id: String,
    next_span: AtomicU64,
}

impl Interceptor for TraceHeader {
    // A request and its retries have spans of their own, so that this is a matter of attempts. It does not prevent a
    // response from being cached.
    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let span = self.next_span.fetch_add(1, Ordering::Relaxed);
        let value = format!("00-{}-{span:016x}-01", self.trace_id);
        Box::pin(async move {
            request.headers_mut().insert(TRACEPARENT, HeaderValue::try_from(value)?);
            Ok(())
        })
    }
}

/// Prints the outcome of each call.
#[derive(Debug)]
struct Timing;

impl Interceptor for Timing {
    fn after_call(&self, outcome: &RequestOutcome<'_>) {
        let result = match outcome.error() {
            Some(error) => format!("failed: {error}"),
            None => format!("{:?}", outcome.status()),
        };
        println!("{} took {:?}: {result}", outcome.operation(), outcome.duration());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mock = MockGitHub::start().await;
    let trace = TraceHeader {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        next_span: AtomicU64::new(1),
    };
    let client = mock.client_builder().interceptor(trace).interceptor(Timing).build()?;
    client.repo("octocat", "hello-world").issues().get().issue_number(1347).send().await?;
    for request in mock.requests() {
        println!("  sent traceparent {:?}", request.headers().get("traceparent"));
    }
    Ok(())
}
