//! A GitHub App, which signs JWTs to request the tokens of its installations.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use http::HeaderMap;
use http::header::DATE;
use tokio::time::Instant;
use tracing::warn;

use super::installation::{AppInstallation, Installation};
use super::provider::{Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest};
use super::token::AccessToken;
use crate::error::Result;
use crate::util::http_date;

mod jwt;
#[cfg(feature = "github-app")]
mod key;
mod signer;

pub use signer::{AppSigner, SignatureFuture};

/// A GitHub App with the keys that sign its JWTs.
///
/// As a token provider it authenticates [as the App
/// itself](https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app),
/// with a JWT that is valid for nine minutes. Most calls are made [as an installation](App::installation).
///
/// If the local clock is wrong, the App corrects it by the `Date` of GitHub's response after a rejection.
///
/// ```no_run
/// # fn example(private_key: String) -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::auth::App;
///
/// let app = App::new("Iv23liABCDEF", private_key)?;
/// let github = Client::builder().auth(app.installation(42)).build()?;
/// # let _ = github;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App {
    issuer: Arc<str>,
    /// The prefix of identities, such as `PROD/`; can be empty.
    environment: Arc<str>,
    signers: Vec<Arc<dyn AppSigner>>,
    state: Arc<State>,
}

/// State learned from GitHub's rejections; shared by the clones of an App.
#[derive(Default)]
struct State {
    /// The index of the current signer, and the index of the signer of the last JWT.
    active: AtomicUsize,
    last_signed: AtomicUsize,
    /// Seconds by which GitHub's clock is ahead of the local clock.
    clock_offset: AtomicI64,
    rotation: Mutex<KeyRotation>,
}

#[derive(Default)]
struct KeyRotation {
    clock_corrected_at: Option<Instant>,
    /// The time of the switch to an older key.
    key_changed_at: Option<Instant>,
    /// The time of the first rejected key, and the number of rejections since then.
    rejected_cycle: Option<(Instant, usize)>,
}

/// The minimum interval between clock corrections, and the smallest correction.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);
const CLOCK_TOLERANCE: u64 = 2;
/// The duration for which an older key is used, before the newest is tried again.
const KEY_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Each key is tried once in this interval, so that an App does not flood GitHub if all keys are rejected.
const KEY_CYCLE_INTERVAL: Duration = Duration::from_secs(60);

impl App {
    /// Creates an App with its private key.
    ///
    /// `id` is the App's client id, which GitHub recommends, or its App id; both are on the App's settings page.
    /// `private_key` is the PEM file that GitHub
    /// [generates](https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/managing-private-keys-for-github-apps)
    /// there, in PKCS#1 or PKCS#8. Common changes by environment variables are accepted: line breaks written as `\n` or
    /// turned into spaces, indentation, quotes, CRLF, a byte order mark, or Base64 of the whole file.
    ///
    /// # Errors
    /// If the id is empty, or if the key is not usable for RS256: the error names the format that was found.
    #[cfg(feature = "github-app")]
    #[cfg_attr(docsrs, doc(cfg(feature = "github-app")))]
    pub fn new(id: impl Display, private_key: impl Into<secrecy::SecretString>) -> Result<Self> {
        Self::with_signer(id, key::PrivateKey::read(&private_key.into())?)
    }

    /// Creates an App with the private key in this file, of 1 MiB at most. The modification time of the file is the key's
    /// creation time.
    ///
    /// # Errors
    /// As for [`new`](Self::new), and if the file cannot be read.
    #[cfg(feature = "github-app")]
    #[cfg_attr(docsrs, doc(cfg(feature = "github-app")))]
    pub fn from_key_file(id: impl Display, path: impl AsRef<std::path::Path>) -> Result<Self> {
        Self::from_key_file_of(&super::environment::ProcessEnvironment, id, path.as_ref())
    }

    /// Creates an App with the private key in this file of an environment.
    #[cfg(feature = "github-app")]
    pub(super) fn from_key_file_of(
        environment: &dyn super::environment::Environment,
        id: impl Display,
        path: &std::path::Path,
    ) -> Result<Self> {
        Self::with_signer(id, key::PrivateKey::read_file(environment, path)?)
    }

    /// Creates an App whose key is kept outside of the process, in a KMS or an HSM.
    ///
    /// # Errors
    /// If the id is empty, or looks like another value, such as a token or a private key.
    pub fn with_signer(id: impl Display, signer: impl AppSigner) -> Result<Self> {
        let issuer = id.to_string();
        let issuer = issuer.trim();
        super::application_id::check("App's id", issuer, |_| false)?;
        let signers: Vec<Arc<dyn AppSigner>> = vec![Arc::new(signer)];
        let environment = Arc::from("");
        Ok(Self { issuer: issuer.into(), environment, signers, state: Arc::default() })
    }

