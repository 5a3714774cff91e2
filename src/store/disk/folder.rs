//! The folder of the store: the values in it, one at a time.

use std::fs::File;
use std::io::{self, ErrorKind as IoErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tracing::warn;

use super::lock::FolderLock;
use super::value::{self, Value};
use crate::error::Error;
use crate::runtime::PerRuntime;
use crate::store::unreadable::TOO_LARGE;
use crate::time::clock;
use crate::util::ids::hex;
use crate::util::private_files::{
    Access, Durability, FileRole, FolderRole, Permissions, PrivateFolder, fault, should_warn,
};

#[derive(Debug)]
pub(super) struct DiskInner {
    /// The folder that the application named. The store is in a folder of its own in it.
    pub(super) parent: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) permissions: Permissions,
    /// The bytes that this process has written since it last measured the size.
    pub(super) written_bytes: AtomicU64,
    /// Whether a task removes values.
    pub(super) is_evicting: AtomicBool,
    /// Held by the call that takes the lock. A call does not wait for a task of another runtime, which might not be
    /// polled: the lock itself excludes it.
    pub(super) lock_turn: PerRuntime<Arc<Mutex<()>>>,
}

/// The divisor of the bound: this part can be written before a process measures the size.
const EVICTION_CHECK_FRACTION: u64 = 16;
/// The shortest interval in which a read marks a value as used.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// An emptied value, and the marker of a replaced shard, stay for longer than the longest window of a budget.
pub(super) const TOMBSTONE_TTL: Duration = Duration::from_secs(32 * 24 * 60 * 60);
/// The name of the store's folder in the given one.
pub(super) const SUBFOLDER: &str = "octowire-store";
const LOST_PREFIX: &str = "possibly lost with its folder";

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum UnreadableReason {
    /// There is a value, with this problem.
    Damaged(&'static str),
    /// There can have been a sum in the shard that was lost at this time.
    Lost(SystemTime),
}

pub(super) type ReadResult = std::result::Result<Option<Value>, UnreadableReason>;

impl UnreadableReason {
    pub(super) fn problem(self) -> &'static str {
        match self {
            Self::Damaged(problem) => problem,
            Self::Lost(_) => LOST_PREFIX,
        }
    }

    pub(super) fn error(self) -> Error {
        match self {
            Self::Damaged(problem) => Error::unreadable_value(problem),
            Self::Lost(at) => Error::lost_value(LOST_PREFIX, at),
        }
    }
}

/// The kind of value that is looked up for a key. It decides the meaning of the loss of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// A sum, which does not begin at zero if it can have been lost.
    Sum,
    /// Any other value. A store can drop it, so that a lost one is absent.
    Other,
}

impl DiskInner {
    /// Returns the value of a key, or the report of a value that cannot be read. That value is left unchanged.
    pub(super) fn find(&self, key: &str, kind: ValueKind) -> io::Result<ReadResult> {
        self.find_within(key, self.max_bytes, kind)
    }

    /// Looks up a value; one with more than this number of bytes cannot be read.
    pub(super) fn find_within(
        &self,
        key: &str,
        max_bytes: u64,
        kind: ValueKind,
    ) -> io::Result<ReadResult> {
        match self.root() {
            Err(error) if error.kind() == IoErrorKind::NotFound => Ok(Ok(None)),
            root => Self::find_in(&root?, key, max_bytes, kind),
        }
    }

