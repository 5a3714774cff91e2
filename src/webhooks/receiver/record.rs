//! Records of the journal: deliveries in their stored form, with a seal.
//!
//! ```text
//! version    1   3
//! seal      32   HMAC-SHA256 of version, length of the id, id and what follows
//! header     …   JSON: the delivery's properties, and its claim
//! newline    1
//! payload    …
//! ```
//!
//! GitHub's own signature is not enough: it covers the body alone, and neither the name of the event nor the id of the
//! delivery, nor a payload that was taken out of a form. The key of the seal is derived from the webhook's secret. So a
//! valid seal proves that a receiver with the secret accepted the delivery, and that the record was not changed.

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::webhooks::deduplicator::Claim;
use crate::webhooks::delivery::{Delivery, DeliveryMetadata};
use crate::webhooks::verify::Verifier;

/// One key for each secret of the webhook, in the order of the [`Verifier`].
#[derive(Clone)]
pub(super) struct RecordKeys(Vec<Key>);

/// The part before the payload.
#[derive(Serialize, Deserialize)]
struct RecordHeader {
    metadata: DeliveryMetadata,
    /// The token of the claim.
    claim: String,
}

const VERSION: u8 = 3;
const SEAL_LEN: usize = 32;
/// No body and no envelope that is signed with a secret begins like this.
const PURPOSE: &[u8] = b"octowire journal record\0";

impl RecordKeys {
    pub(super) fn new(verifier: &Verifier) -> Self {
        let keys = verifier.derive(PURPOSE);
        Self(keys.iter().map(|key| Key::new(HMAC_SHA256, key.as_ref())).collect())
    }

    /// Returns the record of a delivery, to be stored under this id.
    pub(super) fn encode(&self, id: &str, delivery: &Delivery, claim: &Claim) -> Result<Bytes> {
        let claim = String::from_utf8_lossy(claim.token()).into_owned();
        let header = RecordHeader { metadata: delivery.metadata().clone(), claim };
        let header = serde_json::to_vec(&header).map_err(|error| unreadable(&error))?;
        // With the secret that signed the delivery, so that both can be verified for the same time. A
        // delivery that another process verified can have an index that does not exist here.
        let key = self.0.get(delivery.verified().secret).or_else(|| self.0.first());
        let key = key.ok_or_else(|| unreadable(&"no secret is configured"))?;
        let seal = seal_tag(key, id, [&header, b"\n", delivery.payload()]);
        let length = 1 + SEAL_LEN + header.len() + 1 + delivery.payload().len();
        let mut record = BytesMut::with_capacity(length);
        record.put_u8(VERSION);
        record.put_slice(seal.as_ref());
        record.put_slice(&header);
        record.put_u8(b'\n');
        record.put_slice(delivery.payload());
        Ok(record.freeze())
    }

    /// Verifies and parses the record that is stored with this key: the delivery, and the token of its claim.
    pub(super) fn decode(&self, id: &str, record: &Bytes) -> Result<(Delivery, Bytes)> {
        let (&version, sealed) = record.split_first().ok_or_else(|| unreadable(&"empty"))?;
        if version != VERSION {
            return Err(unreadable(&"not sealed, or written by another version of this library"));
        }
        let (seal, content) =
            sealed.split_first_chunk::<SEAL_LEN>().ok_or_else(|| unreadable(&"truncated"))?;
        let secret = self
            .0
            .iter()
            .position(|key| {
                let mut context = context(key, id);
                context.update(content);
                aws_lc_rs::constant_time::verify_slices_are_equal(context.sign().as_ref(), seal)
                    .is_ok()
            })
            .ok_or_else(|| {
                unreadable(
                    &"seal matches no secret: the record was modified, or its secret is no longer \
                      configured",
                )
            })?;
        let start = record.len().saturating_sub(content.len());
        let length = content.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or_else(|| unreadable(&"no payload"))?;
        let (header, _) = content.split_at_checked(length).unwrap_or((content, &[]));
        let header: RecordHeader =
            serde_json::from_slice(header).map_err(|error| unreadable(&error))?;
        let payload = record.slice(start.saturating_add(length).saturating_add(1)..);
        let about = header.metadata.verified_with(secret);
        Ok((Delivery::new(about, payload), Bytes::from(header.claim)))
    }
}

fn seal_tag(key: &Key, id: &str, content: [&[u8]; 3]) -> hmac::Tag {
    let mut context = context(key, id);
    content.iter().for_each(|part| context.update(part));
    context.sign()
}

fn context(key: &Key, id: &str) -> hmac::Context {
    let mut context = hmac::Context::with_key(key);
    context.update(&[VERSION]);
    context.update(&(id.len() as u64).to_be_bytes());
    context.update(id.as_bytes());
    context
}

fn unreadable(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::StoreUnavailable, format!("invalid journal record: {reason}"))
        .with_advice("redeliver it from GitHub if it is needed")
}

impl std::fmt::Debug for RecordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RecordKeys").field(&self.0.len()).finish()
    }
}

