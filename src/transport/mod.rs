//! Sends one request, and follows its redirects.

pub(crate) mod custom;
pub(crate) mod http_clients;
pub(crate) mod redirect;

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

use self::custom::BoxError;
use self::http_clients::HttpClients;
use self::redirect::{MAX_REDIRECTS, RedirectTarget, VisitedHops};
use crate::endpoints::Endpoints;
use crate::error::{Error, ErrorKind, Result};
use crate::request::RequestSpec;
use crate::request::body::UploadErrorSlot;
use crate::sanitize;

/// A request, and how it is sent.
pub(crate) struct Exchange<'a> {
    pub(crate) http: &'a HttpClients,
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) spec: &'a RequestSpec,
    pub(crate) upload_error: &'a UploadErrorSlot,
    pub(crate) trace: &'a Mutex<RedirectTrace>,
}

/// What is known of an attempt while it runs.
#[derive(Debug, Default)]
pub(crate) struct RedirectTrace {
    /// GitHub responded, possibly with a redirect only.
    pub(crate) has_response: bool,
    /// GitHub performed the request, and responded with 303 and the URL of the result.
    pub(crate) method_changed: bool,
    /// GitHub's headers of a redirect to another server, whose own response says nothing about GitHub.
    pub(crate) external_headers: Option<HeaderMap>,
}

impl RedirectTrace {
    /// Returns whether GitHub has performed the request, so that a retry would repeat it.
    pub(crate) fn request_completed(&self) -> bool {
        self.method_changed
    }
}

/// Sends the request and follows its redirects. `outgoing` builds the request of each: only it knows the credentials,
/// which only trusted servers receive.
pub(crate) async fn send(
    exchange: Exchange<'_>,
    outgoing: impl Fn(RedirectTarget) -> Result<reqwest::Request>,
) -> Result<reqwest::Response> {
    let Exchange { http, endpoints, spec, upload_error, trace } = exchange;
    let trace = || trace.lock().unwrap_or_else(PoisonError::into_inner);
    let mut target = RedirectTarget::first(spec.method.clone(), spec.url.clone());
    let mut visited = VisitedHops::new(http.can_keep_cookies());
    for redirects in 0..=MAX_REDIRECTS {
        if redirects > 0 {
            visited.record_request(&target)?;
        }
        let (method, with_body) = (target.method.clone(), target.with_body);
        // GitHub redirects the operations of a renamed repository.
        let trusted = target.trusted;
        let is_documented = |name: &str| trusted && spec.sends_documented(name);
        let mut request = outgoing(target)?;
        sanitize::sent(&mut request, is_documented);
        let response = http.execute(request).await;
        let mut response = response.map_err(|error| match trace().has_response {
            // The request itself had this effect.
            true => transport_error(error, upload_error).with_sent(),
            false => transport_error(error, upload_error),
        })?;
        sanitize::received(response.headers_mut());
        if spec.is_external {
            return Ok(response);
        }
        let reply = (response.status(), response.headers());
        let next = redirect::follow(endpoints, response.url(), &method, with_body, reply)?;
        let mut trace = trace();
        trace.has_response = true;
        match next {
            Some(next) => {
                if redirects == 0 {
                    // Most requests are not redirected, and are not recorded.
                    let first = RedirectTarget::first(spec.method.clone(), spec.url.clone());
                    visited.record_request(&first)?;
                }
                visited.record_response(response.headers());
                trace.method_changed |= next.method != method;
                if !next.trusted && trace.external_headers.is_none() {
                    trace.external_headers = Some(response.headers().clone());
                }
                target = next;
            }
            None => return Ok(response),
        }
    }
    Err(redirect::too_many())
}

/// Returns the error of a request that failed: that of its body, if the body failed.
fn transport_error(error: BoxError, upload_error: &UploadErrorSlot) -> Error {
    if let Some(reason) = upload_error.take() {
        return Error::from_upload(reason);
    }
    match error.downcast::<reqwest::Error>() {
        Ok(error) => Error::from_transport(*error),
        Err(error) => Error::new(ErrorKind::Transport, "the transport returned an error")
            .with_retryable(true)
            .with_advice("see the source of this error")
            .with_source(error),
    }
}
