//! Time limits of a call and of each of its attempts.
//!
//! Time is tokio's, so that tests can pause it. This module does not decide the consequences of a timeout.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::time::clock::{self, saturating_after};

/// A time limit, which can be extended while it runs.
#[derive(Debug)]
pub(crate) struct Deadline {
    start: Instant,
    length: Duration,
    extension: Option<DeadlineExtension>,
    /// The excluded time when the limit began.
    idle_before: Duration,
    /// Milliseconds by which the limit was extended.
    extended_ms: AtomicU64,
}

/// The extensions of a time limit: the progress of an upload, from which the limit starts again, and excluded time, in
/// which nothing polls the call. Each call has its own.
#[derive(Clone, Debug)]
pub(crate) struct DeadlineExtension(Arc<ExtensionState>);

#[derive(Debug)]
struct ExtensionState {
    origin: Instant,
    /// The time of the last progress, in milliseconds from the origin.
    last_progress_ms: AtomicU64,
    /// The excluded time, in milliseconds.
    idle_ms: AtomicU64,
    polling: Mutex<PollingState>,
}

/// The side that polls the call, as far as it is known.
#[derive(Debug, Default)]
struct PollingState {
    /// A reader reports when it rests; without a reader, the time since the last poll is idle.
    has_reader: bool,
    /// The start of the reader's rest.
    resting_since: Option<Instant>,
    /// A task polls the call, so that no time is idle.
    is_detached: bool,
}

/// Longer than any call; an `Instant` cannot represent every `Duration`.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Deadline {
    /// Creates a limit that begins at `now`.
    pub(crate) fn new(
        now: Instant,
        length: Duration,
        extension: Option<&DeadlineExtension>,
    ) -> Self {
        Self {
            start: now,
            length: length.min(MAX_DURATION),
            extension: extension.cloned(),
            idle_before: extension.map_or(Duration::ZERO, DeadlineExtension::idle),
            extended_ms: AtomicU64::new(0),
        }
    }

    /// Extends the limit: this time did not count.
    pub(crate) fn extend(&self, time: Duration) {
        self.extended_ms.fetch_add(milliseconds(time), Ordering::Relaxed);
    }

    /// Returns the remaining time.
    pub(crate) fn remaining(&self) -> Duration {
        self.remaining_at(Instant::now())
    }

    /// Returns the time that remains at `now`.
    pub(crate) fn remaining_at(&self, now: Instant) -> Duration {
        self.expires_at().saturating_duration_since(now)
    }

    /// Returns the length, for error messages.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    fn expires_at(&self) -> Instant {
        let extended_by =
            Duration::from_millis(self.extended_ms.load(Ordering::Relaxed)).min(MAX_DURATION);
        let time = self.length.saturating_add(extended_by);
        let Some(extension) = &self.extension else { return saturating_after(self.start, time) };
        let start = self.start.max(extension.last_progress());
        saturating_after(
            start,
            time.saturating_add(
                extension.idle().saturating_sub(self.idle_before).min(MAX_DURATION),
            ),
        )
    }
}

impl DeadlineExtension {
    /// Creates the extension of a call that a reader polls, unless it [rests](Self::suspend).
    pub(crate) fn with_reader() -> Self {
        let extension = Self::default();
        extension.polling().has_reader = true;
        extension
    }

    /// Records that the reader polls nothing from here on, until it [resumes](Self::resume_polling).
    pub(crate) fn suspend(&self, now: Instant) {
        let mut polling = self.polling();
        if !polling.is_detached {
            polling.resting_since = Some(now);
        }
    }

    /// Records that the reader polls the call again. The time of its rest does not count.
    pub(crate) fn resume_polling(&self, now: Instant) {
        let mut polling = self.polling();
        if let Some(since) = polling.resting_since.take() {
            self.add(now.saturating_duration_since(since));
        }
    }

