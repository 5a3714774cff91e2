//! A server that repeats every received secret in every place: the stored and shown parts of its
//! responses contain no secret, for each kind of secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method};
use octowire::auth::{
    AccessToken, ClientCredentials, OAuthApp, TokenFuture, TokenPolicy, TokenProvider,
    TokenRequest, UserToken,
};
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::observability::BodyLogging;
use octowire::rate_limit::{LimitAction, RateLimitPolicy, SecondaryLimits};
use octowire::usage::UsageConfig;
use octowire::{CircuitBreaker, Client, Error, Request, RetryPolicy};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::captured_output::{Log, Shown};
use crate::support::{Received, Reply, Server};

/// Each kind of secret, and the way in which the server receives it.
const SECRETS: [(&str, &str); 30] = [
    ("the token", "ech0-first-token-aaaa"),
    ("the token after it", "ech0-second-token-bbbb"),
    ("a gateway's token", "ech0-gateway-token-cccc"),
    ("a gateway's client secret", "ech0 gateway/secret+dddd"),
    ("an own bearer", "ech0-own-bearer-eeee"),
    ("an own password", "ech0 own \"password\" ffff"),
    ("a header of the client", "ech0-default-header-gggg"),
    ("a header of a call", "ech0-key-of-a-call-hhhh"),
    ("a cookie", "ech0-cookie-iiii"),
    ("a parameter", "ech0 parameter&jjjj"),
    ("a client secret", "ech0-client-secret-kkkk"),
    ("a code", "ech0-code-llll"),
    ("a device code", "ech0-device-code-mmmm"),
    ("a refresh token", "ech0-refresh-token-nnnn"),
    ("a webhook's secret", "ech0-webhook-secret-oooo"),
    ("a dashboard's token", "ech0-dashboard-token-pppp"),
    ("a store's password", "ech0-redis-password-qqqq"),
    ("a short secret", "ech0rrrr"),
    ("a user's token", "ech0-user-token-ssss"),
    ("a header of the gateway", "ech0g4t3w4y9h34d3rtttt"),
    ("a header that says nothing", "ech0hunter2hunter2uuuu"),
    ("a marked ordinary header", "ech0-marked-ordinary-vvvv"),
    ("a marked header of two words", "ech0-correct-horse battery-staple-wwww"),
    ("a password of two words", "ech0hunter2hunter2 staple-xxxx"),
    ("letters in a header of a call", "ech0lettersandnothingelseyyyy"),
    ("a token of another service", "xoxb-ech0-of-another-zzzz"),
    ("a parameter called auth", "ech0-auth-parameter-abab"),
    ("a parameter called pwd", "ech0-pwd-parameter-acac"),
    ("an undocumented parameter", "ech0-undocumented-adad"),
    ("a name of Basic", "ech0a1b2c3d4e5f6aeae"),
];

fn secret(what: &str) -> &'static str {
    SECRETS.iter().find(|(name, _)| *name == what).unwrap().1
}

/// The forms in which an output would have it.
fn forms(secret: &str) -> BTreeSet<String> {
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = json!(secret).to_string();
    let json = json.trim_matches('"');
    let debug = format!("{json:?}");
    let basic = STANDARD.encode(secret);
    let all = [secret, &form, &form.replace('+', "%20"), json, debug.trim_matches('"'), &basic];
    all.into_iter().map(str::to_owned).collect()
}

/// The place where the server repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Error(u16),
    ErrorPage,
    ErrorText,
    /// The body decodes to the program's own value, and may be stored.
    Success,
    /// Only the headers repeat anything, so that the response is stored.
    Headers,
    KeysThatDoNotDecode,
    TextThatDoesNotDecode,
    GraphQl,
    Redirect(u16),
    RedirectToNowhere,
    NoJson,
}

