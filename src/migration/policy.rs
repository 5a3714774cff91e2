//! Settings for mirroring, rollbacks and the rollout.

use std::time::Duration;

/// How the non-serving side is called.
///
/// ```
/// use std::time::Duration;
/// use octowire::migration::{MirrorConfig, Migration};
///
/// # fn example() -> octowire::Result<()> {
/// # let old = |n: u32| async move { Ok::<_, String>(n) };
/// # let new = old;
/// let mirroring = MirrorConfig::default().timeout(Duration::from_secs(3)).concurrency(4);
/// let migration = Migration::builder(old, new).mirror(mirroring).build()?;
/// # let _ = migration;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a migration"]
pub struct MirrorConfig {
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) fallback: bool,
    pub(super) fallback_timeout: Option<Duration>,
}

/// When the new side no longer serves.
///
/// All thresholds are evaluated with each result, over a sliding window and all operations; the latencies
/// once a second. The result that exceeds a threshold rolls the stage back before its call returns, so the
/// next call is served accordingly. A mirrored call has a result once it is compared: at most
/// [`MirrorConfig::timeout`] after the served call ended, plus the time of the comparison.
///
/// After a rollback, the window restarts, and calls that began before count only for the report.
///
/// ```
/// use std::time::Duration;
/// use octowire::migration::RollbackPolicy;
///
/// let strict = RollbackPolicy::default().error_rate(0.001).mismatch_rate(0.0).window(Duration::from_secs(60));
/// # let _ = strict;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a migration"]
pub struct RollbackPolicy {
    pub(super) window: Duration,
    pub(super) min_samples: u64,
    pub(super) error_rate: Option<f64>,
    pub(super) mismatch_rate: Option<f64>,
    pub(super) latency_ratio: Option<f64>,
    pub(super) one_step_at_a_time: bool,
}

/// The steps in which keys are shifted, and whether the stage advances automatically.
///
/// An automatic stage advances to the next step when it has lasted for this [time](Self::automatic) without
/// failures, has enough comparisons ([`RollbackPolicy::min_samples`]; if nothing is mirrored, the results of the new
/// side count), and all of them are within the thresholds. It starts in
/// [`Stage::Mirror`](super::Stage::Mirror) and ends at the last step: [`Stage::Cutover`](super::Stage::Cutover) is
/// always set by the application. The stage is evaluated when a call begins or the stage is read, so no task
/// runs for it.
///
/// ```
/// use std::time::Duration;
/// use octowire::migration::RolloutSchedule;
///
/// let schedule = RolloutSchedule::automatic(Duration::from_secs(6 * 60 * 60)).steps([1.0, 10.0, 50.0, 100.0]);
/// # let _ = schedule;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a migration"]
pub struct RolloutSchedule {
    pub(super) steps: Vec<f64>,
    pub(super) automatic_after: Option<Duration>,
    pub(super) cooldown: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_STEPS: usize = 100;

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            concurrency: 16,
            fallback: true,
            fallback_timeout: None,
        }
    }
}

impl MirrorConfig {
    /// Sets the timeout of a mirrored call; 10 seconds by default, an hour at most. A call that takes longer
    /// is ended, and counts as failed.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time.min(HOUR);
        self
    }

    /// Sets the maximum number of calls that are mirrored or compared concurrently; 16 by default, from 1 to
    /// 1,000. Further calls are not mirrored, but counted. The same number bounds the results of both sides
    /// in memory.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.clamp(1, 1_000);
        self
    }

    /// Sets whether the legacy side is called if the new one serves a read and fails; on by default. The caller
    /// then gets the result of the legacy one. There is no fallback if the failure is a [valid
    /// result](super::Failure::expected), such as 404, for writes, and in [`Stage::Cutover`](super::Stage::Cutover).
    pub fn fallback(mut self, fallback: bool) -> Self {
        self.fallback = fallback;
        self
    }

    /// Sets the timeout of the new side for serving a read, after which it counts as failed and the legacy one
    /// is called; none by default, since clients have their own timeouts. It applies only if there is a
    /// [fallback](Self::fallback), and needs a tokio runtime with a clock.
    pub fn fallback_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.fallback_timeout = time.into();
        self
    }
}

impl Default for RollbackPolicy {
    fn default() -> Self {
        Self {
            window: MINUTE.saturating_mul(5),
            min_samples: 100,
            error_rate: Some(0.01),
            mismatch_rate: Some(0.01),
            latency_ratio: Some(2.0),
            one_step_at_a_time: false,
        }
    }
}

