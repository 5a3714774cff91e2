//! The mock's rate limits: GitHub's headers on every response, and rejections where a test sets them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::clock::Clock;
use super::locks::lock;
use super::received::RecordedRequest;
use super::wire_response::WireResponse;
use crate::time::clock;
use crate::util::ids::hex;

/// GitHub's metadata on every response: the request id, and the remaining limits.
pub(super) struct Limits {
    clock: Clock,
    responses: AtomicU64,
    /// The limits that tests set, by resource, and when.
    configured: Mutex<HashMap<String, (u64, Duration, Instant)>>,
    /// By identity and resource. A request without a token has the anonymous identity.
    buckets: Mutex<HashMap<(String, String), RateLimitBucket>>,
}

/// One primary limit of one identity.
#[derive(Clone, Copy, Debug)]
struct RateLimitBucket {
    limit: u64,
    used: u64,
    window: Duration,
    /// The start of the next window.
    reset: Instant,
    /// Whether it rejects excess requests. By default, the mock begins a new window instead.
    enforced: bool,
}

/// Maximum number of stored limits; beyond it, all of them restart.
const MAX_BUCKETS: usize = 10_000;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// The longest window: ten years. Programs do not use later instants.
const MAX_WINDOW: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The API version for a client that names none.
const API_VERSION: &str = "2022-11-28";

const DOCS: &str = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";

/// The endpoint that reports the limits, which is always available and never counts.
const OVERVIEW: &str = "/rate_limit";

