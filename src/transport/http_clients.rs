//! The HTTP clients: one for each runtime, so that none depends on a connection of another one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::Either;
use http::header::{ACCEPT_ENCODING, RANGE};
use reqwest::{ClientBuilder, Proxy};
use tracing::warn;

use super::custom::{BoxError, Transport, with_url};
use crate::response::body::accepted_encoding;
use crate::runtime::PerRuntime;

/// The HTTP clients of one [`Client`](crate::Client), or what replaces them.
pub(crate) enum HttpClients {
    BuiltIn(BuiltInClients),
    /// A client of the application, for all runtimes.
    Given(reqwest::Client),
    /// A replacement for the network.
    Custom(Arc<dyn Transport>),
}

/// The clients that the library builds.
///
/// A connection is driven by a task of the runtime on which it was made. If that runtime is not polled, requests on the
/// connection are not sent, whichever runtime they come from. Therefore each runtime has its own connections.
#[derive(Debug)]
pub(crate) struct BuiltInClients {
    first: reqwest::Client,
    /// The settings for further clients.
    settings: HttpSettings,
    by_runtime: PerRuntime<reqwest::Client>,
}

/// The settings of HTTP clients.
#[derive(Clone, Debug)]
pub(crate) struct HttpSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) proxies: Vec<Proxy>,
}

impl HttpClients {
    /// Builds the first client.
    pub(crate) fn build(settings: HttpSettings) -> reqwest::Result<Self> {
        let first = settings.build()?;
        Ok(Self::BuiltIn(BuiltInClients { first, settings, by_runtime: PerRuntime::default() }))
    }

    /// Returns whether the client can store cookies.
    pub(crate) fn can_keep_cookies(&self) -> bool {
        !matches!(self, Self::BuiltIn(_))
    }

    /// Sends one request over the network.
    ///
    /// It is prepared before the first poll, so that the future does not contain it.
    pub(crate) fn execute(
        &self,
        mut request: reqwest::Request,
    ) -> impl Future<Output = Result<reqwest::Response, BoxError>> + Send + '_ {
        let headers = request.headers_mut();
        let is_of_part = headers.contains_key(RANGE);
        // A client of the application can decode bodies by itself.
        let is_given = matches!(self, Self::Given(_));
        if !headers.contains_key(ACCEPT_ENCODING)
            && let Some(encoding) = accepted_encoding(is_given, is_of_part)
        {
            headers.insert(ACCEPT_ENCODING, encoding);
        }
        let client = match self {
            Self::BuiltIn(clients) => clients.current(),
            Self::Given(client) => client.clone(),
            Self::Custom(transport) => {
                let url = Box::new(request.url().clone());
                let response = transport.send(request);
                return Either::Right(response.map_ok(|response| with_url(response, *url)));
            }
        };
        Either::Left(client.execute(request).map_err(BoxError::from))
    }
}

impl BuiltInClients {
    /// Returns the client of the current runtime.
    fn current(&self) -> reqwest::Client {
        self.by_runtime.get_or_make(|left, is_first| match left {
            Some(client) => client,
            None if is_first => self.first.clone(),
            None => self.settings.build().unwrap_or_else(|error| {
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
#[cfg(feature = "http2")]
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for all bodies of a connection. An unread body occupies its part: 100 of them, GitHub's limit of concurrent
/// requests, leave space for other responses.
#[cfg(feature = "http2")]
const CONNECTION_WINDOW: u32 = 128 * STREAM_WINDOW;

#[cfg(feature = "http2")]
pub(crate) fn with_http2_windows(builder: ClientBuilder) -> ClientBuilder {
    builder
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
}

#[cfg(not(feature = "http2"))]
fn with_http2_windows(builder: ClientBuilder) -> ClientBuilder {
    builder
}
