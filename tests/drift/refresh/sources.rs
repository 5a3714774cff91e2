//! The sources of a description.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::{env, fs};

use crate::refresh::reworded;
use crate::refresh::small_description::{Small, text};
use crate::support::assert_contains;

/// An npm that says and packs what `pack` does, put first on the path.
pub fn npm(small: &Small, newest: &str, pack: &str, arguments: &[&str]) -> Command {
    let script = format!(
        "#!/usr/bin/env bash\nset -euo pipefail\ncase \"$*\" in\n*' view '*) {newest} ;;\n*' pack \
         '*) folder=$5; {pack} ;;\nesac\n"
    );
    small.write("bin/npm", &script);
    let path = small.path("bin/npm");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = small.command(arguments);
    let paths = env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{paths}", small.path("bin").display()));
    command.env("PUBLISHED", small.root());
    command
}

/// Packs the published files.
pub const PACK: &str = "tar -C \"$PUBLISHED\" -czf \"$folder/octokit-openapi.tgz\" package";

#[test]
fn the_newest_version_is_npms() {
    let small = Small::new();
    small.publish(&reworded("2.0.0"));
    let output = npm(&small, "echo 2.0.0", PACK, &[]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_contains(&said, "openapi/ is @octokit/openapi 2.0.0 now");
    assert_contains(&small.read("openapi/upstream.toml"), "version = \"2.0.0\"");
}

#[test]
fn a_version_that_is_named_is_fetched_without_asking_for_the_newest() {
    let small = Small::new();
    small.publish(&reworded("1.5.0"));
    let output = npm(&small, "exit 1", PACK, &["1.5.0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_contains(&small.read("openapi/upstream.toml"), "version = \"1.5.0\"");
}

#[test]
fn a_file_that_is_of_no_package_is_recorded_as_a_file() {
    let small = Small::new();
    small.write("mine.json", &text(&reworded("7")));
    let said = small.run(&[&small.path("mine.json").to_string_lossy()]);
    assert_eq!(said.status, 0, "{}", said.text);
    let upstream = small.read("openapi/upstream.toml");
    assert_contains(&upstream, "package = \"file\"\nversion = \"7\"\nfile = \"mine.json\"\n");
    assert_eq!(small.read("openapi/LICENSE"), "Old licence");
}

fn git(small: &Small, arguments: &[&str]) -> String {
    // Independent of the configuration of this machine.
    let settings = [
        "user.name=t",
        "user.email=t@example.com",
        "commit.gpgsign=false",
        "tag.gpgsign=false",
        "core.hooksPath=/dev/null",
    ];
    let output = Command::new("git")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .arg("-C")
        .arg(small.path("upstream"))
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_github_repository_source_uses_its_newest_or_a_named_commit() {
    let small = Small::new();
    let file = "upstream/descriptions/api.github.com/api.github.com.json";
    small.write("upstream/LICENSE.md", "Git licence");
    let mut commits = Vec::new();
    for version in ["1.1.4", "1.1.5"] {
        small.write(file, &text(&reworded(version)));
        if commits.is_empty() {
            git(&small, &["init", "--quiet"]);
        }
        git(&small, &["add", "."]);
        git(&small, &["commit", "--quiet", "--message", version]);
        git(&small, &["tag", version]);
        commits.push(git(&small, &["rev-parse", "HEAD"]));
    }
    let url = format!("file://{}", small.path("upstream").display());
    for (reference, commit, version) in [(None, 1, "1.1.5"), (Some("1.1.4"), 0, "1.1.4")] {
        let mut command = small.command(&["--from", "rest-api-description"]);
        command.args(reference).env("OCTOWIRE_REST_API_DESCRIPTION", &url);
        // As a hook of git's has it.
        command.env("GIT_DIR", small.path("elsewhere")).env("GIT_WORK_TREE", small.root());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let upstream = small.read("openapi/upstream.toml");
        assert_contains(&upstream, "package = \"github/rest-api-description\"\n");
        assert_contains(&upstream, &format!("version = \"{}\"\n", commits[commit]));
        let document = small.read("openapi/api.github.com.json");
        assert_eq!(document, text(&reworded(version)));
        assert_eq!(small.read("openapi/LICENSE"), "Git licence");
    }
}

#[test]
fn an_unreachable_repository_is_named_with_advice() {
    let small = Small::new();
    let mut command = small.command(&["--from", "rest-api-description"]);
    command.env("OCTOWIRE_REST_API_DESCRIPTION", "file:///nowhere/at/all");
    let said = small.fails(command, 3);
    assert_contains(&said, "fetch HEAD of file:///nowhere/at/all");
    assert_contains(&said, "npm is used instead");
}
