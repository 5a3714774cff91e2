//! The receiver as an HTTP service.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;
use tracing::debug;

use super::{ReceiveOutcome, Shared, SignatureScheme, WebhookReceiver};
use crate::webhooks::body::BoxError;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::rejection::RejectionReason;
use crate::webhooks::verify;

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
        // The future contains them once, since the function below borrows them.
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            let by = Instant::now() + receiver.0.response_timeout;
            let delivered = deliver(&receiver.0, &parts, body, by).await;
            drop(parts);
            let result = match delivered {
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
    parts: &Parts,
    body: B,
    by: Instant,
) -> Result<Delivery, RejectionReason>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if parts.method != Method::POST {
        return Err(RejectionReason::Method);
    }
    let headers = &parts.headers;
    // The permit of a body is held until the delivery is verified.
    let delivery = match &shared.scheme {
        SignatureScheme::GitHub(verifier) => {
            // The body of a request without any signature is not read.
            let signature = verify::signature(headers).map_err(RejectionReason::Signature)?;
            let (body, _permit) = shared.body_reader.read(body, by).await?;
            Delivery::verify_signature(verifier, &signature, headers, body)?
        }
        SignatureScheme::Envelope(scheme) => {
            let (body, _permit) = shared.body_reader.read(body, by).await?;
            Delivery::verify_envelope(scheme, &body)?
        }
    };
    shared.stats.record_secret(delivery.verified().secret);
    Ok(delivery)
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
