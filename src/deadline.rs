//! Time limits of a call and of each of its attempts.
//!
//! Time is tokio's, so that tests can pause it. This module does not decide the consequences of a timeout.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::clock::after;

/// A time limit, which can be extended while it runs.
#[derive(Debug)]
pub(crate) struct Limit {
    start: Instant,
    length: Duration,
    slack: Option<Slack>,
    /// The excluded time when the limit began.
    before: Duration,
    /// Milliseconds by which the limit was extended.
    put_off: AtomicU64,
}

/// The extensions of a time limit: the progress of an upload, from which the limit starts again, and excluded time, in
/// which nothing polls the call. Each call has its own.
#[derive(Clone, Debug)]
pub(crate) struct Slack(Arc<Pushes>);

#[derive(Debug)]
struct Pushes {
    origin: Instant,
    /// The time of the last progress, in milliseconds from the origin.
    progress: AtomicU64,
    /// The excluded time, in milliseconds.
    idle: AtomicU64,
    polling: Mutex<Polling>,
}

/// The side that polls the call, as far as it is known.
#[derive(Debug, Default)]
struct Polling {
    /// A reader reports when it rests; without a reader, the time since the last poll is idle.
    has_reader: bool,
    /// The start of the reader's rest.
    resting: Option<Instant>,
    /// A task polls the call, so that no time is idle.
    detached: bool,
}

/// Longer than any call; an `Instant` cannot represent every `Duration`.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Limit {
    pub(crate) fn new(length: Duration, slack: Option<&Slack>) -> Self {
        Self {
            start: Instant::now(),
            length: length.min(FOREVER),
            slack: slack.cloned(),
            before: slack.map_or(Duration::ZERO, Slack::idle),
            put_off: AtomicU64::new(0),
        }
    }

    /// Extends the limit: this time did not count.
    pub(crate) fn put_off(&self, time: Duration) {
        self.put_off.fetch_add(milliseconds(time), Ordering::Relaxed);
    }

    /// Returns the remaining time.
    pub(crate) fn left(&self) -> Duration {
        self.due().saturating_duration_since(Instant::now())
    }

    /// Returns the length, for error messages.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    fn due(&self) -> Instant {
        let put_off = Duration::from_millis(self.put_off.load(Ordering::Relaxed)).min(FOREVER);
        let time = self.length.saturating_add(put_off);
        let Some(slack) = &self.slack else { return after(self.start, time) };
        let start = self.start.max(slack.last_progress());
        after(start, time.saturating_add(slack.idle().saturating_sub(self.before).min(FOREVER)))
    }
}

impl Slack {
    /// Creates the slack of a call that a reader polls, unless it [rests](Self::rest).
    pub(crate) fn with_reader() -> Self {
        let slack = Self::default();
        slack.polling().has_reader = true;
        slack
    }

    /// Records that the reader polls nothing from here on, until it [resumes](Self::resume).
    pub(crate) fn rest(&self, now: Instant) {
        let mut polling = self.polling();
        if !polling.detached {
            polling.resting = Some(now);
        }
    }

    /// Records that the reader polls the call again. The time of its rest does not count.
    pub(crate) fn resume(&self, now: Instant) {
        let mut polling = self.polling();
        if let Some(since) = polling.resting.take() {
            self.add(now.saturating_duration_since(since));
        }
    }

    /// Records that a task polls the call from here on. The time before, in which nothing did, does not count; `polled`
    /// is the time of the last poll.
    pub(crate) fn detach(&self, now: Instant, polled: Instant) {
        let mut polling = self.polling();
        let idle_since = match polling.resting.take() {
            None if !polling.has_reader => Some(polled),
            resting => resting,
        };
        polling.detached = true;
        if let Some(since) = idle_since {
            self.add(now.saturating_duration_since(since));
        }
    }

    /// Records that no task polls the call any longer.
    pub(crate) fn attach(&self) {
        self.polling().detached = false;
    }

    fn polling(&self) -> MutexGuard<'_, Polling> {
        self.0.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds excluded time.
    fn add(&self, time: Duration) {
        self.0.idle.fetch_add(milliseconds(time), Ordering::Relaxed);
    }

    /// Records progress of an upload.
    pub(crate) fn progress(&self) {
        let now = milliseconds(self.0.origin.elapsed());
        self.0.progress.fetch_max(now, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        Duration::from_millis(self.0.idle.load(Ordering::Relaxed))
    }

    fn last_progress(&self) -> Instant {
        after(self.0.origin, Duration::from_millis(self.0.progress.load(Ordering::Relaxed)))
    }
}

impl Default for Slack {
    fn default() -> Self {
        let (progress, idle) = (AtomicU64::new(0), AtomicU64::new(0));
        let (origin, polling) = (Instant::now(), Mutex::default());
        Self(Arc::new(Pushes { origin, progress, idle, polling }))
    }
}

/// Runs the future until it completes or one of the limits is reached, and then returns which one.
///
/// One timer serves all limits; it is checked again when it fires, in case its limit was extended.
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
    async fn progress_begins_a_limit_anew_however_old_its_slack_is() {
        let slack = Slack::default();
        sleep(50 * SECOND).await;
        slack.progress();
        sleep(50 * SECOND).await;
        let limit = Limit::new(10 * SECOND, Some(&slack));
        sleep(5 * SECOND).await;
        slack.progress();
        assert!(within([&limit, &limit], sleep(9 * SECOND)).await.is_ok());
        assert!(within([&limit, &limit], sleep(2 * SECOND)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_is_no_overflow() {
        let limit = Limit::new(Duration::MAX, None);
        assert!(within([&limit, &limit], sleep(SECOND)).await.is_ok());
    }
}
