//! The next step after an error response of GitHub.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::api::ApiError;
use super::failure_reason::{FailureDetails, FailureReason};
use super::{LINE_CHARS, OneLine};
use crate::headers::rate_limit::RateLimitStatus;
use crate::headers::retry_after::retry_after;
use crate::sanitize::HIDDEN;

/// The end of the error's line: the next step after the rejection, and the page to read.
pub(super) fn advice(
    api: &ApiError,
    rejection: FailureDetails,
    headers: &HeaderMap,
    rate_limited: bool,
) -> String {
    let status = api.status.as_u16();
    let mut advice = if rate_limited {
        rate_limit_advice(headers)
    } else if let Some(advice) = caller_advice(status, rejection.reason, headers) {
        advice
    } else {
        match status {
            401 => "the token is missing, wrong, expired or revoked".to_owned(),
            403 => permission_advice(headers),
            404 => "a private resource that the token cannot access also returns 404".to_owned(),
            409 => "the resource is in a state that does not allow this now".to_owned(),
            410 => "the resource is gone, or its feature is switched off".to_owned(),
            422 => "correct the values that GitHub names".to_owned(),
            451 => advice_for(FailureReason::Blocked).to_owned(),
            304 => "the copy from the earlier response, whose ETag or date this request carries, \
                    is still current"
                .to_owned(),
            300..=399 => "the redirect was not followed".to_owned(),
            500..=599 => "the failure is on GitHub's side or in a proxy: try again later, \
                          and see https://www.githubstatus.com"
                .to_owned(),
            _ => String::new(),
        }
    };
    if let Some(page) = &api.documentation_url {
        if !advice.is_empty() {
            advice.push_str("; ");
        }
        advice.push_str(&format!("see {}", OneLine(page)));
    }
    advice
}

/// The advice for the reason of a rejection, if it concerns the caller's access.
fn caller_advice(
    status: u16,
    reason: Option<FailureReason>,
    headers: &HeaderMap,
) -> Option<String> {
    if !matches!(status, 401 | 403 | 410 | 451) {
        return None;
    }
    if status == 403 && requires_sso(headers) {
        return Some(single_sign_on(headers));
    }
    match reason? {
        // These reasons are vague, and the status gives the same information.
        FailureReason::Permission if status == 403 => Some(permission_advice(headers)),
        FailureReason::Permission | FailureReason::RateLimit | FailureReason::ServerFault => None,
        FailureReason::Disabled if status == 410 => None,
        FailureReason::SingleSignOn => Some(single_sign_on(headers)),
        reason => Some(advice_for(reason).to_owned()),
    }
}

/// The next step for each reason.
fn advice_for(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::RateLimit => "rate limit exceeded: wait at least a minute, then slow down",
        FailureReason::SingleSignOn => {
            "the organization requires single sign-on: authorize the token for it"
        }
        FailureReason::IpAllowList => {
            "the organization has an IP allow list without this machine's address: an owner must \
             add it or, for a GitHub App, allow the App's own list"
        }
        FailureReason::InstallationSuspended => {
            "the App's installation is suspended: its owner must unsuspend it"
        }
        FailureReason::AccountSuspended => "the account is suspended: contact GitHub Support",
        FailureReason::LoginAttempts => {
            "too many calls used wrong credentials: correct them, then wait"
        }
        FailureReason::Archived => "the repository is archived and read-only: unarchive it first",
        FailureReason::Billing => "the account has a billing issue: an owner must resolve it",
        FailureReason::Plan => "the account's plan does not include this",
        FailureReason::AppNotApproved => {
            "the organization restricts OAuth apps: an owner must approve this one"
        }
        FailureReason::TokenPolicy => {
            "the organization's policy does not allow this kind or lifetime of token: use another"
        }
        FailureReason::Unverified => "verify the account's email address first",
        FailureReason::TwoFactor => {
            "the account uses two-factor authentication: use a token instead of a password"
        }
        FailureReason::UserAgent => "GitHub requires a valid User-Agent header",
        FailureReason::Blocked => {
            "GitHub or the owner has blocked access: another token or permission does not help"
        }
        FailureReason::Disabled => "the feature is switched off for this resource: enable it first",
        FailureReason::Jwt => "the endpoint is for the App itself: use Client::as_app",
        FailureReason::JwtClaim => "check the machine's clock, and the signer of the App's JWT",
        FailureReason::UnknownApp => {
            "check the App's id, its private key and the client's base_url"
        }
        FailureReason::NoCredentials => "the request carries no token: configure one on the client",
        FailureReason::Permission => "the token lacks a permission for this",
        FailureReason::ServerFault => "try again later, and see https://www.githubstatus.com",
    }
}

/// Returns whether the header of a rejection requires single sign-on.
fn requires_sso(headers: &HeaderMap) -> bool {
    let value = headers.get(SSO).map_or(&b""[..], |value| value.as_bytes()).trim_ascii_start();
    value.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"required"))
}

/// GitHub names the page on which the token is authorized:
/// <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#authenticating-with-saml-sso>.
fn single_sign_on(headers: &HeaderMap) -> String {
    let advice = advice_for(FailureReason::SingleSignOn);
    match sso_url(headers) {
        // A part of the URL would be useless.
        Some(url) if url.len() > LINE_CHARS => format!("{advice} at Error::sso_url"),
        Some(url) => format!("{advice} at {}", OneLine(url)),
        None => advice.to_owned(),
    }
}

/// The header with which GitHub requires single sign-on.
pub(crate) const SSO: &str = "x-github-sso";
/// Maximum length of an accepted URL, in bytes.
const MAX_SSO_URL: usize = 2048;

/// The URL in `X-GitHub-SSO: required; url=…`.
pub(super) fn sso_url(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(SSO).filter(|_| requires_sso(headers))?.to_str().ok()?;
    let (_, url) = value.split_once("url=")?;
    let url = url.trim().trim_matches('"');
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    // A URL with a redacted part would be useless.
    let is_whole = !url.contains(HIDDEN);
    (is_web && is_plain && is_whole && url.len() <= MAX_SSO_URL).then_some(url)
}

/// The time at which a rate limit admits calls again.
pub(crate) fn rate_limit_advice(headers: &HeaderMap) -> String {
    let header = retry_after(headers);
    let reset = || {
        let limit = RateLimitStatus::from_headers(headers).filter(|limit| limit.remaining == 0)?;
        limit.reset.duration_since(SystemTime::now()).ok()
    };
    match header.or_else(reset) {
        Some(wait) => format!("rate limit exceeded: retry in {} s", seconds(wait)),
        None => "rate limit exceeded: wait at least a minute, then slow down".to_owned(),
    }
}

/// GitHub names the sufficient permissions or scopes in separate headers:
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible>.
fn permission_advice(headers: &HeaderMap) -> String {
    let named = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        (!value.is_empty()).then_some(value)
    };
    if let Some(permissions) = named("x-accepted-github-permissions") {
        format!("the token needs the permission {}", OneLine(permissions))
    } else if let Some(scopes) = named("x-accepted-oauth-scopes") {
        format!("the token needs the scope {}", OneLine(scopes))
    } else {
        advice_for(FailureReason::Permission).to_owned()
    }
}

/// Whole seconds, rounded up: a retry that is too early is rejected again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
