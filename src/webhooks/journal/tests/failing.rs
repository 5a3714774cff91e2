//! A failing read of the disk loses no delivery from memory.

use std::sync::atomic::AtomicI64;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::transaction::InMemory;
use super::*;

/// A disk that fails after so many reads more, once that is set.
#[derive(Debug)]
struct Failing {
    memory: InMemoryBackend,
    reads: Arc<AtomicI64>,
}

impl StorageBackend for Failing {
    fn len(&self) -> std::io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        if self.reads.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(std::io::Error::other("the disk failed"));
        }
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.memory.write(offset, data)
    }
}

const ALL: usize = 20;

/// Does something with a journal in which all deliveries are pending and no caller's, where the disk fails after
/// each possible number of reads. Returns how often it failed.
fn fail_at_each_read(
    act: impl Fn(&mut JournalTransaction<'_>) -> Result<(), redb::Error>,
) -> usize {
    let limits = DeliveryJournal::builder("unused").limits;
    let now = Duration::from_secs(1);
    for reads in 0..1_000 {
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let disk = Failing { memory: InMemoryBackend::new(), reads: Arc::clone(&left) };
        let mut file = database::JournalFile::on(disk);
        let mut in_memory = InMemory::default();
        let fill = |inbox: &mut JournalTransaction<'_>| {
            (0..ALL).try_for_each(|id| inbox.accept(&id.to_string(), &[7; 9_000]).map(drop))
        };
        file.transact(&limits, now, &mut in_memory, fill).unwrap();
        in_memory.unclaimed = (0..ALL).map(|id| id.to_string()).collect();
        let outcome = file.transact(&limits, now, &mut in_memory, |inbox| {
            left.store(reads, Ordering::Relaxed);
            let outcome = act(inbox);
            left.store(i64::MAX, Ordering::Relaxed);
            outcome
        });
        if outcome.is_ok() {
            return usize::try_from(reads).unwrap();
        }
        assert_eq!(in_memory.unclaimed.len(), ALL, "after {reads} reads");
    }
    panic!("it does not succeed");
}

#[test]
fn a_review_that_fails_forgets_no_delivery() {
    assert!(fail_at_each_read(|inbox| inbox.reconcile_unclaimed()) > 0);
}

#[test]
fn a_delivery_that_cannot_be_read_stays_no_callers() {
    let revive = |inbox: &mut JournalTransaction<'_>| {
        inbox.requeue_failed("7").map(|record| assert!(record.is_some()))
    };
    assert!(fail_at_each_read(revive) > 1);
}
