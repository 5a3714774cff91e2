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

#[tokio::test]
async fn what_is_missing_is_named_with_the_setter_that_there_is() {
    let client = octowire::Client::builder().build().unwrap();
    let error = client.git().get_ref().owner("o").repo("r").send().await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains(r#"path parameter "ref" was not set; call .ref_(…)"#), "{shown}");
    let tag = client.git().create_tag().owner("o").repo("r").tag("v1").message("m").object("0");
    let shown = tag.send().await.unwrap_err().to_string();
    assert!(shown.contains(r#"body property "type" was not set; call .type_(…)"#), "{shown}");
}
