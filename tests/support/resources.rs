//! A GitHub with resources that change, whose tags are as its own were observed to be: a digest of
//! the identity and of the body.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sha2::{Digest, Sha256};

use super::{Received, Reply, Server, json_response};

/// The resources of the server, and the form of its responses.
pub struct Resources {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

pub struct State {
    /// The headers of each answer, lines that each end in `\r\n`.
    pub headers: String,
    /// Whether its tags are the digests that were observed; else they follow from the body and a
    /// secret of the server's.
    pub observed_tags: bool,
    /// A failure instead of any answer.
    pub failure: Option<Vec<u8>>,
    /// The version of each path: the number of its changes.
    pub versions: HashMap<String, u64>,
    /// Answers with a body, and those that said that there is nothing new.
    pub full: usize,
    pub current: usize,
    /// The requests that count against the primary limit.
    pub counted: usize,
    /// Computes the body of a response from the path, its version, and the token.
    pub body: fn(&str, u64, &str) -> String,
}

impl Resources {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            headers: String::new(),
            observed_tags: true,
            failure: None,
            versions: HashMap::new(),
            full: 0,
            current: 0,
            counted: 0,
            body: |path, version, _| format!(r#"{{"path":"{path}","version":{version}}}"#),
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let reply = Reply::Raw(shared.lock().unwrap().respond(&request));
            async { reply }
        });
        Self { server: server.await, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the resource at this path.
    pub fn change(&self, path: &str) {
        self.state().change(path);
    }

    /// The numbers of responses with a body, and of 304 responses.
    pub fn replies(&self) -> (usize, usize) {
        let state = self.state();
        (state.full, state.current)
    }

    pub fn sent(&self) -> usize {
        self.server.requests().len()
    }
}

impl State {
    fn change(&mut self, path: &str) {
        *self.versions.entry(path.to_owned()).or_default() += 1;
    }

    pub fn body(&self, path: &str, token: &str) -> String {
        let version = self.versions.get(path).copied().unwrap_or_default();
        (self.body)(path, version, token)
    }

    fn respond(&mut self, request: &Received) -> Vec<u8> {
        let path = request.target.split('?').next().unwrap().to_owned();
        if request.method != "GET" {
            self.change(&path);
            if let Some((parent, _)) = path.rsplit_once('/') {
                self.change(parent);
            }
            return json_response("200 OK", "", "{}");
        }
        if let Some(failure) = &self.failure {
            return failure.clone();
        }
        let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
        let body = self.body(&path, header("authorization"));
        let tag = self.tag(request, &body);
        let headers = format!(
            "etag: W/\"{tag}\"\r\nx-ratelimit-limit: 5000\r\nx-ratelimit-remaining: {}\r\n\
             x-ratelimit-used: {}\r\nx-ratelimit-reset: 4000000000\r\n\
             x-ratelimit-resource: core\r\nx-github-request-id: R{}\r\n{}",
            5_000_usize.saturating_sub(self.counted),
            self.counted,
            self.full + self.current,
            self.headers
        );
        let current = header("if-none-match")
            .split(", ")
            .any(|known| known.trim_start_matches("W/").trim_matches('"') == tag);
        if current {
            self.current += 1;
            return format!("HTTP/1.1 304 Not Modified\r\n{headers}\r\n").into_bytes();
        }
        self.full += 1;
        self.counted += 1;
        json_response("200 OK", &headers, &body)
    }

    fn tag(&self, request: &Received, body: &str) -> String {
        let mut digest = Sha256::new();
        if !self.observed_tags {
            digest.update("secret");
        }
        for name in ["accept", "authorization", "cookie"] {
            if let Some(value) = request.headers.get(name) {
                digest.update(value);
                digest.update(":");
            }
        }
        let digest = digest.chain_update(body).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
