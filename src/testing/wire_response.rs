//! A response of the mock before it is sent.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::received::RecordedRequest;
use crate::util::ids::hex;

/// The location of the files behind redirects.
pub(super) const DOWNLOADS: &str = "/octowire-mock/downloads/";

/// A zip archive without files.
const ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A gzipped tar archive without files.
const TAR_GZ: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x8c, 0x54, 0x00, 0x00, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

const LOG: &[u8] = b"2026-01-26T19:01:12.0000000Z Hello from the mock\n";

/// A response: a status, headers and a body; or a fault instead.
#[derive(Clone, Debug)]
pub(super) struct WireResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) delay: Duration,
    pub(super) fault: Option<ConnectionFault>,
}

/// The effect on the connection instead of a response, or in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionFault {
    Reset,
    Closed,
    Silent,
    Truncated(usize),
}

impl WireResponse {
    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            fault: None,
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

    /// A redirect to the file with this name.
    pub(super) fn redirect(status: u16, request: &RecordedRequest, name: &str) -> Self {
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

    /// Sets a header. Values of tests were validated before; an invalid one is left out.
    pub(super) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let value = HeaderValue::from_str(value.as_ref());
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds an `ETag` and GitHub's `Cache-Control` to the response of a read, and responds with 304 to a
    /// client that has it already, by weak comparison (RFC 9110, 13.1.2).
    pub(super) fn with_etag(self, request: &RecordedRequest) -> Self {
        if self.status != 200 || !matches!(request.method.as_str(), "GET" | "HEAD") {
            return self;
        }
        let own = self.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let tag = own.unwrap_or_else(|| format!("W/\"{}\"", hex(Sha256::digest(&self.body))));
        let known = request.header("if-none-match").unwrap_or_default();
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let reply = match known.split(',').any(|it| it.trim() == "*" || opaque(it) == opaque(&tag))
        {
            true => Self { delay: self.delay, fault: self.fault, ..Self::empty(304) },
            false => self,
        };
        reply
            .header_if_absent("cache-control", "private, max-age=60, s-maxage=60")
            .header_if_absent("vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
            .header(ETAG.as_str(), tag)
    }

    /// Adds a header unless it is present.
    fn header_if_absent(self, name: &'static str, value: &str) -> Self {
        match self.headers.contains_key(name) {
            true => self,
            false => self.header(name, value),
        }
    }
}

/// Rewrites URLs of GitHub's API so that they lead to the mock. Texts that users write stay unchanged.
pub(super) fn rewrite_urls(value: &mut Value, origin: &str) {
    match value {
        Value::String(text) => {
            for github in ["https://api.github.com", "https://uploads.github.com"] {
                if let Some(rest) = text.strip_prefix(github) {
                    *text = format!("{origin}{rest}");
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite_urls(item, origin)),
        Value::Object(map) => {
            for (name, value) in map {
                if !matches!(name.as_str(), "title" | "body" | "description" | "name") {
                    rewrite_urls(value, origin);
                }
            }
        }
        _ => {}
    }
}

/// The file that a redirect led to.
pub(super) fn download(path: &str) -> Option<WireResponse> {
    let (media_type, body) = match path.strip_prefix(DOWNLOADS)? {
        "archive.zip" => ("application/zip", ZIP),
        "archive.tar.gz" => ("application/gzip", TAR_GZ),
        "logs.txt" => ("text/plain; charset=utf-8", LOG),
        _ => return None,
    };
    Some(WireResponse::bytes(200, media_type, body))
}
