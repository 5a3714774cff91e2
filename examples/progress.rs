//! Progress bars of a list, of a search and of a batch, with `indicatif`.
//!
//! ```text
//! cargo run -p octowire-examples --example progress --features progress
//! ```
//!
//! runs without a token and without a network, against a mock of GitHub. Bars are shown on a terminal only.

use std::error::Error;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use octowire::Client;
use octowire::testing::MockGitHub;

const OWNER: &str = "octocat";
const REPO: &str = "hello-world";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mock = MockGitHub::start().await;
    mock.seed_list("issues/list-for-repo", 75);
    mock.seed_list("search/repos", 60);
    // So that there is something to see.
    mock.on_any_request().delay(Duration::from_millis(100));
    let github = mock.client();

    let bar = new_bar("pages")?;
    let numbers = read_pages(&github, &bar).await?;
    bar.finish();
    println!("{} issues on {} pages", numbers.len(), bar.position());

    let bar = new_bar("results")?;
    let found = read_results(&github, &bar).await?;
    bar.finish();
    println!("{found} repositories");

    let bar = new_bar("calls")?;
    let failed = read_singly(&github, &numbers, &bar).await;
    bar.finish();
    println!("{} issues one by one, of which {failed} failed", bar.position());
    Ok(())
}

fn new_bar(prefix: &'static str) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{prefix:8} {bar:40} {pos}/{len} {msg}")?;
    Ok(ProgressBar::no_length().with_style(style).with_prefix(prefix))
}

/// A list: GitHub does not report how many items it has, but which page is the last.
async fn read_pages(github: &Client, bar: &ProgressBar) -> octowire::Result<Vec<i64>> {
    let list = github.repo(OWNER, REPO).issues().list_for_repo().state("open");
    let mut pages = list.per_page(10).pages();
    let mut numbers = Vec::new();
    while let Some(page) = pages.try_next().await? {
        numbers.extend(page.iter().map(|issue| issue.number));
        bar.inc(1);
        // It can change with each page. Lists with a cursor have none: then the bar only counts.
        if let Some(last) = pages.last_page() {
            bar.set_length(last);
        }
    }
    Ok(numbers)
}

/// A search: GitHub reports the number of results with each page, and returns the first 1,000.
async fn read_results(github: &Client, bar: &ProgressBar) -> octowire::Result<usize> {
    let mut results = github.search().repos().q("tetris").stream();
    let mut count = 0;
    while results.try_next().await?.is_some() {
        count += 1;
        bar.inc(1);
        if let Some(total) = results.total() {
            bar.set_length(total.min(1_000));
        }
    }
    Ok(count)
}

/// A batch: it knows the number of its calls, and reports each one that has ended. Returns how many failed.
async fn read_singly(github: &Client, numbers: &[i64], bar: &ProgressBar) -> usize {
    let issues = github.repo(OWNER, REPO).issues();
    let call = |number: &i64| issues.get().issue_number(*number).send();
    let calls = numbers.iter().map(call);
    let shown = bar.clone();
    let batch = github.batch(calls).concurrency(5).on_progress(move |progress| {
        if let Some(total) = progress.total {
            shown.set_length(total as u64);
        }
        shown.set_position(progress.done as u64);
        if progress.failed > 0 {
            shown.set_message(format!("{} failed", progress.failed));
        }
    });
    batch.collect().await.iter().filter(|result| result.is_err()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bar_of_a_list_ends_with_its_last_page() {
        let mock = MockGitHub::start().await;
        mock.seed_list("issues/list-for-repo", 25);
        let bar = ProgressBar::hidden();
        let numbers = read_pages(&mock.client(), &bar).await.unwrap();
        assert_eq!(numbers.len(), 25);
        assert_eq!((bar.position(), bar.length()), (3, Some(3)));
    }

    #[tokio::test]
    async fn the_bar_of_a_search_ends_with_its_last_result() {
        let mock = MockGitHub::start().await;
        mock.seed_list("search/repos", 45);
        let bar = ProgressBar::hidden();
        assert_eq!(read_results(&mock.client(), &bar).await.unwrap(), 45);
        assert_eq!((bar.position(), bar.length()), (45, Some(45)));
    }

    #[tokio::test]
    async fn the_bar_of_a_batch_counts_calls_that_fail() {
        let mock = MockGitHub::start().await;
        mock.seed_list("issues/list-for-repo", 9);
        mock.on(|github| github.issues().get().issue_number(3)).error(404, "Not Found");
        let bar = ProgressBar::hidden();
        let numbers: Vec<i64> = (1..=9).collect();
        assert_eq!(read_singly(&mock.client(), &numbers, &bar).await, 1);
        assert_eq!((bar.position(), bar.length()), (9, Some(9)));
        assert_eq!(bar.message(), "1 failed");
    }

    #[test]
    fn the_template_is_valid() {
        let bar = new_bar("pages").unwrap();
        assert_eq!((bar.prefix(), bar.length()), ("pages".to_owned(), None));
    }
}
