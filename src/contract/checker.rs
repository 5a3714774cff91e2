//! The validator of the responses that a client receives.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use serde::Serialize;
use tracing::warn;

use super::deviation::{Deviation, DeviationKind};
use super::document::{ApiDescription, DescriptionSource};
use super::response::ResponseToValidate;
use super::table::DeviationTable;

/// Compares every response that a client receives with GitHub's OpenAPI description, for tests and staging.
///
/// Pass it to a client with [`ClientBuilder::response_validator`](crate::ClientBuilder::response_validator), and read its
/// findings afterwards. It is a handle: clones share their findings.
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::contract::ResponseValidator;
///
/// let checker = ResponseValidator::new();
/// let github = Client::builder().token("…").response_validator(checker.clone()).build()?;
/// // … what the application does …
/// for seen in checker.deviations() {
///     println!("{} times: {}", seen.count, seen.deviation);
/// }
/// # Ok(())
/// # }
/// ```
///
/// The checker never changes or rejects a response. It logs each deviation once, as a warning with the target
/// `octowire::contract`, and counts the repetitions.
///
/// It skips streamed bodies, responses from the [cache](crate::policy::cache), responses of external hosts that
/// GitHub redirects to, and GraphQL.
#[derive(Clone)]
pub struct ResponseValidator(Arc<Inner>);

struct Inner {
    description: DescriptionSource,
    ignored: Vec<DeviationKind>,
    validated: AtomicU64,
    deviations: Mutex<DeviationTable>,
}

/// A deviation, and its number of occurrences.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ObservedDeviation {
    /// The first occurrence. Later ones at other indices of the same lists count as the same.
    pub deviation: Deviation,
    /// GitHub's request id of the first occurrence, which GitHub's support asks for.
    pub request_id: Option<String>,
    /// The number of responses with this deviation.
    pub count: u64,
}

/// Maximum number of different deviations that are kept.
const MAX_DEVIATIONS: usize = 1_000;

impl Default for ResponseValidator {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseValidator {
    /// Returns a checker for the description that this library was generated from.
    #[must_use]
    pub fn new() -> Self {
        Self::of(DescriptionSource::BuiltIn, Vec::new())
    }

    /// Returns a checker for another description, such as that of an Enterprise Server.
    #[must_use]
    pub fn with_description(document: Arc<ApiDescription>) -> Self {
        Self::of(DescriptionSource::Custom(document), Vec::new())
    }

    /// Ignores deviations of one kind, such as undocumented properties. Discards earlier findings.
    #[must_use]
    pub fn ignoring(self, kinds: impl IntoIterator<Item = DeviationKind>) -> Self {
        let document = self.0.description.clone();
        Self::of(document, self.0.ignored.iter().copied().chain(kinds).collect())
    }

    /// Returns the deviations found so far, sorted by operation: at most 1,000 different ones. If there are
    /// more, the checker keeps the most severe, and of those the most frequent.
    ///
    /// The most severe deviations make a program fail: a value of another type, or a missing property or
    /// body. The least severe is an undocumented property.
    #[must_use]
    pub fn deviations(&self) -> Vec<ObservedDeviation> {
        let mut seen: Vec<ObservedDeviation> = self.lock().deviations().cloned().collect();
        seen.sort_by(|a, b| a.deviation.cmp(&b.deviation));
        seen
    }

    /// Returns the number of checked responses.
    #[must_use]
    pub fn validated(&self) -> u64 {
        self.0.validated.load(Ordering::Relaxed)
    }

    /// Returns the number of occurrences of deviations that are not in [`deviations`](Self::deviations), because 1,000
    /// others are. Together with the counts there, this is the total.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped()
    }

    /// Checks a response. The path is relative to the API's base URL, and encoded.
    ///
    /// A client does this automatically; use this for responses that another client received.
    pub fn validate(&self, method: &Method, path: &str, response: ResponseToValidate<'_>) {
        let document = self.description();
        let found = match document.operation_at(method, path) {
            Some(operation) => document.check_response(operation, response),
            // The response to a path that does not exist is an error.
            None if !response.status.is_success() => Vec::new(),
            None => vec![Deviation::new(
                &format!("{method} {path}"),
                DeviationKind::UnknownOperation,
                "path",
                format!(
                    "GitHub returned {}, but the OpenAPI description has no such path",
                    response.status
                ),
            )],
        };
        self.record(found, response);
    }

