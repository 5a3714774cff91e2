//! Usage is counted once, in each place where it is counted, and budgets are enforced.

use std::time::Duration;

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use octowire::rate_limit::RateLimitPolicy;
use octowire::store::{CounterStore, DiskStore, MemoryStore, Store};
use octowire::testing::{Fault, MockGitHub};
use octowire::usage::{Budget, BudgetState, Period, PricingPlan, UsageConfig, UsageCount};
use octowire::{Client, ClientBuilder, ErrorKind, RetryPolicy};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::support::Folder;
use crate::unresponsive_store::UnresponsiveStore;

fn budget() -> Budget {
    Budget::new("a plan", Period::Month)
}

fn with(mock: &MockGitHub, budget: Budget) -> ClientBuilder {
    let policy = UsageConfig::new().environment("test").budget(budget);
    let builder = mock
        .client_builder()
        .rate_limits(RateLimitPolicy::disabled())
        .cache(CacheConfig::disabled());
    builder.retry(RetryPolicy::disabled()).usage(policy)
}

/// A client of a server that is not there, which writes its usage to this store.
pub(super) fn unreachable_client(store: &MemoryStore) -> Client {
    Client::builder()
        .base_url("http://127.0.0.1:1")
        .store(store.clone())
        .rate_limits(RateLimitPolicy::disabled())
        .retry(RetryPolicy::disabled())
        .build()
        .unwrap()
}

/// The key of the current month's usage of an [`unreachable_client`].
pub(super) fn unreachable_usage_key() -> String {
    let month = octowire::chrono::Utc::now().format("%Y-%m");
    format!("usage:v1:http%3A//127.0.0.1%3A1/:of::anonymous:{month}")
}

/// Returns how many of so many concurrent calls succeed.
async fn responded(github: &Client, calls: usize) -> usize {
    let all = (0..calls).map(|_| github.meta().get_zen().send());
    let all = futures_util::future::join_all(all).await;
    all.into_iter()
        .map(|response| match response {
            Ok(_) => 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
                0
            }
        })
        .sum()
}

#[tokio::test]
async fn a_usage_report_counts_each_operation() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.issues().get()).error(404, "Not Found");
    mock.on(|github| github.repos().get()).fault(Fault::ServerError(502)).passthrough();
    let github =
        mock.client_builder().usage(UsageConfig::new().environment("test")).build().unwrap();
    // The first goes twice, and the second finds it in the cache, and asks whether it is current.
    for _ in 0..2 {
        github.repos().get().owner("o").repo("r").send().await.unwrap();
    }
    github.issues().get().owner("o").repo("r").issue_number(1).send().await.unwrap_err();
    github.request(Method::GET, "/meta").send::<Value>().await.unwrap();
    let report = github.usage().report().await;
    assert_eq!((report.environment.as_str(), report.is_complete), ("test", true));
    assert_eq!(report.identity, github.identity());
    let month = &report.periods[2];
    assert_eq!(month.period, Period::Month);
    let of = |operation: &str| {
        let found = month.operations.iter().find(|usage| usage.operation == operation);
        let UsageCount { calls, failed, requests, .. } =
            found.unwrap_or_else(|| panic!("{report}")).count;
        (calls, failed, requests)
    };
    assert_eq!(of("repos/get"), (2, 0, 3));
    assert_eq!(of("issues/get"), (1, 1, 1));
    assert_eq!(of("request"), (1, 0, 1));
    assert_eq!((month.total.calls, month.total.failed, month.total.requests), (4, 1, 5));
    assert_eq!(mock.requests().len(), 5);
    let text = report.to_string();
    assert!(text.contains("  repos/get ") && text.contains(" in test at 20"), "{text}");
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["periods"][2]["operations"][0]["operation"], "repos/get");
    assert_eq!(json["periods"][2]["operations"][0]["requests"], 3);
}

