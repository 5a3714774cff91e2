//! The bodies of requests and responses in the log, for debugging: redacted and truncated.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use tracing::debug;

use crate::sanitize::{self, HIDDEN};

/// The settings of body logging: see [`ClientBuilder::body_logging`](crate::ClientBuilder::body_logging).
///
/// Each body is an event of the level DEBUG and the target `octowire::body`, within the span of its attempt. JSON
/// bodies are logged without potential secrets; for other response bodies, only the size is logged. Streamed bodies,
/// and request bodies that are not JSON, are not logged.
///
/// The following values are redacted:
///
/// - values whose name suggests a secret: `token`, `secret`, `password`, `key`, `pem`, `code`, `credential`,
///   `authorization`, `jwt`, `signature`, `cookie`, `passphrase` and `content` (of files), alone or in a longer name,
///   and any name that [`redact_field`](Self::redact_field) adds;
/// - any text that looks like a GitHub token, a JWT or a key;
/// - the queries of URLs;
/// - a secret that this process has used, wherever it occurs.
///
/// Control characters and invisible characters are escaped. Redaction is a best effort: text that people write, such as
/// the text of an issue, is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing before it is given to a client"]
pub struct BodyLogging {
    max_bytes: usize,
    names: Vec<String>,
}

/// Names that suggest a secret, in lower case.
const SECRET_NAMES: [&str; 13] = [
    "content",
    "passphrase",
    "token",
    "secret",
    "password",
    "key",
    "pem",
    "code",
    "credential",
    "authorization",
    "jwt",
    "signature",
    "cookie",
];

/// The maximum size in bytes of a body that is parsed for the log.
const MAX_PARSED_BYTES: usize = 1024 * 1024;

impl Default for BodyLogging {
    fn default() -> Self {
        Self { max_bytes: 4096, names: Vec::new() }
    }
}

impl BodyLogging {
    /// Sets how many bytes of a body are logged; 4,096 by default. Bodies of more than 1 MiB are not logged.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Redacts also the values under this name, in upper or lower case, alone or in a longer name.
    pub fn redact_field(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into().to_lowercase());
        self
    }

    /// Logs the body of a request, if it is JSON.
    pub(crate) fn log_request(&self, json: Option<&Bytes>) {
        if let Some(body) = json {
            debug!(target: "octowire::body", body = self.render(body), "request");
        }
    }

    /// Logs the body of a response.
    pub(crate) fn log_response(&self, status: StatusCode, body: &Bytes) {
        let status = status.as_u16();
        debug!(target: "octowire::body", status, body = self.render(body), "response");
    }

    /// Returns the body as it is logged.
    fn render(&self, body: &[u8]) -> String {
        let size = body.len();
        let json = (size <= MAX_PARSED_BYTES)
            .then(|| serde_json::from_slice::<Value>(body).ok())
            .flatten();
        let Some(mut json) = json else { return format!("[{size} bytes]") };
        self.redact(&mut json);
        let mut text = sanitize::text(&json.to_string(), usize::MAX).into_owned();
        if text.len() > self.max_bytes {
            let end = (0..=self.max_bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push_str(&format!("… [{size} bytes]"));
        }
        text
    }

    fn redact(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    match self.is_secret(name) && !value.is_null() {
                        true => *value = HIDDEN.into(),
                        false => self.redact(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact(item)),
            Value::String(text) if looks_like_secret(text) => *text = HIDDEN.to_owned(),
            // The queries of URLs to files contain tokens and signatures.
            Value::String(text) if text.starts_with("http") && text.contains('?') => {
                let end = text.find('?').unwrap_or(text.len());
                text.truncate(end);
                text.push_str("?…");
            }
            _ => {}
        }
    }

    fn is_secret(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        SECRET_NAMES.iter().any(|secret| name.contains(secret))
            || self.names.iter().any(|secret| name.contains(secret.as_str()))
    }
}

/// Returns whether a text contains a key, or a part that looks like a
/// [GitHub token](https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/)
/// or a JWT.
fn looks_like_secret(text: &str) -> bool {
    let part = |part: &str| {
        let tokens = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "eyJ"];
        let begins = tokens.iter().any(|prefix| part.starts_with(prefix));
        // The older tokens of installations.
        let older = part.strip_prefix("v1.").is_some_and(|rest| rest.len() >= 40);
        (begins && part.len() >= 20) || older
    };
    text.contains("-----BEGIN")
        || text.split(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c))).any(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn possible_secrets_are_redacted() {
        let body = json!({
            "title": "Found a bug",
            "access_token": "abc",
            "config": { "url": "https://x", "Client-Secret": 7, "empty_token": null },
            "list": [{ "private_key": ["a", "b"] }, "see ghp_16C7e42F292c6912E7710c838347Ae178B4a"],
            "header": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOjF9.c2ln",
            "old": "v1.1f699f1069f60xxx0123456789012345678901234567",
            "mine": "hush",
            "download_url": "https://raw.githubusercontent.com/a/b/x?token=GHSAT0AAA",
            "text": "-----BEGIN RSA PRIVATE KEY-----",
        });
        let shown = BodyLogging::default().redact_field("MINE").render(body.to_string().as_bytes());
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let expected = json!({
            "title": "Found a bug",
            "access_token": HIDDEN,
            "config": { "url": "https://x", "Client-Secret": HIDDEN, "empty_token": null },
            "list": [{ "private_key": HIDDEN }, HIDDEN],
            "header": HIDDEN,
            "old": HIDDEN,
            "mine": HIDDEN,
            "download_url": "https://raw.githubusercontent.com/a/b/x?…",
            "text": HIDDEN,
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn long_bodies_are_cut_and_others_only_measured() {
        let log = BodyLogging::default().max_bytes(6);
        assert_eq!(log.render("\"ööööö\"".as_bytes()), "\"öö… [12 bytes]");
        assert_eq!(log.render(b"\xff\xfe secret"), "[9 bytes]");
        let large = format!("\"{}\"", "x".repeat(MAX_PARSED_BYTES));
        assert_eq!(log.render(large.as_bytes()), format!("[{} bytes]", MAX_PARSED_BYTES + 2));
    }
}
