//! A live page of one client.
//!
//! The page is a router to mount in an application of [axum](https://docs.rs/axum), or a server of its own:
//!
//! ```no_run
//! use octowire::Client;
//! use octowire::dashboard::Dashboard;
//!
//! # async fn example() -> octowire::Result<()> {
//! let github = Client::from_env()?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9465").await.unwrap();
//! tokio::spawn(Dashboard::new(&github).serve(listener)?);
//! # Ok(())
//! # }
//! ```
//!
//! The page is updated each second: calls, response times, errors, the cache, rate limits, tokens (identity and expiry;
//! never the token), budgets, webhook deliveries, circuits, the store, objectives, and the last failed calls, with
//! GitHub's request ids. It has no external assets, and needs no other server.
//!
//! | Path | Content |
//! |---|---|
//! | `/` | the page, with `/style.css`, `/script.js` and `/icon.svg` |
//! | `/events` | its data, as [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html): `start`, then `tick` each second; 32 readers at a time |
//! | `/state.json` | the same data, once |
//!
//! # Access control
//!
//! With a [token](Dashboard::token), any client that sends it: as a bearer token, or as the password of basic
//! authentication, for which a browser prompts.
//!
//! Without a token, only a browser on this machine has access, and the default is to deny. A request is served only if
//!
//! - the connection comes from a loopback address;
//! - there is exactly one `Host`, and it is `localhost` or a loopback address (a domain name that resolves to this
//!   machine is neither);
//! - it is not HTTP/1.0, and does not have the form of requests to a proxy;
//! - it has no header except those that browsers and `curl` send by themselves. Any header that a proxy adds, such as
//!   `Forwarded`, `X-Real-IP` or `X-Request-Id`, leads to 403, and the response names the header.
//!
//! So does a header that a layer of the application adds around the router, such as `x-request-id` of tower-http's
//! `SetRequestIdLayer`. [`Dashboard::allow_header`] allows it.
//!
//! **A proxy or a tunnel on the same machine that adds no header looks like a browser on it, and so do all of its
//! clients**: `ssh -R`, `kubectl port-forward`, TCP proxies, and nginx's `proxy_pass` over HTTP/1.1 without further
//! directives. Behind a proxy or a tunnel, a token is required.
//!
//! The page is read-only. Other sites cannot frame it, and it runs no script and no style but its own. Pages of other
//! sites have no access: there is no CORS, and the application must not add a CORS layer around the router.
//!
//! # Retention
//!
//! Ten minutes, second by second, the fifty last failed calls, and a day minute by minute for objectives: about 300 KB
//! for each client, whether or not the page is open. The data is of this process; for a fleet, use Prometheus and
//! Grafana, see [`observability`](crate::observability).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Router};
use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::server::{self, ServerLimits};
#[cfg(feature = "webhooks")]
use crate::webhooks::WebhookReceiver;

mod authorization;
mod events;
mod local;
mod page;
mod snapshot;

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub use events::Snapshot;
use snapshot::UsageCache;

/// The live page of one client: see the [module](self).
///
/// Calls of all handles of the client count. Rate limits and tokens are those of the given handle's identity, and of up
/// to 49 more, whose handles are the newest; usage and budgets are those of the given handle.
#[must_use = "a dashboard shows nothing before it is mounted or served"]
pub struct Dashboard {
    client: Client,
    title: String,
    base_path: Option<String>,
    token: Option<SecretString>,
    allowed_headers: Vec<String>,
    #[cfg(feature = "webhooks")]
    receiver: Option<WebhookReceiver>,
}

/// The state that all connections share.
struct DashboardState {
    dashboard: Dashboard,
    allowed_headers: Vec<HeaderName>,
    subscribers: Arc<Semaphore>,
    usage: UsageCache,
}

/// Maximum number of concurrent event streams; each ends after some minutes, and the browser reconnects.
const MAX_SUBSCRIBERS: usize = 32;
/// Event streams, and browsers that load the page.
const SERVER_LIMITS: ServerLimits = ServerLimits {
    max_connections: 128,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(10),
    write_timeout: Duration::from_secs(30),
    max_age: Duration::from_secs(15 * 60),
};
/// A shorter token might be guessed.
const MIN_TOKEN_CHARS: usize = 16;