#[tokio::test]
async fn identities_have_their_own_numbers() {
    let mock = MockGitHub::start().await;
    let store = MemoryStore::new();
    let policy = UsageConfig::new().environment("test").budget(budget().hard_limit(2));
    let one =
        mock.client_builder().store(store.clone()).usage(policy).cache(CacheConfig::disabled());
    let one = one.build().unwrap();
    let other = one.unauthenticated();
    assert_eq!(responded(&one, 2).await, 2);
    assert_eq!(responded(&other, 1).await, 1);
    let refused = one.meta().get_octocat().send().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BudgetExhausted);
    other.meta().get_octocat().send().await.unwrap();
    // One handle flushes the counts of all handles.
    assert!(one.usage().flush().await);
    let all = one.usage().identities().await.unwrap();
    let all: Vec<_> = all.iter().map(|it| (it.environment.as_str(), it.requests)).collect();
    assert_eq!(all, [("test", 2), ("test", 2)]);
}

#[tokio::test]
async fn one_budget_may_be_for_all_identities() {
    let mock = MockGitHub::start().await;
    let one = with(&mock, budget().hard_limit(3).shared()).build().unwrap();
    let other = one.unauthenticated();
    assert_eq!(responded(&one, 2).await + responded(&other, 5).await, 3);
    assert_eq!(other.usage().report().await.budgets[0].used, 3);
}

#[tokio::test]
async fn a_request_over_a_hard_budget_is_rejected_with_advice() {
    let mock = MockGitHub::start().await;
    let plan = PricingPlan::new("gateway", Period::Month, "USD").tier(2, 0).tier(4, 29_00);
    let budget = Budget::from_plan(plan)
        .soft_limit(2)
        .hard_limit(3)
        .exempt_operation("rate-limit/get")
        .exempt_operation("GET /meta");
    let github = with(&mock, budget).build().unwrap();
    assert_eq!(responded(&github, 10).await, 3);
    assert_eq!(mock.requests().len(), 3);
    let error = github.meta().get_zen().send().await.unwrap_err();
    let text = error.to_string();
    let expected = "meta/get-zen: budget \"gateway\" exhausted: 3 requests per month; a new month starts at 20";
    assert!(text.starts_with(expected), "{text}");
    assert!(!error.is_retryable() && !error.is_rate_limited());
    assert!(error.retry_after().unwrap() <= Duration::from_secs(31 * 24 * 60 * 60));
    // Exempt operations still run, and are counted.
    github.rate_limit().get().send().await.unwrap();
    github.request(Method::GET, "/meta").send::<Value>().await.unwrap();
    let report = github.usage().report().await;
    let budget = &report.budgets[0];
    assert_eq!((budget.used, budget.state), (5, BudgetState::Exhausted));
    let cost = budget.cost.as_ref().unwrap();
    assert_eq!((cost.price, cost.exceeded), (29_00, true));
    assert!(
        report
            .to_string()
            .contains("budget gateway: 5 of 3 requests this month (29.00 USD, exceeded)"),
        "{report}"
    );
}

#[tokio::test]
async fn unsent_requests_and_304_responses_can_be_free_of_budget() {
    let mock = MockGitHub::start().await;
    let cached = |budget| with(&mock, budget).cache(CacheConfig::default()).build().unwrap();
    let github = cached(budget().hard_limit(2).exclude_not_modified());
    for _ in 0..5 {
        github.repos().get().owner("o").repo("r").send().await.unwrap();
    }
    assert_eq!((mock.requests().len(), github.usage().report().await.budgets[0].used), (5, 1));
    let counted = cached(budget().hard_limit(2));
    for _ in 0..2 {
        counted.repos().get().owner("o").repo("r").send().await.unwrap();
    }
    assert_eq!(counted.usage().report().await.budgets[0].used, 2);

    // No server listens on this port.
    let policy = UsageConfig::new().budget(budget().hard_limit(1));
    let nowhere = Client::builder().base_url("http://127.0.0.1:1").retry(RetryPolicy::disabled());
    let nowhere = nowhere.usage(policy).build().unwrap();
    for _ in 0..3 {
        let error = nowhere.meta().get_zen().send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    }
    assert_eq!(nowhere.usage().report().await.budgets[0].used, 0);
}

