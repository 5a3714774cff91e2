//! The public interface of the mock.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use tokio::task::JoinHandle;

use super::TypedCall;
use super::auth::MockAuth;
use super::example::ExampleRequest;
use super::locks::lock;
use super::received::RecordedRequest;
use super::router::MockState;
use super::server;
use super::stub::{Matcher, Stub, accept, misuse};
use crate::client::{Client, ClientBuilder};
use crate::contract::{ApiDescription, DescriptionSource, Deviation, OperationSpec};
use crate::policy::rate_limit::{RateLimitPolicy, SecondaryLimits};

/// A mock GitHub server for tests: see the [module](crate::testing).
///
/// The server stops when this value is dropped. If a stub's function returned a response that GitHub's
/// description does not allow, or panicked, the drop panics as well, so that the test fails.
pub struct MockGitHub {
    address: SocketAddr,
    shared: Arc<MockState>,
    client: Client,
    task: JoinHandle<()>,
}

/// The settings of a [`MockGitHub`].
#[must_use = "a builder starts nothing before `start`"]
pub struct MockBuilder {
    address: SocketAddr,
    description: DescriptionSource,
    allow_deviations: bool,
    auth: MockAuth,
}

/// Construction.
impl MockGitHub {
    /// Starts a mock on a free local port.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or if the port cannot be opened.
    #[track_caller]
    pub fn start() -> impl Future<Output = Self> {
        Self::builder().start()
    }

    /// Returns the settings of a mock.
    pub fn builder() -> MockBuilder {
        MockBuilder {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            description: DescriptionSource::BuiltIn,
            allow_deviations: false,
            auth: MockAuth::default(),
        }
    }

    /// Returns the mock's base URL, without a trailing slash: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns a client of the mock: see [`client_builder`](Self::client_builder).
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the settings of a client of the mock: its address, a token, and no
    /// [pacing](crate::policy::rate_limit::SecondaryLimits), which would make a test wait for a second between two writes. All
    /// other settings are the defaults.
    pub fn client_builder(&self) -> ClientBuilder {
        builder(self.address, self.shared.auth.token.clone())
    }
}

/// Responses.
impl MockGitHub {
    /// Adds a stub for calls like this one: those of the same operation with the same value for every
    /// parameter, and every property of the body, that is set here.
    ///
    /// ```
    /// # #[cfg(feature = "issues")]
    /// # async fn example(mock: octowire::testing::MockGitHub) {
    /// use std::time::Duration;
    /// use octowire::testing::Fault;
    ///
    /// // Any issue of this repository: slow once, then broken, then as ever.
    /// mock.on(|github| github.issues().get().owner("acme").repo("rocket"))
    ///     .passthrough()
    ///     .delay(Duration::from_secs(5))
    ///     .fault(Fault::Reset)
    ///     .passthrough();
    /// # }
    /// ```
    ///
    /// If several stubs match a request, the newest applies.
    ///
    /// # Panics
    /// If a value cannot be sent.
    #[track_caller]
    pub fn on<C: TypedCall>(&self, call: impl FnOnce(&Client) -> C) -> Stub {
        Stub::new(Arc::clone(&self.shared), self.matcher_for(call).1)
    }

    /// Adds a stub for requests with this method and path, such as `/graphql`, whether or not the description
    /// has them. The path is compared as it is sent.
    ///
    /// # Panics
    /// If the path has a query, which is not compared.
    #[track_caller]
    pub fn on_request(&self, method: Method, path: impl Into<String>) -> Stub {
        let path = path.into();
        if path.contains('?') {
            misuse("a stub's path matches any query: leave out the part from `?`");
        }
        Stub::new(Arc::clone(&self.shared), Matcher::Path(method, path))
    }

    /// Adds a stub for every request.
    pub fn on_any_request(&self) -> Stub {
        Stub::new(Arc::clone(&self.shared), Matcher::Any)
    }

    /// Sets a list to `total` items, made from the description's example and distinguished by their ids,
    /// numbers or names. By default, a list has the items of the example, or the created ones.
    ///
    /// Of a search, only the first 1,000 items are available, as at GitHub.
    ///
    /// Lists of a repository's issues and labels, and of an issue's comments, are the initial content of each
    /// repository: the items exist, can be changed, and are numbered from 1. Resources that were created
    /// before are discarded.
    ///
    /// # Panics
    /// If GitHub has no such operation, or if it does not return a list in pages.
    #[track_caller]
    pub fn seed_list(&self, operation_id: &str, total: usize) {
        accept(self.shared.list(operation_id, total));
    }

    /// Returns whether an operation returns a list in pages.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn is_list(&self, operation_id: &str) -> bool {
        self.shared.is_list(self.operation(operation_id))
    }

    /// Sets a rate limit, such as `core` or `search`: the number of requests of each token in a window that
    /// begins now, by tokio's clock. Requests beyond it are rejected with 403, as GitHub does, until the
    /// window ends and the next one begins. A window lasts at most ten years. By default, limits are reported
    /// and never enforced.
    ///
    /// # Panics
    /// If GitHub has no such limit.
    #[track_caller]
    pub fn rate_limit(&self, resource: &str, limit: u64, window: Duration) {
        accept(self.shared.limit(resource, limit, window));
    }

    /// Discards stubs, lists, rate limits and received requests, but not created resources. An existing
    /// [`Stub`] no longer has an effect.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Stops the server, and waits until its port is free.
    ///
    /// # Panics
    /// As on drop: if a stub returned a response that GitHub's description does not allow, or panicked.
    pub async fn stop(mut self) {
        self.task.abort();
        // It was aborted.
        let _ = (&mut self.task).await;
    }
}

