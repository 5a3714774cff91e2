//! OAuth errors: each error that GitHub and the RFCs document, with its remedy.

use http::StatusCode;

use crate::error::auth::AuthFailure;

/// The grant of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantType {
    /// The authorization code of the web flow.
    Code,
    /// The device code of the device flow.
    Device,
    /// A refresh token.
    Refresh,
    /// The client credentials.
    Client,
}

/// Returns whether a later request might succeed after this error code.
pub(crate) fn is_temporary(code: &str) -> bool {
    matches!(code, "server_error" | "temporarily_unavailable")
}

/// The failure, its cause, and the next step.
pub(crate) type OAuthErrorInfo = (AuthFailure, String, &'static str);

/// Maps an error code (RFC 6749 section 5.2, RFC 8628 section 3.5, and GitHub's pages on [token
/// requests](https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors),
/// [authorization
/// requests](https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors)
/// and the [device
/// flow](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#error-codes-for-the-device-flow)).
///
/// `shown` is the code for the message, if it is safe to show.
pub(crate) fn from_code(
    server_name: &str,
    code: &str,
    shown: Option<String>,
    grant: GrantType,
) -> OAuthErrorInfo {
    use AuthFailure as Failure;
    let (failure, what, advice) = match (code, grant) {
        ("bad_refresh_token", _) | ("invalid_grant", GrantType::Refresh) => (
            Failure::RefreshTokenRejected,
            "rejected the refresh token",
            "it was used, revoked or has expired: let the user sign in again; share one token \
             store if several processes refresh",
        ),
        ("bad_verification_code", _) | ("invalid_grant", GrantType::Code) => (
            Failure::CodeRejected,
            "rejected the code",
            "the code was already used, is older than 10 minutes or belongs to another sign-in: \
             send the user to sign in again",
        ),
        ("incorrect_device_code", _) | ("invalid_grant", GrantType::Device) => {
            (Failure::CodeRejected, "does not recognize the device code", "restart the device flow")
        }
        ("incorrect_client_credentials" | "invalid_client", GrantType::Client) => (
            Failure::ClientRejected,
            "rejected the client id or the client secret",
            "check both, and whether the server expects them in a Basic header or in the body; see \
             ClientCredentials::credentials_in_body",
        ),
        ("incorrect_client_credentials" | "invalid_client", _) => (
            Failure::ClientRejected,
            "rejected the client id or the client secret",
            "compare them with the application's settings page; the client id is not the App id, \
             and a lost secret can be replaced there",
        ),
        ("redirect_uri_mismatch", _) => (
            Failure::RedirectUriMismatch,
            "does not recognize the redirect URI",
            "register it as a callback URL on the application's settings page, or pass a \
             registered one to OAuthApp::redirect_uri",
        ),
        ("access_denied", _) => (
            Failure::Denied,
            "reported that the user denied access",
            "restart the sign-in only at the user's request",
        ),
        ("application_suspended", _) => (
            Failure::ApplicationSuspended,
            "has suspended the application",
            "the application's owner must contact GitHub Support",
        ),
        ("unverified_user_email", _) => (
            Failure::EmailUnverified,
            "issues no token to a user without a verified email address",
            "the user must verify the primary address at https://github.com/settings/emails and \
             sign in again",
        ),
        ("expired_token" | "token_expired", _) => (
            Failure::DeviceCodeExpired,
            "reported that the device code has expired",
            "restart the device flow and show the user the new code",
        ),
        ("device_flow_disabled", _) => (
            Failure::DeviceFlowDisabled,
            "does not allow the device flow for the application",
            "select \"Enable Device Flow\" on the application's settings page",
        ),
        _ if is_temporary(code) => {
            (Failure::OAuth, "cannot issue a token at the moment", "try again later")
        }
        _ => {
            let code = shown.map(|code| format!(" ({code})")).unwrap_or_default();
            return (
                Failure::OAuth,
                format!("{server_name} issued no token{code}"),
                "see the source of this error for its message",
            );
        }
    };
    (failure, format!("{server_name} {what}"), advice)
}

/// Returns the failure for a response without an error code.
pub(crate) fn from_status(server_name: &str, status: StatusCode, html: bool) -> OAuthErrorInfo {
    use AuthFailure as Failure;
    match status {
        StatusCode::UNAUTHORIZED => (
            Failure::ClientRejected,
            format!("{server_name} rejected the client id or the client secret"),
            "check both",
        ),
        StatusCode::NOT_FOUND => (
            Failure::ClientRejected,
            format!(
                "{server_name} does not recognize the client id, or the address is not a token endpoint"
            ),
            "check the client id, and that the client's base_url (or the token URL) belongs to the \
             server that the application is registered with",
        ),
        _ if status.is_success() => (
            Failure::OAuth,
            format!(
                "{server_name} returned {} instead of a token",
                if html { "an HTML page" } else { "an unexpected response" }
            ),
            "the response is probably from a proxy or a login page: check the client's base_url or \
             the token URL",
        ),
        _ if status.is_redirection() => (
            Failure::OAuth,
            format!("{server_name} returned {status} instead of a token"),
            "requests that carry a secret do not follow redirects: check the client's base_url or \
             the token URL",
        ),
        _ => (
            Failure::OAuth,
            format!("{server_name} returned {status} instead of a token"),
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                "try again later"
            } else {
                "check the request's settings; the response might be from a proxy"
            },
        ),
    }
}
