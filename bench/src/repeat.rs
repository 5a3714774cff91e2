//! Calls and other main paths without measuring, for programs that have their own measurement.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use octowire::Client;
use octowire::auth::{App, AppSigner, SignatureFuture};
use octowire::webhooks::{Delivery, Event, Verifier, WebhookReceiver, sign};

use crate::bodies::Body;
use crate::calls::single_threaded;
use crate::clients::Entry;
use crate::{Result, cache, webhooks};

/// The published event whose payload is decoded and received.
const EVENT: &str = "issues";

/// `client` is one of [`Entry::ALL`], one of [`cache::repeat`], or `token`, `webhook-decode` or `webhook-receive`, for
/// which `body` has no meaning.
pub fn run(client: &str, body: &str, count: &str, url: &str) -> Result<()> {
    let body = Body::named(body)?;
    let count = count.parse()?;
    match client {
        "token" => cached_token(count, url),
        "webhook-decode" => decode(count),
        "webhook-receive" => receive(count),
        _ => match Entry::named(client) {
            Ok(entry) => {
                let runtime = single_threaded()?;
                let _within = runtime.enter();
                let subject = entry.connect(url)?;
                runtime.block_on(subject.repeat(body, count))
            }
            Err(_) => cache::repeat(client, body, count, url),
        },
    }
}

/// A signer whose instructions do not vary, as those of a new private key would.
#[derive(Debug)]
struct ConstantSigner;

impl AppSigner for ConstantSigner {
    fn sign<'a>(&'a self, _: &'a [u8]) -> SignatureFuture<'a> {
        Box::pin(async { Ok(vec![0; 256]) })
    }
}

fn cached_token(count: u64, url: &str) -> Result<()> {
    let runtime = single_threaded()?;
    runtime.block_on(async {
        let app = App::with_signer("Iv23liBENCH", ConstantSigner)?;
        let client = Client::builder().base_url(url).auth(app.installation(1)).build()?;
        for _ in 0..count {
            std::hint::black_box(client.access_token().await?);
        }
        Ok(())
    })
}

/// The first published payload of the event.
fn payload() -> Result<Vec<u8>> {
    let payload = webhooks::payloads()?.into_iter().find(|(name, _)| name == EVENT);
    Ok(payload.ok_or("no such payload")?.1)
}

fn decode(count: u64) -> Result<()> {
    let payload = payload()?;
    for _ in 0..count {
        std::hint::black_box(Event::read(EVENT, std::hint::black_box(&payload))?);
    }
    Ok(())
}

/// Deliveries that are verified, deduplicated and handled, without the network.
fn receive(count: u64) -> Result<()> {
    let body = Bytes::from(payload()?);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("x-github-event", HeaderValue::from_static(EVENT));
    headers.insert("x-hub-signature-256", sign(webhooks::SECRET, &body)?.try_into()?);
    single_threaded()?.block_on(async {
        let verifier = Verifier::new(webhooks::SECRET)?;
        let receiver = WebhookReceiver::builder(verifier.clone())
            .start(|_| async { Ok::<_, std::convert::Infallible>(()) })?;
        for number in 0..count {
            headers.insert("x-github-delivery", HeaderValue::try_from(format!("{number:08}"))?);
            let delivery = Delivery::verify(&verifier, &headers, body.clone());
            let delivery = delivery.map_err(|reason| format!("rejected: {reason:?}"))?;
            let received = receiver.receive(delivery).await;
            received.map_err(|reason| format!("rejected: {reason:?}"))?;
            // The handler's task.
            tokio::task::yield_now().await;
        }
        Ok(())
    })
}