const ECHOES: [Echo; 17] = [
    Echo::Error(400),
    Echo::Error(401),
    Echo::Error(403),
    Echo::Error(404),
    Echo::Error(422),
    Echo::Error(500),
    Echo::ErrorPage,
    Echo::ErrorText,
    Echo::Success,
    Echo::KeysThatDoNotDecode,
    Echo::TextThatDoesNotDecode,
    Echo::GraphQl,
    Echo::Redirect(302),
    Echo::RedirectToNowhere,
    Echo::NoJson,
    // Rejections remove stored entries: this one stays.
    Echo::Headers,
    // Afterwards all is paused.
    Echo::Error(429),
];

/// The received data: the whole request, and each header alone.
#[derive(Clone, Default)]
struct ReceivedData {
    all: Vec<String>,
    credentials: Vec<String>,
}

impl ReceivedData {
    fn record(&mut self, request: &Received) {
        let mut headers: Vec<_> = request.headers.iter().collect();
        headers.sort_unstable();
        for (name, value) in headers {
            self.all.push(format!("{name}: {value}"));
            if value.contains("ech0") || name.contains("authorization") {
                self.credentials.push(value.clone());
            }
        }
        self.all.push(format!("{} {}", request.method, request.target));
        self.all.push(String::from_utf8_lossy(&request.body).into_owned());
        let parts = request.target.split(['?', '&', '=']);
        self.credentials.extend(parts.filter(|part| part.contains("ech0")).map(str::to_owned));
        let parts =
            form_urlencoded::parse(&request.body).filter(|(_, value)| value.contains("ech0"));
        self.credentials.extend(parts.map(|(_, value)| value.into_owned()));
        self.all.dedup();
        self.credentials.dedup();
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// A response that repeats everything in its headers, and the body that is given.
fn response(
    reply: &ReceivedData,
    number: usize,
    status: &str,
    more: &str,
    kind: &str,
    body: &str,
) -> Vec<u8> {
    let one = reply.credentials.get(number % reply.credentials.len().max(1));
    let one = one.map_or("nothing", String::as_str);
    let other = reply.credentials.last().map_or("nothing", String::as_str);
    let word = one.rsplit(' ').next().unwrap();
    let line: String = reply.all.join(" | ");
    let line: String = line.chars().filter(|it| it.is_ascii() && !it.is_control()).collect();
    let tail = &line[line.len().saturating_sub(12_000)..];
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}; echo=\"{word}\"\r\ncontent-length: {}\r\n\
         etag: \"{one}\"\r\nx-github-request-id: {one}\r\nx-ratelimit-resource: {word}\r\n\
         x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 4999\r\nx-ratelimit-reset: 4102444800\r\n\
         x-oauth-scopes: {other}\r\nx-accepted-github-permissions: {other}\r\nx-echo: {tail}\r\n\
         x-github-sso: required; url=https://sso.example/?authorization={word}\r\n\
         warning: 199 - \"{other}\"\r\nlast-modified: {one}\r\nvary: accept\r\n\
         set-cookie: again={word}\r\nserver: {other}\r\n{more}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The server's answer to anything but a request for a token.
fn echo(reply: &ReceivedData, number: usize, echo: Echo, request: &Received) -> Vec<u8> {
    let said = reply.all.join("\n");
    let tail: String = said.chars().rev().take(12_000).collect();
    let said: String = tail.chars().rev().collect();
    let last = reply.credentials.last().map_or("", String::as_str);
    let answer = |status: &str, more: &str, body: &Value| {
        response(reply, number, status, more, "application/json", &body.to_string())
    };
    match echo {
        Echo::Error(status) => {
            let errors = json!([
                said,
                { "message": said, "field": last, "code": last, "resource": last },
                { (last): last },
            ]);
            let url = format!("https://docs.example/?{last}");
            let body = json!({ "message": format!("no: {last} {said}"), "errors": errors, "documentation_url": url });
            answer(
                &format!("{status} No"),
                if status == 429 { "retry-after: 1\r\n" } else { "" },
                &body,
            )
        }
        Echo::ErrorPage => {
            let body =
                format!("<html><title>{}</title><h1>{}</h1></html>", escape(last), escape(&said));
            response(reply, number, "502 Bad", "", "text/html", &body)
        }
        Echo::ErrorText => {
            response(reply, number, "503 No", "", "text/plain", &format!("{last} {said}"))
        }
        Echo::Success => {
            answer("200 OK", "cache-control: max-age=600\r\n", &json!({ "echo": said, "n": 1 }))
        }
        Echo::Headers => answer("200 OK", "cache-control: max-age=600\r\n", &json!({ "n": 1 })),
        Echo::KeysThatDoNotDecode => {
            answer("200 OK", "", &json!({ "outer": { (last): { (said): [{ "n": [] }] } } }))
        }
        Echo::TextThatDoesNotDecode => answer("200 OK", "", &json!({ "kind": last, "n": said })),
        Echo::GraphQl => {
            let error =
                json!({ "message": said, "type": last, "path": [last, said], "extensions": said });
            answer("200 OK", "", &json!({ "data": { "a": said }, "errors": [error] }))
        }
        Echo::Redirect(status) if !request.target.contains("again") => {
            let place: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
            let more = format!("location: /again?{place}={place}&n={}\r\n", request.target.len());
            answer(&format!("{status} Over there"), &more, &json!({ "message": said }))
        }
        Echo::Redirect(_) => answer("404 Not Found", "", &json!({ "message": said })),
        Echo::RedirectToNowhere => {
            let line: String = last.chars().filter(|it| !it.is_control()).collect();
            answer("302 Found", &format!("location: ftp://{line}@host/{line}\r\n"), &json!(said))
        }
        Echo::NoJson => response(
            reply,
            number,
            "200 OK",
            "",
            "application/json",
            &format!("{{\"{last}\" {said}"),
        ),
    }
}

struct Upstream {
    server: Server,
    mood: Arc<Mutex<Echo>>,
}

impl Upstream {
    async fn start() -> Self {
        let mood = Arc::new(Mutex::new(Echo::Headers));
        let received = Mutex::new(ReceivedData::default());
        let count = std::sync::atomic::AtomicUsize::new(0);
        let current = Arc::clone(&mood);
        let server = Server::start(move |request: Received| {
            let mut received = received.lock().unwrap();
            received.record(&request);
            // Those that never reach it by themselves.
            for what in ["a webhook's secret", "a dashboard's token", "a store's password"] {
                if !received.credentials.iter().any(|known| known == secret(what)) {
                    received.credentials.push(secret(what).to_owned());
                    received.all.push(secret(what).to_owned());
                }
            }
            let mood = *current.lock().unwrap();
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = request.target.split('?').next().unwrap();
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let reply = match path {
                "/token" => {
                    let token = json!({
                        "access_token": secret("a gateway's token"),
                        "token_type": "bearer",
                        "expires_in": 3600,
                    });
                    crate::support::json_response("200 OK", "", &token.to_string())
                }
                "/login/device/code" => {
                    let code = json!({
                        "device_code": secret("a device code"),
                        "user_code": "ECHO-1234",
                        "verification_uri": "https://github.example/login/device",
                        "interval": 1,
                    });
                    crate::support::json_response("200 OK", "", &code.to_string())
                }
                // The answer itself is an echo.
                "/login/oauth/access_token" => {
                    let said = received.all.join(" ");
                    let code =
                        if body.contains("device_code") { "access_denied" } else { "weird_error" };
                    let echo = json!({
                        "error": code, "error_description": said, "error_uri": said, "scope": said,
                    });
                    response(&received, number, "200 OK", "", "application/json", &echo.to_string())
                }
                _ => echo(&received, number, mood, &request),
            };
            async { Reply::Raw(reply) }
        });
        Self { server: server.await, mood }
    }
}

/// Has one token, and another one when it is asked again.
#[derive(Debug, Default)]
struct Rotating(std::sync::atomic::AtomicUsize);

impl TokenProvider for Rotating {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let what = if number == 0 { "the token" } else { "the token after it" };
        Box::pin(async move { AccessToken::new(secret(what)) })
    }

    fn identity(&self) -> std::borrow::Cow<'_, str> {
        "echo".into()
    }
}

