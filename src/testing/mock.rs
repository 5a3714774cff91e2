//! The mock as tests see it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::task::JoinHandle;

use super::Call;
use super::answers::Source;
use super::example::ExampleRequest;
use super::exchange::{Log, Shared, lock};
use super::received::Received;
use super::server;
use super::stub::{Matcher, Stub, refuse};
use crate::client::{Client, ClientBuilder};
use crate::contract::{Deviation, Document, DocumentedOperation};
use crate::limits::{Pacing, RateLimits};

/// A GitHub for tests: see the [module](crate::testing).
///
/// The server stops when this value is dropped.
pub struct MockGitHub {
    address: SocketAddr,
    shared: Arc<Shared>,
    client: Client,
    task: JoinHandle<()>,
}

/// The settings of a [`MockGitHub`].
#[must_use = "a builder starts nothing before `start`"]
pub struct MockBuilder {
    address: SocketAddr,
    document: Source,
    lenient: bool,
    token: Option<String>,
}

/// Starting.
impl MockGitHub {
    /// Starts a mock on a free local port.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and if the port can not be opened.
    #[track_caller]
    pub fn start() -> impl Future<Output = Self> {
        Self::builder().start()
    }

    /// A mock with other settings.
    pub fn builder() -> MockBuilder {
        MockBuilder {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            document: Source::BuiltIn,
            lenient: false,
            token: None,
        }
    }

    /// Where the mock listens, without a slash at the end: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of the mock: see [`client_builder`](Self::client_builder).
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The settings of a client of the mock: its address, a token, and no
    /// [pacing](crate::limits::Pacing), which would keep a test waiting for a second between two
    /// writes. All else is as by default.
    pub fn client_builder(&self) -> ClientBuilder {
        builder(self.address, self.shared.token.as_deref())
    }
}

/// What it answers.
impl MockGitHub {
    /// Says what happens to calls like this one: those of the same operation that have the same value
    /// for every parameter, and every property of the body, that is given here.
    ///
    /// ```
    /// # #[cfg(feature = "issues")]
    /// # async fn example(mock: octowire::testing::MockGitHub) {
    /// use std::time::Duration;
    /// use octowire::testing::Fault;
    ///
    /// // Any issue of this repository: slow once, then broken, then as ever.
    /// mock.on(|github| github.issues().get().owner("acme").repo("rocket"))
    ///     .pass()
    ///     .delay(Duration::from_secs(5))
    ///     .fault(Fault::Reset)
    ///     .pass();
    /// # }
    /// ```
    ///
    /// Of several stubs for a request, the newest has it.
    ///
    /// # Panics
    /// If a value that was given can not be sent.
    #[track_caller]
    pub fn on<C: Call>(&self, call: impl FnOnce(&Client) -> C) -> Stub {
        let wanted = call(&self.client).into_request().wanted();
        match wanted {
            Ok((id, wanted)) => Stub::new(Arc::clone(&self.shared), Matcher::Call(id, wanted)),
            Err(message) => refuse(&message),
        }
    }

    /// Says what happens to requests of this method and path, such as `/graphql`, whether or not the
    /// document has them. The path is taken as it is sent, without the query.
    pub fn on_request(&self, method: Method, path: impl Into<String>) -> Stub {
        Stub::new(Arc::clone(&self.shared), Matcher::Path(method, path.into()))
    }

    /// Says what happens to every request.
    pub fn on_any(&self) -> Stub {
        Stub::new(Arc::clone(&self.shared), Matcher::Any)
    }

    /// Lets a list have `total` items, made of those that the document's example shows and told
    /// apart by their ids, numbers or names. Without it, a list has those of the example, or what was
    /// created.
    ///
    /// # Panics
    /// If GitHub has no such operation, or if it does not answer a list in pages.
    #[track_caller]
    pub fn list(&self, operation_id: &str, total: usize) {
        if !self.is_list(operation_id) {
            refuse(&format!("{operation_id} does not answer a list in pages"));
        }
        lock(&self.shared.totals).insert(operation_id.to_owned(), total);
    }

    /// Whether an operation answers a list in pages.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn is_list(&self, operation_id: &str) -> bool {
        let operation = self.operation(operation_id);
        self.shared.answers.answer(operation).is_some_and(|answer| answer.listing.is_some())
    }

    /// Lets a rate limit, such as `core` or `search`, have so many requests in a window that begins
    /// now, by tokio's clock. Requests beyond it are refused by 403, as GitHub does, until the window
    /// ends; then the next one begins. Without it, limits are told and never refuse.
    pub fn rate_limit(&self, resource: &str, limit: u64, window: Duration) {
        self.shared.limits.set(resource, limit, window);
    }

    /// Forgets stubs, lists, rate limits and what came in; not what was created.
    pub fn reset(&self) {
        self.shared.stubs().clear();
        lock(&self.shared.totals).clear();
        self.shared.limits.clear();
        *lock(&self.shared.received) = Log::default();
    }
}

