//! Outgoing deliveries: for tests, for gateways, and for replays to a program on this machine.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderName, Method, Request, StatusCode, Uri};
use secrecy::SecretString;
use url::form_urlencoded;

use super::delivery::{DELIVERY, EVENT, HOOK};
use super::verify::{SIGNATURE, sign};
use crate::error::{Error, ErrorKind, Result};
use crate::sanitize;

/// A delivery in GitHub's format, to be signed and sent.
///
/// ```
/// use octowire::webhooks::{Delivery, OutgoingDelivery, Verifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let request = OutgoingDelivery::new("ping", r#"{ "zen": "Design for failure." }"#)
///     .id("72d3162e-cc78-11e3-81ab-4c9367dc0958")
///     .sign("the secret", "http://localhost:3000/webhooks")?;
///
/// let (parts, body) = request.into_parts();
/// let delivery = Delivery::verify(&Verifier::new("the secret")?, &parts.headers, body)?;
/// assert_eq!((delivery.event_name(), delivery.id()), ("ping", "72d3162e-cc78-11e3-81ab-4c9367dc0958"));
/// # Ok(())
/// # }
/// ```
///
/// Sends a delivery that GitHub has recorded to a program on this machine, and returns its response:
///
/// ```no_run
/// # #[cfg(feature = "apps")]
/// # async fn example(github: octowire::Client) -> octowire::Result<()> {
/// use octowire::webhooks::OutgoingDelivery;
///
/// let recorded = github.as_app()?.apps().get_webhook_delivery().delivery_id(42).send().await?;
/// let status = OutgoingDelivery::from_recorded(&recorded)?
///     .send("a secret of this machine", "http://localhost:3000/webhooks")
///     .await?;
/// println!("{status}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it is not sent before it is signed"]
pub struct OutgoingDelivery {
    event: String,
    id: String,
    payload: Bytes,
    form: bool,
    headers: Vec<(&'static HeaderName, String)>,
}

/// GitHub's timeout.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

impl OutgoingDelivery {
    /// Creates a delivery of this event, with this payload and a new id.
    pub fn new(event: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        let payload = payload.into();
        Self { event: event.into(), id: guid(), payload, form: false, headers: Vec::new() }
    }

    /// Creates a delivery from GitHub's record, with its id: the response of `apps/get-webhook-delivery` and similar
    /// operations. Its payload is serialized again, so its signature differs.
    ///
    /// # Errors
    /// If the record has no payload, such as when it is older than three days: of the kind
    /// [`InvalidRequest`](ErrorKind::InvalidRequest).
    #[cfg(any(feature = "apps", feature = "repos", feature = "orgs"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "apps", feature = "repos", feature = "orgs"))))]
    pub fn from_recorded(record: &crate::api::types::HookDelivery) -> Result<Self> {
        let invalid = |what: String| {
            let message = format!("the recorded delivery {} {what}", record.guid);
            Error::new(ErrorKind::InvalidRequest, message)
        };
        if record.request.payload.is_empty() {
            return Err(invalid("has no payload".to_owned()));
        }
        let payload = serde_json::to_vec(&record.request.payload)
            .map_err(|error| invalid(format!("cannot be serialized: {error}")))?;
        let mut delivery = Self::new(record.event.clone(), payload).id(record.guid.clone());
        for name in [&HOOK, &super::delivery::TARGET_TYPE, &super::delivery::TARGET] {
            let mut headers = record.request.headers.iter();
            let header = headers.find(|(other, _)| other.eq_ignore_ascii_case(name.as_str()));
            if let Some((_, value)) = header {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                delivery.headers.push((name, text));
            }
        }
        Ok(delivery)
    }

    /// Sets the id (`X-GitHub-Delivery`), such as that of a redelivery.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the id of the webhook (`X-GitHub-Hook-ID`).
    pub fn hook_id(mut self, id: i64) -> Self {
        self.headers.push((&HOOK, id.to_string()));
        self
    }

    /// Sends a form with the JSON in `payload`, an option of GitHub's webhooks.
    pub fn form(mut self) -> Self {
        self.form = true;
        self
    }

    /// Returns the signed request.
    ///
    /// # Errors
    /// If the secret is empty, or the URL or a name cannot be sent.
    pub fn sign(self, secret: impl Into<SecretString>, url: &str) -> Result<Request<Bytes>> {
        let invalid = |message: String| {
            Error::new(ErrorKind::InvalidRequest, format!("invalid delivery: {message}"))
        };
        let uri: Uri = url.parse().map_err(|error| invalid(format!("invalid URL: {error}")))?;
        let (body, media_type) = if self.form {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("payload", &String::from_utf8_lossy(&self.payload));
            (Bytes::from(form.finish()), "application/x-www-form-urlencoded")
        } else {
            (self.payload, "application/json")
        };
        let signature = sign(secret, &body)?;
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(USER_AGENT, HeaderValue::from_static("GitHub-Hookshot/octowire"));
        let own = [(&EVENT, self.event), (&DELIVERY, self.id), (&SIGNATURE, signature)];
        for (name, value) in own.into_iter().chain(self.headers) {
            let value = HeaderValue::try_from(value)
                .map_err(|_| invalid(format!("invalid value of header {name}")))?;
            headers.insert(name, value);
        }
        Ok(request)
    }

    /// Signs and sends it, waits for up to 10 s, and returns the status of the response. Redirects are not followed, as
    /// GitHub follows none.
    ///
    /// # Errors
    /// As for [`sign`](Self::sign); and if there is no response, of the kind [`Transport`](ErrorKind::Transport).
    pub async fn send(self, secret: impl Into<SecretString>, url: &str) -> Result<StatusCode> {
        let request = self.sign(secret, url)?;
        // Without parts that might be secret: user name, password and query.
        let (host, port) = (request.uri().host().unwrap_or_default(), request.uri().port());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{host}{port}{}", request.uri().path());
        let failed = |error: reqwest::Error| {
            Error::new(ErrorKind::Transport, format!("sending the delivery to {place} failed"))
                .with_advice("check that the receiver runs and listens there")
                .with_source(error.without_url())
        };
        let client = reqwest::Client::builder()
            .timeout(RESPONSE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(failed)?;
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        sanitize::sent(&mut request, |_| false, std::iter::empty());
        Ok(client.execute(request).await.map_err(failed)?.status())
    }
}

/// Returns a random UUID ([RFC 9562, version 4](https://www.rfc-editor.org/rfc/rfc9562#section-5.4)), GitHub's format
/// of delivery ids.
fn guid() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without random numbers: the time, which differs from that of the last one.
        bytes = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos().to_be_bytes();
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = crate::util::ids::hex(bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

impl fmt::Debug for OutgoingDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingDelivery")
            .field("event", &self.event)
            .field("id", &self.id)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
