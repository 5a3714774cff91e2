//! The last lease stays valid, and only the time without a response of the store counts.

use super::*;

/// A call that waits for its permit, with its remaining time for the store.
fn waits(
    queue: &Arc<AdmissionQueue>,
    cost: RequestCost,
) -> (StoreWaitBudget, tokio::task::JoinHandle<Instant>) {
    let (queue, allowance) = (Arc::clone(queue), StoreWaitBudget::new(STORE_TIMEOUT));
    let mut call = CallHandle::default();
    call.store_wait = Some(allowance.clone());
    let waiting = tokio::spawn(async move {
        let wait_budget = WaitBudget::new(Duration::MAX);
        let mut permit =
            queue.admit(cost, Priority::Interactive, wait_budget, &call).await.unwrap();
        permit.mark_sent();
        let now = Instant::now();
        permit.end(AttemptOutcome::Response(None));
        now
    });
    (allowance, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_ledger_has_answered_is_not_charged() {
    let (store, seen) = (FlakyHandle::default(), ObservedTraffic::default());
    let queues = fleet(&store.with_latency(10), 2);
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    // The other one has just written.
    seen.call(&queues[1], write("octo"), 10).await;
    let wrote = seen.calls.lock().unwrap().last().unwrap().0;
    let (allowance, waiting) = waits(&queues[0], write("octo"));
    let went = waiting.await.unwrap();
    assert!(went - wrote >= Duration::from_millis(990), "{:?}", went - wrote);
    // It was charged for the request at whose answer it went.
    assert!(allowance.remaining() >= STORE_TIMEOUT - Duration::from_millis(25), "{allowance:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_lease_stays_valid_when_the_store_stops_responding() {
    let (store, seen) = (FlakyHandle::default(), ObservedTraffic::default());
    let queues = fleet(&store, 2);
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    seen.call(&queues[1], write("octo"), 10).await;
    let wrote = seen.calls.lock().unwrap().last().unwrap().0;
    let (_, waiting) = waits(&queues[0], write("octo"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.stop();
    let went = waiting.await.unwrap();
    assert!(went - wrote >= Duration::from_millis(990), "{:?}", went - wrote);
    assert!(went - wrote <= Duration::from_millis(1_100), "{:?}", went - wrote);
}

#[tokio::test(start_paused = true)]
async fn a_write_sent_without_a_lease_is_reported_to_the_ledger() {
    const BETWEEN: Duration = Duration::from_secs(5);
    let (store, seen) = (FlakyHandle::default(), ObservedTraffic::default());
    let policy = RateLimitPolicy::default()
        .secondary_limits(SecondaryLimits::default().min_write_interval(BETWEEN));
    let queues: Vec<_> = (0..2)
        .map(|client| super::admission_queue(store.clone(), client, policy.clone()))
        .collect();
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    store.stop();
    seen.call(&queues[0], write("octo"), 10).await;
    let wrote = seen.calls.lock().unwrap().last().unwrap().0;
    store.0.is_unavailable.store(false, Ordering::Relaxed);
    // A client that has calls in flight asks whether the store is back.
    seen.call(&queues[0], read(), 2_000).await;
    let went = waits(&queues[1], write("octo")).1.await.unwrap();
    assert!(went - wrote >= BETWEEN - Duration::from_millis(10), "{:?}", went - wrote);
}

/// A call that has no time for the store.
async fn hurries(queue: &Arc<AdmissionQueue>, latency: u64) {
    let mut call = CallHandle::default();
    call.store_wait = Some(StoreWaitBudget::new(Duration::ZERO));
    let wait_budget = WaitBudget::new(Duration::MAX);
    let mut permit = queue.admit(read(), Priority::Interactive, wait_budget, &call).await.unwrap();
    permit.mark_sent();
    tokio::time::sleep(Duration::from_millis(latency)).await;
    permit.end(AttemptOutcome::Response(None));
}

/// Starts this many calls, and waits until they are reported as in flight. One of them takes a minute.
async fn report_in_flight(
    store: &FlakyHandle,
    queue: &Arc<AdmissionQueue>,
    seen: &Arc<ObservedTraffic>,
    calls: u32,
) {
    for number in 0..calls {
        let (queue, seen) = (Arc::clone(queue), Arc::clone(seen));
        let latency = if number == 0 { 60_000 } else { 4_500 };
        tokio::spawn(async move { seen.call(&queue, read(), latency).await });
    }
    // Its heartbeat tells them, and after that nothing is left of its lease.
    let tells = |request: &QuotaRequest| request.in_flight >= calls;
    let is_told = async {
        while !store.0.requests.lock().unwrap().last().is_some_and(tells) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(MINUTE, is_told).await.expect("a heartbeat");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_admitted_before_its_lease_is_reported_to_the_ledger_immediately() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 3);
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    report_in_flight(&store, &queues[0], &seen, 3).await;
    let asked = store.0.requests.lock().unwrap().len();
    hurries(&queues[0], 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let requests = store.0.requests.lock().unwrap();
    let told = requests[asked..].iter().find_map(|request| request.join.clone());
    let join = told.expect("it owes, and tells that");
    assert!(join.spent_offline.contains_key("points"), "{join:?}");
    assert_eq!(
        (join.members, join.offline_ms),
        (3, 0),
        "others are to come back if the ledger was lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_with_unreported_usage_does_not_report_an_expired_pause_again() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 2);
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    report_in_flight(&store, &queues[1], &seen, 3).await;
    let wait_budget = WaitBudget::new(Duration::MAX);
    let limited =
        queues[0].admit(read(), Priority::Interactive, wait_budget, &CallHandle::default()).await;
    let mut limited = limited.unwrap();
    limited.mark_sent();
    limited.end(AttemptOutcome::SecondaryLimited(None, Some(Duration::from_secs(2))));
    // The other one hears of the pause, and it ends: one call finds out.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(store.0.requests.lock().unwrap().iter().any(|request| request.pause.is_some()));
    seen.call(&queues[0], read(), 10).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = store.0.requests.lock().unwrap().len();
    hurries(&queues[1], 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let requests = store.0.requests.lock().unwrap();
    let told: Vec<_> = requests[asked..].iter().filter(|it| it.pause.is_some()).collect();
    assert!(requests.len() > asked && told.is_empty(), "{told:?}");
}

/// A thread with a runtime of its own can stop polling it while it runs the timer of the admission queue.
#[test]
fn a_call_waits_for_the_store_no_longer_if_another_runtime_is_not_polled() {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap()
    };
    let (still, other) = (runtime(), runtime());
    let store = FlakyHandle::default();
    let queues = fleet(&store, 1);
    let waits = |wait: Duration| {
        let queue = Arc::clone(&queues[0]);
        async move {
            let mut call = CallHandle::default();
            call.store_wait = Some(StoreWaitBudget::new(wait));
            let wait_budget = WaitBudget::new(Duration::MAX);
            let start = Instant::now();
            queue.admit(read(), Priority::Interactive, wait_budget, &call).await.unwrap();
            start.elapsed()
        }
    };
    still.block_on(waits(STORE_TIMEOUT));
    // Its task sleeps until the rest of the lease is returned, and its runtime does not poll it.
    let most = |_| {
        store.0.latency_ms.store(100_000, Ordering::Relaxed);
        still.block_on(async { drop(tokio::spawn(waits(STORE_TIMEOUT))) });
        other.block_on(waits(STORE_TIMEOUT))
    };
    // It takes 300 ms to find out that a runtime is not polled.
    let shortest = (0..5).map(most).min().unwrap();
    assert!(shortest < Duration::from_millis(200), "{shortest:?}");
}

/// A lease whose response takes a second has expired by then.
#[tokio::test(start_paused = true)]
async fn calls_go_with_their_share_if_leases_are_over_when_they_come() {
    for policy in [RateLimitPolicy::default(), RateLimitPolicy::disabled()] {
        let store = FlakyHandle::default();
        store.0.latency_ms.store(1_200, Ordering::Relaxed);
        let guard = Arc::new(ResilientStore::new(Arc::new(store.clone()), Duration::from_secs(3)));
        let (key, member) = ("limits:here:me".to_owned(), "client 0".to_owned());
        let queue = AdmissionQueue::with_shared_quota(Arc::new(policy), guard, key, member);
        let seen =
            ObservedTraffic { store_timeout: Duration::from_secs(3), ..ObservedTraffic::default() };
        for cost in [read(), write("octo"), write("octo"), read()] {
            seen.call(&queue, cost, 10).await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        let longest = seen.longest_wait_ms.load(Ordering::Relaxed);
        assert!(longest <= 850, "{longest} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_is_scanned_a_bounded_number_of_times() {
    const CALLS: u64 = 5_000;
    for late in [0, 40, 60, 100_000] {
        let store = FlakyHandle::default();
        let policy = RateLimitPolicy::default().max_queued(10_000);
        let queue = admission_queue(store.with_latency(0), 0, policy);
        let other = super::admission_queue(store.clone(), 1, RateLimitPolicy::default());
        let seen = Arc::new(ObservedTraffic::default());
        seen.call(&queue, read(), 10).await;
        seen.call(&other, read(), 10).await;
        store.0.latency_ms.store(late, Ordering::Relaxed);
        let before = queue.steps();
        let calls = load(std::slice::from_ref(&queue), &seen, CALLS as usize, MINUTE);
        let _ = tokio::time::timeout(Duration::from_secs(3), calls).await;
        let looks = (queue.steps() - before) / CALLS;
        let ended = seen.calls.lock().unwrap().len() as u64;
        println!("{late} ms: {looks} looks at each of {CALLS} calls, {ended} sent");
        assert!(looks <= 500, "{looks} looks at each call, {late} ms to the store");
    }
}
