//! An installation of a GitHub App: how it is selected, and how its tokens are requested.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::app::App;
use super::provider::{
    Persistence, Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest,
};
use super::token::AccessToken;
use super::transport::{self, AuthBody, AuthCall, AuthTarget, AuthTransport};
use crate::api::integers::{IntoInteger, InvalidInteger};
use crate::error::auth::AuthFailure;
use crate::error::{Error, FailureReason, Result};
use crate::headers::server_time;
use crate::response::{RawResponse, Response};

/// An installation, and the restrictions of its tokens.
///
/// ```
/// use octowire::auth::Installation;
/// use octowire::auth::PermissionLevel::{Read, Write};
///
/// let one = Installation::id(42);
/// let narrow = Installation::for_repo("octo-org", "hello-world")
///     .repositories(["hello-world"])
///     .permissions([("issues", Write), ("contents", Read)]);
/// # let _ = (one, narrow);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing before it is given to an App or a client"]
pub struct Installation {
    target: Target,
    /// `None` if there are none, as for most installations.
    restrictions: Option<Box<Restrictions>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Id(u64),
    Org(Box<str>),
    User(Box<str>),
    /// The owner and the name.
    Repo(Box<[String; 2]>),
}

/// The restrictions of tokens, as GitHub receives them; at least one of the fields is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Restrictions {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    repositories: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    repository_ids: BTreeSet<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    permissions: BTreeMap<String, String>,
    /// The first invalid id or restriction that the caller supplied; `None` if all are valid.
    #[serde(skip)]
    invalid: Option<InvalidSelection>,
}

/// A selection for which no token is requested: without the invalid part, a token would be valid for more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InvalidSelection {
    reason: String,
    advice: &'static str,
}

/// The restrictions of a token that has none.
static UNRESTRICTED: Restrictions = Restrictions {
    repositories: BTreeSet::new(),
    repository_ids: BTreeSet::new(),
    permissions: BTreeMap::new(),
    invalid: None,
};

const ID_ADVICE: &str = "use the id from a webhook payload or a GitHub response";
const EMPTY_ADVICE: &str =
    "name at least one; for tokens without this restriction, do not call the method";

impl Installation {
    /// Selects the installation by its id, which webhooks and the App's pages contain: any [integer](IntoInteger), such
    /// as the result of
    /// [`Event::installation`](https://docs.rs/octowire/latest/octowire/webhooks/enum.Event.html#method.installation),
    /// or text.
    ///
    /// If the id is negative or not an integer, a token request fails with [`AuthFailure::Malformed`] before anything
    /// is sent.
    pub fn id(id: impl IntoInteger) -> Self {
        match parse_id(id) {
            Ok(id) => Self::new(Target::Id(id)),
            Err(reason) => Self::new(Target::Id(0))
                .with_invalid(format!("invalid installation id: {reason}"), ID_ADVICE),
        }
    }

    /// Selects the installation [of an
    /// organization](https://docs.github.com/en/rest/apps/apps#get-an-organization-installation-for-the-authenticated-app);
    /// the client looks it up on first use.
    pub fn for_org(org: impl Into<String>) -> Self {
        Self::new(Target::Org(Into::<String>::into(org).into()))
    }

    /// Selects the installation [of a
    /// user](https://docs.github.com/en/rest/apps/apps#get-a-user-installation-for-the-authenticated-app); the client
    /// looks it up on first use.
    pub fn for_user(user: impl Into<String>) -> Self {
        Self::new(Target::User(Into::<String>::into(user).into()))
    }

