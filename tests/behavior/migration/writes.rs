//! A write is done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use octowire::migration::{Migration, Stage};

/// A side, and how often it was written to.
#[derive(Clone, Default)]
struct Store(Arc<AtomicU32>);

impl Store {
    async fn create(self, fails: bool) -> Result<u32, String> {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        if fails { Err("no".to_owned()) } else { Ok(count) }
    }

    fn writes(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

const STAGES: [Stage; 4] = [
    Stage::Off,
    Stage::Mirror { share: 1.0 },
    Stage::Shift { percent: 50.0, share: 1.0 },
    Stage::Cutover,
];

#[tokio::test(start_paused = true)]
async fn in_every_stage_a_write_is_executed_by_one_side_once() {
    let (old, new) = (Store::default(), Store::default());
    let shadow = Migration::new(old.clone(), new.clone());
    for stage in STAGES {
        shadow.set_stage(stage);
        for number in 0..20 {
            let before = old.writes() + new.writes();
            let fails = number % 2 == 0;
            let call = shadow.write_same("create", move |store| store.create(fails));
            assert_eq!(call.run().await.is_err(), fails, "nothing is asked in its place");
            shadow.drain().await;
            assert_eq!(old.writes() + new.writes(), before + 1, "{stage}");
        }
    }
    let report = shadow.report();
    let operation = &report.operations[0];
    assert_eq!((operation.compared, operation.fallbacks), (0, 0));
    assert_eq!(report.legacy_usage.writes, u64::from(old.writes()));
}

#[tokio::test(start_paused = true)]
async fn with_a_dry_run_it_is_compared_and_still_done_once() {
    let (old, new) = (Store::default(), Store::default());
    let shadow = Migration::new(old.clone(), new.clone());
    let dry = Arc::new(AtomicU32::new(0));
    let create = || {
        let [for_old, for_new] = [Arc::clone(&dry), Arc::clone(&dry)];
        shadow
            .write_same("create", |store: Store| store.create(false))
            .dry_run_old(move || async move { Ok(for_old.fetch_add(1, Ordering::SeqCst)) })
            .dry_run_new(move || async move { Ok(for_new.fetch_add(1, Ordering::SeqCst)) })
    };
    shadow.set_stage(Stage::Mirror { share: 1.0 });
    create().run().await.unwrap();
    shadow.drain().await;
    assert_eq!((old.writes(), new.writes(), dry.load(Ordering::SeqCst)), (1, 0, 1));
    shadow.set_stage(Stage::Shift { percent: 100.0, share: 1.0 });
    create().run().await.unwrap();
    shadow.drain().await;
    assert_eq!((old.writes(), new.writes(), dry.load(Ordering::SeqCst)), (1, 1, 2));
    assert_eq!(shadow.report().operations[0].compared, 2);
    shadow.set_stage(Stage::Off);
    create().run().await.unwrap();
    assert_eq!((old.writes(), new.writes(), dry.load(Ordering::SeqCst)), (2, 1, 2));
}
