//! Stubs: responses that a test sets.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, check_header};
use super::answers::{Content, example_of};
use super::exchange::Shared;
use super::fault::Fault;
use super::received::Received;
use super::reply::rebase;
use crate::contract::{Document, DocumentedOperation};
use crate::request::Wanted;

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
///     .edit(|issue| issue["title"] = "It works".into());
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
    mock: Arc<Shared>,
    state: Arc<State>,
}

/// The mock's part of a stub.
pub(super) struct State {
    matcher: Matcher,
    steps: Mutex<Vec<Step>>,
    requests: AtomicUsize,
}

/// The requests that a stub matches.
pub(super) enum Matcher {
    Any,
    Path(Method, String),
    /// Calls of an operation with all values that are set here.
    Call(&'static str, Wanted),
    /// The same, for an operation id of any description.
    Operation(String, Vec<(String, String)>),
}

#[derive(Clone)]
struct Step {
    act: Act,
    /// The number of its uses; unlimited for the last one without a number.
    times: Option<usize>,
    taken: usize,
    delay: Duration,
    headers: Vec<(String, String)>,
}

/// The behavior of a step.
#[derive(Clone)]
pub(super) enum Act {
    /// The default response.
    Pass,
    Answer(Answer),
    With(Arc<Answering>),
}

/// A function from a request to a response.
type Answering = dyn Fn(&Received) -> Answer + Send + Sync;

/// A step that a request uses.
pub(super) struct Taken {
    pub(super) act: Act,
    pub(super) delay: Duration,
    pub(super) headers: Vec<(String, String)>,
    /// Returns whether the stub is for a path, which the description need not have.
    pub(super) is_by_path: bool,
}

/// Responses of a stub.
///
/// A success applies to requests that the mock would accept without the stub: with the right token, within
/// the rate limits, and as GitHub's description allows. Errors, faults and [`raw`](Stub::raw) responses apply
/// to any request.
impl Stub {
    /// Responds with this body and the operation's success status.
    ///
    /// # Panics
    /// If the body does not conform to GitHub's description: a test should not rely on responses that GitHub
    /// does not send. [`raw`](Self::raw) accepts any.
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
            Ok(body) => self.answer(Answer::json(status, &body)),
            Err(error) => refuse(&format!("response body serialization failed: {error}")),
        }
    }

    /// Responds with the description's example after a change.
    ///
    /// # Panics
    /// If the operation does not return JSON, or if the result does not conform to GitHub's description.
    #[track_caller]
    pub fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        let example = self.operation().and_then(|operation| {
            match &self.mock.answers.answer(operation)?.content {
                Content::Json(example) => Some(example.clone()),
                _ => None,
            }
        });
        let Some(mut body) = example else {
            refuse("there is no example to edit: the operation returns no JSON");
        };
        rebase(&mut body, &format!("http://{}", self.mock.address()));
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
            refuse("items require an operation that returns a paginated list");
        }
        let whole = Answer::json(self.success(), &Value::Array(items.clone()));
        self.check(&whole);
        self.answer(Answer::items(items))
    }

    /// Responds with a status and no custom body: for an error, GitHub's body with this message.
    ///
    /// # Panics
    /// If the description does not list the status for the operation, and it is not one that any call can
    /// return.
    #[track_caller]
    pub fn error(self, status: u16, message: &str) -> Self {
        let operation = self.operation();
        let document = self.mock.answers.document();
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
        self.answer(Answer::json(status, &body))
    }

    /// Responds with a status without a body.
    ///
    /// # Panics
    /// If the description does not list the status for the operation, and it is not one that any call can
    /// return.
    #[track_caller]
    pub fn empty(self, status: u16) -> Self {
        self.answer(Answer::empty(status))
    }

    /// Responds with anything, whether or not GitHub's description allows it.
    ///
    /// # Panics
    /// If the status or the content type is invalid.
    #[track_caller]
    pub fn raw(self, status: u16, content_type: &str, body: impl Into<bytes::Bytes>) -> Self {
        self.answer(Answer::raw(status, content_type, body))
    }

    /// Responds with the result of a function of the request, such as a status and a JSON body.
    ///
    /// If the result does not conform to GitHub's description, or the function panics, the response is 500
    /// with the error, and the test fails when the mock is dropped.
    pub fn with<A: Into<Answer>>(
        self,
        answer: impl Fn(&Received) -> A + Send + Sync + 'static,
    ) -> Self {
        self.then(Act::With(Arc::new(move |request| answer(request).into())))
    }

    /// Injects a fault.
    ///
    /// # Panics
    /// If the status of a [`Fault::ServerError`] is not 5xx.
    #[track_caller]
    pub fn fault(self, fault: Fault) -> Self {
        self.then(Act::Answer(fault.into()))
    }

    /// Responds as without the stub; for a delay, or a place in a sequence.
    pub fn pass(self) -> Self {
        self.then(Act::Pass)
    }

    #[track_caller]
    pub(super) fn answer(self, answer: Answer) -> Self {
        self.check(&answer);
        self.then(Act::Answer(answer))
    }

    #[track_caller]
    fn check(&self, answer: &Answer) {
        let document = self.mock.answers.document();
        accept(answer.keeps_to(document, self.operation()));
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
    pub(super) fn new(mock: Arc<Shared>, matcher: Matcher) -> Self {
        let state = State { matcher, steps: Mutex::default(), requests: AtomicUsize::new(0) };
        let state = Arc::new(state);
        mock.stubs().push(Arc::clone(&state));
        Self { mock, state }
    }

    fn operation(&self) -> Option<&DocumentedOperation> {
        self.state.matcher.operation(self.mock.answers.document())
    }

    fn success(&self) -> u16 {
        self.mock.answers.success(self.operation())
    }

    fn then(self, act: Act) -> Self {
        self.state.steps().push(Step {
            act,
            times: None,
            taken: 0,
            delay: Duration::ZERO,
            headers: Vec::new(),
        });
        self
    }

    fn change_last(self, change: impl FnOnce(&mut Step)) -> Self {
        let empty = self.state.steps().is_empty();
        let stub = if empty { self.pass() } else { self };
        if let Some(last) = stub.state.steps().last_mut() {
            change(last);
        }
        stub
    }
}

