//! Pins of the operations that an application uses.

use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use serde_json::Value;

use super::document::ApiDescription;
use super::drift::{self, DriftReport, Severity, UnknownOperation};

/// Names the operations and webhooks that an application uses, to pin them. Returns a
/// [`PinnedOperations`](crate::contract::PinnedOperations).
///
/// Operations are named by their ids. An operation that the library does not have, because GitHub removed it
/// or because its feature is disabled, is a compile error. Webhooks are named by their keys in the
/// description, such as `issues-opened`, and looked up when the pin is compared.
///
/// ```no_run
/// # #[cfg(all(feature = "issues", feature = "repos"))]
/// # fn example() {
/// let uses = octowire::contract::operations!["issues/get", "issues/create", "repos/get"];
/// // In a test: fails if a new version of the library changes one of them for the worse.
/// uses.assert_pinned("tests/github-contract.json");
/// # }
/// ```
///
/// ```compile_fail
/// let uses = octowire::contract::operations!["issues/got"];
/// ```
#[macro_export]
macro_rules! operations {
    ($($id:literal),+ $(,)?) => {{
        $(
            const _: () = assert!(
                $crate::contract::__is_known($id),
                concat!("octowire has no operation ", $id, ": GitHub removed it, its feature is disabled, or it is misspelled"),
            );
        )+
        $crate::contract::PinnedOperations::of([$($id),+])
    }};
}

/// The environment variable that makes tests write pins.
const UPDATE: &str = "OCTOWIRE_UPDATE_PIN";

/// The operations and webhooks that an application uses: the result of [`operations!`](crate::operations).
///
/// Their part of GitHub's description, without its texts, is stored in a file beside the tests: the pin. A
/// test compares it with the library's current description. A change by GitHub then shows in the
/// application's tests when the library is updated, with its effects. The part of the API that the
/// application relies on can be reviewed like any other change.
///
/// `OCTOWIRE_UPDATE_PIN=1` writes the pin instead of comparing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedOperations {
    ids: Vec<&'static str>,
    fails_at: Severity,
}

/// Why a pin cannot be compared, or the differences.
#[derive(Debug)]
#[non_exhaustive]
pub enum PinError {
    /// The pin does not exist yet.
    Missing(PathBuf),
    /// The pin cannot be read or written.
    Unreadable(PathBuf, io::Error),
    /// The file is not a pin: it was edited by hand, or two changes of it were merged.
    Malformed(PathBuf, String),
    /// The library's description has no such operation or webhook.
    Unknown(UnknownOperation),
    /// The operations or webhooks in use differ from those of the pin: it has to be written again.
    SetChanged {
        /// In use, and not in the pin.
        added: Vec<String>,
        /// In the pin, and not in use.
        removed: Vec<String>,
    },
}

impl PinnedOperations {
    /// Creates a set of operations and webhooks from their names; [`operations!`](crate::operations) checks the
    /// operations at compile time.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = &'static str>) -> Self {
        let mut ids: Vec<&'static str> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids, fails_at: Severity::Notice }
    }

    /// Sets the lowest severity that fails [`assert_pinned`](Self::assert_pinned); [`Severity::Notice`],
    /// which includes deprecations, by default. With [`Severity::Compatible`], any change except
    /// documentation fails.
    #[must_use]
    pub fn failing_at(mut self, severity: Severity) -> Self {
        self.fails_at = severity;
        self
    }

    /// Writes the pin and replaces an existing one.
    ///
    /// # Errors
    /// If the pin cannot be written, or GitHub's description has no such operation or webhook.
    pub fn pin(&self, pin: impl AsRef<Path>) -> Result<(), PinError> {
        let path = pin.as_ref();
        write(path, &self.now()?).map_err(|error| PinError::Unreadable(path.to_owned(), error))
    }

    /// Returns the changes since the pin was written. If `OCTOWIRE_UPDATE_PIN` is set, writes the pin and
    /// returns no changes.
    ///
    /// # Errors
    /// If the pin is missing, or cannot be compared.
    pub fn compare(&self, pin: impl AsRef<Path>) -> Result<DriftReport, PinError> {
        let path = pin.as_ref();
        let now = self.now()?;
        if env::var_os(UPDATE).is_some_and(|value| !value.is_empty() && value != "0") {
            self.pin(path)?;
        }
        let pinned = match fs::read(path) {
            Ok(pinned) => pinned,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PinError::Missing(path.to_owned()));
            }
            Err(error) => return Err(PinError::Unreadable(path.to_owned(), error)),
        };
        let broken = |why: String| PinError::Malformed(path.to_owned(), why);
        let pinned: Value = serde_json::from_slice(&pinned).map_err(|it| broken(it.to_string()))?;
        let (was, is) = (names(&pinned), names(&now));
        let missing = |from: &[String], of: &[String]| -> Vec<String> {
            of.iter().filter(|name| !from.contains(name)).cloned().collect()
        };
        let (added, removed) = (missing(&was, &is), missing(&is, &was));
        if !(added.is_empty() && removed.is_empty()) {
            return Err(PinError::SetChanged { added, removed });
        }
        drift::compare(&pinned, &now).map_err(|error| broken(error.to_string()))
    }

    /// Asserts that the used operations and webhooks match the pin, except for changes below the severity.
    ///
    /// The path is relative to the package, where Cargo runs tests.
    ///
    /// # Panics
    /// If a relevant change exists: with the change, the affected operations, and the next step. Also if
    /// there is no pin to compare.
    #[track_caller]
    pub fn assert_pinned(&self, pin: impl AsRef<Path>) {
        let pin = pin.as_ref();
        match self.compare(pin) {
            Ok(report) => {
                if report.severity().is_some_and(|severity| severity >= self.fails_at) {
                    fail(&format!(
                        "GitHub changed operations that this application uses.\n\n\
                         {}\n\
                         Once the application supports the change, update the pin:\n  {UPDATE}=1 \
                         cargo test",
                        report.to_markdown(),
                    ));
                }
            }
            Err(error) => fail(&error.to_string()),
        }
    }
}

