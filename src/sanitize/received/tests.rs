use std::num::NonZeroUsize;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use proptest::prelude::*;

use super::super::secrets::Retention;
use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    });
    pairs.collect()
}

#[test]
fn a_response_that_repeats_a_secret_keeps_only_the_followed_urls() {
    secrets::remember(b"exch-echoed");
    let link = r#"<https://a.example/?page=2&key=exch-echoed>; rel="next""#;
    let echo = headers(&[
        ("etag", r#"W/"exch-echoed""#),
        ("link", link),
        ("x-github-request-id", "Bearer exch%2Dechoed"),
        ("content-type", "application/json"),
    ]);
    let echo = redacted(&echo);
    assert_eq!(echo["link"], link);
    assert_eq!(echo["x-github-request-id"], "Bearer [hidden]");
    assert_eq!(echo["content-type"], "application/json");
    assert!(!echo.contains_key("etag"));
    assert!(!format!("{echo:?}").contains("echoed"), "{echo:?}");
}

#[test]
fn words_of_the_protocol_stay_where_the_client_decides_by_them() {
    let values = [
        ("retry-after", "741852963"),
        ("x-ratelimit-reset", "1769631742"),
        ("x-ratelimit-resource", "dependency_sbom"),
        ("content-type", "application/scim+json; charset=utf-8"),
        ("cache-control", "private, must-understand, max-age=601"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("vary", "Accept, x-github-otp"),
    ];
    for secret in [
        "741852963",
        "1769631742",
        "dependency_sbom",
        "application/scim+json",
        "must-understand",
        "max-age=601",
        "06 Nov 1994 08:49:37",
        "x-github-otp",
    ] {
        secrets::remember(secret.as_bytes());
    }
    assert!(is_of_protocol(b"required") && !is_of_protocol(b"required; exch"));
    let map = headers(&values);
    assert_eq!(redacted(&map), map);
    // In other requests, and with any other value, they are secrets.
    secrets::remember(b"exchdecisive required");
    for (name, value, expected) in [
        ("x-echo", "dependency_sbom", HIDDEN),
        (
            "content-type",
            "application/json; echo=exchdecisive required",
            "application/json; echo=[hidden]",
        ),
    ] {
        assert_eq!(redacted(&headers(&[(name, value)]))[name], expected);
    }
}

/// Names of headers that are handled in each way.
const NAMES: [&str; 8] =
    ["x-echo", "x-more", "link", "location", "etag", "last-modified", "x-ratelimit-reset", "date"];

/// A registry that holds `count` secrets, and finds `evicted` more.
fn registry(count: usize, evicted: usize) -> Secrets {
    let count = NonZeroUsize::new(count).unwrap();
    Secrets::with_limits([count; 3], evicted)
}

/// A secret, in the forms in which a server can repeat it.
fn secret(number: usize) -> String {
    format!("s3cret!{number:04}")
}

/// A header value that can contain secrets of these numbers.
fn value() -> impl Strategy<Value = String> {
    let repeated = (0_usize..40, 0_usize..4).prop_map(|(number, form)| match form {
        0 => secret(number),
        1 => secret(number).replace('!', "%21"),
        2 => STANDARD.encode(format!("user:{}", secret(number))),
        _ => secret(number).replace('!', "&#33;"),
    });
    let ordinary = prop_oneof![
        "[ -~]{0,12}",
        "[0-9]{1,12}",
        Just("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        Just("application/json; charset=utf-8".to_owned()),
    ];
    prop::collection::vec(prop_oneof![2 => ordinary, 1 => repeated], 0..3)
        .prop_map(|parts| parts.concat().trim().to_owned())
}

fn lines_of(headers: &HeaderMap) -> Vec<(String, HeaderValue, bool)> {
    let lines = headers.iter();
    lines.map(|(name, it)| (name.to_string(), it.clone(), it.is_sensitive())).collect()
}

proptest! {
    /// Headers that are redacted later are those that would have been redacted at once, by the secrets of both times,
    /// whatever was evicted in between. A value that is read by itself is that of the redacted headers.
    #[test]
    fn later_redaction_hides_what_was_known_at_receipt(
        pairs in prop::collection::vec((0..NAMES.len(), value(), any::<bool>()), 0..12),
        limits in (1_usize..12, 0_usize..8),
        before in prop::collection::vec(0_usize..40, 0..20),
        between in prop::collection::vec(0_usize..60, 0..20),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value, is_sensitive) in pairs {
            let mut value = HeaderValue::from_str(&value).unwrap();
            value.set_sensitive(is_sensitive);
            headers.append(NAMES[name], value);
        }
        // One forgets, as the client's does, and one does not.
        let (mut known, mut all) = (registry(limits.0, limits.1), registry(200, 0));
        let add = |known: &mut Secrets, number: usize| {
            known.add(secret(number).as_bytes(), Retention::Used);
        };
        before.iter().for_each(|number| add(&mut known, *number));
        let known_at_receipt: Vec<_> =
            (0..40).filter(|number| known.has(secret(*number).as_bytes(), Retention::Used)).collect();
        known_at_receipt.iter().for_each(|number| add(&mut all, *number));
        let received = ReceivedHeaders { lines: joined(&headers), evictions: known.evictions() };
        let at_once = received.redacted_by(&known);
        between.iter().for_each(|number| { add(&mut known, *number); add(&mut all, *number); });
        let later = received.redacted_by(&known);

        let is_complete = known.has_all_since(received.evictions);
        prop_assert_eq!(is_complete, known.evictions() - received.evictions <= limits.1 as u64);
        if between.is_empty() {
            prop_assert_eq!(lines_of(&later), lines_of(&at_once));
        }
        let expected = ReceivedHeaders { lines: joined(&headers), evictions: 0 }.redacted_by(&all);
        if is_complete {
            // Secrets that were evicted before are known as well.
            before.iter().filter(|number| {
                !known.ranges(secret(**number).as_bytes()).is_empty()
            }).for_each(|number| add(&mut all, *number));
            let expected = ReceivedHeaders { lines: joined(&headers), evictions: 0 }.redacted_by(&all);
            prop_assert_eq!(lines_of(&later), lines_of(&expected));
        }
        // In any case, each value that was to be redacted is redacted, and shows no secret.
        for name in NAMES {
            let original: Vec<_> = headers.get_all(name).iter().collect();
            let shown: Vec<_> = later.get_all(name).iter().collect();
            let would: Vec<_> = expected.get_all(name).iter().collect();
            for (at, original) in original.iter().enumerate() {
                match (would.get(at), shown.get(at)) {
                    // A validator with a secret.
                    (None, shown) => prop_assert_eq!(shown, None),
                    (Some(would), Some(shown)) if would != original => prop_assert!(shown != original),
                    (Some(would), Some(shown)) => prop_assert!(!would.is_sensitive() || shown.is_sensitive()),
                    (Some(_), None) => prop_assert!(!is_complete || name == "etag" || name == "last-modified"),
                }
            }
            if !["link", "location"].contains(&name) {
                for shown in shown {
                    for number in &known_at_receipt {
                        prop_assert!(!shown.to_str().unwrap().contains(&secret(*number)), "{name}: {shown:?}");
                    }
                }
            }
        }
        let names = NAMES.map(HeaderName::from_static);
        for name in &names {
            if let Some([value]) = received.first_if([name], |value| received.has_no_secret(value, &known)) {
                prop_assert_eq!(value, later.get(name).map(HeaderValue::as_bytes));
            }
        }
        let names = names.each_ref();
        if let Some(values) = received.first_if(names, |value| received.has_no_secret(value, &known)) {
            prop_assert_eq!(values, names.map(|name| later.get(name).map(HeaderValue::as_bytes)));
        }
    }

    /// The copy has the same lines, in memory of its own.
    #[test]
    fn a_copy_is_equal_and_shares_no_memory(
        pairs in prop::collection::vec(("[a-z][a-z-]{0,8}", "[ -~]{0,80}", any::<bool>()), 0..80),
    ) {
        let mut buffer = BytesMut::new();
        let mut headers = HeaderMap::new();
        for (name, value, sensitive) in pairs {
            buffer.extend_from_slice(value.as_bytes());
            let mut value = HeaderValue::from_maybe_shared(buffer.split().freeze()).unwrap();
            value.set_sensitive(sensitive);
            headers.append(HeaderName::try_from(name).unwrap(), value);
        }
        let places: Vec<_> = headers.values().map(|value| value.as_bytes().as_ptr_range()).collect();
        let copy = ReceivedHeaders::copy(&headers);
        let map = copy.to_map();
        prop_assert_eq!(lines_of(&map), lines_of(&headers));
        for value in map.values().filter(|value| !value.is_empty()) {
            let place = value.as_bytes().as_ptr();
            prop_assert!(places.iter().all(|old| !old.contains(&place)));
        }
    }
}

#[test]
fn values_of_any_length_and_bytes_are_copied() {
    let mut headers = HeaderMap::new();
    for (name, length) in
        [("etag", 0), ("etag", 65_535), ("etag", 65_536), ("x-other", 70_000), ("date", 1)]
    {
        let value = HeaderValue::from_bytes(&vec![0xe9_u8; length]).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    let copy = ReceivedHeaders::copy(&headers);
    assert_eq!(lines_of(&copy.to_map()), lines_of(&headers));
    let [date, etag] = copy.first_received([&http::header::DATE, &ETAG]);
    assert_eq!((date, etag), (Some(&b"\xe9"[..]), Some(&b""[..])));
}

#[test]
fn a_secret_that_is_evicted_before_the_headers_are_read_is_redacted() {
    let headers = headers(&[
        ("x-echo", "Bearer s3cret!0000 and more"),
        ("x-scopes", "repo, user"),
        ("x-ratelimit-reset", "1769631742"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"s3cret!0000\""),
        ("link", "<https://a.example/?key=s3cret!0000>"),
        ("x-short", "7 chars"),
        ("cache-control", "private, no-store, max-age=60"),
        ("vary", "Accept, Authorization"),
        ("x-ratelimit-resource", "code_search"),
        ("x-github-sso", "partial-results; organizations=21955855,20582480"),
    ]);
    let mut known = registry(1, 3);
    known.add(secret(0).as_bytes(), Retention::Used);
    let received = ReceivedHeaders { lines: joined(&headers), evictions: known.evictions() };
    // The secret itself, and those that evict it.
    for number in 1..4 {
        known.add(secret(number).as_bytes(), Retention::Used);
    }
    let shown = received.redacted_by(&known);
    assert_eq!(
        (&shown["x-echo"], &shown["x-scopes"]),
        (&"Bearer [hidden] and more".parse().unwrap(), &headers["x-scopes"])
    );
    // The first eviction that can forget it: from now on, each value can contain a secret that is forgotten.
    known.add(secret(4).as_bytes(), Retention::Used);
    assert!(known.ranges(secret(0).as_bytes()).is_empty());
    let shown = received.redacted_by(&known);
    assert_eq!(
        (&shown["x-echo"], &shown["x-scopes"]),
        (&HIDDEN.parse().unwrap(), &HIDDEN.parse().unwrap())
    );
    for name in [
        "x-ratelimit-reset",
        "date",
        "x-short",
        "cache-control",
        "vary",
        "x-ratelimit-resource",
        "x-github-sso",
    ] {
        assert_eq!(shown[name], headers[name]);
    }
    assert!(!shown.contains_key("etag") && shown["link"].is_sensitive());
    let echo = HeaderName::from_static("x-scopes");
    assert_eq!(received.first_if([&echo], |value| received.has_no_secret(value, &known)), None);
}

#[test]
fn evictions_of_the_clients_secrets_are_counted() {
    let before = secrets::evictions();
    // Values that only look like a secret evict no others, so that other tests are not affected.
    for number in 0..=secrets::MAX_RANDOM.get() {
        let value = format!("received-evicts-{number}");
        secrets::known().remember(value.as_bytes(), Retention::Random);
    }
    assert!(secrets::evictions() > before);
    assert!(secrets::known().secrets().has_all_since(before));
}

#[test]
fn values_that_cannot_contain_a_secret_are_read_without_the_lock() {
    let headers = headers(&[
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-reset", "1769631742"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("link", "<https://a.example/?page=2>"),
        ("x-github-request-id", "C0DE:1A2B3C:4D5E6F"),
    ]);
    let received = ReceivedHeaders::copy(&headers);
    let before = secrets::READS.get();
    let names = ["x-ratelimit-limit", "x-ratelimit-reset", "date", "link", "x-missing"];
    let names = names.map(HeaderName::from_static);
    let values = received.first(names.each_ref()).unwrap();
    assert_eq!(values, names.each_ref().map(|name| headers.get(name).map(HeaderValue::as_bytes)));
    assert_eq!(secrets::READS.get(), before);
    assert!(received.first([&HeaderName::from_static("x-github-request-id")]).is_some());
    assert_eq!(secrets::READS.get(), before + 1);
}
