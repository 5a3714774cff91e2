//! Each delivery is handled once, for any number of redeliveries and any outcome of its handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Fuse, FutureExt, poll_immediate};
use http::StatusCode;
use octowire::ErrorKind;
use octowire::store::{CounterStore, KeyValueStore, MemoryStore, QuotaStore, StoreFuture};
use octowire::webhooks::{
    Deduplicator, Delivery, PermanentFailure, ReceiveOutcome, RejectionReason, RetrySchedule,
    WebhookReceiver,
};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::{HandledDeliveries, builder, deliver, delivery, send, settled, signed, turns};
use crate::forward::forward;

const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
const OK: StatusCode = StatusCode::OK;
const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// A receiver whose handler waits for a permit each time.
fn waiting(
    builder: octowire::webhooks::WebhookReceiverBuilder,
) -> (WebhookReceiver, HandledDeliveries, Arc<Semaphore>) {
    let (handled, gate) = (HandledDeliveries::default(), Arc::new(Semaphore::new(0)));
    let (note, wait) = (handled.clone(), Arc::clone(&gate));
    let handler = move |delivery| {
        note.record(delivery);
        let wait = Arc::clone(&wait);
        async move { wait.acquire_owned().await.map(tokio::sync::OwnedSemaphorePermit::forget) }
    };
    (builder.start(handler).unwrap(), handled, gate)
}

#[tokio::test]
async fn of_a_hundred_duplicate_deliveries_one_is_handled() {
    let (receiver, handled, gate) = waiting(builder());
    let calls = (0..100).map(|_| deliver(&receiver, "same"));
    let responses = futures_util::future::join_all(calls).await;
    assert_eq!(responses.iter().filter(|status| **status == ACCEPTED).count(), 1);
    // Its outcome is not known yet, so no duplicate is acknowledged.
    assert_eq!(responses.iter().filter(|status| **status == BUSY).count(), 99);
    gate.add_permits(1);
    settled(&receiver).await;
    assert_eq!(deliver(&receiver, "same").await, OK);
    assert_eq!(handled.ids(), ["same"]);
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.in_progress, stats.duplicates), (1, 99, 1));
}

