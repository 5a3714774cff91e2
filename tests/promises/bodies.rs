//! What bodies carry, as it is set property by property.

use octowire::types::IssuesSetLabelsBodyVariant1LabelsItem as Label;
use serde_json::{Value, json};

use crate::support::{Server, json as answer};

/// The JSON that was sent last.
fn sent(server: &Server) -> Value {
    let requests = server.requests();
    serde_json::from_slice(&requests.last().unwrap().body).unwrap()
}

#[tokio::test]
async fn labels_are_set_by_name_and_as_objects_with_the_same_setter() {
    let server = Server::saying(answer("200 OK", "", "[]")).await;
    let client = server.client();
    let issues = client.issues();
    let call = || issues.set_labels().owner("o").repo("r").issue_number(1);
    call().labels(["bug", "p1"]).send().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": ["bug", "p1"] }));
    call().labels([Label::new("bug")]).send().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": [{ "name": "bug" }] }));
}
