//! The trait for signing an App's JWT.

use std::fmt;
use std::pin::Pin;
use std::time::SystemTime;

use crate::error::Result;

/// A signer of an App's JWT, with a private key that is stored outside of the process.
///
/// A KMS signs with RSASSA-PKCS1-v1_5 and SHA-256, which RFC 7518 calls RS256:
///
/// ```
/// use octowire::auth::{App, AppSigner, SignatureFuture};
///
/// #[derive(Debug)]
/// struct Kms { key_id: String }
///
/// impl AppSigner for Kms {
///     fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a> {
///         Box::pin(async move {
///             # let ask_the_kms = |_: &str, _: &[u8]| Ok::<_, octowire::Error>(vec![0; 256]);
///             ask_the_kms(&self.key_id, message)
///         })
///     }
/// }
///
/// # fn example() -> octowire::Result<()> {
/// let app = App::with_signer("Iv23liABCDEF", Kms { key_id: "alias/github".to_owned() })?;
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
pub trait AppSigner: fmt::Debug + Send + Sync + 'static {
    /// Returns the RS256 signature of this message. It is called once per JWT, about every eight minutes. Report
    /// failures with [`Error::token_provider`](crate::Error::token_provider).
    fn sign<'a>(&'a self, message: &'a [u8]) -> SignatureFuture<'a>;

    /// Returns when the key was created, if that is known: see
    /// [`TokenProvider::credential_created_at`](crate::policy::auth::TokenProvider::credential_created_at).
    fn created_at(&self) -> Option<SystemTime> {
        None
    }
}

/// The result of [`AppSigner::sign`].
pub type SignatureFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + 'a>>;
