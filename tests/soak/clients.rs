//! A process of clients that do everything at once, and check each result.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::rate_limit::{LimitAction, RateLimitPolicy, SecondaryLimits};
use octowire::store::RedisStore;
use octowire::usage::{Budget, Period, UsageConfig};
use octowire::{Client, Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::github::{ITEMS, NARROW, PAGE, PAGES, WIDE, WIDE_LIMITS, checksum};
use super::process::{self, FOLDER};
use super::random::Random;

pub const GITHUB: &str = "OCTOWIRE_SOAK_GITHUB";
pub const REDIS: &str = "OCTOWIRE_SOAK_REDIS";
pub const SEED: &str = "OCTOWIRE_SOAK_CLIENTS_SEED";
pub const SECONDS: &str = "OCTOWIRE_SOAK_CLIENTS_SECONDS";
/// The longest time in which the process must end after the soak.
pub const PATIENCE: Duration = Duration::from_secs(240);

const WORKERS: u64 = 16;
const NARROW_WORKERS: u64 = 2;
/// The longest wait of a call for a limit.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// A worker that needs longer for one step hangs: a call's timeout, its wait for limits and the
/// pauses between attempts are shorter together.
const MAX_STEP: Duration = Duration::from_secs(90);
/// The longest recovery time after the faults have ended: a minute for the
/// limits, and the circuit breaker's pause.
const RECOVERY: Duration = Duration::from_secs(120);
const LAST_CALLS: usize = 50;
/// The longest pause of a worker after a call that should not be repeated at once.
const MAX_PAUSE: Duration = Duration::from_millis(500);
const SUMMARY: &str = "summary of the clients: ";

/// The observations of the clients of a process.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    succeeded: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    cancelled: u64,
}

/// One client, and its known versions of the items.
struct Worked {
    client: Client,
    token: &'static str,
    /// The version of each item that this client's own writes have produced at least.
    written: Mutex<HashMap<u64, u64>>,
}

struct Shared {
    folder: PathBuf,
    summary: Mutex<Summary>,
}

#[ignore = "a process of the soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let variable = |name: &str| std::env::var(name).expect("the soak sets it");
    process::report_panics(Path::new(&folder));
    let length = Duration::from_secs(variable(SECONDS).parse().unwrap());
    let mut random = Random::new(variable(SEED).parse().unwrap());
    let store = RedisStore::builder(variable(REDIS)).build().unwrap();
    let github = variable(GITHUB);
    let clients = [
        worked(&github, WIDE, &store, CacheConfig::store(store.clone())),
        worked(&github, WIDE, &store, CacheConfig::memory(8 << 20)),
        worked(&github, NARROW, &store, CacheConfig::memory(1 << 20)),
    ];
    let shared =
        Arc::new(Shared { folder: folder.into(), summary: Mutex::new(Summary::default()) });
    let (began, mut workers) = (Instant::now(), Vec::new());
    for client in &clients {
        let count = if client.token == WIDE { WORKERS } else { NARROW_WORKERS };
        for _ in 0..count {
            let (client, shared) = (Arc::clone(client), Arc::clone(&shared));
            let mut random = Random::new(random.next());
            workers.push(tokio::spawn(async move {
                while began.elapsed() < length {
                    let step = timeout(MAX_STEP, step(&client, &shared, &mut random)).await;
                    match step {
                        Ok(None) => {}
                        // An application would wait for longer.
                        Ok(Some(retry_after)) => sleep(retry_after.min(MAX_PAUSE)).await,
                        Err(_) => shared.violation("a step hangs"),
                    }
                }
            }));
        }
    }
    for worker in workers {
        if let Err(error) = worker.await {
            shared.violation(&format!("a worker ended: {error}"));
        }
    }
    for client in &clients {
        all_is_given_back(client, &shared).await;
    }
    let summary = shared.summary.lock().unwrap_or_else(PoisonError::into_inner);
    println!("\n{SUMMARY}{}", serde_json::to_string(&*summary).unwrap());
}

