//! A cache never returns another identity's response or an outdated one, for any order of calls.

use std::sync::atomic::Ordering;

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use octowire::rate_limit::RateLimitPolicy;
use octowire::store::{DiskStore, MemoryStore};
use octowire::{Client, Response};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::Rotating;
use crate::support::resources::Resources;

/// One step of a scenario.
#[derive(Clone, Debug)]
enum Step {
    Read {
        user: usize,
        path: usize,
        accept: usize,
    },
    /// Two read at once.
    Both {
        one: usize,
        other: usize,
        path: usize,
    },
    /// The resource changes on GitHub.
    Change {
        path: usize,
    },
    Write {
        user: usize,
        path: usize,
    },
    Rotate {
        user: usize,
    },
    /// GitHub's tags are otherwise from now on.
    Tags(bool),
}

const USERS: [&str; 4] =
    ["user:a", "user:b", "installation:1", "installation:1;permissions=issues:read"];
const PATHS: [&str; 4] = ["/repos/o/r", "/repos/o/r/issues", "/repos/o/r/issues/1", "/user"];
const ACCEPT: [&str; 2] = ["application/vnd.github+json", "application/vnd.github.raw+json"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (user, path) = (0..USERS.len(), 0..PATHS.len());
    let step = prop_oneof![
        8 => (user.clone(), path.clone(), 0..ACCEPT.len())
            .prop_map(|(user, path, accept)| Step::Read { user, path, accept }),
        3 => (user.clone(), user.clone(), path.clone())
            .prop_map(|(one, other, path)| Step::Both { one, other, path }),
        2 => path.clone().prop_map(|path| Step::Change { path }),
        1 => (user.clone(), path).prop_map(|(user, path)| Step::Write { user, path }),
        2 => user.prop_map(|user| Step::Rotate { user }),
        1 => any::<bool>().prop_map(Step::Tags),
    ];
    prop::collection::vec(step, 1..60)
}

/// The response that each identity can see: a common one of some paths, and its own of others.
fn body(path: &str, version: u64, token: &str) -> String {
    let user =
        token.trim_start_matches("Bearer ghs_").rsplit_once('_').map_or("", |(user, _)| user);
    let sees = match path {
        "/user" => user,
        "/repos/o/r" => "all",
        _ if user.starts_with("user") => "a user",
        _ => user,
    };
    format!(r#"{{"version":{version},"for":"{sees}"}}"#)
}

async fn read(client: &Client, path: &str, accept: &str, policy: &CachePolicy) -> Response<Value> {
    let call = client.request(Method::GET, path).accept(accept).cache(policy.clone());
    call.send::<Value>().await.unwrap()
}

async fn play(cache: CacheConfig, steps: Vec<Step>, policy: CachePolicy) {
    let github = Resources::start().await;
    github.state().body = body;
    let limits = RateLimitPolicy::disabled();
    let client =
        github.server.default_client_builder().rate_limits(limits).cache(cache).build().unwrap();
    let sources: Vec<Rotating> = USERS.iter().map(|name| Rotating::new(name)).collect();
    let clients: Vec<Client> =
        sources.iter().map(|source| client.with_auth(source.clone())).collect();
    let trusts = policy != CachePolicy::revalidate();
    let check = |user: usize, path: &str, response: &Response<Value>| {
        let token = format!("Bearer ghs_{}_0", USERS[user]);
        let expected: Value = serde_json::from_str(&github.state().body(path, &token)).unwrap();
        assert_eq!(response["for"], expected["for"], "{} reads {path}", USERS[user]);
        if !trusts {
            assert_eq!(response["version"], expected["version"], "{} reads {path}", USERS[user]);
        }
        if response.meta().cache_status() == CacheStatus::Hit {
            assert!(trusts);
        }
    };
    for step in steps {
        match step {
            Step::Read { user, path, accept } => {
                let response = read(&clients[user], PATHS[path], ACCEPT[accept], &policy).await;
                check(user, PATHS[path], &response);
            }
            Step::Both { one, other, path } => {
                let (first, second) = tokio::join!(
                    read(&clients[one], PATHS[path], ACCEPT[0], &policy),
                    read(&clients[other], PATHS[path], ACCEPT[0], &policy),
                );
                check(one, PATHS[path], &first);
                check(other, PATHS[path], &second);
            }
            Step::Change { path } => github.change(PATHS[path]),
            Step::Write { user, path } => {
                let write = clients[user].request(Method::PUT, PATHS[path]);
                write.send_empty().await.unwrap();
                // A client reads its own write.
                let response = read(&clients[user], PATHS[path], ACCEPT[0], &policy).await;
                let version = github.state().versions[PATHS[path]];
                assert_eq!(response["version"], version, "{} wrote {}", USERS[user], PATHS[path]);
            }
            Step::Rotate { user } => {
                clients[user].invalidate_token().await.unwrap();
                sources[user].number.fetch_add(1, Ordering::Relaxed);
            }
            Step::Tags(observed) => github.state().observed_tags = observed,
        }
    }
}

/// Plays random stories, with this many for each policy.
pub fn stories(cases: u32, cache: impl Fn() -> CacheConfig) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for policy in [CachePolicy::revalidate(), CachePolicy::five_minutes()] {
        let mut runner = TestRunner::new(Config::with_cases(cases));
        let result = runner.run(&steps(), |steps| {
            runtime.block_on(play(cache(), steps, policy.clone()));
            Ok(())
        });
        result.unwrap();
    }
}

