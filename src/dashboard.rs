//! A page that shows a client at work.
//!
//! It is a router to mount in an application of [axum](https://docs.rs/axum), or a server of its own:
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
//! The page is updated each second: calls, response times, errors, the cache, rate limits, tokens (whose, and until
//! when; never the token), budgets, deliveries of webhooks, circuits, the store, objectives, and the calls that failed
//! last, with GitHub's ids of the requests. It has no outside assets, and needs no other server.
//!
//! | Path | What it is |
//! |---|---|
//! | `/` | the page, with `/style.css`, `/script.js` and `/icon.svg` |
//! | `/events` | what it shows, as [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html): `start`, then `tick` each second; 32 readers at a time |
//! | `/state.json` | the same, once |
//!
//! # Who may look
//!
//! Whoever has the [token](Dashboard::token): as a bearer token, or as the password of basic authentication, as which a
//! browser asks for it. Without a token, whoever is on this machine: the connection, the name in `Host` and the absence of
//! a proxy's headers say so. Nobody may change anything. The page may not be framed, and runs no script and no style but
//! its own; there is no CORS.
//!
//! # How much is remembered
//!
//! Ten minutes, second by second, the fifty calls that failed last, and a day minute by minute for objectives: some
//! 250 KB for each client, whether or not anybody looks. It is of this process; Prometheus and Grafana are for a
//! fleet, see [`telemetry`](crate::telemetry).

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "webhooks-core")]
use crate::webhooks::Receiver;

mod access;
mod events;
mod page;
mod state;

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub use events::Snapshot;
use state::Usage;

/// A page that shows a client at work: see the [module](self).
///
/// All handles of the client count for calls; rate limits and tokens are those of up to fifty identities that were
/// used last, usage and budgets those of the given handle.
#[must_use = "a dashboard shows nothing before it is mounted or served"]
pub struct Dashboard {
    client: Client,
    title: String,
    token: Option<SecretString>,
    #[cfg(feature = "webhooks-core")]
    receiver: Option<Receiver>,
}

/// What all who look share.
struct Shown {
    dashboard: Dashboard,
    readers: Arc<Semaphore>,
    usage: Usage,
}

/// As many may read events at a time.
const MAX_READERS: usize = 32;
/// A token that is shorter may be guessed.
const MIN_TOKEN: usize = 16;

impl Dashboard {
    /// A page of this client.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            title: "Octowire".to_owned(),
            token: None,
            #[cfg(feature = "webhooks-core")]
            receiver: None,
        }
    }

    /// The page's title; `Octowire` by default.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Who has this token may look, from wherever; it has 16 bytes at least. Serve the page by HTTPS then.
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Shows what becomes of deliveries as well.
    #[cfg(feature = "webhooks-core")]
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-core")))]
    pub fn webhooks(mut self, receiver: &Receiver) -> Self {
        self.receiver = Some(receiver.clone());
        self
    }

    /// The page as a router, to be merged or nested at a path.
    ///
    /// Without a token, the server has to be made by
    /// [`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info) for [`SocketAddr`]: it
    /// is how the page knows that who looks is on this machine.
    ///
    /// # Errors
    /// If the token is shorter than 16 bytes ([`ErrorKind::Configuration`]).
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Result<Router<S>> {
        let short = |token: &SecretString| token.expose_secret().len() < MIN_TOKEN;
        if self.token.as_ref().is_some_and(short) {
            return Err(configuration(
                "the dashboard's token is too short",
                "give one of 16 random bytes or more",
            ));
        }
        let shown = Shown::new(self);
        Ok(Router::new()
            .route("/", get(page::page))
            .route("/style.css", get(page::style))
            .route("/script.js", get(page::script))
            .route("/icon.svg", get(page::icon))
            .route("/events", get(events::events))
            .route("/state.json", get(events::once))
            .fallback(page::missing)
            .layer(from_fn_with_state(Arc::clone(&shown), access::guard))
            .with_state(shown))
    }

    /// Serves the page alone, until the future is dropped.
    ///
    /// # Errors
    /// If the listener is on an address that others reach and there is no token, or the token is too short
    /// ([`ErrorKind::Configuration`]). The future ends with an error if the listener fails.
    pub fn serve(
        self,
        listener: TcpListener,
    ) -> Result<impl Future<Output = io::Result<()>> + Send + 'static> {
        let address = listener.local_addr().map_err(|error| {
            configuration("the dashboard's listener has no address", "bind it first")
                .with_source(error)
        })?;
        if self.token.is_none() && !access::is_here(address.ip()) {
            return Err(configuration(
                format!("the dashboard would be open to whoever reaches {address}"),
                "give it a token, or bind it to 127.0.0.1",
            ));
        }
        let service = self.router::<()>()?.into_make_service_with_connect_info::<SocketAddr>();
        Ok(axum::serve(listener, service).into_future())
    }
}

impl Shown {
    fn new(dashboard: Dashboard) -> Arc<Self> {
        let readers = Arc::new(Semaphore::new(MAX_READERS));
        Arc::new(Self { dashboard, readers, usage: Usage::default() })
    }
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard")
            .field("client", &self.client)
            .field("title", &self.title)
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

fn configuration(
    message: impl Into<std::borrow::Cow<'static, str>>,
    advice: &'static str,
) -> Error {
    Error::new(ErrorKind::Configuration, message).with_advice(advice)
}
