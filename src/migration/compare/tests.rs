//! The comparison of JSON values by rules.

use std::time::Duration;

use serde_json::json;

use super::*;

fn found(rules: &ComparisonRules, old: Value, new: Value) -> Vec<String> {
    compare(rules, &old, &new).iter().map(ToString::to_string).collect()
}

#[test]
fn without_rules_every_difference_is_reported() {
    let old = json!({"a": 1, "b": [1, 2, 3], "c": {"d": "x"}, "e": null, "g": true});
    let new = json!({"a": 2, "b": [1, 9], "c": {"d": 7}, "f": 1, "g": true});
    let mut found = found(&ComparisonRules::default(), old, new);
    found.sort();
    assert_eq!(
        found,
        [
            "$.a: value",
            "$.b[1]: value",
            "$.b[2]: only-in-old",
            "$.c.d: type",
            "$.e: only-in-old",
            "$.f: only-in-new",
        ]
    );
}

#[test]
fn an_ignored_path_is_ignored_on_both_sides() {
    let rules = ComparisonRules::default().ignore("$.items[*].at").ignore("$..node_id");
    let old =
        json!({"items": [{"id": 1, "at": 1}, {"id": 2, "node_id": "x"}], "node_id": {"a": 1}});
    let new = json!({"items": [{"id": 1, "node_id": 3}, {"id": 3, "at": 2}], "at": 1});
    assert_eq!(found(&rules, old, new), ["$.items[1].id: value", "$.at: only-in-new"]);
}

#[test]
fn a_list_without_order_is_a_multiset() {
    let rules = ComparisonRules::default().unordered("$.labels");
    let labels = |labels: Value| json!({ "labels": labels });
    let found = |old, new| found(&rules, labels(old), labels(new));
    assert!(found(json!(["a", "b", "a"]), json!(["b", "a", "a"])).is_empty());
    assert_eq!(found(json!(["a", "a"]), json!(["a"])), ["$.labels[1]: only-in-old"]);
    assert_eq!(
        found(json!(["a", {"x": 1}]), json!([{"x": 2}, "a"])),
        ["$.labels[1]: only-in-old", "$.labels[0]: only-in-new"]
    );
}

#[test]
fn items_that_are_known_by_a_property_are_compared_one_by_one() {
    let rules = ComparisonRules::default().unordered_by_key("$", "id").ignore("$[*].at");
    let old = json!([{"id": 1, "title": "a", "at": 1}, {"id": 2, "title": "b"}, {"id": 4}]);
    let new = json!([{"id": 3}, {"id": 2, "title": "c"}, {"id": 1.0, "title": "a", "at": 9}]);
    assert_eq!(
        found(&rules, old, new),
        ["$[1].title: value", "$[0]: only-in-new", "$[2]: only-in-old"]
    );
}

#[test]
fn times_may_be_apart_and_be_written_differently() {
    let rules = ComparisonRules::default()
        .time_tolerance("$..at", Duration::from_secs(2))
        .unordered("$.list");
    let found = |old: &str, new: &str| found(&rules, json!({"at": old}), json!({"at": new}));
    assert!(found("2024-05-01T08:00:00Z", "2024-05-01T10:00:02+02:00").is_empty());
    assert_eq!(found("2024-05-01T08:00:00Z", "2024-05-01T08:00:03Z"), ["$.at: value"]);
    assert_eq!(found("soon", "later"), ["$.at: value"]);
    // In a list without order, the nearest ones meet.
    let list = |seconds: &[u32]| {
        let item = |s: &u32| json!({"at": format!("2024-05-01T08:00:{s:02}Z"), "id": 1});
        json!({"list": seconds.iter().map(item).collect::<Vec<_>>()})
    };
    assert!(compare(&rules, &list(&[1, 20, 3]), &list(&[5, 21, 2])).is_empty());
    let differences = compare(&rules, &list(&[1, 20]), &list(&[25, 2]));
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].path, "$.list[1].at");
}

#[test]
fn numbers_are_equal_by_value_and_to_text_by_a_rule() {
    let rules = ComparisonRules::default()
        .coerce_numbers("$.id")
        .unordered("$.ids")
        .coerce_numbers("$.ids[*]");
    assert!(found(&rules, json!({"id": 7, "n": 1}), json!({"id": "7", "n": 1.0})).is_empty());
    assert!(found(&rules, json!({"ids": [7, "8"]}), json!({"ids": [8, "7"]})).is_empty());
    assert_eq!(found(&rules, json!({"n": 7}), json!({"n": "7"})), ["$.n: type"]);
    assert_eq!(found(&rules, json!(0.1), json!(0.2)), ["$: value"]);
    let most = u64::MAX;
    assert_eq!(found(&rules, json!(most), json!(most - 1)), ["$: value"]);
}

#[test]
fn null_and_empty_lists_may_be_absent() {
    let (old, new) = (json!({"a": null, "b": [], "c": [null]}), json!({"c": []}));
    let found = |rules| found(&rules, old.clone(), new.clone());
    let null = ComparisonRules::default().ignore_nulls();
    assert_eq!(found(null), ["$.b: only-in-old", "$.c[0]: only-in-old"]);
    // A value absent on one side is reported as missing.
    assert_eq!(found(ComparisonRules::default().ignore_empty()), ["$.c: only-in-old"]);
}

#[test]
fn reported_differences_are_bounded_and_contain_values_only_on_request() {
    let list = |item: Value| Value::from(vec![item; 2_000]);
    let rules = ComparisonRules::default();
    let differences = compare(&rules, &list(json!("secret")), &list(json!(1)));
    assert_eq!(differences.len(), 64);
    assert!(differences.iter().all(|one| one.old.is_none() && one.new.is_none()));
    let rules = rules.include_values().max_differences(3);
    let differences = compare(&rules, &list(json!("x".repeat(1_000))), &list(json!(1)));
    assert_eq!(differences.len(), 3);
    assert_eq!(differences[0].new.as_deref(), Some("1"));
    assert_eq!(differences[0].old.as_deref().unwrap().chars().count(), 200);
}

#[test]
fn values_nested_too_deeply_are_not_compared() {
    let nested =
        |deep: u32, inner: i32| (0..deep).fold(json!(inner), |value, _| Value::from(vec![value]));
    let rules = ComparisonRules::default().unordered("$");
    let equal = |deep| compare(&rules, &nested(deep, 1), &nested(deep, 2)).is_empty();
    assert!(!equal(128));
    assert!(equal(129) && equal(1_000));
}

#[test]
fn an_invalid_path_pattern_is_an_error() {
    let rules = ComparisonRules::default().ignore("$.good").unordered("$.[").ignore("bad");
    let error = rules.compare(&json!(1), &json!(1)).unwrap_err();
    assert!(error.to_string().contains(r#"invalid pattern "$.[": "#), "{error}");
}
