//! A client in a program that enables the decoders and cookies of reqwest.
#![cfg(test)]

use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use h2::Reason;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, LOCATION, SET_COOKIE,
};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use octowire::{Client, ErrorKind, RetryPolicy};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::sleep;

type Body = UnsyncBoxBody<Bytes, h2::Error>;

/// The headers of the requests that a server has received.
type Log = Arc<Mutex<Vec<HeaderMap>>>;

/// Starts a server of HTTP/1.1 and HTTP/2; returns its address.
async fn serve(respond: fn(&HeaderMap) -> Response<Body>) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let log = Log::default();
    let received = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let received = Arc::clone(&received);
            let service = service_fn(move |request: Request<Incoming>| {
                received.lock().unwrap().push(request.headers().clone());
                let response = respond(request.headers());
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (url, log)
}

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn encoded(encoding: &'static str, bytes: Vec<u8>) -> Response<Body> {
    Response::builder().header(CONTENT_ENCODING, encoding).body(whole(bytes)).unwrap()
}

/// Compresses as the request says: by brotli, by gzip, or not at all.
fn compressing(headers: &HeaderMap) -> Response<Body> {
    let accepted = headers.get(ACCEPT_ENCODING).map(|value| value.to_str().unwrap());
    let accepts = |name: &str| {
        accepted.is_some_and(|accepted| accepted.split(',').any(|part| part.trim() == name))
    };
    if accepts("br") {
        let mut compressed = Vec::new();
        brotli::CompressorReader::new(&b"[\"br\"]"[..], 4096, 5, 22)
            .read_to_end(&mut compressed)
            .unwrap();
        encoded("br", compressed)
    } else if accepts("gzip") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"[\"gzip\"]").unwrap();
        encoded("gzip", encoder.finish().unwrap())
    } else {
        Response::new(whole("[\"identity\"]"))
    }
}

/// A client with this HTTP client, or its own.
fn client(url: &str, http: Option<reqwest::ClientBuilder>) -> Client {
    let builder = Client::builder().base_url(url).retry(RetryPolicy::disabled());
    let http = http.map(|http| {
        let http = http.redirect(reqwest::redirect::Policy::none()).retry(reqwest::retry::never());
        http.build().unwrap()
    });
    match http {
        Some(http) => builder.http_client(http),
        None => builder,
    }
    .build()
    .unwrap()
}

#[tokio::test]
async fn each_http_client_requests_an_encoding_that_it_decodes() {
    let given = reqwest::Client::builder;
    // Here, reqwest knows brotli alone, so that this library decompresses gzip for all of them.
    for http in [None, Some(given()), Some(given().no_brotli())] {
        let is_given = http.is_some();
        let (url, log) = serve(compressing).await;
        let client = client(&url, http);
        let value = client.request(Method::GET, "/x").send::<Value>().await.unwrap();
        assert_eq!(value[0], "gzip");
        let mut stream = client.request(Method::GET, "/y").send_stream().await.unwrap();
        let bytes = stream.bytes(100).await.unwrap();
        assert_eq!(bytes, "[\"gzip\"]");
        for headers in &*log.lock().unwrap() {
            let sent = headers.get(ACCEPT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(sent, Some("gzip"), "{is_given}");
        }
        // A caller's own wish counts.
        let call = client.request(Method::GET, "/z").header("accept-encoding", "identity");
        assert_eq!(call.send::<Value>().await.unwrap()[0], "identity");
        // Parts of bodies are wanted as they are, which reqwest does not know.
        let call = client.request(Method::GET, "/z").header("range", "bytes=0-99");
        assert_eq!(call.send::<Value>().await.unwrap()[0], "identity", "{is_given}");
        let sent = log.lock().unwrap().last().unwrap().get(ACCEPT_ENCODING).cloned();
        assert_eq!(sent.is_some_and(|sent| sent == "identity"), is_given);
    }
}

/// A body that ends with a reset of its stream that is said to be no error.
fn cut_short(headers: &HeaderMap) -> Response<Body> {
    let begin = Ok(Frame::data(Bytes::from_static(b"[1,2,3] ")));
    let frames = [begin, Err(h2::Error::from(Reason::NO_ERROR))];
    // The pauses let each frame out before the reset.
    let frames = stream::iter(frames).then(|frame| async {
        sleep(Duration::from_millis(50)).await;
        frame
    });
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    if headers.contains_key("x-length") {
        response.headers_mut().insert(CONTENT_LENGTH, 20.into());
    }
    response
}

#[tokio::test]
async fn a_body_that_is_shorter_than_its_length_is_an_error_though_its_end_is_hidden() {
    let (url, _) = serve(cut_short).await;
    let client = client(&url, Some(reqwest::Client::builder().http2_prior_knowledge()));
    let get = || client.request(Method::GET, "/x").header("x-length", "1");
    let error = get().send::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    let mut stream = get().send_stream().await.unwrap();
    assert_eq!(stream.bytes(100).await.unwrap_err().kind(), ErrorKind::Transport);
}

/// A gateway that redirects to the same URL until its cookie comes.
fn wanting_a_cookie(headers: &HeaderMap) -> Response<Body> {
    if headers.get(COOKIE).is_some_and(|cookie| cookie == "session=1") {
        return Response::new(whole("[1]"));
    }
    let response = Response::builder().status(302).header(LOCATION, "/x");
    response.header(SET_COOKIE, "session=1; Path=/").body(whole("")).unwrap()
}

#[tokio::test]
async fn a_gateway_cookie_is_returned_by_an_http_client_with_a_cookie_store() {
    let (url, log) = serve(wanting_a_cookie).await;
    let with_cookies = client(&url, Some(reqwest::Client::builder().cookie_store(true)));
    for call in 0..3 {
        let value = with_cookies.request(Method::GET, "/x").send::<Value>().await.unwrap();
        assert_eq!(value[0], 1);
        assert_eq!(log.lock().unwrap().len(), 2 + call, "the cookie is kept");
    }
    for without in [None, Some(reqwest::Client::builder())] {
        let call = client(&url, without).request(Method::GET, "/x");
        let error = call.send::<Value>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
        assert!(error.to_string().contains("cookie"), "{error}");
    }
}