fn worked(
    github: &str,
    token: &'static str,
    store: &RedisStore,
    cache: CacheConfig,
) -> Arc<Worked> {
    let limits = RateLimitPolicy::default().on_limit(LimitAction::Wait { max: MAX_WAIT });
    let limits = match token {
        WIDE => limits.secondary_limits(
            SecondaryLimits::default()
                .max_concurrent(WIDE_LIMITS.concurrent * 2 / 3)
                .points_per_minute(WIDE_LIMITS.points_per_minute)
                .content_per_minute(u32::try_from(WIDE_LIMITS.content_per_minute).unwrap())
                .content_per_hour(None)
                .min_write_interval(Duration::ZERO),
        ),
        _ => limits,
    };
    let budget =
        Budget::new("soak", Period::Day).soft_limit(1_000_000_000).hard_limit(2_000_000_000);
    let client = Client::builder()
        .base_url(github)
        .token(token)
        .rate_limits(limits)
        .store(store.clone())
        .cache(cache)
        .usage(UsageConfig::new().budget(budget))
        .attempt_timeout(Duration::from_secs(2))
        .call_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    Arc::new(Worked { client, token, written: Mutex::default() })
}

/// Performs one action of an application, and returns the delay that an error requests.
async fn step(worked: &Worked, shared: &Shared, random: &mut Random) -> Option<Duration> {
    let item = random.below(ITEMS);
    match random.below(100) {
        0..=49 => shared.count("read", read(worked, shared, item).await),
        50..=64 => {
            let patience = Duration::from_millis(random.below(60));
            match timeout(patience, read(worked, shared, item)).await {
                Ok(result) => shared.count("read", result),
                Err(_) => shared.cancelled(),
            }
        }
        65..=74 => {
            let marker = format!("{:x}", random.next());
            let body = json!({ "marker": marker });
            shared.count("write", write(worked, Method::POST, "/comments", item, &body).await)
        }
        75..=79 => shared.count("put", write(worked, Method::PUT, "", item, &json!({})).await),
        80..=86 => shared.count("list", list(worked, shared, random).await),
        87..=93 => {
            let calls = (0..8).map(|number| worked.get((item + number) % ITEMS).send::<Value>());
            let results = worked.client.batch(calls).concurrency(4).collect().await;
            let counted = results.into_iter().map(|result| shared.count("batch", result.map(drop)));
            counted.fold(None, Option::max)
        }
        _ => shared.count("download", download(worked, shared, item, random).await),
    }
}

impl Worked {
    fn get(&self, item: u64) -> octowire::Request {
        self.client.request(Method::GET, path(item))
    }

    fn written(&self, item: u64) -> u64 {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&item).copied().unwrap_or_default()
    }
}

fn path(item: u64) -> String {
    format!("/repos/owner-{}/soak/items/{item}", item % 7)
}

async fn read(worked: &Worked, shared: &Shared, item: u64) -> Result<()> {
    let least = worked.written(item);
    let body = worked.get(item).send::<Value>().await?.into_inner();
    check(worked, shared, item, least, &body);
    Ok(())
}

/// Reports a body that does not match the request.
fn check(worked: &Worked, shared: &Shared, item: u64, least: u64, body: &Value) {
    let text = body["text"].as_str().unwrap_or_default();
    if body["path"] != path(item) || body["token"] != worked.token {
        let (path, token) = (&body["path"], &body["token"]);
        shared.violation(&format!("item {item} for {}: {path} of {token}", worked.token));
    }
    if body["sum"] != checksum(text) {
        shared.violation(&format!("item {item} is not whole"));
    }
    if body["version"].as_u64().is_none_or(|version| version < least) {
        let version = &body["version"];
        shared.violation(&format!("item {item} is version {version}, and {least} was written"));
    }
}

async fn write(
    worked: &Worked,
    method: Method,
    suffix: &str,
    item: u64,
    body: &Value,
) -> Result<()> {
    let request = worked.client.request(method, format!("{}{suffix}", path(item)));
    let written = request.json(body).send::<Value>().await?.into_inner();
    let version = written["version"].as_u64().unwrap_or_default();
    let mut known = worked.written.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.entry(item).or_default();
    *known = version.max(*known);
    Ok(())
}