/// Parses these bytes as a record, for fuzzers.
#[cfg(any(test, feature = "__fuzz"))]
pub(in crate::webhooks) fn fuzz_record(
    verifier: &Verifier,
    id: &str,
    bytes: &[u8],
) -> Result<Delivery> {
    let record = Bytes::copy_from_slice(bytes);
    RecordKeys::new(verifier).decode(id, &record).map(|(delivery, _)| delivery)
}

/// Parses a record of this header and payload, with a valid seal, for fuzzers.
#[cfg(any(test, feature = "__fuzz"))]
pub(in crate::webhooks) fn fuzz_content(
    verifier: &Verifier,
    id: &str,
    content: &[u8],
) -> Result<Delivery> {
    let keys = RecordKeys::new(verifier);
    let key = keys.0.first().ok_or_else(|| unreadable(&"no secret is configured"))?;
    let seal = seal_tag(key, id, [content, &[], &[]]);
    fuzz_record(verifier, id, &[&[VERSION], seal.as_ref(), content].concat())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::store::MemoryStore;
    use crate::webhooks::{Deduplicator, sign};

    fn verifier(secret: &str) -> Verifier {
        Verifier::new(secret.to_owned()).unwrap()
    }

    fn delivery(verifier: &Verifier, secret: &str, body: &str) -> Delivery {
        let mut headers = HeaderMap::new();
        let signature = sign(secret.to_owned(), body.as_bytes()).unwrap();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-github-event", "ping"),
            ("x-github-delivery", "d-1"),
            ("x-hub-signature-256", &signature),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        Delivery::verify(verifier, &headers, Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    fn record(keys: &RecordKeys, delivery: &Delivery) -> Bytes {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let claim =
            runtime.block_on(Deduplicator::new(MemoryStore::new()).claim("d-1")).unwrap().unwrap();
        keys.encode("d-1", delivery, &claim).unwrap()
    }

    #[test]
    fn a_record_is_read_with_any_of_the_secrets_and_with_no_other() {
        let both = verifier("old").with_previous_secret("new".to_owned()).unwrap();
        let sealed = record(&RecordKeys::new(&both), &delivery(&both, "new", "{\"a\":1}"));
        // The old secret was removed: the index is that of the current verifier.
        let (read, claim) = RecordKeys::new(&verifier("new")).decode("d-1", &sealed).unwrap();
        assert_eq!((read.payload().as_ref(), read.verified().secret), (&b"{\"a\":1}"[..], 0));
        assert_eq!((read.id(), read.event_name(), claim.is_empty()), ("d-1", "ping", false));
        let (read, _) = RecordKeys::new(&both).decode("d-1", &sealed).unwrap();
        assert_eq!(read.verified().secret, 1);
        let error = RecordKeys::new(&verifier("old")).decode("d-1", &sealed).unwrap_err();
        assert!(error.to_string().contains("seal matches no secret"), "{error}");
        // Nor in the place of another record.
        assert!(RecordKeys::new(&both).decode("d-2", &sealed).is_err());
    }

    #[test]
    fn the_seal_key_differs_from_the_signing_secret() {
        let verifier = verifier("secret");
        let sealed = record(&RecordKeys::new(&verifier), &delivery(&verifier, "secret", "{}"));
        let (seal, content) = sealed[1..].split_at(SEAL_LEN);
        let id = [&[VERSION][..], &3_u64.to_be_bytes(), b"d-1", content].concat();
        let signature = sign("secret".to_owned(), &id).unwrap();
        assert_ne!(signature, format!("sha256={}", crate::util::ids::hex(seal)));
    }

    proptest! {
        #[test]
        fn a_changed_record_is_never_read(
            body in "[a-z]{0,40}",
            at in any::<prop::sample::Index>(),
            flip in 1_u8..=255,
            cut in any::<prop::sample::Index>(),
        ) {
            let verifier = verifier("secret");
            let body = format!("{{\"a\":\"{body}\"}}");
            let keys = RecordKeys::new(&verifier);
            let sealed = record(&keys, &delivery(&verifier, "secret", &body));
            prop_assert!(keys.decode("d-1", &sealed).is_ok());
            let mut changed = sealed.to_vec();
            changed[at.index(sealed.len())] ^= flip;
            prop_assert!(keys.decode("d-1", &Bytes::from(changed)).is_err());
            prop_assert!(keys.decode("d-1", &sealed.slice(..cut.index(sealed.len()))).is_err());
            let longer = [&sealed[..], b" "].concat();
            prop_assert!(keys.decode("d-1", &Bytes::from(longer)).is_err());
        }

        #[test]
        fn anything_may_be_in_a_record(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let keys = RecordKeys::new(&verifier("secret"));
            prop_assert!(keys.decode("d-1", &Bytes::from(bytes.clone())).is_err());
            let versioned = [&[VERSION][..], &bytes].concat();
            prop_assert!(keys.decode("d-1", &Bytes::from(versioned)).is_err());
        }
    }
}
