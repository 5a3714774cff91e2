//! Responses that GitHub is still computing: `202 Accepted`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::headers::HeaderValues;
use crate::response::response_headers::ResponseHeaders;
use crate::response::{RawBody, RawResponse};

/// Rejects a 202 without content where a result is expected: one type would fail to decode it, and another would decode
/// an empty result.
pub(crate) fn require_result(raw: RawResponse, awaits: bool) -> Result<RawResponse> {
    if awaits && is_without_result(&raw) {
        return Err(not_ready(raw.status, raw.headers.into_map()));
    }
    Ok(raw)
}

/// Returns whether a response is a 202 that contains no result.
pub(super) fn is_without_result(raw: &RawResponse) -> bool {
    raw.status == StatusCode::ACCEPTED
        && match &raw.body {
            RawBody::Bytes(body) => has_no_result(body),
            RawBody::Stream(_) => has_zero_length(&raw.headers),
        }
}

/// Returns the error of a 202 without a result that did not decode. For a read without an operation, it is not ready.
pub(super) fn undecodable_error(error: Error) -> Error {
    let is_read = error.operation().is_some_and(|operation| operation.starts_with("GET "));
    match (error.operation(), error.status(), error.headers()) {
        (Some(operation), Some(status), Some(headers))
            if is_read && error.kind() == ErrorKind::Decode =>
        {
            let operation = operation.to_owned().into();
            not_ready(status, headers.clone()).with_operation(&operation)
        }
        _ => error,
    }
}

fn not_ready(status: StatusCode, headers: HeaderMap) -> Error {
    let message = "response not ready (202 Accepted): GitHub is still computing it";
    Error::new(ErrorKind::Timeout, message)
        .with_response(status, headers)
        .with_advice("try again later, or wait for the response with poll_until_ready")
}

/// Returns whether a body contains no result: it is empty, or an empty value, or only a message.
fn has_no_result(body: &[u8]) -> bool {
    // A result is longer, and is not parsed for this.
    const MAX_PARSED: usize = 4 * 1024;
    let body = body.trim_ascii();
    if body.is_empty() {
        return true;
    }
    if body.len() > MAX_PARSED {
        return false;
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => true,
        Ok(Value::Array(items)) => items.is_empty(),
        Ok(Value::Object(object)) => object
            .keys()
            .all(|key| matches!(key.as_str(), "message" | "documentation_url" | "status")),
        _ => false,
    }
}

/// Returns the same for a body that has not been read yet.
fn has_zero_length(headers: &ResponseHeaders) -> bool {
    let length = headers.text(&CONTENT_LENGTH).and_then(|text| text.parse().ok());
    length.is_some_and(|length: u64| length <= 2)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::api::OPERATIONS;
    use crate::request::RequestDraft;
    use crate::response::CacheStatus;

    fn raw(status: u16, body: &str) -> RawResponse {
        RawResponse {
            operation: "x/y".into(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: ResponseHeaders::default(),
            url: "https://api.github.com/x".parse().unwrap(),
            body: RawBody::Bytes(body.to_owned().into()),
            cache_status: CacheStatus::Bypass,
            age: None,
            from_external_host: false,
        }
    }

    #[test]
    fn a_202_without_a_result_is_an_error_to_a_read_and_to_nothing_else() {
        for body in ["", " ", "null", "{}", "[]", r#"{"message":"Computing"}"#] {
            let error = require_result(raw(202, body), true).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{body}");
            assert!(error.is_not_ready() && error.is_retryable());
            assert!(error.to_string().contains("poll_until_ready"), "{error}");
            assert!(require_result(raw(202, body), false).is_ok());
            assert!(require_result(raw(200, body), true).is_ok());
            assert!(require_result(raw(204, body), true).is_ok());
        }
        for body in ["[1]", r#"{"state":"pending"}"#, "1", "<html>"] {
            assert!(require_result(raw(202, body), true).is_ok(), "{body}");
        }
    }

    /// Every operation with a documented 202: the reads poll for a result, the writes are complete with it.
    #[test]
    fn every_documented_202_means_not_ready_to_a_read_alone() {
        let mut reads = Vec::new();
        for operation in OPERATIONS.iter().filter(|of| of.statuses.contains(&202)) {
            let awaits = RequestDraft::for_operation(operation).awaits_result();
            assert_eq!(awaits, operation.method == Method::GET, "{}", operation.id);
            assert_eq!(require_result(raw(202, "{}"), awaits).is_err(), awaits, "{}", operation.id);
            reads.extend(awaits.then_some(operation.id));
        }
        // The set of reads depends on the features. Any further operation needs a review.
        const KNOWN: [&str; 5] = [
            "dependency-graph/fetch-sbom-report",
            "repos/get-code-frequency-stats",
            "repos/get-commit-activity-stats",
            "repos/get-contributors-stats",
            "repos/get-pages-health-check",
        ];
        assert!(reads.iter().all(|id| KNOWN.contains(id)), "{reads:?}");
        assert!(!RequestDraft::raw(Method::GET, "/x".to_owned()).awaits_result());
    }
}
