//! The metadata of a response.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use url::Url;

use super::response_headers::ResponseHeaders;
use crate::error::OperationName;
use crate::headers::rate_limit::RateLimitStatus;
use crate::headers::request_id::request_id;

/// The metadata of a response: all of it but the body. [`Response::meta`](crate::Response::meta) returns it.
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// use http::Method;
///
/// let user = client.request(Method::GET, "/user").send::<serde_json::Value>().await?;
/// let meta = user.meta();
/// println!("{}: {}, request {:?}", meta.operation(), meta.status(), meta.request_id());
/// if let Some(limit) = meta.rate_limit() {
///     println!("{} of {} requests remain", limit.remaining, limit.limit);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResponseMeta {
    pub(super) status: StatusCode,
    pub(super) headers: ResponseHeaders,
    pub(super) url: Url,
    pub(super) operation: OperationName,
    pub(super) cache_status: CacheStatus,
    pub(super) age: Option<Duration>,
}

impl ResponseMeta {
    /// Returns the status; always a success, 2xx.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers, such as `etag`, `link` and `x-oauth-scopes`.
    ///
    /// Secrets in them are redacted at the first call. If the process has used more than a thousand other secrets since
    /// the response arrived, most values are `[hidden]`: read the headers before you keep a response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// Returns GitHub's request id, which its support asks for. An id of more than 128 characters, or with characters
    /// other than visible ASCII, is `None`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        request_id(&self.headers)
    }

    /// Returns the rate limit status after this call.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimitStatus> {
        RateLimitStatus::from_headers(&self.headers)
    }

    /// Returns the URL of the response, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the operation's id, such as `issues/get`; for a call created by
    /// [`Client::request`](crate::Client::request), its method and path.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Returns whether it comes from the [cache](crate::policy::cache). All callers of a coalesced call get the same value.
    #[must_use]
    pub fn cache_status(&self) -> CacheStatus {
        self.cache_status
    }

    /// Returns, for a response from the cache, the time since GitHub sent or confirmed it.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }
}

/// Omits the headers, which can be long, and the URL, which can be signed after a redirect.
impl fmt::Debug for ResponseMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseMeta")
            .field("operation", &self.operation)
            .field("status", &self.status)
            .field("request_id", &self.request_id())
            .field("cache_status", &self.cache_status)
            .finish_non_exhaustive()
    }
}

/// The source of a response: [`ResponseMeta::cache_status`](crate::ResponseMeta::cache_status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// From GitHub; the call bypassed the cache.
    Bypass,
    /// From GitHub, since no response was stored, or the stored response is not current.
    Miss,
    /// From the cache, with no request sent.
    Hit,
    /// From the cache, and GitHub confirmed that it is current.
    Revalidated,
    /// From the cache, though it might not be current: as the policy allows, while GitHub fails or the client
    /// revalidates.
    Stale,
}

impl CacheStatus {
    /// Returns its name in lower case, as in spans.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
        }
    }
}
