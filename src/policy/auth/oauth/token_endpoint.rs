//! Tolerant parsing of token endpoint responses: GitHub responds with 200 and an error in the body, other servers with
//! 400, and both can use JSON or a form.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use url::{Url, form_urlencoded};

use super::errors::{self, GrantType};
use super::form::Form;
use crate::error::auth::AuthFailure;
use crate::error::{Error, ErrorKind, FailureClass, Markup, OneLine, Result, indicates_rate_limit};
use crate::policy::auth::token::AccessToken;
use crate::policy::auth::transport::{self, AuthCall, AuthTarget, AuthTransport};
use crate::response::RawBody;

/// The name of the token endpoint in messages.
pub(crate) const GITHUB: &str = "GitHub";

/// One request to a token endpoint.
pub(crate) struct TokenEndpointRequest {
    pub(crate) server_name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) url: Url,
    pub(crate) form: Form,
    pub(crate) authorization: Option<HeaderValue>,
}

/// A response of any status.
pub(crate) struct TokenEndpointResponse {
    server_name: &'static str,
    label: &'static str,
    status: StatusCode,
    headers: HeaderMap,
    html: bool,
    fields: ResponseFields,
    /// The secrets of the request, which must not be shown if the response repeats them.
    sent_secrets: Vec<SecretString>,
}

impl TokenEndpointRequest {
    /// # Errors
    /// If there is no response; its content is not checked.
    pub(crate) async fn send(self, client: &dyn AuthTransport) -> Result<TokenEndpointResponse> {
        let (form, mut secrets) = self.form.into_parts();
        if let Some(authorization) = &self.authorization {
            // `Basic …`, whose end a response might repeat.
            let shown = authorization.to_str().ok().and_then(|text| text.split_once(' '));
            secrets.extend(shown.map(|(_, encoded)| SecretString::from(encoded)));
        }
        let call = AuthCall {
            name: self.label,
            target: AuthTarget::Form { url: self.url, form },
            authorization: self.authorization,
            retries: true,
            is_idempotent: false,
        };
        let raw = transport::send(client, call, Ok).await?;
        let body = match &raw.body {
            RawBody::Bytes(bytes) => &**bytes,
            // The client did not request it.
            RawBody::Stream(_) => &[],
        };
        Ok(TokenEndpointResponse::read(
            self.server_name,
            self.label,
            raw.status,
            HeaderMap::clone(raw.headers.map()),
            body,
            secrets,
        ))
    }
}

impl TokenEndpointResponse {
    /// Reads a response; `sent_secrets` were sent, and must not be shown if it repeats them.
    pub(super) fn read(
        server_name: &'static str,
        label: &'static str,
        status: StatusCode,
        headers: HeaderMap,
        body: &[u8],
        secrets: Vec<SecretString>,
    ) -> Self {
        let markup = Markup::of(&headers, body);
        let html = markup == Some(Markup::Html);
        let fields =
            if markup.is_some() { ResponseFields::default() } else { ResponseFields::read(body) };
        Self { server_name, label, status, headers, html, fields, sent_secrets: secrets }
    }

    /// Returns the OAuth error in the response, such as `slow_down`.
    ///
    /// GitHub's 404 contains `{"error":"Not Found"}`, which is not an OAuth error.
    pub(crate) fn code(&self) -> Option<&str> {
        let code = self.fields.text("error").filter(|code| !code.is_empty());
        code.filter(|_| self.status != StatusCode::NOT_FOUND)
    }

    pub(crate) fn fields(&self) -> &ResponseFields {
        &self.fields
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        crate::headers::retry_after::retry_after(&self.headers)
    }

