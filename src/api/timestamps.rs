//! Time parameters of setters, and times in GitHub's format.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::ops::{RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};

use crate::time::rfc3339;

/// Values that a time setter accepts: a [`DateTime`] of any time zone, a [`SystemTime`], a [`NaiveDate`], which is
/// midnight in UTC, or text: a time as in [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), such as
/// `2011-01-26T19:01:12Z`, or a date such as `2011-01-26`.
///
/// It is sent in UTC and in whole seconds, which is GitHub's format; a fraction of a second is omitted. Text that is
/// not a time fails the call before it is sent, with an [`InvalidRequest`](crate::ErrorKind::InvalidRequest).
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// let issues = client.issues().list_for_repo().owner("rust-lang").repo("rust");
/// let since = issues.since("2024-05-01T08:00:00+02:00").send().await?;
/// # let _ = since;
/// # Ok(())
/// # }
/// ```
///
/// `octowire::chrono` has the types of these times, and the clock:
///
/// ```
/// use octowire::chrono::{TimeDelta, Utc};
///
/// let yesterday = Utc::now() - TimeDelta::days(1);
/// # assert!(yesterday < Utc::now());
/// # fn example(client: octowire::Client, yesterday: octowire::chrono::DateTime<Utc>) {
/// let issues = client.issues().list_for_repo().owner("rust-lang").repo("rust").since(yesterday);
/// # let _ = issues;
/// # }
/// ```
///
/// The trait is sealed.
pub trait IntoTimestamp: sealed::Sealed {}

impl<T: sealed::Sealed> IntoTimestamp for T {}

mod sealed {
    use super::{DateTime, Utc};

    /// Returns why a value is not a time.
    pub trait Sealed {
        fn time(self) -> Result<DateTime<Utc>, String>;
    }
}

pub(crate) use sealed::Sealed;

impl<Tz: TimeZone> Sealed for DateTime<Tz> {
    fn time(self) -> Result<DateTime<Utc>, String> {
        Ok(self.to_utc())
    }
}

impl<Tz: TimeZone> Sealed for &DateTime<Tz> {
    fn time(self) -> Result<DateTime<Utc>, String> {
        Ok(self.to_utc())
    }
}

impl Sealed for SystemTime {
    fn time(self) -> Result<DateTime<Utc>, String> {
        // chrono's own conversion panics for times that it cannot represent as a date.
        let since = self.duration_since(UNIX_EPOCH).map_err(|_| "it is before 1970".to_owned())?;
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| "it is too far in the future".to_owned())
    }
}

impl Sealed for NaiveDate {
    fn time(self) -> Result<DateTime<Utc>, String> {
        Ok(self.and_time(NaiveTime::MIN).and_utc())
    }
}

impl Sealed for &NaiveDate {
    fn time(self) -> Result<DateTime<Utc>, String> {
        (*self).time()
    }
}

impl Sealed for &str {
    fn time(self) -> Result<DateTime<Utc>, String> {
        if let Ok(date) = self.parse::<NaiveDate>() {
            return date.time();
        }
        let time = DateTime::parse_from_rfc3339(self).map_err(|reason| {
            format!("`{self}` is not an RFC 3339 time, such as `2011-01-26T19:01:12Z`: {reason}")
        })?;
        Ok(time.to_utc())
    }
}

impl Sealed for String {
    fn time(self) -> Result<DateTime<Utc>, String> {
        self.as_str().time()
    }
}

impl Sealed for &String {
    fn time(self) -> Result<DateTime<Utc>, String> {
        self.as_str().time()
    }
}

impl Sealed for Cow<'_, str> {
    fn time(self) -> Result<DateTime<Utc>, String> {
        (&*self).time()
    }
}

/// Values that a date setter accepts: a [`NaiveDate`], or text such as `2011-01-26`.
///
/// If the text is not a date, the call fails before anything is sent, as an
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest).
///
/// The trait is sealed.
pub trait IntoDate: dates::Sealed {}

