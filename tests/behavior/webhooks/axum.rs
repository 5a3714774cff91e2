//! A receiver in axum, over real sockets.

use axum::Router;
use axum::extract::FromRef;
use axum::routing::post;
use octowire::webhooks::{Delivery, OutgoingDelivery, Verifier, WebhookReceiver};
use tokio::net::TcpListener;

use super::{HandledDeliveries, SECRET, builder, delivery, settled, verifier};

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn received(receiver: &WebhookReceiver) -> String {
    serve(Router::new().merge(receiver.router("/webhooks"))).await
}

#[tokio::test]
async fn one_line_mounts_a_receiver() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let url = received(&receiver).await;
    for (outgoing, secret, status) in [
        (delivery("1"), SECRET, 202),
        (delivery("2").form(), SECRET, 202),
        (delivery("3"), "another", 401),
    ] {
        assert_eq!(outgoing.send(secret, &url).await.unwrap().as_u16(), status);
    }
    settled(&receiver).await;
    assert_eq!(delivery("1").send(SECRET, &url).await.unwrap().as_u16(), 200);
    assert_eq!(handled.ids(), ["1", "2"]);
    let response = reqwest::get(&url).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn twenty_five_megabytes_are_taken_and_more_is_not() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let url = received(&receiver).await;
    let payload = |bytes: usize| format!("{{\"text\":\"{}\"}}", "x".repeat(bytes - 11));
    let large = OutgoingDelivery::new("push", payload(25 * 1024 * 1024));
    assert_eq!(large.send(SECRET, &url).await.unwrap().as_u16(), 202);
    settled(&receiver).await;
    assert_eq!(handled.0.lock().unwrap()[0].payload().len(), 25 * 1024 * 1024);
    let larger =
        OutgoingDelivery::new("push", payload(25 * 1024 * 1024 + 1)).sign(SECRET, &url).unwrap();
    let larger = reqwest::Request::try_from(larger).unwrap();
    // The server answers before all of it is sent, and may close the connection on it.
    if let Ok(response) = reqwest::Client::new().execute(larger).await {
        assert_eq!(response.status().as_u16(), 413);
    }
    assert_eq!((receiver.stats().malformed, receiver.stats().queued_bytes), (1, 0));
}

#[derive(Clone)]
struct State {
    verifier: Verifier,
}

impl FromRef<State> for Verifier {
    fn from_ref(state: &State) -> Self {
        state.verifier.clone()
    }
}

#[tokio::test]
async fn a_handler_of_axum_may_take_a_verified_delivery() {
    async fn handle(delivery: Delivery) -> String {
        format!("{} {}", delivery.id(), delivery.event_name())
    }
    let state = State { verifier: verifier() };
    let url = serve(Router::new().route("/webhooks", post(handle)).with_state(state)).await;
    let send = |secret: &str| {
        let request = delivery("d-1").sign(secret.to_owned(), &url).unwrap();
        let request = reqwest::Request::try_from(request).unwrap();
        async { reqwest::Client::new().execute(request).await.unwrap() }
    };
    assert_eq!(send(SECRET).await.text().await.unwrap(), "d-1 issues");
    let refused = send("another").await;
    assert_eq!(
        (refused.status().as_u16(), &*refused.text().await.unwrap()),
        (401, "unauthorized\n")
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_of_its_own_ends_slow_connections_and_serves_until_the_receiver_ends() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(receiver.serve(listener));
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\nx-hub-").await.unwrap();
    let url = format!("http://{address}/any/path");
    assert_eq!(delivery("1").send(SECRET, &url).await.unwrap().as_u16(), 202);
    let began = tokio::time::Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
    assert!(began.elapsed().as_secs() <= 75);
    settled(&receiver).await;
    assert_eq!(handled.ids(), ["1"]);
    assert_eq!(receiver.shutdown(std::time::Duration::from_secs(5)).await, 0);
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
