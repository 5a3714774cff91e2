//! Accepted deliveries are never lost, and handled deliveries are never replayed.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::error::{Error, ErrorKind};

mod crash;
mod damage;
mod failing;
#[cfg(target_os = "linux")]
mod full;
mod model;

struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("octowire-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("inbox")
    }

    async fn open(&self) -> DeliveryJournal {
        DeliveryJournal::open(self.file()).await.unwrap()
    }

    /// Returns the error of opening other content as a journal.
    async fn open_error(&self, content: &[u8]) -> Error {
        fs::create_dir_all(&self.0).unwrap();
        fs::write(self.file(), content).unwrap();
        let error = DeliveryJournal::open(self.file()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        error
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A clock that goes as the test says, in hours.
#[derive(Clone)]
struct Hours(Arc<AtomicU64>);

impl Hours {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_000)))
    }

    fn builder(&self, folder: &Temporary) -> DeliveryJournalBuilder {
        let hours = self.clone();
        DeliveryJournal::builder(folder.file()).clock(move || hours.now())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed) * 3600)
    }

    fn set(&self, hours: u64) {
        self.0.store(hours, Ordering::Relaxed);
    }
}

fn record(content: &str) -> Bytes {
    Bytes::from(content.to_owned())
}

async fn ids(journal: &DeliveryJournal) -> Vec<String> {
    journal.failed().await.unwrap().into_iter().map(|failed| failed.id).collect()
}

#[tokio::test]
async fn an_accepted_delivery_is_pending_after_a_restart() {
    let folder = Temporary::new("accepted");
    let journal = folder.open().await;
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::Pending);
    drop(journal);
    let journal = folder.open().await;
    assert_eq!((journal.pending_count(), journal.bytes()), (1, 4));
    assert_eq!(journal.pending_ids().await.unwrap(), ["a"]);
    assert_eq!(journal.load("a").await.unwrap().unwrap(), "body");
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::Pending);
    journal.fail("a", "no").await.unwrap();
    assert!(journal.discard_failed("a").await.unwrap());
    assert_eq!((journal.pending_count(), journal.bytes()), (0, 0));
    assert_eq!(journal.load("a").await.unwrap(), None);
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::New);
}

