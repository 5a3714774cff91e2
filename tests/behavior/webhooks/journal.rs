//! With a journal, an accepted delivery is handled, also after a crash or a restart.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use http::StatusCode;
use octowire::ErrorKind;
use octowire::store::MemoryStore;
use octowire::webhooks::{
    Deduplicator, DeliveryJournal, PermanentFailure, WebhookReceiver, WebhookReceiverBuilder,
};

use super::{HandledDeliveries, builder, deliver, settled, turns};
use crate::support::FrozenClock;

const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
const OK: StatusCode = StatusCode::OK;
const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

const FOREVER: Duration = Duration::from_secs(1_000_000_000);

/// A folder that goes with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("octowire-inbox-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("webhooks.journal")
    }

    async fn open(&self) -> DeliveryJournal {
        DeliveryJournal::open(self.file()).await.unwrap()
    }

    async fn builder(&self) -> WebhookReceiverBuilder {
        builder().journal(self.open().await)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A receiver that accepts and never handles: as one that ends at once.
async fn ends_at_once(builder: WebhookReceiverBuilder, ids: &[&str]) {
    let never = |_| std::future::pending::<Result<(), &str>>();
    let receiver = builder.start(never).unwrap();
    for id in ids {
        assert_eq!(deliver(&receiver, id).await, ACCEPTED);
    }
    assert_eq!(receiver.shutdown(Duration::ZERO).await, ids.len());
}

/// Waits until two deliveries are handled: their names.
async fn both(receiver: &WebhookReceiver, handled: &HandledDeliveries) -> Vec<String> {
    while receiver.stats().handled < 2 {
        tokio::task::yield_now().await;
    }
    let mut ids = handled.ids();
    ids.sort();
    ids
}

#[tokio::test]
async fn accepted_deliveries_are_replayed_after_a_restart_and_marked() {
    let folder = Folder::new();
    ends_at_once(folder.builder().await, &["a", "b", "c"]).await;
    let handled = HandledDeliveries::default();
    let receiver = handled.start(folder.builder().await);
    while handled.ids().len() < 3 {
        tokio::task::yield_now().await;
    }
    settled(&receiver).await;
    let mut ids = handled.ids();
    ids.sort();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(handled.0.lock().unwrap().iter().all(|delivery| delivery.is_replayed()));
    assert_eq!(handled.0.lock().unwrap()[0].event().unwrap().sender().unwrap().login, "octocat");
    assert_eq!((receiver.stats().replayed, receiver.stats().handled), (3, 3));
    // They are done, for this process and for the next.
    assert_eq!(deliver(&receiver, "a").await, OK);
    receiver.shutdown(Duration::ZERO).await;
    drop(receiver);
    let again = HandledDeliveries::default();
    let receiver = again.start(folder.builder().await);
    assert_eq!((deliver(&receiver, "b").await, again.ids().len()), (OK, 0));
}

#[tokio::test]
async fn a_redelivery_before_replay_is_not_handled_twice() {
    let folder = Folder::new();
    ends_at_once(folder.builder().await, &["a", "b"]).await;
    let handled = HandledDeliveries::default();
    let receiver = handled.start(folder.builder().await);
    // Before anything else has a turn.
    for id in ["a", "b"] {
        assert_ne!(deliver(&receiver, id).await, ACCEPTED);
    }
    assert_eq!(both(&receiver, &handled).await, ["a", "b"]);
}

#[tokio::test]
async fn the_claims_of_a_process_that_ended_are_its_successors() {
    let (folder, store) = (Folder::new(), MemoryStore::new());
    let shared =
        |builder: WebhookReceiverBuilder| builder.deduplicator(Deduplicator::new(store.clone()));
    ends_at_once(shared(folder.builder().await), &["a"]).await;
    // For others, it is claimed for another five minutes.
    let other = HandledDeliveries::default().start(shared(builder()));
    assert_eq!(deliver(&other, "a").await, BUSY);
    let handled = HandledDeliveries::default();
    let receiver = handled.start(shared(folder.builder().await));
    while receiver.stats().handled == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handled.ids(), ["a"]);
    assert_eq!(deliver(&other, "a").await, OK);
}

/// Lets time pass as long as something goes on: by itself, the clock would run to the next timer
/// whenever the disk is waited for.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let _still = FrozenClock::new();
    let passing = async {
        loop {
            tokio::time::advance(Duration::from_millis(50)).await;
            turns().await;
        }
    };
    match select(pin!(future), pin!(passing)).await {
        Either::Left((result, _)) => result,
        Either::Right((never, _)) => never,
    }
}

