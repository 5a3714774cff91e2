//! `../triage.rs`, written with octocrab.

use std::env;
use std::error::Error;

use octocrab::issues::IssueHandler;
use octocrab::models::issues::Issue;
use octocrab::{Octocrab, params};

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
    pub number: u64,
    pub title: String,
    /// The labels that it receives.
    pub labels: Vec<String>,
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
    let token = env::var("GITHUB_TOKEN").map_err(|_| "GITHUB_TOKEN is not set")?;
    let github = Octocrab::builder().personal_token(token).build()?;
    let triaged = triage(&github, full_name, dry_run).await?;
    println!(" issue  labels                   title");
    for Triaged { number, title, labels } in triaged {
        println!("{number:>6}  {:<23}  {title}", labels.join(", "));
    }
    Ok(())
}

pub async fn triage(
    github: &Octocrab,
    full_name: &str,
    dry_run: bool,
) -> Result<Vec<Triaged>, Box<dyn Error>> {
    let (owner, repo) = full_name.split_once('/').ok_or("the name is not OWNER/REPO")?;
    let issues = github.issues(owner, repo);
    let mut triaged = Vec::new();
    let page = issues.list().state(params::State::Open).per_page(100).send().await?;
    for issue in github.all_pages(page).await? {
        // GitHub lists pull requests as issues.
        if issue.pull_request.is_some() || !issue.labels.is_empty() {
            continue;
        }
        let labels = labels_for(&issue);
        if !dry_run && !labels.is_empty() {
            // If a run ends between the two, the next one finds the issue, and its comment.
            comment_once(github, &issues, issue.number, &labels).await?;
            issues.add_labels(issue.number, &labels).await?;
        }
        triaged.push(Triaged { number: issue.number, title: issue.title, labels });
    }
    Ok(triaged)
}

fn labels_for(issue: &Issue) -> Vec<String> {
    let body = issue.body.as_deref().unwrap_or_default();
    let text = format!("{}\n{body}", issue.title).to_lowercase();
    let matches = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let labels = RULES.iter().filter(|(_, words)| matches(words));
    labels.map(|(label, _)| String::from(*label)).collect()
}

async fn comment_once(
    github: &Octocrab,
    issues: &IssueHandler<'_>,
    number: u64,
    labels: &[String],
) -> octocrab::Result<()> {
    let page = issues.list_comments(number).per_page(100).send().await?;
    for comment in github.all_pages(page).await? {
        if comment.body.is_some_and(|body| body.contains(MARKER)) {
            return Ok(());
        }
    }
    let body = format!("Thank you! By its words, this is: {}.\n\n{MARKER}", labels.join(", "));
    issues.create_comment(number, body).await?;
    Ok(())
}
