//! Deliveries that a gateway has signed again, with a timestamp.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::verify::{SignatureError, Verified, Verifier, parse_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::util::ids::hex;

/// The signature format of a gateway: a JSON object with `event`, `data`, `timestamp` and `signature`, which is
/// HMAC-SHA256, in 64 hexadecimal digits, of `timestamp`, `event` and `data` with a full stop between them.
///
/// `data` is signed byte for byte. An envelope that is older than the tolerance is rejected, which limits replays; a
/// replay within the tolerance is recognized by its delivery key.
///
/// ```
/// use octowire::webhooks::{EnvelopeScheme, Verifier};
///
/// # fn example(body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let scheme = EnvelopeScheme::new(Verifier::from_env("GATEWAY_SECRET")?);
/// let envelope = scheme.verify(body)?;
/// println!("{}: {}", envelope.event, envelope.data);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EnvelopeScheme {
    verifier: Verifier,
    tolerance: Duration,
    field_names: [String; 4],
    separator: String,
}

/// The content of a verified envelope.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Envelope {
    /// The event's name, such as `issues`.
    pub event: String,
    /// The payload, byte for byte.
    pub data: Box<str>,
    /// The time of the signature.
    pub timestamp: SystemTime,
    /// The index of the secret.
    pub verified: Verified,
    /// The signature, which identifies the envelope.
    pub signature: [u8; 32],
}

/// Why an envelope is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The body is not a JSON object with these properties.
    Malformed,
    /// The signature is invalid.
    Signature(SignatureError),
    /// The envelope was signed too long ago, or too far in the future, by the local clock.
    TooOld,
}

const TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl EnvelopeScheme {
    /// Creates a format with the names and the order above, and a tolerance of five minutes.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        let names = ["event", "data", "timestamp", "signature"].map(str::to_owned);
        Self { verifier, tolerance: TOLERANCE, field_names: names, separator: ".".to_owned() }
    }

    /// Sets how far the timestamp of an envelope can differ from the local clock.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Sets the names of the properties that contain the event, the payload, the time in seconds since 1970 and the
    /// signature.
    #[must_use]
    pub fn field_names(
        mut self,
        event: &str,
        data: &str,
        timestamp: &str,
        signature: &str,
    ) -> Self {
        self.field_names = [event, data, timestamp, signature].map(str::to_owned);
        self
    }

    /// Sets the separator of the signed parts.
    #[must_use]
    pub fn separator(mut self, separator: &str) -> Self {
        separator.clone_into(&mut self.separator);
        self
    }

    /// Returns the number of secrets.
    pub(super) fn secrets(&self) -> usize {
        self.verifier.secrets()
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Signs a payload in this format, with the verifier's first secret and the current time: for gateways, and for
    /// tests.
    ///
    /// `data` is JSON, and is signed and sent byte for byte.
    ///
    /// # Errors
    /// If it is not JSON: of the kind [`InvalidRequest`](ErrorKind::InvalidRequest).
    pub fn sign(&self, event: &str, data: &str) -> Result<String> {
        self.sign_at(event, data, SystemTime::now())
    }

    fn sign_at(&self, event: &str, data: &str, now: SystemTime) -> Result<String> {
        let invalid = |error: serde_json::Error| {
            let message = format!("the payload of `{event}` is not valid JSON: {error}");
            Error::new(ErrorKind::InvalidRequest, message)
        };
        let data: &RawValue = serde_json::from_str(data).map_err(invalid)?;
        let timestamp = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed = [&timestamp.to_string(), event, data.get()].join(&self.separator);
        let signature = hex(self.verifier.first_signature(signed.as_bytes()));
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let [event_name, data_name, timestamp_name, signature_name] =
            self.field_names.each_ref().map(|name| text(name));
        let event = text(event);
        Ok(format!(
            "{{{event_name}:{event},{data_name}:{},{timestamp_name}:{timestamp},{signature_name}:\"{signature}\"}}",
            data.get()
        ))
    }

    /// Verifies an envelope, and returns its content.
    ///
    /// # Errors
    /// If it is invalid, is not signed with a known secret, or is too old.
    pub fn verify(&self, body: &[u8]) -> Result<Envelope, EnvelopeError> {
        self.verify_at(body, SystemTime::now())
    }

    fn verify_at(&self, body: &[u8], now: SystemTime) -> Result<Envelope, EnvelopeError> {
        let properties: Properties<'_> =
            serde_json::from_slice(body).map_err(|_| EnvelopeError::Malformed)?;
        let [event, data, timestamp, signature] = &self.field_names;
        let raw = |name: &String| properties.of(name).ok_or(EnvelopeError::Malformed);
        let text =
            |name| serde_json::from_str::<String>(raw(name)?).map_err(|_| EnvelopeError::Malformed);
        let (event, data, timestamp) = (text(event)?, raw(data)?, raw(timestamp)?);
        let signature = text(signature)?;
        let signature =
            parse_hex(&signature).ok_or(EnvelopeError::Signature(SignatureError::Malformed))?;
        let seconds: u64 = timestamp.parse().map_err(|_| EnvelopeError::Malformed)?;
        let signed = [timestamp, &event, data].join(&self.separator);
        let verified = self.verifier.find_secret(&signature, signed.as_bytes());
        let verified = verified.map_err(EnvelopeError::Signature)?;
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let time = time.ok_or(EnvelopeError::TooOld)?;
        let distance = match now.duration_since(time) {
            Ok(age) => age,
            Err(ahead) => ahead.duration(),
        };
        if distance > self.tolerance {
            return Err(EnvelopeError::TooOld);
        }
        Ok(Envelope { event, data: data.into(), timestamp: time, verified, signature })
    }
}

