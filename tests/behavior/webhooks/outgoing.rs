//! Outgoing deliveries have the form of GitHub's.

use bytes::Bytes;
use http::Request;
use octowire::ErrorKind;
use octowire::webhooks::{Delivery, OutgoingDelivery};

use super::{SECRET, URL, delivery, verifier};
use crate::support::{Server, json_response};

fn read(request: Request<Bytes>) -> Delivery {
    let (parts, body) = request.into_parts();
    Delivery::verify(&verifier(), &parts.headers, body).unwrap()
}

#[test]
fn an_outgoing_delivery_of_any_form_verifies_unchanged() {
    let payload = "{\"text\":\"a & b = c % d + e \u{1F980}\"}";
    for form in [false, true] {
        let outgoing = OutgoingDelivery::new("issues", payload).hook_id(7);
        let request = if form { outgoing.form() } else { outgoing }.sign(SECRET, URL).unwrap();
        assert_eq!(request.method(), "POST");
        let delivery = read(request);
        assert_eq!((delivery.event_name(), delivery.hook_id()), ("issues", Some(7)));
        assert_eq!(delivery.payload(), payload.as_bytes());
    }
}

#[test]
fn each_outgoing_delivery_has_a_unique_id_in_the_form_of_github() {
    let name =
        || read(OutgoingDelivery::new("ping", "{}").sign(SECRET, URL).unwrap()).id().to_owned();
    let (one, other) = (name(), name());
    assert_ne!(one, other);
    let parts: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert!(
        one.chars().nth(14) == Some('4') && one.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
    );
}

#[test]
fn an_invalid_outgoing_delivery_is_rejected_before_sending() {
    let kind =
        |outgoing: OutgoingDelivery, url: &str| outgoing.sign(SECRET, url).unwrap_err().kind();
    assert_eq!(kind(delivery("d"), "http://\n"), ErrorKind::InvalidRequest);
    assert_eq!(kind(delivery("line\nbreak"), URL), ErrorKind::InvalidRequest);
    assert_eq!(delivery("d").sign("", URL).unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn an_outgoing_delivery_returns_the_response_of_the_program() {
    let server = Server::fixed_response(json_response("202 Accepted", "", "{}")).await;
    let status = delivery("d-1").send(SECRET, &format!("{}/hooks", server.url)).await.unwrap();
    assert_eq!(status.as_u16(), 202);
    let request = &server.requests()[0];
    assert_eq!((&*request.method, &*request.target), ("POST", "/hooks"));
    assert_eq!(request.headers["x-github-delivery"], "d-1");
    assert_eq!(request.headers["x-github-event"], "issues");
    // GitHub follows no redirect.
    let moved = json_response("302 Found", "location: /elsewhere\r\n", "");
    let server = Server::fixed_response(moved).await;
    assert_eq!(delivery("d").send(SECRET, &server.url).await.unwrap().as_u16(), 302);
    assert_eq!(server.requests().len(), 1);
    let error = delivery("d").send(SECRET, "http://127.0.0.1:9/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.to_string().contains("127.0.0.1:9") && !format!("{error:?}").contains(SECRET));
}

#[cfg(feature = "apps")]
#[tokio::test]
async fn a_recorded_delivery_is_sent_again_with_its_id() {
    let record = r#"{ "id": 1, "guid": "g-1", "delivered_at": "2026-01-01T00:00:00Z", "redelivery": false,
        "duration": 0.1, "status": "OK", "status_code": 200, "event": "issues", "action": "opened",
        "installation_id": 1, "repository_id": 2, "throttled_at": null, "url": "https://example.com",
        "request": { "headers": { "X-GitHub-Hook-ID": "77", "X-Hub-Signature-256": "sha256=old" },
            "payload": { "action": "opened", "n": 1 } },
        "response": { "headers": {}, "payload": "" } }"#;
    let github = Server::fixed_response(json_response("200 OK", "", record)).await;
    let recorded =
        github.client().apps().get_webhook_delivery().delivery_id(1).send().await.unwrap();
    let delivery =
        read(OutgoingDelivery::from_recorded(&recorded).unwrap().sign(SECRET, URL).unwrap());
    assert_eq!(
        (delivery.id(), delivery.event_name(), delivery.hook_id()),
        ("g-1", "issues", Some(77))
    );
    assert_eq!(delivery.json::<serde_json::Value>().unwrap()["n"], 1);
    let mut empty = recorded.into_inner();
    empty.request.payload.clear();
    let error = OutgoingDelivery::from_recorded(&empty).unwrap_err();
    assert!(error.to_string().contains("g-1 has no payload"), "{error}");
}
