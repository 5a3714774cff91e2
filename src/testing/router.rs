//! The processing of a request in the mock.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::{Value, json};
use tracing::debug;

use super::auth::MockAuth;
use super::clock::Clock;
use super::control;
use super::dynamic::{self, DynamicContext};
use super::examples::{Content, ExampleResponses, conforms};
use super::intake::BodyReader;
use super::limits::Limits;
use super::locks::lock;
use super::pagination::ListItems;
use super::received::RecordedRequest;
use super::resources::Resources;
use super::response::{MockResponse, ResponseKind};
use super::stub::{Action, State};
use super::substitute::substitute_parameters;
use super::wire_response::{self, WireResponse, rewrite_urls};
use crate::contract::{
    ApiDescription, DescriptionSource, Deviation, DeviationKind, MatchedRequest, OperationSpec,
    RequestToValidate,
};

/// Maximum number of stored requests, and of their bytes; the oldest are dropped first.
const MAX_REQUESTS: usize = 10_000;
const MAX_REQUEST_LOG_BYTES: usize = 64 * 1024 * 1024;

/// Maximum number of stored deviations and mistakes.
const MAX_RECORDED_DEVIATIONS: usize = 1_000;

/// The state of the mock that requests use.
pub(super) struct MockState {
    pub(super) examples: Arc<ExampleResponses>,
    pub(super) clock: Clock,
    address: OnceLock<SocketAddr>,
    stubs: Mutex<Vec<Arc<State>>>,
    /// The number of items of a list, if a test set it.
    totals: Mutex<HashMap<String, usize>>,
    pub(super) log: Mutex<RequestLog>,
    pub(super) limits: Limits,
    pub(super) resources: Resources,
    pub(super) auth: MockAuth,
    /// The bodies that are being received.
    pub(super) intake: BodyReader,
    lenient: bool,
    /// Mistakes of the test, which have to be reported.
    pub(super) misuses: Mutex<Vec<String>>,
}

/// The received requests.
#[derive(Default)]
pub(super) struct RequestLog {
    pub(super) requests: VecDeque<RecordedRequest>,
    bytes: usize,
    pub(super) by_operation: HashMap<String, usize>,
    pub(super) deviations: Vec<Deviation>,
}

/// The operation of a request, or the reason why there is none.
type RouteResult<'a> = Result<MatchedRequest<'a>, Deviation>;

impl MockState {
    pub(super) fn new(document: DescriptionSource, lenient: bool, auth: MockAuth) -> Self {
        let clock = Clock::start();
        Self {
            examples: ExampleResponses::of(document),
            clock,
            address: OnceLock::new(),
            stubs: Mutex::default(),
            totals: Mutex::default(),
            log: Mutex::default(),
            limits: Limits::new(clock),
            resources: Resources::default(),
            auth,
            intake: BodyReader::default(),
            lenient,
            misuses: Mutex::default(),
        }
    }

    pub(super) fn listens(&self, address: SocketAddr) {
        // Called only once.
        let _ = self.address.set(address);
    }

    pub(super) fn address(&self) -> String {
        self.address.get().map_or_else(|| "localhost".to_owned(), ToString::to_string)
    }

    pub(super) fn respond(self: &Arc<Self>, mut request: RecordedRequest) -> WireResponse {
        if let Some(reply) = control::respond(self, &request) {
            return reply;
        }
        // The API prefix of an Enterprise Server.
        for prefix in ["/api/v3", "/api/uploads"] {
            if let Some(rest) = request.path.strip_prefix(prefix).filter(|it| it.starts_with('/')) {
                request.path = rest.to_owned();
            }
        }
        let document = self.examples.description();
        let asked =
            RequestToValidate::of(&request.method, &request.path, &request.query, &request.headers);
        let checked = document.check_request(asked.body(&request.body));
        if let Ok(matched) = &checked {
            request.operation_id = Some(matched.operation.id().to_owned());
            request.path_parameters.clone_from(&matched.path);
            request.by_id = matched.by_id;
            request.query_pairs.clone_from(&matched.query);
        }
        request.resource = resource(&request, &checked);

        // A stub's success response requires a request that GitHub would accept.
        let failure = self.reject(&request, &checked);
        let takes = |stub: &Arc<State>| stub.take(&request, failure.is_some());
        let taken = self.stubs().iter().rev().find_map(takes);
        self.record(&request, &checked, taken.as_ref().is_some_and(|taken| taken.is_by_path));
        let usual = || failure.clone().unwrap_or_else(|| self.default_response(&request, &checked));
        let mut reply = match taken.as_ref().map(|taken| &taken.act) {
            None | Some(Action::Passthrough) => usual(),
            Some(Action::Respond(response)) => {
                self.stub_response(response, &request, &checked, &usual)
            }
            Some(Action::RespondWith(make)) => {
                match catch_unwind(AssertUnwindSafe(|| make(&request))) {
                    Ok(response) => self.stub_response(&response, &request, &checked, &usual),
                    Err(_) => self.record_misuse("a stub's closure panicked"),
                }
            }
        };
        if let Some(taken) = taken {
            reply.delay = taken.delay;
            reply =
                taken.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
        }
        let reply = self.limits.sign(reply.with_etag(&request), &request);
        debug!(
            method = request.method.as_str(),
            path = request.path,
            operation = request.operation_id,
            status = reply.status,
            "mock response"
        );
        reply
    }

