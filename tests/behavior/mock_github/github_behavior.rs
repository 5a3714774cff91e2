//! Behavior of GitHub that the mock server reproduces.

use std::time::Duration;

use octowire::testing::{Fault, MockGitHub, MockResponse};
use octowire::{Client as GitHub, RetryPolicy};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

fn client() -> Client {
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn once(mock: &MockGitHub) -> GitHub {
    mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn json_of(request: reqwest::RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn user_written_text_is_returned_unchanged() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let text = "https://api.github.com/x";
    let create = github.issues().create().owner("acme").repo("rocket").title(text).body(text);
    let issue = create.send().await.unwrap();
    assert_eq!((issue.title.as_str(), issue.body.as_deref()), (text, Some(text)));
    let location = issue.meta().headers()["location"].to_str().unwrap();
    assert_eq!(location, issue.url);
    assert!(location.starts_with(&mock.base_url()), "{location}");
    let release = json_of(client().get(mock.base_url() + "/repos/acme/rocket/releases/1")).await;
    let upload = release["upload_url"].as_str().unwrap();
    assert!(upload.starts_with(&mock.base_url()), "{upload}");
    mock.on_request(Method::GET, "/x").respond_raw(200, "application/json", format!("{text:?}"));
    assert_eq!(json_of(client().get(mock.base_url() + "/x")).await, text);
}

#[tokio::test]
async fn responses_match_the_requested_resource() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let repository = github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    assert_eq!(
        (repository.full_name.as_str(), repository.name.as_str()),
        ("acme/rocket", "rocket")
    );
    assert_eq!(repository.owner.login, "acme");
    let pull =
        github.pulls().get().owner("acme").repo("rocket").pull_number(5).send().await.unwrap();
    assert_eq!(pull.number, 5);
    assert!(pull.url.contains("/repos/acme/rocket/"), "{}", pull.url);
    let user = github.users().get_by_username().username("hubot").send().await;
    assert!(user.is_ok());
}

#[tokio::test]
async fn an_enterprise_server_s_paths_and_the_links_by_id_are_served() {
    let mock = MockGitHub::start().await;
    let builder = mock.client_builder().base_url(mock.base_url() + "/api/v3");
    let github = builder.build().unwrap();
    github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    let http = client();
    for path in [
        "/repositories/1296269/issues?page=2",
        "/repositories/1296269",
        "/organizations/1/repos?page=2",
        "/organizations/1/team/2/members",
        "/user/583231/followers?page=2",
        "/repos/acme/rocket/contents",
        "/repos/acme/rocket/contents/",
    ] {
        let response = http.get(mock.base_url() + path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    let root = github.repos().get_content().owner("acme").repo("rocket").path("");
    root.into_request().send::<Value>().await.unwrap();
    assert!(mock.deviations().is_empty(), "{:?}", mock.deviations());
}

#[tokio::test]
async fn a_stub_for_a_name_serves_the_link_by_id() {
    let mock = MockGitHub::start().await;
    let label = |name: &str| {
        json!({ "id": 1, "node_id": "x", "url": "https://x", "name": name, "description": null,
                "color": "fff", "default": false })
    };
    let next = "</repositories/7/labels?page=2>; rel=\"next\"";
    let list = |github: &octowire::Client| {
        github.issues().list_labels_for_repo().owner("acme").repo("rocket")
    };
    mock.on(list).json(json!([label("one")])).header("link", next);
    mock.on(|github| list(github).page(2)).json(json!([label("two")]));
    let labels = list(&mock.client()).stream().collect_all(9).await.unwrap();
    let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    let second = &mock.requests()[1];
    assert_eq!(second.path(), "/repositories/7/labels");
    assert_eq!(second.operation_id(), Some("issues/list-labels-for-repo"));
    assert!(mock.deviations().is_empty(), "{:?}", mock.deviations());
}

#[tokio::test]
async fn a_tag_is_compared_weakly_and_may_be_a_stub_s() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.repos().get()).passthrough().header("etag", "\"abc\"");
    let (http, url) = (client(), mock.base_url() + "/repos/acme/rocket");
    for (known, status) in
        [("\"abc\"", 304), ("W/\"abc\"", 304), ("\"x\", \"abc\"", 304), ("\"x\"", 200)]
    {
        let response = http.get(&url).header("if-none-match", known).send().await.unwrap();
        assert_eq!(response.status(), status, "{known}");
        assert!(header(&response, "cache-control").contains("max-age=60"));
        assert!(header(&response, "vary").contains("Authorization"));
    }
}

#[tokio::test]
async fn files_and_diffs_have_the_requested_media_type() {
    let mock = MockGitHub::start().await;
    for (path, accept, begins) in [
        ("/repos/a/b/contents/README.md", "application/vnd.github.raw+json", "# hello-world"),
        ("/repos/a/b/readme", "application/vnd.github.v3.raw", "# hello-world"),
        ("/repos/a/b/pulls/1", "application/vnd.github.diff", "diff --git"),
        ("/repos/a/b/pulls/1", "application/vnd.github+json", "{"),
    ] {
        let request = client().get(mock.base_url() + path).header("accept", accept);
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.starts_with(begins), "{path} {accept}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_times_are_by_tokio_s_clock() {
    let mock = MockGitHub::start().await;
    tokio::time::advance(Duration::from_secs(10_000)).await;
    let http = client();
    let url = mock.base_url() + "/app/installations/7/access_tokens";
    let response = http.post(url).send().await.unwrap();
    let date = octowire::chrono::DateTime::parse_from_rfc2822(header(&response, "date")).unwrap();
    let token: Value = response.json().await.unwrap();
    let ends = token["expires_at"].as_str().unwrap();
    let ends = octowire::chrono::DateTime::parse_from_rfc3339(ends).unwrap();
    assert!((3_599..=3_600).contains(&(ends - date).num_seconds()), "{date} {ends}");
    let issues = http.post(mock.base_url() + "/repos/a/b/issues").body("{\"title\":\"x\"}");
    let created = json_of(issues).await["created_at"].as_str().unwrap().to_owned();
    let created = octowire::chrono::DateTime::parse_from_rfc3339(&created).unwrap();
    assert!((created - date).num_seconds().abs() <= 1, "{date} {created}");
}

#[tokio::test]
async fn each_token_has_its_own_limits_and_get_rate_limit_is_free() {
    let mock = MockGitHub::start().await;
    mock.rate_limit("core", 1, Duration::from_secs(60));
    let http = client();
    let get = |path: &str, token: &str| http.get(mock.base_url() + path).bearer_auth(token).send();
    assert_eq!(get("/user", "a").await.unwrap().status(), 200);
    assert_eq!(get("/user", "a").await.unwrap().status(), 403);
    assert_eq!(get("/user", "b").await.unwrap().status(), 200);
    let overview: Value = get("/rate_limit", "a").await.unwrap().json().await.unwrap();
    assert_eq!(overview["resources"]["core"]["remaining"], 0);
    assert_eq!(overview["resources"]["search"]["remaining"], 30);
    mock.reset();
    let anonymous = http.get(mock.base_url() + "/user").send().await.unwrap();
    assert_eq!(header(&anonymous, "x-ratelimit-limit"), "60");
}

#[test]
#[should_panic(expected = "unknown rate limit \"serach\"")]
fn a_rate_limit_that_github_does_not_have_is_rejected() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.rate_limit("serach", 1, Duration::from_secs(60));
    });
}

