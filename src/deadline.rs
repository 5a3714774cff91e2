//! How long a call and each of its attempts may take.
//!
//! Time is tokio's, so that tests can pause it. What a late answer means is not decided here.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// A stretch of time from a beginning, which may be pushed on while it runs.
#[derive(Debug)]
pub(crate) struct Limit {
    start: Instant,
    length: Duration,
    slack: Option<Slack>,
    /// What the slack had already been given when the limit began.
    before: Duration,
}

/// Time that does not count: while an upload makes progress, or while nobody asks for the
/// pages that were fetched ahead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slack(Arc<AtomicU64>);

/// Longer than any call; an `Instant` can not hold every `Duration`.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Limit {
    pub(crate) fn new(length: Duration, slack: Option<&Slack>) -> Self {
        Self {
            start: Instant::now(),
            length: length.min(FOREVER),
            slack: slack.cloned(),
            before: slack.map_or(Duration::ZERO, Slack::total),
        }
    }

    /// The length, for messages.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    fn due(&self) -> Instant {
        let slack = self.slack.as_ref().map_or(Duration::ZERO, Slack::total);
        self.start + self.length + slack.saturating_sub(self.before).min(FOREVER)
    }
}

impl Slack {
    /// Adds a time that does not count.
    pub(crate) fn add(&self, time: Duration) {
        self.0.fetch_add(milliseconds(time), Ordering::Relaxed);
    }

    /// Says that nothing before this time, counted from the limit's beginning, counts.
    pub(crate) fn reach(&self, time: Duration) {
        self.0.fetch_max(milliseconds(time), Ordering::Relaxed);
    }

    fn total(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Runs the future until it is done or one of the limits is, and then says which.
///
/// One timer serves all limits; it is looked at again when it fires, in case its limit
/// was pushed on.
pub(crate) async fn within<F: Future>(limits: [&Limit; 2], future: F) -> Result<F::Output, &Limit> {
    let mut future = pin!(future);
    loop {
        let [one, other] = limits.map(Limit::due);
        let (first, due) = if one <= other { (limits[0], one) } else { (limits[1], other) };
        match timeout_at(due, future.as_mut()).await {
            Ok(output) => return Ok(output),
            Err(_) if first.due() > due => {}
            Err(_) => return Err(first),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_limit_that_ends_first_is_named() {
        let (short, long) = (Limit::new(SECOND, None), Limit::new(2 * SECOND, None));
        let late = within([&long, &short], sleep(3 * SECOND)).await.unwrap_err();
        assert_eq!(late.length(), SECOND);
        assert!(within([&long, &short], async {}).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn slack_given_meanwhile_pushes_the_limit_on() {
        let slack = Slack::default();
        slack.add(50 * SECOND); // before the limit began: no concern of it
        let limit = Limit::new(SECOND, Some(&slack));
        slack.add(5 * SECOND);
        assert!(within([&limit, &limit], sleep(4 * SECOND)).await.is_ok());
        assert!(within([&limit, &limit], sleep(4 * SECOND)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_is_no_overflow() {
        let limit = Limit::new(Duration::MAX, None);
        assert!(within([&limit, &limit], sleep(SECOND)).await.is_ok());
    }
}
