//! A private key in memory, read from whatever people have.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use super::signer::{AppSigner, SignatureFuture};
use crate::auth::failure::AuthFailure;
use crate::auth::token::Looks;
use crate::error::{Error, Result};

/// A private key that signs by RS256. aws-lc overwrites its memory when it is dropped.
pub(super) struct PrivateKey {
    key: KeyPair,
    created_at: Option<SystemTime>,
}

/// What to do about a key that is none.
const ADVICE: &str = "give the .pem file that the App's settings page generates, from its first \
                      line to its last";

impl PrivateKey {
    pub(super) fn read(pem: &SecretString) -> Result<Self> {
        let pem = tidy(pem.expose_secret())?;
        let mut der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| refuse(&pem).unwrap_or_else(|| invalid("is no PEM of a private key")))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(invalid("is for elliptic curves, not for RSA")),
        };
        der.zeroize();
        // The reason is a word such as `InvalidEncoding`, and holds nothing of the key.
        let key = key
            .map_err(|reason| invalid(&format!("is no RSA key of 2048 bits or more ({reason})")))?;
        Ok(Self { key, created_at: None })
    }

    pub(super) fn read_file(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path).map(Zeroizing::new).map_err(|error| {
            AuthFailure::Missing
                .error(
                    format!("the App's private key can not be read from {shown}"),
                    "check the path and who may read it",
                )
                .with_source(error)
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid("is no text"))?;
        let mut key = Self::read(&text.into())?;
        key.created_at = std::fs::metadata(path).and_then(|file| file.modified()).ok();
        Ok(key)
    }
}

impl AppSigner for PrivateKey {
    fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
        Box::pin(async move {
            let mut signature = vec![0; self.key.public_modulus_len()];
            let random = SystemRandom::new();
            self.key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| {
                AuthFailure::Signer.error(
                    "the App's private key gave no signature",
                    "generate a new key on the App's settings page",
                )
            })?;
            Ok(signature)
        })
    }

    fn created_at(&self) -> Option<SystemTime> {
        self.created_at
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("bits", &(self.key.public_modulus_len() * 8)).finish()
    }
}

/// The PEM as it was before it went through environment variables and YAML.
fn tidy(text: &str) -> Result<Zeroizing<String>> {
    let text = text.trim().trim_matches('"');
    if text.is_empty() {
        return Err(AuthFailure::Empty.error("the App's private key is empty", ADVICE));
    }
    if text.contains("-----BEGIN ") {
        let text = Zeroizing::new(text.replace("\\r", ""));
        return Ok(Zeroizing::new(text.replace("\\n", "\n")));
    }
    if let Some(kind) = Looks::of(text).access_token() {
        return Err(AuthFailure::WrongKind.error(
            format!("what was given as an App's private key looks like {kind}"),
            "a token is given by ClientBuilder::token; an App signs with its .pem file",
        ));
    }
    let packed: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|character| !character.is_whitespace()).collect());
    let bytes = STANDARD.decode(packed.as_bytes()).map(Zeroizing::new).ok();
    let inner = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    match inner.filter(|inner| inner.contains("-----BEGIN ")) {
        Some(inner) => Ok(Zeroizing::new(inner.to_owned())),
        None => Err(invalid("has no line -----BEGIN …-----")),
    }
}

/// What a PEM is, if it is known to be something else than a private key.
fn refuse(pem: &str) -> Option<Error> {
    let has = |text: &str| pem.contains(text);
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Some(AuthFailure::EncryptedKey.error(
            "the App's private key is protected by a passphrase",
            "take the passphrase off (openssl pkey -in key.pem -out plain.pem), and keep the file \
             where only the application reads it",
        ));
    }
    [
        ("BEGIN OPENSSH PRIVATE KEY", "is an SSH key"),
        ("BEGIN CERTIFICATE", "is a certificate"),
        ("PUBLIC KEY-----", "is a public key"),
    ]
    .iter()
    .find(|(mark, _)| has(mark))
    .map(|(_, what)| invalid(what))
}

fn invalid(what: &str) -> Error {
    AuthFailure::InvalidKey.error(format!("the App's private key {what}"), ADVICE)
}
