//! The way of a request through the mock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::answers::{Answers, Content, Source};
use super::contents;
use super::limits::Limits;
use super::listing::Items;
use super::received::Received;
use super::reply::{self, Reply};
use super::resources::Resources;
use super::stub::{Act, State, Taken};
use crate::contract::{
    CheckRequest, Deviation, DeviationKind, Document, DocumentedOperation, Matched,
};

/// As many requests are remembered; the oldest go first.
const MAX_RECEIVED: usize = 10_000;

/// As many deviations are.
const MAX_DEVIATIONS: usize = 1_000;

/// What requests see of the mock.
pub(super) struct Shared {
    pub(super) answers: Answers,
    stubs: Mutex<Vec<Arc<State>>>,
    /// How many items a list has, where a test said so.
    pub(super) totals: Mutex<HashMap<String, usize>>,
    pub(super) received: Mutex<Log>,
    pub(super) limits: Limits,
    resources: Resources,
    lenient: bool,
    pub(super) token: Option<String>,
}

/// What came in.
#[derive(Default)]
pub(super) struct Log {
    pub(super) requests: VecDeque<Received>,
    pub(super) by_operation: HashMap<String, usize>,
    pub(super) deviations: Vec<Deviation>,
}

impl Shared {
    pub(super) fn new(document: Source, lenient: bool, token: Option<String>) -> Self {
        Self {
            answers: Answers::of(document),
            stubs: Mutex::default(),
            totals: Mutex::default(),
            received: Mutex::default(),
            limits: Limits::new(),
            resources: Resources::default(),
            lenient,
            token,
        }
    }

    pub(super) fn answer(&self, mut request: Received) -> Reply {
        let document = self.answers.document();
        let asked = CheckRequest {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
        };
        let checked = document.check_request(asked);
        if let Ok(matched) = &checked {
            request.operation_id = Some(matched.operation.id().to_owned());
            request.path_parameters.clone_from(&matched.path);
            request.query_pairs.clone_from(&matched.query);
        }
        self.note(&request, &checked);
        let taken = self.stubs().iter().rev().find_map(|stub| stub.take(&request));
        let taken =
            taken.unwrap_or(Taken { act: Act::Pass, delay: Duration::ZERO, headers: Vec::new() });
        let usual = || self.usual(&request, checked.as_ref());
        let mut reply = match taken.act {
            Act::Pass => usual(),
            Act::Reply(reply) => reply,
            Act::With(answer) => {
                let (status, body) = answer(&request);
                Reply::json(status, &body)
            }
            Act::Fault(fault) => fault.reply(&request, &self.limits, usual),
        };
        reply.delay = taken.delay;
        let reply = self.limits.sign(reply.rebased(&request).validated(&request), &request);
        taken.headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }

    /// What a request is answered that no stub is for.
    fn usual(&self, request: &Received, checked: Result<&Matched<'_>, &Deviation>) -> Reply {
        if let Some(file) = reply::download(&request.path) {
            return file;
        }
        if let Some(token) = &self.token {
            let given = request.header("authorization").unwrap_or_default();
            let given = given.split_once(' ').map(|(_, given)| given);
            if given != Some(token) {
                return Reply::error(401, "Bad credentials", "https://docs.github.com/rest");
            }
        }
        if let Some(refused) = self.limits.refuse(request) {
            return refused;
        }
        let matched = match checked {
            Ok(matched) => matched,
            Err(unknown) => return not_found(unknown),
        };
        if !matched.deviations.is_empty() && !self.lenient {
            return invalid(self.answers.document(), matched);
        }
        let Some(answer) = self.answers.answer(matched.operation) else {
            return Reply::empty(404);
        };
        let total = lock(&self.totals).get(matched.operation.id()).copied();
        if total.is_none()
            && let Some(reply) = self.resources.answer(request, matched, &self.answers)
        {
            return reply;
        }
        match (&answer.content, &answer.listing) {
            (Content::Json(example), Some(listing)) => {
                let items = total.map_or(Items::OfTheExample, Items::Repeated);
                listing.page(request, example, &items)
            }
            (Content::Json(example), None) => {
                let made = contents::answer(matched, &self.limits, example);
                Reply::json(answer.status, made.as_ref().unwrap_or(example))
            }
            (Content::Text { media_type, text }, _) => Reply::text(answer.status, media_type, text),
            (Content::Download(name), _) => Reply::redirect(answer.status, request, name),
            (Content::Empty, _) => Reply::empty(answer.status),
        }
    }

    fn note(&self, request: &Received, checked: &Result<Matched<'_>, Deviation>) {
        let mut received = lock(&self.received);
        let found = match checked {
            Ok(matched) => matched.deviations.as_slice(),
            Err(unknown) => std::slice::from_ref(unknown),
        };
        if received.deviations.len() < MAX_DEVIATIONS {
            received.deviations.extend_from_slice(found);
        }
        if let Some(id) = &request.operation_id {
            *received.by_operation.entry(id.clone()).or_default() += 1;
        }
        if received.requests.len() >= MAX_RECEIVED {
            received.requests.pop_front();
        }
        received.requests.push_back(request.clone());
    }

    pub(super) fn stubs(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        lock(&self.stubs)
    }
}

/// GitHub's answer for a path that it does not have, with what could have been meant.
fn not_found(unknown: &Deviation) -> Reply {
    let body = json!({
        "message": "Not Found",
        "documentation_url": "https://docs.github.com/rest",
        "status": "404",
    });
    Reply::json(404, &body).header("x-octowire-mock", &unknown.message)
}

/// GitHub's refusal of a request that is not as its document says.
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

/// Whether an answer of JSON is as the document says.
fn keeps_to(document: &Document, of: &DocumentedOperation, status: u16, body: &Value) -> bool {
    let content = of.response(status).map(|response| &response.content);
    let described = content.and_then(|content| content.get("application/json"));
    described.is_none_or(|described| described.schema.fits(body, document.schemas()))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left what is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
