//! The headers of a response.

use std::fmt;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName};

use crate::headers::HeaderValues;
use crate::sanitize::ReceivedHeaders;

/// The headers of a response. Of a received one, they are redacted when they are first read as a map; until then, only
/// single values that contain no secret are read.
#[derive(Default)]
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
