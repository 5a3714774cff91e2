//! The secrets in the header of a credential.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::looks;
use super::secrets::{self, KnownSecrets, MIN_SECRET_BYTES, Retention};

/// The header of a credential that many requests carry: a scheme, such as `Bearer`, and a token.
///
/// Its secrets are determined once. Each request only marks them as used, and remembers them again if they were
/// evicted.
#[derive(Clone)]
pub(crate) struct SecretHeader {
    value: HeaderValue,
    /// The keys of its secrets among the known ones.
    keys: Arc<[u64]>,
}

impl SecretHeader {
    /// Marks the value as sensitive, and remembers its secrets.
    pub(crate) fn new(mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        let mut keys = Vec::new();
        fold_secrets(value.as_bytes(), Retention::Used, true, secrets::known(), |known, secret| {
            let known = known.remember(secret, Retention::Used);
            keys.extend(known.keys(secret));
            known
        });
        Self { value, keys: keys.into() }
    }

    pub(crate) fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Marks the secrets as used. Returns whether the value is this one, and all its secrets are known.
    pub(super) fn mark_used(&self, value: &HeaderValue, known: &KnownSecrets) -> bool {
        self.value == *value && known.mark_used(&self.keys, Retention::Used)
    }
}

/// Calls a function with each secret of a credential: the whole value, the part after the scheme, and each part that
/// looks random. It receives the result of the previous call.
pub(super) fn fold_secrets<T>(
    value: &[u8],
    keep: Retention,
    is_authorization: bool,
    first: T,
    mut visit: impl FnMut(T, &[u8]) -> T,
) -> T {
    let value = value.trim_ascii();
    let space = value.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    let is_scheme = looks::is_scheme(scheme);
    let secret = if is_scheme || is_authorization { rest } else { value };
    let mut result = visit(first, secret);
    // The rest is sufficient where it is known to be the secret.
    if !is_scheme || rest.len() < MIN_SECRET_BYTES {
        result = visit(result, value);
    }
    let is_random = match keep {
        Retention::Random => looks::is_random,
        Retention::Used | Retention::Pinned => looks::is_random_credential,
    };
    for word in looks::words(value) {
        if word != secret && is_random(word) {
            result = visit(result, word);
        }
    }
    if scheme.eq_ignore_ascii_case(b"basic")
        && let Ok(pair) = STANDARD.decode(rest).map(Zeroizing::new)
        && let Some(colon) = pair.iter().position(|byte| *byte == b':')
    {
        result = visit(result, &pair[colon + 1..]);
        // A token can be the name.
        if looks::is_random_credential(&pair[..colon]) {
            result = visit(result, &pair[..colon]);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::AUTHORIZATION;

    use super::super::exchange::remember_and_mark;
    use super::super::has_secret;
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    /// Sends a request with this value, by a client with this credential. Returns how often it took the lock: once, if
    /// nothing new is remembered.
    fn send(text: &str, credential: &SecretHeader) -> usize {
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, value(text))]);
        let before = secrets::READS.get();
        let url = "https://a.example/".parse().unwrap();
        remember_and_mark(&mut headers, &url, |_| false, [credential].into_iter());
        assert!(headers[AUTHORIZATION].is_sensitive());
        secrets::READS.get() - before
    }

    fn knows(text: &str) -> bool {
        has_secret(text.as_bytes())
    }

    #[test]
    fn the_secrets_of_a_credential_are_known_before_and_after_it_is_sent() {
        let long = format!("Bearer cred{}", "0123456789abcde/".repeat(200));
        for (text, secrets) in [
            ("Bearer cred-l0ng-token", &["cred-l0ng-token"][..]),
            // Too short without its scheme.
            ("Bearer cred1", &["Bearer cred1"]),
            // Parts of it look random.
            (
                "Bearer cred=9fX2kLq7Vw3TzR8c;cred-rest",
                &["cred=9fX2kLq7Vw3TzR8c;cred-rest", "9fX2kLq7Vw3TzR8c"],
            ),
            (&long, &[&long["Bearer ".len()..]]),
        ] {
            let credential = SecretHeader::new(value(text));
            assert!(credential.value().is_sensitive() && credential.value() == text);
            assert!(secrets.iter().all(|secret| knows(secret)), "{text}");
            for _ in 0..2 {
                assert_eq!(send(text, &credential), 1, "{text}");
                assert!(secrets.iter().all(|secret| knows(secret)), "{text}");
            }
            assert!(!knows("Bearer ") && !knows("cred-rest"));
        }
    }

    #[test]
    fn evicted_secrets_are_remembered_again() {
        let text = "Bearer cred-3victed=9fX2kLq7Vw3TzR8e";
        // The keys of secrets that are not known.
        let credential = SecretHeader { value: value(text), keys: Arc::from([1, 2]) };
        assert!(!knows("cred-3victed") && !knows("9fX2kLq7Vw3TzR8e"));
        send(text, &credential);
        assert!(knows("cred-3victed=9fX2kLq7Vw3TzR8e") && knows("9fX2kLq7Vw3TzR8e"));
    }

    #[test]
    fn a_credential_in_place_of_the_clients_is_remembered() {
        let credential = SecretHeader::new(value("Bearer cred-of-client"));
        send("Bearer cred-of-caller", &credential);
        assert!(knows("cred-of-caller"));
    }
}
