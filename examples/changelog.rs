//! Notes of a release: collects the pull requests that were merged between two tags, groups them by label, writes
//! them to the release of the second tag, and adds them to `CHANGELOG.md`.
//!
//! ```text
//! cargo run -p octowire-examples --example changelog --features changelog -- OWNER/REPO v1.0.0 v1.1.0
//! ```
//!
//! writes to the repository, with the credentials of the environment. It can be run again: the release is updated,
//! and an existing section of the file stays. `tests/programs/changelog.rs` runs it against a mock of GitHub.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use octowire::types::PullRequestSimple;
use octowire::{Client, OptionalExt as _, RepositoryHandle, Result};

/// A label, and the heading for the pull requests that have it and none of the labels before it.
const SECTIONS: [(&str, &str); 3] =
    [("breaking", "Breaking changes"), ("enhancement", "Added"), ("bug", "Fixed")];

const FILE: &str = "CHANGELOG.md";

/// Maximum number of commits between the tags; each costs a request.
const MAX_COMMITS: usize = 2_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [full_name, from, to] = arguments.as_slice() else {
        return Err("usage: changelog OWNER/REPO FROM_TAG TO_TAG".into());
    };
    println!("{}", publish(&Client::from_env()?, full_name, from, to).await?);
    Ok(())
}

/// Returns the URL of the release.
pub async fn publish(github: &Client, name: &str, from: &str, to: &str) -> Result<String> {
    let repo = github.repo_by_full_name(name)?;
    let notes = notes(github, &repo, &format!("{from}...{to}")).await?;
    add_to_file(&repo, to, &notes).await?;
    write_release(&repo, to, &notes).await
}

async fn notes(github: &Client, repo: &RepositoryHandle, range: &str) -> Result<String> {
    let commits = repo.repos().compare_commits_with_basehead().basehead(range).per_page(100);
    let commits = commits.stream().collect_all(MAX_COMMITS).await?;
    let calls = commits.iter().map(|commit| {
        repo.repos().list_pull_requests_associated_with_commit().commit_sha(&commit.sha).send()
    });
    let mut sections = BTreeMap::<_, BTreeMap<_, _>>::new();
    for pulls in github.batch(calls).collect().await {
        for pull in pulls?.into_iter().filter(|pull| pull.merged_at.is_some()) {
            sections.entry(heading(&pull)).or_default().insert(pull.number, pull.title);
        }
    }
    let mut notes = String::new();
    for (heading, pulls) in sections {
        notes += &format!("### {heading}\n\n");
        notes.extend(pulls.iter().map(|(number, title)| format!("- {title} (#{number})\n")));
        notes += "\n";
    }
    Ok(notes)
}

fn heading(pull: &PullRequestSimple) -> &'static str {
    let has = |name: &str| pull.labels.iter().any(|label| label.name == name);
    let section = SECTIONS.iter().find(|(label, _)| has(label));
    section.map_or("Other changes", |(_, heading)| *heading)
}

async fn write_release(repo: &RepositoryHandle, tag: &str, notes: &str) -> Result<String> {
    let repos = repo.repos();
    let release = match repos.get_release_by_tag().tag(tag).send().await.optional()? {
        Some(release) => repos.update_release().release_id(release.id).body(notes).send().await?,
        None => repos.create_release().tag_name(tag).name(tag).body(notes).send().await?,
    };
    Ok(release.into_inner().html_url)
}

async fn add_to_file(repo: &RepositoryHandle, tag: &str, notes: &str) -> Result<()> {
    let mut call = repo.repos().create_or_update_file_contents().path(FILE);
    let text = match repo.repos().get_content().path(FILE).send().await.optional()? {
        Some(content) => {
            let file = content.file()?;
            // If another commit changes the file meanwhile, GitHub rejects this one.
            call = call.sha(&file.sha);
            file.text()?
        }
        None => "# Changelog\n".to_owned(),
    };
    let heading = format!("\n## {tag}\n");
    if !text.contains(&heading) {
        let (before, after) = text.split_at(text.find("\n## ").unwrap_or(text.len()));
        let text = format!("{before}{heading}\n{}\n{after}", notes.trim_end());
        call.message(format!("Changes of {tag}")).content_bytes(text).send().await?;
    }
    Ok(())
}
