//! What to do next about an error that GitHub answered with.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::Line;
use super::api::ApiError;
use crate::response::RateLimit;
use crate::retry::retry_after;

/// The end of the error's line: what the status usually means, and the page to read.
pub(super) fn advice(api: &ApiError, headers: &HeaderMap, rate_limited: bool) -> String {
    let mut advice = match api.status.as_u16() {
        _ if rate_limited => when_to_return(headers),
        401 if api.message.contains("JSON web token") => {
            "the endpoint is for the App itself: call it by Client::as_app".to_owned()
        }
        401 => "the token is missing, wrong, expired or revoked".to_owned(),
        403 => permission(headers),
        404 => "a private resource that the token cannot see also answers 404".to_owned(),
        409 => "the resource is in a state that does not allow this now".to_owned(),
        410 => "the resource is gone, or its feature is switched off".to_owned(),
        422 => "correct the values that GitHub names".to_owned(),
        304 => "what you have from the earlier answer, whose etag or date this request carries, \
                is still current"
            .to_owned(),
        300..=399 => "the answer was not followed as a redirect".to_owned(),
        500..=599 => "the failure is on GitHub's side or in a proxy: try again later, \
                      and see https://www.githubstatus.com"
            .to_owned(),
        _ => String::new(),
    };
    if let Some(page) = &api.documentation_url {
        if !advice.is_empty() {
            advice.push_str("; ");
        }
        advice.push_str(&format!("see {}", Line(page)));
    }
    advice
}

/// When a rate limit lets calls through again.
pub(crate) fn when_to_return(headers: &HeaderMap) -> String {
    let header = retry_after(headers);
    let reset = || {
        let limit = RateLimit::from_headers(headers).filter(|limit| limit.remaining == 0)?;
        limit.reset.duration_since(SystemTime::now()).ok()
    };
    match header.or_else(reset) {
        Some(wait) => format!("a rate limit is reached: try again in {} s", seconds(wait)),
        None => "a rate limit is reached: wait at least a minute, then slow down".to_owned(),
    }
}

/// GitHub names the permissions or scopes that would do in headers of their own:
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible>.
fn permission(headers: &HeaderMap) -> String {
    let named = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        (!value.is_empty()).then_some(value)
    };
    if named("x-github-sso").is_some_and(|value| value.starts_with("required")) {
        "the organization requires single sign-on: authorize the token for it".to_owned()
    } else if let Some(permissions) = named("x-accepted-github-permissions") {
        format!("the token needs the permission {}", Line(permissions))
    } else if let Some(scopes) = named("x-accepted-oauth-scopes") {
        format!("the token needs the scope {}", Line(scopes))
    } else {
        "the token lacks a permission for this".to_owned()
    }
}

/// Whole seconds, rounded up: to return too early is to be refused again.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
