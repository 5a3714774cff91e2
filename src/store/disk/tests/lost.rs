//! Shards that are not trusted, and values of other clients.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;

/// Set for a process that a test starts of itself, as another user: the folder of the store.
const FOLDER: &str = "OCTOWIRE_TEST_DISK";
const USER: u32 = 12_345;

/// Runs this test in a process of another user if this one is root, since root can read everything. Returns whether this
/// is that process, or one of a user that is not root, with the folder.
fn as_user(test: &str, prepare: impl FnOnce(&Path)) -> Option<PathBuf> {
    use std::os::unix::fs::chown;
    use std::os::unix::process::CommandExt;
    if let Some(folder) = std::env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = Temporary::new(test.rsplit("::").next().unwrap());
    fs::create_dir_all(&folder.0).unwrap();
    if chown(&folder.0, Some(USER), Some(USER)).is_err() {
        eprintln!("skipped: only root can start a process of another user");
        return None;
    }
    prepare(&folder.0);
    // The other user may not be able to reach the program where it is.
    let program = folder.0.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let name = test.split_once("::").unwrap().1;
    let mut child = Command::new(&program);
    child.args(["--exact", name, "--nocapture"]).env(FOLDER, folder.0.join("store"));
    let output = child.current_dir("/").uid(USER).gid(USER).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("as another user"), "{said}");
    None
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(test);
    eprintln!("as another user");
}

/// A key whose value is in the same shard as that of another.
fn neighbour_of(key: &str) -> String {
    let keys = (0..).map(|number| format!("k{number}"));
    keys.into_iter().find(|other| value_path(other).0 == value_path(key).0).unwrap()
}

