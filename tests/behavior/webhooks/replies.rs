//! The responses to a sender.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN,
    RETRY_AFTER,
};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use octowire::webhooks::{
    Delivery, EnvelopeScheme, OutgoingDelivery, RejectionReason, WebhookReceiver, sign,
};
use tower::ServiceExt;

use super::{
    HandledDeliveries, SECRET, URL, builder, delivery, read, send, settled, signed, verifier,
};

const SIGNATURE: &str = "x-hub-signature-256";

#[tokio::test]
async fn a_signed_delivery_is_accepted_and_handled_as_json_or_as_a_form() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let target = [
        ("x-github-hook-installation-target-type", "repository"),
        ("x-github-hook-installation-target-id", "7"),
    ];
    for (id, form) in [("json", false), ("form", true)] {
        let delivery = delivery(id).hook_id(42);
        let mut request = signed(if form { delivery.form() } else { delivery });
        for (name, value) in target {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if !form {
            let with_charset = HeaderValue::from_static("Application/JSON; charset=utf-8");
            request.headers_mut().insert(CONTENT_TYPE, with_charset);
        }
        assert_eq!(send(&receiver, request).await, (StatusCode::ACCEPTED, "accepted\n".into()));
    }
    settled(&receiver).await;
    let deliveries = handled.0.lock().unwrap().clone();
    assert_eq!(deliveries.len(), 2);
    for delivery in &deliveries {
        assert_eq!(delivery.event_name(), "issues");
        assert_eq!((delivery.hook_id(), delivery.target()), (Some(42), Some(("repository", 7))));
        assert!(delivery.payload().starts_with(b"{\"action\":\"opened\""));
        assert_eq!((delivery.attempt(), delivery.is_replayed()), (1, false));
        assert_eq!(delivery.event().unwrap().sender().unwrap().login, "octocat");
    }
    let stats = receiver.stats();
    assert_eq!((stats.accepted, stats.handled, stats.by_secret), (2, 2, vec![2]));
}

#[tokio::test]
async fn every_unauthenticated_delivery_gets_the_same_response() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let good = || signed(delivery("d"));
    let with = |signature: &str| {
        let mut request = good();
        request.headers_mut().insert(SIGNATURE, signature.parse().unwrap());
        request
    };
    let mut missing = good();
    missing.headers_mut().remove(SIGNATURE);
    let mut twice = good();
    let signature = twice.headers()[SIGNATURE].clone();
    twice.headers_mut().append(SIGNATURE, signature);
    let mut sha1_only = good();
    sha1_only.headers_mut().remove(SIGNATURE);
    sha1_only.headers_mut().insert("x-hub-signature", HeaderValue::from_static("sha1=00"));
    // Other defects of the request are not reported either.
    let mut no_event = with(&format!("sha256={}", "0".repeat(64)));
    no_event.headers_mut().remove("x-github-event");
    no_event.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let changed = good().map(|_| Full::from("{\"action\":\"deleted\"}"));
    let bad = [
        missing,
        twice,
        sha1_only,
        no_event,
        changed,
        with("sha256=00"),
        with(&sign("another", b"{}").unwrap()),
        with(&good().headers()[SIGNATURE].to_str().unwrap().to_uppercase()),
    ];
    let count = bad.len();
    let mut responses = Vec::new();
    for request in bad {
        let response = receiver.clone().oneshot(request).await.unwrap();
        let headers = format!("{:?}", response.headers());
        let (status, text) = read(Ok(response)).await;
        responses.push((status, headers, text));
    }
    responses.dedup();
    assert_eq!(responses.len(), 1, "{responses:#?}");
    assert_eq!((responses[0].0, &*responses[0].2), (StatusCode::UNAUTHORIZED, "unauthorized\n"));
    assert_eq!(receiver.stats().unauthorized, count as u64);
    assert!(handled.ids().is_empty());
}

