//! The mock's interface for tests in other languages: the methods of [`MockGitHub`](super::MockGitHub), as
//! requests below `/octowire-mock/`.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, check_fault, check_header, check_status};
use super::exchange::{Shared, lock};
use super::fault::Fault;
use super::received::Received;
use super::reply::Reply;
use super::stub::{Matcher, Stub};

const PREFIX: &str = "/octowire-mock/";

/// Maximum number of stubs that requests add. Each is matched against each request.
const MAX_STUBS: usize = 10_000;

/// The response to such a request.
pub(super) fn answer(shared: &Arc<Shared>, request: &Received) -> Option<Reply> {
    let path = request.path.strip_prefix(PREFIX)?;
    let done = || Ok(json!({}));
    let result = match (request.method.as_str(), path) {
        ("POST", "reset") => {
            shared.reset();
            done()
        }
        ("GET", "received") => Ok(received(shared)),
        ("GET", "deviations") => {
            let log = lock(&shared.received);
            serde_json::to_value(&log.deviations).map_err(|error| error.to_string())
        }
        ("POST", "stubs") => {
            read::<NewStub>(request).and_then(|new| new.add(shared)).and_then(|()| done())
        }
        ("POST", "lists") => read::<NewList>(request)
            .and_then(|new| shared.list(&new.operation, new.total))
            .and_then(|()| done()),
        ("POST", "rate-limits") => read::<NewLimit>(request)
            .and_then(|new| {
                shared.limit(&new.resource, new.limit, Duration::from_secs(new.window_seconds))
            })
            .and_then(|()| done()),
        _ => return None,
    };
    Some(match result {
        Ok(body) => Reply::json(200, &body),
        Err(message) => Reply::json(422, &json!({ "message": message })),
    })
}

fn read<T: for<'de> Deserialize<'de>>(request: &Received) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

/// Without headers, since they contain the token.
fn received(shared: &Shared) -> Value {
    let log = lock(&shared.received);
    let requests = log.requests.iter().map(|request| {
        let text = || Value::from(String::from_utf8_lossy(&request.body));
        let body = match request.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&request.body).unwrap_or_else(|_| text()),
        };
        json!({
            "method": request.method.as_str(),
            "path": request.path,
            "query": request.query,
            "operation": request.operation_id,
            "body": body,
        })
    });
    requests.collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewList {
    operation: String,
    total: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLimit {
    resource: String,
    limit: u64,
    window_seconds: u64,
}

/// A stub: for calls of an operation with these values in the path or the query, for a method and path, or
/// for all requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStub {
    operation: Option<String>,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
    method: Option<String>,
    path: Option<String>,
    steps: Vec<NewStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStep {
    status: Option<u16>,
    body: Option<Value>,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    fault: Option<NewFault>,
    times: Option<usize>,
    #[serde(default)]
    delay_ms: u64,
    /// Whether the response can violate GitHub's description.
    #[serde(default)]
    raw: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum NewFault {
    Reset,
    Closed,
    Silent,
    Truncated(usize),
    ServerError(u16),
    /// Seconds until it is reset.
    PrimaryRateLimit(u64),
    /// Seconds in `Retry-After`.
    SecondaryRateLimit(Option<u64>),
    BadCredentials,
}

impl NewStub {
    fn add(self, shared: &Arc<Shared>) -> Result<(), String> {
        if shared.stubs().len() >= MAX_STUBS {
            return Err(format!("there are already {MAX_STUBS} stubs: reset them"));
        }
        let matcher = match (self.operation, self.method, self.path) {
            (Some(id), None, None) => {
                shared.operation(&id)?;
                let parameters = self.parameters.into_iter();
                Matcher::Operation(
                    id,
                    parameters.map(|(name, value)| (name, text(&value))).collect(),
                )
            }
            (None, Some(method), Some(path)) => {
                let method = method.parse::<Method>().map_err(|error| error.to_string())?;
                Matcher::Path(method, path)
            }
            (None, None, None) => Matcher::Any,
            _ => {
                return Err("a stub needs an `operation`, or a `method` and `path`".to_owned());
            }
        };
        // All parts are validated before any of them takes effect.
        let steps = self.steps.into_iter().map(|step| step.read(shared, &matcher));
        let steps: Vec<(Option<Answer>, NewStep)> = steps.collect::<Result<_, _>>()?;
        let mut stub = Stub::new(Arc::clone(shared), matcher);
        for (answer, step) in steps {
            stub = match answer {
                Some(answer) => stub.answer(answer),
                None => stub.pass(),
            };
            stub = stub.delay(Duration::from_millis(step.delay_ms));
            for (name, value) in &step.headers {
                stub = stub.header(name, &text(value));
            }
            if let Some(times) = step.times {
                stub = stub.times(times);
            }
        }
        Ok(())
    }
}

impl NewStep {
    /// The response of the step; `None` is the default response.
    fn read(
        mut self,
        shared: &Shared,
        matcher: &Matcher,
    ) -> Result<(Option<Answer>, Self), String> {
        for (name, value) in &self.headers {
            check_header(name, &text(value))?;
        }
        let document = shared.answers.document();
        let operation = matcher.operation(document);
        let fault = self.fault.take().map(Fault::from);
        if let Some(fault) = &fault {
            check_fault(fault)?;
        }
        let answer = match (fault, self.status, self.body.take()) {
            (Some(fault), None, None) => Some(Answer::fault(fault)),
            (None, None, None) => None,
            (None, status, body) => {
                let status = status.unwrap_or_else(|| shared.answers.success(operation));
                check_status(status)?;
                Some(match (body, self.raw) {
                    (Some(body), true) => Answer::raw(status, "application/json", body.to_string()),
                    (Some(body), false) => Answer::json(status, &body),
                    (None, _) => Answer::empty(status),
                })
            }
            _ => return Err("a step needs a `fault`, or a `status` and a `body`".to_owned()),
        };
        if let Some(answer) = &answer {
            answer.keeps_to(document, operation)?;
        }
        Ok((answer, self))
    }
}

impl From<NewFault> for Fault {
    fn from(fault: NewFault) -> Self {
        let seconds = Duration::from_secs;
        match fault {
            NewFault::Reset => Self::Reset,
            NewFault::Closed => Self::Closed,
            NewFault::Silent => Self::Silent,
            NewFault::Truncated(bytes) => Self::Truncated(bytes),
            NewFault::ServerError(status) => Self::ServerError(status),
            NewFault::PrimaryRateLimit(wait) => Self::PrimaryRateLimit { reset_in: seconds(wait) },
            NewFault::SecondaryRateLimit(wait) => {
                Self::SecondaryRateLimit { retry_after: wait.map(seconds) }
            }
            NewFault::BadCredentials => Self::BadCredentials,
        }
    }
}

/// A value as text for a URL or a header.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
