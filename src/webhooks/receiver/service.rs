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

use super::{ReceiveOutcome, Shared, SignatureScheme, WebhookReceiver};
use crate::webhooks::body::BoxError;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::rejection::RejectionReason;

impl<B> Service<Request<B>> for WebhookReceiver
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
            let by = Instant::now() + receiver.0.response_timeout;
            let result = match deliver(&receiver.0, request, by).await {
                Ok(delivery) => super::accept::accept(&receiver.0, delivery, by).await,
                Err(rejection) => receiver.0.stats.record_response(None, Err(rejection)),
            };
            if let Err(rejection) = &result {
                debug!(%rejection, "webhook request rejected");
            }
            Ok(respond(result))
        })
    }
}

/// Reads and verifies a delivery.
async fn deliver<B>(
    shared: &Shared,
    request: Request<B>,
    by: Instant,
) -> Result<Delivery, RejectionReason>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Err(RejectionReason::Method);
    }
    if let SignatureScheme::GitHub(verifier) = &shared.scheme {
        // The body of a request without any signature is not read.
        verifier.check_present(&parts.headers).map_err(RejectionReason::Signature)?;
    }
    // Held until the delivery is verified.
    let (body, _held) = shared.body_reader.read(body, by).await?;
    let delivery = read(&shared.scheme, &parts.headers, body)?;
    shared.stats.record_secret(delivery.verified().secret);
    Ok(delivery)
}

fn read(
    signed: &SignatureScheme,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Delivery, RejectionReason> {
    match signed {
        SignatureScheme::GitHub(verifier) => Delivery::verify(verifier, headers, body),
        SignatureScheme::Envelope(scheme) => Delivery::verify_envelope(scheme, &body),
    }
}

fn respond(result: Result<ReceiveOutcome, RejectionReason>) -> Response<Full<Bytes>> {
    let (status, text) = match &result {
        Ok(ReceiveOutcome::Accepted) => (StatusCode::ACCEPTED, "accepted\n"),
        Ok(ReceiveOutcome::Handled) => (StatusCode::OK, "handled\n"),
        Ok(ReceiveOutcome::Duplicate) => (StatusCode::OK, "known\n"),
        Err(rejection) => (rejection.status(), rejection.public_message()),
    };
    let encoded = matches!(result, Err(RejectionReason::ContentEncoding));
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

impl RejectionReason {
    /// Returns the response to the sender.
    pub(in crate::webhooks) fn response(self) -> Response<Full<Bytes>> {
        respond(Err(self))
    }
}