#[tokio::test(start_paused = true)]
async fn replay_skips_deliveries_claimed_by_another_process_while_it_lives() {
    let (folder, store) = (Folder::new(), MemoryStore::new());
    let once = |lasts| Deduplicator::new(store.clone()).claim_ttl(lasts);
    let minute = Duration::from_secs(60);
    let builder = || async {
        let builder = folder.builder().await.deduplicator(once(minute));
        builder.handler_timeout(FOREVER).response_timeout(FOREVER)
    };
    in_time(async { ends_at_once(builder().await, &["done", "left"]).await }).await;
    // Their claims end, and a process without a journal has them.
    tokio::time::advance(2 * minute).await;
    let claims = once(FOREVER);
    let done = claims.claim("done").await.unwrap().unwrap();
    let left = claims.claim("left").await.unwrap().unwrap();
    let handled = HandledDeliveries::default();
    in_time(async {
        let receiver = handled.start(builder().await);
        tokio::time::sleep(minute).await;
        assert!(handled.ids().is_empty());
        done.complete().await.unwrap();
        left.release().await.unwrap();
        while receiver.stats().handled == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(minute).await;
        assert_eq!(handled.ids(), ["left"]);
    })
    .await;
}

#[tokio::test]
async fn unhandled_deliveries_pass_to_the_next_receiver_of_the_journal() {
    let folder = Folder::new();
    let journal = folder.open().await;
    ends_at_once(builder().journal(journal.clone()), &["a", "b"]).await;
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder().journal(journal));
    assert_eq!(both(&receiver, &handled).await, ["a", "b"]);
}

#[tokio::test]
async fn a_receiver_started_before_another_closes_gets_its_unhandled_deliveries() {
    let folder = Folder::new();
    let journal = folder.open().await;
    let never = |_| std::future::pending::<Result<(), &str>>();
    let old = builder().journal(journal.clone()).start(never).unwrap();
    assert_eq!((deliver(&old, "a").await, deliver(&old, "b").await), (ACCEPTED, ACCEPTED));
    let handled = HandledDeliveries::default();
    let new = handled.start(builder().journal(journal));
    turns().await;
    assert_eq!(old.shutdown(Duration::ZERO).await, 2);
    assert_eq!(both(&new, &handled).await, ["a", "b"]);
}

#[tokio::test]
async fn deliveries_that_await_a_retry_pass_to_the_next_receiver_immediately() {
    let folder = Folder::new();
    let journal = folder.open().await;
    let fails = |_| async { Err::<(), _>("the database is down") };
    let receiver = builder().journal(journal.clone()).start(fails).unwrap();
    assert_eq!(
        (deliver(&receiver, "a").await, deliver(&receiver, "b").await),
        (ACCEPTED, ACCEPTED)
    );
    while receiver.stats().failed_attempts < 2 {
        turns().await;
    }
    let began = std::time::Instant::now();
    assert_eq!(receiver.shutdown(std::time::Duration::from_secs(60)).await, 2);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    let handled = HandledDeliveries::default();
    let next = handled.start(builder().journal(journal.clone()));
    assert_eq!(both(&next, &handled).await, ["a", "b"]);
    assert!(journal.failed().await.unwrap().is_empty());
}

#[tokio::test]
async fn failed_deliveries_are_kept_and_can_be_handled_later() {
    let folder = Folder::new();
    let journal = folder.open().await;
    let fails = |_| async { Err::<(), _>(PermanentFailure::new("the database is away")) };
    let receiver = builder().journal(journal.clone()).start(fails).unwrap();
    assert_eq!(deliver(&receiver, "a").await, ACCEPTED);
    settled(&receiver).await;
    let failed = journal.failed().await.unwrap();
    assert_eq!(
        (&*failed[0].id, &*failed[0].error),
        ("a", "permanent failure: the database is away")
    );
    receiver.shutdown(Duration::ZERO).await;
    drop((receiver, journal));
    // After a restart as well; and not by itself.
    let (journal, handled) = (folder.open().await, HandledDeliveries::default());
    let receiver = handled.start(builder().journal(journal.clone()));
    assert_eq!(receiver.stats().queued, 0);
    assert!(receiver.retry_failed("a").await.unwrap());
    assert!(!receiver.retry_failed("a").await.unwrap());
    settled(&receiver).await;
    assert_eq!((handled.ids(), journal.failed().await.unwrap().len()), (vec!["a".to_owned()], 0));
    assert!(!receiver.retry_failed("absent").await.unwrap());
    assert_eq!(deliver(&receiver, "a").await, OK);
}

#[tokio::test]
async fn a_delivery_without_disk_space_is_rejected_and_leaves_no_record() {
    let folder = Folder::new();
    let journal = DeliveryJournal::builder(folder.file()).max_bytes(500).open().await.unwrap();
    let never = |_| std::future::pending::<Result<(), &str>>();
    let receiver = builder().journal(journal.clone()).start(never).unwrap();
    let mut accepted = 0;
    let refused = loop {
        let id = format!("d-{accepted}");
        if deliver(&receiver, &id).await == BUSY {
            break id;
        }
        accepted += 1;
        assert!(accepted < 10);
    };
    assert!(accepted >= 1);
    assert_eq!((journal.pending_count(), receiver.stats().queued), (accepted, accepted as usize));
    // The receiver that could not handle it has no claim on it.
    assert_eq!(deliver(&receiver, &refused).await, BUSY);
    assert_eq!(receiver.stats().in_progress, 0);
}

#[tokio::test]
async fn inline_handling_cannot_have_a_journal() {
    let folder = Folder::new();
    let started =
        folder.builder().await.respond_after_handling().start(|_| async { Ok::<_, &str>(()) });
    assert_eq!(started.unwrap_err().kind(), ErrorKind::Configuration);
}
