//! The HTTP clients: one for each runtime, so that none depends on a connection of another one.

#[cfg(test)]
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, RANGE};
use reqwest::{ClientBuilder, Proxy};
use tracing::warn;

use crate::response::body::accepted_encoding;
use crate::runtime::PerRuntime;
#[cfg(test)]
use crate::runtime::detachable::BoxFuture;

/// The HTTP clients of one [`Client`](crate::Client).
///
/// A connection is driven by a task of the runtime on which it was made. If that runtime is not polled, requests on the
/// connection are not sent, whichever runtime they come from. Therefore each runtime has its own connections.
pub(crate) struct HttpClients {
    first: reqwest::Client,
    /// The settings for further clients; `None` for a client of the application, which is the only one.
    settings: Option<HttpSettings>,
    by_runtime: PerRuntime<reqwest::Client>,
    /// The replacement for the network in unit tests.
    #[cfg(test)]
    fake: Option<FakeTransport>,
}

/// Responds to the requests of unit tests.
#[cfg(test)]
pub(crate) type FakeTransport =
    Arc<dyn Fn(reqwest::Request) -> BoxFuture<reqwest::Response> + Send + Sync>;

/// The settings of HTTP clients.
#[derive(Clone, Debug)]
pub(crate) struct HttpSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) proxies: Vec<Proxy>,
}

impl HttpClients {
    /// Uses the same client for all runtimes.
    pub(crate) fn single(client: reqwest::Client) -> Self {
        Self::new(client, None)
    }

    /// Builds the first client.
    pub(crate) fn build(settings: HttpSettings) -> reqwest::Result<Self> {
        Ok(Self::new(settings.build()?, Some(settings)))
    }

    fn new(first: reqwest::Client, settings: Option<HttpSettings>) -> Self {
        Self {
            first,
            settings,
            by_runtime: PerRuntime::default(),
            #[cfg(test)]
            fake: None,
        }
    }

    /// Replaces the network.
    #[cfg(test)]
    pub(crate) fn set_fake(&mut self, fake: Option<FakeTransport>) {
        self.fake = fake;
    }

    /// Sends one request over the network.
    pub(crate) async fn execute(
        &self,
        mut request: reqwest::Request,
    ) -> reqwest::Result<reqwest::Response> {
        let headers = request.headers_mut();
        let is_of_part = headers.contains_key(RANGE);
        if !headers.contains_key(ACCEPT_ENCODING)
            && let Some(encoding) = accepted_encoding(self.is_single(), is_of_part)
        {
            headers.insert(ACCEPT_ENCODING, encoding);
        }
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            return Ok(fake(request).await);
        }
        self.current().execute(request).await
    }

    /// Returns whether the application supplied the client, which can then decode bodies and store cookies by itself.
    pub(crate) fn is_single(&self) -> bool {
        self.settings.is_none()
    }

    /// Returns the client of the current runtime.
    pub(crate) fn current(&self) -> reqwest::Client {
        let Some(settings) = &self.settings else { return self.first.clone() };
        self.by_runtime.get_or_make(|left, is_first| match left {
            Some(client) => client,
            None if is_first => self.first.clone(),
            None => settings.build().unwrap_or_else(|error| {
                warn!(%error, "building an HTTP client for another runtime failed; sharing the first one");
                self.first.clone()
            }),
        })
    }
}

impl HttpSettings {
    fn build(&self) -> reqwest::Result<reqwest::Client> {
        let builder = with_http2_windows(reqwest::Client::builder())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // This library decompresses, also if another crate enables these features.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(self.connect_timeout);
        self.proxies.iter().cloned().fold(builder, ClientBuilder::proxy).build()
    }
}

/// How much of a body a server can send over HTTP/2 before it is read: 20 MB/s at 50 ms.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for all bodies of a connection. An unread body occupies its part: 100 of them, GitHub's limit of concurrent
/// requests, leave room for other responses.
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;

pub(crate) fn with_http2_windows(builder: ClientBuilder) -> ClientBuilder {
    builder
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
}
