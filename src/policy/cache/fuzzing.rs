//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LINK, VARY};

use super::entry::{Entry, EntryMetadata, RevalidationInfo};
use super::integrity::Integrity;
use super::key::Key;
use super::rfc9111::{self, Directives, ResponseTimes};
use crate::fuzzing::{first_line, headers};

/// The maximum size of a fuzzer's entry in bytes.
const MAX_ENTRY: usize = 1 << 20;

/// Parses the headers by which a response is cached.
pub(crate) fn cache_control(input: &[u8]) {
    let headers = headers(input, &[CACHE_CONTROL, AGE, DATE, EXPIRES, VARY]);
    let _ = Directives::of(&headers);
    let times = ResponseTimes { requested: now(), received: now() };
    let _ = rfc9111::age(&headers, times, now() + Duration::from_secs(60));
    let _ = rfc9111::freshness(&headers, times);
    assert!(rfc9111::vary_names(&headers).count() <= input.len());
    let stored = Arc::new(rfc9111::storable_headers(&headers));
    assert!(stored.len() <= headers.len());
    let _ = rfc9111::update_headers(stored, &headers);
}

/// Decodes an entry that another program can have written: unchanged, with its checksum corrected, and as an entry that
/// is encoded from the input.
pub(crate) fn cache_entry(input: &[u8]) {
    read(&Bytes::copy_from_slice(input));
    if let Some((form, content)) = input.split_first() {
        read(&super::entry::framed(key(), *form, content.len() as u64, content));
    }
    let (head, body) = first_line(input);
    let entry = Entry {
        metadata: EntryMetadata {
            url: crate::endpoints::GITHUB.parse().expect("it is a URL"),
            path: String::from_utf8_lossy(head).into_owned(),
            operation: "meta/get".to_owned(),
            identity: String::new(),
        },
        headers: Arc::new(headers(head, &[ETAG, LINK])),
        body: Bytes::copy_from_slice(body),
        times: ResponseTimes {
            requested: SystemTime::UNIX_EPOCH,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(input.len() as u64),
        },
        log_sequence: 1,
        credential_fingerprint: 2,
    };
    // An entry of a response is within the bounds of storage.
    let of = RevalidationInfo {
        times: entry.times,
        log_sequence: entry.log_sequence,
        credential_fingerprint: entry.credential_fingerprint,
    };
    let Some(entry) = Entry::new(entry.metadata, &entry.headers, &entry.body, of) else { return };
    if let Some(bytes) = entry.encode(key(), &Integrity::default(), 64) {
        let read = decode(&bytes, MAX_ENTRY).expect("a serialized entry does not decode");
        assert_eq!(
            (read.body, read.metadata, read.times),
            (entry.body, entry.metadata, entry.times)
        );
    }
}

/// Decodes an entry; encoding and decoding the result must return the same entry.
fn read(bytes: &Bytes) {
    let Some(entry) = decode(bytes, MAX_ENTRY) else { return };
    assert!(entry.body.len() <= MAX_ENTRY);
    assert!(entry.size() <= 4 * MAX_ENTRY);
    // The metadata can be longer when it is encoded: a URL is written in full.
    if let Some(bytes) = entry.encode(key(), &Integrity::default(), usize::MAX) {
        let again = decode(&bytes, 2 * MAX_ENTRY).expect("a decoded entry does not round-trip");
        assert_eq!(again.body, entry.body);
    }
}

fn decode(bytes: &Bytes, max_bytes: usize) -> Option<Entry> {
    Entry::decode(bytes, key(), &Integrity::default(), max_bytes, now()).ok()
}

fn key() -> Key {
    Key::from_bytes(&[7; 32]).expect("it has 32 bytes")
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}
