//! A response, shared by all calls that requested it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::CacheStatus;
use super::entry::Entry;
use crate::clock;
use crate::error::Result;
use crate::operation::Label;
use crate::response::{Raw, RawBody};

/// The outcome of a read.
pub(crate) type Landed = Result<Found>;

/// A response, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) status: StatusCode,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    pub(crate) came: CacheStatus,
    pub(crate) age: Option<Duration>,
}

impl Found {
    /// Returns the stored response, unchanged.
    pub(crate) fn stored(entry: &Entry, came: CacheStatus) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Arc::clone(&entry.headers),
            url: entry.about.url.clone(),
            body: entry.body.clone(),
            came,
            age: clock::now().duration_since(entry.times.received).ok(),
        }
    }

    pub(crate) fn raw(self, operation: &Label) -> Raw {
        Raw {
            operation: operation.clone(),
            status: self.status,
            headers: self.headers,
            url: self.url,
            body: RawBody::Bytes(self.body),
            came: self.came,
            age: self.age,
            abroad: false,
        }
    }
}
