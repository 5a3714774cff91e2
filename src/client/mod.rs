//! The client: the state that all calls share.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::http::header::{ACCEPT_ENCODING, RANGE};
use ::http::{HeaderMap, Method};
use futures_util::future::{OptionFuture, join4};
use secrecy::SecretString;
use tokio::time::timeout;
use url::Url;

use crate::endpoints::Endpoints;
use crate::error::Result;
use crate::observability::health::{Health, HealthInputs, ServiceLevelObjectives};
use crate::observability::recent::RecentActivity;
use crate::pipeline::coalesce::InFlightRequests;
use crate::policy::auth::{Gateway, Identity, TokenPolicy, TokenStore};
use crate::policy::cache::CacheInner as OpenCache;
use crate::policy::circuit_breaker::{Circuit, CircuitState};
use crate::policy::rate_limit::{AdmissionQueue, Limits};
use crate::policy::retry::{RetryBudget, RetryPolicy};
use crate::policy::usage::{IdentityUsageState, Usage, UsageRegistry};
use crate::request::Request;
use crate::response::body::accepted_encoding;
use crate::store::{BackgroundTasks, ResilientStore, StoreHealth};
use crate::{meter, observability::BodyLogging};

mod auth_transport;
pub(crate) mod batch;
mod builder;
mod cache;
pub(crate) mod graphql;
mod identity;
pub(crate) mod pagination;
mod response_future;
#[cfg(test)]
pub(crate) mod test_transport;

use crate::transport::http_clients::HttpClients;
pub use builder::ClientBuilder;
pub use cache::Cache;
pub use response_future::ResponseFuture;

/// A client of one GitHub server: github.com, GitHub Enterprise Cloud with data residency, or an Enterprise Server.
///
/// It is a handle to a connection pool, settings and tokens: cloning is cheap. Handles that call as another identity
/// share everything else: see [`installation`](Client::installation) and [`with_auth`](Client::with_auth).
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use crate::transport::http_clients::Method;
/// use octowire::Client;
///
/// let client = Client::from_env()?;
/// let user = client.request(Method::GET, "/user");
/// let user = user.send::<serde_json::Value>().await?;
/// println!("{} ({:?})", user["login"], user.rate_limit());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<ClientHandle>);

/// One handle: the state that all handles share, and the identity of this one.
pub(crate) struct ClientHandle {
    shared: Arc<ClientShared>,
    pub(crate) identity: Identity,
    /// Whether calls carry the gateway's token.
    pub(crate) uses_gateway: bool,
    /// The limits of this handle's identity, once they were requested.
    admission_queue: OnceLock<Arc<AdmissionQueue>>,
    /// The identity's label in metrics.
    identity_label: OnceLock<&'static str>,
    /// The identity's usage.
    usage_account: OnceLock<Arc<IdentityUsageState>>,
}

/// The state that the handles of a client share.
pub(crate) struct ClientShared {
    http: HttpClients,
    pub(crate) endpoints: Endpoints,
    /// The headers of every request to GitHub, except for the token.
    pub(crate) headers: HeaderMap,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) attempt_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) max_body_bytes: usize,
    pub(crate) limits: Limits,
    pub(crate) usage: Arc<UsageRegistry>,
    pub(crate) recent: Arc<RecentActivity>,
    pub(crate) slo: ServiceLevelObjectives,
    pub(crate) store: Option<Arc<ResilientStore>>,
    /// The longest time for which a call waits for its store.
    pub(crate) store_timeout: Duration,
    pub(crate) cache: Option<Arc<OpenCache>>,
    /// The reads in flight, which equal reads join; none without a cache.
    pub(crate) in_flight: Arc<InFlightRequests>,
    /// The circuits of the API's server, and of the server for uploads.
    pub(crate) circuits: [Arc<Circuit>; 2],
    pub(crate) retry: RetryPolicy,
    pub(crate) retry_budget: RetryBudget,
    pub(crate) token_policy: TokenPolicy,
    pub(crate) token_store: Option<Arc<dyn TokenStore>>,
    /// Tokens that are being stored.
    pub(crate) background: Arc<BackgroundTasks>,
    pub(crate) body_logging: Option<BodyLogging>,
    #[cfg(feature = "contract")]
    pub(crate) response_validator: Option<crate::contract::ResponseValidator>,
    /// The replacement for the network in unit tests.
    #[cfg(test)]
    pub(crate) transport: Option<test_transport::Transport>,
}

impl ClientShared {
    /// Returns whether the application supplied the HTTP client.
    pub(crate) fn http_client_is_given(&self) -> bool {
        self.http.is_single()
    }

