//! The state of a client: what all its handles share, and the identity of each handle.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;

use super::coalesce::InFlightRequests;
use super::interceptor::Interceptors;
use crate::endpoints::Endpoints;
use crate::error::{Error, Result};
use crate::meter;
use crate::observability::BodyLogging;
use crate::observability::health::ServiceLevelObjectives;
use crate::observability::recent::RecentActivity;
use crate::policy::auth::{AuthFailure, Gateway, Identity, Installation, TokenPolicy, TokenStore};
use crate::policy::cache::CacheInner;
use crate::policy::cache::key::CacheIdentity;
use crate::policy::circuit_breaker::EndpointCircuits;
use crate::policy::rate_limit::{AdmissionQueue, Limits};
use crate::policy::retry::{RetryBudget, RetryPolicy};
use crate::policy::usage::{IdentityUsageState, UsageRegistry};
use crate::store::{BackgroundTasks, ResilientStore};
use crate::transport::http_clients::HttpClients;

/// One handle: the state that all handles share, and the identity of this one.
pub(crate) struct ClientHandle {
    pub(crate) shared: Arc<ClientShared>,
    pub(crate) identity: Identity,
    /// Whether calls carry the gateway's token.
    uses_gateway: bool,
    /// The limits of this handle's identity, once they were requested.
    admission_queue: OnceLock<Arc<AdmissionQueue>>,
    /// The identity's label in metrics.
    identity_label: OnceLock<&'static str>,
    /// The identity's usage.
    usage_account: OnceLock<Arc<IdentityUsageState>>,
    /// The identity as the cache distinguishes it, once a call used the cache.
    cache_identity: OnceLock<Arc<CacheIdentity>>,
}

/// The state that the handles of a client share.
pub(crate) struct ClientShared {
    pub(crate) http: HttpClients,
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
    pub(crate) cache: Option<Arc<CacheInner>>,
    /// The reads in flight, which equal reads join; none without a cache.
    pub(crate) in_flight: Arc<InFlightRequests>,
    pub(crate) circuits: EndpointCircuits,
    pub(crate) retry: RetryPolicy,
    pub(crate) retry_budget: RetryBudget,
    pub(crate) token_policy: Arc<TokenPolicy>,
    pub(crate) token_store: Option<Arc<dyn TokenStore>>,
    /// Tokens that are being stored.
    pub(crate) background: Arc<BackgroundTasks>,
    pub(crate) interceptors: Interceptors,
    pub(crate) body_logging: Option<BodyLogging>,
    #[cfg(feature = "contract")]
    pub(crate) response_validator: Option<crate::contract::ResponseValidator>,
}

impl ClientShared {
    /// Returns whether a call can wait for a store: the client's own, or the cache's.
    pub(crate) fn waits_for_store(&self) -> bool {
        self.store.is_some() || self.cache.as_ref().is_some_and(|cache| cache.has_store())
    }
}

impl ClientHandle {
    pub(crate) fn new(shared: ClientShared, identity: Identity) -> Arc<Self> {
        Self::from_parts(Arc::new(shared), identity, true)
    }

    /// Creates a handle that shares everything except the identity.
    pub(crate) fn with_identity(&self, identity: Identity) -> Arc<Self> {
        Self::from_parts(Arc::clone(&self.shared), identity, self.uses_gateway)
    }

    /// Creates a handle for another installation of the same App.
    pub(crate) fn installation(&self, installation: Installation) -> Result<Arc<Self>> {
        let identity = self.identity.installation(installation);
        identity.map(|identity| self.with_identity(identity)).ok_or_else(not_an_app)
    }

    /// Creates a handle for the App itself.
    pub(crate) fn as_app(&self) -> Result<Arc<Self>> {
        let identity = self.identity.as_app();
        identity.map(|identity| self.with_identity(identity)).ok_or_else(not_an_app)
    }

