//! Looks at the answers that a client gets.

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

/// Holds every answer that a client gets against GitHub's document, for test and staging.
///
/// Give it to a client by [`ClientBuilder::contract`](crate::ClientBuilder::contract), and ask it
/// afterwards what it saw. It is a handle: a clone sees the same.
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
/// An answer is never changed or refused for what the checker finds. Each deviation is logged once,
/// as a warning of the target `octowire::contract`, and then counted.
///
/// Not looked at are bodies that are streamed, answers from the [cache](crate::cache), answers of
/// other servers that GitHub redirects to, and GraphQL.
#[derive(Clone)]
pub struct Checker(Arc<Inner>);

struct Inner {
    document: Source,
    ignored: Vec<DeviationKind>,
    checked: AtomicU64,
    seen: Mutex<DeviationTable>,
}

/// A deviation, and how often it was seen.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// What it is, as it was seen first. Later ones at other places of the same lists are the same.
    pub deviation: Deviation,
    /// GitHub's id of the request that had it first, which GitHub's support asks for.
    pub request_id: Option<String>,
    /// How many answers had it.
    pub times: u64,
}

/// As many different deviations are kept.
const MAX_SEEN: usize = 1_000;

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// A checker by the document that this library was generated from.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Source::BuiltIn, Vec::new())
    }

    /// A checker by another document, such as that of an Enterprise Server.
    #[must_use]
    pub fn of_document(document: Arc<Document>) -> Self {
        Self::of(Source::Given(document), Vec::new())
    }

    /// The same without deviations of some sort, such as properties that are not documented.
    /// What was seen before is forgotten.
    #[must_use]
    pub fn ignoring(self, kinds: impl IntoIterator<Item = DeviationKind>) -> Self {
        let document = self.0.document.clone();
        Self::of(document, self.0.ignored.iter().copied().chain(kinds).collect())
    }

    /// The deviations that were seen, sorted by operation: at most 1,000 different ones. If there are
    /// more, the most severe are kept, and of those the most frequent.
    ///
    /// Most severe is what a program fails at: a value of another type, or a property or a body that is
    /// missing. Least severe is a property that is not documented.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self.lock().seen().cloned().collect();
        seen.sort_by(|a, b| a.deviation.cmp(&b.deviation));
        seen
    }

    /// How many answers were looked at.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.0.checked.load(Ordering::Relaxed)
    }

    /// How often deviations were seen that are not among [`seen`](Self::seen), because 1,000 others
    /// are. Together with the times of those, these are all.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.lock().left_out()
    }

    /// Looks at an answer. The path is below the API's address, and encoded.
    ///
    /// A client does so by itself; this is for answers that came by another way.
    pub fn check(&self, method: &Method, path: &str, answer: CheckResponse<'_>) {
        let document = self.document();
        let found = match document.operation_at(method, path) {
            Some(operation) => document.check_response(operation, answer),
            // An error is what a path that does not exist is answered with.
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

    /// Looks at an answer of this operation.
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
        // A panic leaves a table that is still whole.
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
