//! The client as the transport of the requests that obtain tokens.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use url::Url;

use super::Client;
use crate::error::Result;
use crate::pipeline::{BodyMode, execute};
use crate::policy::auth::sealed::{Decode, Transport};
use crate::policy::auth::{AuthBody, AuthCall, AuthTarget, AuthTransport, TokenRequest};
use crate::policy::retry::RetryPolicy;
use crate::request::Request;

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
        request.client.as_any().downcast_ref::<Self>().cloned()
    }

    fn auth_request(&self, call: AuthCall<'_>) -> Result<Request> {
        let mut request = match call.target {
            AuthTarget::Api { method, path, body } => {
                let mut request = Request::internal_request(self, method, call.name, path)?;
                match body {
                    AuthBody::None => request,
                    AuthBody::Json(json) => {
                        request.set_serialized(json);
                        request
                    }
                    AuthBody::SecretJson(json) => request.body("application/json", json),
                }
            }
            AuthTarget::Form { url, form } => Request::form(self, call.name, url, form),
        };
        if let Some(authorization) = call.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        Ok(if call.retries { request } else { request.retry(RetryPolicy::disabled()) })
    }
}

impl AuthTransport for Client {}

impl Transport for Client {
    fn base_url(&self) -> &Url {
        self.base_url()
    }

    fn web_url(&self) -> &Url {
        self.web_url()
    }

    fn store_timeout(&self) -> Duration {
        self.handle().store_timeout
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.handle().background.spawn(task);
    }

    fn as_app(&self) -> Result<Arc<dyn AuthTransport>> {
        Ok(Arc::new(self.as_app()?))
    }

    fn without_tokens(&self) -> Arc<dyn AuthTransport> {
        Arc::new(self.without_tokens())
    }

    fn shared(&self) -> Arc<dyn AuthTransport> {
        Arc::new(self.clone())
    }

    fn call<'a>(
        &'a self,
        call: AuthCall<'a>,
        decode: Decode<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let request = self.auth_request(call)?;
            execute(request, BodyMode::Buffered).await.decode(decode.0, |()| None)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
