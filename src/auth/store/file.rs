//! Tokens in an encrypted file, for several processes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::disk;
use super::entries::{Entries, drop_spent, from_json, to_json};
use super::lock::{FileLock, Lasts};
use super::seal::{Broken, SealingKey};
use super::{StoreFuture, StoreLock, TokenStore};
use crate::auth::failure::AuthFailure;
use crate::auth::policy::some_of;
use crate::auth::token::AccessToken;
use crate::error::{Error, Result};
use crate::names::hex;

/// Tokens in one encrypted file, which the processes of one user on one machine may share.
///
/// They outlive a restart, and a token that several processes need is minted once. The file is
/// sealed by AES-256-GCM as a whole: without the [`SealingKey`] neither a token nor whose it is can
/// be read, and what was changed is an error. It is replaced in one step, so that a crash leaves
/// the old tokens or the new ones; only its owner may read it (mode 0600), and one that others may
/// read is mended when it is opened, with a warning. An error never alters the file.
///
/// Beside it there are, while they are needed, `….lock` files and a `….tmp`. The folder has to be
/// on a file system that knows locks: a local one, not every network one.
///
/// The file holds 16 MiB at most, which are tens of thousands of tokens. Whenever a token is saved,
/// those are forgotten that have ended, by this machine's clock, and can not be renewed.
///
/// ```
/// use octowire::Client;
/// use octowire::auth::{App, EncryptedFile, SealingKey};
///
/// # fn example(app: App) -> octowire::Result<()> {
/// let key = SealingKey::from_env("OCTOWIRE_STORE_KEY")?;
/// let store = EncryptedFile::open("/var/lib/bot/tokens", key)?;
/// let client = Client::builder().auth(app.installation(42)).token_store(store).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptedFile {
    place: Arc<Place>,
    lock_wait: Duration,
}

struct Place {
    path: PathBuf,
    key: SealingKey,
}

/// How long a lock is waited for, unless the application says otherwise: longer than a token takes
/// to be minted by the default policy and time limits, three attempts of 30 seconds each.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(100);
/// The pauses between two attempts at a lock: they double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// What the file is sealed under: no seal of another use is taken for it.
const SEALED_AS: &str = "token file";

impl EncryptedFile {
    /// The store in this file, which is made when the first token is saved. Its folder has to be
    /// there. This reads the file at once, so that what is wrong with it shows at the start.
    ///
    /// # Errors
    /// By [`AuthFailure`](crate::auth::AuthFailure): `StoreKey` if the file is sealed with another
    /// key, `StoreTruncated` if its end is missing, `StoreTampered` if it was changed or is another
    /// file, `StoreVersion` if a later version of this library wrote it, and `Store` if it can not
    /// be read.
    pub fn open(path: impl AsRef<Path>, key: SealingKey) -> Result<Self> {
        let path = path.as_ref();
        let place = match disk::resolve(path) {
            Ok(path) => Place { path, key },
            Err(error) => {
                let place = Place { path: path.to_owned(), key };
                return Err(place.failed("found", error));
            }
        };
        place.read()?;
        let shown = place.path.display();
        match disk::make_private(&place.path) {
            Ok(false) => {}
            Ok(true) => warn!(path = %shown, "others could read the token store: not any more"),
            Err(error) => warn!(path = %shown, %error, "others can read the token store"),
        }
        Ok(Self { place: Arc::new(place), lock_wait: LOCK_WAIT })
    }

    /// How long a lock is waited for that another process, or another client, holds. By default
    /// 100 seconds. When they are over, a token that can be minted without the store is; for any
    /// other the call fails.
    #[must_use]
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    /// Reads the file, changes what was read, and replaces the file: one at a time, so that no
    /// process undoes what another has done.
    async fn change(&self, act: impl FnOnce(&mut Entries) + Send + 'static) -> Result<()> {
        let lock = self.take_lock(disk::sibling(&self.place.path, ".lock"), Lasts::Stays).await?;
        self.blocking(move |place| {
            let mut entries = place.read()?;
            act(&mut entries);
            let outcome = place.write(&entries);
            // Held to here, even if nobody waits for the outcome any more.
            drop(lock);
            outcome
        })
        .await
    }

