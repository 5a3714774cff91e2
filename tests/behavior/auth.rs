//! A client refreshes its credential without any action of the caller.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use octowire::auth::{
    AccessToken, App, AuthFailure, Installation, MemoryTokenStore, PersonalToken, TokenPolicy,
};
use octowire::{Body, Client, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use super::super::support::github_app::{CLIENT_ID, GitHub, Key, pem};
use super::super::support::{FrozenClock, Server, json_response};

static KEY: LazyLock<Key> = LazyLock::new(Key::generate);
static OTHER_KEY: LazyLock<Key> = LazyLock::new(Key::generate);

const SECOND: Duration = Duration::from_secs(1);

fn app() -> App {
    App::new(CLIENT_ID, KEY.pem.as_str()).unwrap()
}

async fn get(client: &Client) -> Result<octowire::Response<Value>> {
    client.request(Method::GET, "/repos/a/b").send::<Value>().await
}

#[tokio::test]
async fn an_app_signs_in_as_its_installation() {
    let github = GitHub::knowing(&[&KEY]).await;
    let wrapped = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&KEY.pem)
    };
    for app in [
        app(),
        App::new(12345, KEY.pkcs8.as_str()).unwrap(),
        App::new(CLIENT_ID, KEY.pem.replace('\n', "\\n")).unwrap(),
        App::new(CLIENT_ID, format!("\"{}\"", KEY.pem.replace('\n', "\\r\\n"))).unwrap(),
        App::new(CLIENT_ID, wrapped).unwrap(),
    ] {
        let client = github.client(&app);
        assert_eq!(get(&client).await.unwrap()["path"], "/repos/a/b");
        assert_eq!(client.identity(), "installation:42");
    }
    assert_eq!(github.issued_tokens(), 5);
    assert_eq!(github.state().rejections, 0);
}

#[tokio::test]
async fn a_thousand_concurrent_calls_fetch_one_token() {
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    let calls = join_all((0..1000).map(|_| get(&client))).await;
    assert!(calls.iter().all(Result::is_ok));
    assert_eq!(github.issued_tokens(), 1);
    assert_eq!(github.state().jwts.len(), 1);
}

#[tokio::test]
async fn handles_of_other_installations_share_the_jwt_and_keep_their_tokens() {
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    for _ in 0..2 {
        for id in 1..=20 {
            get(&client.installation(id).unwrap()).await.unwrap();
        }
    }
    let state = github.state();
    assert_eq!(state.issued_tokens.len(), 20, "asked for twice, minted once");
    assert!(state.jwts.iter().all(|jwt| *jwt == state.jwts[0]), "signed once");
}