#[tokio::test]
async fn a_stub_s_success_is_for_requests_that_github_would_take() {
    let mock = MockGitHub::builder().token("right").start().await;
    mock.on(|github| github.issues().create())
        .modify_example(|issue| issue["title"] = "Stubbed".into());
    let http = client();
    let post = |body: Value, token: &str| {
        http.post(mock.base_url() + "/repos/a/b/issues").bearer_auth(token).json(&body).send()
    };
    assert_eq!(post(json!({ "title": "x" }), "right").await.unwrap().status(), 201);
    assert_eq!(post(json!({ "tittle": 1 }), "right").await.unwrap().status(), 422);
    assert_eq!(post(json!({ "title": "x" }), "wrong").await.unwrap().status(), 401);
    mock.on(|github| github.issues().create()).error(403, "No");
    assert_eq!(post(json!({ "tittle": 1 }), "wrong").await.unwrap().status(), 403);
}

#[tokio::test]
async fn items_of_a_stub_come_in_pages() {
    let mock = MockGitHub::start().await;
    let label = |number: usize| {
        json!({ "id": number, "node_id": "x", "url": "https://x", "name": format!("l{number}"),
                "description": null, "color": "fff", "default": false })
    };
    mock.on(|github| github.issues().list_labels_for_repo()).items((1..=45).map(label).collect());
    let github = mock.client();
    let call = github.issues().list_labels_for_repo().owner("a").repo("b").per_page(10);
    let mut labels = call.stream();
    let mut count = 0;
    while let Some(label) = labels.try_next().await.unwrap() {
        count += 1;
        assert_eq!(label.name, format!("l{count}"));
    }
    assert_eq!((count, mock.count("issues/list-labels-for-repo")), (45, 5));
}