    /// Selects the installation that has access to a repository, **without restricting its tokens to the repository**.
    ///
    /// They have access to all repositories of the installation, with all its permissions, unless
    /// [`repositories`](Self::repositories) and [`permissions`](Self::permissions) restrict them. The client [looks the
    /// installation
    /// up](https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app) on first
    /// use.
    ///
    /// ```
    /// use octowire::auth::Installation;
    /// use octowire::auth::PermissionLevel::Read;
    ///
    /// // A token for this repository alone, and only to read its files.
    /// let narrow = Installation::for_repo("octo-org", "hello-world")
    ///     .repositories(["hello-world"])
    ///     .permissions([("contents", Read)]);
    /// # let _ = narrow;
    /// ```
    pub fn for_repo(owner: impl Into<String>, repo: impl Into<String>) -> Self {
        Self::new(Target::Repo(Box::new([owner.into(), repo.into()])))
    }

    /// Restricts the tokens to these repositories, by name without the owner; GitHub accepts 500 at most. By default
    /// they have access to all repositories of the installation.
    ///
    /// If the list is empty, a token request fails with [`AuthFailure::Malformed`] before anything is sent: GitHub would
    /// issue a token without this restriction.
    pub fn repositories<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        let mut names = names.into_iter().peekable();
        if names.peek().is_none() {
            return self.with_empty("repositories");
        }
        self.restrictions_mut().repositories.extend(names.map(Into::<String>::into));
        self
    }

    /// Restricts the tokens to these repositories, by id; GitHub accepts 500 at most.
    ///
    /// If an id is negative or not an integer, or the list is empty, a token request fails with
    /// [`AuthFailure::Malformed`] before anything is sent.
    pub fn repository_ids(mut self, ids: impl IntoIterator<Item: IntoInteger>) -> Self {
        let mut ids = ids.into_iter().peekable();
        if ids.peek().is_none() {
            return self.with_empty("repository ids");
        }
        for id in ids {
            match parse_id(id) {
                Ok(id) => {
                    self.restrictions_mut().repository_ids.insert(id);
                }
                Err(reason) => {
                    self = self.with_invalid(format!("invalid repository id: {reason}"), ID_ADVICE);
                }
            }
        }
        self
    }

    /// Restricts the tokens to this permission, and to others that are added in the same way, with its level: a
    /// [`PermissionLevel`](super::PermissionLevel) or text. See GitHub's
    /// [list](https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app). By default
    /// they have all permissions of the installation.
    pub fn permission(mut self, name: impl Into<String>, level: impl Into<String>) -> Self {
        self.restrictions_mut().permissions.insert(name.into(), level.into());
        self
    }

    /// Restricts the tokens to these permissions, each with its level, as [`permission`](Self::permission) does.
    ///
    /// If the list is empty, a token request fails with [`AuthFailure::Malformed`] before anything is sent: GitHub would
    /// issue a token with all permissions.
    pub fn permissions<N: Into<String>, L: Into<String>>(
        self,
        permissions: impl IntoIterator<Item = (N, L)>,
    ) -> Self {
        let mut permissions = permissions.into_iter().peekable();
        if permissions.peek().is_none() {
            return self.with_empty("permissions");
        }
        permissions.fold(self, |selected, (name, level)| selected.permission(name, level))
    }

    /// Records an empty restriction, which GitHub would take for none.
    fn with_empty(self, what: &str) -> Self {
        self.with_invalid(format!("the list of {what} of the tokens is empty"), EMPTY_ADVICE)
    }

    /// Records an invalid selection, unless there is an earlier one.
    fn with_invalid(mut self, reason: String, advice: &'static str) -> Self {
        self.restrictions_mut().invalid.get_or_insert(InvalidSelection { reason, advice });
        self
    }

    fn new(target: Target) -> Self {
        Self { target, restrictions: None }
    }

    fn restrictions(&self) -> &Restrictions {
        self.restrictions.as_deref().unwrap_or(&UNRESTRICTED)
    }

    fn restrictions_mut(&mut self) -> &mut Restrictions {
        self.restrictions.get_or_insert_default()
    }

    /// Returns the identity: the same for equal selections, and different for more restricted ones.
    pub(crate) fn identity(&self, app: &App) -> String {
        let mut identity = match &self.target {
            Target::Id(id) => format!("{}installation:{id}", app.environment()),
            target => {
                let (environment, app) = (app.environment(), encoded(app.id()));
                format!("{environment}installation:{app}/{}", target.encoded())
            }
        };
        let mut add = |name: &str, parts: &mut dyn Iterator<Item = String>| {
            let parts: Vec<_> = parts.collect();
            if !parts.is_empty() {
                identity.push_str(&format!(";{name}={}", parts.join(",")));
            }
        };
        let Restrictions { repositories, repository_ids, permissions, invalid } =
            self.restrictions();
        add("repositories", &mut repositories.iter().map(|name| encoded(name)));
        add("repository_ids", &mut repository_ids.iter().map(u64::to_string));
        add(
            "permissions",
            &mut permissions
                .iter()
                .map(|(name, level)| format!("{}:{}", encoded(name), encoded(level))),
        );
        add("invalid", &mut invalid.iter().map(|invalid| encoded(&invalid.reason)));
        identity
    }
}

