//! A transport of the application in place of the network.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;

use reqwest::ResponseBuilderExt;
use url::Url;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The future of [`Transport::send`].
pub type TransportFuture<'a> =
    Pin<Box<dyn Future<Output = Result<reqwest::Response, BoxError>> + Send + 'a>>;

/// Sends requests in place of the built-in HTTP client, for tests and special networks:
/// [`ClientBuilder::transport`](crate::ClientBuilder::transport).
///
/// It receives each request as it is to be sent, with credentials; it must neither follow redirects nor retry. A
/// [`reqwest::Response`] is created from an [`http::Response`], so that a `tower` service is a transport with a few lines:
/// call the service with the request, and convert its response. All policies apply as usual: rate limits, retries, the
/// cache and timeouts, which drop the future.
///
/// ```
/// use octowire::http::Response;
/// use octowire::reqwest::Request;
/// use octowire::{Transport, TransportFuture};
///
/// /// Responds to every request with an empty list.
/// #[derive(Debug)]
/// struct Empty;
///
/// impl Transport for Empty {
///     fn send(&self, _request: Request) -> TransportFuture<'_> {
///         Box::pin(async { Ok(Response::new("[]").into()) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> octowire::Result<()> {
/// let client = octowire::Client::builder().transport(Empty).build()?;
/// let repos = client.request(octowire::http::Method::GET, "/user/repos");
/// assert!(repos.send::<Vec<String>>().await?.is_empty());
/// # Ok(())
/// # }
/// ```
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request, and returns the response, whatever its status.
    ///
    /// # Errors
    /// If there is no response. The error is the source of one of the kind
    /// [`Transport`](crate::ErrorKind::Transport); a [`reqwest::Error`] is classified as usual.
    fn send(&self, request: reqwest::Request) -> TransportFuture<'_>;
}

/// Sets the URL of a response that was created without one.
pub(super) fn with_url(response: reqwest::Response, url: Url) -> reqwest::Response {
    // The URL that reqwest sets in this case.
    if response.url().host_str() != Some("no.url.provided.local") {
        return response;
    }
    let Ok(with_url) = http::Response::builder().url(url).body(()) else { return response };
    let mut response = http::Response::<reqwest::Body>::from(response);
    response.extensions_mut().extend(with_url.into_parts().0.extensions);
    response.into()
}
