//! The credentials of an App as a token of a token store.
//!
//! A token store keeps opaque texts, and those of this crate encrypt them. So the credentials are one token: JSON in
//! base64, which has no character that a token cannot have. It does not expire.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::RegisteredApp;
use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::policy::auth::token::AccessToken;

/// The version of the format. A later one can have other fields beside it.
const VERSION: u64 = 1;

/// More than the JSON of an App with a key of 4,096 bits. A buffer that grows leaves its old bytes in memory.
const CAPACITY: usize = 8 * 1024;

#[derive(Serialize)]
struct SerializedApp<'a> {
    version: u64,
    id: u64,
    client_id: &'a str,
    slug: Option<&'a str>,
    owner: Option<&'a str>,
    html_url: Option<&'a str>,
    private_key: &'a str,
    client_secret: Option<&'a str>,
    webhook_secret: Option<&'a str>,
}

#[derive(Deserialize)]
struct StoredVersion {
    version: u64,
}

#[derive(Deserialize)]
struct DeserializedApp {
    id: u64,
    client_id: String,
    slug: Option<String>,
    owner: Option<String>,
    html_url: Option<Url>,
    private_key: SecretString,
    client_secret: Option<SecretString>,
    webhook_secret: Option<SecretString>,
}

/// Returns the token that contains the credentials.
pub(super) fn to_token(app: &RegisteredApp) -> Result<AccessToken> {
    let serialized = SerializedApp {
        version: VERSION,
        id: app.id,
        client_id: &app.client_id,
        slug: app.slug.as_deref(),
        owner: app.owner.as_deref(),
        html_url: app.html_url.as_ref().map(Url::as_str),
        private_key: app.private_key.expose_secret(),
        client_secret: app.client_secret.as_ref().map(ExposeSecret::expose_secret),
        webhook_secret: app.webhook_secret.as_ref().map(ExposeSecret::expose_secret),
    };
    let mut json = Zeroizing::new(Vec::with_capacity(CAPACITY));
    // The error is dropped, since it could quote a value. Writing strings to memory cannot fail.
    serde_json::to_writer(&mut *json, &serialized).map_err(|_| {
        AuthFailure::Store.error("App serialization failed", "report this as a bug")
    })?;
    AccessToken::new(URL_SAFE_NO_PAD.encode(json.as_slice()))
}

/// Returns the credentials that a token of the store contains.
pub(super) fn from_token(token: &AccessToken, environment: &str) -> Result<RegisteredApp> {
    let unreadable = || {
        AuthFailure::StoreTampered.error(
            format!("the App of {environment} in the store was modified outside this library"),
            "restore the store, or remove the entry with RegisteredApp::remove and register an App \
             again",
        )
    };
    let json = URL_SAFE_NO_PAD.decode(token.expose_secret()).map(Zeroizing::new);
    let json = json.map_err(|_| unreadable())?;
    let StoredVersion { version } = serde_json::from_slice(&json).map_err(|_| unreadable())?;
    if version > VERSION {
        return Err(AuthFailure::StoreVersion.error(
            format!(
                "the App of {environment} in the store has format {version}, but this version of \
                 octowire supports only {VERSION}"
            ),
            "use the version of octowire that saved it, or a later one",
        ));
    }
    let read: DeserializedApp = serde_json::from_slice(&json).map_err(|_| unreadable())?;
    let app = RegisteredApp {
        id: read.id,
        client_id: read.client_id,
        slug: read.slug,
        owner: read.owner,
        html_url: read.html_url,
        private_key: read.private_key,
        client_secret: read.client_secret,
        webhook_secret: read.webhook_secret,
    };
    Ok(app.with_secrets_hidden())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(json: &str) -> AccessToken {
        AccessToken::new(URL_SAFE_NO_PAD.encode(json)).unwrap()
    }

    fn failure(token: &AccessToken) -> Option<AuthFailure> {
        from_token(token, "production").unwrap_err().auth_failure()
    }

    #[test]
    fn every_part_of_an_app_comes_back() {
        let app = super::super::tests::app();
        let read = from_token(&to_token(&app).unwrap(), "production").unwrap();
        assert_eq!((read.id, read.client_id), (app.id, app.client_id));
        assert_eq!((read.slug, read.owner, read.html_url), (app.slug, app.owner, app.html_url));
        assert_eq!(read.private_key.expose_secret(), app.private_key.expose_secret());
        let both = |secret: Option<SecretString>| secret.unwrap().expose_secret().to_owned();
        assert_eq!(both(read.client_secret), both(app.client_secret));
        assert_eq!(both(read.webhook_secret), both(app.webhook_secret));
    }

    #[test]
    fn a_later_version_is_distinguished_from_damage() {
        assert_eq!(failure(&token(r#"{"version":2,"id":"x"}"#)), Some(AuthFailure::StoreVersion));
        for json in ["", "[]", "{}", r#"{"version":1}"#, r#"{"version":1,"id":"hunter2"}"#] {
            let error = from_token(&token(&format!("{json} ")), "production").unwrap_err();
            assert_eq!(error.auth_failure(), Some(AuthFailure::StoreTampered), "{json}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let other = AccessToken::new("ghs_hunter2").unwrap();
        assert_eq!(failure(&other), Some(AuthFailure::StoreTampered));
    }

    proptest! {
        // Each case registers its secrets in the process.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_secret_comes_back_and_fits_a_token(
            key in "\\PC+",
            client_secret in proptest::option::of(".{1,40}"),
            webhook_secret in proptest::option::of(".{1,40}"),
        ) {
            let app = RegisteredApp {
                private_key: key.clone().into(),
                client_secret: client_secret.clone().map(SecretString::from),
                webhook_secret: webhook_secret.clone().map(SecretString::from),
                ..super::super::tests::app()
            };
            let read = from_token(&to_token(&app).unwrap(), "production").unwrap();
            prop_assert_eq!(read.private_key.expose_secret(), key.as_str());
            let text = |secret: &Option<SecretString>| {
                secret.as_ref().map(|secret| secret.expose_secret().to_owned())
            };
            prop_assert_eq!(text(&read.client_secret), client_secret);
            prop_assert_eq!(text(&read.webhook_secret), webhook_secret);
        }

        #[test]
        fn no_text_of_a_token_is_a_panic(text in "[!-~]{1,200}") {
            if let Ok(token) = AccessToken::new(text) {
                let _ = from_token(&token, "production");
            }
        }
    }
}
