//! After any end of a refresh, the files are all old or all new, at the latest when
//! the next one starts.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;
use std::{env, fs};

use octowire_codegen::load::vendored::sha256;
use octowire_refresh::swap::{FOLDER, ReplacementTransaction};

use crate::refresh::reworded;
use crate::refresh::small_description::Small;
use crate::support::assert_contains;

type Files = BTreeMap<String, Vec<u8>>;

/// The files before a refresh and after it, and a folder that has it to come.
fn old_and_new() -> (Small, String, Files, Files) {
    let small = Small::new();
    let path = small.publish(&reworded("2.0.0"));
    let old = small.openapi();
    assert_eq!(small.run(&[&path]).status, 0);
    let new = small.openapi();
    restore(&small, &old);
    (small, path, old, new)
}

fn restore(small: &Small, files: &Files) {
    for (name, bytes) in files {
        fs::write(small.path("openapi").join(name), bytes).unwrap();
    }
}

#[test]
fn a_refresh_that_is_killed_leaves_everything_old_or_everything_new() {
    let (small, path, old, new) = old_and_new();
    let started = Instant::now();
    small.run(&[&path]);
    let whole = started.elapsed();
    let (mut kept, mut replaced, mut repaired) = (0, 0, 0);
    for step in 0..40 {
        restore(&small, &old);
        let mut refresh = small.command(&[&path]).stdout(Stdio::null()).spawn().unwrap();
        if step % 2 == 0 {
            sleep(whole * step / 32);
        } else {
            // While files are renamed.
            let journal = small.path(FOLDER).join("journal");
            while !journal.exists() && refresh.try_wait().unwrap().is_none() {}
        }
        refresh.kill().unwrap();
        refresh.wait().unwrap();
        let staging = ReplacementTransaction::open(small.root()).unwrap();
        repaired += u32::from(staging.repaired);
        drop(staging);
        let now = small.openapi();
        assert!(now == old || now == new, "neither old nor new, in step {step}");
        assert!(!small.path(FOLDER).exists());
        if now == old {
            kept += 1;
        } else {
            replaced += 1;
        }
    }
    println!("killed: {kept} times old, of which {repaired} were put back; {replaced} times new");
}

/// The folder that `killed_between_two_files` works in, and after how many files it ends.
const KILLED: (&str, &str) = ("OCTOWIRE_TEST_KILLED_IN", "OCTOWIRE_TEST_KILLED_AFTER");

/// The new contents of all files in the killed process; one of the files is new.
const NAMES: [&str; 4] = ["api.github.com.json", "upstream.toml", "added.txt", "LICENSE"];

#[test]
#[ignore = "what `a_kill_between_any_two_files_is_repaired` runs; it ends its process"]
fn killed_between_two_files() {
    let (Some(root), Ok(after)) = (env::var_os(KILLED.0), env::var(KILLED.1)) else { return };
    let after: usize = after.parse().unwrap();
    let staging = ReplacementTransaction::open(root.as_ref()).unwrap();
    let files = NAMES.map(|name| (name, b"new".to_vec()));
    let kill = &mut |replaced| {
        if replaced == after {
            std::process::abort();
        }
    };
    staging.replace_watched(&files, kill).unwrap();
}

#[test]
fn a_kill_between_any_two_files_is_repaired() {
    let small = Small::new();
    let old = small.openapi();
    for after in 0..=NAMES.len() {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "refresh::atomic::killed_between_two_files", "--ignored"])
            .env(KILLED.0, small.root())
            .env(KILLED.1, after.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), None, "it was not killed: {output:?}");
        let now = small.openapi();
        let new = NAMES.iter().filter(|name| now.get(**name).is_some_and(|it| it == b"new"));
        assert_eq!(new.count(), after);
        let staging = ReplacementTransaction::open(small.root()).unwrap();
        assert!(staging.repaired, "after {after} files");
        drop(staging);
        assert!(small.openapi() == old, "after {after} files");
        assert!(!small.path(FOLDER).exists());
    }
}