/// Escapes a name as a part of an identity, so that it contains no separator.
fn encoded(name: &str) -> String {
    utf8_percent_encode(name, ENCODED_PART).to_string()
}

/// All characters except those of names.
const ENCODED_PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

impl Target {
    fn encoded(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Org(org) => format!("orgs/{}", encoded(org)),
            Self::User(user) => format!("users/{}", encoded(user)),
            Self::Repo(names) => format!("repos/{}/{}", encoded(&names[0]), encoded(&names[1])),
        }
    }
}

/// Converts an id, which must not be negative.
fn parse_id(id: impl IntoInteger) -> std::result::Result<u64, InvalidInteger> {
    let id = id.into_integer()?;
    u64::try_from(id).map_err(|_| InvalidInteger::new(format!("{id} is negative")))
}

macro_rules! from_ids {
    ($($of:ty)*) => {$(
        impl From<$of> for Installation {
            fn from(id: $of) -> Self {
                Self::id(id)
            }
        }
    )*};
}

from_ids! { i32 i64 u32 u64 usize }

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Org(org) => write!(f, "orgs/{org}"),
            Self::User(user) => write!(f, "users/{user}"),
            Self::Repo(names) => write!(f, "repos/{}/{}", names[0], names[1]),
        }
    }
}

/// The token provider of an [`App`]'s installation; created by [`App::installation`].
///
/// A token is valid for one hour. For some seconds after it was issued, GitHub can reject it until all its servers know
/// it: calls wait and retry.
#[derive(Debug)]
pub struct AppInstallation {
    app: Arc<App>,
    installation: Installation,
    identity: Arc<str>,
    /// The id that the lookup returned.
    looked_up_id: Mutex<Option<u64>>,
}

/// The propagation delay: how long GitHub can reject a new token.
const PROPAGATION_DELAY: Duration = Duration::from_secs(8);

impl AppInstallation {
    /// Creates the provider of an installation with this [identity](Installation::identity).
    pub(super) fn new(app: Arc<App>, installation: Installation, identity: Arc<str>) -> Self {
        Self { app, installation, identity, looked_up_id: Mutex::new(None) }
    }

    async fn fetch(&self, client: &dyn AuthTransport) -> Result<AccessToken> {
        if let Some(invalid) = &self.installation.restrictions().invalid {
            return Err(AuthFailure::Malformed.error(invalid.reason.clone(), invalid.advice));
        }
        let client = client.as_app()?;
        let known = self.looked_up_id();
        let id = match known {
            Some(id) => id,
            None => self.look_up(&*client).await?,
        };
        match self.create(&*client, id).await {
            // The App was reinstalled since the lookup, and has another installation id.
            Err(error) if error.is_not_found() && self.needs_lookup() && known.is_some() => {
                self.forget_id();
                let id = self.look_up(&*client).await?;
                self.create(&*client, id).await.map_err(|error| self.explain(error))
            }
            outcome => outcome.map_err(|error| self.explain(error)),
        }
    }

