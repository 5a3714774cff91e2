//! Why there is no token: each error that GitHub and the RFCs document, and what to do about it.

use http::StatusCode;

use crate::auth::failure::AuthFailure;

/// What a token was asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// The code of the web flow.
    Code,
    /// The device code.
    Device,
    /// A refresh token.
    Refresh,
    /// The client's own credentials.
    Client,
}

/// The failure, what happened, and what to do next.
pub(crate) type Reason = (AuthFailure, String, &'static str);

/// An error that is named by its code (RFC 6749 section 5.2, RFC 8628 section 3.5, and GitHub's
/// pages on [token requests](https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors),
/// [authorization requests](https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors) and the
/// [device flow](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#error-codes-for-the-device-flow)).
///
/// `shown` is the code for the message, if it may be shown.
pub(crate) fn of_code(who: &str, code: &str, shown: Option<String>, grant: Grant) -> Reason {
    use AuthFailure as Failure;
    let (failure, what, advice) = match (code, grant) {
        ("bad_refresh_token", _) | ("invalid_grant", Grant::Refresh) => (
            Failure::RefreshTokenRejected,
            "refuses the refresh token",
            "it was used, revoked or is too old: let the user sign in again; if several processes \
             refresh, give them one token store",
        ),
        ("bad_verification_code", _) | ("invalid_grant", Grant::Code) => (
            Failure::CodeRejected,
            "refuses the code",
            "it was used already, is older than 10 minutes or belongs to another sign-in: send the \
             user to sign in again",
        ),
        ("incorrect_device_code", _) | ("invalid_grant", Grant::Device) => {
            (Failure::CodeRejected, "does not know the device code", "begin the device flow again")
        }
        ("incorrect_client_credentials" | "invalid_client", Grant::Client) => (
            Failure::ClientRejected,
            "refuses the client id or the client secret",
            "check both, and whether the server takes them in a Basic header or in the body: \
             see ClientCredentials::in_body",
        ),
        ("incorrect_client_credentials" | "invalid_client", _) => (
            Failure::ClientRejected,
            "refuses the client id or the client secret",
            "compare them with the application's settings page; the client id is not the App id, \
             and a secret that was lost is replaced by a new one there",
        ),
        ("redirect_uri_mismatch", _) => (
            Failure::RedirectUriMismatch,
            "does not know the redirect URI",
            "register it as a callback URL on the application's settings page, or give \
             OAuthApp::redirect_uri one that is registered",
        ),
        ("access_denied", _) => (
            Failure::Denied,
            "says that the user did not agree",
            "nothing is wrong: ask again only if the user wants to",
        ),
        ("application_suspended", _) => (
            Failure::ApplicationSuspended,
            "has suspended the application",
            "its owner has to contact GitHub's support",
        ),
        ("unverified_user_email", _) => (
            Failure::EmailUnverified,
            "gives no token for a user without a verified email address",
            "the user has to verify the primary address at https://github.com/settings/emails and \
             then sign in again",
        ),
        ("expired_token" | "token_expired", _) => (
            Failure::DeviceCodeExpired,
            "says that the device code has expired",
            "begin the device flow again and show the user the new code",
        ),
        ("device_flow_disabled", _) => (
            Failure::DeviceFlowDisabled,
            "does not allow the application the device flow",
            "switch on \"Enable Device Flow\" on the application's settings page",
        ),
        ("server_error" | "temporarily_unavailable", _) => {
            (Failure::OAuth, "can give no token at the moment", "try again later")
        }
        _ => {
            let code = shown.map(|code| format!(" ({code})")).unwrap_or_default();
            return (
                Failure::OAuth,
                format!("{who} refuses to give a token{code}"),
                "the source of this error has its words",
            );
        }
    };
    (failure, format!("{who} {what}"), advice)
}

/// An answer that names no error.
pub(crate) fn of_status(who: &str, status: StatusCode, html: bool) -> Reason {
    use AuthFailure as Failure;
    match status {
        StatusCode::UNAUTHORIZED => (
            Failure::ClientRejected,
            format!("{who} refuses the client id or the client secret"),
            "check both",
        ),
        StatusCode::NOT_FOUND => (
            Failure::ClientRejected,
            format!("{who} does not know the client id, or nothing answers at this address"),
            "check the client id, and that the client's base_url (or the token URL) is of the \
             server that the application is registered with",
        ),
        _ if status.is_success() => (
            Failure::OAuth,
            format!(
                "{who} answered with {} instead of a token",
                if html { "a page" } else { "something else" }
            ),
            "a proxy or a login page probably answered: check the client's base_url, or the \
             token URL",
        ),
        _ if status.is_redirection() => (
            Failure::OAuth,
            format!("{who} answered {status} instead of giving a token"),
            "redirects are not followed with a secret: check the client's base_url, or the \
             token URL",
        ),
        _ => (
            Failure::OAuth,
            format!("{who} answered {status} instead of giving a token"),
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                "try again later"
            } else {
                "check the request's settings; a proxy may have answered"
            },
        ),
    }
}
