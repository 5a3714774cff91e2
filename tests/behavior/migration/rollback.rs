//! If the new side fails, the stage is rolled back within the documented time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use octowire::migration::{
    Migration, MigrationBuilder, RollbackPolicy, RolloutSchedule, Side, Stage, StageChange,
    StageChangeReason,
};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The fault of the new side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Fails,
    Lies,
    IsSlow,
    BothFail,
}

async fn old(wrong: Wrong) -> Result<u32, String> {
    sleep(SECOND / 100).await;
    if wrong == Wrong::BothFail { Err("down".to_owned()) } else { Ok(1) }
}

async fn new(wrong: Wrong) -> Result<u32, String> {
    sleep(SECOND / 100).await;
    match wrong {
        Wrong::Nothing => Ok(1),
        Wrong::Lies => Ok(2),
        Wrong::Fails | Wrong::BothFail => Err("down".to_owned()),
        Wrong::IsSlow => {
            sleep(SECOND / 5).await;
            Ok(1)
        }
    }
}

type Function = fn(Wrong) -> Running;
type Running = std::pin::Pin<Box<dyn Future<Output = Result<u32, String>> + Send>>;

const AT_50: Stage = Stage::Shift { percent: 50.0, share: 1.0 };
const MIRROR: Stage = Stage::Mirror { share: 1.0 };

fn builder() -> MigrationBuilder<Function, Function> {
    let (old, new): (Function, Function) = (|w| Box::pin(old(w)), |w| Box::pin(new(w)));
    Migration::builder(old, new).stage(AT_50)
}

