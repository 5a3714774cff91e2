//! The stand-in answers every operation of GitHub's document, and answers it as GitHub would.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use crate::stand_in::{Operation, StandIn};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A path for the operation's template, with `value(parameter)` in place of `{parameter}`.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((literal, opened)) = rest.split_once('{') {
        let (name, after) = opened.split_once('}').unwrap();
        path.push_str(literal);
        path.push_str(&value(name));
        rest = after;
    }
    path + rest
}

async fn call(client: &Client, github: &StandIn, operation: &Operation, path: &str) -> Response {
    let method = Method::from_bytes(operation.method().as_bytes()).unwrap();
    let mut request = client.request(method, github.base_url() + path);
    if operation.id() == "issues/create" {
        request = request.json(&json!({ "title": "Found a bug" }));
    }
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    match response.headers().get(name) {
        Some(value) => value.to_str().unwrap(),
        None => "",
    }
}

fn next(response: &Response) -> Option<String> {
    header(response, "link").split(", ").find_map(|link| {
        let (url, rel) = link.split_once("; ")?;
        (rel == "rel=\"next\"").then(|| url[1..url.len() - 1].to_owned())
    })
}

/// The list in a body: the body itself, or the only list in its envelope.
fn items(body: &Value) -> &Vec<Value> {
    body.as_array().unwrap_or_else(|| {
        let envelope = body.as_object().unwrap();
        envelope.values().find_map(Value::as_array).unwrap()
    })
}

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let started = Instant::now();
    let github = StandIn::start().await;
    println!("started in {:?}", started.elapsed());
    let client = client();
    let mut by_status = BTreeMap::<u16, usize>::new();
    let mut request_ids = HashSet::new();

    for operation in github.operations() {
        let id = operation.id();
        let path = fill(operation.path(), |name| format!("sample-{name}"));
        let response = call(&client, &github, operation, &path).await;
        assert_eq!(response.status(), operation.status(), "{id}");
        assert_eq!(header(&response, "x-stand-in-operation"), id, "{path}");
        for name in ["limit", "remaining", "used", "reset"] {
            let value = header(&response, &format!("x-ratelimit-{name}"));
            assert!(value.parse::<u64>().is_ok(), "{id}: {name}: {value}");
        }
        assert!(!header(&response, "x-ratelimit-resource").is_empty());
        assert!(request_ids.insert(header(&response, "x-github-request-id").to_owned()));
        *by_status.entry(operation.status()).or_default() += 1;

        let is_json = header(&response, "content-type").starts_with("application/json");
        let location = header(&response, "location").to_owned();
        let body = response.bytes().await.unwrap();
        if is_json {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert!(body.is_object() || body.is_array(), "{id}: {body}");
        } else if operation.status() == 302 {
            let file = client.get(location).send().await.unwrap();
            assert_eq!(file.status(), 200, "{id}");
            assert!(!file.bytes().await.unwrap().is_empty(), "{id}");
        } else {
            let may_be_empty =
                matches!(operation.status(), 202 | 204 | 205) || id.contains("delete-attestations");
            assert_eq!(body.is_empty(), may_be_empty, "{id}");
        }
        assert_eq!(github.requests(id), 1, "{id}");
    }
    let count = github.operations().len();
    println!("{count} operations answered: {by_status:?}");
    assert_eq!(count, 1223);
}

#[tokio::test]
async fn a_value_with_slashes_reaches_its_operation() {
    let github = StandIn::start().await;
    let client = client();
    let mut count = 0;
    for operation in github.operations() {
        let path = fill(operation.path(), |name| {
            let slashed = operation.is_multi_segment(name);
            format!("{}{name}", if slashed { "one/two/" } else { "" })
        });
        if path.contains("/one/") {
            let response = call(&client, &github, operation, &path).await;
            assert_eq!(header(&response, "x-stand-in-operation"), operation.id());
            count += 1;
        }
    }
    println!("{count} operations take a value with slashes");
    assert!(count > 60);

    // An encoded slash stays within its segment.
    let path = "/repos/octocat/hello-world/branches/one%2Ftwo/protection";
    let response = client.get(github.base_url() + path).send().await.unwrap();
    assert_eq!(header(&response, "x-stand-in-operation"), "repos/get-branch-protection");
}

