//! The wall clock, for the age of responses, instants in the future, and times in milliseconds.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// Returns the wall clock time, which does not go back while the process runs, and follows a clock that a test moves.
///
/// The monotonic clock stands still while some machines sleep, so the later of the two counts: a response can seem
/// older than it is, but never newer.
pub(crate) fn monotonic_wall_clock() -> SystemTime {
    static START: LazyLock<(SystemTime, Instant)> =
        LazyLock::new(|| (SystemTime::now(), Instant::now()));
    let (time, instant) = *START;
    let passed = Instant::now().saturating_duration_since(instant);
    time.checked_add(passed).map_or_else(SystemTime::now, |time| time.max(SystemTime::now()))
}

/// Returns the instant this duration after another one. A duration that no clock can represent becomes thirty years.
pub(crate) fn saturating_after(moment: Instant, time: Duration) -> Instant {
    const MAX_DURATION: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    let later = moment.checked_add(time.min(MAX_DURATION));
    // The clock cannot represent the result.
    later.unwrap_or(moment)
}

/// Returns half of the duration.
pub(crate) fn halved(duration: Duration) -> Duration {
    duration.checked_div(2).unwrap_or_default()
}

/// Returns a time in whole milliseconds. One that `u64` does not hold becomes the maximum.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the milliseconds since 1970; zero for an earlier time.
pub(crate) fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Formats a time in whole seconds. A time beyond the calendar becomes its last day.
pub(crate) fn to_utc(time: SystemTime) -> DateTime<Utc> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_saturate() {
        assert_eq!(millis(Duration::from_micros(1_999)), 1);
        assert_eq!(millis(Duration::MAX), u64::MAX);
        assert_eq!(unix_millis(SystemTime::UNIX_EPOCH + Duration::from_secs(3)), 3_000);
        assert_eq!(unix_millis(SystemTime::UNIX_EPOCH - Duration::from_secs(3)), 0);
    }

    #[test]
    fn a_future_instant_saturates_at_the_range_of_the_clock() {
        let now = Instant::now();
        for time in [0, 1, 3600, 86_400 * 365].map(Duration::from_secs) {
            assert_eq!(saturating_after(now, time) - now, time);
        }
        for time in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_millis(u64::MAX)]
        {
            assert!(saturating_after(now, time) - now > Duration::from_secs(86_400 * 365 * 29));
        }
    }
}
