//! The environment of a process, as far as it contains credentials: variables, files, and the program `gh`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::error::auth::AuthFailure;

mod gh_program;

/// The variables, files and programs in which a client looks for credentials: see
/// [`ClientBuilder::credentials_from`](crate::ClientBuilder::credentials_from).
///
/// [`ProcessEnvironment`] is that of the process. An implementation of your own can read the variables of a `.env` file,
/// or stand in for the process in a test: the process's own variables cannot be changed safely
/// ([`std::env::set_var`]).
///
/// A closure that returns the value of a variable is an environment without files and without `gh`:
///
/// ```
/// use std::collections::HashMap;
/// use std::ffi::OsString;
/// use octowire::Client;
/// use octowire::auth::CredentialSource;
///
/// # fn example() -> octowire::Result<()> {
/// let variables = HashMap::from([("GITHUB_TOKEN", "ghp_…")]);
/// let environment = move |name: &str| variables.get(name).map(OsString::from);
/// let client = Client::builder().credentials_from(environment).build()?;
/// assert_eq!(client.credential_source(), Some(&CredentialSource::Variable("GITHUB_TOKEN")));
/// # Ok(())
/// # }
/// ```
pub trait Environment: Send + Sync + 'static {
    /// Returns the value of an environment variable; `None` if it is not set.
    ///
    /// [`ClientBuilder::build`](crate::ClientBuilder::build) calls it, and a client whose token is in a variable calls
    /// it again every few seconds: it returns at once.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// Returns the content of a file: of gh's `hosts.yml`, or of an App's private key. By default there are no files.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the file does not exist, and any other error if it cannot be read.
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let _ = path;
        Err(io::ErrorKind::NotFound.into())
    }

    /// Returns when a file was last modified, which is the time of creation of the key in it; `None` if it is unknown,
    /// and by default.
    fn modified_at(&self, path: &Path) -> Option<SystemTime> {
        let _ = path;
        None
    }

    /// Runs `gh auth token --hostname HOST`, and returns its output. `program` is the name or the path of `gh`. By
    /// default there is no such program.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the program does not exist, and any other error if it fails. The message
    /// does not contain its output.
    fn gh_auth_token(&self, program: &OsStr, host: &str) -> io::Result<SecretString> {
        let _ = (program, host);
        Err(io::ErrorKind::NotFound.into())
    }
}

impl<F: Fn(&str) -> Option<OsString> + Send + Sync + 'static> Environment for F {
    fn variable(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}

/// The environment of this process.
///
/// A file of more than 1 MiB is not read. `gh` runs without a shell, input, and the variables that contain tokens. If it
/// does not end within 5 s, or writes more than 16 KiB, it is killed; `gh` itself waits for the keyring of the system
/// for 3 s.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

/// Several hundred times the size of a private key.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The size of the buffer for a file that states a smaller length or none, such as a pipe: longer than a private key.
const MIN_BUFFER_BYTES: u64 = 16 * 1024;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len().clamp(MIN_BUFFER_BYTES, MAX_FILE_BYTES);
        let mut bytes = read_secret(file, length, MAX_FILE_BYTES, "it has more than 1 MiB")?;
        Ok(std::mem::take(&mut *bytes))
    }

    fn modified_at(&self, path: &Path) -> Option<SystemTime> {
        fs::metadata(path).and_then(|file| file.modified()).ok()
    }

    fn gh_auth_token(&self, program: &OsStr, host: &str) -> io::Result<SecretString> {
        gh_program::auth_token(program, host)
    }
}

/// Reads a source to its end. `expected` is its probable length.
///
/// # Errors
/// If it cannot be read, or has more than `max_bytes`: then `too_long` is the reason.
fn read_secret(
    source: impl Read,
    expected: u64,
    max_bytes: u64,
    too_long: &'static str,
) -> io::Result<Zeroizing<Vec<u8>>> {
    // In one allocation, since the memory that a growing buffer leaves behind is not overwritten.
    let capacity = usize::try_from(expected).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::<u8>::with_capacity(capacity));
    // One byte more shows that it is too long.
    let read = source.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > max_bytes) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, too_long));
    }
    Ok(bytes)
}

/// Returns the value of a variable, if it is set.
///
/// # Errors
/// If it is not Unicode. The value is not shown.
pub(super) fn read_variable(
    environment: &dyn Environment,
    name: &str,
) -> Result<Option<SecretString>> {
    match environment.variable(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value.into())),
        Some(Err(_)) => Err(AuthFailure::Malformed.error(
            format!("the environment variable {name} is not valid Unicode"),
            "check how the value is set; it is not shown here",
        )),
    }
}

/// Returns the value of a variable without white space around it. An empty value counts as not set, since CI systems set
/// missing secrets to empty.
///
/// # Errors
/// As for [`read_variable`].
pub(super) fn read_non_empty(
    environment: &dyn Environment,
    name: &str,
) -> Result<Option<SecretString>> {
    let Some(value) = read_variable(environment, name)? else { return Ok(None) };
    let trimmed = value.expose_secret().trim();
    Ok((!trimmed.is_empty()).then(|| SecretString::from(trimmed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_more_than_a_mebibyte_is_not_read() {
        let path =
            std::env::temp_dir().join(format!("octowire-environment-{}", std::process::id()));
        for (length, is_read) in [(0, true), (MAX_FILE_BYTES, true), (MAX_FILE_BYTES + 1, false)] {
            File::create(&path).unwrap().set_len(length).unwrap();
            let read = ProcessEnvironment.read_file(&path);
            assert_eq!(read.is_ok(), is_read, "{length}");
            if let Ok(read) = read {
                assert_eq!(read.len() as u64, length);
            }
        }
        assert!(ProcessEnvironment.modified_at(&path).is_some());
        fs::remove_file(&path).unwrap();
        let missing = ProcessEnvironment.read_file(&path).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_empty_variable_is_not_set_and_white_space_is_no_part_of_a_value() {
        for (value, expected) in
            [("", None), (" \r\n\t", None), (" a b\n", Some("a b")), ("c", Some("c"))]
        {
            let environment = move |_: &str| Some(OsString::from(value));
            let read = read_non_empty(&environment, "NAME").unwrap();
            assert_eq!(read.as_ref().map(ExposeSecret::expose_secret), expected, "{value:?}");
        }
        assert!(read_non_empty(&|_: &str| None::<OsString>, "NAME").unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_unicode_is_named_and_not_shown() {
        use std::os::unix::ffi::OsStringExt;

        let environment = |_: &str| Some(OsString::from_vec(b"hunter2\xff".to_vec()));
        let error = read_variable(&environment, "SOME_NAME").unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Malformed));
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("SOME_NAME") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_closure_has_neither_files_nor_gh() {
        let environment = |_: &str| None::<OsString>;
        let path = std::env::current_exe().unwrap();
        assert_eq!(environment.read_file(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(environment.modified_at(&path).is_none());
        let error = environment.gh_auth_token(OsStr::new("gh"), "github.com").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
