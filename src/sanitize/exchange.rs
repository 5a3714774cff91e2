//! The secrets in a request.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::credential::{SecretHeader, fold_secrets};
use super::decision::{self, Classification};
use super::secrets::{self, KnownSecrets, Retention};

/// Remembers the secrets of a request: its credentials, and all values with the name or form of a secret, except for
/// parameters that are documented for the operation. Marks the headers that are not ordinary as sensitive.
///
/// `credentials` are those of the client, which the request can carry.
pub(crate) fn sent<'a>(
    request: &mut reqwest::Request,
    is_documented: impl Fn(&str) -> bool,
    credentials: impl Iterator<Item = &'a SecretHeader> + Clone,
) {
    let mut headers = std::mem::take(request.headers_mut());
    remember_and_mark(&mut headers, request.url(), is_documented, credentials);
    *request.headers_mut() = headers;
}

pub(super) fn remember_and_mark<'a>(
    headers: &mut HeaderMap,
    url: &Url,
    is_documented: impl Fn(&str) -> bool,
    credentials: impl Iterator<Item = &'a SecretHeader> + Clone,
) {
    let mut known = secrets::known();
    for (name, value) in headers.iter_mut() {
        // An existing mark is the caller's.
        let taken = decision::header(name, value);
        // A cookie has secrets in other places.
        let is_known = taken == Classification::Secret
            && *name != COOKIE
            && credentials.clone().any(|credential| credential.mark_used(value, &known));
        if !is_known {
            known = header(known, name, value, taken);
        }
        if taken != Classification::Ordinary {
            value.set_sensitive(true);
        }
    }
    if let Some(password) = url.password() {
        known = known.remember(password.as_bytes(), Retention::Used);
    }
    if url.query().is_some() {
        for (name, value) in url.query_pairs() {
            let taken = decision::parameter(&name, value.as_bytes());
            if taken == Classification::Secret && !is_documented(&name) {
                known = known.remember(value.as_bytes(), Retention::Used);
            }
        }
    }
}

/// Returns whether a query has a parameter with a secret name.
pub(crate) fn has_secret_parameter(url: &Url) -> bool {
    url.query().is_some() && url.query_pairs().any(|(name, _)| decision::is_secret_parameter(&name))
}

fn header(
    mut known: KnownSecrets,
    name: &HeaderName,
    value: &HeaderValue,
    taken: Classification,
) -> KnownSecrets {
    let keep = match taken {
        Classification::Ordinary | Classification::Private => return known,
        Classification::Random => Retention::Random,
        Classification::Secret => Retention::Used,
    };
    let bytes = value.as_bytes();
    if *name == COOKIE {
        for pair in bytes.split(|byte| *byte == b';') {
            let value = pair.splitn(2, |byte| *byte == b'=').last();
            known = known.remember(value.unwrap_or(pair).trim_ascii(), keep);
        }
        return known;
    }
    let is_authorization = *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION;
    fold_secrets(bytes, keep, is_authorization, known, |known, secret| known.remember(secret, keep))
}

/// Maximum length of a stored header value, in an error or in a cache. GitHub's longest, `Link` and
/// `Content-Security-Policy`, have up to 2 KB.
pub(crate) const MAX_HEADER_BYTES: usize = 8 * 1_024;

