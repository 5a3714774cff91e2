//! What a test tells the mock to answer.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::answers::{Content, example_of};
use super::exchange::Shared;
use super::fault::Fault;
use super::received::Received;
use super::reply::Reply;
use crate::contract::{CheckResponse, DocumentedOperation};
use crate::request::Wanted;

/// What the mock does with some requests, step by step: see [`MockGitHub::on`](super::MockGitHub::on).
///
/// Each method that says what to do adds a step. A step is taken once if [`times`](Self::times) does
/// not say otherwise, and the last one from then on, for good; if `times` bounds the last one as
/// well, requests after it are answered as if the stub were not there.
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

/// What the mock keeps of a stub.
pub(super) struct State {
    matcher: Matcher,
    steps: Mutex<Vec<Step>>,
    requests: AtomicUsize,
}

/// Which requests a stub is for.
pub(super) enum Matcher {
    Any,
    Path(Method, String),
    /// Calls of an operation that have all that is given here.
    Call(&'static str, Wanted),
}

#[derive(Clone)]
struct Step {
    act: Act,
    /// How often it is taken; the last one without a number is for good.
    times: Option<usize>,
    taken: usize,
    delay: Duration,
    headers: Vec<(String, String)>,
}

/// What a step does.
#[derive(Clone)]
pub(super) enum Act {
    /// Answers as if there were no stub.
    Pass,
    Reply(Reply),
    Fault(Fault),
    With(Arc<Answering>),
}

/// What makes an answer of a request: a status, and a body.
type Answering = dyn Fn(&Received) -> (u16, Value) + Send + Sync;

/// A step that a request takes.
pub(super) struct Taken {
    pub(super) act: Act,
    pub(super) delay: Duration,
    pub(super) headers: Vec<(String, String)>,
}

/// What a stub answers.
impl Stub {
    /// Answers this body with the operation's success.
    ///
    /// # Panics
    /// If the body does not keep to GitHub's document: a test should not rely on what GitHub does
    /// not do. [`raw`](Self::raw) takes anything.
    #[track_caller]
    #[must_use]
    pub fn json(self, body: impl Serialize) -> Self {
        let status = self.success();
        self.status(status, body)
    }

    /// Answers this body with this status.
    ///
    /// # Panics
    /// If the answer does not keep to GitHub's document.
    #[track_caller]
    #[must_use]
    pub fn status(self, status: u16, body: impl Serialize) -> Self {
        let body = match serde_json::to_value(body) {
            Ok(body) => body,
            Err(error) => refuse(&format!("the body does not serialize: {error}")),
        };
        self.keep_to_contract(status, &body);
        self.then(Act::Reply(Reply::json(status, &body)))
    }

    /// Answers the document's example with a change.
    ///
    /// # Panics
    /// If the operation answers no JSON, or if what comes out does not keep to GitHub's document.
    #[track_caller]
    #[must_use]
    pub fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        let example = self.operation().and_then(|operation| {
            match &self.mock.answers.answer(operation)?.content {
                Content::Json(example) => Some(example.clone()),
                _ => None,
            }
        });
        let Some(mut body) = example else {
            refuse("there is no example to edit: the operation answers no JSON");
        };
        change(&mut body);
        self.json(body)
    }

    /// Answers a status without a body of its own: for an error, GitHub's body with this message.
    ///
    /// # Panics
    /// If the document does not know the status for the operation, and any call can not get it.
    #[track_caller]
    #[must_use]
    pub fn error(self, status: u16, message: &str) -> Self {
        let operation = self.operation();
        let document = self.mock.answers.document();
        let docs = operation.map_or("https://docs.github.com/rest", |of| of.documentation_url());
        let example = operation.and_then(|operation| example_of(document, operation, status));
        let reply = match example {
            // What the document shows may have more to it.
            Some(mut example) if example.get("message").is_some() => {
                example["message"] = message.into();
                Reply::json(status, &example)
            }
            _ => Reply::error(status, message, docs),
        };
        let body = serde_json::from_slice(&reply.body).unwrap_or_default();
        self.keep_to_contract(status, &body);
        self.then(Act::Reply(reply))
    }