    /// Requests a token: <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>.
    async fn create(&self, client: &dyn AuthTransport, id: u64) -> Result<AccessToken> {
        const NAME: &str = "apps/create-installation-access-token";
        let body = serde_json::to_vec(self.installation.restrictions()).map_err(|error| {
            AuthFailure::Other.error("request body serialization failed", "").with_source(error)
        })?;
        let path: &[_] = &["app", "installations", &id.to_string(), "access_tokens"];
        let body = AuthBody::Json(body.into());
        let target = AuthTarget::Api { method: Method::POST, path, body };
        let response = call_as_app::<TokenResponse>(client, NAME, target).await?;
        let lifetime = token_lifetime(response.expires_at, response.meta().headers());
        Ok(AccessToken::new(response.into_inner().token)?.expires_in(lifetime))
    }

    async fn look_up(&self, client: &dyn AuthTransport) -> Result<u64> {
        let (label, path): (_, &[&str]) = match &self.installation.target {
            Target::Id(id) => return Ok(*id),
            Target::Org(org) => ("apps/get-org-installation", &["orgs", org, "installation"]),
            Target::User(user) => ("apps/get-user-installation", &["users", user, "installation"]),
            Target::Repo(names) => {
                ("apps/get-repo-installation", &["repos", &names[0], &names[1], "installation"])
            }
        };
        let target = AuthTarget::Api { method: Method::GET, path, body: AuthBody::None };
        let response = call_as_app::<InstallationResponse>(client, label, target).await;
        let response = response.map_err(|error| self.explain(error))?;
        *self.looked_up_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(response.id);
        Ok(response.id)
    }

    fn needs_lookup(&self) -> bool {
        !matches!(self.installation.target, Target::Id(_))
    }

    fn looked_up_id(&self) -> Option<u64> {
        match self.installation.target {
            Target::Id(id) => Some(id),
            _ => *self.looked_up_id.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn forget_id(&self) {
        *self.looked_up_id.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Maps GitHub's response to the failure of the installation. The outer error has no status: a caller would take a
    /// 404 for that of its own call.
    fn explain(&self, error: Error) -> Error {
        let target = &self.installation.target;
        let reason = error.failure_details().reason;
        let (failure, what, advice) = match error.status() {
            Some(StatusCode::NOT_FOUND) => (
                AuthFailure::InstallationNotFound,
                format!("the App {} is not installed at {target}", self.app.id()),
                "check the id, whether the App was uninstalled, and whether the client's base_url \
                 is the GitHub that it is installed on",
            ),
            Some(StatusCode::FORBIDDEN) if reason == Some(FailureReason::InstallationSuspended) => {
                (
                    AuthFailure::InstallationSuspended,
                    format!("the installation {target} is suspended"),
                    "the owner of the account or of the App must unsuspend it on the installation's \
                 settings page",
                )
            }
            Some(StatusCode::UNPROCESSABLE_ENTITY) => (
                AuthFailure::NotGranted,
                format!(
                    "the installation {target} lacks the requested repositories or permissions"
                ),
                "request only repositories and permissions that were granted to it; see the source \
                 of this error",
            ),
            Some(StatusCode::UNAUTHORIZED) => (
                AuthFailure::AppRejected,
                format!("GitHub rejected the JWT of the App {}", self.app.id()),
                "check that the private key belongs to this App and was not deleted, and the \
                 machine's clock; see the source of this error for GitHub's message",
            ),
            // The caller also sees network failures.
            None => return error,
            Some(_) => (
                AuthFailure::Other,
                format!("GitHub issued no token for the installation {target}"),
                "see the source of this error",
            ),
        };
        let auth_error = failure
            .error(what, advice)
            .with_retryable(error.is_retryable())
            .with_rate_limited(error.is_rate_limited());
        let auth_error = match error.retry_after() {
            Some(time) => auth_error.with_retry_after(time),
            None => auth_error,
        };
        // A response that fails to decode might contain a token.
        auth_error.with_source(error.without_body())
    }
}

impl TokenProvider for AppInstallation {
    fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(self.fetch(request.client))
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.identity)
    }

    fn rate_limit_identity(&self) -> Cow<'_, str> {
        // GitHub counts an installation's requests together, whatever the permissions of their tokens.
        Cow::Borrowed(self.identity.split(';').next().unwrap_or_default())
    }

