//! Tokens in an encrypted file, for several processes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::entries::{Entries, drop_expired, from_json, to_json};
use super::lock::{FileLock, LockFileCleanup};
use super::seal::{EncryptionKey, SealError};
use super::{TokenStore, TokenStoreFuture, TokenStoreLock};
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::policy::at_least_half;
use crate::policy::auth::token::AccessToken;
use crate::util::ids::hex;
use crate::util::private_files::{
    Durability, FileRole, FolderRole, Permissions, PrivateFolder, fault, warn_if_trusted,
};

/// Tokens in one encrypted file, which the processes of one user on one machine can share.
///
/// They outlive a restart, and a token that several processes need is requested once. The file is encrypted with
/// AES-256-GCM as a whole: without the [`EncryptionKey`] neither tokens nor identities can be read, and a changed file is
/// an error. It is replaced atomically, so that a crash leaves the old tokens or the new ones. An error never alters
/// the file.
///
/// On Unix, only the user of the process can read the file (mode 0600); if other users can, that is repaired, with a
/// warning. A file that belongs to another user, is a symbolic link, has a second name (a hard link) or is not a
/// regular file is rejected. So is a folder that all users can write to, or that belongs to another user than this one
/// and root; if root runs the process, the folder of any user is accepted that only this user can write to. The folder
/// itself is never changed, and can be a symbolic link. If the file system does not show the real owners and modes, see
/// [`trust_file_permissions`](EncryptedFileTokenStoreBuilder::trust_file_permissions).
///
/// While they are needed, it has `….lock` files and a `….tmp` beside it. The folder has to be on a file system that
/// supports locks: a local one, or some network ones.
///
/// The maximum size of the file is 16 MiB, which is tens of thousands of tokens. Each save removes tokens that have
/// expired, by the local clock, and cannot be refreshed.
///
/// ```
/// use octowire::Client;
/// use octowire::auth::{App, EncryptedFileTokenStore, EncryptionKey};
///
/// # fn example(app: App) -> octowire::Result<()> {
/// let key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
/// let store = EncryptedFileTokenStore::open("/var/lib/bot/tokens", key)?;
/// let client = Client::builder().auth(app.installation(42)).token_store(store).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptedFileTokenStore {
    location: Arc<FileLocation>,
    lock_wait: Duration,
}

/// The settings of an [`EncryptedFileTokenStore`]: [`EncryptedFileTokenStore::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder opens nothing until `open` is called"]
pub struct EncryptedFileTokenStoreBuilder {
    path: PathBuf,
    key: EncryptionKey,
    lock_wait: Duration,
    permissions: Permissions,
}

struct FileLocation {
    path: PathBuf,
    folder: PathBuf,
    name: OsString,
    key: EncryptionKey,
    permissions: Permissions,
}

/// Maximum size of the file: tens of thousands of tokens.
const MAX_BYTES: u64 = 16 << 20;

/// The default lock timeout: longer than a token request takes with the default policy and time limits, three attempts
/// of 30 seconds each.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(100);
/// The delays between two attempts to lock: they double from the first to the longest.
const INITIAL_BACKOFF: Duration = Duration::from_millis(4);
const MAX_BACKOFF: Duration = Duration::from_millis(64);
/// The name to which the encryption of the file is bound, so that no other encrypted data is accepted for it.
const ASSOCIATED_NAME: &str = "token file";

/// The outcome of an attempt to lock.
enum LockAttempt<T, A> {
    Done(T),
    /// Another holder has the lock. Contains the unused closure.
    Busy(A),
}

impl EncryptedFileTokenStore {
    /// Opens the store in this file, which is created when the first token is saved. Its folder has to exist. The file
    /// is read at once, so that errors show at the start.
    ///
    /// # Errors
    /// By [`AuthFailure`](crate::policy::auth::AuthFailure): `StoreKey` if the file is encrypted with another key,
    /// `StoreTruncated` if it is truncated, `StoreTampered` if it was changed or is another file, `StoreVersion` if a
    /// later version of this library wrote it, and `Store` if it cannot be read.
    pub fn open(path: impl AsRef<Path>, key: EncryptionKey) -> Result<Self> {
        Self::builder(path, key).open()
    }

