//! Signature verification as a layer around the application's own service.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::debug;

use super::body::{BodyLimits, BodyReader, BoxError, READ_TIMEOUT};
use super::delivery::Delivery;
use super::rejection::RejectionReason;
use super::verify::{self, Verifier};

/// A layer that admits signed requests: the [`Delivery`] is in the request's extensions, and the body is unchanged. All
/// other requests are rejected with the [status](RejectionReason::status) of a [`WebhookReceiver`](super::WebhookReceiver); a receiver also
/// accepts only `POST`, and deduplicates deliveries.
///
/// Bodies have at most 25 MiB, and arrive within 9 s; all unverified bodies together have at most 64 MiB.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use octowire::webhooks::{Delivery, Verifier, VerifyLayer};
/// use tower::{ServiceBuilder, service_fn};
///
/// # fn main() -> octowire::Result<()> {
/// let service = ServiceBuilder::new()
///     .layer(VerifyLayer::new(Verifier::new("the webhook's secret")?))
///     .service(service_fn(|request: Request<Full<Bytes>>| async move {
///         let delivery: Option<&Delivery> = request.extensions().get();
///         println!("{delivery:?}");
///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
///     }));
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VerifyLayer {
    verifier: Verifier,
    bodies: BodyReader,
}

/// The service that [`VerifyLayer`] creates.
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    layer: VerifyLayer,
}

impl VerifyLayer {
    /// Creates a layer with these secrets.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, bodies: BodyLimits::default().into_reader() }
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { inner, layer: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + From<Bytes> + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was ready, and not its clone, has to process the call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.verify(request).await {
                Ok(request) => inner.call(request).await,
                Err(rejection) => {
                    debug!(%rejection, "webhook request rejected");
                    let (parts, _) = rejection.response().into_parts();
                    let message = Bytes::from_static(rejection.public_message().as_bytes());
                    Ok(Response::from_parts(parts, R::from(message)))
                }
            }
        })
    }
}

impl VerifyLayer {
    async fn verify<B>(&self, request: Request<B>) -> Result<Request<B>, RejectionReason>
    where
        B: Body + From<Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let signature = verify::signature(&parts.headers).map_err(RejectionReason::Signature)?;
        let (body, _held) = self.bodies.read(body, Instant::now() + READ_TIMEOUT).await?;
        let (verifier, headers) = (&self.verifier, &parts.headers);
        let delivery = Delivery::verify_signature(verifier, &signature, headers, body.clone())?;
        parts.extensions.insert(delivery);
        Ok(Request::from_parts(parts, B::from(body)))
    }
}