    /// Adds an older key, for the time of a rotation: the App signs with the first key, and with this one if GitHub
    /// does not accept the first yet. After an hour, the App tries the first key again.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    #[cfg(feature = "github-app")]
    #[cfg_attr(docsrs, doc(cfg(feature = "github-app")))]
    pub fn with_previous_key(self, private_key: impl Into<secrecy::SecretString>) -> Result<Self> {
        Ok(self.with_previous_signer(key::PrivateKey::read(&private_key.into())?))
    }

    /// Adds an older signer; see [`with_previous_key`](Self::with_previous_key).
    #[must_use]
    pub fn with_previous_signer(mut self, signer: impl AppSigner) -> Self {
        self.signers.push(Arc::new(signer));
        self
    }

    /// Returns a token provider for one of the App's installations.
    ///
    /// A number is an installation id; [`Installation`] selects an installation in other ways, and restricts the access
    /// of its tokens. To call several installations, build the client with one of them or with the App, and create the
    /// others with [`Client::installation`](crate::Client::installation).
    #[must_use]
    pub fn installation(&self, installation: impl Into<Installation>) -> AppInstallation {
        let installation: Installation = installation.into();
        let identity = installation.identity(self).into();
        AppInstallation::new(Arc::new(self.clone()), installation, identity)
    }

    /// Returns the same App, whose identities begin with the name of an environment.
    pub(super) fn in_environment(mut self, environment: &str) -> Self {
        self.environment = format!("{environment}/").into();
        self
    }

    pub(super) fn environment(&self) -> &str {
        &self.environment
    }

    /// Returns the client id or App id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.issuer
    }

    fn active(&self) -> usize {
        self.state.active.load(Ordering::Relaxed).min(self.signers.len().saturating_sub(1))
    }

    /// Switches back to the newest key after an hour.
    fn retry_newest_key(&self) {
        let changed = self.state.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.key_changed_at.is_some_and(|at| at.elapsed() > KEY_INTERVAL) {
            self.state.active.store(0, Ordering::Relaxed);
        }
    }

    fn correct_clock(&self, headers: &HeaderMap) -> bool {
        let Some(ahead) = clock_offset(headers) else { return false };
        let mut changed = self.state.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.state.clock_offset.load(Ordering::Relaxed);
        let lately = changed.clock_corrected_at.is_some_and(|at| at.elapsed() < CLOCK_INTERVAL);
        if lately || ahead.abs_diff(known) <= CLOCK_TOLERANCE {
            return false;
        }
        warn!(github_ahead_secs = ahead, "local clock differs from GitHub's; JWT times adjusted");
        changed.clock_corrected_at = Some(Instant::now());
        self.state.clock_offset.store(ahead, Ordering::Relaxed);
        true
    }

    /// Switches to the next key after a rejection, and from the last key to the newest. Once each key has been tried,
    /// no key is tried again for a while.
    fn next_key(&self) -> bool {
        let mut changed = self.state.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (began, tried) = match changed.rejected_cycle {
            Some((began, tried)) if now.saturating_duration_since(began) < KEY_CYCLE_INTERVAL => {
                (began, tried.saturating_add(1))
            }
            _ => (now, 1),
        };
        changed.rejected_cycle = Some((began, tried));
        // The newest key follows the last one.
        let next = self.state.last_signed.load(Ordering::Relaxed).saturating_add(1);
        let next = if next < self.signers.len() { next } else { 0 };
        self.state.active.store(next, Ordering::Relaxed);
        changed.key_changed_at = (next > 0).then_some(now);
        if tried >= self.signers.len() {
            return false;
        }
        warn!(key = next, "App key rejected by GitHub; trying the next key");
        true
    }
}

impl TokenProvider for App {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(async move {
            self.retry_newest_key();
            let active = self.active();
            self.state.last_signed.store(active, Ordering::Relaxed);
            let signer = &self.signers[active];
            let skew = self.state.clock_offset.load(Ordering::Relaxed);
            let jwt = jwt::sign(&self.issuer, skew, &**signer).await?;
            Ok(AccessToken::new(jwt)?.expires_in(jwt::LIFETIME))
        })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}app:{}", self.environment, self.issuer))
    }

    fn on_rejected(&self, rejection: &Rejection<'_>) -> RejectionAction {
        if rejection.failure_details.is_about_time {
            let corrected = self.correct_clock(rejection.headers);
            return if corrected { RejectionAction::RefreshNow } else { RejectionAction::Fail };
        }
        if self.next_key() { RejectionAction::RefreshNow } else { RejectionAction::Fail }
    }

    fn credential_created_at(&self) -> Option<SystemTime> {
        self.signers[self.active()].created_at()
    }

    fn app(&self) -> Option<&App> {
        Some(self)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.issuer).field("signers", &self.signers).finish()
    }
}

/// Returns the seconds by which the response's `Date` is ahead of the local clock.
fn clock_offset(headers: &HeaderMap) -> Option<i64> {
    let seconds = |time: SystemTime| DateTime::<chrono::Utc>::from(time).timestamp();
    let date = http_date::parse(headers.get(DATE)?.as_bytes())?;
    Some(seconds(date).saturating_sub(seconds(SystemTime::now())))
}