impl PinnedOperations {
    /// The pin of the library's current description.
    fn now(&self) -> Result<Value, PinError> {
        drift::slice(&ApiDescription::built_in().to_json(), &self.ids).map_err(PinError::Unknown)
    }
}

#[allow(clippy::panic, reason = "it is an assertion, and documented")]
#[track_caller]
fn fail(message: &str) -> ! {
    panic!("{message}")
}

/// Writes to a temporary file first, so that the pin is never incomplete.
fn write(path: &Path, slice: &Value) -> io::Result<()> {
    let text = format!("{slice:#}\n");
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", crate::util::ids::unique_id()));
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

/// The operations and webhooks of a slice, by name.
fn names(slice: &Value) -> Vec<String> {
    let items = |of: &str| slice[of].as_object().into_iter().flatten();
    let operations = items("paths").flat_map(|(_, item)| {
        let operations = item.as_object().into_iter().flatten();
        operations.filter_map(|(_, operation)| operation["operationId"].as_str())
    });
    let webhooks = items("x-webhooks").map(|(key, _)| key.as_str());
    let mut names: Vec<String> = operations.chain(webhooks).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = format_args!("write it with {UPDATE}=1 cargo test, and commit it");
        match self {
            Self::Missing(path) => write!(f, "no pin at {}: {write}", path.display()),
            Self::Unreadable(path, error) => {
                write!(f, "cannot read the pin {}: {error}", path.display())
            }
            Self::Malformed(path, why) => {
                write!(f, "{} is not a valid pin ({why}): {write}", path.display())
            }
            Self::Unknown(unknown) => write!(f, "{unknown}"),
            Self::SetChanged { added, removed } => {
                let list = |names: &[String]| match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                };
                write!(
                    f,
                    "the pin does not match the operations in use (new: {}; no longer used: {}): \
                     {write}",
                    list(added),
                    list(removed)
                )
            }
        }
    }
}

impl std::error::Error for PinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Unknown(error) => Some(error),
            _ => None,
        }
    }
}

/// Returns whether the library has an operation with this id, for [`operations!`](crate::operations). A name without a
/// slash is a webhook, and looked up later.
#[doc(hidden)]
#[must_use]
pub const fn __is_known(id: &str) -> bool {
    let id = id.as_bytes();
    if !contains(id, b'/') {
        return true;
    }
    let mut index = 0;
    while index < crate::api::OPERATIONS.len() {
        if is_same(crate::api::OPERATIONS[index].id.as_bytes(), id) {
            return true;
        }
        index = index.saturating_add(1);
    }
    false
}

const fn contains(text: &[u8], byte: u8) -> bool {
    let mut index = 0;
    while index < text.len() {
        if text[index] == byte {
            return true;
        }
        index = index.saturating_add(1);
    }
    false
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index = index.saturating_add(1);
    }
    true
}
