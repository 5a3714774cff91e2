//! The time of day, for how old answers are.

use std::sync::LazyLock;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// The time of day, which does not go back while the process runs, and goes on with a clock that a
/// test moves.
///
/// The clock that only goes forward stands still while some machines sleep, so that the later of
/// the two counts: an answer may seem older than it is, and never newer.
pub(crate) fn now() -> SystemTime {
    static START: LazyLock<(SystemTime, Instant)> =
        LazyLock::new(|| (SystemTime::now(), Instant::now()));
    let (time, instant) = *START;
    let passed = Instant::now().saturating_duration_since(instant);
    time.checked_add(passed).map_or_else(SystemTime::now, |time| time.max(SystemTime::now()))
}

/// A time in whole seconds, as people write it. What is beyond the calendar is its last day.
pub(crate) fn date(time: SystemTime) -> DateTime<Utc> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
