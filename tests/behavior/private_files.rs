//! Files that other users replaced or altered.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use octowire::auth::{AccessToken, EncryptedFileTokenStore, EncryptionKey, TokenStore};
use octowire::store::{DiskStore, KeyValueStore, QuotaRequest, QuotaStore};
use octowire::webhooks::DeliveryJournal;
use sha2::{Digest, Sha256};

/// A file that the library keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    TokenFile,
    TokenLock,
    /// The lock of one identity, which goes with its holder.
    IdentityLock,
    Journal,
    CacheEntry,
    Ledger,
    DiskStoreLock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Every user can read and write it.
    Mode666,
    /// A group can, as on a volume of a pod that was mounted again.
    Mode660,
    /// Every user can read it.
    Mode644,
    /// Every user can write to its folder.
    Folder777,
    /// A group can.
    Folder775,
    /// The same, but only remove what is theirs.
    Folder1777,
    OtherOwner,
    FolderOfOther,
    Link,
    DanglingLink,
    FolderLink,
    Fifo,
    Socket,
    Folder,
    HardLink,
}

/// The expected outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is used as it is.
    Used,
    /// It is used, and only this user can use it from then on.
    Repaired,
    /// It is an error with these words.
    Rejected(&'static str),
    /// It counts as absent, and can be written again.
    Removed,
}

const KINDS: [FileKind; 7] = [
    FileKind::TokenFile,
    FileKind::TokenLock,
    FileKind::IdentityLock,
    FileKind::Journal,
    FileKind::CacheEntry,
    FileKind::Ledger,
    FileKind::DiskStoreLock,
];

const FAULTS: [Fault; 15] = [
    Fault::Mode666,
    Fault::Mode660,
    Fault::Mode644,
    Fault::Folder777,
    Fault::Folder775,
    Fault::Folder1777,
    Fault::OtherOwner,
    Fault::FolderOfOther,
    Fault::Link,
    Fault::DanglingLink,
    Fault::FolderLink,
    Fault::Fifo,
    Fault::Socket,
    Fault::Folder,
    Fault::HardLink,
];

fn expected(kind: FileKind, fault: Fault) -> Outcome {
    let is_value = matches!(kind, FileKind::CacheEntry | FileKind::Ledger);
    // Of others, the folder is the application's: its mode stays, and it can be a link.
    let has_own_folder = is_value || kind == FileKind::DiskStoreLock;
    match fault {
        // A value that was changed does not show it, and a store may forget.
        Fault::Mode666 if is_value => Outcome::Removed,
        Fault::Mode666 | Fault::Mode660 | Fault::Mode644 => Outcome::Repaired,
        Fault::Folder777 | Fault::Folder775 if has_own_folder => Outcome::Repaired,
        Fault::Folder777 => Outcome::Rejected("other users can write to it"),
        Fault::Folder775 | Fault::Folder1777 => Outcome::Used,
        _ if is_value => Outcome::Removed,
        Fault::FolderLink if has_own_folder => Outcome::Rejected("is a symbolic link"),
        Fault::FolderLink => Outcome::Used,
        // These tests run as root then, who uses the folder of any user.
        Fault::FolderOfOther if !has_own_folder => Outcome::Used,
        Fault::OtherOwner | Fault::FolderOfOther => Outcome::Rejected("belongs to the user 12345"),
        Fault::Link | Fault::DanglingLink => Outcome::Rejected("is a symbolic link"),
        Fault::Fifo | Fault::Socket | Fault::Folder => Outcome::Rejected("is not a regular file"),
        Fault::HardLink => Outcome::Rejected("has 2 hard links"),
    }
}

const CACHE_KEY: &str = "cache-entry";
const LEDGER_KEY: &str = "ledger";
const IDENTITY: &str = "installation:42";
const LONG: Duration = Duration::from_secs(600);

/// A folder with all of them, which goes with the test.
struct TestFolder {
    root: PathBuf,
    /// Distinguishes the ledger from a new one.
    epoch: Mutex<Option<String>>,
}

