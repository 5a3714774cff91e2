//! Every sign-in flow, with a server that responds correctly, incorrectly, and with repeated secrets.
//!
//! The server records each secret that it receives or issues, and no output can contain one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use octowire::ClientBuilder;
use octowire::auth::{
    AccessToken, App, ClientCredentials, Installation, MemoryTokenStore, OAuthApp,
    PendingAuthorization, PersonalToken, TokenPolicy, UserToken,
};
#[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
use octowire::rate_limit::{LimitAction, RateLimitPolicy};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::captured_output::{Log, Shown};
use crate::support::github_app::Key;
use crate::support::{Received, Reply, Server, json_response};

const CLIENT_ID: &str = "Iv23liCLIENT";
const CALLBACK: &str = "http://127.0.0.1:9999/callback";

/// The secrets known so far, by kind.
type Secrets = Arc<Mutex<BTreeMap<String, &'static str>>>;

/// The kind of response of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerBehavior {
    Success,
    /// It refuses, with all that it was sent in its message.
    Echo(&'static str),
    /// It responds well, but the response is truncated.
    TruncatedBody,
    /// It answers well, but with another shape.
    InvalidShape,
}

const MOODS: [ServerBehavior; 9] = [
    ServerBehavior::Success,
    ServerBehavior::Echo("200 OK"),
    ServerBehavior::Echo("400 Bad Request"),
    ServerBehavior::Echo("401 Unauthorized"),
    ServerBehavior::Echo("403 Forbidden"),
    ServerBehavior::Echo("404 Not Found"),
    ServerBehavior::Echo("500 Oops"),
    ServerBehavior::TruncatedBody,
    ServerBehavior::InvalidShape,
];

struct GitHub {
    server: Server,
    secrets: Secrets,
}

impl GitHub {
    async fn start(behavior: ServerBehavior) -> Self {
        let secrets = Secrets::default();
        let known = Arc::clone(&secrets);
        let server = Server::start(move |request| {
            let mut known = known.lock().unwrap();
            note_sent(&mut known, &request);
            let reply = reply(&mut known, &request, behavior);
            async { reply }
        });
        Self { server: server.await, secrets }
    }

    fn note(&self, what: &'static str, secret: &str) {
        self.secrets.lock().unwrap().insert(secret.to_owned(), what);
    }

    /// Failures are retried immediately.
    fn builder(&self) -> ClientBuilder {
        let policy = TokenPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
        self.server.builder().token_policy(policy)
    }
}

/// Notes the secrets in a request.
fn note_sent(known: &mut BTreeMap<String, &'static str>, request: &Received) {
    for name in ["authorization", "x-gateway-authorization"] {
        let Some(header) = request.headers.get(name) else { continue };
        let (scheme, secret) = header.split_once(' ').unwrap();
        known.entry(secret.to_owned()).or_insert("a credential that was sent");
        if scheme == "Basic" {
            let pair = String::from_utf8(STANDARD.decode(secret).unwrap()).unwrap();
            known.insert(pair.split_once(':').unwrap().1.to_owned(), "a client secret");
        }
        if secret.starts_with("eyJ") {
            known.insert(secret.rsplit('.').next().unwrap().to_owned(), "a JWT's signature");
        }
    }
    for (name, value) in form_urlencoded::parse(&request.body) {
        let what = match &*name {
            "client_secret" => "a client secret",
            "code" => "a code",
            "code_verifier" => "a verifier",
            "refresh_token" => "a refresh token",
            "device_code" => "a device code",
            _ => continue,
        };
        known.insert(value.into_owned(), what);
    }
}

