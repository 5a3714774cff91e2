//! Hours, days and months, in UTC.

use std::fmt;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Datelike, Months, NaiveTime, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::time::clock;

/// A calendar period by which usage is counted, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

impl Period {
    pub(super) const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// Returns the hour, day or month that contains a time.
    pub(super) fn at(self, time: SystemTime) -> CalendarWindow {
        let time = clock::to_utc(time);
        let midnight = time.date_naive().and_time(NaiveTime::MIN).and_utc();
        let hours = TimeDelta::hours(i64::from(time.hour()));
        let days = TimeDelta::days(i64::from(time.day0()));
        let (began, ends) = match self {
            Self::Hour => (midnight + hours, (midnight + hours).checked_add_signed(HOUR)),
            Self::Day => (midnight, midnight.checked_add_signed(DAY)),
            Self::Month => {
                let first = midnight - days;
                (first, first.checked_add_months(Months::new(1)))
            }
        };
        CalendarWindow { period: self, start: began, end: ends.unwrap_or(began) }
    }

    /// Returns how long counts are kept after their window began.
    pub(super) fn retention(self) -> Duration {
        let days = match self {
            Self::Hour => 3,
            Self::Day => 40,
            Self::Month => 400,
        };
        Duration::from_secs(days * 24 * 60 * 60)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);

/// A certain hour, day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CalendarWindow {
    pub(super) period: Period,
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

impl CalendarWindow {
    /// Returns this window, of an hour, and the day and the month that contain it.
    pub(super) fn enclosing(self) -> [Self; 3] {
        let began = SystemTime::from(self.start);
        Period::ALL.map(|period| period.at(began))
    }

    /// Returns the time until it ends.
    pub(super) fn remaining(self, now: SystemTime) -> Duration {
        SystemTime::from(self.end).duration_since(now).unwrap_or_default()
    }
}

impl fmt::Display for CalendarWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.period {
            Period::Hour => "%Y-%m-%dT%H",
            Period::Day => "%Y-%m-%d",
            Period::Month => "%Y-%m",
        };
        write!(f, "{}", self.start.format(format))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<DateTime<Utc>>().unwrap().into()
    }

    #[test]
    fn windows_follow_the_calendar() {
        let leap_day = at("2028-02-29T23:59:59Z");
        let names = Period::ALL.map(|period| period.at(leap_day).to_string());
        assert_eq!(names, ["2028-02-29T23", "2028-02-29", "2028-02"]);
        let ends = Period::ALL.map(|period| SystemTime::from(period.at(leap_day).end));
        assert_eq!(ends, [at("2028-03-01T00:00:00Z"); 3]);
        assert_eq!(
            Period::Month.at(at("2026-12-31T12:00:00Z")).remaining(at("2026-12-31T12:00:00Z")),
            Duration::from_secs(12 * 60 * 60)
        );
    }

    proptest! {
        #[test]
        fn each_time_is_in_one_window_of_each_period(seconds in 0_u64..20_000_000_000) {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            for period in Period::ALL {
                let window = period.at(now);
                prop_assert!(SystemTime::from(window.start) <= now && now < SystemTime::from(window.end));
                prop_assert_eq!(period.at(window.start.into()), window);
                prop_assert_eq!(period.at(window.end.into()).start, window.end);
            }
            prop_assert_eq!(Period::Hour.at(now).enclosing(), Period::ALL.map(|period| period.at(now)));
        }
    }
}
