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
        given(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn given(path: &Path) -> io::Result<PrivateFolder> {
    PrivateFolder::open(path, FolderRole::Given, Permissions::Checked)
}

fn facts(kind: Kind, owner: Owner, mode: u32) -> Facts {
    Facts { kind, owner, is_root: false, is_volume: false, mode, links: 1 }
}

#[test]
fn a_folder_must_belong_to_this_user_or_root_and_not_be_replaceable_by_others() {
    use FolderRole::{Given, Own};
    use Owner::{Other, Root, ThisUser};
    use Verdict::{Reject, Restrict, Use, Warn};
    let open = |mode| Reject(Problem::FolderOpen(mode));
    let (owner, own_owner) = (Reject(Problem::Owner(7)), Reject(Problem::OwnFolderOwner(7)));
    // Owner, mode, and the verdicts for a folder that the application names and for one that the library creates.
    let cases = [
        (ThisUser, 0o700, Use, Use),
        (ThisUser, 0o755, Use, Use),
        (ThisUser, 0o1777, Use, Use),
        (ThisUser, 0o775, Warn, Restrict),
        (ThisUser, 0o2770, Warn, Restrict),
        (ThisUser, 0o702, open(0o702), Restrict),
        (ThisUser, 0o777, open(0o777), Restrict),
        (Root, 0o755, Use, Use),
        (Root, 0o1777, Use, Use),
        // As volumes of a pod are.
        (Root, 0o2775, Use, Use),
        (Root, 0o777, open(0o777), open(0o777)),
        (Root, 0o2777, open(0o2777), open(0o2777)),
        (Other(7), 0o700, owner, own_owner),
        (Other(7), 0o775, owner, own_owner),
        (Other(7), 0o777, owner, own_owner),
        (Other(7), 0o1777, owner, own_owner),
    ];
    for (by, mode, given, own) in cases {
        let facts = facts(Kind::Folder, by, mode);
        for (role, expected) in [(Given, given), (Own, own)] {
            let found = folder_verdict(&facts, role, Permissions::Checked);
            assert_eq!(found, expected, "{by:?} {mode:o} {role:?}");
            assert_eq!(folder_verdict(&facts, role, Permissions::Trusted), Use, "{by:?} {mode:o}");
        }
    }
    let file = facts(Kind::File, ThisUser, 0o700);
    for permissions in [Permissions::Checked, Permissions::Trusted] {
        assert_eq!(folder_verdict(&file, Given, permissions), Reject(Problem::NotAFolder));
    }
}

#[test]
fn root_uses_folders_of_other_users_that_not_all_users_can_write_to() {
    use Verdict::{Reject, Use, Warn};
    let open = |mode| Reject(Problem::FolderOpen(mode));
    let cases = [
        (0o700, Use),
        (0o755, Use),
        (0o2750, Use),
        // As `/tmp` of the host is in a container without that user.
        (0o1777, Use),
        (0o775, Warn),
        (0o2770, Warn),
        (0o777, open(0o777)),
        (0o702, open(0o702)),
    ];
    for (mode, expected) in cases {
        for is_volume in [false, true] {
            let facts = facts(Kind::Folder, Owner::Other(7), mode);
            let facts = Facts { is_root: true, is_volume, ..facts };
            let verdict = |role| folder_verdict(&facts, role, Permissions::Checked);
            assert_eq!(verdict(FolderRole::Given), expected, "{mode:o}");
            // Root would have created it as its own.
            assert_eq!(verdict(FolderRole::Own), Reject(Problem::OwnFolderOwner(7)));
        }
    }
}

/// The `emptyDir` of a pod has the mode 0777. In a folder of root's that is no volume, each user of the machine could
/// exchange files for older ones.
#[test]
fn a_volume_of_root_that_all_users_can_write_to_is_used() {
    use Verdict::{Reject, Warn};
    for mode in [0o777, 0o2777] {
        let facts = Facts { is_volume: true, ..facts(Kind::Folder, Owner::Root, mode) };
        let verdict = |role| folder_verdict(&facts, role, Permissions::Checked);
        assert_eq!(verdict(FolderRole::Given), Warn);
        assert_eq!(verdict(FolderRole::Own), Reject(Problem::FolderOpen(mode)));
    }
}

/// The `emptyDir` of a pod has the mode 0777. If the folder is not the volume, its mode was changed.
#[test]
fn root_uses_its_volumes_that_all_users_can_write_to() {
    use Verdict::{Reject, Restrict, Warn};
    let verdict = |is_root, is_volume, role| {
        let facts = facts(Kind::Folder, Owner::ThisUser, 0o777);
        folder_verdict(&Facts { is_root, is_volume, ..facts }, role, Permissions::Checked)
    };
    let open = Reject(Problem::FolderOpen(0o777));
    for (is_root, is_volume, given) in
        [(true, true, Warn), (true, false, open), (false, true, open), (false, false, open)]
    {
        assert_eq!(verdict(is_root, is_volume, FolderRole::Given), given);
        assert_eq!(verdict(is_root, is_volume, FolderRole::Own), Restrict);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_volume_is_distinguished_from_other_folders() {
    let temporary = Temporary::new("volume");
    let is_volume = |path: &Path| given(path).unwrap().directory.facts().unwrap().is_volume;
    assert!(is_volume(Path::new("/proc")));
    assert!(!is_volume(Path::new("/proc/self")));
    assert!(!is_volume(Path::new("/")));
    assert!(!is_volume(&temporary.0));
}

#[test]
fn a_file_is_this_users_alone() {
    use Owner::{Other, Root, ThisUser};
    use Verdict::{Reject, Restrict, Use};
    let (value, lock) = (FileRole::StoreValue, FileRole::Lock);
    let verdict = |facts: &Facts, role| file_verdict(facts, role, Permissions::Checked);
    let cases = [
        (ThisUser, 0o600, value, Use),
        (ThisUser, 0o400, lock, Use),
        (ThisUser, 0o640, value, Restrict),
        (ThisUser, 0o604, lock, Restrict),
        (ThisUser, 0o660, lock, Restrict),
        // As a volume of a pod is mounted again.
        (ThisUser, 0o660, value, Restrict),
        (ThisUser, 0o620, value, Restrict),
        (ThisUser, 0o602, value, Reject(Problem::FileOpen(0o602))),
        (ThisUser, 0o666, value, Reject(Problem::FileOpen(0o666))),
        (Root, 0o600, lock, Reject(Problem::Owner(0))),
        (Other(7), 0o600, value, Reject(Problem::Owner(7))),
    ];
    for (owner, mode, role, expected) in cases {
        let facts = facts(Kind::File, owner, mode);
        assert_eq!(verdict(&facts, role), expected, "{owner:?} {mode:o} {role:?}");
        assert_eq!(file_verdict(&facts, role, Permissions::Trusted), Use, "{owner:?} {mode:o}");
    }
    let linked = |links| Facts { links, ..facts(Kind::File, ThisUser, 0o600) };
    for permissions in [Permissions::Checked, Permissions::Trusted] {
        for kind in [Kind::Folder, Kind::Link, Kind::Special] {
            let found = file_verdict(&facts(kind, ThisUser, 0o600), lock, permissions);
            assert_eq!(found, Reject(Problem::NotAFile));
        }
        let found = file_verdict(&linked(2), lock, permissions);
        assert_eq!(found, Reject(Problem::HardLink(2)));
    }
    // It was replaced after it was opened.
    assert_eq!(verdict(&linked(0), lock), Use);
}

#[test]
fn a_file_that_keeps_this_user_out_is_no_failure_of_the_disk() {
    use Owner::{Other, Root, ThisUser};
    let denied = ErrorKind::PermissionDenied;
    let cases = [
        (Some((Kind::File, Other(7), 0o600)), denied, Some(Problem::Owner(7))),
        (Some((Kind::File, Root, 0o600)), denied, Some(Problem::Owner(0))),
        (Some((Kind::File, ThisUser, 0o000)), denied, Some(Problem::Inaccessible(0))),
        (Some((Kind::File, ThisUser, 0o400)), denied, Some(Problem::Inaccessible(0o400))),
        // Such as a file that cannot be changed by anyone.
        (Some((Kind::File, ThisUser, 0o600)), denied, None),
        (Some((Kind::File, Other(7), 0o600)), ErrorKind::ReadOnlyFilesystem, None),
        (Some((Kind::Link, Other(7), 0o777)), denied, Some(Problem::Link)),
        (Some((Kind::Folder, ThisUser, 0o700)), denied, Some(Problem::NotAFile)),
        // It is the folder that keeps this user out.
        (None, denied, None),
    ];
    for (found, error, expected) in cases {
        let facts = found.map(|(kind, owner, mode)| facts(kind, owner, mode));
        let error = explain("x".into(), facts, Expected::File, Permissions::Checked, error.into());
        let expected = expected.map(|problem| Fault::new("x".into(), problem).to_string());
        assert_eq!(fault(&error).map(ToString::to_string), expected, "{found:?}");
    }
    let folder = facts(Kind::Folder, Other(7), 0o700);
    for (role, is_recursive) in [(FolderRole::Given, false), (FolderRole::Own, true)] {
        let (expected, denied) = (Expected::Folder(role), denied.into());
        let error = explain("x".into(), Some(folder), expected, Permissions::Checked, denied);
        assert!(error.to_string().contains("belongs to the user 7"), "{error}");
        // Another program's folder is not changed with all that is in it.
        assert_eq!(fault(&error).unwrap().advice().contains("chown -R"), is_recursive);
    }
}

#[test]
fn a_file_is_replaced_whole_and_leaves_no_draft() {
    let temporary = Temporary::new("replace");
    let folder = temporary.folder();
    for content in [&b"one"[..], b"", b"longer than before"] {
        // The draft of a crash.
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
fn discard_removes_files_and_folders_of_any_content() {
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

#[test]
fn a_file_is_removed_only_while_it_has_its_name() {
    let temporary = Temporary::new("remove-opened");
    let folder = temporary.folder();
    fs::write(temporary.0.join("file"), "old").unwrap();
    let old = folder.file("file", FileRole::StoreValue, Access::Read).unwrap();
    folder.replace("file", "draft", b"new", Durability::Deferred).unwrap();
    if cfg!(unix) {
        assert!(!folder.remove_opened("file", &old).unwrap());
        assert!(temporary.0.join("file").exists(), "another one has the name");
    }
    let new = folder.file("file", FileRole::StoreValue, Access::Read).unwrap();
    assert!(folder.remove_opened("file", &new).unwrap());
    assert!(!temporary.0.join("file").exists());
    if cfg!(unix) {
        assert!(!folder.remove_opened("file", &new).unwrap());
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_is_followed_and_its_target_is_checked() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let temporary = Temporary::new("folder-link");
    let path = |name: &str| temporary.0.join(name);
    let create =
        |name: &str| PrivateFolder::create(&path(name), FolderRole::Given, Permissions::Checked);
    fs::create_dir_all(path("real").join("below")).unwrap();
    symlink("real", path("link")).unwrap();
    symlink("link", path("link-to-link")).unwrap();
    symlink(path("absent"), path("dangling")).unwrap();
    symlink("loop", path("loop")).unwrap();
    fs::write(path("file"), "").unwrap();
    symlink("file", path("link-to-file")).unwrap();
    for name in ["link", "link/", "link//", "link/.", "link-to-link", "link/below"] {
        for opened in [given(&path(name)), create(name)] {
            opened.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let new = create("link/new/newer").unwrap();
    assert_eq!(new.directory.facts().unwrap().mode, 0o700);
    assert!(path("real/new/newer").is_dir());
    for (name, words) in [
        ("dangling", "is a symbolic link"),
        ("dangling/", "is a symbolic link"),
        ("loop", "is a symbolic link"),
        ("link-to-file", "is not a folder"),
        ("file", "is not a folder"),
    ] {
        for outcome in [given(&path(name)), create(name)] {
            let error = outcome.unwrap_err();
            assert!(error.to_string().ends_with(words), "{name}: {error}");
            assert!(fault(&error).is_some(), "{name}");
        }
    }
    assert!(!path("absent").exists());
    // In place of a folder that the library created, a link is foreign.
    let error = temporary.folder().subfolder("link", true).unwrap_err();
    assert!(error.to_string().ends_with("is a symbolic link"), "{error}");
    assert!(temporary.folder().subfolder("absent", false).unwrap().is_none());
    fs::set_permissions(path("real"), fs::Permissions::from_mode(0o777)).unwrap();
    let error = given(&path("link")).unwrap_err().to_string();
    assert!(error.contains("other users can write to it"), "{error}");
}

#[cfg(unix)]
#[test]
fn only_folders_that_the_library_created_are_changed() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = Temporary::new("folder-modes");
    let path = temporary.0.join("app");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    fs::create_dir(&path).unwrap();
    for (before, own_after) in [(0o755, 0o755), (0o775, 0o755), (0o777, 0o755), (0o1777, 0o1777)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(before)).unwrap();
        let found = given(&path);
        assert_eq!((found.is_ok(), mode()), (before != 0o777, before), "{before:o}");
        temporary.folder().subfolder("app", false).unwrap().unwrap();
        assert_eq!(mode(), own_after, "{before:o}");
    }
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

#[test]
fn the_advice_is_not_to_trust_permissions_that_are_trusted_already() {
    let facts = facts(Kind::File, Owner::Other(7), 0o600);
    let advice = |permissions| {
        let denied = ErrorKind::PermissionDenied.into();
        let error = explain("x".into(), Some(facts), Expected::File, permissions, denied);
        fault(&error).unwrap().advice()
    };
    assert!(advice(Permissions::Checked).contains("trust_file_permissions(true)"));
    let trusted = advice(Permissions::Trusted);
    assert!(!trusted.contains("trust_file_permissions"), "{trusted}");
}

#[test]
fn a_tree_is_removed_and_links_in_it_are_not_followed() {
    let temporary = Temporary::new("remove-tree");
    let (folder, path) = (temporary.folder(), |name: &str| temporary.0.join(name));
    fs::create_dir_all(path("tree").join("below")).unwrap();
    fs::create_dir(path("kept")).unwrap();
    for name in ["tree/a", "tree/below/b", "kept/c"] {
        fs::write(path(name), "12345").unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(path("kept"), path("tree/link")).unwrap();
    assert!(folder.lengths_in("tree").contains(&5));
    folder.remove_tree("tree").unwrap();
    assert!(!path("tree").exists() && path("kept/c").exists());
    assert_eq!(folder.lengths_in("tree"), Vec::<u64>::new());
}
