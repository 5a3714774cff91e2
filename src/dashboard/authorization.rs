//! Access control of the page, and its security headers.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{DashboardState, local};
use crate::server::add_security_headers;

/// Rejects requests without permission, and adds security headers to each response.
pub(super) async fn authorize(
    State(shown): State<Arc<DashboardState>>,
    request: Request,
    next: Next,
) -> Response {
    let token = shown.dashboard.token.as_ref().map(ExposeSecret::expose_secret);
    let from_other_site = is_cross_site(request.method(), request.headers());
    let rejection = match token {
        Some(token) if from_other_site || !has_token(request.headers(), token) => {
            Some(unauthorized())
        }
        None if from_other_site => Some((StatusCode::FORBIDDEN, CROSS_SITE_ADVICE).into_response()),
        None => {
            let checked = local::check(&request, &shown.allowed_headers);
            checked.err().map(|reason| (StatusCode::FORBIDDEN, reason.text()).into_response())
        }
        Some(_) => None,
    };
    let mut response = match rejection {
        Some(rejection) => rejection,
        None => next.run(request).await,
    };
    add_security_headers(response.headers_mut(), CONTENT_POLICY, REFERRER);
    response
}

const CROSS_SITE_ADVICE: &str = "Cross-site requests are rejected.\n";

/// No external resources, no inline content, and no frames.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
);
const REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

fn unauthorized() -> Response {
    let challenge = HeaderValue::from_static("Basic realm=\"octowire\", charset=\"UTF-8\"");
    let mut response =
        (StatusCode::UNAUTHORIZED, "The dashboard requires its token.\n").into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Returns whether the request has the token, as a bearer token or as a password.
fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some((scheme, value)) = value.split_once(' ') else { return false };
    if scheme.eq_ignore_ascii_case("bearer") {
        return is_equal(value.trim().as_bytes(), token);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(pair) = STANDARD.decode(value.trim()) else { return false };
    let colon = pair.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| is_equal(pair.get(colon + 1..).unwrap_or_default(), token))
}

/// Compares two texts in a time that depends on neither, nor on their lengths.
fn is_equal(given: &[u8], token: &str) -> bool {
    verify_slices_are_equal(&Sha256::digest(given), &Sha256::digest(token)).is_ok()
}

/// Returns whether a page of another site sent the request, according to browser headers. Navigation to the page is
/// always allowed.
fn is_cross_site(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST.as_str()).unwrap_or_default();
    let other_origin = text(ORIGIN.as_str()).is_some_and(|origin| {
        let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        !name.is_some_and(|name| name.eq_ignore_ascii_case(host))
    });
    let goes_there = method == Method::GET
        && text("sec-fetch-mode") == Some("navigate")
        && text("sec-fetch-dest") == Some("document");
    let foreign =
        text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    other_origin || (foreign && !goes_there)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn pages_of_other_sites_ask_for_nothing_but_to_go_there() {
        let from = |headers: &[(&'static str, &str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            });
            is_cross_site(
                &Method::GET,
                &headers.chain([(HOST, "a.example:80".parse().unwrap())]).collect(),
            )
        };
        let (site, mode, dest) = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest");
        assert!(!from(&[]));
        assert!(!from(&[(site, "same-origin")]) && !from(&[(site, "none")]));
        assert!(!from(&[("origin", "http://a.example:80")]));
        assert!(!from(&[(site, "cross-site"), (mode, "navigate"), (dest, "document")]));
        assert!(from(&[(site, "cross-site")]) && from(&[(site, "same-site")]));
        assert!(from(&[(site, "cross-site"), (mode, "navigate"), (dest, "iframe")]));
        assert!(from(&[(site, "cross-site"), (mode, "cors"), (dest, "empty")]));
        for origin in ["http://evil.example", "http://a.example", "null", "ftp://a.example:80"] {
            assert!(from(&[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn a_token_is_a_bearer_or_a_password() {
        let token = "0123456789abcdef";
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let given = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            has_token(&headers, token)
        };
        for value in [
            "Bearer 0123456789abcdef",
            "bearer  0123456789abcdef",
            &basic(":0123456789abcdef"),
            &basic("me:0123456789abcdef"),
        ] {
            assert!(given(value), "{value}");
        }
        for value in [
            "0123456789abcdef",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdefg",
            "Digest 0123456789abcdef",
            "Basic 0123456789abcdef",
            "Basic !",
            &basic("0123456789abcdef"),
            &basic("0123456789abcdef:"),
        ] {
            assert!(!given(value), "{value}");
        }
    }
}
