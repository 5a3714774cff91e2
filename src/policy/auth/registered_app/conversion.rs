//! The exchange of the code of a registration for the App's credentials.

use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::RegisteredApp;
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::transport::{self, AuthBody, AuthCall, AuthTarget, AuthTransport};
use crate::response::RawResponse;
use crate::sanitize;

/// Sends the code to GitHub, without a token of the client.
pub(super) async fn exchange(client: &dyn AuthTransport, code: &str) -> Result<RegisteredApp> {
    sanitize::remember(code.as_bytes());
    let path: &[_] = &["app-manifests", code, "conversions"];
    let call = AuthCall {
        name: "apps/create-from-manifest",
        target: AuthTarget::Api { method: Method::POST, path, body: AuthBody::None },
        authorization: None,
        retries: true,
        // After a lost response, GitHub sends the credentials, or no longer accepts the code.
        is_idempotent: true,
    };
    let client = client.unauthenticated();
    let conversion = transport::send(&*client, call, RawResponse::json::<Conversion>).await;
    conversion.map_err(explain)?.into_inner().into_app()
}

/// GitHub's response to the exchange of a code: the fields that are read. Only those without which the App is of no use
/// are required, since GitHub sends the response once.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Conversion {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    owner: Option<ConversionOwner>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pem: Option<SecretString>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    client_secret: Option<SecretString>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    webhook_secret: Option<SecretString>,
}

/// The user, organization or enterprise that owns the App.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ConversionOwner {
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    slug: Option<String>,
}

impl Conversion {
    fn into_app(self) -> Result<RegisteredApp> {
        let (Some(id), Some(client_id), Some(private_key)) = (self.id, self.client_id, self.pem)
        else {
            return Err(not_received());
        };
        let not_empty =
            |secret: &SecretString| -> bool { !secret.expose_secret().trim().is_empty() };
        let app = RegisteredApp {
            id,
            client_id,
            slug: self.slug,
            owner: self.owner.and_then(|owner| owner.login.or(owner.slug)),
            html_url: self.html_url.as_deref().and_then(parse_page),
            private_key,
            client_secret: self.client_secret.filter(not_empty),
            webhook_secret: self.webhook_secret.filter(not_empty),
        };
        Ok(app.with_secrets_hidden())
    }
}

/// Parses the URL of a web page. A link of another kind is omitted, since a browser might execute it.
fn parse_page(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http"))
}

/// Maps the failure of a call to that of the registration. The body of a response can contain the credentials.
fn explain(error: Error) -> Error {
    let error = error.without_body();
    // A response that was lost might have had the credentials. GitHub has not used the code in the other attempts.
    let had_no_effect = error.class().had_no_effect()
        && error.attempts().iter().all(|attempt| attempt.had_no_effect);
    if !had_no_effect {
        let retryable = error.is_retryable();
        return not_received().with_retryable(retryable).with_source(error);
    }
    match error.status() {
        Some(StatusCode::NOT_FOUND) => AuthFailure::CodeRejected
            .error(
                "GitHub rejected the code of the App registration",
                "the code was used, is older than an hour, or belongs to another GitHub server than \
                 the client's base_url: register the App again, and delete the one without \
                 credentials, if there is one",
            )
            .with_source(error),
        _ => error,
    }
}

fn not_received() -> Error {
    AuthFailure::CredentialsLost.error(
        "GitHub's response with the credentials of the App was not received",
        "the App might exist: generate its private key and secrets on its settings page, and save \
         them with RegisteredApp::new; or delete it and register again",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::error::{ErrorKind, FailedAttempt};

    #[test]
    fn the_response_is_read_as_it_is_documented() {
        use crate::testing::type_coverage::assert_reads;
        assert_reads::<Conversion>("apps/create-from-manifest", 201);
    }

    fn failed(kind: ErrorKind, status: Option<u16>) -> Error {
        let error = Error::new(kind, "it failed");
        match status {
            Some(status) => {
                error.with_response(StatusCode::from_u16(status).unwrap(), HeaderMap::new())
            }
            None => error,
        }
    }

    #[test]
    fn a_code_was_used_if_a_response_was_lost_and_only_then() {
        let without_effect = || {
            [
                failed(ErrorKind::Api, Some(429)),
                failed(ErrorKind::Api, Some(401)),
                // The connection was refused.
                failed(ErrorKind::Transport, None).with_not_sent(),
                failed(ErrorKind::Timeout, None).with_not_sent(),
                // There was no token of a gateway.
                failed(ErrorKind::Authentication, None),
                failed(ErrorKind::RateLimit, None),
            ]
        };
        let lost = || {
            [
                failed(ErrorKind::Transport, None),
                // The body broke off.
                failed(ErrorKind::Transport, Some(201)),
                failed(ErrorKind::Timeout, None),
                failed(ErrorKind::Api, Some(502)),
                failed(ErrorKind::Decode, Some(201)),
            ]
        };
        // The failure of a call whose last attempt failed with the first error.
        let failure = |last: Error, earlier: &[&Error]| {
            let earlier = earlier.iter().map(|error| FailedAttempt::of(error)).collect();
            explain(last.with_attempts(earlier)).auth_failure()
        };
        let rejected = || failed(ErrorKind::Api, Some(404));
        assert_eq!(failure(rejected(), &[]), Some(AuthFailure::CodeRejected));
        for one in &without_effect() {
            assert_eq!(failure(rejected(), &[one]), Some(AuthFailure::CodeRejected), "{one}");
            // The same code can be used again.
            assert_eq!(failure(one.clone(), &[]), None, "{one}");
            for lost in &lost() {
                let expected = Some(AuthFailure::CredentialsLost);
                assert_eq!(failure(lost.clone(), &[one]), expected, "{lost}");
                assert_eq!(failure(one.clone(), &[lost]), expected, "{lost}, {one}");
                assert_eq!(failure(rejected(), &[lost, one]), expected, "{lost}, {one}");
            }
        }
    }

    #[test]
    fn a_response_with_only_a_key_and_ids_is_an_app() {
        let text = r#"{"id":1,"client_id":"Iv23liABC","pem":"p","webhook_secret":null,"client_secret":"",
            "owner":{"slug":"an-enterprise"},"html_url":"javascript:alert(1)"}"#;
        let app = serde_json::from_str::<Conversion>(text).unwrap().into_app().unwrap();
        assert_eq!((app.id(), app.client_id(), app.slug()), (1, "Iv23liABC", None));
        assert_eq!((app.owner(), app.html_url()), (Some("an-enterprise"), None));
        assert!(app.client_secret().is_none() && app.webhook_secret().is_none());
        assert!(app.install_url().is_none());

        for text in ["{}", r#"{"id":1,"client_id":"Iv23liABC"}"#, r#"{"id":1,"pem":"p"}"#] {
            let read = serde_json::from_str::<Conversion>(text).unwrap();
            let error = read.into_app().unwrap_err();
            assert_eq!(error.auth_failure(), Some(AuthFailure::CredentialsLost), "{text}");
            assert!(error.to_string().contains("settings page"), "{text}: {error}");
        }
    }
}
