//! A truncated body is an error, for each way in which it ends.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use octowire::{Client, ClientBuilder, Error, ErrorKind, RetryPolicy};
use serde_json::{Value, json};

use crate::support::hostile::{CANCEL, Frame, Http1, Http2, INTERNAL_ERROR, NO_ERROR, Step};

/// `[1,2,3]` with blanks, so that a part of it is valid JSON as well.
const BODY: &[u8] = b"[1,2,3]          ";

fn once(builder: ClientBuilder) -> Client {
    builder.retry(RetryPolicy::disabled()).token("t0ken").build().unwrap()
}

/// The body, collected for decoding and as a stream.
async fn both(client: &Client) -> [Result<Vec<u8>, Error>; 2] {
    let get = || client.request(Method::GET, "/file");
    let collected = get().send::<Vec<u64>>().await.map(|_| BODY.to_vec());
    let streamed = async {
        let mut stream = get().send_stream().await?.into_inner();
        stream.bytes(1 << 20).await.map(Vec::from)
    };
    [collected, streamed.await]
}

async fn assert_broken_off(client: &Client, what: &str) {
    for (result, reading) in both(client).await.into_iter().zip(["collected", "streamed"]) {
        let error = result.expect_err(&format!("{what}, {reading}"));
        assert_eq!(error.kind(), ErrorKind::Transport, "{what}, {reading}: {error}");
        assert!(error.is_retryable(), "{what}, {reading}: {error}");
    }
}

async fn assert_whole(client: &Client, what: &str) {
    for (result, reading) in both(client).await.into_iter().zip(["collected", "streamed"]) {
        let body = result.unwrap_or_else(|error| panic!("{what}, {reading}: {error}"));
        assert_eq!(body, BODY, "{what}, {reading}");
    }
}

fn head(length: Option<usize>) -> Frame {
    let length = length.map(|length| ("content-length", length.to_string()));
    Frame::Headers(200, length.into_iter().collect(), false)
}

fn data(bytes: &[u8], end: bool) -> Frame {
    Frame::Data(bytes.to_vec(), end)
}

#[tokio::test]
async fn an_http2_stream_that_is_reset_in_its_body_has_not_ended() {
    let pause = || Frame::Pause(Duration::from_millis(20));
    let cut = &BODY[..8];
    for length in [None, Some(BODY.len())] {
        for code in [NO_ERROR, INTERNAL_ERROR, CANCEL] {
            for (what, frames) in [
                ("at once", vec![head(length), Frame::Reset(code)]),
                ("after a part", vec![head(length), data(cut, false), Frame::Reset(code)]),
                ("later", vec![head(length), data(cut, false), pause(), Frame::Reset(code)]),
                (
                    "after two parts",
                    vec![
                        head(length),
                        data(&cut[..2], false),
                        pause(),
                        data(&cut[2..], false),
                        pause(),
                        Frame::Reset(code),
                    ],
                ),
            ] {
                let server = Http2::start(move |_| frames.clone()).await;
                let what = format!("reset with {code} {what}, length {length:?}");
                assert_broken_off(&once(server.builder()), &what).await;
            }
        }
        // All bytes have come, but not the end.
        let frames = vec![head(None), data(BODY, false), Frame::Reset(NO_ERROR)];
        let server = Http2::start(move |_| frames.clone()).await;
        assert_broken_off(&once(server.builder()), "without an end").await;
        let frames = vec![head(length), data(cut, false), Frame::GoAway(NO_ERROR), Frame::Close];
        let server = Http2::start(move |_| frames.clone()).await;
        assert_broken_off(&once(server.builder()), "with its connection").await;
    }
}

#[tokio::test]
async fn an_http2_body_with_end_stream_is_complete_after_any_later_frame() {
    for length in [None, Some(BODY.len())] {
        for (what, frames) in [
            ("with its last part", vec![head(length), data(BODY, true)]),
            ("with an empty part", vec![head(length), data(BODY, false), data(b"", true)]),
            ("with trailers", vec![head(length), data(BODY, false), Frame::Trailers]),
            // RFC 9113, 8.1: the server does not want the rest of the request.
            ("and a reset", vec![head(length), data(BODY, true), Frame::Reset(NO_ERROR)]),
        ] {
            let server = Http2::start(move |_| frames.clone()).await;
            assert_whole(&once(server.builder()), what).await;
        }
    }
}

