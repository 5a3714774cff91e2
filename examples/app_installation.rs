//! A service that authenticates as a GitHub App's installations, without code for tokens.
//!
//! ```text
//! cargo run -p octowire-examples --example app_installation --features app_installation
//! ```
//!
//! runs without credentials and without a network, against a fake of GitHub that verifies the App's
//! signatures.
//!
//! ```text
//! GITHUB_APP_ID=… GITHUB_APP_PRIVATE_KEY_PATH=app.pem \
//!     cargo run -p octowire-examples --example app_installation --features app_installation,rustls -- octo-org
//! ```
//!
//! authenticates at github.com as the installation of this organization, and only reads.

#[path = "support/app.rs"]
mod app;
#[path = "support/server.rs"]
mod server;

use std::env;
use std::error::Error;

use octowire::Client;
use octowire::auth::{App, AuthFailure, Installation};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        // The App is that of GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY_PATH.
        Some(org) => work(&Client::from_env()?.installation(Installation::for_org(org))?).await,
        None => {
            let github = app::GitHub::start().await?;
            println!("On a mock of GitHub at {}.\n", github.base_url);
            let app = App::new(github.client_id, github.private_key.clone())?;
            let client = Client::builder()
                .base_url(&github.base_url)
                .auth(app.installation(Installation::for_org("octo-org")))
                .build()?;
            work(&client).await?;
            println!("\n{} tokens were issued for all of this.", github.issued_tokens());
            Ok(())
        }
    }
}

async fn work(github: &Client) -> Result<(), Box<dyn Error>> {
    // The first calls share one token request; the token is refreshed before its hour ends.
    let calls = (0..100).map(|_| repositories(github));
    let responses = futures_util::future::try_join_all(calls).await?;
    println!(
        "{} calls at once as {}: {} repositories",
        responses.len(),
        github.identity(),
        responses[0]
    );

    // The App itself, for the few endpoints that require its JWT.
    let mut installations = github.as_app()?.apps().list_installations().stream();
    while let Some(installation) = installations.try_next().await? {
        // A handle for another installation shares connections, settings and the JWT. Its token only has the
        // permissions that this loop needs.
        let selected = Installation::id(installation.id).permission("metadata", "read");
        let reader = github.installation(selected)?;
        // The account is a user, an organization or an enterprise.
        let account = installation.account.as_ref().and_then(|account| account.as_user());
        let login = account.map_or("an enterprise", |account| account.login.as_str());
        let count = repositories(&reader).await?;
        println!("{} ({login}): {count} repositories", reader.identity());
    }

    // Every failure has a kind and a next step.
    let external = github.installation(Installation::for_user("no-user-of-this-name-0"))?;
    match repositories(&external).await {
        Err(error) if error.auth_failure() == Some(AuthFailure::InstallationNotFound) => {
            println!("\nas expected: {error}");
            Ok(())
        }
        other => Err(format!("not what was expected: {other:?}").into()),
    }
}

/// The number of repositories that a client can access.
async fn repositories(github: &Client) -> octowire::Result<i64> {
    let accessible = github.apps().list_repos_accessible_to_installation().send().await?;
    Ok(accessible.total_count)
}
