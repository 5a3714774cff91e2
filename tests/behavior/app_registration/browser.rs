//! The pages of a registration in a real browser.

use std::time::Duration;

use http::Method;
use octowire::registration::AppRegistration;
use octowire::testing::MockResponse;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{CLIENT_ID, callback_of, client, conversion, github, manifest, pairs};
use crate::browser::Browser;
use crate::support::github_app::Key;

/// GitHub's page is on another origin: the form, its policy and the redirect have to work across the two.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_posts_the_form_without_a_complaint_and_returns_with_the_code() {
    let mock = github(&Key::generate()).await;
    // GitHub's page asks for the name before it creates the App.
    mock.on_request(Method::POST, "/settings/apps/new").respond_with(|request| {
        let callback = callback_of(request).as_str().replace('&', "&amp;");
        let html = format!(
            "<!doctype html><title>GitHub</title><link rel=icon href=data:,>\
             <a id=create href=\"{callback}\">Create GitHub App</a>"
        );
        MockResponse::raw(200, "text/html; charset=utf-8", html)
    });
    let registration = AppRegistration::new(&client(&mock), manifest());
    let pending = registration.start().await.unwrap();
    let page = pending.url().to_string();
    let program = tokio::spawn(pending.finish());

    let mut browser = Browser::start().await;
    browser.open(&page).await;
    let font = browser.value("getComputedStyle(document.body).fontFamily").await;
    assert!(font.as_str().unwrap().contains("system-ui"), "the policy admits the style: {font}");
    let shown = browser.value("document.querySelector('pre').textContent").await;
    let shown: Value = serde_json::from_str(shown.as_str().unwrap()).unwrap();
    assert_eq!(shown["name"], "Octo \"Bot\" <1>");
    follow(&mut browser, "button", "GitHub").await;
    follow(&mut browser, "#create", "The GitHub App is registered").await;
    let link = browser.value("document.querySelector('a').href").await;
    assert_eq!(link, "https://github.com/apps/octo-bot/installations/new");
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    assert_eq!(program.await.unwrap().unwrap().client_id(), CLIENT_ID);
    let requests = mock.requests();
    let posted = requests.iter().find(|request| request.path() == "/settings/apps/new").unwrap();
    let sent: Value = serde_json::from_str(&pairs(posted.body())["manifest"]).unwrap();
    assert_eq!(sent, shown, "the form has the manifest that the page shows");
    // GitHub sees the page's origin, and not its path.
    let origin = posted.headers()["origin"].to_str().unwrap();
    assert!(page.starts_with(&format!("{origin}/")), "{origin}");
    let referrer = posted.headers()["referer"].to_str().unwrap();
    assert_eq!(referrer, format!("{origin}/"));
    assert!(requests.iter().any(|request| request.path() == conversion()));
}

/// Clicks an element that leads to another page, and waits for the page with this title.
///
/// The title comes from the browser's history: a page that is being left answers no question.
async fn follow(browser: &mut Browser, selector: &str, title: &str) {
    let click = format!("setTimeout(() => document.querySelector('{selector}').click()) && 0");
    browser.value(&click).await;
    let start = Instant::now();
    loop {
        let history = browser.ask("Page.getNavigationHistory", json!({})).await;
        let index = history["currentIndex"].as_u64().unwrap();
        if history["entries"][usize::try_from(index).unwrap()]["title"] == title {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "no page {title:?}: {history}");
        sleep(Duration::from_millis(50)).await;
    }
    browser.until("document.readyState === 'complete'").await;
}
