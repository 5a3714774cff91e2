//! The compared clients, each making the same calls as its own users would write them.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use octocrab::service::middleware::cache::mem::InMemoryCache;
use octowire::cache::CacheConfig;
use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};
use serde::de::DeserializeOwned;

use crate::Result;
use crate::bodies::{Body, COMMENT, OWNER, REPO};

/// The length of a personal access token.
pub const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// One of the compared clients, connected to the server.
///
/// The numbers that the calls return are what [`Body::answer`] expects.
trait Client: Clone + Send + Sync + Sized + 'static {
    const NAME: &'static str;

    fn connect(url: &str) -> Result<Self>;
    fn comment(&self) -> impl Future<Output = Result<u64>> + Send;
    fn repository(&self) -> impl Future<Output = Result<u64>> + Send;
    fn list(&self) -> impl Future<Output = Result<u64>> + Send;

    fn call(&self, body: Body) -> impl Future<Output = Result<u64>> + Send {
        async move {
            match body {
                Body::Comment => self.comment().await,
                Body::Repository => self.repository().await,
                Body::Issues => self.list().await,
            }
        }
    }
}

/// The types that a body is decoded into.
trait Types: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    type Comment: DeserializeOwned + Send;
    type Repository: DeserializeOwned + Send;
    type Issue: DeserializeOwned + Send;

    fn comment(comment: &Self::Comment) -> u64;
    fn repository(repository: &Self::Repository) -> u64;
    fn issues(issues: &[Self::Issue]) -> u64;
}

#[derive(Clone)]
struct OctowireTypes;

impl Types for OctowireTypes {
    const NAME: &'static str = "bare reqwest + serde_json";

    type Comment = octowire::types::IssueComment;
    type Repository = octowire::types::FullRepository;
    type Issue = octowire::types::Issue;

    fn comment(comment: &Self::Comment) -> u64 {
        comment.id.unsigned_abs()
    }

    fn repository(repository: &Self::Repository) -> u64 {
        repository.id.unsigned_abs()
    }

    fn issues(issues: &[Self::Issue]) -> u64 {
        issues.iter().map(|issue| issue.number.unsigned_abs()).sum()
    }
}

#[derive(Clone)]
struct OctocrabTypes;

impl Types for OctocrabTypes {
    const NAME: &'static str = "bare reqwest + serde_json, octocrab's types";

    type Comment = octocrab::models::issues::Comment;
    type Repository = octocrab::models::Repository;
    type Issue = octocrab::models::issues::Issue;

    fn comment(comment: &Self::Comment) -> u64 {
        *comment.id
    }

    fn repository(repository: &Self::Repository) -> u64 {
        *repository.id
    }

    fn issues(issues: &[Self::Issue]) -> u64 {
        issues.iter().map(|issue| issue.number).sum()
    }
}

/// A client without a GitHub library, with the headers that GitHub requires and a timeout.
#[derive(Clone)]
struct Bare<T> {
    http: reqwest::Client,
    url: String,
    types: PhantomData<T>,
}

impl<T: Types> Bare<T> {
    async fn get<B: DeserializeOwned>(&self, url: String) -> Result<B> {
        let body = self.http.get(url).send().await?.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&body)?)
    }
}

/// reqwest with the headers that GitHub requires, and otherwise as octowire configures it.
pub fn bare_http() -> Result<reqwest::Client> {
    let mut token = HeaderValue::try_from(format!("Bearer {TOKEN}"))?;
    token.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert(AUTHORIZATION, token);
    headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
    // With octowire's reqwest settings, so that the only difference is octowire.
    let http = reqwest::Client::builder()
        .user_agent("octowire-bench")
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(30))
        .build()?;
    Ok(http)
}

impl<T: Types> Client for Bare<T> {
    const NAME: &'static str = T::NAME;

    fn connect(url: &str) -> Result<Self> {
        Ok(Self { http: bare_http()?, url: url.to_owned(), types: PhantomData })
    }

    async fn comment(&self) -> Result<u64> {
        let url = format!("{}/repos/{OWNER}/{REPO}/issues/comments/{COMMENT}", self.url);
        Ok(T::comment(&self.get(url).await?))
    }

    async fn repository(&self) -> Result<u64> {
        let url = format!("{}/repos/{OWNER}/{REPO}", self.url);
        Ok(T::repository(&self.get(url).await?))
    }

    async fn list(&self) -> Result<u64> {
        let url = format!("{}/repos/{OWNER}/{REPO}/issues", self.url);
        Ok(T::issues(&self.get::<Vec<T::Issue>>(url).await?))
    }
}

/// A client that checks all limits without reaching any.
pub fn octowire(url: &str, cache: CacheConfig) -> Result<octowire::Client> {
    let pacing = SecondaryLimits::default().points_per_minute(u32::MAX).max_concurrent(u32::MAX);
    let limits = RateLimitPolicy::default().secondary_limits(pacing);
    let builder = octowire::Client::builder().base_url(url).token(TOKEN);
    Ok(builder.rate_limits(limits).cache(cache).build()?)
}

impl Client for octowire::Client {
    const NAME: &'static str = "octowire";

    fn connect(url: &str) -> Result<Self> {
        // The other clients store nothing: `octowire-bench cache` covers that.
        octowire(url, CacheConfig::disabled())
    }

    async fn comment(&self) -> Result<u64> {
        let call = self.issues().get_comment().owner(OWNER).repo(REPO).comment_id(COMMENT as i64);
        Ok(OctowireTypes::comment(&*call.send().await?))
    }

