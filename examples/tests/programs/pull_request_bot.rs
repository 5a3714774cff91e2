//! The App for pull requests: deliveries that are signed, repeated and forged.

#[path = "../../pull_request_bot.rs"]
#[allow(dead_code, reason = "`main` is for the example")]
mod program;

use octowire::Client;
use octowire::auth::{App, AppSigner, SignatureFuture};
use octowire::testing::MockGitHub;
use octowire::types::{SimpleInstallation, WebhookPullRequestOpened};
use octowire::webhooks::{Delivery, OutgoingDelivery, Verifier, WebhookReceiver};
use program::handle;
use serde_json::json;
use tokio::net::TcpListener;

const SECRET: &str = "a secret of this test";

/// The mock does not verify the signatures of an App.
#[derive(Debug)]
pub(crate) struct AnySignature;

impl AppSigner for AnySignature {
    fn sign<'a>(&'a self, _: &'a [u8]) -> SignatureFuture<'a> {
        Box::pin(async { Ok(vec![0; 256]) })
    }
}

/// A mock that accepts only tokens of installations, and the client of an App.
async fn github() -> (MockGitHub, Client) {
    let mock = MockGitHub::builder().require_token().start().await;
    mock.seed_list("issues/list-for-repo", 10);
    mock.on(|github| github.pulls().list_files())
        .modify_example(|files| files[0]["filename"] = "docs/guide.md".into());
    let app = App::with_signer("Iv23liABCDEF", AnySignature).unwrap();
    let github = mock.client_builder().auth(app).build().unwrap();
    (mock, github)
}

/// The delivery of a pull request that was opened, for the installation 42.
pub(crate) fn opened() -> OutgoingDelivery {
    let mut installation = SimpleInstallation::default();
    installation.id = 42;
    let mut opened = WebhookPullRequestOpened::default();
    opened.action = "opened".into();
    opened.installation = Some(installation);
    opened.number = 7;
    opened.pull_request.head.sha = "a".repeat(40);
    opened.repository.full_name = "acme/rocket".into();
    OutgoingDelivery::new("pull_request", serde_json::to_string(&opened).unwrap())
}

#[tokio::test]
async fn a_pull_request_is_checked_labelled_and_commented_on_as_the_installation() {
    let (mock, github) = github().await;
    let receiver = WebhookReceiver::builder(Verifier::new(SECRET).unwrap())
        .respond_after_handling()
        .start(move |delivery| handle(github.clone(), delivery))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(receiver.serve(listener));

    let status = opened().id("d-1").send(SECRET, &url).await.unwrap();
    assert_eq!(status, 200);
    let requests = mock.requests();
    let id = "apps/create-installation-access-token";
    let token = requests.iter().find(|request| request.operation_id() == Some(id)).unwrap();
    assert_eq!(token.path(), "/app/installations/42/access_tokens");
    let permissions = json!({ "checks": "write", "pull_requests": "write" });
    assert_eq!(token.json()["permissions"], permissions);
    mock.assert_called(1, |github| {
        let check = github.repo("acme", "rocket").checks().create().name("Changed paths");
        check.head_sha("a".repeat(40)).conclusion("success")
    });
    mock.assert_called(1, |github| {
        let labels = github.repo("acme", "rocket").issues().add_labels();
        labels.issue_number(7).labels(["documentation"])
    });
    assert_eq!(mock.count("issues/create-comment"), 1);

    // The same delivery, and one of another sender.
    assert_eq!(opened().id("d-1").send(SECRET, &url).await.unwrap(), 200);
    assert_eq!(opened().id("d-2").send("another", &url).await.unwrap(), 401);
    assert_eq!(mock.requests().len(), requests.len());
}

#[tokio::test]
async fn a_second_attempt_does_not_comment_again() {
    let (mock, github) = github().await;
    let request = opened().sign(SECRET, "http://localhost/").unwrap();
    let verifier = Verifier::new(SECRET).unwrap();
    let delivery = Delivery::verify(&verifier, request.headers(), request.body().clone()).unwrap();
    for _ in 0..2 {
        handle(github.clone(), delivery.clone()).await.unwrap();
    }
    assert_eq!((mock.count("issues/add-labels"), mock.count("issues/create-comment")), (2, 1));
}
