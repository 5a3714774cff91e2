//! What each failure is, and what each class means for each policy.

use std::ops::RangeInclusive;

use http::{HeaderMap, HeaderName};

use super::FailureClass as Class;
use super::*;
use crate::error::OperationName;

const UNSENT_TRANSPORT: Class = Class::Transport { sent: false };
const UNSENT_TIMEOUT: Class = Class::Timeout { sent: false };
const TRANSPORT: Class = Class::Transport { sent: true };
const TIMEOUT: Class = Class::Timeout { sent: true };

/// The policies for which a class has a meaning, and the result of the call.
type Meaning = (Class, &'static [&'static str], CallResult);

const MEANINGS: [Meaning; 22] = [
    (UNSENT_TRANSPORT, &["retry", "circuit", "stale", "no effect"], CallResult::Unavailable),
    (TRANSPORT, &["retry", "circuit", "stale"], CallResult::Unavailable),
    (UNSENT_TIMEOUT, &["retry", "circuit", "stale", "own", "no effect"], CallResult::Unavailable),
    (TIMEOUT, &["retry", "circuit", "stale", "own"], CallResult::Unavailable),
    (Class::NotReady, &["retry", "circuit", "stale", "own"], CallResult::Ok),
    (Class::RateLimited, &["retry", "no effect"], CallResult::Failed),
    (Class::Denied, &["remove", "no effect"], CallResult::Failed),
    (Class::NotFound, &["remove", "no effect", "expected"], CallResult::Ok),
    (Class::RequestTimeout, &["retry", "no effect"], CallResult::Failed),
    (Class::TooEarly, &["retry", "no effect"], CallResult::Ok),
    (Class::Rejected, &["no effect", "expected"], CallResult::Ok),
    (Class::NotFollowed, &["expected"], CallResult::Ok),
    (Class::ServerUnavailable, &["retry", "circuit", "stale"], CallResult::Unavailable),
    (Class::ServerError, &["stale"], CallResult::Unavailable),
    (Class::NotAdmitted, &["own", "no effect"], CallResult::Failed),
    (Class::CircuitOpen, &["stale", "no effect"], CallResult::Unavailable),
    (Class::BudgetExhausted, &["stale", "own", "no effect"], CallResult::Failed),
    (Class::Intercepted, &["own", "no effect"], CallResult::Ok),
    (Class::InvalidCall, &["no effect"], CallResult::Ok),
    (Class::GraphQl, &["no effect"], CallResult::Ok),
    (Class::UnusableResponse, &[], CallResult::Failed),
    (Class::Other, &["no effect"], CallResult::Failed),
];

fn meaning_of(class: Class) -> &'static Meaning {
    MEANINGS.iter().find(|(of, ..)| *of == class).unwrap()
}

#[test]
fn each_class_means_for_each_policy_what_the_table_says() {
    for (class, policies, result) in MEANINGS {
        let methods = [
            ("retry", class.is_transient()),
            ("circuit", class.counts_against_circuit()),
            ("stale", class.allows_stale()),
            ("remove", class.revokes_access()),
            ("own", class.is_caller_specific()),
            ("no effect", class.had_no_effect()),
            #[cfg(feature = "migration")]
            ("expected", class.is_expected_response()),
        ];
        for (policy, applies) in methods {
            assert_eq!(applies, policies.contains(&policy), "{class:?}: {policy}");
        }
        assert_eq!(class.call_result(), result, "{class:?}");
        assert_eq!(class.is_unsent(), [UNSENT_TRANSPORT, UNSENT_TIMEOUT].contains(&class));
    }
}

/// The statuses of each class, without the 403 that names a rate limit.
const STATUSES: [(Class, &[RangeInclusive<u16>]); 10] = [
    (Class::NotFollowed, &[300..=399]),
    (Class::Denied, &[401..=401, 403..=403]),
    (Class::NotFound, &[404..=404, 410..=410, 451..=451]),
    (Class::RequestTimeout, &[408..=408]),
    (Class::TooEarly, &[425..=425]),
    (Class::RateLimited, &[429..=429]),
    (
        Class::Rejected,
        &[400..=400, 402..=402, 405..=407, 409..=409, 411..=424, 426..=428, 430..=450, 452..=499],
    ),
    (Class::ServerUnavailable, &[500..=500, 502..=504]),
    (Class::ServerError, &[501..=501, 505..=599]),
    (Class::UnusableResponse, &[100..=299, 600..=999]),
];

/// Message and headers of a response, and whether a 403 with them is a rate limit.
type Reason = (&'static str, &'static [(&'static str, &'static str)], bool);

const REASONS: [Reason; 9] = [
    ("", &[], false),
    ("You have exceeded a secondary rate limit.", &[], true),
    ("API rate limit exceeded for user ID 1.", &[("x-ratelimit-remaining", "0")], true),
    ("", &[("retry-after", "60")], true),
    ("", &[("x-ratelimit-remaining", "0")], true),
    ("", &[("x-ratelimit-remaining", "1")], false),
    ("Resource not accessible by integration", &[("x-ratelimit-remaining", "0")], false),
    ("Repository access blocked", &[("retry-after", "60")], false),
    ("Resource protected by organization SAML enforcement.", &[], false),
];

fn response(status: u16, (message, headers, _): Reason) -> Error {
    let status = StatusCode::from_u16(status).unwrap();
    let headers =
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    let body = serde_json::json!({ "message": message }).to_string();
    let operation = OperationName::Borrowed("issues/get");
    let headers = HeaderMap::from_iter(headers);
    Error::from_response(&operation, status, headers, body.as_bytes(), body.as_bytes())
}

