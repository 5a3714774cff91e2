//! A verified delivery: its headers and its payload.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::envelope::Envelope;
use super::event::UnknownEvent;
use super::event::read::{self, decode_error};
use super::payload::{check_json, payload};
use super::rejection::RejectionReason;
use super::verify::{self, Signature, Verified, Verifier};
use super::{EnvelopeScheme, Event};
use crate::error::Result;
use crate::meter;
use crate::util::ids::hex;

pub(super) static DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");
pub(super) static EVENT: HeaderName = HeaderName::from_static("x-github-event");
pub(super) static HOOK: HeaderName = HeaderName::from_static("x-github-hook-id");
pub(super) static TARGET_TYPE: HeaderName =
    HeaderName::from_static("x-github-hook-installation-target-type");
pub(super) static TARGET: HeaderName =
    HeaderName::from_static("x-github-hook-installation-target-id");

/// Longer names are invalid.
const MAX_NAME: usize = 256;

/// A webhook delivery with a valid signature.
///
/// Clones share the data. Its `Debug` shows no payload.
#[derive(Clone)]
pub struct Delivery {
    inner: Arc<Inner>,
    /// The number of the handling attempt, from 1.
    attempt: u32,
    is_replayed: bool,
    /// The receiver's count of payloads that do not match their type.
    undecoded: Option<Arc<AtomicU64>>,
}

#[derive(Debug)]
struct Inner {
    metadata: DeliveryMetadata,
    payload: Bytes,
    /// The event in metrics.
    event_label: OnceLock<&'static str>,
    /// Whether the mismatch of the payload was already reported.
    mismatch_reported: AtomicBool,
}

/// The metadata of a delivery, without its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeliveryMetadata {
    pub(super) id: String,
    pub(super) event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hook: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<i64>,
    secret: usize,
}

#[cfg(feature = "webhooks-journal")]
impl DeliveryMetadata {
    /// Returns the same delivery, verified with the secret of this index.
    pub(super) fn verified_with(self, secret: usize) -> Self {
        Self { secret, ..self }
    }
}

impl Delivery {
    /// Verifies and parses a delivery from its headers and its body, byte for byte as it arrived: JSON, or a form with
    /// JSON in `payload`, by `Content-Type`.
    ///
    /// The payload can be any JSON that [`serde_json::Value`] can hold, whatever the event; names can repeat, and up to
    /// 127 levels are read.
    ///
    /// # Errors
    /// If it is not signed with one of the secrets, is compressed (any `Content-Encoding` but `identity`), is not valid
    /// JSON, or differs from GitHub's format in another way.
    pub fn verify(
        verifier: &Verifier,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Self, RejectionReason> {
        let signature = verify::signature(headers).map_err(RejectionReason::Signature)?;
        Self::verify_signature(verifier, &signature, headers, body)
    }

    /// Verifies and parses a delivery as [`verify`](Self::verify) does, by the signature in these headers.
    pub(super) fn verify_signature(
        verifier: &Verifier,
        signature: &Signature,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Self, RejectionReason> {
        let verified =
            verifier.find_secret(signature, &body).map_err(RejectionReason::Signature)?;
        let text = |name| text(headers, name).map(str::to_owned);
        let required =
            |name: &'static HeaderName| text(name).ok_or(RejectionReason::Header(name.as_str()));
        let number = |name| self::text(headers, name)?.parse().ok();
        let about = DeliveryMetadata {
            id: required(&DELIVERY)?,
            event: required(&EVENT)?,
            hook: number(&HOOK),
            target_type: text(&TARGET_TYPE),
            target: number(&TARGET),
            secret: verified.secret,
        };
        Ok(Self::new(about, payload(headers, body)?))
    }

    /// Verifies and parses a delivery that a gateway has signed again. Its id is the signature, since no other part
    /// identifies it and is protected against changes.
    ///
    /// # Errors
    /// If it is not signed with one of the secrets, is too old, or is not an envelope; and if its payload cannot be
    /// read as JSON, such as with more than 127 levels.
    pub fn verify_envelope(scheme: &EnvelopeScheme, body: &[u8]) -> Result<Self, RejectionReason> {
        let Envelope { event, data, verified, signature, .. } =
            scheme.verify(body).map_err(RejectionReason::Envelope)?;
        let about = DeliveryMetadata {
            id: format!("envelope-{}", hex(signature)),
            event,
            hook: None,
            target_type: None,
            target: None,
            secret: verified.secret,
        };
        check_json(data.as_bytes())?;
        Ok(Self::new(about, Bytes::from(String::from(data))))
    }

    pub(super) fn new(about: DeliveryMetadata, payload: Bytes) -> Self {
        let inner = Inner {
            metadata: about,
            payload,
            event_label: OnceLock::new(),
            mismatch_reported: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner), attempt: 1, is_replayed: false, undecoded: None }
    }

    /// Returns the delivery's id, a GUID: `X-GitHub-Delivery`. It repeats in a
    /// [redelivery](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks),
    /// and is the same for all webhooks that receive the same event: see [`key`](Self::key).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.metadata.id
    }

