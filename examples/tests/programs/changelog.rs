//! The notes of a release, in the release and in `CHANGELOG.md`.

#[path = "../../changelog.rs"]
#[allow(dead_code, reason = "`main` is for the example")]
mod program;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octowire::testing::MockGitHub;
use program::publish;
use serde_json::{Value, json};

const NOTES: &str = "### Added\n\n- A new engine (#8)\n\n### Fixed\n\n- Fix the leak (#7)\n\n";

/// Three commits between the tags: two of merged pull requests, one of a pull request that is open.
async fn repository() -> MockGitHub {
    let mock = MockGitHub::start().await;
    // The mock takes the more specific of the two operations with this path.
    mock.on(|github| github.repos().compare_commits().base("v1.0.0").head("v1.1.0"))
        .modify_example(|comparison| {
            let mut commits = vec![comparison["commits"][0].clone(); 3];
            for (commit, sha) in commits.iter_mut().zip(["a", "b", "c"]) {
                commit["sha"] = sha.repeat(40).into();
            }
            comparison["commits"] = commits.into();
            comparison["total_commits"] = 3.into();
        });
    let merged = json!("2026-11-30T12:00:00Z");
    for (sha, number, title, label, merged_at) in [
        ("a", 7, "Fix the leak", "bug", &merged),
        ("b", 8, "A new engine", "enhancement", &merged),
        ("c", 9, "A draft", "bug", &Value::Null),
    ] {
        mock.on(|github| {
            let pulls = github.repos().list_pull_requests_associated_with_commit();
            pulls.commit_sha(sha.repeat(40))
        })
        .modify_example(|pulls| {
            pulls[0]["number"] = number.into();
            pulls[0]["title"] = title.into();
            pulls[0]["labels"][0]["name"] = label.into();
            pulls[0]["merged_at"] = merged_at.clone();
        });
    }
    mock
}

/// Sets the text of `CHANGELOG.md`.
fn set_file(mock: &MockGitHub, text: &str) {
    mock.on(|github| github.repos().get_content().path("CHANGELOG.md")).modify_example(|file| {
        file["encoding"] = "base64".into();
        file["content"] = STANDARD.encode(text).into();
        file["size"] = text.len().into();
        file["sha"] = "d".repeat(40).into();
    });
}

/// Returns the SHA and the text of the file that was written.
fn written_file(mock: &MockGitHub) -> (Value, String) {
    let id = "repos/create-or-update-file-contents";
    let requests = mock.requests();
    let sent = requests.iter().find(|request| request.operation_id() == Some(id)).unwrap().json();
    let bytes = STANDARD.decode(sent["content"].as_str().unwrap()).unwrap();
    (sent["sha"].clone(), String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn a_release_and_a_file_that_exist_are_updated() {
    let mock = repository().await;
    set_file(&mock, "# Changelog\n\n## v1.0.0\n\n- The first.\n");
    publish(&mock.client(), "acme/rocket", "v1.0.0", "v1.1.0").await.unwrap();
    mock.assert_called(1, |github| {
        github.repo("acme", "rocket").repos().update_release().release_id(1).body(NOTES)
    });
    let (sha, text) = written_file(&mock);
    assert_eq!(sha, "d".repeat(40));
    assert_eq!(text, format!("# Changelog\n\n## v1.1.0\n\n{NOTES}## v1.0.0\n\n- The first.\n"));
}

#[tokio::test]
async fn a_release_and_a_file_that_do_not_exist_are_created() {
    let mock = repository().await;
    mock.on(|github| github.repos().get_content()).error(404, "Not Found");
    mock.on(|github| github.repos().get_release_by_tag().tag("v1.1.0")).error(404, "Not Found");
    publish(&mock.client(), "acme/rocket", "v1.0.0", "v1.1.0").await.unwrap();
    mock.assert_called(1, |github| {
        let release = github.repo("acme", "rocket").repos().create_release();
        release.tag_name("v1.1.0").name("v1.1.0").body(NOTES)
    });
    let (sha, text) = written_file(&mock);
    assert_eq!(sha, Value::Null);
    assert_eq!(text, format!("# Changelog\n\n## v1.1.0\n\n{}\n", NOTES.trim_end()));
}

#[tokio::test]
async fn a_section_that_exists_stays() {
    let mock = repository().await;
    set_file(&mock, "# Changelog\n\n## v1.1.0\n\n- By hand.\n");
    publish(&mock.client(), "acme/rocket", "v1.0.0", "v1.1.0").await.unwrap();
    assert_eq!(mock.count("repos/create-or-update-file-contents"), 0);
    assert_eq!(mock.count("repos/update-release"), 1);
}

#[tokio::test]
async fn a_change_of_the_file_meanwhile_is_a_conflict() {
    let mock = repository().await;
    set_file(&mock, "# Changelog\n");
    mock.on(|github| github.repos().create_or_update_file_contents())
        .error(409, "CHANGELOG.md does not match");
    let published = publish(&mock.client(), "acme/rocket", "v1.0.0", "v1.1.0").await;
    assert!(published.unwrap_err().is_conflict());
    assert_eq!(mock.count("repos/update-release"), 0);
}
