//! TLS to Redis: trusted roots, and the client's certificate.

use redis::{ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, ErrorKind, Result};
use crate::util::pem;

/// The TLS settings beyond the URLs.
#[derive(Clone, Default)]
pub(super) struct Tls {
    pub(super) roots: Option<Vec<u8>>,
    /// The certificate chain, and the private key.
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// Returns the certificates for the connections; `None` if the defaults suffice.
    ///
    /// # Errors
    /// If a URL requires TLS and it is unavailable, or certificates are configured and no URL uses TLS.
    pub(super) fn certificates(&self, nodes: &[ConnectionInfo]) -> Result<Option<TlsCertificates>> {
        let is_tls = |node: &ConnectionInfo| matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        let given = self.roots.is_some() || self.client.is_some();
        if !nodes.iter().any(is_tls) {
            return match given {
                true => Err(wrong("TLS certificates are configured, but no URL uses TLS")
                    .with_advice("use rediss:// URLs")),
                false => Ok(None),
            };
        }
        provide()?;
        let root_cert = self.roots.as_deref().map(certificates).transpose()?;
        let client_tls = match &self.client {
            Some((chain, key)) => Some(ClientTlsConfig {
                client_cert: certificates(chain)?,
                client_key: private_key(key)?,
            }),
            None => None,
        };
        // With both features, the connections use rustls, without the platform's roots.
        if cfg!(feature = "native-tls") && self.roots.is_none() {
            return Err(wrong(
                "no TLS roots are configured, and both rustls and native-tls are enabled",
            )
            .with_advice("disable one of the two features, or set `root_certificates`"));
        }
        Ok(given.then_some(TlsCertificates { root_cert, client_tls }))
    }
}

/// Parses the certificates of a PEM, in any encoding that environments use.
fn certificates(pem: &[u8]) -> Result<Vec<u8>> {
    let pem = pem::normalize(pem).ok();
    let is_valid = |pem: &str| {
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
        certificates.peek().is_some() && certificates.all(|one| one.is_ok())
    };
    match pem.filter(|pem| is_valid(pem)) {
        Some(pem) => Ok(pem.as_bytes().to_vec()),
        None => {
            Err(wrong("invalid PEM certificate")
                .with_advice("use PEM: -----BEGIN CERTIFICATE-----"))
        }
    }
}

/// Parses the private key of a PEM, in any encoding that environments use.
fn private_key(pem: &[u8]) -> Result<Vec<u8>> {
    let pem = pem::normalize(pem).ok();
    match pem.filter(|pem| PrivateKeyDer::from_pem_slice(pem.as_bytes()).is_ok()) {
        Some(pem) => Ok(pem.as_bytes().to_vec()),
        None => Err(wrong("invalid PEM private key of the client certificate")
            .with_advice("use PEM without a passphrase: -----BEGIN PRIVATE KEY-----")),
    }
}

/// A connection uses the process's cryptography provider, and panics without one.
#[cfg(feature = "rustls")]
#[allow(clippy::unnecessary_wraps, reason = "without this feature it fails")]
fn provide() -> Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails if another thread has installed one first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    Ok(())
}

#[cfg(not(feature = "rustls"))]
fn provide() -> Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    Err(wrong("no rustls CryptoProvider is installed").with_advice(
        "call `install_default` of a rustls `CryptoProvider` first, or enable the feature `rustls`",
    ))
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("Redis: {message}"))
}
