//! A disk that is full and has space again: deliveries handled meanwhile are recorded.
//!
//! The limit of the size of files stands for the disk. It is set from outside, by `prlimit`, so that it
//! can be raised again.

use std::path::Path;
use std::process::{Command, Stdio};

use super::crash::{FOLDER, again, say};
use super::damage::{HandledDeliveries, delivery, receiver, verifier};
use super::*;
use crate::webhooks::{Delivery, PermanentFailure, ReceiveOutcome, WebhookReceiver};

/// Sets how large a file may become by what this process writes.
fn set_limit(bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let process = std::process::id().to_string();
    let set = Command::new("prlimit").args(["--pid", &process, &limit]).status();
    assert!(set.unwrap().success());
}

fn disk_is_full() {
    set_limit("1");
}

fn disk_has_room() {
    set_limit("unlimited");
}

/// Runs a test in a process of its own, which is not ended by the signal that comes with the limit.
fn in_process(test: &str, act: impl AsyncFnOnce(PathBuf)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_time().build().unwrap();
        return runtime.block_on(act(PathBuf::from(folder).join("inbox")));
    }
    if Command::new("prlimit").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no prlimit, by which the disk becomes full");
        return;
    }
    let name = test.rsplit("::").next().unwrap();
    let folder = Temporary::new(name);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    let child = again(shell.arg(std::env::current_exe().unwrap()), test, &folder);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("it was full"), "{said}");
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come to that: {what}");
}