#[tokio::test]
async fn a_cached_response_is_served_when_a_budget_is_exhausted() {
    let mock = MockGitHub::start().await;
    let policy = CachePolicy::revalidate().stale_if_error(Duration::from_secs(60));
    let github =
        with(&mock, budget().hard_limit(1)).cache(CacheConfig::default().default_policy(policy));
    let github = github.build().unwrap();
    let get = || github.repos().get().owner("o").repo("r").send();
    get().await.unwrap();
    let stale = get().await.unwrap();
    assert_eq!(stale.meta().cache_status(), CacheStatus::Stale);
    github.meta().get_zen().send().await.unwrap_err();
}

#[tokio::test]
async fn a_budget_outlives_the_process() {
    let mock = MockGitHub::start().await;
    let folder = Folder::new("usage");
    let client = || {
        let store = DiskStore::open(&folder.0).unwrap();
        with(&mock, budget().hard_limit(5))
            .store(store)
            .store_timeout(Duration::from_secs(5))
            .build()
            .unwrap()
    };
    let first = client();
    assert_eq!(responded(&first, 3).await, 3);
    assert!(first.usage().flush().await);
    drop(first);
    let second = client();
    assert_eq!(responded(&second, 9).await, 2);
    let report = second.usage().report().await;
    assert_eq!((report.budgets[0].used, report.periods[2].total.requests), (5, 5), "{report}");
}

/// The requests of this month that were reported to a store.
async fn reported_calls(mock: &MockGitHub, store: impl Store) -> u64 {
    let client = mock.client_builder().store(store);
    let client = client.store_timeout(Duration::from_secs(5)).build().unwrap();
    client.usage().report().await.periods[2].total.requests
}

/// Whether short programs in turn, each with a runtime of its own, add up in one store however they end. Those that
/// close their clients do in any store.
fn programs_add_up<S: Store>(outer: &Runtime, mock: &MockGitHub, store: impl Fn() -> S) -> bool {
    let mut expected = 0;
    for builder in [Builder::new_current_thread, Builder::new_multi_thread] {
        for closes in [true, false, false] {
            let program = async {
                let builder = mock.client_builder().store(store());
                let builder =
                    builder.cache(CacheConfig::disabled()).rate_limits(RateLimitPolicy::disabled());
                let client = builder.store_timeout(Duration::from_secs(5)).build().unwrap();
                for _ in 0..3 {
                    client.meta().get_zen().send().await.unwrap();
                }
                if closes {
                    assert!(client.close().await);
                    // It is still a client.
                    client.meta().get_zen().send().await.unwrap();
                    assert!(client.close().await);
                }
            };
            builder().enable_all().build().unwrap().block_on(program);
            expected += 3 + u64::from(closes);
            let reported = outer.block_on(reported_calls(mock, store()));
            if reported != expected {
                assert!(!closes && reported < expected, "{reported} of {expected}, {closes}");
                return false;
            }
        }
    }
    true
}

#[test]
fn short_programs_in_turn_add_up_exactly() {
    let outer = Builder::new_multi_thread().enable_all().build().unwrap();
    let mock = outer.block_on(MockGitHub::start());
    // Counts that a client flushes when it is dropped are visible at once.
    let memory = MemoryStore::new();
    assert!(programs_add_up(&outer, &mock, || memory.clone()));
    // For the disk, a client that is dropped waits for a while only, which can be too short on a busy machine.
    let all_on_disk = (0..10).any(|attempt| {
        let folder = Folder::new(&format!("usage-short-{attempt}"));
        programs_add_up(&outer, &mock, || DiskStore::open(&folder.0).unwrap())
    });
    assert!(all_on_disk);
}

