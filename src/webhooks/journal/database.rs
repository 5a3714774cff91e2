//! The file of the journal: opened, created, and changed atomically.

use std::io::{self, ErrorKind as IoErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError,
    WriteTransaction,
};
use tracing::{debug, warn};

use super::Limits;
use super::transaction::{InMemory, JournalTransaction, Totals, make_tables};
use crate::error::{Error, ErrorKind, Result};
use crate::util::private_files::{Access, FileRole, FolderRole, Permissions, PrivateFolder, fault};

/// Distinguishes the file from those of other programs, and of later versions.
const META: TableDefinition<&str, u64> = TableDefinition::new("octowire-journal");
/// The name and the version of the format.
const FORMAT: (&str, u64) = ("format", 2);
/// A format with unauthenticated records: they are moved to the failed ones on replay.
const UNSEALED_FORMAT: u64 = 1;
/// redb's own cache, for data that it reads and has not written. A delivery is written once and read once at most.
const CACHE: usize = 32 * 1024 * 1024;
/// A file is compacted if it is this many times as large as its content …
const COMPACTION_RATIO: u64 = 4;
/// … and by more than this.
const MIN_COMPACTION_BYTES: u64 = 64 * 1024 * 1024;
/// The approximate size of one remembered delivery.
const DEDUPLICATED_BYTES: u64 = 100;
/// A file whose creation was interrupted is no larger.
const MAX_INCOMPLETE_BYTES: u64 = 8 * 1024 * 1024;

/// The path of the file, and how it is opened.
#[derive(Clone, Debug)]
pub(super) struct FileLocation {
    pub(super) path: PathBuf,
    pub(super) permissions: Permissions,
}

/// Whether the whole file is read when it is opened, to verify its checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    Full,
    /// This process had the file open, and found no damage. redb still reads the parts that it needs.
    None,
}

/// The open file, which is locked.
pub(super) struct JournalFile {
    database: Database,
    totals: Totals,
}

/// The advice for a file that cannot be used any longer.
pub(super) const MOVE_AWAY_ADVICE: &str = "use another path, or move this file away, and a new journal is \
                                    created; the deliveries pending in it are not handled: \
                                    redeliver them on the webhook's settings page or with a \
                                    Reconciler";

pub(super) fn damaged(path: &Path) -> Error {
    let message = format!("{} is not a journal, or is damaged", path.display());
    Error::new(ErrorKind::Configuration, message).with_advice(MOVE_AWAY_ADVICE)
}

impl JournalFile {
    /// Opens the file, or creates it.
    pub(super) fn open(place: &FileLocation, verification: Verification) -> Result<Self> {
        let path = &*place.path;
        let database =
            open_database(place, verification).map_err(|error| open_error(path, error))?;
        Self::read(database).map_err(|error| match error {
            Unreadable::Foreign => damaged(path),
            Unreadable::NewerVersion(format) => {
                let message = format!("{} has the unsupported format {format}", path.display());
                Error::new(ErrorKind::Configuration, message)
                    .with_advice("use the version of octowire that wrote it, or a later one")
            }
            Unreadable::Failed(error) => match error {
                redb::Error::Io(_) | redb::Error::PreviousIo => unusable_error(path),
                _ => damaged(path),
            }
            .with_source(error),
        })
    }

    /// Creates a journal on a test disk, without a read cache.
    #[cfg(test)]
    pub(super) fn on(disk: impl redb::StorageBackend) -> Self {
        let mut builder = Database::builder();
        let database = builder.set_cache_size(0).create_with_backend(disk).unwrap();
        let Ok(file) = Self::read(database) else {
            unreachable!("a new journal could not be created")
        };
        file
    }

