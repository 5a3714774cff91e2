//! What GitHub says when it refuses a call, read tolerantly from whatever came back.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::advice::advice;
use super::{Error, ErrorKind, Line};
use crate::operation::Label;

/// An error that GitHub answered with, as its
/// [troubleshooting page](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api)
/// describes it.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ApiError {
    /// The status of the answer.
    #[cfg_attr(test, schemars(skip))]
    pub status: StatusCode,
    #[cfg_attr(test, schemars(default))]
    /// GitHub's message; empty if the body has none, as when a proxy answered.
    pub message: String,
    #[cfg_attr(test, schemars(default))]
    /// What exactly is wrong, where GitHub says so, as it does for 422.
    pub errors: Vec<ApiErrorDetail>,
    /// The page that GitHub points to.
    pub documentation_url: Option<String>,
    /// GitHub's id of the request, which its support asks for.
    #[cfg_attr(test, schemars(skip))]
    pub request_id: Option<String>,
}

/// One entry of [`ApiError::errors`].
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ApiErrorDetail {
    /// The kind of thing that is wrong, such as `Issue`.
    pub resource: Option<String>,
    /// The field that is wrong, such as `title`.
    pub field: Option<String>,
    /// What is wrong: `missing`, `missing_field`, `invalid`, `already_exists`,
    /// `unprocessable` or `custom`.
    pub code: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// The entry as GitHub sent it. It may be a plain string, which `message` then holds.
    #[cfg_attr(test, schemars(skip))]
    pub value: Value,
}

impl Error {
    /// The error for an answer whose status is no success.
    pub(crate) fn from_answer(
        operation: &Label,
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    ) -> Self {
        let api = ApiError::read(status, &headers, &body);
        let rate_limited = is_rate_limited(&api, &headers);
        let message = describe(&api, &headers, &body);
        let advice = advice(&api, &headers, rate_limited);
        Error::new(ErrorKind::Api, message)
            .with_operation(operation)
            .with_advice(advice)
            .with_retryable(rate_limited || is_temporary(status))
            .with_rate_limited(rate_limited)
            .with_answer(status, headers)
            .with_api(api)
            .with_body(body)
    }
}

impl ApiError {
    fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let errors = match value.get("errors").or_else(|| value.get("error")) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(errors)) => errors.iter().map(ApiErrorDetail::read).collect(),
            Some(error) => vec![ApiErrorDetail::read(error)],
        };
        Self {
            status,
            message: text(&value, "message").unwrap_or_default(),
            errors,
            documentation_url: text(&value, "documentation_url").filter(|url| !url.is_empty()),
            request_id: crate::response::request_id(headers).map(str::to_owned),
        }
    }
}

impl ApiErrorDetail {
    fn read(value: &Value) -> Self {
        Self {
            resource: text(value, "resource"),
            field: text(value, "field"),
            code: text(value, "code"),
            message: text(value, "message").or_else(|| value.as_str().map(str::to_owned)),
            value: value.clone(),
        }
    }

    /// The entry in a few words: `title: missing_field`.
    fn summary(&self) -> String {
        let what = match (&self.message, &self.code) {
            (Some(message), _) if !message.is_empty() => message.clone(),
            (_, Some(code)) => code.clone(),
            _ => self.value.to_string(),
        };
        match &self.field {
            Some(field) => format!("{field}: {what}"),
            None => what,
        }
    }
}

/// What happened, for the beginning of the line.
fn describe(api: &ApiError, headers: &HeaderMap, body: &[u8]) -> String {
    let mut line = format!("GitHub answered {}", api.status);
    if !api.message.is_empty() {
        line.push_str(&format!(": \"{}\"", Line(&api.message)));
    } else if body.is_empty() {
        // A 304 never has one.
        if api.status != StatusCode::NOT_MODIFIED {
            line.push_str(" with an empty body");
        }
    } else if is_html(headers, body) {
        line.push_str(" with an HTML page instead of JSON");
    } else {
        line.push_str(" with a body that carries no message");
    }
    if !api.errors.is_empty() {
        let details: Vec<_> = api.errors.iter().map(ApiErrorDetail::summary).collect();
        line.push_str(&format!(" [{}]", Line(&details.join(", "))));
    }
    line
}

/// Whether the body is a page for people, as proxies and load balancers send.
pub(crate) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let says_html =
        headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    says_html || body.trim_ascii_start().starts_with(b"<")
}

/// GitHub signals its limits in several ways:
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>.
fn is_rate_limited(api: &ApiError, headers: &HeaderMap) -> bool {
    match api.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => tells_rate_limit(&api.message, headers),
        _ => false,
    }
}

/// Whether a refusal with this message and these headers is due to a rate limit.
pub(crate) fn tells_rate_limit(message: &str, headers: &HeaderMap) -> bool {
    let message = message.to_ascii_lowercase();
    headers.contains_key(RETRY_AFTER)
        || headers.get("x-ratelimit-remaining").is_some_and(|value| value == "0")
        || message.contains("rate limit")
        || message.contains("abuse detection")
}

/// Whether a refusal is due to a secondary limit, whatever its headers say of the primary one.
pub(crate) fn speaks_of_secondary(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("secondary rate limit") || message.contains("abuse detection")
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Error::from_answer(
            &Label::Borrowed("issues/get"),
            StatusCode::from_u16(status).unwrap(),
            map,
            Bytes::copy_from_slice(body.as_bytes()),
        )
    }

    #[test]
    fn details_are_read_whether_objects_strings_or_a_single_string() {
        for (errors, expected) in [
            (
                r#"[{"resource":"Issue","field":"title","code":"missing_field"}]"#,
                "[title: missing_field]",
            ),
            (r#"["Bad thing", "Worse thing"]"#, "[Bad thing, Worse thing]"),
            (r#""Only thing""#, "[Only thing]"),
            (r#"[{"index":3}]"#, r#"[{"index":3}]"#),
        ] {
            let body = format!(r#"{{"message":"Validation Failed","errors":{errors}}}"#);
            let line = error(422, &[], &body).to_string();
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn rate_limits_are_told_from_missing_permissions() {
        let limited = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert!(error(403, &[], limited).is_rate_limited());
        assert!(error(403, &[("retry-after", "60")], "{}").is_rate_limited());
        assert!(error(403, &[("x-ratelimit-remaining", "0")], "{}").is_rate_limited());
        assert!(error(429, &[], "").is_rate_limited());
        let forbidden = r#"{"message":"Resource not accessible by integration"}"#;
        let forbidden = error(403, &[("x-ratelimit-remaining", "12")], forbidden);
        assert!(!forbidden.is_rate_limited());
        assert!(!forbidden.is_retryable());
    }

    #[test]
    fn errors_are_read_as_they_are_documented() {
        crate::contract::mirrors::assert_reads_component::<ApiError>("validation-error");
        crate::contract::mirrors::assert_reads_component::<Plain>("basic-error");
    }

    /// An error without entries.
    #[derive(schemars::JsonSchema)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Plain {
        message: Option<String>,
        documentation_url: Option<String>,
    }
}
