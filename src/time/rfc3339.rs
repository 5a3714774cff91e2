//! Times as text, in the profile of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) that GitHub's API uses.

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats a time in GitHub's format: UTC and whole seconds, such as `2011-01-26T19:01:12Z`.
pub(crate) fn format(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_formatted_in_whole_seconds() {
        let time: DateTime<Utc> = "2024-01-01T06:00:00.999Z".parse().unwrap();
        assert_eq!(format(&time), "2024-01-01T06:00:00Z");
    }
}
