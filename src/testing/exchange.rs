//! Processing of a request in the mock.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};
use tracing::debug;

use super::access::Access;
use super::answer::{Answer, What};
use super::answers::{Answers, Content, keeps_to};
use super::asked::as_asked;
use super::clock::Clock;
use super::contents::{self, Sources};
use super::control;
use super::intake::Intake;
use super::limits::Limits;
use super::listing::Items;
use super::received::Received;
use super::reply::{self, Reply, rebase};
use super::resources::Resources;
use super::stub::{Act, State};
use crate::contract::{
    CheckRequest, Deviation, DeviationKind, Document, DocumentedOperation, Matched, Source,
};

/// Maximum number of stored requests, and of their bytes; the oldest are dropped first.
const MAX_RECEIVED: usize = 10_000;
const MAX_RECEIVED_BYTES: usize = 64 * 1024 * 1024;

/// Maximum number of stored deviations and mistakes.
const MAX_NOTES: usize = 1_000;

/// The state of the mock that requests use.
pub(super) struct Shared {
    pub(super) answers: Arc<Answers>,
    pub(super) clock: Clock,
    address: OnceLock<SocketAddr>,
    stubs: Mutex<Vec<Arc<State>>>,
    /// The number of items of a list, if a test set it.
    totals: Mutex<HashMap<String, usize>>,
    pub(super) received: Mutex<Log>,
    pub(super) limits: Limits,
    pub(super) resources: Resources,
    pub(super) access: Access,
    /// The bodies that are being received.
    pub(super) intake: Intake,
    lenient: bool,
    /// Mistakes of the test, which have to be reported.
    pub(super) mistakes: Mutex<Vec<String>>,
}

/// The received requests.
#[derive(Default)]
pub(super) struct Log {
    pub(super) requests: VecDeque<Received>,
    bytes: usize,
    pub(super) by_operation: HashMap<String, usize>,
    pub(super) deviations: Vec<Deviation>,
}

/// The operation of a request, or the reason why there is none.
type Checked<'a> = Result<Matched<'a>, Deviation>;

impl Shared {
    pub(super) fn new(document: Source, lenient: bool, access: Access) -> Self {
        let clock = Clock::start();
        Self {
            answers: Answers::of(document),
            clock,
            address: OnceLock::new(),
            stubs: Mutex::default(),
            totals: Mutex::default(),
            received: Mutex::default(),
            limits: Limits::new(clock),
            resources: Resources::default(),
            access,
            intake: Intake::default(),
            lenient,
            mistakes: Mutex::default(),
        }
    }

    pub(super) fn listens(&self, address: SocketAddr) {
        // Called only once.
        let _ = self.address.set(address);
    }

    pub(super) fn address(&self) -> String {
        self.address.get().map_or_else(|| "localhost".to_owned(), ToString::to_string)
    }

