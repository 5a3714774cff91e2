//! The spans of a call and of its attempts, by OpenTelemetry's
//! [conventions for HTTP clients](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span).

use http::Method;
use tracing::{Span, debug_span, field, info_span};

use super::error_type::error_type;
use crate::error::Result;
use crate::request::{Prepared, Request};
use crate::response::{Raw, request_id};

/// The span of a call: whatever it takes, from the cache to the last attempt.
pub(crate) fn call(request: &Request) -> Span {
    let (label, url) = (request.label(), request.server());
    info_span!(
        "github",
        otel.name = &**label,
        otel.kind = "internal",
        github.operation = &**label,
        http.request.method = request.method().as_str(),
        url.template = request.template(),
        server.address = url.host_str(),
        http.response.status_code = field::Empty,
        "error.type" = field::Empty,
        github.request_id = field::Empty,
        github.cache = field::Empty,
    )
}

/// The span of one attempt: one request, with its redirects. `resends` attempts went before.
pub(crate) fn attempt(prepared: &Prepared, resends: u32) -> Span {
    let url = prepared.url();
    let span = debug_span!(
        "github.attempt",
        otel.name = field::Empty,
        otel.kind = "client",
        http.request.method = prepared.method().as_str(),
        http.request.resend_count = (resends > 0).then_some(i64::from(resends)),
        url.template = template(prepared.template()),
        server.address = url.host_str(),
        server.port = url.port_or_known_default().map(i64::from),
        http.response.status_code = field::Empty,
        "error.type" = field::Empty,
        github.request_id = field::Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", name(prepared.method(), prepared.template()).as_str());
    }
    span
}

/// What came of a call.
pub(crate) fn call_ended(span: &Span, answer: &Result<Raw>) {
    if !span.is_disabled() {
        ended(span, answer);
        span.record("github.cache", answer.as_ref().ok().map(|answer| answer.came.name()));
    }
}

/// What came of an attempt.
pub(crate) fn attempt_ended(span: &Span, answer: &Result<Raw>) {
    if !span.is_disabled() {
        ended(span, answer);
    }
}

fn ended(span: &Span, answer: &Result<Raw>) {
    let (status, id) = match answer {
        Ok(answer) => (Some(answer.status), request_id(&answer.headers)),
        Err(error) => (error.status(), error.request_id()),
    };
    span.record("http.response.status_code", status.map(|status| i64::from(status.as_u16())));
    span.record("github.request_id", id);
    if let Err(error) = answer {
        span.record("error.type", error_type(error));
    }
}

/// OpenTelemetry's name of an HTTP span: the method and the template, or the method alone.
fn name(method: &Method, path: &str) -> String {
    match path {
        "" => method.to_string(),
        path => format!("{method} {path}"),
    }
}

fn template(path: &str) -> Option<&str> {
    (!path.is_empty()).then_some(path)
}
