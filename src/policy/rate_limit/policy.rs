//! The settings of rate limits.

use std::time::Duration;

/// How the client observes GitHub's
/// [rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
///
/// ```
/// use std::time::Duration;
/// use octowire::Client;
/// use octowire::rate_limit::{LimitAction, SecondaryLimits, RateLimitPolicy};
///
/// # fn example() -> octowire::Result<()> {
/// let limits = RateLimitPolicy::default()
///     .on_limit(LimitAction::Wait { max: Duration::from_secs(600) })
///     .reserve_fraction(0.1)
///     .secondary_limits(SecondaryLimits::default().min_write_interval(Duration::ZERO));
/// let client = Client::builder().rate_limits(limits).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a client"]
pub struct RateLimitPolicy {
    pub(crate) on_limit: LimitAction,
    pub(crate) reserve_fraction: f64,
    pub(crate) spread_evenly: bool,
    pub(crate) max_queued: usize,
    pub(crate) secondary_limits: SecondaryLimits,
}

/// How the client handles a call that would exceed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitAction {
    /// The call waits until the limit admits it. If that is later than this, it fails at once, with the time at which
    /// it can be retried.
    Wait {
        /// The longest wait.
        max: Duration,
    },
    /// The call fails rather than waits, with the time at which it can be retried, if that is known. It still waits, up
    /// to a second, for a free place among the calls in flight and for the second between two writes.
    FailFast,
}

/// How fast the client sends, to stay within GitHub's
/// [secondary rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits),
/// which no header reports.
///
/// Each number applies to one identity, such as an installation or a user. They are GitHub's published ones; a GitHub
/// Enterprise Server without rate limits needs [`SecondaryLimits::disabled`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a client"]
pub struct SecondaryLimits {
    pub(crate) max_concurrent: Option<u32>,
    pub(crate) points_per_minute: Option<u32>,
    pub(crate) graphql_points_per_minute: Option<u32>,
    pub(crate) content_per_minute: Option<u32>,
    pub(crate) content_per_hour: Option<u32>,
    pub(crate) min_write_interval: Duration,
}

/// GitHub's primary limit lasts an hour, and GitHub can reject a call at its end once more.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(70 * 60);
const SECOND: Duration = Duration::from_secs(1);

impl Default for RateLimitPolicy {
    fn default() -> Self {
        Self {
            on_limit: LimitAction::Wait { max: DEFAULT_MAX_WAIT },
            reserve_fraction: 0.0,
            spread_evenly: false,
            max_queued: 10_000,
            secondary_limits: SecondaryLimits::default(),
        }
    }
}

impl RateLimitPolicy {
    /// Sets no limits of the client's own: no call is paced, and no call waits. If GitHub has reported that no requests
    /// remain or has requested a pause, calls fail without being sent.
    pub fn disabled() -> Self {
        Self {
            on_limit: LimitAction::FailFast,
            secondary_limits: SecondaryLimits::disabled(),
            ..Self::default()
        }
    }

    /// Returns the number of calls that probe an unknown primary limit.
    pub(crate) fn unknown_limit_probes(&self) -> u64 {
        match self.on_limit {
            LimitAction::Wait { .. } => 10,
            // The other calls would fail.
            LimitAction::FailFast => u64::MAX,
        }
    }

    /// Sets how the client handles a call that would exceed a limit: by default it waits for 70 minutes at most;
    /// GitHub's primary limit lasts an hour. The wait does not count towards the client's timeouts, but it counts
    /// towards a timeout that is set on the call itself.
    pub fn on_limit(mut self, on_limit: LimitAction) -> Self {
        self.on_limit = on_limit;
        self
    }

    /// Sets the part of each primary limit that is reserved for other users of the same identity, from 0 (the default)
    /// to 1: with 0.1, calls wait when 500 of 5,000 requests remain.
    pub fn reserve_fraction(mut self, share: f64) -> Self {
        self.reserve_fraction = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self
    }

    /// Sets whether the remaining requests of a primary limit are spread evenly over the rest of its window. Off by
    /// default: calls are sent as soon as they are made, and wait when no requests remain.
    pub fn spread_evenly(mut self, spread: bool) -> Self {
        self.spread_evenly = spread;
        self
    }

    /// Sets how many calls of an identity can wait at the same time; 10,000 by default. One more fails at once, or
    /// takes the place of the last of the less urgent calls, which then fails.
    pub fn max_queued(mut self, calls: usize) -> Self {
        self.max_queued = calls;
        self
    }

    /// Sets how fast the client sends.
    pub fn secondary_limits(mut self, pacing: SecondaryLimits) -> Self {
        self.secondary_limits = pacing;
        self
    }
}

impl Default for SecondaryLimits {
    fn default() -> Self {
        Self {
            max_concurrent: Some(100),
            points_per_minute: Some(900),
            graphql_points_per_minute: Some(2_000),
            content_per_minute: Some(80),
            content_per_hour: Some(500),
            min_write_interval: SECOND,
        }
    }
}

impl SecondaryLimits {
    /// No pacing.
    pub fn disabled() -> Self {
        Self {
            max_concurrent: None,
            points_per_minute: None,
            graphql_points_per_minute: None,
            content_per_minute: None,
            content_per_hour: None,
            min_write_interval: Duration::ZERO,
        }
    }

    /// Sets how many requests can be in flight at the same time, of REST and GraphQL together. The default is 100, the
    /// minimum 1. Clients that share a [store](crate::ClientBuilder::store) reserve a twentieth of them, and at least
    /// one if two are allowed, for a client that starts.
    pub fn max_concurrent(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.max_concurrent = at_least(requests.into(), 1);
        self
    }

    /// Sets how many points REST requests can cost in a minute: `GET`, `HEAD` and `OPTIONS` cost one, others five. 900
    /// by default, at least 5.
    pub fn points_per_minute(mut self, points: impl Into<Option<u32>>) -> Self {
        self.points_per_minute = at_least(points.into(), 5);
        self
    }

    /// Sets how many points GraphQL requests can cost in a minute: queries cost one, mutations five. 2,000 by default,
    /// at least 5.
    pub fn graphql_points_per_minute(mut self, points: impl Into<Option<u32>>) -> Self {
        self.graphql_points_per_minute = at_least(points.into(), 5);
        self
    }

    /// Sets how many requests can create content in a minute; 80 by default, at least 1. See
    /// [`Operation::creates_content`](crate::Operation::creates_content).
    pub fn content_per_minute(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.content_per_minute = at_least(requests.into(), 1);
        self
    }

    /// Sets how many requests can create content in an hour; 500 by default.
    pub fn content_per_hour(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.content_per_hour = at_least(requests.into(), 1);
        self
    }

    /// Sets the time between two writes to resources of the same user or organization; a second by default, a minute at
    /// most. Zero switches it off.
    ///
    /// GitHub
    /// [advises](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#pause-between-mutative-requests)
    /// a second between any two writes. Writes to different owners, to paths without an owner, and GraphQL mutations
    /// are bounded only by points and content here.
    pub fn min_write_interval(mut self, time: Duration) -> Self {
        self.min_write_interval = time.min(60 * SECOND);
        self
    }
}

/// Returns the number, at least `least`: a smaller one would admit no call.
fn at_least(number: Option<u32>, least: u32) -> Option<u32> {
    number.map(|number| number.max(least))
}
