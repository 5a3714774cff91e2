//! The next step after an error response of GitHub.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::api::ApiError;
use super::refusal::{Reason, Refusal};
use super::{LINE_CHARS, Line};
use crate::response::RateLimit;
use crate::retry::retry_after;
use crate::sanitize::HIDDEN;

/// The end of the error's line: the next step after the rejection, and the page to read.
pub(super) fn advice(
    api: &ApiError,
    refusal: Refusal,
    headers: &HeaderMap,
    rate_limited: bool,
) -> String {
    let status = api.status.as_u16();
    let mut advice = if rate_limited {
        when_to_return(headers)
    } else if let Some(advice) = of_reason(status, refusal.reason, headers) {
        advice
    } else {
        match status {
            401 => "the token is missing, wrong, expired or revoked".to_owned(),
            403 => permission(headers),
            404 => "a private resource that the token cannot access also returns 404".to_owned(),
            409 => "the resource is in a state that does not allow this now".to_owned(),
            410 => "the resource is gone, or its feature is switched off".to_owned(),
            422 => "correct the values that GitHub names".to_owned(),
            451 => advice_for(Reason::Blocked).to_owned(),
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
        advice.push_str(&format!("see {}", Line(page)));
    }
    advice
}

/// The advice for the reason of a rejection, if it concerns the caller's access.
fn of_reason(status: u16, reason: Option<Reason>, headers: &HeaderMap) -> Option<String> {
    if !matches!(status, 401 | 403 | 410 | 451) {
        return None;
    }
    if status == 403 && requires_sso(headers) {
        return Some(single_sign_on(headers));
    }
    match reason? {
        // These reasons are vague, and the status gives the same information.
        Reason::Permission if status == 403 => Some(permission(headers)),
        Reason::Permission | Reason::RateLimit | Reason::ServerFault => None,
        Reason::Disabled if status == 410 => None,
        Reason::SingleSignOn => Some(single_sign_on(headers)),
        reason => Some(advice_for(reason).to_owned()),
    }
}

/// The next step for each reason.
fn advice_for(reason: Reason) -> &'static str {
    match reason {
        Reason::RateLimit => "rate limit exceeded: wait at least a minute, then slow down",
        Reason::SingleSignOn => {
            "the organization requires single sign-on: authorize the token for it"
        }
        Reason::IpAllowList => {
            "the organization has an IP allow list without this machine's address: an owner must \
             add it or, for a GitHub App, allow the App's own list"
        }
        Reason::InstallationSuspended => {
            "the App's installation is suspended: its owner must unsuspend it"
        }
        Reason::AccountSuspended => "the account is suspended: contact GitHub Support",
        Reason::LoginAttempts => "too many calls used wrong credentials: correct them, then wait",
        Reason::Archived => "the repository is archived and read-only: unarchive it first",
        Reason::Billing => "the account has a billing issue: an owner must resolve it",
        Reason::Plan => "the account's plan does not include this",
        Reason::AppNotApproved => {
            "the organization restricts OAuth apps: an owner must approve this one"
        }
        Reason::TokenPolicy => {
            "the organization's policy does not allow this kind or lifetime of token: use another"
        }
        Reason::Unverified => "verify the account's email address first",
        Reason::TwoFactor => {
            "the account uses two-factor authentication: use a token instead of a password"
        }
        Reason::UserAgent => "GitHub requires a valid User-Agent header",
        Reason::Blocked => {
            "GitHub or the owner has blocked access: another token or permission does not help"
        }
        Reason::Disabled => "the feature is switched off for this resource: enable it first",
        Reason::Jwt => "the endpoint is for the App itself: use Client::as_app",
        Reason::JwtClaim => "check the machine's clock, and the signer of the App's JWT",
        Reason::UnknownApp => "check the App's id, its private key and the client's base_url",
        Reason::NoCredentials => "the request carries no token: configure one on the client",
        Reason::Permission => "the token lacks a permission for this",
        Reason::ServerFault => "try again later, and see https://www.githubstatus.com",
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
    let advice = advice_for(Reason::SingleSignOn);
    match sso_url(headers) {
        // A part of the URL would be useless.
        Some(url) if url.len() > LINE_CHARS => format!("{advice} at Error::sso_url"),
        Some(url) => format!("{advice} at {}", Line(url)),
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
pub(crate) fn when_to_return(headers: &HeaderMap) -> String {
    let header = retry_after(headers);
    let reset = || {
        let limit = RateLimit::from_headers(headers).filter(|limit| limit.remaining == 0)?;
        limit.reset.duration_since(SystemTime::now()).ok()
    };
    match header.or_else(reset) {
        Some(wait) => format!("rate limit exceeded: retry in {} s", seconds(wait)),
        None => "rate limit exceeded: wait at least a minute, then slow down".to_owned(),
    }
}

/// GitHub names the sufficient permissions or scopes in separate headers:
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible>.
fn permission(headers: &HeaderMap) -> String {
    let named = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        (!value.is_empty()).then_some(value)
    };
    if let Some(permissions) = named("x-accepted-github-permissions") {
        format!("the token needs the permission {}", Line(permissions))
    } else if let Some(scopes) = named("x-accepted-oauth-scopes") {
        format!("the token needs the scope {}", Line(scopes))
    } else {
        advice_for(Reason::Permission).to_owned()
    }
}

/// Whole seconds, rounded up: a retry that is too early is rejected again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