impl Dashboard {
    /// Creates the page of this client.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            title: "Octowire".to_owned(),
            base_path: None,
            token: None,
            allowed_headers: Vec::new(),
            #[cfg(feature = "webhooks")]
            receiver: None,
        }
    }

    /// Sets the page's title; `Octowire` by default.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the path at which browsers see the page, such as `/tools/octowire`, if a proxy strips a part of the path.
    /// By default it is the path at which the router is nested.
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = Some(path.into());
        self
    }

    /// Sets the token that grants access to the page from any address; at least 16 visible ASCII characters. White
    /// space around it is dropped, since a file often ends with a line break. Serve the page by HTTPS then.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Allows a header in requests without a token that the application itself adds to them, by a layer around the
    /// [router](Self::router): `allow_header("x-request-id")` for tower-http's `SetRequestIdLayer`. Without this, the
    /// request is denied, since a proxy could have added it. It has no effect if a [token](Self::token) is set.
    ///
    /// **A proxy on the same machine that adds this header alone looks like a browser then.** Behind such a proxy, a
    /// token is required. Up to 16 names are allowed, of 64 bytes each, in upper or lower case.
    ///
    /// `router` and `serve` return an error ([`ErrorKind::Configuration`]) for further names, for invalid header names,
    /// and for the headers of proxies that this library knows, such as `Forwarded`, `X-Forwarded-For`,
    /// `X-Auth-Request-User` or `Via`: those are never allowed. The list cannot be complete.
    pub fn allow_header(mut self, name: impl Into<String>) -> Self {
        // One name beyond the bound is enough to reject.
        if self.allowed_headers.len() <= local::MAX_ALLOWED {
            self.allowed_headers.push(name.into());
        }
        self
    }

    /// Also shows the state of webhook deliveries.
    #[cfg(feature = "webhooks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks")))]
    pub fn webhooks(mut self, receiver: &WebhookReceiver) -> Self {
        self.receiver = Some(receiver.clone());
        self
    }

    /// Returns the page as a router, to be nested at a path: `app.nest_service("/octowire", router)` serves it at
    /// `/octowire` and at `/octowire/`.
    ///
    /// With [`nest`](Router::nest), a path below `/octowire` that the page does not have is the application's, but so is
    /// `/octowire/`: a nested route cannot end with a slash.
    ///
    /// Without a token, the server has to be created with
    /// [`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info) for [`SocketAddr`]: from it
    /// the page knows whether the browser is on this machine. Allow headers that layers around the router add to
    /// requests with [`allow_header`](Self::allow_header).
    ///
    /// # Errors
    /// If the token is invalid or too short, or a header is not allowed ([`ErrorKind::Configuration`]).
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Result<Router<S>> {
        Ok(DashboardState::new(self)?.router())
    }

    /// Serves only the page by HTTP/1.1, until the future is dropped, which also ends all connections.
    ///
    /// At most 128 connections are served at a time. To accept another one, the server closes a connection on which
    /// nothing has arrived for a while, or whose client does not read; if there is none, the new connection waits in
    /// the operating system's backlog. A connection ends if the headers of a request are not complete within 10 s or
    /// have more than 32 KiB, if there is no next request within 10 s, if a response is not read within 30 s, and after
    /// 15 minutes.
    ///
    /// # Errors
    /// If the listener's address is not a loopback address and no token is set, the token is too short, or a header is
    /// not allowed ([`ErrorKind::Configuration`]). The future does not end by itself.
    pub fn serve(
        self,
        listener: TcpListener,
    ) -> Result<impl Future<Output = io::Result<()>> + Send + 'static> {
        let address = listener.local_addr().map_err(|error| {
            configuration("the dashboard's listener has no address", "bind the listener first")
                .with_source(error)
        })?;
        if self.token.is_none() && !local::is_loopback(address.ip()) {
            return Err(configuration(
                format!("the dashboard would be reachable at {address} without a token"),
                "set a token, or bind the dashboard to 127.0.0.1",
            ));
        }
        let shown = DashboardState::new(self)?;
        let router = shown.router::<()>();
        let service = move |peer| router.clone().layer(Extension(ConnectInfo::<SocketAddr>(peer)));
        Ok(async move {
            server::serve(listener, service, SERVER_LIMITS, std::future::pending()).await;
            Ok(())
        })
    }
}

impl DashboardState {
    fn new(mut dashboard: Dashboard) -> Result<Arc<Self>> {
        if let Some(token) = &mut dashboard.token {
            let text = token.expose_secret().trim();
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.len() < MIN_TOKEN_CHARS {
                return Err(configuration(
                    "invalid dashboard token: too short, or not valid in a header",
                    "use at least 16 random letters and digits",
                ));
            }
            crate::sanitize::pin(text.as_bytes());
            *token = SecretString::from(text.to_owned());
        }
        let allowed_headers = allowed_headers(&dashboard.allowed_headers)?;
        let readers = Arc::new(Semaphore::new(MAX_SUBSCRIBERS));
        Ok(Arc::new(Self {
            dashboard,
            allowed_headers,
            subscribers: readers,
            usage: UsageCache::default(),
        }))
    }

    fn router<S: Clone + Send + Sync + 'static>(self: &Arc<Self>) -> Router<S> {
        // No fallback: after a merge, it would be the application's.
        Router::new()
            .route("/", get(page::page))
            .route("/style.css", get(page::style))
            .route("/script.js", get(page::script))
            .route("/icon.svg", get(page::icon))
            .route("/events", get(events::events))
            .route("/state.json", get(events::snapshot))
            .route_layer(from_fn_with_state(Arc::clone(self), authorization::authorize))
            .with_state(Arc::clone(self))
    }
}

fn allowed_headers(names: &[String]) -> Result<Vec<HeaderName>> {
    const ADVICE: &str =
        "pass the names of headers that layers of the application add; behind a proxy, set a token";
    if names.len() > local::MAX_ALLOWED {
        let message = format!("the dashboard allows at most {} headers", local::MAX_ALLOWED);
        return Err(configuration(message, ADVICE));
    }
    let parsed = names.iter().map(|name| {
        local::allowed_header(name)
            .map_err(|reason| configuration(format!("invalid allowed header: {reason}"), ADVICE))
    });
    parsed.collect()
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("client", &self.client)
            .field("title", &self.title)
            .field("token", &self.token.is_some())
            .field("allowed_headers", &self.allowed_headers)
            .finish_non_exhaustive()
    }
}

fn configuration(
    message: impl Into<std::borrow::Cow<'static, str>>,
    advice: &'static str,
) -> Error {
    Error::new(ErrorKind::Configuration, message).with_advice(advice)
}
