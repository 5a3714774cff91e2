//! The credentials that are attached to one attempt.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::identity::{Gateway, Identity};
use super::provider::Rejection;
use super::token_manager::{CachedToken, TokenManager};
use super::transport::AuthTransport;
use crate::error::Result;
use crate::sanitize::SecretHeader;

/// The tokens of one attempt.
#[derive(Debug, Default)]
pub(crate) struct RequestCredentials {
    github: Option<Arc<CachedToken>>,
    gateway: Option<(HeaderName, Arc<CachedToken>)>,
}

/// How often a call is repeated after a rejected token: while a new token propagates, once with another token, and for
/// an App once per key and once after a clock correction.
pub(crate) const MAX_REJECTIONS: u32 = 8;

impl RequestCredentials {
    /// Returns the tokens of an attempt at GitHub's API: only the gateway's for a call with a request credential.
    pub(crate) async fn resolve(
        identity: &Identity,
        gateway: Option<&Gateway>,
        transport: &dyn AuthTransport,
        has_request_credential: bool,
    ) -> Result<Self> {
        let mut credentials = Self::default();
        if let Some(token_manager) = identity.token_manager().filter(|_| !has_request_credential) {
            credentials.github = Some(token_manager.token(transport).await?);
        }
        if let Some(gateway) = gateway {
            let cached = match gateway.token_manager.fresh_token() {
                Some(cached) => cached,
                None => gateway.token_manager.token(&*transport.without_tokens()).await?,
            };
            credentials.gateway = Some((gateway.header.clone(), cached));
        }
        Ok(credentials)
    }

    /// Adds the tokens to the headers of a request to GitHub.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if let Some(cached) = &self.github {
            headers.insert(AUTHORIZATION, cached.header());
        }
        if let Some((name, cached)) = &self.gateway {
            headers.insert(name.clone(), cached.header());
        }
    }

    /// Returns the tokens as headers.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &SecretHeader> + Clone {
        let gateway = self.gateway.iter().map(|(_, cached)| cached.secret_header());
        self.github.iter().map(|cached| cached.secret_header()).chain(gateway)
    }

    /// Removes a partial token of this attempt from the end of a truncated body: in other places, only whole tokens are
    /// recognized.
    pub(crate) fn redact_cut_token(
        &self,
        request_authorization: Option<&HeaderValue>,
        mut body: Bytes,
    ) -> Bytes {
        let github = self.github.iter().map(|cached| cached.header());
        let gateway = self.gateway.iter().map(|(_, cached)| cached.header());
        for header in github.chain(gateway).chain(request_authorization.cloned()) {
            // Without the scheme, such as `Bearer`.
            let token = header.as_bytes().rsplit(|byte| *byte == b' ').next();
            body = without_beginning_at_end(body, token.unwrap_or_default());
        }
        body
    }

    /// Returns the next step after a 401: send again after this delay, or fail. `identity` and `gateway` are those that
    /// the tokens came from.
    pub(crate) fn on_unauthorized(
        &self,
        identity: &Identity,
        gateway: Option<&Gateway>,
        times: u32,
        rejection: &Rejection<'_>,
    ) -> Option<Duration> {
        if times >= MAX_REJECTIONS {
            return None;
        }
        let reject = |token_manager: &Arc<TokenManager>, cached: &CachedToken| {
            token_manager.on_rejected(cached, times, rejection)
        };
        // GitHub's responses have a request id; a response without one might be the gateway's own rejection.
        let by_github = rejection.headers.contains_key("x-github-request-id");
        let gateway = self.gateway.as_ref().zip(gateway).filter(|_| !by_github);
        let gateway =
            gateway.and_then(|((_, cached), gateway)| reject(&gateway.token_manager, cached));
        gateway.or_else(|| {
            let (cached, token_manager) = self.github.as_ref().zip(identity.token_manager())?;
            reject(token_manager, cached)
        })
    }
}

/// Returns the text without a prefix of the secret at its end.
fn without_beginning_at_end(mut text: Bytes, secret: &[u8]) -> Bytes {
    // A few bytes disclose nothing.
    const MIN_REDACTED_PREFIX: usize = 4;
    let longest = secret.len().min(text.len());
    let found =
        (MIN_REDACTED_PREFIX..=longest).rev().find(|length| text.ends_with(&secret[..*length]));
    text.truncate(text.len().saturating_sub(found.unwrap_or(0)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_a_secret_at_the_end_is_removed() {
        for (text, expected) in [
            ("", ""),
            ("x: secret-", "x: "),
            ("x: secr", "x: "),
            ("secret-1", ""),
            ("x: sec", "x: sec"),
            ("x: secret-2", "x: secret-2"),
        ] {
            let text = Bytes::from(text);
            assert_eq!(without_beginning_at_end(text, b"secret-1"), expected);
        }
    }
}
