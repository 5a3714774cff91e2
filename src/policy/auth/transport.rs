//! Transport of the requests that obtain tokens. Token providers, the token manager and the OAuth flows send through
//! it, so that none of them depends on the client.

use bytes::Bytes;
use http::{HeaderValue, Method};
use url::Url;

use self::sealed::Decode;
use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::response::RawResponse;

/// Sends the requests that obtain tokens: to GitHub's API, its web pages, and token endpoints.
///
/// [`Client`](crate::Client) implements it, and no other type can: where a method takes a `&dyn AuthTransport`, pass
/// `&client`. Base URL, timeouts and all other settings are those of the client.
///
/// A [`TokenProvider`](super::TokenProvider) receives one with each request for a token;
/// [`Client::from_token_request`](crate::Client::from_token_request) returns the client behind it.
pub trait AuthTransport: sealed::Transport {}

/// The parts of [`AuthTransport`] that are internal.
pub(crate) mod sealed {
    use std::any::Any;
    use std::fmt;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;

    use url::Url;

    use super::{AuthCall, AuthTransport};
    use crate::error::Result;
    use crate::response::RawResponse;

    /// Reads a response; a failure is recorded as the outcome of the call.
    pub struct Decode<'a>(pub(crate) Box<dyn FnOnce(RawResponse) -> Result<()> + Send + 'a>);

    pub trait Transport: fmt::Debug + Send + Sync + 'static {
        /// Returns the base URL of the API.
        fn base_url(&self) -> &Url;

        /// Returns the URL of GitHub's web pages.
        fn web_url(&self) -> &Url;

        /// Returns the longest wait for a token store, for a token that can be obtained without it.
        fn store_timeout(&self) -> Duration;

        /// Runs a task that does not depend on the current call. [`Client::close`](crate::Client::close) waits for it.
        fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);

        /// Returns a transport that authenticates as the App.
        fn as_app(&self) -> Result<Arc<dyn AuthTransport>>;

        /// Returns a transport that attaches no token, not even the gateway's.
        fn without_tokens(&self) -> Arc<dyn AuthTransport>;

        /// Returns a transport that attaches no token of GitHub, and that of the gateway if there is one.
        #[cfg(feature = "encrypted-token-store")]
        fn unauthenticated(&self) -> Arc<dyn AuthTransport>;

        /// Returns the same transport, for a task of its own.
        fn shared(&self) -> Arc<dyn AuthTransport>;

        /// Sends one call with its retries. If this returns `Ok`, `decode` has succeeded.
        fn call<'a>(
            &'a self,
            call: AuthCall<'a>,
            decode: Decode<'a>,
        ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

        /// Returns the implementation.
        fn as_any(&self) -> &dyn Any;
    }
}

/// One call that obtains or manages a token.
pub struct AuthCall<'a> {
    /// The name of the operation in errors, spans and metrics.
    pub(crate) name: &'static str,
    pub(crate) target: AuthTarget<'a>,
    /// The credential of this call, in place of the transport's.
    pub(crate) authorization: Option<HeaderValue>,
    /// Whether the retry policy of the client applies. If not, the caller retries.
    pub(crate) retries: bool,
    /// Whether the retry policy can repeat it after a lost response, though its method is not idempotent.
    pub(crate) is_idempotent: bool,
}

/// The target of an [`AuthCall`], and the content.
pub(crate) enum AuthTarget<'a> {
    /// An endpoint of GitHub's API.
    Api {
        method: Method,
        /// The segments of the path relative to the base URL.
        path: &'a [&'a str],
        body: AuthBody,
    },
    /// A form with a JSON response, to a server that is not GitHub's API. It carries no token and no header of the
    /// client, and a response of any status is decoded.
    #[cfg_attr(not(feature = "oauth"), allow(dead_code, reason = "OAuth alone needs it"))]
    Form { url: Url, form: Bytes },
}

/// The body of an [`AuthTarget::Api`].
pub(crate) enum AuthBody {
    None,
    Json(Bytes),
    /// JSON with a secret, in memory that is overwritten after use. It has the time limits of an upload.
    #[cfg_attr(not(feature = "oauth"), allow(dead_code, reason = "OAuth alone needs it"))]
    SecretJson(Bytes),
}

/// Sends a call and decodes its response.
pub(crate) async fn send<T: Send>(
    transport: &dyn AuthTransport,
    call: AuthCall<'_>,
    decode: impl FnOnce(RawResponse) -> Result<T> + Send,
) -> Result<T> {
    let mut decoded = None;
    let decode = Decode(Box::new(|raw| decode(raw).map(|value| decoded = Some(value))));
    transport.call(call, decode).await?;
    decoded.ok_or_else(|| AuthFailure::Other.error("the response was not decoded", ""))
}