    /// Checks a response of this operation.
    pub(crate) fn validate_operation(&self, id: &str, response: ResponseToValidate<'_>) {
        let document = self.description();
        let found = match document.operation(id) {
            Some(operation) => document.check_response(operation, response),
            None if !response.status.is_success() => Vec::new(),
            None => {
                let message = format!(
                    "GitHub returned {}, but the OpenAPI description has no such operation",
                    response.status
                );
                vec![Deviation::new(id, DeviationKind::UnknownOperation, "path", message)]
            }
        };
        self.record(found, response);
    }

    fn of(document: DescriptionSource, ignored: Vec<DeviationKind>) -> Self {
        Self(Arc::new(Inner {
            description: document,
            ignored,
            validated: AtomicU64::new(0),
            deviations: Mutex::new(DeviationTable::new(MAX_DEVIATIONS)),
        }))
    }

    fn description(&self) -> &ApiDescription {
        self.0.description.description()
    }

    fn record(&self, found: Vec<Deviation>, response: ResponseToValidate<'_>) {
        self.0.validated.fetch_add(1, Ordering::Relaxed);
        let mut seen = self.lock();
        for deviation in found {
            if self.0.ignored.contains(&deviation.kind) {
                continue;
            }
            let request_id = crate::headers::request_id::request_id(response.headers);
            if seen.record(&deviation, request_id) {
                warn!(
                    operation = deviation.operation,
                    path = deviation.path,
                    request_id,
                    deviation = deviation.message,
                    "response does not match the OpenAPI description"
                );
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, DeviationTable> {
        // After a panic, the table is still consistent.
        self.0.deviations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ResponseValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseValidator")
            .field("description", self.description())
            .field("validated", &self.validated())
            .field("deviations", &self.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn check(checker: &ResponseValidator, body: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
        headers.insert("x-github-request-id", "AB:12".parse().unwrap());
        let response =
            ResponseToValidate::new(&Method::GET, StatusCode::OK, &headers, body.as_bytes());
        checker.validate(&Method::GET, "/repos/octocat/hello-world/labels", response);
    }

    #[test]
    fn repeated_deviations_are_counted() {
        let checker = ResponseValidator::new();
        let label = |color: &str| {
            format!(
                "{{\"id\": 1, \"node_id\": \"x\", \"url\": \"https://x\", \"name\": \"x\", \
                 \"description\": null, \"color\": {color}, \"default\": true}}"
            )
        };
        check(&checker, &format!("[{}]", label("\"fff\"")));
        assert!(checker.deviations().is_empty(), "{:?}", checker.deviations());
        check(&checker, &format!("[{}, {}]", label("\"fff\""), label("7")));
        check(&checker, &format!("[{}]", label("null")));
        let seen = checker.deviations();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].count, 2);
        assert_eq!(seen[0].request_id.as_deref(), Some("AB:12"));
        assert_eq!(
            seen[0].deviation.to_string(),
            "issues/list-labels-for-repo, at $[1].color: is integer, expected string"
        );
        assert_eq!((checker.validated(), checker.dropped()), (3, 0));
        let ignoring = checker.ignoring([DeviationKind::WrongType]);
        check(&ignoring, &format!("[{}]", label("7")));
        assert!(ignoring.deviations().is_empty());
    }

    #[test]
    fn a_severe_deviation_is_kept_whenever_it_comes() {
        let checker = ResponseValidator::new();
        let method = Method::GET;
        let headers = HeaderMap::new();
        for number in 0..1_500 {
            let response = ResponseToValidate::new(&method, StatusCode::OK, &headers, b"");
            checker.validate(&method, &format!("/nowhere/{number}"), response);
        }
        check(&checker, "[{\"id\": \"one\"}]");
        let severe = |seen: &ObservedDeviation| seen.deviation.kind == DeviationKind::WrongType;
        assert!(checker.deviations().iter().any(severe));
        let times: u64 = checker.deviations().iter().map(|seen| seen.count).sum();
        assert_eq!(checker.deviations().len(), 1_000);
        assert!(times + checker.dropped() > 1_500);
    }

    #[test]
    fn a_thousand_different_deviations_are_kept_and_the_rest_counted() {
        let checker = ResponseValidator::new();
        let method = Method::GET;
        for number in 0..1_005 {
            let headers = HeaderMap::new();
            let response = ResponseToValidate::new(&method, StatusCode::OK, &headers, b"");
            checker.validate(&method, &format!("/nowhere/{number}"), response);
        }
        assert_eq!((checker.deviations().len(), checker.dropped()), (1_000, 5));
    }
}
