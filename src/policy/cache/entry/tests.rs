//! The encoding of stored responses, with damaged and forged entries.

use proptest::prelude::*;

use super::*;

const LARGEST: usize = 1 << 20;
const NOW: u64 = 1_790_000_000_123;

fn key(number: u8) -> Key {
    Key::from_bytes(&[number; 32]).unwrap()
}

fn keyed() -> Integrity {
    Integrity::new(Some("hunter2-hunter2-hunter2".to_owned().into())).unwrap()
}

fn decode_with(bytes: &Bytes, integrity: &Integrity) -> Option<Entry> {
    Entry::decode(bytes, key(1), integrity, LARGEST, time(NOW).unwrap()).ok()
}

fn decode(bytes: &Bytes) -> Option<Entry> {
    decode_with(bytes, &Integrity::default())
}

fn encode(entry: &Entry, compress_above: usize) -> Bytes {
    entry.encode(key(1), &Integrity::default(), compress_above).unwrap()
}

fn entry(body: Vec<u8>) -> Entry {
    let mut headers = HeaderMap::new();
    headers.insert("etag", HeaderValue::from_static("W/\"1\""));
    headers.append("link", HeaderValue::from_static("<a>"));
    headers.append("link", HeaderValue::from_static("<b>"));
    let time = time(NOW).unwrap();
    Entry {
        metadata: EntryMetadata {
            url: "https://api.github.com/x?y=1".parse().unwrap(),
            path: "/x".to_owned(),
            operation: "GET /x".to_owned(),
            identity: "user:a".to_owned(),
        },
        headers: headers.into(),
        body: body.into(),
        times: ResponseTimes { requested: time, received: time + Duration::from_millis(77) },
        log_sequence: 7,
        credential_fingerprint: u64::MAX,
    }
}

/// An entry with this metadata and a valid tag, as a holder of the key would make it.
fn forged(meta: &[u8], body: &[u8], integrity: &Integrity) -> Bytes {
    let size = u32::try_from(meta.len()).unwrap().to_le_bytes();
    let content = [&size[..], meta, body].concat();
    let length = (content.len() as u64).to_le_bytes();
    let tag = integrity.tag(&[&head(key(1), PLAIN), &length, &content]);
    [&MAGIC[..], &[PLAIN], &length, &tag, &content].concat().into()
}

fn meta_of(headers: Vec<(String, String)>, received_at_ms: u64, log_sequence: u64) -> Vec<u8> {
    let meta = StoredMetadata {
        metadata: entry(Vec::new()).metadata,
        headers,
        requested_at_ms: 0,
        received_at_ms,
        log_sequence,
        credential_fingerprint: 0,
    };
    serde_json::to_vec(&meta).unwrap()
}

/// JSON metadata of every value that a type allows, and some that it does not.
fn any_meta() -> impl Strategy<Value = Vec<u8>> {
    let number = || prop_oneof![Just(0), Just(u64::MAX), Just(NOW), any::<u64>()];
    let text = || prop_oneof!["[a-z-]{0,12}", "\\PC{0,12}", Just("x".repeat(40_000))];
    let headers = prop_oneof![
        prop::collection::vec((text(), text()), 0..8),
        (0..3_000_usize).prop_map(|count| {
            (0..count).map(|each| (format!("x-{each}"), String::new())).collect::<Vec<_>>()
        }),
        (0..3_000_usize).prop_map(|count| vec![("x".to_owned(), "1".to_owned()); count]),
    ];
    let url = prop_oneof![Just("https://api.github.com/x".to_owned()), text()];
    let numbers = (number(), number(), number(), number());
    (headers, url, text(), numbers).prop_map(|(headers, url, path, numbers)| {
        let meta = serde_json::json!({
            "metadata": { "url": url, "path": path, "operation": "x", "identity": "y" },
            "headers": headers,
            "requested_at_ms": numbers.0,
            "received_at_ms": numbers.1,
            "log_sequence": numbers.2,
            "credential_fingerprint": numbers.3,
        });
        meta.to_string().into_bytes()
    })
}

proptest! {
    #[test]
    fn an_entry_round_trips_through_its_encoding(
        body in prop::collection::vec(any::<u8>(), 0..2_000),
        above in 0_usize..3_000,
    ) {
        let entry = entry(body);
        prop_assert_eq!(decode(&encode(&entry, above)), Some(entry.clone()));
        let bytes = entry.encode(key(1), &keyed(), above).unwrap();
        prop_assert_eq!(decode_with(&bytes, &keyed()), Some(entry));
    }

    #[test]
    fn a_truncated_or_changed_entry_is_a_miss(
        body in prop::collection::vec(any::<u8>(), 0..500),
        above in 0_usize..1_000,
        at in any::<prop::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let bytes = encode(&entry(body), above);
        let at = at.index(bytes.len());
        prop_assert_eq!(decode(&bytes.slice(..at)), None);
        let mut changed = bytes.to_vec();
        changed[at] ^= flip;
        prop_assert_eq!(decode(&changed.into()), None);
    }

    #[test]
    fn any_bytes_decode_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode(&bytes.clone().into()), None);
        let named = [&MAGIC[..], &bytes].concat();
        prop_assert_eq!(decode(&named.into()), None);
    }

    /// Without a key, any writer of the store can compute a valid tag.
    #[test]
    fn a_forged_entry_decodes_safely_or_is_rejected(
        meta in prop_oneof![any_meta(), prop::collection::vec(any::<u8>(), 0..300)],
        body in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        if let Some(entry) = decode(&forged(&meta, &body, &Integrity::default())) {
            prop_assert!(is_storable(&entry.headers) && entry.log_sequence <= MAX_SEQUENCE);
            prop_assert!(entry.times.received <= time(NOW).unwrap() + MAX_CLOCK_SKEW);
            prop_assert!(entry.size() < LARGEST);
            prop_assert_eq!(&entry.body[..], &body[..]);
            // A decoded entry can be encoded and decoded again.
            prop_assert_eq!(decode(&encode(&entry, 100)), Some(entry));
        }
    }

    /// A length and a size of the metadata that do not match the content.
    #[test]
    fn wrong_lengths_are_rejected(length in any::<u64>(), size in any::<u32>(), form in 0_u8..3) {
        let content = [&size.to_le_bytes()[..], b"{}"].concat();
        prop_assert_eq!(decode(&framed(key(1), form, length, &content)), None);
    }
}

