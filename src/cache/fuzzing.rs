//! Entry points for fuzzers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LINK, VARY};

use super::entry::{About, Entry};
use super::rules::{self, Directives, Times};
use crate::fuzzing::{first_line, headers};

/// More than any entry of a fuzzer has.
const MAX_ENTRY: usize = 1 << 20;

/// The headers by which a response is cached.
pub(crate) fn cache_control(input: &[u8]) {
    let headers = headers(input, &[CACHE_CONTROL, AGE, DATE, EXPIRES, VARY]);
    let _ = Directives::of(&headers);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let times = Times { requested: now, received: now };
    let _ = rules::age(&headers, times, now + Duration::from_secs(60));
    let _ = rules::freshness(&headers, times);
    assert!(rules::varying(&headers).count() <= input.len());
    let stored = Arc::new(rules::storable_headers(&headers));
    assert!(stored.len() <= headers.len());
    let _ = rules::merged(stored, &headers);
}

/// An entry that others may have written: as it is, with its checksum set right, and one that is written from the
/// input.
pub(crate) fn cache_entry(input: &[u8]) {
    read(&Bytes::copy_from_slice(input));
    if let Some((form, content)) = input.split_first() {
        read(&super::entry::framed(*form, content));
    }
    let (head, body) = first_line(input);
    let entry = Entry {
        about: About {
            url: crate::origins::GITHUB.parse().expect("it is a URL"),
            path: String::from_utf8_lossy(head).into_owned(),
            operation: "meta/get".to_owned(),
            identity: String::new(),
        },
        headers: Arc::new(headers(head, &[ETAG, LINK])),
        body: Bytes::copy_from_slice(body),
        times: Times {
            requested: SystemTime::UNIX_EPOCH,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(input.len() as u64),
        },
        number: 1,
        print: 2,
    };
    if let Some(bytes) = entry.encode(64) {
        let read = Entry::decode(&bytes, MAX_ENTRY).expect("what is written is read");
        assert_eq!((read.body, read.about, read.times), (entry.body, entry.about, entry.times));
    }
}

/// Reads an entry; what is read is written and read as the same.
fn read(bytes: &Bytes) {
    let Some(entry) = Entry::decode(bytes, MAX_ENTRY) else { return };
    assert!(entry.body.len() <= MAX_ENTRY);
    let _ = entry.weight();
    let again = entry.encode(usize::MAX).and_then(|bytes| Entry::decode(&bytes, 2 * MAX_ENTRY));
    let again = again.expect("what was read is written and read");
    assert_eq!(again.body, entry.body);
}