/// Everything that can be had of an error.
fn show(shown: &mut Shown, error: &Error) {
    shown.error(error);
    let body = error.body().map(|body| String::from_utf8_lossy(body).into_owned());
    shown.0.push_str(&format!(
        "{body:?} {body:#?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}\n",
        error.api(),
        error.headers(),
        error.json_path(),
        error.request_id(),
        error.attempts(),
        error.graphql(),
        error.operation(),
    ));
    shown.0.push_str(&body.unwrap_or_default());
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<Error>() {
            shown.0.push_str(&format!(
                "{:?} {:?} {:?}\n",
                error.body(),
                error.api(),
                error.headers()
            ));
        }
        source = error.source();
    }
}

fn requests(client: &Client) -> Vec<Request> {
    let own = STANDARD.encode(format!("me:{}", secret("an own password")));
    let name = STANDARD.encode(format!("{}:x-oauth-basic", secret("a name of Basic")));
    let get = |path: &str| client.request(Method::GET, path);
    vec![
        get("/plain"),
        get("/bearer").header("authorization", format!("Bearer {}", secret("an own bearer"))),
        get("/basic").header("authorization", format!("Basic {own}")),
        get("/short").header("authorization", format!("token {}", secret("a short secret"))),
        get("/key").header("x-api-key", secret("a header of a call")),
        get("/cookie").header("cookie", format!("theme=dark; sid={}", secret("a cookie"))),
        get("/query").query("client_secret", secret("a parameter")).query("page", "2"),
        client.request(Method::POST, "/post").json(&json!({ "title": "x" })),
        get("/gateway").header("x-gateway", secret("a header of the gateway")),
        get("/words").header("x-api-password", secret("a password of two words")),
        get("/letters").header("x-note", format!("v1 {}", secret("letters in a header of a call"))),
        get("/other").header("x-note", secret("a token of another service")),
        get("/name").header("authorization", format!("Basic {name}")),
        get("/auth").query("auth", secret("a parameter called auth")),
        get("/pwd").query("pwd", secret("a parameter called pwd")),
        client
            .issues()
            .list_for_repo()
            .owner("o")
            .repo("r")
            .with(|call| call.query("api_key", secret("an undocumented parameter")))
            .into_request(),
        get("/plain/again"),
    ]
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new() -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("echo-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// All bytes of all files, and their names.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                text.push_str(&path.to_string_lossy());
                match path.is_dir() {
                    true => folders.push(path),
                    false => text.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap())),
                }
            }
        }
        text
    }
}

