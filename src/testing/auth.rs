//! Access control of the mock, if a test enables it.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::clock::Clock;
use super::locks::lock;
use super::received::RecordedRequest;
use super::wire_response::WireResponse;
use crate::util::ids;

/// The lifetime of an installation access token.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// The maximum lifetime of an App's JWT at GitHub.
const JWT_LIFETIME: u64 = 600;

/// The accepted clock skew.
const SKEW: u64 = 60;

/// Maximum number of stored tokens, the newest.
const MAX_TOKENS: usize = 10_000;

#[derive(Default)]
pub(super) struct MockAuth {
    /// Whether access control is enabled.
    pub(super) required: bool,
    pub(super) token: Option<SecretString>,
    issued: Mutex<Vec<(SecretString, SystemTime)>>,
}

impl MockAuth {
    /// Issues a new installation access token, and returns its expiry.
    pub(super) fn issue_token(&self, clock: &Clock) -> (String, String) {
        let token = format!("ghs_mock{}", ids::unique_id().replace('-', ""));
        let mut issued = lock(&self.issued);
        issued.retain(|(_, ends)| *ends > clock.now());
        if issued.len() >= MAX_TOKENS {
            issued.remove(0);
        }
        let now = clock.now();
        let ends = now.checked_add(TOKEN_LIFETIME).unwrap_or(now);
        issued.push((token.clone().into(), ends));
        (token, clock.text(TOKEN_LIFETIME))
    }

    /// Returns GitHub's rejection, if the identity cannot make the request.
    pub(super) fn reject(&self, request: &RecordedRequest, clock: &Clock) -> Option<WireResponse> {
        if !self.required {
            return None;
        }
        let given = request.header("authorization").unwrap_or_default();
        let (scheme, given) = given.split_once(' ').unwrap_or(("", given));
        let docs = "https://docs.github.com/rest";
        let wrong = |message| Some(WireResponse::error(401, message, docs));
        if given.is_empty() {
            return wrong("Requires authentication");
        }
        match request.operation_id.as_deref() {
            // An OAuth app authenticates with its id and secret.
            _ if request.path.starts_with("/applications/") => {
                let basic = scheme.eq_ignore_ascii_case("basic");
                if basic { None } else { wrong("Bad credentials") }
            }
            Some(id) if is_of_an_app(id, &request.path) => match is_jwt(given, clock) {
                Ok(()) => None,
                Err(message) => wrong(message),
            },
            _ if self.is_known(given, clock) => None,
            _ => wrong("Bad credentials"),
        }
    }

    fn is_known(&self, given: &str, clock: &Clock) -> bool {
        let is = |token: &SecretString| token.expose_secret() == given;
        self.token.as_ref().is_some_and(is)
            || lock(&self.issued).iter().any(|(token, ends)| is(token) && *ends > clock.now())
    }
}

/// Returns whether an operation requires the App itself.
fn is_of_an_app(id: &str, path: &str) -> bool {
    path == "/app"
        || path.starts_with("/app/")
        || matches!(
            id,
            "apps/get-org-installation"
                | "apps/get-repo-installation"
                | "apps/get-user-installation"
        )
}

/// Returns whether it is an App's JWT by form and time. The App's key is not known here.
fn is_jwt(given: &str, clock: &Clock) -> Result<(), &'static str> {
    let payload = given.split('.').nth(1).filter(|_| given.split('.').count() == 3);
    let payload = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let payload = payload.and_then(|payload| serde_json::from_slice::<Value>(&payload).ok());
    let payload = payload.ok_or("A JSON web token could not be decoded")?;
    let time = |name: &str| payload[name].as_u64().or(payload[name].as_f64().map(|it| it as u64));
    let now = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if payload.get("iss").is_none() {
        return Err("'Issuer' claim ('iss') must be provided");
    }
    match (time("iat"), time("exp")) {
        (_, Some(exp)) if exp.saturating_add(SKEW) <= now => {
            Err("'Expiration time' claim ('exp') is in the past")
        }
        (_, Some(exp)) if exp > now.saturating_add(JWT_LIFETIME.saturating_add(SKEW)) => {
            Err("'Expiration time' claim ('exp') is too far in the future")
        }
        (Some(iat), Some(_)) if iat > now.saturating_add(SKEW) => Err(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ),
        (Some(_), Some(_)) => Ok(()),
        _ => Err(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        ),
    }
}
