//! Stubs: responses that a test sets.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::examples::{Content, example_of};
use super::fault::Fault;
use super::received::RecordedRequest;
use super::response::{MockResponse, check_header};
use super::router::MockState;
use super::wire_response::rewrite_urls;
use crate::contract::{ApiDescription, OperationSpec};
use crate::request::RequestMatcher;

/// The mock's behavior for some requests, step by step: see [`MockGitHub::on`](super::MockGitHub::on).
///
/// Each method that sets a behavior adds a step. A step applies once unless [`times`](Self::times) sets
/// another number, and the last step applies to all further requests. If `times` bounds the last step as
/// well, later requests are handled as without the stub.
///
/// ```
/// # #[cfg(feature = "issues")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> octowire::Result<()> {
/// use octowire::testing::{Fault, MockGitHub};
///
/// let mock = MockGitHub::start().await;
/// let stub = mock
///     .on(|github| github.issues().get().owner("octocat").repo("hello-world"))
///     .fault(Fault::ServerError(502))
///     .modify_example(|issue| issue["title"] = "It works".into());
///
/// let github = mock.client();
/// let call = github.issues().get().owner("octocat").repo("hello-world").issue_number(1347);
/// assert_eq!(call.send().await?.title, "It works");
/// assert_eq!(stub.requests(), 2);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "issues"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Stub {
    mock: Arc<MockState>,
    state: Arc<State>,
}

/// The mock's part of a stub.
pub(super) struct State {
    matcher: Matcher,
    steps: Mutex<Vec<StubStep>>,
    requests: AtomicUsize,
}

/// The requests that a stub matches.
pub(super) enum Matcher {
    Any,
    Path(Method, String),
    /// Calls of an operation with all values that are set here.
    Call(&'static str, RequestMatcher),
    /// The same, for an operation id of any description.
    Operation(String, Vec<(String, String)>),
}

#[derive(Clone)]
struct StubStep {
    act: Action,
    /// The number of its uses; unlimited for the last one without a number.
    times: Option<usize>,
    times_used: usize,
    delay: Duration,
    headers: Vec<(String, String)>,
}

/// The behavior of a step.
#[derive(Clone)]
pub(super) enum Action {
    /// The default response.
    Passthrough,
    Respond(MockResponse),
    RespondWith(Arc<ResponseFn>),
}

/// A function from a request to a response.
type ResponseFn = dyn Fn(&RecordedRequest) -> MockResponse + Send + Sync;

/// A step that a request uses.
pub(super) struct MatchedStep {
    pub(super) act: Action,
    pub(super) delay: Duration,
    pub(super) headers: Vec<(String, String)>,
    /// Returns whether the stub is for a path, which the description need not have.
    pub(super) is_by_path: bool,
}

/// Responses of a stub.
///
/// A success applies to requests that the mock would accept without the stub: with the right token, within
/// the rate limits, and as GitHub's description allows. Errors, faults and [`respond_raw`](Stub::respond_raw) responses apply
/// to any request.
impl Stub {
    /// Responds with this body and the operation's success status.
    ///
    /// # Panics
    /// If the body does not conform to GitHub's description: a test should not rely on responses that GitHub
    /// does not send. [`respond_raw`](Self::respond_raw) accepts any.
    #[track_caller]
    pub fn json(self, body: impl Serialize) -> Self {
        let status = self.success();
        self.status(status, body)
    }

    /// Responds with this body and status.
    ///
    /// # Panics
    /// If the response does not conform to GitHub's description.
    #[track_caller]
    pub fn status(self, status: u16, body: impl Serialize) -> Self {
        match serde_json::to_value(body) {
            Ok(body) => self.push_response(MockResponse::json(status, &body)),
            Err(error) => misuse(&format!("response body serialization failed: {error}")),
        }
    }

    /// Responds with the description's example after a change.
    ///
    /// # Panics
    /// If the operation does not return JSON, or if the result does not conform to GitHub's description.
    #[track_caller]
    pub fn modify_example(self, change: impl FnOnce(&mut Value)) -> Self {
        let example = self.operation().and_then(|operation| {
            match &self.mock.examples.response(operation)?.content {
                Content::Json(example) => Some(example.clone()),
                _ => None,
            }
        });
        let Some(mut body) = example else {
            misuse("there is no example to edit: the operation returns no JSON");
        };
        rewrite_urls(&mut body, &format!("http://{}", self.mock.address()));
        change(&mut body);
        self.json(body)
    }

