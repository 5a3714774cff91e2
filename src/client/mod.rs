//! The client, and the state that all its calls share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join4};
use http::Method;
use secrecy::SecretString;
use tokio::time::timeout;
use url::Url;

use crate::error::Result;
use crate::observability::health::{Health, HealthInputs};
use crate::pipeline::handle::ClientHandle;
use crate::policy::circuit_breaker::CircuitState;
#[cfg(feature = "usage")]
use crate::policy::usage::Usage;
use crate::request::RequestDraft;
use crate::store::StoreHealth;

mod auth_transport;
pub(crate) mod batch;
#[cfg(feature = "__bench")]
pub(crate) mod bench;
mod builder;
mod cache;
mod content;
pub(crate) mod entity;
pub(crate) mod graphql;
mod identity;
pub(crate) mod pagination;
mod request;
#[cfg(test)]
pub(crate) mod test_transport;

pub use builder::ClientBuilder;
pub use cache::Cache;
pub use entity::{EnterpriseHandle, OrganizationHandle, RepositoryHandle, UserHandle};
pub use request::{Request, ResponseFuture};

/// A client of one GitHub server: github.com, GitHub Enterprise Cloud with data residency, or an Enterprise Server.
///
/// It is a handle to a connection pool, settings and tokens: cloning is cheap. Handles that call as another identity
/// share everything else: see [`installation`](Client::installation) and [`with_auth`](Client::with_auth).
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use http::Method;
/// use octowire::Client;
///
/// let client = Client::from_env()?;
/// let user = client.request(Method::GET, "/user");
/// let user = user.send::<serde_json::Value>().await?;
/// println!("{} ({:?})", user["login"], user.meta().rate_limit());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<ClientHandle>);

