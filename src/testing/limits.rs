//! The mock's rate limits: GitHub's headers on every answer, and a refusal where a test asks for it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::clock::Clock;
use super::exchange::lock;
use super::received::Received;
use super::reply::Reply;
use crate::clock;
use crate::names::hex;

/// What GitHub says about every answer: which request it was, and what is left of its limits.
pub(super) struct Limits {
    clock: Clock,
    served: AtomicU64,
    /// What tests set, by resource, and when.
    set: Mutex<HashMap<String, (u64, Duration, Instant)>>,
    /// By whom and resource. Whoever has no token is nobody.
    buckets: Mutex<HashMap<(String, String), Bucket>>,
}

/// One primary limit of one identity.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: u64,
    used: u64,
    window: Duration,
    /// When the next window begins.
    reset: Instant,
    /// Whether it refuses what goes over it. By default the mock begins a new window instead.
    enforced: bool,
}

/// As many limits are remembered; all of them begin anew when there are more.
const MAX_BUCKETS: usize = 10_000;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// The longest window: ten years. An instant further away is none that a program has.
const MAX_WINDOW: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a client gets that does not say which version it wants.
const API_VERSION: &str = "2022-11-28";

const DOCS: &str = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";

/// Where the limits are told, which is always answered and never counts.
const OVERVIEW: &str = "/rate_limit";

impl Limits {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, served: AtomicU64::new(0), set: Mutex::default(), buckets: Mutex::default() }
    }

    /// Lets a resource have so many requests in a window, for each identity; the first begins now.
    pub(super) fn set(&self, resource: &str, limit: u64, window: Duration) {
        lock(&self.set).insert(resource.to_owned(), (limit, window, after(Instant::now(), window)));
        lock(&self.buckets).retain(|(_, of), _| of != resource);
    }

    /// Begins anew.
    pub(super) fn clear(&self) {
        lock(&self.set).clear();
        lock(&self.buckets).clear();
    }

    /// GitHub's refusal, if the request goes over an enforced limit.
    pub(super) fn refuse(&self, request: &Received) -> Option<Reply> {
        if request.path == OVERVIEW {
            return None;
        }
        let over = |bucket: &mut Bucket| bucket.enforced && bucket.used >= bucket.limit;
        self.with(request, &request.resource, over).then(exceeded)
    }

    /// Uses a limit up until its window ends, and refuses.
    pub(super) fn exhaust(&self, request: &Received, window: Duration) -> Reply {
        let reset = after(Instant::now(), window);
        self.with(request, &request.resource, |bucket| {
            *bucket = Bucket { used: bucket.limit, reset, enforced: true, ..*bucket };
        });
        exceeded()
    }

    /// What `GET /rate_limit` answers, from the document's example.
    pub(super) fn overview(&self, request: &Received, mut example: Value) -> Value {
        let Some(resources) = example["resources"].as_object() else { return example };
        let names: Vec<String> = resources.keys().cloned().collect();
        for name in names {
            let told = self.with(request, &name, |bucket| {
                json!({
                    "limit": bucket.limit,
                    "used": bucket.used,
                    "remaining": bucket.limit.saturating_sub(bucket.used),
                    "reset": self.clock.seconds(bucket.reset),
                })
            });
            if name == "core" && example.get("rate").is_some() {
                example["rate"] = told.clone();
            }
            example["resources"][&name] = told;
        }
        example
    }

    /// Counts an answer, and puts GitHub's headers on it.
    pub(super) fn sign(&self, reply: Reply, request: &Received) -> Reply {
        let version = request.header("x-github-api-version").unwrap_or(API_VERSION).to_owned();
        // An answer that only confirms what an authorized client has costs nothing.
        let free = (reply.status == 304 && request.is_authorized()) || request.path == OVERVIEW;
        let Bucket { limit, used, reset, .. } = self.with(request, &request.resource, |bucket| {
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

    /// Does something with the limit of whom the request is by.
    fn with<T>(
        &self,
        request: &Received,
        resource: &str,
        change: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let now = Instant::now();
        let set = lock(&self.set).get(resource).copied();
        let mut buckets = lock(&self.buckets);
        let whose = (who(request), resource.to_owned());
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&whose) {
            buckets.clear();
        }
        let bucket = buckets.entry(whose).or_insert_with(|| match set {
            Some((limit, window, reset)) => {
                Bucket { limit, used: 0, window, reset, enforced: true }
            }
            None => {
                let (limit, window) = usual(resource, request.is_authorized());
                Bucket { limit, used: 0, window, reset: after(now, window), enforced: false }
            }
        });
        if now >= bucket.reset {
            bucket.used = 0;
            bucket.reset = after(now, bucket.window);
        }
        change(bucket)
    }

    /// Groups of hexadecimal digits, different for every answer, as GitHub's ids are.
    fn request_id(&self) -> String {
        let number = self.served.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.seconds(Instant::now());
        format!("{:04X}:{:06X}:{now:08X}", number >> 24, number & 0xFF_FFFF)
    }
}

/// The end of a window that begins now.
fn after(now: Instant, window: Duration) -> Instant {
    clock::after(now, window.min(MAX_WINDOW))
}

/// Whom a request is by, without its token.
fn who(request: &Received) -> String {
    let authorization = request.headers.get(AUTHORIZATION);
    authorization.map_or_else(String::new, |token| hex(Sha256::digest(token.as_bytes())))
}

/// [GitHub's limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api)
/// for a user, and for nobody.
fn usual(resource: &str, authorized: bool) -> (u64, Duration) {
    match (resource, authorized) {
        ("code_search", _) => (10, MINUTE),
        ("search", true) => (30, MINUTE),
        ("search", false) => (10, MINUTE),
        (_, true) => (5_000, HOUR),
        (_, false) => (60, HOUR),
    }
}

/// The refusal of a call beyond a primary limit, in GitHub's words.
fn exceeded() -> Reply {
    Reply::error(403, "API rate limit exceeded for user ID 1.", DOCS)
}

/// The refusal of a secondary limit, in GitHub's words.
pub(super) fn secondary(retry_after: Option<Duration>) -> Reply {
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you \
                   try again.";
    let reply = Reply::error(403, message, &format!("{DOCS}#about-secondary-rate-limits"));
    match retry_after {
        Some(wait) => {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            reply.header("retry-after", seconds.to_string())
        }
        None => reply,
    }
}