/// Returns the headers without those whose value is too long to be stored.
pub(crate) fn bounded(mut headers: HeaderMap) -> HeaderMap {
    let long = headers.iter().filter(|(_, value)| value.len() > MAX_HEADER_BYTES);
    let long: Vec<_> = long.map(|(name, _)| name.clone()).collect();
    for name in long {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::iter::empty;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::{has_secret, redacted};
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    fn send(headers: &HeaderMap, url: &str) {
        remember_and_mark(&mut headers.clone(), &url.parse().unwrap(), |_| false, empty());
    }

    fn knows(text: &str) -> bool {
        has_secret(text.as_bytes())
    }

    #[test]
    fn ordinary_parameters_and_headers_of_githubs_api_are_no_secrets() {
        let url = "https://api.github.com/x?author=exchtorvalds&key=exch-linux-build&code=exchcode\
                   &secret_type=exch_personal_access_token&exclude_secret_types=exch_app_tokens\
                   &token_id=12345678&private=exchtrue99";
        let headers = headers(&[("x-author", "exchoctocat"), ("x-authored-by", "exchhubot")]);
        send(&headers, url);
        for word in [
            "exchtorvalds",
            "exch-linux-build",
            "exchcode",
            "exch_personal_access_token",
            "exch_app_tokens",
            "12345678",
            "exchtrue99",
            "exchoctocat",
            "exchhubot",
        ] {
            assert!(!knows(word), "{word}");
        }
    }

    #[test]
    fn secrets_of_a_request_are_known_afterwards() {
        let basic = format!("Basic {}", STANDARD.encode("me:exch-pa55 word"));
        let mut headers = headers(&[
            ("authorization", "Bearer exch-b3arer"),
            ("proxy-authorization", &basic),
            ("cookie", "theme=exch-dark; sid=exch-s1d=="),
            ("x-gateway", "Token exch-gateway"),
            ("x-api-key", "exch-ap1-key"),
            ("x-whatever", "exch-r4nd0m-1"),
            ("x-plain", "exch-ordinary"),
            ("accept", "application/vnd.exch1+json"),
        ]);
        headers.get_mut("x-gateway").unwrap().set_sensitive(true);
        let url = "https://u:exch-url-pass@a.example/x?q=exch-quest10n&client_secret=exch%20query";
        send(&headers, url);
        for secret in [
            "exch-b3arer",
            "exch-pa55 word",
            basic.split_once(' ').unwrap().1,
            "exch-dark",
            "exch-s1d==",
            "exch-gateway",
            "exch-ap1-key",
            "exch-r4nd0m-1",
            "exch-url-pass",
            "exch query",
        ] {
            assert!(knows(secret), "{secret}");
        }
        for ordinary in ["exch-ordinary", "application/vnd.exch1+json", "exch-quest10n", "Bearer "]
        {
            assert!(!knows(ordinary), "{ordinary}");
        }
        let url = "https://a.example/?token=exch-typed&auth=exch-auth0r&pwd=exch-pwd+pwd";
        remember_and_mark(
            &mut HeaderMap::new(),
            &url.parse().unwrap(),
            |name| name == "token",
            empty(),
        );
        let signed =
            "https://a.example/signedlogcontent?urlSigningMethod=HMACV1&urlSignature=exch-signed";
        send(&HeaderMap::new(), signed);
        assert!(knows("exch-signed") && !knows("HMACV1"));
        assert!(!knows("exch-typed") && knows("exch-auth0r") && knows("exch-pwd pwd"));
    }

    #[test]
    fn headers_with_long_values_are_not_kept() {
        let mut map = headers(&[("etag", &"e".repeat(MAX_HEADER_BYTES)), ("x-a", "a")]);
        map.append("x-a", HeaderValue::from_str(&"a".repeat(MAX_HEADER_BYTES + 1)).unwrap());
        assert_eq!(bounded(map).keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn the_headers_of_an_exchange_take_the_lock_once_each_way() {
        let count = |exchange: &mut dyn FnMut()| {
            let before = secrets::READS.get();
            exchange();
            secrets::READS.get() - before
        };
        let mut map =
            headers(&[("authorization", "Bearer exch-l0cked"), ("cookie", "a=exch-c00kie")]);
        for number in 0..25 {
            let name = HeaderName::try_from(format!("x-number-{number}")).unwrap();
            map.insert(name, HeaderValue::from_static("exch-l0cked"));
        }
        let url = "https://a.example/?client_secret=exch-par4meter".parse().unwrap();
        let send = || remember_and_mark(&mut map.clone(), &url, |_| false, empty());
        send();
        assert_eq!(count(&mut || send()), 1);
        assert_eq!(count(&mut || map = redacted(&map)), 1);
        assert!(map.iter().all(|(_, value)| !value.to_str().unwrap().contains("exch-l0cked")));
    }

    #[test]
    fn values_of_ordinary_headers_are_no_secrets() {
        let headers = headers(&[
            ("time-zone", "Exch/America_Argentina-2024"),
            ("graphql-features", "exch_merge_queue,exch_issue_types"),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-github-api-version", "exch-2022-11-28"),
            ("x-hub-signature-256", "sha256=exch757107ea0eb2509fc211221cce984b8a37"),
            ("user-agent", "exch-app/1.2.3-r4c1d2"),
            ("x-correlation-id", "exch62e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-org", "exch-organization"),
            ("x-app", "exch-app/12.34.56-beta.7"),
            ("x-since", "2024-05-06T07:08:09Z"),
            ("x-cluster", "exch-k8s-prod-eu-west-1a"),
            ("x-service", "ExchMyVeryLongServiceName2024"),
        ]);
        let values: Vec<_> = headers.values().map(|value| value.to_str().unwrap()).collect();
        send(&headers, "https://a.example/");
        for value in values {
            assert!(!knows(value), "{value}");
        }
    }

    /// The headers that are marked.
    #[test]
    fn words_in_headers_that_can_be_ordinary_are_no_secrets() {
        let mut map = headers(&[
            ("x-team", "exchplatformengineering"),
            ("x-region", "exchaustraliacentral2"),
            ("x-routing-key", "exch-payments"),
            ("x-cache-key", "exchproduction"),
            ("x-gateway", "exch-us-east-1"),
        ]);
        let url = "https://a.example/".parse().unwrap();
        remember_and_mark(&mut map, &url, |_| false, empty());
        for value in map.values() {
            assert!(value.is_sensitive() && !has_secret(value.as_bytes()), "{value:?}");
        }
        for (name, value, secret) in [
            ("x-gateway", "exch9fX2kLq7Vw3TzR8n", "exch9fX2kLq7Vw3TzR8n"),
            ("x-gateway", "Bearer exch-of-gateway", "exch-of-gateway"),
            ("x-routing-key", "v1 exch4f1a9c22e7b1", "exch4f1a9c22e7b1"),
            ("x-proxy-key", "exch-of-proxy", "exch-of-proxy"),
        ] {
            send(&headers(&[(name, value)]), "https://a.example/");
            assert!(knows(secret), "{name}: {value}");
        }
    }

    #[test]
    fn a_secret_of_several_words_is_known_whole() {
        let cases = [
            // Value, whether the caller marked it, the known secrets then, the unknown ones.
            (
                "x-api-password",
                "exchhunter2hunter2 staple",
                false,
                "exchhunter2hunter2 staple",
                "staple",
            ),
            (
                "x-api-password",
                "exch-red staple-battery",
                false,
                "exch-red staple-battery",
                "staple-battery",
            ),
            ("x-note", "exch9fX2kLq7Vw3TzR8m v1", false, "exch9fX2kLq7Vw3TzR8m", "v1"),
            (
                "x-note",
                "exch-correct-horse battery-staple",
                true,
                "exch-correct-horse battery-staple",
                "correct-horse",
            ),
            ("x-note", "exch one two three four", true, "exch one two three four", "one two three"),
            (
                "x-api-password",
                "v1 exchlettersandnothingelse",
                false,
                "exchlettersandnothingelse",
                "letters",
            ),
            ("x-note", "Token exch-after-token", true, "exch-after-token", "Token "),
            ("x-note", "HMAC exch:s1gned", true, "exch:s1gned", "HMAC "),
            ("authorization", "Unusual exch-unusual-of", false, "exch-unusual-of", "Unusual "),
            (
                "authorization",
                "exch-twowords1 staple-two",
                false,
                "exch-twowords1 staple-two",
                "exch-twowords1",
            ),
            ("authorization", "token exch567", false, "token exch567", "exch567"),
            (
                "authorization",
                "Digest id=\"exch-d1\", response=\"exch6629fae49393a05397450978507c4ef1\"",
                false,
                "exch6629fae49393a05397450978507c4ef1",
                "response",
            ),
        ];
        for (name, value, is_marked, secret, ordinary) in cases {
            let mut map = headers(&[(name, value)]);
            map.get_mut(name).unwrap().set_sensitive(is_marked);
            send(&map, "https://a.example/");
            for echo in
                [secret.to_owned(), format!("<{secret}>"), STANDARD.encode(format!("u:{value}"))]
            {
                assert!(knows(&echo), "{name}: {value}: {echo}");
            }
            assert!(!knows(ordinary), "{name}: {value}: {ordinary}");
        }
    }

    #[test]
    fn ids_of_requests_are_not_remembered() {
        for number in 0..50_u64 {
            let random = format!("{:016x}", (number + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for name in [
                "x-b3-traceid",
                "x-b3-spanid",
                "b3",
                "idempotency-key",
                "sentry-trace",
                "x-cloud-trace-context",
            ] {
                send(&headers(&[(name, &random)]), "https://a.example/");
            }
            assert!(!knows(&random), "{random}");
        }
    }

    #[test]
    fn headers_that_are_not_ordinary_are_marked_and_their_values_are_no_secrets_by_that() {
        let mut map = headers(&[
            ("x-org", "exch-marked-org"),
            ("x-auth-mode", "exch-marked-mode"),
            ("x-api-key", "exch-marked-key"),
            ("accept", "exch/marked"),
            ("x-github-next", "exch-marked-next"),
            ("x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124"),
        ]);
        let url = "https://a.example/".parse().unwrap();
        remember_and_mark(&mut map, &url, |_| false, empty());
        let marked: Vec<_> = map.values().map(HeaderValue::is_sensitive).collect();
        assert_eq!(marked, [true, true, true, false, false, false]);
        assert!(
            knows("exch-marked-key") && !knows("exch-marked-org") && !knows("exch-marked-mode")
        );
    }

    #[test]
    fn tokens_are_known_by_their_looks() {
        let tokens = [
            "ghs_16C7e42F292c6912E7710c838347Ae17",
            "b5f0c3e2a9d84f71",
            "9fX2kLq7Vw3TzR8m",
            "550e8400-e29b-41d4-a716-446655440000",
            "AKIAQ3EGXMPLE7H4D2WZ",
        ];
        let map: Vec<_> = tokens.iter().map(|token| ("x-upstream", *token)).collect();
        for one in map {
            send(&headers(&[one]), "https://a.example/");
        }
        send(&headers(&[("x-note", "Token exch4f1a9c22e7b0")]), "https://a.example/");
        for token in tokens.into_iter().chain(["exch4f1a9c22e7b0"]) {
            assert!(knows(token), "{token}");
        }
    }

    /// All parameters of all operations of GitHub's description.
    #[test]
    fn of_githubs_parameters_one_is_a_secret() {
        use std::collections::BTreeSet;

        use serde_json::Value;

        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/api.github.com.json");
        let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let operations = document["paths"].as_object().unwrap().values().flat_map(|path| {
            path.as_object().unwrap().values().filter(|operation| operation.is_object())
        });
        let (mut count, mut names, mut secrets) = (0, BTreeSet::new(), BTreeSet::new());
        for operation in operations {
            count += 1;
            for mut parameter in operation["parameters"].as_array().into_iter().flatten() {
                if let Some(place) = parameter["$ref"].as_str() {
                    parameter = document.pointer(place.trim_start_matches('#')).unwrap();
                }
                if parameter["in"] != "query" {
                    continue;
                }
                let name = parameter["name"].as_str().unwrap();
                names.insert(name);
                let values = ["some-ordinary-words", "true", "2024-05-06T07:08:09Z", "123456789"];
                if values.iter().any(|value| {
                    decision::parameter(name, value.as_bytes()) == Classification::Secret
                }) {
                    secrets.insert(name);
                }
            }
        }
        assert!(count >= 1_223 && names.len() >= 150, "{count} operations, {}", names.len());
        assert!(names.contains("hide_secret") && names.contains("token_id"));
        // The token of a package, for its restore operation.
        assert_eq!(secrets, BTreeSet::from(["token"]));
    }
}