#[tokio::test]
async fn a_handled_delivery_is_known_as_done_after_a_restart() {
    let folder = Temporary::new("done");
    let journal = folder.open().await;
    journal.accept("a", record("body")).await.unwrap();
    journal.complete("a").await.unwrap();
    assert_eq!((journal.pending_count(), journal.bytes()), (0, 0));
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::Done);
    drop(journal);
    let journal = folder.open().await;
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::Done);
    assert_eq!(journal.pending_count(), 0);
    assert!(journal.pending_ids().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_accepts_of_one_delivery_have_one_winner() {
    let folder = Temporary::new("at-once");
    let journal = folder.open().await;
    let tasks = (0..100).map(|_| {
        let journal = journal.clone();
        tokio::spawn(async move { journal.accept("a", record("body")).await.unwrap() })
    });
    let accepted: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    let new = accepted.iter().filter(|&&accepted| accepted == AcceptOutcome::New).count();
    let pending = accepted.iter().filter(|&&accepted| accepted == AcceptOutcome::Pending).count();
    assert_eq!((new, pending, journal.pending_count()), (1, 99, 1));
}

#[tokio::test]
async fn a_cancelled_accept_does_not_keep_the_delivery() {
    let folder = Temporary::new("gone");
    let journal = folder.open().await;
    for round in 0..20 {
        let id = round.to_string();
        // A caller that is dropped before the write, after it, or when the result is ready.
        let mut accepted = Box::pin(journal.accept(&id, record("body")));
        assert!((&mut accepted).now_or_never().is_none());
        if round % 3 == 0 {
            journal.pending_ids().await.unwrap();
        }
        drop(accepted);
        if round % 3 == 1 {
            journal.pending_ids().await.unwrap();
        }
        assert_eq!(journal.accept(&id, record("body")).await.unwrap(), AcceptOutcome::New);
        assert_eq!(journal.accept(&id, record("body")).await.unwrap(), AcceptOutcome::Pending);
        journal.fail(&id, "no").await.unwrap();
        let mut revived = Box::pin(journal.requeue_failed(&id));
        assert!((&mut revived).now_or_never().is_none());
        if round % 2 == 0 {
            journal.pending_ids().await.unwrap();
        }
        drop(revived);
        assert_eq!(journal.requeue_failed(&id).await.unwrap().unwrap(), "body");
        assert_eq!(journal.requeue_failed(&id).await.unwrap(), None);
        journal.complete(&id).await.unwrap();
        assert_eq!(journal.accept(&id, record("body")).await.unwrap(), AcceptOutcome::Done);
    }
    assert_eq!((journal.pending_count(), journal.bytes()), (0, 0));
}

#[tokio::test]
async fn a_panic_in_a_journal_job_fails_only_that_job() {
    let folder = Temporary::new("panic");
    let journal = folder.open().await;
    journal.accept("a", record("body")).await.unwrap();
    let panics = WriteJob::new(|inbox| -> Result<(), redb::Error> {
        inbox.discard("a")?;
        panic!("in a test");
    });
    let (failed, accepted) = tokio::join!(journal.run(panics), journal.accept("b", record("b")));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    // It was in the same batch, or in the next one.
    if accepted.is_err() {
        assert_eq!(journal.accept("b", record("b")).await.unwrap(), AcceptOutcome::New);
    }
    assert_eq!(journal.pending_ids().await.unwrap(), ["a", "b"]);
    assert_eq!((journal.pending_count(), journal.bytes()), (2, 5));
    drop(journal);
    assert_eq!(folder.open().await.pending_count(), 2);
}

#[tokio::test]
async fn failed_deliveries_are_listed_and_retried_or_discarded() {
    let folder = Temporary::new("failed");
    let clock = Hours::new();
    let journal = clock.builder(&folder).open().await.unwrap();
    for id in ["b", "a", "c", "d"] {
        journal.accept(id, record("body")).await.unwrap();
        journal.fail(id, &format!("{id} is too much")).await.unwrap();
    }
    journal.fail("unknown", "no").await.unwrap();
    assert_eq!((journal.pending_count(), journal.bytes()), (0, 16));
    drop(journal);
    let journal = clock.builder(&folder).open().await.unwrap();
    let failed = journal.failed().await.unwrap();
    let first = FailedDelivery {
        id: "b".to_owned(),
        failed_at: clock.now(),
        error: "b is too much".to_owned(),
        size: 4,
    };
    assert_eq!((failed.len(), &failed[0]), (4, &first));
    assert_eq!(ids(&journal).await, ["b", "a", "c", "d"]);

    assert_eq!(journal.requeue_failed("c").await.unwrap().unwrap(), "body");
    assert_eq!(journal.requeue_failed("c").await.unwrap(), None);
    assert_eq!(journal.pending_ids().await.unwrap(), ["c"]);
    assert_eq!(journal.accept("a", record("again")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.load("a").await.unwrap().unwrap(), "again");
    assert!(journal.discard_failed("b").await.unwrap());
    assert!(!journal.discard_failed("b").await.unwrap());
    journal.complete("d").await.unwrap();
    assert!(ids(&journal).await.is_empty());
    assert_eq!((journal.pending_count(), journal.bytes()), (2, 9));
    assert_eq!(journal.pending_ids().await.unwrap(), ["c", "a"]);
}

#[tokio::test]
async fn the_newest_failed_deliveries_are_kept() {
    let folder = Temporary::new("bounded");
    let journal = DeliveryJournal::builder(folder.file()).max_failed(3).open().await.unwrap();
    for id in ["a", "b", "c", "d", "e"] {
        journal.accept(id, record("body")).await.unwrap();
        journal.fail(id, &"é".repeat(2_000)).await.unwrap();
    }
    assert_eq!(ids(&journal).await, ["c", "d", "e"]);
    assert_eq!(journal.bytes(), 12);
    assert_eq!(journal.failed().await.unwrap()[0].error, "é".repeat(1_000));
    assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::New);
}

#[tokio::test]
async fn deliveries_over_capacity_are_rejected_until_space_is_free() {
    let folder = Temporary::new("full");
    let journal = DeliveryJournal::builder(folder.file()).max_bytes(10).open().await.unwrap();
    assert_eq!(journal.accept("a", record("123456")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("b", record("12345")).await.unwrap(), AcceptOutcome::Full);
    assert_eq!((journal.pending_count(), journal.bytes()), (1, 6));
    assert_eq!(journal.accept("c", record("1234")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("b", record("12345")).await.unwrap(), AcceptOutcome::Full);
    journal.complete("a").await.unwrap();
    assert_eq!(journal.accept("b", record("12345")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("d", record("12345678901")).await.unwrap(), AcceptOutcome::Full);
    assert_eq!(journal.pending_ids().await.unwrap(), ["c", "b"]);
}

#[tokio::test]
async fn pending_deliveries_are_replayed_in_order_of_acceptance() {
    let folder = Temporary::new("order");
    let clock = Hours::new();
    let journal = clock.builder(&folder).open().await.unwrap();
    for (hours, id) in [(1_000, "x"), (10, "d"), (2_000, "a"), (20, "m")] {
        clock.set(hours);
        journal.accept(id, record(id)).await.unwrap();
    }
    assert_eq!(journal.pending_ids().await.unwrap(), ["x", "d", "a", "m"]);
    journal.complete("d").await.unwrap();
    drop(journal);
    clock.set(0);
    let journal = clock.builder(&folder).open().await.unwrap();
    journal.accept("b", record("b")).await.unwrap();
    journal.fail("a", "no").await.unwrap();
    journal.requeue_failed("a").await.unwrap();
    assert_eq!(journal.pending_ids().await.unwrap(), ["x", "a", "m", "b"]);
}

#[tokio::test]
async fn new_deliveries_replace_the_oldest_failed_ones() {
    let folder = Temporary::new("gives-way");
    let journal = DeliveryJournal::builder(folder.file()).max_bytes(100).open().await.unwrap();
    for id in ["a", "b", "c"] {
        journal.accept(id, record(&"x".repeat(30))).await.unwrap();
        journal.fail(id, "no").await.unwrap();
    }
    let failed = async || -> Vec<String> {
        journal.failed().await.unwrap().into_iter().map(|failed| failed.id).collect()
    };
    assert_eq!(journal.accept("d", record(&"x".repeat(40))).await.unwrap(), AcceptOutcome::New);
    assert_eq!(failed().await, ["b", "c"]);
    // A delivery larger than all failed ones is rejected, and removes none of them.
    assert_eq!(journal.accept("e", record(&"x".repeat(61))).await.unwrap(), AcceptOutcome::Full);
    assert_eq!(journal.accept("b", record(&"x".repeat(61))).await.unwrap(), AcceptOutcome::Full);
    assert_eq!((failed().await, journal.bytes()), (vec!["b".into(), "c".into()], 100));
    assert_eq!(journal.accept("b", record(&"x".repeat(60))).await.unwrap(), AcceptOutcome::New);
    assert_eq!((failed().await, journal.bytes()), (Vec::<String>::new(), 100));
}

#[tokio::test]
async fn handled_deliveries_are_remembered_for_the_configured_time() {
    let folder = Temporary::new("age");
    let clock = Hours::new();
    let journal = clock.builder(&folder).open().await.unwrap();
    journal.complete("a").await.unwrap();
    clock.set(1_050);
    journal.complete("b").await.unwrap();
    clock.set(1_071);
    assert_eq!(journal.accept("a", record("")).await.unwrap(), AcceptOutcome::Done);
    clock.set(1_072);
    assert_eq!(journal.accept("a", record("")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("b", record("")).await.unwrap(), AcceptOutcome::Done);
    // Handled again, it is remembered for the full time again.
    journal.complete("a").await.unwrap();
    clock.set(1_130);
    journal.complete("c").await.unwrap();
    assert_eq!(journal.accept("b", record("")).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("a", record("")).await.unwrap(), AcceptOutcome::Done);
    // A clock that goes back forgets nothing.
    clock.set(0);
    journal.complete("d").await.unwrap();
    for id in ["a", "c", "d"] {
        assert_eq!(journal.accept(id, record("")).await.unwrap(), AcceptOutcome::Done);
    }
}

#[tokio::test]
async fn handled_deliveries_are_remembered_up_to_a_maximum() {
    let folder = Temporary::new("number");
    let journal = DeliveryJournal::builder(folder.file()).max_deduplicated(2).open().await.unwrap();
    for id in ["a", "b", "a", "c"] {
        journal.complete(id).await.unwrap();
    }
    assert_eq!(journal.accept("a", record("")).await.unwrap(), AcceptOutcome::Done);
    assert_eq!(journal.accept("c", record("")).await.unwrap(), AcceptOutcome::Done);
    assert_eq!(journal.accept("b", record("")).await.unwrap(), AcceptOutcome::New);
}

#[tokio::test]
async fn a_file_is_one_journals_until_its_last_handle_is_dropped() {
    let folder = Temporary::new("locked");
    let journal = folder.open().await;
    journal.accept("a", record("body")).await.unwrap();
    let other = journal.clone();
    drop(journal);
    let error = DeliveryJournal::open(folder.file()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let said = error.to_string();
    assert!(said.contains("is in use; use a separate journal for each process"), "{said}");
    assert_eq!(other.accept("b", record("body")).await.unwrap(), AcceptOutcome::New);
    drop(other);
    assert_eq!(folder.open().await.pending_count(), 2);
}

#[tokio::test]
async fn a_file_that_is_not_a_journal_is_rejected_and_unchanged() {
    let folder = Temporary::new("garbage");
    let mut nearly_empty = vec![0; 100_000];
    nearly_empty[99_999] = 1;
    for content in [b"notes".as_slice(), b"notes".repeat(10_000).as_slice(), &nearly_empty] {
        let error = folder.open_error(content).await.to_string();
        assert!(error.contains("is not a journal, or is damaged; use another path"), "{error}");
        assert_eq!(fs::read(folder.file()).unwrap(), content);
    }
}

#[tokio::test]
async fn a_journal_that_is_cut_off_is_rejected() {
    let folder = Temporary::new("cut");
    let journal = folder.open().await;
    journal.accept("a", Bytes::from(vec![1; 200_000])).await.unwrap();
    drop(journal);
    let content = fs::read(folder.file()).unwrap();
    for length in [5, 100, 4_096, content.len() / 2, content.len() - 4_096] {
        let error = folder.open_error(&content[..length]).await.to_string();
        assert!(error.contains("is not a journal, or is damaged"), "{length}: {error}");
    }
}

#[tokio::test]
async fn the_files_of_others_and_of_later_versions_are_rejected() {
    const OTHER: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("settings");
    const META: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("octowire-journal");
    let folder = Temporary::new("others");
    for (table, key, expected) in [
        (OTHER, "x", "is not a journal"),
        (META, "x", "is not a journal"),
        (META, "format", "later"),
    ] {
        let _ = fs::remove_dir_all(&folder.0);
        fs::create_dir_all(&folder.0).unwrap();
        let database = redb::Database::create(folder.file()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(table).unwrap().insert(key, 3).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = DeliveryJournal::open(folder.file()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_interrupted_creation_of_a_journal_is_completed() {
    let folder = Temporary::new("unmade");
    fs::create_dir_all(&folder.0).unwrap();
    let mut unmade = vec![0; 1_000_000];
    for header in [0..0, 9..100] {
        unmade[header].fill(7);
        fs::write(folder.file(), &unmade).unwrap();
        let journal = folder.open().await;
        assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::New);
    }
    fs::write(folder.file(), "").unwrap();
    assert_eq!(folder.open().await.pending_count(), 0);
}

#[tokio::test]
async fn an_unwritable_journal_path_is_rejected() {
    let folder = Temporary::new("place");
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join("file"), "").unwrap();
    for path in [folder.0.clone(), folder.0.join("file").join("inbox")] {
        let error = DeliveryJournal::open(path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("cannot be opened: "), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn other_users_cannot_read_the_journal() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Temporary::new("private");
    let _journal = folder.open().await;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder.0.clone()), mode(folder.file())), (0o700, 0o600));
}

#[tokio::test]
async fn the_largest_deliveries_come_back_as_they_are() {
    let folder = Temporary::new("large");
    let journal = folder.open().await;
    let large = |number: u8| Bytes::from(vec![number; 26 * 1024 * 1024 + usize::from(number)]);
    let accepted = join_all((0..3).map(|number| {
        let journal = &journal;
        async move { journal.accept(&number.to_string(), large(number)).await.unwrap() }
    }));
    assert_eq!(accepted.await, [AcceptOutcome::New; 3]);
    drop(journal);
    let journal = folder.open().await;
    for number in 0..3 {
        assert!(journal.load(&number.to_string()).await.unwrap().unwrap() == large(number));
    }
}

#[tokio::test]
async fn delivery_ids_of_any_length_are_distinguished() {
    let folder = Temporary::new("names");
    let journal = folder.open().await;
    let (long, longer) = ("x".repeat(10_000), "x".repeat(10_001));
    for id in [&long, &longer, ""] {
        assert_eq!(journal.accept(id, record("body")).await.unwrap(), AcceptOutcome::New);
    }
    let names = journal.pending_ids().await.unwrap();
    assert!(names.iter().all(|name| name.len() <= 64), "{names:?}");
    assert!(journal.load(&names[0]).await.unwrap().is_some());
    journal.complete(&long).await.unwrap();
    assert_eq!(journal.accept(&long, record("body")).await.unwrap(), AcceptOutcome::Done);
    assert_eq!(journal.accept(&longer, record("body")).await.unwrap(), AcceptOutcome::Pending);
}

#[tokio::test]
async fn a_file_that_is_mostly_free_is_made_smaller_when_it_is_opened() {
    let folder = Temporary::new("smaller");
    let journal = folder.open().await;
    let size = || fs::metadata(folder.file()).unwrap().len();
    let large = Bytes::from(vec![1; 4_000_000]);
    for number in 0..30 {
        journal.accept(&number.to_string(), large.clone()).await.unwrap();
    }
    // It is at the end, so that the free space before it stays.
    journal.accept("last", large.clone()).await.unwrap();
    for number in 0..30 {
        journal.complete(&number.to_string()).await.unwrap();
    }
    drop(journal);
    assert!(size() > 100_000_000, "{}", size());
    let journal = folder.open().await;
    assert!(size() < 20_000_000, "{}", size());
    assert!(journal.load("last").await.unwrap().unwrap() == large);
    assert_eq!(journal.accept("3", record("")).await.unwrap(), AcceptOutcome::Done);
}

#[tokio::test]
async fn debug_of_a_journal_shows_counts_and_no_payload() {
    let folder = Temporary::new("shown");
    let journal = folder.open().await;
    journal.accept("name", record("secret")).await.unwrap();
    let shown = format!("{journal:?}");
    assert!(shown.contains("inbox") && shown.contains("pending: 1, bytes: 6"), "{shown}");
    assert!(!shown.contains("name") && !shown.contains("secret"), "{shown}");
}