#[test]
fn counters_of_a_shard_that_cannot_be_listed_do_not_restart_at_zero() {
    let test = concat!(
        module_path!(),
        "::counters_of_a_shard_that_cannot_be_listed_do_not_restart_at_zero"
    );
    let Some(folder) = as_user(test, |_| {}) else { return };
    run(async {
        let disk = DiskStore::open(&folder).unwrap();
        assert_eq!(disk.try_consume("n", 4, 9, LONG).await.unwrap(), (5, true));
        let shard = disk.0.place_of("n").parent().unwrap().to_owned();
        fs::set_permissions(&shard, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(disk.try_consume("n", 0, 9, LONG).await.unwrap_err().is_unreadable_value());
        // This replaces the shard.
        let neighbour = neighbour_of("n");
        disk.put(&neighbour, Bytes::from_static(b"v"), LONG).await.unwrap();
        assert_eq!(disk.get(&neighbour).await.unwrap().as_deref(), Some(&b"v"[..]));
        for _ in 0..2 {
            assert!(disk.try_consume("n", 0, 9, LONG).await.unwrap_err().is_unreadable_value());
            assert!(disk.increment("n", 1, LONG).await.unwrap_err().is_unreadable_value());
            assert!(disk.sum("n").await.unwrap_err().is_unreadable_value());
            disk.0.evict().unwrap();
        }
        // Its owner can remove its content, if it can be listed.
        assert_eq!(disk.repair_sum("n", 9, LONG).await.unwrap(), 9);
        assert_eq!(disk.try_consume("n", 0, 9, LONG).await.unwrap(), (9, false));
        // All values except counters start empty.
        let other = (0..).map(|number| format!("c{number}"));
        let other = { other }.find(|other| value_path(other).0 == value_path("n").0).unwrap();
        assert!(disk.put_if_absent(&other, Bytes::new(), LONG).await.unwrap());
    });
}

#[test]
fn advice_for_a_file_of_another_user_does_not_repeat_a_completed_step() {
    let test = concat!(
        module_path!(),
        "::advice_for_a_file_of_another_user_does_not_repeat_a_completed_step"
    );
    let prepare = |folder: &Path| {
        let store = folder.join("store");
        DiskStore::builder(&store).trust_file_permissions(true).open().unwrap();
        for path in [store.clone(), store.join(SUBFOLDER)] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
    };
    let Some(folder) = as_user(test, prepare) else { return };
    run(async {
        // The user id has changed, and the lock of mode 0600 is the other user's.
        let error = DiskStore::builder(&folder).trust_file_permissions(true).open().unwrap_err();
        let said = error.to_string();
        assert!(said.contains("belongs to the user 0"), "{said}");
        assert!(!said.contains("trust_file_permissions(true)"), "{said}");
    });
}

#[tokio::test]
async fn a_replacement_that_was_interrupted_begins_no_sum() {
    let folder = Temporary::new("interrupted");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    let shard = disk.0.place_of("n").parent().unwrap().to_owned();
    // The old folder is gone, and the new one is not there yet.
    fs::write(disk.0.path().join(folder::marker(&value_path("n").0)), "").unwrap();
    fs::set_permissions(
        disk.0.path().join(folder::marker(&value_path("n").0)),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    fs::remove_dir_all(&shard).unwrap();
    assert!(disk.sum("n").await.unwrap_err().is_unreadable_value());
    assert!(disk.increment("n", 1, LONG).await.unwrap_err().is_unreadable_value());
}

/// Everything but a sum that is absent from a shard is absent, whether the shard was replaced or is not trusted: the
/// invalidation log finds its end by the first absent key.
#[tokio::test]
async fn values_absent_from_a_lost_shard_are_unreadable_only_as_counters() {
    let folder = Temporary::new("absent");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    let shard = disk.0.place_of("n").parent().unwrap().to_owned();
    fs::remove_dir_all(&shard).unwrap();
    fs::write(&shard, "a file in its place").unwrap();
    let neighbour = neighbour_of("n");
    for is_replaced in [false, true] {
        if is_replaced {
            disk.put(&neighbour, Bytes::from_static(b"v"), LONG).await.unwrap();
        }
        let found = is_replaced.then(|| Bytes::from_static(b"v"));
        assert_eq!(disk.get("n").await.unwrap(), None, "{is_replaced}");
        assert_eq!(disk.get_within("n", 99).await.unwrap(), None, "{is_replaced}");
        let many = disk.get_many(&[("n", 99), (neighbour.as_str(), 99)]).await.unwrap();
        let many: Vec<_> = many.into_iter().map(Result::unwrap).collect();
        assert_eq!(many, [None, found], "{is_replaced}");
        assert_eq!(disk.counters("n").await.unwrap(), BTreeMap::new());
        assert!(disk.sum("n").await.unwrap_err().is_unreadable_value(), "{is_replaced}");
        assert!(
            disk.increment("n", 1, LONG).await.unwrap_err().is_unreadable_value(),
            "{is_replaced}"
        );
    }
}

/// A sum that was lost would have expired by now.
#[tokio::test]
async fn a_counter_whose_ttl_is_shorter_than_the_time_since_the_loss_restarts() {
    let folder = Temporary::new("short-sums");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    let shard = disk.0.place_of("n").parent().unwrap().to_owned();
    fs::remove_dir_all(&shard).unwrap();
    fs::write(&shard, "a file in its place").unwrap();
    disk.put(&neighbour_of("n"), Bytes::new(), LONG).await.unwrap();
    assert!(disk.increment("n", 1, LONG).await.unwrap_err().is_unreadable_value());
    let marker = disk.0.path().join(folder::marker(&value_path("n").0));
    let before = SystemTime::now() - LONG - Duration::from_secs(60);
    File::options().write(true).open(&marker).unwrap().set_modified(before).unwrap();
    assert!(disk.increment("n", 1, 2 * LONG).await.unwrap_err().is_unreadable_value());
    assert_eq!(disk.increment("n", 1, LONG).await.unwrap(), 1);
    assert_eq!(disk.sum("n").await.unwrap(), Some(1));
}

/// As a `chown` of the files of another version of the program can leave it.
#[tokio::test]
async fn a_marker_that_is_not_trusted_ends_as_well() {
    use std::os::unix::fs::chown;
    let folder = Temporary::new("foreign-marker");
    let disk = DiskStore::open(&folder.0).unwrap();
    let marker = disk.0.path().join(folder::marker(&value_path("n").0));
    fs::create_dir_all(disk.0.place_of("n").parent().unwrap()).unwrap();
    fs::write(&marker, "").unwrap();
    if chown(&marker, Some(USER), None).is_err() {
        eprintln!("skipped: only root can give a file to another user");
        return;
    }
    assert!(disk.sum("n").await.unwrap_err().is_unreadable_value());
    disk.0.evict().unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(33 * 24 * 60 * 60);
    File::options().write(true).open(&marker).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(disk.sum("n").await.unwrap(), None);
}

/// Each user of the machine could replace its content by an earlier one.
#[test]
fn a_folder_of_root_that_all_users_can_write_to_is_rejected() {
    let test =
        concat!(module_path!(), "::a_folder_of_root_that_all_users_can_write_to_is_rejected");
    let prepare = |folder: &Path| {
        for (name, mode) in [("store", 0o777), ("group", 0o2777), ("sticky", 0o1777)] {
            let shared = folder.join(name);
            fs::create_dir(&shared).unwrap();
            fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let Some(folder) = as_user(test, prepare) else { return };
    if !folder.exists() {
        eprintln!("skipped: only root can create a folder of root's");
        return;
    }
    run(async {
        for shared in [folder.clone(), folder.with_file_name("group")] {
            let error = DiskStore::open(&shared).unwrap_err().to_string();
            assert!(error.contains("other users can write to it"), "{error}");
        }
        let disk = DiskStore::open(folder.with_file_name("sticky")).unwrap();
        disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
        assert!(disk.get("k").await.unwrap().is_some());
    });
}

#[tokio::test]
async fn the_marker_of_a_replaced_shard_is_removed_after_the_longest_window() {
    let folder = Temporary::new("markers");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.increment("n", 5, LONG).await.unwrap();
    let shard = disk.0.place_of("n").parent().unwrap().to_owned();
    fs::remove_dir_all(&shard).unwrap();
    fs::write(&shard, "a file in its place").unwrap();
    disk.put(&neighbour_of("n"), Bytes::new(), LONG).await.unwrap();
    disk.0.evict().unwrap();
    assert!(disk.sum("n").await.unwrap_err().is_unreadable_value());
    let marker = disk.0.path().join(folder::marker(&value_path("n").0));
    let long_ago = SystemTime::now() - Duration::from_secs(33 * 24 * 60 * 60);
    File::options().write(true).open(&marker).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(disk.sum("n").await.unwrap(), None);
    disk.0.evict().unwrap();
    assert!(!marker.exists());
}

#[tokio::test]
async fn discarded_folders_are_removed() {
    let folder = Temporary::new("discarded");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    background_ended(&disk).await;
    // A folder with content in place of a value, and one in place of a shard that has been moved away.
    let file = disk.0.place_of("k");
    fs::remove_file(&file).unwrap();
    fs::create_dir_all(file.join("content")).unwrap();
    disk.put("k", Bytes::from_static(b"v"), LONG).await.unwrap();
    let aside = disk.0.path().join("ab.discarded-1");
    fs::create_dir_all(aside.join("content")).unwrap();
    fs::write(aside.join("file"), vec![0; 5_000]).unwrap();
    let kept = disk.0.path().join("notes.discarded-1");
    fs::create_dir_all(&kept).unwrap();
    disk.0.evict().unwrap();
    assert!(!aside.exists());
    assert!(kept.exists(), "it is not the store's");
    let names = fs::read_dir(file.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 1);
    assert!(disk.get("k").await.unwrap().is_some());
}

#[tokio::test]
async fn a_value_of_another_version_stays_and_counts() {
    let folder = Temporary::new("versions");
    let disk = DiskStore::open(&folder.0).unwrap();
    disk.put("k", Bytes::from(vec![7; 20_000]), LONG).await.unwrap();
    let file = disk.0.place_of("k");
    let mut bytes = fs::read(&file).unwrap();
    bytes[7] = 2;
    fs::write(&file, &bytes).unwrap();
    disk.0.evict().unwrap();
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(disk.get("k").await.unwrap(), None);
    // It counts, and makes room as others do.
    for number in 0..5 {
        disk.put(&format!("k{number}"), Bytes::from(vec![7; 20_000]), LONG).await.unwrap();
    }
    let past = SystemTime::now() - Duration::from_secs(9);
    File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
    DiskStore::with_max_bytes(&folder.0, 110_000).unwrap().0.evict().unwrap();
    assert!(!file.exists());
    assert!(folder.bytes() > 100_000, "no other has to go");
}

#[test]
fn the_folder_of_the_store_is_no_link_and_the_one_above_is_checked() {
    let folder = Temporary::new("own-link");
    let elsewhere = folder.0.join("elsewhere");
    let given = folder.0.join("given");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::create_dir_all(&given).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    std::os::unix::fs::symlink(&elsewhere, given.join(SUBFOLDER)).unwrap();
    let error = DiskStore::open(&given).unwrap_err().to_string();
    assert!(error.contains("is a symbolic link"), "{error}");
    assert_eq!(mode(&elsewhere), 0o777, "what it leads to is not changed");
    fs::remove_file(given.join(SUBFOLDER)).unwrap();
    fs::set_permissions(&given, fs::Permissions::from_mode(0o777)).unwrap();
    let error = DiskStore::open(&given).unwrap_err().to_string();
    assert!(error.contains("other users can write to it"), "{error}");
    assert_eq!(mode(&given), 0o777);
    fs::set_permissions(&given, fs::Permissions::from_mode(0o755)).unwrap();
    DiskStore::open(&given).unwrap();
}
