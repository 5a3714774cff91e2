//! The dashboard, with live traffic on a mock of GitHub that fails occasionally.
//!
//! ```text
//! cargo run -p octowire-examples --example dashboard --features dashboard
//! ```
//!
//! runs without a token and without a network until Ctrl-C; open the address that it prints.

#[path = "support/traffic.rs"]
mod traffic;

use std::env;
use std::error::Error;
use std::time::Duration;

use octowire::dashboard::Dashboard;
use octowire::http::Request;
use octowire::store::MemoryStore;
use octowire::testing::{Fault, MockGitHub};
use octowire::usage::{Budget, Period, PricingPlan, UsageConfig};
use octowire::webhooks::{Delivery, Verifier, WebhookReceiver, sign};
use octowire::{Client, bytes::Bytes};
use tokio::net::TcpListener;

const SECRET: &str = "It's a Secret to Everybody";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let address = match arguments.as_slice() {
        [] => "127.0.0.1:9465",
        ["--listen", address] => address,
        _ => return Err("usage: dashboard [--listen ADDRESS:PORT]".into()),
    };
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get())
        .passthrough()
        .times(40)
        .fault(Fault::ServerError(502))
        .passthrough()
        .delay(Duration::from_millis(300))
        .fault(Fault::Reset)
        .passthrough();
    // A header that a gateway in front of GitHub might require.
    let plan = PricingPlan::new("gateway", Period::Month, "USD")
        .tier(1_000, 0)
        .tier(10_000, 29_00)
        .tier(100_000, 99_00);
    let hourly = Budget::from_plan(PricingPlan::github(15_000)).soft_limit(14_000);
    let policy = UsageConfig::new().environment("example");
    let policy =
        policy.budget(Budget::from_plan(plan).soft_limit(8_000).hard_limit(100_000)).budget(hourly);
    let github = mock.client_builder().store(MemoryStore::new()).usage(policy).build()?;
    let receiver = WebhookReceiver::builder(Verifier::new(SECRET)?).start(handle)?;

    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let dashboard = Dashboard::new(&github).title("Octowire, an example").webhooks(&receiver);
    let traffic = tokio::spawn(traffic::traffic(github.clone()));
    let deliveries = tokio::spawn(deliveries(receiver));
    tokio::select! {
        served = dashboard.serve(listener)? => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    traffic.abort();
    deliveries.abort();
    Ok(())
}

async fn handle(delivery: Delivery) -> octowire::Result<()> {
    // Some fail, and are retried.
    let fails = delivery.id().ends_with('7');
    tokio::time::sleep(Duration::from_millis(50)).await;
    if fails { Err(Client::with_token("").unwrap_err()) } else { Ok(()) }
}

/// Some deliveries, of which a few have invalid signatures.
async fn deliveries(receiver: WebhookReceiver) {
    for number in 0_u64.. {
        let body = format!(r#"{{"zen":"Keep it logically awesome.","hook_id":{number}}}"#);
        let secret = if number % 20 == 0 { "a guess" } else { SECRET };
        if let Ok(signature) = sign(secret, body.as_bytes()) {
            let request = Request::post("/")
                .header("content-type", "application/json")
                .header("x-github-event", "ping")
                .header("x-github-delivery", number.to_string())
                .header("x-hub-signature-256", signature)
                .body(http_body_util::Full::new(Bytes::from(body)));
            if let Ok(request) = request {
                let _ = tower::ServiceExt::oneshot(receiver.clone(), request).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}
