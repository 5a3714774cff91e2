//! Sends the request of an attempt, and follows its redirects.

pub(crate) mod custom;
pub(crate) mod http_clients;

use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use self::custom::BoxError;
use self::http_clients::HttpClients;
use crate::endpoints::{Endpoints, has_credentials};
use crate::error::{Error, ErrorKind, Result};
use crate::request::RequestSpec;
use crate::request::body::UploadErrorSlot;
use crate::sanitize::{self, SecretHeader};

/// The progress of an attempt through its redirects. It remains if a timeout ends the attempt.
#[derive(Debug, Default)]
pub(crate) struct RedirectTrace {
    /// GitHub responded, possibly with a redirect only.
    pub(crate) has_response: bool,
    /// GitHub performed the request, and responded with 303 and the URL of the result: a retry would repeat it.
    pub(crate) request_completed: bool,
    /// GitHub's headers of a redirect to another server, whose own response says nothing about GitHub.
    pub(crate) external_headers: Option<HeaderMap>,
}

/// One of the requests that an attempt sends: the first, and one for each redirect.
#[derive(Debug)]
pub(crate) struct RedirectTarget {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) with_body: bool,
    /// Whether the server is trusted with the token and with other headers for GitHub only.
    pub(crate) trusted: bool,
}

impl RedirectTarget {
    /// Returns the target of the first request.
    fn first(method: Method, url: Url) -> Self {
        Self { method, url, with_body: true, trusted: true }
    }
}

/// Maximum number of redirects in a row; browsers and curl have similar limits.
const MAX_REDIRECTS: usize = 10;

/// The requests of one attempt, connected by redirects.
#[derive(Debug)]
struct VisitedHops {
    requests: Vec<(Method, Url)>,
    /// How many requests had been sent when a response last set a cookie.
    cookie_set_at: usize,
    /// Whether the HTTP client can send such a cookie with the next request.
    can_keep_cookies: bool,
}

impl VisitedHops {
    fn new(can_keep_cookies: bool) -> Self {
        Self { requests: Vec::new(), cookie_set_at: 0, can_keep_cookies }
    }

    /// Records a request that is about to be sent.
    ///
    /// A gateway can set a cookie and redirect back to the same URL. For this case, a GET or HEAD request is sent once
    /// more if a response has set a cookie since, and the HTTP client can have kept it.
    ///
    /// # Errors
    /// If the same request was sent before: its response would be the same redirect, and a write would be repeated.
    fn record_request(&mut self, target: &RedirectTarget) -> Result<()> {
        let mut url = target.url.clone();
        // The request is not sent.
        url.set_fragment(None);
        let request = (target.method.clone(), url);
        let mut earlier = self.requests.iter().enumerate().filter(|(_, sent)| **sent == request);
        let (first, second) = (earlier.next(), earlier.next());
        let has_cookie = matches!(target.method, Method::GET | Method::HEAD)
            && first.is_some_and(|(at, _)| self.cookie_set_at > at);
        let may_repeat = has_cookie && self.can_keep_cookies && second.is_none();
        if first.is_some() && !may_repeat {
            let advice = match (has_cookie, self.can_keep_cookies) {
                (true, false) => NO_COOKIES,
                (true, true) => COOKIE_WITHOUT_EFFECT,
                (false, _) => "the redirects were not followed again: check the client's base_url",
            };
            return Err(Error::new(ErrorKind::Redirect, "redirect loop").with_advice(advice));
        }
        self.requests.push(request);
        Ok(())
    }

    /// Records the response to the last request.
    fn record_response(&mut self, headers: &HeaderMap) {
        if headers.contains_key(SET_COOKIE) {
            self.cookie_set_at = self.requests.len();
        }
    }
}

const NO_COOKIES: &str = "the server sets a cookie and redirects back, and this client stores no \
                          cookies: use an http_client with a cookie store, or configure the \
                          gateway to accept requests without its cookie";
const COOKIE_WITHOUT_EFFECT: &str = "the server sets a cookie and redirects back, and the request \
                                     was sent once more: check that the http_client has a cookie \
                                     store, and that the gateway accepts its own cookie";

