//! One attempt: the request with its redirects, and the response, read within the time limit.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_RANGE, RANGE, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use tracing::{Instrument, debug, field};
use url::Url;

use super::call::{CallContext, timed_out};
use super::interception;
use super::permits::AttemptPermits;
#[cfg(feature = "contract")]
use super::validate::validate_response;
use crate::error::{Error, Result, SSO};
use crate::policy::auth::RequestCredentials;
use crate::request::body::BodyConsumed;
use crate::request::{RequestBody, RequestSpec, invalid};
use crate::response::body::ResponseBody;
use crate::response::response_headers::ResponseHeaders;
use crate::response::{AttemptResponse, ByteStream, CacheStatus, RawBody};
use crate::sanitize;
use crate::time::deadline::{Deadline, with_deadline};
use crate::transport::{self, RedirectTarget, RedirectTrace};

/// How the caller reads the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyMode {
    Buffered,
    Streamed,
}

impl BodyMode {
    /// Returns the part of the response for which a call waits.
    fn awaited_part(self) -> &'static str {
        match self {
            Self::Buffered => "response body",
            Self::Streamed => "response",
        }
    }
}

/// An attempt that was admitted.
pub(super) struct Attempt {
    /// Returned at the end of the attempt.
    pub(super) permits: AttemptPermits,
    pub(super) credentials: RequestCredentials,
    /// The time of the admission.
    pub(super) admitted_at: Instant,
    trace: RedirectTrace,
}

impl Attempt {
    pub(super) fn new(
        permits: AttemptPermits,
        credentials: RequestCredentials,
        admitted_at: Instant,
    ) -> Self {
        Self { permits, credentials, admitted_at, trace: RedirectTrace::default() }
    }

    /// Sends the request, reads the response, and reports the outcome to the policies. `resend_count` is the number of
    /// earlier requests of the call.
    pub(super) async fn run(
        &mut self,
        context: &CallContext,
        mode: BodyMode,
        resend_count: u32,
    ) -> Result<AttemptResponse> {
        self.permits.mark_sent();
        let intercepted_at = interception::attempt_start(context);
        // Only interceptors can have taken time since the admission.
        let started_at = intercepted_at.unwrap_or(self.admitted_at);
        let observer = context.observe_attempt(resend_count, started_at);
        let span = observer.span().clone();
        let mut response = {
            // Pinned, since moving a future copies all of it.
            let exchange = pin!(self.exchange(context, mode, started_at));
            exchange.instrument(span).await
        };
        let ended_at = Instant::now();
        observer.end(ended_at, &response);
        if let Ok(response) = &mut response {
            response.from_external_host = self.trace.external_headers.is_some();
        }
        interception::after_attempt(context, intercepted_at, ended_at, &response);
        // Interceptors can have taken time since then.
        let ended_at = intercepted_at.map_or(ended_at, |_| Instant::now());
        std::mem::take(&mut self.permits).end(context, ended_at, &response, &self.trace);
        response
    }

    /// Returns whether GitHub has performed the request, so that a retry would repeat it.
    pub(super) fn request_completed(&self) -> bool {
        self.trace.request_completed
    }

    /// Returns whether GitHub can have performed the request, given its outcome.
    pub(super) fn may_have_had_effect(&self, response: &Result<AttemptResponse>) -> bool {
        let is_rejected = response.as_ref().is_err_and(|error| error.class().had_no_effect());
        !is_rejected || self.request_completed()
    }

