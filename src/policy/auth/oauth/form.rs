//! Bodies and headers with secrets, whose memory is overwritten after use.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::sanitize;

/// A form as in RFC 6749 (appendix B), and the secrets in it.
pub(crate) struct Form {
    text: ZeroizingBuffer,
    secrets: Vec<SecretString>,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self { text: ZeroizingBuffer::new(), secrets: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.text.0.is_empty() {
            self.text.push(b"&");
        }
        self.text.push_encoded(name);
        self.text.push(b"=");
        self.text.push_encoded(value);
        self
    }

    pub(crate) fn with_secret(mut self, name: &str, value: &SecretString) -> Self {
        sanitize::remember(value.expose_secret().as_bytes());
        self.secrets.push(value.clone());
        self.with(name, value.expose_secret())
    }

    /// Adds a secret that is sent beside the form.
    pub(crate) fn with_redacted(mut self, secret: &SecretString) -> Self {
        sanitize::remember(secret.expose_secret().as_bytes());
        self.secrets.push(secret.clone());
        self
    }

    /// Returns the body, and the secrets that must not be shown again.
    pub(crate) fn into_parts(self) -> (Bytes, Vec<SecretString>) {
        (self.text.into_bytes(), self.secrets)
    }
}

/// Returns the JSON of a value that contains a secret.
pub(crate) fn secret_json(value: &impl Serialize) -> Result<Bytes> {
    let mut buffer = ZeroizingBuffer::new();
    serde_json::to_writer(&mut buffer, value).map_err(|_| {
        // This cannot fail: the values are strings. An error could quote them.
        AuthFailure::Other.error("request body serialization failed", "")
    })?;
    Ok(buffer.into_bytes())
}

/// Returns the HTTP Basic credentials of a client id and its secret, as in RFC 7617.
pub(crate) fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue> {
    let mut pair = ZeroizingBuffer::new();
    pair.push(id.as_bytes());
    pair.push(b":");
    pair.push(secret.expose_secret().as_bytes());
    header(pair)
}

/// Returns the same as in RFC 6749 (section 2.3.1) for token endpoints: both parts are form-encoded first, so that an
/// id can contain a colon.
pub(crate) fn basic_encoded(id: &str, secret: &SecretString) -> Result<HeaderValue> {
    let mut pair = ZeroizingBuffer::new();
    pair.push_encoded(id);
    pair.push(b":");
    pair.push_encoded(secret.expose_secret());
    header(pair)
}

fn header(pair: ZeroizingBuffer) -> Result<HeaderValue> {
    const BASIC: &[u8] = b"Basic ";
    let unusable = || AuthFailure::Malformed.error("the client id or secret is too long", "");
    let length = base64::encoded_len(pair.0.len(), true).ok_or_else(unusable)?;
    let mut bytes = Zeroizing::new(vec![0; BASIC.len().saturating_add(length)]);
    let (scheme, encoded) = bytes.split_at_mut(BASIC.len());
    scheme.copy_from_slice(BASIC);
    STANDARD.encode_slice(&*pair.0, encoded).map_err(|_| unusable())?;
    let header = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes));
    let mut header = header.map_err(|_| unusable())?;
    header.set_sensitive(true);
    Ok(header)
}

/// Bytes that are overwritten when they are dropped or reallocated.
struct ZeroizingBuffer(Zeroizing<Vec<u8>>);

/// More than most forms need.
const INITIAL_CAPACITY: usize = 1024;

impl ZeroizingBuffer {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(INITIAL_CAPACITY)))
    }

    fn push(&mut self, bytes: &[u8]) {
        let length = self.0.len().saturating_add(bytes.len());
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    fn push_encoded(&mut self, text: &str) {
        for part in byte_serialize(text.as_bytes()) {
            self.push(part.as_bytes());
        }
    }

    fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl io::Write for ZeroizingBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_and_may_outgrow_its_buffer() {
        let long = "x".repeat(3 * INITIAL_CAPACITY);
        let form = Form::new().with("a b", "c&d=e+f\u{e9}").with("long", &long);
        let (bytes, _) = form.into_parts();
        let expected = format!("a+b=c%26d%3De%2Bf%C3%A9&long={long}");
        assert_eq!(bytes, expected.as_bytes());
    }

    #[test]
    fn basic_is_that_of_its_rfc() {
        // The example of RFC 7617.
        let header = basic("Aladdin", &"open sesame".into()).unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
        let header = basic_encoded("a:b", &"c d%".into()).unwrap();
        assert_eq!(
            header.as_bytes(),
            format!("Basic {}", STANDARD.encode("a%3Ab:c+d%25")).as_bytes()
        );
    }
}
