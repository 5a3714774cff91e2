//! Which calls of a batch are sent at a time; time is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use http::Method;
use http::header::AUTHORIZATION;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::client::ResponseFuture;
use crate::client::test_transport::{rate_limit, response};
use crate::policy::rate_limit::{LimitAction, MAX_WAITING_CALLS, RateLimitPolicy, SecondaryLimits};

const SECOND: Duration = Duration::from_secs(1);

/// The number of requests in flight, and its maximum.
#[derive(Default)]
struct InFlightCounter {
    now: AtomicUsize,
    most: AtomicUsize,
    sent: AtomicUsize,
}

/// A request in flight, until it is dropped.
struct InFlightGuard<'a>(&'a InFlightCounter);

impl<'a> InFlightGuard<'a> {
    fn new(in_flight: &'a InFlightCounter) -> Self {
        let now = in_flight.now.fetch_add(1, Ordering::Relaxed) + 1;
        in_flight.most.fetch_max(now, Ordering::Relaxed);
        Self(in_flight)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client whose requests take so long. Nothing is left of the limit of the identity `exhausted`.
fn client(limits: RateLimitPolicy, time: Duration) -> (Client, Arc<InFlightCounter>) {
    let in_flight = Arc::new(InFlightCounter::default());
    let counted = Arc::clone(&in_flight);
    let builder = Client::builder().rate_limits(limits);
    let builder = builder.responder(move |request| {
        let counted = Arc::clone(&counted);
        async move {
            counted.sent.fetch_add(1, Ordering::Relaxed);
            let _counted = InFlightGuard::new(&counted);
            sleep(time).await;
            let exhausted =
                request.headers().get(AUTHORIZATION).is_some_and(|it| it == "Bearer exhausted");
            let headers = rate_limit(if exhausted { 0 } else { 4000 }, 1800);
            response(&request, 200, &headers, "1")
        }
    });
    (builder.build().unwrap(), in_flight)
}

fn unpaced() -> RateLimitPolicy {
    RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled())
}

/// Each of another path, so that none is equal to another one.
fn get(client: &Client) -> ResponseFuture<u64> {
    static PATHS: AtomicUsize = AtomicUsize::new(0);
    let path = format!("/x/{}", PATHS.fetch_add(1, Ordering::Relaxed));
    client.request(Method::GET, path).send()
}

#[tokio::test(start_paused = true)]
async fn calls_of_an_idle_identity_do_not_wait_behind_those_of_an_exhausted_one() {
    let (client, _) = client(unpaced(), SECOND / 10);
    let (exhausted, idle) = (client.named("exhausted"), client.named("idle"));
    get(&exhausted).await.unwrap();
    get(&idle).await.unwrap();
    let began = Instant::now();
    let calls = (0..14).map(|number| get(if number < 12 { &exhausted } else { &idle }));
    let mut results = std::pin::pin!(client.batch(calls).concurrency(10).stream());
    for _ in 0..2 {
        let (index, result) = results.next().await.unwrap();
        result.unwrap();
        assert!(index >= 12);
    }
    assert_eq!(began.elapsed(), SECOND / 10, "at once");
    // The others go when their limit is reset.
    assert_eq!(results.map(|(_, result)| result.unwrap()).count().await, 12);
    assert!(began.elapsed() > 1700 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_the_concurrency_are_sent_at_a_time() {
    for concurrency in [1, 2, 3, 10] {
        for permits in [1, 2, 5] {
            let pacing = SecondaryLimits::disabled().max_concurrent(permits);
            let (client, in_flight) =
                client(RateLimitPolicy::default().secondary_limits(pacing), SECOND);
            let identities: Vec<_> = (0..7).map(|n| client.named(&format!("id-{n}"))).collect();
            // Long runs of each identity, so that many wait while others are sent.
            let calls = (0..700).map(|number| get(&identities[number / 50 % 7]));
            let results = client.batch(calls).concurrency(concurrency).collect().await;
            assert_eq!(results.len(), 700);
            assert!(results.iter().all(Result::is_ok));
            let most = in_flight.most.load(Ordering::Relaxed);
            // As many as the seven identities have permits for.
            let permits = permits as usize * identities.len();
            assert_eq!(most, concurrency.min(permits));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_the_bound_wait() {
    let (client, in_flight) = client(unpaced(), SECOND / 10);
    let exhausted = client.named("exhausted");
    get(&exhausted).await.unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let calls = (0..3_000).map(|_| {
        counted.fetch_add(1, Ordering::Relaxed);
        get(&exhausted)
    });
    let mut results = std::pin::pin!(client.batch(calls).concurrency(10).stream());
    assert!(timeout(60 * SECOND, results.next()).await.is_err());
    assert_eq!(made.load(Ordering::Relaxed), MAX_WAITING_CALLS + 10);
    assert_eq!(in_flight.sent.load(Ordering::Relaxed), 1);
    println!("{} of 3,000 calls wait, 10 of them with a slot", made.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_no_more_places_of_the_queue_than_calls_it_may_send() {
    let limits = RateLimitPolicy::default()
        .max_queued(4)
        .secondary_limits(SecondaryLimits::disabled().max_concurrent(1));
    let (client, _) = client(limits, SECOND);
    let results = client.batch((0..200).map(|_| get(&client))).concurrency(4).collect().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_other_calls_of_the_batch_is_not_bounded_by_the_longest_wait_for_a_limit() {
    let pacing = SecondaryLimits::disabled().min_write_interval(SECOND);
    let limits = RateLimitPolicy::default().secondary_limits(pacing);
    let limits = limits.on_limit(LimitAction::Wait { max: 10 * SECOND });
    let (client, _) = client(limits, SECOND / 10);
    let writes = (0..100).map(|_| client.request(Method::POST, "/repos/o/r/issues").send::<u64>());
    let began = Instant::now();
    let results = client.batch(writes).concurrency(4).collect().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
    assert!(began.elapsed() >= 99 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_time_limit_of_its_own_is_not_started_before_its_turn() {
    let pacing = SecondaryLimits::disabled().min_write_interval(SECOND);
    let (client, _) = client(RateLimitPolicy::default().secondary_limits(pacing), SECOND / 10);
    let writes = (0..100).map(|_| {
        let write = client.request(Method::POST, "/repos/o/r/issues");
        write.timeout(10 * SECOND).send::<u64>()
    });
    let results = client.batch(writes).concurrency(4).collect().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
}

#[tokio::test(start_paused = true)]
async fn equal_reads_that_wait_for_one_of_them_take_no_part() {
    let (client, _) = client(unpaced(), SECOND / 10);
    let (exhausted, idle) = (client.named("exhausted"), client.named("idle"));
    get(&exhausted).await.unwrap();
    let calls = (0..14).map(|number| {
        let client = if number < 12 { &exhausted } else { &idle };
        client.request(Method::GET, "/same").send::<u64>()
    });
    let began = Instant::now();
    let mut results = std::pin::pin!(client.batch(calls).concurrency(4).stream());
    for _ in 0..2 {
        assert!(results.next().await.unwrap().0 >= 12);
    }
    assert!(began.elapsed() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_shared_with_a_call_outside_does_not_wait_for_its_batch() {
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(1));
    let (client, _) = client(limits, SECOND / 10);
    let calls = (0..6).map(|n| client.request(Method::GET, format!("/shared/{n}")).send::<u64>());
    let mut results = std::pin::pin!(client.batch(calls).concurrency(1).stream());
    results.next().await.unwrap().1.unwrap();
    // The batch is not polled, and has started the others.
    for number in (1..6).rev() {
        let equal = client.request(Method::GET, format!("/shared/{number}")).send::<u64>();
        timeout(10 * SECOND, equal).await.expect("it waits for the batch").unwrap();
    }
    assert_eq!(results.count().await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_releases_all_permits() {
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(2));
    let (client, in_flight) = client(limits, SECOND);
    let mut results = Box::pin(client.batch((0..100).map(|_| get(&client))).stream());
    results.next().await.unwrap().1.unwrap();
    drop(results);
    let began = Instant::now();
    get(&client).await.unwrap();
    assert!(began.elapsed() <= 2 * SECOND);
    assert_eq!(in_flight.most.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_within_a_batch_counts_its_own_calls() {
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(3));
    let (client, _) = client(limits, SECOND / 10);
    let batches = (0..20).map(|_| {
        let client = client.clone();
        async move {
            let results =
                client.batch((0..10).map(|_| get(&client))).concurrency(2).collect().await;
            results.into_iter().collect::<Result<Vec<_>>>()
        }
    });
    let results =
        timeout(600 * SECOND, client.batch(batches).concurrency(3).collect()).await.unwrap();
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|calls| calls.len() == 10)));
}

/// A failure of an application.
#[derive(Debug, PartialEq)]
struct OddNumber(usize);

#[tokio::test(start_paused = true)]
async fn a_future_that_is_no_call_has_its_slot_to_its_end_and_its_own_error() {
    let (client, _) = client(unpaced(), SECOND);
    let in_flight = Arc::new(InFlightCounter::default());
    let futures = (0..9_usize).map(|number| {
        let counted = Arc::clone(&in_flight);
        async move {
            let _counted = InFlightGuard::new(&counted);
            sleep(SECOND).await;
            if number.is_multiple_of(2) { Ok(number) } else { Err(OddNumber(number)) }
        }
    });
    let (began, failed) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&failed);
    let batch = client.batch(futures).concurrency(3);
    let batch = batch.on_progress(move |it| counted.store(it.failed, Ordering::Relaxed));
    let results = batch.collect().await;
    for (number, result) in results.iter().enumerate() {
        let expected = if number.is_multiple_of(2) { Ok(number) } else { Err(OddNumber(number)) };
        assert_eq!(*result, expected);
    }
    assert_eq!((results.len(), failed.load(Ordering::Relaxed)), (9, 4));
    assert_eq!(in_flight.most.load(Ordering::Relaxed), 3);
    assert_eq!(began.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_future_of_several_calls_has_no_slot_while_one_of_them_waits() {
    let (client, _) = client(unpaced(), SECOND / 10);
    let (exhausted, idle) = (client.named("exhausted"), client.named("idle"));
    get(&exhausted).await.unwrap();
    let began = Instant::now();
    let futures = (0..14).map(|number| {
        let first = get(&idle);
        let second = get(if number < 12 { &exhausted } else { &idle });
        async move {
            let sum = *first.await? + *second.await?;
            Ok::<_, Box<dyn std::error::Error>>(sum)
        }
    });
    let mut results = std::pin::pin!(client.batch(futures).concurrency(10).stream());
    for _ in 0..2 {
        let (index, result) = results.next().await.unwrap();
        assert_eq!(result.unwrap(), 2);
        assert!(index >= 12);
    }
    assert!(began.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_spawned_task_do_not_belong_to_the_batch() {
    let (client, in_flight) = client(unpaced(), SECOND / 10);
    let clients = [client.named("exhausted"), client.named("idle")];
    get(&clients[0]).await.unwrap();
    let tasks = clients.iter().map(|client| tokio::spawn(get(client)));
    let mut results = std::pin::pin!(client.batch(tasks).concurrency(1).stream());
    // The first task waits for its limit, and its future keeps the only slot.
    assert!(timeout(60 * SECOND, results.next()).await.is_err());
    assert_eq!(in_flight.sent.load(Ordering::Relaxed), 1);
}

/// A client with one permit for each identity, whose calls fail rather than wait. Those of paths that
/// begin with `/slow` take 5 s, of `/slower` a minute more, and others 0.1 s.
fn failing_fast() -> Client {
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(1));
    let builder = Client::builder();
    let builder = builder.rate_limits(limits.on_limit(LimitAction::FailFast));
    let builder = builder.responder(move |request| async move {
        let slow = request.url().path().starts_with("/slow");
        sleep(if slow { 5 * SECOND } else { SECOND / 10 }).await;
        if request.url().path() == "/slower" {
            sleep(60 * SECOND).await;
        }
        response(&request, 200, &rate_limit(4000, 1800), "1")
    });
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_slot_of_the_batch_is_not_bounded_by_the_longest_wait_for_a_limit() {
    for then_limited in [false, true] {
        let client = failing_fast();
        let (one, another, third) = (client.named("a"), client.named("b"), client.named("c"));
        let call = |client: &Client, path: &str| client.request(Method::GET, path).send::<u64>();
        let outside = tokio::spawn(call(&one, "/outside"));
        tokio::task::yield_now().await;
        let began = Instant::now();
        let calls = [call(&one, "/x"), call(&another, "/slow/1"), call(&third, "/slow/2")];
        let batch = client.batch(calls).concurrency(2).collect();
        let batch = tokio::spawn(async move { (batch.await, began.elapsed()) });
        outside.await.unwrap().unwrap();
        if then_limited {
            // It is of no batch, and takes the permit of the identity.
            sleep(3 * SECOND).await;
            let slower = tokio::spawn(call(&one, "/slower"));
            let (results, elapsed) = batch.await.unwrap();
            let error = results[0].as_ref().unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::RateLimit);
            // It waited 0.1 s for its limit before, and 4.9 s for a slot.
            let expected = 5_900;
            assert!(elapsed.as_millis().abs_diff(expected) <= 5, "{elapsed:?}");
            slower.abort();
        } else {
            let (results, elapsed) = batch.await.unwrap();
            assert!(results.iter().all(Result::is_ok), "{results:?}");
            assert!(elapsed < 6 * SECOND, "{elapsed:?}");
        }
    }
}
