//! HTTP/2 on a real socket.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::transport::http_clients::with_http2_windows;

/// Larger than the window of a stream.
const DOWNLOAD: usize = 4 * 1024 * 1024;
const ANSWER: usize = 512 * 1024;

/// A server that speaks HTTP/2 without TLS, and allows more streams than GitHub.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let download = Bytes::from(vec![b' '; DOWNLOAD]);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let download = download.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let body = match request.uri().path() {
                    "/download" => download.clone(),
                    _ => download.slice(..ANSWER),
                };
                async { Ok::<_, Infallible>(http::Response::new(Full::new(body))) }
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(250)
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    url
}

#[tokio::test]
async fn a_hundred_bodies_that_are_not_read_leave_their_connection_to_others() {
    let http = with_http2_windows(reqwest::Client::builder()).http2_prior_knowledge();
    let client = Client::builder().base_url(server().await).http_client(http.build().unwrap());
    let client = client.rate_limits(RateLimitPolicy::disabled()).build().unwrap();
    let mut unread = Vec::new();
    for _ in 0..100 {
        let download = client.request(Method::GET, "/download").send_stream();
        let download = timeout(Duration::from_secs(20), download).await.expect("it stalls");
        unread.push(download.unwrap().into_inner());
    }
    for number in 0..20 {
        let path = format!("/answer/{number}");
        let response = client.request(Method::GET, path).send::<Option<u64>>();
        let response = timeout(Duration::from_secs(20), response).await.expect("it stalls");
        // The blanks are no JSON: all of them came.
        assert_eq!(response.unwrap_err().kind(), ErrorKind::Decode);
    }
    let read = unread.swap_remove(50).bytes(DOWNLOAD).await.unwrap();
    assert_eq!(read.len(), DOWNLOAD, "the others do not keep it back");
}
