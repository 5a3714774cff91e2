//! Registers a GitHub App from a manifest, keeps its credentials encrypted, and loads them as a service would.
//!
//! ```text
//! cargo run -p octowire-examples --example register_app --features register_app
//! ```
//!
//! runs without credentials and without a network, against a mock of GitHub whose page creates the App at once.
//!
//! ```text
//! OCTOWIRE_STORE_KEY=$(openssl rand -base64 32) \
//!     cargo run -p octowire-examples --example register_app --features register_app,rustls -- production
//! ```
//!
//! registers an App at github.com for your account, as the App of the environment `production`. Keep the key:
//! without it, the stored credentials are lost.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::time::Duration;

use octowire::Client;
use octowire::auth::{
    AuthFailure, EncryptedFileTokenStore, EncryptionKey, MemoryTokenStore, PermissionLevel,
    RegisteredApp, TokenStore,
};
use octowire::http::Method;
use octowire::registration::{AppManifest, AppRegistration};
use octowire::testing::{MockGitHub, MockResponse};
use serde_json::Value;
use url::{Url, form_urlencoded};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(environment) = env::args().nth(1) {
        let key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
        let store = EncryptedFileTokenStore::open("github-apps", key)?;
        let github = Client::builder().build()?;
        let ask =
            |page: Url| println!("Open this page in a browser on this machine:\n\n  {page}\n");
        report(&load_or_register(&github, &store, &environment, ask).await?);
        return Ok(());
    }

    let mock = MockGitHub::start().await;
    play_registration_page(&mock);
    println!("Without the name of an environment: on a mock of GitHub at {}.\n", mock.base_url());
    let (github, store) = (mock.client(), MemoryTokenStore::new());
    for run in ["first", "second"] {
        println!("The {run} run of the program:");
        let ask = |page: Url| {
            println!("  a person opens {page} and confirms");
            tokio::spawn(confirm(page));
        };
        report(&load_or_register(&github, &store, "production", ask).await?);
    }
    Ok(())
}

/// Loads the App of an environment. Without one, registers it: the store is read before GitHub creates an App.
async fn load_or_register(
    github: &Client,
    store: &dyn TokenStore,
    environment: &str,
    open: impl FnOnce(Url),
) -> octowire::Result<RegisteredApp> {
    match RegisteredApp::load(store, environment).await {
        Err(error) if error.auth_failure() == Some(AuthFailure::Missing) => {}
        loaded => return loaded,
    }
    let manifest = AppManifest::new("https://bot.example.com")
        .name(format!("Octo Bot ({environment})"))
        .webhook("https://bot.example.com/webhooks")
        .webhook_active(false)
        .permissions([("issues", PermissionLevel::Write), ("metadata", PermissionLevel::Read)])
        .event("issues");
    let registration = AppRegistration::new(github, manifest).start().await?;
    open(registration.url().clone());
    let app = registration.finish().await?;
    save(&app, store, environment).await?;
    Ok(app)
}

/// Saves the credentials. GitHub issues them once: they are only in `app` until a store has them.
async fn save(
    app: &RegisteredApp,
    store: &dyn TokenStore,
    environment: &str,
) -> octowire::Result<()> {
    const MAX_ATTEMPTS: u32 = 10;
    let mut attempts = 1;
    let error = loop {
        match app.save(store, environment).await {
            Ok(()) => return Ok(()),
            // Such as a full disk, or a server that does not respond.
            Err(error)
                if error.auth_failure() == Some(AuthFailure::Store) && attempts < MAX_ATTEMPTS =>
            {
                eprintln!("not saved, trying again in 5 s: {error}");
                tokio::time::sleep(Duration::from_secs(5)).await;
                attempts += 1;
            }
            // Another attempt would fail as well. Another process can have registered an App for this environment.
            Err(error) => break error,
        }
    };
    let other = format!("registered-{}", app.id());
    match app.save(store, &other).await {
        Ok(()) => eprintln!("saved for the environment {other} instead: use it, or delete the App"),
        Err(_) => eprintln!(
            "The App {} exists, and its credentials are lost. Generate new ones on its settings page, and \
             save them with RegisteredApp::new; or delete it.",
            app.client_id()
        ),
    }
    Err(error)
}

fn report(app: &RegisteredApp) {
    println!("  the App has the id {} and the client id {}", app.id(), app.client_id());
    if let Some(url) = app.install_url() {
        println!("  install it at {url}");
    }
}

/// GitHub's page for manifests, which creates the App without a question.
fn play_registration_page(mock: &MockGitHub) {
    mock.on_request(Method::POST, "/settings/apps/new").respond_with(|request| {
        let pairs = |text: &[u8]| -> HashMap<String, String> {
            form_urlencoded::parse(text).into_owned().collect()
        };
        let manifest: Value =
            serde_json::from_str(&pairs(request.body())["manifest"]).unwrap_or_default();
        let state = &pairs(request.query().as_bytes())["state"];
        let redirect = manifest["redirect_url"].as_str().unwrap_or_default();
        let location = format!("{redirect}?code=of-the-mock&state={state}");
        MockResponse::raw(302, "text/html", "").header("location", &location)
    });
}

/// A person's browser: it opens the page, and posts its form.
async fn confirm(page: Url) -> octowire::reqwest::Result<()> {
    let browser = octowire::reqwest::Client::new();
    let html = browser.get(page).send().await?.text().await?;
    let attribute = |before: &str| {
        let rest = html.split_once(before).map_or("", |(_, rest)| rest);
        let value = rest.split_once('"').map_or("", |(value, _)| value);
        value.replace("&quot;", "\"").replace("&#123;", "{").replace("&amp;", "&")
    };
    let form = [("manifest", attribute("name=\"manifest\" value=\""))];
    browser.post(attribute("action=\"")).form(&form).send().await?.error_for_status()?;
    println!("  the browser shows that the App is registered");
    Ok(())
}
