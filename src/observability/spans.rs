//! The spans of a call and of its attempts, by OpenTelemetry's
//! [conventions for HTTP clients](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span).

use http::{Method, StatusCode};
use tracing::{Span, debug_span, field, info_span};
use url::Url;

use super::observer::CallMetadata;
use crate::headers::HeaderValues;
use crate::headers::request_id::request_id;
use crate::policy::cache::CacheStatus;

/// Creates the span of a call: from the cache look-up to the last attempt.
pub(super) fn call(call: &CallMetadata<'_>) -> Span {
    info_span!(
        "github",
        otel.name = if call.template.is_some() { &**call.operation } else { call.method.as_str() },
        otel.kind = "internal",
        otel.status_code = field::Empty,
        github.operation = &**call.operation,
        http.request.method = call.method.as_str(),
        url.template = call.template,
        server.address = call.server.host_str(),
        http.response.status_code = field::Empty,
        "error.type" = field::Empty,
        github.request_id = field::Empty,
        github.cache = field::Empty,
    )
}

/// Creates the span of one attempt: one request, with its redirects.
pub(super) fn attempt(
    method: &Method,
    url: &Url,
    template: Option<&'static str>,
    resend_count: u32,
) -> Span {
    let span = debug_span!(
        "github.attempt",
        otel.name = field::Empty,
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = method.as_str(),
        http.request.resend_count = (resend_count > 0).then_some(i64::from(resend_count)),
        url.template = template,
        server.address = url.host_str(),
        server.port = url.port_or_known_default().map(i64::from),
        http.response.status_code = field::Empty,
        "error.type" = field::Empty,
        github.request_id = field::Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", name(method, template).as_str());
    }
    span
}

/// Records the outcome of a call or an attempt.
pub(super) fn ended(span: &Span, status: Option<StatusCode>, failed: Option<&'static str>) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", status.map(|status| i64::from(status.as_u16())));
    if let Some(failed) = failed {
        span.record("error.type", failed);
        span.record("otel.status_code", "ERROR");
    }
}

/// Records GitHub's request id.
pub(super) fn responded(span: &Span, headers: &impl HeaderValues) {
    if !span.is_disabled() {
        span.record("github.request_id", request_id(headers));
    }
}

/// Records the cache status of a call.
pub(super) fn cached(span: &Span, came: Option<CacheStatus>) {
    if !span.is_disabled() {
        span.record("github.cache", came.map(CacheStatus::name));
    }
}

/// Returns OpenTelemetry's name of an HTTP span: the method and the path template, or the method alone.
fn name(method: &Method, template: Option<&str>) -> String {
    match template {
        Some(template) => format!("{method} {template}"),
        None => method.to_string(),
    }
}