    /// Waits for a lock. Nothing blocks meanwhile, so a call that is dropped leaves no thread
    /// behind.
    async fn take_lock(&self, path: PathBuf, lasts: Lasts) -> Result<FileLock> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = path.clone();
            let taken = self.blocking(move |place| {
                FileLock::try_take(&tried, lasts).map_err(|error| place.failed("locked", error))
            });
            if let Some(lock) = taken.await? {
                return Ok(lock);
            }
            let left = self.lock_wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(AuthFailure::Store.error(
                    format!("{} was locked for {:?}", path.display(), self.lock_wait),
                    "another process mints a token or hangs: find out which one has this file \
                     open, or wait longer by lock_wait",
                ));
            }
            // Some of it by chance, so that many who wait do not try at once.
            let half = pause.checked_div(2).unwrap_or_default();
            sleep(half.saturating_add(some_of(half)).min(left)).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Place) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.place);
        let done = tokio::task::spawn_blocking(move || act(&place)).await;
        done.unwrap_or_else(|error| Err(self.place.failed("worked on", io::Error::other(error))))
    }
}

impl TokenStore for EncryptedFile {
    fn load<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<AccessToken>> {
        // Without a lock: the file is replaced in one step.
        Box::pin(async move { Ok(self.blocking(Place::read).await?.remove(key)) })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> StoreFuture<'a, ()> {
        let (key, token) = (key.to_owned(), token.clone());
        Box::pin(self.change(move |entries| {
            drop_spent(entries);
            entries.insert(key, token);
        }))
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        let key = key.to_owned();
        Box::pin(self.change(move |entries| {
            entries.remove(&key);
        }))
    }

    fn lock<'a>(&'a self, key: &'a str) -> StoreFuture<'a, StoreLock> {
        // A digest, since a key may hold what no name of a file can.
        let digest = hex(&Sha256::digest(key)[..8]);
        let path = disk::sibling(&self.place.path, &format!(".{digest}.lock"));
        Box::pin(async move { Ok(StoreLock::new(self.take_lock(path, Lasts::Goes).await?)) })
    }
}

impl fmt::Debug for EncryptedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedFile")
            .field("path", &self.place.path)
            .field("key", &self.place.key)
            .finish_non_exhaustive()
    }
}

impl Place {
    fn read(&self) -> Result<Entries> {
        let sealed = disk::read(&self.path).map_err(|error| self.failed("read", error))?;
        let Some(sealed) = sealed else { return Ok(Entries::new()) };
        let json = self.key.open(SEALED_AS, &sealed).map_err(|broken| self.broken(broken))?;
        // Sealed, and yet nothing that is written here: by who else has the key.
        from_json(&json).ok_or_else(|| self.broken(Broken::Tampered))
    }

    fn write(&self, entries: &Entries) -> Result<()> {
        let failed = |error| self.failed("written", error);
        let json = to_json(entries).map_err(|error| failed(error.into()))?;
        let sealed = self.key.seal(SEALED_AS, &json).map_err(|broken| self.broken(broken))?;
        disk::replace(&self.path, &sealed).map_err(failed)
    }

    fn broken(&self, broken: Broken) -> Error {
        broken.error(&self.name(), &self.key)
    }

    fn failed(&self, done: &str, error: io::Error) -> Error {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "make the folder that it is to be in",
            io::ErrorKind::PermissionDenied => {
                "let the user of this process write the file and its folder"
            }
            io::ErrorKind::ReadOnlyFilesystem => "put it on a file system that can be written",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
            io::ErrorKind::FileTooLarge => {
                "16 MiB are the limit: check the path, or give each identity a file of its own"
            }
            io::ErrorKind::Unsupported => "put it on a local file system: this one knows no locks",
            _ => "check the path and the file system it is on",
        };
        let message = format!("{} could not be {done}: {error}", self.name());
        AuthFailure::Store.error(message, advice).with_source(error)
    }

    fn name(&self) -> String {
        format!("the token store {}", self.path.display())
    }
}