#[tokio::test]
async fn a_signed_request_that_is_no_delivery_is_rejected_with_its_cause() {
    let receiver = HandledDeliveries::default().start(builder());
    let without = |name: &'static str| {
        let mut request = signed(delivery("d"));
        request.headers_mut().remove(name);
        request
    };
    let body = |body: &'static str, media_type: &'static str| {
        let mut request = signed(delivery("d")).map(|_| Full::from(body));
        let signature = sign(SECRET, body.as_bytes()).unwrap().parse().unwrap();
        request.headers_mut().insert(SIGNATURE, signature);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        request
    };
    let form = "application/x-www-form-urlencoded";
    for (request, status) in [
        (without("x-github-event"), 400),
        (without("x-github-delivery"), 400),
        (without("content-type"), 415),
        (body("{}", "text/plain"), 415),
        (body("payload", "multipart/form-data; boundary=x"), 415),
        (body("payloads={}", form), 400),
        (body("payload={}&payload={}", form), 400),
        (body("", form), 400),
    ] {
        let shown = format!("{request:?}");
        let (response, text) = send(&receiver, request).await;
        assert_eq!(response.as_u16(), status, "{shown}");
        assert!(!text.is_empty() && !text.contains("unauthorized"), "{text}");
    }
    assert_eq!(receiver.stats().malformed, 8);
}