#[tokio::test]
async fn an_early_response_to_an_upload_over_http2_is_whole() {
    let server =
        Http2::start(|_| vec![head(Some(BODY.len())), data(BODY, true), Frame::Reset(NO_ERROR)])
            .await;
    // More than the windows hold, so that it is not sent when the response comes.
    let upload = vec![b'a'; 4 << 20];
    let call = once(server.builder()).request(Method::POST, "/upload");
    let call = call.body("application/octet-stream", upload);
    assert_eq!(*call.send::<Vec<u64>>().await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn responses_without_a_body_are_whole_over_http2() {
    let length = || vec![("content-length", "17".to_owned())];
    for (method, frames) in [
        (Method::HEAD, vec![Frame::Headers(200, length(), true)]),
        (Method::DELETE, vec![Frame::Headers(204, Vec::new(), true)]),
        (Method::GET, vec![Frame::Headers(200, Vec::new(), true)]),
        (Method::GET, vec![Frame::Headers(200, Vec::new(), false), data(b"", true)]),
    ] {
        let server = Http2::start(move |_| frames.clone()).await;
        let call = once(server.builder()).request(method.clone(), "/x");
        call.send_empty().await.unwrap_or_else(|error| panic!("{method}: {error}"));
    }
}

#[tokio::test]
async fn a_write_whose_response_was_cut_is_not_sent_again() {
    let server =
        Http2::start(|_| vec![head(None), data(b"{", false), Frame::Reset(NO_ERROR)]).await;
    let client = server.builder().token("t0ken").build().unwrap();
    let call = client.request(Method::POST, "/x").json(&json!({ "a": 1 }));
    let error = call.send::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_read_whose_response_was_cut_is_sent_again() {
    let server = Http2::start(|number| match number {
        0 => vec![head(None), data(b"[1", false), Frame::Reset(NO_ERROR)],
        _ => vec![head(None), data(BODY, true)],
    })
    .await;
    let client = server.builder().token("t0ken").build().unwrap();
    let got = client.request(Method::GET, "/x").send::<Vec<u64>>().await.unwrap();
    assert_eq!((*got).clone(), [1, 2, 3]);
    assert_eq!(server.requests(), 2);
}

fn gzipped() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(BODY).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_body_is_whole_or_an_error() {
    let (whole, headers) = (gzipped(), vec![("content-encoding", "gzip".to_owned())]);
    let head = Frame::Headers(200, headers, false);
    let frames = vec![head.clone(), data(&whole[..9], false), data(&whole[9..], true)];
    let server = Http2::start(move |_| frames.clone()).await;
    let client = once(server.builder());
    assert_whole(&client, "compressed").await;
    let got = client.request(Method::GET, "/x").send::<Value>().await.unwrap();
    assert!(!got.meta().headers().contains_key("content-encoding"));
    for cut in [0, 5, whole.len() - 8, whole.len() - 1] {
        // With an end of the stream, and without one.
        for last in [data(b"", true), Frame::Reset(NO_ERROR)] {
            if cut == 0 && matches!(last, Frame::Data(..)) {
                continue;
            }
            let frames = vec![head.clone(), data(&whole[..cut], false), last];
            let server = Http2::start(move |_| frames.clone()).await;
            assert_broken_off(&once(server.builder()), &format!("cut at {cut}")).await;
        }
    }
    // The whole of it, and no end.
    let frames = vec![head.clone(), data(&whole, false), Frame::Reset(NO_ERROR)];
    let server = Http2::start(move |_| frames.clone()).await;
    assert_broken_off(&once(server.builder()), "compressed, without an end").await;
}

#[tokio::test]
async fn an_http1_body_that_is_cut_has_not_ended() {
    let part = String::from_utf8_lossy(&BODY[..8]).into_owned();
    let length = format!("content-length: {}\r\n\r\n", BODY.len());
    let chunked = "transfer-encoding: chunked\r\n\r\n".to_owned();
    for (what, text) in [
        ("a part of the length", format!("{length}{part}")),
        ("nothing of the length", length.clone()),
        ("no last chunk", format!("{chunked}8\r\n{part}\r\n")),
        ("half a chunk", format!("{chunked}11\r\n{part}")),
        ("half a last chunk", format!("{chunked}8\r\n{part}\r\n0\r\n")),
        ("half a size", format!("{chunked}8\r\n{part}\r\n1")),
        ("no chunk", chunked.clone()),
    ] {
        for end in [Step::Close, Step::Reset] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{text}").into_bytes();
            let steps = vec![Step::Send(bytes), end.clone()];
            let server = Http1::start(move |_, _| steps.clone()).await;
            assert_broken_off(&once(server.builder()), &format!("{what}, {end:?}")).await;
        }
    }
}
