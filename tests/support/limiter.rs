//! GitHub's rate limits as strictly as they are published, by tokio's clock: a client that exceeds one
//! is rejected, and for twice as long each time.
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use octowire::chrono::{DateTime, Utc};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Received, Reply, Server, json_response};

/// The limits.
#[derive(Clone, Copy, Debug)]
pub struct GitHubLimits {
    pub concurrent: usize,
    pub points: u32,
    pub content_per_minute: usize,
    pub content_per_hour: usize,
    pub core: u64,
    pub search: u64,
}

impl Default for GitHubLimits {
    fn default() -> Self {
        Self {
            concurrent: 100,
            points: 900,
            content_per_minute: 80,
            content_per_hour: 500,
            core: 5000,
            search: 30,
        }
    }
}

pub struct Limiter {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub struct State {
    allowed: GitHubLimits,
    start: Instant,
    wall: SystemTime,
    running: usize,
    points: VecDeque<(Instant, u32)>,
    content: VecDeque<Instant>,
    used: HashMap<&'static str, (u64, u64)>,
    rejected_until: Option<Instant>,
    penalty: Duration,
    /// Why requests were refused.
    pub rejections: Vec<String>,
    /// How often each call was served, by path and query.
    pub served: HashMap<String, usize>,
    /// The points of each second.
    pub seconds: BTreeMap<u64, u32>,
    pub most_at_once: usize,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl Limiter {
    /// `latency` is how long each request takes, by tokio's clock.
    pub async fn start(allowed: GitHubLimits, latency: Duration) -> Self {
        let state = Arc::new(Mutex::new(State {
            allowed,
            start: Instant::now(),
            wall: SystemTime::now(),
            running: 0,
            points: VecDeque::new(),
            content: VecDeque::new(),
            used: HashMap::new(),
            rejected_until: None,
            penalty: 10 * Duration::from_secs(1),
            rejections: Vec::new(),
            served: HashMap::new(),
            seconds: BTreeMap::new(),
            most_at_once: 0,
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let shared = Arc::clone(&shared);
            async move {
                let reply = shared.lock().unwrap().begin(&request);
                if !latency.is_zero() {
                    sleep(latency).await;
                }
                shared.lock().unwrap().running -= 1;
                Reply::Raw(reply)
            }
        });
        Self { server: server.await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    pub fn running(&self) -> usize {
        self.running
    }

    fn begin(&mut self, request: &Received) -> Vec<u8> {
        let now = Instant::now();
        self.running += 1;
        self.most_at_once = self.most_at_once.max(self.running);
        let write = request.method != "GET";
        let cost = if write { 5 } else { 1 };
        while self.points.front().is_some_and(|(then, _)| now - *then >= MINUTE) {
            self.points.pop_front();
        }
        while self.content.front().is_some_and(|then| now - *then >= HOUR) {
            self.content.pop_front();
        }
        let points: u32 = self.points.iter().map(|(_, cost)| cost).sum();
        let content = self.content.iter().filter(|then| now - **then < MINUTE).count();
        let secondary = if self.rejected_until.is_some_and(|until| now < until) {
            Some("it did not wait")
        } else if self.running > self.allowed.concurrent {
            Some("too many at once")
        } else if points + cost > self.allowed.points {
            Some("too many points")
        } else if write && content >= self.allowed.content_per_minute {
            Some("too much content a minute")
        } else if write && self.content.len() >= self.allowed.content_per_hour {
            Some("too much content an hour")
        } else {
            None
        };
        if let Some(reason) = secondary {
            self.rejections.push(format!("{reason} at {:?}", now - self.start));
            if self.rejected_until.is_none_or(|until| until <= now) {
                self.rejected_until = Some(now + self.penalty);
                self.penalty *= 2;
            }
            let until = self.rejected_until.unwrap_or(now);
            let asked = (until - now).as_secs_f64().ceil();
            let left = self.left(request, now);
            let header = format!("retry-after: {asked}\r\n{}", self.headers(request, now, left));
            let body = json!({ "message": "You have exceeded a secondary rate limit." });
            return json_response("403 Forbidden", &header, &body.to_string());
        }
        self.points.push_back((now, cost));
        if write {
            self.content.push_back(now);
        }
        let (resource, limit, window) = self.resource(request);
        let index = (now - self.start).as_secs() / window.as_secs();
        let used = self.used.entry(resource).or_default();
        if used.0 != index {
            *used = (index, 0);
        }
        if used.1 >= limit {
            self.rejections.push(format!("nothing of {resource} is left"));
            let headers = self.headers(request, now, 0);
            let body = json!({ "message": "API rate limit exceeded" });
            return json_response("403 Forbidden", &headers, &body.to_string());
        }
        used.1 += 1;
        let left = limit - used.1;
        *self.seconds.entry((now - self.start).as_secs()).or_default() += cost;
        *self.served.entry(format!("{} {}", request.method, request.target)).or_default() += 1;
        json_response("200 OK", &self.headers(request, now, left), "{}")
    }

    fn left(&self, request: &Received, now: Instant) -> u64 {
        let (resource, limit, window) = self.resource(request);
        let index = (now - self.start).as_secs() / window.as_secs();
        let used = self.used.get(resource).filter(|used| used.0 == index);
        limit - used.map_or(0, |used| used.1)
    }

    fn resource(&self, request: &Received) -> (&'static str, u64, Duration) {
        if request.target.starts_with("/search") {
            ("search", self.allowed.search, MINUTE)
        } else {
            ("core", self.allowed.core, HOUR)
        }
    }

    fn headers(&self, request: &Received, now: Instant, left: u64) -> String {
        let (resource, limit, window) = self.resource(request);
        let passed = now - self.start;
        let next = window * u32::try_from(passed.as_secs() / window.as_secs() + 1).unwrap();
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64().ceil() as u64
        };
        let date = DateTime::<Utc>::from(self.wall + passed).format("%a, %d %b %Y %H:%M:%S GMT");
        format!(
            "date: {date}\r\nx-ratelimit-limit: {limit}\r\nx-ratelimit-remaining: {left}\r\n\
             x-ratelimit-used: {}\r\nx-ratelimit-reset: {}\r\nx-ratelimit-resource: {resource}\r\n",
            limit - left,
            seconds(self.wall + next),
        )
    }
}