/// What came in.
impl MockGitHub {
    /// The requests that came in, in their order: the last 10,000.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).requests.iter().cloned().collect()
    }

    /// How many requests came in for an operation.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn requests(&self, operation_id: &str) -> usize {
        let id = self.operation(operation_id).id();
        lock(&self.shared.received).by_operation.get(id).copied().unwrap_or(0)
    }

    /// What requests had that GitHub's document does not allow; at most 1,000.
    #[must_use]
    pub fn deviations(&self) -> Vec<Deviation> {
        lock(&self.shared.received).deviations.clone()
    }

    /// How many requests came in that were like this call: see [`on`](Self::on).
    ///
    /// # Panics
    /// If a value that was given can not be sent.
    #[must_use]
    #[track_caller]
    pub fn calls<C: Call>(&self, call: impl FnOnce(&Client) -> C) -> usize {
        let matcher = match call(&self.client).into_request().wanted() {
            Ok((id, wanted)) => Matcher::Call(id, wanted),
            Err(message) => refuse(&message),
        };
        let received = lock(&self.shared.received);
        received.requests.iter().filter(|request| matcher.is_for(request)).count()
    }

    /// Makes sure that a call like this one came in, so many times: see [`calls`](Self::calls).
    ///
    /// # Panics
    /// If it came in less or more often. The message lists what came in instead.
    #[track_caller]
    pub fn assert_called<C: Call>(&self, times: usize, call: impl FnOnce(&Client) -> C) {
        let found = self.calls(call);
        if found != times {
            let received = self.received();
            let shown = received.iter().rev().take(20).rev();
            let shown: Vec<String> = shown
                .map(|request| {
                    let id = request.operation_id().unwrap_or("unknown");
                    format!("  {} {} ({id})", request.method(), request.path())
                })
                .collect();
            refuse(&format!(
                "{found} such calls came in, and not {times}. The last of {} requests:\n{}",
                received.len(),
                shown.join("\n")
            ));
        }
    }

    /// The smallest request that the document allows for an operation: with the document's example
    /// as its body, and of things that are there in a mock that was just started.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn example_request(&self, operation_id: &str) -> ExampleRequest {
        ExampleRequest::of(self.document(), self.operation(operation_id))
    }

    /// Every operation of the document that the mock answers.
    #[must_use]
    pub fn document(&self) -> &Document {
        self.shared.answers.document()
    }

    #[track_caller]
    fn operation(&self, id: &str) -> &DocumentedOperation {
        match self.document().operation(id) {
            Some(operation) => operation,
            None => refuse(&format!("GitHub's document has no operation {id:?}")),
        }
    }
}

impl MockBuilder {
    /// Where the mock listens; a free port of 127.0.0.1 by default. Nobody else should reach it.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Answers another document, such as that of an Enterprise Server.
    pub fn document(mut self, document: Arc<Document>) -> Self {
        self.document = Source::Given(document);
        self
    }

    /// Answers requests which the document does not allow as if they were right; they are noted all
    /// the same, in [`MockGitHub::deviations`].
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Refuses requests without this token, by 401. Without it, any token will do, and none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Starts the mock.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and if the address can not be listened at.
    #[track_caller]
    pub fn start(self) -> impl Future<Output = MockGitHub> {
        let shared = Arc::new(Shared::new(self.document, self.lenient, self.token));
        async move {
            let listening = server::listen(self.address, Arc::clone(&shared)).await;
            let (address, task) = match listening {
                Ok(listening) => listening,
                Err(error) => {
                    refuse(&format!("the mock can not listen at {}: {error}", self.address))
                }
            };
            let client = match builder(address, shared.token.as_deref()).build() {
                Ok(client) => client,
                Err(error) => refuse(&format!("the mock has no client: {error}")),
            };
            MockGitHub { address, shared, client, task }
        }
    }
}

impl Drop for MockGitHub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for MockGitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockGitHub").field("address", &self.address).finish_non_exhaustive()
    }
}

fn builder(address: SocketAddr, token: Option<&str>) -> ClientBuilder {
    let url = format!("http://{address}");
    let token = token.unwrap_or("a-token-for-the-mock").to_owned();
    let limits = RateLimits::default().pacing(Pacing::none());
    Client::builder().base_url(url.clone()).upload_url(url).token(token).rate_limits(limits)
}
