//! The pipeline as the transport of the requests that obtain tokens.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use url::Url;

use super::call::Call;
use super::handle::ClientHandle;
use super::{BodyMode, execute};
use crate::error::Result;
#[cfg(feature = "encrypted-token-store")]
use crate::policy::auth::Identity;
use crate::policy::auth::sealed::{Decode, Transport};
use crate::policy::auth::{AuthBody, AuthCall, AuthTarget, AuthTransport};
use crate::policy::retry::RetryPolicy;
use crate::request::RequestDraft;

/// A handle, or a client of one.
pub(crate) trait AsHandle: fmt::Debug + Send + Sync + 'static {
    fn as_handle(&self) -> &Arc<ClientHandle>;
}

impl AsHandle for Arc<ClientHandle> {
    fn as_handle(&self) -> &Self {
        self
    }
}

impl AuthTransport for Arc<ClientHandle> {}

impl<T: AsHandle> Transport for T {
    fn base_url(&self) -> &Url {
        self.as_handle().shared.endpoints.api()
    }

    fn web_url(&self) -> &Url {
        self.as_handle().shared.endpoints.web()
    }

    fn store_timeout(&self) -> Duration {
        self.as_handle().shared.store_timeout
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.as_handle().shared.background.spawn(task);
    }

    fn as_app(&self) -> Result<Arc<dyn AuthTransport>> {
        Ok(Arc::new(ClientHandle::as_app(self.as_handle())?))
    }

    fn without_tokens(&self) -> Arc<dyn AuthTransport> {
        Arc::new(ClientHandle::without_tokens(self.as_handle()))
    }

    #[cfg(feature = "encrypted-token-store")]
    fn unauthenticated(&self) -> Arc<dyn AuthTransport> {
        Arc::new(self.as_handle().with_identity(Identity::default()))
    }

    fn shared(&self) -> Arc<dyn AuthTransport> {
        Arc::new(Arc::clone(self.as_handle()))
    }

    fn call<'a>(
        &'a self,
        call: AuthCall<'a>,
        decode: Decode<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let call = auth_call(self.as_handle(), call)?;
            execute(call, BodyMode::Buffered).await.decode(decode.0, |()| None)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self.as_handle()
    }
}

fn auth_call(handle: &Arc<ClientHandle>, call: AuthCall<'_>) -> Result<Box<Call>> {
    let mut draft = match call.target {
        AuthTarget::Api { method, path, body } => {
            let endpoints = &handle.shared.endpoints;
            let mut draft = RequestDraft::internal(endpoints, method, call.name, path)?;
            match body {
                AuthBody::None => {}
                AuthBody::Json(json) => draft.set_serialized(json),
                AuthBody::SecretJson(json) => draft.raw_body("application/json", json.into()),
            }
            draft
        }
        AuthTarget::Form { url, form } => RequestDraft::form(call.name, url, form),
    };
    if let Some(authorization) = call.authorization {
        draft.header(AUTHORIZATION, authorization);
    }
    let mut auth_call = Box::new(Call::new(Arc::clone(handle), draft));
    auth_call.options.idempotent = call.is_idempotent;
    if !call.retries {
        auth_call.options.retry = Some(Box::new(RetryPolicy::disabled()));
    }
    Ok(auth_call)
}
