//! The mock's rate limits: GitHub's headers on every answer, and a refusal where a test asks for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::received::Received;
use super::reply::Reply;

/// What GitHub says about every answer: which request it was, and what is left of its limits.
pub(super) struct Limits {
    served: AtomicU64,
    /// When the mock started, by the clock and by tokio's, which a test may pause.
    started: (SystemTime, Instant),
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// One primary limit.
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

/// GitHub's, for a user.
const WINDOW: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A client may ask for it that does not say which version it wants.
const API_VERSION: &str = "2022-11-28";

const DOCS: &str = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api";

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            served: AtomicU64::new(0),
            started: (SystemTime::now(), Instant::now()),
            buckets: Mutex::default(),
        }
    }

    /// Lets a resource have so many requests in a window, which begins now, and refuses the rest.
    pub(super) fn set(&self, resource: &str, limit: u64, window: Duration) {
        let reset = Instant::now() + window;
        let bucket = Bucket { limit, used: 0, window, reset, enforced: true };
        self.lock().insert(resource.to_owned(), bucket);
    }

    /// Begins anew.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// GitHub's refusal, if the request goes over an enforced limit.
    pub(super) fn refuse(&self, request: &Received) -> Option<Reply> {
        let resource = resource(request);
        let mut buckets = self.lock();
        let bucket = current(&mut buckets, resource);
        (bucket.enforced && bucket.used >= bucket.limit).then(exceeded)
    }

    /// Uses a limit up until its window ends, and refuses.
    pub(super) fn exhaust(&self, request: &Received, window: Duration) -> Reply {
        let reset = Instant::now() + window;
        let mut buckets = self.lock();
        let bucket = current(&mut buckets, resource(request));
        *bucket = Bucket { used: bucket.limit, reset, enforced: true, ..*bucket };
        exceeded()
    }

    /// What `GET /rate_limit` answers, from the document's example.
    pub(super) fn overview(&self, mut example: Value) -> Value {
        let mut buckets = self.lock();
        let names: Vec<String> = match example["resources"].as_object() {
            Some(resources) => resources.keys().cloned().collect(),
            None => return example,
        };
        for name in names {
            let told = self.told(current(&mut buckets, &name));
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
        let resource = resource(request);
        let mut buckets = self.lock();
        let bucket = current(&mut buckets, resource);
        // An answer that only confirms what an authorized client has costs nothing, and neither
        // does the overview of limits.
        let free =
            (reply.status == 304 && request.is_authorized()) || request.path == "/rate_limit";
        if !free {
            bucket.used = (bucket.used + 1).min(bucket.limit);
            if !bucket.enforced && bucket.used == bucket.limit {
                bucket.used = 0;
            }
        }
        let (limit, used) = (bucket.limit, bucket.used);
        let reset = self.seconds(bucket.reset);
        drop(buckets);
        let reply = reply
            .header("date", self.date())
            .header("server", "github.com")
            .header("x-github-request-id", self.request_id())
            .header("x-github-api-version-selected", version)
            .header("x-github-media-type", "github.v3; format=json")
            .header("x-ratelimit-limit", limit.to_string())
            .header("x-ratelimit-remaining", (limit - used).to_string())
            .header("x-ratelimit-used", used.to_string())
            .header("x-ratelimit-reset", reset.to_string())
            .header("x-ratelimit-resource", resource);
        match &request.operation_id {
            Some(id) => reply.header("x-octowire-operation", id),
            None => reply,
        }
    }

    fn told(&self, bucket: &Bucket) -> Value {
        json!({
            "limit": bucket.limit,
            "used": bucket.used,
            "remaining": bucket.limit - bucket.used,
            "reset": self.seconds(bucket.reset),
        })
    }

    /// A time as GitHub tells it: the second after it, so that nobody comes too early.
    fn seconds(&self, at: Instant) -> u64 {
        let (clock, instant) = self.started;
        let since = at.saturating_duration_since(instant);
        let at = (clock + since).duration_since(UNIX_EPOCH).unwrap_or_default();
        at.as_secs() + u64::from(at.subsec_nanos() > 0)
    }

    /// The time by the same clock as the resets.
    fn date(&self) -> String {
        let (clock, instant) = self.started;
        httpdate::fmt_http_date(clock + instant.elapsed())
    }

    /// Groups of hexadecimal digits, different for every answer, as GitHub's ids are.
    fn request_id(&self) -> String {
        let number = self.served.fetch_add(1, Ordering::Relaxed);
        let started = self.seconds(self.started.1);
        format!("{:04X}:{:06X}:{:08X}", number >> 24, number & 0xFF_FFFF, started)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        // Whoever panicked left a map that is still whole.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The refusal of a call beyond a primary limit, in GitHub's words.
fn exceeded() -> Reply {
    let message = "API rate limit exceeded for user ID 1.";
    Reply::error(403, message, DOCS)
}

/// The refusal of a secondary limit, in GitHub's words.
pub(super) fn secondary(retry_after: Option<Duration>) -> Reply {
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you \
                   try again.";
    let reply = Reply::error(403, message, &format!("{DOCS}#about-secondary-rate-limits"));
    match retry_after {
        Some(wait) => reply.header("retry-after", wait.as_secs().to_string()),
        None => reply,
    }
}

/// The primary limit that a request counts against.
fn resource(request: &Received) -> &'static str {
    let known = request.operation_id.as_deref();
    let known = known.and_then(|id| {
        let operations = crate::api::OPERATIONS;
        let index = operations.binary_search_by(|operation| operation.id.cmp(id)).ok()?;
        Some(operations[index].rate_limit)
    });
    match (known, request.path.as_str()) {
        (Some("none") | None, "/graphql") => "graphql",
        (Some(resource), _) if resource != "none" => resource,
        (_, "/search/code") => "code_search",
        (_, path) if path.starts_with("/search/") => "search",
        _ => "core",
    }
}

fn current<'a>(buckets: &'a mut HashMap<String, Bucket>, resource: &str) -> &'a mut Bucket {
    let now = Instant::now();
    let (limit, window) = match resource {
        "code_search" => (10, MINUTE),
        "search" => (30, MINUTE),
        _ => (5_000, WINDOW),
    };
    let bucket = buckets.entry(resource.to_owned()).or_insert(Bucket {
        limit,
        used: 0,
        window,
        reset: now + window,
        enforced: false,
    });
    if now >= bucket.reset {
        bucket.used = 0;
        bucket.reset = now + bucket.window;
    }
    bucket
}
