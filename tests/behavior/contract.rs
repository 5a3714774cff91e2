//! Used operations are pinned, and responses are validated with GitHub's description.

#[path = "contract/hostile.rs"]
mod hostile;

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs, process};

use octowire::cache::CacheConfig;
use octowire::contract::drift::{SemverBump, Severity};
use octowire::contract::{
    ApiDescription, DeviationKind, PinError, PinnedOperations, RequestToValidate,
    ResponseToValidate, ResponseValidator, operations,
};
use octowire::testing::MockGitHub;
use reqwest::Method;
use serde_json::{Value, json};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("octowire-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_pin_holds_until_a_used_item_changes() {
    let folder = Folder::new("pin");
    let pin = folder.0.join("github-contract.json");
    let uses = operations!["issues/get", "repos/get", "issues-opened"];
    let missing = uses.compare(&pin).unwrap_err();
    assert!(missing.to_string().contains("OCTOWIRE_UPDATE_PIN=1 cargo test"), "{missing}");

    uses.pin(&pin).unwrap();
    uses.assert_pinned(&pin);
    assert!(uses.compare(&pin).unwrap().is_empty());
    let text = fs::read_to_string(&pin).unwrap();
    assert!(!text.contains("description\": \""), "prose is no contract");
    println!("a pin of two operations and a webhook: {} lines", text.lines().count());

    // As if GitHub had once required less, and answered more.
    let mut pinned: Value = serde_json::from_str(&text).unwrap();
    let issue = &mut pinned["components"]["schemas"]["issue"];
    issue["properties"]["mood"] = json!({ "type": "string" });
    issue["required"].as_array_mut().unwrap().push("mood".into());
    fs::write(&pin, pinned.to_string()).unwrap();
    let report = uses.compare(&pin).unwrap();
    assert_eq!(report.severity(), Some(Severity::Breaking));
    assert_eq!(report.bump(), SemverBump::Major);
    let reached: Vec<&str> =
        report.changes.iter().flat_map(|change| &change.operations).map(String::as_str).collect();
    assert!(reached.contains(&"issues/get"), "{report:?}");
    let reported = std::panic::catch_unwind(|| uses.assert_pinned(&pin)).unwrap_err();
    let reported = reported.downcast_ref::<String>().unwrap();
    assert!(reported.contains("mood") && reported.contains("OCTOWIRE_UPDATE_PIN=1"), "{reported}");
}

#[test]
fn a_compatible_change_fails_a_pin_only_on_request() {
    let folder = Folder::new("careless");
    let pin = folder.0.join("pin.json");
    let uses = operations!["issues/get"];
    uses.pin(&pin).unwrap();
    let mut pinned: Value = serde_json::from_slice(&fs::read(&pin).unwrap()).unwrap();
    let issue = &mut pinned["components"]["schemas"]["issue"];
    issue["properties"].as_object_mut().unwrap().remove("node_id").unwrap();
    issue["required"].as_array_mut().unwrap().retain(|name| name != "node_id");
    fs::write(&pin, pinned.to_string()).unwrap();
    assert_eq!(uses.compare(&pin).unwrap().severity(), Some(Severity::Compatible));
    uses.assert_pinned(&pin);
    let strict = uses.failing_at(Severity::Compatible);
    assert!(std::panic::catch_unwind(|| strict.assert_pinned(&pin)).is_err());
}

#[test]
fn a_pin_of_other_operations_is_reported() {
    let folder = Folder::new("else");
    let pin = folder.0.join("pin.json");
    operations!["issues/get"].pin(&pin).unwrap();
    match operations!["repos/get"].compare(&pin).unwrap_err() {
        PinError::SetChanged { added, removed } => {
            assert_eq!((added, removed), (vec!["repos/get".into()], vec!["issues/get".into()]));
        }
        other => panic!("{other}"),
    }
    fs::write(&pin, "<<<<<<< HEAD").unwrap();
    assert!(matches!(operations!["issues/get"].compare(&pin), Err(PinError::Malformed(..))));
    let unknown = PinnedOperations::of(["issues-opend"]).compare(&pin).unwrap_err();
    assert!(unknown.to_string().contains("issues-opend"), "{unknown}");
}