    /// Returns the unique key of the delivery: the id of its webhook, if there is one, and its own id. GitHub uses the
    /// same id for all webhooks that receive the same event.
    #[must_use]
    pub fn key(&self) -> String {
        match self.hook_id() {
            Some(hook) => format!("{hook}-{}", self.id()),
            None => self.id().to_owned(),
        }
    }

    /// Returns the event's name, such as `issues`: `X-GitHub-Event`.
    #[must_use]
    pub fn event_name(&self) -> &str {
        &self.inner.metadata.event
    }

    /// Returns the id of the webhook: `X-GitHub-Hook-ID`.
    #[must_use]
    pub fn hook_id(&self) -> Option<i64> {
        self.inner.metadata.hook
    }

    /// Returns the owner of the webhook, such as `repository`, `organization` or `integration` (an App), and its id:
    /// `X-GitHub-Hook-Installation-Target-Type` and `-ID`.
    #[must_use]
    pub fn target(&self) -> Option<(&str, i64)> {
        let about = &self.inner.metadata;
        Some((about.target_type.as_deref()?, about.target?))
    }

    /// Returns the index of the secret that it was signed with, in the order of the [`Verifier`].
    #[must_use]
    pub fn verified(&self) -> Verified {
        Verified { secret: self.inner.metadata.secret }
    }

    /// Returns the payload: JSON, as GitHub wrote it.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.inner.payload
    }

    /// Returns the number of the handling attempt, from 1: a [`WebhookReceiver`](super::WebhookReceiver) retries failed ones.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns whether the delivery was replayed from the journal, where an earlier process or receiver left it, or had
    /// been given up: it might have been handled in part, or completely. The same applies to every
    /// [attempt](Self::attempt) but the first. Handlers that must not act twice have to look up the [`key`](Self::key)
    /// then.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.is_replayed
    }

    /// Returns the typed event.
    ///
    /// If the payload does not match the type of its event, that is logged and counted once per delivery, however often
    /// this is called, and [`UnknownEvent::mismatch`](super::UnknownEvent::mismatch) describes it.
    ///
    /// # Errors
    /// If the payload is not JSON, of the kind [`Decode`](crate::ErrorKind::Decode): only if an earlier version has
    /// stored it in a journal. A payload without a matching type is [`Event::Unknown`], and not an error.
    pub fn event(&self) -> Result<Event> {
        let event = read::decode(self.event_name(), self.payload())?;
        if let Some(mismatch) = event.unknown().and_then(UnknownEvent::mismatch)
            && !self.inner.mismatch_reported.swap(true, Ordering::Relaxed)
        {
            read::report_mismatch(mismatch);
            if let Some(undecoded) = &self.undecoded {
                undecoded.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(event)
    }

    /// Returns the payload as a type of your own.
    ///
    /// # Errors
    /// If it does not match: of the kind [`Decode`](crate::ErrorKind::Decode), with the JSON path.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let payload = self.payload();
        serde_json::from_slice(payload).map_err(|error| {
            let error = decode_error(self.event_name(), payload, &error, "does not match the type");
            error.with_body(payload)
        })
    }

    /// Returns the label of the event in metrics.
    pub(super) fn event_label(&self) -> &'static str {
        self.inner.event_label.get_or_init(|| meter::event_label(self.event_name()))
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn metadata(&self) -> &DeliveryMetadata {
        &self.inner.metadata
    }

    /// Returns the delivery for a handling attempt, with the receiver's count of payloads that do not match their type.
    pub(super) fn with_attempt(&self, attempt: u32, undecoded: Arc<AtomicU64>) -> Self {
        Self { attempt, undecoded: Some(undecoded), ..self.clone() }
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn replayed(self) -> Self {
        Self { is_replayed: true, ..self }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id())
            .field("event", &self.event_name())
            .field("hook", &self.hook_id())
            .field("bytes", &self.payload().len())
            .field("attempt", &self.attempt)
            .field("is_replayed", &self.is_replayed)
            .finish_non_exhaustive()
    }
}

/// Returns the value of a header that occurs once, and is text of a reasonable length.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && !value.is_empty() && value.len() <= MAX_NAME).then_some(value)
}