#[tokio::test]
async fn a_stub_function_can_return_every_stub_response() {
    let mock = MockGitHub::start().await;
    mock.on(|github| github.users().get_authenticated()).respond_with(|request| {
        match request.query_parameter("x") {
            _ if request.headers().contains_key("x-slow") => MockResponse::default_response(),
            _ => MockResponse::raw(200, "application/json", "{}").header("x-own", "yes"),
        }
    });
    let url = mock.base_url() + "/user";
    let own = client().get(&url).send().await.unwrap();
    assert_eq!(header(&own, "x-own"), "yes");
    let usual = json_of(client().get(&url).header("x-slow", "1")).await;
    assert_eq!(usual["login"], "octocat");
    mock.on(|github| github.users().get_authenticated()).respond_with(|_| Fault::ServerError(502));
    assert_eq!(client().get(&url).send().await.unwrap().status(), 502);
}

#[test]
#[should_panic(
    expected = "1 stub responses were invalid; the first: the response does not match the OpenAPI description"
)]
fn a_stub_function_with_an_undocumented_response_fails_the_test() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.on(|github| github.users().get_authenticated())
            .respond_with(|_| (200, json!({ "login": 7 })));
        let error = once(&mock).users().get_authenticated().send().await.unwrap_err();
        assert_eq!(error.status().unwrap(), 500);
    });
}

#[test]
#[should_panic(expected = "1 stub responses were invalid; the first: a stub's closure panicked")]
fn a_function_that_panics_fails_the_test() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.on(|github| github.users().get_authenticated())
            .respond_with(|_| -> MockResponse { panic!("oh") });
        let _ = once(&mock).users().get_authenticated().send().await.unwrap_err();
    });
}

#[tokio::test]
async fn a_stub_of_an_undocumented_path_is_no_deviation() {
    let mock = MockGitHub::start().await;
    mock.on_request(Method::POST, "/graphql").respond_with(|_| (200, json!({ "data": {} })));
    mock.client().graphql::<Value>("{ viewer { login } }", ()).await.unwrap();
    let archive = mock.client().repos().download_zipball_archive();
    archive.owner("a").repo("b").ref_("main").send().await.unwrap();
    assert!(mock.deviations().is_empty(), "{:?}", mock.deviations());
}

#[test]
#[should_panic(expected = "issues/create, at $.title: is required, but missing")]
fn a_stub_for_a_path_of_the_description_keeps_to_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mock = MockGitHub::start().await;
        mock.on_request(Method::POST, "/repos/a/b/issues").json(json!({ "anything": 1 }));
    });
}

#[tokio::test]
async fn a_mock_that_was_stopped_leaves_its_port() {
    let first = MockGitHub::start().await;
    let address: std::net::SocketAddr =
        first.base_url().trim_start_matches("http://").parse().unwrap();
    first.stop().await;
    let second = MockGitHub::builder().address(address).start().await;
    drop(second);
    let third = MockGitHub::builder().address(address).start().await;
    assert!(third.client().users().get_authenticated().send().await.is_ok());
    let taken = MockGitHub::builder().address(address).try_start().await.unwrap_err();
    assert!(taken.to_string().contains("cannot listen on"), "{taken}");
}

