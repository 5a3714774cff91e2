//! A private key in memory, read from the formats in common use.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use zeroize::{Zeroize, Zeroizing};

use super::signer::{AppSigner, SignatureFuture};
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::environment::Environment;
use crate::policy::auth::token::CredentialFormat;
use crate::util::pem::{self, PemError};

/// A private key that signs with RS256. aws-lc overwrites its memory when it is dropped.
pub(super) struct PrivateKey {
    key: KeyPair,
    created_at: Option<SystemTime>,
}

/// The advice for an invalid key.
const ADVICE: &str = "pass the complete .pem file that the App's settings page generates";

impl PrivateKey {
    pub(super) fn read(pem: &SecretString) -> Result<Self> {
        Self::read_bytes(pem.expose_secret().as_bytes())
    }

    fn read_bytes(bytes: &[u8]) -> Result<Self> {
        let pem = normalize_pem(bytes)?;
        let mut der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| wrong_kind(&pem).unwrap_or_else(|| invalid("is not a PEM private key")))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(invalid("is an elliptic-curve key, not an RSA key")),
        };
        der.zeroize();
        // The reason is a word such as `InvalidEncoding`, and contains nothing of the key.
        let key = key.map_err(|reason| {
            invalid(&format!("is not an RSA key of at least 2048 bits ({reason})"))
        })?;
        Ok(Self { key, created_at: None })
    }

    pub(super) fn read_file(environment: &dyn Environment, path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = environment.read_file(path).map(Zeroizing::new).map_err(|error| {
            AuthFailure::Missing
                .error(
                    format!("cannot read the App's private key from {shown}"),
                    "check the path and its read permissions",
                )
                .with_source(error)
        })?;
        let mut key = Self::read_bytes(&bytes)?;
        key.created_at = environment.modified_at(path);
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
                    "App JWT signing failed: the private key produced no signature",
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
        f.debug_struct("PrivateKey")
            .field("bits", &self.key.public_modulus_len().saturating_mul(8))
            .finish()
    }
}

/// Returns the PEM as it was before environment variables and YAML changed it.
fn normalize_pem(text: &[u8]) -> Result<Zeroizing<String>> {
    pem::normalize(text).map_err(|error| match error {
        PemError::Empty => AuthFailure::Empty.error("the App's private key is empty", ADVICE),
        PemError::NotText => invalid("is not UTF-8 text"),
        PemError::NoEnd => invalid("is truncated: the -----END …----- line is missing"),
        PemError::NoBegin => {
            let token = std::str::from_utf8(text).ok().map(|text| {
                text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''))
            });
            match token.and_then(|text| CredentialFormat::detect(text).access_token_kind()) {
                Some(kind) => AuthFailure::WrongKind.error(
                    format!("invalid App private key: the value looks like {kind}"),
                    "pass a token to ClientBuilder::token, and the App's .pem file as its private \
                     key",
                ),
                None => invalid("has no -----BEGIN …----- line"),
            }
        }
    })
}

