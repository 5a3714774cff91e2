//! The JWT of an App: three parts, one algorithm.
//!
//! GitHub's rules for it:
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::signer::AppSigner;
use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::sanitize;

/// The lifetime of a JWT: with the backdating of `iat`, exactly GitHub's ten minutes.
pub(super) const LIFETIME: Duration = Duration::from_secs(9 * 60);
/// GitHub recommends to backdate `iat`, in case its clock is behind.
const ISSUED_AT_SKEW: i64 = 60;

/// Creates a JWT for the current time. `skew` is added to the local clock, in seconds.
pub(super) async fn sign(issuer: &str, skew: i64, signer: &dyn AppSigner) -> Result<SecretString> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 2).saturating_add(skew);
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "iat": now.saturating_sub(ISSUED_AT_SKEW),
        "exp": now.saturating_add(LIFETIME.as_secs() as i64),
        "iss": claim(issuer),
    });
    let message = format!("{}.{}", encode_part(&header), encode_part(&claims));
    let signature = signer.sign(message.as_bytes()).await?;
    if signature.is_empty() {
        return Err(AuthFailure::Signer.error(
            "App JWT signing failed: the signer returned an empty signature",
            "return the RSASSA-PKCS1-v1_5 SHA-256 signature of the message from the signer",
        ));
    }
    let jwt = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    sanitize::remember(jwt.as_bytes());
    Ok(jwt.into())
}

/// Converts the issuer: an App id is a number, a client id is text.
fn claim(issuer: &str) -> Value {
    issuer.parse::<u64>().map_or_else(|_| issuer.into(), Value::from)
}

fn encode_part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
