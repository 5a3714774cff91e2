//! Bytes that changed while the file was closed: each record is handled unchanged, or not at all.

use std::sync::Mutex;

use http::HeaderMap;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::*;
use crate::webhooks::{Delivery, ReceiveOutcome, Verifier, WebhookReceiver, sign};

const SECRET: &str = "It's a Secret to Everybody";
const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");
const PENDING: TableDefinition<&str, (u64, u64)> = TableDefinition::new("pending");

/// The deliveries that a handler received.
#[derive(Clone, Default)]
pub(super) struct HandledDeliveries(Arc<Mutex<Vec<Delivery>>>);

impl HandledDeliveries {
    pub(super) fn all(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.all().iter().map(|delivery| delivery.id().to_owned()).collect()
    }

    /// Starts a receiver whose handler waits for a permit.
    pub(super) fn start_behind(
        &self,
        journal: &DeliveryJournal,
        gate: Arc<tokio::sync::Semaphore>,
    ) -> WebhookReceiver {
        let seen = self.clone();
        let builder = WebhookReceiver::builder(verifier()).journal(journal.clone());
        let started = builder.start(move |delivery: Delivery| {
            let (seen, gate) = (seen.clone(), Arc::clone(&gate));
            async move {
                gate.acquire().await?.forget();
                seen.0.lock().unwrap().push(delivery);
                Ok::<_, tokio::sync::AcquireError>(())
            }
        });
        started.unwrap()
    }
}

pub(super) fn verifier() -> Verifier {
    Verifier::new(SECRET.to_owned()).unwrap()
}

pub(super) fn receiver(journal: &DeliveryJournal, seen: &HandledDeliveries) -> WebhookReceiver {
    let open = tokio::sync::Semaphore::new(tokio::sync::Semaphore::MAX_PERMITS);
    seen.start_behind(journal, Arc::new(open))
}

fn body(number: usize) -> String {
    // Some are as large as a page, and some larger.
    let filling = "abcdefgh".repeat(number.pow(3));
    format!("{{\"zen\":\"zen-{number}\",\"filling\":\"{filling}\"}}")
}

pub(super) fn delivery(number: usize) -> Delivery {
    let (body, id) = (body(number), format!("delivery-{number}"));
    let mut headers = HeaderMap::new();
    let signature = sign(SECRET.to_owned(), body.as_bytes()).unwrap();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-github-event", "ping"),
        ("x-github-delivery", &id),
        ("x-hub-signature-256", &signature),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    Delivery::verify(&verifier(), &headers, Bytes::from(body)).unwrap()
}

const ALL: usize = 12;

/// A journal with deliveries that wait, some that failed, and some that were handled.
async fn fill(folder: &Temporary) {
    let journal = folder.open().await;
    let never = HandledDeliveries::default()
        .start_behind(&journal, Arc::new(tokio::sync::Semaphore::new(0)));
    for number in 0..ALL {
        assert_eq!(never.receive(delivery(number)).await, Ok(ReceiveOutcome::Accepted));
    }
    assert_eq!(never.shutdown(Duration::ZERO).await, ALL);
    for number in 0..20 {
        journal.complete(&format!("done-{number}")).await.unwrap();
        journal.accept(&format!("failed-{number}"), record("body")).await.unwrap();
        journal.fail(&format!("failed-{number}"), "no").await.unwrap();
    }
}

