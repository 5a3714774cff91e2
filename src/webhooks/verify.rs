//! Verification of signatures with the known secrets.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use http::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "encrypted-token-store")]
use crate::policy::auth::RegisteredApp;
use crate::sanitize;
use crate::util::ids::hex;

/// The header with the signature. `X-Hub-Signature`, of SHA-1, is ignored.
pub(super) static SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const SIGNATURE_PREFIX: &str = "sha256=";
/// Length of an HMAC-SHA256 in bytes.
const SIGNATURE_BYTES: usize = 32;

/// A signature without its notation.
pub(super) type Signature = [u8; SIGNATURE_BYTES];

/// Verifier of the [signatures](https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries) of
/// deliveries: HMAC-SHA256 over the unchanged body, compared in constant time.
///
/// It can contain several secrets, so that one can be rotated without losing a delivery: add the new one here, set it
/// at GitHub, and remove the old one when [`Verified::secret`] shows that it is no longer used.
#[derive(Clone)]
pub struct Verifier {
    current: Key,
    previous: Vec<Key>,
}

/// A valid signature: [`Verifier::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The index of its secret, in the order in which they were added, from 0.
    pub secret: usize,
}

/// Why a signature was rejected.
///
/// It is for the operator. The sender of the delivery should receive no more than `401 Unauthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no `X-Hub-Signature-256`: the webhook has no secret, or the sender is not GitHub.
    Missing,
    /// There are several signatures.
    Duplicate,
    /// The header is not `sha256=` and 64 hexadecimal digits in lower case.
    Malformed,
    /// The signature matches none of the secrets, or the body was changed.
    Mismatch,
}

impl Verifier {
    /// Creates a verifier with this secret.
    ///
    /// # Errors
    /// If it is empty: then any sender could sign.
    pub fn new(secret: impl Into<SecretString>) -> Result<Self> {
        Ok(Self { current: key(&secret.into())?, previous: Vec::new() })
    }

    /// Creates a verifier with the secret in this environment variable, without white space around it.
    ///
    /// # Errors
    /// If it is not set, empty or not Unicode.
    pub fn from_env(variable: &str) -> Result<Self> {
        let secret = std::env::var(variable).map_err(|_| {
            Error::new(
                ErrorKind::Configuration,
                format!("the environment variable {variable} is not set, or is not valid Unicode"),
            )
            .with_advice("set it to the secret of the webhook")
        })?;
        Self::new(secret.trim().to_owned())
    }

    /// Creates a verifier with the webhook secret of a registered App.
    ///
    /// # Errors
    /// If the App was registered without a webhook.
    #[cfg(feature = "encrypted-token-store")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encrypted-token-store")))]
    pub fn from_app(app: &RegisteredApp) -> Result<Self> {
        let secret = app.webhook_secret().ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                format!("the App {} has no webhook secret", app.client_id()),
            )
            .with_advice(
                "set one on its settings page, and add it with RegisteredApp::with_webhook_secret",
            )
        })?;
        Self::new(secret.clone())
    }

    /// Adds a secret.
    ///
    /// # Errors
    /// If the secret is empty.
    pub fn with_previous_secret(mut self, secret: impl Into<SecretString>) -> Result<Self> {
        self.previous.push(key(&secret.into())?);
        Ok(self)
    }

    /// Verifies a delivery by its headers and its body, byte for byte as it arrived.
    ///
    /// # Errors
    /// If it is not signed, or not with one of the secrets.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, SignatureError> {
        self.find_secret(&signature(headers)?, body)
    }

    /// Checks whether there is a signature at all, before the body arrives.
    ///
    /// # Errors
    /// If there is none, there are several or it is malformed: all errors except
    /// [`Mismatch`](SignatureError::Mismatch).
    pub fn check_present(&self, headers: &HeaderMap) -> Result<(), SignatureError> {
        signature(headers).map(drop)
    }

    /// Verifies the value of `X-Hub-Signature-256`, for headers in another representation.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_signature(
        &self,
        signature: &str,
        body: &[u8],
    ) -> Result<Verified, SignatureError> {
        let signature = parse(signature).ok_or(SignatureError::Malformed)?;
        self.find_secret(&signature, body)
    }

    /// Returns the HMAC of these bytes with the first secret.
    pub(super) fn first_signature(&self, bytes: &[u8]) -> hmac::Tag {
        hmac::sign(&self.current, bytes)
    }

    /// Derives a key for this purpose from each secret, in their order.
    #[cfg(feature = "webhooks-journal")]
    pub(super) fn derive(&self, purpose: &[u8]) -> Vec<hmac::Tag> {
        let secrets = std::iter::once(&self.current).chain(&self.previous);
        secrets.map(|secret| hmac::sign(secret, purpose)).collect()
    }

    /// Returns the number of secrets.
    pub(super) fn secrets(&self) -> usize {
        1 + self.previous.len()
    }

    /// Returns the index of the secret that makes this signature of these bytes.
    pub(super) fn find_secret(
        &self,
        signature: &Signature,
        bytes: &[u8],
    ) -> Result<Verified, SignatureError> {
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        let found = keys.position(|key| hmac::verify(key, bytes, signature).is_ok());
        found.map(|secret| Verified { secret }).ok_or(SignatureError::Mismatch)
    }
}

/// Returns the signature of a body in the format of GitHub's header: for tests, and for gateways that forward
/// deliveries.
///
/// # Errors
/// If the secret is empty.
pub fn sign(secret: impl Into<SecretString>, body: &[u8]) -> Result<String> {
    let tag = hmac::sign(&key(&secret.into())?, body);
    Ok(format!("{SIGNATURE_PREFIX}{}", hex(tag)))
}