#[tokio::test]
async fn the_installations_that_are_kept_are_bounded() {
    let github = GitHub::knowing(&[&KEY]).await;
    let policy = TokenPolicy::default().max_cached_installations(2);
    let client = github.builder().auth(app()).token_policy(policy).build().unwrap();
    for (id, issued_tokens) in [(1, 1), (2, 2), (1, 2), (3, 3), (1, 3), (2, 4)] {
        get(&client.installation(id).unwrap()).await.unwrap();
        assert_eq!(github.issued_tokens(), issued_tokens, "after {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_hour_ends_and_no_call_is_rejected() {
    let _still = FrozenClock::new();
    let github = GitHub::knowing(&[&KEY]).await;
    let policy = TokenPolicy::default().refresh_jitter(Duration::ZERO);
    let auth = app().installation(42);
    let client = github.builder().auth(auth).token_policy(policy).build().unwrap();
    get(&client).await.unwrap();
    advance(3538 * SECOND).await;
    get(&client).await.unwrap();
    assert_eq!(github.issued_tokens(), 1);
    // A `Date` is whole seconds, so that the lifetime is known to a second.
    advance(4 * SECOND).await;
    while github.issued_tokens() == 1 {
        tokio::task::yield_now().await;
        get(&client).await.unwrap();
    }
    assert_eq!(github.issued_tokens(), 2);
    github.state().tokens.retain(|token, _| token.ends_with("_2"));
    // The answer may still be on its way to the client.
    while client.access_token().await.unwrap().unwrap().expose_secret() != "ghs_42_2" {
        tokio::task::yield_now().await;
    }
    get(&client).await.unwrap();
    let state = github.state();
    assert_eq!((state.issued_tokens.len(), state.rejections), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_replaced_and_the_call_is_retried_with_its_body() {
    let _still = FrozenClock::new();
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    get(&client).await.unwrap();
    advance(60 * SECOND).await;
    github.revoke_all();
    let call = || client.request(Method::POST, "/x").json(&json!({"a": 1})).send::<Value>();
    let calls = join_all((0..50).map(|_| call())).await;
    assert!(calls.iter().all(|call| call.as_ref().unwrap()["body"] == r#"{"a":1}"#));
    assert_eq!(github.issued_tokens(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_body_is_sent_once_and_the_next_call_succeeds() {
    let _still = FrozenClock::new();
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    get(&client).await.unwrap();
    advance(60 * SECOND).await;
    github.revoke_all();
    let upload = || {
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("abc")]);
        let call = client.request(Method::POST, "/x");
        call.body("text/plain", Body::stream(chunks, Some(3))).send_empty()
    };
    let error = upload().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 401);
    assert_eq!(github.state().rejections, 1);
    // The token is another one, although the call did not go again.
    upload().await.unwrap();
    assert_eq!(github.issued_tokens(), 2);
}

#[tokio::test]
async fn a_new_token_that_has_not_reached_all_servers_is_waited_for() {
    let github = GitHub::knowing(&[&KEY]).await;
    github.state().rejected_uses = 1;
    get(&github.client(&app())).await.unwrap();
    assert_eq!((github.issued_tokens(), github.state().rejections), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_github_never_accepts_fails_after_one_refresh() {
    let _still = FrozenClock::new();
    let github = GitHub::knowing(&[&KEY]).await;
    github.state().rejected_uses = usize::MAX;
    let client = github.client(&app());
    let call = tokio::spawn(async move { get(&client).await.unwrap_err() });
    while !call.is_finished() {
        tokio::task::yield_now().await;
        advance(SECOND / 100).await;
    }
    let error = call.await.unwrap();
    assert_eq!(error.status().unwrap(), 401);
    assert_eq!(github.issued_tokens(), 2);
    assert!(github.state().rejections <= 9);
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_once() {
    for clock in [-900, -120, 120, 900] {
        let github = GitHub::knowing(&[&KEY]).await;
        github.state().clock = clock;
        let client = github.client(&app());
        get(&client).await.unwrap();
        get(&client.installation(43).unwrap()).await.unwrap();
        let requests = github.server.requests();
        let asked = requests.iter().filter(|request| request.target.ends_with("access_tokens"));
        // Two minutes are within what GitHub takes, in one direction.
        assert_eq!(asked.count(), if clock == 120 { 2 } else { 3 }, "clock {clock}");
    }
}

#[tokio::test]
async fn a_token_lasts_by_githubs_clock() {
    let github = GitHub::knowing(&[&KEY]).await;
    github.state().clock = -1800;
    let token = github.client(&app()).access_token().await.unwrap().unwrap();
    let left = token.expires_at().unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert!((3590..=3601).contains(&left.as_secs()), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_are_switched_over_without_a_failing_call() {
    let _still = FrozenClock::new();
    let github = GitHub::knowing(&[&OTHER_KEY]).await;
    // The new key is not known to GitHub yet.
    let app = app().with_previous_key(OTHER_KEY.pem.as_str()).unwrap();
    let client = github.builder().auth(app).build().unwrap();
    get(&client.installation(1).unwrap()).await.unwrap();
    get(&client.installation(2).unwrap()).await.unwrap();
    let refused = github.server.requests().iter().filter(|call| call.method == "POST").count() - 2;
    assert_eq!(refused, 1, "the new key is tried once, not for every token");
    github.state().keys.push(KEY.public.clone());
    advance(3 * 3600 * SECOND).await;
    get(&client.installation(3).unwrap()).await.unwrap();
    // Now the old one can go.
    github.state().keys = vec![KEY.public.clone()];
    get(&client.installation(4).unwrap()).await.unwrap();
    assert_eq!(github.issued_tokens(), 4);
}

#[tokio::test]
async fn every_failure_of_an_installation_has_its_own_error() {
    for (status, message, failure, part) in [
        ("404 Not Found", "Not Found", AuthFailure::InstallationNotFound, "not installed"),
        (
            "403 Forbidden",
            "This installation has been suspended",
            AuthFailure::InstallationSuspended,
            "unsuspend",
        ),
        (
            "422 Unprocessable Entity",
            "The permissions requested are not granted to this installation.",
            AuthFailure::NotGranted,
            "request only",
        ),
    ] {
        let github = GitHub::knowing(&[&KEY]).await;
        github.state().reject_issue_token = Some((status, message));
        let error = get(&github.client(&app())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert_eq!(error.auth_failure(), Some(failure));
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.is_not_found(), "the call's own resource was never asked for");
        assert!(!error.is_retryable());
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(message), "{source}");
    }
    let github = GitHub::knowing(&[&OTHER_KEY]).await;
    let error = get(&github.client(&app())).await.unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::AppRejected));
    let client = github.builder().auth(app()).build().unwrap();
    assert_eq!(get(&client).await.unwrap_err().status().unwrap(), 401);
}

#[tokio::test(start_paused = true)]
async fn a_transient_token_fetch_failure_is_retried() {
    let github = GitHub::knowing(&[&KEY]).await;
    github.state().failures = 2;
    get(&github.client(&app())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_installation_is_looked_up_once_and_again_when_it_moved() {
    let _still = FrozenClock::new();
    let github = GitHub::knowing(&[&KEY]).await;
    let auth = app().installation(Installation::for_org("octo-org"));
    let client = github.builder().auth(auth).build().unwrap();
    get(&client).await.unwrap();
    get(&client).await.unwrap();
    let lookups = |github: &GitHub| {
        let requests = github.server.requests();
        requests.iter().filter(|request| request.target == "/orgs/octo-org/installation").count()
    };
    assert_eq!(lookups(&github), 1);
    // Uninstalled, and installed again.
    github.state().org_installation = 8;
    github.state().gone.push(7);
    github.revoke_all();
    advance(60 * SECOND).await;
    get(&client).await.unwrap();
    assert_eq!((lookups(&github), github.issued_tokens()), (2, 2));
    for other in [Installation::for_user("absent"), Installation::for_repo("no", "where")] {
        let error = get(&client.installation(other).unwrap()).await.unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::InstallationNotFound));
    }
}

#[tokio::test]
async fn installation_tokens_are_scoped_as_requested_and_cached_separately() {
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    let narrow = Installation::id(42)
        .repositories(["b", "a"])
        .repository_ids([3])
        .permission("issues", "write");
    let narrow = client.installation(narrow).unwrap();
    get(&client).await.unwrap();
    get(&narrow).await.unwrap();
    let expected = json!({
        "repositories": ["a", "b"], "repository_ids": [3], "permissions": {"issues": "write"},
    });
    assert_eq!(github.state().issued_tokens, [json!({}), expected]);
    assert_ne!(client.identity(), narrow.identity());
}

#[tokio::test]
async fn permissions_are_pairs_of_a_name_and_a_level() {
    use octowire::auth::PermissionLevel::{Admin, Read, Write};

    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    let one_by_one = Installation::id(42)
        .permission("contents", "read")
        .permission("issues", Write)
        .permission("organization_projects", Admin);
    let pairs = [("issues", Write), ("contents", Read), ("organization_projects", Admin)];
    assert_eq!(Installation::id(42).permissions(pairs), one_by_one);
    get(&client.installation(one_by_one).unwrap()).await.unwrap();
    let expected = json!({
        "permissions": {
            "contents": "read", "issues": "write", "organization_projects": "admin",
        },
    });
    assert_eq!(github.state().issued_tokens, [expected]);
}

#[tokio::test]
async fn an_installation_is_named_by_an_integer_of_any_type_or_text() {
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    // As webhooks and generated types have ids.
    let (event, repository): (i64, i64) = (42, 3);
    let narrow = |installation: Installation| installation.repository_ids([repository]);
    for installation in [
        narrow(Installation::from(event)),
        narrow(Installation::id(event)),
        narrow(Installation::id(42_u64)),
        narrow(Installation::id("42")),
    ] {
        get(&client.installation(installation).unwrap()).await.unwrap();
    }
    assert_eq!(github.state().issued_tokens, [json!({ "repository_ids": [3] })]);
    for (installation, said) in [
        (Installation::id(-1), "invalid installation id: -1 is negative"),
        (Installation::id("octo-org"), "invalid installation id: `octo-org` is not an integer"),
        (Installation::id(1).repository_ids(["a"]), "invalid repository id: `a` is not an integer"),
    ] {
        let error = get(&client.installation(installation).unwrap()).await.unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Malformed), "{error}");
        let shown = chain(&error);
        assert!(shown.contains(said), "{shown}");
    }
    assert_eq!(github.state().issued_tokens.len(), 1);
}

/// An error and its sources.
fn chain(error: &octowire::Error) -> String {
    let mut shown = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        shown = format!("{shown}: {error}");
        source = error.source();
    }
    shown
}

/// GitHub takes an empty list for no restriction, so a filter that finds nothing would grant everything.
#[tokio::test]
async fn an_empty_restriction_requests_no_token() {
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    let id = || Installation::id(42);
    for (installation, what) in [
        (id().permissions::<&str, &str>([]), "permissions"),
        (id().repositories::<&str>([]), "repositories"),
        (id().repository_ids(Vec::<u64>::new()), "repository ids"),
        // Another restriction does not make up for it.
        (id().permission("issues", "read").repositories(Vec::<String>::new()), "repositories"),
    ] {
        assert_ne!(installation, id());
        let error = get(&client.installation(installation).unwrap()).await.unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Malformed), "{error}");
        let shown = chain(&error);
        assert!(shown.contains(&format!("the list of {what} of the tokens is empty")), "{shown}");
    }
    assert_eq!(github.issued_tokens(), 0);
}

#[tokio::test]
async fn the_app_itself_is_a_handle_away_and_its_token_is_not_mixed_up() {
    let github = GitHub::knowing(&[&KEY]).await;
    let client = github.client(&app());
    let app = client.as_app().unwrap().request(Method::GET, "/app").send::<Value>().await;
    assert_eq!(app.unwrap()["slug"], "octowire");
    // An installation's token will not do there, and another would not either.
    let error = client.request(Method::GET, "/app").send::<Value>().await.unwrap_err();
    assert!(error.to_string().contains("as_app"), "{error}");
    assert_eq!(github.issued_tokens(), 1);
    let personal = Client::with_token("ghp_x").unwrap();
    let error = personal.installation(1).unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::NotAnApp));
}

#[tokio::test]
async fn clients_with_one_store_fetch_one_token() {
    let github = GitHub::knowing(&[&KEY]).await;
    let store = MemoryTokenStore::new();
    let client = || {
        let auth = app().installation(42);
        github.builder().auth(auth).token_store(store.clone()).build().unwrap()
    };
    let clients: Vec<_> = (0..10).map(|_| client()).collect();
    let calls = join_all(clients.iter().map(get)).await;
    assert!(calls.iter().all(Result::is_ok));
    assert_eq!(github.issued_tokens(), 1);
}

#[test]
fn an_invalid_private_key_is_rejected_with_its_cause() {
    let garbage = pem("RSA PRIVATE KEY", b"hunter2hunter2");
    let cut = &KEY.pem[..KEY.pem.len() / 2];
    for (text, failure, part) in [
        ("", AuthFailure::Empty, "empty"),
        ("  \n", AuthFailure::Empty, "empty"),
        ("ghp_hunter2", AuthFailure::WrongKind, "personal access token"),
        ("github_pat_hunter2", AuthFailure::WrongKind, "fine-grained"),
        ("hunter2", AuthFailure::InvalidKey, "-----BEGIN"),
        (&garbage, AuthFailure::InvalidKey, "RSA"),
        (cut, AuthFailure::InvalidKey, "truncated"),
        (&pem("ENCRYPTED PRIVATE KEY", b"hunter2"), AuthFailure::EncryptedKey, "passphrase"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n\
             aHVudGVyMg==\n-----END RSA PRIVATE KEY-----",
            AuthFailure::EncryptedKey,
            "passphrase",
        ),
        (&pem("PUBLIC KEY", b"hunter2"), AuthFailure::InvalidKey, "public key"),
        (&pem("CERTIFICATE", b"hunter2"), AuthFailure::InvalidKey, "certificate"),
        (&pem("OPENSSH PRIVATE KEY", b"hunter2"), AuthFailure::InvalidKey, "SSH"),
        (&pem("EC PRIVATE KEY", b"hunter2"), AuthFailure::InvalidKey, "elliptic"),
    ] {
        let error = App::new(CLIENT_ID, text).unwrap_err();
        assert_eq!(error.auth_failure(), Some(failure), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVud"), "{shown}");
    }
    assert_eq!(
        App::new("", KEY.pem.as_str()).unwrap_err().auth_failure(),
        Some(AuthFailure::Empty)
    );
    let error = App::new("ghp_hunter2", KEY.pem.as_str()).unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::WrongKind));
    let error = App::from_key_file(CLIENT_ID, "/no/such/key.pem").unwrap_err();
    assert!(error.to_string().contains("/no/such/key.pem"), "{error}");
}

