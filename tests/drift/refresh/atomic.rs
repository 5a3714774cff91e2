//! However a refresh ends, the files are all old or all new; at the latest when
//! the next one begins.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Instant;

use octowire_refresh::swap::{FOLDER, Staging};

use crate::refresh::reworded;
use crate::refresh::small::Small;
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
        let staging = Staging::open(small.root()).unwrap();
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

/// The folder as a kill between two renames leaves it.
fn cut_off(small: &Small, old: &Files, new: &Files, renamed: usize) {
    let folder = small.path(FOLDER);
    fs::create_dir(&folder).unwrap();
    let mut journal = String::new();
    for (index, (name, bytes)) in new.iter().enumerate() {
        match old.get(name) {
            Some(old) => {
                fs::write(folder.join(format!("old-{name}")), old).unwrap();
                journal.push_str(&format!("replaced {name}\n"));
            }
            None => journal.push_str(&format!("added {name}\n")),
        }
        let target = match index < renamed {
            true => small.path("openapi").join(name),
            false => folder.join(format!("new-{name}")),
        };
        fs::write(target, bytes).unwrap();
    }
    fs::write(folder.join("journal"), journal).unwrap();
}

#[test]
fn what_was_cut_off_between_two_files_is_put_back_by_the_next_run() {
    let (small, path, mut old, new) = old_and_new();
    // One that was not there before.
    old.remove("LICENSE");
    for renamed in 0..=new.len() {
        restore(&small, &old);
        let _ = fs::remove_file(small.path("openapi/LICENSE"));
        cut_off(&small, &old, &new, renamed);
        let said = small.run(&["--check", &path]);
        assert_eq!(said.status, 0, "{}", said.text);
        assert_contains(&said.text, "An earlier refresh was cut off");
        assert!(small.openapi() == old, "after {renamed} files");
        assert!(!small.path(FOLDER).exists());
    }
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
    assert_contains(&said.text, "the files cannot be replaced");
    fs::remove_dir_all(small.path("openapi/LICENSE")).unwrap();
    assert!(small.openapi() == old);
    assert!(!small.path(FOLDER).exists());
}

#[test]
fn files_that_were_renamed_are_put_back_if_a_later_one_fails() {
    let small = Small::new();
    let old = small.openapi();
    let staging = Staging::open(small.root()).unwrap();
    let files = [
        ("upstream.toml", b"new".to_vec()),
        ("added.txt", b"new".to_vec()),
        // No folder of this name, so it cannot be renamed to its place.
        ("missing/index.txt", b"new".to_vec()),
    ];
    fs::create_dir_all(small.path(FOLDER).join("new-missing")).unwrap();
    let error = staging.replace(&files).unwrap_err().to_string();
    assert_contains(&error, "the files cannot be replaced");
    assert!(small.openapi() == old);
}
