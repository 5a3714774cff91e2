//! Processes that are killed at any time, and full disks.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

/// Set for a process that a test starts of itself: the folder of the journal.
pub(super) const FOLDER: &str = "OCTOWIRE_TEST_JOURNAL";

/// This test program again, for one test, by its whole path.
pub(super) fn again(program: &mut Command, test: &str, folder: &Temporary) -> Child {
    let name = test.split_once("::").unwrap().1;
    program.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    program.env(FOLDER, &folder.0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Says something to the process that started this one, in one write.
pub(super) fn say(line: String) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The body of the delivery with this id; some make the file grow.
fn body(id: &str) -> Bytes {
    let seed = id.bytes().fold(7_u32, |seed, byte| seed.wrapping_mul(31) + u32::from(byte));
    let size = if seed.is_multiple_of(9) { 300_000 } else { 8_000 };
    Bytes::from(id.as_bytes().iter().copied().cycle().take(size).collect::<Vec<_>>())
}

#[test]
fn accepted_deliveries_survive_a_killed_process() {
    let test = concat!(module_path!(), "::accepted_deliveries_survive_a_killed_process");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    if let Some(folder) = std::env::var_os(FOLDER) {
        return runtime.block_on(accept_until_killed(folder.into()));
    }
    let folder = Temporary::new("killed");
    let (mut accepted, mut done) = (HashSet::new(), HashSet::new());
    // Some are killed while they open the file, which the one before left as it was.
    for (round, lines) in [150, 1, 90, 1, 1, 200, 2, 60, 1, 120].into_iter().enumerate() {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let mut child = again(program.env("ROUND", round.to_string()), test, &folder);
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        for (number, line) in said.map_while(Result::ok).enumerate() {
            match line.split_once(' ') {
                Some(("accepted", id)) => drop(accepted.insert(id.to_owned())),
                Some(("done", id)) => drop(done.insert(id.to_owned())),
                _ => assert_eq!(line, "opening"),
            }
            if number + 1 == lines {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
    }
    assert!(accepted.len() > 200 && done.len() > 100, "{} {}", accepted.len(), done.len());
    runtime.block_on(async {
        let journal = folder.open().await;
        let pending = journal.pending_ids().await.unwrap();
        assert_eq!(journal.pending_count(), pending.len() as u64);
        assert_eq!(journal.bytes(), pending.iter().map(|id| body(id).len() as u64).sum::<u64>());
        for id in &pending {
            assert!(journal.load(id).await.unwrap().unwrap() == body(id), "{id} is torn");
            assert!(!done.contains(id), "{id} was done");
        }
        for id in &accepted {
            let now = journal.accept(id, body(id)).await.unwrap();
            let expected =
                if pending.contains(id) { AcceptOutcome::Pending } else { AcceptOutcome::Done };
            assert_eq!(now, expected, "{id} is lost");
        }
    });
}

async fn accept_until_killed(folder: PathBuf) {
    say("opening".to_owned());
    let journal = DeliveryJournal::open(folder.join("inbox")).await.unwrap();
    let round = std::env::var("ROUND").unwrap();
    let tasks = (0..8).map(|task| {
        let (journal, round) = (journal.clone(), round.clone());
        tokio::spawn(async move {
            for number in 0_u32.. {
                let id = format!("{round}-{task}-{number}");
                assert_eq!(journal.accept(&id, body(&id)).await.unwrap(), AcceptOutcome::New);
                say(format!("accepted {id}"));
                if !number.is_multiple_of(4) {
                    journal.complete(&id).await.unwrap();
                    say(format!("done {id}"));
                }
            }
        })
    });
    join_all(tasks).await;
}

/// The limit of a file's size stands for the end of the disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_until_there_is_room() {
    let test = concat!(module_path!(), "::a_full_disk_is_an_error_until_there_is_room");
    if let Some(folder) = std::env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        return runtime.block_on(fill(folder.into()));
    }
    let folder = Temporary::new("no-room");
    // In blocks of 512 or 1,024 bytes, by the shell. Without the trap, the signal would end it.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""]);
    let child = again(shell.arg(std::env::current_exe().unwrap()), test, &folder);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("it was full"), "{said}");
}

#[cfg(unix)]
async fn fill(folder: PathBuf) {
    let journal = DeliveryJournal::open(folder.join("inbox")).await.unwrap();
    let large = |number: u64| Bytes::from(vec![number as u8; 100_000]);
    let mut held = 0;
    let error = loop {
        match journal.accept(&held.to_string(), large(held)).await {
            Ok(accepted) => assert_eq!(accepted, AcceptOutcome::New),
            Err(error) => break error,
        }
        held += 1;
    };
    assert!(held > 5, "{held}");
    say(format!("it was full with {held}: {error}"));
    assert!(error.kind() == ErrorKind::StoreUnavailable && error.is_retryable(), "{error}");
    let holds = async |held: u64| {
        assert_eq!((journal.pending_count(), journal.bytes()), (held, held * 100_000));
        let ids: Vec<_> = (0..held).map(|id| id.to_string()).collect();
        assert_eq!(journal.pending_ids().await.unwrap(), ids);
    };
    holds(held).await;
    // A batch fails as a whole, and its deliveries are then accepted as new.
    let results = join_all((0..20).map(|number| journal.accept("more", large(number))));
    assert!(results.await.iter().all(Result::is_err));
    holds(held).await;
    // Records that free space are written at once, or after a pause.
    for id in 5..held {
        let _ = journal.complete(&id.to_string()).await;
    }
    assert_eq!(journal.pending_count(), 5);
    for _ in 0..2_000 {
        if journal.unrecorded_count() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(journal.unrecorded_count(), 0);
    holds(5).await;
    assert_eq!(journal.accept("more", large(0)).await.unwrap(), AcceptOutcome::New);
    assert_eq!(journal.accept("more", large(0)).await.unwrap(), AcceptOutcome::Pending);
    journal.complete("more").await.unwrap();
    drop(journal);
    let journal = DeliveryJournal::open(folder.join("inbox")).await.unwrap();
    assert_eq!((journal.pending_count(), journal.bytes()), (5, 500_000));
    assert_eq!(journal.accept("7", large(7)).await.unwrap(), AcceptOutcome::Done);
}
