//! Another process holds the lock, or is stopped while it holds it.

use std::time::Instant;

use super::super::eviction::clean_up;
use super::*;

/// Holds the lock of a store as another process does.
fn hold(folder: &Temporary) -> File {
    let path = folder.0.join(SUBFOLDER).join("lock");
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

/// The lengths of values that are not in their places yet.
fn drafts(folder: &Temporary) -> Vec<u64> {
    let all = fs::read_dir(folder.0.join(SUBFOLDER)).unwrap().flatten();
    let drafts = all.filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"));
    drafts.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_value_is_written_before_the_lock_is_taken() {
    let folder = Temporary::new("drafts");
    let disk = DiskStore::open(&folder.0).unwrap();
    let held = hold(&folder);
    let value = Bytes::from(vec![7; 1_000_000]);
    let putting = {
        let (disk, value) = (disk.clone(), value.clone());
        tokio::spawn(async move { disk.put("k", value, LONG).await })
    };
    // All of it is there while the lock is held.
    until("it is written", || drafts(&folder).iter().any(|&bytes| bytes > 1_000_000)).await;
    assert_eq!(disk.get("k").await.unwrap(), None);
    drop(held);
    putting.await.unwrap().unwrap();
    assert_eq!(disk.get("k").await.unwrap(), Some(value));
    assert_eq!(drafts(&folder), Vec::<u64>::new());
}

#[tokio::test]
async fn a_cancelled_write_leaves_no_temporary_file() {
    let folder = Temporary::new("given-up");
    let disk = DiskStore::open(&folder.0).unwrap();
    let _held = hold(&folder);
    let put = disk.put("k", Bytes::from(vec![7; 9_000]), LONG);
    assert!(tokio::time::timeout(Duration::from_millis(100), put).await.is_err());
    until("the draft is removed", || drafts(&folder).is_empty()).await;
}

/// With a single thread for what blocks, one call that waits in it would stop all others.
#[test]
fn a_stopped_holder_of_the_lock_takes_no_threads() {
    let folder = Temporary::new("stopped");
    let disk = DiskStore::open(&folder.0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.max_blocking_threads(1).enable_time().build().unwrap();
    runtime.block_on(async {
        disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
        let held = hold(&folder);
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let disk = disk.clone();
                tokio::spawn(async move { disk.increment(&format!("n{number}"), 1, LONG).await })
            })
            .collect();
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        // Operations without a lock still work, and a store can be opened.
        assert!(disk.get("k").await.unwrap().is_some());
        DiskStore::open(&folder.0).unwrap();
        for call in waiting {
            let error = call.await.unwrap().unwrap_err();
            assert!(
                error.is_retryable() && error.to_string().contains("lock timed out after"),
                "{error}"
            );
        }
        assert!(start.elapsed() >= LOCK_WAIT, "{:?}", start.elapsed());
        assert!(start.elapsed() < 10 * LOCK_WAIT, "{:?}", start.elapsed());
        assert!(disk.0.evict().is_ok(), "there is nothing to remove");
        drop(held);
        assert_eq!(disk.increment("n0", 1, LONG).await.unwrap(), 1, "none was added later");
    });
}

#[tokio::test]
async fn room_is_not_made_while_the_lock_is_held() {
    let folder = Temporary::new("room-locked");
    let disk = DiskStore::open(&folder.0).unwrap();
    // The first write has room made in the background, which could remove it already.
    disk.put("first", Bytes::from_static(b"v"), LONG).await.unwrap();
    background_ended(&disk).await;
    disk.put("k", Bytes::from_static(b"v"), Duration::ZERO).await.unwrap();
    let held = hold(&folder);
    let other = Arc::clone(&disk.0);
    let made = tokio::task::spawn_blocking(move || other.evict()).await.unwrap();
    assert_eq!(made.unwrap_err().kind(), io::ErrorKind::TimedOut);
    drop(held);
    disk.0.evict().unwrap();
    assert!(!disk.0.place_of("k").exists());
}

#[tokio::test]
async fn a_value_is_not_removed_while_the_lock_is_held() {
    let folder = Temporary::new("remove-locked");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    let held = hold(&folder);
    let removing = {
        let disk = disk.clone();
        tokio::spawn(async move { disk.remove("k").await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(disk.get("k").await.unwrap().is_some());
    drop(held);
    removing.await.unwrap().unwrap();
    assert_eq!(disk.get("k").await.unwrap(), None);
}

/// The lock of a folder that was moved away excludes no other process from the new one.
#[cfg(unix)]
#[tokio::test]
async fn the_lock_belongs_to_the_folder_that_is_used() {
    let folder = Temporary::new("moved");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    let lock = disk.0.lock().unwrap();
    let moved = folder.0.join("moved");
    fs::rename(folder.0.join(SUBFOLDER), &moved).unwrap();
    // Another process creates the folder again, with a lock of its own.
    let other = DiskStore::open(&folder.0).unwrap();
    assert_eq!(other.increment("n", 1, LONG).await.unwrap(), 1);
    let changed = disk.0.change(&lock, "n", |held| {
        assert!(held.is_none(), "it is read from the folder that is locked");
        (Some((b"9".to_vec(), after(LONG))), ())
    });
    changed.unwrap();
    let (shard, name) = value_path("n");
    assert!(moved.join(shard).join(name).exists());
    drop(lock);
    assert_eq!(other.sum("n").await.unwrap(), Some(1));
}

/// A lock file that was removed is locked by a process that no other one excludes.
#[cfg(unix)]
#[tokio::test]
async fn a_lock_file_that_was_removed_is_not_used() {
    let folder = Temporary::new("unlinked");
    let disk = DiskStore::open(&folder.0).unwrap();
    let first = disk.0.lock().unwrap();
    let waiting = {
        let folder = Arc::clone(&disk.0);
        std::thread::spawn(move || folder.lock().unwrap())
    };
    std::thread::sleep(Duration::from_millis(20));
    fs::remove_file(folder.0.join(SUBFOLDER).join("lock")).unwrap();
    // With the old or the new lock file, other processes see its lock.
    let second = waiting.join().unwrap();
    drop(first);
    let other = DiskStore::open(&folder.0).unwrap();
    // A dropped operation can still take effect if it is running when the lock is released.
    let claimed = other.put_if_absent("dropped", Bytes::new(), LONG);
    assert!(tokio::time::timeout(Duration::from_millis(100), claimed).await.is_err());
    drop(second);
    assert!(other.put_if_absent("k", Bytes::new(), LONG).await.unwrap());
}

/// A value checked before the lock is taken can be replaced by another one.
#[tokio::test]
async fn expiry_is_checked_under_the_lock_before_removal() {
    let folder = Temporary::new("judged");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"old"), Duration::ZERO).await.unwrap();
    let (shard, name) = value_path("k");
    let tidied = || {
        let lock = disk.0.lock().unwrap();
        let shard = lock.root.subfolder(&shard, false).unwrap().unwrap();
        clean_up(&shard, &name).unwrap();
    };
    // It was over when room began to be made, and is not any more.
    disk.put("k", Bytes::from_static(b"new"), LONG).await.unwrap();
    tidied();
    assert_eq!(disk.get("k").await.unwrap().as_deref(), Some(&b"new"[..]));
    disk.put("k", Bytes::from_static(b"over"), Duration::ZERO).await.unwrap();
    tidied();
    assert!(!disk.0.place_of("k").exists());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Ends with the call's result, however long a busy machine takes.
async fn at_last<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), call).await.expect("it waits for ever")
}

