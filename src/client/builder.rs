//! The settings of a client.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use tracing::warn;

use super::Client;
use crate::endpoints::{Endpoints, GITHUB, origin_of, same_origin};
use crate::error::{Error, ErrorKind, Result};
use crate::meter;
use crate::observability::BodyLogging;
use crate::observability::health::ServiceLevelObjectives;
use crate::observability::recent::RecentActivity;
use crate::pipeline::handle::{ClientHandle, ClientShared};
use crate::pipeline::interceptor::Interceptor;
use crate::policy::auth::{
    CredentialSource, Environment, Gateway, Identity, PersonalToken, ProcessEnvironment,
    TokenManager, TokenPolicy, TokenProvider, TokenStore, resolve_credentials,
};
use crate::policy::cache::CacheConfig;
use crate::policy::circuit_breaker::{Circuit, CircuitBreaker, CircuitState, EndpointCircuits};
use crate::policy::rate_limit::{Limits, RateLimitPolicy};
use crate::policy::retry::{RetryBudget, RetryPolicy};
use crate::policy::usage::{UsageConfig, UsageRegistry};
use crate::sanitize;
use crate::store::{ResilientStore, STORE_TIMEOUT, Store};
use crate::transport::custom::Transport;
use crate::transport::http_clients::{HttpClients, HttpSettings};

/// The settings of a [`Client`]; every one has a default.
///
/// ```
/// use std::time::Duration;
/// use octowire::Client;
///
/// # fn example() -> octowire::Result<()> {
/// let client = Client::builder()
///     .base_url("https://github.example.com/api/v3")
///     .token("ghp_…")
///     .user_agent("release-bot/1.4")
///     .attempt_timeout(Duration::from_secs(10))
///     .build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder builds nothing before `build`"]
pub struct ClientBuilder {
    /// `None` if it was not set.
    base_url: Option<Cow<'static, str>>,
    upload_url: Option<String>,
    api_version: Cow<'static, str>,
    user_agent: Cow<'static, str>,
    auth: Option<Arc<dyn TokenProvider>>,
    /// Where `build` looks for credentials, if `auth` is not set.
    environment: Option<Arc<dyn Environment>>,
    gateway: Option<(HeaderName, Arc<dyn TokenProvider>)>,
    token_policy: TokenPolicy,
    token_store: Option<Arc<dyn TokenStore>>,
    limits: RateLimitPolicy,
    store: Option<Arc<dyn Store>>,
    cache: CacheConfig,
    store_timeout: Duration,
    circuit_breaker: CircuitBreaker,
    retry: RetryPolicy,
    connect_timeout: Option<Duration>,
    attempt_timeout: Duration,
    call_timeout: Duration,
    max_body_bytes: usize,
    proxies: Vec<reqwest::Proxy>,
    headers: HeaderMap,
    http_client: Option<reqwest::Client>,
    body_logging: Option<BodyLogging>,
    usage: UsageConfig,
    slo: ServiceLevelObjectives,
    #[cfg(feature = "contract")]
    response_validator: Option<crate::contract::ResponseValidator>,
    transport: Option<Arc<dyn Transport>>,
    interceptors: Vec<Arc<dyn Interceptor>>,
    /// The first invalid setting.
    error: Option<Error>,
}

/// A handshake takes a few round trips; a server that needs longer is unreachable.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// GitHub cancels a request after 10 s; the rest is for large responses.
const DEFAULT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Allows more than one attempt.
const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Several times the largest response that GitHub specifies for a JSON endpoint.
const DEFAULT_MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const DEFAULT_API_VERSION: &str = "2022-11-28";
const DEFAULT_USER_AGENT: &str = concat!("octowire/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/vnd.github+json");

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            base_url: None,
            upload_url: None,
            api_version: Cow::Borrowed(DEFAULT_API_VERSION),
            user_agent: Cow::Borrowed(DEFAULT_USER_AGENT),
            auth: None,
            environment: None,
            gateway: None,
            token_policy: TokenPolicy::default(),
            token_store: None,
            limits: RateLimitPolicy::default(),
            store: None,
            cache: CacheConfig::default(),
            store_timeout: STORE_TIMEOUT,
            circuit_breaker: CircuitBreaker::default(),
            retry: RetryPolicy::default(),
            connect_timeout: None,
            attempt_timeout: DEFAULT_ATTEMPT_TIMEOUT,
            call_timeout: DEFAULT_CALL_TIMEOUT,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            proxies: Vec::new(),
            headers: HeaderMap::new(),
            http_client: None,
            body_logging: None,
            usage: UsageConfig::default(),
            slo: ServiceLevelObjectives::default(),
            #[cfg(feature = "contract")]
            response_validator: None,
            transport: None,
            interceptors: Vec::new(),
            error: None,
        }
    }
}

