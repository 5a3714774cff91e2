//! The client: what every call shares.

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

use crate::auth::{Auth, Gateway, TokenPolicy, TokenStore};
use crate::body::accepted_encoding;
use crate::cache::{CacheHandle, Open as OpenCache};
use crate::circuit::{Circuit, CircuitState};
use crate::error::Result;
use crate::health::{Health, Objectives};
use crate::limits::{Lane, Limits};
use crate::origins::Origins;
use crate::request::Request;
use crate::retry::{RetryBudget, RetryPolicy};
use crate::store::{Guard, StoreHealth, Tasks};
use crate::telemetry::usage::{Account, Books, Usage};
use crate::telemetry::watch::Watch;
use crate::telemetry::{BodyLog, meter};

mod builder;
mod http;
mod identity;
#[cfg(test)]
pub(crate) mod transport;

pub use builder::ClientBuilder;
use http::HttpClients;

/// A client of one GitHub: github.com, a data residency, or an Enterprise Server.
///
/// It is a handle to a connection pool, its settings and its tokens: clone it freely. Handles that
/// call as another identity share the rest: see [`installation`](Client::installation) and
/// [`with_auth`](Client::with_auth).
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use http::Method;
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
pub struct Client(Arc<Inner>);

/// One handle: what all handles share, and as whom this one calls.
pub(crate) struct Inner {
    shared: Arc<Shared>,
    pub(crate) auth: Auth,
    /// Whether calls carry the gateway's token.
    pub(crate) through_gateway: bool,
    /// The limits of whom this one calls as, once they were asked for.
    lane: OnceLock<Arc<Lane>>,
    /// Its name in metrics.
    label: OnceLock<&'static str>,
    /// What it uses.
    account: OnceLock<Arc<Account>>,
}

/// What the handles of a client share.
pub(crate) struct Shared {
    http: HttpClients,
    pub(crate) origins: Origins,
    /// What every request to GitHub carries, but for the token.
    pub(crate) headers: HeaderMap,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) attempt_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) max_body_bytes: usize,
    pub(crate) limits: Limits,
    pub(crate) usage: Books,
    pub(crate) watch: Watch,
    pub(crate) objectives: Objectives,
    pub(crate) store: Option<Arc<Guard>>,
    /// How long a call waits for its store at most.
    pub(crate) store_timeout: Duration,
    pub(crate) cache: Option<Arc<OpenCache>>,
    /// Of the API's server, and of that for uploads.
    pub(crate) circuits: [Arc<Circuit>; 2],
    pub(crate) retry: RetryPolicy,
    pub(crate) retry_budget: RetryBudget,
    pub(crate) token_policy: TokenPolicy,
    pub(crate) token_store: Option<Arc<dyn TokenStore>>,
    /// Tokens that are being stored.
    pub(crate) background: Arc<Tasks>,
    pub(crate) body_log: Option<BodyLog>,
    #[cfg(feature = "contract")]
    pub(crate) contract: Option<crate::contract::Checker>,
    /// What unit tests have in place of a network.
    #[cfg(test)]
    pub(crate) transport: Option<transport::Transport>,
}

impl Shared {
    /// Whether the application gave the HTTP client.
    pub(crate) fn http_client_is_given(&self) -> bool {
        self.http.is_given()
    }

    /// Sends a request over the network.
    pub(crate) async fn execute(
        &self,
        mut request: reqwest::Request,
    ) -> reqwest::Result<reqwest::Response> {
        let headers = request.headers_mut();
        let is_of_part = headers.contains_key(RANGE);
        if !headers.contains_key(ACCEPT_ENCODING)
            && let Some(encoding) = accepted_encoding(self.http.is_given(), is_of_part)
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

/// How long [`Client::close`] waits.
const MAX_CLOSE: Duration = Duration::from_secs(5);

impl Deref for Inner {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Client {
    /// A builder with the default settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client of github.com with this token and the default settings.
    ///
    /// # Errors
    /// If the token is empty or holds what no token does, such as a line break.
    pub fn with_token(token: impl Into<SecretString>) -> Result<Self> {
        Self::builder().token(token).build()
    }

    /// A client as GitHub Actions describes it: the token is in `GITHUB_TOKEN`, and the
    /// API's address in `GITHUB_API_URL`, or github.com's if that is not set.
    ///
    /// See GitHub's
    /// [default variables](https://docs.github.com/en/actions/reference/workflows-and-actions/variables#default-environment-variables).
    ///
    /// # Errors
    /// If `GITHUB_TOKEN` is not set, or one of the two is not usable.
    pub fn from_env() -> Result<Self> {
        let mut builder = Self::builder().token_from_env("GITHUB_TOKEN");
        let base_url = std::env::var("GITHUB_API_URL");
        // Some systems set a variable that has no value.
        if let Some(base_url) = base_url.ok().filter(|base_url| !base_url.trim().is_empty()) {
            builder = builder.base_url(base_url);
        }
        builder.build()
    }

    /// A request to any endpoint, such as one that the generated operations do not have.
    ///
    /// `path` follows the API's address, and may carry a query. An absolute URL is taken as it is
    /// if it leads to the client's GitHub, as those in GitHub's answers do. For any other server
    /// the call fails before anything is sent.
    pub fn request(&self, method: Method, path: impl Into<String>) -> Request {
        Request::given(self, method, path.into())
    }

    /// The API's address.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.0.origins.api()
    }

    /// The address of GitHub's web pages, where people sign in; it follows from the base URL.
    #[must_use]
    pub fn web_url(&self) -> &Url {
        self.0.origins.web()
    }

    /// Whether calls to the API's server are let through: see
    /// [`CircuitBreaker`](crate::CircuitBreaker).
    #[must_use]
    pub fn circuit_state(&self) -> CircuitState {
        self.0.circuits[0].current()
    }

    /// The same for the server that takes uploads.
    #[must_use]
    pub fn upload_circuit_state(&self) -> CircuitState {
        self.0.circuits[1].current()
    }

    /// How the [store](ClientBuilder::store) is; `None` without one.
    #[must_use]
    pub fn store_health(&self) -> Option<StoreHealth> {
        self.0.store.as_ref().map(|store| store.health())
    }

    /// How the client is: what a readiness probe asks, and whether [objectives](Objectives) are met. Nothing
    /// is asked of GitHub or of the store.
    ///
    /// Calls of all handles count for the objectives; the token and the limits are those of this one's
    /// identity.
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
        Health::of(self)
    }

    /// The [cache](crate::cache), to fill and to empty.
    #[must_use]
    pub fn cache(&self) -> CacheHandle<'_> {
        CacheHandle::new(self)
    }

