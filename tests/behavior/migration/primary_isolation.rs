//! A secondary that is slow, fails, lies or panics leaves the primary untouched.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use octowire::migration::{Migration, MigrationReport, MirrorConfig, Side, SideReport, Stage};
use serde::{Serialize, Serializer};
use tokio::time::{Instant, sleep};

const MIRROR: Stage = Stage::Mirror { share: 1.0 };
const SECOND: Duration = Duration::from_secs(1);

/// A primary that takes a tenth of a second and doubles a number.
async fn double(number: u64) -> Result<u64, String> {
    sleep(SECOND / 10).await;
    Ok(2 * number)
}

/// Has ten calls served while `new` is mirrored, and makes sure that it does not show.
async fn unharmed<F>(new: impl Fn(u64) -> F + Clone + Send + Sync + 'static) -> MigrationReport
where
    F: Future<Output = Result<u64, String>> + Send + 'static,
{
    let shadow = Migration::builder(double, new).stage(MIRROR).build().unwrap();
    for number in 0..10 {
        let began = Instant::now();
        assert_eq!(shadow.read("double", number).run().await, Ok(2 * number));
        assert_eq!(began.elapsed(), SECOND / 10);
    }
    shadow.drain().await;
    shadow.report()
}

fn new(report: &MigrationReport) -> &SideReport {
    &report.operations[0].new
}

#[tokio::test(start_paused = true)]
async fn a_slow_secondary_is_not_waited_for() {
    let began = Instant::now();
    let report = unharmed(|number| async move {
        sleep(5 * SECOND).await;
        Ok(2 * number)
    })
    .await;
    assert_eq!((report.operations[0].compared, report.operations[0].mismatched), (10, 0));
    assert!(began.elapsed() < 7 * SECOND, "they run beside each other");
}

#[tokio::test(start_paused = true)]
async fn a_secondary_that_never_responds_ends_after_its_time() {
    let began = Instant::now();
    let report = unharmed(|_| pending()).await;
    assert!(began.elapsed() <= 11 * SECOND, "{:?}", began.elapsed());
    assert_eq!(new(&report).timed_out, 10);
    assert_eq!(report.operations[0].mismatched, 10);
}

#[tokio::test(start_paused = true)]
async fn a_failing_secondary_is_only_counted() {
    let report = unharmed(|_| async { Err("no".to_owned()) }).await;
    assert_eq!((new(&report).failed, report.operations[0].mismatched), (10, 10));
    assert_eq!(report.operations[0].old.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_secondary_with_wrong_results_is_reported() {
    let report = unharmed(|number| async move { Ok(3 * number) }).await;
    // Thrice nothing is twice nothing.
    assert_eq!(report.operations[0].mismatched, 9);
    assert_eq!(report.operations[0].differences[0].newest.path, "$");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_secondary_does_not_affect_the_caller() {
    let report = unharmed(|_| async { panic!("in the future") }).await;
    assert_eq!(new(&report).panicked, 10);
    #[allow(unreachable_code, reason = "it says what is never given")]
    let report = unharmed(|_| {
        panic!("before there is a future");
        pending()
    })
    .await;
    assert_eq!(new(&report).panicked, 10);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_sixteen_are_mirrored_at_a_time() {
    let most = Arc::new(AtomicUsize::new(0));
    let (count, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&most));
    let new = move |number: u64| {
        seen.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let count = Arc::clone(&count);
        async move {
            sleep(SECOND).await;
            count.fetch_sub(1, Ordering::SeqCst);
            Ok(2 * number)
        }
    };
    let shadow = Migration::builder(double, new).stage(MIRROR).build().unwrap();
    let began = Instant::now();
    let calls = (0..100).map(|number| shadow.read("double", number).run());
    for (number, response) in (0..).zip(futures_util::future::join_all(calls).await) {
        assert_eq!(response, Ok(2 * number));
    }
    assert_eq!(began.elapsed(), SECOND / 10);
    shadow.drain().await;
    assert_eq!(most.load(Ordering::SeqCst), 16);
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.compared, operation.skipped.full), (16, 84));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_cancels_its_mirror() {
    let ended = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ended);
    let new = move |_: u64| {
        let guard = DropCounter(Arc::clone(&seen));
        async move {
            sleep(5 * SECOND).await;
            drop(guard);
            Ok(0)
        }
    };
    let old = |_: u64| pending::<Result<u64, String>>();
    let shadow = Migration::builder(old, new).stage(MIRROR).build().unwrap();
    let began = Instant::now();
    let call = shadow.read("double", 1).run();
    tokio::time::timeout(SECOND, call).await.unwrap_err();
    shadow.drain().await;
    assert_eq!((began.elapsed(), ended.load(Ordering::SeqCst)), (SECOND, 1));
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.skipped.abandoned, operation.old.abandoned), (1, 1));
}