impl RollbackPolicy {
    /// Disables automatic rollbacks.
    pub fn disabled() -> Self {
        Self { error_rate: None, mismatch_rate: None, latency_ratio: None, ..Self::default() }
    }

    /// Sets how long a result counts; 5 minutes by default, from a second to a day. The window has ten
    /// buckets, so a result can expire up to a tenth earlier.
    pub fn window(mut self, time: Duration) -> Self {
        self.window = time.clamp(Duration::from_secs(1), DAY);
        self
    }

    /// Sets the minimum number of results for a rate; 100 by default, at least 1. The error rate needs this
    /// number of results of the new side, the other rates this number of comparisons. A window with fewer
    /// results has no effect: choose both according to your traffic.
    pub fn min_samples(mut self, results: u64) -> Self {
        self.min_samples = results.max(1);
        self
    }

    /// Sets by how much the failure rate of the new side can exceed that of the legacy one, from 0 to 1; 0.01 by
    /// default, one percentage point. If the legacy side is not called, its rate is 0. `None` disables the
    /// check.
    ///
    /// A [valid result](super::Failure::expected), such as 404, is not a failure; timeouts, panics, and calls
    /// that their caller gives up are failures.
    pub fn error_rate(mut self, share: impl Into<Option<f64>>) -> Self {
        self.error_rate = share.into().map(|share| finite_or_zero(share, 0.0).clamp(0.0, 1.0));
        self
    }

    /// Sets the share of comparisons that can find a difference, from 0 to 1; 0.01 by default. `None`
    /// disables the check.
    pub fn mismatch_rate(mut self, share: impl Into<Option<f64>>) -> Self {
        self.mismatch_rate = share.into().map(|share| finite_or_zero(share, 0.0).clamp(0.0, 1.0));
        self
    }

    /// Sets the maximum ratio of the new side's 95th percentile latency to the legacy one's, for calls in which
    /// both succeeded, at least 1; 2 by default. Up to 10 ms more are always accepted. `None` disables the
    /// check.
    pub fn latency_ratio(mut self, ratio: impl Into<Option<f64>>) -> Self {
        self.latency_ratio = ratio.into().map(|ratio| finite_or_zero(ratio, 1.0).max(1.0));
        self
    }

    /// Rolls back by one step of the [`RolloutSchedule`], and from its first step to mirroring. By default, the stage
    /// rolls back to mirroring immediately, so that the faulty side serves no call. The mirrored share does
    /// not change: if it is 0, the new side is no longer called.
    pub fn one_step_at_a_time(mut self) -> Self {
        self.one_step_at_a_time = true;
        self
    }
}

impl Default for RolloutSchedule {
    /// Returns the steps 1, 5, 25, 50 and 100 %, none of them automatic.
    fn default() -> Self {
        Self { steps: vec![1.0, 5.0, 25.0, 50.0, 100.0], automatic_after: None, cooldown: HOUR }
    }
}

impl RolloutSchedule {
    /// Returns the same steps, each automatic after this time without failures.
    pub fn automatic(time: Duration) -> Self {
        Self { automatic_after: Some(time), ..Self::default() }
    }

    /// Sets the steps in percent, in any order; at most 100 of them. 1, 5, 25, 50 and 100 by default. Values
    /// outside of 0 (exclusive) to 100 are dropped.
    pub fn steps(mut self, percents: impl IntoIterator<Item = f64>) -> Self {
        let sound = |percent: &f64| *percent > 0.0 && *percent <= 100.0;
        self.steps = percents.into_iter().filter(sound).take(MAX_STEPS).collect();
        self.steps.sort_by(f64::total_cmp);
        self
    }

    /// Sets how long the stage does not advance automatically after a rollback; an hour by default. Each
    /// rollback doubles it, up to a day.
    pub fn cooldown(mut self, time: Duration) -> Self {
        self.cooldown = time.min(DAY);
        self
    }

    pub(super) fn next(&self, percent: f64) -> Option<f64> {
        self.steps.iter().copied().find(|step| *step > percent)
    }

    pub(super) fn previous(&self, percent: f64) -> Option<f64> {
        self.steps.iter().copied().rev().find(|step| *step < percent)
    }

    /// The time without automatic advances after this number of rollbacks.
    pub(super) fn pause(&self, step_backs: u32) -> Duration {
        let doubled = 1_u32.checked_shl(step_backs.saturating_sub(1)).unwrap_or(u32::MAX);
        self.cooldown.saturating_mul(doubled).min(DAY)
    }
}

fn finite_or_zero(number: f64, otherwise: f64) -> f64 {
    if number.is_finite() { number } else { otherwise }
}
