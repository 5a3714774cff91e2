//! Repeated reads cost no quota, and no identity gets the response of another.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use octowire::auth::{AccessToken, TokenFuture, TokenProvider, TokenRequest};
use octowire::cache::{CacheConfig, CachePolicy, CacheSelector, CacheStatus};
use octowire::{Client, ErrorKind, Response};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::support::resources::Resources;
use crate::support::{FrozenClock, Reply, Server, json_response};

mod coalescing;
mod isolation;
mod refreshes;
pub mod responder;
mod rfc9111;
mod stores;
mod writes;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Has only [`advance`] move what the library takes for the time of day while the result lives, however long the test
/// takes: by the paused clock, it is later than it is, and of the two, the later one counts. Comes before the first call.
async fn still() -> FrozenClock {
    let still = FrozenClock::new();
    // The two are set side by side when the library asks for the time first, which a clock that was moved on before
    // would not be ahead of.
    let client = Client::builder().base_url("http://127.0.0.1:1").build().unwrap();
    let _ = client.health();
    advance(HOUR).await;
    still
}

/// An identity whose tokens change.
#[derive(Clone, Debug)]
pub struct Rotating {
    pub name: String,
    pub number: Arc<AtomicUsize>,
}

impl Rotating {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), number: Arc::default() }
    }
}

impl TokenProvider for Rotating {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let token = AccessToken::new(format!("ghs_{}_{number}", self.name));
        Box::pin(async { token })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }
}

fn client(github: &Resources, cache: CacheConfig) -> Client {
    github.server.default_client_builder().auth(Rotating::new("octo")).cache(cache).build().unwrap()
}

async fn get(client: &Client, path: &str) -> Response<Value> {
    client.request(Method::GET, path).send::<Value>().await.unwrap()
}

async fn status(client: &Client, path: &str) -> CacheStatus {
    get(client, path).await.meta().cache_status()
}

#[tokio::test]
async fn a_repeated_read_is_confirmed_and_does_not_count() {
    let github = Resources::start().await;
    let client = client(&github, CacheConfig::default());
    let first = get(&client, "/repos/o/r").await;
    assert_eq!((first.meta().cache_status(), first.meta().age()), (CacheStatus::Miss, None));
    for _ in 0..3 {
        let again = get(&client, "/repos/o/r").await;
        assert_eq!(again.meta().cache_status(), CacheStatus::Revalidated);
        assert_eq!((again.meta().status().as_u16(), &*again), (200, &*first));
        assert_eq!(again.meta().headers()["content-type"], first.meta().headers()["content-type"]);
        let (limit, before) =
            (again.meta().rate_limit().unwrap(), first.meta().rate_limit().unwrap());
        assert!(
            limit.remaining == before.remaining - 1
                && again.meta().request_id() != first.meta().request_id()
        );
    }
    assert_eq!(github.replies(), (1, 3));
    github.change("/repos/o/r");
    let changed = get(&client, "/repos/o/r").await;
    assert_eq!(
        (changed.meta().cache_status(), &changed["version"]),
        (CacheStatus::Miss, &json!(1))
    );
    // Another question is another answer.
    assert_eq!(status(&client, "/repos/o/r?page=2").await, CacheStatus::Miss);
}

#[tokio::test]
async fn etag_prediction_keeps_entries_valid_after_a_token_change() {
    let github = Resources::start().await;
    let client = client(&github, CacheConfig::default());
    get(&client, "/user").await;
    for _ in 0..5 {
        client.invalidate_token().await.unwrap();
        assert_eq!(status(&client, "/user").await, CacheStatus::Revalidated);
        assert_eq!(status(&client, "/user").await, CacheStatus::Revalidated);
    }
    let tokens: std::collections::HashSet<_> = github
        .server
        .requests()
        .into_iter()
        .map(|one| one.headers["authorization"].clone())
        .collect();
    assert_eq!(tokens.len(), 6);
    assert_eq!(github.replies().0, 1);
}

#[tokio::test]
async fn without_predictable_etags_a_new_token_costs_one_read() {
    let github = Resources::start().await;
    github.state().observed_tags = false;
    let client = client(&github, CacheConfig::default());
    get(&client, "/user").await;
    for _ in 0..3 {
        client.invalidate_token().await.unwrap();
        assert_eq!(status(&client, "/user").await, CacheStatus::Miss);
        assert_eq!(status(&client, "/user").await, CacheStatus::Revalidated);
    }
    for request in github.server.requests() {
        let tags = request.headers.get("if-none-match").map_or(0, |tags| tags.split(", ").count());
        assert!(tags <= 1);
    }
}

