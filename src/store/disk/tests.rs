//! Whole or not there, and no more than is allowed.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::store::lease::Join;
use crate::store::unreadable::is_unreadable;

impl Folder {
    fn place(&self, key: &str) -> PathBuf {
        let (shard, name) = place(key);
        self.path.join(shard).join(name)
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
        let folders = fs::read_dir(self.0.join(OWN)).unwrap().map(|entry| entry.unwrap().path());
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

#[tokio::test]
async fn what_is_kept_is_there_for_the_next_run_and_for_others() {
    let folder = Temporary::new("next-run");
    let disk = Disk::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    disk.put("short", Bytes::from_static(b"v"), Duration::from_millis(1)).await.unwrap();
    assert_eq!(disk.add("n", 2, LONG).await.unwrap(), 2);
    drop(disk);
    let disk = Disk::open(&folder.0).unwrap();
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(disk.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(disk.get("short").await.unwrap(), None);
    assert_eq!(disk.add("n", 3, LONG).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_claim_one_thing_one_has_it_and_sums_are_right() {
    let folder = Temporary::new("claims");
    let disks: Vec<_> = (0..4).map(|_| Disk::open(&folder.0).unwrap()).collect();
    let tasks: Vec<_> = (0..40)
        .map(|task| {
            let disk = disks[task % 4].clone();
            tokio::spawn(async move {
                disk.add("sum", 1, LONG).await.unwrap();
                disk.claim("one", Bytes::from(task.to_string()), LONG).await.unwrap()
            })
        })
        .collect();
    let mut claimed = 0;
    for task in tasks {
        claimed += usize::from(task.await.unwrap());
    }
    assert_eq!((claimed, disks[0].add("sum", 0, LONG).await.unwrap()), (1, 40));
}

#[tokio::test]
async fn it_is_bounded_and_keeps_what_is_newest() {
    let folder = Temporary::new("bound");
    let disk = Disk::with_max_bytes(&folder.0, 100_000).unwrap();
    for number in 0..200 {
        disk.put(&format!("k{number}"), Bytes::from(vec![0; 5_000]), LONG).await.unwrap();
        while disk.0.clearing.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(folder.bytes() <= 110_000, "{}", folder.bytes());
    }
    assert!(disk.get("k199").await.unwrap().is_some());
    assert!(disk.get("k0").await.unwrap().is_none());
    disk.put("large", Bytes::from(vec![0; 100_001]), LONG).await.unwrap();
    assert_eq!(disk.get("large").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_begun_and_what_is_over_is_cleared_away() {
    let folder = Temporary::new("clear");
    let disk = Disk::open(&folder.0).unwrap();
    disk.put("over", Bytes::from_static(b"v"), Duration::from_millis(1)).await.unwrap();
    let own = |name: &str| folder.0.join(OWN).join(name);
    let (old, new) =
        (own(&format!("{}.tmp", "a".repeat(32))), own(&format!("{}.tmp", "b".repeat(32))));
    // What is not the store's is left alone, wherever it is.
    let strange =
        [own("old.tmp"), own("notes.txt"), own("ab").join("notes.txt"), folder.0.join("x")];
    fs::create_dir_all(own("ab")).unwrap();
    for path in strange.iter().chain([&old, &new]) {
        fs::write(path, "half").unwrap();
    }
    let long_ago = SystemTime::now() - 2 * ABANDONED;
    for path in strange.iter().chain([&old]) {
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    fs::write(disk.0.place("damaged"), "nonsense")
        .or_else(|_| {
            fs::create_dir_all(disk.0.place("damaged").parent().unwrap())?;
            fs::write(disk.0.place("damaged"), "nonsense")
        })
        .unwrap();
    assert_eq!(disk.get("damaged").await.unwrap(), None);
    std::thread::sleep(Duration::from_millis(5));
    disk.0.make_room().unwrap();
    assert_eq!((old.exists(), new.exists()), (false, true));
    assert!(strange.iter().all(|path| path.exists()));
    assert!(!disk.0.place("damaged").exists() && !disk.0.place("over").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Temporary::new("private");
    let disk = Disk::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    let file = disk.0.place("k");
    for (path, mode) in
        [(disk.0.path.as_path(), 0o700), (file.parent().unwrap(), 0o700), (&file, 0o600)]
    {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_folder_that_can_not_be_is_told_of() {
    let error = Disk::open("/dev/null/store").unwrap_err();
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
        let whole = Value { bytes: value, until: 77 };
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
async fn a_ledger_that_cannot_be_read_is_begun_anew_and_a_newer_one_is_left() {
    let folder = Temporary::new("ledgers");
    let disk = Disk::open(&folder.0).unwrap();
    let ask = LeaseRequest {
        member: "m".to_owned(),
        join: Some(Join::default()),
        waiting: 3,
        ..LeaseRequest::default()
    };
    for garbage in ["", "garbage", "{}", r#"{"version":1,"time":1e300}"#] {
        disk.put("l", Bytes::from_static(garbage.as_bytes()), LONG).await.unwrap();
        for _ in 0..2 {
            let lease = disk.lease("l", &ask).await.unwrap().unwrap();
            assert_eq!((lease.unknown, lease.slots), (false, 3), "{garbage}");
        }
        let held = disk.get("l").await.unwrap().unwrap();
        assert!(Ledger::read(&held).is_ok(), "{garbage}");
    }
    let newer = Bytes::from_static(br#"{"version":2,"what":["else"]}"#);
    disk.put("l", newer.clone(), LONG).await.unwrap();
    assert!(is_unreadable(&disk.lease("l", &ask).await.unwrap_err()));
    assert_eq!(disk.get("l").await.unwrap(), Some(newer));
}

#[tokio::test]
async fn a_sum_that_is_damaged_is_not_taken_for_none() {
    let folder = Temporary::new("sums");
    let disk = Disk::open(&folder.0).unwrap();
    disk.add("n", 5, LONG).await.unwrap();
    let path = disk.0.place("n");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(is_unreadable(&disk.spend("n", 0, 9, LONG).await.unwrap_err()));
    assert!(is_unreadable(&disk.add("n", 1, LONG).await.unwrap_err()));
    assert_eq!(disk.repair_sum("n", 7, LONG).await.unwrap(), 7);
    assert_eq!(disk.spend("n", 0, 9, LONG).await.unwrap(), (8, true));
}