#[tokio::test]
async fn processes_that_share_a_store_handle_a_delivery_once() {
    let (store, handled) = (MemoryStore::new(), HandledDeliveries::default());
    let receivers: Vec<WebhookReceiver> = (0..3)
        .map(|_| handled.start(builder().deduplicator(Deduplicator::new(store.clone()))))
        .collect();
    let ids: Vec<String> = (0..100).map(|number| format!("d-{}", number % 10)).collect();
    let calls = ids.iter().zip(receivers.iter().cycle()).map(|(id, to)| deliver(to, id));
    futures_util::future::join_all(calls).await;
    for receiver in &receivers {
        settled(receiver).await;
    }
    let mut ids = handled.ids();
    ids.sort();
    assert_eq!(ids, (0..10).map(|number| format!("d-{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_is_handled_once_for_each_webhook_that_delivers_it() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    for hook in [1, 2, 1] {
        send(&receiver, signed(delivery("same").hook_id(hook))).await;
        settled(&receiver).await;
    }
    assert_eq!(handled.ids(), ["same", "same"]);
    let keys: Vec<String> = handled.0.lock().unwrap().iter().map(Delivery::key).collect();
    assert_eq!(keys, ["1-same", "2-same"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_called_again_until_it_succeeds() {
    let handled = HandledDeliveries::default();
    let receiver = handled.failing(3, builder());
    assert_eq!(deliver(&receiver, "d").await, ACCEPTED);
    settled(&receiver).await;
    assert_eq!(handled.attempts(), [1, 2, 3, 4]);
    assert_eq!(deliver(&receiver, "d").await, OK);
    let stats = receiver.stats();
    assert_eq!((stats.handled, stats.failed_attempts, stats.failed), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_failed_finally_is_accepted_again() {
    let handled = HandledDeliveries::default();
    let receiver = handled.failing(5, builder());
    let began = tokio::time::Instant::now();
    deliver(&receiver, "d").await;
    settled(&receiver).await;
    assert_eq!(handled.attempts(), [1, 2, 3, 4, 5]);
    let took = began.elapsed().as_secs();
    assert!((364..=546).contains(&took), "{took}");
    assert_eq!(receiver.stats().failed, 1);
    assert_eq!(deliver(&receiver, "d").await, ACCEPTED);
    settled(&receiver).await;
    assert_eq!(receiver.stats().handled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_give_up_panic_or_hang_and_the_next_delivery_is_handled() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler = move |delivery: Delivery| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            match delivery.id() {
                "gives-up" => return Err(PermanentFailure::new("it is none of ours").into()),
                "panics" => panic!("it panics"),
                "hangs" => std::future::pending::<()>().await,
                _ => {}
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }
    };
    let retry = RetrySchedule::new([Duration::from_secs(1)]);
    let receiver = builder().retry(retry).concurrency(1).start(handler).unwrap();
    for (id, expected, failed) in
        [("gives-up", 1, 1), ("panics", 2, 2), ("hangs", 2, 3), ("fine", 1, 3)]
    {
        calls.store(0, Ordering::Relaxed);
        assert_eq!(deliver(&receiver, id).await, ACCEPTED);
        settled(&receiver).await;
        assert_eq!(
            (calls.load(Ordering::Relaxed), receiver.stats().failed),
            (expected, failed),
            "{id}"
        );
    }
    assert_eq!(receiver.stats().handled, 1);
}

#[tokio::test]
async fn queued_and_running_deliveries_are_bounded() {
    let (receiver, handled, gate) = waiting(builder().max_queued(5, 1_000_000).concurrency(2));
    for number in 0..5 {
        assert_eq!(deliver(&receiver, &number.to_string()).await, ACCEPTED);
    }
    turns().await;
    assert_eq!(deliver(&receiver, "5").await, BUSY);
    let stats = receiver.stats();
    assert_eq!((stats.queued, stats.running, stats.busy, handled.ids().len()), (5, 2, 1, 2));
    gate.add_permits(1);
    while receiver.stats().handled == 0 {
        tokio::task::yield_now().await;
    }
    turns().await;
    assert_eq!(deliver(&receiver, "5").await, ACCEPTED);
    gate.add_permits(5);
    settled(&receiver).await;
    assert_eq!(handled.ids().len(), 6);
    // By bytes as well; one that is larger than all of it goes alone.
    let (receiver, _, gate) = waiting(builder().max_queued(100, 100));
    assert_eq!(deliver(&receiver, "1").await, ACCEPTED);
    assert_eq!(deliver(&receiver, "2").await, BUSY);
    assert_eq!(receiver.stats().queued_bytes, 55);
    gate.add_permits(2);
    settled(&receiver).await;
    let large = super::OutgoingDelivery::new("issues", format!("\"{}\"", "x".repeat(198)));
    assert_eq!(send(&receiver, signed(large)).await.0, ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn a_retried_delivery_does_not_delay_others() {
    let handled = HandledDeliveries::default();
    let note = handled.clone();
    let handler = move |delivery: Delivery| {
        let fails = delivery.id() == "fails";
        note.record(delivery);
        async move { if fails { Err("it fails") } else { Ok(()) } }
    };
    let receiver = builder().concurrency(1).start(handler).unwrap();
    deliver(&receiver, "fails").await;
    turns().await;
    deliver(&receiver, "fine").await;
    turns().await;
    assert_eq!(handled.ids(), ["fails", "fine"]);
}

/// A handler that fails for this long, as while its database is restarted.
fn down_for(
    time: Duration,
    builder: octowire::webhooks::WebhookReceiverBuilder,
) -> (WebhookReceiver, HandledDeliveries) {
    let (handled, began) = (HandledDeliveries::default(), tokio::time::Instant::now());
    let note = handled.clone();
    let handler = move |delivery: Delivery| {
        let up = began.elapsed() >= time;
        if up {
            note.record(delivery);
        }
        async move { if up { Ok(()) } else { Err("the database is down") } }
    };
    (builder.start(handler).unwrap(), handled)
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_handler_dependency_loses_no_delivery() {
    for minutes in [0.1, 1.0, 3.0, 6.0] {
        let (receiver, handled) = down_for(Duration::from_secs_f64(60.0 * minutes), builder());
        for number in 0..100 {
            assert_eq!(deliver(&receiver, &format!("d-{number}")).await, ACCEPTED);
        }
        settled(&receiver).await;
        assert_eq!(handled.ids().len(), 100, "{minutes}");
        assert_eq!((receiver.stats().handled, receiver.stats().failed), (100, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_await_a_retry_take_no_capacity_from_new_ones() {
    let handled = HandledDeliveries::default();
    let note = handled.clone();
    let handler = move |delivery: Delivery| {
        let fails = delivery.id().starts_with("fails");
        note.record(delivery);
        async move { if fails { Err("it fails") } else { Ok(()) } }
    };
    let bounded = builder().max_queued(2, 1_000).max_retrying(30, 1_000_000).concurrency(1);
    let receiver = bounded.start(handler).unwrap();
    for number in 0..30 {
        assert_eq!(deliver(&receiver, &format!("fails-{number}")).await, ACCEPTED);
        turns().await;
    }
    assert_eq!((receiver.stats().retrying, receiver.stats().queued), (30, 30));
    assert_eq!(deliver(&receiver, "fine").await, ACCEPTED);
    turns().await;
    assert_eq!(receiver.stats().handled, 1);
    // Beyond that, they wait in the queue, which is bounded as well.
    for (id, expected) in [("fails-a", ACCEPTED), ("fails-b", ACCEPTED), ("fails-c", BUSY)] {
        assert_eq!(deliver(&receiver, id).await, expected, "{id}");
        turns().await;
    }
    let stats = receiver.stats();
    assert_eq!((stats.retrying, stats.queued, stats.running), (30, 32, 0));
    settled(&receiver).await;
    assert_eq!((receiver.stats().failed, receiver.stats().retrying), (32, 0));
    assert_eq!(receiver.stats().queued_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_ends_does_not_wait_for_a_pause_of_minutes() {
    let (receiver, _) = down_for(Duration::from_secs(3_600), builder());
    deliver(&receiver, "d").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let began = tokio::time::Instant::now();
    assert_eq!(receiver.shutdown(Duration::from_secs(60)).await, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(receiver.stats().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_lasts_as_long_as_its_handler_and_its_queue() {
    let once = Deduplicator::new(MemoryStore::new()).claim_ttl(Duration::from_secs(10));
    let receiver =
        builder().deduplicator(once).concurrency(1).handler_timeout(Duration::from_secs(120));
    let (receiver, handled, gate) = waiting(receiver);
    deliver(&receiver, "first").await;
    deliver(&receiver, "second").await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(deliver(&receiver, "first").await, BUSY);
        assert_eq!(deliver(&receiver, "second").await, BUSY);
    }
    gate.add_permits(2);
    settled(&receiver).await;
    assert_eq!(handled.ids(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn inline_handling_responds_with_the_outcome() {
    let handled = HandledDeliveries::default();
    let receiver = handled.failing(1, builder().respond_after_handling());
    assert_eq!(deliver(&receiver, "d").await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(send(&receiver, signed(delivery("d"))).await, (OK, "handled\n".into()));
    assert_eq!(send(&receiver, signed(delivery("d"))).await, (OK, "known\n".into()));
    assert_eq!(handled.attempts(), [1, 1]);
    // GitHub would not wait for longer.
    let (receiver, _, _gate) = waiting(builder().respond_after_handling());
    let began = tokio::time::Instant::now();
    assert_eq!(deliver(&receiver, "hangs").await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(began.elapsed(), Duration::from_millis(8_800));
    assert_eq!(receiver.stats().failed, 1);
}

#[tokio::test(start_paused = true)]
async fn inline_handling_rejects_a_delivery_that_is_queued_too_long() {
    let (receiver, handled, _gate) = waiting(builder().respond_after_handling().concurrency(1));
    let (first, second) = tokio::join!(deliver(&receiver, "first"), deliver(&receiver, "second"));
    assert_eq!((first, second), (StatusCode::INTERNAL_SERVER_ERROR, BUSY));
    assert_eq!(handled.ids(), ["first"]);
    // No process has a claim on it.
    assert_eq!(deliver(&receiver, "second").await, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(handled.ids(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_queued_delivery_that_another_process_handled_is_not_handled_again() {
    let store = MemoryStore::new();
    let once = || Deduplicator::new(store.clone()).claim_ttl(Duration::from_secs(30));
    let (receiver, handled, gate) = waiting(
        builder().deduplicator(once()).concurrency(1).handler_timeout(Duration::from_secs(600)),
    );
    for id in ["first", "done", "elsewhere", "free"] {
        deliver(&receiver, id).await;
    }
    turns().await;
    // The store loses all, and another process is told of them.
    for id in ["done", "elsewhere", "free"] {
        store.remove(&format!("delivery:{id}")).await.unwrap();
    }
    once().claim("done").await.unwrap().unwrap().complete().await.unwrap();
    let other = Deduplicator::new(store.clone()).claim_ttl(Duration::from_secs(10_000));
    let _other_claim = other.claim("elsewhere").await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    gate.add_permits(10);
    settled(&receiver).await;
    assert_eq!(handled.ids(), ["first", "free"]);
}

/// An error that hides another, as those of `anyhow` do in a box.
#[derive(Debug)]
struct Hides(PermanentFailure);

impl std::fmt::Display for Hides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Hides {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn give_up_is_recognized_inside_any_error() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(Box::new(Hides(PermanentFailure::new("it is none of ours")))) }
    };
    let receiver = builder().start(handler).unwrap();
    deliver(&receiver, "d").await;
    settled(&receiver).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_is_no_time_of_trying() {
    let handled = HandledDeliveries::default();
    let note = handled.clone();
    let handler = move |delivery: Delivery| {
        let (first, attempt) = (delivery.id() == "first", delivery.attempt());
        note.record(delivery);
        async move {
            if first {
                tokio::time::sleep(Duration::from_secs(3_000)).await;
            }
            if attempt < 3 && !first { Err("it fails") } else { Ok(()) }
        }
    };
    let hour = Duration::from_secs(3_600);
    let receiver = builder().concurrency(1).handler_timeout(hour).start(handler).unwrap();
    deliver(&receiver, "first").await;
    deliver(&receiver, "second").await;
    settled(&receiver).await;
    assert_eq!(handled.attempts(), [1, 1, 2, 3]);
}

#[tokio::test]
async fn a_delivery_that_is_claimed_at_once_is_accepted_without_a_wait() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let response = poll_immediate(receiver.clone().oneshot(signed(delivery("d")))).await;
    assert_eq!(response.unwrap().unwrap().status(), ACCEPTED);
    // Its handler runs in a task.
    assert!(handled.ids().is_empty());
    settled(&receiver).await;
    assert_eq!(handled.ids(), ["d"]);
}

#[tokio::test]
async fn a_sender_that_disconnects_loses_no_delivery() {
    // With a store that responds at once, and one that does not.
    for delays in [0, u32::MAX] {
        let handled = HandledDeliveries::default();
        let store = Failing::new(delays, StoreFailure::Delay);
        let receiver = handled.start(builder().deduplicator(Deduplicator::new(store)));
        for number in 0..50 {
            let request = signed(delivery(&format!("d-{number}")));
            // Dropped at every place where it waits.
            let mut call = tokio_test_call(receiver.clone().oneshot(request));
            for _ in 0..number % 4 {
                call.step();
            }
            drop(call);
            turns().await;
        }
        settled(&receiver).await;
        let ids = handled.ids();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len());
        for number in 0..50 {
            let id = format!("d-{number}");
            let begun = ids.contains(&id);
            assert_eq!(begun, number % 4 > 0, "{id}");
            // It was handled, or was never begun, and is not stuck in between.
            assert_eq!(deliver(&receiver, &id).await, if begun { OK } else { ACCEPTED }, "{id}");
        }
    }
}

#[test]
fn a_delivery_is_handled_by_the_runtime_of_the_receiver() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (own, other) = (runtime(), runtime());
    let handled = HandledDeliveries::default();
    let receiver = own.block_on(async { handled.start(builder()) });
    assert_eq!(other.block_on(deliver(&receiver, "first")), ACCEPTED);
    other.block_on(turns());
    assert!(handled.ids().is_empty());
    own.block_on(settled(&receiver));
    assert_eq!(handled.ids(), ["first"]);
    // After its end, there is none to handle a delivery.
    drop(own);
    assert_eq!(other.block_on(deliver(&receiver, "second")), BUSY);
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.busy, stats.queued), (1, 1, 0));
}

#[test]
fn a_claim_that_expires_before_its_task_starts_is_checked() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (own, other) = (runtime(), runtime());
    let store = MemoryStore::new();
    let once = || Deduplicator::new(store.clone()).claim_ttl(Duration::from_millis(100));
    let (late, handled) = (HandledDeliveries::default(), HandledDeliveries::default());
    let receiver = own.block_on(async { late.start(builder().deduplicator(once())) });
    let next = other.block_on(async { handled.start(builder().deduplicator(once())) });
    assert_eq!(other.block_on(deliver(&receiver, "d")), ACCEPTED);
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(other.block_on(deliver(&next, "d")), ACCEPTED);
    other.block_on(settled(&next));
    own.block_on(settled(&receiver));
    assert_eq!((late.ids().len(), handled.ids().len()), (0, 1));
}

#[tokio::test]
async fn a_sender_that_never_waits_leaves_accepted_deliveries_their_turn() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder().max_queued(2, 1_000_000));
    for number in 0..10 {
        assert_eq!(deliver(&receiver, &format!("d-{number}")).await, ACCEPTED);
    }
    settled(&receiver).await;
    assert_eq!((handled.ids().len(), receiver.stats().busy), (10, 0));
}

/// A future that is polled by hand.
fn tokio_test_call<F: Future>(future: F) -> Stepped<F> {
    Stepped(Box::pin(future.fuse()))
}

struct Stepped<F: Future>(std::pin::Pin<Box<Fuse<F>>>);

impl<F: Future> Stepped<F> {
    /// Polls it, unless it has ended.
    fn step(&mut self) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = self.0.as_mut().poll(&mut context);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_a_receiver_handles_accepted_deliveries_and_rejects_new_ones() {
    let handled = HandledDeliveries::default();
    let receiver = handled.failing(2, builder());
    deliver(&receiver, "d").await;
    let ends = receiver.shutdown(Duration::from_secs(60));
    let (left, refused) = tokio::join!(ends, async {
        turns().await;
        deliver(&receiver, "late").await
    });
    assert_eq!((left, refused), (0, BUSY));
    assert_eq!(handled.attempts(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn closing_a_receiver_without_a_wait_reports_and_releases_unhandled_deliveries() {
    let store = MemoryStore::new();
    let (receiver, _, _gate) =
        waiting(builder().deduplicator(Deduplicator::new(store.clone())).concurrency(1));
    deliver(&receiver, "runs").await;
    deliver(&receiver, "waits").await;
    assert_eq!(receiver.shutdown(Duration::from_secs(5)).await, 2);
    turns().await;
    let handled = HandledDeliveries::default();
    let next = handled.start(builder().deduplicator(Deduplicator::new(store)));
    assert_eq!((deliver(&next, "runs").await, deliver(&next, "waits").await), (ACCEPTED, ACCEPTED));
}

/// A store of which so many commands fail, after they were carried out.
#[derive(Debug)]
struct Failing {
    store: MemoryStore,
    failures: AtomicU32,
    failure: StoreFailure,
}

#[derive(Clone, Copy, Debug)]
enum StoreFailure {
    Error,
    Panic,
    /// The command never ends.
    Hang,
    /// The command succeeds, but not at once.
    Delay,
}

impl Failing {
    fn new(failures: u32, failure: StoreFailure) -> Self {
        Self { store: MemoryStore::new(), failures: AtomicU32::new(failures), failure }
    }

    fn after<'a, T: Send + 'a>(
        &'a self,
        _: &str,
        act: impl FnOnce(&'a MemoryStore) -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let done = act(&self.store);
        Box::pin(async move {
            let result = done.await;
            let left = |failures: u32| failures.checked_sub(1);
            let fails = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
            match self.failure {
                _ if fails.is_err() => result,
                StoreFailure::Error => {
                    Err(octowire::store::DiskStore::open("/dev/null/nowhere").unwrap_err())
                }
                StoreFailure::Panic => panic!("the store panics"),
                StoreFailure::Hang => std::future::pending().await,
                StoreFailure::Delay => {
                    tokio::task::yield_now().await;
                    result
                }
            }
        })
    }
}

impl KeyValueStore for Failing {
    forward!(after() => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Failing {
    forward!(after() => increment);
}

impl QuotaStore for Failing {}

#[tokio::test]
async fn a_command_that_the_store_loses_costs_no_delivery() {
    let handled = HandledDeliveries::default();
    let store = Failing::new(1, StoreFailure::Error);
    let receiver = handled.start(builder().deduplicator(Deduplicator::new(store)));
    assert_eq!(deliver(&receiver, "d").await, ACCEPTED);
    settled(&receiver).await;
    assert_eq!(deliver(&receiver, "d").await, OK);
    assert_eq!(handled.ids(), ["d"]);
}

#[tokio::test(start_paused = true)]
async fn github_gets_a_response_in_time_if_the_store_or_handler_hangs() {
    let store = Failing::new(u32::MAX, StoreFailure::Hang);
    let receiver =
        HandledDeliveries::default().start(builder().deduplicator(Deduplicator::new(store)));
    let began = tokio::time::Instant::now();
    assert_eq!(deliver(&receiver, "d").await, BUSY);
    assert_eq!(began.elapsed(), Duration::from_secs(9));
}

#[tokio::test]
async fn without_the_store_nothing_is_acknowledged() {
    let handled = HandledDeliveries::default();
    // The claim is requested twice, and then reported as not acquired.
    let store = Failing::new(3, StoreFailure::Error);
    let receiver = handled.start(builder().deduplicator(Deduplicator::new(store)));
    assert_eq!(deliver(&receiver, "d").await, BUSY);
    assert!(handled.ids().is_empty());
    let stats = receiver.stats();
    assert_eq!((stats.store_failures, stats.queued), (1, 0));
    // No process has a claim on it.
    assert_eq!(deliver(&receiver, "d").await, ACCEPTED);
}

#[tokio::test]
async fn a_store_that_panics_is_a_store_that_fails() {
    let handled = HandledDeliveries::default();
    let store = Failing::new(1, StoreFailure::Panic);
    let receiver = handled.start(builder().deduplicator(Deduplicator::new(store)));
    assert_eq!(deliver(&receiver, "first").await, BUSY);
    let stats = receiver.stats();
    assert_eq!((stats.store_failures, stats.queued), (1, 0));
    assert_eq!(deliver(&receiver, "second").await, ACCEPTED);
    settled(&receiver).await;
    assert_eq!(handled.ids(), ["second"]);
}

#[tokio::test]
async fn a_delivery_can_arrive_without_http() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let (parts, body) = delivery("queued").sign(super::SECRET, super::URL).unwrap().into_parts();
    let delivery = Delivery::verify(&super::verifier(), &parts.headers, body).unwrap();
    assert_eq!(receiver.receive(delivery.clone()).await, Ok(ReceiveOutcome::Accepted));
    settled(&receiver).await;
    assert_eq!(receiver.receive(delivery.clone()).await, Ok(ReceiveOutcome::Duplicate));
    receiver.shutdown(Duration::ZERO).await;
    assert_eq!(receiver.receive(delivery).await, Err(RejectionReason::Busy));
}

#[test]
fn a_receiver_must_be_started_in_a_runtime() {
    let started = builder().start(|_| async { Ok::<_, std::convert::Infallible>(()) });
    assert_eq!(started.unwrap_err().kind(), ErrorKind::Configuration);
}

#[cfg(feature = "webhook-issues")]
#[tokio::test(start_paused = true)]
async fn a_delivery_that_does_not_fit_its_type_is_counted_once() {
    let calls = AtomicU32::new(0);
    let handler = move |delivery: Delivery| {
        let fails = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            // However often it is asked for, and tried again.
            for _ in 0..2 {
                assert!(delivery.clone().event().is_ok_and(|event| event.is_unknown()));
            }
            if fails { Err("it fails once") } else { Ok(()) }
        }
    };
    let receiver = builder().start(handler).unwrap();
    deliver(&receiver, "misses").await;
    settled(&receiver).await;
    assert_eq!(receiver.stats().undecoded, 1);
    deliver(&receiver, "misses as well").await;
    settled(&receiver).await;
    // An action that has no type misses none.
    let unknown =
        super::OutgoingDelivery::new("issues", "{\"action\":\"sublimated\"}").id("unknown");
    send(&receiver, signed(unknown)).await;
    settled(&receiver).await;
    let stats = receiver.stats();
    assert_eq!((stats.undecoded, stats.accepted), (2, 3));
}