#[tokio::test]
async fn a_report_flushes_its_counts_to_the_store() {
    let mock = MockGitHub::start().await;
    let folder = Folder::new("usage-report");
    let client = mock
        .client_builder()
        .store(DiskStore::open(&folder.0).unwrap())
        .cache(CacheConfig::disabled());
    let client = client.store_timeout(Duration::from_secs(5)).build().unwrap();
    for requests in 1..4 {
        client.meta().get_zen().send().await.unwrap();
        assert_eq!(client.usage().report().await.periods[2].total.requests, requests);
        assert_eq!(reported_calls(&mock, DiskStore::open(&folder.0).unwrap()).await, requests);
    }
}

#[tokio::test]
async fn closing_without_a_store_or_with_a_failing_one_ends_and_reports_it() {
    let mock = MockGitHub::start().await;
    let alone = mock.client_builder().build().unwrap();
    alone.meta().get_zen().send().await.unwrap();
    assert!(alone.close().await);
    let gone = mock
        .client_builder()
        .store(UnresponsiveStore)
        .cache(CacheConfig::disabled())
        .build()
        .unwrap();
    gone.meta().get_zen().send().await.unwrap();
    // Telling it shows that it is gone, and the report still has what this process knows.
    for _ in 0..2 {
        let report = gone.usage().report().await;
        assert_eq!((report.is_complete, report.periods[2].total.requests), (false, 1), "{report}");
    }
    gone.meta().get_zen().send().await.unwrap();
    let began = std::time::Instant::now();
    assert!(!gone.close().await);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    drop(gone);
}

