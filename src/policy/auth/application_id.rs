//! The checks of the values that identify an application: its ids and its client secret.

use super::token::CredentialFormat;
use crate::error::Result;
use crate::error::auth::AuthFailure;

/// An App id has about seven digits, a client id about twenty characters.
#[cfg(any(feature = "oauth", all(feature = "encrypted-token-store", feature = "github-app")))]
const MAX_APP_ID_CHARS: usize = 12;

/// Rejects a client id that looks like another value, such as an App id.
#[cfg(any(feature = "oauth", all(feature = "encrypted-token-store", feature = "github-app")))]
pub(super) fn check_client_id(text: &str) -> Result<()> {
    check("client id", text, |_| false)?;
    if text.len() < MAX_APP_ID_CHARS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AuthFailure::WrongKind.error(
            "invalid client id: the value looks like an App id",
            "use the client id, which is next to it on the App's settings page",
        ));
    }
    Ok(())
}

/// Rejects a value that looks like another kind of credential. `other` describes the other invalid values.
pub(super) fn check(
    what: &str,
    text: &str,
    other: impl Fn(CredentialFormat) -> bool,
) -> Result<()> {
    if text.is_empty() {
        return Err(AuthFailure::Empty.error(
            format!("the {what} is empty"),
            "copy it from the application's settings page",
        ));
    }
    let looks = CredentialFormat::detect(text);
    let token = looks.access_token_kind().is_some();
    if token
        || matches!(looks, CredentialFormat::RefreshToken | CredentialFormat::PrivateKey)
        || other(looks)
    {
        let kind = looks.access_token_kind().unwrap_or(match looks {
            CredentialFormat::RefreshToken => "a refresh token (ghr_)",
            CredentialFormat::PrivateKey => "a private key",
            _ => "a client id",
        });
        return Err(AuthFailure::WrongKind.error(
            format!("invalid {what}: the value looks like {kind}"),
            "copy ids and the client secret from the application's settings page; pass a token to \
             ClientBuilder::token, and a private key as the second argument of App::new",
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AuthFailure::Malformed.error(
            format!("the {what} contains a line break, a space or another invalid character"),
            "check how the value is loaded; it is not shown here",
        ));
    }
    Ok(())
}
