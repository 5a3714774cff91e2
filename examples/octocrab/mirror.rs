//! `../mirror.rs`, written with octocrab.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};
use http::{HeaderMap, Uri};
use octocrab::service::middleware::cache::{CacheKey, CacheStorage, CacheWriter, CachedResponse};
use octocrab::{Octocrab, Page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::fs;

type BoxError = Box<dyn Error + Send + Sync>;

/// Maximum number of repositories at a time.
const CONCURRENCY: usize = 10;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [org, folder] = arguments.as_slice() else {
        return Err("usage: mirror ORGANIZATION FOLDER".into());
    };
    let token = env::var("GITHUB_TOKEN").map_err(|_| "GITHUB_TOKEN is not set")?;
    let cache = DiskCache { folder: Path::new(folder).join(".cache") };
    fs::create_dir_all(&cache.folder).await?;
    let github = Octocrab::builder().personal_token(token).cache(cache).build()?;
    println!("{} files were written", mirror(&github, org, folder.as_ref()).await?);
    Ok(())
}

/// Returns the number of files that were written. If a repository fails, the others are written nevertheless.
pub async fn mirror(github: &Octocrab, org: &str, folder: &Path) -> Result<usize, BoxError> {
    // As JSON, since octocrab's types drop the properties that they do not have.
    let repositories = list(github, &format!("/orgs/{org}/repos?per_page=100")).await?;
    let total = repositories.len();
    let work = repositories.iter().map(|repository| mirror_one(github, repository, folder));
    let mut running = stream::iter(work).buffer_unordered(CONCURRENCY);
    let (mut results, mut done) = (Vec::new(), 0);
    while let Some(result) = running.next().await {
        done += 1;
        eprintln!("{done} of {total} repositories");
        results.push(result);
    }
    results.into_iter().sum()
}

async fn mirror_one(
    github: &Octocrab,
    repository: &Value,
    folder: &Path,
) -> Result<usize, BoxError> {
    let full_name = repository["full_name"].as_str().ok_or("a repository has no full name")?;
    let folder = folder.join(full_name);
    fs::create_dir_all(&folder).await?;
    let issues = list(github, &format!("/repos/{full_name}/issues?state=all&per_page=100")).await?;
    let releases = list(github, &format!("/repos/{full_name}/releases?per_page=100")).await?;
    Ok(save(&folder.join("repository.json"), repository).await?
        + save(&folder.join("issues.json"), &issues).await?
        + save(&folder.join("releases.json"), &releases).await?)
}

async fn list(github: &Octocrab, route: &str) -> octocrab::Result<Vec<Value>> {
    let page: Page<Value> = github.get(route, None::<&()>).await?;
    github.all_pages(page).await
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

/// Responses in files: octocrab has a cache in memory.
struct DiskCache {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: CacheKey,
    response: CachedResponse,
}

struct EntryWriter {
    path: PathBuf,
    entry: Entry,
}

impl DiskCache {
    fn path(&self, uri: &Uri) -> PathBuf {
        self.folder.join(uri.to_string().replace(['/', ':', '?', '&'], "_"))
    }

    fn read(&self, uri: &Uri) -> Option<Entry> {
        serde_json::from_slice(&std::fs::read(self.path(uri)).ok()?).ok()
    }
}

impl CacheStorage for DiskCache {
    fn try_hit(&self, uri: &Uri) -> Option<CacheKey> {
        Some(self.read(uri)?.key)
    }

    fn load(&self, uri: &Uri) -> Option<CachedResponse> {
        Some(self.read(uri)?.response)
    }

    fn writer(&self, uri: &Uri, key: CacheKey, headers: HeaderMap) -> Box<dyn CacheWriter> {
        let response = CachedResponse { body: Vec::new(), headers };
        Box::new(EntryWriter { path: self.path(uri), entry: Entry { key, response } })
    }
}

impl CacheWriter for EntryWriter {
    fn write_body(&mut self, data: &[u8]) {
        self.entry.response.body.extend_from_slice(data);
    }
}

impl Drop for EntryWriter {
    /// The body has arrived, or has broken off: a writer is not told which.
    fn drop(&mut self) {
        if let Ok(json) = serde_json::to_vec(&self.entry) {
            let _ = std::fs::write(&self.path, json);
        }
    }
}
