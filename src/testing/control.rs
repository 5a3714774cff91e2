//! The mock's interface for tests in other languages: the methods of [`MockGitHub`](super::MockGitHub), as
//! requests below `/octowire-mock/`.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Fault;
use super::locks::lock;
use super::received::RecordedRequest;
use super::response::{MockResponse, check_fault, check_header, check_status};
use super::router::MockState;
use super::stub::{Matcher, Stub};
use super::wire_response::WireResponse;

const PREFIX: &str = "/octowire-mock/";

/// Maximum number of stubs that requests add. Each is matched against each request.
const MAX_STUBS: usize = 10_000;

/// The response to such a request.
pub(super) fn respond(shared: &Arc<MockState>, request: &RecordedRequest) -> Option<WireResponse> {
    let path = request.path.strip_prefix(PREFIX)?;
    let done = || Ok(json!({}));
    let result = match (request.method.as_str(), path) {
        ("POST", "reset") => {
            shared.reset();
            done()
        }
        ("GET", "received") => Ok(request_log_json(shared)),
        ("GET", "deviations") => {
            let log = lock(&shared.log);
            serde_json::to_value(&log.deviations).map_err(|error| error.to_string())
        }
        ("POST", "stubs") => {
            read::<CreateStubRequest>(request).and_then(|new| new.add(shared)).and_then(|()| done())
        }
        ("POST", "lists") => read::<SeedListRequest>(request)
            .and_then(|new| shared.list(&new.operation, new.total))
            .and_then(|()| done()),
        ("POST", "rate-limits") => read::<SetLimitRequest>(request)
            .and_then(|new| {
                shared.limit(&new.resource, new.limit, Duration::from_secs(new.window_seconds))
            })
            .and_then(|()| done()),
        _ => return None,
    };
    Some(match result {
        Ok(body) => WireResponse::json(200, &body),
        Err(message) => WireResponse::json(422, &json!({ "message": message })),
    })
}

fn read<T: for<'de> Deserialize<'de>>(request: &RecordedRequest) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

/// Without headers, since they contain the token.
fn request_log_json(shared: &MockState) -> Value {
    let log = lock(&shared.log);
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
struct SeedListRequest {
    operation: String,
    total: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLimitRequest {
    resource: String,
    limit: u64,
    window_seconds: u64,
}

/// A stub: for calls of an operation with these values in the path or the query, for a method and path, or
/// for all requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateStubRequest {
    operation: Option<String>,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
    method: Option<String>,
    path: Option<String>,
    steps: Vec<StubStepRequest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StubStepRequest {
    status: Option<u16>,
    body: Option<Value>,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    fault: Option<FaultRequest>,
    times: Option<usize>,
    #[serde(default)]
    delay_ms: u64,
    /// Whether the response can violate GitHub's description.
    #[serde(default)]
    raw: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FaultRequest {
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

impl CreateStubRequest {
    fn add(self, shared: &Arc<MockState>) -> Result<(), String> {
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
        let steps: Vec<(Option<MockResponse>, StubStepRequest)> =
            steps.collect::<Result<_, _>>()?;
        let mut stub = Stub::new(Arc::clone(shared), matcher);
        for (response, step) in steps {
            stub = match response {
                Some(response) => stub.push_response(response),
                None => stub.passthrough(),
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

impl StubStepRequest {
    /// The response of the step; `None` is the default response.
    fn read(
        mut self,
        shared: &MockState,
        matcher: &Matcher,
    ) -> Result<(Option<MockResponse>, Self), String> {
        for (name, value) in &self.headers {
            check_header(name, &text(value))?;
        }
        let document = shared.examples.description();
        let operation = matcher.operation(document);
        let fault = self.fault.take().map(Fault::from);
        if let Some(fault) = &fault {
            check_fault(fault)?;
        }
        let response = match (fault, self.status, self.body.take()) {
            (Some(fault), None, None) => Some(MockResponse::fault(fault)),
            (None, None, None) => None,
            (None, status, body) => {
                let status = status.unwrap_or_else(|| shared.examples.success(operation));
                check_status(status)?;
                Some(match (body, self.raw) {
                    (Some(body), true) => {
                        MockResponse::raw(status, "application/json", body.to_string())
                    }
                    (Some(body), false) => MockResponse::json(status, &body),
                    (None, _) => MockResponse::empty(status),
                })
            }
            _ => return Err("a step needs a `fault`, or a `status` and a `body`".to_owned()),
        };
        if let Some(response) = &response {
            response.conforms(document, operation)?;
        }
        Ok((response, self))
    }
}

impl From<FaultRequest> for Fault {
    fn from(fault: FaultRequest) -> Self {
        let seconds = Duration::from_secs;
        match fault {
            FaultRequest::Reset => Self::Reset,
            FaultRequest::Closed => Self::Closed,
            FaultRequest::Silent => Self::Silent,
            FaultRequest::Truncated(bytes) => Self::Truncated(bytes),
            FaultRequest::ServerError(status) => Self::ServerError(status),
            FaultRequest::PrimaryRateLimit(wait) => {
                Self::PrimaryRateLimit { reset_in: seconds(wait) }
            }
            FaultRequest::SecondaryRateLimit(wait) => {
                Self::SecondaryRateLimit { retry_after: wait.map(seconds) }
            }
            FaultRequest::BadCredentials => Self::BadCredentials,
        }
    }
}

/// A value as text for a URL or a header.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
