//! The mock server responds to every operation of GitHub's description, and validates requests with it.

#[cfg(feature = "github-app")]
#[path = "mock_github/access.rs"]
mod access;
#[path = "mock_github/control.rs"]
mod control;
#[path = "mock_github/github_behavior.rs"]
mod github_behavior;
#[path = "mock_github/hostile.rs"]
mod hostile;
#[path = "mock_github/resources.rs"]
mod resources;
#[path = "mock_github/stubs.rs"]
mod stubs;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octowire::contract::{ApiDescription, ResponseToValidate};
use octowire::testing::MockGitHub;
use octowire::{Client as GitHub, ParameterLocation, RetryPolicy};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A client that does not try again.
fn once(mock: &MockGitHub) -> GitHub {
    mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap()
}

async fn call(client: &Client, github: &MockGitHub, id: &str) -> Response {
    let example = github.example_request(id);
    // Each in a repository of its own: some operations delete resources that others read.
    let path = match id.split_once('/') {
        Some(("issues", name)) => {
            example.path.replace("/octocat/octocat/", &format!("/octocat/{name}/"))
        }
        _ => example.path,
    };
    let mut request = client.request(example.method, github.base_url() + &path);
    if let Some(content_type) = &example.content_type {
        request = request.header("content-type", content_type).body(example.body);
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
async fn every_operation_is_served_and_no_response_deviates_from_the_description() {
    let started = Instant::now();
    let github = MockGitHub::start().await;
    let client = client();
    let mut by_status = BTreeMap::<u16, usize>::new();
    let mut request_ids = HashSet::new();
    let mut deviations = Vec::new();

    for operation in github.description().operations() {
        let id = operation.id();
        let response = call(&client, &github, id).await;
        let (status, headers) = (response.status(), response.headers().clone());
        assert_eq!(header(&response, "x-octowire-operation"), id);
        for name in ["limit", "remaining", "used", "reset"] {
            let value = header(&response, &format!("x-ratelimit-{name}"));
            assert!(value.parse::<u64>().is_ok(), "{id}: {name}: {value}");
        }
        assert!(!header(&response, "x-ratelimit-resource").is_empty());
        assert!(request_ids.insert(header(&response, "x-github-request-id").to_owned()));
        *by_status.entry(status.as_u16()).or_default() += 1;

        let location = header(&response, "location").to_owned();
        let body = response.bytes().await.unwrap();
        if !status.is_success() && status != 302 {
            deviations.push(format!("{id}: {status} {}", String::from_utf8_lossy(&body)));
        }
        let response = ResponseToValidate::new(operation.method(), status, &headers, &body);
        let found = github.description().check_response(operation, response);
        deviations.extend(found.iter().map(ToString::to_string));
        if status == 302 {
            let file = client.get(location).send().await.unwrap();
            assert_eq!(file.status(), 200, "{id}");
            assert!(!file.bytes().await.unwrap().is_empty(), "{id}");
        }
        assert_eq!(github.count(id), 1, "{id}");
    }
    let count = github.description().operations().len();
    println!("{count} operations answered in {:?}: {by_status:?}", started.elapsed());
    assert!(deviations.is_empty(), "{}:\n{}", deviations.len(), deviations.join("\n"));
    assert!(count > 1_000, "{count}");
}

#[tokio::test]
async fn a_value_with_slashes_reaches_its_operation() {
    let github = MockGitHub::start().await;
    let client = client();
    let mut count = 0;
    for operation in github.description().operations() {
        let slashed = operation.parameters().iter().find(|parameter| parameter.allows_slash());
        let Some(slashed) = slashed else { continue };
        let mut path =
            operation.path().replace(&format!("{{{}}}", slashed.name()), "one/two/three");
        while let Some((before, rest)) = path.clone().split_once('{') {
            let after = rest.split_once('}').unwrap().1;
            path = format!("{before}1{after}");
        }
        let url = github.base_url() + &path;
        let response = client.request(operation.method().clone(), url).send().await.unwrap();
        assert_eq!(header(&response, "x-octowire-operation"), operation.id(), "{path}");
        count += 1;
    }
    println!("{count} operations take a value with slashes");
    assert!(count > 60);

    // An encoded slash stays within its segment.
    let path = "/repos/octocat/hello-world/branches/one%2Ftwo/protection";
    let response = client.get(github.base_url() + path).send().await.unwrap();
    assert_eq!(header(&response, "x-octowire-operation"), "repos/get-branch-protection");
}

#[tokio::test]
async fn every_list_ends_after_its_items_and_keeps_to_the_description() {
    let client = client();
    let (mut count, mut with_distinct_items) = (0, 0);
    for operation in ApiDescription::built_in().operations() {
        let id = operation.id();
        // An item of one list is absent for another.
        let github = MockGitHub::start().await;
        // The labels of an issue are given to it.
        if !github.is_list(id) || id == "issues/list-labels-on-issue" {
            continue;
        }
        github.seed_list(id, 41);
        let has = |name: &str| operation.parameter(ParameterLocation::Query, name).is_some();
        let mut path = github.example_request(id).path;
        for (name, value) in [("per_page", "20"), ("direction", "asc")] {
            if has(name) {
                let sign = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{sign}{name}={value}");
            }
        }
        let expected_pages = if has("per_page") { 3 } else { 2 };
        let mut all = Vec::new();
        let mut pages = 0;
        loop {
            let response = client.get(github.base_url() + &path).send().await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            let following = next(&response);
            let body = response.bytes().await.unwrap();
            let response = ResponseToValidate::new(operation.method(), status, &headers, &body);
            let found = github.description().check_response(operation, response);
            assert!(found.is_empty(), "{found:#?}");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            let body: Value = serde_json::from_slice(&body).unwrap();
            all.extend(items(&body).iter().map(Value::to_string));
            pages += 1;
            match following {
                Some(url) => path = url.strip_prefix(&github.base_url()).unwrap().to_owned(),
                None => break,
            }
            assert!(!has("direction") || path.contains("direction=asc"), "{id}: {path}");
        }
        assert_eq!((all.len(), pages), (41, expected_pages), "{id}");
        assert_eq!(github.count(id), pages, "{id}");
        let distinct = all.iter().collect::<HashSet<_>>().len();
        with_distinct_items += usize::from(distinct == 41);
        count += 1;
    }
    println!("{count} lists, {with_distinct_items} of them with distinct items");
    // Some items, such as code locations, have neither id nor name.
    assert!(count >= 270 && with_distinct_items >= 235, "{count} {with_distinct_items}");
}

#[tokio::test]
async fn issues_come_in_three_pages() {
    let github = MockGitHub::start().await;
    github.seed_list("issues/list-for-repo", 75);
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
    assert_eq!(numbers, (1..=75).rev().collect::<Vec<_>>());
    assert_eq!(github.count("issues/list-for-repo"), 3);

    github.seed_list("issues/list-for-repo", 0);
    let response = client.get(&start).send().await.unwrap();
    assert_eq!(header(&response, "link"), "");
    assert_eq!(response.json::<Value>().await.unwrap(), json!([]));
}

#[tokio::test]
async fn a_request_that_violates_the_description_is_rejected_with_the_cause() {
    let github = MockGitHub::start().await;
    let client = client();
    let issues = "/repos/octocat/hello-world/issues";
    let post = Some;
    for (path, body, status, said) in [
        ("/nowhere", None, 404, "the OpenAPI description has no such path"),
        ("//", None, 404, "the OpenAPI description has no such path"),
        ("/repos//hello-world", None, 404, "the OpenAPI description has no such path"),
        ("/markdown", None, 404, "this path only with POST (markdown/render)"),
        (
            "/repos/octocat/hello-world/issues?pages=2",
            None,
            422,
            "query pages is an unknown parameter: the operation has",
        ),
        (
            "/repos/octocat/hello-world/issues?state=shut",
            None,
            422,
            "query state is \"shut\", expected one of [\"open\",\"closed\",\"all\"]",
        ),
        (
            "/repos/octocat/hello-world/issues?page=two",
            None,
            422,
            "query page is string, expected integer",
        ),
        ("/repos/octocat/hello-world/issues/first", None, 422, "path issue_number is string"),
        ("/search/issues", None, 422, "query q is required, but missing"),
        (
            issues,
            post("{\"title\":\"x\",\"labels\":7}"),
            422,
            "$.labels is integer, expected array",
        ),
        (
            issues,
            post("{\"title\":\"x\",\"label\":[]}"),
            422,
            "$.label is an undocumented property",
        ),
        (issues, post("{\"body\":\"x\"}"), 422, "$.title is required, but missing"),
        (issues, post(""), 422, "required body is missing"),
        (issues, post("{"), 400, "Problems parsing JSON"),
    ] {
        let url = github.base_url() + path;
        let request = match body {
            Some(body) => client.post(&url).header("content-type", "application/json").body(body),
            None => client.get(&url),
        };
        let response = request.send().await.unwrap();
        let (code, hint) = (response.status(), header(&response, "x-octowire-mock").to_owned());
        let body: Value = response.json().await.unwrap();
        let message = format!("{} {hint}", body["message"]).replace('\\', "");
        assert_eq!(code, status, "{path}: {body}");
        assert!(message.contains(said), "{path}: {message}");
        assert!(
            body["documentation_url"].as_str().unwrap().starts_with("https://docs.github.com/")
        );
    }
    assert_eq!(github.deviations().len(), 14);

    let lenient = MockGitHub::builder().allow_deviations().start().await;
    let url = lenient.base_url() + "/repos/octocat/hello-world/issues?pages=2";
    assert_eq!(client.get(url).send().await.unwrap().status(), 200);
    assert_eq!(lenient.deviations()[0].path, "query pages");
}

#[tokio::test]
async fn a_rejection_reads_as_github_s_through_the_client() {
    let github = MockGitHub::start().await;
    let call = once(&github).request(Method::POST, "/repos/octocat/hello-world/issues");
    let error = call.json(&json!({ "titel": "x" })).send::<Value>().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 422, "{error}");
    let api = error.api().unwrap();
    assert_eq!(api.errors[0].field.as_deref(), Some("title"));
    assert_eq!(api.errors[0].code.as_deref(), Some("missing_field"));
    assert_eq!(api.errors[1].field.as_deref(), Some("titel"));
}

#[tokio::test]
async fn a_file_can_be_decoded() {
    let github = MockGitHub::start().await;
    let url = github.base_url() + "/repos/octocat/hello-world/contents/docs/README.md";
    let file: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&file["name"], &file["path"]), (&json!("README.md"), &json!("docs/README.md")));
    let content = file["content"].as_str().unwrap().replace('\n', "");
    let text = String::from_utf8(STANDARD.decode(content).unwrap()).unwrap();
    assert!(text.starts_with("# hello-world"));
    assert_eq!(file["size"], text.len());
}

