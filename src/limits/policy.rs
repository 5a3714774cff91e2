//! What a user may decide about limits.

use std::time::Duration;

/// How the client keeps inside GitHub's
/// [rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
///
/// ```
/// use std::time::Duration;
/// use octowire::Client;
/// use octowire::limits::{OnLimit, Pacing, RateLimits};
///
/// # fn example() -> octowire::Result<()> {
/// let limits = RateLimits::default()
///     .on_limit(OnLimit::Wait { at_most: Duration::from_secs(600) })
///     .reserve(0.1)
///     .pacing(Pacing::default().between_writes(Duration::ZERO));
/// let client = Client::builder().rate_limits(limits).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a client"]
pub struct RateLimits {
    pub(crate) on_limit: OnLimit,
    pub(crate) reserve: f64,
    pub(crate) spread: bool,
    pub(crate) queue: usize,
    pub(crate) pacing: Pacing,
}

/// What becomes of a call that would go over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLimit {
    /// It waits until the limit lets it through. If that is further away than this, it fails at
    /// once, with the time to come back at.
    Wait {
        /// The longest wait.
        at_most: Duration,
    },
    /// It fails rather than waits, with the time to come back at if that is known. A free place
    /// among the calls under way and the second between two writes are waited for, up to a second.
    FailFast,
}

/// How fast the client sends, to stay within GitHub's
/// [secondary rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits),
/// which no header tells.
///
/// Each number holds for one identity, such as an installation or a user. They are GitHub's
/// published ones; a GitHub Enterprise Server without rate limits needs [`Pacing::none`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a client"]
pub struct Pacing {
    pub(crate) concurrent: Option<u32>,
    pub(crate) points: Option<u32>,
    pub(crate) graphql_points: Option<u32>,
    pub(crate) content_a_minute: Option<u32>,
    pub(crate) content_an_hour: Option<u32>,
    pub(crate) between_writes: Duration,
}

/// GitHub's primary limit lasts an hour, and a call may be refused at its end once more.
const AT_MOST: Duration = Duration::from_secs(70 * 60);
const SECOND: Duration = Duration::from_secs(1);

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            on_limit: OnLimit::Wait { at_most: AT_MOST },
            reserve: 0.0,
            spread: false,
            queue: 10_000,
            pacing: Pacing::default(),
        }
    }
}

impl RateLimits {
    /// No limits of the client's own: nothing is paced, and nothing waits. Calls that GitHub has
    /// said it will refuse, since nothing is left or it asked for a pause, fail without being sent.
    pub fn none() -> Self {
        Self { on_limit: OnLimit::FailFast, pacing: Pacing::none(), ..Self::default() }
    }

    /// As many calls as find out about a primary limit that nothing is known of.
    pub(crate) fn scouts(&self) -> u64 {
        match self.on_limit {
            OnLimit::Wait { .. } => 10,
            // The others would fail.
            OnLimit::FailFast => u64::MAX,
        }
    }

    /// What becomes of a call that would go over a limit: by default it waits for 70 minutes at
    /// most; GitHub's primary limit lasts an hour. The wait does not count for the client's
    /// timeouts, but for a timeout that the call itself was given.
    pub fn on_limit(mut self, on_limit: OnLimit) -> Self {
        self.on_limit = on_limit;
        self
    }

    /// The part of each primary limit that is left for others who use the same identity, from 0
    /// (the default) to 1: with 0.1, calls wait when 500 of 5,000 requests are left.
    pub fn reserve(mut self, share: f64) -> Self {
        self.reserve = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self
    }

    /// Whether what is left of a primary limit is spread evenly over the time that is left. Off by
    /// default: calls are sent as soon as they are made, and wait when nothing is left.
    pub fn spread(mut self, spread: bool) -> Self {
        self.spread = spread;
        self
    }

    /// How many calls of an identity may wait at a time; 10,000 by default. One more fails at once, or
    /// takes the place of the last of those that are less urgent, which fails then.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }

    /// How fast the client sends.
    pub fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            concurrent: Some(100),
            points: Some(900),
            graphql_points: Some(2_000),
            content_a_minute: Some(80),
            content_an_hour: Some(500),
            between_writes: SECOND,
        }
    }
}

impl Pacing {
    /// No pacing.
    pub fn none() -> Self {
        Self {
            concurrent: None,
            points: None,
            graphql_points: None,
            content_a_minute: None,
            content_an_hour: None,
            between_writes: Duration::ZERO,
        }
    }

    /// How many requests may be under way at a time, of REST and GraphQL together; 100 by default,
    /// at least 1. Clients that share a [store](crate::ClientBuilder::store) leave a twentieth of them, and one at
    /// least if two are allowed, to a client that starts.
    pub fn concurrent(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.concurrent = at_least(requests.into(), 1);
        self
    }

    /// How many points REST requests may cost in a minute: `GET`, `HEAD` and `OPTIONS` one,
    /// others five. 900 by default, at least 5.
    pub fn points(mut self, points: impl Into<Option<u32>>) -> Self {
        self.points = at_least(points.into(), 5);
        self
    }

    /// How many points GraphQL requests may cost in a minute: queries one, mutations five. 2,000
    /// by default, at least 5.
    pub fn graphql_points(mut self, points: impl Into<Option<u32>>) -> Self {
        self.graphql_points = at_least(points.into(), 5);
        self
    }

    /// How many requests may create content in a minute; 80 by default, at least 1. See
    /// [`Operation::creates_content`](crate::Operation::creates_content).
    pub fn content_a_minute(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.content_a_minute = at_least(requests.into(), 1);
        self
    }

    /// The same in an hour; 500 by default.
    pub fn content_an_hour(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.content_an_hour = at_least(requests.into(), 1);
        self
    }

    /// The time between two writes to what the same user or organization owns; a second by default, a
    /// minute at most. Zero switches it off.
    ///
    /// GitHub [advises](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#pause-between-mutative-requests)
    /// a second between any two. Those to different owners, to what has no owner in its path, and
    /// GraphQL's mutations are only held back by points and content here.
    pub fn between_writes(mut self, time: Duration) -> Self {
        self.between_writes = time.min(60 * SECOND);
        self
    }
}

/// What is smaller would let no call through at all.
fn at_least(number: Option<u32>, least: u32) -> Option<u32> {
    number.map(|number| number.max(least))
}
