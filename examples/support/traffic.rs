//! Traffic for the examples that display it.

use std::time::Duration;

use octowire::Client;

/// Some reads, most of them unchanged, some writes, and an occasional failure.
pub async fn traffic(github: Client) {
    let repo = github.repo("octocat", "hello-world");
    for round in 0_u64.. {
        // Failures are shown, so they are ignored here.
        let _ = tokio::join!(repo.repos().get().send(), repo.issues().list_for_repo().send());
        if round % 10 == 0 {
            let _ = repo.issues().create().title(format!("Round {round}")).send().await;
            let _ = repo.issues().get().issue_number(1).send().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
