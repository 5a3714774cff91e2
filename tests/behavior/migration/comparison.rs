//! The guarantees of the comparison for any values.

use std::time::Duration;

use octowire::migration::{ComparisonRules, DifferenceKind};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON with few names and values, so that rules mean something and values are often alike.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        (0..3_u8).prop_map(|n| Value::from(f64::from(n))),
        (0..6_u8).prop_map(|s| Value::from(format!("2024-05-01T08:00:0{s}Z"))),
        "[0-2x]".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let name = prop::sample::select(vec!["a", "b", "id"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..3).prop_map(|object| json!(object)),
        ]
    })
}

fn rules() -> impl Strategy<Value = ComparisonRules> {
    let pattern = prop::sample::select(vec![
        "$", "$..*", "$..a", "$..b", "$..id", "$.a", "$[*]", "$[0]", "$.a[*].b", "$..[1]",
    ]);
    prop::collection::vec((0..7_u8, pattern), 0..5).prop_map(|rules| {
        rules.into_iter().fold(
            ComparisonRules::default().max_differences(1_000),
            |rules, (rule, pattern)| match rule {
                0 => rules.ignore(pattern),
                1 => rules.unordered(pattern),
                2 => rules.unordered_by_key(pattern, "id"),
                3 => rules.time_tolerance(pattern, Duration::from_secs(1)),
                4 => rules.coerce_numbers(pattern),
                5 => rules.ignore_nulls(),
                _ => rules.ignore_empty(),
            },
        )
    })
}

/// The same with every list in another order.
fn reordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().rev().map(reordered).collect(),
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), reordered(value))).collect()
        }
        other => other.clone(),
    }
}

fn other_side(kind: DifferenceKind) -> DifferenceKind {
    match kind {
        DifferenceKind::OnlyInOld => DifferenceKind::OnlyInNew,
        DifferenceKind::OnlyInNew => DifferenceKind::OnlyInOld,
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn a_value_equals_itself_under_any_rules(value in value(), rules in rules()) {
        prop_assert_eq!(rules.compare(&value, &value).unwrap(), []);
    }

    #[test]
    fn the_sides_may_be_exchanged(old in value(), new in value(), rules in rules()) {
        let places = |old, new, back: bool| {
            let differences = rules.compare(old, new).unwrap();
            let mut places: Vec<_> = differences
                .into_iter()
                .map(|one| (one.pattern, if back { other_side(one.kind) } else { one.kind }))
                .collect();
            places.sort();
            places
        };
        prop_assert_eq!(places(&old, &new, false), places(&new, &old, true));
    }

    #[test]
    fn another_order_is_no_difference_for_unordered_paths(
        value in value(),
        by_id in any::<bool>(),
        tolerance in 0..3_u64,
    ) {
        let rules = ComparisonRules::default().time_tolerance("$..*", Duration::from_secs(tolerance));
        let rules = match by_id {
            true => rules.unordered_by_key("$..*", "id").unordered_by_key("$", "id"),
            false => rules.unordered("$..*").unordered("$"),
        };
        prop_assert_eq!(rules.compare(&value, &reordered(&value)).unwrap(), []);
    }

    #[test]
    fn without_rules_values_are_compared_as_json(old in value(), new in value()) {
        let equal = rules_free(&old) == rules_free(&new);
        prop_assert_eq!(ComparisonRules::default().compare(&old, &new).unwrap().is_empty(), equal);
    }
}

/// A value with its floats as integers, where they are.
fn rules_free(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => Value::from(float as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(rules_free).collect(),
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), rules_free(value))).collect()
        }
        other => other.clone(),
    }
}