    /// The response of a stub.
    fn stub_response(
        &self,
        response: &MockResponse,
        request: &RecordedRequest,
        checked: &RouteResult<'_>,
        usual: &dyn Fn() -> WireResponse,
    ) -> WireResponse {
        let operation = checked.as_ref().ok().map(|matched| matched.operation);
        if let Err(wrong) = response.conforms(self.examples.description(), operation) {
            return self.record_misuse(&wrong);
        }
        let listing = || self.examples.response(operation?)?.listing.as_ref();
        match &response.0 {
            ResponseKind::Default => usual(),
            ResponseKind::Fault(fault) => fault.wire_response(request, &self.limits, usual),
            ResponseKind::Items(items) => match listing() {
                Some(listing) => {
                    listing.page(request, &Value::Null, &ListItems::Given(items.clone())).reply()
                }
                None => {
                    self.record_misuse("items require an operation that returns a paginated list")
                }
            },
            ResponseKind::Custom(reply, _) => reply.clone(),
        }
    }

    /// A response that reports the test's mistake, which is reported again when the mock is dropped.
    fn record_misuse(&self, what: &str) -> WireResponse {
        let mut mistakes = lock(&self.misuses);
        if mistakes.len() < MAX_RECORDED_DEVIATIONS {
            mistakes.push(what.to_owned());
        }
        WireResponse::error(500, what, "https://docs.rs/octowire")
            .header("x-octowire-mock", "mistake")
    }

    /// GitHub's rejection of a request: because of its token, a limit, or a violation of the description.
    fn reject(&self, request: &RecordedRequest, checked: &RouteResult<'_>) -> Option<WireResponse> {
        if request.path.starts_with(wire_response::DOWNLOADS) {
            return None;
        }
        let rejection = self.auth.reject(request, &self.clock);
        let rejection = rejection.or_else(|| self.limits.reject(request));
        rejection.or_else(|| match checked {
            Ok(matched) if !matched.deviations.is_empty() && !self.lenient => {
                Some(invalid(self.examples.description(), matched))
            }
            _ => None,
        })
    }

    /// The response to a request that is not rejected, and that matches no stub.
    fn default_response(
        &self,
        request: &RecordedRequest,
        checked: &RouteResult<'_>,
    ) -> WireResponse {
        if let Some(file) = wire_response::download(&request.path) {
            return file;
        }
        let matched = match checked {
            Ok(matched) => matched,
            Err(unknown) => return not_found(unknown),
        };
        let Some(response) = self.examples.response(matched.operation) else {
            return WireResponse::empty(404);
        };
        if let Some(reply) = dynamic::alternate_media_type(request, matched) {
            return reply;
        }
        let resources = self.resources.respond(request, matched, &self.examples, &self.clock);
        if let Some(reply) = resources {
            return reply;
        }
        match (&response.content, &response.listing) {
            (Content::Json(example), Some(listing)) => {
                let total = lock(&self.totals).get(matched.operation.id()).copied();
                let items = total.map_or(ListItems::Example, ListItems::Generated);
                let document = self.examples.description();
                let example = substitute_parameters(example, matched, document, response.status);
                listing.page(request, &example, &items).rebased(request)
            }
            (Content::Json(example), None) => {
                let sources =
                    DynamicContext { limits: &self.limits, access: &self.auth, clock: &self.clock };
                let document = self.examples.description();
                let example = substitute_parameters(example, matched, document, response.status);
                let made = dynamic::dynamic_response(request, matched, &sources, &example);
                let mut body = made.unwrap_or(example);
                rewrite_urls(&mut body, &request.origin());
                WireResponse::json(response.status, &body)
            }
            (Content::Text { media_type, text }, _) => {
                WireResponse::text(response.status, media_type, text)
            }
            (Content::Download(name), _) => WireResponse::redirect(response.status, request, name),
            (Content::Empty, _) => WireResponse::empty(response.status),
        }
    }