    /// Sends a request over the network.
    pub(crate) async fn execute(
        &self,
        mut request: reqwest::Request,
    ) -> reqwest::Result<reqwest::Response> {
        let headers = request.headers_mut();
        let is_of_part = headers.contains_key(RANGE);
        if !headers.contains_key(ACCEPT_ENCODING)
            && let Some(encoding) = accepted_encoding(self.http.is_single(), is_of_part)
        {
            headers.insert(ACCEPT_ENCODING, encoding);
        }
        #[cfg(test)]
        if let Some(transport) = &self.transport {
            return Ok(transport(request).await);
        }
        self.http.current().execute(request).await
    }
}

/// The longest duration of [`Client::close`].
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Deref for ClientHandle {
    type Target = ClientShared;

    fn deref(&self) -> &ClientShared {
        &self.shared
    }
}

impl Client {
    /// Returns a builder with the default settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Creates a client of github.com with this token and the default settings.
    ///
    /// # Errors
    /// If the token is empty or contains a character that no token has, such as a line break.
    pub fn with_token(token: impl Into<SecretString>) -> Result<Self> {
        Self::builder().token(token).build()
    }

    /// Creates a client from the environment of GitHub Actions: the token is in `GITHUB_TOKEN`, and the base URL in
    /// `GITHUB_API_URL`, or github.com's if that is not set.
    ///
    /// See GitHub's
    /// [default variables](https://docs.github.com/en/actions/reference/workflows-and-actions/variables#default-environment-variables).
    ///
    /// # Errors
    /// If `GITHUB_TOKEN` is not set, or one of the two is invalid.
    pub fn from_env() -> Result<Self> {
        let mut builder = Self::builder().token_from_env("GITHUB_TOKEN");
        let base_url = std::env::var("GITHUB_API_URL");
        // Some systems set a variable to an empty value.
        if let Some(base_url) = base_url.ok().filter(|base_url| !base_url.trim().is_empty()) {
            builder = builder.base_url(base_url);
        }
        builder.build()
    }

    /// Creates a request to any endpoint, such as one without a generated operation.
    ///
    /// `path` is relative to the base URL, and can contain a query. An absolute URL is used as it is if it leads to the
    /// client's GitHub server, as the URLs in GitHub's responses do. For any other server, the call fails before
    /// anything is sent.
    pub fn request(&self, method: Method, path: impl Into<String>) -> Request {
        Request::raw(self, method, path.into())
    }