#[test]
fn each_status_has_one_class_and_only_a_403_depends_on_its_reason() {
    for status in 100..=999 {
        let mut classes =
            STATUSES.iter().filter(|(_, all)| all.iter().any(|some| some.contains(&status)));
        let (by_status, _) = classes.next().unwrap();
        assert!(classes.next().is_none(), "{status}");
        for reason in REASONS {
            let error = response(status, reason);
            let limited = status == 403 && reason.2;
            let expected = if limited { Class::RateLimited } else { *by_status };
            assert_eq!(error.class(), expected, "{status} {reason:?}");
            // The public predicates are the same classification.
            assert_eq!(error.is_retryable(), expected.is_transient(), "{status} {reason:?}");
            assert_eq!(error.is_rate_limited(), expected == Class::RateLimited, "{status}");
        }
    }
}

#[test]
fn each_fault_below_http_and_each_error_of_the_client_has_a_class() {
    let error = |kind| Error::new(kind, "failed");
    let with_status = |kind, status: u16| {
        error(kind).with_response(StatusCode::from_u16(status).unwrap(), HeaderMap::new())
    };
    for (failure, expected) in [
        // No connection; the connection broke off, in the head or in a body.
        (error(ErrorKind::Transport).with_not_sent(), UNSENT_TRANSPORT),
        (error(ErrorKind::Transport), TRANSPORT),
        (Error::truncated_body("early end"), TRANSPORT),
        (with_status(ErrorKind::Transport, 200), TRANSPORT),
        (with_status(ErrorKind::Transport, 404), TRANSPORT),
        // No connection in time; no response in time; a response that is not ready.
        (error(ErrorKind::Timeout).with_not_sent(), UNSENT_TIMEOUT),
        (error(ErrorKind::Timeout), TIMEOUT),
        (with_status(ErrorKind::Timeout, 202), Class::NotReady),
        // An earlier request of the same call was sent.
        (error(ErrorKind::Transport).with_not_sent().with_sent(), TRANSPORT),
        // A response, but no usable one; its status does not matter.
        (error(ErrorKind::Api), Class::UnusableResponse),
        (error(ErrorKind::Decode), Class::UnusableResponse),
        (with_status(ErrorKind::Decode, 200), Class::UnusableResponse),
        (with_status(ErrorKind::BodyTooLarge, 500), Class::UnusableResponse),
        (with_status(ErrorKind::Redirect, 302), Class::UnusableResponse),
        (error(ErrorKind::GraphQl), Class::GraphQl),
        (error(ErrorKind::GraphQl).with_rate_limited(true), Class::GraphQl),
        // The client did not send the call.
        (error(ErrorKind::RateLimit).with_rate_limited(true), Class::NotAdmitted),
        (error(ErrorKind::QueueFull).with_rate_limited(true), Class::NotAdmitted),
        (error(ErrorKind::CircuitOpen), Class::CircuitOpen),
        (error(ErrorKind::BudgetExhausted), Class::BudgetExhausted),
        (error(ErrorKind::Interceptor), Class::Intercepted),
        (error(ErrorKind::InvalidRequest), Class::InvalidCall),
        (error(ErrorKind::Configuration), Class::InvalidCall),
        (error(ErrorKind::File), Class::InvalidCall),
        (error(ErrorKind::UntrustedUrl), Class::InvalidCall),
        (error(ErrorKind::NotCached), Class::InvalidCall),
        (error(ErrorKind::Blocking), Class::InvalidCall),
        (error(ErrorKind::Authentication), Class::Other),
        (error(ErrorKind::Authentication).with_rate_limited(true), Class::Other),
        (error(ErrorKind::StoreUnavailable), Class::Other),
        (error(ErrorKind::Pagination), Class::Other),
        (error(ErrorKind::Incomplete), Class::Other),
    ] {
        assert_eq!(failure.class(), expected, "{failure:?}");
        let _ = meaning_of(expected);
    }
}

/// The statuses for which the policies use different sets, spelled out for each policy.
#[test]
fn policies_differ_in_these_statuses() {
    let of = |status, policy: &str| {
        let (_, policies, _) = meaning_of(response(status, REASONS[0]).class());
        policies.contains(&policy)
    };
    let all =
        |policy: &str| -> Vec<u16> { (100..=999).filter(|status| of(*status, policy)).collect() };
    assert_eq!(all("retry"), [408, 425, 429, 500, 502, 503, 504]);
    assert_eq!(all("circuit"), [500, 502, 503, 504]);
    assert_eq!(all("stale"), (500..=599).collect::<Vec<_>>());
    assert_eq!(all("remove"), [401, 403, 404, 410, 451]);
    assert_eq!(all("no effect"), (400..=499).collect::<Vec<_>>());
    let failures = [401, 403, 408, 425, 429];
    let expected = (300..=499).filter(|status| !failures.contains(status));
    assert_eq!(all("expected"), expected.collect::<Vec<_>>());
    let with = |result| -> Vec<u16> {
        let of = |status: &u16| meaning_of(response(*status, REASONS[0]).class()).2 == result;
        (300..=599).filter(of).collect()
    };
    assert_eq!(with(CallResult::Unavailable), (500..=599).collect::<Vec<_>>());
    assert_eq!(with(CallResult::Failed), [401, 403, 408, 429]);
}
