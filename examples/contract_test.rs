//! How an application tests itself against GitHub's contract: its operations are pinned, and its code runs
//! against a mock that conforms to GitHub's OpenAPI description.
//!
//! ```text
//! cargo test -p octowire-examples --example contract_test --features contract_test
//! ```
//!
//! In an application, `octowire` is a dependency, and also a dev-dependency with the feature `testing`; the
//! tests are in `tests/`. The pin, `contract_test.pin.json`, is committed:
//! `OCTOWIRE_UPDATE_PIN=1 cargo test …` writes it again.

use octowire::{RepositoryHandle, Result};

/// The application: it adds a label to every open issue without one.
async fn triage(repo: &RepositoryHandle) -> Result<usize> {
    let mut labelled = 0;
    let mut issues = repo.issues().list_for_repo().state("open").stream();
    while let Some(issue) = issues.try_next().await? {
        if issue.labels.is_empty() {
            let update = repo.issues().update().issue_number(issue.number);
            update.labels(["triage"]).send().await?;
            labelled += 1;
        }
    }
    Ok(labelled)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mock = octowire::testing::MockGitHub::start().await;
    let repo = mock.client().repo("acme", "rocket");
    repo.issues().create().title("It leaks").send().await?;
    println!("{} issues got a label", triage(&repo).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use octowire::contract::{ResponseValidator, operations};
    use octowire::testing::{Fault, MockGitHub};

    use super::triage;

    /// Fails when a new version of the library changes an operation that the application calls.
    #[test]
    fn the_operations_in_use_are_unchanged() {
        let pin = concat!(env!("CARGO_MANIFEST_DIR"), "/contract_test.pin.json");
        operations!["issues/list-for-repo", "issues/update"].assert_pinned(pin);
    }

    #[tokio::test]
    async fn issues_without_a_label_get_one() {
        let mock = MockGitHub::start().await;
        // In a staging environment, the same checker validates GitHub's own responses.
        let checker = ResponseValidator::new();
        let github = mock.client_builder().response_validator(checker.clone()).build().unwrap();
        let repo = github.repo("acme", "rocket");
        for title in ["It leaks", "It is loud"] {
            repo.issues().create().title(title).send().await.unwrap();
        }

        assert_eq!(triage(&repo).await.unwrap(), 2);
        assert_eq!(triage(&repo).await.unwrap(), 0, "they have one now");
        mock.assert_called(2, |github| github.issues().update().labels(["triage"]));
        assert!(mock.deviations().is_empty() && checker.deviations().is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_no_trouble() {
        let mock = MockGitHub::start().await;
        let list = mock
            .on(|github| github.issues().list_for_repo())
            .fault(Fault::Reset)
            .fault(Fault::ServerError(502))
            .json([0; 0]);
        assert_eq!(triage(&mock.client().repo("acme", "rocket")).await.unwrap(), 0);
        assert_eq!(list.requests(), 3);
    }
}