/// A server that only knows one token.
async fn knowing(token: &'static str) -> Server {
    Server::start(move |request| {
        let good = request
            .headers
            .get("authorization")
            .is_some_and(|header| header.strip_prefix("Bearer ") == Some(token));
        let reply = if good {
            json_response("200 OK", "", "{}")
        } else {
            json_response("401 Unauthorized", "", r#"{"message":"Bad credentials"}"#)
        };
        async { super::super::support::Reply::Raw(reply) }
    })
    .await
}

fn temporary(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("octowire-{name}-{}", std::process::id()))
}

#[tokio::test(start_paused = true)]
async fn a_token_file_that_changes_is_read_again_when_the_old_token_is_rejected() {
    let file = temporary("token");
    std::fs::write(&file, "ghp_old\n").unwrap();
    let server = knowing("ghp_new").await;
    let token = PersonalToken::from_file(&file).unwrap();
    let client = server.builder().auth(token).build().unwrap();
    assert_eq!(get(&client).await.unwrap_err().status().unwrap(), 401);
    std::fs::write(&file, "ghp_new\n").unwrap();
    advance(SECOND).await;
    get(&client).await.unwrap();
    // The provider keeps the token that it read when it was created, also if the file is removed.
    let token = PersonalToken::from_file(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    get(&server.builder().auth(token).build().unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_file_that_changes_is_read_again_within_seconds() {
    let file = temporary("rotated");
    std::fs::write(&file, "ghp_old").unwrap();
    let client = Client::builder().auth(PersonalToken::from_file(&file).unwrap()).build().unwrap();
    let current = async || client.access_token().await.unwrap().unwrap().expose_secret().to_owned();
    assert_eq!(current().await, "ghp_old");
    std::fs::write(&file, "ghp_new").unwrap();
    let start = Instant::now();
    while current().await != "ghp_new" {
        tokio::time::sleep(SECOND / 10).await;
    }
    assert!(start.elapsed() <= 6 * SECOND, "{:?}", start.elapsed());
    // While it is gone, the token goes on.
    std::fs::remove_file(&file).unwrap();
    for _ in 0..100 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(current().await, "ghp_new");
    }
}

#[tokio::test]
async fn a_static_token_that_is_rejected_is_sent_once() {
    let server = knowing("ghp_other").await;
    let client = server.builder().token("ghp_mine").build().unwrap();
    assert_eq!(get(&client).await.unwrap_err().status().unwrap(), 401);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_gateway_gets_its_own_token_besides_that_of_github() {
    let github = GitHub::knowing(&[&KEY]).await;
    let gateway = PersonalToken::new("gateway-token").unwrap();
    let auth = app().installation(42);
    let client = github.builder().auth(auth).gateway("x-gateway", gateway).build().unwrap();
    get(&client).await.unwrap();
    for request in github.server.requests() {
        assert_eq!(request.headers["x-gateway"], "Bearer gateway-token", "{}", request.target);
        assert!(!request.headers["authorization"].contains("gateway"));
    }
}

#[tokio::test]
async fn no_other_host_gets_a_token_by_redirect_link_or_mistake() {
    let stranger = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let location = format!("location: {}/x\r\n", stranger.url);
    let link = format!("link: <{}/x?page=2>; rel=\"next\"\r\n", stranger.url);
    let token = || {
        let token = AccessToken::new("ghs_secret").unwrap();
        PersonalToken::new(token.expose_secret()).unwrap()
    };
    for headers in [&location, &link] {
        let status = if headers == &location { "302 Found" } else { "200 OK" };
        let server = Server::fixed_response(json_response(status, headers, "[]")).await;
        let client = server.builder().auth(token()).gateway("x-gateway", token()).build().unwrap();
        let mut items = client.request(Method::GET, "/x").items(|page: Vec<Value>| page);
        let _ = items.try_next().await;
        let by_mistake = client.request(Method::GET, format!("{}/x", stranger.url));
        let error = by_mistake.send::<Value>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UntrustedUrl);
        assert!(server.requests()[0].headers["authorization"].contains("ghs_secret"));
    }
    assert!(!stranger.requests().is_empty(), "the redirect was followed");
    for request in stranger.requests() {
        assert!(!format!("{request:?}").contains("ghs_secret"), "{request:?}");
    }
}