#[test]
fn a_call_on_an_unpolled_runtime_does_not_block_other_runtimes() {
    let folder = Temporary::new("stalled-runtime");
    let disk = DiskStore::open(&folder.0).unwrap();
    let held = hold(&folder);
    let still = runtime();
    still.block_on(async {
        let disk = disk.clone();
        tokio::spawn(async move { disk.increment("n", 1, LONG).await });
        // It has its turn now, and waits for the lock.
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    drop(held);
    let other = runtime();
    for sum in 1..=3 {
        assert_eq!(other.block_on(at_last(disk.increment("m", 1, LONG))).unwrap(), sum);
    }
    drop(still);
}

#[tokio::test]
async fn an_unpolled_call_blocks_others_for_at_most_the_lock_wait() {
    let folder = Temporary::new("not-polled");
    let disk = DiskStore::open(&folder.0).unwrap();
    let held = hold(&folder);
    let mut stopped = disk.increment("stopped", 1, LONG);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut stopped).await.is_err());
    drop(held);
    let start = Instant::now();
    let error = at_last(disk.increment("n", 1, LONG)).await.unwrap_err();
    assert!(start.elapsed() >= LOCK_WAIT, "{:?}", start.elapsed());
    assert!(error.is_retryable() && error.to_string().contains("lock timed out after"), "{error}");
    drop(stopped);
    assert_eq!(at_last(disk.increment("n", 1, LONG)).await.unwrap(), 1);
}