/// Makes calls of many keys, one after the other.
async fn calls(shadow: &Migration<Function, Function>, wrong: Wrong, count: u32) {
    for key in 0..count {
        let response = shadow.read("call", wrong).key(key.to_string()).run().await;
        assert_eq!(response.is_err(), wrong == Wrong::BothFail);
        shadow.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_after_the_one_that_passes_the_threshold_is_served_by_the_old_side() {
    let changes = Arc::new(Mutex::new(Vec::<(Instant, StageChange)>::new()));
    let reply = Arc::clone(&changes);
    // Nothing is mirrored: only the calls that the new side serves count.
    let shadow = builder()
        .stage(Stage::Shift { percent: 100.0, share: 0.0 })
        .on_change(move |change| reply.lock().unwrap().push((Instant::now(), change.clone())))
        .build()
        .unwrap();
    for _ in 0..990 {
        shadow.read("call", Wrong::Nothing).run().await.unwrap();
    }
    let failing = async || {
        shadow.read("call", Wrong::Fails).run().await.unwrap();
        Instant::now()
    };
    let mut last = Instant::now();
    // Ten of a thousand are one percent, and eleven are more.
    for _ in 0..10 {
        last = failing().await;
        assert_eq!(shadow.serving_side("any"), Side::New);
    }
    let failed_at = last + SECOND / 100;
    failing().await;
    assert_eq!(shadow.serving_side("any"), Side::Old, "before the call returns");
    let changes = changes.lock().unwrap();
    let [(at, change)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(*at, failed_at, "with the result itself");
    assert_eq!(change.to, Stage::Mirror { share: 0.0 });
    assert!(
        matches!(change.reason, StageChangeReason::Errors { old: 0.0, new } if new > 0.01),
        "{change}"
    );
}

#[tokio::test(start_paused = true)]
async fn differences_take_it_back_once_they_are_compared() {
    let shadow = builder().build().unwrap();
    calls(&shadow, Wrong::Nothing, 98).await;
    calls(&shadow, Wrong::Lies, 1).await;
    assert_eq!(shadow.stage(), AT_50, "too few say nothing");
    let began = Instant::now();
    calls(&shadow, Wrong::Lies, 1).await;
    assert_eq!(shadow.stage(), MIRROR);
    assert!(began.elapsed() <= SECOND / 50, "{:?}", began.elapsed());
    let reason = shadow.report().changes[0].reason.clone();
    assert_eq!(reason, StageChangeReason::Differences { share: 0.02 });
}

#[tokio::test(start_paused = true)]
async fn a_hanging_new_side_is_rolled_back_after_the_mirror_timeout() {
    let (old, new): (Function, Function) =
        (|w| Box::pin(old(w)), |_| Box::pin(std::future::pending()));
    let shadow = Migration::builder(old, new)
        .stage(Stage::Shift { percent: 0.0, share: 1.0 })
        .rollback(RollbackPolicy::default().min_samples(16))
        .build()
        .unwrap();
    let calls = (0..16).map(|_| shadow.read("call", Wrong::Nothing).run());
    futures_util::future::join_all(calls).await;
    let served = Instant::now();
    shadow.drain().await;
    assert_eq!(shadow.stage(), MIRROR);
    assert!(served.elapsed() <= 10 * SECOND, "{:?}", served.elapsed());
}

#[tokio::test(start_paused = true)]
async fn latency_takes_it_back_within_a_second_more() {
    let shadow = builder().build().unwrap();
    calls(&shadow, Wrong::Nothing, 95).await;
    calls(&shadow, Wrong::IsSlow, 5).await;
    assert_eq!(shadow.stage(), AT_50, "one in twenty may be slow");
    let began = Instant::now();
    while shadow.stage() == AT_50 {
        calls(&shadow, Wrong::IsSlow, 1).await;
    }
    assert!(began.elapsed() <= 2 * SECOND, "{:?}", began.elapsed());
    assert!(matches!(shadow.report().changes[0].reason, StageChangeReason::Latency { .. }));
}

#[tokio::test(start_paused = true)]
async fn ten_milliseconds_more_are_no_matter() {
    let wait = |millis: u64| {
        move |()| async move {
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, String>(1)
        }
    };
    let shadow = Migration::builder(wait(1), wait(9)).stage(AT_50).build().unwrap();
    for key in 0..1_000 {
        shadow.read("call", ()).key(key.to_string()).run().await.unwrap();
        shadow.drain().await;
    }
    assert_eq!(shadow.stage(), AT_50);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_both_sides_does_not_count() {
    let shadow = builder().build().unwrap();
    calls(&shadow, Wrong::BothFail, 300).await;
    assert_eq!(shadow.stage(), AT_50);
    assert_eq!(shadow.report().operations[0].mismatched, 0, "they fail alike");
}

#[tokio::test(start_paused = true)]
async fn mismatches_outside_the_window_do_not_count() {
    let shadow = builder().build().unwrap();
    calls(&shadow, Wrong::Nothing, 90).await;
    calls(&shadow, Wrong::Lies, 9).await;
    advance(6 * MINUTE).await;
    calls(&shadow, Wrong::Nothing, 100).await;
    assert_eq!(shadow.stage(), AT_50);
}

#[tokio::test(start_paused = true)]
async fn rollback_can_go_step_by_step() {
    let step_back = RollbackPolicy::default().min_samples(10).one_step_at_a_time();
    let shadow = builder().rollback(step_back).build().unwrap();
    let mut stages = Vec::new();
    for _ in 0..4 {
        calls(&shadow, Wrong::Lies, 10).await;
        stages.push(shadow.stage());
    }
    let shift = |percent| Stage::Shift { percent, share: 1.0 };
    assert_eq!(stages, [shift(25.0), shift(5.0), shift(1.0), MIRROR]);
}

#[tokio::test(start_paused = true)]
async fn rollback_can_be_disabled() {
    let shadow = builder().rollback(RollbackPolicy::disabled()).build().unwrap();
    calls(&shadow, Wrong::Lies, 300).await;
    assert_eq!(shadow.stage(), AT_50);
}

#[tokio::test(start_paused = true)]
async fn after_each_rollback_the_rollout_pauses_longer() {
    let shadow = builder()
        .stage(MIRROR)
        .rollback(RollbackPolicy::default().min_samples(10))
        .rollout(RolloutSchedule::automatic(MINUTE).cooldown(60 * MINUTE))
        .build()
        .unwrap();
    let mut pauses = Vec::new();
    let mut since = Instant::now();
    for _ in 0..3 {
        while shadow.stage() == MIRROR {
            calls(&shadow, Wrong::Nothing, 10).await;
            advance(MINUTE).await;
        }
        pauses.push(since.elapsed().as_secs() / 60);
        calls(&shadow, Wrong::Lies, 10).await;
        assert_eq!(shadow.stage(), MIRROR);
        since = Instant::now();
    }
    assert!(
        pauses[0] < 3 && (60..63).contains(&pauses[1]) && (120..124).contains(&pauses[2]),
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_started_before_a_stage_change_count_only_in_the_report() {
    let shadow = builder().rollback(RollbackPolicy::default().min_samples(10)).build().unwrap();
    let calls = (0..16).map(|key| shadow.read("call", Wrong::Lies).key(key.to_string()).run());
    let stage = Stage::Shift { percent: 60.0, share: 1.0 };
    let change = async { shadow.set_stage(stage) };
    futures_util::future::join(futures_util::future::join_all(calls), change).await;
    shadow.drain().await;
    assert_eq!(shadow.stage(), stage);
    assert_eq!(shadow.report().operations[0].mismatched, 16);
}

#[tokio::test(start_paused = true)]
async fn restart_stage_resets_the_mismatch_counts() {
    let shadow = builder().build().unwrap();
    calls(&shadow, Wrong::Lies, 99).await;
    shadow.restart_stage();
    calls(&shadow, Wrong::Nothing, 100).await;
    assert_eq!(shadow.stage(), AT_50);
    assert_eq!(shadow.report().operations[0].mismatched, 99, "the report knows");
}

#[tokio::test(start_paused = true)]
async fn a_stage_change_callback_may_panic() {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    // The call itself finds it out: nothing is mirrored.
    let shadow = builder()
        .stage(Stage::Shift { percent: 100.0, share: 0.0 })
        .on_change(|_| {
            REPORTED.store(true, Ordering::SeqCst);
            panic!("at the wrong moment")
        })
        .build()
        .unwrap();
    calls(&shadow, Wrong::Fails, 100).await;
    assert!(REPORTED.load(Ordering::SeqCst));
    assert_eq!(shadow.stage(), Stage::Mirror { share: 0.0 });
}