    /// Returns a builder of a store in this file, with more settings.
    pub fn builder(path: impl AsRef<Path>, key: EncryptionKey) -> EncryptedFileTokenStoreBuilder {
        EncryptedFileTokenStoreBuilder {
            path: path.as_ref().to_owned(),
            key,
            lock_wait: LOCK_WAIT,
            permissions: Permissions::Checked,
        }
    }

    /// Sets how long the store waits for a lock that another process, or another client, holds. By default 100 seconds.
    /// After that, a token that can be requested without the store is; for any other the call fails.
    #[must_use]
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    /// Reads the file, changes its content, and replaces the file: one writer at a time, so that no process overwrites
    /// another's change.
    async fn change(&self, act: impl FnOnce(&mut Entries) + Send + 'static) -> Result<()> {
        let name = self.location.sibling(".lock");
        self.with_lock(name, LockFileCleanup::Keep, move |place, lock| {
            let mut entries = place.read()?;
            act(&mut entries);
            let outcome = place.write(&entries);
            // Held to here, even if no caller waits for the outcome any longer.
            drop(lock);
            outcome
        })
        .await
    }

    /// Waits for a lock, and uses it in the same job: so a task that is not polled any longer does not hold the lock.
    /// Nothing blocks meanwhile, so a call that is dropped leaves no thread behind.
    async fn with_lock<T, A>(&self, name: OsString, lasts: LockFileCleanup, act: A) -> Result<T>
    where
        T: Send + 'static,
        A: FnOnce(&FileLocation, FileLock) -> Result<T> + Send + 'static,
    {
        let start = Instant::now();
        let mut pause = INITIAL_BACKOFF;
        let mut act = act;
        loop {
            let tried = name.clone();
            let attempt = self.blocking(move |place| {
                let taken =
                    place.folder().and_then(|folder| FileLock::try_take(folder, &tried, lasts));
                match taken.map_err(|error| place.failed("locked", error))? {
                    Some(lock) => act(place, lock).map(LockAttempt::Done),
                    None => Ok(LockAttempt::Busy(act)),
                }
            });
            match attempt.await? {
                LockAttempt::Done(done) => return Ok(done),
                LockAttempt::Busy(again) => act = again,
            }
            let left = self.lock_wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                let path = self.location.folder.join(name);
                return Err(AuthFailure::Store.error(
                    format!("cannot lock {}: timed out after {:?}", path.display(), self.lock_wait),
                    "another process is refreshing a token or hangs: find the process that has \
                     this file open, or increase lock_wait",
                ));
            }
            sleep(at_least_half(pause).min(left)).await;
            pause = pause.saturating_mul(2).min(MAX_BACKOFF);
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&FileLocation) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.location);
        let done = tokio::task::spawn_blocking(move || act(&place)).await;
        done.unwrap_or_else(|error| Err(self.location.failed("accessed", io::Error::other(error))))
    }
}

impl EncryptedFileTokenStoreBuilder {
    /// Sets the lock timeout, as [`EncryptedFileTokenStore::lock_wait`] does; 100 seconds by default.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    /// Sets whether the owners and modes of the file and its folder are ignored; `false` by default.
    ///
    /// This is for file systems that do not show the real owners and modes: CIFS mounts of mode 0777, and NFS with
    /// `root_squash`. Other users with write access to the folder can then replace the file with an older one. Modes
    /// are not repaired, so users with read access to the file see its encrypted content. The store logs one warning
    /// about it. Links in place of the file are still rejected. The file is created with the mode 0600: a process with
    /// another user id, as pods on OpenShift can get with each start, cannot open it on file systems with real owners.
    pub fn trust_file_permissions(mut self, trusted: bool) -> Self {
        self.permissions = Permissions::trusted(trusted);
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As for [`EncryptedFileTokenStore::open`].
    pub fn open(self) -> Result<EncryptedFileTokenStore> {
        let place = FileLocation::new(&self.path, self.key, self.permissions)?;
        warn_if_trusted(&place.path, place.permissions);
        place.read()?;
        Ok(EncryptedFileTokenStore { location: Arc::new(place), lock_wait: self.lock_wait })
    }
}

impl TokenStore for EncryptedFileTokenStore {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        // Without a lock: the file is replaced atomically.
        Box::pin(async move { Ok(self.blocking(FileLocation::read).await?.remove(key)) })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        let (key, token) = (key.to_owned(), token.clone());
        Box::pin(self.change(move |entries| {
            drop_expired(entries);
            entries.insert(key, token);
        }))
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        let key = key.to_owned();
        Box::pin(self.change(move |entries| {
            entries.remove(&key);
        }))
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        // A digest, since a key can contain characters that a file name cannot.
        let digest = hex(&Sha256::digest(key)[..8]);
        let name = self.location.sibling(&format!(".{digest}.lock"));
        Box::pin(async move {
            Ok(TokenStoreLock::new(
                self.with_lock(name, LockFileCleanup::Remove, |_, lock| Ok(lock)).await?,
            ))
        })
    }
}

