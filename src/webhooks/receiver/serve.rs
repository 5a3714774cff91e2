//! A server for one receiver.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{Lifecycle, WebhookReceiver};
use crate::server::{self, ServerLimits};

const SERVER_LIMITS: ServerLimits = ServerLimits {
    max_connections: 512,
    header_timeout: Duration::from_secs(10),
    // Longer than the default idle timeout of proxies, which could otherwise send on a connection that ends.
    idle_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(30),
    max_age: Duration::from_secs(60 * 60),
};

impl WebhookReceiver {
    /// Serves deliveries at any path by HTTP/1.1, until [`shutdown`](Self::shutdown) is called and the requests in
    /// progress have their responses, or the future is dropped, which ends all connections.
    ///
    /// At most 512 connections are served at a time. To accept another one, the server closes a connection on which
    /// nothing has arrived for a while, or whose client does not read, so that such clients do not block deliveries. If
    /// each has a request in progress, further ones wait in the operating system's backlog.
    ///
    /// A connection ends if the headers of a request are not complete within 10 s (of its start, or of the first byte
    /// of a later request) or have more than 32 KiB, if there is no next request within 75 s, if a response is not read
    /// within 30 s, and after an hour. The limits of a [router](Self::router) are those of its server; `axum::serve`
    /// bounds none of these.
    ///
    /// ```no_run
    /// use octowire::webhooks::{Delivery, WebhookReceiver, Verifier};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = WebhookReceiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
    ///     .start(|delivery: Delivery| async move { println!("{delivery:?}"); Ok::<_, octowire::Error>(()) })?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// receiver.serve(listener).await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-axum")))]
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + 'static {
        self.serve_within(SERVER_LIMITS, listener)
    }

    fn serve_within(
        &self,
        limits: ServerLimits,
        listener: TcpListener,
    ) -> impl Future<Output = ()> + Send + 'static {
        let receiver = self.clone();
        let mut phase = self.0.phase.subscribe();
        async move {
            let shutdown = async {
                // An error would mean that the receiver was dropped.
                let _ = phase.wait_for(|phase| *phase != Lifecycle::Open).await;
            };
            server::serve(listener, |_| receiver.clone(), limits, shutdown).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::webhooks::{Delivery, Verifier};

    #[tokio::test(start_paused = true)]
    async fn silent_connections_in_every_place_do_not_keep_a_delivery_out() {
        let verifier = Verifier::new("a secret of this test").unwrap();
        let receiver = WebhookReceiver::builder(verifier)
            .start(|_: Delivery| async { Ok::<_, std::convert::Infallible>(()) })
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = ServerLimits { max_connections: 16, ..SERVER_LIMITS };
        tokio::spawn(receiver.serve_within(limits, listener));
        let mut silent = Vec::new();
        for _ in 0..limits.max_connections {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // Far below the idle timeout of connections.
        let bound = limits.header_timeout / 2;
        for _ in 0..10 {
            let mut sender = TcpStream::connect(address).await.unwrap();
            let request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}";
            sender.write_all(request).await.unwrap();
            let mut status = [0; 12];
            timeout(bound, sender.read_exact(&mut status)).await.expect("it is kept out").unwrap();
            assert_eq!(&status, b"HTTP/1.1 401");
        }
    }
}
