//! The journal behaves like a model of a few lines for any sequence of operations.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Accept(u8, usize),
    Done(u8),
    Fail(u8),
    Revive(u8),
    Forget(u8),
    Clock(u64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0..6_u8;
    let step = prop_oneof![
        6 => (id(), 0..60_usize).prop_map(|(id, size)| Step::Accept(id, size)),
        3 => id().prop_map(Step::Done),
        3 => id().prop_map(Step::Fail),
        2 => id().prop_map(Step::Revive),
        1 => id().prop_map(Step::Forget),
        1 => (0..30_u64).prop_map(Step::Clock),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

/// In order: pending, failed and handled deliveries, and the time of handling.
#[derive(Default)]
struct Model {
    accepted: u64,
    pending: Vec<(u64, u8, Bytes)>,
    failed: Vec<(u64, u8, Bytes)>,
    handled: Vec<(u8, u64)>,
    hours: u64,
}

const MAX_BYTES: usize = 150;
const MAX_FAILED: usize = 2;
const MAX_REMEMBERED: usize = 3;
const KEEP_HOURS: u64 = 10;

impl Model {
    fn accept(&mut self, id: u8, record: &Bytes) -> AcceptOutcome {
        if self.pending.iter().any(|held| held.1 == id) {
            return AcceptOutcome::Pending;
        }
        let hours = self.hours;
        if self.handled.iter().any(|&(held, when)| held == id && !is_over(when, hours)) {
            return AcceptOutcome::Done;
        }
        let bytes = |held: &[(u64, u8, Bytes)]| held.iter().map(|held| held.2.len()).sum::<usize>();
        if bytes(&self.pending) + record.len() > MAX_BYTES {
            return AcceptOutcome::Full;
        }
        take(&mut self.failed, id);
        while bytes(&self.pending) + bytes(&self.failed) + record.len() > MAX_BYTES {
            self.failed.remove(0);
        }
        self.accepted += 1;
        self.pending.push((self.accepted, id, record.clone()));
        self.clear();
        AcceptOutcome::New
    }

    fn done(&mut self, id: u8) {
        take(&mut self.pending, id);
        take(&mut self.failed, id);
        self.handled.retain(|&(held, _)| held != id);
        self.handled.push((id, self.hours));
        self.clear();
    }

    fn fail(&mut self, id: u8) {
        if let Some(held) = take(&mut self.pending, id) {
            self.failed.push(held);
            self.clear();
        }
    }

    fn revive(&mut self, id: u8) -> Option<Bytes> {
        let held = take(&mut self.failed, id)?;
        let record = held.2.clone();
        self.pending.push(held);
        self.pending.sort_by_key(|held| held.0);
        self.clear();
        Some(record)
    }

    fn remove(&mut self, from: fn(&mut Self) -> &mut Vec<(u64, u8, Bytes)>, id: u8) -> bool {
        let was_there = take(from(self), id).is_some();
        if was_there {
            self.clear();
        }
        was_there
    }

    fn clear(&mut self) {
        while let Some(&(_, when)) = self.handled.first()
            && (is_over(when, self.hours) || self.handled.len() > MAX_REMEMBERED)
        {
            self.handled.remove(0);
        }
        while self.failed.len() > MAX_FAILED {
            self.failed.remove(0);
        }
    }
}

fn is_over(when: u64, hours: u64) -> bool {
    hours.saturating_sub(when) >= KEEP_HOURS
}

fn take(from: &mut Vec<(u64, u8, Bytes)>, id: u8) -> Option<(u64, u8, Bytes)> {
    let at = from.iter().position(|held| held.1 == id)?;
    Some(from.remove(at))
}

async fn check(steps: Vec<Step>) {
    let folder = Temporary::new("model");
    let clock = Hours::new();
    let open = || {
        let builder = clock.builder(&folder).max_bytes(MAX_BYTES as u64);
        let builder = builder.max_failed(MAX_FAILED as u64).max_deduplicated(MAX_REMEMBERED as u64);
        builder.retention(Duration::from_secs(KEEP_HOURS * 3600)).open()
    };
    let mut journal = open().await.unwrap();
    let mut model = Model::default();
    clock.set(0);
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Accept(id, size) => {
                let record = Bytes::from(vec![number as u8; size]);
                let accepted = journal.accept(&id.to_string(), record.clone()).await.unwrap();
                assert_eq!(accepted, model.accept(id, &record));
            }
            Step::Done(id) => {
                journal.complete(&id.to_string()).await.unwrap();
                model.done(id);
            }
            Step::Fail(id) => {
                journal.fail(&id.to_string(), "no").await.unwrap();
                model.fail(id);
            }
            Step::Revive(id) => {
                let revived = journal.requeue_failed(&id.to_string()).await.unwrap();
                assert_eq!(revived, model.revive(id));
            }
            Step::Forget(id) => {
                let forgotten = journal.discard_failed(&id.to_string()).await.unwrap();
                assert_eq!(forgotten, model.remove(|model| &mut model.failed, id));
            }
            Step::Clock(hours) => {
                clock.set(hours);
                model.hours = hours;
            }
            Step::Reopen => {
                drop(journal);
                journal = open().await.unwrap();
            }
        }
        let pending: Vec<_> = model.pending.iter().map(|held| held.1.to_string()).collect();
        let failed: Vec<_> = model.failed.iter().map(|held| held.1.to_string()).collect();
        assert_eq!(journal.pending_ids().await.unwrap(), pending);
        assert_eq!(ids(&journal).await, failed);
        assert_eq!(journal.pending_count(), pending.len() as u64);
        let all = model.pending.iter().chain(&model.failed);
        assert_eq!(journal.bytes(), all.map(|held| held.2.len() as u64).sum::<u64>());
        for (_, id, record) in &model.pending {
            assert_eq!(journal.load(&id.to_string()).await.unwrap().as_ref(), Some(record));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_journal_behaves_like_its_model(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check(steps));
    }
}
