//! The loopback server: the page with the form, and the callback.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use secrecy::SecretString;
use tokio::sync::oneshot;
use tower_service::Service;
use tracing::debug;
use url::Url;

use super::page;
use crate::policy::auth::{Callback, RegisteredApp, is_secret};
use crate::server::{RequestBody, ServerLimits, add_security_headers};

/// The path to which GitHub redirects the browser.
pub(super) const CALLBACK_PATH: &str = "/callback";

/// One browser, with a few connections.
pub(super) const SERVER_LIMITS: ServerLimits = ServerLimits {
    max_connections: 16,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(10),
    write_timeout: Duration::from_secs(10),
    max_age: Duration::from_secs(15 * 60),
};

/// The state of one registration that the connections share.
pub(super) struct Loopback {
    /// The accepted `Host`: address and port.
    host: String,
    /// The path of the page with the form, without its first `/`.
    page_path: SecretString,
    state: SecretString,
    form: String,
    content_security_policy: HeaderValue,
    /// Taken by the first callback with the state and a code.
    receiver: Mutex<Option<oneshot::Sender<ReceivedCode>>>,
    /// The number of callbacks with a code and another state.
    mismatches: AtomicUsize,
}

/// The code of the callback, and the browser, which waits for the outcome.
pub(super) struct ReceivedCode {
    pub(super) code: SecretString,
    browser: oneshot::Sender<Outcome>,
}

/// The outcome of the registration, for the browser. The person reads the reason of a failure where the program runs.
enum Outcome {
    Registered { install_url: Option<Url> },
    Failed,
}

impl ReceivedCode {
    /// Reports the outcome to the browser, if it still waits.
    pub(super) fn report(self, registered: Option<&RegisteredApp>) {
        let outcome = match registered {
            Some(app) => Outcome::Registered { install_url: app.install_url() },
            None => Outcome::Failed,
        };
        let _ = self.browser.send(outcome);
    }
}

impl Loopback {
    /// Creates the state of a registration, whose form is posted to `action`, and the other end of its callback.
    pub(super) fn new(
        host: String,
        page_path: SecretString,
        state: SecretString,
        action: &Url,
        manifest: &str,
    ) -> (Arc<Self>, oneshot::Receiver<ReceivedCode>) {
        let (sender, received) = oneshot::channel();
        let loopback = Self {
            host,
            page_path,
            state,
            form: page::form(action, manifest),
            content_security_policy: page::content_security_policy(action),
            receiver: Mutex::new(Some(sender)),
            mismatches: AtomicUsize::new(0),
        };
        (Arc::new(loopback), received)
    }

    /// Returns whether the flow still waits for a callback.
    fn is_waiting(&self) -> bool {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.as_ref().is_some_and(|receiver| !receiver.is_closed())
    }

    /// Returns the number of callbacks with a code and another state. Any other request to the path, such as one of a page
    /// that tries ports, says nothing about the registration.
    pub(super) fn mismatches(&self) -> usize {
        self.mismatches.load(Ordering::Relaxed)
    }