    async fn exchange(
        &mut self,
        context: &CallContext,
        mode: BodyMode,
        started_at: Instant,
    ) -> Result<AttemptResponse> {
        let Self { credentials, trace, .. } = self;
        let shared = context.shared();
        let extension = context.options.extension.as_ref();
        let limit = &Deadline::new(started_at, shared.attempt_timeout, extension);
        let exchange = pin!(async {
            if let RequestBody::Raw(_, body) = &context.spec.body
                && let Some(file) = body.file_source()
            {
                // In a box, since few calls send a file.
                Box::pin(file.open()).await?;
            }
            let response = transport::send(
                &shared.http,
                &shared.endpoints,
                &context.spec,
                &context.upload_error,
                trace,
                credentials.headers(),
                |target| build_request(context, credentials, target),
            )
            .await?;
            let response = UnreadResponse::new(response, &context.spec, trace);
            read_response(response, context, credentials, mode, limit).await
        });
        if let Some(log) = &shared.body_logging {
            log.log_request(context.spec.json_body());
        }
        let response = match with_deadline([limit, &context.deadline], exchange).await {
            Ok(response) => response,
            Err(late) => Err(timed_out(mode.awaited_part(), late)),
        };
        let (status, error) = match &response {
            Ok(response) => (Some(response.status), None),
            Err(error) => (error.status(), Some(error)),
        };
        debug!(
            status = status.map(|status| status.as_u16()),
            failed = error.map(field::display),
            "attempt"
        );
        response
    }
}

/// Builds one request of an attempt; the tokens are added for trusted servers only.
fn build_request(
    context: &CallContext,
    credentials: &RequestCredentials,
    target: RedirectTarget,
) -> Result<reqwest::Request> {
    let mut request = reqwest::Request::new(target.method, target.url);
    *request.headers_mut() = if context.spec.is_external {
        external_headers(context)
    } else if target.trusted {
        trusted_headers(context, credentials, target.with_body)
    } else {
        safe_headers(context)
    };
    if target.with_body {
        *request.body_mut() = request_body(context)?;
    }
    Ok(request)
}

/// Returns the headers for a server of GitHub.
pub(crate) fn trusted_headers(
    context: &CallContext,
    credentials: &RequestCredentials,
    with_body: bool,
) -> HeaderMap {
    let (defaults, own) = (&context.shared().headers, context.own_headers());
    // A clone would have no room for further headers, and be allocated again for the first one.
    let names = defaults.keys_len() + own.keys_len() + ADDED_HEADERS;
    let mut headers = HeaderMap::try_with_capacity(names).unwrap_or_default();
    for (name, value) in defaults {
        headers.append(name.clone(), value.clone());
    }
    credentials.apply(&mut headers);
    for name in own.keys() {
        headers.remove(name);
    }
    for (name, value) in own {
        headers.append(name.clone(), value.clone());
    }
    if !with_body {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
    }
    if let Some(conditional) = &context.conditional {
        conditional.apply(&mut headers);
    }
    headers
}

/// The number of headers that are added to those of the client and of the call: the tokens for GitHub and for a gateway,
/// and `Accept-Encoding`.
const ADDED_HEADERS: usize = 3;

/// The headers that an untrusted server receives.
const SAFE_HEADERS: [HeaderName; 4] = [ACCEPT, USER_AGENT, RANGE, IF_RANGE];

