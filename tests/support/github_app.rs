//! GitHub's side of an App: it verifies JWTs for real and gives out installation tokens.
#![allow(dead_code)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use octowire::auth::App;
use octowire::{Client, ClientBuilder, chrono};
use serde_json::{Value, json};

use super::{Received, Reply, Server, json_response};

pub const CLIENT_ID: &str = "Iv23liOctowire";

/// A key pair as GitHub makes it for an App.
pub struct Key {
    /// PKCS#1, which is what GitHub gives.
    pub pem: String,
    pub pkcs8: String,
    pub public: Vec<u8>,
}

impl Key {
    pub fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let der = der.as_ref();
        // PKCS#8 of a 2048-bit RSA key is a header of 26 bytes and the PKCS#1 key.
        assert_eq!((der[0], der[1], der[22]), (0x30, 0x82, 0x04));
        Self {
            pem: pem("RSA PRIVATE KEY", &der[26..]),
            pkcs8: pem("PRIVATE KEY", der),
            public: pair.public_key().as_ref().to_vec(),
        }
    }
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The state and behavior of the server, which a test can change at any time.
#[derive(Default)]
pub struct State {
    /// The public keys that it knows.
    pub keys: Vec<Vec<u8>>,
    /// The clock skew of the server.
    pub clock: i64,
    /// Every JWT that it accepted.
    pub jwts: Vec<String>,
    /// The bodies of the requests for tokens.
    pub issued_tokens: Vec<Value>,
    /// Tokens, with the uses that are still refused.
    pub tokens: HashMap<String, usize>,
    pub rejected_uses: usize,
    pub rejections: usize,
    /// An error response to token requests, by status and message.
    pub reject_issue_token: Option<(&'static str, &'static str)>,
    /// The failures that come before an answer.
    pub failures: usize,
    /// The installation of `octo-org`.
    pub org_installation: u64,
    /// Others that are not there.
    pub gone: Vec<u64>,
    pub prefix: String,
}

pub struct GitHub {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

impl GitHub {
    pub async fn knowing(keys: &[&Key]) -> Self {
        let keys = keys.iter().map(|key| key.public.clone()).collect();
        let state = State { keys, org_installation: 7, prefix: "ghs_".into(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let reply = shared.lock().unwrap().respond(&request);
            async { Reply::Raw(reply) }
        });
        Self { server: server.await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn builder(&self) -> ClientBuilder {
        self.server.builder()
    }

    /// A client that signs in as installation 42.
    pub fn client(&self, app: &App) -> Client {
        self.builder().auth(app.installation(42)).build().unwrap()
    }

    pub fn issued_tokens(&self) -> usize {
        self.state().issued_tokens.len()
    }

    /// Forgets all tokens, as if they had been revoked.
    pub fn revoke_all(&self) {
        self.state().tokens.clear();
    }
}

impl State {
    fn respond(&mut self, request: &Received) -> Vec<u8> {
        let path = request.target.split('?').next().unwrap();
        let segments: Vec<_> = path.trim_matches('/').split('/').collect();
        match segments[..] {
            ["app", "installations", id, "access_tokens"] if request.method == "POST" => {
                self.as_app(request, |state| state.issue_token(id.parse().unwrap(), request))
            }
            ["app"] => {
                self.as_app(request, |state| state.say("200 OK", json!({"slug": "octowire"})))
            }
            ["orgs", "octo-org", "installation"] => self.as_app(request, |state| {
                state.say("200 OK", json!({ "id": state.org_installation }))
            }),
            ["orgs" | "users", _, "installation"] | ["repos", _, _, "installation"] => {
                self.as_app(request, |state| state.reject("404 Not Found", "Not Found"))
            }
            _ => self.as_installation(request),
        }
    }

    fn as_installation(&mut self, request: &Received) -> Vec<u8> {
        let token = bearer(request);
        match self.tokens.get_mut(token) {
            Some(0) => {
                let body = String::from_utf8_lossy(&request.body);
                self.say("200 OK", json!({ "path": request.target, "body": body }))
            }
            Some(uses) => {
                *uses -= 1;
                self.rejections += 1;
                self.reject("401 Unauthorized", "Bad credentials")
            }
            None => {
                self.rejections += 1;
                self.reject("401 Unauthorized", "Bad credentials")
            }
        }
    }

    fn issue_token(&mut self, id: u64, request: &Received) -> Vec<u8> {
        if self.failures > 0 {
            self.failures -= 1;
            return self.reject("502 Bad Gateway", "Server Error");
        }
        if let Some((status, message)) = self.reject_issue_token {
            return self.reject(status, message);
        }
        if self.gone.contains(&id) {
            return self.reject("404 Not Found", "Not Found");
        }
        let body = serde_json::from_slice(&request.body).unwrap();
        self.issued_tokens.push(body);
        let token = format!("{}{id}_{}", self.prefix, self.issued_tokens.len());
        self.tokens.insert(token.clone(), self.rejected_uses);
        let end = DateTime::<Utc>::from(self.now() + Duration::from_secs(3600));
        self.say("201 Created", json!({ "token": token, "expires_at": end, "permissions": {} }))
    }

    /// Verifies the JWT as GitHub does.
    fn as_app(&mut self, request: &Received, go: impl FnOnce(&mut Self) -> Vec<u8>) -> Vec<u8> {
        let jwt = bearer(request).to_owned();
        let mut rules = Validation::new(Algorithm::RS256);
        // By this server's own clock, below.
        rules.validate_exp = false;
        rules.required_spec_claims.clear();
        let verify = |key: &Vec<u8>| {
            jsonwebtoken::decode::<Value>(&jwt, &DecodingKey::from_rsa_der(key), &rules).ok()
        };
        let Some(claims) = self.keys.iter().find_map(verify).map(|jwt| jwt.claims) else {
            return self.reject("401 Unauthorized", "A JSON web token could not be decoded");
        };
        let now = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        let message = if claims["iss"] != CLIENT_ID && claims["iss"] != 12345 {
            "'Issuer' claim ('iss') is not an App"
        } else if iat > now {
            "'Issued at' claim ('iat') must be an Integer representing the time that the \
             assertion was issued"
        } else if exp > now + 600 {
            "'Expiration time' claim ('exp') is too far in the future"
        } else if exp <= now {
            "'Expiration time' claim ('exp') must be a numeric value representing the future \
             time at which the assertion expires"
        } else {
            self.jwts.push(jwt);
            return go(self);
        };
        self.reject("401 Unauthorized", message)
    }

    fn now(&self) -> SystemTime {
        let ahead = Duration::from_secs(self.clock.unsigned_abs());
        if self.clock < 0 { SystemTime::now() - ahead } else { SystemTime::now() + ahead }
    }

    fn reject(&self, status: &str, message: &str) -> Vec<u8> {
        self.say(
            status,
            json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }),
        )
    }

    fn say(&self, status: &str, body: Value) -> Vec<u8> {
        let date = DateTime::<Utc>::from(self.now()).format("%a, %d %b %Y %H:%M:%S GMT");
        json_response(status, &format!("date: {date}\r\n"), &body.to_string())
    }
}

fn bearer(request: &Received) -> &str {
    let header = request.headers.get("authorization").map_or("", String::as_str);
    header.strip_prefix("Bearer ").unwrap_or("")
}