impl TestFolder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("octowire-files-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("own")).unwrap();
        Self { root: path, epoch: Mutex::default() }
    }

    fn own(&self) -> PathBuf {
        self.root.join("own")
    }

    fn value(&self, key: &str) -> PathBuf {
        let name: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
        self.own().join("octowire-store").join(&name[..2]).join(&name[2..])
    }

    fn path(&self, kind: FileKind) -> PathBuf {
        match kind {
            FileKind::TokenFile => self.own().join("tokens"),
            FileKind::TokenLock => self.own().join("tokens.lock"),
            FileKind::IdentityLock => {
                let digest = Sha256::digest(IDENTITY);
                let digest: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
                self.own().join(format!("tokens.{digest}.lock"))
            }
            FileKind::Journal => self.own().join("journal"),
            FileKind::CacheEntry => self.value(CACHE_KEY),
            FileKind::Ledger => self.value(LEDGER_KEY),
            FileKind::DiskStoreLock => self.own().join("octowire-store").join("lock"),
        }
    }

    fn tokens(&self) -> octowire::Result<EncryptedFileTokenStore> {
        let store = EncryptedFileTokenStore::open(
            self.own().join("tokens"),
            EncryptionKey::from_bytes([1; 32]),
        );
        Ok(store?.lock_wait(Duration::from_secs(1)))
    }

    fn disk(&self) -> octowire::Result<DiskStore> {
        DiskStore::open(self.own())
    }

    /// Writes the file before the fault.
    async fn prepare(&self, kind: FileKind) {
        match kind {
            FileKind::TokenFile | FileKind::TokenLock => self.save().await.unwrap(),
            FileKind::IdentityLock => {
                self.save().await.unwrap();
                fs::write(self.path(kind), "").unwrap();
                fs::set_permissions(self.path(kind), Permissions::from_mode(0o600)).unwrap();
            }
            FileKind::Journal => drop(DeliveryJournal::open(self.path(kind)).await.unwrap()),
            FileKind::CacheEntry | FileKind::DiskStoreLock => self.put().await.unwrap(),
            FileKind::Ledger => {
                let epoch = self.epoch().await.unwrap();
                assert!(!epoch.is_empty());
                *self.epoch.lock().unwrap() = Some(epoch);
            }
        }
        assert!(self.path(kind).exists(), "{kind:?}");
    }

    async fn save(&self) -> octowire::Result<()> {
        self.tokens()?.save(IDENTITY, &AccessToken::new("ghs_hunter2").unwrap()).await
    }

    async fn put(&self) -> octowire::Result<()> {
        let disk = self.disk()?;
        disk.put(CACHE_KEY, Bytes::from_static(b"value"), LONG).await?;
        disk.put_if_absent("other", Bytes::from_static(b"value"), LONG).await.map(drop)
    }

    async fn epoch(&self) -> octowire::Result<String> {
        static MEMBER: AtomicU32 = AtomicU32::new(0);
        let request = serde_json::json!({
            // By which an epoch is named, beside the time.
            "member": MEMBER.fetch_add(1, Ordering::Relaxed).to_string(),
            "join": { "members": 0 },
            "in_flight": 1,
            "queued": 1,
            "min_write_interval": 0,
        });
        let request: QuotaRequest = serde_json::from_value(request).unwrap();
        let lease = self.disk()?.lease(LEDGER_KEY, &request).await?.unwrap();
        Ok(serde_json::to_value(lease).unwrap()["epoch"].as_str().unwrap().to_owned())
    }

    /// Uses the file, and returns whether the written data is present.
    async fn is_there(&self, kind: FileKind) -> octowire::Result<bool> {
        match kind {
            FileKind::TokenFile => Ok(self.tokens()?.load(IDENTITY).await?.is_some()),
            FileKind::TokenLock => self.save().await.map(|()| true),
            FileKind::IdentityLock => self.tokens()?.lock(IDENTITY).await.map(|_| true),
            FileKind::Journal => DeliveryJournal::open(self.path(kind)).await.map(|_| true),
            FileKind::CacheEntry => Ok(self.disk()?.get(CACHE_KEY).await?.is_some()),
            FileKind::Ledger => Ok(Some(self.epoch().await?) == *self.epoch.lock().unwrap()),
            FileKind::DiskStoreLock => {
                self.disk()?.put_if_absent("new", Bytes::new(), LONG).await.map(|_| true)
            }
        }
    }

    /// The file that a followed link would have changed.
    fn bait(&self) -> PathBuf {
        self.root.join("bait")
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Does it to the file or its folder. Returns why it cannot be done here, if so.
fn inject(place: &TestFolder, kind: FileKind, fault: Fault) -> Result<(), &'static str> {
    const NOT_ROOT: &str = "only root can give a file to another user";
    let path = place.path(kind);
    let folder = path.parent().unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let replace = |act: &dyn Fn(&Path)| {
        fs::remove_file(&path).unwrap();
        act(&path);
    };
    match fault {
        Fault::Mode666 => set(&path, 0o666),
        Fault::Mode660 => set(&path, 0o660),
        Fault::Mode644 => set(&path, 0o644),
        Fault::Folder777 => set(folder, 0o777),
        Fault::Folder775 => set(folder, 0o775),
        Fault::Folder1777 => set(folder, 0o1777),
        Fault::OtherOwner => chown(&path, Some(12345), None).map_err(|_| NOT_ROOT)?,
        Fault::FolderOfOther => chown(folder, Some(12345), None).map_err(|_| NOT_ROOT)?,
        Fault::Link => {
            fs::rename(&path, place.bait()).unwrap();
            symlink(place.bait(), &path).unwrap();
        }
        Fault::DanglingLink => replace(&|path| symlink(place.bait(), path).unwrap()),
        Fault::FolderLink => {
            fs::rename(folder, place.bait()).unwrap();
            symlink(place.bait(), folder).unwrap();
        }
        Fault::Fifo => replace(&|path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        Fault::Socket => replace(&|path| {
            // The path of a socket has 107 bytes at most when it is bound.
            let short = place.root.join("s");
            drop(UnixListener::bind(&short).unwrap());
            fs::rename(short, path).unwrap();
        }),
        Fault::Folder => replace(&|path| fs::create_dir_all(path.join("content")).unwrap()),
        Fault::HardLink => fs::hard_link(&path, place.bait()).unwrap(),
    }
    Ok(())
}

async fn check(kind: FileKind, fault: Fault) {
    let place = TestFolder::new();
    place.prepare(kind).await;
    if let Err(reason) = inject(&place, kind, fault) {
        eprintln!("skipped: {kind:?} with {fault:?}: {reason}");
        return;
    }
    let (case, path) = (format!("{kind:?} with {fault:?}"), place.path(kind));
    let bait = || fs::read(place.bait()).ok();
    let (before, folder_before) = (bait(), mode(path.parent().unwrap()));
    let found = place.is_there(kind).await;
    let again = place.is_there(kind).await;
    match expected(kind, fault) {
        Outcome::Used => {
            assert!(found.unwrap() && again.unwrap(), "{case}");
            assert_eq!(mode(path.parent().unwrap()), folder_before, "{case}");
        }
        Outcome::Repaired => {
            assert!(found.unwrap(), "{case}");
            let folder = mode(path.parent().unwrap());
            assert_eq!(folder & 0o022, 0, "{case}: the folder has {folder:o}");
            if kind != FileKind::IdentityLock {
                assert_eq!(mode(&path), 0o600, "{case}");
            }
        }
        Outcome::Rejected(words) => {
            for outcome in [found, again] {
                let said = outcome.map(|_| ()).expect_err(&case).to_string();
                assert!(said.contains(words), "{case}: {said}");
                // The advice follows the cause.
                assert!(said.rsplit("; ").next().unwrap().len() > 20, "{case}: {said}");
            }
            assert_eq!(mode(path.parent().unwrap()), folder_before, "{case}");
        }
        Outcome::Removed => {
            assert!(!found.unwrap_or_else(|error| panic!("{case}: {error}")), "{case}");
            // And there is a new one, which is this user's.
            place.prepare(kind).await;
            assert!(place.is_there(kind).await.unwrap(), "{case}");
            assert_eq!(mode(&path), 0o600, "{case}");
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{case}");
            assert!(fs::symlink_metadata(path.parent().unwrap()).unwrap().is_dir(), "{case}");
        }
    }
    assert_eq!(bait(), before, "{case}: a link was followed");
    if fault == Fault::DanglingLink {
        assert!(!place.bait().exists(), "{case}: a file was made where a link pointed");
    }
}

#[test]
fn files_altered_by_other_users_are_repaired_rejected_or_removed() {
    for kind in KINDS {
        for fault in FAULTS {
            // In a thread of its own, since what opens a FIFO may never return.
            let (done, finished) = mpsc::channel();
            let case = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(check(kind, fault));
                done.send(()).unwrap();
            });
            match finished.recv_timeout(Duration::from_secs(20)) {
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("{kind:?} with {fault:?} hangs"),
                _ => case.join().unwrap(),
            }
        }
    }
}

