//! A user signs in from a terminal, with a browser on another device.
//!
//! ```text
//! cargo run -p octowire-examples --example device_flow --features device_flow
//! ```
//!
//! runs without credentials and without a network, against a fake of GitHub's login whose user takes three
//! seconds.
//!
//! ```text
//! GITHUB_CLIENT_ID=… cargo run -p octowire-examples --example device_flow --features device_flow,rustls
//! ```
//!
//! signs you in at github.com. Enable the device flow in the application's settings.

#[path = "support/login.rs"]
mod login;
#[path = "support/server.rs"]
mod server;

use std::env;
use std::error::Error;

use octowire::Client;
use octowire::auth::{AuthFailure, OAuthApp, UserToken};
use octowire::http::Method;
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (github, oauth) = match env::var("GITHUB_CLIENT_ID") {
        Ok(id) => (Client::builder().build()?, OAuthApp::public_client(id)?),
        Err(_) => {
            let base = login::start().await?;
            println!("Without GITHUB_CLIENT_ID: on a mock of GitHub at {base}.\n");
            let github = Client::builder().base_url(base).build()?;
            (github, OAuthApp::public_client("client-id-of-the-stand-in")?)
        }
    };

    // A GitHub App has permissions; an OAuth app adds .scopes(["repo"]).
    let code = oauth.device_flow(&github).start().await?;
    println!("Open {} and type in {}.", code.verification_uri(), code.user_code());
    println!("Waiting for up to {} minutes …", code.expires_in().as_secs() / 60);

    let token = match code.wait().await {
        Ok(token) => token,
        Err(error) if error.auth_failure() == Some(AuthFailure::Denied) => {
            println!("You did not agree, and nothing happened.");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };

    // The token is refreshed for as long as it is used, without a secret. A tool that runs more than once
    // configures a token store, since a refresh token can be used only once.
    let user =
        github.with_auth(UserToken::new(oauth, token).with_identity("the-user-of-this-tool"));
    let response = user.request(Method::GET, "/user").send::<Value>().await?;
    println!("Signed in as {}.", response["login"].as_str().unwrap_or("unknown"));
    Ok(())
}
