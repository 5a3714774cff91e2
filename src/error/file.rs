//! Failures of files that the application names: the target of a download, and the source of an upload.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{BoxError, Error, ErrorKind};

/// A failed operation on a file of the application.
#[derive(Debug)]
pub(crate) struct FileError {
    /// The operation, such as `read`.
    pub(crate) action: &'static str,
    /// `None` for a file that the application has opened itself.
    pub(crate) path: Option<PathBuf>,
    pub(crate) reason: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, path, reason } = self;
        match path {
            Some(path) => write!(f, "cannot {action} the file {path:?}: {reason}"),
            None => write!(f, "cannot {action} the file: {reason}"),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

impl Error {
    /// Returns the error for a file that cannot be read or written.
    pub(crate) fn from_file(error: FileError) -> Self {
        Self::new(ErrorKind::File, error.to_string())
            .with_advice("check the path, its permissions and the space of the disk")
            .with_caller_source(error.reason.into())
    }

    /// Returns the error for a task that has ended without a result: it panicked, or its runtime was shut down.
    pub(crate) fn file_task_ended(reason: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::File, "the task that reads or writes the file ended early")
            .with_source(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_operation_the_path_and_the_cause() {
        for (path, name) in [(Some("b.zip".into()), " \"b.zip\""), (None, "")] {
            let reason = io::Error::from(io::ErrorKind::PermissionDenied);
            let error = Error::from_file(FileError { action: "read", path, reason });
            let (shown, expected) =
                (error.to_string(), format!("cannot read the file{name}: perm"));
            assert!(shown.starts_with(&expected), "{shown}");
            assert!(!error.is_retryable());
            let source = std::error::Error::source(&error);
            let source = source.and_then(|source| source.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::PermissionDenied));
        }
    }
}