/// Sends the request and follows its redirects. `build_request` builds the request of each: only it decides which carry
/// the `credentials`, which only trusted servers receive.
pub(crate) async fn send<'a>(
    http: &HttpClients,
    endpoints: &Endpoints,
    spec: &RequestSpec,
    upload_error: &UploadErrorSlot,
    trace: &mut RedirectTrace,
    credentials: impl Iterator<Item = &'a SecretHeader> + Clone,
    build_request: impl Fn(RedirectTarget) -> Result<reqwest::Request>,
) -> Result<reqwest::Response> {
    let mut target = RedirectTarget::first(spec.method.clone(), spec.url.get().clone());
    let mut visited = VisitedHops::new(http.can_keep_cookies());
    for redirects in 0..=MAX_REDIRECTS {
        if redirects > 0 {
            visited.record_request(&target)?;
        }
        let (method, with_body) = (target.method.clone(), target.with_body);
        // GitHub redirects the operations of a renamed repository.
        let trusted = target.trusted;
        let is_documented = |name: &str| trusted && spec.sends_documented(name);
        let response = {
            // In a scope of its own: the future would contain the request until its response.
            let mut request = build_request(target)?;
            sanitize::sent(&mut request, is_documented, credentials.clone());
            http.execute(request)
        };
        let response = response.await.map_err(|error| match trace.has_response {
            // The request itself had this effect.
            true => transport_error(error, upload_error).with_sent(),
            false => transport_error(error, upload_error),
        })?;
        if spec.is_external {
            return Ok(response);
        }
        let next = redirect_target(endpoints, &response, &method, with_body);
        trace.has_response = true;
        // Also if the redirect is not followed.
        trace.request_completed |= is_completed(&method, response.status());
        match next? {
            Some(next) => {
                if redirects == 0 {
                    // Most requests are not redirected, and are not recorded.
                    let first = RedirectTarget::first(spec.method.clone(), spec.url.get().clone());
                    visited.record_request(&first)?;
                }
                visited.record_response(response.headers());
                if !next.trusted && trace.external_headers.is_none() {
                    trace.external_headers = Some(sanitize::redacted(response.headers()));
                }
                target = next;
            }
            None => return Ok(response),
        }
    }
    Err(too_many_redirects())
}

/// Returns whether a response with this status says that GitHub has performed the request, and where its result is.
fn is_completed(method: &Method, status: StatusCode) -> bool {
    status == StatusCode::SEE_OTHER && !matches!(*method, Method::GET | Method::HEAD)
}

/// Returns the request to the redirect target; `None` if the response is not a redirect.
///
/// 303 turns any method into a GET without a body (RFC 9110). All others keep the method and the body: GitHub responds
/// with 301 for resources that were renamed or transferred, and a write that became a read there would seem to succeed.
/// The token is sent only if the client trusts the new server; without the token, no body is sent either.
fn redirect_target(
    endpoints: &Endpoints,
    response: &reqwest::Response,
    method: &Method,
    with_body: bool,
) -> Result<Option<RedirectTarget>> {
    let (status, from) = (response.status(), response.url());
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let url = location
        .to_str()
        .ok()
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| untrusted_redirect(status, "with an invalid Location header"))?;
    if !matches!(url.scheme(), "https" | "http") || has_credentials(&url) {
        return Err(untrusted_redirect(status, "to a URL that is not allowed"));
    }
    let url = endpoints.resolve_redirect(url, from);
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err(Error::new(
            ErrorKind::UntrustedUrl,
            format!("GitHub returned {status}: redirect from https to plain http"),
        )
        .with_advice("the redirect was not followed; a proxy might be at fault"));
    }
    let becomes_get = status == StatusCode::SEE_OTHER && *method != Method::HEAD;
    let (method, with_body) =
        if becomes_get { (Method::GET, false) } else { (method.clone(), with_body) };
    // Once a chain has left GitHub, it is never trusted again.
    let trusted = endpoints.trusts(&url) && endpoints.trusts(from);
    if !trusted && method != Method::GET && method != Method::HEAD {
        return Err(Error::new(
            ErrorKind::UntrustedUrl,
            format!("GitHub returned {status}: redirect of a {method} request to another server"),
        )
        .with_advice(
            "the redirect was not followed, because neither token nor body may be sent there",
        ));
    }
    Ok(Some(RedirectTarget { method, url, with_body: with_body && trusted, trusted }))
}

/// Returns the error for too many redirects.
fn too_many_redirects() -> Error {
    Error::new(ErrorKind::Redirect, format!("more than {MAX_REDIRECTS} consecutive redirects"))
        .with_advice("there is probably a redirect loop: check the client's base_url")
}