#[tokio::test]
async fn an_unchanged_response_is_confirmed_for_free() {
    let github = MockGitHub::start().await;
    let client = client();
    let get = || client.get(github.base_url() + "/repos/octocat/hello-world").bearer_auth("token");
    let first = get().send().await.unwrap();
    let etag = header(&first, "etag");
    let again = get().header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(header(&first, "x-ratelimit-used"), header(&again, "x-ratelimit-used"));
    assert!(again.bytes().await.unwrap().is_empty());
    // Without a token it costs what any answer does.
    let url = github.base_url() + "/repos/octocat/hello-world";
    for used in ["1", "2"] {
        let anonymous = client.get(&url).header("if-none-match", etag).send().await.unwrap();
        assert_eq!(anonymous.status(), 304);
        assert_eq!(header(&anonymous, "x-ratelimit-used"), used);
    }
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_a_get_and_no_body() {
    let github = MockGitHub::start().await;
    let url = github.base_url() + "/repos/octocat/hello-world";
    let (get, head) = (client().get(&url).send(), client().head(&url).send());
    let (get, head) = (get.await.unwrap(), head.await.unwrap());
    assert_eq!(head.status(), 200);
    assert_eq!(header(&get, "etag"), header(&head, "etag"));
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn urls_in_responses_lead_to_the_mock() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let issue = github.issues().get().owner("acme").repo("rocket").issue_number(1347);
    let issue = issue.send().await.unwrap();
    let again = github.request(Method::GET, issue.url.clone()).send::<Value>().await.unwrap();
    assert_eq!(again["number"], 1347);
    assert_eq!(mock.count("issues/get"), 2);
}

#[tokio::test]
async fn the_mock_server_requires_its_configured_token() {
    let mock = MockGitHub::builder().token("the-right-one").start().await;
    let github = once(&mock);
    assert!(github.users().get_authenticated().send().await.is_ok());
    let other = mock.client_builder().token("another").build().unwrap();
    let error = other.users().get_authenticated().send().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 401);
    assert_eq!(error.api().unwrap().message, "Bad credentials");
    let shown = format!("{:?}", mock.requests());
    assert!(!shown.contains("the-right-one"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_mock_rate_limit_rejects_requests_over_it_until_its_reset() {
    let mock = MockGitHub::start().await;
    mock.rate_limit("core", 2, Duration::from_secs(60));
    let client = client();
    let url = mock.base_url() + "/repos/octocat/hello-world";
    let mut reported = Vec::new();
    for _ in 0..3 {
        let response = client.get(&url).send().await.unwrap();
        let remaining = header(&response, "x-ratelimit-remaining").to_owned();
        reported.push((response.status().as_u16(), remaining));
    }
    let expected = [(200, "1"), (200, "0"), (403, "0")];
    assert_eq!(reported, expected.map(|(status, remaining)| (status, remaining.to_owned())));
    // Others have limits of their own.
    let search = mock.base_url() + "/search/issues?q=x";
    assert_eq!(client.get(search).send().await.unwrap().status(), 200);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_app_gets_a_token_that_lives_for_an_hour() {
    let mock = MockGitHub::start().await;
    let url = mock.base_url() + "/app/installations/7/access_tokens";
    let token: Value = client().post(url).send().await.unwrap().json().await.unwrap();
    let expires_at = token["expires_at"].as_str().unwrap();
    let expires_at = octowire::chrono::DateTime::parse_from_rfc3339(expires_at).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let left = expires_at.timestamp() - i64::try_from(now).unwrap();
    assert!((3_590..=3_600).contains(&left), "{left}");
    assert!(token["token"].as_str().unwrap().starts_with("ghs_"));
}