/// Server and credentials.
impl ClientBuilder {
    /// Sets the base URL of the API; `https://api.github.com` by default.
    ///
    /// Otherwise it is `https://api.SUBDOMAIN.ghe.com` (data residency) or `https://HOST/api/v3` (Enterprise Server):
    /// see GitHub's [getting
    /// started](https://docs.github.com/en/enterprise-server@latest/rest/using-the-rest-api/getting-started-with-the-rest-api).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(Cow::Owned(url.into()));
        self
    }

    /// Sets the URL for uploads, such as release assets.
    ///
    /// By default it is derived from the base URL: `https://uploads.github.com`, `https://uploads.SUBDOMAIN.ghe.com`,
    /// `https://HOST/api/uploads`, and for any other the base URL itself. The token is sent to this server as well.
    pub fn upload_url(mut self, url: impl Into<String>) -> Self {
        self.upload_url = Some(url.into());
        self
    }

    /// Sets the token: a personal, installation or user access token.
    ///
    /// Without one, GitHub allows 60 calls an hour. [`auth`](Self::auth) accepts every other credential.
    pub fn token(self, token: impl Into<SecretString>) -> Self {
        self.set_token(PersonalToken::new(token))
    }

    /// Reads the token from this environment variable, which has to be set. The client reads it again when it has
    /// changed.
    pub fn token_from_env(self, variable: &str) -> Self {
        self.set_token(PersonalToken::from_env(variable))
    }

    /// Sets the token provider: an [installation](crate::auth::App::installation) of a GitHub App, a [personal
    /// token](PersonalToken), or any other [provider](crate::auth). The last one that is set applies.
    pub fn auth(mut self, provider: impl TokenProvider) -> Self {
        self.set_provider(Arc::new(provider));
        self
    }

    /// Looks for the credentials in the environment of the process: see [`Client::from_env`].
    ///
    /// A token is one of the server of the [base URL](Self::base_url), if that is set, so that no other server receives
    /// it. The variables of an App name no server: the App is used for any. Like [`auth`](Self::auth), this method
    /// replaces a token or a provider that was set before.
    ///
    /// ```no_run
    /// # fn example() -> octowire::Result<()> {
    /// use octowire::Client;
    ///
    /// let client = Client::builder().user_agent("release-bot/1.4").credentials_from_env().build()?;
    /// if let Some(source) = client.credential_source() {
    ///     println!("credentials of {source}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials_from_env(self) -> Self {
        self.credentials_from(ProcessEnvironment)
    }

    /// Looks for the credentials in another environment, such as the variables of a `.env` file: see [`Environment`] and
    /// [`credentials_from_env`](Self::credentials_from_env).
    ///
    /// The order is that of [`Client::from_env`]. [`build`](Self::build) looks for them, and fails with
    /// [`AuthFailure::Missing`](crate::auth::AuthFailure::Missing) if there are none.
    pub fn credentials_from(mut self, environment: impl Environment) -> Self {
        self.auth = None;
        self.environment = Some(Arc::new(environment));
        self
    }

    /// Sets how tokens are cached and refreshed; see [`TokenPolicy`] for the defaults.
    pub fn token_policy(mut self, policy: TokenPolicy) -> Self {
        self.token_policy = policy;
        self
    }

    /// Sets the store that keeps tokens beyond the lifetime of the client; none by default.
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.token_store = Some(Arc::new(store));
        self
    }

    /// Sets a second token provider, for a gateway before GitHub that requires its own bearer token in this header.
    ///
    /// Its tokens are kept and refreshed like GitHub's, and sent to the same servers. For a gateway that reads `authorization`
    /// itself and adds GitHub's token, pass its provider to [`auth`](Self::auth).
    pub fn gateway<N>(mut self, header: N, provider: impl TokenProvider) -> Self
    where
        N: TryInto<HeaderName, Error: Display>,
    {
        match header.try_into() {
            Ok(AUTHORIZATION) => self.set_error(
                "invalid gateway header: authorization carries GitHub's token",
                "if the gateway signs in to GitHub itself, pass its source to auth()",
            ),
            Ok(header) => self.gateway = Some((header, Arc::new(provider))),
            Err(reason) => self.set_error(format!("invalid gateway header: {reason}"), ""),
        }
        self
    }

    fn set_provider(&mut self, provider: Arc<dyn TokenProvider>) {
        self.auth = Some(provider);
        self.environment = None;
    }

    fn set_token(mut self, token: Result<PersonalToken>) -> Self {
        match token {
            Ok(token) => self.set_provider(Arc::new(token)),
            Err(error) if self.error.is_none() => self.error = Some(error),
            Err(_) => {}
        }
        self
    }

    /// Sets the [API version](https://docs.github.com/en/rest/about-the-rest-api/api-versions), a date; `2022-11-28` by
    /// default.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Cow::Owned(version.into());
        self
    }

    /// Sets the `User-Agent`, which GitHub
    /// [requires](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#user-agent);
    /// `octowire/VERSION` by default. Name your application, so that GitHub can contact you.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Cow::Owned(user_agent.into());
        self
    }

    /// Adds a header to every request to GitHub, such as one that your proxy requires.
    ///
    /// Redirects to other servers do not carry it. A value is a secret if its name or content looks like one, or if it
    /// is marked as [sensitive](HeaderValue::set_sensitive). Then it is redacted where a server repeats it, and a
    /// response that repeats it is not written to a shared cache. Mark values that a person chose, such as a
    /// passphrase. An `accept` header replaces GitHub's JSON; an operation that requests another media type, as
    /// downloads do, still does, and [`Request::accept`](crate::Request::accept) overrides both.
    pub fn default_header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(AUTHORIZATION), Ok(_)) => self.set_error(
                "default_header does not accept authorization",
                "pass the token to token()",
            ),
            (Ok(name), Ok(mut value)) => {
                if sanitize::is_secret_header(&name, &value) {
                    value.set_sensitive(true);
                }
                self.headers.insert(name, value);
            }
            (Err(reason), _) => self.set_error(format!("invalid default_header: {reason}"), ""),
            (Ok(name), Err(reason)) => {
                self.set_error(format!("invalid default_header {name}: {reason}"), "");
            }
        }
        self
    }
}

