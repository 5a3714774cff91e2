//! An answer, before it goes over the wire.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::received::Received;

/// Where the files behind redirects are.
const DOWNLOADS: &str = "/octowire-mock/downloads/";

/// A zip archive without files.
const ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A gzipped tar archive without files.
const TAR_GZ: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x8c, 0x54, 0x00, 0x00, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

const LOG: &[u8] = b"2026-01-26T19:01:12.0000000Z Hello from the mock\n";

/// An answer: a status, headers and a body; or what goes wrong instead.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) delay: Duration,
    pub(super) broken: Option<Broken>,
}

/// What happens to the connection instead of an answer, or in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Reset,
    Closed,
    Silent,
    Truncated(usize),
}

impl Reply {
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            broken: None,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(super) fn text(status: u16, media_type: &str, text: &str) -> Self {
        Self::bytes(status, &format!("{media_type}; charset=utf-8"), text.to_owned())
    }

    pub(super) fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let reply = Self { body: body.into(), ..Self::empty(status) };
        reply.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// A redirect to the file of that name.
    pub(super) fn redirect(status: u16, request: &Received, name: &str) -> Self {
        let location = format!("{}{DOWNLOADS}{name}", request.origin());
        Self::empty(status).header(LOCATION.as_str(), location)
    }

    pub(super) fn error(status: u16, message: &str, documentation_url: &str) -> Self {
        let body = json!({
            "message": message,
            "documentation_url": documentation_url,
            "status": status.to_string(),
        });
        Self::json(status, &body)
    }

    /// Adds a header; what is none is left out.
    pub(super) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let value = HeaderValue::from_str(value.as_ref());
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Gives what was read an etag, and answers 304 to a client that has it already.
    pub(super) fn validated(self, request: &Received) -> Self {
        if self.status != 200 || !matches!(request.method.as_str(), "GET" | "HEAD") {
            return self;
        }
        let etag = format!("W/\"{}\"", crate::names::hex(digest(&self.body)));
        let known = request.header("if-none-match").unwrap_or_default();
        if known.split(',').any(|known| known.trim() == etag || known.trim() == "*") {
            let not_modified = Self { delay: self.delay, broken: self.broken, ..Self::empty(304) };
            return not_modified.header(ETAG.as_str(), etag);
        }
        match self.headers.contains_key(ETAG) {
            true => self,
            false => self.header(ETAG.as_str(), etag),
        }
    }

    /// Lets URLs of GitHub's API in the body lead to the mock, as GitHub's lead to GitHub.
    pub(super) fn rebased(mut self, request: &Received) -> Self {
        const GITHUB: &str = "https://api.github.com";
        let is_json = (self.headers.get(CONTENT_TYPE))
            .is_some_and(|name| name.as_bytes().starts_with(b"application/json"));
        if let (true, Ok(text)) = (is_json, std::str::from_utf8(&self.body))
            && text.contains(GITHUB)
        {
            self.body = text.replace(GITHUB, &request.origin()).into();
        }
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
    Some(Reply::bytes(200, media_type, body))
}

fn digest(body: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(body).into()
}
