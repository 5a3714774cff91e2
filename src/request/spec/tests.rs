//! Requests in their wire form: parameters, headers and bodies.

use tokio::time::Instant;

use super::*;
use crate::api::OPERATIONS;
use crate::pipeline::attempt::trusted_headers;
use crate::pipeline::call::{Call, CallContext};
use crate::policy::auth::RequestCredentials;
use crate::{Body, Client, Request};

fn client() -> Client {
    Client::builder().build().unwrap()
}

fn operation(id: &str) -> RequestDraft {
    let operation = OPERATIONS.iter().find(|operation| operation.id == id);
    RequestDraft::for_operation(operation.unwrap())
}

fn built(draft: RequestDraft) -> Result<RequestSpec> {
    draft.build(&Endpoints::new("https://api.github.com", None).unwrap(), false)
}

/// Returns the headers that a server of GitHub receives.
fn sent(client: &Client, draft: RequestDraft) -> HeaderMap {
    let call = Call::new(client.handle().clone(), draft);
    let context = CallContext::new(call, Instant::now()).unwrap();
    trusted_headers(&context, &RequestCredentials::default(), true)
}

fn content(path: &str) -> Result<RequestSpec> {
    let mut request = operation("repos/get-content");
    request.set_path::<String>(0, "rust-lang");
    request.set_path::<String>(1, "rust");
    request.set_path::<String>(2, path);
    request.set_query::<String>("ref", "a b&c");
    built(request)
}

fn issue() -> RequestDraft {
    let mut request = operation("issues/create");
    request.set_path::<String>(0, "o");
    request.set_path::<String>(1, "r");
    request
}

fn json(request: RequestDraft) -> String {
    let RequestBody::Json(json) = built(request).unwrap().body else {
        panic!("no JSON");
    };
    String::from_utf8(json.to_vec()).unwrap()
}