    /// Creates a handle without any token, for a provider of the gateway's tokens.
    pub(crate) fn without_tokens(&self) -> Arc<Self> {
        Self::from_parts(Arc::clone(&self.shared), Identity::default(), false)
    }

    fn from_parts(shared: Arc<ClientShared>, identity: Identity, uses_gateway: bool) -> Arc<Self> {
        Arc::new(Self {
            shared,
            identity,
            uses_gateway,
            admission_queue: OnceLock::new(),
            identity_label: OnceLock::new(),
            usage_account: OnceLock::new(),
            cache_identity: OnceLock::new(),
        })
    }

    /// Returns the name of the identity: see [`Client::identity`](crate::Client::identity).
    pub(crate) fn identity_name(&self) -> Cow<'_, str> {
        match self.identity.token_manager() {
            Some(token_manager) => token_manager.provider().identity(),
            None => Cow::Borrowed("anonymous"),
        }
    }

    /// Returns the gateway whose token the calls carry, if there is one.
    pub(crate) fn gateway(&self) -> Option<&Gateway> {
        self.shared.gateway.as_ref().filter(|_| self.uses_gateway)
    }

    /// Returns the label of this handle's identity in metrics.
    pub(crate) fn identity_label(&self) -> &'static str {
        self.identity_label.get_or_init(|| meter::identity(&self.rate_limit_identity()))
    }

    /// Returns the limits of this handle's identity.
    pub(crate) fn admission_queue(&self) -> &Arc<AdmissionQueue> {
        self.admission_queue.get_or_init(|| self.queue_of(&self.rate_limit_identity()))
    }

    /// Returns the limits of an identity at this client's server.
    pub(crate) fn queue_of(&self, identity: &str) -> Arc<AdmissionQueue> {
        self.shared.limits.queue(identity, self.shared.endpoints.api().as_str())
    }

    /// Returns the identity of this handle as the cache distinguishes it.
    pub(crate) fn cache_identity(&self) -> &Arc<CacheIdentity> {
        self.cache_identity.get_or_init(|| {
            let mut name = self.identity_name().into_owned();
            // A gateway can show different responses to its users.
            if let Some(gateway) = self.gateway() {
                name.push_str(&format!(" by {}", gateway.token_manager.provider().identity()));
            }
            let shared = &self.shared;
            Arc::new(CacheIdentity::new(name, shared.endpoints.api(), &shared.headers))
        })
    }

    /// Returns the usage of this handle's identity.
    pub(crate) fn usage_account(&self) -> &Arc<IdentityUsageState> {
        self.usage_account.get_or_init(|| self.shared.usage.account(&self.rate_limit_identity()))
    }

    /// Returns the usage that a call counts for: a request credential belongs to another identity.
    pub(crate) fn usage_account_for(
        &self,
        has_request_credential: bool,
    ) -> Cow<'_, Arc<IdentityUsageState>> {
        match has_request_credential {
            true => Cow::Owned(self.shared.usage.account("own")),
            false => Cow::Borrowed(self.usage_account()),
        }
    }

    /// Returns the identity that GitHub limits: an installation, whatever the restrictions of its tokens.
    pub(crate) fn rate_limit_identity(&self) -> Cow<'_, str> {
        match self.identity.token_manager() {
            Some(token_manager) => token_manager.provider().rate_limit_identity(),
            None => self.identity_name(),
        }
    }
}

impl fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &*self.shared;
        f.debug_struct("ClientHandle")
            .field("base_url", &shared.endpoints.api().as_str())
            .field("identity", &self.identity_name())
            .field("attempt_timeout", &shared.attempt_timeout)
            .field("call_timeout", &shared.call_timeout)
            .field("max_body_bytes", &shared.max_body_bytes)
            .finish_non_exhaustive()
    }
}

fn not_an_app() -> Error {
    AuthFailure::NotAnApp.error(
        "the client is not authenticated as a GitHub App and has no installations",
        "build it with App::new(…), or with one of the App's installations",
    )
}