impl Limits {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            responses: AtomicU64::new(0),
            configured: Mutex::default(),
            buckets: Mutex::default(),
        }
    }

    /// Sets the number of requests in a window, for each identity; the first window begins now.
    pub(super) fn set(&self, resource: &str, limit: u64, window: Duration) {
        lock(&self.configured)
            .insert(resource.to_owned(), (limit, window, after(Instant::now(), window)));
        lock(&self.buckets).retain(|(_, of), _| of != resource);
    }

    /// Restarts all limits.
    pub(super) fn clear(&self) {
        lock(&self.configured).clear();
        lock(&self.buckets).clear();
    }

    /// Returns GitHub's rejection, if the request exceeds an enforced limit.
    pub(super) fn reject(&self, request: &RecordedRequest) -> Option<WireResponse> {
        if request.path == OVERVIEW {
            return None;
        }
        let over = |bucket: &mut RateLimitBucket| bucket.enforced && bucket.used >= bucket.limit;
        self.with(request, &request.resource, over).then(exceeded)
    }

    /// Uses a limit up until its window ends, and rejects.
    pub(super) fn exhaust(&self, request: &RecordedRequest, window: Duration) -> WireResponse {
        let reset = after(Instant::now(), window);
        self.with(request, &request.resource, |bucket| {
            *bucket = RateLimitBucket { used: bucket.limit, reset, enforced: true, ..*bucket };
        });
        exceeded()
    }

    /// Returns the response of `GET /rate_limit`, from the description's example.
    pub(super) fn overview(&self, request: &RecordedRequest, mut example: Value) -> Value {
        let Some(resources) = example["resources"].as_object() else { return example };
        let names: Vec<String> = resources.keys().cloned().collect();
        for name in names {
            let status = self.with(request, &name, |bucket| {
                json!({
                    "limit": bucket.limit,
                    "used": bucket.used,
                    "remaining": bucket.limit.saturating_sub(bucket.used),
                    "reset": self.clock.seconds(bucket.reset),
                })
            });
            if name == "core" && example.get("rate").is_some() {
                example["rate"] = status.clone();
            }
            example["resources"][&name] = status;
        }
        example
    }

    /// Counts a response, and adds GitHub's headers.
    pub(super) fn sign(&self, reply: WireResponse, request: &RecordedRequest) -> WireResponse {
        let version = request.header("x-github-api-version").unwrap_or(API_VERSION).to_owned();
        // A 304 to an authorized client costs nothing.
        let free = (reply.status == 304 && request.is_authorized()) || request.path == OVERVIEW;
        let RateLimitBucket { limit, used, reset, .. } =
            self.with(request, &request.resource, |bucket| {
                if !free {
                    bucket.used = bucket.used.saturating_add(1).min(bucket.limit);
                    if !bucket.enforced && bucket.used == bucket.limit {
                        bucket.used = 0;
                    }
                }
                *bucket
            });
        let reply = reply
            .header("date", self.clock.date())
            .header("server", "github.com")
            .header("x-github-request-id", self.request_id())
            .header("x-github-api-version-selected", version)
            .header("x-github-media-type", "github.v3; format=json")
            .header("x-ratelimit-limit", limit.to_string())
            .header("x-ratelimit-remaining", limit.saturating_sub(used).to_string())
            .header("x-ratelimit-used", used.to_string())
            .header("x-ratelimit-reset", self.clock.seconds(reset).to_string())
            .header("x-ratelimit-resource", &request.resource);
        match &request.operation_id {
            Some(id) => reply.header("x-octowire-operation", id),
            None => reply,
        }
    }

    /// Applies a function to the limit of the request's identity.
    fn with<T>(
        &self,
        request: &RecordedRequest,
        resource: &str,
        change: impl FnOnce(&mut RateLimitBucket) -> T,
    ) -> T {
        let now = Instant::now();
        let set = lock(&self.configured).get(resource).copied();
        let mut buckets = lock(&self.buckets);
        let whose = (identity_of(request), resource.to_owned());
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&whose) {
            buckets.clear();
        }
        let bucket = buckets.entry(whose).or_insert_with(|| match set {
            Some((limit, window, reset)) => {
                RateLimitBucket { limit, used: 0, window, reset, enforced: true }
            }
            None => {
                let (limit, window) = default_limit(resource, request.is_authorized());
                RateLimitBucket {
                    limit,
                    used: 0,
                    window,
                    reset: after(now, window),
                    enforced: false,
                }
            }
        });
        if now >= bucket.reset {
            bucket.used = 0;
            bucket.reset = after(now, bucket.window);
        }
        change(bucket)
    }

    /// Groups of hexadecimal digits, different for every response, like GitHub's ids.
    fn request_id(&self) -> String {
        let number = self.responses.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.seconds(Instant::now());
        format!("{:04X}:{:06X}:{now:08X}", number >> 24, number & 0xFF_FFFF)
    }
}

/// The end of a window that begins now.
fn after(now: Instant, window: Duration) -> Instant {
    clock::saturating_after(now, window.min(MAX_WINDOW))
}

/// The identity of a request, without its token.
fn identity_of(request: &RecordedRequest) -> String {
    let authorization = request.headers.get(AUTHORIZATION);
    authorization.map_or_else(String::new, |token| hex(Sha256::digest(token.as_bytes())))
}

/// [GitHub's limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api) for a
/// user, and without authentication.
fn default_limit(resource: &str, authorized: bool) -> (u64, Duration) {
    match (resource, authorized) {
        ("code_search", _) => (10, MINUTE),
        ("search", true) => (30, MINUTE),
        ("search", false) => (10, MINUTE),
        (_, true) => (5_000, HOUR),
        (_, false) => (60, HOUR),
    }
}

/// The rejection of a call beyond a primary limit, with GitHub's message.
fn exceeded() -> WireResponse {
    WireResponse::error(403, "API rate limit exceeded for user ID 1.", DOCS)
}

/// The rejection of a secondary limit, with GitHub's message.
pub(super) fn secondary(retry_after: Option<Duration>) -> WireResponse {
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you \
                   try again.";
    let reply = WireResponse::error(403, message, &format!("{DOCS}#about-secondary-rate-limits"));
    match retry_after {
        Some(wait) => {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            reply.header("retry-after", seconds.to_string())
        }
        None => reply,
    }
}
