//! What a user may decide about mirroring, stepping back and going on.

use std::time::Duration;

/// How the side that does not serve is called.
///
/// ```
/// use std::time::Duration;
/// use octowire::shadow::{Mirroring, Shadow};
///
/// # fn example() -> octowire::Result<()> {
/// # let old = |n: u32| async move { Ok::<_, String>(n) };
/// # let new = old;
/// let mirroring = Mirroring::default().timeout(Duration::from_secs(3)).concurrency(4);
/// let shadow = Shadow::builder(old, new).mirroring(mirroring).build()?;
/// # let _ = shadow;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a shadow"]
pub struct Mirroring {
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) fallback: bool,
    pub(super) serve_within: Option<Duration>,
}

/// When the new side is no longer trusted with what it serves.
///
/// All of it is looked at whenever a result comes, over a sliding window and all operations; the
/// latencies once a second. With the result that passes a threshold the stage goes back, before the call
/// that it belongs to returns: the next call is served accordingly. What a mirror finds is a result once
/// it is compared, at most [`Mirroring::timeout`] after the served call ended, and the time it takes to
/// compare.
///
/// After going back, the window begins anew, and what was begun before counts for the report alone.
///
/// ```
/// use std::time::Duration;
/// use octowire::shadow::StepBack;
///
/// let strict = StepBack::default().error_rate(0.001).mismatch_rate(0.0).window(Duration::from_secs(60));
/// # let _ = strict;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a shadow"]
pub struct StepBack {
    pub(super) window: Duration,
    pub(super) minimum: u64,
    pub(super) error_rate: Option<f64>,
    pub(super) mismatch_rate: Option<f64>,
    pub(super) latency_ratio: Option<f64>,
    pub(super) one_step: bool,
}

/// The steps in which keys are shifted, and whether it goes on by itself.
///
/// By itself, a stage goes on to the next step when it has lasted so [long](Self::after) without
/// trouble, enough was compared in it ([`StepBack::minimum`]; if nothing is mirrored, the results of the
/// new side count), and all of that is within the thresholds. It begins in
/// [`Stage::Mirror`](super::Stage::Mirror) and ends at the last step:
/// [`Stage::Done`](super::Stage::Done) is for you to say. It is looked at when a call begins or the stage
/// is asked for, so that no task runs for it.
///
/// ```
/// use std::time::Duration;
/// use octowire::shadow::Ramp;
///
/// let ramp = Ramp::after(Duration::from_secs(6 * 60 * 60)).steps([1.0, 10.0, 50.0, 100.0]);
/// # let _ = ramp;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a shadow"]
pub struct Ramp {
    pub(super) steps: Vec<f64>,
    pub(super) after: Option<Duration>,
    pub(super) again: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_STEPS: usize = 100;

impl Default for Mirroring {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            concurrency: 16,
            fallback: true,
            serve_within: None,
        }
    }
}

impl Mirroring {
    /// How long a mirrored call may take; 10 seconds by default, an hour at most. What takes longer is
    /// ended, and counts as failed.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time.min(HOUR);
        self
    }

    /// How many calls are mirrored or compared at a time; 16 by default, from 1 to 1,000. What is too
    /// much is not mirrored, and counted. As many answers of both sides are in memory at most.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.clamp(1, 1_000);
        self
    }

    /// Whether the old side is asked if the new one serves a read and fails; on by default. The caller
    /// gets what the old one says then. It is no fallback if the failure is an
    /// [answer](super::Failure::answer), such as 404, and there is none for writes and in
    /// [`Stage::Done`](super::Stage::Done).
    pub fn fallback(mut self, fallback: bool) -> Self {
        self.fallback = fallback;
        self
    }

    /// How long the new side may take to serve a read before it counts as failed and the old one is
    /// asked; by default as long as it likes, since clients have time limits of their own. It holds only
    /// where there is a [fallback](Self::fallback), and needs a tokio runtime with a clock.
    pub fn serve_within(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.serve_within = time.into();
        self
    }
}

impl Default for StepBack {
    fn default() -> Self {
        Self {
            window: MINUTE.saturating_mul(5),
            minimum: 100,
            error_rate: Some(0.01),
            mismatch_rate: Some(0.01),
            latency_ratio: Some(2.0),
            one_step: false,
        }
    }
}

