//! A transport that responds with a closure.

use std::fmt;

use http::Response;
use octowire::reqwest::Request;
use octowire::{Transport, TransportFuture};

/// A response, or the reason why there is none.
pub type Outcome = Result<Response<String>, &'static str>;

type Respond = dyn Fn(Request) -> TransportFuture<'static> + Send + Sync;

pub struct Responder(Box<Respond>);

impl Responder {
    pub fn new<F>(respond: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self(Box::new(move |request| {
            let outcome = respond(request);
            Box::pin(async move { outcome.await.map(Into::into).map_err(Into::into) })
        }))
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

impl Transport for Responder {
    fn send(&self, request: Request) -> TransportFuture<'_> {
        (self.0)(request)
    }
}

pub fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<String>) -> Outcome {
    let response = Response::builder().status(status);
    let response =
        headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    Ok(response.body(body.into()).unwrap())
}

/// Lets the tasks of the current runtime run until they wait.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