fn key(secret: &SecretString) -> Result<Key> {
    let secret = secret.expose_secret();
    if secret.is_empty() {
        return Err(Error::new(ErrorKind::Configuration, "the webhook secret is empty")
            .with_advice("set a random secret of at least 32 bytes, here and on GitHub"));
    }
    sanitize::pin(secret.as_bytes());
    Ok(Key::new(HMAC_SHA256, secret.as_bytes()))
}

/// Returns the only signature among the headers.
pub(super) fn signature(headers: &HeaderMap) -> Result<Signature, SignatureError> {
    let mut values = headers.get_all(&SIGNATURE).iter();
    let signature = values.next().ok_or(SignatureError::Missing)?;
    if values.next().is_some() {
        return Err(SignatureError::Duplicate);
    }
    signature.to_str().ok().and_then(parse).ok_or(SignatureError::Malformed)
}

/// Parses a signature: `sha256=` and 64 hexadecimal digits.
fn parse(signature: &str) -> Option<Signature> {
    parse_hex(signature.strip_prefix(SIGNATURE_PREFIX)?)
}

/// Parses 64 hexadecimal digits in lower case.
pub(super) fn parse_hex(digits: &str) -> Option<Signature> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the delivery is not signed: set a secret for the webhook",
            Self::Duplicate => "the delivery has several signatures",
            Self::Malformed => "malformed signature: expected sha256= and 64 hexadecimal digits",
            Self::Mismatch => {
                "the signature matches no secret: check the webhook's secret, and that no proxy \
                 changes the body"
            }
        })
    }
}

impl std::error::Error for SignatureError {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("secrets", &self.secrets()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation>
    const KNOWN: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verifier() -> Verifier {
        Verifier::new(SECRET).unwrap()
    }

    #[test]
    fn githubs_own_example_is_right() {
        assert_eq!(sign(SECRET, BODY).unwrap(), KNOWN);
        assert_eq!(verifier().verify_signature(KNOWN, BODY), Ok(Verified { secret: 0 }));
    }

    #[test]
    fn signature_errors_are_distinguished() {
        use SignatureError::{Duplicate, Malformed, Mismatch, Missing};
        let upper = KNOWN.to_uppercase().replace("SHA", "sha");
        let other = sign("another", BODY).unwrap();
        let cases: [(&[&str], _); 13] = [
            (&[], Missing),
            (&[KNOWN, KNOWN], Duplicate),
            (&[KNOWN, &other], Duplicate),
            (&[""], Malformed),
            (&["sha256="], Malformed),
            (&[&KNOWN[7..]], Malformed),
            (&[&KNOWN[..70]], Malformed),
            (&[&format!("{KNOWN}0")], Malformed),
            (&[&format!(" {KNOWN}")], Malformed),
            (&[&upper], Malformed),
            (&[&KNOWN.replace("sha256", "sha1")], Malformed),
            (&[&KNOWN.replace('7', "g")], Malformed),
            (&[&other], Mismatch),
        ];
        for (signatures, expected) in cases {
            let mut headers = HeaderMap::new();
            for signature in signatures {
                headers.append(&SIGNATURE, HeaderValue::from_str(signature).unwrap());
            }
            assert_eq!(verifier().verify(&headers, BODY), Err(expected), "{signatures:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(&SIGNATURE, HeaderValue::from_bytes(b"sha256=\xff").unwrap());
        assert_eq!(verifier().verify(&headers, BODY), Err(Malformed));
        // SHA-1 is ignored.
        let mut headers = HeaderMap::new();
        headers.insert("x-hub-signature", HeaderValue::from_static("sha1=00"));
        assert_eq!(verifier().verify(&headers, BODY), Err(Missing));
        headers.insert(&SIGNATURE, HeaderValue::from_static(KNOWN));
        assert_eq!(verifier().verify(&headers, BODY), Ok(Verified { secret: 0 }));
    }

    #[test]
    fn a_secret_is_replaced_without_a_gap() {
        let both = verifier().with_previous_secret("the new one").unwrap();
        assert_eq!(both.verify_signature(KNOWN, BODY).unwrap().secret, 0);
        let new = sign("the new one", BODY).unwrap();
        assert_eq!(both.verify_signature(&new, BODY).unwrap().secret, 1);
    }

    #[test]
    fn an_empty_secret_is_none_and_no_secret_is_shown() {
        assert_eq!(Verifier::new("").unwrap_err().kind(), ErrorKind::Configuration);
        assert_eq!(
            verifier().with_previous_secret("").unwrap_err().kind(),
            ErrorKind::Configuration
        );
        assert!(sign("", BODY).is_err());
        assert_eq!(format!("{:?}", verifier()), "Verifier { secrets: 1, .. }");
    }

    proptest! {
        #[test]
        fn whatever_is_signed_is_verified_and_nothing_else(
            secret in "[ -~]{1,80}",
            body in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
        ) {
            let verifier = Verifier::new(secret.clone()).unwrap();
            let signature = sign(secret, &body).unwrap();
            prop_assert!(verifier.verify_signature(&signature, &body).is_ok());
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[at.index(body.len())] ^= flip;
                prop_assert_eq!(
                    verifier.verify_signature(&signature, &changed),
                    Err(SignatureError::Mismatch)
                );
            }
        }

        #[test]
        fn anything_may_be_sent(signature in ".{0,100}", body in prop::collection::vec(any::<u8>(), 0..50)) {
            prop_assert!(verifier().verify_signature(&signature, &body).is_err());
        }
    }
}