    fn find_in(
        root: &PrivateFolder,
        key: &str,
        max_bytes: u64,
        kind: ValueKind,
    ) -> io::Result<ReadResult> {
        let (shard_name, name) = value_path(key);
        let shard = match root.subfolder(&shard_name, false) {
            Err(error) if fault(&error).is_some() => {
                warn_not_trusted(&error);
                return match kind {
                    ValueKind::Sum => Ok(Err(UnreadableReason::Lost(lost_at(root, &shard_name)))),
                    ValueKind::Other if root.sees_entry(&shard_name, &name) => {
                        Ok(Err(UnreadableReason::Damaged("in an untrusted folder")))
                    }
                    ValueKind::Other => Ok(Ok(None)),
                };
            }
            opened => opened?,
        };
        let Some(shard) = shard else { return absent_value(root, &shard_name, kind) };
        let mut file = match shard.file(&name, FileRole::StoreValue, Access::Read) {
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                return absent_value(root, &shard_name, kind);
            }
            Err(error) if fault(&error).is_some() => {
                warn_not_trusted(&error);
                return Ok(Err(UnreadableReason::Damaged("untrusted")));
            }
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let others = value::HEADER.saturating_add(key.len()) as u64;
        let most = max_bytes.saturating_add(others);
        if metadata.len() > most {
            return Ok(Err(UnreadableReason::Damaged(TOO_LARGE)));
        }
        let length = usize::try_from(metadata.len()).unwrap_or_default();
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length)?;
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        let Some(value) = Value::decode(&bytes, key) else {
            return Ok(Err(UnreadableReason::Damaged("damaged")));
        };
        let value = Some(value).filter(|value| value.expires_at_ms > now());
        let since = metadata.modified().ok().and_then(|used| used.elapsed().ok());
        if value.is_some() && since.is_some_and(|since| since > TOUCH_INTERVAL) {
            // If this fails, the value can be evicted too early.
            let _ = shard
                .file(&name, FileRole::StoreValue, Access::Write)
                .and_then(|file| file.set_modified(SystemTime::now()));
        }
        Ok(Ok(value))
    }

    /// Writes a value to a draft, without the lock. Returns `None` if it exceeds the bound of the store.
    pub(super) fn write_temp(
        &self,
        key: &str,
        value: &[u8],
        until: u64,
    ) -> io::Result<Option<TempFile>> {
        self.write_temp_in(&Arc::new(self.create_root()?), key, value, until)
    }

    fn write_temp_in(
        &self,
        root: &Arc<PrivateFolder>,
        key: &str,
        value: &[u8],
        until: u64,
    ) -> io::Result<Option<TempFile>> {
        let bytes = value::encode(key, value, until);
        let is_too_large = bytes.len() as u64 > self.max_bytes;
        if is_too_large { Ok(None) } else { TempFile::write(root, &bytes).map(Some) }
    }

    /// Moves a value to its place. If the value was too large, removes the existing one.
    pub(super) fn commit(
        &self,
        lock: &FolderLock,
        key: &str,
        draft: Option<TempFile>,
    ) -> io::Result<()> {
        let Some(draft) = draft else { return Self::remove(lock, key) };
        let (shard, name) = value_path(key);
        let shard = match lock.root.subfolder(&shard, true) {
            Err(error) if fault(&error).is_some() => replace_shard(&lock.root, &shard, &error)?,
            opened => opened?,
        };
        let shard = shard.ok_or(IoErrorKind::NotFound)?;
        let bytes = draft.bytes;
        match draft.move_to(&shard, &name) {
            Ok(()) => {}
            Err((draft, error)) if error.kind() == IoErrorKind::IsADirectory => {
                discard(&shard, &name, &error);
                draft.move_to(&shard, &name).map_err(|(_, error)| error)?;
            }
            Err((_, error)) => return Err(error),
        }
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn root(&self) -> io::Result<PrivateFolder> {
        let given = PrivateFolder::open(&self.parent, FolderRole::Given, self.permissions)?;
        given.subfolder(SUBFOLDER, false)?.ok_or_else(|| IoErrorKind::NotFound.into())
    }

    pub(super) fn create_root(&self) -> io::Result<PrivateFolder> {
        let given = PrivateFolder::create(&self.parent, FolderRole::Given, self.permissions)?;
        given.subfolder(SUBFOLDER, true)?.ok_or_else(|| IoErrorKind::NotFound.into())
    }

    /// Returns whether values have to be removed and no other task does so.
    pub(super) fn needs_eviction(&self) -> bool {
        let much =
            self.written_bytes.load(Ordering::Relaxed) > self.max_bytes / EVICTION_CHECK_FRACTION;
        much && !self.is_evicting.swap(true, Ordering::AcqRel)
    }

    pub(super) fn remove(lock: &FolderLock, key: &str) -> io::Result<()> {
        let (shard, name) = value_path(key);
        match lock.root.subfolder(&shard, false) {
            Ok(Some(shard)) => shard.discard(&name),
            Ok(None) => Ok(()),
            // Its values are not trusted anyway.
            Err(error) if fault(&error).is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a value if it equals this one. Returns whether it was equal.
    pub(super) fn release(&self, lock: &FolderLock, key: &str, value: &[u8]) -> io::Result<bool> {
        let found = Self::find_in(&lock.root, key, self.max_bytes, ValueKind::Other)?;
        let is_it = found.unwrap_or_default().is_some_and(|found| found.bytes == value);
        if is_it {
            Self::remove(lock, key)?;
        }
        Ok(is_it)
    }

    /// Changes a value while the store is locked. `change` returns the new value and its expiry, or `None` to leave it
    /// unchanged.
    pub(super) fn change<T>(
        &self,
        lock: &FolderLock,
        key: &str,
        change: impl FnOnce(Option<Value>) -> (Option<(Vec<u8>, u64)>, T),
    ) -> io::Result<T> {
        self.change_value(lock, key, ValueKind::Other, |found| change(found.unwrap_or_default()))
    }

    /// Changes a value, depending on whether it cannot be read.
    pub(super) fn change_value<T>(
        &self,
        lock: &FolderLock,
        key: &str,
        kind: ValueKind,
        change: impl FnOnce(ReadResult) -> (Option<(Vec<u8>, u64)>, T),
    ) -> io::Result<T> {
        let (value, result) = change(Self::find_in(&lock.root, key, self.max_bytes, kind)?);
        if let Some((value, until)) = value {
            let draft = self.write_temp_in(&lock.root, key, &value, until)?;
            self.commit(lock, key, draft)?;
        }
        Ok(result)
    }
}

/// A value that is written but not in its place yet. If it is not moved there, it is removed.
#[derive(Debug)]
pub(super) struct TempFile {
    root: Arc<PrivateFolder>,
    name: String,
    bytes: u64,
    is_committed: bool,
}

impl TempFile {
    fn write(root: &Arc<PrivateFolder>, bytes: &[u8]) -> io::Result<Self> {
        let name = temp_name()?;
        root.write_temp(&name, bytes, Durability::Deferred)?;
        Ok(Self { root: Arc::clone(root), name, bytes: bytes.len() as u64, is_committed: false })
    }

    fn move_to(mut self, shard: &PrivateFolder, name: &str) -> Result<(), (Self, io::Error)> {
        match self.root.move_to(&self.name, shard, name) {
            Ok(()) => {
                self.is_committed = true;
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = self.root.remove(&self.name);
        }
    }
}

/// Returns the place of a key's value: the names of a folder and a file, which do not disclose the key.
pub(super) fn value_path(key: &str) -> (String, String) {
    let mut shard = hex(Sha256::digest(key));
    let name = shard.split_off(2);
    (shard, name)
}

/// Returns the name of a draft, which no other process and no other store here uses.
pub(super) fn temp_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{}.tmp", hex(random)))
}

/// Replaces a shard that is not trusted by a new folder. Its content is unknown, so that a marker with the time of the
/// loss is written first: while the marker exists, no sum that can have been lost begins at zero again, even if the
/// replacement is interrupted.
fn replace_shard(
    root: &PrivateFolder,
    name: &str,
    reason: &io::Error,
) -> io::Result<Option<PrivateFolder>> {
    let lost_at = lost_at(root, name);
    root.replace(marker(name), temp_name()?, b"", Durability::Deferred)?;
    // If this fails, the time of the marker is later than necessary.
    let _ = root
        .file(marker(name), FileRole::StoreValue, Access::Write)
        .and_then(|file| file.set_modified(lost_at));
    discard(root, name, reason);
    root.subfolder(name, true)
}

/// Returns the latest time at which this user can have put a value into a shard that is not trusted now: that of its
/// last change, since values are moved into it.
fn lost_at(root: &PrivateFolder, shard: &str) -> SystemTime {
    let now = SystemTime::now();
    root.changed_at(shard).map_or(now, |at| at.min(now))
}

/// The name of the file that shows that a shard was replaced, beside it.
pub(super) fn marker(shard: &str) -> String {
    format!("{shard}.replaced")
}

/// Returns the result for a value that is absent. A sum can have been in a shard that was replaced.
fn absent_value(root: &PrivateFolder, shard: &str, kind: ValueKind) -> io::Result<ReadResult> {
    if kind == ValueKind::Other {
        return Ok(Ok(None));
    }
    match root.file(marker(shard), FileRole::StoreValue, Access::Read) {
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(Ok(None)),
        Err(error) if fault(&error).is_none() => Err(error),
        // The next removal of values replaces it.
        Err(_) => Ok(Err(UnreadableReason::Lost(SystemTime::now()))),
        Ok(file) if age(&file) > TOMBSTONE_TTL => Ok(Ok(None)),
        Ok(file) => Ok(Err(UnreadableReason::Lost(file.metadata()?.modified()?))),
    }
}

pub(super) fn age(file: &File) -> Duration {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

/// Removes a file or folder that is not trusted, while the store is locked.
fn discard(folder: &PrivateFolder, name: &str, reason: &io::Error) {
    match folder.discard(name) {
        Ok(()) => warn!(%reason, "untrusted disk store entry removed"),
        Err(error) => warn!(%reason, %error, "removing an untrusted disk store entry failed"),
    }
}

/// Logs a warning about a file or folder that is not used.
pub(super) fn warn_not_trusted(reason: &io::Error) {
    if should_warn(fault(reason).map_or(Path::new("disk store"), |fault| fault.path())) {
        warn!(%reason, "untrusted disk store entry ignored");
    }
}

/// Returns the milliseconds since 1970.
pub(super) fn now() -> u64 {
    clock::unix_millis(SystemTime::now())
}

/// Returns whether a name consists of this number of hexadecimal digits.
pub(super) fn is_hex(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn after(ttl: Duration) -> u64 {
    now().saturating_add(clock::millis(ttl))
}
