//! `../changelog.rs`, written with octocrab.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;

use octocrab::Octocrab;
use octocrab::commits::PullRequestTarget;
use octocrab::models::pulls::PullRequest;
use octocrab::repos::RepoHandler;

type BoxError = Box<dyn Error>;

/// A label, and the heading for the pull requests that have it and none of the labels before it.
const SECTIONS: [(&str, &str); 3] =
    [("breaking", "Breaking changes"), ("enhancement", "Added"), ("bug", "Fixed")];

const FILE: &str = "CHANGELOG.md";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [full_name, from, to] = arguments.as_slice() else {
        return Err("usage: changelog OWNER/REPO FROM_TAG TO_TAG".into());
    };
    let token = env::var("GITHUB_TOKEN").map_err(|_| "GITHUB_TOKEN is not set")?;
    let github = Octocrab::builder().personal_token(token).build()?;
    println!("{}", publish(&github, full_name, from, to).await?);
    Ok(())
}

/// Returns the URL of the release.
pub async fn publish(
    github: &Octocrab,
    full_name: &str,
    from: &str,
    to: &str,
) -> Result<String, BoxError> {
    let (owner, repo) = full_name.split_once('/').ok_or("the name is not OWNER/REPO")?;
    let notes = notes(github, owner, repo, from, to).await?;
    let repos = github.repos(owner, repo);
    add_to_file(&repos, to, &notes).await?;
    Ok(write_release(&repos, to, &notes).await?)
}

async fn notes(
    github: &Octocrab,
    owner: &str,
    repo: &str,
    from: &str,
    to: &str,
) -> octocrab::Result<String> {
    let commits = github.commits(owner, repo);
    let mut sections = BTreeMap::<_, BTreeMap<_, _>>::new();
    for page in 1_u32.. {
        let comparison = commits.compare(from, to).per_page(100).page(page).send().await?;
        if comparison.commits.is_empty() {
            break;
        }
        for commit in comparison.commits {
            let pulls = commits.associated_pull_requests(PullRequestTarget::Sha(commit.sha));
            for pull in pulls.send().await?.into_iter().filter(|pull| pull.merged_at.is_some()) {
                let title = pull.title.clone().unwrap_or_default();
                sections.entry(heading(&pull)).or_default().insert(pull.number, title);
            }
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

fn heading(pull: &PullRequest) -> &'static str {
    let has = |name: &str| pull.labels.iter().flatten().any(|label| label.name == name);
    let section = SECTIONS.iter().find(|(label, _)| has(label));
    section.map_or("Other changes", |(_, heading)| *heading)
}

async fn write_release(
    repos: &RepoHandler<'_>,
    tag: &str,
    notes: &str,
) -> octocrab::Result<String> {
    let releases = repos.releases();
    let release = match releases.get_by_tag(tag).await {
        Ok(release) => releases.update(*release.id).body(notes).send().await?,
        Err(error) if is_not_found(&error) => {
            releases.create(tag).name(tag).body(notes).send().await?
        }
        Err(error) => return Err(error),
    };
    Ok(release.html_url.to_string())
}

async fn add_to_file(repos: &RepoHandler<'_>, tag: &str, notes: &str) -> Result<(), BoxError> {
    let (text, sha) = match repos.get_content().path(FILE).send().await {
        Ok(mut content) => {
            let file = content.take_items().pop().ok_or("CHANGELOG.md is an empty folder")?;
            (file.decoded_content().ok_or("CHANGELOG.md is not a file")?, Some(file.sha))
        }
        Err(error) if is_not_found(&error) => ("# Changelog\n".to_owned(), None),
        Err(error) => return Err(error.into()),
    };
    let heading = format!("\n## {tag}\n");
    if !text.contains(&heading) {
        let (before, after) = text.split_at(text.find("\n## ").unwrap_or(text.len()));
        let text = format!("{before}{heading}\n{}\n{after}", notes.trim_end());
        let message = format!("Changes of {tag}");
        let call = match sha {
            // If another commit changes the file meanwhile, GitHub rejects this one.
            Some(sha) => repos.update_file(FILE, message, text, sha),
            None => repos.create_file(FILE, message, text),
        };
        call.send().await?;
    }
    Ok(())
}

fn is_not_found(error: &octocrab::Error) -> bool {
    matches!(error, octocrab::Error::GitHub { source, .. } if source.status_code == 404)
}
