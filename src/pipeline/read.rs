//! Reads the response of an attempt.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use super::BodyMode;
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
use crate::util::compact;

/// Reads the response: a success in the form that the caller requested, anything else as an error. `limit` is the time
/// limit of the attempt.
pub(super) async fn read_response(
    response: reqwest::Response,
    context: &CallContext,
    credentials: &RequestCredentials,
    mode: BodyMode,
    limit: &Deadline,
) -> Result<RawResponse> {
    let (shared, spec) = (context.shared(), &context.spec);
    let (status, url) = (response.status(), response.url().clone());
    let (headers, mut body) = ResponseBody::new(response, spec.method == Method::HEAD);
    let headers = compact::headers(headers);
    let is_current = status == StatusCode::NOT_MODIFIED && context.conditional.is_some();
    let body = if !status.is_success() && !is_current {
        let (body, is_whole) = read_error_body(&mut body, context, limit).await;
        #[cfg(feature = "contract")]
        if is_whole {
            validate_response(context, &url, status, &headers, &body);
        }
        let mut shown = body.clone();
        if !is_whole {
            shown = credentials.redact_cut_token(spec.request_authorization(), shown);
            if !spec.is_external {
                shown = sanitize::without_last_run(shown);
            }
        }
        log_response(context, status, &shown);
        if !spec.is_external {
            return Err(Error::from_response(&spec.name, status, headers, &body, &shown));
        }
        // The caller sees another server's error body: it can repeat a secret.
        RawBody::Bytes(shown)
    } else if mode == BodyMode::Streamed {
        RawBody::Stream(ByteStream::new(body, spec.name.clone(), shared.attempt_timeout))
    } else {
        let mut collector = BodyCollector::new(shared.max_body_bytes);
        match collector.read(&mut body).await {
            Ok(false) => {
                let body = collector.finish();
                #[cfg(feature = "contract")]
                validate_response(context, &url, status, &headers, &body);
                log_response(context, status, &body);
                RawBody::Bytes(body)
            }
            Ok(true) => {
                return Err(too_large(shared.max_body_bytes)
                    .with_response(status, headers)
                    .with_advice("raise max_body_bytes, or read the body with send_stream"));
            }
            Err(error) => return Err(error.with_response(status, headers)),
        }
    };
    let (operation, headers, came) = (spec.name.clone(), Arc::new(headers), CacheStatus::Bypass);
    Ok(RawResponse {
        operation,
        status,
        headers,
        url,
        body,
        cache_status: came,
        age: None,
        from_external_host: false,
    })
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
