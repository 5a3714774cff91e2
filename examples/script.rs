//! A script without asynchronous code: it shows a repository, reads a list across its pages, and downloads an archive.
//!
//! ```text
//! cargo run -p octowire-examples --example script --features script
//! ```
//!
//! runs without a token and without a network, against a mock of GitHub.
//!
//! ```text
//! GITHUB_TOKEN=… cargo run -p octowire-examples --example script --features rustls,script -- rust-lang/cargo
//! ```
//!
//! reads from github.com, and only reads.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

use octowire::blocking::{Wait, block_on};
use octowire::testing::MockGitHub;
use octowire::{Client, RepositoryHandle};

/// Maximum number of issues that the script shows.
const SHOWN: usize = 5;

/// Maximum size of the archive, in bytes.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

fn main() -> Result<(), Box<dyn Error>> {
    let archive = env::temp_dir().join(format!("octowire-script-{}.tar.gz", std::process::id()));
    match env::args().nth(1) {
        Some(full_name) => report(&Client::from_env()?.repo_by_full_name(&full_name)?, &archive)?,
        None => {
            // The mock is asynchronous, and runs on the thread of the blocking calls.
            let mock = block_on(MockGitHub::start())?;
            mock.seed_list("issues/list-for-repo", 75);
            report(&mock.client().repo("octocat", "hello-world"), &archive)?;
        }
    }
    fs::remove_file(archive)?;
    Ok(())
}

fn report(repo: &RepositoryHandle, archive: &Path) -> Result<(), Box<dyn Error>> {
    // A call.
    let repository = repo.repos().get().send().wait()?;
    println!("{}, branch {}", repository.full_name, repository.default_branch);

    // A list: further pages are fetched as the loop reads it.
    for issue in repo.issues().list_for_repo().state("open").stream().wait().take(SHOWN) {
        let issue = issue?;
        println!("  #{:<7} {}", issue.number, issue.title);
    }

    // A download: the file is there as a whole, or not at all.
    let call = repo.repos().download_tarball_archive().ref_(repository.default_branch.as_str());
    let saved = call.send().save_to(archive, MAX_ARCHIVE_BYTES).wait()?;
    println!("{} bytes in {}", *saved, archive.display());

    // Errors are those of asynchronous code.
    match repo.issues().get().issue_number(999_999_999).send().wait() {
        Ok(issue) => println!("#{} {}", issue.number, issue.title),
        Err(error) => println!("{error}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_shows_errors_and_saves_the_archive() {
        let mock = block_on(MockGitHub::start()).unwrap();
        mock.seed_list("issues/list-for-repo", 75);
        mock.on(|github| github.issues().get()).error(404, "Not Found");
        let archive = env::temp_dir().join(format!("octowire-test-{}.tar.gz", std::process::id()));
        report(&mock.client().repo("octocat", "hello-world"), &archive).unwrap();
        assert!(fs::metadata(&archive).unwrap().len() > 0);
        fs::remove_file(archive).unwrap();
        assert_eq!(mock.count("repos/download-tarball-archive"), 1);
        mock.assert_called(1, |github| github.issues().get().issue_number(999_999_999));
    }
}