    /// Answers a status without a body.
    #[must_use]
    pub fn empty(self, status: u16) -> Self {
        self.then(Act::Reply(Reply::empty(status)))
    }

    /// Answers anything, whether or not GitHub could.
    #[must_use]
    pub fn raw(self, status: u16, content_type: &str, body: impl Into<bytes::Bytes>) -> Self {
        self.then(Act::Reply(Reply::bytes(status, content_type, body)))
    }

    /// Answers what a function makes of the request: a status, and a body of JSON.
    #[must_use]
    pub fn with(self, answer: impl Fn(&Received) -> (u16, Value) + Send + Sync + 'static) -> Self {
        self.then(Act::With(Arc::new(answer)))
    }

    /// Lets something go wrong.
    #[must_use]
    pub fn fault(self, fault: Fault) -> Self {
        self.then(Act::Fault(fault))
    }

    /// Answers as if there were no stub; for a delay, or a place in a sequence.
    #[must_use]
    pub fn pass(self) -> Self {
        self.then(Act::Pass)
    }
}

/// More about the last step.
impl Stub {
    /// Takes the last step so many times, and then the next one.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        self.change_last(|step| step.times = Some(times))
    }

    /// Waits before the answer of the last step, by tokio's clock, which a test may pause. Without a
    /// step, it adds one that passes.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.change_last(|step| step.delay = delay)
    }

    /// Puts a header on the answer of the last step, and replaces what is there.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.change_last(|step| step.headers.push((name.to_owned(), value.to_owned())))
    }

    /// How many requests came to the stub.
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
        match &self.state.matcher {
            Matcher::Call(id, _) => self.mock.answers.document().operation(id),
            Matcher::Any | Matcher::Path(..) => None,
        }
    }

    fn success(&self) -> u16 {
        let answer = self.operation().and_then(|operation| self.mock.answers.answer(operation));
        answer.map_or(200, |answer| answer.status)
    }

    #[track_caller]
    fn keep_to_contract(&self, status: u16, body: &Value) {
        let Ok(status) = StatusCode::from_u16(status) else {
            refuse(&format!("{status} is no status"));
        };
        let Some(operation) = self.operation() else { return };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let body = body.to_string();
        let answer = CheckResponse {
            status,
            headers: &headers,
            body: body.as_bytes(),
            other_media_type: false,
        };
        let found = self.mock.answers.document().check_response(operation, answer);
        if !found.is_empty() {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            refuse(&format!(
                "GitHub does not answer so, by its document (`raw` answers anything):\n  {}",
                found.join("\n  ")
            ));
        }
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
    /// The step that a request takes, if the stub is for it and not used up.
    pub(super) fn take(&self, request: &Received) -> Option<Taken> {
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
        let step = &mut steps[index];
        step.taken += 1;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let Step { act, delay, headers, .. } = step.clone();
        Some(Taken { act, delay, headers })
    }

    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        // Whoever panicked left steps that are still whole.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Matcher {
    pub(super) fn is_for(&self, request: &Received) -> bool {
        match self {
            Self::Any => true,
            Self::Path(method, path) => *method == request.method && *path == request.path,
            Self::Call(id, wanted) => {
                request.operation_id.as_deref() == Some(id)
                    && wanted.path.iter().all(|(name, value)| {
                        // Names at GitHub are the same in upper and lower case.
                        let is = request.path_parameter(name);
                        is.is_some_and(|is| is.eq_ignore_ascii_case(value))
                    })
                    && wanted.query.iter().all(|pair| request.query_pairs.contains(pair))
                    && wanted.has_body(&request.body)
            }
        }
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

/// A test that can not go on: the mock's user made a mistake.
#[allow(clippy::panic, reason = "it is for tests, and documented")]
#[track_caller]
pub(super) fn refuse(message: &str) -> ! {
    panic!("{message}")
}
