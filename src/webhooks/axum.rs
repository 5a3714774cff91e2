//! Deliveries in [axum](https://docs.rs/axum): a router, and an extractor.

use axum::Router;
use axum::extract::{FromRef, FromRequest, Request};
use axum::response::{IntoResponse, Response};

use super::delivery::Delivery;
use super::receiver::{BodyLimits, Receiver, read_body};
use super::refusal::Refusal;
use super::verify::Verifier;

impl Receiver {
    /// A router that receives at this path, to be merged with others.
    ///
    /// ```no_run
    /// use octowire::webhooks::{Delivery, Receiver, Verifier};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = Receiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
    ///     .start(|delivery: Delivery| async move { println!("{delivery:?}"); Ok::<_, octowire::Error>(()) })?;
    /// let app = axum::Router::new().merge(receiver.router("/webhooks"));
    /// axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
    pub fn router<S: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<S> {
        Router::new().route_service(path, self.clone())
    }
}

/// A delivery that is signed with one of the secrets of the state's [`Verifier`]. Nothing else is
/// seen to: a delivery that comes twice is extracted twice.
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
impl<S> FromRequest<S> for Delivery
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let verifier = Verifier::from_ref(state);
        let (parts, body) = request.into_parts();
        // The extractor has no place to keep a bound for all requests: it is the server's to have.
        let (body, _) = read_body(body, &BodyLimits::default()).await?;
        Self::read(&verifier, &parts.headers, body)
    }
}

#[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}