#[tokio::test]
async fn a_deviating_response_is_recorded_and_returned() {
    let mock = MockGitHub::start().await;
    let checker = ResponseValidator::new();
    let github =
        mock.client_builder().response_validator(checker.clone()).cache(CacheConfig::disabled());
    let github = github.build().unwrap();
    let issue = || github.issues().get().owner("acme").repo("rocket").issue_number(1347).send();
    issue().await.unwrap();
    assert!(checker.deviations().is_empty(), "{:#?}", checker.deviations());

    let mut body = mock.client().request(Method::GET, "/repos/acme/rocket/issues/1347");
    body = body.accept("application/json");
    let mut body = body.send::<Value>().await.unwrap().into_inner();
    body["mood"] = json!("cheerful");
    body["labels"] = Value::Null;
    body["secret"] = json!("s3cr3t");
    let response = body.to_string();
    mock.on(|github| github.issues().get()).respond_raw(200, "application/json", response);
    assert!(issue().await.unwrap().labels.is_empty(), "read tolerantly");
    let seen: Vec<String> =
        checker.deviations().iter().map(|seen| seen.deviation.to_string()).collect();
    assert_eq!(
        seen,
        [
            "issues/get, at $.mood: is an undocumented property",
            "issues/get, at $.secret: is an undocumented property",
            "issues/get, at $.labels: is null, expected array",
        ]
        .map(str::to_owned)
    );
    assert!(!format!("{:?}", checker.deviations()).contains("s3cr3t"));
    assert!(checker.deviations()[0].request_id.is_some());
    // The same through a call made by hand.
    let path = "/repos/acme/rocket/issues/1347";
    github.request(Method::GET, path).send::<Value>().await.unwrap();
    assert_eq!(checker.deviations()[0].count, 2);
    assert_eq!(checker.validated(), 3);
}

#[tokio::test]
async fn a_status_or_a_media_type_that_is_not_documented_is_noted() {
    let mock = MockGitHub::start().await;
    let checker = ResponseValidator::new();
    let github = mock.client_builder().response_validator(checker.clone()).build().unwrap();
    mock.on(|github| github.users().get_authenticated())
        .respond_raw(206, "application/json", "{}")
        .respond_raw(200, "text/html", "<html>")
        .respond_raw(200, "application/json", "{")
        .respond_raw(404, "application/json", "{\"message\":\"Not Found\"}");
    for _ in 0..4 {
        let _ = github.users().get_authenticated().send().await;
    }
    let kinds: Vec<DeviationKind> =
        checker.deviations().iter().map(|seen| seen.deviation.kind).collect();
    assert_eq!(
        kinds,
        [
            DeviationKind::UndocumentedStatus,
            DeviationKind::UndocumentedMediaType,
            DeviationKind::NotJson
        ]
    );
    assert_eq!(checker.validated(), 4);
}

#[tokio::test]
async fn an_enterprise_server_is_held_against_its_own_document() {
    let document = json!({
        "openapi": "3.0.3", "info": { "title": "Small", "version": "1" },
        "paths": { "/only/here": { "get": {
            "operationId": "only/here", "responses": { "200": {
                "content": { "application/json": { "schema": { "type": "object",
                    "properties": { "id": { "type": "integer" } }, "required": ["id"] } } } } } } } },
    });
    let document = Arc::new(ApiDescription::from_slice(document.to_string().as_bytes()).unwrap());
    let mock = MockGitHub::builder().description(Arc::clone(&document)).start().await;
    let checker = ResponseValidator::with_description(document);
    let github = mock.client_builder().response_validator(checker.clone()).build().unwrap();
    let here = github.request(Method::GET, "/only/here").send::<Value>().await.unwrap();
    assert_eq!(here["id"], 1);
    assert!(github.request(Method::GET, "/user").send::<Value>().await.unwrap_err().is_not_found());
    assert!(checker.deviations().is_empty(), "{:?}", checker.deviations());
}

/// Every text becomes the secret, and every number too: each of them fits nowhere.
fn made_secret(value: &mut Value, secret: &str) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| made_secret(value, secret)),
        Value::Array(items) => items.iter_mut().for_each(|value| made_secret(value, secret)),
        Value::String(_) | Value::Number(_) => *value = secret.into(),
        Value::Null | Value::Bool(_) => *value = json!({ secret: secret }),
    }
}

#[tokio::test]
async fn no_deviation_shows_body_values() {
    let secret = "ghs_16C7e42F292c6912E7710c838347Ae178B4a";
    let mock = MockGitHub::start().await;
    let http = reqwest::Client::new();
    let mut deviations = 0;
    for id in ["apps/create-installation-access-token", "issues/get", "repos/get", "meta/get"] {
        let operation = mock.description().operation(id).unwrap();
        let example = mock.example_request(id);
        let request = http.request(example.method, mock.base_url() + &example.path);
        let response = request.body(example.body).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body: Value = response.json().await.unwrap();
        if let Value::Object(map) = &mut body {
            map.values_mut().for_each(|value| made_secret(value, secret));
        }
        let body = body.to_string();
        for body in [body.as_bytes(), &body.as_bytes()[..body.len() / 2]] {
            let response = ResponseToValidate::new(operation.method(), status, &headers, body);
            let found = mock.description().check_response(operation, response);
            assert!(!found.is_empty(), "{id}");
            deviations += found.len();
            for deviation in found {
                // The names of properties are where it is, and no values.
                assert!(!deviation.message.contains("ghs_"), "{deviation}");
            }
        }
    }
    println!("{deviations} deviations");
}

