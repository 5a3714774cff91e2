//! A report contains the findings, and no secret.

use std::time::Duration;

use octowire::migration::{
    ComparisonRules, DifferenceKind, Either, Failure, Migration, NextStep, Side, Stage,
};
use serde_json::{Value, json};
use tokio::time::{advance, sleep};

const MIRROR: Stage = Stage::Mirror { share: 1.0 };

async fn echo(value: (Value, Value)) -> Result<Value, String> {
    Ok(value.0)
}

async fn echo_second(value: (Value, Value)) -> Result<Value, String> {
    Ok(value.1)
}

#[tokio::test(start_paused = true)]
async fn differences_are_reported_by_path_without_values() {
    let shadow = Migration::builder(echo, echo_second)
        .stage(MIRROR)
        .rules_for("issues/get", ComparisonRules::default().ignore("$.updated_at"))
        .build()
        .unwrap();
    for number in 0..3 {
        let old = json!({"labels": [{"name": "hush-1"}, {"name": "hush-2"}], "updated_at": 1});
        let new = json!({"labels": [{"name": "hush-1"}, {"name": number}], "updated_at": 2});
        shadow.read("issues/get", (old.clone(), new.clone())).run().await.unwrap();
        shadow.read("issues/list", (json!([old]), json!([new]))).run().await.unwrap();
    }
    shadow.drain().await;
    let report = shadow.report();
    let reported = |index: usize| -> Vec<_> {
        let differences = &report.operations[index].differences;
        differences.iter().map(|one| (one.count, one.newest.pattern.as_str())).collect()
    };
    assert_eq!(reported(0), [(3, "$.labels[*].name")]);
    assert_eq!(reported(1), [(3, "$[*].labels[*].name"), (3, "$[*].updated_at")]);
    for text in [report.to_string(), report.to_json().to_string(), format!("{report:?}")] {
        assert!(text.contains("$[*].updated_at") && !text.contains("hush"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn values_of_differences_are_kept_on_request() {
    let rules = ComparisonRules::default().include_values();
    let shadow = Migration::builder(echo, echo_second).stage(MIRROR).rules(rules).build().unwrap();
    shadow.read("echo", (json!({"a": 1}), json!({"a": "x"}))).run().await.unwrap();
    shadow.drain().await;
    let report = shadow.report().to_string();
    assert!(report.contains(r#"1 × $.a: type (1 | "x")"#), "{report}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_compared_by_their_names() {
    let fail = |side: usize| {
        move |names: (&'static str, &'static str)| async move {
            Err::<Value, _>(if side == 0 { names.0 } else { names.1 })
        }
    };
    let shadow = Migration::builder(fail(0), fail(1))
        .stage(MIRROR)
        .errors(|error: &&'static str| Failure::new(*error))
        .build()
        .unwrap();
    for names in [("404", "404"), ("404", "500")] {
        assert_eq!(shadow.read("fail", names).run().await, Err(names.0));
    }
    shadow.drain().await;
    let report = shadow.report();
    let operation = &report.operations[0];
    assert_eq!((operation.compared, operation.mismatched), (2, 1));
    let difference = &operation.differences[0].newest;
    assert_eq!(difference.kind, DifferenceKind::FailedDifferently);
    assert_eq!(difference.to_string(), "$: failed-differently (404, now 500)");
}

#[tokio::test(start_paused = true)]
async fn sides_of_two_types_are_compared_as_json_or_by_a_view() {
    let shadow = Migration::builder((), ()).stage(MIRROR).build().unwrap();
    let call = || {
        shadow.read_with(
            "either",
            |()| async { Ok::<_, String>(Either::Old(7_u32)) },
            |()| async { Ok(Either::New(json!(7))) },
        )
    };
    assert_eq!(call().run().await, Ok(Either::Old(7)));
    let view = |side: Side, _: &Either<u32, Value>| json!(side == Side::Old);
    call().project(view).run().await.unwrap();
    shadow.drain().await;
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.compared, operation.mismatched), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn latencies_of_both_sides_are_reported() {
    let wait = |millis: u64| {
        move |_: ()| async move {
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, String>(1)
        }
    };
    let shadow = Migration::builder(wait(10), wait(40)).stage(MIRROR).build().unwrap();
    for _ in 0..10 {
        shadow.read("wait", ()).run().await.unwrap();
    }
    shadow.drain().await;
    let operation = &shadow.report().operations[0];
    for (side, expected) in [(&operation.old, 10.0), (&operation.new, 40.0)] {
        for latency in [side.p50, side.p95, side.p99, side.max_latency] {
            let millis = latency.unwrap().as_secs_f64() * 1e3;
            // Tokio's timers have milliseconds.
            assert!((millis - expected).abs() <= 1.0 + expected * 0.032, "{millis} of {expected}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_verdict_advances_from_start_to_removal() {
    let same = |_: u32| async { Ok::<_, String>(1) };
    let shadow = Migration::new(same, same);
    let decision = || shadow.report().verdict.decision;
    assert_eq!(decision(), NextStep::Mirror);
    let calls = async |stage: Stage| {
        shadow.set_stage(stage);
        assert_eq!(decision(), NextStep::Wait);
        for number in 0..100 {
            shadow.read("same", number).run().await.unwrap();
            shadow.drain().await;
        }
    };
    calls(MIRROR).await;
    assert_eq!(decision(), NextStep::Shift { percent: 1.0 });
    calls(Stage::Shift { percent: 50.0, share: 1.0 }).await;
    assert_eq!(decision(), NextStep::Shift { percent: 100.0 });
    calls(Stage::Shift { percent: 100.0, share: 1.0 }).await;
    assert_eq!(decision(), NextStep::Finish);
    shadow.set_stage(Stage::Cutover);
    advance(Duration::from_secs(3600)).await;
    for number in 0..100 {
        shadow.read("same", number).run().await.unwrap();
    }
    let report = shadow.report();
    assert_eq!(report.verdict.decision, NextStep::Remove);
    assert!(report.legacy_usage.unused_for.unwrap() >= Duration::from_secs(3600));
    assert!(report.to_string().contains("the legacy side can be removed"), "{report}");
    assert_eq!(report.to_json()["old_use"]["served"], report.legacy_usage.served);
}

#[tokio::test(start_paused = true)]
async fn the_report_is_bounded() {
    let shadow = Migration::builder(echo, echo_second).stage(MIRROR).build().unwrap();
    let object = |from: u32| -> Value { (from..from + 64).map(|n| (n.to_string(), n)).collect() };
    for number in 0..4 {
        shadow.read("many", (object(64 * number), json!({}))).run().await.unwrap();
    }
    for number in 0..300 {
        let operation = format!("operation {number}");
        shadow.read(operation, (json!(1), json!(1))).run().await.unwrap();
        shadow.drain().await;
    }
    let report = shadow.report();
    assert_eq!(report.operations.len(), 201);
    assert_eq!(report.operations[0].operation, "(others)");
    assert_eq!(report.operations[0].old.served, 101);
    let many = report.operations.iter().find(|of| of.operation == "many").unwrap();
    assert_eq!((many.differences.len(), many.differences_dropped), (100, 4 * 64 - 100));
}

#[test]
fn invalid_rules_are_rejected_at_build() {
    let bad = || ComparisonRules::default().ignore("labels");
    let error = Migration::builder((), ()).rules_for("issues/get", bad()).build().unwrap_err();
    assert_eq!(error.kind(), octowire::ErrorKind::Configuration);
    assert!(Migration::builder((), ()).rules(bad()).build().is_err());
}