impl<T: dates::Sealed> IntoDate for T {}

pub(crate) mod dates {
    use super::{Cow, NaiveDate};

    /// Returns why a value is not a date.
    pub trait Sealed {
        fn date(self) -> Result<NaiveDate, String>;
    }

    impl Sealed for NaiveDate {
        fn date(self) -> Result<NaiveDate, String> {
            Ok(self)
        }
    }

    impl Sealed for &NaiveDate {
        fn date(self) -> Result<NaiveDate, String> {
            Ok(*self)
        }
    }

    impl Sealed for &str {
        fn date(self) -> Result<NaiveDate, String> {
            self.parse()
                .map_err(|reason| format!("`{self}` is not a date such as `2011-01-26`: {reason}"))
        }
    }

    impl Sealed for String {
        fn date(self) -> Result<NaiveDate, String> {
            self.as_str().date()
        }
    }

    impl Sealed for &String {
        fn date(self) -> Result<NaiveDate, String> {
            self.as_str().date()
        }
    }

    impl Sealed for Cow<'_, str> {
        fn date(self) -> Result<NaiveDate, String> {
            (&*self).date()
        }
    }
}

/// Values that a setter accepts where GitHub searches by a date or by a range of dates, such as `created` of [workflow
/// runs](https://docs.github.com/en/rest/actions/workflow-runs):
///
/// | Value | Is sent as |
/// |---|---|
/// | text | it is: see GitHub's [search syntax for dates](https://docs.github.com/en/search-github/getting-started-with-searching-on-github/understanding-the-search-syntax#query-for-dates) |
/// | a [`NaiveDate`] | `2024-01-01` |
/// | a [`DateTime`] of any time zone, or a [`SystemTime`] | `2024-01-01T08:00:00Z`: in UTC and in whole seconds |
/// | `from..=to` of these | `2024-01-01..2024-02-01` |
/// | `from..` | `>=2024-01-01` |
/// | `..=to` | `<=2024-02-01` |
/// | `..to` | `<2024-02-01` |
///
/// GitHub's ranges include both ends, so `from..to` has no equivalent.
///
/// ```no_run
/// # #[cfg(feature = "actions")]
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// use octowire::chrono::{TimeDelta, Utc};
///
/// let runs = client.actions().list_workflow_runs_for_repo().owner("rust-lang").repo("rust");
/// let january = runs.clone().created("2024-01-01..2024-01-31").send().await?;
/// let latest = runs.created(Utc::now() - TimeDelta::days(1)..).send().await?;
/// # let _ = (january, latest);
/// # Ok(())
/// # }
/// ```
///
/// The trait is sealed.
pub trait IntoTimeRange: ranges::Sealed {}

impl<T: ranges::Sealed> IntoTimeRange for T {}

pub(crate) mod ranges {
    use super::{
        Cow, DateTime, NaiveDate, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive, SystemTime,
        TimeZone, rfc3339,
    };

    /// Formats a value in the search syntax, or returns why that fails.
    pub trait Sealed {
        fn range(self) -> Result<String, String>;
    }

    /// A time or a date as a bound of a range.
    pub trait Bound: Clone {
        fn bound(&self) -> Result<String, String>;
    }

    impl<Tz: TimeZone> Bound for DateTime<Tz> {
        fn bound(&self) -> Result<String, String> {
            Ok(rfc3339::format(&self.to_utc()))
        }
    }

    impl Bound for NaiveDate {
        fn bound(&self) -> Result<String, String> {
            Ok(self.to_string())
        }
    }

    impl Bound for SystemTime {
        fn bound(&self) -> Result<String, String> {
            super::Sealed::time(*self).map(|time| rfc3339::format(&time))
        }
    }

    impl<Tz: TimeZone> Sealed for DateTime<Tz> {
        fn range(self) -> Result<String, String> {
            self.bound()
        }
    }

    impl<Tz: TimeZone> Sealed for &DateTime<Tz> {
        fn range(self) -> Result<String, String> {
            self.bound()
        }
    }