    /// Responds with these items, in pages as the request asks for them.
    ///
    /// # Panics
    /// If the operation does not return a list in pages, or if an item does not conform to GitHub's
    /// description.
    #[track_caller]
    pub fn items(self, items: Vec<Value>) -> Self {
        if !self.operation().is_some_and(|operation| self.mock.is_list(operation)) {
            misuse("items require an operation that returns a paginated list");
        }
        let whole = MockResponse::json(self.success(), &Value::Array(items.clone()));
        self.check(&whole);
        self.push_response(MockResponse::items(items))
    }

    /// Responds with a status and no custom body: for an error, GitHub's body with this message.
    ///
    /// # Panics
    /// If the description does not list the status for the operation, and it is not one that any call can
    /// return.
    #[track_caller]
    pub fn error(self, status: u16, message: &str) -> Self {
        let operation = self.operation();
        let document = self.mock.examples.description();
        let docs = operation.map_or("https://docs.github.com/rest", |of| of.documentation_url());
        let example = operation.and_then(|operation| example_of(document, operation, status));
        let body = match example {
            // The description's example can have further properties.
            Some(mut example) if example.get("message").is_some() => {
                example["message"] = message.into();
                example
            }
            _ => serde_json::json!({
                "message": message,
                "documentation_url": docs,
                "status": status.to_string(),
            }),
        };
        self.push_response(MockResponse::json(status, &body))
    }

    /// Responds with a status without a body.
    ///
    /// # Panics
    /// If the description does not list the status for the operation, and it is not one that any call can
    /// return.
    #[track_caller]
    pub fn empty(self, status: u16) -> Self {
        self.push_response(MockResponse::empty(status))
    }

    /// Responds with anything, whether or not GitHub's description allows it.
    ///
    /// # Panics
    /// If the status or the content type is invalid.
    #[track_caller]
    pub fn respond_raw(
        self,
        status: u16,
        content_type: &str,
        body: impl Into<bytes::Bytes>,
    ) -> Self {
        self.push_response(MockResponse::raw(status, content_type, body))
    }

    /// Responds with the result of a function of the request, such as a status and a JSON body.
    ///
    /// If the result does not conform to GitHub's description, or the function panics, the response is 500
    /// with the error, and the test fails when the mock is dropped.
    pub fn respond_with<A: Into<MockResponse>>(
        self,
        response: impl Fn(&RecordedRequest) -> A + Send + Sync + 'static,
    ) -> Self {
        self.push_step(Action::RespondWith(Arc::new(move |request| response(request).into())))
    }

    /// Injects a fault.
    ///
    /// # Panics
    /// If the status of a [`Fault::ServerError`] is not 5xx.
    #[track_caller]
    pub fn fault(self, fault: Fault) -> Self {
        self.push_step(Action::Respond(fault.into()))
    }

    /// Responds as without the stub; for a delay, or a place in a sequence.
    pub fn passthrough(self) -> Self {
        self.push_step(Action::Passthrough)
    }

    #[track_caller]
    pub(super) fn push_response(self, response: MockResponse) -> Self {
        self.check(&response);
        self.push_step(Action::Respond(response))
    }

    #[track_caller]
    fn check(&self, response: &MockResponse) {
        let document = self.mock.examples.description();
        accept(response.conforms(document, self.operation()));
    }
}

/// Options of the last step.
impl Stub {
    /// Uses the last step this number of times, and then the next one.
    pub fn times(self, times: usize) -> Self {
        self.change_last(|step| step.times = Some(times))
    }

    /// Delays the response of the last step, by tokio's clock, which a test can pause. Without a step, adds
    /// one that passes.
    pub fn delay(self, delay: Duration) -> Self {
        self.change_last(|step| step.delay = delay)
    }

    /// Sets a header on the response of the last step, and replaces an existing one.
    ///
    /// # Panics
    /// If the name or the value is invalid.
    #[track_caller]
    pub fn header(self, name: &str, value: &str) -> Self {
        accept(check_header(name, value));
        self.change_last(|step| step.headers.push((name.to_owned(), value.to_owned())))
    }

    /// Returns the number of requests that the stub received.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Removes the stub.
    pub fn remove(self) {
        self.mock.stubs().retain(|known| !Arc::ptr_eq(known, &self.state));
    }
}

impl Stub {
    pub(super) fn new(mock: Arc<MockState>, matcher: Matcher) -> Self {
        let state = State { matcher, steps: Mutex::default(), requests: AtomicUsize::new(0) };
        let state = Arc::new(state);
        mock.stubs().push(Arc::clone(&state));
        Self { mock, state }
    }

    fn operation(&self) -> Option<&OperationSpec> {
        self.state.matcher.operation(self.mock.examples.description())
    }

    fn success(&self) -> u16 {
        self.mock.examples.success(self.operation())
    }