/// A delivery with a right signature over this body.
fn signed_body(media_type: &str, encoding: Option<&str>, body: &[u8]) -> Request<Full<Bytes>> {
    let mut request = signed(delivery("d")).map(|_| Full::from(body.to_vec()));
    let headers = request.headers_mut();
    headers.insert(SIGNATURE, sign(SECRET, body).unwrap().parse().unwrap());
    headers.insert(CONTENT_TYPE, media_type.parse().unwrap());
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_signed_undecodable_delivery_is_rejected_counted_and_not_handled() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let gzip: Vec<u8> = {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(br#"{"action":"opened"}"#).unwrap();
        gzip.finish().unwrap()
    };
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let nested = format!("{{\"a\":{}1{}}}", "{\"b\":".repeat(200), "}".repeat(200));
    let cases: [(&str, Option<&str>, &[u8], u16); 25] = [
        (json, Some("gzip"), &gzip, 415),
        (form, Some("gzip"), &gzip, 415),
        (json, Some("br"), b"{}", 415),
        (json, Some("identity, gzip"), &gzip, 415),
        (json, None, &gzip, 400),
        (json, None, b"", 400),
        (json, None, b"  ", 400),
        (json, None, b"{", 400),
        (json, None, b"{} {}", 400),
        (json, None, b"{}garbage", 400),
        (json, None, b"{\"a\":NaN}", 400),
        (json, None, b"{\"a\":1e999}", 400),
        (json, None, b"{\"a\":\"\xff\"}", 400),
        (json, None, b"{\"a\":\"\\ud800\"}", 400),
        (json, None, b"\xef\xbb\xbf{}", 400),
        (json, None, b"payload=%7B%7D", 400),
        (json, None, deep.as_bytes(), 400),
        (json, None, nested.as_bytes(), 400),
        (form, None, b"payload=", 400),
        (form, None, b"payload=%7B", 400),
        (form, None, b"payload=%7B%7D%7D", 400),
        (form, None, b"payload=%22%FF%22", 400),
        (form, None, b"payload=%7B%7D&payload=%7B%7D", 400),
        (form, None, b"{}", 400),
        (form, None, b"", 400),
    ];
    for (number, (media_type, encoding, body, status)) in cases.into_iter().enumerate() {
        let response = receiver.clone().oneshot(signed_body(media_type, encoding, body));
        let response = response.await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{number}");
        let named = response.headers().get(ACCEPT_ENCODING).map(HeaderValue::as_bytes);
        assert_eq!(named, (status == 415).then_some(&b"identity"[..]), "{number}");
    }
    let stats = receiver.stats();
    assert_eq!((stats.malformed, stats.accepted, stats.queued), (25, 0, 0));
    // A sender without the secret learns none of this.
    let mut unsigned = signed_body(json, Some("gzip"), &gzip);
    unsigned.headers_mut().insert(SIGNATURE, sign("another", &gzip).unwrap().parse().unwrap());
    assert_eq!(send(&receiver, unsigned).await.0, StatusCode::UNAUTHORIZED);
    assert!(handled.ids().is_empty());
}

#[cfg(feature = "webhooks-journal")]
#[tokio::test]
async fn an_undecodable_delivery_is_not_journaled() {
    let folder = super::journal::Folder::new();
    let journal = octowire::webhooks::DeliveryJournal::open(folder.file()).await.unwrap();
    let receiver = HandledDeliveries::default().start(builder().journal(journal.clone()));
    let broken = signed_body("application/json", None, b"{");
    assert_eq!(send(&receiver, broken).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(journal.pending_count(), 0);
    // It can come again as it should have been, under the same name.
    assert_eq!(super::deliver(&receiver, "d").await, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn any_json_is_accepted_for_any_event() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let bodies = [
        "{}",
        " {\"a\": 1, \"a\": 2} \n",
        "[]",
        "null",
        "\"text\"",
        "{\"n\":123456789012345678901234567890}",
        "{\"zen\":\"\\ud83d\\ude00\"}",
    ];
    for (number, body) in bodies.iter().enumerate() {
        let mut request = signed_body("application/json", Some("identity"), body.as_bytes());
        let headers = request.headers_mut();
        headers.insert("x-github-event", HeaderValue::from_static("an_event_of_tomorrow"));
        headers.insert("x-github-delivery", HeaderValue::from(number));
        assert_eq!(send(&receiver, request).await.0, StatusCode::ACCEPTED, "{body}");
    }
    settled(&receiver).await;
    for delivery in handled.0.lock().unwrap().iter() {
        let event = delivery.event().unwrap();
        assert_eq!(event.unknown().unwrap().event(), "an_event_of_tomorrow");
    }
    assert_eq!(receiver.stats().handled, bodies.len() as u64);
}

#[tokio::test]
async fn an_envelope_with_an_undecodable_payload_is_rejected() {
    let receiver = HandledDeliveries::default()
        .start(WebhookReceiver::for_envelopes(EnvelopeScheme::new(verifier())));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for data in [&*deep, "1e999", "\"\\ud800\""] {
        // It is JSON by its grammar, so that it can be signed.
        let sealed = EnvelopeScheme::new(verifier()).sign("issues", data).unwrap();
        let request = Request::post(URL).body(Full::from(sealed)).unwrap();
        assert_eq!(send(&receiver, request).await.0, StatusCode::BAD_REQUEST, "{data}");
    }
    assert_eq!(receiver.stats().malformed, 3);
}

#[tokio::test]
async fn only_a_post_is_taken_and_no_origin_is_allowed() {
    let receiver = HandledDeliveries::default().start(builder());
    for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::HEAD, Method::DELETE] {
        let mut request = signed(delivery("d"));
        *request.method_mut() = method;
        request.headers_mut().insert(ORIGIN, HeaderValue::from_static("https://evil.example"));
        let response = receiver.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "POST");
        assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }
    let mut request = signed(delivery("d"));
    request.headers_mut().insert(ORIGIN, HeaderValue::from_static("https://evil.example"));
    let response = receiver.oneshot(request).await.unwrap();
    assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
}

/// A body of these frames, each after a time.
struct Slow {
    frames: Vec<(Duration, Result<Bytes, &'static str>)>,
    hint: u64,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Slow {
    fn new(frames: Vec<(u64, Result<Vec<u8>, &'static str>)>, hint: u64) -> Self {
        let frame = |(seconds, data): (u64, Result<Vec<u8>, &'static str>)| {
            (Duration::from_secs(seconds), data.map(Bytes::from))
        };
        let mut frames: Vec<_> = frames.into_iter().map(frame).collect();
        frames.reverse();
        Self { frames, hint, sleep: None }
    }
}

impl Body for Slow {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let Some((after, _)) = self.frames.last() else { return Poll::Ready(None) };
        let after = *after;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        if !after.is_zero() && sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.sleep = None;
        let (_, data) = self.frames.pop().unwrap();
        Poll::Ready(Some(data.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.hint);
        hint
    }
}

fn slow(body: Slow) -> Request<Slow> {
    signed(delivery("d")).map(|_| body)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_too_slow_or_broken_is_rejected_with_bounded_memory() {
    let receiver = HandledDeliveries::default()
        .start(builder().max_body_bytes(1_000).max_unverified_bytes(1_500));
    let ask = |body| {
        let receiver = receiver.clone();
        async move { read(receiver.oneshot(slow(body)).await).await.0.as_u16() }
    };
    // By its `Content-Length`, before a byte is read; and by the bytes received, for any `Content-Length`.
    assert_eq!(ask(Slow::new(vec![(0, Err("never read"))], 1_001)).await, 413);
    assert_eq!(
        ask(Slow::new(vec![(0, Ok(vec![b' '; 600])), (0, Ok(vec![b' '; 401]))], 0)).await,
        413
    );
    assert_eq!(ask(Slow::new(vec![(0, Ok(vec![b' '; 10])), (0, Err("gone"))], 20)).await, 400);
    assert_eq!(
        ask(Slow::new(vec![(0, Ok(vec![b' '; 10])), (8, Ok(vec![b' '; 10]))], 0)).await,
        401
    );
    assert_eq!(
        ask(Slow::new(vec![(5, Ok(vec![b' '; 10])), (6, Ok(vec![b' '; 10]))], 0)).await,
        408
    );
    // Two at a time have no room.
    let (one, other) = tokio::join!(
        ask(Slow::new(vec![(0, Ok(vec![b' '; 900])), (1, Ok(vec![b' '; 10]))], 0)),
        ask(Slow::new(vec![(0, Ok(vec![b' '; 900])), (1, Ok(vec![b' '; 10]))], 0)),
    );
    assert_eq!((one, other), (401, 503));
    // Their reserved capacity is released.
    assert_eq!(ask(Slow::new(vec![(0, Ok(vec![b' '; 1_000]))], 0)).await, 401);
}

#[tokio::test]
async fn a_body_in_many_parts_is_one() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let body = signed(delivery("parts")).into_body().collect().await.unwrap().to_bytes();
    let frames = body.chunks(7).map(|part| (0, Ok(part.to_vec()))).collect();
    let request = signed(delivery("parts")).map(|_| Slow::new(frames, 3));
    assert_eq!(read(receiver.clone().oneshot(request).await).await.0, StatusCode::ACCEPTED);
    settled(&receiver).await;
    assert_eq!(handled.0.lock().unwrap()[0].payload(), &body);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_replaced_and_it_shows_when_the_old_one_is_not_used_any_more() {
    let both = verifier().with_previous_secret("the new secret").unwrap();
    let receiver = HandledDeliveries::default().start(WebhookReceiver::builder(both));
    let new = |id| delivery(id).sign("the new secret", URL).unwrap().map(Full::new);
    send(&receiver, signed(delivery("old"))).await;
    send(&receiver, new("new-1")).await;
    assert_eq!(send(&receiver, new("new-2")).await.0, StatusCode::ACCEPTED);
    assert_eq!(receiver.stats().by_secret, [1, 2]);
}

#[tokio::test]
async fn an_envelope_is_received_once_and_in_time() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(WebhookReceiver::for_envelopes(EnvelopeScheme::new(verifier())));
    let seal = |data: &str| EnvelopeScheme::new(verifier()).sign("issues", data).unwrap();
    let post = |body: String| Request::post(URL).body(Full::from(body)).unwrap();
    let sealed = seal(r#"{"n":1}"#);
    assert_eq!(send(&receiver, post(sealed.clone())).await.0, StatusCode::ACCEPTED);
    settled(&receiver).await;
    // A replayed envelope is a duplicate.
    assert_eq!(send(&receiver, post(sealed.clone())).await.0, StatusCode::OK);
    assert_eq!(send(&receiver, post(seal(r#"{"n":2}"#))).await.0, StatusCode::ACCEPTED);
    assert_eq!(
        send(&receiver, post(sealed.replace(":1}", ":3}"))).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(send(&receiver, post("{}".to_owned())).await.0, StatusCode::UNAUTHORIZED);
    settled(&receiver).await;
    let payloads: Vec<_> =
        handled.0.lock().unwrap().iter().map(|delivery| delivery.payload().clone()).collect();
    assert_eq!(payloads, [r#"{"n":1}"#, r#"{"n":2}"#]);
}

#[test]
fn a_rejection_states_its_cause_to_the_operator_and_not_to_the_sender() {
    let read = |request: Request<Bytes>| {
        let (parts, body) = request.into_parts();
        Delivery::verify(&verifier(), &parts.headers, body).unwrap_err()
    };
    let signed = |secret: &str| delivery("d").sign(secret, URL).unwrap();
    let wrong = read(signed("another"));
    assert!(
        matches!(wrong, RejectionReason::Signature(_))
            && wrong.to_string().contains("matches no secret")
    );
    let mut missing = signed(SECRET);
    missing.headers_mut().remove("x-github-delivery");
    assert_eq!(read(missing), RejectionReason::Header("x-github-delivery"));
    let mut long = signed(SECRET);
    long.headers_mut().insert("x-github-delivery", "x".repeat(300).parse().unwrap());
    assert_eq!(read(long), RejectionReason::Header("x-github-delivery"));
}

#[tokio::test]
async fn a_full_receiver_says_when_to_come_back() {
    let never = |_| std::future::pending::<Result<(), &str>>();
    let receiver = builder().max_queued(1, 1_000).start(never).unwrap();
    assert_eq!(send(&receiver, signed(delivery("first"))).await.0, StatusCode::ACCEPTED);
    let response = receiver.oneshot(signed(delivery("second"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "60");
}

#[tokio::test]
async fn the_body_of_an_unsigned_request_is_not_read() {
    let receiver = HandledDeliveries::default().start(builder());
    let unread = || Slow::new(vec![(0, Err("it is read"))], 10);
    let request = Request::post(URL).body(unread()).unwrap();
    assert_eq!(read(receiver.clone().oneshot(request).await).await.0, StatusCode::UNAUTHORIZED);
    let mut request = slow(unread());
    request.headers_mut().insert(SIGNATURE, HeaderValue::from_static("sha256=00"));
    assert_eq!(read(receiver.oneshot(request).await).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_body_of_the_largest_size_can_be_held() {
    let builder = builder().max_body_bytes(1_000).max_unverified_bytes(999);
    let started = builder.start(|_| async { Ok::<_, std::convert::Infallible>(()) });
    assert!(started.unwrap_err().to_string().contains("max_unverified_bytes"));
}

#[tokio::test]
async fn no_debug_shows_a_payload_or_a_secret() {
    let handled = HandledDeliveries::default();
    let receiver = handled.start(builder());
    let outgoing = OutgoingDelivery::new("issues", r#"{"canary":"c4n4ry"}"#);
    let shown = format!("{outgoing:?} {:?} {receiver:?}", builder());
    send(&receiver, signed(outgoing)).await;
    settled(&receiver).await;
    let shown = format!("{shown} {:?}", handled.0.lock().unwrap()[0]);
    assert!(!shown.contains("c4n4ry") && !shown.contains(SECRET), "{shown}");
}
