//! A failed refresh changes no file, and reports the cause and advice.

use std::fs::{self, File};

use serde_json::json;

use super::sources::{PACK, npm};
use crate::refresh::small_description::{Small, text};
use crate::refresh::{changed, reworded};
use crate::support::assert_contains;

#[test]
fn a_file_that_is_no_description_is_rejected() {
    let whole = text(&reworded("2.0.0"));
    let version = changed("2.0.0", |document| document["info"]["x-github-plan"] = json!("ghec"));
    let newer = changed("2.0.0", |document| document["openapi"] = json!("3.1.0"));
    for (bytes, says) in [
        (&whole[..whole.len() / 2], "is not valid JSON, or is incomplete"),
        ("", "is not valid JSON, or is incomplete"),
        ("{}", "not an OpenAPI document"),
        (&text(&newer), "unsupported OpenAPI version 3.1.0"),
        (&text(&version), "is the document of ghec, but api.github.com is vendored"),
    ] {
        let small = Small::new();
        small.write("new.json", bytes);
        let new = small.path("new.json");
        assert_contains(&small.fails(small.command(&[&new.to_string_lossy()]), 1), says);
    }
    let small = Small::new();
    assert_contains(&small.fails(small.command(&["./missing.json"]), 1), "cannot read ./missing");
}

#[test]
fn a_stage_that_does_not_take_the_description_is_named_with_the_place() {
    let small = Small::new();
    let new = changed("2.0.0", |document| {
        let thing = &mut document["components"]["schemas"]["thing"];
        thing["properties"]["id"] = json!({ "$ref": "#/components/schemas/gone" });
    });
    let said = small.fails(small.command(&[&small.publish(&new)]), 1);
    assert_contains(&said, "nothing was replaced: the pipeline rejected the document");
    assert_contains(&said, "/components/schemas/gone");
}

#[test]
fn npm_that_fails_is_quoted() {
    let small = Small::new();
    small.publish(&reworded("2.0.0"));
    let offline = "echo 'npm error code ENOTFOUND' >&2; exit 1";
    let said = small.fails(npm(&small, offline, PACK, &[]), 3);
    assert_contains(&said, "npm could not ask for the newest @octokit/openapi");
    assert_contains(&said, "ENOTFOUND");
    let said = small.fails(npm(&small, "echo 2.0.0", offline, &[]), 3);
    assert_contains(&said, "npm could not fetch @octokit/openapi@2.0.0");
    let said = small.fails(npm(&small, "echo 2.0.0", "true", &[]), 1);
    assert_contains(&said, "npm reported success, but @octokit/openapi@2.0.0 is missing");
}

#[test]
fn a_download_that_was_cut_off_is_rejected() {
    let small = Small::new();
    small.publish(&reworded("2.0.0"));
    let cut = format!(
        "{PACK}; head -c 400 \"$folder/octokit-openapi.tgz\" > \"$folder/cut\"; mv \"$folder/cut\" \
         \"$folder/octokit-openapi.tgz\""
    );
    let said = small.fails(npm(&small, "echo 2.0.0", &cut, &[]), 1);
    assert_contains(&said, "tar could not unpack @octokit/openapi@2.0.0 (download it again)");
}

#[test]
fn a_version_other_than_the_requested_one_is_rejected() {
    let small = Small::new();
    small.publish(&reworded("2.0.0"));
    let said = small.fails(npm(&small, "echo 2.0.0", PACK, &["3.0.0"]), 1);
    assert_contains(&said, "requested @octokit/openapi@3.0.0, but npm returned 2.0.0");
}

#[test]
fn a_missing_npm_is_reported() {
    let small = Small::new();
    let mut command = small.command(&[]);
    command.env("PATH", small.path("empty"));
    let said = small.fails(command, 3);
    assert_contains(&said, "cannot run npm to ask for the newest @octokit/openapi");
    assert_contains(&said, "install it, or pass a file");
}

#[test]
fn an_incomplete_vendored_description_is_rejected() {
    let small = Small::new();
    let path = small.publish(&reworded("2.0.0"));
    small.write("openapi/api.github.com.json", &text(&reworded("edited")));
    let said = small.fails(small.command(&[&path]), 1);
    assert_contains(&said, "upstream.toml says");
}

#[test]
fn a_concurrent_refresh_is_rejected() {
    let small = Small::new();
    let path = small.publish(&reworded("2.0.0"));
    let other = File::open(small.path("openapi")).unwrap();
    other.lock().unwrap();
    assert_contains(&small.fails(small.command(&[&path]), 1), "another refresh is in progress");
    drop(other);
    assert_eq!(small.run(&[&path]).status, 0);
}

#[test]
fn an_option_that_is_unknown_gets_the_help() {
    let small = Small::new();
    let said = small.fails(small.command(&["--force"]), 1);
    assert_contains(&said, "unknown option `--force`");
    assert_contains(&said, "Exit status:");
    assert_contains(&small.run(&["--help"]).text, "--prune-overlay");
}

#[test]
fn reports_that_cannot_be_written_keep_the_files_from_being_replaced() {
    let small = Small::new();
    let path = small.publish(&reworded("2.0.0"));
    fs::write(small.path("taken"), "a file").unwrap();
    let taken = small.path("taken");
    let said = small.fails(small.command(&[&path, "--report", &taken.to_string_lossy()]), 1);
    assert_contains(&said, "taken");
}