/// The folder that the store creates.
#[test]
fn the_folder_of_the_store_is_not_shared() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let place = TestFolder::new();
        place.put().await.unwrap();
        let store = place.own().join("octowire-store");
        fs::set_permissions(&store, Permissions::from_mode(0o777)).unwrap();
        assert!(place.is_there(FileKind::CacheEntry).await.unwrap());
        assert_eq!(mode(&store), 0o755);

        // The library created it, so that a link in its place is foreign. Its target is not
        // changed.
        fs::rename(&store, place.bait()).unwrap();
        fs::set_permissions(place.bait(), Permissions::from_mode(0o777)).unwrap();
        symlink(place.bait(), &store).unwrap();
        let error = place.disk().unwrap_err();
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
        assert_eq!(mode(&place.bait()), 0o777);
        fs::remove_file(&store).unwrap();

        // The folder of the application can be one.
        let linked = place.root.join("linked");
        symlink(place.own(), &linked).unwrap();
        fs::rename(place.bait(), &store).unwrap();
        DiskStore::open(&linked).unwrap();
        fs::rename(&store, place.bait()).unwrap();
        symlink(place.root.join("absent"), &store).unwrap();
        let error = place.disk().unwrap_err();
        assert_eq!(error.kind(), octowire::ErrorKind::Configuration);
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
        assert!(!place.root.join("absent").exists());
        fs::remove_file(&store).unwrap();
        fs::rename(place.bait(), &store).unwrap();
        // Others could exchange it in a folder that they can write to.
        fs::set_permissions(place.own(), Permissions::from_mode(0o777)).unwrap();
        let error = place.disk().unwrap_err().to_string();
        assert!(error.contains("other users can write to it"), "{error}");
        assert_eq!(mode(&place.own()), 0o777);
        fs::set_permissions(place.own(), Permissions::from_mode(0o755)).unwrap();

        if chown(&store, Some(12345), None).is_err() {
            eprintln!("skipped: only root can give a folder to another user");
            return;
        }
        let error = place.disk().unwrap_err().to_string();
        assert!(error.contains("belongs to the user 12345"), "{error}");
    });
}

