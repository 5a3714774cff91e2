//! The settings of the cache.

use std::time::Duration;

/// When the client returns a stored response without a request to GitHub.
///
/// It is set for a client ([`CacheConfig::default_policy`](super::CacheConfig::default_policy)), for an operation
/// ([`CacheConfig::policy_for`](super::CacheConfig::policy_for)) or for a call
/// ([`Request::cache`](crate::Request::cache)); the most particular one holds.
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// use std::time::Duration;
/// use http::Method;
/// use octowire::cache::CachePolicy;
///
/// let call = client.request(Method::GET, "/repos/rust-lang/rust");
/// let call = call.cache(CachePolicy::max_age(Duration::from_secs(3600)));
/// let repo = call.send::<serde_json::Value>().await?;
/// println!("{:?}, {:?} old", repo.meta().cache_status(), repo.meta().age());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing before it is given to a cache or a call"]
pub struct CachePolicy {
    pub(crate) mode: CacheMode,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheMode {
    NoStore,
    Revalidate,
    RespectServer,
    MaxAge(Duration),
    OnlyIfCached,
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for CachePolicy {
    fn default() -> Self {
        Self::revalidate()
    }
}

impl CachePolicy {
    /// Revalidates the stored response at each call. If it is still current, GitHub's response, a 304,
    /// [does not count](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate)
    /// against the primary rate limit. No response is older than the call, or than an equal call that was in flight
    /// when it was made, with no write of this process in between. The default.
    pub fn revalidate() -> Self {
        Self::effective(CacheMode::Revalidate)
    }

    /// Returns the stored response for the freshness lifetime in GitHub's `Cache-Control` and `Expires`, by
    /// [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111), which is a minute for most operations; after that, it acts
    /// as [`revalidate`](Self::revalidate).
    pub fn respect_server() -> Self {
        Self::effective(CacheMode::RespectServer)
    }

    /// Returns the stored response for this time after GitHub confirmed it last, whatever freshness lifetime GitHub
    /// states; after that, it acts as [`revalidate`](Self::revalidate). A response with `no-store` is not stored.
    pub fn max_age(time: Duration) -> Self {
        Self::effective(CacheMode::MaxAge(time))
    }

    /// [`max_age`](Self::max_age) for 300 seconds.
    pub fn five_minutes() -> Self {
        Self::max_age(FIVE_MINUTES)
    }

    /// [`max_age`](Self::max_age) for an hour, and for a day more while GitHub fails; for resources that rarely change.
    pub fn one_hour() -> Self {
        Self::max_age(HOUR).stale_if_error(DAY)
    }

    /// Neither reads the cache nor stores the response.
    pub fn no_store() -> Self {
        Self::effective(CacheMode::NoStore)
    }

    /// Returns the stored response, however old it is, and sends no request. If no response is stored, the call fails
    /// with [`ErrorKind::NotCached`](crate::ErrorKind::NotCached). It also fails if the cache's store does not report
    /// in time the entries that were [purged](crate::Cache::purge) since.
    pub fn only_if_cached() -> Self {
        Self::effective(CacheMode::OnlyIfCached)
    }

    /// Sets how long a stale response is returned at once while the client revalidates it in the background; zero, so
    /// not at all, by default. GitHub's own
    /// [`stale-while-revalidate`](https://www.rfc-editor.org/rfc/rfc5861#section-3) applies as well where the policy is
    /// [`respect_server`](Self::respect_server). With [`revalidate`](Self::revalidate), the time counts from GitHub's
    /// last confirmation.
    pub fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.stale_while_revalidate = time;
        self
    }

    /// Sets how long a stale response is returned if GitHub cannot be reached, responds with 5xx, the
    /// [circuit](crate::CircuitBreaker) is open, or a budget is spent; zero, so not
    /// at all, by default. [`CacheStatus::Stale`](super::CacheStatus::Stale) reports it. A response that GitHub marks
    /// `must-revalidate` is not returned.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.mode == CacheMode::OnlyIfCached
    }

    /// Returns whether a returned response can require a revalidation in the background.
    pub(crate) fn may_refresh(&self) -> bool {
        self.mode == CacheMode::RespectServer || !self.stale_while_revalidate.is_zero()
    }

    fn effective(mode: CacheMode) -> Self {
        Self { mode, stale_while_revalidate: Duration::ZERO, stale_if_error: Duration::ZERO }
    }
}