/// Received requests.
impl MockGitHub {
    /// Returns the received requests, in order: the last 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.log).requests.iter().cloned().collect()
    }

    /// Returns the number of requests of an operation.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn count(&self, operation_id: &str) -> usize {
        let id = self.operation(operation_id).id();
        lock(&self.shared.log).by_operation.get(id).copied().unwrap_or(0)
    }

    /// Returns the deviations of requests from GitHub's description; at most 1,000.
    #[must_use]
    pub fn deviations(&self) -> Vec<Deviation> {
        lock(&self.shared.log).deviations.clone()
    }

    /// Returns the number of requests that match this call: see [`on`](Self::on).
    ///
    /// # Panics
    /// If a value cannot be sent.
    #[must_use]
    #[track_caller]
    pub fn count_matching<C: TypedCall>(&self, call: impl FnOnce(&Client) -> C) -> usize {
        let (_, matcher) = self.matcher_for(call);
        let received = lock(&self.shared.log);
        received.requests.iter().filter(|request| matcher.is_for(request)).count()
    }

    /// Asserts that a call like this one was received this number of times: see [`count_matching`](Self::count_matching).
    ///
    /// # Panics
    /// If the number differs. The message lists the requests that were received.
    #[track_caller]
    pub fn assert_called<C: TypedCall>(&self, times: usize, call: impl FnOnce(&Client) -> C) {
        let (wanted, matcher) = self.matcher_for(call);
        let received = self.requests();
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
            misuse(&format!(
                "expected {times} matching calls of {wanted}, received {found}; the last of {} requests:\n{}",
                received.len(),
                shown.join("\n")
            ));
        }
    }

    /// Returns the smallest request that the description allows for an operation: with the description's
    /// example as its body, and for resources that exist in a newly started mock.
    ///
    /// # Panics
    /// If GitHub has no such operation.
    #[must_use]
    #[track_caller]
    pub fn example_request(&self, operation_id: &str) -> ExampleRequest {
        ExampleRequest::of(self.description(), self.operation(operation_id))
    }

    /// Returns every operation that the mock supports.
    #[must_use]
    pub fn description(&self) -> &ApiDescription {
        self.shared.examples.description()
    }

    #[track_caller]
    fn operation(&self, id: &str) -> &OperationSpec {
        accept(self.shared.operation(id))
    }

    /// The operation of a call, and a matcher for calls like it.
    #[track_caller]
    fn matcher_for<C: TypedCall>(
        &self,
        call: impl FnOnce(&Client) -> C,
    ) -> (&'static str, Matcher) {
        let (id, wanted) = accept(call(&self.client).into_request().draft().matcher());
        (id, Matcher::Call(id, wanted))
    }
}

impl MockBuilder {
    /// Sets the address; a free port of 127.0.0.1 by default. Other machines should not have access to it.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Uses another description, such as that of an Enterprise Server.
    pub fn description(mut self, document: Arc<ApiDescription>) -> Self {
        self.description = DescriptionSource::Custom(document);
        self
    }

    /// Accepts requests that the description does not allow; they are still recorded in
    /// [`MockGitHub::deviations`].
    pub fn allow_deviations(mut self) -> Self {
        self.allow_deviations = true;
        self
    }

    /// Rejects requests with 401 if they have neither this token nor one that the mock issued to an App, and
    /// requests that only an App can make if they have no JWT with the correct form and time (its signature
    /// is not checked). By default, any token is accepted, and none is required.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.auth.required = true;
        self.auth.token = Some(token.into());
        self
    }

    /// Requires a token that the mock issued; no other token is accepted.
    pub fn require_token(mut self) -> Self {
        self.auth.required = true;
        self
    }

    /// Starts the mock.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and where [`try_start`](Self::try_start) fails.
    pub async fn start(self) -> MockGitHub {
        match self.try_start().await {
            Ok(mock) => mock,
            Err(error) => misuse(&error.to_string()),
        }
    }

    /// Starts the mock.
    ///
    /// # Errors
    /// If the address is not available, or if the token is not a valid header value.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn try_start(self) -> io::Result<MockGitHub> {
        let shared = Arc::new(MockState::new(self.description, self.allow_deviations, self.auth));
        let listening = server::listen(self.address, Arc::clone(&shared)).await;
        let (address, task) = listening.map_err(|error| {
            let message = format!("the mock cannot listen on {}: {error}", self.address);
            io::Error::new(error.kind(), message)
        })?;
        let client = builder(address, shared.auth.token.clone()).build();
        let client = client.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(MockGitHub { address, shared, client, task })
    }
}

impl Drop for MockGitHub {
    fn drop(&mut self) {
        self.task.abort();
        let mistakes = std::mem::take(&mut *lock(&self.shared.misuses));
        if let (Some(first), false) = (mistakes.first(), std::thread::panicking()) {
            misuse(&format!("{} stub responses were invalid; the first: {first}", mistakes.len()));
        }
    }
}

impl fmt::Debug for MockBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBuilder")
            .field("address", &self.address)
            .field("allow_deviations", &self.allow_deviations)
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
    let limits = RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled());
    Client::builder().base_url(url.clone()).upload_url(url).token(token).rate_limits(limits)
}
