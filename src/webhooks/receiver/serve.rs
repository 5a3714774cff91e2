//! A server for a receiver alone.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{Phase, Receiver};
use crate::server::{self, ServerLimits};

const LIMITS: ServerLimits = ServerLimits {
    max_connections: 512,
    // Longer than a proxy leaves its connections idle by default, or it could send on one that ends.
    header_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(30),
    max_age: Duration::from_secs(60 * 60),
};

impl Receiver {
    /// Serves deliveries at any path by HTTP/1.1, until [`shutdown`](Self::shutdown) is called and the requests in
    /// progress have their responses, or the future is dropped, which ends all connections.
    ///
    /// At most 512 connections are open at a time; further ones wait in the operating system's backlog. A connection
    /// ends if the headers of its next request are not complete within 75 s or have more than 32 KiB, if its client
    /// reads nothing for 30 s, and after an hour. A [router](Self::router) is as well bounded as the server that it
    /// is mounted in; `axum::serve` bounds none of these.
    ///
    /// ```no_run
    /// use octowire::webhooks::{Delivery, Receiver, Verifier};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = Receiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
    ///     .start(|delivery: Delivery| async move { println!("{delivery:?}"); Ok::<_, octowire::Error>(()) })?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// receiver.serve(listener).await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + 'static {
        let receiver = self.clone();
        let mut phase = self.0.phase.subscribe();
        async move {
            let shutdown = async {
                // An error would mean that there is no receiver any more.
                let _ = phase.wait_for(|phase| *phase != Phase::Open).await;
            };
            server::serve(listener, |_| receiver.clone(), LIMITS, shutdown).await;
        }
    }
}
