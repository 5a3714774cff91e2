//! Every payload that `@octokit/webhooks-examples` publishes is read as its event's own type, and
//! nothing is lost that GitHub's document names.

#[path = "../examples/compare.rs"]
mod compare;
#[path = "../examples/document.rs"]
mod document;
mod events;
mod payloads;
#[path = "../examples/unions.rs"]
mod unions;

use compare::missing;
use document::Document;
use octowire::webhooks::Event;
use payloads::{Payload, payloads};

#[test]
fn every_payload_is_read_as_its_own_type_unless_github_has_removed_it() {
    let document = Document::read();
    let payloads = payloads();
    let (mut typed, mut removed, mut misfits) = (0, Vec::new(), Vec::new());
    for Payload { event, name, body, bytes } in payloads {
        let read = Event::read(event, bytes).unwrap();
        assert_eq!(read.name(), event);
        assert_eq!(read.action(), body["action"].as_str(), "{name}");
        match read.unknown() {
            None => {
                // Within it, a union that nothing fits would be raw.
                assert!(!format!("{read:?}").contains("Other("), "{name}");
                typed += 1;
            }
            Some(unknown) if unknown.error().is_none() => {
                assert_eq!(unknown.payload(), body, "{name}");
                assert!(document.webhook(event, name, body).is_none(), "{name} has a type");
                removed.push(name);
            }
            Some(unknown) => {
                misfits.push(format!("{name}: {}", unknown.error().unwrap()));
            }
        }
    }
    let events: std::collections::BTreeSet<&str> =
        payloads.iter().map(|payload| payload.event.as_str()).collect();
    println!(
        "{} payloads of {} events: {typed} typed, {} removed by GitHub {removed:?}",
        payloads.len(),
        events.len(),
        removed.len()
    );
    assert!(misfits.is_empty(), "{} do not fit: {misfits:#?}", misfits.len());
    assert_eq!((payloads.len(), events.len()), (329, 58));
}

#[test]
fn no_property_that_the_description_names_is_lost_on_the_way() {
    let document = Document::read();
    let mut lost = Vec::new();
    let mut compared = 0;
    for Payload { event, name, body, bytes } in payloads() {
        let read = Event::read(event, bytes).unwrap();
        let again = serde_json::to_value(&read).unwrap();
        let Some(example) = document.webhook(event, name, body) else {
            assert_eq!(&again, body, "{name}");
            continue;
        };
        compared += 1;
        missing(body, &again, "$", &mut |path| {
            if document.names(&example, path) {
                lost.push(format!("{name} {path}"));
            }
        });
    }
    println!("payloads compared: {compared}");
    assert!(lost.is_empty(), "{} properties are lost: {lost:#?}", lost.len());
}