fn untrusted_redirect(status: StatusCode, what: &str) -> Error {
    Error::new(ErrorKind::Redirect, format!("GitHub returned {status}: redirect {what}"))
        .with_advice("the redirect was not followed")
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

#[cfg(test)]
mod tests {
    use reqwest::ResponseBuilderExt;

    use super::*;

    fn decide(
        from: &str,
        method: Method,
        status: u16,
        location: &str,
    ) -> Result<Option<RedirectTarget>> {
        decide_at("https://api.github.com", from, method, status, location)
    }

    fn decide_at(
        base: &str,
        from: &str,
        method: Method,
        status: u16,
        location: &str,
    ) -> Result<Option<RedirectTarget>> {
        let endpoints = Endpoints::new(base, None).unwrap();
        let response = http::Response::builder()
            .status(status)
            .header(LOCATION, location)
            .url(from.parse().unwrap())
            .body("")
            .unwrap();
        redirect_target(&endpoints, &response.into(), &method, true)
    }

    #[test]
    fn method_and_body_follow_rfc_9110() {
        const FROM: &str = "https://api.github.com/a";
        for (method, status, expected, body) in [
            (Method::GET, 301, Method::GET, true),
            (Method::POST, 301, Method::POST, true),
            (Method::POST, 302, Method::POST, true),
            (Method::PATCH, 302, Method::PATCH, true),
            (Method::PUT, 303, Method::GET, false),
            (Method::HEAD, 303, Method::HEAD, true),
            (Method::POST, 307, Method::POST, true),
            (Method::DELETE, 308, Method::DELETE, true),
        ] {
            let hop = decide(FROM, method.clone(), status, "/b").unwrap().unwrap();
            assert_eq!(
                (hop.method, hop.with_body, hop.trusted),
                (expected, body, true),
                "{method} {status}"
            );
            assert_eq!(hop.url.as_str(), "https://api.github.com/b");
        }
    }

    #[test]
    fn a_foreign_server_gets_neither_trust_nor_body() {
        let from = "https://api.github.com/a";
        let hop = decide(from, Method::GET, 302, "https://codeload.github.com/x");
        let hop = hop.unwrap().unwrap();
        assert!(!hop.trusted && !hop.with_body);
        let error = decide(from, Method::POST, 307, "https://evil.example/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    }

    #[test]
    fn an_external_server_cannot_send_the_token_back() {
        let back = decide("https://evil.example/", Method::GET, 302, "https://api.github.com/user");
        assert!(!back.unwrap().unwrap().trusted);
    }

    #[test]
    fn a_renamed_repository_behind_a_gateway_is_found_there() {
        for (base, location, expected) in [
            ("/github", "https://api.github.com/repositories/1?a=b", "/github/repositories/1?a=b"),
            ("", "https://api.github.com/repositories/1", "/repositories/1"),
            ("/gh", "http://api.octocorp.ghe.com/repositories/1", "/gh/repositories/1"),
            ("/gh/api/v3", "https://ghe.example/api/v3/x", "/gh/api/v3/x"),
        ] {
            let base = format!("https://gateway.internal{base}");
            let from = format!("{base}/repos/o/r");
            for method in [Method::GET, Method::POST, Method::PATCH] {
                let hop = decide_at(&base, &from, method.clone(), 307, location).unwrap().unwrap();
                assert!(hop.trusted && hop.with_body && hop.method == method, "{location}");
                assert_eq!(hop.url.as_str(), format!("https://gateway.internal{expected}"));
            }
        }
        let base = "https://gateway.internal/github";
        for location in [
            "https://codeload.github.com/x",
            "https://api.github.com.evil.example/x",
            "https://api.github.com:8443/x",
            "https://api.github.com/..%2fadmin",
        ] {
            let hop = decide_at(base, &format!("{base}/x"), Method::GET, 302, location);
            let hop = hop.unwrap().unwrap();
            assert!(!hop.trusted && hop.url.as_str() == location, "{location}");
            decide_at(base, &format!("{base}/x"), Method::POST, 307, location).unwrap_err();
        }
        // A chain that has left the gateway does not return to it.
        let back =
            decide_at(base, "https://evil.example/", Method::GET, 302, "https://api.github.com/x");
        assert!(!back.unwrap().unwrap().trusted);
        // A client of GitHub itself has no gateway.
        let other = decide("https://api.github.com/a", Method::GET, 302, "https://api.o.ghe.com/x");
        assert!(!other.unwrap().unwrap().trusted);
    }

    #[test]
    fn plain_http_is_rejected() {
        let from = "https://api.github.com/a";
        let error = decide(from, Method::GET, 302, "http://api.github.com/b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
    }

    #[test]
    fn other_statuses_are_no_redirects() {
        let from = "https://api.github.com/a";
        for status in [200, 300, 304, 404] {
            assert!(decide(from, Method::GET, status, "/b").unwrap().is_none());
        }
    }
}
