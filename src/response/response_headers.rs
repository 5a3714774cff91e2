//! The headers of a response.

use std::fmt;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName};

use crate::headers::HeaderValues;
use crate::sanitize::ReceivedHeaders;

/// The headers of a response. Of a received one, they are redacted when they are first read as a map; until then, only
/// single values that contain no secret are read.
#[derive(Clone, Default)]
pub(crate) struct ResponseHeaders {
    received: Option<ReceivedHeaders>,
    shown: OnceLock<Arc<HeaderMap>>,
}

impl ResponseHeaders {
    /// Copies the headers of a response that has just been received.
    pub(crate) fn received(headers: &HeaderMap) -> Self {
        Self { received: Some(ReceivedHeaders::copy(headers)), shown: OnceLock::new() }
    }

    /// Returns the redacted headers.
    pub(crate) fn map(&self) -> &Arc<HeaderMap> {
        self.shown.get_or_init(|| {
            self.received.as_ref().map_or_else(Arc::default, |received| received.redacted().into())
        })
    }

    /// Returns the redacted headers, without a copy of them.
    pub(crate) fn into_shared(mut self) -> Arc<HeaderMap> {
        self.map();
        self.shown.take().unwrap_or_default()
    }

    /// Returns the redacted headers, which are copied if they are shared with a stored response.
    pub(crate) fn into_map(self) -> HeaderMap {
        Arc::unwrap_or_clone(self.into_shared())
    }
}

impl HeaderValues for ResponseHeaders {
    fn first_values<const N: usize>(&self, names: [&HeaderName; N]) -> [Option<&[u8]>; N] {
        let unread = self.received.as_ref().filter(|_| self.shown.get().is_none());
        unread
            .and_then(|received| received.first(names))
            .unwrap_or_else(|| self.map().first_values(names))
    }
}

/// The headers of a stored response, which were redacted before.
impl From<Arc<HeaderMap>> for ResponseHeaders {
    fn from(headers: Arc<HeaderMap>) -> Self {
        Self { received: None, shown: headers.into() }
    }
}

impl fmt::Debug for ResponseHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHeaders").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_TYPE, DATE, LINK};

    use super::*;
    use crate::sanitize;

    const ECHO: HeaderName = HeaderName::from_static("x-echo");

    fn headers(echo: &'static str) -> HeaderMap {
        let value = http::HeaderValue::from_static;
        HeaderMap::from_iter([
            (CONTENT_TYPE, value("application/json")),
            (LINK, value("<https://a.example/?page=2>")),
            (ECHO, value(echo)),
        ])
    }

    #[test]
    fn values_are_redacted_by_the_secrets_of_receipt_and_of_first_use() {
        sanitize::remember(b"exch-known-before");
        let received = ResponseHeaders::received(&headers("exch-known-before, exch-known-after"));
        sanitize::remember(b"exch-known-after");
        assert_eq!(received.text(&ECHO), Some("[hidden], [hidden]"));
        assert_eq!(received.map()[ECHO], "[hidden], [hidden]");
        assert!(!format!("{received:?} {:?}", received.map()).contains("exch-known"));
        assert_eq!(received.into_map()[ECHO], "[hidden], [hidden]");
    }

    /// A single value, the map, and the map that is kept are the same.
    #[test]
    fn ordinary_values_are_read_without_the_map() {
        let (expected, names) = (headers("ordinary value"), [&CONTENT_TYPE, &LINK, &ECHO, &DATE]);
        let received = ResponseHeaders::received(&expected);
        assert_eq!(received.first_values(names), expected.first_values(names));
        assert!(received.shown.get().is_none());
        assert_eq!(**received.map(), expected);
        assert_eq!(received.first_values(names), expected.first_values(names));
        assert_eq!(received.into_map(), expected);
    }

    #[test]
    fn stored_headers_are_shared_as_they_are() {
        let stored = Arc::new(headers("ordinary value"));
        let shared = ResponseHeaders::from(Arc::clone(&stored));
        assert_eq!(shared.text(&ECHO), Some("ordinary value"));
        assert!(Arc::ptr_eq(shared.map(), &stored));
        assert!(Arc::ptr_eq(&shared.into_shared(), &stored));
        assert_eq!(ResponseHeaders::default().into_map(), HeaderMap::new());
    }
}
