//! Reads the response of an attempt.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::call_context::CallContext;
#[cfg(feature = "contract")]
use super::validate::validate_response;
use crate::error::{Error, Result};
use crate::policy::auth::RequestCredentials;
use crate::response::body::ResponseBody;
use crate::response::byte_stream::{BodyCollector, too_large};
use crate::response::{ByteStream, CacheStatus, RawBody, RawResponse};
use crate::sanitize;
use crate::time::deadline::Deadline;

/// How the caller reads the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyMode {
    Buffered,
    Streamed,
}

impl BodyMode {
    /// Returns the part of the response for which a call waits.
    pub(super) fn awaited_part(self) -> &'static str {
        match self {
            Self::Buffered => "response body",
            Self::Streamed => "response",
        }
    }
}

/// Reads the response: a success in the form that the caller requested, anything else as an error. `limit` is the time
/// limit of the attempt.
pub(super) async fn read_response(
    response: reqwest::Response,
    context: &CallContext,
    credentials: &RequestCredentials,
    mode: BodyMode,
    limit: &Deadline,
) -> Result<RawResponse> {
    let spec = &context.spec;
    let (status, url) = (response.status(), response.url().clone());
    let (headers, mut body) = ResponseBody::new(response, spec.method == Method::HEAD);
    let is_current = status == StatusCode::NOT_MODIFIED && context.conditional.is_some();
    let body = if !status.is_success() && !is_current {
        let (body, is_whole) = read_error_body(&mut body, context, limit).await;
        #[cfg(feature = "contract")]
        if is_whole {
            validate_response(context, &url, status, &headers, &body);
        }
        let shown = shown_error_body(&body, is_whole, context, credentials);
        log_response(context, status, &shown);
        if !spec.is_external {
            return Err(Error::from_response(&spec.name, status, headers, &body, &shown));
        }
        // The caller sees another server's error body: it can repeat a secret.
        RawBody::Bytes(shown)
    } else if mode == BodyMode::Streamed {
        let timeout = context.shared().attempt_timeout;
        RawBody::Stream(ByteStream::new(body, spec.name.clone(), timeout))
    } else {
        let body = match read_body(&mut body, context.shared().max_body_bytes).await {
            Ok(body) => body,
            Err(error) => return Err(error.with_response(status, headers)),
        };
        #[cfg(feature = "contract")]
        validate_response(context, &url, status, &headers, &body);
        log_response(context, status, &body);
        RawBody::Bytes(body)
    };
    Ok(RawResponse {
        operation: spec.name.clone(),
        status,
        headers: Arc::new(headers),
        url,
        body,
        cache_status: CacheStatus::Bypass,
        age: None,
        from_external_host: false,
    })
}

/// Reads the whole body of a success.
async fn read_body(body: &mut ResponseBody, max_bytes: usize) -> Result<Bytes> {
    let mut collector = BodyCollector::new(max_bytes);
    match collector.read(body).await? {
        false => Ok(collector.finish()),
        true => Err(too_large(max_bytes)
            .with_advice("raise max_body_bytes, or read the body with send_stream")),
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
    let limit = context.shared().max_body_bytes.min(MAX_ERROR_BYTES);
    let mut collector = BodyCollector::new(limit);
    let is_whole = collector.read_within(body, half.min(ERROR_BODY_TIMEOUT)).await;
    (collector.finish(), is_whole)
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
