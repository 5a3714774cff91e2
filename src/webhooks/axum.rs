//! Deliveries in [axum](https://docs.rs/axum): a router and an extractor.

use axum::Router;
use axum::extract::{FromRef, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::body::{BodyLimits, READ_TIMEOUT};
use super::delivery::Delivery;
use super::receiver::WebhookReceiver;
use super::rejection::RejectionReason;
use super::verify::{self, Verifier};

impl WebhookReceiver {
    /// Returns a router that receives deliveries at this path, to be merged with others.
    ///
    /// ```no_run
    /// use octowire::webhooks::{Delivery, WebhookReceiver, Verifier};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = WebhookReceiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
    ///     .start(|delivery: Delivery| async move { println!("{delivery:?}"); Ok::<_, octowire::Error>(()) })?;
    /// let app = axum::Router::new().merge(receiver.router("/webhooks"));
    /// axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the path does not begin with `/`, as in axum.
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
    pub fn router<S: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<S> {
        Router::new().route_service(path, self.clone())
    }
}

/// A delivery that is signed with one of the secrets of the state's [`Verifier`], with a body of at most 25 MiB that
/// arrives within 9 s. The extractor does nothing else: it does not deduplicate, and the server has to bound the memory
/// of all requests.
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
impl<S> FromRequest<S> for Delivery
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = RejectionReason;

    async fn from_request(request: Request, state: &S) -> Result<Self, RejectionReason> {
        let verifier = Verifier::from_ref(state);
        let (parts, body) = request.into_parts();
        let signature = verify::signature(&parts.headers).map_err(RejectionReason::Signature)?;
        let bodies = BodyLimits::default().into_reader();
        let (body, _) = bodies.read(body, Instant::now() + READ_TIMEOUT).await?;
        Self::verify_signature(&verifier, &signature, &parts.headers, body)
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
impl IntoResponse for RejectionReason {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}
