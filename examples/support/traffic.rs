//! Traffic for the examples that display it.

use std::time::Duration;

use octowire::Client;

/// Some reads, most of them unchanged, some writes, and an occasional failure.
pub async fn traffic(github: Client) {
    for round in 0_u64.. {
        let repo = github.repos().get().owner("octocat").repo("hello-world").send();
        let issues = github.issues().list_for_repo().owner("octocat").repo("hello-world").send();
        // Failures are shown, so they are ignored here.
        let _ = tokio::join!(repo, issues);
        if round % 10 == 0 {
            let create = github.issues().create().owner("octocat").repo("hello-world");
            let _ = create.title(format!("Round {round}")).send().await;
            let missing = github.issues().get().owner("octocat").repo("hello-world");
            let _ = missing.issue_number(1).send().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