impl StepBack {
    /// It never goes back by itself.
    pub fn off() -> Self {
        Self { error_rate: None, mismatch_rate: None, latency_ratio: None, ..Self::default() }
    }

    /// How long a result counts; 5 minutes by default, from a second to a day. It is kept in ten parts,
    /// so that a result may count for up to a tenth less.
    pub fn window(mut self, time: Duration) -> Self {
        self.window = time.clamp(Duration::from_secs(1), DAY);
        self
    }

    /// How many results a rate needs to say anything; 100 by default, at least 1. The rate of errors
    /// needs as many results of the new side, the others as many comparisons. A window in which fewer come
    /// says nothing: choose both by your traffic.
    pub fn minimum(mut self, results: u64) -> Self {
        self.minimum = results.max(1);
        self
    }

    /// How much higher the share of calls that fail may be on the new side than on the old one, from 0
    /// to 1; 0.01 by default, a percentage point. If the old side is not called, its share is 0. `None`
    /// does not look at it.
    ///
    /// An [answer](super::Failure::answer), such as 404, is no failure; timeouts, panics, and calls that
    /// their caller gives up are.
    pub fn error_rate(mut self, share: impl Into<Option<f64>>) -> Self {
        self.error_rate = share.into().map(|share| finite(share, 0.0).clamp(0.0, 1.0));
        self
    }

    /// The share of comparisons that may find a difference, from 0 to 1; 0.01 by default. `None` does
    /// not look at it.
    pub fn mismatch_rate(mut self, share: impl Into<Option<f64>>) -> Self {
        self.mismatch_rate = share.into().map(|share| finite(share, 0.0).clamp(0.0, 1.0));
        self
    }

    /// How many times the old side's 95th percentile the new one's may be, of the calls that both
    /// answered, at least 1; 2 by default. Up to 10 ms more are no matter. `None` does not look at it.
    pub fn latency_ratio(mut self, ratio: impl Into<Option<f64>>) -> Self {
        self.latency_ratio = ratio.into().map(|ratio| finite(ratio, 1.0).max(1.0));
        self
    }

    /// Goes back by one step of the [`Ramp`], and from its first one to mirroring. By default it goes
    /// back to mirroring at once, so that nobody is served by a side that is known to be wrong. The share
    /// that is mirrored stays as it is: if it is 0, the new side is not called any more.
    pub fn by_one_step(mut self) -> Self {
        self.one_step = true;
        self
    }
}

impl Default for Ramp {
    /// The steps 1, 5, 25, 50 and 100 %, and none of them by itself.
    fn default() -> Self {
        Self { steps: vec![1.0, 5.0, 25.0, 50.0, 100.0], after: None, again: HOUR }
    }
}

impl Ramp {
    /// The same steps, each by itself after so long without trouble.
    pub fn after(time: Duration) -> Self {
        Self { after: Some(time), ..Self::default() }
    }

    /// The steps in percent, in any order; at most 100 of them. 1, 5, 25, 50 and 100 by default. What is
    /// not above 0 and up to 100 is left out.
    pub fn steps(mut self, percents: impl IntoIterator<Item = f64>) -> Self {
        let sound = |percent: &f64| *percent > 0.0 && *percent <= 100.0;
        self.steps = percents.into_iter().filter(sound).take(MOST_STEPS).collect();
        self.steps.sort_by(f64::total_cmp);
        self
    }

    /// How long it does not go on by itself after it went back; an hour by default. Each time doubles
    /// it, up to a day.
    pub fn again_after(mut self, time: Duration) -> Self {
        self.again = time.min(DAY);
        self
    }

    pub(super) fn next(&self, percent: f64) -> Option<f64> {
        self.steps.iter().copied().find(|step| *step > percent)
    }

    pub(super) fn previous(&self, percent: f64) -> Option<f64> {
        self.steps.iter().copied().rev().find(|step| *step < percent)
    }

    /// How long it does not go on after it went back so many times.
    pub(super) fn pause(&self, step_backs: u32) -> Duration {
        let doubled = 1_u32.checked_shl(step_backs.saturating_sub(1)).unwrap_or(u32::MAX);
        self.again.saturating_mul(doubled).min(DAY)
    }
}

fn finite(number: f64, otherwise: f64) -> f64 {
    if number.is_finite() { number } else { otherwise }
}