/// A bind mount of a user's folder, in a container that root runs, as Docker does by default.
#[test]
fn root_uses_folders_that_their_owner_and_a_group_can_write_to() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (mode, is_used) in [(0o755, true), (0o775, true), (0o2770, true), (0o777, false)] {
            let place = TestFolder::new();
            fs::create_dir_all(place.own()).unwrap();
            fs::set_permissions(place.own(), Permissions::from_mode(mode)).unwrap();
            if chown(place.own(), Some(12345), Some(12345)).is_err() {
                eprintln!("skipped: only root can give a folder to another user");
                return;
            }
            fs::set_permissions(place.own(), Permissions::from_mode(mode)).unwrap();
            let key = EncryptionKey::from_bytes([1; 32]);
            let tokens = EncryptedFileTokenStore::open(place.own().join("tokens"), key);
            let saved = match tokens {
                Ok(file) => file.save(IDENTITY, &AccessToken::new("ghs_hunter2").unwrap()).await,
                Err(error) => Err(error),
            };
            let journal = DeliveryJournal::open(place.own().join("x.journal")).await.map(drop);
            for outcome in [saved, journal, place.disk().map(drop)] {
                let said = outcome.map_or_else(|error| error.to_string(), |()| String::new());
                assert_eq!(said.is_empty(), is_used, "{mode:o}: {said}");
                // Its mode is wrong, and not its owner.
                assert_eq!(said.contains("other users can write to it"), !is_used, "{said}");
                assert!(!said.contains("belongs to"), "{said}");
            }
        }
    });
}

/// The result of each on a volume that does not show the real owner and modes.
#[test]
fn files_whose_owners_and_modes_are_not_real_are_used_on_request() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let place = TestFolder::new();
        let (tokens, journal) = (place.own().join("tokens"), place.path(FileKind::Journal));
        let trusting = async |trusted| -> octowire::Result<()> {
            let key = EncryptionKey::from_bytes([1; 32]);
            let file = EncryptedFileTokenStore::builder(&tokens, key)
                .trust_file_permissions(trusted)
                .open()?;
            file.save(IDENTITY, &AccessToken::new("ghs_hunter2").unwrap()).await?;
            assert!(file.load(IDENTITY).await?.is_some());
            let disk = DiskStore::builder(place.own()).trust_file_permissions(trusted).open()?;
            disk.put(CACHE_KEY, Bytes::from_static(b"value"), LONG).await?;
            assert!(disk.get(CACHE_KEY).await?.is_some());
            DeliveryJournal::builder(&journal)
                .trust_file_permissions(trusted)
                .open()
                .await
                .map(drop)
        };
        trusting(true).await.unwrap();
        let files =
            [&tokens, &journal, &place.value(CACHE_KEY), &place.path(FileKind::DiskStoreLock)];
        let store = place.own().join("octowire-store");
        for path in files.into_iter().chain([&place.own(), &store]) {
            fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
            if chown(path, Some(12345), None).is_err() {
                eprintln!("not tested: only root can give a file to another user");
            }
        }
        trusting(true).await.unwrap();
        assert_eq!(mode(&place.own()), 0o777);
        assert_eq!(mode(&journal), 0o777);
        let error = trusting(false).await.unwrap_err().to_string();
        assert!(error.contains("trust_file_permissions(true)"), "{error}");
        // Links are refused all the same.
        fs::rename(&journal, place.bait()).unwrap();
        symlink(place.bait(), &journal).unwrap();
        let error = trusting(true).await.unwrap_err().to_string();
        assert!(error.contains("is a symbolic link"), "{error}");
    });
}
