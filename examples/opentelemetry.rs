//! Traces for OpenTelemetry: the spans of a call and of its attempts, as an exporter receives them.
//!
//! ```text
//! cargo run -p octowire-examples --example opentelemetry --features opentelemetry
//! ```
//!
//! uses a mock of GitHub that fails once, and writes the spans to the terminal. An application uses the
//! exporter of its collector instead of `opentelemetry_stdout`, such as `opentelemetry-otlp`.

use std::error::Error;

use octowire::testing::{Fault, MockGitHub};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(opentelemetry_stdout::SpanExporter::default())
        .build();
    // `otel.name`, `otel.kind` and the fields of the spans become the corresponding OpenTelemetry fields.
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("example"));
    let own = Targets::new().with_target("octowire", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(traces.with_filter(own)).init();

    let mock = MockGitHub::start().await;
    mock.on(|github| github.issues().get()).fault(Fault::ServerError(502)).passthrough();
    let repo = mock.client().repo("octocat", "hello-world");
    repo.issues().get().issue_number(1347).send().await?;

    provider.shutdown()?;
    Ok(())
}