async fn list(worked: &Worked, shared: &Shared, random: &mut Random) -> Result<()> {
    let request = worked.client.request(Method::GET, "/list").prefetch(2);
    let mut items = request.items(|page: Vec<u64>| page);
    if random.percent(30) {
        // The rest is dropped while pages are fetched ahead.
        items.try_next().await?;
        return Ok(());
    }
    let items = items.collect_all(1_000).await?;
    if items != (0..PAGES * PAGE).collect::<Vec<_>>() {
        shared.violation(&format!("the list is {items:?}"));
    }
    Ok(())
}

async fn download(worked: &Worked, shared: &Shared, item: u64, random: &mut Random) -> Result<()> {
    let least = worked.written(item);
    let mut stream = worked.get(item).send_stream().await?.into_inner();
    if random.percent(30) {
        stream.try_next().await?;
        return Ok(());
    }
    let bytes = stream.bytes(1 << 20).await?;
    match serde_json::from_slice(&bytes) {
        Ok(body) => check(worked, shared, item, least, &body),
        Err(_) if bytes.ends_with(b"nothing") => {}
        Err(error) => shared.violation(&format!("a download of {} bytes: {error}", bytes.len())),
    }
    Ok(())
}

/// Waits until no call is counted any more, and then makes as many calls at once as are allowed.
async fn all_is_given_back(worked: &Worked, shared: &Shared) {
    let began = Instant::now();
    loop {
        let limits = worked.client.health().limits;
        if limits.in_flight == 0 && limits.queued == 0 {
            break;
        }
        if began.elapsed() > RECOVERY {
            shared.violation(&format!("permits are lost: {limits:?}"));
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    loop {
        let calls = (0..LAST_CALLS).map(|_| async {
            let request = worked.client.request(Method::GET, "/list");
            request.cache(CachePolicy::no_store()).send::<Value>().await
        });
        let results = join_all(calls).await;
        let Some(error) = results.into_iter().find_map(Result::err) else { break };
        if began.elapsed() > RECOVERY {
            shared.violation(&format!("calls fail though GitHub is well: {error}"));
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    worked.client.close().await;
}

impl Shared {
    fn violation(&self, text: &str) {
        process::report(&self.folder, text);
    }

    fn cancelled(&self) -> Option<Duration> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).cancelled += 1;
        None
    }

    /// Counts a result; returns the time that an error asks to wait.
    fn count(&self, what: &str, result: Result<()>) -> Option<Duration> {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                *summary.succeeded.entry(what.to_owned()).or_default() += 1;
                None
            }
            Err(error) => {
                let kind = error.kind().name().to_owned();
                *summary.failed.entry(kind).or_default() += 1;
                drop(summary);
                if !is_expected(&error) {
                    self.violation(&format!("{what}: {error}"));
                }
                error.retry_after()
            }
        }
    }
}

/// Whether this GitHub and this Redis explain the error.
fn is_expected(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Transport
        | ErrorKind::Timeout
        | ErrorKind::Decode
        | ErrorKind::RateLimit
        | ErrorKind::CircuitOpen => true,
        ErrorKind::Api => error.status().is_some_and(|status| matches!(status.as_u16(), 403 | 502)),
        _ => false,
    }
}

impl Summary {
    pub fn read(output: &str) -> Self {
        let line = output.lines().find_map(|line| line.strip_prefix(SUMMARY));
        let line = line.unwrap_or_else(|| panic!("no summary: {output}"));
        serde_json::from_str(line).unwrap()
    }

    /// A soak in which nothing succeeded or nothing failed shows nothing.
    pub fn assert_useful(&self) {
        for what in ["read", "write", "put", "list", "batch", "download"] {
            assert!(self.succeeded.contains_key(what), "no {what} succeeded: {self}");
        }
        assert!(!self.failed.is_empty() && self.cancelled > 0, "{self}");
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { succeeded, failed, cancelled } = self;
        write!(f, "succeeded: {succeeded:?}, failed: {failed:?}, {cancelled} cancelled")
    }
}
