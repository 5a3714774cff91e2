//! The security headers of pages.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Adds the headers of a page that no other site can frame or read, and that no cache stores. What the page itself can
/// load, and what it discloses to the pages that it leads to, are the caller's.
pub(crate) fn add_security_headers(
    headers: &mut HeaderMap,
    content_security_policy: HeaderValue,
    referrer_policy: HeaderValue,
) {
    const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
    const NO_DEVICES: HeaderValue =
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    let all = [
        (CONTENT_SECURITY_POLICY, content_security_policy),
        (REFERRER_POLICY, referrer_policy),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("cross-origin-opener-policy"), SAME_ORIGIN),
        (HeaderName::from_static("cross-origin-resource-policy"), SAME_ORIGIN),
        (HeaderName::from_static("permissions-policy"), NO_DEVICES),
    ];
    for (name, value) in all {
        headers.insert(name, value);
    }
}
