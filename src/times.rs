//! Times as setters take them and as GitHub writes them.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};

/// What a setter of a time takes: a [`DateTime`] of any time zone, a [`SystemTime`], or text as
/// in [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), such as `2011-01-26T19:01:12Z`.
///
/// It is sent in UTC and in whole seconds, which is how GitHub writes its times; a fraction of a
/// second is left out. Text that is no time fails the call before it is sent, as an
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest).
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
/// The trait is sealed.
pub trait IntoTime: sealed::Sealed {}

impl<T: sealed::Sealed> IntoTime for T {}

mod sealed {
    use super::{DateTime, Utc};

    /// Says why a value is no time.
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
        // chrono's own conversion panics for times that it has no date for.
        let since = self.duration_since(UNIX_EPOCH).map_err(|_| "it is before 1970".to_owned())?;
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| "it is too far in the future".to_owned())
    }
}

impl Sealed for &str {
    fn time(self) -> Result<DateTime<Utc>, String> {
        let time = DateTime::parse_from_rfc3339(self).map_err(|reason| {
            format!("`{self}` is no time as in RFC 3339, such as `2011-01-26T19:01:12Z`: {reason}")
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

/// A time as GitHub writes it.
pub(crate) fn text(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
