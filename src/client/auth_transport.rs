//! The client as the transport of the requests that obtain tokens.

use std::sync::Arc;

use super::Client;
use crate::pipeline::auth_transport::AsHandle;
use crate::pipeline::handle::ClientHandle;
use crate::policy::auth::{AuthTransport, TokenRequest};

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

impl AsHandle for Client {
    fn as_handle(&self) -> &Arc<ClientHandle> {
        self.handle()
    }
}