#[tokio::test]
async fn head_requests_other_media_types_and_redirects_are_no_deviation() {
    let mock = MockGitHub::start().await;
    let checker = ResponseValidator::new();
    let github =
        mock.client_builder().response_validator(checker.clone()).cache(CacheConfig::disabled());
    let github = github.build().unwrap();
    // Without a body, as a file, as a directory, and where GitHub redirects to.
    github.request(Method::HEAD, "/repos/a/b").send_empty().await.unwrap();
    let readme = github.request(Method::GET, "/repos/a/b/readme");
    readme.accept("application/vnd.github.raw+json").send_empty().await.unwrap();
    let folder = "{\"type\":\"dir\",\"size\":0,\"name\":\"x\",\"path\":\"x\",\"sha\":\"x\",\"url\":\"x\",\
                  \"git_url\":null,\"html_url\":null,\"download_url\":null,\"entries\":[],\
                  \"_links\":{\"git\":null,\"html\":null,\"self\":\"x\"}}";
    mock.on_request(Method::GET, "/repos/a/b/contents/x").respond_raw(
        200,
        "application/vnd.github.object+json; charset=utf-8",
        folder,
    );
    let object = github.request(Method::GET, "/repos/a/b/contents/x");
    object.accept("application/vnd.github.object+json").send_empty().await.unwrap();
    let archive = github.request(Method::GET, "/repos/a/b/zipball/main");
    archive.send_empty().await.unwrap();
    assert!(checker.deviations().is_empty(), "{:#?}", checker.deviations());
    assert_eq!(checker.validated(), 3);
}

#[tokio::test]
async fn a_response_without_its_body_or_of_no_known_operation_is_noted() {
    let mock = MockGitHub::start().await;
    let small = json!({ "openapi": "3.0.3", "info": {}, "paths": {} }).to_string();
    let small = Arc::new(ApiDescription::from_slice(small.as_bytes()).unwrap());
    mock.on(|github| github.users().get_authenticated()).respond_raw(200, "application/json", "");
    for (checker, kind) in [
        (ResponseValidator::new(), DeviationKind::WrongType),
        (ResponseValidator::with_description(small), DeviationKind::UnknownOperation),
    ] {
        let github = mock.client_builder().response_validator(checker.clone()).build().unwrap();
        let _ = github.users().get_authenticated().send().await;
        let kinds: Vec<_> = checker.deviations().iter().map(|seen| seen.deviation.kind).collect();
        assert_eq!(kinds, [kind]);
    }
}

#[test]
fn a_value_of_no_variant_is_reported_with_the_accepted_types() {
    let document = ApiDescription::built_in();
    let headers = http_headers();
    let method = Method::POST;
    let body = br#"{"title":"x","milestone":1.5}"#;
    let request = RequestToValidate::new(&method, "/repos/a/b/issues", &headers).body(body);
    let matched = document.check_request(request).unwrap();
    let reported: Vec<String> = matched.deviations.iter().map(ToString::to_string).collect();
    assert_eq!(reported, ["issues/create, at $.milestone: is number, expected integer or string"]);
}

fn http_headers() -> octowire::http::HeaderMap {
    let mut headers = octowire::http::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers
}

#[test]
fn a_path_by_id_is_validated_as_its_documented_operation() {
    let document = ApiDescription::built_in();
    for (path, operation) in [
        ("/repositories/7/issues", "issues/list-for-repo"),
        ("/repositories/7", "repos/get"),
        ("/repositories/7/commits/main/check-runs", "checks/list-for-ref"),
        ("/organizations/7/repos", "repos/list-for-org"),
        ("/organizations/7/team/9/members", "teams/list-members-in-org"),
        ("/user/7/followers", "users/list-followers-for-user"),
        // Paths that the document has by itself.
        ("/user/7", "users/get-by-id"),
        ("/user/followers", "users/list-followers-for-authenticated-user"),
        ("/repositories", "repos/list-public"),
        ("/organizations/7/settings/billing/usage", "billing/get-github-billing-usage-report-org"),
    ] {
        let found = document.operation_at(&Method::GET, path).map(|operation| operation.id());
        assert_eq!(found, Some(operation), "{path}");
    }
    for path in ["/repositories/x/issues", "/organizations/7/nothing", "/user/7/keys/9/x"] {
        assert!(document.operation_at(&Method::GET, path).is_none(), "{path}");
    }

    let headers = http::HeaderMap::new();
    let request =
        RequestToValidate::new(&Method::GET, "/repositories/7/issues?stat=open", &headers);
    let matched = document.check_request(request).unwrap();
    assert_eq!(matched.operation.id(), "issues/list-for-repo");
    assert_eq!(matched.deviations.len(), 1, "{:?}", matched.deviations);

    let checker = ResponseValidator::new();
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let response = ResponseToValidate::new(&Method::GET, http::StatusCode::OK, &headers, b"[7]");
    checker.validate(&Method::GET, "/user/7/followers", response);
    let seen = checker.deviations();
    assert_eq!(seen[0].deviation.operation, "users/list-followers-for-user");
}