#[test]
fn more_headers_than_a_map_holds_are_no_entry() {
    for count in [MAX_HEADERS + 1, 25_000, 40_000] {
        let different = (0..count).map(|each| (format!("x{each}"), String::new())).collect();
        let equal = vec![("x".to_owned(), "1".to_owned()); count];
        for headers in [different, equal] {
            let meta = meta_of(headers, NOW, 7);
            assert_eq!(decode(&forged(&meta, b"", &Integrity::default())), None, "{count}");
        }
    }
    let most = (0..MAX_HEADERS).map(|each| (format!("x{each}"), String::new())).collect();
    let read = decode(&forged(&meta_of(most, NOW, 7), b"", &Integrity::default())).unwrap();
    assert_eq!(read.headers.len(), MAX_HEADERS);
}

#[test]
fn an_entry_with_impossible_numbers_or_times_is_rejected() {
    let read = |received, number| {
        decode(&forged(&meta_of(Vec::new(), received, number), b"", &Integrity::default()))
    };
    let skew = MAX_CLOCK_SKEW.as_millis() as u64;
    assert!(read(NOW + skew, MAX_SEQUENCE).is_some() && read(0, 0).is_some());
    // An entry received in the future would be fresh until then.
    for (received, number) in
        [(NOW + skew + 1, 7), (u64::MAX, 7), (NOW, MAX_SEQUENCE + 1), (NOW, u64::MAX)]
    {
        assert_eq!(read(received, number), None, "{received} {number}");
    }
}

#[test]
fn responses_beyond_the_bounds_are_not_stored() {
    let kept = |headers: &HeaderMap| {
        let Entry {
            metadata: about,
            body,
            times,
            log_sequence: number,
            credential_fingerprint: print,
            ..
        } = entry(vec![1]);
        Entry::new(
            about,
            headers,
            &body,
            RevalidationInfo { times, log_sequence: number, credential_fingerprint: print },
        )
    };
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, HeaderValue::try_from("x".repeat(MAX_VALIDATOR)).unwrap());
    assert!(kept(&headers).is_some());
    headers.insert(ETAG, HeaderValue::try_from("x".repeat(MAX_VALIDATOR + 1)).unwrap());
    assert_eq!(kept(&headers), None);
    let mut headers = HeaderMap::new();
    for each in 0..MAX_HEADERS {
        headers.append("x", HeaderValue::from(each));
    }
    let stored = kept(&headers).unwrap();
    headers.append("x", HeaderValue::from_static("1"));
    assert_eq!(kept(&headers), None);
    headers.clear();
    headers.insert("x", HeaderValue::try_from("x".repeat(MAX_HEADER_BYTES)).unwrap());
    assert_eq!(kept(&headers), None);
    // Nor does a confirmation make it so.
    let Entry {
        metadata: about, times, log_sequence: number, credential_fingerprint: print, ..
    } = stored.clone();
    let of = RevalidationInfo { times, log_sequence: number, credential_fingerprint: print };
    assert_eq!(stored.revalidated(about.clone(), &Arc::new(headers), of), None);
    assert!(stored.revalidated(about, &stored.headers, of).is_some());
}

/// Quotes are two bytes in JSON, so that headers that are stored can be more than is read again.
#[test]
fn an_entry_that_could_not_be_decoded_is_not_written() {
    let mut large = entry(Vec::new());
    large.metadata.identity = "\"".repeat(MAX_META / 2);
    assert_eq!(large.encode(key(1), &Integrity::default(), 100), None);
    large.metadata.identity = "\"".repeat(MAX_META / 2 - 1_000);
    assert_eq!(decode(&encode(&large, 100)), Some(large));
}

#[test]
fn an_entry_counts_for_its_key_only() {
    let bytes = encode(&entry(vec![1, 2, 3]), 10);
    let now = time(NOW).unwrap();
    let read = Entry::decode(&bytes, key(2), &Integrity::default(), LARGEST, now);
    assert_eq!(read, Err(Unusable::Invalid));
}

#[test]
fn no_entry_can_be_forged_without_the_integrity_key() {
    let meta = meta_of(Vec::new(), NOW, 7);
    assert!(decode_with(&forged(&meta, b"x", &keyed()), &keyed()).is_some());
    let other = Integrity::new(Some("another-key-of-hunter2".to_owned().into())).unwrap();
    for integrity in [Integrity::default(), other] {
        assert_eq!(decode_with(&forged(&meta, b"x", &integrity), &keyed()), None);
        assert_eq!(decode_with(&forged(&meta, b"x", &keyed()), &integrity), None);
    }
}

#[test]
fn a_large_body_is_compressed_and_decompression_is_bounded() {
    let bytes = encode(&entry(vec![b'a'; 1_000_000]), 1_000);
    assert!(bytes.len() < 10_000);
    assert!(decode(&bytes).is_some());
    let now = time(NOW).unwrap();
    let read = Entry::decode(&bytes, key(1), &Integrity::default(), 1_000_000, now);
    assert_eq!(read, Err(Unusable::ForOthers));
}
