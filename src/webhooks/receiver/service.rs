//! The receiver as an HTTP service.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;
use tracing::debug;

use super::{Receipt, Receiver, Shared, Signed};
use crate::webhooks::body::BoxError;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::refusal::Refusal;

impl<B> Service<Request<B>> for Receiver
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    /// It is always ready, and rejects requests instead of waiting: GitHub would time out meanwhile.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = self.clone();
        Box::pin(async move {
            let by = Instant::now() + receiver.0.answered_within;
            let result = match deliver(&receiver.0, request, by).await {
                Ok(delivery) => super::intake::take(&receiver.0, delivery, by).await,
                Err(refusal) => receiver.0.counts.answered(None, Err(refusal)),
            };
            if let Err(refusal) = &result {
                debug!(%refusal, "webhook request rejected");
            }
            Ok(answer(result))
        })
    }
}

/// Reads and verifies a delivery.
async fn deliver<B>(shared: &Shared, request: Request<B>, by: Instant) -> Result<Delivery, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(Refusal::Method);
    }
    if let Signed::ByGitHub(verifier) = &shared.signed {
        // The body of a request without any signature is not read.
        verifier.check(&parts.headers).map_err(Refusal::Signature)?;
    }
    // Held until the delivery is verified.
    let (body, _held) = shared.bodies.read(body, by).await?;
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

fn answer(result: Result<Receipt, Refusal>) -> Response<Full<Bytes>> {
    let (status, text) = match &result {
        Ok(Receipt::Accepted) => (StatusCode::ACCEPTED, "accepted\n"),
        Ok(Receipt::Handled) => (StatusCode::OK, "handled\n"),
        Ok(Receipt::Duplicate) => (StatusCode::OK, "known\n"),
        Err(refusal) => (refusal.status(), refusal.told()),
    };
    let encoded = matches!(result, Err(Refusal::ContentEncoding));
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
        // RFC 9110, 15.5.16: it states that the content coding is not supported.
        StatusCode::UNSUPPORTED_MEDIA_TYPE if encoded => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        _ => {}
    }
    response
}

impl Refusal {
    /// Returns the response to the sender.
    pub(in crate::webhooks) fn response(self) -> Response<Full<Bytes>> {
        answer(Err(self))
    }
}
