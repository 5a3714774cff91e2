//! The HTTP control interface of the mock server, for tests in other languages.

use octowire::testing::MockGitHub;
use reqwest::Client;
use serde_json::{Value, json};

async fn control(mock: &MockGitHub, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/octowire-mock/{path}", mock.base_url());
    let response = Client::new().post(url).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn get(mock: &MockGitHub, path: &str) -> (u16, Value) {
    let response = Client::new().get(mock.base_url() + path).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn stubs_lists_and_limits_are_set_by_requests() {
    let mock = MockGitHub::start().await;
    let stub = json!({
        "operation": "issues/get",
        "parameters": { "owner": "acme", "issue_number": 7 },
        "steps": [
            { "fault": { "server_error": 502 }, "times": 2 },
            { "status": 410, "body": { "message": "Gone", "documentation_url": "https://x" } },
            { "delay_ms": 1, "headers": { "x-own": "yes" }, "times": 1 },
        ],
    });
    assert_eq!(control(&mock, "stubs", stub).await.0, 200);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(get(&mock, "/repos/acme/rocket/issues/7").await.0);
    }
    assert_eq!(statuses, [502, 502, 410, 404, 404]);

    let list = json!({ "operation": "issues/list-for-repo", "total": 31 });
    assert_eq!(control(&mock, "lists", list).await.0, 200);
    assert_eq!(get(&mock, "/repos/a/b/issues?page=2").await.1.as_array().unwrap().len(), 1);

    let limit = json!({ "resource": "search", "limit": 0, "window_seconds": 60 });
    assert_eq!(control(&mock, "rate-limits", limit).await.0, 200);
    assert_eq!(get(&mock, "/search/issues?q=x").await.0, 403);

    get(&mock, "/nowhere").await;
    let (_, received) = get(&mock, "/octowire-mock/received").await;
    assert_eq!(received.as_array().unwrap().len(), 8);
    assert_eq!(received[0]["operation"], "issues/get");
    let (_, deviations) = get(&mock, "/octowire-mock/deviations").await;
    assert_eq!(deviations[0]["kind"], "unknown-operation");
    control(&mock, "reset", json!({})).await;
    assert_eq!(get(&mock, "/search/issues?q=x").await.0, 200);
}

#[tokio::test]
async fn an_invalid_control_request_is_rejected_with_the_cause() {
    let mock = MockGitHub::start().await;
    for (path, body, said) in [
        ("stubs", json!({ "operation": "issues/got", "steps": [] }), "no operation"),
        ("stubs", json!({ "operation": "issues/get", "path": "/x", "steps": [] }), "a stub needs"),
        ("stubs", json!({ "steps": [{ "status": 1000 }] }), "invalid status 1000"),
        ("stubs", json!({ "steps": [{ "fault": "resett" }] }), "unknown variant"),
        (
            "stubs",
            json!({ "operation": "issues/get", "steps": [{ "body": { "title": 1 } }] }),
            "the response does not match the OpenAPI description",
        ),
        (
            "lists",
            json!({ "operation": "issues/get", "total": 1 }),
            "does not return a paginated list",
        ),
        (
            "rate-limits",
            json!({ "resource": "x", "limit": 1, "window_seconds": 1 }),
            "unknown rate limit",
        ),
    ] {
        let (status, response) = control(&mock, path, body).await;
        let message = response["message"].as_str().unwrap();
        assert!(status == 422 && message.contains(said), "{status} {message}");
    }
    let anything = json!({ "steps": [{ "status": 200, "body": { "title": 1 }, "raw": true }] });
    assert_eq!(control(&mock, "stubs", anything).await.0, 200);
    assert_eq!(get(&mock, "/repos/a/b/issues/1347").await.1, json!({ "title": 1 }));
}
