//! The meaning of header and parameter names. All are in lower case.

/// Headers whose values are not secrets, and can be ordinary words or new in each request.
const ORDINARY: [&str; 39] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "b3",
    "baggage",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "expect",
    "graphql-features",
    "host",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "prefer",
    "range",
    "referer",
    "sentry-trace",
    "te",
    "time-zone",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-amz-date",
    "x-cloud-trace-context",
    "x-github-api-version",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-request-id",
];
/// Prefixes of the names of such headers.
const TRACES: &str = "x-b3-";

/// Parts of names that suggest a secret.
const SECRET_PARTS: [&str; 19] = [
    "access-code",
    "access_code",
    "accesskey",
    "apikey",
    "api-key",
    "api_key",
    "assertion",
    "authkey",
    "cookie",
    "credential",
    "jwt",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "private",
    "secret",
    "session",
    "token",
];
/// Words of a name that suggest a secret, but also occur within other words that do not: `author`, `compass`.
const SECRET_WORDS: [&str; 10] = [
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "creds",
    "hmac",
    "oauth",
    "oauth2",
    "pwd",
    "xauth",
];
/// The same, for the last word of a name only.
const SECRET_LAST_WORDS: [&str; 2] = ["cred", "pass"];
/// The same for words that can also name an ordinary value in a query: a cache has a `key`.
const KEY_LAST_WORDS: [&str; 4] = ["key", "pat", "sig", "signature"];
/// Words in a name ending with `key` which mean that the key grants access: a `proxy-key` does, and a `routing-key`
/// does not.
const ACCESS_WORDS: [&str; 9] = [
    "access",
    "admin",
    "consumer",
    "encryption",
    "gateway",
    "master",
    "proxy",
    "signing",
    "subscription",
];
/// Headers with a credential for a gateway, or with the name of one.
const GATEWAYS: [&str; 2] = ["gateway", "x-gateway"];
/// Names that suggest nothing but a secret.
const SECRET_NAMES: [&str; 5] = ["code", "code_verifier", "device_code", "gateway", "x-gateway"];

/// Last words of a name which mean that the value is only a property of a secret: `x-auth-mode`.
const ABOUT_WORDS: [&str; 32] = [
    "affinity", "audience", "count", "domain", "email", "enabled", "expires", "expiry", "format",
    "group", "groups", "host", "issuer", "kind", "method", "mode", "name", "names", "provider",
    "realm", "role", "roles", "scheme", "scope", "scopes", "state", "status", "type", "types",
    "user", "username", "version",
];
/// First words of a name which mean that the value is a choice: `hide_secret`.
const CHOICE_WORDS: [&str; 7] = ["exclude", "has", "hide", "include", "is", "show", "with"];

fn words(name: &str) -> impl DoubleEndedIterator<Item = &str> {
    name.split(['-', '_', '.', '[', ']']).filter(|word| !word.is_empty())
}

/// Returns whether a header of this name is never redacted.
pub(super) fn is_ordinary(name: &str) -> bool {
    ORDINARY.contains(&name) || name.starts_with(TRACES)
}

/// Returns whether it contains an identifier, or is one of GitHub's.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with("x-github-") || name.ends_with("-id")
}

/// Returns whether the name suggests a secret.
pub(super) fn is_of_secret(name: &str) -> bool {
    SECRET_NAMES.contains(&name)
        || has_secret_word(name)
        || words(name).next_back().is_some_and(|word| KEY_LAST_WORDS.contains(&word))
}

/// Returns whether a header whose name suggests a secret can have an ordinary value as well: `x-routing-key`,
/// `x-gateway`.
pub(super) fn can_be_ordinary(name: &str) -> bool {
    let is_key = words(name).next_back() == Some("key");
    let gives_access = words(name).any(|word| ACCESS_WORDS.contains(&word));
    !has_secret_word(name) && (GATEWAYS.contains(&name) || (is_key && !gives_access))
}

/// Returns whether a parameter of this name is the signature of a URL: `X-Amz-Signature`, and `urlSignature` of the logs
/// of GitHub Actions.
pub(super) fn is_of_signature(name: &str) -> bool {
    words(name).next_back().is_some_and(|word| word.ends_with("signature"))
}

/// Returns whether the name suggests a secret, and no other kind of parameter.
pub(super) fn is_of_secret_only(name: &str) -> bool {
    name != "private" && has_secret_word(name)
}

fn has_secret_word(name: &str) -> bool {
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || words(name).any(|word| SECRET_WORDS.contains(&word))
        || words(name).next_back().is_some_and(|word| SECRET_LAST_WORDS.contains(&word))
}

/// Returns whether a header's name suggests a property of a secret, not the secret. The id of a session is one.
pub(super) fn is_about_secret(name: &str) -> bool {
    let mut words = words(name.strip_prefix("x-").unwrap_or(name));
    let is_choice = words.next().is_some_and(|word| CHOICE_WORDS.contains(&word));
    is_choice || words.next_back().is_some_and(|word| ABOUT_WORDS.contains(&word))
}

/// Returns the same for a parameter's name.
pub(super) fn is_about_value(name: &str) -> bool {
    is_about_secret(name)
        || words(name).next_back().is_some_and(|word| matches!(word, "id" | "ids"))
}