/// Returns the headers for a server that is not GitHub's, to which a response redirects.
fn safe_headers(context: &CallContext) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in SAFE_HEADERS {
        let value =
            context.own_headers().get(&name).or_else(|| context.shared().headers.get(&name));
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// Returns the headers for the target of a call that is not to GitHub's API.
fn external_headers(context: &CallContext) -> HeaderMap {
    let mut headers = context.spec.headers.clone();
    if let Some(name) = context.shared().headers.get(USER_AGENT) {
        headers.entry(USER_AGENT).or_insert_with(|| name.clone());
    }
    headers
}

fn request_body(context: &CallContext) -> Result<Option<reqwest::Body>> {
    match &context.spec.body {
        RequestBody::Json(json) => Ok(Some(json.clone().into())),
        RequestBody::Raw(_, body) => {
            let extension = context.options.extension.clone().unwrap_or_default();
            body.send(&extension, &context.upload_error).map(Some).map_err(|BodyConsumed| {
                invalid("streaming request body was already consumed and cannot be resent")
                    .with_advice("create a new body for each call, or pass it as bytes")
            })
        }
        RequestBody::Empty | RequestBody::Fields(_) => Ok(None),
    }
}

/// A response whose body has not been read.
struct UnreadResponse {
    status: StatusCode,
    /// `None` if it is that of the request.
    url: Option<Url>,
    headers: ResponseHeaders,
    body: ResponseBody,
}

impl UnreadResponse {
    /// Copies the headers, whose table is dropped before the body arrives.
    fn new(mut response: reqwest::Response, spec: &RequestSpec, trace: &RedirectTrace) -> Self {
        if trace.external_headers.is_some() {
            // Only GitHub is trusted with this header: an error asks the user to authorize the token at its URL.
            response.headers_mut().remove(SSO);
        }
        let status = response.status();
        // Only redirects lead to another URL.
        let url = (response.url() != spec.url.get()).then(|| response.url().clone());
        let (headers, body) = ResponseBody::new(response, spec.method == Method::HEAD);
        Self { status, url, headers: ResponseHeaders::received(&headers), body }
    }
}

/// Reads the response: a success in the form that the caller requested, anything else as an error. `limit` is the time
/// limit of the attempt.
#[allow(clippy::manual_async_fn, reason = "an async function would have its arguments twice")]
fn read_response(
    mut response: UnreadResponse,
    context: &CallContext,
    credentials: &RequestCredentials,
    mode: BodyMode,
    limit: &Deadline,
) -> impl Future<Output = Result<AttemptResponse>> + Send {
    async move {
        let (spec, status) = (&context.spec, response.status);
        // A 304 is a success here: `cached::fetch_from_github` replaces it by the stored response.
        let is_current = status == StatusCode::NOT_MODIFIED && context.conditional.is_some();
        let body = if !status.is_success() && !is_current {
            let (body, is_whole) = read_error_body(&mut response.body, context, limit).await;
            #[cfg(feature = "contract")]
            if is_whole {
                validate_response(context, response.url.as_ref(), status, &response.headers, &body);
            }
            let shown = shown_error_body(&body, is_whole, context, credentials);
            log_response(context, status, &shown);
            if !spec.is_external {
                let headers = response.headers.into_map();
                return Err(Error::from_response(&spec.name, status, headers, &body, &shown));
            }
            // The caller sees another server's error body: it can repeat a secret.
            RawBody::Bytes(shown)
        } else if mode == BodyMode::Streamed {
            let timeout = context.shared().attempt_timeout;
            let stream = ByteStream::new(response.body, spec.name.clone(), timeout);
            RawBody::Stream(Box::new(stream))
        } else {
            let body = match response.body.collect(context.max_body_bytes()).await {
                Ok(body) => body,
                Err(error) => {
                    return Err(error.with_response(status, response.headers.into_map()));
                }
            };
            #[cfg(feature = "contract")]
            {
                validate_response(context, response.url.as_ref(), status, &response.headers, &body);
            }
            log_response(context, status, &body);
            RawBody::Bytes(body)
        };
        Ok(AttemptResponse {
            operation: spec.name.clone(),
            status,
            headers: response.headers,
            url: response.url,
            body,
            cache_status: CacheStatus::Bypass,
            age: None,
            from_external_host: false,
        })
    }
}

/// Returns an error's body as the error and the log show it: without the beginning of a token at its end.
fn shown_error_body(
    body: &Bytes,
    is_whole: bool,
    context: &CallContext,
    credentials: &RequestCredentials,
) -> Bytes {
    let (spec, body) = (&context.spec, body.clone());
    if is_whole {
        return body;
    }
    let shown = credentials.redact_cut_token(spec.request_authorization(), body);
    if spec.is_external { shown } else { sanitize::without_last_run(shown) }
}

/// Reads as much of an error's body as arrives in time, and returns whether that is the whole body. The status is
/// already known, and is more useful than a body that stalls or breaks off.
async fn read_error_body(
    body: &mut ResponseBody,
    context: &CallContext,
    limit: &Deadline,
) -> (Bytes, bool) {
    // Half of the remaining time, so that the wait ends before the attempt does.
    let half = limit.remaining().min(context.deadline.remaining()) / 2;
    let max_bytes = context.shared().max_body_bytes.min(MAX_ERROR_BYTES);
    body.collect_within(max_bytes, half.min(ERROR_BODY_TIMEOUT)).await
}

/// Maximum length of an error's body that is read; GitHub's are a few hundred bytes.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// Maximum wait for an error's body; GitHub's arrive with the status.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(3);

fn log_response(context: &CallContext, status: StatusCode, body: &Bytes) {
    if let Some(log) = &context.shared().body_logging {
        log.log_response(status, body);
    }
}
