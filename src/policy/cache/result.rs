//! The result of a read through the cache, shared by all calls that joined it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::entry::Entry;
use crate::error::{OperationName, Result};
use crate::response::{CacheStatus, RawBody, RawResponse};

/// The outcome of a read.
pub(crate) type LookupResult = Result<CacheResult>;

/// A response, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct CacheResult {
    pub(crate) status: StatusCode,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    pub(crate) cache_status: CacheStatus,
    pub(crate) age: Option<Duration>,
}

impl CacheResult {
    /// Returns the stored response, unchanged, with its age at `now`.
    pub(crate) fn from_entry(entry: &Entry, came: CacheStatus, now: SystemTime) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Arc::clone(&entry.headers),
            url: entry.metadata.url.clone(),
            body: entry.body.clone(),
            cache_status: came,
            age: now.duration_since(entry.times.received).ok(),
        }
    }

    pub(crate) fn into_raw(self, operation: &OperationName) -> RawResponse {
        RawResponse {
            operation: operation.clone(),
            status: self.status,
            headers: self.headers.into(),
            url: self.url,
            body: RawBody::Bytes(self.body),
            cache_status: self.cache_status,
            age: self.age,
            from_external_host: false,
        }
    }
}