/// Limits and retries.
impl ClientBuilder {
    /// Sets how the client stays within GitHub's rate limits. By default it follows GitHub's published rules, and waits
    /// for up to 70 minutes.
    pub fn rate_limits(mut self, limits: RateLimitPolicy) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the store that this client shares with others, in this process or in a fleet: see [`store`](crate::store).
    /// By default the client shares nothing.
    ///
    /// Clients that share a store and an identity also share GitHub's rate limits, if the store shares them: a
    /// [`MemoryStore`](crate::store::MemoryStore) does only with the feature `quota-ledger`. All of them have to use the same
    /// [`RateLimitPolicy`]. A client returns unused quota after half a second; if a process ends before, that quota counts
    /// as used.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets where the client stores responses, and when it returns them. By default it stores up to 64 MiB of them in
    /// memory, or in its [store](Self::store), and revalidates each one on use.
    pub fn cache(mut self, cache: CacheConfig) -> Self {
        self.cache = cache;
        self
    }

    /// Sets the longest time for which an attempt of a call waits for its [store](Self::store), in sum for all
    /// operations: the cache, limits and budgets; 50 ms by default. Only the time without a response counts: if the
    /// store reports that a limit is exhausted, the call waits for that limit.
    ///
    /// If the time is used up, the call continues as if the store were unavailable: the cache misses, limits allow the
    /// client's share, a budget is decided with local data, and one that
    /// fails closed rejects the call. It does not wait longer for a cache in another store, unless that has a [timeout of its
    /// own](CacheConfig::store_timeout), and its writes are stored after it. A client that does not know yet how many clients
    /// share its limits has one call in flight, until the store responds or ten seconds have passed.
    ///
    /// The wait for a token in a shared [token store](Self::token_store) is separate: up to this time for its lock and
    /// the token together, and up to this time again for a token that was stored before the lock was taken. While
    /// another client holds the lock, the store's own bound applies (`EncryptedTokenStore::lock_wait`), since that client
    /// requests the token.
    ///
    /// A quota lease lasts for half a second from its request: however long this timeout is, a call waits 400 ms for
    /// it, and then continues with the client's share.
    ///
    /// If one operation takes longer, all clients of the process with the same store and timeout treat the store as
    /// unavailable. Calls do not wait for it then. The client probes it in the background, at most ten times a second,
    /// and once a second if it stays unavailable.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets when calls to a failing server are rejected before they are sent.
    pub fn circuit_breaker(mut self, policy: CircuitBreaker) -> Self {
        self.circuit_breaker = policy;
        self
    }

