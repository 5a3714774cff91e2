//! TLS to Redis: whom to trust, and who this is.

use redis::{ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, ErrorKind, Result};

/// What was said of TLS beyond the URLs.
#[derive(Clone, Default)]
pub(super) struct Tls {
    pub(super) roots: Option<Vec<u8>>,
    /// The chain of certificates, and the key.
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// What to give to the connections; `None` if the defaults do.
    ///
    /// # Errors
    /// If TLS is wanted and can not be had, or certificates are given and TLS is not wanted.
    pub(super) fn certificates(&self, nodes: &[ConnectionInfo]) -> Result<Option<TlsCertificates>> {
        let is_tls = |node: &ConnectionInfo| matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        let given = self.roots.is_some() || self.client.is_some();
        if !nodes.iter().any(is_tls) {
            return match given {
                true => Err(wrong("certificates are given, and the URL asks for no TLS")
                    .with_advice("begin each URL with rediss://")),
                false => Ok(None),
            };
        }
        provide()?;
        for pem in self.roots.iter().chain(self.client.iter().map(|(chain, _)| chain)) {
            let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
            if certificates.peek().is_none() || certificates.any(|one| one.is_err()) {
                return Err(wrong("what is given as a certificate is none")
                    .with_advice("give PEM: -----BEGIN CERTIFICATE-----"));
            }
        }
        // With both, the connections are by rustls, without the platform's roots.
        if cfg!(feature = "native-tls") && self.roots.is_none() {
            return Err(wrong("with rustls and native-tls, nobody says whom to trust")
                .with_advice(
                    "leave one of the two features out, or name the roots by `root_certificates`",
                ));
        }
        Ok(given.then(|| TlsCertificates {
            root_cert: self.roots.clone(),
            client_tls: self
                .client
                .clone()
                .map(|(chain, key)| ClientTlsConfig { client_cert: chain, client_key: key }),
        }))
    }
}

/// A connection takes the process's provider of cryptography, and panics without one.
#[cfg(feature = "rustls")]
#[allow(clippy::unnecessary_wraps, reason = "without this feature it fails")]
fn provide() -> Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails if another thread was faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    Ok(())
}

#[cfg(not(feature = "rustls"))]
fn provide() -> Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    Err(wrong("no provider of cryptography is installed").with_advice(
        "call `install_default` of a rustls `CryptoProvider` first, or use the feature `rustls`",
    ))
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("Redis: {message}"))
}