    /// What the identity that this handle calls as has used, and how its budgets are.
    #[must_use]
    pub fn usage(&self) -> Usage<'_> {
        Usage::new(&self.0.usage, self.account())
    }

    /// Writes what is pending before a program ends, and returns after 5 s at most:
    ///
    /// - the [usage](crate::telemetry::usage) that all handles of this client have counted and not told the
    ///   [store](ClientBuilder::store) yet;
    /// - what they changed and emptied in the [cache](crate::cache);
    /// - responses and tokens that are to be stored.
    ///
    /// Returns whether the store surely has the usage and the changes that there were when `close` was called. While
    /// the store does not answer, they are written again and again. `false` means that 5 s were not enough, or that
    /// the store did not confirm some usage, which counts once or not at all. Responses and tokens that were pending
    /// are waited for as well, but do not change the result: GitHub can be asked for them again. Without a store there
    /// is nothing to write.
    ///
    /// Nothing is shut: calls that still run, or are made later, go on and are counted as before, and another
    /// `close` writes their usage. Quota that the client has leased for a fleet returns by itself within
    /// seconds after its last call, and connections end with the last handle.
    ///
    /// If a program ends without `close`, the drop of the last handle writes usage and changes within half a second
    /// each, or 100 ms on a runtime of one thread, and drops what the store has not taken by then.
    ///
    /// ```no_run
    /// # async fn example(github: octowire::Client) {
    /// // … the work of a short program, and then:
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
            self.0.usage.flush(MAX_CLOSE),
            timeout(MAX_CLOSE, changes),
            timeout(MAX_CLOSE, responses),
            self.0.background.wait(MAX_CLOSE),
        )
        .await;
        used && changed.is_ok()
    }

    pub(crate) fn new(shared: Shared, auth: Auth) -> Self {
        Self::of(Arc::new(shared), auth, true)
    }

    /// A handle that shares everything but as whom it calls.
    fn with(&self, auth: Auth) -> Self {
        self.handle(auth, self.0.through_gateway)
    }

    /// A handle that has no token at all, for a source of the gateway's tokens.
    pub(crate) fn without_tokens(&self) -> Self {
        self.handle(Auth::default(), false)
    }

    fn handle(&self, auth: Auth, through_gateway: bool) -> Self {
        Self::of(Arc::clone(&self.0.shared), auth, through_gateway)
    }

    fn of(shared: Arc<Shared>, auth: Auth, through_gateway: bool) -> Self {
        Self(Arc::new(Inner {
            shared,
            auth,
            through_gateway,
            lane: OnceLock::new(),
            label: OnceLock::new(),
            account: OnceLock::new(),
        }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// What this handle's identity is called in metrics.
    pub(crate) fn label(&self) -> &'static str {
        self.0.label.get_or_init(|| meter::identity(&self.limited_as()))
    }

    /// The limits of the identity that this handle calls as.
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        self.0.lane.get_or_init(|| self.0.limits.lane(&self.limited_as(), self.base_url().as_str()))
    }

    /// What the identity uses that this handle calls as.
    pub(crate) fn account(&self) -> &Arc<Account> {
        self.0.account.get_or_init(|| self.0.usage.account(&self.limited_as()))
    }

    /// What a call uses: those that carry a token of their own are somebody else's.
    pub(crate) fn account_of(&self, own_token: bool) -> Arc<Account> {
        match own_token {
            true => self.0.usage.account("own"),
            false => Arc::clone(self.account()),
        }
    }

    /// Whom GitHub limits: an installation, however its tokens are narrowed.
    pub(crate) fn limited_as(&self) -> Cow<'_, str> {
        match self.0.auth.keeper() {
            Some(keeper) => keeper.source().limited_as(),
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
