//! Answers, and the headers that GitHub puts on every one of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use httpmock::{HttpMockRequest, HttpMockResponse};
use serde_json::{Value, json};

use super::operation::Operation;

/// What a client gets that does not ask for a version.
const API_VERSION: &str = "2022-11-28";

/// Where the files behind redirects are.
const DOWNLOADS: &str = "/stand-in/downloads/";

/// A zip archive without files.
const ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A gzipped tar archive without files.
const TAR_GZ: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x8c, 0x54, 0x00, 0x00, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

const LOG: &[u8] = b"2026-01-26T19:01:12.0000000Z Hello from the stand-in\n";

/// An answer before it is signed.
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..Self::empty(status) }
            .header("content-type", "application/json; charset=utf-8")
    }

    pub(super) fn text(status: u16, media_type: &str, text: &str) -> Self {
        Self { body: text.as_bytes().to_vec(), ..Self::empty(status) }
            .header("content-type", format!("{media_type}; charset=utf-8"))
    }

    /// A redirect to the file of that name.
    pub(super) fn redirect(status: u16, request: &HttpMockRequest, name: &str) -> Self {
        Self::empty(status).header("location", format!("{}{DOWNLOADS}{name}", origin(request)))
    }

    /// GitHub's answer for a path that it does not have.
    pub(super) fn not_found() -> Self {
        Self::error(404, "Not Found", "https://docs.github.com/rest")
    }

    pub(super) fn error(status: u16, message: &str, documentation_url: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": documentation_url,
            "status": status.to_string(),
        });
        Self::json(status, &body)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The file that a redirect led to.
pub(super) fn download(path: &str) -> Option<Reply> {
    let (media_type, body) = match path.strip_prefix(DOWNLOADS)? {
        "archive.zip" => ("application/zip", ZIP),
        "archive.tar.gz" => ("application/gzip", TAR_GZ),
        "logs.txt" => ("text/plain; charset=utf-8", LOG),
        _ => return None,
    };
    let reply = Reply { body: body.to_vec(), ..Reply::empty(200) };
    Some(reply.header("content-type", media_type))
}

/// Where the request was sent, as the client calls it.
pub(super) fn origin(request: &HttpMockRequest) -> String {
    format!("http://{}", header(request, "host").unwrap_or("localhost"))
}

fn header<'a>(request: &'a HttpMockRequest, name: &str) -> Option<&'a str> {
    let mut headers = request.headers_vec().iter();
    let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value)
}

/// What GitHub says about every answer: which request it was, and what is left of the rate limit.
pub(super) struct Signature {
    served: AtomicU64,
    /// Requests used of each rate limit, by resource.
    used: Mutex<HashMap<&'static str, u64>>,
    /// When the limits start afresh, in seconds since 1970.
    reset: u64,
}

impl Signature {
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            served: AtomicU64::new(0),
            used: Mutex::default(),
            // An hour on. A clock before 1970 only makes that hour an old one.
            reset: now.map_or(0, |now| now.as_secs()) + 3600,
        }
    }

    pub(super) fn sign(
        &self,
        reply: Reply,
        request: &HttpMockRequest,
        operation: Option<&Operation>,
    ) -> HttpMockResponse {
        let reply = validated(reply, request);
        let version = header(request, "x-github-api-version").unwrap_or(API_VERSION);
        let mut reply = reply
            .header("server", "github.com")
            .header("x-github-request-id", self.request_id())
            .header("x-github-api-version-selected", version)
            .header("x-github-media-type", "github.v3; format=json");
        if let Some(operation) = operation {
            reply = reply.header("x-stand-in-operation", operation.id.as_str());
        }
        for (name, value) in self.rate_limit(&reply, request) {
            reply = reply.header(name, value);
        }
        HttpMockResponse::builder()
            .status(reply.status)
            .headers(reply.headers)
            .body(reply.body)
            .build()
    }

    /// Groups of hexadecimal digits, different for every answer.
    fn request_id(&self) -> String {
        let n = self.served.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (hash(&(self.reset, n)), hash(&n));
        format!(
            "{:04X}:{:05X}:{:06X}:{:06X}:{:08X}",
            high >> 48,
            high & 0xF_FFFF,
            low >> 40,
            n,
            self.reset
        )
    }

    fn rate_limit(&self, reply: &Reply, request: &HttpMockRequest) -> [(&'static str, String); 5] {
        let (resource, limit) = match request.uri().path() {
            "/search/code" => ("code_search", 10),
            path if path.starts_with("/search/") => ("search", 30),
            _ => ("core", 5000),
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(resource).or_default();
        // An answer that only confirms what the client has costs nothing.
        if reply.status != 304 {
            *used += 1;
        }
        // The stand-in never runs out: a new window begins where the last one is used up.
        if *used >= limit {
            *used = 0;
        }
        [
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", (limit - *used).to_string()),
            ("x-ratelimit-used", used.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
            ("x-ratelimit-resource", resource.to_owned()),
        ]
    }
}

/// Gives what was read an etag, and answers 304 to a client that has it already.
fn validated(reply: Reply, request: &HttpMockRequest) -> Reply {
    if reply.status != 200 || !matches!(request.method_str(), "GET" | "HEAD") {
        return reply;
    }
    let etag = format!("W/\"{:016x}{:016x}\"", hash(&reply.body), reply.body.len());
    if header(request, "if-none-match") == Some(etag.as_str()) {
        return Reply::empty(304).header("etag", etag);
    }
    reply.header("etag", etag)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