    /// Sets which failures are retried, when, and how often. [`Request::retry`](crate::Request::retry) sets it for a
    /// single call.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }
}

/// Observability.
impl ClientBuilder {
    /// Logs the bodies of requests and responses, redacted and truncated; off by default. Use it for debugging: a body
    /// can contain data that does not belong in a log.
    pub fn body_logging(mut self, log: BodyLogging) -> Self {
        self.body_logging = Some(log);
        self
    }

    /// Sets the objectives of calls; [`Client::health`] returns whether they are met.
    pub fn slo(mut self, objectives: ServiceLevelObjectives) -> Self {
        self.slo = objectives;
        self
    }

    /// Sets how usage is counted, and its budgets. None by default.
    #[cfg(feature = "usage")]
    #[cfg_attr(docsrs, doc(cfg(feature = "usage")))]
    pub fn usage(mut self, policy: UsageConfig) -> Self {
        self.usage = policy;
        self
    }
}

/// Test and staging.
#[cfg(feature = "contract")]
#[cfg_attr(docsrs, doc(cfg(feature = "contract")))]
impl ClientBuilder {
    /// Validates every response against GitHub's OpenAPI description; see [`ResponseValidator`](crate::contract::ResponseValidator).
    pub fn response_validator(mut self, validator: crate::contract::ResponseValidator) -> Self {
        self.response_validator = Some(validator);
        self
    }
}

/// Timeouts, limits and connections.
impl ClientBuilder {
    /// Sets the longest time to establish a connection; 10 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets the longest time for one attempt of a call; 30 s by default.
    ///
    /// It ends when the response is read, or at its headers where the body is [streamed](crate::Request::send_stream):
    /// then it bounds the wait for each chunk. During an upload, it bounds the time without progress.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets the longest time for a call with all its attempts; 120 s by default. The time that it waits for [rate
    /// limits](Self::rate_limits) does not count.
    ///
    /// [`Request::timeout`](crate::Request::timeout) sets it for a single call.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the largest body, in bytes after decompression, that a call reads into memory; 64 MiB by default.
    /// [Streamed](crate::Request::send_stream) bodies are not bounded.
    ///
    /// [`Request::max_body_bytes`](crate::Request::max_body_bytes) sets it for a single call.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Adds a proxy, in addition to those of the system's settings.
    pub fn proxy(mut self, proxy: reqwest::Proxy) -> Self {
        self.proxies.push(proxy);
        self
    }

