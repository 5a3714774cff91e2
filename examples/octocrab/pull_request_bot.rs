//! `../pull_request_bot.rs`, written with octocrab.

use std::collections::{BTreeSet, HashSet};
use std::env;
use std::error::Error;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use octocrab::Octocrab;
use octocrab::models::webhook_events::payload::PullRequestWebhookEventAction;
use octocrab::models::webhook_events::{
    WebhookEvent, WebhookEventError, WebhookEventPayload, WebhookVerifier,
};
use octocrab::params::checks::{CheckRunConclusion, CheckRunOutput, CheckRunStatus};
use tokio::net::TcpListener;

type BoxError = Box<dyn Error + Send + Sync>;

/// The beginning of a path, and the label of pull requests that change a file there.
const LABELS: [(&str, &str); 3] =
    [(".github/", "ci"), ("docs/", "documentation"), ("src/", "code")];

const CHECK: &str = "Changed paths";

/// A part of the comment, by which a later attempt recognizes it.
const MARKER: &str = "<!-- changed paths -->";

/// Maximum size of a delivery, in bytes, as GitHub documents it.
const MAX_BODY: usize = 25 * 1024 * 1024;

struct Bot {
    github: Octocrab,
    verifier: WebhookVerifier,
    /// The ids of the deliveries that were accepted, until the process ends.
    accepted: Mutex<HashSet<String>>,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = env::args().nth(1).ok_or("usage: pull_request_bot ADDRESS:PORT")?;
    let variable = |name: &str| env::var(name).map_err(|_| format!("{name} is not set"));
    let app_id: u64 = variable("GITHUB_APP_ID")?.parse()?;
    let key = fs::read(variable("GITHUB_APP_PRIVATE_KEY_PATH")?)?;
    let bot = Arc::new(Bot {
        github: Octocrab::builder().app_from_rsa_pem(app_id.into(), key)?.build()?,
        verifier: WebhookVerifier::new(variable("WEBHOOK_SECRET")?),
        accepted: Mutex::default(),
    });
    let app = Router::new()
        .route("/", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(bot);
    let shutdown = async {
        // Without signals, it serves until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await?;
    Ok(())
}

async fn receive(State(bot): State<Arc<Bot>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(name), Some(signature), Some(id)) =
        (header("x-github-event"), header("x-hub-signature-256"), header("x-github-delivery"))
    else {
        return StatusCode::BAD_REQUEST;
    };
    let event = match bot.verifier.verify_and_parse(name, signature, &body) {
        Ok(event) => event,
        Err(WebhookEventError::Verification { .. }) => return StatusCode::UNAUTHORIZED,
        Err(_) => return StatusCode::BAD_REQUEST,
    };
    let mut accepted = bot.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    if !accepted.insert(id.to_owned()) {
        return StatusCode::OK;
    }
    drop(accepted);
    // GitHub waits for ten seconds only. A delivery whose handler fails is lost.
    tokio::spawn(async move {
        if let Err(error) = handle(&bot.github, event).await {
            eprintln!("{error}");
        }
    });
    StatusCode::ACCEPTED
}

async fn handle(app: &Octocrab, event: WebhookEvent) -> Result<(), BoxError> {
    let (Some(installation), Some(repository), WebhookEventPayload::PullRequest(opened)) =
        (event.installation, event.repository, event.specific)
    else {
        return Ok(());
    };
    if opened.action != PullRequestWebhookEventAction::Opened {
        return Ok(());
    }
    let full_name = repository.full_name.unwrap_or_default();
    let (owner, repo) = full_name.split_once('/').ok_or("the repository has no full name")?;
    let github = app.installation(installation.id())?;
    let (issues, number) = (github.issues(owner, repo), opened.number);
    let mut labels = BTreeSet::new();
    let page = github.pulls(owner, repo).list_files(number).await?;
    for file in github.all_pages(page).await? {
        let matching = LABELS.iter().filter(|(path, _)| file.filename.starts_with(path));
        labels.extend(matching.map(|(_, label)| String::from(*label)));
    }
    let labels = Vec::from_iter(labels);
    let found = match labels.len() {
        0 => "no known paths".to_owned(),
        _ => labels.join(", "),
    };
    let output = CheckRunOutput {
        title: CHECK.to_owned(),
        summary: format!("This changes {found}."),
        text: None,
        annotations: Vec::new(),
        images: Vec::new(),
    };
    let checks = github.checks(owner, repo);
    let check = checks.create_check_run(CHECK, opened.pull_request.head.sha);
    let check = check.status(CheckRunStatus::Completed).conclusion(CheckRunConclusion::Success);
    check.output(output).send().await?;
    if !labels.is_empty() {
        issues.add_labels(number, &labels).await?;
    }
    let page = issues.list_comments(number).per_page(100).send().await?;
    for comment in github.all_pages(page).await? {
        if comment.body.is_some_and(|body| body.contains(MARKER)) {
            return Ok(());
        }
    }
    let body = format!("Thank you! This changes {found}.\n\n{MARKER}");
    issues.create_comment(number, body).await?;
    Ok(())
}