    /// Records that a task polls the call from here on. The time before, in which nothing did, does not count; `polled`
    /// is the time of the last poll.
    pub(crate) fn detach(&self, now: Instant, polled: Instant) {
        let mut polling = self.polling();
        let idle_since = match polling.resting_since.take() {
            None if !polling.has_reader => Some(polled),
            resting => resting,
        };
        polling.is_detached = true;
        if let Some(since) = idle_since {
            self.add(now.saturating_duration_since(since));
        }
    }

    /// Records that no task polls the call any longer.
    pub(crate) fn attach(&self) {
        self.polling().is_detached = false;
    }

    fn polling(&self) -> MutexGuard<'_, PollingState> {
        self.0.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds excluded time.
    fn add(&self, time: Duration) {
        self.0.idle_ms.fetch_add(milliseconds(time), Ordering::Relaxed);
    }

    /// Records progress of an upload.
    pub(crate) fn progress(&self) {
        let now = milliseconds(self.0.origin.elapsed());
        self.0.last_progress_ms.fetch_max(now, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        Duration::from_millis(self.0.idle_ms.load(Ordering::Relaxed))
    }

    fn last_progress(&self) -> Instant {
        saturating_after(
            self.0.origin,
            Duration::from_millis(self.0.last_progress_ms.load(Ordering::Relaxed)),
        )
    }
}

impl Default for DeadlineExtension {
    fn default() -> Self {
        let (progress, idle) = (AtomicU64::new(0), AtomicU64::new(0));
        let (origin, polling) = (Instant::now(), Mutex::default());
        Self(Arc::new(ExtensionState {
            origin,
            last_progress_ms: progress,
            idle_ms: idle,
            polling,
        }))
    }
}

/// Runs the future until it completes or one of the limits is reached, and then returns which one.
///
/// One timer serves all limits; it is checked again when it fires, in case its limit was extended.
pub(crate) async fn with_deadline<F: Future>(
    limits: [&Deadline; 2],
    future: F,
) -> Result<F::Output, &Deadline> {
    let mut future = pin!(future);
    loop {
        let [one, other] = limits.map(Deadline::expires_at);
        let (first, due) = if one <= other { (limits[0], one) } else { (limits[1], other) };
        match timeout_at(due, future.as_mut()).await {
            Ok(output) => return Ok(output),
            Err(_) if first.expires_at() > due => {}
            Err(_) => return Err(first),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    // Half of the range, so that two of them can be added.
    clock::millis(time).min(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    fn deadline(length: Duration, extension: Option<&DeadlineExtension>) -> Deadline {
        Deadline::new(Instant::now(), length, extension)
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_that_ends_first_is_named() {
        let (short, long) = (deadline(SECOND, None), deadline(2 * SECOND, None));
        let late = with_deadline([&long, &short], sleep(3 * SECOND)).await.unwrap_err();
        assert_eq!(late.length(), SECOND);
        assert!(with_deadline([&long, &short], async {}).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_extension_given_meanwhile_moves_the_deadline() {
        let extension = DeadlineExtension::default();
        extension.add(50 * SECOND); // before the limit began: no concern of it
        let limit = deadline(SECOND, Some(&extension));
        extension.add(5 * SECOND);
        assert!(with_deadline([&limit, &limit], sleep(4 * SECOND)).await.is_ok());
        assert!(with_deadline([&limit, &limit], sleep(4 * SECOND)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_restarts_a_timeout_however_old_its_extension_is() {
        let extension = DeadlineExtension::default();
        sleep(50 * SECOND).await;
        extension.progress();
        sleep(50 * SECOND).await;
        let limit = deadline(10 * SECOND, Some(&extension));
        sleep(5 * SECOND).await;
        extension.progress();
        assert!(with_deadline([&limit, &limit], sleep(9 * SECOND)).await.is_ok());
        assert!(with_deadline([&limit, &limit], sleep(2 * SECOND)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_is_no_overflow() {
        let limit = deadline(Duration::MAX, None);
        assert!(with_deadline([&limit, &limit], sleep(SECOND)).await.is_ok());
    }
}
