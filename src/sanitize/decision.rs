//! The classification of headers and parameters of a request: only this module decides.
//!
//! For a header, the first matching line decides:
//!
//! | Name | Caller's mark | Value | Remembered | Marked as sensitive |
//! |---|---|---|---|---|
//! | any | sensitive | any | yes | yes |
//! | `authorization`, `proxy-authorization`, `cookie` | none | any | yes | yes |
//! | ordinary: `accept`, `traceparent`, `x-b3-…` | none | any | no | no |
//! | secret name: `x-api-key`, `x-proxy-key`, `x-auth` | none | any | yes | yes |
//! | secret or ordinary name: `x-routing-key`, `x-gateway` | none | looks random, or begins with a scheme: `Bearer …` | yes | yes |
//! | the same | none | does not | no | yes |
//! | `x-github-…`, `…-id` | none | any | no | no |
//! | any other, also one about a secret: `x-auth-mode` | none | looks random | among the last few | yes |
//! | any other | none | does not | no | yes |
//!
//! and for a query parameter:
//!
//! | Name | Value | Remembered |
//! |---|---|---|
//! | documented for the operation | any | no |
//! | secret name: `client_secret`, `auth`, `urlSignature` | any | yes |
//! | secret or ordinary name: `key`, `code` | looks random, or is a run of 16 letters | yes |
//! | any other, also one about a secret: `token_id` | any | no |
//!
//! A remembered value is redacted wherever a server repeats it. The mark only excludes a value from `Debug` and from
//! the tables of HTTP/2. [`names`] contains the names, and [`looks`] the forms of values.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderName, HeaderValue};

use super::{looks, names};

/// The class of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Classification {
    /// The value is shown.
    Ordinary,
    /// The value is marked, and not remembered.
    Private,
    /// The value is marked, and remembered for a short time, since it can differ in each request.
    Random,
    /// The value is marked, and remembered.
    Secret,
}

/// Some of the ordinary names, which are recognized without a comparison of texts.
static FREQUENT: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, USER_AGENT];

/// Classifies a header.
pub(super) fn header(name: &HeaderName, value: &HeaderValue) -> Classification {
    let is_credential = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name);
    if value.is_sensitive() || is_credential {
        return Classification::Secret;
    }
    // Each request has them.
    if FREQUENT.contains(name) {
        return Classification::Ordinary;
    }
    let name = name.as_str();
    // Nearly all headers of a request are ordinary. The other questions cost some thousand instructions.
    if names::is_ordinary(name) {
        return Classification::Ordinary;
    }
    let is_called_secret = names::is_of_secret(name) && !names::is_about_secret(name);
    if is_called_secret
        && (!names::can_be_ordinary(name)
            || looks::is_like_credential(value.as_bytes())
            || !looks::is_of_words(value.as_bytes()))
    {
        Classification::Secret
    } else if names::is_identifier(name) && !is_called_secret {
        Classification::Ordinary
    } else if looks::has_random_word(value.as_bytes()) {
        Classification::Random
    } else {
        Classification::Private
    }
}

/// Classifies a parameter that the operation's description does not contain.
pub(super) fn parameter(name: &str, value: &[u8]) -> Classification {
    let name = name.to_ascii_lowercase();
    let is_named = names::is_of_secret_only(&name) && !names::is_about_value(&name);
    if is_named
        || names::is_of_signature(&name)
        || (names::is_of_secret(&name) && looks::is_random_credential(value))
    {
        Classification::Secret
    } else {
        Classification::Ordinary
    }
}

/// Returns whether a parameter of this name is a secret for every value.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    parameter(name, b"") == Classification::Secret
}

