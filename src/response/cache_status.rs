//! The source of a response.

/// The source of a response: [`Response::cache_status`](crate::Response::cache_status).
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
