//! The mirror of an organization: what is written, and what the next run requests.

#[path = "../../mirror.rs"]
#[allow(dead_code, reason = "`main` is for the example")]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

use octowire::testing::{MockGitHub, RecordedRequest};
use program::{mirror, with_cache};
use serde_json::{Value, json};

/// A folder of one test, which is removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("mirror-{test}-{}", std::process::id());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join("acme").join(file)
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An organization with three repositories, each with two pages of issues.
async fn organization() -> MockGitHub {
    let mock = MockGitHub::start().await;
    mock.seed_list("issues/list-for-repo", 130);
    mock.on(|github| github.org("acme").repos().list_for_org()).modify_example(|repositories| {
        let mut all = vec![repositories[0].clone(); 3];
        for (repository, name) in all.iter_mut().zip(["one", "two", "three"]) {
            repository["name"] = name.into();
            repository["full_name"] = format!("acme/{name}").into();
        }
        *repositories = all.into();
    });
    mock
}

/// Runs the program, as a new process would. Returns the number of written files, and the requests.
async fn run(mock: &MockGitHub, folder: &Path) -> (usize, Vec<RecordedRequest>) {
    let before = mock.requests().len();
    let github = with_cache(mock.client_builder(), folder).unwrap();
    let written = mirror(&github, "acme", folder).await.unwrap();
    (written, mock.requests().split_off(before))
}

/// Returns whether each response is a 304 if nothing has changed.
fn are_conditional(requests: &[RecordedRequest]) -> bool {
    requests.iter().all(|request| request.headers().contains_key("if-none-match"))
}

#[tokio::test]
async fn a_second_run_sends_only_conditional_requests_and_writes_what_changed() {
    let (mock, folder) = (organization().await, Folder::new("second-run"));
    let (written, requests) = run(&mock, &folder.0).await;
    // The list of repositories; and of each, two pages of issues and one of releases.
    assert_eq!((written, requests.len()), (9, 10));
    assert_eq!(folder.json("one/repository.json")["full_name"], "acme/one");
    assert_eq!(folder.json("two/issues.json").as_array().unwrap().len(), 130);
    assert_eq!(folder.json("three/releases.json")[0]["tag_name"], "v1.0.0");

    let (written, requests) = run(&mock, &folder.0).await;
    assert_eq!((written, requests.len()), (0, 10));
    assert!(are_conditional(&requests));

    let issues = mock.client().repo("acme", "two").issues();
    issues.create().title("It leaks").send().await.unwrap();
    let (written, _) = run(&mock, &folder.0).await;
    assert_eq!(written, 1);
    assert_eq!(folder.json("two/issues.json")[0]["title"], "It leaks");
}

#[tokio::test]
async fn a_run_after_an_interrupted_one_downloads_nothing_again() {
    let (mock, folder) = (organization().await, Folder::new("interrupted"));
    run(&mock, &folder.0).await;
    // The responses had arrived, but not all files were written.
    fs::remove_file(folder.path("two/issues.json")).unwrap();
    fs::remove_file(folder.path("three/releases.json")).unwrap();
    let (written, requests) = run(&mock, &folder.0).await;
    assert_eq!(written, 2);
    assert!(are_conditional(&requests));
}

#[tokio::test]
async fn a_repository_that_fails_does_not_end_the_others() {
    let (mock, folder) = (organization().await, Folder::new("failure"));
    mock.on(|github| github.repo("acme", "one").repos().list_releases()).error(404, "Not Found");
    let github = with_cache(mock.client_builder(), &folder.0).unwrap();
    let error = mirror(&github, "acme", &folder.0).await.unwrap_err();
    assert!(error.to_string().contains("repos/list-releases"), "{error}");
    assert!(!folder.path("one/releases.json").exists());
    assert_eq!(folder.json("three/releases.json").as_array().map(Vec::len), Some(1));
    assert_ne!(folder.json("one/issues.json"), json!([]));
}
