//! Admission, waits and their order; time is paused.

use std::borrow::Cow;

use http::Method;
use tokio::task::JoinHandle;
use tokio::time::{advance, timeout};

use super::*;
use crate::headers::rate_limit::RateLimitHeaders;
use crate::policy::rate_limit::SecondaryLimits;
use crate::policy::rate_limit::permit_holders::UNTRACKED;

const SECOND: Duration = Duration::from_secs(1);
const FOREVER: WaitBudget = WaitBudget::new(Duration::MAX);

fn admission_queue(policy: RateLimitPolicy) -> Arc<AdmissionQueue> {
    AdmissionQueue::new(Arc::new(policy))
}

fn unpaced() -> RateLimitPolicy {
    RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled())
}

fn one_at_a_time() -> RateLimitPolicy {
    RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(1))
}

fn read() -> RequestCost {
    RequestCost::rest(&Method::GET, "/repos/o/r", Cow::Borrowed("core"), false)
}

fn search() -> RequestCost {
    RequestCost::rest(&Method::GET, "/search/issues", Cow::Borrowed("search"), false)
}

fn write(owner: &str) -> RequestCost {
    RequestCost::rest(&Method::POST, &format!("/repos/{owner}/r"), Cow::Borrowed("core"), true)
}

fn quota(resource: &str, remaining: u64, ends_in: Duration) -> RateLimitHeaders<'_> {
    RateLimitHeaders { resource, limit: 5000, remaining, reset: 0, ends_in }
}

async fn admit(queue: &Arc<AdmissionQueue>, cost: RequestCost) -> Permit {
    queue.admit(cost, Priority::Interactive, FOREVER, &UNTRACKED).await.unwrap()
}

/// Returns whether the queue admits a call at this moment.
async fn goes_now(queue: &Arc<AdmissionQueue>, cost: RequestCost) -> bool {
    let mut permit = match timeout(
        Duration::ZERO,
        queue.admit(cost, Priority::Interactive, FOREVER, &UNTRACKED),
    )
    .await
    {
        Ok(permit) => permit.unwrap(),
        Err(_) => return false,
    };
    permit.mark_sent();
    permit.end(AttemptOutcome::Response(None));
    true
}

fn waits(
    queue: &Arc<AdmissionQueue>,
    cost: RequestCost,
    priority: Priority,
) -> JoinHandle<Result<Permit>> {
    let queue = Arc::clone(queue);
    tokio::spawn(async move { queue.admit(cost, priority, FOREVER, &UNTRACKED).await })
}

async fn settle_down() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// A service has a queue for each installation. The bound leaves a little for further fields.
#[tokio::test(start_paused = true)]
async fn the_queue_of_an_identity_stays_small() {
    let size = size_of::<AdmissionQueue>();
    println!("queue: {size}");
    assert!(size <= 448, "{size}");
    // Reads do not create the limits of other calls.
    let queue = admission_queue(RateLimitPolicy::default());
    assert!(goes_now(&queue, read()).await);
    assert!(!queue.state().limits.has_further_limits());
    assert!(goes_now(&queue, write("o")).await);
    assert!(queue.state().limits.has_further_limits());
}