impl State {
    /// Returns the step for a request, if the stub matches and is not used up. A request that GitHub rejects
    /// uses no step that would not apply to it.
    pub(super) fn take(&self, request: &Received, refused: bool) -> Option<Taken> {
        if !self.matcher.is_for(request) {
            return None;
        }
        let mut steps = self.steps();
        let last = steps.len().checked_sub(1)?;
        let index = (0..=last).find(|index| {
            let step = &steps[*index];
            match step.times {
                Some(times) => step.taken < times,
                None => step.taken == 0 || *index == last,
            }
        })?;
        let is_by_path = matches!(self.matcher, Matcher::Path(..));
        let step = &mut steps[index];
        let bypasses = match &step.act {
            Act::Pass => true,
            Act::Answer(answer) => answer.bypasses(),
            Act::With(_) => false,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        if refused && !bypasses {
            let (act, delay, headers) = (Act::Pass, Duration::ZERO, Vec::new());
            return Some(Taken { act, delay, headers, is_by_path });
        }
        step.taken = step.taken.saturating_add(1);
        let Step { act, delay, headers, .. } = step.clone();
        Some(Taken { act, delay, headers, is_by_path })
    }

    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        // After a panic, the steps are still consistent.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Matcher {
    /// The operation of the stub, if it is in the description.
    pub(super) fn operation<'a>(&self, document: &'a Document) -> Option<&'a DocumentedOperation> {
        match self {
            Self::Call(id, _) => document.operation(id),
            Self::Operation(id, _) => document.operation(id),
            // A path can be one of the description.
            Self::Path(method, path) => document.operation_at(method, path),
            Self::Any => None,
        }
    }

    pub(super) fn is_for(&self, request: &Received) -> bool {
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
                        is.or_else(|| request.query_parameter(name))
                            .is_some_and(|is| same(name, is, value) || request.is_by_id(name))
                    })
            }
        }
    }

    /// The other values of a request of the same operation.
    pub(super) fn differences(&self, request: &Received) -> Vec<String> {
        let Self::Call(_, wanted) = self else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in &wanted.path {
            let is = request.path_parameter(name).unwrap_or_default();
            if !same(name, is, value) && !request.is_by_id(name) {
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
fn same(parameter: &str, one: &str, other: &str) -> bool {
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
        Err(message) => refuse(&message),
    }
}

/// A test that cannot continue: the mock was used incorrectly.
#[allow(clippy::panic, reason = "it is for tests, and documented")]
#[track_caller]
pub(super) fn refuse(message: &str) -> ! {
    panic!("{message}")
}