    /// Returns whether a later retry might succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self.code() {
            Some(code) => errors::is_temporary(code),
            None => {
                // GitHub also rejects a caller that exceeds a limit with 403, and then had no effect.
                let message = || self.fields.text("message").unwrap_or_default();
                let names_rate_limit = self.status == StatusCode::FORBIDDEN
                    && indicates_rate_limit(message(), &self.headers);
                FailureClass::of_status(self.status, names_rate_limit).is_transient()
            }
        }
    }

    /// Returns the token in the response.
    ///
    /// # Errors
    /// If there is none: the error states the reason as far as the response does.
    pub(crate) fn token(self, grant: GrantType) -> Result<AccessToken> {
        if self.code().is_some() || !self.status.is_success() {
            return Err(self.unexpected_response(grant));
        }
        let Some(token) = self.fields.secret("access_token") else {
            return Err(self.unexpected_response(grant));
        };
        let kind = self.fields.text("token_type").unwrap_or_default();
        if !kind.eq_ignore_ascii_case("bearer") {
            let (server, kind) = (self.server_name, self.display_text(kind).unwrap_or_default());
            return Err(self.explain(
                AuthFailure::OAuth,
                format!("{server} issued a token of type \"{kind}\" instead of a bearer token"),
                "only bearer tokens are supported; check that the URL is a token endpoint",
            ));
        }
        let mut token = AccessToken::new(token.clone())?;
        if let Some(lifetime) = self.fields.seconds("expires_in") {
            token = token.expires_in(lifetime);
        }
        if let Some(scopes) = self.fields.text("scope") {
            // RFC 6749 separates scopes with spaces, GitHub with commas.
            token = token.with_scopes(scopes.split([' ', ',']).filter(|scope| !scope.is_empty()));
        }
        if let Some(refresh) = self.fields.secret("refresh_token") {
            let end = self.fields.seconds("refresh_token_expires_in");
            let end = end.and_then(|end| SystemTime::now().checked_add(end));
            token = token.with_refresh_token(refresh.clone(), end);
        }
        Ok(token)
    }

    /// Returns the error for an unexpected response.
    pub(crate) fn unexpected_response(self, grant: GrantType) -> Error {
        let (failure, what, advice) = match self.code() {
            Some(code) => errors::from_code(self.server_name, code, self.display_text(code), grant),
            None => errors::from_status(self.server_name, self.status, self.html),
        };
        let retryable = self.is_transient();
        self.explain(failure, what, advice).with_retryable(retryable)
    }

    /// Returns the error, with the response as its source. The outer error has no status: to a caller whose token is
    /// requested, a 404 would look like that of its own call.
    fn explain(self, failure: AuthFailure, what: String, advice: &'static str) -> Error {
        let mut response = format!("{} returned {}", self.server_name, self.status);
        if let Some(code) = self.code().and_then(|code| self.display_text(code)) {
            response.push_str(&format!(" with the error {code}"));
        }
        let description = self.fields.text("error_description");
        if let Some(description) = description.and_then(|text| self.display_text(text)) {
            response.push_str(&format!(": \"{description}\""));
        }
        let source = Error::new(ErrorKind::Api, response)
            .with_operation(&self.label.into())
            .with_retryable(self.is_transient())
            .with_response(self.status, self.headers);
        failure.error(what, advice).with_source(source)
    }

    /// Returns a text from the response for an error message, unless it contains a secret.
    fn display_text(&self, text: &str) -> Option<String> {
        let own = ["access_token", "refresh_token", "device_code"];
        let own = own.iter().filter_map(|name| self.fields.secret(name));
        let mut secrets = self.sent_secrets.iter().chain(own).map(|secret| secret.expose_secret());
        let leaks = secrets.any(|secret| !secret.is_empty() && text.contains(secret));
        (!leaks).then(|| OneLine(text).to_string())
    }
}

/// The named values of a response. All are treated as secrets, since some of them are.
#[derive(Default)]
pub(crate) struct ResponseFields(BTreeMap<String, SecretString>);

impl ResponseFields {
    fn read(body: &[u8]) -> Self {
        if let Ok(fields) = serde_json::from_slice(body) {
            return fields;
        }
        let pairs = form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect())
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name).filter(|value| !value.expose_secret().is_empty())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.expose_secret())
    }

    /// Parses a number of seconds, which some servers write as text.
    pub(crate) fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = self.text(name)?.trim();
        let whole = seconds.split_once('.').map_or(seconds, |(whole, _)| whole);
        whole.parse().ok().map(Duration::from_secs)
    }
}

