//! A user signs in with the browser.
//!
//! ```text
//! cargo run -p octowire-examples --example oauth_web --features oauth_web
//! ```
//!
//! runs without credentials and without a network, against a fake of GitHub's login page whose user agrees
//! immediately.
//!
//! ```text
//! GITHUB_CLIENT_ID=… GITHUB_CLIENT_SECRET=… \
//!     cargo run -p octowire-examples --example oauth_web --features oauth_web,rustls
//! ```
//!
//! signs you in at github.com. The application needs the callback URL `http://127.0.0.1/callback`; GitHub
//! accepts any port of this machine for it.

#[path = "support/login.rs"]
mod login;
#[path = "support/server.rs"]
mod server;

use std::env;
use std::error::Error;

use octowire::Client;
use octowire::auth::{AuthFailure, OAuthApp, PendingAuthorization, UserToken};
use octowire::http::Method;
use serde_json::Value;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A web application already has a server; this one handles a single callback.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let redirect_uri = format!("http://{}/callback", listener.local_addr()?);

    match (env::var("GITHUB_CLIENT_ID"), env::var("GITHUB_CLIENT_SECRET")) {
        (Ok(id), Ok(secret)) => {
            let github = Client::builder().build()?;
            let oauth = OAuthApp::new(id, secret)?.redirect_uri(redirect_uri)?;
            let page = begin(&oauth, &github)?;
            println!("Open this page in a browser on this machine:\n\n  {}\n", page.url());
            finish(&oauth, &github, page, &listener).await
        }
        _ => {
            let base = login::start().await?;
            println!(
                "Without GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET: on a mock of GitHub at {base}."
            );
            let github = Client::builder().base_url(base).build()?;
            let oauth = OAuthApp::new("client-id-of-the-stand-in", "its-secret")?
                .redirect_uri(redirect_uri)?;
            let page = begin(&oauth, &github)?;
            println!("\nA user would be sent to\n\n  {}\n", page.url());
            println!("The mock's user grants the access.");
            let browser = tokio::spawn(octowire::reqwest::get(page.url().clone()));
            finish(&oauth, &github, page, &listener).await?;
            let seen = browser.await??.text().await?;
            println!("The browser shows: {seen}");
            Ok(())
        }
    }
}

fn begin(oauth: &OAuthApp, github: &Client) -> octowire::Result<PendingAuthorization> {
    // A GitHub App has permissions; an OAuth app adds .scopes(["repo"]).
    let sign_in = oauth.web_flow(github).start()?;

    // The user is away for minutes, and the callback can reach another process, so the pending authorization
    // is stored in the user's session.
    let session = sign_in.into_session();
    PendingAuthorization::from_session(oauth, session)
}

async fn finish(
    oauth: &OAuthApp,
    github: &Client,
    sign_in: PendingAuthorization,
    listener: &TcpListener,
) -> Result<(), Box<dyn Error>> {
    let (mut socket, callback) = loop {
        let (mut socket, _) = listener.accept().await?;
        // Browsers also request an icon, and open connections that they do not use.
        match server::receive(&mut socket).await {
            Ok(Some(request)) if request.target.starts_with("/callback") => {
                break (socket, request.target);
            }
            Ok(Some(_)) => server::respond(&mut socket, "404 Not Found", "", "").await?,
            Ok(None) | Err(_) => {}
        }
    };
    let token = match sign_in.exchange(github, callback).await {
        Ok(token) => token,
        Err(error) => {
            // The user sees no details; the log does, and contains no secret.
            let page = match error.auth_failure() {
                Some(AuthFailure::Denied) => "You did not agree, and nothing happened.",
                _ => "That did not work. Please begin again.",
            };
            server::respond(&mut socket, "400 Bad Request", "", page).await?;
            return Err(error.into());
        }
    };

    // Identify the account of the token, since users choose it themselves.
    let first = github.with_auth(UserToken::new(oauth.clone(), token.clone()));
    let user = first.request(Method::GET, "/user").send::<Value>().await?;
    let name = user["login"].as_str().unwrap_or("unknown");
    server::respond(&mut socket, "200 OK", "", &format!("Hello {name}, you are signed in."))
        .await?;

    // From here on, the token is refreshed for as long as it is used. In production, configure a token store,
    // since a refresh token can be used only once.
    let user = github.with_auth(UserToken::new(oauth.clone(), token).with_identity(name));
    println!("Signed in as {name}, with the identity {}.", user.identity());
    Ok(())
}
