//! A simulated network for unit tests: responses use tokio's time, which can be paused, and no sockets.

use std::fmt;

use reqwest::{Request, Response, ResponseBuilderExt};

use super::{Client, ClientBuilder};
use crate::transport::custom::{Transport, TransportFuture};

/// A transport of a closure.
struct Responder<R>(R);

impl<R> fmt::Debug for Responder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

impl<R, F> Transport for Responder<R>
where
    R: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    fn send(&self, request: Request) -> TransportFuture<'_> {
        let response = (self.0)(request);
        Box::pin(async move { Ok(response.await) })
    }
}

impl ClientBuilder {
    /// Responds to requests by this closure.
    pub(crate) fn responder<F>(self, respond: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        self.transport(Responder(respond))
    }
}

/// Creates a response to a request.
pub(crate) fn response(
    request: &Request,
    status: u16,
    headers: &[(&str, String)],
    body: impl Into<reqwest::Body>,
) -> Response {
    let response = http::Response::builder().status(status).url(request.url().clone());
    let response =
        headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
    response.body(body.into()).unwrap().into()
}

/// Returns the headers of a primary limit with this remaining quota, which resets in this many seconds.
pub(crate) fn rate_limit(remaining: u64, ends_in: u64) -> [(&'static str, String); 4] {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    [
        ("x-ratelimit-limit", "5000".to_owned()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", (now + ends_in).to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
    ]
}

impl Client {
    /// Returns the same client as another identity.
    pub(crate) fn named(&self, identity: &str) -> Self {
        self.with_auth(crate::policy::auth::PersonalToken::new(identity.to_owned()).unwrap())
    }
}