    fn on_rejected(&self, rejection: &Rejection<'_>) -> RejectionAction {
        // An endpoint for Apps rejects every installation access token.
        if rejection.failure_details.requires_jwt {
            return RejectionAction::Fail;
        }
        RejectionAction::Refresh
    }

    fn propagation_delay(&self) -> Duration {
        PROPAGATION_DELAY
    }

    fn persistence(&self) -> Persistence {
        Persistence::BestEffort
    }

    fn credential_created_at(&self) -> Option<SystemTime> {
        self.app.credential_created_at()
    }

    fn app(&self) -> Option<&App> {
        Some(&self.app)
    }
}

/// Sends a request of the App once.
async fn call_as_app<T: DeserializeOwned + Send>(
    client: &dyn AuthTransport,
    name: &'static str,
    target: AuthTarget<'_>,
) -> Result<Response<T>> {
    // The token manager retries; issuing a second token does no harm.
    let call = AuthCall { name, target, authorization: None, retries: false, is_idempotent: false };
    transport::send(client, call, RawResponse::json::<T>).await
}

/// Returns the lifetime of a token by GitHub's clock, which is the response's `Date`.
fn token_lifetime(end: DateTime<Utc>, headers: &HeaderMap) -> Duration {
    let now = DateTime::<Utc>::from(server_time(headers));
    end.signed_duration_since(now).to_std().unwrap_or_default()
}

/// GitHub's response with a new token: the fields that are read.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TokenResponse {
    #[cfg_attr(test, schemars(with = "String"))]
    token: SecretString,
    #[cfg_attr(test, schemars(with = "String"))]
    expires_at: DateTime<Utc>,
}

/// GitHub's response for an installation: the fields that are read.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct InstallationResponse {
    id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::auth::{AppSigner, SignatureFuture};

    #[derive(Debug)]
    struct NoSigner;

    impl AppSigner for NoSigner {
        fn sign<'a>(&'a self, _: &'a [u8]) -> SignatureFuture<'a> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    #[test]
    fn no_name_makes_one_installation_look_like_another() {
        let app = App::with_signer("Iv23liABC", NoSigner).unwrap();
        let id = || Installation::id(42);
        let identities = [
            id(),
            id().repositories(["a,secret"]),
            id().repositories(["a", "secret"]),
            id().repositories(["a"]),
            id().repositories(["a"]).permission("issues", "write"),
            id().repositories(["a;permissions=issues:write"]),
            id().permission("issues", "write,metadata:read"),
            id().permission("issues", "write").permission("metadata", "read"),
            Installation::for_org("a/b"),
            Installation::for_repo("a", "b"),
            Installation::for_user("a"),
        ];
        let identities: BTreeSet<_> = identities.iter().map(|one| one.identity(&app)).collect();
        assert_eq!(identities.len(), 11, "{identities:?}");
        assert!(identities.contains("installation:42;repositories=a,secret"), "{identities:?}");
    }

    #[test]
    fn tokens_and_installations_are_read_as_they_are_documented() {
        use crate::testing::type_coverage::assert_reads;
        assert_reads::<TokenResponse>("apps/create-installation-access-token", 201);
        for of in ["org", "repo", "user"] {
            assert_reads::<InstallationResponse>(&format!("apps/get-{of}-installation"), 200);
        }
    }
}
