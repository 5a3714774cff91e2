//! Every union that is read, against samples of its variants: a value is read as the variant that it
//! is of, with any other fields, and nothing of it is lost.

use std::fmt::Debug;

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::compare::missing;

/// The variant that a value is read as, and the value again.
type Reader = fn(&Value) -> (String, Value);

/// A union, its decoder, and its variants, each with a sample of the required properties and one of
/// everything.
type Union = (&'static str, Reader, &'static [(&'static str, &'static str, &'static str)]);

const UNIONS: &[Union] = include!(concat!(env!("OUT_DIR"), "/unions.rs"));

fn read<T: DeserializeOwned + Serialize + Debug>(value: &Value) -> (String, Value) {
    // As text, as it comes and goes.
    let union: T = serde_json::from_str(&value.to_string()).unwrap();
    let shown = format!("{union:?}");
    let variant = shown.split('(').next().unwrap_or_default().to_owned();
    let again = serde_json::to_string(&union).unwrap();
    (variant, serde_json::from_str(&again).unwrap())
}

fn sample(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The paths of lost values.
fn lost(before: &Value, after: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    missing(before, after, "$", &mut |path| paths.push(path.to_owned()));
    paths
}

#[test]
fn a_sample_is_read_as_its_variant_and_loses_nothing() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (union, read, variants) in UNIONS {
        for (variant, least, most) in *variants {
            for text in [least, most] {
                let value = sample(text);
                let (found, again) = read(&value);
                count += 1;
                // A record that requires nothing is not told by nothing.
                let is_nothing = value == json!({});
                if found != *variant && !is_nothing {
                    wrong.push(format!("{union}::{variant} is read as {found}: {text}"));
                }
                assert_eq!(lost(&value, &again), [""; 0], "{union}::{variant}: {text}");
            }
        }
    }
    println!("unions: {}, samples: {count}", UNIONS.len());
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn properties_that_no_variant_names_are_kept_and_change_nothing(
        name in "x_[a-z]{1,8}",
        added in any_json(),
    ) {
        for (union, read, variants) in UNIONS {
            for (variant, least, most) in *variants {
                for text in [least, most] {
                    let mut value = sample(text);
                    let (before, _) = read(&value);
                    // A map of texts takes no other values.
                    let Some(object) = value.as_object_mut().filter(|object| !object.is_empty()) else {
                        continue;
                    };
                    object.insert(name.clone(), added.clone());
                    let (after, again) = read(&value);
                    prop_assert_eq!(&after, &before, "{}::{}: {}", union, variant, &value);
                    prop_assert_eq!(again.get(&name), Some(&added));
                    prop_assert_eq!(lost(&value, &again), [""; 0]);
                }
            }
        }
    }

    #[test]
    fn a_changed_union_value_loses_no_data(
        at in any::<prop::sample::Index>(),
        other in prop::option::of(any_json()),
    ) {
        for (union, read, variants) in UNIONS {
            for (variant, _, most) in *variants {
                let mut value = sample(most);
                let Some(object) = value.as_object_mut().filter(|object| !object.is_empty()) else {
                    continue;
                };
                let name = object.keys().nth(at.index(object.len())).unwrap().clone();
                match &other {
                    Some(other) => object.insert(name, other.clone()),
                    None => object.remove(&name),
                };
                let (_, again) = read(&value);
                prop_assert_eq!(lost(&value, &again), [""; 0], "{}::{}: {}", union, variant, &value);
            }
        }
    }

    #[test]
    fn any_json_decodes_as_a_union_without_loss(value in any_json()) {
        for (union, read, _) in UNIONS {
            let (_, again) = read(&value);
            prop_assert_eq!(lost(&value, &again), [""; 0], "{}: {}", union, &value);
        }
    }
}
