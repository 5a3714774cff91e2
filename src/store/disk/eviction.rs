//! Eviction in the disk store: expired values, abandoned temporary files, and values above the bound.
//!
//! A value that cannot be read is not removed but emptied: it can be a sum, which must not begin at zero again in the
//! budget's window. A value of another version of the format stays, and counts. Before a file is removed, it is opened
//! and judged again under the lock of the store, since other processes write at the same time.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tracing::warn;

use super::folder::{
    DiskInner, TOMBSTONE_TTL, age, is_hex, marker, now, temp_name, warn_not_trusted,
};
use super::lock::FolderLock;
use super::value::{self, ValueHeader};
use crate::util::private_files::{Access, Durability, FileRole, PrivateFolder, fault, should_warn};

/// A draft of this age is not in use: its writer moves it to its place after it has waited for the lock for a second at
/// most.
pub(super) const ABANDONED_AGE: Duration = Duration::from_secs(5 * 60);
/// The minimum size in bytes for which a file counts, so that the bound of bytes is also a bound of files.
const MIN_FILE_BYTES: u64 = 256;
/// The maximum size in bytes of a sum or claim, with its key. Such values are evicted last, and are verified before
/// they are removed as expired.
const MAX_SMALL_BYTES: u64 = 4 * 1024;

/// A value that can be evicted. The order is that of eviction.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EvictionCandidate {
    is_small: bool,
    modified: SystemTime,
    bytes: u64,
    shard: String,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueState {
    Current,
    /// It can be current for another client.
    OtherVersion,
    Expired,
    /// The file of a value that could not be read.
    Emptied,
    Damaged,
}

impl DiskInner {
    pub(super) fn evict(&self) -> io::Result<()> {
        self.written_bytes.store(0, Ordering::Relaxed);
        let root = self.root()?;
        let names = root.names()?;
        let mut draft_bytes = remove_temp_files(&root, &names)?;
        let mut bytes = remove_discarded(&root, &names, 2);
        let mut candidates = Vec::new();
        for shard in names.into_iter().filter(|name| is_hex(name, 2)) {
            self.clean_up_marker(&root, &shard)?;
            let folder = match root.subfolder(&shard, false) {
                Ok(Some(folder)) => folder,
                // The next write to it replaces it.
                Err(error) => {
                    warn_not_trusted(&error);
                    continue;
                }
                Ok(None) => continue,
            };
            let names = folder.names()?;
            draft_bytes = draft_bytes.saturating_add(remove_temp_files(&folder, &names)?);
            bytes = bytes.saturating_add(remove_discarded(&folder, &names, 62));
            for name in names.into_iter().filter(|name| is_hex(name, 62)) {
                let Some((modified, length)) = self.inspect(&folder, &shard, &name)? else {
                    continue;
                };
                let window = length.max(MIN_FILE_BYTES);
                bytes = bytes.saturating_add(window);
                let is_small = length <= MAX_SMALL_BYTES;
                let shard = shard.clone();
                candidates.push(EvictionCandidate {
                    is_small,
                    modified,
                    bytes: window,
                    shard,
                    name,
                });
            }
        }
        candidates.sort_unstable();
        for candidate in candidates {
            // Drafts are removed within minutes: no sum is evicted for them.
            let drafts = if candidate.is_small { 0 } else { draft_bytes };
            if bytes.saturating_add(drafts) <= self.max_bytes {
                break;
            }
            self.remove_unused(&candidate)?;
            bytes = bytes.saturating_sub(candidate.bytes);
        }
        Ok(())
    }

    /// Removes or empties a value if necessary. Returns its last use and its length, if it stays.
    fn inspect(
        &self,
        folder: &PrivateFolder,
        shard: &str,
        name: &str,
    ) -> io::Result<Option<(SystemTime, u64)>> {
        let Some(kept) = value_state(folder, name)? else { return Ok(None) };
        if kept.needs_eviction() {
            let lock = self.lock()?;
            if let Some(folder) = locked_shard(&lock, shard) {
                clean_up(&folder, name)?;
            }
            return Ok(None);
        }
        // Other processes remove values, too.
        let Ok(file) = folder.file(name, FileRole::StoreValue, Access::Read) else {
            return Ok(None);
        };
        let metadata = file.metadata()?;
        Ok(Some((metadata.modified()?, metadata.len())))
    }