/// The content of a Redis: keys and values.
#[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
fn stored(redis: &crate::redis_servers::RedisServer) -> String {
    let ask = |command: &[&str]| {
        redis.ask(&[&["-a", secret("a store's password"), "--no-auth-warning"], command].concat())
    };
    let mut text = String::new();
    for key in ask(&["KEYS", "*"]).lines() {
        let value = match ask(&["TYPE", key]).trim() {
            "hash" => ask(&["HGETALL", key]),
            "list" => ask(&["LRANGE", key, "0", "-1"]),
            "set" => ask(&["SMEMBERS", key]),
            "zset" => ask(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
            "stream" => ask(&["XRANGE", key, "-", "+"]),
            _ => ask(&["GET", key]),
        };
        text.push_str(&format!("{key} {value}\n"));
    }
    text
}

/// Runs all calls in each mood, and passes their errors to `client`.
async fn run(upstream: &Upstream, client: &Client, shown: &mut Shown) {
    for mood in ECHOES {
        *upstream.mood.lock().unwrap() = mood;
        for request in requests(client) {
            shown.value(&request);
            let result = match mood {
                Echo::KeysThatDoNotDecode => {
                    type Strict = BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<Named>>>>;
                    request.send::<Strict>().await.map(|_| ())
                }
                Echo::TextThatDoesNotDecode => request.send::<Named>().await.map(|_| ()),
                _ => request.send::<Value>().await.map(|response| {
                    shown.0.push_str(&format!(
                        "{:?} {:?}",
                        response.meta().headers(),
                        response.meta().request_id()
                    ));
                }),
            };
            if let Err(error) = result {
                show(shown, &error);
            }
        }
        if mood == Echo::GraphQl {
            let error = client.graphql::<Value>("query { a }", json!({})).await;
            if let Err(error) = error {
                show(shown, &error);
            }
        }
    }
}

#[derive(serde::Deserialize)]
#[allow(dead_code, reason = "it does not decode")]
struct Named {
    kind: Kind,
    n: u64,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    One,
}

async fn sign_in(upstream: &Upstream, shown: &mut Shown) {
    let client = builder(upstream).build().unwrap();
    let app = OAuthApp::new("Iv23liCLIENT", secret("a client secret")).unwrap();
    let sign_in = app.web_flow(&client).start().unwrap();
    let pairs: BTreeMap<_, _> = sign_in.url().query_pairs().into_owned().collect();
    let callback = format!("http://x/?code={}&state={}", secret("a code"), pairs["state"]);
    show(shown, &sign_in.exchange(&client, callback).await.unwrap_err());
    let device = app.device_flow(&client).start().await.unwrap();
    show(shown, &device.wait().await.unwrap_err());
    let ended = AccessToken::new(secret("a user's token")).unwrap().expires_in(Duration::ZERO);
    let ended = ended.with_refresh_token(secret("a refresh token"), None);
    let user = builder(upstream).auth(UserToken::new(app.clone(), ended.clone())).build().unwrap();
    if let Err(error) = user.request(Method::GET, "/user").send::<Value>().await {
        show(shown, &error);
    }
    for result in [
        app.check(&client, &ended).await.map(|_| ()),
        app.revoke(&client, &ended).await.map(|_| ()),
    ] {
        if let Err(error) = result {
            show(shown, &error);
        }
    }
}

fn builder(upstream: &Upstream) -> octowire::ClientBuilder {
    let policy = TokenPolicy::default().backoff(Duration::ZERO, Duration::ZERO);
    upstream
        .server
        .default_client_builder()
        .token_policy(policy)
        .retry(RetryPolicy::disabled())
        .circuit_breaker(CircuitBreaker::disabled())
        .store_timeout(Duration::from_secs(10))
        .rate_limits(
            RateLimitPolicy::default()
                .on_limit(LimitAction::FailFast)
                .secondary_limits(SecondaryLimits::disabled()),
        )
        .body_logging(BodyLogging::default().max_bytes(20_000))
        .usage(UsageConfig::new())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_that_a_server_repeats_is_kept_or_shown() {
    let log = Log::of_everything();
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    recorder.install().unwrap();
    let checker = octowire::contract::ResponseValidator::new();
    let mut shown = Shown::default();
    let mut places: Vec<(&str, String)> = Vec::new();
    let upstream = Upstream::start().await;
    #[cfg(feature = "webhooks")]
    let _verifier = octowire::webhooks::Verifier::new(secret("a webhook's secret")).unwrap();

    let gateway = format!("{}/token", upstream.server.url);
    let gateway =
        ClientCredentials::new(&gateway, "id", secret("a gateway's client secret")).unwrap();
    let marked = |what: &str| {
        let mut value = HeaderValue::from_str(secret(what)).unwrap();
        value.set_sensitive(true);
        value
    };
    let client = |gateway: ClientCredentials| {
        builder(&upstream)
            .auth(Rotating::default())
            .gateway("x-gateway-authorization", gateway)
            .default_header("x-proxy-key", secret("a header of the client"))
            .default_header("x-upstream", secret("a header that says nothing"))
            .default_header("x-github-next", marked("a marked ordinary header"))
            .default_header("x-note", marked("a marked header of two words"))
            .response_validator(checker.clone())
    };
    let cache = |cache: CacheConfig| {
        let cache = cache.store_timeout(Duration::from_secs(10));
        cache
            .default_policy(CachePolicy::max_age(Duration::from_secs(600)))
            .compress_above(usize::MAX)
    };

    // The password of a store is known once it is named, and so is a dashboard's token.
    #[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
    let redis = {
        let password = secret("a store's password");
        let server = crate::redis_servers::RedisServer::with(&["--requirepass", password]);
        let url = format!("redis://:{password}@127.0.0.1:{}", server.port);
        (server, octowire::store::RedisStore::connect(url).await.unwrap())
    };
    let folder = Folder::new();
    let disk = octowire::store::DiskStore::open(&folder.0).unwrap();
    let on_disk = client(gateway.clone()).cache(cache(CacheConfig::store(disk))).build().unwrap();
    #[cfg(feature = "dashboard")]
    let address = {
        use octowire::dashboard::Dashboard;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dashboard = Dashboard::new(&on_disk).token(secret("a dashboard's token"));
        tokio::spawn(dashboard.serve(listener).unwrap());
        address
    };

    sign_in(&upstream, &mut shown).await;
    run(&upstream, &on_disk, &mut shown).await;
    shown.value(&on_disk);
    shown.value(&on_disk.health());
    shown.0.push_str(&json!(on_disk.health()).to_string());
    shown.0.push_str(&format!("{:?}", on_disk.usage().report().await));
    let on_the_disk = folder.text();
    assert!(
        on_the_disk.contains("application/json"),
        "nothing is stored: {on_the_disk:?} {:?}",
        on_disk.cache().store_health()
    );
    places.push(("the disk", on_the_disk));
    #[cfg(feature = "dashboard")]
    {
        let state = reqwest::Client::new()
            .get(format!("http://{address}/state.json"))
            .bearer_auth(secret("a dashboard's token"));
        let state = state.send().await.unwrap().text().await.unwrap();
        let parsed: Value = serde_json::from_str(&state).unwrap();
        assert!(parsed["failed"].as_array().unwrap().len() > 10, "{state}");
        places.push(("the dashboard", state));
    }
    #[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
    {
        let (server, store) = redis;
        let fleet =
            client(gateway).store(store.clone()).cache(cache(CacheConfig::store(store))).build();
        let fleet = fleet.unwrap();
        run(&upstream, &fleet, &mut shown).await;
        fleet.usage().flush().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let stored = stored(&server);
        assert!(stored.contains("application/json") && stored.contains("limits:"), "{stored}");
        places.push(("Redis", stored));
    }
    places.push(("what prints", std::mem::take(&mut shown.0)));
    places.push(("the log", log.text()));
    places.push(("metrics", format!("{:?}", metrics.snapshot().into_vec())));
    places.push(("recordings", format!("{:?}", checker.deviations())));

    let mut leaks = BTreeSet::new();
    for (what, secret) in SECRETS {
        let sent = upstream.server.requests().iter().any(|request| {
            let all = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
            forms(secret).iter().any(|form| all.contains(form.as_str()))
                || all.contains(&STANDARD.encode(format!("me:{secret}")))
                || all.contains(&STANDARD.encode(format!("{secret}:x-oauth-basic")))
                || all.contains(&STANDARD.encode(format!("id:{}", secret.replace(' ', "+"))))
        });
        let by_itself = ["webhook", "dashboard", "store", "gateway's client"];
        assert!(sent || by_itself.iter().any(|part| what.contains(part)), "{what} was never sent");
        for form in forms(secret) {
            for (place, text) in &places {
                if let Some(at) = text.find(&form) {
                    let around: String = text[..at].chars().rev().take(120).collect();
                    let around: String = around.chars().rev().collect();
                    leaks.insert(format!("{what} in {place}, after {around:?}"));
                }
            }
        }
    }
    // A line of the log begins with its time, and none has a control character.
    let logged = &places.iter().find(|(place, _)| *place == "the log").unwrap().1;
    for line in logged.lines() {
        assert!(line.starts_with("20") && !line.contains(char::is_control), "{line:?}");
    }
    let leaks: Vec<_> = leaks.into_iter().collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
