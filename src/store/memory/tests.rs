//! The memory store stays within its bound with any content.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const LASTING: Duration = Duration::from_secs(3_600);

proptest! {
    #[test]
    fn any_values_and_sums_stay_within_the_bound_and_making_room_ends(
        max_bytes in 300_usize..3_000,
        steps in prop::collection::vec((0_u8..6, any::<bool>(), 0_usize..1_500), 1..40),
    ) {
        let store = MemoryStore::with_max_bytes(max_bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (key, is_sum, length) in steps {
                let key = format!("key-{key}");
                if is_sum {
                    // A value of another kind is not added to.
                    let _ = store.increment(&key, 1, LASTING).await;
                } else {
                    store.put(&key, vec![b'x'; length].into(), LASTING).await.unwrap();
                }
                assert!(store.state().bytes <= max_bytes);
            }
        });
    }
}

#[tokio::test]
async fn a_value_that_fits_only_without_the_sums_is_kept() {
    let store = MemoryStore::with_max_bytes(1_200);
    store.increment("sum", 1, LASTING).await.unwrap();
    store.put("value", vec![b'x'; 900].into(), LASTING).await.unwrap();
    assert!(store.get("value").await.unwrap().is_some());
    assert!(store.state().bytes <= 1_200);
}

#[tokio::test]
async fn a_table_of_many_names_is_not_encoded_again_for_each_name() {
    let store = MemoryStore::new();
    let names = Vec::from_iter((0..=MAX_ENCODED_NAMES).map(|number| format!("name-{number}")));
    for (count, name) in names.iter().enumerate() {
        let is_table = matches!(store.state().current("table"), Some(Content::Table(_)));
        assert_eq!(is_table, count > MAX_ENCODED_NAMES, "{count}");
        assert!(store.increment_counters("table", &[(name.clone(), 2)], LASTING).await.unwrap());
    }
    assert!(matches!(store.state().current("table"), Some(Content::Table(_))));
    // As for any store, its value is the same as that of an encoded table.
    let counters = store.counters("table").await.unwrap();
    assert_eq!(counters.len(), names.len());
    assert!(names.iter().all(|name| counters[name] == 2));
    let value = store.get("table").await.unwrap().unwrap();
    assert_eq!(counter_table::read(&value).unwrap(), counters);
    store.remove("table").await.unwrap();
    assert_eq!(store.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_table_begins_again() {
    let store = MemoryStore::new();
    let amounts = Vec::from_iter((0..100).map(|number| (format!("name-{number}"), 1)));
    store.increment_counters("table", &amounts, LASTING).await.unwrap();
    tokio::time::advance(LASTING).await;
    store.increment_counters("table", &amounts[..1], LASTING).await.unwrap();
    assert_eq!(store.counters("table").await.unwrap().len(), 1);
    tokio::time::advance(LASTING / 2).await;
    assert_eq!(store.counters("table").await.unwrap().len(), 1, "it has a TTL of its own");
    tokio::time::advance(LASTING).await;
    assert!(store.counters("table").await.unwrap().is_empty());
    assert_eq!(store.bytes(), 0);
}

proptest! {
    #[test]
    fn tables_of_any_size_have_the_sums_and_stay_within_the_bound(
        max_bytes in 2_000_usize..30_000,
        steps in prop::collection::vec((0_u8..2, prop::collection::vec((0_u16..200, 1_u64..9), 0..40)), 1..30),
    ) {
        let store = MemoryStore::with_max_bytes(max_bytes);
        let mut model = HashMap::<String, BTreeMap<String, u64>>::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for (key, amounts) in steps {
                let key = format!("table-{key}");
                let amounts = Vec::from_iter(amounts.into_iter().map(|(name, n)| (format!("name-{name}"), n)));
                let numbers = model.entry(key.clone()).or_default();
                counter_table::add(numbers, &amounts, |_| ());
                let fits = store.increment_counters(&key, &amounts, LASTING).await.unwrap();
                let counters = store.counters(&key).await.unwrap();
                if fits {
                    assert_eq!(&counters, numbers);
                } else {
                    assert!(counters.is_empty());
                }
                assert!(store.bytes() <= max_bytes);
                // Room for one can have been made by removing the other.
                for (key, numbers) in &mut model {
                    *numbers = store.counters(key).await.unwrap();
                }
                let state = store.state();
                let sizes = state.values.iter().map(|(key, value)| size(key, &value.content));
                assert_eq!((state.bytes, state.counter_bytes), (sizes.clone().sum(), sizes.sum()));
                for (_, value) in &state.values {
                    if let Content::Table(table) = &value.content {
                        let bytes = table.numbers.keys().map(String::len).sum::<usize>();
                        assert_eq!(table.name_bytes, bytes);
                    }
                }
            }
        });
    }
}
