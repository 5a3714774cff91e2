//! Validates the responses that a client receives.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use serde::Serialize;
use tracing::warn;

use super::deviation::{Deviation, DeviationKind};
use super::document::{Document, Source};
use super::response::CheckResponse;
use super::table::DeviationTable;

/// Compares every response that a client receives with GitHub's OpenAPI description, for tests and staging.
///
/// Pass it to a client with [`ClientBuilder::contract`](crate::ClientBuilder::contract), and read its
/// findings afterwards. It is a handle: clones share their findings.
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::contract::Checker;
///
/// let checker = Checker::new();
/// let github = Client::builder().token("…").contract(checker.clone()).build()?;
/// // … what the application does …
/// for seen in checker.seen() {
///     println!("{} times: {}", seen.times, seen.deviation);
/// }
/// # Ok(())
/// # }
/// ```
///
/// The checker never changes or rejects a response. It logs each deviation once, as a warning with the target
/// `octowire::contract`, and counts the repetitions.
///
/// It skips streamed bodies, responses from the [cache](crate::cache), responses of external hosts that
/// GitHub redirects to, and GraphQL.
#[derive(Clone)]
pub struct Checker(Arc<Inner>);

struct Inner {
    document: Source,
    ignored: Vec<DeviationKind>,
    checked: AtomicU64,
    seen: Mutex<DeviationTable>,
}

/// A deviation, and its number of occurrences.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// The first occurrence. Later ones at other indices of the same lists count as the same.
    pub deviation: Deviation,
    /// GitHub's request id of the first occurrence, which GitHub's support asks for.
    pub request_id: Option<String>,
    /// The number of responses with this deviation.
    pub times: u64,
}