    async fn respond(&self, request: &Parts) -> Response<Full<Bytes>> {
        let (status, html) = self.page(request).await;
        let mut response = Response::new(Full::new(Bytes::from(html)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        // With `no-referrer`, the form would have the origin `null`.
        let referrer = HeaderValue::from_static("strict-origin");
        add_security_headers(headers, self.content_security_policy.clone(), referrer);
        response
    }

    async fn page(&self, request: &Parts) -> (StatusCode, String) {
        if !self.is_addressed(request) {
            return failure(StatusCode::FORBIDDEN, "The server has another name.");
        }
        if request.method != Method::GET {
            return failure(StatusCode::METHOD_NOT_ALLOWED, "This page can only be read.");
        }
        let path = request.uri.path();
        if path == CALLBACK_PATH {
            return self.callback(request.uri.query().unwrap_or_default()).await;
        }
        if path.strip_prefix('/').is_some_and(|path| is_secret(path, &self.page_path)) {
            // A second App would be registered, and its code not received.
            return match self.is_waiting() {
                true => (StatusCode::OK, self.form.clone()),
                false => failure(StatusCode::GONE, "This registration was finished, or has ended."),
            };
        }
        failure(StatusCode::NOT_FOUND, "There is no such page.")
    }

    /// Returns whether the request names this server, and not another host that resolves to this machine.
    fn is_addressed(&self, request: &Parts) -> bool {
        let mut hosts = request.headers.get_all(HOST).iter();
        let is_own = hosts.next().is_some_and(|host| host.as_bytes() == self.host.as_bytes());
        is_own && hosts.next().is_none() && request.uri.authority().is_none()
    }

    async fn callback(&self, query: &str) -> (StatusCode, String) {
        const OTHER: &str = "This is not the callback of the registration that runs here.";
        const NO_CODE: &str = "GitHub's callback has no code.";
        const USED: &str = "This callback was used before, or came too late. If GitHub has created an App that \
            the program does not have, delete it there, and start again.";
        let Ok(callback) = Callback::parse(query) else {
            return failure(StatusCode::BAD_REQUEST, NO_CODE);
        };
        if !callback.has_state(&self.state) {
            if callback.get("code").is_some() && callback.get("state").is_some() {
                self.mismatches.fetch_add(1, Ordering::Relaxed);
            }
            debug!("App registration callback rejected: the state differs");
            return failure(StatusCode::FORBIDDEN, OTHER);
        }
        let Ok(code) = callback.code() else {
            return failure(StatusCode::BAD_REQUEST, NO_CODE);
        };
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (browser, outcome) = oneshot::channel();
        let Some(Ok(())) = receiver.map(|receiver| receiver.send(ReceivedCode { code, browser }))
        else {
            return failure(StatusCode::GONE, USED);
        };
        match outcome.await {
            Ok(Outcome::Registered { install_url }) => {
                (StatusCode::OK, page::registered(install_url.as_ref()))
            }
            Ok(Outcome::Failed) | Err(_) => failure(
                StatusCode::BAD_GATEWAY,
                "The registration failed. The program that started it shows the reason.",
            ),
        }
    }
}

fn failure(status: StatusCode, text: &str) -> (StatusCode, String) {
    let title = status.canonical_reason().unwrap_or_default();
    (status, page::message(title, text))
}

/// The loopback server as an HTTP service.
#[derive(Clone)]
pub(super) struct LoopbackService(pub(super) Arc<Loopback>);

impl Service<Request<RequestBody>> for LoopbackService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let loopback = Arc::clone(&self.0);
        let (parts, _) = request.into_parts();
        Box::pin(async move { Ok(loopback.respond(&parts).await) })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use secrecy::ExposeSecret;

    use super::*;

    const HOST_NAME: &str = "127.0.0.1:5";

    fn loopback() -> (Arc<Loopback>, oneshot::Receiver<ReceivedCode>) {
        let action = "https://github.com/settings/apps/new?state=the-state".parse().unwrap();
        let path = SecretString::from("the-path");
        Loopback::new(HOST_NAME.to_owned(), path, "the-state".into(), &action, "{}")
    }

    fn request(method: Method, target: &str, hosts: &[&str]) -> Parts {
        let request = Request::builder().method(method).uri(target);
        let request = hosts.iter().fold(request, |request, host| request.header(HOST, *host));
        request.body(()).unwrap().into_parts().0
    }

    /// The status of a response that does not wait.
    fn status(loopback: &Loopback, target: &str) -> StatusCode {
        let parts = request(Method::GET, target, &[HOST_NAME]);
        let response = loopback.respond(&parts).now_or_never();
        response.expect("it waits for the outcome").status()
    }

    #[test]
    fn the_form_is_at_a_path_that_only_its_url_discloses() {
        let (loopback, _received) = loopback();
        assert_eq!(status(&loopback, "/the-path"), StatusCode::OK);
        for target in ["/", "/the-pat", "/the-path2", "/THE-PATH", "/the-path/", "/favicon.ico"] {
            assert_eq!(status(&loopback, target), StatusCode::NOT_FOUND, "{target}");
        }
    }

    #[test]
    fn a_registration_that_has_ended_has_neither_a_form_nor_a_callback() {
        let (loopback, received) = loopback();
        drop(received);
        for target in ["/the-path", "/callback?code=c&state=the-state", "/the-path"] {
            assert_eq!(status(&loopback, target), StatusCode::GONE, "{target}");
        }
        assert_eq!(status(&loopback, "/callback?code=c&state=s"), StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_request_has_the_name_of_the_server_once() {
        let (loopback, _received) = loopback();
        let requests: [(&str, &[&str]); 8] = [
            ("/the-path", &["evil.example"]),
            ("/the-path", &["localhost:5"]),
            ("/the-path", &["127.0.0.1"]),
            ("/the-path", &["127.0.0.1:5.evil.example"]),
            ("/the-path", &[]),
            ("/the-path", &[HOST_NAME, HOST_NAME]),
            ("http://127.0.0.1:5/the-path", &[HOST_NAME]),
            ("/callback?code=c&state=the-state", &["evil.example"]),
        ];
        for (target, hosts) in requests {
            let response = loopback.respond(&request(Method::GET, target, hosts)).now_or_never();
            let response = response.expect("it waits for the outcome");
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{target} {hosts:?}");
        }
    }

    #[test]
    fn only_a_callback_with_the_state_and_a_code_is_received_and_only_once() {
        let (loopback, mut received) = loopback();
        for (query, expected) in [
            ("", StatusCode::FORBIDDEN),
            ("?code=c", StatusCode::FORBIDDEN),
            ("?code=c&state=", StatusCode::FORBIDDEN),
            ("?code=c&state=the-stat", StatusCode::FORBIDDEN),
            ("?code=c&state=the-state2", StatusCode::FORBIDDEN),
            ("?state=the-state", StatusCode::BAD_REQUEST),
            ("?code=&state=the-state", StatusCode::BAD_REQUEST),
            ("?code=c&code=d&state=the-state", StatusCode::BAD_REQUEST),
            ("?code=c&state=the-state&state=other", StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(status(&loopback, &format!("/callback{query}")), expected, "{query}");
        }
        // Those that have both a code and a state.
        assert_eq!(loopback.mismatches(), 2);
        assert!(received.try_recv().is_err(), "no code was received");

        let parts = request(Method::GET, "/callback?code=c&state=the-state", &[HOST_NAME]);
        let mut response = Box::pin(loopback.respond(&parts));
        assert!(response.as_mut().now_or_never().is_none(), "it waits for the outcome");
        let code = received.try_recv().unwrap_or_else(|_| panic!("no code was received"));
        assert_eq!(code.code.expose_secret(), "c");
        for target in ["/callback?code=c&state=the-state", "/the-path"] {
            assert_eq!(status(&loopback, target), StatusCode::GONE, "{target}");
        }
        code.report(None);
        let response = response.now_or_never().expect("the outcome is known");
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    }

    #[test]
    fn every_response_has_the_security_headers_and_no_other_method_is_served() {
        let (loopback, _received) = loopback();
        for (method, target, expected) in [
            (Method::GET, "/the-path", StatusCode::OK),
            (Method::GET, "/callback", StatusCode::FORBIDDEN),
            (Method::POST, "/the-path", StatusCode::METHOD_NOT_ALLOWED),
            (Method::HEAD, "/callback?code=c&state=the-state", StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let parts = request(method, target, &[HOST_NAME]);
            let response = loopback.respond(&parts).now_or_never().expect("it waits");
            assert_eq!(response.status(), expected, "{target}");
            let header = |name: &str| response.headers()[name].to_str().unwrap();
            assert!(header("content-security-policy").starts_with("default-src 'none'"));
            assert_eq!(header("cache-control"), "no-store");
            assert_eq!(header("x-frame-options"), "DENY");
            assert_eq!(header("referrer-policy"), "strict-origin");
        }
    }
}