/// The properties of an object, byte for byte.
#[derive(Deserialize)]
#[serde(transparent)]
struct Properties<'a>(#[serde(borrow)] std::collections::BTreeMap<String, &'a RawValue>);

impl<'a> Properties<'a> {
    fn of(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                f.write_str("the envelope is not a JSON object of the expected form")
            }
            Self::Signature(error) => error.fmt(f),
            Self::TooOld => {
                f.write_str("the envelope's signature is too old, or the clocks differ")
            }
        }
    }
}

impl std::error::Error for EnvelopeError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sign;
    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn scheme() -> EnvelopeScheme {
        EnvelopeScheme::new(Verifier::new("gateway").unwrap())
    }

    fn envelope(event: &str, data: &str, timestamp: u64) -> String {
        let signed = sign("gateway", format!("{timestamp}.{event}.{data}").as_bytes()).unwrap();
        let signature = signed.trim_start_matches("sha256=");
        format!(
            r#"{{ "event": {event:?}, "data": {data}, "timestamp": {timestamp}, "signature": "{signature}" }}"#
        )
    }

    #[test]
    fn an_envelope_within_the_tolerance_verifies() {
        let data = r#"{ "action" : "opened", "n": 1.50 }"#;
        for seconds in [NOW, NOW - 300, NOW + 300] {
            let opened = scheme().verify_at(envelope("issues", data, seconds).as_bytes(), at(NOW));
            let opened = opened.unwrap();
            assert_eq!((&*opened.event, &*opened.data), ("issues", data));
            assert_eq!((opened.timestamp, opened.verified.secret), (at(seconds), 0));
        }
    }

    #[test]
    fn an_invalid_envelope_is_rejected_with_the_reason() {
        use EnvelopeError::{Malformed, Signature, TooOld};
        let good = envelope("issues", "{}", NOW);
        let cases = [
            (envelope("issues", "{}", NOW - 301), TooOld),
            (envelope("issues", "{}", NOW + 301), TooOld),
            (envelope("issues", "{}", u64::MAX), TooOld),
            (good.replace("issues", "push"), Signature(SignatureError::Mismatch)),
            (good.replace("{}", "{ }"), Signature(SignatureError::Mismatch)),
            (good.replace(&NOW.to_string(), "1790000001"), Signature(SignatureError::Mismatch)),
            (good.replace(&NOW.to_string(), "-1"), Malformed),
            (good.replace(&NOW.to_string(), "\"1790000000\""), Malformed),
            (good.replace("\"event\"", "\"events\""), Malformed),
            (
                good.replace("signature\": \"", "signature\": \"0"),
                Signature(SignatureError::Malformed),
            ),
            ("[]".to_owned(), Malformed),
            (String::new(), Malformed),
        ];
        for (body, expected) in cases {
            assert_eq!(
                scheme().verify_at(body.as_bytes(), at(NOW)).unwrap_err(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn an_envelope_verifies_only_with_its_own_secret() {
        let schemes =
            [scheme(), scheme().field_names("type", "pay\"load", "at", "mac").separator(":")];
        for scheme in schemes {
            let data = r#"{ "a" : [1.50] }"#;
            let sealed = scheme.sign_at("iss\"ues", data, at(NOW)).unwrap();
            let opened = scheme.verify_at(sealed.as_bytes(), at(NOW)).unwrap();
            assert_eq!((&*opened.event, &*opened.data), ("iss\"ues", data));
            let other = EnvelopeScheme { verifier: Verifier::new("other").unwrap(), ..scheme };
            assert!(other.verify_at(sealed.as_bytes(), at(NOW)).is_err());
        }
        assert_eq!(scheme().sign("issues", "{").unwrap_err().kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn a_gateway_may_have_its_own_names() {
        let scheme = scheme().field_names("type", "payload", "at", "mac").separator(":");
        let signed = sign("gateway", b"1790000000:ping:[1]").unwrap();
        let mac = signed.trim_start_matches("sha256=");
        let body = format!(r#"{{"type":"ping","payload":[1],"at":1790000000,"mac":"{mac}"}}"#);
        assert_eq!(&*scheme.verify_at(body.as_bytes(), at(NOW)).unwrap().data, "[1]");
    }

    proptest! {
        #[test]
        fn anything_may_be_sent(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(scheme().verify(&body).is_err());
        }
    }
}