impl fmt::Debug for EncryptedFileTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedFileTokenStore")
            .field("path", &self.location.path)
            .field("key", &self.location.key)
            .finish_non_exhaustive()
    }
}

impl FileLocation {
    fn new(path: &Path, key: EncryptionKey, permissions: Permissions) -> Result<Self> {
        // Absolute, since the process might change its working directory.
        let absolute = std::path::absolute(path);
        let path = absolute.as_deref().unwrap_or(path).to_owned();
        let name = path.file_name().map(OsStr::to_owned);
        let folder = path.parent().map(Path::to_owned);
        let (Some(name), Some(folder), Ok(_)) = (name, folder, absolute) else {
            let message = format!("invalid token store path {}: not a file path", path.display());
            return Err(AuthFailure::Store.error(message, "name a file in an existing folder"));
        };
        Ok(Self { path, folder, name, key, permissions })
    }

    fn folder(&self) -> io::Result<PrivateFolder> {
        PrivateFolder::open(&self.folder, FolderRole::Given, self.permissions)
    }

    /// Returns the name of a file beside this one.
    fn sibling(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }

    fn read(&self) -> Result<Entries> {
        let sealed = self
            .folder()
            .and_then(|folder| folder.read(&self.name, FileRole::TokenFile, MAX_BYTES))
            .map_err(|error| self.failed("read", error))?;
        let Some(sealed) = sealed else { return Ok(Entries::new()) };
        let json =
            self.key.open(ASSOCIATED_NAME, &sealed).map_err(|broken| self.corrupt_error(broken))?;
        // Encrypted with the right key, and yet not a content that this library writes: another program has the key.
        from_json(&json).ok_or_else(|| self.corrupt_error(SealError::Tampered))
    }

    fn write(&self, entries: &Entries) -> Result<()> {
        let failed = |error| self.failed("written", error);
        let json = to_json(entries).map_err(|error| failed(error.into()))?;
        let sealed =
            self.key.seal(ASSOCIATED_NAME, &json).map_err(|broken| self.corrupt_error(broken))?;
        if sealed.len() as u64 > MAX_BYTES {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        // One draft, since only one writer at a time holds the lock.
        self.folder()
            .and_then(|folder| {
                let draft = self.sibling(".tmp");
                folder.replace(&self.name, draft, &sealed, Durability::Synced)
            })
            .map_err(failed)
    }

    fn corrupt_error(&self, broken: SealError) -> Error {
        broken.error(&self.name(), &self.key)
    }

    fn failed(&self, done: &str, error: io::Error) -> Error {
        let fault_advice = fault(&error).map(|fault| fault.advice());
        let advice = fault_advice.unwrap_or_else(|| match error.kind() {
            io::ErrorKind::NotFound => "create its parent folder",
            io::ErrorKind::PermissionDenied => {
                "grant the user of this process write access to the file and its folder"
            }
            io::ErrorKind::ReadOnlyFilesystem => "move it to a writable file system",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free disk space",
            io::ErrorKind::FileTooLarge => {
                "the limit is 16 MiB: check the path, or use a separate file for each identity"
            }
            io::ErrorKind::Unsupported => {
                "move it to a local file system; this one does not support locks"
            }
            _ => "check the path and its file system",
        });
        let message = format!("{} cannot be {done}: {error}", self.name());
        AuthFailure::Store.error(message, advice).with_source(error)
    }

    fn name(&self) -> String {
        format!("the token store {}", self.path.display())
    }
}