/// Handles the pending deliveries. Returns them, and the number of rejected records.
async fn handle(journal: DeliveryJournal) -> (Vec<Delivery>, u64) {
    let seen = HandledDeliveries::default();
    let receiver = receiver(&journal, &seen);
    for round in 0.. {
        let stats = receiver.stats();
        if journal.pending_count() == 0 && stats.queued == 0 && stats.running == 0 {
            break;
        }
        assert!(round < 2_000, "{journal:?} {stats:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let rejected = receiver.stats().rejected_records;
    receiver.shutdown(Duration::from_secs(5)).await;
    (seen.all(), rejected)
}

/// Every delivery is one that was accepted, to the byte, and none is there twice: their numbers.
fn intact(handled: &[Delivery]) -> Vec<usize> {
    let mut numbers: Vec<usize> = handled
        .iter()
        .map(|delivery| {
            let number = delivery.id().strip_prefix("delivery-").unwrap().parse().unwrap();
            assert_eq!(delivery.event_name(), "ping");
            assert!(*delivery.payload() == body(number), "{number} was changed");
            number
        })
        .collect();
    numbers.sort_unstable();
    let count = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "one was handled twice");
    numbers
}

/// Changes the content of the file with redb, so that its checksums are valid.
fn edit(folder: &Temporary, act: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    act(&transaction);
    transaction.commit().unwrap();
}

fn numbers_of_records(folder: &Temporary) -> Vec<(String, u64)> {
    let database = redb::Database::open(folder.file()).unwrap();
    let transaction = database.begin_read().unwrap();
    let pending = transaction.open_table(PENDING).unwrap();
    let entries = pending.iter().unwrap().map(|entry| {
        let (id, value) = entry.unwrap();
        (id.value().to_owned(), value.value().0)
    });
    entries.collect()
}

#[tokio::test]
async fn a_record_that_was_changed_is_set_aside_and_the_others_are_handled() {
    let folder = Temporary::new("changed-record");
    fill(&folder).await;
    let mut changed = Vec::new();
    let records = numbers_of_records(&folder);
    edit(&folder, |transaction| {
        let mut table = transaction.open_table(RECORDS).unwrap();
        // Of one the event's name, of one its own, of one the payload, and of one the seal.
        let replaced: [(&[u8], &[u8]); 4] = [
            (b"\"ping\"", b"\"push\""),
            (b"\"id\":\"delivery-", b"\"id\":\"delivers-"),
            (b"zen-", b"Zen-"),
            (b"{\"metadata\"", b"[\"metadata\""),
        ];
        for ((id, number), (from, to)) in records.iter().zip(replaced) {
            let mut record = table.get(number).unwrap().unwrap().value().to_vec();
            let at = record.windows(from.len()).position(|window| window == from).unwrap();
            record[at..at + from.len()].copy_from_slice(to);
            table.insert(number, &*record).unwrap();
            changed.push(id.clone());
        }
        // Two that are right, and change places; and one of an earlier version, without a seal.
        let [(one, first), (two, second), (old, third)] = &records[4..7] else { panic!() };
        let record = |number| table.get(number).unwrap().unwrap().value().to_vec();
        let (a, b, c) = (record(first), record(second), record(third));
        table.insert(first, &*b).unwrap();
        table.insert(second, &*a).unwrap();
        table.insert(third, &c[33..]).unwrap();
        changed.extend([one.clone(), two.clone(), old.clone()]);
    });
    let journal = folder.open().await;
    let (handled, rejected) = handle(journal.clone()).await;
    assert_eq!((intact(&handled).len(), rejected), (ALL - 7, 7));
    let failed = journal.failed().await.unwrap();
    for id in changed {
        assert!(handled.iter().all(|delivery| delivery.id() != id));
        let kept = failed.iter().find(|failed| failed.id == id).unwrap();
        assert!(kept.error.contains("invalid journal record"), "{}", kept.error);
        assert!(kept.size > 0);
        // Nor is it handled when it is asked for.
        let seen = HandledDeliveries::default();
        assert!(receiver(&journal, &seen).retry_failed(&id).await.is_err());
        assert!(seen.ids().is_empty());
    }
    // Delivered again, they are.
    let seen = HandledDeliveries::default();
    let again = receiver(&journal, &seen);
    let accepted = (0..ALL).map(|number| again.receive(delivery(number)));
    let accepted = join_all(accepted).await;
    assert_eq!(
        accepted.iter().filter(|receipt| **receipt == Ok(ReceiveOutcome::Accepted)).count(),
        7
    );
}

#[tokio::test]
async fn bytes_that_were_changed_in_the_file_are_reported_as_damage() {
    let folder = Temporary::new("changed-file");
    fill(&folder).await;
    let content = fs::read(folder.file()).unwrap();
    for needle in [&b"zen-7"[..], b"\"ping\"", b"delivery-3"] {
        let at = content.windows(needle.len()).position(|window| window == needle).unwrap();
        let mut changed = content.clone();
        changed[at] ^= 1;
        let error = folder.open_error(&changed).await.to_string();
        assert!(error.contains("is not a journal, or is damaged"), "{error}");
        assert!(error.contains("move this file away") && error.contains("Reconciler"), "{error}");
    }
}

/// 220 by default; `OCTOWIRE_FLIPS` says how many, and `OCTOWIRE_SEED` with which it begins.
#[tokio::test]
async fn random_flips_are_damage_or_change_nothing() {
    let setting = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let rounds = setting("OCTOWIRE_FLIPS").unwrap_or(220);
    let start = setting("OCTOWIRE_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        u64::from_ne_bytes(bytes) >> 16
    });
    eprintln!("OCTOWIRE_SEED={start}");
    let folder = Temporary::new("flips");
    fill(&folder).await;
    let content = fs::read(folder.file()).unwrap();
    let used: Vec<usize> = (0..content.len()).filter(|&at| content[at] != 0).collect();
    let (mut damaged, mut whole) = (0_u64, 0_u64);
    for seed in start..start.saturating_add(rounds) {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut changed = content.clone();
        for _ in 0..=next(4) {
            // Mostly where something is: most of the file is free.
            let at = if next(4) == 0 { next(content.len()) } else { used[next(used.len())] };
            changed[at] ^= 1 << next(8);
        }
        fs::write(folder.file(), &changed).unwrap();
        // A panic in the task would come out here.
        let file = folder.file();
        let opened = tokio::spawn(async move { DeliveryJournal::open(file).await });
        match opened.await.unwrap_or_else(|panic| panic!("seed {seed}: {panic}")) {
            Err(error) => {
                damaged += 1;
                assert_eq!(error.kind(), ErrorKind::Configuration, "seed {seed}: {error}");
                let said = error.to_string();
                let is_told = said.contains("is not a journal, or is damaged")
                    || said.contains("has the unsupported format");
                assert!(is_told, "seed {seed}: {error}");
            }
            Ok(journal) => {
                whole += 1;
                let (handled, rejected) = handle(journal).await;
                let numbers = intact(&handled);
                assert_eq!((numbers.len(), rejected), (ALL, 0), "seed {seed}: {numbers:?}");
            }
        }
    }
    eprintln!("{damaged} damaged, {whole} whole");
    assert!(rounds < 100 || (damaged > 0 && whole > 0), "{damaged} damaged, {whole} whole");
}
