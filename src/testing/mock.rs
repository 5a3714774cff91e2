//! The mock as tests see it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use tokio::task::JoinHandle;

use super::Call;
use super::access::Access;
use super::example::ExampleRequest;
use super::exchange::{Shared, lock};
use super::received::Received;
use super::server;
use super::stub::{Matcher, Stub, accept, refuse};
use crate::client::{Client, ClientBuilder};
use crate::contract::{Deviation, Document, DocumentedOperation, Source};
use crate::limits::{Pacing, RateLimits};

/// A GitHub for tests: see the [module](crate::testing).
///
/// The server stops when this value is dropped. If a stub's function answered what GitHub does not, or
/// panicked, the drop panics with it, so that the test fails.
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
    access: Access,
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
            access: Access::default(),
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
        builder(self.address, self.shared.access.token.clone())
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
        Stub::new(Arc::clone(&self.shared), self.calls_like(call).1)
    }

    /// Says what happens to requests of this method and path, such as `/graphql`, whether or not the
    /// document has them. The path is taken as it is sent.
    ///
    /// # Panics
    /// If the path has a query, which is not looked at.
    #[track_caller]
    pub fn on_request(&self, method: Method, path: impl Into<String>) -> Stub {
        let path = path.into();
        if path.contains('?') {
            refuse("a stub's path matches any query: leave out the part from `?`");
        }
        Stub::new(Arc::clone(&self.shared), Matcher::Path(method, path))
    }

    /// Says what happens to every request.
    pub fn on_any(&self) -> Stub {
        Stub::new(Arc::clone(&self.shared), Matcher::Any)
    }

    /// Lets a list have `total` items, made of those that the document's example shows and told
    /// apart by their ids, numbers or names. Without it, a list has those of the example, or what was
    /// created.
    ///
    /// Of a search, the first 1,000 items can be had, as at GitHub.
    ///
    /// Lists of a repository's issues and labels, and of an issue's comments, are what each
    /// repository begins with: the items are there, can be changed, and are numbered from 1. What
    /// was created before is forgotten.
    ///
    /// # Panics
    /// If GitHub has no such operation, or if it does not answer a list in pages.
    #[track_caller]
    pub fn list(&self, operation_id: &str, total: usize) {
        accept(self.shared.list(operation_id, total));
    }

    /// Whether an operation answers a list in pages.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn is_list(&self, operation_id: &str) -> bool {
        self.shared.is_list(self.operation(operation_id))
    }

    /// Lets a rate limit, such as `core` or `search`, have so many requests of each token in a window
    /// that begins now, by tokio's clock. Requests beyond it are refused by 403, as GitHub does, until
    /// the window ends; then the next one begins. A window is at most ten years long. Without it, limits
    /// are told and never refuse.
    ///
    /// # Panics
    /// If GitHub has no such limit.
    #[track_caller]
    pub fn rate_limit(&self, resource: &str, limit: u64, window: Duration) {
        accept(self.shared.limit(resource, limit, window));
    }

    /// Forgets stubs, lists, rate limits and what came in; not what was created. A [`Stub`] that is
    /// kept does nothing any longer.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops the server, and waits until it has: its port is free then.
    ///
    /// # Panics
    /// As when it is dropped: if a stub answered what GitHub does not, or panicked.
    pub async fn stop(mut self) {
        self.task.abort();
        // It was aborted.
        let _ = (&mut self.task).await;
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
        let (_, matcher) = self.calls_like(call);
        let received = lock(&self.shared.received);
        received.requests.iter().filter(|request| matcher.is_for(request)).count()
    }

    /// Makes sure that a call like this one came in, so many times: see [`calls`](Self::calls).
    ///
    /// # Panics
    /// If it came in less or more often. The message lists what came in instead.
    #[track_caller]
    pub fn assert_called<C: Call>(&self, times: usize, call: impl FnOnce(&Client) -> C) {
        let (wanted, matcher) = self.calls_like(call);
        let received = self.received();
        let found = received.iter().filter(|request| matcher.is_for(request)).count();
        if found != times {
            let shown = received.iter().rev().take(20).rev();
            let shown: Vec<String> = shown
                .map(|request| {
                    let id = request.operation_id().unwrap_or("unknown");
                    let line = format!("  {} {} ({id})", request.method(), request.path());
                    match id == wanted {
                        true => format!("{line} {}", matcher.differences(request).join("; ")),
                        false => line,
                    }
                })
                .collect();
            refuse(&format!(
                "expected {times} matching calls of {wanted}, received {found}; the last of {} requests:\n{}",
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
        accept(self.shared.operation(id))
    }

    /// The operation of a call, and what matches calls like it.
    #[track_caller]
    fn calls_like<C: Call>(&self, call: impl FnOnce(&Client) -> C) -> (&'static str, Matcher) {
        let (id, wanted) = accept(call(&self.client).into_request().wanted());
        (id, Matcher::Call(id, wanted))
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

    /// Refuses requests that have neither this token nor one that the mock gave to an App, by 401; and
    /// those that only an App may make without a JWT of its form and time (its signature is not looked
    /// at). Without it, any token will do, and none.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.access.wanted = true;
        self.access.token = Some(token.into());
        self
    }

    /// The same without a token of its own: all have to be given by the mock.
    pub fn authenticated(mut self) -> Self {
        self.access.wanted = true;
        self
    }

    /// Starts the mock.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and where [`try_start`](Self::try_start) fails.
    pub async fn start(self) -> MockGitHub {
        match self.try_start().await {
            Ok(mock) => mock,
            Err(error) => refuse(&error.to_string()),
        }
    }

    /// Starts the mock.
    ///
    /// # Errors
    /// If the address can not be listened at, or if no client can have the token.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn try_start(self) -> io::Result<MockGitHub> {
        let shared = Arc::new(Shared::new(self.document, self.lenient, self.access));
        let listening = server::listen(self.address, Arc::clone(&shared)).await;
        let (address, task) = listening.map_err(|error| {
            let message = format!("the mock cannot listen on {}: {error}", self.address);
            io::Error::new(error.kind(), message)
        })?;
        let client = builder(address, shared.access.token.clone()).build();
        let client = client.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(MockGitHub { address, shared, client, task })
    }
}

impl Drop for MockGitHub {
    fn drop(&mut self) {
        self.task.abort();
        let mistakes = std::mem::take(&mut *lock(&self.shared.mistakes));
        if let (Some(first), false) = (mistakes.first(), std::thread::panicking()) {
            refuse(&format!("{} stub responses were invalid; the first: {first}", mistakes.len()));
        }
    }
}

impl fmt::Debug for MockBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBuilder")
            .field("address", &self.address)
            .field("lenient", &self.lenient)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MockGitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockGitHub").field("address", &self.address).finish_non_exhaustive()
    }
}

fn builder(address: SocketAddr, token: Option<SecretString>) -> ClientBuilder {
    let url = format!("http://{address}");
    let token = token.unwrap_or_else(|| SecretString::from("a-token-for-the-mock"));
    let limits = RateLimits::default().pacing(Pacing::none());
    Client::builder().base_url(url.clone()).upload_url(url).token(token).rate_limits(limits)
}
