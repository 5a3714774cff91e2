//! What the ledger has said stands, and only its silence counts.

use super::*;

/// A call that waits for its permit, with what it has left of the time for the store.
fn waits(lane: &Arc<Lane>, cost: Cost) -> (WaitAllowance, tokio::task::JoinHandle<Instant>) {
    let (lane, allowance) = (Arc::clone(lane), WaitAllowance::new(STORE_TIMEOUT));
    let mut call = CallHandle::default();
    call.store_wait = Some(allowance.clone());
    let waiting = tokio::spawn(async move {
        let patience = Patience::new(Duration::MAX);
        let mut permit = lane.admit(cost, Priority::Interactive, patience, &call).await.unwrap();
        permit.sent();
        let now = Instant::now();
        permit.end(Outcome::Answered(None));
        now
    });
    (allowance, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_ledger_has_answered_is_not_charged() {
    let (store, seen) = (Handle::default(), Seen::default());
    let lanes = fleet(&store.far(10), 2);
    for lane in &lanes {
        seen.call(lane, read(), 10).await;
    }
    // The other one has just written.
    seen.call(&lanes[1], write("octo"), 10).await;
    let wrote = seen.calls.lock().unwrap().last().unwrap().0;
    let (allowance, waiting) = waits(&lanes[0], write("octo"));
    let went = waiting.await.unwrap();
    assert!(went - wrote >= Duration::from_millis(990), "{:?}", went - wrote);
    // It was charged for the request at whose answer it went.
    assert!(allowance.left() >= STORE_TIMEOUT - Duration::from_millis(25), "{allowance:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_said_stands_when_the_store_falls_silent() {
    let (store, seen) = (Handle::default(), Seen::default());
    let lanes = fleet(&store, 2);
    for lane in &lanes {
        seen.call(lane, read(), 10).await;
    }
    seen.call(&lanes[1], write("octo"), 10).await;
    let wrote = seen.calls.lock().unwrap().last().unwrap().0;
    let (_, waiting) = waits(&lanes[0], write("octo"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.kill();
    let went = waiting.await.unwrap();
    assert!(went - wrote >= Duration::from_millis(990), "{:?}", went - wrote);
    assert!(went - wrote <= Duration::from_millis(1_100), "{:?}", went - wrote);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_went_alone_is_told_to_the_ledger() {
    const BETWEEN: Duration = Duration::from_secs(5);
    let (store, seen) = (Handle::default(), Seen::default());
    let policy = RateLimits::default().pacing(Pacing::default().between_writes(BETWEEN));
    let lanes: Vec<_> =
        (0..2).map(|client| super::lane(store.clone(), client, policy.clone())).collect();
    for lane in &lanes {
        seen.call(lane, read(), 10).await;
    }
    store.kill();
    seen.call(&lanes[0], write("octo"), 10).await;
    let wrote = seen.calls.lock().unwrap().last().unwrap().0;
    store.0.gone.store(false, Ordering::Relaxed);
    // A client that has calls in flight asks whether the store is back.
    seen.call(&lanes[0], read(), 2_000).await;
    let went = waits(&lanes[1], write("octo")).1.await.unwrap();
    assert!(went - wrote >= BETWEEN - Duration::from_millis(10), "{:?}", went - wrote);
}

#[tokio::test(start_paused = true)]
async fn a_long_queue_is_looked_at_a_bounded_number_of_times() {
    const CALLS: u64 = 5_000;
    for late in [0, 40, 60, 100_000] {
        let store = Handle::default();
        let policy = RateLimits::default().queue(10_000);
        let lane = lane(store.far(0), 0, policy);
        let other = super::lane(store.clone(), 1, RateLimits::default());
        let seen = Arc::new(Seen::default());
        seen.call(&lane, read(), 10).await;
        seen.call(&other, read(), 10).await;
        store.0.late.store(late, Ordering::Relaxed);
        let before = lane.steps();
        let calls = load(std::slice::from_ref(&lane), &seen, CALLS as usize, MINUTE);
        let _ = tokio::time::timeout(Duration::from_secs(3), calls).await;
        let looks = (lane.steps() - before) / CALLS;
        let ended = seen.calls.lock().unwrap().len() as u64;
        println!("{late} ms: {looks} looks at each of {CALLS} calls, {ended} sent");
        assert!(looks <= 500, "{looks} looks at each call, {late} ms to the store");
    }
}
