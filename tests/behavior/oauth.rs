//! Users sign in, by the browser or on a device, and their tokens are refreshed.

mod client_credentials;
mod device;
mod manage;
mod secrets;
mod user;
mod web;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::support::{Received, Reply, Server, json_response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use octowire::auth::OAuthApp;
use octowire::{Client, Error};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

const CLIENT_ID: &str = "Iv23liCLIENT";
const SECRET: &str = "client-secret-hunter2";
const CALLBACK: &str = "http://127.0.0.1:9999/callback";

fn app() -> OAuthApp {
    OAuthApp::new(CLIENT_ID, SECRET).unwrap().redirect_uri(CALLBACK).unwrap()
}

/// A login server that is as strict as the RFCs: it checks the client, PKCE and the redirect, and
/// takes every code and every refresh token once.
struct Login {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Codes that are good, with their challenge and redirect URI.
    codes: HashMap<String, (String, String)>,
    refresh_tokens: HashSet<String>,
    access_tokens: HashSet<String>,
    issued: u32,
    /// Answers to come before any of its own.
    scripted: VecDeque<Vec<u8>>,
}

type Form = HashMap<String, String>;

impl Login {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let reply = shared.lock().unwrap().reply(&request);
            async { Reply::Raw(reply) }
        })
        .await;
        Self { server, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A client without a token.
    fn client(&self) -> Client {
        self.server.builder().build().unwrap()
    }

    /// Answers the next request with these bytes.
    fn script(&self, bytes: impl Into<Vec<u8>>) {
        self.state().scripted.push_back(bytes.into());
    }

    fn script_json(&self, body: &Value) {
        self.script(json_response("200 OK", "", &body.to_string()));
    }

    /// The user agrees on GitHub's page: the URL that the browser is sent back to.
    fn agree(&self, page: &Url) -> String {
        let asked: Form = page.query_pairs().into_owned().collect();
        assert_eq!(page.path(), "/login/oauth/authorize");
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state();
        state.issued += 1;
        let code = format!("code-hunter2-{}", state.issued);
        let redirect = asked["redirect_uri"].clone();
        state.codes.insert(code.clone(), (asked["code_challenge"].clone(), redirect.clone()));
        format!("{redirect}?code={code}&state={}", asked["state"])
    }

    /// The forms that were sent to the token endpoint.
    fn forms(&self) -> Vec<Form> {
        let requests = self.server.requests().into_iter();
        let requests = requests.filter(|request| request.target == "/login/oauth/access_token");
        requests.map(|request| form(&request)).collect()
    }

    fn refreshes(&self) -> usize {
        self.forms().iter().filter(|form| form["grant_type"] == "refresh_token").count()
    }
}

impl State {
    fn reply(&mut self, request: &Received) -> Vec<u8> {
        if let Some(bytes) = self.scripted.pop_front() {
            return bytes;
        }
        match request.target.as_str() {
            "/login/oauth/access_token" => {
                json_response("200 OK", "", &self.token(&form(request)).to_string())
            }
            "/user" => {
                let sent = request.headers.get("authorization").map_or("", String::as_str);
                let token = sent.strip_prefix("Bearer ").unwrap_or_default();
                if self.access_tokens.contains(token) {
                    json_response("200 OK", "", r#"{"login":"octocat"}"#)
                } else {
                    json_response("401 Unauthorized", "", r#"{"message":"Bad credentials"}"#)
                }
            }
            _ => json_response("404 Not Found", "", r#"{"error":"Not Found"}"#),
        }
    }

    fn token(&mut self, form: &Form) -> Value {
        let get = |name: &str| form.get(name).map_or("", String::as_str);
        let secret = form.get("client_secret").is_none_or(|secret| secret == SECRET);
        if get("client_id") != CLIENT_ID || !secret {
            return json!({ "error": "incorrect_client_credentials" });
        }
        match get("grant_type") {
            "authorization_code" => match self.codes.remove(get("code")) {
                Some((challenge, redirect))
                    if URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")))
                        == challenge
                        && get("redirect_uri") == redirect =>
                {
                    self.issue()
                }
                _ => json!({
                    "error": "bad_verification_code",
                    "error_description": "The code passed is incorrect or expired.",
                }),
            },
            "refresh_token" if self.refresh_tokens.remove(get("refresh_token")) => {
                self.access_tokens.clear();
                self.issue()
            }
            "refresh_token" => json!({ "error": "bad_refresh_token" }),
            _ => json!({ "error": "unsupported_grant_type" }),
        }
    }

    fn issue(&mut self) -> Value {
        self.issued += 1;
        let (access, refresh) =
            (format!("ghu_hunter2_{}", self.issued), format!("ghr_hunter2_{}", self.issued));
        self.access_tokens.insert(access.clone());
        self.refresh_tokens.insert(refresh.clone());
        json!({
            "access_token": access,
            "expires_in": 28800,
            "refresh_token": refresh,
            "refresh_token_expires_in": 15897600,
            "scope": "",
            "token_type": "bearer",
        })
    }
}

fn form(request: &Received) -> Form {
    assert_eq!(request.method, "POST");
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    form_urlencoded::parse(&request.body).into_owned().collect()
}

async fn get_user(client: &Client) -> Result<Value, Error> {
    client.request(Method::GET, "/user").send::<Value>().await.map(|user| user.into_inner())
}

/// Lets everything happen that can without the clock moving.
async fn until(what: &str, happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} does not happen");
        tokio::task::yield_now().await;
    }
}

/// The same for what shall not happen: for a while of real time, and of turns of this thread, which has few of them in
/// that time on a busy machine.
async fn quiet() {
    let (start, mut turns) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(20) || turns <= 200 {
        tokio::task::yield_now().await;
        turns += 1;
    }
}