/// The longest duration of [`Client::close`].
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Creates a client with the credentials that the environment of the process has. The first of these decides:
    ///
    /// | place | credential |
    /// |---|---|
    /// | `GITHUB_APP_ID`, or `GITHUB_APP_CLIENT_ID`, with the key in `GITHUB_APP_PRIVATE_KEY` or the path of its file in `GITHUB_APP_PRIVATE_KEY_PATH` or `GITHUB_APP_PRIVATE_KEY_FILE` (feature `github-app`) | a [GitHub App](crate::auth::App), or its installation if `GITHUB_APP_INSTALLATION_ID` or `GITHUB_APP_INSTALLATION_ORG` is set |
    /// | `GH_TOKEN`, then `GITHUB_TOKEN`; for an Enterprise Server `GH_ENTERPRISE_TOKEN`, then `GITHUB_ENTERPRISE_TOKEN` | a token, which is read again when it changes |
    /// | `hosts.yml` of the [`gh` program](https://cli.github.com), in `GH_CONFIG_DIR` or its default folder | the token of the active account, which is read once |
    /// | `gh auth token`; `GH_PATH` can name the program | the same, from the keyring of the system |
    ///
    /// The server is `GH_HOST`, or that of `GITHUB_API_URL`, or github.com. The order of the variables is [that of
    /// `gh`](https://cli.github.com/manual/gh_help_environment). The [guide](crate::guide::authentication)
    /// lists the forms of the key, and the differences to `gh`.
    ///
    /// [`credential_source`](Self::credential_source) returns the place, and a log event of level DEBUG states it.
    /// [`ClientBuilder::credentials_from_env`] does the same with other settings, and
    /// [`Credentials`](crate::auth::Credentials) reads only variables with a prefix, such as `PROD_`.
    ///
    /// This function blocks. Variables and files take no noticeable time, but if none has a credential, it waits for
    /// `gh` for up to 5 s. Call it when a program starts; in a task of a busy runtime, use
    /// `tokio::task::spawn_blocking(Client::from_env)`.
    ///
    /// # Errors
    /// If there are no credentials ([`AuthFailure::Missing`](crate::auth::AuthFailure::Missing)): the error lists all
    /// places. If the first one is incomplete or invalid: the error names the variable or the file, and not its value.
    pub fn from_env() -> Result<Self> {
        Self::builder().credentials_from_env().build()
    }

    /// Creates a request to any endpoint, such as one without a generated operation.
    ///
    /// `path` is relative to the base URL, and can contain a query. An absolute URL is used as it is if it leads to the
    /// client's GitHub server, as the URLs in GitHub's responses do. For any other server, the call fails before
    /// anything is sent.
    pub fn request(&self, method: Method, path: impl Into<String>) -> Request {
        Request::of(self, RequestDraft::raw(method, path.into()))
    }

    /// Returns the base URL of the API.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.0.shared.endpoints.api()
    }

    /// Returns the URL of GitHub's web pages, where users sign in; it is derived from the base URL.
    #[must_use]
    pub fn web_url(&self) -> &Url {
        self.0.shared.endpoints.web()
    }

    /// Returns the state of the circuit of the API's server: see [`CircuitBreaker`](crate::CircuitBreaker).
    #[must_use]
    pub fn circuit_state(&self) -> CircuitState {
        self.0.shared.circuits.api.current()
    }

    /// Returns the state of the circuit of the upload server.
    #[must_use]
    pub fn upload_circuit_state(&self) -> CircuitState {
        self.0.shared.circuits.upload.current()
    }

    /// Returns the health of the [store](ClientBuilder::store); `None` without one.
    #[must_use]
    pub fn store_health(&self) -> Option<StoreHealth> {
        self.0.shared.store.as_ref().map(|store| store.health())
    }

    /// Returns the health of the client, for a readiness probe, and whether its [objectives](crate::health::ServiceLevelObjectives) are met. It
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
        let (handle, shared) = (&self.0, &self.0.shared);
        let circuits = shared.circuits.all();
        let queue = handle.admission_queue();
        Health::new(HealthInputs {
            identity: self.identity().into_owned(),
            token: handle.identity.token_manager().map(|token_manager| token_manager.health()),
            gateway: shared.gateway.as_ref().map(|gateway| gateway.token_manager.health()),
            circuits: circuits.map(|circuit| (circuit.server(), circuit.current())),
            store: self.store_health(),
            limits: queue.health(handle.rate_limit_identity().into_owned()),
            recent: &shared.recent,
            slo: &shared.slo,
            exhausted_budgets: handle.usage_account().exhausted_budgets().collect(),
        })
    }

    /// Returns the [cache](crate::policy::cache), to prefetch and to purge.
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        Cache::new(self)
    }

    /// Returns the usage of this handle's identity, and the state of its budgets.
    #[cfg(feature = "usage")]
    #[cfg_attr(docsrs, doc(cfg(feature = "usage")))]
    #[must_use]
    pub fn usage(&self) -> Usage<'_> {
        Usage::new(&self.0.shared.usage, self.0.usage_account())
    }

    /// Writes pending data before a program ends, and returns after 5 s at most:
    ///
    /// - the usage (feature `usage`) that all handles of this client have counted and not written to the
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
    /// then. A drop on a thread without a runtime writes nothing, unless the process has made blocking calls (feature
    /// `blocking`).
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
        let cache = self.0.shared.cache.as_ref();
        let changes = OptionFuture::from(cache.map(|cache| cache.log.flush_until_written()));
        let responses = OptionFuture::from(cache.map(|cache| cache.flush_responses()));
        let (used, changed, _, _) = join4(
            self.0.shared.usage.flush(CLOSE_TIMEOUT),
            timeout(CLOSE_TIMEOUT, changes),
            timeout(CLOSE_TIMEOUT, responses),
            self.0.shared.background.wait(CLOSE_TIMEOUT),
        )
        .await;
        used && changed.is_ok()
    }

    /// Creates a client of this handle.
    pub(crate) fn of(handle: Arc<ClientHandle>) -> Self {
        Self(handle)
    }

    pub(crate) fn handle(&self) -> &Arc<ClientHandle> {
        &self.0
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
