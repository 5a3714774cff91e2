//! Copies of response data that outlives a call, without the buffer of the connection.
//!
//! A body and the values of headers arrive as [`Bytes`] that point into that buffer. It can be a thousand times as
//! large, and lives as long as the smallest part of it. So everything that is stored is copied here first, into memory of
//! its exact length. The headers of each response are copied when they are received, by [`crate::sanitize`].

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The overhead of an allocation.
pub(crate) const ALLOCATION_OVERHEAD: usize = 16;

/// Returns a copy in memory of its own.
pub(crate) fn bytes(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Copies values into memory of their exact length.
fn joined_exactly(headers: &HeaderMap) -> Bytes {
    let mut joined = Vec::with_capacity(headers.values().map(HeaderValue::len).sum());
    headers.values().for_each(|value| joined.extend_from_slice(value.as_bytes()));
    Bytes::from(joined)
}

/// Replaces the values of headers by parts of their copy.
fn replace_values(headers: &mut HeaderMap, joined: &Bytes) {
    let mut next = 0;
    for value in headers.values_mut() {
        let start = next;
        next += value.len();
        // A copy of a valid header value is valid.
        if next <= joined.len()
            && let Ok(mut own) = HeaderValue::from_maybe_shared(joined.slice(start..next))
        {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
}

/// Returns a copy of these headers, in a table that is no larger than necessary.
pub(crate) fn compact_headers(headers: &HeaderMap) -> HeaderMap {
    let mut copy = HeaderMap::try_with_capacity(headers.keys_len()).unwrap_or_default();
    for (name, value) in headers {
        // The capacity suffices: another map has this number of headers.
        let _ = copy.try_append(name.clone(), value.clone());
    }
    let joined = joined_exactly(&copy);
    replace_values(&mut copy, &joined);
    copy
}

/// Returns the memory of headers that were [copied](compact_headers): the table of the map, the names and the
/// values.
pub(crate) fn size_of_headers(headers: &HeaderMap) -> usize {
    /// Memory layout of a header in the map, and of the further values of one that is repeated.
    struct Slot {
        _hash: u16,
        _name: HeaderName,
        _value: HeaderValue,
        _links: Option<(usize, usize)>,
    }
    struct Further {
        _value: HeaderValue,
        _links: [(usize, usize); 2],
    }
    /// The index of a slot and its hash.
    const INDEX: usize = 4;
    let capacity = headers.capacity();
    // The index has a third more slots than the map accepts headers.
    let table = capacity * size_of::<Slot>() + (capacity + capacity / 3) * INDEX;
    let further = headers.len() - headers.keys_len();
    // A vector that grows has up to twice the capacity that it needs.
    let further = if further == 0 { 0 } else { further.next_power_of_two().max(4) };
    let names = headers.keys().map(|name| name.as_str().len() + ALLOCATION_OVERHEAD).sum::<usize>();
    let values = headers.values().map(HeaderValue::len).sum::<usize>();
    size_of::<HeaderMap>()
        + table
        + further * size_of::<Further>()
        + names
        + values
        + 6 * ALLOCATION_OVERHEAD
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_copy_is_equal_and_shares_no_memory(
            pairs in prop::collection::vec(("[a-z][a-z-]{0,8}", "[ -~]{0,80}", any::<bool>()), 0..80),
        ) {
            let mut buffer = BytesMut::new();
            let mut headers = HeaderMap::new();
            for (name, value, sensitive) in pairs {
                buffer.extend_from_slice(value.as_bytes());
                let mut value = HeaderValue::from_maybe_shared(buffer.split().freeze()).unwrap();
                value.set_sensitive(sensitive);
                headers.append(HeaderName::try_from(name).unwrap(), value);
            }
            let parts = |headers: &HeaderMap| -> Vec<(String, HeaderValue, bool)> {
                let parts = headers.iter();
                parts.map(|(name, it)| (name.to_string(), it.clone(), it.is_sensitive())).collect()
            };
            let places: Vec<_> = headers.values().map(|value| value.as_bytes().as_ptr_range()).collect();
            let copy = compact_headers(&headers);
            prop_assert_eq!(parts(&copy), parts(&headers));
            for value in copy.values().filter(|value| !value.is_empty()) {
                let place = value.as_bytes().as_ptr();
                prop_assert!(places.iter().all(|old| !old.contains(&place)));
            }
        }
    }

    #[test]
    fn a_copy_of_bytes_does_not_keep_the_buffer() {
        let buffer = Bytes::from(vec![b'x'; 100_000]);
        let part = buffer.slice(10..20);
        let own = bytes(&part);
        assert_eq!(own, part);
        drop(part);
        assert!(buffer.is_unique(), "only the copy is left");
    }
}