/// Returns whether a header is always a secret, and can be marked before it is sent.
pub(crate) fn is_secret_header(name: &HeaderName, value: &HeaderValue) -> bool {
    header(name, value) == Classification::Secret
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use Classification::{Ordinary, Private, Random, Secret};

    fn given(name: &str, value: &str, is_marked: bool) -> Classification {
        let mut value = HeaderValue::from_str(value).unwrap();
        value.set_sensitive(is_marked);
        header(&HeaderName::try_from(name).unwrap(), &value)
    }

    #[test]
    fn frequent_names_are_ordinary() {
        assert!(FREQUENT.iter().all(|name| names::is_ordinary(name.as_str())));
        assert_eq!(given("user-agent", "Bearer 9fX2kLq7Vw3TzR8n", true), Secret);
    }

    /// Words, identifiers, dates, versions and places.
    const PLAIN: [&str; 16] = [
        "some-ordinary-words",
        "true",
        "github.com",
        "2024-05-06T07:08:09Z",
        "20240506T070809Z",
        "123456789",
        "1769631742",
        "eu-west-1",
        "k8s-prod-eu-west-1a",
        "app/12.34.56-beta.7",
        "MyVeryLongServiceName2024",
        "PaymentReconciliationWorker",
        "octocat@example.com",
        "k8sproduction",
        "Europe/Amsterdam",
        "a long sentence of words",
    ];

    /// Names of organizations, regions and teams, and long words: of letters alone, some with a number at the end.
    /// Passwords can have this form as well.
    const LETTERS: [&str; 25] = [
        "googlecloudplatform",
        "facebookincubator",
        "Platformengineering",
        "PLATFORMENGINEERING",
        "GoogleCloudPlatform",
        "NationalSecurityAgency",
        "PaloAltoNetworks",
        "AWSPlatformEngineering",
        "OWASPFoundationProjects2",
        "kubernetes-sigs",
        "us-east-1",
        "australiasoutheast",
        "australiacentral2",
        "germanywestcentral",
        "northamerica-northeast1",
        "payments",
        "production",
        "platformengineering2024",
        "sitereliabilityengineering",
        "internationalization",
        "antidisestablishmentarianism",
        "rechtsschutzversicherungsgesellschaften",
        "qwertyuiopasdfghjkl",
        "QWERTYUIOPASDFGHJKL",
        "correcthorsebatterystaple",
    ];

    /// Values in the form of service keys and of typical passwords.
    const RANDOM: [&str; 21] = [
        "hunter2hunter2",
        "hQkzLLpWmRtYsXvBnTc",
        "ABCDEFghijkLMNOPqrs",
        "platform4engineering",
        "platformengineering20240",
        "PLATFORMENGINEERING2",
        "AKIAQ3EGXMPLE7H4D2WZ",
        "github_pat_11A_x0123456789abc",
        "8675309867530986",
        "xoxb-hunter-hunter-two",
        "xoxp-abcdefghijkl",
        "glpat-abcdefghijklmnop",
        "sk_live_abcdefghijkl",
        "JBSWY3DPEHPK3PXP",
        "GEZDGNBVGY3TQOJQ",
        "k3j9x2m5q8w1",
        "3w5e11264sgsf",
        "deadbeefdeadbeef",
        "9fX2kLq7Vw3TzR8m",
        "ghp_16C7e42F292c6912E7710c838347Ae17",
        "550e8400-e29b-41d4-a716-446655440000",
    ];

    #[test]
    fn a_header_that_the_caller_marked_is_a_secret_whatever_it_is_called() {
        for name in
            ["accept", "user-agent", "x-github-next", "x-request-id", "x-auth-mode", "x-b3-flags"]
        {
            assert_eq!(given(name, "ordinary words", true), Secret, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_header_decides() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "x-api-password",
            "x-auth",
            "x-pass",
            "x-pwd",
            "x-creds",
            "x-pat",
            "x-authkey",
            "x-accesskey",
            "x-hmac",
            "x-sig",
            "x-bearer",
            "x-access-code",
            "x-db-pass",
            "x-proxy-key",
            "x-access-key",
            "x-signing-key",
            "ocp-apim-subscription-key",
            "code",
            "x-session",
            "x-session-id",
            "x-vault-secret-id",
            "x-shopify-hmac-sha256",
            "x-passphrase",
            "private-token",
            "x-gateway-auth",
        ] {
            for value in PLAIN.into_iter().chain(LETTERS).chain(RANDOM) {
                assert_eq!(given(name, value, false), Secret, "{name}: {value}");
            }
        }
        for name in [
            "accept",
            "time-zone",
            "x-b3-traceid",
            "x-b3-spanid",
            "b3",
            "idempotency-key",
            "sentry-trace",
            "x-cloud-trace-context",
            "x-github-next",
            "x-correlation-id",
            "x-amz-date",
            "traceparent",
        ] {
            for value in PLAIN.into_iter().chain(RANDOM) {
                assert_eq!(given(name, value, false), Ordinary, "{name}: {value}");
            }
        }
    }

    #[test]
    fn the_looks_of_a_value_decide_where_the_name_can_be_of_an_ordinary_value() {
        for name in [
            "x-gateway",
            "gateway",
            "x-key",
            "x-routing-key",
            "x-cache-key",
            "x-partition-key",
            "x-shard-key",
            "x-github-cache-key",
        ] {
            // A short key and a typical password have this form, and no routing name has it.
            for value in [
                "kX9vTq2m",
                "Tr0ub4dor&3",
                "Winter2026!Blue",
                "p4ssw0rd",
                "s3cret!",
                "k8sproduction",
            ] {
                assert_eq!(given(name, value, false), Secret, "{name}: {value}");
            }
            let plain = PLAIN.into_iter().filter(|value| *value != "k8sproduction");
            for value in plain.chain(LETTERS) {
                assert_eq!(given(name, value, false), Private, "{name}: {value}");
                for value in [format!("Bearer {value}"), format!(" token {value}")] {
                    assert_eq!(given(name, &value, false), Secret, "{name}: {value}");
                }
                assert_eq!(given(name, value, true), Secret, "{name}: {value}");
            }
            for value in RANDOM {
                for value in [value.to_owned(), format!("{value} v1"), format!("id={value}")] {
                    assert_eq!(given(name, &value, false), Secret, "{name}: {value}");
                }
            }
        }
    }

    /// Hexadecimal digits and base64 of any length.
    #[test]
    fn machine_generated_values_look_random() {
        for number in 0..500_u32 {
            let digest = Sha256::digest(number.to_le_bytes());
            let hex = crate::util::ids::hex(digest);
            let base64 = STANDARD.encode(digest).replace(['+', '/', '='], "");
            let token = format!("ghs_{}", &base64[..36]);
            for value in [&hex[..16], &hex[..20], &hex[..32], &hex, &base64[..24], &base64, &token]
            {
                assert_eq!(given("x-upstream", value, false), Random, "{value}");
                assert_eq!(given("x-routing-key", value, false), Secret, "{value}");
                assert_eq!(parameter("key", value.as_bytes()), Secret, "{value}");
            }
        }
    }

    proptest! {
        #[test]
        fn words_do_not_look_random(
            word in "[a-z]{1,40}|[A-Z]{1,40}|[A-Z][a-z]{3,39}|[a-z]{4,36}[0-9]{1,4}"
        ) {
            prop_assert_eq!(given("x-team", &word, false), Private);
            prop_assert_eq!(given("x-gateway", &word, false), Private);
            prop_assert_eq!(given("x-routing-key", &word, false), Private);
            prop_assert_eq!(given("x-proxy-key", &word, false), Secret);
        }
    }

    #[test]
    fn the_looks_of_a_value_decide_where_the_name_says_nothing() {
        for name in [
            "x-org",
            "x-note",
            "x-author",
            "x-service",
            "x-compass",
            "x-auth-provider",
            "x-auth-mode",
            "x-token-type",
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-groups",
            "x-session-affinity",
            "x-bypass-cache",
            "x-design",
        ] {
            for value in PLAIN.into_iter().chain(LETTERS) {
                assert_eq!(given(name, value, false), Private, "{name}: {value}");
            }
            for value in RANDOM {
                assert_eq!(given(name, value, false), Random, "{name}: {value}");
                for value in
                    [format!("{value} v1"), format!("key {value}"), format!("id=\"{value}\"")]
                {
                    assert_eq!(given(name, &value, false), Random, "{name}: {value}");
                }
            }
        }
    }

    #[test]
    fn the_name_of_a_parameter_decides_and_sometimes_its_value() {
        for name in [
            "client_secret",
            "access_token",
            "refresh_token[]",
            "password",
            "api_key2",
            "auth",
            "pwd",
            "pass",
            "creds",
            "token",
            "oauth",
            "jwt",
            "Api-Key",
            "hmac",
            "bearer",
            "signature",
            "X-Amz-Signature",
            // The logs and the artifacts of GitHub Actions.
            "urlSignature",
        ] {
            for value in PLAIN.into_iter().chain(RANDOM) {
                assert_eq!(parameter(name, value.as_bytes()), Secret, "{name}: {value}");
            }
            assert!(is_secret_parameter(name), "{name}");
        }
        for name in
            ["key", "code", "sig", "x_key", "private", "token_id", "secret_type", "hide_secret"]
        {
            for value in PLAIN {
                assert_eq!(parameter(name, value.as_bytes()), Ordinary, "{name}: {value}");
            }
            // They are not words of GitHub's API.
            let letters = LETTERS.iter().rev().take(3);
            for value in letters.chain(&RANDOM) {
                assert_eq!(parameter(name, value.as_bytes()), Secret, "{name}: {value}");
            }
        }
        for name in ["page", "author", "after", "q", "sha", "compass", "keyboard"] {
            for value in PLAIN.into_iter().chain(RANDOM) {
                assert_eq!(parameter(name, value.as_bytes()), Ordinary, "{name}: {value}");
            }
        }
    }
}