#[tokio::test(start_paused = true)]
async fn calls_go_in_the_order_of_their_coming() {
    let queue = admission_queue(one_at_a_time());
    let first = admit(&queue, read()).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(waits(&queue, read(), Priority::Interactive));
        settle_down().await;
    }
    drop(first);
    for waiting in waiting {
        // Only the call at the front is admitted; the others wait behind it.
        let permit = timeout(SECOND, waiting).await.unwrap().unwrap().unwrap();
        drop(permit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_background_calls_delays_an_interactive_one_by_one_slot() {
    let queue = admission_queue(one_at_a_time());
    let first = admit(&queue, read()).await;
    let flood: Vec<_> = (0..1000).map(|_| waits(&queue, read(), Priority::Background)).collect();
    settle_down().await;
    let interactive = waits(&queue, read(), Priority::Interactive);
    settle_down().await;
    drop(first);
    settle_down().await;
    let permit = timeout(SECOND, interactive).await.unwrap().unwrap().unwrap();
    assert_eq!(flood.iter().filter(|call| call.is_finished()).count(), 0);
    drop(permit);
    settle_down().await;
    assert_eq!(flood.iter().filter(|call| call.is_finished()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_the_queue() {
    let queue = admission_queue(one_at_a_time().max_queued(3));
    let first = admit(&queue, read()).await;
    let waiting: Vec<_> = (0..3).map(|_| waits(&queue, read(), Priority::Interactive)).collect();
    settle_down().await;
    let error = queue.admit(read(), Priority::Interactive, FOREVER, &UNTRACKED).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    assert!(error.to_string().contains("queue is full (3 calls waiting"), "{error}");
    for call in &waiting {
        call.abort();
    }
    settle_down().await;
    let next = waits(&queue, read(), Priority::Interactive);
    settle_down().await;
    drop(first);
    assert!(timeout(SECOND, next).await.unwrap().unwrap().is_ok());
    assert!(goes_now(&queue, read()).await);
}

#[tokio::test(start_paused = true)]
async fn an_admitted_call_that_is_dropped_returns_its_permit() {
    let queue = admission_queue(one_at_a_time());
    let first = admit(&queue, read()).await;
    let mut unpolled = Box::pin(queue.admit(read(), Priority::Interactive, FOREVER, &UNTRACKED));
    assert!(timeout(Duration::ZERO, &mut unpolled).await.is_err());
    drop(first);
    settle_down().await;
    assert!(!goes_now(&queue, read()).await, "a call is admitted and not polled yet");
    drop(unpolled);
    assert!(goes_now(&queue, read()).await);
}

#[tokio::test(start_paused = true)]
async fn points_are_spent_at_once_and_then_as_they_come_back() {
    let queue = admission_queue(RateLimitPolicy::default());
    for _ in 0..900 {
        assert!(goes_now(&queue, read()).await);
    }
    let start = Instant::now();
    admit(&queue, read()).await.mark_sent();
    assert_eq!(start.elapsed(), 62 * SECOND);
    // GraphQL has points of its own.
    assert!(goes_now(&queue, RequestCost::graphql(false)).await);
}

#[tokio::test(start_paused = true)]
async fn an_unsent_request_costs_no_points() {
    let queue = admission_queue(
        RateLimitPolicy::default()
            .secondary_limits(SecondaryLimits::disabled().points_per_minute(5)),
    );
    for _ in 0..10 {
        drop(admit(&queue, write("o")).await);
    }
    assert!(goes_now(&queue, write("o")).await);
    assert!(!goes_now(&queue, read()).await);
}

#[tokio::test(start_paused = true)]
async fn writes_to_an_owner_are_a_second_apart_and_others_do_not_wait_for_them() {
    let queue = admission_queue(RateLimitPolicy::default());
    assert!(goes_now(&queue, write("a")).await);
    assert!(!goes_now(&queue, write("a")).await);
    assert!(goes_now(&queue, write("b")).await && goes_now(&queue, read()).await);
    let waiting = waits(&queue, write("a"), Priority::Interactive);
    settle_down().await;
    assert!(goes_now(&queue, read()).await, "who wants another thing does not wait");
    let start = Instant::now();
    waiting.await.unwrap().unwrap().mark_sent();
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn new_content_is_paced_by_the_minute_and_by_the_hour() {
    let policy = RateLimitPolicy::default().secondary_limits(
        SecondaryLimits::default().min_write_interval(Duration::ZERO).points_per_minute(None),
    );
    let queue = admission_queue(policy);
    let start = Instant::now();
    for _ in 0..501 {
        let mut permit = admit(&queue, write("a")).await;
        permit.mark_sent();
    }
    // 80 at a time, six times, and one of them an hour after the first.
    assert!((3600..=3720).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn only_calls_of_an_exhausted_resource_wait_for_its_primary_limit() {
    let queue = admission_queue(unpaced());
    let permit = admit(&queue, search()).await;
    permit.end(AttemptOutcome::Response(Some(quota("search", 1, 30 * SECOND))));
    let permit = admit(&queue, search()).await;
    assert!(!goes_now(&queue, search()).await, "the last one is in flight");
    assert!(goes_now(&queue, read()).await);
    permit.end(AttemptOutcome::Response(Some(quota("search", 0, 30 * SECOND))));
    let start = Instant::now();
    admit(&queue, search()).await.end(AttemptOutcome::Response(Some(quota(
        "search",
        29,
        60 * SECOND,
    ))));
    assert_eq!(start.elapsed(), 31 * SECOND);
    assert!(goes_now(&queue, search()).await);
}

#[tokio::test(start_paused = true)]
async fn a_free_response_returns_its_reservation() {
    let queue = admission_queue(unpaced());
    for _ in 0..10_000 {
        // As a 304 does.
        admit(&queue, read()).await.end(AttemptOutcome::Response(Some(quota(
            "core",
            10,
            600 * SECOND,
        ))));
    }
    assert!(goes_now(&queue, read()).await);
}

#[tokio::test(start_paused = true)]
async fn responses_out_of_order_do_not_raise_the_remaining_quota() {
    let queue = admission_queue(unpaced());
    let permits = [admit(&queue, read()).await, admit(&queue, read()).await];
    let [early, late] = permits;
    late.end(AttemptOutcome::Response(Some(quota("core", 0, 60 * SECOND))));
    early.end(AttemptOutcome::Response(Some(quota("core", 1, 60 * SECOND))));
    assert!(!goes_now(&queue, read()).await);
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_not_used_and_the_remaining_quota_can_be_spread() {
    let policy = unpaced().reserve_fraction(0.1);
    let reserved = admission_queue(policy.clone());
    admit(&reserved, read()).await.end(AttemptOutcome::Response(Some(quota(
        "core",
        500,
        600 * SECOND,
    ))));
    assert!(!goes_now(&reserved, read()).await);

    let spread = admission_queue(policy.spread_evenly(true));
    admit(&spread, read()).await.end(AttemptOutcome::Response(Some(quota(
        "core",
        600,
        600 * SECOND,
    ))));
    let start = Instant::now();
    for left in (500..600).rev() {
        let permit = admit(&spread, read()).await;
        let rest = (600 * SECOND).saturating_sub(start.elapsed());
        permit.end(AttemptOutcome::Response(Some(quota("core", left, rest))));
    }
    let passed = start.elapsed().as_secs();
    assert!((585..=601).contains(&passed), "a hundred calls in ten minutes: {passed}");
}

#[tokio::test(start_paused = true)]
async fn a_reset_beyond_the_longest_wait_is_an_error_with_the_time_to_retry() {
    let fast = admission_queue(unpaced().on_limit(LimitAction::FailFast));
    let patient = admission_queue(unpaced().on_limit(LimitAction::Wait { max: 60 * SECOND }));
    for queue in [fast, patient] {
        let permit = admit(&queue, read()).await;
        permit.end(AttemptOutcome::Response(Some(quota("core", 0, 100 * SECOND))));
        let start = Instant::now();
        let error =
            queue.admit(read(), Priority::Interactive, FOREVER, &UNTRACKED).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimit, Some(101 * SECOND)));
        assert!(error.is_rate_limited() && error.is_retryable());
        assert!(error.to_string().contains("primary rate limit (core)"), "{error}");
        // The call's own patience counts as well.
        advance(50 * SECOND).await;
        let short = WaitBudget::new(10 * SECOND);
        let error =
            queue.admit(read(), Priority::Interactive, short, &UNTRACKED).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(51 * SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_callers_patience() {
    let queue = admission_queue(one_at_a_time());
    let _first = admit(&queue, read()).await;
    let start = Instant::now();
    let short = WaitBudget::new(5 * SECOND);
    let error = queue.admit(read(), Priority::Interactive, short, &UNTRACKED).await.unwrap_err();
    assert_eq!((start.elapsed(), error.kind()), (5 * SECOND, ErrorKind::RateLimit));
    assert!(error.to_string().contains("concurrent request limit"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_secondary_limit_pauses_every_call_and_one_probe_tests_whether_it_is_over() {
    let queue = admission_queue(unpaced());
    let (hit, other) = (admit(&queue, read()).await, admit(&queue, read()).await);
    hit.end(AttemptOutcome::SecondaryLimited(None, Some(30 * SECOND)));
    other.end(AttemptOutcome::SecondaryLimited(None, Some(20 * SECOND)));
    let calls: Vec<_> = (0..100).map(|_| waits(&queue, read(), Priority::Interactive)).collect();
    advance(29 * SECOND).await;
    settle_down().await;
    assert!(calls.iter().all(|call| !call.is_finished()));
    advance(2 * SECOND).await;
    settle_down().await;
    assert_eq!(calls.iter().filter(|call| call.is_finished()).count(), 1);
    for (count, call) in calls.into_iter().enumerate() {
        let permit = timeout(SECOND, call).await.unwrap().unwrap().unwrap();
        permit.end(AttemptOutcome::Response(None));
        assert!(count < 100);
    }
}

#[test]
fn waits_end_on_time_after_the_runtime_with_the_timer_is_gone() {
    let queue = admission_queue(one_at_a_time());
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let (one, other) = (runtime(), runtime());
    let first = one.block_on(admit(&queue, read()));
    let waits = |runtime: &tokio::runtime::Runtime, cost, priority| {
        let _within = runtime.enter();
        let call = waits(&queue, cost, priority);
        runtime.block_on(settle_down());
        call
    };
    let _first_in_line = waits(&one, read(), Priority::Interactive);
    let second = waits(&other, write("o"), Priority::Background);
    // With it go the task that keeps the time and the call at the front.
    drop(one);
    drop(first);
    other.block_on(async { timeout(SECOND, second).await.unwrap().unwrap().unwrap() });
}

#[test]
fn the_queue_still_admits_calls_after_a_runtime_ends_without_waiters() {
    let queue = admission_queue(unpaced());
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let one = runtime().unwrap();
    one.block_on(async {
        let permit = admit(&queue, read()).await;
        permit.end(AttemptOutcome::Response(Some(quota("core", 0, 30 * SECOND))));
        // The only waiting call gives up.
        timeout(SECOND, admit(&queue, read())).await.unwrap_err();
    });
    drop(one);
    let late = async { timeout(60 * SECOND, admit(&queue, read())).await };
    runtime().unwrap().block_on(late).unwrap().mark_sent();
}

#[tokio::test(start_paused = true)]
async fn an_interactive_call_evicts_a_background_call_from_a_full_queue() {
    let queue = admission_queue(one_at_a_time().max_queued(2));
    let first = admit(&queue, read()).await;
    let patient = waits(&queue, read(), Priority::Background);
    let last = waits(&queue, read(), Priority::Background);
    settle_down().await;
    let another = waits(&queue, read(), Priority::Background).await.unwrap().unwrap_err();
    assert_eq!(another.kind(), ErrorKind::QueueFull);
    let urgent = waits(&queue, read(), Priority::Interactive);
    settle_down().await;
    let evicted = last.await.unwrap().unwrap_err();
    assert_eq!(evicted.kind(), ErrorKind::QueueFull);
    drop(first);
    urgent.await.unwrap().unwrap().mark_sent();
    patient.await.unwrap().unwrap().mark_sent();
}

#[tokio::test(start_paused = true)]
async fn an_interactive_call_does_not_wait_for_quota_that_a_background_call_needs() {
    let queue = admission_queue(
        RateLimitPolicy::default()
            .secondary_limits(SecondaryLimits::disabled().points_per_minute(8)),
    );
    for _ in 0..5 {
        admit(&queue, read()).await.mark_sent();
    }
    let write = waits(&queue, write("o"), Priority::Background);
    settle_down().await;
    assert!(!write.is_finished(), "it takes five points, and three are left");
    assert!(goes_now(&queue, read()).await);
}

#[tokio::test(start_paused = true)]
async fn a_fail_fast_call_does_not_wait_for_a_probe() {
    let queue = admission_queue(RateLimitPolicy::disabled());
    let mut permits = Vec::new();
    for _ in 0..50 {
        permits.push(timeout(Duration::ZERO, admit(&queue, read())).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_spread_do_not_rush_into_a_new_window() {
    let queue = admission_queue(unpaced().spread_evenly(true));
    let permit = admit(&queue, read()).await;
    permit.end(AttemptOutcome::Response(Some(quota("core", 0, 30 * SECOND))));
    advance(31 * SECOND).await;
    let first = admit(&queue, read()).await;
    assert!(!goes_now(&queue, read()).await, "it is not known for how long this one lasts");
    first.end(AttemptOutcome::Response(Some(quota("core", 3_599, 3_600 * SECOND))));
    let start = Instant::now();
    for _ in 0..10 {
        let permit = admit(&queue, read()).await;
        permit.end(AttemptOutcome::Response(None));
    }
    assert!(start.elapsed() >= 8 * SECOND, "{:?}", start.elapsed());
}
