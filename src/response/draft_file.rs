//! A file that replaces another one when it is complete, and not before. Its functions block.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf, is_separator};

use crate::error::FileError;
use crate::util::ids::unique_id;

/// A draft in the folder of its target. It is removed if it is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub(super) struct DraftFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_complete: bool,
}

impl DraftFile {
    /// Creates an empty draft, with the mode that new files of the process have.
    ///
    /// # Errors
    /// If it cannot be created, or the target is neither a regular file nor absent.
    pub(super) fn create(target: PathBuf) -> Result<Self, FileError> {
        let created = require_replaceable(&target).and_then(|()| {
            let path = target.with_file_name(format!(".octowire-{}.part", unique_id()));
            File::create_new(&path).map(|file| (file, path))
        });
        match created {
            Ok((file, path)) => Ok(Self { file, path, target, is_complete: false }),
            Err(reason) => Err(FileError { action: "create", path: Some(target), reason }),
        }
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|reason| self.failed(reason))
    }

    /// Writes the content to the disk, and moves the draft to its target. A file there is replaced.
    pub(super) fn finish(mut self) -> Result<(), FileError> {
        let moved = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.target));
        moved.map_err(|reason| self.failed(reason))?;
        self.is_complete = true;
        sync_folder_of(&self.target);
        Ok(())
    }

    fn failed(&self, reason: io::Error) -> FileError {
        FileError { action: "write", path: Some(self.target.clone()), reason }
    }
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        if !self.is_complete {
            // The failure that ended the download is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Rejects a target that is a folder, since the whole content would be written before the move fails, and one that is a
/// device or a pipe, such as `/dev/null`, since the move would replace it.
fn require_replaceable(target: &Path) -> io::Result<()> {
    let former = fs::metadata(target).ok();
    let names_folder = target.to_string_lossy().ends_with(is_separator);
    let is_folder = former.as_ref().is_some_and(fs::Metadata::is_dir);
    if names_folder || target.file_name().is_none() || is_folder {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder"));
    }
    match former {
        Some(former) if !former.is_file() => {
            Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
        }
        _ => Ok(()),
    }
}

/// Writes the move to the disk. Some file systems do not support that for a folder; the content is there in any case.
#[cfg(unix)]
fn sync_folder_of(target: &Path) {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}

#[cfg(not(unix))]
fn sync_folder_of(_target: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("octowire-draft-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A draft of a file `a.zip` that is already there, and the path of that file.
    fn draft_of_former(folder: &Folder) -> (DraftFile, PathBuf) {
        let target = folder.0.join("a.zip");
        fs::write(&target, "former").unwrap();
        (DraftFile::create(target.clone()).unwrap(), target)
    }

    #[test]
    fn a_draft_replaces_its_target_when_it_is_complete() {
        let folder = Folder::new("replaces");
        let (mut draft, target) = draft_of_former(&folder);
        draft.write(b"ne").unwrap();
        assert_eq!(folder.names().len(), 2);
        assert_eq!(fs::read(&target).unwrap(), b"former");
        draft.write(b"w").unwrap();
        draft.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(folder.names(), ["a.zip"]);
    }

    #[test]
    fn a_dropped_draft_leaves_the_former_file() {
        let folder = Folder::new("dropped");
        let (mut draft, target) = draft_of_former(&folder);
        draft.write(b"new").unwrap();
        drop(draft);
        assert_eq!(fs::read(&target).unwrap(), b"former");
        assert_eq!(folder.names(), ["a.zip"]);
    }

    #[test]
    fn a_draft_whose_target_has_become_a_folder_is_removed() {
        let folder = Folder::new("obstructed");
        let target = folder.0.join("a.zip");
        let draft = DraftFile::create(target.clone()).unwrap();
        fs::create_dir(&target).unwrap();
        let error = draft.finish().unwrap_err();
        assert_eq!((error.action, error.path), ("write", Some(target)));
        assert_eq!(folder.names(), ["a.zip"]);
    }

    #[test]
    fn a_target_without_a_file_name_or_a_folder_is_rejected_at_once() {
        let folder = Folder::new("targets");
        let slash = PathBuf::from(format!("{}/new/", folder.0.display()));
        for (target, cause) in [
            (folder.0.clone(), ErrorKind::IsADirectory),
            (slash, ErrorKind::IsADirectory),
            (folder.0.join(".."), ErrorKind::IsADirectory),
            (PathBuf::new(), ErrorKind::IsADirectory),
            (folder.0.join("missing/a.zip"), ErrorKind::NotFound),
        ] {
            let error = DraftFile::create(target.clone()).unwrap_err();
            assert_eq!(error.reason.kind(), cause, "{target:?}");
            assert_eq!((error.action, error.path), ("create", Some(target)));
        }
        assert!(folder.names().is_empty());
    }

    /// The move would replace the device, if the process has the permission.
    #[cfg(unix)]
    #[test]
    fn a_target_that_is_a_device_is_rejected_also_behind_a_link() {
        let folder = Folder::new("device");
        let link = folder.0.join("a.zip");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for target in [PathBuf::from("/dev/null"), link] {
            let error = DraftFile::create(target.clone()).unwrap_err();
            assert_eq!(error.reason.kind(), ErrorKind::InvalidInput, "{target:?}");
            assert_eq!((error.action, error.path), ("create", Some(target)));
        }
        assert_eq!(folder.names(), ["a.zip"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_is_that_of_new_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("mode");
        let (target, other) = (folder.0.join("a.zip"), folder.0.join("b.zip"));
        DraftFile::create(target.clone()).unwrap().finish().unwrap();
        fs::write(&other, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(target), mode(other));
    }
}