    fn push_step(self, act: Action) -> Self {
        self.state.steps().push(StubStep {
            act,
            times: None,
            times_used: 0,
            delay: Duration::ZERO,
            headers: Vec::new(),
        });
        self
    }

    fn change_last(self, change: impl FnOnce(&mut StubStep)) -> Self {
        let empty = self.state.steps().is_empty();
        let stub = if empty { self.passthrough() } else { self };
        if let Some(last) = stub.state.steps().last_mut() {
            change(last);
        }
        stub
    }
}

impl State {
    /// Returns the step for a request, if the stub matches and is not used up. A request that GitHub rejects
    /// uses no step that would not apply to it.
    pub(super) fn take(&self, request: &RecordedRequest, is_rejected: bool) -> Option<MatchedStep> {
        if !self.matcher.is_for(request) {
            return None;
        }
        let mut steps = self.steps();
        let last = steps.len().checked_sub(1)?;
        let index = (0..=last).find(|index| {
            let step = &steps[*index];
            match step.times {
                Some(times) => step.times_used < times,
                None => step.times_used == 0 || *index == last,
            }
        })?;
        let is_by_path = matches!(self.matcher, Matcher::Path(..));
        let step = &mut steps[index];
        let bypasses = match &step.act {
            Action::Passthrough => true,
            Action::Respond(response) => response.skips_validation(),
            Action::RespondWith(_) => false,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        if is_rejected && !bypasses {
            let (act, delay, headers) = (Action::Passthrough, Duration::ZERO, Vec::new());
            return Some(MatchedStep { act, delay, headers, is_by_path });
        }
        step.times_used = step.times_used.saturating_add(1);
        let StubStep { act, delay, headers, .. } = step.clone();
        Some(MatchedStep { act, delay, headers, is_by_path })
    }

    fn steps(&self) -> MutexGuard<'_, Vec<StubStep>> {
        // After a panic, the steps are still consistent.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Matcher {
    /// The operation of the stub, if it is in the description.
    pub(super) fn operation<'a>(&self, document: &'a ApiDescription) -> Option<&'a OperationSpec> {
        match self {
            Self::Call(id, _) => document.operation(id),
            Self::Operation(id, _) => document.operation(id),
            // A path can be one of the description.
            Self::Path(method, path) => document.operation_at(method, path),
            Self::Any => None,
        }
    }

    pub(super) fn is_for(&self, request: &RecordedRequest) -> bool {
        match self {
            Self::Any => true,
            Self::Path(method, path) => *method == request.method && *path == request.path,
            Self::Call(id, _) => {
                request.operation_id.as_deref() == Some(id) && self.differences(request).is_empty()
            }
            Self::Operation(id, parameters) => {
                request.operation_id.as_deref() == Some(id)
                    && parameters.iter().all(|(name, value)| {
                        let is = request.path_parameter(name);
                        is.or_else(|| request.query_parameter(name)).is_some_and(|is| {
                            is_same_value(name, is, value) || request.is_by_id(name)
                        })
                    })
            }
        }
    }

    /// The other values of a request of the same operation.
    pub(super) fn differences(&self, request: &RecordedRequest) -> Vec<String> {
        let Self::Call(_, wanted) = self else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in &wanted.path {
            let is = request.path_parameter(name).unwrap_or_default();
            if !is_same_value(name, is, value) && !request.is_by_id(name) {
                found.push(format!("{name} is {is:?}, not {value:?}"));
            }
        }
        for (name, value) in &wanted.query {
            let is = request.query_parameter(name);
            if !request.query_pairs.contains(&(name.clone(), value.clone())) {
                found.push(format!("{name} is {is:?}, not {value:?}"));
            }
        }
        found.extend(wanted.body_differences(&request.body));
        found
    }
}

/// Returns whether two values of a parameter are the same at GitHub: the case does not matter in names of
/// accounts, repositories, teams and labels, and matters in files and branches.
fn is_same_value(parameter: &str, one: &str, other: &str) -> bool {
    match parameter {
        "owner" | "repo" | "org" | "username" | "team_slug" | "enterprise" | "name"
        | "template_owner" | "template_repo" => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

/// Returns the value if the mock accepts it; otherwise ends the test.
#[track_caller]
pub(super) fn accept<T>(result: Result<T, String>) -> T {
    match result {
        Ok(value) => value,
        Err(message) => misuse(&message),
    }
}

/// A test that cannot continue: the mock was used incorrectly.
#[allow(clippy::panic, reason = "it is for tests, and documented")]
#[track_caller]
pub(super) fn misuse(message: &str) -> ! {
    panic!("{message}")
}