    impl Sealed for NaiveDate {
        fn range(self) -> Result<String, String> {
            self.bound()
        }
    }

    impl Sealed for &NaiveDate {
        fn range(self) -> Result<String, String> {
            self.bound()
        }
    }

    impl Sealed for SystemTime {
        fn range(self) -> Result<String, String> {
            self.bound()
        }
    }

    impl<T: Bound> Sealed for RangeInclusive<T> {
        fn range(self) -> Result<String, String> {
            Ok(format!("{}..{}", self.start().bound()?, self.end().bound()?))
        }
    }

    impl<T: Bound> Sealed for RangeFrom<T> {
        fn range(self) -> Result<String, String> {
            Ok(format!(">={}", self.start.bound()?))
        }
    }

    impl<T: Bound> Sealed for RangeToInclusive<T> {
        fn range(self) -> Result<String, String> {
            Ok(format!("<={}", self.end.bound()?))
        }
    }

    impl<T: Bound> Sealed for RangeTo<T> {
        fn range(self) -> Result<String, String> {
            Ok(format!("<{}", self.end.bound()?))
        }
    }

    impl Sealed for &str {
        fn range(self) -> Result<String, String> {
            Ok(self.to_owned())
        }
    }

    impl Sealed for String {
        fn range(self) -> Result<String, String> {
            Ok(self)
        }
    }

    impl Sealed for &String {
        fn range(self) -> Result<String, String> {
            Ok(self.clone())
        }
    }

    impl Sealed for Cow<'_, str> {
        fn range(self) -> Result<String, String> {
            Ok(self.into_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::dates::Sealed as _;
    use super::ranges::Sealed as _;
    use super::*;

    #[test]
    fn a_date_is_midnight_in_utc_where_a_time_is_asked_for() {
        let midnight: DateTime<Utc> = "2024-05-01T00:00:00Z".parse().unwrap();
        let date = NaiveDate::from_ymd_opt(2024, 5, 1).unwrap();
        assert_eq!(date.time(), Ok(midnight));
        assert_eq!("2024-05-01".time(), Ok(midnight));
        assert_eq!("2024-05-01T02:00:00+02:00".time(), Ok(midnight));
        for text in ["2024-13-01", "soon", ""] {
            assert!(text.time().unwrap_err().contains("RFC 3339"), "{text}");
        }
    }

    #[test]
    fn a_date_may_be_text() {
        let date = NaiveDate::from_ymd_opt(2024, 5, 1).unwrap();
        assert_eq!("2024-05-01".date(), Ok(date));
        assert_eq!(String::from("2024-05-01").date(), Ok(date));
        assert_eq!(date.date(), Ok(date));
        let error = "yesterday".date().unwrap_err();
        assert!(error.starts_with("`yesterday` is not a date such as `2011-01-26`"), "{error}");
    }

    #[test]
    fn a_range_is_written_in_the_search_syntax() {
        let (from, to) = (NaiveDate::from_ymd_opt(2024, 1, 1), NaiveDate::from_ymd_opt(2024, 2, 1));
        let (from, to) = (from.unwrap(), to.unwrap());
        let time: DateTime<FixedOffset> = "2024-01-01T08:00:00.5+02:00".parse().unwrap();
        for (range, expected) in [
            (from.range(), "2024-01-01"),
            ((from..=to).range(), "2024-01-01..2024-02-01"),
            ((from..).range(), ">=2024-01-01"),
            ((..=to).range(), "<=2024-02-01"),
            ((..to).range(), "<2024-02-01"),
            (time.range(), "2024-01-01T06:00:00Z"),
            ((time..).range(), ">=2024-01-01T06:00:00Z"),
            ((UNIX_EPOCH..).range(), ">=1970-01-01T00:00:00Z"),
            (">=2024-01-01".range(), ">=2024-01-01"),
            (String::from("*..2024-01-01").range(), "*..2024-01-01"),
        ] {
            assert_eq!(range.as_deref(), Ok(expected));
        }
    }
}
