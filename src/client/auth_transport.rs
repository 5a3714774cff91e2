//! The client as the transport of the requests that obtain tokens.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Client;
use crate::error::Result;
use crate::pipeline::handle::ClientHandle;
use crate::policy::auth::sealed::{Decode, Transport};
use crate::policy::auth::{AuthCall, AuthTransport, TokenRequest};

impl Client {
    /// Returns the client that requests a token, for a [`TokenProvider`](crate::auth::TokenProvider) that calls GitHub
    /// or another server itself. `None` if another transport sends the request, which none does today.
    ///
    /// Call GitHub with [`unauthenticated`](Self::unauthenticated) or [`as_app`](Self::as_app) of it: a call of this
    /// client itself fails, since it would wait for the token that is being obtained.
    ///
    /// ```
    /// use octowire::Client;
    /// use octowire::auth::{AccessToken, TokenRequest};
    /// use octowire::http::Method;
    ///
    /// async fn fetch(request: TokenRequest<'_>) -> octowire::Result<AccessToken> {
    ///     # let missing = || octowire::Error::token_provider("no client", false, None);
    ///     let client = Client::from_token_request(&request).ok_or_else(missing)?.unauthenticated();
    ///     let issued = client.request(Method::POST, "/tokens").send::<String>().await?;
    ///     AccessToken::new(issued.into_inner())
    /// }
    /// # let _ = fetch;
    /// ```
    #[must_use]
    pub fn from_token_request(request: &TokenRequest<'_>) -> Option<Self> {
        let handle = request.client.as_any().downcast_ref::<Arc<ClientHandle>>();
        handle.map(|handle| Self::of(Arc::clone(handle)))
    }
}

impl AuthTransport for Client {}

impl Transport for Client {
    fn base_url(&self) -> &Url {
        Transport::base_url(self.handle())
    }

    fn web_url(&self) -> &Url {
        Transport::web_url(self.handle())
    }

    fn store_timeout(&self) -> Duration {
        self.handle().store_timeout()
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.handle().spawn(task);
    }

    fn as_app(&self) -> Result<Arc<dyn AuthTransport>> {
        Transport::as_app(self.handle())
    }

    fn without_tokens(&self) -> Arc<dyn AuthTransport> {
        Transport::without_tokens(self.handle())
    }

    fn shared(&self) -> Arc<dyn AuthTransport> {
        Transport::shared(self.handle())
    }

    fn call<'a>(
        &'a self,
        call: AuthCall<'a>,
        decode: Decode<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Transport::call(self.handle(), call, decode)
    }

    fn as_any(&self) -> &dyn Any {
        self.handle()
    }
}
