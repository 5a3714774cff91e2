//! GitHub's own repository of the description, fetched with git.

use std::process::Command;
use std::{env, fs, path::Path};

use super::{Published, VERSION, read, run, text};
use crate::problem::{Problem, Result};

const URL: &str = "https://github.com/github/rest-api-description";

/// Another URL of it: a mirror, or a clone on this machine.
const VARIABLE: &str = "OCTOWIRE_REST_API_DESCRIPTION";

/// Variables that would redirect git to another repository than the given one; a git hook that runs this has
/// them set.
const ELSEWHERE: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

/// Fetches one commit, and only the requested files of it: the repository has several gigabytes.
pub fn fetch(reference: Option<&str>, work: &Path) -> Result<Published> {
    let url = env::var(VARIABLE).unwrap_or_else(|_| URL.to_owned());
    let reference = reference.unwrap_or("HEAD");
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        // A repository that asks for a password does not exist.
        git.arg("-C").arg(work).args(arguments).env("GIT_TERMINAL_PROMPT", "0");
        ELSEWHERE.iter().for_each(|name| {
            git.env_remove(name);
        });
        let doing = format!(
            "fetch {reference} of {url} (check the network and the name; {VARIABLE} sets another \
             URL; without arguments, npm is used instead)"
        );
        run(&mut git, &doing)
    };
    git(&["init", "--quiet"])?;
    git(&["remote", "add", "origin", &url])?;
    git(&["fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", reference])
        .map_err(Problem::unfetched)?;
    let commit = git(&["rev-parse", "FETCH_HEAD"])?;
    let file = format!("descriptions/{VERSION}/{VERSION}.json");
    let path = work.join("document.json");
    let bytes = git(&["show", &format!("FETCH_HEAD:{file}")])?;
    fs::write(&path, bytes).map_err(|e| Problem::at(&path, "write", &e))?;
    let (bytes, document) = read(&path)?;
    Ok(Published {
        package: "github/rest-api-description".to_owned(),
        version: String::from_utf8_lossy(&commit).trim().to_owned(),
        file,
        license: text(&document["info"]["license"]["name"], "unknown"),
        license_text: git(&["show", "FETCH_HEAD:LICENSE.md"]).ok(),
        bytes,
        document,
        others: None,
    })
}
