//! The decisions, and the lookup of names. The outcome for each kind of file is tested through the public
//! interface.

use super::verdict::{Facts, Owner};
use super::*;

struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("octowire-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn folder(&self) -> PrivateFolder {
        PrivateFolder::open(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn facts(kind: Kind, owner: Owner, mode: u32) -> Facts {
    Facts { kind, owner, mode, links: 1 }
}

#[test]
fn a_folder_is_this_users_or_roots_and_others_cannot_exchange_what_is_in_it() {
    use Owner::{Other, Root, ThisUser};
    use Verdict::{Refuse, Restrict, Use};
    let cases = [
        (ThisUser, 0o700, Use),
        (ThisUser, 0o755, Use),
        (ThisUser, 0o1777, Use),
        (ThisUser, 0o775, Restrict),
        (ThisUser, 0o702, Restrict),
        (Root, 0o755, Use),
        (Root, 0o1777, Use),
        // As volumes of a pod are.
        (Root, 0o2775, Use),
        (Root, 0o777, Refuse(Problem::FolderOpen(0o777))),
        (Other(7), 0o700, Refuse(Problem::Owner(7))),
        (Other(7), 0o1777, Refuse(Problem::Owner(7))),
    ];
    for (owner, mode, expected) in cases {
        let found = folder_verdict(&facts(Kind::Folder, owner, mode));
        assert_eq!(found, expected, "{owner:?} {mode:o}");
    }
    let file = facts(Kind::File, ThisUser, 0o700);
    assert_eq!(folder_verdict(&file), Refuse(Problem::NotAFolder));
}

#[test]
fn a_file_is_this_users_alone() {
    use Owner::{Other, Root, ThisUser};
    use Verdict::{Refuse, Restrict, Use};
    let (value, lock) = (FileRole::StoreValue, FileRole::Lock);
    let cases = [
        (ThisUser, 0o600, value, Use),
        (ThisUser, 0o400, lock, Use),
        (ThisUser, 0o640, value, Restrict),
        (ThisUser, 0o604, lock, Restrict),
        (ThisUser, 0o660, lock, Restrict),
        (ThisUser, 0o602, value, Refuse(Problem::FileOpen(0o602))),
        (ThisUser, 0o620, value, Refuse(Problem::FileOpen(0o620))),
        (Root, 0o600, lock, Refuse(Problem::Owner(0))),
        (Other(7), 0o600, value, Refuse(Problem::Owner(7))),
    ];
    for (owner, mode, role, expected) in cases {
        let found = file_verdict(&facts(Kind::File, owner, mode), role);
        assert_eq!(found, expected, "{owner:?} {mode:o} {role:?}");
    }
    for kind in [Kind::Folder, Kind::Link, Kind::Special] {
        let found = file_verdict(&facts(kind, ThisUser, 0o600), lock);
        assert_eq!(found, Refuse(Problem::NotAFile));
    }
    let linked = |links| Facts { links, ..facts(Kind::File, ThisUser, 0o600) };
    assert_eq!(file_verdict(&linked(2), lock), Refuse(Problem::HardLink(2)));
    // It was replaced after it was opened.
    assert_eq!(file_verdict(&linked(0), lock), Use);
}

#[test]
fn a_file_is_replaced_whole_and_leaves_no_draft() {
    let temporary = Temporary::new("replace");
    let folder = temporary.folder();
    for content in [&b"one"[..], b"", b"longer than before"] {
        // What a crash left.
        fs::write(temporary.0.join("draft"), "half").unwrap();
        folder.replace("file", "draft", content, Durability::Deferred).unwrap();
        assert_eq!(folder.read("file", FileRole::StoreValue, 100).unwrap().unwrap(), content);
        assert_eq!(folder.names().unwrap(), ["file"]);
    }
    let error = folder.read("file", FileRole::StoreValue, 17).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    assert_eq!(folder.read("file", FileRole::StoreValue, 18).unwrap().unwrap().len(), 18);
    assert!(folder.read("absent", FileRole::StoreValue, 100).unwrap().is_none());
    // A folder in its place stays, and the draft goes.
    fs::create_dir(temporary.0.join("folder")).unwrap();
    assert!(folder.replace("folder", "draft", b"x", Durability::Deferred).is_err());
    assert!(!temporary.0.join("draft").exists());
}

#[test]
fn whatever_has_a_name_is_discarded() {
    let temporary = Temporary::new("discard");
    let folder = temporary.folder();
    let path = |name: &str| temporary.0.join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir_all(path("full").join("content")).unwrap();
    for name in ["file", "empty", "full", "absent"] {
        folder.discard(name).unwrap();
        assert!(!path(name).exists(), "{name}");
    }
    let left = folder.names().unwrap();
    assert!(left.len() == 1 && left[0].starts_with("full.discarded-"), "{left:?}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_is_refused_however_it_is_written() {
    use std::os::unix::fs::symlink;
    let temporary = Temporary::new("folder-link");
    let path = |name: &str| temporary.0.join(name);
    fs::create_dir_all(path("real").join("below")).unwrap();
    symlink(path("real"), path("link")).unwrap();
    symlink(path("absent"), path("dangling")).unwrap();
    for name in ["link", "link/", "link//", "link/.", "dangling", "dangling/"] {
        for outcome in [PrivateFolder::open(&path(name)), PrivateFolder::create(&path(name))] {
            let error = outcome.unwrap_err();
            assert!(error.to_string().ends_with("is a symbolic link"), "{name}: {error}");
            assert!(fault(&error).is_some(), "{name}");
        }
    }
    assert!(!path("absent").exists());
    // Further up, a link is the operator's.
    assert!(PrivateFolder::open(&path("link/below")).is_ok());
    let below = PrivateFolder::create(&path("link/new/newer")).unwrap();
    assert_eq!(below.directory.facts().unwrap().mode, 0o700);
    let error = temporary.folder().subfolder("link", true).unwrap_err();
    assert!(error.to_string().ends_with("is a symbolic link"), "{error}");
    assert!(temporary.folder().subfolder("absent", false).unwrap().is_none());
}

#[cfg(unix)]
#[test]
fn a_link_is_replaced_and_never_written_through() {
    use std::os::unix::fs::symlink;
    let temporary = Temporary::new("draft-link");
    let (folder, bait) = (temporary.folder(), temporary.0.join("bait"));
    fs::write(&bait, "bait").unwrap();
    for name in ["draft", "file"] {
        symlink(&bait, temporary.0.join(name)).unwrap();
    }
    folder.replace("file", "draft", b"content", Durability::Deferred).unwrap();
    assert_eq!(folder.read("file", FileRole::StoreValue, 100).unwrap().unwrap(), b"content");
    assert_eq!(fs::read(&bait).unwrap(), b"bait");
}