    async fn repository(&self) -> Result<u64> {
        let call = self.repos().get().owner(OWNER).repo(REPO);
        Ok(OctowireTypes::repository(&*call.send().await?))
    }

    async fn list(&self) -> Result<u64> {
        let call = self.issues().list_for_repo().owner(OWNER).repo(REPO);
        Ok(OctowireTypes::issues(&call.send().await?))
    }
}

impl Client for octocrab::Octocrab {
    const NAME: &'static str = "octocrab";

    fn connect(url: &str) -> Result<Self> {
        Ok(Self::builder().base_uri(url)?.personal_token(TOKEN).build()?)
    }

    async fn comment(&self) -> Result<u64> {
        let comment = self.issues(OWNER, REPO).get_comment(COMMENT.into()).await?;
        Ok(OctocrabTypes::comment(&comment))
    }

    async fn repository(&self) -> Result<u64> {
        let repository = self.repos(OWNER, REPO).get().await?;
        Ok(OctocrabTypes::repository(&repository))
    }

    async fn list(&self) -> Result<u64> {
        let page = self.issues(OWNER, REPO).list().send().await?;
        Ok(OctocrabTypes::issues(&page.items))
    }
}

/// octocrab with its cache, which revalidates each time.
pub fn octocrab_with_cache(url: &str) -> Result<Box<dyn Subject>> {
    let cache = InMemoryCache::new();
    let builder = octocrab::Octocrab::builder().base_uri(url)?.personal_token(TOKEN);
    Ok(Box::new(builder.cache(cache).build()?))
}

/// A compared client behind a pointer, for the measuring loops. A loop of calls is boxed, so that a call
/// itself is as its client makes it.
pub trait Subject: Send + Sync {
    fn name(&self) -> &'static str;

    /// Makes this many calls, one after the other.
    fn repeat(&self, body: Body, count: u64) -> Boxed<()>;

    /// Makes calls, one after the other, until stopped; returns their number.
    fn until(&self, body: Body, stop: Arc<AtomicBool>) -> Boxed<u64>;

    /// Makes calls, one after the other, until stopped; returns the time of each.
    fn latencies(&self, body: Body, stop: Arc<AtomicBool>) -> Boxed<Vec<Duration>>;
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The cost of decoding the bodies with octowire's types.
pub fn decode(body: Body, bytes: &[u8]) -> Result<u64> {
    Ok(match body {
        Body::Comment => OctowireTypes::comment(&serde_json::from_slice(bytes)?),
        Body::Repository => OctowireTypes::repository(&serde_json::from_slice(bytes)?),
        Body::Issues => {
            let issues: Vec<octowire::types::Issue> = serde_json::from_slice(bytes)?;
            OctowireTypes::issues(&issues)
        }
    })
}

impl<C: Client> Subject for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn repeat(&self, body: Body, count: u64) -> Boxed<()> {
        let client = self.clone();
        Box::pin(async move {
            for _ in 0..count {
                check::<C>(body, client.call(body).await)?;
            }
            Ok(())
        })
    }

    fn until(&self, body: Body, stop: Arc<AtomicBool>) -> Boxed<u64> {
        let client = self.clone();
        Box::pin(async move {
            let mut count = 0;
            while !stop.load(Relaxed) {
                check::<C>(body, client.call(body).await)?;
                count += 1;
            }
            Ok(count)
        })
    }

    fn latencies(&self, body: Body, stop: Arc<AtomicBool>) -> Boxed<Vec<Duration>> {
        let client = self.clone();
        Box::pin(async move {
            let mut latencies = Vec::new();
            while !stop.load(Relaxed) {
                let start = Instant::now();
                check::<C>(body, client.call(body).await)?;
                latencies.push(start.elapsed());
            }
            Ok(latencies)
        })
    }
}

#[inline]
fn check<C: Client>(body: Body, response: Result<u64>) -> Result<()> {
    match response {
        Ok(response) if response == body.answer() => Ok(()),
        Ok(response) => Err(format!("{}: {} gave {response}", C::NAME, body.operation()).into()),
        Err(error) => Err(format!("{}: {}: {error:?}", C::NAME, body.operation()).into()),
    }
}

/// A client and its name on the command line.
pub struct Entry {
    pub key: &'static str,
    pub name: &'static str,
    connect: fn(&str) -> Result<Box<dyn Subject>>,
}

impl Entry {
    pub const ALL: [Self; 4] = [
        Self::of::<Bare<OctowireTypes>>("reqwest"),
        Self::of::<octowire::Client>("octowire"),
        Self::of::<Bare<OctocrabTypes>>("reqwest-octocrab"),
        Self::of::<octocrab::Octocrab>("octocrab"),
    ];

    /// The client that others are compared with, by its index in [`Entry::ALL`].
    pub const BASE: usize = 0;

    const fn of<C: Client>(key: &'static str) -> Self {
        Self { key, name: C::NAME, connect: |url| Ok(Box::new(C::connect(url)?)) }
    }

    /// The client with this name on the command line.
    pub fn named(key: &str) -> Result<&'static Self> {
        const ALL: &[Entry] = &Entry::ALL;
        let known = ALL.iter().find(|entry| entry.key == key);
        known.ok_or_else(|| format!("there is no client {key}").into())
    }

    /// Connects within the client's runtime.
    pub fn connect(&self, url: &str) -> Result<Box<dyn Subject>> {
        (self.connect)(url)
    }
}
