//! A GitHub to run against without a network: a local server that answers every operation of
//! GitHub's OpenAPI document with the document's own example.
//!
//! It is for examples and for tests of what a client does with GitHub's answers. It is not a model
//! of GitHub: apart from what `tour.rs` lists, it forgets what it is told.
//!
//! - `document.rs` reads the OpenAPI document, `schema.rs` makes values where it has no example;
//! - `operation.rs` is what the stand-in knows about one operation;
//! - `router.rs` finds the operation that a request is for;
//! - `listing.rs` cuts lists into pages;
//! - `tour.rs` holds the few operations that look at what they are sent;
//! - `reply.rs` dresses an answer in GitHub's headers.

#![allow(dead_code, reason = "whoever includes this module uses a part of it")]

mod document;
mod listing;
mod operation;
mod reply;
mod router;
mod schema;
mod tour;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use httpmock::{HttpMockRequest, HttpMockResponse, MockServer};

pub use self::operation::Operation;

use self::document::Document;
use self::operation::Content;
use self::reply::{Reply, Signature};
use self::router::{Router, Target};

/// Three pages of GitHub's default 30, the last of them short.
const DEFAULT_TOTAL: usize = 75;

/// GitHub, as far as its OpenAPI document describes it, on a free local port.
///
/// The server stops answering when this value is dropped.
pub struct StandIn {
    server: MockServer,
    state: Arc<State>,
}

impl StandIn {
    /// Starts the server.
    ///
    /// # Panics
    ///
    /// If the OpenAPI document cannot be read. A test cannot go on without it, and the panic says
    /// which file was missing.
    pub async fn start() -> Self {
        let server = MockServer::start_async().await;
        let state = Arc::new(State::new());
        let answering = Arc::clone(&state);
        server
            .mock_async(move |when, then| {
                when.any_request();
                then.respond_with(move |request| answering.answer(request));
            })
            .await;
        Self { server, state }
    }

    /// Where the server listens, without a slash at the end: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// Lets a list have `total` items. Lists have 75 where nothing else was said.
    ///
    /// # Panics
    ///
    /// If GitHub has no such operation, or if it does not answer a list in pages.
    pub fn list(&self, operation_id: &str, total: usize) {
        let index = CATALOG.index(operation_id);
        assert!(
            CATALOG.operations[index].listing.is_some(),
            "{operation_id} does not answer a list in pages"
        );
        self.state.totals().insert(index, total);
    }

    /// How many requests came in for an operation.
    ///
    /// # Panics
    ///
    /// If GitHub has no such operation.
    pub fn requests(&self, operation_id: &str) -> usize {
        self.state.requests[CATALOG.index(operation_id)].load(Ordering::Relaxed)
    }

    /// Every operation the server answers, sorted by id.
    pub fn operations(&self) -> &'static [Operation] {
        &CATALOG.operations
    }
}

/// What the document says. Read once per process, however many servers a test binary starts.
static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::read);

struct Catalog {
    operations: Vec<Operation>,
    router: Router,
}

impl Catalog {
    fn read() -> Self {
        let mut operations = operation::all(&Document::read());
        operations.sort_by(|a, b| a.id.cmp(&b.id));
        let mut router = Router::default();
        for (index, operation) in operations.iter().enumerate() {
            router.add(index, operation);
        }
        Self { operations, router }
    }

    fn index(&self, operation_id: &str) -> usize {
        self.operations
            .binary_search_by(|operation| operation.id.as_str().cmp(operation_id))
            .unwrap_or_else(|_| panic!("GitHub's document has no operation {operation_id}"))
    }
}

/// What one server remembers.
struct State {
    requests: Vec<AtomicUsize>,
    totals: Mutex<HashMap<usize, usize>>,
    tour: tour::Memory,
    signature: Signature,
}

impl State {
    fn new() -> Self {
        Self {
            requests: CATALOG.operations.iter().map(|_| AtomicUsize::new(0)).collect(),
            totals: Mutex::default(),
            tour: tour::Memory::default(),
            signature: Signature::new(),
        }
    }

    fn totals(&self) -> std::sync::MutexGuard<'_, HashMap<usize, usize>> {
        // A test that panicked while holding the lock left a map that is still whole.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &HttpMockRequest) -> HttpMockResponse {
        let uri = request.uri();
        let target = CATALOG.router.find(request.method_str(), uri.path());
        let reply = match &target {
            Some(target) => self.answer_operation(request, target),
            None => reply::download(uri.path()).unwrap_or_else(Reply::not_found),
        };
        let operation = target.map(|target| &CATALOG.operations[target.index]);
        self.signature.sign(reply, request, operation)
    }

    fn answer_operation(&self, request: &HttpMockRequest, target: &Target) -> Reply {
        let operation = &CATALOG.operations[target.index];
        self.requests[target.index].fetch_add(1, Ordering::Relaxed);

        if let Some(reply) = tour::answer(&self.tour, request, operation, target) {
            return reply;
        }
        match (&operation.content, &operation.listing) {
            (Content::Json(example), Some(listing)) => {
                let total = self.totals().get(&target.index).copied();
                listing.page(request, example, total.unwrap_or(DEFAULT_TOTAL))
            }
            (Content::Json(example), None) => Reply::json(operation.status, example),
            (Content::Text { media_type, text }, _) => {
                Reply::text(operation.status, media_type, text)
            }
            (Content::Download(name), _) => Reply::redirect(operation.status, request, name),
            (Content::Empty, _) => Reply::empty(operation.status),
        }
    }
}