#[tokio::test]
async fn a_budget_is_kept_without_its_store_and_rejected_if_it_is_strict() {
    let mock = MockGitHub::start().await;
    let client = |budget: Budget| with(&mock, budget).store(UnresponsiveStore).build().unwrap();
    let github = client(budget().hard_limit(4));
    assert_eq!(responded(&github, 10).await, 4);
    let report = github.usage().report().await;
    assert_eq!((report.is_complete, report.budgets[0].used), (false, 4));
    assert_eq!(report.periods[2].total.requests, 4, "{report}");
    let strict = client(budget().hard_limit(4).fail_closed());
    let error = strict.meta().get_zen().send().await.unwrap_err();
    assert!(error.to_string().contains("is unknown: store unavailable"), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn usage_is_flushed_to_the_store_within_five_seconds() {
    let store = MemoryStore::new();
    let github = unreachable_client(&store);
    github.meta().get_zen().send().await.unwrap_err();
    let key = unreachable_usage_key();
    assert!(store.counters(&key).await.unwrap().is_empty());
    drop(github);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let reported = store.counters(&key).await.unwrap();
    assert_eq!(reported["meta/get-zen calls"], 1, "{reported:?}");
    assert_eq!(reported["meta/get-zen failed"], 1);
}

#[tokio::test]
async fn the_call_that_holds_the_last_handle_is_written_before_it_returns() {
    let store = MemoryStore::new();
    let github = unreachable_client(&store);
    let call = github.meta().get_zen();
    let key = unreachable_usage_key();
    drop(github);
    call.send().await.unwrap_err();
    let reported = store.counters(&key).await.unwrap();
    assert_eq!(reported.get("meta/get-zen calls"), Some(&1), "{reported:?}");
}

#[tokio::test]
async fn an_invalid_usage_policy_is_rejected() {
    let build = |policy| Client::builder().usage(policy).build().unwrap_err();
    let twice = UsageConfig::new().budget(budget()).budget(budget().hard_limit(1));
    assert!(build(twice).to_string().contains("duplicate budget name \"a plan\""));
    let many = (0..17).map(|number| Budget::new(format!("{number}"), Period::Day));
    let many = many.fold(UsageConfig::new(), UsageConfig::budget);
    assert!(build(many).to_string().contains("too many budgets: 17"));
    let environment = UsageConfig::new().environment("a\nb");
    assert_eq!(build(environment).kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_report_of_any_year_can_be_requested() {
    let github = Client::builder().base_url("http://127.0.0.1:1").build().unwrap();
    for seconds in [0, 1, 10_000_000_000_000, u64::MAX / 4] {
        let Some(time) = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else {
            continue;
        };
        assert_eq!(github.usage().report_at(time).await.periods[2].total.requests, 0);
    }
}

#[tokio::test]
async fn names_with_colons_are_not_taken_for_others() {
    let mock = MockGitHub::start().await;
    let store = MemoryStore::new();
    let client = |environment: &str, budget: &str| {
        let budget = Budget::new(budget, Period::Month).hard_limit(1).shared();
        let policy = UsageConfig::new().environment(environment).budget(budget);
        let builder = mock.client_builder().store(store.clone()).cache(CacheConfig::disabled());
        builder.usage(policy).build().unwrap()
    };
    for (environment, budget) in [("prod", "eu:all"), ("prod:eu", "all"), ("prod%3Aeu", "all")] {
        assert_eq!(responded(&client(environment, budget), 2).await, 1, "{environment} {budget}");
    }
}

#[tokio::test]
async fn an_exhausted_budget_fetches_no_token_and_does_not_wait() {
    use octowire::auth::{AccessToken, TokenFuture, TokenProvider, TokenRequest};

    #[derive(Debug)]
    struct Never;
    impl TokenProvider for Never {
        fn identity(&self) -> std::borrow::Cow<'_, str> {
            "never".into()
        }
        fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
            Box::pin(async { AccessToken::new("") })
        }
    }
    let mock = MockGitHub::start().await;
    let github = with(&mock, budget().hard_limit(1).shared()).build().unwrap();
    assert_eq!(responded(&github, 2).await, 1);
    let error = github.with_auth(Never).meta().get_zen().send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
    assert!(
        github.health().reasons.iter().any(|reason| reason == "budget \"a plan\" is exhausted")
    );
}

#[cfg(feature = "redis")]
mod fleet {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;
    use crate::redis_servers::RedisServer;
    use crate::support::connected;

    const HARD: usize = 300;
    const TOKEN: &str = "ghp_0123456789";

    /// Two processes at a time, and two more when these have ended.
    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_send_no_request_over_a_hard_budget() {
        let redis = RedisServer::start();
        let mock = MockGitHub::start().await;
        let (_, module) = module_path!().split_once("::").unwrap();
        for _ in 0..2 {
            let start = || {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--ignored", "--exact", &format!("{module}::a_spender")])
                    .env("GITHUB", mock.base_url())
                    .env("REDIS", redis.url())
                    .stdout(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap()
            };
            for mut process in [start(), start()] {
                let status = process.wait().await.unwrap();
                assert!(status.success(), "{status}");
            }
        }
        assert_eq!(mock.requests().len(), HARD, "all of it, and no more");
        let github = with(&mock, budget().hard_limit(HARD as u64)).token(TOKEN);
        let github = github.store(connected(&redis.url()).await).build().unwrap();
        let report = github.usage().report().await;
        assert_eq!(report.budgets[0].used, HARD as u64);
        assert_eq!(report.periods[2].total.requests, HARD as u64, "{report}");
        assert_eq!(report.periods[2].total.calls, 4 * 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "a process of the test above"]
    async fn a_spender() {
        let variable = |name| std::env::var(name).unwrap();
        let policy =
            UsageConfig::new().environment("test").budget(budget().hard_limit(HARD as u64));
        let github = Client::builder()
            .base_url(variable("GITHUB"))
            .token(TOKEN)
            .rate_limits(RateLimitPolicy::disabled())
            .retry(RetryPolicy::disabled())
            .store(connected(&variable("REDIS")).await)
            .store_timeout(Duration::from_secs(5))
            .cache(CacheConfig::disabled())
            .usage(policy)
            .build()
            .unwrap();
        for _ in 0..20 {
            responded(&github, 10).await;
        }
        assert!(github.usage().flush().await);
    }
}
