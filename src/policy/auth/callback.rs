//! The callback of a flow in the browser: its parameters, and the random values that bind it to the start of the flow.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::sanitize;

/// The parameters of a callback: RFC 6749, sections 4.1.2 and 4.1.2.1. All are treated as secrets.
pub(crate) struct Callback(HashMap<&'static str, SecretString>);

/// The parameters that are read; others are ignored.
const PARAMETERS: [&str; 5] = ["state", "code", "error", "error_description", "error_uri"];

impl Callback {
    /// Parses a callback that is a URL, a path with a query, or the query itself.
    ///
    /// # Errors
    /// If a parameter is repeated ([`AuthFailure::InvalidCallback`]).
    pub(crate) fn parse(callback: &str) -> Result<Self> {
        let query = callback_query(callback);
        let mut found = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let known = PARAMETERS.into_iter().find(|known| *known == name);
            if let Some(name) = known
                && found.insert(name, SecretString::from(value.into_owned())).is_some()
            {
                // RFC 6749, section 3.1. Two parsers might each take another one.
                return Err(invalid(format!("the callback contains {name} more than once")));
            }
        }
        Ok(Self(found))
    }

    /// Returns the value of a parameter, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name).filter(|value| !value.expose_secret().is_empty())
    }

    /// Returns whether the callback has this state; the comparison takes constant time.
    pub(crate) fn has_state(&self, state: &SecretString) -> bool {
        self.get("state").is_some_and(|given| is_secret(given.expose_secret(), state))
    }

    /// Returns the code.
    ///
    /// # Errors
    /// If there is none ([`AuthFailure::InvalidCallback`]).
    pub(crate) fn code(&self) -> Result<SecretString> {
        let code = self.get("code").cloned();
        if let Some(code) = &code {
            sanitize::remember(code.expose_secret().as_bytes());
        }
        code.ok_or_else(|| invalid("the callback contains neither a code nor an error"))
    }
}

/// Returns the query of a callback that is a URL, a path with a query, or the query itself.
fn callback_query(callback: &str) -> &str {
    let callback = callback.trim();
    let callback = callback.split_once('#').map_or(callback, |(before, _)| before);
    let is_query = !callback.starts_with(['/', '?']) && Url::parse(callback).is_err();
    if is_query {
        return callback;
    }
    callback.split_once('?').map_or("", |(_, query)| query)
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    AuthFailure::InvalidCallback.error(message, "pass the complete callback URL, or its query")
}

/// Returns 256 random bits in 43 characters, as RFC 7636 (section 4.1) recommends for a verifier.
pub(crate) fn random_secret() -> Result<SecretString> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        AuthFailure::Other.error(
            format!("random number generation failed: {error}"),
            "check the random number generator of the operating system",
        )
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_slice()).into())
}

/// Returns whether a text is this secret. The time depends on neither, nor on the length of the secret.
pub(crate) fn is_secret(given: &str, secret: &SecretString) -> bool {
    let pairs = Sha256::digest(given).into_iter().zip(Sha256::digest(secret.expose_secret()));
    pairs.fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomness_is_long_enough_and_never_the_same() {
        let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
        assert!((43..=128).contains(&one.expose_secret().len()));
        assert!(!is_secret(one.expose_secret(), &other) && is_secret(one.expose_secret(), &one));
    }

    #[test]
    fn a_callback_is_read_in_every_form_that_frameworks_hand_it_over() {
        for callback in [
            "https://example.com/cb?code=a?b&state=s",
            "https://example.com/cb?code=a?b&state=s#fragment",
            "myapp://cb?code=a?b&state=s",
            "/cb?code=a?b&state=s",
            "?code=a?b&state=s",
            "code=a?b&state=s\n",
        ] {
            assert_eq!(callback_query(callback), "code=a?b&state=s", "{callback}");
            let read = Callback::parse(callback).unwrap();
            assert!(read.has_state(&"s".into()) && !read.has_state(&"S".into()), "{callback}");
            assert_eq!(read.code().unwrap().expose_secret(), "a?b", "{callback}");
        }
        assert_eq!(callback_query("https://example.com/cb"), "");
    }

    #[test]
    fn an_empty_parameter_is_none() {
        let callback = Callback::parse("code=&state=").unwrap();
        assert!(!callback.has_state(&"".into()));
        assert_eq!(callback.code().unwrap_err().auth_failure(), Some(AuthFailure::InvalidCallback));
    }
}