    /// Compacts the file if most of it is free. If that fails, the file is unchanged.
    pub(super) fn compact(self, place: &FileLocation) -> Result<Self> {
        let Self { mut database, totals } = self;
        let remembered = totals.deduplicated.saturating_mul(DEDUPLICATED_BYTES);
        let used = totals.bytes.saturating_add(remembered);
        let length = std::fs::metadata(&place.path).map_or(0, |metadata| metadata.len());
        if length <= used.saturating_mul(COMPACTION_RATIO).saturating_add(MIN_COMPACTION_BYTES) {
            return Ok(Self { database, totals });
        }
        let shrunk = catch_unwind(AssertUnwindSafe(move || {
            database.compact().map(|_| database).map_err(|error| error.to_string())
        }));
        match shrunk.unwrap_or_else(|_| Err("redb panicked".to_owned())) {
            Ok(database) => Ok(Self { database, totals }),
            Err(error) => {
                warn!(error, "journal compaction failed");
                Self::open(place, Verification::Full)
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Runs one transaction, which is on the disk when this returns, or has no effect if it fails. Returns whether
    /// anything was to be written.
    pub(super) fn transact(
        &mut self,
        limits: &Limits,
        now: Duration,
        in_memory: &mut InMemory,
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<(), redb::Error>,
    ) -> Result<bool, redb::Error> {
        let transaction = begin(&self.database)?;
        let mut inbox =
            JournalTransaction::open(&transaction, self.totals, limits, now, in_memory)?;
        act(&mut inbox)?;
        let Some((totals, given_up)) = inbox.close()? else {
            transaction.abort()?;
            return Ok(false);
        };
        transaction.commit()?;
        self.totals = totals;
        if given_up > 0 {
            warn!(given_up, "failed webhook deliveries exceed their limit; oldest removed");
        }
        Ok(true)
    }

    /// Reads the content of a journal file or an empty file.
    fn read(database: Database) -> Result<Self, Unreadable> {
        let transaction = database.begin_read()?;
        match transaction.open_table(META) {
            Ok(meta) => match meta.get(FORMAT.0)?.map(|format| format.value()) {
                Some(format) if format == FORMAT.1 => {}
                Some(UNSEALED_FORMAT) => {
                    drop(meta);
                    let transaction = begin(&database)?;
                    transaction.open_table(META)?.insert(FORMAT.0, FORMAT.1)?;
                    transaction.commit()?;
                }
                Some(format) => return Err(Unreadable::NewerVersion(format)),
                None => return Err(Unreadable::Foreign),
            },
            Err(TableError::TableDoesNotExist(_)) => {
                let tables = transaction.list_tables()?.count();
                if tables + transaction.list_multimap_tables()?.count() > 0 {
                    return Err(Unreadable::Foreign);
                }
                create_tables(&database)?;
                return Ok(Self { database, totals: Totals::default() });
            }
            Err(error) => return Err(error.into()),
        }
        let totals = Totals::read(&transaction)?;
        drop(transaction);
        Ok(Self { database, totals })
    }
}

/// Why the content cannot be used.
enum Unreadable {
    /// It belongs to another program.
    Foreign,
    /// It is of a later version, with this number.
    NewerVersion(u64),
    Failed(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Unreadable {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn open_database(
    place: &FileLocation,
    verification: Verification,
) -> Result<Database, DatabaseError> {
    match open_file(place, verification) {
        Err(error) if is_invalid(&error) && remove_incomplete(place)? => {
            open_file(place, verification)
        }
        result => result,
    }
}

fn open_file(place: &FileLocation, verification: Verification) -> Result<Database, DatabaseError> {
    #[cfg(test)]
    opened::note(verification);
    let path = &*place.path;
    let (folder, file) = private_file(place)?;
    let is_new = file.metadata()?.len() == 0;
    let mut builder = Database::builder();
    // Data that was corrupted or changed on the disk is an error, and not a later panic.
    builder.set_check_integrity_on_open(verification == Verification::Full);
    builder.set_cache_size(CACHE).set_repair_callback({
        let path = path.to_owned();
        move |session| {
            if session.progress() == 0.0 {
                debug!(path = %path.display(), "verifying journal");
            }
        }
    });
    let database = builder.create_with_backend(FileBackend::new(file)?)?;
    if is_new {
        // The existence of the file is durable, too. Not every system supports that.
        let _ = folder.sync();
        let above = folder_of(&folder_of(path));
        let _ = PrivateFolder::open(&above, FolderRole::Given, place.permissions)
            .and_then(|folder| folder.sync());
    }
    Ok(database)
}

/// Opens the file, which is created, with its folder, if it does not exist.
fn private_file(place: &FileLocation) -> io::Result<(PrivateFolder, std::fs::File)> {
    let name = place.path.file_name().ok_or(IoErrorKind::IsADirectory)?;
    let folder = folder_of(&place.path);
    let folder = PrivateFolder::create(&folder, FolderRole::Given, place.permissions)?;
    let file = folder.file(name, FileRole::Journal, Access::Create)?;
    Ok((folder, file))
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// Truncates a file that contains only the beginning of a header: its creation was interrupted. Returns whether it did.
fn remove_incomplete(place: &FileLocation) -> io::Result<bool> {
    let (_, mut file) = private_file(place)?;
    if file.try_lock().is_err() || file.metadata()?.len() > MAX_INCOMPLETE_BYTES {
        return Ok(false);
    }
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    // redb writes its name, at the beginning, after the rest; and the header fits in a page.
    let (name, rest) = (content.get(..9), content.get(4096..));
    let is_zero = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.iter().all(|&b| b == 0));
    if !is_zero(name) || !is_zero(rest) {
        return Ok(false);
    }
    file.set_len(0)?;
    Ok(true)
}

fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    // The file contains data from untrusted senders. With one-phase commits, an attacker that knew the whole file could
    // choose data so that half a transaction has the checksum of a complete one; redb recommends two phases.
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// Creates all tables, in a file that has none.
fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = begin(database)?;
    transaction.open_table(META)?.insert(FORMAT.0, FORMAT.1)?;
    make_tables(&transaction)?;
    Ok(transaction.commit()?)
}

fn open_error(path: &Path, error: DatabaseError) -> Error {
    let failure = match &error {
        DatabaseError::Storage(StorageError::Io(error)) if fault(error).is_some() => {
            let fault = fault(error).map(|fault| (fault.to_string(), fault.advice()));
            let (fault, advice) = fault.unwrap_or_default();
            let message = format!("the journal {} cannot be opened: {fault}", path.display());
            Error::new(ErrorKind::Configuration, message).with_advice(advice)
        }
        DatabaseError::DatabaseAlreadyOpen => {
            let message = format!("the journal {} is in use", path.display());
            Error::new(ErrorKind::Configuration, message)
                .with_advice("use a separate journal for each process")
        }
        DatabaseError::Storage(StorageError::Io(_)) if !is_invalid(&error) => unusable_error(path),
        _ => damaged(path),
    };
    failure.with_source(error)
}

pub(super) fn unusable_error(path: &Path) -> Error {
    let message = format!("the journal {} cannot be opened", path.display());
    Error::new(ErrorKind::Configuration, message).with_advice(
        "use a path that this program can create and write to, on a disk with free space",
    )
}

/// Checks whether the content of the file is inconsistent.
fn is_invalid(error: &DatabaseError) -> bool {
    let DatabaseError::Storage(StorageError::Io(error)) = error else { return false };
    matches!(error.kind(), IoErrorKind::InvalidData | IoErrorKind::UnexpectedEof)
}

/// Counters of file openings, for a test that runs alone in its process.
#[cfg(test)]
pub(super) mod opened {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Verification;

    static ALL: AtomicU64 = AtomicU64::new(0);
    static VERIFIED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn note(verification: Verification) {
        ALL.fetch_add(1, Ordering::Relaxed);
        VERIFIED.fetch_add(u64::from(verification == Verification::Full), Ordering::Relaxed);
    }

    /// Returns how often a file was opened, and how often all of it was verified.
    pub(in crate::webhooks::journal) fn counts() -> (u64, u64) {
        (ALL.load(Ordering::Relaxed), VERIFIED.load(Ordering::Relaxed))
    }
}