    /// Sets your own HTTP client, with its connection pool, TLS and proxies.
    ///
    /// Build it with `redirect(reqwest::redirect::Policy::none())`, so that this library decides which servers receive
    /// the token, and with `retry(reqwest::retry::never())`. Its default headers are sent to every server that GitHub
    /// redirects to.
    ///
    /// Over HTTP/2, set `http2_initial_connection_window_size` to 128 times `http2_initial_stream_window_size`, as the
    /// built-in client does with 128 MiB: the windows bound the memory of a connection, and unread bodies occupy their
    /// part of it. If this library is built without a feature for TLS, enable its feature `http2`: it requires a version
    /// of h2 that reports truncated bodies.
    ///
    /// If the program has several Tokio runtimes, all share this client, and a runtime that is not polled blocks
    /// requests of others on its connections. The built-in client has connections for each runtime.
    ///
    /// If reqwest is built with its feature `gzip`, this client decompresses bodies according to its settings, and
    /// requests name its encodings. Otherwise requests accept gzip alone, and this library decompresses.
    ///
    /// With a cookie store, a `GET` that a gateway redirects to its own URL while setting a cookie is sent once more.
    /// The built-in client keeps no cookies.
    ///
    /// [`proxy`](Self::proxy) and [`connect_timeout`](Self::connect_timeout) are settings of that client then, and
    /// setting them here as well is an error.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http_client = Some(client);
        self
    }

    /// Sends requests by this transport in place of the built-in HTTP client.
    ///
    /// [`http_client`](Self::http_client), [`proxy`](Self::proxy) and [`connect_timeout`](Self::connect_timeout) have no
    /// effect then, and setting them as well is an error.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Adds an interceptor, which runs after those that were added before: see [`Interceptor`].
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Builds the client. Nothing is sent.
    ///
    /// If the credentials are those of the [environment](Self::credentials_from_env), it reads files, and can run a
    /// program for up to 5 s.
    ///
    /// # Errors
    /// If a setting is invalid ([`ErrorKind::Configuration`]), or a credential is invalid or missing
    /// ([`ErrorKind::Authentication`]).
    pub fn build(mut self) -> Result<Client> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.usage.check()?;
        let credential_source = self.resolve_environment()?;
        let base_url = self.base_url.as_deref().unwrap_or(GITHUB);
        let endpoints = Endpoints::new(base_url, self.upload_url.as_deref())?;
        if endpoints.lacks_enterprise_path() {
            let server = origin_of(endpoints.api());
            warn!(%server, "base_url has no /api/v3; set it to https://HOST/api/v3");
        }
        let (policy, store) = (Arc::new(self.token_policy.clone()), self.token_store.clone());
        let auth = match self.auth.take() {
            Some(provider) => Identity::new(provider, Arc::clone(&policy), store.clone())
                .with_credential_source(credential_source),
            None => Identity::default(),
        };
        let gateway = self.gateway.take().map(|(header, provider)| Gateway {
            header,
            token_manager: TokenManager::new(provider, Arc::clone(&policy), store.clone()),
        });
        let circuit = |url| Circuit::new(self.circuit_breaker.clone(), origin_of(url));
        let api = circuit(endpoints.api());
        let upload = match same_origin(endpoints.api(), endpoints.upload()) {
            true => Arc::clone(&api),
            false => circuit(endpoints.upload()),
        };
        let circuits = EndpointCircuits { api, upload };
        let closed = CircuitState::Closed.metric_value();
        let servers = circuits.all().into_iter();
        meter::client_built(servers.map(|circuit| (circuit.server(), closed)));
        let store_timeout = self.store_timeout;
        let shared_store =
            self.store.take().map(|store| ResilientStore::shared(store, store_timeout));
        let cache = std::mem::take(&mut self.cache).open(
            endpoints.api().as_str(),
            shared_store.as_ref(),
            store_timeout,
        )?;
        let headers = self.default_headers()?;
        let http = self.build_http_clients(&endpoints)?;
        let shared = ClientShared {
            headers,
            http,
            usage: Arc::new(UsageRegistry::new(
                self.usage,
                endpoints.api().as_str(),
                shared_store.clone(),
            )),
            recent: Arc::new(RecentActivity::new()),
            slo: self.slo,
            endpoints,
            gateway,
            attempt_timeout: self.attempt_timeout,
            call_timeout: self.call_timeout,
            max_body_bytes: self.max_body_bytes,
            limits: Limits::new(self.limits, shared_store.clone()),
            cache,
            in_flight: Arc::default(),
            store: shared_store,
            store_timeout,
            circuits,
            retry_budget: RetryBudget::new(&self.retry),
            retry: self.retry,
            token_policy: policy,
            token_store: store,
            background: Arc::default(),
            interceptors: self.interceptors.into(),
            body_logging: self.body_logging,
            #[cfg(feature = "contract")]
            response_validator: self.response_validator.take(),
        };
        Ok(Client::of(ClientHandle::new(shared, auth)))
    }

    /// Looks for credentials in the environment, if this is set, and returns where they were found.
    fn resolve_environment(&mut self) -> Result<Option<CredentialSource>> {
        let Some(environment) = self.environment.take() else { return Ok(None) };
        let found = resolve_credentials(environment, self.base_url.as_deref())?;
        self.base_url = Some(found.base_url);
        self.auth = Some(found.provider);
        Ok(Some(found.source))
    }

    /// Returns the headers of every request, which are built once.
    fn default_headers(&mut self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(8 + self.headers.len());
        headers.insert(ACCEPT, JSON);
        headers.insert("x-github-api-version", api_version(&self.api_version)?);
        headers.insert(USER_AGENT, user_agent(&self.user_agent)?);
        headers.extend(std::mem::take(&mut self.headers));
        Ok(headers)
    }

    fn build_http_clients(&mut self, endpoints: &Endpoints) -> Result<HttpClients> {
        let given = match (self.transport.take(), self.http_client.take()) {
            (Some(_), Some(_)) => {
                return Err(configuration(
                    "http_client has no effect with a transport",
                    "set one of the two",
                ));
            }
            (Some(transport), None) => Some(HttpClients::Custom(transport)),
            (None, client) => client.map(HttpClients::Given),
        };
        if let Some(given) = given {
            if !self.proxies.is_empty() || self.connect_timeout.is_some() {
                return Err(configuration(
                    "proxy and connect_timeout have no effect with an http_client or a transport",
                    "set them on the reqwest client",
                ));
            }
            return Ok(given);
        }
        let tls =
            cfg!(any(feature = "rustls", feature = "native-tls", feature = "rustls-no-provider"));
        if !tls && endpoints.api().scheme() == "https" {
            return Err(configuration(
                "https requires TLS, but octowire is built without it",
                "enable one of the features rustls, native-tls or rustls-no-provider",
            ));
        }
        let settings = HttpSettings {
            connect_timeout: self.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            proxies: std::mem::take(&mut self.proxies),
        };
        HttpClients::build(settings).map_err(|error| {
            configuration("building the HTTP client failed", "see the source of this error")
                .with_source(error)
        })
    }

    fn set_error(&mut self, message: impl Into<Cow<'static, str>>, advice: &'static str) {
        if self.error.is_none() {
            self.error = Some(configuration(message, advice));
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL can contain a password, and so can a proxy's; a header's value is a secret.
        let base_url = self.base_url.as_deref().unwrap_or(GITHUB);
        let base_url = if base_url.contains('@') { "[hidden]" } else { base_url };
        f.debug_struct("ClientBuilder")
            .field("base_url", &base_url)
            .field("api_version", &self.api_version)
            .field("user_agent", &self.user_agent)
            .field("auth", &self.auth)
            .field("gateway", &self.gateway)
            .field("token_policy", &self.token_policy)
            .field("token_store", &self.token_store)
            .field("rate_limits", &self.limits)
            .field("store", &self.store)
            .field("cache", &self.cache)
            .field("retry", &self.retry)
            .field("usage", &self.usage)
            .field("slo", &self.slo)
            .field("circuit_breaker", &self.circuit_breaker)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("transport", &self.transport)
            .field("interceptors", &self.interceptors)
            .field("proxies", &self.proxies.len())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

fn api_version(version: &str) -> Result<HeaderValue> {
    let date = version.len() == 10
        && version.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let value = HeaderValue::try_from(version).ok().filter(|_| date);
    value.ok_or_else(|| {
        configuration(
            format!("invalid api_version {version:?}: not a date"),
            "use the form YYYY-MM-DD, such as 2022-11-28",
        )
    })
}

fn user_agent(user_agent: &str) -> Result<HeaderValue> {
    let value = HeaderValue::try_from(user_agent).ok();
    value.filter(|_| !user_agent.trim().is_empty()).ok_or_else(|| {
        configuration(
            "invalid user_agent: empty, or contains a control character",
            "set the name of your application; GitHub requires a User-Agent",
        )
    })
}

fn configuration(message: impl Into<Cow<'static, str>>, advice: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, message).with_advice(advice)
}

#[cfg(all(test, feature = "testing"))]
mod tests;
