//! Values of the disk store are whole or absent, and its size is bounded.

use std::fs::{self, File};
use std::time::SystemTime;

use proptest::prelude::*;

#[cfg(unix)]
mod locked;
#[cfg(unix)]
mod lost;

use super::eviction::ABANDONED_AGE;
use super::folder::value_path;
use super::*;
use crate::store::lease::MemberJoin;

impl DiskInner {
    fn path(&self) -> PathBuf {
        self.parent.join(SUBFOLDER)
    }

    fn place_of(&self, key: &str) -> PathBuf {
        let (shard, name) = value_path(key);
        self.path().join(shard).join(name)
    }
}

struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("octowire-disk-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn bytes(&self) -> u64 {
        let folders =
            fs::read_dir(self.0.join(SUBFOLDER)).unwrap().map(|entry| entry.unwrap().path());
        let files =
            folders.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
        files.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LONG: Duration = Duration::from_secs(600);

/// Waits until no room is made in the background, as it is after the first write.
async fn background_ended(disk: &DiskStore) {
    while disk.0.is_evicting.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Repeats what did not get the lock in time, since so many want it.
async fn retried<T, F: Future<Output = Result<T>>>(call: impl Fn() -> F) -> T {
    for _ in 0..100 {
        match call().await {
            Err(error) if error.to_string().contains("lock timed out after") => {}
            ended => return ended.unwrap(),
        }
    }
    panic!("it never gets the lock");
}

#[tokio::test]
async fn stored_values_are_visible_to_the_next_run_and_to_other_processes() {
    let folder = Temporary::new("next-run");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    disk.put("short", Bytes::from_static(b"v"), Duration::from_millis(1)).await.unwrap();
    assert_eq!(disk.increment("n", 2, LONG).await.unwrap(), 2);
    drop(disk);
    let disk = DiskStore::open(&folder.0).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(disk.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(disk.get("short").await.unwrap(), None);
    assert_eq!(disk.increment("n", 3, LONG).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_claims_have_one_winner_and_counters_are_exact() {
    let folder = Temporary::new("claims");
    let disks: Vec<_> = (0..4).map(|_| DiskStore::open(&folder.0).unwrap()).collect();
    let tasks: Vec<_> = (0..40)
        .map(|task| {
            let disk = disks[task % 4].clone();
            tokio::spawn(async move {
                retried(|| disk.increment("sum", 1, LONG)).await;
                retried(|| disk.put_if_absent("one", Bytes::from(task.to_string()), LONG)).await
            })
        })
        .collect();
    let mut claimed = 0;
    for task in tasks {
        claimed += usize::from(task.await.unwrap());
    }
    assert_eq!((claimed, disks[0].increment("sum", 0, LONG).await.unwrap()), (1, 40));
}

#[tokio::test]
async fn the_disk_store_is_bounded_and_keeps_the_newest_values() {
    let folder = Temporary::new("bound");
    let disk = DiskStore::with_max_bytes(&folder.0, 100_000).unwrap();
    for number in 0..200 {
        disk.put(&format!("k{number}"), Bytes::from(vec![0; 5_000]), LONG).await.unwrap();
        background_ended(&disk).await;
        assert!(folder.bytes() <= 110_000, "{}", folder.bytes());
    }
    assert!(disk.get("k199").await.unwrap().is_some());
    assert!(disk.get("k0").await.unwrap().is_none());
    disk.put("large", Bytes::from(vec![0; 100_001]), LONG).await.unwrap();
    assert_eq!(disk.get("large").await.unwrap(), None);
}

#[tokio::test]
async fn unfinished_and_expired_files_are_removed() {
    let folder = Temporary::new("clear");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("over", Bytes::from_static(b"v"), Duration::from_millis(1)).await.unwrap();
    let own = |name: &str| folder.0.join(SUBFOLDER).join(name);
    let (old, new) =
        (own(&format!("{}.tmp", "a".repeat(32))), own(&format!("{}.tmp", "b".repeat(32))));
    // Foreign files are kept, in any folder.
    let strange =
        [own("old.tmp"), own("notes.txt"), own("ab").join("notes.txt"), folder.0.join("x")];
    fs::create_dir_all(own("ab")).unwrap();
    for path in strange.iter().chain([&old, &new]) {
        fs::write(path, "half").unwrap();
    }
    let long_ago = SystemTime::now() - 2 * ABANDONED_AGE;
    for path in strange.iter().chain([&old]) {
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    fs::write(disk.0.place_of("damaged"), "nonsense")
        .or_else(|_| {
            fs::create_dir_all(disk.0.place_of("damaged").parent().unwrap())?;
            fs::write(disk.0.place_of("damaged"), "nonsense")
        })
        .unwrap();
    assert_eq!(disk.get("damaged").await.unwrap(), None);
    std::thread::sleep(Duration::from_millis(5));
    disk.0.evict().unwrap();
    assert_eq!((old.exists(), new.exists()), (false, true));
    assert!(strange.iter().all(|path| path.exists()));
    assert!(!disk.0.place_of("over").exists());
    // It takes no room, and shows for as long as a budget's window that there was something.
    let damaged = disk.0.place_of("damaged");
    assert_eq!(fs::metadata(&damaged).unwrap().len(), 0);
    disk.0.evict().unwrap();
    assert!(damaged.exists());
    let long_ago = SystemTime::now() - Duration::from_secs(33 * 24 * 60 * 60);
    File::options().write(true).open(&damaged).unwrap().set_modified(long_ago).unwrap();
    disk.0.evict().unwrap();
    assert!(!damaged.exists());
}

/// A process that is killed while it writes leaves its draft.
#[tokio::test]
async fn drafts_of_killed_processes_count_and_go_after_minutes() {
    let folder = Temporary::new("drafts");
    let disk = DiskStore::with_max_bytes(&folder.0, 100_000).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    for number in 0..3 {
        disk.put(&format!("k{number}"), Bytes::from(vec![0; 25_000]), LONG).await.unwrap();
    }
    let draft = |number: usize, minutes: u32, bytes: usize| {
        let path = disk.0.path().join(format!("{number:032x}.tmp"));
        fs::write(&path, vec![0; bytes]).unwrap();
        let at = SystemTime::now() - minutes * Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        path
    };
    let (old, new) = (draft(1, 6, 40_000), draft(2, 1, 40_000));
    disk.0.evict().unwrap();
    assert_eq!((old.exists(), new.exists()), (false, true));
    let left = (0..3).filter(|number| disk.0.place_of(&format!("k{number}")).exists()).count();
    assert_eq!(left, 2, "with the draft, there is room for two");
    // No sum makes room for what goes in minutes.
    let large = draft(3, 1, 200_000);
    disk.0.evict().unwrap();
    assert_eq!(disk.sum("n").await.unwrap(), Some(5));
    assert!(large.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn other_users_cannot_read_the_disk_store() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Temporary::new("private");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    let file = disk.0.place_of("k");
    for (path, mode) in [(&*disk.0.path(), 0o700), (file.parent().unwrap(), 0o700), (&*file, 0o600)]
    {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn an_impossible_folder_is_an_error_that_names_it() {
    let error = DiskStore::open("/dev/null/store").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("/dev/null/store"));
}

proptest! {
    #[test]
    fn a_value_is_whole_or_not_there(
        key in ".{0,20}",
        value in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let bytes = value::encode(&key, &value, 77);
        let whole = Value { bytes: value, expires_at_ms: 77 };
        prop_assert_eq!(Value::decode(&bytes, &key), Some(whole));
        prop_assert_eq!(Value::decode(&bytes, "another key that is longer"), None);
        let at = at.index(bytes.len());
        prop_assert_eq!(Value::decode(&bytes[..at], &key), None);
        let mut changed = bytes;
        changed[at] ^= flip;
        prop_assert_eq!(Value::decode(&changed, &key), None);
    }
}

#[tokio::test]
async fn an_unreadable_ledger_is_replaced_and_a_newer_version_is_kept() {
    let folder = Temporary::new("ledgers");
    let disk = DiskStore::open(&folder.0).unwrap();
    let ask = QuotaRequest {
        member: "m".to_owned(),
        join: Some(MemberJoin::default()),
        queued: 3,
        ..QuotaRequest::default()
    };
    for garbage in ["", "garbage", "{}", r#"{"version":1,"time":1e300}"#] {
        disk.put("l", Bytes::from_static(garbage.as_bytes()), LONG).await.unwrap();
        for _ in 0..2 {
            let lease = disk.lease("l", &ask).await.unwrap().unwrap();
            assert_eq!((lease.is_unknown_member, lease.slots), (false, 3), "{garbage}");
        }
        let held = disk.get("l").await.unwrap().unwrap();
        assert!(QuotaLedger::read(&held).is_ok(), "{garbage}");
    }
    let newer = Bytes::from_static(br#"{"version":99,"extra":["unknown"]}"#);
    disk.put("l", newer.clone(), LONG).await.unwrap();
    assert!(disk.lease("l", &ask).await.unwrap_err().is_unreadable_value());
    assert_eq!(disk.get("l").await.unwrap(), Some(newer));
}

#[tokio::test]
async fn a_sum_that_is_damaged_is_not_taken_for_none() {
    let folder = Temporary::new("sums");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    let path = disk.0.place_of("n");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(disk.try_consume("n", 0, 9, LONG).await.unwrap_err().is_unreadable_value());
    assert!(disk.increment("n", 1, LONG).await.unwrap_err().is_unreadable_value());
    assert_eq!(disk.repair_sum("n", 7, LONG).await.unwrap(), 7);
    assert_eq!(disk.try_consume("n", 0, 9, LONG).await.unwrap(), (8, true));
}

/// The name of a fault, and the function that applies it to a file.
#[cfg(unix)]
type Damage = (&'static str, Box<dyn Fn(&std::path::Path)>);

/// Faults of the file of a counter, or of its folder.
#[cfg(unix)]
fn damages() -> Vec<Damage> {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::Path;
    let aside = |path: &Path| path.with_file_name("aside");
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let shard = |path: &Path| path.parent().unwrap().to_owned();
    let flip = |at: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[at] ^= 0x80;
            fs::write(path, bytes).unwrap();
        }
    };
    vec![
        ("its form", Box::new(flip(0)) as Box<dyn Fn(&Path)>),
        ("its version", Box::new(flip(7))),
        (
            "its end, now early",
            Box::new(|path| {
                let mut bytes = fs::read(path).unwrap();
                bytes[8..16].fill(0);
                fs::write(path, bytes).unwrap();
            }),
        ),
        ("its end, now late", Box::new(flip(15))),
        ("its checksum", Box::new(flip(30))),
        ("its key", Box::new(flip(41))),
        ("it is cut", Box::new(|path| fs::write(path, &fs::read(path).unwrap()[..20]).unwrap())),
        ("it is empty", Box::new(|path| fs::write(path, "").unwrap())),
        ("it is long", Box::new(|path| fs::write(path, vec![b'x'; 70_000]).unwrap())),
        (
            "it is another's",
            Box::new(|path| {
                fs::write(path, value::encode("another key", b"1", u64::MAX)).unwrap();
            }),
        ),
        ("everyone can write to it", Box::new(move |path| set(path, 0o666))),
        ("it has two names", Box::new(move |path| fs::hard_link(path, aside(path)).unwrap())),
        (
            "it is a link",
            Box::new(move |path| {
                fs::rename(path, aside(path)).unwrap();
                symlink(aside(path), path).unwrap();
            }),
        ),
        (
            "it is a folder",
            Box::new(|path| {
                fs::remove_file(path).unwrap();
                fs::create_dir_all(path.join("content")).unwrap();
            }),
        ),
        // If this process cannot do it, nothing happens.
        ("it is another user's", Box::new(|path| drop(chown(path, Some(12345), None)))),
        (
            "its folder is another user's",
            Box::new(move |path| {
                drop(chown(shard(path), Some(12345), None));
            }),
        ),
    ]
}

/// An unreadable counter never counts as zero, for any reader and after any other operation, until it
/// is repaired.
#[cfg(unix)]
#[tokio::test]
async fn a_damaged_sum_is_damaged_until_it_is_repaired() {
    let folder = Temporary::new("damaged-sums");
    for (what, damage) in damages() {
        let _ = fs::remove_dir_all(&folder.0);
        let disk = DiskStore::open(&folder.0).unwrap();
        assert_eq!(disk.try_consume("n", 4, 9, LONG).await.unwrap(), (5, true));
        // A counter in the same folder.
        let neighbour = (0..)
            .map(|number| format!("k{number}"))
            .find(|key| value_path(key).0 == value_path("n").0);
        let neighbour = neighbour.unwrap();
        damage(&disk.0.place_of("n"));
        // Root owns a file that it cannot give away.
        let is_there = disk.sum("n").await.is_ok();
        if is_there {
            assert!(what.contains("another user's"), "{what} is not found");
            eprintln!("skipped: {what}");
            continue;
        }
        for round in 0..3 {
            // Another process reads it: a report, the dashboard, or one that takes it for a value.
            let other = DiskStore::open(&folder.0).unwrap();
            assert!(other.sum("n").await.unwrap_err().is_unreadable_value(), "{what} {round}");
            assert_eq!(other.get("n").await.unwrap(), None, "{what}");
            assert!(other.get_within("n", 99).await.unwrap_err().is_unreadable_value(), "{what}");
            assert_eq!(other.counters("n").await.unwrap(), BTreeMap::new(), "{what}");
            assert!(!other.remove_if_equal("n", Bytes::from_static(b"5")).await.unwrap());
            if round > 0 {
                other.0.evict().unwrap();
            }
            if round > 1 {
                // This replaces the folder if it is not trusted.
                other.put(&neighbour, Bytes::from_static(b"v"), LONG).await.unwrap();
                assert!(other.get(&neighbour).await.unwrap().is_some(), "{what}");
            }
            assert!(
                other.try_consume("n", 0, 9, LONG).await.unwrap_err().is_unreadable_value(),
                "{what}"
            );
            assert!(
                other.increment("n", -1, LONG).await.unwrap_err().is_unreadable_value(),
                "{what}"
            );
        }
        assert_eq!(disk.repair_sum("n", 9, LONG).await.unwrap(), 9, "{what}");
        assert_eq!(disk.try_consume("n", 0, 9, LONG).await.unwrap(), (9, false), "{what}");
        assert_eq!(disk.sum("n").await.unwrap(), Some(9), "{what}");
    }
}

#[tokio::test]
async fn reading_a_sum_does_not_begin_one() {
    let folder = Temporary::new("read-sums");
    let disk = DiskStore::open(&folder.0).unwrap();
    assert_eq!(disk.sum("n").await.unwrap(), None);
    assert!(!disk.0.place_of("n").exists());
    disk.increment("n", -3, LONG).await.unwrap();
    assert_eq!(disk.sum("n").await.unwrap(), Some(-3));
}

#[cfg(unix)]
#[tokio::test]
async fn values_whose_group_was_widened_are_repaired() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Temporary::new("widened");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    // As a kubelet does to a volume with `fsGroup`, at each mount.
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let widen = |path: &std::path::Path, bits| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode(path) | bits)).unwrap();
    };
    for key in ["k", "n"] {
        let file = disk.0.place_of(key);
        widen(&file, 0o060);
        widen(file.parent().unwrap(), 0o2070);
    }
    widen(&disk.0.path(), 0o2070);
    let disk = DiskStore::open(&folder.0).unwrap();
    assert_eq!(disk.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(disk.try_consume("n", 0, 9, LONG).await.unwrap(), (6, true));
    assert_eq!((mode(&disk.0.place_of("k")), mode(&disk.0.path()) & 0o777), (0o600, 0o750));
}

#[tokio::test]
async fn small_values_make_room_last() {
    let folder = Temporary::new("small-last");
    let disk = DiskStore::with_max_bytes(&folder.0, 100_000).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    for number in 0..100 {
        disk.put(&format!("k{number}"), Bytes::from(vec![0; 9_000]), LONG).await.unwrap();
        disk.0.evict().unwrap();
    }
    assert_eq!(disk.sum("n").await.unwrap(), Some(5));
    // Nor are they without a bound.
    for number in 0..600 {
        disk.put(&format!("s{number}"), Bytes::new(), LONG).await.unwrap();
    }
    disk.0.evict().unwrap();
    assert!(folder.bytes() <= 100_000);
    let left = (0..600).filter(|number| disk.0.place_of(&format!("s{number}")).exists()).count();
    assert!(left <= 100_000 / 256, "{left}");
}

#[tokio::test]
async fn a_value_that_is_written_while_room_is_made_is_not_removed() {
    let folder = Temporary::new("room-race");
    let disk = DiskStore::open(&folder.0).unwrap();
    for round in 0..200 {
        disk.put("k", Bytes::from_static(b"old"), Duration::ZERO).await.unwrap();
        let other = Arc::clone(&disk.0);
        let making = std::thread::spawn(move || other.evict());
        disk.put("k", Bytes::from_static(b"new"), LONG).await.unwrap();
        making.join().unwrap().unwrap();
        assert!(disk.get("k").await.unwrap().is_some(), "in round {round}");
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_for_its_reader_is_not_read() {
    let folder = Temporary::new("within");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from(vec![7; 100]), LONG).await.unwrap();
    assert_eq!(disk.get_within("k", 100).await.unwrap().unwrap().len(), 100);
    assert!(disk.get_within("k", 99).await.unwrap_err().is_unreadable_value());
    assert_eq!(disk.get_within("absent", 0).await.unwrap(), None);
    assert!(disk.get("k").await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_whose_modes_are_not_real_is_used_on_request() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Temporary::new("trusted");
    let trusted = || DiskStore::builder(&folder.0).trust_file_permissions(true).open();
    trusted().unwrap().increment("n", 5, LONG).await.unwrap();
    // As on a CIFS volume, where all has one mode that cannot be changed.
    let disk = trusted().unwrap();
    let file = disk.0.place_of("n");
    for path in
        [file.as_path(), file.parent().unwrap(), &disk.0.path(), &disk.0.path().join("lock")]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    assert_eq!(trusted().unwrap().try_consume("n", 0, 9, LONG).await.unwrap(), (6, true));
    let mode = fs::metadata(disk.0.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o777, "it is not changed either");
    // By default it is not believed.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
    let checked = DiskStore::open(&folder.0).unwrap();
    assert!(checked.sum("n").await.unwrap_err().is_unreadable_value());
}