/// The folder as a kill between two renames leaves it.
fn cut_off(small: &Small, old: &Files, new: &Files, renamed: usize) {
    let folder = small.path(FOLDER);
    fs::create_dir(&folder).unwrap();
    let mut journal = String::new();
    for (index, (name, bytes)) in new.iter().enumerate() {
        let before = match old.get(name) {
            Some(old) => {
                fs::write(folder.join(format!("old-{name}")), old).unwrap();
                sha256(old)
            }
            None => "-".to_owned(),
        };
        journal.push_str(&format!("{before} {} {name}\n", sha256(bytes)));
        let target = match index < renamed {
            true => small.path("openapi").join(name),
            false => folder.join(format!("new-{name}")),
        };
        fs::write(target, bytes).unwrap();
    }
    fs::write(folder.join("journal"), journal).unwrap();
}

#[test]
fn a_refresh_interrupted_between_two_files_is_rolled_back_by_the_next_run() {
    let (small, path, mut old, new) = old_and_new();
    // A new file.
    old.remove("LICENSE");
    for renamed in 0..=new.len() {
        restore(&small, &old);
        let _ = fs::remove_file(small.path("openapi/LICENSE"));
        cut_off(&small, &old, &new, renamed);
        let said = small.run(&["--check", &path]);
        assert_eq!(said.status, 0, "{}", said.text);
        assert_contains(&said.text, "An earlier refresh was interrupted");
        assert!(small.openapi() == old, "after {renamed} files");
        assert!(!small.path(FOLDER).exists());
    }
}

#[test]
fn files_changed_after_an_interruption_are_not_overwritten() {
    let (small, path, old, new) = old_and_new();
    cut_off(&small, &old, &new, new.len());
    small.write("openapi/overlay.yaml", "by hand");
    let mine = small.openapi();
    let said = small.run(&["--check", &path]);
    assert_eq!(said.status, 1, "{}", said.text);
    assert_contains(&said.text, "openapi/overlay.yaml was changed since");
    assert!(small.openapi() == mine, "something was put back");
    // As it was before, it is no change.
    fs::write(small.path("openapi/overlay.yaml"), &old["overlay.yaml"]).unwrap();
    assert_contains(&small.run(&["--check", &path]).text, "An earlier refresh was interrupted");
    assert!(small.openapi() == old);
    // A copy that is not whole is none.
    cut_off(&small, &old, &new, 1);
    small.write(&format!("{FOLDER}/old-LICENSE"), "half");
    let said = small.run(&["--check", &path]);
    assert_contains(
        &said.text,
        "old-LICENSE was modified and is no longer the copy of openapi/LICENSE",
    );
    assert_eq!(said.status, 1);
}

#[test]
fn a_file_that_cannot_be_replaced_puts_the_others_back() {
    let (small, path, mut old, _) = old_and_new();
    // No file takes the place of a folder.
    fs::remove_file(small.path("openapi/LICENSE")).unwrap();
    fs::create_dir_all(small.path("openapi/LICENSE/taken")).unwrap();
    old.remove("LICENSE");
    let said = small.run(&[&path]);
    assert_eq!(said.status, 1, "{}", said.text);
    assert_contains(&said.text, "replacing the files failed");
    fs::remove_dir_all(small.path("openapi/LICENSE")).unwrap();
    assert!(small.openapi() == old);
    assert!(!small.path(FOLDER).exists());
}

#[test]
fn files_that_were_renamed_are_put_back_if_a_later_one_fails() {
    let small = Small::new();
    let old = small.openapi();
    let staging = ReplacementTransaction::open(small.root()).unwrap();
    let files = [
        ("upstream.toml", b"new".to_vec()),
        ("added.txt", b"new".to_vec()),
        // No folder of this name, so it cannot be renamed to its place.
        ("missing/index.txt", b"new".to_vec()),
    ];
    fs::create_dir_all(small.path(FOLDER).join("new-missing")).unwrap();
    let error = staging.replace(&files).unwrap_err().to_string();
    assert_contains(&error, "replacing the files failed");
    assert!(small.openapi() == old);
}
