//! Deliveries are verified, acknowledged immediately, and handled once.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use octowire::webhooks::{
    Delivery, OutgoingDelivery, Verifier, WebhookReceiver, WebhookReceiverBuilder,
};
use tower::ServiceExt;

#[cfg(feature = "webhooks-axum")]
mod axum;
#[cfg(all(feature = "webhooks-axum", feature = "webhooks-journal"))]
mod flood;
mod handling;
#[cfg(feature = "webhooks-journal")]
mod journal;
mod layer;
mod outgoing;
#[cfg(feature = "apps")]
mod reconciler;
#[cfg(feature = "redis")]
mod redis;
mod replies;

const SECRET: &str = "the secret of the webhook";
const URL: &str = "http://localhost/webhooks";

fn verifier() -> Verifier {
    Verifier::new(SECRET).unwrap()
}

fn builder() -> WebhookReceiverBuilder {
    WebhookReceiver::builder(verifier())
}

/// A delivery of the event `issues`.
fn delivery(id: &str) -> OutgoingDelivery {
    let payload = r#"{"action":"opened","sender":{"id":1,"login":"octocat"}}"#;
    OutgoingDelivery::new("issues", payload).id(id)
}

fn signed(delivery: OutgoingDelivery) -> Request<Full<Bytes>> {
    delivery.sign(SECRET, URL).unwrap().map(Full::new)
}

/// The response of the receiver: status and text.
async fn send(receiver: &WebhookReceiver, request: Request<Full<Bytes>>) -> (StatusCode, String) {
    read(receiver.clone().oneshot(request).await).await
}

async fn read(response: Result<Response<Full<Bytes>>, Infallible>) -> (StatusCode, String) {
    let (parts, body) = response.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    (parts.status, String::from_utf8(text.to_vec()).unwrap())
}

async fn deliver(receiver: &WebhookReceiver, id: &str) -> StatusCode {
    send(receiver, signed(delivery(id))).await.0
}

/// A handler that records its deliveries.
#[derive(Clone, Default)]
struct HandledDeliveries(Arc<Mutex<Vec<Delivery>>>);

impl HandledDeliveries {
    fn record(&self, delivery: Delivery) {
        self.0.lock().unwrap().push(delivery);
    }

    fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|delivery| delivery.id().to_owned()).collect()
    }

    fn attempts(&self) -> Vec<u32> {
        self.0.lock().unwrap().iter().map(Delivery::attempt).collect()
    }

    fn start(&self, builder: WebhookReceiverBuilder) -> WebhookReceiver {
        let handled = self.clone();
        let handler = move |delivery| {
            handled.record(delivery);
            async { Ok::<_, Infallible>(()) }
        };
        builder.start(handler).unwrap()
    }

    /// The handler fails so many times.
    fn failing(&self, times: u32, builder: WebhookReceiverBuilder) -> WebhookReceiver {
        let (handled, calls) = (self.clone(), Arc::new(AtomicU32::new(0)));
        let handler = move |delivery| {
            handled.record(delivery);
            let fails = calls.fetch_add(1, Ordering::Relaxed) < times;
            async move { if fails { Err("it fails") } else { Ok(()) } }
        };
        builder.start(handler).unwrap()
    }
}

/// Waits until nothing is left to do.
async fn settled(receiver: &WebhookReceiver) {
    while receiver.stats().queued > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets every task that is ready make progress.
async fn turns() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