/// Opens the journal once the tasks of a receiver that was dropped have let go of it.
async fn reopen(file: &Path) -> DeliveryJournal {
    for _ in 0..4_000 {
        match DeliveryJournal::open(file).await {
            Err(error) if error.to_string().contains("is in use") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("the journal stays in use");
}

/// Has 11 deliveries handled while the disk takes nothing.
async fn handled_while_full(journal: &DeliveryJournal) -> (WebhookReceiver, HandledDeliveries) {
    let (gate, seen) = (Arc::new(tokio::sync::Semaphore::new(0)), HandledDeliveries::default());
    let receiver = seen.start_behind(journal, Arc::clone(&gate));
    for number in 0..11 {
        assert_eq!(receiver.receive(delivery(number)).await, Ok(ReceiveOutcome::Accepted));
    }
    disk_is_full();
    gate.add_permits(100);
    until("all are handled", || receiver.stats().handled == 11).await;
    until("it is known that this is not recorded", || journal.unrecorded_count() == 11).await;
    assert_eq!((journal.pending_count(), seen.ids().len()), (0, 11));
    say("it was full".to_owned());
    (receiver, seen)
}

/// Every delivery is a duplicate for this receiver.
async fn all_are_known(receiver: &WebhookReceiver) {
    for number in 0..11 {
        assert_eq!(
            receiver.receive(delivery(number)).await,
            Ok(ReceiveOutcome::Duplicate),
            "{number}"
        );
    }
}

#[test]
fn deliveries_handled_on_a_full_disk_are_recorded_once_space_is_free() {
    let test = concat!(
        module_path!(),
        "::deliveries_handled_on_a_full_disk_are_recorded_once_space_is_free"
    );
    in_process(test, async |file| {
        let journal = DeliveryJournal::open(&file).await.unwrap();
        let (first, seen) = handled_while_full(&journal).await;
        all_are_known(&first).await;
        // Nor by a receiver without memory, which replays the pending deliveries.
        assert_eq!(first.shutdown(Duration::from_secs(1)).await, 0);
        assert_eq!(journal.unrecorded_count(), 11);
        let second = receiver(&journal, &seen);
        for number in 0..11 {
            let again = second.receive(delivery(number)).await;
            assert_ne!(again, Ok(ReceiveOutcome::Accepted), "{number}");
        }
        assert!(journal.pending_ids().await.is_err() || seen.ids().len() == 11);
        disk_has_room();
        until("all is recorded", || journal.unrecorded_count() == 0).await;
        all_are_known(&second).await;
        assert_eq!((journal.pending_count(), seen.ids().len()), (0, 11));
        second.shutdown(Duration::from_secs(1)).await;
        drop((first, second, journal));
        // The next process.
        let journal = reopen(&file).await;
        assert_eq!((journal.pending_count(), journal.bytes()), (0, 0));
        let third = receiver(&journal, &seen);
        all_are_known(&third).await;
        assert_eq!(seen.ids().len(), 11);
    });
}

#[test]
fn unrecorded_outcomes_are_recorded_on_close() {
    let test = concat!(module_path!(), "::unrecorded_outcomes_are_recorded_on_close");
    in_process(test, async |file| {
        let journal = DeliveryJournal::open(&file).await.unwrap();
        let (first, _) = handled_while_full(&journal).await;
        // So long that the next attempt by itself is far away.
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        assert_eq!(journal.unrecorded_count(), 11);
        disk_has_room();
        assert_eq!(first.shutdown(Duration::from_secs(1)).await, 0);
        assert_eq!(journal.unrecorded_count(), 0);
        journal.accept("a", record("body")).await.unwrap();
        disk_is_full();
        assert!(journal.complete("a").await.is_err());
        assert!(journal.flush().await.is_err());
        assert_eq!((journal.unrecorded_count(), journal.pending_count()), (1, 0));
        disk_has_room();
        drop((first, journal));
        let journal = reopen(&file).await;
        assert_eq!(journal.accept("a", record("body")).await.unwrap(), AcceptOutcome::Done);
    });
}

#[test]
fn a_delivery_whose_outcome_was_never_recorded_is_handled_again_after_a_restart() {
    let test = concat!(
        module_path!(),
        "::a_delivery_whose_outcome_was_never_recorded_is_handled_again_after_a_restart"
    );
    in_process(test, async |file| {
        let journal = DeliveryJournal::open(&file).await.unwrap();
        let (first, _) = handled_while_full(&journal).await;
        assert_eq!(first.shutdown(Duration::from_secs(1)).await, 0);
        drop(first);
        // The last that has the journal waits for its last attempt, for which there must be no room yet.
        until("its tasks have ended", || Arc::strong_count(&journal.writer) == 1).await;
        drop(journal);
        disk_has_room();
        let (journal, seen) = (reopen(&file).await, HandledDeliveries::default());
        assert_eq!(journal.pending_count(), 11);
        let next = receiver(&journal, &seen);
        until("they are handled", || next.stats().handled == 11).await;
        assert!(seen.all().iter().all(Delivery::is_replayed));
        all_are_known(&next).await;
    });
}

#[test]
fn a_full_disk_is_not_opened_again_for_each_delivery() {
    let test = concat!(module_path!(), "::a_full_disk_is_not_opened_again_for_each_delivery");
    in_process(test, async |file| {
        let journal = DeliveryJournal::open(&file).await.unwrap();
        journal.accept("first", record("body")).await.unwrap();
        disk_is_full();
        say("it was full".to_owned());
        let ((opened, verified), start) = (database::opened::counts(), std::time::Instant::now());
        for number in 0..500 {
            assert!(journal.accept(&number.to_string(), record("body")).await.is_err());
        }
        let (opened, verified) =
            (database::opened::counts().0 - opened, database::opened::counts().1 - verified);
        // At once after the first failure, and after a pause of 200 ms or more after each other one.
        let most = 2 + start.elapsed().as_millis() / 200;
        assert!(u128::from(opened) <= most, "{opened} times in {:?}", start.elapsed());
        assert_eq!(verified, 0, "nothing says that it is damaged");
        // A large file takes long to open, and a readable file is not rejected.
        let before = database::opened::counts().0;
        for _ in 0..100 {
            let _ = journal.load("first").await;
            let _ = journal.accept("other", record("body")).await;
        }
        let opened = database::opened::counts().0 - before;
        let most = 4 + 2 * start.elapsed().as_millis() / 200;
        assert!(u128::from(opened) <= most, "{opened} times in {:?}", start.elapsed());
        disk_has_room();
        let start = std::time::Instant::now();
        while journal.accept("after", record("body")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
        assert_eq!(journal.accept("first", record("body")).await.unwrap(), AcceptOutcome::Pending);
    });
}

#[test]
fn as_many_as_can_be_remembered_are_and_callers_do_not_wait_until_all_are_recorded() {
    let test = concat!(
        module_path!(),
        "::as_many_as_can_be_remembered_are_and_callers_do_not_wait_until_all_are_recorded"
    );
    in_process(test, async |file| {
        let journal = DeliveryJournal::open(&file).await.unwrap();
        journal.accept("pending", record("body")).await.unwrap();
        say("it was full".to_owned());
        let mut left = 0;
        // On a busy machine, a caller can come so late that most are recorded by then.
        for _ in 0..10 {
            disk_is_full();
            let fill = WriteJob::new(|inbox: &mut JournalTransaction<'_>| {
                let ids = (0..transaction::MAX_UNRECORDED).map(|number| number.to_string());
                inbox.pretend_unrecorded(ids);
                Ok(())
            });
            let _ = journal.run(fill).await;
            until("all are remembered", || !journal.can_remember()).await;
            for _ in 0..20 {
                let accepted = journal.accept("new", record("body")).await;
                assert!(matches!(accepted, Err(_) | Ok(AcceptOutcome::Full)), "{accepted:?}");
            }
            disk_has_room();
            left = loop {
                let accept = WriteJob::new(|inbox: &mut JournalTransaction<'_>| {
                    Ok((inbox.accept("7", &record("body"))?, inbox.unrecorded()))
                });
                match journal.run(accept).await {
                    Ok((known, left)) => {
                        assert_eq!(known, AcceptOutcome::Done);
                        break left;
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            until("all are recorded", || journal.unrecorded_count() == 0).await;
            if left >= transaction::MAX_UNRECORDED - 600 {
                break;
            }
        }
        // It is answered before they are recorded, or between two of many transactions.
        assert!(left >= transaction::MAX_UNRECORDED - 600, "{left} are left");
        assert_eq!(journal.accept("7", record("body")).await.unwrap(), AcceptOutcome::Done);
        assert_eq!(
            journal.accept("pending", record("body")).await.unwrap(),
            AcceptOutcome::Pending
        );
    });
}

#[test]
fn with_as_many_as_can_be_remembered_none_is_accepted_or_taken_up() {
    let folder = Temporary::new("remembered");
    let place = database::FileLocation { path: folder.file(), permissions: Permissions::Checked };
    let mut file = database::JournalFile::open(&place, database::Verification::Full).unwrap();
    let limits = DeliveryJournal::builder(folder.file()).limits;
    let mut in_memory = transaction::InMemory::default();
    let now = Duration::from_secs(1);
    let mut accept = |in_memory: &mut transaction::InMemory, id: &str| {
        let mut accepted = None;
        let change = |inbox: &mut JournalTransaction<'_>| {
            accepted = Some(inbox.accept(id, b"body")?);
            Ok(())
        };
        file.transact(&limits, now, in_memory, change).unwrap();
        accepted.unwrap()
    };
    assert_eq!(accept(&mut in_memory, "pending"), AcceptOutcome::New);
    let handled = |number: usize| (number.to_string(), transaction::Outcome::Handled);
    in_memory.unrecorded.extend((0..transaction::MAX_UNRECORDED).map(handled));
    assert_eq!(accept(&mut in_memory, "new"), AcceptOutcome::Full);
    assert_eq!(accept(&mut in_memory, "7"), AcceptOutcome::Done);
    assert_eq!(accept(&mut in_memory, "pending"), AcceptOutcome::Full);
}

#[test]
fn a_delivery_that_failed_on_a_full_disk_is_not_handled_before_its_redelivery() {
    let test = concat!(
        module_path!(),
        "::a_delivery_that_failed_on_a_full_disk_is_not_handled_before_its_redelivery"
    );
    in_process(test, async |file| {
        let journal = DeliveryJournal::open(&file).await.unwrap();
        let (gate, calls) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let receiver = {
            let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
            let builder = WebhookReceiver::builder(verifier()).journal(journal.clone());
            let started = builder.start(move |_: Delivery| {
                let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
                async move {
                    gate.acquire().await.unwrap().forget();
                    calls.fetch_add(1, Ordering::Relaxed);
                    Err::<(), _>(PermanentFailure::new("no such repository"))
                }
            });
            started.unwrap()
        };
        for number in 0..3 {
            assert_eq!(receiver.receive(delivery(number)).await, Ok(ReceiveOutcome::Accepted));
        }
        let ids = journal.pending_ids().await.unwrap();
        assert_eq!(ids.len(), 3);
        disk_is_full();
        gate.add_permits(100);
        until("all have failed", || receiver.stats().failed == 3).await;
        until("it is known that this is not recorded", || journal.unrecorded_count() == 3).await;
        say("it was full".to_owned());
        // They are looked at again, as after a while.
        for id in &ids {
            journal.return_unclaimed(id.clone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(calls.load(Ordering::Relaxed), 3);
        assert_eq!(journal.pending_count(), 0);
        // Only GitHub can have it handled again, and needs no room for that.
        let again = receiver.receive(delivery(0)).await;
        let calls_then = if again == Ok(ReceiveOutcome::Accepted) { 4 } else { 3 };
        until("it is handled again", || calls.load(Ordering::Relaxed) == calls_then).await;
        until("it is known again", || journal.unrecorded_count() == 3).await;
        disk_has_room();
        until("all is recorded", || journal.unrecorded_count() == 0).await;
        let failed = journal.failed().await.unwrap();
        assert_eq!(failed.len(), 3);
        assert!(failed.iter().all(|failed| failed.error.contains("no such repository")));
        assert_eq!((journal.pending_count(), calls.load(Ordering::Relaxed)), (0, calls_then));
        receiver.shutdown(Duration::from_secs(1)).await;
    });
}

#[test]
fn pauses_between_attempts_are_bounded() {
    use super::super::thread::next_backoff;
    let seconds = Duration::from_secs;
    assert_eq!(next_backoff(None, seconds(60)), Duration::ZERO);
    let mut pause = Duration::ZERO;
    for milliseconds in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        pause = next_backoff(Some(pause), Duration::from_millis(1));
        assert_eq!(pause, Duration::from_millis(milliseconds));
    }
    // The opening of a large file takes a fifth of the time, and no pause is longer than this.
    assert_eq!(next_backoff(Some(Duration::ZERO), seconds(2)), seconds(8));
    for took in [seconds(8), seconds(60), Duration::MAX] {
        assert_eq!(next_backoff(Some(seconds(5)), took), seconds(30), "{took:?}");
    }
}