struct DropCounter(Arc<AtomicUsize>);

impl Drop for DropCounter {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A value that cannot be serialized as JSON.
#[derive(Clone, Debug, PartialEq)]
struct Unfit(&'static str);

impl Serialize for Unfit {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            "panic" => panic!("it does not like to be compared"),
            other => Err(serde::ser::Error::custom(other)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_compared_is_still_returned() {
    let side = |how: &'static str| async move { Ok::<_, String>(Unfit(how)) };
    let shadow = Migration::builder(side, side).stage(MIRROR).build().unwrap();
    for how in ["panic", "error"] {
        assert_eq!(shadow.read("unfit", how).run().await, Ok(Unfit(how)));
    }
    let view = |_: Side, _: &Unfit| panic!("a view that panics");
    assert_eq!(shadow.read("unfit", "").project(view).run().await, Ok(Unfit("")));
    shadow.drain().await;
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.compared, operation.uncompared), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn the_time_and_the_number_of_mirrors_are_the_users() {
    let mirroring = MirrorConfig::default().timeout(SECOND / 2).concurrency(3);
    let shadow = Migration::builder(double, |_| pending()).stage(MIRROR).mirror(mirroring);
    let shadow = shadow.build().unwrap();
    let began = Instant::now();
    let calls = (0..10).map(|number| shadow.read("double", number).run());
    futures_util::future::join_all(calls).await;
    shadow.drain().await;
    assert_eq!(began.elapsed(), SECOND / 2);
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.new.timed_out, operation.skipped.full), (3, 7));
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_spawned() {
    let shadow = Migration::builder(double, double).stage(MIRROR).build().unwrap();
    let call = shadow.read("double", 4).key("acme").project(|_, number| (*number).into()).run();
    drop(shadow);
    assert_eq!(tokio::spawn(call).await.unwrap(), Ok(8));
}

#[test]
fn without_a_runtime_nothing_is_mirrored_and_the_call_succeeds() {
    let side = |number: u64| async move { Ok::<_, String>(number) };
    let shadow = Migration::builder(side, side).stage(MIRROR).build().unwrap();
    // Nothing in it waits, so that polling it once is enough.
    let response = futures_util::FutureExt::now_or_never(shadow.read("echo", 7).run());
    assert_eq!(response, Some(Ok(7)));
    assert_eq!(shadow.report().operations[0].skipped.no_runtime, 1);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_reads_is_mirrored_and_without_a_stage_none() {
    let side = |number: u64| async move { Ok::<_, String>(number) };
    let shadow = Migration::new(side, side);
    for number in 0..10 {
        shadow.read("echo", number).run().await.unwrap();
    }
    assert_eq!(shadow.report().operations[0].new.mirrored, 0);
    shadow.set_stage(Stage::Mirror { share: 0.25 });
    for number in 0..2_000 {
        shadow.read("echo", number).run().await.unwrap();
        shadow.drain().await;
    }
    let report = shadow.report();
    let mirrored = new(&report).mirrored;
    assert!((400..600).contains(&mirrored), "{mirrored}");
    assert_eq!(report.operations[0].old.served, 2_010);
}
