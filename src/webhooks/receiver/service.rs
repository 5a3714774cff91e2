//! The receiver as a service of HTTP requests.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::poll_fn;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower_service::Service;
use tracing::debug;

use super::{Receipt, Receiver, Shared, Signed};
use crate::webhooks::delivery::Delivery;
use crate::webhooks::refusal::Refusal;

pub(in crate::webhooks) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// As GitHub caps payloads.
const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(10);
const UNVERIFIED_BYTES: usize = 64 * 1024 * 1024;
/// So much is made room for before it came.
const FIRST_ROOM: u64 = 64 * 1024;

/// What a body may take.
#[derive(Clone, Debug)]
pub(in crate::webhooks) struct BodyLimits {
    pub(super) most: usize,
    pub(super) within: Duration,
    /// The bytes that all bodies together may have while they are not verified.
    held: Arc<Semaphore>,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { most: MAX_BODY_BYTES, within: BODY_WITHIN, held: semaphore(UNVERIFIED_BYTES) }
    }
}

impl BodyLimits {
    pub(super) fn with_held(self, bytes: usize) -> Self {
        Self { held: semaphore(bytes), ..self }
    }
}

fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

impl<B> Service<Request<B>> for Receiver
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    /// It is always ready, and says "busy" where others would wait: GitHub would give up meanwhile.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = self.clone();
        Box::pin(async move {
            let result = match deliver(&receiver.0, request).await {
                Ok(delivery) => super::intake::take(&receiver.0, delivery).await,
                Err(refusal) => Err(refusal),
            };
            receiver.0.counts.answered(&result);
            if let Err(refusal) = &result {
                debug!(%refusal, "a request is not taken as a delivery");
            }
            Ok(answer(result))
        })
    }
}

/// Reads and verifies a delivery.
async fn deliver<B>(shared: &Shared, request: Request<B>) -> Result<Delivery, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Refusal::Method);
    }
    // Held until it is verified.
    let (body, _held) = read_body(body, &shared.body).await?;
    let delivery = read(&shared.signed, &parts.headers, body)?;
    shared.counts.signed_with(delivery.verified().secret);
    Ok(delivery)
}

fn read(signed: &Signed, headers: &HeaderMap, body: Bytes) -> Result<Delivery, Refusal> {
    match signed {
        Signed::ByGitHub(verifier) => Delivery::read(verifier, headers, body),
        Signed::ByGateway(scheme) => Delivery::read_envelope(scheme, &body),
    }
}

/// Reads a body into one buffer. What it takes of the bytes that may be held is given back with the
/// permit.
pub(in crate::webhooks) async fn read_body<B>(
    body: B,
    limits: &BodyLimits,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > limits.most as u64 {
        return Err(Refusal::TooLarge);
    }
    let read = timeout(limits.within, collect(body, limits));
    read.await.unwrap_or(Err(Refusal::TooSlow))
}

async fn collect<B>(
    body: B,
    limits: &BodyLimits,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    use bytes::Buf;

    let expected = body.size_hint().lower();
    let mut body = pin!(body);
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let frame = frame.map_err(|_| Refusal::Broken)?;
        let Ok(mut data) = frame.into_data() else { continue };
        let length = data.remaining();
        let total = first.len() + rest.len() + length;
        if total > limits.most {
            return Err(Refusal::TooLarge);
        }
        let more = u32::try_from(length).map_err(|_| Refusal::TooLarge)?;
        let more = Arc::clone(&limits.held).try_acquire_many_owned(more);
        let more = more.map_err(|_| Refusal::Busy)?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        if total == length {
            // All of it, in most cases, and then it is not copied.
            first = data.copy_to_bytes(length);
            continue;
        }
        if rest.is_empty() {
            let room = expected.min(FIRST_ROOM).max(total as u64);
            rest.reserve(usize::try_from(room).unwrap_or(total));
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            rest.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok((if rest.is_empty() { first } else { rest.freeze() }, held))
}

fn answer(result: Result<Receipt, Refusal>) -> Response<Full<Bytes>> {
    let (status, text) = match &result {
        Ok(Receipt::Accepted) => (StatusCode::ACCEPTED, "accepted\n"),
        Ok(Receipt::Handled) => (StatusCode::OK, "handled\n"),
        Ok(Receipt::Duplicate) => (StatusCode::OK, "handled before\n"),
        Err(refusal) => (refusal.status(), refusal.told()),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        _ => {}
    }
    response
}

impl Refusal {
    /// The answer that a sender is given.
    pub(in crate::webhooks) fn response(self) -> Response<Full<Bytes>> {
        answer(Err(self))
    }
}
