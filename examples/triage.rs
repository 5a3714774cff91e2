//! Triage of a repository: labels the open issues without a label by words in them, comments once on each, and
//! prints a table.
//!
//! ```text
//! cargo run -p octowire-examples --example triage --features triage -- OWNER/REPO --dry-run
//! ```
//!
//! only reads, and shows what it would write; without `--dry-run`, it writes. The credentials are those of the
//! environment. `tests/programs/triage.rs` runs it against a mock of GitHub.

use std::env;
use std::error::Error;

use octowire::types::Issue;
use octowire::{Client, RepositoryHandle};

/// A label, and the words of which an issue has at least one to receive it.
const RULES: [(&str, &[&str]); 3] = [
    ("bug", &["crash", "error", "panic", "regression"]),
    ("documentation", &["docs", "guide", "readme", "typo"]),
    ("question", &["how do i", "how to", "is it possible"]),
];

/// A part of the comment, by which a later run recognizes it.
const MARKER: &str = "<!-- triage -->";

/// An issue that had no label.
pub struct Triaged {
    pub number: i64,
    pub title: String,
    /// The labels that it receives.
    pub labels: Vec<&'static str>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (full_name, dry_run) = match arguments.as_slice() {
        [full_name] => (full_name, false),
        [full_name, "--dry-run"] | ["--dry-run", full_name] => (full_name, true),
        _ => return Err("usage: triage OWNER/REPO [--dry-run]".into()),
    };
    let triaged = triage(&Client::from_env()?, full_name, dry_run).await?;
    println!(" issue  labels                   title");
    for Triaged { number, title, labels } in triaged {
        println!("{number:>6}  {:<23}  {title}", labels.join(", "));
    }
    Ok(())
}

pub async fn triage(
    github: &Client,
    full_name: &str,
    dry_run: bool,
) -> octowire::Result<Vec<Triaged>> {
    let repo = github.repo_by_full_name(full_name)?;
    let mut triaged = Vec::new();
    let mut issues = repo.issues().list_for_repo().state("open").per_page(100).stream();
    while let Some(issue) = issues.try_next().await? {
        // GitHub lists pull requests as issues.
        if issue.pull_request.is_some() || !issue.labels.is_empty() {
            continue;
        }
        let labels = labels_for(&issue);
        if !dry_run && !labels.is_empty() {
            // If a run ends between the two, the next one finds the issue, and its comment.
            comment_once(&repo, issue.number, &labels).await?;
            repo.issues().add_labels().issue_number(issue.number).labels(&labels).send().await?;
        }
        triaged.push(Triaged { number: issue.number, title: issue.title, labels });
    }
    Ok(triaged)
}

fn labels_for(issue: &Issue) -> Vec<&'static str> {
    let body = issue.body.as_deref().unwrap_or_default();
    let text = format!("{}\n{body}", issue.title).to_lowercase();
    let matches = |words: &[&str]| words.iter().any(|word| text.contains(word));
    RULES.iter().filter(|(_, words)| matches(words)).map(|(label, _)| *label).collect()
}

async fn comment_once(
    repo: &RepositoryHandle,
    number: i64,
    labels: &[&str],
) -> octowire::Result<()> {
    let mut comments = repo.issues().list_comments().issue_number(number).stream();
    while let Some(comment) = comments.try_next().await? {
        if comment.body.is_some_and(|body| body.contains(MARKER)) {
            return Ok(());
        }
    }
    let body = format!("Thank you! By its words, this is: {}.\n\n{MARKER}", labels.join(", "));
    repo.issues().create_comment().issue_number(number).body(body).send().await?;
    Ok(())
}
