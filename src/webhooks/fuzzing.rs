//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::event::read;
use super::payload::{check_json, payload};
use super::{EnvelopeScheme, Event, Verifier, sign};
use crate::fuzzing::{first_line, headers};

const SECRET: &str = "the secret of the fuzzer";

fn verifier() -> Verifier {
    Verifier::new(SECRET).expect("the secret is not empty")
}

/// Verifies a signature and a body.
pub(crate) fn signature(input: &[u8]) {
    let (signature, body) = first_line(input);
    let verifier = verifier();
    let right = sign(SECRET, body).expect("the secret is not empty");
    assert!(verifier.verify_signature(&right, body).is_ok());
    if let Ok(text) = std::str::from_utf8(signature) {
        assert_eq!(verifier.verify_signature(text, body).is_ok(), text == right);
    }
    let mut headers = HeaderMap::new();
    for value in signature.split(|byte| *byte == b'|').take(3) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(&super::verify::SIGNATURE, value);
        }
    }
    let right = headers.len() == 1 && headers[&super::verify::SIGNATURE] == right;
    assert_eq!(verifier.verify(&headers, body).is_ok(), right);
}

/// Opens an envelope; and signs and verifies an event and data.
pub(crate) fn envelope(input: &[u8]) {
    let scheme = EnvelopeScheme::new(verifier());
    assert!(scheme.verify(input).is_err(), "a delivery signed without the secret was accepted");
    let (event, data) = first_line(input);
    let (Ok(event), Ok(data)) = (std::str::from_utf8(event), std::str::from_utf8(data)) else {
        return;
    };
    if let Ok(sealed) = scheme.sign(event, data) {
        let opened = scheme.verify(sealed.as_bytes()).expect("a signed envelope was rejected");
        assert_eq!((&*opened.event, &*opened.data), (event, data.trim_ascii()));
    }
}

/// Parses a payload from the name of an event, the headers of a body, and the body.
pub(crate) fn webhook_payload(input: &[u8]) {
    let (name, rest) = first_line(input);
    let (line, body) = first_line(rest);
    let is_json = serde_json::from_slice::<Value>(body).is_ok();
    assert_eq!(check_json(body).is_ok(), is_json);
    let line: Vec<u8> = line.iter().map(|byte| if *byte == b'|' { b'\n' } else { *byte }).collect();
    let headers = headers(&line, &[CONTENT_TYPE, CONTENT_ENCODING]);
    if let Ok(payload) = payload(&headers, Bytes::copy_from_slice(body)) {
        assert!(check_json(&payload).is_ok() && payload.len() <= body.len());
    }
    let name =
        match name.first().and_then(|at| Event::KNOWN.get(usize::from(at.wrapping_sub(b'a')))) {
            Some(known) => known,
            None => "an_event_of_tomorrow",
        };
    match read::decode(name, body) {
        Ok(event) => assert_eq!(event.name(), name),
        Err(error) => {
            assert!(!is_json, "an accepted delivery does not decode: {error}");
            assert!(error.to_string().len() < 16 * 1024);
        }
    }
}

/// Parses a journal record as in a file, and one with this content and a valid seal.
#[cfg(feature = "webhooks-journal")]
pub(crate) fn journal_record(input: &[u8]) {
    let id = "the delivery";
    let read = super::receiver::fuzz_record(&verifier(), id, input);
    assert!(read.is_err(), "a record sealed without the secret was accepted");
    if let Ok(delivery) = super::receiver::fuzz_content(&verifier(), id, input) {
        assert!(input.ends_with(delivery.payload()));
        let _ = (delivery.key(), delivery.target(), delivery.event());
    }
}