#[tokio::test]
async fn a_wrong_etag_prediction_costs_only_the_saving() {
    let github = Resources::start().await;
    let client = client(&github, CacheConfig::default());
    get(&client, "/user").await;
    github.state().observed_tags = false;
    for _ in 0..4 {
        client.invalidate_token().await.unwrap();
        assert_eq!(status(&client, "/user").await, CacheStatus::Miss);
        assert_eq!(status(&client, "/user").await, CacheStatus::Revalidated);
    }
    let guesses = github.server.requests().into_iter().filter(|request| {
        request.headers.get("if-none-match").is_some_and(|tags| tags.contains(", "))
    });
    assert_eq!(guesses.count(), 1);
}

#[tokio::test]
async fn computed_tags_can_be_switched_off() {
    let github = Resources::start().await;
    let client = client(&github, CacheConfig::default().computed_etags(false));
    get(&client, "/user").await;
    client.invalidate_token().await.unwrap();
    assert_eq!(status(&client, "/user").await, CacheStatus::Miss);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_response_is_served_without_a_request_until_it_expires() {
    let _still = still().await;
    let github = Resources::start().await;
    for (policy, seconds) in [
        (CachePolicy::five_minutes(), 300),
        (CachePolicy::max_age(7 * SECOND), 7),
        (CachePolicy::one_hour(), 3_600),
    ] {
        let client = client(&github, CacheConfig::default().default_policy(policy));
        let before = github.sent();
        assert_eq!(status(&client, "/user").await, CacheStatus::Miss);
        advance(SECOND * (seconds - 1)).await;
        let hit = get(&client, "/user").await;
        assert_eq!(hit.meta().cache_status(), CacheStatus::Hit);
        let age = hit.meta().age().unwrap().as_secs();
        assert!((seconds - 2..=seconds).contains(&u32::try_from(age).unwrap()), "{age}");
        assert_eq!(hit.meta().rate_limit(), None, "what was said of it then is of no use now");
        advance(2 * SECOND).await;
        assert_eq!(status(&client, "/user").await, CacheStatus::Revalidated);
        assert_eq!(status(&client, "/user").await, CacheStatus::Hit);
        assert_eq!(github.sent() - before, 2);
    }
}

#[tokio::test]
async fn the_most_particular_policy_holds() {
    let github = Resources::start().await;
    let cache = CacheConfig::default()
        .default_policy(CachePolicy::five_minutes())
        .policy_for("GET /never", CachePolicy::no_store())
        .policy_for("GET /asked", CachePolicy::revalidate());
    let client = client(&github, cache);
    for path in ["/never", "/asked", "/other"] {
        get(&client, path).await;
    }
    assert_eq!(status(&client, "/never").await, CacheStatus::Bypass);
    assert_eq!(status(&client, "/asked").await, CacheStatus::Revalidated);
    assert_eq!(status(&client, "/other").await, CacheStatus::Hit);
    let call = |policy| client.request(Method::GET, "/other").cache(policy).send::<Value>();
    assert_eq!(
        call(CachePolicy::revalidate()).await.unwrap().meta().cache_status(),
        CacheStatus::Revalidated
    );
    assert_eq!(
        call(CachePolicy::no_store()).await.unwrap().meta().cache_status(),
        CacheStatus::Bypass
    );
    assert_eq!(
        call(CachePolicy::only_if_cached()).await.unwrap().meta().cache_status(),
        CacheStatus::Stale
    );
    let sent = github.sent();
    let call = client.request(Method::GET, "/new").cache(CachePolicy::only_if_cached());
    let error = call.send::<Value>().await.unwrap_err();
    assert_eq!((error.kind(), github.sent()), (ErrorKind::NotCached, sent));
}

#[tokio::test]
async fn a_write_invalidates_only_the_entries_it_changes() {
    let github = Resources::start().await;
    let client =
        client(&github, CacheConfig::default().default_policy(CachePolicy::five_minutes()));
    let paths = [
        "/repos/o/r",
        "/repos/o/r/issues",
        "/repos/o/r/issues?state=open",
        "/repos/o/r/issues/7",
        "/repos/o/r/issues/7/labels",
        "/repos/o/r/issues/70",
        "/repos/o/r/pulls",
        "/repos/o/other",
    ];
    for path in paths {
        get(&client, path).await;
    }
    let write = client.request(Method::PATCH, "/repos/O/R/issues/7").json(&json!({}));
    write.send_empty().await.unwrap();
    let mut asked = Vec::new();
    for path in paths {
        if status(&client, path).await != CacheStatus::Hit {
            asked.push(path);
        }
    }
    // All of the repository: an issue is in lists of many kinds.
    assert_eq!(asked, paths[..7]);
}

#[tokio::test]
async fn a_write_invalidates_entries_under_the_alternative_path_of_its_resource() {
    for (write, uncertain, good) in [
        ("/repos/o/r/issues", ["/repositories/7/issues", "/repositories/8"], "/organizations/7"),
        ("/repositories/7/issues", ["/repositories/7", "/repos/o/r"], "/repositories/8"),
        ("/orgs/o", ["/organizations/7/repos", "/orgs/o/teams"], "/orgs/other"),
        ("/organizations/7/x", ["/orgs/o", "/organizations/7"], "/repos/o/r"),
        ("/users/u/x", ["/user/7/followers", "/users/u"], "/users/other"),
        ("/user/7/x", ["/users/u", "/user/7"], "/repos/o/r"),
    ] {
        let github = Resources::start().await;
        let client =
            client(&github, CacheConfig::default().default_policy(CachePolicy::five_minutes()));
        for path in uncertain.into_iter().chain([good]) {
            get(&client, path).await;
        }
        let write = client.request(Method::PATCH, write).json(&json!({}));
        let label = format!("{write:?}");
        write.send_empty().await.unwrap();
        for path in uncertain {
            assert_ne!(status(&client, path).await, CacheStatus::Hit, "{path}: {label}");
        }
        assert_eq!(status(&client, good).await, CacheStatus::Hit, "{good}: {label}");
    }
}

#[tokio::test]
async fn a_rejected_write_invalidates_nothing_and_an_indeterminate_one_does() {
    let server = Server::start(|request| async move {
        Reply::Raw(match (request.method.as_str(), request.target.as_str()) {
            ("GET", _) => json_response("200 OK", "etag: \"1\"\r\n", "{}"),
            (_, "/a/1") => json_response("422 Unprocessable", "", r#"{"message":"no"}"#),
            _ => json_response("502 Bad Gateway", "", ""),
        })
    })
    .await;
    let cache = CacheConfig::default().default_policy(CachePolicy::five_minutes());
    let client = server.default_client_builder().cache(cache).build().unwrap();
    for (path, expected) in [("/a/1", CacheStatus::Hit), ("/b/1", CacheStatus::Miss)] {
        get(&client, path).await;
        client.request(Method::POST, path).send_empty().await.unwrap_err();
        assert_eq!(status(&client, path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_thousand_equal_reads_at_once_are_one() {
    let github = Resources::start().await;
    let client = client(&github, CacheConfig::default());
    let reads = join_all((0..1_000).map(|_| get(&client, "/user"))).await;
    assert!(reads.iter().all(|read| read["path"] == "/user"));
    assert_eq!(github.sent(), 1);
}

#[tokio::test]
async fn a_cancelled_coalesced_read_is_taken_over_and_an_error_reaches_all_callers_once() {
    let times = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&times);
    let server = Server::start(move |_| {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            if number == 0 {
                return Reply::Silence(Vec::new());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            Reply::Raw(json_response("404 Not Found", "", r#"{"message":"Not Found"}"#))
        }
    })
    .await;
    let client = server.default_client_builder().build().unwrap();
    let leader = tokio::spawn(client.request(Method::GET, "/x").send::<Value>());
    while times.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let followers: Vec<_> =
        (0..20).map(|_| tokio::spawn(client.request(Method::GET, "/x").send::<Value>())).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    leader.abort();
    for follower in followers {
        assert!(follower.await.unwrap().unwrap_err().is_not_found());
    }
    assert_eq!(times.load(Ordering::Relaxed), 2);
    client.request(Method::GET, "/x").send::<Value>().await.unwrap_err();
    assert_eq!(times.load(Ordering::Relaxed), 3, "an error is not kept");
}

#[tokio::test]
async fn a_read_after_a_write_never_returns_the_previous_response() {
    let version = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&version);
    let server = Server::start(move |request| {
        if request.method == "PUT" {
            shared.fetch_add(1, Ordering::Relaxed);
            return futures_util::future::Either::Left(async {
                Reply::Raw(json_response("200 OK", "", "1"))
            });
        }
        let body = shared.load(Ordering::Relaxed).to_string();
        futures_util::future::Either::Right(async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Reply::Raw(json_response("200 OK", "", &body))
        })
    })
    .await;
    let client = server.default_client_builder().build().unwrap();
    let early = tokio::spawn(client.request(Method::GET, "/x").send::<u64>());
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.request(Method::PUT, "/x").send_empty().await.unwrap();
    assert_eq!(*client.request(Method::GET, "/x").send::<u64>().await.unwrap(), 1);
    assert_eq!(*early.await.unwrap().unwrap(), 0);
    let trusting = client.request(Method::GET, "/x").cache(CachePolicy::five_minutes());
    assert_eq!(*trusting.send::<u64>().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_response_is_served_on_error_if_the_policy_allows() {
    let _still = still().await;
    let github = Resources::start().await;
    let builder = || github.server.builder().auth(Rotating::new("octo"));
    let policy = CachePolicy::max_age(10 * SECOND).stale_if_error(60 * SECOND);
    let client = builder().cache(CacheConfig::default().default_policy(policy)).build().unwrap();
    let strict = builder()
        .cache(CacheConfig::default().default_policy(CachePolicy::five_minutes()))
        .build()
        .unwrap();
    let read = |client: &Client| client.request(Method::GET, "/user").send::<Value>();
    get(&client, "/user").await;
    get(&strict, "/user").await;
    advance(11 * SECOND).await;
    github.state().failure = Some(json_response("503 Unavailable", "", ""));
    let stale = read(&client).await.unwrap();
    assert_eq!(stale.meta().cache_status(), CacheStatus::Stale);
    assert!(stale.meta().age().unwrap() >= 10 * SECOND);
    // So it does when the circuit is open.
    for n in 0..40 {
        let _ = client.request(Method::GET, format!("/other/{n}")).send::<Value>().await;
    }
    assert_ne!(client.circuit_state(), octowire::CircuitState::Closed);
    let sent = github.sent();
    assert_eq!(read(&client).await.unwrap().meta().cache_status(), CacheStatus::Stale);
    assert_eq!(github.sent(), sent);
    advance(60 * SECOND).await;
    assert!(read(&client).await.is_err());
    advance(240 * SECOND).await;
    assert!(read(&strict).await.is_err(), "it was not asked to");
}

#[tokio::test(start_paused = true)]
async fn a_must_revalidate_response_is_not_served_stale_on_error() {
    let _still = still().await;
    let github = Resources::start().await;
    github.state().headers = "cache-control: private, must-revalidate\r\n".to_owned();
    let policy = CachePolicy::revalidate().stale_if_error(600 * SECOND);
    let cache = CacheConfig::default().default_policy(policy);
    let client = github.server.builder().cache(cache).build().unwrap();
    get(&client, "/user").await;
    github.state().failure = Some(json_response("503 Unavailable", "", ""));
    assert!(client.request(Method::GET, "/user").send::<Value>().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stale_response_is_returned_immediately_and_refreshed_once_in_background() {
    let _still = still().await;
    let github = Resources::start().await;
    let policy = CachePolicy::max_age(10 * SECOND).stale_while_revalidate(60 * SECOND);
    let client = client(&github, CacheConfig::default().default_policy(policy));
    get(&client, "/user").await;
    advance(11 * SECOND).await;
    github.change("/user");
    let reads = join_all((0..20).map(|_| get(&client, "/user"))).await;
    for read in &reads {
        assert_eq!((read.meta().cache_status(), &read["version"]), (CacheStatus::Stale, &json!(0)));
    }
    while get(&client, "/user").await["version"] != 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(github.sent(), 2);
    advance(80 * SECOND).await;
    assert_eq!(status(&client, "/user").await, CacheStatus::Revalidated, "it is too old");
}

#[tokio::test]
async fn a_purge_removes_the_entries() {
    let github = Resources::start().await;
    let client =
        client(&github, CacheConfig::default().default_policy(CachePolicy::five_minutes()));
    let paths = ["/repos/o/r", "/repos/o/r/issues", "/repos/o/rest", "/user"];
    for (purge, gone) in [
        (CacheSelector::prefix("/repos/O/r"), vec![0, 1]),
        (CacheSelector::prefix("repos/o/"), vec![0, 1, 2]),
        (CacheSelector::operation("GET /user"), vec![3]),
        (CacheSelector::identity("octo"), vec![0, 1, 2, 3]),
        (CacheSelector::identity("another"), vec![]),
        (CacheSelector::all(), vec![0, 1, 2, 3]),
    ] {
        for path in paths {
            get(&client, path).await;
        }
        client.cache().purge(purge.clone()).await;
        let sent = github.sent();
        let mut asked = Vec::new();
        for (index, path) in paths.into_iter().enumerate() {
            match status(&client, path).await {
                CacheStatus::Hit => {}
                CacheStatus::Miss => asked.push(index),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((asked.clone(), github.sent() - sent), (gone, asked.len()), "{purge:?}");
        for request in &github.server.requests()[sent..] {
            assert!(!request.headers.contains_key("if-none-match"), "{purge:?}");
        }
    }
    client.cache().purge(CacheSelector::all()).await;
    assert_eq!(client.cache().memory_bytes(), 0);
}

#[tokio::test]
async fn a_webhook_event_invalidates_the_entries_it_concerns() {
    let github = Resources::start().await;
    let client =
        client(&github, CacheConfig::default().default_policy(CachePolicy::five_minutes()));
    for path in ["/repos/o/r/issues/7", "/repos/o/r/issues", "/repos/o/r/pulls"] {
        get(&client, path).await;
    }
    let url = |path: &str| format!("{}{path}", github.server.url);
    let payload = json!({
        "issue": { "url": url("/repos/o/r/issues/7") },
        "repository": { "full_name": "o/r", "url": url("/repos/o/r") },
    });
    client.cache().invalidate_for_event("issues", &payload).await;
    assert_eq!(status(&client, "/repos/o/r/issues/7").await, CacheStatus::Revalidated);
    assert_eq!(status(&client, "/repos/o/r/issues").await, CacheStatus::Revalidated);
    assert_eq!(status(&client, "/repos/o/r/pulls").await, CacheStatus::Hit);
    client.cache().invalidate_for_event("push", &payload).await;
    assert_eq!(status(&client, "/repos/o/r/pulls").await, CacheStatus::Revalidated);
}

#[tokio::test]
async fn a_prefetched_response_is_a_hit() {
    let github = Resources::start().await;
    let client =
        client(&github, CacheConfig::default().default_policy(CachePolicy::five_minutes()));
    let calls = (0..50).map(|n| client.request(Method::GET, format!("/x/{n}")));
    assert!(client.cache().prefetch(calls).await.iter().all(Result::is_ok));
    for n in 0..50 {
        assert_eq!(status(&client, &format!("/x/{n}")).await, CacheStatus::Hit);
    }
}

#[tokio::test]
async fn memory_is_bounded_by_bytes_and_oversized_responses_are_not_stored() {
    let github = Resources::start().await;
    github.state().body = |path, _, _| format!("\"{path}{}\"", "x".repeat(10_000));
    let cache = CacheConfig::memory(100_000).default_policy(CachePolicy::five_minutes());
    let client = client(&github, cache);
    for n in 0..50 {
        get(&client, &format!("/x/{n}")).await;
        assert!(client.cache().memory_bytes() <= 100_000);
    }
    assert_eq!(status(&client, "/x/49").await, CacheStatus::Hit);
    assert_eq!(status(&client, "/x/0").await, CacheStatus::Miss);
    let small =
        CacheConfig::default().default_policy(CachePolicy::five_minutes()).max_entry_bytes(9_000);
    let client = github.server.default_client_builder().cache(small).build().unwrap();
    get(&client, "/x").await;
    assert_eq!(status(&client, "/x").await, CacheStatus::Miss);
}

#[tokio::test]
async fn a_response_is_not_served_after_access_was_lost() {
    let github = Resources::start().await;
    let policy = CachePolicy::max_age(Duration::ZERO).stale_if_error(600 * SECOND);
    let client = client(&github, CacheConfig::default().default_policy(policy));
    get(&client, "/repos/o/secret").await;
    github.state().failure = Some(json_response("404 Not Found", "", r#"{"message":"Not Found"}"#));
    let read = || client.request(Method::GET, "/repos/o/secret");
    assert!(read().send::<Value>().await.unwrap_err().is_not_found());
    let stored = read().cache(CachePolicy::only_if_cached()).send::<Value>().await;
    assert_eq!(stored.unwrap_err().kind(), ErrorKind::NotCached);
}

#[tokio::test]
async fn of_an_hour_of_polls_with_rotating_tokens_99_percent_are_free() {
    let github = Resources::start().await;
    let limits = octowire::rate_limit::RateLimitPolicy::disabled();
    let client =
        github.server.default_client_builder().auth(Rotating::new("bot")).rate_limits(limits);
    let client = client.build().unwrap();
    for poll in 0..360 {
        if poll % 90 == 89 {
            client.invalidate_token().await.unwrap();
        }
        for repo in 0..5 {
            let path = format!("/repos/o/{repo}/issues");
            if poll % 120 == 7 && repo == 0 {
                github.change(&path);
            }
            get(&client, &path).await;
        }
    }
    assert_eq!(github.replies(), (5 + 3, 360 * 5 - 8));
}

#[tokio::test]
async fn an_unpolled_read_does_not_delay_an_identical_read() {
    let server = Server::start(|_| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Reply::Raw(json_response("200 OK", "", "{}"))
    })
    .await;
    let client = server.default_client_builder().build().unwrap();
    let read = || client.request(Method::GET, "/x").send::<Value>();
    // Each begins, and rests; one that leads and one that follows.
    let (mut first, mut second) = (read(), read());
    for resting in [&mut first, &mut second] {
        assert!(futures_util::future::poll_immediate(resting).await.is_none());
    }
    let third = tokio::time::timeout(10 * SECOND, read()).await.unwrap();
    third.unwrap();
    drop(first);
    second.await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_write_whose_caller_gave_up_still_invalidates() {
    let server = Server::start(|request| async move {
        if request.method == "PUT" {
            return Reply::Silence(Vec::new());
        }
        Reply::Raw(json_response("200 OK", "etag: \"1\"\r\n", "{}"))
    })
    .await;
    let cache = CacheConfig::default().default_policy(CachePolicy::five_minutes());
    let client = server.default_client_builder().cache(cache).build().unwrap();
    get(&client, "/x").await;
    let write = client.request(Method::PUT, "/x").send_empty();
    tokio::time::timeout(Duration::from_millis(100), write).await.unwrap_err();
    assert_eq!(status(&client, "/x").await, CacheStatus::Miss);
    // The client does not know which entries a mutation changes.
    let mutation = client.graphql::<Value>("mutation { a }", json!({})).await;
    drop(mutation);
    assert_ne!(status(&client, "/x").await, CacheStatus::Hit);
}

#[tokio::test]
async fn a_response_of_an_external_host_is_not_stored() {
    let other = Server::fixed_response(json_response("200 OK", "etag: \"1\"\r\n", "{}")).await;
    let location = format!("location: {}/signed?secret\r\n", other.url);
    let server = Server::fixed_response(json_response("302 Found", &location, "")).await;
    let cache = CacheConfig::default().default_policy(CachePolicy::five_minutes());
    let client = server.default_client_builder().cache(cache).build().unwrap();
    for _ in 0..2 {
        assert_eq!(status(&client, "/repos/o/r/tarball").await, CacheStatus::Miss);
    }
    assert_eq!(client.cache().memory_bytes(), 0);
}

#[tokio::test]
async fn only_if_cached_sends_no_request() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    for cache in [CacheConfig::disabled(), CacheConfig::default()] {
        let client = server.default_client_builder().cache(cache).build().unwrap();
        let call = client.request(Method::GET, "/x").cache(CachePolicy::only_if_cached());
        let own = call.clone().header("authorization", "Bearer x");
        for call in [call, own] {
            assert_eq!(call.send::<Value>().await.unwrap_err().kind(), ErrorKind::NotCached);
        }
    }
    assert_eq!(server.requests().len(), 0);
}
