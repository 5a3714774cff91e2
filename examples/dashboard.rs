//! The dashboard, with live traffic on a mock of GitHub that fails occasionally.
//!
//! ```text
//! cargo run --example dashboard --features dashboard,testing,webhooks-core
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
use octowire::store::Memory;
use octowire::telemetry::usage::{Budget, Period, Plan, UsagePolicy};
use octowire::testing::{Fault, MockGitHub};
use octowire::webhooks::{Delivery, Receiver, Verifier, sign};
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
        .pass()
        .times(40)
        .fault(Fault::ServerError(502))
        .pass()
        .delay(Duration::from_millis(300))
        .fault(Fault::Reset)
        .pass();
    // A header that a gateway in front of GitHub might require.
    let plan = Plan::new("gateway", Period::Month, "USD")
        .tier(1_000, 0)
        .tier(10_000, 29_00)
        .tier(100_000, 99_00);
    let hourly = Budget::of(Plan::github(15_000)).soft(14_000);
    let policy = UsagePolicy::new().environment("example");
    let policy = policy.budget(Budget::of(plan).soft(8_000).hard(100_000)).budget(hourly);
    let github = mock.client_builder().store(Memory::new()).usage(policy).build()?;
    let receiver = Receiver::builder(Verifier::new(SECRET)?).start(handle)?;

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
async fn deliveries(receiver: Receiver) {
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