#[tokio::test]
async fn every_list_ends_after_its_items() {
    let github = StandIn::start().await;
    let client = client();
    let (mut count, mut with_distinct_items) = (0, 0);
    for operation in github.operations().iter().filter(|o| o.is_listing()) {
        let id = operation.id();
        github.list(id, 41);
        let path = fill(operation.path(), |name| format!("sample-{name}"));
        let mut path = path + "?per_page=20&q=a%20b";
        let mut all = Vec::new();
        let mut pages = 0;
        loop {
            let response = call(&client, &github, operation, &path).await;
            let following = next(&response);
            let body: Value = response.json().await.unwrap();
            all.extend(items(&body).iter().map(Value::to_string));
            pages += 1;
            match following {
                Some(url) => path = url.strip_prefix(&github.base_url()).unwrap().to_owned(),
                None => break,
            }
            assert!(path.contains("q=a%20b"), "{id}: {path}");
        }
        assert_eq!(all.len(), 41, "{id}");
        assert_eq!(pages, 3, "{id}");
        assert_eq!(github.requests(id), pages, "{id}");
        let distinct = all.iter().collect::<HashSet<_>>().len();
        with_distinct_items += usize::from(distinct == 41);
        count += 1;
    }
    println!("{count} lists, {with_distinct_items} of them with distinct items");
    // Some items, such as code locations, have neither id nor name.
    assert!(count >= 280 && with_distinct_items >= 245);
}

#[tokio::test]
async fn issues_come_in_three_pages() {
    let github = StandIn::start().await;
    let client = client();
    let start = github.base_url() + "/repos/octocat/hello-world/issues?state=open";
    let mut response = client.get(&start).send().await.unwrap();
    let url = |page: usize| format!("<{start}&page={page}>");
    assert_eq!(
        header(&response, "link"),
        format!("{}; rel=\"next\", {}; rel=\"last\"", url(2), url(3))
    );
    let mut numbers = Vec::new();
    loop {
        let following = next(&response);
        let body: Value = response.json().await.unwrap();
        numbers.extend(items(&body).iter().map(|i| i["number"].as_u64().unwrap()));
        let Some(url) = following else { break };
        response = client.get(url).send().await.unwrap();
    }
    assert_eq!(numbers, (1..=75).collect::<Vec<_>>());
    assert_eq!(github.requests("issues/list-for-repo"), 3);

    github.list("issues/list-for-repo", 0);
    let response = client.get(&start).send().await.unwrap();
    assert_eq!(header(&response, "link"), "");
    assert_eq!(response.json::<Value>().await.unwrap(), json!([]));
}

#[tokio::test]
async fn what_github_does_not_have_is_not_found() {
    let github = StandIn::start().await;
    let client = client();
    let not_found =
        |url: &str| json!({ "message": "Not Found", "documentation_url": url, "status": "404" });
    for path in ["/nowhere", "/repos/octocat", "//", "/repos//hello-world"] {
        let response = client.get(github.base_url() + path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body, not_found("https://docs.github.com/rest"));
    }
    let issue = "/repos/octocat/missing/issues/1";
    let response = client.get(github.base_url() + issue).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, not_found("https://docs.github.com/rest/issues/issues#get-an-issue"));
}

#[tokio::test]
async fn an_issue_is_created_with_what_was_sent() {
    let github = StandIn::start().await;
    let client = client();
    let url = github.base_url() + "/repos/octocat/hello-world/issues";
    let sent = json!({ "title": "A title", "body": "A body", "labels": ["bug", {"name": "ui"}] });
    let response = client.post(&url).json(&sent).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert!(header(&response, "location").ends_with("/issues/1348"));
    let issue: Value = response.json().await.unwrap();
    assert_eq!(issue["title"], "A title");
    assert_eq!(issue["body"], "A body");
    assert_eq!(issue["labels"][0]["name"], "bug");
    assert_eq!(issue["labels"][1]["name"], "ui");

    for sent in [json!({}), json!({ "title": "" }), json!({ "title": null })] {
        let response = client.post(&url).json(&sent).send().await.unwrap();
        assert_eq!(response.status(), 422, "{sent}");
        let body: Value = response.json().await.unwrap();
        let expected = json!({ "resource": "Issue", "code": "missing_field", "field": "title" });
        assert_eq!(body["errors"], json!([expected]));
    }
    let response = client.post(&url).body("{").send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(github.requests("issues/create"), 5);
}

#[tokio::test]
async fn a_file_can_be_decoded() {
    let github = StandIn::start().await;
    let url = github.base_url() + "/repos/octocat/hello-world/contents/docs/README.md";
    let file: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&file["name"], &file["path"]), (&json!("README.md"), &json!("docs/README.md")));
    let content = file["content"].as_str().unwrap().replace('\n', "");
    let text = String::from_utf8(STANDARD.decode(content).unwrap()).unwrap();
    assert!(text.starts_with("# hello-world"));
    assert_eq!(file["size"], text.len());
}

#[tokio::test]
async fn an_unchanged_answer_is_confirmed_for_free() {
    let github = StandIn::start().await;
    let client = client();
    let url = github.base_url() + "/repos/octocat/hello-world";
    let first = client.get(&url).send().await.unwrap();
    let etag = header(&first, "etag");
    let again = client.get(&url).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(header(&first, "x-ratelimit-used"), header(&again, "x-ratelimit-used"));
}