fn reply(
    known: &mut BTreeMap<String, &'static str>,
    request: &Received,
    behavior: ServerBehavior,
) -> Reply {
    let path = request.target.split('?').next().unwrap();
    if let Some(rest) = path.strip_prefix("/app-manifests/") {
        known.insert(rest.split('/').next().unwrap().to_owned(), "a code");
    }
    let mut fresh = |prefix: &str, what| {
        let secret = format!("{prefix}canary{:04}{:x}", known.len(), std::process::id());
        known.insert(secret.clone(), what);
        secret
    };
    let end = octowire::chrono::DateTime::<octowire::chrono::Utc>::from(
        SystemTime::now() + Duration::from_secs(3600),
    );
    let body = match path {
        "/login/oauth/access_token" | "/token" => json!({
            "access_token": fresh("ghu_", "an access token"),
            "token_type": "bearer",
            "expires_in": 28800,
            "refresh_token": fresh("ghr_", "a refresh token"),
            "refresh_token_expires_in": 15897600,
            "scope": "",
        }),
        "/login/device/code" => json!({
            "device_code": fresh("device-", "a device code"),
            "user_code": fresh("USER-", "a user code"),
            "verification_uri": "https://github.example/login/device",
            "interval": 1,
        }),
        _ if path.starts_with("/app-manifests/") => json!({
            "id": 1,
            "client_id": CLIENT_ID,
            "slug": "octo-app",
            "html_url": "https://github.example/apps/octo-app",
            "pem": fresh("-----BEGIN RSA PRIVATE KEY-----", "a private key of GitHub"),
            "client_secret": fresh("client-", "a client secret of GitHub"),
            "webhook_secret": fresh("webhook-", "a webhook secret"),
        }),
        _ if path.ends_with("/access_tokens") => json!({
            "token": fresh("ghs_", "an installation token"),
            "expires_at": end,
            "permissions": {},
        }),
        _ if path.ends_with("/token") => json!({
            "token": fresh("ghu_", "an access token"),
            "user": { "login": "octocat", "id": 1 },
        }),
        _ => json!({ "id": 42 }),
    };
    let (status, body) = match behavior {
        ServerBehavior::Success => ("200 OK", body),
        ServerBehavior::Echo(status) => {
            let sent = String::from_utf8_lossy(&request.body);
            let form: Vec<_> = form_urlencoded::parse(&request.body).collect();
            let said = format!("{} {:?} {sent} {form:?}", request.target, request.headers);
            let errors = [json!(said), json!({ "message": said, "field": "token" })];
            (status, json!({ "message": said, "error_description": said, "errors": errors }))
        }
        ServerBehavior::TruncatedBody => {
            let body = body.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + 1);
            return Reply::Last((head + &body).into_bytes());
        }
        ServerBehavior::InvalidShape => {
            let body = body.to_string().replace(['}', ']'], "");
            return Reply::Raw(json_response("200 OK", "", &body));
        }
    };
    Reply::Raw(json_response(status, "", &body.to_string()))
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("canaries-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client in use: as it prints before and after, and what its call fails with.
async fn call(shown: &mut Shown, builder: ClientBuilder) {
    shown.value(&builder);
    let client = builder.build().unwrap();
    shown.value(&client);
    let request = client.request(Method::GET, "/user");
    shown.value(&request);
    // The body of a successful response belongs to the caller and is not redacted.
    if let Err(error) = request.send::<Value>().await {
        shown.error_of_a_credential(&error);
    }
    if let Ok(token) = client.access_token().await {
        shown.value(&token);
    }
    shown.value(&client);
}

async fn installations(shown: &mut Shown, github: &GitHub, key: &Key) {
    for (number, line) in key.pem.lines().enumerate().filter(|(_, line)| line.len() == 64) {
        // The first line is the same for most keys.
        if number > 1 {
            github.note("a private key", line);
        }
    }
    let app =
        App::new(CLIENT_ID, key.pem.clone()).unwrap().with_previous_key(key.pkcs8.clone()).unwrap();
    shown.value(&app);
    call(shown, github.builder().auth(app.clone())).await;
    for installation in [
        Installation::id(42),
        Installation::for_org("octo-org"),
        Installation::id(42).permission("issues", "read"),
    ] {
        let source = app.installation(installation);
        shown.value(&source);
        let store = MemoryTokenStore::new();
        call(shown, github.builder().auth(source).token_store(store.clone())).await;
        shown.value(&store);
    }
    let error = App::new(CLIENT_ID, key.pem.replace("END", "FIN")).unwrap_err();
    shown.error_of_a_credential(&error);
}

async fn personal(shown: &mut Shown, github: &GitHub, folder: &Folder) {
    let token = "ghp_canaryOfAPersonalToken";
    github.note("a personal token", token);
    call(shown, github.builder().token(token)).await;
    let path = folder.0.join("token");
    fs::write(&path, token).unwrap();
    let source = PersonalToken::from_file(&path).unwrap();
    shown.value(&source);
    call(shown, github.builder().auth(source)).await;
    let client = github.builder().build().unwrap();
    let request = client.request(Method::GET, "/x").header("authorization", "Bearer own-canary-1");
    shown.value(&request);
    if let Err(error) = request.send::<Value>().await {
        shown.error_of_a_credential(&error);
    }
    for text in ["ghp_canaryWithA\nBreak", "ghr_canaryRefresh", ""] {
        if let Err(error) = PersonalToken::new(text) {
            shown.error_of_a_credential(&error);
        }
    }
}

async fn users(shown: &mut Shown, github: &GitHub) {
    let client = github.builder().build().unwrap();
    github.note("a client secret", "canary-of-the-client-secret");
    let app = OAuthApp::new(CLIENT_ID, "canary-of-the-client-secret").unwrap();
    let app = app.redirect_uri(CALLBACK).unwrap();
    shown.value(&app);

    let sign_in = app.web_flow(&client).start().unwrap();
    let pairs = sign_in.url().query_pairs().into_owned();
    let (_, state) = pairs.into_iter().find(|(name, _)| name == "state").unwrap();
    github.note("a state", &state);
    shown.value(&sign_in);
    let session = sign_in.into_session();
    shown.value(&session);
    for callback in [
        format!("{CALLBACK}?code=canary-of-a-code&state={state}"),
        format!("{CALLBACK}?code=canary-of-a-code&state=canary-of-another-state"),
        format!("{CALLBACK}?error=access_denied&error_description={state}&state={state}"),
    ] {
        let sign_in = PendingAuthorization::from_session(&app, session.clone()).unwrap();
        match sign_in.exchange(&client, callback).await {
            Ok(token) => shown.value(&token),
            Err(error) => shown.error_of_a_credential(&error),
        }
    }
    match app.device_flow(&client).start().await {
        Ok(code) => {
            shown.value(&code);
            let code = code.user_code().to_owned();
            github.note("a user code", &code);
        }
        Err(error) => shown.error_of_a_credential(&error),
    }

    github.note("a refresh token", "ghr_canaryOfTheFirst");
    github.note("an access token", "ghu_canaryOfTheFirst");
    let token = AccessToken::new("ghu_canaryOfTheFirst").unwrap();
    for outcome in [
        app.check(&client, &token).await.map(|checked| format!("{checked:?}")),
        app.reset(&client, &token).await.map(|token| format!("{token:?}")),
        app.revoke(&client, &token).await.map(|done| format!("{done:?}")),
        app.revoke_grant(&client, &token).await.map(|done| format!("{done:?}")),
    ] {
        match outcome {
            Ok(response) => shown.value(&response),
            Err(error) => shown.error_of_a_credential(&error),
        }
    }
    let ended = token.expires_in(Duration::ZERO).with_refresh_token("ghr_canaryOfTheFirst", None);
    shown.value(&ended);
    let user = UserToken::new(app, ended).with_identity("octocat");
    shown.value(&user);
    call(shown, github.builder().auth(user)).await;
}

async fn gateways(shown: &mut Shown, github: &GitHub) {
    let url = format!("{}/token", github.server.url);
    let source = ClientCredentials::new(&url, "id", "canary of the gateway/secret").unwrap();
    github.note("a client secret", "canary of the gateway/secret");
    for source in [source.clone(), source.credentials_in_body()] {
        shown.value(&source);
        let builder = github.builder().gateway("x-gateway-authorization", source);
        call(shown, builder.token("ghp_canaryBesideAGateway")).await;
    }
}

/// A registration: its page, a forged callback, GitHub's callback, and the credentials in a store.
#[cfg(feature = "app-registration")]
async fn registrations(shown: &mut Shown, github: &GitHub) {
    use octowire::auth::{RegisteredApp, TokenStore};
    use octowire::registration::{AppManifest, AppRegistration};
    let client = github.builder().token("ghp_canaryBesideARegistration").build().unwrap();
    let registration = AppRegistration::new(&client, AppManifest::new("https://www.example.com"));
    shown.value(&registration);
    let pending = registration.start().await.unwrap();
    shown.value(&pending);
    let page = pending.url().clone();
    github.note("a path", page.path().trim_start_matches('/'));
    let browser = async {
        let html = reqwest::get(page.clone()).await.unwrap().text().await.unwrap();
        let state = html.split_once("?state=").unwrap().1.split_once('"').unwrap().0.to_owned();
        github.note("a state of a registration", &state);
        let mut pages = String::new();
        for state in ["canary-of-a-forged-state", &state, &state] {
            let query = format!("/callback?code=canary-of-a-registration&state={state}");
            let response = reqwest::get(page.join(&query).unwrap()).await;
            // The server ends after the right one.
            if let Ok(response) = response {
                pages.push_str(&response.text().await.unwrap_or_default());
            }
        }
        pages
    };
    let (outcome, pages) = tokio::join!(pending.finish(), browser);
    shown.0.push_str(&pages);
    let registered = match outcome {
        Ok(registered) => registered,
        Err(error) => return shown.error_of_a_credential(&error),
    };
    shown.value(&registered);
    let store = MemoryTokenStore::new();
    registered.save(&store, "production").await.unwrap();
    let stored = store.load("registered-app:production").await.unwrap().unwrap();
    github.note("a stored App", stored.expose_secret());
    shown.value(&stored);
    shown.value(&store);
    shown.value(&RegisteredApp::load(&store, "production").await.unwrap());
    shown.error_of_a_credential(&registered.app().unwrap_err());
    shown.value(&registered.oauth_app().unwrap());
    let other = AccessToken::new("canary-in-place-of-an-app").unwrap();
    store.save("registered-app:staging", &other).await.unwrap();
    github.note("an access token", "canary-in-place-of-an-app");
    let error = RegisteredApp::load(&store, "staging").await.unwrap_err();
    shown.error_of_a_credential(&error);
}

#[cfg(feature = "encrypted-token-store")]
async fn files(shown: &mut Shown, github: &GitHub, folder: &Folder, key: &Key) {
    use octowire::auth::{EncryptedFileTokenStore, EncryptionKey};
    let sealing = EncryptionKey::from_bytes(std::array::from_fn(|place| place as u8 ^ 0xA5));
    let text = secrecy::ExposeSecret::expose_secret(&sealing.to_base64()).to_owned();
    github.note("a sealing key", &text);
    shown.value(&sealing);
    shown.value(&sealing.to_base64());
    let path = folder.0.join("tokens");
    let store = EncryptedFileTokenStore::open(&path, sealing).unwrap();
    shown.value(&store);
    let app = App::new(CLIENT_ID, key.pem.clone()).unwrap();
    call(shown, github.builder().auth(app.installation(42)).token_store(store)).await;
    match EncryptedFileTokenStore::open(&path, EncryptionKey::generate().unwrap()) {
        Ok(store) => shown.value(&store),
        Err(error) => shown.error_of_a_credential(&error),
    }
    // Files on disk contain no secret either.
    let bytes = fs::read(&path).unwrap_or_default();
    shown.0.push_str(&String::from_utf8_lossy(&bytes));
}

/// A fleet's Redis, which wants a password: well, then with another one, then gone.
#[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
async fn stores(shown: &mut Shown, github: &GitHub, key: &Key) {
    use crate::redis_servers::RedisServer;
    use octowire::auth::{EncryptedTokenStore, EncryptionKey};
    use octowire::store::RedisStore;
    let password = "canary-of-redis";
    github.note("a store's password", password);
    let mut server = RedisServer::with(&["--requirepass", password]);
    let url = format!("redis://:{password}@127.0.0.1:{}", server.port);
    let app = App::new(CLIENT_ID, key.pem.clone()).unwrap();
    let use_it = async |shown: &mut Shown, url: &str| {
        let redis = RedisStore::builder(url);
        shown.value(&redis);
        let redis = redis.build().unwrap();
        let sealing = EncryptionKey::from_bytes(std::array::from_fn(|place| place as u8 ^ 0x5A));
        let tokens = EncryptedTokenStore::new(redis.clone(), sealing);
        shown.value(&redis);
        shown.value(&tokens);
        let limits = RateLimitPolicy::default().on_limit(LimitAction::FailFast);
        let builder = github.builder().store(redis).rate_limits(limits);
        call(shown, builder.auth(app.installation(42)).token_store(tokens)).await;
    };
    use_it(shown, &url).await;
    // Stored values and their keys contain no secret.
    let kept = server.ask(&["-a", password, "--no-auth-warning", "KEYS", "*"]);
    for name in kept.lines() {
        let value = server.ask(&["-a", password, "--no-auth-warning", "GET", name]);
        shown.0.push_str(&format!("{name} {value}\n"));
    }
    assert!(kept.contains("octowire:"), "{kept}");
    use_it(shown, &url.replace("canary-of-redis", "canary-of-redis-no-more")).await;
    let login = RedisStore::builder(server.url()).login(Some("me"), format!("{password}-2"));
    shown.value(&login);
    shown.error(&login.connect().await.unwrap_err());
    server.kill();
    shown.error(&RedisStore::connect(url.clone()).await.unwrap_err());
    shown.error(&RedisStore::connect(url.replace("redis://", "http://")).await.unwrap_err());
    use_it(shown, &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_canary_of_any_flow_shows_in_logs_errors_or_debug() {
    let log = Log::of_everything();
    let folder = Folder::new();
    let key = Key::generate();
    let mut kinds = BTreeMap::new();
    for behavior in MOODS {
        let github = GitHub::start(behavior).await;
        let mut shown = Shown::default();
        personal(&mut shown, &github, &folder).await;
        installations(&mut shown, &github, &key).await;
        users(&mut shown, &github).await;
        gateways(&mut shown, &github).await;
        #[cfg(feature = "app-registration")]
        registrations(&mut shown, &github).await;
        #[cfg(feature = "encrypted-token-store")]
        files(&mut shown, &github, &folder, &key).await;
        #[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
        stores(&mut shown, &github, &key).await;

        let log = log.text();
        let secrets = github.secrets.lock().unwrap();
        for (secret, what) in &*secrets {
            *kinds.entry(*what).or_insert(0) += 1;
            for form in forms(secret) {
                for (place, text) in [("what prints", &shown.0), ("the log", &log)] {
                    let found = text.find(&form);
                    let around = found.map(|at| around(text, at));
                    assert!(
                        found.is_none(),
                        "{behavior:?}: {what}, {form}, in {place}: {around:?}"
                    );
                }
            }
        }
    }
    // It did happen.
    assert!(log.text().contains("token refreshed"), "the token manager logs");
    #[cfg(feature = "app-registration")]
    for what in [
        "a path",
        "a state of a registration",
        "a private key of GitHub",
        "a client secret of GitHub",
        "a webhook secret",
        "a stored App",
    ] {
        assert!(kinds.contains_key(what), "{what} was never seen: {kinds:?}");
    }
    for what in [
        "a JWT's signature",
        "a client secret",
        "a code",
        "a device code",
        "a personal token",
        "a private key",
        "a refresh token",
        "a state",
        "a user code",
        "a verifier",
        "an access token",
        "an installation token",
        "a credential that was sent",
    ] {
        assert!(kinds.contains_key(what), "{what} was never seen: {kinds:?}");
    }
}

/// A secret as it is, and as bytes and headers carry it.
fn forms(secret: &str) -> Vec<String> {
    let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut forms =
        vec![secret.to_owned(), STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
    if encoded != secret {
        forms.push(encoded);
    }
    forms
}

fn around(text: &str, at: usize) -> String {
    let before = text[..at].chars().rev().take(300).collect::<Vec<_>>();
    let before: String = before.into_iter().rev().collect();
    before + &text[at..].chars().take(120).collect::<String>()
}

/// The oracle detects a secret.
#[test]
fn a_canary_that_shows_is_found() {
    let forms = forms("canary of a/secret");
    assert!(forms.iter().any(|form| "…canary+of+a%2Fsecret…".contains(form.as_str())));
    assert!(around("xxxx canary yyyy", 5).contains("canary"));
}
