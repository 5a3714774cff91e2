//! A mirror of an organization: writes each repository, its issues and its releases to JSON files, several
//! repositories at a time.
//!
//! ```text
//! cargo run -p octowire-examples --example mirror --features mirror -- ORGANIZATION FOLDER
//! ```
//!
//! reads with the credentials of the environment. Responses are stored in the folder, so that the next run downloads
//! only what has changed. A run that was interrupted is continued in the same way. `tests/programs/mirror.rs` runs it
//! against a mock of GitHub.

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use octowire::cache::CacheConfig;
use octowire::store::DiskStore;
use octowire::types::MinimalRepository;
use octowire::{Client, ClientBuilder};
use serde::Serialize;
use tokio::fs;

type BoxError = Box<dyn Error + Send + Sync>;

/// How long responses are stored after GitHub has confirmed them.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Maximum number of items of a list, which is in memory as a whole.
const MAX_ITEMS: usize = 100_000;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [org, folder] = arguments.as_slice() else {
        return Err("usage: mirror ORGANIZATION FOLDER".into());
    };
    let github = with_cache(Client::builder().credentials_from_env(), folder.as_ref())?;
    println!("{} files were written", mirror(&github, org, folder.as_ref()).await?);
    Ok(())
}

/// Builds a client that stores responses in the folder.
pub fn with_cache(builder: ClientBuilder, folder: &Path) -> octowire::Result<Client> {
    let store = DiskStore::open(folder.join(".cache"))?;
    builder.cache(CacheConfig::store(store).retention(RETENTION)).build()
}

/// Returns the number of files that were written. If a repository fails, the others are written nevertheless.
pub async fn mirror(github: &Client, org: &str, folder: &Path) -> Result<usize, BoxError> {
    let repositories = github.org(org).repos().list_for_org().per_page(100).stream();
    let repositories = repositories.collect_all(MAX_ITEMS).await?;
    let work = repositories.iter().map(|repository| mirror_one(github, repository, folder));
    let total = repositories.len();
    let work = github.batch(work).on_progress(move |progress| {
        eprintln!("{} of {total} repositories", progress.done);
    });
    let results = work.collect().await;
    github.close().await;
    results.into_iter().sum()
}

async fn mirror_one(
    github: &Client,
    repository: &MinimalRepository,
    folder: &Path,
) -> Result<usize, BoxError> {
    let repo = github.repo_by_full_name(&repository.full_name)?;
    let folder = folder.join(repo.to_string());
    let issues = repo.issues().list_for_repo().state("all").per_page(100).stream();
    let releases = repo.repos().list_releases().per_page(100).stream();
    fs::create_dir_all(&folder).await?;
    Ok(save(&folder.join("repository.json"), repository).await?
        + save(&folder.join("issues.json"), &issues.collect_all(MAX_ITEMS).await?).await?
        + save(&folder.join("releases.json"), &releases.collect_all(MAX_ITEMS).await?).await?)
}

/// Writes the value unless the file has it, and returns the number of files that were written. The file is complete or
/// not there.
async fn save(path: &Path, value: &impl Serialize) -> Result<usize, BoxError> {
    let json = serde_json::to_vec_pretty(value)?;
    if fs::read(path).await.is_ok_and(|existing| existing == json) {
        return Ok(0);
    }
    let draft = path.with_extension("draft");
    fs::write(&draft, json).await?;
    fs::rename(draft, path).await?;
    Ok(1)
}
