//! Parses GitHub's request id.

use http::HeaderName;

use super::HeaderValues;
use crate::sanitize;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-github-request-id");

/// GitHub's request ids have about thirty characters. A longer one is ignored.
const MAX_REQUEST_ID: usize = 128;

/// Returns GitHub's request id, if it is safe to show.
pub(crate) fn request_id(headers: &impl HeaderValues) -> Option<&str> {
    let id = headers.text(&REQUEST_ID)?;
    let is_shown = sanitize::text(id, MAX_REQUEST_ID) == id && !id.is_empty();
    is_shown.then_some(id)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn an_id_of_a_request_is_short_and_visible() {
        let long = "1".repeat(MAX_REQUEST_ID + 1);
        for (value, expected) in [
            ("8F2A:1B2C:3D", Some("8F2A:1B2C:3D")),
            (&long[1..], Some(&long[1..])),
            (&long, None),
            ("", None),
            ("a\tb", None),
            ("Bearer ghs_hunter2hunter2hunter2", None),
            ("caf\u{e9}", None),
        ] {
            let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-github-request-id"),
                value,
            )]);
            assert_eq!(request_id(&headers), expected);
        }
    }
}