    /// Removes the marker of a shard whose replacement has expired. A marker that is not trusted, so that its time is
    /// unknown, is replaced.
    fn clean_up_marker(&self, root: &PrivateFolder, shard: &str) -> io::Result<()> {
        let name = marker(shard);
        let judge =
            |root: &PrivateFolder| match root.file(&name, FileRole::StoreValue, Access::Read) {
                Ok(file) if age(&file) > TOMBSTONE_TTL => ValueState::Expired,
                Err(error) if fault(&error).is_some() => ValueState::Damaged,
                _ => ValueState::Current,
            };
        if !judge(root).needs_eviction() {
            return Ok(());
        }
        let lock = self.lock()?;
        match judge(&lock.root) {
            ValueState::Expired => lock.root.remove(&name),
            ValueState::Damaged => {
                // A folder of this name stays.
                let _ = lock.root.replace(&name, temp_name()?, b"", Durability::Deferred);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Removes a value that was not used in the meantime.
    fn remove_unused(&self, candidate: &EvictionCandidate) -> io::Result<()> {
        let lock = self.lock()?;
        let Some(shard) = locked_shard(&lock, &candidate.shard) else { return Ok(()) };
        let opened = shard.file(&candidate.name, FileRole::StoreValue, Access::Read);
        let Ok(file) = opened else { return Ok(()) };
        if file.metadata()?.modified()? == candidate.modified {
            drop(file);
            shard.remove(&candidate.name)?;
        }
        Ok(())
    }
}

/// Opens a shard while the store is locked.
fn locked_shard(lock: &FolderLock, shard: &str) -> Option<PrivateFolder> {
    lock.root.subfolder(shard, false).ok().flatten()
}

/// Returns the state of a value, or `None` if there is none.
fn value_state(folder: &PrivateFolder, name: &str) -> io::Result<Option<ValueState>> {
    match folder.file(name, FileRole::StoreValue, Access::Read) {
        Err(error) if fault(&error).is_some() => {
            warn_not_trusted(&error);
            Ok(Some(ValueState::Damaged))
        }
        // Other processes remove values, too.
        Err(_) => Ok(None),
        Ok(mut file) => read_state(&mut file).map(Some),
    }
}

/// Removes or empties a value if necessary, while the store is locked. An empty file takes no space, and shows that
/// there was a value.
pub(super) fn clean_up(shard: &PrivateFolder, name: &str) -> io::Result<()> {
    match value_state(shard, name)? {
        Some(ValueState::Expired) => shard.remove(name),
        Some(ValueState::Damaged) => {
            // A folder of this name stays, and so does a file that the file system does not release.
            let _ = shard.replace(name, temp_name()?, b"", Durability::Deferred);
            Ok(())
        }
        _ => Ok(()),
    }
}

impl ValueState {
    fn needs_eviction(self) -> bool {
        matches!(self, Self::Expired | Self::Damaged)
    }
}

/// Removes folders that are not trusted. Returns the bytes of those that cannot be removed.
fn remove_discarded(folder: &PrivateFolder, names: &[String], digits: usize) -> u64 {
    let is_discarded = |name: &&String| {
        name.split_once(".discarded-").is_some_and(|(name, _)| is_hex(name, digits))
    };
    let mut bytes = 0_u64;
    for name in names.iter().filter(is_discarded) {
        let Err(error) = folder.remove_tree(name) else { continue };
        if should_warn(name.as_ref()) {
            warn!(name, %error, "removing a discarded folder of the disk store failed");
        }
        for length in folder.lengths_in(name) {
            bytes = bytes.saturating_add(length.max(MIN_FILE_BYTES));
        }
    }
    bytes
}

fn read_state(file: &mut File) -> io::Result<ValueState> {
    let length = file.metadata()?.len();
    if length == 0 {
        let is_expired = age(file) > TOMBSTONE_TTL;
        return Ok(if is_expired { ValueState::Expired } else { ValueState::Emptied });
    }
    let until = match ValueHeader::read(file) {
        ValueHeader::Expires(until) => until,
        ValueHeader::OtherVersion => return Ok(ValueState::OtherVersion),
        ValueHeader::Damaged => return Ok(ValueState::Damaged),
    };
    if until > now() {
        return Ok(ValueState::Current);
    }
    if length <= MAX_SMALL_BYTES {
        // The damage can concern the expiry itself.
        let mut bytes = Vec::new();
        io::Seek::rewind(file)?;
        file.take(MAX_SMALL_BYTES).read_to_end(&mut bytes)?;
        if !value::is_whole(&bytes) {
            return Ok(ValueState::Damaged);
        }
    }
    Ok(ValueState::Expired)
}

/// Removes drafts whose writers have ended without moving them. Returns the bytes of the other drafts.
fn remove_temp_files(folder: &PrivateFolder, names: &[String]) -> io::Result<u64> {
    let is_draft = |name: &&String| name.strip_suffix(".tmp").is_some_and(|name| is_hex(name, 32));
    let mut bytes = 0_u64;
    for name in names.iter().filter(is_draft) {
        match folder.file(name, FileRole::StoreValue, Access::Read) {
            Ok(file) if age(&file) <= ABANDONED_AGE => {
                bytes = bytes.saturating_add(file.metadata()?.len().max(MIN_FILE_BYTES));
            }
            // No other draft ever has the same name.
            Ok(_) => folder.remove(name)?,
            // It is not a draft of this user. A folder stays.
            Err(error) if fault(&error).is_some() => drop(folder.remove(name)),
            // Its writer has moved or removed it.
            Err(_) => {}
        }
    }
    Ok(bytes)
}
