//! The memory store stays within its bound with any content.

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