    pub(super) fn answer(self: &Arc<Self>, mut request: Received) -> Reply {
        if let Some(reply) = control::answer(self, &request) {
            return reply;
        }
        // The API prefix of an Enterprise Server.
        for prefix in ["/api/v3", "/api/uploads"] {
            if let Some(rest) = request.path.strip_prefix(prefix).filter(|it| it.starts_with('/')) {
                request.path = rest.to_owned();
            }
        }
        let document = self.answers.document();
        let asked =
            CheckRequest::of(&request.method, &request.path, &request.query, &request.headers);
        let checked = document.check_request(asked.body(&request.body));
        if let Ok(matched) = &checked {
            request.operation_id = Some(matched.operation.id().to_owned());
            request.path_parameters.clone_from(&matched.path);
            request.by_id = matched.by_id;
            request.query_pairs.clone_from(&matched.query);
        }
        request.resource = resource(&request, &checked);

        // A stub's success response requires a request that GitHub would accept.
        let refused = self.refuse(&request, &checked);
        let takes = |stub: &Arc<State>| stub.take(&request, refused.is_some());
        let taken = self.stubs().iter().rev().find_map(takes);
        self.note(&request, &checked, taken.as_ref().is_some_and(|taken| taken.is_by_path));
        let usual = || refused.clone().unwrap_or_else(|| self.usual(&request, &checked));
        let mut reply = match taken.as_ref().map(|taken| &taken.act) {
            None | Some(Act::Pass) => usual(),
            Some(Act::Answer(answer)) => self.given(answer, &request, &checked, &usual),
            Some(Act::With(make)) => match catch_unwind(AssertUnwindSafe(|| make(&request))) {
                Ok(answer) => self.given(&answer, &request, &checked, &usual),
                Err(_) => self.mistake("a stub's closure panicked"),
            },
        };
        if let Some(taken) = taken {
            reply.delay = taken.delay;
            reply =
                taken.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
        }
        let reply = self.limits.sign(reply.validated(&request), &request);
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
    fn given(
        &self,
        answer: &Answer,
        request: &Received,
        checked: &Checked<'_>,
        usual: &dyn Fn() -> Reply,
    ) -> Reply {
        let operation = checked.as_ref().ok().map(|matched| matched.operation);
        if let Err(wrong) = answer.keeps_to(self.answers.document(), operation) {
            return self.mistake(&wrong);
        }
        let listing = || self.answers.answer(operation?)?.listing.as_ref();
        match &answer.0 {
            What::Usual => usual(),
            What::Fault(fault) => fault.reply(request, &self.limits, usual),
            What::Items(items) => match listing() {
                Some(listing) => {
                    listing.page(request, &Value::Null, &Items::These(items.clone())).reply()
                }
                None => self.mistake("items require an operation that returns a paginated list"),
            },
            What::Reply(reply, _) => reply.clone(),
        }
    }

    /// A response that reports the test's mistake, which is reported again when the mock is dropped.
    fn mistake(&self, what: &str) -> Reply {
        let mut mistakes = lock(&self.mistakes);
        if mistakes.len() < MAX_NOTES {
            mistakes.push(what.to_owned());
        }
        Reply::error(500, what, "https://docs.rs/octowire").header("x-octowire-mock", "mistake")
    }

    /// GitHub's rejection of a request: because of its token, a limit, or a violation of the description.
    fn refuse(&self, request: &Received, checked: &Checked<'_>) -> Option<Reply> {
        if request.path.starts_with(reply::DOWNLOADS) {
            return None;
        }
        let refused = self.access.refuse(request, &self.clock);
        let refused = refused.or_else(|| self.limits.refuse(request));
        refused.or_else(|| match checked {
            Ok(matched) if !matched.deviations.is_empty() && !self.lenient => {
                Some(invalid(self.answers.document(), matched))
            }
            _ => None,
        })
    }

    /// The response to a request that is not rejected, and that matches no stub.
    fn usual(&self, request: &Received, checked: &Checked<'_>) -> Reply {
        if let Some(file) = reply::download(&request.path) {
            return file;
        }
        let matched = match checked {
            Ok(matched) => matched,
            Err(unknown) => return not_found(unknown),
        };
        let Some(answer) = self.answers.answer(matched.operation) else {
            return Reply::empty(404);
        };
        if let Some(reply) = contents::in_other_words(request, matched) {
            return reply;
        }
        let resources = self.resources.answer(request, matched, &self.answers, &self.clock);
        if let Some(reply) = resources {
            return reply;
        }
        match (&answer.content, &answer.listing) {
            (Content::Json(example), Some(listing)) => {
                let total = lock(&self.totals).get(matched.operation.id()).copied();
                let items = total.map_or(Items::OfTheExample, Items::Repeated);
                let document = self.answers.document();
                let example = as_asked(example, matched, document, answer.status);
                listing.page(request, &example, &items).rebased(request)
            }
            (Content::Json(example), None) => {
                let sources =
                    Sources { limits: &self.limits, access: &self.access, clock: &self.clock };
                let document = self.answers.document();
                let example = as_asked(example, matched, document, answer.status);
                let made = contents::answer(request, matched, &sources, &example);
                let mut body = made.unwrap_or(example);
                rebase(&mut body, &request.origin());
                Reply::json(answer.status, &body)
            }
            (Content::Text { media_type, text }, _) => Reply::text(answer.status, media_type, text),
            (Content::Download(name), _) => Reply::redirect(answer.status, request, name),
            (Content::Empty, _) => Reply::empty(answer.status),
        }
    }

    fn note(&self, request: &Received, checked: &Checked<'_>, by_path: bool) {
        let mut received = lock(&self.received);
        let found = match checked {
            Ok(matched) => matched.deviations.as_slice(),
            // A stub's response for a path outside of the description, and the mock's own files, are
            // intentional.
            Err(_) if by_path || request.path.starts_with(reply::DOWNLOADS) => &[],
            Err(unknown) => std::slice::from_ref(unknown),
        };
        let room = MAX_NOTES.saturating_sub(received.deviations.len());
        received.deviations.extend(found.iter().take(room).cloned());
        if let Some(id) = &request.operation_id {
            let count = received.by_operation.entry(id.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let request = request.kept();
        received.bytes = received.bytes.saturating_add(request.size());
        received.requests.push_back(request);
        while received.requests.len() > MAX_RECEIVED || received.bytes > MAX_RECEIVED_BYTES {
            let Some(oldest) = received.requests.pop_front() else { break };
            received.bytes = received.bytes.saturating_sub(oldest.size());
        }
    }

    pub(super) fn stubs(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        lock(&self.stubs)
    }

    /// The operation with this id, if GitHub has one.
    pub(super) fn operation(&self, id: &str) -> Result<&DocumentedOperation, String> {
        let operation = self.answers.document().operation(id);
        operation.ok_or_else(|| format!("the OpenAPI description has no operation {id:?}"))
    }

    /// Returns whether an operation returns a list in pages.
    pub(super) fn is_list(&self, operation: &DocumentedOperation) -> bool {
        self.answers.answer(operation).is_some_and(|answer| answer.listing.is_some())
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
        let document = self.answers.document();
        let overview = document.operation("rate-limit/get");
        let overview = overview.and_then(|operation| self.answers.answer(operation));
        let told = match overview.map(|answer| &answer.content) {
            Some(Content::Json(example)) => example["resources"].get(name).is_some(),
            _ => false,
        };
        let named = || document.operations().iter().any(|operation| operation.rate_limit() == name);
        if !(told || named() || name == "core") {
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
        *lock(&self.received) = Log::default();
    }
}

fn resource(request: &Received, checked: &Checked<'_>) -> String {
    let named = match (checked, request.path.as_str()) {
        (Ok(matched), _) => matched.operation.rate_limit(),
        (_, "/graphql") => "graphql",
        _ => "core",
    };
    if named == "none" { "core".to_owned() } else { named.to_owned() }
}

/// GitHub's response for an unknown path, with suggestions.
fn not_found(unknown: &Deviation) -> Reply {
    let reply = Reply::error(404, "Not Found", "https://docs.github.com/rest");
    reply.header("x-octowire-mock", &unknown.message)
}

/// GitHub's rejection of a request that violates its description.
fn invalid(document: &Document, matched: &Matched<'_>) -> Reply {
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
    let fits = |body: &&Value| keeps_to(document, matched.operation, status, body);
    Reply::json(status, [&body, &with_texts].into_iter().find(fits).unwrap_or(&plain))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // After a panic, the state is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
