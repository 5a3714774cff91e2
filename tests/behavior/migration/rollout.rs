//! Keys are shifted little by little, and stick to their side.

use std::collections::HashSet;
use std::future::pending;
use std::time::Duration;

use octowire::migration::{
    Failure, Migration, MigrationReport, MirrorConfig, NextStep, RollbackPolicy, RolloutSchedule,
    Side, Stage, StageChangeReason,
};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

const MINUTE: Duration = Duration::from_secs(60);

async fn old(_: ()) -> Result<Side, String> {
    Ok(Side::Old)
}

async fn new(_: ()) -> Result<Side, String> {
    Ok(Side::New)
}

fn shift(percent: f64) -> Stage {
    Stage::Shift { percent, share: 0.0 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn raising_the_percentage_moves_no_key_back(
        key in ".*",
        mut percents in prop::collection::vec(0.0..=100.0, 2..20),
    ) {
        percents.sort_by(f64::total_cmp);
        let shadow = Migration::new(old, new);
        let mut before = Side::Old;
        for percent in percents {
            shadow.set_stage(shift(percent));
            let now = shadow.serving_side(&key);
            prop_assert!(before == Side::Old || now == Side::New, "{key:?} at {percent} %");
            before = now;
        }
        shadow.set_stage(shift(0.0));
        prop_assert_eq!(shadow.serving_side(&key), Side::Old);
        shadow.set_stage(shift(100.0));
        prop_assert_eq!(shadow.serving_side(&key), Side::New);
    }

    #[test]
    fn as_many_keys_are_shifted_as_it_says(percent in 0.0..=100.0_f64, salt in "[a-z]{0,8}") {
        let shadow = Migration::builder(old, new).salt(salt).stage(shift(percent)).build().unwrap();
        let keys = (0..10_000).map(|number| format!("acme/repo-{number}"));
        let shifted = keys.filter(|key| shadow.serving_side(key) == Side::New).count() as f64;
        // Five standard deviations and more.
        prop_assert!((shifted / 100.0 - percent).abs() < 2.6, "{} of {percent} %", shifted / 100.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_served_by_its_side_and_calls_without_one_by_chance() {
    let shadow = Migration::builder(old, new).stage(shift(30.0)).build().unwrap();
    for number in 0..100 {
        let key = format!("acme/repo-{number}");
        for _ in 0..3 {
            let served = shadow.read("side", ()).key(&key).run().await.unwrap();
            assert_eq!(served, shadow.serving_side(&key));
        }
    }
    let mut seen = HashSet::new();
    for _ in 0..200 {
        seen.insert(shadow.read("side", ()).run().await.unwrap());
    }
    assert_eq!(seen.len(), 2);
    shadow.set_stage(Stage::Cutover);
    assert_eq!(shadow.read("side", ()).run().await, Ok(Side::New));
}

#[tokio::test(start_paused = true)]
async fn another_salt_shifts_other_keys() {
    let shifted = |salt: &str| {
        let shadow = Migration::builder(old, new).salt(salt).stage(shift(10.0)).build().unwrap();
        (0..1_000)
            .filter(|key| shadow.serving_side(key.to_string()) == Side::New)
            .collect::<Vec<_>>()
    };
    assert_eq!(shifted("a"), shifted("a"));
    assert_ne!(shifted("a"), shifted("b"));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_the_new_side_fails_to_serve_is_served_by_the_old_one() {
    let new = |how: &'static str| async move {
        match how {
            "panics" => panic!("it does"),
            "hangs" => pending().await,
            how => Err(how.to_owned()),
        }
    };
    let old = |_: &'static str| async { Ok::<_, String>(1) };
    let mirroring = MirrorConfig::default().fallback_timeout(MINUTE);
    let shadow = Migration::builder(old, new)
        .stage(shift(100.0))
        .mirror(mirroring)
        .errors(|error: &String| match error.as_str() {
            "404" => Failure::expected("404"),
            other => Failure::new(other.to_owned()),
        })
        .build()
        .unwrap();
    for how in ["fails", "panics", "hangs"] {
        assert_eq!(shadow.read("number", how).run().await, Ok(1), "{how}");
    }
    assert_eq!(shadow.read("number", "404").run().await, Err("404".to_owned()), "an answer");
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.fallbacks, operation.saved), (3, 3));
    let new = &operation.new;
    assert_eq!((new.failed, new.panicked, new.timed_out, new.expected_errors), (1, 1, 1, 1));

    shadow.set_stage(Stage::Cutover);
    assert!(shadow.read("number", "fails").run().await.is_err(), "it serves alone");
}

#[tokio::test(start_paused = true)]
async fn without_a_fallback_the_failure_is_the_callers() {
    let failing = |_: ()| async { Err::<Side, _>("no".to_owned()) };
    let shadow = Migration::builder(old, failing)
        .stage(shift(100.0))
        .mirror(MirrorConfig::default().fallback(false))
        .build()
        .unwrap();
    assert_eq!(shadow.read("side", ()).run().await, Err("no".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_advances_without_mismatches() {
    let old = |_: ()| async { Ok::<_, String>(1) };
    let shadow = Migration::builder(old, old)
        .stage(Stage::Mirror { share: 1.0 })
        .rollout(RolloutSchedule::automatic(10 * MINUTE))
        .rollback(RollbackPolicy::default().min_samples(20))
        .build()
        .unwrap();
    let began = Instant::now();
    let mut stages = vec![shadow.stage()];
    while shadow.report().verdict.decision != NextStep::Finish {
        shadow.read("number", ()).run().await.unwrap();
        shadow.drain().await;
        advance(Duration::from_secs(10)).await;
        if stages.last() != Some(&shadow.stage()) {
            stages.push(shadow.stage());
        }
    }
    let shifted = |percent| Stage::Shift { percent, share: 1.0 };
    let expected = [1.0, 5.0, 25.0, 50.0, 100.0].map(shifted);
    assert_eq!(stages[0], Stage::Mirror { share: 1.0 });
    assert_eq!(stages[1..], expected);
    assert!(began.elapsed() >= 50 * MINUTE);
    // It does not finish by itself.
    advance(60 * MINUTE).await;
    assert_eq!(shadow.stage(), shifted(100.0));
    let MigrationReport { changes, .. } = shadow.report();
    assert!(changes.iter().all(|change| change.reason == StageChangeReason::Healthy));
}

#[tokio::test(start_paused = true)]
async fn a_rollout_waits_for_enough_comparisons_and_time_without_mismatches() {
    let old = |_: bool| async { Ok::<_, String>(true) };
    let echo = |number: bool| async move { Ok::<_, String>(number) };
    let shadow = Migration::builder(old, echo)
        .stage(Stage::Mirror { share: 1.0 })
        .rollout(RolloutSchedule::automatic(MINUTE))
        .rollback(RollbackPolicy::default().min_samples(10))
        .build()
        .unwrap();
    let calls = async |right: bool, count: u32| {
        for _ in 0..count {
            shadow.read("echo", right).run().await.unwrap();
            shadow.drain().await;
        }
    };
    calls(true, 9).await;
    advance(60 * MINUTE).await;
    assert_eq!(shadow.stage(), Stage::Mirror { share: 1.0 }, "nine are not enough");
    calls(false, 1).await;
    advance(MINUTE).await;
    calls(false, 10).await;
    assert_eq!(shadow.report().verdict.decision, NextStep::Wait);
    advance(10 * MINUTE).await;
    calls(true, 10).await;
    assert_eq!(shadow.report().verdict.decision, NextStep::Shift { percent: 1.0 });
    assert_eq!(shadow.stage(), Stage::Shift { percent: 1.0, share: 1.0 });
}
