//! What a user may decide about the cache.

use std::time::Duration;

/// When a stored answer is given instead of asking GitHub.
///
/// It is set for a client ([`Cache::policy`](super::Cache::policy)), for an operation
/// ([`Cache::operation`](super::Cache::operation)) or for a call
/// ([`Request::cache`](crate::Request::cache)); the most particular one holds.
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// use std::time::Duration;
/// use http::Method;
/// use octowire::cache::CachePolicy;
///
/// let call = client.request(Method::GET, "/repos/rust-lang/rust");
/// let call = call.cache(CachePolicy::trust(Duration::from_secs(3600)));
/// let repo = call.send::<serde_json::Value>().await?;
/// println!("{:?}, {:?} old", repo.cache_status(), repo.age());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing before it is given to a cache or a call"]
pub struct CachePolicy {
    pub(crate) mode: Mode,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Bypass,
    Revalidate,
    Server,
    Trust(Duration),
    OnlyIfCached,
}

const MODERATE: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for CachePolicy {
    fn default() -> Self {
        Self::revalidate()
    }
}

impl CachePolicy {
    /// GitHub is asked each time whether what is stored is still current; if it is, its answer, a 304,
    /// [does not count](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate)
    /// against the primary rate limit. No answer is older than the call, or than an equal one that was
    /// under way when it was made, with no write of this process in between. The default.
    pub fn revalidate() -> Self {
        Self::of(Mode::Revalidate)
    }

    /// What is stored is given for as long as GitHub's `Cache-Control` and `Expires` say, by
    /// [RFC 9111](https://www.rfc-editor.org/rfc/rfc9111), which is a minute for most operations;
    /// then as [`revalidate`](Self::revalidate).
    pub fn as_server_says() -> Self {
        Self::of(Mode::Server)
    }

    /// What is stored is given for this time since GitHub confirmed it last, whatever it says of how
    /// long it is good; then as [`revalidate`](Self::revalidate). What may not be stored
    /// (`no-store`) is not.
    pub fn trust(time: Duration) -> Self {
        Self::of(Mode::Trust(time))
    }

    /// [`trust`](Self::trust) for 300 seconds.
    pub fn moderate() -> Self {
        Self::trust(MODERATE)
    }

    /// [`trust`](Self::trust) for an hour, and for a day more while GitHub fails; for what hardly
    /// changes.
    pub fn aggressive() -> Self {
        Self::trust(HOUR).stale_if_error(DAY)
    }

    /// The cache is neither asked nor told.
    pub fn bypass() -> Self {
        Self::of(Mode::Bypass)
    }

    /// What is stored is given, however old it is, and nothing is sent. If nothing is stored, the call
    /// fails with [`ErrorKind::NotCached`](crate::ErrorKind::NotCached). So it does if the cache's store does not say
    /// in time what was [purged](super::CacheHandle::purge) since.
    pub fn only_if_cached() -> Self {
        Self::of(Mode::OnlyIfCached)
    }

    /// For this time after it ceased to be fresh, what is stored is given at once, and GitHub is asked
    /// behind the call's back; zero, so not at all, by default. GitHub's own
    /// [`stale-while-revalidate`](https://www.rfc-editor.org/rfc/rfc5861#section-3) holds as well where
    /// the policy is [`as_server_says`](Self::as_server_says). With
    /// [`revalidate`](Self::revalidate) it counts from when GitHub confirmed it last.
    pub fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.stale_while_revalidate = time;
        self
    }

    /// For this time after it ceased to be fresh, what is stored is given if GitHub can not be
    /// reached, answers 5xx, the [circuit](crate::CircuitBreaker) is open, or a
    /// [budget](crate::telemetry::usage::Budget) is spent; zero, so not at
    /// all, by default. [`CacheStatus::Stale`](super::CacheStatus::Stale) tells. What GitHub marks
    /// `must-revalidate` is not given.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.stale_if_error = time;
        self
    }

    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.mode == Mode::OnlyIfCached
    }

    /// Whether what is given may have to be asked for behind the call's back.
    pub(crate) fn may_refresh(&self) -> bool {
        self.mode == Mode::Server || !self.stale_while_revalidate.is_zero()
    }

    fn of(mode: Mode) -> Self {
        Self { mode, stale_while_revalidate: Duration::ZERO, stale_if_error: Duration::ZERO }
    }
}