    /// Returns the base URL of the API.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.0.endpoints.api()
    }

    /// Returns the URL of GitHub's web pages, where users sign in; it is derived from the base URL.
    #[must_use]
    pub fn web_url(&self) -> &Url {
        self.0.endpoints.web()
    }

    /// Returns the state of the circuit of the API's server: see [`CircuitBreaker`](crate::CircuitBreaker).
    #[must_use]
    pub fn circuit_state(&self) -> CircuitState {
        self.0.circuits[0].current()
    }

    /// Returns the state of the circuit of the upload server.
    #[must_use]
    pub fn upload_circuit_state(&self) -> CircuitState {
        self.0.circuits[1].current()
    }

    /// Returns the health of the [store](ClientBuilder::store); `None` without one.
    #[must_use]
    pub fn store_health(&self) -> Option<StoreHealth> {
        self.0.store.as_ref().map(|store| store.health())
    }

    /// Returns the health of the client, for a readiness probe, and whether its [objectives](ServiceLevelObjectives) are met. It
    /// sends no request to GitHub or to the store.
    ///
    /// Calls of all handles count for the objectives; the token and the limits are those of this handle's identity.
    ///
    /// ```no_run
    /// # fn example(client: octowire::Client) {
    /// let health = client.health();
    /// let status = if health.is_ready() { 200 } else { 503 };
    /// println!("{status}: {health}");
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let (handle, [api, upload]) = (&self.0, &self.0.circuits);
        let queue = self.admission_queue();
        Health::new(HealthInputs {
            identity: self.identity().into_owned(),
            token: handle.identity.token_manager().map(|token_manager| token_manager.health()),
            gateway: handle.gateway.as_ref().map(|gateway| gateway.token_manager.health()),
            circuits: [api, upload].map(|circuit| (circuit.server(), circuit.current())),
            store: self.store_health(),
            limits: queue.health(self.rate_limit_identity().into_owned()),
            recent: &handle.recent,
            slo: &handle.slo,
            exhausted_budgets: self.usage_account().exhausted_budgets().collect(),
        })
    }

    /// Returns the [cache](crate::policy::cache), to prefetch and to purge.
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        Cache::new(self)
    }

    /// Returns the usage of this handle's identity, and the state of its budgets.
    #[must_use]
    pub fn usage(&self) -> Usage<'_> {
        Usage::new(&self.0.usage, self.usage_account())
    }

    /// Writes pending data before a program ends, and returns after 5 s at most:
    ///
    /// - the [usage](crate::policy::usage) that all handles of this client have counted and not written to the
    ///   [store](ClientBuilder::store) yet;
    /// - their invalidations and purges of the [cache](crate::policy::cache);
    /// - responses and tokens that wait to be stored.
    ///
    /// Returns whether the store has confirmed the usage and the invalidations that were pending when `close` was
    /// called. While the store is unavailable, the client retries the writes. `false` means that 5 s were not enough,
    /// or that the store did not confirm some usage, which counts once or not at all. `close` also waits for pending
    /// responses and tokens, but these do not change the result, since GitHub can supply them again. Without a store
    /// there is nothing to write.
    ///
    /// Nothing is shut down: calls that still run, or start later, continue and are counted as before, and another
    /// `close` writes their usage. The client's quota leases in a fleet expire within seconds after its last call, and
    /// connections end with the last handle.
    ///
    /// If a program ends without `close`, the drop of the last handle writes usage and invalidations within half a
    /// second each, or 100 ms on a single-threaded runtime, and drops everything that the store has not accepted by
    /// then.
    ///
    /// ```no_run
    /// # async fn example(github: octowire::Client) {
    /// // After the work of a short program:
    /// if !github.close().await {
    ///     eprintln!("some usage was not written");
    /// }
    /// # }
    /// ```
    pub async fn close(&self) -> bool {
        let cache = self.0.cache.as_ref();
        let changes = OptionFuture::from(cache.map(|cache| cache.log.flush_until_written()));
        let responses = OptionFuture::from(cache.map(|cache| cache.flush_responses()));
        let (used, changed, _, _) = join4(
            self.0.usage.flush(CLOSE_TIMEOUT),
            timeout(CLOSE_TIMEOUT, changes),
            timeout(CLOSE_TIMEOUT, responses),
            self.0.background.wait(CLOSE_TIMEOUT),
        )
        .await;
        used && changed.is_ok()
    }

    pub(crate) fn new(shared: ClientShared, auth: Identity) -> Self {
        Self::from_parts(Arc::new(shared), auth, true)
    }

    /// Creates a handle that shares everything except the identity.
    fn with_identity(&self, auth: Identity) -> Self {
        self.derive(auth, self.0.uses_gateway)
    }

    /// Creates a handle without any token, for a source of the gateway's tokens.
    pub(crate) fn without_tokens(&self) -> Self {
        self.derive(Identity::default(), false)
    }

    fn derive(&self, auth: Identity, uses_gateway: bool) -> Self {
        Self::from_parts(Arc::clone(&self.0.shared), auth, uses_gateway)
    }

    fn from_parts(shared: Arc<ClientShared>, auth: Identity, uses_gateway: bool) -> Self {
        Self(Arc::new(ClientHandle {
            shared,
            identity: auth,
            uses_gateway,
            admission_queue: OnceLock::new(),
            identity_label: OnceLock::new(),
            usage_account: OnceLock::new(),
        }))
    }

    pub(crate) fn handle(&self) -> &ClientHandle {
        &self.0
    }

    /// Returns the label of this handle's identity in metrics.
    pub(crate) fn identity_label(&self) -> &'static str {
        self.0.identity_label.get_or_init(|| meter::identity(&self.rate_limit_identity()))
    }

    /// Returns the limits of this handle's identity.
    pub(crate) fn admission_queue(&self) -> &Arc<AdmissionQueue> {
        self.0.admission_queue.get_or_init(|| {
            self.0.limits.queue(&self.rate_limit_identity(), self.base_url().as_str())
        })
    }

    /// Returns the usage of this handle's identity.
    pub(crate) fn usage_account(&self) -> &Arc<IdentityUsageState> {
        self.0.usage_account.get_or_init(|| self.0.usage.account(&self.rate_limit_identity()))
    }

    /// Returns the usage that a call counts for: a request credential belongs to another identity.
    pub(crate) fn usage_account_for(&self, own_token: bool) -> Arc<IdentityUsageState> {
        match own_token {
            true => self.0.usage.account("own"),
            false => Arc::clone(self.usage_account()),
        }
    }

    /// Returns the identity that GitHub limits: an installation, whatever the restrictions of its tokens.
    pub(crate) fn rate_limit_identity(&self) -> Cow<'_, str> {
        match self.0.identity.token_manager() {
            Some(token_manager) => token_manager.provider().rate_limit_identity(),
            None => self.identity(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url().as_str())
            .field("identity", &self.identity())
            .field("attempt_timeout", &self.0.attempt_timeout)
            .field("call_timeout", &self.0.call_timeout)
            .field("max_body_bytes", &self.0.max_body_bytes)
            .finish_non_exhaustive()
    }
}
