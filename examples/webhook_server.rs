//! A server that receives GitHub's webhooks: it verifies them, prints the events, and thanks the author of a
//! new issue.
//!
//! ```text
//! cargo run -p octowire-examples --example webhook_server --features webhook_server
//! ```
//!
//! runs without a token and without a network: it delivers to itself, and comments on a mock of GitHub.
//!
//! ```text
//! WEBHOOK_SECRET=… GITHUB_TOKEN=… \
//!     cargo run -p octowire-examples --example webhook_server --features rustls,webhook_server -- --listen 127.0.0.1:3000
//! ```
//!
//! serves until Ctrl-C. WEBHOOK_JOURNAL names a file in which deliveries are kept until they are handled. To
//! try it:
//!
//! ```text
//! body='{"zen":"Design for failure.","hook_id":1}'
//! signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/.* //')
//! curl -i http://127.0.0.1:3000/webhooks -H 'content-type: application/json' -H 'x-github-event: ping' \
//!     -H "x-github-delivery: $(date +%s%N)" -H "x-hub-signature-256: sha256=$signature" -d "$body"
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use octowire::testing::MockGitHub;
use octowire::webhooks::{
    Delivery, DeliveryJournal, Event, IssuesEvent, OutgoingDelivery, Verifier, WebhookReceiver,
    WebhookReceiverBuilder,
};
use octowire::{Client, RepositoryHandle};
use tokio::net::TcpListener;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => on_the_mock().await,
        ["--listen", address] => serve(address).await,
        _ => Err("usage: webhook_server [--listen ADDRESS:PORT]".into()),
    }
}

/// Handles a delivery. A failure is retried, with growing delays.
async fn handle(github: Client, delivery: Delivery) -> Result<(), BoxError> {
    let event = delivery.event()?;
    let place = event.repository().map_or("-", |repository| repository.full_name);
    let who = event.sender().map_or("-", |sender| sender.login);
    println!("{} {} by {who} in {place}", event.name(), event.action().unwrap_or("-"));
    match event {
        Event::Ping(ping) => println!("  GitHub says: {}", ping.zen.as_deref().unwrap_or("-")),
        Event::Issues(IssuesEvent::Opened(opened)) => {
            let repo = github.repo_by_full_name(&opened.repository.full_name)?;
            // A comment must not be created twice: an earlier attempt might have created it, so check first.
            let again = delivery.is_replayed() || delivery.attempt() > 1;
            if again && was_thanked(&repo, opened.issue.number, &delivery).await? {
                return Ok(());
            }
            let comment = repo
                .issues()
                .create_comment()
                .issue_number(opened.issue.number)
                .body(format!("Thank you! <!-- {} -->", delivery.key()))
                .send()
                .await?;
            println!("  thanked: {}", comment.html_url);
        }
        Event::Unknown(_) => println!("  nothing is to be done"),
        other => println!("  nothing is to be done about {}", other.name()),
    }
    Ok(())
}

/// Returns whether one of the issue's comments contains the delivery's id.
async fn was_thanked(
    repo: &RepositoryHandle,
    issue_number: i64,
    delivery: &Delivery,
) -> Result<bool, BoxError> {
    let mut comments = repo.issues().list_comments().issue_number(issue_number).stream();
    while let Some(comment) = comments.try_next().await? {
        if comment.body.as_deref().is_some_and(|body| body.contains(&delivery.key())) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn start(builder: WebhookReceiverBuilder, github: Client) -> octowire::Result<WebhookReceiver> {
    builder.start(move |delivery| handle(github.clone(), delivery))
}

/// Serves until Ctrl-C, and then handles the pending deliveries.
async fn serve(address: &str) -> Result<(), BoxError> {
    let mut builder = WebhookReceiver::builder(Verifier::from_env("WEBHOOK_SECRET")?);
    if let Ok(path) = env::var("WEBHOOK_JOURNAL") {
        builder = builder.journal(DeliveryJournal::open(path).await?);
    }
    let receiver = start(builder, Client::from_env()?)?;
    let listener = TcpListener::bind(address).await?;
    println!("Listening at http://{}/webhooks.", listener.local_addr()?);
    let server = tokio::spawn(receiver.serve(listener));
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals, it serves until it is killed.
        std::future::pending::<()>().await;
    }
    let left = receiver.shutdown(Duration::from_secs(30)).await;
    // Its last responses are sent.
    server.await?;
    println!("{left} deliveries are left; {:?}", receiver.stats());
    Ok(())
}

/// Delivers to itself the events that GitHub would send.
async fn on_the_mock() -> Result<(), BoxError> {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let secret = "a secret of the example";
    let receiver = start(WebhookReceiver::builder(Verifier::new(secret)?), github)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/webhooks", listener.local_addr()?);
    let app = axum::Router::new().merge(receiver.router("/webhooks"));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let ping = r#"{ "zen": "Design for failure.", "hook_id": 1 }"#;
    let opened = issue_opened()?;
    let sent = [
        ("a ping", OutgoingDelivery::new("ping", ping), secret),
        (
            "an issue that was opened",
            OutgoingDelivery::new("issues", opened.clone()).id("d-1"),
            secret,
        ),
        ("the same once more", OutgoingDelivery::new("issues", opened.clone()).id("d-1"), secret),
        ("one signed with another secret", OutgoingDelivery::new("issues", opened), "another"),
        (
            "an event that is not compiled in",
            OutgoingDelivery::new("star", r#"{"action":"created"}"#),
            secret,
        ),
    ];
    for (what, delivery, secret) in sent {
        let status = delivery.send(secret, &url).await?;
        println!("Delivering {what}: {status}");
        while receiver.stats().queued > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    println!("Comments on the mock: {}", mock.count("issues/create-comment"));
    receiver.shutdown(Duration::from_secs(5)).await;
    let stats = receiver.stats();
    println!(
        "{} accepted, {} handled, {} duplicates, {} unauthorized",
        stats.accepted, stats.handled, stats.duplicates, stats.unauthorized
    );
    Ok(())
}

/// GitHub's payload for a new issue: one of the published payloads.
fn issue_opened() -> Result<String, BoxError> {
    let payload = include_str!("support/issue_opened.json");
    // Like GitHub, without white space.
    Ok(serde_json::from_str::<serde_json::Value>(payload)?.to_string())
}