/// Returns the kind of a PEM, if it is known and not a private key.
fn wrong_kind(pem: &str) -> Option<Error> {
    let has = |text: &str| pem.contains(text);
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Some(AuthFailure::EncryptedKey.error(
            "the App's private key is protected by a passphrase",
            "remove the passphrase (openssl pkey -in key.pem -out plain.pem), and store the file \
             where only the application can read it",
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

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    /// Generates a key in PKCS#8, and the same in PKCS#1, which PKCS#8 contains.
    fn generated() -> [(&'static str, Vec<u8>); 2] {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = der.as_ref().to_vec();
        [("RSA PRIVATE KEY", der[26..].to_vec()), ("PRIVATE KEY", der)]
    }

    fn module(pem: &[u8]) -> Vec<u8> {
        use aws_lc_rs::signature::KeyPair as _;
        PrivateKey::read_bytes(pem).unwrap().key.public_key().as_ref().to_vec()
    }

    /// Common corruptions of a PEM.
    #[derive(Clone, Debug)]
    struct Mangling {
        breaks: &'static str,
        width: usize,
        quotes: &'static str,
        before: &'static str,
        after: &'static str,
        encoded: usize,
        wide: bool,
    }

    fn manglings() -> impl Strategy<Value = Mangling> {
        let breaks = [
            "\n", "\r\n", "\r", " ", "  ", "", "\t", "\n    ", "\r\n\t", "\\n", "\\r\\n", "\\\\n",
            "\\n\n", " \\\n", "\u{a0}", "\"\n\"",
        ];
        (
            proptest::sample::select(breaks.to_vec()),
            proptest::sample::select(vec![16_usize, 64, 76, 10_000]),
            proptest::sample::select(vec!["", "\"", "'", "\"'", "\\\""]),
            proptest::sample::select(vec!["", " ", "\n\n", "\u{feff}", "key: |\n  ", "\\n"]),
            proptest::sample::select(vec!["", "\n", "\r\n", "   ", "\\n", ",\n"]),
            0..5_usize,
            any::<bool>(),
        )
            .prop_map(|(breaks, width, quotes, before, after, encoded, wide)| Mangling {
                breaks,
                width,
                quotes,
                before,
                after,
                encoded,
                wide,
            })
    }

    impl Mangling {
        fn mangle(&self, label: &str, der: &[u8]) -> Vec<u8> {
            let body = STANDARD.encode(der);
            let lines =
                body.as_bytes().chunks(self.width).map(|line| std::str::from_utf8(line).unwrap());
            let first = format!("-----BEGIN {label}-----");
            let last = format!("-----END {label}-----");
            let lines: Vec<&str> =
                std::iter::once(first.as_str()).chain(lines).chain([last.as_str()]).collect();
            let Self { quotes, before, after, .. } = self;
            let text = format!("{before}{quotes}{}{quotes}{after}", lines.join(self.breaks));
            match self.encoded {
                0 => STANDARD.encode(&text).into_bytes(),
                1 => format!("'{}'\n", STANDARD_NO_PAD.encode(&text)).into_bytes(),
                2 => {
                    let encoded = STANDARD.encode(&text);
                    let lines: Vec<_> = encoded.as_bytes().chunks(76).collect();
                    lines.join(&b"\r\n"[..])
                }
                3 => STANDARD.encode(URL_SAFE.encode(&text)).into_bytes(),
                _ if self.wide => {
                    let units = text.trim_start_matches('\u{feff}').encode_utf16();
                    [0xff, 0xfe].into_iter().chain(units.flat_map(u16::to_le_bytes)).collect()
                }
                _ => text.into_bytes(),
            }
        }
    }

    #[test]
    fn a_key_is_the_same_however_it_arrives() {
        let keys = generated();
        let expected = module(&Mangling::plain().mangle(keys[1].0, &keys[1].1));
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(600));
        let result = runner.run(&(manglings(), 0..2_usize), |(mangling, kind)| {
            let (label, der) = &keys[kind];
            let mangled = mangling.mangle(label, der);
            prop_assert_eq!(module(&mangled), expected.clone());
            Ok(())
        });
        result.unwrap();
    }

    impl Mangling {
        fn plain() -> Self {
            Self {
                breaks: "\n",
                width: 64,
                quotes: "",
                before: "",
                after: "\n",
                encoded: 9,
                wide: false,
            }
        }
    }

    #[test]
    fn an_invalid_key_is_never_shown() {
        let [(label, der), _] = generated();
        let whole = String::from_utf8(Mangling::plain().mangle(label, &der)).unwrap();
        let cut = &whole[..whole.len() / 2];
        let damaged = whole.replacen("MII", "M!I", 1);
        let short = whole.replacen(&whole[100..140], "", 1);
        let certificate = whole.replace(label, "CERTIFICATE");
        let bare = STANDARD.encode(&der);
        let body: Vec<&str> = whole.lines().filter(|line| !line.starts_with('-')).collect();
        for text in [cut, &damaged, &short, &certificate, &bare, "-----BEGIN", "", "\u{0}"] {
            let Err(error) = PrivateKey::read_bytes(text.as_bytes()) else {
                panic!("it is read: {text}");
            };
            let shown = format!("{error} {error:?}");
            assert!(
                body.iter().all(|line| !shown.contains(&line[..16.min(line.len())])),
                "{shown}"
            );
            assert!(shown.contains(".pem"), "{shown}");
        }
    }
}