#[tokio::test]
async fn recorded_requests_are_bounded() {
    let mock = MockGitHub::start().await;
    let http = client();
    let body = vec![b'x'; 20 * 1024 * 1024];
    for number in 0..5 {
        let url = format!("{}/repos/a/b/releases/1/assets?name={number}", mock.base_url());
        let request = http.post(url).header("content-type", "application/octet-stream");
        assert_eq!(request.body(body.clone()).send().await.unwrap().status(), 201);
    }
    assert_eq!(mock.count("repos/upload-release-asset"), 5);
    assert_eq!(mock.requests().len(), 3, "64 MiB of bodies");
}

#[tokio::test]
async fn a_list_that_is_longer_is_there_to_be_changed() {
    let mock = MockGitHub::start().await;
    mock.seed_list("issues/list-for-repo", 75);
    mock.seed_list("issues/list-comments", 3);
    mock.seed_list("issues/list-labels-for-repo", 4);
    let github = mock.client();
    let issues = github.issues();
    let listed = issues.list_for_repo().owner("a").repo("b").send().await.unwrap();
    let number = listed[0].number;
    assert_eq!((listed.len(), number, listed[0].comments), (30, 75, 3));
    let update = issues.update().owner("a").repo("b").issue_number(number).state("closed");
    update.send().await.unwrap();
    let closed = issues.list_for_repo().owner("a").repo("b").state("closed").send().await.unwrap();
    assert_eq!(closed.len(), 1);
    let comments =
        issues.list_comments().owner("a").repo("b").issue_number(9).send().await.unwrap();
    assert_eq!(comments.len(), 3);
    let labels = issues.list_labels_for_repo().owner("a").repo("b").send().await.unwrap();
    assert_eq!(labels.len(), 4);
    let created = issues.create().owner("a").repo("b").title("x").send().await.unwrap();
    assert_eq!(created.number, 76);
}

#[tokio::test]
async fn assignees_are_added_and_removed_and_issues_locked() {
    let mock = MockGitHub::start().await;
    let http = client();
    let url = mock.base_url() + "/repos/a/b/issues/1347/assignees";
    let body = json!({ "assignees": ["one", "two"] });
    http.post(&url).json(&body).send().await.unwrap();
    let list = |who: &str| format!("{}/repos/a/b/issues?assignee={who}", mock.base_url());
    assert_eq!(json_of(http.get(list("two"))).await.as_array().unwrap().len(), 1);
    http.delete(&url).json(&json!({ "assignees": ["two"] })).send().await.unwrap();
    assert_eq!(json_of(http.get(list("two"))).await.as_array().unwrap().len(), 0);
    let lock = mock.base_url() + "/repos/a/b/issues/1347/lock";
    for (method, locked) in [(Method::DELETE, false), (Method::PUT, true)] {
        assert_eq!(http.request(method, &lock).send().await.unwrap().status(), 204);
        let issue = json_of(http.get(mock.base_url() + "/repos/a/b/issues/1347")).await;
        assert_eq!(issue["locked"], locked);
    }
}

#[tokio::test]
async fn labels_are_accepted_in_every_form_that_github_accepts() {
    let mock = MockGitHub::start().await;
    let (http, url) = (client(), mock.base_url() + "/repos/a/b/issues/1347/labels");
    for (method, body, names) in [
        (Method::PUT, json!({ "labels": ["x", "X", "y"] }), vec!["x", "y"]),
        (Method::PUT, json!({ "labels": [] }), vec![]),
        (Method::POST, json!(["z"]), vec!["z"]),
        (Method::POST, json!({ "labels": [{ "name": "v" }] }), vec!["z", "v"]),
        (Method::PUT, json!(["area/ui 100%"]), vec!["area/ui 100%"]),
    ] {
        let response = http.request(method, &url).json(&body).send().await.unwrap();
        let (status, labels): (_, Value) = (response.status(), response.json().await.unwrap());
        assert_eq!(status, 200, "{body}: {labels}");
        let is: Vec<_> = labels.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
        assert_eq!(is, names, "{body}");
    }
    let labels = json_of(http.get(&url)).await;
    let label = json_of(http.get(labels[0]["url"].as_str().unwrap())).await;
    assert_eq!(label["name"], "area/ui 100%");
}