impl<'de> Deserialize<'de> for ResponseFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = ResponseFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ResponseFields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, Field(value))) = map.next_entry::<String, Field>()? {
                    if let Some(value) = value {
                        fields.insert(name, value);
                    }
                }
                Ok(ResponseFields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A text or a number; anything else is ignored.
struct Field(Option<SecretString>);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field(Some(text.into())))
            }

            fn visit_string<E>(self, text: String) -> Result<Field, E> {
                Ok(Field(Some(text.into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
                Ok(Field(Some(number.to_string().into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Field, E> {
                Ok(Field(Some(number.to_string().into())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Field, E> {
                Ok(Field(Some(number.to_string().into())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field(None))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_forms_are_read_alike() {
        for body in [
            r#"{"access_token":"gho_a","expires_in":28800,"scope":"repo,gist","x":[{"y":null}]}"#,
            r#"{"access_token":"gho_a","expires_in":"28800","scope":"repo,gist","x":true}"#,
            r#"{"access_token":"gho_a","expires_in":28800.0,"scope":"repo,gist","x":null}"#,
            "access_token=gho_a&expires_in=28800&scope=repo%2Cgist",
        ] {
            let fields = ResponseFields::read(body.as_bytes());
            assert_eq!(fields.text("access_token"), Some("gho_a"), "{body}");
            assert_eq!(fields.seconds("expires_in"), Some(Duration::from_secs(28800)), "{body}");
            assert_eq!(fields.text("scope"), Some("repo,gist"), "{body}");
            assert!(fields.text("x").is_none(), "{body}");
        }
    }

    #[test]
    fn an_invalid_token_response_has_no_fields() {
        for body in ["", "<html>access_token</html>", "[]", "null", "{", "\u{0}\u{1}=&&="] {
            let fields = ResponseFields::read(body.as_bytes());
            assert!(fields.secret("access_token").is_none(), "{body}");
            assert!(fields.text("error").is_none(), "{body}");
        }
        let fields = ResponseFields::read(br#"{"expires_in":-1,"interval":"soon"}"#);
        assert!(fields.seconds("expires_in").is_none() && fields.seconds("interval").is_none());
    }

    /// A token request is repeated after the same responses as any other request.
    #[test]
    fn a_response_is_transient_if_the_same_api_error_is_retryable() {
        const LIMIT: &str = "You have exceeded a secondary rate limit.";
        for code in 100..=999 {
            for (message, retry_after) in [("", None), (LIMIT, None), ("", Some("60"))] {
                let status = StatusCode::from_u16(code).unwrap();
                let retry_after = retry_after.map(HeaderValue::from_static);
                let headers: HeaderMap = retry_after
                    .map(|value| (http::header::RETRY_AFTER, value))
                    .into_iter()
                    .collect();
                let body = format!(r#"{{"message":"{message}"}}"#);
                let body = body.as_bytes();
                let error =
                    Error::from_response(&"oauth".into(), status, headers.clone(), body, body);
                let reply =
                    TokenEndpointResponse::read(GITHUB, "oauth", status, headers, body, Vec::new());
                assert_eq!(reply.is_transient(), error.is_retryable(), "{code} {message}");
                let names_limit = message == LIMIT || !error.headers().unwrap().is_empty();
                let expected = [408, 425, 429, 500, 502, 503, 504].contains(&code)
                    || (code == 403 && names_limit);
                assert_eq!(reply.is_transient(), expected, "{code} {message}");
                assert_eq!(reply.unexpected_response(GrantType::Device).is_retryable(), expected);
            }
        }
        for (code, expected) in [
            ("server_error", true),
            ("temporarily_unavailable", true),
            ("slow_down", false),
            ("access_denied", false),
        ] {
            // The code decides, whatever the status is.
            for status in [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE] {
                let body = format!(r#"{{"error":"{code}"}}"#);
                let reply = TokenEndpointResponse::read(
                    GITHUB,
                    "oauth",
                    status,
                    HeaderMap::new(),
                    body.as_bytes(),
                    Vec::new(),
                );
                assert_eq!(reply.is_transient(), expected, "{status} {code}");
            }
        }
    }
}