/// Maximum number of different deviations that are kept.
const MAX_SEEN: usize = 1_000;

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// Returns a checker for the description that this library was generated from.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Source::BuiltIn, Vec::new())
    }

    /// Returns a checker for another description, such as that of an Enterprise Server.
    #[must_use]
    pub fn of_document(document: Arc<Document>) -> Self {
        Self::of(Source::Given(document), Vec::new())
    }

    /// Ignores deviations of one kind, such as undocumented properties. Discards earlier findings.
    #[must_use]
    pub fn ignoring(self, kinds: impl IntoIterator<Item = DeviationKind>) -> Self {
        let document = self.0.document.clone();
        Self::of(document, self.0.ignored.iter().copied().chain(kinds).collect())
    }

    /// Returns the deviations found so far, sorted by operation: at most 1,000 different ones. If there are
    /// more, the checker keeps the most severe, and of those the most frequent.
    ///
    /// The most severe deviations make a program fail: a value of another type, or a missing property or
    /// body. The least severe is an undocumented property.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self.lock().seen().cloned().collect();
        seen.sort_by(|a, b| a.deviation.cmp(&b.deviation));
        seen
    }

    /// Returns the number of checked responses.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.0.checked.load(Ordering::Relaxed)
    }

    /// Returns the number of occurrences of deviations that are not in [`seen`](Self::seen), because 1,000
    /// others are. Together with the counts there, this is the total.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.lock().left_out()
    }

    /// Checks a response. The path is relative to the API's base URL, and encoded.
    ///
    /// A client does this automatically; use this for responses that another client received.
    pub fn check(&self, method: &Method, path: &str, answer: CheckResponse<'_>) {
        let document = self.document();
        let found = match document.operation_at(method, path) {
            Some(operation) => document.check_response(operation, answer),
            // The response to a path that does not exist is an error.
            None if !answer.status.is_success() => Vec::new(),
            None => vec![Deviation::new(
                &format!("{method} {path}"),
                DeviationKind::UnknownOperation,
                "path",
                format!(
                    "GitHub returned {}, but the OpenAPI description has no such path",
                    answer.status
                ),
            )],
        };
        self.note(found, answer);
    }

    /// Checks a response of this operation.
    pub(crate) fn check_operation(&self, id: &str, answer: CheckResponse<'_>) {
        let document = self.document();
        let found = match document.operation(id) {
            Some(operation) => document.check_response(operation, answer),
            None if !answer.status.is_success() => Vec::new(),
            None => {
                let message = format!(
                    "GitHub returned {}, but the OpenAPI description has no such operation",
                    answer.status
                );
                vec![Deviation::new(id, DeviationKind::UnknownOperation, "path", message)]
            }
        };
        self.note(found, answer);
    }

    fn of(document: Source, ignored: Vec<DeviationKind>) -> Self {
        Self(Arc::new(Inner {
            document,
            ignored,
            checked: AtomicU64::new(0),
            seen: Mutex::new(DeviationTable::new(MAX_SEEN)),
        }))
    }

    fn document(&self) -> &Document {
        self.0.document.document()
    }

    fn note(&self, found: Vec<Deviation>, answer: CheckResponse<'_>) {
        self.0.checked.fetch_add(1, Ordering::Relaxed);
        let mut seen = self.lock();
        for deviation in found {
            if self.0.ignored.contains(&deviation.kind) {
                continue;
            }
            let request_id = crate::response::request_id(answer.headers);
            if seen.note(&deviation, request_id) {
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
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("document", self.document())
            .field("checked", &self.checked())
            .field("seen", &self.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn check(checker: &Checker, body: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json; charset=utf-8".parse().unwrap());
        headers.insert("x-github-request-id", "AB:12".parse().unwrap());
        let answer = CheckResponse::new(&Method::GET, StatusCode::OK, &headers, body.as_bytes());
        checker.check(&Method::GET, "/repos/octocat/hello-world/labels", answer);
    }

    #[test]
    fn what_is_seen_again_is_counted() {
        let checker = Checker::new();
        let label = |color: &str| {
            format!(
                "{{\"id\": 1, \"node_id\": \"x\", \"url\": \"https://x\", \"name\": \"x\", \
                 \"description\": null, \"color\": {color}, \"default\": true}}"
            )
        };
        check(&checker, &format!("[{}]", label("\"fff\"")));
        assert!(checker.seen().is_empty(), "{:?}", checker.seen());
        check(&checker, &format!("[{}, {}]", label("\"fff\""), label("7")));
        check(&checker, &format!("[{}]", label("null")));
        let seen = checker.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].times, 2);
        assert_eq!(seen[0].request_id.as_deref(), Some("AB:12"));
        assert_eq!(
            seen[0].deviation.to_string(),
            "issues/list-labels-for-repo, at $[1].color: is integer, expected string"
        );
        assert_eq!((checker.checked(), checker.left_out()), (3, 0));
        let ignoring = checker.ignoring([DeviationKind::WrongType]);
        check(&ignoring, &format!("[{}]", label("7")));
        assert!(ignoring.seen().is_empty());
    }

    #[test]
    fn a_severe_deviation_is_kept_whenever_it_comes() {
        let checker = Checker::new();
        let method = Method::GET;
        let headers = HeaderMap::new();
        for number in 0..1_500 {
            let answer = CheckResponse::new(&method, StatusCode::OK, &headers, b"");
            checker.check(&method, &format!("/nowhere/{number}"), answer);
        }
        check(&checker, "[{\"id\": \"one\"}]");
        let severe = |seen: &Seen| seen.deviation.kind == DeviationKind::WrongType;
        assert!(checker.seen().iter().any(severe));
        let times: u64 = checker.seen().iter().map(|seen| seen.times).sum();
        assert_eq!(checker.seen().len(), 1_000);
        assert!(times + checker.left_out() > 1_500);
    }

    #[test]
    fn a_thousand_different_deviations_are_kept_and_the_rest_counted() {
        let checker = Checker::new();
        let method = Method::GET;
        for number in 0..1_005 {
            let headers = HeaderMap::new();
            let answer = CheckResponse::new(&method, StatusCode::OK, &headers, b"");
            checker.check(&method, &format!("/nowhere/{number}"), answer);
        }
        assert_eq!((checker.seen().len(), checker.left_out()), (1_000, 5));
    }
}
