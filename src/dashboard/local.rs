//! Whether a request without a token comes from a browser on this machine: what is not known to be sent by one is
//! denied.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::sanitize;

/// Names of headers that browsers and command-line clients send by themselves, whatever the page is: Chromium,
/// Firefox, Safari and those made of them, `curl` and `wget`. Headers by which a proxy describes the connection in
/// front of it are not among them, whatever they are called.
const CLIENT_HEADERS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    // Firefox, after the server was found by `Alt-Svc`.
    "alt-used",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    // Cookies of all ports of the machine.
    "cookie",
    "dnt",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    // An event stream that is read again.
    "last-event-id",
    "origin",
    "pragma",
    // Firefox and Safari send it on HTTP/1.1 as well.
    "priority",
    "purpose",
    "range",
    "referer",
    "save-data",
    "sec-gpc",
    "sec-purpose",
    "te",
    "upgrade-insecure-requests",
    "user-agent",
    "x-moz",
    "x-purpose",
    // The name of the application around a web view of Android.
    "x-requested-with",
    // Client hints from before they were called `sec-ch-`.
    "device-memory",
    "downlink",
    "dpr",
    "ect",
    "rtt",
    "viewport-width",
    "width",
];

/// Families of such headers, which grow. Scripts cannot set headers that begin with `sec-`.
const CLIENT_PREFIXES: [&str; 2] = ["sec-ch-", "sec-fetch-"];

/// The most headers that an application allows, and the bytes of a name.
pub(super) const MAX_ALLOWED: usize = 16;
const MAX_NAME: usize = 64;

/// Headers by which a proxy describes the connection in front of it or itself, or which are between two hops alone.
const PROXY_HEADERS: &[&str] = &[
    "connect-time",
    "connection",
    "disguised-host",
    "early-data",
    "expect",
    "host",
    "http2-settings",
    "max-forwards",
    "total-route-time",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "was-default-hostname",
    "x-host",
    "x-http-host-override",
    "x-request-start",
    "x-rewrite-url",
    "x-scheme",
    "x-site-deployment-id",
    "x-timer",
];

/// Products and services whose headers begin so, and what proxies tell of a user or a certificate.
const PROXY_PREFIXES: &[&str] = &[
    "akamai-",
    "bypass-tunnel",
    "cdn-",
    "cf-",
    "cloudfront-",
    "do-",
    "fastly-",
    "fly-",
    "front-end-",
    "ngrok-",
    "remote-",
    "ssl-",
    "surrogate-",
    "tailscale-",
    "x-akamai-",
    "x-amz",
    "x-appengine-",
    "x-appgw-",
    "x-arr-",
    "x-auth",
    "x-azure-",
    "x-bluecoat-",
    "x-cache",
    "x-client-",
    "x-cloud-",
    "x-cluster-",
    "x-envoy-",
    "x-fd-",
    "x-goog-",
    "x-ms-",
    "x-nf-",
    "x-original-",
    "x-pomerium-",
    "x-real-",
    "x-remote-",
    "x-ssl-",
    "x-varnish",
    "x-vercel-",
    "x-webauth-",
    "x-zscaler-",
];

/// Parts of such names: `x-forwarded-for`, `proxy-client-ip`, `x-originating-ip`.
const PROXY_PARTS: &[&str] = &["forward", "proxy", "client-ip", "clientip", "originating-ip"];

/// Reads the name of a header that an application allows.
///
/// # Errors
/// If it is not a name, or is one of those that proxies add: then the text says why.
pub(super) fn allowed_header(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| name.as_str().len() <= MAX_NAME)
        .ok_or("not a valid header name, or longer than 64 bytes")?;
    let text = name.as_str();
    let is_of_a_proxy = PROXY_HEADERS.contains(&text)
        || PROXY_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        || PROXY_PARTS.iter().any(|part| text.contains(part));
    if is_of_a_proxy { Err("the header identifies a proxy") } else { Ok(name) }
}

/// Characters of a header's name in a response.
const MAX_SHOWN: usize = 64;

/// Why a request is not taken for one of a browser on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotLocal {
    /// The peer's address is not a loopback address, or not known.
    Peer,
    /// There is not exactly one name of the server, or it is not one of this machine.
    Host,
    /// The request has the form that requests to proxies have, or is HTTP/1.0, which proxies speak.
    Form,
    /// The request has a header that clients do not send.
    Header(String),
}

impl NotLocal {
    /// The text of the response.
    pub(super) fn text(&self) -> String {
        let reason: Cow<'_, str> = match self {
            Self::Peer => "the connection is not known to be local".into(),
            Self::Host => "the Host header is missing, duplicated or not local".into(),
            Self::Form => "the request has the form of a proxied request".into(),
            Self::Header(name) => {
                format!("the request has the header `{name}`, which no browser sends by itself")
                    .into()
            }
        };
        let advice = match self {
            Self::Peer => " For the connection's address, see Dashboard::router.",
            Self::Header(name) if allowed_header(name).is_ok() => {
                " If there is no proxy and a layer of this application adds the header, allow it \
                 with Dashboard::allow_header."
            }
            _ => "",
        };
        format!(
            "Without a token, only browsers on this machine have access, at 127.0.0.1 or \
             localhost: {reason}. Behind a proxy, set Dashboard::token.{advice}\n"
        )
    }
}

/// Checks that a request comes from this machine, by a name of it, and through no proxy that shows.
///
/// A page of another site whose name leads to 127.0.0.1 fails by its name. The application allows further headers,
/// which its own layers add.
pub(super) fn check<B>(request: &http::Request<B>, allowed: &[HeaderName]) -> Result<(), NotLocal> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip())) {
        return Err(NotLocal::Peer);
    }
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let version = request.version();
    if version < Version::HTTP_11 || version == Version::HTTP_11 && authority.is_some() {
        return Err(NotLocal::Form);
    }
    // HTTP/1.1 names the server in the header, HTTP/2 in `:authority`, and maybe in both.
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
    let mut names = host.into_iter().chain(authority).peekable();
    if hosts.next().is_some() || names.peek().is_none() || !names.all(is_local_name) {
        return Err(NotLocal::Host);
    }
    check_headers(request.headers(), allowed)
}

fn check_headers(headers: &HeaderMap, allowed: &[HeaderName]) -> Result<(), NotLocal> {
    let is_known = |name: &HeaderName| is_of_a_client(name) || allowed.contains(name);
    let unknown = headers.keys().find(|name| !is_known(name)).map(HeaderName::as_str);
    // What is named in `Connection` is for the next hop alone, and browsers name nothing in it.
    let named = headers.get_all(CONNECTION).iter().any(|value| !is_plain_connection(value));
    match unknown.or(named.then_some(CONNECTION.as_str())) {
        Some(name) => Err(NotLocal::Header(sanitize::text(name, MAX_SHOWN).into_owned())),
        None => Ok(()),
    }
}

fn is_of_a_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    CLIENT_HEADERS.contains(&name) || CLIENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_plain_connection(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}

pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_local_name(host: &str) -> bool {
    // Parsed as an authority: `127.0.0.1.example` and `localhost@example` do not name this machine.
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(is_loopback))
}

#[cfg(test)]
mod tests;