    fn record(&self, request: &RecordedRequest, checked: &RouteResult<'_>, by_path: bool) {
        let mut received = lock(&self.log);
        let found = match checked {
            Ok(matched) => matched.deviations.as_slice(),
            // A stub's response for a path outside of the description, and the mock's own files, are
            // intentional.
            Err(_) if by_path || request.path.starts_with(wire_response::DOWNLOADS) => &[],
            Err(unknown) => std::slice::from_ref(unknown),
        };
        let remaining = MAX_RECORDED_DEVIATIONS.saturating_sub(received.deviations.len());
        received.deviations.extend(found.iter().take(remaining).cloned());
        if let Some(id) = &request.operation_id {
            let count = received.by_operation.entry(id.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let request = request.to_owned_copy();
        received.bytes = received.bytes.saturating_add(request.size());
        received.requests.push_back(request);
        while received.requests.len() > MAX_REQUESTS || received.bytes > MAX_REQUEST_LOG_BYTES {
            let Some(oldest) = received.requests.pop_front() else { break };
            received.bytes = received.bytes.saturating_sub(oldest.size());
        }
    }

    pub(super) fn stubs(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        lock(&self.stubs)
    }

    /// The operation with this id, if GitHub has one.
    pub(super) fn operation(&self, id: &str) -> Result<&OperationSpec, String> {
        let operation = self.examples.description().operation(id);
        operation.ok_or_else(|| format!("the OpenAPI description has no operation {id:?}"))
    }

    /// Returns whether an operation returns a list in pages.
    pub(super) fn is_list(&self, operation: &OperationSpec) -> bool {
        self.examples.response(operation).is_some_and(|response| response.listing.is_some())
    }

    /// Sets the number of items of a list, if an operation returns one.
    pub(super) fn list(&self, operation_id: &str, total: usize) -> Result<(), String> {
        if !self.is_list(self.operation(operation_id)?) {
            return Err(format!("{operation_id} does not return a paginated list"));
        }
        if !self.resources.seed(operation_id, total)? {
            lock(&self.totals).insert(operation_id.to_owned(), total);
        }
        Ok(())
    }

    /// Sets a rate limit, if GitHub has one with this name.
    pub(super) fn limit(
        &self,
        name: &str,
        limit: u64,
        window: std::time::Duration,
    ) -> Result<(), String> {
        let document = self.examples.description();
        let overview = document.operation("rate-limit/get");
        let overview = overview.and_then(|operation| self.examples.response(operation));
        let is_listed = match overview.map(|response| &response.content) {
            Some(Content::Json(example)) => example["resources"].get(name).is_some(),
            _ => false,
        };
        let named = || document.operations().iter().any(|operation| operation.rate_limit() == name);
        if !(is_listed || named() || name == "core") {
            return Err(format!("unknown rate limit {name:?}"));
        }
        self.limits.set(name, limit, window);
        Ok(())
    }

    /// Discards stubs, lists, rate limits and received requests.
    pub(super) fn reset(&self) {
        self.stubs().clear();
        lock(&self.totals).clear();
        self.limits.clear();
        *lock(&self.log) = RequestLog::default();
    }
}

fn resource(request: &RecordedRequest, checked: &RouteResult<'_>) -> String {
    let named = match (checked, request.path.as_str()) {
        (Ok(matched), _) => matched.operation.rate_limit(),
        (_, "/graphql") => "graphql",
        _ => "core",
    };
    if named == "none" { "core".to_owned() } else { named.to_owned() }
}

/// GitHub's response for an unknown path, with suggestions.
fn not_found(unknown: &Deviation) -> WireResponse {
    let reply = WireResponse::error(404, "Not Found", "https://docs.github.com/rest");
    reply.header("x-octowire-mock", &unknown.message)
}

/// GitHub's rejection of a request that violates its description.
fn invalid(document: &ApiDescription, matched: &MatchedRequest<'_>) -> WireResponse {
    let found = &matched.deviations;
    let not_json = found.iter().any(|deviation| deviation.kind == DeviationKind::NotJson);
    let (status, said) =
        if not_json { (400, "Problems parsing JSON") } else { (422, "Validation Failed") };
    let texts: Vec<String> =
        found.iter().map(|deviation| format!("{} {}", deviation.path, deviation.message)).collect();
    let message = format!("{said}: {}", texts.join("; "));
    let errors: Vec<Value> = found
        .iter()
        .map(|deviation| {
            let code = match deviation.kind {
                DeviationKind::MissingProperty
                | DeviationKind::MissingParameter
                | DeviationKind::MissingBody => "missing_field",
                _ => "invalid",
            };
            let field = deviation.path.trim_start_matches("$.");
            json!({ "resource": matched.operation.id(), "field": field, "code": code,
                    "message": deviation.message })
        })
        .collect();
    let mut body = json!({
        "message": message,
        "documentation_url": matched.operation.documentation_url(),
    });
    // Some operations have errors as texts, and some have none beside the message.
    let plain = body.clone();
    body["errors"] = errors.into();
    let mut with_texts = plain.clone();
    with_texts["errors"] = texts.into();
    let fits = |body: &&Value| conforms(document, matched.operation, status, body);
    WireResponse::json(status, [&body, &with_texts].into_iter().find(fits).unwrap_or(&plain))
}
