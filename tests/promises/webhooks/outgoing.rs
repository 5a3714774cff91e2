//! Deliveries that are sent are like GitHub's.

use bytes::Bytes;
use http::Request;
use octowire::ErrorKind;
use octowire::webhooks::{Delivery, OutgoingDelivery};

use super::{SECRET, URL, delivery, verifier};
use crate::support::{Server, json};

fn read(request: Request<Bytes>) -> Delivery {
    let (parts, body) = request.into_parts();
    Delivery::read(&verifier(), &parts.headers, body).unwrap()
}

#[test]
fn what_is_signed_is_read_as_it_was_whatever_its_form() {
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
fn each_has_a_name_of_its_own_in_githubs_form() {
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
fn what_can_not_be_sent_is_said_before_it_is() {
    let kind =
        |outgoing: OutgoingDelivery, url: &str| outgoing.sign(SECRET, url).unwrap_err().kind();
    assert_eq!(kind(delivery("d"), "http://\n"), ErrorKind::InvalidRequest);
    assert_eq!(kind(delivery("line\nbreak"), URL), ErrorKind::InvalidRequest);
    assert_eq!(delivery("d").sign("", URL).unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn it_is_sent_to_a_program_and_what_that_answers_is_told() {
    let server = Server::saying(json("202 Accepted", "", "{}")).await;
    let status = delivery("d-1").send(SECRET, &format!("{}/hooks", server.url)).await.unwrap();
    assert_eq!(status.as_u16(), 202);
    let request = &server.requests()[0];
    assert_eq!((&*request.method, &*request.target), ("POST", "/hooks"));
    assert_eq!(request.headers["x-github-delivery"], "d-1");
    assert_eq!(request.headers["x-github-event"], "issues");
    // GitHub follows no redirect.
    let moved = json("302 Found", "location: /elsewhere\r\n", "");
    let server = Server::saying(moved).await;
    assert_eq!(delivery("d").send(SECRET, &server.url).await.unwrap().as_u16(), 302);
    assert_eq!(server.requests().len(), 1);
    let error = delivery("d").send(SECRET, "http://127.0.0.1:9/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.to_string().contains("127.0.0.1:9") && !format!("{error:?}").contains(SECRET));
}

#[cfg(feature = "apps")]
#[tokio::test]
async fn what_github_recorded_is_sent_once_more_under_its_name() {
    let record = r#"{ "id": 1, "guid": "g-1", "delivered_at": "2026-01-01T00:00:00Z", "redelivery": false,
        "duration": 0.1, "status": "OK", "status_code": 200, "event": "issues", "action": "opened",
        "installation_id": 1, "repository_id": 2, "throttled_at": null, "url": "https://example.com",
        "request": { "headers": { "X-GitHub-Hook-ID": "77", "X-Hub-Signature-256": "sha256=old" },
            "payload": { "action": "opened", "n": 1 } },
        "response": { "headers": {}, "payload": "" } }"#;
    let github = Server::saying(json("200 OK", "", record)).await;
    let recorded =
        github.client().apps().get_webhook_delivery().delivery_id(1).send().await.unwrap();
    let delivery = read(OutgoingDelivery::recorded(&recorded).unwrap().sign(SECRET, URL).unwrap());
    assert_eq!(
        (delivery.id(), delivery.event_name(), delivery.hook_id()),
        ("g-1", "issues", Some(77))
    );
    assert_eq!(delivery.json::<serde_json::Value>().unwrap()["n"], 1);
    let mut empty = recorded.into_inner();
    empty.request.payload.clear();
    let error = OutgoingDelivery::recorded(&empty).unwrap_err();
    assert!(error.to_string().contains("g-1 has no payload"), "{error}");
}