fn refused(result: Result<RequestSpec>) -> String {
    let error = result.err().expect("the request is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    error.to_string()
}

/// A value that cannot be converted.
struct Bad;

impl TryFrom<Bad> for String {
    type Error = &'static str;

    fn try_from(_: Bad) -> Result<Self, Self::Error> {
        Err("not today")
    }
}

#[test]
fn values_are_percent_encoded_into_their_places() {
    let url = content("src/a b/ü#?.rs").unwrap().url.into_url();
    assert_eq!(
        url.as_str(),
        "https://api.github.com/repos/rust-lang/rust/contents/src/a%20b/%C3%BC%23%3F.rs\
         ?ref=a%20b%26c"
    );
}

#[test]
fn a_request_is_built_again_from_its_complete_form() {
    let endpoints = Endpoints::new("https://api.github.com", None).unwrap();
    let page = "https://api.github.com/repositories/7/issues?page=2".parse().unwrap();
    let mut list = operation("issues/list-for-repo");
    list.set_path::<String>(0, "O");
    list.set_path::<String>(1, "r");
    list.set_query::<String>("labels", "a,b c");
    list.header("x-trace", "1");
    let page = built(list.page(&endpoints, page)).unwrap();
    for spec in [content("src/a b").unwrap(), built(list).unwrap(), page] {
        let again = built(spec.to_draft()).unwrap();
        assert_eq!((again.url.get(), &again.headers), (spec.url.get(), &spec.headers));
        assert_eq!((&again.name, again.template()), (&spec.name, spec.template()));
        assert_eq!((again.path(), again.cache_path()), (spec.path(), spec.cache_path()));
        assert!(again.is_cacheable() && spec.is_cacheable());
    }
}

#[test]
fn a_slash_in_a_single_segment_is_encoded() {
    let mut request = issue();
    request.set_path::<String>(1, "r/../../x");
    request.set_field::<String>("title", "t");
    let url = built(request).unwrap().url.into_url();
    assert_eq!(url.path(), "/repos/o/r%2F..%2F..%2Fx/issues");
}

#[test]
fn an_encoded_dot_segment_cannot_leave_the_path() {
    let mut request = issue();
    request.set_path::<String>(1, "%2e%2e");
    request.set_field::<String>("title", "t");
    let url = built(request).unwrap().url.into_url();
    assert_eq!(url.path(), "/repos/o/%252e%252e/issues");
}

#[test]
fn values_that_change_the_path_are_rejected() {
    for value in ["", ".", ".."] {
        let mut request = issue();
        request.set_path::<String>(1, value);
        let line = refused(built(request));
        assert!(line.contains(r#"path parameter "repo""#), "{line}");
    }
    for path in ["../x", "a/../b", "a//b", "/a", "a/.", "a/"] {
        let line = refused(content(path));
        assert!(line.contains(r#"path parameter "path""#), "{line}");
    }
    assert!(content("").unwrap().url.get().path().ends_with("/contents/"));
}

#[test]
fn a_missing_parameter_is_named_with_its_setter() {
    let mut request = operation("issues/create");
    request.set_path::<String>(1, "r");
    let line = refused(built(request));
    assert!(line.contains(r#"missing path parameter "owner"; call .owner(…)"#), "{line}");
    let line = refused(built(issue()));
    assert!(line.contains(r#"missing body property "title"; call .title(…)"#), "{line}");
    let mut request = operation("repos/upload-release-asset");
    for (index, value) in ["o", "r"].into_iter().enumerate() {
        request.set_path::<String>(index, value);
    }
    request.set_path::<i64>(2, 7_i32);
    let line = refused(built(request));
    assert!(line.contains(r#"missing query parameter "name""#), "{line}");
    let mut request = operation("repos/upload-release-asset");
    for (index, value) in ["o", "r"].into_iter().enumerate() {
        request.set_path::<String>(index, value);
    }
    request.set_path::<i64>(2, 7_i32);
    request.set_query::<String>("name", "a.zip");
    let line = refused(built(request));
    assert!(line.contains("body"), "there is no asset without its bytes: {line}");
}

#[tokio::test]
async fn the_error_of_a_call_names_the_operation() {
    let error = Request::of(&client(), issue()).send::<Value>().await.unwrap_err();
    assert_eq!(error.operation(), Some("issues/create"));
    assert!(error.to_string().starts_with("issues/create: missing body property"));
}

#[test]
fn the_first_bad_value_wins() {
    let mut request = issue();
    request.set_path::<String>(1, Bad);
    request.set_field::<String>("title", Bad);
    request.set_query::<String>("x", Bad);
    assert_eq!(refused(built(request)), r#"invalid path parameter "repo": not today"#);
}

#[test]
fn fields_make_an_object_in_the_order_of_their_setting() {
    let mut request = issue();
    request.set_field::<String>("title", "old");
    request.set_null("body");
    request.set_field::<String>("title", "say \"hi\"");
    request.set_field::<Vec<u8>>("labels", vec![1, 2]);
    assert_eq!(json(request), r#"{"title":"say \"hi\"","body":null,"labels":[1,2]}"#);
}

#[test]
fn a_whole_body_replaces_fields_and_can_be_amended() {
    let mut request = issue();
    request.set_field::<String>("lost", "x");
    request.set_json(&serde_json::json!({ "title": "t", "milestone": 3 }));
    request.set_null("milestone");
    assert_eq!(json(request), r#"{"milestone":null,"title":"t"}"#);

    let mut request = issue();
    request.set_json(&7);
    request.set_null("milestone");
    assert!(refused(built(request)).contains("milestone"));
}

#[test]
fn query_parameters_are_replaced_and_lists_repeat_their_name() {
    let request = client().request(Method::GET, "/search?q=1");
    let mut request = request.query("page", 1).query("page", 2).into_call().draft;
    request.set_query_list::<String>("ids[]", vec!["a".to_owned(), "b c".to_owned()]);
    let url = built(request).unwrap().url.into_url();
    assert_eq!(url.query(), Some("q=1&page=2&ids%5B%5D=a&ids%5B%5D=b%20c"));
}

#[test]
fn uploads_go_to_the_upload_server() {
    let mut request = operation("repos/upload-release-asset");
    request.set_path::<String>(0, "o");
    request.set_path::<String>(1, "r");
    request.set_path::<i64>(2, 7_i32);
    request.set_query::<String>("name", "a.zip");
    request.set_body("application/octet-stream", Body::from("x"));
    request.header("content-type", "application/zip");
    assert_eq!(sent(&client(), request.clone())[CONTENT_TYPE], "application/zip");
    assert_eq!(
        built(request).unwrap().url.into_url().as_str(),
        "https://uploads.github.com/repos/o/r/releases/7/assets?name=a.zip"
    );
}

#[test]
fn a_default_accept_replaces_githubs_json_and_nothing_else() {
    const FULL: &str = "application/vnd.github.full+json";
    let accept = |client: &Client, id: &str, own: Option<&str>| {
        let operation = OPERATIONS.iter().find(|operation| operation.id == id).unwrap();
        let mut request = RequestDraft::for_operation(operation);
        request.set_path::<String>(0, "o");
        request.set_path::<String>(1, "r");
        request.set_path::<String>(2, "7");
        if let Some(own) = own {
            request.header(ACCEPT, own);
        }
        let headers = sent(client, request);
        headers[ACCEPT].to_str().unwrap().to_owned()
    };
    let client = Client::builder().default_header("accept", FULL).build().unwrap();
    assert_eq!(accept(&client, "issues/get", None), FULL);
    assert_eq!(accept(&client, "issues/get", Some("text/x")), "text/x");
    let archive = "repos/download-tarball-archive";
    assert_eq!(accept(&client, archive, None), "*/*");
    assert_eq!(accept(&client, archive, Some("text/x")), "text/x");
    let client = Client::builder().build().unwrap();
    assert_eq!(accept(&client, "issues/get", None), "application/vnd.github+json");
    assert_eq!(accept(&client, archive, None), "*/*");
}

#[test]
fn given_paths_stay_within_the_api() {
    let endpoints = Endpoints::new("https://ghe.example/api/v3", None).unwrap();
    let url = |path: &str| {
        let draft = RequestDraft::raw(Method::GET, path.to_owned());
        draft.build(&endpoints, false).map(|spec| spec.url.into_url())
    };
    for (path, expected) in [
        ("/user", "https://ghe.example/api/v3/user"),
        ("user", "https://ghe.example/api/v3/user"),
        ("@evil.example/", "https://ghe.example/api/v3/@evil.example/"),
        ("//evil.example/", "https://ghe.example/api/v3//evil.example/"),
        ("https://ghe.example/api/v3/x?y=1", "https://ghe.example/api/v3/x?y=1"),
    ] {
        assert_eq!(url(path).unwrap().as_str(), expected, "{path}");
    }
    for path in [
        "/../../setup",
        "/%2e%2e/%2E./setup",
        "/x#y",
        "https://u:p@ghe.example/api/v3/x",
        "https://",
    ] {
        let error = url(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{path}: {error}");
    }
    for path in ["https://evil.example/", "http://ghe.example/api/v3/x", "HTTPS://evil.example"] {
        let error = url(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl, "{path}: {error}");
    }
}