#[test]
fn a_memory_cache_never_returns_another_identitys_response() {
    stories(150, CacheConfig::default);
}

#[test]
fn a_shared_cache_never_returns_another_identitys_response_from_a_store() {
    stories(60, || CacheConfig::store(MemoryStore::new()).compress_above(100));
}

#[test]
fn a_shared_cache_never_returns_another_identitys_response_from_disk() {
    let folder = crate::support::Folder::new("cache-isolation");
    let number = std::cell::Cell::new(0);
    stories(30, || {
        number.set(number.get() + 1);
        let disk = DiskStore::open(folder.0.join(number.get().to_string())).unwrap();
        CacheConfig::store(disk).store_timeout(std::time::Duration::from_secs(5))
    });
}

#[cfg(feature = "redis")]
#[test]
fn a_shared_cache_never_returns_another_identitys_response_from_redis() {
    use octowire::store::RedisStore;
    let server = crate::redis_servers::RedisServer::start();
    stories(30, || {
        server.ask(&["FLUSHALL"]);
        let redis = RedisStore::builder(server.url()).build().unwrap();
        CacheConfig::store(redis)
            .compress_above(100)
            .store_timeout(std::time::Duration::from_secs(5))
    });
}

#[tokio::test]
async fn a_body_is_shared_between_identities_only_after_github_confirms_it_for_both() {
    let github = Resources::start().await;
    github.state().body = body;
    let client = github.server.default_client_builder().build().unwrap();
    let [a, b, app, _] = USERS.map(|name| client.with_auth(Rotating::new(name)));
    let policy = CachePolicy::revalidate();
    let status =
        async |client, path| read(client, path, ACCEPT[0], &policy).await.meta().cache_status();
    assert_eq!(status(&a, "/repos/o/r").await, CacheStatus::Miss);
    assert_eq!(status(&b, "/repos/o/r").await, CacheStatus::Revalidated);
    assert_eq!(status(&app, "/repos/o/r").await, CacheStatus::Revalidated);
    assert_eq!(github.replies(), (1, 2));
    assert_eq!(status(&a, "/user").await, CacheStatus::Miss);
    assert_eq!(status(&b, "/user").await, CacheStatus::Miss);
    // The first one receives only the headers that belong to the body.
    github.state().headers = "x-oauth-scopes: repo\r\nlast-modified: x\r\n".to_owned();
    github.change("/repos/o/r/issues/1");
    assert_eq!(status(&a, "/repos/o/r/issues/1").await, CacheStatus::Miss);
    github.state().headers = String::new();
    let second = read(&b, "/repos/o/r/issues/1", ACCEPT[0], &policy).await;
    assert_eq!(second.meta().cache_status(), CacheStatus::Revalidated);
    assert!(!second.meta().headers().contains_key("x-oauth-scopes"));
    assert!(second.meta().headers().contains_key("last-modified"));
    // Links are not in the tag, and state how many items there are.
    github.state().headers = "link: <https://x/?page=9>; rel=\"last\"\r\n".to_owned();
    assert_eq!(status(&a, "/repos/o/r/issues").await, CacheStatus::Miss);
    assert_eq!(status(&b, "/repos/o/r/issues").await, CacheStatus::Miss);
}
