//! The health of a client and its reasons.

use std::time::Duration;

use octowire::health::{Health, HealthStatus, ServiceLevelObjectives, SloKind};
use octowire::store::MemoryStore;
use octowire::testing::{Fault, MockGitHub};
use octowire::{CircuitBreaker, Client, RetryPolicy};
use serde_json::Value;

use crate::unresponsive_store::UnresponsiveStore;

fn reasons(health: &Health) -> String {
    health.reasons.join("; ")
}

async fn calls(github: &Client, number: usize) {
    for _ in 0..number {
        let _ = github.meta().root().send().await;
    }
}

#[tokio::test]
async fn a_client_that_works_is_ready_and_meets_its_objectives() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.issues().get()).error(404, "Not Found");
    let github = mock.client_builder().store(MemoryStore::new()).build().unwrap();
    let before = github.health();
    assert!(before.is_ready() && before.limits.primary.is_empty());
    assert!(before.objectives.iter().all(|it| it.windows.iter().all(|it| it.met.is_none())));
    calls(&github, 30).await;
    for _ in 0..30 {
        let get = github.issues().get().owner("o").repo("r").issue_number(1);
        get.send().await.unwrap_err();
    }
    let health = github.health();
    assert_eq!((health.status, reasons(&health)), (HealthStatus::Ready, String::new()));
    assert_eq!(health.to_string(), format!("{} is ready", github.identity()));
    assert!(health.token.as_ref().unwrap().is_valid);
    assert_eq!(health.store.as_ref().unwrap().outages, 0);
    assert_eq!((health.limits.primary[0].resource.as_str(), health.limits.in_flight), ("core", 0));
    for objective in &health.objectives {
        for window in &objective.windows {
            assert_eq!((window.count, window.met), (60, Some(true)), "{objective:?}");
        }
    }
    let json: Value = serde_json::from_str(&health.to_json()).unwrap();
    assert_eq!(json["status"], "ready");
    assert_eq!(json["objectives"][2]["kind"], "availability");
    assert_eq!(json["objectives"][2]["windows"][0]["minutes"], 5);
    assert!(!health.to_json().contains("ghs_") && !format!("{health:?}").contains("ghp_"));
}

#[tokio::test]
async fn a_failing_server_is_reported_and_opens_the_circuit() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.meta().root()).passthrough().times(97).fault(Fault::ServerError(503));
    let breaker = CircuitBreaker::default().min_samples(101).failure_rate(0.01);
    let github = mock.client_builder().retry(RetryPolicy::disabled()).circuit_breaker(breaker);
    let github = github.cache(octowire::cache::CacheConfig::disabled()).build().unwrap();
    calls(&github, 98).await;
    let health = github.health();
    assert_eq!(health.status, HealthStatus::Degraded, "{health}");
    let reported = reasons(&health);
    assert_eq!(reported, "objective missed: error rate; objective missed: availability");
    let rate = &health.objectives[0];
    assert_eq!((rate.kind, rate.windows[0].value), (SloKind::ErrorRate, Some(1.0 / 98.0)));
    calls(&github, 3).await;
    let health = github.health();
    assert!(
        !health.is_ready() && reasons(&health).contains("circuit open: too many failures"),
        "{health}"
    );
}

#[tokio::test]
async fn a_client_without_an_available_token_is_not_ready() {
    let mock = MockGitHub::start().await;
    let missing = octowire::auth::PersonalToken::from_file("/nowhere/token");
    let Err(error) = missing else { panic!("there is no such file") };
    assert!(error.to_string().contains("/nowhere/token"));
    let github = mock.client().with_auth(Never);
    assert!(github.health().is_ready(), "no token was requested yet");
    calls(&github, 1).await;
    let health = github.health();
    assert_eq!(health.status, HealthStatus::NotReady);
    let token = health.token.as_ref().unwrap();
    assert_eq!((token.is_valid, token.failures), (false, 1));
    assert!(reasons(&health).starts_with("token refresh failed: "), "{health}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_ready_becomes_ready_for_its_next_token_refresh() {
    let mock = MockGitHub::start().await;
    let github = mock.client().with_auth(Never);
    calls(&github, 1).await;
    assert!(!github.health().is_ready());
    // There are no calls meanwhile, since the readiness probe fails.
    tokio::time::advance(Duration::from_secs(60 * 60)).await;
    let health = github.health();
    assert_eq!((health.status, health.is_ready()), (HealthStatus::Degraded, true));
    assert_eq!(health.token.unwrap().retry_in_secs, Some(0.0));
}

/// Has no token.
#[derive(Debug)]
struct Never;

impl octowire::auth::TokenProvider for Never {
    fn identity(&self) -> std::borrow::Cow<'_, str> {
        "never".into()
    }

    fn fetch_token<'a>(
        &'a self,
        _: octowire::auth::TokenRequest<'a>,
    ) -> octowire::auth::TokenFuture<'a> {
        Box::pin(async { octowire::auth::AccessToken::new("") })
    }
}

#[tokio::test]
async fn health_reports_the_causes_of_delays() {
    let mock = MockGitHub::start().await;
    let pause = Fault::SecondaryRateLimit { retry_after: Some(Duration::from_secs(90)) };
    mock.on(|github| github.meta().get_zen()).fault(pause);
    let limits = octowire::rate_limit::RateLimitPolicy::default()
        .on_limit(octowire::rate_limit::LimitAction::FailFast);
    let github =
        mock.client_builder().store(UnresponsiveStore).rate_limits(limits).build().unwrap();
    github.meta().get_zen().send().await.unwrap_err();
    let health = github.health();
    assert_eq!(health.status, HealthStatus::Degraded);
    let reported = reasons(&health);
    assert!(reported.contains("store unavailable for 0 s"), "{reported}");
    assert!(reported.contains("secondary rate limit exceeded; retry in "), "{reported}");
    assert!((80.0..=90.0).contains(&health.limits.paused_for_secs.unwrap()), "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn objectives_are_configurable_and_cover_only_their_window() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.meta().root()).passthrough().times(9).fault(Fault::ServerError(503));
    let objectives = ServiceLevelObjectives::default().max_error_rate(0.2).min_availability(0.8);
    let github = mock.client_builder().retry(RetryPolicy::disabled()).slo(objectives);
    let github = github.cache(octowire::cache::CacheConfig::disabled()).build().unwrap();
    calls(&github, 10).await;
    let met = |minutes: usize| {
        let health = github.health();
        let of =
            health.objectives.iter().map(|it| (it.windows[minutes].count, it.windows[minutes].met));
        of.collect::<Vec<_>>()
    };
    assert_eq!(met(0), [(10, Some(true)); 3]);
    tokio::time::advance(Duration::from_secs(6 * 60)).await;
    assert_eq!((met(0), met(1)), (vec![(0, None); 3], vec![(10, Some(true)); 3]));
}
